-- The peer: a plain join that only fetches the rows of each referral that the rules read, each sort of rows by one hash join, nothing
-- counted, compared or sorted: the referral with its conversion, click and code; identifiers of both; other conversions, clicks and
-- observations of the advocate; later conversions and refunds of the referee; clicks on the code of the last 30 days; rings; bounces; bans.
WITH r AS MATERIALIZED (
  SELECT r.referral_id, r.referrer_id, coalesce(a.parent_id, r.referrer_id) AS a, coalesce(e.parent_id, r.referee_id) AS e, r.referee_id, r.referral_code_id, r.first_conversion_id, r.referral_click_id
  FROM cdp_data.referral r LEFT JOIN cdp_data.customer a ON a.customer_id = r.referrer_id LEFT JOIN cdp_data.customer e ON e.customer_id = r.referee_id
)
SELECT x.what, count(*) AS n, sum(x.bytes) AS bytes FROM (
  SELECT 'referral' AS what, length(v.ip_digest) + length(v.net_digest) + length(v.agent_digest) + length(v.device_digest) + length(v.payment_digest) + length(v.address_digest) + length(c.ip_digest) + length(c.net_digest) + length(c.agent_digest) + length(c.device_digest) + length(c.referrer_host) + c.asn + length(k.code) AS bytes
  FROM r LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id LEFT JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id LEFT JOIN cdp_data.referral_code k ON k.referral_code_id = r.referral_code_id
  UNION ALL SELECT 'identifiers of the referee', length(i.value) FROM r JOIN cdp_data.identifier i ON i.customer_id = r.e
  UNION ALL SELECT 'identifiers of the referrer', length(i.value) FROM r JOIN cdp_data.identifier i ON i.customer_id = r.a
  UNION ALL SELECT 'conversions of the referrer', length(v.ip_digest) + length(v.net_digest) + length(v.agent_digest) + length(v.device_digest) + length(v.payment_digest) + length(v.address_digest) FROM r JOIN cdp_data.referral_conversion v ON v.customer_id = r.a
  UNION ALL SELECT 'clicks of the referrer', length(c.ip_digest) + length(c.net_digest) + length(c.agent_digest) + length(c.device_digest) FROM r JOIN cdp_data.referral_click c ON c.customer_id = r.a
  UNION ALL SELECT 'observations of the referrer', length(f.digest) FROM r JOIN cdp_data.fraud_fact f ON f.customer_id = r.a
  UNION ALL SELECT 'later conversions of the referee', v.eligible_minor FROM r JOIN cdp_data.referral_conversion v ON v.customer_id = r.referee_id AND v.referral_conversion_id <> r.first_conversion_id
  UNION ALL SELECT 'refunds', f.amount_minor FROM r JOIN cdp_data.referral_refund f ON f.referral_conversion_id = r.first_conversion_id
  UNION ALL SELECT 'clicks on the code', c.asn FROM (SELECT DISTINCT r.referral_code_id FROM r) d JOIN cdp_data.referral_click c ON c.referral_code_id = d.referral_code_id AND c.clicked_at > timestamptz '2026-05-02'
  UNION ALL SELECT 'rings', g.component_size FROM r JOIN cdp_data.fraud_ring g ON g.customer_id = r.e AND g.fraud_ring_run_id = (SELECT max(fraud_ring_run_id) FROM cdp_data.fraud_ring_run)
  UNION ALL SELECT 'links that were refused', 1 FROM r JOIN cdp_data.identifier i ON i.customer_id = r.e JOIN cdp_data.link l ON l.b_id = i.identifier_id
  UNION ALL SELECT 'bounces', 1 FROM r JOIN cdp_data.identifier i ON i.customer_id = r.e JOIN cdp_data.channel_bounce b ON b.identifier_id = i.identifier_id
  UNION ALL SELECT 'bans', 1 FROM r JOIN cdp_data.referral_ban b ON b.customer_id = r.a) x
GROUP BY x.what ORDER BY x.what COLLATE "C";

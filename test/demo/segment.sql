-- Two audiences of the made-up shop by their rules: who they are, what they share, and why one of them is in.
SELECT cdp.create_segment('gone quiet', 'count(purchase) >= 2 and not did(purchase last 60 days)', 'analytics'),
  cdp.create_segment('best tenth', 'top 10% by revenue', 'analytics') \g /dev/null
SELECT kind FROM cdp.segment_tick(:'until') \g /dev/null
SELECT m.segment, count(*) AS customers, to_char(sum(p.revenue), '99,999,990') AS "brought so far", max(o.common) AS "in both"
FROM cdp_bi.segment_member m JOIN cdp_data.profile p ON p.customer_id = m.customer_id JOIN cdp.segment_overlap() o ON o.a = m.segment AND o.b <> o.a
GROUP BY m.segment ORDER BY m.segment;
\echo '   why one of them is in: SELECT * FROM cdp.segment_explain(''gone quiet'', customer);'
SELECT e.path, e.sentence, e.result, e.observed, (e.flips_at AT TIME ZONE 'Asia/Shanghai')::timestamp(0) AS "changes at"
FROM cdp.segment_explain('gone quiet', (
  SELECT m FROM cdp.segment_members('gone quiet') m JOIN cdp_data.identifier i ON i.customer_id = m JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id AND t.name = 'user_id'
  ORDER BY i.value COLLATE "C" LIMIT 1), :'until') e
ORDER BY e.path;

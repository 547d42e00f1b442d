-- Both sides name the same customers, one by one.
WITH peer AS (
  SELECT l.customer_id FROM (
    SELECT DISTINCT ON (c.customer_id) c.customer_id, c.status, c.expires_at
    FROM cdp_data.consent c WHERE c.purpose_id = 3 AND c.channel IN ('', 'email') AND c.effective_at <= now()
    ORDER BY c.customer_id, c.effective_at DESC) l
  WHERE l.status = 'granted' AND (l.expires_at IS NULL OR l.expires_at > now())
), ours AS (SELECT c FROM cdp.consented_customers('marketing', 'email') c)
SELECT NOT EXISTS ((TABLE peer EXCEPT TABLE ours) UNION ALL (TABLE ours EXCEPT TABLE peer)) AND EXISTS (TABLE ours);

-- The peer's other form: the latest row of each customer by one index probe.
SELECT count(*), sum(u.customer_id) FROM cdp_data.customer u CROSS JOIN LATERAL (
  SELECT c.status, c.expires_at FROM cdp_data.consent c
  WHERE c.purpose_id = 3 AND c.customer_id = u.customer_id AND c.channel IN ('', 'email') AND c.effective_at <= now()
  ORDER BY c.effective_at DESC LIMIT 1) l
WHERE l.status = 'granted' AND (l.expires_at IS NULL OR l.expires_at > now());

-- The peer: the latest row of each customer, by DISTINCT ON over an index-only scan in its order.
SELECT count(*), sum(customer_id) FROM (
  SELECT DISTINCT ON (c.customer_id) c.customer_id, c.status, c.expires_at
  FROM cdp_data.consent c WHERE c.purpose_id = 3 AND c.channel IN ('', 'email') AND c.effective_at <= now()
  ORDER BY c.customer_id, c.effective_at DESC) l
WHERE l.status = 'granted' AND (l.expires_at IS NULL OR l.expires_at > now());

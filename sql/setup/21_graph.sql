-- Identity room, the graph: indexes for what identify asks at each record, and the views of who was merged and what was not.

-- step: graph indexes
CREATE INDEX IF NOT EXISTS link_cannot_a_idx ON cdp_data.link (a_id) WHERE kind = 'cannot' AND state = 'active';
CREATE INDEX IF NOT EXISTS link_cannot_b_idx ON cdp_data.link (b_id) WHERE kind = 'cannot' AND state = 'active';
CREATE INDEX IF NOT EXISTS identity_alert_customer_idx ON cdp_data.identity_alert (customer_id) WHERE resolved_at IS NULL;

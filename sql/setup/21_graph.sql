-- Identity room, the graph: indexes for what identify asks at each record, and the views of who was merged and what was not.

-- step: graph indexes
CREATE INDEX IF NOT EXISTS link_cannot_a_idx ON cdp_data.link (a_id) WHERE kind = 'cannot' AND state = 'active';
CREATE INDEX IF NOT EXISTS link_cannot_b_idx ON cdp_data.link (b_id) WHERE kind = 'cannot' AND state = 'active';
CREATE INDEX IF NOT EXISTS identity_alert_customer_idx ON cdp_data.identity_alert (customer_id) WHERE resolved_at IS NULL;

-- step: again: graph views
CREATE OR REPLACE VIEW cdp_bi.identity_alert WITH (security_invoker = true) AS
  SELECT a.alert_id, a.at, a.kind, a.identifier_id, a.customer_id, a.detail, a.resolved_at, a.resolved_by
  FROM cdp_data.identity_alert a;
COMMENT ON VIEW cdp_bi.identity_alert IS 'What somebody should look at: identifiers that too many people share, customers at the size limit. Open while resolved_at is NULL.';
CREATE OR REPLACE VIEW cdp_bi.merge_history WITH (security_invoker = true) AS
  SELECT m.merge_id, m.operation_id, m.at, m.kind, m.customer_id, m.identifier_id, m.from_id, m.to_id, m.link_id, m.cause, m.actor,
    s.name AS source, m.load_id, m.winner_size, m.loser_size, m.undone_by
  FROM cdp_data.merge_log m LEFT JOIN cdp_data.source s ON s.source_id = m.source_id;
COMMENT ON VIEW cdp_bi.merge_history IS 'The ledger of merges and unmerges, without notes and keys of records. at is when the line was written.';
CREATE OR REPLACE VIEW cdp_bi.link_rejected WITH (security_invoker = true) AS
  SELECT l.link_id, l.a_id, ta.name AS a_type, l.b_id, tb.name AS b_type, l.kind, l.weight, l.first_seen, l.reason, l.blocker, l.changed_at
  FROM cdp_data.link l
    JOIN cdp_data.identifier a ON a.identifier_id = l.a_id JOIN cdp_data.identifier_type_all ta ON ta.type_id = a.type_id
    JOIN cdp_data.identifier b ON b.identifier_id = l.b_id JOIN cdp_data.identifier_type_all tb ON tb.type_id = b.type_id
  WHERE l.state = 'rejected';
COMMENT ON VIEW cdp_bi.link_rejected IS 'Links that a rule stopped, with the reason and the types of their ends; a rebuild looks at them again.';

-- step: again: graph grants
-- An identifier without its value is a number: enough to explain a customer and to find the touches of one that an
-- unmerge moved, and nobody is named.
SELECT cdp_internal.declare_grant('admin', 'SELECT (identifier_id, type_id, customer_id, first_seen, last_seen, state)', 'TABLE', 'cdp_data.identifier');
SELECT cdp_internal.declare_grant(t.template, 'SELECT (identifier_id, customer_id)', 'TABLE', 'cdp_data.identifier')
FROM unnest(array['analyst', 'marketer', 'finance']) AS t (template);
SELECT cdp_internal.declare_grant(v.template, 'SELECT', 'TABLE', 'cdp_bi.' || v.name)
FROM (VALUES ('admin', 'merge_history'), ('privacy', 'merge_history'), ('privacy', 'link_rejected')) AS v (template, name);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.identity_alert')
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template);

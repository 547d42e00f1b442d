-- Connector room, connections: views for BI tools.

-- step: again: connection views
CREATE OR REPLACE VIEW cdp_bi.connection_status WITH (security_invoker = true) AS
SELECT c.connection_id, c.name AS connection, c.connector, c.source_id, c.owner, c.state, c.state_at, t.finished_at AS tested_at,
  t.checks_passed, t.checks_required, t.checks_run, t.checks_defined, round(t.checks_run::numeric / nullif(t.checks_defined, 0), 4) AS coverage,
  q.quality, q.state AS quality_state, q.at AS quality_at, c.min_quality,
  ARRAY(SELECT g.problem || ': ' || g.detail FROM cdp_internal.connection_next_gate(c.connection_id) g) AS blocked_by
FROM cdp_data.connection c
  LEFT JOIN LATERAL cdp_internal.connection_last_test(c.connection_id) t ON true
  LEFT JOIN LATERAL (SELECT x.quality, x.state, x.at FROM cdp_data.connection_quality x WHERE x.connection_id = c.connection_id ORDER BY x.quality_id DESC LIMIT 1) q ON true;
COMMENT ON VIEW cdp_bi.connection_status IS 'Each connection: its state, what its last finished test passed, the quality of its last run, and what keeps it from its next state.';
SELECT cdp_internal.declare_column('{connection_status}', v.name, v.meaning) FROM (VALUES
  ('connection', 'Name.'), ('state', 'draft, tested, shadow, live, degraded, suspended or retired.'), ('state_at', 'Since when.'), ('tested_at', 'When the last finished test ended. NULL: none has.'),
  ('checks_passed', 'Required checks that were ok, or ok with a warning, in that test.'), ('checks_required', 'Required checks: those of cdp.connection_check_builtin() and those that the test added.'),
  ('checks_run', 'Checks, required or not, that could be tried.'), ('checks_defined', 'All checks: those of cdp.connection_check_builtin() and those that the test added.'), ('coverage', 'checks_run by checks_defined, 0 to 1.'),
  ('quality', 'Quality of the last run, 0 to 1.'), ('quality_state', 'State of the connection at that run.'), ('min_quality', 'Quality that the last shadow run must reach before it may go live.'),
  ('blocked_by', 'What keeps it from its next state (tested, shadow, live, or from being resumed) now. Empty: nothing.')) AS v (name, meaning);
CREATE OR REPLACE VIEW cdp_bi.integration_success WITH (security_invoker = true) AS
SELECT count(*) AS connections, count(*) FILTER (WHERE l.ever) AS went_live, round(count(*) FILTER (WHERE l.ever)::numeric / nullif(count(*), 0), 4) AS success_rate,
  count(*) FILTER (WHERE s.state IN ('live', 'degraded')) AS live, count(*) FILTER (WHERE s.state = 'degraded') AS degraded, count(*) FILTER (WHERE s.state = 'suspended') AS suspended,
  round(sum(s.checks_passed) / nullif(sum(s.checks_required), 0), 4) AS checks_passed_rate, round(sum(s.checks_run) / nullif(sum(s.checks_defined), 0), 4) AS check_coverage
FROM cdp_bi.connection_status s
  CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM cdp_data.connection_state_log g WHERE g.connection_id = s.connection_id AND g.to_state = 'live') AS ever) l;
COMMENT ON VIEW cdp_bi.integration_success IS 'All connections in one row: how many went live, and what share of their checks passed and was run.';
SELECT cdp_internal.declare_column('{integration_success}', v.name, v.meaning) FROM (VALUES
  ('connections', 'That were ever made.'), ('went_live', 'That were ever live.'), ('success_rate', 'went_live by connections, 0 to 1. NULL: there are none.'), ('live', 'Live or degraded now.'),
  ('checks_passed_rate', 'Required checks passed by required checks, in the last tests.'), ('check_coverage', 'Checks run by checks defined, in the last tests.')) AS v (name, meaning);

-- step: again: grants of connection views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || v)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['connection_status', 'integration_success']) v;

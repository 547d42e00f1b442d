-- Connector room, pulls: views for BI tools.

-- step: again: sync views
CREATE OR REPLACE VIEW cdp_bi.sync_run WITH (security_invoker = true) AS
SELECT r.run_id, r.connection_id, c.name AS connection, c.connector, r.source_id, r.stream, r.started_at, r.finished_at, round(extract(epoch FROM coalesce(r.finished_at, now()) - r.started_at), 3) AS seconds,
  coalesce(r.outcome, 'running') AS outcome, r.calls, r.pages, r.records, r.inserted, r.changed, r.refused, r.problems, r.problem, r.by
FROM cdp_data.sync_run r JOIN cdp_data.connection c USING (connection_id);
COMMENT ON VIEW cdp_bi.sync_run IS 'Pulls of connections, one row each: when, what came of it, how much it brought.';
SELECT cdp_internal.declare_column('{sync_run}', v.name, v.meaning) FROM (VALUES
  ('connection', 'Name.'), ('stream', 'The one stream that was asked for. NULL: all that were due.'), ('started_at', 'When it began.'), ('finished_at', 'When it ended. NULL: it runs, or died and nobody came after it.'),
  ('seconds', 'How long it took, or takes so far.'), ('outcome', 'running, ok, waits (something is to be asked later), failed, died or stopped.'), ('calls', 'Requests for data.'), ('pages', 'Answers that were read.'),
  ('records', 'Records that they told.'), ('inserted', 'Records that were new.'), ('changed', 'Records that said something else than before.'), ('refused', 'Records without a key or a day.'),
  ('problems', 'Pulls of streams that did not come to their end.'), ('problem', 'The first of them.'), ('by', 'Role that ran it.')) AS v (name, meaning);
CREATE OR REPLACE VIEW cdp_bi.integration_status WITH (security_invoker = true) AS
SELECT c.connection_id, c.name AS connection, c.connector, c.source_id, c.state, c.state_at, t.checks_passed, t.checks_required,
  r.runs, r.runs_ok, round(r.runs_ok::numeric / nullif(r.runs, 0), 4) AS success_rate, r.last_run_at, r.last_ok_at, r.last_outcome, r.last_problem,
  d.due, d.missing, d.overdue, d.completeness, b.standing, b.standing_until
FROM cdp_data.connection c
  LEFT JOIN LATERAL cdp_internal.connection_last_test(c.connection_id) t ON true
  LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE x.outcome <> 'stopped') AS runs, count(*) FILTER (WHERE x.outcome IN ('ok', 'waits')) AS runs_ok, max(x.started_at) AS last_run_at, max(x.finished_at) FILTER (WHERE x.outcome = 'ok') AS last_ok_at,
      (array_agg(coalesce(x.outcome, 'running') ORDER BY x.run_id DESC))[1] AS last_outcome, (array_agg(x.problem ORDER BY x.run_id DESC))[1] AS last_problem
    FROM cdp_data.sync_run x WHERE x.connection_id = c.connection_id AND x.started_at >= now() - interval '7 days') r ON true
  LEFT JOIN LATERAL (
    SELECT sum(s.due)::bigint AS due, sum(s.missing)::bigint AS missing, sum(s.overdue)::bigint AS overdue, round(sum(s.provisional + s.final) / nullif(sum(s.due - s.unavailable), 0), 4) AS completeness
    FROM cdp_internal.stream_coverage(c.connection_id, now()) s) d ON true
  LEFT JOIN LATERAL (
    SELECT array_agg(CASE x.stream WHEN '' THEN 'all' ELSE x.stream END ORDER BY x.stream) AS standing, max(x.open_until) AS standing_until FROM cdp_data.sync_breaker x WHERE x.connection_id = c.connection_id AND x.open_until > now()) b ON true;
COMMENT ON VIEW cdp_bi.integration_status IS 'Each connection in one row: checks of its last test, runs of the last seven days and how many of them succeeded, which days are there, what stands still.';
SELECT cdp_internal.declare_column('{integration_status}', v.name, v.meaning) FROM (VALUES
  ('connection', 'Name.'), ('state', 'draft, tested, shadow, live, degraded, suspended or retired.'), ('state_at', 'Since when.'), ('checks_passed', 'Required checks that were ok, or ok with a warning, in the last finished test.'), ('checks_required', 'Required checks of that test.'),
  ('runs', 'Runs that began in the last seven days, without those that were stopped.'), ('runs_ok', 'Runs of those in which all came that could: ok or waits.'), ('success_rate', 'runs_ok by runs, 0 to 1. NULL: there were none.'),
  ('last_run_at', 'When the last of them began.'), ('last_ok_at', 'When the last one that was ok ended.'), ('last_outcome', 'What came of the last one: running, ok, waits, failed, died or stopped.'), ('last_problem', 'What its first problem was.'),
  ('due', 'Days of streams that should be there.'), ('missing', 'Days of those that are not.'), ('overdue', 'Days that should have been there for a day and more.'), ('completeness', 'Days that are there by due days without the unavailable ones, 0 to 1. NULL: none is due.'),
  ('standing', 'Streams that are not asked for a while, or all.'), ('standing_until', 'Until when at the latest.')) AS v (name, meaning);

-- step: again: grants of sync views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || v)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy']) AS t (template), unnest(array['sync_run', 'integration_status']) v;

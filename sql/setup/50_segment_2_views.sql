-- Segment room: views for BI tools. Members are as of the last tick.

-- step: again: segment views
CREATE OR REPLACE VIEW cdp_bi.segment_member WITH (security_invoker = true) AS
  SELECT s.segment_id, s.name AS segment, m.customer_id
  FROM cdp_data.segment s JOIN cdp_data.segment_chunk c ON c.segment_id = s.segment_id CROSS JOIN LATERAL cdp.roaring_ids(c.bits) AS m (customer_id);
COMMENT ON VIEW cdp_bi.segment_member IS 'Members of segments, a row each. Membership says who fits the rule; whom one may write to, cdp.segment_audience() tells.';
CREATE OR REPLACE VIEW cdp_bi.segment_overview WITH (security_invoker = true) AS
  SELECT s.segment_id, s.name AS segment, s.description, s.purpose, s.channel, s.state, s.version, s.owner, s.created_at,
    coalesce(t.customers, 0) AS customers, t.through_null, t.version AS evaluated_version,
    CASE WHEN s.state = 'active' AND t.segment_id IS NOT NULL THEN k.as_of ELSE t.as_of END AS as_of, t.as_of AS changed_at,
    d.entered AS entered_today, d."left" AS left_today, t.error
  FROM cdp_data.segment s CROSS JOIN cdp_data.segment_clock k CROSS JOIN cdp_data.setting g LEFT JOIN cdp_data.segment_state t ON t.segment_id = s.segment_id
    LEFT JOIN cdp_data.segment_day d ON d.segment_id = s.segment_id AND d.day = (k.as_of AT TIME ZONE g.timezone)::date;
COMMENT ON VIEW cdp_bi.segment_overview IS 'Every segment with its size, as of when that is right, how many are in through a missing value (at the last pass), who came and went on the day of the last run, and why it can not be evaluated (error; NULL: it can).';
CREATE OR REPLACE VIEW cdp_bi.segment_size_daily WITH (security_invoker = true) AS
  SELECT s.name AS segment, d.day, d.customers, d.entered, d."left" FROM cdp_data.segment_day d JOIN cdp_data.segment s ON s.segment_id = d.segment_id;
COMMENT ON VIEW cdp_bi.segment_size_daily IS 'Size of each segment at the end of each day on which it was evaluated (time zone of reports), and how many entered and left on that day.';
CREATE OR REPLACE VIEW cdp_bi.segment_run WITH (security_invoker = true) AS
  SELECT r.run_id, r.kind, r.reason, r.as_of, r.started_at, r.finished_at, extract(epoch FROM r.finished_at - r.started_at) * 1000 AS milliseconds,
    r.touched, r.entered, r."left", r.segments, r.defects, NULL::text AS error
  FROM cdp_data.segment_run r
  UNION ALL
  SELECT NULL, replace(j.job, 'segment_', ''), NULL, NULL, j.started_at, j.finished_at, extract(epoch FROM j.finished_at - j.started_at) * 1000, NULL, NULL, NULL, NULL, NULL, coalesce(j.error, j.state)
  FROM cdp_data.job_run j WHERE j.job IN ('segment_tick', 'segment_audit', 'segment_ranks') AND j.state IN ('failed', 'abandoned');
COMMENT ON VIEW cdp_bi.segment_run IS 'Runs of segments: when, why over everybody (reason), how long in milliseconds (wall clock), how many customers they looked at (NULL: all), entered and left; and runs of jobs that failed, with their error. What failed changed nothing.';

-- step: again: grants of segment views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy', 'connector']) AS t (template), unnest(array['segment_member', 'segment_overview', 'segment_size_daily']) AS r (name);
SELECT cdp_internal.declare_grant('finance', 'SELECT', 'TABLE', 'cdp_bi.' || r.name) FROM unnest(array['segment_overview', 'segment_size_daily']) AS r (name);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.segment_run') FROM unnest(array['admin', 'privacy']) AS t (template);

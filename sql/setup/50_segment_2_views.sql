-- Segment room: views for BI tools. Members are as of the last tick.

-- step: again: segment views
CREATE OR REPLACE VIEW cdp_bi.segment_member WITH (security_invoker = true) AS
  SELECT s.segment_id, s.name::varchar(200) AS segment, m.customer_id
  FROM cdp_data.segment s JOIN cdp_data.segment_chunk c ON c.segment_id = s.segment_id CROSS JOIN LATERAL cdp.roaring_ids(c.bits) AS m (customer_id);
COMMENT ON VIEW cdp_bi.segment_member IS 'Members of segments, a row each. Membership says who fits the rule; whom one may write to, cdp.segment_audience() tells.';
CREATE OR REPLACE VIEW cdp_bi.customer_segment WITH (security_invoker = true) AS
  SELECT c.customer_id, s.segment_id, s.name::varchar(200) AS segment, s.description::varchar(1000) AS description, s.purpose::varchar(200) AS purpose, s.owner::varchar(200) AS owner,
    (SELECT t.at FROM cdp_data.segment_transition t WHERE t.customer_id = c.customer_id AND t.segment_id = s.segment_id AND t.entered ORDER BY t.transition_id DESC LIMIT 1) AS since
  FROM cdp_data.customer c CROSS JOIN cdp_data.segment s JOIN cdp_data.segment_chunk k ON k.segment_id = s.segment_id AND k.chunk = (c.customer_id >> 16)::integer
  WHERE c.parent_id = c.customer_id AND cdp.roaring_has(k.bits, c.customer_id);
COMMENT ON VIEW cdp_bi.customer_segment IS 'The segments that a customer is in, for a CRM that asks for one customer: quick with WHERE customer_id = ..., which cdp_bi.segment_member, made for all members, is not.';
CREATE OR REPLACE VIEW cdp_bi.segment_overview WITH (security_invoker = true) AS
  SELECT s.segment_id, s.name::varchar(200) AS segment, s.description::varchar(1000) AS description, cdp.segment_describe(v.rule)::varchar(4000) AS sentence,
    s.purpose::varchar(200) AS purpose, s.channel::varchar(63) AS channel, s.state::varchar(20) AS state, s.version, s.owner::varchar(200) AS owner, s.created_at,
    coalesce(t.customers, 0) AS customers, coalesce(t.customers, 0)::double precision / nullif(k.everybody, 0) AS share_of_everybody,
    coalesce(t.customers, 0) - w.customers AS change_7_days, coalesce(t.customers, 0) - m.customers AS change_30_days,
    d.entered AS entered_today, d."left" AS left_today, t.through_null, t.version AS evaluated_version,
    CASE WHEN s.state = 'active' AND t.segment_id IS NOT NULL THEN k.as_of ELSE t.as_of END AS as_of, t.as_of AS changed_at, k.as_of AS last_run_at, t.error::varchar(1000) AS error
  FROM cdp_data.segment s CROSS JOIN cdp_data.segment_clock k CROSS JOIN cdp_data.setting g LEFT JOIN cdp_data.segment_version v ON v.segment_id = s.segment_id AND v.version = s.version
    LEFT JOIN cdp_data.segment_state t ON t.segment_id = s.segment_id
    LEFT JOIN cdp_data.segment_day d ON d.segment_id = s.segment_id AND d.day = (k.as_of AT TIME ZONE g.timezone)::date
    LEFT JOIN LATERAL (SELECT x.customers FROM cdp_data.segment_day x WHERE x.segment_id = s.segment_id AND x.day <= (k.as_of AT TIME ZONE g.timezone)::date - 7 ORDER BY x.day DESC LIMIT 1) w ON true
    LEFT JOIN LATERAL (SELECT x.customers FROM cdp_data.segment_day x WHERE x.segment_id = s.segment_id AND x.day <= (k.as_of AT TIME ZONE g.timezone)::date - 30 ORDER BY x.day DESC LIMIT 1) m ON true;
COMMENT ON VIEW cdp_bi.segment_overview IS 'Every segment, a row each: what it is for, whom it means in words, how many they are and how that changed, as of when that is right, and why it can not be evaluated.';
CREATE OR REPLACE VIEW cdp_bi.segment_size_daily WITH (security_invoker = true) AS
  SELECT s.segment_id, s.name::varchar(200) AS segment, x.day::date AS day, x.day::date::timestamp AT TIME ZONE g.timezone AS "time", d.customers,
    CASE WHEN x.day::date = d.day THEN d.entered ELSE 0 END AS entered, CASE WHEN x.day::date = d.day THEN d."left" ELSE 0 END AS "left"
  FROM (
    SELECT y.*, lead(y.day) OVER (PARTITION BY y.segment_id ORDER BY y.day) AS following FROM cdp_data.segment_day y) d
    JOIN cdp_data.segment s ON s.segment_id = d.segment_id CROSS JOIN cdp_data.setting g CROSS JOIN cdp_data.segment_clock k
    CROSS JOIN LATERAL generate_series(d.day::timestamp, coalesce(d.following - 1, greatest(d.day, (k.as_of AT TIME ZONE g.timezone)::date))::timestamp, interval '1 day') AS x (day);
COMMENT ON VIEW cdp_bi.segment_size_daily IS 'Size of each segment at the end of each day from its first evaluation to the last run, and how many entered and left on that day.';
CREATE OR REPLACE VIEW cdp_bi.segment_run WITH (security_invoker = true) AS
  SELECT r.run_id, r.kind::varchar(20) AS kind, r.reason::varchar(200) AS reason, r.as_of, r.started_at, r.finished_at, extract(epoch FROM r.finished_at - r.started_at)::double precision * 1000 AS milliseconds,
    r.touched, r.entered, r."left", r.segments, r.defects, NULL::varchar(1000) AS error
  FROM cdp_data.segment_run r
  UNION ALL
  SELECT NULL, replace(j.job, 'segment_', '')::varchar(20), NULL::varchar(200), NULL, j.started_at, j.finished_at, extract(epoch FROM j.finished_at - j.started_at)::double precision * 1000, NULL, NULL, NULL, NULL, NULL,
    coalesce(j.error, j.state)::varchar(1000)
  FROM cdp_data.job_run j WHERE j.job IN ('segment_tick', 'segment_audit', 'segment_ranks', 'segment_profiles') AND j.state IN ('failed', 'abandoned');
COMMENT ON VIEW cdp_bi.segment_run IS 'Runs of segments: when, why over everybody, how long, how many customers they looked at, entered and left; and runs of jobs that failed, with their error. What failed changed nothing.';

-- step: again: columns of segment views
-- The same word means the same in each of them.
SELECT cdp_internal.declare_column(v.views::text[], v.name, v.meaning) FROM (VALUES
  ('{segment_member,customer_segment,segment_overview,segment_size_daily}', 'segment_id', 'Number of the segment.'),
  ('{segment_member,customer_segment,segment_overview,segment_size_daily}', 'segment', 'Name of the segment.'),
  ('{segment_member}', 'customer_id', 'A member: number of the customer (root) as of the last tick.'),
  ('{customer_segment}', 'customer_id', 'Number of the customer, the root of those who were merged.'),
  ('{customer_segment,segment_overview}', 'description', 'What the segment is for, as its maker wrote; the first 1,000 characters.'),
  ('{customer_segment,segment_overview}', 'purpose', 'Purpose for which its audience may be used.'),
  ('{customer_segment,segment_overview}', 'owner', 'Who answers for it; NULL: nobody is named.'),
  ('{customer_segment}', 'since', 'When the customer entered, by the last transition; NULL: longer ago than transitions are kept.'),
  ('{segment_overview}', 'sentence', 'Whom the rule means, in English; the first 4,000 characters. Other languages: cdp.segment_describe().'),
  ('{segment_overview}', 'channel', 'Channel on which its audience is spoken to; empty: none in particular.'),
  ('{segment_overview}', 'state', 'draft, active, paused or archived.'),
  ('{segment_overview}', 'version', 'Version of the rule that holds; evaluated_version that with which members were found.'),
  ('{segment_overview}', 'evaluated_version', 'Version of the rule with which members were found; NULL: not evaluated yet.'),
  ('{segment_overview}', 'created_at', 'When it was made.'),
  ('{segment_overview}', 'customers', 'Members as of the last run.'),
  ('{segment_overview}', 'share_of_everybody', 'customers by all who may be used for analytics, as of the last pass over everybody (0 to 1); NULL: there was none.'),
  ('{segment_overview}', 'change_7_days', 'customers less those at the end of the day 7 days before the last run; NULL: it was not evaluated then.'),
  ('{segment_overview}', 'change_30_days', 'customers less those at the end of the day 30 days before the last run; NULL: it was not evaluated then.'),
  ('{segment_overview}', 'entered_today', 'Customers who entered on the day of the last run (time zone of reports); NULL: no run of that day found a change.'),
  ('{segment_overview}', 'left_today', 'Customers who left on the day of the last run; NULL: no run of that day found a change.'),
  ('{segment_overview}', 'through_null', 'Members who are in only because a value is missing, at the last pass over everybody; NULL: not counted.'),
  ('{segment_overview}', 'as_of', 'Moment for which the members are right.'),
  ('{segment_overview}', 'changed_at', 'When the members last changed, or were found the same by a pass.'),
  ('{segment_overview}', 'last_run_at', 'Moment of the last run of segments; NULL: the next one looks at everybody.'),
  ('{segment_overview}', 'error', 'Why it can not be evaluated; NULL: it can.'),
  ('{segment_size_daily}', 'day', 'Day in the time zone of reports.'),
  ('{segment_size_daily}', 'time', 'Its first moment, for charts over time.'),
  ('{segment_size_daily}', 'customers', 'Members at the end of the day; of a day on which nothing changed, those of the day before.'),
  ('{segment_size_daily,segment_run}', 'entered', 'How many entered.'),
  ('{segment_size_daily,segment_run}', 'left', 'How many left.'),
  ('{segment_run}', 'run_id', 'Number of the run; NULL: a job that failed.'),
  ('{segment_run}', 'kind', 'tick: changed customers; full: everybody; audit: everybody, compared with ticks; manual: a segment was archived. Of a job that failed its name.'),
  ('{segment_run}', 'reason', 'Of a full pass: why not changed customers only. NULL for others, and where it was asked for.'),
  ('{segment_run}', 'as_of', 'Moment for which it evaluated; NULL: a job that failed.'),
  ('{segment_run}', 'started_at', 'When it began.'),
  ('{segment_run}', 'finished_at', 'When it ended; NULL: it was cut off.'),
  ('{segment_run}', 'milliseconds', 'How long it took by the clock, in milliseconds.'),
  ('{segment_run}', 'touched', 'Customers it looked at; NULL: all.'),
  ('{segment_run}', 'segments', 'Segments it evaluated.'),
  ('{segment_run}', 'defects', 'Wrong memberships that an audit found and mended.'),
  ('{segment_run}', 'error', 'Why a job failed; NULL: a run that was committed.')
) AS v (views, name, meaning);

-- step: again: grants of segment views
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.' || r.name)
FROM unnest(array['admin', 'analyst', 'marketer', 'privacy', 'connector']) AS t (template), unnest(array['segment_member', 'customer_segment', 'segment_overview', 'segment_size_daily']) AS r (name);
SELECT cdp_internal.declare_grant('finance', 'SELECT', 'TABLE', 'cdp_bi.' || r.name) FROM unnest(array['segment_overview', 'segment_size_daily']) AS r (name);
SELECT cdp_internal.declare_grant(t.template, 'SELECT', 'TABLE', 'cdp_bi.segment_run') FROM unnest(array['admin', 'privacy']) AS t (template);

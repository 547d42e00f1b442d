-- Recency, frequency and value: summaries of purchases over any table, scores and named groups.

CREATE OR REPLACE FUNCTION cdp.rfm_options(
  as_of timestamptz,
  holdout_until timestamptz DEFAULT NULL,
  unit text DEFAULT NULL,
  once_per text DEFAULT NULL,
  include_first boolean DEFAULT NULL,
  timezone text DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_rfm_options';
COMMENT ON FUNCTION cdp.rfm_options(timestamptz, timestamptz, text, text, boolean, text) IS
'Options of cdp.rfm_pass, checked, in canonical form; all but as_of may be left out or NULL. as_of: the end of what is known; purchases before it count. holdout_until: purchases of as_of <= time < holdout_until are counted apart, to see what a model foretold. unit: what recency and t_age are measured in: day (default), week (7 days), month, year (30.436875 and 365.2425 days, their mean lengths; whole calendar months or years when once_per is the same word). once_per: purchases of one day (default), week (from Monday), month or year are one purchase, whose place in time is the first day of that period; with none each row is a purchase and time is continuous, days of 24 hours. include_first: whether monetary counts the first purchase, too (default false, as the Gamma-Gamma model wants it). timezone: in which days begin, default UTC. Errors 22023 with the nearest name for what is unknown, for an as_of that is missing or infinite, and for a holdout before it.';

CREATE OR REPLACE FUNCTION cdp_internal.rfm_add(internal, anynonarray, timestamptz, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_rfm_add';
COMMENT ON FUNCTION cdp_internal.rfm_add(internal, anynonarray, timestamptz, numeric, jsonb) IS
'Adds one purchase to the state of cdp.rfm_pass(key, at, value, options).';

CREATE OR REPLACE FUNCTION cdp_internal.rfm_add(internal, anynonarray, date, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_rfm_add';
COMMENT ON FUNCTION cdp_internal.rfm_add(internal, anynonarray, date, numeric, jsonb) IS
'Adds one purchase to the state of cdp.rfm_pass(key, day, value, options).';

CREATE OR REPLACE FUNCTION cdp_internal.rfm_final(internal) RETURNS cdp.customer_summary[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_rfm_final';
COMMENT ON FUNCTION cdp_internal.rfm_final(internal) IS
'Sums up the purchases of each customer of a pass.';

CREATE OR REPLACE AGGREGATE cdp.rfm_pass(key anynonarray, at timestamptz, value numeric, options jsonb) (
  SFUNC = cdp_internal.rfm_add, STYPE = internal, FINALFUNC = cdp_internal.rfm_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.rfm_pass(anynonarray, timestamptz, numeric, jsonb) IS
'Summaries of all customers'' purchases, opened by unnest(): SELECT s.* FROM unnest((SELECT cdp.rfm_pass(customer, at, value, cdp.rfm_options(as_of => ''1997-10-01 00:00+00'', unit => ''week'')) FROM purchases)) s. key: bigint, integer, text or uuid; value: of a purchase in any one currency (NULL counts 0); a value below zero is a refund, which lowers the purchases of its period, or else the last one before it, and is left out when there is none. Frequency, recency and age are those of Fader and Hardie; a purchase that is refunded in full still counts as one. Rows without key, without a finite time, or too late are left out. Ordered by key (bigint), NULL over no rows. Does not depend on row order, workers or the session''s time zone. Memory up to cdp.value_memory, then temporary files. Errors: 22003 a value of 9.2e12 or more, 54000 summaries of more than 1 GB (some 7 million customers).';

CREATE OR REPLACE AGGREGATE cdp.rfm_pass(key anynonarray, day date, value numeric, options jsonb) (
  SFUNC = cdp_internal.rfm_add, STYPE = internal, FINALFUNC = cdp_internal.rfm_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.rfm_pass(anynonarray, date, numeric, jsonb) IS
'As cdp.rfm_pass(key, at, value, options) over purchases that have a day only: each counts from the beginning of the day in the time zone of the options.';

CREATE OR REPLACE FUNCTION cdp.rfm_groups() RETURNS TABLE (name text, r_from integer, r_to integer, f_from integer, f_to integer, description text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
  SELECT * FROM (VALUES
    ('champions', 5, 5, 4, 5, 'bought just now, and often'),
    ('loyal', 3, 4, 4, 5, 'buy often, not long ago'),
    ('potential loyalists', 4, 5, 2, 3, 'bought lately, and a few times'),
    ('new', 5, 5, 1, 1, 'bought just now, hardly ever before'),
    ('promising', 4, 4, 1, 1, 'bought lately, hardly ever before'),
    ('need attention', 3, 3, 3, 3, 'in the middle of both'),
    ('about to sleep', 3, 3, 1, 2, 'seldom, and it is a while ago'),
    ('cannot lose', 1, 2, 5, 5, 'bought most often, but long ago'),
    ('at risk', 1, 2, 3, 4, 'bought often, but long ago'),
    ('hibernating', 1, 2, 1, 2, 'seldom and long ago')
  ) AS v (name, r_from, r_to, f_from, f_to, description);
END;
COMMENT ON FUNCTION cdp.rfm_groups() IS
'The named groups of customers by scores 1 to 5 of recency and frequency (both ends included); each pair of scores is in exactly one. Value is left out: it follows frequency closely, and rfm_m says it by itself.';

CREATE OR REPLACE FUNCTION cdp.rfm_group(r integer, f integer) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
  SELECT g.name FROM cdp.rfm_groups() g WHERE rfm_group.r BETWEEN g.r_from AND g.r_to AND rfm_group.f BETWEEN g.f_from AND g.f_to;
END;
COMMENT ON FUNCTION cdp.rfm_group(integer, integer) IS
'The group of cdp.rfm_groups() for scores 1 to 5 of recency and frequency; NULL for others and for NULL.';

CREATE OR REPLACE FUNCTION cdp.rfm_scores(summaries cdp.customer_summary[], scores integer DEFAULT 5, method text DEFAULT 'quantile',
  ties text DEFAULT 'equal', monetary text DEFAULT 'total')
RETURNS TABLE (key text, r integer, f integer, m integer, score integer, rfm_group text, since_last double precision, purchases integer, value numeric)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_choice('method of scores', method, '{quantile,ntile}'), cdp_internal.require_choice('rule for ties', ties, '{equal,split}'),
    cdp_internal.require_choice('monetary value', rfm_scores.monetary, '{total,average}');
  IF scores IS NULL OR scores NOT BETWEEN 2 AND 9 THEN
    RAISE EXCEPTION 'scores from 1 to % cannot be', scores USING ERRCODE = 'invalid_parameter_value', HINT = 'Take 2 to 9; 5 is usual, and the named groups are for 5.';
  ELSIF method = 'quantile' AND ties = 'split' THEN
    RAISE EXCEPTION 'quantiles cannot split ties' USING ERRCODE = 'invalid_parameter_value', HINT = 'Use method => ''ntile'' for scores of equal size, which give equal values unequal scores.';
  END IF;
  RETURN QUERY
  WITH bad AS MATERIALIZED (
    -- the larger the worse
    SELECT s.key, s.t_age - s.recency AS r, -s.frequency::double precision AS f, -v.value AS m, s.frequency + 1 AS purchases, v.value
    FROM unnest(summaries) s
      CROSS JOIN LATERAL (SELECT CASE rfm_scores.monetary WHEN 'total' THEN s.total ELSE round(s.total / (s.frequency + 1), 6) END AS value) v
  ), cuts AS MATERIALIZED (
    SELECT percentile_cont(p.at) WITHIN GROUP (ORDER BY b.r) AS r, percentile_cont(p.at) WITHIN GROUP (ORDER BY b.f) AS f,
      percentile_cont(p.at) WITHIN GROUP (ORDER BY b.m::double precision) AS m
    FROM bad b, (SELECT array_agg(i::double precision / scores ORDER BY i) AS at FROM generate_series(1, scores - 1) i) p
    WHERE method = 'quantile' GROUP BY p.at
  ), scored AS (
    SELECT b.*, scores - width_bucket(b.r, c.r) AS rs, scores - width_bucket(b.f, c.f) AS fs, scores - width_bucket(b.m::double precision, c.m) AS ms
    FROM bad b, cuts c
    UNION ALL
    -- how many are worse, as a share of all
    SELECT b.*, 1 + ((rank() OVER (ORDER BY b.r DESC) - 1) * scores / count(*) OVER ())::integer,
      1 + ((rank() OVER (ORDER BY b.f DESC) - 1) * scores / count(*) OVER ())::integer,
      1 + ((rank() OVER (ORDER BY b.m DESC) - 1) * scores / count(*) OVER ())::integer
    FROM bad b WHERE method = 'ntile' AND ties = 'equal'
    UNION ALL
    SELECT b.*, ntile(scores) OVER (ORDER BY b.r DESC, b.key COLLATE "C"), ntile(scores) OVER (ORDER BY b.f DESC, b.key COLLATE "C"),
      ntile(scores) OVER (ORDER BY b.m DESC, b.key COLLATE "C")
    FROM bad b WHERE method = 'ntile' AND ties = 'split'
  )
  SELECT s.key, s.rs, s.fs, s.ms, s.rs * 100 + s.fs * 10 + s.ms, CASE WHEN scores = 5 THEN g.name END, s.r, s.purchases, s.value
  FROM scored s LEFT JOIN cdp.rfm_groups() g ON s.rs BETWEEN g.r_from AND g.r_to AND s.fs BETWEEN g.f_from AND g.f_to;
END
$$;
COMMENT ON FUNCTION cdp.rfm_scores(cdp.customer_summary[], integer, text, text, text) IS
'Scores 1 (worst) to `scores` (best) of recency (time since the last purchase, the shorter the better), frequency and value of each customer of a result of cdp.rfm_pass. method quantile (default): cut points are the quantiles of all customers, interpolated as percentile_cont does; a score is 1 and the number of cut points that the customer is better than, so a value on a cut point is below it. method ntile: 1 and the share of all who are worse, times `scores`, rounded down. In both equal values have equal scores, so scores need not be of equal size: where most bought once, most have frequency 1. ntile with ties => ''split'': groups of equal size, equal values parted by the key in C order. monetary: total value, or average a purchase. score is the three digits r f m; rfm_group: cdp.rfm_group(r, f) when scores is 5, else NULL; since_last in the unit of the summaries, purchases the first included. In no order. Errors 22023.';

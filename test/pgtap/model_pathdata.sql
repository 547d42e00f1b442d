-- PathData (10,000 paths, 12 channels): all published and exact answers, to 1e-9.
BEGIN;
SET LOCAL search_path = public, pg_temp;
SELECT plan(16);
\if :have_shared
CREATE TEMP TABLE path (path text, conversions bigint, value numeric, nulls bigint);
\copy path FROM PROGRAM 'cat "$CDP_SHARED/attribution/pathdata.csv"' CSV HEADER
CREATE TEMP TABLE expected (label text, conversions double precision, value double precision, removal_conversions double precision, removal_value double precision, k int);
ALTER TABLE expected ALTER k SET DEFAULT 1;
\copy expected (label, conversions, value, removal_conversions, removal_value) FROM PROGRAM 'cat "$CDP_SHARED/attribution/expected_markov1.csv"' CSV HEADER
ALTER TABLE expected ALTER k SET DEFAULT 2;
\copy expected (label, conversions, value, removal_conversions, removal_value) FROM PROGRAM 'cat "$CDP_SHARED/attribution/expected_markov2.csv"' CSV HEADER
ALTER TABLE expected ALTER k SET DEFAULT 3;
\copy expected (label, conversions, value, removal_conversions, removal_value) FROM PROGRAM 'cat "$CDP_SHARED/attribution/expected_markov3.csv"' CSV HEADER
CREATE TEMP TABLE expected_shapley (label text, conversions double precision);
\copy expected_shapley FROM PROGRAM 'cat "$CDP_SHARED/attribution/expected_shapley.csv"' CSV HEADER

CREATE TEMP TABLE kept AS SELECT cdp.attribution_path_pass(string_to_array(path, ' > '), conversions, value, nulls,
  cdp.attribution_options(models => '{markov,markov(2),markov(3),shapley,shapley_rate,one_removed}', paths => true)) AS a FROM path;
CREATE TEMP TABLE total AS SELECT t.*, CASE model WHEN 'markov' THEN 1 WHEN 'markov(2)' THEN 2 WHEN 'markov(3)' THEN 3 END AS k FROM kept, cdp.attribution_totals(a) t;

SELECT is((SELECT count(*) FROM expected e JOIN total t USING (k, label) WHERE k = o AND abs(t.conversions - e.conversions::numeric) <= 1e-9 * e.conversions), 12::bigint,
  format('order %s: conversions of all channels to 1e-9', o)) FROM generate_series(1, 3) o;
SELECT is((SELECT count(*) FROM expected e JOIN total t USING (k, label) WHERE k = o AND abs(t.value - e.value::numeric) <= 1e-9 * e.value), 12::bigint,
  format('order %s: value of all channels to 1e-9', o)) FROM generate_series(1, 3) o;
-- The files have twelve decimals, so half a unit of the last one is allowed for.
SELECT is((SELECT count(*) FROM expected e JOIN LATERAL (SELECT r.* FROM kept, cdp.attribution_removal(a, o) r) r USING (label) WHERE k = o
  AND abs(r.removal_conversions - e.removal_conversions) <= 1e-9 * e.removal_conversions + 5e-13
  AND abs(r.removal_value - e.removal_value) <= 1e-9 * e.removal_value + 5e-13), 12::bigint, format('order %s: removal effects of all channels', o)) FROM generate_series(1, 3) o;
SELECT is((SELECT count(*) FROM expected_shapley e JOIN total t USING (label) WHERE t.model = 'shapley' AND abs(t.conversions - e.conversions::numeric) <= 1e-9 * e.conversions), 12::bigint, 'Shapley of all channels to 1e-9');
SELECT results_eq($$ SELECT label, round(conversions, 1) FROM total WHERE model = 'one_removed' AND label IN ('alpha', 'iota') ORDER BY label $$,
  $$ VALUES ('alpha', 7204.7), ('iota', 4033.6) $$, 'one touch removed: as google/fractribution prints');
SELECT is((SELECT bool_and(abs(p - 19785 / 88387.0) < 1e-13 AND residual <= 1e-12) FROM kept, cdp_internal.attribution_markov_check(a)), true, 'P = 19785 / 88387, residuals at most 1e-12');
SELECT is((SELECT max(states) FROM kept, cdp_internal.attribution_markov_check(a)), 933::bigint, 'order 3 has 933 states');
SELECT results_eq($$ SELECT p.path, p.conversions FROM kept, cdp.attribution_paths(a, 3) p $$,
  $$ SELECT string_to_array(path, ' > '), sum(conversions)::bigint FROM path GROUP BY path ORDER BY 2 DESC, sum(value) DESC LIMIT 3 $$, 'top paths');
SELECT is((SELECT sum(p.conversions) FROM kept, cdp.attribution_paths(a, NULL) p), 19785::numeric, 'all paths hold all conversions');
SELECT is((SELECT round(max(abs(s.c - 19785)), 6) FROM (SELECT sum(conversions) AS c FROM total GROUP BY model) s), 0.000000, 'each model shares out 19,785 conversions');
\else
SELECT skip('../shared/data is absent', 16);
\endif
SELECT * FROM finish();
ROLLBACK;

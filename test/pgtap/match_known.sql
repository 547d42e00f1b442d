-- Scores, explanations and training on tiny tables whose answers are computed by hand, and the slow twins in SQL.
SELECT plan(36);

-- A model with round numbers: name 1/2 to 1/64 and 1/2 to 63/64; city with frequencies.
\set model '{"link_type": "dedupe_only", "unique_id_column_name": "id", "probability_two_random_records_match": 0.2, "em_convergence": 0.0001, "max_iterations": 25, "blocking_rules_to_generate_predictions": ["l.k = r.k"], "comparisons": [{"output_column_name": "name", "comparison_levels": [{"sql_condition": "name_l IS NULL OR name_r IS NULL", "is_null_level": true}, {"sql_condition": "name_l = name_r", "label_for_charts": "same", "m_probability": 0.5, "u_probability": 0.015625}, {"sql_condition": "levenshtein(name_l, name_r) <= 1", "m_probability": 0.25, "u_probability": 0.0625}, {"sql_condition": "ELSE", "label_for_charts": "other", "m_probability": 0.25, "u_probability": 0.5}]}, {"output_column_name": "city", "comparison_levels": [{"sql_condition": "city_l IS NULL OR city_r IS NULL", "is_null_level": true}, {"sql_condition": "city_l = city_r", "m_probability": 0.8, "u_probability": 0.4, "tf_adjustment_column": "city", "tf_adjustment_weight": 0.5, "tf_minimum_u_value": 0.1}, {"sql_condition": "ELSE", "m_probability": 0.2, "u_probability": 0.8}]}]}'
CREATE TABLE public.people (id text, k int, name text, city text);
INSERT INTO public.people VALUES ('a', 1, 'ann', 'rome'), ('b', 1, 'ann', 'rome'), ('c', 1, 'anne', 'oslo'), ('d', 1, NULL, 'rome'), ('e', 1, 'bob', NULL), ('f', NULL, 'ann', 'rome');
-- rome: 4 of 5 known; weight of the frequency: 0.5 * log2(0.4 / 0.8) = -0.5. Prior: log2(0.2 / 0.8) = -2.
CREATE TEMP VIEW pair AS SELECT id_l || id_r AS pair, match_weight, match_probability, gammas FROM cdp.match_pairs(:'model', 'people', least_probability => 0);
SELECT is((SELECT count(*) FROM pair), 10::bigint, 'all pairs of the block; no pair without a key');
SELECT is((SELECT match_weight FROM pair WHERE pair = 'ab'), 3.5::float8, 'same name and city: -2 + 5 + 1 - 0.5');
SELECT is((SELECT match_weight FROM pair WHERE pair = 'ac'), -2::float8, 'one edit, another city: -2 + 2 - 2');
SELECT is((SELECT match_weight FROM pair WHERE pair = 'ad'), -1.5::float8, 'a missing name weighs nothing: -2 + 0 + 1 - 0.5');
SELECT is((SELECT match_weight FROM pair WHERE pair = 'de'), -2::float8, 'nothing known: the prior');
SELECT is((SELECT match_weight FROM pair WHERE pair = 'ae'), -3::float8, 'another name: -2 - 1');
SELECT is((SELECT match_probability FROM pair WHERE pair = 'ac'), 0.2::float8, 'odds of 1 to 4');
SELECT is((SELECT gammas FROM pair WHERE pair = 'ad'), '{-1,1}'::int[], 'levels as Splink numbers them');
SELECT is((SELECT count(*) FROM cdp.match_pairs(:'model', 'people', least_probability => 0.5)), 1::bigint, 'the threshold is applied');
SELECT results_eq(format($$SELECT comparison, level, value, m, u, bayes_factor, frequency, round(frequency_factor::numeric, 9), cumulative_weight FROM cdp.match_explain(%L,
    '{"name": "ann", "city": "rome"}', '{"name": "ann", "city": "rome"}', 'people')$$, :'model'),
  $$VALUES ('(prior)', NULL, NULL::int, NULL::float8, NULL::float8, 0.25::float8, NULL::float8, 1::numeric, -2::float8), ('name', 'same', 2, 0.5, 0.015625, 32, NULL, 1, 3),
    ('city', 'city_l = city_r', 1, 0.8, 0.4, 2, 0.8, 0.707106781, 3.5)$$, 'the waterfall');
UPDATE public.people SET city = 'x' || id WHERE id IN ('a', 'd');
UPDATE public.people SET city = 'rare' WHERE id IN ('a', 'b');
INSERT INTO public.people SELECT 'z' || i, NULL, NULL, 'town' || i FROM generate_series(1, 100) i;
SELECT is((SELECT round(match_weight::numeric, 6) FROM pair WHERE pair = 'ab'), 5::numeric, 'a rare value gains at most what tf_minimum_u_value allows: 0.5 * log2(0.4 / 0.1)');
DELETE FROM public.people WHERE id LIKE 'z%';

-- One record against the table.
SELECT results_eq(format($$SELECT id, round(match_weight::numeric, 3) FROM cdp.match_record('{"k": 1, "name": "ann", "city": "rare"}', %L, 'people', 0.3)$$, :'model'),
  $$SELECT id, round((-2 + CASE WHEN p.name = 'ann' THEN 5 WHEN p.name = 'anne' THEN 2 ELSE 0 END + CASE WHEN city = 'rare' THEN 1 + 0.5 * log(2, 0.4 * 5 / 2.0) ELSE -2 END)::numeric, 3)
    FROM public.people p WHERE k = 1 AND name = 'ann' ORDER BY id$$, 'match_record finds what the rule pairs, with the table''s frequencies');
SELECT is((SELECT count(*) FROM cdp.match_record('{"id": "a", "k": 1, "name": "ann"}', :'model', 'people', 0) r WHERE r.id = 'a'), 0::bigint, 'but not the record itself');
SELECT is((SELECT count(*) FROM cdp.match_record('{"name": "ann"}', :'model', 'people', 0)), 0::bigint, 'without a key no rule applies');
SELECT throws_ok(format($$SELECT * FROM cdp.match_record('[1]', %L, 'people')$$, :'model'), '22023', NULL, 'no object');

-- Bad input.
SELECT throws_ok(format($$SELECT * FROM cdp.match_pairs(%L, 'people')$$, replace(:'model', 'city', 'town')), '42703', NULL, 'a column that is not there');
SELECT throws_ok(format($$SELECT * FROM cdp.match_pairs(%L, 'people')$$, replace(:'model', '"ELSE"', '"pg_sleep(9) IS NULL"')), '0A000', NULL, 'a condition that is not known');
SELECT throws_like(format($$SELECT cdp.match_import(%L)$$, replace(:'model', 'levenshtein(name_l', 'pg_read_file(name_l')), '%none of the known forms%', 'says so');
SELECT throws_ok(format($$SELECT cdp.match_import(%L)$$, replace(:'model', '0.25', '25')), '22023', NULL, 'a probability above 1');
INSERT INTO public.people VALUES ('a', 2, 'x', 'y');
SELECT throws_ok(format($$SELECT * FROM cdp.match_pairs(%L, 'people')$$, :'model'), '23505', NULL, 'an id twice');
DELETE FROM public.people WHERE k = 2;
SELECT throws_ok(format($$SELECT p.* FROM (SELECT cdp_internal.match_load(%L, NULL, 'people', NULL) AS r) x, cdp_internal.match_pairs(overlay(x.r PLACING '\xffffff7f'::bytea FROM length(x.r) - 7), %1$L, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL) p$$, :'model'), '22P03', NULL, 'damaged records');

-- Splink's settings survive the way in and out.
SELECT is(cdp.match_import(cdp.match_export(:'model')), cdp.match_import(:'model'), 'export and import give the same model');
SELECT is(cdp.match_export(:'model') #>> '{blocking_rules_to_generate_predictions,0,sql_dialect}', 'duckdb', 'export names the dialect');

\set splink '{"link_type": "dedupe_only", "sql_dialect": "spark", "linker_uid": "x1", "retain_matching_columns": true, "em_convergence": 0.0001, "unique_id_column_name": "id", "probability_two_random_records_match": 0.01, "blocking_rules_to_generate_predictions": [{"blocking_rule": "(l.`k` = r.`k`) AND (SUBSTR(l.name, 1, 1) = SUBSTR(r.name, 1, 1))", "sql_dialect": "spark"}], "comparisons": [{"output_column_name": "d", "comparison_description": "Custom", "comparison_levels": [{"sql_condition": "CAST(`d_l` AS STRING) IS NULL OR CAST(`d_r` AS STRING) IS NULL", "label_for_charts": "d is NULL", "fix_m_probability": false, "is_null_level": true}, {"sql_condition": "cast(acos(case when (sin( radians(`lat_l`) ) * sin( radians(`lat_r`) ) + cos( radians(`lat_l`) ) * cos( radians(`lat_r`) ) * cos( radians(`long_r` - `long_l`) )) > 1 then 1 when (sin( radians(`lat_l`) ) * sin( radians(`lat_r`) ) + cos( radians(`lat_l`) ) * cos( radians(`lat_r`) ) * cos( radians(`long_r` - `long_l`) )) < -1 then -1 else (sin( radians(`lat_l`) ) * sin( radians(`lat_r`) ) + cos( radians(`lat_l`) ) * cos( radians(`lat_r`) ) * cos( radians(`long_r` - `long_l`) )) end) * 6371 as float) <= 10", "label_for_charts": "near", "m_probability": 0.9, "u_probability": "level not observed in dataset"}, {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.9}]}]}'
SELECT is(cdp.match_import(:'splink') #>> '{comparisons,0,comparison_levels,1,sql_condition}', 'distance_km("lat_l", "long_l", "lat_r", "long_r") <= 10', 'Splink''s formula of distance is read');
SELECT is(cdp.match_import(cdp.match_export(cdp.match_import(:'splink'))), cdp.match_import(:'splink'), 'and written');
SELECT is(cdp.match_import(:'splink') ->> 'linker_uid', 'x1', 'what matching does not know stays');
CREATE TABLE public.place (id text, k int, name text, d date, lat float8, long float8);
INSERT INTO public.place VALUES ('paris', 1, 'p', '2026-01-01', 48.8566, 2.3522), ('porto', 1, 'p', '2026-01-02', 41.1579, -8.6291), ('paris 2', 1, 'p', '2026-01-02', 48.86, 2.36);
SELECT results_eq(format($$SELECT id_l, id_r, gammas FROM cdp.match_pairs(%L, 'place', least_probability => 0) ORDER BY 1, 2$$, :'splink'),
  $$VALUES ('paris', 'paris 2', '{1}'::int[]), ('paris', 'porto', '{0}'), ('paris 2', 'porto', '{0}')$$, 'and means kilometres');
SELECT throws_ok(format('SELECT cdp.match_import(%L)', replace(:'splink', 'else (sin( radians(`lat_l`)', 'else (sin( radians(`long_l`)')), '0A000', NULL, 'another formula is refused');

-- EM: the twin in SQL.
CREATE FUNCTION public.em(counts jsonb, share float8, steps int) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
  m float8[] := '{0.05,0.95,0.025,0.025,0.95}'; -- first comparison: 2 levels, second: 3
  u float8[] := '{0.9,0.1,0.7,0.25,0.05}';
  s float8 := share;
  r record;
BEGIN
  FOR i IN 1 .. steps LOOP
    CREATE TEMP TABLE e AS
    SELECT x.a, x.b, x.n, x.n * o.odds / (1 + o.odds) AS matches
    FROM jsonb_to_recordset(counts) AS x (a int, b int, n float8),
      LATERAL (SELECT s / (1 - s) * CASE WHEN a < 0 THEN 1 ELSE m[1 + a] / u[1 + a] END * CASE WHEN b < 0 THEN 1 ELSE m[3 + b] / u[3 + b] END AS odds) o;
    SELECT ARRAY[sum(matches) FILTER (WHERE a = 0) / sum(matches) FILTER (WHERE a >= 0), sum(matches) FILTER (WHERE a = 1) / sum(matches) FILTER (WHERE a >= 0),
      sum(matches) FILTER (WHERE b = 0) / sum(matches) FILTER (WHERE b >= 0), sum(matches) FILTER (WHERE b = 1) / sum(matches) FILTER (WHERE b >= 0),
      sum(matches) FILTER (WHERE b = 2) / sum(matches) FILTER (WHERE b >= 0)] AS m, sum(matches) / sum(n) AS s INTO r FROM e;
    m := r.m; s := r.s;
    DROP TABLE e;
  END LOOP;
  RETURN m || s;
END $$;
\set em_model '{"comparisons": [{"comparison_levels": [{"sql_condition": "a_l IS NULL", "is_null_level": true}, {"sql_condition": "a_l = a_r", "u_probability": 0.1}, {"sql_condition": "ELSE", "u_probability": 0.9}]}, {"comparison_levels": [{"sql_condition": "b_l IS NULL", "is_null_level": true}, {"sql_condition": "b_l = b_r", "u_probability": 0.05}, {"sql_condition": "levenshtein(b_l, b_r) <= 1", "u_probability": 0.25}, {"sql_condition": "ELSE", "u_probability": 0.7}]}]}'
SELECT setseed(0.7);
CREATE TABLE public.pattern AS SELECT a, b, (floor(random() * 1000) + CASE WHEN a = 1 AND b = 2 THEN 800 ELSE 0 END)::bigint AS n FROM generate_series(-1, 1) a, generate_series(-1, 2) b;
SELECT jsonb_agg(to_jsonb(p)) AS counts, array_agg((a + 1) + (b + 1) * 3 ORDER BY random()) AS x FROM public.pattern p \gset
CREATE FUNCTION public.em_ours(model jsonb, steps int, convergence float8) RETURNS float8[] LANGUAGE sql AS $$
  SELECT array_agg(e.m ORDER BY e.comparison, e.value) || min(e.share_found) FROM (SELECT array_agg(((a + 1) + (b + 1) * 3)::bigint ORDER BY o) AS p, array_agg(n ORDER BY o) AS c FROM (SELECT *, random() AS o FROM public.pattern) x) s,
    cdp_internal.match_em(model, s.p, s.c, '{true,true}', 0.3, convergence, steps) e $$;
SELECT ok((SELECT bool_and(abs(x - y) < 1e-12) FROM unnest(public.em(:'counts', 0.3, 1), public.em_ours(:'em_model', 1, 1e-9)) AS t (x, y)), 'one step of EM equals its twin in SQL');
SELECT ok((SELECT bool_and(abs(x - y) < 1e-10) FROM unnest(public.em(:'counts', 0.3, 17), public.em_ours(:'em_model', 17, 1e-15)) AS t (x, y)), 'seventeen steps too');
SELECT is((SELECT max(steps) FROM cdp_internal.match_em(:'em_model', '{0}', '{0}', '{true,true}', 0.3, 0.1, 9)), 1, 'no pairs: it ends at once');
SELECT cmp_ok((SELECT max(steps) FROM public.pattern p, cdp_internal.match_em(:'em_model', ARRAY(SELECT ((a + 1) + (b + 1) * 3)::bigint FROM public.pattern ORDER BY a, b), ARRAY(SELECT n FROM public.pattern ORDER BY a, b), '{true,true}', 0.3, 0.01, 1000)), '<', 100, 'convergence ends it');
SELECT is((SELECT count(*) FROM cdp_internal.match_em(:'em_model', '{0,5}', '{3,4}', '{false,true}', 0.3, 0.01, 5)), 3::bigint, 'a comparison that is left out gets no m');

-- u from all pairs: names a a b b: 2 of 6 pairs agree, and half a pair more for each level.
CREATE TABLE public.four (id int, name text);
INSERT INTO public.four VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'b'), (5, NULL);
SELECT is(cdp_internal.match_estimate_u(m.model, cdp_internal.match_load(m.model, NULL, 'four', NULL), 1000, 1), '{"0": {"0": 0.6428571428571429, "1": 0.35714285714285715}}', 'u of all pairs')
FROM (SELECT cdp.match_model(ARRAY[cdp.match_comparison('exact', 'name')], ARRAY['l.name = r.name']) AS model) m;

-- Whatever the order of rows: the same model to the last digit.
SELECT setseed(0.1);
CREATE TABLE public.many AS SELECT i AS id, 'n' || floor(random() * 40) AS name, 'c' || floor(random() * 8) AS city, (date '1990-01-01' + floor(random() * 60)::int)::text AS dob FROM generate_series(1, 600) i;
SELECT cdp.match_model(ARRAY[cdp.match_comparison('name', 'name'), cdp.match_comparison('exact', 'city'), cdp.match_comparison('date_of_birth', 'dob')], ARRAY[cdp.match_block('name'), cdp.match_block('dob', 'city')]) AS many \gset
CREATE TABLE public.yield AS SELECT * FROM public.many ORDER BY random();
SELECT is(cdp.match_train(:'many', 'yield', random_pairs => 5000), cdp.match_train(:'many', 'many', random_pairs => 5000), 'training does not depend on the order of rows');
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM public.yield;
SELECT is((SELECT md5(string_agg(p::text, ',' ORDER BY p::text)) FROM cdp.match_pairs(:'many', rows => 'c', least_probability => 0) p),
  (SELECT md5(string_agg(p::text, ',' ORDER BY p::text)) FROM cdp.match_pairs(:'many', 'many', least_probability => 0) p), 'a cursor gives the same pairs as a table');
COMMIT;
SELECT * FROM finish();

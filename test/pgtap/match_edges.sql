-- Edges of matching: conditions of another meaning, cursors, explanations without a table, many numbers, memory.
SELECT plan(34);

-- A signed difference is another condition than an absolute one: 30 days after is not 300 days before.
SELECT throws_ok($$SELECT cdp_internal.match_condition('date_diff(''day'', dob_l, dob_r) <= 30', 'x', false)$$, '0A000',
  'a condition of the match model has none of the known forms', 'a difference of dates without abs is refused');
SELECT is(cdp_internal.match_condition('abs(date_diff(''day'', dob_l, dob_r)) <= 30', 'x', false),
  'abs(date_diff(''day'', try_strptime("dob_l", ''%Y-%m-%d''), try_strptime("dob_r", ''%Y-%m-%d''))) <= 30', 'with abs it is read');

-- What an error quotes ends with a whole character.
CREATE FUNCTION pg_temp.detail_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE query;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN detail;
END $$;
SELECT is(pg_temp.detail_of(format('SELECT cdp_internal.match_condition(%L, ''x'', false)', 'a' || repeat('é', 30) || ' = 1')),
  'x, byte 1: neither a column of l or r (l.name, name_l) nor a known word: "a' || repeat('é', 19) || '".', 'a long name is cut between characters');

-- Arrays are compared whether they come from a column, from a cursor or as JSON.
CREATE TABLE public.tagged AS SELECT * FROM (VALUES ('1', '{a,"b c","d\"e"}'::text[], 'x'), ('2', '{"b c","d\"e"}', 'x'), ('3', '{z}', 'x'), ('4', '{NULL,a,"null"}', 'x'), ('5', '{NULL}', 'x')) v (id, tags, k);
SELECT cdp.match_model(ARRAY[cdp.match_comparison('array', 'tags')], ARRAY['l.k = r.k'], 'id') AS model \gset
CREATE TABLE public.by_table AS SELECT id_l, id_r, gammas FROM cdp.match_pairs(:'model', 'tagged', least_probability => 0);
SELECT results_eq('SELECT * FROM by_table ORDER BY 1, 2', $$VALUES ('1', '2', '{2}'::integer[]), ('1', '3', '{0}'), ('1', '4', '{1}'), ('1', '5', '{0}'), ('2', '3', '{0}'), ('2', '4', '{0}'),
  ('2', '5', '{0}'), ('3', '4', '{0}'), ('3', '5', '{0}'), ('4', '5', '{0}')$$, 'arrays of a table: elements in common, NULLs count for nothing');
DECLARE tags CURSOR WITH HOLD FOR SELECT * FROM tagged;
SELECT results_eq(format($$SELECT id_l, id_r, gammas FROM cdp.match_pairs(%L, rows => 'tags', least_probability => 0) ORDER BY 1, 2$$, :'model'), 'SELECT * FROM by_table ORDER BY 1, 2',
  'the same through a cursor');
CLOSE tags;

CREATE TABLE public.bounded AS SELECT * FROM (VALUES ('1', '[0:1]={a,"}b"}'::text[], 1), ('2', '{a,"}b"}', 1)) v (id, tags, k);
SELECT is((SELECT gammas FROM cdp.match_pairs(cdp.match_model(ARRAY[cdp.match_comparison('array', 'tags')], ARRAY['l.k = r.k'], 'id'), 'bounded', least_probability => 0)), '{2}'::integer[],
  'an array that begins at 0');

-- A cursor must bring what the model looks at, as a table must.
DECLARE tags CURSOR WITH HOLD FOR SELECT id, k FROM tagged;
SELECT throws_ok(format($$SELECT * FROM cdp.match_pairs(%L, rows => 'tags')$$, :'model'), '42703', 'the model uses columns that the cursor does not have', 'a cursor without a column is refused');
CLOSE tags;
DECLARE tags CURSOR WITH HOLD FOR SELECT id, k, NULL::text[] AS tags FROM tagged;
SELECT is((SELECT count(*) FROM cdp.match_pairs(:'model', rows => 'tags', least_probability => 0) WHERE gammas = '{-1}'), 10::bigint, 'a column of NULLs is there');
CLOSE tags;
DECLARE tags CURSOR WITH HOLD FOR SELECT * FROM tagged WHERE false;
SELECT throws_ok(format($$SELECT * FROM cdp.match_pairs(%L, rows => 'tags')$$, :'model'), 'P0002', 'there are no rows to match', 'nor has an empty cursor rows');
CLOSE tags;

-- Two records alone can be explained, without any table.
SELECT results_eq(format($$SELECT comparison, value_l, value_r, level, frequency_factor FROM cdp.match_explain(%L, '{"tags": ["a", "b c"]}', '{"tags": ["b c"]}')$$, :'model'),
  $$VALUES ('(prior)', NULL::text, NULL, NULL::text, 1::float8), ('tags', '["a", "b c"]', '["b c"]', '1 in common', 1)$$, 'two records are explained without a table');
SELECT throws_ok($$SELECT * FROM cdp.match_explain(NULL, '{}', '{}')$$, '22023', NULL, 'no model explains nothing');

-- Thresholds that are none, or no numbers.
SELECT ok(jsonb_array_length(cdp.match_comparison(k, 'x', '{}') -> 'comparison_levels') >= n, k || ' without thresholds is a comparison')
FROM (VALUES ('date_of_birth', 4), ('number', 3), ('levenshtein', 3)) v (k, n);
SELECT throws_ok($$SELECT cdp.match_comparison('number', 'x', '{1,NULL}')$$, '22023', NULL, 'a NULL threshold is refused');
SELECT throws_ok($$SELECT cdp.match_comparison('array', 'x', '{}')$$, '22023', NULL, 'a kind that is nothing but thresholds needs one');

-- Many different numbers: each was once read to the end of all. The answer is compared; time is not, which no test may measure.
CREATE TABLE public.numbered AS SELECT i::text AS id, (i::bigint * 7919 % 1000003)::integer AS n, (i / 2)::text AS k FROM generate_series(1, 300000) i;
SELECT is((SELECT count(*) FROM cdp.match_pairs(cdp.match_model(ARRAY[cdp.match_comparison('number', 'n', '{1,8000}')], ARRAY['l.k = r.k'], 'id'), 'numbered', least_probability => 0)
  WHERE gammas = '{1}'), (SELECT count(*) FROM numbered a JOIN numbered b ON a.k = b.k AND a.id COLLATE "C" < b.id COLLATE "C" WHERE abs(a.n - b.n) BETWEEN 2 AND 8000), 'numbers are compared');

-- Nothing stays in memory when a query of the engine has ended.
CREATE TABLE public.small AS SELECT i::text AS id, (i % 7)::text AS a, (i % 3)::text AS b FROM generate_series(1, 60) i;
SELECT cdp.match_model(ARRAY[cdp.match_comparison('exact', 'a'), cdp.match_comparison('exact', 'b')], ARRAY['l.a = r.a', 'l.b = r.b'], 'id') AS small_model \gset
SELECT count((cdp.match_train(:'small_model', 'small')).trained) AS trained \gset
SELECT is((SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'match%'), 0::bigint, 'training leaves nothing in memory');
SELECT is(:trained, 1, 'and trains');

-- Forged bytes never become a text that is none: the last id, one Chinese letter, loses its end.
CREATE TABLE public.forged AS SELECT '李'::text AS id, 'x'::text AS k;
SELECT cdp.match_model(ARRAY[cdp.match_comparison('exact', 'k')], ARRAY['l.k = r.k'], 'id') AS forged_model \gset
SELECT set_byte(b, position('\xe69d8e'::bytea IN b) + 1, 65) AS forged FROM (SELECT cdp_internal.match_load(:'forged_model', NULL, 'forged', NULL) AS b) s \gset
SELECT throws_ok(format('SELECT * FROM cdp_internal.match_records_info(%L, %L)', :'forged', :'forged_model'), '22P03', 'invalid match records', 'invalid text in packed records is refused');
-- Nor do counts make a frequency that no value can have: that of 'x' is byte 40.
SELECT is((SELECT get_byte(cdp_internal.match_load(:'forged_model', NULL, 'forged', NULL), 40)), 1, 'x is in one record');
SELECT throws_ok(format('SELECT * FROM cdp_internal.match_records_info(set_byte(cdp_internal.match_load(%1$L, NULL, ''forged'', NULL), 40, %2$s), %1$L)', :'forged_model', n), '22P03', 'invalid match records', format('in %s of one is refused', n))
FROM unnest('{0,2}'::integer[]) n;

-- What the session writes numbers with does not matter.
CREATE TABLE public.measured AS SELECT * FROM (VALUES ('1', 0.3::float8, 1), ('2', 0.1::float8 + 0.2::float8, 1)) v (id, x, k);
SELECT cdp.match_model(ARRAY[cdp.match_comparison('exact', 'x')], ARRAY['l.k = r.k'], 'id') AS measured_model \gset
SET extra_float_digits = 0;
SELECT is((SELECT gammas FROM cdp.match_pairs(:'measured_model', 'measured', least_probability => 0)), '{0}'::integer[], 'numbers are read to their last digit');
RESET extra_float_digits;

-- One record finds the pairs that it has when the whole table is scored, whatever side it stands on.
CREATE TABLE public.sided AS SELECT chr(97 + i) || repeat('x', 7) AS "Id", (ARRAY['ann', 'bob', 'cy', NULL])[1 + i * 7 % 4] AS a, (ARRAY['ann', 'bob', 'cy'])[1 + i * 5 % 3] AS b,
  (ARRAY['p', 'q'])[1 + i / 2 % 2] AS s FROM generate_series(0, 23) i;
CREATE FUNCTION pg_temp.differing(link text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  model jsonb := cdp.match_model(ARRAY[cdp.match_comparison('jaro_winkler', 'Id'), cdp.match_comparison('exact', 'a')], ARRAY['l.a = r.b', 'l.a = r.a AND l.b = r.b'], 'Id', link, 's');
  pairs bigint;
  wrong bigint;
BEGIN
  CREATE TEMP TABLE pair ON COMMIT DROP AS SELECT * FROM cdp.match_pairs(model, 'sided', least_probability => 0);
  SELECT count(x.gammas), count(*) FILTER (WHERE x.gammas IS NULL OR y.gammas IS NULL) INTO pairs, wrong
  FROM (SELECT id_l AS own, source_r AS source, id_r AS id, match_key, gammas FROM pair UNION ALL SELECT id_r, source_l, id_l, match_key, gammas FROM pair) x
    FULL JOIN (SELECT t."Id" AS own, f.source_dataset AS source, f.id, f.match_key, f.gammas FROM sided t, cdp.match_record(to_jsonb(t), model, 'sided', 0) f) y
      ON (x.own, x.id, x.match_key, x.gammas) = (y.own, y.id, y.match_key, y.gammas) AND x.source IS NOT DISTINCT FROM y.source;
  DROP TABLE pair;
  RETURN (pairs > 20)::text || ' ' || wrong;
END $$;
SELECT is(pg_temp.differing(l), 'true 0', l || ': one record finds the pairs that the whole table has') FROM unnest('{dedupe_only,link_only,link_and_dedupe}'::text[]) l;

-- Training by hand: 2 pairs of 45 that the rule makes, which are half of the true ones; u without the matches among the random pairs.
CREATE TABLE public.ten AS SELECT i::text AS id, CASE WHEN i < 4 THEN (i / 2)::text ELSE 'alone' || i END AS a, (i % 4)::text AS b FROM generate_series(0, 9) i;
SELECT is(round(((cdp.match_train(cdp.match_model(ARRAY[cdp.match_comparison('exact', 'b')], ARRAY['l.a = r.a'], 'id'), 'ten', deterministic => ARRAY['l.a = r.a'], recall => 0.5)).trained
  ->> 'probability_two_random_records_match')::numeric, 12), round(2 / 0.5 / 45, 12), 'the prior: pairs of the deterministic rules over their recall and all pairs');
-- Rules that make nothing tell nothing; rules that make more than their recall allows are refused, as Splink does.
CREATE FUNCTION pg_temp.prior(rule text, recall double precision, wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  prior text;
BEGIN
  SET LOCAL client_min_messages = error;
  SELECT (cdp.match_train(cdp.match_model(ARRAY[cdp.match_comparison('exact', 'b')], ARRAY['l.a = r.a'], 'id') || wanted::jsonb, 'ten', deterministic => ARRAY[rule], recall => recall)).trained
    ->> 'probability_two_random_records_match' INTO prior;
  RESET client_min_messages;
  RETURN prior;
END $$;
SELECT is(pg_temp.prior('l.a = r.b and l.b = r.a', 0.5, '{"probability_two_random_records_match": 0.02}'), '0.02', 'rules without a pair leave the prior of the model');
SELECT throws_like($$SELECT pg_temp.prior('l.b = r.b', 0.1, '{}')$$, 'the deterministic rules make more pairs than their recall allows', 'more pairs than the recall allows');
SELECT is(round(pg_temp.prior('l.b = r.b', 8 / 45.0, '{}')::numeric, 6), 0.999999, 'just as many: all pairs are matches, but no weight is infinite');
SELECT ok((cdp.match_train(cdp.match_model(ARRAY[cdp.match_comparison('exact', 'b')], ARRAY['l.a = r.a'], 'id') || '{"em_convergence": null}', 'ten')).trained
  #> '{comparisons,0,comparison_levels,1}' ? 'm_probability', 'a null setting is the default, and m is trained');
SELECT jsonb_set(jsonb_set(jsonb_set(cdp.match_model(ARRAY[cdp.match_comparison('exact', 'b')], ARRAY['l.a = r.a'], 'id', prior => 0.2),
  '{comparisons,0,comparison_levels,1,m_probability}', '0.9'), '{comparisons,0,comparison_levels,2,m_probability}', '0.1'), '{comparisons,0,comparison_levels,1,u_probability}', '0.5') AS half \gset
SELECT is((SELECT array_agg(round((c ->> k)::numeric, 12) ORDER BY k) FROM (SELECT cdp_internal.match_correct_u(:'half', '{"0": {"1": 0.5, "0": 0.5}}') -> '0' AS c) s, unnest('{0,1}'::text[]) k),
  '{0.6,0.4}'::numeric[], 'u: (0.5 - 0.2 * 0.9) / 0.8 = 0.4');
SELECT is((SELECT array_agg(round((c ->> k)::numeric, 12) ORDER BY k) FROM (SELECT cdp_internal.match_correct_u(:'half', '{"0": {"1": 0.1, "0": 0.9}}') -> '0' AS c) s, unnest('{0,1}'::text[]) k),
  ARRAY[round(0.88 / 0.89, 12), round(0.01 / 0.89, 12)], 'u: more matches than were seen leave a tenth');
SELECT * FROM finish();

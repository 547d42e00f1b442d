-- Fits and expectations on bad and extreme input: an error that says what is wrong, never a crash, NaN or endless search.
BEGIN;
SELECT plan(68);
CREATE SCHEMA t;
CREATE FUNCTION t.u(i int, j int) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN (('x' || substr(md5(i || '/' || j), 1, 12))::bit(48)::bigint + 0.5) / 281474976710656;

-- Histories that cannot be.
SELECT throws_ok(format('SELECT cdp.%s(%s) FROM generate_series(1, 3)', f, h), '22023', NULL, f || '(' || h || ')')
  FROM unnest('{fit_bgnbd,fit_mbgnbd,fit_paretonbd,fit_bgbb}'::text[]) f,
       unnest('{"-1, 0, 3","1.5, 1, 3","''NaN'', 0, 3","''Infinity'', 1, 3","1, ''NaN'', 3","1, 5, 3","1, -1, 3","0, 1, 3","1, 1, ''Infinity''"}'::text[]) h;
SELECT throws_ok(format('SELECT cdp.fit_bgbb(%s) FROM generate_series(1, 3)', h), '22023', NULL, 'BG/BB counts periods: ' || h) FROM unnest('{"3, 2, 4","1, 1.5, 4","1, 1, 4.5","1, 0, 3"}'::text[]) h;
SELECT throws_ok(format('SELECT cdp.fit_gammagamma(%s) FROM generate_series(1, 3)', h), '22023', NULL, 'Gamma-Gamma: ' || h) FROM unnest('{"1, 0","1, -5","1, ''NaN''","-1, 3","1, ''Infinity''"}'::text[]) h;
SELECT throws_ok('SELECT cdp.fit_bgnbd(x, x, 5, -1, NULL) FROM generate_series(0, 3) x', '22023', 'a weight of -1 cannot be', 'a negative weight');
SELECT throws_ok(format('SELECT cdp.fit_bgnbd(x, x, 5, 1, %L) FROM generate_series(0, 3) x', o), '22023', NULL, 'options ' || o)
  FROM unnest(ARRAY['{"penaliser": 1}', '[]', '{"tolerance": "x"}', '{"max_iterations": 0}', '3']) o;

-- Data that tell nothing.
SELECT throws_ok('SELECT cdp.fit_bgnbd(0, 0, x) FROM generate_series(1, 5) x', '22000', 'BG/NBD cannot be fitted: nobody bought again', 'nobody bought again');
SELECT throws_ok('SELECT cdp.fit_paretonbd(x, 0, 0) FROM generate_series(0, 5) x', '22000', 'Pareto/NBD cannot be fitted: no time has passed', 'no time');
SELECT throws_ok('SELECT cdp.fit_mbgnbd(2, 3, 5) FROM generate_series(0, 5) x', '22000', 'MBG/NBD cannot be fitted to one history', 'all alike');
SELECT is((SELECT cdp.fit_bgnbd(NULL, 1, 2) FROM generate_series(1, 3)), NULL, 'NULLs are no customers');

-- Data that let a parameter run away end at a bound, and say so.
CREATE TABLE t.extreme AS
SELECT 'all come back' AS what, x::float8, x * 1.0::float8 AS tx, x + 0.5::float8 AS age FROM generate_series(1, 20) x
UNION ALL SELECT 'two customers', v[1], v[2], v[3] FROM unnest(ARRAY['{0,0,5}', '{3,4,5}']::text[]) s, CAST(s AS float8[]) v
UNION ALL SELECT 'huge', x * 1e8, x * 1e14, 9e14 FROM generate_series(0, 8) x
UNION ALL SELECT 'tiny', x % 3, (x % 3) * 1e-9, 1e-8 FROM generate_series(0, 8) x
UNION ALL SELECT 'one of a thousand', (x = 7)::int, (x = 7)::int, 10 FROM generate_series(1, 1000) x
UNION ALL SELECT 'up to now', x % 4, CASE WHEN x % 4 > 0 THEN x + 3 ELSE 0 END, x + 3 FROM generate_series(1, 50) x;
CREATE TABLE t.fitted AS
SELECT what, f.fit FROM (SELECT what, cdp.fit_bgnbd(x, tx, age) AS a, cdp.fit_mbgnbd(x, tx, age) AS b, cdp.fit_paretonbd(x, tx, age) AS c FROM t.extreme GROUP BY what) g,
  LATERAL (VALUES (a), (b), (c)) f(fit);
SELECT is((SELECT string_agg(what || ': ' || fit, E'\n') FROM t.fitted
            WHERE NOT (fit ->> 'log_likelihood')::float8 BETWEEN -1e300 AND 1e300 OR (fit ->> 'evaluations')::int > 50000
               OR NOT ((fit ->> 'converged')::boolean OR (fit ->> 'iterations')::int > 100)), NULL, 'extreme data: finite likelihood, an end, and a word on whether it converged');
SELECT ok((SELECT count(*) FROM t.fitted WHERE what = 'all come back' AND fit -> 'at_bound' <> '[]') >= 2, 'nobody drops out: parameters at a bound are named');
SELECT is((SELECT string_agg(q::text, E'\n') FROM (
  SELECT what, fit, cdp.probability_alive(fit, x, tx, age) AS alive, cdp.expected_purchases(fit, age, x, tx, age) AS more, cdp.purchase_probability(fit, 1, age, x, tx, age) AS one
    FROM t.fitted JOIN t.extreme USING (what)) q WHERE NOT (alive BETWEEN 0 AND 1 AND more BETWEEN 0 AND 1e300 AND one BETWEEN 0 AND 1.000001)), NULL, 'what they expect is finite, too');
SELECT is((SELECT cdp.fit_bgnbd(x, tx, age, 1, '{"max_iterations": 3}') ->> 'converged' FROM t.extreme WHERE what = 'up to now'), 'false', 'a search that is cut short says so');
SELECT ok((SELECT (cdp.fit_bgnbd(x, tx, age, 1, '{"penalizer": 0.1}') ->> 'b')::float8 < 3 FROM t.extreme WHERE what = 'all come back'), 'a penalizer keeps parameters small');
SELECT is((SELECT (cdp.fit_bgnbd(x, tx, age, w, NULL) - '{iterations,evaluations,gradient}'::text[])::text FROM (VALUES (0, 0, 5, 3), (1, 2, 5, 2), (4, 5, 6, 1), (2, 2, 3, 0)) v(x, tx, age, w)),
  (SELECT (cdp.fit_bgnbd(x, tx, age) - '{iterations,evaluations,gradient}'::text[])::text FROM (VALUES (0, 0, 5), (1, 2, 5), (0, 0, 5), (4, 5, 6), (1, 2, 5), (0, 0, 5)) v(x, tx, age)), 'weights are so many customers');

-- Fits and horizons that cannot be.
CREATE FUNCTION t.state(command text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN 'no error'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT is((SELECT string_agg(format('%s: %s', f, t.state(format('SELECT cdp.expected_purchases(%L, 3)', f))), E'\n') FROM unnest(ARRAY['{}', '[]', '"x"', 'null', '{"model": 3}', '{"model": "bgnb"}',
    '{"model": "bgnbd", "r": 1, "alpha": 1, "a": 1}', '{"model": "bgnbd", "r": 0, "alpha": 1, "a": 1, "b": 1}', '{"model": "bgnbd", "r": 1e300, "alpha": 1, "a": 1, "b": 1}', '{"model": "gammagamma", "p": 1, "q": 1, "v": 1}']) f
  WHERE t.state(format('SELECT cdp.expected_purchases(%L, 3)', f)) <> '22023'), NULL, 'what is no fit');
\set fit '''{"model": "bgnbd", "r": 0.5, "alpha": 3, "a": 0.7, "b": 2}'''
SELECT is((SELECT string_agg(c || ': ' || t.state(c), E'\n') FROM (SELECT replace(c, '$fit', quote_literal(:fit)) FROM unnest(ARRAY[
  'SELECT cdp.expected_purchases($fit, -1)', 'SELECT cdp.expected_purchases($fit, ''NaN'')', 'SELECT cdp.expected_purchases($fit, ''Infinity'')', 'SELECT cdp.expected_purchases($fit, 3, 1, 5, 3)',
  'SELECT cdp.purchase_probability($fit, -1, 3)', 'SELECT cdp.purchase_probability($fit, 100001, 3)', 'SELECT cdp.expected_value($fit, 1, 3)', 'SELECT cdp.probability_alive($fit, 1, 3, ''NaN'')',
  'SELECT cdp.lifetime_value($fit, 5, 10, -1, 1, 1, 2, 3)', 'SELECT cdp.lifetime_value($fit, 5, 10, 0, 0, 1, 2, 3)', 'SELECT cdp.lifetime_value($fit, ''NaN'', 10, 0, 1, 1, 2, 3)', 'SELECT cdp.lifetime_value($fit, 5, 1e9, 0, 1, 1, 2, 3)',
  'SELECT cdp.expected_purchases(''{"model": "bgbb", "alpha": 1, "beta": 1, "gamma": 1, "delta": 1}'', 2.5)', 'SELECT cdp.model_log_likelihood($fit, 1, 2)']) c) q(c) WHERE t.state(c) <> '22023'), NULL, 'horizons, rates and histories that cannot be');
SELECT is((SELECT string_agg(q::text, E'\n') FROM (
  SELECT i, f.fit, h, cdp.expected_purchases(f.fit, h) AS more, cdp.probability_alive(f.fit, floor(50 * t.u(i, 9)), CASE WHEN t.u(i, 9) < 0.02 THEN 0 ELSE h * 0.5 END, h) AS alive
    FROM generate_series(1, 60) i, unnest('{0,1e-9,1,1e6,1e15}'::float8[]) h,
      LATERAL (SELECT ARRAY(SELECT exp(50 * (t.u(i, j) - 0.5)) FROM generate_series(1, 4) j) AS p) p,
      LATERAL (VALUES (jsonb_build_object('model', 'bgnbd', 'r', p[1], 'alpha', p[2], 'a', p[3], 'b', p[4])), (jsonb_build_object('model', 'paretonbd', 'r', p[1], 'alpha', p[2], 's', p[3], 'beta', p[4]))) f(fit)) q
  WHERE NOT (more >= 0 AND more < 1e300 AND alive BETWEEN 0 AND 1)), NULL, 'parameters from 1e-11 to 1e11 and horizons up to 1e15 give finite answers');
-- Money whose mean does not exist.
SELECT is(cdp.expected_value('{"model": "gammagamma", "p": 2, "q": 0.9, "v": 3}', 0, NULL), NULL, 'no mean of all: NULL');
SELECT is(cdp.expected_value('{"model": "gammagamma", "p": 2, "q": 3, "v": 3}', 0, NULL), 3::float8, 'without repeat purchases that of all');
SELECT is(cdp.expected_value('{"model": "gammagamma", "p": 2, "q": 3, "v": 3}', 2, 9), 7::float8, 'else between his own and that of all');
SELECT is(cdp.expected_value('{"model": "gammagamma", "p": 2, "q": 3, "v": 3}', 2, NULL), NULL, 'a mean that is not known: NULL');
SELECT * FROM finish();
ROLLBACK;

-- Statistics of the referral report: published answers, slow twins, laws, bad input.
BEGIN;
SELECT plan(36);
SET client_min_messages = error;

-- Freireich et al. (1963), times to relapse in weeks, as in Kalbfleisch and Prentice; SAS LIFETEST prints these medians and limits, R's survdiff this test.
CREATE TEMP TABLE gehan AS SELECT '{6,6,6,6,7,9,10,10,11,13,16,17,19,20,22,23,25,32,32,34,35}'::float8[] AS t, '{t,t,t,f,t,f,t,f,f,t,t,f,f,f,t,t,f,f,f,f,f}'::boolean[] AS e,
  '{1,1,2,2,3,4,4,5,5,8,8,8,8,11,11,12,12,15,17,22,23}'::float8[] AS bt, array_fill(true, ARRAY[21]) AS be;
SELECT is((SELECT q::text FROM gehan, cdp.survival_quantile(t, e) q), '(23,13,,21,9)', 'median of the treated: 23 weeks, 13 to open, 9 of 21 relapsed');
SELECT is((SELECT q::text FROM gehan, cdp.survival_quantile(bt, be) q), '(8,4,11,21,21)', 'median of the others: 8 weeks, 4 to 11');
SELECT is((SELECT string_agg(format('%s %s %s %s', c.at, c.at_risk, c.ends, round(c.survival::numeric, 4)), ', ') FROM gehan, cdp.survival_curve(t, e) c),
  '6 21 3 0.8571, 7 17 1 0.8067, 10 15 1 0.7529, 13 12 1 0.6902, 16 11 1 0.6275, 22 7 1 0.5378, 23 6 1 0.4482', 'the curve as published');
SELECT is((SELECT string_agg(round(sqrt(c.log_variance * c.survival ^ 2)::numeric, 4)::text, ' ') FROM gehan, cdp.survival_curve(t, e) c), '0.0764 0.0869 0.0963 0.1068 0.1141 0.1282 0.1346', 'and its standard errors');
SELECT is((SELECT (q.observed, round(q.expected::numeric, 2), round(q.chi_square::numeric, 2), round(q.p_value::numeric, 7))::text FROM gehan, cdp.logrank_test(t, e, bt, be) q), '(9,19.25,16.79,0.0000417)', 'logrank as published');
SELECT is((SELECT (q.observed, round(q.expected::numeric, 2), round(q.chi_square::numeric, 2))::text FROM gehan, cdp.logrank_test(bt, be, t, e) q), '(21,10.75,16.79)', 'and the other way round');
SELECT is((SELECT round(q.value::numeric, 0) FROM gehan, cdp.survival_quantile(bt, be, 0.9) q), 17::numeric, 'the ninth tenth');
SELECT is((SELECT q.value FROM gehan, cdp.survival_quantile(t, e, 0.9) q), NULL, 'is not known where too few have ended');
-- A slow twin: survival as the product over all moments before, in exact fractions.
CREATE TEMP TABLE made AS SELECT s, array_agg((abs(hashint8extended(i, s)) % 40)::float8) AS t, array_agg(abs(hashint8extended(i, s + 100)) % 3 > 0) AS e FROM generate_series(1, 30) s, generate_series(1, 25) i GROUP BY s;
CREATE FUNCTION pg_temp.twin(t float8[], e boolean[], at float8) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  r numeric(100,60) := 1; x float8; d int; n int;
BEGIN
  FOR x IN SELECT DISTINCT u FROM unnest(t) u WHERE u <= at ORDER BY u LOOP
    SELECT count(*) FILTER (WHERE u = x AND z), count(*) FILTER (WHERE u >= x) INTO d, n FROM unnest(t, e) y (u, z);
    r := r * (n - d) / n;
  END LOOP;
  RETURN r;
END $$;
SELECT cmp_ok((SELECT max(abs(c.survival - pg_temp.twin(m.t, m.e, c.at)::float8)) FROM made m, cdp.survival_curve(m.t, m.e) c), '<', 1e-12::float8, 'the curve as its twin on random data');
SELECT is((SELECT count(*) FROM made m, cdp.survival_quantile(m.t, m.e) q WHERE q.value IS DISTINCT FROM (SELECT min(u) FROM unnest(m.t) u WHERE pg_temp.twin(m.t, m.e, u) <= 0.5)), 0::bigint, 'the median as its twin');
SELECT is((SELECT count(*) FROM made m, cdp.survival_quantile(m.t, m.e) q WHERE q.low > q.value OR q.high < q.value), 0::bigint, 'the median lies in its interval');
SELECT is((SELECT count(*) FROM made m, cdp.survival_quantile(m.t, array_fill(true, ARRAY[25])) q WHERE q.value <> (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY u) FROM unnest(m.t) u)), 0::bigint, 'with nothing open it is the plain median');
SELECT is((SELECT q::text FROM cdp.survival_quantile('{}', '{}') q), '(,,,0,0)', 'of nothing: nothing');
SELECT is((SELECT q::text FROM cdp.survival_quantile('{3,4}', '{f,f}') q), '(,,,2,0)', 'nothing ended');
SELECT is((SELECT q::text FROM cdp.logrank_test('{}', '{}', '{1}', '{t}') q), '(0,0,,)', 'one group is empty: no test');
SELECT throws_ok($$SELECT cdp.survival_quantile('{1}', '{t,f}')$$, '22023', NULL, 'arrays of unequal length');
SELECT throws_ok(format('SELECT cdp.survival_quantile(ARRAY[%L]::float8[], ''{t}'')', v), '22023', NULL, v || ' is no time') FROM unnest('{-1,NaN,Infinity}'::text[]) v;
SELECT throws_ok($$SELECT cdp.survival_quantile('{1}', '{t}', 1)$$, '22023', NULL, 'a part of 1');

-- Bootstrap.
SELECT is((SELECT b::text FROM cdp.bootstrap_ratio(ARRAY(SELECT (i % 5)::float8 FROM generate_series(1, 1000) i), array_fill(1::float8, ARRAY[1000])) b),
  (SELECT b::text FROM cdp.bootstrap_ratio(ARRAY(SELECT (i % 5)::float8 FROM generate_series(1, 1000) i ORDER BY hashint4(i)), array_fill(1::float8, ARRAY[1000])) b), 'does not depend on the order of rows');
SELECT is((SELECT (round(b.ratio::numeric, 12), round(b.low::numeric, 12), round(b.high::numeric, 12), round(b.standard_error::numeric, 12))::text FROM cdp.bootstrap_ratio('{1,2,3,4,0,0,0,1}', '{1,1,2,2,1,1,1,1}') b), '(1.100000000000,0.600625000000,1.713736263736,0.278500506968)', 'the same on any machine');
SELECT isnt((SELECT b.low FROM cdp.bootstrap_ratio('{1,2,3,4,0,0,0,1}', '{1,1,2,2,1,1,1,1}', 2) b), (SELECT b.low FROM cdp.bootstrap_ratio('{1,2,3,4,0,0,0,1}', '{1,1,2,2,1,1,1,1}', 1) b), 'another seed, another draw');
SELECT cmp_ok((SELECT abs(b.standard_error / sqrt(2.0 / 2000) - 1) FROM cdp.bootstrap_ratio(ARRAY(SELECT (i % 5)::float8 FROM generate_series(1, 2000) i), array_fill(1::float8, ARRAY[2000]), 1, 4000) b), '<', 0.05::float8, 'of a mean: sigma by the root of n');
-- 400 made samples of 60 units with ratio 0.5: how often the interval holds it.
SELECT ok((SELECT avg((0.5 BETWEEN b.low AND b.high)::int) BETWEEN 0.90 AND 0.975 FROM (SELECT s, array_agg(k::float8) AS k, array_agg(2.0::float8 * ((i % 3) / 2.0 + 0.5)) AS n
  FROM (SELECT s, i, (SELECT count(*) FILTER (WHERE abs(hashint8extended(j, s * 1000 + i)) % 1000 < 500) FROM generate_series(1, 1 + i % 3) j) AS k FROM generate_series(1, 400) s, generate_series(1, 60) i) x GROUP BY s) y, cdp.bootstrap_ratio(k, n, s, 300) b), 'its interval holds the truth about 95 times in 100');
SELECT is((SELECT (a.ratio, b.ratio, b.low, c.ratio)::text FROM cdp.bootstrap_ratio('{}', '{}') a, cdp.bootstrap_ratio('{1}', '{2}') b, cdp.bootstrap_ratio('{1,2}', '{0,0}') c), '(,0.5,,)', 'nothing, one unit, nothing to divide by');
SELECT throws_ok(format('SELECT cdp.bootstrap_ratio(%s)', v), s, NULL, 'refused: ' || v) FROM (VALUES ($$'{1}', '{1,2}'$$, '22023'), ($$'{NaN}', '{1}'$$, '22023'), ($$'{1}', '{-1}'$$, '22023'), ($$'{NULL}', '{1}'$$, '22004'), ($$'{1}', '{1}', 1, 0$$, '22023'), ($$'{1}', '{1}', 1, 10, 1$$, '22023')) x (v, s);

SELECT is((SELECT (round(cdp.binomial_tail(8, 10, 0.5)::numeric, 12), round(cdp.binomial_tail(2, 10, 0.5, false)::numeric, 12), cdp.binomial_tail(0, 0, 0.5))::text), '(0.054687500000,0.054687500000,1)', 'exact binomial tails: 56 / 1024');
-- Benjamini and Hochberg (1995), section 3.2: 15 p values, four believed at 5 %.
SELECT is((SELECT count(*) FROM unnest(cdp.false_discovery('{0.0001,0.0004,0.0019,0.0095,0.0201,0.0278,0.0298,0.0344,0.0459,0.3240,0.4262,0.5719,0.6528,0.7590,1.0}')) q WHERE q <= 0.05), 4::bigint, 'four tests are believed, as published');
SELECT is(cdp.false_discovery('{0.01,NULL,0.04,0.03,0.03}')::text, '{0.04,NULL,0.04,0.04,0.04}', 'tests that were not made count for nothing, ties share');
SELECT throws_ok($$SELECT cdp.false_discovery('{0.1,1.5}')$$, '22023', NULL, 'no p value');
SELECT * FROM finish();
ROLLBACK;

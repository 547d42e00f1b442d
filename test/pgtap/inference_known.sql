-- Intervals and tests: published answers, a plain-SQL twin, coverage counted exactly, laws, bad input.
BEGIN;
SELECT plan(38);

-- Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
SELECT is((SELECT string_agg(format('%s %s', round(low::numeric, 4), round(high::numeric, 4)), ', ' ORDER BY o) FROM (VALUES (1, 81, 263), (2, 15, 148), (3, 0, 20), (4, 1, 29)) v (o, h, n), cdp.rate_interval(h, n)),
  '0.2553 0.3662, 0.0624 0.1605, 0.0000 0.1611, 0.0061 0.1718', 'intervals of one rate as published');
SELECT is((SELECT w::text FROM cdp.rate_interval(0, 0) w), '(0,1)', 'no try says nothing');

-- The same, 873-890, table II, method 10.
CREATE TEMP TABLE pair AS SELECT * FROM (VALUES (1, 56, 70, 48, 80), (2, 9, 10, 3, 10), (3, 6, 7, 2, 7), (4, 5, 56, 0, 29), (5, 0, 10, 0, 20), (6, 0, 10, 0, 10), (7, 10, 10, 0, 20), (8, 10, 10, 0, 10)) v (o, h, n, bh, bn);
SELECT is((SELECT string_agg(format('%s %s', round(low::numeric, 4), round(high::numeric, 4)), ', ' ORDER BY o) FROM pair, cdp.rate_difference(h, n, bh, bn)),
  '0.0524 0.3339, 0.1705 0.8090, 0.0582 0.8062, -0.0381 0.1926, -0.1611 0.2775, -0.2775 0.2775, 0.6791 1.0000, 0.6075 1.0000', 'intervals of a difference as published');

-- Twin: Wilson's limits are the roots of (p - x)^2 = z^2 x (1 - x) / n, the others those of the squares that add up.
CREATE FUNCTION pg_temp.wilson(h numeric, n numeric, z numeric, sign int) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN
  (2 * h + z * z + sign * z * sqrt(z * z + 4 * h * (1 - h / n))) / (2 * (n + z * z));
CREATE TEMP TABLE many AS SELECT row_number() OVER () AS o, (abs(hashint4(i)) % (n + 1)) AS h, n, (abs(hashint4(-i)) % (bn + 1)) AS bh, bn
  FROM generate_series(1, 400) i, LATERAL (SELECT 1 + abs(hashint4(i * 7)) % CASE WHEN i % 2 = 0 THEN 30 ELSE 100000 END AS n, 1 + abs(hashint4(i * 11)) % CASE WHEN i % 3 = 0 THEN 20 ELSE 5000 END AS bn) s;
CREATE TEMP TABLE twin AS
  SELECT m.*, h::numeric(60,40) / n AS p, bh::numeric(60,40) / bn AS q, pg_temp.wilson(h, n::numeric(60,40), z, -1) AS l, pg_temp.wilson(h, n::numeric(60,40), z, 1) AS u, pg_temp.wilson(bh, bn::numeric(60,40), z, -1) AS bl, pg_temp.wilson(bh, bn::numeric(60,40), z, 1) AS bu
  FROM many m, (VALUES (1.95996398454005423552459443052::numeric)) c (z);
SELECT cmp_ok((SELECT max(greatest(abs(low - l::float8), abs(high - u::float8))) FROM twin, cdp.rate_interval(h, n)), '<', 1e-13::float8, 'Wilson as the twin');
SELECT cmp_ok((SELECT max(greatest(abs(difference - (p - q)::float8), abs(low - (p - q - sqrt((p - l) ^ 2 + (bu - q) ^ 2))::float8), abs(high - (p - q + sqrt((u - p) ^ 2 + (q - bl) ^ 2))::float8)))
  FROM twin, cdp.rate_difference(h, n, bh, bn)), '<', 1e-13::float8, 'Newcombe as the twin');
SELECT cmp_ok((SELECT max(greatest(abs((p - f * q) ^ 2 - (p - l) ^ 2 - f ^ 2 * (bu - q) ^ 2), abs((p - g * q) ^ 2 - (u - p) ^ 2 - g ^ 2 * (q - bl) ^ 2) / greatest(1, g ^ 2)))
  FROM twin, cdp.rate_difference(h, n, bh, bn), LATERAL (SELECT (1 + lift_low)::numeric AS f, (1 + lift_high)::numeric AS g) r WHERE bh > 0), '<', 1e-12, 'limits of the lift solve the equation of Donner and Zou');
SELECT ok((SELECT bool_and(lift_low <= lift AND lift <= lift_high AND low <= difference AND difference <= high AND low >= -1 - 1e-15 AND high <= 1 + 1e-15 AND lift_low >= -1) FROM twin, cdp.rate_difference(h, n, bh, bn) WHERE bh > 0), 'the answer lies in its interval');
SELECT is((SELECT count(*) FROM twin, cdp.rate_difference(h, n, bh, bn) WHERE bh > 0 AND ((low > 0) <> (lift_low > 0) OR (high < 0) <> (lift_high < 0)) AND least(abs(low), abs(high)) > 1e-12), 0::bigint, 'both intervals hold 0, or neither');
SELECT is((SELECT count(*) FROM twin t, cdp.rate_difference(h, n, bh, bn) a, cdp.rate_difference(bh, bn, h, n) b WHERE abs(a.low + b.high) > 1e-15 OR abs(a.p_value - b.p_value) > 1e-14), 0::bigint, 'groups changed about change the sign');
SELECT is((SELECT (round(difference::numeric, 6), round(p_value::numeric, 6), round(lift::numeric, 6))::text FROM cdp.rate_difference(56, 70, 48, 80)), '(0.200000,0.008045,0.333333)', 'z = 0.2 / sqrt(104/150 * 46/150 * (1/70 + 1/80)), two-sided');
SELECT cmp_ok((SELECT max(abs(p_value - cdp.chi_square_cdf(chi, 1, true))) FROM (SELECT o, p_value, (h * (bn - bh) - bh * (n - h)::float8) ^ 2 * (n + bn) / ((h + bh)::float8 * (n + bn - h - bh) * n * bn) AS chi
  FROM twin, cdp.rate_difference(h, n, bh, bn) WHERE h + bh > 0 AND h + bh < n + bn) t), '<', 1e-10::float8, 'the p value is that of the fourfold table''s chi-square');
SELECT is((SELECT d::text FROM cdp.rate_difference(0, 10, 0, 20) d), (SELECT format('(0,%s,%s,1,,,)', low, high) FROM cdp.rate_difference(0, 10, 0, 20)), 'no hits: no lift, and nothing to see');
SELECT is((SELECT d::text FROM cdp.rate_difference(0, 0, 3, 20) d), '(,,,,,,)', 'no tries: nothing');

-- Coverage, counted over all outcomes of 30 and 40 draws.
CREATE FUNCTION pg_temp.chance(k int, n int, p numeric) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN factorial(n) / (factorial(k) * factorial(n - k)) * p ^ k * (1 - p) ^ (n - k);
CREATE TEMP TABLE outcome AS SELECT i, j, d.* FROM generate_series(0, 30) i, generate_series(0, 40) j, cdp.rate_difference(i, 30, j, 40) d;
CREATE TEMP TABLE covered AS SELECT p, q, sum(a * b) FILTER (WHERE p - q BETWEEN low AND high) AS difference, sum(a * b) FILTER (WHERE lift_low IS NULL OR p / q - 1 BETWEEN lift_low AND lift_high) AS lift
  FROM unnest('{0.05,0.2,0.45,0.8}'::numeric[]) p, unnest('{0.1,0.3,0.6}'::numeric[]) q, outcome, LATERAL (SELECT pg_temp.chance(i, 30, p) AS a, pg_temp.chance(j, 40, q) AS b) c GROUP BY p, q;
SELECT ok((SELECT bool_and(difference BETWEEN 0.93 AND 0.99) AND avg(difference) BETWEEN 0.945 AND 0.965 FROM covered), 'the interval of the difference holds the truth in 95 of 100');
SELECT ok((SELECT bool_and(lift BETWEEN 0.93 AND 0.995) AND avg(lift) BETWEEN 0.945 AND 0.97 FROM covered), 'and that of the lift');

-- Welch: "Student"'s data on sleep (Biometrika 6 (1908)), as printed by t.test(extra ~ group) of R.
CREATE TEMP TABLE sleep AS SELECT g, x::float8 FROM (SELECT 1 AS g, unnest('{0.7,-1.6,-0.2,-1.2,-0.1,3.4,3.7,0.8,0,2}'::numeric[]) AS x UNION ALL SELECT 2, unnest('{1.9,0.8,1.1,0.1,-0.1,4.4,5.5,1.6,4.6,3.4}'::numeric[])) v;
CREATE TEMP TABLE welch AS SELECT w.* FROM (SELECT count(*) FILTER (WHERE g = 1) AS n, avg(x) FILTER (WHERE g = 1) AS m, var_samp(x) FILTER (WHERE g = 1) AS v, count(*) FILTER (WHERE g = 2) AS bn, avg(x) FILTER (WHERE g = 2) AS bm, var_samp(x) FILTER (WHERE g = 2) AS bv FROM sleep) s,
  cdp.mean_difference(n, m, v, bn, bm, bv) w;
SELECT is((SELECT (round(t::numeric, 4), round(df::numeric, 3), round(p_value::numeric, 5), round(low::numeric, 7), round(high::numeric, 7), round(difference::numeric, 2))::text FROM welch),
  '(-1.8608,17.776,0.07939,-3.3654832,0.2054832,-1.58)', 'Welch''s test as published');
SELECT cmp_ok((SELECT max(greatest(abs(df - want) / want, abs(high - difference - cdp.student_quantile(0.995, df) * sqrt(v / n + bv / bn)) / high)) FROM generate_series(1, 50) i,
  LATERAL (SELECT 2 + i * i AS n, i % 7 + 0.25::float8 AS v, 3 + i AS bn, i % 11 + 0.125::float8 AS bv) s, cdp.mean_difference(n, i + 100, v, bn, i, bv, 0.99),
  LATERAL (SELECT (v / n + bv / bn) ^ 2 / ((v / n) ^ 2 / (n - 1) + (bv / bn) ^ 2 / (bn - 1)) AS want) w), '<', 1e-12::float8, 'degrees of freedom and interval by the formula');
SELECT ok((SELECT abs(low + high - 2 * difference) < 1e-12 AND abs(df - 18) < 1e-12 FROM cdp.mean_difference(10, 5, 4, 10, 3, 4)), 'equal sizes and variances: the degrees of Student''s test');
SELECT is((SELECT d::text FROM cdp.mean_difference(1, 5, 0, 10, 3, 4) d), '(2,,,,,)', 'one value tells no spread');
SELECT is((SELECT d::text FROM cdp.mean_difference(10, 5, 0, 10, 3, 0) d), '(2,,,,,)', 'nothing varies');
SELECT is((SELECT d::text FROM cdp.mean_difference(0, 5, 0, 10, 3, 1) d), '(,,,,,)', 'no values');
SELECT ok((SELECT low < difference AND difference < high AND p_value > 0 FROM cdp.mean_difference(9000000000000000000, 1e-9, 1, 9000000000000000000, 0, 1)), 'the largest counts');

-- Splits.
SELECT is((SELECT (round(chi_square::numeric, 3), df, round(p_value::numeric, 4), suspect)::text FROM cdp.sample_ratio_check('{315,108,101,32}', '{9,3,3,1}')), '(0.470,3,0.9254,f)', 'Mendel''s peas (1866): chi-square 0.470');
SELECT is((SELECT (round(chi_square::numeric, 3), round(p_value::numeric, 8), suspect)::text FROM cdp.sample_ratio_check('{821588,815482}', '{1,1}')), '(22.774,0.00000182,t)', 'Kohavi, Tang and Xu (2020): p = 1.8e-6');
SELECT is((SELECT r::text FROM cdp.sample_ratio_check('{3,4}', '{1,1}') r), '(0.14285714285714285,1,,)', 'too few to tell');
SELECT is((SELECT r::text FROM cdp.sample_ratio_check('{0,0}', '{1,1}') r), '(,1,,)', 'nobody');
SELECT is((SELECT r::text FROM cdp.sample_ratio_check('{50,1}', '{1,0}') r), '(Infinity,0,0,t)', 'somebody where nobody may be');
SELECT is((SELECT r::text FROM cdp.sample_ratio_check('{50,0}', '{1,0}') r), '(0,0,,)', 'a group that is not there');
SELECT is((SELECT (a.chi_square - b.chi_square) FROM cdp.sample_ratio_check('{500,600,400}', '{1,2,1}') a, cdp.sample_ratio_check('{500,600,400}', '{0.25,0.5,0.25}') b), 0::float8, 'weights have no unit');
-- The rate of false alarms, counted over all splits of 2,000.
SELECT cmp_ok((SELECT sum(cdp.beta_cdf(0.5, k, 2001 - k) - cdp.beta_cdf(0.5, k + 1, 2000 - k)) FROM generate_series(1, 1999) k, cdp.sample_ratio_check(ARRAY[k, 2000 - k], '{1,1}') WHERE suspect), '<', 0.0011::float8, 'a fair split is suspected once in a thousand');

SELECT throws_ok('SELECT cdp.' || call, code, NULL, 'refused: ' || call) FROM (VALUES ('rate_interval(3, 2)', '22023'), ('rate_difference(1, 2, -1, 2)', '22023'), ('rate_difference(1, 2, 1, 2, 1)', '22023'), ('mean_difference(3, 1, -1, 3, 1, 1)', '22023'),
  ('mean_difference(3, ''NaN'', 1, 3, 1, 1)', '22023'), ('sample_ratio_check(''{1,2}'', ''{1}'')', '22023'), ('sample_ratio_check(''{1,NULL}'', ''{1,1}'')', '22004'), ('sample_ratio_check(''{{1,2}}'', ''{{1,1}}'')', '2202E')) v (call, code);
SELECT * FROM finish();
ROLLBACK;

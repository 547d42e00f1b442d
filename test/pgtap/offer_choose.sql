-- How offers are chosen: draws bit for bit, their distribution, the probability of each arm to be the best against closed
-- forms and against many draws, exploration, ties, bad input.
BEGIN;
SELECT plan(42);
SET client_min_messages = error;
SET extra_float_digits = 1;

-- Draws, to the last bit: computed by a second program that was written from the description, in another language.
SELECT is(cdp_internal.offer_draws(42, '{1,2,3}', 7, 2, 5, 3), '{0.35114504397691987,0.12361009230884253,0.48058682421162824}', 'draws of Beta(2, 5)');
SELECT is(cdp_internal.offer_draws(-1, '{-5,9223372036854775807}', 2147483647, 0.5, 0.5, 3), '{0.7577154263260595,0.8781526928025114,0.005703895627936306}', 'of Beta(1/2, 1/2), with the largest numbers as inputs');
SELECT is(cdp_internal.offer_draws(7, '{}', 1, 1e6, 3e6, 2), '{0.2501797970588596,0.250038178300864}', 'of narrow ones');
SELECT isnt(cdp_internal.offer_draws(42, '{1,3,2}', 7, 2, 5, 1), cdp_internal.offer_draws(42, '{1,2,3}', 7, 2, 5, 1), 'the order of inputs counts');
SELECT isnt(cdp_internal.offer_draws(42, '{1,2,3}', 8, 2, 5, 1), cdp_internal.offer_draws(42, '{1,2,3}', 7, 2, 5, 1), 'and the stream');
-- Their distribution: Kolmogorov's distance of 20,000 draws stays below 1.95 / sqrt(n) in 999 of 1,000 cases.
CREATE FUNCTION pg_temp.distance(a float8, b float8) RETURNS float8 LANGUAGE sql AS $$
  SELECT max(greatest(abs(cdp.beta_cdf(x, a, b) - n / 20000.0), abs(cdp.beta_cdf(x, a, b) - (n - 1) / 20000.0)))
  FROM (SELECT x, row_number() OVER (ORDER BY x) AS n FROM unnest(cdp_internal.offer_draws(11, '{1}', 1, a, b, 20000)) x) y $$;
SELECT cmp_ok(pg_temp.distance(a, b), '<', 1.95 / sqrt(20000), format('20,000 draws are of Beta(%s, %s)', a, b)) FROM (VALUES (0.5, 0.5), (1, 1), (2, 5), (0.7, 30), (400, 3)) AS v (a, b);
-- First draws of many decisions are as independent as those of one.
SELECT cmp_ok((SELECT max(abs(x - n / 5000.0)) FROM (SELECT x, row_number() OVER (ORDER BY x) AS n FROM (SELECT (cdp_internal.offer_draws(1, ARRAY[4, i, 1780000000000000], 3, 1, 1, 1))[1] AS x FROM generate_series(1, 5000) i) y) z), '<', 1.95 / sqrt(5000), 'over customers, too');

-- P(B > A) for whole shapes, exactly: sum over i < a2 of B(a1 + i, b1 + b2) / ((b2 + i) B(1 + i, b2) B(a1, b1)).
CREATE FUNCTION pg_temp.beats(a1 bigint, b1 bigint, a2 bigint, b2 bigint) RETURNS numeric LANGUAGE sql AS $$
  SELECT sum(factorial(a1 + i - 1) * factorial(b1 + b2 - 1) * factorial(i + b2) * factorial(a1 + b1 - 1) / (factorial(a1 + i + b1 + b2 - 1) * (b2 + i) * factorial(i) * factorial(b2 - 1) * factorial(a1 - 1) * factorial(b1 - 1)))
  FROM generate_series(0, a2 - 1) i $$;
SELECT cmp_ok(max(abs((cdp_internal.offer_propensity(ARRAY[a1, a2], ARRAY[b1, b2], '{1,1}'))[2] - pg_temp.beats(a1, b1, a2, b2)::float8)), '<', 1e-12::float8, 'two arms: the closed form')
FROM (VALUES (1, 1, 1, 1), (2, 5, 3, 4), (1, 1, 30, 2), (12, 88, 15, 85), (3, 200, 9, 180), (1, 99, 60, 40), (40, 2, 2, 40), (70, 70, 71, 70)) AS v (a1, b1, a2, b2);
-- Of Beta(k, 1) each arm wins with its share of the k; with worths w1 > w2 the second with k2 / (k1 + k2) * (w2 / w1)^k1.
SELECT cmp_ok((SELECT max(abs(p - k / (SELECT sum(x) FROM unnest(v.ks) x))) FROM unnest(v.ks, cdp_internal.offer_propensity(v.ks, array_fill(1.0::float8, ARRAY[cardinality(v.ks)]), array_fill(7.0::float8, ARRAY[cardinality(v.ks)]))) u (k, p)), '<', 1e-10::float8,
  format('%s arms of powers', cardinality(v.ks))) FROM (VALUES ('{0.5,0.5}'::float8[]), ('{1,2,3.5}'), ('{0.5,4,100,0.7,12}'), ('{1,1,1,1,1,1,1,1,1,1,1,1}'), ('{1e6,1e6,3e6}')) AS v (ks);
SELECT cmp_ok(max(abs((cdp_internal.offer_propensity(ARRAY[k1, k2], '{1,1}', ARRAY[w1, w2]))[2] - k2 / (k1 + k2) * power(w2 / w1, k1))), '<', 1e-12::float8, 'other worths')
FROM (VALUES (1.0::float8, 1.0::float8, 2.0::float8, 1.0::float8), (3, 1, 100, 99), (0.5, 0.5, 3, 1), (2, 7, 1.000001, 1), (1, 20, 50, 1)) AS v (k1, k2, w1, w2);
SELECT cmp_ok(abs((SELECT sum(p) FROM unnest(cdp_internal.offer_propensity('{3,51,0.5,900}', '{90,950,0.5,999999}', '{5,1,0.01,300}')) p) - 1), '<', 1e-15::float8, 'they add up to 1');
SELECT cmp_ok((cdp_internal.offer_propensity('{1e9,1e9}', '{1e9,1.003e9}', '{1,1}'))[2], '<', 1e-20::float8, 'arms far apart');
SELECT cmp_ok(abs((cdp_internal.offer_propensity('{1e9,1e9}', '{1e9,1.0003e9}', '{1,1}'))[2] / cdp.normal_cdf((0.5 - 1 / 2.0003) / sqrt(0.25 / 2e9 + 0.25 / 2e9), true) - 1), '<', 1e-3::float8, 'narrow ones, nearly normal');
SELECT is(cdp_internal.offer_propensity('{1e12,1e12}', '{1e12,1e12}', '{1,1}'), '{0.5,0.5}', 'the narrowest there are');
-- By mpmath at 30 digits: rare successes of great worth against frequent ones of small worth.
SELECT cmp_ok(abs((cdp_internal.offer_propensity('{1,2}', ARRAY[n, 3], ARRAY[n, 1]))[1] - want), '<', 1e-12::float8, format('one in %s, worth as much', n)) FROM (VALUES (1e8::float8, 0.683573646968029::float8), (1e10, 0.683573647535802)) AS v (n, want);
SELECT is(cdp_internal.offer_propensity('{3}', '{4}', '{2}'), '{1}', 'one arm');

-- What is chosen over many seeds is what the propensities say, with exploration as well.
CREATE FUNCTION pg_temp.off_by(method text, epsilon float8, w float8[], a float8[], b float8[], m float8[]) RETURNS float8 LANGUAGE sql AS $$
  WITH made AS (SELECT c.chosen, c.propensities FROM generate_series(1, 6000) s CROSS JOIN LATERAL cdp_internal.offer_choose(method, epsilon, s, '{1,2}', '{11,12,13,14}', w, a, b, m) c)
  -- how many standard deviations the farthest arm is away
  SELECT max(abs(n - 6000 * p) / greatest(sqrt(6000 * p * (1 - p)), 0.5)) FROM (SELECT i, (SELECT count(*) FROM made WHERE chosen = i) AS n, (SELECT propensities[i] FROM made LIMIT 1) AS p FROM generate_series(1, 4) i) x $$;
SELECT cmp_ok(pg_temp.off_by('thompson', 0, '{1,1,1,1}', '{3,5,2,9}', '{20,40,9,99}', '{0,0,0,0}'), '<', 3.5::float8, 'Thompson: chosen as often as the propensities say');
SELECT cmp_ok(pg_temp.off_by('thompson', 0.2, '{1,3,10,2}', '{3,5,2,9}', '{20,40,90,99}', '{0,0,0,0}'), '<', 3.5::float8, 'with worths and exploration');
SELECT cmp_ok(pg_temp.off_by('value', 0.3, '{1,3,10,2}', '{1,1,1,1}', '{1,1,1,1}', '{0.5,0.2,0.05,0.3}'), '<', 3.5::float8, 'expected value with exploration');
SELECT is(cdp_internal.offer_choose('value', 0.3, 1, '{}', '{1,2}', '{1,3}', '{1,1}', '{1,1}', '{0.5,0.2}')::text, '(2,"{0.5,0.6000000000000001}","{0.15,0.85}")', 'the most expected value');
SELECT is(cdp_internal.offer_choose('value', 0, 1, '{}', '{1,2,3}', '{1,2,2}', '{1,1,1}', '{1,1,1}', '{0.5,0.25,0.25}')::text, '(1,"{0.5,0.5,0.5}","{1,0,0}")', 'of equal ones the first');
SELECT is((cdp_internal.offer_choose('thompson', 0, 5, '{9}', '{3,4}', '{1,1}', '{2,2}', '{5,5}', '{0,0}')).scores[1], (cdp_internal.offer_draws(5, '{9}', 3, 2, 5, 1))[1], 'the score is the draw');
SELECT is((cdp_internal.offer_choose('thompson', 0, 5, '{9}', '{4,3}', '{1,1}', '{2,2}', '{5,5}', '{0,0}')).scores[2], (cdp_internal.offer_draws(5, '{9}', 3, 2, 5, 1))[1], 'which other arms do not change');
-- Many sets of arms in one call: what is kept is not mixed up.
SELECT is(count(DISTINCT c.propensities[1] - (cdp_internal.offer_propensity(ARRAY[i % 50 + 1, 2], '{3,3}', '{1,1}'))[1]), 1::bigint, 'propensities that were kept are those of their arms')
FROM generate_series(1, 200) i CROSS JOIN LATERAL cdp_internal.offer_choose('thompson', 0, 1, '{}', '{1,2}', '{1,1}', ARRAY[i % 50 + 1, 2], '{3,3}', '{0,0}') c;

-- Bad input.
SELECT throws_ok(format('SELECT cdp_internal.offer_propensity(%s)', args), code, NULL, args) FROM (VALUES
  ('''{1,2}'', ''{1}'', ''{1,1}''', '22023'), ('''{1,NULL}'', ''{1,1}'', ''{1,1}''', '22004'), ('''{0.4,1}'', ''{1,1}'', ''{1,1}''', '22023'), ('''{NaN,1}'', ''{1,1}'', ''{1,1}''', '22023'),
  ('''{1,1}'', ''{1,1}'', ''{0,1}''', '22023'), ('''{1,1}'', ''{1,1}'', ''{1e308,1e-308}''', '22023'), ('''{1,1}'', ''{1,1}'', ''{Infinity,1}''', '22023'), ('''{}'', ''{}'', ''{}''', '54000'), ('array_fill(1.0::float8, ARRAY[201]), array_fill(1.0::float8, ARRAY[201]), array_fill(1.0::float8, ARRAY[201])', '54000')) AS v (args, code);
SELECT * FROM finish();
ROLLBACK;

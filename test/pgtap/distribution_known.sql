-- Distributions: digits of mpmath at 60 digits, closed forms and finite sums in plain SQL, inverses, extremes, bad input.
BEGIN;
SELECT plan(97);
CREATE FUNCTION pg_temp.number(call text) RETURNS float8 LANGUAGE plpgsql AS $$ DECLARE x float8; BEGIN EXECUTE 'SELECT ' || call INTO x; RETURN x; END $$;
CREATE FUNCTION pg_temp.far(got float8, want float8) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN CASE WHEN got = want THEN 0 ELSE abs(got - want) / abs(want) END;

-- Computed by mpmath 1.3 (arguments as doubles). Twelve digits, relative to the answer, however small it is.
SELECT cmp_ok(pg_temp.far(pg_temp.number(call), want), '<', 2e-13::float8, call) FROM (VALUES
  ('cdp.normal_cdf(6, true)', 9.8658764503769814e-10::float8),
  ('cdp.normal_cdf(10, true)', 7.6198530241605261e-24::float8),
  ('cdp.normal_cdf(37, true)', 5.7255712225245768e-300::float8),
  ('cdp.normal_cdf(-8.25, true)', 0.99999999999999992::float8),
  ('cdp.normal_quantile(0.975)', 1.9599639845400539::float8),
  ('cdp.normal_quantile(0.999)', 3.0902323061678133::float8),
  ('cdp.normal_quantile(1e-10)', -6.3613409024040562::float8),
  ('cdp.normal_quantile(1e-300)', -37.047096299361199::float8),
  ('cdp.normal_quantile(0.5000001)', 2.5066282733116483e-7::float8),
  ('cdp.student_cdf(2.5, 3, true)', 0.043853323504032774::float8),
  ('cdp.student_cdf(30, 7.5, true)', 2.187366705051821e-9::float8),
  ('cdp.student_cdf(4, 0.25, true)', 0.25522793909205473::float8),
  ('cdp.student_cdf(9, 100000, true)', 1.1477045025115785e-19::float8),
  ('cdp.student_cdf(0.001, 12, true)', 0.49960927376532473::float8),
  ('cdp.chi_square_cdf(3.84, 1, true)', 0.050043521248705103::float8),
  ('cdp.chi_square_cdf(100, 3, true)', 1.5541594313896049e-21::float8),
  ('cdp.chi_square_cdf(1200, 1000, true)', 1.2255942330622904e-5::float8),
  ('cdp.chi_square_cdf(900, 1000, true)', 0.98928276190871026::float8),
  ('cdp.chi_square_cdf(0.001, 7, true)', 0.9999999999997598::float8),
  ('cdp.gamma_cdf(0.01, 12.5)', 5.792220655928195e-35::float8),
  ('cdp.gamma_cdf(20, 100)', 3.4888786696896532e-37::float8),
  ('cdp.gamma_cdf(1e-5, 0.5)', 0.0035682363381804504::float8),
  ('cdp.gamma_cdf(9700, 10000)', 0.001234175584468492::float8),
  ('cdp.beta_cdf(0.001, 0.5, 0.5)', 0.020135041633377491::float8),
  ('cdp.beta_cdf(0.001, 0.5, 0.5, true)', 0.97986495836662251::float8),
  ('cdp.beta_cdf(0.1, 30, 7)', 1.0577892610000017e-24::float8),
  ('cdp.beta_cdf(0.1, 30, 7, true)', 1.0::float8),
  ('cdp.beta_cdf(0.3, 1000, 1500)', 1.1745693415060166e-26::float8),
  ('cdp.beta_cdf(0.3, 1000, 1500, true)', 1.0::float8),
  ('cdp.beta_cdf(0.00001, 3, 20000)', 0.0011486613726061735::float8),
  ('cdp.beta_cdf(0.00001, 3, 20000, true)', 0.99885133862739383::float8),
  ('cdp.beta_cdf(0.999, 0.1, 250)', 1.0::float8),
  ('cdp.beta_cdf(0.999, 0.1, 250, true)', 0::float8),
  ('cdp.beta_cdf(0.5, 0.02, 40)', 0.99999999999999905::float8),
  ('cdp.beta_cdf(0.5, 0.02, 40, true)', 9.5400026749147408e-16::float8),
  ('cdp.poisson_cdf(0, 0.0001, true)', 9.9995000166662505e-5::float8),
  ('cdp.poisson_cdf(0, 0.0001)', 0.99990000499983334::float8),
  ('cdp.poisson_cdf(20, 3.5, true)', 1.869183620178483e-10::float8),
  ('cdp.poisson_cdf(20, 3.5)', 0.99999999981308164::float8),
  ('cdp.poisson_cdf(90, 120, true)', 0.99744881748023706::float8),
  ('cdp.poisson_cdf(90, 120)', 0.0025511825197629376::float8)
) v (call, want);

-- Tables that are printed everywhere: NIST/SEMATECH e-Handbook 1.3.6.7, Abramowitz and Stegun 26.
SELECT is((SELECT string_agg(round(cdp.student_quantile(0.975, df)::numeric, 3)::text, ' ' ORDER BY df) FROM unnest('{1,2,3,4,5,10,30,100}'::int[]) df),
  '12.706 4.303 3.182 2.776 2.571 2.228 2.042 1.984', 'Student''s t, 0.975');
SELECT is((SELECT string_agg(round(cdp.student_quantile(0.999, df)::numeric, 3)::text, ' ' ORDER BY df) FROM unnest('{1,2,5,20}'::int[]) df),
  '318.309 22.327 5.893 3.552', 'Student''s t, 0.999');
SELECT is((SELECT string_agg(round(cdp.chi_square_cdf(x, df)::numeric, 4)::text, ' ' ORDER BY df) FROM unnest('{3.841,5.991,7.815,9.488,11.070}'::float8[], '{1,2,3,4,5}'::int[]) v (x, df)),
  '0.9500 0.9500 0.9500 0.9500 0.9500', 'chi-square, 0.95');
SELECT is((SELECT string_agg(round(cdp.chi_square_cdf(x, df, true)::numeric, 5)::text, ' ' ORDER BY df) FROM unnest('{10.828,13.816,16.266}'::float8[], '{1,2,3}'::int[]) v (x, df)),
  '0.00100 0.00100 0.00100', 'chi-square, 0.001 above');
SELECT is((SELECT string_agg(round(cdp.normal_cdf(z)::numeric, 15)::text, ' ' ORDER BY z) FROM unnest('{1,2,3}'::float8[]) z), '0.841344746068543 0.977249868051821 0.998650101968370', 'the normal distribution (26.1)');

-- Finite sums in numeric: binomial for beta, Poisson for gamma.
CREATE FUNCTION pg_temp.binomial(since int, until int, n int, p numeric) RETURNS numeric LANGUAGE sql AS $$
  SELECT sum(factorial(n) / (factorial(k) * factorial(n - k)) * p ^ k * (1 - p) ^ (n - k)) FROM generate_series(since, until) k $$;
CREATE TEMP TABLE whole AS SELECT a, b, x FROM unnest('{1,2,5,17,40}'::int[]) a, unnest('{1,3,8,35}'::int[]) b, unnest('{0.015625,0.25,0.5,0.78125,0.9921875}'::numeric[]) x;
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.beta_cdf(x::float8, a, b), pg_temp.binomial(a, a + b - 1, a + b - 1, round(x, 200))::float8)) FROM whole), '<', 3e-14::float8, 'beta up to x is a sum of binomials');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.beta_cdf(x::float8, a, b, true), pg_temp.binomial(0, a - 1, a + b - 1, round(x, 200))::float8)) FROM whole), '<', 5e-14::float8, 'beta above x too');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.poisson_cdf(n, m::float8), (SELECT sum(exp(-round(m, 50)) * round(m, 50) ^ k / factorial(k)) FROM generate_series(0, n) k)::float8))
  FROM generate_series(0, 40, 5) n, unnest('{0.125,1,7.5,30,64}'::numeric[]) m), '<', 1e-13::float8, 'Poisson up to n is a sum');

-- Closed forms and laws.
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.student_cdf(t, 1), 0.5 + atan(t) / pi())) FROM generate_series(-3, 30) t), '<', 1e-13::float8, 'one degree of freedom: the arc tangent');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.student_cdf(t, 2, true), 1 / (2 + t * t + t * sqrt(2 + t * t)))) FROM generate_series(0, 1000, 7) t), '<', 1e-13::float8, 'two: a root');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.chi_square_cdf(x, 2, true), exp(-x / 2.0::float8))) FROM generate_series(0, 1300, 13) x), '<', 1e-13::float8, 'chi-square of two degrees: the exponential');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.chi_square_cdf(z * z, 1, true), 2 * cdp.normal_cdf(z, true))) FROM generate_series(0, 30, 0.7) v, CAST(v AS float8) z), '<', 1e-12::float8, 'of one: the square of a normal');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.beta_cdf(x, 0.5, 0.5), 2 / pi() * asin(sqrt(x)))) FROM generate_series(0, 1, 0.01) v, CAST(v AS float8) x), '<', 1e-13::float8, 'beta of halves: the arc sine');
SELECT cmp_ok((SELECT max(abs(cdp.beta_cdf(x, a, b) + cdp.beta_cdf(x, a, b, true) - 1)) FROM unnest('{0.01,0.3,2,50,1e4,1e9,1e12}'::float8[]) a, unnest('{0.01,1,7,1e3,1e12}'::float8[]) b, unnest('{1e-300,1e-9,0.2,0.5,0.9999}'::float8[]) x),
  '<', 1e-14::float8, 'what is up to x and above it is all');
SELECT cmp_ok((SELECT max(abs(cdp.student_cdf(z, 1e12) - cdp.normal_cdf(z))) FROM generate_series(-6, 6, 0.25) v, CAST(v AS float8) z), '<', 1e-12::float8, 'Student''s t ends as a normal');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.student_cdf(t, df, true), pow(df, df / 2 - 1) / pow(t, df) / exp(lb))) FROM unnest('{1e40,1e120}'::float8[]) t,
  (VALUES (2::float8, ln(2::float8)), (1, ln(pi()))) v (df, lb)), '<', 1e-12::float8, 'a t whose square is beyond a number has the tail of a power');
SELECT ok((SELECT bool_and(now >= before AND now BETWEEN 0 AND 1) FROM (SELECT cdp.beta_cdf(x / 4000.0::float8, 37.5, 12.25) AS now, lag(cdp.beta_cdf(x / 4000.0::float8, 37.5, 12.25), 1, 0::float8) OVER (ORDER BY x) AS before FROM generate_series(0, 4000) x) m),
  'a distribution never falls, also where one road ends and another begins');

-- Quantiles are inverses.
CREATE TEMP TABLE chance AS SELECT p FROM unnest('{1e-290,1e-20,0.0001,0.1,0.4999,0.5,0.7,0.99,0.9999999}'::float8[]) p;
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.normal_cdf(cdp.normal_quantile(p)), p)) FROM chance), '<', 2e-12::float8, 'of a normal');
SELECT cmp_ok((SELECT max(pg_temp.far(cdp.student_cdf(cdp.student_quantile(p, df), df), p)) FROM chance, unnest('{2,3.5,30,1e5,1e12}'::float8[]) df), '<', 2e-12::float8, 'of Student''s t');
SELECT cmp_ok((SELECT max(pg_temp.far(CASE WHEN q > 0 AND q < 1 THEN cdp.beta_cdf(q, a, b) ELSE p END, p)) FROM chance, unnest('{0.5,1,20,1e4}'::float8[]) a, unnest('{0.5,3,800}'::float8[]) b, cdp.beta_quantile(p, a, b) q
  WHERE q < 0.999), '<', 1e-11::float8, 'of beta');
SELECT is((SELECT string_agg(cdp.beta_quantile(p, 2, 3)::text, ' ' ORDER BY p) FROM unnest('{0,1}'::float8[]) p), '0 1', 'the ends of beta');
SELECT ok(pg_temp.far(cdp.beta_quantile(0.3, 1, 7), 1 - 0.7 ^ (1 / 7.0::float8)) < 1e-13 AND pg_temp.far(cdp.beta_quantile(0.3, 5, 1), 0.3 ^ 0.2::float8) < 1e-13, 'closed quantiles of beta');

-- Ends and bad input.
SELECT is(pg_temp.number(call), want, call) FROM (VALUES ('cdp.beta_cdf(0, 2, 3)', 0::float8), ('cdp.beta_cdf(1, 2, 3)', 1), ('cdp.beta_cdf(0, 2, 3, true)', 1), ('cdp.beta_cdf(1, 2, 3, true)', 0),
  ('cdp.chi_square_cdf(0, 1, true)', 1), ('cdp.poisson_cdf(0, 0)', 1), ('cdp.poisson_cdf(0, 0, true)', 0), ('cdp.gamma_cdf(1e308, 3, true)', 0), ('cdp.student_cdf(0, 4)', 0.5), ('cdp.student_quantile(0.5, 4)', 0), ('cdp.normal_cdf(NULL)', NULL)) v (call, want);
SELECT throws_ok('SELECT cdp.' || call, '22023', message, 'refused: ' || call) FROM (VALUES
  ('normal_cdf(''NaN'')', 'z cannot be NaN'),
  ('normal_cdf(''Infinity'')', 'z cannot be Infinity'),
  ('normal_quantile(0)', 'a probability of 0 has no quantile'),
  ('normal_quantile(1)', 'a probability of 1 has no quantile'),
  ('normal_quantile(''NaN'')', 'a probability of NaN has no quantile'),
  ('student_cdf(1, 0)', 'degrees of freedom cannot be 0'),
  ('student_cdf(''-Infinity'', 3)', 't cannot be -Infinity'),
  ('student_quantile(-0.1, 3)', 'a probability of -0.1 has no quantile'),
  ('student_quantile(0.1, -3)', 'degrees of freedom cannot be -3'),
  ('chi_square_cdf(-1, 3)', 'chi-square cannot be -1'),
  ('chi_square_cdf(1, ''NaN'')', 'degrees of freedom cannot be NaN'),
  ('gamma_cdf(1, 1e13)', 'a shape cannot be 1e+13'),
  ('gamma_cdf(''Infinity'', 1)', 'x cannot be Infinity'),
  ('beta_cdf(1.5, 2, 3)', 'a share cannot be 1.5'),
  ('beta_cdf(-1e-300, 2, 3)', 'a share cannot be -1e-300'),
  ('beta_cdf(0.5, 0, 3)', 'a cannot be 0'),
  ('beta_cdf(0.5, 3, ''Infinity'')', 'b cannot be Infinity'),
  ('beta_quantile(2, 2, 3)', 'a probability cannot be 2'),
  ('beta_quantile(''NaN'', 2, 3)', 'a probability cannot be NaN'),
  ('poisson_cdf(-1, 3)', 'a count cannot be -1'),
  ('poisson_cdf(1, -3)', 'a mean cannot be -3'),
  ('poisson_cdf(1000000000000, 3)', 'a count cannot be 1000000000000')) v (call, message);
SELECT throws_ok('SELECT cdp.student_quantile(1e-300, 0.1)', '22003', NULL, 'a quantile beyond a number');
SELECT * FROM finish();
ROLLBACK;

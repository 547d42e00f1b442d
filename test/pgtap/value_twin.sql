-- Likelihoods and expectations of the models of customer value against integrals over what the models say,
-- written in plain SQL, at random parameters and histories; recovery of known parameters from simulated customers.
BEGIN;
SELECT plan(13);
CREATE SCHEMA t;
-- Uniform numbers of a place and a use, the same in each run.
CREATE FUNCTION t.u(i int, j int) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN (('x' || substr(md5(i || '/' || j), 1, 12))::bit(48)::bigint + 0.5) / 281474976710656;

-- exp() without the server's error for what is nothing.
CREATE FUNCTION t.e(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN CASE WHEN x < -700 THEN 0 ELSE exp(x) END;

-- Means over a gamma and a beta distribution by the trapezoidal rule in log x and logit p, made whole by the same sum.
CREATE TABLE t.y AS SELECT n * 0.1 AS y, exp(n * 0.1) AS e FROM generate_series(-800, 60) n;
-- p and q are the logarithms of a chance and of its complement.
CREATE TABLE t.p AS SELECT ln(1 / (1 + exp(-n * 0.1))) AS p, ln(1 / (1 + exp(n * 0.1))) AS q FROM generate_series(-700, 700) n;
CREATE FUNCTION t.gmean(shape float8, rate float8, x float8, age float8) RETURNS float8 LANGUAGE sql STABLE AS $$
  -- of lambda^x exp(-lambda age)
  SELECT sum(t.e((shape + x) * y - (rate + age) * e)) / sum(t.e(shape * y - rate * e)) FROM t.y
$$;
CREATE FUNCTION t.bmean(a float8, b float8, i float8, j float8) RETURNS float8 LANGUAGE sql STABLE AS $$
  -- of p^i (1 - p)^j
  SELECT sum(t.e((a + i) * p + (b + j) * q)) / sum(t.e(a * p + b * q)) FROM t.p
$$;
CREATE TABLE t.point AS
SELECT i, 0.3 + 3 * t.u(i, 1) AS r, 0.5 + 8 * t.u(i, 2) AS alpha, 0.4 + 3 * t.u(i, 3) AS a, 0.4 + 3 * t.u(i, 4) AS b,
       x, CASE WHEN x = 0 THEN 0 WHEN i % 5 = 0 THEN age ELSE age * t.u(i, 5) END AS tx, age
  FROM (SELECT i, floor(6 * t.u(i, 6) * t.u(i, 7))::float8 AS x, 1 + 30 * t.u(i, 8) AS age FROM generate_series(1, 24) i) h;
CREATE FUNCTION t.fit(model text, names text[], params float8[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_object_agg(n, v) || jsonb_build_object('model', model) FROM unnest(names, params) u(n, v)
$$;
CREATE FUNCTION t.far(got float8, want float8, tolerance float8) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN NOT coalesce(abs(got - want) <= tolerance * (1 + abs(want)), false);

SELECT is((SELECT string_agg(format('%s: %s, not %s', i, got, want), E'\n') FROM (
  SELECT i, cdp.model_log_likelihood(t.fit('bgnbd', '{r,alpha,a,b}', ARRAY[r, alpha, a, b]), x, tx, age) AS got,
    ln(t.gmean(r, alpha, x, age) * t.bmean(a, b, 0, x) + CASE WHEN x > 0 THEN t.gmean(r, alpha, x, tx) * t.bmean(a, b, 1, x - 1) ELSE 0 END) AS want FROM t.point) q
  WHERE t.far(got, want, 1e-9)), NULL, 'BG/NBD: the likelihood over rates and chances to drop out');
SELECT is((SELECT string_agg(format('%s: %s, not %s', i, got, want), E'\n') FROM (
  SELECT i, cdp.model_log_likelihood(t.fit('mbgnbd', '{r,alpha,a,b}', ARRAY[r, alpha, a, b]), x, tx, age) AS got,
    ln(t.gmean(r, alpha, x, age) * t.bmean(a, b, 0, x + 1) + t.gmean(r, alpha, x, tx) * t.bmean(a, b, 1, x)) AS want FROM t.point) q
  WHERE t.far(got, want, 1e-9)), NULL, 'MBG/NBD likewise');
-- Pareto/NBD: the means in closed form, the time of death by the trapezoidal rule in tanh, which ends gently.
CREATE FUNCTION t.moment(shape float8, rate float8, x float8, age float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(exp(sum(ln(shape + i)) FILTER (WHERE i < x)), 1) * exp(shape * ln(rate) - (shape + x) * ln(rate + age)) FROM generate_series(0, 20) i
$$;
SELECT is((SELECT string_agg(format('%s: %s, not %s', i, got, want), E'\n') FROM (
  SELECT i, cdp.model_log_likelihood(t.fit('paretonbd', '{r,alpha,s,beta}', ARRAY[r, alpha, a, b]), x, tx, age) AS got,
    ln(t.moment(r, alpha, x, age) * t.moment(a, b, 0, age)
       + coalesce((SELECT sum(t.moment(r, alpha, x, at) * t.moment(a, b, 1, at) * width) FROM (
           SELECT tx + (age - tx) / (1 + exp(-pi() * sinh(n * 0.125))) AS at,
             (age - tx) * 0.125 * pi() * cosh(n * 0.125) / (2 + exp(pi() * sinh(n * 0.125)) + exp(-pi() * sinh(n * 0.125))) AS width
           FROM generate_series(-24, 24) n) d), 0)) AS want FROM t.point) q
  WHERE t.far(got, want, 1e-9)), NULL, 'Pareto/NBD: the likelihood over times of death');
SELECT is((SELECT string_agg(format('%s: %s, not %s', i, got, want), E'\n') FROM (
  SELECT i, cdp.model_log_likelihood(t.fit('bgbb', '{alpha,beta,gamma,delta}', ARRAY[r, alpha, a, b]), x, last, last + after) AS got,
    ln(t.bmean(r, alpha, x, last + after - x) * t.bmean(a, b, 0, last + after)
       + (SELECT coalesce(sum(t.bmean(r, alpha, x, m - x) * t.bmean(a, b, 1, m)), 0) FROM generate_series(last::int, last::int + after::int - 1) m)) AS want
  FROM (SELECT *, CASE WHEN x = 0 THEN 0 ELSE x + floor(3 * t.u(i, 5)) END AS last, floor(5 * t.u(i, 9)) AS after FROM t.point) p) q
  WHERE t.far(got, want, 1e-9)), NULL, 'BG/BB: the likelihood over chances to buy and to die, and over periods of death');
CREATE FUNCTION t.gamma(z float8) RETURNS float8 LANGUAGE sql STABLE AS $$ SELECT sum(t.e(z * y - e)) * 0.1 FROM t.y $$;
SELECT is((SELECT string_agg(format('%s: %s, not %s', i, got, want), E'\n') FROM (
  SELECT i, cdp.model_log_likelihood(t.fit('gammagamma', '{p,q,v}', ARRAY[a, r, alpha]), x, age) AS got,
    ln((SELECT sum(t.e(r * y - alpha * e + a * x * (y + ln(x)) + (a * x - 1) * ln(age) - x * e * age)) / sum(t.e(r * y - alpha * e)) FROM t.y) / t.gamma(a * x)) AS want
  FROM t.point WHERE x > 0) q
  WHERE t.far(got, want, 1e-9)), NULL, 'Gamma-Gamma: the likelihood over customers'' means');

-- Means and distributions are computed on different ways: they belong together.
CREATE TABLE t.model AS
SELECT i, x, tx, age, t.fit(m, CASE m WHEN 'paretonbd' THEN '{r,alpha,s,beta}'::text[] ELSE '{r,alpha,a,b}' END, ARRAY[r, alpha, a, b]) AS fit FROM t.point, unnest('{bgnbd,mbgnbd,paretonbd}'::text[]) m WHERE i <= 8
UNION ALL
SELECT i, x, CASE WHEN x = 0 THEN 0 ELSE x + 1 END, x + 4, t.fit('bgbb', '{alpha,beta,gamma,delta}', ARRAY[r, alpha, a, b]) FROM t.point WHERE i <= 8;
SELECT is((SELECT string_agg(format('%s %s: %s, %s, not %s', i, fit, whole, mean, want), E'\n') FROM (
  SELECT m.i, m.fit, sum(cdp.purchase_probability(fit, n, 2, x, tx, age)) AS whole, sum(n * cdp.purchase_probability(fit, n, 2, x, tx, age)) AS mean,
    cdp.expected_purchases(fit, 2, x, tx, age) AS want
  FROM t.model m, generate_series(0, 150) n GROUP BY m.i, m.fit, x, tx, age) q
  WHERE t.far(whole, 1, 1e-9) OR t.far(mean, want, 1e-6)), NULL, 'the distribution of purchases adds up to 1, and its mean is what is expected');
SELECT is((SELECT string_agg(format('%s %s: %s, not %s', i, fit, got, want), E'\n') FROM (
  SELECT i, fit, cdp.expected_purchases(fit, 1e-3, x, tx, age) / 1e-3 AS got,
    cdp.probability_alive(fit, x, tx, age) * ((fit ->> 'r')::float8 + x) / ((fit ->> 'alpha')::float8 + age) AS want FROM t.model WHERE fit ->> 'model' <> 'bgbb') q
  WHERE t.far(got, want, 1e-3)), NULL, 'in a moment a customer buys at his rate, if he is alive');
-- E[Y(t)] of BG/NBD by integration where a is 1, where the horizon is huge, and where parameters are extreme.
SELECT is((SELECT string_agg(format('%s: %s, not %s', v, got, want), E'\n') FROM (
  SELECT v, cdp.expected_purchases(t.fit('bgnbd', '{r,alpha,a,b}', v[1:4]), v[5]) AS got,
    (SELECT sum(t.e(v[3] * p + v[4] * q) * (1 - (1 + exp(p) * v[5] / v[2]) ^ -v[1]) / exp(p)) / sum(t.e(v[3] * p + v[4] * q)) FROM t.p) AS want
  FROM (VALUES (ARRAY[0.5, 4, 1, 2, 10]::float8[]), ('{0.5,4,1.0000001,2,10}'), ('{0.5,4,0.9995,2,30}'), ('{0.5,4,0.8,2,1e6}'), ('{2,1,0.7,0.4,3}'), ('{1,1,30,40,5}'), ('{0.3,5,0.7,2,0.001}')) x(v)) q
  WHERE t.far(got, want, 1e-8)), NULL, 'BG/NBD: expected purchases where the closed form fails');
SELECT is((SELECT round(sum(cdp.lifetime_value(fit, 10, 12, 0, s, 3, 5, 6) - 10 * cdp.expected_purchases(fit, 12, 3, 5, 6))::numeric, 9)
             FROM t.model, unnest('{1,5,12,100}'::float8[]) s WHERE i = 1 AND fit ->> 'model' <> 'bgbb'), 0.000000000, 'without discount a lifetime value is the purchases times their value');
SELECT is((SELECT round(cdp.lifetime_value(fit, 10, 3, 0.1, 2, 3, 5, 6)::numeric, 9) FROM t.model WHERE i = 1 AND fit ->> 'model' = 'paretonbd'),
  (SELECT round((10 * (cdp.expected_purchases(fit, 2, 3, 5, 6) / 1.1 + (cdp.expected_purchases(fit, 3, 3, 5, 6) - cdp.expected_purchases(fit, 2, 3, 5, 6)) / 1.1 ^ 1.5))::numeric, 9)
     FROM t.model WHERE i = 1 AND fit ->> 'model' = 'paretonbd'), 'a discount counts from the end of each step, the last of which is shorter');

-- Simulated customers: rates gamma(2, 8), chances to drop out beta(2, 3), lives gamma(2, 30).
CREATE FUNCTION t.simulate(who int, dies boolean, OUT x float8, OUT tx float8, OUT age float8) LANGUAGE plpgsql AS $$
DECLARE
  rate float8 := -(ln(t.u(who, 1)) + ln(t.u(who, 2))) / 8;
  chance float8 := (SELECT u FROM (SELECT t.u(who, 10 + j) AS u FROM generate_series(1, 4) j) s ORDER BY u OFFSET 1 LIMIT 1);
  life float8 := -ln(t.u(who, 3)) / (-(ln(t.u(who, 4)) + ln(t.u(who, 5))) / 30);
  at float8 := 0;
BEGIN
  age := 20 + 20 * t.u(who, 6);
  x := 0;
  tx := 0;
  FOR n IN 20..400 LOOP
    at := at - ln(t.u(who, 2 * n)) / rate;
    EXIT WHEN at > age OR (dies AND at > life);
    x := x + 1;
    tx := at;
    EXIT WHEN NOT dies AND t.u(who, 2 * n + 1) < chance;
  END LOOP;
END $$;
CREATE TABLE t.customer AS SELECT dies, s.* FROM generate_series(1, 2500) who, unnest('{t,f}'::boolean[]) dies, t.simulate(who, dies) s;
CREATE FUNCTION t.off(fit jsonb, names text[], want float8[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s = %s +- %s, not %s', n, fit ->> n, fit -> 'standard_errors' ->> n, w), ', ') FROM unnest(names, want) u(n, w)
   WHERE NOT coalesce(abs((fit ->> n)::float8 - w) < 3 * (fit -> 'standard_errors' ->> n)::float8 AND (fit -> 'standard_errors' ->> n)::float8 < 0.5 * w AND (fit ->> 'converged')::boolean, false)
$$;
SELECT is((SELECT t.off(cdp.fit_bgnbd(x, tx, age), '{r,alpha,a,b}', '{2,8,2,3}') FROM t.customer WHERE NOT dies), NULL, 'BG/NBD finds the parameters of simulated customers');
SELECT is((SELECT t.off(cdp.fit_paretonbd(x, tx, age), '{r,alpha,s,beta}', '{2,8,2,30}') FROM t.customer WHERE dies), NULL, 'so does Pareto/NBD');
SELECT is((SELECT t.off(cdp.fit_gammagamma(n, m), '{p,q,v}', '{3,4,60}') FROM (
  SELECT n, -sum(ln(t.u(who, 100 + j)))
      / (-(ln(t.u(who, 1)) + ln(t.u(who, 2)) + ln(t.u(who, 3)) + ln(t.u(who, 4))) / 60) / n AS m
    FROM (SELECT who, 1 + who % 5 AS n FROM generate_series(1, 2500) who) c, generate_series(1, 3 * n) j GROUP BY who, n) s), NULL, 'and Gamma-Gamma');
SELECT * FROM finish();
ROLLBACK;

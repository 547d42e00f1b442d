-- Logistic models of labelled rows: published answers, a slow twin by Newton's method in SQL, exact AUC with ties, calibration,
-- contributions, separation, constants, bad input.
BEGIN;
SELECT plan(40);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
SET LOCAL extra_float_digits = 1;
CREATE SCHEMA t;

-- Finney 1947: 39 breaths and whether vessels of the skin narrowed. Pregibon 1981: -2.875 (1.321), 5.179 (1.865), 4.562 (1.838),
-- deviance 29.23 against 54.04.
CREATE TABLE t.breath AS
SELECT unnest('{3.70,3.50,1.25,0.75,0.80,0.70,0.60,1.10,0.90,0.90,0.80,0.55,0.60,1.40,0.75,2.30,3.20,0.85,1.70,1.80,0.40,0.95,1.35,1.50,1.60,0.60,1.80,0.95,1.90,1.60,2.70,2.35,1.10,1.10,1.20,0.80,0.95,0.75,1.30}'::float8[]) AS volume,
  unnest('{0.825,1.09,2.50,1.50,3.20,3.50,0.75,1.70,0.75,0.45,0.57,2.75,3.00,2.33,3.75,1.64,1.60,1.415,1.06,1.80,2.00,1.36,1.35,1.36,1.78,1.50,1.50,1.90,0.95,0.40,0.75,0.03,1.83,2.20,2.00,3.33,1.90,1.90,1.625}'::float8[]) AS rate,
  unnest('{1,1,1,1,1,1,0,0,0,0,0,0,0,1,1,1,1,1,0,1,0,0,0,0,1,0,1,0,1,0,1,0,0,1,1,1,0,0,1}'::int[]) = 1 AS narrowed;
CREATE TABLE t.model AS SELECT cdp.fraud_model_fit(narrowed, ARRAY[ln(volume), ln(rate)], 0, '{volume,rate}') AS m FROM t.breath;
SELECT is((SELECT concat_ws(' ', round((m ->> 'intercept')::numeric, 3), round((m -> 'beta' ->> 0)::numeric, 3), round((m -> 'beta' ->> 1)::numeric, 3)) FROM t.model), '-2.875 5.179 4.562', 'coefficients of Pregibon 1981');
SELECT is((SELECT concat_ws(' ', round((m ->> 'intercept_standard_error')::numeric, 3), round((m -> 'standard_error' ->> 0)::numeric, 3), round((m -> 'standard_error' ->> 1)::numeric, 3)) FROM t.model), '1.321 1.865 1.838', 'their standard errors');
SELECT is((SELECT concat_ws(' ', round((m ->> 'deviance')::numeric, 2), round((m ->> 'null_deviance')::numeric, 2)) FROM t.model), '29.23 54.04', 'deviances');
SELECT is((SELECT concat_ws(' ', m ->> 'rows', m ->> 'positives', m ->> 'skipped', m ->> 'converged', m ->> 'separated', m ->> 'dropped') FROM t.model), '39 20 0 true false []', 'counts and signs');
-- Dalal, Fowlkes and Hoadley 1989: damage to rings by temperature (Fahrenheit) of 23 starts: 15.0429 (7.3786), -0.2322 (0.1082).
CREATE TABLE t.ring AS SELECT unnest('{66,70,69,68,67,72,73,70,57,63,70,78,67,53,67,75,70,81,76,79,75,76,58}'::float8[]) AS at, unnest('{0,1,0,0,0,0,0,0,1,1,1,0,0,1,0,0,0,0,0,0,1,0,1}'::int[]) = 1 AS damage;
CREATE TABLE t.rings AS SELECT cdp.fraud_model_fit(damage, ARRAY[at], 0, '{temperature}') AS m FROM t.ring;
SELECT is((SELECT concat_ws(' ', round((m ->> 'intercept')::numeric, 4), round((m -> 'beta' ->> 0)::numeric, 4), round((m ->> 'intercept_standard_error')::numeric, 4), round((m -> 'standard_error' ->> 0)::numeric, 4)) FROM t.rings), '15.0429 -0.2322 7.3786 0.1082', 'rings by temperature');
SELECT is((SELECT round(cdp.fraud_model_predict(m, ARRAY[31])::numeric, 4) FROM t.rings), 0.9996, 'damage at 31 degrees was all but certain');
-- One feature with two values: the answer is the log odds ratio, here ln((12 * 15) / (5 * 8)).
CREATE TABLE t.two AS SELECT i < 17 AS x, i < 12 OR i BETWEEN 17 AND 24 AS y FROM generate_series(0, 39) i;
SELECT is((SELECT round((m -> 'beta' ->> 0)::numeric, 12) || ' ' || round((m ->> 'intercept')::numeric, 12) FROM (SELECT cdp.fraud_model_fit(y, ARRAY[x::int], 0, NULL) AS m FROM t.two) s),
  round(ln(12.0 * 15 / (5 * 8)), 12) || ' ' || round(ln(8.0 / 15), 12), 'the log odds ratio of a fourfold table');

-- Newton's method in SQL: normal equations by sums, solved by Gauss and Jordan.
CREATE TABLE t.sample (seed int, y boolean, x float8[]);
CREATE FUNCTION t.fit(of_seed int, l2 float8) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
  p int := (SELECT array_length(x, 1) FROM t.sample WHERE seed = of_seed LIMIT 1);
  mean float8[];
  sd float8[];
  beta float8[] := array_fill(0::float8, ARRAY[p + 1]);
  a float8[];
  d float8;
BEGIN
  SELECT array_agg(m ORDER BY i), array_agg(s ORDER BY i) INTO mean, sd FROM (SELECT i, avg(v) AS m, stddev_pop(v) AS s FROM t.sample, unnest(x) WITH ORDINALITY u (v, i) WHERE seed = of_seed GROUP BY i) q;
  CREATE TEMP TABLE z AS SELECT y::int AS y, ARRAY[1::float8] || (SELECT array_agg((v - mean[i]) / sd[i] ORDER BY i) FROM unnest(x) WITH ORDINALITY u (v, i)) AS x FROM t.sample WHERE seed = of_seed;
  FOR step IN 1 .. 30 LOOP
    -- Rows of the normal equations, with minus the gradient behind.
    SELECT array_agg(r ORDER BY j) INTO a FROM (
      SELECT j, array_agg(s ORDER BY k) || (-max(g)) AS r FROM (
        SELECT j, k, sum(w * z.x[j] * z.x[k]) + CASE WHEN j = k AND j > 1 THEN l2 ELSE 0 END AS s, sum(e * z.x[j]) + CASE WHEN j > 1 THEN l2 * beta[j] ELSE 0 END AS g
        FROM (SELECT q.x, pr - q.y AS e, pr * (1 - pr) AS w FROM (SELECT z.x, z.y, 1 / (1 + exp(-(SELECT sum(b * v) FROM unnest(beta, z.x) u (b, v)))) AS pr FROM z) q) z,
          generate_series(1, p + 1) j, generate_series(1, p + 1) k GROUP BY j, k) c GROUP BY j) rows;
    FOR j IN 1 .. p + 1 LOOP
      d := a[j][j];
      FOR k IN 1 .. p + 2 LOOP a[j][k] := a[j][k] / d; END LOOP;
      FOR i IN 1 .. p + 1 LOOP
        CONTINUE WHEN i = j;
        d := a[i][j];
        FOR k IN 1 .. p + 2 LOOP a[i][k] := a[i][k] - d * a[j][k]; END LOOP;
      END LOOP;
    END LOOP;
    FOR j IN 1 .. p + 1 LOOP beta[j] := beta[j] + a[j][p + 2]; END LOOP;
  END LOOP;
  DROP TABLE z;
  RETURN (SELECT (beta[1] - sum(beta[i + 1] / sd[i] * mean[i])) || array_agg(beta[i + 1] / sd[i] ORDER BY i) FROM generate_series(1, p) i);
END $$;
SELECT setseed(0.42) \g /dev/null
INSERT INTO t.sample
SELECT seed, random() < 1 / (1 + exp(-(x[1] * seed / 4 - x[2] + 0.3))), x
FROM (SELECT seed, ARRAY[random() * 4 - 2, random() * 100 * seed / 50, 1e6 + random() * 10] || CASE WHEN seed % 2 = 0 THEN ARRAY[(random() < 0.3)::int::float8] ELSE '{}' END AS x FROM generate_series(1, 6) seed, generate_series(1, 100)) s;
CREATE FUNCTION t.off(seeds int, l2 float8) RETURNS float8 LANGUAGE sql AS $$
  SELECT max(abs(e.v - g.v) / (abs(e.v) + 1e-3)) FROM generate_series(1, seeds) k,
    LATERAL (SELECT t.fit(k, l2) AS e, (SELECT cdp.fraud_model_fit(y, x, l2, NULL) FROM t.sample WHERE seed = k) AS m) f,
    LATERAL unnest(e) WITH ORDINALITY e (v, i),
    LATERAL (SELECT (CASE WHEN e.i = 1 THEN m ->> 'intercept' ELSE m -> 'beta' ->> (e.i - 2)::int END)::float8 AS v) g
$$;
SELECT cmp_ok(t.off(6, 1), '<', 1e-6::float8, 'equal to Newton''s method in SQL, with the usual penalty');
SELECT cmp_ok(t.off(4, 25), '<', 1e-6::float8, 'with a heavy one');
SELECT cmp_ok(t.off(2, 0), '<', 1e-5::float8, 'and without');
SELECT is((SELECT cdp.fraud_model_fit(y, x)::text FROM (SELECT * FROM t.sample WHERE seed = 4 ORDER BY random()) s), (SELECT cdp.fraud_model_fit(y, x)::text FROM t.sample WHERE seed = 4), 'any order of rows gives the same digits');
SELECT is((SELECT cdp.fraud_model_fit(y, x)::text FROM t.sample WHERE seed = 4), (SELECT cdp.fraud_model_fit(y, x, 1, NULL)::text FROM t.sample WHERE seed = 4), 'the usual penalty is 1');

-- Prediction and contributions.
CREATE TABLE t.four AS SELECT cdp.fraud_model_fit(y, x, 1, '{a,b,c,d}') AS m FROM t.sample WHERE seed = 4;
SELECT cmp_ok((SELECT max(abs(ln(p / (1 - p)) - c - (m ->> 'intercept')::float8 - (SELECT sum(b::float8 * v::float8) FROM jsonb_array_elements_text(m -> 'beta') WITH ORDINALITY b (b, i) JOIN jsonb_array_elements_text(m -> 'mean') WITH ORDINALITY v (v, i) USING (i))))
  FROM t.four, t.sample, LATERAL (SELECT cdp.fraud_model_predict(m, x) AS p, (SELECT sum(contribution) FROM cdp.fraud_model_contributions(m, x)) AS c) q WHERE seed = 4), '<', 1e-7::float8, 'contributions and the mean row make the log odds');
SELECT is((SELECT bool_and(abs(contribution - (m -> 'beta' ->> strpos('abcd', feature) - 1)::float8 * (value - mean)) < 1e-12) AND bool_and(ok) FROM t.four, LATERAL (SELECT *, abs(contribution) <= lag(abs(contribution), 1, 'Infinity') OVER () AS ok FROM cdp.fraud_model_contributions(m, '{1,2,3,4}')) c), true, 'each is beta * (value - mean), the largest first');
SELECT is((SELECT cdp.fraud_model_predict(m, '{1,2,3,NULL}') FROM t.four), NULL, 'a feature that is not known: no probability');
SELECT is((SELECT cdp.fraud_model_predict(m, '{1,2,3}') IS NULL AND cdp.fraud_model_predict(m, '{1,2,3,4,5}') IS NULL AND cdp.fraud_model_predict(m, NULL) IS NULL FROM t.four), true, 'nor with too few or too many');
SELECT is((SELECT cdp.fraud_model_predict(m, '{1e300,-1e300,0,0}') BETWEEN 0 AND 1 FROM t.four), true, 'far features give a probability');
SELECT is((SELECT string_agg(coalesce(contribution::text, 'NULL'), ' ') FROM t.four, cdp.fraud_model_contributions(m, '{NULL}')), 'NULL NULL NULL NULL', 'no contribution of what is not known');

-- What a model cannot do is said.
SELECT is((SELECT concat_ws(' ', m ->> 'separated', m ->> 'converged', m -> 'standard_error') FROM (SELECT cdp.fraud_model_fit(at > 70, ARRAY[at], 0, NULL) AS m FROM t.ring) s), 'true false [null]', 'a plane parts the labels: no best model');
SELECT is((SELECT concat_ws(' ', m ->> 'separated', m ->> 'converged') FROM (SELECT cdp.fraud_model_fit(at > 70, ARRAY[at]) AS m FROM t.ring) s), 'false true', 'a penalty makes one');
SELECT is((SELECT concat_ws(' ', m ->> 'dropped', m -> 'beta' ->> 1, m -> 'sd' ->> 1, round((m -> 'beta' ->> 0)::numeric, 4)) FROM (SELECT cdp.fraud_model_fit(damage, ARRAY[at, 0.1, 2 * at], 0, '{at,same,double}') AS m FROM t.ring) s), '["same", "double"] 0 0 -0.2322', 'constants and what others determine keep their place with 0');
SELECT is((SELECT concat_ws(' ', m ->> 'dropped', round((m -> 'beta' ->> 0)::numeric / 2, 10) = round((m -> 'beta' ->> 1)::numeric, 10)) FROM (SELECT cdp.fraud_model_fit(damage, ARRAY[at, 2 * at]) AS m FROM t.ring) s), '[] t', 'with a penalty they share the weight');
SELECT is((SELECT concat_ws(' ', m ->> 'rows', m ->> 'skipped') FROM (SELECT cdp.fraud_model_fit(CASE WHEN at <> 66 THEN damage END, CASE WHEN at = 81 THEN NULL WHEN at = 79 THEN ARRAY[NULL::float8] ELSE ARRAY[at] END) AS m FROM t.ring) s), '20 3', 'rows with a NULL are skipped and counted');
SELECT is((SELECT m -> 'beta' FROM (SELECT cdp.fraud_model_fit(damage, '{}') AS m FROM t.ring) s), '[]', 'no feature: the intercept alone');
SELECT throws_ok('SELECT cdp.fraud_model_fit(true, ARRAY[at]) FROM t.ring', '22023', 'a model needs rows of both labels', 'one label');
SELECT throws_ok('SELECT cdp.fraud_model_fit(damage, ARRAY[at]) FROM t.ring WHERE false', '22023', NULL, 'no rows');
SELECT throws_ok('SELECT cdp.fraud_model_fit(damage, CASE WHEN at > 70 THEN ARRAY[at] ELSE ARRAY[at, 1] END) FROM t.ring', '2202E', 'rows have different numbers of features', 'rows of different length');
SELECT throws_ok('SELECT cdp.fraud_model_fit(damage, ARRAY[''NaN''::float8]) FROM t.ring', '22023', 'numbers of labelled rows must be finite', 'NaN');
SELECT throws_ok('SELECT cdp.fraud_model_fit(damage, ARRAY[at], -1, NULL) FROM t.ring', '22023', NULL, 'a penalty below 0');
SELECT throws_ok('SELECT cdp.fraud_model_fit(damage, ARRAY[at], at, NULL) FROM t.ring', '22023', 'l2 differs from row to row', 'a penalty that changes');
SELECT throws_ok('SELECT cdp.fraud_model_fit(damage, ARRAY[at], 1, ''{a,b}'') FROM t.ring', '2202E', NULL, 'more names than features');
SET LOCAL cdp.fraud_memory = '1MB';
SELECT throws_ok('SELECT cdp.fraud_model_fit(i % 2 = 0, ARRAY[i, i, i]) FROM generate_series(1, 50000) i', '54000', NULL, 'rows that do not fit into memory');
RESET cdp.fraud_memory;

-- AUC: pairs counted one by one.
CREATE TABLE t.score AS SELECT k, floor(random() * (k + 1)) / 40 AS s, random() < 0.3 AS l FROM generate_series(0, 30) k, generate_series(1, 40);
SELECT is((SELECT count(*) FROM (SELECT k, cdp.fraud_auc(s, l) AS ours FROM t.score GROUP BY k) x
  JOIN (SELECT k, avg(CASE WHEN a.s > b.s THEN 1 WHEN a.s = b.s THEN 0.5 ELSE 0 END)::float8 AS twin FROM t.score a JOIN t.score b USING (k) WHERE a.l AND NOT b.l GROUP BY k) y USING (k) WHERE abs(ours - twin) < 1e-15), 31::bigint, 'AUC with ties, exact');
SELECT is((SELECT concat_ws(' ', cdp.fraud_auc(s, l) FILTER (WHERE l), cdp.fraud_auc(s, NULL), cdp.fraud_auc(s, s > 0.3)) FROM t.score), '1', 'NULL without both labels; 1 when all are right');

-- Calibration.
CREATE TABLE t.calibration AS SELECT cdp.fraud_calibration(s, l, 8) AS c FROM t.score;
SELECT is((SELECT string_agg(concat_ws('/', bin, cases, positives, round(mean_score::numeric, 9)), ' ' ORDER BY bin) FROM t.calibration, cdp.fraud_calibration_table(c)),
  (SELECT string_agg(concat_ws('/', bin, n, positives, round(m::numeric, 9)), ' ' ORDER BY bin) FROM (SELECT least(8, floor(s * 8) + 1) AS bin, count(*) AS n, count(*) FILTER (WHERE l) AS positives, avg(s) AS m FROM t.score GROUP BY 1) x), 'bins');
SELECT is((SELECT concat_ws(' ', round((c ->> 'brier')::numeric, 12), round((c ->> 'expected_calibration_error')::numeric, 12), c ->> 'rows') FROM t.calibration),
  (SELECT concat_ws(' ', round(avg((s - l::int) ^ 2)::numeric, 12), round((SELECT sum(abs(d)) / (SELECT count(*) FROM t.score) FROM (SELECT sum(s - l::int) AS d FROM t.score GROUP BY least(8, floor(s * 8) + 1)) x)::numeric, 12), count(*)) FROM t.score), 'Brier score and calibration error');
-- Platt's scaling is the best line for smoothed targets: there the sums of errors and of errors by score are 0.
SELECT cmp_ok((SELECT abs(sum(e)) + abs(sum(e * s)) FROM (SELECT s, 1 / (1 + exp(-(c -> 'platt' ->> 'intercept')::float8 - (c -> 'platt' ->> 'slope')::float8 * s)) - CASE WHEN l THEN (p + 1.0) / (p + 2.0) ELSE 1.0 / (n - p + 2) END AS e
  FROM t.score, t.calibration, (SELECT count(*) AS n, count(*) FILTER (WHERE l) AS p FROM t.score) k) q), '<', 1e-8::float8, 'Platt''s scaling');
SELECT is((SELECT concat_ws(' ', c ->> 'platt' IS NULL, c ->> 'auc' IS NULL, c -> 'bins' -> 0 ->> 'rate') FROM (SELECT cdp.fraud_calibration(0.5, true, 1) AS c) x), 't t 1', 'one label: no line, no AUC');
SELECT throws_ok('SELECT cdp.fraud_calibration(1.5, true, 10)', '22003', 'a score is no probability', 'a score above 1');
SELECT throws_ok('SELECT cdp.fraud_calibration(0.5, true, 0)', '22003', 'bins is out of range', 'no bins');
SELECT * FROM finish();
ROLLBACK;

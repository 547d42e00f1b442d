-- Referral room, report: statistics that its figures and recommendations need and that any query may use: the bootstrap of a ratio,
-- times that are not over yet (Kaplan and Meier), the logrank test, binomial tails, and many tests at once (Benjamini and Hochberg).

CREATE OR REPLACE FUNCTION cdp.bootstrap_ratio(numerators double precision[], denominators double precision[], seed bigint DEFAULT 1, replicates integer DEFAULT 1000,
  confidence double precision DEFAULT 0.95, OUT ratio double precision, OUT low double precision, OUT high double precision, OUT standard_error double precision)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_bootstrap_ratio';
COMMENT ON FUNCTION cdp.bootstrap_ratio(double precision[], double precision[], bigint, integer, double precision) IS
'ratio: sum of numerators by sum of denominators, where each unit (a customer, say) brings one of each; low to high its interval by the percentile bootstrap over units (Efron 1979), standard_error the spread of the resampled ratios. The same seed gives the same interval on any machine and in any order of the units. A resample whose denominators sum to 0 is left out. NULL ratio when the denominators sum to 0 or there is none; NULL interval with fewer than two units. 20 bytes a unit. NULL when an argument is NULL. Errors: 22023 arrays of unequal length, a value that is not finite, a denominator below 0, replicates not in 1 to 100000 or times units above 2e9, confidence; 22004 a NULL within.';

CREATE OR REPLACE FUNCTION cdp.survival_curve(times double precision[], ended boolean[])
RETURNS TABLE (at double precision, at_risk bigint, ends bigint, survival double precision, log_variance double precision)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(times) <> cardinality(ended) OR EXISTS (SELECT FROM unnest(times, ended) AS u (t, e) WHERE u.t IS NULL OR u.e IS NULL OR NOT (u.t >= 0 AND u.t < 'Infinity')) THEN
    RAISE EXCEPTION 'there must be a time of 0 or more for each end' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('There are %s times and %s ends.', cardinality(times), cardinality(ended)),
      HINT = 'Times are finite and not NULL; ended tells whether it ended then (true) or was last seen going on (false).';
  END IF;
  RETURN QUERY
  WITH moment AS (
    SELECT u.t, count(*) FILTER (WHERE u.e) AS d, (sum(count(*)) OVER (ORDER BY u.t DESC))::bigint AS n FROM unnest(times, ended) AS u (t, e) GROUP BY u.t
  )
  SELECT m.t, m.n, m.d, CASE WHEN bool_or(m.d = m.n) OVER w THEN 0 ELSE exp(sum(ln(CASE WHEN m.d = m.n THEN 1 ELSE 1 - m.d::double precision / m.n END)) OVER w) END,
    sum(m.d::double precision / nullif(m.n::double precision * (m.n - m.d), 0)) OVER w
  FROM moment m WHERE m.d > 0 WINDOW w AS (ORDER BY m.t) ORDER BY m.t;
END
$$;
COMMENT ON FUNCTION cdp.survival_curve(double precision[], boolean[]) IS
'The estimate of Kaplan and Meier (1958): how much goes on longer than at, where some were still going on when last seen (ended false). A row for each time at which something ended: at_risk were going on until then, ends ended, survival is the part that goes on, log_variance the sum of Greenwood (variance of survival = survival^2 times it). No row when nothing ended; NULL arrays give none. Error 22023: arrays of unequal length, a NULL, a time below 0 or not finite.';

CREATE OR REPLACE FUNCTION cdp.survival_quantile(times double precision[], ended boolean[], part double precision DEFAULT 0.5, confidence double precision DEFAULT 0.95,
  OUT value double precision, OUT low double precision, OUT high double precision, OUT n bigint, OUT ends bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  z double precision;
  eps constant double precision := 1e-12; -- a product of quotients may miss a half by its last digits
BEGIN
  IF NOT (part > 0 AND part < 1 AND confidence > 0 AND confidence < 1) THEN
    RAISE EXCEPTION 'part and confidence must lie between 0 and 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', part, confidence);
  END IF;
  z := cdp.normal_quantile(1 - (1 - confidence) / 2);
  -- An interval for survival at each time by log(-log): what it leaves possible at the quantile (Brookmeyer and Crowley 1982).
  SELECT min(c.at) FILTER (WHERE c.survival <= 1 - part + eps), min(c.at) FILTER (WHERE c.lower <= 1 - part + eps), min(c.at) FILTER (WHERE c.upper <= 1 - part + eps), coalesce(sum(c.ends), 0)
  INTO value, low, high, ends
  FROM (SELECT s.at, s.survival, s.ends, CASE WHEN s.survival <= 0 THEN 0 WHEN s.survival >= 1 THEN 1 ELSE s.survival ^ exp(z * sqrt(s.log_variance) / -ln(s.survival)) END AS lower,
      CASE WHEN s.survival <= 0 THEN 0 WHEN s.survival >= 1 THEN 1 ELSE s.survival ^ exp(-z * sqrt(s.log_variance) / -ln(s.survival)) END AS upper
    FROM cdp.survival_curve(times, ended) s) c;
  n := cardinality(times);
END
$$;
COMMENT ON FUNCTION cdp.survival_quantile(double precision[], boolean[], double precision, double precision) IS
'The time by which that part has ended, by the curve of Kaplan and Meier, with its interval by log(-log) limits (Brookmeyer and Crowley 1982, as SAS and R''s conf.type log-log): part 0.5 is the median of times some of which are not over. NULL where so many have not ended yet. n: how many times; ends: how many ended. Errors 22023: as cdp.survival_curve(), part or confidence out of range.';

CREATE OR REPLACE FUNCTION cdp.logrank_test(times double precision[], ended boolean[], base_times double precision[], base_ended boolean[],
  OUT observed bigint, OUT expected double precision, OUT chi_square double precision, OUT p_value double precision)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  variance double precision;
BEGIN
  PERFORM FROM cdp.survival_curve(times, ended);
  PERFORM FROM cdp.survival_curve(base_times, base_ended);
  WITH moment AS (
    SELECT u.t, count(*) FILTER (WHERE u.e) AS d, count(*) FILTER (WHERE u.e AND u.g) AS d1, sum(count(*)) OVER w AS n, sum(count(*) FILTER (WHERE u.g)) OVER w AS n1
    FROM (SELECT x.t, x.e, true AS g FROM unnest(times, ended) AS x (t, e) UNION ALL SELECT x.t, x.e, false FROM unnest(base_times, base_ended) AS x (t, e)) u GROUP BY u.t WINDOW w AS (ORDER BY u.t DESC)
  )
  SELECT coalesce(sum(m.d1), 0), sum(m.d * m.n1 / m.n ORDER BY m.t), sum(m.d * (m.n1 / m.n) * (1 - m.n1 / m.n) * (m.n - m.d) / nullif(m.n - 1, 0) ORDER BY m.t) INTO observed, expected, variance FROM moment m WHERE m.d > 0;
  IF variance > 0 THEN
    chi_square := (observed - expected) ^ 2 / variance;
    p_value := cdp.chi_square_cdf(chi_square, 1, true);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.logrank_test(double precision[], boolean[], double precision[], boolean[]) IS
'Whether times of two groups, some of which are not over (ended false), come from one curve: observed ends of the first group, expected ones if they did, chi_square and the two-sided p_value of the logrank test (Mantel 1966; hypergeometric variance). More observed than expected: the first group is faster. NULL p_value when nothing ended or the groups share no time. Error 22023: as cdp.survival_curve().';

CREATE OR REPLACE FUNCTION cdp.binomial_tail(hits bigint, tries bigint, chance double precision, upper boolean DEFAULT true) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF hits < 0 OR hits > tries OR NOT (chance >= 0 AND chance <= 1) THEN
    RAISE EXCEPTION 'hits must lie between 0 and the number of tries, a chance between 0 and 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('There are %s hits of %s tries with chance %s.', hits, tries, chance);
  END IF;
  RETURN CASE WHEN upper THEN CASE WHEN hits = 0 THEN 1 ELSE cdp.beta_cdf(chance, hits, tries - hits + 1) END
    ELSE CASE WHEN hits = tries THEN 1 ELSE cdp.beta_cdf(chance, hits + 1, tries - hits, true) END END;
END
$$;
COMMENT ON FUNCTION cdp.binomial_tail(bigint, bigint, double precision, boolean) IS
'How likely at least that many hits are in so many tries that each hit with that chance, or at most so many with upper false: the p value of the exact one-sided binomial test. NULL when an argument is NULL. Error 22023: hits not in 0 to tries, chance not in 0 to 1.';

CREATE OR REPLACE FUNCTION cdp.false_discovery(p_values double precision[]) RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM unnest(p_values) p WHERE NOT (p >= 0 AND p <= 1)) THEN
    RAISE EXCEPTION 'p values lie between 0 and 1' USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL stands for a test that was not made.';
  END IF;
  -- The smallest share of false alarms at which each test would be among those that are believed.
  RETURN (SELECT array_agg(CASE WHEN x.p IS NOT NULL THEN x.q END ORDER BY x.i) FROM (
    SELECT r.i, r.p, min(least(1, r.p * r.m / r.k)) OVER (ORDER BY r.p DESC, r.i DESC) AS q
    FROM (SELECT u.p, u.i, count(u.p) OVER () AS m, rank() OVER (ORDER BY u.p) + count(*) OVER (PARTITION BY u.p) - 1 AS k FROM unnest(p_values) WITH ORDINALITY AS u (p, i)) r) x);
END
$$;
COMMENT ON FUNCTION cdp.false_discovery(double precision[]) IS
'The q value of each p value, in their order: believing all tests with a q of at most 0.1 lets at most a tenth of the believed be false on average (Benjamini and Hochberg 1995). NULL p values are tests that were not made: they count for nothing and stay NULL. Error 22023: a p value not in 0 to 1.';

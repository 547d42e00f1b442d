-- What counts and means of samples tell: intervals and tests, from the figures that any query can count.

CREATE OR REPLACE FUNCTION cdp.rate_interval(hits bigint, tries bigint, confidence double precision DEFAULT 0.95,
  OUT low double precision, OUT high double precision)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_rate_interval';
COMMENT ON FUNCTION cdp.rate_interval(bigint, bigint, double precision) IS
'Between which shares (0 to 1) the true share lies when tries independent draws had that many hits: the score interval of Wilson (1927) without continuity correction, two-sided. 0 and 1 without a try. NULL when an argument is NULL. Errors: 22023 hits not in 0 to tries, or confidence not between 0 and 1.';

CREATE OR REPLACE FUNCTION cdp.rate_difference(hits bigint, tries bigint, base_hits bigint, base_tries bigint, confidence double precision DEFAULT 0.95,
  OUT difference double precision, OUT low double precision, OUT high double precision, OUT p_value double precision,
  OUT lift double precision, OUT lift_low double precision, OUT lift_high double precision)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_rate_difference';
COMMENT ON FUNCTION cdp.rate_difference(bigint, bigint, bigint, bigint, double precision) IS
'How the rate of one group (hits of tries) differs from that of another (base): difference = rate - base rate, low and high its interval by the hybrid score method (Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10: Wilson intervals of both, without continuity correction); p_value two-sided by the score test with pooled variance (1 when all or nobody hit); lift = rate / base rate - 1 with its interval by the same method for ratios (Donner and Zou 2012), so that it holds 0 exactly when the other one does; lift is NULL without base hits. All NULL without tries in one of the groups, or when an argument is NULL. The p value and the interval may part near the border. Errors: 22023 hits not in 0 to tries, or confidence not between 0 and 1.';

CREATE OR REPLACE FUNCTION cdp.mean_difference(n bigint, mean double precision, variance double precision,
  base_n bigint, base_mean double precision, base_variance double precision, confidence double precision DEFAULT 0.95,
  OUT difference double precision, OUT low double precision, OUT high double precision, OUT t double precision, OUT df double precision, OUT p_value double precision)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_mean_difference';
COMMENT ON FUNCTION cdp.mean_difference(bigint, double precision, double precision, bigint, double precision, double precision, double precision) IS
'How the mean of one sample differs from that of another (base), from count(x), avg(x) and var_samp(x) of each: difference, its interval low to high, t, df and the two-sided p_value of Welch''s test for unequal variances (Welch 1947, degrees of freedom by Satterthwaite 1946). Only the difference when a sample has fewer than two values or nothing varies; nothing without values in one of them, or when an argument is NULL (var_samp of one value is). Errors: 22023 figures that no sample has, or confidence not between 0 and 1.';

CREATE OR REPLACE FUNCTION cdp.sample_ratio_check(observed bigint[], weights double precision[],
  OUT chi_square double precision, OUT df integer, OUT p_value double precision, OUT suspect boolean)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_sample_ratio_check';
COMMENT ON FUNCTION cdp.sample_ratio_check(bigint[], double precision[]) IS
'Whether counts of groups fit the split that was planned, weights in any unit: Pearson''s chi_square, its degrees of freedom and p_value; suspect when p_value < 0.001, the border usual for experiments: then the assignment or the counting is broken, and what the groups tell of each other is not to be trusted. NULL p_value and suspect where less than 5 are expected in a group: too few to tell. Anybody in a group of weight 0 is suspect (chi_square infinite). NULL when an argument is NULL. Errors: 22023 arrays of unequal length, fewer than two groups, counts or weights below 0; 22004 a NULL in an array; 2202E more than one dimension.';

CREATE OR REPLACE FUNCTION cdp.ks_uniform(shares double precision[], alternative text DEFAULT 'later',
  OUT statistic double precision, OUT p_value double precision, OUT n integer)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_ks_uniform';
COMMENT ON FUNCTION cdp.ks_uniform(double precision[], text) IS
'One-sided test of Kolmogorov: whether shares, which are uniform from 0 to 1 when nothing is wrong (such as cume_dist() of a value in a large population), lie higher (alternative later) or lower (earlier) than uniform ones. statistic: the largest distance of the sample''s curve from the diagonal on that side; p_value: the chance of one as large, exact by Birnbaum and Tingey (1951) up to a million shares, ten digits at least, beyond asymptotic; n: how many there are. Ties make it careful. NULL without a share, and when an argument is NULL. Errors: 22023 a share out of 0 to 1, another alternative; 22004 a NULL within.';

CREATE OR REPLACE FUNCTION cdp.ks_two_samples(a double precision[], b double precision[], alternative text DEFAULT 'later',
  OUT statistic double precision, OUT p_value double precision, OUT n integer, OUT m integer)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_ks_two_samples';
COMMENT ON FUNCTION cdp.ks_two_samples(double precision[], double precision[], text) IS
'One-sided test of Smirnov: whether sample a comes later (larger values) or earlier than sample b. statistic: the largest distance of their curves on that side; p_value: the chance of one as large when both come from one distribution, exact (counted over all orders) while n times m is at most 10 million, beyond asymptotic by Hodges (1958), equation 5.3; n and m: sizes of a and b. Ties make it careful. NULL when a sample is empty or NULL. Errors: 22023 a value is not finite, another alternative; 22004 a NULL within.';

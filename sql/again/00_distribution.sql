-- Distributions: probabilities and quantiles, from src/base/distribution.c. Any room, and anybody's own SQL, may use them.

CREATE OR REPLACE FUNCTION cdp.normal_cdf(z double precision, upper boolean DEFAULT false) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_normal_cdf';
COMMENT ON FUNCTION cdp.normal_cdf(double precision, boolean) IS
'How likely a standard normal number is at most z, or above it with upper, which keeps the digits of small probabilities. Twelve digits at least; below 1e-308 it is 0. NULL when an argument is NULL. Error 22023: z is not finite.';

CREATE OR REPLACE FUNCTION cdp.normal_quantile(p double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_normal_quantile';
COMMENT ON FUNCTION cdp.normal_quantile(double precision) IS
'The z that a standard normal number is at most with probability p (0 < p < 1): 1.959963984540054 for 0.975. Fifteen digits; p below 1e-307 counts as 1e-307. NULL when an argument is NULL. Error 22023: p not between 0 and 1.';

CREATE OR REPLACE FUNCTION cdp.student_cdf(t double precision, df double precision, upper boolean DEFAULT false) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_student_cdf';
COMMENT ON FUNCTION cdp.student_cdf(double precision, double precision, boolean) IS
'How likely Student''s t with df degrees of freedom (0.001 to 1e12, need not be whole) is at most t, or above it with upper. Twelve digits at least. NULL when an argument is NULL. Error 22023: t is not finite, df out of its range.';

CREATE OR REPLACE FUNCTION cdp.student_quantile(p double precision, df double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_student_quantile';
COMMENT ON FUNCTION cdp.student_quantile(double precision, double precision) IS
'The t that Student''s t with df degrees of freedom (0.001 to 1e12) is at most with probability p (0 < p < 1). Twelve digits at least. NULL when an argument is NULL. Errors: 22023 p not between 0 and 1, df out of its range; 22003 beyond 1e150 (few degrees of freedom and a tiny p).';

CREATE OR REPLACE FUNCTION cdp.chi_square_cdf(x double precision, df double precision, upper boolean DEFAULT false) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_chi_square_cdf';
COMMENT ON FUNCTION cdp.chi_square_cdf(double precision, double precision, boolean) IS
'How likely a chi-square number with df degrees of freedom (0.001 to 1e12) is at most x, or above it with upper: with upper the p value of a chi-square test. Twelve digits at least (of probabilities above from df 1 on). NULL when an argument is NULL. Error 22023: x below 0 or not finite, df out of its range.';

CREATE OR REPLACE FUNCTION cdp.gamma_cdf(x double precision, shape double precision, upper boolean DEFAULT false) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_gamma_cdf';
COMMENT ON FUNCTION cdp.gamma_cdf(double precision, double precision, boolean) IS
'How likely a gamma-distributed number of that shape (0.001 to 1e12) and scale 1 is at most x, or above it with upper: the regularised incomplete gamma functions P and Q. Twelve digits at least (of Q from shape 0.5 on). NULL when an argument is NULL. Error 22023: x below 0 or not finite, shape out of its range.';

CREATE OR REPLACE FUNCTION cdp.beta_cdf(x double precision, a double precision, b double precision, upper boolean DEFAULT false) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_beta_cdf';
COMMENT ON FUNCTION cdp.beta_cdf(double precision, double precision, double precision, boolean) IS
'How likely a beta-distributed share is at most x, or above it with upper: the regularised incomplete beta function I_x(a, b), a and b from 0.001 to 1e12. Twelve digits at least where a and b are 0.01 or more, relative to the probability asked for, also of 1e-300. Of n draws with chance p at most k hit with probability cdp.beta_cdf(p, k + 1, n - k, true). NULL when an argument is NULL. Error 22023: x not in 0 to 1, a or b out of range. Source: DiDonato and Morris, ACM TOMS 18 (1992), algorithm 708; Loader (2000) for the density.';

CREATE OR REPLACE FUNCTION cdp.beta_quantile(p double precision, a double precision, b double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_beta_quantile';
COMMENT ON FUNCTION cdp.beta_quantile(double precision, double precision, double precision) IS
'The share that a beta-distributed one is at most with probability p, the inverse of cdp.beta_cdf(): for p drawn at random a random share, such as a rate after a hits and b misses. Twelve digits at least where a and b are 0.01 or more; below 1e-307 it is 0. NULL when an argument is NULL. Error 22023: p not in 0 to 1, a or b not in 0.001 to 1e12.';

CREATE OR REPLACE FUNCTION cdp.poisson_cdf(n bigint, mean double precision, upper boolean DEFAULT false) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_call_poisson_cdf';
COMMENT ON FUNCTION cdp.poisson_cdf(bigint, double precision, boolean) IS
'How likely a Poisson number with that mean is at most n (0 to below 1e12), or above n with upper. Twelve digits at least. NULL when an argument is NULL. Error 22023: n or mean below 0, mean not finite, n too large.';

/*
 * distribution.c
 *		Distribution functions and quantiles. See distribution.h.
 *
 * Densities are written by deviances and the rest of Stirling's series (Loader,
 * Fast and accurate computation of binomial probabilities, 2000), which keeps
 * their digits for large parameters; tails are series and continued fractions
 * from the side on which they are small (DiDonato and Morris, TOMS 708, 1992).
 */
#include "base/distribution.h"

#include <math.h>

/* Up to so many factors a ratio of gammas is a product. */
#define PRODUCT_FACTORS 32
/* From here on Stirling's series has all digits. */
#define STIRLING 16.0
/* Continued fractions and series end long before, unless a number is not one. */
#define MAX_TERMS 4000000
/* Nearer to 1 than this, a probability does not leave its complement enough digits. */
#define NEARLY_ALL 0.9
#define QUANTILE_STEPS 200
/* exp(-LOGIT_LIMIT) is the smallest double. */
#define LOGIT_LIMIT 708.0

/* What Stirling's series adds to (z - 1/2) log z - z + log(2 pi) / 2; z > 0. */
static double
stirling_rest(double z)
{
	double		y = 1 / (z * z);

	if (z < STIRLING)
		return lgamma(z) - ((z - 0.5) * log(z) - z + 0.5 * log(2 * M_PI));
	return (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y * (1.0 / 1680 - y / 1188)))) / z;
}

/* log(Gamma(z + s) / Gamma(z)) for z > 0 and z + s > 0, without the cancellation of a difference. */
double
cdp_lgamma_ratio(double z, double s)
{
	if (s >= 0 && s <= PRODUCT_FACTORS && s == floor(s) && z < 1e9)
	{
		double		product = 1;

		for (int i = 0; i < (int) s; i++)
			product *= z + i;
		return log(product);
	}
	if (z >= STIRLING && z + s >= STIRLING)
		return (z - 0.5) * log1p(s / z) + s * log(z + s) - s + stirling_rest(z + s) - stirling_rest(z);
	return lgamma(z + s) - lgamma(z);
}

/* a log(a / m) - d where d = a - m: what observing a instead of m costs. */
static double
deviance(double a, double m, double d)
{
	double		v = d / (a + m);
	double		sum = d * v;
	double		term = 2 * a * v;

	if (fabs(v) > 0.1)
		return a * log(a / m) - d;
	for (int j = 1;; j++)
	{
		double		before = sum;

		term *= v * v;
		sum += term / (2 * j + 1);
		if (sum == before)
			return sum;
	}
}

/* p q - r s with one rounding. */
static double
product_difference(double p, double q, double r, double s)
{
	double		second = r * s;

	return fma(p, q, -second) + fma(-r, s, second);
}

/* x^a y^b / B(a, b); y = 1 - x. */
static double
beta_power(double x, double y, double a, double b)
{
	double		n = a + b;
	double		d = product_difference(a, y, b, x);

	return sqrt(a / n * b / (2 * M_PI)) *
		exp(stirling_rest(n) - stirling_rest(a) - stirling_rest(b) - deviance(a, n * x, d) - deviance(b, n * y, -d));
}

/* The probability up to x by the power series: few terms and no cancellation where b x is small. */
static double
beta_series(double x, double y, double a, double b)
{
	double		term = 1;
	double		sum = 1 / a;

	for (int j = 1; j < MAX_TERMS; j++)
	{
		term *= (j - b) / j * x;
		sum += term / (a + j);
		if (fabs(term) <= DBL_EPSILON / 8 * (a + j) * sum)
			break;
	}
	return beta_power(x, y, a, b) * sum * exp(-b * log1p(-x));
}

/* The probability up to x by the continued fraction of DiDonato and Morris, (9) to (11). */
static double
beta_fraction(double x, double y, double a, double b)
{
	double		d = product_difference(a, y, b, x) + 1;
	double		value = a * d / (a + 1);
	double		c;
	double		inverse = 0;

	if (fabs(value) < DBL_MIN)
		value = DBL_MIN;
	c = value;
	for (int m = 1; m < MAX_TERMS; m++)
	{
		double		e = a + 2.0 * m - 1;
		double		numerator = m * (a + m - 1) / e * ((a + b + m - 1) / e) * (b - m) * x * x;
		double		term = m + m * (b - m) * x / e + (a + m) * (d + m * (1 + y)) / (e + 2);
		double		factor;

		inverse = term + numerator * inverse;
		c = term + numerator / c;
		inverse = 1 / (fabs(inverse) < DBL_MIN ? DBL_MIN : inverse);
		c = fabs(c) < DBL_MIN ? DBL_MIN : c;
		factor = c * inverse;
		value *= factor;
		if (fabs(factor - 1) <= DBL_EPSILON)
			break;
	}
	return beta_power(x, y, a, b) / value;
}

/* The probability up to x, by the road that has its digits. */
static double
beta_lower(double x, double y, double a, double b)
{
	if (x <= 0.7 && b * x <= 0.7)
		return beta_series(x, y, a, b);
	return beta_fraction(x, y, a, b);
}

/* The probability up to x, or above it; both x and y = 1 - x are given because each may be tiny. */
static double
beta_both(double x, double y, double a, double b, bool upper)
{
	bool		above = a * y < b * x;
	double		p;

	if (x <= 0 || y <= 0)
		return (x <= 0) == upper ? 1 : 0;
	p = above ? beta_lower(y, x, b, a) : beta_lower(x, y, a, b);
	if (above == upper)
		return fmin(p, 1);
	if (p > NEARLY_ALL)
		return above ? beta_lower(x, y, a, b) : beta_lower(y, x, b, a);
	return 1 - p;
}

/* How likely a beta-distributed share is at most x, or above it: the regularised incomplete beta function. */
double
cdp_beta_cdf(double x, double a, double b, bool upper)
{
	return beta_both(x, 1 - x, a, b, upper);
}

/* 1 / (1 + exp(-s)), for x and for 1 - x each with its digits. */
static double
logistic(double s)
{
	return s < 0 ? exp(s) / (1 + exp(s)) : 1 / (1 + exp(-s));
}

/*
 * log(x / (1 - x)) of the x up to which a beta-distributed share is with probability
 * p. The logarithm of the probability is concave there, so Newton's steps come from
 * one side; halving keeps them in their bracket.
 */
static double
beta_quantile_logit(double p, double a, double b)
{
	double		low = -LOGIT_LIMIT;
	double		high = LOGIT_LIMIT;
	double		s;

	/* from the side where the probability is the smaller one */
	if (p > 0.5)
		return -beta_quantile_logit(1 - p, b, a);
	s = log(a) - log(b);
	for (int i = 0; i < QUANTILE_STEPS; i++)
	{
		double		x = logistic(s);
		double		y = logistic(-s);
		double		now = beta_both(x, y, a, b, false);
		double		step = now > 0 ? log(now / p) * now / beta_power(x, y, a, b) : 0;

		if (now > p)
			high = s;
		else
			low = s;
		if (now == p || high - low <= DBL_EPSILON * fabs(s))
			break;
		/* a step that is not a number, or leaves the bracket, halves it */
		if (now > 0 && s - step > low && s - step < high)
		{
			s -= step;
			if (fabs(step) <= 4 * DBL_EPSILON * (1 + fabs(s)))
				break;
		}
		else
			s = (low + high) / 2;
	}
	return s;
}

/* The share that a beta-distributed one is at most with probability p: the inverse of cdp_beta_cdf(). */
double
cdp_beta_quantile(double p, double a, double b)
{
	double		s;

	if (p <= 0 || p >= 1)
		return p <= 0 ? 0 : 1;
	s = beta_quantile_logit(p, a, b);
	return s > 1 - LOGIT_LIMIT ? logistic(s) : 0;
}

/* How likely a standard normal is at most z, or above it. */
double
cdp_normal_cdf(double z, bool upper)
{
	return 0.5 * erfc((upper ? z : -z) * M_SQRT1_2);
}

/* The z that a standard normal is at most with probability p, 0 < p < 1; below 1e-307 as for 1e-307. */
double
cdp_normal_quantile(double p)
{
	double		tail = fmax(fmin(p, 1 - p), 1e-307);
	double		t = sqrt(-2 * log(tail));
	/* Abramowitz and Stegun 26.2.23: three digits to start from */
	double		z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));

	/* nearer to the middle the digits of p are in its distance from one half */
	if (fabs(p - 0.5) < 0.25)
		for (int i = 0; i < 4; i++)
		{
			double		rest = (0.5 - tail - 0.5 * erf(z * M_SQRT1_2)) * sqrt(2 * M_PI) * exp(z * z / 2);

			z += rest / (1 - rest * z / 2);
		}
	else
		for (int i = 0; i < 4; i++)
		{
			double		above = cdp_normal_cdf(z, true);

			z += log(above / tail) * above * sqrt(2 * M_PI) * exp(z * z / 2);
		}
	return p < 0.5 ? -z : z;
}

/* How likely a gamma-distributed number of that shape and scale 1 is at most x, by the series. */
static double
gamma_series(double x, double shape)
{
	double		term = 1 / shape;
	double		sum = term;

	for (int j = 1; j < MAX_TERMS; j++)
	{
		term *= x / (shape + j);
		sum += term;
		if (term <= DBL_EPSILON / 8 * sum)
			break;
	}
	return sum;
}

/* The same above x, by Legendre's continued fraction. */
static double
gamma_fraction(double x, double shape)
{
	double		term = product_difference(1, x, 1, shape) + 1;
	double		c = 1 / DBL_MIN;
	double		inverse = 1 / (fabs(term) < DBL_MIN ? DBL_MIN : term);
	double		value = inverse;

	for (int m = 1; m < MAX_TERMS; m++)
	{
		double		numerator = -m * (m - shape);
		double		factor;

		term += 2;
		inverse = term + numerator * inverse;
		c = term + numerator / c;
		inverse = 1 / (fabs(inverse) < DBL_MIN ? DBL_MIN : inverse);
		c = fabs(c) < DBL_MIN ? DBL_MIN : c;
		factor = c * inverse;
		value *= factor;
		if (fabs(factor - 1) <= DBL_EPSILON)
			break;
	}
	return value;
}

/* How likely a gamma-distributed number of that shape and scale 1 is at most x, or above it: the regularised incomplete gamma functions P and Q. */
double
cdp_gamma_cdf(double x, double shape, bool upper)
{
	/* x ^ shape exp(-x) / Gamma(shape) */
	double		power = sqrt(shape / (2 * M_PI)) * exp(-deviance(shape, x, shape - x) - stirling_rest(shape));
	double		p;

	if (x <= 0)
		return upper ? 1 : 0;
	if (x < shape + 1)
		p = power * gamma_series(x, shape);
	else
		p = power * gamma_fraction(x, shape);
	return fmin(upper == (x >= shape + 1) ? p : 1 - p, 1);
}

/* How likely Student's t is at most t, or above it. */
double
cdp_student_cdf(double t, double df, bool upper)
{
	double		square = t / df * t;
	double		tail;

	if (square > 1e30)			/* the first term of the series, by logarithms: the square may be beyond a double */
		tail = 0.5 * exp(df / 2 * (log(df) - 2 * log(fabs(t))) - log(df / 2) + cdp_lgamma_ratio(df / 2, 0.5) - lgamma(0.5));
	else
		tail = 0.5 * beta_both(1 / (1 + square), square / (1 + square), df / 2, 0.5, false);
	return (t > 0) == upper ? tail : 1 - tail;
}

/* The t that Student's t is at most with probability p, 0 < p < 1; infinite beyond 1e153. */
double
cdp_student_quantile(double p, double df)
{
	double		tail = fmin(p, 1 - p);
	double		s;
	double		t;

	if (p == 0.5)
		return 0;
	s = beta_quantile_logit(2 * tail, df / 2, 0.5);
	t = s > 1 - LOGIT_LIMIT ? sqrt(df * exp(-s)) : INFINITY;
	return p < 0.5 ? -t : t;
}

/* How likely a chi-square number is at most x, or above it. */
double
cdp_chi_square_cdf(double x, double df, bool upper)
{
	return cdp_gamma_cdf(x / 2, df / 2, upper);
}

/* How likely a Poisson number with that mean is at most n, or above it. */
double
cdp_poisson_cdf(double n, double mean, bool upper)
{
	return cdp_gamma_cdf(mean, n + 1, !upper);
}

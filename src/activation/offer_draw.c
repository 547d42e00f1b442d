/*
 * offer_draw.c
 *		Random numbers of decisions about offers, the same bit for bit on any machine.
 *
 * Only what IEEE 754 defines to the last bit is used: the four operations, square
 * root and scaling by powers of two. log and exp of the C library differ between
 * machines, so both are computed here; and no two operations may be fused into one.
 */
#include "activation/offer.h"

#include <float.h>
#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize ("fp-contract=off")
#endif

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "draws need arithmetic that rounds each result to a double"
#endif

#define LN2_HIGH 6.93147180369123816490e-01	/* the first 32 bits of log 2 */
#define LN2_LOW 1.90821492927058770002e-10	/* and the rest */
#define LOG_TERMS 12
#define EXP_TERMS 14
/* exp of less is 0 beside 1. */
#define EXP_LOWEST (-700.0)

/* Begins the stream of that number for a seed and the inputs of a decision. */
void
cdp_draws_start(CdpDraws *draws, int64 seed, const int64 *inputs, int ninputs, int64 stream)
{
	uint64		key = cdp_draw_mix((uint64) seed + CDP_DRAW_GOLDEN);

	for (int i = 0; i < ninputs; i++)
		key = cdp_draw_mix(key ^ cdp_draw_mix((uint64) inputs[i] + (uint64) (i + 2) * CDP_DRAW_GOLDEN));
	draws->key = cdp_draw_mix(key ^ cdp_draw_mix((uint64) stream));
	draws->n = 0;
}

/* log x for a normal x > 0: by the series of atanh around a power of two. */
static double
exact_log(double x)
{
	int			power;
	double		s = frexp(x, &power);
	double		sum = 0;
	double		square;

	if (s < 0.70710678118654752440)
	{
		s *= 2;
		power--;
	}
	s = (s - 1) / (s + 1);
	square = s * s;
	for (int k = LOG_TERMS; k >= 1; k--)
		sum = (sum + 1.0 / (2 * k + 1)) * square;
	return power * LN2_HIGH + (2 * (s * sum) + (power * LN2_LOW + 2 * s));
}

/* exp x for x <= 0. */
static double
exact_exp(double x)
{
	double		power;
	double		rest;
	double		sum = 1;

	if (x < EXP_LOWEST)
		return 0;
	power = floor(x / 0.69314718055994530942 + 0.5);
	rest = (x - power * LN2_HIGH) - power * LN2_LOW;
	for (int k = EXP_TERMS; k >= 1; k--)
		sum = 1 + sum * rest / k;
	return ldexp(sum, (int) power);
}

/* A number of the normal distribution: the polar method of Marsaglia and Bray (1964). */
static double
draw_normal(CdpDraws *draws)
{
	for (;;)
	{
		double		x = 2 * cdp_draw_uniform(draws) - 1;
		double		y = 2 * cdp_draw_uniform(draws) - 1;
		double		s = x * x + y * y;

		if (s > 0 && s < 1)
			return x * sqrt(-2 * exact_log(s) / s);
	}
}

/*
 * The logarithm of a number of the gamma distribution with that shape: the
 * method of Marsaglia and Tsang (2000), below 1 from shape + 1 by a power.
 */
static double
draw_log_gamma(CdpDraws *draws, double shape)
{
	double		d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
	double		c = 1 / sqrt(9 * d);
	double		v;

	for (;;)
	{
		double		x = draw_normal(draws);

		v = 1 + c * x;
		if (v <= 0)
			continue;
		v = v * v * v;
		if (exact_log(cdp_draw_uniform(draws)) < 0.5 * x * x + d - d * v + d * exact_log(v))
			break;
	}
	return exact_log(d * v) + (shape < 1 ? exact_log(cdp_draw_uniform(draws)) / shape : 0);
}

/* A number of the beta distribution: a gamma among two. */
double
cdp_draw_beta(CdpDraws *draws, double a, double b)
{
	double		x = draw_log_gamma(draws, a);
	double		y = draw_log_gamma(draws, b);

	return x >= y ? 1 / (1 + exact_exp(y - x)) : exact_exp(x - y) / (1 + exact_exp(x - y));
}

/*
 * bgbb.c
 *		BG/BB (Fader, Hardie, Shang 2010): in each period a customer who is alive
 *		buys with a beta-distributed probability and, at its beginning, may die
 *		with another. Recency is the period of the last purchase, age the number of
 *		periods.
 */
#include "cdp.h"

#include <math.h>

#include "base/distribution.h"
#include "segment/value/model.h"
#include "segment/value/special.h"

enum
{
	ALPHA, BETA, GAMMA, DELTA
};

/* log of x purchases in n periods, in a given order. */
static double
log_purchases(const double *p, double x, double n)
{
	return cdp_lgamma_ratio(p[ALPHA], x) + cdp_lgamma_ratio(p[BETA], n - x) - cdp_lgamma_ratio(p[ALPHA] + p[BETA], n);
}

/* log of the chance to live for n periods. */
static double
log_survive(const double *p, double n)
{
	return cdp_lgamma_ratio(p[DELTA], n) - cdp_lgamma_ratio(p[GAMMA] + p[DELTA], n);
}

/* log of the chance that a customer died after his last purchase, with x purchases by then; -infinity when there was no time. */
static double
log_gone(const double *p, const CdpHistory *h)
{
	double		m = h->recency;
	double		term = 1;
	double		sum = 0;

	if (h->age <= m)
		return -INFINITY;
	for (; m < h->age; m++)
	{
		sum += term;
		term *= (p[BETA] + m - h->frequency) / (p[ALPHA] + p[BETA] + m) * (p[DELTA] + m) / (p[GAMMA] + p[DELTA] + m + 1);
	}
	return log_purchases(p, h->frequency, h->recency) + log_survive(p, h->recency) +
		log(p[GAMMA] / (p[GAMMA] + p[DELTA] + h->recency)) + log(sum);
}

/* Nothing depends on frequency alone. */
static double
bgbb_of_frequency(const double *p, double x)
{
	return 0;
}

/* Alive all the while, or dead since some period after the last purchase. */
static double
bgbb_of_row(const double *p, const CdpHistory *h)
{
	return cdp_log_sum(log_purchases(p, h->frequency, h->age) + log_survive(p, h->age), log_gone(p, h));
}

/* The probability that a customer was alive in the last period. */
static double
bgbb_alive(const double *p, const CdpHistory *h)
{
	return 1 / (1 + exp(log_gone(p, h) - log_purchases(p, h->frequency, h->age) - log_survive(p, h->age)));
}

/* Buying and dying of somebody who has lived this long. */
static void
bgbb_after(const double *p, const CdpHistory *h, double *q)
{
	q[ALPHA] = p[ALPHA] + h->frequency;
	q[BETA] = p[BETA] + h->age - h->frequency;
	q[GAMMA] = p[GAMMA];
	q[DELTA] = p[DELTA] + h->age;
}

/* Mean purchases: the mean chance to buy times the periods that are lived to see. */
static double
bgbb_mean(const double *q, double horizon)
{
	double		alive = 1;
	double		periods = 0;

	for (double i = 0; i < horizon; i++)
	{
		alive *= (q[DELTA] + i) / (q[GAMMA] + q[DELTA] + i);
		periods += alive;
	}
	return q[ALPHA] / (q[ALPHA] + q[BETA]) * periods;
}

/* log of the ways to choose k of n. */
static double
log_choose(double n, double k)
{
	return cdp_lgamma_ratio(n - k + 1, k) - cdp_lgamma_ratio(1, k);
}

/* Exactly n purchases: in all periods, or in those before a death. */
static double
bgbb_probability(const double *q, int n, double horizon)
{
	double		sum;

	if (n > horizon)
		return 0;
	sum = exp(log_choose(horizon, n) + log_purchases(q, n, horizon) + log_survive(q, horizon));
	for (double i = n; i < horizon; i++)
		sum += exp(log_choose(i, n) + log_purchases(q, n, i) + log_survive(q, i) + log(q[GAMMA] / (q[GAMMA] + q[DELTA] + i)));
	return sum;
}

const CdpValueModel cdp_model_bgbb = {
	.name = "bgbb",
	.title = "BG/BB",
	.n = 4,
	.parameter = {"alpha", "beta", "gamma", "delta"},
	.discrete = true,
	.of_frequency = bgbb_of_frequency,
	.of_row = bgbb_of_row,
	.alive = bgbb_alive,
	.after = bgbb_after,
	.mean = bgbb_mean,
	.probability = bgbb_probability,
};

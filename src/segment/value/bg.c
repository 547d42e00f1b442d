/*
 * bg.c
 *		BG/NBD (Fader, Hardie, Lee 2005) and its modification MBG/NBD (Batislam,
 *		Denizel, Filiztekin 2007): purchases are Poisson with gamma-distributed
 *		rates; after each purchase (MBG: also at the start) a customer drops out with
 *		a beta-distributed probability.
 */
#include "cdp.h"

#include <math.h>

#include "base/distribution.h"
#include "segment/value/model.h"
#include "segment/value/special.h"

enum
{
	R, ALPHA, A, B
};

/* Where the closed form of the mean keeps its digits. */
#define CLOSED_PARAMETER 20.0
#define CLOSED_RATIO 0.9
#define CLOSED_NEAR_ONE 1e-3
#define CLOSED_C 0.5
#define CLOSED_DIFFERENCE 1e-6

/* log of the chance to survive n tries to drop out. */
static double
log_survive(const double *p, double n)
{
	return cdp_lgamma_ratio(p[B], n) - cdp_lgamma_ratio(p[A] + p[B], n);
}

/* What the purchases alone say, and surviving all of them. */
static double
bg_of_frequency(const double *p, double x)
{
	return cdp_lgamma_ratio(p[R], x) + p[R] * log(p[ALPHA]) + log_survive(p, x);
}

/* The same with one more survival, that of the start. */
static double
mbg_of_frequency(const double *p, double x)
{
	return cdp_lgamma_ratio(p[R], x) + p[R] * log(p[ALPHA]) + log_survive(p, x + 1);
}

/* log of the odds that a customer has dropped out after his last purchase. */
static double
log_odds_gone(const double *p, const CdpHistory *h, double tries)
{
	return log(p[A] / (p[B] + tries)) + (p[R] + h->frequency) * log1p((h->age - h->recency) / (p[ALPHA] + h->recency));
}

/* Time: nothing since the last purchase, or gone with it. */
static double
bg_of_row(const double *p, const CdpHistory *h)
{
	double		alive = -(p[R] + h->frequency) * log(p[ALPHA] + h->age);

	return h->frequency > 0 ? alive + cdp_log_sum(0, log_odds_gone(p, h, h->frequency - 1)) : alive;
}

/* The same where a customer may be gone from the start. */
static double
mbg_of_row(const double *p, const CdpHistory *h)
{
	return -(p[R] + h->frequency) * log(p[ALPHA] + h->age) + cdp_log_sum(0, log_odds_gone(p, h, h->frequency));
}

/* The probability that a customer has not dropped out. */
static double
bg_alive(const double *p, const CdpHistory *h)
{
	return h->frequency > 0 ? 1 / (1 + exp(log_odds_gone(p, h, h->frequency - 1))) : 1;
}

/* The probability that a customer has not dropped out, from the start on. */
static double
mbg_alive(const double *p, const CdpHistory *h)
{
	return 1 / (1 + exp(log_odds_gone(p, h, h->frequency)));
}

/* Rates and dropping out as a history with x tries has moved them. */
static void
move_parameters(const double *p, const CdpHistory *h, double tries, double *q)
{
	q[R] = p[R] + h->frequency;
	q[ALPHA] = p[ALPHA] + h->age;
	q[A] = p[A];
	q[B] = p[B] + tries;
}

/* One try for each purchase. */
static void
bg_after(const double *p, const CdpHistory *h, double *q)
{
	move_parameters(p, h, h->frequency, q);
}

/* One try for each purchase and one at the start. */
static void
mbg_after(const double *p, const CdpHistory *h, double *q)
{
	move_parameters(p, h, h->frequency + 1, q);
}

/*
 * Mean purchases by the hypergeometric function, transformed so that its first two
 * parameters stay small however many purchases a history has; sure says whether
 * all digits are right.
 */
double
cdp_bg_mean_closed(const double *q, double horizon, bool *sure)
{
	double		c = q[A] + q[B] - 1;
	double		z = horizon / (q[ALPHA] + horizon);
	double		series = 0;
	double		difference;

	*sure = c > CLOSED_C && z <= CLOSED_RATIO && fabs(q[A] - 1) > CLOSED_NEAR_ONE && q[A] < CLOSED_PARAMETER &&
		fabs(c - q[R]) < CLOSED_PARAMETER && cdp_hyp2f1_series(c - q[R], q[A] - 1, c, z, &series);
	difference = 1 - exp((q[A] - 1) * log1p(-z)) * series;
	*sure &= fabs(difference) > CLOSED_DIFFERENCE;
	return c / (q[A] - 1) * difference;
}

/* Rates and horizon of the integral. */
typedef struct Purchases
{
	double		r;
	double		z;				/* horizon / alpha */
} Purchases;

/* Mean purchases of a customer who drops out with probability p. */
static double
purchases_at(double p, const void *arg)
{
	const Purchases *of = arg;

	return p < 1e-300 ? of->r * of->z : -expm1(-of->r * log1p(p * of->z)) / p;
}

/* Mean purchases by integrating over the probability to drop out; slower, and right everywhere. */
double
cdp_bg_mean_integral(const double *q, double horizon)
{
	Purchases	of = {q[R], horizon / q[ALPHA]};

	return cdp_beta_mean(purchases_at, &of, q[A], q[B]);
}

/* Mean purchases in a horizon. */
static double
bg_mean(const double *q, double horizon)
{
	bool		sure;
	double		mean = cdp_bg_mean_closed(q, horizon, &sure);

	return sure ? mean : cdp_bg_mean_integral(q, horizon);
}

/* log of n purchases in a time y at gamma-distributed rates: the negative binomial distribution. */
double
cdp_log_nbd(double r, double alpha, int n, double y)
{
	double		none = -r * log1p(y / alpha);

	if (n == 0)
		return none;
	if (y <= 0)
		return -INFINITY;
	return none + cdp_lgamma_ratio(r, n) - cdp_lgamma_ratio(1, n) - n * log1p(alpha / y);
}

/* Exactly n purchases: the customer is there after the last, or it was the last. */
static double
bg_probability(const double *q, int n, double horizon)
{
	double		survive = exp(log_survive(q, n));
	double		fewer = 0;

	if (n == 0)
		return exp(cdp_log_nbd(q[R], q[ALPHA], 0, horizon));
	for (int k = 0; k < n; k++)
		fewer += exp(cdp_log_nbd(q[R], q[ALPHA], k, horizon));
	return survive * (exp(cdp_log_nbd(q[R], q[ALPHA], n, horizon)) + q[A] / (q[B] + n - 1) * fmax(1 - fewer, 0));
}

const CdpValueModel cdp_model_bgnbd = {
	.name = "bgnbd",
	.title = "BG/NBD",
	.n = 4,
	.parameter = {"r", "alpha", "a", "b"},
	.scaled = {false, true, false, false},
	.of_frequency = bg_of_frequency,
	.of_row = bg_of_row,
	.alive = bg_alive,
	.after = bg_after,
	.mean = bg_mean,
	.probability = bg_probability,
};

const CdpValueModel cdp_model_mbgnbd = {
	.name = "mbgnbd",
	.title = "MBG/NBD",
	.n = 4,
	.parameter = {"r", "alpha", "a", "b"},
	.scaled = {false, true, false, false},
	.of_frequency = mbg_of_frequency,
	.of_row = mbg_of_row,
	.alive = mbg_alive,
	.after = mbg_after,
	.mean = bg_mean,
	.probability = bg_probability,
};

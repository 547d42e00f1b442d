/*
 * pareto.c
 *		Pareto/NBD (Schmittlein, Morrison, Colombo 1987): purchases are Poisson with
 *		gamma-distributed rates, and a customer's life is exponential with
 *		gamma-distributed rates.
 *
 * The published likelihood is a difference of two hypergeometric functions, which
 * loses its digits when the last purchase is recent. Here it is the integral that
 * they stand for, over the time of death:
 *     s * integral from t_x to T of (alpha + y)^-(r + x) (beta + y)^-(s + 1) dy.
 * Under it stands, by l = log(alpha + y) instead of y, an exponential with a factor
 * that bends little: (alpha + y)^-(r + s + x) * ((alpha + y) / (beta + y))^(s + 1).
 */
#include "cdp.h"

#include <math.h>

#include "base/distribution.h"
#include "segment/value/model.h"
#include "segment/value/special.h"

enum
{
	R, ALPHA, S, BETA
};

/* Where purchases have stopped and death is looked for. */
typedef struct Death
{
	double		start;			/* log(alpha + t_x) */
	double		shift;			/* beta - alpha */
	double		q;				/* r + s + x */
	double		power;			/* s + 1 */
	double		top;			/* largest exponent */
} Death;

/* The exponent at l = log(alpha + y). */
static double
death_exponent(const Death *d, double l)
{
	return -d->q * (l - d->start) - d->power * log1p(d->shift * exp(-l));
}

/* What is under the integral, by its largest value. */
static double
death_at(double l, const void *arg)
{
	const Death *d = arg;

	return exp(death_exponent(d, l) - d->top);
}

/* log of the odds that a customer died between his last purchase and now. */
static double
log_odds_gone(const double *p, const CdpHistory *h)
{
	double		end = log(p[ALPHA] + h->age);
	Death		d = {
		.start = log(p[ALPHA] + h->recency),
		.shift = p[BETA] - p[ALPHA],
		.q = p[R] + p[S] + h->frequency,
		.power = p[S] + 1,
	};
	double		middle = d.power * d.shift / d.q - p[BETA];

	if (end <= d.start)
		return -INFINITY;
	middle = log(p[ALPHA] + fmin(fmax(middle, h->recency), h->age));
	d.top = fmax(death_exponent(&d, middle), fmax(death_exponent(&d, d.start), death_exponent(&d, end)));
	return log(p[S]) + log(cdp_integrate(death_at, &d, d.start, end)) + d.top - d.q * d.start
		+ (p[R] + h->frequency) * end + p[S] * log(p[BETA] + h->age);
}

/* What the purchases alone say. */
static double
pareto_of_frequency(const double *p, double x)
{
	return cdp_lgamma_ratio(p[R], x) + p[R] * log(p[ALPHA]) + p[S] * log(p[BETA]);
}

/* Time: alive all the while, or dead since some time after the last purchase. */
static double
pareto_of_row(const double *p, const CdpHistory *h)
{
	return cdp_log_sum(0, log_odds_gone(p, h)) - (p[R] + h->frequency) * log(p[ALPHA] + h->age) -
		p[S] * log(p[BETA] + h->age);
}

/* The probability that a customer is alive. */
static double
pareto_alive(const double *p, const CdpHistory *h)
{
	return 1 / (1 + exp(log_odds_gone(p, h)));
}

/* Rates of purchases and of death of somebody who has lived this long. */
static void
pareto_after(const double *p, const CdpHistory *h, double *q)
{
	q[R] = p[R] + h->frequency;
	q[ALPHA] = p[ALPHA] + h->age;
	q[S] = p[S];
	q[BETA] = p[BETA] + h->age;
}

/* Mean purchases in a horizon: the mean rate times the mean time alive. */
static double
pareto_mean(const double *q, double horizon)
{
	double		life = log1p(horizon / q[BETA]);
	double		u = (q[S] - 1) * life;

	return q[R] / q[ALPHA] * q[BETA] * life * (u == 0 ? 1 : -expm1(-u) / u);
}

/* n purchases before a death in the horizon. */
typedef struct Lifetime
{
	const double *q;
	int			n;
} Lifetime;

/* Their probability when the share w of customers outlives y. */
static double
purchases_of_life(double w, const void *arg)
{
	const Lifetime *l = arg;
	double		y = l->q[BETA] * expm1(-log(w) / l->q[S]);

	return isinf(y) ? 0 : exp(cdp_log_nbd(l->q[R], l->q[ALPHA], l->n, y));
}

/* Exactly n purchases: within the horizon, or within a shorter life. */
static double
pareto_probability(const double *q, int n, double horizon)
{
	Lifetime	l = {q, n};
	double		outlive = exp(-q[S] * log1p(horizon / q[BETA]));

	return outlive * exp(cdp_log_nbd(q[R], q[ALPHA], n, horizon)) + cdp_integrate(purchases_of_life, &l, outlive, 1);
}

const CdpValueModel cdp_model_paretonbd = {
	.name = "paretonbd",
	.title = "Pareto/NBD",
	.n = 4,
	.parameter = {"r", "alpha", "s", "beta"},
	.scaled = {false, true, false, true},
	.of_frequency = pareto_of_frequency,
	.of_row = pareto_of_row,
	.alive = pareto_alive,
	.after = pareto_after,
	.mean = pareto_mean,
	.probability = pareto_probability,
};

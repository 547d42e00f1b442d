/*
 * offer_propensity.c
 *		The probability of each arm to have the largest worth times success, when the
 *		probabilities of success are drawn from beta distributions.
 *
 * That of arm i is the integral of its density times, for each other arm j, the
 * probability that j stays below. It is taken over the log-odds of i, where the
 * density has one hump and light tails, piece by piece: pieces end where a factor
 * is steep or has a kink. Where all factors are 1, or one is 0, nothing is left to
 * integrate. Log-odds are told from the mode of i on, so that narrow densities keep
 * their digits. Errors are below 1e-9.
 */
#include "activation/offer.h"

#include <math.h>

#include "base/distribution.h"
#include "segment/value/special.h"

/* exp(-TAIL) beside 1 is nothing. */
#define TAIL 60.0
/* What a piece may lack. */
#define NOTHING 1e-14

/* One arm against others; memory of the caller. */
typedef struct Contest
{
	const CdpOfferArm *arm;
	double		mode;			/* log-odds at which the density is highest */
	const CdpOfferArm **others;
	int			nothers;
} Contest;

/* Density of the arm at log-odds u above its mode, over that at the mode. */
static double
density(double u, const void *arg)
{
	const CdpOfferArm *arm = ((const Contest *) arg)->arm;
	double		n = arm->a + arm->b;

	/* from the side on which the terms are small */
	if (arm->a < arm->b)
		return exp(arm->a * u - n * log1p(arm->a / n * expm1(u)));
	return exp(-arm->b * u - n * log1p(arm->b / n * expm1(-u)));
}

/* The probability that another arm stays below what the arm reaches at log-odds u above its mode. */
static double
stays_below(const CdpOfferArm *other, const CdpOfferArm *arm, double u)
{
	double		ratio = arm->worth / other->worth;
	double		odds_against = arm->b / arm->a * exp(-u);
	double		reached = ratio / (1 + odds_against);
	double		q = 1 / (1 + 1 / odds_against); /* all digits, also next to p = 1 */
	double		above = ratio > 2 ? 1 - reached : (1 - ratio) + ratio * q;

	if (reached <= 0.5)
		return cdp_beta_cdf(reached, other->a, other->b, false);
	if (above <= 0)
		return 1;
	return cdp_beta_cdf(above, other->b, other->a, true);
}

/* Density times the probability that all others stay below. */
static double
wins(double u, const void *arg)
{
	const Contest *c = arg;
	double		product = density(u, arg);

	CHECK_FOR_INTERRUPTS();
	for (int j = 0; j < c->nothers && product > 0; j++)
		product *= stays_below(c->others[j], c->arm, u);
	return product;
}

/* Order of doubles for qsort. */
static int
by_value(const void *l, const void *r)
{
	double		x = *(const double *) l;
	double		y = *(const double *) r;

	return (x > y) - (x < y);
}

/* Adds the place where the arm reaches what the other does at log-odds t, when there is one. */
static int
add_place(double *places, int n, const Contest *c, const CdpOfferArm *other, double t)
{
	double		p = other->worth / c->arm->worth / (1 + exp(-t));

	if (p > 0 && p < 1)
		places[n++] = (other->worth == c->arm->worth ? t : log(p / (1 - p))) - c->mode;
	return n;
}

/* The ends of the pieces for one arm, ascending; room for 90 + 7 * narms. */
static int
find_places(const CdpOfferArm *arms, int narms, int i, const Contest *c, double *places)
{
	const CdpOfferArm *arm = &arms[i];
	double		width = sqrt(1 / arm->a + 1 / arm->b);
	int			n = 0;

	places[n++] = 0;
	for (int side = -1; side <= 1; side += 2)
	{
		double		step = width / 2;

		for (int k = 0; k < 40; k++, step *= k < 6 ? 1.5 : 2)
		{
			places[n++] = side * step;
			if (density(side * step, c) < exp(-TAIL))
				break;
		}
	}
	for (int j = 0; j < narms; j++)
	{
		double		other_mode = log(arms[j].a / arms[j].b);
		double		other_width = sqrt(1 / arms[j].a + 1 / arms[j].b);

		if (j == i)
			continue;
		if (arms[j].worth < arm->worth)
			places[n++] = log(arms[j].worth / (arm->worth - arms[j].worth)) - c->mode;
		/* one that is as wide as the hump is smooth on its pieces */
		if (other_width < 0.5 * width)
			for (int k = -2; k <= 2; k++)
				n = add_place(places, n, c, &arms[j], other_mode + k * 3 * other_width);
	}
	qsort(places, n, sizeof(double), by_value);
	return n;
}

/* The probability of arm i to win, not yet divided by what all of them add up to. */
static double
propensity(const CdpOfferArm *arms, int narms, int i, double *places, const CdpOfferArm **others)
{
	Contest		c = {.arm = &arms[i], .mode = log(arms[i].a / arms[i].b), .others = others};
	double		mass = 0;
	double		won = 0;
	int			n;

	n = find_places(arms, narms, i, &c, places);
	for (int k = 0; k + 1 < n; k++)
	{
		double		from = places[k];
		double		to = places[k + 1];
		double		part;
		double		most = 1;

		CHECK_FOR_INTERRUPTS();
		/* the mode is a place, so the density rises or falls all along the piece */
		if (to <= from || (density(from, &c) < exp(-TAIL) && density(to, &c) < exp(-TAIL)))
			continue;
		part = cdp_integrate(density, &c, from, to);
		mass += part;
		/* factors only grow from the lower end to the upper one */
		c.nothers = 0;
		for (int j = 0; j < narms && most > NOTHING; j++)
		{
			if (j == i)
				continue;
			most *= stays_below(&arms[j], &arms[i], to);
			if (stays_below(&arms[j], &arms[i], from) < 1 - NOTHING)
				others[c.nothers++] = &arms[j];
		}
		if (most <= NOTHING)
			continue;
		won += c.nothers == 0 ? part : cdp_integrate(wins, &c, from, to);
	}
	return won / mass;
}

/* Fills in the probability of each arm to win; they add up to 1. */
void
cdp_offer_propensities(const CdpOfferArm *arms, int n, double *propensities)
{
	double	   *places = palloc((90 + 7 * n) * sizeof(double));
	const CdpOfferArm **others = palloc(n * sizeof(CdpOfferArm *));
	double		sum = 0;

	for (int i = 0; i < n; i++)
	{
		propensities[i] = n == 1 ? 1 : propensity(arms, n, i, places, others);
		sum += propensities[i];
	}
	for (int i = 0; i < n; i++)
		propensities[i] /= sum;
	pfree(places);
	pfree(others);
}

/*
 * gammagamma.c
 *		Gamma-Gamma (Fader, Hardie 2013): the value of a purchase is gamma-distributed
 *		around a customer's own mean, which is so distributed among customers.
 *		The history's recency is the mean value of his purchases.
 */
#include "cdp.h"

#include <math.h>

#include "base/distribution.h"
#include "segment/value/model.h"

enum
{
	P, Q, V
};

/* What depends on the number of purchases. */
static double
gamma_of_frequency(const double *p, double x)
{
	return cdp_lgamma_ratio(p[P] * x, p[Q]) - lgamma(p[Q]) + p[Q] * log(p[V]) + p[P] * x * log(x);
}

/* What depends on their mean value, too. */
static double
gamma_of_row(const double *p, const CdpHistory *h)
{
	double		px = p[P] * h->frequency;

	return (px - 1) * log(h->recency) - (px + p[Q]) * log(h->frequency * h->recency + p[V]);
}

const CdpValueModel cdp_model_gammagamma = {
	.name = "gammagamma",
	.title = "Gamma-Gamma",
	.n = 3,
	.parameter = {"p", "q", "v"},
	.scaled = {false, false, true},
	.money = true,
	.of_frequency = gamma_of_frequency,
	.of_row = gamma_of_row,
};

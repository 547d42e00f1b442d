/*
 * model.h
 *		Models of how customers buy and stop buying, and of what they spend.
 *
 * A history is frequency (purchases after the first), recency (age at the last
 * one) and age, in any one unit of time. Given that a customer is still alive,
 * what he will do has the same form as what a new one does, with parameters that
 * his history has moved: so each model tells how likely he is alive, which
 * parameters he has then, and mean and distribution of what somebody alive buys.
 */
#ifndef CDP_VALUE_MODEL_H
#define CDP_VALUE_MODEL_H

#include "cdp.h"

#define CDP_MODEL_PARAMETERS 4
/* Of the discrete model, whose sums go over periods. */
#define CDP_MAX_PERIODS 100000

typedef struct CdpHistory
{
	double		frequency;
	double		recency;
	double		age;			/* of the money model: mean value instead of recency, no age */
} CdpHistory;

typedef struct CdpValueModel
{
	const char *name;
	const char *title;
	int			n;
	const char *parameter[CDP_MODEL_PARAMETERS];
	bool		scaled[CDP_MODEL_PARAMETERS];	/* is a length of time, or money */
	bool		discrete;		/* time is a number of periods */
	bool		money;			/* tells what customers spend, not how often they buy */

	/* log likelihood of a history: what depends on frequency alone, and the rest */
	double		(*of_frequency) (const double *p, double frequency);
	double		(*of_row) (const double *p, const CdpHistory *h);

	double		(*alive) (const double *p, const CdpHistory *h);
	void		(*after) (const double *p, const CdpHistory *h, double *q);
	/* purchases in a horizon of somebody alive with parameters q */
	double		(*mean) (const double *q, double horizon);
	double		(*probability) (const double *q, int n, double horizon);
} CdpValueModel;

extern const CdpValueModel cdp_model_bgnbd;
extern const CdpValueModel cdp_model_mbgnbd;
extern const CdpValueModel cdp_model_paretonbd;
extern const CdpValueModel cdp_model_bgbb;
extern const CdpValueModel cdp_model_gammagamma;

extern double cdp_bg_mean_closed(const double *q, double horizon, bool *sure);
extern double cdp_bg_mean_integral(const double *q, double horizon);

/* log of n purchases in a time y at gamma-distributed rates: the negative binomial distribution. */
extern double cdp_log_nbd(double r, double alpha, int n, double y);

/* Purchases that a customer with this history is expected to make in a horizon. */
static inline double
cdp_model_expected(const CdpValueModel *m, const double *p, const CdpHistory *h, double horizon)
{
	double		q[CDP_MODEL_PARAMETERS];

	m->after(p, h, q);
	return m->alive(p, h) * m->mean(q, horizon);
}

/* How likely a customer with this history makes exactly n purchases in a horizon. */
static inline double
cdp_model_probability(const CdpValueModel *m, const double *p, const CdpHistory *h, int n, double horizon)
{
	double		q[CDP_MODEL_PARAMETERS];
	double		alive = m->alive(p, h);

	m->after(p, h, q);
	return alive * m->probability(q, n, horizon) + (n == 0 ? 1 - alive : 0);
}

#endif							/* CDP_VALUE_MODEL_H */

/*
 * logistic.h
 *		Logistic regression, and how well scores tell: pure arithmetic on arrays.
 */
#ifndef CDP_LOGISTIC_H
#define CDP_LOGISTIC_H

#include "cdp.h"

/* No fit has more features; each step takes time with their square. */
#define CDP_MOST_FEATURES 200

typedef struct CdpLogistic
{
	int			p;				/* features */
	int64		n;				/* rows */
	int64		positives;
	double		l2;				/* weight of half the squared length of beta */
	double	   *mean;			/* [p] */
	double	   *scale;			/* [p] standard deviation (of n), 0 for a constant */
	bool	   *dropped;		/* [p] a constant, or determined by features before it */
	double		intercept;		/* of features as they came */
	double	   *beta;			/* [p] of features as they came; 0 when dropped */
	double		intercept_error;	/* standard errors, NaN when there are none */
	double	   *error;			/* [p] */
	double		deviance;		/* -2 log likelihood, without the penalty */
	double		null_deviance;
	int			iterations;
	bool		converged;
	bool		separated;		/* the plane found has all positives on one side and all others on the other */
} CdpLogistic;

extern void cdp_logistic_fit(CdpLogistic *m, const double *x, const double *target, int64 n, int p, double l2);
extern double cdp_auc(const double *score, const bool *positive, int64 n, bool *known);

#endif							/* CDP_LOGISTIC_H */

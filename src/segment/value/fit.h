/*
 * fit.h
 *		Fitting a model of purchases to histories by maximum likelihood.
 */
#ifndef CDP_VALUE_FIT_H
#define CDP_VALUE_FIT_H

#include "cdp.h"

#include "segment/value/minimise.h"
#include "segment/value/model.h"

StaticAssertDecl(CDP_MODEL_PARAMETERS <= CDP_MAX_VARIABLES, "a model has more parameters than the search takes");

/* Customers of one history. */
typedef struct CdpFitRow
{
	CdpHistory	history;
	double		weight;			/* how many */
} CdpFitRow;

typedef struct CdpFitOptions
{
	double		penalizer;		/* what the sum of squared parameters costs in mean log likelihood */
	int			max_iterations;
	double		tolerance;		/* of the gradient of the mean log likelihood by log parameters */
} CdpFitOptions;

typedef struct CdpFit
{
	double		parameter[CDP_MODEL_PARAMETERS];
	double		error[CDP_MODEL_PARAMETERS];	/* standard error, NaN when there is none */
	double		log_likelihood;
	double		customers;		/* sum of weights */
	CdpMinimum	found;
} CdpFit;

extern Size cdp_fit_order(CdpFitRow *rows, Size n);
extern double cdp_fit_log_likelihood(const CdpValueModel *m, const double *p, const CdpFitRow *rows, Size n);
extern void cdp_fit(const CdpValueModel *m, const CdpFitOptions *o, CdpFitRow *rows, Size n, CdpFit *fit);

#endif							/* CDP_VALUE_FIT_H */

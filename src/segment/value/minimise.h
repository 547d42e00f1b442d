/*
 * minimise.h
 *		The least value of a smooth function of a few variables within bounds.
 */
#ifndef CDP_VALUE_MINIMISE_H
#define CDP_VALUE_MINIMISE_H

#include "cdp.h"

#define CDP_MAX_VARIABLES 4

/* The function to make small; arg is the caller's. It may be infinite, not NaN. */
typedef double (*CdpObjective) (const double *x, void *arg);

typedef struct CdpMinimum
{
	double		x[CDP_MAX_VARIABLES];
	double		value;
	double		gradient;		/* largest component that is not held by a bound */
	int			iterations;
	int			evaluations;
	bool		converged;
	bool		at_bound[CDP_MAX_VARIABLES];
} CdpMinimum;

/* Where to look, and for how long. */
typedef struct CdpSearch
{
	int			n;
	double		bound;			/* each variable is within -bound and bound */
	int			max_iterations;
	double		tolerance;		/* of the gradient */
} CdpSearch;

extern void cdp_minimise(CdpObjective f, void *arg, const CdpSearch *search, const double *start, CdpMinimum *result);

#endif							/* CDP_VALUE_MINIMISE_H */

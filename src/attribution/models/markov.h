/*
 * markov.h
 *		Exact removal effects of a Markov chain of journeys.
 */
#ifndef CDP_MARKOV_H
#define CDP_MARKOV_H

#include "attribution/models/transitions.h"

/* What a solution can be judged by. */
typedef struct CdpMarkovCheck
{
	uint32		states;
	uint64		steps;
	int64		conversions;	/* C, over journeys with touches */
	int64		nulls;			/* N */
	double		value;			/* V in currency units */
	double		p;				/* probability of conversion, solved */
	double		p_expected;		/* C / (C + N) */
	double		e;				/* expected value of a journey, solved */
	double		e_expected;		/* V / (C + N) */
	double		residual;		/* largest relative residual of all systems, 1-norm */
	bool		value_by_conversions;	/* value shares fell back to those of conversions */
} CdpMarkovCheck;

extern void cdp_markov_shares(const CdpTransitions *t, int nlabels,
							  double *conv_share, double *value_share,
							  double *removal_conv, double *removal_value,
							  CdpMarkovCheck *check);
extern void cdp_markov_removal_of(const CdpTransitions *t, const bool *removed,
								  double *removal_conv, double *removal_value,
								  CdpMarkovCheck *check);

#endif							/* CDP_MARKOV_H */

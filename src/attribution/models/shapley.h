/*
 * shapley.h
 *		Credit by Shapley values of label sets, and by taking one touch away.
 *		Arrays of nlabels doubles are written: conversions, and value in currency units.
 */
#ifndef CDP_SHAPLEY_H
#define CDP_SHAPLEY_H

#include "attribution/models/coalitions.h"

/* long double in memory of palloc, which aligns to eight bytes only. */
typedef long double CdpLongDouble pg_attribute_aligned(MAXIMUM_ALIGNOF);

typedef enum CdpShapleyKind
{
	CDP_SHAPLEY_SIMPLE,			/* Harsanyi: each set shares its conversions equally */
	CDP_SHAPLEY_ORDERED,		/* the same by position; summed over positions it is the simple one */
	CDP_SHAPLEY_RATE			/* worth of a set = conversion rate of the journeys inside it */
} CdpShapleyKind;

/* The rate game enumerates all sets of the labels that occur. */
#define CDP_SHAPLEY_RATE_LABELS 20

extern void cdp_shapley_credit(const CdpCoalitions *c, int nlabels, CdpShapleyKind kind,
							   double *conv_credit, double *value_credit);
extern void cdp_one_removed_credit(const CdpPathTable *t, int nlabels,
								   double *conv_credit, double *value_credit);

#endif							/* CDP_SHAPLEY_H */

/*
 * coalitions.h
 *		Journeys by the set of labels they touch: what Shapley needs.
 *
 * With `ordered`, also by label, position in the journey and divisor (labels in
 * the set times occurrences of the label in the journey), from which the ordered
 * Shapley value follows exactly: a journey gives 1 / divisor to each such place.
 */
#ifndef CDP_COALITIONS_H
#define CDP_COALITIONS_H

#include "attribution/models/pathtable.h"

typedef struct CdpPlace
{
	uint32		label;
	uint32		position;		/* 1 = first touch of the journey */
	uint64		divisor;
	int64		conversions;
	int128		value;			/* micro-units */
} CdpPlace;

typedef struct CdpCoalitions
{
	int			nlabels;
	bool		ordered;
	CdpPathTable *sets;			/* ascending labels of each set */
	CdpBudget  *budget;
	MemoryContext cxt;

	uint64	   *mask;			/* up to 64 labels: hash of sets as bits, 0 = free */
	uint32	   *mask_set;
	uint32		nmasks;
	uint32		mask_slots;

	uint32	   *seen;			/* [nlabels] occurrences in the journey at hand */
	uint32	   *found;			/* its distinct labels */

	CdpPlace   *place;			/* open addressing, divisor 0 = free */
	uint32		nplaces;
	uint32		place_slots;
} CdpCoalitions;

extern CdpCoalitions *cdp_coalitions_create(int nlabels, bool ordered, CdpBudget *budget, MemoryContext cxt);
extern void cdp_coalitions_add(CdpCoalitions *c, const uint32 *label, int n,
							   int64 conv, int64 nulls, int128 value);
extern void cdp_coalitions_merge(CdpCoalitions *into, const CdpCoalitions *from, const uint32 *remap);
extern void cdp_coalitions_write(const CdpCoalitions *c, StringInfo buf);
extern CdpCoalitions *cdp_coalitions_read(StringInfo buf, int nlabels, CdpBudget *budget, MemoryContext cxt);
extern CdpPlace *cdp_coalitions_places(const CdpCoalitions *c, uint32 *count, MemoryContext cxt);

#endif							/* CDP_COALITIONS_H */

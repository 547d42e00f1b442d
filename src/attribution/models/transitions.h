/*
 * transitions.h
 *		Transition counts of a Markov chain of one order over journeys.
 *
 * States are the sliding k-grams of a journey (the whole journey when it is
 * shorter than k). A journey of weight w = conversions + nulls adds w to each
 * step from one state to the next, and its conversions, nulls and value to its
 * last state. How often a state starts a journey follows: left + ended - entered.
 *
 * Counts add over whole journeys; a negative count subtracts. The counts of a
 * lower order follow exactly from those of a higher one (cdp_transitions_lower).
 */
#ifndef CDP_TRANSITIONS_H
#define CDP_TRANSITIONS_H

#include "attribution/attribution.h"
#include "attribution/models/pathtable.h"

typedef struct CdpTransitions CdpTransitions;

/* The chain, laid out for reading: states in canonical order, steps by state and label. */
typedef struct CdpChain
{
	int			order;
	int			nlabels;
	uint32		nstates;
	uint64		nsteps;
	uint32	   *length;			/* [nstates] labels of a state */
	uint64	   *begin;			/* [nstates] where its labels stand in pool */
	uint32	   *pool;
	CdpCounts  *end;			/* [nstates] journeys that end there */
	int64	   *starts;			/* [nstates] journeys that start there */
	int64	   *total;			/* [nstates] left + ended */
	uint64	   *first;			/* [nstates + 1] its steps */
	uint32	   *label;			/* [nsteps] label that follows */
	uint32	   *to;				/* [nsteps] state that follows */
	int64	   *weight;			/* [nsteps] */
	Size		bytes;			/* of all these arrays */
} CdpChain;

extern CdpTransitions *cdp_transitions_create(int order, int nlabels, CdpBudget *budget, MemoryContext cxt);
extern void cdp_transitions_add(CdpTransitions *t, const uint32 *label, int n,
								int64 conv, int64 nulls, int128 value);
extern void cdp_transitions_merge(CdpTransitions *into, const CdpTransitions *from, const uint32 *remap);
extern CdpTransitions *cdp_transitions_lower(const CdpTransitions *t, int order, CdpBudget *budget, MemoryContext cxt);
extern void cdp_transitions_write(const CdpTransitions *t, StringInfo buf);
extern CdpTransitions *cdp_transitions_read(StringInfo buf, int nlabels, CdpBudget *budget, MemoryContext cxt);
extern void cdp_transitions_free(CdpTransitions *t);
extern int	cdp_transitions_order(const CdpTransitions *t);
extern Size cdp_transitions_limit(const CdpTransitions *t);
extern CdpChain *cdp_transitions_chain(const CdpTransitions *t, MemoryContext cxt);

#endif							/* CDP_TRANSITIONS_H */

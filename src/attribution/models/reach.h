/*
 * reach.h
 *		The states of a chain in the order of its walks, and those that walks
 *		reach from some of them.
 */
#ifndef CDP_REACH_H
#define CDP_REACH_H

#include "attribution/models/sparse.h"
#include "attribution/models/transitions.h"

/* Marks of states that are not in the list. */
#define CDP_REACH_NONE PG_UINT32_MAX
#define CDP_REACH_GONE (PG_UINT32_MAX - 1)

/* All by place; a state's place comes after those of most states that lead to it. */
typedef struct CdpReach
{
	const CdpChain *chain;
	uint32	   *state;			/* [nstates] state at a place */
	uint32	   *place;			/* [nstates] its inverse, by state */
	uint64	   *first;			/* [nstates + 1] steps into a place, from other places */
	uint32	   *from;			/* ascending */
	double	   *weight;
	uint32	   *row;			/* [nstates] number in the list, or a mark */
	uint32	   *list;			/* places reached, ascending */
	uint32		n;
} CdpReach;

extern bool cdp_reach_start(CdpReach *r, const CdpChain *chain, CdpSparseWork *work, MemoryContext cxt);
extern void cdp_reach_from(CdpReach *r, const uint32 *gone, uint64 n, CdpSparseWork *work);
extern void cdp_reach_clear(CdpReach *r, const uint32 *gone, uint64 n);

#endif							/* CDP_REACH_H */

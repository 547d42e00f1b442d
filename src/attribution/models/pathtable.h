/*
 * pathtable.h
 *		Distinct sequences of labels with their counts: conversions, journeys
 *		that did not convert, value. As they stand they are the distinct paths;
 *		the states of a Markov chain and the sets of Shapley are kept in them too.
 *
 * Pure C over arrays. Counts add: tables of disjoint journeys may be merged, and
 * a negative count subtracts. An entry whose counts are all zero does not exist.
 */
#ifndef CDP_PATHTABLE_H
#define CDP_PATHTABLE_H

#include "cdp.h"
#include "lib/stringinfo.h"

/* What all path statistics of one result may take; the caller owns it and keeps it alive. */
typedef struct CdpBudget
{
	Size		limit;			/* bytes */
	Size		used;
} CdpBudget;

typedef struct CdpCounts
{
	int64		conversions;
	int64		nulls;
	int128		value;			/* micro-units, net of refunds */
} CdpCounts;

typedef struct CdpPath
{
	CdpCounts	sum;
	uint64		start;			/* of its labels in the table's pool */
	uint32		n;
	uint32		hash;
} CdpPath;

typedef struct CdpPathTable
{
	int			nlabels;
	uint32		npaths;
	uint32		room;			/* paths that fit */
	uint32		nslots;			/* a power of two */
	uint32	   *slot;			/* path number + 1, 0 = free */
	CdpPath    *path;
	uint32	   *pool;			/* the labels of all paths */
	uint64		pool_used;
	uint64		pool_room;
	CdpBudget  *budget;
	MemoryContext cxt;
} CdpPathTable;

extern void cdp_budget_take(CdpBudget *budget, Size bytes);
extern void cdp_budget_give(CdpBudget *budget, Size bytes);
extern void *cdp_budget_alloc(CdpBudget *budget, MemoryContext cxt, uint64 count, Size size);
extern void cdp_budget_free(CdpBudget *budget, void *chunk, uint64 count, Size size);

extern void cdp_counts_add(CdpCounts *into, int64 conversions, int64 nulls, int128 value);
extern bool cdp_counts_zero(const CdpCounts *c);
extern void cdp_counts_write(StringInfo buf, const CdpCounts *c);
extern CdpCounts cdp_counts_read(StringInfo buf);

extern CdpPathTable *cdp_pathtable_create(int nlabels, CdpBudget *budget, MemoryContext cxt);
extern uint32 cdp_pathtable_add(CdpPathTable *t, const uint32 *label, int n,
								int64 conv, int64 nulls, int128 value);
extern uint32 cdp_pathtable_find(const CdpPathTable *t, const uint32 *label, int n);
extern void cdp_pathtable_merge(CdpPathTable *into, const CdpPathTable *from, const uint32 *remap);
extern uint32 *cdp_pathtable_order(const CdpPathTable *t, uint32 *count, MemoryContext cxt);
extern void cdp_pathtable_write(const CdpPathTable *t, StringInfo buf);
extern CdpPathTable *cdp_pathtable_read(StringInfo buf, int nlabels, CdpBudget *budget, MemoryContext cxt);
extern void cdp_pathtable_free(CdpPathTable *t);

#define CDP_PATH_NONE UINT32_MAX

/* Labels of one path; they belong to the table and move when it grows. */
static inline const uint32 *
cdp_path_labels(const CdpPathTable *t, uint32 path)
{
	return t->pool + t->path[path].start;
}

/* Mixes the bits of a 64-bit key. */
static inline uint64
cdp_mix64(uint64 x)
{
	x ^= x >> 32;
	x *= UINT64CONST(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64CONST(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}

#endif							/* CDP_PATHTABLE_H */

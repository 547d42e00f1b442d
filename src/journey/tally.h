/*
 * tally.h
 *		Counts of a pass by what they count: a hash table whose keys are a few
 *		numbers, such as a kind of count, a step and two labels.
 */
#ifndef CDP_JOURNEY_TALLY_H
#define CDP_JOURNEY_TALLY_H

#include "cdp.h"

#include "journey/spans.h"

typedef struct CdpTallyEntry
{
	uint64		start;			/* of its key in the pool */
	uint32		n;				/* numbers of its key */
	uint32		hash;
	int64		count;			/* how often */
	int64		customers;		/* by how many */
	uint64		seen;			/* the customer counted last */
	int128		value;			/* micro-units */
	CdpSpans	times;
} CdpTallyEntry;

typedef struct CdpTally
{
	CdpSpanMemory memory;
	uint64		customer;		/* the one at hand: a number above 0, each customer another */
	uint32		n;
	uint32		room;
	uint32		slots;			/* a power of two */
	uint32	   *slot;			/* number + 1, 0 = free */
	CdpTallyEntry *entry;
	uint32	   *pool;			/* the keys */
	uint64		pool_used;
	uint64		pool_room;
} CdpTally;

extern CdpTally *cdp_tally_create(MemoryContext cxt);
extern CdpTallyEntry *cdp_tally_find(const CdpTally *t, const uint32 *key, int n);
extern CdpTallyEntry *cdp_tally_entry(CdpTally *t, const uint32 *key, int n);
extern CdpTallyEntry *cdp_tally_count(CdpTally *t, const uint32 *key, int n);
extern void cdp_tally_add(CdpTally *t, CdpTallyEntry *into, const CdpTallyEntry *from);
extern CdpTallyEntry **cdp_tally_sorted(const CdpTally *t);

/* The key of an entry; it moves when entries are added. */
static inline const uint32 *
cdp_tally_key(const CdpTally *t, const CdpTallyEntry *e)
{
	return t->pool + e->start;
}

/* A signed number as two words of a key, whose order is that of the numbers. */
static inline void
cdp_tally_put_number(uint32 *key, int64 number)
{
	uint64		biased = (uint64) number ^ (UINT64CONST(1) << 63);

	key[0] = (uint32) (biased >> 32);
	key[1] = (uint32) biased;
}

/* The number in two words of a key. */
static inline int64
cdp_tally_number(const uint32 *key)
{
	return (int64) (((uint64) key[0] << 32 | key[1]) ^ (UINT64CONST(1) << 63));
}

#endif							/* CDP_JOURNEY_TALLY_H */

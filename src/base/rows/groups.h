/*
 * groups.h
 *		The keys of a partition, numbered as they come. A partition is small
 *		enough for the cache, so grouping is a hash table and a counting scatter,
 *		not a sort.
 */
#ifndef CDP_GROUPS_H
#define CDP_GROUPS_H

#include "cdp.h"

typedef struct CdpGroupSlot
{
	uint64		key;
	uint32		group;			/* number + 1, 0 = free */
} CdpGroupSlot;

typedef struct CdpGroups
{
	uint32		n;
	uint32		room;
	uint32		slots;			/* a power of two */
	CdpGroupSlot *slot;
	uint64	   *key;			/* [room] */
	uint64	   *key2;			/* [room], wide keys only */
	uint32	   *count;			/* [room] rows; after the scatter where the next group starts */
} CdpGroups;

extern void cdp_groups_reset(CdpGroups *g, MemoryContext cxt);
extern void cdp_groups_grow(CdpGroups *g);
extern void cdp_groups_starts(CdpGroups *g);

/* Spreads a key over the slots; other bits than those that chose the partition. */
static inline uint32
cdp_group_slot(uint64 key, uint64 key2, uint32 slots)
{
	uint64		hash = (key ^ (key2 * UINT64CONST(0xFF51AFD7ED558CCD))) * UINT64CONST(0xC4CEB9FE1A85EC53);

	return (uint32) (hash >> 32) & (slots - 1);
}

/* The number of a key; a new one is added. */
static inline uint32
cdp_group_find(CdpGroups *g, uint64 key, uint64 key2, bool wide)
{
	uint32		at = cdp_group_slot(key, key2, g->slots);
	uint32		i;

	for (; g->slot[at].group != 0; at = (at + 1) & (g->slots - 1))
	{
		i = g->slot[at].group - 1;
		if (g->slot[at].key == key && (!wide || g->key2[i] == key2))
			return i;
	}
	if (g->n == g->room)
	{
		cdp_groups_grow(g);
		at = cdp_group_slot(key, key2, g->slots);
		while (g->slot[at].group != 0)
			at = (at + 1) & (g->slots - 1);
	}
	i = g->n++;
	g->slot[at].key = key;
	g->slot[at].group = i + 1;
	g->key[i] = key;
	g->key2[i] = key2;
	g->count[i] = 0;
	return i;
}

#endif							/* CDP_GROUPS_H */

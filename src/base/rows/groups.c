/*
 * groups.c
 *		The table of the keys of a partition.
 */
#include "base/rows/groups.h"

/* Makes the table empty, and right for the first keys; its memory is in cxt and kept from partition to partition. */
void
cdp_groups_reset(CdpGroups *g, MemoryContext cxt)
{
	if (g->slot == NULL)
	{
		g->slots = 16384;
		g->room = g->slots / 2;
		g->slot = MemoryContextAlloc(cxt, sizeof(*g->slot) * g->slots);
		g->key = MemoryContextAlloc(cxt, sizeof(uint64) * g->room);
		g->key2 = MemoryContextAlloc(cxt, sizeof(uint64) * g->room);
		g->count = MemoryContextAlloc(cxt, sizeof(uint32) * g->room);
	}
	g->n = 0;
	memset(g->slot, 0, sizeof(*g->slot) * g->slots);
}

/* Doubles the table. */
void
cdp_groups_grow(CdpGroups *g)
{
	Size		slots = (Size) g->slots * 2;

	g->room *= 2;
	g->key = repalloc_huge(g->key, sizeof(uint64) * g->room);
	g->key2 = repalloc_huge(g->key2, sizeof(uint64) * g->room);
	g->count = repalloc_huge(g->count, sizeof(uint32) * g->room);
	g->slot = repalloc_huge(g->slot, sizeof(*g->slot) * slots);
	memset(g->slot, 0, sizeof(*g->slot) * slots);
	g->slots = (uint32) slots;
	for (uint32 i = 0; i < g->n; i++)
	{
		uint32		at = cdp_group_slot(g->key[i], g->key2[i], g->slots);

		while (g->slot[at].group != 0)
			at = (at + 1) & (g->slots - 1);
		g->slot[at].key = g->key[i];
		g->slot[at].group = i + 1;
	}
}

/* Turns the counts into the places where the rows of each key start. */
void
cdp_groups_starts(CdpGroups *g)
{
	uint32		start = 0;

	for (uint32 k = 0; k < g->n; k++)
	{
		uint32		count = g->count[k];

		g->count[k] = start;
		start += count;
	}
}

/*
 * by_key.c
 *		Groups the rows of each partition by key and visits key after key.
 *
 * The pass says how rows of one time are ordered, by all that distinguishes them,
 * so that what a visitor sees does not depend on the order of the input.
 */
#include "base/rows/by_key.h"

#include "base/rows/groups.h"

/* Scratch of the partitions, kept from one to the next. */
typedef struct Scratch
{
	const uint32 *rank;
	CdpTieOrder ties;
	CdpVisitKey visit;
	MemoryContext cxt;
	CdpGroups	groups;
	Size		rows;
	uint32	   *group;			/* of each row: slim, narrow, full */
	CdpItem    *item;
	CdpItem    *sorted;
	int			sorted_room;
	CdpKeyRows	key_rows;
} Scratch;

/* Makes room for the rows of a partition. */
static void
reserve_scratch(Scratch *x, Size rows)
{
	if (rows <= x->rows)
		return;
	if (x->group != NULL)
	{
		pfree(x->group);
		pfree(x->item);
	}
	x->rows = rows + rows / 8;
	x->group = MemoryContextAllocHuge(x->cxt, sizeof(uint32) * x->rows);
	x->item = MemoryContextAllocHuge(x->cxt, sizeof(CdpItem) * x->rows);
}

/* Numbers the key of each row and counts the rows of each. */
static void
group_rows(CdpStore *s, int partition, Scratch *x)
{
	CdpGroups  *g = &x->groups;
	uint32	   *group_of = x->group;
	bool		wide = s->wide_key;
	uint64		i;

	CDP_FOR_ROWS(s, CDP_STORE_SLIM, partition, CdpSlimRow, row, i,
	{
		group_of[i] = cdp_group_find(g, row->key, 0, false);
		g->count[group_of[i]]++;
	});
	group_of += i;
	CDP_FOR_ROWS(s, CDP_STORE_NARROW, partition, uint64, row, i,
	{
		group_of[i] = cdp_group_find(g, row[0], wide ? row[2] : 0, wide);
		g->count[group_of[i]]++;
	});
	group_of += i;
	CDP_FOR_ROWS(s, CDP_STORE_FULL, partition, uint64, row, i,
	{
		group_of[i] = cdp_group_find(g, row[0], wide ? row[3] : 0, wide);
		g->count[group_of[i]]++;
	});
}

/* Puts the rows of each key together. */
static void
scatter_rows(CdpStore *s, int partition, Scratch *x)
{
	CdpGroups  *g = &x->groups;
	const uint32 *group_of = x->group;
	uint64		i;

	cdp_groups_starts(g);
	CDP_FOR_ROWS(s, CDP_STORE_SLIM, partition, CdpSlimRow, row, i,
	{
		uint64		word = cdp_store_slim_word(row);

		x->item[g->count[group_of[i]]++] = (CdpItem) {.at = cdp_store_narrow_at(word),
			.rank = x->rank[cdp_store_narrow_label(word)], .row = CDP_BARE_ROW};
	});
	group_of += i;
	CDP_FOR_ROWS(s, CDP_STORE_NARROW, partition, uint64, row, i,
	{
		x->item[g->count[group_of[i]]++] = (CdpItem) {.at = cdp_store_narrow_at(row[1]),
			.rank = x->rank[cdp_store_narrow_label(row[1])], .row = CDP_BARE_ROW};
	});
	group_of += i;
	CDP_FOR_ROWS(s, CDP_STORE_FULL, partition, uint64, row, i,
	{
		x->item[g->count[group_of[i]]++] = (CdpItem) {.at = (int64) row[1], .rank = x->rank[(uint32) row[2]], .row = (uint32) i};
	});
}

/* Sorts and visits each key of a loaded partition. */
static void
visit_partition(CdpStore *s, int partition, void *arg)
{
	Scratch    *x = arg;
	CdpKeyRows *rows = &x->key_rows;
	uint32		begin = 0;

	reserve_scratch(x, cdp_store_rows(s, partition));
	cdp_groups_reset(&x->groups, x->cxt);
	group_rows(s, partition, x);
	scatter_rows(s, partition, x);
	rows->store = s;
	rows->partition = partition;
	for (uint32 k = 0; k < x->groups.n; k++)
	{
		CdpItem    *item = x->item + begin;

		if ((k & 255) == 0)
			CHECK_FOR_INTERRUPTS();
		rows->key = x->groups.key[k];
		rows->key2 = x->groups.key2[k];
		rows->item = item;
		rows->n = (int) (x->groups.count[k] - begin);
		if (!cdp_items_sorted(item, rows->n))
		{
			if (rows->n > x->sorted_room)
			{
				if (x->sorted != NULL)
					pfree(x->sorted);
				x->sorted_room = rows->n;
				x->sorted = MemoryContextAllocHuge(x->cxt, sizeof(CdpItem) * rows->n);
			}
			cdp_items_sort(item, x->sorted, rows->n, x->ties, rows);
		}
		x->visit(rows);
		begin = x->groups.count[k];
	}
}

/*
 * Visits all keys of a store, in no order that a result may show; rank is the
 * place of each label's number; ties gets the CdpKeyRows as its arg. Memory is in the store's context. Valued rows are
 * the attribution room's own and not visited.
 */
void
cdp_by_key(CdpStore *s, const uint32 *rank, CdpTieOrder ties, CdpVisitKey visit, void *arg)
{
	Scratch    *x = MemoryContextAllocZero(s->cxt, sizeof(Scratch));

	x->rank = rank;
	x->ties = ties;
	x->visit = visit;
	x->key_rows.arg = arg;
	x->cxt = s->cxt;
	cdp_store_visit(s, sizeof(CdpItem) + sizeof(uint32), visit_partition, x);
}

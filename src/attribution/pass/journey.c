/*
 * journey.c
 *		Finishes a pass: partition by partition, groups the rows by customer,
 *		sorts each customer's and walks them.
 *
 * A partition is small enough for the cache, so grouping is a hash table and a
 * counting scatter, not a sort.
 */
#include "attribution/pass/journey.h"

#include "base/rows/groups.h"

#include "utils/builtins.h"

/* Customers of a partition; a bit for each slot that was taken when the conversions were numbered. */
typedef struct Groups
{
	CdpGroups	of;
	uint64	   *filter;
	uint32		filter_slots;
} Groups;

/* Group of a row that nobody will walk with others. */
#define NO_GROUP PG_UINT32_MAX

/* Scratch of the partitions, kept from one to the next. */
typedef struct Scratch
{
	Size		rows;
	uint32	   *group;			/* of each row: kept slim touches, narrow and other touches, conversions */
	const CdpSlimRow **kept;	/* slim touches that may have to be walked */
	uint64		nkept;
	CdpItem    *item;
	CdpItem    *sorted;
	int			sorted_room;
	Groups		groups;
} Scratch;

/* Marks the first slots that customers were put into; kept small, so that asking it costs next to nothing. */
static void
make_filter(Groups *g, bool wide, MemoryContext cxt)
{
	if (g->filter_slots != g->of.slots)
	{
		if (g->filter != NULL)
			pfree(g->filter);
		g->filter = MemoryContextAllocHuge(cxt, g->of.slots / 8);
		g->filter_slots = g->of.slots;
	}
	memset(g->filter, 0, g->of.slots / 8);
	for (uint32 i = 0; i < g->of.n; i++)
	{
		uint32		at = cdp_group_slot(g->of.key[i], wide ? g->of.key2[i] : 0, g->of.slots);

		g->filter[at / 64] |= UINT64CONST(1) << (at % 64);
	}
}

/* The number of a customer with conversions, or NO_GROUP. */
static inline uint32
find_converting(const Groups *g, uint64 key, uint64 key2, bool wide)
{
	uint32		at = cdp_group_slot(key, key2, g->of.slots);

	if (likely((g->filter[at / 64] >> (at % 64) & 1) == 0))
		return NO_GROUP;
	for (; g->of.slot[at].group != 0; at = (at + 1) & (g->of.slots - 1))
		if (g->of.slot[at].key == key && (!wide || g->of.key2[g->of.slot[at].group - 1] == key2))
			return g->of.slot[at].group - 1;
	return NO_GROUP;
}

/* Numbers the customer of a touch and counts the touch; without `all` only customers with conversions matter. */
static inline uint32
group_touch(Groups *g, uint64 key, uint64 key2, bool wide, bool all)
{
	uint32		group = all ? cdp_group_find(&g->of, key, key2, wide) : find_converting(g, key, key2, wide);

	if (group != NO_GROUP)
		g->of.count[group]++;
	return group;
}

/*
 * Numbers the customers of the slim touches that may have to be walked, and notes
 * which those are. The filter is asked without a branch, as the processor would
 * guess it wrong for many of them.
 */
static void
group_slim(CdpWalk *w, Scratch *x, bool all)
{
	const CdpStore *s = w->store;
	Groups	   *g = &x->groups;
	const CdpSlimRow **kept = x->kept;
	bool		every = w->excluded != NULL;	/* all are looked at, to count them */
	uint64		n = 0;
	uint64		i;

	if (all)
	{
		CDP_FOR_ROWS(s, CDP_STORE_SLIM, w->partition, CdpSlimRow, row, i,
		{
			kept[i] = row;
			x->group[i] = group_touch(g, row->key, 0, false, true);
		});
		x->nkept = i;
		return;
	}
	CDP_FOR_ROWS(s, CDP_STORE_SLIM, w->partition, CdpSlimRow, row, i,
	{
		uint32		at = cdp_group_slot(row->key, 0, g->of.slots);

		kept[n] = row;
		n += every | (g->filter[at / 64] >> (at % 64) & 1);
	});
	x->nkept = n;
	for (i = 0; i < n; i++)
	{
		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		x->group[i] = group_touch(g, kept[i]->key, 0, false, false);
	}
}

/* Numbers the customers of all rows that will be walked, and counts their rows. */
static void
group_rows(CdpWalk *w, Scratch *x)
{
	CdpStore   *s = w->store;
	Groups	   *g = &x->groups;
	bool		wide = s->wide_key;
	bool		all = w->options->need_nulls;
	uint64		nslim = s->stream[CDP_STORE_SLIM][w->partition].rows;
	uint64		nnarrow = s->stream[CDP_STORE_NARROW][w->partition].rows;
	uint64		ntouches = s->stream[CDP_STORE_FULL][w->partition].rows;
	uint32	   *group_of = x->group + nslim + nnarrow + ntouches;
	uint64		i;

	CDP_FOR_ROWS(s, CDP_STORE_VALUED, w->partition, uint64, row, i,
	{
		if ((row[2] >> 48) & CDP_ROW_NO_KEY)
		{
			group_of[i] = NO_GROUP;
			cdp_walk_lonely(w, row);
			continue;
		}
		group_of[i] = cdp_group_find(&g->of, row[0], wide ? row[3] : 0, wide);
		g->of.count[group_of[i]]++;
	});
	if (!all)
		make_filter(g, wide, w->cxt);
	group_slim(w, x, all);
	group_of = x->group + nslim;
	CDP_FOR_ROWS(s, CDP_STORE_NARROW, w->partition, uint64, row, i,
	{
		group_of[i] = group_touch(g, row[0], wide ? row[2] : 0, wide, all);
	});
	group_of += nnarrow;
	CDP_FOR_ROWS(s, CDP_STORE_FULL, w->partition, uint64, row, i,
	{
		group_of[i] = group_touch(g, row[0], wide ? row[3] : 0, wide, all);
	});
}

/* Counts a touch that nobody will walk among the excluded ones, as the summary does with all others. */
static inline void
count_unwalked(CdpWalk *w, uint32 label)
{
	if (unlikely(w->excluded != NULL) && label != CDP_NO_LABEL && w->excluded[w->rank[label]])
		w->sums->counter[CDP_COUNT_EXCLUDED]++;
}

/* Puts a touch that only its word tells of behind the others of its customer. */
static inline void
scatter_touch(CdpWalk *w, Scratch *x, uint32 group, uint64 word)
{
	uint32		label = cdp_store_narrow_label(word);
	CdpItem    *item;

	if (group == NO_GROUP)
	{
		count_unwalked(w, label);
		return;
	}
	/* Nothing else is to be looked up, so the row's number is not kept. */
	item = &x->item[x->groups.of.count[group]++];
	item->at = cdp_store_narrow_at(word);
	item->rank = w->rank[label];
	item->row = 0;
}

/* Puts the rows of each customer together; those whose journeys nobody needs are left out. */
static void
scatter_rows(CdpWalk *w, Scratch *x)
{
	CdpStore   *s = w->store;
	Groups	   *g = &x->groups;
	const uint32 *group_of = x->group;
	uint64		i;

	cdp_groups_starts(&g->of);
	for (i = 0; i < x->nkept; i++)
	{
		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		scatter_touch(w, x, group_of[i], cdp_store_slim_word(x->kept[i]));
	}
	group_of += s->stream[CDP_STORE_SLIM][w->partition].rows;
	CDP_FOR_ROWS(s, CDP_STORE_NARROW, w->partition, uint64, row, i,
	{
		scatter_touch(w, x, group_of[i], row[1]);
	});
	group_of += i;
	CDP_FOR_ROWS(s, CDP_STORE_FULL, w->partition, uint64, row, i,
	{
		uint32		group = group_of[i];
		uint32		label = (uint32) row[2];
		CdpItem    *item;

		if (group == NO_GROUP)
		{
			count_unwalked(w, label);
			continue;
		}
		item = &x->item[g->of.count[group]++];
		item->at = (int64) row[1];
		item->rank = likely(label != CDP_NO_LABEL) ? w->rank[label] : CDP_CLASS_MILESTONE << 30;
		item->row = (uint32) i;
	});
	group_of += i;
	CDP_FOR_ROWS(s, CDP_STORE_VALUED, w->partition, uint64, row, i,
	{
		uint32		group = group_of[i];
		uint32		label = (uint32) row[2];
		bool		refund = (row[2] >> 48) & CDP_ROW_REFUND;
		CdpItem    *item;

		if (group == NO_GROUP)
			continue;
		item = &x->item[g->of.count[group]++];
		item->at = (int64) row[1];
		item->rank = (uint32) (refund ? CDP_CLASS_REFUND : CDP_CLASS_CONVERSION) << 30 |
			(label != CDP_NO_LABEL ? w->conversion_rank[label] + 1 : CDP_ITEM_NO_LABEL);
		item->row = (uint32) i;
	});
}

/* Makes room for the rows of a partition. */
static void
reserve_scratch(Scratch *x, Size rows, MemoryContext cxt)
{
	if (rows <= x->rows)
		return;
	if (x->group != NULL)
	{
		pfree(x->group);
		pfree(x->kept);
		pfree(x->item);
	}
	x->rows = rows + rows / 8;
	x->group = MemoryContextAllocHuge(cxt, sizeof(uint32) * x->rows);
	x->item = MemoryContextAllocHuge(cxt, sizeof(CdpItem) * x->rows);
	x->kept = MemoryContextAllocHuge(cxt, sizeof(CdpSlimRow *) * x->rows);
}

/*
 * Orders rows of equal time: by id, or without ids touch before milestone before
 * conversion before refund, label, value. Everything that distinguishes two rows
 * takes part, so that the result does not depend on the order of the input.
 */
static int
compare_rows(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpWalk *w = arg;
	const CdpStore *s = w->store;
	int			kind_a = CDP_ITEM_CLASS(a->rank) >= CDP_CLASS_CONVERSION;
	int			kind_b = CDP_ITEM_CLASS(b->rank) >= CDP_CLASS_CONVERSION;
	const uint64 *x;
	const uint64 *y;
	int			c = 0;

	/* Without ids, touches of equal rank are alike. */
	if (!CDP_ID_WORD(s) && a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (!CDP_ID_WORD(s) && !kind_a)
		return 0;
	x = cdp_store_at(s, kind_a, w->partition, a->row);
	y = cdp_store_at(s, kind_b, w->partition, b->row);
	if (CDP_ID_WORD(s))
		c = cdp_compare_int64(x[CDP_ID_WORD(s)], y[CDP_ID_WORD(s)]);
	if (c == 0)
		c = cdp_compare_int64(a->rank, b->rank);
	if (c == 0 && kind_a)
		c = cdp_compare_int64(x[s->value_word], y[s->value_word]);
	if (c == 0)
		c = cdp_compare_int64(x[2] >> 32, y[2] >> 32);
	if (c == 0 && CDP_SESSION_WORD(s))
		c = cdp_compare_int64(x[CDP_SESSION_WORD(s)], y[CDP_SESSION_WORD(s)]);
	return c;
}

/* What visiting the partitions needs. */
typedef struct Visit
{
	CdpWalk    *walk;
	Scratch    *scratch;
} Visit;

/* Sorts and walks each customer of a loaded partition. */
static void
walk_partition(CdpStore *s, int partition, void *arg)
{
	CdpWalk    *w = ((Visit *) arg)->walk;
	Scratch    *x = ((Visit *) arg)->scratch;
	Groups	   *g = &x->groups;
	Size		rows = cdp_store_rows(s, partition);
	uint32		begin = 0;

	w->store = s;
	w->partition = partition;
	reserve_scratch(x, rows, w->cxt);
	cdp_groups_reset(&g->of, w->cxt);
	group_rows(w, x);
	scatter_rows(w, x);
	if (w->options->need_nulls)
		w->sums->counter[CDP_COUNT_CUSTOMERS] += g->of.n;
	for (uint32 k = 0; k < g->of.n; k++)
	{
		uint32		end = g->of.count[k];
		int			n = (int) (end - begin);

		if (n == 0)
			continue;
		if ((k & 255) == 0)
			CHECK_FOR_INTERRUPTS();
		if (!cdp_items_sorted(x->item + begin, n))
		{
			if (n > x->sorted_room)
			{
				if (x->sorted != NULL)
					pfree(x->sorted);
				x->sorted_room = n;
				x->sorted = MemoryContextAllocHuge(w->cxt, sizeof(CdpItem) * n);
			}
			cdp_items_sort(x->item + begin, x->sorted, n, compare_rows, w);
		}
		if (w->options->credits)
			w->customer = cdp_pass_customer(w->pass, g->of.key[k], g->of.key2[k]);
		cdp_walk_customer(w, x->item + begin, n);
		/* The names of text keys are the pass's; of others this is a text for the moment. */
		if (w->options->credits && w->pass->key_type != CDP_KEY_TEXT)
			pfree(unconstify(char *, w->customer));
		begin = end;
	}
}

/* The labels that exclude and include leave out, or NULL when none. */
static bool *
excluded_labels(const CdpOptions *o, const CdpLabels *labels)
{
	bool	   *excluded;

	if (o->nexclude == 0 && o->ninclude == 0)
		return NULL;
	excluded = palloc(Max(labels->n, 1));
	memset(excluded, o->ninclude > 0, labels->n);
	for (int i = 0; i < o->ninclude; i++)
	{
		int			label = cdp_label_find(labels, o->include[i]);

		if (label >= 0)
			excluded[label] = false;
	}
	for (int i = 0; i < o->nexclude; i++)
	{
		int			label = cdp_label_find(labels, o->exclude[i]);

		if (label >= 0)
			excluded[label] = true;
	}
	return excluded;
}

/* The lookback of each kind that came, by its number plus one; NULL when kinds do not matter. */
static int64 *
kind_lookbacks(const CdpPass *pass, int64 *longest)
{
	const CdpOptions *o = pass->options;
	int64	   *lookback;

	*longest = o->lookback;
	if (!pass->keep_kinds || o->nkinds == 0)
		return NULL;
	lookback = palloc(sizeof(int64) * (pass->kinds.n + 1));
	for (uint32 k = 0; k <= pass->kinds.n; k++)
		lookback[k] = o->lookback;
	for (int i = 0; i < o->nkinds; i++)
	{
		*longest = Max(*longest, o->kind_lookback[i]);
		for (uint32 k = 0; k < pass->kinds.n; k++)
		{
			const char *name = pass->kinds.is_int ? psprintf("%d", (int) pass->kinds.code[k]) : pass->kinds.text[k];

			if (strcmp(name, o->kind[i]) == 0)
				lookback[k + 1] = o->kind_lookback[i];
		}
	}
	return lookback;
}

/* Orders refunds by conversion, then by everything else. */
static int
compare_references(const void *a, const void *b)
{
	const CdpReference *x = a;
	const CdpReference *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->conversion_id != y->conversion_id)
		return x->conversion_id < y->conversion_id ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (x->has_key != y->has_key)
		return x->has_key ? -1 : 1;
	return memcmp(x->key, y->key, sizeof(x->key));
}

/* The labels by the names that the options give to integers, and the place of each number among them. */
static CdpLabels *
named_labels(const CdpPass *pass, uint32 **rank)
{
	const CdpOptions *o = pass->options;
	const CdpIntern *in = &pass->labels;
	CdpIntern	names;
	CdpLabels  *labels;
	uint32	   *number = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(in->n, 1));
	uint32	   *name_rank;

	cdp_intern_init(&names, false, CurrentMemoryContext, &cdp_attribution_memory);
	for (uint32 i = 0; i < in->n; i++)
	{
		int32		code = in->is_int ? in->code[i] : 0;

		if (code < 1 || code > o->nlabel_names)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("integer label %d has no name", (int) code),
					 errdetail("Attribution option \"label_names\" names the labels 1 to %d.", o->nlabel_names)));
		number[i] = cdp_intern_text(&names, o->label_name[code - 1], strlen(o->label_name[code - 1]));
	}
	labels = cdp_intern_sorted(&names, &name_rank);
	for (uint32 i = 0; i < in->n; i++)
		number[i] = name_rank[number[i]];
	*rank = number;
	return labels;
}

/* Turns the collected rows into sums, which live in the pass's context like all else. */
CdpSums *
cdp_pass_finish(CdpPass *pass)
{
	MemoryContext old = MemoryContextSwitchTo(pass->cxt);
	CdpWalk    *w = palloc0(sizeof(CdpWalk));
	Visit		visit = {.walk = w, .scratch = palloc0(sizeof(Scratch))};
	uint32	   *rank;
	uint32	   *conversion_rank;
	CdpLabels  *labels;

	labels = pass->options->nlabel_names > 0 ? named_labels(pass, &rank) : cdp_intern_sorted(&pass->labels, &rank);
	cdp_labels_refuse_reserved(labels);
	conversion_rank = rank;
	if (!pass->keep_conversion_labels)
		(void) cdp_intern_sorted(&pass->conversion_labels, &conversion_rank);
	w->conversion_rank = conversion_rank;
	w->pass = pass;
	w->options = pass->options;
	w->store = pass->store;
	w->cxt = pass->cxt;
	w->rank = rank;
	w->sums = cdp_sums_create(pass->options, labels, pass->cxt);
	memcpy(w->sums->counter, pass->counter, sizeof(pass->counter));
	w->excluded = excluded_labels(pass->options, labels);
	w->kind_lookback = kind_lookbacks(pass, &w->longest);
	if (pass->nreferences > 1)
		qsort(pass->reference, pass->nreferences, sizeof(CdpReference), compare_references);
	cdp_store_visit(pass->store, sizeof(CdpItem) + sizeof(uint32) + sizeof(CdpSlimRow *), walk_partition, &visit);
	cdp_walk_orphans(w);
	MemoryContextSwitchTo(old);
	return w->sums;
}

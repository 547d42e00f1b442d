/*
 * journey.c
 *		Finishes a pass: partition by partition, groups the rows by customer,
 *		sorts each customer's and walks them.
 *
 * A partition is small enough for the cache, so grouping is a hash table and a
 * counting scatter, not a sort.
 */
#include "attribution/pass/journey.h"

#include "utils/builtins.h"

/* Customers of a partition, numbered as they come. */
typedef struct Groups
{
	uint32		n;
	uint32		room;
	uint32		slots;			/* a power of two */
	struct GroupSlot
	{
		uint64		key;
		uint32		group;		/* number + 1, 0 = free */
	}		   *slot;
	uint64	   *key2;			/* [room], wide keys only */
	uint64	   *key;			/* [room] */
	uint32	   *count;			/* [room] rows; after the scatter where the next group starts */
	uint64	   *filter;			/* a bit for each slot: taken when the conversions were numbered */
	uint32		filter_slots;
} Groups;

/* Group of a row that nobody will walk with others. */
#define NO_GROUP PG_UINT32_MAX

/* Scratch of the partitions, kept from one to the next. */
typedef struct Scratch
{
	Size		rows;
	uint32	   *group;			/* of each row: kept slim touches, narrow and other touches, conversions */
	const CdpSlimTouch **kept;	/* slim touches that may have to be walked */
	uint64		nkept;
	CdpItem    *item;
	CdpItem    *sorted;
	int			sorted_room;
	Groups		groups;
} Scratch;

/* Spreads a key over the slots; other bits than those that chose the partition. */
static inline uint32
slot_of(uint64 key, uint64 key2, uint32 slots)
{
	uint64		hash = (key ^ (key2 * UINT64CONST(0xFF51AFD7ED558CCD))) * UINT64CONST(0xC4CEB9FE1A85EC53);

	return (uint32) (hash >> 32) & (slots - 1);
}

/* Makes the table empty, and right for the first customers. */
static void
reset_groups(Groups *g, MemoryContext cxt)
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
static void
grow_groups(Groups *g)
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
		uint32		at = slot_of(g->key[i], g->key2[i], g->slots);

		while (g->slot[at].group != 0)
			at = (at + 1) & (g->slots - 1);
		g->slot[at].key = g->key[i];
		g->slot[at].group = i + 1;
	}
}

/* The number of a customer; a new one is added. */
static inline uint32
find_group(Groups *g, uint64 key, uint64 key2, bool wide)
{
	uint32		at = slot_of(key, key2, g->slots);
	uint32		i;

	for (; g->slot[at].group != 0; at = (at + 1) & (g->slots - 1))
	{
		i = g->slot[at].group - 1;
		if (g->slot[at].key == key && (!wide || g->key2[i] == key2))
			return i;
	}
	if (g->n == g->room)
	{
		grow_groups(g);
		at = slot_of(key, key2, g->slots);
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

/* Visits the rows of one kind, chunk by chunk: body sees `row`, of the given type, and `number`. */
#define FOR_ROWS(s, kind_, partition, type, row, number, body) \
	do { \
		const CdpStream *stream_ = &(s)->stream[kind_][partition]; \
		uint64		left_ = stream_->rows; \
		int			bytes_ = (s)->row_bytes[kind_]; \
		number = 0; \
		for (int c_ = 0; left_ > 0; c_++) \
		{ \
			const char *at_ = stream_->chunk[c_]; \
			uint64		here_ = Min(left_, (uint64) (s)->chunk_rows[kind_]); \
			left_ -= here_; \
			CHECK_FOR_INTERRUPTS(); \
			for (; here_ > 0; here_--, at_ += bytes_, number++) \
			{ \
				const type *row = (const type *) at_; \
				body \
			} \
		} \
	} while (0)

/* Marks the first slots that customers were put into; kept small, so that asking it costs next to nothing. */
static void
make_filter(Groups *g, bool wide, MemoryContext cxt)
{
	if (g->filter_slots != g->slots)
	{
		if (g->filter != NULL)
			pfree(g->filter);
		g->filter = MemoryContextAllocHuge(cxt, g->slots / 8);
		g->filter_slots = g->slots;
	}
	memset(g->filter, 0, g->slots / 8);
	for (uint32 i = 0; i < g->n; i++)
	{
		uint32		at = slot_of(g->key[i], wide ? g->key2[i] : 0, g->slots);

		g->filter[at / 64] |= UINT64CONST(1) << (at % 64);
	}
}

/* The number of a customer with conversions, or NO_GROUP. */
static inline uint32
find_converting(const Groups *g, uint64 key, uint64 key2, bool wide)
{
	uint32		at = slot_of(key, key2, g->slots);

	if (likely((g->filter[at / 64] >> (at % 64) & 1) == 0))
		return NO_GROUP;
	for (; g->slot[at].group != 0; at = (at + 1) & (g->slots - 1))
		if (g->slot[at].key == key && (!wide || g->key2[g->slot[at].group - 1] == key2))
			return g->slot[at].group - 1;
	return NO_GROUP;
}

/* Numbers the customer of a touch and counts the touch; without `all` only customers with conversions matter. */
static inline uint32
group_touch(Groups *g, uint64 key, uint64 key2, bool wide, bool all)
{
	uint32		group = all ? find_group(g, key, key2, wide) : find_converting(g, key, key2, wide);

	if (group != NO_GROUP)
		g->count[group]++;
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
	const CdpSlimTouch **kept = x->kept;
	bool		every = w->excluded != NULL;	/* all are looked at, to count them */
	uint64		n = 0;
	uint64		i;

	if (all)
	{
		FOR_ROWS(s, CDP_STORE_SLIM, w->partition, CdpSlimTouch, row, i,
		{
			kept[i] = row;
			x->group[i] = group_touch(g, row->key, 0, false, true);
		});
		x->nkept = i;
		return;
	}
	FOR_ROWS(s, CDP_STORE_SLIM, w->partition, CdpSlimTouch, row, i,
	{
		uint32		at = slot_of(row->key, 0, g->slots);

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
	uint64		ntouches = s->stream[CDP_STORE_TOUCH][w->partition].rows;
	uint32	   *group_of = x->group + nslim + nnarrow + ntouches;
	uint64		i;

	FOR_ROWS(s, CDP_STORE_CONVERSION, w->partition, uint64, row, i,
	{
		if ((row[2] >> 48) & CDP_ROW_NO_KEY)
		{
			group_of[i] = NO_GROUP;
			cdp_walk_lonely(w, row);
			continue;
		}
		group_of[i] = find_group(g, row[0], wide ? row[3] : 0, wide);
		g->count[group_of[i]]++;
	});
	if (!all)
		make_filter(g, wide, w->cxt);
	group_slim(w, x, all);
	group_of = x->group + nslim;
	FOR_ROWS(s, CDP_STORE_NARROW, w->partition, uint64, row, i,
	{
		group_of[i] = group_touch(g, row[0], wide ? row[2] : 0, wide, all);
	});
	group_of += nnarrow;
	FOR_ROWS(s, CDP_STORE_TOUCH, w->partition, uint64, row, i,
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
	item = &x->item[x->groups.count[group]++];
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
	uint32		start = 0;
	uint64		i;

	for (uint32 k = 0; k < g->n; k++)
	{
		uint32		count = g->count[k];

		g->count[k] = start;
		start += count;
	}
	for (i = 0; i < x->nkept; i++)
	{
		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		scatter_touch(w, x, group_of[i], cdp_store_slim_word(x->kept[i]));
	}
	group_of += s->stream[CDP_STORE_SLIM][w->partition].rows;
	FOR_ROWS(s, CDP_STORE_NARROW, w->partition, uint64, row, i,
	{
		scatter_touch(w, x, group_of[i], row[1]);
	});
	group_of += i;
	FOR_ROWS(s, CDP_STORE_TOUCH, w->partition, uint64, row, i,
	{
		uint32		group = group_of[i];
		uint32		label = (uint32) row[2];
		CdpItem    *item;

		if (group == NO_GROUP)
		{
			count_unwalked(w, label);
			continue;
		}
		item = &x->item[g->count[group]++];
		item->at = (int64) row[1];
		item->rank = likely(label != CDP_NO_LABEL) ? w->rank[label] : CDP_CLASS_MILESTONE << 30;
		item->row = (uint32) i;
	});
	group_of += i;
	FOR_ROWS(s, CDP_STORE_CONVERSION, w->partition, uint64, row, i,
	{
		uint32		group = group_of[i];
		uint32		label = (uint32) row[2];
		bool		refund = (row[2] >> 48) & CDP_ROW_REFUND;
		CdpItem    *item;

		if (group == NO_GROUP)
			continue;
		item = &x->item[g->count[group]++];
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
	x->kept = MemoryContextAllocHuge(cxt, sizeof(CdpSlimTouch *) * x->rows);
}

/* Whether the rows are in order already. */
static inline bool
is_sorted(const CdpItem *items, int n)
{
	for (int i = 1; i < n; i++)
		if (items[i - 1].at >= items[i].at)
			return false;
	return true;
}

/* Sorts and walks each customer of a loaded partition. */
static void
walk_partition(CdpWalk *w, Scratch *x)
{
	CdpStore   *s = w->store;
	Groups	   *g = &x->groups;
	Size		rows = cdp_store_rows(s, w->partition);
	uint32		begin = 0;

	if (rows == 0)
		return;
	if (rows > PG_INT32_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows of few customers for one attribution pass"),
				 errdetail("%zu rows share one of %d partitions.", rows, CDP_STORE_PARTITIONS),
				 errhint("Lower cdp.attribution_memory, so that the rows are divided further, or report a shorter interval.")));
	reserve_scratch(x, rows, w->cxt);
	reset_groups(g, w->cxt);
	group_rows(w, x);
	scatter_rows(w, x);
	if (w->options->need_nulls)
		w->sums->counter[CDP_COUNT_CUSTOMERS] += g->n;
	for (uint32 k = 0; k < g->n; k++)
	{
		uint32		end = g->count[k];
		int			n = (int) (end - begin);

		if (n == 0)
			continue;
		if ((k & 255) == 0)
			CHECK_FOR_INTERRUPTS();
		if (!is_sorted(x->item + begin, n))
		{
			if (n > x->sorted_room)
			{
				if (x->sorted != NULL)
					pfree(x->sorted);
				x->sorted_room = n;
				x->sorted = MemoryContextAllocHuge(w->cxt, sizeof(CdpItem) * n);
			}
			cdp_items_sort(w, x->item + begin, x->sorted, n);
		}
		if (w->options->credits)
			w->customer = cdp_pass_customer(w->pass, g->key[k], g->key2[k]);
		cdp_walk_customer(w, x->item + begin, n);
		/* The names of text keys are the pass's; of others this is a text for the moment. */
		if (w->options->credits && w->pass->key_type != CDP_KEY_TEXT)
			pfree(unconstify(char *, w->customer));
		begin = end;
	}
}

/* Raises the error for a customer whose rows do not fit into memory. */
static void
customer_too_large(const CdpStore *s, int partition, Size need)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the rows of one customer do not fit into the memory of an attribution pass"),
			 errdetail(UINT64_FORMAT " rows need about %zu kB, half of %d kB is there for them.",
					   cdp_store_rows(s, partition),
					   need / 1024, cdp_attribution_memory),
			 errhint("Raise cdp.attribution_memory, or filter out customers that are no persons, such as bots and shared devices.")));
}

/* Walks every partition of a store; one that is too large is divided further. */
static void
walk_store(CdpWalk *w, CdpStore *s, Scratch *x)
{
	for (int p = 0; p < CDP_STORE_PARTITIONS; p++)
	{
		uint64		rows = cdp_store_rows(s, p);
		Size		need = cdp_store_bytes(s, p) + rows * (sizeof(CdpItem) + sizeof(uint32) + sizeof(CdpSlimTouch *));

		CHECK_FOR_INTERRUPTS();
		if (rows == 0)
			continue;
		if (need > cdp_attribution_memory_bytes() / 2)
		{
			CdpStore   *finer;

			if (s->level >= 2)
				customer_too_large(s, p, need);
			finer = cdp_store_create(w->cxt, s->wide_key, s->id_word != 0, s->session_word != 0,
									 s->level + 1, s->limit / 2);
			cdp_store_refine(s, p, finer);
			walk_store(w, finer, x);
			cdp_store_close(finer);
			continue;
		}
		cdp_store_load(s, p);
		w->store = s;
		w->partition = p;
		walk_partition(w, x);
		cdp_store_release(s, p);
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

	cdp_intern_init(&names, false, CurrentMemoryContext);
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
	Scratch    *x = palloc0(sizeof(Scratch));
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
	walk_store(w, pass->store, x);
	cdp_walk_orphans(w);
	MemoryContextSwitchTo(old);
	return w->sums;
}

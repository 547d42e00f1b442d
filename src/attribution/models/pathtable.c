/*
 * pathtable.c
 *		Distinct label sequences with counts: an open-addressing hash over a
 *		pool of labels. See pathtable.h.
 */
#include "cdp.h"

#include "common/int.h"

#include "attribution/models/pathbytes.h"
#include "attribution/models/pathtable.h"

/* Counts bytes against the limit; error 54000 when it would be passed. NULL budget: no limit. */
void
cdp_budget_take(CdpBudget *budget, Size bytes)
{
	if (budget == NULL)
		return;
	if (bytes > budget->limit || budget->used > budget->limit - bytes)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("attribution needs more memory than cdp.attribution_memory allows"),
				 errdetail("Path statistics hold %zu kB and need %zu kB more; the limit is %zu kB.",
						   budget->used / 1024, bytes / 1024 + 1, budget->limit / 1024),
				 errhint("Group to fewer labels, use a lower Markov order, collapse repeats, or raise cdp.attribution_memory.")));
	budget->used += bytes;
}

/* Gives bytes back to the budget. */
void
cdp_budget_give(CdpBudget *budget, Size bytes)
{
	if (budget != NULL)
		budget->used -= Min(bytes, budget->used);
}

/* Allocates a zeroed array in cxt within the budget; free it with cdp_budget_free or with the context. */
void *
cdp_budget_alloc(CdpBudget *budget, MemoryContext cxt, uint64 count, Size size)
{
	if (count > (uint64) (MaxAllocHugeSize / size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("attribution needs an array of %llu elements, which is more than memory can hold",
						(unsigned long long) count)));
	cdp_budget_take(budget, (Size) count * size);
	return MemoryContextAllocExtended(cxt, Max((Size) count * size, 1),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* Frees an array of cdp_budget_alloc; NULL is allowed. */
void
cdp_budget_free(CdpBudget *budget, void *chunk, uint64 count, Size size)
{
	if (chunk == NULL)
		return;
	pfree(chunk);
	cdp_budget_give(budget, (Size) count * size);
}

/* Adds counts; error 22003 when a sum leaves its range. */
void
cdp_counts_add(CdpCounts *into, int64 conversions, int64 nulls, int128 value)
{
	if (pg_add_s64_overflow(into->conversions, conversions, &into->conversions) ||
		pg_add_s64_overflow(into->nulls, nulls, &into->nulls) ||
		__builtin_add_overflow(into->value, value, &into->value))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("attribution counts out of range")));
}

/* Tells whether nothing is left in a count. */
bool
cdp_counts_zero(const CdpCounts *c)
{
	return c->conversions == 0 && c->nulls == 0 && c->value == 0;
}

/* Appends counts to buf. */
void
cdp_counts_write(StringInfo buf, const CdpCounts *c)
{
	cdp_put_int(buf, c->conversions);
	cdp_put_int(buf, c->nulls);
	cdp_put_int(buf, c->value);
}

/* Reads counts; any value is allowed. */
CdpCounts
cdp_counts_read(StringInfo buf)
{
	CdpCounts	c;

	c.conversions = cdp_get_int64(buf);
	c.nulls = cdp_get_int64(buf);
	c.value = cdp_get_int128(buf);
	return c;
}

/* Hash of a label sequence. */
static uint32
path_hash(const uint32 *label, int n)
{
	uint64		h = cdp_mix64((uint64) n + UINT64CONST(0x9e3779b97f4a7c15));

	for (int i = 0; i < n; i++)
		h = (h ^ label[i]) * UINT64CONST(0x9fb21c651e98df25), h ^= h >> 29;
	return (uint32) cdp_mix64(h);
}

/* Makes an empty table in cxt; budget may be NULL (no limit) and must outlive the table. */
CdpPathTable *
cdp_pathtable_create(int nlabels, CdpBudget *budget, MemoryContext cxt)
{
	CdpPathTable *t = MemoryContextAllocZero(cxt, sizeof(CdpPathTable));

	t->nlabels = nlabels;
	t->budget = budget;
	t->cxt = cxt;
	t->room = 16;
	t->nslots = 32;
	t->pool_room = 64;
	t->slot = cdp_budget_alloc(budget, cxt, t->nslots, sizeof(uint32));
	t->path = cdp_budget_alloc(budget, cxt, t->room, sizeof(CdpPath));
	t->pool = cdp_budget_alloc(budget, cxt, t->pool_room, sizeof(uint32));
	return t;
}

/* Frees a table and gives its memory back to the budget. */
void
cdp_pathtable_free(CdpPathTable *t)
{
	cdp_budget_free(t->budget, t->slot, t->nslots, sizeof(uint32));
	cdp_budget_free(t->budget, t->path, t->room, sizeof(CdpPath));
	cdp_budget_free(t->budget, t->pool, t->pool_room, sizeof(uint32));
	pfree(t);
}

/* Doubles an array of a table within the budget; returns the new one. */
static void *
grown(CdpPathTable *t, void *old, uint64 used, uint64 room, uint64 new_room, Size size)
{
	char	   *fresh = cdp_budget_alloc(t->budget, t->cxt, new_room, size);

	memcpy(fresh, old, (Size) used * size);
	cdp_budget_free(t->budget, old, room, size);
	return fresh;
}

/* Makes room for one more path of n labels. */
static void
make_room(CdpPathTable *t, int n)
{
	if (t->pool_used + n > t->pool_room)
	{
		uint64		room = Max(t->pool_room * 2, t->pool_used + n);

		t->pool = grown(t, t->pool, t->pool_used, t->pool_room, room, sizeof(uint32));
		t->pool_room = room;
	}
	if (t->npaths < t->room)
		return;
	if (t->room >= (UINT32_C(1) << 30))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many distinct paths"),
				 errdetail("At most %u distinct paths are kept.", t->room)));
	t->path = grown(t, t->path, t->npaths, t->room, (uint64) t->room * 2, sizeof(CdpPath));
	t->room *= 2;

	cdp_budget_free(t->budget, t->slot, t->nslots, sizeof(uint32));
	t->slot = NULL;
	t->slot = cdp_budget_alloc(t->budget, t->cxt, (uint64) t->nslots * 2, sizeof(uint32));
	t->nslots *= 2;
	for (uint32 i = 0; i < t->npaths; i++)
	{
		uint32		at = t->path[i].hash & (t->nslots - 1);

		while (t->slot[at] != 0)
			at = (at + 1) & (t->nslots - 1);
		t->slot[at] = i + 1;
	}
}

/* The slot of a path: the one that holds it, or the free one where it belongs. */
static uint32
path_slot(const CdpPathTable *t, const uint32 *label, int n, uint32 hash)
{
	uint32		at = hash & (t->nslots - 1);

	for (; t->slot[at] != 0; at = (at + 1) & (t->nslots - 1))
	{
		const CdpPath *p = &t->path[t->slot[at] - 1];

		if (p->hash == hash && p->n == (uint32) n &&
			memcmp(t->pool + p->start, label, (Size) n * sizeof(uint32)) == 0)
			break;
	}
	return at;
}

/* Adds to a path, made when new; returns its number. Labels are copied. */
uint32
cdp_pathtable_add(CdpPathTable *t, const uint32 *label, int n,
				  int64 conv, int64 nulls, int128 value)
{
	uint32		hash = path_hash(label, n);
	uint32		at = path_slot(t, label, n, hash);
	CdpPath    *p;

	if (t->slot[at] == 0)
	{
		if (t->npaths >= t->room || t->pool_used + n > t->pool_room)
		{
			make_room(t, n);
			at = path_slot(t, label, n, hash);
		}
		p = &t->path[t->npaths];
		p->start = t->pool_used;
		p->n = (uint32) n;
		p->hash = hash;
		if (n > 0)
			memcpy(t->pool + t->pool_used, label, (Size) n * sizeof(uint32));
		t->pool_used += n;
		t->slot[at] = ++t->npaths;
	}
	p = &t->path[t->slot[at] - 1];
	cdp_counts_add(&p->sum, conv, nulls, value);
	return t->slot[at] - 1;
}

/* Number of a path, or CDP_PATH_NONE. */
uint32
cdp_pathtable_find(const CdpPathTable *t, const uint32 *label, int n)
{
	uint32		at = path_slot(t, label, n, path_hash(label, n));

	return t->slot[at] == 0 ? CDP_PATH_NONE : t->slot[at] - 1;
}

/* Adds all of from; remap[label of from] = label of into, NULL = the same. */
void
cdp_pathtable_merge(CdpPathTable *into, const CdpPathTable *from, const uint32 *remap)
{
	uint32	   *label = NULL;
	uint32		room = 0;

	for (uint32 i = 0; i < from->npaths; i++)
	{
		const CdpPath *p = &from->path[i];
		const uint32 *source = from->pool + p->start;

		CHECK_FOR_INTERRUPTS();
		if (cdp_counts_zero(&p->sum))
			continue;
		if (remap != NULL)
		{
			if (p->n > room)
			{
				if (label)
					pfree(label);
				room = p->n * 2;
				label = palloc_extended(room * sizeof(uint32), MCXT_ALLOC_HUGE);
			}
			for (uint32 j = 0; j < p->n; j++)
				label[j] = remap[source[j]];
			source = label;
		}
		cdp_pathtable_add(into, source, (int) p->n, p->sum.conversions, p->sum.nulls, p->sum.value);
	}
	if (label)
		pfree(label);
}

/* Order of two label sequences: the shorter first, then label by label. */
static int
compare_labels(const uint32 *a, uint32 an, const uint32 *b, uint32 bn)
{
	if (an != bn)
		return an < bn ? -1 : 1;
	for (uint32 i = 0; i < an; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

/* qsort_arg comparator of path numbers. */
static int
compare_paths(const void *a, const void *b, void *table)
{
	const CdpPathTable *t = table;
	const CdpPath *p = &t->path[*(const uint32 *) a];
	const CdpPath *q = &t->path[*(const uint32 *) b];

	CHECK_FOR_INTERRUPTS();
	return compare_labels(t->pool + p->start, p->n, t->pool + q->start, q->n);
}

/* Numbers of the paths that are not empty, in canonical order; the caller owns the array. */
uint32 *
cdp_pathtable_order(const CdpPathTable *t, uint32 *count, MemoryContext cxt)
{
	uint32	   *order = MemoryContextAllocHuge(cxt, Max((Size) t->npaths, 1) * sizeof(uint32));
	uint32		n = 0;

	for (uint32 i = 0; i < t->npaths; i++)
		if (!cdp_counts_zero(&t->path[i].sum))
			order[n++] = i;
	qsort_arg(order, n, sizeof(uint32), compare_paths, unconstify(CdpPathTable *, t));
	*count = n;
	return order;
}

/* Appends the table's canonical bytes: the same counts give the same bytes. */
void
cdp_pathtable_write(const CdpPathTable *t, StringInfo buf)
{
	uint32		count;
	uint32	   *order = cdp_pathtable_order(t, &count, CurrentMemoryContext);

	cdp_put_uint(buf, count);
	for (uint32 i = 0; i < count; i++)
	{
		const CdpPath *p = &t->path[order[i]];

		CHECK_FOR_INTERRUPTS();
		cdp_put_uint(buf, p->n);
		for (uint32 j = 0; j < p->n; j++)
			cdp_put_uint(buf, t->pool[p->start + j]);
		cdp_counts_write(buf, &p->sum);
	}
	pfree(order);
}

/* Reads what cdp_pathtable_write wrote, checking all of it; the table lives in cxt. */
CdpPathTable *
cdp_pathtable_read(StringInfo buf, int nlabels, CdpBudget *budget, MemoryContext cxt)
{
	CdpPathTable *t = cdp_pathtable_create(nlabels, budget, cxt);
	uint64		count = cdp_get_uint(buf, cdp_bytes_left(buf) / 4, "Too many paths for the bytes that follow");
	uint32	   *label = NULL;
	uint32		room = 0;

	for (uint64 i = 0; i < count; i++)
	{
		uint32		n = (uint32) cdp_get_uint(buf, Min(cdp_bytes_left(buf), PG_INT32_MAX), "A path is too long for the bytes that follow");
		CdpCounts	c;

		CHECK_FOR_INTERRUPTS();
		if (n > room)
		{
			if (label)
				pfree(label);
			room = n;
			label = palloc_extended(room * sizeof(uint32), MCXT_ALLOC_HUGE);
		}
		for (uint32 j = 0; j < n; j++)
		{
			label[j] = (uint32) cdp_get_uint(buf, UINT32_MAX, "A label is out of range");
			if (label[j] >= (uint32) nlabels)
				cdp_bytes_bad("A label is out of range");
		}
		if (n == 0 ||
			(i > 0 && compare_labels(cdp_path_labels(t, i - 1), t->path[i - 1].n, label, n) >= 0))
			cdp_bytes_bad("Paths are empty, repeated or out of order");
		c = cdp_counts_read(buf);
		if (cdp_counts_zero(&c))
			cdp_bytes_bad("A path has no counts");
		cdp_pathtable_add(t, label, (int) n, c.conversions, c.nulls, c.value);
	}
	if (label)
		pfree(label);
	return t;
}

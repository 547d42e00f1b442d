/*
 * tally.c
 *		Counts of a pass by what they count: an open-addressing hash table over
 *		a pool of keys.
 */
#include "journey/tally.h"

#include "common/hashfn.h"
#include "common/int.h"

/* Allocates a part of a table. */
static void *
take(CdpTally *t, Size bytes)
{
	cdp_span_take(&t->memory, bytes);
	return MemoryContextAllocExtended(t->memory.cxt, bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* An empty table in cxt. */
CdpTally *
cdp_tally_create(MemoryContext cxt)
{
	CdpTally   *t = MemoryContextAllocZero(cxt, sizeof(CdpTally));

	t->memory.cxt = cxt;
	t->room = 32;
	t->slots = 64;
	t->pool_room = 256;
	t->slot = take(t, sizeof(uint32) * t->slots);
	t->entry = take(t, sizeof(CdpTallyEntry) * t->room);
	t->pool = take(t, sizeof(uint32) * t->pool_room);
	return t;
}

/* A part of a table at twice its size. */
static void *
grown(CdpTally *t, void *old, Size used, Size bytes)
{
	char	   *fresh = take(t, bytes);

	memcpy(fresh, old, used);
	pfree(old);
	return fresh;
}

/* Makes room for one more key of n numbers. */
static void
make_room(CdpTally *t, int n)
{
	if (t->pool_used + n > t->pool_room)
	{
		t->pool_room = Max(t->pool_room * 2, t->pool_used + n);
		t->pool = grown(t, t->pool, sizeof(uint32) * t->pool_used, sizeof(uint32) * t->pool_room);
	}
	if (t->n < t->room)
		return;
	CHECK_FOR_INTERRUPTS();
	t->room *= 2;
	t->entry = grown(t, t->entry, sizeof(CdpTallyEntry) * t->n, sizeof(CdpTallyEntry) * t->room);
	pfree(t->slot);
	t->slots *= 2;
	t->slot = take(t, sizeof(uint32) * t->slots);
	for (uint32 i = 0; i < t->n; i++)
	{
		uint32		at = t->entry[i].hash & (t->slots - 1);

		while (t->slot[at] != 0)
			at = (at + 1) & (t->slots - 1);
		t->slot[at] = i + 1;
	}
}

/* The slot of a key: the one that holds it, or the free one where it belongs. */
static uint32
slot_of(const CdpTally *t, const uint32 *key, int n, uint32 hash)
{
	uint32		at = hash & (t->slots - 1);

	for (; t->slot[at] != 0; at = (at + 1) & (t->slots - 1))
	{
		const CdpTallyEntry *e = &t->entry[t->slot[at] - 1];

		if (e->hash == hash && e->n == (uint32) n && memcmp(t->pool + e->start, key, sizeof(uint32) * n) == 0)
			break;
	}
	return at;
}

/* The hash of a key. */
static inline uint32
hash_of(const uint32 *key, int n)
{
	return hash_bytes((const unsigned char *) key, (int) sizeof(uint32) * n);
}

/* The entry of a key, or NULL. */
CdpTallyEntry *
cdp_tally_find(const CdpTally *t, const uint32 *key, int n)
{
	uint32		at = slot_of(t, key, n, hash_of(key, n));

	return t->slot[at] == 0 ? NULL : &t->entry[t->slot[at] - 1];
}

/* The entry of a key, made when new; it moves when others are added. */
CdpTallyEntry *
cdp_tally_entry(CdpTally *t, const uint32 *key, int n)
{
	uint32		hash = hash_of(key, n);
	uint32		at = slot_of(t, key, n, hash);
	CdpTallyEntry *e;

	if (t->slot[at] != 0)
		return &t->entry[t->slot[at] - 1];
	make_room(t, n);
	at = slot_of(t, key, n, hash);
	e = &t->entry[t->n];
	e->start = t->pool_used;
	e->n = n;
	e->hash = hash;
	memcpy(t->pool + t->pool_used, key, sizeof(uint32) * n);
	t->pool_used += n;
	t->slot[at] = ++t->n;
	return e;
}

/* Counts once more, and the customer at hand when he had not been counted. */
CdpTallyEntry *
cdp_tally_count(CdpTally *t, const uint32 *key, int n)
{
	CdpTallyEntry *e = cdp_tally_entry(t, key, n);

	e->count++;
	e->customers += e->seen != t->customer;
	e->seen = t->customer;
	return e;
}

/* Adds the counts of an entry, of this table or of another, to one of this table. */
void
cdp_tally_add(CdpTally *t, CdpTallyEntry *into, const CdpTallyEntry *from)
{
	if (pg_add_s64_overflow(into->count, from->count, &into->count) ||
		pg_add_s64_overflow(into->customers, from->customers, &into->customers) ||
		__builtin_add_overflow(into->value, from->value, &into->value))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("counts of a pass over journeys are out of range")));
	cdp_spans_append(&t->memory, &into->times, &from->times);
}

/* Orders entries by their keys, number by number. */
static int
compare_entries(const void *a, const void *b, void *arg)
{
	const CdpTally *t = arg;
	const CdpTallyEntry *x = *(CdpTallyEntry *const *) a;
	const CdpTallyEntry *y = *(CdpTallyEntry *const *) b;

	CHECK_FOR_INTERRUPTS();
	for (uint32 i = 0; i < Min(x->n, y->n); i++)
		if (cdp_tally_key(t, x)[i] != cdp_tally_key(t, y)[i])
			return cdp_tally_key(t, x)[i] < cdp_tally_key(t, y)[i] ? -1 : 1;
	return (x->n > y->n) - (x->n < y->n);
}

/* All entries in the order of their keys; the caller owns the array. */
CdpTallyEntry **
cdp_tally_sorted(const CdpTally *t)
{
	CdpTallyEntry **order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(CdpTallyEntry *) * Max((Size) t->n, 1));

	for (uint32 i = 0; i < t->n; i++)
		order[i] = &t->entry[i];
	qsort_arg(order, t->n, sizeof(CdpTallyEntry *), compare_entries, unconstify(CdpTally *, t));
	return order;
}

/*
 * coalitions.c
 *		Counts by set of labels. See coalitions.h.
 */
#include "cdp.h"

#include "common/int.h"
#include "port/pg_bitutils.h"

#include "attribution/models/coalitions.h"
#include "attribution/models/pathbytes.h"

#define MASK_LABELS 64

/* Makes an empty table in cxt; budget may be NULL and must outlive the table. */
CdpCoalitions *
cdp_coalitions_create(int nlabels, bool ordered, CdpBudget *budget, MemoryContext cxt)
{
	CdpCoalitions *c = MemoryContextAllocZero(cxt, sizeof(CdpCoalitions));

	c->nlabels = nlabels;
	c->ordered = ordered;
	c->budget = budget;
	c->cxt = cxt;
	c->sets = cdp_pathtable_create(nlabels, budget, cxt);
	if (nlabels <= MASK_LABELS)
	{
		c->mask_slots = 32;
		c->mask = cdp_budget_alloc(budget, cxt, c->mask_slots, sizeof(uint64));
		c->mask_set = cdp_budget_alloc(budget, cxt, c->mask_slots, sizeof(uint32));
	}
	c->seen = cdp_budget_alloc(budget, cxt, nlabels, sizeof(uint32));
	c->found = cdp_budget_alloc(budget, cxt, nlabels, sizeof(uint32));
	if (ordered)
	{
		c->place_slots = 64;
		c->place = cdp_budget_alloc(budget, cxt, c->place_slots, sizeof(CdpPlace));
	}
	return c;
}

/* The slot of a mask: the one that holds it, or the free one where it belongs. */
static inline uint32
mask_slot(const uint64 *mask, uint32 slots, uint64 key)
{
	uint32		at = (uint32) cdp_mix64(key) & (slots - 1);

	while (mask[at] != 0 && mask[at] != key)
		at = (at + 1) & (slots - 1);
	return at;
}

/* Doubles the hash of masks. */
static void
grow_masks(CdpCoalitions *c)
{
	uint32		slots = c->mask_slots * 2;
	uint64	   *mask = cdp_budget_alloc(c->budget, c->cxt, slots, sizeof(uint64));
	uint32	   *set = cdp_budget_alloc(c->budget, c->cxt, slots, sizeof(uint32));

	for (uint32 i = 0; i < c->mask_slots; i++)
		if (c->mask[i] != 0)
		{
			uint32		at = mask_slot(mask, slots, c->mask[i]);

			mask[at] = c->mask[i];
			set[at] = c->mask_set[i];
		}
	cdp_budget_free(c->budget, c->mask, c->mask_slots, sizeof(uint64));
	cdp_budget_free(c->budget, c->mask_set, c->mask_slots, sizeof(uint32));
	c->mask = mask;
	c->mask_set = set;
	c->mask_slots = slots;
}

/* Adds to the set of a mask. */
static void
add_mask(CdpCoalitions *c, uint64 key, int64 conv, int64 nulls, int128 value)
{
	uint32		at = mask_slot(c->mask, c->mask_slots, key);
	uint32		label[MASK_LABELS];
	int			n = 0;

	if (c->mask[at] != 0)
	{
		cdp_counts_add(&c->sets->path[c->mask_set[at]].sum, conv, nulls, value);
		return;
	}
	if (c->nmasks >= c->mask_slots / 2)
	{
		grow_masks(c);
		at = mask_slot(c->mask, c->mask_slots, key);
	}
	for (uint64 rest = key; rest != 0; rest &= rest - 1)
		label[n++] = (uint32) pg_rightmost_one_pos64(rest);
	c->mask[at] = key;
	c->mask_set[at] = cdp_pathtable_add(c->sets, label, n, conv, nulls, value);
	c->nmasks++;
}

/* Adds to the set of n ascending labels. */
static void
add_set(CdpCoalitions *c, const uint32 *label, int n, const CdpCounts *sum)
{
	uint64		key = 0;

	if (c->mask == NULL)
	{
		(void) cdp_pathtable_add(c->sets, label, n, sum->conversions, sum->nulls, sum->value);
		return;
	}
	for (int i = 0; i < n; i++)
		key |= UINT64CONST(1) << label[i];
	add_mask(c, key, sum->conversions, sum->nulls, sum->value);
}

/* qsort comparator of labels. */
static int
compare_uint32(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* The slot of a place: the one that holds it, or the free one where it belongs. */
static uint32
place_slot(const CdpPlace *place, uint32 slots, uint32 label, uint32 position, uint64 divisor)
{
	uint32		at = (uint32) cdp_mix64(cdp_mix64(((uint64) label << 32) | position) ^ divisor) & (slots - 1);

	while (place[at].divisor != 0 &&
		   (place[at].label != label || place[at].position != position || place[at].divisor != divisor))
		at = (at + 1) & (slots - 1);
	return at;
}

/* Adds to a place. */
static void
add_place(CdpCoalitions *c, uint32 label, uint32 position, uint64 divisor, int64 conv, int128 value)
{
	uint32		at = place_slot(c->place, c->place_slots, label, position, divisor);
	CdpCounts	sum = {0};

	if (c->place[at].divisor == 0)
	{
		if (c->nplaces >= c->place_slots / 2)
		{
			uint32		slots = c->place_slots * 2;
			CdpPlace   *fresh;

			if (slots > (UINT32_C(1) << 30))
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("too many positions for the ordered Shapley model"),
						 errhint("Set max_touches, or use the shapley model.")));
			fresh = cdp_budget_alloc(c->budget, c->cxt, slots, sizeof(CdpPlace));
			for (uint32 i = 0; i < c->place_slots; i++)
				if (c->place[i].divisor != 0)
					fresh[place_slot(fresh, slots, c->place[i].label, c->place[i].position,
									 c->place[i].divisor)] = c->place[i];
			cdp_budget_free(c->budget, c->place, c->place_slots, sizeof(CdpPlace));
			c->place = fresh;
			c->place_slots = slots;
			at = place_slot(c->place, slots, label, position, divisor);
		}
		c->place[at].label = label;
		c->place[at].position = position;
		c->place[at].divisor = divisor;
		c->nplaces++;
	}
	sum.conversions = c->place[at].conversions;
	sum.value = c->place[at].value;
	cdp_counts_add(&sum, conv, 0, value);
	c->place[at].conversions = sum.conversions;
	c->place[at].value = sum.value;
}

/* Adds one journey (or many equal ones) of n labels; nothing for n = 0. */
void
cdp_coalitions_add(CdpCoalitions *c, const uint32 *label, int n,
				   int64 conv, int64 nulls, int128 value)
{
	bool		places = c->ordered && (conv != 0 || value != 0);
	CdpCounts	sum = {conv, nulls, value};
	int			distinct = 0;

	if (n <= 0)
		return;
	if (c->mask != NULL && !places)
	{
		uint64		key = 0;

		for (int i = 0; i < n; i++)
			key |= UINT64CONST(1) << label[i];
		add_mask(c, key, conv, nulls, value);
		return;
	}
	for (int i = 0; i < n; i++)
		if (c->seen[label[i]]++ == 0)
			c->found[distinct++] = label[i];
	if (places)
		for (int i = 0; i < n; i++)
			add_place(c, label[i], (uint32) i + 1, (uint64) distinct * c->seen[label[i]], conv, value);
	for (int i = 0; i < distinct; i++)
		c->seen[c->found[i]] = 0;
	qsort(c->found, distinct, sizeof(uint32), compare_uint32);
	add_set(c, c->found, distinct, &sum);
}

/* Adds all of from; remap[label of from] = label of into, NULL = the same. */
void
cdp_coalitions_merge(CdpCoalitions *into, const CdpCoalitions *from, const uint32 *remap)
{
	if (into->ordered != from->ordered)
		elog(ERROR, "label sets with and without positions cannot be merged");
	for (uint32 i = 0; i < from->sets->npaths; i++)
	{
		const CdpPath *p = &from->sets->path[i];
		const uint32 *label = cdp_path_labels(from->sets, i);

		CHECK_FOR_INTERRUPTS();
		if (cdp_counts_zero(&p->sum))
			continue;
		for (uint32 j = 0; j < p->n; j++)
			into->found[j] = remap ? remap[label[j]] : label[j];
		qsort(into->found, p->n, sizeof(uint32), compare_uint32);
		add_set(into, into->found, (int) p->n, &p->sum);
	}
	for (uint32 i = 0; i < from->place_slots; i++)
	{
		const CdpPlace *p = &from->place[i];

		CHECK_FOR_INTERRUPTS();
		if (p->divisor != 0)
			add_place(into, remap ? remap[p->label] : p->label, p->position, p->divisor, p->conversions, p->value);
	}
}

/* qsort comparator of places. */
static int
compare_places(const void *a, const void *b)
{
	const CdpPlace *p = a;
	const CdpPlace *q = b;

	CHECK_FOR_INTERRUPTS();
	if (p->label != q->label)
		return p->label < q->label ? -1 : 1;
	if (p->position != q->position)
		return p->position < q->position ? -1 : 1;
	return p->divisor < q->divisor ? -1 : p->divisor > q->divisor;
}

/* The places that are not empty, by label, position and divisor; the caller owns the array. */
CdpPlace *
cdp_coalitions_places(const CdpCoalitions *c, uint32 *count, MemoryContext cxt)
{
	CdpPlace   *place = cdp_budget_alloc(c->budget, cxt, c->nplaces, sizeof(CdpPlace));
	uint32		n = 0;

	cdp_budget_give(c->budget, (Size) c->nplaces * sizeof(CdpPlace));
	for (uint32 i = 0; i < c->place_slots; i++)
		if (c->place[i].divisor != 0 && (c->place[i].conversions != 0 || c->place[i].value != 0))
			place[n++] = c->place[i];
	qsort(place, n, sizeof(CdpPlace), compare_places);
	*count = n;
	return place;
}

/* Appends the table's canonical bytes: the same counts give the same bytes. */
void
cdp_coalitions_write(const CdpCoalitions *c, StringInfo buf)
{
	uint32		count;
	CdpPlace   *place;

	cdp_put_uint(buf, c->ordered);
	cdp_pathtable_write(c->sets, buf);
	if (!c->ordered)
		return;
	place = cdp_coalitions_places(c, &count, CurrentMemoryContext);
	cdp_put_uint(buf, count);
	for (uint32 i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		cdp_put_uint(buf, place[i].label);
		cdp_put_uint(buf, place[i].position);
		cdp_put_uint(buf, place[i].divisor);
		cdp_put_int(buf, place[i].conversions);
		cdp_put_int(buf, place[i].value);
	}
	pfree(place);
}

/* Reads what cdp_coalitions_write wrote, checking all of it; the table lives in cxt. */
CdpCoalitions *
cdp_coalitions_read(StringInfo buf, int nlabels, CdpBudget *budget, MemoryContext cxt)
{
	bool		ordered = cdp_get_uint(buf, 1, "A flag is neither 0 nor 1") == 1;
	CdpCoalitions *c = cdp_coalitions_create(nlabels, ordered, budget, cxt);
	CdpPathTable *sets = cdp_pathtable_read(buf, nlabels, budget, cxt);
	CdpPlace	last = {0};
	uint64		count = 0;

	for (uint32 i = 0; i < sets->npaths; i++)
	{
		const uint32 *label = cdp_path_labels(sets, i);

		for (uint32 j = 1; j < sets->path[i].n; j++)
			if (label[j - 1] >= label[j])
				cdp_bytes_bad("Labels of a set are repeated or out of order");
		add_set(c, label, (int) sets->path[i].n, &sets->path[i].sum);
	}
	cdp_pathtable_free(sets);
	if (ordered)
		count = cdp_get_uint(buf, cdp_bytes_left(buf) / 5, "Too many positions for the bytes that follow");
	for (uint64 i = 0; i < count; i++)
	{
		CdpPlace	p;

		CHECK_FOR_INTERRUPTS();
		p.label = (uint32) cdp_get_uint(buf, UINT32_MAX, "A label is out of range");
		p.position = (uint32) cdp_get_uint(buf, PG_INT32_MAX, "A position is out of range");
		p.divisor = cdp_get_uint(buf, PG_INT64_MAX, "A divisor is out of range");
		p.conversions = cdp_get_int64(buf);
		p.value = cdp_get_int128(buf);
		if (p.label >= (uint32) nlabels || p.position == 0 || p.divisor == 0 ||
			(p.conversions == 0 && p.value == 0))
			cdp_bytes_bad("A position is out of range");
		if (i > 0 && compare_places(&last, &p) >= 0)
			cdp_bytes_bad("Positions are repeated or out of order");
		add_place(c, p.label, p.position, p.divisor, p.conversions, p.value);
		last = p;
	}
	return c;
}

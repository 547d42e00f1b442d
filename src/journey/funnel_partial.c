/*
 * funnel_partial.c
 *		The type cdp.funnel_partial: counts and durations of a funnel, as bytes;
 *		adding customers, adding results.
 *
 * The bytes of a value come from clients too, so reading checks everything and
 * trusts no count. Equal results have equal bytes.
 */
#include "journey/funnel.h"

#include "base/wire.h"
#include "libpq/pqformat.h"

#define PARTIAL_VERSION 1

CDP_FUNCTION(cdp_funnel_in);
CDP_FUNCTION(cdp_funnel_out);
CDP_FUNCTION(cdp_funnel_recv);
CDP_FUNCTION(cdp_funnel_send);
CDP_FUNCTION(cdp_funnel_merge_add);
CDP_FUNCTION(cdp_funnel_merge_final);

/* The cell of a step of a breakdown. */
static inline CdpFunnelCell *
cell_of(const CdpFunnelSums *s, int breakdown, int step)
{
	return &s->cell[(Size) breakdown * s->options->nsteps + step];
}

/* Empty sums in cxt; breakdown is kept, not copied. */
CdpFunnelSums *
cdp_funnel_sums_create(const CdpFunnelOptions *o, CdpLabels *breakdown, bool broken_down, MemoryContext cxt)
{
	CdpFunnelSums *s = MemoryContextAllocZero(cxt, sizeof(CdpFunnelSums));
	Size		cells = (Size) breakdown->n * o->nsteps;

	if (cells * sizeof(CdpFunnelCell) > cdp_pass_memory_bytes(&cdp_journey_memory) / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a funnel has too many breakdowns"),
				 errdetail("%d breakdowns of %d steps take more than a quarter of %d kB.", breakdown->n, o->nsteps,
						   cdp_journey_memory.kilobytes),
				 errhint("Break down by something coarser, or raise %s.", cdp_journey_memory.setting)));
	s->cxt = cxt;
	s->options = o;
	s->breakdown = breakdown;
	s->broken_down = broken_down;
	s->cell = MemoryContextAllocExtended(cxt, sizeof(CdpFunnelCell) * Max(cells, 1), MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
	return s;
}

/* Makes room for n more durations. */
static void
reserve_durations(CdpFunnelSums *s, CdpDurations *d, int64 n)
{
	int64		room = d->room;

	if (d->n + n <= d->room)
		return;
	room = Max(d->n + n, room + room / 2 + 16);
	s->bytes += (room - d->room) * sizeof(int64);
	if (s->bytes > cdp_pass_memory_bytes(&cdp_journey_memory) / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the durations of a funnel do not fit into memory"),
				 errdetail("They take more than half of %d kB.", cdp_journey_memory.kilobytes),
				 errhint("Raise %s, or leave them out: cdp.funnel_options(..., durations => false).", cdp_journey_memory.setting)));
	d->value = d->value == NULL ? MemoryContextAllocHuge(s->cxt, sizeof(int64) * room)
		: repalloc_huge(d->value, sizeof(int64) * room);
	d->room = room;
}

/* Counts the chain of one customer. */
void
cdp_funnel_sums_add(CdpFunnelSums *s, const CdpFunnelChain *chain, uint32 breakdown)
{
	for (int k = 0; k < chain->level; k++)
	{
		CdpFunnelCell *cell = cell_of(s, breakdown, k);

		cell->customers++;
		if (k == 0 || !s->options->durations)
			continue;
		reserve_durations(s, &cell->previous, 1);
		cell->previous.value[cell->previous.n++] = chain->at[k] - chain->at[k - 1];
		reserve_durations(s, &cell->first, 1);
		cell->first.value[cell->first.n++] = chain->at[k] - chain->at[0];
	}
}

/* Orders durations. */
static int
compare_durations(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* Appends durations in order, each as distance from the one before. */
static void
write_durations(CdpDurations *d, StringInfo buf)
{
	int64		previous = 0;

	CHECK_FOR_INTERRUPTS();
	if (d->n > 1)
		qsort(d->value, d->n, sizeof(int64), compare_durations);
	cdp_wire_put_uint(buf, d->n);
	for (int64 i = 0; i < d->n; i++)
	{
		cdp_wire_put_uint(buf, d->value[i] - previous);
		previous = d->value[i];
	}
}

/* Reads durations, of which there must be n. */
static void
read_durations(CdpFunnelSums *s, CdpDurations *d, int64 n, StringInfo buf)
{
	int64		at = 0;

	if (cdp_wire_get_count(buf, 1, "durations") != n)
		cdp_wire_broken("number of durations");
	reserve_durations(s, d, n);
	for (int64 i = 0; i < n; i++)
	{
		uint64		step = cdp_wire_get_uint(buf);

		if (step > (uint64) (PG_INT64_MAX - at))
			cdp_wire_broken("duration");
		at += step;
		d->value[d->n++] = at;
	}
}

/* The bytes of sums, in the current context; sorts their durations. */
Datum
cdp_funnel_sums_to_datum(CdpFunnelSums *s)
{
	StringInfoData buf;
	StringInfoData options;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	pq_sendbyte(&buf, PARTIAL_VERSION);
	initStringInfo(&options);
	cdp_funnel_options_write(s->options, &options);
	cdp_wire_put_text(&buf, options.data);
	pq_sendbyte(&buf, s->broken_down);
	cdp_labels_write(s->breakdown, &buf);
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		cdp_wire_put_uint(&buf, s->counter[i]);
	for (int b = 0; b < s->breakdown->n; b++)
		for (int k = 0; k < s->options->nsteps; k++)
		{
			CdpFunnelCell *cell = cell_of(s, b, k);

			cdp_wire_put_uint(&buf, cell->customers);
			if (k == 0 || !s->options->durations)
				continue;
			write_durations(&cell->previous, &buf);
			write_durations(&cell->first, &buf);
		}
	SET_VARSIZE(buf.data, buf.len);
	return PointerGetDatum(buf.data);
}

/* A count below 2^63. */
static int64
read_count(StringInfo buf)
{
	uint64		n = cdp_wire_get_uint(buf);

	if (n > PG_INT64_MAX)
		cdp_wire_broken("count");
	return n;
}

/* Reads sums and checks all of them; they live in cxt. */
CdpFunnelSums *
cdp_funnel_sums_from_datum(Datum partial, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	struct varlena *bytes = PG_DETOAST_DATUM_COPY(partial);
	StringInfoData buf = {.data = VARDATA(bytes), .len = VARSIZE(bytes) - VARHDRSZ, .maxlen = VARSIZE(bytes) - VARHDRSZ};
	CdpFunnelOptions *o;
	CdpFunnelSums *s;
	bool		broken_down;
	char	   *options;

	if (cdp_wire_get_byte(&buf) != PARTIAL_VERSION)
		cdp_wire_broken("version of a funnel");
	options = cdp_wire_get_text(&buf);
	o = cdp_funnel_options_read(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(options))), cxt);
	broken_down = cdp_wire_get_byte(&buf) != 0;
	s = cdp_funnel_sums_create(o, cdp_labels_read(&buf), broken_down, cxt);
	if (s->breakdown->n < 1 || s->breakdown->is_int)
		cdp_wire_broken("breakdowns");
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		s->counter[i] = read_count(&buf);
	for (int b = 0; b < s->breakdown->n; b++)
		for (int k = 0; k < o->nsteps; k++)
		{
			CdpFunnelCell *cell = cell_of(s, b, k);

			cell->customers = read_count(&buf);
			if (k > 0 && cell->customers > cell_of(s, b, k - 1)->customers)
				cdp_wire_broken("order of steps");
			if (k == 0 || !o->durations)
				continue;
			read_durations(s, &cell->previous, cell->customers, &buf);
			read_durations(s, &cell->first, cell->customers, &buf);
		}
	if (buf.cursor != buf.len)
		cdp_wire_broken("length of a funnel");
	MemoryContextSwitchTo(old);
	return s;
}

/* Text to cdp.funnel_partial; the value is read once, so that nothing else comes in. */
Datum
cdp_funnel_in(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = cdp_wire_unhex(PG_GETARG_CSTRING(0), "cdp.funnel_partial", "cdp.funnel_pass");

	return cdp_funnel_sums_to_datum(cdp_funnel_sums_from_datum(PointerGetDatum(bytes), CurrentMemoryContext));
}

/* cdp.funnel_partial to text. */
Datum
cdp_funnel_out(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_CSTRING(cdp_wire_hex(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

/* Binary form to cdp.funnel_partial. */
Datum
cdp_funnel_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	bytea	   *bytes = cdp_wire_binary(pq_getmsgbytes(buf, len), len);

	return cdp_funnel_sums_to_datum(cdp_funnel_sums_from_datum(PointerGetDatum(bytes), CurrentMemoryContext));
}

/* cdp.funnel_partial to its binary form. */
Datum
cdp_funnel_send(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_BYTEA_P(cdp_wire_binary(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

/* Appends the durations of one result to those of another. */
static void
add_durations(CdpFunnelSums *s, CdpDurations *into, const CdpDurations *from)
{
	if (from->n == 0)
		return;
	reserve_durations(s, into, from->n);
	memcpy(into->value + into->n, from->value, sizeof(int64) * from->n);
	into->n += from->n;
}

/* Adds the cells of one result to another, whose breakdowns include its own. */
static void
add_cells(CdpFunnelSums *into, const CdpFunnelSums *from, const uint32 *place)
{
	for (int b = 0; b < from->breakdown->n; b++)
		for (int k = 0; k < from->options->nsteps; k++)
		{
			CdpFunnelCell *cell = cell_of(into, place[b], k);
			const CdpFunnelCell *other = cell_of(from, b, k);

			cell->customers += other->customers;
			add_durations(into, &cell->previous, &other->previous);
			add_durations(into, &cell->first, &other->first);
		}
}

/* Both results as one, new in cxt; refuses those of different funnels. */
static CdpFunnelSums *
merge_sums(const CdpFunnelSums *a, const CdpFunnelSums *b, MemoryContext cxt)
{
	StringInfoData left;
	StringInfoData right;
	CdpFunnelSums *s;
	CdpLabels  *breakdown;
	uint32	   *place_a;
	uint32	   *place_b;

	initStringInfo(&left);
	initStringInfo(&right);
	cdp_funnel_options_write(a->options, &left);
	cdp_funnel_options_write(b->options, &right);
	if (strcmp(left.data, right.data) != 0 || a->broken_down != b->broken_down)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnels with different options cannot be added"),
				 errdetail("One has %s, the other %s.", left.data, right.data),
				 errhint("Make both with the same cdp.funnel_options(...), with a breakdown or without.")));
	breakdown = cdp_labels_union(a->breakdown, b->breakdown, &place_a, &place_b);
	s = cdp_funnel_sums_create(a->options, breakdown, a->broken_down, cxt);
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		s->counter[i] = a->counter[i] + b->counter[i];
	add_cells(s, a, place_a);
	add_cells(s, b, place_b);
	return s;
}

/* The state of cdp.funnel_merge: one result at a time has a context of its own. */
typedef struct MergeState
{
	MemoryContext cxt;
	CdpFunnelSums *sums;
} MergeState;

/* One result of cdp.funnel_merge; NULL adds nothing. */
Datum
cdp_funnel_merge_add(PG_FUNCTION_ARGS)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	MergeState *state = PG_ARGISNULL(0) ? NULL : (MergeState *) PG_GETARG_POINTER(0);
	CdpFunnelSums *next;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "funnels added outside an aggregate");
	if (PG_ARGISNULL(1))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	cxt = AllocSetContextCreate(aggregate, "cdp funnel merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	next = cdp_funnel_sums_from_datum(PG_GETARG_DATUM(1), cxt);
	if (state == NULL)
		state = MemoryContextAllocZero(aggregate, sizeof(MergeState));
	else
	{
		MemoryContext both = AllocSetContextCreate(aggregate, "cdp funnel merge", ALLOCSET_DEFAULT_SIZES);

		MemoryContextSwitchTo(both);
		next = merge_sums(state->sums, next, both);
		/* What it is added from goes, but for the options and labels that it shares. */
		next = cdp_funnel_sums_from_datum(cdp_funnel_sums_to_datum(next), both);
		MemoryContextDelete(state->cxt);
		MemoryContextDelete(cxt);
		cxt = both;
	}
	state->cxt = cxt;
	state->sums = next;
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(state);
}

/* The sum of all results. */
Datum
cdp_funnel_merge_final(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return cdp_funnel_sums_to_datum(((MergeState *) PG_GETARG_POINTER(0))->sums);
}

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
#include "common/int.h"
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
	return &s->cell[(Size) breakdown * s->options->steps.n + step];
}

/* Empty sums in cxt; breakdown is kept, not copied. */
CdpFunnelSums *
cdp_funnel_sums_create(const CdpFunnelOptions *o, CdpLabels *breakdown, bool broken_down, MemoryContext cxt)
{
	CdpFunnelSums *s = MemoryContextAllocZero(cxt, sizeof(CdpFunnelSums));
	Size		cells = (Size) breakdown->n * o->steps.n;

	if (cells * sizeof(CdpFunnelCell) > cdp_pass_memory_bytes(&cdp_journey_memory) / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a funnel has too many breakdowns"),
				 errdetail("%d breakdowns of %d steps take more than a quarter of %d kB.", breakdown->n, o->steps.n,
						   cdp_journey_memory.kilobytes),
				 errhint("Break down by something coarser, or raise %s.", cdp_journey_memory.setting)));
	s->memory.cxt = cxt;
	s->options = o;
	s->breakdown = breakdown;
	s->broken_down = broken_down;
	s->cell = MemoryContextAllocExtended(cxt, sizeof(CdpFunnelCell) * Max(cells, 1), MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
	return s;
}

/* Counts the chain of one customer. */
void
cdp_funnel_sums_add(CdpFunnelSums *s, const CdpFunnelChain *chain)
{
	for (int k = 0; k < chain->level; k++)
	{
		CdpFunnelCell *cell = cell_of(s, chain->breakdown, k);

		cell->customers++;
		if (k == 0 || !s->options->durations)
			continue;
		cdp_span_add(&s->memory, &cell->previous, cdp_distance(chain->at[k - 1], chain->at[k]));
		cdp_span_add(&s->memory, &cell->first, cdp_distance(chain->at[0], chain->at[k]));
	}
}

/* The breakdowns that somebody is in, with their places in *place; in the current context. */
static CdpLabels *
used_breakdowns(const CdpFunnelSums *s, int **place)
{
	CdpLabels  *used = palloc0(sizeof(CdpLabels));
	Size		n = Max(s->breakdown->n, 1);

	used->name = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(char *) * n);
	*place = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * n);
	for (int b = 0; b < s->breakdown->n; b++)
	{
		if (s->broken_down && cell_of(s, b, 0)->customers == 0)
			continue;
		used->name[used->n] = s->breakdown->name[b];
		(*place)[used->n++] = b;
	}
	return used;
}

/* The bytes of sums, in the current context; sorts their durations. */
Datum
cdp_funnel_sums_to_datum(CdpFunnelSums *s)
{
	StringInfoData buf;
	StringInfoData options;
	int		   *place;
	CdpLabels  *used = used_breakdowns(s, &place);

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	pq_sendbyte(&buf, PARTIAL_VERSION);
	initStringInfo(&options);
	cdp_fields_write(&cdp_funnel_fields, s->options, &options);
	cdp_wire_put_text(&buf, options.data);
	pq_sendbyte(&buf, s->broken_down);
	cdp_labels_write(used, &buf);
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		cdp_wire_put_uint(&buf, s->counter[i]);
	for (int b = 0; b < used->n; b++)
		for (int k = 0; k < s->options->steps.n; k++)
		{
			CdpFunnelCell *cell = cell_of(s, place[b], k);

			cdp_wire_put_uint(&buf, cell->customers);
			if (k == 0 || !s->options->durations)
				continue;
			cdp_spans_write(&cell->previous, &buf);
			cdp_spans_write(&cell->first, &buf);
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

/* Reads the options of a value, which must be such as we write: the same funnel has the same bytes. */
static CdpFunnelOptions *
read_options(StringInfo buf, MemoryContext cxt)
{
	char	   *text = cdp_wire_get_text(buf);
	CdpFunnelOptions *o = cdp_fields_read_text(&cdp_funnel_fields, text, cxt);
	StringInfoData again;

	initStringInfo(&again);
	cdp_fields_write(&cdp_funnel_fields, o, &again);
	if (strcmp(again.data, text) != 0)
		cdp_wire_broken("form of the options of a funnel");
	return o;
}

/* Refuses counts that no pass could have made: a customer has one chain and at least one row. */
static void
check_counts(const CdpFunnelSums *s)
{
	int128		customers = 0;

	for (int b = 0; b < s->breakdown->n; b++)
		customers += cell_of(s, b, 0)->customers;
	if (customers > s->counter[CDP_FUNNEL_CUSTOMERS] || s->counter[CDP_FUNNEL_CUSTOMERS] > s->counter[CDP_FUNNEL_ROWS])
		cdp_wire_broken("number of customers");
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
	int			broken_down;

	if (cdp_wire_get_byte(&buf) != PARTIAL_VERSION)
		cdp_wire_broken("version of a funnel");
	o = read_options(&buf, cxt);
	broken_down = cdp_wire_get_byte(&buf);
	s = cdp_funnel_sums_create(o, cdp_labels_read(&buf), broken_down != 0, cxt);
	if (broken_down > 1 || s->breakdown->is_int ||
		(broken_down == 0 && (s->breakdown->n != 1 || s->breakdown->name[0][0] != '\0')))
		cdp_wire_broken("breakdowns");
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		s->counter[i] = read_count(&buf);
	for (int b = 0; b < s->breakdown->n; b++)
		for (int k = 0; k < o->steps.n; k++)
		{
			CdpFunnelCell *cell = cell_of(s, b, k);

			cell->customers = read_count(&buf);
			if (k > 0 ? cell->customers > cell_of(s, b, k - 1)->customers : s->broken_down && cell->customers == 0)
				cdp_wire_broken("order of steps");
			if (k == 0 || !o->durations)
				continue;
			cdp_spans_read(&s->memory, &cell->previous, &buf);
			cdp_spans_read(&s->memory, &cell->first, &buf);
			if (cell->previous.n != cell->customers || cell->first.n != cell->customers)
				cdp_wire_broken("number of durations");
		}
	if (buf.cursor != buf.len)
		cdp_wire_broken("length of a funnel");
	check_counts(s);
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

/* Adds a count to another. */
static void
add_count(int64 *into, int64 n)
{
	if (pg_add_s64_overflow(*into, n, into))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("funnels count too much to be added"),
				 errhint("Results of a pass never do; take the values as the database gave them.")));
}

/* Adds one result to another, whose breakdowns include its own. */
static void
add_sums(CdpFunnelSums *into, const CdpFunnelSums *from, const uint32 *place)
{
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		add_count(&into->counter[i], from->counter[i]);
	for (int b = 0; b < from->breakdown->n; b++)
		for (int k = 0; k < from->options->steps.n; k++)
		{
			CdpFunnelCell *cell = cell_of(into, place[b], k);
			const CdpFunnelCell *other = cell_of(from, b, k);

			add_count(&cell->customers, other->customers);
			cdp_spans_append(&into->memory, &cell->previous, &other->previous);
			cdp_spans_append(&into->memory, &cell->first, &other->first);
		}
}

/* Refuses to add results of different funnels. */
static void
check_same_funnel(const CdpFunnelSums *a, const CdpFunnelSums *b)
{
	StringInfoData left;
	StringInfoData right;

	initStringInfo(&left);
	initStringInfo(&right);
	cdp_fields_write(&cdp_funnel_fields, a->options, &left);
	cdp_fields_write(&cdp_funnel_fields, b->options, &right);
	if (strcmp(left.data, right.data) != 0 || a->broken_down != b->broken_down)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnels with different options cannot be added"),
				 errdetail("One has %s, the other %s.", left.data, right.data),
				 errhint("Make both with the same cdp.funnel_options(...), with a breakdown or without.")));
	pfree(left.data);
	pfree(right.data);
}

/* The state of cdp.funnel_merge: what is added up, in a context of its own. */
typedef struct MergeState
{
	MemoryContext cxt;
	CdpFunnelSums *sums;
} MergeState;

/* A copy of labels that shares nothing, in the current context. */
static CdpLabels *
copy_labels(const CdpLabels *labels)
{
	CdpLabels  *copy = palloc0(sizeof(CdpLabels));

	copy->n = labels->n;
	copy->name = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(char *) * Max((Size) labels->n, 1));
	for (int i = 0; i < labels->n; i++)
		copy->name[i] = pstrdup(labels->name[i]);
	return copy;
}

/* Makes room for the breakdowns of a result in the state; place of each of them among the state's, in the current context. */
static uint32 *
make_places(MergeState *state, const CdpFunnelSums *next, MemoryContext aggregate)
{
	uint32	   *place_old;
	uint32	   *place_next;
	CdpLabels  *all = cdp_labels_union(state->sums->breakdown, next->breakdown, &place_old, &place_next);
	MemoryContext cxt;
	MemoryContext old;
	StringInfoData options;
	CdpFunnelSums *wider;

	if (all->n == state->sums->breakdown->n)
		return place_next;
	initStringInfo(&options);
	cdp_fields_write(&cdp_funnel_fields, state->sums->options, &options);
	cxt = AllocSetContextCreate(aggregate, "cdp funnel merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	wider = cdp_funnel_sums_create(cdp_fields_read_text(&cdp_funnel_fields, options.data, cxt), copy_labels(all), true, cxt);
	add_sums(wider, state->sums, place_old);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(state->cxt);
	state->cxt = cxt;
	state->sums = wider;
	return place_next;
}

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
	{
		state = MemoryContextAllocZero(aggregate, sizeof(MergeState));
		state->cxt = cxt;
		state->sums = next;
	}
	else
	{
		uint32	   *place;

		check_same_funnel(state->sums, next);
		place = make_places(state, next, aggregate);
		add_sums(state->sums, next, place);
		MemoryContextDelete(cxt);
	}
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

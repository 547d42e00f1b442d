/*
 * outcome.c
 *		Results of passes as bytes: writing, reading, adding.
 *
 * The bytes of a value come from clients too, so reading checks everything and
 * trusts no count. Equal results have equal bytes.
 */
#include "journey/outcome.h"

#include "base/wire.h"
#include "common/int.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/fmgrprotos.h"

#define OUTCOME_VERSION 1

/* An empty result in cxt; options are kept, not copied. */
CdpOutcome *
cdp_outcome_create(const CdpOutcomeKind *kind, void *options, MemoryContext cxt)
{
	CdpOutcome *o = MemoryContextAllocZero(cxt, sizeof(CdpOutcome));

	o->kind = kind;
	o->options = options;
	o->newest = DT_NOBEGIN;
	o->tally = cdp_tally_create(cxt);
	return o;
}

/* Keeps where a customer stands; the name is copied. */
void
cdp_outcome_stand(CdpOutcome *o, const CdpStanding *s)
{
	MemoryContext cxt = o->tally->memory.cxt;
	Size		len = strlen(s->customer) + 1;

	if (o->nstanding == o->standing_room)
	{
		int64		room = Max(1024, o->standing_room * 2);

		cdp_span_take(&o->tally->memory, sizeof(CdpStanding) * (room - o->standing_room));
		o->standing = o->standing == NULL ? MemoryContextAllocHuge(cxt, sizeof(CdpStanding) * room)
			: repalloc_huge(o->standing, sizeof(CdpStanding) * room);
		o->standing_room = room;
	}
	cdp_span_take(&o->tally->memory, len + 16);
	o->standing[o->nstanding] = *s;
	o->standing[o->nstanding].customer = memcpy(MemoryContextAlloc(cxt, len), s->customer, len);
	o->nstanding++;
}

/* The labels that some key names, and in *map their new places; a result is not to depend on what it left out. */
static CdpLabels *
used_labels(const CdpOutcome *o, uint32 **map)
{
	const CdpLabels *all = o->labels;
	CdpLabels  *used = palloc0(sizeof(CdpLabels));
	Size		n = Max((Size) all->n, 1);

	*map = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(uint32) * n, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	used->is_int = all->is_int;
	used->name = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(char *) * n);
	used->code = all->is_int ? MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * n) : NULL;
	for (uint32 i = 0; i < o->tally->n; i++)
	{
		const CdpTallyEntry *e = &o->tally->entry[i];

		for (uint32 k = 2; k < e->n; k++)
			if (cdp_tally_key(o->tally, e)[k] >= CDP_LABEL_BASE)
				(*map)[cdp_tally_key(o->tally, e)[k] - CDP_LABEL_BASE] = 1;
	}
	for (int i = 0; i < all->n; i++)
	{
		if ((*map)[i] == 0)
			continue;
		used->name[used->n] = all->name[i];
		if (all->is_int)
			used->code[used->n] = all->code[i];
		(*map)[i] = used->n++;
	}
	return used;
}

/* One number of a key, with a label at its new place. */
static inline uint32
mapped(uint32 number, uint32 place, const uint32 *map)
{
	return map == NULL || place < 2 || number < CDP_LABEL_BASE ? number : map[number - CDP_LABEL_BASE] + CDP_LABEL_BASE;
}

/* Appends the counts in the order of their keys. */
static void
write_tally(const CdpTally *t, const uint32 *map, StringInfo buf)
{
	CdpTallyEntry **order = cdp_tally_sorted(t);

	cdp_wire_put_uint(buf, t->n);
	for (uint32 i = 0; i < t->n; i++)
	{
		CdpTallyEntry *e = order[i];

		CHECK_FOR_INTERRUPTS();
		cdp_wire_put_uint(buf, e->n);
		for (uint32 k = 0; k < e->n; k++)
			cdp_wire_put_uint(buf, mapped(cdp_tally_key(t, e)[k], k, map));
		cdp_wire_put_uint(buf, e->count);
		cdp_wire_put_uint(buf, e->customers);
		cdp_wire_put_int128(buf, e->value);
		cdp_spans_write(&e->times, buf);
	}
	pfree(order);
}

/* Orders standings by customer. */
static int
compare_standings(const void *a, const void *b)
{
	CHECK_FOR_INTERRUPTS();
	return strcmp(((const CdpStanding *) a)->customer, ((const CdpStanding *) b)->customer);
}

/* The bytes of a result, in the current context; sorts what it holds. */
Datum
cdp_outcome_to_datum(CdpOutcome *o)
{
	StringInfoData buf;
	StringInfoData options;
	uint32	   *map = NULL;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	pq_sendbyte(&buf, OUTCOME_VERSION);
	initStringInfo(&options);
	cdp_fields_write(o->kind->fields, o->options, &options);
	cdp_wire_put_text(&buf, options.data);
	if (o->kind->labelled)
		cdp_labels_write(used_labels(o, &map), &buf);
	for (int i = 0; i < CDP_COUNTERS; i++)
		cdp_wire_put_uint(&buf, o->counter[i]);
	cdp_wire_put_int(&buf, o->newest);
	write_tally(o->tally, map, &buf);
	if (o->nstanding > 1)
		qsort(o->standing, o->nstanding, sizeof(CdpStanding), compare_standings);
	cdp_wire_put_uint(&buf, o->nstanding);
	for (int64 i = 0; i < o->nstanding; i++)
	{
		const CdpStanding *s = &o->standing[i];

		CHECK_FOR_INTERRUPTS();
		if (i > 0 && strcmp(s->customer, s[-1].customer) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("results of %s that share customers cannot be added", o->kind->maker),
					 errhint("Give each customer's rows to one pass.")));
		cdp_wire_put_text(&buf, s->customer);
		cdp_wire_put_uint(&buf, s->stage);
		cdp_wire_put_uint(&buf, s->status);
		cdp_wire_put_int(&buf, s->since);
		cdp_wire_put_int(&buf, s->last);
		cdp_wire_put_uint(&buf, s->engagements);
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

/* Reads one key into *key, which grows as needed; each number is below 2^32, each label one that there is. */
static int
read_key(const CdpOutcome *o, StringInfo buf, uint32 **key, int *room)
{
	int			n = cdp_wire_get_count(buf, 1, "key");

	if (n > *room)
	{
		*room = n * 2;
		*key = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * *room);
	}
	for (int k = 0; k < n; k++)
	{
		uint64		number = cdp_wire_get_uint(buf);

		if (number > PG_UINT32_MAX ||
			(o->kind->labelled && k >= 2 && number >= (uint64) o->labels->n + CDP_LABEL_BASE))
			cdp_wire_broken("key");
		(*key)[k] = (uint32) number;
	}
	return n;
}

/* Orders two keys, number by number. */
static int
compare_keys(const uint32 *a, uint32 na, const uint32 *b, uint32 nb)
{
	Assert(a != NULL && (b != NULL || nb == 0));
	for (uint32 i = 0; i < Min(na, nb); i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return (na > nb) - (na < nb);
}

/* Reads the counts. */
static void
read_tally(CdpOutcome *o, StringInfo buf)
{
	CdpTally   *t = o->tally;
	int			n = cdp_wire_get_count(buf, 6, "counts");
	int			room = 8;
	uint32	   *key = palloc(sizeof(uint32) * room);

	for (int i = 0; i < n; i++)
	{
		int			words = read_key(o, buf, &key, &room);
		CdpTallyEntry *e;

		CHECK_FOR_INTERRUPTS();
		if (i > 0 && compare_keys(cdp_tally_key(t, &t->entry[i - 1]), t->entry[i - 1].n, key, words) >= 0)
			cdp_wire_broken("order of counts");
		e = cdp_tally_entry(t, key, words);
		e->count = read_count(buf);
		e->customers = read_count(buf);
		e->value = cdp_wire_get_int128(buf);
		cdp_spans_read(&t->memory, &e->times, buf);
		if (e->customers > e->count || (e->times.n != 0 && e->times.n > e->count) || !o->kind->valid(o, e))
			cdp_wire_broken("counts");
	}
}

/* Reads where customers stand. */
static void
read_standings(CdpOutcome *o, StringInfo buf)
{
	int			n = cdp_wire_get_count(buf, 6, "customers");

	for (int i = 0; i < n; i++)
	{
		CdpStanding s = {.customer = cdp_wire_get_text(buf)};
		uint64		stage = cdp_wire_get_uint(buf);
		uint64		status = cdp_wire_get_uint(buf);

		CHECK_FOR_INTERRUPTS();
		if (stage > PG_INT32_MAX || status > PG_INT32_MAX)
			cdp_wire_broken("customer");
		s.stage = (int) stage;
		s.status = (int) status;
		s.since = cdp_wire_get_int(buf);
		s.last = cdp_wire_get_int(buf);
		s.engagements = read_count(buf);
		if (!IS_VALID_TIMESTAMP(s.since) || !IS_VALID_TIMESTAMP(s.last) || s.since > s.last ||
			o->kind->valid_standing == NULL || !o->kind->valid_standing(o, &s) ||
			(i > 0 && strcmp(o->standing[i - 1].customer, s.customer) >= 0))
			cdp_wire_broken("customer");
		cdp_outcome_stand(o, &s);
		pfree(s.customer);
	}
}

/* Reads a result and checks all of it; it lives in cxt. */
CdpOutcome *
cdp_outcome_from_datum(const CdpOutcomeKind *kind, Datum value, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);
	StringInfoData buf = {.data = VARDATA_ANY(bytes), .len = VARSIZE_ANY_EXHDR(bytes), .maxlen = VARSIZE_ANY_EXHDR(bytes)};
	CdpOutcome *o;

	if (cdp_wire_get_byte(&buf) != OUTCOME_VERSION)
		cdp_wire_broken("version");
	o = cdp_outcome_create(kind, cdp_fields_read_text(kind->fields, cdp_wire_get_text(&buf), cxt), cxt);
	if (kind->labelled)
		o->labels = cdp_labels_read(&buf);
	for (int i = 0; i < CDP_COUNTERS; i++)
		o->counter[i] = read_count(&buf);
	o->newest = cdp_wire_get_int(&buf);
	if (o->newest != DT_NOBEGIN && !IS_VALID_TIMESTAMP(o->newest))
		cdp_wire_broken("time");
	read_tally(o, &buf);
	read_standings(o, &buf);
	if (buf.cursor != buf.len)
		cdp_wire_broken("length");
	MemoryContextSwitchTo(old);
	return o;
}

/* Visits the customers of a pass and returns its result in the caller's context; the pass is gone then. */
Datum
cdp_outcome_finish(CdpJourneyPass *pass, CdpOutcome *o, const uint32 *rank, CdpTieOrder ties, CdpVisitKey visit)
{
	MemoryContext old = MemoryContextSwitchTo(pass->cxt);
	Datum		result;

	cdp_by_key(pass->store, rank, ties, visit, pass);
	cdp_journey_finished(pass);
	MemoryContextSwitchTo(old);
	result = cdp_outcome_to_datum(o);
	MemoryContextDelete(pass->cxt);
	return result;
}

/* Text to a value of a type; it is read once, so that nothing else comes in. */
Datum
cdp_outcome_in(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind)
{
	bytea	   *bytes = cdp_wire_unhex(PG_GETARG_CSTRING(0), kind->type, kind->maker);

	return cdp_outcome_to_datum(cdp_outcome_from_datum(kind, PointerGetDatum(bytes), CurrentMemoryContext));
}

/* A value to text. */
Datum
cdp_outcome_out(FunctionCallInfo fcinfo)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_CSTRING(cdp_wire_hex(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

/* Binary form to a value. */
Datum
cdp_outcome_recv(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	bytea	   *bytes = cdp_wire_binary(pq_getmsgbytes(buf, len), len);

	return cdp_outcome_to_datum(cdp_outcome_from_datum(kind, PointerGetDatum(bytes), CurrentMemoryContext));
}

/* A value to its binary form. */
Datum
cdp_outcome_send(FunctionCallInfo fcinfo)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_BYTEA_P(cdp_wire_binary(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

/* Adds one result to another, whose labels include its own. */
static void
absorb(CdpOutcome *into, const CdpOutcome *from, const uint32 *map)
{
	uint32	   *key = NULL;
	uint32		room = 0;

	for (int i = 0; i < CDP_COUNTERS; i++)
		if (pg_add_s64_overflow(into->counter[i], from->counter[i], &into->counter[i]))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("counts of a pass over journeys are out of range")));
	into->newest = Max(into->newest, from->newest);
	for (uint32 i = 0; i < from->tally->n; i++)
	{
		const CdpTallyEntry *e = &from->tally->entry[i];

		CHECK_FOR_INTERRUPTS();
		if (e->n > room)
		{
			room = e->n * 2;
			key = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * room);
		}
		for (uint32 k = 0; k < e->n; k++)
			key[k] = mapped(cdp_tally_key(from->tally, e)[k], k, map);
		cdp_tally_add(into->tally, cdp_tally_entry(into->tally, key, e->n), e);
	}
	for (int64 i = 0; i < from->nstanding; i++)
		cdp_outcome_stand(into, &from->standing[i]);
}

/* Both results as one, new in cxt; refuses those made with different options. */
static CdpOutcome *
merge(const CdpOutcome *a, const CdpOutcome *b, MemoryContext cxt)
{
	const CdpOutcomeKind *kind = a->kind;
	StringInfoData left;
	StringInfoData right;
	CdpOutcome *o;
	uint32	   *map_a = NULL;
	uint32	   *map_b = NULL;

	initStringInfo(&left);
	initStringInfo(&right);
	cdp_fields_write(kind->fields, a->options, &left);
	cdp_fields_write(kind->fields, b->options, &right);
	if (strcmp(left.data, right.data) != 0 ||
		(kind->labelled && a->labels->n > 0 && b->labels->n > 0 && a->labels->is_int != b->labels->is_int))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("results of %s with different options cannot be added", kind->maker),
				 errdetail("One has %s, the other %s.", left.data, right.data),
				 errhint("Make both with the same %s(...) and labels of one type.", kind->fields->maker)));
	o = cdp_outcome_create(kind, cdp_fields_read_text(kind->fields, left.data, cxt), cxt);
	if (kind->labelled)
	{
		o->labels = cdp_labels_union(a->labels, b->labels, &map_a, &map_b);
		/* What it is added from goes. */
		for (int i = 0; i < o->labels->n; i++)
			o->labels->name[i] = pstrdup(o->labels->name[i]);
	}
	absorb(o, a, map_a);
	absorb(o, b, map_b);
	return o;
}

/* The state of an aggregate that adds results: one at a time has a context of its own. */
typedef struct MergeState
{
	MemoryContext cxt;
	CdpOutcome *sum;
} MergeState;

/* One result of an aggregate that adds them; NULL adds nothing. */
Datum
cdp_outcome_merge_add(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	MergeState *state = PG_ARGISNULL(0) ? NULL : (MergeState *) PG_GETARG_POINTER(0);
	CdpOutcome *next;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "results added outside an aggregate");
	if (PG_ARGISNULL(1))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	cxt = AllocSetContextCreate(aggregate, "cdp journey merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	next = cdp_outcome_from_datum(kind, PG_GETARG_DATUM(1), cxt);
	if (state == NULL)
		state = MemoryContextAllocZero(aggregate, sizeof(MergeState));
	else
	{
		MemoryContext both = AllocSetContextCreate(aggregate, "cdp journey merge", ALLOCSET_DEFAULT_SIZES);

		MemoryContextSwitchTo(both);
		next = merge(state->sum, next, both);
		MemoryContextDelete(state->cxt);
		MemoryContextDelete(cxt);
		cxt = both;
	}
	state->cxt = cxt;
	state->sum = next;
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(state);
}

/* The sum of all results. */
Datum
cdp_outcome_merge_final(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return cdp_outcome_to_datum(((MergeState *) PG_GETARG_POINTER(0))->sum);
}

/* One row of what a pass read, and its options. */
Datum
cdp_outcome_summary(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpOutcome *o;
	StringInfoData options;
	Datum		values[CDP_SHOWN_COUNTERS + 1];
	bool		nulls[CDP_SHOWN_COUNTERS + 1] = {false};

	InitMaterializedSRF(fcinfo, 0);
	o = cdp_outcome_from_datum(kind, PG_GETARG_DATUM(0), CurrentMemoryContext);
	for (int i = 0; i < CDP_SHOWN_COUNTERS; i++)
		values[i] = Int64GetDatum(o->counter[i]);
	initStringInfo(&options);
	cdp_fields_write(kind->fields, o->options, &options);
	values[CDP_SHOWN_COUNTERS] = DirectFunctionCall1(jsonb_in, CStringGetDatum(options.data));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

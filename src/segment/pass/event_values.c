/*
 * event_values.c
 *		The aggregate cdp_internal.segment_values_pass: what computed traits are,
 *		for every customer with an event of theirs, in one pass over events.
 *
 * It is the pass that explains, over the rows of all customers. The plan names
 * its traits: which event atom each looks at, and what of its events it tells.
 */
#include "segment/pass/event.h"

#include "base/micro.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "segment/rule/rule.h"
#include "utils/builtins.h"

#define VALUES_MAGIC 0x43445056
#define MOST_TRAITS 1000
#define MOST_TEXT 1000			/* bytes of a text that is kept; longer ones are no value */
#define USECS_A_DAY 86400000000.0

/* What a trait tells of its events. */
typedef enum ValueKind
{
	VALUE_AGGREGATE,			/* what the atom observes */
	VALUE_MODE,					/* the most frequent value, of several the latest */
	VALUE_SINCE					/* days since the last event */
} ValueKind;

typedef struct Trait
{
	int			atom;
	ValueKind	kind;
} Trait;

/* Values found so far: a bytea of magic, then customer, trait, kind of value and value of each. */
typedef struct CdpEventValues
{
	int			n;
	Trait	   *trait;
	char	   *bytes;
	Size		len;
	Size		room;
	int		   *times;			/* how often each distinct value of the customer at hand came */
	int		   *latest;
	int			times_room;
} CdpEventValues;

/* Raises the error of a plan whose traits do not look as agreed. */
CDP_NORETURN static void
bad_traits(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the traits of a plan are malformed"),
			 errdetail("%s", what),
			 errhint("Plans of traits are made by cdp_internal.trait_plan().")));
}

/* A whole number of an object. */
static int
whole_of(const JsonbContainer *object, const char *key, int end)
{
	JsonbValue *v = object == NULL ? NULL : cdp_rule_get(object, key);
	Numeric		n = v == NULL || v->type != jbvNumeric ? NULL : v->val.numeric;
	int32		out = -1;
	bool		failed = n == NULL;

	if (!failed)
		out = numeric_int4_opt_error(n, &failed);
	if (failed || out < 0 || out >= end)
		bad_traits("A trait names no event atom of the plan.");
	return out;
}

/* Reads which traits the plan asks for; the values will live in cxt. */
static CdpEventValues *
read_traits(CdpEventPass *pass, MemoryContext cxt)
{
	CdpEventValues *v = palloc0(sizeof(CdpEventValues));
	const JsonbContainer *list = cdp_rule_array(cdp_rule_get(&pass->given->root, "traits"));
	uint32		magic = VALUES_MAGIC;

	if (list == NULL || JsonContainerSize(list) > MOST_TRAITS)
		bad_traits("There is no list of them, or a too long one.");
	v->n = JsonContainerSize(list);
	v->trait = palloc(sizeof(Trait) * Max(v->n, 1));
	for (int i = 0; i < v->n; i++)
	{
		const JsonbContainer *object = cdp_rule_object(cdp_rule_item(list, i));
		JsonbValue *tells = object == NULL ? NULL : cdp_rule_get(object, "tells");
		const char *word = tells == NULL || tells->type != jbvString ? "" : cdp_rule_string(tells);
		CdpEventOp	op;

		v->trait[i].atom = whole_of(object, "event", pass->plan->natoms);
		v->trait[i].kind = strcmp(word, "mode") == 0 ? VALUE_MODE : strcmp(word, "since") == 0 ? VALUE_SINCE : VALUE_AGGREGATE;
		op = pass->plan->counter[pass->plan->atom[v->trait[i].atom].counter].op;
		if (op > CDP_OP_LAST || op == CDP_OP_PERIODS || (v->trait[i].kind == VALUE_MODE && op != CDP_OP_DISTINCT))
			bad_traits("A trait tells what its event atom does not know.");
	}
	v->room = 8192;
	v->bytes = MemoryContextAlloc(cxt, v->room);
	memcpy(v->bytes + VARHDRSZ, &magic, sizeof(magic));
	v->len = VARHDRSZ + sizeof(magic);
	return v;
}

/* Appends bytes. */
static void
put(CdpEventValues *v, const void *bytes, Size n)
{
	Size		most = Min(cdp_pass_memory_bytes(&cdp_segment_memory), MaxAllocSize);

	if (v->len + n > most)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the values of computed traits do not fit into memory"),
				 errdetail("They need more than %zu kB; a number takes 15 bytes, a text 11 and its length.", most / 1024),
				 errhint("Raise cdp.segment_memory, or compute fewer traits at a time.")));
	if (v->len + n > v->room)
	{
		v->room = Min(Max(v->room * 2, v->len + n), most);
		v->bytes = repalloc(v->bytes, v->room);
	}
	memcpy(v->bytes + v->len, bytes, n);
	v->len += n;
}

/* Appends the head of a value. */
static void
put_head(CdpEventValues *v, const CdpWalk *w, int trait, char kind)
{
	uint32		customer = (uint32) w->rows->key;
	uint16		nth = (uint16) trait;

	put(v, &customer, sizeof(customer));
	put(v, &nth, sizeof(nth));
	put(v, &kind, 1);
}

/* Appends a number. */
static void
put_number(CdpEventValues *v, const CdpWalk *w, int trait, double number)
{
	put_head(v, w, trait, 'n');
	put(v, &number, sizeof(number));
}

/* Appends a text. */
static void
put_text(CdpEventValues *v, const CdpWalk *w, int trait, const char *text, uint32 len)
{
	if (len > MOST_TEXT)
		return;
	put_head(v, w, trait, 't');
	put(v, &len, sizeof(len));
	put(v, text, len);
}

/* A numeric as double precision; one that is too large is infinite. */
static double
as_double(Numeric n)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(n)));
}

/* Appends a scalar that a word stands for. */
static void
put_scalar(CdpEventValues *v, const CdpWalk *w, int trait, uint64 word)
{
	const CdpIntern *in = &w->pass->reader.scalars;
	const char *text;

	if ((word & 3) == CDP_WORD_MICRO)
	{
		put_number(v, w, trait, as_double(DatumGetNumeric(cdp_numeric_from_scaled((int64) word >> 2, 6))));
		return;
	}
	if ((word & 3) == CDP_WORD_TEXT)
	{
		uint64		bytes = word >> 5;

		put_text(v, w, trait, (char *) &bytes, word >> 2 & 7);
		return;
	}
	text = in->text[word >> 2];
	if (text[0] == 's')
		put_text(v, w, trait, text + 1, in->len[word >> 2] - 1);
	else if (text[0] == 'b')
		put_text(v, w, trait, text[1] == 't' ? "true" : "false", text[1] == 't' ? 4 : 5);
	else
		put_number(v, w, trait, as_double(DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text + 1),
																			  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)))));
}

/* The first or last row of the customer that counts for an atom, -1 when there is none. */
static int
counted_row(const CdpWalk *w, int atom, bool last)
{
	for (int i = 0; i < w->n; i++)
		if (cdp_event_counts(w, atom, last ? w->n - 1 - i : i))
			return last ? w->n - 1 - i : i;
	return -1;
}

/* The word of a row for the slot of an atom's counter. */
static uint64
word_of(const CdpWalk *w, int atom, int item)
{
	const CdpClass *class = &w->pass->class[w->rows->item[item].rank];

	return cdp_event_words(w, item)[class->kind->word[w->plan->counter[w->plan->atom[atom].counter].slot]];
}

/* Appends the most frequent value; of several the one that came last, which no two share. */
static void
put_mode(CdpEventValues *v, const CdpWalk *w, int trait, const CdpValues *values)
{
	int			best = -1;

	if (values->n > v->times_room)
	{
		if (v->times != NULL)
		{
			pfree(v->times);
			pfree(v->latest);
		}
		v->times_room = Max(Max(values->n, v->times_room * 2), 64);
		v->times = MemoryContextAllocHuge(w->pass->cxt, sizeof(int) * v->times_room);
		v->latest = MemoryContextAllocHuge(w->pass->cxt, sizeof(int) * v->times_room);
	}
	memset(v->times, 0, sizeof(int) * values->n);
	for (int i = 0; i < w->n; i++)
	{
		uint64		word;
		int			low = 0;
		int			high = values->n;

		if (!cdp_event_counts(w, v->trait[trait].atom, i))
			continue;
		word = word_of(w, v->trait[trait].atom, i);
		while (low + 1 < high)
		{
			int			middle = (low + high) / 2;

			if (values->value[middle] <= word)
				low = middle;
			else
				high = middle;
		}
		v->times[low]++;
		v->latest[low] = i;
		if (best < 0 || v->times[low] > v->times[best] || (v->times[low] == v->times[best] && v->latest[low] > v->latest[best]))
			best = low;
	}
	if (best >= 0)
		put_scalar(v, w, trait, values->value[best]);
}

/* Appends what an atom observes. */
static void
put_aggregate(CdpEventValues *v, const CdpWalk *w, int trait)
{
	int			atom = v->trait[trait].atom;
	const CdpCounter *c = &w->plan->counter[w->plan->atom[atom].counter];
	const CdpState *st = &w->state[w->plan->atom[atom].counter];
	int			row;

	switch (c->op)
	{
		case CDP_OP_COUNT:
		case CDP_OP_DAYS:
			if (st->n > 0)
				put_number(v, w, trait, st->n);
			break;
		case CDP_OP_DISTINCT:
			if (w->values[c->scratch].n > 0)
				put_number(v, w, trait, w->values[c->scratch].n);
			break;
		case CDP_OP_FIRST:
		case CDP_OP_LAST:
			row = counted_row(w, atom, c->op == CDP_OP_LAST);
			if (row >= 0)
				put_scalar(v, w, trait, word_of(w, atom, row));
			break;
		default:
			if (st->n > 0)
				put_number(v, w, trait, as_double(cdp_event_number(c->op, st)) / (c->op == CDP_OP_AVG ? st->n : 1));
	}
}

/* Notes the values of the customer at hand. */
void
cdp_event_values(CdpWalk *w)
{
	CdpEventValues *v = w->pass->values;
	MemoryContext old = MemoryContextSwitchTo(w->odd_cxt);

	if ((w->epoch & 0xFFF) == 0)
		CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < v->n; i++)
	{
		const CdpCounter *c = &w->plan->counter[w->plan->atom[v->trait[i].atom].counter];
		int			row;

		if (v->trait[i].kind == VALUE_AGGREGATE)
			put_aggregate(v, w, i);
		else if (v->trait[i].kind == VALUE_MODE)
			put_mode(v, w, i, &w->values[c->scratch]);
		else if ((row = counted_row(w, v->trait[i].atom, true)) >= 0)
			put_number(v, w, i, (w->plan->as_of - w->rows->item[row].at) / USECS_A_DAY);
	}
	MemoryContextSwitchTo(old);
}

CDP_FUNCTION(cdp_segment_values_final);
CDP_FUNCTION(cdp_segment_values);

/* The final function of segment_values_pass: the values, in the caller's context. */
Datum
cdp_segment_values_final(PG_FUNCTION_ARGS)
{
	CdpEventPass *pass;
	MemoryContext old;
	bytea	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (CdpEventPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->cxt);
	pass->values = read_traits(pass, old);
	cdp_event_walk(pass, true);
	cdp_event_close(pass);
	MemoryContextSwitchTo(old);
	result = (bytea *) pass->values->bytes;
	SET_VARSIZE(result, pass->values->len);
	MemoryContextDelete(pass->cxt);
	PG_RETURN_BYTEA_P(result);
}

/* Takes the next bytes of values; raises when there are fewer (22P03). */
static void
take(const char **at, Size *left, void *out, Size n)
{
	if (*left < n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid values of traits"),
				 errhint("Give the value as segment_values_pass() returned it.")));
	memcpy(out, *at, n);
	*at += n;
	*left -= n;
}

/* segment_values(bytes): a row for each value. */
Datum
cdp_segment_values(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bytea	   *given = PG_GETARG_BYTEA_PP(0);
	const char *at = VARDATA_ANY(given);
	Size		left = VARSIZE_ANY_EXHDR(given);
	uint32		magic = 0;

	InitMaterializedSRF(fcinfo, 0);
	take(&at, &left, &magic, sizeof(magic));
	if (magic != VALUES_MAGIC)
		left = 0;
	while (left > 0 || magic != VALUES_MAGIC)
	{
		uint32		customer;
		uint16		nth;
		char		kind;
		Datum		values[4] = {0};
		bool		nulls[4] = {false, false, true, true};

		CHECK_FOR_INTERRUPTS();
		take(&at, &left, &customer, sizeof(customer));
		take(&at, &left, &nth, sizeof(nth));
		take(&at, &left, &kind, 1);
		values[0] = Int64GetDatum(customer);
		values[1] = Int32GetDatum(nth);
		if (kind == 'n')
		{
			double		number;

			take(&at, &left, &number, sizeof(number));
			values[2] = Float8GetDatum(number);
			nulls[2] = false;
		}
		else
		{
			uint32		len;
			text	   *word;

			take(&at, &left, &len, sizeof(len));
			if (len > left)
				take(&at, &left, &len, left + 1);
			word = cstring_to_text_with_len(at, len);
			pg_verifymbstr(at, len, false);
			at += len;
			left -= len;
			values[3] = PointerGetDatum(word);
			nulls[3] = false;
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		if (!nulls[3])
			pfree(DatumGetPointer(values[3]));
	}
	PG_RETURN_NULL();
}

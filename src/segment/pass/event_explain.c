/*
 * event_explain.c
 *		The aggregate cdp_internal.segment_explain_pass: for one customer what each
 *		event atom saw, on which rows, and when its answer may change.
 *
 * It is the pass itself over the rows of the customer, each of them with its id.
 */
#include "segment/pass/event.h"

#include "base/micro.h"
#include "catalog/pg_type_d.h"
#include "utils/datetime.h"
#include "utils/json.h"

#define NO_TIME PG_INT64_MAX
#define MOST_EVIDENCE 20

/* Adds a key of an object. */
static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = unconstify(char *, key);
	v.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &v);
}

/* Adds a moment as text in ISO form, in UTC. */
static void
push_moment(JsonbParseState **state, int64 at)
{
	JsonbValue	v = {.type = jbvString};
	int			utc = 0;

	v.val.string.val = palloc(MAXDATELEN + 1);
	JsonEncodeDateTime(v.val.string.val, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
	v.val.string.len = strlen(v.val.string.val);
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* Adds null. */
static void
push_null(JsonbParseState **state)
{
	JsonbValue	v = {.type = jbvNull};

	pushJsonbValue(state, WJB_VALUE, &v);
}

/* Adds a number. */
static void
push_number(JsonbParseState **state, JsonbIteratorToken token, Datum numeric)
{
	JsonbValue	v = {.type = jbvNumeric};

	v.val.numeric = DatumGetNumeric(numeric);
	pushJsonbValue(state, token, &v);
}

/* Adds a scalar that a word stands for. */
static void
push_scalar(JsonbParseState **state, const CdpWalk *w, uint64 word)
{
	const CdpIntern *in = &w->pass->reader.scalars;
	JsonbValue	v = {.type = jbvString};
	uint64		bytes = word >> 5;

	if ((word & 3) == CDP_WORD_MICRO)
	{
		push_number(state, WJB_VALUE, cdp_numeric_from_scaled((int64) word >> 2, 6));
		return;
	}
	if ((word & 3) == CDP_WORD_TEXT)
	{
		v.val.string.len = word >> 2 & 7;
		v.val.string.val = palloc(8);
		memcpy(v.val.string.val, &bytes, 8);
	}
	else if (in->text[word >> 2][0] == 's')
	{
		v.val.string.val = in->text[word >> 2] + 1;
		v.val.string.len = in->len[word >> 2] - 1;
	}
	else if (in->text[word >> 2][0] == 'b')
	{
		v.type = jbvBool;
		v.val.boolean = in->text[word >> 2][1] == 't';
	}
	else
	{
		push_number(state, WJB_VALUE, DirectFunctionCall3(numeric_in, CStringGetDatum(in->text[word >> 2] + 1),
														  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		return;
	}
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* The words of a row beside key, time and class. */
const uint64 *
cdp_event_words(const CdpWalk *w, int item)
{
	return cdp_key_row(w->rows, &w->rows->item[item]) + w->pass->store->extra_word;
}

/* Whether a row counts for an atom: read by its counter, in the window, with a value where one is needed. */
bool
cdp_event_counts(const CdpWalk *w, int atom, int item)
{
	const CdpCounter *c = &w->plan->counter[w->plan->atom[atom].counter];
	const CdpClass *class = &w->pass->class[w->rows->item[item].rank];
	uint64		word;

	if ((uint64) w->rows->item[item].at - (uint64) c->from >= c->span)
		return false;
	for (int k = 0; k < class->nactions; k++)
		if (class->action[k].counter == (uint32) w->plan->atom[atom].counter)
		{
			if (class->action[k].word < 0)
				return true;
			word = cdp_event_words(w, item)[class->action[k].word];
			return w->plan->slot[c->slot].type == CDP_SLOT_NUMBER ? (int64) word != CDP_WORD_NO_NUMBER : word != CDP_WORD_NO_SCALAR;
		}
	return false;
}

/* Lists the rows that an answer stands on, the newest first; returns how many. */
static int
find_evidence(const CdpWalk *w, int atom, int *item)
{
	const CdpCounter *c = &w->plan->counter[w->plan->atom[atom].counter];
	const CdpState *st = &w->state[w->plan->atom[atom].counter];
	int			n = 0;

	if (c->op == CDP_OP_SEQ)
		return cdp_link_chain(w, c, item);
	if (c->op == CDP_OP_GAP)
	{
		/* The row after the gap, and the latest one before it. */
		for (int i = w->n - 1; st->b != CDP_NEVER && i >= 0 && n < 2; i--)
			if (w->rows->item[i].at <= st->b && (n == 0 || w->rows->item[i].at < st->b) &&
				cdp_event_reads(w, w->plan->atom[atom].counter, i))
				item[n++] = i;
		return n;
	}
	for (int i = w->n - 1; i >= 0 && n < MOST_EVIDENCE; i--)
		if (cdp_event_counts(w, atom, i))
		{
			item[n++] = i;
			if (c->op == CDP_OP_LAST)
				break;
		}
	if (c->op == CDP_OP_FIRST)
		for (int i = 0; i < w->n; i++)
			if (cdp_event_counts(w, atom, i))
			{
				item[0] = i;
				return 1;
			}
	return n;
}

/* Adds what a counter observed. */
static void
push_observed(JsonbParseState **state, const CdpWalk *w, int atom, const int *item, int n)
{
	const CdpCounter *c = &w->plan->counter[w->plan->atom[atom].counter];
	const CdpState *st = &w->state[w->plan->atom[atom].counter];
	Datum		number;

	switch (c->op)
	{
		case CDP_OP_COUNT:
		case CDP_OP_DAYS:
		case CDP_OP_PERIODS:
			push_number(state, WJB_VALUE, DirectFunctionCall1(int8_numeric, Int64GetDatum(st->n)));
			break;
		case CDP_OP_DISTINCT:
			push_number(state, WJB_VALUE, DirectFunctionCall1(int4_numeric, Int32GetDatum(w->values[c->scratch].n)));
			break;
		case CDP_OP_FIRST:
		case CDP_OP_LAST:
			if (n == 0)
				push_null(state);
			else
				push_scalar(state, w, cdp_event_words(w, item[0])[w->pass->class[w->rows->item[item[0]].rank].kind->word[c->slot]]);
			break;
		case CDP_OP_GAP:
		case CDP_OP_SEQ:
			if (n == 0)
				push_null(state);
			else
				push_moment(state, c->op == CDP_OP_GAP ? st->b : w->seq[c->scratch].best);
			break;
		default:
			if (st->n == 0 && c->op != CDP_OP_SUM)
			{
				push_null(state);
				break;
			}
			number = NumericGetDatum(cdp_event_number(c->op, st));
			if (c->op == CDP_OP_AVG)
				number = DirectFunctionCall2(numeric_div, number, DirectFunctionCall1(int8_numeric, Int64GetDatum(st->n)));
			push_number(state, WJB_VALUE, number);
			break;
	}
}

/* Adds one atom. */
static void
push_atom(JsonbParseState **state, const CdpWalk *w, int atom)
{
	int			item[Max(MOST_EVIDENCE, CDP_SEQ_STEPS)];
	int			n = find_evidence(w, atom, item);
	JsonbValue	v = {.type = jbvBool};

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_key(state, "atom");
	push_number(state, WJB_VALUE, DirectFunctionCall1(int4_numeric, Int32GetDatum(atom)));
	push_key(state, "result");
	v.val.boolean = w->truth[atom] == CDP_TRUE;
	if (w->truth[atom] == CDP_UNKNOWN)
		push_null(state);
	else
		pushJsonbValue(state, WJB_VALUE, &v);
	push_key(state, "observed");
	push_observed(state, w, atom, item, n);
	push_key(state, "evidence");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
		if ((int64) cdp_event_words(w, item[i])[0] != PG_INT64_MAX)
			push_number(state, WJB_ELEM, DirectFunctionCall1(int8_numeric, Int64GetDatum((int64) cdp_event_words(w, item[i])[0])));
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
	push_key(state, "flips_at");
	if (w->atom_flip[atom] == NO_TIME)
		push_null(state);
	else
		push_moment(state, w->atom_flip[atom]);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Explains the customer at hand; what it makes lives in the pass's context. */
void
cdp_event_explain(CdpWalk *w)
{
	MemoryContext old = MemoryContextSwitchTo(w->pass->cxt);
	JsonbParseState *state = NULL;

	if (w->explained != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an explanation is about one customer"),
				 errhint("Select the events of one customer, or take cdp_internal.segment_pass() for many.")));
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int atom = 0; atom < w->plan->natoms; atom++)
	{
		CHECK_FOR_INTERRUPTS();
		push_atom(&state, w, atom);
	}
	w->explained = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	MemoryContextSwitchTo(old);
}

CDP_FUNCTION(cdp_segment_explain_final);

/* The final function of an explanation: its jsonb in the caller's context. */
Datum
cdp_segment_explain_final(PG_FUNCTION_ARGS)
{
	CdpEventPass *pass;
	CdpWalk    *w;
	MemoryContext old;
	Jsonb	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (CdpEventPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->cxt);
	w = cdp_event_walk(pass, true);
	cdp_event_close(pass);
	MemoryContextSwitchTo(old);
	result = palloc(VARSIZE(w->explained));
	memcpy(result, w->explained, VARSIZE(w->explained));
	MemoryContextDelete(pass->cxt);
	PG_RETURN_JSONB_P(result);
}

/*
 * survivor_agg.c
 *		The aggregate cdp_internal.survivors: from the rows of one customer to its
 *		golden values with where each comes from; and first_origin, last_origin.
 */
#include "identity/profile/survivor.h"

#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* The rows of one customer so far, all in the aggregate's memory. */
typedef struct CdpSurvivors
{
	MemoryContext memory;
	CdpSaid    *rows;
	int64		n;
	int64		space;
} CdpSurvivors;

extern Datum cdp_parse_json(PG_FUNCTION_ARGS);

static const char *const strategy_names[] = {
	"", "latest", "latest_seen", "earliest", "most_frequent", "source_order", "longest", "verified",
	"min", "max", "sum", "union", "custom"
};

/* A text as JSON, NULL when it is none; palloced. */
static Jsonb *
parse_json(const char *value, int32 len)
{
	LOCAL_FCINFO(call, 1);
	Datum		json;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0].value = PointerGetDatum(cstring_to_text_with_len(value, len));
	call->args[0].isnull = false;
	json = cdp_parse_json(call);
	return call->isnull ? NULL : DatumGetJsonbP(json);
}

/* A list or JSON value as JSON; NULL when it is none, or a list that is no array of texts. */
Jsonb *
cdp_said_json(const CdpSaid *said)
{
	Jsonb	   *json = parse_json(said->value, said->len);

	if (json == NULL || said->type == CDP_TYPE_JSON)
		return json;
	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		return NULL;
	for (int i = 0; i < JB_ROOT_COUNT(json); i++)
		if (getIthJsonbValueFromContainer(&json->root, i)->type != jbvString)
			return NULL;
	return json;
}

/* qsort order of JSON texts by bytes. */
static int
compare_texts(const void *a, const void *b)
{
	const JsonbValue *x = a;
	const JsonbValue *y = b;
	int			c = memcmp(x->val.string.val, y->val.string.val, Min(x->val.string.len, y->val.string.len));

	return c != 0 ? c : (x->val.string.len > y->val.string.len) - (x->val.string.len < y->val.string.len);
}

/* The entries of all lists, each once, by bytes; palloced. */
Jsonb *
cdp_union_lists(const CdpSaid *voices, int64 n)
{
	JsonbParseState *state = NULL;
	JsonbValue *items = NULL;
	int64		count = 0,
				space = 0;

	for (int64 i = 0; i < n; i++)
	{
		Jsonb	   *list = cdp_said_json(&voices[i]);
		int			m = JB_ROOT_COUNT(list);

		CHECK_FOR_INTERRUPTS();
		if (count + m > space)
		{
			space = Max((count + m) * 2, 16);
			items = items == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, space * sizeof(JsonbValue))
				: repalloc_huge(items, space * sizeof(JsonbValue));
		}
		for (int k = 0; k < m; k++)
			items[count++] = *getIthJsonbValueFromContainer(&list->root, k);
	}
	if (count > 0)
		qsort(items, count, sizeof(JsonbValue), compare_texts);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int64 i = 0; i < count; i++)
		if (i == 0 || compare_texts(&items[i], &items[i - 1]) != 0)
			pushJsonbValue(&state, WJB_ELEM, &items[i]);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Pushes a key. */
static void
push_key(JsonbParseState **state, const char *key, int len)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = (char *) key;
	v.val.string.len = len;
	pushJsonbValue(state, WJB_KEY, &v);
}

/* Pushes a text, as a value of an object or an element of an array. */
static void
push_text(JsonbParseState **state, JsonbIteratorToken as, const char *text, int len)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = (char *) text;
	v.val.string.len = len;
	pushJsonbValue(state, as, &v);
}

/* Pushes a number. */
static void
push_numeric(JsonbParseState **state, Numeric number)
{
	JsonbValue	v = {.type = jbvNumeric};

	v.val.numeric = number;
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* Pushes true or false. */
static void
push_bool(JsonbParseState **state, bool is)
{
	JsonbValue	v = {.type = jbvBool};

	v.val.boolean = is;
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* Pushes a document. */
static void
push_json(JsonbParseState **state, Jsonb *json)
{
	JsonbValue	v = {.type = jbvBinary};

	if (JB_ROOT_IS_SCALAR(json))
		v = *getIthJsonbValueFromContainer(&json->root, 0);
	else
	{
		v.val.binary.data = &json->root;
		v.val.binary.len = VARSIZE_ANY_EXHDR(json);
	}
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* Pushes a moment in ISO 8601, UTC, whatever the session's zone. */
static void
push_time(JsonbParseState **state, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];
	int			len;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a time of an attribute's value is out of range")));
	len = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday,
				   tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (fsec != 0)
	{
		len += snprintf(text + len, sizeof(text) - len, ".%06d", (int) fsec);
		while (text[len - 1] == '0')
			len--;
	}
	text[len++] = 'Z';
	push_text(state, WJB_VALUE, pnstrdup(text, len), len);
}

/* Pushes the golden value in the JSON type of the attribute. */
static void
push_value(JsonbParseState **state, const CdpGolden *golden)
{
	const CdpSaid *said = &golden->said;

	if (golden->sum != NULL)
		push_numeric(state, golden->sum);
	else if (golden->list != NULL)
		push_json(state, golden->list);
	else if (said->type == CDP_TYPE_INTEGER || said->type == CDP_TYPE_NUMERIC)
	{
		Datum		number = DirectFunctionCall3(numeric_in, CStringGetDatum(pnstrdup(said->value, said->len)),
												 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

		push_numeric(state, DatumGetNumeric(number));
	}
	else if (said->type == CDP_TYPE_BOOLEAN)
		push_bool(state, said->value[0] == 't');
	else if (said->type == CDP_TYPE_LIST || said->type == CDP_TYPE_JSON)
		push_json(state, cdp_said_json(said));
	else
		push_text(state, WJB_VALUE, said->value, said->len);
}

/* Pushes where a golden value comes from. */
static void
push_provenance(JsonbParseState **state, const CdpGolden *golden)
{
	const CdpSaid *said = &golden->said;
	const char *strategy = strategy_names[said->strategy];

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_key(state, "at", 2);
	push_time(state, said->strategy == CDP_SURVIVE_LATEST_SEEN ? said->last : said->since);
	push_key(state, "source", 6);
	push_numeric(state, int64_to_numeric(said->source));
	push_key(state, "customer", 8);
	push_numeric(state, int64_to_numeric(said->customer));
	push_key(state, "identifier", 10);
	push_numeric(state, int64_to_numeric(said->identifier));
	push_key(state, "strategy", 8);
	push_text(state, WJB_VALUE, strategy, strlen(strategy));
	push_key(state, "verified", 8);
	push_bool(state, said->verified);
	push_key(state, "others", 6);
	push_numeric(state, int64_to_numeric(golden->others));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* One part of the document: what = 'v' the values, 'p' where they come from, 'c' what custom aggregates shall choose from. */
static void
push_part(JsonbParseState **state, const CdpGolden *golden, int64 n, char what)
{
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int64 i = 0; i < n; i++)
	{
		const CdpGolden *g = &golden[i];
		bool		custom = g->said.strategy == CDP_SURVIVE_CUSTOM;

		CHECK_FOR_INTERRUPTS();
		if (custom != (what == 'c') && what != 'p')
			continue;
		push_key(state, g->said.name, g->said.name_len);
		if (what == 'v')
			push_value(state, g);
		else if (what == 'p')
			push_provenance(state, g);
		else
		{
			pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
			for (int64 k = 0; k < g->n; k++)
				push_text(state, WJB_ELEM, g->voices[k].value, g->voices[k].len);
			pushJsonbValue(state, WJB_END_ARRAY, NULL);
		}
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

CDP_FUNCTION(cdp_survivors_add);

/* One row of cdp_internal.survivors(); a row with a NULL counts for nothing. */
Datum
cdp_survivors_add(PG_FUNCTION_ARGS)
{
	CdpSurvivors *s;
	MemoryContext aggregate,
				caller;
	CdpSaid    *said;
	text	   *name,
			   *value;
	int			type,
				strategy;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "survivors called outside an aggregate");
	caller = MemoryContextSwitchTo(aggregate);
	if (PG_ARGISNULL(0))
	{
		s = palloc0(sizeof(CdpSurvivors));
		s->memory = aggregate;
		s->space = 8;
		s->rows = palloc(s->space * sizeof(CdpSaid));
	}
	else
		s = (CdpSurvivors *) PG_GETARG_POINTER(0);
	for (int i = 1; i <= 12; i++)
		if (PG_ARGISNULL(i))
		{
			MemoryContextSwitchTo(caller);
			PG_RETURN_POINTER(s);
		}
	if (s->n == s->space)
	{
		s->space *= 2;
		s->rows = repalloc_huge(s->rows, s->space * sizeof(CdpSaid));
	}
	type = PG_GETARG_INT32(3);
	strategy = PG_GETARG_INT32(4);
	if (type < CDP_TYPE_TEXT || type > CDP_TYPE_JSON || strategy < CDP_SURVIVE_LATEST || strategy > CDP_SURVIVE_CUSTOM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown type or strategy of an attribute"),
				 errdetail("Type %d, strategy %d.", type, strategy)));
	if ((strategy == CDP_SURVIVE_SUM && type != CDP_TYPE_INTEGER && type != CDP_TYPE_NUMERIC) ||
		(strategy == CDP_SURVIVE_UNION && type != CDP_TYPE_LIST))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("strategy sum takes numbers, union takes lists"),
				 errdetail("Type %d, strategy %d.", type, strategy)));
	name = DatumGetTextPCopy(PG_GETARG_DATUM(2));
	value = DatumGetTextPCopy(PG_GETARG_DATUM(6));
	said = &s->rows[s->n++];
	memset(said, 0, sizeof(*said));
	said->attribute = PG_GETARG_INT32(1);
	said->name = VARDATA(name);
	said->name_len = VARSIZE(name) - VARHDRSZ;
	said->type = type;
	said->strategy = strategy;
	said->rank = PG_GETARG_INT32(5);
	said->value = VARDATA(value);
	said->len = VARSIZE(value) - VARHDRSZ;
	said->first = PG_GETARG_TIMESTAMPTZ(7);
	said->last = PG_GETARG_TIMESTAMPTZ(8);
	said->verified = PG_GETARG_BOOL(9);
	said->customer = PG_GETARG_INT64(10);
	said->identifier = PG_GETARG_INT64(11);
	said->source = PG_GETARG_INT32(12);
	if (!PG_ARGISNULL(13))
		said->times = (struct varlena *) DatumGetPointer(datumCopy(PG_GETARG_DATUM(13), false, -1));
	MemoryContextSwitchTo(caller);
	PG_RETURN_POINTER(s);
}

CDP_FUNCTION(cdp_survivors_final);

/* The document of one customer; NULL without any row that counts. */
Datum
cdp_survivors_final(PG_FUNCTION_ARGS)
{
	CdpSurvivors *s = PG_ARGISNULL(0) ? NULL : (CdpSurvivors *) PG_GETARG_POINTER(0);
	JsonbParseState *state = NULL;
	CdpGolden  *golden;
	int64		n = 0;
	bool		custom = false;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "survivors called outside an aggregate");
	if (s == NULL || s->n == 0)
		PG_RETURN_NULL();
	qsort(s->rows, s->n, sizeof(CdpSaid), cdp_said_compare);
	for (int64 i = 0; i < s->n; i++)
		n += i == 0 || s->rows[i].attribute != s->rows[i - 1].attribute;
	golden = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(CdpGolden));
	n = 0;
	for (int64 i = 0, j; i < s->n; i = j)
	{
		for (j = i + 1; j < s->n && s->rows[j].attribute == s->rows[i].attribute; j++)
			if (s->rows[j].type != s->rows[i].type || s->rows[j].strategy != s->rows[i].strategy)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("an attribute has one type and one strategy"),
						 errdetail("Attribute %d has types %d and %d, strategies %d and %d.", s->rows[i].attribute,
								   s->rows[i].type, s->rows[j].type, s->rows[i].strategy, s->rows[j].strategy)));
		if (cdp_choose(s->rows + i, j - i, &golden[n]))
			custom |= golden[n++].said.strategy == CDP_SURVIVE_CUSTOM;
	}
	if (n == 0)
		PG_RETURN_NULL();
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "values", 6);
	push_part(&state, golden, n, 'v');
	push_key(&state, "provenance", 10);
	push_part(&state, golden, n, 'p');
	if (custom)
	{
		push_key(&state, "custom", 6);
		push_part(&state, golden, n, 'c');
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* The touch found so far by first_origin or last_origin. */
typedef struct CdpOriginState
{
	TimestampTz at;
	int64		id;
	int32		origin;
} CdpOriginState;

/* Keeps the touch that comes first (sign 1) or last (sign -1) by time, then by id. */
static Datum
keep_origin(FunctionCallInfo fcinfo, int sign)
{
	CdpOriginState *s = PG_ARGISNULL(0) ? NULL : (CdpOriginState *) PG_GETARG_POINTER(0);
	MemoryContext aggregate;
	TimestampTz at;
	int64		id;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "first_origin called outside an aggregate");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
	{
		if (s == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(s);
	}
	at = PG_GETARG_TIMESTAMPTZ(1);
	id = PG_GETARG_INT64(2);
	if (s == NULL)
		s = MemoryContextAlloc(aggregate, sizeof(CdpOriginState));
	else if (sign > 0 ? (at > s->at || (at == s->at && id >= s->id)) : (at < s->at || (at == s->at && id <= s->id)))
		PG_RETURN_POINTER(s);
	s->at = at;
	s->id = id;
	s->origin = PG_GETARG_INT32(3);
	PG_RETURN_POINTER(s);
}

CDP_FUNCTION(cdp_first_origin_add);

/* One row of cdp_internal.first_origin(). */
Datum
cdp_first_origin_add(PG_FUNCTION_ARGS)
{
	return keep_origin(fcinfo, 1);
}

CDP_FUNCTION(cdp_last_origin_add);

/* One row of cdp_internal.last_origin(). */
Datum
cdp_last_origin_add(PG_FUNCTION_ARGS)
{
	return keep_origin(fcinfo, -1);
}

CDP_FUNCTION(cdp_origin_final);

/* The origin of the touch that was kept; NULL without any. */
Datum
cdp_origin_final(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_INT32(((CdpOriginState *) PG_GETARG_POINTER(0))->origin);
}

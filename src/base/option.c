/*
 * option.c
 *		Options that come as jsonb: one reader for each kind of value, and what
 *		an aggregate asks of the argument that holds them.
 */
#include "base/option.h"

#include "base/durations.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/json.h"
#include "utils/numeric.h"

/* Raises the error for an option whose value has the wrong form. */
void
cdp_option_bad(const CdpOptionName *option, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for %s option \"%s\"", option->room, option->name),
			 errdetail("%s is expected.", expected),
			 errhint("Options are made with %s(...).", option->maker)));
}

/* The text of a JSON string; palloc'd. */
char *
cdp_option_text(const CdpOptionName *option, const JsonbValue *v)
{
	if (v->type != jbvString)
		cdp_option_bad(option, "Text");
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* A JSON boolean. */
bool
cdp_option_bool(const CdpOptionName *option, const JsonbValue *v)
{
	if (v->type != jbvBool)
		cdp_option_bad(option, "true or false");
	return v->val.boolean;
}

/* The index of a JSON string in a list of words, with a hint when it is none of them. */
int
cdp_option_word(const CdpOptionName *option, const JsonbValue *v, const char *const *words, int n)
{
	char	   *text = cdp_option_text(option, v);

	for (int i = 0; i < n; i++)
		if (pg_strcasecmp(text, words[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown value \"%s\" for %s option \"%s\"", text, option->room, option->name),
			 cdp_suggest_hint(text, words, n)));
}

/* A whole number above zero. */
int
cdp_option_count(const CdpOptionName *option, const JsonbValue *v)
{
	Numeric		number;
	int32		result;

	if (v->type != jbvNumeric)
		cdp_option_bad(option, "A whole number");
	number = v->val.numeric;
	if (numeric_is_nan(number) || numeric_is_inf(number))
		cdp_option_bad(option, "A whole number");
	if (DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(number), DirectFunctionCall1(int4_numeric, Int32GetDatum(PG_INT32_MAX)))) ||
		DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(number), DirectFunctionCall1(int4_numeric, Int32GetDatum(1)))))
		cdp_option_bad(option, "A whole number above 0");
	result = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(number)));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number), DirectFunctionCall1(int4_numeric, Int32GetDatum(result)))))
		cdp_option_bad(option, "A whole number above 0");
	return result;
}

/* A list of texts (one text counts as a list of one); palloc'd. */
char **
cdp_option_list(const CdpOptionName *option, const JsonbValue *v, int *n)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	char	  **list;
	int			size;

	*n = 0;
	if (v->type == jbvString)
	{
		list = palloc(sizeof(char *));
		list[(*n)++] = cdp_option_text(option, v);
		return list;
	}
	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) ||
		JsonContainerIsScalar(v->val.binary.data))
		cdp_option_bad(option, "A list of texts");
	size = JsonContainerSize(v->val.binary.data);
	list = palloc(sizeof(char *) * Max(size, 1));
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			list[(*n)++] = cdp_option_text(option, &item);
	return list;
}

/* Appends a list of texts as JSON. */
void
cdp_option_append_list(StringInfo buf, char *const *list, int n)
{
	appendStringInfoChar(buf, '[');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(buf, ',');
		escape_json(buf, list[i]);
	}
	appendStringInfoChar(buf, ']');
}

/* Appends a duration as a JSON string. */
void
cdp_option_append_duration(StringInfo buf, int64 duration)
{
	appendStringInfoChar(buf, '"');
	cdp_duration_append(buf, duration);
	appendStringInfoChar(buf, '"');
}

/* Appends a time as a JSON string. */
void
cdp_option_append_time(StringInfo buf, int64 at)
{
	appendStringInfoChar(buf, '"');
	cdp_time_append(buf, at);
	appendStringInfoChar(buf, '"');
}

/* Appends "text" or null. */
void
cdp_option_append_text(StringInfo buf, const char *text)
{
	if (text == NULL)
		appendStringInfoString(buf, "null");
	else
		escape_json(buf, text);
}

/* Appends an array of texts or of durations. */
static void
append_array(ArrayType *array, Oid type, const CdpOptionName *option, StringInfo buf)
{
	Datum	   *items;
	bool	   *nulls;
	int			n;

	if (type == TEXTARRAYOID)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	else
		deconstruct_array(array, INTERVALOID, sizeof(Interval), false, TYPALIGN_DOUBLE, &items, &nulls, &n);
	appendStringInfoChar(buf, '[');
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			cdp_option_bad(option, "A list without NULLs");
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (type == TEXTARRAYOID)
			escape_json(buf, TextDatumGetCString(items[i]));
		else
			cdp_option_append_duration(buf, cdp_duration_from_interval(DatumGetIntervalP(items[i]), option->name));
	}
	appendStringInfoChar(buf, ']');
}

/* Appends one argument of a function that makes options as a JSON member, unless it is NULL. */
void
cdp_option_append_argument(FunctionCallInfo fcinfo, int arg, const CdpOptionName *option, Oid type, StringInfo buf)
{
	if (PG_ARGISNULL(arg))
		return;
	appendStringInfo(buf, ",\"%s\":", option->name);
	switch (type)
	{
		case TEXTOID:
			escape_json(buf, text_to_cstring(PG_GETARG_TEXT_PP(arg)));
			break;
		case BOOLOID:
			appendStringInfoString(buf, PG_GETARG_BOOL(arg) ? "true" : "false");
			break;
		case INT4OID:
			appendStringInfo(buf, "%d", PG_GETARG_INT32(arg));
			break;
		case TIMESTAMPTZOID:
			cdp_option_append_time(buf, PG_GETARG_TIMESTAMPTZ(arg));
			break;
		case INTERVALOID:
			cdp_option_append_duration(buf, cdp_duration_from_interval(PG_GETARG_INTERVAL_P(arg), option->name));
			break;
		case JSONBOID:
			{
				Jsonb	   *j = PG_GETARG_JSONB_P(arg);

				JsonbToCString(buf, &j->root, VARSIZE(j));
				break;
			}
		case TEXTARRAYOID:
		case INTERVALARRAYOID:
			append_array(PG_GETARG_ARRAYTYPE_P(arg), type, option, buf);
			break;
		default:
			elog(ERROR, "options have no arguments of type %u", type);
	}
}

/* Tells whether an argument of the aggregate at hand may differ from row to row. */
bool
cdp_option_varies(FunctionCallInfo fcinfo, int arg)
{
	Aggref	   *aggref = AggGetAggref(fcinfo);
	Node	   *node;

	if (aggref == NULL || list_length(aggref->args) < arg)
		return true;
	node = (Node *) list_nth_node(TargetEntry, aggref->args, arg - 1)->expr;
	return !IsA(node, Const) && !IsA(node, Param);
}

/* Refuses options that differ from those of the first row: which one came first would decide. */
void
cdp_option_same(FunctionCallInfo fcinfo, int arg, const Jsonb *given, const char *room)
{
	Jsonb	   *now = PG_ARGISNULL(arg) ? NULL : PG_GETARG_JSONB_P(arg);

	if (now == NULL ? given == NULL : given != NULL && VARSIZE(now) == VARSIZE(given) &&
		memcmp(now, given, VARSIZE(now)) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s options differ from row to row", room),
			 errhint("Give the same options for all rows, or GROUP BY what they depend on.")));
}

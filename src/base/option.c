/*
 * option.c
 *		Options that come as jsonb: one reader for each kind of value, and what
 *		an aggregate asks of the argument that holds them.
 */
#include "base/option.h"

#include "base/suggest.h"
#include "nodes/primnodes.h"
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
	result = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(number)));
	if (result < 1 || !DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number),
														DirectFunctionCall1(int4_numeric, Int32GetDatum(result)))))
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

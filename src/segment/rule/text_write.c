/*
 * text_write.c
 *		Writes the tree of text.h as the JSONB of a segment rule, and the SQL
 *		functions between that and text.
 */
#include "segment/rule/text.h"

#include "utils/fmgrprotos.h"

CDP_FUNCTION(cdp_segment_rule);
CDP_FUNCTION(cdp_segment_rule_text);

static void write_node(JsonbParseState **out, const CdpTextNode *node);

/* Begins the value of a key. */
static void
write_key(JsonbParseState **out, const char *key)
{
	pushJsonbValue(out, WJB_KEY, cdp_text_string(key));
}

/* Writes a key with text, or nothing without a text. */
static void
write_text(JsonbParseState **out, const char *key, const char *text)
{
	if (text == NULL)
		return;
	write_key(out, key);
	pushJsonbValue(out, WJB_VALUE, cdp_text_string(text));
}

/* Writes a list of texts. */
static void
write_names(JsonbParseState **out, List *names)
{
	ListCell   *cell;

	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, names)
		pushJsonbValue(out, WJB_ELEM, cdp_text_string(lfirst(cell)));
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

/* Writes a comparison into the object that is open. */
static void
write_test(JsonbParseState **out, const CdpTextTest *test)
{
	CdpTextOperand operand = cdp_text_ops[test->op].operand;
	ListCell   *cell;

	write_key(out, cdp_text_ops[test->op].key);
	if (operand != OPERAND_LIST && operand != OPERAND_TWO)
	{
		pushJsonbValue(out, WJB_VALUE, linitial(test->values));
		return;
	}
	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, test->values)
		pushJsonbValue(out, WJB_ELEM, lfirst(cell));
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

/* Writes kinds and condition of events. */
static void
write_events(JsonbParseState **out, const CdpTextNode *node, const char *key)
{
	write_key(out, key);
	if (node->kinds_listed)
		write_names(out, node->kinds);
	else
		pushJsonbValue(out, WJB_VALUE, cdp_text_string(linitial(node->kinds)));
	if (node->where != NULL)
	{
		write_key(out, "where");
		write_node(out, node->where);
	}
}

/* Writes a window. */
static void
write_window(JsonbParseState **out, const CdpTextWindow *w)
{
	switch (w->kind)
	{
		case WINDOW_NONE:
			break;
		case WINDOW_LAST:
			write_text(out, "last", w->a);
			break;
		case WINDOW_BETWEEN:
			write_key(out, "between");
			write_names(out, list_make2(w->a, w->b));
			break;
		case WINDOW_THIS:
			write_text(out, "this", w->a);
			break;
		case WINDOW_PREVIOUS:
			write_text(out, "previous", w->a);
			break;
		case WINDOW_ABSOLUTE:
			write_text(out, "since", w->a);
			write_text(out, "until", w->b);
			break;
	}
}

/* Writes what an event atom counts or adds up. */
static void
write_aggregate(JsonbParseState **out, const CdpTextNode *node)
{
	if (node->agg == TEXT_DID)
		return;
	write_key(out, cdp_text_aggs[node->agg].key);
	if (!CDP_TEXT_HAS_OPERAND(node->agg))
	{
		pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
		write_test(out, node->test);
		pushJsonbValue(out, WJB_END_OBJECT, NULL);
		return;
	}
	if (node->of_field)
	{
		pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
		write_text(out, "field", node->name);
		pushJsonbValue(out, WJB_END_OBJECT, NULL);
	}
	else
		pushJsonbValue(out, WJB_VALUE, cdp_text_string(node->name));
	write_test(out, node->test);
}

/* Writes a sequence. */
static void
write_sequence(JsonbParseState **out, const CdpTextNode *node)
{
	ListCell   *cell;

	write_key(out, "seq");
	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, node->parts)
		write_node(out, lfirst(cell));
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
	write_window(out, &node->window);
	write_text(out, "total", node->total);
	write_text(out, "ties", node->ties);
	if (!node->has_breaks)
		return;
	write_key(out, "not_between");
	if (node->breaks_listed)
		pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, node->breaks)
		write_node(out, lfirst(cell));
	if (node->breaks_listed)
		pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

/* Writes a number of a nested object: {"gte": n}. */
static void
write_bound(JsonbParseState **out, const char *key, JsonbValue *v)
{
	write_key(out, key);
	pushJsonbValue(out, WJB_VALUE, v);
}

/* Writes what a behaviour stands for that no other atom can say. */
static void
write_expanded(JsonbParseState **out, const CdpTextNode *node)
{
	write_events(out, node, "did");
	write_window(out, &node->window);
	write_key(out, node->kind == TEXT_REGULARLY ? "periods" : "gap");
	pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
	if (node->kind == TEXT_REGULARLY)
	{
		write_bound(out, "of", node->of);
		write_text(out, "unit", node->unit);
		write_bound(out, "gte", node->at_least);
	}
	else
		write_text(out, "gte", node->after);
	pushJsonbValue(out, WJB_END_OBJECT, NULL);
}

/* Writes a named behaviour. */
static void
write_behaviour(JsonbParseState **out, const CdpTextNode *node, const char *key)
{
	write_events(out, node, key);
	write_window(out, &node->window);
	write_text(out, "after", node->after);
	if (node->kind != TEXT_REGULARLY)
		return;
	write_bound(out, "at_least", node->at_least);
	write_bound(out, "of", node->of);
	write_text(out, "unit", node->unit);
}

/* Writes the keys of a node into the object that is open. */
static void
write_keys(JsonbParseState **out, const CdpTextNode *node)
{
	static const char *const named[] = {
		[TEXT_ATTR] = "attr", [TEXT_PROP] = "prop", [TEXT_FIELD] = "field", [TEXT_TRAIT] = "trait",
		[TEXT_SEGMENT] = "segment", [TEXT_LIST] = "list", [TEXT_CONSENT] = "consent", [TEXT_HOLDOUT] = "holdout",
		[TEXT_FIRST_TIME] = "first_time", [TEXT_REGULARLY] = "regularly", [TEXT_STOPPED] = "stopped",
		[TEXT_RESUMED] = "resumed",
	};
	ListCell   *cell;

	switch (node->kind)
	{
		case TEXT_ALL:
		case TEXT_ANY:
			write_key(out, node->kind == TEXT_ALL ? "all" : "any");
			pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
			foreach(cell, node->parts)
				write_node(out, lfirst(cell));
			pushJsonbValue(out, WJB_END_ARRAY, NULL);
			break;
		case TEXT_NOT:
			write_key(out, "not");
			write_node(out, linitial(node->parts));
			break;
		case TEXT_EVENT:
			write_events(out, node, "did");
			write_window(out, &node->window);
			write_aggregate(out, node);
			break;
		case TEXT_STEP:
			write_events(out, node, node->absent ? "absent" : "did");
			write_text(out, "within", node->within);
			if (node->has_same)
			{
				write_key(out, "same");
				write_names(out, node->same);
			}
			break;
		case TEXT_SEQ:
			write_sequence(out, node);
			break;
		case TEXT_FIRST_TIME:
		case TEXT_REGULARLY:
		case TEXT_STOPPED:
		case TEXT_RESUMED:
			if (node->expanded)
				write_expanded(out, node);
			else
				write_behaviour(out, node, named[node->kind]);
			break;
		case TEXT_RANK:
			write_key(out, "rank");
			pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
			write_text(out, node->of_trait ? "trait" : "attr", node->name);
			pushJsonbValue(out, WJB_END_OBJECT, NULL);
			write_key(out, node->bottom ? "bottom" : "top");
			pushJsonbValue(out, WJB_VALUE, node->amount);
			break;
		default:
			write_text(out, named[node->kind], node->name);
			if (node->test != NULL)
				write_test(out, node->test);
			write_text(out, node->kind == TEXT_CONSENT ? "channel" : "arm", node->second);
	}
}

/* Writes a node as an object. */
static void
write_node(JsonbParseState **out, const CdpTextNode *node)
{
	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
	write_keys(out, node);
	pushJsonbValue(out, WJB_END_OBJECT, NULL);
}

/* Writes a whole rule; caller's context. */
Jsonb *
cdp_text_to_jsonb(const CdpTextRule *rule)
{
	JsonbParseState *out = NULL;
	JsonbValue	version = {jbvNumeric};

	version.val.numeric = DatumGetNumeric(DirectFunctionCall1(int4_numeric, Int32GetDatum(1)));
	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	write_key(&out, "v");
	pushJsonbValue(&out, WJB_VALUE, &version);
	write_text(&out, "tz", rule->tz);
	write_text(&out, "nulls", rule->nulls);
	write_key(&out, "where");
	write_node(&out, rule->where);
	return JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL));
}

/* cdp.segment_rule(text): the JSONB that a rule's text says. */
Datum
cdp_segment_rule(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(cdp_text_to_jsonb(cdp_text_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/* cdp.segment_rule_text(jsonb): the text of a rule's JSONB. */
Datum
cdp_segment_rule_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(cdp_text_print(cdp_text_from_jsonb(PG_GETARG_JSONB_P(0)))));
}

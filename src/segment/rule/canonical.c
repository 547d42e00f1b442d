/*
 * canonical.c
 *		The canonical form of a rule: one way to write each, as JSON text.
 *
 * Defaults are left out, durations and numbers are written one way, a list of
 * one kind of events is written as that kind.  The order of conditions is kept.
 */
#include "segment/rule/canonical.h"

#include "utils/json.h"

static void put_node(StringInfo out, const RuleNode *node);

/* Appends "key": before a value, and a comma when another key came before. */
static void
put_key(StringInfo out, const char *key)
{
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	escape_json(out, key);
	appendStringInfoChar(out, ':');
}

/* Appends a key with a text. */
static void
put_text(StringInfo out, const char *key, const char *text)
{
	put_key(out, key);
	escape_json(out, text);
}

/* Appends a key with a duration. */
static void
put_span(StringInfo out, const char *key, RuleSpan span)
{
	put_text(out, key, cdp_rule_span_text(span));
}

/* Appends a constant as rules write it. */
void
cdp_rule_put_const(StringInfo out, const RuleConst *c)
{
	if (c->type == RULE_TEXT)
		escape_json(out, c->text);
	else
		appendStringInfoString(out, c->text);
}

/* Appends a comparison: its key and constants. */
static void
put_test(StringInfo out, const RuleTest *test)
{
	bool		list = (RULE_BIT(test->op) & (RULE_IN_OPS | RULE_BETWEEN_OPS)) != 0 ||
		test->op == RULE_HAS_ANY || test->op == RULE_HAS_ALL;

	if (RULE_BIT(test->op) & RULE_TIME_OPS)
	{
		put_span(out, cdp_rule_op_name(test->op), test->span);
		return;
	}
	put_key(out, cdp_rule_op_name(test->op));
	if (list)
		appendStringInfoChar(out, '[');
	for (int i = 0; i < test->n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		cdp_rule_put_const(out, &test->value[i]);
	}
	if (list)
		appendStringInfoChar(out, ']');
}

/* Appends a condition on an event. */
static void
put_cond(StringInfo out, const RuleCond *cond)
{
	appendStringInfoChar(out, '{');
	switch (cond->kind)
	{
		case RULE_COND_PROP:
			put_text(out, "prop", cond->prop);
			put_test(out, &cond->test);
			break;
		case RULE_COND_FIELD:
			put_text(out, "field", cdp_rule_field_name(cond->field));
			put_test(out, &cond->test);
			break;
		case RULE_COND_NOT:
			put_key(out, "not");
			put_cond(out, cond->child[0]);
			break;
		default:
			put_key(out, cond->kind == RULE_COND_ALL ? "all" : "any");
			appendStringInfoChar(out, '[');
			for (int i = 0; i < cond->n; i++)
			{
				if (i > 0)
					appendStringInfoChar(out, ',');
				put_cond(out, cond->child[i]);
			}
			appendStringInfoChar(out, ']');
	}
	appendStringInfoChar(out, '}');
}

/* Appends kinds of events and their condition. */
static void
put_events(StringInfo out, const char *key, const RuleEvents *events)
{
	put_key(out, key);
	if (events->n != 1)
		appendStringInfoChar(out, '[');
	for (int i = 0; i < events->n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		escape_json(out, events->name[i]);
	}
	if (events->n != 1)
		appendStringInfoChar(out, ']');
	if (events->where != NULL)
	{
		put_key(out, "where");
		put_cond(out, events->where);
	}
}

/* Appends ["90 days", "30 days"] under between. */
static void
put_between(StringInfo out, const RuleWindow *w)
{
	put_key(out, "between");
	appendStringInfoChar(out, '[');
	escape_json(out, cdp_rule_span_text(w->a));
	appendStringInfoChar(out, ',');
	escape_json(out, w->b.count == 0 ? "0 days" : cdp_rule_span_text(w->b));
	appendStringInfoChar(out, ']');
}

/* Appends a window. */
static void
put_window(StringInfo out, const RuleWindow *w)
{
	switch (w->kind)
	{
		case RULE_WINDOW_NONE:
			break;
		case RULE_WINDOW_LAST:
			put_span(out, "last", w->a);
			break;
		case RULE_WINDOW_BETWEEN:
			put_between(out, w);
			break;
		case RULE_WINDOW_THIS:
			put_text(out, "this", cdp_rule_unit_name(w->unit));
			break;
		case RULE_WINDOW_PREVIOUS:
			put_text(out, "previous", cdp_rule_unit_name(w->unit));
			break;
		case RULE_WINDOW_ABSOLUTE:
			if (w->since != NULL)
				put_text(out, "since", w->since);
			if (w->until != NULL)
				put_text(out, "until", w->until);
	}
}

/* Is the aggregate what an atom means without one: at least once? */
static bool
at_least_once(const RuleNode *node)
{
	return node->agg == RULE_COUNT &&
		((node->test.op == RULE_GTE && node->test.value[0].time == 1) || (node->test.op == RULE_GT && node->test.value[0].time == 0));
}

/* Appends an atom about events in a window. */
static void
put_did(StringInfo out, const RuleNode *node)
{
	put_events(out, "did", &node->events);
	put_window(out, &node->window);
	if (node->agg == RULE_ONCE || at_least_once(node))
		return;
	put_key(out, cdp_rule_agg_name(node->agg));
	if (node->agg == RULE_COUNT || node->agg == RULE_DAYS)
	{
		appendStringInfoChar(out, '{');
		put_test(out, &node->test);
		appendStringInfoChar(out, '}');
		return;
	}
	if (node->prop != NULL)
		escape_json(out, node->prop);
	else
		appendStringInfoString(out, "{\"field\":\"value\"}");
	put_test(out, &node->test);
}

/* Appends one step of a sequence. */
static void
put_step(StringInfo out, const RuleStep *step)
{
	appendStringInfoChar(out, '{');
	put_events(out, step->absent ? "absent" : "did", &step->events);
	if (step->bounded)
		put_span(out, "within", step->within);
	if (step->nsame > 0)
	{
		put_key(out, "same");
		for (int i = 0; i < step->nsame; i++)
		{
			appendStringInfoChar(out, i == 0 ? '[' : ',');
			escape_json(out, step->same[i]);
		}
		appendStringInfoChar(out, ']');
	}
	appendStringInfoChar(out, '}');
}

/* Appends a sequence. */
static void
put_seq(StringInfo out, const RuleNode *node)
{
	put_key(out, "seq");
	for (int i = 0; i < node->nsteps; i++)
	{
		appendStringInfoChar(out, i == 0 ? '[' : ',');
		put_step(out, &node->step[i]);
	}
	appendStringInfoChar(out, ']');
	put_window(out, &node->window);
	if (node->limited)
		put_span(out, "total", node->total);
	if (node->by_order)
		put_text(out, "ties", "order");
	if (node->nbreaks == 0)
		return;
	put_key(out, "not_between");
	if (node->nbreaks > 1)
		appendStringInfoChar(out, '[');
	for (int i = 0; i < node->nbreaks; i++)
	{
		appendStringInfoString(out, i == 0 ? "{" : ",{");
		put_events(out, "did", &node->breaks[i]);
		appendStringInfoChar(out, '}');
	}
	if (node->nbreaks > 1)
		appendStringInfoChar(out, ']');
}

/* Appends a rank; it is also the name under which the catalogue knows its threshold. */
static void
put_rank(StringInfo out, const RuleNode *node)
{
	put_key(out, "rank");
	appendStringInfoChar(out, '{');
	put_text(out, node->of_trait ? "trait" : "attr", node->name);
	appendStringInfoChar(out, '}');
	put_key(out, node->bottom ? "bottom" : "top");
	if (node->share != NULL)
		escape_json(out, node->share);
	else
		appendStringInfo(out, INT64_FORMAT, node->places);
}

/* Appends a named behaviour. */
static void
put_behaviour(StringInfo out, const RuleNode *node)
{
	static const char *const keys[] = {"first_time", "regularly", "stopped", "resumed"};

	put_events(out, keys[node->kind - RULE_FIRST_TIME], &node->events);
	if (node->kind == RULE_REGULARLY)
	{
		put_key(out, "at_least");
		appendStringInfo(out, "%d", node->least);
		put_key(out, "of");
		appendStringInfo(out, "%d", node->periods);
		put_text(out, "unit", cdp_rule_unit_name(node->unit));
		return;
	}
	if (node->kind == RULE_RESUMED)
		put_span(out, "after", node->after);
	put_window(out, &node->window);
}

/* Appends the parts of all, any and not. */
static void
put_parts(StringInfo out, const RuleNode *node)
{
	static const char *const keys[] = {"all", "any", "not"};

	put_key(out, keys[node->kind]);
	if (node->kind == RULE_NOT)
	{
		put_node(out, node->child[0]);
		return;
	}
	appendStringInfoChar(out, '[');
	for (int i = 0; i < node->n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		put_node(out, node->child[i]);
	}
	appendStringInfoChar(out, ']');
}

/* Appends what is left of an atom: the keys of its kind. */
static void
put_atom(StringInfo out, const RuleNode *node)
{
	switch (node->kind)
	{
		case RULE_DID:
			put_did(out, node);
			break;
		case RULE_SEQ:
			put_seq(out, node);
			break;
		case RULE_ATTR:
			put_text(out, "attr", node->name);
			put_test(out, &node->test);
			break;
		case RULE_TRAIT:
			put_text(out, "trait", node->name);
			put_test(out, &node->test);
			break;
		case RULE_RANK:
			put_rank(out, node);
			break;
		case RULE_SEGMENT:
			put_text(out, "segment", node->name);
			break;
		case RULE_LIST:
			put_text(out, "list", node->name);
			break;
		case RULE_CONSENT:
			put_text(out, "consent", node->name);
			if (node->channel != NULL)
				put_text(out, "channel", node->channel);
			break;
		case RULE_HOLDOUT:
			put_text(out, "holdout", node->name);
			if (strcmp(node->arm, "control") != 0)
				put_text(out, "arm", node->arm);
			break;
		default:
			put_behaviour(out, node);
	}
}

/* Appends a node; its depth is bounded by the reader. */
static void
put_node(StringInfo out, const RuleNode *node)
{
	appendStringInfoChar(out, '{');
	if (node->kind <= RULE_NOT)
		put_parts(out, node);
	else
		put_atom(out, node);
	appendStringInfoChar(out, '}');
}

/* Canonical JSON of one condition on events, palloc'd. */
char *
cdp_rule_cond_text(const RuleCond *cond)
{
	StringInfoData out;

	initStringInfo(&out);
	put_cond(&out, cond);
	return out.data;
}

/* Canonical JSON of one node, palloc'd. */
char *
cdp_rule_node_text(const RuleNode *node)
{
	StringInfoData out;

	initStringInfo(&out);
	put_node(&out, node);
	return out.data;
}

/* Canonical JSON of a whole rule, palloc'd. */
char *
cdp_rule_text(const Rule *rule)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"v\":1");
	if (rule->tz != NULL)
		put_text(&out, "tz", rule->tz);
	if (rule->sql_nulls)
		put_text(&out, "nulls", "sql");
	put_key(&out, "where");
	put_node(&out, rule->where);
	appendStringInfoChar(&out, '}');
	return out.data;
}

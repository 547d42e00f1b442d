/*
 * plan_event.c
 *		Atoms about events in a plan, and the expansion of the named behaviours.
 */
#include "segment/rule/plan.h"

#include "utils/json.h"


/* Begins an atom: what it does, with which events. */
static void
begin_atom(PlanMaker *m, StringInfo out, const char *op, const RuleEvents *events)
{
	initStringInfo(out);
	appendStringInfo(out, "{\"op\":\"%s\",", op);
	cdp_plan_put_of(m, out, events);
}

/* Appends the window of an atom, and notes how far back it reads. */
static void
add_window(PlanMaker *m, StringInfo out, const PlanWindow *w)
{
	cdp_plan_reads(m, w);
	appendStringInfoString(out, ",\"window\":");
	cdp_plan_put_window(out, w);
}

/* The node of an atom whose text is complete but for its closing brace. */
static int
finish_atom(PlanMaker *m, StringInfo out)
{
	appendStringInfoChar(out, '}');
	return cdp_plan_leaf(m, "event", cdp_rule_table_add(&m->events, out->data));
}

/* The node that says: at least so many. */
static int
at_least(PlanMaker *m, const char *atom, int64 k)
{
	StringInfoData out;

	if (k <= 0)
		return cdp_plan_everybody(m);
	initStringInfo(&out);
	appendStringInfo(&out, "%s,\"cmp\":\"gte\",\"value\":" INT64_FORMAT, atom, k);
	return finish_atom(m, &out);
}

/* The node of a comparison of a count, made of "at least". */
static int
count_node(PlanMaker *m, const char *atom, const RuleTest *test)
{
	int64		a = test->value[0].time,
				b = test->n > 1 ? test->value[1].time : a;
	int			low;

	switch (test->op)
	{
		case RULE_GTE:
			return at_least(m, atom, a);
		case RULE_GT:
			return at_least(m, atom, a + 1);
		case RULE_LT:
			return cdp_plan_not(m, at_least(m, atom, a));
		case RULE_LTE:
			return cdp_plan_not(m, at_least(m, atom, a + 1));
		default:
			low = at_least(m, atom, a);
			low = cdp_plan_both(m, low, cdp_plan_not(m, at_least(m, atom, b + 1)));
			return test->op == RULE_NEQ ? cdp_plan_not(m, low) : low;
	}
}

/* The atom "how often in the window", without its comparison; palloc'd. */
static char *
count_atom(PlanMaker *m, const RuleEvents *events, const PlanWindow *w)
{
	StringInfoData out;

	begin_atom(m, &out, "count", events);
	add_window(m, &out, w);
	return out.data;
}

/* The node of an event in a window. */
static int
did_in(PlanMaker *m, const RuleEvents *events, const PlanWindow *w)
{
	return at_least(m, count_atom(m, events, w), 1);
}

/* Appends what an aggregate is over. */
static void
add_operand(PlanMaker *m, StringInfo out, const RuleNode *node)
{
	if (node->agg == RULE_DAYS)
	{
		appendStringInfoString(out, ",\"tz\":");
		escape_json(out, m->rule->zone_name);
	}
	else if (node->agg > RULE_DAYS && node->prop != NULL)
	{
		m->need_properties = true;
		appendStringInfoString(out, ",\"prop\":");
		escape_json(out, node->prop);
	}
	else if (node->agg > RULE_DAYS)
	{
		m->need_value = true;
		appendStringInfoString(out, ",\"field\":\"value\"");
	}
}

/* The node of an atom with did. */
static int
did_node(PlanMaker *m, const RuleNode *node)
{
	PlanWindow	w = cdp_plan_window(m, &node->window);
	StringInfoData out;
	const char *op = node->agg == RULE_FIRST ? "first" : node->agg == RULE_LAST_OF ? "last" : cdp_rule_agg_name(node->agg);
	bool		negated;
	int			leaf;

	if (node->agg == RULE_ONCE)
		return did_in(m, &node->events, &w);
	begin_atom(m, &out, op, &node->events);
	add_window(m, &out, &w);
	add_operand(m, &out, node);
	if (node->agg == RULE_COUNT || node->agg == RULE_DAYS || node->agg == RULE_DISTINCT)
		return count_node(m, out.data, &node->test);
	if (node->agg == RULE_FIRST || node->agg == RULE_LAST_OF)
		m->need_ids = true;
	negated = cdp_plan_put_test(&out, &node->test, "cmp");
	leaf = finish_atom(m, &out);
	return negated ? cdp_plan_not(m, leaf) : leaf;
}

/* First time: did in the window, and never before it. */
static int
first_time_node(PlanMaker *m, const RuleNode *node)
{
	PlanWindow	w = cdp_plan_window(m, &node->window);
	PlanWindow	before = {.to = w.from,.slides_to = w.slides_from,.slide_to = w.slide_from};
	int			now = did_in(m, &node->events, &w);

	return cdp_plan_both(m, now, cdp_plan_not(m, did_in(m, &node->events, &before)));
}

/* Stopped: did in the window, and not between its end and now. */
static int
stopped_node(PlanMaker *m, const RuleNode *node)
{
	PlanWindow	w = cdp_plan_window(m, &node->window);
	PlanWindow	after = {.has_from = true,.from = w.to,.slides_from = w.slides_to,.slide_from = w.slide_to,.to = m->as_of,.slides_to = true};
	int			then = did_in(m, &node->events, &w);

	return cdp_plan_both(m, then, cdp_plan_not(m, did_in(m, &node->events, &after)));
}

/* Regularly: in at least so many of the last whole periods. */
static int
regularly_node(PlanMaker *m, const RuleNode *node)
{
	StringInfoData out;
	PlanWindow	w = {.has_from = true,.to = m->as_of};
	pg_tz	   *zone = m->rule->zone;

	begin_atom(m, &out, "periods", &node->events);
	for (int i = node->periods; i >= 0; i--)
	{
		TimestampTz at = cdp_rule_midnight(cdp_rule_period_start(m->today, node->unit, i), zone);

		if (i == node->periods)
			w.from = at;
		appendStringInfo(&out, "%s" INT64_FORMAT, i == node->periods ? ",\"bounds\":[" : ",", at);
	}
	appendStringInfo(&out, "],\"cmp\":\"gte\",\"value\":%d", node->least);
	cdp_plan_reads(m, &w);
	cdp_plan_boundary(m, cdp_rule_midnight(cdp_rule_period_start(m->today, node->unit, -1), zone));
	return finish_atom(m, &out);
}

/* Resumed: an event in the window whose previous one lies far enough before it. */
static int
resumed_node(PlanMaker *m, const RuleNode *node)
{
	PlanWindow	w = cdp_plan_window(m, &node->window);
	StringInfoData out;

	begin_atom(m, &out, "gap", &node->events);
	add_window(m, &out, &w);
	appendStringInfo(&out, ",\"gap\":" INT64_FORMAT, cdp_rule_span_usecs(node->after));
	m->unbounded = true;		/* the previous event can lie anywhere before the window */
	return finish_atom(m, &out);
}

/* Appends one step of a sequence. */
static void
add_step(PlanMaker *m, StringInfo out, const RuleStep *step)
{
	appendStringInfoChar(out, '{');
	cdp_plan_put_of(m, out, &step->events);
	if (step->bounded)
		appendStringInfo(out, ",\"within\":" INT64_FORMAT, cdp_rule_span_usecs(step->within));
	for (int i = 0; i < step->nsame; i++)
	{
		m->need_properties = true;
		appendStringInfoString(out, i == 0 ? ",\"same\":[" : ",");
		escape_json(out, step->same[i]);
		if (i == step->nsame - 1)
			appendStringInfoChar(out, ']');
	}
	appendStringInfoString(out, step->absent ? ",\"absent\":true}" : "}");
}

/* A sequence: its steps, and what may not come between. */
static int
seq_node(PlanMaker *m, const RuleNode *node)
{
	PlanWindow	w = cdp_plan_window(m, &node->window);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"op\":\"seq\",\"ties\":\"%s\",\"steps\":[", node->by_order ? "order" : "strict");
	for (int i = 0; i < node->nsteps; i++)
	{
		if (i > 0)
			appendStringInfoChar(&out, ',');
		add_step(m, &out, &node->step[i]);
	}
	appendStringInfoString(&out, "],\"breaks\":[");
	for (int i = 0; i < node->nbreaks; i++)
		cdp_plan_put_kinds(m, &out, &node->breaks[i]);
	appendStringInfoChar(&out, ']');
	add_window(m, &out, &w);
	if (node->limited)
		appendStringInfo(&out, ",\"total\":" INT64_FORMAT, cdp_rule_span_usecs(node->total));
	if (node->by_order)
		m->need_ids = true;
	return finish_atom(m, &out);
}

/* The node of an atom about events. */
int
cdp_plan_event_node(PlanMaker *m, const RuleNode *node)
{
	switch (node->kind)
	{
		case RULE_DID:
			return did_node(m, node);
		case RULE_SEQ:
			return seq_node(m, node);
		case RULE_FIRST_TIME:
			return first_time_node(m, node);
		case RULE_REGULARLY:
			return regularly_node(m, node);
		case RULE_STOPPED:
			return stopped_node(m, node);
		default:
			return resumed_node(m, node);
	}
}

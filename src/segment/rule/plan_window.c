/*
 * plan_window.c
 *		Windows of rules as moments, for one as_of: what slides with it, and when
 *		what stands still moves next.
 */
#include "segment/rule/plan.h"

/* Notes a moment at which the plan no longer holds; the next one counts. */
void
cdp_plan_boundary(PlanMaker *m, int64 at)
{
	if (at <= m->as_of || (m->has_boundary && m->boundary <= at))
		return;
	m->has_boundary = true;
	m->boundary = at;
}

/* Notes how far back an event atom reads. */
void
cdp_plan_reads(PlanMaker *m, const PlanWindow *w)
{
	if (!w->has_from)
		m->unbounded = true;
	else if (!m->has_from || w->from < m->from)
	{
		m->has_from = true;
		m->from = w->from;
	}
}

/* Puts the start of a window a fixed duration before as_of. */
static void
slide_from(PlanMaker *m, PlanWindow *w, RuleSpan span)
{
	w->has_from = w->slides_from = true;
	w->slide_from = cdp_rule_span_usecs(span);
	w->from = m->as_of - w->slide_from;
}

/* Midnight of the day so many months before today, until the next midnight. */
static int64
months_ago(PlanMaker *m, RuleSpan span)
{
	cdp_plan_boundary(m, cdp_rule_midnight(m->today + 1, m->rule->zone));
	return cdp_rule_midnight(cdp_rule_add_months(m->today, -cdp_rule_span_months(span)), m->rule->zone);
}

/* Fills the start of a window that looks back by a duration. */
static void
look_back(PlanMaker *m, PlanWindow *w, RuleSpan span)
{
	if (cdp_rule_span_fixed(span))
		slide_from(m, w, span);
	else
	{
		w->has_from = true;
		w->from = months_ago(m, span);
	}
}

/* Fills a window of whole units of the calendar. */
static void
whole_units(PlanMaker *m, PlanWindow *w, RuleUnit unit, bool previous)
{
	pg_tz	   *zone = m->rule->zone;

	w->has_from = true;
	w->from = cdp_rule_midnight(cdp_rule_period_start(m->today, unit, previous ? 1 : 0), zone);
	if (previous)
	{
		w->to = cdp_rule_midnight(cdp_rule_period_start(m->today, unit, 0), zone);
		w->slides_to = false;
	}
	cdp_plan_boundary(m, cdp_rule_midnight(cdp_rule_period_start(m->today, unit, -1), zone));
}

/* The window of an atom for the plan's as_of. */
PlanWindow
cdp_plan_window(PlanMaker *m, const RuleWindow *rule)
{
	PlanWindow	w = {.slides_to = true,.to = m->as_of};

	switch (rule->kind)
	{
		case RULE_WINDOW_NONE:
			break;
		case RULE_WINDOW_LAST:
			look_back(m, &w, rule->a);
			break;
		case RULE_WINDOW_BETWEEN:
			look_back(m, &w, rule->a);
			if (rule->b.count == 0)
				break;
			w.slides_to = cdp_rule_span_fixed(rule->b);
			w.slide_to = w.slides_to ? cdp_rule_span_usecs(rule->b) : 0;
			w.to = w.slides_to ? m->as_of - w.slide_to : months_ago(m, rule->b);
			break;
		case RULE_WINDOW_THIS:
		case RULE_WINDOW_PREVIOUS:
			whole_units(m, &w, rule->unit, rule->kind == RULE_WINDOW_PREVIOUS);
			break;
		case RULE_WINDOW_ABSOLUTE:
			w.has_from = rule->since != NULL;
			w.from = rule->since_at;
			if (rule->until == NULL)
				break;
			w.slides_to = rule->until_at > m->as_of;
			if (w.slides_to)
				cdp_plan_boundary(m, rule->until_at);
			else
				w.to = rule->until_at;
	}
	return w;
}

/* Appends a window of the plan. */
void
cdp_plan_put_window(StringInfo out, const PlanWindow *w)
{
	appendStringInfo(out, "{\"to\":" INT64_FORMAT, w->to);
	if (w->has_from)
		appendStringInfo(out, ",\"from\":" INT64_FORMAT, w->from);
	if (w->slides_from)
		appendStringInfo(out, ",\"slide_from\":" INT64_FORMAT, w->slide_from);
	if (w->slides_to)
		appendStringInfo(out, ",\"slide_to\":" INT64_FORMAT, w->slide_to);
	appendStringInfoChar(out, '}');
}

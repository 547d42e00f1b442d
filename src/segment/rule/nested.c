/*
 * nested.c
 *		Events that lie within others: what is asked of the few and of the many
 *		can contradict each other although they are not the same.
 */
#include "segment/rule/canonical.h"
#include "segment/rule/domain.h"

/* A window that ends with as_of, or lies in the past, by fixed durations: its ends before as_of. */
static bool
fixed_ends(const RuleWindow *w, int64 *from, int64 *to)
{
	if ((w->kind != RULE_WINDOW_LAST && w->kind != RULE_WINDOW_BETWEEN) || !cdp_rule_span_fixed(w->a))
		return false;
	*from = cdp_rule_span_usecs(w->a);
	*to = w->kind == RULE_WINDOW_LAST || w->b.count == 0 ? 0 : cdp_rule_span_usecs(w->b);
	return true;
}

/* The same by months. */
static bool
calendar_ends(const RuleWindow *w, int *from, int *to)
{
	if ((w->kind != RULE_WINDOW_LAST && w->kind != RULE_WINDOW_BETWEEN) || cdp_rule_span_fixed(w->a))
		return false;
	*from = cdp_rule_span_months(w->a);
	*to = w->kind == RULE_WINDOW_LAST || w->b.count == 0 ? 0 : cdp_rule_span_months(w->b);
	return true;
}

/* Does one period of the calendar, the present one, lie in another? Weeks lie in nothing but themselves. */
static bool
unit_within(RuleUnit a, RuleUnit b)
{
	if (a == b)
		return true;
	if (a == RULE_DAY)
		return b > RULE_DAY;
	return a >= RULE_MONTH && a < b;
}

/* Is whatever lies in a window in the other one, whenever both are asked? False: it is not known to be. */
bool
cdp_rule_window_within(const RuleWindow *a, const RuleWindow *b)
{
	int64		from_a,
				to_a,
				from_b,
				to_b;
	int			months_from_a,
				months_to_a,
				months_from_b,
				months_to_b;

	if (b->kind == RULE_WINDOW_NONE)
		return true;
	if (fixed_ends(a, &from_a, &to_a) && fixed_ends(b, &from_b, &to_b))
		return from_a <= from_b && to_a >= to_b;
	if (calendar_ends(a, &months_from_a, &months_to_a) && calendar_ends(b, &months_from_b, &months_to_b))
		return months_from_a <= months_from_b && months_to_a >= months_to_b;
	if (a->kind != b->kind)
		return false;
	switch (a->kind)
	{
		case RULE_WINDOW_THIS:
			return unit_within(a->unit, b->unit);
		case RULE_WINDOW_PREVIOUS:
			return a->unit == b->unit;
		case RULE_WINDOW_ABSOLUTE:
			return (b->since == NULL || (a->since != NULL && a->since_at >= b->since_at)) &&
				(b->until == NULL || (a->until != NULL && a->until_at <= b->until_at));
		default:
			return false;
	}
}

/* Is each of some events among others, of the same kinds or more, under the same condition or none? */
bool
cdp_rule_events_within(const RuleEvents *a, const RuleEvents *b)
{
	for (int i = 0, j = 0; i < a->n; i++)
	{
		while (j < b->n && strcmp(b->name[j], a->name[i]) < 0)
			j++;
		if (j == b->n || strcmp(b->name[j], a->name[i]) != 0)
			return false;
	}
	return b->where == NULL || (a->where != NULL && strcmp(cdp_rule_cond_text(a->where), cdp_rule_cond_text(b->where)) == 0);
}

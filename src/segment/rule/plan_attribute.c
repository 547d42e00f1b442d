/*
 * plan_attribute.c
 *		Atoms about attributes and sets in a plan: comparisons, ranges of time,
 *		anniversaries, ranks by their thresholds.
 */
#include "segment/rule/plan.h"

#include "utils/json.h"

/* Begins an attribute atom: where its value lies, and the type of it. */
static void
begin_attribute(StringInfo out, const RuleAttribute *a)
{
	initStringInfo(out);
	appendStringInfoString(out, a->column != NULL ? "{\"column\":" : "{\"json\":");
	escape_json(out, a->column != NULL ? a->column : a->json);
	if (a->column == NULL)
	{
		appendStringInfoString(out, ",\"key\":");
		escape_json(out, a->key);
	}
	appendStringInfo(out, ",\"type\":\"%s\"", cdp_rule_type_name(a->type));
}

/* The node of an attribute atom whose text is complete but for its closing brace. */
static int
finish_attribute(PlanMaker *m, StringInfo out)
{
	appendStringInfoChar(out, '}');
	return cdp_plan_leaf(m, "attribute", cdp_rule_table_add(&m->attributes, out->data));
}

/* The day a duration of whole days or months after today, or before it when the sign is below 0. */
static int
days_away(const PlanMaker *m, RuleSpan span, int sign)
{
	if (!cdp_rule_span_fixed(span))
		return cdp_rule_add_months(m->today, sign * cdp_rule_span_months(span));
	return m->today + sign * (int) (cdp_rule_span_usecs(span) / USECS_PER_DAY);
}

/* Appends the range of dates of last, next and before_last: the day of as_of stands for as_of. */
static void
date_range(PlanMaker *m, StringInfo out, const RuleTest *test)
{
	int			away = days_away(m, test->span, test->op == RULE_NEXT ? 1 : -1);

	cdp_plan_boundary(m, cdp_rule_midnight(m->today + 1, m->rule->zone));
	if (test->op == RULE_BEFORE_LAST)
		appendStringInfo(out, ",\"hi\":%d", away);
	else if (test->op == RULE_LAST)
		appendStringInfo(out, ",\"lo\":%d,\"hi\":%d", away, m->today);
	else
		appendStringInfo(out, ",\"lo\":%d,\"hi\":%d", m->today, away);
}

/* Appends one end of a range of moments, a duration before as_of or, when the sign is above 0, after it. */
static void
moving_end(PlanMaker *m, StringInfo out, const char *end, RuleSpan span, int sign)
{
	if (cdp_rule_span_fixed(span))
	{
		int64		slide = -sign * cdp_rule_span_usecs(span);

		appendStringInfo(out, ",\"%s\":" INT64_FORMAT ",\"slide_%s\":" INT64_FORMAT, end, m->as_of - slide, end, slide);
		return;
	}
	cdp_plan_boundary(m, cdp_rule_midnight(m->today + 1, m->rule->zone));
	appendStringInfo(out, ",\"%s\":" INT64_FORMAT, end, cdp_rule_midnight(days_away(m, span, sign), m->rule->zone));
}

/* Appends the range of moments of last, next and before_last. */
static void
moment_range(PlanMaker *m, StringInfo out, const RuleTest *test)
{
	const RuleSpan none = {0, RULE_SECOND};

	if (test->op == RULE_BEFORE_LAST)
		moving_end(m, out, "hi", test->span, -1);
	else if (test->op == RULE_LAST)
	{
		moving_end(m, out, "lo", test->span, -1);
		moving_end(m, out, "hi", none, -1);
	}
	else
	{
		moving_end(m, out, "lo", none, 1);
		moving_end(m, out, "hi", test->span, 1);
	}
}

/* Month and day of a day as one number. */
static int
month_day(int day, int *year)
{
	int			month,
				mday;

	cdp_rule_ymd(day, year, &month, &mday);
	return month * 100 + mday;
}

/* Appends the days of the year from today until a day: 29 February counts on 1 March in years without it. */
static void
anniversaries(PlanMaker *m, StringInfo out, const RuleTest *test, RuleType type)
{
	int			end = days_away(m, test->span, 1);
	int			year,
				other;

	cdp_plan_boundary(m, cdp_rule_midnight(m->today + 1, m->rule->zone));
	if (type == RULE_TYPE_TIMESTAMP)
	{
		appendStringInfoString(out, ",\"tz\":");
		escape_json(out, m->rule->zone_name);
	}
	if (end - m->today >= 366)
	{
		appendStringInfoString(out, ",\"values\":[[101,1231]]");
		return;
	}
	for (int day = m->today, last; day < end; day = last + 1)
	{
		int			from = month_day(day, &year),
					to;

		last = end - 1;
		to = month_day(last, &other);
		if (other > year)
		{
			last = cdp_rule_period_start(day, RULE_YEAR, -1) - 1;
			to = 1231;
		}
		if (from == 301 && month_day(day - 1, &other) == 228)
			from = 229;
		appendStringInfo(out, "%s[%d,%d]", day == m->today ? ",\"values\":[" : ",", from, to);
	}
	appendStringInfoChar(out, ']');
}

/* The node of one comparison of an attribute. */
static int
compare_attribute(PlanMaker *m, const RuleAttribute *a, const RuleTest *test)
{
	StringInfoData out;
	bool		negated = false;
	int			leaf;

	begin_attribute(&out, a);
	if (test->op == RULE_ANNIVERSARY)
	{
		appendStringInfoString(&out, ",\"op\":\"anniversary\"");
		anniversaries(m, &out, test, a->type);
	}
	else if (RULE_BIT(test->op) & RULE_TIME_OPS)
	{
		appendStringInfoString(&out, ",\"op\":\"range\"");
		if (a->type == RULE_TYPE_DATE)
			date_range(m, &out, test);
		else
			moment_range(m, &out, test);
	}
	else
		negated = cdp_plan_put_test(&out, test, "op");
	leaf = finish_attribute(m, &out);
	return negated ? cdp_plan_not(m, leaf) : leaf;
}

/* The node of an atom about an attribute. */
int
cdp_plan_attribute_node(PlanMaker *m, const RuleNode *node)
{
	const RuleTest *test = &node->test;
	int		   *part;

	if (test->op != RULE_HAS_ANY && test->op != RULE_HAS_ALL)
		return compare_attribute(m, &node->attribute, test);
	part = palloc(sizeof(int) * test->n);
	for (int i = 0; i < test->n; i++)
	{
		RuleTest	has = cdp_plan_has(test, i);

		part[i] = compare_attribute(m, &node->attribute, &has);
	}
	return cdp_plan_list(m, test->op == RULE_HAS_ALL, part, test->n);
}

/* The node of a set whose text is complete but for its closing brace. */
static int
finish_set(PlanMaker *m, StringInfo out)
{
	appendStringInfoChar(out, '}');
	return cdp_plan_leaf(m, "set", cdp_rule_table_add(&m->sets, out->data));
}

/* The node of a list, consent, holdout or trait. */
int
cdp_plan_set_node(PlanMaker *m, const RuleNode *node)
{
	StringInfoData out;
	bool		negated = false;
	int			leaf;

	initStringInfo(&out);
	switch (node->kind)
	{
		case RULE_LIST:
			appendStringInfo(&out, "{\"list\":" INT64_FORMAT, node->id);
			break;
		case RULE_CONSENT:
			appendStringInfoString(&out, "{\"consent\":");
			escape_json(&out, node->name);
			appendStringInfoString(&out, ",\"channel\":");
			escape_json(&out, node->channel == NULL ? "" : node->channel);
			break;
		case RULE_HOLDOUT:
			appendStringInfo(&out, "{\"holdout\":" INT64_FORMAT ",\"arm\":", node->id);
			escape_json(&out, node->arm);
			break;
		default:
			appendStringInfo(&out, "{\"trait\":" INT64_FORMAT, node->id);
			negated = cdp_plan_put_test(&out, &node->test, "op");
	}
	leaf = finish_set(m, &out);
	return negated ? cdp_plan_not(m, leaf) : leaf;
}

/* The threshold that the catalogue holds for a rank; NULL when nobody has a value. */
static const JsonbValue *
threshold(PlanMaker *m, const RuleNode *node)
{
	char	   *name = cdp_rule_node_text(node);
	const JsonbContainer *ranks = cdp_rule_object(cdp_rule_get(m->catalog, "ranks"));
	const JsonbContainer *entry = ranks == NULL ? NULL : cdp_rule_object(cdp_rule_get(ranks, name));
	JsonbValue *v = entry == NULL ? NULL : cdp_rule_get(entry, node->bottom ? "lte" : "gte");

	if (v == NULL || (v->type != jbvNull && v->type != jbvNumeric))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the threshold of a rank is not known"),
				 errdetail("The catalogue holds none for %s.", name),
				 errhint("Thresholds are computed before the pass, for each rank that cdp_internal.rule_uses() tells.")));
	return v->type == jbvNull ? NULL : v;
}

/* The node of a rank: its threshold compared. */
int
cdp_plan_rank_node(PlanMaker *m, const RuleNode *node)
{
	const JsonbValue *v = threshold(m, node);
	RuleConst	limit = {.type = RULE_NUMBER};
	RuleTest	test = {.op = node->bottom ? RULE_LTE : RULE_GTE,.n = 1,.value = &limit};
	StringInfoData out;

	if (v == NULL)
		return cdp_plan_nobody(m);
	limit.number = v->val.numeric;
	limit.text = numeric_normalize(limit.number);
	if (!node->of_trait)
		return compare_attribute(m, &node->attribute, &test);
	initStringInfo(&out);
	appendStringInfo(&out, "{\"trait\":" INT64_FORMAT, node->id);
	cdp_plan_put_test(&out, &test, "op");
	return finish_set(m, &out);
}

/*
 * plan_test.c
 *		Comparisons of a plan: a few primitive ones, of which the others are
 *		complements.
 */
#include "segment/rule/plan.h"

#include "utils/json.h"

/* Is the comparison the complement of a primitive one? */
bool
cdp_plan_negated(RuleOp op)
{
	return op == RULE_NEQ || op == RULE_NOT_IN || op == RULE_NOT_BETWEEN || op == RULE_NOT_CONTAINS;
}

/* The primitive comparison that another is the complement of, or itself. */
static RuleOp
primitive(RuleOp op)
{
	switch (op)
	{
		case RULE_NEQ:
			return RULE_EQ;
		case RULE_NOT_IN:
			return RULE_IN;
		case RULE_NOT_BETWEEN:
			return RULE_BETWEEN;
		case RULE_NOT_CONTAINS:
			return RULE_CONTAINS;
		default:
			return op;
	}
}

/* Appends a constant as the plan holds it: times as numbers. */
void
cdp_plan_put_value(StringInfo out, const RuleConst *c)
{
	if (c->timed)
		appendStringInfo(out, INT64_FORMAT, c->time);
	else
		cdp_rule_put_const(out, c);
}

/* Appends the constants of in, sorted and each once; a single one makes it eq. */
static void
put_in(StringInfo out, const RuleTest *test, const char *op_key)
{
	RuleConst  *value = palloc(sizeof(RuleConst) * test->n);
	int			n = 1;

	memcpy(value, test->value, sizeof(RuleConst) * test->n);
	qsort(value, test->n, sizeof(RuleConst), cdp_rule_compare_consts);
	for (int i = 1; i < test->n; i++)
		if (cdp_rule_compare_consts(&value[i], &value[n - 1]) != 0)
			value[n++] = value[i];
	appendStringInfo(out, ",\"%s\":\"%s\",\"%s\":", op_key, n == 1 ? "eq" : "in", n == 1 ? "value" : "values");
	for (int i = 0; i < n; i++)
	{
		if (n > 1)
			appendStringInfoChar(out, i == 0 ? '[' : ',');
		cdp_plan_put_value(out, &value[i]);
	}
	if (n > 1)
		appendStringInfoChar(out, ']');
	pfree(value);
}

/* Appends the primitive comparison under the given key for its word; true when its complement is meant. */
bool
cdp_plan_put_test(StringInfo out, const RuleTest *test, const char *op_key)
{
	RuleOp		op = primitive(test->op);

	if (op == RULE_EXISTS)
	{
		appendStringInfo(out, ",\"%s\":\"exists\"", op_key);
		return strcmp(test->value[0].text, "false") == 0;
	}
	if (op == RULE_IN)
		put_in(out, test, op_key);
	else if (op == RULE_BETWEEN)
	{
		appendStringInfo(out, ",\"%s\":\"between\",\"values\":[", op_key);
		cdp_plan_put_value(out, &test->value[0]);
		appendStringInfoChar(out, ',');
		cdp_plan_put_value(out, &test->value[1]);
		appendStringInfoChar(out, ']');
	}
	else
	{
		appendStringInfo(out, ",\"%s\":\"%s\",\"value\":", op_key, cdp_rule_op_name(op));
		cdp_plan_put_value(out, &test->value[0]);
	}
	return cdp_plan_negated(test->op);
}

/* The i-th part of has_any and has_all. */
RuleTest
cdp_plan_has(const RuleTest *test, int i)
{
	RuleTest	part = *test;

	part.op = RULE_HAS;
	part.n = 1;
	part.value = &test->value[i];
	return part;
}

/* Does a text end with another? */
static bool
ends_with(const char *text, const char *end)
{
	size_t		n = strlen(text),
				k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

/* Does a text meet the primitive comparison?  Bytewise. */
bool
cdp_plan_text_matches(const RuleTest *test, const char *text)
{
	const char *first = test->value[0].text;
	int			order = strcmp(text, first);

	switch (primitive(test->op))
	{
		case RULE_EQ:
			return order == 0;
		case RULE_LT:
			return order < 0;
		case RULE_LTE:
			return order <= 0;
		case RULE_GT:
			return order > 0;
		case RULE_GTE:
			return order >= 0;
		case RULE_BETWEEN:
			return order >= 0 && strcmp(text, test->value[1].text) <= 0;
		case RULE_PREFIX:
			return strncmp(text, first, strlen(first)) == 0;
		case RULE_SUFFIX:
			return ends_with(text, first);
		case RULE_CONTAINS:
			return strstr(text, first) != NULL;
		case RULE_IN:
			for (int i = 0; i < test->n; i++)
				if (strcmp(text, test->value[i].text) == 0)
					return true;
			return false;
		default:
			return true;		/* exists */
	}
}

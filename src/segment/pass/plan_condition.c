/*
 * plan_condition.c
 *		Reads the conditions of a plan on rows.
 */
#include "segment/pass/plan.h"

/* Orders ids. */
static int
compare_ids(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return (x > y) - (x < y);
}

/* Reads a list of 32-bit integers, sorted when they are ids. */
static int32 *
read_ids(const JsonbContainer *object, const char *key, int index, bool sort, int *n)
{
	const JsonbContainer *list = cdp_plan_array(object, key, "conditions", index, n);
	int32	   *id = palloc(sizeof(int32) * Max(*n, 1));

	for (int i = 0; i < *n; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, list), i);
		int64		value = cdp_plan_int_of(v, "conditions", index, key);

		if (value < PG_INT32_MIN || value > PG_INT32_MAX)
			cdp_plan_bad("conditions", index, psprintf("an entry of \"%s\" has no 32 bits", key));
		id[i] = (int32) value;
	}
	if (sort)
		qsort(id, *n, sizeof(int32), compare_ids);
	return id;
}

/* Reads the conditions that one depends on, which stand before it. */
static void
read_members(const JsonbContainer *object, const char *key, int index, CdpCondition *c)
{
	c->member = read_ids(object, key, index, false, &c->n);
	for (int i = 0; i < c->n; i++)
		if (c->member[i] < 0 || c->member[i] >= index)
			cdp_plan_bad("conditions", index, psprintf("\"%s\" names no earlier condition", key));
}

/* Reads one condition. */
static void
read_condition(CdpPlan *plan, const JsonbContainer *object, int index, CdpCondition *c)
{
	JsonbValue	v;
	int64		one;

	if (cdp_plan_get(object, "complement", &v))
	{
		if (v.type != jbvBool)
			cdp_plan_bad("conditions", index, "\"complement\" is neither true nor false");
		c->complement = v.val.boolean;
	}
	if (cdp_plan_get(object, "prop", &v))
	{
		if (v.type != jbvString)
			cdp_plan_bad("conditions", index, "\"prop\" is no text");
		c->kind = CDP_IF_PROPERTY;
		c->key = cdp_plan_key(plan, v.val.string.val, v.val.string.len);
		cdp_compare_read(object, "op", CDP_OPS_ALL, "conditions", index, &c->compare);
	}
	else if (cdp_plan_get(object, "field", &v))
	{
		if (v.type != jbvString || v.val.string.len != 5 || memcmp(v.val.string.val, "value", 5) != 0)
			cdp_plan_bad("conditions", index, "\"field\" is not \"value\"");
		c->kind = CDP_IF_VALUE;
		cdp_compare_read(object, "op", CDP_OPS_NUMBER | 1 << CDP_EXISTS | 1 << CDP_IN | 1 << CDP_BETWEEN,
						 "conditions", index, &c->compare);
		if (c->compare.n > 0 && c->compare.value[0].type != jbvNumeric)
			cdp_plan_bad("conditions", index, "\"value\" is compared with what is no number");
	}
	else if (cdp_plan_get(object, "origins", &v) || cdp_plan_get(object, "campaigns", &v))
	{
		c->kind = CDP_IF_ORIGIN;
		c->member = read_ids(object, "origins", index, true, &c->n);
		c->member2 = read_ids(object, "campaigns", index, true, &c->n2);
	}
	else if (cdp_plan_get(object, "sources", &v))
	{
		c->kind = CDP_IF_SOURCE;
		c->member = read_ids(object, "sources", index, true, &c->n);
	}
	else if (cdp_plan_get(object, "all", &v))
	{
		c->kind = CDP_IF_ALL;
		read_members(object, "all", index, c);
	}
	else if (cdp_plan_get(object, "any", &v))
	{
		c->kind = CDP_IF_ANY;
		read_members(object, "any", index, c);
	}
	else if (cdp_plan_int(object, "not", "conditions", index, &one))
	{
		if (one < 0 || one >= index)
			cdp_plan_bad("conditions", index, "\"not\" names no earlier condition");
		c->kind = CDP_IF_NOT;
		c->n = 1;
		c->member = palloc(sizeof(int32));
		c->member[0] = (int32) one;
	}
	/* No member at all: all of none holds, any of none does not. */
	else if (cdp_plan_get(object, "everything", &v))
		c->kind = CDP_IF_ALL;
	else if (cdp_plan_get(object, "nothing", &v))
		c->kind = CDP_IF_ANY;
	else
		cdp_plan_bad("conditions", index, "of no known kind");
}

/* Reads all conditions. */
void
cdp_plan_conditions(CdpPlan *plan, const JsonbContainer *root)
{
	const JsonbContainer *list = cdp_plan_array(root, "conditions", "plan", -1, &plan->nconditions);

	if (plan->nconditions > CDP_PLAN_LIST)
		cdp_plan_bad("conditions", plan->nconditions, "too many");
	plan->condition = palloc0(sizeof(CdpCondition) * Max(plan->nconditions, 1));
	for (int i = 0; i < plan->nconditions; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_condition(plan, cdp_plan_element(list, i, "conditions", i), i, &plan->condition[i]);
	}
}

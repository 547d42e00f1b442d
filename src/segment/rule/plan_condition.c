/*
 * plan_condition.c
 *		Conditions on events in a plan.
 *
 * They are two-valued.  Under the logic of SQL a condition counts an event when
 * it is true, so negation is driven down to the comparisons, where "complement"
 * says: comparable, and not so.
 */
#include "segment/rule/plan.h"

#include "utils/json.h"

static int	make_cond(PlanMaker *m, const RuleCond *cond, bool positive);

/* Numbers of origins and campaigns, or of sources. */
typedef struct IdSet
{
	int			n,
				room;
	int64	   *id;
} IdSet;

/* Adds a number. */
static void
add_id(IdSet *set, int64 id)
{
	if (set->n == set->room)
	{
		set->room = set->room == 0 ? 16 : set->room * 2;
		set->id = set->id == NULL ? palloc(sizeof(int64) * set->room) : repalloc(set->id, sizeof(int64) * set->room);
	}
	set->id[set->n++] = id;
}

/* Adds the numbers of a value: one, or an array of them. */
static void
add_ids(IdSet *set, const JsonbValue *v)
{
	const JsonbContainer *array = cdp_rule_array(v);
	int			n = array == NULL ? 1 : (int) JsonContainerSize(array);
	int64		id;

	for (int i = 0; v != NULL && i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!cdp_rule_whole(array == NULL ? v : cdp_rule_item(array, i), &id))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the catalogue of rules is malformed"),
					 errdetail("A number of an origin, campaign or source is none."),
					 errhint("Take the catalogue from cdp_internal.segment_catalog().")));
		add_id(set, id);
	}
}

/* Order of two numbers. */
static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a,
				y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* Appends numbers in order, each once. */
static void
put_ids(StringInfo out, IdSet *set)
{
	if (set->n > 1)
		qsort(set->id, set->n, sizeof(int64), compare_ids);
	appendStringInfoChar(out, '[');
	for (int i = 0; i < set->n; i++)
		if (i == 0 || set->id[i] != set->id[i - 1])
			appendStringInfo(out, "%s" INT64_FORMAT, i == 0 ? "" : ",", set->id[i]);
	appendStringInfoChar(out, ']');
}

/* The condition that is always true, or never. */
static int
constant(PlanMaker *m, bool value)
{
	return cdp_rule_table_add(&m->conditions, value ? "{\"everything\":true}" : "{\"nothing\":true}");
}

/* The complement of a condition. */
static int
not_cond(PlanMaker *m, int i)
{
	int			inner;

	if (strcmp(m->conditions.text[i], "{\"everything\":true}") == 0 || strcmp(m->conditions.text[i], "{\"nothing\":true}") == 0)
		return constant(m, m->conditions.text[i][2] == 'n');
	if (sscanf(m->conditions.text[i], "{\"not\":%d}", &inner) == 1)
		return inner;
	return cdp_rule_table_add(&m->conditions, psprintf("{\"not\":%d}", i));
}

/* Order of two condition numbers. */
static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* All or any of some conditions, sorted, each once, constants taken out. */
static int
list_cond(PlanMaker *m, bool all, int *part, int n)
{
	StringInfoData out;
	int			k = 0;

	if (n > 1)
		qsort(part, n, sizeof(int), compare_ints);
	for (int i = 0; i < n; i++)
	{
		const char *text = m->conditions.text[part[i]];
		bool		always = strcmp(text, "{\"everything\":true}") == 0;

		if (always || strcmp(text, "{\"nothing\":true}") == 0)
		{
			if (always != all)
				return part[i];
		}
		else if (k == 0 || part[k - 1] != part[i])
			part[k++] = part[i];
	}
	if (k == 0)
		return constant(m, all);
	if (k == 1)
		return part[0];
	initStringInfo(&out);
	for (int i = 0; i < k; i++)
		appendStringInfo(&out, "%s%d", i == 0 ? (all ? "{\"all\":[" : "{\"any\":[") : ",", part[i]);
	appendStringInfoString(&out, "]}");
	return cdp_rule_table_add(&m->conditions, out.data);
}

/* The condition that an event comes from origins, campaigns or sources whose name meets the comparison (NULL: has any name). */
static int
named_cond(PlanMaker *m, RuleField field, const RuleTest *test)
{
	static const char *const sections[] = {"channels", "channel_groups", "campaigns", "sources"};
	const JsonbContainer *section = cdp_rule_object(cdp_rule_get(m->catalog, sections[field]));
	StringInfoData out;
	IdSet		ids = {0},
				campaigns = {0};
	int			n = 0;
	const char **names = section == NULL ? NULL : cdp_rule_keys(section, &n);

	for (int i = 0; i < n; i++)
	{
		JsonbValue *v;
		const JsonbContainer *entry;

		CHECK_FOR_INTERRUPTS();
		if (test != NULL && !cdp_plan_text_matches(test, names[i]))
			continue;
		v = cdp_rule_get(section, names[i]);
		entry = cdp_rule_object(v);
		add_ids(&ids, entry == NULL ? v : cdp_rule_get(entry, "origins"));
		if (entry != NULL)
			add_ids(&campaigns, cdp_rule_get(entry, "ids"));
	}
	if (ids.n == 0 && campaigns.n == 0)
		return constant(m, false);
	m->need_origin = true;
	initStringInfo(&out);
	appendStringInfoString(&out, field == RULE_FIELD_SOURCE ? "{\"sources\":" : "{\"origins\":");
	put_ids(&out, &ids);
	if (field != RULE_FIELD_SOURCE)
	{
		appendStringInfoString(&out, ",\"campaigns\":");
		put_ids(&out, &campaigns);
	}
	appendStringInfoChar(&out, '}');
	return cdp_rule_table_add(&m->conditions, out.data);
}

/* A comparison of a name: its complement leaves out, under the logic of SQL, events without one. */
static int
field_cond(PlanMaker *m, const RuleCond *cond, bool positive)
{
	bool		absent = cond->test.op == RULE_EXISTS && strcmp(cond->test.value[0].text, "false") == 0;
	bool		complement = (cdp_plan_negated(cond->test.op) || absent) == positive;
	int			part[2];

	part[0] = named_cond(m, cond->field, &cond->test);
	if (!complement)
		return part[0];
	part[0] = not_cond(m, part[0]);
	if (!m->rule->sql_nulls || cond->test.op == RULE_EXISTS)
		return part[0];
	part[1] = named_cond(m, cond->field, NULL);
	return list_cond(m, true, part, 2);
}

/* One comparison of a property or of the value. */
static int
test_cond(PlanMaker *m, const RuleCond *cond, const RuleTest *test, bool positive)
{
	StringInfoData out;
	bool		negated;

	initStringInfo(&out);
	if (cond->kind == RULE_COND_PROP)
	{
		m->need_properties = true;
		appendStringInfoString(&out, "{\"prop\":");
		escape_json(&out, cond->prop);
	}
	else
	{
		m->need_value = true;
		appendStringInfoString(&out, "{\"field\":\"value\"");
	}
	negated = cdp_plan_put_test(&out, test, "op") == positive;
	if (negated && m->rule->sql_nulls && test->op != RULE_EXISTS)
	{
		appendStringInfoString(&out, ",\"complement\":true}");
		return cdp_rule_table_add(&m->conditions, out.data);
	}
	appendStringInfoChar(&out, '}');
	return negated ? not_cond(m, cdp_rule_table_add(&m->conditions, out.data)) : cdp_rule_table_add(&m->conditions, out.data);
}

/* has_any and has_all as any and all of has. */
static int
has_cond(PlanMaker *m, const RuleCond *cond, bool positive)
{
	int		   *part = palloc(sizeof(int) * cond->test.n);

	for (int i = 0; i < cond->test.n; i++)
	{
		RuleTest	test = cdp_plan_has(&cond->test, i);

		part[i] = test_cond(m, cond, &test, positive);
	}
	return list_cond(m, (cond->test.op == RULE_HAS_ALL) == positive, part, cond->test.n);
}

/* All, any and not of conditions. */
static int
parts_cond(PlanMaker *m, const RuleCond *cond, bool positive)
{
	int		   *part;

	if (cond->kind == RULE_COND_NOT)
		return m->rule->sql_nulls ? make_cond(m, cond->child[0], !positive) : not_cond(m, make_cond(m, cond->child[0], true));
	part = palloc(sizeof(int) * Max(cond->n, 1));
	for (int i = 0; i < cond->n; i++)
		part[i] = make_cond(m, cond->child[i], positive);
	return list_cond(m, (cond->kind == RULE_COND_ALL) == positive, part, cond->n);
}

/* The number of a condition; not positive: of the one that is true where it is false. */
static int
make_cond(PlanMaker *m, const RuleCond *cond, bool positive)
{
	if (cond->kind < RULE_COND_PROP)
		return parts_cond(m, cond, positive);
	if (cond->kind == RULE_COND_FIELD && cond->field != RULE_FIELD_VALUE)
		return field_cond(m, cond, positive);
	if (cond->test.op == RULE_HAS_ANY || cond->test.op == RULE_HAS_ALL)
		return has_cond(m, cond, positive);
	return test_cond(m, cond, &cond->test, positive);
}

/* Appends kinds of events with their condition, by number of the kind; a comma comes first when others are before. */
void
cdp_plan_put_kinds(PlanMaker *m, StringInfo out, const RuleEvents *events)
{
	IdSet		ids = {0};
	int			cond = events->where == NULL ? -1 : make_cond(m, events->where, true);

	if (cond >= 0 && strcmp(m->conditions.text[cond], "{\"everything\":true}") == 0)
		cond = -1;
	for (int i = 0; i < events->n; i++)
		add_id(&ids, events->id[i]);
	qsort(ids.id, ids.n, sizeof(int64), compare_ids);
	for (int i = 0; i < ids.n; i++)
	{
		cdp_rule_table_add(&m->kinds, psprintf(INT64_FORMAT, ids.id[i]));
		appendStringInfo(out, "%s{\"kind\":" INT64_FORMAT, out->data[out->len - 1] == '[' ? "" : ",", ids.id[i]);
		if (cond >= 0)
			appendStringInfo(out, ",\"if\":%d", cond);
		appendStringInfoChar(out, '}');
	}
}

/* Appends "of": the kinds of events that an atom is about. */
void
cdp_plan_put_of(PlanMaker *m, StringInfo out, const RuleEvents *events)
{
	appendStringInfoString(out, "\"of\":[");
	cdp_plan_put_kinds(m, out, events);
	appendStringInfoChar(out, ']');
}

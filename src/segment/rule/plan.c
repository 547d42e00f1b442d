/*
 * plan.c
 *		The plan of a set of rules: reads them, puts referenced segments first,
 *		compiles each, and writes the whole.
 */
#include "segment/rule/plan.h"

#include "utils/json.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_rule_plan);

/* One of the rules, and the segments it rests on. */
typedef struct PlanRule
{
	int64		id;
	const char *name;
	Rule	   *rule;
	int			nrefs;
	int		   *ref;			/* indexes of rules */
	bool		done,
				open;			/* on the way that is being walked */
	int			next;			/* its next reference to walk */
	int			from;			/* who led here */
	int			node;
	const char *paths;
} PlanRule;

typedef struct PlanRules
{
	int			n;
	PlanRule   *rule;
	RuleTable	names;			/* numbered as the rules */
} PlanRules;

/* Ends the call for rules that do not come as agreed. */
CDP_NORETURN static void
bad_rules(int i)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the rules of a plan are malformed"),
			 errdetail("Item %d is no {\"id\": number, \"name\": text, \"rule\": object} of its own id and name.", i),
			 errhint("Hand in one item for each segment, and for each segment that their rules name.")));
}

/* Order of two rules by id. */
static int
compare_rules(const void *pa, const void *pb)
{
	const PlanRule *a = pa,
			   *b = pb;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* Reads one rule by the catalogue; its first error ends the call. */
static void
read_rule(PlanRule *out, const JsonbContainer *catalog, const JsonbContainer *item, RuleReader *r)
{
	JsonbValue *purpose = cdp_rule_get(item, "purpose");

	cdp_rule_reader_init(r, catalog);
	r->self = NULL;				/* circles are found among the rules themselves */
	if (purpose != NULL && purpose->type == jbvString)
		r->purpose = cdp_rule_string(purpose);
	out->rule = cdp_rule_read(r, JsonbValueToJsonb(cdp_rule_get(item, "rule")));
	cdp_rule_throw(r, out->name);
}

/* Finds the rules that a rule names. */
static void
link_rule(PlanRules *rules, PlanRule *rule, const RuleReader *r)
{
	rule->ref = palloc(sizeof(int) * Max(r->uses.n, 1));
	for (int i = 0; i < r->uses.n; i++)
	{
		const char *name = r->uses.text[i] + strlen("segment ");
		int			at;

		if (strncmp(r->uses.text[i], "segment ", strlen("segment ")) != 0)
			continue;
		at = cdp_rule_table_find(&rules->names, name);
		if (at < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("segment %s is not among the rules of the plan", cdp_rule_quote(name)),
					 errdetail("Segment %s names it.", cdp_rule_quote(rule->name)),
					 errhint("Hand in the rules of all segments that others name.")));
		rule->ref[rule->nrefs++] = at;
	}
}

/* Reads all rules, by id. */
static void
read_rules(PlanRules *rules, Jsonb *jsonb, const JsonbContainer *catalog)
{
	const JsonbContainer *array = &jsonb->root;
	const JsonbContainer **item;

	if (!JB_ROOT_IS_ARRAY(jsonb) || JB_ROOT_IS_SCALAR(jsonb))
		bad_rules(0);
	memset(rules, 0, sizeof(PlanRules));
	rules->n = JsonContainerSize(array);
	rules->rule = palloc0(sizeof(PlanRule) * Max(rules->n, 1));
	item = palloc(sizeof(void *) * Max(rules->n, 1));
	for (int i = 0; i < rules->n; i++)
	{
		JsonbValue *id,
				   *name;

		item[i] = cdp_rule_object(cdp_rule_item(array, i));
		id = item[i] == NULL ? NULL : cdp_rule_get(item[i], "id");
		name = item[i] == NULL ? NULL : cdp_rule_get(item[i], "name");
		if (id == NULL || name == NULL || name->type != jbvString || !cdp_rule_whole(id, &rules->rule[i].id) ||
			cdp_rule_object(cdp_rule_get(item[i], "rule")) == NULL)
			bad_rules(i);
		rules->rule[i].name = cdp_rule_string(name);
		rules->rule[i].node = i;	/* where its item is, until it has a node */
	}
	qsort(rules->rule, rules->n, sizeof(PlanRule), compare_rules);
	for (int i = 0; i < rules->n; i++)
		if (cdp_rule_table_add(&rules->names, rules->rule[i].name) != i || (i > 0 && rules->rule[i].id == rules->rule[i - 1].id))
			bad_rules(rules->rule[i].node);
	for (int i = 0; i < rules->n; i++)
	{
		RuleReader	r;

		CHECK_FOR_INTERRUPTS();
		read_rule(&rules->rule[i], catalog, item[rules->rule[i].node], &r);
		link_rule(rules, &rules->rule[i], &r);
	}
}

/* Ends the call for segments that rest on themselves, with the whole circle. */
static void
throw_cycle(const PlanRules *rules, int first, int last)
{
	StringInfoData way;
	int		   *chain = palloc(sizeof(int) * rules->n);
	int			n = 0;

	for (int i = last; i != first; i = rules->rule[i].from)
		chain[n++] = i;
	initStringInfo(&way);
	appendStringInfoString(&way, cdp_rule_quote(rules->rule[first].name));
	while (n-- > 0)
		appendStringInfo(&way, " -> %s", cdp_rule_quote(rules->rule[chain[n]].name));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the segments name each other in a circle: %s -> %s", way.data, cdp_rule_quote(rules->rule[first].name)),
			 errdetail("E_CYCLE in segment %s.", cdp_rule_quote(rules->rule[last].name)),
			 errhint("A segment cannot rest on itself: take one of these references out.")));
}

static int	make_node(PlanMaker *m, PlanRules *rules, const RuleNode *node);

/* The node of all, any and not. */
static int
parts_node(PlanMaker *m, PlanRules *rules, const RuleNode *node)
{
	int		   *child = palloc(sizeof(int) * Max(node->n, 1));
	int			out;

	for (int i = 0; i < node->n; i++)
		child[i] = make_node(m, rules, node->child[i]);
	out = node->kind == RULE_NOT ? cdp_plan_not(m, child[0]) : cdp_plan_list(m, node->kind == RULE_ALL, child, node->n);
	pfree(child);
	return out;
}

/* The node of a segment: that of its rule, or its members where one of both reckons with the unknown. */
static int
segment_node(PlanMaker *m, const PlanRules *rules, const RuleNode *node)
{
	const PlanRule *used = &rules->rule[cdp_rule_table_find(&rules->names, node->name)];

	if (!used->rule->sql_nulls && !m->rule->sql_nulls)
		return used->node;
	return cdp_plan_members(m, used->node, used->rule->sql_nulls);
}

/* The node of a part of a rule; the reader bounds how deep it goes. */
static int
make_node(PlanMaker *m, PlanRules *rules, const RuleNode *node)
{
	int			out;

	CHECK_FOR_INTERRUPTS();
	switch (node->kind)
	{
		case RULE_ALL:
		case RULE_ANY:
		case RULE_NOT:
			out = parts_node(m, rules, node);
			break;
		case RULE_ATTR:
			out = cdp_plan_attribute_node(m, node);
			break;
		case RULE_RANK:
			out = cdp_plan_rank_node(m, node);
			break;
		case RULE_SEGMENT:
			out = segment_node(m, rules, node);
			break;
		case RULE_LIST:
		case RULE_TRAIT:
		case RULE_CONSENT:
		case RULE_HOLDOUT:
			out = cdp_plan_set_node(m, node);
			break;
		default:
			out = cdp_plan_event_node(m, node);
	}
	if (m->paths != NULL)
	{
		appendStringInfoChar(m->paths, m->paths->len == 0 ? '{' : ',');
		escape_json(m->paths, node->path);
		appendStringInfo(m->paths, ":%d", out);
	}
	return out;
}

/* Compiles one rule. */
static void
compile_rule(PlanMaker *m, PlanRules *rules, PlanRule *rule, bool paths)
{
	m->rule = rule->rule;
	m->today = cdp_rule_today(m->as_of, rule->rule->zone);
	m->paths = paths ? makeStringInfo() : NULL;
	rule->node = make_node(m, rules, rule->rule->where);
	if (paths)
	{
		appendStringInfoChar(m->paths, '}');
		rule->paths = m->paths->data;
	}
	rule->done = true;
}

/* Compiles a rule after those it names; walks without recursion, so that a long chain of segments is no danger. */
static void
compile_after_refs(PlanMaker *m, PlanRules *rules, int start, bool paths)
{
	int			at = start;

	rules->rule[start].open = true;
	rules->rule[start].from = -1;
	while (at >= 0)
	{
		PlanRule   *rule = &rules->rule[at];
		int			ref;

		if (rule->next == rule->nrefs)
		{
			compile_rule(m, rules, rule, paths);
			rule->open = false;
			at = rule->from;
			continue;
		}
		ref = rule->ref[rule->next++];
		if (rules->rule[ref].open)
			throw_cycle(rules, ref, at);
		if (rules->rule[ref].done)
			continue;
		rules->rule[ref].open = true;
		rules->rule[ref].from = at;
		at = ref;
	}
}

/* Appends a table of the plan. */
static void
put_table(StringInfo out, const char *key, const RuleTable *t)
{
	appendStringInfo(out, ",\"%s\":[", key);
	for (int i = 0; i < t->n; i++)
		appendStringInfo(out, "%s%s", i == 0 ? "" : ",", t->text[i]);
	appendStringInfoChar(out, ']');
}

/* Order of two texts of numbers: by number. */
static int
compare_numbers(const void *a, const void *b)
{
	int64		x = strtoll(*(char *const *) a, NULL, 10),
				y = strtoll(*(char *const *) b, NULL, 10);

	return x < y ? -1 : x > y;
}

/* Appends what the whole pass needs to know. */
static void
put_head(StringInfo out, PlanMaker *m)
{
	JsonbValue *tz = cdp_rule_get(m->catalog, "timezone");

	appendStringInfo(out, "{\"v\":1,\"as_of\":" INT64_FORMAT, m->as_of);
	if (m->has_boundary)
		appendStringInfo(out, ",\"boundary\":" INT64_FORMAT, m->boundary);
	if (!m->unbounded)
		appendStringInfo(out, ",\"from\":" INT64_FORMAT, m->has_from ? Min(m->from, m->as_of) : m->as_of);
	appendStringInfoString(out, ",\"tz\":");
	escape_json(out, tz != NULL && tz->type == jbvString ? cdp_rule_string(tz) : "UTC");
	appendStringInfo(out, ",\"need_properties\":%s,\"need_value\":%s,\"need_ids\":%s,\"need_origin\":%s",
					 m->need_properties ? "true" : "false", m->need_value ? "true" : "false",
					 m->need_ids ? "true" : "false", m->need_origin ? "true" : "false");
	if (m->kinds.n > 1)
		qsort(m->kinds.text, m->kinds.n, sizeof(char *), compare_numbers);
	put_table(out, "kinds", &m->kinds);
}

/* The plan as JSON text, palloc'd. */
static char *
plan_text(PlanMaker *m, const PlanRules *rules)
{
	StringInfoData out;

	initStringInfo(&out);
	put_head(&out, m);
	put_table(&out, "conditions", &m->conditions);
	put_table(&out, "events", &m->events);
	put_table(&out, "attributes", &m->attributes);
	put_table(&out, "sets", &m->sets);
	put_table(&out, "nodes", &m->nodes);
	appendStringInfoString(&out, ",\"segments\":[");
	for (int i = 0; i < rules->n; i++)
	{
		const PlanRule *rule = &rules->rule[i];

		appendStringInfo(&out, "%s{\"id\":" INT64_FORMAT ",\"node\":%d,\"nulls\":\"%s\"", i == 0 ? "" : ",",
						 rule->id, rule->node, rule->rule->sql_nulls ? "sql" : "set");
		if (rule->paths != NULL)
			appendStringInfo(&out, ",\"paths\":%s", rule->paths);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoString(&out, "]}");
	return out.data;
}

/* The moment that a plan is for must leave room for every window. */
static void
check_as_of(TimestampTz as_of)
{
	if (TIMESTAMP_NOT_FINITE(as_of) || as_of < -1000 * INT64CONST(366) * USECS_PER_DAY || as_of > 7900 * INT64CONST(365) * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("as_of is out of range"),
				 errdetail("Rules are evaluated at moments of the years 1000 to 9890.")));
}

/* The plan of a set of rules, as cdp_internal.rule_plan tells. */
Datum
cdp_rule_plan(PG_FUNCTION_ARGS)
{
	Jsonb	   *catalog = PG_GETARG_JSONB_P(1);
	PlanMaker	m = {0};
	PlanRules	rules;

	m.catalog = &catalog->root;
	m.as_of = PG_GETARG_TIMESTAMPTZ(2);
	check_as_of(m.as_of);
	if (!JB_ROOT_IS_OBJECT(catalog))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the catalogue of rules must be an object"),
				 errhint("Take the catalogue from cdp_internal.segment_catalog().")));
	read_rules(&rules, PG_GETARG_JSONB_P(0), m.catalog);
	for (int i = 0; i < rules.n; i++)
		if (!rules.rule[i].done)
			compile_after_refs(&m, &rules, i, PG_GETARG_BOOL(3));
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(plan_text(&m, &rules))));
}

/*
 * nodes.c
 *		Reads nodes and segments of a plan, trusting none of it.
 */
#include "segment/combine/combine.h"

#include "segment/pass/compare.h"
#include "segment/rule/rule.h"

#define MAX_NODES 1000000

static const char *const kind_name[CDP_NODE_KINDS] = {
	"event", "attribute", "set", "all", "any", "not", "members", "nobody", "everybody"
};

/* How many entries a list of the plan has; an absent list has none. */
static int
list_length_of(const JsonbContainer *root, const char *key)
{
	int			n;

	cdp_plan_array(root, key, "plan", -1, &n);
	return n;
}

/* Reads a number that must lie below a limit. */
static int
read_below(const JsonbValue *v, int limit, const char *where, int index, const char *what)
{
	int64		value;

	if (!cdp_rule_whole(v, &value) || value < 0 || value >= limit)
		cdp_plan_bad(where, index, psprintf("\"%s\" is not one of %d before it", what, limit));
	return (int) value;
}

/* Reads the logic of a segment or of members. */
static bool
read_nulls(const JsonbContainer *object, const char *where, int index)
{
	char	   *word = cdp_plan_text(object, "nulls", where, index);

	if (word == NULL || (strcmp(word, "set") != 0 && strcmp(word, "sql") != 0))
		cdp_plan_bad(where, index, "\"nulls\" is neither set nor sql");
	return strcmp(word, "sql") == 0;
}

/* Takes children of a node: each is a node before it. */
static void
read_children(CdpNodePlan *plan, CdpNode *node, int index, const JsonbValue *v)
{
	const JsonbContainer *list = cdp_rule_array(v);

	if ((list != NULL) != (node->kind == CDP_NODE_ALL || node->kind == CDP_NODE_ANY))
		cdp_plan_bad("nodes", index, "it has no list of nodes where one is needed, or the other way round");
	node->n = list != NULL ? JsonContainerSize(list) : 1;
	node->child = palloc(sizeof(int) * Max(node->n, 1));
	for (int i = 0; i < node->n; i++)
	{
		node->child[i] = read_below(list != NULL ? cdp_rule_item(list, i) : v, index, "nodes", index, kind_name[node->kind]);
		plan->node[node->child[i]].uses++;
	}
}

/* Reads one node. */
static void
read_node(CdpNodePlan *plan, const JsonbContainer *object, int index)
{
	CdpNode    *node = &plan->node[index];
	JsonbValue	v;

	while (node->kind < CDP_NODE_KINDS && !cdp_plan_get(object, kind_name[node->kind], &v))
		node->kind++;
	switch (node->kind)
	{
		case CDP_NODE_EVENT:
			node->atom = read_below(&v, plan->nevents, "nodes", index, "event");
			break;
		case CDP_NODE_ATTRIBUTE:
			node->atom = read_below(&v, plan->nattributes, "nodes", index, "attribute");
			break;
		case CDP_NODE_SET:
			node->atom = read_below(&v, plan->nsets, "nodes", index, "set");
			break;
		case CDP_NODE_MEMBERS:
			node->sql_nulls = read_nulls(object, "nodes", index);
			read_children(plan, node, index, &v);
			break;
		case CDP_NODE_ALL:
		case CDP_NODE_ANY:
		case CDP_NODE_NOT:
			read_children(plan, node, index, &v);
			break;
		case CDP_NODE_NOBODY:
		case CDP_NODE_EVERYBODY:
			break;
		default:
			cdp_plan_bad("nodes", index, "it is none of the known ones");
	}
}

/* Reads one segment. */
static void
read_segment(CdpNodePlan *plan, const JsonbContainer *object, int index)
{
	CdpNodeSegment *segment = &plan->segment[index];
	JsonbValue	node;
	int64		id;

	if (!cdp_plan_int(object, "id", "segments", index, &id) || id < PG_INT32_MIN || id > PG_INT32_MAX)
		cdp_plan_bad("segments", index, "\"id\" is no integer");
	if (!cdp_plan_get(object, "node", &node))
		cdp_plan_bad("segments", index, "\"node\" is missing");
	segment->id = (int32) id;
	segment->node = read_below(&node, plan->nnodes, "segments", index, "node");
	segment->sql_nulls = read_nulls(object, "segments", index);
	plan->node[segment->node].uses++;
}

/* Reads nodes and segments of a plan into the current context. */
CdpNodePlan *
cdp_nodes_read(Jsonb *json)
{
	CdpNodePlan *plan = palloc0(sizeof(CdpNodePlan));
	const JsonbContainer *nodes;
	const JsonbContainer *segments;

	if (!JB_ROOT_IS_OBJECT(json))
		cdp_plan_bad("plan", -1, "it is no object");
	plan->nevents = list_length_of(&json->root, "events");
	plan->nattributes = list_length_of(&json->root, "attributes");
	plan->nsets = list_length_of(&json->root, "sets");
	nodes = cdp_plan_array(&json->root, "nodes", "plan", -1, &plan->nnodes);
	segments = cdp_plan_array(&json->root, "segments", "plan", -1, &plan->nsegments);
	if (plan->nnodes > MAX_NODES || plan->nsegments > MAX_NODES)
		cdp_plan_bad("plan", -1, "it has too many nodes or segments");
	plan->node = palloc0(sizeof(CdpNode) * Max(plan->nnodes, 1));
	plan->segment = palloc0(sizeof(CdpNodeSegment) * Max(plan->nsegments, 1));
	for (int i = 0; i < plan->nnodes; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_node(plan, cdp_plan_element(nodes, i, "nodes", i), i);
	}
	for (int i = 0; i < plan->nsegments; i++)
		read_segment(plan, cdp_plan_element(segments, i, "segments", i), i);
	return plan;
}

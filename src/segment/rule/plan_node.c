/*
 * plan_node.c
 *		Nodes of a plan: every identical one once, children before parents.
 */
#include "segment/rule/plan.h"

/* The number of a node by its text. */
static int
add_node(PlanMaker *m, PlanNodeKind kind, int child, const char *text)
{
	int			known = m->nodes.n;
	int			i = cdp_rule_table_add(&m->nodes, text);

	if (m->nodes.n == known)
		return i;
	if (i >= m->node_room)
	{
		m->node_room = m->node_room == 0 ? 64 : m->node_room * 2;
		m->node = m->node == NULL ? palloc(sizeof(PlanNode) * m->node_room) : repalloc(m->node, sizeof(PlanNode) * m->node_room);
	}
	m->node[i] = (PlanNode) {kind, child};
	return i;
}

/* The node of an atom: "event", "attribute" or "set", and its number there. */
int
cdp_plan_leaf(PlanMaker *m, const char *kind, int i)
{
	return add_node(m, PLAN_LEAF, -1, psprintf("{\"%s\":%d}", kind, i));
}

/* The node of all customers. */
int
cdp_plan_everybody(PlanMaker *m)
{
	return add_node(m, PLAN_EVERYBODY, -1, "{\"everybody\":true}");
}

/* The node of no customer. */
int
cdp_plan_nobody(PlanMaker *m)
{
	return add_node(m, PLAN_NOBODY, -1, "{\"nobody\":true}");
}

/* The complement of a node; twice not is none. */
int
cdp_plan_not(PlanMaker *m, int i)
{
	switch (m->node[i].kind)
	{
		case PLAN_EVERYBODY:
			return cdp_plan_nobody(m);
		case PLAN_NOBODY:
			return cdp_plan_everybody(m);
		case PLAN_NOT:
			return m->node[i].child;
		default:
			return add_node(m, PLAN_NOT, i, psprintf("{\"not\":%d}", i));
	}
}

/* Order of two node numbers. */
static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* All or any of some nodes: sorted, each once, everybody and nobody taken out.  The array is used up. */
int
cdp_plan_list(PlanMaker *m, bool all, int *child, int n)
{
	StringInfoData out;
	int			k = 0;

	if (n > 1)
		qsort(child, n, sizeof(int), compare_ints);
	for (int i = 0; i < n; i++)
	{
		PlanNodeKind kind = m->node[child[i]].kind;

		if (kind == (all ? PLAN_NOBODY : PLAN_EVERYBODY))
			return child[i];
		if (kind != PLAN_EVERYBODY && kind != PLAN_NOBODY && (k == 0 || child[k - 1] != child[i]))
			child[k++] = child[i];
	}
	if (k == 0)
		return all ? cdp_plan_everybody(m) : cdp_plan_nobody(m);
	if (k == 1)
		return child[0];
	initStringInfo(&out);
	for (int i = 0; i < k; i++)
		appendStringInfo(&out, "%s%d", i == 0 ? (all ? "{\"all\":[" : "{\"any\":[") : ",", child[i]);
	appendStringInfoString(&out, "]}");
	return add_node(m, PLAN_LIST, -1, out.data);
}

/* Both of two nodes. */
int
cdp_plan_both(PlanMaker *m, int a, int b)
{
	int			child[2] = {a, b};

	return cdp_plan_list(m, true, child, 2);
}

/* The members of a node under a logic, as a set of two values. */
int
cdp_plan_members(PlanMaker *m, int node, bool sql_nulls)
{
	if (m->node[node].kind == PLAN_EVERYBODY || m->node[node].kind == PLAN_NOBODY)
		return node;
	return add_node(m, PLAN_LEAF, -1, psprintf("{\"members\":%d,\"nulls\":\"%s\"}", node, sql_nulls ? "sql" : "set"));
}

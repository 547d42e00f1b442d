/*
 * new_cycles.c
 *		The cycles that one new edge closes, looked up around it: a relation is
 *		asked for the ways out of few nodes only, each by an index if there is one.
 *
 * The edge goes from x to y. Asked for are the ways out of y, of those behind
 * it, and which of all these lead to x; these edges make a small graph, which is
 * searched as a whole one would be.
 */
#include "referral/graph/graph_calls.h"

#include "catalog/pg_type.h"
#include "nodes/params.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

/* Edges that a relation was asked for. */
typedef struct Around
{
	CdpNodeKind kind;
	Oid			type;
	int			degree_cap;
	SPIPlanPtr	ways_out;		/* $1 node, $2 how many */
	SPIPlanPtr	ways_back;		/* $1 node, $2 nodes that may lead to it */
	CdpGraphRows all;
	CdpGraphRows fresh;			/* of the question at hand */
} Around;

/* Keeps an edge. */
static void
take_both(void *arg, const CdpLinkEnd *end)
{
	Around	   *around = arg;

	cdp_graph_take(&around->all, end);
	cdp_graph_take(&around->fresh, end);
}

/* Asks one of the two questions. */
static void
ask(Around *around, SPIPlanPtr plan, Datum node, Datum second, Oid second_type)
{
	ParamListInfo params = makeParamList(2);

	for (int i = 0; i < 2; i++)
	{
		params->params[i].value = i == 0 ? node : second;
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = i == 0 ? around->type : second_type;
	}
	cdp_links_of_plan(plan, params, &around->kind, take_both, around);
}

/* Asks for the ways out of a node: one more than the cap tells a hub. */
static void
ask_ways_out(Around *around, Datum node)
{
	ask(around, around->ways_out, node, Int64GetDatum((int64) around->degree_cap + 1), INT8OID);
}

/* The nodes at one end of the edges that came since the last call, in order. */
static Datum *
fresh_nodes(Around *around, int side, int *n)
{
	struct varlena *value = cdp_graph_finish(&around->fresh);
	CdpGraph	g;
	Datum	   *node;

	cdp_graph_open(&g, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), false);
	*n = (int) g.side[side].n;
	node = palloc(sizeof(Datum) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		node[i] = cdp_graph_node(&g.side[side], i);
	return node;
}

/* Prepares a question about the edges of a relation. */
static SPIPlanPtr
prepare(const char *question, const char *edges, Oid first, Oid second)
{
	Oid			types[2] = {first, second};
	SPIPlanPtr	plan = SPI_prepare(psprintf(question, edges), 2, types);

	if (plan == NULL)
		elog(ERROR, "preparing a question about edges failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* Asks for all edges that a cycle through the edge may have. */
static void
explore(Around *around, Datum from, Datum to, int longest)
{
	int16		len;
	bool		byval;
	char		align;
	Datum	   *seen;			/* the end of the edge, those behind it, those behind them */
	int			nseen = 1;
	Datum	   *closing;
	int			nclosing;

	get_typlenbyvalalign(around->type, &len, &byval, &align);
	ask_ways_out(around, from);
	(void) fresh_nodes(around, 1, &nclosing);
	ask_ways_out(around, to);
	seen = palloc(sizeof(Datum));
	seen[0] = to;
	for (int step = 3; step <= longest; step++)
	{
		int			nfresh;
		Datum	   *fresh = fresh_nodes(around, 1, &nfresh);

		seen = repalloc(seen, sizeof(Datum) * (nseen + nfresh));
		memcpy(seen + nseen, fresh, sizeof(Datum) * nfresh);
		nseen += nfresh;
		for (int i = 0; i < nfresh && (step == 3 ? nfresh <= around->degree_cap : step < longest); i++)
		{
			CHECK_FOR_INTERRUPTS();
			ask_ways_out(around, fresh[i]);
		}
	}
	(void) fresh_nodes(around, 1, &nclosing);
	ask(around, around->ways_back, from, PointerGetDatum(construct_array(seen, nseen, around->type, len, byval, align)), get_array_type(around->type));
	closing = fresh_nodes(around, 0, &nclosing);
	for (int i = 0; i < nclosing; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ask_ways_out(around, closing[i]);
	}
}

/* The edges of a relation that a cycle through one edge may have, as a graph in the current context. */
static struct varlena *
graph_around(FunctionCallInfo fcinfo, CdpNodeKind kind, Oid type, int longest, int degree_cap)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext old;
	Around		around = {.kind = kind, .type = type, .degree_cap = degree_cap, .all.cxt = cxt, .fresh.cxt = cxt};
	char	   *edges = cdp_links_query(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(5)), NameStr(*PG_GETARG_NAME(6)), &kind);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	around.ways_out = prepare("SELECT DISTINCT a, b FROM (%s) AS e (a, b) WHERE a = $1 AND b <> a LIMIT $2", edges, type, INT8OID);
	around.ways_back = prepare("SELECT DISTINCT a, b FROM (%s) AS e (a, b) WHERE b = $1 AND a = ANY ($2)", edges, type, get_array_type(type));
	old = MemoryContextSwitchTo(cxt);
	explore(&around, PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), longest);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return cdp_graph_finish(&around.all);
}

/* The number of a node in a united graph, or -1. */
static int64
number_of_node(const GraphCall *call, Datum node)
{
	const CdpGraph *g = &call->graph;

	for (uint32 i = 0; i < call->one.n; i++)
	{
		const CdpGraphSide *side = &g->side[call->one.node[i] >> 31];
		uint32		at = call->one.node[i] & PG_INT32_MAX;
		bool		same;

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (side->kind == CDP_NODE_BIGINT)
			same = side->number[at] == DatumGetInt64(node);
		else if (side->kind == CDP_NODE_UUID)
			same = memcmp(side->bytes[at], DatumGetUUIDP(node)->data, UUID_LEN) == 0;
		else
			same = side->len[at] == VARSIZE_ANY_EXHDR(DatumGetPointer(node)) && memcmp(side->bytes[at], VARDATA_ANY(DatumGetPointer(node)), side->len[at]) == 0;
		if (same)
			return i;
	}
	return -1;
}

CDP_FUNCTION(cdp_fraud_new_cycles);

/* Cycles through one edge of a relation or a graph. */
Datum
cdp_fraud_new_cycles(PG_FUNCTION_ARGS)
{
	GraphCall	call;
	int			longest = cdp_graph_bounded(fcinfo, 3, "longest", 2, 4);
	int			degree_cap = cdp_graph_bounded(fcinfo, 4, "degree_cap", 1, 100000);
	CdpNodeKind kind;
	int64		from;
	int64		to;

	cdp_graph_begin(fcinfo, &call, 1);
	for (int i = 0; i < PG_NARGS(); i++)
		if (PG_ARGISNULL(i))
			return (Datum) 0;
	(void) cdp_node_kind_of(call.type, &kind);
	if (kind == CDP_NODE_TEXT)
		for (int i = 1; i <= 2; i++)
			fcinfo->args[i].value = PointerGetDatum(PG_GETARG_TEXT_PP(i));
	if (get_fn_expr_argtype(fcinfo->flinfo, 0) == REGCLASSOID)
		cdp_graph_use(&call, graph_around(fcinfo, kind, call.type, longest, degree_cap), true, true);
	else
		cdp_graph_use(&call, PG_GETARG_VARLENA_PP(0), true, true);
	from = number_of_node(&call, PG_GETARG_DATUM(1));
	to = number_of_node(&call, PG_GETARG_DATUM(2));
	if (from >= 0 && to >= 0)
		cdp_graph_tell_hubs(cdp_cycles_of_edge(&call.one.edges, (uint32) from, (uint32) to, longest, (uint32) degree_cap, cdp_graph_put_cycle, &call), degree_cap);
	return (Datum) 0;
}

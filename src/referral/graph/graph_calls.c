/*
 * graph_calls.c
 *		Graphs of accounts in SQL: the aggregate, the type, and the functions that
 *		return rows of what the engines find.
 *
 * Each function takes a graph, or reads one from a relation or an open cursor:
 * the type of its first argument tells.
 */
#include "referral/graph/graph_calls.h"

#include "base/wire.h"
#include "catalog/pg_type.h"
#include "identity/unionfind.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

CDP_FUNCTION(cdp_graph_add);

/* One row of cdp.fraud_graph(any, any). */
Datum
cdp_graph_add(PG_FUNCTION_ARGS)
{
	MemoryContext aggregate;
	CdpGraphRows *rows;
	CdpLinkEnd	end[2];

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "a graph of accounts is made outside an aggregate");
	rows = PG_ARGISNULL(0) ? MemoryContextAllocZero(aggregate, sizeof(CdpGraphRows)) : (CdpGraphRows *) PG_GETARG_POINTER(0);
	rows->cxt = aggregate;
	for (int i = 0; i < 2; i++)
	{
		Oid			type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, i + 1));

		if (!cdp_node_kind_of(type, &end[i].kind))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("values of type %s cannot be nodes", format_type_be(type)),
					 errdetail("Nodes are of type bigint, uuid or text."),
					 errhint("Cast the value to text.")));
		end[i].null = PG_ARGISNULL(i + 1);
		if (end[i].null)
			continue;
		if (type == INT8OID || type == INT4OID || type == INT2OID)
			end[i].number = type == INT8OID ? PG_GETARG_INT64(i + 1) : type == INT4OID ? PG_GETARG_INT32(i + 1) : PG_GETARG_INT16(i + 1);
		else if (end[i].kind == CDP_NODE_UUID)
		{
			end[i].bytes = (const char *) PG_GETARG_UUID_P(i + 1)->data;
			end[i].len = UUID_LEN;
		}
		else
		{
			struct varlena *text = PG_GETARG_VARLENA_PP(i + 1);

			end[i].bytes = VARDATA_ANY(text);
			end[i].len = VARSIZE_ANY_EXHDR(text);
		}
	}
	cdp_graph_take(rows, end);
	PG_RETURN_POINTER(rows);
}

CDP_FUNCTION(cdp_graph_final);

/* Final function of cdp.fraud_graph; uses the state up. */
Datum
cdp_graph_final(PG_FUNCTION_ARGS)
{
	CdpGraphRows none = {0};

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "a graph of accounts is made outside an aggregate");
	PG_RETURN_POINTER(cdp_graph_finish(PG_ARGISNULL(0) ? &none : (CdpGraphRows *) PG_GETARG_POINTER(0)));
}

/* A value of bytes that nobody vouches for. */
static struct varlena *
checked_graph(const char *data, Size len)
{
	MemoryContext own = AllocSetContextCreate(CurrentMemoryContext, "cdp graph", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(own);
	struct varlena *value;
	CdpGraph	g;

	cdp_graph_open(&g, data, len, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(own);
	value = palloc(VARHDRSZ + len);
	SET_VARSIZE(value, VARHDRSZ + len);
	memcpy(VARDATA(value), data, len);
	return value;
}

CDP_FUNCTION(cdp_graph_in);

/* Text to value: \x and hexadecimal digits; palloc'd. */
Datum
cdp_graph_in(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = cdp_wire_unhex(PG_GETARG_CSTRING(0), "cdp.fraud_graph", "cdp.fraud_graph(...)");

	PG_RETURN_POINTER(checked_graph(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

CDP_FUNCTION(cdp_graph_out);

/* Value to text; palloc'd. */
Datum
cdp_graph_out(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);
	Size		len = VARSIZE_ANY_EXHDR(value);

	if (len * 2 + 3 > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a graph of accounts is too long for its text form"),
				 errdetail("It has %zu bytes; text shows at most %zu.", len, (Size) (MaxAllocSize - 3) / 2),
				 errhint("Use the binary form, or keep the edges instead.")));
	PG_RETURN_CSTRING(cdp_wire_hex(VARDATA_ANY(value), len));
}

CDP_FUNCTION(cdp_graph_recv);

/* Binary to value: the same bytes; palloc'd. */
Datum
cdp_graph_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;

	PG_RETURN_POINTER(checked_graph(pq_getmsgbytes(buf, len), len));
}

CDP_FUNCTION(cdp_graph_send);

/* Value to binary; palloc'd. */
Datum
cdp_graph_send(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);

	PG_RETURN_BYTEA_P(cdp_wire_binary(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

/* Tells that an argument is NULL that may not be. */
static void
refuse_null(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (!PG_ARGISNULL(arg))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be NULL", name),
			 errhint("Leave the argument out for its default.")));
}

/* A whole number that an argument gives; refused outside its bounds. */
int
cdp_graph_bounded(FunctionCallInfo fcinfo, int arg, const char *name, int low, int high)
{
	int			n;

	refuse_null(fcinfo, arg, name);
	n = PG_GETARG_INT32(arg);
	if (n < low || n > high)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s is out of range", name),
				 errdetail("It is %d.", n),
				 errhint("Give a whole number from %d to %d.", low, high)));
	return n;
}

/* Reads the graph of a relation or cursor; columns are the last two arguments. The value lives in the current context. */
static struct varlena *
graph_value(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	CdpGraphRows rows = {.cxt = CurrentMemoryContext};

	if (type == REGCLASSOID)
	{
		int			a = PG_NARGS() - 2;

		refuse_null(fcinfo, a, "the name of a column");
		refuse_null(fcinfo, a + 1, "the name of a column");
		cdp_links_of_relation(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(a)), NameStr(*PG_GETARG_NAME(a + 1)), NULL, cdp_graph_take, &rows);
		return cdp_graph_finish(&rows);
	}
	if (type == REFCURSOROID)
	{
		cdp_links_of_cursor(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL, cdp_graph_take, &rows);
		return cdp_graph_finish(&rows);
	}
	return PG_GETARG_VARLENA_PP(0);
}

CDP_FUNCTION(cdp_graph_of);

/* The graph of a relation or cursor; palloc'd. */
Datum
cdp_graph_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(graph_value(fcinfo));
}

/* Refuses nodes of another type than the rows have. */
static void
check_side(const GraphCall *call, const CdpGraphSide *side)
{
	static const Oid types[] = {INT8OID, UUIDOID, TEXTOID};
	static const char *const words[] = {"bigint", "uuid", "text"};

	if (side->n == 0 || types[side->kind] == call->type)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the nodes of this graph are not of type %s", format_type_be(call->type)),
			 errdetail("They are of type %s.", words[side->kind]),
			 errhint("Call the function that ends in %s.", side->kind == CDP_NODE_UUID ? "_uuid" : side->kind == CDP_NODE_TEXT ? "_text" :
					 "neither _uuid nor _text")));
}

/* Begins a call: the row store of the executor, and the type of nodes, which the given column has. */
void
cdp_graph_begin(FunctionCallInfo fcinfo, GraphCall *call, int column)
{
	Oid			element;

	memset(call, 0, sizeof(GraphCall));
	InitMaterializedSRF(fcinfo, 0);
	call->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	call->type = TupleDescAttr(call->rsinfo->setDesc, column)->atttypid;
	element = get_element_type(call->type);
	if (OidIsValid(element))
		call->type = element;
	call->row = AllocSetContextCreate(CurrentMemoryContext, "cdp graph row", ALLOCSET_DEFAULT_SIZES);
}

/* Opens a value, which must stay where it is; both ends as one sort of nodes when asked for. */
void
cdp_graph_use(GraphCall *call, const struct varlena *value, bool united, bool directed)
{
	cdp_graph_open(&call->graph, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), false);
	check_side(call, &call->graph.side[0]);
	if (united)
	{
		check_side(call, &call->graph.side[1]);
		cdp_graph_unite(&call->one, &call->graph, directed);
	}
}

/* Begins a call with the graph that its first argument gives; false when that is NULL. */
static bool
begin_call(FunctionCallInfo fcinfo, GraphCall *call, int column, bool united, bool directed)
{
	cdp_graph_begin(fcinfo, call, column);
	if (PG_ARGISNULL(0))
		return false;
	cdp_graph_use(call, graph_value(fcinfo), united, directed);
	return true;
}

/* Puts one row into the store; what the row context holds is given back. */
static void
put_row(GraphCall *call, Datum *values, bool *nulls)
{
	tuplestore_putvalues(call->rsinfo->setResult, call->rsinfo->setDesc, values, nulls);
	MemoryContextReset(call->row);
	CHECK_FOR_INTERRUPTS();
}

/* A node of a united graph, in the row context. */
static Datum
one_node(const GraphCall *call, uint32 i)
{
	uint32		at = call->one.node[i];
	MemoryContext old = MemoryContextSwitchTo(call->row);
	Datum		node = cdp_graph_node(&call->graph.side[at >> 31], at & PG_INT32_MAX);

	MemoryContextSwitchTo(old);
	return node;
}

CDP_FUNCTION(cdp_fraud_core);

/* Core number and degree of each node. */
Datum
cdp_fraud_core(PG_FUNCTION_ARGS)
{
	GraphCall	call;
	uint32	   *core;

	if (!begin_call(fcinfo, &call, 0, true, false))
		return (Datum) 0;
	core = palloc_extended(sizeof(uint32) * Max((Size) call.one.n, 1), MCXT_ALLOC_HUGE);
	cdp_core_numbers(&call.one.edges, core);
	for (uint32 i = 0; i < call.one.n; i++)
	{
		Datum		values[3] = {one_node(&call, i), Int32GetDatum(core[i]), Int32GetDatum(call.one.edges.first[i + 1] - call.one.edges.first[i])};
		bool		nulls[3] = {false};

		put_row(&call, values, nulls);
	}
	return (Datum) 0;
}

CDP_FUNCTION(cdp_fraud_components);

/* Component of each account, linked through what few accounts share. */
Datum
cdp_fraud_components(PG_FUNCTION_ARGS)
{
	GraphCall	call;
	int32	   *parent;
	uint32	   *lowest;
	const CdpGraphSide *side;
	int			hub_cap = cdp_graph_bounded(fcinfo, 1, "hub_cap", 1, PG_INT32_MAX);

	if (!begin_call(fcinfo, &call, 0, false, false))
		return (Datum) 0;
	side = &call.graph.side[0];
	cdp_graph_reserve(call.graph.bytes + (uint64) side->n * 8 + (uint64) call.graph.side[1].n * 8, "Components of accounts");
	parent = palloc_extended(sizeof(int32) * Max((Size) side->n, 1), MCXT_ALLOC_HUGE);
	lowest = palloc_extended(sizeof(uint32) * Max((Size) side->n, 1), MCXT_ALLOC_HUGE);
	cdp_hub_components(&call.graph.edges, call.graph.side[1].n, (uint32) hub_cap, parent);
	for (uint32 i = side->n; i > 0; i--)
		lowest[cdp_set_root(parent, (int32) i - 1)] = i - 1;
	for (uint32 i = 0; i < side->n; i++)
	{
		int32		root = cdp_set_root(parent, (int32) i);
		MemoryContext old = MemoryContextSwitchTo(call.row);
		Datum		values[3] = {cdp_graph_node(side, i), cdp_graph_node(side, lowest[root]), Int32GetDatum(cdp_set_size(parent, root))};
		bool		nulls[3] = {false};

		MemoryContextSwitchTo(old);
		put_row(&call, values, nulls);
	}
	return (Datum) 0;
}

/* Puts a cycle into the store; see CdpTakeCycle. */
void
cdp_graph_put_cycle(void *arg, const uint32 *node, int length)
{
	GraphCall  *call = arg;
	Datum		nodes[4];
	Datum		values[2];
	bool		nulls[2] = {false};
	MemoryContext old;
	int16		len;
	bool		byval;
	char		align;

	for (int i = 0; i < length; i++)
		nodes[i] = one_node(call, node[i]);
	get_typlenbyvalalign(call->type, &len, &byval, &align);
	old = MemoryContextSwitchTo(call->row);
	values[0] = Int32GetDatum(length);
	values[1] = PointerGetDatum(construct_array(nodes, length, call->type, len, byval, align));
	MemoryContextSwitchTo(old);
	put_row(call, values, nulls);
}

/* Says that nodes were left out. */
void
cdp_graph_tell_hubs(uint32 hubs, int degree_cap)
{
	if (hubs > 0)
		ereport(NOTICE,
				(errmsg_plural("%u node was left out of the search for cycles", "%u nodes were left out of the search for cycles", hubs, hubs),
				 errdetail("They have edges to more than %d others.", degree_cap),
				 errhint("Raise degree_cap to search through them too.")));
}

CDP_FUNCTION(cdp_fraud_cycles);

/* All directed cycles of two to four nodes. */
Datum
cdp_fraud_cycles(PG_FUNCTION_ARGS)
{
	GraphCall	call;
	int			longest = cdp_graph_bounded(fcinfo, 1, "longest", 2, 4);
	int			degree_cap = cdp_graph_bounded(fcinfo, 2, "degree_cap", 1, 100000);

	if (!begin_call(fcinfo, &call, 1, true, true))
		return (Datum) 0;
	cdp_graph_tell_hubs(cdp_cycles(&call.one.edges, longest, (uint32) degree_cap, cdp_graph_put_cycle, &call), degree_cap);
	return (Datum) 0;
}

/* Puts a node of a block into the store, an account or an attribute. */
static void
put_member(GraphCall *call, int number, const CdpBlock *block, bool account, uint32 i)
{
	const CdpGraphSide *side = &call->graph.side[account ? 0 : 1];
	Datum		values[6] = {Int32GetDatum(number)};
	bool		nulls[6] = {false, !account, account, false, false, false};
	MemoryContext old = MemoryContextSwitchTo(call->row);
	Datum		node = cdp_graph_node(side, i);

	if (account)
		values[1] = node;
	else if (side->kind == CDP_NODE_TEXT)
		values[2] = node;
	else if (side->kind == CDP_NODE_UUID)
		values[2] = CStringGetTextDatum(DatumGetCString(DirectFunctionCall1(uuid_out, node)));
	else
		values[2] = CStringGetTextDatum(psprintf(INT64_FORMAT, DatumGetInt64(node)));
	MemoryContextSwitchTo(old);
	values[3] = Int32GetDatum(block->accounts);
	values[4] = Int32GetDatum(block->attributes);
	values[5] = Float8GetDatum(block->density);
	put_row(call, values, nulls);
}

CDP_FUNCTION(cdp_fraud_dense_blocks);

/* Dense blocks of accounts and attributes, by peeling. */
Datum
cdp_fraud_dense_blocks(PG_FUNCTION_ARGS)
{
	GraphCall	call;
	CdpPeel    *peel;
	CdpBlock	block;
	int			k = cdp_graph_bounded(fcinfo, 1, "k", 1, 1000);
	char	   *weight;
	uint32		na;
	uint32		nb;

	refuse_null(fcinfo, 2, "weight");
	weight = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (strcmp(weight, "log") != 0 && strcmp(weight, "none") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no weight \"%s\"", weight),
				 errhint("Give log (an attribute of d accounts weighs 1 / ln(d + 5)) or none (every edge weighs 1).")));
	if (!begin_call(fcinfo, &call, 1, false, false))
		return (Datum) 0;
	na = call.graph.side[0].n;
	nb = call.graph.side[1].n;
	cdp_graph_reserve(call.graph.bytes + cdp_peel_bytes(na, nb, call.graph.edges.first[na]), "Edges and the heap");
	peel = cdp_peel_create(&call.graph.edges, nb, weight[0] == 'l');
	for (int number = 1; number <= k && cdp_peel_next(peel, &block); number++)
	{
		for (uint32 i = 0; i < na; i++)
			if (cdp_peel_has(peel, i))
				put_member(&call, number, &block, true, i);
		for (uint32 i = 0; i < nb; i++)
			if (cdp_peel_has(peel, na + i))
				put_member(&call, number, &block, false, i);
	}
	return (Datum) 0;
}

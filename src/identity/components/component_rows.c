/*
 * component_rows.c
 *		Opens values of type cdp.component_set: rows of (node, component), sizes
 *		of components, and the summary.
 *
 * Rows stream one by one when the function stands in the select list. In FROM
 * the executor wants to keep them all; then they go into its store directly.
 */
#include "identity/components/components.h"

#include "access/htup_details.h"
#include "utils/hsearch.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

/* A set that is being handed out. */
typedef struct Rows
{
	CdpSetReader reader;
	TupleDesc	tupdesc;
	Datum		component;		/* of the component at hand; its bytes live in cxt */
	MemoryContext cxt;
} Rows;

/* A node as a value of its SQL type; bytes are copied into the current context. */
static Datum
node_datum(CdpNodeKind kind, const CdpSetNode *node)
{
	if (kind == CDP_NODE_BIGINT)
		return Int64GetDatum(node->number);
	if (kind == CDP_NODE_TEXT)
		return PointerGetDatum(cstring_to_text_with_len(node->bytes, node->len));
	return UUIDPGetDatum((pg_uuid_t *) memcpy(palloc(UUID_LEN), node->bytes, UUID_LEN));
}

/* Fills one row; false when there are no more. The id lives in the current context. */
static inline bool
next_row(Rows *rows, Datum *values)
{
	CdpSetReader *r = &rows->reader;
	CdpSetNode	node;

	if (r->nodes_left > 0)
	{
		cdp_set_node(r, &node);
		values[0] = node_datum(r->kind, &node);
		values[1] = rows->component;
		return true;
	}
	if (!cdp_set_component(r))
		return false;
	cdp_set_node(r, &node);
	values[0] = node_datum(r->kind, &node);
	if (r->kind == CDP_NODE_BIGINT)
		rows->component = values[0];
	else
	{
		MemoryContext old;

		MemoryContextReset(rows->cxt);
		old = MemoryContextSwitchTo(rows->cxt);
		rows->component = node_datum(r->kind, &node);
		MemoryContextSwitchTo(old);
	}
	values[1] = rows->component;
	return true;
}

/* Puts all rows into the store of the executor. */
static void
store_rows(ReturnSetInfo *rsinfo, Rows *rows)
{
	bool		nulls[2] = {false, false};
	Datum		values[2];
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "cdp component row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row);
	uint64		n = 0;

	while (next_row(rows, values))
	{
		if ((++n & 0x3FF) == 0)
			CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		if (rows->reader.kind != CDP_NODE_BIGINT)
			MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
}

/* Refuses a set whose nodes have another type than the function returns. */
static void
check_kind(const CdpSetReader *r, CdpNodeKind kind)
{
	if (r->kind == kind)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the nodes of this component set are not of type %s", cdp_node_kind_name(kind)),
			 errdetail("They are of type %s.", cdp_node_kind_name(r->kind)),
			 errhint("Open it with cdp.component_rows%s(set).",
					 r->kind == CDP_NODE_BIGINT ? "" : r->kind == CDP_NODE_UUID ? "_uuid" : "_text")));
}

/* Opens the set that make() gives for handing out; all of it lives in the current context. */
static Rows *
open_rows(FunctionCallInfo fcinfo, CdpNodeKind kind, CdpSetMaker make)
{
	Rows	   *rows = palloc0(sizeof(Rows));

	cdp_set_open(&rows->reader, make(fcinfo, kind));
	check_kind(&rows->reader, kind);
	rows->cxt = AllocSetContextCreate(CurrentMemoryContext, "cdp component", ALLOCSET_SMALL_SIZES);
	return rows;
}

/* Serves one call of a function that returns the rows of a set. */
Datum
cdp_component_stream(FunctionCallInfo fcinfo, CdpNodeKind kind, CdpSetMaker make)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FuncCallContext *funcctx;
	Rows	   *rows;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		if (rsinfo != NULL && IsA(rsinfo, ReturnSetInfo) && (rsinfo->allowedModes & SFRM_Materialize_Preferred))
		{
			InitMaterializedSRF(fcinfo, 0);
			store_rows(rsinfo, open_rows(fcinfo, kind, make));
			return (Datum) 0;
		}
		funcctx = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
		rows = open_rows(fcinfo, kind, make);
		if (get_call_result_type(fcinfo, NULL, &rows->tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "component rows are called where no rows can be");
		rows->tupdesc = BlessTupleDesc(rows->tupdesc);
		funcctx->user_fctx = rows;
		MemoryContextSwitchTo(old);
	}
	funcctx = SRF_PERCALL_SETUP();
	rows = funcctx->user_fctx;
	if (!next_row(rows, values))
		SRF_RETURN_DONE(funcctx);
	SRF_RETURN_NEXT(funcctx, HeapTupleGetDatum(heap_form_tuple(rows->tupdesc, values, nulls)));
}

/* The set that is the first argument. */
static struct varlena *
given_set(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	return PG_GETARG_VARLENA_PP(0);
}

CDP_FUNCTION(cdp_component_rows_bigint);

/* Rows of a set of bigint nodes. */
Datum
cdp_component_rows_bigint(PG_FUNCTION_ARGS)
{
	return cdp_component_stream(fcinfo, CDP_NODE_BIGINT, given_set);
}

CDP_FUNCTION(cdp_component_rows_uuid);

/* Rows of a set of uuid nodes. */
Datum
cdp_component_rows_uuid(PG_FUNCTION_ARGS)
{
	return cdp_component_stream(fcinfo, CDP_NODE_UUID, given_set);
}

CDP_FUNCTION(cdp_component_rows_text);

/* Rows of a set of text nodes. */
Datum
cdp_component_rows_text(PG_FUNCTION_ARGS)
{
	return cdp_component_stream(fcinfo, CDP_NODE_TEXT, given_set);
}

/* Reads a component to its end; tells how many nodes it has. */
static uint64
skip_component(CdpSetReader *r)
{
	uint64		n = r->nodes_left;
	CdpSetNode	node;

	CHECK_FOR_INTERRUPTS();
	if (r->kind == CDP_NODE_TEXT)
		while (r->nodes_left > 0)
			cdp_set_node(r, &node);
	r->buf.cursor += (int) (r->nodes_left * r->width);
	r->nodes_left = 0;
	return n;
}

CDP_FUNCTION(cdp_component_summary);

/* Counts of a set, as one row. */
Datum
cdp_component_summary(PG_FUNCTION_ARGS)
{
	struct varlena *set = PG_GETARG_VARLENA_PP(0);
	CdpSetReader r;
	TupleDesc	tupdesc;
	Datum		values[6];
	bool		nulls[6] = {false};
	uint64		largest = 0;
	uint64		single = 0;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "component summary is called where no row can be");
	cdp_set_open(&r, set);
	while (cdp_set_component(&r))
	{
		uint64		n = skip_component(&r);

		largest = Max(largest, n);
		single += n == 1;
	}
	values[0] = CStringGetTextDatum(cdp_node_kind_name(r.kind));
	values[1] = Int64GetDatum(r.nnodes);
	values[2] = Int64GetDatum(r.nlinks);
	values[3] = Int64GetDatum(r.ncomponents);
	values[4] = Int64GetDatum(largest);
	values[5] = Int64GetDatum(single);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* How many components have so many nodes. */
typedef struct SizeCount
{
	uint64		nodes;
	uint64		components;
} SizeCount;

/* Orders two sizes. */
static int
compare_sizes(const void *a, const void *b)
{
	uint64		x = ((const SizeCount *) a)->nodes;
	uint64		y = ((const SizeCount *) b)->nodes;

	return (x > y) - (x < y);
}

CDP_FUNCTION(cdp_component_sizes);

/* Sizes of components and how often each comes. */
Datum
cdp_component_sizes(PG_FUNCTION_ARGS)
{
	struct varlena *set = PG_GETARG_VARLENA_PP(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	HASHCTL		ctl = {.keysize = sizeof(uint64), .entrysize = sizeof(SizeCount), .hcxt = CurrentMemoryContext};
	HTAB	   *table = hash_create("cdp component sizes", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	HASH_SEQ_STATUS seq;
	SizeCount  *entry;
	SizeCount  *all;
	CdpSetReader r;
	long		n = 0;

	InitMaterializedSRF(fcinfo, 0);
	cdp_set_open(&r, set);
	while (cdp_set_component(&r))
	{
		uint64		nodes = skip_component(&r);
		bool		found;

		entry = hash_search(table, &nodes, HASH_ENTER, &found);
		entry->components = found ? entry->components + 1 : 1;
	}
	all = palloc(sizeof(SizeCount) * Max(hash_get_num_entries(table), 1));
	hash_seq_init(&seq, table);
	while ((entry = hash_seq_search(&seq)) != NULL)
		all[n++] = *entry;
	qsort(all, n, sizeof(SizeCount), compare_sizes);
	for (long i = 0; i < n; i++)
	{
		Datum		values[2] = {Int64GetDatum(all[i].nodes), Int64GetDatum(all[i].components)};
		bool		nulls[2] = {false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

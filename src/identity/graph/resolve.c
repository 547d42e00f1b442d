/*
 * resolve.c
 *		The aggregate cdp_internal.resolve(): collects identifiers, links and
 *		rules, runs the constrained union-find, and answers with arrays.
 *
 * Every row says what it is: n or q an identifier (q: quarantined), h a link
 * that is in force already, m, d, p a link to decide on, c a cannot link.
 * Memory: 32 bytes an identifier and 48 a link while rows come in, half as
 * much again in the worst moment of growing; at the end another 36 bytes an
 * identifier, and 16 and 24 for the answer. Cannot links take 32 more, and
 * 24 an identifier when there are any.
 */
#include "cdp.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "utils/float.h"

#include "identity/graph/resolve.h"

#define START_ROWS 256
#define MAX_NODES (PG_INT32_MAX / 2)
#define MAX_ANSWER ((int64) ((MaxAllocSize - ARR_OVERHEAD_NONULLS(1)) / sizeof(int64)))

CDP_FUNCTION(cdp_resolve_add);
CDP_FUNCTION(cdp_resolve_final);

/* Starts the state of an aggregate in its context. */
static CdpResolve *
begin_resolve(FunctionCallInfo fcinfo)
{
	MemoryContext cxt;
	MemoryContext old;
	CdpResolve *r;

	if (!AggCheckCallContext(fcinfo, &cxt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("called outside an aggregate")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rules must not be NULL")));
	old = MemoryContextSwitchTo(cxt);
	r = palloc0(sizeof(CdpResolve));
	r->cxt = cxt;
	r->nodes_allocated = START_ROWS;
	r->node = palloc(START_ROWS * sizeof(CdpIdentifier));
	r->links_allocated = START_ROWS;
	r->link = palloc(START_ROWS * sizeof(CdpLink));
	cdp_resolve_rules(&r->rules, PG_GETARG_ARRAYTYPE_P(1));
	MemoryContextSwitchTo(old);
	return r;
}

/* Raises the error of a row that lacks a value. */
static void
bad_row(char what, const char *lacks)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("a row of kind \"%c\" lacks %s", what, lacks)));
}

/* Adds an identifier from a row (what, id, place, start, type, -, at). */
static void
add_node(CdpResolve *r, FunctionCallInfo fcinfo, char what)
{
	CdpIdentifier *n;
	int64		place;

	if (PG_ARGISNULL(3) || PG_ARGISNULL(4) || PG_ARGISNULL(6))
		bad_row(what, "its id, its place or its type");
	place = PG_GETARG_INT64(4);
	if (r->nnodes >= MAX_NODES || place < PG_INT32_MIN || place > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many identifiers"),
				 errdetail("One pass takes %d of them, with places of 32 bits.", MAX_NODES)));
	if (r->nnodes == r->nodes_allocated)
	{
		r->nodes_allocated *= 2;
		r->node = repalloc_huge(r->node, mul_size(r->nodes_allocated, sizeof(CdpIdentifier)));
	}
	n = &r->node[r->nnodes++];
	n->id = PG_GETARG_INT64(3);
	n->place = (int32) place;
	n->start = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	r->has_start |= n->start != 0;
	n->type = (int16) cdp_resolve_type(&r->rules, PG_GETARG_INT16(6));
	n->at = PG_ARGISNULL(8) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(8);
	n->quarantined = (what == 'q');
	n->attached = false;
}

/* Adds a link from a row (what, a, b, link_id, -, weight, at). */
static void
add_link(CdpResolve *r, FunctionCallInfo fcinfo, char what, CdpLinkKind kind)
{
	CdpLink    *l;

	if (PG_ARGISNULL(3) || PG_ARGISNULL(4) || PG_ARGISNULL(5))
		bad_row(what, "an end or its number");
	if (PG_GETARG_INT64(3) == PG_GETARG_INT64(4))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("link %lld leads from an identifier to itself", (long long) PG_GETARG_INT64(5))));
	if (!PG_ARGISNULL(7) && isnan(PG_GETARG_FLOAT8(7)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the weight of link %lld is not a number", (long long) PG_GETARG_INT64(5))));
	if (r->nlinks == r->links_allocated)
	{
		r->links_allocated *= 2;
		r->link = repalloc_huge(r->link, mul_size(r->links_allocated, sizeof(CdpLink)));
	}
	l = &r->link[r->nlinks++];
	l->a = PG_GETARG_INT64(3);
	l->b = PG_GETARG_INT64(4);
	l->id = PG_GETARG_INT64(5);
	l->weight = PG_ARGISNULL(7) ? -get_float8_infinity() : PG_GETARG_FLOAT8(7);
	l->at = PG_ARGISNULL(8) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(8);
	l->verdict = 0;
	l->kind = kind;
}

/* Transition of resolve(rules, what, id, other, ref, type, weight, at); the state lives in the aggregate's context. */
Datum
cdp_resolve_add(PG_FUNCTION_ARGS)
{
	CdpResolve *r = PG_ARGISNULL(0) ? begin_resolve(fcinfo) : (CdpResolve *) PG_GETARG_POINTER(0);
	char		what = PG_ARGISNULL(2) ? '\0' : PG_GETARG_CHAR(2);

	switch (what)
	{
		case 'n':
		case 'q':
			add_node(r, fcinfo, what);
			break;
		case 'h':
			add_link(r, fcinfo, what, CDP_LINK_HELD);
			break;
		case 'm':
			add_link(r, fcinfo, what, CDP_LINK_MANUAL);
			break;
		case 'd':
			add_link(r, fcinfo, what, CDP_LINK_DETERMINISTIC);
			break;
		case 'p':
			add_link(r, fcinfo, what, CDP_LINK_PROBABILISTIC);
			break;
		case 'c':
			add_link(r, fcinfo, what, CDP_LINK_CANNOT);
			r->ncannots++;
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown kind of row"),
					 errdetail("Kinds are n, q, h, m, d, p and c.")));
	}
	PG_RETURN_POINTER(r);
}

/* Makes an array of n numbers, all zero; the caller owns it. */
static ArrayType *
make_numbers(int64 n)
{
	ArrayType  *array;
	Size		size;

	if (n > MAX_ANSWER)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows for one answer"),
				 errdetail("There are %lld; an array holds %lld.", (long long) n, (long long) MAX_ANSWER)));
	if (n == 0)
		return construct_empty_array(INT8OID);
	size = ARR_OVERHEAD_NONULLS(1) + (Size) n * sizeof(int64);
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = INT8OID;
	ARR_DIMS(array)[0] = (int) n;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

/* Fills ids and the label of each part: the lowest id in it. */
static void
answer_parts(CdpResolve *r, Datum *values)
{
	ArrayType  *ids = make_numbers(r->nnodes);
	ArrayType  *parts = make_numbers(r->nnodes);
	int64	   *id = (int64 *) ARR_DATA_PTR(ids);
	int64	   *part = (int64 *) ARR_DATA_PTR(parts);

	/* start is not needed any more: it holds the lowest id of a root's set. */
	for (int32 i = 0; i < r->nnodes; i++)
		r->node[i].start = PG_INT64_MAX;
	for (int32 i = 0; i < r->nnodes; i++)
	{
		CdpIdentifier *root = &r->node[cdp_set_root(r->parent, i)];

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		root->start = Min(root->start, r->node[i].id);
	}
	for (int32 i = 0; i < r->nnodes; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		id[i] = r->node[i].id;
		part[i] = r->node[cdp_set_root(r->parent, i)].start;
	}
	values[0] = PointerGetDatum(ids);
	values[1] = PointerGetDatum(parts);
}

/* Fills the verdicts of the links that were to decide on. */
static void
answer_links(CdpResolve *r, Datum *values)
{
	int64		n = 0;
	ArrayType  *array[3];
	int64	   *out[3];

	for (int64 i = 0; i < r->nlinks; i++)
		n += (r->link[i].kind != CDP_LINK_HELD && r->link[i].kind != CDP_LINK_CANNOT);
	for (int k = 0; k < 3; k++)
	{
		array[k] = make_numbers(n);
		out[k] = (int64 *) ARR_DATA_PTR(array[k]);
		values[2 + k] = PointerGetDatum(array[k]);
	}
	n = 0;
	for (int64 i = 0; i < r->nlinks; i++)
	{
		CdpLink    *l = &r->link[i];

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (l->kind == CDP_LINK_HELD || l->kind == CDP_LINK_CANNOT)
			continue;
		out[0][n] = l->id;
		out[1][n] = l->verdict;
		/* The run leaves the cannot link that stopped it in at. */
		out[2][n] = l->verdict == CDP_VERDICT_CANNOT ? l->at : 0;
		n++;
	}
}

/* Final of resolve(): (ids, parts, link_ids, verdicts, blockers); NULL without rows. */
Datum
cdp_resolve_final(PG_FUNCTION_ARGS)
{
	CdpResolve *r;
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {false, false, false, false, false};
	MemoryContext old;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	r = (CdpResolve *) PG_GETARG_POINTER(0);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cdp_internal.resolution is not as this library expects it"),
				 errhint("ALTER EXTENSION pg_cdp UPDATE, then connect anew.")));
	BlessTupleDesc(desc);
	old = MemoryContextSwitchTo(r->cxt);
	cdp_resolve_run(r);
	MemoryContextSwitchTo(old);
	answer_parts(r, values);
	answer_links(r, values);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

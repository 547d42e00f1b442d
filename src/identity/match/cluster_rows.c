/*
 * cluster_rows.c
 *		Clusters of records given by their ids: from arrays of pairs to one row a
 *		record.
 */
#include "identity/match/cluster.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/float.h"

/* A record: its source and id as they came, and its number. */
typedef struct Member
{
	const char *source;
	const char *id;
	int			source_len;
	int			id_len;
	uint32		hash;
	uint32		source_number;
} Member;

typedef struct Graph
{
	Member	   *node;
	uint32		nnodes;
	uint32		room;
	uint32	   *slot;			/* node + 1; 0 is free */
	uint32		nslots;
	CdpEdge    *edge;
	uint64		nedges;
	uint32		nsources;
} Graph;

CDP_FUNCTION(cdp_match_clusters);

/* Orders two texts by their bytes. */
static int
compare_bytes(const char *a, int alen, const char *b, int blen)
{
	int			c = memcmp(a, b, Min(alen, blen));

	return c != 0 ? c : (alen > blen) - (alen < blen);
}

/* Orders nodes by source and id. */
static int
compare_nodes(const void *a, const void *b, void *arg)
{
	const Member *node = arg;
	const Member *x = &node[*(const uint32 *) a];
	const Member *y = &node[*(const uint32 *) b];
	int			c = compare_bytes(x->source, x->source_len, y->source, y->source_len);

	return c != 0 ? c : compare_bytes(x->id, x->id_len, y->id, y->id_len);
}

/* Makes the table of nodes twice as large. */
static void
grow(Graph *g)
{
	g->nslots = g->nslots == 0 ? 4096 : g->nslots * 2;
	if (g->slot)
		pfree(g->slot);
	g->slot = palloc_extended(g->nslots * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g->room = g->nslots / 2;
	g->node = g->node ? repalloc_huge(g->node, g->room * sizeof(Member)) :
		palloc_extended(g->room * sizeof(Member), MCXT_ALLOC_HUGE);
	for (uint32 n = 0; n < g->nnodes; n++)
	{
		uint32		i = g->node[n].hash & (g->nslots - 1);

		while (g->slot[i] != 0)
			i = (i + 1) & (g->nslots - 1);
		g->slot[i] = n + 1;
	}
}

/* Number of a record; the texts stay the arrays'. */
static uint32
intern(Graph *g, Datum source, bool no_source, Datum id)
{
	text	   *i = DatumGetTextPP(id);
	text	   *s = no_source ? NULL : DatumGetTextPP(source);
	Member		n = {s ? VARDATA_ANY(s) : "", VARDATA_ANY(i), s ? VARSIZE_ANY_EXHDR(s) : 0, VARSIZE_ANY_EXHDR(i)};
	uint32		at;

	n.hash = hash_combine(hash_bytes((const unsigned char *) n.source, n.source_len),
						  hash_bytes((const unsigned char *) n.id, n.id_len));
	if (g->nnodes == g->room)
		grow(g);
	for (at = n.hash & (g->nslots - 1); g->slot[at] != 0; at = (at + 1) & (g->nslots - 1))
	{
		Member	   *m = &g->node[g->slot[at] - 1];

		if (m->hash == n.hash && compare_bytes(m->id, m->id_len, n.id, n.id_len) == 0 &&
			compare_bytes(m->source, m->source_len, n.source, n.source_len) == 0)
			return g->slot[at] - 1;
	}
	g->node[g->nnodes] = n;
	g->slot[at] = g->nnodes + 1;
	return g->nnodes++;
}

/* Numbers the nodes in the order of source and id, and sorts the edges; doubles keep the heaviest weight, or the ban. */
static void
make_canonical(Graph *g)
{
	uint32	   *order = palloc_extended(Max(g->nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	uint32	   *rank = palloc_extended(Max(g->nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	Member	   *sorted = palloc_extended(Max(g->nnodes, 1) * sizeof(Member), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < g->nnodes; i++)
		order[i] = i;
	qsort_arg(order, g->nnodes, sizeof(uint32), compare_nodes, g->node);
	for (uint32 i = 0; i < g->nnodes; i++)
	{
		rank[order[i]] = i;
		sorted[i] = g->node[order[i]];
		if (i == 0 || compare_bytes(sorted[i - 1].source, sorted[i - 1].source_len, sorted[i].source, sorted[i].source_len) != 0)
			g->nsources++;
		sorted[i].source_number = g->nsources - 1;
	}
	g->node = sorted;
	for (uint64 i = 0; i < g->nedges; i++)
	{
		g->edge[i].a = rank[g->edge[i].a];
		g->edge[i].b = rank[g->edge[i].b];
	}
	g->nedges = cdp_cluster_sort(g->edge, g->nedges);
}

/* Reads one array of the call; NULL gives no elements. */
static int
read_array(FunctionCallInfo fcinfo, int arg, Oid type, Datum **value, bool **isnull)
{
	int			n = 0;

	*value = NULL;
	*isnull = NULL;
	if (!PG_ARGISNULL(arg))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), type, type == TEXTOID ? -1 : 8, type != TEXTOID,
						  type == TEXTOID ? TYPALIGN_INT : TYPALIGN_DOUBLE, value, isnull, &n);
	return n;
}

/* Reads the pairs: arguments 0 to 4 are source and id of l and of r, and the weight. */
static void
read_pairs(FunctionCallInfo fcinfo, Graph *g)
{
	Datum	   *value[5];
	bool	   *isnull[5];
	int			n[5];

	for (int i = 0; i < 5; i++)
		n[i] = read_array(fcinfo, i, i < 4 ? TEXTOID : FLOAT8OID, &value[i], &isnull[i]);
	if (n[1] != n[3] || n[1] != n[4] || (n[0] != 0 && n[0] != n[1]) || (n[2] != 0 && n[2] != n[1]))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arrays of pairs have different lengths"),
				 errdetail("Sources %d and %d, ids %d and %d, weights %d.", n[0], n[2], n[1], n[3], n[4])));
	grow(g);
	g->edge = palloc_extended(Max(n[1], 1) * sizeof(CdpEdge), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n[1]; i++)
	{
		CdpEdge    *e = &g->edge[i];

		CHECK_FOR_INTERRUPTS();
		if (isnull[1][i] || isnull[3][i] || isnull[4][i] || isnan(DatumGetFloat8(value[4][i])))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("an id or weight of a pair is NULL or not a number"),
					 errdetail("It is pair %d.", i + 1)));
		e->a = intern(g, n[0] ? value[0][i] : (Datum) 0, n[0] == 0 || isnull[0][i], value[1][i]);
		e->b = intern(g, n[2] ? value[2][i] : (Datum) 0, n[2] == 0 || isnull[2][i], value[3][i]);
		e->weight = DatumGetFloat8(value[4][i]);
	}
	g->nedges = n[1];
	make_canonical(g);
}

/* Reads the options of a call: method, threshold, absent weight, one a source, from the given argument on. */
CdpClusterOptions
cdp_cluster_options(FunctionCallInfo fcinfo, int first)
{
	static const char *const methods[] = {"average", "one_to_one", "connected"};
	CdpClusterOptions o = {0};
	char	   *method;
	int			i;

	for (i = first; i < first + 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("an option of clustering is NULL")));
	method = text_to_cstring(PG_GETARG_TEXT_PP(first));
	o.threshold = PG_GETARG_FLOAT8(first + 1);
	o.absent = PG_GETARG_FLOAT8(first + 2);
	o.one_per_source = PG_GETARG_BOOL(first + 3);
	o.memory = maintenance_work_mem * (Size) 1024;
	for (i = 0; i < lengthof(methods) && strcmp(method, methods[i]) != 0; i++)
		continue;
	if (i == lengthof(methods))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown method of clustering \"%s\"", pnstrdup(method, pg_mbcliplen(method, strlen(method), 40))),
				 errhint("Use average, one_to_one or connected.")));
	o.method = (CdpClusterMethod) i;
	if (!isfinite(o.threshold) || !isfinite(o.absent) || (o.method == CDP_CLUSTER_AVERAGE && o.absent > o.threshold))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the weight of an absent pair must not be above the threshold"),
				 errdetail("Threshold %g, absent pair %g.", o.threshold, o.absent)));
	return o;
}

/* match_clusters(source_l, id_l, source_r, id_r, weight, method, threshold, absent, one_per_source): each record with its cluster. */
Datum
cdp_match_clusters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Graph		g = {0};
	CdpClusterOptions options;
	uint32	   *source,
			   *cluster,
			   *size;

	InitMaterializedSRF(fcinfo, 0);
	options = cdp_cluster_options(fcinfo, 5);
	read_pairs(fcinfo, &g);
	source = palloc_extended(Max(g.nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < g.nnodes; i++)
		source[i] = g.node[i].source_number;
	/* Without sources every record is of the same one, which forbids nothing. */
	if (PG_ARGISNULL(0) && PG_ARGISNULL(2))
		options.one_per_source = false;
	cluster = cdp_cluster(g.edge, g.nedges, g.nnodes, PG_ARGISNULL(0) && PG_ARGISNULL(2) ? NULL : source, g.nsources, &options);
	size = palloc_extended(Max(g.nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < g.nnodes; i++)
		size[cluster[i]]++;
	for (uint32 i = 0; i < g.nnodes; i++)
	{
		const Member *n = &g.node[i];
		const Member *first = &g.node[cluster[i]];
		Datum		values[5] = {PointerGetDatum(cstring_to_text_with_len(n->source, n->source_len)),
			PointerGetDatum(cstring_to_text_with_len(n->id, n->id_len)),
			PointerGetDatum(cstring_to_text_with_len(first->source, first->source_len)),
			PointerGetDatum(cstring_to_text_with_len(first->id, first->id_len)),
		Int32GetDatum(size[cluster[i]])};
		bool		nulls[5] = {n->source_len == 0, false, first->source_len == 0, false, false};

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		for (int k = 0; k < 4; k++)
			pfree(DatumGetPointer(values[k]));
	}
	return (Datum) 0;
}

/*
 * resolve_bridges.c
 *		The aggregate cdp_internal.bridges(): links without which a customer
 *		falls into two, by Tarjan's depth-first numbering.
 *
 * Two links between the same ends (of two kinds) hold each other, so neither
 * is a bridge. The walk keeps its stack in arrays; depth costs no C stack.
 * Memory: 24 bytes a link while rows come in; at the end another 32 a link
 * while identifiers are numbered, then 8 a link and 24 an identifier, and 24
 * for each bridge.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"

#include "identity/graph/resolve.h"

#define START_ROWS 256
#define MAX_LINKS (PG_INT32_MAX / 4)
#define COLUMNS 3
#define MAX_BRIDGES ((int64) ((MaxAllocSize - ARR_OVERHEAD_NONULLS(2)) / (COLUMNS * sizeof(int64))))

/* A link; its ends are ids first, then numbers of nodes. */
typedef struct Edge
{
	int64		id;
	int64		a;
	int64		b;
} Edge;

/* A node of the walk. */
typedef struct Step
{
	int32		found;			/* when it was met, 0: not yet */
	int32		low;			/* the earliest that its subtree leads back to */
	int32		from;			/* link by which it was met, -1: a start */
	int32		next;			/* the next of its links to follow */
	int32		first;			/* where its links start */
	int32		size;			/* nodes of its subtree */
} Step;

typedef struct Bridges
{
	MemoryContext cxt;
	int32		least;			/* smaller sides than this are not told */
	int64		nlinks;
	int64		allocated;
	Edge	   *link;
	int32		nnodes;
	Step	   *step;			/* one more than nodes, so that the last one's links end */
	int32	   *at;				/* links of each node, one node after the other */
	int64	   *out;
	int64		nout;
	int64		out_allocated;
} Bridges;

CDP_FUNCTION(cdp_bridges_add);
CDP_FUNCTION(cdp_bridges_final);

/* Transition of bridges(least, link_id, a, b); the state lives in the aggregate's context. */
Datum
cdp_bridges_add(PG_FUNCTION_ARGS)
{
	Bridges    *s = PG_ARGISNULL(0) ? NULL : (Bridges *) PG_GETARG_POINTER(0);
	Edge	   *e;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the least size, a link and its ends must not be NULL")));
	if (s == NULL)
	{
		MemoryContext cxt;

		if (!AggCheckCallContext(fcinfo, &cxt))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("called outside an aggregate")));
		s = MemoryContextAllocZero(cxt, sizeof(Bridges));
		s->cxt = cxt;
		s->least = PG_GETARG_INT32(1);
		s->allocated = START_ROWS;
		s->link = MemoryContextAlloc(cxt, START_ROWS * sizeof(Edge));
	}
	if (s->nlinks >= MAX_LINKS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many links"),
				 errdetail("One pass takes %d of them.", MAX_LINKS)));
	if (s->nlinks == s->allocated)
	{
		s->allocated *= 2;
		s->link = repalloc_huge(s->link, mul_size(s->allocated, sizeof(Edge)));
	}
	e = &s->link[s->nlinks++];
	e->id = PG_GETARG_INT64(2);
	e->a = PG_GETARG_INT64(3);
	e->b = PG_GETARG_INT64(4);
	PG_RETURN_POINTER(s);
}

/* The number of the node with this id, given on first sight; slots hold numbers, ids their ids. */
static int32
number_of(int32 *slot, uint32 nslots, int64 *ids, int32 *nnodes, int64 id)
{
	uint32		i = (uint32) (((uint64) (uint32) (cdp_mix((uint64) id) >> 32) * nslots) >> 32);

	while (slot[i] >= 0)
	{
		if (ids[slot[i]] == id)
			return slot[i];
		i = (i + 1 == nslots) ? 0 : i + 1;
	}
	slot[i] = *nnodes;
	ids[*nnodes] = id;
	return (*nnodes)++;
}

/* Turns ends into numbers of nodes. */
static void
number_nodes(Bridges *s)
{
	uint32		nslots = (uint32) s->nlinks * 4 + 1;
	int32	   *slot = MemoryContextAllocHuge(s->cxt, mul_size(nslots, sizeof(int32)));
	int64	   *ids = MemoryContextAllocHuge(s->cxt, mul_size(2 * s->nlinks, sizeof(int64)));

	memset(slot, 0xFF, (Size) nslots * sizeof(int32));
	for (int64 i = 0; i < s->nlinks; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		s->link[i].a = number_of(slot, nslots, ids, &s->nnodes, s->link[i].a);
		s->link[i].b = number_of(slot, nslots, ids, &s->nnodes, s->link[i].b);
	}
	pfree(slot);
	pfree(ids);
}

/* Lays out the links of each node. */
static void
lay_out(Bridges *s)
{
	int32		sum = 0;

	s->step = MemoryContextAllocHuge(s->cxt, mul_size(s->nnodes + 1, sizeof(Step)));
	memset(s->step, 0, (Size) (s->nnodes + 1) * sizeof(Step));
	s->at = MemoryContextAllocHuge(s->cxt, mul_size(2 * s->nlinks, sizeof(int32)));
	for (int64 i = 0; i < s->nlinks; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		s->step[s->link[i].a].size++;
		s->step[s->link[i].b].size++;
	}
	for (int32 n = 0; n <= s->nnodes; n++)
	{
		s->step[n].first = sum;
		s->step[n].next = sum;
		sum += s->step[n].size;
	}
	for (int64 i = 0; i < s->nlinks; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		s->at[s->step[s->link[i].a].next++] = (int32) i;
		s->at[s->step[s->link[i].b].next++] = (int32) i;
	}
}

/* The other end of a link. */
static inline int32
other_end(const Bridges *s, int32 link, int32 node)
{
	const Edge *e = &s->link[link];

	return (int32) (e->a == node ? e->b : e->a);
}

/* Notes a bridge with the nodes on its far side; the whole is known later. */
static void
note_bridge(Bridges *s, int32 link, int32 size)
{
	int64	   *row;

	if (s->nout == s->out_allocated)
	{
		s->out_allocated = Max(START_ROWS, s->out_allocated * 2);
		if (s->out == NULL)
			s->out = MemoryContextAllocHuge(s->cxt, mul_size(s->out_allocated, COLUMNS * sizeof(int64)));
		else
			s->out = repalloc_huge(s->out, mul_size(s->out_allocated, COLUMNS * sizeof(int64)));
	}
	row = &s->out[COLUMNS * s->nout++];
	row[0] = s->link[link].id;
	row[1] = size;
}

/* Meets a node for the first time. */
static inline void
meet(Bridges *s, int32 node, int32 from, int32 *now)
{
	Step	   *p = &s->step[node];

	p->found = p->low = ++*now;
	p->from = from;
	p->next = p->first;
	p->size = 1;
}

/* Walks the component of a node and keeps its bridges with the sizes of their smaller side and of the whole. */
static void
walk(Bridges *s, int32 start, int32 *now)
{
	int64		mark = s->nout;
	int64		kept = mark;
	int32		node = start;
	int64		whole;

	meet(s, start, -1, now);
	for (;;)
	{
		Step	   *p = &s->step[node];

		CHECK_FOR_INTERRUPTS();
		if (p->next < s->step[node + 1].first)
		{
			int32		link = s->at[p->next++];
			int32		other = other_end(s, link, node);

			if (link == p->from)
				continue;
			if (s->step[other].found == 0)
			{
				meet(s, other, link, now);
				node = other;
			}
			else
				p->low = Min(p->low, s->step[other].found);
		}
		else if (p->from < 0)
			break;
		else
		{
			int32		above = other_end(s, p->from, node);
			Step	   *q = &s->step[above];

			q->low = Min(q->low, p->low);
			q->size += p->size;
			if (p->low > q->found)
				note_bridge(s, p->from, p->size);
			node = above;
		}
	}
	whole = s->step[start].size;
	for (int64 i = mark; i < s->nout; i++)
	{
		int64	   *row = &s->out[COLUMNS * i];
		int64		small = Min(row[1], whole - row[1]);

		if (small < s->least)
			continue;
		s->out[COLUMNS * kept] = row[0];
		s->out[COLUMNS * kept + 1] = small;
		s->out[COLUMNS * kept + 2] = whole;
		kept++;
	}
	s->nout = kept;
}

/* Final of bridges(): rows (link, nodes of the smaller side, nodes of the whole); NULL when there is none. */
Datum
cdp_bridges_final(PG_FUNCTION_ARGS)
{
	Bridges    *s = PG_ARGISNULL(0) ? NULL : (Bridges *) PG_GETARG_POINTER(0);
	int32		now = 0;
	ArrayType  *array;
	Size		size;

	if (s == NULL)
		PG_RETURN_NULL();
	number_nodes(s);
	lay_out(s);
	for (int32 n = 0; n < s->nnodes; n++)
		if (s->step[n].found == 0)
			walk(s, n, &now);
	if (s->nout == 0)
		PG_RETURN_NULL();
	if (s->nout > MAX_BRIDGES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many bridges for one answer"),
				 errdetail("There are %lld; an array holds %lld.", (long long) s->nout, (long long) MAX_BRIDGES),
				 errhint("Ask for larger sides only.")));
	size = ARR_OVERHEAD_NONULLS(2) + (Size) s->nout * COLUMNS * sizeof(int64);
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 2;
	array->elemtype = INT8OID;
	ARR_DIMS(array)[0] = (int) s->nout;
	ARR_DIMS(array)[1] = COLUMNS;
	ARR_LBOUND(array)[0] = 1;
	ARR_LBOUND(array)[1] = 1;
	memcpy(ARR_DATA_PTR(array), s->out, (Size) s->nout * COLUMNS * sizeof(int64));
	PG_RETURN_ARRAYTYPE_P(array);
}

/*
 * cluster.c
 *		The clustering itself.
 *
 * Average linkage joins, again and again, the two clusters with the highest
 * average weight over all their pairs, a pair without an edge counting as the
 * absent weight.  One strong false pair between two families so does not join
 * them: the other pairs speak against it.  Of equal averages the link whose
 * first edge comes first is taken, so that the order of input does not matter.
 *
 * A heap holds links by an average that may be out of date.  As the absent
 * weight is not above the threshold, a link above it that was not touched can
 * only have become weaker, so a link that is still as strong as the heap says is
 * the strongest of all.  Memory: about 120 bytes an edge within a component.
 */
#include "identity/match/cluster.h"

#include <math.h>

#include "common/hashfn.h"

#define NO_LINK PG_UINT32_MAX

/* All edges between two clusters. */
typedef struct Link
{
	uint32		end[2];			/* clusters */
	uint32		next[2];		/* next link of that cluster */
	uint32		first_edge;		/* lowest of its edges: decides ties */
	uint32		edges;
	double		sum;
	bool		forbidden;
	bool		dead;
} Link;

typedef struct HeapItem
{
	double		average;
	uint32		first_edge;
	uint32		link;
} HeapItem;

typedef struct Linkage
{
	const CdpClusterOptions *options;
	const uint32 *source;
	uint32	   *parent;
	uint32	   *size;
	uint32	   *first_link;		/* of each cluster */
	uint32	   *next_member;	/* members of a cluster in a circle */
	uint32	   *stamp;			/* of each source: the check that met it last */
	uint32		check;
	Link	   *link;
	uint32		nlinks;
	uint32	   *slot;			/* link by its two ends; NO_LINK is free */
	uint32		nslots;
	uint32		used;			/* slots that are not free, dead ones among them */
	HeapItem   *heap;
	uint64		nheap;
	uint64		heap_room;
} Linkage;

/* Root of a node, its path made shorter. */
static uint32
find_root(uint32 *parent, uint32 i)
{
	while (parent[i] != i)
	{
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

/* Joins two nodes; the lower root stays, so that the result has one form. */
static void
join(uint32 *parent, uint32 a, uint32 b)
{
	a = find_root(parent, a);
	b = find_root(parent, b);
	parent[Max(a, b)] = Min(a, b);
}

/* ---- links */

/* Where a link of two clusters is or would be. */
static uint32
find_slot(const Linkage *g, uint32 a, uint32 b)
{
	uint32		lo = Min(a, b);
	uint32		hi = Max(a, b);
	uint32		i = hash_combine(murmurhash32(lo), murmurhash32(hi)) & (g->nslots - 1);

	for (; g->slot[i] != NO_LINK; i = (i + 1) & (g->nslots - 1))
	{
		const Link *k = &g->link[g->slot[i]];

		/* A dead link keeps its slot, so that searches go on over it. */
		if (!k->dead && Min(k->end[0], k->end[1]) == lo && Max(k->end[0], k->end[1]) == hi)
			break;
	}
	return i;
}

/* The average weight between the ends of a link; minus infinity when they must not be joined. */
static double
average(const Linkage *g, const Link *k)
{
	double		pairs = (double) g->size[k->end[0]] * g->size[k->end[1]];

	if (k->forbidden)
		return -INFINITY;
	return (k->sum + g->options->absent * (pairs - k->edges)) / pairs;
}

/* True when x is to be taken before y. */
static inline bool
before(const HeapItem *x, const HeapItem *y)
{
	return x->average != y->average ? x->average > y->average : x->first_edge < y->first_edge;
}

/* Puts a link into the heap when it is strong enough. */
static void
push(Linkage *g, uint32 link)
{
	HeapItem	item = {average(g, &g->link[link]), g->link[link].first_edge, link};
	uint64		i;

	if (!(item.average > g->options->threshold))
		return;
	if (g->nheap == g->heap_room)
	{
		/* Full of states that are over: once for each living link fits in half of it. */
		g->nheap = 0;
		for (uint32 l = 0; l < g->nlinks; l++)
			if (!g->link[l].dead)
				push(g, l);
		return;
	}
	i = g->nheap++;
	for (; i > 0 && before(&item, &g->heap[(i - 1) / 2]); i = (i - 1) / 2)
		g->heap[i] = g->heap[(i - 1) / 2];
	g->heap[i] = item;
}

/* Takes the first item off the heap. */
static HeapItem
pop(Linkage *g)
{
	HeapItem	top = g->heap[0];
	HeapItem	last = g->heap[--g->nheap];
	uint64		i = 0;

	for (;;)
	{
		uint64		child = 2 * i + 1;

		if (child >= g->nheap)
			break;
		if (child + 1 < g->nheap && before(&g->heap[child + 1], &g->heap[child]))
			child++;
		if (!before(&g->heap[child], &last))
			break;
		g->heap[i] = g->heap[child];
		i = child;
	}
	if (g->nheap > 0)
		g->heap[i] = last;
	return top;
}

/* True when two clusters hold nodes of one source. */
static bool
share_source(Linkage *g, uint32 a, uint32 b)
{
	uint32		i = a;

	g->check++;
	do
	{
		g->stamp[g->source[i]] = g->check;
		i = g->next_member[i];
	} while (i != a);
	i = b;
	do
	{
		if (g->stamp[g->source[i]] == g->check)
			return true;
		i = g->next_member[i];
	} while (i != b);
	return false;
}

/* Puts a link where find_slot() looks for it. */
static void
put_slot(Linkage *g, uint32 link)
{
	uint32		slot;

	if (g->used * (uint64) 2 >= g->nslots)
	{
		/* Moved links leave their old slots behind; living ones fill a quarter at most. */
		memset(g->slot, 0xFF, g->nslots * sizeof(uint32));
		g->used = 0;
		for (uint32 l = 0; l < g->nlinks; l++)
			if (!g->link[l].dead && l != link)
				put_slot(g, l);
	}
	slot = find_slot(g, g->link[link].end[0], g->link[link].end[1]);
	g->used += g->slot[slot] == NO_LINK;
	g->slot[slot] = link;
}

/* Makes the links of single nodes out of the edges; g->nslots is a power of two. */
static void
make_links(Linkage *g, const CdpEdge *edge, uint64 nedges)
{
	memset(g->slot, 0xFF, g->nslots * sizeof(uint32));
	for (uint64 i = 0; i < nedges; i++)
	{
		Link	   *k = &g->link[i];

		*k = (Link) {{edge[i].a, edge[i].b}, {g->first_link[edge[i].a], g->first_link[edge[i].b]}, i, 1, edge[i].weight,
			edge[i].weight == -INFINITY, false};
		if (k->forbidden)
			k->sum = 0;
		g->first_link[edge[i].a] = g->first_link[edge[i].b] = i;
		g->nlinks++;
		put_slot(g, i);
		push(g, i);
	}
}

/* Gives the links of cluster b to cluster a, which takes it in. */
static void
absorb(Linkage *g, uint32 a, uint32 b)
{
	uint32		member = g->next_member[a];
	uint32		next;

	g->size[a] += g->size[b];
	g->parent[b] = a;
	g->next_member[a] = g->next_member[b];
	g->next_member[b] = member;
	for (uint32 l = g->first_link[b]; l != NO_LINK; l = next)
	{
		Link	   *k = &g->link[l];
		int			side = k->end[1] == b;
		uint32		other = k->end[1 - side];
		uint32		slot;

		next = k->next[side];
		if (k->dead || other == a)
		{
			k->dead = true;
			continue;
		}
		slot = find_slot(g, a, other);
		if (g->slot[slot] != NO_LINK)
		{
			Link	   *with = &g->link[g->slot[slot]];

			with->sum += k->sum;
			with->edges += k->edges;
			with->forbidden |= k->forbidden;
			with->first_edge = Min(with->first_edge, k->first_edge);
			k->dead = true;
			push(g, g->slot[slot]);
			continue;
		}
		k->end[side] = a;
		k->next[side] = g->first_link[a];
		g->first_link[a] = l;
		put_slot(g, l);
		push(g, l);
	}
}

/* Average linkage over edges that all lie within components of their strong ones. */
static void
link_averages(Linkage *g)
{
	while (g->nheap > 0)
	{
		HeapItem	top = pop(g);
		Link	   *k = &g->link[top.link];
		double		now;
		uint32		a,
					b;

		CHECK_FOR_INTERRUPTS();
		if (k->dead)
			continue;
		now = average(g, k);
		if (now != top.average || k->first_edge != top.first_edge)
		{
			if (now < top.average)
				push(g, top.link);
			continue;			/* a stronger state of it is in the heap already */
		}
		a = k->end[0];
		b = k->end[1];
		if (g->options->one_per_source && share_source(g, a, b))
		{
			k->forbidden = true;
			continue;
		}
		/* The smaller one moves. */
		k->dead = true;
		if (g->size[a] < g->size[b] || (a > b && g->size[a] == g->size[b]))
			absorb(g, b, a);
		else
			absorb(g, a, b);
	}
}

/* ---- methods */

/* Raises the error for more edges than the memory allows. */
static void
check_memory(uint64 nedges, Size need, Size memory)
{
	if (need <= memory && nedges < PG_UINT32_MAX / 4)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many pairs to cluster at once"),
			 errdetail("" UINT64_FORMAT " pairs need %zu kB; maintenance_work_mem is %zu kB.", nedges, need / 1024, memory / 1024),
			 errhint("Raise maintenance_work_mem, or give only pairs of a higher weight.")));
}

/* Orders edges from the heaviest, equal ones as they came. */
static int
compare_weights(const void *a, const void *b)
{
	const CdpEdge *x = a;
	const CdpEdge *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return x->a != y->a ? (x->a < y->a ? -1 : 1) : (x->b > y->b) - (x->b < y->b);
}

/* Takes edges from the heaviest down while both ends are free: mutual best, and so on among the rest. */
static void
one_to_one(CdpEdge *edge, uint64 nedges, uint32 *parent, const uint32 *source, uint32 nnodes, const CdpClusterOptions *options)
{
	bool	   *taken = palloc0(Max(nnodes, 1));

	qsort(edge, nedges, sizeof(CdpEdge), compare_weights);
	for (uint64 i = 0; i < nedges && edge[i].weight > options->threshold; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (taken[edge[i].a] || taken[edge[i].b] || (source != NULL && source[edge[i].a] == source[edge[i].b]))
			continue;
		taken[edge[i].a] = taken[edge[i].b] = true;
		join(parent, edge[i].a, edge[i].b);
	}
	pfree(taken);
}

/* Average linkage: edges across components of strong edges can not matter and are left out. */
static void
average_linkage(CdpEdge *edge, uint64 nedges, uint32 nnodes, const uint32 *source, uint32 nsources, uint32 *parent,
				const CdpClusterOptions *options)
{
	uint32	   *component = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	Linkage		g = {options, source, parent};
	uint64		n = 0;

	for (uint32 i = 0; i < nnodes; i++)
		component[i] = i;
	for (uint64 i = 0; i < nedges; i++)
		if (edge[i].weight > options->threshold)
			join(component, edge[i].a, edge[i].b);
	for (uint64 i = 0; i < nedges; i++)
		if (find_root(component, edge[i].a) == find_root(component, edge[i].b))
			edge[n++] = edge[i];
	pfree(component);
	g.nslots = 1024;
	while (g.nslots < n * 4)
		g.nslots *= 2;
	check_memory(n, n * (sizeof(Link) + 2 * sizeof(HeapItem)) + nnodes * (Size) 12 + g.nslots * sizeof(uint32), options->memory);
	g.size = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	g.first_link = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	g.next_member = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < nnodes; i++)
	{
		g.size[i] = 1;
		g.first_link[i] = NO_LINK;
		g.next_member[i] = i;
	}
	g.stamp = palloc0(Max(nsources, 1) * sizeof(uint32));
	g.link = palloc_extended(Max(n, 1) * sizeof(Link), MCXT_ALLOC_HUGE);
	g.slot = palloc_extended(g.nslots * sizeof(uint32), MCXT_ALLOC_HUGE);
	g.heap_room = 2 * Max(n, 16);
	g.heap = palloc_extended(g.heap_room * sizeof(HeapItem), MCXT_ALLOC_HUGE);
	make_links(&g, edge, n);
	link_averages(&g);
}

/* Clusters nodes: returns the lowest node of the cluster of each, palloc'd. Edges are sorted by a, b, each once; they are changed. */
uint32 *
cdp_cluster(CdpEdge *edge, uint64 nedges, uint32 nnodes, const uint32 *source, uint32 nsources, const CdpClusterOptions *options)
{
	uint32	   *parent = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	uint32	   *lowest;

	check_memory(nedges, nedges * sizeof(CdpEdge), options->memory);
	for (uint32 i = 0; i < nnodes; i++)
		parent[i] = i;
	for (uint64 i = 0; i < nedges; i++)
		if (edge[i].weight != -INFINITY)
			edge[i].weight = Min(Max(edge[i].weight, -CDP_CLUSTER_MAX_WEIGHT), CDP_CLUSTER_MAX_WEIGHT);
	if (options->method == CDP_CLUSTER_AVERAGE)
		average_linkage(edge, nedges, nnodes, source, nsources, parent, options);
	else if (options->method == CDP_CLUSTER_ONE_TO_ONE)
		one_to_one(edge, nedges, parent, source, nnodes, options);
	else
		for (uint64 i = 0; i < nedges; i++)
			if (edge[i].weight > options->threshold)
				join(parent, edge[i].a, edge[i].b);

	lowest = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < nnodes; i++)
		lowest[i] = PG_UINT32_MAX;
	for (uint32 i = 0; i < nnodes; i++)
	{
		uint32		root = find_root(parent, i);

		lowest[root] = Min(lowest[root], i);
		parent[i] = root;
	}
	for (uint32 i = 0; i < nnodes; i++)
		parent[i] = lowest[parent[i]];
	pfree(lowest);
	return parent;
}

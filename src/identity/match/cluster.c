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
 * the strongest of all.  Components of strong edges do not touch each other and
 * are worked on one by one.  Memory: 20 bytes an edge, 32 a node, and some 100
 * for each edge of the largest component.
 */
#include "identity/match/cluster.h"

#include <math.h>

#include "common/hashfn.h"
#include "port/pg_bitutils.h"

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

/* Places for the links of so many edges: a power of two, four times as many at least. */
static uint32
slots_for(uint32 nedges)
{
	return pg_nextpower2_32(Max(nedges, 4) * 4);
}

/* Makes the links of single nodes out of the edges of a component, a list in ascending order. */
static void
make_links(Linkage *g, const CdpEdge *edge, const uint32 *next_edge, uint32 first_edge, uint32 nedges)
{
	g->nlinks = g->used = 0;
	g->nheap = 0;
	g->nslots = slots_for(nedges);
	g->heap_room = 2 * Max((uint64) nedges, 16);
	memset(g->slot, 0xFF, g->nslots * sizeof(uint32));
	for (uint32 e = first_edge; e != NO_LINK; e = next_edge[e])
	{
		uint32		i = g->nlinks++;
		Link	   *k = &g->link[i];

		*k = (Link) {{edge[e].a, edge[e].b}, {g->first_link[edge[e].a], g->first_link[edge[e].b]}, i, 1, edge[e].weight,
			edge[e].weight == -INFINITY, false};
		if (k->forbidden)
			k->sum = 0;
		g->first_link[edge[e].a] = g->first_link[edge[e].b] = i;
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
void
cdp_cluster_check_memory(uint64 nedges, Size need, Size memory)
{
	if (need <= memory && nedges < PG_UINT32_MAX / 8)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many pairs to cluster at once"),
			 errdetail("" UINT64_FORMAT " pairs need at least %zu kB; maintenance_work_mem is %zu kB.", nedges, need / 1024, memory / 1024),
			 errhint("Raise maintenance_work_mem, or give only pairs of a higher weight.")));
}

#define ST_SORT sort_edges
#define ST_ELEMENT_TYPE CdpEdge
#define ST_COMPARE(x, y) ((x)->a != (y)->a ? ((x)->a < (y)->a ? -1 : 1) : (x)->b != (y)->b ? ((x)->b < (y)->b ? -1 : 1) : \
						  ((x)->weight < (y)->weight) - ((x)->weight > (y)->weight))
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* Sorts edges as cdp_cluster() wants them: a below b, each once with its heaviest weight, or the ban. Returns how many are left. */
uint64
cdp_cluster_sort(CdpEdge *edge, uint64 nedges)
{
	uint64		n = 0;

	for (uint64 i = 0; i < nedges; i++)
	{
		uint32		a = edge[i].a;

		edge[i].a = Min(a, edge[i].b);
		edge[i].b = Max(a, edge[i].b);
	}
	sort_edges(edge, nedges);
	for (uint64 i = 0; i < nedges; i++)
	{
		CdpEdge    *e = &edge[i];

		if (e->a == e->b)
			continue;
		if (n > 0 && edge[n - 1].a == e->a && edge[n - 1].b == e->b)
		{
			if (e->weight == -INFINITY)
				edge[n - 1].weight = -INFINITY;
			continue;
		}
		edge[n++] = *e;
	}
	return n;
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

/* The edges within each component of strong ones, as lists in ascending order; those across can not matter and are left out. */
typedef struct Components
{
	uint32	   *root;			/* by node; lowest of its component */
	uint32	   *first;			/* by root: first edge, or NO_LINK */
	uint32	   *edges;			/* by root: how many */
	uint32	   *next;			/* by edge */
	uint32		largest;		/* edges of the largest component */
} Components;

/* Memory for so many numbers. */
static uint32 *
numbers(uint64 n)
{
	return palloc_extended(Max(n, 1) * sizeof(uint32), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* Puts each edge on the list of its component; what the parts are belongs to the current context. */
static Components
find_components(const CdpEdge *edge, uint64 nedges, uint32 nnodes, double threshold)
{
	Components	c = {numbers(nnodes), numbers(nnodes), numbers(nnodes), numbers(nedges), 0};

	for (uint32 i = 0; i < nnodes; i++)
	{
		c.root[i] = i;
		c.first[i] = NO_LINK;
	}
	for (uint64 i = 0; i < nedges; i++)
		if (edge[i].weight > threshold)
			join(c.root, edge[i].a, edge[i].b);
	for (uint64 i = nedges; i-- > 0;)
	{
		uint32		root = find_root(c.root, edge[i].a);

		if (root != find_root(c.root, edge[i].b))
			continue;
		c.next[i] = c.first[root];
		c.first[root] = i;
		c.edges[root]++;
		c.largest = Max(c.largest, c.edges[root]);
	}
	return c;
}

/* Average linkage, one component after the other. */
static void
average_linkage(const CdpEdge *edge, uint64 nedges, uint32 nnodes, const uint32 *source, uint32 nsources, uint32 *parent,
				const CdpClusterOptions *options)
{
	Linkage		g = {options, source, parent};
	Size		fixed = nedges * (sizeof(CdpEdge) + sizeof(uint32)) + nnodes * (Size) 32;
	Components	c;

	cdp_cluster_check_memory(nedges, fixed, options->memory);
	c = find_components(edge, nedges, nnodes, options->threshold);
	cdp_cluster_check_memory(nedges, fixed + c.largest * (sizeof(Link) + 2 * sizeof(HeapItem)) + slots_for(c.largest) * sizeof(uint32),
							 options->memory);
	g.size = numbers(nnodes);
	g.first_link = numbers(nnodes);
	g.next_member = numbers(nnodes);
	for (uint32 i = 0; i < nnodes; i++)
	{
		g.size[i] = 1;
		g.first_link[i] = NO_LINK;
		g.next_member[i] = i;
	}
	g.stamp = numbers(nsources);
	g.link = palloc_extended(Max(c.largest, 1) * sizeof(Link), MCXT_ALLOC_HUGE);
	g.slot = numbers(slots_for(c.largest));
	g.heap = palloc_extended(2 * Max((Size) c.largest, 16) * sizeof(HeapItem), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < nnodes; i++)
	{
		if (c.first[i] == NO_LINK)
			continue;
		make_links(&g, edge, c.next, c.first[i], c.edges[i]);
		link_averages(&g);
	}
}

/* Clusters nodes: returns the lowest node of the cluster of each, palloc'd. Edges are sorted by a, b, each once; they are changed. */
uint32 *
cdp_cluster(CdpEdge *edge, uint64 nedges, uint32 nnodes, const uint32 *source, uint32 nsources, const CdpClusterOptions *options)
{
	uint32	   *parent = palloc_extended(Max(nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	uint32	   *lowest;

	cdp_cluster_check_memory(nedges, nedges * sizeof(CdpEdge), options->memory);
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

/*
 * peel.c
 *		Dense blocks of a two-sided graph given as arrays, by greedy peeling
 *		(Hooi et al. 2016, FRAUDAR).
 *
 * An edge to an attribute that d accounts have weighs 1 / ln(d + 5): what many
 * share tells little, and camouflage cannot make it tell more. The node with the
 * least weight of edges left is taken away again and again; of all states on the
 * way the one with most weight by node is the block. Then the edges inside the
 * block are taken out, and the next block is peeled from what is left.
 *
 * Weights are whole multiples of 2^-32, so that sums are exact and ties are real
 * ones; among nodes of equal weight the lowest goes first, accounts before
 * attributes. Nodes wait in a heap whose branches have four children: O(edges
 * log nodes).
 */
#include "referral/graph/csr.h"

#include <math.h>

#define BRANCHES 4
#define GONE PG_UINT32_MAX
#define ONE ((double) (UINT64CONST(1) << 32))

/* A node that waits. */
typedef struct Waiting
{
	int64		weight;			/* of its edges that are left */
	uint32		node;
} Waiting;

struct CdpPeel
{
	CdpCsr	   *edges;			/* from accounts to attributes, those that no block has taken */
	CdpCsr		back;			/* the same from attributes to accounts, as they were before the block found last */
	uint32		nto;
	bool		weighted;
	int64	   *unit;			/* [nto] weight of an edge to an attribute */
	Waiting    *heap;
	uint32	   *place;			/* [accounts + attributes] in the heap, or GONE */
	uint32	   *order;			/* nodes as they went */
	bool	   *inside;			/* of the block found last */
};

/* What a peeling takes beside its edges. */
uint64
cdp_peel_bytes(uint32 n, uint32 nto, uint32 m)
{
	return ((uint64) n + nto) * (sizeof(Waiting) + 2 * sizeof(uint32) + sizeof(bool)) + (uint64) nto * (sizeof(int64) + sizeof(uint32)) +
		(uint64) m * sizeof(uint32);
}

/* Makes a peeling over edges, which it changes; it lives in the current context. */
CdpPeel *
cdp_peel_create(CdpCsr *edges, uint32 nto, bool weighted)
{
	CdpPeel    *p = palloc0(sizeof(CdpPeel));
	Size		n = Max((Size) edges->n + nto, 1);

	p->edges = edges;
	p->nto = nto;
	p->weighted = weighted;
	p->unit = palloc_extended(sizeof(int64) * Max((Size) nto, 1), MCXT_ALLOC_HUGE);
	p->heap = palloc_extended(sizeof(Waiting) * n, MCXT_ALLOC_HUGE);
	p->place = palloc_extended(sizeof(uint32) * n, MCXT_ALLOC_HUGE);
	p->order = palloc_extended(sizeof(uint32) * n, MCXT_ALLOC_HUGE);
	p->inside = palloc_extended(sizeof(bool) * n, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	return p;
}

/* Whether a node belongs to the block found last; attributes are counted on from the accounts. */
bool
cdp_peel_has(const CdpPeel *p, uint32 node)
{
	return p->inside[node];
}

/* Whether one node goes before another. */
static inline bool
before(Waiting a, Waiting b)
{
	return a.weight != b.weight ? a.weight < b.weight : a.node < b.node;
}

/* Puts a node where it belongs between at and the top. */
static inline void
sift_up(CdpPeel *p, uint32 at, Waiting w)
{
	while (at > 0)
	{
		uint32		up = (at - 1) / BRANCHES;

		if (!before(w, p->heap[up]))
			break;
		p->heap[at] = p->heap[up];
		p->place[p->heap[at].node] = at;
		at = up;
	}
	p->heap[at] = w;
	p->place[w.node] = at;
}

/* Puts a node where it belongs between at and the leaves. */
static inline void
sift_down(CdpPeel *p, uint32 at, uint32 n, Waiting w)
{
	for (;;)
	{
		uint64		child = (uint64) at * BRANCHES + 1;
		uint32		least;

		if (child >= n)
			break;
		least = (uint32) child;
		for (uint64 k = child + 1; k < Min(child + BRANCHES, n); k++)
			if (before(p->heap[k], p->heap[least]))
				least = (uint32) k;
		if (!before(p->heap[least], w))
			break;
		p->heap[at] = p->heap[least];
		p->place[p->heap[at].node] = at;
		at = least;
	}
	p->heap[at] = w;
	p->place[w.node] = at;
}

/* Fills the heap with the nodes that have edges; returns how many, and the weight of all edges. */
static uint32
fill(CdpPeel *p, int64 *total)
{
	uint32		na = p->edges->n;
	uint32		n = 0;

	*total = 0;
	for (uint32 b = 0; b < p->nto; b++)
	{
		uint32		degree = p->back.first[b + 1] - p->back.first[b];

		p->unit[b] = p->weighted ? (int64) rint(ONE / log((double) degree + 5.0)) : (int64) ONE;
	}
	for (uint32 a = 0; a < na; a++)
	{
		int64		weight = 0;

		if ((a & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		for (uint32 k = p->edges->first[a]; k < p->edges->first[a + 1]; k++)
			weight += p->unit[p->edges->to[k]];
		*total += weight;
		p->place[a] = GONE;
		if (weight > 0)
			p->heap[n++] = (Waiting) {weight, a};
	}
	for (uint32 b = 0; b < p->nto; b++)
	{
		uint32		degree = p->back.first[b + 1] - p->back.first[b];

		p->place[na + b] = GONE;
		if (degree > 0)
			p->heap[n++] = (Waiting) {p->unit[b] * degree, na + b};
	}
	for (uint32 i = 0; i < n; i++)
		p->place[p->heap[i].node] = i;
	for (uint32 i = n; i > 0; i--)
		sift_down(p, i - 1, n, p->heap[i - 1]);
	return n;
}

/* Takes nodes away until none is left; returns how many were gone when weight by node was highest. */
static uint32
peel(CdpPeel *p, uint32 n, int64 total, CdpBlock *block)
{
	uint32		na = p->edges->n;
	uint32		best = 0;
	int64		best_total = total;
	uint32		count = n;

	for (uint32 gone = 0; gone < count; gone++)
	{
		Waiting		least = p->heap[0];
		bool		account = least.node < na;
		const CdpCsr *csr = account ? p->edges : &p->back;
		uint32		node = account ? least.node : least.node - na;

		if ((gone & 0xFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		p->order[gone] = least.node;
		p->place[least.node] = GONE;
		total -= least.weight;
		if (--n > 0)
			sift_down(p, 0, n, p->heap[n]);
		for (uint32 k = csr->first[node]; k < csr->first[node + 1]; k++)
		{
			uint32		other = account ? na + csr->to[k] : csr->to[k];
			uint32		at = p->place[other];
			Waiting		w;

			if (at == GONE)
				continue;
			w = p->heap[at];
			w.weight -= p->unit[account ? csr->to[k] : node];
			sift_up(p, at, w);
		}
		if (n > 0 && (int128) total * (count - best) > (int128) best_total * n)
		{
			best = gone + 1;
			best_total = total;
		}
	}
	block->density = (double) best_total / ONE / (count - best);
	return best;
}

/* Takes the edges inside the block out; counts them. */
static uint32
take_out(CdpPeel *p)
{
	uint32		na = p->edges->n;
	uint32		kept = 0;
	uint32		taken = 0;

	for (uint32 a = 0; a < na; a++)
	{
		uint32		k = p->edges->first[a];

		p->edges->first[a] = kept;
		for (; k < p->edges->first[a + 1]; k++)
			if (p->inside[a] && p->inside[na + p->edges->to[k]])
				taken++;
			else
				p->edges->to[kept++] = p->edges->to[k];
	}
	p->edges->first[na] = kept;
	return taken;
}

/* Finds the next block; false when no edge is left. */
bool
cdp_peel_next(CdpPeel *p, CdpBlock *block)
{
	uint32		na = p->edges->n;
	uint32		n;
	uint32		best;
	int64		total;

	memset(block, 0, sizeof(CdpBlock));
	if (p->edges->first[na] == 0)
		return false;
	if (p->back.first != NULL)
	{
		pfree(p->back.first);
		pfree(p->back.to);
	}
	cdp_csr_turn(&p->back, p->edges, p->nto);
	n = fill(p, &total);
	best = peel(p, n, total, block);
	memset(p->inside, 0, sizeof(bool) * ((Size) na + p->nto));
	for (uint32 i = best; i < n; i++)
	{
		p->inside[p->order[i]] = true;
		block->accounts += p->order[i] < na;
		block->attributes += p->order[i] >= na;
	}
	block->edges = take_out(p);
	return true;
}

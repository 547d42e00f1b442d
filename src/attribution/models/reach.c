/*
 * reach.c
 *		Orders the states of a chain and finds what walks reach. See reach.h.
 */
#include "cdp.h"

#include "attribution/models/reach.h"

/* A list longer than 1 / SCAN of all states is put in order by a scan of the marks. */
#define SCAN 16

/* Depth-first walk from one state; each state gets the last free place when all it leads to have theirs. */
static uint32
visit(CdpReach *r, uint32 start, uint64 *next, uint32 *stack, uint32 free)
{
	const CdpChain *c = r->chain;
	uint32		depth = 0;

	stack[depth++] = start;
	next[start] = c->first[start];
	r->place[start] = CDP_REACH_GONE;
	while (depth > 0)
	{
		uint32		i = stack[depth - 1];

		if (next[i] == c->first[i + 1])
		{
			r->place[i] = --free;
			r->state[free] = i;
			depth--;
			continue;
		}
		i = c->to[next[i]++];
		if (r->place[i] == CDP_REACH_NONE)
		{
			r->place[i] = CDP_REACH_GONE;
			next[i] = c->first[i];
			stack[depth++] = i;
		}
	}
	return free;
}

/* Gives each state its place: walks from states that start journeys first. */
static void
give_places(CdpReach *r, uint64 *next, uint32 *stack)
{
	const CdpChain *c = r->chain;
	uint32		free = c->nstates;

	for (uint32 i = 0; i < c->nstates; i++)
		r->place[i] = CDP_REACH_NONE;
	for (int starts = 1; starts >= 0; starts--)
		for (uint32 i = 0; i < c->nstates; i++)
		{
			if (i % 4096 == 0)
				CHECK_FOR_INTERRUPTS();
			if (r->place[i] == CDP_REACH_NONE && (c->starts[i] > 0 || starts == 0))
				free = visit(r, i, next, stack, free);
		}
}

/* Lists the steps into each place, without those that stay. */
static void
turn_steps(CdpReach *r)
{
	const CdpChain *c = r->chain;

	memset(r->first, 0, ((Size) c->nstates + 2) * sizeof(uint64));
	for (uint32 i = 0; i < c->nstates; i++)
		for (uint64 e = c->first[i]; e < c->first[i + 1]; e++)
			if (c->to[e] != i)
				r->first[r->place[c->to[e]] + 2]++;
	for (uint32 i = 2; i <= c->nstates; i++)
		r->first[i] += r->first[i - 1];
	for (uint32 p = 0; p < c->nstates; p++)
	{
		uint32		i = r->state[p];

		if (p % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		for (uint64 e = c->first[i]; e < c->first[i + 1]; e++)
			if (c->to[e] != i)
			{
				uint64		at = r->first[r->place[c->to[e]] + 1]++;

				r->from[at] = p;
				r->weight[at] = (double) c->weight[e];
			}
	}
}

/* Lays out the order and the turned steps in cxt; false when the bytes of work do not suffice. */
bool
cdp_reach_start(CdpReach *r, const CdpChain *chain, CdpSparseWork *work, MemoryContext cxt)
{
	uint32		n = chain->nstates;

	memset(r, 0, sizeof(CdpReach));
	r->chain = chain;
	if ((r->state = cdp_sparse_array(work, n, sizeof(uint32), cxt)) == NULL ||
		(r->place = cdp_sparse_array(work, n, sizeof(uint32), cxt)) == NULL ||
		(r->first = cdp_sparse_array(work, (uint64) n + 2, sizeof(uint64), cxt)) == NULL ||
		(r->from = cdp_sparse_array(work, chain->nsteps, sizeof(uint32), cxt)) == NULL ||
		(r->weight = cdp_sparse_array(work, chain->nsteps, sizeof(double), cxt)) == NULL ||
		(r->row = cdp_sparse_array(work, n, sizeof(uint32), cxt)) == NULL ||
		(r->list = cdp_sparse_array(work, n, sizeof(uint32), cxt)) == NULL)
		return false;
	/* Until the steps are turned their room serves the walk. */
	give_places(r, r->first, r->list);
	turn_steps(r);
	for (uint32 p = 0; p < n; p++)
		r->row[p] = CDP_REACH_NONE;
	return true;
}

/* qsort comparator of places. */
static int
compare_places(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* Puts the list in order and numbers it. */
static void
number_list(CdpReach *r)
{
	uint32		n = 0;

	if (r->n > r->chain->nstates / SCAN)
	{
		for (uint32 p = 0; p < r->chain->nstates; p++)
			if (r->row[p] < CDP_REACH_GONE)
				r->list[n++] = p;
	}
	else
		qsort(r->list, r->n, sizeof(uint32), compare_places);
	for (uint32 k = 0; k < r->n; k++)
		r->row[r->list[k]] = k;
}

/* Marks the states that are gone, and lists those that walks reach from them, breadth first. */
void
cdp_reach_from(CdpReach *r, const uint32 *gone, uint64 n, CdpSparseWork *work)
{
	const CdpChain *c = r->chain;
	uint64		followed = 0;

	r->n = 0;
	for (uint64 k = 0; k < n; k++)
		r->row[r->place[gone[k]]] = CDP_REACH_GONE;
	for (uint64 k = 0; k < n + r->n; k++)
	{
		uint32		i = k < n ? gone[k] : r->state[r->list[k - n]];

		if (k % 4096 == 4095)
			CHECK_FOR_INTERRUPTS();
		for (uint64 e = c->first[i]; e < c->first[i + 1]; e++)
		{
			uint32		p = r->place[c->to[e]];

			if (r->row[p] == CDP_REACH_NONE)
			{
				r->row[p] = 0;
				r->list[r->n++] = p;
			}
		}
		followed += c->first[i + 1] - c->first[i];
	}
	number_list(r);
	work->flops += (double) followed + (double) n + r->n;
}

/* Takes the marks off again. */
void
cdp_reach_clear(CdpReach *r, const uint32 *gone, uint64 n)
{
	for (uint64 k = 0; k < n; k++)
		r->row[r->place[gone[k]]] = CDP_REACH_NONE;
	for (uint32 k = 0; k < r->n; k++)
		r->row[r->list[k]] = CDP_REACH_NONE;
}

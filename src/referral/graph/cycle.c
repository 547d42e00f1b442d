/*
 * cycle.c
 *		Directed cycles of two to four nodes of a graph given as arrays.
 *
 * A search starts from each node and goes through higher ones only, so that each
 * cycle is found once, from its lowest node. Nodes with more than degree_cap
 * ways out are left out, which bounds the work by nodes * degree_cap^3.
 */
#include "referral/graph/csr.h"

/* What a search knows. */
typedef struct Search
{
	const CdpCsr *csr;
	uint32	   *mark;			/* node has an edge to mark - 1 */
	uint32		degree_cap;
	int			longest;
	CdpTakeCycle take;
	void	   *arg;
} Search;

/* Whether a node has too many ways out. */
static inline bool
is_hub(const Search *s, uint32 node)
{
	return s->csr->first[node + 1] - s->csr->first[node] > s->degree_cap;
}

/* Finds the cycles from start through node, both of which are no hubs. */
static void
search(const Search *s, uint32 start, uint32 node)
{
	const uint32 *first = s->csr->first;
	const uint32 *to = s->csr->to;
	uint32		cycle[4] = {start, node};

	if (s->mark[node] == start + 1)
		s->take(s->arg, cycle, 2);
	for (uint32 i = first[node]; i < first[node + 1] && s->longest > 2; i++)
	{
		uint32		third = to[i];

		CHECK_FOR_INTERRUPTS();
		if (third <= start || is_hub(s, third))
			continue;
		cycle[2] = third;
		if (s->mark[third] == start + 1)
			s->take(s->arg, cycle, 3);
		for (uint32 k = first[third]; k < first[third + 1] && s->longest > 3; k++)
		{
			cycle[3] = to[k];
			if (cycle[3] > start && cycle[3] != node && s->mark[cycle[3]] == start + 1 && !is_hub(s, cycle[3]))
				s->take(s->arg, cycle, 4);
		}
	}
}

/* Gives every cycle to take(), by lowest node; returns how many nodes are hubs, which are left out. */
uint32
cdp_cycles(const CdpCsr *csr, int longest, uint32 degree_cap, CdpTakeCycle take, void *arg)
{
	Search		s = {.csr = csr, .degree_cap = degree_cap, .longest = longest, .take = take, .arg = arg};
	CdpCsr		back;
	uint32		hubs = 0;

	cdp_csr_turn(&back, csr, csr->n);
	s.mark = palloc_extended(sizeof(uint32) * Max((Size) csr->n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 start = 0; start < csr->n; start++)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_hub(&s, start))
		{
			hubs++;
			continue;
		}
		if (back.first[start] == back.first[start + 1] || back.to[back.first[start + 1] - 1] < start)
			continue;			/* nothing higher comes back */
		for (uint32 k = back.first[start]; k < back.first[start + 1]; k++)
			s.mark[back.to[k]] = start + 1;
		for (uint32 k = csr->first[start]; k < csr->first[start + 1]; k++)
			if (csr->to[k] > start && !is_hub(&s, csr->to[k]))
				search(&s, start, csr->to[k]);
	}
	pfree(back.first);
	pfree(back.to);
	pfree(s.mark);
	return hubs;
}

/* Gives a cycle to take(), turned so that its lowest node comes first. */
static void
give_turned(const Search *s, const uint32 *node, int length)
{
	uint32		turned[4];
	int			lowest = 0;

	for (int i = 1; i < length; i++)
		if (node[i] < node[lowest])
			lowest = i;
	for (int i = 0; i < length; i++)
		turned[i] = node[(lowest + i) % length];
	s->take(s->arg, turned, length);
}

/*
 * Gives the cycles that go through one edge, whether the graph has it or not, to take(); returns how many hubs the
 * search came upon, 0 when the edge starts or ends at one is told too.
 */
uint32
cdp_cycles_of_edge(const CdpCsr *csr, uint32 from, uint32 to, int longest, uint32 degree_cap, CdpTakeCycle take, void *arg)
{
	Search		s = {.csr = csr, .degree_cap = degree_cap, .longest = longest, .take = take, .arg = arg};
	uint32		cycle[4] = {from, to};
	uint32		hubs = is_hub(&s, from) + (from != to && is_hub(&s, to));

	if (hubs > 0 || from == to)
		return hubs;
	if (cdp_csr_has(csr, to, from))
		give_turned(&s, cycle, 2);
	for (uint32 i = csr->first[to]; i < csr->first[to + 1] && longest > 2; i++)
	{
		CHECK_FOR_INTERRUPTS();
		cycle[2] = csr->to[i];
		if (cycle[2] == from)
			continue;
		if (is_hub(&s, cycle[2]))
		{
			hubs++;
			continue;
		}
		if (cdp_csr_has(csr, cycle[2], from))
			give_turned(&s, cycle, 3);
		for (uint32 k = csr->first[cycle[2]]; k < csr->first[cycle[2] + 1] && longest > 3; k++)
		{
			cycle[3] = csr->to[k];
			if (cycle[3] != from && cycle[3] != to && cdp_csr_has(csr, cycle[3], from) && !is_hub(&s, cycle[3]))
				give_turned(&s, cycle, 4);
		}
	}
	return hubs;
}

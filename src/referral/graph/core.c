/*
 * core.c
 *		Cores and hub-capped components of a graph given as arrays.
 *
 * The core number of a node is the largest k for which it belongs to a part of
 * the graph whose nodes all have k neighbours inside it (Batagelj and Zaversnik
 * 2003: nodes in order of what is left of their degree, O(edges)).
 */
#include "referral/graph/csr.h"

#include "identity/unionfind.h"

/* Core numbers of an undirected graph, which has each edge from both of its ends; core is the caller's, [n]. */
void
cdp_core_numbers(const CdpCsr *csr, uint32 *core)
{
	uint32		n = csr->n;
	uint32		most = 0;
	uint32	   *begin;			/* where nodes of a degree begin */
	uint32	   *order = palloc_extended(sizeof(uint32) * Max((Size) n, 1), MCXT_ALLOC_HUGE);
	uint32	   *place = palloc_extended(sizeof(uint32) * Max((Size) n, 1), MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < n; i++)
	{
		core[i] = csr->first[i + 1] - csr->first[i];
		most = Max(most, core[i]);
	}
	begin = palloc_extended(sizeof(uint32) * ((Size) most + 2), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < n; i++)
		begin[core[i] + 1]++;
	for (uint32 d = 1; d <= most + 1; d++)
		begin[d] += begin[d - 1];
	for (uint32 i = 0; i < n; i++)
	{
		place[i] = begin[core[i]]++;
		order[place[i]] = i;
	}
	for (uint32 d = most + 1; d > 0; d--)
		begin[d] = begin[d - 1];
	begin[0] = 0;
	for (uint32 i = 0; i < n; i++)
	{
		uint32		v = order[i];

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		for (uint32 k = csr->first[v]; k < csr->first[v + 1]; k++)
		{
			uint32		u = csr->to[k];
			uint32		w;

			if (core[u] <= core[v])
				continue;
			/* u goes to the front of its degree, whose front moves up: u has one neighbour fewer. */
			w = order[begin[core[u]]];
			order[place[u]] = w;
			place[w] = place[u];
			place[u] = begin[core[u]];
			order[place[u]] = u;
			begin[core[u]]++;
			core[u]--;
		}
	}
	pfree(begin);
	pfree(order);
	pfree(place);
}

/*
 * Joins nodes of the first end that share a node of the second, when no more than hub_cap share it. parent is the
 * caller's, [n], as unionfind.h reads it.
 */
void
cdp_hub_components(const CdpCsr *csr, uint32 nto, uint32 hub_cap, int32 *parent)
{
	uint32	   *sharing = palloc_extended(sizeof(uint32) * Max((Size) nto, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	int32	   *seen = palloc_extended(sizeof(int32) * Max((Size) nto, 1), MCXT_ALLOC_HUGE);

	for (uint32 k = 0; k < csr->first[csr->n]; k++)
		sharing[csr->to[k]]++;
	for (uint32 i = 0; i < nto; i++)
		seen[i] = -1;
	for (uint32 i = 0; i < csr->n; i++)
	{
		parent[i] = -1;
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		for (uint32 k = csr->first[i]; k < csr->first[i + 1]; k++)
		{
			uint32		attribute = csr->to[k];

			if (sharing[attribute] > hub_cap)
				continue;
			if (seen[attribute] < 0)
				seen[attribute] = (int32) i;
			else
			{
				int32		a = cdp_set_root(parent, seen[attribute]);
				int32		b = cdp_set_root(parent, (int32) i);

				if (a != b)
					cdp_set_join(parent, a, b);
			}
		}
	}
	pfree(sharing);
	pfree(seen);
}

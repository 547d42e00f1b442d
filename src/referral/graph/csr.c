/*
 * csr.c
 *		Edges as arrays: sorted by counting, so that the order in which they came
 *		tells nothing.
 */
#include "referral/graph/csr.h"

#define HUGE_ARRAY(type, n) ((type *) palloc_extended(sizeof(type) * Max((Size) (n), 1), MCXT_ALLOC_HUGE))
#define HUGE_ZEROED(type, n) ((type *) palloc_extended(sizeof(type) * Max((Size) (n), 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO))

/* Orders pairs by key, keeping the order of equal ones; start gets where each key begins, start[n] the number of pairs. */
static void
scatter(uint32 n, uint32 m, const uint32 *key, const uint32 *other, uint32 *start, uint32 *key_out, uint32 *other_out)
{
	memset(start, 0, sizeof(uint32) * ((Size) n + 1));
	for (uint32 i = 0; i < m; i++)
		start[key[i]]++;
	for (uint32 i = 0, at = 0; i <= n; i++)
	{
		uint32		count = i < n ? start[i] : 0;

		start[i] = at;
		at += count;
	}
	for (uint32 i = 0; i < m; i++)
	{
		uint32		at = start[key[i]]++;

		if ((i & 0xFFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (key_out != NULL)
			key_out[at] = key[i];
		other_out[at] = other[i];
	}
	for (uint32 i = n; i > 0; i--)
		start[i] = start[i - 1];
	start[0] = 0;
}

/* Makes sorted edges, each once, of m pairs; takes the arrays over. The result lives in the current context. */
void
cdp_csr_make(CdpCsr *csr, uint32 n, uint32 nto, uint32 m, uint32 *from, uint32 *to)
{
	uint32	   *start = HUGE_ARRAY(uint32, (Size) Max(n, nto) + 1);
	uint32	   *from2 = HUGE_ARRAY(uint32, m);
	uint32	   *to2 = HUGE_ARRAY(uint32, m);
	uint32		kept = 0;

	scatter(nto, m, to, from, start, to2, from2);
	scatter(n, m, from2, to2, start, NULL, to);
	for (uint32 i = 0; i < n; i++)
	{
		uint32		begin = start[i];

		start[i] = kept;
		for (uint32 k = begin; k < start[i + 1]; k++)
			if (k == begin || to[k] != to[k - 1])
				to[kept++] = to[k];
	}
	start[n] = kept;
	pfree(from2);
	pfree(to2);
	pfree(from);
	csr->n = n;
	csr->first = start;
	csr->to = to;
}

/* The same edges from their other end. */
void
cdp_csr_turn(CdpCsr *back, const CdpCsr *csr, uint32 nto)
{
	uint32		m = csr->first[csr->n];

	back->n = nto;
	back->first = HUGE_ZEROED(uint32, (Size) nto + 1);
	back->to = HUGE_ARRAY(uint32, m);
	for (uint32 k = 0; k < m; k++)
		back->first[csr->to[k]]++;
	for (uint32 i = 0, at = 0; i <= nto; i++)
	{
		uint32		count = i < nto ? back->first[i] : 0;

		back->first[i] = at;
		at += count;
	}
	for (uint32 i = 0; i < csr->n; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		for (uint32 k = csr->first[i]; k < csr->first[i + 1]; k++)
			back->to[back->first[csr->to[k]]++] = i;
	}
	for (uint32 i = nto; i > 0; i--)
		back->first[i] = back->first[i - 1];
	back->first[0] = 0;
}

/* Tells whether there is an edge. */
bool
cdp_csr_has(const CdpCsr *csr, uint32 from, uint32 to)
{
	uint32		low = csr->first[from];
	uint32		high = csr->first[from + 1];

	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (csr->to[middle] < to)
			low = middle + 1;
		else
			high = middle;
	}
	return low < csr->first[from + 1] && csr->to[low] == to;
}

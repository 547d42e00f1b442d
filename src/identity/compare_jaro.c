/*
 * compare_jaro.c
 *		Jaro and Jaro-Winkler similarity.
 *
 * Two equal characters match when their places differ by no more than half of
 * the longer text's length less one; each text is read from its start and a
 * character takes the first one that is free.  Only equal characters compete,
 * and both their lists of places are sorted, so the first free place only
 * moves forward: the whole takes time in proportion to the lengths.
 */
#include "identity/compare_symbols.h"

#define JARO_BOOST_ABOVE 0.7
#define JARO_PREFIX_WEIGHT 0.1
#define JARO_PREFIX_MAX 4
#define INTERRUPT_EVERY 0xFFFF

/* Work space for short texts. */
typedef struct JaroSpace
{
	int32		head[2 * COMPARE_SHORT + 1];
	int32		next[COMPARE_SHORT];
	uint32		taken[COMPARE_SHORT];
	bool		hit[COMPARE_SHORT];
} JaroSpace;

/*
 * Marks in hit[] the characters of b that match, and collects in taken[] those
 * of a in their order.  head[] by symbol and next[] by place of b are work
 * space.  Returns the number of matches.
 */
static int
match_characters(const ComparePair *p, int32 *head, int32 *next, uint32 *taken, bool *hit)
{
	int			window = Max(Max(p->na, p->nb) / 2 - 1, 0);
	int			matches = 0;

	for (int i = 0; i < p->na; i++)
		head[p->a[i]] = -1;
	for (int j = 0; j < p->nb; j++)
		head[p->b[j]] = -1;
	for (int j = p->nb - 1; j >= 0; j--)
	{
		next[j] = head[p->b[j]];
		head[p->b[j]] = j;
		hit[j] = false;
	}
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < p->na; i++)
	{
		uint32		symbol = p->a[i];
		int32		j = head[symbol];

		while (j >= 0 && j < i - window)
			j = next[j];
		if (j >= 0 && j <= i + window)
		{
			taken[matches++] = symbol;
			hit[j] = true;
			j = next[j];
		}
		head[symbol] = j;
		if (unlikely((i & INTERRUPT_EVERY) == INTERRUPT_EVERY))
			CHECK_FOR_INTERRUPTS();
	}
	return matches;
}

/* Jaro similarity of a pair in which no text is empty. */
static double
jaro(const ComparePair *p)
{
	JaroSpace	stack;
	bool		small = p->nsymbols <= lengthof(stack.head) && p->nb <= COMPARE_SHORT;
	int32	   *head = small ? stack.head : palloc(sizeof(int32) * (Size) p->nsymbols);
	int32	   *next = small ? stack.next : palloc(sizeof(int32) * (Size) p->nb);
	uint32	   *taken = small ? stack.taken : palloc(sizeof(uint32) * (Size) p->nb);
	bool	   *hit = small ? stack.hit : palloc(sizeof(bool) * (Size) p->nb);
	int			matches = match_characters(p, head, next, taken, hit);
	int			differ = 0;

	for (int j = 0, k = 0; k < matches; j++)
	{
		if (hit[j])
			differ += p->b[j] != taken[k++];
	}
	if (!small)
	{
		pfree(head);
		pfree(next);
		pfree(taken);
		pfree(hit);
	}
	if (matches == 0)
		return 0.0;
	return ((double) matches / p->na + (double) matches / p->nb + (double) (matches - differ / 2) / matches) / 3.0;
}

/* Jaro similarity; nothing is kept. */
double
cdp_compare_jaro(const char *a, int alen, const char *b, int blen)
{
	ComparePair pair;
	double		similarity;

	if (compare_same(a, alen, b, blen))
		return 1.0;
	if (alen == 0 || blen == 0)
		return 0.0;
	cdp_compare_open(&pair, a, alen, b, blen, CDP_COMPARE_MAX_CHARS);
	similarity = jaro(&pair);
	cdp_compare_close(&pair);
	return similarity;
}

/* Jaro-Winkler similarity: above 0.7 a common prefix moves it towards 1; nothing is kept. */
double
cdp_compare_jaro_winkler(const char *a, int alen, const char *b, int blen)
{
	ComparePair pair;
	double		similarity;

	if (compare_same(a, alen, b, blen))
		return 1.0;
	if (alen == 0 || blen == 0)
		return 0.0;
	cdp_compare_open(&pair, a, alen, b, blen, CDP_COMPARE_MAX_CHARS);
	similarity = jaro(&pair);
	if (similarity > JARO_BOOST_ABOVE)
	{
		int			most = Min(Min(pair.na, pair.nb), JARO_PREFIX_MAX);
		int			prefix = 0;

		while (prefix < most && pair.a[prefix] == pair.b[prefix])
			prefix++;
		similarity += prefix * JARO_PREFIX_WEIGHT * (1.0 - similarity);
	}
	cdp_compare_close(&pair);
	return similarity;
}

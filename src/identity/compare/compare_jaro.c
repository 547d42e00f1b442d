/*
 * compare_jaro.c
 *		Jaro and Jaro-Winkler similarity.
 *
 * Two equal characters match when their places differ by no more than half of
 * the longer text's length less one; each text is read from its start and a
 * character takes the first one that is free.  Only equal characters compete,
 * and both their lists of places are sorted, so the first free place only
 * moves forward: the whole takes time in proportion to the lengths.
 *
 * Texts of up to 64 characters do the same on one machine word: a bit a place.
 */
#include "identity/compare/compare_symbols.h"

#include "port/pg_bitutils.h"

/* A similarity that is 0.7 up to rounding is 0.7: the sum of thirds gives 0.7000000000000001 for some. */
#define JARO_BOOST_ABOVE (0.7 + 1e-12)
#define JARO_PREFIX_WEIGHT 0.1
#define JARO_PREFIX_MAX 4
#define WORD_BITS 64
#define INTERRUPT_EVERY 0xFFFF

/* Character i of bytes, or of symbols. */
#define AT(text, i) (bytes ? ((const unsigned char *) (text))[i] : ((const uint32 *) (text))[i])

/* Work space for short texts. */
typedef struct JaroSpace
{
	int32		head[2 * COMPARE_SHORT + 1];
	int32		next[COMPARE_SHORT];
	uint32		taken[COMPARE_SHORT];
	bool		hit[COMPARE_SHORT];
} JaroSpace;

/* The formula: differ is the number of matches out of order. */
static inline double
similarity_of(int na, int nb, int matches, int differ)
{
	if (matches == 0)
		return 0.0;
	return ((double) matches / na + (double) matches / nb + (double) (matches - differ / 2) / matches) / 3.0;
}

/* Adds Winkler's boost for a common prefix. */
static pg_attribute_always_inline double
boost(double similarity, const void *a, int na, const void *b, int nb, bool bytes)
{
	if (similarity > JARO_BOOST_ABOVE)
	{
		int			most = Min(Min(na, nb), JARO_PREFIX_MAX);
		int			prefix = 0;

		while (prefix < most && AT(a, prefix) == AT(b, prefix))
			prefix++;
		similarity += prefix * JARO_PREFIX_WEIGHT * (1.0 - similarity);
	}
	return similarity;
}

/*
 * Jaro similarity of two texts of 1 to 64 characters.  place[], by symbol, is
 * zero for all symbols of both.
 */
static pg_attribute_always_inline double
jaro_short(const void *a, int na, const void *b, int nb, bool bytes, uint64 *place)
{
	int			reach = Max(Max(na, nb) / 2 - 1, 0);
	uint64		window = (UINT64CONST(2) << reach) - 1;
	uint64		free = ~UINT64CONST(0);
	uint64		hit_a = 0,
				hit_b;
	int			matches = 0,
				differ = 0;

	for (int j = 0; j < nb; j++)
		place[AT(b, j)] |= UINT64CONST(1) << j;
	for (int i = 0; i < na; i++)
	{
		uint64		found = place[AT(a, i)] & window & free;

		/* The first free place, taken without a branch that nobody could foretell. */
		free &= ~(found & -found);
		hit_a |= (uint64) (found != 0) << i;
		matches += found != 0;
		window = (window << 1) | (i < reach);
	}
	hit_b = ~free;
	for (int k = 0; k < matches; k++)
	{
		differ += (place[AT(a, pg_rightmost_one_pos64(hit_a))] & hit_b & -hit_b) == 0;
		hit_a &= hit_a - 1;
		hit_b &= hit_b - 1;
	}
	return similarity_of(na, nb, matches, differ);
}

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

/* Jaro similarity of a pair in which no text is empty, of any length. */
static double
jaro_long(const ComparePair *p)
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
	return similarity_of(p->na, p->nb, matches, differ);
}

/* Jaro similarity of a pair in which no text is empty. */
static double
jaro_pair(const ComparePair *p)
{
	uint64		place[256];

	if (p->na > WORD_BITS || p->nb > WORD_BITS || p->nsymbols > lengthof(place))
		return jaro_long(p);
	memset(place, 0, sizeof(uint64) * p->nsymbols);
	return jaro_short(p->a, p->na, p->b, p->nb, false, place);
}

/* Whether both texts are short ASCII, for which place[] then is prepared. */
static inline bool
short_ascii(const char *a, int alen, const char *b, int blen, uint64 place[128])
{
	unsigned char all = 0;

	if (alen > WORD_BITS || blen > WORD_BITS)
		return false;
	for (int i = 0; i < alen; i++)
	{
		all |= (unsigned char) a[i];
		place[a[i] & 0x7F] = 0;
	}
	for (int j = 0; j < blen; j++)
	{
		all |= (unsigned char) b[j];
		place[b[j] & 0x7F] = 0;
	}
	return all < 0x80;
}

/* Both similarities: short ASCII, as most names are, is read where it stands. */
static pg_attribute_always_inline double
jaro(const char *a, int alen, const char *b, int blen, bool winkler)
{
	ComparePair pair;
	uint64		place[128];
	double		similarity;

	if (compare_same(a, alen, b, blen))
		return 1.0;
	if (alen == 0 || blen == 0)
		return 0.0;
	if (short_ascii(a, alen, b, blen, place))
	{
		similarity = jaro_short(a, alen, b, blen, true, place);
		return winkler ? boost(similarity, a, alen, b, blen, true) : similarity;
	}
	cdp_compare_open(&pair, a, alen, b, blen, CDP_COMPARE_MAX_CHARS);
	similarity = jaro_pair(&pair);
	if (winkler)
		similarity = boost(similarity, pair.a, pair.na, pair.b, pair.nb, false);
	cdp_compare_close(&pair);
	return similarity;
}

/* Jaro similarity; nothing is kept. */
double
cdp_compare_jaro(const char *a, int alen, const char *b, int blen)
{
	return jaro(a, alen, b, blen, false);
}

/* Jaro-Winkler similarity: above 0.7 a common prefix moves it towards 1; nothing is kept. */
double
cdp_compare_jaro_winkler(const char *a, int alen, const char *b, int blen)
{
	return jaro(a, alen, b, blen, true);
}

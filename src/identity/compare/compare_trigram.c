/*
 * compare_trigram.c
 *		Similarity of the sets of trigrams, and of characters, of two texts.
 *
 * A text's trigrams are all runs of three characters of the text with two
 * blanks in front and one behind, as a set.  These blanks are no character: a
 * blank of the text is another symbol.  The whole text is padded, not each word.
 */
#include "identity/compare/compare_symbols.h"

#define SYMBOL_BITS 21			/* three of them fit into a key of 64 bits */
#define INTERRUPT_EVERY 0xFFFF

#define ST_SORT sort_trigrams
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* How many members two sets have, and how many are in both. */
typedef struct Overlap
{
	int			a;
	int			b;
	int			both;
} Overlap;

/* Writes the trigrams of a text, sorted and each once; there is room for n + 1.  Returns how many. */
static int
make_trigrams(const uint32 *s, int n, uint64 *out)
{
	uint64		key = 0;
	int			distinct = 0;

	if (n == 0)
		return 0;
	for (int i = 0; i <= n; i++)
	{
		key = (key << SYMBOL_BITS | (i < n ? s[i] : 0)) & ((UINT64CONST(1) << (3 * SYMBOL_BITS)) - 1);
		out[i] = key;
		if (unlikely((i & INTERRUPT_EVERY) == INTERRUPT_EVERY))
			CHECK_FOR_INTERRUPTS();
	}
	sort_trigrams(out, n + 1);
	for (int i = 0; i <= n; i++)
	{
		if (i == 0 || out[i] != out[i - 1])
			out[distinct++] = out[i];
	}
	return distinct;
}

/* Counts trigrams of two texts; nothing is kept. */
static Overlap
trigram_overlap(const char *a, int alen, const char *b, int blen)
{
	ComparePair pair;
	uint64		stack[2 * (COMPARE_SHORT + 1)];
	uint64	   *left,
			   *right;
	Overlap		o = {0};

	cdp_compare_open(&pair, a, alen, b, blen, CDP_COMPARE_MAX_CHARS);
	StaticAssertStmt(2 * CDP_COMPARE_MAX_CHARS <= 1 << SYMBOL_BITS, "a symbol takes too many bits");
	left = compare_space(stack, sizeof(stack), sizeof(uint64) * ((Size) pair.na + pair.nb + 2));
	right = left + pair.na + 1;
	o.a = make_trigrams(pair.a, pair.na, left);
	o.b = make_trigrams(pair.b, pair.nb, right);
	for (int i = 0, j = 0; i < o.a && j < o.b;)
	{
		if (left[i] < right[j])
			i++;
		else if (left[i] > right[j])
			j++;
		else
		{
			o.both++;
			i++;
			j++;
		}
	}
	compare_release(left, stack);
	cdp_compare_close(&pair);
	return o;
}

/* Counts distinct characters of two texts; nothing is kept. */
static Overlap
character_overlap(const char *a, int alen, const char *b, int blen)
{
	ComparePair pair;
	uint8		stack[2 * COMPARE_SHORT + 1];
	uint8	   *seen;			/* by symbol: 1 in a, 2 in b */
	Overlap		o = {0};

	cdp_compare_open(&pair, a, alen, b, blen, CDP_COMPARE_MAX_CHARS);
	seen = compare_space(stack, sizeof(stack), pair.nsymbols);
	memset(seen, 0, pair.nsymbols);
	for (int i = 0; i < pair.na; i++)
		seen[pair.a[i]] |= 1;
	for (int j = 0; j < pair.nb; j++)
		seen[pair.b[j]] |= 2;
	CHECK_FOR_INTERRUPTS();
	for (int symbol = 0; symbol < pair.nsymbols; symbol++)
	{
		o.a += seen[symbol] & 1;
		o.b += seen[symbol] >> 1;
		o.both += seen[symbol] == 3;
	}
	compare_release(seen, stack);
	cdp_compare_close(&pair);
	return o;
}

/* Members in both sets / members in either. */
static inline double
jaccard(Overlap o)
{
	return (double) o.both / (o.a + o.b - o.both);
}

/* Dice coefficient of the trigrams; nothing is kept. */
double
cdp_compare_trigram_dice(const char *a, int alen, const char *b, int blen)
{
	Overlap		o;

	if (compare_same(a, alen, b, blen))
		return 1.0;
	o = trigram_overlap(a, alen, b, blen);
	return 2.0 * o.both / (o.a + o.b);
}

/* Jaccard coefficient of the trigrams; nothing is kept. */
double
cdp_compare_trigram_jaccard(const char *a, int alen, const char *b, int blen)
{
	return compare_same(a, alen, b, blen) ? 1.0 : jaccard(trigram_overlap(a, alen, b, blen));
}

/* Jaccard coefficient of the characters; nothing is kept. */
double
cdp_compare_character_jaccard(const char *a, int alen, const char *b, int blen)
{
	return compare_same(a, alen, b, blen) ? 1.0 : jaccard(character_overlap(a, alen, b, blen));
}

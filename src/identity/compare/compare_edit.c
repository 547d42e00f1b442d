/*
 * compare_edit.c
 *		Edit distances: Levenshtein, optimal string alignment and
 *		Damerau-Levenshtein.
 *
 * Bit-parallel after Myers (1999) and Hyyrö (2003): a machine word holds the
 * differences between neighbouring cells of a column of the dynamic programme,
 * 64 rows at a time.  The shorter text stands in the rows.  With a max only
 * the words that touch the diagonals up to max are worked on; the cells beyond
 * are taken as large, which they are.
 */
#include "identity/compare/compare_symbols.h"

typedef enum EditKind
{
	EDIT_LEVENSHTEIN,
	EDIT_ALIGNMENT,				/* and swaps of neighbours, no part being edited twice */
	EDIT_DAMERAU				/* and edits between what is swapped */
} EditKind;

#define WORD_BITS 64
#define INTERRUPT_EVERY 0xFF

/* 64 rows of the last column worked on. */
typedef struct Word
{
	uint64		up;				/* cell is one more than the one above */
	uint64		down;			/* cell is one less than the one above */
	uint64		same;			/* cell equals the one above and left */
	uint64		match;			/* row's symbol is the column's */
} Word;

/*
 * Where a symbol stands in the rows: a bit row for one that is frequent, else
 * a list of places.  Both together take memory in proportion to the rows.
 */
typedef struct Places
{
	int			words;
	int		   *head;			/* by symbol: first place, or -1 */
	int		   *next;			/* by place: next place of its symbol, or -1 */
	int		   *row_of;			/* by symbol: its bit row, or -1 */
	uint64	   *row;
} Places;

/* Distance when the rows fit into one word. */
static int
short_distance(const ComparePair *p, int max, bool transpose)
{
	uint64		stack[2 * COMPARE_SHORT + 1];
	uint64	   *match = compare_space(stack, sizeof(stack), sizeof(uint64) * (Size) p->nsymbols);
	uint64		last = UINT64CONST(1) << (p->na - 1);
	uint64		up = ~UINT64CONST(0),
				down = 0,
				same = 0,
				previous = 0;
	int			distance = p->na;

	for (int i = 0; i < p->na; i++)
		match[p->a[i]] = 0;
	for (int j = 0; j < p->nb; j++)
		match[p->b[j]] = 0;
	for (int i = 0; i < p->na; i++)
		match[p->a[i]] |= UINT64CONST(1) << i;
	for (int j = 0; j < p->nb; j++)
	{
		uint64		m = match[p->b[j]];
		uint64		swapped = transpose ? ((~same & m) << 1) & previous : 0;
		uint64		right_up,
					right_down;

		same = (((m & up) + up) ^ up) | m | down | swapped;
		right_up = down | ~(same | up);
		right_down = same & up;
		distance += (right_up & last) != 0;
		distance -= (right_down & last) != 0;
		if (distance - (p->nb - 1 - j) > max)
		{
			distance = max + 1;
			break;
		}
		right_up = (right_up << 1) | 1;
		right_down <<= 1;
		up = right_down | ~(same | right_up);
		down = right_up & same;
		previous = m;
		if (unlikely((j & INTERRUPT_EVERY) == INTERRUPT_EVERY))
			CHECK_FOR_INTERRUPTS();
	}
	compare_release(match, stack);
	return distance;
}

/* Notes where each symbol stands in a; close_places() gives the memory back. */
static void
open_places(Places *s, const ComparePair *p)
{
	int		   *count = palloc0(sizeof(int) * (Size) p->nsymbols);
	int			nrows = 0;

	s->words = (p->na + WORD_BITS - 1) / WORD_BITS;
	s->head = palloc(sizeof(int) * (Size) p->nsymbols);
	s->next = palloc(sizeof(int) * (Size) p->na);
	s->row_of = palloc(sizeof(int) * (Size) p->nsymbols);
	for (int i = 0; i < p->na; i++)
		count[p->a[i]]++;
	for (int symbol = 0; symbol < p->nsymbols; symbol++)
	{
		s->head[symbol] = -1;
		s->row_of[symbol] = count[symbol] > s->words ? nrows++ : -1;
	}
	CHECK_FOR_INTERRUPTS();
	s->row = palloc0(Max(sizeof(uint64) * (Size) nrows * s->words, 1));
	for (int i = p->na - 1; i >= 0; i--)
	{
		int			row = s->row_of[p->a[i]];

		s->next[i] = s->head[p->a[i]];
		s->head[p->a[i]] = i;
		if (row >= 0)
			s->row[(Size) row * s->words + i / WORD_BITS] |= UINT64CONST(1) << (i % WORD_BITS);
	}
	pfree(count);
}

/* Gives back what open_places() took. */
static void
close_places(Places *s)
{
	pfree(s->head);
	pfree(s->next);
	pfree(s->row_of);
	pfree(s->row);
}

/*
 * Moves the words first to last over one column, whose symbol is given.
 * Returns how the cell in the lowest row of the last word changes.
 */
static int
next_column(Word *word, Places *s, uint32 symbol, int first, int last, int lowest_bit, bool transpose)
{
	const uint64 *row = s->row_of[symbol] >= 0 ? s->row + (Size) s->row_of[symbol] * s->words : NULL;
	int			place = -1;
	uint64		carry_up = 1,
				carry_down = 0;
	uint64		above_same = 0,
				above_match = 0;
	uint64		right_up = 0,
				right_down = 0;

	if (row == NULL)
	{
		/* Rows above the first word never come back. */
		while (s->head[symbol] >= 0 && s->head[symbol] < first * WORD_BITS)
			s->head[symbol] = s->next[s->head[symbol]];
		place = s->head[symbol];
	}
	for (int w = first; w <= last; w++)
	{
		Word		old = word[w];
		uint64		m = 0,
					x,
					same;

		if (row != NULL)
			m = row[w];
		for (; place >= 0 && place < (w + 1) * WORD_BITS; place = s->next[place])
			m |= UINT64CONST(1) << (place % WORD_BITS);
		x = m | carry_down;
		same = (((x & old.up) + old.up) ^ old.up) | x | old.down;
		if (transpose)
			same |= (((~old.same & m) << 1) | ((~above_same & above_match) >> (WORD_BITS - 1))) & old.match;
		right_up = old.down | ~(same | old.up);
		right_down = same & old.up;
		above_same = old.same;
		above_match = m;
		x = (right_up << 1) | carry_up;
		word[w].down = x & same;
		word[w].up = (right_down << 1) | carry_down | ~(same | x);
		word[w].same = same;
		word[w].match = m;
		carry_up = right_up >> (WORD_BITS - 1);
		carry_down = right_down >> (WORD_BITS - 1);
	}
	return (int) ((right_up >> lowest_bit) & 1) - (int) ((right_down >> lowest_bit) & 1);
}

/* Distance when the rows take several words. */
static int
long_distance(const ComparePair *p, int max, bool transpose)
{
	Places		places;
	Word	   *word;
	int			band = max + 2; /* a transposition looks two cells back */
	int			last = -1;
	int			distance = 0;

	open_places(&places, p);
	word = palloc(sizeof(Word) * (Size) places.words);
	for (int j = 0; j < p->nb; j++)
	{
		int			first = j > band ? (j - band) / WORD_BITS : 0;
		int			reach = Min((int64) j + band, p->na - 1) / WORD_BITS;
		int			lowest_bit;

		while (last < reach)
		{
			Word		fresh = {.up = ~UINT64CONST(0)};

			word[++last] = fresh;
			distance += Min(WORD_BITS, p->na - last * WORD_BITS);
		}
		lowest_bit = Min(WORD_BITS, p->na - last * WORD_BITS) - 1;
		distance += next_column(word, &places, p->b[j], first, last, lowest_bit, transpose);
		if (unlikely((j & INTERRUPT_EVERY) == INTERRUPT_EVERY))
			CHECK_FOR_INTERRUPTS();
	}
	close_places(&places);
	pfree(word);
	return Min(distance, max + 1);
}

/* Puts the shorter text first and drops what both begin and end with. */
static void
trim_pair(ComparePair *p)
{
	if (p->na > p->nb)
	{
		uint32	   *s = p->a;
		int			n = p->na;

		p->a = p->b;
		p->na = p->nb;
		p->b = s;
		p->nb = n;
	}
	while (p->na > 0 && p->a[p->na - 1] == p->b[p->nb - 1])
	{
		p->na--;
		p->nb--;
	}
	while (p->na > 0 && p->a[0] == p->b[0])
	{
		p->a++;
		p->b++;
		p->na--;
		p->nb--;
	}
}

/* The distance up to max of a pair that was trimmed, without edits between what is swapped. */
static int
aligned_distance(const ComparePair *p, int max, bool transpose)
{
	if (p->nb - p->na > max)
		return max + 1;
	if (p->na == 0)
		return p->nb;
	return p->na <= WORD_BITS ? short_distance(p, max, transpose) : long_distance(p, max, transpose);
}

/*
 * The unrestricted distance of such a pair.  It differs from the alignment
 * only where a swap spans a gap.  That costs two or more, and one more as an
 * alignment: so up to 2 both are the same, and an alignment above 3/2 max is
 * above max without restriction too.
 */
static int
damerau_distance(const ComparePair *p, int max)
{
	int			aligned = aligned_distance(p, Min(max + max / 2, p->nb), true);
	int			bound = Min(max, aligned - 1);
	int			distance;

	if (aligned <= 2 || aligned > max + max / 2)
		return Min(aligned, max + 1);
	distance = cdp_compare_unrestricted(p, bound);
	return distance <= bound ? distance : Min(aligned, max + 1);
}

/* The distance of two texts up to max, and the characters of the longer one. */
static int
edit_distance(const char *a, int alen, const char *b, int blen, int max, EditKind kind, int *longer)
{
	ComparePair pair;
	int			limit = max >= 0 && max <= CDP_COMPARE_SMALL_MAX ? CDP_COMPARE_MAX_CHARS : CDP_COMPARE_MAX_EDIT_CHARS;
	int			distance;

	cdp_compare_open(&pair, a, alen, b, blen, limit);
	*longer = Max(pair.na, pair.nb);
	if (max < 0 || max > *longer)
		max = *longer;
	trim_pair(&pair);
	distance = kind == EDIT_DAMERAU ? damerau_distance(&pair, max) : aligned_distance(&pair, max, kind == EDIT_ALIGNMENT);
	cdp_compare_close(&pair);
	return distance;
}

/* The distance that the SQL functions and the matcher ask for: no look at the characters of equal texts. */
static inline int
distance_to(const char *a, int alen, const char *b, int blen, int max, EditKind kind)
{
	int			longer;

	return compare_same(a, alen, b, blen) ? 0 : edit_distance(a, alen, b, blen, max, kind, &longer);
}

/* 1 - distance / characters of the longer text. */
static inline double
similarity_of(const char *a, int alen, const char *b, int blen, EditKind kind)
{
	int			longer;
	int			distance;

	if (compare_same(a, alen, b, blen))
		return 1.0;
	distance = edit_distance(a, alen, b, blen, CDP_COMPARE_NO_MAX, kind, &longer);
	return 1.0 - (double) distance / longer;
}

/* Insertions, deletions and substitutions, or max + 1 when they are more than max; nothing is kept. */
int
cdp_compare_levenshtein(const char *a, int alen, const char *b, int blen, int max)
{
	return distance_to(a, alen, b, blen, max, EDIT_LEVENSHTEIN);
}

/* The same with swaps of neighbours, no part being edited twice; nothing is kept. */
int
cdp_compare_alignment(const char *a, int alen, const char *b, int blen, int max)
{
	return distance_to(a, alen, b, blen, max, EDIT_ALIGNMENT);
}

/* The same with edits between what is swapped; nothing is kept. */
int
cdp_compare_damerau(const char *a, int alen, const char *b, int blen, int max)
{
	return distance_to(a, alen, b, blen, max, EDIT_DAMERAU);
}

/* Levenshtein distance as a similarity; nothing is kept. */
double
cdp_compare_levenshtein_similarity(const char *a, int alen, const char *b, int blen)
{
	return similarity_of(a, alen, b, blen, EDIT_LEVENSHTEIN);
}

/* Damerau-Levenshtein distance as a similarity; nothing is kept. */
double
cdp_compare_damerau_similarity(const char *a, int alen, const char *b, int blen)
{
	return similarity_of(a, alen, b, blen, EDIT_DAMERAU);
}

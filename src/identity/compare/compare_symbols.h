/*
 * compare_symbols.h
 *		Two texts as arrays of small numbers, on which the comparators work.
 */
#ifndef CDP_COMPARE_SYMBOLS_H
#define CDP_COMPARE_SYMBOLS_H

#include "identity/compare/compare.h"

/* Texts of up to so many bytes are compared without allocating. */
#define COMPARE_SHORT 256

/* Equal characters of the two texts have equal numbers, from 1 to nsymbols - 1. */
typedef struct ComparePair
{
	uint32	   *a;
	uint32	   *b;
	int			na;
	int			nb;
	int			nsymbols;
	uint32	   *allocated_a;	/* NULL when the text stands in the space below */
	uint32	   *allocated_b;
	uint32		space_a[COMPARE_SHORT];
	uint32		space_b[COMPARE_SHORT];
} ComparePair;

extern void cdp_compare_open(ComparePair *pair, const char *a, int alen, const char *b, int blen, int limit);
extern void cdp_compare_close(ComparePair *pair);
extern int	cdp_compare_unrestricted(const ComparePair *pair, int max);

/* Whether two texts are the same bytes, which every comparator can answer at once. */
static inline bool
compare_same(const char *a, int alen, const char *b, int blen)
{
	return alen == blen && memcmp(a, b, alen) == 0;
}

/* Returns the stack's space when it is large enough, else new memory, which compare_release() gives back. */
static inline void *
compare_space(void *stack, Size stack_size, Size needed)
{
	return needed <= stack_size ? stack : palloc(needed);
}

static inline void
compare_release(void *space, void *stack)
{
	if (space != stack)
		pfree(space);
}

#endif							/* CDP_COMPARE_SYMBOLS_H */

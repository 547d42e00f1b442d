/*
 * compare_damerau.c
 *		Damerau-Levenshtein distance without restriction: what lies between two
 *		swapped symbols may be edited too, so CA to ABC is 2.
 *
 * The recurrence of Lowrance and Wagner (1975) looks back to any cell.  As
 * Zhao and Sahni (2019) note, a swap over a gap pays only when one of the two
 * gaps is empty, so that three rows and one remembered cell a column do.  Only
 * cells within max of the diagonal are worked on; those beyond are larger than
 * max.  Memory: 20 bytes a symbol of the longer text.
 */
#include "identity/compare/compare_symbols.h"

#define FAR (PG_INT32_MAX / 2)
#define INTERRUPT_EVERY 0xFF

/* Rows are shifted by two, so that cells left of the first column can be read. */
typedef struct Rows
{
	int32	   *above2;
	int32	   *above;
	int32	   *now;
	int32	   *saved;			/* by column: the cell a row and two columns before the last match of its symbol */
	int32	   *last_row;		/* by symbol: the last row that it stands in, 0 for none */
	int			max;
} Rows;

/* Works on row i, between two columns; returns its smallest cell. */
static int
next_row(Rows *t, const ComparePair *p, int i, int from, int to)
{
	uint32		symbol = p->a[i - 1];
	int			last_match = 0; /* column of this row's last match before j */
	int32		before_match = FAR;
	int			least = FAR;

	t->now[from] = t->now[from + 1] = FAR;
	if (from == 1)
		least = t->now[2] = i;
	for (int j = from; j <= to; j++)
	{
		int32	   *now = &t->now[j + 2];
		int			row = t->last_row[p->b[j - 1]];

		if (symbol == p->b[j - 1])
		{
			*now = t->above[j + 1];
			before_match = t->above2[j + 1];
			t->saved[j] = t->above[j];
			last_match = j;
		}
		else
		{
			*now = Min(Min(now[-1], t->above[j + 2]), t->above[j + 1]) + 1;
			/* One of the two gaps is empty. A match beyond the band was never saved, and is too far. */
			if (last_match == 0 || row == 0)
				;
			else if (last_match == j - 1 && j - row <= t->max)
				*now = Min(*now, t->saved[j] + (i - row));
			else if (row == i - 1)
				*now = Min(*now, before_match + (j - last_match));
		}
		least = Min(least, *now);
	}
	t->now[to + 3] = FAR;
	return least;
}

/* The distance of a pair up to max, or max + 1; nothing is kept. */
int
cdp_compare_unrestricted(const ComparePair *p, int max)
{
	int32		stack[4 * (COMPARE_SHORT + 4)];
	int32		stack_rows[2 * COMPARE_SHORT + 1];
	Size		width = (Size) p->nb + 4;
	int32	   *space = compare_space(stack, sizeof(stack), 4 * width * sizeof(int32));
	Rows		t = {space, space + width, space + 2 * width, space + 3 * width, NULL, max};
	int			distance = 0;

	t.last_row = compare_space(stack_rows, sizeof(stack_rows), sizeof(int32) * (Size) p->nsymbols);
	for (int j = 0; j < p->nb; j++)
		t.last_row[p->b[j]] = 0;
	for (int i = 0; i < p->na; i++)
		t.last_row[p->a[i]] = 0;
	for (Size j = 0; j < width; j++)
		t.above2[j] = t.above[j] = t.now[j] = FAR;
	for (int j = 0; j <= Min(p->nb, max); j++)
		t.above[j + 2] = j;
	for (int i = 1; i <= p->na && distance <= max; i++)
	{
		int32	   *oldest = t.above2;

		/* No later row holds a cell below the least of this one. */
		distance = next_row(&t, p, i, Max(1, i - max), (int) Min((int64) p->nb, (int64) i + max));
		t.last_row[p->a[i - 1]] = i;
		t.above2 = t.above;
		t.above = t.now;
		t.now = oldest;
		if (unlikely((i & INTERRUPT_EVERY) == INTERRUPT_EVERY))
			CHECK_FOR_INTERRUPTS();
	}
	distance = distance > max ? max + 1 : Min(t.above[p->nb + 2], max + 1);
	compare_release(t.last_row, stack_rows);
	compare_release(space, stack);
	return distance;
}

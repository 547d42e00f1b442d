/*
 * order.c
 *		Sorts one customer's rows: by time and id, or without ids by time,
 *		touch before milestone before conversion before refund, label, value.
 *
 * Everything that distinguishes two rows takes part, so that the result does
 * not depend on the order of the input. Most customers are short or sorted
 * already; long ones are merged, which never turns quadratic.
 */
#include "attribution/pass/journey.h"

#define SHORT_RUN 16

/* Orders two values. */
static inline int
compare_words(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

/* Orders rows of equal time that the item alone does not tell apart. */
static int
compare_rows(const CdpWalk *w, const CdpItem *a, const CdpItem *b)
{
	const CdpStore *s = w->store;
	int			kind_a = CDP_ITEM_CLASS(a->rank) >= CDP_CLASS_CONVERSION;
	int			kind_b = CDP_ITEM_CLASS(b->rank) >= CDP_CLASS_CONVERSION;
	const uint64 *x;
	const uint64 *y;
	int			c = 0;

	/* Without ids, touches of equal rank are alike. */
	if (!s->id_word && a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (!s->id_word && !kind_a)
		return 0;
	x = cdp_store_at(s, kind_a, w->partition, a->row);
	y = cdp_store_at(s, kind_b, w->partition, b->row);
	if (s->id_word)
		c = compare_words(x[s->id_word], y[s->id_word]);
	if (c == 0)
		c = compare_words(a->rank, b->rank);
	if (c == 0 && kind_a)
		c = compare_words(x[s->value_word], y[s->value_word]);
	if (c == 0)
		c = compare_words(x[2] >> 32, y[2] >> 32);
	if (c == 0 && s->session_word)
		c = compare_words(x[s->session_word], y[s->session_word]);
	return c;
}

/* Tells whether b must come before a. */
static inline bool
is_before(const CdpWalk *w, const CdpItem *b, const CdpItem *a)
{
	if (likely(b->at != a->at))
		return b->at < a->at;
	return compare_rows(w, b, a) < 0;
}

/* Sorts a few items in place. */
static inline void
sort_short(const CdpWalk *w, CdpItem *items, int n)
{
	for (int i = 1; i < n; i++)
	{
		CdpItem		item = items[i];
		int			k = i;

		for (; k > 0 && is_before(w, &item, &items[k - 1]); k--)
			items[k] = items[k - 1];
		items[k] = item;
	}
}

/* Merges two sorted neighbours into out. */
static void
merge(const CdpWalk *w, const CdpItem *left, int nleft, const CdpItem *right, int nright, CdpItem *out)
{
	int			i = 0;
	int			k = 0;

	if (nright == 0 || !is_before(w, &right[0], &left[nleft - 1]))
	{
		memcpy(out, left, sizeof(CdpItem) * nleft);
		memcpy(out + nleft, right, sizeof(CdpItem) * nright);
		return;
	}
	while (i < nleft && k < nright)
		*out++ = is_before(w, &right[k], &left[i]) ? right[k++] : left[i++];
	memcpy(out, left + i, sizeof(CdpItem) * (nleft - i));
	memcpy(out + nleft - i, right + k, sizeof(CdpItem) * (nright - k));
}

/* Sorts n items in place; scratch has room for as many. */
void
cdp_items_sort(const CdpWalk *w, CdpItem *items, CdpItem *scratch, int n)
{
	CdpItem    *from = items;
	CdpItem    *to = scratch;

	if (n <= 2 * SHORT_RUN)
	{
		sort_short(w, items, n);
		return;
	}
	for (int i = 0; i < n; i += SHORT_RUN)
		sort_short(w, items + i, Min(SHORT_RUN, n - i));
	for (int64 width = SHORT_RUN; width < n; width *= 2)
	{
		CdpItem    *swap = from;

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < n; i += 2 * width)
		{
			int			nleft = (int) Min(width, n - i);
			int			nright = (int) Min(width, n - i - nleft);

			merge(w, from + i, nleft, from + i + nleft, nright, to + i);
		}
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, sizeof(CdpItem) * n);
}

/*
 * order.c
 *		Sorts the rows of one key by time; what orders rows of one time, the
 *		caller says.
 *
 * Most customers are short or sorted already; long ones are merged, which never
 * turns quadratic.
 */
#include "base/rows/order.h"

#define SHORT_RUN 16

/* Tells whether b must come before a. */
static inline bool
is_before(const CdpItem *b, const CdpItem *a, CdpTieOrder ties, const void *arg)
{
	if (likely(b->at != a->at))
		return b->at < a->at;
	return ties(b, a, arg) < 0;
}

/* Sorts a few items in place. */
static inline void
sort_short(CdpItem *items, int n, CdpTieOrder ties, const void *arg)
{
	for (int i = 1; i < n; i++)
	{
		CdpItem		item = items[i];
		int			k = i;

		for (; k > 0 && is_before(&item, &items[k - 1], ties, arg); k--)
			items[k] = items[k - 1];
		items[k] = item;
	}
}

/* Merges two sorted neighbours into out. */
static void
merge(const CdpItem *left, int nleft, const CdpItem *right, int nright, CdpItem *out, CdpTieOrder ties, const void *arg)
{
	int			i = 0;
	int			k = 0;

	if (nright == 0 || !is_before(&right[0], &left[nleft - 1], ties, arg))
	{
		memcpy(out, left, sizeof(CdpItem) * nleft);
		memcpy(out + nleft, right, sizeof(CdpItem) * nright);
		return;
	}
	while (i < nleft && k < nright)
		*out++ = is_before(&right[k], &left[i], ties, arg) ? right[k++] : left[i++];
	memcpy(out, left + i, sizeof(CdpItem) * (nleft - i));
	memcpy(out + nleft - i, right + k, sizeof(CdpItem) * (nright - k));
}

/* Sorts n items in place; scratch has room for as many. */
void
cdp_items_sort(CdpItem *items, CdpItem *scratch, int n, CdpTieOrder ties, const void *arg)
{
	CdpItem    *from = items;
	CdpItem    *to = scratch;

	if (n <= 2 * SHORT_RUN)
	{
		sort_short(items, n, ties, arg);
		return;
	}
	for (int i = 0; i < n; i += SHORT_RUN)
		sort_short(items + i, Min(SHORT_RUN, n - i), ties, arg);
	for (int64 width = SHORT_RUN; width < n; width *= 2)
	{
		CdpItem    *swap = from;

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < n; i += 2 * width)
		{
			int			nleft = (int) Min(width, n - i);
			int			nright = (int) Min(width, n - i - nleft);

			merge(from + i, nleft, from + i + nleft, nright, to + i, ties, arg);
		}
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, sizeof(CdpItem) * n);
}

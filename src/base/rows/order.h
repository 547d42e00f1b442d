/*
 * order.h
 *		The rows of one key as far as their order needs them.
 */
#ifndef CDP_ORDER_H
#define CDP_ORDER_H

#include "cdp.h"

typedef struct CdpItem
{
	int64		at;
	uint32		rank;			/* of the label, with what else the pass orders by */
	uint32		row;			/* in the partition */
} CdpItem;

/* Orders two rows of one time: below zero when a comes first. */
typedef int (*CdpTieOrder) (const CdpItem *a, const CdpItem *b, const void *arg);

extern void cdp_items_sort(CdpItem *items, CdpItem *scratch, int n, CdpTieOrder ties, const void *arg);

/* Whether no two rows have one time and all are in order. */
static inline bool
cdp_items_sorted(const CdpItem *items, int n)
{
	for (int i = 1; i < n; i++)
		if (items[i - 1].at >= items[i].at)
			return false;
	return true;
}

/* Orders two numbers. */
static inline int
cdp_compare_int64(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

#endif							/* CDP_ORDER_H */

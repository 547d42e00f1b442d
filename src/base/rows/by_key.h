/*
 * by_key.h
 *		The rows of a pass, one key after another, each in order of time.
 */
#ifndef CDP_BY_KEY_H
#define CDP_BY_KEY_H

#include "base/rows/order.h"
#include "base/rows/store.h"

/* The item of a row that is nothing but time and label. */
#define CDP_BARE_ROW PG_UINT32_MAX

/* All rows of one key; an item's rank is the place of its label among the sorted ones. */
typedef struct CdpKeyRows
{
	CdpStore   *store;
	int			partition;
	uint64		key;
	uint64		key2;
	const CdpItem *item;
	int			n;
	void	   *arg;			/* the visitor's */
} CdpKeyRows;

typedef void (*CdpVisitKey) (const CdpKeyRows *rows);

extern void cdp_by_key(CdpStore *s, const uint32 *rank, CdpTieOrder ties, CdpVisitKey visit, void *arg);

/* The words of a row that has more than time and label; NULL for others. */
static inline const uint64 *
cdp_key_row(const CdpKeyRows *rows, const CdpItem *item)
{
	if (item->row == CDP_BARE_ROW)
		return NULL;
	return cdp_store_at(rows->store, CDP_STORE_FULL, rows->partition, item->row);
}

/* One further word of a row; NULL stands for a bare row, which has none. */
static inline int64
cdp_key_word(const CdpKeyRows *rows, const uint64 *row, int n)
{
	return row == NULL ? 0 : (int64) row[rows->store->extra_word + n];
}

#endif							/* CDP_BY_KEY_H */

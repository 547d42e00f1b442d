/*
 * journey.h
 *		One customer's rows in order, and the journeys cut from them.
 */
#ifndef CDP_JOURNEY_H
#define CDP_JOURNEY_H

#include "attribution/pass/pass.h"
#include "base/rows/order.h"

/* The rank of an item: class (2 bits: touch, milestone, conversion, refund) and label. */
#define CDP_ITEM_CLASS(rank) ((rank) >> 30)
#define CDP_ITEM_LABEL(rank) ((rank) & 0x3FFFFFFF)
/* Conversions without label come before those with one, so theirs is 0 and the others count from 1. */
#define CDP_ITEM_NO_LABEL 0
#define CDP_CLASS_TOUCH 0
#define CDP_CLASS_MILESTONE 1
#define CDP_CLASS_CONVERSION 2
#define CDP_CLASS_REFUND 3

typedef struct CdpConversion
{
	int64		at;
	int64		id;
	int64		session;
	int128		net;			/* micro-units less refunds */
	int			position;		/* touches before it */
	int			refunds;
	uint32		label;
	int			milestone[CDP_MAX_MILESTONES]; /* touches before the latest one, -1 = none */
} CdpConversion;

/* The latest milestone of a kind. */
typedef struct CdpMilestone
{
	int			position;		/* touches before it, -1 = none yet */
	int64		at;
} CdpMilestone;

typedef struct CdpWalk
{
	CdpPass    *pass;
	const CdpOptions *options;
	CdpStore   *store;
	CdpSums    *sums;
	MemoryContext cxt;
	int			partition;
	const uint32 *rank;			/* place of each label among the sorted ones */
	const uint32 *conversion_rank; /* the same for labels of conversions */
	bool	   *excluded;		/* [label], or NULL */
	int64		longest;		/* longest lookback of any kind */
	int64	   *kind_lookback;	/* [kind + 1], or NULL */

	/* the customer at hand */
	const char *customer;
	int			touch_room;
	int			ntouches;
	uint32	   *label;
	int64	   *at;
	int64	   *id;				/* wide passes only, else NULL */
	int64	   *session;
	uint16	   *kind;
	bool	   *used;			/* by a conversion's journey */
	int			conversion_room;
	int			nconversions;
	CdpConversion *conversion;

	/* the journey at hand, when it is not a slice of the above */
	int		   *pick;
	uint32	   *out_label;
	int64	   *out_at;
	int64	   *out_id;
	int64	   *out_session;
} CdpWalk;

/* walk.c */
extern void cdp_walk_customer(CdpWalk *w, const CdpItem *items, int n);
extern void cdp_walk_lonely(CdpWalk *w, const uint64 *row);
extern void cdp_walk_orphans(CdpWalk *w);

#endif							/* CDP_JOURNEY_H */

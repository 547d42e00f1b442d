/*
 * funnel.h
 *		Funnels: how far each customer goes through a list of steps.
 *
 * The way of a row: funnel_pass.c stores it when its label is a step or may
 * break a chain; at the end funnel_walk.c goes through each customer's rows and
 * finds the furthest chain; funnel_partial.c keeps the counts as a value of type
 * cdp.funnel_partial, which funnel_rows.c opens.
 */
#ifndef CDP_FUNNEL_H
#define CDP_FUNNEL_H

#include "cdp.h"

#include "base/rows/by_key.h"
#include "base/rows/labels.h"
#include "journey/fields.h"
#include "journey/pass.h"
#include "journey/spans.h"
#include "lib/stringinfo.h"

#define CDP_MAX_STEPS 64

typedef enum CdpFunnelOrder
{
	CDP_FUNNEL_ORDERED,			/* other rows may come between two steps */
	CDP_FUNNEL_STRICT,			/* none may */
	CDP_FUNNEL_UNORDERED		/* the steps come in any order */
} CdpFunnelOrder;

/* Rows of one time may be two steps, in the order of their ids. */
#define CDP_FUNNEL_TIES_BY_ID 1
/* The last step reached names the breakdown, not the first. */
#define CDP_FUNNEL_BREAKDOWN_LAST 1

/* Two steps, counted from 1. */
typedef struct CdpFunnelRange
{
	int			from;
	int			to;
} CdpFunnelRange;

typedef struct CdpFunnelOptions
{
	CdpTexts	steps;			/* as typed: labels that count, divided by | */
	int64		within;			/* from the first step to any other; PG_INT64_MAX = unbounded */
	CdpDurations step_within;	/* none, or one for each step but the first, from the step before */
	int			step_order;		/* a CdpFunnelOrder */
	int			ties;
	CdpTexts	exclude;
	int			ranges;			/* 1, or one for each excluded label */
	CdpFunnelRange *exclude_between;	/* where excluded rows break a chain */
	int			breakdown;
	bool		durations;
	int64		since;			/* of the first step; DT_NOBEGIN = no limit */
	int64		until;			/* DT_NOEND = no limit */
	int64		as_of;			/* DT_NOEND = no limit */
} CdpFunnelOptions;

/* One step of one breakdown. */
typedef struct CdpFunnelCell
{
	int64		customers;		/* who came at least this far */
	CdpSpans	previous;		/* from the step before */
	CdpSpans	first;			/* from the first step */
} CdpFunnelCell;

/* Counts of rows that a pass left out. */
typedef enum CdpFunnelCounter
{
	CDP_FUNNEL_ROWS,
	CDP_FUNNEL_NO_KEY,
	CDP_FUNNEL_UNTIMED,
	CDP_FUNNEL_LATER,			/* at or after as_of */
	CDP_FUNNEL_CUSTOMERS,		/* with at least one row of a step */
	CDP_FUNNEL_COUNTERS
} CdpFunnelCounter;

typedef struct CdpFunnelSums
{
	CdpSpanMemory memory;
	const CdpFunnelOptions *options;
	CdpLabels  *breakdown;		/* at least one, "" when the pass has none */
	bool		broken_down;
	CdpFunnelCell *cell;		/* [breakdown][step] */
	int64		counter[CDP_FUNNEL_COUNTERS];
} CdpFunnelSums;

/* The furthest chain of one customer. */
typedef struct CdpFunnelChain
{
	int			level;			/* steps reached, 0 = none */
	int64		at[CDP_MAX_STEPS];
	uint32		breakdown;		/* of the row that names it */
} CdpFunnelChain;

/* Rows of one time as the walk sees them; with ties by id, those of one time and id. */
typedef struct CdpFunnelMoment
{
	int64		at;
	uint64		steps;			/* a bit for each step that one of them may be */
	uint64		breaks;			/* and for each behind which one of them breaks a chain */
	uint32		breakdown[CDP_MAX_STEPS];	/* of the first row of each such step */
} CdpFunnelMoment;

typedef struct CdpFunnelWalk CdpFunnelWalk;

/* funnel_options.c */
extern const CdpFields cdp_funnel_fields;
extern char **cdp_funnel_step_labels(const char *step, int *n);

/* funnel_walk.c: the moments of a customer in, a chain out */
extern CdpFunnelWalk *cdp_funnel_walk_create(const CdpFunnelOptions *o, MemoryContext cxt);
extern void cdp_funnel_begin(CdpFunnelWalk *w);
extern bool cdp_funnel_moment(CdpFunnelWalk *w, const CdpFunnelMoment *m);
extern const CdpFunnelChain *cdp_funnel_chain(const CdpFunnelWalk *w);

/* funnel_partial.c */
extern CdpFunnelSums *cdp_funnel_sums_create(const CdpFunnelOptions *o, CdpLabels *breakdown, bool broken_down,
											 MemoryContext cxt);
extern void cdp_funnel_sums_add(CdpFunnelSums *s, const CdpFunnelChain *chain);
extern Datum cdp_funnel_sums_to_datum(CdpFunnelSums *s);
extern CdpFunnelSums *cdp_funnel_sums_from_datum(Datum partial, MemoryContext cxt);

#endif							/* CDP_FUNNEL_H */

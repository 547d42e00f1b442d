/*
 * sums.h
 *		The exact sums over journeys: what a value of cdp.attribution_partial
 *		holds.
 *
 * All parts add up over whole journeys, so sums of shards, days and replayed
 * journeys merge into the sums of the whole, in any order.
 */
#ifndef CDP_SUMS_H
#define CDP_SUMS_H

#include "attribution/attribution.h"
#include "attribution/models/coalitions.h"
#include "attribution/models/pathtable.h"
#include "attribution/models/transitions.h"

struct CdpJourneyLog;
struct CdpSumsWork;

/* Counters of the summary, in the order in which they are stored. */
typedef enum CdpCounter
{
	CDP_COUNT_ROWS,
	CDP_COUNT_TOUCHES,
	CDP_COUNT_CONVERSIONS,		/* reported ones */
	CDP_COUNT_WITHOUT_TOUCH,	/* of these, with no touch in the journey */
	CDP_COUNT_REFUNDS,
	CDP_COUNT_ORPHAN_REFUNDS,
	CDP_COUNT_CUSTOMERS,
	CDP_COUNT_CONVERTING_CUSTOMERS,
	CDP_COUNT_NULL_JOURNEYS,
	CDP_COUNT_NO_KEY,
	CDP_COUNT_UNTIMED,
	CDP_COUNT_UNLABELLED,
	CDP_COUNT_IGNORED,			/* after as_of */
	CDP_COUNT_EXCLUDED,			/* touches of excluded labels */
	CDP_COUNTERS
} CdpCounter;

/* What one label did, whatever the model. */
typedef struct CdpAssist
{
	int64		assisted;		/* conversions with the label before the last touch */
	int64		last;			/* conversions with the label as last touch */
	int64		only;			/* conversions whose every touch has the label */
	int128		assisted_micro;
	int128		last_micro;
} CdpAssist;

/* Conversions and value by a whole number: touches of the journey, days of its length. */
typedef struct CdpHistogram
{
	int			n;				/* used entries, ascending by key */
	int			size;
	int64	   *key;
	int64	   *conversions;
	int128	   *value_micro;
} CdpHistogram;

typedef struct CdpSums
{
	MemoryContext cxt;			/* owns all of it */
	const CdpOptions *options;
	const CdpLabels *labels;
	int64		counter[CDP_COUNTERS];
	int64		attributable;	/* conversions with at least one touch */
	int128		attributable_micro; /* and their net value */
	int128		value_micro;	/* net value of all reported conversions and orphan refunds */
	int128		absolute_micro; /* guards against overflow */
	/* [model * (labels->n + 1) + label], the last label is (unattributed); rule models only */
	int128	   *conversion_units;	/* 1e-15 */
	int128	   *value_units;	/* 1e-21 */
	CdpAssist  *assist;			/* [label] */
	CdpHistogram lengths;
	CdpHistogram lags;
	CdpBudget	budget;			/* of the path statistics */
	CdpTransitions *transitions;	/* of the highest Markov order; or NULL */
	CdpCoalitions *coalitions;	/* or NULL */
	CdpPathTable *paths;		/* or NULL */
	struct CdpJourneyLog *log;	/* journeys themselves, for credits; or NULL */
	struct CdpSumsWork *work;	/* scratch of cdp_sums_add */
} CdpSums;

/* sums.c */
extern CdpSums *cdp_sums_create(const CdpOptions *o, const CdpLabels *labels, MemoryContext cxt);
extern void cdp_sums_add(CdpSums *s, const CdpJourney *j);
extern CdpSums *cdp_sums_merge(CdpSums *a, const CdpSums *b, MemoryContext cxt);

extern const int64 *cdp_sums_units(CdpSums *s, int model, const CdpJourney *j, int64 *rest);
extern bool cdp_sums_own_touch(const CdpModel *model, const CdpJourney *j);
/* The counts of one Markov order, made from those of the highest; errors when that is lower. */
extern CdpTransitions *cdp_sums_transitions(CdpSums *s, int order);
/* Errors 22023 with a hint unless the pass kept what the report needs. */
extern void cdp_sums_need_paths(const CdpSums *s);

/* partial.c */
extern void cdp_sums_write(const CdpSums *s, StringInfo buf);
extern CdpSums *cdp_sums_read(StringInfo buf, MemoryContext cxt);
extern Datum cdp_sums_to_datum(const CdpSums *s);
extern CdpSums *cdp_sums_from_datum(Datum partial, MemoryContext cxt);

/* totals.c */
extern void cdp_sums_model_units(CdpSums *s, int model, int128 *conversions, int128 *value);

#endif							/* CDP_SUMS_H */

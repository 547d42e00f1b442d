/*
 * rfm.h
 *		What a customer's purchases come to: frequency, recency, age and value, as
 *		the literature on models of purchases has them.
 */
#ifndef CDP_VALUE_RFM_H
#define CDP_VALUE_RFM_H

#include "cdp.h"

#include "pgtime.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* What counts as one purchase, and what time is measured in. */
typedef enum CdpPeriod
{
	CDP_PERIOD_NONE,			/* each row is a purchase */
	CDP_PERIOD_DAY,
	CDP_PERIOD_WEEK,			/* from Monday */
	CDP_PERIOD_MONTH,
	CDP_PERIOD_YEAR
} CdpPeriod;

typedef struct CdpRfmOptions
{
	int64		as_of;
	int64		holdout_until;	/* PG_INT64_MIN = none */
	CdpPeriod	once_per;
	CdpPeriod	unit;			/* not NONE */
	bool		include_first;
	const char *zone_name;
	pg_tz	   *zone;
} CdpRfmOptions;

/* A row of one customer; a refund has a value below zero. */
typedef struct CdpPurchase
{
	int64		at;
	int64		value;			/* micro-units */
} CdpPurchase;

/* Offsets of a zone from UTC, each for an interval of times. */
typedef struct CdpZoneSpan
{
	int64		from;			/* seconds since 1970 */
	int64		to;
	int64		offset;			/* seconds */
} CdpZoneSpan;

#define CDP_ZONE_SPANS 64

typedef struct CdpCalendar
{
	const CdpRfmOptions *options;
	CdpZoneSpan span[CDP_ZONE_SPANS];
	int			spans;
	int			last;
} CdpCalendar;

typedef struct CdpSummary
{
	uint64		key[2];
	int32		frequency;		/* purchases after the first */
	int32		holdout_frequency;
	double		recency;
	double		age;
	int128		total;			/* micro-units, the first purchase included */
	int128		repeat;			/* of those that monetary counts */
	int128		holdout_total;
	int64		first_at;
	int64		last_at;
} CdpSummary;

extern CdpRfmOptions *cdp_rfm_options_read(Jsonb *jsonb, MemoryContext cxt);
extern double cdp_rfm_age(CdpCalendar *calendar, int64 from, int64 to);
extern bool cdp_rfm_summarise(CdpCalendar *calendar, const CdpPurchase *rows, int n, CdpSummary *s);

#endif							/* CDP_VALUE_RFM_H */

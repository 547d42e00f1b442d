/*
 * trend.h
 *		How a series of days moves: a slope with its interval, and the day since
 *		when it has another level. Knows no table.
 */
#ifndef CDP_TREND_H
#define CDP_TREND_H

#include "connector/daily/anomaly.h"

/* Slopes between 2,000 days take 16 MB. */
#define CDP_TREND_MOST_DAYS 2000
#define CDP_TREND_LEAST_DAYS 8

typedef struct CdpTrend
{
	double		slope;			/* of the value, a day */
	double		low;			/* NaN where days are too few to tell */
	double		high;
	double		level;			/* median of the values */
	double		s;				/* pairs of one weekday that rose, less those that fell */
	double		z;
	double		p;				/* two-sided */
} CdpTrend;

typedef struct CdpChange
{
	int			at;				/* the first point of the new level */
	double		before;			/* medians of the values */
	double		after;
	double		k;
	double		p;
} CdpChange;

extern bool cdp_trend(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, CdpTrend *trend);
extern bool cdp_change(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, CdpChange *change);

#endif							/* CDP_TREND_H */

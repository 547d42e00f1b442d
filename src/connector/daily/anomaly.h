/*
 * anomaly.h
 *		What a day's value should have been, from the days before it: seasonal
 *		medians and a trend on variance-stabilised values, judged by the series'
 *		own past one-step errors. Knows no table.
 */
#ifndef CDP_ANOMALY_H
#define CDP_ANOMALY_H

#include "cdp.h"

#define CDP_ANOMALY_MOST_DAYS	100000
#define CDP_ANOMALY_MOST_WINDOW 400
#define CDP_ANOMALY_MOST_SEASON 31

typedef enum CdpTransform
{
	CDP_TRANSFORM_ANSCOMBE,		/* counts: 2 sqrt(x + 3/8) has variance 1 */
	CDP_TRANSFORM_NONE
} CdpTransform;

typedef struct CdpAnomalyOptions
{
	int			season;			/* days; 1 = none */
	int			window;			/* days that a day is foretold from */
	int			min_history;	/* days, half of them to foretell, half to know the error */
	double		threshold;		/* in usual errors */
	double		floor;			/* the least usual error, on the transformed scale */
	double		tiny;			/* below so many a day tails of counts judge, too */
	double		tail_p;
	double		run_p;
	int			transform;		/* CdpTransform */
	int			absent;			/* 1 = a day without row is a zero */
	int32		since;			/* days since 2000-01-01; PG_INT32_MIN = no limit */
	int32		until;			/* the last day; PG_INT32_MAX = that of the last row */
} CdpAnomalyOptions;

/* What is known of a day; the last three train nothing. */
typedef enum CdpDayState
{
	CDP_DAY_FINAL,
	CDP_DAY_RESTATED,			/* trains, is not judged */
	CDP_DAY_PROVISIONAL,
	CDP_DAY_SUSPECT_ZERO,
	CDP_DAY_MISSING
} CdpDayState;

typedef struct CdpAnomalyPoint
{
	double		value;			/* NaN = none, then the state is CDP_DAY_MISSING */
	int32		day;
	int32		state;			/* CdpDayState */
} CdpAnomalyPoint;

typedef enum CdpAnomalyVerdict
{
	CDP_ANOMALY_OK,
	CDP_ANOMALY_HIGH,
	CDP_ANOMALY_LOW,
	CDP_ANOMALY_ZERO_RUN,
	CDP_ANOMALY_LEARNING,
	CDP_ANOMALY_NOT_FINAL,
	CDP_ANOMALY_RESTATED,
	CDP_ANOMALY_NO_VALUE
} CdpAnomalyVerdict;

/* The judgement of a day; a number that is not known is NaN. */
typedef struct CdpAnomalyDay
{
	double		expected;
	double		low;
	double		high;
	double		score;			/* in usual errors */
	double		chance;			/* of a tail or a run that was decisive */
	double		mean;			/* expected a day of that run or tail */
	int			run;			/* zero days up to this one */
	int			trained;		/* days that it was foretold from */
	int			errors;			/* past errors that it was judged by */
	CdpAnomalyVerdict verdict;
} CdpAnomalyDay;

extern double cdp_median(double *x, int n);
extern double cdp_transform(int transform, double x);
extern double cdp_transform_back(int transform, double y);
extern void cdp_anomaly_judge(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, CdpAnomalyDay *day);

#endif							/* CDP_ANOMALY_H */

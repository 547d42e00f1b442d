/*
 * trend.c
 *		Slope and change of level of daily values, by ranks and medians, which a
 *		few wild days do not move.
 *
 * Slope: the median of the slopes between days of one weekday. Whether it is
 * chance: Kendall's S of each weekday, summed (Mann 1945; Hirsch, Slack and
 * Smith 1982). Interval: the slopes whose places in their order are as far
 * from the middle as chance moves S (Sen 1968; Gilbert 1987, 16.4.2). Change of level:
 * Pettitt (1979), on what is left of each value after its weekday's median.
 */
#include "connector/daily/trend.h"

#include <math.h>

#include "base/distribution.h"

/* The normal quantile of an interval of 95 %. */
#define Z_95 1.959963984540054

/* Orders numbers. */
static int
compare_numbers(const void *x, const void *y)
{
	double		a = *(const double *) x;
	double		b = *(const double *) y;

	return (a > b) - (a < b);
}

/* Orders points by value. */
static int
compare_values(const void *x, const void *y)
{
	const CdpAnomalyPoint *a = x;
	const CdpAnomalyPoint *b = y;

	return (a->value > b->value) - (a->value < b->value);
}

/* n (n - 1) (2 n + 5): 18 times the variance of Kendall's S, and what ties take of it. */
static double
pairs_variance(double n)
{
	return n * (n - 1) * (2 * n + 5);
}

/* The variance of S among points of one weekday, which are of n points; room has n numbers of the caller's. */
static double
variance_of(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, int first, double *room)
{
	int			m = 0;
	int			tied = 1;
	double		variance;

	for (int i = first; i < n; i++)
		if ((point[i].day - point[first].day) % o->season == 0)
			room[m++] = point[i].value;
	qsort(room, m, sizeof(double), compare_numbers);
	variance = pairs_variance(m);
	for (int i = 1; i <= m; i++)
	{
		if (i < m && room[i] == room[i - 1])
			tied++;
		else
		{
			variance -= pairs_variance(tied);
			tied = 1;
		}
	}
	return variance / 18;
}

/* The trend of n points, all of which count, in the order of their days; false when they are too few. Memory is taken in the current context. */
bool
cdp_trend(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, CdpTrend *trend)
{
	double	   *slope = palloc_extended(sizeof(double) * Max((Size) n * n / 2, 1), MCXT_ALLOC_HUGE);
	double	   *room = palloc(sizeof(double) * Max(n, 1));
	double		variance = 0;
	double		away;
	int			slopes = 0;

	*trend = (CdpTrend) {.low = NAN, .high = NAN};
	if (n < Max(CDP_TREND_LEAST_DAYS, 2 * o->season))
		return false;
	for (int i = 0; i < n; i++)
	{
		bool		first = true;	/* of its weekday */

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < i && first; j++)
			first = (point[i].day - point[j].day) % o->season != 0;
		for (int j = i + 1; j < n; j++)
		{
			int			days = point[j].day - point[i].day;

			if (days % o->season != 0)
				continue;
			slope[slopes++] = (point[j].value - point[i].value) / days;
			trend->s += (point[j].value > point[i].value) - (point[j].value < point[i].value);
		}
		if (first)
			variance += variance_of(o, point, n, i, room);
	}
	if (slopes == 0)
		return false;
	qsort(slope, slopes, sizeof(double), compare_numbers);
	trend->slope = slopes % 2 == 1 ? slope[slopes / 2] : slope[slopes / 2 - 1] + (slope[slopes / 2] - slope[slopes / 2 - 1]) / 2;
	trend->z = variance <= 0 ? 0 : (trend->s - ((trend->s > 0) - (trend->s < 0))) / sqrt(variance);
	trend->p = Min(1, 2 * cdp_normal_cdf(fabs(trend->z), true));
	away = Z_95 * sqrt(variance);
	if ((slopes - away) / 2 >= 1)
	{
		/* places count from 1: the lower one downwards, the upper one upwards, so that the interval is not too short */
		trend->low = slope[(int) floor((slopes - away) / 2) - 1];
		trend->high = slope[Min(slopes, (int) ceil((slopes + away) / 2) + 1) - 1];
	}
	for (int i = 0; i < n; i++)
		room[i] = point[i].value;
	trend->level = cdp_median(room, n);
	return true;
}

/* The place and size of the largest change of level of n points; false when they are too few. Memory is taken in the current context. */
bool
cdp_change(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, CdpChange *change)
{
	CdpAnomalyPoint *left;
	double	   *room;
	double	   *rank;
	double		sum = 0;

	*change = (CdpChange) {0};
	if (n < Max(CDP_TREND_LEAST_DAYS, 2 * o->season))
		return false;
	left = palloc(sizeof(CdpAnomalyPoint) * n);
	room = palloc(sizeof(double) * n);
	rank = palloc(sizeof(double) * n);
	for (int place = 0; place < o->season; place++)
	{
		int			m = 0;
		double		median;

		for (int i = 0; i < n; i++)
			if (((point[i].day % o->season) + o->season) % o->season == place)
				room[m++] = cdp_transform(o->transform, point[i].value);
		median = cdp_median(room, m);
		for (int i = 0; i < n; i++)
			if (((point[i].day % o->season) + o->season) % o->season == place)
				left[i] = (CdpAnomalyPoint) {cdp_transform(o->transform, point[i].value) - median, i, 0};
	}
	qsort(left, n, sizeof(CdpAnomalyPoint), compare_values);
	for (int i = 0, j; i < n; i = j)
	{
		for (j = i + 1; j < n && left[j].value == left[i].value; j++)
			;
		for (int k = i; k < j; k++)
			rank[left[k].day] = (i + 1 + j) / 2.0;
	}
	for (int i = 1; i < n; i++)
	{
		sum += rank[i - 1];
		if (fabs(2 * sum - i * (n + 1.0)) > change->k)
		{
			change->k = fabs(2 * sum - i * (n + 1.0));
			change->at = i;
		}
	}
	change->p = Min(1, 2 * exp(-6 * change->k * change->k / ((double) n * n * n + (double) n * n)));
	if (change->at == 0)
		return false;
	for (int i = 0; i < change->at; i++)
		room[i] = point[i].value;
	change->before = cdp_median(room, change->at);
	for (int i = change->at; i < n; i++)
		room[i - change->at] = point[i].value;
	change->after = cdp_median(room, n - change->at);
	return true;
}

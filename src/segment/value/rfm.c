/*
 * rfm.c
 *		Purchases of a customer, in order, to frequency, recency, age and value.
 */
#include "segment/value/rfm.h"

#include "utils/datetime.h"

#define SECONDS_PER_DAY INT64CONST(86400)
/* 2000-01-01, day 0, was a Saturday. */
#define MONDAY 5
/* Mean lengths in the Gregorian calendar. */
#define DAYS_PER_MEAN_MONTH 30.436875
#define DAYS_PER_MEAN_YEAR 365.2425

/* The quotient rounded downwards; b is positive. */
static inline int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

/* What a zone is ahead of UTC at a time, in seconds; spans found are kept, as times come in no order. */
static int64
zone_offset(CdpCalendar *c, int64 seconds)
{
	CdpZoneSpan *span = &c->span[c->last];
	pg_time_t	at = seconds;
	pg_time_t	boundary = PG_INT64_MAX;
	long int	before;
	long int	after;
	int			before_dst;
	int			after_dst;

	if (c->spans > 0 && seconds >= span->from && seconds < span->to)
		return span->offset;
	for (int i = 0; i < c->spans; i++)
		if (seconds >= c->span[i].from && seconds < c->span[i].to)
		{
			c->last = i;
			return c->span[i].offset;
		}
	if (pg_next_dst_boundary(&at, &before, &before_dst, &boundary, &after, &after_dst, c->options->zone) < 0)
		before = 0;				/* beyond what the zone knows */
	/* a known span that ends there grows backwards */
	for (int i = 0; i < c->spans; i++)
		if (c->span[i].to == boundary && c->span[i].offset == before)
		{
			c->span[i].from = Min(c->span[i].from, seconds);
			c->last = i;
			return before;
		}
	c->last = c->spans < CDP_ZONE_SPANS ? c->spans++ : (c->last + 1) % CDP_ZONE_SPANS;
	c->span[c->last] = (CdpZoneSpan) {seconds, boundary, before};
	return before;
}

/* The day of a time in the zone of the options; day 0 is 2000-01-01. */
static int64
day_of(CdpCalendar *c, int64 at)
{
	int64		seconds = floor_div(at, USECS_PER_SEC) + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECONDS_PER_DAY;

	return floor_div(floor_div(at, USECS_PER_SEC) + zone_offset(c, seconds), SECONDS_PER_DAY);
}

/* The number of the period that a day is in. */
static int64
period_of_day(CdpPeriod period, int64 day)
{
	int			year;
	int			month;
	int			dom;

	if (period == CDP_PERIOD_DAY)
		return day;
	if (period == CDP_PERIOD_WEEK)
		return floor_div(day + MONDAY, 7);
	j2date((int) (day + POSTGRES_EPOCH_JDATE), &year, &month, &dom);
	return period == CDP_PERIOD_MONTH ? (int64) year * 12 + month - 1 : year;
}

/* The first day of a period. */
static int64
day_of_period(CdpPeriod period, int64 number)
{
	switch (period)
	{
		case CDP_PERIOD_WEEK:
			return number * 7 - MONDAY;
		case CDP_PERIOD_MONTH:
			return date2j((int) floor_div(number, 12), (int) (number - floor_div(number, 12) * 12) + 1, 1) - POSTGRES_EPOCH_JDATE;
		case CDP_PERIOD_YEAR:
			return date2j((int) number, 1, 1) - POSTGRES_EPOCH_JDATE;
		default:
			return number;
	}
}

/* Days in a unit of time. */
static double
days_of(CdpPeriod unit)
{
	switch (unit)
	{
		case CDP_PERIOD_WEEK:
			return 7;
		case CDP_PERIOD_MONTH:
			return DAYS_PER_MEAN_MONTH;
		case CDP_PERIOD_YEAR:
			return DAYS_PER_MEAN_YEAR;
		default:
			return 1;
	}
}

/* The number of the period that a time is in; the time itself where each row is a purchase. */
static int64
period_of(CdpCalendar *c, int64 at)
{
	CdpPeriod	once = c->options->once_per;

	return once == CDP_PERIOD_NONE ? at : period_of_day(once, day_of(c, at));
}

/* From one period to another in units of time. */
static double
between(const CdpRfmOptions *o, int64 from, int64 to)
{
	if (o->once_per == CDP_PERIOD_NONE)
		return (double) (to - from) / USECS_PER_DAY / days_of(o->unit);
	if (o->once_per == o->unit)
		return (double) (to - from);
	return (double) (day_of_period(o->once_per, to) - day_of_period(o->once_per, from)) / days_of(o->unit);
}

/* How long it is from a purchase to the end of what is known, whose last microsecond is before `to`. */
double
cdp_rfm_age(CdpCalendar *c, int64 from, int64 to)
{
	if (c->options->once_per == CDP_PERIOD_NONE)
		return between(c->options, from, to);
	return between(c->options, period_of(c, from), period_of(c, to - 1));
}

/*
 * Sums up one customer. A refund lowers the purchase that it is in one period
 * with, or else the last one before it; without one it is left out. False when
 * nothing was bought before as_of.
 */
bool
cdp_rfm_summarise(CdpCalendar *c, const CdpPurchase *rows, int n, CdpSummary *s)
{
	const CdpRfmOptions *o = c->options;
	int64		first = 0;
	int64		last = 0;
	int64		held = 0;
	int			bought = 0;

	for (int i = 0; i < n; i++)
	{
		bool		refund = rows[i].value < 0;
		int64		period;

		if (rows[i].at >= o->as_of)
		{
			if (!refund)
			{
				period = period_of(c, rows[i].at);
				s->holdout_frequency += s->holdout_frequency == 0 || o->once_per == CDP_PERIOD_NONE || period != held;
				held = period;
			}
			if (s->holdout_frequency > 0)
				s->holdout_total += rows[i].value;
			continue;
		}
		if (!refund)
		{
			period = period_of(c, rows[i].at);
			if (bought == 0)
			{
				first = period;
				s->first_at = rows[i].at;
			}
			bought += bought == 0 || o->once_per == CDP_PERIOD_NONE || period != last;
			last = period;
			s->last_at = rows[i].at;
		}
		if (bought == 0)
			continue;
		s->total += rows[i].value;
		if (bought > 1 || o->include_first)
			s->repeat += rows[i].value;
	}
	if (bought == 0)
		return false;
	s->frequency = bought - 1;
	s->recency = between(o, first, last);
	s->age = cdp_rfm_age(c, s->first_at, o->as_of);
	return true;
}

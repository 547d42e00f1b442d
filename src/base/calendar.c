/*
 * calendar.c
 *		Periods of the calendar of a time zone.
 *
 * Days begin at midnight of the zone, whatever their length; periods of several
 * days count from Monday 2000-01-03, so that seven of them are weeks, and months
 * from January, so that three of them are quarters.  Hours and less have a fixed
 * length and count from that Monday's midnight.
 */
#include "base/calendar.h"

#include "base/durations.h"
#include "common/int.h"
#include "utils/datetime.h"

#define FIRST_MONDAY 2			/* days after 2000-01-01 */
#define REMEMBERED_DAYS 256		/* a power of two */
/* Days from 2000 that a time can lie on, either side. */
#define MOST_DAYS INT64CONST(106000000)

/* How far the zone is east of Greenwich on a day of UTC. */
typedef struct DayOffset
{
	int64		day;
	int64		offset;			/* microseconds */
	bool		known;
	bool		changes;		/* in the course of the day */
} DayOffset;

struct CdpCalendar
{
	pg_tz	   *zone;
	CdpPeriod	period;
	int64		origin;			/* of periods of fixed length */
	DayOffset	remembered[REMEMBERED_DAYS];
};

static const struct
{
	const char *word;
	CdpPeriod	period;
}			words[] = {
	{"hour", {0, 0, USECS_PER_HOUR}}, {"day", {0, 1, 0}}, {"week", {0, 7, 0}}, {"month", {1, 0, 0}}, {"quarter", {3, 0, 0}}, {"year", {12, 0, 0}},
};

/* Division that rounds down. */
static inline int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

/* A word such as week, or an interval of months, of days or of hours and less. */
CdpPeriod
cdp_period_from_text(const char *text, const char *what)
{
	Interval	interval = {0};
	CdpPeriod	period;

	for (int i = 0; i < lengthof(words); i++)
		if (pg_strcasecmp(text, words[i].word) == 0)
			return words[i].period;
	cdp_interval_from_text(text, what, &interval);
	period = (CdpPeriod) {interval.month, interval.day, interval.time};
	if ((period.months != 0) + (period.days != 0) + (period.micro != 0) != 1 || period.months < 0 || period.days < 0 || period.micro < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s", what),
				 errdetail("A period is so many months, or so many days, or so many hours and less, above zero."),
				 errhint("Write day, week, month, quarter, year or an interval such as '10 days'.")));
	return period;
}

/* Appends a period in canonical form. */
void
cdp_period_append(StringInfo buf, CdpPeriod period)
{
	if (period.months > 0)
		appendStringInfo(buf, "%d months", period.months);
	else if (period.days > 0)
		appendStringInfo(buf, "%d days", period.days);
	else
		appendStringInfo(buf, INT64_FORMAT ".%06d seconds", period.micro / USECS_PER_SEC, (int) (period.micro % USECS_PER_SEC));
}

/* A zone by its name; it lives as long as the session. */
pg_tz *
cdp_zone_from_text(const char *name)
{
	pg_tz	   *zone = strlen(name) > TZ_STRLEN_MAX ? NULL : pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", name),
				 errhint("Take a name of the view pg_timezone_names, such as 'Asia/Shanghai'.")));
	return zone;
}

/* The time at which a zone's clocks show so many microseconds of a day; beyond the calendar infinity. */
static int64
instant(pg_tz *zone, int64 day, int64 clock)
{
	struct pg_tm tm = {0};

	if (day > MOST_DAYS)
		return DT_NOEND;
	if (day < -MOST_DAYS || day + POSTGRES_EPOCH_JDATE < 0)
		return DT_NOBEGIN;
	j2date((int) (day + POSTGRES_EPOCH_JDATE), &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tm.tm_hour = (int) (clock / USECS_PER_HOUR);
	tm.tm_min = (int) (clock / USECS_PER_MINUTE % MINS_PER_HOUR);
	tm.tm_sec = (int) (clock / USECS_PER_SEC % SECS_PER_MINUTE);
	return day * USECS_PER_DAY + clock + DetermineTimeZoneOffset(&tm, zone) * USECS_PER_SEC;
}

/* A calendar in cxt. */
CdpCalendar *
cdp_calendar_create(const char *zone, CdpPeriod period, MemoryContext cxt)
{
	CdpCalendar *c = MemoryContextAllocZero(cxt, sizeof(CdpCalendar));

	c->zone = cdp_zone_from_text(zone);
	c->period = period;
	c->origin = instant(c->zone, FIRST_MONDAY, 0);
	return c;
}

/* Microseconds that the zone is east of Greenwich at a time. */
static int64
offset_at(CdpCalendar *c, int64 at)
{
	int64		day = floor_div(at, USECS_PER_DAY);
	DayOffset  *d = &c->remembered[day & (REMEMBERED_DAYS - 1)];
	pg_time_t	time;

	if (unlikely(!d->known || d->day != day))
	{
		pg_time_t	begin = day * SECS_PER_DAY + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
		pg_time_t	boundary;
		long int	before;
		long int	after;
		int			before_dst;
		int			after_dst;
		int			found = pg_next_dst_boundary(&begin, &before, &before_dst, &boundary, &after, &after_dst, c->zone);

		d->known = true;
		d->day = day;
		d->offset = before * USECS_PER_SEC;
		d->changes = found != 0 && boundary < begin + SECS_PER_DAY;
	}
	if (likely(!d->changes))
		return d->offset;
	time = floor_div(at, USECS_PER_SEC) + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
	return pg_localtime(&time, c->zone)->tm_gmtoff * USECS_PER_SEC;
}

/* Months from year 0 of a day, counted from 2000-01-01, and the day of the month. */
static int64
month_of(int64 day, int *of_month)
{
	int			year;
	int			month;

	j2date((int) (day + POSTGRES_EPOCH_JDATE), &year, &month, of_month);
	return (int64) year * MONTHS_PER_YEAR + month - 1;
}

/* The first day of a month, counted from 2000-01-01. */
static int64
first_of_month(int64 month)
{
	int64		year = floor_div(month, MONTHS_PER_YEAR);

	if (year > 295000)
		return MOST_DAYS + 1;
	if (year < -4712)
		return -MOST_DAYS - 1;
	return date2j((int) year, (int) (month - year * MONTHS_PER_YEAR) + 1, 1) - POSTGRES_EPOCH_JDATE;
}

/* The number of the period that a time falls into; later periods have higher ones. */
int64
cdp_calendar_number(CdpCalendar *c, int64 at)
{
	int64		day;
	int			of_month;

	if (c->period.micro > 0)
		return floor_div(at - c->origin, c->period.micro);
	day = floor_div(at + offset_at(c, at), USECS_PER_DAY);
	if (c->period.days > 0)
		return floor_div(day - FIRST_MONDAY, c->period.days);
	return floor_div(month_of(day, &of_month), c->period.months);
}

/* When a period starts; beyond the calendar infinity. */
int64
cdp_calendar_start(const CdpCalendar *c, int64 number)
{
	int64		result;

	if (c->period.micro > 0)
	{
		if (pg_mul_s64_overflow(number, c->period.micro, &result) || pg_add_s64_overflow(result, c->origin, &result) ||
			!IS_VALID_TIMESTAMP(result))
			return number > 0 ? DT_NOEND : DT_NOBEGIN;
		return result;
	}
	if (pg_mul_s64_overflow(number, c->period.days > 0 ? c->period.days : c->period.months, &result) || result > MOST_DAYS)
		return number > 0 ? DT_NOEND : DT_NOBEGIN;
	return instant(c->zone, c->period.days > 0 ? result + FIRST_MONDAY : first_of_month(result), 0);
}

/* A time n periods later by the zone's clocks, as AT TIME ZONE and adding an interval give it; beyond the calendar infinity. */
int64
cdp_calendar_plus(CdpCalendar *c, int64 at, int64 n)
{
	int64		local;
	int64		day;
	int64		clock;

	if (c->period.micro > 0)
	{
		if (pg_mul_s64_overflow(n, c->period.micro, &local) || pg_add_s64_overflow(at, local, &local))
			return DT_NOEND;
		return local;
	}
	local = at + offset_at(c, at);
	day = floor_div(local, USECS_PER_DAY);
	clock = local - day * USECS_PER_DAY;
	if (n > MOST_DAYS)
		return DT_NOEND;
	if (c->period.days > 0)
		day += n * c->period.days;
	else
	{
		int			of_month;
		int64		month = month_of(day, &of_month) + n * c->period.months;
		int64		first = first_of_month(month);

		/* The 31st of a month without one is its last day. */
		day = Min(first + of_month - 1, first_of_month(month + 1) - 1);
	}
	return instant(c->zone, day, clock);
}

/* How many whole periods lie between two times: the greatest n with from + n periods <= to; from <= to. */
int64
cdp_calendar_elapsed(CdpCalendar *c, int64 from, int64 to)
{
	int64		n;

	if (c->period.micro > 0)
		return (int64) (((uint64) to - (uint64) from) / (uint64) c->period.micro);
	/* A month has at most 31 days, and a zone moves by less than two. */
	n = (int64) (((uint64) to - (uint64) from) / USECS_PER_DAY) / (c->period.days > 0 ? c->period.days : c->period.months * INT64CONST(31));
	while (n > 0 && cdp_calendar_plus(c, from, n) > to)
		n--;
	while (cdp_calendar_plus(c, from, n + 1) <= to)
		n++;
	return n;
}

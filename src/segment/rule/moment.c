/*
 * moment.c
 *		Dates, moments and the calendar of a time zone, by PostgreSQL's own
 *		calendar and zones.
 *
 * Days are counted from 2000-01-01, moments in microseconds from its midnight
 * in UTC.
 */
#include "segment/rule/rule.h"

#include "utils/datetime.h"
#include "utils/timestamp.h"

/* The zone of a name, or NULL when PostgreSQL knows none or it has leap seconds. */
pg_tz *
cdp_rule_zone(const char *name)
{
	pg_tz	   *zone = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;

	return zone != NULL && pg_tz_acceptable(zone) ? zone : NULL;
}

/* Reads exactly n digits and moves on; -1 when they are not there. */
static int
digits(const char **p, int n)
{
	int			value = 0;

	for (int i = 0; i < n; i++, (*p)++)
	{
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

/* Reads YYYY-MM-DD and moves on; false when it is no day of the years 1 to 9999. */
static bool
scan_date(const char **p, struct pg_tm *tm)
{
	tm->tm_year = digits(p, 4);
	if (tm->tm_year < 1 || *(*p)++ != '-')
		return false;
	tm->tm_mon = digits(p, 2);
	if (tm->tm_mon < 1 || tm->tm_mon > 12 || *(*p)++ != '-')
		return false;
	tm->tm_mday = digits(p, 2);
	return tm->tm_mday >= 1 && tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1];
}

/* Reads a date, YYYY-MM-DD, into days; false when it is none. */
bool
cdp_rule_read_date(const char *text, int64 *days)
{
	struct pg_tm tm = {0};

	if (!scan_date(&text, &tm) || *text != '\0')
		return false;
	*days = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	return true;
}

/* Reads :MM, and :SS with up to six decimals, after the hour; false when they are none. */
static bool
scan_time(const char **p, struct pg_tm *tm, fsec_t *fsec)
{
	int			scale = 100000;

	tm->tm_hour = digits(p, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || *(*p)++ != ':')
		return false;
	tm->tm_min = digits(p, 2);
	if (tm->tm_min < 0 || tm->tm_min > 59)
		return false;
	if (**p != ':')
		return true;
	(*p)++;
	tm->tm_sec = digits(p, 2);
	if (tm->tm_sec < 0 || tm->tm_sec > 59)
		return false;
	if (**p != '.')
		return true;
	for ((*p)++; **p >= '0' && **p <= '9' && scale > 0; (*p)++, scale /= 10)
		*fsec += (**p - '0') * scale;
	return !(**p >= '0' && **p <= '9');
}

/* Reads Z or +HH, +HH:MM to the end of the text into seconds west of UTC; false when it is none. */
static bool
scan_offset(const char *p, int *offset)
{
	int			sign = *p == '-' ? 1 : -1,
				hours,
				minutes = 0;

	*offset = 0;
	if (strcmp(p, "Z") == 0)
		return true;
	if (*p != '+' && *p != '-')
		return false;
	p++;
	hours = digits(&p, 2);
	if (hours < 0 || hours > 15)
		return false;
	if (*p == ':')
	{
		p++;
		minutes = digits(&p, 2);
		if (minutes < 0 || minutes > 59)
			return false;
	}
	*offset = sign * (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE);
	return *p == '\0';
}

/* Reads a moment: a day, or a day and a time, in the zone unless it says another; false when it is none. */
bool
cdp_rule_read_moment(const char *text, pg_tz *zone, int64 *at)
{
	struct pg_tm tm = {0};
	fsec_t		fsec = 0;
	int			offset;

	if (!scan_date(&text, &tm))
		return false;
	if (*text == 'T' || *text == ' ')
	{
		text++;
		if (!scan_time(&text, &tm, &fsec))
			return false;
		if (*text != '\0')
			return scan_offset(text, &offset) && tm2timestamp(&tm, fsec, &offset, at) == 0;
	}
	if (*text != '\0')
		return false;
	offset = DetermineTimeZoneOffset(&tm, zone);
	return tm2timestamp(&tm, fsec, &offset, at) == 0;
}

/* The day that a moment falls on in a zone. */
int
cdp_rule_today(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;

	if (timestamp2tm(at, &offset, &tm, &fsec, NULL, zone) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

/* The moment at which a day begins in a zone; where the clock leaps over midnight, as PostgreSQL reads 00:00. */
TimestampTz
cdp_rule_midnight(int day, pg_tz *zone)
{
	struct pg_tm tm = {0};
	TimestampTz at;
	int			offset;

	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &offset, &at) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return at;
}

/* The day so many months later or earlier; a day that the month lacks becomes its last one. */
int
cdp_rule_add_months(int day, int months)
{
	int			year,
				month,
				mday;

	cdp_rule_ymd(day, &year, &month, &mday);
	months += year * 12 + month - 1;
	year = months / 12;
	month = months % 12 + 1;
	mday = Min(mday, day_tab[isleap(year)][month - 1]);
	return date2j(year, month, mday) - POSTGRES_EPOCH_JDATE;
}

/* The first day of the unit that a day lies in, or of the one so many units back; weeks begin on Monday. */
int
cdp_rule_period_start(int day, RuleUnit unit, int back)
{
	int			year,
				month,
				mday;
	int			step = unit == RULE_YEAR ? 12 : unit == RULE_QUARTER ? 3 : 1;

	if (unit == RULE_DAY)
		return day - back;
	if (unit == RULE_WEEK)
		return day - (j2day(day + POSTGRES_EPOCH_JDATE) + 6) % 7 - back * 7;
	cdp_rule_ymd(day, &year, &month, &mday);
	month = (month - 1) / step * step + 1;
	return cdp_rule_add_months(date2j(year, month, 1) - POSTGRES_EPOCH_JDATE, -back * step);
}

/* Year, month and day of the month of a day. */
void
cdp_rule_ymd(int day, int *year, int *month, int *mday)
{
	j2date(day + POSTGRES_EPOCH_JDATE, year, month, mday);
}

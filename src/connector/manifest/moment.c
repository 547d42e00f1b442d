/*
 * moment.c
 *		Days and moments as the APIs write them: Unix seconds and milliseconds,
 *		2026-03-01, 20260301, ISO 8601.
 *
 * Days are counted from 2000-01-01, moments in microseconds from its midnight in
 * UTC.  A text without a zone is in that of the manifest.
 */
#include "connector/manifest/manifest.h"

#include "segment/rule/rule.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
/* Seconds since 1970 of the years that are read: 1900 to 9999. */
#define FIRST_SECOND INT64CONST(-2208988800)
#define LAST_SECOND INT64CONST(253402300799)

/* Reads YYYY-MM-DD; false when it is no day. */
bool
cdp_manifest_day(const char *text, int *day)
{
	int64		days;

	if (!cdp_rule_read_date(text, &days))
		return false;
	*day = (int) days;
	return true;
}

/* Seconds since 1970 of the midnight at which a day begins in a zone. */
static int64
midnight_epoch(int day, pg_tz *zone)
{
	return cdp_rule_midnight(day, zone) / USECS_PER_SEC + (int64) EPOCH_DAYS * SECS_PER_DAY;
}

/* A day as a request writes it, or the last second of it. */
const char *
cdp_manifest_day_text(int day, TimeFormat format, pg_tz *zone, bool last_second)
{
	int			year,
				month,
				mday;
	int64		epoch;
	const char *clock = last_second ? "23:59:59" : "00:00:00";

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	switch (format)
	{
		case TIME_EPOCH:
		case TIME_EPOCH_MS:
			epoch = last_second ? midnight_epoch(day + 1, zone) - 1 : midnight_epoch(day, zone);
			return format == TIME_EPOCH ? psprintf(INT64_FORMAT, epoch) : psprintf(INT64_FORMAT "%s", epoch, last_second ? "999" : "000");
		case TIME_YYYYMMDD:
		case TIME_YYYYMMDD_NUMBER:
			return psprintf("%04d%02d%02d", year, month, mday);
		case TIME_DATETIME:
			return psprintf("%04d-%02d-%02d %s", year, month, mday, clock);
		case TIME_ISO:
			{
				TimestampTz at = last_second ? cdp_rule_midnight(day + 1, zone) - USECS_PER_SEC : cdp_rule_midnight(day, zone);
				struct pg_tm tm;
				fsec_t		fsec;
				int			east;

				if (timestamp2tm(at, &east, &tm, &fsec, NULL, zone) != 0)
					ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
				east = -east;
				return psprintf("%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
								east < 0 ? '-' : '+', abs(east) / SECS_PER_HOUR, abs(east) / SECS_PER_MINUTE % MINS_PER_HOUR);
			}
		default:
			return psprintf("%04d-%02d-%02d", year, month, mday);
	}
}

/* Reads a number of seconds, with a fraction or none, times a unit; false when it is none or of an absurd year. */
static bool
read_epoch(const char *text, bool milliseconds, TimestampTz *at)
{
	char	   *end;
	int64		whole,
				micro = 0,
				unit = USECS_PER_SEC / 10;

	errno = 0;
	whole = strtoll(text, &end, 10);
	if (end == text || errno != 0 || isspace((unsigned char) *text))
		return false;
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			micro += (*end - '0') * unit;
	if (*end != '\0')
		return false;
	if (milliseconds)
	{
		micro = (whole % 1000) * 1000;
		whole /= 1000;
	}
	if (whole < FIRST_SECOND || whole > LAST_SECOND)
		return false;
	*at = (whole - (int64) EPOCH_DAYS * SECS_PER_DAY) * USECS_PER_SEC + micro;
	return true;
}

/* Reads YYYYMMDD into YYYY-MM-DD; NULL when it is not eight digits. */
static const char *
dashed(const char *text)
{
	if (strlen(text) != 8 || strspn(text, "0123456789") != 8)
		return NULL;
	return psprintf("%.4s-%.2s-%.2s", text, text + 4, text + 6);
}

/* A moment of ISO 8601 in the form that is read: offsets with a colon, six decimals at most, T and Z as capitals. */
static const char *
iso_form(const char *text)
{
	StringInfoData out;
	size_t		len = strlen(text);
	int			decimals = -1;

	if (len > 40 || len < 19)
		return text;
	initStringInfo(&out);
	for (const char *p = text; *p != '\0'; p++)
	{
		if (decimals >= 0 && *p >= '0' && *p <= '9' && ++decimals > 6)
			continue;
		if (*p == '.')
			decimals = 0;
		else if (*p < '0' || *p > '9')
			decimals = -1;
		appendStringInfoChar(&out, *p == 't' && p - text == 10 ? 'T' : *p == 'z' && p[1] == '\0' ? 'Z' : *p);
		if (p - text > 18 && (*p == '+' || *p == '-') && strspn(p + 1, "0123456789") == 4 && p[5] == '\0')
		{
			appendStringInfo(&out, "%.2s:%s", p + 1, p + 3);
			break;
		}
	}
	return out.data;
}

/* Reads a moment as an answer writes it; false when it is none. */
bool
cdp_manifest_read_moment(const char *text, TimeFormat format, pg_tz *zone, TimestampTz *at)
{
	switch (format)
	{
		case TIME_EPOCH:
		case TIME_EPOCH_MS:
			return read_epoch(text, format == TIME_EPOCH_MS, at);
		case TIME_YYYYMMDD:
		case TIME_YYYYMMDD_NUMBER:
			text = dashed(text);
			return text != NULL && cdp_rule_read_moment(text, zone, at);
		default:
			return cdp_rule_read_moment(iso_form(text), zone, at);
	}
}

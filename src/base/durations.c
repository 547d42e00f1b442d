/*
 * durations.c
 *		Exact durations and times of options, to and from text.
 */
#include "base/durations.h"

#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/datetime.h"

/* Raises the error for a duration that is not above zero or does not fit. */
static void
bad_duration(const char *what, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s", what),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/* Microseconds of an interval; days are 24 hours, months are refused, zero and less too. */
int64
cdp_duration_from_interval(const Interval *interval, const char *what)
{
	int64		result;

	if (interval->month != 0)
		bad_duration(what, "Months and years have no fixed length.", "Write days, for example '30 days'.");
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &result) ||
		pg_add_s64_overflow(result, interval->time, &result))
		bad_duration(what, "The interval is too long.", "Ask for an unbounded lookback instead.");
	if (result <= 0)
		bad_duration(what, "It must be longer than zero.", "Write for example '30 days'.");
	return result;
}

/* An interval from text, independent of the session's settings. */
void
cdp_interval_from_text(const char *text, const char *what, Interval *interval)
{
	struct pg_itm_in itm = {0};
	int			dtype = DTK_DELTA;
	int			nf;
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	char		work[256];
	int			error = ParseDateTime(text, work, sizeof(work), field, ftype, MAXDATEFIELDS, &nf);

	if (error == 0)
		error = DecodeInterval(field, ftype, nf, INTERVAL_FULL_RANGE, &dtype, &itm);
	if (error == DTERR_BAD_FORMAT)
		error = DecodeISO8601Interval(unconstify(char *, text), &dtype, &itm);
	if (error != 0 || dtype != DTK_DELTA || itmin2interval(&itm, interval) != 0)
		bad_duration(what, "It is no interval.", "Write for example '30 days' or '12 hours'.");
}

/* The microseconds of an interval from text. */
int64
cdp_duration_from_text(const char *text, const char *what)
{
	Interval	interval;

	cdp_interval_from_text(text, what, &interval);
	return cdp_duration_from_interval(&interval, what);
}

/* Appends a duration in canonical form: days when whole, else seconds. */
void
cdp_duration_append(StringInfo buf, int64 duration)
{
	if (duration == PG_INT64_MAX)
		appendStringInfoString(buf, "unbounded");
	else if (duration % USECS_PER_DAY == 0)
		appendStringInfo(buf, INT64_FORMAT " days", duration / USECS_PER_DAY);
	else
		appendStringInfo(buf, INT64_FORMAT ".%06d seconds", duration / USECS_PER_SEC,
						 (int) (duration % USECS_PER_SEC));
}

/* Appends a time in UTC, independent of the session's settings. */
void
cdp_time_append(StringInfo buf, int64 at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (TIMESTAMP_IS_NOBEGIN(at))
		appendStringInfoString(buf, "-infinity");
	else if (TIMESTAMP_IS_NOEND(at))
		appendStringInfoString(buf, "infinity");
	else
	{
		if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
			ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
		tm.tm_isdst = 0;		/* below zero it would leave the zone out */
		EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
		appendStringInfoString(buf, text);
	}
}

/* Tells whether a time says its zone, after the clock; words such as "now" never do. */
static bool
has_zone(const char *text)
{
	const char *clock = strchr(text, ':');
	size_t		len = strlen(text);

	if (clock == NULL)
		return pg_strcasecmp(text, "infinity") == 0 || pg_strcasecmp(text, "-infinity") == 0;
	return strpbrk(clock, "+-/Zz") != NULL ||
		(len > 3 && pg_strcasecmp(text + len - 3, "UTC") == 0);
}

/* Reads a time of what errors call so; one without a zone would depend on the session and is refused. */
int64
cdp_time_from_text(const char *text, const char *what)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool bad = false;
	volatile int64 at = 0;

	/* Reading text holds nothing that an error would leave behind. */
	PG_TRY();
	{
		bad = !has_zone(text);
		at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
													 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(cxt);
		FlushErrorState();
		bad = true;
	}
	PG_END_TRY();
	if (bad)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid time in %s", what),
				 errhint("Write a time with its zone, such as '2026-01-31 00:00:00+00'.")));
	return at;
}

/*
 * parse.c
 *		Strict readers of text for loading: time, money, integers, keys.
 *
 * None of them throws on bad content: they return NULL, and the load puts the
 * row into quarantine with a reason. PostgreSQL's own input functions raise
 * errors, and catching those would need a subtransaction a row. They also take
 * words such as 'now', and day and month in either order; a record of the past
 * must mean the same whoever loads it, so here only ISO 8601 counts.
 */
#include "cdp.h"

#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* Longest key or identifier: three of them fit into one btree entry's limit. */
#define CDP_KEY_MAX 800

/* |value| must stay below this many micro-units, so that sums of weights stay exact. */
#define CDP_MICRO_LIMIT INT64CONST(9200000000000000000)

/* The zone of the last call, so that its name is looked up once a query. */
typedef struct CdpZoneCache
{
	pg_tz	   *zone;
	int			len;
	char		name[TZ_STRLEN_MAX + 1];
} CdpZoneCache;

CDP_FUNCTION(cdp_parse_time);
CDP_FUNCTION(cdp_parse_value);
CDP_FUNCTION(cdp_parse_int);
CDP_FUNCTION(cdp_parse_key);
CDP_FUNCTION(cdp_row_number);

/* Blank as PostgreSQL's input functions know it, and nothing locale-dependent. */
static inline bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Moves both ends inwards over blanks. */
static inline void
trim_blanks(const char **at, const char **end)
{
	while (*at < *end && is_blank(**at))
		(*at)++;
	while (*end > *at && is_blank((*end)[-1]))
		(*end)--;
}

/* Reads min..max digits into *value and steps over them; false when there are fewer, or more follow. */
static bool
take_digits(const char **at, const char *end, int min, int max, int *value)
{
	const char *p = *at;
	int			n = 0,
				v = 0;

	while (p < end && n < max && *p >= '0' && *p <= '9')
	{
		v = v * 10 + (*p++ - '0');
		n++;
	}
	if (n < min || (p < end && *p >= '0' && *p <= '9'))
		return false;
	*value = v;
	*at = p;
	return true;
}

/* Steps over one character of a set; false when it is another. */
static inline bool
take_char(const char **at, const char *end, const char *set)
{
	if (*at >= end || strchr(set, **at) == NULL || **at == '\0')
		return false;
	(*at)++;
	return true;
}

/* Reads what follows the decimal mark of the seconds, rounded to microseconds. */
static bool
take_fraction(const char **at, const char *end, fsec_t *fsec)
{
	const char *p = *at;
	int			n = 0,
				v = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++, n++)
	{
		if (n < 6)
			v = v * 10 + (*p - '0');
		else if (n == 6 && *p >= '5')
			v++;				/* may become a full second; the sum below copes */
	}
	if (n == 0)
		return false;
	for (; n < 6; n++)
		v *= 10;
	*fsec = v;
	*at = p;
	return true;
}

/* Reads "2026-01-02" or "2026/1/2"; false when it is no date of the calendar. */
static bool
take_date(const char **at, const char *end, struct pg_tm *tm)
{
	char		mark;

	if (!take_digits(at, end, 4, 4, &tm->tm_year) || *at >= end)
		return false;
	mark = **at;
	if (!take_char(at, end, "-/") || !take_digits(at, end, 1, 2, &tm->tm_mon) ||
		*at >= end || **at != mark)
		return false;
	(*at)++;
	if (!take_digits(at, end, 1, 2, &tm->tm_mday))
		return false;
	return tm->tm_year >= 1 && tm->tm_mon >= 1 && tm->tm_mon <= 12 &&
		tm->tm_mday >= 1 && tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1];
}

/* Reads "9:05", "09:05:06" or "09:05:06.123456"; 24:00:00 and second 60 as PostgreSQL takes them. */
static bool
take_clock(const char **at, const char *end, struct pg_tm *tm, fsec_t *fsec)
{
	if (!take_digits(at, end, 1, 2, &tm->tm_hour) || !take_char(at, end, ":") ||
		!take_digits(at, end, 2, 2, &tm->tm_min))
		return false;
	if (*at < end && **at == ':')
	{
		(*at)++;
		if (!take_digits(at, end, 2, 2, &tm->tm_sec))
			return false;
		if (*at < end && (**at == '.' || **at == ','))
		{
			(*at)++;
			if (!take_fraction(at, end, fsec))
				return false;
		}
	}
	if (tm->tm_hour == 24)
		return tm->tm_min == 0 && tm->tm_sec == 0 && *fsec == 0;
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* Reads "Z", "+08", "+0800", "+08:00" or "+08:00:00" to seconds west of Greenwich. */
static bool
take_offset(const char **at, const char *end, int *west)
{
	int			sign,
				h,
				m = 0,
				s = 0;

	if (take_char(at, end, "Zz"))
	{
		*west = 0;
		return true;
	}
	if (*at >= end || (**at != '+' && **at != '-'))
		return false;
	sign = **at == '+' ? -1 : 1;
	(*at)++;
	if (end - *at == 4 && (*at)[2] != ':')
	{
		if (!take_digits(at, end, 4, 4, &h))
			return false;
		m = h % 100;
		h = h / 100;
	}
	else
	{
		if (!take_digits(at, end, 1, 2, &h))
			return false;
		if (take_char(at, end, ":") && !take_digits(at, end, 2, 2, &m))
			return false;
		if (take_char(at, end, ":") && !take_digits(at, end, 2, 2, &s))
			return false;
	}
	if (h > MAX_TZDISP_HOUR || m >= 60 || s >= 60)
		return false;
	*west = sign * (h * SECS_PER_HOUR + m * SECS_PER_MINUTE + s);
	return true;
}

/* True for the words that PostgreSQL prints for endless times. */
static bool
is_endless(const char *at, const char *end, TimestampTz *result)
{
	bool		minus = at < end && *at == '-';

	at += minus;
	if (end - at == 8 && pg_strncasecmp(at, "infinity", 8) == 0)
	{
		if (minus)
			TIMESTAMP_NOBEGIN(*result);
		else
			TIMESTAMP_NOEND(*result);
		return true;
	}
	return false;
}

/* Reads one ISO 8601 time; zone serves text without an offset. False when it is none. */
static bool
read_time(const char *at, const char *end, pg_tz *zone, TimestampTz *result)
{
	struct pg_tm tm;
	fsec_t		fsec = 0;
	int			west;

	trim_blanks(&at, &end);
	if (is_endless(at, end, result))
		return true;
	memset(&tm, 0, sizeof(tm));
	tm.tm_isdst = -1;
	if (!take_date(&at, end, &tm))
		return false;
	if (at < end && take_char(&at, end, "Tt "))
	{
		while (at < end && *at == ' ')
			at++;
		if (!take_clock(&at, end, &tm, &fsec))
			return false;
		while (at < end && *at == ' ')
			at++;
	}
	if (at == end)
		west = DetermineTimeZoneOffset(&tm, zone);
	else if (!take_offset(&at, end, &west) || at != end)
		return false;
	*result = (date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		(((tm.tm_hour * MINS_PER_HOUR + tm.tm_min) * (int64) SECS_PER_MINUTE + tm.tm_sec) + west) * USECS_PER_SEC +
		fsec;
	return true;
}

/* Gives the zone of that name, from the call's cache when it is the same as before; the cache lives as long as the query. */
static pg_tz *
cached_zone(FunctionCallInfo fcinfo, text *name)
{
	CdpZoneCache *cache = (CdpZoneCache *) fcinfo->flinfo->fn_extra;
	int			len = VARSIZE_ANY_EXHDR(name);

	if (cache != NULL && cache->len == len && memcmp(cache->name, VARDATA_ANY(name), len) == 0)
		return cache->zone;
	if (cache == NULL)
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CdpZoneCache));
	fcinfo->flinfo->fn_extra = NULL;	/* so that an error below leaves no half-filled cache */
	if (len <= TZ_STRLEN_MAX)
	{
		memcpy(cache->name, VARDATA_ANY(name), len);
		cache->name[len] = '\0';
		cache->len = len;
		cache->zone = pg_tzset(cache->name);
	}
	if (len > TZ_STRLEN_MAX || cache->zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", text_to_cstring(name)),
				 errhint("Take a name of the view pg_timezone_names, such as 'Asia/Shanghai'.")));
	fcinfo->flinfo->fn_extra = cache;
	return cache->zone;
}

/* parse_time(text, zone): the time, 'infinity' as such, NULL when it is no ISO 8601 time. */
Datum
cdp_parse_time(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	pg_tz	   *zone = cached_zone(fcinfo, PG_GETARG_TEXT_PP(1));
	const char *at = VARDATA_ANY(input);
	TimestampTz result;

	if (!read_time(at, at + VARSIZE_ANY_EXHDR(input), zone, &result))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(result);
}

/* Reads a number with an exponent of one or two digits to millionths; false as read_plain(). */
static bool
read_exponential(const char *at, const char *end, int64 *micro)
{
	const char *mark,
			   *p;
	bool		minus = false,
				below = false;
	int			exponent,
				whole = -1,
				digits = 0;
	int64		v = 0;

	trim_blanks(&at, &end);
	if (at < end && (*at == '-' || *at == '+'))
		minus = *at++ == '-';
	for (mark = at; mark < end && *mark != 'e' && *mark != 'E'; mark++)
	{
		if (*mark == '.')
		{
			if (whole >= 0)
				return false;
			whole = digits;
		}
		else if (*mark < '0' || *mark > '9')
			return false;
		else
			digits++;
	}
	p = mark + 1;
	if (p < end && (*p == '-' || *p == '+'))
		below = *p++ == '-';
	if (digits == 0 || !take_digits(&p, end, 1, 2, &exponent) || p != end)
		return false;
	if (whole < 0)
		whole = digits;
	for (int place = whole - 1 + (below ? -exponent : exponent) + 6; at < mark; at++)
	{
		int64		unit = *at - '0';

		if (*at == '.')
			continue;
		if (unit != 0)
		{
			if (place < 0 || place > 18)
				return false;
			for (int i = 0; i < place; i++)
				unit *= 10;		/* at most 9e18 */
			if (unit > CDP_MICRO_LIMIT - v)
				return false;
			v += unit;
		}
		place--;
	}
	*micro = minus ? -v : v;
	return v < CDP_MICRO_LIMIT;
}

/* Reads a plain decimal number to millionths; false when it is none, too big, or has finer digits. */
static bool
read_plain(const char *at, const char *end, int64 *micro)
{
	bool		minus = false;
	int			digits = 0,
				decimals = -1;
	int64		v = 0;

	trim_blanks(&at, &end);
	if (at < end && (*at == '-' || *at == '+'))
		minus = *at++ == '-';
	for (; at < end; at++)
	{
		if (*at == '.' && decimals < 0)
		{
			decimals = 0;
			continue;
		}
		if (*at < '0' || *at > '9')
			return false;
		digits++;
		if (decimals >= 6)
		{
			if (*at != '0')
				return false;
			continue;
		}
		if (v > (CDP_MICRO_LIMIT - 9) / 10)
			return false;
		v = v * 10 + (*at - '0');
		if (decimals >= 0)
			decimals++;
	}
	if (digits == 0)
		return false;
	for (decimals = Max(decimals, 0); decimals < 6; decimals++)
	{
		if (v > CDP_MICRO_LIMIT / 10)
			return false;
		v *= 10;
	}
	*micro = minus ? -v : v;
	return v < CDP_MICRO_LIMIT;
}

/* parse_value(text): numeric with six decimals, NULL when it is no number in range. */
Datum
cdp_parse_value(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	const char *at = VARDATA_ANY(input);
	int64		micro;

	if (!read_plain(at, at + VARSIZE_ANY_EXHDR(input), &micro) && !read_exponential(at, at + VARSIZE_ANY_EXHDR(input), &micro))
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(int64_div_fast_to_numeric(micro, 6));
}

/* parse_int(text): a whole number of 32 bits, NULL when it is none. */
Datum
cdp_parse_int(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	const char *at = VARDATA_ANY(input);
	const char *end = at + VARSIZE_ANY_EXHDR(input);
	bool		minus = false;
	int64		v = 0;

	trim_blanks(&at, &end);
	if (at < end && (*at == '-' || *at == '+'))
		minus = *at++ == '-';
	if (at == end || end - at > 10)
		PG_RETURN_NULL();
	for (; at < end; at++)
	{
		if (*at < '0' || *at > '9')
			PG_RETURN_NULL();
		v = v * 10 + (*at - '0');
	}
	if (minus)
		v = -v;
	if (v < PG_INT32_MIN || v > PG_INT32_MAX)
		PG_RETURN_NULL();
	PG_RETURN_INT32((int32) v);
}

/* parse_key(text): the text without blanks around it, NULL when nothing is left or it is too long for an index. */
Datum
cdp_parse_key(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	const char *at = VARDATA_ANY(input);
	const char *end = at + VARSIZE_ANY_EXHDR(input);
	int			len = end - at;

	trim_blanks(&at, &end);
	if (end == at || end - at > CDP_KEY_MAX)
		PG_RETURN_NULL();
	if (end - at == len)
		PG_RETURN_TEXT_P(input);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(at, end - at));
}

/* row_number(): 1, 2, 3, ... over the rows of one scan, without the spool of the window function. */
Datum
cdp_row_number(PG_FUNCTION_ARGS)
{
	int64	   *count = (int64 *) fcinfo->flinfo->fn_extra;

	if (count == NULL)
	{
		count = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(int64));
		fcinfo->flinfo->fn_extra = count;
	}
	PG_RETURN_INT64(++*count);
}

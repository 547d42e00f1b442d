/*
 * survivor.c
 *		The choice among the values of one attribute of one customer.
 *
 * docs/profile.md, Survivorship, says the rules in words; the twin in plain SQL
 * is test/pgtap/profile_twin.sql. Nothing here depends on the order of rows.
 */
#include "identity/profile/survivor.h"

#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

/* Compares two texts byte by byte, as collation C does. */
static int
compare_bytes(const char *a, int32 a_len, const char *b, int32 b_len)
{
	int			c = memcmp(a, b, Min(a_len, b_len));

	return c != 0 ? c : (a_len > b_len) - (a_len < b_len);
}

/* -1, 0, 1 for two numbers; greater first when down. */
#define COMPARE(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)
#define COMPARE_DOWN(x, y) do { if ((x) != (y)) return (x) > (y) ? -1 : 1; } while (0)

/* qsort order of rows: attribute, voice, value. */
int
cdp_said_compare(const void *a, const void *b)
{
	const CdpSaid *x = a;
	const CdpSaid *y = b;

	COMPARE(x->attribute, y->attribute);
	COMPARE(x->identifier, y->identifier);
	COMPARE(x->source, y->source);
	return compare_bytes(x->value, x->len, y->value, y->len);
}

/* The rule that settles ties of every strategy: newer first, then the lesser value, source, identifier. */
static int
compare_tail(const CdpSaid *x, const CdpSaid *y)
{
	int			c;

	COMPARE_DOWN(x->since, y->since);
	COMPARE_DOWN(x->last, y->last);
	c = compare_bytes(x->value, x->len, y->value, y->len);
	if (c != 0)
		return c;
	COMPARE(x->source, y->source);
	COMPARE(x->identifier, y->identifier);
	return 0;
}

/* qsort order of voices: best first. */
static int
compare_voices(const void *a, const void *b)
{
	return compare_tail(a, b);
}

/* qsort order of voices for a sum: home by home, best first. */
static int
compare_homes(const void *a, const void *b)
{
	const CdpSaid *x = a;
	const CdpSaid *y = b;

	COMPARE(x->customer, y->customer);
	return compare_tail(x, y);
}

/* qsort order of voices for counting: equal values side by side, best first. */
static int
compare_by_value(const void *a, const void *b)
{
	const CdpSaid *x = a;
	const CdpSaid *y = b;
	int			c = compare_bytes(x->value, x->len, y->value, y->len);

	return c != 0 ? c : compare_tail(x, y);
}

/* The number that a value of type integer or numeric is; palloced. */
static Numeric
number_of(const CdpSaid *said)
{
	char	   *text = pnstrdup(said->value, said->len);
	Datum		number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	pfree(text);
	return DatumGetNumeric(number);
}

/* Compares two values as their type does: numbers by size, all else by bytes, which orders days and moments too. */
static int
compare_values(const CdpSaid *x, const CdpSaid *y)
{
	int			zone = x->type == CDP_TYPE_TIMESTAMP ? 1 : 0;	/* the Z would stand above a fraction */

	if (x->type == CDP_TYPE_INTEGER || x->type == CDP_TYPE_NUMERIC)
		return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number_of(x)), NumericGetDatum(number_of(y))));
	return compare_bytes(x->value, x->len - zone, y->value, y->len - zone);
}

/* Digits from *at on; moves it behind them and tells how many. */
static int
digits(const char **at, const char *end)
{
	const char *from = *at;

	while (*at < end && **at >= '0' && **at <= '9')
		(*at)++;
	return *at - from;
}

/* True for -12.5, or -12 where no fraction is allowed. */
static bool
fits_number(const char *p, const char *end, bool fraction)
{
	if (p < end && *p == '-')
		p++;
	if (digits(&p, end) == 0)
		return false;
	if (fraction && p < end && *p == '.')
	{
		p++;
		if (digits(&p, end) == 0)
			return false;
	}
	return p == end;
}

/* True when the text begins with a day of the calendar, 2026-01-31. */
static bool
fits_day(const char *p, const char *end)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			year,
				month,
				day;

	if (end - p < 10 || p[4] != '-' || p[7] != '-')
		return false;
	for (int i = 0; i < 10; i++)
		if (i != 4 && i != 7 && (p[i] < '0' || p[i] > '9'))
			return false;
	year = (p[0] - '0') * 1000 + (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
	month = (p[5] - '0') * 10 + (p[6] - '0');
	day = (p[8] - '0') * 10 + (p[9] - '0');
	return year > 0 && month >= 1 && month <= 12 && day >= 1 &&
		day <= days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* True for the stored form of a moment, 2026-01-31T23:59:59.5Z. */
static bool
fits_moment(const char *p, const char *end)
{
	if (!fits_day(p, end) || end - p < 20 || p[10] != 'T' || p[13] != ':' || p[16] != ':' || end[-1] != 'Z')
		return false;
	for (int i = 11; i < 19; i++)
		if (i != 13 && i != 16 && (p[i] < '0' || p[i] > '9'))
			return false;
	if (p[11] > '2' || (p[11] == '2' && p[12] > '3') || p[14] > '5' || p[17] > '5')
		return false;
	p += 19;
	if (*p == '.')
	{
		p++;
		if (digits(&p, end) == 0)
			return false;
	}
	return p == end - 1;
}

/*
 * True when the value has the form of its type. It has, unless the attribute's
 * type was changed after the value was stored; such a value counts for nothing
 * and must not stop a pass over everybody.
 */
bool
cdp_said_fits(const CdpSaid *said)
{
	const char *p = said->value;
	const char *end = p + said->len;

	switch (said->type)
	{
		case CDP_TYPE_INTEGER:
			return fits_number(p, end, false);
		case CDP_TYPE_NUMERIC:
			return fits_number(p, end, true);
		case CDP_TYPE_BOOLEAN:
			return (said->len == 4 && memcmp(p, "true", 4) == 0) || (said->len == 5 && memcmp(p, "false", 5) == 0);
		case CDP_TYPE_DATE:
			return said->len == 10 && fits_day(p, end);
		case CDP_TYPE_TIMESTAMP:
			return fits_moment(p, end);
		case CDP_TYPE_LIST:
		case CDP_TYPE_JSON:
			return cdp_said_json(said) != NULL;
		default:
			return true;
	}
}

/* The first of a row's times that lies after another one, which lies before the row's last. */
static TimestampTz
first_after(const CdpSaid *row, TimestampTz other)
{
	ArrayType  *times = DatumGetArrayTypeP(PointerGetDatum(row->times));
	TimestampTz *at = (TimestampTz *) ARR_DATA_PTR(times);
	int64		low = 0,
				high = ArrayGetNItems(ARR_NDIM(times), ARR_DIMS(times));
	TimestampTz found = row->last;

	if (ARR_HASNULL(times))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("times must not hold NULL")));
	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (at[middle] > other)
		{
			found = at[middle];
			high = middle;
		}
		else
			low = middle + 1;
	}
	if ((Pointer) times != (Pointer) row->times)
		pfree(times);
	return found;
}

/*
 * What one voice says now, from its rows, which stand by value: the value said
 * last (of two said at the same moment the lesser), and since when.
 */
static CdpSaid
voice_of(const CdpSaid *rows, int64 n)
{
	CdpSaid		now = {0};
	TimestampTz other = DT_NOBEGIN;
	int64		from = 0,
				to = 0;

	for (int64 i = 0; i < n;)
	{
		CdpSaid		said = rows[i];
		int64		j = i;

		for (; j < n && compare_bytes(rows[j].value, rows[j].len, said.value, said.len) == 0; j++)
		{
			said.first = Min(said.first, rows[j].first);
			said.last = Max(said.last, rows[j].last);
			said.verified |= rows[j].verified;
		}
		if (i == 0 || said.last > now.last)
		{
			if (i > 0)
				other = Max(other, now.last);
			now = said;
			from = i;
			to = j;
		}
		else
			other = Max(other, said.last);
		i = j;
	}
	now.since = now.last;
	for (int64 i = from; i < to; i++)
	{
		if (rows[i].first > other)
			now.since = Min(now.since, rows[i].first);
		else if (rows[i].times != NULL && rows[i].last > other)
			now.since = Min(now.since, first_after(&rows[i], other));
		if (rows[i].last > other)
			now.since = Min(now.since, rows[i].last);
	}
	return now;
}

/* How many characters a value has; of a list or of JSON its length in bytes. */
static int64
length_of(const CdpSaid *said)
{
	if (said->type == CDP_TYPE_LIST || said->type == CDP_TYPE_JSON)
		return said->len;
	return pg_mbstrlen_with_len(said->value, said->len);
}

/* How many voices say the same. */
static int64
count_same(const CdpSaid *voices, int64 n, const CdpSaid *said)
{
	int64		same = 0;

	for (int64 i = 0; i < n; i++)
		same += compare_bytes(voices[i].value, voices[i].len, said->value, said->len) == 0;
	return same;
}

/* By what a strategy prefers x to y before the tail: below 0 when x is better. */
static int
prefer(CdpStrategy strategy, const CdpSaid *x, const CdpSaid *y)
{
	switch (strategy)
	{
		case CDP_SURVIVE_LATEST_SEEN:
			COMPARE_DOWN(x->last, y->last);
			return 0;
		case CDP_SURVIVE_SOURCE_ORDER:
			COMPARE(x->rank, y->rank);
			return 0;
		case CDP_SURVIVE_LONGEST:
			{
				int64		a = length_of(x),
							b = length_of(y);

				COMPARE_DOWN(a, b);
				return 0;
			}
		case CDP_SURVIVE_VERIFIED:
			COMPARE_DOWN(x->verified, y->verified);
			return 0;
		case CDP_SURVIVE_MIN:
			return compare_values(x, y);
		case CDP_SURVIVE_MAX:
			return -compare_values(x, y);
		default:
			return 0;
	}
}

/* A voice of the value that most voices say. */
static CdpSaid
most_frequent(const CdpSaid *voices, int64 n)
{
	CdpSaid    *byvalue = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(CdpSaid));
	CdpSaid		best = voices[0];
	int64		most = 0;

	memcpy(byvalue, voices, n * sizeof(CdpSaid));
	qsort(byvalue, n, sizeof(CdpSaid), compare_by_value);
	for (int64 i = 0, j; i < n; i = j)
	{
		CHECK_FOR_INTERRUPTS();
		for (j = i + 1; j < n && compare_bytes(byvalue[j].value, byvalue[j].len, byvalue[i].value, byvalue[i].len) == 0;)
			j++;
		if (j - i > most || (j - i == most && compare_tail(&byvalue[i], &best) < 0))
		{
			most = j - i;
			best = byvalue[i];
		}
	}
	pfree(byvalue);
	return best;
}

/* The best of the voices, which stand best first by the tail. */
static CdpSaid
best_voice(CdpStrategy strategy, const CdpSaid *voices, int64 n)
{
	CdpSaid		best = voices[0];

	if (strategy == CDP_SURVIVE_MOST_FREQUENT)
		return most_frequent(voices, n);
	for (int64 i = 1; i < n; i++)
		if (prefer(strategy, &voices[i], &best) < 0)
			best = voices[i];
	return best;
}

/* What was said first of all, also by those who say something else now; its since is that moment. */
static CdpSaid
earliest_row(const CdpSaid *rows, int64 n)
{
	const CdpSaid *best = &rows[0];
	CdpSaid		said;

	for (int64 i = 1; i < n; i++)
	{
		const CdpSaid *r = &rows[i];
		int			c = r->first != best->first ? (r->first < best->first ? -1 : 1)
			: compare_bytes(r->value, r->len, best->value, best->len);

		if (c == 0)
			c = r->source != best->source ? (r->source < best->source ? -1 : 1) : (r->identifier < best->identifier ? -1 : 0);
		if (c < 0)
			best = r;
	}
	said = *best;
	said.since = said.first;
	/* The same voice may have said it in several loads. */
	for (int64 i = 0; i < n; i++)
		if (rows[i].identifier == said.identifier && rows[i].source == said.source &&
			compare_bytes(rows[i].value, rows[i].len, said.value, said.len) == 0)
			said.verified |= rows[i].verified;
	return said;
}

/* The sum over homes of what the best voice of each says. */
static Numeric
sum_of_homes(const CdpSaid *voices, int64 n)
{
	CdpSaid    *byhome = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(CdpSaid));
	Numeric		sum = NULL;

	memcpy(byhome, voices, n * sizeof(CdpSaid));
	qsort(byhome, n, sizeof(CdpSaid), compare_homes);
	for (int64 i = 0; i < n; i++)
	{
		Numeric		number;

		CHECK_FOR_INTERRUPTS();
		if (i > 0 && byhome[i].customer == byhome[i - 1].customer)
			continue;
		number = number_of(&byhome[i]);
		sum = sum == NULL ? number
			: DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(sum), NumericGetDatum(number)));
	}
	pfree(byhome);
	return sum;
}

/*
 * Chooses among n rows of one attribute, which stand in the order of
 * cdp_said_compare(). False when none of them fits the attribute's type. The
 * voices are palloced in the current context.
 */
bool
cdp_choose(const CdpSaid *rows, int64 n, CdpGolden *golden)
{
	CdpStrategy strategy = rows[0].strategy;
	CdpSaid    *fit = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(CdpSaid));
	CdpSaid    *voices = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(CdpSaid));
	int64		kept = 0,
				count = 0;

	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (cdp_said_fits(&rows[i]))
			fit[kept++] = rows[i];
	}
	memset(golden, 0, sizeof(*golden));
	if (kept == 0)
		return false;
	for (int64 i = 0, j; i < kept; i = j)
	{
		CHECK_FOR_INTERRUPTS();
		for (j = i + 1; j < kept && fit[j].identifier == fit[i].identifier && fit[j].source == fit[i].source;)
			j++;
		voices[count++] = voice_of(fit + i, j - i);
	}
	qsort(voices, count, sizeof(CdpSaid), compare_voices);
	golden->voices = voices;
	golden->n = count;
	golden->said = strategy == CDP_SURVIVE_EARLIEST ? earliest_row(fit, kept) : best_voice(strategy, voices, count);
	if (strategy == CDP_SURVIVE_SUM)
		golden->sum = sum_of_homes(voices, count);
	else if (strategy == CDP_SURVIVE_UNION)
		golden->list = cdp_union_lists(voices, count);
	else
		golden->others = count - count_same(voices, count, &golden->said);
	pfree(fit);
	return true;
}

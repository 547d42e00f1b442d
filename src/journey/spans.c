/*
 * spans.c
 *		Lists of durations, their bytes, and what is told of them.
 */
#include "journey/spans.h"

#include "base/micro.h"
#include "base/wire.h"
#include "journey/pass.h"
#include "utils/timestamp.h"

#define ST_SORT sort_values
#define ST_ELEMENT_TYPE int64
#define ST_COMPARE(a, b) ((*(a) > *(b)) - (*(a) < *(b)))
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* Counts bytes of a result; error 54000 when it takes more than half of the setting. */
void
cdp_span_take(CdpSpanMemory *m, Size bytes)
{
	m->bytes += bytes;
	if (m->bytes > cdp_pass_memory_bytes(&cdp_journey_memory) / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the counts of a pass over journeys do not fit into memory"),
				 errdetail("They take more than half of %d kB.", cdp_journey_memory.kilobytes),
				 errhint("Raise %s, leave durations out (durations => false), or ask for fewer steps, periods or labels.",
						 cdp_journey_memory.setting)));
}

/* Makes room for n more values. */
void
cdp_spans_reserve(CdpSpanMemory *m, CdpSpans *d, int64 n)
{
	int64		room = d->room;

	if (d->n + n <= d->room)
		return;
	room = Max(d->n + n, room + room / 2 + 8);
	cdp_span_take(m, (room - d->room) * sizeof(int64));
	d->value = d->value == NULL ? MemoryContextAllocHuge(m->cxt, sizeof(int64) * room)
		: repalloc_huge(d->value, sizeof(int64) * room);
	d->room = room;
}

/* Appends the values of one list to another. */
void
cdp_spans_append(CdpSpanMemory *m, CdpSpans *into, const CdpSpans *from)
{
	if (from->n == 0)
		return;
	cdp_spans_reserve(m, into, from->n);
	memcpy(into->value + into->n, from->value, sizeof(int64) * from->n);
	into->n += from->n;
}

/* Puts values in order. */
void
cdp_spans_sort(CdpSpans *d)
{
	CHECK_FOR_INTERRUPTS();
	if (d->n > 1)
		sort_values(d->value, d->n);
}

/* Appends values in order, each as distance from the one before; none is below zero. */
void
cdp_spans_write(CdpSpans *d, StringInfo buf)
{
	int64		previous = 0;

	cdp_spans_sort(d);
	cdp_wire_put_uint(buf, d->n);
	for (int64 i = 0; i < d->n; i++)
	{
		cdp_wire_put_uint(buf, d->value[i] - previous);
		previous = d->value[i];
	}
}

/* Reads them. */
void
cdp_spans_read(CdpSpanMemory *m, CdpSpans *d, StringInfo buf)
{
	int64		n = cdp_wire_get_count(buf, 1, "durations");
	int64		at = 0;

	cdp_spans_reserve(m, d, n);
	for (int64 i = 0; i < n; i++)
	{
		uint64		step = cdp_wire_get_uint(buf);

		if (step > (uint64) (PG_INT64_MAX - at))
			cdp_wire_broken("duration");
		at += step;
		d->value[d->n++] = at;
	}
}

/* The value below which a share of sorted values lies, interpolated as percentile_cont does. */
int64
cdp_spans_quantile(const CdpSpans *d, int numerator, int denominator)
{
	int128		scaled = (int128) (d->n - 1) * numerator;
	int64		low = (int64) (scaled / denominator);
	int64		rest = (int64) (scaled % denominator);
	int128		gap;

	if (rest == 0)
		return d->value[low];
	gap = (int128) (d->value[low + 1] - d->value[low]) * rest;
	/* Rounded to the nearest microsecond, half up. */
	return d->value[low] + (int64) ((gap * 2 + denominator) / (2 * denominator));
}

/* The mean, rounded to the nearest microsecond, half up. */
int64
cdp_spans_mean(const CdpSpans *d)
{
	int128		sum = 0;

	for (int64 i = 0; i < d->n; i++)
		sum += d->value[i];
	return (int64) ((sum * 2 + d->n) / (2 * (int128) d->n));
}

/* An interval of so many microseconds, in days of 24 hours; palloc'd. */
static Datum
interval_datum(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->day = (int32) (microseconds / USECS_PER_DAY);
	interval->time = microseconds % USECS_PER_DAY;
	return IntervalPGetDatum(interval);
}

/* Fills median, mean and ninth decile of sorted values as intervals, or NULLs. */
void
cdp_spans_put(const CdpSpans *d, Datum *values, bool *nulls)
{
	for (int i = 0; i < 3; i++)
		nulls[i] = d->n == 0;
	if (d->n == 0)
		return;
	values[0] = interval_datum(cdp_spans_quantile(d, 1, 2));
	values[1] = interval_datum(cdp_spans_mean(d));
	values[2] = interval_datum(cdp_spans_quantile(d, 9, 10));
}

/* part / whole as numeric with six places, NULL over nothing. */
Datum
cdp_share(int64 part, int64 whole, bool *isnull)
{
	*isnull = whole == 0;
	if (*isnull)
		return (Datum) 0;
	return cdp_numeric_from_scaled(((int128) part * 2 * CDP_MICRO + whole) / (2 * (int128) whole), 6);
}

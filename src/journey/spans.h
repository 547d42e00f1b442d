/*
 * spans.h
 *		Lists of durations: kept in full while a pass counts, sorted when they
 *		are written, so that medians are exact and lists add.
 */
#ifndef CDP_JOURNEY_SPANS_H
#define CDP_JOURNEY_SPANS_H

#include "cdp.h"

#include "lib/stringinfo.h"

/* Microseconds, or other counts; sorted once they have been written or read. */
typedef struct CdpSpans
{
	int64	   *value;
	int64		n;
	int64		room;
} CdpSpans;

/* What the lists of one result may take. */
typedef struct CdpSpanMemory
{
	MemoryContext cxt;
	Size		bytes;			/* taken so far */
} CdpSpanMemory;

extern void cdp_span_take(CdpSpanMemory *m, Size bytes);
extern void cdp_spans_reserve(CdpSpanMemory *m, CdpSpans *d, int64 n);
extern void cdp_spans_append(CdpSpanMemory *m, CdpSpans *into, const CdpSpans *from);
extern void cdp_spans_sort(CdpSpans *d);
extern void cdp_spans_write(CdpSpans *d, StringInfo buf);
extern void cdp_spans_read(CdpSpanMemory *m, CdpSpans *d, StringInfo buf);

extern int64 cdp_spans_quantile(const CdpSpans *d, int numerator, int denominator);
extern int64 cdp_spans_mean(const CdpSpans *d);
extern void cdp_spans_put(const CdpSpans *d, Datum *values, bool *nulls);
extern Datum cdp_share(int64 part, int64 whole, bool *isnull);

/* Adds one value. */
static inline void
cdp_span_add(CdpSpanMemory *m, CdpSpans *d, int64 value)
{
	if (d->n == d->room)
		cdp_spans_reserve(m, d, 1);
	d->value[d->n++] = value;
}

/* Whether two times are further apart than a limit allows; unsigned, as their distance need not fit with a sign. */
static inline bool
cdp_is_beyond(int64 limit, int64 earlier, int64 later)
{
	return limit != PG_INT64_MAX && (uint64) later - (uint64) earlier > (uint64) limit;
}

/* The time between two times; such as no 64 bits hold, between the ends of the calendar, are the longest. */
static inline int64
cdp_distance(int64 earlier, int64 later)
{
	return (int64) Min((uint64) later - (uint64) earlier, (uint64) PG_INT64_MAX);
}

#endif							/* CDP_JOURNEY_SPANS_H */

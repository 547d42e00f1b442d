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
extern void cdp_span_add(CdpSpanMemory *m, CdpSpans *d, int64 value);
extern void cdp_spans_append(CdpSpanMemory *m, CdpSpans *into, const CdpSpans *from);
extern void cdp_spans_sort(CdpSpans *d);
extern void cdp_spans_write(CdpSpans *d, StringInfo buf);
extern void cdp_spans_read(CdpSpanMemory *m, CdpSpans *d, StringInfo buf);

extern int64 cdp_spans_quantile(const CdpSpans *d, int numerator, int denominator);
extern int64 cdp_spans_mean(const CdpSpans *d);
extern void cdp_spans_put(const CdpSpans *d, Datum *values, bool *nulls);
extern Datum cdp_share(int64 part, int64 whole, bool *isnull);

#endif							/* CDP_JOURNEY_SPANS_H */

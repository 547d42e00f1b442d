/*
 * calendar.h
 *		Periods of the calendar of a time zone: which one a time falls into, when
 *		one starts, and a time so many periods later.
 */
#ifndef CDP_CALENDAR_H
#define CDP_CALENDAR_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "pgtime.h"
#include "utils/timestamp.h"

/* The length of a period; exactly one of the three is above zero. */
typedef struct CdpPeriod
{
	int			months;
	int			days;
	int64		micro;
} CdpPeriod;

typedef struct CdpCalendar CdpCalendar;

/* No time falls into a period whose number is further from 0, and thousands may be added to it. */
#define CDP_LAST_PERIOD (PG_INT64_MAX - 1000000)

extern CdpPeriod cdp_period_from_text(const char *text, const char *what);
extern void cdp_period_append(StringInfo buf, CdpPeriod period);
extern pg_tz *cdp_zone_from_text(const char *name);

extern CdpCalendar *cdp_calendar_create(const char *zone, CdpPeriod period, MemoryContext cxt);
extern int64 cdp_calendar_number(CdpCalendar *c, int64 at);
extern int64 cdp_calendar_start(const CdpCalendar *c, int64 number);
extern int64 cdp_calendar_plus(CdpCalendar *c, int64 at, int64 n);
extern int64 cdp_calendar_elapsed(CdpCalendar *c, int64 from, int64 to);

#endif							/* CDP_CALENDAR_H */

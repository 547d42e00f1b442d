/*
 * durations.h
 *		Exact durations and times of options: microseconds, to and from text.
 */
#ifndef CDP_DURATIONS_H
#define CDP_DURATIONS_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

extern int64 cdp_duration_from_interval(const Interval *interval, const char *what);
extern void cdp_interval_from_text(const char *text, const char *what, Interval *interval);
extern int64 cdp_duration_from_text(const char *text, const char *what);
extern void cdp_duration_append(StringInfo buf, int64 duration);
extern void cdp_time_append(StringInfo buf, int64 at);
extern int64 cdp_time_from_text(const char *text, const char *what);

#endif							/* CDP_DURATIONS_H */

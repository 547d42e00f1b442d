/*
 * options.h
 *		What the readers of options share: durations, times and dialects.
 */
#ifndef CDP_ATTRIBUTION_OPTIONS_H
#define CDP_ATTRIBUTION_OPTIONS_H

#include "attribution/attribution.h"

/* durations.c */
extern int64 cdp_duration_from_interval(const Interval *interval, const char *what);
extern int64 cdp_duration_from_text(const char *text, const char *what);
extern void cdp_duration_append(StringInfo buf, int64 duration);
extern void cdp_time_append(StringInfo buf, int64 at);
extern int64 cdp_time_from_text(const char *text);

/* dialect.c */
extern void cdp_dialect_apply(CdpOptions *o, const char *name);

/* options.c */
extern void cdp_options_write_field(const CdpOptions *o, int field, StringInfo buf);

#endif							/* CDP_ATTRIBUTION_OPTIONS_H */

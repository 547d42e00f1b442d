/*
 * options.h
 *		What the readers of options share.
 */
#ifndef CDP_ATTRIBUTION_OPTIONS_H
#define CDP_ATTRIBUTION_OPTIONS_H

#include "attribution/attribution.h"
#include "base/durations.h"

/* dialect.c */
extern void cdp_dialect_apply(CdpOptions *o, const char *name);

/* options.c */
extern void cdp_options_write_field(const CdpOptions *o, int field, StringInfo buf);

#endif							/* CDP_ATTRIBUTION_OPTIONS_H */

/*
 * micro.h
 *		Money inside the engines: whole micro-units in 64 bits.
 */
#ifndef CDP_BASE_MICRO_H
#define CDP_BASE_MICRO_H

#include "cdp.h"

#define CDP_MICRO INT64CONST(1000000)
/* No one value may reach this many currency units, nor all together this many. */
#define CDP_VALUE_LIMIT 9.2e12
#define CDP_VALUE_SUM_LIMIT (((int128) 160000000000000000) * CDP_MICRO)

extern bool cdp_micro_from_numeric(struct varlena *number, int64 *micro);
extern bool cdp_micro_exact(struct varlena *number, int64 *micro);
extern int64 cdp_micro_from_float(double value);
extern Datum cdp_numeric_from_scaled(int128 units, int scale);

#endif							/* CDP_BASE_MICRO_H */

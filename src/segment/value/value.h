/*
 * value.h
 *		What the functions of customer value have in common: parameters of a fit as
 *		they come in jsonb, and checked histories.
 */
#ifndef CDP_VALUE_H
#define CDP_VALUE_H

#include "cdp.h"

#include "base/rows/memory.h"
#include "segment/value/model.h"

/* Bounds of what comes from outside; within them nothing overflows. */
#define CDP_MAX_FREQUENCY 1e9
#define CDP_MAX_AGE 1e15
#define CDP_MAX_VALUE 1e15

/* A fitted model. */
typedef struct CdpParams
{
	const CdpValueModel *model;
	double		p[CDP_MODEL_PARAMETERS];
} CdpParams;

extern CdpPassMemory cdp_value_memory;

extern void cdp_value_settings(void);
extern const CdpParams *cdp_params(FunctionCallInfo fcinfo, int arg, bool money);
extern CdpHistory cdp_history(const CdpValueModel *m, double frequency, double recency, double age);

#endif							/* CDP_VALUE_H */

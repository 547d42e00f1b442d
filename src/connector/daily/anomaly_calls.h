/*
 * anomaly_calls.h
 *		What the aggregates over daily values share: options, and the state that
 *		collects days.
 */
#ifndef CDP_ANOMALY_CALLS_H
#define CDP_ANOMALY_CALLS_H

#include "connector/daily/anomaly.h"

#include "utils/jsonb.h"

/* Days of one group, in a context below the aggregate's. */
typedef struct CdpDays
{
	MemoryContext cxt;
	Jsonb	   *given;
	bool		vary;
	CdpAnomalyOptions options;
	CdpAnomalyPoint *point;
	int			n;
	int			room;
} CdpDays;

extern void cdp_anomaly_options_read(Jsonb *jsonb, CdpAnomalyOptions *o);
extern void cdp_days_close(CdpDays *days);

#endif							/* CDP_ANOMALY_CALLS_H */

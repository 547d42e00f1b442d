/*
 * codec.h
 *		Journeys as bytes: inside a partial result (labels by number) and alone
 *		(labels by name).
 */
#ifndef CDP_CODEC_H
#define CDP_CODEC_H

#include "attribution/attribution.h"

/* Encoded journeys of a result; labels are numbers of its label list. */
typedef struct CdpJourneyLog
{
	MemoryContext cxt;
	int64		n;
	int64		room;
	uint32	   *begin;			/* [n] where each journey starts in bytes */
	StringInfoData bytes;
} CdpJourneyLog;

/* A journey made from bytes; the arrays live in the context of the call. */
typedef struct CdpDecoded
{
	CdpJourney	journey;
	int			room;
	uint32	   *label;
	int64	   *at;
	int64	   *id;
	int64	   *session;
	char	   *customer;
} CdpDecoded;

/* All journeys of a result take at most this much. */
#define CDP_LOG_LIMIT ((Size) 256 * 1024 * 1024)

extern CdpJourneyLog *cdp_log_create(MemoryContext cxt);
extern void cdp_log_add(CdpJourneyLog *log, const CdpJourney *j);
extern void cdp_log_merge(CdpJourneyLog *into, const CdpJourneyLog *from, const uint32 *map);
extern void cdp_log_write(const CdpJourneyLog *log, StringInfo buf);
extern CdpJourneyLog *cdp_log_read(StringInfo buf, int nlabels, MemoryContext cxt);
extern void cdp_log_get(const CdpJourneyLog *log, int64 i, CdpDecoded *d);

extern void cdp_journey_put(StringInfo buf, const CdpJourney *j);
extern void cdp_journey_get(StringInfo buf, int nlabels, CdpDecoded *d);
extern void cdp_journey_check_single(const CdpJourney *j);

#endif							/* CDP_CODEC_H */

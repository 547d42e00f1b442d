/*
 * session.h
 *		When a row begins a new session; the window function and the pass go by
 *		the same rule.
 */
#ifndef CDP_SESSION_H
#define CDP_SESSION_H

#include "journey/outcome.h"

/* What ends a session. */
typedef struct CdpSessionRule
{
	int64		gap;			/* a row more than this after the one before */
	int64		longest;		/* a row more than this after its first one; PG_INT64_MAX = none */
} CdpSessionRule;

#define CDP_SESSION_GAP (30 * USECS_PER_MINUTE)

/* A row: its time, and what makes it begin a session. */
typedef struct CdpSessionRow
{
	int64		at;
	bool		starts;			/* by its label */
	bool		has_campaign;
	uint64		campaign[2];
} CdpSessionRow;

/* A session as far as it has come. */
typedef struct CdpSession
{
	bool		open;
	int64		first;
	int64		last;
	bool		has_campaign;
	uint64		campaign[2];	/* of its last row that had one */
} CdpSession;

/* Takes a row that is not earlier than the one before; returns whether it begins a session. */
static inline bool
cdp_session_takes(CdpSession *s, const CdpSessionRule *rule, const CdpSessionRow *row)
{
	bool		begins = !s->open || row->starts || cdp_is_beyond(rule->gap, s->last, row->at) ||
		cdp_is_beyond(rule->longest, s->first, row->at) ||
		(row->has_campaign && s->has_campaign && memcmp(row->campaign, s->campaign, sizeof(s->campaign)) != 0);

	if (begins)
	{
		s->open = true;
		s->first = row->at;
		s->has_campaign = false;
	}
	s->last = row->at;
	if (row->has_campaign)
	{
		s->has_campaign = true;
		memcpy(s->campaign, row->campaign, sizeof(s->campaign));
	}
	return begins;
}

#endif							/* CDP_SESSION_H */

/*
 * outcome.h
 *		The result of a pass: its options, what it read, and its counts; and the
 *		value of a type of ours that carries it.
 */
#ifndef CDP_JOURNEY_OUTCOME_H
#define CDP_JOURNEY_OUTCOME_H

#include "base/rows/by_key.h"
#include "base/rows/labels.h"
#include "journey/fields.h"
#include "journey/pass.h"
#include "journey/tally.h"

/* Counts of rows and customers; they add. All but the last are shown of every pass. */
#define CDP_SHOWN_COUNTERS CDP_COUNT_BOUNCED

typedef enum CdpCounter
{
	CDP_COUNT_ROWS,				/* all that the pass was given */
	CDP_COUNT_NO_KEY,
	CDP_COUNT_UNTIMED,			/* without a finite time */
	CDP_COUNT_LATER,			/* at or after as_of */
	CDP_COUNT_CUSTOMERS,		/* that the result is about */
	CDP_COUNT_PATHS,			/* paths, stays, sessions or entries into cohorts */
	CDP_COUNT_BOUNCED,			/* customers with a session of one row */
	CDP_COUNTERS
} CdpCounter;

/* Where one customer stands; kept when a pass is asked for it. */
typedef struct CdpStanding
{
	char	   *customer;
	int			stage;
	int			status;
	int64		since;
	int64		last;
	int64		engagements;
} CdpStanding;

typedef struct CdpOutcome CdpOutcome;

/* A type of results. */
typedef struct CdpOutcomeKind
{
	const char *type;			/* such as "cdp.retention_partial" */
	const char *maker;			/* such as "cdp.retention_pass" */
	const CdpFields *fields;
	bool		labelled;		/* numbers of a key from the third on are labels, those above 1 */
	bool		(*valid) (const CdpOutcome *o, const CdpTallyEntry *e);
	bool		(*valid_standing) (const CdpOutcome *o, const CdpStanding *s);
} CdpOutcomeKind;

/* Numbers in place of a label; label l is l + CDP_LABEL_BASE. */
#define CDP_LABEL_ENDS 0
#define CDP_LABEL_MORE 1
#define CDP_LABEL_BASE 2

struct CdpOutcome
{
	const CdpOutcomeKind *kind;
	void	   *options;
	CdpLabels  *labels;			/* of a labelled result */
	int64		counter[CDP_COUNTERS];
	int64		newest;			/* time of the last row, DT_NOBEGIN when there is none */
	CdpTally   *tally;
	CdpStanding *standing;
	int64		nstanding;
	int64		standing_room;
};

extern CdpOutcome *cdp_outcome_create(const CdpOutcomeKind *kind, void *options, MemoryContext cxt);
extern void cdp_outcome_stand(CdpOutcome *o, const CdpStanding *s);
extern Datum cdp_outcome_to_datum(CdpOutcome *o);
extern CdpOutcome *cdp_outcome_from_datum(const CdpOutcomeKind *kind, Datum value, MemoryContext cxt);
extern Datum cdp_outcome_finish(CdpJourneyPass *pass, CdpOutcome *o, const uint32 *rank, CdpTieOrder ties,
								CdpVisitKey visit);

extern Datum cdp_outcome_in(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind);
extern Datum cdp_outcome_out(FunctionCallInfo fcinfo);
extern Datum cdp_outcome_recv(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind);
extern Datum cdp_outcome_send(FunctionCallInfo fcinfo);
extern Datum cdp_outcome_merge_add(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind);
extern Datum cdp_outcome_merge_final(FunctionCallInfo fcinfo);
extern Datum cdp_outcome_summary(FunctionCallInfo fcinfo, const CdpOutcomeKind *kind);

/* The functions of a type of results: its options, its input and output, adding, what it read. */
#define CDP_OUTCOME_FUNCTIONS(name, kind) \
	CDP_FUNCTION(cdp_##name##_in); \
	CDP_FUNCTION(cdp_##name##_out); \
	CDP_FUNCTION(cdp_##name##_recv); \
	CDP_FUNCTION(cdp_##name##_send); \
	CDP_FUNCTION(cdp_##name##_merge_add); \
	CDP_FUNCTION(cdp_##name##_merge_final); \
	CDP_FUNCTION(cdp_##name##_summary); \
	CDP_FUNCTION(cdp_##name##_options); \
	Datum cdp_##name##_in(PG_FUNCTION_ARGS) { return cdp_outcome_in(fcinfo, &kind); } \
	Datum cdp_##name##_out(PG_FUNCTION_ARGS) { return cdp_outcome_out(fcinfo); } \
	Datum cdp_##name##_recv(PG_FUNCTION_ARGS) { return cdp_outcome_recv(fcinfo, &kind); } \
	Datum cdp_##name##_send(PG_FUNCTION_ARGS) { return cdp_outcome_send(fcinfo); } \
	Datum cdp_##name##_merge_add(PG_FUNCTION_ARGS) { return cdp_outcome_merge_add(fcinfo, &kind); } \
	Datum cdp_##name##_merge_final(PG_FUNCTION_ARGS) { return cdp_outcome_merge_final(fcinfo); } \
	Datum cdp_##name##_summary(PG_FUNCTION_ARGS) { return cdp_outcome_summary(fcinfo, &kind); } \
	Datum cdp_##name##_options(PG_FUNCTION_ARGS) { return cdp_fields_make(fcinfo, (kind).fields); }

/* Counts a row; returns whether it has a key and a finite time before as_of. */
static inline bool
cdp_outcome_takes(FunctionCallInfo fcinfo, CdpOutcome *o, int key_arg, int at_arg, int64 as_of, int64 *at)
{
	if (PG_ARGISNULL(key_arg))
		o->counter[CDP_COUNT_NO_KEY]++;
	else if (PG_ARGISNULL(at_arg) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(at_arg)))
		o->counter[CDP_COUNT_UNTIMED]++;
	else if ((*at = PG_GETARG_TIMESTAMPTZ(at_arg)) >= as_of)
		o->counter[CDP_COUNT_LATER]++;
	else
	{
		o->newest = Max(o->newest, *at);
		return true;
	}
	return false;
}

#endif							/* CDP_JOURNEY_OUTCOME_H */

/*
 * session_number.c
 *		The window function cdp.session_number: which session of its customer a
 *		row belongs to.
 */
#include "journey/session.h"

#include "base/durations.h"
#include "base/rows/key.h"
#include "windowapi.h"

#define ARG_AT 0
#define ARG_GAP 1
#define ARG_LONGEST 2
#define ARG_STARTS 3
#define ARG_CAMPAIGN 4

/* What a partition has come to. */
typedef struct NumberState
{
	int64		number;			/* of sessions so far */
	CdpSession	session;
} NumberState;

/* An interval argument of the row at hand, or what stands for NULL. */
static int64
duration_argument(WindowObject winobj, int arg, const char *name, int64 otherwise)
{
	bool		isnull;
	Datum		interval = WinGetFuncArgCurrent(winobj, arg, &isnull);

	return isnull ? otherwise : cdp_duration_from_interval(DatumGetIntervalP(interval), name);
}

CDP_FUNCTION(cdp_session_number);

/* cdp.session_number(at, gap, longest, starts, campaign): 1, 2 ...; NULL for a row without a finite time. */
Datum
cdp_session_number(PG_FUNCTION_ARGS)
{
	WindowObject winobj = PG_WINDOW_OBJECT();
	NumberState *state = WinGetPartitionLocalMemory(winobj, sizeof(NumberState));
	CdpSessionRule rule = {duration_argument(winobj, ARG_GAP, "gap", CDP_SESSION_GAP), duration_argument(winobj, ARG_LONGEST, "longest", PG_INT64_MAX)};
	CdpSessionRow row = {0};
	Datum		at;
	Datum		starts;
	Datum		campaign;
	bool		isnull;

	at = WinGetFuncArgCurrent(winobj, ARG_AT, &isnull);
	if (isnull || TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(at)))
		PG_RETURN_NULL();
	row.at = DatumGetTimestampTz(at);
	if (state->session.open && row.at < state->session.last)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the rows of cdp.session_number are not in order of time"),
				 errhint("Write OVER (PARTITION BY customer ORDER BY at), with an id after the time to order rows of one time.")));
	starts = WinGetFuncArgCurrent(winobj, ARG_STARTS, &isnull);
	row.starts = !isnull && DatumGetBool(starts);
	campaign = WinGetFuncArgCurrent(winobj, ARG_CAMPAIGN, &isnull);
	row.has_campaign = !isnull;
	if (!isnull)
		cdp_key_read(campaign, CDP_KEY_TEXT, NULL, row.campaign);
	state->number += cdp_session_takes(&state->session, &rule, &row);
	PG_RETURN_INT64(state->number);
}

/*
 * judge.c
 *		Calls whose answers are judged by the manifest, with a new token where that is the verdict.
 *
 * A token that the other system does not take is replaced once: when the answer to
 * the new one is the same, or the token had been fetched for this very call, the
 * credentials themselves are wrong, and somebody has to look.
 */
#include "connector/sync/judge.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

/* Waits on the latch; it can be cancelled, and holds what the caller holds: have committed before. */
void
cdp_wait_ms(int64 ms)
{
	TimestampTz end = GetCurrentTimestamp() + ms * 1000;

	CHECK_FOR_INTERRUPTS();
	for (TimestampTz now = GetCurrentTimestamp(); now < end; now = GetCurrentTimestamp())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min((end - now) / 1000 + 1, 3600000), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Error 2D000 inside a transaction block: what waits for the network commits before. */
void
cdp_require_no_block(FunctionCallInfo fcinfo, const char *message)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("%s", message),
				 errdetail("It ends the transaction first, so that no snapshot and no lock is held while it waits."),
				 errhint("Use CALL by itself, outside BEGIN and outside functions.")));
}

/* The request of a stream in a state, without secrets, in a context. Errors: as cdp_internal.connector_request(). */
Jsonb *
cdp_call_request(MemoryContext into, CdpCaller *caller, const char *stream, Jsonb *state)
{
	const CdpCallerFacts *facts = cdp_caller_facts(caller);
	Oid			types[4] = {JSONBOID, JSONBOID, TEXTOID, JSONBOID};
	Datum		values[4] = {JsonbPGetDatum(facts->manifest), JsonbPGetDatum(facts->config), CStringGetTextDatum(stream), JsonbPGetDatum(state)};
	MemoryContext caller_context;
	Jsonb	   *request;
	bool		isnull;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.call_request($1, $2, $3, $4)", 4, types, values, NULL);
	caller_context = MemoryContextSwitchTo(into);
	request = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	MemoryContextSwitchTo(caller_context);
	SPI_finish();
	return request;
}

/* Copies a text of the row that was read into a context; NULL for NULL. */
static char *
text_in(MemoryContext into, int column)
{
	char	   *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return text == NULL ? NULL : MemoryContextStrdup(into, text);
}

/* Judges an answer by the manifest, and commits. */
static void
judge(CdpCaller *caller, const char *stream, const CdpCallAnswer *answer, CdpVerdict *verdict)
{
	MemoryContext into = CurrentMemoryContext;
	Oid			types[6] = {JSONBOID, TEXTOID, INT4OID, JSONBOID, BYTEAOID, TIMESTAMPTZOID};
	Datum		values[6] = {JsonbPGetDatum(cdp_caller_facts(caller)->manifest), CStringGetTextDatum(stream), Int32GetDatum(answer->http.status),
		cdp_http_headers_jsonb(&answer->http), PointerGetDatum(answer->http.body), TimestampTzGetDatum(answer->fetched_at)};
	char		nulls[7] = "      ";

	nulls[4] = answer->http.body == NULL ? 'n' : ' ';
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT v.verb, v.code, v.note FROM cdp_internal.call_verdict($1, $2, $3, $4, $5, $6) v", 6, types, values, nulls);
	verdict->verb = text_in(into, 1);
	verdict->code = text_in(into, 2);
	verdict->note = text_in(into, 3);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(into);
}

/* One call and its verdict, in the current context; with a second one when a new token may help. */
void
cdp_call_judged(CdpCaller *caller, const char *stream, const Jsonb *request, CdpCallAnswer *answer, CdpVerdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	for (int i = 0; i < 2; i++)
	{
		cdp_caller_call(caller, request, answer);
		verdict->calls += answer->sent;
		verdict->token_calls += answer->token_calls;
		if (!answer->sent || answer->http.outcome != CDP_HTTP_OK)
		{
			verdict->verb = pstrdup(answer->sent ? cdp_http_outcome(answer->http.outcome) : answer->token_refused ? "token_refused" : "token_unavailable");
			return;
		}
		judge(caller, stream, answer, verdict);
		if (strcmp(verdict->verb, "reauth_once") != 0)
			return;
		if (i == 1 || !cdp_caller_token_failed(caller))
			break;
	}
	verdict->verb = pstrdup("config");
	verdict->token_bad = true;
}

/*
 * deliver.c
 *		Messages of the outbox go out over connections.
 *
 * What is to be sent and what follows from an answer is said by SQL
 * (sql/again/84_deliver.sql).  Each request is three transactions: messages are taken
 * and that is committed, they are sent while nothing is held, and what became of them
 * is written down.
 */
#include "connector/sync/call.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "connector/sync/judge.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

CDP_FUNCTION(cdp_deliver);

/* One destination that is delivered to. */
typedef struct Delivery
{
	MemoryContext own;			/* outlives transactions */
	MemoryContext request;		/* one request */
	CdpCaller  *caller;
	char	   *destination;
	int			connection_id;	/* over which it goes, and whose secrets the caller has */
	TimestampTz until;
	TimestampTz free_at;		/* the earliest time at which one that has to wait may go on; 0: none has to */
	bool		more;			/* one had more than a turn takes */
	int			requests,
				failed;
} Delivery;

#define TURN	100				/* requests to one destination before others have their turn */

/* The next destination that had no turn since began; NULL: none is due. Commits. */
static char *
next_destination(MemoryContext into, const char *only, TimestampTz began, int *connection_id)
{
	Oid			types[4] = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[4] = {CStringGetTextDatum(GetUserNameFromId(GetUserId(), false)), only == NULL ? (Datum) 0 : CStringGetTextDatum(only), TimestampTzGetDatum(began), TimestampTzGetDatum(GetCurrentTimestamp())};
	char	   *name;
	bool		isnull;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT n.name, n.connection_id FROM cdp_internal.next_delivery($1, $2, $3, $4) n", 4, types, values, only == NULL ? " n  " : NULL);
	name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	*connection_id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	name = name == NULL ? NULL : MemoryContextStrdup(into, name);
	SPI_commit();
	SPI_finish();
	return name;
}

/* Takes messages and tells the request that carries them, in the request's context; NULL: there is none, or not before free_at. Commits. */
static Jsonb *
take(const Delivery *d, int64 *attempt, TimestampTz *free_at)
{
	Oid			types[3] = {TEXTOID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3] = {CStringGetTextDatum(d->destination), Int32GetDatum(d->connection_id), TimestampTzGetDatum(GetCurrentTimestamp())};
	bool		nulls[3];
	Datum		row[3];
	Jsonb	   *request = NULL;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT t.attempt_id, t.request, t.free_at FROM cdp_internal.delivery_take($1, $2, $3) t", 3, types, values, NULL);
	for (int i = 0; i < 3; i++)
		row[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &nulls[i]);
	*attempt = nulls[0] ? 0 : DatumGetInt64(row[0]);
	*free_at = nulls[2] ? 0 : DatumGetTimestampTz(row[2]);
	if (!nulls[1])
	{
		MemoryContext spi = MemoryContextSwitchTo(d->request);

		request = DatumGetJsonbPCopy(row[1]);
		MemoryContextSwitchTo(spi);
	}
	SPI_commit();
	SPI_finish();
	return request;
}

/* Writes down what became of a request, and tells what follows: go, leave or reauth, in the request's context. Commits. */
static char *
report(const Delivery *d, int64 attempt, const CdpCallAnswer *answer, bool renewed)
{
	const CdpHttpResponse *http = &answer->http;
	const char *detail = answer->sent ? http->detail : answer->failure;
	Oid			types[10] = {INT8OID, TEXTOID, TEXTOID, INT4OID, JSONBOID, BYTEAOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, BOOLOID};
	Datum		values[10] = {Int64GetDatum(attempt), CStringGetTextDatum(answer->sent ? cdp_http_outcome(http->outcome) : answer->token_refused ? "token_refused" : "token_unavailable"),
		detail == NULL ? (Datum) 0 : CStringGetTextDatum(detail), Int32GetDatum(http->status), cdp_http_headers_jsonb(http), PointerGetDatum(http->body),
		TimestampTzGetDatum(answer->fetched_at != 0 ? answer->fetched_at : GetCurrentTimestamp()), Int32GetDatum((int32) http->total_ms), TimestampTzGetDatum(answer->retry_at), BoolGetDatum(renewed)};
	char		nulls[11] = "          ";
	char	   *word;

	nulls[2] = detail == NULL ? 'n' : ' ';
	nulls[5] = http->body == NULL ? 'n' : ' ';
	nulls[8] = answer->retry_at == 0 ? 'n' : ' ';
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.delivery_answered($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", 10, types, values, nulls);
	word = MemoryContextStrdup(d->request, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	SPI_commit();
	SPI_finish();
	return word;
}

/* Waits, without holding anything, unless the session is cancelled. */
static void
wait_until(TimestampTz then)
{
	long		ms;

	while ((ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), then)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	CHECK_FOR_INTERRUPTS();
}

/* Delivers to one destination, as long as there is something and time, and its turn lasts. */
static void
deliver_to_one(Delivery *d)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		renewed = false;	/* the last request asked for another token */

	for (int i = 0; GetCurrentTimestamp() < d->until; i++)
	{
		CdpCallAnswer answer;
		TimestampTz free_at;
		int64		attempt;
		Jsonb	   *request;
		char	   *word;

		if (i == TURN)
		{
			d->more = true;
			return;
		}
		MemoryContextReset(d->request);
		MemoryContextSwitchTo(d->request);
		request = take(d, &attempt, &free_at);
		if (request == NULL)
		{
			MemoryContextSwitchTo(caller);
			if (free_at != 0 && (d->free_at == 0 || free_at < d->free_at))
				d->free_at = free_at;
			return;
		}
		cdp_caller_call(d->caller, request, &answer);
		word = report(d, attempt, &answer, renewed);
		d->requests++;
		d->failed += !answer.sent || answer.http.outcome != CDP_HTTP_OK || answer.http.status / 100 != 2;
		cdp_http_wipe_response(&answer.http);
		MemoryContextSwitchTo(caller);
		if (strcmp(word, "leave") == 0)
			return;
		/* A token that was fetched for this very request is no better the next time; then it fails as one that was renewed. */
		renewed = strcmp(word, "reauth") == 0;
		if (renewed)
			(void) cdp_caller_token_failed(d->caller);
	}
}

/* Gives each destination that is due its turn. */
static void
deliver_round(Delivery *d, const char *only)
{
	TimestampTz began = GetCurrentTimestamp();

	while (GetCurrentTimestamp() < d->until && (d->destination = next_destination(d->own, only, began, &d->connection_id)) != NULL)
	{
		d->request = AllocSetContextCreate(d->own, "cdp delivery", ALLOCSET_DEFAULT_SIZES);
		d->caller = cdp_caller_open(d->own, d->connection_id);
		deliver_to_one(d);
		cdp_caller_close(d->caller);
		MemoryContextDelete(d->request);
		pfree(d->destination);
	}
}

/* deliver(destination, deadline, requests, failed): see its COMMENT. */
Datum
cdp_deliver(PG_FUNCTION_ARGS)
{
	MemoryContext own = CurrentMemoryContext;
	TimestampTz now = GetCurrentTimestamp();
	Delivery	d = {.own = own};
	const char *only = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	cdp_require_no_block(fcinfo, "messages can not be delivered inside a transaction block");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("deadline must not be NULL")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 2)
		elog(ERROR, "deliver is not declared as the release declares it");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	d.until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), PG_GETARG_DATUM(1)));
	do
	{
		if (d.free_at != 0)
			wait_until(d.free_at);
		d.free_at = 0;
		d.more = false;
		deliver_round(&d, only);
	} while (GetCurrentTimestamp() < d.until && (d.more || (d.free_at != 0 && d.free_at < d.until)));
	values[0] = Int32GetDatum(d.requests);
	values[1] = Int32GetDatum(d.failed);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * run.c
 *		Pulls: what is due of a connection is asked for, page by page, and landed.
 *
 * What is to be asked, what an answer means and what follows from it is said by SQL
 * (sql/again/83_sync_3_plan.sql, 83_sync_4_run.sql); here is the way from one to the
 * next.  Every step is a transaction of its own: plan, ask, wait, land.  A session that
 * dies between two steps leaves what landed, and the next run goes on from there; one
 * that waits holds nothing but the lock of its connection, which is the session's.
 */
#include "connector/sync/call.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "connector/sync/judge.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

CDP_FUNCTION(cdp_sync);
CDP_FUNCTION(cdp_sync_due);

#define QUOTA_PATIENCE	(60 * USECS_PER_SEC)	/* so long a run waits for a quota; beyond it the stream is left for later */
#define REFUSED_IN_A_ROW 3		/* partitions; then it is the stream */
#define AT_ONCE			1000	/* callbacks that are looked at in one transaction */

typedef struct Run
{
	MemoryContext own;			/* outlives transactions */
	MemoryContext pulls;		/* what is to be asked of a stream */
	MemoryContext page;			/* one call */
	CdpCaller  *caller;
	int			connection_id;
	int64		id;
	int			refused;		/* partitions of the stream that could not be had, in a row */
	TimestampTz until;			/* nothing new is begun */
	TimestampTz latest;			/* a window that was begun is given up */
} Run;

/* One stream of a run. */
typedef struct RunStream
{
	char	   *name;
	bool		stands_still;
} RunStream;

/* What is to be asked next, and how often it was. */
typedef struct Pull
{
	Jsonb	   *state;
	int			attempt;
	bool		reauthed;
} Pull;

typedef enum Onward
{
	ON_PULLS,					/* with the next pull of the stream */
	ON_STREAMS,					/* with the next stream */
	ON_NOTHING					/* the run is over */
} Onward;

/* What follows from an answer; texts and states in the pulls' context. */
typedef struct Follows
{
	char	   *action;
	int			n;
	Jsonb	  **states;
	double		wait_s;
	char	   *reason;
} Follows;

/* Runs a statement with the rights of the tables' owner; its row stays until done_with() ends the step. */
static void
step(const char *sql, int n, Oid *types, Datum *values, const char *nulls)
{
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner(sql, n, types, values, nulls);
}

/* Commits a step. */
static void
done_with(void)
{
	SPI_commit();
	SPI_finish();
}

/* A text of a row of the step, copied into a context; NULL for NULL. */
static char *
step_text(MemoryContext into, uint64 row, int column)
{
	char	   *text = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

	return text == NULL ? NULL : MemoryContextStrdup(into, text);
}

/* A jsonb of a row of the step, copied into a context; NULL for NULL. */
static Jsonb *
step_jsonb(MemoryContext into, uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	MemoryContext caller = MemoryContextSwitchTo(into);
	Jsonb	   *copy = isnull ? NULL : DatumGetJsonbPCopy(value);

	MemoryContextSwitchTo(caller);
	return copy;
}

/* A time of the row of the step; 0 for NULL. */
static TimestampTz
step_time(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

/* Waits, without holding anything, unless the session is cancelled. */
static void
wait_for(TimestampTz until)
{
	for (;;)
	{
		long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		CHECK_FOR_INTERRUPTS();
		if (ms <= 0)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Notes that something is left for later, or that a stream or the whole run goes no further. */
static void
note(const Run *run, const char *sql, const char *stream, const char *reason)
{
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[4] = {Int64GetDatum(run->id), stream == NULL ? (Datum) 0 : CStringGetTextDatum(stream), CStringGetTextDatum(reason), TimestampTzGetDatum(GetCurrentTimestamp())};

	step(sql, 4, types, values, stream == NULL ? " n  " : NULL);
	done_with();
}

#define LEFT_FOR_LATER	"SELECT cdp_internal.sync_wait($1, $2, $3), $4"
#define GOES_NO_FURTHER	"SELECT cdp_internal.sync_stop($1, $2, $3, true, $4)"
#define STREAM_GOES_NO_FURTHER	"SELECT cdp_internal.sync_stop($1, $2, $3, false, $4)"
#define MOST_PULLS		10000	/* of a stream in one run */

/* The request for a state, in the page's context, and until when it has to wait for a quota (0: not at all); api is the template of its path. NULL: there is none, and problem says why. */
static Jsonb *
ask_for(const Run *run, const char *stream, const Jsonb *state, TimestampTz *free_at, char **api, char **problem)
{
	Oid			types[4] = {INT4OID, TEXTOID, JSONBOID, TIMESTAMPTZOID};
	Datum		values[4] = {Int32GetDatum(run->connection_id), CStringGetTextDatum(stream), JsonbPGetDatum(state), TimestampTzGetDatum(GetCurrentTimestamp())};
	Jsonb	   *request;

	step("SELECT a.request, a.free_at, a.request ->> 'path', a.problem FROM cdp_internal.sync_ask($1, $2, $3, $4) a", 4, types, values, NULL);
	request = step_jsonb(run->page, 0, 1);
	*free_at = step_time(2);
	*api = step_text(run->page, 0, 3);
	*problem = step_text(run->pulls, 0, 4);
	done_with();
	return request;
}

/* Lands what came of a call, and tells what follows. */
static void
land(const Run *run, const char *stream, const Pull *pull, const char *api, TimestampTz asked_at, const CdpCallAnswer *answer, Follows *follows)
{
	const CdpHttpResponse *http = &answer->http;
	const char *outcome = answer->sent ? cdp_http_outcome(http->outcome) : answer->token_refused ? "token_refused" : "token_unavailable";
	const char *detail = answer->sent ? http->detail : answer->failure;
	Oid			types[16] = {INT8OID, TEXTOID, JSONBOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID, JSONBOID, BYTEAOID, TIMESTAMPTZOID, INT4OID, INT8OID, INT4OID, TIMESTAMPTZOID};
	Datum		values[16] = {Int64GetDatum(run->id), CStringGetTextDatum(stream), JsonbPGetDatum(pull->state), CStringGetTextDatum(api), Int32GetDatum(pull->attempt), TimestampTzGetDatum(asked_at),
		CStringGetTextDatum(outcome), detail == NULL ? (Datum) 0 : CStringGetTextDatum(detail), Int32GetDatum(http->status), cdp_http_headers_jsonb(http), PointerGetDatum(http->body),
		TimestampTzGetDatum(answer->fetched_at != 0 ? answer->fetched_at : GetCurrentTimestamp()), Int32GetDatum((int32) http->total_ms), Int64GetDatum(http->raw_bytes), Int32GetDatum(answer->token_calls),
		TimestampTzGetDatum(answer->retry_at)};
	char		nulls[17] = "                ";
	bool		isnull;
	Datum		states;

	nulls[7] = detail == NULL ? 'n' : ' ';
	nulls[10] = http->body == NULL ? 'n' : ' ';
	nulls[15] = answer->retry_at == 0 ? 'n' : ' ';
	step("SELECT a.action, a.states, a.wait_s, a.reason FROM cdp_internal.sync_answered($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) a", 16, types, values, nulls);
	memset(follows, 0, sizeof(*follows));
	follows->action = step_text(run->pulls, 0, 1);
	states = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	if (!isnull)
	{
		Datum	   *item;
		MemoryContext spi = MemoryContextSwitchTo(run->pulls);

		deconstruct_array(DatumGetArrayTypePCopy(states), JSONBOID, -1, false, TYPALIGN_INT, &item, NULL, &follows->n);
		follows->states = (Jsonb **) palloc(sizeof(Jsonb *) * Max(follows->n, 1));
		for (int i = 0; i < follows->n; i++)
			follows->states[i] = DatumGetJsonbPCopy(item[i]);
		MemoryContextSwitchTo(spi);
	}
	states = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull);
	follows->wait_s = isnull ? 0 : DatumGetFloat8(states);
	follows->reason = step_text(run->pulls, 0, 4);
	done_with();
}

/* A pull of a state, in the pulls' context. */
static Pull *
new_pull(const Run *run, Jsonb *state)
{
	Pull	   *pull = MemoryContextAllocZero(run->pulls, sizeof(Pull));

	pull->state = state;
	pull->attempt = 1;
	return pull;
}

/* Puts what is to be asked before all that waits, in its order. */
static List *
put_first(const Run *run, List *waiting, const Follows *follows)
{
	MemoryContext caller = MemoryContextSwitchTo(run->pulls);

	for (int i = follows->n - 1; i >= 0; i--)
		waiting = lcons(new_pull(run, follows->states[i]), waiting);
	MemoryContextSwitchTo(caller);
	return waiting;
}

/* Asks for one page and lands it. Returns whether there is a quota to wait for first, and then waited or says so in follows (action later). */
static bool
one_call(const Run *run, const char *stream, Pull *pull, TimestampTz *asked_at, Follows *follows)
{
	MemoryContext caller = CurrentMemoryContext;
	CdpCallAnswer answer;
	TimestampTz free_at;
	char	   *api;
	Jsonb	   *request;

	MemoryContextReset(run->page);
	MemoryContextSwitchTo(run->page);
	request = ask_for(run, stream, pull->state, &free_at, &api, &follows->reason);
	if (request == NULL)
	{
		MemoryContextSwitchTo(caller);
		note(run, STREAM_GOES_NO_FURTHER, stream, follows->reason);
		follows->action = "leave";
		return true;
	}
	if (free_at != 0)
	{
		MemoryContextSwitchTo(caller);
		if (free_at > run->until || free_at > GetCurrentTimestamp() + QUOTA_PATIENCE)
			follows->action = "later";
		else
			wait_for(free_at);
		return false;
	}
	if (*asked_at == 0)
		*asked_at = GetCurrentTimestamp();
	cdp_caller_call(run->caller, request, &answer);
	land(run, stream, pull, api, *asked_at, &answer, follows);
	cdp_http_wipe_response(&answer.http);
	MemoryContextSwitchTo(caller);
	return true;
}

/* Asks for all pages of one pull, and of those that it is split into. */
static Onward
run_pull(Run *run, const char *stream, Jsonb *state)
{
	List	   *waiting = list_make1(new_pull(run, state));
	TimestampTz asked_at = 0;

	while (waiting != NIL)
	{
		Pull	   *pull = linitial(waiting);
		Follows		follows = {.action = "wait for a quota"};

		/* A window that is given up begins with its first page again; one that takes longer than a run would never be whole. */
		if (GetCurrentTimestamp() >= (asked_at != 0 && getKeyJsonValueFromContainer(&pull->state->root, "window", 6, NULL) != NULL ? run->latest : run->until))
		{
			note(run, LEFT_FOR_LATER, stream, "the time of the run is over");
			return ON_NOTHING;
		}
		if (!one_call(run, stream, pull, &asked_at, &follows))
		{
			if (strcmp(follows.action, "later") != 0)
				continue;
			note(run, LEFT_FOR_LATER, stream, "a quota is used up");
			return ON_STREAMS;
		}
		if (strcmp(follows.action, "reauth") == 0)
		{
			if (pull->reauthed || !cdp_caller_token_failed(run->caller))
			{
				note(run, GOES_NO_FURTHER, stream, follows.reason == NULL ? "the credentials are not taken" : follows.reason);
				return ON_NOTHING;
			}
			pull->reauthed = true;
			continue;
		}
		if (strcmp(follows.action, "again") == 0)
		{
			TimestampTz then = GetCurrentTimestamp() + (TimestampTz) (follows.wait_s * USECS_PER_SEC);

			if (then > run->until)
			{
				note(run, LEFT_FOR_LATER, stream, "the time of the run is over");
				return ON_NOTHING;
			}
			pull->attempt++;
			wait_for(then);
			continue;
		}
		waiting = list_delete_first(waiting);
		if (strcmp(follows.action, "go") == 0)
			waiting = put_first(run, waiting, &follows);
		else if (strcmp(follows.action, "stop") == 0)
			return ON_NOTHING;
		else if (strcmp(follows.action, "park") == 0 || strcmp(follows.action, "leave") == 0)
			return ON_STREAMS;
		else if (strcmp(follows.action, "pass") == 0)
		{
			if (++run->refused < REFUSED_IN_A_ROW)
				continue;
			note(run, STREAM_GOES_NO_FURTHER, stream, follows.reason == NULL ? "several partitions in a row can not be had" : follows.reason);
			return ON_STREAMS;
		}
		else if (strcmp(follows.action, "done") == 0)
			run->refused = 0;
	}
	return ON_PULLS;
}

/* All that was planned of a stream was pulled: what was wished of the whole of it is granted. */
static void
stream_pulled(const Run *run, const char *stream, TimestampTz planned_at)
{
	Oid			types[3] = {INT8OID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[3] = {Int64GetDatum(run->id), CStringGetTextDatum(stream), TimestampTzGetDatum(planned_at)};

	step("SELECT cdp_internal.stream_pulled($1, $2, $3)", 3, types, values, NULL);
	done_with();
}

/* Pulls what is due of one stream. */
static Onward
run_stream(Run *run, const char *stream)
{
	Oid			types[4] = {INT4OID, TEXTOID, TIMESTAMPTZOID, INT4OID};
	Datum		values[4] = {Int32GetDatum(run->connection_id), CStringGetTextDatum(stream), TimestampTzGetDatum(GetCurrentTimestamp()), Int32GetDatum(MOST_PULLS)};
	Jsonb	  **states;
	int			n;

	run->refused = 0;
	MemoryContextReset(run->pulls);
	step("SELECT p.state FROM cdp_internal.plan_stream($1, $2, $3, $4) p", 4, types, values, NULL);
	n = (int) SPI_processed;
	states = MemoryContextAlloc(run->pulls, sizeof(Jsonb *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		states[i] = step_jsonb(run->pulls, i, 1);
	done_with();
	for (int i = 0; i < n; i++)
	{
		Onward		on = run_pull(run, stream, states[i]);

		if (on != ON_PULLS)
			return on;
	}
	if (n == MOST_PULLS)
		note(run, LEFT_FOR_LATER, stream, "more is due than one run asks for");
	else
		stream_pulled(run, stream, DatumGetTimestampTz(values[2]));
	return ON_STREAMS;
}

/* Messages that the platform pushed become wishes before anything is planned. */
static void
take_callbacks(void)
{
	int64		n;

	do
	{
		bool		isnull;
		Oid			types[1] = {INT4OID};
		Datum		values[1] = {Int32GetDatum(AT_ONCE)};

		CHECK_FOR_INTERRUPTS();
		step("SELECT cdp_internal.process_callbacks($1)", 1, types, values, NULL);
		n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		done_with();
	} while (n > 0);
}

/* Opens the run, and tells its streams, in the run's own memory. */
static RunStream *
begin_run(Run *run, const char *stream, int *n)
{
	Oid			types[2] = {INT4OID, TEXTOID};
	Datum		values[2] = {Int32GetDatum(run->connection_id), stream == NULL ? (Datum) 0 : CStringGetTextDatum(stream)};
	Oid			more[3] = {INT4OID, TEXTOID, TIMESTAMPTZOID};
	Datum		about[3] = {values[0], values[1], TimestampTzGetDatum(GetCurrentTimestamp())};
	RunStream  *streams;
	bool		isnull;

	step("SELECT cdp_internal.begin_sync($1, $2)", 2, types, values, stream == NULL ? " n" : NULL);
	run->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	done_with();
	/* What can not be opened raises an error; that it was tried is written down by now, so that others get their turn. */
	run->caller = cdp_caller_open(run->own, run->connection_id);
	take_callbacks();
	step("SELECT s.stream_name, s.open_until IS NOT NULL FROM cdp_internal.sync_streams($1, $2, $3) s", 3, more, about, stream == NULL ? " n " : NULL);
	*n = (int) SPI_processed;
	streams = MemoryContextAllocZero(run->own, sizeof(RunStream) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		streams[i].name = step_text(run->own, i, 1);
		streams[i].stands_still = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
	}
	done_with();
	return streams;
}

/* Pulls a connection whose lock is held. Returns the outcome, in the current context. */
static char *
run_locked(Run *run, const char *stream)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1];
	char	   *outcome;
	RunStream  *streams;
	int			n;

	run->pulls = AllocSetContextCreate(run->own, "cdp pulls", ALLOCSET_DEFAULT_SIZES);
	run->page = AllocSetContextCreate(run->own, "cdp page", ALLOCSET_DEFAULT_SIZES);
	streams = begin_run(run, stream, &n);
	for (int i = 0; i < n; i++)
	{
		if (streams[i].stands_still)
			note(run, LEFT_FOR_LATER, streams[i].name, "it stands still for a while");
		else if (run_stream(run, streams[i].name) == ON_NOTHING)
			break;
	}
	values[0] = Int64GetDatum(run->id);
	step("SELECT cdp_internal.end_sync($1)", 1, types, values, NULL);
	outcome = step_text(run->own, 0, 1);
	done_with();
	cdp_caller_close(run->caller);
	return outcome;
}

/* Pulls a connection, unless another session does: then false. The lock goes with the call, also after an error. */
static bool
run_connection(Run *run, const char *stream, char **outcome)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, (uint32) run->connection_id, 4); /* 1 and 2 belong to pg_advisory_lock(), 3 to tokens */
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	PG_TRY();
	{
		*outcome = run_locked(run, stream);
	}
	PG_FINALLY();
	{
		LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
	return true;
}

/* When a time that begins now is over. Error 22023 when it is none. */
static TimestampTz
until_of(FunctionCallInfo fcinfo, int arg)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("deadline must not be NULL")));
	until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), PG_GETARG_DATUM(arg)));
	if (until <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("deadline must be above zero")));
	return until;
}

/* Until when what was begun before until may go on: twice the time that is left, once more. */
static TimestampTz
latest_of(TimestampTz until)
{
	return until + 2 * (until - GetCurrentTimestamp());
}

/* sync(connection, stream, deadline, run_id, outcome): see its COMMENT. */
Datum
cdp_sync(PG_FUNCTION_ARGS)
{
	Run			run = {.own = CurrentMemoryContext};
	TupleDesc	desc;
	const char *stream;
	char	   *outcome;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	cdp_require_no_block(fcinfo, "a connection can not be pulled inside a transaction block");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("connection must not be NULL")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 2)
		elog(ERROR, "sync is not declared as the release declares it");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	run.until = until_of(fcinfo, 2);
	run.latest = latest_of(run.until);
	stream = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	run.connection_id = cdp_connection_for(PG_GETARG_TEXT_PP(0));
	done_with();
	if (!run_connection(&run, stream, &outcome))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("connection \"%s\" is being pulled already", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("SELECT * FROM cdp_data.sync_run WHERE finished_at IS NULL; tells by whom.")));
	values[0] = Int64GetDatum(run.id);
	nulls[1] = outcome == NULL;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(outcome);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* The connection to pull next of those that were not since began; 0: none. */
static int
next_connection(TimestampTz began)
{
	Oid			types[3] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[3] = {CStringGetTextDatum(GetUserNameFromId(GetUserId(), false)), TimestampTzGetDatum(began), TimestampTzGetDatum(GetCurrentTimestamp())};
	bool		isnull;
	Datum		id;

	step("SELECT cdp_internal.next_connection($1, $2, $3)", 3, types, values, NULL);
	id = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	done_with();
	return isnull ? 0 : DatumGetInt32(id);
}

/* sync_due(deadline, runs): see its COMMENT. */
Datum
cdp_sync_due(PG_FUNCTION_ARGS)
{
	MemoryContext own = CurrentMemoryContext;
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz until;
	TupleDesc	desc;
	Datum		values[1];
	bool		nulls[1] = {false};
	int			runs = 0;
	int			id;

	cdp_require_no_block(fcinfo, "connections can not be pulled inside a transaction block");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 1)
		elog(ERROR, "sync_due is not declared as the release declares it");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	until = until_of(fcinfo, 0);
	while (GetCurrentTimestamp() < until && (id = next_connection(began)) != 0)
	{
		Run			run = {.own = AllocSetContextCreate(own, "cdp run", ALLOCSET_DEFAULT_SIZES), .connection_id = id, .until = until, .latest = latest_of(until)};
		char	   *outcome;

		if (run_connection(&run, NULL, &outcome))
			runs++;
		else
			wait_for(GetCurrentTimestamp() + USECS_PER_SEC / 100);	/* somebody was quicker, and is seen now */
		MemoryContextDelete(run.own);
	}
	values[0] = Int32GetDatum(runs);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * token.c
 *		The one token of an app that all sessions use.
 *
 * An app is a host, a number and a secret.  Its token stands sealed in an unlogged
 * table, so in no WAL, no standby and no base backup.  Whoever finds it missing,
 * due or refused by the other system takes an advisory lock of the session on the
 * app, looks again, and fetches; all others wait for the lock, without a snapshot,
 * and find the new one.  While the old one still serves nobody waits.  A token that
 * did not serve is replaced only while it is the current one (its generation), or
 * sessions that failed with the old one would each throw the newest away.
 *
 * A refusal is remembered, too: sessions that waited take it for theirs, and nobody
 * asks by himself before retry_at, a minute later at first and twice as long each
 * time, up to an hour: systems block those who go on asking with a wrong secret.
 */
#include "connector/connection/token.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define PURPOSE			"connector token"
#define DIGEST_PURPOSE	"connector app"
#define APP_BYTES		(2 + CDP_KEY_BYTES)
#define STILL_GOOD		(10 * USECS_PER_SEC)	/* with less than that left it is not handed out */
#define RENEWAL_PAUSE	(60 * USECS_PER_SEC)	/* after a renewal that failed, while the old one still serves */
#define LONGEST			(10 * INT64CONST(365) * 86400)

CDP_FUNCTION(cdp_known_token);

/* A row of cdp_data.connection_token. */
typedef struct TokenRow
{
	bool		found;
	int64		generation;		/* 0 without a row */
	CdpSecret  *token;			/* NULL: none, or it does not open */
	TimestampTz renew_at,
				expires_at,
				failed_at,
				retry_at;		/* 0: none */
	bool		refused;
	char		failure[CDP_TOKEN_FAILURE_BYTES];
} TokenRow;

/* The keyed digest by which an app is found: key number, then HMAC-SHA256 of host, number and secret. Nobody can try secrets on it. */
static void
app_digest(const CdpTokenAsk *ask, uint8 *app)
{
	uint64		lengths[2] = {strlen(ask->host), strlen(ask->app_id)};
	CdpPiece	pieces[4] = {{lengths, sizeof(lengths)}, {ask->host, lengths[0]}, {ask->app_id, lengths[1]}, {ask->secret->bytes, ask->secret->len}};
	int			key_id = cdp_keyfile_newest();

	app[0] = (uint8) (key_id >> 8);
	app[1] = (uint8) key_id;
	cdp_hmac(DIGEST_PURPOSE, key_id, pieces, 4, app + 2);
}

/* What a token's envelope is bound to, palloced. */
static char *
context_of(const uint8 *app)
{
	char	   *context = palloc0(2 * APP_BYTES + 1);

	for (int i = 0; i < APP_BYTES; i++)
		snprintf(context + 2 * i, 3, "%02x", app[i]);
	return context;
}

/* The digest as a datum, palloced. */
static Datum
app_datum(const uint8 *app)
{
	bytea	   *result = palloc(VARHDRSZ + APP_BYTES);

	SET_VARSIZE(result, VARHDRSZ + APP_BYTES);
	memcpy(VARDATA(result), app, APP_BYTES);
	return PointerGetDatum(result);
}

/* A time of the row that was read; 0 for NULL. */
static TimestampTz
time_of(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

/* Reads the row of an app into the caller's context, and ends the transaction: from here on nothing of it is held. */
static void
look(const uint8 *app, TokenRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[1] = {BYTEAOID};
	Datum		values[1] = {app_datum(app)};
	bool		isnull;
	Datum		value;

	memset(row, 0, sizeof(*row));
	cdp_as_owner("SELECT t.generation, t.envelope, t.renew_at, t.expires_at, t.failed_at, t.retry_at, t.refused, t.failure FROM cdp_internal.token_get($1) t", 1, types, values, NULL);
	row->found = SPI_processed == 1;
	if (row->found)
	{
		row->generation = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
		MemoryContextSwitchTo(caller);
		if (!isnull)
			row->token = cdp_connector_open(PURPOSE, context_of(app), DatumGetTextPP(value));
		row->renew_at = time_of(3);
		row->expires_at = time_of(4);
		row->failed_at = time_of(5);
		row->retry_at = time_of(6);
		row->refused = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 7, &isnull));
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 8, &isnull);
		if (!isnull)
			text_to_cstring_buffer(DatumGetTextPP(value), row->failure, sizeof(row->failure));
	}
	SPI_commit();
	MemoryContextSwitchTo(caller);
}

/* Whether the row has a token that was not found wanting and holds until then. */
static bool
serves(const TokenRow *row, const CdpTokenAsk *ask, TimestampTz until)
{
	return row->token != NULL && row->token->len > 0 && row->generation != ask->failed_generation && row->expires_at > until;
}

/* Whether a failure on the row is the answer: it came while this session waited, or the app was refused and its time is not over. */
static bool
has_failed(const TokenRow *row, const CdpTokenAsk *ask, TimestampTz began, TimestampTz now)
{
	return row->failed_at != 0 && (row->failed_at >= began || (row->refused && !ask->again && row->retry_at > now));
}

/* Hands out the token of the row. */
static void
take(TokenRow *row, CdpToken *token)
{
	token->outcome = CDP_TOKEN_READY;
	token->token = row->token;
	token->generation = row->generation;
}

/* Hands out the failure of the row. */
static void
take_failure(const TokenRow *row, CdpToken *token)
{
	token->outcome = row->refused ? CDP_TOKEN_REFUSED : CDP_TOKEN_UNAVAILABLE;
	token->retry_at = row->refused ? row->retry_at : 0;
	strlcpy(token->failure, row->failure, sizeof(token->failure));
}

/* Stores a token that was fetched, if the row is still the one that was seen, and commits; else takes the one that is there. */
static void
keep(const CdpTokenAsk *ask, const uint8 *app, const TokenRow *seen, CdpTokenAnswer *answer, TimestampTz asked_at, CdpToken *token)
{
	MemoryContext caller = CurrentMemoryContext;
	int64		seconds = answer->seconds <= 0 ? 7200 : Min(answer->seconds, LONGEST);
	TimestampTz expires_at = asked_at + seconds * USECS_PER_SEC;
	/* A token that holds no longer than the slack is used for half its time, not fetched for each request. */
	TimestampTz renew_at = asked_at + Max(seconds - ask->slack, seconds / 2) * USECS_PER_SEC;
	Oid			types[6] = {BYTEAOID, INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[6] = {app_datum(app), Int32GetDatum(ask->connection_id), Int64GetDatum(seen->generation),
		PointerGetDatum(cdp_connector_seal(PURPOSE, context_of(app), answer->token->bytes, answer->token->len)),
	TimestampTzGetDatum(renew_at), TimestampTzGetDatum(expires_at)};
	Datum		generation;
	bool		lost;

	cdp_as_owner("SELECT cdp_internal.token_put($1, $2, $3, $4, $5, $6)", 6, types, values, NULL);
	generation = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &lost);
	token->outcome = CDP_TOKEN_READY;
	token->token = answer->token;
	token->generation = lost ? -1 : DatumGetInt64(generation);
	token->fetched = true;
	SPI_commit();
	MemoryContextSwitchTo(caller);
	if (lost)
	{
		TokenRow	other;

		look(app, &other);
		if (serves(&other, ask, asked_at + STILL_GOOD))
		{
			take(&other, token);
			token->fetched = false;
		}
	}
}

/* Notes that no token came, and commits. */
static void
note_failure(const CdpTokenAsk *ask, const uint8 *app, const CdpTokenAnswer *answer, CdpToken *token)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[4] = {BYTEAOID, INT4OID, BOOLOID, TEXTOID};
	Datum		values[4] = {app_datum(app), Int32GetDatum(ask->connection_id), BoolGetDatum(answer->outcome == CDP_TOKEN_REFUSED), CStringGetTextDatum(answer->failure)};

	cdp_as_owner("SELECT cdp_internal.token_failed($1, $2, $3, $4)", 4, types, values, NULL);
	token->outcome = answer->outcome;
	token->retry_at = answer->outcome == CDP_TOKEN_REFUSED ? time_of(1) : 0;
	token->fetched = true;
	strlcpy(token->failure, answer->failure, sizeof(token->failure));
	SPI_commit();
	MemoryContextSwitchTo(caller);
}

/* Under the lock of the app: looks again, and fetches when that is still needed. */
static void
fetch_alone(const CdpTokenAsk *ask, const uint8 *app, TimestampTz began, CdpToken *token)
{
	TokenRow	row;
	CdpTokenAnswer answer;
	TimestampTz now;

	look(app, &row);
	now = GetCurrentTimestamp();
	/* Whoever held the lock before may have fetched it, or has failed to. */
	if (serves(&row, ask, now + STILL_GOOD) && row.renew_at > now)
		take(&row, token);
	else if (has_failed(&row, ask, began, now))
		take_failure(&row, token);
	else
	{
		memset(&answer, 0, sizeof(answer));
		answer.outcome = CDP_TOKEN_UNAVAILABLE;
		ask->fetch(ask->state, &answer);
		if (answer.outcome == CDP_TOKEN_READY && answer.token != NULL && answer.token->len > 0)
			keep(ask, app, &row, &answer, now, token);
		else
			note_failure(ask, app, &answer, token);
	}
}

/*
 * The token of an app, in the current context, which must outlive transactions; fetched when there is none that serves.
 * The caller has connected to SPI without atomicity; each of its transactions is committed here, and one without a snapshot is left.
 */
void
cdp_connector_token(const CdpTokenAsk *ask, CdpToken *token)
{
	uint8		app[APP_BYTES];
	uint64		number;
	LOCKTAG		tag;
	TokenRow	row;
	TimestampTz began = GetCurrentTimestamp();
	bool		good;

	memset(token, 0, sizeof(*token));
	app_digest(ask, app);
	look(app, &row);
	good = serves(&row, ask, began + STILL_GOOD);
	if (good && (row.renew_at > began || row.failed_at > began - RENEWAL_PAUSE))
	{
		take(&row, token);
		return;
	}
	if (!good && has_failed(&row, ask, began, began))
	{
		take_failure(&row, token);
		return;
	}
	memcpy(&number, app + 2, sizeof(number));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (number >> 32), (uint32) number, 3); /* 1 and 2 belong to pg_advisory_lock() */
	/* While the old one serves, one session renews it and the others go on with it. */
	if (LockAcquire(&tag, ExclusiveLock, true, good) == LOCKACQUIRE_NOT_AVAIL)
	{
		take(&row, token);
		return;
	}
	PG_TRY();
	{
		fetch_alone(ask, app, began, token);
	}
	PG_FINALLY();
	{
		LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
	/* A renewal that failed does no harm while the old one serves. */
	if (token->outcome != CDP_TOKEN_READY && good)
		take(&row, token);
}

/* What known_token() fetches instead of asking another system. */
typedef struct KnownFetch
{
	text	   *token;
	int			seconds,
				wait_ms;
	const char *outcome;
	bool		held;			/* a snapshot or a transaction's number was there while it waited */
	MemoryContext context;
} KnownFetch;

/* A fetch that waits and then answers as it was told to. */
static void
known_fetch(void *state, CdpTokenAnswer *answer)
{
	KnownFetch *known = state;
	TimestampTz end = GetCurrentTimestamp() + known->wait_ms * INT64CONST(1000);

	known->held = ActiveSnapshotSet() || TransactionIdIsValid(MyProc->xmin) || TransactionIdIsValid(GetTopTransactionIdIfAny());
	for (TimestampTz now = GetCurrentTimestamp(); now < end; now = GetCurrentTimestamp())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (end - now) / 1000 + 1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (strcmp(known->outcome, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("the fetch failed as it was told to")));
	answer->outcome = strcmp(known->outcome, "ready") == 0 ? CDP_TOKEN_READY : strcmp(known->outcome, "refused") == 0 ? CDP_TOKEN_REFUSED : CDP_TOKEN_UNAVAILABLE;
	answer->seconds = known->seconds;
	strlcpy(answer->failure, known->outcome, sizeof(answer->failure));
	answer->token = cdp_secret_new(VARSIZE_ANY_EXHDR(known->token));
	answer->token->len = VARSIZE_ANY_EXHDR(known->token);
	memcpy(answer->token->bytes, VARDATA_ANY(known->token), answer->token->len);
}

/*
 * known_token(connection, secret, token, seconds, wait_ms, answer, failed, again; outcome, generation, fetched, same, held):
 * cdp_connector_token() with a fetch that answers as told, for tests. Tells no token, only whether it is the one given.
 */
Datum
cdp_known_token(PG_FUNCTION_ARGS)
{
	CdpTokenAsk ask = {0};
	CdpToken	token;
	KnownFetch	known = {0};
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {0};
	static const char *const words[] = {"ready", "refused", "unavailable"};

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("a token can not be fetched inside a transaction block"),
				 errdetail("Nothing may be held while another system is asked, so what was done is committed before."),
				 errhint("CALL it by itself, not after BEGIN and not from a function.")));
	for (int i = 0; i < 8; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments must not be NULL")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "known_token must return a row");
	desc = BlessTupleDesc(desc);
	known.token = PG_GETARG_TEXT_P_COPY(2);
	known.seconds = PG_GETARG_INT32(3);
	known.wait_ms = PG_GETARG_INT32(4);
	known.outcome = text_to_cstring(PG_GETARG_TEXT_PP(5));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	ask.connection_id = cdp_connection_for(PG_GETARG_TEXT_PP(0));
	ask.host = "known.example";
	ask.app_id = "known";
	ask.secret = cdp_connector_secret(ask.connection_id, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	ask.failed_generation = PG_GETARG_INT64(6);
	ask.slack = 300;
	ask.again = PG_GETARG_BOOL(7);
	ask.fetch = known_fetch;
	ask.state = &known;
	cdp_connector_token(&ask, &token);
	values[1] = Int64GetDatum(token.generation);
	values[2] = BoolGetDatum(token.fetched);
	values[3] = BoolGetDatum(token.outcome == CDP_TOKEN_READY && token.token->len == (int) VARSIZE_ANY_EXHDR(known.token) &&
							 memcmp(token.token->bytes, VARDATA_ANY(known.token), token.token->len) == 0);
	values[4] = BoolGetDatum(known.held);
	SPI_finish();
	values[0] = CStringGetTextDatum(words[token.outcome]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

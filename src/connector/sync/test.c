/*
 * test.c
 *		The test of a connection: asks what there is to ask, and has it judged.
 *
 * Which streams are tried with what, and what their answers mean, is decided in
 * SQL (82_connection_6_test.sql).  Each finding is committed by itself, so that
 * others see how far a test is; one that is stopped is never finished and counts
 * for nothing.
 */
#include "connector/sync/judge.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "connector/manifest/manifest.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_test_connection);

#define BUSY_WAIT_MS 1000		/* before a server that was busy is asked once more */

static const char *const tls_hint = "The certificate must be of this name and from an authority that this server knows; cdp.ca_file names one of your own";

/* A test that runs. */
typedef struct Test
{
	MemoryContext own;			/* outlives transactions */
	MemoryContext page;			/* of one stream */
	int64		id;
	CdpCaller  *caller;
	const CdpCallerFacts *facts;
	Jsonb	   *samples;		/* stream to records, for streams that are asked by them */
	bool		greeted;		/* an answer came, and its server is judged */
	bool		let_in;			/* whether the credentials served is told */
	bool		metered;		/* the quota was asked for */
} Test;

/* A text of the row that was read; NULL for NULL. */
static char *
column_text(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/* A jsonb of the row that was read, copied into a context; NULL for NULL. */
static Jsonb *
column_jsonb(MemoryContext into, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	MemoryContext caller = MemoryContextSwitchTo(into);
	Jsonb	   *copy = isnull ? NULL : DatumGetJsonbPCopy(value);

	MemoryContextSwitchTo(caller);
	return copy;
}

/* Records a finding, and commits; hint may be NULL, ms negative for none. */
static void
record(const Test *test, const char *name, const char *status, const char *detail, const char *hint, double ms)
{
	MemoryContext into = CurrentMemoryContext;
	Oid			types[6] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID};
	Datum		values[6] = {Int64GetDatum(test->id), CStringGetTextDatum(name), CStringGetTextDatum(status), CStringGetTextDatum(detail),
		CStringGetTextDatum(hint == NULL ? "" : hint), Float8GetDatum(ms)};
	char		nulls[7] = "      ";

	nulls[4] = hint == NULL ? 'n' : ' ';
	nulls[5] = ms < 0 ? 'n' : ' ';
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.record_connection_check($1, $2, $3, $4, $5, pg_catalog.round($6::pg_catalog.numeric, 1))", 6, types, values, nulls);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(into);
}

/* Looks a host up, and records whether requests may go there. */
static bool
check_addresses(Test *test, const char *part, const CdpOrigin *origin)
{
	CdpHttpResponse response;
	TimestampTz began = GetCurrentTimestamp();
	StringInfoData list;
	int			n,
				open = 0;
	CdpHttpAddress *address = cdp_http_addresses(cdp_caller_http(test->caller), origin, &n, &response);

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
	{
		open += address[i].verdict == NULL;
		appendStringInfo(&list, "%s%s", i == 0 ? "" : ", ", address[i].text);
		if (address[i].verdict != NULL)
			appendStringInfo(&list, " (%s)", address[i].verdict);
	}
	if (n == 0)
		appendStringInfo(&list, "%s: %s", origin->host, cdp_http_outcome(response.outcome));
	record(test, psprintf("address%s", part), open == 0 ? "fail" : open < n ? "warn" : "ok", list.data,
		   n == 0 ? "The name leads nowhere: is it written right, and does this server reach a resolver?" : open < n ? "Addresses in ranges of their own take cdp.allowed_private_ranges" : NULL,
		   (GetCurrentTimestamp() - began) / 1000.0);
	return open > 0;
}

/* Records whether the servers may be asked, by name and address; false: not all of them. */
static bool
check_servers(Test *test)
{
	Oid			types[2] = {JSONBOID, JSONBOID};
	Datum		values[2] = {JsonbPGetDatum(test->facts->manifest), JsonbPGetDatum(test->facts->config)};
	char	   *part[2],
			   *server[2];
	int			n,
				n_hosts;
	const char *const *hosts = cdp_caller_hosts(test->caller, &n_hosts);
	bool		good = true;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT s.part, s.server FROM cdp_internal.test_servers($1, $2) s", 2, types, values, NULL);
	n = (int) Min(SPI_processed, 2);
	for (int i = 0; i < n; i++)
	{
		part[i] = MemoryContextStrdup(test->page, column_text(i, 1));
		server[i] = column_text(i, 2) == NULL ? NULL : MemoryContextStrdup(test->page, column_text(i, 2));
	}
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(test->page);
	for (int i = 0; i < n; i++)
	{
		CdpOrigin	origin;
		const char *word = server[i] == NULL ? "malformed" : cdp_origin_parse(server[i], strlen(server[i]), false, &origin);

		if (word == NULL)
			word = cdp_http_host_verdict(&origin, hosts, n_hosts);
		record(test, psprintf("host%s", part[i]), word == NULL ? "ok" : "fail", word == NULL ? server[i] : psprintf("%s: %s", server[i] == NULL ? "" : server[i], word),
			   word == NULL ? NULL : "A superuser adds it to cdp.allowed_hosts; base_url of the connection is https://host", -1);
		good = word == NULL && check_addresses(test, part[i], &origin) && good;
	}
	return good;
}

/* Records what the first answer tells of its server. */
static void
greet(Test *test, const CdpCallAnswer *answer, bool plain)
{
	MemoryContext into = CurrentMemoryContext;
	const CdpHttpResponse *http = &answer->http;
	Oid			types[8] = {INT8OID, JSONBOID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID};
	Datum		values[8] = {Int64GetDatum(test->id), cdp_http_headers_jsonb(http), CStringGetTextDatum(http->issuer == NULL ? "" : http->issuer),
		CStringGetTextDatum(http->expires == NULL ? "" : http->expires), BoolGetDatum(plain), TimestampTzGetDatum(answer->fetched_at), Float8GetDatum(http->total_ms), Float8GetDatum(http->tls_ms)};
	char		nulls[9] = "        ";

	nulls[2] = http->issuer == NULL ? 'n' : ' ';
	nulls[3] = http->expires == NULL ? 'n' : ' ';
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.test_greet($1, $2, $3, $4, $5, $6, $7::pg_catalog.numeric, $8::pg_catalog.numeric)", 8, types, values, nulls);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(into);
	test->greeted = true;
}

/* Records whether the credentials serve, as soon as that is known; false: they do not, and there is no sense in going on. */
static bool
check_auth(Test *test, const CdpCallAnswer *answer, const CdpVerdict *verdict)
{
	const char *hint = "Is the secret the one of this account, and is it set as it stands there? cdp.set_secret_from_file() sets it anew";

	if (!answer->sent && strncmp(answer->failure, "tls:", 4) == 0)
		record(test, "tls", "fail", answer->failure, tls_hint, -1);
	if (!answer->sent)
		record(test, "auth", "fail", answer->failure, answer->token_refused ? hint : "No token was to be had: look at the network, or try again later", -1);
	else if (verdict->token_bad)
		record(test, "auth", "fail", psprintf("a new token is not taken, either: code %s", verdict->code == NULL ? "none" : verdict->code), hint, -1);
	else if (!test->facts->has_token && answer->http.status == 401)
		record(test, "auth", "fail", "HTTP 401", hint, -1);
	else
	{
		/* Without a token a refusal may be about the stream; what is answered at all was let in. */
		if (!test->let_in && (test->facts->has_token || strcmp(verdict->verb, "ok") == 0 || strcmp(verdict->verb, "not_ready") == 0))
		{
			test->let_in = true;
			record(test, "auth", "ok", test->facts->has_token ? answer->token_calls > 0 ? "a token was fetched" : "the token serves" : "the server lets in", NULL, -1);
		}
		return true;
	}
	return false;
}

/* Whether another try may bring more. */
static bool
is_busy(const CdpVerdict *verdict)
{
	static const char *const words[] = {"retry", "slow", "reset", "connect", "truncated"};

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(verdict->verb, words[i]) == 0)
			return true;
	return false;
}

/* Has an answer judged, and keeps its records for streams that are asked by them. */
static void
judge_answer(Test *test, const char *stream, bool is_probe, const Jsonb *state, const CdpCallAnswer *answer, const CdpVerdict *verdict)
{
	MemoryContext into = CurrentMemoryContext;
	const CdpHttpResponse *http = &answer->http;
	bool		came = http->outcome == CDP_HTTP_OK;
	Oid			types[15] = {INT8OID, JSONBOID, JSONBOID, TEXTOID, BOOLOID, JSONBOID, INT4OID, JSONBOID, BYTEAOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID, JSONBOID};
	Datum		values[15] = {Int64GetDatum(test->id), JsonbPGetDatum(test->facts->manifest), JsonbPGetDatum(test->facts->config), CStringGetTextDatum(stream), BoolGetDatum(is_probe),
		JsonbPGetDatum(state), Int32GetDatum(http->status), cdp_http_headers_jsonb(http), PointerGetDatum(http->body), CStringGetTextDatum(verdict->verb),
		CStringGetTextDatum(verdict->code == NULL ? "" : verdict->code), CStringGetTextDatum(verdict->note == NULL ? "" : verdict->note),
		CStringGetTextDatum(http->detail == NULL ? "" : http->detail), Float8GetDatum(http->total_ms), JsonbPGetDatum(test->samples)};
	char		nulls[16] = "               ";

	nulls[6] = http->status == 0 ? 'n' : ' ';
	nulls[8] = http->body == NULL ? 'n' : ' ';
	nulls[10] = verdict->code == NULL ? 'n' : ' ';
	nulls[11] = verdict->note == NULL ? 'n' : ' ';
	nulls[12] = came ? 'n' : ' ';
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.test_answer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::pg_catalog.numeric, $15)", 15, types, values, nulls);
	test->samples = column_jsonb(test->own, 1);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(into);
}

/* Asks how many calls are left for a stream, where the manifest tells how, and has it recorded. */
static void
ask_quota(Test *test, const char *stream)
{
	Oid			types[7] = {INT8OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID};
	Oid			asks[3] = {JSONBOID, JSONBOID, TEXTOID};
	Datum		ask[3] = {JsonbPGetDatum(test->facts->manifest), JsonbPGetDatum(test->facts->config), CStringGetTextDatum(stream)};
	Datum		values[7];
	char		nulls[8] = "       ";
	MemoryContext into = CurrentMemoryContext;
	CdpCallAnswer answer;
	CdpVerdict	verdict;
	Jsonb	   *request;

	test->metered = true;
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.test_quota_request($1, $2, $3)", 3, asks, ask, NULL);
	request = column_jsonb(into, 1);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(into);
	if (request == NULL)
		return;
	cdp_call_judged(test->caller, stream, request, &answer, &verdict);
	values[0] = Int64GetDatum(test->id);
	values[1] = ask[0];
	values[2] = ask[2];
	values[3] = CStringGetTextDatum(verdict.verb);
	values[4] = CStringGetTextDatum(verdict.code == NULL ? "" : verdict.code);
	values[5] = CStringGetTextDatum(verdict.note == NULL ? "" : verdict.note);
	values[6] = PointerGetDatum(answer.http.body);
	nulls[4] = verdict.code == NULL ? 'n' : ' ';
	nulls[5] = verdict.note == NULL ? 'n' : ' ';
	nulls[6] = answer.http.body == NULL ? 'n' : ' ';
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT cdp_internal.test_quota($1, $2, $3, $4, $5, $6, $7)", 7, types, values, nulls);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(into);
}

/* Tries one stream; false: there is no sense in trying another. */
static bool
try_stream(Test *test, const char *stream, bool is_probe)
{
	Oid			types[5] = {JSONBOID, JSONBOID, TEXTOID, JSONBOID, TIMESTAMPTZOID};
	Datum		values[5] = {JsonbPGetDatum(test->facts->manifest), JsonbPGetDatum(test->facts->config), CStringGetTextDatum(stream), JsonbPGetDatum(test->samples), TimestampTzGetDatum(GetCurrentTimestamp())};
	Jsonb	   *state,
			   *request;
	char	   *why;
	CdpCallAnswer answer;
	CdpVerdict	verdict;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT r.state, r.request, r.why FROM cdp_internal.test_request($1, $2, $3, $4, $5) r", 5, types, values, NULL);
	state = column_jsonb(test->page, 1);
	request = column_jsonb(test->page, 2);
	why = column_text(0, 3) == NULL ? NULL : MemoryContextStrdup(test->page, column_text(0, 3));
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(test->page);
	if (request == NULL)
	{
		record(test, psprintf("permission:%s", stream), is_probe ? "fail" : "warn", why == NULL ? "" : why, "It could not be tried", -1);
		return true;
	}
	cdp_call_judged(test->caller, stream, request, &answer, &verdict);
	if (is_busy(&verdict))
	{
		cdp_wait_ms(BUSY_WAIT_MS);
		cdp_call_judged(test->caller, stream, request, &answer, &verdict);
	}
	if (answer.sent && answer.http.outcome == CDP_HTTP_OK && !test->greeted)
		greet(test, &answer, !cdp_manifest_true(&request->root, "https", true));
	if (answer.sent && answer.http.outcome == CDP_HTTP_TLS && !test->greeted)
		record(test, "tls", "fail", answer.http.detail, tls_hint, -1);
	else if (!check_auth(test, &answer, &verdict))
	{
		test->let_in = true;	/* it is told */
		return false;
	}
	judge_answer(test, stream, is_probe, state, &answer, &verdict);
	if (!test->metered && strcmp(verdict.verb, "ok") == 0)
		ask_quota(test, stream);
	return test->greeted;		/* a server that can not be reached is not asked 20 times */
}

/* Tries the streams, those that others are asked by first. */
static void
try_streams(Test *test)
{
	Oid			types[1] = {JSONBOID};
	Datum		values[1] = {JsonbPGetDatum(test->facts->manifest)};
	char	  **stream;
	bool	   *is_probe;
	bool		isnull;
	int			n;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT s.stream, s.is_probe FROM cdp_internal.test_streams($1) s", 1, types, values, NULL);
	n = (int) SPI_processed;
	stream = MemoryContextAlloc(test->own, sizeof(char *) * Max(n, 1));
	is_probe = MemoryContextAlloc(test->own, sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		stream[i] = MemoryContextStrdup(test->own, column_text(i, 1));
		is_probe[i] = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
	}
	SPI_commit();
	SPI_finish();
	for (int i = 0; i < n; i++)
	{
		MemoryContextReset(test->page);
		MemoryContextSwitchTo(test->page);
		if (!try_stream(test, stream[i], is_probe[i]))
			break;
	}
	if (test->greeted && !test->let_in)
		record(test, "auth", "fail", "no stream was let in", "Is the secret the one of this account? cdp.set_secret_from_file() sets it anew", -1);
}

/* Opens a test, with the checks that need no network; false: they failed. */
static bool
open_test(Test *test, int connection_id)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(connection_id)};
	bool		goes_on,
				isnull;

	cdp_as_owner("SELECT t.test_id, t.goes_on FROM cdp_internal.test_open($1) t", 1, types, values, NULL);
	test->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	goes_on = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	SPI_commit();
	return goes_on;
}

/* test_connection(connection; state): see its COMMENT. */
Datum
cdp_test_connection(PG_FUNCTION_ARGS)
{
	Test		test = {CurrentMemoryContext};
	TupleDesc	desc;
	int			connection_id;
	char	   *state;
	Oid			types[1] = {INT8OID};
	Datum		values[1];
	bool		nulls[1] = {false};

	cdp_require_no_block(fcinfo, "a connection can not be tested inside a transaction block");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a connection must not be NULL")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 1)
		elog(ERROR, "test_connection is not declared as the release declares it");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	connection_id = cdp_connection_for(PG_GETARG_TEXT_PP(0));
	if (open_test(&test, connection_id))
	{
		test.page = AllocSetContextCreate(test.own, "cdp test of a stream", ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(test.own);
		test.samples = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
		test.caller = cdp_caller_open(test.own, connection_id);
		test.facts = cdp_caller_facts(test.caller);
		cdp_caller_insist(test.caller);
		SPI_commit();
		if (check_servers(&test))
			try_streams(&test);
		cdp_caller_close(test.caller);
	}
	values[0] = Int64GetDatum(test.id);
	cdp_as_owner("SELECT cdp_internal.test_close($1)", 1, types, values, NULL);
	state = MemoryContextStrdup(test.own, column_text(0, 1));
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(test.own);
	values[0] = CStringGetTextDatum(state);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

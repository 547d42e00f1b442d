/*
 * call_calls.c
 *		Calls of a connection from SQL, and the pure steps of a call for tests.
 */
#include "connector/sync/call.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "connector/manifest/manifest.h"
#include "connector/sync/blank.h"
#include "connector/sync/inject.h"
#include "connector/sync/judge.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/parsenodes.h"
#include "segment/rule/rule.h"
#include "utils/array.h"
#include "utils/json.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_call_stream);
CDP_FUNCTION(cdp_known_inject);
CDP_FUNCTION(cdp_known_blank);
CDP_FUNCTION(cdp_known_json_secret);

#define TIMES_MAX 10000

/* The figures of calls, as jsonb. */
static Datum
figures(const CdpCallAnswer *answer, int token_calls, int calls, int64 blanked)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"calls\":%d,\"token_calls\":%d,\"blanked\":" INT64_FORMAT ",\"total_ms\":%.3f", calls, token_calls, blanked, answer->http.total_ms);
	if (answer->retry_at != 0)
		appendStringInfo(&buf, ",\"retry_s\":" INT64_FORMAT, (answer->retry_at - answer->fetched_at + USECS_PER_SEC - 1) / USECS_PER_SEC);
	appendStringInfoChar(&buf, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

/* call_stream(connection, stream, state, times; outcome, detail, status, headers, body, figures): see its COMMENT. */
Datum
cdp_call_stream(PG_FUNCTION_ARGS)
{
	MemoryContext own = CurrentMemoryContext;
	MemoryContext page;
	TupleDesc	desc;
	CdpCaller  *caller;
	CdpCallAnswer answer = {0};
	Jsonb	   *request;
	int			token_calls = 0,
				calls = 0;
	int64		blanked = 0;
	Datum		values[6] = {0};
	bool		nulls[6] = {false, true, true, true, true, false};

	cdp_require_no_block(fcinfo, "a connection can not be called inside a transaction block");
	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("an argument of a call must not be NULL")));
	if (PG_GETARG_INT32(3) < 1 || PG_GETARG_INT32(3) > TIMES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("times must be from 1 to %d", TIMES_MAX)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 6)
		elog(ERROR, "call_stream is not declared as the release declares it");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	caller = cdp_caller_open(own, cdp_connection_for(PG_GETARG_TEXT_PP(0)));
	request = cdp_call_request(own, caller, text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(2));
	SPI_commit();
	page = AllocSetContextCreate(own, "cdp page", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < PG_GETARG_INT32(3); i++)
	{
		CdpVerdict	verdict;

		MemoryContextReset(page);
		MemoryContextSwitchTo(page);
		cdp_call_judged(caller, text_to_cstring(PG_GETARG_TEXT_PP(1)), request, &answer, &verdict);
		calls += verdict.calls;
		token_calls += verdict.token_calls;
		blanked += answer.blanked;
		if (!answer.sent || answer.http.outcome != CDP_HTTP_OK)
			break;
	}
	MemoryContextSwitchTo(own);
	SPI_finish();
	MemoryContextSwitchTo(own);
	values[0] = CStringGetTextDatum(answer.sent ? cdp_http_outcome(answer.http.outcome) : answer.token_refused ? "token_refused" : "token_unavailable");
	if (!answer.sent || answer.http.detail != NULL)
	{
		nulls[1] = false;
		values[1] = CStringGetTextDatum(answer.sent ? answer.http.detail : answer.failure);
	}
	if (answer.http.status != 0)
	{
		nulls[2] = nulls[3] = false;
		values[2] = Int32GetDatum(answer.http.status);
		values[3] = cdp_http_headers_jsonb(&answer.http);
	}
	nulls[4] = answer.http.body == NULL;
	values[4] = PointerGetDatum(answer.http.body);
	values[5] = figures(&answer, token_calls, calls, blanked);
	cdp_caller_close(caller);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* Appends "name": and a text, NULL as null. */
static void
append_text(StringInfo buf, const char *name, const char *text)
{
	appendStringInfo(buf, "%s", buf->data[buf->len - 1] == '{' ? "" : ",");
	escape_json(buf, name);
	appendStringInfoChar(buf, ':');
	if (text == NULL)
		appendStringInfoString(buf, "null");
	else
		escape_json(buf, text);
}

/* known_inject(request, secrets, at, nonce): the request as it would go out, for tests. */
Datum
cdp_known_inject(PG_FUNCTION_ARGS)
{
	Jsonb	   *request = PG_GETARG_JSONB_P(0);
	Jsonb	   *secrets = PG_GETARG_JSONB_P(1);
	bytea	   *nonce = PG_GETARG_BYTEA_PP(3);
	CdpInject	fill = {.at = PG_GETARG_TIMESTAMPTZ(2)};
	CdpInjectValue *value;
	CdpHttpRequest out;
	CdpSecret  *app = NULL;
	const char **name;
	StringInfoData buf;

	if (!JB_ROOT_IS_OBJECT(request) || !JB_ROOT_IS_OBJECT(secrets) || VARSIZE_ANY_EXHDR(nonce) != CDP_INJECT_NONCE_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request and secrets must be objects, and a nonce has %d bytes", CDP_INJECT_NONCE_BYTES)));
	memcpy(fill.nonce, VARDATA_ANY(nonce), CDP_INJECT_NONCE_BYTES);
	name = cdp_rule_keys(&secrets->root, &fill.n);
	fill.value = value = palloc0(sizeof(CdpInjectValue) * Max(fill.n, 1));
	for (int i = 0; i < fill.n; i++)
	{
		value[i].name = name[i];
		value[i].bytes = cdp_manifest_text(&secrets->root, name[i], "");
		value[i].len = strlen(value[i].bytes);
	}
	cdp_inject(&fill, request, &out);
	if (cdp_manifest_object(&request->root, "auth") == NULL)
		app = cdp_inject_app(&fill, request);
	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	append_text(&buf, "method", out.method);
	append_text(&buf, "host", out.host);
	append_text(&buf, "path", out.path);
	append_text(&buf, "query", out.query);
	append_text(&buf, "secret_query", out.secret_query);
	append_text(&buf, "body", out.body == NULL ? NULL : pnstrdup(out.body, out.body_len));
	append_text(&buf, "app", app == NULL ? NULL : app->bytes);
	appendStringInfo(&buf, ",\"plain\":%s,\"headers\":{", out.plain ? "true" : "false");
	for (int i = 0; i < out.n_headers; i++)
		append_text(&buf, psprintf("%s%s", out.headers[i].name, out.headers[i].secret ? " *" : ""), out.headers[i].value);
	appendStringInfoString(&buf, "},\"secrets\":[");
	for (int i = 0; i < out.n_secrets; i++)
	{
		appendStringInfoString(&buf, i == 0 ? "" : ",");
		escape_json(&buf, out.secrets[i]);
	}
	appendStringInfoString(&buf, "]}");
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

/* known_blank(body, secrets; body, found): a body without these secrets, for tests. */
Datum
cdp_known_blank(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_P_COPY(0);
	Datum	   *item;
	const char **secret;
	int			n;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false};

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &item, NULL, &n);
	secret = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		secret[i] = TextDatumGetCString(item[i]);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "known_blank must return a row");
	values[1] = Int64GetDatum(cdp_blank(VARDATA(body), VARSIZE(body) - VARHDRSZ, secret, n));
	values[0] = PointerGetDatum(body);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* known_json_secret(body, path): the text at a path of a body as it stands in its bytes, NULL without one; for tests. */
Datum
cdp_known_json_secret(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_P_COPY(0);
	ManifestPath path;
	const char *why;
	CdpSecret  *secret;

	if (!cdp_manifest_path_parse(text_to_cstring(PG_GETARG_TEXT_PP(1)), false, &path, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the path is none"),
				 errdetail("%s.", why)));
	secret = cdp_json_secret(VARDATA(body), VARSIZE(body) - VARHDRSZ, &path);
	if (secret == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(secret->bytes, secret->len));
}

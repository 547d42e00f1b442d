/*
 * http_calls.c
 *		What SQL may ask of the transport: verdicts on addresses and hosts, what a
 *		host stands for, and one request.
 */
#include "cdp.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "access/htup_details.h"
#include "base/option.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "connector/network/http.h"
#include "connector/network/http_form.h"
#include "connector/network/settings.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/inet.h"
#include "utils/json.h"
#include "utils/jsonb.h"

CDP_FUNCTION(cdp_connector_address_verdict);
CDP_FUNCTION(cdp_connector_host_verdict);
CDP_FUNCTION(cdp_connector_check_host);
CDP_FUNCTION(cdp_connector_fetch);

#define REPEAT_MAX 10000

/* What the options of a request come to. */
typedef struct FetchOptions
{
	char	  **secret_headers;
	int			n_secret_headers;
	int			repeat;
} FetchOptions;

/* address_verdict(inet): the word of the address, NULL when a request may go there. The length of the prefix does not count. */
Datum
cdp_connector_address_verdict(PG_FUNCTION_ARGS)
{
	inet	   *address = PG_GETARG_INET_PP(0);
	struct sockaddr_storage storage;
	const char *word;

	memset(&storage, 0, sizeof(storage));
	if (ip_family(address) == PGSQL_AF_INET)
	{
		storage.ss_family = AF_INET;
		memcpy(&((struct sockaddr_in *) &storage)->sin_addr, ip_addr(address), 4);
	}
	else
	{
		storage.ss_family = AF_INET6;
		memcpy(&((struct sockaddr_in6 *) &storage)->sin6_addr, ip_addr(address), 16);
	}
	word = cdp_address_verdict((struct sockaddr *) &storage, cdp_allowed_private_ranges());
	if (word == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(word));
}

/* The texts of an array without NULLs, palloc'd; NULL arrays have none. */
static char **
texts_of(ArrayType *array, int *n)
{
	Datum	   *values;
	char	  **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, n);
	texts = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		texts[i] = TextDatumGetCString(values[i]);
	return texts;
}

/* host_verdict(text, text[]): why no request may go to the host, NULL when one may. */
Datum
cdp_connector_host_verdict(PG_FUNCTION_ARGS)
{
	text	   *host;
	CdpOrigin	origin;
	const char *word;
	char	  **builtin = NULL;
	int			n = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_TEXT_P(cstring_to_text("malformed"));
	host = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(1))
	{
		if (array_contains_nulls(PG_GETARG_ARRAYTYPE_P(1)))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a host must not be NULL")));
		builtin = texts_of(PG_GETARG_ARRAYTYPE_P(1), &n);
	}
	word = cdp_origin_parse(VARDATA_ANY(host), VARSIZE_ANY_EXHDR(host), false, &origin);
	if (word == NULL)
		word = cdp_http_host_verdict(&origin, (const char *const *) builtin, n);
	if (word == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(word));
}

/* Puts one row of check_host. */
static void
put_host(ReturnSetInfo *out, const char *host, const char *address, const char *reason)
{
	Datum		values[4] = {CStringGetTextDatum(host)};
	bool		nulls[4] = {false, address == NULL, false, reason == NULL};

	if (address != NULL)
		values[1] = DirectFunctionCall1(inet_in, CStringGetDatum(address));
	values[2] = BoolGetDatum(reason == NULL);
	if (reason != NULL)
		values[3] = CStringGetTextDatum(reason);
	tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

/*
 * The hosts that built-in connectors name, palloc'd in the current context.
 * Read here and not taken from a caller, who could name any.  SPI must not be
 * connected by the caller in a context that is to keep them.
 */
char **
cdp_http_builtin_hosts(int *n)
{
	MemoryContext caller = CurrentMemoryContext;
	char	  **hosts = NULL;
	bool		isnull;
	Datum		array;

	*n = 0;
	SPI_connect();
	if (SPI_execute("SELECT cdp_internal.builtin_hosts()", true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("hosts of built-in connectors could not be read")));
	array = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		hosts = texts_of(DatumGetArrayTypeP(array), n);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return hosts;
}

/* check_host(text): one row for each address that a host stands for now; nothing is looked up for a host on no list. */
Datum
cdp_connector_check_host(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *host = PG_GETARG_TEXT_PP(0);
	CdpOrigin	origin;
	const char *word;
	char	  **builtin;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	builtin = cdp_http_builtin_hosts(&n);
	word = cdp_origin_parse(VARDATA_ANY(host), VARSIZE_ANY_EXHDR(host), false, &origin);
	if (word != NULL)
		put_host(out, text_to_cstring(host), NULL, word);
	else if ((word = cdp_http_host_verdict(&origin, (const char *const *) builtin, n)) != NULL)
		put_host(out, origin.host, NULL, word);
	else
	{
		CdpHttp    *http = cdp_http_open(CurrentMemoryContext);
		CdpHttpResponse response;
		CdpHttpAddress *address = cdp_http_addresses(http, &origin, &n, &response);

		if (n == 0)
			put_host(out, origin.host, NULL, cdp_http_outcome(response.outcome));
		for (int i = 0; i < n; i++)
			put_host(out, origin.host, address[i].text, address[i].verdict);
		cdp_http_close(http);
	}
	return (Datum) 0;
}

/* Cuts a URL into the parts of a request, palloc'd; error 22023 when it is none. */
static void
cut_url(char *url, CdpHttpRequest *request)
{
	char	   *host;
	char	   *query;
	Size		len;

	if (pg_strncasecmp(url, "https://", 8) == 0)
		host = url + 8;
	else if (pg_strncasecmp(url, "http://", 7) == 0)
		host = url + 7;
	else
	{
		cdp_http_bad_request("Its URL begins with neither https:// nor http://.");
		return;					/* not reached */
	}
	request->plain = host == url + 7;
	len = strcspn(host, "/?#");
	request->host = pnstrdup(host, len);
	query = strchr(host + len, '?');
	request->path = host[len] == '/' ? (query != NULL ? pnstrdup(host + len, query - host - len) : host + len) : "/";
	request->query = query != NULL ? query + 1 : NULL;
	if (host[len] == '#')
		cdp_http_bad_request("Its URL has a fragment.");
}

/* Reads the headers, a jsonb object of texts, into the request. */
static void
read_header_argument(Jsonb *headers, CdpHttpRequest *request)
{
	JsonbIterator *it = JsonbIteratorInit(&headers->root);
	JsonbValue	v;
	JsonbIteratorToken token;
	const CdpOptionName name = {"request", "jsonb_build_object", "headers"};

	if (!JB_ROOT_IS_OBJECT(headers))
		cdp_option_bad(&name, "An object of texts");
	request->headers = palloc0(sizeof(CdpHttpHeader) * Max(JB_ROOT_COUNT(headers), 1));
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			request->headers[request->n_headers].name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE)
			request->headers[request->n_headers++].value = cdp_option_text(&name, &v);
	}
}

/* Reads one option of fetch. */
static void
read_option(const CdpOptionName *name, int option, const JsonbValue *v, CdpHttpRequest *request, FetchOptions *more)
{
	int			n;

	switch (option)
	{
		case 0:
			request->allow_http = cdp_option_bool(name, v);
			break;
		case 1:
			request->redirects = cdp_option_count(name, v);
			break;
		case 2:
			request->connect_ms = cdp_option_count(name, v);
			break;
		case 3:
			request->total_ms = cdp_option_count(name, v);
			break;
		case 4:
			request->slow_bytes = cdp_option_count(name, v);
			break;
		case 5:
			request->slow_seconds = cdp_option_count(name, v);
			break;
		case 6:
			request->max_bytes = cdp_option_count(name, v);
			break;
		case 7:
			request->secrets = (const char *const *) cdp_option_list(name, v, &n);
			request->n_secrets = n;
			break;
		case 8:
			request->secret_query = cdp_option_text(name, v);
			break;
		case 9:
			more->secret_headers = cdp_option_list(name, v, &more->n_secret_headers);
			break;
		case 10:
			request->certificate = cdp_option_bool(name, v);
			break;
		case 11:
			request->fresh = cdp_option_bool(name, v);
			break;
		case 12:
			request->repeatable = cdp_option_bool(name, v);
			break;
		case 13:
			more->repeat = cdp_option_count(name, v);
			if (more->repeat > REPEAT_MAX)
				cdp_option_bad(name, "A whole number from 1 to 10000");
			break;
		default:
			request->shown = cdp_option_text(name, v);
			break;
	}
}

/* Reads the options of fetch. */
static void
read_options(Jsonb *options, CdpHttpRequest *request, FetchOptions *more)
{
	static const char *const names[] = {"allow_http", "redirects", "connect_ms", "total_ms", "slow_bytes", "slow_seconds",
		"max_bytes", "secrets", "secret_query", "secret_headers", "certificate", "fresh", "repeatable", "repeat", "shown"};
	JsonbIterator *it = JsonbIteratorInit(&options->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	CdpOptionName name = {"request", "jsonb_build_object", "options"};
	int			option = 0;

	if (!JB_ROOT_IS_OBJECT(options))
		cdp_option_bad(&name, "An object");
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			char	   *key = pnstrdup(v.val.string.val, v.val.string.len);

			for (option = 0; option < lengthof(names) && strcmp(key, names[option]) != 0;)
				option++;
			if (option == lengthof(names))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("unknown option \"%s\" of a request", key),
						 cdp_suggest_hint(key, names, lengthof(names))));
			name.name = names[option];
		}
		else if (token == WJB_VALUE)
			read_option(&name, option, &v, request, more);
	}
	for (int i = 0; i < request->n_headers; i++)
		for (int j = 0; j < more->n_secret_headers; j++)
			if (pg_strcasecmp(request->headers[i].name, more->secret_headers[j]) == 0)
				request->headers[i].secret = true;
}

/* Appends "name": to an object that may have members already. */
static void
append_name(StringInfo buf, const char *name)
{
	if (buf->data[buf->len - 1] != '{')
		appendStringInfoChar(buf, ',');
	escape_json(buf, name);
	appendStringInfoChar(buf, ':');
}

/* Whether a header is for the one who asked alone: what lets in, and places to go, which repeat what was sent or carry what lets in. */
static bool
is_private(const char *name)
{
	static const char *const names[] = {"location", "content-location", "refresh", "set-cookie", "set-cookie2"};

	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* The headers of an answer as jsonb, palloc'd, without private ones; those that come twice in one text with commas between. */
Datum
cdp_http_headers_jsonb(const CdpHttpResponse *response)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < response->n_headers; i++)
	{
		const char *name = response->headers[i].name;
		StringInfoData all;
		bool		seen = is_private(name);

		for (int j = 0; j < i; j++)
			seen = seen || strcmp(response->headers[j].name, name) == 0;
		if (seen)
			continue;
		initStringInfo(&all);
		for (int j = i; j < response->n_headers; j++)
			if (strcmp(response->headers[j].name, name) == 0)
				appendStringInfo(&all, "%s%s", all.len > 0 ? ", " : "", response->headers[j].value);
		append_name(&buf, name);
		escape_json(&buf, all.data);
	}
	appendStringInfoChar(&buf, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

/* What was measured, as jsonb. */
static Datum
figures_json(const CdpHttpResponse *response)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"raw_bytes\":" INT64_FORMAT ",\"redirects\":%d,\"connections\":%d,\"dns_ms\":%.3f,\"connect_ms\":%.3f,\"tls_ms\":%.3f,\"first_byte_ms\":%.3f,\"total_ms\":%.3f",
					 response->raw_bytes, response->redirects, response->connections, response->dns_ms, response->connect_ms,
					 response->tls_ms, response->first_byte_ms, response->total_ms);
	if (response->address != NULL)
	{
		append_name(&buf, "address");
		escape_json(&buf, response->address);
	}
	if (response->issuer != NULL)
	{
		append_name(&buf, "issuer");
		escape_json(&buf, response->issuer);
	}
	if (response->expires != NULL)
	{
		append_name(&buf, "expires");
		escape_json(&buf, response->expires);
	}
	appendStringInfoChar(&buf, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

/* Raises an error inside a transaction block; else ends the transaction, so that nothing is held while the network is slow. */
static void
let_go(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("a request over the network can not be made inside a transaction block"),
				 errdetail("It ends the transaction first, so that no snapshot and no lock is held while it waits."),
				 errhint("Use CALL by itself, outside BEGIN and outside functions.")));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	SPI_commit();
	SPI_finish();
}

/* fetch(...): one request, outside any transaction that holds something; see its COMMENT. */
Datum
cdp_connector_fetch(PG_FUNCTION_ARGS)
{
	CdpHttpRequest request = {0};
	CdpHttpResponse response = {0};
	FetchOptions more = {.repeat = 1};
	TupleDesc	desc;
	CdpHttp    *http;
	MemoryContext one;
	int			connections = 0;
	Datum		values[6] = {0};
	bool		nulls[6] = {0};

	for (int i = 0; i < 5; i++)
		if (PG_ARGISNULL(i) && i != 3)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("an argument of a request must not be NULL"),
					 errdetail("Argument %d is NULL; only the body may be.", i + 1)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 6)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("fetch is not declared as the release declares it")));
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	cut_url(text_to_cstring(PG_GETARG_TEXT_PP(0)), &request);
	request.method = text_to_cstring(PG_GETARG_TEXT_PP(1));
	read_header_argument(PG_GETARG_JSONB_P(2), &request);
	if (!PG_ARGISNULL(3))
	{
		bytea	   *body = PG_GETARG_BYTEA_P_COPY(3);

		request.body = VARDATA(body);
		request.body_len = VARSIZE(body) - VARHDRSZ;
	}
	read_options(PG_GETARG_JSONB_P(4), &request, &more);
	request.builtin_hosts = (const char *const *) cdp_http_builtin_hosts(&request.n_builtin_hosts);
	let_go(fcinfo);

	http = cdp_http_open(CurrentMemoryContext);
	one = AllocSetContextCreate(CurrentMemoryContext, "cdp request", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < more.repeat; i++)
	{
		MemoryContext caller = CurrentMemoryContext;

		MemoryContextReset(one);
		MemoryContextSwitchTo(one);
		cdp_http_run(http, &request, &response);
		MemoryContextSwitchTo(caller);
		connections += response.connections;
		if (response.outcome != CDP_HTTP_OK)
			break;
	}
	cdp_http_close(http);
	cdp_http_wipe_request(&request);

	response.connections = connections;
	values[0] = CStringGetTextDatum(cdp_http_outcome(response.outcome));
	nulls[1] = response.detail == NULL;
	if (!nulls[1])
		values[1] = CStringGetTextDatum(response.detail);
	nulls[2] = response.status == 0;
	values[2] = Int32GetDatum(response.status);
	values[3] = cdp_http_headers_jsonb(&response);
	nulls[4] = response.body == NULL;
	values[4] = PointerGetDatum(response.body);
	values[5] = figures_json(&response);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

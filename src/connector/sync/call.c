/*
 * call.c
 *		One call of a connection: its token, its secrets, the request, the answer.
 *
 * The way of a call: look whether the connection is still the one that was opened;
 * take the token that all sessions share, or fetch it; commit; fill the request;
 * send it and wait, with no snapshot, number or lock held; blank in the answer what
 * the request was filled with; wipe.  Secrets are opened once for each caller and
 * stand in its memory until it is closed or its context goes.
 */
#include "connector/sync/call.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "connector/manifest/scrub.h"
#include "connector/sync/blank.h"
#include "connector/sync/inject.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#define TOKEN_LOOK	(5 * USECS_PER_SEC)	/* so long a token is used without a look at what other sessions did */

#define PATIENCE_MS	30000		/* of a person who waits for a test */

struct CdpCaller
{
	CdpCallerFacts facts;
	MemoryContext context;		/* everything here */
	MemoryContext tokens;		/* the token; emptied before the next one */
	CdpHttp    *http;
	char	   *stamp;			/* cdp_internal.call_stamp() when it was opened */
	bool		allow_http;
	bool		insist;			/* ask for a token although the app was refused a short while ago; tell of certificates */
	bool		certified;		/* a certificate was told */
	Jsonb	   *token_request;	/* NULL: auth takes none */
	const char **hosts;			/* of the built-in manifest */
	int			n_hosts;
	CdpInjectValue *value;		/* secrets; behind them, once it is there, the token */
	int			n_secrets;
	int			refresh;		/* the secret that the other system may exchange with each token; -1: none */
	CdpToken	token;
	TimestampTz token_at;		/* when it was looked for; 0: none is here */
	int64		failed_generation;
	int			token_calls;	/* of the call that runs */
	bool		fetched;		/* by it */
};

/* A text of the row that was read, in the current context; NULL for NULL. */
static char *
text_of(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

/* A jsonb of the row that was read, copied into a context; NULL for NULL. */
static Jsonb *
jsonb_of(MemoryContext context, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Jsonb	   *copy = isnull ? NULL : DatumGetJsonbPCopy(value);

	MemoryContextSwitchTo(caller);
	return copy;
}

/* The texts of an array of the row that was read, in a context. */
static const char **
texts_of(MemoryContext context, int column, int *n)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	Datum	   *item;
	const char **list;
	MemoryContext caller = MemoryContextSwitchTo(context);

	*n = 0;
	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &item, NULL, n);
	list = palloc0(sizeof(char *) * (*n + 1));
	for (int i = 0; i < *n; i++)
		list[i] = TextDatumGetCString(item[i]);
	MemoryContextSwitchTo(caller);
	return list;
}

/* Opens the secrets that auth names, into the caller's memory. */
static void
open_secrets(CdpCaller *caller, const char **name, int n)
{
	MemoryContext spi = MemoryContextSwitchTo(caller->context);

	caller->value = palloc0(sizeof(CdpInjectValue) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		CdpSecret  *secret = cdp_connector_secret(caller->facts.connection_id, name[i]);

		caller->value[i] = (CdpInjectValue) {psprintf("secret.%s", name[i]), secret->bytes, secret->len};
	}
	caller->n_secrets = n;
	MemoryContextSwitchTo(spi);
}

/* Which secret is the refresh token of OAuth, -1: none. */
static int
refresh_secret(const CdpCaller *caller)
{
	const JsonbContainer *form = caller->token_request == NULL ? NULL : cdp_manifest_object(&caller->token_request->root, "form");
	const char *template = cdp_manifest_text(form, "refresh_token", "");

	for (int i = 0; i < caller->n_secrets; i++)
		if (strcmp(template, psprintf("${%s}", caller->value[i].name)) == 0)
			return i;
	return -1;
}

/*
 * Opens a caller in a context that must outlive transactions. The caller's role may use the connection: that was asked before.
 * Errors: 42501 it may not, 55000 no such connector, a secret is missing or was set for another server, 22023 config lacks something.
 */
CdpCaller *
cdp_caller_open(MemoryContext owner, int connection_id)
{
	MemoryContext context = AllocSetContextCreate(owner, "cdp caller", ALLOCSET_DEFAULT_SIZES);
	CdpCaller  *caller = MemoryContextAllocZero(context, sizeof(CdpCaller));
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(connection_id)};
	const char **secrets;
	int			n;
	bool		isnull;

	caller->context = context;
	caller->tokens = AllocSetContextCreate(context, "cdp token", ALLOCSET_SMALL_SIZES);
	caller->facts.connection_id = connection_id;
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cdp_as_owner("SELECT c.name, c.state, c.manifest, c.config, c.token_request, c.revision, c.binding, c.allow_http, c.hosts, c.secrets, c.stamp FROM cdp_internal.call_open($1) c", 1, types, values, NULL);
	caller->facts.name = MemoryContextStrdup(context, text_of(1));
	caller->facts.state = MemoryContextStrdup(context, text_of(2));
	caller->facts.manifest = jsonb_of(context, 3);
	caller->facts.config = jsonb_of(context, 4);
	caller->token_request = jsonb_of(context, 5);
	caller->facts.has_token = caller->token_request != NULL;
	caller->facts.revision = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 6, &isnull));
	caller->facts.binding = MemoryContextStrdup(context, text_of(7));
	caller->allow_http = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 8, &isnull));
	caller->hosts = texts_of(context, 9, &caller->n_hosts);
	secrets = texts_of(context, 10, &n);
	caller->stamp = MemoryContextStrdup(context, text_of(11));
	open_secrets(caller, secrets, n);
	caller->refresh = refresh_secret(caller);
	SPI_finish();
	caller->http = cdp_http_open(context);
	return caller;
}

/* The connection as it was read. */
const CdpCallerFacts *
cdp_caller_facts(const CdpCaller *caller)
{
	return &caller->facts;
}

/* A person wants to know: tokens are asked for in spite of a refusal a short while ago, and answers tell of certificates. */
void
cdp_caller_insist(CdpCaller *caller)
{
	caller->insist = true;
}

/* The session of the transport, for what is no call. */
CdpHttp *
cdp_caller_http(CdpCaller *caller)
{
	return caller->http;
}

/* Hosts that the release itself names for this connection. */
const char *const *
cdp_caller_hosts(const CdpCaller *caller, int *n)
{
	*n = caller->n_hosts;
	return (const char *const *) caller->hosts;
}

/* What a request is filled with now. */
static CdpInject
filling(const CdpCaller *caller, bool with_token)
{
	CdpInject	fill = {caller->value, caller->n_secrets, GetCurrentTimestamp()};

	if (with_token && caller->token_at != 0)
		caller->value[fill.n++] = (CdpInjectValue) {"token", caller->token.token->bytes, caller->token.token->len};
	if (!pg_strong_random(fill.nonce, sizeof(fill.nonce)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("no random bytes are to be had")));
	return fill;
}

/* Sends a filled request; the answer is in the current context. */
static void
send_filled(CdpCaller *caller, CdpHttpRequest *request, CdpHttpResponse *response)
{
	request->allow_http = caller->allow_http;
	request->builtin_hosts = (const char *const *) caller->hosts;
	request->n_builtin_hosts = caller->n_hosts;
	cdp_http_run(caller->http, request, response);
}

/* Blanks in the answer what the request was filled with, and wipes the request. Returns how often it blanked. */
static int64
blank_and_wipe(CdpHttpRequest *request, CdpHttpResponse *response)
{
	int64		blanked = 0;

	if (response->body != NULL)
		blanked = cdp_blank(VARDATA(response->body), VARSIZE(response->body) - VARHDRSZ, request->secrets, request->n_secrets);
	cdp_http_wipe_request(request);
	return blanked;
}

/* Notes why there is no token, as many whole characters as there is room for. */
static void
set_failure(CdpTokenAnswer *answer, CdpTokenOutcome outcome, const char *text)
{
	Size		len = strlen(text);

	answer->outcome = outcome;
	if (len >= CDP_TOKEN_FAILURE_BYTES)
		len = pg_mbcliplen(text, (int) len, CDP_TOKEN_FAILURE_BYTES - 1);
	memcpy(answer->failure, text, len);
	answer->failure[len] = '\0';
}

/* Whether waiting helps against what a verb stands for, so that nobody has to look. */
static bool
passes_by_itself(const char *verb)
{
	return strcmp(verb, "retry") == 0 || strcmp(verb, "slow") == 0 || strcmp(verb, "park") == 0 || strcmp(verb, "not_ready") == 0;
}

/* For how long a token holds by the answer it came with, seconds; 0: not told. */
static int64
seconds_of(const Jsonb *request, const Jsonb *doc)
{
	const char *path = cdp_manifest_text(&request->root, "ttl", NULL);
	JsonbValue	root,
				found;
	const char *text;

	if (path == NULL)
		return cdp_manifest_whole(&request->root, "ttl_s", 0);
	cdp_manifest_root_value(doc, &root);
	if (!cdp_manifest_path_first(cdp_manifest_path(path, false), &root, &found) || (text = cdp_manifest_scalar_text(&found)) == NULL)
		return 0;
	/* A number may come as text, or with decimals. */
	return strspn(text, "0123456789.") == strlen(text) && strlen(text) < 12 ? (int64) atof(text) : 0;
}

/* The first IPv4 address in an answer, palloc'd: with a refusal the one that the server saw. NULL: none. */
static char *
named_address(const char *body, Size len)
{
	for (Size i = 0; i < len; i++)
	{
		Size		j = i;
		int			parts = 0;

		while (parts < 4)
		{
			Size		digits = 0;

			while (j + digits < len && digits < 4 && body[j + digits] >= '0' && body[j + digits] <= '9')
				digits++;
			if (digits < 1 || digits > 3)
				break;
			j += digits;
			if (++parts < 4 && (j == len || body[j++] != '.'))
				break;
		}
		if (parts == 4)
			return pnstrdup(body + i, j - i);
		while (i + 1 < len && body[i] >= '0' && body[i] <= '9')
			i++;
	}
	return NULL;
}

/* The text at a path of the bytes of an answer, in a context; NULL: there is none. */
static CdpSecret *
secret_in(CdpHttpResponse *response, const char *path, MemoryContext into)
{
	char	   *body = VARDATA(response->body);
	Size		len = VARSIZE(response->body) - VARHDRSZ;
	MemoryContext here = MemoryContextSwitchTo(into);
	CdpSecret  *secret = cdp_json_secret(body, len, cdp_manifest_path(path, false));

	MemoryContextSwitchTo(here);
	return secret;
}

/* Reads the answer to a request for a token, out of which the token has been taken, NULL for none. */
static void
read_answer(CdpCaller *caller, const CdpHttpResponse *response, CdpSecret *token, CdpTokenAnswer *answer)
{
	char	   *body = VARDATA(response->body);
	Size		len = VARSIZE(response->body) - VARHDRSZ;
	const char *code,
			   *note,
			   *verb,
			   *problem;
	int64		scrubbed = 0;
	Jsonb	   *doc = cdp_scrub_jsonb(body, len, &scrubbed, &problem);

	verb = cdp_manifest_token_verb(caller->facts.manifest, response->status, DatumGetJsonbP(cdp_http_headers_jsonb(response)), doc, &code, &note);
	if (strcmp(verb, "ok") == 0 && token != NULL)
	{
		answer->outcome = CDP_TOKEN_READY;
		answer->token = token;
		answer->seconds = seconds_of(caller->token_request, doc);
	}
	else if (strcmp(verb, "ok") == 0)
		set_failure(answer, CDP_TOKEN_REFUSED, psprintf("the answer has no token at %s", cdp_manifest_text(&caller->token_request->root, "token", "$.access_token")));
	else
	{
		char	   *address = strcmp(verb, "config") == 0 ? named_address(body, Min(len, 4000)) : NULL;

		set_failure(answer, passes_by_itself(verb) ? CDP_TOKEN_UNAVAILABLE : CDP_TOKEN_REFUSED,
					psprintf("HTTP %d%s%s%s%s%s%s", response->status, code == NULL ? "" : ", code ", code == NULL ? "" : code, note == NULL ? "" : ": ", note == NULL ? "" : note,
							 address == NULL ? "" : "; it names the address ", address == NULL ? "" : address));
	}
}

/* Opens the refresh token again, and commits: another session may have exchanged it since. */
static void
reopen_refresh(CdpCaller *caller)
{
	CdpInjectValue *value = &caller->value[caller->refresh];
	MemoryContext here = CurrentMemoryContext;
	CdpSecret  *secret;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(caller->context);
	secret = cdp_connector_secret(caller->facts.connection_id, value->name + strlen("secret."));
	value->bytes = secret->bytes;
	value->len = secret->len;
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(here);
}

/* Keeps a refresh token that came with a token in place of the one that was used (RFC 6749, 6), and commits. */
static void
keep_refresh(CdpCaller *caller, CdpSecret *fresh)
{
	CdpInjectValue *value = &caller->value[caller->refresh];
	MemoryContext here = CurrentMemoryContext;
	const char *name = value->name + strlen("secret.");
	bool		kept;

	if (fresh == NULL || (fresh->len == (int) value->len && memcmp(fresh->bytes, value->bytes, value->len) == 0))
		return;
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	kept = cdp_connector_secret_renew(caller->facts.connection_id, name, fresh);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(caller->context);
	*value = (CdpInjectValue) {value->name, memcpy(cdp_secret_new(fresh->len)->bytes, fresh->bytes, fresh->len + 1), fresh->len};
	MemoryContextSwitchTo(here);
	if (!kept)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("secret \"%s\" of connection \"%s\" was exchanged by the other system, and the new one could not be kept", name, caller->facts.name),
				 errdetail("It is a reference to a file or the environment, or was changed meanwhile."),
				 errhint("Secrets that the other system exchanges must be set by cdp.set_secret() or cdp.set_secret_from_file().")));
}

/* Asks for a token, as CdpTokenFetch. */
static void
fetch_token(void *state, CdpTokenAnswer *answer)
{
	CdpCaller  *caller = state;
	MemoryContext into = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(into, "cdp token request", ALLOCSET_DEFAULT_SIZES);
	CdpHttpRequest request;
	CdpHttpResponse response;
	CdpInject	fill;
	CdpSecret  *token = NULL,
			   *fresh = NULL;

	MemoryContextSwitchTo(work);
	if (caller->refresh >= 0)
		reopen_refresh(caller);
	fill = filling(caller, false);
	cdp_inject(&fill, caller->token_request, &request);
	request.fresh = true;		/* else libcurl may send it twice, and nobody knows whether that costs the first token */
	caller->token_calls++;
	send_filled(caller, &request, &response);
	if (response.body != NULL)
	{
		/* Before anything is blanked: what is told again may be the old one, and stars are no secret. */
		token = secret_in(&response, cdp_manifest_text(&caller->token_request->root, "token", "$.access_token"), into);
		fresh = caller->refresh < 0 ? NULL : secret_in(&response, "$.refresh_token", work);
		for (int i = 0; i < 2; i++)
			if ((i == 0 ? token : fresh) != NULL)
				(void) cdp_blank(VARDATA(response.body), VARSIZE(response.body) - VARHDRSZ, (const char *const[]) {(i == 0 ? token : fresh)->bytes}, 1);
	}
	blank_and_wipe(&request, &response);
	if (response.outcome != CDP_HTTP_OK)
		set_failure(answer, CDP_TOKEN_UNAVAILABLE, psprintf("%s: %s", cdp_http_outcome(response.outcome), response.detail == NULL ? "" : response.detail));
	else
	{
		read_answer(caller, &response, token, answer);
		cdp_http_wipe_response(&response);
	}
	if (answer->outcome == CDP_TOKEN_READY)
		keep_refresh(caller, fresh);
	MemoryContextSwitchTo(into);
	MemoryContextDelete(work);
}

/* The server of a request, as an app is told by it. */
static char *
server_of(const JsonbContainer *request)
{
	return psprintf("%s://%s:" INT64_FORMAT, cdp_manifest_true(request, "https", true) ? "https" : "http",
					cdp_manifest_text(request, "host", ""), cdp_manifest_whole(request, "port", 0));
}

/* Takes the token of the app, fetched if need be; commits. False: there is none, and the answer says why. */
static bool
take_token(CdpCaller *caller, CdpCallAnswer *answer)
{
	CdpTokenAsk ask = {.connection_id = caller->facts.connection_id, .failed_generation = caller->failed_generation, .again = caller->insist, .fetch = fetch_token, .state = caller};
	MemoryContext spi;
	CdpInject	fill;

	caller->token_at = 0;
	MemoryContextReset(caller->tokens);
	spi = MemoryContextSwitchTo(caller->tokens);
	fill = filling(caller, false);
	if (caller->refresh >= 0)
	{
		/* What is exchanged with each token tells no app; the connection does. */
		CdpInjectValue *stable = palloc(sizeof(CdpInjectValue) * caller->n_secrets);
		char	   *own = psprintf("connection %d", caller->facts.connection_id);

		memcpy(stable, caller->value, sizeof(CdpInjectValue) * caller->n_secrets);
		stable[caller->refresh] = (CdpInjectValue) {caller->value[caller->refresh].name, own, strlen(own)};
		fill.value = stable;
	}
	ask.host = server_of(&caller->token_request->root);
	ask.app_id = cdp_manifest_text(&caller->token_request->root, "target", "/");
	ask.secret = cdp_inject_app(&fill, caller->token_request);
	ask.slack = (int) cdp_manifest_whole(&caller->token_request->root, "slack_s", 60);
	cdp_connector_token(&ask, &caller->token);
	MemoryContextSwitchTo(spi);
	answer->token_calls = caller->token_calls;
	caller->fetched = caller->token.fetched;
	if (caller->token.outcome == CDP_TOKEN_READY)
	{
		caller->token_at = GetCurrentTimestamp();
		caller->failed_generation = 0;
		return true;
	}
	answer->token_refused = caller->token.outcome == CDP_TOKEN_REFUSED;
	answer->token_unavailable = !answer->token_refused;
	answer->retry_at = caller->token.retry_at;
	strlcpy(answer->failure, caller->token.failure, sizeof(answer->failure));
	return false;
}

/* Error 55000 when the connection is not the one any more that was opened. */
static void
require_same(const CdpCaller *caller)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(caller->facts.connection_id)};
	char	   *stamp;

	cdp_as_owner("SELECT cdp_internal.call_stamp($1)", 1, types, values, NULL);
	stamp = text_of(1);
	if (stamp == NULL || strcmp(stamp, caller->stamp) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("connection \"%s\" was changed while it was used", caller->facts.name),
				 errdetail("Its config, secrets or manifest are others than when it was opened, or it was retired."),
				 errhint("Begin anew.")));
}

/*
 * One call: token, request, answer. The answer is in the current context, which must outlive transactions; empty it after
 * each page. Commits what it reads itself. What the network does is told in the answer. Errors: 55000 the connection was
 * changed, 57014 cancelled or out of time of the statement, 22023 malformed request.
 */
void
cdp_caller_call(CdpCaller *caller, const Jsonb *request, CdpCallAnswer *answer)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp call", ALLOCSET_DEFAULT_SIZES);
	MemoryContext into = CurrentMemoryContext;
	CdpHttpRequest filled;
	CdpInject	fill;
	bool		ready = true;

	memset(answer, 0, sizeof(*answer));
	caller->token_calls = 0;
	caller->fetched = false;
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	require_same(caller);
	if (caller->token_request != NULL && (caller->token_at == 0 || GetCurrentTimestamp() > caller->token_at + TOKEN_LOOK))
		ready = take_token(caller, answer);
	SPI_commit();
	SPI_finish();
	MemoryContextSwitchTo(work);
	if (ready)
	{
		fill = filling(caller, true);
		cdp_inject(&fill, request, &filled);
		filled.repeatable = cdp_manifest_true(&request->root, "repeatable", true);	/* a pull changes nothing, whatever its method */
		/* A certificate is told on a connection of its own only. */
		filled.certificate = filled.fresh = caller->insist && !caller->certified;
		filled.total_ms = caller->insist ? PATIENCE_MS : 0;
		MemoryContextSwitchTo(into);
		send_filled(caller, &filled, &answer->http);
		answer->blanked = blank_and_wipe(&filled, &answer->http);
		answer->sent = true;
		caller->certified = caller->certified || answer->http.issuer != NULL;
	}
	answer->fetched_at = GetCurrentTimestamp();
	MemoryContextSwitchTo(into);
	MemoryContextDelete(work);
}

/*
 * The other system took not the token of the last call. The next call asks for another one; false: the last call had
 * fetched it itself, so that another will not be taken either, and somebody has to look.
 */
bool
cdp_caller_token_failed(CdpCaller *caller)
{
	if (caller->token_request == NULL || caller->fetched)
		return false;
	if (caller->token_at != 0)
		caller->failed_generation = caller->token.generation;
	caller->token_at = 0;
	return true;
}

/* Ends a caller: connections are closed, secrets wiped. */
void
cdp_caller_close(CdpCaller *caller)
{
	cdp_http_close(caller->http);
	MemoryContextDelete(caller->context);
}

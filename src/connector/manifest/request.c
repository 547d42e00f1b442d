/*
 * request.c
 *		The next request of a stream, and the one for its token: from a manifest
 *		and a state, without any secret.
 *
 * What secrets and tokens are put into comes apart from the rest, as templates
 * that name them: values of the configuration or of a page can never pass for one.
 */
#include "connector/manifest/request.h"

#include "catalog/pg_type.h"
#include "segment/rule/rule.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

CDP_FUNCTION(cdp_connector_request);
CDP_FUNCTION(cdp_connector_auth_request);
CDP_FUNCTION(cdp_connector_hosts);

#define BODY_MAX_BYTES (4 * 1024 * 1024)

/* Pushes a key and its value, which may be a container. */
JsonbValue *
cdp_request_push(JsonbParseState **state, const char *key, JsonbValue *v)
{
	JsonbValue	k;

	k.type = jbvString;
	k.val.string.val = unconstify(char *, key);
	k.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &k);
	return pushJsonbValue(state, WJB_VALUE, v);
}

/* Pushes a key and a text; nothing when that is NULL. */
void
cdp_request_push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	v;

	if (text == NULL)
		return;
	v.type = jbvString;
	v.val.string.val = unconstify(char *, text);
	v.val.string.len = strlen(text);
	cdp_request_push(state, key, &v);
}

/* Pushes a key and a whole number. */
static void
push_whole(JsonbParseState **state, const char *key, int64 n)
{
	JsonbValue	v;

	v.type = jbvNumeric;
	v.val.numeric = DatumGetNumeric(DirectFunctionCall1(int8_numeric, Int64GetDatum(n)));
	cdp_request_push(state, key, &v);
}

/* Pushes a key and true or false. */
static void
push_bool(JsonbParseState **state, const char *key, bool b)
{
	JsonbValue	v;

	v.type = jbvBool;
	v.val.boolean = b;
	cdp_request_push(state, key, &v);
}

/* Pushes a key and what begins there. */
static void
push_begin(JsonbParseState **state, const char *key, JsonbIteratorToken token)
{
	JsonbValue	k;

	k.type = jbvString;
	k.val.string.val = unconstify(char *, key);
	k.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &k);
	pushJsonbValue(state, token, NULL);
}

/* The JSON of a tree of the manifest with its variables replaced. */
static Jsonb *
expand(const RequestValues *r, const JsonbValue *tree, const ManifestPath *place)
{
	JsonbParseState *state = NULL;
	JsonbValue	v;

	/* In a list, so that it may be a scalar. */
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	cdp_request_tree(r, &state, WJB_ELEM, tree, place, 0);
	v = *pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(&v.val.array.elems[0]);
}

/* The JSON text of a value. */
static char *
json_text(Jsonb *doc)
{
	return JsonbToCString(NULL, &doc->root, VARSIZE(doc));
}

/* Whether a list has scalars only. */
static bool
flat(const JsonbContainer *list)
{
	for (int i = 0; i < JsonContainerSize(list); i++)
		if (cdp_rule_item(list, i)->type == jbvBinary)
			return false;
	return true;
}

/* Appends name=value to a query or form, and to the object that shows it. */
static void
add_pair(StringInfo pairs, JsonbParseState **shown, const char *name, const char *value)
{
	if (pairs->len > 0)
		appendStringInfoChar(pairs, '&');
	cdp_manifest_append_encoded(pairs, name);
	appendStringInfoChar(pairs, '=');
	cdp_manifest_append_encoded(pairs, value);
	if (shown != NULL)
		cdp_request_push_text(shown, name, value);
}

/* Appends a parameter: lists with commas, but one by one under a name with []; objects as JSON; null is left out. */
static void
add_parameter(StringInfo pairs, JsonbParseState **shown, const char *name, Jsonb *value)
{
	JsonbValue	v;
	const JsonbContainer *list;
	StringInfoData joined;
	size_t		len = strlen(name);
	bool		repeated = len > 2 && strcmp(name + len - 2, "[]") == 0;

	cdp_manifest_root_value(value, &v);
	list = cdp_rule_array(&v);
	if (v.type == jbvNull)
		return;
	if (list == NULL || !flat(list))
	{
		add_pair(pairs, shown, name, v.type == jbvBinary ? json_text(value) : cdp_manifest_scalar_text(&v));
		return;
	}
	initStringInfo(&joined);
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		const char *text = cdp_manifest_scalar_text(cdp_rule_item(list, i));

		if (text == NULL)
			continue;
		if (repeated)
			add_pair(pairs, NULL, name, text);
		appendStringInfo(&joined, "%s%s", joined.len == 0 ? "" : ",", text);
	}
	if (repeated)
		cdp_request_push_text(shown, name, joined.data);
	else
		add_pair(pairs, shown, name, joined.data);
}

/* The place of the cursor in query, body or form; NULL where it goes elsewhere, or there is none to send. */
static const ManifestPath *
cursor_place(const RequestValues *r, const char *part)
{
	const char *send = cdp_manifest_text(cdp_manifest_object(r->m->stream, "cursor"), "send", "");
	size_t		len = strlen(part);

	if (r->cursor.type == jbvNull || strncmp(send, part, len) != 0 || send[len] != '.')
		return NULL;
	return cdp_manifest_path(send + len + 1, true);
}

/* The parameters of a query or form; shown is an object that is being built, or NULL. */
static char *
parameters(const RequestValues *r, const char *part, JsonbParseState **shown)
{
	const JsonbContainer *declared = cdp_manifest_object(r->m->stream, part);
	const ManifestPath *place = cursor_place(r, part);
	const char **key = NULL;
	int			n = 0;
	StringInfoData pairs;

	initStringInfo(&pairs);
	if (declared != NULL)
		key = cdp_rule_keys(declared, &n);
	for (int i = 0; i < n; i++)
		if (place == NULL || strcmp(key[i], place->step[0].name) != 0)
			add_parameter(&pairs, shown, key[i], expand(r, cdp_rule_get(declared, key[i]), NULL));
	if (place != NULL)
		add_parameter(&pairs, shown, place->step[0].name, JsonbValueToJsonb(unconstify(JsonbValue *, &r->cursor)));
	return pairs.data;
}

/* The body of a POST in raw UTF-8: JSON, or the pairs of a form. */
static char *
body(const RequestValues *r)
{
	JsonbValue *declared = cdp_manifest_get(r->m->stream, "body");
	JsonbValue	empty;
	char	   *text;

	if (cdp_manifest_get(r->m->stream, "form") != NULL)
		text = parameters(r, "form", NULL);
	else
	{
		if (declared == NULL)
		{
			Jsonb	   *object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));

			cdp_manifest_root_value(object, &empty);
			declared = &empty;
		}
		text = json_text(expand(r, declared, cursor_place(r, "body")));
	}
	if (strlen(text) > BODY_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the body of the request has %zu bytes; it may have %d", strlen(text), BODY_MAX_BYTES),
				 errhint("Make the chunks of the partition smaller.")));
	return text;
}

/* Pushes the headers of a request; one with a control character is refused. */
static void
push_headers(const RequestValues *r, JsonbParseState **state, bool post)
{
	const JsonbContainer *declared = cdp_manifest_object(r->m->stream, "headers");
	const char **key = NULL;
	int			n = 0;
	bool		typed = false,
				accepts = false;

	push_begin(state, "headers", WJB_BEGIN_OBJECT);
	if (declared != NULL)
		key = cdp_rule_keys(declared, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *text = cdp_request_text(r, cdp_manifest_text(declared, key[i], ""), false);

		for (const char *p = text; *p != '\0'; p++)
			if ((unsigned char) *p < ' ' || *p == 0x7F)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("the value of header %s has a control character", cdp_rule_quote(key[i]))));
		typed |= pg_strcasecmp(key[i], "content-type") == 0;
		accepts |= pg_strcasecmp(key[i], "accept") == 0;
		cdp_request_push_text(state, key[i], text);
	}
	if (post && !typed)
		cdp_request_push_text(state, "content-type", cdp_manifest_get(r->m->stream, "form") != NULL ? "application/x-www-form-urlencoded" : "application/json");
	if (!accepts && strcmp(cdp_manifest_text(r->m->stream, "response", "json"), "json") == 0)
		cdp_request_push_text(state, "accept", "application/json");
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes an object of templates of auth with its configuration filled in. */
static void
push_auth_map(const Manifest *m, JsonbParseState **state, const char *key, const JsonbContainer *map)
{
	const char **name;
	int			n;

	if (map == NULL)
		return;
	name = cdp_rule_keys(map, &n);
	push_begin(state, key, WJB_BEGIN_OBJECT);
	for (int i = 0; i < n; i++)
		cdp_request_push_text(state, name[i], cdp_request_auth_text(m, cdp_manifest_text(map, name[i], "")));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes where a token goes: a parameter, or a header with its prefix. */
static void
push_inject(JsonbParseState **state, const JsonbContainer *inject)
{
	const char *query = cdp_manifest_text(inject, "query", NULL);
	const char *header = cdp_manifest_text(inject, "header", "authorization");
	const char *prefix = cdp_manifest_text(inject, "prefix", inject == NULL ? "Bearer " : "");

	push_begin(state, query != NULL ? "query" : "headers", WJB_BEGIN_OBJECT);
	cdp_request_push_text(state, query != NULL ? query : header, query != NULL ? "${token}" : psprintf("%s${token}", cdp_request_literal(prefix)));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes how a request is signed. */
static void
push_hmac(const Manifest *m, JsonbParseState **state, const JsonbContainer *auth)
{
	static const char *const parts[] = {"signature", "timestamp", "nonce"};
	const JsonbContainer *message = cdp_rule_array(cdp_manifest_get(auth, "message"));
	StringInfoData all;

	initStringInfo(&all);
	for (int i = 0; i < JsonContainerSize(message); i++)
		appendStringInfo(&all, "%s%s", i == 0 ? "" : cdp_request_literal(cdp_manifest_text(auth, "join", "")),
						 cdp_request_auth_text(m, cdp_rule_string(cdp_rule_item(message, i))));
	push_begin(state, "hmac", WJB_BEGIN_OBJECT);
	cdp_request_push_text(state, "algorithm", cdp_manifest_text(auth, "algorithm", "sha256"));
	cdp_request_push_text(state, "encoding", cdp_manifest_text(auth, "encoding", "hex"));
	cdp_request_push_text(state, "key", cdp_request_auth_text(m, cdp_manifest_text(auth, "key", "")));
	cdp_request_push_text(state, "message", all.data);
	for (int i = 0; i < lengthof(parts); i++)
	{
		JsonbValue *v = cdp_manifest_get(auth, parts[i]);

		if (v != NULL)
			cdp_request_push(state, parts[i], v);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes what is put into a request of a stream just before it goes out. */
static void
push_auth(const Manifest *m, JsonbParseState **state)
{
	const JsonbContainer *auth = cdp_manifest_object(m->root, "auth");
	const char *kind = cdp_manifest_text(auth, "kind", "none");

	push_begin(state, "auth", WJB_BEGIN_OBJECT);
	cdp_request_push_text(state, "kind", kind);
	if (strcmp(kind, "login_token") == 0 || strcmp(kind, "oauth_client") == 0)
		push_inject(state, cdp_manifest_object(auth, "inject"));
	else if (strcmp(kind, "basic") == 0)
	{
		push_begin(state, "basic", WJB_BEGIN_OBJECT);
		cdp_request_push_text(state, "username", cdp_request_auth_text(m, cdp_manifest_text(auth, "username", "")));
		cdp_request_push_text(state, "password", cdp_request_auth_text(m, cdp_manifest_text(auth, "password", "")));
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	else if (strcmp(kind, "header") == 0 || strcmp(kind, "hmac") == 0)
	{
		push_auth_map(m, state, "headers", cdp_manifest_object(auth, "headers"));
		push_auth_map(m, state, "query", cdp_manifest_object(auth, "query"));
		if (strcmp(kind, "hmac") == 0)
			push_hmac(m, state, auth);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes scheme, host and port. */
static void
push_base(JsonbParseState **state, const ManifestUrl *base)
{
	push_bool(state, "https", base->https);
	cdp_request_push_text(state, "host", base->host);
	push_whole(state, "port", base->port);
}

/* What comes behind the host of the address that is a cursor of kind url or link; another host is refused. */
static char *
next_target(const RequestValues *r, const ManifestUrl *base)
{
	char	   *target = cdp_rule_string(&r->cursor);
	char	   *prefix = psprintf("%s://%s", base->https ? "https" : "http", base->host);
	size_t		n = strlen(prefix);

	if (target[0] == '/' && target[1] != '/')
		return target;
	if (pg_strncasecmp(target, prefix, n) == 0)
	{
		char	   *rest = target + n;
		char	   *port = psprintf(":%d", base->port);

		if (strncmp(rest, port, strlen(port)) == 0)
			rest += strlen(port);
		if (*rest == '/')
			return rest;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the address of the next page is of another host"),
			 errdetail("Only pages of %s are asked.", base->host)));
	return NULL;
}

/* The next request of a stream, as cdp_internal.connector_request tells. */
Datum
cdp_connector_request(PG_FUNCTION_ARGS)
{
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(2));
	RequestValues *r = cdp_request_values(m);
	ManifestUrl base = cdp_request_base(m, NULL, "the connector");
	const char *method = cdp_manifest_text(m->stream, "method", "GET");
	const char *path = cdp_manifest_text(m->stream, "path", "/");
	const char *kind = cdp_manifest_text(cdp_manifest_object(m->stream, "cursor"), "kind", "token");
	JsonbParseState *state = NULL;
	char	   *target,
			   *query;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	cdp_request_push_text(&state, "method", method);
	push_base(&state, &base);
	cdp_request_push_text(&state, "path", psprintf("%s%s", base.prefix, path));
	push_begin(&state, "query", WJB_BEGIN_OBJECT);
	if (r->cursor.type == jbvString && cdp_manifest_object(m->stream, "cursor") != NULL && (strcmp(kind, "url") == 0 || strcmp(kind, "link") == 0))
		target = next_target(r, &base);
	else
	{
		query = parameters(r, "query", &state);
		target = psprintf("%s%s%s%s", base.prefix, cdp_request_text(r, path, true), *query == '\0' ? "" : "?", query);
	}
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	cdp_request_push_text(&state, "target", target);
	push_headers(r, &state, strcmp(method, "POST") == 0);
	if (strcmp(method, "POST") == 0)
		cdp_request_push_text(&state, "body", body(r));
	push_auth(m, &state);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* Pushes JSON of auth with its configuration filled in; its texts are templates. */
static void
push_auth_tree(const Manifest *m, JsonbParseState **state, JsonbIteratorToken token, const JsonbValue *v)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const JsonbContainer *array = cdp_rule_array(v);
	JsonbValue	plain = *v;

	if (object != NULL)
	{
		int			n;
		const char **key = cdp_rule_keys(object, &n);

		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		for (int i = 0; i < n; i++)
		{
			JsonbValue	k;

			k.type = jbvString;
			k.val.string.val = unconstify(char *, key[i]);
			k.val.string.len = strlen(key[i]);
			pushJsonbValue(state, WJB_KEY, &k);
			push_auth_tree(m, state, WJB_VALUE, cdp_rule_get(object, key[i]));
		}
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
		return;
	}
	if (array != NULL)
	{
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < JsonContainerSize(array); i++)
			push_auth_tree(m, state, WJB_ELEM, cdp_rule_item(array, i));
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
		return;
	}
	if (v->type == jbvString)
	{
		plain.val.string.val = cdp_request_auth_text(m, cdp_rule_string(v));
		plain.val.string.len = strlen(plain.val.string.val);
	}
	pushJsonbValue(state, token, &plain);
}

/* Pushes the request for a token by OAuth: a form, with the client in it or in a header. */
static void
push_oauth(const Manifest *m, JsonbParseState **state, const JsonbContainer *auth)
{
	bool		basic = strcmp(cdp_manifest_text(auth, "style", "body"), "basic") == 0;
	const JsonbContainer *extra = cdp_manifest_object(auth, "extra");
	const char *grant = cdp_manifest_text(auth, "grant", "client_credentials");
	const char **key = NULL;
	int			n = 0;

	push_begin(state, "form", WJB_BEGIN_OBJECT);
	cdp_request_push_text(state, "grant_type", grant);
	for (int i = 0; i < 2 && !basic; i++)
		cdp_request_push_text(state, i == 0 ? "client_id" : "client_secret", cdp_request_auth_text(m, cdp_manifest_text(auth, i == 0 ? "client_id" : "client_secret", "")));
	if (strcmp(grant, "refresh_token") == 0)
		cdp_request_push_text(state, "refresh_token", cdp_request_auth_text(m, cdp_manifest_text(auth, "refresh_token", "")));
	if (cdp_manifest_get(auth, "scope") != NULL)
		cdp_request_push_text(state, "scope", cdp_request_auth_text(m, cdp_manifest_text(auth, "scope", "")));
	if (extra != NULL)
		key = cdp_rule_keys(extra, &n);
	for (int i = 0; i < n; i++)
		cdp_request_push_text(state, key[i], cdp_request_auth_text(m, cdp_manifest_text(extra, key[i], "")));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
	if (!basic)
		return;
	push_begin(state, "basic", WJB_BEGIN_OBJECT);
	cdp_request_push_text(state, "username", cdp_request_auth_text(m, cdp_manifest_text(auth, "client_id", "")));
	cdp_request_push_text(state, "password", cdp_request_auth_text(m, cdp_manifest_text(auth, "client_secret", "")));
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes what makes an app: its address and the configuration and secrets that tell it from another. */
static void
push_app(const Manifest *m, JsonbParseState **state, const JsonbContainer *auth)
{
	const JsonbContainer *key = cdp_rule_array(cdp_manifest_get(auth, "key"));

	if (key == NULL)
		return;
	push_begin(state, "app", WJB_BEGIN_OBJECT);
	for (int i = 0; i < JsonContainerSize(key); i++)
	{
		const char *name = cdp_rule_string(cdp_rule_item(key, i));
		bool		config = cdp_manifest_get(cdp_manifest_object(m->root, "config"), name) != NULL;

		cdp_request_push_text(state, name, cdp_request_auth_text(m, psprintf(config ? "${config.%s}" : "${secret.%s}", name)));
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The request for a token, as cdp_internal.connector_auth_request tells; NULL when auth has none. */
Datum
cdp_connector_auth_request(PG_FUNCTION_ARGS)
{
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), NULL, PG_GETARG_JSONB_P(1));
	const JsonbContainer *auth = cdp_manifest_object(m->root, "auth");
	const char *kind = cdp_manifest_text(auth, "kind", "none");
	const JsonbContainer *request = cdp_manifest_object(auth, "request");
	bool		login = strcmp(kind, "login_token") == 0;
	RequestValues r = {m};
	JsonbParseState *state = NULL;
	ManifestUrl base;
	const char *path;

	if (!login && strcmp(kind, "oauth_client") != 0)
		PG_RETURN_NULL();
	base = cdp_request_base(m, auth, "the token");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	cdp_request_push_text(&state, "method", login ? cdp_manifest_text(request, "method", "GET") : "POST");
	push_base(&state, &base);
	path = cdp_manifest_text(login ? request : auth, "path", "/");
	cdp_request_push_text(&state, "path", psprintf("%s%s", base.prefix, path));
	cdp_request_push_text(&state, "target", psprintf("%s%s", base.prefix, cdp_request_text(&r, path, true)));
	if (login)
	{
		push_auth_map(m, &state, "query", cdp_manifest_object(request, "query"));
		push_auth_map(m, &state, "headers", cdp_manifest_object(request, "headers"));
		push_auth_map(m, &state, "form", cdp_manifest_object(request, "form"));
	}
	else
		push_oauth(m, &state, auth);
	if (login && cdp_manifest_get(request, "body") != NULL)
	{
		JsonbValue	k;

		k.type = jbvString;
		k.val.string.val = "json";
		k.val.string.len = 4;
		pushJsonbValue(&state, WJB_KEY, &k);
		push_auth_tree(m, &state, WJB_VALUE, cdp_manifest_get(request, "body"));
	}
	push_app(m, &state, auth);
	cdp_request_push_text(&state, "token", cdp_manifest_text(auth, "token", "$.access_token"));
	if (cdp_manifest_get(auth, "ttl_s") != NULL)
		push_whole(&state, "ttl_s", cdp_manifest_whole(auth, "ttl_s", 0));
	else
		cdp_request_push_text(&state, "ttl", cdp_manifest_text(auth, "ttl", "$.expires_in"));
	push_whole(&state, "slack_s", cdp_manifest_whole(auth, "slack_s", 60));
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* The hosts that a manifest asks: a row each, where they are not left to the configuration. */
Datum
cdp_connector_hosts(PG_FUNCTION_ARGS)
{
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), NULL, NULL);
	Datum		host[2];
	int			n = 0;

	for (int i = 0; i < 2; i++)
	{
		const char *text = cdp_manifest_text(i == 0 ? m->root : cdp_manifest_object(m->root, "auth"), "base_url", "$");
		ManifestUrl url;
		const char *why;

		if (*text != '$' && cdp_manifest_url(text, &url, &why))
			host[n++] = CStringGetTextDatum(url.port == (url.https ? 443 : 80) ? url.host : psprintf("%s:%d", url.host, url.port));
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(host, n, TEXTOID, -1, false, TYPALIGN_INT));
}

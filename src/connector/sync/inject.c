/*
 * inject.c
 *		Secrets put into a request that was built without any, just before it goes out.
 *
 * What is built (cdp_internal.connector_request(), connector_auth_request()) names
 * them in the templates of auth only: ${token}, ${secret.name}, $$ for a dollar
 * sign.  Everything that is filled in stands in CdpSecrets of the current context,
 * which are wiped with it, and is written once into room that was measured before:
 * no buffer grows and leaves a copy.  What names an optional secret that is not set
 * is left out.  Nothing here reads a table, a clock or a random number.
 */
#include "connector/sync/inject.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base64.h"
#include "connector/manifest/manifest.h"
#include "segment/rule/rule.h"
#include "utils/timestamp.h"

#define UNIX_EPOCH_USECS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Where text goes: into a secret, or only its length is wanted. */
typedef struct Sink
{
	CdpSecret  *to;				/* NULL: count */
	Size		len;
} Sink;

/* How a value is written. */
typedef enum Writing
{
	AS_IT_IS, FOR_URL, FOR_JSON
} Writing;

/* A request that is being filled. */
typedef struct Filling
{
	const CdpInject *fill;
	const CdpInjectValue *more; /* what a signature can name beside */
	int			n_more;
	CdpHttpRequest *out;
	int			room_headers;
	const char **secrets;
	int			n_secrets,
				room_secrets;
} Filling;

/* Writes bytes as they are. */
static void
put(Sink *sink, const char *bytes, Size len)
{
	if (sink->to != NULL)
	{
		if (sink->len + len > sink->to->room)
			elog(ERROR, "a filled text is longer than it was measured");
		memcpy(sink->to->bytes + sink->len, bytes, len);
		sink->to->len = (int) (sink->len + len);
	}
	sink->len += len;
}

/* Writes bytes as they may stand in a value of a URL or form. */
static void
put_encoded(Sink *sink, const char *bytes, Size len)
{
	static const char digits[] = "0123456789ABCDEF";

	for (Size i = 0; i < len; i++)
	{
		unsigned char c = bytes[i];
		char		hex[3] = {'%', digits[c >> 4], digits[c & 15]};

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~", c) != NULL))
			put(sink, bytes + i, 1);
		else
			put(sink, hex, 3);
	}
}

/* Writes bytes as they may stand in a JSON text, in raw UTF-8: some servers refuse \u of what needs none. */
static void
put_json(Sink *sink, const char *bytes, Size len)
{
	for (Size i = 0; i < len; i++)
	{
		unsigned char c = bytes[i];
		char		escaped[7];

		if (c == '"' || c == '\\')
			put(sink, "\\", 1);
		if (c < ' ')
		{
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			put(sink, escaped, 6);
		}
		else
			put(sink, bytes + i, 1);
	}
}

/* Writes bytes in one of these ways. */
static void
put_as(Sink *sink, Writing writing, const char *bytes, Size len)
{
	if (writing == FOR_URL)
		put_encoded(sink, bytes, len);
	else if (writing == FOR_JSON)
		put_json(sink, bytes, len);
	else
		put(sink, bytes, len);
}

/* What a name stands for; NULL: it is a secret that is not set. */
static const CdpInjectValue *
value_of(const Filling *f, const char *name, Size len)
{
	for (int i = 0; i < f->fill->n + f->n_more; i++)
	{
		const CdpInjectValue *v = i < f->fill->n ? &f->fill->value[i] : &f->more[i - f->fill->n];

		if (strlen(v->name) == len && strncmp(v->name, name, len) == 0)
			return v;
	}
	if (strncmp(name, "secret.", 7) != 0)
		elog(ERROR, "a template of auth names what is not there");
	return NULL;
}

/* Writes a template with its values; false, and perhaps a part of it written, when a secret of it is not set. */
static bool
put_template(const Filling *f, Sink *sink, Writing writing, const char *template)
{
	const char *p = template;

	while (*p != '\0')
	{
		Size		plain = strcspn(p, "$");
		const char *end;
		const CdpInjectValue *v;

		put_as(sink, writing, p, plain);
		p += plain;
		if (p[0] == '$' && p[1] == '$')
		{
			put_as(sink, writing, "$", 1);
			p += 2;
		}
		else if (p[0] == '$')
		{
			end = p[1] == '{' ? strchr(p, '}') : NULL;
			if (end == NULL)
				elog(ERROR, "a template of auth is not well formed");
			v = value_of(f, p + 2, end - p - 2);
			if (v == NULL)
				return false;
			put_as(sink, writing, v->bytes, v->len);
			p = end + 1;
		}
	}
	return true;
}

/* A template with its values, in the current context; NULL when a secret of it is not set. */
static CdpSecret *
filled(const Filling *f, const char *template)
{
	Sink		sink = {0};

	if (!put_template(f, &sink, AS_IT_IS, template))
		return NULL;
	sink.to = cdp_secret_new(sink.len);
	sink.len = 0;
	put_template(f, &sink, AS_IT_IS, template);
	return sink.to;
}

/* Whether a template names anything. */
static bool
names_something(const char *template)
{
	for (const char *p = strchr(template, '$'); p != NULL; p = strchr(p + 2, '$'))
		if (p[1] != '$')
			return true;
	return false;
}

/* Adds a value to those that are looked for in what the server answers. */
static void
add_secret(Filling *f, const char *bytes)
{
	if (f->n_secrets == f->room_secrets)
	{
		f->room_secrets = f->room_secrets == 0 ? 16 : f->room_secrets * 2;
		f->secrets = f->secrets == NULL ? palloc(sizeof(char *) * f->room_secrets) : repalloc(f->secrets, sizeof(char *) * f->room_secrets);
	}
	f->secrets[f->n_secrets++] = bytes;
}

/* Adds a header, in place of one of that name. */
static void
add_header(Filling *f, const char *name, char *value, bool secret)
{
	CdpHttpRequest *out = f->out;
	int			i = 0;

	while (i < out->n_headers && pg_strcasecmp(out->headers[i].name, name) != 0)
		i++;
	if (i == f->room_headers)
	{
		f->room_headers = f->room_headers == 0 ? 16 : f->room_headers * 2;
		out->headers = out->headers == NULL ? palloc(sizeof(CdpHttpHeader) * f->room_headers) : repalloc(out->headers, sizeof(CdpHttpHeader) * f->room_headers);
	}
	out->headers[i] = (CdpHttpHeader) {pstrdup(name), value, secret};
	out->n_headers = Max(out->n_headers, i + 1);
}

/* Appends name=value to the pairs so far, which may be NULL; they are wiped with their context. */
static CdpSecret *
add_pair(CdpSecret *pairs, const char *name, const char *value, Size len)
{
	Sink		sink = {0};

	for (int pass = 0; pass < 2; pass++)
	{
		if (pairs != NULL)
		{
			put(&sink, pairs->bytes, pairs->len);
			put(&sink, "&", 1);
		}
		put_encoded(&sink, name, strlen(name));
		put(&sink, "=", 1);
		put_encoded(&sink, value, len);
		if (pass == 0)
		{
			sink.to = cdp_secret_new(sink.len);
			sink.len = 0;
		}
	}
	return sink.to;
}

/* The pairs of an object of templates behind those so far; a pair whose secret is not set is left out. */
static CdpSecret *
add_pairs(const Filling *f, CdpSecret *pairs, const JsonbContainer *map)
{
	const char **name;
	int			n;

	if (map == NULL)
		return pairs;
	name = cdp_rule_keys(map, &n);
	for (int i = 0; i < n; i++)
	{
		CdpSecret  *value = filled(f, cdp_manifest_text(map, name[i], ""));

		if (value != NULL)
			pairs = add_pair(pairs, name[i], value->bytes, value->len);
	}
	return pairs;
}

/* Adds the headers of an object of templates; one whose secret is not set is left out. */
static void
add_headers(Filling *f, const JsonbContainer *map)
{
	const char **name;
	int			n;

	if (map == NULL)
		return;
	name = cdp_rule_keys(map, &n);
	for (int i = 0; i < n; i++)
	{
		const char *template = cdp_manifest_text(map, name[i], "");
		CdpSecret  *value = filled(f, template);

		if (value != NULL)
			add_header(f, name[i], value->bytes, names_something(template));
	}
}

/* The base64 of bytes behind a prefix, in the current context. */
static CdpSecret *
base64_of(const char *prefix, const char *bytes, int len)
{
	Size		begin = strlen(prefix);
	int			room = pg_b64_enc_len(len);
	CdpSecret  *secret = cdp_secret_new(begin + room);

	memcpy(secret->bytes, prefix, begin);
	secret->len = (int) begin + pg_b64_encode((const void *) bytes, len, secret->bytes + begin, room);
	return secret;
}

/* Adds the header of basic authentication; none when a secret of it is not set. */
static void
add_basic(Filling *f, const JsonbContainer *basic)
{
	CdpSecret  *user = filled(f, cdp_manifest_text(basic, "username", ""));
	CdpSecret  *password = filled(f, cdp_manifest_text(basic, "password", ""));
	CdpSecret  *both,
			   *header;

	if (user == NULL || password == NULL)
		return;
	both = cdp_secret_new(user->len + 1 + password->len);
	both->len = user->len + 1 + password->len;
	memcpy(both->bytes, user->bytes, user->len);
	both->bytes[user->len] = ':';
	memcpy(both->bytes + user->len + 1, password->bytes, password->len);
	header = base64_of("Basic ", both->bytes, both->len);
	cdp_secret_wipe(both);
	add_header(f, "authorization", header->bytes, true);
	add_secret(f, header->bytes + 6);
}

/* Whether a value is a text that names a secret that is not set. */
static bool
is_left_out(const Filling *f, const JsonbValue *v)
{
	Sink		count = {0};

	return v->type == jbvString && !put_template(f, &count, FOR_JSON, cdp_rule_string(v));
}

/* Writes a JSON tree whose texts are templates, without those that name a secret that is not set. */
static void
put_tree(const Filling *f, Sink *sink, const JsonbValue *v)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const JsonbContainer *array = cdp_rule_array(v);
	bool		first = true;

	check_stack_depth();
	if (object != NULL)
	{
		int			n;
		const char **key = cdp_rule_keys(object, &n);

		put(sink, "{", 1);
		for (int i = 0; i < n; i++)
		{
			const JsonbValue *item = cdp_rule_get(object, key[i]);

			if (is_left_out(f, item))
				continue;
			put(sink, first ? "\"" : ",\"", first ? 1 : 2);
			put_json(sink, key[i], strlen(key[i]));
			put(sink, "\":", 2);
			put_tree(f, sink, item);
			first = false;
		}
		put(sink, "}", 1);
	}
	else if (array != NULL)
	{
		put(sink, "[", 1);
		for (int i = 0; i < JsonContainerSize(array); i++)
		{
			const JsonbValue *item = cdp_rule_item(array, i);

			if (is_left_out(f, item))
				continue;
			if (!first)
				put(sink, ",", 1);
			put_tree(f, sink, item);
			first = false;
		}
		put(sink, "]", 1);
	}
	else if (v->type == jbvString)
	{
		put(sink, "\"", 1);
		put_template(f, sink, FOR_JSON, cdp_rule_string(v));
		put(sink, "\"", 1);
	}
	else
	{
		const char *text = cdp_manifest_scalar_text(v);

		put(sink, text == NULL ? "null" : text, text == NULL ? 4 : strlen(text));
	}
}

/* The body of a request for a token: JSON, or the pairs of a form; none when the request has neither. */
static void
add_body(Filling *f, const JsonbContainer *request)
{
	JsonbValue *json = cdp_manifest_get(request, "json");
	const JsonbContainer *form = cdp_manifest_object(request, "form");
	CdpSecret  *body = NULL;

	if (json != NULL)
	{
		Sink		sink = {0};

		put_tree(f, &sink, json);
		sink.to = cdp_secret_new(sink.len);
		sink.len = 0;
		put_tree(f, &sink, json);
		body = sink.to;
	}
	else if (form != NULL)
	{
		body = add_pairs(f, NULL, form);
		add_header(f, "content-type", "application/x-www-form-urlencoded", false);
	}
	if (body != NULL)
	{
		f->out->body = body->bytes;
		f->out->body_len = body->len;
	}
}

/* Adds a time stamp, nonce or signature where an object says: a header with its prefix, or behind the pairs. Returns the pairs. */
static CdpSecret *
add_stamp(Filling *f, CdpSecret *pairs, const JsonbContainer *where, const char *value)
{
	const char *query = cdp_manifest_text(where, "query", NULL);
	const char *header = cdp_manifest_text(where, "header", NULL);

	if (query != NULL)
		return add_pair(pairs, query, value, strlen(value));
	if (header != NULL)
		add_header(f, header, psprintf("%s%s", cdp_manifest_text(where, "prefix", ""), value), true);
	return pairs;
}

/* The bytes of a key that is written as base64, whsec_ before it or not; the key as it is when it is none. */
static const CdpSecret *
decoded_key(const CdpSecret *key)
{
	static const char prefix[] = "whsec_";
	int			skip = strncmp(key->bytes, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
	CdpSecret  *bytes = cdp_secret_new(pg_b64_dec_len(key->len - skip) + 1);
	int			len = pg_b64_decode(key->bytes + skip, key->len - skip, (void *) bytes->bytes, (int) bytes->room);

	if (len <= 0)
		return key;
	bytes->len = len;
	return bytes;
}

/* The HMAC of a message, in hex or base64, palloc'd. */
static char *
signature_of(const JsonbContainer *hmac, const CdpSecret *key, const CdpSecret *message)
{
	const char *algorithm = cdp_manifest_text(hmac, "algorithm", "sha256");
	const EVP_MD *digest = strcmp(algorithm, "sha1") == 0 ? EVP_sha1() : strcmp(algorithm, "sha512") == 0 ? EVP_sha512() : EVP_sha256();
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	char	   *hex;

	if (cdp_manifest_true(hmac, "key_is_base64", false))
		key = decoded_key(key);
	if (HMAC(digest, key->bytes, key->len, (const unsigned char *) message->bytes, message->len, mac, &len) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("the request could not be signed"),
				 errdetail("libcrypto has no HMAC with %s.", algorithm)));
	if (strcmp(cdp_manifest_text(hmac, "encoding", "hex"), "base64") == 0)
		return base64_of("", (const char *) mac, (int) len)->bytes;
	hex = palloc(2 * len + 1);
	for (unsigned int i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	return hex;
}

/*
 * Signs a request. $query is the query as it is sent but for the signature: the request's own, what auth adds, time stamp
 * and nonce. Returns the pairs. Without a signature when its key is an optional secret that is not set.
 */
static CdpSecret *
sign(Filling *f, CdpSecret *pairs, const JsonbContainer *hmac)
{
	CdpHttpRequest *out = f->out;
	const JsonbContainer *stamp = cdp_manifest_object(hmac, "timestamp");
	int64		usecs = f->fill->at + UNIX_EPOCH_USECS;
	char	   *timestamp = psprintf(INT64_FORMAT, strcmp(cdp_manifest_text(stamp, "unit", "s"), "ms") == 0 ? usecs / 1000 : usecs / USECS_PER_SEC);
	char		nonce[2 * CDP_INJECT_NONCE_BYTES + 1];
	CdpSecret  *key = filled(f, cdp_manifest_text(hmac, "key", ""));
	CdpSecret  *query,
			   *message;
	Size		own = out->query == NULL ? 0 : strlen(out->query);
	char	   *signature;

	if (key == NULL)
		return pairs;
	for (int i = 0; i < CDP_INJECT_NONCE_BYTES; i++)
		snprintf(nonce + 2 * i, 3, "%02x", f->fill->nonce[i]);
	pairs = add_stamp(f, pairs, stamp, timestamp);
	pairs = add_stamp(f, pairs, cdp_manifest_object(hmac, "nonce"), pstrdup(nonce));
	query = cdp_secret_new(own + 1 + (pairs == NULL ? 0 : pairs->len));
	query->len = snprintf(query->bytes, query->room + 1, "%s%s%s", own > 0 ? out->query : "", own > 0 && pairs != NULL ? "&" : "", pairs != NULL ? pairs->bytes : "");
	{
		CdpInjectValue more[] = {
			{"method", out->method, strlen(out->method)}, {"path", out->path, strlen(out->path)}, {"query", query->bytes, query->len},
			{"body", out->body == NULL ? "" : out->body, out->body_len}, {"timestamp", timestamp, strlen(timestamp)}, {"nonce", nonce, strlen(nonce)}
		};

		f->more = more;
		f->n_more = lengthof(more);
		message = filled(f, cdp_manifest_text(hmac, "message", ""));
		f->more = NULL;
		f->n_more = 0;
	}
	if (message == NULL)
		return pairs;
	signature = signature_of(hmac, key, message);
	add_secret(f, signature);
	return add_stamp(f, pairs, cdp_manifest_object(hmac, "signature"), signature);
}

/* Reads the parts of a request that hold no secret. */
static void
read_plain(Filling *f, const JsonbContainer *request)
{
	CdpHttpRequest *out = f->out;
	const char *target = cdp_manifest_text(request, "target", "/");
	const char *query = strchr(target, '?');
	const char *body = cdp_manifest_text(request, "body", NULL);
	const JsonbContainer *headers = cdp_manifest_object(request, "headers");
	const char **name = NULL;
	int64		port = cdp_manifest_whole(request, "port", 0);
	int			n = 0;

	out->method = cdp_manifest_text(request, "method", "GET");
	out->plain = !cdp_manifest_true(request, "https", true);
	out->host = cdp_manifest_text(request, "host", "");
	if (port != 0 && port != (out->plain ? 80 : 443))
		out->host = psprintf("%s:" INT64_FORMAT, out->host, port);
	out->path = query == NULL ? target : pnstrdup(target, query - target);
	out->query = query == NULL || query[1] == '\0' ? NULL : query + 1;
	out->shown = cdp_manifest_text(request, "path", NULL);
	if (body != NULL)
	{
		out->body = unconstify(char *, body);
		out->body_len = strlen(body);
	}
	/* Of a request for a token the headers are templates: they come with auth. */
	if (headers != NULL && cdp_manifest_object(request, "auth") != NULL)
		name = cdp_rule_keys(headers, &n);
	for (int i = 0; i < n; i++)
		add_header(f, name[i], unconstify(char *, cdp_manifest_text(headers, name[i], "")), false);
}

/*
 * Fills a request, of a stream (with auth) or for a token, that was built without secrets. Everything is palloc'd in the
 * current context, what is secret in CdpSecrets that are wiped with it; cdp_http_wipe_request() wipes it before.
 */
void
cdp_inject(const CdpInject *fill, const Jsonb *request, CdpHttpRequest *out)
{
	const JsonbContainer *root = &request->root;
	const JsonbContainer *auth = cdp_manifest_object(root, "auth");
	const JsonbContainer *from = auth != NULL ? auth : root;
	Filling		f = {fill};
	CdpSecret  *pairs;

	memset(out, 0, sizeof(*out));
	f.out = out;
	read_plain(&f, root);
	for (int i = 0; i < fill->n; i++)
		add_secret(&f, fill->value[i].bytes);
	add_headers(&f, cdp_manifest_object(from, "headers"));
	/* That of the request itself stands in its target already. */
	pairs = add_pairs(&f, NULL, cdp_manifest_object(from, "query"));
	if (auth == NULL)
		add_body(&f, root);
	if (cdp_manifest_object(from, "basic") != NULL)
		add_basic(&f, cdp_manifest_object(from, "basic"));
	if (auth != NULL && cdp_manifest_object(auth, "hmac") != NULL)
		pairs = sign(&f, pairs, cdp_manifest_object(auth, "hmac"));
	out->secret_query = pairs == NULL ? NULL : pairs->bytes;
	out->secrets = f.secrets;
	out->n_secrets = f.n_secrets;
}

/* Writes what tells one app from another: each filled text behind its length. */
static void
put_app(const Filling *f, Sink *sink, const JsonbContainer *map)
{
	const char **name;
	int			n;

	if (map == NULL)
		return;
	name = cdp_rule_keys(map, &n);
	for (int i = 0; i < n; i++)
	{
		CdpSecret  *value = filled(f, cdp_manifest_text(map, name[i], ""));
		char		head[NAMEDATALEN + 32];
		int			len;

		if (value == NULL)
			continue;
		len = snprintf(head, sizeof(head), "%.63s %d:", name[i], value->len);
		put(sink, head, len);
		put(sink, value->bytes, value->len);
	}
}

/* What tells the app of a request for a token from another: the texts of its key, without one all that is filled in. */
CdpSecret *
cdp_inject_app(const CdpInject *fill, const Jsonb *request)
{
	static const char *const parts[] = {"query", "headers", "form", "basic"};
	const JsonbContainer *root = &request->root;
	const JsonbContainer *app = cdp_manifest_object(root, "app");
	JsonbValue *json = cdp_manifest_get(root, "json");
	Filling		f = {fill};
	Sink		sink = {0};

	for (int pass = 0; pass < 2; pass++)
	{
		if (app != NULL)
			put_app(&f, &sink, app);
		for (int i = 0; app == NULL && i < lengthof(parts); i++)
			put_app(&f, &sink, cdp_manifest_object(root, parts[i]));
		if (app == NULL && json != NULL)
			put_tree(&f, &sink, json);
		if (pass == 0)
		{
			sink.to = cdp_secret_new(sink.len);
			sink.len = 0;
		}
	}
	return sink.to;
}

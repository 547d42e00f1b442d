/*
 * next.c
 *		What comes after a page: the state with the next cursor, or the end.
 *
 * A cursor that does not move while the page says that there is more would be
 * asked for ever: that is a problem, not a state.
 */
#include "base/crypto.h"
#include "connector/manifest/record.h"

#include "common/sha2.h"
#include "funcapi.h"
#include "segment/rule/rule.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

CDP_FUNCTION(cdp_connector_next);

#define MOST_PAGES 100000

/* A page, and what was found out about what comes after it. */
typedef struct NextPage
{
	const Manifest *m;
	const JsonbContainer *cursor;
	const JsonbContainer *headers;
	RecordContext *c;
	RequestValues *sent;		/* what the page was asked with */
	int			records;
	bool		done;
	const char *problem;
	JsonbValue	value;			/* the next cursor; jbvNull: none */
	ManifestRecords all;
	char	   *digest;			/* of them */
	int64		pages;			/* of this pull, so far */
} NextPage;

/* Whether a value says yes: anything but null, false, 0 and an empty text, also as text. */
static bool
yes(const JsonbValue *v)
{
	const char *text = v->type == jbvBinary ? "1" : cdp_manifest_scalar_text(v);

	return text != NULL && *text != '\0' && strcmp(text, "false") != 0 && strcmp(text, "0") != 0;
}

/* The value of a path that the cursor names; false when it names none, or there is no such value. */
static bool
value_of(const NextPage *p, const char *key, JsonbValue *out)
{
	const char *path = cdp_manifest_text(p->cursor, key, NULL);

	return path != NULL && cdp_manifest_path_first(cdp_manifest_path(path, false), &p->c->page, out) && out->type != jbvNull;
}

/* The whole number of a path that the cursor names, or -1. */
static int64
number_of(const NextPage *p, const char *key)
{
	JsonbValue	v;
	const char *text;

	if (!value_of(p, key, &v))
		return -1;
	text = v.type == jbvBinary ? NULL : cdp_manifest_scalar_text(&v);
	if (text == NULL || strspn(text, "0123456789") != strlen(text) || strlen(text) < 1 || strlen(text) > 18)
		return -1;
	return strtoll(text, NULL, 10);
}

/* Whether the page says itself whether it is the last: 1 it is not, 0 it is, -1 it does not say. */
static int
says_more(const NextPage *p)
{
	JsonbValue	v;

	if (cdp_manifest_get(p->cursor, "more") != NULL)
		return value_of(p, "more", &v) && yes(&v) ? 1 : 0;
	if (cdp_manifest_get(p->cursor, "ending") != NULL)
		return value_of(p, "ending", &v) && yes(&v) ? 0 : 1;
	return -1;
}

/* Makes the next cursor a whole number. */
static void
set_number(NextPage *p, int64 n)
{
	p->value.type = jbvNumeric;
	p->value.val.numeric = DatumGetNumeric(DirectFunctionCall1(int8_numeric, Int64GetDatum(n)));
}

/* Makes the next cursor a text. */
static void
set_text(NextPage *p, const char *text)
{
	p->value.type = jbvString;
	p->value.val.string.val = unconstify(char *, text);
	p->value.val.string.len = strlen(text);
}

/* A cursor that the page hands out. */
static void
next_token(NextPage *p)
{
	int			more = says_more(p);
	const char *now = p->sent->cursor.type == jbvBinary ? NULL : cdp_manifest_scalar_text(&p->sent->cursor);
	const char *text = NULL;
	JsonbValue	v;

	if (value_of(p, "take", &v) && v.type != jbvBinary)
		text = cdp_manifest_scalar_text(&v);
	if (text != NULL && *text != '\0' && v.type != jbvBool && !(v.type == jbvNumeric && strcmp(text, "0") == 0))
		p->value = v;
	p->done = more == 0 || p->value.type == jbvNull
		|| (strcmp(cdp_manifest_text(p->cursor, "end", "empty_value"), "empty_page") == 0 && p->records == 0);
	if (p->value.type == jbvNull && more == 1)
		p->problem = "the page says that there is more and has no cursor";
	else if (!p->done && now != NULL && strcmp(now, text) == 0)
		p->problem = "the page hands out the cursor that it was asked with";
}

/* A count of records or pages that the request gives. */
static void
next_number(NextPage *p, bool pages)
{
	int			more = says_more(p);
	int64		start = cdp_manifest_whole(p->cursor, "start", pages ? 1 : 0);
	int64		size = cdp_manifest_whole(p->cursor, "size", 1);
	int64		total = number_of(p, "total");
	int64		last = number_of(p, "pages");
	int64		taken = pages ? -1 : number_of(p, "take");
	JsonbValue	now = p->sent->cursor;
	int64		at;
	int64		next;

	if (now.type != jbvNumeric || !cdp_rule_whole(&now, &at))
	{
		p->problem = "the cursor of the state is no whole number";
		return;
	}
	next = taken >= 0 ? taken : pages ? at + 1 : at + p->records;
	p->done = p->records == 0 || more == 0
		|| (total >= 0 && (pages ? (next - start) * size >= total : next >= total))
		|| (last >= 0 && next - start >= last)
		|| (more < 0 && total < 0 && last < 0 && taken < 0 && p->records < size);
	if (!p->done && next <= at)
		p->problem = "the page hands out an offset that does not move";
	set_number(p, next);
}

/* The name of a parameter of an address, decoded: %5B is [, and + a blank. */
static char *
parameter_name(const char *pair, size_t len)
{
	size_t		n = strcspn(pair, "=") < len ? strcspn(pair, "=") : len;
	char	   *name = palloc(n + 1);
	char	   *to = name;

	for (size_t i = 0; i < n; i++)
	{
		char		digits[3] = {0};

		if (pair[i] == '%' && i + 2 < n && isxdigit((unsigned char) pair[i + 1]) && isxdigit((unsigned char) pair[i + 2]))
		{
			memcpy(digits, pair + i + 1, 2);
			*to++ = (char) strtol(digits, NULL, 16);
			i += 2;
		}
		else
			*to++ = pair[i] == '+' ? ' ' : pair[i];
	}
	*to = '\0';
	return name;
}

/* Whether a parameter of an address is one in which auth puts something. */
static bool
of_auth(const Manifest *m, const char *pair, size_t len)
{
	static const char *const places[] = {"inject", "signature", "timestamp", "nonce"};
	const JsonbContainer *auth = cdp_manifest_object(m->root, "auth");
	char	   *name = parameter_name(pair, len);

	for (int i = 0; i < lengthof(places); i++)
	{
		const char *put = cdp_manifest_text(cdp_manifest_object(auth, places[i]), "query", NULL);

		if (put != NULL && strcmp(name, put) == 0)
			return true;
	}
	return cdp_manifest_get(cdp_manifest_object(auth, "query"), name) != NULL || strcmp(name, "access_token") == 0;
}

/* Path and query of an address without what auth puts into it: a token in a cursor would be stored. */
static char *
without_auth(const Manifest *m, const char *target)
{
	const char *query = strchr(target, '?');
	StringInfoData out;
	bool		first = true;

	if (query == NULL)
		return pstrdup(target);
	initStringInfo(&out);
	appendBinaryStringInfo(&out, target, query - target);
	for (const char *p = query + 1; *p != '\0';)
	{
		size_t		len = strcspn(p, "&");

		if (len > 0 && !of_auth(m, p, len))
		{
			appendStringInfoChar(&out, first ? '?' : '&');
			appendBinaryStringInfo(&out, p, len);
			first = false;
		}
		p += len + (p[len] == '&');
	}
	return out.data;
}

/* The address of the next page, which must be of the same host; its path and query are kept. */
static void
next_address(NextPage *p, const char *address)
{
	ManifestUrl base = cdp_request_base(p->m, NULL, "the connector");
	ManifestUrl url;
	const char *why;
	const char *rest;
	size_t		host;

	p->done = address == NULL || *address == '\0' || says_more(p) == 0
		|| (strcmp(cdp_manifest_text(p->cursor, "end", "empty_value"), "empty_page") == 0 && p->records == 0);
	if (p->done)
		return;
	for (const char *c = address; *c != '\0'; c++)
		if (*c <= ' ' || *c == 0x7F || *c == '\\' || *c == '#')
		{
			p->problem = "the address of the next page has characters that do not belong there";
			return;
		}
	rest = address;
	if (address[0] != '/' || address[1] == '/')
	{
		const char *start = strstr(address, "://");

		host = start == NULL ? 0 : start + 3 - address + strcspn(start + 3, "/?");
		if (start == NULL || !cdp_manifest_url(pnstrdup(address, host), &url, &why)
			|| url.https != base.https || url.port != base.port || strcmp(url.host, base.host) != 0)
		{
			p->problem = "the address of the next page is of another host";
			return;
		}
		rest = address[host] == '/' ? address + host : psprintf("/%s", address + host);
	}
	rest = without_auth(p->m, rest);
	if (p->sent->cursor.type == jbvString && strcmp(cdp_rule_string(&p->sent->cursor), rest) == 0)
		p->problem = "the address of the next page is that of this one";
	set_text(p, rest);
}

/* The address that a Link header calls next; NULL when there is none. */
static const char *
next_link(const NextPage *p)
{
	const char *text = NULL;
	const char **key;
	int			n = 0;

	key = p->headers == NULL ? NULL : cdp_rule_keys(p->headers, &n);
	for (int i = 0; i < n; i++)
		if (pg_strcasecmp(key[i], "link") == 0)
			text = cdp_manifest_scalar_text(cdp_rule_get(p->headers, key[i]));
	while (text != NULL && (text = strchr(text, '<')) != NULL)
	{
		const char *end = strchr(text, '>');
		const char *stop;
		char	   *rest;

		if (end == NULL)
			return NULL;
		stop = strchr(end, '<');
		rest = stop == NULL ? pstrdup(end) : pnstrdup(end, stop - end);
		if (strstr(rest, "rel=\"next\"") != NULL || strstr(rest, "rel=next") != NULL)
			return pnstrdup(text + 1, end - text - 1);
		text = end;
	}
	return NULL;
}

/* Notes that a pull does not move: the records of the page before, or more pages than there can be. */
static void
check_moves(NextPage *p)
{
	const char *before = cdp_manifest_text(p->m->state, "page_digest", NULL);
	CdpPiece   *piece = palloc(sizeof(CdpPiece) * Max(p->all.n, 1));
	uint8		sum[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc0(2 * PG_SHA256_DIGEST_LENGTH + 1);

	/* What is equal has equal bytes, also inside of the page. */
	for (int i = 0; i < p->all.n; i++)
	{
		const JsonbValue *v = &p->all.value[i];
		const char *text = v->type == jbvBinary ? NULL : cdp_manifest_scalar_text(v);

		piece[i].bytes = v->type == jbvBinary ? (const char *) v->val.binary.data : text == NULL ? "" : text;
		/* The end of a text tells it from the next one. */
		piece[i].len = v->type == jbvBinary ? v->val.binary.len : strlen(piece[i].bytes) + 1;
	}
	cdp_sha256(piece, p->all.n, sum);
	hex_encode((const char *) sum, sizeof(sum), hex);
	p->digest = psprintf("sha256:%s", hex);
	p->pages = cdp_manifest_whole(p->m->state, "pages", 0) + 1;
	if (p->pages > MOST_PAGES)
		p->problem = psprintf("a pull has more than %d pages", MOST_PAGES);
	else if (p->all.n > 0 && before != NULL && strcmp(before, p->digest) == 0)
		p->problem = "the page has the records of the page before";
}

/* Finds out what comes after a page. */
static void
find_next(NextPage *p)
{
	const char *kind = cdp_manifest_text(p->cursor, "kind", "token");
	JsonbValue	v;

	p->value.type = jbvNull;
	if (p->cursor == NULL || strcmp(kind, "none") == 0)
	{
		p->done = true;
		if (p->cursor != NULL && says_more(p) == 1)
			p->problem = "the page says that there is more and nothing asks for it";
	}
	else if (strcmp(kind, "token") == 0)
		next_token(p);
	else if (strcmp(kind, "offset") == 0 || strcmp(kind, "page") == 0)
		next_number(p, strcmp(kind, "page") == 0);
	else if (strcmp(kind, "link") == 0)
		next_address(p, next_link(p));
	else
		next_address(p, value_of(p, "take", &v) && v.type == jbvString ? cdp_rule_string(&v) : NULL);
	if (p->problem == NULL && !p->done)
		check_moves(p);
	if (p->problem != NULL)
		p->done = true;
}

/* The state after a page: that of before, with the next cursor; at the end without one, but where the cursor is kept. */
static Jsonb *
next_state(const NextPage *p)
{
	JsonbParseState *state = NULL;
	bool		keep = cdp_manifest_true(p->cursor, "keep", false);
	JsonbValue	value = p->done && p->value.type == jbvNull ? p->sent->cursor : p->value;
	const char **key;
	int			n;

	key = cdp_rule_keys(p->m->state, &n);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
		if (strcmp(key[i], "cursor") != 0 && strcmp(key[i], "page_digest") != 0 && strcmp(key[i], "pages") != 0)
			cdp_request_push(&state, key[i], cdp_rule_get(p->m->state, key[i]));
	if ((!p->done || keep) && value.type != jbvNull)
		cdp_request_push(&state, "cursor", &value);
	if (!p->done)
	{
		JsonbValue	pages;

		pages.type = jbvNumeric;
		pages.val.numeric = DatumGetNumeric(DirectFunctionCall1(int8_numeric, Int64GetDatum(p->pages)));
		cdp_request_push_text(&state, "page_digest", p->digest);
		cdp_request_push(&state, "pages", &pages);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What comes after a page, as cdp_internal.connector_next tells. */
Datum
cdp_connector_next(PG_FUNCTION_ARGS)
{
	NextPage	p = {0};
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};

	for (int i = 0; i < 5; i++)
		if (PG_ARGISNULL(i) && i != 3)
			PG_RETURN_NULL();
	p.m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(4));
	p.cursor = cdp_manifest_object(p.m->stream, "cursor");
	p.c = cdp_record_context(p.m, PG_GETARG_JSONB_P(2));
	p.sent = cdp_request_values(p.m);
	if (!PG_ARGISNULL(3) && JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(3)))
		p.headers = &PG_GETARG_JSONB_P(3)->root;
	cdp_record_list(p.c, &p.c->page, &p.all);
	p.records = p.all.n;
	find_next(&p);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	nulls[0] = p.problem != NULL;
	values[0] = p.problem != NULL ? (Datum) 0 : JsonbPGetDatum(next_state(&p));
	values[1] = BoolGetDatum(p.done);
	values[2] = Int32GetDatum(p.records);
	nulls[3] = p.problem == NULL;
	values[3] = p.problem == NULL ? (Datum) 0 : CStringGetTextDatum(p.problem);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * verdict.c
 *		What an answer says: good, or which rule of the manifest tells what to do.
 *
 * The code of an answer is read from its body, or from a header, so that a body
 * that was cut off can still be told.  Texts of errors are never looked at.
 */
#include "connector/manifest/manifest.h"

#include "funcapi.h"
#include "segment/rule/rule.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_connector_verdict);

#define MAX_WAIT (31 * SECS_PER_DAY)

/* An answer and what was found out about it. */
typedef struct Answer
{
	const Manifest *m;
	int			status;
	int			parked;			/* times in a row before this one */
	const JsonbContainer *headers;
	const JsonbValue *body;		/* or NULL: it could not be read */
	JsonbValue	code;			/* jbvNull: there is none */
	const JsonbContainer *rule;	/* or NULL */
	char	   *where;			/* its path */
} Answer;

/* The value of a header, whatever the case of its name; NULL when there is none. */
static const char *
header(const Answer *a, const char *name)
{
	const char **key;
	int			n;

	if (a->headers == NULL || name == NULL)
		return NULL;
	key = cdp_rule_keys(a->headers, &n);
	for (int i = 0; i < n; i++)
		if (pg_strcasecmp(key[i], name) == 0)
			return cdp_manifest_scalar_text(cdp_rule_get(a->headers, key[i]));
	return NULL;
}

/* Reads the code of an answer where ok says: the first path that leads somewhere, else the header. */
static void
read_code(Answer *a, const JsonbContainer *ok)
{
	JsonbValue *paths = cdp_manifest_get(ok, "path");
	const JsonbContainer *list = cdp_rule_array(paths);
	int			n = paths == NULL ? 0 : list == NULL ? 1 : JsonContainerSize(list);
	const char *text;

	a->code.type = jbvNull;
	for (int i = 0; i < n && a->body != NULL; i++)
	{
		JsonbValue	found;

		if (cdp_manifest_path_first(cdp_manifest_path(cdp_rule_string(list == NULL ? paths : cdp_rule_item(list, i)), false), a->body, &found)
			&& found.type != jbvNull && found.type != jbvBinary)
		{
			a->code = found;
			return;
		}
	}
	text = header(a, cdp_manifest_text(ok, "header", NULL));
	if (text != NULL)
	{
		a->code.type = jbvString;
		a->code.val.string.val = unconstify(char *, text);
		a->code.val.string.len = strlen(text);
	}
}

/* Whether the status of the answer is the wanted one, or one of the list: 429, "5xx". */
static bool
same_status(const Answer *a, const JsonbValue *wanted)
{
	const JsonbContainer *list = cdp_rule_array(wanted);
	int64		n;

	if (list != NULL)
	{
		for (int i = 0; i < JsonContainerSize(list); i++)
			if (same_status(a, cdp_rule_item(list, i)))
				return true;
		return false;
	}
	if (wanted->type == jbvString)
		return a->status / 100 == wanted->val.string.val[0] - '0';
	return cdp_rule_whole(wanted, &n) && n == a->status;
}

/* Finds the first rule of a list that fits the answer. */
static bool
find_rule(Answer *a, const JsonbContainer *of, const char *path)
{
	const JsonbContainer *errors = cdp_rule_array(cdp_manifest_get(of, "errors"));

	for (int i = 0; errors != NULL && i < JsonContainerSize(errors); i++)
	{
		const JsonbContainer *rule = cdp_rule_object(cdp_rule_item(errors, i));
		JsonbValue *code = cdp_manifest_get(rule, "code");
		JsonbValue *http = cdp_manifest_get(rule, "http");

		if ((code != NULL && (a->code.type == jbvNull || !cdp_manifest_same(&a->code, code))) || (http != NULL && !same_status(a, http)))
			continue;
		a->rule = rule;
		a->where = psprintf("%s[%d]", path, i);
		return true;
	}
	return false;
}

/* What to do about an error that no rule tells of: by its status alone. */
static const char *
verb_of_status(const Manifest *m, int status)
{
	const char *kind = cdp_manifest_text(cdp_manifest_object(m->root, "auth"), "kind", "none");

	if (status == 401 && (strcmp(kind, "login_token") == 0 || strcmp(kind, "oauth_client") == 0))
		return "reauth_once";
	if (status == 408 || status == 425 || status == 429 || status >= 500)
		return "retry";
	return status == 401 || status == 403 ? "config" : "fail";
}

/* Reads a day and time of HTTP (Wed, 21 Oct 2015 07:28:00 GMT); false when it is none. */
static bool
read_http_date(const char *text, TimestampTz *at)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int			day,
				year,
				hour,
				minute,
				second;
	char		month[4];
	const char *found;
	char		iso[64];

	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT", &day, month, &year, &hour, &minute, &second) != 6)
		return false;
	found = strlen(month) == 3 ? strstr(months, month) : NULL;
	if (found == NULL || (found - months) % 3 != 0)
		return false;
	snprintf(iso, sizeof(iso), "%04d-%02d-%02dT%02d:%02d:%02dZ", year, (int) (found - months) / 3 + 1, day, hour, minute, second);
	return cdp_rule_read_moment(iso, pg_tzset("GMT"), at);
}

/* Seconds that a header asks to wait, as a number of them, a Unix time or a date; -1 when it is not there. */
static int64
honored_wait(const Answer *a, TimestampTz as_of)
{
	const char *text = header(a, cdp_manifest_text(a->rule, "honor", NULL));
	TimestampTz at;

	if (text == NULL)
		return -1;
	if (strspn(text, "0123456789") == strlen(text) && strlen(text) >= 1 && strlen(text) <= 9)
		return Min(atol(text), MAX_WAIT);
	if (!cdp_manifest_read_moment(text, TIME_EPOCH, a->m->zone, &at) && !read_http_date(text, &at))
		return -1;
	if (at <= as_of)
		return 0;
	return Min((at - as_of + USECS_PER_SEC - 1) / USECS_PER_SEC, MAX_WAIT);
}

/* The shortest span of the quotas that bind a stream and are longer than this; 0 when there is none. */
static int64
next_quota(const Manifest *m, int64 than)
{
	int64		shortest = 0;

	for (int i = 0; i < 2; i++)
	{
		const JsonbContainer *quota = cdp_rule_array(cdp_manifest_get(i == 0 ? m->stream : m->root, "quota"));

		for (int k = 0; quota != NULL && k < JsonContainerSize(quota); k++)
		{
			int64		span = cdp_manifest_span(cdp_manifest_text(cdp_rule_object(cdp_rule_item(quota, k)), "per", ""));

			if (span > than)
				shortest = shortest == 0 ? span : Min(span, shortest);
		}
	}
	return shortest;
}

/* Seconds to the next midnight of the zone of the manifest. */
static int64
rest_of_day(const Manifest *m, TimestampTz as_of)
{
	return (cdp_rule_midnight(cdp_rule_today(as_of, m->zone) + 1, m->zone) - as_of + USECS_PER_SEC - 1) / USECS_PER_SEC;
}

/* Seconds until a window of calls is over: of the shortest quota, and with each time in a row that this did not help of the next longer one, then of the day. */
static int64
window_wait(const Answer *a, TimestampTz as_of)
{
	int64		span = next_quota(a->m, 0);

	if (span == 0)
		span = 60;
	for (int i = 0; i < a->parked && span > 0; i++)
		span = next_quota(a->m, span);
	return span > 0 ? span : rest_of_day(a->m, as_of);
}

/* Seconds to wait before the next call, -1 when the verb does not wait. */
static int64
wait_of(const Answer *a, const char *verb, const char *until, TimestampTz as_of)
{
	int64		honored = honored_wait(a, as_of);

	if (strcmp(verb, "retry") != 0 && strcmp(verb, "slow") != 0 && strcmp(verb, "park") != 0 && strcmp(verb, "not_ready") != 0)
		return -1;
	if (honored >= 0)
		return honored;
	if (cdp_manifest_get(a->rule, "wait_s") != NULL)
		return cdp_manifest_whole(a->rule, "wait_s", 0);
	if (strcmp(verb, "not_ready") == 0)
		return SECS_PER_HOUR;
	if (strcmp(verb, "park") != 0)
		return 1;
	if (strcmp(until, "hour") == 0)
		return SECS_PER_HOUR;
	if (strcmp(until, "month") == 0)
		return 30 * SECS_PER_DAY;
	if (strcmp(until, "day") == 0)
		return rest_of_day(a->m, as_of);
	return strcmp(until, "window") == 0 ? window_wait(a, as_of) : 60;
}

/* Whether an answer that is good says itself that its data are not there yet. */
static bool
says_not_ready(const Answer *a)
{
	const JsonbContainer *ready = cdp_manifest_object(a->m->stream, "not_ready");
	const char *path = cdp_manifest_text(ready, "path", NULL);
	ManifestRecords all = {0};

	if (path == NULL || a->body == NULL)
		return false;
	cdp_manifest_path_all(cdp_manifest_path(path, false), a->body, &all);
	for (int i = 0; i < all.n; i++)
		if (cdp_manifest_same(&all.value[i], cdp_manifest_get(ready, "equals")))
			return true;
	return false;
}

/* The verb for an answer; its rule is found on the way. */
static const char *
verb_of(Answer *a)
{
	const JsonbContainer *ok = cdp_manifest_object(a->m->stream, "ok");
	JsonbValue	none = {.type = jbvNull};
	bool		good = a->status >= 200 && a->status <= 299;
	bool		unread;

	if (ok == NULL)
		ok = cdp_manifest_object(a->m->root, "ok");
	read_code(a, ok);
	unread = a->body == NULL && a->code.type == jbvNull;
	if (good && !unread && (ok == NULL || cdp_manifest_same(a->code.type == jbvNull ? &none : &a->code, cdp_manifest_get(ok, "equals"))))
		return a->body == NULL ? "retry" : says_not_ready(a) ? "not_ready" : "ok";
	if (good && unread)
		return "retry";
	if (find_rule(a, a->m->stream, psprintf("streams.%s.errors", a->m->stream_name)) || find_rule(a, a->m->root, "errors"))
		return cdp_manifest_text(a->rule, "do", "fail");
	return good ? "fail" : verb_of_status(a->m, a->status);
}

/*
 * The verb for an answer to the request for a token, by the rules of the connector; its code and the rule's note, or NULL.
 * The manifest is a checked one. Reads no clock and no table, so that it can be called where nothing may be held.
 */
const char *
cdp_manifest_token_verb(const Jsonb *manifest, int status, const Jsonb *headers, const Jsonb *body, const char **code, const char **note)
{
	Manifest	m = {.root = &manifest->root, .stream_name = "token"};
	Answer		a = {.m = &m, .status = status, .headers = headers == NULL ? NULL : &headers->root};
	JsonbValue	root;
	const char *verb;

	if (body != NULL)
	{
		cdp_manifest_root_value(body, &root);
		a.body = &root;
	}
	verb = verb_of(&a);
	*code = a.code.type == jbvNull ? NULL : cdp_manifest_scalar_text(&a.code);
	*note = cdp_manifest_text(a.rule, "note", NULL);
	return verb;
}

/* What to do about an answer, as cdp_internal.connector_verdict tells. */
Datum
cdp_connector_verdict(PG_FUNCTION_ARGS)
{
	Answer		a = {0};
	JsonbValue	root;
	const char *verb,
			   *until,
			   *note;
	TimestampTz as_of;
	int64		wait;
	TupleDesc	desc;
	Datum		values[8] = {0};
	bool		nulls[8] = {false};

	for (int i = 0; i < 7; i++)
		if (PG_ARGISNULL(i) && i != 3 && i != 4)
			PG_RETURN_NULL();
	a.m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), NULL);
	a.status = PG_GETARG_INT32(2);
	a.parked = Min(PG_GETARG_INT32(6), 100);
	if (!PG_ARGISNULL(3) && JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(3)))
		a.headers = &PG_GETARG_JSONB_P(3)->root;
	if (!PG_ARGISNULL(4))
	{
		cdp_manifest_root_value(PG_GETARG_JSONB_P(4), &root);
		a.body = &root;
	}
	as_of = PG_GETARG_TIMESTAMPTZ(5);
	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("as_of must be finite")));
	verb = verb_of(&a);
	until = strcmp(verb, "park") == 0 ? cdp_manifest_text(a.rule, "until", "window") : NULL;
	note = cdp_manifest_text(a.rule, "note", NULL);
	wait = wait_of(&a, verb, until, as_of);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(verb);
	nulls[1] = a.code.type == jbvNull;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(cdp_manifest_scalar_text(&a.code));
	nulls[2] = a.where == NULL;
	values[2] = nulls[2] ? (Datum) 0 : CStringGetTextDatum(a.where);
	nulls[3] = strcmp(verb, "retry") != 0 && strcmp(verb, "slow") != 0;
	values[3] = Int32GetDatum((int) cdp_manifest_whole(a.rule, "max", 3));
	nulls[4] = until == NULL;
	values[4] = until == NULL ? (Datum) 0 : CStringGetTextDatum(until);
	nulls[5] = nulls[6] = wait < 0;
	values[5] = Int32GetDatum((int) wait);
	values[6] = TimestampTzGetDatum(wait < 0 ? as_of : as_of + wait * USECS_PER_SEC);
	nulls[7] = note == NULL;
	values[7] = note == NULL ? (Datum) 0 : CStringGetTextDatum(note);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * references.c
 *		What the parts of a manifest say about each other: keys that need or
 *		exclude one another, names that must be there, streams in a circle.
 */
#include "connector/manifest/manifest.h"

#include "segment/rule/rule.h"

/* Whether an object has a key. */
static bool
has(const JsonbContainer *object, const char *key)
{
	return cdp_manifest_get(object, key) != NULL;
}

/* Whether the text under a key is this one. */
static bool
is(const JsonbContainer *object, const char *key, const char *text)
{
	const char *found = cdp_manifest_text(object, key, NULL);

	return found != NULL && strcmp(found, text) == 0;
}

/* Notes unless exactly one of the keys is there; at_least: one or more. */
static void
one_of(ManifestCheck *c, const JsonbContainer *object, const char *path, const char *const *keys, bool at_least)
{
	int			n = 0;
	StringInfoData all;

	if (object == NULL)
		return;
	initStringInfo(&all);
	for (int i = 0; keys[i] != NULL; i++)
	{
		n += has(object, keys[i]);
		appendStringInfo(&all, "%s%s", i == 0 ? "" : ", ", keys[i]);
	}
	if (n == 0)
		cdp_manifest_problem(c, path, "missing_key", NULL, "this needs one of the keys %s", all.data);
	else if (n > 1 && !at_least)
		cdp_manifest_problem(c, path, "conflict", NULL, "this may have one of the keys %s only", all.data);
}

#define ONE_OF(c, object, path, at_least, ...) one_of(c, object, path, (const char *const[]) {__VA_ARGS__, NULL}, at_least)

/* Notes a key that means nothing beside what else is there. */
static void
useless(ManifestCheck *c, const JsonbContainer *object, const char *path, const char *key, const char *why)
{
	if (has(object, key))
		cdp_manifest_problem(c, cdp_manifest_at(path, key), "conflict", NULL, "%s means nothing here: %s", key, why);
}

/* The path of a request begins with / and has nothing of a query. */
static void
check_path(ManifestCheck *c, const JsonbContainer *request, const char *path)
{
	ManifestTemplate t;
	const char *hint;
	const char *text = cdp_manifest_text(request, "path", NULL);

	if (text == NULL || cdp_manifest_template_parse(text, &t, &hint) != NULL)
		return;
	if (t.n == 0 || t.piece[0].var != VAR_LITERAL || t.piece[0].text[0] != '/')
		cdp_manifest_problem(c, cdp_manifest_at(path, "path"), "bad_url", NULL, "the path of a request begins with /");
	for (int i = 0; i < t.n; i++)
		if (t.piece[i].var == VAR_LITERAL &&
			(strpbrk(t.piece[i].text, "?#\\ \t\n%") != NULL || strstr(t.piece[i].text, "..") != NULL || strstr(t.piece[i].text, "//") != NULL))
			cdp_manifest_problem(c, cdp_manifest_at(path, "path"), "bad_url", "Write parameters under query.",
								 "the path of a request has no ?, #, %%, backslash, blank, .. or //");
}

/* A request: GET has no body, and body and form are one or the other. */
static void
check_request(ManifestCheck *c, const JsonbContainer *request, const char *path)
{
	if (!is(request, "method", "POST"))
	{
		useless(c, request, path, "body", "the method is GET");
		useless(c, request, path, "form", "the method is GET");
	}
	if (has(request, "body") && cdp_manifest_get(request, "body")->type != jbvBinary)
		cdp_manifest_problem(c, cdp_manifest_at(path, "body"), "wrong_type", NULL, "a body must be an object or a list");
	if (has(request, "body") && has(request, "form"))
		cdp_manifest_problem(c, path, "conflict", NULL, "a request has a body or a form, not both");
	check_path(c, request, path);
}

/* Where a token, signature, time stamp or nonce goes: a header or a parameter. */
static void
check_inject(ManifestCheck *c, const JsonbContainer *auth, const char *path, const char *key)
{
	const JsonbContainer *inject = cdp_manifest_object(auth, key);
	const char *at = cdp_manifest_at(path, key);

	ONE_OF(c, inject, at, false, "query", "header");
	if (!has(inject, "header"))
		useless(c, inject, at, "prefix", "a prefix stands before the value of a header");
}

/* Notes what the message of a signature names and auth does not send. */
static void
check_signed(ManifestCheck *c, const JsonbContainer *auth, TemplateVar var, const char *key)
{
	const JsonbContainer *message = cdp_rule_array(cdp_manifest_get(auth, "message"));
	bool		named = false;

	for (int i = 0; message != NULL && i < JsonContainerSize(message); i++)
	{
		const JsonbValue *v = cdp_rule_item(message, i);
		ManifestTemplate t;
		const char *hint;

		if (v->type == jbvString && cdp_manifest_template_parse(cdp_rule_string(v), &t, &hint) == NULL)
			for (int k = 0; k < t.n; k++)
				named |= t.piece[k].var == var;
	}
	if (named && !has(auth, key))
		cdp_manifest_problem(c, cdp_manifest_at("auth", key), "missing_key", NULL, "the message of the signature names $%s, and no key %s tells where it is sent", key, key);
}

/* The parts of auth. */
static void
check_auth(ManifestCheck *c, const JsonbContainer *auth)
{
	const JsonbContainer *key = cdp_rule_array(cdp_manifest_get(auth, "key"));

	if (is(auth, "kind", "login_token"))
	{
		ONE_OF(c, auth, "auth", false, "ttl", "ttl_s");
		check_request(c, cdp_manifest_object(auth, "request"), "auth.request");
	}
	if (is(auth, "kind", "oauth_client"))
		check_path(c, auth, "auth");
	if (is(auth, "kind", "header"))
		ONE_OF(c, auth, "auth", true, "headers", "query");
	if (is(auth, "kind", "oauth_client") && is(auth, "grant", "refresh_token") && !has(auth, "refresh_token"))
		cdp_manifest_problem(c, "auth.refresh_token", "missing_key", NULL, "the grant refresh_token needs the key refresh_token");
	check_inject(c, auth, "auth", "inject");
	check_inject(c, auth, "auth", "signature");
	check_inject(c, auth, "auth", "timestamp");
	check_inject(c, auth, "auth", "nonce");
	check_signed(c, auth, VAR_TIMESTAMP, "timestamp");
	check_signed(c, auth, VAR_NONCE, "nonce");
	for (int i = 0; key != NULL && i < JsonContainerSize(key); i++)
	{
		const JsonbValue *v = cdp_rule_item(key, i);
		const char *name = v->type == jbvString ? cdp_rule_string(v) : NULL;

		if (name != NULL && !has(c->config, name) && !has(c->secrets, name))
			cdp_manifest_problem(c, cdp_manifest_nth("auth.key", i), "unknown_reference", NULL, "neither config nor secrets has an entry %s", cdp_rule_quote(name));
	}
}

/* Rules about errors: of what, and what goes with the verb. */
static void
check_errors(ManifestCheck *c, const JsonbContainer *of, const char *path)
{
	const JsonbContainer *errors = cdp_rule_array(cdp_manifest_get(of, "errors"));

	for (int i = 0; errors != NULL && i < JsonContainerSize(errors); i++)
	{
		const JsonbContainer *rule = cdp_rule_object(cdp_rule_item(errors, i));
		const char *at = cdp_manifest_nth(cdp_manifest_at(path, "errors"), i);

		ONE_OF(c, rule, at, true, "code", "http");
		if (!has(rule, "do"))
			continue;
		if (!is(rule, "do", "park"))
			useless(c, rule, at, "until", "only park waits until a moment");
		if (!is(rule, "do", "retry") && !is(rule, "do", "slow"))
			useless(c, rule, at, "max", "only retry and slow try again");
		if (!is(rule, "do", "retry") && !is(rule, "do", "slow") && !is(rule, "do", "park") && !is(rule, "do", "not_ready"))
		{
			useless(c, rule, at, "honor", "this verb does not wait");
			useless(c, rule, at, "wait_s", "this verb does not wait");
		}
		if (is(rule, "until", "header") && !has(rule, "honor"))
			cdp_manifest_problem(c, cdp_manifest_at(at, "honor"), "missing_key", NULL, "until header needs honor, the name of the header");
	}
}

/* What makes an answer good. */
static void
check_ok(ManifestCheck *c, const JsonbContainer *of, const char *path)
{
	ONE_OF(c, cdp_manifest_object(of, "ok"), cdp_manifest_at(path, "ok"), true, "path", "header");
}

/* Where a value of a partition stands in a record of another stream: names with dots between, which planning reads in SQL. */
static void
check_value(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	if (v != NULL && v->type == jbvString && strchr(cdp_rule_string(v), '[') != NULL)
		cdp_manifest_problem(c, path, "bad_path", "Name keys with dots between, or @ for the record itself.", "a value of a partition is no item of a list");
}

/* The partition of the stream that is being read: one origin, which exists and does not lead back here. */
static void
check_partition(ManifestCheck *c, const char *path)
{
	const JsonbContainer *partition = cdp_manifest_object(c->stream, "partition");
	const char *at = cdp_manifest_at(path, "partition");
	const char *from = cdp_manifest_text(partition, "from", NULL);
	const char *config = cdp_manifest_text(partition, "config", NULL);
	const JsonbContainer *fields = cdp_manifest_object(partition, "fields");
	int			nfields = 0;
	const char **field = fields == NULL ? NULL : cdp_rule_keys(fields, &nfields);

	if (partition == NULL)
		return;
	ONE_OF(c, partition, at, false, "from", "config", "values");
	check_value(c, cdp_manifest_get(partition, "value"), cdp_manifest_at(at, "value"));
	for (int i = 0; i < nfields; i++)
		check_value(c, cdp_manifest_get(fields, field[i]), cdp_manifest_at(cdp_manifest_at(at, "fields"), field[i]));
	if (has(partition, "fields"))
		useless(c, partition, at, "value", "the fields stand in its place");
	if (!has(partition, "from"))
	{
		useless(c, partition, at, "value", "it is taken from records of another stream");
		useless(c, partition, at, "fields", "they are taken from records of another stream");
	}
	if (config != NULL && !is(cdp_manifest_object(c->config, config), "type", "list"))
		cdp_manifest_problem(c, cdp_manifest_at(at, "config"), "unknown_reference", NULL, "config has no entry %s of type list", cdp_rule_quote(config));
	if (from != NULL && cdp_manifest_object(c->streams, from) == NULL)
	{
		int			n;
		const char **known = cdp_rule_keys(c->streams, &n);

		cdp_manifest_problem(c, cdp_manifest_at(at, "from"), "unknown_reference", cdp_rule_near(from, known, n), "there is no stream %s", cdp_rule_quote(from));
		return;
	}
	for (int i = 0; from != NULL && i <= MANIFEST_MAX_STREAMS; i++)
	{
		if (strcmp(from, c->stream_name) == 0)
		{
			cdp_manifest_problem(c, cdp_manifest_at(at, "from"), "circle", NULL, "the partitions of the stream come from itself");
			return;
		}
		from = cdp_manifest_text(cdp_manifest_object(cdp_manifest_object(c->streams, from), "partition"), "from", NULL);
	}
}

/* The way to the place of a cursor in the body leads through objects only. */
static void
check_way(ManifestCheck *c, const char *send, const char *path)
{
	JsonbValue *v = cdp_manifest_get(c->stream, "body");
	ManifestPath place;
	const char *why;

	if (!cdp_manifest_path_parse(send, true, &place, &why) || (v != NULL && v->type != jbvBinary))
		return;
	for (int i = 0; i < place.n && v != NULL; i++)
	{
		const JsonbContainer *object = cdp_rule_object(v);

		if (object == NULL || has(object, "$each"))
		{
			cdp_manifest_problem(c, path, "conflict", "Let it lead through objects of the body.", "the body has something else on the way to the place of the cursor");
			return;
		}
		v = place.step[i].name == NULL ? NULL : cdp_manifest_get(object, place.step[i].name);
	}
}

/* What the grammar knows; other keys are told there. */
#define CURSOR_KEYS " kind send take start more ending end total pages size keep resumable expires_s "

/* The cursor of the stream that is being read: which keys go with its kind, and whether there is a place for it. */
static void
check_cursor(ManifestCheck *c, const char *path)
{
	static const struct
	{
		const char *kind;
		const char *keys;		/* all that mean something */
		const char *needed;
	}			kinds[] = {
		{"token", " kind send take start more ending end size keep resumable expires_s ", "send take"},
		{"offset", " kind send take start total more end size resumable ", "send size"},
		{"page", " kind send start total pages more end size resumable ", "send size"},
		{"link", " kind end size resumable ", ""},
		{"none", " kind more ending ", ""},
		{"url", " kind take more end size resumable expires_s ", "take"},
	};
	const JsonbContainer *cursor = cdp_manifest_object(c->stream, "cursor");
	const char *at = cdp_manifest_at(path, "cursor");
	const char *kind = cdp_manifest_text(cursor, "kind", "token");
	const char *send = cdp_manifest_text(cursor, "send", "");
	const char **key;
	int			n;

	if (cursor == NULL)
		return;
	key = cdp_rule_keys(cursor, &n);
	for (int i = 0; i < lengthof(kinds); i++)
	{
		char	   *needed,
				   *rest = pstrdup(kinds[i].needed);

		if (strcmp(kind, kinds[i].kind) != 0)
			continue;
		for (int k = 0; k < n; k++)
			if (strstr(kinds[i].keys, psprintf(" %s ", key[k])) == NULL && strstr(CURSOR_KEYS, psprintf(" %s ", key[k])) != NULL)
				useless(c, cursor, at, key[k], psprintf("the cursor is of kind %s", kind));
		while ((needed = strsep(&rest, " ")) != NULL)
			if (*needed != '\0' && !has(cursor, needed))
				cdp_manifest_problem(c, cdp_manifest_at(at, needed), "missing_key", NULL, "a cursor of kind %s needs the key %s", kind, needed);
	}
	if ((strcmp(kind, "offset") == 0 || strcmp(kind, "page") == 0) && has(cursor, "start") && cdp_manifest_whole(cursor, "start", -1) < 0)
		cdp_manifest_problem(c, cdp_manifest_at(at, "start"), "out_of_range", NULL, "a cursor of kind %s starts at a whole number from 0", kind);
	if (has(cursor, "more") && has(cursor, "ending"))
		cdp_manifest_problem(c, at, "conflict", NULL, "a cursor has more or ending, not both");
	if (!is(c->stream, "method", "POST") && (strncmp(send, "body.", 5) == 0 || strncmp(send, "form.", 5) == 0))
		cdp_manifest_problem(c, cdp_manifest_at(at, "send"), "conflict", NULL, "the method is GET: a cursor goes into the query");
	if (strcmp(kind, "none") == 0 && !has(cursor, "more") && !has(cursor, "ending"))
		cdp_manifest_problem(c, cdp_manifest_at(at, "more"), "missing_key", NULL, "a cursor of kind none tells how a page says that there is more");
	if (strncmp(send, "body.", 5) == 0)
		check_way(c, send + 5, cdp_manifest_at(at, "send"));
	if ((strncmp(send, "body.", 5) == 0 && has(c->stream, "form")) || (strncmp(send, "form.", 5) == 0 && has(c->stream, "body")))
		cdp_manifest_problem(c, cdp_manifest_at(at, "send"), "conflict", NULL, "a request has a body or a form, not both");
}

/* Conditions: one comparison each. */
static void
check_conditions(ManifestCheck *c, const JsonbContainer *of, const char *path, const char *key)
{
	const JsonbContainer *list = cdp_rule_array(cdp_manifest_get(of, key));

	for (int i = 0; list != NULL && i < JsonContainerSize(list); i++)
		ONE_OF(c, cdp_rule_object(cdp_rule_item(list, i)), cdp_manifest_nth(cdp_manifest_at(path, key), i), false, "equals", "differs");
}

/* The form of CSV: one byte parts the fields, and the columns have names. */
static void
check_csv(ManifestCheck *c, const char *path)
{
	const JsonbContainer *csv = cdp_manifest_object(c->stream, "csv");
	const char *at = cdp_manifest_at(path, "csv");
	const JsonbContainer *columns = cdp_rule_array(cdp_manifest_get(csv, "columns"));
	const char *delimiter = cdp_manifest_text(csv, "delimiter", ",");

	if (!is(c->stream, "response", "csv"))
		useless(c, c->stream, path, "csv", "the response is not CSV");
	if (strlen(delimiter) != 1 || strchr("\"\r\n", delimiter[0]) != NULL)
		cdp_manifest_problem(c, cdp_manifest_at(at, "delimiter"), "out_of_range", NULL, "a delimiter is one ASCII character, and no quote");
	if (columns != NULL && JsonContainerSize(columns) > 1000)
		cdp_manifest_problem(c, cdp_manifest_at(at, "columns"), "out_of_range", NULL, "there are %d columns; there may be 1,000", JsonContainerSize(columns));
	if (csv != NULL && !cdp_manifest_true(csv, "header", true) && columns == NULL)
		cdp_manifest_problem(c, cdp_manifest_at(at, "columns"), "missing_key", NULL, "CSV without a header needs the names of its columns");
}

/* What is unpacked: one value of the record each, by names. */
static void
check_unpack(ManifestCheck *c, const char *path)
{
	const JsonbContainer *list = cdp_rule_array(cdp_manifest_get(c->stream, "unpack"));

	for (int i = 0; list != NULL && i < JsonContainerSize(list); i++)
	{
		const JsonbValue *v = cdp_rule_item(list, i);
		ManifestPath p;
		const char *why;

		if (v->type == jbvString && cdp_manifest_path_parse(cdp_rule_string(v), true, &p, &why) && (p.root != PATH_RECORD || p.many || p.n == 0))
			cdp_manifest_problem(c, cdp_manifest_nth(cdp_manifest_at(path, "unpack"), i), "bad_path", NULL, "what is unpacked is one value of the record");
	}
}

/* What one touchpoint says: its conditions, and a campaign that counts only where another stream, the same for all touchpoints of the stream, knows it. */
static void
check_touchpoint(ManifestCheck *c, const JsonbContainer *touchpoint, const char *path, const char **knower)
{
	const JsonbContainer *campaign = cdp_manifest_object(cdp_manifest_object(touchpoint, "origin"), "campaign");
	const JsonbContainer *known = cdp_manifest_object(campaign, "known");
	const char *stream = cdp_manifest_text(known, "stream", NULL);
	const char *at = cdp_manifest_at(cdp_manifest_at(path, "origin"), "campaign");

	check_conditions(c, touchpoint, path, "when");
	if (stream == NULL)
		return;
	if (!has(c->streams, stream))
		cdp_manifest_problem(c, cdp_manifest_at(cdp_manifest_at(at, "known"), "stream"), "unknown_reference", NULL, "there is no stream %s", cdp_rule_quote(stream));
	if (*knower != NULL && strcmp(*knower, stream) != 0)
		cdp_manifest_problem(c, cdp_manifest_at(cdp_manifest_at(at, "known"), "stream"), "conflict", NULL, "the touchpoints of a stream claim what one other stream knows");
	*knower = stream;
	useless(c, campaign, at, "map", "what is known stands as the vendor writes it");
	useless(c, campaign, at, "default", "what is not known is left out");
}

/* What the records of the stream that is being read mean. */
static void
check_meaning(ManifestCheck *c, const char *path)
{
	const JsonbContainer *ready = cdp_manifest_object(c->stream, "not_ready");
	const char *at = cdp_manifest_at(path, "not_ready");
	JsonbValue *touchpoint = cdp_manifest_get(c->stream, "touchpoint");
	const JsonbContainer *list = touchpoint == NULL ? NULL : cdp_rule_array(touchpoint);
	const char *knower = NULL;

	if (has(c->stream, "metrics") && !has(c->stream, "ref_date"))
		cdp_manifest_problem(c, cdp_manifest_at(path, "ref_date"), "missing_key", NULL, "metrics need ref_date, the day that they are of");
	if (!has(c->stream, "metrics"))
	{
		useless(c, c->stream, path, "dimensions", "there are no metrics");
		useless(c, ready, at, "all_zero", "there are no metrics");
	}
	ONE_OF(c, ready, at, true, "path", "all_zero");
	if (ready != NULL && has(ready, "path") != has(ready, "equals"))
		cdp_manifest_problem(c, at, "missing_key", NULL, "path and equals go together");
	check_csv(c, path);
	check_unpack(c, path);
	check_conditions(c, c->stream, path, "skip");
	check_conditions(c, cdp_manifest_object(c->stream, "content"), cdp_manifest_at(path, "content"), "when");
	if (list == NULL)
		check_touchpoint(c, touchpoint == NULL ? NULL : cdp_rule_object(touchpoint), cdp_manifest_at(path, "touchpoint"), &knower);
	for (int i = 0; list != NULL && i < JsonContainerSize(list); i++)
		check_touchpoint(c, cdp_rule_object(cdp_rule_item(list, i)), cdp_manifest_nth(cdp_manifest_at(path, "touchpoint"), i), &knower);
}

/* What the platform pushes: its secrets, whom it is for, and the streams that its events speak of. */
static void
check_callback(ManifestCheck *c, const JsonbContainer *callback)
{
	const JsonbContainer *events = cdp_rule_array(cdp_manifest_get(callback, "events"));
	const char *receiver = cdp_manifest_text(callback, "receiver", NULL);

	if (callback == NULL)
		return;
	if (!has(c->secrets, "callback_token"))
		cdp_manifest_problem(c, "secrets.callback_token", "missing_key", NULL, "callbacks are signed with the secret callback_token");
	if (is(callback, "dialect", "standard_webhooks"))
		useless(c, callback, "callback", "receiver", "Standard Webhooks name no receiver");
	else
	{
		if (!has(c->secrets, "callback_key"))
			cdp_manifest_problem(c, "secrets.callback_key", "missing_key", NULL, "callbacks are encrypted with the secret callback_key");
		if (!has(callback, "receiver"))
			cdp_manifest_problem(c, "callback.receiver", "missing_key", NULL, "a callback needs the key \"receiver\", the entry of config that its messages name");
	}
	if (receiver != NULL && !has(c->config, receiver))
		cdp_manifest_problem(c, "callback.receiver", "unknown_reference", NULL, "config has no entry %s", cdp_rule_quote(receiver));
	for (int i = 0; events != NULL && i < JsonContainerSize(events); i++)
	{
		const JsonbContainer *rule = cdp_rule_object(cdp_rule_item(events, i));
		const char *at = cdp_manifest_nth("callback.events", i);
		const char *stream = cdp_manifest_text(rule, "stream", NULL);
		JsonbValue *part = cdp_manifest_get(rule, "part");
		ManifestPath p;
		const char *why;

		check_conditions(c, rule, at, "when");
		if (stream != NULL && !has(c->streams, stream))
			cdp_manifest_problem(c, cdp_manifest_at(at, "stream"), "unknown_reference", NULL, "there is no stream %s", cdp_rule_quote(stream));
		else if (stream != NULL && !has(cdp_manifest_object(c->streams, stream), "partition"))
			useless(c, rule, at, "part", "the stream is not asked by partition");
		if (part != NULL && part->type == jbvString && cdp_manifest_path_parse(cdp_rule_string(part), true, &p, &why) && (p.root != PATH_RECORD || p.many || p.n == 0))
			cdp_manifest_problem(c, cdp_manifest_at(at, "part"), "bad_path", NULL, "a part is one value of the message");
	}
}

/* Collects what the parts of a manifest say about each other. */
void
cdp_manifest_check_references(ManifestCheck *c, const JsonbContainer *root)
{
	const char **name;
	int			n;

	check_auth(c, cdp_manifest_object(root, "auth"));
	check_errors(c, root, "");
	check_ok(c, root, "");
	check_callback(c, cdp_manifest_object(root, "callback"));
	for (int i = 0; i < 2; i++)
	{
		const JsonbContainer *of = i == 0 ? root : cdp_manifest_object(root, "auth");
		const char *url = cdp_manifest_text(of, "base_url", "");

		if (strncmp(url, "$config.", 8) == 0 && has(c->config, url + 8) && !is(cdp_manifest_object(c->config, url + 8), "type", "url"))
			cdp_manifest_problem(c, i == 0 ? "base_url" : "auth.base_url", "unknown_reference", NULL, "the entry %s of config is not of type url", cdp_rule_quote(url + 8));
	}
	if (c->streams == NULL)
		return;
	name = cdp_rule_keys(c->streams, &n);
	if (n == 0 || n > MANIFEST_MAX_STREAMS)
		cdp_manifest_problem(c, "streams", "out_of_range", NULL, "there are %d streams; there may be 1 to %d", n, MANIFEST_MAX_STREAMS);
	for (int i = 0; i < Min(n, MANIFEST_MAX_STREAMS); i++)
	{
		const char *path = cdp_manifest_at("streams", name[i]);

		c->stream = cdp_manifest_object(c->streams, name[i]);
		c->stream_name = name[i];
		if (c->stream == NULL)
			continue;
		check_request(c, c->stream, path);
		check_errors(c, c->stream, path);
		check_ok(c, c->stream, path);
		check_partition(c, path);
		check_cursor(c, path);
		check_meaning(c, path);
	}
	c->stream = NULL;
}

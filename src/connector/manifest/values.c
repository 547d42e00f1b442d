/*
 * values.c
 *		What the templates of a manifest stand for: the configuration of a
 *		connection, the partition, window and cursor of one request.
 */
#include "connector/manifest/request.h"

#include "segment/rule/rule.h"
#include "utils/fmgrprotos.h"

CDP_NORETURN static void bad_state(const char *what, const char *hint);

/* Ends the call because of what the state of a stream lacks or has wrong. */
static void
bad_state(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 hint == NULL ? 0 : errhint("%s", hint)));
}

/* The configured value of a name, or its default; NULL when there is neither. */
JsonbValue *
cdp_request_config(const Manifest *m, const char *name)
{
	const JsonbContainer *entry = cdp_manifest_object(cdp_manifest_object(m->root, "config"), name);
	JsonbValue *v = cdp_manifest_get(cdp_manifest_object(m->state, "config"), name);

	if (v == NULL || v->type == jbvNull)
		v = cdp_manifest_get(entry, "default");
	return v;
}

/* Reads the window of the state, which a stream with a window needs. */
static void
read_window(RequestValues *r)
{
	const JsonbContainer *declared = cdp_manifest_object(r->m->stream, "window");
	const JsonbContainer *window = cdp_manifest_object(r->m->state, "window");
	const char *from = cdp_manifest_text(window, "from", NULL);
	const char *to = cdp_manifest_text(window, "to", from);
	int			most = (int) cdp_manifest_whole(declared, "max_days", 1);

	if (declared == NULL)
		return;
	if (from == NULL || !cdp_manifest_day(from, &r->from) || !cdp_manifest_day(to, &r->to))
		bad_state("the stream needs a window of days", "Give {\"window\": {\"from\": \"2026-03-01\", \"to\": \"2026-03-07\"}}.");
	if (r->to < r->from || r->to - r->from >= most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the window has %d days; it may have 1 to %d", r->to - r->from + 1, most)));
	r->windowed = true;
	r->format = (TimeFormat) cdp_manifest_time_format(cdp_manifest_text(declared, "format", "date"));
	r->end = cdp_manifest_text(declared, "end", "last_day");
}

/* Reads the partition of the state, which a stream with partitions needs. */
static void
read_partition(RequestValues *r)
{
	const JsonbContainer *declared = cdp_manifest_object(r->m->stream, "partition");
	int64		chunk = cdp_manifest_whole(declared, "chunk", 1);
	const JsonbContainer *list;

	if (declared == NULL)
		return;
	r->partition = cdp_manifest_get(r->m->state, "partition");
	if (r->partition == NULL || r->partition->type == jbvNull)
		bad_state("the stream needs a partition", "Give {\"partition\": value}, or a list of values where the manifest has chunk.");
	list = cdp_rule_array(r->partition);
	if (chunk > 1 && (list == NULL || JsonContainerSize(list) < 1 || JsonContainerSize(list) > chunk))
		bad_state(psprintf("the partition must be a list of 1 to %d values", (int) chunk), NULL);
	if (chunk == 1 && list != NULL)
		bad_state("the partition must be one value, not a list", NULL);
	r->fields = cdp_rule_object(r->partition);
	if (cdp_manifest_object(declared, "fields") != NULL && chunk == 1 && r->fields == NULL)
		bad_state("the partition must be an object with the fields of the manifest", NULL);
}

/* Reads the values of one request out of the state of a manifest. */
RequestValues *
cdp_request_values(const Manifest *m)
{
	RequestValues *r = palloc0(sizeof(RequestValues));
	const JsonbContainer *cursor = cdp_manifest_object(m->stream, "cursor");
	const char *kind = cdp_manifest_text(cursor, "kind", "token");
	JsonbValue *v;

	r->m = m;
	r->cursor.type = jbvNull;
	read_partition(r);
	read_window(r);
	if (cursor == NULL)
		return r;
	r->size = cdp_manifest_whole(cursor, "size", 0);
	v = cdp_manifest_get(m->state, "cursor");
	if (v == NULL || v->type == jbvNull)
		v = cdp_manifest_get(cursor, "start");
	if (v != NULL)
		r->cursor = *v;
	else if (strcmp(kind, "offset") == 0 || strcmp(kind, "page") == 0)
	{
		r->cursor.type = jbvNumeric;
		r->cursor.val.numeric = DatumGetNumeric(DirectFunctionCall1(int8_numeric, Int64GetDatum(strcmp(kind, "page") == 0 ? 1 : 0)));
	}
	return r;
}

/* Makes a value a text. */
static void
set_text(JsonbValue *v, const char *text)
{
	v->type = jbvString;
	v->val.string.val = unconstify(char *, text);
	v->val.string.len = strlen(text);
}

/* Makes a value a whole number. */
static void
set_number(JsonbValue *v, const char *digits)
{
	v->type = jbvNumeric;
	v->val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Makes a value the first or last day of the window, as the request writes it. */
static void
set_day(const RequestValues *r, const TemplatePiece *piece, JsonbValue *out)
{
	TimeFormat	format = piece->format < 0 ? r->format : (TimeFormat) piece->format;
	bool		last = piece->var == VAR_WINDOW_TO;
	bool		next = last && strcmp(r->end, "next_day") == 0;
	const char *text = cdp_manifest_day_text(last ? r->to + next : r->from, format, r->m->zone, last && strcmp(r->end, "last_second") == 0);

	if (format == TIME_EPOCH || format == TIME_EPOCH_MS || format == TIME_YYYYMMDD_NUMBER)
		set_number(out, text);
	else
		set_text(out, text);
}

/* What a variable stands for; false when it has no value. */
bool
cdp_request_value(const RequestValues *r, const TemplatePiece *piece, JsonbValue *out)
{
	JsonbValue *v = NULL;

	switch (piece->var)
	{
		case VAR_LITERAL:
			set_text(out, piece->text);
			return true;
		case VAR_CONFIG:
			v = cdp_request_config(r->m, piece->text);
			if (v == NULL && cdp_manifest_true(cdp_manifest_object(cdp_manifest_object(r->m->root, "config"), piece->text), "required", false))
				bad_state(psprintf("the connection has no value for %s", cdp_rule_quote(piece->text)), "Give it in the configuration of the connection.");
			break;
		case VAR_PARTITION:
			v = piece->text == NULL ? r->partition : cdp_manifest_get(r->fields, piece->text);
			break;
		case VAR_WINDOW_FROM:
		case VAR_WINDOW_TO:
			set_day(r, piece, out);
			return true;
		case VAR_CURSOR:
			*out = r->cursor;
			return out->type != jbvNull;
		case VAR_SIZE:
			set_number(out, psprintf(INT64_FORMAT, r->size));
			return true;
		default:
			break;
	}
	if (v == NULL || v->type == jbvNull)
		return false;
	*out = *v;
	return true;
}

/* The text of a value in a text: a list becomes its items with commas between. */
static char *
value_text(const JsonbValue *v)
{
	const JsonbContainer *list = cdp_rule_array(v);
	StringInfoData all;

	if (list == NULL)
	{
		const char *text = cdp_manifest_scalar_text(v);

		if (text == NULL)
			bad_state("an object cannot stand in a text", "Take one of its fields: $partition.name.");
		return pstrdup(text);
	}
	initStringInfo(&all);
	for (int i = 0; i < JsonContainerSize(list); i++)
		appendStringInfo(&all, "%s%s", i == 0 ? "" : ",", value_text(cdp_rule_item(list, i)));
	return all.data;
}

/* A text with its variables replaced, what has no value by nothing.  In the path of a request values are encoded, and . and .. refused. */
char *
cdp_request_text(const RequestValues *r, const char *text, bool in_path)
{
	ManifestTemplate t;
	const char *hint;
	StringInfoData out;
	JsonbValue	v;

	cdp_manifest_template_parse(text, &t, &hint);
	initStringInfo(&out);
	for (int i = 0; i < t.n; i++)
	{
		char	   *piece;

		if (t.piece[i].var == VAR_LITERAL)
		{
			appendStringInfoString(&out, t.piece[i].text);
			continue;
		}
		if (!cdp_request_value(r, &t.piece[i], &v))
		{
			if (in_path)
				bad_state("the path of the request lacks a value", NULL);
			continue;
		}
		piece = value_text(&v);
		if (!in_path)
			appendStringInfoString(&out, piece);
		else if (piece[0] == '\0' || strcmp(piece, ".") == 0 || strcmp(piece, "..") == 0)
			bad_state("a value cannot stand in the path of the request", "It is empty, . or ...");
		else
			cdp_manifest_append_encoded(&out, piece);
	}
	return out.data;
}

/* Pushes a value of a request; a whole text that is one variable keeps the type of its value. */
static void
push_template(const RequestValues *r, JsonbParseState **state, JsonbIteratorToken token, const char *text)
{
	ManifestTemplate t;
	const char *hint;
	JsonbValue	v;

	cdp_manifest_template_parse(text, &t, &hint);
	if (t.n == 1 && t.piece[0].var != VAR_LITERAL)
	{
		if (!cdp_request_value(r, &t.piece[0], &v))
			v.type = jbvNull;
	}
	else
		set_text(&v, cdp_request_text(r, text, false));
	pushJsonbValue(state, token, &v);
}

/* Pushes a list: the item of $each for every value of the partition. */
static void
push_each(const RequestValues *r, JsonbParseState **state, const JsonbValue *item)
{
	const JsonbContainer *list = r->partition == NULL ? NULL : cdp_rule_array(r->partition);
	RequestValues one = *r;

	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < (list == NULL ? 1 : JsonContainerSize(list)); i++)
	{
		one.partition = list == NULL ? r->partition : cdp_rule_item(list, i);
		one.fields = one.partition == NULL ? NULL : cdp_rule_object(one.partition);
		cdp_request_tree(&one, state, WJB_ELEM, item, NULL, 0);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* Pushes the cursor below what is left of its place. */
static void
push_cursor(const RequestValues *r, JsonbParseState **state, const ManifestPath *place, int depth)
{
	JsonbValue	v = r->cursor;

	if (depth == place->n)
	{
		pushJsonbValue(state, WJB_VALUE, &v);
		return;
	}
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	set_text(&v, place->step[depth].name);
	pushJsonbValue(state, WJB_KEY, &v);
	push_cursor(r, state, place, depth + 1);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes the values of an object; place, or NULL, is where in it the cursor goes. */
static void
push_object(const RequestValues *r, JsonbParseState **state, const JsonbContainer *object, const ManifestPath *place, int depth)
{
	int			n;
	const char **key = cdp_rule_keys(object, &n);
	bool		placed = place == NULL;
	JsonbValue	k;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		bool		here = place != NULL && strcmp(key[i], place->step[depth].name) == 0;

		set_text(&k, key[i]);
		pushJsonbValue(state, WJB_KEY, &k);
		placed |= here;
		if (here && depth + 1 == place->n)
			push_cursor(r, state, place, place->n);
		else
			cdp_request_tree(r, state, WJB_VALUE, cdp_rule_get(object, key[i]), here ? place : NULL, depth + 1);
	}
	if (!placed)
	{
		set_text(&k, place->step[depth].name);
		pushJsonbValue(state, WJB_KEY, &k);
		push_cursor(r, state, place, depth + 1);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Pushes JSON with its variables replaced; place, or NULL, is where below it the cursor goes. */
void
cdp_request_tree(const RequestValues *r, JsonbParseState **state, JsonbIteratorToken token, const JsonbValue *v,
				 const ManifestPath *place, int depth)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const JsonbContainer *array = cdp_rule_array(v);
	JsonbValue *each = cdp_manifest_get(object, "$each");
	JsonbValue	plain = *v;

	if (each != NULL)
		push_each(r, state, each);
	else if (object != NULL)
		push_object(r, state, object, place, depth);
	else if (array != NULL)
	{
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < JsonContainerSize(array); i++)
			cdp_request_tree(r, state, WJB_ELEM, cdp_rule_item(array, i), NULL, 0);
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
	}
	else if (v->type == jbvString)
		push_template(r, state, token, cdp_rule_string(v));
	else
		pushJsonbValue(state, token, &plain);
}

/* Appends a text to a template so that it means itself. */
static void
append_literal(StringInfo out, const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p == '$')
			appendStringInfoChar(out, '$');
		appendStringInfoChar(out, *p);
	}
}

/* A text as a template that means itself. */
char *
cdp_request_literal(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	append_literal(&out, text);
	return out.data;
}

/* A template of auth with its configuration filled in: what is left to fill in is ${secret.name} and ${token}, and $$ is a dollar sign. */
char *
cdp_request_auth_text(const Manifest *m, const char *text)
{
	static const char *const signed_names[] = {"method", "path", "query", "body", "timestamp", "nonce"};
	RequestValues r = {m};
	ManifestTemplate t;
	const char *hint;
	StringInfoData out;
	JsonbValue	v;

	cdp_manifest_template_parse(text, &t, &hint);
	initStringInfo(&out);
	for (int i = 0; i < t.n; i++)
		switch (t.piece[i].var)
		{
			case VAR_LITERAL:
				append_literal(&out, t.piece[i].text);
				break;
			case VAR_CONFIG:
				if (cdp_request_value(&r, &t.piece[i], &v))
					append_literal(&out, value_text(&v));
				break;
			case VAR_SECRET:
				appendStringInfo(&out, "${secret.%s}", t.piece[i].text);
				break;
			default:
				if (t.piece[i].var < VAR_METHOD)
					elog(ERROR, "a checked template of auth names what is not there");
				appendStringInfo(&out, "${%s}", signed_names[t.piece[i].var - VAR_METHOD]);
		}
	return out.data;
}

/* The address under base_url of an object, or that of the manifest. */
ManifestUrl
cdp_request_base(const Manifest *m, const JsonbContainer *of, const char *where)
{
	RequestValues r = {m};
	const char *text = cdp_manifest_text(of, "base_url", cdp_manifest_text(m->root, "base_url", ""));
	ManifestUrl url;
	const char *why;

	text = cdp_request_text(&r, text, false);
	if (!cdp_manifest_url(text, &url, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the configured address of %s cannot be asked", where),
				 errdetail("%s.", why),
				 errhint("Write https://api.example.com, with a path or without.")));
	return url;
}

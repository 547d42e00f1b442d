/*
 * record.c
 *		Values of records: where a path of a record leads, keys, days and moments.
 */
#include "connector/manifest/record.h"

#include "segment/rule/rule.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* Readies what the records of a page have in common; the page may be NULL. */
RecordContext *
cdp_record_context(const Manifest *m, const Jsonb *page)
{
	RecordContext *c = palloc0(sizeof(RecordContext));
	RequestValues *r = palloc0(sizeof(RequestValues));
	const JsonbContainer *window = cdp_manifest_object(m->state, "window");
	const char *from = cdp_manifest_text(window, "from", NULL);
	const char *to = cdp_manifest_text(window, "to", from);

	c->m = m;
	c->request = r;
	r->m = m;
	r->partition = cdp_manifest_get(m->state, "partition");
	r->windowed = from != NULL && cdp_manifest_day(from, &r->from) && cdp_manifest_day(to, &r->to);
	c->page.type = jbvNull;
	if (page != NULL)
		cdp_manifest_root_value(page, &c->page);
	return c;
}

/* The value that a path of a record leads to; false when there is none, or it is null. */
bool
cdp_record_value(const RecordContext *c, const ManifestPath *path, const JsonbValue *record, JsonbValue *out)
{
	const JsonbValue *from = record;
	JsonbValue	day;

	switch (path->root)
	{
		case PATH_RECORD:
			break;
		case PATH_DOCUMENT:
			from = &c->page;
			break;
		case PATH_PARTITION:
			from = c->request->partition;
			break;
		case PATH_CONFIG:
			from = cdp_request_config(c->m, path->step[0].name);
			if (from != NULL)
				*out = *from;
			return from != NULL && out->type != jbvNull;
		case PATH_WINDOW_FROM:
		case PATH_WINDOW_TO:
			if (!c->request->windowed)
				return false;
			day.type = jbvString;
			day.val.string.val = unconstify(char *, cdp_manifest_day_text(path->root == PATH_WINDOW_FROM ? c->request->from : c->request->to, TIME_DATE, c->m->zone, false));
			day.val.string.len = strlen(day.val.string.val);
			from = &day;
			break;
	}
	return from != NULL && cdp_manifest_path_first(path, from, out) && out->type != jbvNull;
}

/* Reads a field that the manifest declares as a path, or as an object with a path and what becomes of its value.  constant: a text is the value itself. */
RecordField *
cdp_record_field(const JsonbValue *declared, bool constant)
{
	RecordField *f = palloc0(sizeof(RecordField));
	const JsonbContainer *object = cdp_rule_object(declared);
	JsonbValue *scale = cdp_manifest_get(object, "scale");

	if (object == NULL && constant)
	{
		f->constant = palloc(sizeof(JsonbValue));
		*f->constant = *declared;
		return f;
	}
	f->path = cdp_manifest_path(object == NULL ? cdp_rule_string(declared) : cdp_manifest_text(object, "path", "@"), true);
	f->map = cdp_manifest_object(object, "map");
	f->otherwise = cdp_manifest_get(object, "default");
	f->scale = scale == NULL ? NULL : scale->val.numeric;
	f->negate = cdp_manifest_true(object, "negate", false);
	return f;
}

/* Reads a field that holds a time: a path, or an object with a path and a format. */
RecordField *
cdp_record_time_field(const JsonbValue *declared, TimeFormat otherwise)
{
	RecordField *f = cdp_record_field(declared, false);
	const char *format = cdp_manifest_text(cdp_rule_object(declared), "format", NULL);

	f->format = format == NULL ? otherwise : (TimeFormat) cdp_manifest_time_format(format);
	return f;
}

/* The moment that a field of a record holds; false when it holds none. */
bool
cdp_record_moment(const RecordContext *c, const RecordField *f, const JsonbValue *record, TimestampTz *at)
{
	JsonbValue	v;
	const char *text;
	TimeFormat	format = f->format;

	if (!cdp_record_value(c, f->path, record, &v))
		return false;
	text = cdp_manifest_scalar_text(&v);
	if (f->path->root == PATH_WINDOW_FROM || f->path->root == PATH_WINDOW_TO)
		format = TIME_DATE;
	return text != NULL && cdp_manifest_read_moment(text, format, c->m->zone, at);
}

/* The day that a field of a record holds, in the zone of the manifest; false when it holds none. */
bool
cdp_record_day(const RecordContext *c, const RecordField *f, const JsonbValue *record, int *day)
{
	TimestampTz at;

	if (!cdp_record_moment(c, f, record, &at))
		return false;
	*day = cdp_rule_today(at, c->m->zone);
	return true;
}

/* Whether the conditions under a key hold for a record: all of them, or any; without conditions all hold and none does. */
bool
cdp_record_fits(const RecordContext *c, const JsonbContainer *of, const char *key, const JsonbValue *record, bool any)
{
	const JsonbContainer *list = cdp_rule_array(cdp_manifest_get(of, key));

	for (int i = 0; list != NULL && i < JsonContainerSize(list); i++)
	{
		const JsonbContainer *condition = cdp_rule_object(cdp_rule_item(list, i));
		JsonbValue *equals = cdp_manifest_get(condition, "equals");
		JsonbValue	v;
		bool		found = cdp_record_value(c, cdp_manifest_path(cdp_manifest_text(condition, "path", "@"), true), record, &v);
		bool		holds = cdp_manifest_same(found ? &v : NULL, equals != NULL ? equals : cdp_manifest_get(condition, "differs")) == (equals != NULL);

		if (holds == any)
			return any;
	}
	return !any;
}

/* Adds the records of a page, in the order of the page. */
void
cdp_record_list(const RecordContext *c, const JsonbValue *page, ManifestRecords *out)
{
	JsonbValue *declared = cdp_manifest_get(c->m->stream, "records");
	const JsonbContainer *list = cdp_rule_array(declared);

	for (int i = 0; i < (list == NULL ? 1 : JsonContainerSize(list)); i++)
		cdp_manifest_path_all(cdp_manifest_path(cdp_rule_string(list == NULL ? declared : cdp_rule_item(list, i)), false), page, out);
}

/* A value as a document of its own. */
Jsonb *
cdp_record_jsonb(const JsonbValue *v)
{
	JsonbValue	copy = *v;

	return JsonbValueToJsonb(&copy);
}

/* The text of a value: of an object or a list its JSON. */
static const char *
any_text(const JsonbValue *v)
{
	Jsonb	   *doc;

	if (v->type != jbvBinary)
		return cdp_manifest_scalar_text(v);
	doc = cdp_record_jsonb(v);
	return JsonbToCString(NULL, &doc->root, VARSIZE(doc));
}

/* SHA-256 of a text, in hexadecimal. */
char *
cdp_record_digest(const char *text)
{
	Datum		sum = DirectFunctionCall1(sha256_bytea, PointerGetDatum(cstring_to_text(text)));
	bytea	   *bytes = DatumGetByteaPP(sum);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "sha256:");
	for (int i = 0; i < VARSIZE_ANY_EXHDR(bytes); i++)
		appendStringInfo(&out, "%02x", (unsigned char) VARDATA_ANY(bytes)[i]);
	return out.data;
}

/* The key of a record: the text of its one field, or a list of several as JSON; that of what is long, or has no fields, is a digest.  NULL when all fields are missing. */
char *
cdp_record_key(const RecordContext *c, const JsonbContainer *fields, const JsonbValue *record)
{
	int			n = fields == NULL ? 0 : JsonContainerSize(fields);
	bool		any = false;
	const char *text = NULL;
	StringInfoData all;

	if (n == 0)
		return cdp_record_digest(any_text(record) == NULL ? "null" : any_text(record));
	initStringInfo(&all);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	v;

		appendStringInfoString(&all, i == 0 ? "[" : ", ");
		if (!cdp_record_value(c, cdp_manifest_path(cdp_rule_string(cdp_rule_item(fields, i)), true), record, &v))
		{
			appendStringInfoString(&all, "null");
			continue;
		}
		any = true;
		text = any_text(&v);
		escape_json(&all, text);
	}
	appendStringInfoChar(&all, ']');
	if (!any)
		return NULL;
	if (n > 1)
		text = all.data;
	return strlen(text) > KEY_MAX_BYTES || *text == '\0' ? cdp_record_digest(text) : pstrdup(text);
}

/*
 * map.c
 *		What records mean: touchpoints, metrics of a day, contents, as their
 *		manifest says.
 *
 * A record is read as it was kept, without its page, so that records can be read
 * again under a new manifest.
 */
#include "connector/manifest/record.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "segment/rule/rule.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_connector_touchpoints);
CDP_FUNCTION(cdp_connector_metrics);
CDP_FUNCTION(cdp_connector_content);

#define MOST_DIGITS 60

/* Reads a number out of a number or a text; false when it is none. */
static bool
read_number(const JsonbValue *v, Numeric *out)
{
	const char *text,
			   *p;
	bool		digits = false;

	if (v->type == jbvNumeric)
	{
		*out = v->val.numeric;
		return true;
	}
	if (v->type != jbvString)
		return false;
	text = p = cdp_rule_string(v);
	if (*p == '-' || *p == '+')
		p++;
	for (; *p >= '0' && *p <= '9'; p++)
		digits = true;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			digits = true;
	if (!digits || *p != '\0' || p - text > MOST_DIGITS)
		return false;
	*out = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return true;
}

/* Whether a value stands for no number: absent, null, an empty text, a dash. */
static bool
no_number(bool found, const JsonbValue *v)
{
	return !found || (v->type == jbvString && (v->val.string.len == 0 || (v->val.string.len == 1 && v->val.string.val[0] == '-')));
}

/* The number that a field holds, scaled and turned as it says; false when it holds none, with bad set when it holds something else. */
static bool
field_number(const RecordContext *c, const RecordField *f, const JsonbValue *record, Numeric *out, bool *bad)
{
	JsonbValue	v;
	bool		found = cdp_record_value(c, f->path, record, &v);

	*bad = false;
	if (no_number(found, &v))
		return false;
	*bad = !read_number(&v, out);
	if (*bad)
		return false;
	if (f->scale != NULL)
		*out = DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(*out), NumericGetDatum(f->scale)));
	if (f->negate)
		*out = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(*out)));
	return true;
}

/* The text that a field holds, translated as it says; NULL when it holds none. */
static const char *
field_text(const RecordContext *c, const RecordField *f, const JsonbValue *record)
{
	JsonbValue	v;
	const char *text;
	JsonbValue *mapped;

	if (f->constant != NULL)
		return cdp_manifest_scalar_text(f->constant);
	text = cdp_record_value(c, f->path, record, &v) && v.type != jbvBinary ? cdp_manifest_scalar_text(&v) : NULL;
	if (f->map != NULL && text != NULL)
	{
		mapped = cdp_manifest_get(f->map, text);
		text = mapped == NULL ? NULL : cdp_manifest_scalar_text(mapped);
	}
	if ((text == NULL || *text == '\0') && f->otherwise != NULL)
		text = cdp_manifest_scalar_text(f->otherwise);
	return text == NULL || *text == '\0' ? NULL : text;
}

/* The text under a key of a declaration, read from a record; NULL when the key or the text is not there. */
static const char *
declared_text(const RecordContext *c, const JsonbContainer *of, const char *key, bool constant, const JsonbValue *record)
{
	JsonbValue *declared = cdp_manifest_get(of, key);

	return declared == NULL ? NULL : field_text(c, cdp_record_field(declared, constant), record);
}

/* The texts under the names of a map, as an object; names without a text are left out.  NULL when none is left. */
static Jsonb *
map_texts(const RecordContext *c, const JsonbContainer *map, bool constant, const JsonbValue *record)
{
	JsonbParseState *state = NULL;
	const char **name;
	int			n,
				kept = 0;
	Jsonb	   *all;

	if (map == NULL)
		return NULL;
	name = cdp_rule_keys(map, &n);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		const char *text = declared_text(c, map, name[i], constant, record);

		kept += text != NULL;
		cdp_request_push_text(&state, name[i], text);
	}
	all = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return kept == 0 ? NULL : all;
}

/* The values under the names of a map, as an object, with the types that they have; NULL when there is none. */
static Jsonb *
map_values(const RecordContext *c, const JsonbContainer *map, const JsonbValue *record)
{
	JsonbParseState *state = NULL;
	const char **name;
	int			n,
				kept = 0;
	Jsonb	   *all;

	if (map == NULL)
		return NULL;
	name = cdp_rule_keys(map, &n);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	v;

		if (!cdp_record_value(c, cdp_manifest_path(cdp_manifest_text(map, name[i], "@"), true), record, &v))
			continue;
		kept++;
		cdp_request_push(&state, name[i], &v);
	}
	all = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return kept == 0 ? NULL : all;
}

/* A text as a datum, or NULL. */
static Datum
text_datum(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* JSON as a datum, or NULL. */
static Datum
jsonb_datum(const Jsonb *doc, bool *isnull)
{
	*isnull = doc == NULL;
	return JsonbPGetDatum(doc);
}

/* Opens the manifest, stream, record and state of a call. */
static RecordContext *
open_call(FunctionCallInfo fcinfo, JsonbValue *record)
{
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(3));

	cdp_manifest_root_value(PG_GETARG_JSONB_P(2), record);
	InitMaterializedSRF(fcinfo, 0);
	return cdp_record_context(m, NULL);
}

/* Adds the row of one touchpoint of a record; none where its conditions do not hold. */
static void
add_touchpoint(const RecordContext *c, const JsonbContainer *declared, int n, const JsonbValue *record, ReturnSetInfo *rsinfo)
{
	const JsonbContainer *key = cdp_rule_array(cdp_manifest_get(declared, "key"));
	JsonbValue *value = cdp_manifest_get(declared, "value");
	TimestampTz at = 0;
	Numeric		amount;
	bool		bad = false;
	Jsonb	   *identifiers;
	const char *kind;
	Datum		values[11];
	bool		nulls[11] = {false};

	if (!cdp_record_fits(c, declared, "when", record, false))
		return;
	identifiers = map_texts(c, cdp_manifest_object(declared, "identifiers"), false, record);
	kind = declared_text(c, declared, "kind", true, record);
	values[0] = Int32GetDatum(n);
	values[1] = text_datum(key == NULL ? NULL : cdp_record_key(c, key, record), &nulls[1]);
	values[2] = text_datum(kind, &nulls[2]);
	nulls[3] = !cdp_record_moment(c, cdp_record_time_field(cdp_manifest_get(declared, "occurred_at"), TIME_EPOCH), record, &at);
	values[3] = TimestampTzGetDatum(at);
	values[4] = jsonb_datum(identifiers, &nulls[4]);
	values[5] = jsonb_datum(map_texts(c, cdp_manifest_object(declared, "origin"), true, record), &nulls[5]);
	nulls[6] = value == NULL || !field_number(c, cdp_record_field(value, false), record, &amount, &bad);
	values[6] = nulls[6] ? (Datum) 0 : NumericGetDatum(amount);
	values[7] = text_datum(nulls[6] ? NULL : declared_text(c, declared, "currency", true, record), &nulls[7]);
	values[8] = jsonb_datum(map_values(c, cdp_manifest_object(declared, "properties"), record), &nulls[8]);
	values[9] = text_datum(declared_text(c, declared, "refers_to", false, record), &nulls[9]);
	values[10] = text_datum(kind == NULL ? "no_kind" : nulls[3] ? "no_time" : identifiers == NULL ? "no_identifier" : bad ? "bad_value"
							: key != NULL && nulls[1] ? "no_key" : NULL, &nulls[10]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* One row for each touchpoint of a record, as cdp_internal.connector_touchpoints tells. */
Datum
cdp_connector_touchpoints(PG_FUNCTION_ARGS)
{
	JsonbValue	record;
	RecordContext *c = open_call(fcinfo, &record);
	JsonbValue *declared = cdp_manifest_get(c->m->stream, "touchpoint");
	const JsonbContainer *list = declared == NULL ? NULL : cdp_rule_array(declared);

	for (int i = 0; declared != NULL && i < (list == NULL ? 1 : JsonContainerSize(list)); i++)
		add_touchpoint(c, cdp_rule_object(list == NULL ? declared : cdp_rule_item(list, i)), i + 1, &record, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

/* One row for each metric of a record, as cdp_internal.connector_metrics tells. */
Datum
cdp_connector_metrics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	JsonbValue	record;
	RecordContext *c = open_call(fcinfo, &record);
	const JsonbContainer *metrics = cdp_manifest_object(c->m->stream, "metrics");
	Jsonb	   *dimensions = map_texts(c, cdp_manifest_object(c->m->stream, "dimensions"), false, &record);
	const char **name = NULL;
	int			n = 0;

	if (metrics != NULL)
		name = cdp_rule_keys(metrics, &n);
	for (int i = 0; i < n; i++)
	{
		const JsonbContainer *declared = cdp_manifest_object(metrics, name[i]);
		const char *weight = cdp_manifest_text(declared, "weight", NULL);
		JsonbValue *scale = cdp_manifest_get(declared, "scale");
		RecordField f = {.path = cdp_manifest_path(cdp_manifest_text(declared, "path", name[i]), true), .scale = scale == NULL ? NULL : scale->val.numeric};
		Numeric		number;
		bool		bad,
					bad_weight = false;
		Datum		values[8];
		bool		nulls[8] = {false};

		nulls[3] = !field_number(c, &f, &record, &number, &bad);
		if (nulls[3] && !bad)
			continue;
		values[0] = CStringGetTextDatum(name[i]);
		values[1] = text_datum(cdp_manifest_text(declared, "as", NULL), &nulls[1]);
		values[2] = CStringGetTextDatum(declared == NULL ? cdp_manifest_text(metrics, name[i], "sum") : cdp_manifest_text(declared, "kind", "sum"));
		values[3] = nulls[3] ? (Datum) 0 : NumericGetDatum(number);
		nulls[4] = true;
		if (weight != NULL)
		{
			RecordField by = {.path = cdp_manifest_path(weight, true)};

			nulls[4] = !field_number(c, &by, &record, &number, &bad_weight);
			values[4] = nulls[4] ? (Datum) 0 : NumericGetDatum(number);
		}
		values[5] = text_datum(declared_text(c, declared, "currency", true, &record), &nulls[5]);
		values[6] = jsonb_datum(dimensions, &nulls[6]);
		values[7] = text_datum(bad ? "not_a_number" : bad_weight ? "weight_not_a_number" : NULL, &nulls[7]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The row of the content of a record, as cdp_internal.connector_content tells. */
Datum
cdp_connector_content(PG_FUNCTION_ARGS)
{
	static const char *const fields[] = {"id", "parent", "author", "title", "text", "url"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	JsonbValue	record;
	RecordContext *c = open_call(fcinfo, &record);
	const JsonbContainer *declared = cdp_manifest_object(c->m->stream, "content");
	JsonbValue *created = cdp_manifest_get(declared, "created_at");
	TimestampTz at = 0;
	Datum		values[9];
	bool		nulls[9] = {false};

	if (declared == NULL || !cdp_record_fits(c, declared, "when", &record, false))
		return (Datum) 0;
	values[0] = text_datum(cdp_manifest_text(declared, "kind", NULL), &nulls[0]);
	for (int i = 0; i < lengthof(fields); i++)
		values[i + 1] = text_datum(declared_text(c, declared, fields[i], false, &record), &nulls[i + 1]);
	nulls[7] = created == NULL || !cdp_record_moment(c, cdp_record_time_field(created, TIME_EPOCH), &record, &at);
	values[7] = TimestampTzGetDatum(at);
	values[8] = text_datum(nulls[1] ? "no_id" : NULL, &nulls[8]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

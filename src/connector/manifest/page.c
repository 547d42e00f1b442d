/*
 * page.c
 *		The records of a page, and what comes after it.
 */
#include "connector/manifest/record.h"
#include "connector/manifest/scrub.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "segment/rule/rule.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"

CDP_FUNCTION(cdp_connector_page);
CDP_FUNCTION(cdp_connector_zeros);
CDP_FUNCTION(cdp_record_is_zero);

/* A record in which the texts that hold JSON are that JSON; a text that holds none stays as it is. */
static Jsonb *
unpack(const RecordContext *c, const JsonbValue *record)
{
	const JsonbContainer *list = cdp_rule_array(cdp_manifest_get(c->m->stream, "unpack"));
	Jsonb	   *doc = cdp_record_jsonb(record);

	for (int i = 0; list != NULL && i < JsonContainerSize(list); i++)
	{
		ManifestPath *path = cdp_manifest_path(cdp_rule_string(cdp_rule_item(list, i)), true);
		Datum		step[PATH_MAX_STEPS];
		JsonbValue	root,
					v;
		int64		scrubbed = 0;
		const char *problem;
		Jsonb	   *inner;

		cdp_manifest_root_value(doc, &root);
		if (!cdp_manifest_path_first(path, &root, &v) || v.type != jbvString)
			continue;
		inner = cdp_scrub_jsonb(v.val.string.val, v.val.string.len, &scrubbed, &problem);
		if (inner == NULL)
			continue;
		for (int k = 0; k < path->n; k++)
			step[k] = CStringGetTextDatum(path->step[k].name != NULL ? path->step[k].name : psprintf("%d", path->step[k].index));
		doc = DatumGetJsonbP(DirectFunctionCall4(jsonb_set, JsonbPGetDatum(doc),
												 PointerGetDatum(construct_array(step, path->n, TEXTOID, -1, false, TYPALIGN_INT)),
												 JsonbPGetDatum(inner), BoolGetDatum(false)));
	}
	return doc;
}

/* One row for each record of a page, as cdp_internal.connector_page tells. */
Datum
cdp_connector_page(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(3));
	RecordContext *c = cdp_record_context(m, PG_GETARG_JSONB_P(2));
	const JsonbContainer *key = cdp_rule_array(cdp_manifest_get(m->stream, "key"));
	JsonbValue *dated = cdp_manifest_get(m->stream, "ref_date");
	RecordField *day_field = dated == NULL ? NULL : cdp_record_time_field(dated, TIME_DATE);
	ManifestRecords all = {0};
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "records of a page", ALLOCSET_DEFAULT_SIZES);

	cdp_record_list(c, &c->page, &all);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < all.n; i++)
	{
		MemoryContext before = MemoryContextSwitchTo(each);
		Jsonb	   *payload;
		JsonbValue	record;
		const char *problem = NULL;
		char	   *record_key;
		int			day;
		Datum		values[5];
		bool		nulls[5] = {false};

		CHECK_FOR_INTERRUPTS();
		payload = unpack(c, &all.value[i]);
		cdp_manifest_root_value(payload, &record);
		if (!cdp_record_fits(c, m->stream, "skip", &record, true))
		{
			record_key = cdp_record_key(c, key, &record);
			if (record_key == NULL)
				problem = "no_key";
			values[0] = Int32GetDatum(i + 1);
			nulls[1] = record_key == NULL;
			values[1] = record_key == NULL ? (Datum) 0 : CStringGetTextDatum(record_key);
			nulls[2] = day_field == NULL || !cdp_record_day(c, day_field, &record, &day);
			values[2] = nulls[2] ? (Datum) 0 : DateADTGetDatum(day);
			if (nulls[2] && day_field != NULL && problem == NULL)
				problem = "no_ref_date";
			values[3] = JsonbPGetDatum(payload);
			nulls[4] = problem == NULL;
			values[4] = problem == NULL ? (Datum) 0 : CStringGetTextDatum(problem);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
		MemoryContextSwitchTo(before);
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);
	return (Datum) 0;
}

/* Whether a value counts as nothing: absent, null, 0, "0", an empty text or a dash. */
static bool
nothing(const JsonbValue *v)
{
	const char *text = v->type == jbvBinary ? "x" : cdp_manifest_scalar_text(v);

	return text == NULL || *text == '\0' || strcmp(text, "-") == 0 || strspn(text, "0.") == strlen(text);
}

/* Whether the values of a record at these paths are all nothing, as cdp_internal.record_is_zero tells. */
Datum
cdp_record_is_zero(PG_FUNCTION_ARGS)
{
	Jsonb	   *payload = PG_GETARG_JSONB_P(0);
	JsonbValue	record,
				v;
	Datum	   *path;
	bool	   *isnull;
	int			n;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &path, &isnull, &n);
	cdp_manifest_root_value(payload, &record);
	for (int i = 0; i < n; i++)
		if (!isnull[i] && cdp_manifest_path_first(cdp_manifest_path(TextDatumGetCString(path[i]), true), &record, &v) && !nothing(&v))
			PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(true);
}

/* A day of a page, and whether one of its metrics is something. */
typedef struct DaySeen
{
	int			day;
	bool		something;
} DaySeen;

/* Orders days, and on a day those with something before the others. */
static int
compare_days(const void *a, const void *b)
{
	const DaySeen *x = a,
			   *y = b;

	return x->day != y->day ? (x->day < y->day ? -1 : 1) : (int) y->something - (int) x->something;
}

/* One row for each day of a page on which every metric of every record is nothing, as cdp_internal.connector_zeros tells. */
Datum
cdp_connector_zeros(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(3));
	RecordContext *c = cdp_record_context(m, PG_GETARG_JSONB_P(2));
	const JsonbContainer *metrics = cdp_manifest_object(m->stream, "metrics");
	JsonbValue *dated = cdp_manifest_get(m->stream, "ref_date");
	RecordField *day_field = dated == NULL ? NULL : cdp_record_time_field(dated, TIME_DATE);
	ManifestRecords all = {0};
	ManifestPath **path;
	DaySeen    *seen;
	const char **name;
	int			n,
				days = 0;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (metrics == NULL || day_field == NULL || !cdp_manifest_true(cdp_manifest_object(m->stream, "not_ready"), "all_zero", false))
		return (Datum) 0;
	name = cdp_rule_keys(metrics, &n);
	path = palloc(sizeof(ManifestPath *) * Max(n, 1));
	for (int k = 0; k < n; k++)
		path[k] = cdp_manifest_path(cdp_manifest_text(cdp_manifest_object(metrics, name[k]), "path", name[k]), true);
	cdp_record_list(c, &c->page, &all);
	seen = palloc(sizeof(DaySeen) * Max(all.n, 1));
	for (int i = 0; i < all.n; i++)
	{
		DaySeen    *s = &seen[days];
		JsonbValue	v;

		CHECK_FOR_INTERRUPTS();
		if (!cdp_record_day(c, day_field, &all.value[i], &s->day))
			continue;
		days++;
		s->something = false;
		for (int k = 0; k < n && !s->something; k++)
			s->something = cdp_record_value(c, path[k], &all.value[i], &v) && !nothing(&v);
	}
	qsort(seen, days, sizeof(DaySeen), compare_days);
	for (int i = 0; i < days; i++)
	{
		Datum		value = DateADTGetDatum(seen[i].day);
		bool		isnull = false;

		if (!seen[i].something && (i == 0 || seen[i - 1].day != seen[i].day))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

/*
 * manifest_calls.c
 *		What is wrong with a manifest, and bodies of answers, as SQL functions.
 */
#include "connector/manifest/manifest.h"
#include "connector/manifest/scrub.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "segment/rule/rule.h"

CDP_FUNCTION(cdp_connector_problems);
CDP_FUNCTION(cdp_decode_body);
CDP_FUNCTION(cdp_connector_decode);

/* One row for each problem of a manifest. */
Datum
cdp_connector_problems(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ManifestCheck c = {0};
	Jsonb	   *manifest = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);

	if (manifest == NULL || !JB_ROOT_IS_OBJECT(manifest))
		cdp_manifest_problem(&c, "", "wrong_type", "Write {\"connector\": \"name\", \"version\": 1, \"base_url\": \"https://...\", \"streams\": {...}}.", "a manifest must be an object");
	else if (VARSIZE(manifest) > MANIFEST_MAX_BYTES)
		cdp_manifest_problem(&c, "", "out_of_range", NULL, "the manifest has %d bytes; at most %d are read", (int) VARSIZE(manifest), MANIFEST_MAX_BYTES);
	else
		cdp_manifest_check(&c, &manifest->root);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < c.n; i++)
	{
		const ManifestProblem *p = &c.problem[i];
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(p->path);
		values[1] = CStringGetTextDatum(p->code);
		values[2] = CStringGetTextDatum(i == MANIFEST_MAX_PROBLEMS - 1 && c.left_out > 0 ? psprintf("%s; and %d more problems", p->text, c.left_out) : p->text);
		nulls[3] = p->hint == NULL;
		values[3] = p->hint == NULL ? (Datum) 0 : CStringGetTextDatum(p->hint);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The row (doc, scrubbed, problem) of a body that was read. */
static Datum
decoded(FunctionCallInfo fcinfo, const Jsonb *doc, int64 scrubbed, const char *problem)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	nulls[0] = doc == NULL;
	values[0] = JsonbPGetDatum(doc);
	values[1] = Int64GetDatum(scrubbed);
	nulls[2] = problem == NULL;
	values[2] = problem == NULL ? (Datum) 0 : CStringGetTextDatum(problem);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* A body that should be JSON. */
Datum
cdp_decode_body(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(0);
	int64		scrubbed = 0;
	const char *problem;
	Jsonb	   *doc = cdp_scrub_jsonb(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), &scrubbed, &problem);

	PG_RETURN_DATUM(decoded(fcinfo, doc, scrubbed, problem));
}

/* How the CSV of a stream is written. */
static CsvForm
csv_form(const Manifest *m)
{
	const JsonbContainer *csv = cdp_manifest_object(m->stream, "csv");
	const JsonbContainer *columns = cdp_rule_array(cdp_manifest_get(csv, "columns"));
	CsvForm		form = {','};
	const char *delimiter = cdp_manifest_text(csv, "delimiter", ",");

	form.delimiter = delimiter[0];
	form.header = cdp_manifest_true(csv, "header", true);
	if (columns == NULL)
		return form;
	form.ncolumns = JsonContainerSize(columns);
	form.column = palloc(sizeof(char *) * form.ncolumns);
	for (int i = 0; i < form.ncolumns; i++)
	{
		char	   *name = cdp_rule_string(cdp_rule_item(columns, i));

		form.column[i] = pg_server_to_any(name, strlen(name), PG_UTF8);
	}
	return form;
}

/* A body in the form that its stream has. */
Datum
cdp_connector_decode(PG_FUNCTION_ARGS)
{
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), NULL);
	bytea	   *body = PG_GETARG_BYTEA_PP(2);
	const char *bytes = VARDATA_ANY(body);
	int64		len = VARSIZE_ANY_EXHDR(body);
	const char *response = cdp_manifest_text(m->stream, "response", "json");
	int64		scrubbed = 0;
	const char *problem;
	Jsonb	   *doc;

	if (strcmp(response, "csv") == 0)
	{
		CsvForm		form = csv_form(m);

		doc = cdp_scrub_csv(bytes, len, &form, &scrubbed, &problem);
	}
	else if (strcmp(response, "ndjson") == 0)
		doc = cdp_scrub_lines(bytes, len, &scrubbed, &problem);
	else
		doc = cdp_scrub_jsonb(bytes, len, &scrubbed, &problem);
	PG_RETURN_DATUM(decoded(fcinfo, doc, scrubbed, problem));
}

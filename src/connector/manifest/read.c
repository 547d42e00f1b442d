/*
 * read.c
 *		Values of a manifest that was found good, and of the pages that it is about.
 */
#include "connector/manifest/manifest.h"

#include "connector/manifest/scrub.h"
#include "segment/rule/rule.h"
#include "utils/fmgrprotos.h"

/* The manifest that a call site used last, checked: kept with it. */
typedef struct Checked
{
	Jsonb	   *manifest;
	Size		room;
} Checked;

/* The value of a key, or NULL when the object is none or lacks it. */
JsonbValue *
cdp_manifest_get(const JsonbContainer *object, const char *key)
{
	return object == NULL ? NULL : cdp_rule_get(object, key);
}

/* The object under a key, or NULL. */
const JsonbContainer *
cdp_manifest_object(const JsonbContainer *object, const char *key)
{
	return cdp_rule_object(cdp_manifest_get(object, key));
}

/* The text under a key, or the one given for none. */
const char *
cdp_manifest_text(const JsonbContainer *object, const char *key, const char *otherwise)
{
	const JsonbValue *v = cdp_manifest_get(object, key);

	return v != NULL && v->type == jbvString ? cdp_rule_string(v) : otherwise;
}

/* The whole number under a key, or the one given for none. */
int64
cdp_manifest_whole(const JsonbContainer *object, const char *key, int64 otherwise)
{
	const JsonbValue *v = cdp_manifest_get(object, key);
	int64		n;

	return v != NULL && cdp_rule_whole(v, &n) ? n : otherwise;
}

/* Whether true stands under a key; what is given for neither true nor false. */
bool
cdp_manifest_true(const JsonbContainer *object, const char *key, bool otherwise)
{
	const JsonbValue *v = cdp_manifest_get(object, key);

	return v != NULL && v->type == jbvBool ? v->val.boolean : otherwise;
}

/* The text of a scalar: a number with all its digits, true or false; NULL for null, an object or an array. */
const char *
cdp_manifest_scalar_text(const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			return cdp_rule_string(v);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		case jbvBool:
			return v->val.boolean ? "true" : "false";
		default:
			return NULL;
	}
}

/* Whether a value is the wanted one, or one of the wanted list: 0 and "0" are the same; a value that is absent (NULL) is null. */
bool
cdp_manifest_same(const JsonbValue *value, const JsonbValue *wanted)
{
	const JsonbContainer *list = cdp_rule_array(wanted);
	const char *a = value == NULL ? NULL : cdp_manifest_scalar_text(value);
	const char *b;

	if (list != NULL)
	{
		for (int i = 0; i < JsonContainerSize(list); i++)
			if (cdp_manifest_same(value, cdp_rule_item(list, i)))
				return true;
		return false;
	}
	if (wanted->type == jbvNull)
		return value == NULL || value->type == jbvNull;
	b = cdp_manifest_scalar_text(wanted);
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The value that a document is. */
void
cdp_manifest_root_value(const Jsonb *doc, JsonbValue *out)
{
	if (JB_ROOT_IS_SCALAR(doc))
	{
		JsonbExtractScalar((JsonbContainer *) &doc->root, out);
		return;
	}
	out->type = jbvBinary;
	out->val.binary.data = (JsonbContainer *) &doc->root;
	out->val.binary.len = VARSIZE(doc) - VARHDRSZ;
}

/* Ends the call unless the manifest is good; what was checked at this call site is not checked again. */
static void
require_good(FunctionCallInfo fcinfo, const Jsonb *manifest)
{
	Checked    *seen = fcinfo->flinfo->fn_extra;
	ManifestCheck c = {0};

	if (seen != NULL && VARSIZE(seen->manifest) == VARSIZE(manifest) && memcmp(seen->manifest, manifest, VARSIZE(manifest)) == 0)
		return;
	if (JB_ROOT_IS_OBJECT(manifest))
		cdp_manifest_check(&c, &manifest->root);
	else
		cdp_manifest_problem(&c, "", "wrong_type", NULL, "a manifest must be an object");
	if (c.n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the manifest of the connector is not valid"),
				 errdetail("%d problems; the first is at \"%s\": %s (%s).", c.n + c.left_out, c.problem[0].path, c.problem[0].text, c.problem[0].code),
				 errhint("cdp.connector_problems() tells them all.")));
	if (seen == NULL || seen->room < VARSIZE(manifest))
	{
		seen = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Checked));
		seen->room = VARSIZE(manifest);
		seen->manifest = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, seen->room);
	}
	memcpy(seen->manifest, manifest, VARSIZE(manifest));
	fcinfo->flinfo->fn_extra = seen;
}

/* Opens a manifest for one step of a pull; stream and state may be NULL.  Errors: 22023 for a bad manifest, an unknown stream. */
const Manifest *
cdp_manifest_open(FunctionCallInfo fcinfo, const Jsonb *manifest, const char *stream, const Jsonb *state)
{
	Manifest   *m = palloc0(sizeof(Manifest));

	cdp_scrub_require_utf8();
	require_good(fcinfo, manifest);
	m->root = &manifest->root;
	m->zone = cdp_rule_zone(cdp_manifest_text(m->root, "tz", "UTC"));
	if (m->zone == NULL)
		elog(ERROR, "a checked time zone is none");
	if (stream != NULL)
	{
		const JsonbContainer *streams = cdp_manifest_object(m->root, "streams");

		m->stream_name = stream;
		m->stream = cdp_manifest_object(streams, stream);
		if (m->stream == NULL)
		{
			int			n;
			const char **names = cdp_rule_keys(streams, &n);
			const char *near = cdp_rule_near(stream, names, n);

			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the connector has no stream %s", cdp_rule_quote(stream)),
					 errdetail("It has %d streams.", n),
					 near == NULL ? 0 : errhint("%s", near)));
		}
	}
	if (state != NULL)
	{
		if (!JB_ROOT_IS_OBJECT(state))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the state of a stream must be an object"),
					 errhint("Give {\"config\": {...}, \"partition\": ..., \"window\": {\"from\": \"2026-03-01\", \"to\": \"2026-03-07\"}, \"cursor\": ...}.")));
		m->state = &state->root;
	}
	return m;
}

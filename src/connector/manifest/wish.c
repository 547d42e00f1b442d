/*
 * wish.c
 *		What a message that a platform pushed says has changed: which streams shall
 *		be asked again, as the manifest's callback says.
 */
#include "connector/manifest/record.h"

#include "funcapi.h"
#include "segment/rule/rule.h"

CDP_FUNCTION(cdp_connector_wishes);

/* One row for each rule of callback.events that a message fits, as cdp_internal.connector_wishes tells. */
Datum
cdp_connector_wishes(PG_FUNCTION_ARGS)
{
	const Manifest *m = cdp_manifest_open(fcinfo, PG_GETARG_JSONB_P(0), NULL, NULL);
	RecordContext *c = cdp_record_context(m, NULL);
	const JsonbContainer *events = cdp_rule_array(cdp_manifest_get(cdp_manifest_object(m->root, "callback"), "events"));
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	JsonbValue	message;

	cdp_manifest_root_value(PG_GETARG_JSONB_P(1), &message);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; events != NULL && i < JsonContainerSize(events); i++)
	{
		const JsonbContainer *rule = cdp_rule_object(cdp_rule_item(events, i));
		const char *path = cdp_manifest_text(rule, "part", NULL);
		const char *part = NULL;
		JsonbValue	v;
		Datum		values[2];
		bool		nulls[2] = {false};

		if (!cdp_record_fits(c, rule, "when", &message, false))
			continue;
		if (path != NULL)
		{
			part = cdp_record_value(c, cdp_manifest_path(path, true), &message, &v) && v.type != jbvBinary ? cdp_manifest_scalar_text(&v) : NULL;
			if (part == NULL || *part == '\0' || strlen(part) > KEY_MAX_BYTES)
				continue;
		}
		values[0] = CStringGetTextDatum(cdp_manifest_text(rule, "stream", ""));
		nulls[1] = part == NULL;
		values[1] = part == NULL ? (Datum) 0 : CStringGetTextDatum(part);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

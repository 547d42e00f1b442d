/*
 * rulesql.c
 *		Rules of segments as SQL functions: their messages, canonical form, and
 *		what they name.
 */
#include "segment/rule/canonical.h"

#include "funcapi.h"

CDP_FUNCTION(cdp_rule_check);
CDP_FUNCTION(cdp_rule_canonical);
CDP_FUNCTION(cdp_rule_uses);

/* The catalogue of an argument: its object, or NULL; an error when it is no object. */
static const JsonbContainer *
catalog_argument(FunctionCallInfo fcinfo, int arg)
{
	Jsonb	   *catalog;

	if (PG_ARGISNULL(arg))
		return NULL;
	catalog = PG_GETARG_JSONB_P(arg);
	if (!JB_ROOT_IS_OBJECT(catalog))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the catalogue of rules must be an object"),
				 errhint("Take the catalogue from cdp_internal.segment_catalog().")));
	return &catalog->root;
}

/* Text as a datum, or NULL. */
static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* One row for each message about a rule, as cdp_internal.rule_check tells. */
Datum
cdp_rule_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RuleReader	r;

	cdp_rule_reader_init(&r, catalog_argument(fcinfo, 1));
	if (PG_ARGISNULL(0))
		cdp_rule_error(&r, "", "E_TYPE", "Write {\"v\": 1, \"where\": {...}}.", "a rule must be an object");
	else
		cdp_rule_read(&r, PG_GETARG_JSONB_P(0));
	if (r.errors == 0)
		cdp_rule_warnings(&r);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < r.n; i++)
	{
		const RuleMessage *m = &r.message[i];
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = CStringGetTextDatum(m->path);
		values[1] = CStringGetTextDatum(m->code);
		values[2] = CStringGetTextDatum(m->warning ? "warning" : "error");
		values[3] = CStringGetTextDatum(i == RULE_MAX_MESSAGES - 1 && r.left_out > 0
										? psprintf("%s; and %d more messages", m->text, r.left_out) : m->text);
		values[4] = text_or_null(m->hint, &nulls[4]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Ends the call with the first error that the reader collected. */
void
cdp_rule_throw(const RuleReader *r, const char *segment)
{
	for (int i = 0; i < r->n; i++)
	{
		const RuleMessage *m = &r->message[i];

		if (m->warning)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", m->text),
				 segment == NULL ? errdetail("%s at \"%s\"; %d errors in all.", m->code, m->path, r->errors)
				 : errdetail("%s at \"%s\" of segment %s; %d errors in all.", m->code, m->path, cdp_rule_quote(segment), r->errors),
				 m->hint == NULL ? errhint("cdp.segment_check() tells all errors of a rule.") : errhint("%s", m->hint)));
	}
}

/* The canonical form of a rule. */
Datum
cdp_rule_canonical(PG_FUNCTION_ARGS)
{
	RuleReader	r;
	Rule	   *rule;

	cdp_rule_reader_init(&r, NULL);
	rule = cdp_rule_read(&r, PG_GETARG_JSONB_P(0));
	cdp_rule_throw(&r, NULL);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(cdp_rule_text(rule))));
}

/* One row for each thing that a rule names, in order of first use. */
Datum
cdp_rule_uses(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RuleReader	r;

	cdp_rule_reader_init(&r, NULL);
	cdp_rule_read(&r, PG_GETARG_JSONB_P(0));
	cdp_rule_throw(&r, NULL);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < r.uses.n; i++)
	{
		const char *use = r.uses.text[i];
		const char *blank = strchr(use, ' ');
		Datum		values[2];
		bool		nulls[2] = {false};

		values[0] = PointerGetDatum(cstring_to_text_with_len(use, blank - use));
		values[1] = CStringGetTextDatum(blank + 1);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

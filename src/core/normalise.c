/*
 * normalise.c
 *		Identifiers in one form: the functions that SQL calls, and the list of
 *		normalisers.
 */
#include "core/normalise.h"

CDP_FUNCTION(cdp_normalise_identifier);
CDP_FUNCTION(cdp_read_identifier);
CDP_FUNCTION(cdp_refused_identifier);
CDP_FUNCTION(cdp_phone_region);

/* The names of cdp.normaliser_builtin(). */
static const struct
{
	const char *name;
	CdpNormaliser run;
}			normalisers[] = {
	{"trim", cdp_form_trim},
	{"lower", cdp_form_lower},
	{"email", cdp_form_email},
	{"email_gmail", cdp_form_email_gmail},
	{"phone", cdp_form_phone},
	{"openid", cdp_form_openid},
	{"unionid", cdp_form_openid},
	{"external_userid", cdp_form_openid},
	{"device", cdp_form_device},
	{"cookie", cdp_form_cookie},
	{"hash", cdp_form_hash},
	{"digits", cdp_form_digits},
	{"uuid", cdp_form_uuid}
};

/* The codes of cdp_internal.identifier_reasons(), in the order of CdpRefusal. */
static const char *const refusal_code[] = {
	NULL, "empty", "too_long", "bad_character", "blocked", "pattern", "bad_email", "mixed_script", "bad_phone",
	"phone_region", "phone_extension", "bad_openid", "bad_device", "bad_cookie", "bad_hash", "bad_digits", "bad_uuid"
};

StaticAssertDecl(lengthof(refusal_code) == CDP_FORM_BAD_UUID + 1, "each refusal needs a code");

/* The normaliser of that name; NULL when there is none. */
CdpNormaliser
cdp_normaliser(const char *name, int len)
{
	for (int i = 0; i < lengthof(normalisers); i++)
	{
		if (strlen(normalisers[i].name) == len && memcmp(normalisers[i].name, name, len) == 0)
			return normalisers[i].run;
	}
	return NULL;
}

/* The code of a reason, as cdp_internal.identifier_reasons() has it; NULL for none. */
const char *
cdp_refusal_code(CdpRefusal refusal)
{
	return refusal_code[refusal];
}

/* normalise_identifier(value, normaliser, region): the one form, NULL when the value is no identifier of that kind. */
Datum
cdp_normalise_identifier(PG_FUNCTION_ARGS)
{
	CdpRegion	region = {NULL};
	CdpNormaliser run;
	CdpForm		form;
	text	   *value,
			   *name;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	name = PG_GETARG_TEXT_PP(1);
	run = cdp_normaliser(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	if (run == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown normaliser"),
				 errhint("Take one of: SELECT name FROM cdp.normaliser_builtin();")));
	if (!PG_ARGISNULL(2))
	{
		text	   *code = PG_GETARG_TEXT_PP(2);

		region.plan = cdp_phone_plan(VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));
	}
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	if (cdp_form_clean(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &form) != CDP_FORM_GOOD ||
		run(&form, &region) != CDP_FORM_GOOD || form.len > CDP_FORM_MAX)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(form.text, form.len));
}

/* Reads the arguments value, type_id, own rules, built-in rules into the form. */
static CdpRefusal
apply_arguments(FunctionCallInfo fcinfo, CdpForm *form)
{
	CdpRules   *rules = cdp_rules_for(fcinfo, 2, 3);
	text	   *value;

	if (PG_ARGISNULL(0))
		return CDP_FORM_EMPTY;
	value = PG_GETARG_TEXT_PP(0);
	return cdp_rules_apply(rules, PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1), VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), form);
}

/* read_identifier(value, type_id, own, builtin): the form in which it is stored, NULL when it is refused. */
Datum
cdp_read_identifier(PG_FUNCTION_ARGS)
{
	CdpForm		form;

	if (apply_arguments(fcinfo, &form) != CDP_FORM_GOOD)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(form.text, form.len));
}

/* refused_identifier(value, type_id, own, builtin): the code of the reason, NULL when it is not refused. */
Datum
cdp_refused_identifier(PG_FUNCTION_ARGS)
{
	CdpForm		form;
	CdpRefusal	r = apply_arguments(fcinfo, &form);

	if (r == CDP_FORM_GOOD)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(refusal_code[r]));
}

/* phone_region_known(code): whether there are phone numbers of that country. */
Datum
cdp_phone_region(PG_FUNCTION_ARGS)
{
	text	   *code = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(cdp_phone_plan(VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code)) != NULL);
}

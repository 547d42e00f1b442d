/*
 * plan_read.c
 *		Reads members of the jsonb of a plan, trusting none of them: anybody may
 *		call a pass.
 */
#include "segment/pass/compare.h"

/* Raises the error for a plan that does not have the form of one. */
void
cdp_plan_bad(const char *where, int index, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid plan of segments"),
			 index < 0 ? errdetail("%s: %s.", where, what) : errdetail("%s[%d]: %s.", where, index, what),
			 errhint("Plans are made by cdp_internal.rule_plan().")));
}

/* A member that is there and not null; what it points to is the plan's. */
bool
cdp_plan_get(const JsonbContainer *object, const char *key, JsonbValue *v)
{
	return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, object), key, strlen(key), v) != NULL &&
		v->type != jbvNull;
}

/* A whole number of 64 bits. */
int64
cdp_plan_int_of(const JsonbValue *v, const char *where, int index, const char *key)
{
	char	   *text;
	char	   *end;
	int64		value;

	if (v->type != jbvNumeric)
		cdp_plan_bad(where, index, psprintf("\"%s\" is no number", key));
	text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text)
		cdp_plan_bad(where, index, psprintf("\"%s\" is no whole number of 64 bits", key));
	pfree(text);
	return value;
}

/* A whole number, if there is one. */
bool
cdp_plan_int(const JsonbContainer *object, const char *key, const char *where, int index, int64 *value)
{
	JsonbValue	v;

	if (!cdp_plan_get(object, key, &v))
		return false;
	*value = cdp_plan_int_of(&v, where, index, key);
	return true;
}

/* A list, NULL when there is none. */
const JsonbContainer *
cdp_plan_array(const JsonbContainer *object, const char *key, const char *where, int index, int *n)
{
	JsonbValue	v;

	*n = 0;
	if (!cdp_plan_get(object, key, &v))
		return NULL;
	if (v.type != jbvBinary || !JsonContainerIsArray(v.val.binary.data) || JsonContainerIsScalar(v.val.binary.data))
		cdp_plan_bad(where, index, psprintf("\"%s\" is no list", key));
	*n = JsonContainerSize(v.val.binary.data);
	return v.val.binary.data;
}

/* Entry i of a list of objects. */
const JsonbContainer *
cdp_plan_element(const JsonbContainer *array, int i, const char *where, int index)
{
	JsonbValue *v = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, array), i);
	const JsonbContainer *object;

	if (v == NULL || v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		cdp_plan_bad(where, index, "an entry is no object");
	object = v->val.binary.data;
	pfree(v);
	return object;
}

/* A text, NULL when there is none; palloc'd. */
char *
cdp_plan_text(const JsonbContainer *object, const char *key, const char *where, int index)
{
	JsonbValue	v;

	if (!cdp_plan_get(object, key, &v))
		return NULL;
	if (v.type != jbvString)
		cdp_plan_bad(where, index, psprintf("\"%s\" is no text", key));
	return pnstrdup(v.val.string.val, v.val.string.len);
}

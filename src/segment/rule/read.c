/*
 * read.c
 *		Values out of the JSONB of a rule: typed access without recursion.
 */
#include "segment/rule/rule.h"

#include "utils/fmgrprotos.h"

/* The value of a key, palloc'd, or NULL when the object lacks it. */
JsonbValue *
cdp_rule_get(const JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer((JsonbContainer *) object, key, strlen(key), NULL);
}

/* The i-th item, from 0, of an array, palloc'd, or NULL. */
JsonbValue *
cdp_rule_item(const JsonbContainer *array, int i)
{
	return getIthJsonbValueFromContainer((JsonbContainer *) array, i);
}

/* The object that a value is, or NULL. */
const JsonbContainer *
cdp_rule_object(const JsonbValue *v)
{
	return v != NULL && v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data) ? v->val.binary.data : NULL;
}

/* The array that a value is, or NULL. */
const JsonbContainer *
cdp_rule_array(const JsonbValue *v)
{
	return v != NULL && v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data) ? v->val.binary.data : NULL;
}

/* What a value is, in the words of a message. */
const char *
cdp_rule_json_type(const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "text";
		case jbvNumeric:
			return "a number";
		case jbvBool:
			return "true or false";
		default:
			return cdp_rule_object(v) != NULL ? "an object" : "an array";
	}
}

/* The text of a string value, palloc'd. */
char *
cdp_rule_string(const JsonbValue *v)
{
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* Reads a whole number within the range of bigint; false when the value is none. */
bool
cdp_rule_whole(const JsonbValue *v, int64 *out)
{
	char	   *text,
			   *end;

	if (v->type != jbvNumeric || numeric_is_nan(v->val.numeric) || VARSIZE(v->val.numeric) > 64)
		return false;
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(v->val.numeric))));
	if (strlen(text) > 18)
		return false;
	*out = strtoll(text, &end, 10);
	return *end == '\0';
}

/* The keys of an object, palloc'd, in the order of JSONB. */
const char **
cdp_rule_keys(const JsonbContainer *object, int *n)
{
	const char **names = palloc(sizeof(char *) * Max(JsonContainerSize(object), 1));
	JsonbIterator *it = JsonbIteratorInit((JsonbContainer *) object);
	JsonbValue	v;
	JsonbIteratorToken token;

	*n = 0;
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_KEY)
			names[(*n)++] = cdp_rule_string(&v);
	return names;
}

/* Reads a name: text that is not empty and not too long; NULL after an error. */
const char *
cdp_rule_read_name(RuleReader *r, const JsonbValue *v, const char *path, const char *what)
{
	if (v->type != jbvString)
		cdp_rule_error(r, path, "E_TYPE", NULL, "the name of %s must be text, not %s", what, cdp_rule_json_type(v));
	else if (v->val.string.len == 0)
		cdp_rule_error(r, path, "E_SYNTAX", NULL, "the name of %s is empty", what);
	else if (v->val.string.len > RULE_MAX_TEXT)
		cdp_rule_error(r, path, "E_SIZE", NULL, "the name of %s has %d bytes; at most %d are read", what, v->val.string.len, RULE_MAX_TEXT);
	else
		return cdp_rule_string(v);
	return NULL;
}

/* Notes each key of an object that is not among the known ones. */
void
cdp_rule_known_keys(RuleReader *r, const JsonbContainer *object, const char *path, const char *const *known, int n)
{
	int			nkeys;
	const char **key = cdp_rule_keys(object, &nkeys);

	for (int i = 0; i < nkeys; i++)
	{
		bool		found = false;

		for (int k = 0; k < n && !found; k++)
			found = strcmp(key[i], known[k]) == 0;
		if (!found)
			cdp_rule_error(r, cdp_rule_at(path, key[i]), "E_UNKNOWN_KEY", cdp_rule_near(key[i], known, n),
						   "%s means nothing here", cdp_rule_quote(key[i]));
	}
}

/* Counts a node, and tells whether it may be read: nothing below the deepest level or beyond the last node is. */
bool
cdp_rule_enter(RuleReader *r, const char *path, int depth)
{
	CHECK_FOR_INTERRUPTS();
	if (depth > RULE_MAX_DEPTH)
	{
		cdp_rule_error(r, path, "E_DEPTH", "Save an inner part as a segment of its own and name that here.",
					   "conditions are nested more than %d deep", RULE_MAX_DEPTH);
		return false;
	}
	if (++r->nodes > RULE_MAX_NODES)
	{
		if (!r->oversize)
			cdp_rule_error(r, path, "E_SIZE", "Use one \"in\" for many values, upload a list, or save parts as segments.",
						   "the rule has more than %d conditions", RULE_MAX_NODES);
		r->oversize = true;
		return false;
	}
	return true;
}

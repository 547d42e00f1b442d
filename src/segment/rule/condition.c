/*
 * condition.c
 *		Conditions on one event: its properties and fields, and all, any, not of
 *		them.
 */
#include "segment/rule/rule.h"

static const char *const cond_forms[] = {"all", "any", "not", "prop", "field"};

#define PROP_OPS (RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_TEXT_OPS | RULE_HAS_OPS | RULE_BIT(RULE_EXISTS))

/* Notes an error when one of the kinds may not use a property, or is known to lack it. */
void
cdp_rule_check_prop(RuleReader *r, const char *path, const char *prop, const RuleEvents *events)
{
	cdp_rule_use(r, "property", prop);
	for (int i = 0; r->catalog != NULL && i < events->n; i++)
	{
		const JsonbContainer *kinds = cdp_rule_object(cdp_rule_get(r->catalog, "kinds"));
		const JsonbContainer *kind = kinds == NULL ? NULL : cdp_rule_object(cdp_rule_get(kinds, events->name[i]));
		const JsonbContainer *props = kind == NULL ? NULL : cdp_rule_object(cdp_rule_get(kind, "properties"));
		const JsonbContainer *entry = props == NULL ? NULL : cdp_rule_object(cdp_rule_get(props, prop));
		JsonbValue *closed = kind == NULL ? NULL : cdp_rule_get(kind, "closed");

		cdp_rule_allowed(r, entry, path, "property", prop);
		if (entry != NULL || props == NULL || closed == NULL || closed->type != jbvBool || !closed->val.boolean)
			continue;
		cdp_rule_error(r, path, "E_UNKNOWN_PROPERTY", cdp_rule_near_key(r, props, prop),
					   "events of the kind %s have no property %s", cdp_rule_quote(events->name[i]), cdp_rule_quote(prop));
	}
}

/* Notes an error for each constant that names no channel, group, campaign or source. */
static void
check_field_names(RuleReader *r, RuleCond *cond)
{
	static const char *const sections[] = {"channels", "channel_groups", "campaigns", "sources"};
	static const char *const codes[] = {"E_UNKNOWN_CHANNEL", "E_UNKNOWN_CHANNEL", "E_UNKNOWN_CAMPAIGN", "E_UNKNOWN_SOURCE"};
	static const char *const what[] = {"channel", "channel group", "campaign", "source"};
	const JsonbContainer *section;
	uint32		named = RULE_BIT(RULE_EQ) | RULE_BIT(RULE_NEQ) | RULE_IN_OPS;

	if (!(named & RULE_BIT(cond->test.op)))
		return;
	for (int i = 0; i < cond->test.n; i++)
		cdp_rule_use(r, cdp_rule_field_name(cond->field), cond->test.value[i].text);
	if (r->catalog == NULL)
		return;
	section = cdp_rule_object(cdp_rule_get(r->catalog, sections[cond->field]));
	for (int i = 0; i < cond->test.n; i++)
	{
		if (section != NULL && cdp_rule_get(section, cond->test.value[i].text) != NULL)
			continue;
		cdp_rule_error(r, cdp_rule_value_path(&cond->test, i), codes[cond->field],
					   cdp_rule_near_key(r, section, cond->test.value[i].text),
					   "%s %s is not known", what[cond->field], cdp_rule_quote(cond->test.value[i].text));
	}
}

/* Reads {"field": ..., comparison}; false after an error. */
static bool
read_field(RuleReader *r, const JsonbContainer *object, RuleCond *cond)
{
	const char *path = cdp_rule_at(cond->path, "field");
	const char *name = cdp_rule_read_name(r, cdp_rule_get(object, "field"), path, "a field");
	const char *known[RULE_FIELD_VALUE + 1];
	const char *of;

	if (name == NULL)
		return false;
	for (int f = 0; f <= RULE_FIELD_VALUE; f++)
	{
		known[f] = cdp_rule_field_name(f);
		if (strcmp(name, known[f]) != 0)
			continue;
		cond->field = f;
		of = psprintf("field \"%s\"", known[f]);
		if (!cdp_rule_read_test(r, object, cond->path, PROP_OPS, of, &cond->test))
			return false;
		if (f == RULE_FIELD_VALUE)
			return cdp_rule_fit_number(r, &cond->test, of);
		if (!cdp_rule_fit_text(r, &cond->test, of))
			return false;
		check_field_names(r, cond);
		return true;
	}
	cdp_rule_error(r, path, "E_UNKNOWN_KEY", cdp_rule_near(name, known, lengthof(known)), "events have no field %s", cdp_rule_quote(name));
	return false;
}

/* Do the constants of a comparison of a property fit it?  Its type is not declared, so the comparison decides. */
static bool
fit_prop(RuleReader *r, RuleTest *test, const char *of)
{
	if (RULE_BIT(test->op) & RULE_TEXT_OPS)
		return cdp_rule_fit_text(r, test, of);
	if (test->n > 0 && test->value[0].type == RULE_BOOLEAN &&
		(RULE_BIT(test->op) & (RULE_BETWEEN_OPS | (RULE_ORDER_OPS & ~RULE_BIT(RULE_EQ) & ~RULE_BIT(RULE_NEQ)))))
	{
		cdp_rule_error(r, test->path, "E_TYPE", "Use eq.", "%s: true and false have no order", of);
		return false;
	}
	return true;
}

/* Reads {"prop": ..., comparison}; false after an error. */
static bool
read_prop(RuleReader *r, const JsonbContainer *object, RuleCond *cond, const RuleEvents *events)
{
	const char *path = cdp_rule_at(cond->path, "prop");
	const char *of;

	cond->prop = cdp_rule_read_name(r, cdp_rule_get(object, "prop"), path, "a property");
	if (cond->prop == NULL)
		return false;
	cdp_rule_check_prop(r, path, cond->prop, events);
	of = psprintf("property %s", cdp_rule_quote(cond->prop));
	return cdp_rule_read_test(r, object, cond->path, PROP_OPS, of, &cond->test) && fit_prop(r, &cond->test, of);
}

/* Reads the parts of all, any or not; false after an error. */
static bool
read_parts(RuleReader *r, const JsonbValue *v, RuleCond *cond, int depth, const RuleEvents *events)
{
	const char *path = cdp_rule_at(cond->path, cond_forms[cond->kind]);
	const JsonbContainer *array = cdp_rule_array(v);
	bool		good = true;

	if (cond->kind == RULE_COND_NOT)
	{
		cond->n = 1;
		cond->child = palloc(sizeof(RuleCond *));
		cond->child[0] = cdp_rule_read_cond(r, v, path, depth + 1, events);
		return cond->child[0] != NULL;
	}
	if (array == NULL)
	{
		cdp_rule_error(r, path, "E_TYPE", NULL, "%s needs an array of conditions, not %s", cond_forms[cond->kind], cdp_rule_json_type(v));
		return false;
	}
	cond->child = palloc(sizeof(RuleCond *) * Max(JsonContainerSize(array), 1));
	for (int i = 0; i < JsonContainerSize(array) && !r->oversize; i++)
	{
		cond->child[i] = cdp_rule_read_cond(r, cdp_rule_item(array, i), cdp_rule_nth(path, i), depth + 1, events);
		good &= cond->child[i] != NULL;
		cond->n = i + 1;
	}
	return good;
}

/* The one form that a condition has; -1 after an error. */
static int
find_form(RuleReader *r, const JsonbContainer *object, const char *path)
{
	int			found = -1;

	for (int i = 0; i < lengthof(cond_forms); i++)
	{
		if (cdp_rule_get(object, cond_forms[i]) == NULL)
			continue;
		if (found >= 0)
		{
			cdp_rule_error(r, cdp_rule_at(path, cond_forms[i]), "E_SYNTAX", "Write two conditions in one \"all\".",
						   "this is a condition \"%s\" already", cond_forms[found]);
			return -1;
		}
		found = i;
	}
	if (found < 0)
		cdp_rule_error(r, path, "E_SYNTAX", "A condition on an event begins with prop, field, all, any or not.", "there is no condition");
	return found;
}

/* Reads a condition on events of some kinds; NULL after an error. */
RuleCond *
cdp_rule_read_cond(RuleReader *r, const JsonbValue *v, const char *path, int depth, const RuleEvents *events)
{
	const JsonbContainer *object = cdp_rule_object(v);
	RuleCond   *cond = palloc0(sizeof(RuleCond));
	const char *known[RULE_OPS + 1];
	int			form,
				n = 1;
	bool		good;

	if (!cdp_rule_enter(r, path, depth))
		return NULL;
	if (object == NULL)
	{
		cdp_rule_error(r, path, "E_TYPE", NULL, "a condition must be an object, not %s", cdp_rule_json_type(v));
		return NULL;
	}
	form = find_form(r, object, path);
	if (form < 0)
		return NULL;
	cond->kind = form;
	cond->path = path;
	known[0] = cond_forms[form];
	if (form >= RULE_COND_PROP)
		n += cdp_rule_op_names(PROP_OPS, known + 1);
	cdp_rule_known_keys(r, object, path, known, n);
	if (form == RULE_COND_PROP)
		good = read_prop(r, object, cond, events);
	else if (form == RULE_COND_FIELD)
		good = read_field(r, object, cond);
	else
		good = read_parts(r, cdp_rule_get(object, cond_forms[form]), cond, depth, events);
	return good ? cond : NULL;
}

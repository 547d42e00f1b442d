/*
 * test.c
 *		Comparisons of rules: their constants, and whether these fit what they
 *		are compared with.  Nothing is coerced.
 */
#include "segment/rule/rule.h"

#include "utils/fmgrprotos.h"

#define MAX_DIGITS 60			/* of a number before its point, and after it */

/* Fills the words of the wanted comparisons; returns how many. */
int
cdp_rule_op_names(uint32 ops, const char **names)
{
	int			n = 0;

	for (int op = 0; op < RULE_OPS; op++)
		if (ops & RULE_BIT(op))
			names[n++] = cdp_rule_op_name(op);
	return n;
}

/* JSON Pointer of the i-th constant of a comparison. */
const char *
cdp_rule_value_path(const RuleTest *test, int i)
{
	bool		list = (RULE_BIT(test->op) & (RULE_IN_OPS | RULE_BETWEEN_OPS)) != 0 ||
		test->op == RULE_HAS_ANY || test->op == RULE_HAS_ALL;

	return list ? cdp_rule_nth(test->path, i) : test->path;
}

/* Reads one constant; false after an error. */
static bool
read_const(RuleReader *r, const JsonbValue *v, const char *path, RuleConst *out)
{
	memset(out, 0, sizeof(RuleConst));
	switch (v->type)
	{
		case jbvString:
			if (v->val.string.len > RULE_MAX_TEXT)
			{
				cdp_rule_error(r, path, "E_SIZE", NULL, "the text has %d bytes; at most %d are compared", v->val.string.len, RULE_MAX_TEXT);
				return false;
			}
			out->type = RULE_TEXT;
			out->text = cdp_rule_string(v);
			return true;
		case jbvBool:
			out->type = RULE_BOOLEAN;
			out->text = v->val.boolean ? "true" : "false";
			return true;
		case jbvNumeric:
			/* The text of 1e100000 would be long, so the size comes first. */
			out->type = RULE_NUMBER;
			out->number = v->val.numeric;
			if (VARSIZE(out->number) <= 64)
			{
				out->number = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(out->number)));
				if (DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(out->number))) <= MAX_DIGITS &&
					DatumGetBool(DirectFunctionCall2(numeric_lt,
													 DirectFunctionCall1(numeric_abs, NumericGetDatum(out->number)),
													 DirectFunctionCall3(numeric_in, CStringGetDatum("1e60"),
																		 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)))))
				{
					out->text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(out->number)));
					return true;
				}
			}
			cdp_rule_error(r, path, "E_TYPE", NULL, "a number has at most %d digits before and after its point", MAX_DIGITS);
			return false;
		case jbvNull:
			cdp_rule_error(r, path, "E_TYPE", "Write \"exists\": false to ask for a missing value.",
						   "null is no value and equals nothing");
			return false;
		default:
			cdp_rule_error(r, path, "E_TYPE", NULL, "a constant must be text, a number, true or false, not %s", cdp_rule_json_type(v));
			return false;
	}
}

/* Reads an array of constants of one type; exactly so many when wanted is above 0.  False after an error. */
static bool
read_consts(RuleReader *r, const JsonbValue *v, RuleTest *out, int wanted)
{
	const JsonbContainer *array = cdp_rule_array(v);
	int			n = array == NULL ? 0 : (int) JsonContainerSize(array);
	bool		good = true;

	if (array == NULL)
		cdp_rule_error(r, out->path, "E_TYPE", "Write [\"a\", \"b\"].", "%s needs an array, not %s", cdp_rule_op_name(out->op), cdp_rule_json_type(v));
	else if (wanted > 0 && n != wanted)
		cdp_rule_error(r, out->path, "E_SYNTAX", "Write [lowest, highest]; both belong to the range.",
					   "%s needs %d values; there are %d", cdp_rule_op_name(out->op), wanted, n);
	else if (n == 0)
		cdp_rule_error(r, out->path, "E_SYNTAX", NULL, "%s needs at least one value", cdp_rule_op_name(out->op));
	else if (n > RULE_MAX_CONSTANTS)
		cdp_rule_error(r, out->path, "E_SIZE", "Upload the values as a list and ask for its members.",
					   "%s has %d values; at most %d are read", cdp_rule_op_name(out->op), n, RULE_MAX_CONSTANTS);
	else
	{
		out->value = palloc(sizeof(RuleConst) * n);
		out->n = n;
		for (int i = 0; i < n; i++)
		{
			JsonbValue *item = cdp_rule_item(array, i);
			const char *path = cdp_rule_nth(out->path, i);

			if (!read_const(r, item, path, &out->value[i]))
				good = false;
			else if (good && out->value[i].type != out->value[0].type)
			{
				cdp_rule_error(r, path, "E_TYPE", NULL, "the values of one list must be of one type; this one is %s", cdp_rule_json_type(item));
				good = false;
			}
		}
		return good;
	}
	return false;
}

/* Reads a constant that must be true or false. */
static bool
read_switch(RuleReader *r, const JsonbValue *v, RuleTest *out)
{
	if (v->type != jbvBool)
	{
		cdp_rule_error(r, out->path, "E_TYPE", NULL, "exists must be true or false, not %s", cdp_rule_json_type(v));
		return false;
	}
	return true;
}

/* Reads what a comparison compares with, by its form; false after an error. */
static bool
read_operand(RuleReader *r, const JsonbValue *v, RuleTest *out)
{
	switch (out->op)
	{
		case RULE_IN:
		case RULE_NOT_IN:
		case RULE_HAS_ANY:
		case RULE_HAS_ALL:
			return read_consts(r, v, out, 0);
		case RULE_BETWEEN:
		case RULE_NOT_BETWEEN:
			return read_consts(r, v, out, 2);
		case RULE_LAST:
		case RULE_NEXT:
		case RULE_BEFORE_LAST:
		case RULE_ANNIVERSARY:
			return cdp_rule_read_span(r, v, out->path, false, &out->span);
		default:
			break;
	}
	if (out->op == RULE_EXISTS && !read_switch(r, v, out))
		return false;
	out->n = 1;
	out->value = palloc(sizeof(RuleConst));
	return read_const(r, v, out->path, out->value);
}

/*
 * Reads the one comparison that an object holds, among the given ones; false after an error.  What it is compared
 * with is only checked for its form: see cdp_rule_fit_...
 */
bool
cdp_rule_read_test(RuleReader *r, const JsonbContainer *object, const char *path, uint32 ops, const char *of, RuleTest *out)
{
	JsonbValue *found = NULL;

	memset(out, 0, sizeof(RuleTest));
	for (int op = 0; op < RULE_OPS; op++)
	{
		JsonbValue *v = (ops & RULE_BIT(op)) ? cdp_rule_get(object, cdp_rule_op_name(op)) : NULL;

		if (v == NULL)
			continue;
		if (found != NULL)
		{
			cdp_rule_error(r, cdp_rule_at(path, cdp_rule_op_name(op)), "E_SYNTAX", "Write two conditions in one \"all\".",
						   "%s has two comparisons, %s and %s", of, cdp_rule_op_name(out->op), cdp_rule_op_name(op));
			return false;
		}
		found = v;
		out->op = op;
	}
	if (found == NULL)
	{
		const char *names[RULE_OPS];

		cdp_rule_error(r, path, "E_SYNTAX", cdp_rule_near("", names, cdp_rule_op_names(ops, names)), "%s has no comparison", of);
		return false;
	}
	out->path = cdp_rule_at(path, cdp_rule_op_name(out->op));
	return read_operand(r, found, out);
}

/* What the constants of a type are called. */
static const char *
const_name(RuleConstType type)
{
	return type == RULE_TEXT ? "text" : type == RULE_NUMBER ? "a number" : "true or false";
}

/* Are all constants of the type?  Each other one is an error, but that of exists. */
static bool
fit_type(RuleReader *r, RuleTest *test, RuleConstType type, const char *of)
{
	bool		good = true;

	if (test->op == RULE_EXISTS)
		return true;
	for (int i = 0; i < test->n; i++)
		if (test->value[i].type != type)
		{
			cdp_rule_error(r, cdp_rule_value_path(test, i), "E_TYPE", NULL, "%s is compared with %s, not with %s",
						   of, const_name(type), const_name(test->value[i].type));
			good = false;
		}
	return good;
}

/* Is the comparison one of the given ones?  False after an error. */
static bool
fit_op(RuleReader *r, RuleTest *test, uint32 ops, const char *of)
{
	const char *names[RULE_OPS];

	if (ops & RULE_BIT(test->op))
		return true;
	cdp_rule_error(r, test->path, "E_TYPE", cdp_rule_near("", names, cdp_rule_op_names(ops, names)),
				   "%s cannot be compared by %s", of, cdp_rule_op_name(test->op));
	return false;
}

/* Does the comparison fit a number? */
bool
cdp_rule_fit_number(RuleReader *r, RuleTest *test, const char *of)
{
	return fit_op(r, test, RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_BIT(RULE_EXISTS), of) &&
		fit_type(r, test, RULE_NUMBER, of);
}

/* Does the comparison fit a text? */
bool
cdp_rule_fit_text(RuleReader *r, RuleTest *test, const char *of)
{
	return fit_op(r, test, RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_TEXT_OPS | RULE_BIT(RULE_EXISTS), of) &&
		fit_type(r, test, RULE_TEXT, of);
}

/* Does the comparison fit a count: whole numbers that a count can reach? */
bool
cdp_rule_fit_count(RuleReader *r, RuleTest *test, const char *of)
{
	bool		good = fit_type(r, test, RULE_NUMBER, of);

	for (int i = 0; good && i < test->n; i++)
	{
		JsonbValue	v = {.type = jbvNumeric};
		int64		value;

		v.val.numeric = test->value[i].number;
		if (cdp_rule_whole(&v, &value) && value >= -RULE_MAX_COUNT && value <= RULE_MAX_COUNT)
		{
			test->value[i].time = value;
			continue;
		}
		cdp_rule_error(r, cdp_rule_value_path(test, i), "E_TYPE", NULL, "%s is compared with whole numbers of at most %d", of, RULE_MAX_COUNT);
		good = false;
	}
	return good;
}

/* Reads the constants of a date or a timestamp. */
static bool
fit_time(RuleReader *r, RuleTest *test, RuleType type, const char *of)
{
	bool		good = fit_type(r, test, RULE_TEXT, of);

	if (test->op == RULE_EXISTS)
		return true;
	for (int i = 0; good && i < test->n; i++)
	{
		RuleConst  *c = &test->value[i];

		c->timed = type == RULE_TYPE_DATE ? cdp_rule_read_date(c->text, &c->time)
			: cdp_rule_read_moment(c->text, r->rule->zone, &c->time);
		if (!c->timed)
		{
			cdp_rule_error(r, cdp_rule_value_path(test, i), "E_TYPE",
						   type == RULE_TYPE_DATE ? "Write 2026-01-31."
						   : "Write 2026-01-31T08:00:00 (in the zone of the rule) or 2026-01-31T00:00:00Z.",
						   "%s is compared with a %s, and this text is none", of, cdp_rule_type_name(type));
			good = false;
		}
	}
	return good;
}

/* Does the duration of an operator of time fit a date or a timestamp? */
static bool
fit_span(RuleReader *r, RuleTest *test, RuleType type)
{
	bool		days = test->span.unit >= RULE_DAY;

	if (days || (type == RULE_TYPE_TIMESTAMP && test->op != RULE_ANNIVERSARY))
		return true;
	cdp_rule_error(r, test->path, "E_WINDOW", "Write it in days, weeks, months or years.",
				   "%s is measured in whole days here", cdp_rule_op_name(test->op));
	return false;
}

/* Does the comparison fit an attribute of the type?  Constants of time are read.  False after an error. */
bool
cdp_rule_fit_attribute(RuleReader *r, RuleTest *test, const char *name, RuleType type)
{
	const char *of = psprintf("attribute %s (%s)", cdp_rule_quote(name), cdp_rule_type_name(type));
	uint32		ops = RULE_BIT(RULE_EXISTS);

	switch (type)
	{
		case RULE_TYPE_TEXT:
			return cdp_rule_fit_text(r, test, of);
		case RULE_TYPE_INTEGER:
		case RULE_TYPE_NUMERIC:
			return cdp_rule_fit_number(r, test, of);
		case RULE_TYPE_BOOLEAN:
			return fit_op(r, test, ops | RULE_BIT(RULE_EQ) | RULE_BIT(RULE_NEQ), of) && fit_type(r, test, RULE_BOOLEAN, of);
		case RULE_TYPE_DATE:
		case RULE_TYPE_TIMESTAMP:
			if (!fit_op(r, test, ops | RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_TIME_OPS, of))
				return false;
			return (RULE_BIT(test->op) & RULE_TIME_OPS) ? fit_span(r, test, type) : fit_time(r, test, type, of);
		case RULE_TYPE_LIST:
			return fit_op(r, test, ops | RULE_HAS_OPS, of) && fit_type(r, test, RULE_TEXT, of);
		case RULE_TYPE_JSON:
			return fit_op(r, test, ops, of);
	}
	return false;
}

/* Order of two constants; of two types, by type. */
int
cdp_rule_compare_consts(const void *pa, const void *pb)
{
	const RuleConst *a = pa,
			   *b = pb;

	if (a->type != b->type || a->timed != b->timed)
		return a->type != b->type ? (int) a->type - (int) b->type : (int) a->timed - (int) b->timed;
	if (a->timed)
		return a->time < b->time ? -1 : a->time > b->time;
	if (a->type == RULE_NUMBER)
		return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a->number), NumericGetDatum(b->number)));
	return strcmp(a->text, b->text);
}

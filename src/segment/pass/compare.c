/*
 * compare.c
 *		Reads comparisons of a plan and holds them against values of rows.
 */
#include "segment/pass/compare.h"

#include "base/micro.h"

static const char *const op_name[CDP_COMPARE_OPS] = {
	"exists", "eq", "lt", "lte", "gt", "gte", "in", "between", "prefix", "suffix", "contains", "has"
};

/* Orders two numerics. */
static int
compare_numerics(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/* A finite number of a row; odd ones stay where they are. False for NaN and infinity. */
bool
cdp_number_read(Numeric numeric, CdpNumber *number)
{
	number->odd = NULL;
	if (likely(cdp_micro_exact((struct varlena *) numeric, &number->micro)))
		return true;
	if (numeric_is_nan(numeric) || numeric_is_inf(numeric))
		return false;
	number->odd = numeric;
	return true;
}

/* A number as numeric; palloc'd or the number's own. */
Numeric
cdp_number_numeric(const CdpNumber *number)
{
	if (number->odd != NULL)
		return number->odd;
	return DatumGetNumeric(cdp_numeric_from_scaled(number->micro, 6));
}

/* Micro-units of a numeric, the next whole ones above or below; within 10^36. */
static int128
whole_micro(Numeric numeric, bool above)
{
	Datum		limit = DirectFunctionCall3(numeric_in, CStringGetDatum("1e36"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	Datum		most = DirectFunctionCall3(numeric_in, CStringGetDatum("1e30"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	Datum		least = DirectFunctionCall1(numeric_uminus, most);
	Datum		n = NumericGetDatum(numeric);
	int128		result = 0;
	char	   *text;
	bool		negative;

	if (compare_numerics(numeric, DatumGetNumeric(most)) > 0)
		n = limit;
	else if (compare_numerics(numeric, DatumGetNumeric(least)) < 0)
		n = DirectFunctionCall1(numeric_uminus, limit);
	else
	{
		n = DirectFunctionCall2(numeric_mul, n, DirectFunctionCall1(int4_numeric, Int32GetDatum(1000000)));
		n = above ? DirectFunctionCall1(numeric_ceil, n) : DirectFunctionCall1(numeric_floor, n);
	}
	text = DatumGetCString(DirectFunctionCall1(numeric_out, n));
	negative = *text == '-';
	for (char *p = text + negative; *p >= '0' && *p <= '9'; p++)
		result = result * 10 + (*p - '0');
	return negative ? -result : result;
}

/* Reads one constant. */
static void
read_const(const JsonbValue *v, const char *where, int index, CdpConst *c)
{
	memset(c, 0, sizeof(*c));
	c->type = v->type;
	switch (v->type)
	{
		case jbvNumeric:
			c->numeric = DatumGetNumericCopy(NumericGetDatum(v->val.numeric));
			(void) cdp_number_read(c->numeric, &c->number);
			break;
		case jbvString:
			c->text = pnstrdup(v->val.string.val, v->val.string.len);
			c->len = v->val.string.len;
			break;
		case jbvBool:
			c->boolean = v->val.boolean;
			break;
		default:
			cdp_plan_bad(where, index, "a constant is no number, text or boolean");
	}
}

/* Orders a number and a constant. */
static int
compare_number_const(const CdpNumber *number, const CdpConst *c)
{
	if (number->odd == NULL && c->number.odd == NULL)
		return (number->micro > c->number.micro) - (number->micro < c->number.micro);
	return compare_numerics(cdp_number_numeric(number), c->numeric);
}

/* Orders two texts bytewise. */
static int
compare_bytes(const char *a, int na, const char *b, int nb)
{
	int			c = memcmp(a, b, Min(na, nb));

	return c != 0 ? c : (na > nb) - (na < nb);
}

/* Orders the constants of a list, which have one type. */
static int
compare_consts(const void *a, const void *b)
{
	const CdpConst *x = a;
	const CdpConst *y = b;

	if (x->type == jbvNumeric)
		return compare_number_const(&x->number, y);
	if (x->type == jbvString)
		return compare_bytes(x->text, x->len, y->text, y->len);
	return (int) x->boolean - (int) y->boolean;
}

/* Turns a comparison with numbers into an interval of micro-units. */
static void
set_interval(CdpCompare *c)
{
	Numeric		first = c->value[0].numeric;
	Numeric		second = c->value[c->n - 1].numeric;
	int128		most = (int128) PG_INT64_MAX * PG_INT64_MAX;

	c->lo = -most;
	c->hi = most;
	switch (c->op)
	{
		case CDP_EQ:
		case CDP_BETWEEN:
			c->lo = whole_micro(first, true);
			c->hi = whole_micro(second, false);
			break;
		case CDP_LT:
			c->hi = whole_micro(first, true) - 1;
			break;
		case CDP_LTE:
			c->hi = whole_micro(first, false);
			break;
		case CDP_GT:
			c->lo = whole_micro(first, false) + 1;
			break;
		case CDP_GTE:
			c->lo = whole_micro(first, true);
			break;
		default:
			break;
	}
}

/* Refuses constants of a type that the comparison has no meaning for. */
static void
check_types(const CdpCompare *c, const char *where, int index)
{
	enum jbvType type = c->value[0].type;
	int			text_only = 1 << CDP_PREFIX | 1 << CDP_SUFFIX | 1 << CDP_CONTAINS;
	int			ordered = 1 << CDP_LT | 1 << CDP_LTE | 1 << CDP_GT | 1 << CDP_GTE | 1 << CDP_BETWEEN;

	for (int i = 1; i < c->n; i++)
		if (c->value[i].type != type)
			cdp_plan_bad(where, index, "constants of one comparison have several types");
	if ((1 << c->op & text_only) != 0 && type != jbvString)
		cdp_plan_bad(where, index, psprintf("\"%s\" takes text", op_name[c->op]));
	if ((1 << c->op & ordered) != 0 && type == jbvBool)
		cdp_plan_bad(where, index, psprintf("\"%s\" takes no boolean", op_name[c->op]));
}

/* Reads the comparison that op_key names, and its constants, into the current context. */
void
cdp_compare_read(const JsonbContainer *object, const char *op_key, int ops, const char *where, int index,
				 CdpCompare *c)
{
	char	   *name = cdp_plan_text(object, op_key, where, index);
	const JsonbContainer *list;
	int			wanted;

	memset(c, 0, sizeof(*c));
	if (name == NULL)
		cdp_plan_bad(where, index, psprintf("\"%s\" is missing", op_key));
	while (c->op < CDP_COMPARE_OPS && strcmp(op_name[c->op], name) != 0)
		c->op++;
	if (c->op == CDP_COMPARE_OPS || (1 << c->op & ops) == 0)
		cdp_plan_bad(where, index, psprintf("\"%s\" is no comparison here", name));
	if (c->op == CDP_EXISTS)
		return;
	wanted = c->op == CDP_BETWEEN ? 2 : 1;
	list = cdp_plan_array(object, "values", where, index, &c->n);
	if ((c->op == CDP_IN || c->op == CDP_BETWEEN) ? c->n < wanted || (c->op == CDP_BETWEEN && c->n > 2) : list != NULL)
		cdp_plan_bad(where, index, psprintf("wrong number of \"values\" for \"%s\"", name));
	if (list == NULL)
		c->n = 1;
	c->value = palloc(sizeof(CdpConst) * c->n);
	for (int i = 0; i < c->n; i++)
	{
		JsonbValue	v;

		if (list != NULL)
			v = *getIthJsonbValueFromContainer(unconstify(JsonbContainer *, list), i);
		else if (!cdp_plan_get(object, "value", &v))
			cdp_plan_bad(where, index, "\"value\" is missing");
		read_const(&v, where, index, &c->value[i]);
	}
	check_types(c, where, index);
	if (c->op == CDP_IN)
		qsort(c->value, c->n, sizeof(CdpConst), compare_consts);
	else if (c->value[0].type == jbvNumeric)
		set_interval(c);
}

/* Whether a comparison with numbers, not CDP_IN, holds for a numeric that may have any digits. */
bool
cdp_compare_numeric(const CdpCompare *c, Numeric numeric)
{
	int			first = compare_numerics(numeric, c->value[0].numeric);

	switch (c->op)
	{
		case CDP_EQ:
			return first == 0;
		case CDP_LT:
			return first < 0;
		case CDP_LTE:
			return first <= 0;
		case CDP_GT:
			return first > 0;
		case CDP_GTE:
			return first >= 0;
		case CDP_BETWEEN:
			return first >= 0 && compare_numerics(numeric, c->value[1].numeric) <= 0;
		default:
			return false;
	}
}

/* Whether a number is one of the constants. */
bool
cdp_compare_in(const CdpCompare *c, const CdpNumber *number)
{
	int			low = 0;
	int			high = c->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = compare_number_const(number, &c->value[middle]);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* Whether a comparison with texts holds. */
static bool
compare_text(const CdpCompare *c, const char *text, int len)
{
	const CdpConst *first = &c->value[0];

	switch (c->op)
	{
		case CDP_EQ:
			return len == first->len && memcmp(text, first->text, len) == 0;
		case CDP_LT:
			return compare_bytes(text, len, first->text, first->len) < 0;
		case CDP_LTE:
			return compare_bytes(text, len, first->text, first->len) <= 0;
		case CDP_GT:
			return compare_bytes(text, len, first->text, first->len) > 0;
		case CDP_GTE:
			return compare_bytes(text, len, first->text, first->len) >= 0;
		case CDP_BETWEEN:
			return compare_bytes(text, len, first->text, first->len) >= 0 &&
				compare_bytes(text, len, c->value[1].text, c->value[1].len) <= 0;
		case CDP_PREFIX:
			return len >= first->len && memcmp(text, first->text, first->len) == 0;
		case CDP_SUFFIX:
			return len >= first->len && memcmp(text + len - first->len, first->text, first->len) == 0;
		case CDP_CONTAINS:
			return first->len == 0 || memmem(text, len, first->text, first->len) != NULL;
		case CDP_IN:
			{
				CdpConst	wanted = {.type = jbvString, .text = text, .len = len};

				return bsearch(&wanted, c->value, c->n, sizeof(CdpConst), compare_consts) != NULL;
			}
		default:
			return false;
	}
}

/* Whether a list holds the constant. */
static bool
list_has(const CdpConst *c, JsonbContainer *list)
{
	JsonbValue	v;

	v.type = c->type;
	if (c->type == jbvString)
	{
		v.val.string.val = unconstify(char *, c->text);
		v.val.string.len = c->len;
	}
	else if (c->type == jbvNumeric)
		v.val.numeric = c->numeric;
	else
		v.val.boolean = c->boolean;
	return findJsonbValueFromContainer(list, JB_FARRAY, &v) != NULL;
}

/* Holds a JSON value against the constants; NULL is a missing one. */
CdpVerdict
cdp_compare_value(const CdpCompare *c, const JsonbValue *v)
{
	CdpNumber	number;

	if (v == NULL || v->type == jbvNull)
		return c->op == CDP_EXISTS ? CDP_SAYS_NO : CDP_SAYS_NOTHING;
	if (c->op == CDP_EXISTS)
		return CDP_SAYS_YES;
	if (c->op == CDP_HAS)
	{
		if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerIsScalar(v->val.binary.data))
			return CDP_SAYS_NOTHING;
		return list_has(&c->value[0], v->val.binary.data) ? CDP_SAYS_YES : CDP_SAYS_NO;
	}
	if (v->type != c->value[0].type)
		return CDP_SAYS_NOTHING;
	switch (v->type)
	{
		case jbvNumeric:
			if (!cdp_number_read(v->val.numeric, &number))
				return CDP_SAYS_NOTHING;
			return cdp_compare_number(c, &number) ? CDP_SAYS_YES : CDP_SAYS_NO;
		case jbvString:
			return compare_text(c, v->val.string.val, v->val.string.len) ? CDP_SAYS_YES : CDP_SAYS_NO;
		case jbvBool:
			for (int i = 0; i < c->n; i++)
				if (c->value[i].boolean == v->val.boolean)
					return CDP_SAYS_YES;
			return CDP_SAYS_NO;
		default:
			return CDP_SAYS_NOTHING;
	}
}

/*
 * read.c
 *		Reads the attribute atoms of a plan, trusting none of it: anybody may
 *		call the pass.
 */
#include "segment/attribute/attribute.h"

#include "segment/pass/compare.h"
#include "segment/rule/rule.h"

#define MAX_ATOMS 100000

static const char *const type_name[CDP_ATTR_TYPES] = {
	"text", "integer", "numeric", "boolean", "date", "timestamp", "list", "json"
};

static const char *const op_name[CDP_ATTR_OPS] = {
	"exists", "eq", "lt", "lte", "gt", "gte", "between", "in", "prefix", "suffix", "contains", "has", "range", "anniversary"
};

#define BIT(op) (1 << (op))
#define EQUAL_OPS (BIT(CDP_ATTR_EQ) | BIT(CDP_ATTR_IN))
#define ORDER_OPS (EQUAL_OPS | BIT(CDP_ATTR_LT) | BIT(CDP_ATTR_LTE) | BIT(CDP_ATTR_GT) | BIT(CDP_ATTR_GTE) | BIT(CDP_ATTR_BETWEEN))

/* What may be asked of each type beside whether there is a value. */
static const int type_ops[CDP_ATTR_TYPES] = {
	[CDP_ATTR_TEXT] = ORDER_OPS | BIT(CDP_ATTR_PREFIX) | BIT(CDP_ATTR_SUFFIX) | BIT(CDP_ATTR_CONTAINS),
	[CDP_ATTR_INTEGER] = ORDER_OPS,
	[CDP_ATTR_NUMERIC] = ORDER_OPS,
	[CDP_ATTR_BOOLEAN] = EQUAL_OPS,
	[CDP_ATTR_DATE] = ORDER_OPS | BIT(CDP_ATTR_RANGE) | BIT(CDP_ATTR_ANNIVERSARY),
	[CDP_ATTR_TIMESTAMP] = ORDER_OPS | BIT(CDP_ATTR_RANGE) | BIT(CDP_ATTR_ANNIVERSARY),
	[CDP_ATTR_LIST] = BIT(CDP_ATTR_HAS),
	[CDP_ATTR_JSON] = 0
};

/* The JSON type of the constants of each type. */
static const enum jbvType const_type[CDP_ATTR_TYPES] = {
	[CDP_ATTR_TEXT] = jbvString,
	[CDP_ATTR_INTEGER] = jbvNumeric,
	[CDP_ATTR_NUMERIC] = jbvNumeric,
	[CDP_ATTR_BOOLEAN] = jbvBool,
	[CDP_ATTR_DATE] = jbvNumeric,
	[CDP_ATTR_TIMESTAMP] = jbvNumeric,
	[CDP_ATTR_LIST] = jbvString,
	[CDP_ATTR_JSON] = jbvNull
};

/* Raises the error for an atom that is none. */
void
cdp_attr_bad(int atom, const char *what)
{
	cdp_plan_bad("attributes", atom, what);
}

/* Finds a word among names; raises when it is none. */
static int
read_word(const JsonbContainer *object, const char *key, const char *const *names, int n, int atom)
{
	char	   *word = cdp_plan_text(object, key, "attributes", atom);

	if (word == NULL)
		cdp_attr_bad(atom, psprintf("\"%s\" is missing", key));
	for (int i = 0; i < n; i++)
		if (strcmp(word, names[i]) == 0)
			return i;
	cdp_attr_bad(atom, psprintf("unknown word for \"%s\"", key));
}

/* The number of the field that an atom looks at; equal ones are one. */
static int
find_field(CdpAttrPlan *plan, const CdpAttrField *wanted)
{
	for (int i = 0; i < plan->nfields; i++)
	{
		CdpAttrField *f = &plan->field[i];

		if (f->presence == wanted->presence && (f->presence || f->type == wanted->type) &&
			strcmp(f->column, wanted->column) == 0 &&
			(f->key == NULL ? wanted->key == NULL : wanted->key != NULL && strcmp(f->key, wanted->key) == 0))
			return i;
	}
	if (plan->nfields == CDP_ATTR_MAX_FIELDS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the segments read too many attributes in one pass"),
				 errdetail("At most %d are read, and whether there is a value counts as one more.", CDP_ATTR_MAX_FIELDS),
				 errhint("Evaluate the segments in several groups.")));
	plan->field[plan->nfields] = *wanted;
	return plan->nfields++;
}

/* Reads where the value lies. */
static int
read_field(CdpAttrPlan *plan, const JsonbContainer *object, int atom, CdpAttrOp op)
{
	CdpAttrField f = {0};
	char	   *json = cdp_plan_text(object, "json", "attributes", atom);

	f.type = read_word(object, "type", type_name, CDP_ATTR_TYPES, atom);
	f.column = json != NULL ? json : cdp_plan_text(object, "column", "attributes", atom);
	if (f.column == NULL)
		cdp_attr_bad(atom, "neither \"column\" nor \"json\"");
	if (json != NULL && (f.key = cdp_plan_text(object, "key", "attributes", atom)) == NULL)
		cdp_attr_bad(atom, "\"json\" without \"key\"");
	f.presence = op == CDP_ATTR_EXISTS;
	if (!f.presence && !(type_ops[f.type] & BIT(op)))
		cdp_attr_bad(atom, psprintf("\"%s\" is no comparison of type %s", op_name[op], type_name[f.type]));
	return find_field(plan, &f);
}

/* Takes one constant. */
static void
read_value(const JsonbValue *v, CdpAttrType type, int atom, JsonbValue *out)
{
	int64		whole;

	if (v->type != const_type[type])
		cdp_attr_bad(atom, psprintf("a constant is of another type than %s", type_name[type]));
	if ((type == CDP_ATTR_DATE || type == CDP_ATTR_TIMESTAMP) && !cdp_rule_whole(v, &whole))
		cdp_attr_bad(atom, "a constant is no whole number of days or microseconds since 2000");
	*out = *v;
}

/* Reads the constants: "values", or one "value". */
static void
read_values(const JsonbContainer *object, CdpAttrAtom *a, CdpAttrType type, int atom)
{
	const JsonbContainer *list = cdp_plan_array(object, "values", "attributes", atom, &a->nvalues);
	bool		many = a->op == CDP_ATTR_IN || a->op == CDP_ATTR_BETWEEN;
	JsonbValue	v;

	if (many != (list != NULL) || (a->op == CDP_ATTR_BETWEEN && a->nvalues != 2))
		cdp_attr_bad(atom, psprintf("\"%s\" with another number of constants", op_name[a->op]));
	a->value = palloc(sizeof(JsonbValue) * Max(a->nvalues, 1));
	if (many)
	{
		for (int i = 0; i < a->nvalues; i++)
			read_value(cdp_rule_item(list, i), type, atom, &a->value[i]);
		return;
	}
	if (!cdp_plan_get(object, "value", &v))
		cdp_attr_bad(atom, "\"value\" is missing");
	a->nvalues = 1;
	read_value(&v, type, atom, &a->value[0]);
}

/* Reads one end of a range and how it slides. */
static void
read_end(const JsonbContainer *object, const char *end_key, const char *slide_key, int atom, CdpAttrType type,
		 bool *has, int64 *end, bool *slides, int64 *slide)
{
	*has = cdp_plan_int(object, end_key, "attributes", atom, end);
	*slides = cdp_plan_int(object, slide_key, "attributes", atom, slide);
	if (*slides && (!*has || type != CDP_ATTR_TIMESTAMP))
		cdp_attr_bad(atom, psprintf("\"%s\" is not for an end of its kind", slide_key));
}

/* Reads the pairs of month and day of an anniversary, and the zone of its days. */
static void
read_pairs(const JsonbContainer *object, CdpAttrAtom *a, CdpAttrType type, int atom)
{
	const JsonbContainer *list = cdp_plan_array(object, "values", "attributes", atom, &a->npairs);
	char	   *zone = cdp_plan_text(object, "tz", "attributes", atom);

	if (list == NULL)
		cdp_attr_bad(atom, "\"values\" is missing");
	a->pair = palloc(sizeof(int) * 2 * Max(a->npairs, 1));
	for (int i = 0; i < 2 * a->npairs; i++)
	{
		const JsonbContainer *pair = cdp_rule_array(cdp_rule_item(list, i / 2));
		JsonbValue *v = pair == NULL || JsonContainerSize(pair) != 2 ? NULL : cdp_rule_item(pair, i % 2);
		int64		day;

		if (v == NULL || !cdp_rule_whole(v, &day) || day < 101 || day > 1231)
			cdp_attr_bad(atom, "an entry of \"values\" is no pair of month * 100 + day");
		a->pair[i] = (int) day;
	}
	if (type != CDP_ATTR_TIMESTAMP)
		return;
	a->zone = zone == NULL ? NULL : cdp_rule_zone(zone);
	if (a->zone == NULL)
		cdp_attr_bad(atom, "\"tz\" is no time zone");
}

/* Reads one atom. */
static void
read_atom(CdpAttrPlan *plan, const JsonbContainer *object, int atom)
{
	CdpAttrAtom *a = &plan->atom[atom];
	CdpAttrType type;

	a->op = read_word(object, "op", op_name, CDP_ATTR_OPS, atom);
	a->field = read_field(plan, object, atom, a->op);
	type = plan->field[a->field].type;
	if (a->op == CDP_ATTR_RANGE)
	{
		read_end(object, "lo", "slide_lo", atom, type, &a->has_lo, &a->lo, &a->slides_lo, &a->slide_lo);
		read_end(object, "hi", "slide_hi", atom, type, &a->has_hi, &a->hi, &a->slides_hi, &a->slide_hi);
		if (!a->has_lo && !a->has_hi)
			cdp_attr_bad(atom, "a range has neither \"lo\" nor \"hi\"");
	}
	else if (a->op == CDP_ATTR_ANNIVERSARY)
		read_pairs(object, a, type, atom);
	else if (a->op != CDP_ATTR_EXISTS)
		read_values(object, a, type, atom);
	cdp_idset_init(&a->yes, CurrentMemoryContext);
	cdp_idset_init(&a->unknown, CurrentMemoryContext);
}

/* Reads the attribute atoms of a plan into the current context; the plan must live as long. */
CdpAttrPlan *
cdp_attr_read(Jsonb *json)
{
	CdpAttrPlan *plan = palloc0(sizeof(CdpAttrPlan));
	const JsonbContainer *list;

	if (!JB_ROOT_IS_OBJECT(json))
		cdp_plan_bad("plan", -1, "it is no object");
	if (!cdp_plan_int(&json->root, "as_of", "plan", -1, &plan->as_of))
		cdp_plan_bad("plan", -1, "\"as_of\" is missing");
	list = cdp_plan_array(&json->root, "attributes", "plan", -1, &plan->natoms);
	if (list == NULL || plan->natoms > MAX_ATOMS)
		cdp_plan_bad("plan", -1, "\"attributes\" is missing or too long");
	plan->atom = palloc0(sizeof(CdpAttrAtom) * Max(plan->natoms, 1));
	plan->field = palloc0(sizeof(CdpAttrField) * Min(Max(plan->natoms, 1), CDP_ATTR_MAX_FIELDS));
	for (int i = 0; i < plan->natoms; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_atom(plan, cdp_plan_element(list, i, "attributes", i), i);
	}
	return plan;
}

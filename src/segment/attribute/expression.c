/*
 * expression.c
 *		Compiles an atom into an expression of PostgreSQL over the row of values:
 *		operators of the default btree class, those of arrays, LIKE.
 *
 * Constants are Const nodes of the type they are compared in, so no text of a
 * rule is ever read as SQL.  Text is compared bytewise (collation C).
 */
#include "segment/attribute/attribute.h"

#include "access/stratnum.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#define HASH_FROM 9				/* constants from which "in" looks into a hash table, as the planner does */

/* The btree strategy of each order comparison. */
static const StrategyNumber strategy[CDP_ATTR_OPS] = {
	[CDP_ATTR_EQ] = BTEqualStrategyNumber,
	[CDP_ATTR_LT] = BTLessStrategyNumber,
	[CDP_ATTR_LTE] = BTLessEqualStrategyNumber,
	[CDP_ATTR_GT] = BTGreaterStrategyNumber,
	[CDP_ATTR_GTE] = BTGreaterEqualStrategyNumber
};

/* Collation of comparisons of a type. */
static Oid
collation_of(Oid type)
{
	return type == TEXTOID || type == TEXTARRAYOID ? C_COLLATION_OID : InvalidOid;
}

/* A constant; a NULL one never occurs. */
static Const *
typed_const(Oid type, Datum value)
{
	int16		len;
	bool		byval;

	get_typlenbyval(type, &len, &byval);
	return makeConst(type, -1, collation_of(type), len, value, false, byval);
}

/* Whether a number is a whole one of 64 bits. */
static bool
is_bigint(Numeric n)
{
	Datum		d = NumericGetDatum(n);
	Datum		low = DirectFunctionCall1(int8_numeric, Int64GetDatum(PG_INT64_MIN));
	Datum		high = DirectFunctionCall1(int8_numeric, Int64GetDatum(PG_INT64_MAX));

	return DatumGetBool(DirectFunctionCall2(numeric_eq, d, DirectFunctionCall1(numeric_floor, d))) &&
		DatumGetBool(DirectFunctionCall2(numeric_ge, d, low)) && DatumGetBool(DirectFunctionCall2(numeric_le, d, high));
}

/* The bytes of a constant as a value of the type. */
static Datum
const_value(Oid type, const JsonbValue *v)
{
	switch (type)
	{
		case BOOLOID:
			return BoolGetDatum(v->val.boolean);
		case INT8OID:
			return DirectFunctionCall1(numeric_int8, NumericGetDatum(v->val.numeric));
		case FLOAT8OID:
			return DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric));
		case NUMERICOID:
			return NumericGetDatum(v->val.numeric);
		case DATEOID:
			return DateADTGetDatum((DateADT) DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(v->val.numeric))));
		case TIMESTAMPTZOID:
			return DirectFunctionCall1(numeric_int8, NumericGetDatum(v->val.numeric));
		default:
			return PointerGetDatum(cstring_to_text_with_len(v->val.string.val, v->val.string.len));
	}
}

/* The value that an atom looks at; whole numbers beside a constant that is none become numeric. */
static Expr *
make_operand(const CdpAttrPlan *plan, const CdpAttrAtom *a, Oid *type)
{
	const CdpAttrField *f = &plan->field[a->field];
	Node	   *var = (Node *) makeVar(1, a->field + 1, f->value_type, -1, collation_of(f->value_type), 0);

	*type = f->value_type;
	if (*type == INT8OID)
		for (int i = 0; i < a->nvalues; i++)
			if (!is_bigint(a->value[i].val.numeric))
			{
				*type = NUMERICOID;
				return (Expr *) coerce_to_target_type(NULL, var, INT8OID, NUMERICOID, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
			}
	return (Expr *) var;
}

/* An operator of the default btree class of a type. */
static Oid
btree_operator(Oid type, StrategyNumber number)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	return get_opfamily_member(cache->btree_opf, cache->btree_opintype, cache->btree_opintype, number);
}

/* Compares an operand with a constant. */
static Expr *
compare_with(Expr *operand, Oid type, StrategyNumber number, Datum constant)
{
	return make_opclause(btree_operator(type, number), BOOLOID, false, operand, (Expr *) typed_const(type, constant), InvalidOid, collation_of(type));
}

/* Both of two conditions. */
static Expr *
make_both(Expr *a, Expr *b)
{
	return makeBoolExpr(AND_EXPR, list_make2(a, b), -1);
}

/* operand = ANY (constants). */
static Expr *
make_in(const CdpAttrAtom *a, Expr *operand, Oid type)
{
	ScalarArrayOpExpr *in = makeNode(ScalarArrayOpExpr);
	Datum	   *item = palloc(sizeof(Datum) * Max(a->nvalues, 1));
	Oid			array_type = get_array_type(type);
	RegProcedure left_hash,
				right_hash;
	int16		len;
	bool		byval;
	char		align;

	for (int i = 0; i < a->nvalues; i++)
		item[i] = const_value(type, &a->value[i]);
	get_typlenbyvalalign(type, &len, &byval, &align);
	in->opno = btree_operator(type, BTEqualStrategyNumber);
	in->opfuncid = get_opcode(in->opno);
	in->useOr = true;
	in->inputcollid = collation_of(type);
	in->args = list_make2(operand, makeConst(array_type, -1, in->inputcollid, -1,
											 PointerGetDatum(construct_array(item, a->nvalues, type, len, byval, align)), false, false));
	in->location = -1;
	if (a->nvalues >= HASH_FROM && get_op_hash_functions(in->opno, &left_hash, &right_hash) && left_hash == right_hash)
		in->hashfuncid = left_hash;
	return (Expr *) in;
}

/* operand LIKE a pattern that means the start, the end or any part of a text. */
static Expr *
make_like(const CdpAttrAtom *a, Expr *operand)
{
	const JsonbValue *v = &a->value[0];
	StringInfoData pattern;

	initStringInfo(&pattern);
	if (a->op != CDP_ATTR_PREFIX)
		appendStringInfoChar(&pattern, '%');
	for (int i = 0; i < v->val.string.len; i++)
	{
		char		c = v->val.string.val[i];

		if (c == '%' || c == '_' || c == '\\')
			appendStringInfoChar(&pattern, '\\');
		appendStringInfoChar(&pattern, c);
	}
	if (a->op != CDP_ATTR_SUFFIX)
		appendStringInfoChar(&pattern, '%');
	return make_opclause(OID_TEXT_LIKE_OP, BOOLOID, false, operand,
						 (Expr *) typed_const(TEXTOID, PointerGetDatum(cstring_to_text_with_len(pattern.data, pattern.len))),
						 InvalidOid, C_COLLATION_OID);
}

/* operand @> ARRAY[constant]. */
static Expr *
make_has(const CdpAttrAtom *a, Expr *operand)
{
	Datum		item = const_value(TEXTOID, &a->value[0]);

	return make_opclause(OID_ARRAY_CONTAINS_OP, BOOLOID, false, operand,
						 (Expr *) typed_const(TEXTARRAYOID, PointerGetDatum(construct_array(&item, 1, TEXTOID, -1, false, TYPALIGN_INT))),
						 InvalidOid, C_COLLATION_OID);
}

/* lo <= operand < hi, whichever ends there are. */
static Expr *
make_range(const CdpAttrAtom *a, Expr *operand, Oid type)
{
	Expr	   *from = NULL,
			   *to = NULL;

	if (a->has_lo)
		from = compare_with(operand, type, BTGreaterEqualStrategyNumber, type == DATEOID ? DateADTGetDatum((DateADT) a->lo) : Int64GetDatum(a->lo));
	if (a->has_hi)
		to = compare_with(copyObject(operand), type, BTLessStrategyNumber, type == DATEOID ? DateADTGetDatum((DateADT) a->hi) : Int64GetDatum(a->hi));
	if (from != NULL && to != NULL)
		return make_both(from, to);
	return from != NULL ? from : to;
}

/* The expression of an atom, true, false, or NULL without a value; NULL for an anniversary, which has none. */
Expr *
cdp_attr_expression(const CdpAttrPlan *plan, int atom)
{
	const CdpAttrAtom *a = &plan->atom[atom];
	Oid			type;
	Expr	   *operand = make_operand(plan, a, &type);
	Expr	   *result;

	switch (a->op)
	{
		case CDP_ATTR_EXISTS:
			{
				NullTest   *test = makeNode(NullTest);

				test->arg = operand;
				test->nulltesttype = IS_NOT_NULL;
				test->location = -1;
				return (Expr *) test;
			}
		case CDP_ATTR_BETWEEN:
			result = make_both(compare_with(operand, type, BTGreaterEqualStrategyNumber, const_value(type, &a->value[0])),
							   compare_with(copyObject(operand), type, BTLessEqualStrategyNumber, const_value(type, &a->value[1])));
			break;
		case CDP_ATTR_IN:
			result = make_in(a, operand, type);
			break;
		case CDP_ATTR_PREFIX:
		case CDP_ATTR_SUFFIX:
		case CDP_ATTR_CONTAINS:
			result = make_like(a, operand);
			break;
		case CDP_ATTR_HAS:
			result = make_has(a, operand);
			break;
		case CDP_ATTR_RANGE:
			result = make_range(a, operand, type);
			break;
		case CDP_ATTR_ANNIVERSARY:
			return NULL;
		default:
			result = compare_with(operand, type, strategy[a->op], const_value(type, &a->value[0]));
	}
	fix_opfuncids((Node *) result);
	return result;
}

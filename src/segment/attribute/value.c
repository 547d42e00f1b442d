/*
 * value.c
 *		The values of a row that atoms look at: columns as they are, or cast to
 *		the type of the attribute, and members of JSON documents.
 *
 * A document is unpacked once a row, and each key is found in it once, however
 * many atoms ask for it.  SQL NULL, JSON null, a key that is not there and a
 * value of another type than the attribute's are all the same: no value.
 */
#include "segment/attribute/attribute.h"

#include "base/suggest.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "segment/rule/rule.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* The column of a name; raises when the rows have none. */
static Form_pg_attribute
find_column(TupleDesc rows, const char *name)
{
	const char **names = palloc(sizeof(char *) * Max(rows->natts, 1));
	int			n = 0;

	for (int i = 0; i < rows->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rows, i);

		if (att->attisdropped)
			continue;
		if (strcmp(NameStr(att->attname), name) == 0)
		{
			pfree(names);
			return att;
		}
		names[n++] = NameStr(att->attname);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("profiles have no column \"%s\"", name),
			 errdetail("The plan of the segments reads it; the rows have %d columns.", n),
			 cdp_suggest_hint(name, names, n)));
}

/* Raises the error for a column that cannot hold an attribute of a type. */
CDP_NORETURN static void wrong_type(const CdpAttrField *f, Oid type, const char *wanted);

/* See above. */
static void
wrong_type(const CdpAttrField *f, Oid type, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of profiles has the wrong type", f->column),
			 errdetail("It is %s; an attribute of this type needs %s.", format_type_be(type), wanted),
			 errhint("Correct the type of the attribute, or cast the column in a subquery: rows of any type will do.")));
}

/* The type in which numbers of a column are compared. */
static Oid
number_type(const CdpAttrField *f, Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return INT8OID;
		case FLOAT4OID:
		case FLOAT8OID:
			return FLOAT8OID;
		case NUMERICOID:
			return NUMERICOID;
		default:
			wrong_type(f, type, "a number or jsonb");
	}
}

/* The type that the values of a column are compared in; times without a zone would depend on the session. */
static Oid
value_type(const CdpAttrField *f, Oid type)
{
	switch (f->type)
	{
		case CDP_ATTR_TEXT:
			return TEXTOID;
		case CDP_ATTR_INTEGER:
		case CDP_ATTR_NUMERIC:
			return number_type(f, type);
		case CDP_ATTR_BOOLEAN:
			if (type != BOOLOID)
				wrong_type(f, type, "boolean or jsonb");
			return BOOLOID;
		case CDP_ATTR_DATE:
			if (type != DATEOID)
				wrong_type(f, type, "date or jsonb");
			return DATEOID;
		case CDP_ATTR_TIMESTAMP:
			if (type != TIMESTAMPTZOID)
				wrong_type(f, type, "timestamp with time zone or jsonb");
			return TIMESTAMPTZOID;
		default:
			return TEXTARRAYOID;
	}
}

/* The type of a value that comes out of JSON. */
static Oid
json_value_type(CdpAttrType type)
{
	static const Oid types[CDP_ATTR_TYPES] = {TEXTOID, NUMERICOID, NUMERICOID, BOOLOID, DATEOID, TIMESTAMPTZOID, TEXTARRAYOID, BOOLOID};

	return types[type];
}

/* Compiles the cast of a column, where its bytes are not those of the type it is compared in. */
static ExprState *
compile_cast(const CdpAttrField *f, Form_pg_attribute att)
{
	Node	   *node = (Node *) makeVar(1, att->attnum, att->atttypid, att->atttypmod, att->attcollation, 0);

	if (IsBinaryCoercible(att->atttypid, f->value_type))
		return NULL;
	node = coerce_to_target_type(NULL, node, att->atttypid, f->value_type, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	if (node == NULL)
		wrong_type(f, att->atttypid, f->value_type == TEXTOID ? "text or jsonb" : "a list of text, or jsonb");
	fix_opfuncids(node);
	return ExecInitExpr((Expr *) node, NULL);
}

/* Finds the columns of all fields in the type of the rows, and how each value is taken. */
void
cdp_attr_bind(CdpAttrPlan *plan, TupleDesc rows)
{
	for (int i = 0; i < plan->nfields; i++)
	{
		CdpAttrField *f = &plan->field[i];
		Form_pg_attribute att = find_column(rows, f->column);

		f->attnum = att->attnum;
		f->from_json = att->atttypid == JSONBOID;
		if (f->key != NULL && !f->from_json)
			wrong_type(f, att->atttypid, "jsonb");
		if (f->presence)
			f->value_type = BOOLOID;
		else if (f->from_json)
			f->value_type = json_value_type(f->type);
		else
		{
			f->value_type = value_type(f, att->atttypid);
			f->cast = compile_cast(f, att);
		}
	}
}

/* What the row of values looks like that atoms see. */
TupleDesc
cdp_attr_desc(const CdpAttrPlan *plan)
{
	TupleDesc	desc = CreateTemplateTupleDesc(plan->nfields);

	for (int i = 0; i < plan->nfields; i++)
		TupleDescInitEntry(desc, i + 1, NULL, plan->field[i].value_type, -1, 0);
	return desc;
}

/* The texts of a JSON list; other elements equal no text and are left out. */
static Datum
list_value(const JsonbContainer *list)
{
	Datum	   *item = palloc(sizeof(Datum) * Max(JsonContainerSize(list), 1));
	JsonbIterator *it = JsonbIteratorInit(unconstify(JsonbContainer *, list));
	JsonbIteratorToken token;
	JsonbValue	v;
	int			n = 0;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_ELEM && v.type == jbvString)
			item[n++] = PointerGetDatum(cstring_to_text_with_len(v.val.string.val, v.val.string.len));
	return PointerGetDatum(construct_array(item, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A day or a moment that JSON tells as text. */
static Datum
time_value(CdpAttrType type, const JsonbValue *v, bool *isnull)
{
	char	   *text = pnstrdup(v->val.string.val, v->val.string.len);
	int64		time;

	if (type == CDP_ATTR_DATE)
	{
		*isnull = !cdp_rule_read_date(text, &time);
		return *isnull ? (Datum) 0 : DateADTGetDatum((DateADT) time);
	}
	*isnull = !cdp_rule_read_moment(text, pg_tzset("UTC"), &time);
	return *isnull ? (Datum) 0 : TimestampTzGetDatum(time);
}

/* A member of JSON as a value of its attribute's type. */
static Datum
json_value(const CdpAttrField *f, const JsonbValue *v, bool *isnull)
{
	*isnull = v->type == jbvNull;
	if (*isnull || f->presence)
		return BoolGetDatum(true);
	switch (f->type)
	{
		case CDP_ATTR_TEXT:
			*isnull = v->type != jbvString;
			return *isnull ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(v->val.string.val, v->val.string.len));
		case CDP_ATTR_INTEGER:
		case CDP_ATTR_NUMERIC:
			*isnull = v->type != jbvNumeric;
			return *isnull ? (Datum) 0 : NumericGetDatum(v->val.numeric);
		case CDP_ATTR_BOOLEAN:
			*isnull = v->type != jbvBool;
			return *isnull ? (Datum) 0 : BoolGetDatum(v->val.boolean);
		case CDP_ATTR_DATE:
		case CDP_ATTR_TIMESTAMP:
			*isnull = v->type != jbvString;
			return *isnull ? (Datum) 0 : time_value(f->type, v, isnull);
		default:
			*isnull = v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data);
			return *isnull ? (Datum) 0 : list_value(v->val.binary.data);
	}
}

/* What a field finds in a document. */
static Datum
document_value(const CdpAttrField *f, Jsonb *document, bool *isnull)
{
	JsonbContainer *root = &document->root;
	JsonbValue	v;

	Assert(document != NULL);
	*isnull = true;
	if (f->key != NULL)
	{
		if (!JsonContainerIsObject(root) || getKeyJsonValueFromContainer(root, f->key, strlen(f->key), &v) == NULL)
			return (Datum) 0;
	}
	else if (JsonContainerIsScalar(root))
		JsonbExtractScalar(root, &v);
	else
	{
		v.type = jbvBinary;
		v.val.binary.data = root;
		v.val.binary.len = VARSIZE(document) - VARHDRSZ;
	}
	return json_value(f, &v, isnull);
}

/*
 * Takes all values of a row into the slot that atoms see; what is made for them
 * lives in the memory of the row.  Fields of one document follow each other
 * often enough that unpacking it when the column changes is once a row.
 */
void
cdp_attr_values(const CdpAttrPlan *plan, TupleTableSlot *row, ExprContext *econtext, TupleTableSlot *values)
{
	MemoryContext before = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	int			unpacked = 0;
	Jsonb	   *document = NULL;

	ExecClearTuple(values);
	econtext->ecxt_scantuple = row;
	for (int i = 0; i < plan->nfields; i++)
	{
		const CdpAttrField *f = &plan->field[i];
		bool		isnull = row->tts_isnull[f->attnum - 1];

		if (isnull)
			values->tts_values[i] = (Datum) 0;
		else if (f->from_json)
		{
			if (unpacked != f->attnum)
				document = DatumGetJsonbP(row->tts_values[f->attnum - 1]);
			unpacked = f->attnum;
			values->tts_values[i] = document_value(f, document, &isnull);
		}
		else if (f->cast != NULL)
			values->tts_values[i] = ExecEvalExpr(f->cast, econtext, &isnull);
		else
			values->tts_values[i] = f->presence ? BoolGetDatum(true) : row->tts_values[f->attnum - 1];
		values->tts_isnull[i] = isnull;
	}
	ExecStoreVirtualTuple(values);
	econtext->ecxt_scantuple = values;
	MemoryContextSwitchTo(before);
}

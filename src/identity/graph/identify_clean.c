/*
 * identify_clean.c
 *		The identifiers of one record, as a caller writes them in JSON, brought
 *		into the form in which they are stored.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/fmgrprotos.h"

#include "core/field_name.h"
#include "identity/graph/identify.h"

CDP_FUNCTION(cdp_clean_identifiers);

/* What comes out, as it grows. */
typedef struct Cleaning
{
	CdpRecord	record;			/* identifiers taken */
	JsonbParseState *refused;
	int			seen;			/* values read */
} Cleaning;

/* Adds a key and a text to the object that is being written; copies nothing. */
static void
add_text(JsonbParseState **to, const char *key, const char *text, int len)
{
	JsonbValue	k = {jbvString},
				v = {jbvString};

	k.val.string.val = unconstify(char *, key);
	k.val.string.len = strlen(key);
	v.val.string.val = unconstify(char *, text);
	v.val.string.len = len;
	pushJsonbValue(to, WJB_KEY, &k);
	pushJsonbValue(to, WJB_VALUE, &v);
}

/* Tells that an identifier was left out, and why; never its value. */
static void
refuse(Cleaning *c, const char *type, int len, const char *code)
{
	pushJsonbValue(&c->refused, WJB_BEGIN_OBJECT, NULL);
	add_text(&c->refused, "type", type, pg_mbcharcliplen(type, len, 63));
	add_text(&c->refused, "code", code, strlen(code));
	pushJsonbValue(&c->refused, WJB_END_OBJECT, NULL);
}

/* The type of exactly that name: the user's own before a built-in one, then the lower number. NULL when there is none. */
static const CdpType *
type_named(const CdpLists *lists, const char *name, int len)
{
	const CdpType *found = NULL;

	for (int i = 0; i < lists->ntypes; i++)
	{
		const CdpType *t = &lists->type[i];

		if (strlen(t->name) == len && memcmp(t->name, name, len) == 0 && (found == NULL || (found->is_builtin && !t->is_builtin)))
			found = t;
	}
	return found;
}

/*
 * The type that is meant by a name, as cdp_internal.field_targets() has it: of
 * exactly that name, else of that name in another spelling (userId), those that
 * are spelled as cdp_field_name() does first, then the lesser name by bytes.
 */
static const CdpType *
type_meant(const CdpLists *lists, const char *name, int len)
{
	const CdpType *found = type_named(lists, name, len);
	bool		plain = false;
	CdpForm		wanted,
				has;

	if (found != NULL || !cdp_field_name(name, len, &wanted))
		return found;
	for (int i = 0; i < lists->ntypes; i++)
	{
		const CdpType *t = &lists->type[i];

		if (cdp_field_name(t->name, strlen(t->name), &has) && has.len == wanted.len && memcmp(has.text, wanted.text, has.len) == 0)
		{
			bool		is_plain = strcmp(t->name, has.text) == 0;

			if (found == NULL || is_plain > plain || (is_plain == plain && strcmp(t->name, found->name) < 0))
			{
				found = t;
				plain = is_plain;
			}
		}
	}
	return found == NULL ? NULL : type_named(lists, found->name, strlen(found->name));
}

/* Takes one value of a type, or refuses it. */
static void
take_value(Cleaning *c, const JsonbValue *key, const CdpType *type, const JsonbValue *v)
{
	const char *text = NULL;
	int			len = 0;
	CdpForm		form;
	CdpRefusal	refusal;
	CdpOne	   *one;

	if (++c->seen > CDP_RECORD_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many identifiers in one record"),
				 errdetail("At most %d are taken.", CDP_RECORD_MAX),
				 errhint("A record shows one person; send each person's identifiers in a record of their own.")));
	/* Lists and maps inside of a list are nobody's identifier. */
	if (v->type == jbvString)
	{
		text = v->val.string.val;
		len = v->val.string.len;
	}
	else if (v->type == jbvNumeric)
	{
		text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		len = strlen(text);
	}
	if (type == NULL || type->ignored || (text == NULL && v->type != jbvNull))
	{
		refuse(c, key->val.string.val, key->val.string.len,
			   type == NULL ? "unknown_identifier_type" : type->ignored ? "ignored" : "not_text");
		return;
	}
	refusal = text == NULL ? CDP_FORM_EMPTY : cdp_rules_apply(c->record.lists->rules, type->type_id, text, len, &form);
	if (refusal != CDP_FORM_GOOD)
	{
		refuse(c, key->val.string.val, key->val.string.len, cdp_refusal_code(refusal));
		return;
	}
	one = &c->record.one[c->record.k++];
	one->type = type;
	one->value = cstring_to_text_with_len(form.text, form.len);
}

/* Takes the value of a key, or each of a list of values. */
static void
take_key(Cleaning *c, const JsonbValue *key, JsonbValue *v)
{
	const CdpType *type = type_meant(c->record.lists, key->val.string.val, key->val.string.len);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	each;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data))
	{
		take_value(c, key, type, v);
		return;
	}
	it = JsonbIteratorInit(v->val.binary.data);
	(void) JsonbIteratorNext(&it, &each, true); /* the list's begin */
	while ((token = JsonbIteratorNext(&it, &each, true)) != WJB_END_ARRAY)
		if (token == WJB_ELEM)
			take_value(c, key, type, &each);
}

/* Raises the error of identifiers that are no JSON object. */
static void
require_object(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(0) && JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(0)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("identifiers must be a JSON object"),
			 errdetail("Got %s.", PG_ARGISNULL(0) ? "NULL" :
					   TextDatumGetCString(DirectFunctionCall1(jsonb_typeof, PG_GETARG_DATUM(0)))),
			 errhint("Write type and value, such as {\"email\": \"...\", \"phone\": [\"...\", \"...\"]}.")));
}

/* Takes out the erased: they do not come in again. */
static void
leave_out_suppressed(Cleaning *c)
{
	CdpRecord  *r = &c->record;
	bool		gone[CDP_RECORD_MAX] = {0};
	Datum		arg[2];
	int			n = 0;

	cdp_record_arrays(r, false, &arg[0], &arg[1]);
	cdp_read(CDP_SUPPRESSED, arg, NULL);
	for (uint64 row = 0; row < SPI_processed; row++)
		gone[cdp_cell_int8(row, 1) - 1] = true;
	cdp_done();
	for (int i = 0; i < r->k; i++)
	{
		if (gone[i])
			refuse(c, r->one[i].type->name, strlen(r->one[i].type->name), "suppressed");
		else
			r->one[n++] = r->one[i];
	}
	r->k = n;
}

/*
 * clean_identifiers(identifiers): the types and values to be stored, the
 * strongest first, and what was refused.
 */
Datum
cdp_clean_identifiers(PG_FUNCTION_ARGS)
{
	MemoryContext upper = CurrentMemoryContext;
	Cleaning   *c;
	JsonbIterator *it;
	JsonbIteratorToken token = WJB_DONE;
	JsonbValue	key = {0},
				value = {0};
	Datum		values[3],
				row;
	bool		nulls[3] = {0};

	require_object(fcinfo);
	SPI_connect();
	c = palloc(sizeof(Cleaning));
	c->record.lists = cdp_lists();
	c->record.k = c->seen = 0;
	c->refused = NULL;
	pushJsonbValue(&c->refused, WJB_BEGIN_ARRAY, NULL);
	it = JsonbIteratorInit(&PG_GETARG_JSONB_P(0)->root);
	while ((token = JsonbIteratorNext(&it, token == WJB_KEY ? &value : &key, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE)
			take_key(c, &key, &value);
	}
	cdp_record_sort(&c->record);
	if (c->record.k > 0 && c->record.lists->suppression)
		leave_out_suppressed(c);
	cdp_record_arrays(&c->record, false, &values[0], &values[1]);
	values[2] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&c->refused, WJB_END_ARRAY, NULL)));
	row = cdp_result(fcinfo, upper, values, nulls);
	SPI_finish();
	return row;
}

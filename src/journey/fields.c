/*
 * fields.c
 *		Options of the passes, from their table of fields.
 */
#include "journey/fields.h"

#include "base/calendar.h"
#include "base/durations.h"
#include "base/option.h"
#include "base/suggest.h"
#include "base/wire.h"
#include "catalog/pg_type.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#define AT(type, options, field) ((type *) ((char *) (options) + (field)->offset))
#define KEPT(type, options, field) ((const type *) ((const char *) (options) + (field)->offset))

/* Types of the arguments of a function that makes options, by kind of field. */
static const Oid argument_types[] = {
	TEXTARRAYOID, INTERVALOID, TEXTOID, BOOLOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INTERVALARRAYOID, JSONBOID,
};

StaticAssertDecl(lengthof(argument_types) == CDP_FIELD_OTHER + 1, "types of fields differ from their kinds");

/* What a field is called in errors. */
static CdpOptionName
name_of(const CdpFields *fields, const char *name)
{
	return (CdpOptionName) {fields->pass, fields->maker, name};
}

/* Raises the error for an option that does not fit; expected ends with a comma or is a noun phrase. */
void
cdp_fields_bad(const CdpFields *fields, const char *name, const char *expected)
{
	CdpOptionName option = name_of(fields, name);

	cdp_option_bad(&option, expected);
}

/* A duration from text. */
static int64
read_duration(const char *text, const char *name)
{
	return strcmp(text, "unbounded") == 0 ? PG_INT64_MAX : cdp_duration_from_text(text, name);
}

/* Reads a list of durations. */
static CdpDurations
read_durations(const CdpOptionName *option, const JsonbValue *v)
{
	CdpDurations list;
	char	  **text = cdp_option_list(option, v, &list.n);

	list.item = palloc(sizeof(int64) * Max(list.n, 1));
	for (int i = 0; i < list.n; i++)
		list.item[i] = read_duration(text[i], option->name);
	return list;
}

/* Reads one field. */
static void
read_field(const CdpFields *fields, const CdpField *field, void *options, const JsonbValue *v)
{
	CdpOptionName option = name_of(fields, field->name);
	char	   *text;

	switch (field->kind)
	{
		case CDP_FIELD_TEXTS:
			AT(CdpTexts, options, field)->item = cdp_option_list(&option, v, &AT(CdpTexts, options, field)->n);
			break;
		case CDP_FIELD_DURATION:
			*AT(int64, options, field) = read_duration(cdp_option_text(&option, v), field->name);
			break;
		case CDP_FIELD_WORD:
			*AT(int, options, field) = cdp_option_word(&option, v, field->words, field->nwords);
			break;
		case CDP_FIELD_BOOL:
			*AT(bool, options, field) = cdp_option_bool(&option, v);
			break;
		case CDP_FIELD_COUNT:
			*AT(int, options, field) = cdp_option_count(&option, v);
			break;
		case CDP_FIELD_TIME:
			*AT(int64, options, field) = cdp_time_from_text(cdp_option_text(&option, v), psprintf("%s options", fields->pass));
			break;
		case CDP_FIELD_ZONE:
			text = cdp_option_text(&option, v);
			(void) cdp_zone_from_text(text);
			*AT(char *, options, field) = text;
			break;
		case CDP_FIELD_PERIOD:
			*AT(CdpPeriod, options, field) = cdp_period_from_text(cdp_option_text(&option, v), field->name);
			break;
		case CDP_FIELD_DURATIONS:
			*AT(CdpDurations, options, field) = read_durations(&option, v);
			break;
		case CDP_FIELD_OTHER:
			fields->read_other(options, v);
			break;
	}
}

/* Reads and checks options; an unknown one is an error with the nearest name. All in cxt. */
void *
cdp_fields_read(const CdpFields *fields, Jsonb *jsonb, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	void	   *options = palloc0(fields->size);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	fields->defaults(options);
	if (jsonb != NULL && !JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s options are no object", fields->pass),
				 errhint("Options are made with %s(...).", fields->maker)));
	it = jsonb == NULL ? NULL : JsonbIteratorInit(&jsonb->root);
	while (it != NULL && (token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		while (i < fields->n && strcmp(name, fields->field[i].name) != 0)
			i++;
		if (i == fields->n)
		{
			const char **names = palloc(sizeof(char *) * fields->n);

			for (i = 0; i < fields->n; i++)
				names[i] = fields->field[i].name;
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown %s option \"%s\"", fields->pass, name),
					 cdp_suggest_hint(name, names, fields->n)));
		}
		(void) JsonbIteratorNext(&it, &v, true);
		/* A JSON null leaves the default. */
		if (v.type != jbvNull)
			read_field(fields, &fields->field[i], options, &v);
	}
	fields->check(options);
	MemoryContextSwitchTo(old);
	return options;
}

/* Reads the options out of a value of a result, where text that makes none is what is wrong (22P03). All in cxt. */
void *
cdp_fields_read_text(const CdpFields *fields, const char *text, MemoryContext cxt)
{
	MemoryContext old = CurrentMemoryContext;
	void	   *volatile options = NULL;

	/* Reading them holds nothing that an error would leave behind. */
	PG_TRY();
	{
		options = cdp_fields_read(fields, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text))), cxt);
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(old);
		FlushErrorState();
	}
	PG_END_TRY();
	if (options == NULL)
		cdp_wire_broken("options");
	return options;
}

/* Appends a list of durations, null when there are none. */
static void
write_durations(const CdpDurations *list, StringInfo buf)
{
	for (int i = 0; i < list->n; i++)
	{
		appendStringInfoChar(buf, i == 0 ? '[' : ',');
		cdp_option_append_duration(buf, list->item[i]);
	}
	appendStringInfoString(buf, list->n > 0 ? "]" : "null");
}

/* Appends one field as JSON. */
static void
write_field(const CdpFields *fields, const CdpField *field, const void *options, StringInfo buf)
{
	switch (field->kind)
	{
		case CDP_FIELD_TEXTS:
			cdp_option_append_list(buf, KEPT(CdpTexts, options, field)->item, KEPT(CdpTexts, options, field)->n);
			break;
		case CDP_FIELD_DURATION:
			cdp_option_append_duration(buf, *KEPT(int64, options, field));
			break;
		case CDP_FIELD_WORD:
			escape_json(buf, field->words[*KEPT(int, options, field)]);
			break;
		case CDP_FIELD_BOOL:
			appendStringInfoString(buf, *KEPT(bool, options, field) ? "true" : "false");
			break;
		case CDP_FIELD_COUNT:
			appendStringInfo(buf, "%d", *KEPT(int, options, field));
			break;
		case CDP_FIELD_TIME:
			cdp_option_append_time(buf, *KEPT(int64, options, field));
			break;
		case CDP_FIELD_ZONE:
			escape_json(buf, *KEPT(char *, options, field));
			break;
		case CDP_FIELD_PERIOD:
			appendStringInfoChar(buf, '"');
			cdp_period_append(buf, *KEPT(CdpPeriod, options, field));
			appendStringInfoChar(buf, '"');
			break;
		case CDP_FIELD_DURATIONS:
			write_durations(KEPT(CdpDurations, options, field), buf);
			break;
		case CDP_FIELD_OTHER:
			fields->write_other(options, buf);
			break;
	}
}

/* Appends the options as canonical JSON: every field, in a fixed order. */
void
cdp_fields_write(const CdpFields *fields, const void *options, StringInfo buf)
{
	for (int i = 0; i < fields->n; i++)
	{
		appendStringInfo(buf, "%c\"%s\":", i == 0 ? '{' : ',', fields->field[i].name);
		write_field(fields, &fields->field[i], options, buf);
	}
	appendStringInfoChar(buf, '}');
}

/* The arguments of a function that makes options, checked, as canonical jsonb. */
Datum
cdp_fields_make(FunctionCallInfo fcinfo, const CdpFields *fields)
{
	StringInfoData buf;
	Datum		json;

	initStringInfo(&buf);
	/* Each argument brings its comma: one that leaves a default stands before them. */
	appendStringInfo(&buf, "{\"%s\":null", fields->field[0].name);
	for (int i = 0; i < fields->n; i++)
	{
		CdpOptionName option = name_of(fields, fields->field[i].name);

		cdp_option_append_argument(fcinfo, i, &option, argument_types[fields->field[i].kind], &buf);
	}
	appendStringInfoChar(&buf, '}');
	json = DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
	resetStringInfo(&buf);
	cdp_fields_write(fields, cdp_fields_read(fields, DatumGetJsonbP(json), CurrentMemoryContext), &buf);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

/* Whether a text is in a list. */
bool
cdp_texts_have(const CdpTexts *texts, const char *text)
{
	for (int i = 0; i < texts->n; i++)
		if (strcmp(texts->item[i], text) == 0)
			return true;
	return false;
}

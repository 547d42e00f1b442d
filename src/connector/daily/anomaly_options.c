/*
 * anomaly_options.c
 *		Options of the passes over daily values: read from jsonb, checked, and
 *		written back in canonical form.
 */
#include "connector/daily/anomaly_calls.h"

#include <math.h>

#include "base/option.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/numeric.h"

#define MOST_FLOOR_OF_COUNTS 100

typedef enum FieldKind
{
	FIELD_INT,
	FIELD_NUMBER,
	FIELD_WORD,
	FIELD_DATE
} FieldKind;

typedef struct Field
{
	const char *name;
	FieldKind	kind;
	Size		offset;
	double		least;
	double		most;
	const char *const *words;
	int			nwords;
} Field;

static const char *const transform_words[] = {"anscombe", "none"};
static const char *const absent_words[] = {"unknown", "zero"};

#define NUMBER_FIELD(member, field_kind, least, most) {#member, field_kind, offsetof(CdpAnomalyOptions, member), least, most, NULL, 0}
#define WORD_FIELD(member, words) {#member, FIELD_WORD, offsetof(CdpAnomalyOptions, member), 0, 0, words, lengthof(words)}

/* In the order of the arguments of cdp.anomaly_options(). */
static const Field fields[] = {
	NUMBER_FIELD(season, FIELD_INT, 1, CDP_ANOMALY_MOST_SEASON),
	NUMBER_FIELD(window, FIELD_INT, 4, CDP_ANOMALY_MOST_WINDOW),
	NUMBER_FIELD(threshold, FIELD_NUMBER, 0.5, 100),
	NUMBER_FIELD(floor, FIELD_NUMBER, 1e-12, 1e12),
	NUMBER_FIELD(min_history, FIELD_INT, 4, 2 * CDP_ANOMALY_MOST_WINDOW),
	NUMBER_FIELD(tiny, FIELD_NUMBER, 0, 1000),
	NUMBER_FIELD(tail_p, FIELD_NUMBER, 0, 0.5),
	NUMBER_FIELD(run_p, FIELD_NUMBER, 0, 0.5),
	WORD_FIELD(transform, transform_words),
	WORD_FIELD(absent, absent_words),
	NUMBER_FIELD(since, FIELD_DATE, 0, 0),
	NUMBER_FIELD(until, FIELD_DATE, 0, 0),
};

#define AT(type, options, field) ((type *) ((char *) (options) + (field)->offset))

/* What a field is called in errors. */
static CdpOptionName
name_of(const Field *field)
{
	return (CdpOptionName) {"anomaly", "cdp.anomaly_options", field->name};
}

/* A number of the options within the bounds of its field. */
static double
read_number(const Field *field, const JsonbValue *v)
{
	CdpOptionName option = name_of(field);
	double		x = v->type != jbvNumeric ? NAN : DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));

	if (!(x >= field->least && x <= field->most) || (field->kind == FIELD_INT && x != rint(x)))
		cdp_option_bad(&option, psprintf("A %s from %g to %g", field->kind == FIELD_INT ? "whole number" : "number", field->least, field->most));
	return x;
}

/* A day of the options, YYYY-MM-DD: other forms depend on the session and on the clock. */
static int32
read_day(const Field *field, const JsonbValue *v)
{
	CdpOptionName option = name_of(field);
	const char *text = cdp_option_text(&option, v);
	int			part[3] = {0};
	bool		good = strlen(text) == 10;

	for (int i = 0; good && i < 10; i++)
	{
		int			which = i < 4 ? 0 : i < 7 ? 1 : 2;

		if (i == 4 || i == 7)
			good = text[i] == '-';
		else if ((good = text[i] >= '0' && text[i] <= '9'))
			part[which] = part[which] * 10 + text[i] - '0';
	}
	if (!good || part[0] < 1 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > day_tab[isleap(part[0])][part[1] - 1])
		cdp_option_bad(&option, "A day such as 2026-01-31");
	return date2j(part[0], part[1], part[2]) - POSTGRES_EPOCH_JDATE;
}

/* Reads one field. */
static void
read_field(const Field *field, CdpAnomalyOptions *o, const JsonbValue *v)
{
	CdpOptionName option = name_of(field);

	switch (field->kind)
	{
		case FIELD_INT:
			*AT(int, o, field) = (int) read_number(field, v);
			break;
		case FIELD_NUMBER:
			*AT(double, o, field) = read_number(field, v);
			break;
		case FIELD_WORD:
			*AT(int, o, field) = cdp_option_word(&option, v, field->words, field->nwords);
			break;
		case FIELD_DATE:
			*AT(int32, o, field) = read_day(field, v);
			break;
	}
}

/* Refuses options that contradict each other, and fills in those that follow from others. */
static void
check_options(CdpAnomalyOptions *o)
{
	CdpOptionName option = {"anomaly", "cdp.anomaly_options"};

	if (o->window == 0)
		o->window = Max(8 * o->season, 28);
	if (o->min_history == 0)
		o->min_history = Max(4 * o->season, 14);
	if (o->window < 2 * o->season)
	{
		option.name = "window";
		cdp_option_bad(&option, psprintf("Two seasons, %d days, at least", 2 * o->season));
	}
	if (o->min_history / 2 > o->window)
	{
		option.name = "min_history";
		cdp_option_bad(&option, psprintf("Twice the window, %d days, at most", 2 * o->window));
	}
	if (isnan(o->floor) && o->transform != CDP_TRANSFORM_ANSCOMBE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("anomaly option \"floor\" is missing"),
				 errdetail("Values that are no counts have no error of their own to start from."),
				 errhint("Give the smallest error worth telling in their unit, such as floor => 0.01 for a rate.")));
	if (isnan(o->floor))
		o->floor = 1;
	if (o->transform == CDP_TRANSFORM_ANSCOMBE && o->floor > MOST_FLOOR_OF_COUNTS)
	{
		option.name = "floor";
		cdp_option_bad(&option, psprintf("A number up to %d for counts, whose own error is 1,", MOST_FLOOR_OF_COUNTS));
	}
	if (o->since > o->until)
	{
		option.name = "since";
		cdp_option_bad(&option, "A day up to \"until\"");
	}
}

/* Reads and checks options; an unknown one is an error with the nearest name. */
void
cdp_anomaly_options_read(Jsonb *jsonb, CdpAnomalyOptions *o)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	*o = (CdpAnomalyOptions) {.season = 7, .threshold = 3.5, .floor = NAN, .tiny = 10, .tail_p = 0.0005, .run_p = 0.008,
	.since = PG_INT32_MIN, .until = PG_INT32_MAX};
	if (jsonb != NULL && !JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("anomaly options are no object"),
				 errhint("Options are made with cdp.anomaly_options(...).")));
	it = jsonb == NULL ? NULL : JsonbIteratorInit(&jsonb->root);
	while (it != NULL && (token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		while (i < lengthof(fields) && strcmp(name, fields[i].name) != 0)
			i++;
		if (i == lengthof(fields))
		{
			const char *names[lengthof(fields)];

			for (i = 0; i < lengthof(fields); i++)
				names[i] = fields[i].name;
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown anomaly option \"%s\"", name),
					 cdp_suggest_hint(name, names, lengthof(fields))));
		}
		(void) JsonbIteratorNext(&it, &v, true);
		/* A JSON null leaves the default. */
		if (v.type != jbvNull)
			read_field(&fields[i], o, &v);
	}
	check_options(o);
}

/* Appends a day as a JSON string, whatever the session's DateStyle. */
static void
append_day(StringInfo buf, DateADT day)
{
	struct pg_tm tm = {0};
	char		text[MAXDATELEN + 1];

	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, text);
	escape_json(buf, text);
}

/* Appends a number as JSON in the fewest digits that give it back. */
static void
append_number(StringInfo buf, const Field *field, double x)
{
	CdpOptionName option = name_of(field);

	if (isnan(x) || isinf(x))
		cdp_option_bad(&option, psprintf("A number from %g to %g", field->least, field->most));
	appendStringInfoString(buf, float8out_internal(x));
}

/* Appends an argument of the function that makes options. */
static void
append_argument(FunctionCallInfo fcinfo, int arg, StringInfo buf)
{
	const Field *field = &fields[arg];
	CdpOptionName option = name_of(field);

	if (PG_ARGISNULL(arg))
		return;
	appendStringInfo(buf, ",\"%s\":", field->name);
	switch (field->kind)
	{
		case FIELD_INT:
			appendStringInfo(buf, "%d", PG_GETARG_INT32(arg));
			break;
		case FIELD_NUMBER:
			append_number(buf, field, PG_GETARG_FLOAT8(arg));
			break;
		case FIELD_WORD:
			escape_json(buf, text_to_cstring(PG_GETARG_TEXT_PP(arg)));
			break;
		case FIELD_DATE:
			if (DATE_NOT_FINITE(PG_GETARG_DATEADT(arg)))
				cdp_option_bad(&option, "A finite day");
			append_day(buf, PG_GETARG_DATEADT(arg));
			break;
	}
}

CDP_FUNCTION(cdp_anomaly_options);

/* cdp.anomaly_options(...): checked options as canonical jsonb, in the caller's context. */
Datum
cdp_anomaly_options(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	CdpAnomalyOptions o;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"season\":null");
	for (int i = 0; i < lengthof(fields); i++)
		append_argument(fcinfo, i, &buf);
	appendStringInfoChar(&buf, '}');
	cdp_anomaly_options_read(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data))), &o);
	resetStringInfo(&buf);
	for (int i = 0; i < lengthof(fields); i++)
	{
		const Field *field = &fields[i];

		if (field->kind == FIELD_DATE && (*AT(int32, &o, field) == PG_INT32_MIN || *AT(int32, &o, field) == PG_INT32_MAX))
			continue;
		appendStringInfo(&buf, "%c\"%s\":", i == 0 ? '{' : ',', field->name);
		if (field->kind == FIELD_INT)
			appendStringInfo(&buf, "%d", *AT(int, &o, field));
		else if (field->kind == FIELD_NUMBER)
			append_number(&buf, field, *AT(double, &o, field));
		else if (field->kind == FIELD_WORD)
			escape_json(&buf, field->words[*AT(int, &o, field)]);
		else
			append_day(&buf, *AT(int32, &o, field));
	}
	appendStringInfoChar(&buf, '}');
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

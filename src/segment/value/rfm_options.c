/*
 * rfm_options.c
 *		Options of a summary of purchases: read from jsonb, checked, and written back
 *		in canonical form.
 */
#include "segment/value/rfm.h"

#include "base/durations.h"
#include "base/option.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"

typedef enum RfmField
{
	RFM_AS_OF,
	RFM_HOLDOUT_UNTIL,
	RFM_UNIT,
	RFM_ONCE_PER,
	RFM_INCLUDE_FIRST,
	RFM_TIMEZONE,
	RFM_FIELDS
} RfmField;

static const char *const field_names[] = {"as_of", "holdout_until", "unit", "once_per", "include_first", "timezone"};

/* Types of the arguments of cdp.rfm_options(), in the order of the fields. */
static const Oid field_types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID};

StaticAssertDecl(lengthof(field_names) == RFM_FIELDS, "names of rfm options differ from their fields");
StaticAssertDecl(lengthof(field_types) == RFM_FIELDS, "types of rfm options differ from their fields");

/* In the order of CdpPeriod. */
static const char *const period_words[] = {"none", "day", "week", "month", "year"};

/* What a field is called in errors; palloc'd. */
static const CdpOptionName *
name_of(RfmField field)
{
	CdpOptionName *option = palloc(sizeof(CdpOptionName));

	*option = (CdpOptionName) {"rfm", "cdp.rfm_options", field_names[field]};
	return option;
}

/* Reads one field; a JSON null leaves the default. */
static void
read_field(CdpRfmOptions *o, RfmField field, const JsonbValue *v)
{
	const CdpOptionName *option = name_of(field);

	switch (field)
	{
		case RFM_AS_OF:
			o->as_of = cdp_time_from_text(cdp_option_text(option, v), "rfm options");
			break;
		case RFM_HOLDOUT_UNTIL:
			o->holdout_until = cdp_time_from_text(cdp_option_text(option, v), "rfm options");
			break;
		case RFM_UNIT:
			o->unit = 1 + cdp_option_word(option, v, period_words + 1, lengthof(period_words) - 1);
			break;
		case RFM_ONCE_PER:
			o->once_per = cdp_option_word(option, v, period_words, lengthof(period_words));
			break;
		case RFM_INCLUDE_FIRST:
			o->include_first = cdp_option_bool(option, v);
			break;
		case RFM_TIMEZONE:
			o->zone_name = cdp_option_text(option, v);
			break;
		case RFM_FIELDS:
			break;
	}
}

/* Refuses options that are missing or contradict each other, and looks up the zone. */
static void
check_options(CdpRfmOptions *o)
{
	if (TIMESTAMP_NOT_FINITE(o->as_of))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rfm options need a finite \"as_of\""),
				 errdetail("Recency and age count to the end of what is known."),
				 errhint("Purchases before it count: cdp.rfm_options(as_of => '1997-10-01 00:00+00').")));
	if (o->holdout_until != PG_INT64_MIN && (TIMESTAMP_NOT_FINITE(o->holdout_until) || o->holdout_until < o->as_of))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rfm option \"holdout_until\" is not after \"as_of\""),
				 errhint("The holdout is as_of <= time < holdout_until.")));
	o->zone = pg_tzset(o->zone_name);
	if (o->zone == NULL || !pg_tz_acceptable(o->zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown time zone \"%s\"", o->zone_name),
				 errhint("Names are in pg_timezone_names, such as Asia/Shanghai.")));
}

/* Reads and checks options; an unknown one is an error with the nearest name. All in cxt. */
CdpRfmOptions *
cdp_rfm_options_read(Jsonb *jsonb, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpRfmOptions *o = palloc0(sizeof(CdpRfmOptions));
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	o->as_of = DT_NOEND;
	o->holdout_until = PG_INT64_MIN;
	o->once_per = CDP_PERIOD_DAY;
	o->unit = CDP_PERIOD_DAY;
	o->zone_name = "UTC";
	if (jsonb != NULL && !JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rfm options are no object"),
				 errhint("Options are made with cdp.rfm_options(...).")));
	it = jsonb == NULL ? NULL : JsonbIteratorInit(&jsonb->root);
	while (it != NULL && (token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;
		int			field = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		while (field < RFM_FIELDS && strcmp(name, field_names[field]) != 0)
			field++;
		if (field == RFM_FIELDS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown rfm option \"%s\"", name),
					 cdp_suggest_hint(name, field_names, RFM_FIELDS)));
		(void) JsonbIteratorNext(&it, &v, true);
		if (v.type != jbvNull)
			read_field(o, field, &v);
	}
	check_options(o);
	MemoryContextSwitchTo(old);
	return o;
}

CDP_FUNCTION(cdp_rfm_options);

/* cdp.rfm_options(...): checked options as canonical jsonb, in the caller's context. */
Datum
cdp_rfm_options(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	CdpRfmOptions *o;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"unit\":null");
	for (int field = 0; field < RFM_FIELDS; field++)
		cdp_option_append_argument(fcinfo, field, name_of(field), field_types[field], &buf);
	appendStringInfoChar(&buf, '}');
	o = cdp_rfm_options_read(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data))), CurrentMemoryContext);
	resetStringInfo(&buf);
	appendStringInfoString(&buf, "{\"as_of\":");
	cdp_option_append_time(&buf, o->as_of);
	if (o->holdout_until != PG_INT64_MIN)
	{
		appendStringInfoString(&buf, ",\"holdout_until\":");
		cdp_option_append_time(&buf, o->holdout_until);
	}
	appendStringInfo(&buf, ",\"unit\":\"%s\",\"once_per\":\"%s\",\"include_first\":%s,\"timezone\":", period_words[o->unit],
					 period_words[o->once_per], o->include_first ? "true" : "false");
	cdp_option_append_text(&buf, o->zone_name);
	appendStringInfoChar(&buf, '}');
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

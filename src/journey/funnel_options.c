/*
 * funnel_options.c
 *		Options of a funnel: read from jsonb, checked, and written back in
 *		canonical form.
 */
#include "journey/funnel.h"

#include "base/durations.h"
#include "base/option.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/json.h"

typedef enum FunnelField
{
	FUNNEL_STEPS,
	FUNNEL_WITHIN,
	FUNNEL_STEP_WITHIN,
	FUNNEL_ORDER,
	FUNNEL_TIES,
	FUNNEL_EXCLUDE,
	FUNNEL_EXCLUDE_BETWEEN,
	FUNNEL_BREAKDOWN,
	FUNNEL_DURATIONS,
	FUNNEL_SINCE,
	FUNNEL_UNTIL,
	FUNNEL_AS_OF,
	FUNNEL_FIELDS
} FunnelField;

static const char *const field_names[] = {
	"steps", "within", "step_within", "step_order", "ties", "exclude", "exclude_between", "breakdown", "durations",
	"since", "until", "as_of",
};

/* Types of the arguments of cdp.funnel_options(), in the order of the fields. */
static const Oid field_types[] = {
	TEXTARRAYOID, INTERVALOID, INTERVALARRAYOID, TEXTOID, TEXTOID, TEXTARRAYOID, JSONBOID, TEXTOID, BOOLOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
};

StaticAssertDecl(lengthof(field_names) == FUNNEL_FIELDS, "names of funnel options differ from their fields");
StaticAssertDecl(lengthof(field_types) == FUNNEL_FIELDS, "types of funnel options differ from their fields");

static const char *const order_words[] = {"ordered", "strict", "unordered"};
static const char *const tie_words[] = {"apart", "by_id"};
static const char *const breakdown_words[] = {"first", "last"};

/* What a field is called in errors; palloc'd. */
static const CdpOptionName *
name_of(FunnelField field)
{
	CdpOptionName *option = palloc(sizeof(CdpOptionName));

	*option = (CdpOptionName) {"funnel", "cdp.funnel_options", field_names[field]};
	return option;
}

/* The labels of a step, divided by | (a backslash before it makes it part of a label); palloc'd. */
char **
cdp_funnel_step_labels(const char *step, int *n)
{
	char	  **label = palloc(sizeof(char *) * (strlen(step) + 1));
	StringInfoData one;

	*n = 0;
	initStringInfo(&one);
	for (const char *p = step;; p++)
	{
		if (*p == '\0' || *p == '|')
		{
			label[(*n)++] = pstrdup(one.data);
			resetStringInfo(&one);
			if (*p == '\0')
				break;
		}
		else if (*p == '\\' && (p[1] == '|' || p[1] == '\\'))
			appendStringInfoChar(&one, *++p);
		else
			appendStringInfoChar(&one, *p);
	}
	pfree(one.data);
	return label;
}

/* The two steps between which excluded rows break a chain. */
static void
read_between(CdpFunnelOptions *o, const JsonbValue *v)
{
	const CdpOptionName *option = name_of(FUNNEL_EXCLUDE_BETWEEN);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			step[2] = {0, 0};
	int			n = 0;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerSize(v->val.binary.data) != 2)
		cdp_option_bad(option, "A list of two steps such as [1, 3]");
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			step[n++] = cdp_option_count(option, &item);
	o->exclude_from = step[0];
	o->exclude_to = step[1];
}

/* The limits from step to step. */
static void
read_step_within(CdpFunnelOptions *o, const JsonbValue *v)
{
	char	  **text = cdp_option_list(name_of(FUNNEL_STEP_WITHIN), v, &o->nstep_within);

	o->step_within = palloc(sizeof(int64) * Max(o->nstep_within, 1));
	for (int i = 0; i < o->nstep_within; i++)
		o->step_within[i] = strcmp(text[i], "unbounded") == 0 ? PG_INT64_MAX
			: cdp_duration_from_text(text[i], field_names[FUNNEL_STEP_WITHIN]);
}

/* Reads one field; a JSON null leaves the default. */
static void
read_field(CdpFunnelOptions *o, FunnelField field, const JsonbValue *v)
{
	const CdpOptionName *option = name_of(field);
	char	   *text;

	switch (field)
	{
		case FUNNEL_STEPS:
			o->step = cdp_option_list(option, v, &o->nsteps);
			break;
		case FUNNEL_WITHIN:
			text = cdp_option_text(option, v);
			o->within = strcmp(text, "unbounded") == 0 ? PG_INT64_MAX : cdp_duration_from_text(text, option->name);
			break;
		case FUNNEL_STEP_WITHIN:
			read_step_within(o, v);
			break;
		case FUNNEL_ORDER:
			o->order = cdp_option_word(option, v, order_words, lengthof(order_words));
			break;
		case FUNNEL_TIES:
			o->ties_count = cdp_option_word(option, v, tie_words, lengthof(tie_words)) == 1;
			break;
		case FUNNEL_EXCLUDE:
			o->exclude = cdp_option_list(option, v, &o->nexclude);
			break;
		case FUNNEL_EXCLUDE_BETWEEN:
			read_between(o, v);
			break;
		case FUNNEL_BREAKDOWN:
			o->breakdown_last = cdp_option_word(option, v, breakdown_words, lengthof(breakdown_words)) == 1;
			break;
		case FUNNEL_DURATIONS:
			o->durations = cdp_option_bool(option, v);
			break;
		case FUNNEL_SINCE:
			o->since = cdp_time_from_text(cdp_option_text(option, v), "funnel options");
			break;
		case FUNNEL_UNTIL:
			o->until = cdp_time_from_text(cdp_option_text(option, v), "funnel options");
			break;
		case FUNNEL_AS_OF:
			o->as_of = cdp_time_from_text(cdp_option_text(option, v), "funnel options");
			break;
		case FUNNEL_FIELDS:
			break;
	}
}

/* Refuses labels that no row could count for as one thing. */
static void
check_labels(const CdpFunnelOptions *o)
{
	char	  **label[CDP_MAX_STEPS];
	int			n[CDP_MAX_STEPS];

	for (int k = 0; k < o->nsteps; k++)
	{
		label[k] = cdp_funnel_step_labels(o->step[k], &n[k]);
		for (int i = 0; i < n[k]; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (label[k][i][0] == '\0')
				cdp_option_bad(name_of(FUNNEL_STEPS), "A label, or several divided by |,");
			for (int e = 0; e < o->nexclude; e++)
				if (strcmp(label[k][i], o->exclude[e]) == 0)
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("label \"%s\" is both a step and excluded", label[k][i]),
							 errhint("Leave it out of one of them.")));
			for (int j = 0; o->order == CDP_FUNNEL_UNORDERED && j < k; j++)
				for (int m = 0; m < n[j]; m++)
					if (strcmp(label[k][i], label[j][m]) == 0)
						ereport(ERROR,
								(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								 errmsg("label \"%s\" is in two steps of an unordered funnel", label[k][i]),
								 errdetail("One row would count for steps %d and %d.", j + 1, k + 1),
								 errhint("Give each step labels of its own, or ask for step_order => 'ordered'.")));
		}
	}
}

/* Refuses options that contradict each other. */
static void
check_options(CdpFunnelOptions *o)
{
	if (o->nsteps < 1 || o->nsteps > CDP_MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a funnel needs 1 to %d steps", CDP_MAX_STEPS),
				 errdetail("%d are given.", o->nsteps),
				 errhint("Name them in order: cdp.funnel_options(steps => '{visit,cart,purchase}').")));
	if (o->nstep_within > 0 && (o->nstep_within != o->nsteps - 1 || o->order == CDP_FUNNEL_UNORDERED))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel option \"step_within\" does not fit the steps"),
				 errdetail("%d limits are given for %d steps%s.", o->nstep_within, o->nsteps,
						   o->order == CDP_FUNNEL_UNORDERED ? " in any order" : ""),
				 errhint("Give one limit for each step but the first; steps in any order have only \"within\".")));
	if (o->exclude_to == 0)
		o->exclude_to = o->nsteps;
	if (o->exclude_to > o->nsteps || o->exclude_from > o->exclude_to || (o->exclude_from == o->exclude_to && o->nsteps > 1))
		cdp_option_bad(name_of(FUNNEL_EXCLUDE_BETWEEN), "Two steps of the funnel in order");
	if (o->order == CDP_FUNNEL_UNORDERED && (o->exclude_from != 1 || o->exclude_to != o->nsteps))
		cdp_option_bad(name_of(FUNNEL_EXCLUDE_BETWEEN), "Nothing, as the steps come in any order,");
	if (o->ties_count && o->order == CDP_FUNNEL_UNORDERED)
		cdp_option_bad(name_of(FUNNEL_TIES), "Nothing, as the steps come in any order,");
	if (o->since >= o->until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel option \"since\" is not before \"until\""),
				 errhint("The interval is half-open: since <= time of the first step < until.")));
	check_labels(o);
}

/* Reads and checks options; an unknown one is an error with the nearest name. All in cxt. */
CdpFunnelOptions *
cdp_funnel_options_read(Jsonb *jsonb, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpFunnelOptions *o = palloc0(sizeof(CdpFunnelOptions));
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	o->within = PG_INT64_MAX;
	o->exclude_from = 1;
	o->durations = true;
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
	if (jsonb != NULL && !JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel options are no object"),
				 errhint("Options are made with cdp.funnel_options(...).")));
	it = jsonb == NULL ? NULL : JsonbIteratorInit(&jsonb->root);
	while (it != NULL && (token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;
		int			field = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		while (field < FUNNEL_FIELDS && strcmp(name, field_names[field]) != 0)
			field++;
		if (field == FUNNEL_FIELDS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown funnel option \"%s\"", name),
					 cdp_suggest_hint(name, field_names, FUNNEL_FIELDS)));
		(void) JsonbIteratorNext(&it, &v, true);
		if (v.type != jbvNull)
			read_field(o, field, &v);
	}
	check_options(o);
	MemoryContextSwitchTo(old);
	return o;
}

/* Appends the options as canonical JSON: every field, in a fixed order. */
void
cdp_funnel_options_write(const CdpFunnelOptions *o, StringInfo buf)
{
	appendStringInfoString(buf, "{\"steps\":");
	cdp_option_append_list(buf, o->step, o->nsteps);
	appendStringInfoString(buf, ",\"within\":");
	cdp_option_append_duration(buf, o->within);
	appendStringInfoString(buf, ",\"step_within\":");
	for (int i = 0; i < o->nstep_within; i++)
	{
		appendStringInfoChar(buf, i == 0 ? '[' : ',');
		cdp_option_append_duration(buf, o->step_within[i]);
	}
	appendStringInfo(buf, o->nstep_within > 0 ? "]" : "null");
	appendStringInfo(buf, ",\"step_order\":\"%s\",\"ties\":\"%s\",\"exclude\":", order_words[o->order], tie_words[o->ties_count]);
	cdp_option_append_list(buf, o->exclude, o->nexclude);
	appendStringInfo(buf, ",\"exclude_between\":[%d,%d],\"breakdown\":\"%s\",\"durations\":%s,\"since\":",
					 o->exclude_from, o->exclude_to, breakdown_words[o->breakdown_last], o->durations ? "true" : "false");
	cdp_option_append_time(buf, o->since);
	appendStringInfoString(buf, ",\"until\":");
	cdp_option_append_time(buf, o->until);
	appendStringInfoString(buf, ",\"as_of\":");
	cdp_option_append_time(buf, o->as_of);
	appendStringInfoChar(buf, '}');
}

CDP_FUNCTION(cdp_funnel_options);

/* cdp.funnel_options(...): checked options as canonical jsonb, in the caller's context. */
Datum
cdp_funnel_options(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	Datum		json;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"within\":null");
	for (int field = 0; field < FUNNEL_FIELDS; field++)
		cdp_option_append_argument(fcinfo, field, name_of(field), field_types[field], &buf);
	appendStringInfoChar(&buf, '}');
	json = DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
	resetStringInfo(&buf);
	cdp_funnel_options_write(cdp_funnel_options_read(DatumGetJsonbP(json), CurrentMemoryContext), &buf);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

CDP_FUNCTION(cdp_funnel_labels);

/* The labels of a step as an array, in the caller's context. */
Datum
cdp_funnel_labels(PG_FUNCTION_ARGS)
{
	int			n;
	char	  **label = cdp_funnel_step_labels(text_to_cstring(PG_GETARG_TEXT_PP(0)), &n);
	Datum	   *item = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		item[i] = CStringGetTextDatum(label[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(item, n, TEXTOID, -1, false, TYPALIGN_INT));
}

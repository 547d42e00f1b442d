/*
 * funnel_options.c
 *		Options of a funnel: what their fields are, checked together.
 */
#include "journey/funnel.h"

#include "base/option.h"
#include "catalog/pg_type.h"
#include "utils/array.h"

static const char *const order_words[] = {"ordered", "strict", "unordered"};
static const char *const tie_words[] = {"apart", "by_id"};
static const char *const breakdown_words[] = {"first", "last"};

static const CdpField funnel_field[] = {
	CDP_FIELD(CdpFunnelOptions, steps, TEXTS),
	CDP_FIELD(CdpFunnelOptions, within, DURATION),
	CDP_FIELD(CdpFunnelOptions, step_within, DURATIONS),
	CDP_FIELD_WORDS(CdpFunnelOptions, step_order, order_words),
	CDP_FIELD_WORDS(CdpFunnelOptions, ties, tie_words),
	CDP_FIELD(CdpFunnelOptions, exclude, TEXTS),
	CDP_FIELD(CdpFunnelOptions, exclude_between, OTHER),
	CDP_FIELD_WORDS(CdpFunnelOptions, breakdown, breakdown_words),
	CDP_FIELD(CdpFunnelOptions, durations, BOOL),
	CDP_FIELD(CdpFunnelOptions, since, TIME),
	CDP_FIELD(CdpFunnelOptions, until, TIME),
	CDP_FIELD(CdpFunnelOptions, as_of, TIME),
};

static void funnel_defaults(void *options);
static void funnel_check(void *options);
static void read_between(void *options, const JsonbValue *v);
static void write_between(const void *options, StringInfo buf);

const CdpFields cdp_funnel_fields = {
	"funnel", "cdp.funnel_options", funnel_field, lengthof(funnel_field), sizeof(CdpFunnelOptions),
	funnel_defaults, funnel_check, read_between, write_between,
};

/* Steps in order, whatever lies between them and however long it takes. */
static void
funnel_defaults(void *options)
{
	CdpFunnelOptions *o = options;

	o->within = PG_INT64_MAX;
	o->durations = true;
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
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

/* Refuses a value of exclude_between. */
CDP_NORETURN static void
bad_between(const char *expected)
{
	cdp_fields_bad(&cdp_funnel_fields, "exclude_between", expected);
}

/* Reads two steps. */
static CdpFunnelRange
read_range(JsonbContainer *pair)
{
	static const CdpOptionName option = {"funnel", "cdp.funnel_options", "exclude_between"};
	JsonbIterator *it = JsonbIteratorInit(pair);
	JsonbIteratorToken token;
	JsonbValue	item;
	int			step[2] = {0, 0};
	int			n = 0;

	if (!JsonContainerIsArray(pair) || JsonContainerSize(pair) != 2)
		bad_between("A list of two steps such as [1, 3]");
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			step[n++] = cdp_option_count(&option, &item);
	return (CdpFunnelRange) {step[0], step[1]};
}

/* The steps between which excluded rows break a chain: two, or two for each excluded label. */
static void
read_between(void *options, const JsonbValue *v)
{
	CdpFunnelOptions *o = options;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerSize(v->val.binary.data) == 0)
		bad_between("A list of two steps such as [1, 3], or one for each excluded label such as [[1, 2], [1, 3]]");
	o->exclude_between = palloc(sizeof(CdpFunnelRange) * JsonContainerSize(v->val.binary.data));
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvBinary)
		{
			o->exclude_between[0] = read_range(v->val.binary.data);
			o->ranges = 1;
			return;
		}
		o->exclude_between[o->ranges++] = read_range(item.val.binary.data);
	}
}

/* Appends them, as two steps where all labels have the same ones. */
static void
write_between(const void *options, StringInfo buf)
{
	const CdpFunnelOptions *o = options;

	if (o->ranges > 1)
		appendStringInfoChar(buf, '[');
	for (int i = 0; i < o->ranges; i++)
		appendStringInfo(buf, "%s[%d,%d]", i == 0 ? "" : ",", o->exclude_between[i].from, o->exclude_between[i].to);
	if (o->ranges > 1)
		appendStringInfoChar(buf, ']');
}

/* Refuses labels that no row could count for as one thing. */
static void
check_labels(const CdpFunnelOptions *o)
{
	char	  **label[CDP_MAX_STEPS];
	int			n[CDP_MAX_STEPS];

	for (int k = 0; k < o->steps.n; k++)
	{
		label[k] = cdp_funnel_step_labels(o->steps.item[k], &n[k]);
		for (int i = 0; i < n[k]; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (label[k][i][0] == '\0')
				cdp_fields_bad(&cdp_funnel_fields, "steps", "A label, or several divided by |,");
			if (cdp_texts_have(&o->exclude, label[k][i]))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("label \"%s\" is both a step and excluded", label[k][i]),
						 errhint("Leave it out of one of them.")));
			for (int j = 0; o->step_order == CDP_FUNNEL_UNORDERED && j < k; j++)
				if (cdp_texts_have(&(CdpTexts) {n[j], label[j]}, label[k][i]))
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("label \"%s\" is in two steps of an unordered funnel", label[k][i]),
							 errdetail("One row would count for steps %d and %d.", j + 1, k + 1),
							 errhint("Give each step labels of its own, or ask for step_order => 'ordered'.")));
		}
	}
}

/* Refuses steps to exclude between that are none; equal ones of all labels become one. */
static void
check_between(CdpFunnelOptions *o)
{
	bool		same = true;

	if (o->ranges == 0)
	{
		o->exclude_between = palloc(sizeof(CdpFunnelRange));
		o->exclude_between[o->ranges++] = (CdpFunnelRange) {1, o->steps.n};
	}
	if (o->ranges > 1 && o->ranges != o->exclude.n)
		bad_between("As many pairs of steps as there are excluded labels, or one for all,");
	for (int i = 0; i < o->ranges; i++)
	{
		const CdpFunnelRange *r = &o->exclude_between[i];

		if (r->to > o->steps.n || r->from > r->to || (r->from == r->to && o->steps.n > 1))
			bad_between("Two steps of the funnel in order");
		if (o->step_order == CDP_FUNNEL_UNORDERED && (r->from != 1 || r->to != o->steps.n))
			bad_between("Nothing, as the steps come in any order,");
		same &= r->from == o->exclude_between[0].from && r->to == o->exclude_between[0].to;
	}
	if (same)
		o->ranges = 1;
}

/* Refuses options that contradict each other. */
static void
funnel_check(void *options)
{
	CdpFunnelOptions *o = options;

	if (o->steps.n < 1 || o->steps.n > CDP_MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a funnel needs 1 to %d steps", CDP_MAX_STEPS),
				 errdetail("%d are given.", o->steps.n),
				 errhint("Name them in order: cdp.funnel_options(steps => '{visit,cart,purchase}').")));
	if (o->step_within.n > 0 && (o->step_within.n != o->steps.n - 1 || o->step_order == CDP_FUNNEL_UNORDERED))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel option \"step_within\" does not fit the steps"),
				 errdetail("%d limits are given for %d steps%s.", o->step_within.n, o->steps.n,
						   o->step_order == CDP_FUNNEL_UNORDERED ? " in any order" : ""),
				 errhint("Give one limit for each step but the first; steps in any order have only \"within\".")));
	check_between(o);
	if (o->ties == CDP_FUNNEL_TIES_BY_ID && o->step_order == CDP_FUNNEL_UNORDERED)
		cdp_fields_bad(&cdp_funnel_fields, "ties", "Nothing, as the steps come in any order,");
	if (o->since >= o->until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel option \"since\" is not before \"until\""),
				 errhint("The interval is half-open: since <= time of the first step < until.")));
	check_labels(o);
}

CDP_FUNCTION(cdp_funnel_options);

/* cdp.funnel_options(...): checked options as canonical jsonb, in the caller's context. */
Datum
cdp_funnel_options(PG_FUNCTION_ARGS)
{
	return cdp_fields_make(fcinfo, &cdp_funnel_fields);
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

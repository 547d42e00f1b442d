/*
 * days.c
 *		The transition functions of the aggregates over daily values, and what
 *		makes rows a series: order, one value a day, days without a row.
 */
#include "connector/daily/anomaly_calls.h"

#include <math.h>

#include "base/option.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/sortsupport.h"

#define ARG_DAY 1
#define ARG_VALUE 2
#define ARG_STATE 3
#define ARG_OPTIONS 4

#define FIRST_ROOM 64

/* Sums and slopes of so many days stay numbers. */
#define MOST_COUNT 1e15
#define MOST_NUMBER 1e150

/* In the order of CdpDayState; the last one says it another way. */
static const char *const state_words[] = {"final", "restated", "provisional", "suspect_zero", "missing", "unavailable"};

/* Starts a state at the first row of its group. */
static CdpDays *
start_days(FunctionCallInfo fcinfo)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	CdpDays    *days;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "pass over daily values called outside an aggregate");
	cxt = AllocSetContextCreate(aggregate, "cdp days", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	days = palloc0(sizeof(CdpDays));
	days->cxt = cxt;
	days->given = PG_ARGISNULL(ARG_OPTIONS) ? NULL : PG_GETARG_JSONB_P_COPY(ARG_OPTIONS);
	days->vary = cdp_option_varies(fcinfo, ARG_OPTIONS);
	cdp_anomaly_options_read(days->given, &days->options);
	days->room = FIRST_ROOM;
	days->point = palloc(sizeof(CdpAnomalyPoint) * days->room);
	MemoryContextSwitchTo(old);
	return days;
}

/* What is known of a row's day; NULL is final. */
static CdpDayState
state_of(FunctionCallInfo fcinfo)
{
	text	   *word;

	if (PG_ARGISNULL(ARG_STATE))
		return CDP_DAY_FINAL;
	if (get_fn_expr_argtype(fcinfo->flinfo, ARG_STATE) == BOOLOID)
		return PG_GETARG_BOOL(ARG_STATE) ? CDP_DAY_FINAL : CDP_DAY_PROVISIONAL;
	word = PG_GETARG_TEXT_PP(ARG_STATE);
	for (int i = 0; i < lengthof(state_words); i++)
		if (VARSIZE_ANY_EXHDR(word) == strlen(state_words[i]) && memcmp(VARDATA_ANY(word), state_words[i], VARSIZE_ANY_EXHDR(word)) == 0)
			return Min(i, CDP_DAY_MISSING);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown state \"%s\" of a day", text_to_cstring(word)),
			 cdp_suggest_hint(text_to_cstring(word), state_words, lengthof(state_words))));
}

/* The state with room for one more day. */
static void
grow(CdpDays *days)
{
	if (days->n < days->room)
		return;
	if (days->n >= CDP_ANOMALY_MOST_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many days for one series"),
				 errdetail("At most %d are taken.", CDP_ANOMALY_MOST_DAYS),
				 errhint("GROUP BY what makes a series, such as channel and metric, and sum its values a day first.")));
	days->room = Min(days->room * 2, CDP_ANOMALY_MOST_DAYS);
	days->point = repalloc(days->point, sizeof(CdpAnomalyPoint) * days->room);
}

CDP_FUNCTION(cdp_days_add);

/* One row of an aggregate over (day, value, state, options); the state lives in the aggregate's context. */
Datum
cdp_days_add(PG_FUNCTION_ARGS)
{
	CdpDays    *days;
	CdpAnomalyPoint *p;
	DateADT		day;

	if (unlikely(PG_ARGISNULL(0)))
		days = start_days(fcinfo);
	else
	{
		days = (CdpDays *) PG_GETARG_POINTER(0);
		if (unlikely(days->vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, days->given, "anomaly");
	}
	if (PG_ARGISNULL(ARG_DAY))
		PG_RETURN_POINTER(days);
	day = PG_GETARG_DATEADT(ARG_DAY);
	if (DATE_NOT_FINITE(day) || day > days->options.until)
		PG_RETURN_POINTER(days);
	grow(days);
	p = &days->point[days->n++];
	*p = (CdpAnomalyPoint) {PG_ARGISNULL(ARG_VALUE) ? NAN : PG_GETARG_FLOAT8(ARG_VALUE), day, state_of(fcinfo)};
	if (PG_ARGISNULL(ARG_VALUE))
		p->state = CDP_DAY_MISSING;
	else if (isnan(p->value) || isinf(p->value) || (p->value < 0 && days->options.transform == CDP_TRANSFORM_ANSCOMBE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value %g of a day is %s", p->value, p->value < 0 && !isinf(p->value) ? "below 0" : "no number"),
				 p->value < 0 && !isinf(p->value) ? errhint("Values that are no counts are judged with cdp.anomaly_options(transform => 'none', floor => ...).") : 0));
	else if (fabs(p->value) > (days->options.transform == CDP_TRANSFORM_ANSCOMBE ? MOST_COUNT : MOST_NUMBER))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value %g of a day is too large", p->value),
				 errdetail("Counts go up to %g, other numbers to %g.", MOST_COUNT, MOST_NUMBER)));
	else if (p->state == CDP_DAY_MISSING)
		p->value = NAN;
	PG_RETURN_POINTER(days);
}

/* Orders points by day. */
static int
compare_days(const void *x, const void *y)
{
	const CdpAnomalyPoint *a = x;
	const CdpAnomalyPoint *b = y;

	return (a->day > b->day) - (a->day < b->day);
}

/* A day for an error. */
static char *
day_text(int32 day)
{
	struct pg_tm tm = {0};
	char	   *text = palloc(MAXDATELEN + 1);

	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, text);
	return text;
}

/* Puts zeros where a day has no row, up to the last day of the options. */
static void
fill_days(CdpDays *days)
{
	int32		first = days->point[0].day;
	int32		last = days->options.until == PG_INT32_MAX ? days->point[days->n - 1].day : days->options.until;
	int64		all = (int64) last - first + 1;
	CdpAnomalyPoint *point;
	int			from = 0;

	if (all > CDP_ANOMALY_MOST_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many days for one series"),
				 errdetail("From %s to %s there are " INT64_FORMAT " days, at most %d are taken.", day_text(first), day_text(last), all, CDP_ANOMALY_MOST_DAYS)));
	point = MemoryContextAlloc(days->cxt, sizeof(CdpAnomalyPoint) * all);
	for (int i = 0; i < all; i++)
		point[i] = from < days->n && days->point[from].day == first + i ? days->point[from++] : (CdpAnomalyPoint) {0, first + i, CDP_DAY_FINAL};
	days->point = point;
	days->n = days->room = (int) all;
}

/* Makes the rows a series: by day, each once, filled where the options say so. Changes nothing when called again. */
void
cdp_days_close(CdpDays *days)
{
	qsort(days->point, days->n, sizeof(CdpAnomalyPoint), compare_days);
	for (int i = 1; i < days->n; i++)
		if (days->point[i].day == days->point[i - 1].day)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("two values of one day"),
					 errdetail("They are of %s.", day_text(days->point[i].day)),
					 errhint("GROUP BY what makes a series, such as channel and metric, and sum its values a day first.")));
	if (days->options.absent == 1 && days->n > 0)
		fill_days(days);
}

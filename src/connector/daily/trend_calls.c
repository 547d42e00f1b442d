/*
 * trend_calls.c
 *		The aggregates cdp.daily_trend and cdp.daily_change: daily values in, one
 *		row out.
 */
#include "connector/daily/trend.h"

#include <math.h>

#include "access/htup_details.h"
#include "connector/daily/anomaly_calls.h"
#include "funcapi.h"
#include "utils/date.h"
#include "utils/typcache.h"

/* Leaves the points that train and are asked for; their number. */
static int
keep_points(CdpDays *days)
{
	int			n = 0;

	cdp_days_close(days);
	for (int i = 0; i < days->n; i++)
		if (days->point[i].day >= days->options.since && days->point[i].state <= CDP_DAY_RESTATED)
			days->point[n++] = days->point[i];
	if (n > CDP_TREND_MOST_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many days for one trend"),
				 errdetail("There are %d, at most %d are taken.", n, CDP_TREND_MOST_DAYS),
				 errhint("Take fewer with cdp.anomaly_options(since => ...), or sum them by week.")));
	return n;
}

/* A row of the aggregate's type, in the current context. */
static Datum
form_row(FunctionCallInfo fcinfo, Datum *value, bool *null, int columns)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(get_fn_expr_rettype(fcinfo->flinfo), -1);
	Datum		row;

	if (desc->natts != columns)
		elog(ERROR, "result of a pass over daily values has %d columns", desc->natts);
	row = HeapTupleGetDatum(heap_form_tuple(desc, value, null));
	ReleaseTupleDesc(desc);
	return row;
}

/* A number as a column, NULL when it is not known. */
static Datum
number(double x, bool *null)
{
	*null = isnan(x);
	return Float8GetDatum(isnan(x) ? 0 : x);
}

CDP_FUNCTION(cdp_trend_final);

/* The final function of cdp.daily_trend: a row in the caller's context; NULL of too few days. */
Datum
cdp_trend_final(PG_FUNCTION_ARGS)
{
	CdpDays    *days;
	CdpTrend	trend;
	MemoryContext old;
	Datum		value[9];
	bool		null[9] = {false};
	bool		known;
	int			n;
	double		weekly = NAN;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	days = (CdpDays *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(days->cxt);
	n = keep_points(days);
	known = cdp_trend(&days->options, days->point, n, &trend);
	MemoryContextSwitchTo(old);
	if (known)
	{
		if (trend.level != 0)
			weekly = 7 * trend.slope / fabs(trend.level);
		value[0] = Int32GetDatum(n);
		value[1] = DateADTGetDatum(days->point[0].day);
		value[2] = DateADTGetDatum(days->point[n - 1].day);
		value[3] = number(trend.level, &null[3]);
		value[4] = number(trend.slope, &null[4]);
		value[5] = number(trend.low, &null[5]);
		value[6] = number(trend.high, &null[6]);
		value[7] = number(weekly, &null[7]);
		value[8] = number(trend.p, &null[8]);
	}
	MemoryContextDelete(days->cxt);
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(form_row(fcinfo, value, null, lengthof(value)));
}

CDP_FUNCTION(cdp_change_final);

/* The final function of cdp.daily_change: a row in the caller's context; NULL of too few days, or all alike. */
Datum
cdp_change_final(PG_FUNCTION_ARGS)
{
	CdpDays    *days;
	CdpChange	change;
	MemoryContext old;
	Datum		value[6];
	bool		null[6] = {false};
	bool		known;
	int			n;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	days = (CdpDays *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(days->cxt);
	n = keep_points(days);
	known = cdp_change(&days->options, days->point, n, &change);
	MemoryContextSwitchTo(old);
	if (known)
	{
		value[0] = DateADTGetDatum(days->point[change.at].day);
		value[1] = number(change.before, &null[1]);
		value[2] = number(change.after, &null[2]);
		value[3] = number(change.k, &null[3]);
		value[4] = number(change.p, &null[4]);
		value[5] = Int32GetDatum(n);
	}
	MemoryContextDelete(days->cxt);
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(form_row(fcinfo, value, null, lengthof(value)));
}

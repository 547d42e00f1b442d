/*
 * anomaly_calls.c
 *		The aggregate cdp.anomaly_pass: daily values in, a judgement of each day out.
 */
#include "connector/daily/anomaly_calls.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define COLUMNS 8

/* In the order of CdpAnomalyVerdict. */
static const char *const verdict_words[] = {"ok", "high", "low", "zero_run", "learning", "not_final", "restated", "no_value"};

/* Why a day was judged so, for people; NULL when there is nothing to say. Palloced. */
static char *
reason_of(const CdpAnomalyOptions *o, const CdpAnomalyPoint *p, const CdpAnomalyDay *d)
{
	switch (d->verdict)
	{
		case CDP_ANOMALY_OK:
			return NULL;
		case CDP_ANOMALY_HIGH:
		case CDP_ANOMALY_LOW:
			if (!isnan(d->chance))
				return psprintf("%g where %.3g was expected: so %s has a chance of %.2g", p->value, d->mean, d->verdict == CDP_ANOMALY_HIGH ? "many" : "few", d->chance);
			return psprintf("%g where %.6g to %.6g was expected: %.1f times the usual error %s", p->value, d->low, d->high, fabs(d->score),
							d->verdict == CDP_ANOMALY_HIGH ? "above" : "below");
		case CDP_ANOMALY_ZERO_RUN:
			return d->run == 1 ? psprintf("zero where %.3g was expected: a chance of %.2g", d->mean, d->chance)
				: psprintf("%d days of zero in a row where %.3g a day was expected: a chance of %.2g", d->run, d->mean, d->chance);
		case CDP_ANOMALY_LEARNING:
			return psprintf("foretold from %d days and judged by %d past errors, %d of each are needed", d->trained, d->errors, Max(2, o->min_history / 2));
		case CDP_ANOMALY_NOT_FINAL:
			return pstrdup(p->state == CDP_DAY_SUSPECT_ZERO ? "zero may mean that its source is not ready: not judged, trains nothing" : "not final yet: not judged, trains nothing");
		case CDP_ANOMALY_RESTATED:
			return pstrdup("restated by its source: not judged, but trains later days");
		case CDP_ANOMALY_NO_VALUE:
			return pstrdup("no value");
	}
	return NULL;
}

/* A number as a column, NULL when it is not known. */
static Datum
number(double x, bool *null)
{
	*null = isnan(x);
	return Float8GetDatum(isnan(x) ? 0 : x);
}

/* One judgement as a row, in the current context. */
static Datum
form_day(const CdpAnomalyOptions *o, const CdpAnomalyPoint *p, const CdpAnomalyDay *d, TupleDesc desc)
{
	Datum		value[COLUMNS];
	bool		null[COLUMNS] = {false};
	char	   *reason = reason_of(o, p, d);

	value[0] = DateADTGetDatum(p->day);
	value[1] = number(p->value, &null[1]);
	value[2] = number(d->expected, &null[2]);
	value[3] = number(d->low, &null[3]);
	value[4] = number(d->high, &null[4]);
	value[5] = number(d->score, &null[5]);
	value[6] = CStringGetTextDatum(verdict_words[d->verdict]);
	null[7] = reason == NULL;
	value[7] = reason == NULL ? (Datum) 0 : CStringGetTextDatum(reason);
	return HeapTupleGetDatum(heap_form_tuple(desc, value, null));
}

CDP_FUNCTION(cdp_anomaly_final);

/* The final function: the days from since on as an array, in the caller's context. */
Datum
cdp_anomaly_final(PG_FUNCTION_ARGS)
{
	CdpDays    *days;
	CdpAnomalyDay *day;
	MemoryContext old;
	Oid			type = get_element_type(get_fn_expr_rettype(fcinfo->flinfo));
	TupleDesc	desc;
	Datum	   *row;
	ArrayType  *result;
	int			n = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	days = (CdpDays *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(days->cxt);
	cdp_days_close(days);
	day = palloc(sizeof(CdpAnomalyDay) * Max(days->n, 1));
	cdp_anomaly_judge(&days->options, days->point, days->n, day);
	desc = lookup_rowtype_tupdesc(type, -1);
	if (desc->natts != COLUMNS)
		elog(ERROR, "cdp.anomaly_day has %d columns", desc->natts);
	row = palloc(sizeof(Datum) * Max(days->n, 1));
	for (int i = 0; i < days->n; i++)
		if (days->point[i].day >= days->options.since)
			row[n++] = form_day(&days->options, &days->point[i], &day[i], desc);
	ReleaseTupleDesc(desc);
	MemoryContextSwitchTo(old);
	result = construct_array(row, n, type, -1, false, TYPALIGN_DOUBLE);
	MemoryContextDelete(days->cxt);
	PG_RETURN_ARRAYTYPE_P(result);
}

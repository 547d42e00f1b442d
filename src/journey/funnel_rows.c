/*
 * funnel_rows.c
 *		Opens a cdp.funnel_partial: its steps, and what the pass counted.
 */
#include "journey/funnel.h"

#include "base/micro.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_funnel_steps);
CDP_FUNCTION(cdp_funnel_summary);

/* An interval of so many microseconds, in days of 24 hours; palloc'd. */
static Datum
interval_datum(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->day = (int32) (microseconds / USECS_PER_DAY);
	interval->time = microseconds % USECS_PER_DAY;
	return IntervalPGetDatum(interval);
}

/* The value below which a share of sorted durations lies, interpolated as percentile_cont does. */
static int64
quantile(const CdpDurations *d, int numerator, int denominator)
{
	int128		scaled = (int128) (d->n - 1) * numerator;
	int64		low = (int64) (scaled / denominator);
	int64		rest = (int64) (scaled % denominator);
	int128		gap;

	if (rest == 0)
		return d->value[low];
	gap = (int128) (d->value[low + 1] - d->value[low]) * rest;
	/* Rounded to the nearest microsecond, half up. */
	return d->value[low] + (int64) ((gap * 2 + denominator) / (2 * denominator));
}

/* The mean of durations, rounded to the nearest microsecond, half up. */
static int64
mean(const CdpDurations *d)
{
	int128		sum = 0;

	for (int64 i = 0; i < d->n; i++)
		sum += d->value[i];
	return (int64) ((sum * 2 + d->n) / (2 * (int128) d->n));
}

/* part / whole as numeric with six places, NULL over nothing. */
static Datum
share(int64 part, int64 whole, bool *isnull)
{
	*isnull = whole == 0;
	if (*isnull)
		return (Datum) 0;
	return cdp_numeric_from_scaled(((int128) part * 2 * CDP_MICRO + whole) / (2 * (int128) whole), 6);
}

/* Fills median, mean and ninth decile, or NULLs. */
static void
put_durations(const CdpDurations *d, Datum *values, bool *nulls)
{
	for (int i = 0; i < 3; i++)
		nulls[i] = d->n == 0;
	if (d->n == 0)
		return;
	values[0] = interval_datum(quantile(d, 1, 2));
	values[1] = interval_datum(mean(d));
	values[2] = interval_datum(quantile(d, 9, 10));
}

/* cdp.funnel_steps(partial): one row for each breakdown and step. */
Datum
cdp_funnel_steps(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpFunnelSums *s;

	InitMaterializedSRF(fcinfo, 0);
	s = cdp_funnel_sums_from_datum(PG_GETARG_DATUM(0), CurrentMemoryContext);
	for (int b = 0; b < s->breakdown->n; b++)
	{
		const CdpFunnelCell *cell = &s->cell[(Size) b * s->options->nsteps];

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < s->options->nsteps; k++)
		{
			Datum		values[13];
			bool		nulls[13] = {false};

			values[0] = CStringGetTextDatum(s->breakdown->name[b]);
			nulls[0] = !s->broken_down;
			values[1] = Int32GetDatum(k + 1);
			values[2] = CStringGetTextDatum(s->options->step[k]);
			nulls[2] = s->options->order == CDP_FUNNEL_UNORDERED;
			values[3] = Int64GetDatum(cell[k].customers);
			values[4] = Int64GetDatum(cell[k].customers - (k + 1 < s->options->nsteps ? cell[k + 1].customers : cell[k].customers));
			values[5] = share(cell[k].customers, cell[Max(k - 1, 0)].customers, &nulls[5]);
			values[6] = share(cell[k].customers, cell[0].customers, &nulls[6]);
			put_durations(&cell[k].previous, values + 7, nulls + 7);
			put_durations(&cell[k].first, values + 10, nulls + 10);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* cdp.funnel_summary(partial): one row of what the pass counted, and its options. */
Datum
cdp_funnel_summary(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpFunnelSums *s;
	StringInfoData options;
	Datum		values[CDP_FUNNEL_COUNTERS + 1];
	bool		nulls[CDP_FUNNEL_COUNTERS + 1] = {false};

	InitMaterializedSRF(fcinfo, 0);
	s = cdp_funnel_sums_from_datum(PG_GETARG_DATUM(0), CurrentMemoryContext);
	for (int i = 0; i < CDP_FUNNEL_COUNTERS; i++)
		values[i] = Int64GetDatum(s->counter[i]);
	initStringInfo(&options);
	cdp_funnel_options_write(s->options, &options);
	values[CDP_FUNNEL_COUNTERS] = DirectFunctionCall1(jsonb_in, CStringGetDatum(options.data));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

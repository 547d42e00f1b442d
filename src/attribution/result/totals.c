/*
 * totals.c
 *		Totals of each label and model: rule models as they were summed, the
 *		data-driven ones solved here and turned into the same exact units.
 */
#include "attribution/result/sums.h"

#include <math.h>

#include "funcapi.h"
#include "attribution/models/markov.h"
#include "attribution/models/shapley.h"

/* Raises the error for shares that a sum cannot hold. */
static void
share_out_of_range(const char *model)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("credit of attribution model \"%s\" is out of range", model),
			 errhint("Refunds nearly cancel the value of the conversions; report a longer interval.")));
}

/* Spreads a total over shares that add up to one: units of 1e-15 each, the remainder to the largest share. */
static void
spread_shares(const double *share, int n, int128 total, const char *model, int128 *units)
{
	int128		left = CDP_UNITS_ONE;
	double		size = fabs((double) total) * (double) CDP_UNITS_ONE;
	int			largest = 0;

	for (int i = 0; i < n; i++)
	{
		int128		weight;

		if (!isfinite(share[i]) || fabs(share[i]) * size > 1.6e38)
			share_out_of_range(model);
		weight = (int128) floor(share[i] * (double) CDP_UNITS_ONE);
		left -= weight;
		units[i] = weight * total;
		if (share[i] > share[largest])
			largest = i;
	}
	if (n > 0)
		units[largest] += left * total;
}

/* Turns credits into shares of their total; without a total they are spread as they are. */
static void
spread_credits(double *credit, int n, int128 total, double scale, const char *model, int128 *units)
{
	double		sum = (double) total / scale;
	bool		tame = total != 0;
	int			largest = 0;
	int128		left = total * CDP_UNITS_ONE;

	for (int i = 0; i < n && tame; i++)
		tame = fabs(credit[i]) <= fabs(sum) * 1000;
	if (tame)
	{
		for (int i = 0; i < n; i++)
			credit[i] /= sum;
		spread_shares(credit, n, total, model, units);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		if (!isfinite(credit[i]) || fabs(credit[i]) * scale > 1.6e23)
			share_out_of_range(model);
		units[i] = (int128) floor(credit[i] * (double) CDP_UNITS_ONE) * (int128) scale;
		left -= units[i];
		if (credit[i] > credit[largest])
			largest = i;
	}
	if (n > 0)
		units[largest] += left;
}

/* Solves one data-driven model into units per label; work arrays live in the current context. */
static void
solve_model(CdpSums *s, const CdpModel *m, int128 *conversions, int128 *value)
{
	int			n = s->labels->n;
	Size		size = sizeof(double) * Max(n, 1);
	double	   *conv = palloc_extended(size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	double	   *val = palloc_extended(size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	CdpMarkovCheck check;

	if (n == 0 || (s->attributable == 0 && s->attributable_micro == 0))
		return;
	switch (m->kind)
	{
		case CDP_MODEL_MARKOV:
			cdp_markov_shares(cdp_sums_transitions(s, m->order), n, conv, val, palloc(size), palloc(size), &check);
			spread_shares(conv, n, s->attributable, m->name, conversions);
			spread_shares(val, n, s->attributable_micro, m->name, value);
			return;
		case CDP_MODEL_SHAPLEY:
			cdp_shapley_credit(s->coalitions, n, CDP_SHAPLEY_SIMPLE, conv, val);
			break;
		case CDP_MODEL_SHAPLEY_ORDERED:
			cdp_shapley_credit(s->coalitions, n, CDP_SHAPLEY_ORDERED, conv, val);
			break;
		case CDP_MODEL_SHAPLEY_RATE:
			cdp_shapley_credit(s->coalitions, n, CDP_SHAPLEY_RATE, conv, val);
			break;
		case CDP_MODEL_ONE_REMOVED:
			cdp_one_removed_credit(s->paths, n, conv, val);
			break;
		default:
			return;
	}
	spread_credits(conv, n, s->attributable, 1, m->name, conversions);
	spread_credits(val, n, s->attributable_micro, CDP_MICRO, m->name, value);
}

/* The units of one model, labels first and (unattributed) last. */
void
cdp_sums_model_units(CdpSums *s, int model, int128 *conversions, int128 *value)
{
	Size		n = (Size) s->labels->n + 1;
	const CdpModel *m = &s->options->model[model];

	if (CDP_MODEL_IS_RULE(m->kind))
	{
		memcpy(conversions, s->conversion_units + model * n, sizeof(int128) * n);
		memcpy(value, s->value_units + model * n, sizeof(int128) * n);
		return;
	}
	memset(conversions, 0, sizeof(int128) * n);
	memset(value, 0, sizeof(int128) * n);
	solve_model(s, m, conversions, value);
	conversions[n - 1] = (int128) (s->counter[CDP_COUNT_CONVERSIONS] - s->attributable) * CDP_UNITS_ONE;
	value[n - 1] = (s->value_micro - s->attributable_micro) * CDP_UNITS_ONE;
}

CDP_FUNCTION(cdp_attribution_totals);

/* cdp.attribution_totals(partial): one row for each model and label. */
Datum
cdp_attribution_totals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp totals", ALLOCSET_DEFAULT_SIZES);
	MemoryContext row = AllocSetContextCreate(work, "cdp totals row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	CdpSums    *s;
	Size		n;
	int128	   *conversions;
	int128	   *value;

	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(work);
	s = cdp_sums_from_datum(PG_GETARG_DATUM(0), work);
	n = (Size) s->labels->n + 1;
	conversions = MemoryContextAllocHuge(work, sizeof(int128) * n);
	value = MemoryContextAllocHuge(work, sizeof(int128) * n);
	for (int m = 0; m < s->options->nmodels; m++)
	{
		cdp_sums_model_units(s, m, conversions, value);
		for (Size l = 0; l < n; l++)
		{
			Datum		values[4];
			bool		nulls[4] = {false};

			if ((l & 1023) == 0)
			{
				CHECK_FOR_INTERRUPTS();
				MemoryContextReset(row);
			}
			MemoryContextSwitchTo(row);
			values[0] = CStringGetTextDatum(l < n - 1 ? s->labels->name[l] : CDP_UNATTRIBUTED);
			values[1] = CStringGetTextDatum(s->options->model[m].name);
			values[2] = cdp_numeric_from_scaled(conversions[l], 15);
			values[3] = cdp_numeric_from_scaled(value[l], 21);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
			MemoryContextSwitchTo(work);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return (Datum) 0;
}

/*
 * funnel_rows.c
 *		Opens a cdp.funnel_partial: its steps, and what the pass counted.
 */
#include "journey/funnel.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

CDP_FUNCTION(cdp_funnel_steps);
CDP_FUNCTION(cdp_funnel_summary);

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
		const CdpFunnelCell *cell = &s->cell[(Size) b * s->options->steps.n];

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < s->options->steps.n; k++)
		{
			Datum		values[13];
			bool		nulls[13] = {false};

			values[0] = CStringGetTextDatum(s->breakdown->name[b]);
			nulls[0] = !s->broken_down;
			values[1] = Int32GetDatum(k + 1);
			values[2] = CStringGetTextDatum(s->options->steps.item[k]);
			nulls[2] = s->options->step_order == CDP_FUNNEL_UNORDERED;
			values[3] = Int64GetDatum(cell[k].customers);
			values[4] = Int64GetDatum(cell[k].customers - (k + 1 < s->options->steps.n ? cell[k + 1].customers : cell[k].customers));
			values[5] = cdp_share(cell[k].customers, cell[Max(k - 1, 0)].customers, &nulls[5]);
			values[6] = cdp_share(cell[k].customers, cell[0].customers, &nulls[6]);
			cdp_spans_put(&cell[k].previous, values + 7, nulls + 7);
			cdp_spans_put(&cell[k].first, values + 10, nulls + 10);
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
	cdp_fields_write(&cdp_funnel_fields, s->options, &options);
	values[CDP_FUNNEL_COUNTERS] = DirectFunctionCall1(jsonb_in, CStringGetDatum(options.data));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

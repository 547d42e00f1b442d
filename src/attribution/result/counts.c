/*
 * counts.c
 *		What a result counted besides models: summary, lengths and lags of
 *		journeys, assists of labels.
 */
#include "attribution/result/sums.h"

#include "funcapi.h"

/* Opens the argument and starts the set of rows. */
static CdpSums *
open_result(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	return cdp_sums_from_datum(PG_GETARG_DATUM(0), CurrentMemoryContext);
}

CDP_FUNCTION(cdp_attribution_summary);

/* cdp.attribution_summary(partial): one row of counts. */
Datum
cdp_attribution_summary(PG_FUNCTION_ARGS)
{
	static const CdpCounter order[] = {
		CDP_COUNT_ROWS, CDP_COUNT_TOUCHES, CDP_COUNT_CONVERSIONS, CDP_COUNT_WITHOUT_TOUCH,
		CDP_COUNT_REFUNDS, CDP_COUNT_ORPHAN_REFUNDS, CDP_COUNT_CUSTOMERS, CDP_COUNT_CONVERTING_CUSTOMERS,
		CDP_COUNT_NULL_JOURNEYS, CDP_COUNT_NO_KEY, CDP_COUNT_UNTIMED, CDP_COUNT_UNLABELLED,
		CDP_COUNT_IGNORED, CDP_COUNT_EXCLUDED
	};
	Datum		values[lengthof(order) + 3];
	bool		nulls[lengthof(order) + 3] = {false};
	CdpSums    *s = open_result(fcinfo);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StringInfoData options;

	for (int i = 0; i < lengthof(order); i++)
	{
		values[i] = Int64GetDatum(s->counter[order[i]]);
		if (order[i] == CDP_COUNT_NULL_JOURNEYS || order[i] == CDP_COUNT_CUSTOMERS)
			nulls[i] = !s->options->need_nulls;
	}
	values[lengthof(order)] = cdp_numeric_from_scaled(s->value_micro, 6);
	values[lengthof(order) + 1] = cdp_numeric_from_scaled(s->attributable_micro, 6);
	initStringInfo(&options);
	cdp_options_write(s->options, &options);
	values[lengthof(order) + 2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(options.data));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

/* Puts the entries of a histogram out as rows: key, conversions, value. */
static void
put_histogram(FunctionCallInfo fcinfo, const CdpHistogram *h)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	for (int i = 0; i < h->n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = Int32GetDatum((int32) Min(h->key[i], PG_INT32_MAX));
		values[1] = Int64GetDatum(h->conversions[i]);
		values[2] = cdp_numeric_from_scaled(h->value_micro[i], 6);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

CDP_FUNCTION(cdp_attribution_lengths);

/* cdp.attribution_lengths(partial): conversions by the number of touches in the journey. */
Datum
cdp_attribution_lengths(PG_FUNCTION_ARGS)
{
	put_histogram(fcinfo, &open_result(fcinfo)->lengths);
	return (Datum) 0;
}

CDP_FUNCTION(cdp_attribution_lags);

/* cdp.attribution_lags(partial): conversions by whole days from the first touch. */
Datum
cdp_attribution_lags(PG_FUNCTION_ARGS)
{
	put_histogram(fcinfo, &open_result(fcinfo)->lags);
	return (Datum) 0;
}

CDP_FUNCTION(cdp_attribution_assists);

/* cdp.attribution_assists(partial): for each label, conversions that it helped, closed, or had alone. */
Datum
cdp_attribution_assists(PG_FUNCTION_ARGS)
{
	CdpSums    *s = open_result(fcinfo);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	for (int l = 0; l < s->labels->n; l++)
	{
		const CdpAssist *a = &s->assist[l];
		Datum		values[6];
		bool		nulls[6] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(s->labels->name[l]);
		values[1] = Int64GetDatum(a->assisted);
		values[2] = cdp_numeric_from_scaled(a->assisted_micro, 6);
		values[3] = Int64GetDatum(a->last);
		values[4] = cdp_numeric_from_scaled(a->last_micro, 6);
		values[5] = Int64GetDatum(a->only);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

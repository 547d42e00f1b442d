/*
 * stage_rows.c
 *		Opens a cdp.stage_partial: stages, flows between them, and where
 *		customers stand.
 */
#include "journey/stage.h"

#include "funcapi.h"

#define STAGE_COLUMNS 17
#define FLOW_COLUMNS 11
#define STATE_COLUMNS 7

static const char *const status_words[] = {"active", "dropped", "exited"};

StaticAssertDecl(lengthof(status_words) == CDP_STANDINGS, "words of standings differ from them");

/* Opens the argument of a call. */
static CdpOutcome *
open_result(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	return cdp_outcome_from_datum(&cdp_stage_kind, PG_GETARG_DATUM(0), CurrentMemoryContext);
}

/* The counts of a key; all zero when there are none. */
static CdpTallyEntry
counts_of(const CdpOutcome *out, const uint32 *key, int n)
{
	const CdpTallyEntry *e = cdp_tally_find(out->tally, key, n);
	CdpTallyEntry none = {0};

	return e == NULL ? none : *e;
}

/* How the stays in a stage went on. */
typedef struct Ends
{
	int64		on;
	int64		back;
	int64		exited;
	int64		dropped;
	int64		staying;
	CdpSpans	times;
} Ends;

/* Sums the flows that leave a stage. */
static Ends
ends_of(CdpOutcome *out, int stage)
{
	const CdpStageOptions *o = out->options;
	Ends		ends = {0};

	for (int to = 0; to < o->stages + CDP_TO_STAGE; to++)
	{
		uint32		key[3] = {CDP_KEY_FLOW, stage + 1, to};
		CdpTallyEntry e = counts_of(out, key, 3);

		if (to == CDP_TO_EXIT)
			ends.exited += e.count;
		else if (to == CDP_TO_DROPPED)
			ends.dropped += e.count;
		else if (to == CDP_TO_STAYING)
			ends.staying += e.count;
		else if (to - CDP_TO_STAGE > stage)
			ends.on += e.count;
		else
			ends.back += e.count;
		cdp_spans_append(&out->tally->memory, &ends.times, &e.times);
	}
	cdp_spans_sort(&ends.times);
	return ends;
}

CDP_FUNCTION(cdp_stage_table);

/* cdp.stage_table(partial): one row for each stage. */
Datum
cdp_stage_table(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpOutcome *out = open_result(fcinfo);
	const CdpStageOptions *o = out->options;

	for (int k = 0; k < o->stages; k++)
	{
		uint32		key[2] = {CDP_KEY_STAY, k};
		CdpTallyEntry stays = counts_of(out, key, 2);
		CdpTallyEntry engaged = (key[0] = CDP_KEY_ENGAGED, counts_of(out, key, 2));
		CdpTallyEntry converted = (key[0] = CDP_KEY_CONVERTED, counts_of(out, key, 2));
		Ends		ends = ends_of(out, k);
		Datum		values[STAGE_COLUMNS];
		bool		nulls[STAGE_COLUMNS] = {false};
		int			n = 0;

		CHECK_FOR_INTERRUPTS();
		values[n++] = Int32GetDatum(k + 1);
		values[n++] = CStringGetTextDatum(o->stage[k].name);
		values[n++] = Int64GetDatum(stays.customers);
		values[n++] = Int64GetDatum(engaged.customers);
		values[n++] = Int64GetDatum(converted.customers);
		values[n] = cdp_share(engaged.customers, stays.customers, &nulls[n]);
		n++;
		values[n] = cdp_share(converted.customers, stays.customers, &nulls[n]);
		n++;
		values[n++] = Int64GetDatum((int64) engaged.value);
		values[n++] = Int64GetDatum(stays.count);
		values[n++] = Int64GetDatum(ends.on);
		values[n++] = Int64GetDatum(ends.back);
		values[n++] = Int64GetDatum(ends.exited);
		values[n++] = Int64GetDatum(ends.dropped);
		values[n++] = Int64GetDatum(ends.staying);
		cdp_spans_put(&ends.times, values + n, nulls + n);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

CDP_FUNCTION(cdp_stage_flows);

/* cdp.stage_flows(partial): one row for each way into, between and out of stages. */
Datum
cdp_stage_flows(PG_FUNCTION_ARGS)
{
	static const char *const to_words[] = {"(exit)", "(dropped)", "(staying)"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpOutcome *out = open_result(fcinfo);
	const CdpStageOptions *o = out->options;
	CdpTallyEntry **order = cdp_tally_sorted(out->tally);

	for (uint32 i = 0; i < out->tally->n; i++)
	{
		const uint32 *key = cdp_tally_key(out->tally, order[i]);
		bool		outside = key[1] == CDP_FROM_OUTSIDE;
		bool		to_stage = key[0] == CDP_KEY_FLOW && key[2] >= CDP_TO_STAGE;
		uint32		stay[2] = {CDP_KEY_STAY, key[1] - 1};
		Datum		values[FLOW_COLUMNS];
		bool		nulls[FLOW_COLUMNS] = {false};

		CHECK_FOR_INTERRUPTS();
		if (key[0] != CDP_KEY_FLOW)
			continue;
		nulls[0] = outside;
		values[0] = Int32GetDatum(key[1]);
		values[1] = CStringGetTextDatum(outside ? "(outside)" : o->stage[key[1] - 1].name);
		nulls[2] = !to_stage;
		values[2] = Int32GetDatum((int) key[2] - CDP_TO_STAGE + 1);
		values[3] = CStringGetTextDatum(to_stage ? o->stage[key[2] - CDP_TO_STAGE].name : to_words[key[2]]);
		values[4] = BoolGetDatum(to_stage && !outside && key[2] - CDP_TO_STAGE + 1 < key[1]);
		values[5] = Int64GetDatum(order[i]->count);
		values[6] = Int64GetDatum(order[i]->customers);
		values[7] = cdp_share(order[i]->count, outside ? 0 : counts_of(out, stay, 2).count, &nulls[7]);
		cdp_spans_put(&order[i]->times, values + 8, nulls + 8);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

CDP_FUNCTION(cdp_stage_state);

/* cdp.stage_state(partial): one row for each customer. */
Datum
cdp_stage_state(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpOutcome *out = open_result(fcinfo);
	const CdpStageOptions *o = out->options;

	if (!o->customers)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the result does not hold where customers stand"),
				 errhint("Make it with cdp.stage_options(customers => true).")));
	for (int64 i = 0; i < out->nstanding; i++)
	{
		const CdpStanding *s = &out->standing[i];
		Datum		values[STATE_COLUMNS];
		bool		nulls[STATE_COLUMNS] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(s->customer);
		values[1] = Int32GetDatum(s->stage + 1);
		values[2] = CStringGetTextDatum(o->stage[s->stage].name);
		values[3] = CStringGetTextDatum(status_words[s->status]);
		values[4] = TimestampTzGetDatum(s->since);
		values[5] = TimestampTzGetDatum(s->last);
		values[6] = Int64GetDatum(s->engagements);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

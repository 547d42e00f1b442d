/*
 * credit.c
 *		Single touches of a result that kept its journeys: the credit of each
 *		under the rule models, and the journeys as bytes for a roll-up.
 */
#include "attribution/result/sums.h"

#include "base/wire.h"
#include "attribution/result/codec.h"
#include "funcapi.h"

/* Opens a result, which must hold journeys. */
static CdpSums *
open_journeys(Datum partial, MemoryContext cxt)
{
	CdpSums    *s = cdp_sums_from_datum(partial, cxt);

	if (s->log == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the attribution result does not hold journeys"),
				 errhint("Make it with cdp.attribution_options(credits => true).")));
	return s;
}

/* One row of credit: touch i of the journey, -1 for (unattributed), n for the conversion's own row. */
static void
put_credit(ReturnSetInfo *rsinfo, const CdpSums *s, const CdpJourney *j, int model, int i, int64 units)
{
	Datum		values[10];
	bool		nulls[10] = {false};
	bool		own = i == j->n && i >= 0;
	bool		touch = i >= 0 && !own;

	nulls[0] = j->customer == NULL;
	values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(j->customer);
	nulls[1] = j->conversion_id == CDP_NO_ID;
	values[1] = Int64GetDatum(j->conversion_id);
	values[2] = TimestampTzGetDatum(j->ended_at);
	nulls[3] = !(own ? j->conversion_id != CDP_NO_ID : touch && j->id != NULL && j->id[i] != CDP_NO_ID);
	values[3] = Int64GetDatum(own ? j->conversion_id : touch && j->id != NULL ? j->id[i] : 0);
	nulls[4] = !own && !(touch && j->at != NULL);
	values[4] = TimestampTzGetDatum(own ? j->ended_at : touch && j->at != NULL ? j->at[i] : 0);
	values[5] = CStringGetTextDatum(own ? s->labels->name[j->conversion_label]
									: touch ? s->labels->name[j->label[i]] : CDP_UNATTRIBUTED);
	values[6] = CStringGetTextDatum(s->options->model[model].name);
	values[7] = cdp_numeric_from_scaled(units, 15);
	values[8] = cdp_numeric_from_scaled((int128) units * j->conversions, 15);
	values[9] = cdp_numeric_from_scaled(j->value_micro * units, 21);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The rows of one journey. */
static void
put_journey_credit(ReturnSetInfo *rsinfo, CdpSums *s, const CdpJourney *j)
{
	for (int m = 0; m < s->options->nmodels; m++)
	{
		const CdpModel *model = &s->options->model[m];
		const int64 *units;
		int64		rest;

		if (!CDP_MODEL_IS_RULE(model->kind))
			continue;
		if (cdp_sums_own_touch(model, j))
		{
			put_credit(rsinfo, s, j, m, j->n, CDP_UNITS_ONE);
			continue;
		}
		if (j->n == 0)
		{
			put_credit(rsinfo, s, j, m, -1, CDP_UNITS_ONE);
			continue;
		}
		units = cdp_sums_units(s, m, j, &rest);
		for (int i = 0; i < j->n; i++)
			if (units[i] != 0)
				put_credit(rsinfo, s, j, m, i, units[i]);
		if (rest != 0)
			put_credit(rsinfo, s, j, m, -1, rest);
	}
}

CDP_FUNCTION(cdp_attribution_credit);

/* cdp.attribution_credit(partial): credit of each touch under each rule model. */
Datum
cdp_attribution_credit(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp credit", ALLOCSET_DEFAULT_SIZES);
	MemoryContext row = AllocSetContextCreate(work, "cdp credit row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	CdpSums    *s;

	InitMaterializedSRF(fcinfo, 0);
	s = open_journeys(PG_GETARG_DATUM(0), work);
	old = MemoryContextSwitchTo(row);
	for (int64 i = 0; i < s->log->n; i++)
	{
		CdpDecoded	d = {.room = 0};

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row);
		cdp_log_get(s->log, i, &d);
		if (d.journey.conversions != 0 || d.journey.value_micro != 0)
			put_journey_credit(rsinfo, s, &d.journey);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return (Datum) 0;
}

/* Orders labels by number. */
static int
compare_labels(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return (x > y) - (x < y);
}

/* A journey with the names of its labels, as bytea in the current context. */
static Datum
journey_alone(const CdpLabels *all, CdpDecoded *d)
{
	CdpJourney *j = &d->journey;
	Size		room = (Size) j->n + 1;
	uint32	   *used = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * room);
	CdpLabels	own = {.is_int = all->is_int};
	StringInfoData buf;
	int			n = 0;

	for (int i = 0; i < j->n; i++)
		used[n++] = j->label[i];
	if (j->conversion_label != CDP_NO_LABEL)
		used[n++] = j->conversion_label;
	qsort(used, n, sizeof(uint32), compare_labels);
	own.name = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(char *) * room);
	own.code = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * room);
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && used[i] == used[own.n - 1])
			continue;
		used[own.n] = used[i];
		own.name[own.n] = all->name[used[i]];
		if (all->is_int)
			own.code[own.n] = all->code[used[i]];
		own.n++;
	}
#define NUMBER_OF(l) ((uint32 *) bsearch(&(l), used, own.n, sizeof(uint32), compare_labels) - used)
	for (int i = 0; i < j->n; i++)
		d->label[i] = NUMBER_OF(d->label[i]);
	if (j->conversion_label != CDP_NO_LABEL)
		j->conversion_label = NUMBER_OF(j->conversion_label);
#undef NUMBER_OF
	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	cdp_labels_write(&own, &buf);
	cdp_journey_put(&buf, j);
	SET_VARSIZE(buf.data, buf.len);
	return PointerGetDatum(buf.data);
}

CDP_FUNCTION(cdp_attribution_journeys);

/* cdp.attribution_journeys(partial): the journeys themselves, each as bytes that cdp.attribution_replay reads. */
Datum
cdp_attribution_journeys(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp journeys", ALLOCSET_DEFAULT_SIZES);
	MemoryContext row = AllocSetContextCreate(work, "cdp journeys row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	CdpSums    *s;

	InitMaterializedSRF(fcinfo, 0);
	s = open_journeys(PG_GETARG_DATUM(0), work);
	old = MemoryContextSwitchTo(row);
	for (int64 i = 0; i < s->log->n; i++)
	{
		CdpDecoded	d = {.room = 0};
		CdpJourney *j = &d.journey;
		Datum		values[6];
		bool		nulls[6] = {false};

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row);
		cdp_log_get(s->log, i, &d);
		nulls[0] = j->customer == NULL;
		values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(j->customer);
		values[1] = TimestampTzGetDatum(j->ended_at);
		values[2] = BoolGetDatum(j->conversions != 0);
		values[3] = cdp_numeric_from_scaled(j->value_micro, 6);
		values[4] = Int32GetDatum(j->n);
		values[5] = journey_alone(s->labels, &d);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return (Datum) 0;
}

/*
 * merge.c
 *		The aggregates that add results: cdp.attribution_merge over values of
 *		the type, in parallel too; cdp.attribution_replay over encoded journeys;
 *		cdp.attribution_path_pass over aggregated paths.
 */
#include "attribution/result/sums.h"

#include "base/wire.h"
#include "catalog/pg_type.h"
#include "attribution/result/codec.h"
#include "libpq/pqformat.h"
#include "attribution/pass/pass.h"
#include "utils/array.h"

typedef struct MergeState
{
	MemoryContext cxt;
	CdpSums    *sums;			/* NULL before the first value */
} MergeState;

/* The state of the aggregate, made at the first call. */
static MergeState *
merge_state(FunctionCallInfo fcinfo)
{
	MemoryContext aggregate;
	MergeState *state;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "attribution merge called outside an aggregate");
	if (!PG_ARGISNULL(0))
		return (MergeState *) PG_GETARG_POINTER(0);
	state = MemoryContextAllocZero(aggregate, sizeof(MergeState));
	state->cxt = aggregate;
	return state;
}

/* Adds a value to the state, whose sums grow in a context below its own. */
static void
merge_in(MergeState *state, Datum value)
{
	MemoryContext work;

	if (state->sums == NULL)
	{
		/* In a context of its own, which merging may replace. */
		work = AllocSetContextCreate(state->cxt, "cdp merged sums", ALLOCSET_DEFAULT_SIZES);
		state->sums = cdp_sums_from_datum(value, work);
		return;
	}
	work = AllocSetContextCreate(CurrentMemoryContext, "cdp merge", ALLOCSET_DEFAULT_SIZES);
	state->sums = cdp_sums_merge(state->sums, cdp_sums_from_datum(value, work), state->cxt);
	MemoryContextDelete(work);
}

CDP_FUNCTION(cdp_merge_trans);

/* Adds one value; NULL adds nothing. */
Datum
cdp_merge_trans(PG_FUNCTION_ARGS)
{
	MergeState *state = merge_state(fcinfo);

	if (!PG_ARGISNULL(1))
		merge_in(state, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(state);
}

CDP_FUNCTION(cdp_merge_combine);

/* Adds another state, of which nothing is kept. */
Datum
cdp_merge_combine(PG_FUNCTION_ARGS)
{
	MergeState *state = merge_state(fcinfo);
	MergeState *other = PG_ARGISNULL(1) ? NULL : (MergeState *) PG_GETARG_POINTER(1);

	if (other != NULL && other->sums != NULL)
		merge_in(state, cdp_sums_to_datum(other->sums));
	PG_RETURN_POINTER(state);
}

CDP_FUNCTION(cdp_merge_serial);

/* The state as bytes, for the leader. */
Datum
cdp_merge_serial(PG_FUNCTION_ARGS)
{
	MergeState *state;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "attribution merge called outside an aggregate");
	state = (MergeState *) PG_GETARG_POINTER(0);
	if (state->sums == NULL)
	{
		struct varlena *nothing = palloc(VARHDRSZ);

		SET_VARSIZE(nothing, VARHDRSZ);
		PG_RETURN_DATUM(PointerGetDatum(nothing));
	}
	PG_RETURN_DATUM(cdp_sums_to_datum(state->sums));
}

CDP_FUNCTION(cdp_merge_deserial);

/* The state from bytes, in the caller's context. */
Datum
cdp_merge_deserial(PG_FUNCTION_ARGS)
{
	MergeState *state;
	struct varlena *bytes;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "attribution merge called outside an aggregate");
	bytes = PG_GETARG_VARLENA_PP(0);
	state = palloc0(sizeof(MergeState));
	state->cxt = CurrentMemoryContext;
	if (VARSIZE_ANY_EXHDR(bytes) > 0)
		state->sums = cdp_sums_from_datum(PointerGetDatum(bytes), state->cxt);
	PG_RETURN_POINTER(state);
}

CDP_FUNCTION(cdp_merge_final);

/* The sum as a value; NULL when there was none. */
Datum
cdp_merge_final(PG_FUNCTION_ARGS)
{
	MergeState *state;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "attribution merge called outside an aggregate");
	state = PG_ARGISNULL(0) ? NULL : (MergeState *) PG_GETARG_POINTER(0);
	if (state == NULL || state->sums == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(cdp_sums_to_datum(state->sums));
}

/* Journeys with labels by name: kept encoded, with labels by number, until all labels are known. */
typedef struct ReplayState
{
	MemoryContext cxt;
	CdpOptions *options;
	Jsonb	   *given;			/* what the options were read from, NULL = defaults */
	bool		vary;			/* the argument is no constant */
	CdpIntern	labels;
	bool		kind_known;		/* text or integer labels */
	CdpJourneyLog *log;
} ReplayState;

/* The state of a replay or path pass, made at the first call. */
static ReplayState *
replay_state(FunctionCallInfo fcinfo, int options_arg)
{
	MemoryContext aggregate;
	MemoryContext old;
	ReplayState *state;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "attribution replay called outside an aggregate");
	if (!PG_ARGISNULL(0))
	{
		state = (ReplayState *) PG_GETARG_POINTER(0);
		if (state->vary)
			cdp_option_same(fcinfo, options_arg, state->given, "attribution");
		return state;
	}
	old = MemoryContextSwitchTo(aggregate);
	state = palloc0(sizeof(ReplayState));
	state->cxt = aggregate;
	state->given = PG_ARGISNULL(options_arg) ? NULL : PG_GETARG_JSONB_P_COPY(options_arg);
	state->vary = cdp_option_varies(fcinfo, options_arg);
	state->options = cdp_options_from_jsonb(state->given, aggregate);
	cdp_intern_init(&state->labels, false, aggregate, &cdp_attribution_memory);
	state->log = cdp_log_create(aggregate);
	MemoryContextSwitchTo(old);
	return state;
}

CDP_FUNCTION(cdp_replay_trans);

/* Adds (sign 1) or subtracts (sign -1) one encoded journey; a NULL journey adds nothing. */
Datum
cdp_replay_trans(PG_FUNCTION_ARGS)
{
	ReplayState *state = replay_state(fcinfo, 3);
	struct varlena *bytes;
	StringInfoData buf;
	CdpLabels  *labels;
	CdpDecoded	d = {.room = 0};
	int32		sign = PG_ARGISNULL(2) ? 1 : PG_GETARG_INT32(2);

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);
	if (sign != 1 && sign != -1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid sign %d of an attribution journey", sign),
				 errhint("1 adds the journey, -1 takes it back.")));
	bytes = PG_GETARG_VARLENA_PP(1);
	buf = (StringInfoData) {.data = VARDATA_ANY(bytes), .len = VARSIZE_ANY_EXHDR(bytes)};
	labels = cdp_labels_read(&buf);
	cdp_journey_get(&buf, labels->n, &d);
	if (buf.cursor != buf.len)
		cdp_wire_broken("length of a journey");
	cdp_journey_check_single(&d.journey);
	if (labels->n > 0 && !state->kind_known)
	{
		state->labels.is_int = labels->is_int;
		state->kind_known = true;
	}
	if (labels->n > 0 && state->labels.is_int != labels->is_int)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("journeys with text labels and with integer labels cannot be replayed together")));
#define NUMBER_OF(l) (labels->is_int ? cdp_intern_int(&state->labels, labels->code[l]) \
					  : cdp_intern_text(&state->labels, labels->name[l], strlen(labels->name[l])))
	for (int i = 0; i < d.journey.n; i++)
		d.label[i] = NUMBER_OF(d.label[i]);
	if (d.journey.conversion_label != CDP_NO_LABEL)
		d.journey.conversion_label = NUMBER_OF(d.journey.conversion_label);
#undef NUMBER_OF
	if (sign < 0)
	{
		d.journey.conversions = -d.journey.conversions;
		d.journey.nulls = -d.journey.nulls;
		d.journey.value_micro = -d.journey.value_micro;
	}
	if (!state->options->credits)
		d.journey.customer = NULL;
	cdp_log_add(state->log, &d.journey);
	PG_RETURN_POINTER(state);
}

/* Refuses models that need times, which aggregated paths do not have. */
static void
refuse_time_models(const CdpOptions *o)
{
	for (int m = 0; m < o->nmodels; m++)
	{
		CdpModelKind kind = o->model[m].kind;

		if (kind == CDP_MODEL_TIME_DECAY || kind == CDP_MODEL_SAME_TOUCH || kind == CDP_MODEL_MILESTONES)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("model \"%s\" needs times, which aggregated paths do not have", o->model[m].name),
					 errhint("Leave the model out, or use cdp.attribution_pass over single touches.")));
	}
	if (o->credits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("aggregated paths have no single touches to credit"),
				 errhint("Leave credits out, or use cdp.attribution_pass over single touches.")));
}

/* A count of an aggregated path; NULL is 0. */
static int64
path_count(FunctionCallInfo fcinfo, int arg)
{
	int64		count = PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT64(arg);

	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a path has a negative number of journeys"),
				 errdetail("The number is " INT64_FORMAT ".", count)));
	return count;
}

/* The labels of a path as numbers, left out, folded and cut as the options say; returns how many. */
static int
path_labels(ReplayState *state, Datum array, uint32 **label)
{
	const CdpOptions *o = state->options;
	Datum	   *items;
	bool	   *nulls;
	int			n;
	int			kept = 0;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	*label = palloc(sizeof(uint32) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		text	   *t;
		char	   *name;
		bool		out = o->ninclude > 0;
		uint32		number;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a path contains a NULL label"),
					 errhint("Remove it with array_remove(path, NULL).")));
		t = DatumGetTextPP(items[i]);
		number = cdp_intern_text(&state->labels, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
		name = state->labels.text[number];
		for (int k = 0; k < o->ninclude; k++)
			out &= strcmp(name, o->include[k]) != 0;
		for (int k = 0; k < o->nexclude; k++)
			out |= strcmp(name, o->exclude[k]) == 0;
		if (!out)
			(*label)[kept++] = number;
	}
	if (o->max_touches > 0 && kept > o->max_touches)
	{
		*label += kept - o->max_touches;
		kept = o->max_touches;
	}
	if (o->collapse)
	{
		int			folded = 0;

		for (int i = 0; i < kept; i++)
			if (folded == 0 || (*label)[folded - 1] != (*label)[i])
				(*label)[folded++] = (*label)[i];
		kept = folded;
	}
	return kept;
}

CDP_FUNCTION(cdp_path_trans);

/* Adds one aggregated path: labels, conversions, their value, journeys that did not convert. */
Datum
cdp_path_trans(PG_FUNCTION_ARGS)
{
	bool		first = PG_ARGISNULL(0);
	ReplayState *state = replay_state(fcinfo, 5);
	CdpJourney	j = {.conversion_id = CDP_NO_ID, .conversion_session = CDP_NO_ID, .conversion_label = CDP_NO_LABEL,
		.anchor = {-1, -1}};
	uint32	   *label = NULL;
	int64		micro = 0;

	if (first)
		refuse_time_models(state->options);
	j.conversions = path_count(fcinfo, 2);
	j.nulls = state->options->need_nulls ? path_count(fcinfo, 4) : 0;
	if (!PG_ARGISNULL(3))
		(void) cdp_micro_from_numeric((struct varlena *) PG_GETARG_POINTER(3), &micro);
	j.value_micro = micro;
	if (!PG_ARGISNULL(1))
		j.n = path_labels(state, PG_GETARG_DATUM(1), &label);
	if (j.n == 0)
		j.nulls = 0;
	j.label = label;
	cdp_log_add(state->log, &j);
	PG_RETURN_POINTER(state);
}

CDP_FUNCTION(cdp_replay_final);

/* Adds the kept journeys up, now that all labels are known; NULL when there was no row. */
Datum
cdp_replay_final(PG_FUNCTION_ARGS)
{
	ReplayState *state;
	MemoryContext cxt;
	MemoryContext work;
	MemoryContext old;
	CdpLabels  *labels;
	CdpSums    *sums;
	uint32	   *rank;
	Datum		result;
	CdpDecoded	d = {.room = 0};

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "attribution replay finished outside an aggregate");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (ReplayState *) PG_GETARG_POINTER(0);
	cxt = AllocSetContextCreate(CurrentMemoryContext, "cdp replay", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	labels = cdp_intern_sorted(&state->labels, &rank);
	cdp_labels_refuse_reserved(labels);
	sums = cdp_sums_create(state->options, labels, cxt);
	work = AllocSetContextCreate(cxt, "cdp replayed journeys", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work);
	for (int64 k = 0; k < state->log->n; k++)
	{
		if ((k & 1023) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(work);
			d.room = 0;
		}
		cdp_log_get(state->log, k, &d);
		for (int i = 0; i < d.journey.n; i++)
			d.label[i] = rank[d.label[i]];
		if (d.journey.conversion_label != CDP_NO_LABEL)
			d.journey.conversion_label = rank[d.journey.conversion_label];
		if (d.journey.conversions == 0 && d.journey.value_micro == 0 && !state->options->need_nulls)
			continue;
		cdp_sums_add(sums, &d.journey);
	}
	MemoryContextSwitchTo(old);
	result = cdp_sums_to_datum(sums);
	MemoryContextDelete(cxt);
	return result;
}

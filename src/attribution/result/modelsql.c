/*
 * modelsql.c
 *		What the data-driven models know, as rows: transitions, removal effects,
 *		paths, positions, and how well the chain was solved.
 *
 * Each function opens a partial (sums.h), reads its path statistics and returns
 * a tuplestore. Nothing is kept between calls.
 */
#include "cdp.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

#include "attribution/attribution.h"
#include "attribution/models/markov.h"
#include "attribution/models/shapley.h"
#include "attribution/result/sums.h"

CDP_FUNCTION(cdp_attribution_transitions);
CDP_FUNCTION(cdp_attribution_removal);
CDP_FUNCTION(cdp_attribution_removal_of);
CDP_FUNCTION(cdp_attribution_paths);
CDP_FUNCTION(cdp_attribution_positions);
CDP_FUNCTION(cdp_attribution_markov_check);

#define START "(start)"
#define CONVERSION "(conversion)"
#define NULL_STATE "(null)"

/* Starts a set-returning call and opens its first argument; the sums live in the call's memory. */
static CdpSums *
open_partial(FunctionCallInfo fcinfo, ReturnSetInfo **rsinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	*rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	return cdp_sums_from_datum(PG_GETARG_DATUM(0), CurrentMemoryContext);
}

/* Adds a row to the result. */
static void
put_row(ReturnSetInfo *rsinfo, Datum *values, bool *nulls)
{
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Text array of label numbers. */
static Datum
label_array(const CdpSums *s, const uint32 *label, int n)
{
	Datum	   *element = palloc_extended(Max((Size) n, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		array;

	for (int i = 0; i < n; i++)
		element[i] = CStringGetTextDatum(s->labels->name[label[i]]);
	array = PointerGetDatum(construct_array(element, n, TEXTOID, -1, false, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		pfree(DatumGetPointer(element[i]));
	pfree(element);
	return array;
}

/* Text array of one word. */
static Datum
word_array(const char *word)
{
	Datum		element = CStringGetTextDatum(word);

	return PointerGetDatum(construct_array(&element, 1, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Adds a transition, unless nobody took it. */
static void
put_transition(ReturnSetInfo *rsinfo, Datum from, const char *label, Datum to, int64 count, int64 total)
{
	Datum		values[5];
	bool		nulls[5] = {0};

	if (count == 0)
		return;
	values[0] = from;
	values[1] = CStringGetTextDatum(label);
	values[2] = to;
	values[3] = Int64GetDatum(count);
	values[4] = Float8GetDatum(total != 0 ? (double) count / (double) total : 0);
	nulls[4] = total == 0;
	put_row(rsinfo, values, nulls);
}

/* attribution_transitions(p, k): the transition matrix, canonical order. */
Datum
cdp_attribution_transitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	CdpSums    *s = open_partial(fcinfo, &rsinfo);
	CdpChain   *c = cdp_transitions_chain(cdp_sums_transitions(s, PG_GETARG_INT32(1)), CurrentMemoryContext);
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "cdp transition rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row);
	int64		journeys = 0;

	for (uint32 i = 0; i < c->nstates; i++)
		journeys += c->starts[i];
	for (uint32 i = 0; i < c->nstates; i++)
	{
		const uint32 *label = c->pool + c->begin[i];

		CHECK_FOR_INTERRUPTS();
		put_transition(rsinfo, word_array(START), s->labels->name[label[c->length[i] - 1]],
					   label_array(s, label, (int) c->length[i]), c->starts[i], journeys);
		MemoryContextReset(row);
	}
	for (uint32 i = 0; i < c->nstates; i++)
	{
		const uint32 *label = c->pool + c->begin[i];

		for (uint64 e = c->first[i]; e < c->first[i + 1]; e++)
		{
			CHECK_FOR_INTERRUPTS();
			put_transition(rsinfo, label_array(s, label, (int) c->length[i]), s->labels->name[c->label[e]],
						   label_array(s, c->pool + c->begin[c->to[e]], (int) c->length[c->to[e]]),
						   c->weight[e], c->total[i]);
			MemoryContextReset(row);
		}
		put_transition(rsinfo, label_array(s, label, (int) c->length[i]), CONVERSION, word_array(CONVERSION),
					   c->end[i].conversions, c->total[i]);
		put_transition(rsinfo, label_array(s, label, (int) c->length[i]), NULL_STATE, word_array(NULL_STATE),
					   c->end[i].nulls, c->total[i]);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	return (Datum) 0;
}

/* attribution_removal(p, k): removal effect of each label, in label order. */
Datum
cdp_attribution_removal(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	CdpSums    *s = open_partial(fcinfo, &rsinfo);
	const CdpTransitions *t = cdp_sums_transitions(s, PG_GETARG_INT32(1));
	int			n = s->labels->n;
	double	   *result[4];

	for (int i = 0; i < 4; i++)
		result[i] = palloc(Max((Size) n, 1) * sizeof(double));
	cdp_markov_shares(t, n, result[0], result[1], result[2], result[3], NULL);
	for (int j = 0; j < n; j++)
	{
		Datum		values[3];
		bool		nulls[3] = {0};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(s->labels->name[j]);
		values[1] = Float8GetDatum(result[2][j]);
		values[2] = Float8GetDatum(result[3][j]);
		put_row(rsinfo, values, nulls);
	}
	return (Datum) 0;
}

/* attribution_removal_of(p, labels, k): removal effect of a set of labels together. */
Datum
cdp_attribution_removal_of(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	CdpSums    *s = open_partial(fcinfo, &rsinfo);
	const CdpTransitions *t = cdp_sums_transitions(s, PG_GETARG_INT32(2));
	bool	   *removed = palloc0(Max((Size) s->labels->n, 1) * sizeof(bool));
	Datum	   *element;
	bool	   *is_null;
	int			n;
	double		conv,
				value;
	Datum		values[2];
	bool		nulls[2] = {0};

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &element, &is_null, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *name = is_null[i] ? NULL : TextDatumGetCString(element[i]);
		int			label = name == NULL ? -1 : cdp_label_find(s->labels, name);

		if (label < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 name == NULL ? errmsg("a label to remove is NULL")
					 : errmsg("label \"%s\" does not occur in this partial", name),
					 errhint("Labels are those of cdp.attribution_totals.")));
		removed[label] = true;
	}
	cdp_markov_removal_of(t, removed, &conv, &value, NULL);
	values[0] = Float8GetDatum(conv);
	values[1] = Float8GetDatum(value);
	put_row(rsinfo, values, nulls);
	return (Datum) 0;
}

/* qsort_arg comparator: more conversions, more value, more journeys first, then canonical order. */
static int
compare_top(const void *a, const void *b, void *table)
{
	const CdpPathTable *t = table;
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;
	const CdpCounts *p = &t->path[x].sum;
	const CdpCounts *q = &t->path[y].sum;
	const uint32 *xl = cdp_path_labels(t, x);
	const uint32 *yl = cdp_path_labels(t, y);

	CHECK_FOR_INTERRUPTS();
	if (p->conversions != q->conversions)
		return p->conversions > q->conversions ? -1 : 1;
	if (p->value != q->value)
		return p->value > q->value ? -1 : 1;
	if (p->nulls != q->nulls)
		return p->nulls > q->nulls ? -1 : 1;
	if (t->path[x].n != t->path[y].n)
		return t->path[x].n < t->path[y].n ? -1 : 1;
	for (uint32 i = 0; i < t->path[x].n; i++)
		if (xl[i] != yl[i])
			return xl[i] < yl[i] ? -1 : 1;
	return 0;
}

/* attribution_paths(p, top): the distinct paths with the most conversions. */
Datum
cdp_attribution_paths(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	CdpSums    *s;
	bool		all = PG_ARGISNULL(1);
	int			top = all ? 0 : PG_GETARG_INT32(1);
	uint32		count;
	uint32	   *order;

	if (PG_ARGISNULL(0))
	{
		InitMaterializedSRF(fcinfo, 0);
		return (Datum) 0;
	}
	s = open_partial(fcinfo, &rsinfo);

	if (!all && top < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid number of paths: %d", top),
				 errhint("Ask for 1 or more, or NULL for all.")));
	if (s->paths == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this partial holds no paths"),
				 errhint("Compute it with paths => true among its options.")));
	order = cdp_pathtable_order(s->paths, &count, CurrentMemoryContext);
	qsort_arg(order, count, sizeof(uint32), compare_top, s->paths);
	if (!all)
		count = Min(count, (uint32) top);
	for (uint32 i = 0; i < count; i++)
	{
		const CdpPath *p = &s->paths->path[order[i]];
		Datum		values[4];
		bool		nulls[4] = {0};

		CHECK_FOR_INTERRUPTS();
		values[0] = label_array(s, cdp_path_labels(s->paths, order[i]), (int) p->n);
		values[1] = Int64GetDatum(p->sum.conversions);
		values[2] = cdp_numeric_from_scaled(p->sum.value, 6);
		values[3] = Int64GetDatum(p->sum.nulls);
		put_row(rsinfo, values, nulls);
		pfree(DatumGetPointer(values[0]));
	}
	return (Datum) 0;
}

/* attribution_positions(p): ordered Shapley values by label and position. */
Datum
cdp_attribution_positions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	CdpSums    *s = open_partial(fcinfo, &rsinfo);
	CdpPlace   *place;
	uint32		count;

	if (s->coalitions == NULL || !s->coalitions->ordered)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this partial holds no positions"),
				 errhint("Compute it with models => '{shapley_ordered}' among its options.")));
	place = cdp_coalitions_places(s->coalitions, &count, CurrentMemoryContext);
	for (uint32 i = 0; i < count;)
	{
		long double conv = 0,
					value = 0;
		uint32		first = i;
		Datum		values[4];
		bool		nulls[4] = {0};

		CHECK_FOR_INTERRUPTS();
		for (; i < count && place[i].label == place[first].label && place[i].position == place[first].position; i++)
		{
			conv += (long double) place[i].conversions / place[i].divisor;
			value += (long double) place[i].value / place[i].divisor;
		}
		values[0] = CStringGetTextDatum(s->labels->name[place[first].label]);
		values[1] = Int32GetDatum((int32) place[first].position);
		values[2] = Float8GetDatum((double) conv);
		values[3] = Float8GetDatum((double) (value / 1e6L));
		put_row(rsinfo, values, nulls);
	}
	return (Datum) 0;
}

/* attribution_markov_check(p): for each Markov order held, how its chain was solved. */
Datum
cdp_attribution_markov_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	CdpSums    *s = open_partial(fcinfo, &rsinfo);
	int			n = Max(s->labels->n, 1);
	double	   *result = palloc((Size) n * 4 * sizeof(double));

	for (int k = 0; k < s->options->norders; k++)
	{
		CdpMarkovCheck check;
		Datum		values[9];
		bool		nulls[9] = {0};
		double		lowest = 0,
					highest = 0;

		CHECK_FOR_INTERRUPTS();
		cdp_markov_shares(cdp_sums_transitions(s, s->options->order[k]), s->labels->n,
						  result, result + n, result + 2 * n, result + 3 * n, &check);
		for (int j = 0; j < s->labels->n; j++)
		{
			lowest = j == 0 ? result[2 * n] : Min(lowest, result[2 * n + j]);
			highest = Max(highest, result[2 * n + j]);
		}
		values[0] = Int32GetDatum(s->options->order[k]);
		values[1] = Int64GetDatum((int64) check.states);
		values[2] = Float8GetDatum(check.p_expected);
		values[3] = Float8GetDatum(check.p);
		values[4] = Float8GetDatum(check.e_expected);
		values[5] = Float8GetDatum(check.e);
		values[6] = Float8GetDatum(check.residual);
		values[7] = Float8GetDatum(lowest);
		values[8] = Float8GetDatum(highest);
		put_row(rsinfo, values, nulls);
	}
	return (Datum) 0;
}

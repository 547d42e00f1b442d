/*
 * funnel_pass.c
 *		The aggregate cdp.funnel_pass: rows in, one result of type
 *		cdp.funnel_partial out.
 *
 * Rows that are no step and break nothing are forgotten at once, so a pass takes
 * memory only for what its funnel looks at.
 */
#include "journey/funnel.h"

#include "base/option.h"
#include "base/rows/intern.h"
#include "base/rows/key.h"
#include "catalog/pg_type.h"
#include "journey/pass.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_LABEL 3
#define ARG_OPTIONS 4
#define ARG_BREAKDOWN 5
#define ARG_ID 6

#define NO_BREAKDOWN "(none)"

/* What a label means in the funnel. */
typedef struct LabelUse
{
	uint64		steps;
	bool		excluded;
} LabelUse;

typedef struct FunnelPass
{
	CdpJourneyPass base;
	CdpFunnelOptions *options;
	CdpIntern	breakdowns;
	bool		has_breakdown;
	bool		has_id;
	LabelUse   *use;			/* [label] */
	uint32		use_room;
	int64		counter[CDP_FUNNEL_COUNTERS];

	/* while it finishes */
	uint32	   *breakdown_rank;
	CdpFunnelWalk *walk;
	CdpFunnelEvent *event;
	int			event_room;
	uint32	   *label_at;		/* number of the label at each rank */
	CdpFunnelSums *sums;
} FunnelPass;

/* Starts a pass at its first row. */
static FunnelPass *
start_pass(FunctionCallInfo fcinfo)
{
	FunnelPass *pass = cdp_journey_start(fcinfo, sizeof(FunnelPass), ARG_KEY, ARG_LABEL, ARG_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(pass->base.cxt);

	pass->options = cdp_funnel_options_read(pass->base.given, pass->base.cxt);
	pass->has_breakdown = PG_NARGS() > ARG_BREAKDOWN;
	pass->has_id = PG_NARGS() > ARG_ID;
	if (pass->options->ties_count && !pass->has_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel option \"ties\" needs the ids of the rows"),
				 errhint("Call cdp.funnel_pass(key, at, label, options, breakdown, id); a breakdown may be NULL.")));
	cdp_journey_store(fcinfo, &pass->base, pass->has_breakdown + pass->has_id);
	cdp_intern_init(&pass->breakdowns, false, pass->base.cxt, &cdp_journey_memory);
	pass->use_room = 64;
	pass->use = palloc(sizeof(LabelUse) * pass->use_room);
	MemoryContextSwitchTo(old);
	return pass;
}

/* Finds out what a new label means. */
static void
learn_label(FunnelPass *pass, uint32 number)
{
	const CdpFunnelOptions *o = pass->options;
	const char *name = cdp_journey_label(&pass->base.labels, number);
	LabelUse	use = {0};

	for (int k = 0; k < o->nsteps; k++)
	{
		int			n;
		char	  **label = cdp_funnel_step_labels(o->step[k], &n);

		for (int i = 0; i < n; i++)
		{
			if (strcmp(label[i], name) == 0)
				use.steps |= UINT64CONST(1) << k;
			pfree(label[i]);
		}
		pfree(label);
	}
	for (int e = 0; e < o->nexclude; e++)
		use.excluded |= strcmp(o->exclude[e], name) == 0;
	if (number == pass->use_room)
	{
		pass->use_room *= 2;
		pass->use = repalloc_huge(pass->use, sizeof(LabelUse) * pass->use_room);
	}
	pass->use[number] = use;
}

/* The number of the breakdown of a row. */
static uint32
breakdown_number(FunctionCallInfo fcinfo, FunnelPass *pass)
{
	if (PG_ARGISNULL(ARG_BREAKDOWN))
		return cdp_intern_text(&pass->breakdowns, NO_BREAKDOWN, strlen(NO_BREAKDOWN));
	return cdp_intern_label(&pass->breakdowns, PG_GETARG_DATUM(ARG_BREAKDOWN), false);
}

CDP_FUNCTION(cdp_funnel_add);

/* One row of cdp.funnel_pass; the state lives in the aggregate's context. */
Datum
cdp_funnel_add(PG_FUNCTION_ARGS)
{
	FunnelPass *pass;
	CdpIntern  *labels;
	uint32		label;
	uint32		before;
	uint64		key[2];
	uint64	   *row;
	int64		at;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (FunnelPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->base.vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->base.given, "funnel");
	}
	pass->counter[CDP_FUNNEL_ROWS]++;
	/* Without a label a row is no step; it still comes between two of a strict funnel. */
	if (PG_ARGISNULL(ARG_LABEL) && pass->options->order != CDP_FUNNEL_STRICT)
		PG_RETURN_POINTER(pass);
	labels = &pass->base.labels;
	before = labels->n;
	label = PG_ARGISNULL(ARG_LABEL) ? cdp_journey_no_label(&pass->base)
		: cdp_intern_label(labels, PG_GETARG_DATUM(ARG_LABEL), labels->is_int);
	if (unlikely(labels->n > before))
		learn_label(pass, label);
	if (pass->use[label].steps == 0 && !pass->use[label].excluded && pass->options->order != CDP_FUNNEL_STRICT)
		PG_RETURN_POINTER(pass);
	if (PG_ARGISNULL(ARG_KEY))
	{
		pass->counter[CDP_FUNNEL_NO_KEY]++;
		PG_RETURN_POINTER(pass);
	}
	if (PG_ARGISNULL(ARG_AT) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(ARG_AT)))
	{
		pass->counter[CDP_FUNNEL_UNTIMED]++;
		PG_RETURN_POINTER(pass);
	}
	at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
	if (at >= pass->options->as_of)
	{
		pass->counter[CDP_FUNNEL_LATER]++;
		PG_RETURN_POINTER(pass);
	}
	cdp_journey_key(fcinfo, &pass->base, ARG_KEY, key);
	row = cdp_journey_row(&pass->base, key, at, label);
	if (row != NULL)
	{
		if (pass->has_id)
			row[pass->base.store->extra_word] = (uint64) (PG_ARGISNULL(ARG_ID) ? PG_INT64_MAX : PG_GETARG_INT64(ARG_ID));
		if (pass->has_breakdown)
			row[pass->base.store->extra_word + pass->has_id] = breakdown_number(fcinfo, pass);
	}
	cdp_store_count(pass->base.store);
	PG_RETURN_POINTER(pass);
}

/* Orders rows of one time: by id where there is one, then by label and breakdown. */
static int
compare_ties(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpKeyRows *rows = arg;
	const FunnelPass *pass = rows->arg;
	const uint64 *x = cdp_key_row(rows, a);
	const uint64 *y = cdp_key_row(rows, b);
	int			c = pass->has_id ? cdp_compare_int64(cdp_key_word(rows, x, 0), cdp_key_word(rows, y, 0)) : 0;

	if (c == 0)
		c = cdp_compare_int64(a->rank, b->rank);
	if (c == 0 && pass->has_breakdown)
		c = cdp_compare_int64(pass->breakdown_rank[cdp_key_word(rows, x, pass->has_id)],
							  pass->breakdown_rank[cdp_key_word(rows, y, pass->has_id)]);
	return c;
}

/* Finds the furthest chain of one customer and counts it. */
static void
visit_customer(const CdpKeyRows *rows)
{
	FunnelPass *pass = rows->arg;
	CdpFunnelChain chain;
	bool		is_step = false;

	if (rows->n > pass->event_room)
	{
		pass->event_room = rows->n + rows->n / 4;
		if (pass->event != NULL)
			pfree(pass->event);
		pass->event = MemoryContextAllocHuge(pass->base.cxt, sizeof(CdpFunnelEvent) * (Size) pass->event_room);
	}
	for (int i = 0; i < rows->n; i++)
	{
		const CdpItem *item = &rows->item[i];
		const LabelUse *use = &pass->use[pass->label_at[item->rank]];
		uint64		number = cdp_key_word(rows, cdp_key_row(rows, item), pass->has_id);

		pass->event[i] = (CdpFunnelEvent) {.at = item->at, .steps = use->steps, .excluded = use->excluded,
			.breakdown = pass->has_breakdown ? pass->breakdown_rank[number] : 0};
		is_step |= use->steps != 0;
	}
	pass->counter[CDP_FUNNEL_CUSTOMERS] += is_step;
	cdp_funnel_walk(pass->walk, pass->event, rows->n, &chain);
	if (chain.level > 0)
		cdp_funnel_sums_add(pass->sums, &chain, chain.breakdown);
}

CDP_FUNCTION(cdp_funnel_final);

/* The final function: chains, counts, and their bytes in the caller's context. */
Datum
cdp_funnel_final(PG_FUNCTION_ARGS)
{
	FunnelPass *pass;
	MemoryContext old;
	CdpLabels  *breakdowns;
	uint32	   *rank;
	Datum		result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (FunnelPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->base.cxt);
	(void) cdp_intern_sorted(&pass->base.labels, &rank);
	pass->label_at = MemoryContextAllocHuge(pass->base.cxt, sizeof(uint32) * Max(pass->base.labels.n, 1));
	for (uint32 i = 0; i < pass->base.labels.n; i++)
		pass->label_at[rank[i]] = i;
	if (!pass->has_breakdown)
		(void) cdp_intern_text(&pass->breakdowns, "", 0);
	breakdowns = cdp_intern_sorted(&pass->breakdowns, &pass->breakdown_rank);
	pass->sums = cdp_funnel_sums_create(pass->options, breakdowns, pass->has_breakdown, pass->base.cxt);
	pass->walk = cdp_funnel_walk_create(pass->options, pass->base.cxt);
	cdp_by_key(pass->base.store, rank, compare_ties, visit_customer, pass);
	memcpy(pass->sums->counter, pass->counter, sizeof(pass->counter));
	cdp_journey_finished(&pass->base);
	MemoryContextSwitchTo(old);
	result = cdp_funnel_sums_to_datum(pass->sums);
	MemoryContextDelete(pass->base.cxt);
	return result;
}

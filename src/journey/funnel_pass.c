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
#include "port/pg_bitutils.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_LABEL 3
#define ARG_OPTIONS 4
#define ARG_FURTHER 5			/* breakdown, id, or breakdown and id */

#define NO_BREAKDOWN "(none)"
#define MAX_CODES 65536

/* What a label means in the funnel. */
typedef struct LabelUse
{
	uint64		steps;			/* a bit for each that it may be */
	uint64		breaks;			/* and for each behind which it breaks a chain */
} LabelUse;

typedef struct FunnelPass
{
	CdpJourneyPass base;		/* labels: those that the options name, in the order of their numbers */
	CdpFunnelOptions *options;
	CdpIntern	breakdowns;
	int			breakdown_arg;	/* 0 = none */
	int			id_arg;
	bool		has_breakdown;
	uint64		named_by;		/* steps whose row may name the breakdown */
	bool		has_id;
	bool		strict;
	LabelUse   *use;			/* [label], then one for all labels that the options do not name */
	uint32		use_room;
	uint32		other;
	uint32	   *of_code;		/* [code - first_code]: numbers of integer labels that lie close together, else NULL */
	int32		first_code;
	uint32		codes;
	int64		counter[CDP_FUNNEL_COUNTERS];

	/* while it finishes */
	uint32	   *breakdown_rank;
	uint32	   *label_at;		/* number of the label at each rank */
	CdpFunnelWalk *walk;
	CdpFunnelMoment moment;
	CdpFunnelSums *sums;
} FunnelPass;

/* Makes a label of the options known and gives its meaning; labels of integer columns are integers. */
static LabelUse *
name_label(FunnelPass *pass, const char *name)
{
	CdpIntern  *labels = &pass->base.labels;
	uint32		before = labels->n;
	uint32		number = cdp_journey_named(&pass->base, name);

	if (labels->n > before)
	{
		if (labels->n >= pass->use_room)
		{
			pass->use_room *= 2;
			pass->use = repalloc_huge(pass->use, sizeof(LabelUse) * pass->use_room);
		}
		pass->use[number] = (LabelUse) {0};
	}
	return &pass->use[number];
}

/* A table from integer labels to their numbers, where it is small: cheaper than a search at each row. */
static void
table_codes(FunnelPass *pass)
{
	const CdpIntern *labels = &pass->base.labels;
	int32		low = PG_INT32_MAX;
	int32		high = PG_INT32_MIN;

	for (uint32 i = 0; i < labels->n; i++)
	{
		low = Min(low, labels->code[i]);
		high = Max(high, labels->code[i]);
	}
	if ((int64) high - low >= MAX_CODES)
		return;
	pass->first_code = low;
	pass->codes = high - low + 1;
	pass->of_code = palloc(sizeof(uint32) * pass->codes);
	for (uint32 code = 0; code < pass->codes; code++)
		pass->of_code[code] = CDP_NO_LABEL;
	for (uint32 i = 0; i < labels->n; i++)
		pass->of_code[labels->code[i] - low] = i;
}

/* Makes the labels that count known; all others are one to the pass, however many there are. */
static void
name_labels(FunnelPass *pass)
{
	const CdpFunnelOptions *o = pass->options;

	pass->use_room = 64;
	pass->use = palloc(sizeof(LabelUse) * pass->use_room);
	for (int k = 0; k < o->steps.n; k++)
	{
		int			n;
		char	  **label = cdp_funnel_step_labels(o->steps.item[k], &n);

		for (int i = 0; i < n; i++)
			name_label(pass, label[i])->steps |= UINT64CONST(1) << k;
	}
	for (int e = 0; e < o->exclude.n; e++)
	{
		const CdpFunnelRange *r = &o->exclude_between[o->ranges > 1 ? e : 0];

		for (int k = r->from; k < r->to; k++)
			name_label(pass, o->exclude.item[e])->breaks |= UINT64CONST(1) << (k - 1);
	}
	pass->base.labels.closed = true;
	pass->other = pass->base.labels.n;
	pass->use[pass->other] = (LabelUse) {0};
	if (pass->base.labels.is_int)
		table_codes(pass);
}

/* Starts a pass at its first row. */
static FunnelPass *
start_pass(FunctionCallInfo fcinfo)
{
	FunnelPass *pass = cdp_journey_start(fcinfo, sizeof(FunnelPass), ARG_KEY, ARG_LABEL, ARG_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(pass->base.cxt);

	pass->options = cdp_fields_read(&cdp_funnel_fields, pass->base.given, pass->base.cxt);
	for (int arg = ARG_FURTHER; arg < PG_NARGS(); arg++)
	{
		if (get_fn_expr_argtype(fcinfo->flinfo, arg) == INT8OID)
			pass->id_arg = arg;
		else
			pass->breakdown_arg = arg;
	}
	pass->has_breakdown = pass->breakdown_arg > 0;
	pass->has_id = pass->id_arg > 0;
	pass->strict = pass->options->step_order == CDP_FUNNEL_STRICT;
	if (pass->options->ties == CDP_FUNNEL_TIES_BY_ID && !pass->has_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel option \"ties\" needs the ids of the rows"),
				 errhint("Call cdp.funnel_pass(key, at, label, options, id), or (key, at, label, options, breakdown, id).")));
	cdp_journey_store(fcinfo, &pass->base, pass->has_breakdown + pass->has_id);
	cdp_intern_init(&pass->breakdowns, false, pass->base.cxt, &cdp_journey_memory);
	(void) cdp_intern_text(&pass->breakdowns, NO_BREAKDOWN, strlen(NO_BREAKDOWN));
	pass->named_by = pass->options->breakdown == CDP_FUNNEL_BREAKDOWN_LAST || pass->options->step_order == CDP_FUNNEL_UNORDERED ? ~UINT64CONST(0) : 1;
	name_labels(pass);
	MemoryContextSwitchTo(old);
	return pass;
}

/* The number of the breakdown of a row; 0, which is none, also where the row can not name it. */
static uint32
breakdown_number(FunctionCallInfo fcinfo, FunnelPass *pass, uint32 label)
{
	if (PG_ARGISNULL(pass->breakdown_arg) || (pass->use[label].steps & pass->named_by) == 0)
		return 0;
	return cdp_intern_label(&pass->breakdowns, PG_GETARG_DATUM(pass->breakdown_arg), false);
}

/* The number of the label of a row, CDP_NO_LABEL when no option names it. */
static inline uint32
label_number(FunctionCallInfo fcinfo, FunnelPass *pass)
{
	uint32		code;

	if (PG_ARGISNULL(ARG_LABEL))
		return CDP_NO_LABEL;
	if (pass->of_code == NULL)
		return cdp_intern_label(&pass->base.labels, PG_GETARG_DATUM(ARG_LABEL), pass->base.labels.is_int);
	code = (uint32) PG_GETARG_INT32(ARG_LABEL) - (uint32) pass->first_code;
	return code < pass->codes ? pass->of_code[code] : CDP_NO_LABEL;
}

/* Stores a row that counts; apart, as most rows of a table do not. */
static pg_noinline void
store_row(FunctionCallInfo fcinfo, FunnelPass *pass, uint32 label)
{
	uint64		key[2];
	uint64	   *row;
	int64		at;

	if (PG_ARGISNULL(ARG_KEY))
	{
		pass->counter[CDP_FUNNEL_NO_KEY]++;
		return;
	}
	if (PG_ARGISNULL(ARG_AT) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(ARG_AT)))
	{
		pass->counter[CDP_FUNNEL_UNTIMED]++;
		return;
	}
	at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
	if (at >= pass->options->as_of)
	{
		pass->counter[CDP_FUNNEL_LATER]++;
		return;
	}
	cdp_journey_key(fcinfo, &pass->base, ARG_KEY, key);
	row = cdp_journey_row(&pass->base, key, at, label);
	if (row != NULL)
	{
		if (pass->has_id)
			row[pass->base.store->extra_word] = (uint64) (PG_ARGISNULL(pass->id_arg) ? PG_INT64_MAX : PG_GETARG_INT64(pass->id_arg));
		if (pass->has_breakdown)
			row[pass->base.store->extra_word + pass->has_id] = breakdown_number(fcinfo, pass, label);
	}
	cdp_store_count(pass->base.store);
}

CDP_FUNCTION(cdp_funnel_add);

/* One row of cdp.funnel_pass; the state lives in the aggregate's context. */
Datum
cdp_funnel_add(PG_FUNCTION_ARGS)
{
	FunnelPass *pass;
	uint32		label;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (FunnelPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->base.vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->base.given, "funnel");
	}
	pass->counter[CDP_FUNNEL_ROWS]++;
	label = label_number(fcinfo, pass);
	if (label != CDP_NO_LABEL)
		store_row(fcinfo, pass, label);
	else if (pass->strict)
		store_row(fcinfo, pass, pass->other);	/* no step, yet it comes between two */
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

/* Gathers the rows of the moment that begins with row i; returns where the next one begins. */
static int
next_moment(FunnelPass *pass, const CdpKeyRows *rows, int i)
{
	CdpFunnelMoment *m = &pass->moment;
	bool		by_id = pass->options->ties == CDP_FUNNEL_TIES_BY_ID;
	int64		id = by_id ? cdp_key_word(rows, cdp_key_row(rows, &rows->item[i]), 0) : 0;

	m->at = rows->item[i].at;
	m->steps = 0;
	m->breaks = 0;
	for (; i < rows->n && rows->item[i].at == m->at; i++)
	{
		const CdpItem *item = &rows->item[i];
		const LabelUse *use = &pass->use[pass->label_at[item->rank]];
		uint64		steps = use->steps & ~m->steps;
		uint32		breakdown;

		if (by_id && cdp_key_word(rows, cdp_key_row(rows, item), 0) != id)
			break;
		m->breaks |= use->breaks;
		if (steps == 0)
			continue;
		m->steps |= steps;
		breakdown = pass->has_breakdown ? pass->breakdown_rank[cdp_key_word(rows, cdp_key_row(rows, item), pass->has_id)] : 0;
		for (; steps != 0; steps &= steps - 1)
			m->breakdown[pg_rightmost_one_pos64(steps)] = breakdown;
	}
	return i;
}

/* Finds the furthest chain of one customer and counts it. */
static void
visit_customer(const CdpKeyRows *rows)
{
	FunnelPass *pass = rows->arg;
	const CdpFunnelChain *chain = cdp_funnel_chain(pass->walk);
	bool		is_step = false;
	bool		done = false;
	uint32		moments = 0;

	cdp_funnel_begin(pass->walk);
	for (int i = 0; i < rows->n && !done;)
	{
		i = next_moment(pass, rows, i);
		if ((++moments & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		is_step |= pass->moment.steps != 0;
		done = cdp_funnel_moment(pass->walk, &pass->moment);
	}
	pass->counter[CDP_FUNNEL_CUSTOMERS] += is_step;
	if (chain->level > 0)
		cdp_funnel_sums_add(pass->sums, chain);
}

/* The places of all labels, those that the options do not name behind the others. */
static uint32 *
rank_labels(FunnelPass *pass)
{
	uint32	   *sorted;
	uint32	   *rank = palloc(sizeof(uint32) * (pass->other + 1));

	(void) cdp_intern_sorted(&pass->base.labels, &sorted);
	memcpy(rank, sorted, sizeof(uint32) * pass->other);
	rank[pass->other] = pass->other;
	pass->label_at = palloc(sizeof(uint32) * (pass->other + 1));
	for (uint32 i = 0; i <= pass->other; i++)
		pass->label_at[rank[i]] = i;
	return rank;
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
	rank = rank_labels(pass);
	breakdowns = cdp_intern_sorted(&pass->breakdowns, &pass->breakdown_rank);
	if (!pass->has_breakdown)
		breakdowns->name[0] = pstrdup("");
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

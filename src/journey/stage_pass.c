/*
 * stage_pass.c
 *		The aggregate cdp.stage_pass: rows in, one result of type
 *		cdp.stage_partial out.
 *
 * Only rows with a label of some stage, or of an exit, are kept.
 */
#include "journey/stage.h"

#include "base/option.h"
#include "port/pg_bitutils.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_LABEL 3
#define ARG_OPTIONS 4
#define ARG_ID 5

static bool stage_valid(const CdpOutcome *out, const CdpTallyEntry *e);
static bool standing_valid(const CdpOutcome *out, const CdpStanding *s);

const CdpOutcomeKind cdp_stage_kind = {
	"cdp.stage_partial", "cdp.stage_pass", &cdp_stage_fields, false, stage_valid, standing_valid,
};

CDP_OUTCOME_FUNCTIONS(stage, cdp_stage_kind)

/* What a label does. */
typedef struct LabelUse
{
	uint64		enter;			/* a bit for each stage */
	uint64		engage;
	bool		exits;
} LabelUse;

/* One customer on the way through the stages. */
typedef struct Walk
{
	int			stage;			/* -1 = outside */
	bool		asked;			/* the journey began in the interval asked for */
	bool		ever;			/* entered any journey that is asked for */
	int64		since;
	int64		last;			/* row of any stage */
	int64		engagements;
	int64		seen[CDP_MAX_STAGES];	/* rows of its entering labels in this journey */
	CdpStanding standing;
} Walk;

typedef struct StagePass
{
	CdpJourneyPass base;
	CdpStageOptions *options;
	CdpOutcome *out;
	bool		has_id;
	LabelUse   *use;			/* [label]; the options name all that there are */
	uint32	   *label_at;		/* number of the label at each place, while it finishes */
} StagePass;

/* Checks a count that came from outside. */
static bool
stage_valid(const CdpOutcome *out, const CdpTallyEntry *e)
{
	const CdpStageOptions *o = out->options;
	const uint32 *key = cdp_tally_key(out->tally, e);
	bool		timed;

	if (e->n < 2 || e->customers < 1)
		return false;
	if (key[0] < CDP_KEY_FLOW)
		return e->n == 2 && key[1] < (uint32) o->stages && e->times.n == 0 &&
			(key[0] == CDP_KEY_ENGAGED ? e->value >= e->count && e->value <= PG_INT64_MAX : e->value == 0);
	if (key[0] != CDP_KEY_FLOW || e->n != 3 || key[1] > (uint32) o->stages || key[2] >= (uint32) o->stages + CDP_TO_STAGE ||
		(key[1] == CDP_FROM_OUTSIDE && key[2] < CDP_TO_STAGE) || key[1] + CDP_TO_STAGE == key[2] + 1 || e->value != 0)
		return false;
	timed = o->durations && key[1] != CDP_FROM_OUTSIDE && key[2] != CDP_TO_DROPPED && key[2] != CDP_TO_STAYING;
	return e->times.n == (timed ? e->count : 0);
}

/* Checks where a customer stands, as it came from outside. */
static bool
standing_valid(const CdpOutcome *out, const CdpStanding *s)
{
	const CdpStageOptions *o = out->options;

	return o->customers && s->stage < o->stages && s->status < CDP_STANDINGS;
}

/* Makes the labels of a list known, with what they do. */
static void
name_labels(StagePass *pass, const CdpTexts *list, uint64 enter, uint64 engage, bool exits)
{
	for (int i = 0; i < list->n; i++)
	{
		LabelUse   *use = &pass->use[cdp_journey_named(&pass->base, list->item[i])];

		use->enter |= enter;
		use->engage |= engage;
		use->exits |= exits;
	}
}

/* Makes the labels that count known; rows with others are ignored. */
static void
name_all_labels(StagePass *pass)
{
	const CdpStageOptions *o = pass->options;
	Size		n = o->exits.n;

	for (int k = 0; k < o->stages; k++)
		n += o->stage[k].enter.n + o->stage[k].engage.n;
	pass->use = palloc0(sizeof(LabelUse) * n);
	name_labels(pass, &o->exits, 0, 0, true);
	for (int k = 0; k < o->stages; k++)
	{
		name_labels(pass, &o->stage[k].enter, UINT64CONST(1) << k, 0, false);
		name_labels(pass, &o->stage[k].engage, 0, UINT64CONST(1) << k, false);
	}
	pass->base.labels.closed = true;
}

/* Starts a pass at its first row. */
static StagePass *
start_pass(FunctionCallInfo fcinfo)
{
	StagePass  *pass = cdp_journey_start(fcinfo, sizeof(StagePass), ARG_KEY, ARG_LABEL, ARG_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(pass->base.cxt);

	pass->options = cdp_fields_read(&cdp_stage_fields, pass->base.given, pass->base.cxt);
	pass->out = cdp_outcome_create(&cdp_stage_kind, pass->options, pass->base.cxt);
	pass->has_id = PG_NARGS() > ARG_ID;
	if (pass->options->customers && pass->base.key_type == CDP_KEY_TEXT)
		pass->base.names = cdp_key_names_create(pass->base.cxt, &cdp_journey_memory);
	cdp_journey_store(fcinfo, &pass->base, pass->has_id);
	name_all_labels(pass);
	MemoryContextSwitchTo(old);
	return pass;
}

CDP_FUNCTION(cdp_stage_add);

/* One row of cdp.stage_pass; the state lives in the aggregate's context. */
Datum
cdp_stage_add(PG_FUNCTION_ARGS)
{
	StagePass  *pass;
	CdpIntern  *labels;
	uint32		label;
	uint64		key[2];
	uint64	   *row;
	int64		at;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (StagePass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->base.vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->base.given, "stage");
	}
	pass->out->counter[CDP_COUNT_ROWS]++;
	if (PG_ARGISNULL(ARG_LABEL))
		PG_RETURN_POINTER(pass);
	labels = &pass->base.labels;
	label = cdp_intern_label(labels, PG_GETARG_DATUM(ARG_LABEL), labels->is_int);
	if (label == CDP_NO_LABEL || !cdp_outcome_takes(fcinfo, pass->out, ARG_KEY, ARG_AT, pass->options->as_of, &at))
		PG_RETURN_POINTER(pass);
	cdp_journey_key(fcinfo, &pass->base, ARG_KEY, key);
	row = cdp_journey_row(&pass->base, key, at, label);
	if (row != NULL)
		row[pass->base.store->extra_word] = (uint64) (PG_ARGISNULL(ARG_ID) ? PG_INT64_MAX : PG_GETARG_INT64(ARG_ID));
	cdp_store_count(pass->base.store);
	PG_RETURN_POINTER(pass);
}

/* Where a row comes among those of its time: rows that enter by their lowest stage, then engagements, then exits. */
static inline int
turn_of(const StagePass *pass, const CdpItem *item)
{
	const LabelUse *use = &pass->use[pass->label_at[item->rank]];

	if (use->enter != 0)
		return pg_rightmost_one_pos64(use->enter);
	return use->exits ? CDP_MAX_STAGES + 1 : CDP_MAX_STAGES;
}

/* Orders rows of one time: by id where there is one, then by what they do, then by label. */
static int
compare_ties(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpKeyRows *rows = arg;
	const StagePass *pass = rows->arg;
	int			c = !pass->has_id ? 0 : cdp_compare_int64(cdp_key_word(rows, cdp_key_row(rows, a), 0), cdp_key_word(rows, cdp_key_row(rows, b), 0));

	if (c == 0)
		c = turn_of(pass, a) - turn_of(pass, b);
	return c != 0 ? c : cdp_compare_int64(a->rank, b->rank);
}

/* Counts a flow, with the time of the stay that it ends. */
static void
count_flow(StagePass *pass, uint32 from, uint32 to, int64 took)
{
	CdpTally   *t = pass->out->tally;
	uint32		key[3] = {CDP_KEY_FLOW, from, to};
	CdpTallyEntry *e = cdp_tally_count(t, key, 3);

	if (pass->options->durations && took >= 0)
		cdp_span_add(&t->memory, &e->times, took);
}

/* Counts the stay that ends, or still goes on, and where to. */
static void
end_stay(StagePass *pass, Walk *w, uint32 to, int64 at)
{
	CdpTally   *t = pass->out->tally;
	uint32		key[2] = {CDP_KEY_STAY, w->stage};
	bool		ends = to != CDP_TO_DROPPED && to != CDP_TO_STAYING;

	if (!w->asked)
		return;
	pass->out->counter[CDP_COUNT_PATHS]++;
	(void) cdp_tally_count(t, key, 2);
	key[0] = CDP_KEY_ENGAGED;
	if (w->engagements > 0)
		cdp_tally_count(t, key, 2)->value += w->engagements;
	key[0] = CDP_KEY_CONVERTED;
	if (to >= CDP_TO_STAGE && to - CDP_TO_STAGE > (uint32) w->stage)
		(void) cdp_tally_count(t, key, 2);
	count_flow(pass, w->stage + 1, to, ends ? cdp_distance(w->since, at) : -1);
}

/* Enters a stage, from another one or from outside. */
static void
enter_stage(StagePass *pass, Walk *w, int stage, int64 at)
{
	const CdpStageOptions *o = pass->options;

	if (w->stage < 0)
	{
		w->asked = at >= o->since && at < o->until;
		if (w->asked)
			count_flow(pass, CDP_FROM_OUTSIDE, stage + CDP_TO_STAGE, -1);
		w->ever |= w->asked;
	}
	else
		end_stay(pass, w, stage + CDP_TO_STAGE, at);
	w->stage = stage;
	w->since = at;
	w->engagements = 0;
}

/* Leaves the journey; what was counted on the way is forgotten. */
static void
exit_journey(StagePass *pass, Walk *w, int64 at)
{
	if (w->stage >= 0)
	{
		end_stay(pass, w, CDP_TO_EXIT, at);
		if (w->asked)
			w->standing = (CdpStanding) {.stage = w->stage, .status = CDP_STANDS_EXITED, .since = at, .last = at, .engagements = w->engagements};
	}
	w->stage = -1;
	memset(w->seen, 0, sizeof(w->seen));
}

/* The stage that a row with entering labels takes a customer to, or the one he is in. */
static int
next_stage(const CdpStageOptions *o, const Walk *w, uint64 enter)
{
	for (int k = w->stage + 1; k < (o->skip ? o->stages : Min(w->stage + 2, o->stages)); k++)
		if ((enter >> k & 1) != 0 && w->seen[k] >= o->stage[k].count)
			return k;
	if (!o->back || w->stage < 0 || (enter >> w->stage & 1) != 0)
		return w->stage;
	for (int k = w->stage - 1; k >= 0; k--)
		if ((enter >> k & 1) != 0 && w->seen[k] >= o->stage[k].count)
			return k;
	return w->stage;
}

/* One row of a customer on his way. */
static void
take_row(StagePass *pass, Walk *w, const CdpItem *item)
{
	const LabelUse *use = &pass->use[pass->label_at[item->rank]];
	int			next;

	if (use->exits)
	{
		exit_journey(pass, w, item->at);
		return;
	}
	w->last = item->at;
	for (uint64 left = use->enter; left != 0; left &= left - 1)
		w->seen[pg_rightmost_one_pos64(left)]++;
	next = next_stage(pass->options, w, use->enter);
	if (next != w->stage)
		enter_stage(pass, w, next, item->at);
	else if (w->stage >= 0 && (use->engage >> w->stage & 1) != 0)
		w->engagements++;
}

/* Walks one customer through the stages. */
static void
visit_customer(const CdpKeyRows *rows)
{
	StagePass  *pass = rows->arg;
	const CdpStageOptions *o = pass->options;
	Walk		w = {.stage = -1, .standing.stage = -1};

	pass->out->tally->customer++;
	for (int i = 0; i < rows->n; i++)
	{
		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		take_row(pass, &w, &rows->item[i]);
	}
	if (w.stage >= 0 && w.asked)
	{
		bool		dropped = o->idle != PG_INT64_MAX && cdp_is_beyond(o->idle, w.last, o->as_of);

		end_stay(pass, &w, dropped ? CDP_TO_DROPPED : CDP_TO_STAYING, o->as_of);
		w.standing = (CdpStanding) {.stage = w.stage, .status = dropped ? CDP_STANDS_DROPPED : CDP_STANDS_ACTIVE, .since = w.since,
			.last = w.last, .engagements = w.engagements};
	}
	pass->out->counter[CDP_COUNT_CUSTOMERS] += w.ever;
	if (!o->customers || w.standing.stage < 0)
		return;
	w.standing.customer = unconstify(char *, cdp_key_name(pass->base.key_type, pass->base.names, rows->key, rows->key2));
	cdp_outcome_stand(pass->out, &w.standing);
	if (pass->base.key_type != CDP_KEY_TEXT)
		pfree(w.standing.customer);
}

CDP_FUNCTION(cdp_stage_final);

/* The final function: stays, flows, and their bytes in the caller's context. */
Datum
cdp_stage_final(PG_FUNCTION_ARGS)
{
	StagePass  *pass;
	MemoryContext old;
	uint32	   *rank;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (StagePass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->base.cxt);
	(void) cdp_intern_sorted(&pass->base.labels, &rank);
	pass->label_at = MemoryContextAllocHuge(pass->base.cxt, sizeof(uint32) * Max((Size) pass->base.labels.n, 1));
	for (uint32 i = 0; i < pass->base.labels.n; i++)
		pass->label_at[rank[i]] = i;
	MemoryContextSwitchTo(old);
	return cdp_outcome_finish(&pass->base, pass->out, rank, compare_ties, visit_customer);
}

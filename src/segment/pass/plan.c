/*
 * plan.c
 *		Turns the jsonb of a plan into the structs of a pass, once for each call.
 */
#include "segment/pass/plan.h"

/* The number of a property; a new one is added. */
int
cdp_plan_key(CdpPlan *plan, const char *name, int len)
{
	int			n = plan->nkeys;

	for (int i = 0; i < n; i++)
		if (plan->key[i].len == len && memcmp(plan->key[i].name, name, len) == 0)
			return i;
	if ((n & (n - 1)) == 0)		/* room doubles */
	{
		Size		bytes = sizeof(CdpKey) * Max(n * 2, 1);

		plan->key = n == 0 ? palloc(bytes) : repalloc(plan->key, bytes);
	}
	plan->key[n] = (CdpKey) {.name = pnstrdup(name, len), .len = len};
	return plan->nkeys++;
}

/* The number of what a row may keep; a new one is added. */
int
cdp_plan_slot(CdpPlan *plan, CdpSlotType type, const int *key, int nkeys)
{
	int			n = plan->nslots;
	CdpSlot    *s;

	for (int i = 0; i < n; i++)
		if (plan->slot[i].type == type && plan->slot[i].nkeys == nkeys &&
			(nkeys == 0 || memcmp(plan->slot[i].key, key, sizeof(int) * nkeys) == 0))
			return i;
	if ((n & (n - 1)) == 0)
	{
		Size		bytes = sizeof(CdpSlot) * Max(n * 2, 1);

		plan->slot = n == 0 ? palloc(bytes) : repalloc(plan->slot, bytes);
	}
	s = &plan->slot[n];
	s->type = type;
	s->nkeys = nkeys;
	s->key = palloc(sizeof(int) * Max(nkeys, 1));
	if (nkeys > 0)
		memcpy(s->key, key, sizeof(int) * nkeys);
	return plan->nslots++;
}

/* Orders kinds by id. */
static int
compare_kinds(const void *a, const void *b)
{
	int32		x = ((const CdpKind *) a)->id;
	int32		y = ((const CdpKind *) b)->id;

	return (x > y) - (x < y);
}

/* The kind of an id, NULL when no atom reads it. */
CdpKind *
cdp_plan_kind(const CdpPlan *plan, int32 id)
{
	CdpKind		wanted = {.id = id};

	return bsearch(&wanted, plan->kind, plan->nkinds, sizeof(CdpKind), compare_kinds);
}

/* Makes an entry for every kind that an atom reads. */
static void
collect_kinds(CdpPlan *plan, const JsonbContainer *root)
{
	int			n;
	const JsonbContainer *list = cdp_plan_array(root, "kinds", "plan", -1, &n);

	if (n > CDP_PLAN_LIST)
		cdp_plan_bad("kinds", n, "too many");
	plan->kind = palloc0(sizeof(CdpKind) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, list), i);
		int64		id = cdp_plan_int_of(v, "kinds", i, "kind");

		if (id < PG_INT32_MIN || id > PG_INT32_MAX)
			cdp_plan_bad("kinds", i, "no 32 bits");
		plan->kind[i].id = (int32) id;
		plan->kind[i].from = PG_INT64_MAX;
		plan->kind[i].to = PG_INT64_MIN;
	}
	qsort(plan->kind, n, sizeof(CdpKind), compare_kinds);
	for (int i = 0; i < n; i++)
		if (i == 0 || plan->kind[i].id != plan->kind[plan->nkinds - 1].id)
			plan->kind[plan->nkinds++] = plan->kind[i];
}

/* Lists the conditions that the tests of a kind need, children first. */
static void
make_program(const CdpPlan *plan, CdpKind *kind, bool *needed)
{
	memset(needed, 0, plan->nconditions);
	for (int t = 0; t < kind->ntests; t++)
		if (kind->test[t].condition >= 0)
			needed[kind->test[t].condition] = true;
	for (int c = plan->nconditions - 1; c >= 0; c--)
		if (needed[c] && plan->condition[c].kind >= CDP_IF_ALL)
			for (int i = 0; i < plan->condition[c].n; i++)
				needed[plan->condition[c].member[i]] = true;
	for (int c = 0; c < plan->nconditions; c++)
		kind->nprogram += needed[c];
	kind->program = palloc(sizeof(int) * Max(kind->nprogram, 1));
	kind->nprogram = 0;
	for (int c = 0; c < plan->nconditions; c++)
		if (needed[c])
			kind->program[kind->nprogram++] = c;
}

/* Adds a slot to those that rows of a kind keep. */
static void
add_word(CdpPlan *plan, CdpKind *kind, int slot)
{
	if (slot < 0 || kind->word[slot] >= 0)
		return;
	kind->word[slot] = kind->nslots;
	kind->slot[kind->nslots++] = slot;
	plan->words = Max(plan->words, kind->nslots);
}

/* Fixes the layout of the rows of a kind, and what of them is asked. */
static void
finish_kind(CdpPlan *plan, CdpKind *kind, int id_slot, bool explain, bool *needed)
{
	kind->word = palloc(sizeof(int) * Max(plan->nslots, 1));
	kind->slot = palloc(sizeof(int) * Max(plan->nslots, 1));
	for (int s = 0; s < plan->nslots; s++)
		kind->word[s] = -1;
	if (explain)
		add_word(plan, kind, id_slot);
	for (int r = 0; r < kind->nrefs; r++)
	{
		const CdpCounter *c = &plan->counter[kind->ref[r].counter];
		CdpEventOp	op = c->op;

		if (op == CDP_OP_FIRST || op == CDP_OP_LAST || (op == CDP_OP_SEQ && c->seq->by_id))
			add_word(plan, kind, id_slot);
	}
	for (int r = 0; r < kind->nrefs; r++)
	{
		const CdpCounter *c = &plan->counter[kind->ref[r].counter];

		add_word(plan, kind, c->slot);
		if (c->op == CDP_OP_SEQ)
			for (int s = 0; s < c->seq->nsteps + c->seq->absent; s++)
				add_word(plan, kind, c->seq->link[s]);
	}
	make_program(plan, kind, needed);
}

/* When windows that move past the horizon lose and gain rows. */
static void
set_flips(CdpPlan *plan)
{
	for (int i = 0; i < plan->ncounters; i++)
	{
		CdpCounter *c = &plan->counter[i];

		c->leave_before = c->enter_before = CDP_NEVER;
		if (plan->horizon == CDP_NEVER)
			continue;
		/* A row at t is outside from t + slide + 1 on, and inside from then on at the other end. */
		if (c->slide_from >= 0)
			c->leave_before = plan->horizon - c->slide_from - 1;
		if (c->slide_to >= 0)
			c->enter_before = Min(plan->horizon - c->slide_to - 1, plan->as_of - 1);
	}
}

/* Reads a plan into the current context; horizon: last moment of flips that are of interest, CDP_NEVER for none. */
CdpPlan *
cdp_plan_create(Jsonb *json, int64 horizon, bool explain)
{
	CdpPlan    *plan = palloc0(sizeof(CdpPlan));
	const JsonbContainer *root = &json->root;
	int64		version;
	int			id_slot;
	bool	   *needed;

	if (!JsonContainerIsObject(root))
		cdp_plan_bad("plan", -1, "no object");
	if (!cdp_plan_int(root, "v", "plan", -1, &version) || version != 1)
		cdp_plan_bad("plan", -1, "\"v\" is not 1");
	if (!cdp_plan_int(root, "as_of", "plan", -1, &plan->as_of))
		cdp_plan_bad("plan", -1, "\"as_of\" is missing");
	/* Far from the ends of 64 bits, so that durations can be added. */
	if (!IS_VALID_TIMESTAMP(plan->as_of) || plan->as_of > PG_INT64_MAX / 2)
		cdp_plan_bad("plan", -1, "\"as_of\" is no moment of a timestamp");
	plan->horizon = horizon <= plan->as_of ? CDP_NEVER : horizon;
	collect_kinds(plan, root);
	cdp_plan_conditions(plan, root);
	cdp_plan_events(plan, root, explain);
	id_slot = cdp_plan_slot(plan, CDP_SLOT_ID, NULL, 0);
	if ((int64) plan->nkinds * plan->nslots > 10 * 1000 * 1000)
		cdp_plan_bad("plan", -1, "too many properties of too many kinds");
	needed = palloc(Max(plan->nconditions, 1));
	for (int k = 0; k < plan->nkinds; k++)
	{
		CHECK_FOR_INTERRUPTS();
		finish_kind(plan, &plan->kind[k], id_slot, explain, needed);
	}
	if (plan->words > 500)
		cdp_plan_bad("plan", -1, "more than 500 properties of one kind are needed together");
	pfree(needed);
	set_flips(plan);
	return plan;
}

/*
 * transitions.c
 *		k-gram transition counts. See transitions.h.
 *
 * Small tables start as a hash and become direct-indexed arrays once they have
 * seen enough touches to pay for them: a state is then a number of k digits to
 * the base labels + 1 (leading zeros for a short one), a step one digit more.
 */
#include "cdp.h"

#include "common/int.h"

#include "attribution/models/pathbytes.h"
#include "attribution/models/transitions.h"

/* A direct table has at most so many steps: 1 MB, which stays in the cache. */
#define DIRECT_CELLS 131072

typedef struct Step
{
	uint32		from;			/* state, CDP_PATH_NONE = free */
	uint32		label;
	uint32		to;
	int64		weight;
} Step;

struct CdpTransitions
{
	int			order;
	int			nlabels;
	CdpBudget  *budget;
	MemoryContext cxt;
	int64		flow;			/* sum of |weight| of all touches: no cell can exceed it */
	uint64		touches;		/* seen while hashed */

	CdpPathTable *state;		/* hashed: states with what ended there */
	Step	   *step;			/* open addressing */
	uint32		nsteps;
	uint32		step_slots;		/* a power of two */

	uint32		base;			/* direct: labels + 1 */
	uint32		top;			/* base ^ order, 0 when it would be too large */
	int64	   *cell;			/* [top * base] weights, NULL while hashed */
	CdpCounts  *end;			/* [top] */
};

/* Makes an empty table in cxt; error 22023 for an order outside 1..50. budget may be NULL. */
CdpTransitions *
cdp_transitions_create(int order, int nlabels, CdpBudget *budget, MemoryContext cxt)
{
	CdpTransitions *t;
	uint64		top = 1;

	if (order < 1 || order > CDP_MAX_ORDER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid Markov order: %d", order),
				 errdetail("The order is from 1 to %d.", CDP_MAX_ORDER)));
	t = MemoryContextAllocZero(cxt, sizeof(CdpTransitions));
	t->order = order;
	t->nlabels = nlabels;
	t->budget = budget;
	t->cxt = cxt;
	t->base = (uint32) nlabels + 1;
	for (int i = 0; i < order && top <= DIRECT_CELLS; i++)
		top *= t->base;
	t->top = top * t->base <= DIRECT_CELLS ? (uint32) top : 0;
	t->state = cdp_pathtable_create(nlabels, budget, cxt);
	t->step_slots = 64;
	t->step = cdp_budget_alloc(budget, cxt, t->step_slots, sizeof(Step));
	for (uint32 i = 0; i < t->step_slots; i++)
		t->step[i].from = CDP_PATH_NONE;
	return t;
}

/* Frees the hashed form. */
static void
free_hash(CdpTransitions *t)
{
	if (t->state == NULL)
		return;
	cdp_pathtable_free(t->state);
	cdp_budget_free(t->budget, t->step, t->step_slots, sizeof(Step));
	t->state = NULL;
	t->step = NULL;
}

/* Frees a table and gives its memory back to the budget. */
void
cdp_transitions_free(CdpTransitions *t)
{
	free_hash(t);
	cdp_budget_free(t->budget, t->cell, (uint64) t->top * t->base, sizeof(int64));
	cdp_budget_free(t->budget, t->end, t->top, sizeof(CdpCounts));
	pfree(t);
}

/* The order of the chain. */
int
cdp_transitions_order(const CdpTransitions *t)
{
	return t->order;
}

/* What may be taken to solve the chain: as much as the budget's limit, 1 GB without one. */
Size
cdp_transitions_limit(const CdpTransitions *t)
{
	return t->budget != NULL ? t->budget->limit : (Size) 1024 * 1024 * 1024;
}

/* The slot of a step: the one that holds it, or the free one where it belongs. */
static inline uint32
step_slot(const Step *step, uint32 slots, uint32 from, uint32 label)
{
	uint32		at = (uint32) cdp_mix64(((uint64) from << 32) | label) & (slots - 1);

	while (step[at].from != CDP_PATH_NONE &&
		   (step[at].from != from || step[at].label != label))
		at = (at + 1) & (slots - 1);
	return at;
}

/* Doubles the hash of steps. */
static void
grow_steps(CdpTransitions *t)
{
	uint64		slots = (uint64) t->step_slots * 2;
	Step	   *fresh;

	if (slots > (UINT64CONST(1) << 31))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many distinct transitions"),
				 errdetail("%u transitions were found at order %d.", t->nsteps, t->order),
				 errhint("Group to fewer labels or use a lower order.")));
	fresh = cdp_budget_alloc(t->budget, t->cxt, slots, sizeof(Step));
	for (uint64 i = 0; i < slots; i++)
		fresh[i].from = CDP_PATH_NONE;
	for (uint32 i = 0; i < t->step_slots; i++)
		if (t->step[i].from != CDP_PATH_NONE)
			fresh[step_slot(fresh, (uint32) slots, t->step[i].from, t->step[i].label)] = t->step[i];
	cdp_budget_free(t->budget, t->step, t->step_slots, sizeof(Step));
	t->step = fresh;
	t->step_slots = (uint32) slots;
}

/* Adds weight to a step of the hashed form; a new one leads to the state `labels`. Returns that state. */
static uint32
hash_step(CdpTransitions *t, uint32 from, uint32 label, const uint32 *labels, int64 weight)
{
	uint32		at = step_slot(t->step, t->step_slots, from, label);

	if (t->step[at].from == CDP_PATH_NONE)
	{
		uint32		to = cdp_pathtable_add(t->state, labels, t->order, 0, 0, 0);

		if (t->nsteps >= t->step_slots / 8 * 5)
		{
			grow_steps(t);
			at = step_slot(t->step, t->step_slots, from, label);
		}
		t->step[at].from = from;
		t->step[at].label = label;
		t->step[at].to = to;
		t->nsteps++;
	}
	t->step[at].weight += weight;
	return t->step[at].to;
}

/* Number of a state of n labels in the direct form. */
static inline uint32
direct_state(const CdpTransitions *t, const uint32 *label, int n)
{
	uint32		state = 0;

	for (int i = 0; i < n; i++)
		state = state * t->base + label[i] + 1;
	return state;
}

/* Adds what ended in a state. */
static void
add_end(CdpTransitions *t, const uint32 *label, int n, const CdpCounts *c)
{
	if (t->cell != NULL)
		cdp_counts_add(&t->end[direct_state(t, label, n)], c->conversions, c->nulls, c->value);
	else
		(void) cdp_pathtable_add(t->state, label, n, c->conversions, c->nulls, c->value);
}

/* Adds to the step from the first `order` of order + 1 labels to the last ones. */
static void
add_step(CdpTransitions *t, const uint32 *label, int64 weight)
{
	if (t->cell != NULL)
		t->cell[(uint64) direct_state(t, label, t->order) * t->base + label[t->order] + 1] += weight;
	else
		(void) hash_step(t, cdp_pathtable_add(t->state, label, t->order, 0, 0, 0),
						 label[t->order], label + 1, weight);
}

/* Counts what flows through the chain; error 22003 before any 64-bit sum could wrap. */
static inline void
add_flow(CdpTransitions *t, int64 weight, int64 times)
{
	int64		flow;

	if (weight == PG_INT64_MIN ||
		pg_mul_s64_overflow(weight < 0 ? -weight : weight, times, &flow) ||
		pg_add_s64_overflow(t->flow, flow, &t->flow))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("transition counts out of range")));
}

/* Calls the two adders for each state and step of a chain, mapped to the order of `into`. */
static void
add_chain(CdpTransitions *into, const CdpChain *chain, const uint32 *remap)
{
	uint32		gram[CDP_MAX_ORDER + 1];
	int			order = into->order;

	Assert(order >= 1 && order <= chain->order);
	for (uint32 s = 0; s < chain->nstates; s++)
	{
		int			n = (int) chain->length[s];
		const uint32 *source = chain->pool + chain->begin[s];
		int64		ended = chain->end[s].conversions + chain->end[s].nulls;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			gram[i] = remap ? remap[source[i]] : source[i];
		if (!cdp_counts_zero(&chain->end[s]))
			add_end(into, gram + Max(n - order, 0), Min(n, order), &chain->end[s]);
		add_flow(into, ended, n + 1);
		/* Steps inside the first state of a journey are steps of a lower order. */
		if (chain->starts[s] != 0)
			for (int i = 0; i + order < n; i++)
			{
				add_flow(into, chain->starts[s], 1);
				add_step(into, gram + i, chain->starts[s]);
			}
		for (uint64 e = chain->first[s]; e < chain->first[s + 1]; e++)
		{
			gram[n] = remap ? remap[chain->label[e]] : chain->label[e];
			add_flow(into, chain->weight[e], 1);
			add_step(into, gram + n - order, chain->weight[e]);
		}
	}
}

/* Turns the hashed form into the direct one. */
static void
make_direct(CdpTransitions *t)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp transitions", ALLOCSET_DEFAULT_SIZES);
	CdpChain   *chain = cdp_transitions_chain(t, work);
	int64		flow = t->flow;

	t->end = cdp_budget_alloc(t->budget, t->cxt, t->top, sizeof(CdpCounts));
	t->cell = cdp_budget_alloc(t->budget, t->cxt, (uint64) t->top * t->base, sizeof(int64));
	add_chain(t, chain, NULL);
	t->flow = flow;
	free_hash(t);
	MemoryContextDelete(work);
}

/* Adds one journey (or many equal ones) of n labels; nothing for n = 0. */
void
cdp_transitions_add(CdpTransitions *t, const uint32 *label, int n,
					int64 conv, int64 nulls, int128 value)
{
	int64		weight;
	int			order = t->order;
	int			head = Min(n, order);

	if (n <= 0)
		return;
	if (pg_add_s64_overflow(conv, nulls, &weight))
		weight = PG_INT64_MIN;
	add_flow(t, weight, (int64) n + 1);

	if (t->cell != NULL)
	{
		uint32		state = direct_state(t, label, head);
		uint32		base = t->base,
					top = t->top;
		int64	   *cell = t->cell;

		for (int i = head; i < n; i++)
		{
			uint32		step = state * base + label[i] + 1;

			cell[step] += weight;
			state = step - (label[i - order] + 1) * top;
		}
		cdp_counts_add(&t->end[state], conv, nulls, value);
	}
	else
	{
		uint32		state = cdp_pathtable_add(t->state, label, head, 0, 0, 0);

		for (int i = head; i < n; i++)
			state = hash_step(t, state, label[i], label + i - order + 1, weight);
		cdp_counts_add(&t->state->path[state].sum, conv, nulls, value);
		t->touches += n;
		if (t->top != 0 && t->touches >= (uint64) t->top * t->base / 8)
			make_direct(t);
	}
}

/* Adds all of from, of the same order; remap[label of from] = label of into, NULL = the same. */
void
cdp_transitions_merge(CdpTransitions *into, const CdpTransitions *from, const uint32 *remap)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp transitions", ALLOCSET_DEFAULT_SIZES);

	if (into->order != from->order)
		elog(ERROR, "transition tables of orders %d and %d cannot be merged", into->order, from->order);
	add_chain(into, cdp_transitions_chain(from, work), remap);
	MemoryContextDelete(work);
}

/* The counts of a lower (or the same) order, exact, in cxt. */
CdpTransitions *
cdp_transitions_lower(const CdpTransitions *t, int order, CdpBudget *budget, MemoryContext cxt)
{
	CdpTransitions *lower = cdp_transitions_create(order, t->nlabels, budget, cxt);
	MemoryContext work;

	if (order > t->order)
		elog(ERROR, "order %d does not follow from order %d", order, t->order);
	work = AllocSetContextCreate(CurrentMemoryContext, "cdp transitions", ALLOCSET_DEFAULT_SIZES);
	add_chain(lower, cdp_transitions_chain(t, work), NULL);
	MemoryContextDelete(work);
	return lower;
}

/* ---- the chain ---- */

typedef struct ChainWork
{
	CdpChain   *chain;
	const CdpTransitions *t;
	uint32	   *number;			/* of a stored state in the chain, CDP_PATH_NONE = none */
	MemoryContext cxt;
	Size		scratch;		/* bytes that do not stay */
} ChainWork;

/* Array of the chain; all of them must fit into the table's budget beside the table. */
static void *
chain_array(ChainWork *w, uint64 count, Size size)
{
	void	   *array = cdp_budget_alloc(w->t->budget, w->cxt, count, size);

	w->chain->bytes += (Size) count * size;
	return array;
}

/* An array that is freed before the chain is handed out. */
static void *
chain_scratch(ChainWork *w, uint64 count, Size size)
{
	w->scratch += (Size) count * size;
	return cdp_budget_alloc(w->t->budget, w->cxt, count, size);
}

/* Allocates the arrays once the numbers of states, steps and labels are known. */
static void
chain_arrays(ChainWork *w, uint64 labels)
{
	CdpChain   *c = w->chain;
	uint64		n = c->nstates;

	c->length = chain_array(w, n, sizeof(uint32));
	c->begin = chain_array(w, n, sizeof(uint64));
	c->end = chain_array(w, n, sizeof(CdpCounts));
	c->starts = chain_array(w, n, sizeof(int64));
	c->total = chain_array(w, n, sizeof(int64));
	c->first = chain_array(w, n + 1, sizeof(uint64));
	c->pool = chain_array(w, labels, sizeof(uint32));
	c->label = chain_array(w, c->nsteps, sizeof(uint32));
	c->to = chain_array(w, c->nsteps, sizeof(uint32));
	c->weight = chain_array(w, c->nsteps, sizeof(int64));
}

/* Totals and starts follow from ends and steps; add_flow keeps them inside 64 bits. */
static void
chain_totals(CdpChain *c)
{
	for (uint32 s = 0; s < c->nstates; s++)
	{
		int64		left = 0;

		for (uint64 e = c->first[s]; e < c->first[s + 1]; e++)
		{
			left += c->weight[e];
			c->starts[c->to[e]] -= c->weight[e];
		}
		c->total[s] = left + c->end[s].conversions + c->end[s].nulls;
		c->starts[s] += c->total[s];
	}
}

/* Chain of the direct form. */
static void
direct_chain(ChainWork *w)
{
	const CdpTransitions *t = w->t;
	CdpChain   *c = w->chain;
	uint32		top = t->top,
				base = t->base;
	uint64		pool = 0,
				e = 0;

	Assert(base > 1);
	w->number = chain_scratch(w, top, sizeof(uint32));
	for (uint32 i = 0; i < top; i++)
		if (!cdp_counts_zero(&t->end[i]))
			w->number[i] = 1;
	for (uint32 i = 0; i < top * base; i++)
		if (t->cell[i] != 0)
		{
			w->number[i / base] = w->number[i % top] = 1;
			c->nsteps++;
		}
	for (uint32 i = 0; i < top; i++)
		w->number[i] = w->number[i] ? c->nstates++ : CDP_PATH_NONE;
	chain_arrays(w, (uint64) c->nstates * t->order);
	for (uint32 i = 0; i < top; i++)
	{
		uint32		s = w->number[i];
		int			n = 0;

		if (s == CDP_PATH_NONE)
			continue;
		for (uint32 rest = i; rest > 0; rest /= base)
			n++;
		c->length[s] = n;
		c->begin[s] = pool;
		pool += n;
		for (uint32 rest = i, at = n; rest > 0; rest /= base)
			c->pool[c->begin[s] + --at] = rest % base - 1;
		c->end[s] = t->end[i];
		c->first[s] = e;
		for (uint32 d = 1; d < base; d++)
		{
			uint32		step = i * base + d;

			if (t->cell[step] == 0)
				continue;
			c->label[e] = d - 1;
			c->to[e] = w->number[step % top];
			c->weight[e++] = t->cell[step];
		}
	}
	c->first[c->nstates] = e;
}

/* qsort_arg comparator of stored states: the shorter first, then label by label. */
static int
compare_states(const void *a, const void *b, void *table)
{
	const CdpPathTable *t = table;
	const CdpPath *p = &t->path[*(const uint32 *) a];
	const CdpPath *q = &t->path[*(const uint32 *) b];
	const uint32 *x = t->pool + p->start;
	const uint32 *y = t->pool + q->start;

	CHECK_FOR_INTERRUPTS();
	if (p->n != q->n)
		return p->n < q->n ? -1 : 1;
	for (uint32 i = 0; i < p->n; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

/* qsort comparator of steps: by state of the chain, then label. */
static int
compare_steps(const void *a, const void *b)
{
	const Step *p = a;
	const Step *q = b;

	CHECK_FOR_INTERRUPTS();
	if (p->from != q->from)
		return p->from < q->from ? -1 : 1;
	return p->label < q->label ? -1 : p->label > q->label;
}

/* Chain of the hashed form. */
static void
hashed_chain(ChainWork *w)
{
	const CdpTransitions *t = w->t;
	const CdpPathTable *states = t->state;
	CdpChain   *c = w->chain;
	uint32	   *order = chain_scratch(w, states->npaths, sizeof(uint32));
	Step	   *step;
	uint64		pool = 0,
				e = 0;

	w->number = chain_scratch(w, states->npaths, sizeof(uint32));
	for (uint32 i = 0; i < states->npaths; i++)
		w->number[i] = cdp_counts_zero(&states->path[i].sum) ? 0 : 1;
	for (uint32 i = 0; i < t->step_slots; i++)
		if (t->step[i].from != CDP_PATH_NONE && t->step[i].weight != 0)
		{
			w->number[t->step[i].from] = w->number[t->step[i].to] = 1;
			c->nsteps++;
		}
	for (uint32 i = 0; i < states->npaths; i++)
		if (w->number[i])
		{
			order[c->nstates++] = i;
			pool += states->path[i].n;
		}
	qsort_arg(order, c->nstates, sizeof(uint32), compare_states, unconstify(CdpPathTable *, states));
	chain_arrays(w, pool);
	pool = 0;
	for (uint32 s = 0; s < c->nstates; s++)
	{
		const CdpPath *p = &states->path[order[s]];

		w->number[order[s]] = s;
		c->length[s] = p->n;
		c->begin[s] = pool;
		memcpy(c->pool + pool, states->pool + p->start, p->n * sizeof(uint32));
		pool += p->n;
		c->end[s] = p->sum;
	}

	step = chain_scratch(w, c->nsteps, sizeof(Step));
	for (uint32 i = 0; i < t->step_slots; i++)
		if (t->step[i].from != CDP_PATH_NONE && t->step[i].weight != 0)
		{
			step[e] = t->step[i];
			step[e].from = w->number[step[e].from];
			step[e].to = w->number[step[e].to];
			e++;
		}
	qsort(step, e, sizeof(Step), compare_steps);
	for (e = 0; e < c->nsteps; e++)
	{
		c->first[step[e].from + 1]++;
		c->label[e] = step[e].label;
		c->to[e] = step[e].to;
		c->weight[e] = step[e].weight;
	}
	for (uint32 s = 0; s < c->nstates; s++)
		c->first[s + 1] += c->first[s];
	pfree(step);
	pfree(order);
}

/* Lays the chain out in canonical order; it lives in cxt. Empty states and steps are left out. */
CdpChain *
cdp_transitions_chain(const CdpTransitions *t, MemoryContext cxt)
{
	ChainWork	w = {0};

	w.t = t;
	w.cxt = cxt;
	w.chain = MemoryContextAllocZero(cxt, sizeof(CdpChain));
	w.chain->order = t->order;
	w.chain->nlabels = t->nlabels;
	if (t->cell != NULL)
		direct_chain(&w);
	else
		hashed_chain(&w);
	pfree(w.number);
	/* The caller frees the chain with its context and keeps count of it by `bytes`. */
	cdp_budget_give(t->budget, w.scratch + w.chain->bytes);
	chain_totals(w.chain);
	return w.chain;
}

/* ---- bytes ---- */

/* Appends the table's canonical bytes: the same counts give the same bytes. */
void
cdp_transitions_write(const CdpTransitions *t, StringInfo buf)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp transitions", ALLOCSET_DEFAULT_SIZES);
	CdpChain   *c = cdp_transitions_chain(t, work);

	cdp_put_uint(buf, t->order);
	cdp_put_uint(buf, c->nstates);
	for (uint32 s = 0; s < c->nstates; s++)
	{
		CHECK_FOR_INTERRUPTS();
		cdp_put_uint(buf, c->length[s]);
		for (uint32 i = 0; i < c->length[s]; i++)
			cdp_put_uint(buf, c->pool[c->begin[s] + i]);
		cdp_counts_write(buf, &c->end[s]);
		cdp_put_uint(buf, c->first[s + 1] - c->first[s]);
		for (uint64 e = c->first[s]; e < c->first[s + 1]; e++)
		{
			cdp_put_uint(buf, c->label[e]);
			cdp_put_int(buf, c->weight[e]);
		}
	}
	MemoryContextDelete(work);
}

/* Reads one label and checks it. */
static uint32
read_label(StringInfo buf, int nlabels)
{
	uint32		label = (uint32) cdp_get_uint(buf, UINT32_MAX, "A label is out of range");

	if (label >= (uint32) nlabels)
		cdp_bytes_bad("A label is out of range");
	return label;
}

/* Reads what cdp_transitions_write wrote, checking all of it; the table lives in cxt. */
CdpTransitions *
cdp_transitions_read(StringInfo buf, int nlabels, CdpBudget *budget, MemoryContext cxt)
{
	int			order = (int) cdp_get_uint(buf, CDP_MAX_ORDER, "The Markov order is out of range");
	uint64		count;
	CdpTransitions *t;
	uint32		gram[CDP_MAX_ORDER + 1];
	uint32		last[CDP_MAX_ORDER];
	uint32		last_n = 0;

	if (order < 1)
		cdp_bytes_bad("The Markov order is out of range");
	t = cdp_transitions_create(order, nlabels, budget, cxt);
	count = cdp_get_uint(buf, cdp_bytes_left(buf) / 6, "Too many states for the bytes that follow");
	for (uint64 s = 0; s < count; s++)
	{
		uint32		n = (uint32) cdp_get_uint(buf, order, "A state is too long");
		int			side = n > last_n ? 1 : 0;
		CdpCounts	c;
		uint64		steps;
		int64		before = -1;

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < n; i++)
		{
			gram[i] = read_label(buf, nlabels);
			if (side == 0 && n == last_n && gram[i] != last[i])
				side = gram[i] > last[i] ? 1 : -1;
		}
		if (n == 0 || side <= 0)
			cdp_bytes_bad("States are empty, repeated or out of order");
		memcpy(last, gram, n * sizeof(uint32));
		last_n = n;
		c = cdp_counts_read(buf);
		if (c.conversions == PG_INT64_MIN || c.nulls == PG_INT64_MIN)
			cdp_bytes_bad("A count is out of range");
		add_flow(t, c.conversions, n + 1);
		add_flow(t, c.nulls, n + 1);
		add_end(t, gram, (int) n, &c);
		steps = cdp_get_uint(buf, n == (uint32) order ? cdp_bytes_left(buf) / 2 : 0, "A state has steps that it cannot have");
		for (uint64 e = 0; e < steps; e++)
		{
			int64		weight;

			gram[n] = read_label(buf, nlabels);
			if ((int64) gram[n] <= before)
				cdp_bytes_bad("Steps are repeated or out of order");
			before = gram[n];
			weight = cdp_get_int64(buf);
			if (weight == 0)
				cdp_bytes_bad("A step has no weight");
			add_flow(t, weight, 1);
			add_step(t, gram, weight);
		}
	}
	return t;
}

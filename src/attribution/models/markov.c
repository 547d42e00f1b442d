/*
 * markov.c
 *		Removal effects of an absorbing chain, exact.
 *
 * With x the probability (or expected value) from a state on, M the chain's
 * matrix scaled by its counts, s the starts and W = C + N journeys:
 *     M h = c,  M g = v,  P = s.h / W = C / W,  E = s.g / W = V / W.
 * Taking away the states G that hold a label loses the walks that reach G. With
 * z the share of visits to a state that have been in G before, K = not G:
 *     P RE = (c_G + z.c_K) / W  with  z M_KK = (row sums of A_G) over K,
 * which is 1 - P_K / P without its cancellation, for value alike with v. z is 0
 * but where walks from G lead, so only these states are solved for. h weighs
 * what an error in z does to the effect: the residual r of z costs at most h.|r|.
 * At order 1 G is one state and RE_j = h_j / (C (M^-1)_jj), so that one factor
 * serves all labels.
 */
#include "cdp.h"

#include <math.h>

#include "attribution/models/markov.h"
#include "attribution/models/reach.h"
#include "attribution/models/sparse.h"

/* Right-hand sides of the whole chain: conversions and value. */
#define RHS 2
/* Multiply-adds and steps followed of all systems together: about a minute. */
#define WORK_LIMIT 3e10
/* Of one direct solve, and of sweeps that are tried before it. */
#define DIRECT_LIMIT 4e9
#define SWEEP_LIMIT 1e10
/* Up to so many states a direct solve may come first. */
#define SMALL_STATES 200
/* Sweeps gain about 1 / length of a journey each; 32 = -ln(1e-14). */
#define SWEEPS_PER_TOUCH 32.0
/* Once so many labels have cost this share of the limit, the rest is foreseen from them. */
#define SAMPLE_LABELS 16
#define SAMPLE_SHARE 0.05

typedef struct Solver
{
	const CdpChain *chain;
	CdpReach	reach;
	CdpSparse	system;
	double	   *h;				/* [states * RHS] by place from the last: chance of conversion, expected value */
	double	   *weight;			/* [states * RHS] sizes of h in the rows of a reduced system */
	double	   *b;
	double	   *y;
	double		conversions;
	double		value;
	double		touches;		/* of a journey, on average */
	uint32		sweep_below;	/* sweeps ended in time for all systems smaller than this */
	uint32		direct_below;	/* likewise direct solves */
	CdpSparseWork work;
	double		residual;
	MemoryContext cxt;
} Solver;

/* Raises the error for a chain that cannot be solved within the limits. */
CDP_NORETURN static void
too_much(const Solver *s, bool memory)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the Markov chain is too large to solve exactly"),
			 errdetail("Order %d over %d labels has %u states and %llu transitions.",
					   s->chain->order, s->chain->nlabels, s->chain->nstates,
					   (unsigned long long) s->chain->nsteps),
			 memory ? errhint("Group to fewer labels (channel groups), use a lower order, or raise cdp.attribution_memory.") :
			 errhint("Group to fewer labels (channel groups), or use a lower order.")));
}

/* Allocates an array in the solver's context within its bytes. */
static void *
solver_array(Solver *s, uint64 count, Size size)
{
	void	   *p = cdp_sparse_array(&s->work, count, size, s->cxt);

	if (p == NULL)
		too_much(s, true);
	return p;
}

/* Currency units of micro-units. */
static double
units(int128 micro)
{
	return (double) micro / 1e6;
}

/* Fails when more was subtracted than had been added; sums up the chain. */
static void
check_chain(Solver *s, CdpMarkovCheck *check)
{
	const CdpChain *c = s->chain;
	int128		value = 0;

	check->states = c->nstates;
	check->steps = c->nsteps;
	for (uint32 i = 0; i < c->nstates; i++)
	{
		bool		bad = c->end[i].conversions < 0 || c->end[i].nulls < 0 || c->starts[i] < 0;

		for (uint64 e = c->first[i]; e < c->first[i + 1] && !bad; e++)
			bad = c->weight[e] < 0;
		if (bad)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("journeys were subtracted that had not been added"),
					 errhint("Compute the partial again from its touches.")));
		check->conversions += c->end[i].conversions;
		check->nulls += c->end[i].nulls;
		value += c->end[i].value;
	}
	check->value = units(value);
	s->conversions = (double) check->conversions;
	s->value = check->value;
	if (check->conversions > 0)
	{
		check->p_expected = (double) check->conversions / ((double) check->conversions + check->nulls);
		check->e_expected = check->value / ((double) check->conversions + check->nulls);
	}
}

/* Writes the system of the whole chain, the latest place first, so that rows come after what they need. */
static void
make_whole(Solver *s)
{
	const CdpChain *c = s->chain;
	CdpSparse  *m = &s->system;
	uint64		at = 0;

	m->n = c->nstates;
	m->sides = RHS;
	m->triangular = true;
	m->weight = NULL;
	for (uint32 row = 0; row < m->n; row++)
	{
		uint32		i = s->reach.state[m->n - 1 - row];

		if (row % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		m->first[row] = at;
		m->slack[row] = (double) c->end[i].conversions + (double) c->end[i].nulls;
		s->b[(Size) row * RHS] = (double) c->end[i].conversions;
		s->b[(Size) row * RHS + 1] = units(c->end[i].value);
		for (uint64 e = c->first[i]; e < c->first[i + 1]; e++)
			if (c->to[e] != i)
			{
				m->col[at] = m->n - 1 - s->reach.place[c->to[e]];
				m->triangular = m->triangular && m->col[at] < row;
				m->value[at++] = (double) c->weight[e];
			}
	}
	m->first[m->n] = at;
	s->work.flops += (double) at + m->n;
}

/* Writes the system of z over the states that were reached from those that are gone. */
static void
make_reduced(Solver *s)
{
	const CdpReach *r = &s->reach;
	CdpSparse  *m = &s->system;
	uint64		at = 0;
	double		steps = 0;

	m->n = r->n;
	m->sides = 1;
	m->triangular = true;
	m->weight = s->weight;
	for (uint32 row = 0; row < m->n; row++)
	{
		uint32		p = r->list[row];

		if (row % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		m->first[row] = at;
		m->slack[row] = (double) s->chain->starts[r->state[p]];
		s->b[row] = 0;
		for (int k = 0; k < RHS; k++)
			s->weight[(Size) row * RHS + k] = fabs(s->h[(Size) (s->chain->nstates - 1 - p) * RHS + k]);
		for (uint64 e = r->first[p]; e < r->first[p + 1]; e++)
		{
			uint32		from = r->row[r->from[e]];

			if (from < CDP_REACH_GONE)
			{
				m->col[at] = from;
				m->triangular = m->triangular && from < row;
				m->value[at++] = r->weight[e];
				continue;
			}
			m->slack[row] += r->weight[e];
			if (from == CDP_REACH_GONE)
				s->b[row] += r->weight[e];
		}
		steps += (double) (r->first[p + 1] - r->first[p]);
	}
	m->first[m->n] = at;
	s->work.flops += steps + m->n;
}

/* Solves the system at hand directly; -1 when that would cost too much. */
static double
solve_directly(Solver *s, double *x)
{
	const CdpSparse *m = &s->system;
	CdpFactor  *f = cdp_sparse_factor(m, DIRECT_LIMIT, &s->work, s->cxt);
	double		residual;

	if (f == NULL)
		return -1;
	memcpy(x, s->b, (Size) m->n * m->sides * sizeof(double));
	cdp_sparse_solve(f, x);
	residual = cdp_sparse_refine(m, f, s->b, x);
	cdp_sparse_free(f);
	return residual;
}

/*
 * Solves the system at hand the cheapest way: directly when small; by sweeps while
 * these end as soon as the length of journeys promises; else directly; else by
 * sweeps to the end. Every way ends at the same bound of the residual.
 */
static void
solve_system(Solver *s, double *x)
{
	const CdpSparse *m = &s->system;
	double		n = m->n;
	double		residual = -1;
	double		cost = SWEEPS_PER_TOUCH * (s->touches + 1) * cdp_sparse_sweep_cost(m);
	bool		small = m->n <= SMALL_STATES && n * n * n / 3 <= cost && !m->triangular;

	if (small)
		residual = solve_directly(s, x);
	if (residual < 0 && m->n < s->sweep_below && cost <= SWEEP_LIMIT)
	{
		residual = cdp_sparse_iterate(m, s->b, x, cost, &s->work);
		if (residual < 0)
			s->sweep_below = m->n;
	}
	if (residual < 0 && m->n < s->direct_below && !small)
	{
		residual = solve_directly(s, x);
		if (residual < 0)
			s->direct_below = m->n;
	}
	if (residual < 0)
		residual = cdp_sparse_iterate(m, s->b, x, s->work.flops_limit - s->work.flops, &s->work);
	if (residual < 0 || s->work.flops > s->work.flops_limit)
		too_much(s, false);
	s->residual = Max(s->residual, residual);
}

/* Lays out the chain and allocates its systems. */
static void
solver_start(Solver *s, const CdpTransitions *t, MemoryContext cxt)
{
	const CdpChain *c;
	double		journeys = 0;

	memset(s, 0, sizeof(Solver));
	s->cxt = cxt;
	s->chain = c = cdp_transitions_chain(t, cxt);
	s->work.flops_limit = WORK_LIMIT;
	s->work.bytes_limit = cdp_transitions_limit(t);
	s->work.bytes_limit -= Min(c->bytes, s->work.bytes_limit);
	s->sweep_below = s->direct_below = PG_UINT32_MAX;
	if (!cdp_reach_start(&s->reach, c, &s->work, cxt))
		too_much(s, true);
	s->system.first = solver_array(s, (uint64) c->nstates + 1, sizeof(uint64));
	s->system.col = solver_array(s, c->nsteps, sizeof(uint32));
	s->system.value = solver_array(s, c->nsteps, sizeof(double));
	s->system.slack = solver_array(s, c->nstates, sizeof(double));
	for (uint32 i = 0; i < c->nstates; i++)
	{
		s->touches += (double) c->total[i];
		journeys += (double) c->starts[i];
	}
	s->touches = journeys > 0 ? s->touches / journeys : 0;
	s->h = solver_array(s, (uint64) c->nstates * RHS, sizeof(double));
	s->weight = solver_array(s, (uint64) c->nstates * RHS, sizeof(double));
	s->b = solver_array(s, (uint64) c->nstates * RHS, sizeof(double));
	s->y = solver_array(s, (uint64) c->nstates * RHS, sizeof(double));
}

/* What P and E come to from the solved chain. */
static void
solver_check(Solver *s, CdpMarkovCheck *check)
{
	const CdpChain *c = s->chain;
	double		journeys = (double) check->conversions + (double) check->nulls;
	double		sum[RHS] = {0};

	for (uint32 i = 0; i < c->nstates; i++)
		for (int k = 0; k < RHS; k++)
			sum[k] += (double) c->starts[s->reach.state[i]] * s->h[(Size) (c->nstates - 1 - i) * RHS + k];
	check->p = sum[0] / journeys;
	check->e = sum[1] / journeys;
}

/* A removal effect from what is lost: a probability for conversions; 0 when there is nothing to lose. */
static void
effect(const Solver *s, const double *lost, double *conv, double *value)
{
	*conv = Min(Max(lost[0] / s->conversions, 0), 1);
	*value = s->value != 0 ? lost[1] / s->value : 0;
}

/* Removal effect of the n states that are gone. */
static void
remove_states(Solver *s, const uint32 *gone, uint64 n, double *conv, double *value)
{
	const CdpChain *c = s->chain;
	double		lost[RHS] = {0};

	cdp_reach_from(&s->reach, gone, n, &s->work);
	make_reduced(s);
	solve_system(s, s->y);
	for (uint64 k = 0; k < n; k++)
	{
		lost[0] += (double) c->end[gone[k]].conversions;
		lost[1] += units(c->end[gone[k]].value);
	}
	for (uint32 row = 0; row < s->reach.n; row++)
	{
		const CdpCounts *end = &c->end[s->reach.state[s->reach.list[row]]];

		lost[0] += s->y[row] * (double) end->conversions;
		lost[1] += s->y[row] * units(end->value);
	}
	cdp_reach_clear(&s->reach, gone, n);
	effect(s, lost, conv, value);
}

/* Order 1: one state a label, so that one factor serves all; false when it would cost too much. */
static bool
remove_each_at_order_1(Solver *s, double *removal_conv, double *removal_value)
{
	const CdpChain *c = s->chain;
	CdpFactor  *f = cdp_sparse_factor(&s->system, s->work.flops_limit / 4, &s->work, s->cxt);
	double	   *inverse;

	if (f == NULL)
		return false;
	inverse = cdp_sparse_inverse_diagonal(f, &s->work, s->cxt);
	if (inverse == NULL)
		too_much(s, false);
	memcpy(s->h, s->b, (Size) c->nstates * RHS * sizeof(double));
	cdp_sparse_solve(f, s->h);
	s->residual = cdp_sparse_refine(&s->system, f, s->b, s->h);
	for (uint32 row = 0; row < c->nstates; row++)
	{
		double		lost[RHS] = {0};
		uint32		label = c->pool[c->begin[s->reach.state[c->nstates - 1 - row]]];

		for (int k = 0; k < RHS; k++)
			if (inverse[row] > 0)
				lost[k] = s->h[(Size) row * RHS + k] / inverse[row];
		effect(s, lost, &removal_conv[label], &removal_value[label]);
	}
	return true;
}

/* Lists the states that hold each label: state[first[label]] on, a state once. */
static uint32 *
states_by_label(Solver *s, uint64 *first)
{
	const CdpChain *c = s->chain;
	uint64		pool = 0;
	uint32	   *state;
	uint32	   *last = solver_array(s, c->nlabels, sizeof(uint32));

	for (uint32 i = 0; i < c->nstates; i++)
		pool += c->length[i];
	state = solver_array(s, pool, sizeof(uint32));
	memset(first, 0, ((Size) c->nlabels + 2) * sizeof(uint64));
	for (int fill = 0; fill <= 1; fill++)
	{
		memset(last, 0xff, (Size) c->nlabels * sizeof(uint32));
		for (uint32 i = 0; i < c->nstates; i++)
			for (uint32 k = 0; k < c->length[i]; k++)
			{
				uint32		j = c->pool[c->begin[i] + k];

				if (last[j] != i && fill)
					state[first[j + 1]++] = i;
				else if (last[j] != i)
					first[j + 2]++;
				last[j] = i;
			}
		for (int j = 2; j <= c->nlabels + 1 && !fill; j++)
			first[j] += first[j - 1];
	}
	return state;
}

/* A step through n labels that visits each once, spread evenly: about 0.618 n, without a common divisor. */
static uint32
even_step(uint32 n)
{
	for (uint32 step = (uint32) (n * 0.618034);; step++)
	{
		uint32		a = n,
					b = step;

		while (b != 0)
		{
			uint32		rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return step;
	}
}

/* Raises the error when the labels done so far, but for the costliest, show that all will take too much. */
static void
foresee(const Solver *s, double spent, double highest, uint32 labels)
{
	if (labels >= SAMPLE_LABELS && spent > SAMPLE_SHARE * s->work.flops_limit &&
		(spent - highest) / labels * s->chain->nlabels > 1.25 * s->work.flops_limit)
		too_much(s, false);
}

/* Any order: one reduced system for each label. */
static void
remove_each(Solver *s, double *removal_conv, double *removal_value)
{
	uint32		nlabels = (uint32) s->chain->nlabels;
	uint64	   *first = solver_array(s, (uint64) nlabels + 2, sizeof(uint64));
	uint32	   *state = states_by_label(s, first);
	uint32		step = even_step(nlabels);
	uint32		j = 0;
	double		start = s->work.flops;
	double		highest = 0;

	for (uint32 done = 0; done < nlabels; done++)
	{
		double		before = s->work.flops;

		CHECK_FOR_INTERRUPTS();
		if (first[j] < first[j + 1])
			remove_states(s, state + first[j], first[j + 1] - first[j], &removal_conv[j], &removal_value[j]);
		highest = Max(highest, s->work.flops - before);
		foresee(s, s->work.flops - start, highest, done + 1);
		j = (uint32) (((uint64) j + step) % nlabels);
	}
}

/* Shares out of removal effects; values fall back to conversions when theirs are no shares. */
static void
make_shares(int nlabels, const double *removal_conv, const double *removal_value,
			double *conv_share, double *value_share, CdpMarkovCheck *check)
{
	double		conv = 0,
				value = 0;
	bool		usable = check->value > 0;

	for (int j = 0; j < nlabels; j++)
	{
		conv += removal_conv[j];
		value += removal_value[j];
		usable = usable && removal_value[j] >= -1e-12;
	}
	usable = usable && value > 0;
	check->value_by_conversions = !usable;
	for (int j = 0; j < nlabels; j++)
	{
		conv_share[j] = conv > 0 ? removal_conv[j] / conv : 0;
		value_share[j] = usable ? Max(removal_value[j], 0) / value : conv_share[j];
	}
}

/*
 * Removal effects and shares (effect / sum of effects) of all labels; arrays of
 * nlabels. All zero without conversions. Value effects are 0 when the total value
 * is 0; value shares are those of conversions when the total value is not positive
 * or an effect on value is negative. check may be NULL.
 */
void
cdp_markov_shares(const CdpTransitions *t, int nlabels,
				  double *conv_share, double *value_share,
				  double *removal_conv, double *removal_value,
				  CdpMarkovCheck *check)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp markov", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	CdpMarkovCheck own;
	Solver		s;

	if (check == NULL)
		check = &own;
	memset(check, 0, sizeof(CdpMarkovCheck));
	for (int j = 0; j < nlabels; j++)
		conv_share[j] = value_share[j] = removal_conv[j] = removal_value[j] = 0;
	solver_start(&s, t, work);
	check_chain(&s, check);
	if (check->conversions > 0)
	{
		make_whole(&s);
		if (s.chain->order > 1 || !remove_each_at_order_1(&s, removal_conv, removal_value))
		{
			solve_system(&s, s.h);
			solver_check(&s, check);
			remove_each(&s, removal_conv, removal_value);
		}
		else
			solver_check(&s, check);
		make_shares(nlabels, removal_conv, removal_value, conv_share, value_share, check);
	}
	check->residual = s.residual;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/* Removal effect of a set of labels together; both 0 without conversions. check may be NULL. */
void
cdp_markov_removal_of(const CdpTransitions *t, const bool *removed,
					  double *removal_conv, double *removal_value,
					  CdpMarkovCheck *check)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp markov", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	CdpMarkovCheck own;
	Solver		s;

	if (check == NULL)
		check = &own;
	memset(check, 0, sizeof(CdpMarkovCheck));
	*removal_conv = *removal_value = 0;
	solver_start(&s, t, work);
	check_chain(&s, check);
	if (check->conversions > 0)
	{
		uint32	   *gone = solver_array(&s, s.chain->nstates, sizeof(uint32));
		uint64		n = 0;

		for (uint32 i = 0; i < s.chain->nstates; i++)
		{
			bool		holds = false;

			for (uint32 k = 0; k < s.chain->length[i]; k++)
				holds = holds || removed[s.chain->pool[s.chain->begin[i] + k]];
			if (holds)
				gone[n++] = i;
		}
		make_whole(&s);
		solve_system(&s, s.h);
		solver_check(&s, check);
		remove_states(&s, gone, n, removal_conv, removal_value);
	}
	check->residual = s.residual;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/*
 * markov.c
 *		Removal effects of an absorbing chain, exact.
 *
 * With x the probability (or expected value) from a state on, M the chain's
 * matrix scaled by its counts, s the starts and W = C + N journeys:
 *     M h = c,  M g = v,  P = s.h / W = C / W,  E = s.g / W = V / W.
 * Taking away the states G that hold a label loses the walks that reach G:
 *     P RE = (s_G.h_G + s_K.y) / W  with  M_KK y = A_KG h_G,  K = not G,
 * which is 1 - P_K / P without its cancellation. At order 1 G is one state and
 * RE_j = h_j / (C (M^-1)_jj), so that one factor serves all labels.
 */
#include "cdp.h"

#include <math.h>

#include "attribution/markov.h"
#include "attribution/sparse.h"

#define RHS CDP_SPARSE_RHS
/* Multiply-adds of all systems together: about a minute. */
#define WORK_LIMIT 3e10
/* Of one direct solve, and of sweeps that are tried before it. */
#define DIRECT_LIMIT 4e9
#define SWEEP_LIMIT 4e9
/* Up to so many states a direct solve is as cheap as sweeps. */
#define SMALL_STATES 200
/* Sweeps gain about 1 / length of a journey each; 32 = -ln(1e-14). */
#define SWEEPS_PER_TOUCH 32.0

typedef struct Solver
{
	const CdpChain *chain;
	CdpSparse	full;
	double	   *h;				/* [states * RHS]: chance of conversion, expected value */
	double		conversions;
	double		value;
	double		touches;		/* of a journey, on average */
	bool		sweep;			/* sweeps have ended in time so far */
	bool		direct;			/* direct solves have been affordable so far */
	uint32	   *map;			/* state -> number in the reduced system */
	CdpSparse	part;
	double	   *b;
	double	   *y;
	CdpSparseWork work;
	double		residual;
	MemoryContext cxt;
} Solver;

/* Raises the error for a chain that cannot be solved within the limits. */
static void
too_much(const Solver *s)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the Markov chain is too large to solve exactly"),
			 errdetail("Order %d over %d labels has %u states and %llu transitions.",
					   s->chain->order, s->chain->nlabels, s->chain->nstates,
					   (unsigned long long) s->chain->nsteps),
			 errhint("Group to fewer labels (channel groups), use a lower order, or raise cdp.attribution_memory.")));
}

/* Allocates an array in the solver's context within its bytes. */
static void *
solver_array(Solver *s, uint64 count, Size size)
{
	if (count > s->work.bytes_limit / size)
		too_much(s);
	s->work.bytes_limit -= count * size;
	return MemoryContextAllocHuge(s->cxt, Max(count * size, 1));
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

/*
 * Writes the system of the states that are not gone into `part`, and the
 * right-hand side: with gone == NULL the counts of conversions and the value,
 * else what leads from the rest into the states that are gone.
 */
static void
make_system(Solver *s, const bool *gone, CdpSparse *part, double *b)
{
	const CdpChain *c = s->chain;
	uint64		at = 0;

	part->n = 0;
	for (uint32 i = 0; i < c->nstates; i++)
		s->map[i] = gone != NULL && gone[i] ? CDP_PATH_NONE : part->n++;
	for (uint32 i = 0; i < c->nstates; i++)
	{
		uint32		row = s->map[i];
		double	   *bi;

		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		if (row == CDP_PATH_NONE)
			continue;
		bi = b + (Size) row * RHS;
		part->first[row] = at;
		part->slack[row] = (double) c->end[i].conversions + (double) c->end[i].nulls;
		bi[0] = gone ? 0 : (double) c->end[i].conversions;
		bi[1] = gone ? 0 : units(c->end[i].value);
		for (uint64 e = c->first[i]; e < c->first[i + 1]; e++)
		{
			uint32		to = c->to[e];

			if (s->map[to] == CDP_PATH_NONE)
			{
				part->slack[row] += (double) c->weight[e];
				for (int k = 0; k < RHS; k++)
					bi[k] += (double) c->weight[e] * s->h[(Size) to * RHS + k];
			}
			else if (to != i)
			{
				part->col[at] = s->map[to];
				part->value[at++] = (double) c->weight[e];
			}
		}
	}
	part->first[part->n] = at;
}

/* Solves a system directly; -1 when that would cost too much. */
static double
solve_directly(Solver *s, const CdpSparse *m, const double *b, double *x)
{
	CdpFactor  *f = cdp_sparse_factor(m, DIRECT_LIMIT, &s->work, s->cxt);
	double		residual;

	if (f == NULL)
		return -1;
	memcpy(x, b, (Size) m->n * RHS * sizeof(double));
	cdp_sparse_solve(f, x);
	residual = cdp_sparse_refine(m, f, b, x);
	cdp_sparse_free(f);
	return residual;
}

/*
 * Solves a system the cheapest way: directly when small; by sweeps while these
 * end as soon as the length of journeys promises; else directly; else by sweeps
 * to the end. Every way ends at the same bound of the residual.
 */
static void
solve_system(Solver *s, const CdpSparse *m, const double *b, double *x)
{
	double		residual = -1;
	bool		small = m->n <= SMALL_STATES;
	double		cost = RHS * SWEEPS_PER_TOUCH * (s->touches + 1) * (double) (m->first[m->n] + m->n);

	if (small)
		residual = solve_directly(s, m, b, x);
	if (residual < 0 && s->sweep && cost <= SWEEP_LIMIT)
	{
		residual = cdp_sparse_iterate(m, b, x, cost, &s->work);
		s->sweep = residual >= 0;
	}
	if (residual < 0 && s->direct && !small)
	{
		residual = solve_directly(s, m, b, x);
		s->direct = residual >= 0;
	}
	if (residual < 0)
		residual = cdp_sparse_iterate(m, b, x, s->work.flops_limit, &s->work);
	if (residual < 0 || s->work.flops > s->work.flops_limit)
		too_much(s);
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
	s->sweep = s->direct = true;
	s->map = solver_array(s, c->nstates, sizeof(uint32));
	for (int k = 0; k < 2; k++)
	{
		CdpSparse  *m = k == 0 ? &s->full : &s->part;

		m->first = solver_array(s, (uint64) c->nstates + 1, sizeof(uint64));
		m->col = solver_array(s, c->nsteps, sizeof(uint32));
		m->value = solver_array(s, c->nsteps, sizeof(double));
		m->slack = solver_array(s, c->nstates, sizeof(double));
	}
	for (uint32 i = 0; i < c->nstates; i++)
	{
		s->touches += (double) c->total[i];
		journeys += (double) c->starts[i];
	}
	s->touches = journeys > 0 ? s->touches / journeys : 0;
	s->h = solver_array(s, (uint64) c->nstates * RHS, sizeof(double));
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
			sum[k] += (double) c->starts[i] * s->h[(Size) i * RHS + k];
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

/* Removal effect of the states that are gone. */
static void
remove_states(Solver *s, const bool *gone, double *conv, double *value)
{
	const CdpChain *c = s->chain;
	double		lost[RHS] = {0};

	make_system(s, gone, &s->part, s->b);
	solve_system(s, &s->part, s->b, s->y);
	for (uint32 i = 0; i < c->nstates; i++)
	{
		const double *x = gone[i] ? s->h + (Size) i * RHS : s->y + (Size) s->map[i] * RHS;

		for (int k = 0; k < RHS; k++)
			lost[k] += (double) c->starts[i] * x[k];
	}
	effect(s, lost, conv, value);
}

/* Order 1: one state a label, so that one factor serves all; false when it would cost too much. */
static bool
remove_each_at_order_1(Solver *s, double *removal_conv, double *removal_value)
{
	const CdpChain *c = s->chain;
	CdpFactor  *f = cdp_sparse_factor(&s->full, s->work.flops_limit / 4, &s->work, s->cxt);
	double	   *inverse;

	if (f == NULL)
		return false;
	inverse = cdp_sparse_inverse_diagonal(f, &s->work, s->cxt);
	if (inverse == NULL)
		too_much(s);
	memcpy(s->h, s->b, (Size) c->nstates * RHS * sizeof(double));
	cdp_sparse_solve(f, s->h);
	s->residual = cdp_sparse_refine(&s->full, f, s->b, s->h);
	for (uint32 i = 0; i < c->nstates; i++)
	{
		double		lost[RHS] = {0};
		uint32		label = c->pool[c->begin[i]];

		for (int k = 0; k < RHS; k++)
			if (inverse[i] > 0)
				lost[k] = s->h[(Size) i * RHS + k] / inverse[i];
		effect(s, lost, &removal_conv[label], &removal_value[label]);
	}
	return true;
}

/* Any order: one reduced system for each label. */
static void
remove_each(Solver *s, double *removal_conv, double *removal_value)
{
	const CdpChain *c = s->chain;
	int			nlabels = c->nlabels;
	bool	   *gone = solver_array(s, c->nstates, sizeof(bool));
	uint64	   *first = solver_array(s, (uint64) nlabels + 2, sizeof(uint64));
	uint64		pool = 0;
	uint32	   *state;

	/* States by label, so that a label with few states costs little to mark. */
	memset(first, 0, ((Size) nlabels + 2) * sizeof(uint64));
	for (uint32 i = 0; i < c->nstates; i++)
		pool += c->length[i];
	state = solver_array(s, pool, sizeof(uint32));
	for (uint64 i = 0; i < pool; i++)
		first[c->pool[i] + 2]++;
	for (int j = 2; j <= nlabels + 1; j++)
		first[j] += first[j - 1];
	for (uint32 i = 0; i < c->nstates; i++)
		for (uint32 k = 0; k < c->length[i]; k++)
			state[first[c->pool[c->begin[i] + k] + 1]++] = i;

	memset(gone, 0, c->nstates * sizeof(bool));
	for (int j = 0; j < nlabels; j++)
	{
		if (first[j] == first[j + 1])
			continue;
		for (uint64 k = first[j]; k < first[j + 1]; k++)
			gone[state[k]] = true;
		remove_states(s, gone, &removal_conv[j], &removal_value[j]);
		for (uint64 k = first[j]; k < first[j + 1]; k++)
			gone[state[k]] = false;
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
		make_system(&s, NULL, &s.full, s.b);
		if (s.chain->order > 1 || !remove_each_at_order_1(&s, removal_conv, removal_value))
		{
			double		before = s.work.flops;

			solve_system(&s, &s.full, s.b, s.h);
			solver_check(&s, check);
			/* Each label costs about as much again: say at once when that will not end in time. */
			if ((s.work.flops - before) * nlabels > 2 * s.work.flops_limit)
				too_much(&s);
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
		bool	   *gone = solver_array(&s, s.chain->nstates, sizeof(bool));

		for (uint32 i = 0; i < s.chain->nstates; i++)
		{
			gone[i] = false;
			for (uint32 k = 0; k < s.chain->length[i]; k++)
				gone[i] = gone[i] || removed[s.chain->pool[s.chain->begin[i] + k]];
		}
		make_system(&s, NULL, &s.full, s.b);
		solve_system(&s, &s.full, s.b, s.h);
		solver_check(&s, check);
		remove_states(&s, gone, removal_conv, removal_value);
	}
	check->residual = s.residual;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/*
 * sweep.c
 *		Residuals, refinement, and Gauss-Seidel sweeps for systems that would
 *		fill up under elimination. See sparse.h.
 *
 * From zero on, sweeps only add: x grows towards the solution and no digit is
 * lost. Rows are taken in ascending order; the caller numbers them so that most
 * entries point to earlier rows. What the last sweep moved bounds the residual:
 * |b - M x| <= sum of diagonal * |change|, since columns of M sum to >= 0. What
 * is left after some sweeps shrinks at one rate, mostly: leaps follow it at once.
 */
#include "cdp.h"

#include <float.h>
#include <math.h>

#include "attribution/models/sparse.h"

#define TOLERANCE 1e-13			/* aim */
#define ENOUGH 1e-12			/* what is asked for */
/* Below this share of b a sweep moves roundoff only. */
#define STILL 1e-15
/* Sweeps between looks at what they move. */
#define SWEEPS 4
/* Multiply-adds that a row takes the time of, and one on a vector longer than CACHED. */
#define ROW_COST 4.0
#define FAR_COST 4.0
#define CACHED 65536
/* No leaps while a sweep gains less than this. */
#define HIGHEST_RATIO 0.999999

/* r = b - M x; returns the larger of the sides' |r| / |b| in the 1-norm. r may be NULL. */
double
cdp_sparse_residual(const CdpSparse *m, const double *b, const double *x, double *r)
{
	int			sides = m->sides;
	long double norm[2] = {0};
	long double size[2] = {0};
	double		worst = 0;

	for (uint32 i = 0; i < m->n; i++)
	{
		const double *xi = x + (Size) i * sides;
		const double *bi = b + (Size) i * sides;

		for (int s = 0; s < sides; s++)
		{
			/* b + sum A (x_j - x_i) - slack x_i: the same without the large diagonal */
			long double rest = (long double) bi[s] - (long double) m->slack[i] * xi[s];

			for (uint64 k = m->first[i]; k < m->first[i + 1]; k++)
				rest += (long double) m->value[k] * ((long double) x[(Size) m->col[k] * sides + s] - xi[s]);
			if (r != NULL)
				r[(Size) i * sides + s] = (double) rest;
			norm[s] += fabsl(rest);
			size[s] += fabsl((long double) bi[s]);
		}
	}
	for (int s = 0; s < sides; s++)
		if (size[s] > 0)
			worst = Max(worst, (double) (norm[s] / size[s]));
	return worst;
}

/* Improves x by iterative refinement while that helps; returns the relative residual. */
double
cdp_sparse_refine(const CdpSparse *m, const CdpFactor *f, const double *b, double *x)
{
	Size		count = (Size) m->n * m->sides;
	double	   *r = palloc_extended(Max(count, 1) * sizeof(double), MCXT_ALLOC_HUGE);
	double	   *try = palloc_extended(Max(count, 1) * sizeof(double), MCXT_ALLOC_HUGE);
	double		residual = cdp_sparse_residual(m, b, x, r);

	for (int round = 0; round < 3 && residual > TOLERANCE; round++)
	{
		double		better;

		CHECK_FOR_INTERRUPTS();
		cdp_sparse_solve(f, r);
		for (Size i = 0; i < count; i++)
			try[i] = x[i] + r[i];
		better = cdp_sparse_residual(m, b, try, r);
		if (!(better < residual))
			break;
		memcpy(x, try, count * sizeof(double));
		residual = better;
	}
	pfree(r);
	pfree(try);
	return residual;
}

/* ---- sweeps ---- */

/* What a sweep costs in multiply-adds: a row counts a few, and all count more where x leaves the cache. */
double
cdp_sparse_sweep_cost(const CdpSparse *m)
{
	double		cost = (double) m->first[m->n] * m->sides + ROW_COST * m->n;

	return (Size) m->n * m->sides > CACHED ? cost * FAR_COST : cost;
}

/* Norms by which changes are judged: of each side, and of the one side by the weights. */
typedef struct Moved
{
	double		norm[3];
	double		size[3];		/* of b */
} Moved;

typedef struct Sweeps
{
	const CdpSparse *m;
	const double *b;
	const double *inverse;		/* [n] of the diagonal */
	double	   *change;			/* [n * sides] what the last sweep moved */
	Moved		moved;			/* by the last sweep */
	Moved		before;			/* by the one before it */
	double		spent;
} Sweeps;

/* Adds what a value in row i, side s, counts to the norms. */
static inline void
count_norms(const CdpSparse *m, uint32 i, int s, double value, double *norm)
{
	norm[s] += value;
	if (m->weight != NULL)
		for (int k = 0; k < 2; k++)
			norm[1 + k] += m->weight[(Size) i * 2 + k] * value;
}

/* The largest norm relative to that of b; rows with no weight at all do not count. */
static double
relative_norm(const Moved *moved)
{
	double		worst = 0;

	for (int k = 0; k < 3; k++)
		if (moved->size[k] > 0)
			worst = Max(worst, moved->norm[k] / moved->size[k]);
	return worst;
}

/* Dot product of a row with x, in four sums so that one addition need not wait for the last. */
static inline double
row_dot(const CdpSparse *m, uint32 i, const double *x)
{
	const double *value = m->value + m->first[i];
	const uint32 *col = m->col + m->first[i];
	uint64		n = m->first[i + 1] - m->first[i];
	uint64		k = 0;
	double		sum[4] = {0};

	for (; k + 4 <= n; k += 4)
		for (int j = 0; j < 4; j++)
			sum[j] += value[k + j] * x[col[k + j]];
	for (; k < n; k++)
		sum[0] += value[k] * x[col[k]];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* One sweep; notes the norms of what moved, and what moved itself, unless NULL. */
static void
sweep(const Sweeps *w, double *x, Moved *moved, double *change)
{
	const CdpSparse *m = w->m;
	int			sides = m->sides;

	for (uint32 i = 0; i < m->n; i++)
	{
		double		sum[2] = {0};

		if (sides == 1)
			sum[0] = row_dot(m, i, x);
		else
			for (uint64 k = m->first[i]; k < m->first[i + 1]; k++)
				for (int s = 0; s < 2; s++)
					sum[s] += m->value[k] * x[(Size) m->col[k] * 2 + s];
		for (int s = 0; s < sides; s++)
		{
			Size		at = (Size) i * sides + s;
			double		next = (sum[s] + w->b[at]) * w->inverse[i];

			if (moved != NULL && w->inverse[i] > 0)
				count_norms(m, i, s, fabs(next - x[at]) / w->inverse[i], moved->norm);
			if (change != NULL)
				change[at] = next - x[at];
			x[at] = next;
		}
	}
}

/* Some sweeps, of which the last two are measured; the largest relative norm of what the last moved. */
static double
sweep_some(Sweeps *w, double *x)
{
	for (int round = 0; round < SWEEPS - 2; round++)
		sweep(w, x, NULL, NULL);
	memset(w->before.norm, 0, sizeof(w->before.norm));
	memset(w->moved.norm, 0, sizeof(w->moved.norm));
	sweep(w, x, &w->before, NULL);
	sweep(w, x, &w->moved, w->change);
	return relative_norm(&w->moved);
}

/* Where all later sweeps would lead if each moved x like the last, by the ratio of the last two. */
static void
leap(Sweeps *w, double *x)
{
	for (int s = 0; s < w->m->sides; s++)
	{
		double		ratio = w->before.norm[s] > 0 ? w->moved.norm[s] / w->before.norm[s] : 1;

		for (Size at = s; at < (Size) w->m->n * w->m->sides && ratio < HIGHEST_RATIO; at += w->m->sides)
			x[at] += w->change[at] * ratio / (1 - ratio);
	}
}

/* Sweeps until the residual is small enough; -1 when that takes more than flops_limit. */
static double
sweep_to_end(Sweeps *w, double *x, double flops_limit)
{
	const CdpSparse *m = w->m;
	double		cost = cdp_sparse_sweep_cost(m);
	double		aim = TOLERANCE;
	double		last = DBL_MAX;
	bool		leaps = true;

	for (uint32 i = 0; i < m->n; i++)
		for (int s = 0; s < m->sides; s++)
			count_norms(m, i, s, fabs(w->b[(Size) i * m->sides + s]), w->moved.size);
	for (;;)
	{
		double		residual;
		double		change = sweep_some(w, x);
		bool		late = w->spent + (SWEEPS + 1) * cost > flops_limit;

		CHECK_FOR_INTERRUPTS();
		w->spent += SWEEPS * cost;
		if (change > aim && !late)
		{
			/* Walks that go round in step do not shrink evenly: leave these to the sweeps. */
			leaps = leaps && change < last / 2;
			last = change;
			if (leaps)
				leap(w, x);
			continue;
		}
		residual = cdp_sparse_residual(m, w->b, x, NULL);
		w->spent += cost;
		if (residual <= TOLERANCE || (residual <= ENOUGH && (change <= STILL || late)))
			return change <= ENOUGH ? residual : -1;
		if (change <= STILL || late)
			return -1;
		aim = Min(aim, change) / 10;
	}
}

/*
 * Solves by sweeps from zero until the residual is at most 1e-13 of b (1e-12 when
 * roundoff does not allow more); returns it, or -1 when that takes more than
 * flops_limit multiply-adds. What was spent is added to work.
 */
double
cdp_sparse_iterate(const CdpSparse *m, const double *b, double *x, double flops_limit, CdpSparseWork *work)
{
	Size		count = (Size) m->n * m->sides;
	double	   *inverse = palloc_extended(Max((Size) m->n, 1) * sizeof(double), MCXT_ALLOC_HUGE);
	Sweeps		w = {.m = m, .b = b, .inverse = inverse, .spent = cdp_sparse_sweep_cost(m)};
	double		residual;

	memset(x, 0, count * sizeof(double));
	for (uint32 i = 0; i < m->n; i++)
	{
		double		diagonal = m->slack[i];

		for (uint64 k = m->first[i]; k < m->first[i + 1]; k++)
			diagonal += m->value[k];
		inverse[i] = diagonal > 0 ? 1 / diagonal : 0;
	}
	if (m->triangular)
	{
		sweep(&w, x, NULL, NULL);
		residual = cdp_sparse_residual(m, b, x, NULL);
		w.spent += 2 * cdp_sparse_sweep_cost(m);
	}
	else
	{
		w.change = palloc_extended(Max(count, 1) * sizeof(double), MCXT_ALLOC_HUGE);
		residual = sweep_to_end(&w, x, flops_limit);
		pfree(w.change);
	}
	work->flops += w.spent;
	pfree(inverse);
	return residual;
}

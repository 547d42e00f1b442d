/*
 * sweep.c
 *		Residuals, refinement, and Gauss-Seidel sweeps for systems that would
 *		fill up under elimination. See sparse.h.
 *
 * From zero on, sweeps only add: x grows towards the solution and no digit is
 * lost. Rows are taken in ascending order; the caller numbers them so that most
 * entries point to earlier rows. What the last sweep moved bounds the residual:
 * |b - M x| <= sum of diagonal * |change|, since columns of M sum to >= 0.
 */
#include "cdp.h"

#include <math.h>

#include "attribution/sparse.h"

#define TOLERANCE 1e-13			/* aim */
#define ENOUGH 1e-12			/* what is asked for */
/* Below this share of b a sweep moves roundoff only. */
#define STILL 1e-15
/* Sweeps between looks at what they move. */
#define SWEEPS 4

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

/* Norms by which changes are judged: of each side, and of the one side by the weights. */
typedef struct Moved
{
	double		norm[3];
	double		size[3];		/* of b */
} Moved;

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

/* One sweep; sides is a constant where this is inlined. Notes what moved unless NULL. */
static pg_attribute_always_inline void
sweep(const CdpSparse *m, int sides, const double *inverse, const double *b, double *x, Moved *moved)
{
	for (uint32 i = 0; i < m->n; i++)
	{
		double		sum[2] = {0};

		for (int s = 0; s < sides; s++)
			sum[s] = b[(Size) i * sides + s];
		for (uint64 k = m->first[i]; k < m->first[i + 1]; k++)
			for (int s = 0; s < sides; s++)
				sum[s] += m->value[k] * x[(Size) m->col[k] * sides + s];
		for (int s = 0; s < sides; s++)
		{
			double		next = sum[s] * inverse[i];

			if (moved != NULL && inverse[i] > 0)
				count_norms(m, i, s, fabs(next - x[(Size) i * sides + s]) / inverse[i], moved->norm);
			x[(Size) i * sides + s] = next;
		}
	}
}

/* Some sweeps, of which the last is measured; the largest relative norm of what it moved. */
static double
sweep_some(const CdpSparse *m, const double *inverse, const double *b, double *x, Moved *moved)
{
	for (int round = 1; round < SWEEPS; round++)
		if (m->sides == 1)
			sweep(m, 1, inverse, b, x, NULL);
		else
			sweep(m, 2, inverse, b, x, NULL);
	memset(moved->norm, 0, sizeof(moved->norm));
	if (m->sides == 1)
		sweep(m, 1, inverse, b, x, moved);
	else
		sweep(m, 2, inverse, b, x, moved);
	return relative_norm(moved);
}

/* Sweeps until the residual is small enough; -1 when that takes more than flops_limit. */
static double
sweep_to_end(const CdpSparse *m, const double *inverse, const double *b, double *x, double flops_limit, double *spent)
{
	double		cost = (double) m->first[m->n] * m->sides + m->n;
	double		aim = TOLERANCE;
	double		residual;
	Moved		moved = {0};

	for (uint32 i = 0; i < m->n; i++)
		for (int s = 0; s < m->sides; s++)
			count_norms(m, i, s, fabs(b[(Size) i * m->sides + s]), moved.size);
	for (;;)
	{
		double		change = sweep_some(m, inverse, b, x, &moved);
		bool		late = *spent + (SWEEPS + 1) * cost > flops_limit;

		CHECK_FOR_INTERRUPTS();
		*spent += SWEEPS * cost;
		if (change > aim && !late)
			continue;
		residual = cdp_sparse_residual(m, b, x, NULL);
		*spent += cost;
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
	double	   *inverse = palloc_extended(Max((Size) m->n, 1) * sizeof(double), MCXT_ALLOC_HUGE);
	double		spent = (double) m->first[m->n] + m->n;
	double		residual;

	memset(x, 0, (Size) m->n * m->sides * sizeof(double));
	for (uint32 i = 0; i < m->n; i++)
	{
		double		diagonal = m->slack[i];

		for (uint64 k = m->first[i]; k < m->first[i + 1]; k++)
			diagonal += m->value[k];
		inverse[i] = diagonal > 0 ? 1 / diagonal : 0;
	}
	if (m->triangular)
	{
		sweep(m, m->sides, inverse, b, x, NULL);
		residual = cdp_sparse_residual(m, b, x, NULL);
		spent += 2 * ((double) m->first[m->n] * m->sides + m->n);
	}
	else
		residual = sweep_to_end(m, inverse, b, x, flops_limit, &spent);
	work->flops += spent;
	pfree(inverse);
	return residual;
}

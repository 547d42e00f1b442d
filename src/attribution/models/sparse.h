/*
 * sparse.h
 *		Linear systems of absorbing Markov chains: M x = b with
 *		M = diag(slack + row sums of A) - A, A >= 0 without diagonal, slack >= 0.
 *
 * Such a matrix needs no pivoting for stability. Elimination keeps slack and
 * off-diagonals and forms each diagonal as their sum, so that nothing is ever
 * subtracted: each component of x comes out with full relative accuracy,
 * however slowly the chain is absorbed (Grassmann, Taksar, Heyman 1985;
 * O'Cinneide 1993). Order: smallest Markowitz product, dense at the end.
 */
#ifndef CDP_SPARSE_H
#define CDP_SPARSE_H

#include "cdp.h"

/* Vectors hold the right-hand sides of a row next to each other: x[row * sides + side]. */
typedef struct CdpSparse
{
	uint32		n;
	int			sides;			/* right-hand sides solved together, 1 or 2 */
	bool		triangular;		/* rows need earlier rows only: one sweep is exact */
	uint64	   *first;			/* [n + 1] */
	uint32	   *col;
	double	   *value;			/* > 0 */
	double	   *slack;			/* [n] */
	const double *weight;		/* [n * 2] or NULL: what an error in a row counts, besides 1 */
} CdpSparse;

/* What solving may cost and has cost: multiply-adds, and bytes at one time. */
typedef struct CdpSparseWork
{
	double		flops_limit;
	double		flops;
	Size		bytes_limit;
} CdpSparseWork;

typedef struct CdpFactor CdpFactor;

extern void *cdp_sparse_array(CdpSparseWork *work, uint64 count, Size size, MemoryContext cxt);
extern CdpFactor *cdp_sparse_factor(const CdpSparse *m, double flops_limit, CdpSparseWork *work, MemoryContext cxt);
extern void cdp_sparse_solve(const CdpFactor *f, double *x);
extern double *cdp_sparse_inverse_diagonal(const CdpFactor *f, CdpSparseWork *work, MemoryContext cxt);
extern void cdp_sparse_free(CdpFactor *f);
extern double cdp_sparse_sweep_cost(const CdpSparse *m);
extern double cdp_sparse_residual(const CdpSparse *m, const double *b, const double *x, double *r);
extern double cdp_sparse_refine(const CdpSparse *m, const CdpFactor *f, const double *b, double *x);
extern double cdp_sparse_iterate(const CdpSparse *m, const double *b, double *x, double flops_limit, CdpSparseWork *work);

#endif							/* CDP_SPARSE_H */

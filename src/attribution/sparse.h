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

/* Right-hand sides that are solved together: conversions and value. */
#define CDP_SPARSE_RHS 2

typedef struct CdpSparse
{
	uint32		n;
	uint64	   *first;			/* [n + 1] */
	uint32	   *col;			/* ascending in a row */
	double	   *value;			/* > 0 */
	double	   *slack;			/* [n] */
} CdpSparse;

/* What solving may cost and has cost: multiply-adds, and bytes at one time. */
typedef struct CdpSparseWork
{
	double		flops_limit;
	double		flops;
	Size		bytes_limit;
} CdpSparseWork;

typedef struct CdpFactor CdpFactor;

extern CdpFactor *cdp_sparse_factor(const CdpSparse *m, double flops_limit, CdpSparseWork *work, MemoryContext cxt);
extern void cdp_sparse_solve(const CdpFactor *f, double *x);
extern double *cdp_sparse_inverse_diagonal(const CdpFactor *f, CdpSparseWork *work, MemoryContext cxt);
extern void cdp_sparse_free(CdpFactor *f);
extern double cdp_sparse_residual(const CdpSparse *m, const double *b, const double *x, double *r);
extern double cdp_sparse_refine(const CdpSparse *m, const CdpFactor *f, const double *b, double *x);
extern double cdp_sparse_iterate(const CdpSparse *m, const double *b, double *x, double flops_limit, CdpSparseWork *work);

#endif							/* CDP_SPARSE_H */

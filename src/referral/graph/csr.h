/*
 * csr.h
 *		Edges as arrays: for each node where its neighbours begin, and the
 *		neighbours in order. And what fraud rules work out of them: pure
 *		arithmetic on arrays, which knows no rows.
 */
#ifndef CDP_CSR_H
#define CDP_CSR_H

#include "cdp.h"

typedef struct CdpCsr
{
	uint32		n;
	uint32	   *first;			/* [n + 1] */
	uint32	   *to;				/* [first[n]] ascending for each node, no two equal */
} CdpCsr;

/* A dense block that peeling found. */
typedef struct CdpBlock
{
	uint32		accounts;		/* nodes of the first end, */
	uint32		attributes;		/* of the second */
	uint32		edges;			/* between them, of those that earlier blocks left */
	double		density;		/* weight of these edges by node */
} CdpBlock;

/* A peeling under way: arrays made once and used for each block. */
typedef struct CdpPeel CdpPeel;

/* Takes a cycle: nodes in its direction, the lowest first. */
typedef void (*CdpTakeCycle) (void *arg, const uint32 *node, int length);

extern void cdp_csr_make(CdpCsr *csr, uint32 n, uint32 nto, uint32 m, uint32 *from, uint32 *to);
extern void cdp_csr_turn(CdpCsr *back, const CdpCsr *csr, uint32 nto);
extern bool cdp_csr_has(const CdpCsr *csr, uint32 from, uint32 to);

extern void cdp_core_numbers(const CdpCsr *csr, uint32 *core);
extern void cdp_hub_components(const CdpCsr *csr, uint32 nto, uint32 hub_cap, int32 *parent);
extern uint32 cdp_cycles(const CdpCsr *csr, int longest, uint32 degree_cap, CdpTakeCycle take, void *arg);
extern uint32 cdp_cycles_of_edge(const CdpCsr *csr, uint32 from, uint32 to, int longest, uint32 degree_cap, CdpTakeCycle take, void *arg);
extern CdpPeel *cdp_peel_create(CdpCsr *edges, uint32 nto, bool weighted);
extern bool cdp_peel_next(CdpPeel *p, CdpBlock *block);
extern bool cdp_peel_has(const CdpPeel *p, uint32 node);
extern uint64 cdp_peel_bytes(uint32 n, uint32 nto, uint32 m);

#endif							/* CDP_CSR_H */

/*
 * cluster.h
 *		From weighted pairs to clusters: average linkage with constraints,
 *		one-to-one, or plain connection.
 *
 * Knows no tables and no texts: nodes are numbers from 0, edges come sorted.
 */
#ifndef CDP_CLUSTER_H
#define CDP_CLUSTER_H

#include "cdp.h"

#include "fmgr.h"

/* Weights beyond this count as this; minus infinity says that the two must not be one. */
#define CDP_CLUSTER_MAX_WEIGHT 100.0

typedef enum CdpClusterMethod
{
	CDP_CLUSTER_AVERAGE,
	CDP_CLUSTER_ONE_TO_ONE,
	CDP_CLUSTER_CONNECTED
} CdpClusterMethod;

/* An edge, a below b. */
typedef struct CdpEdge
{
	uint32		a;
	uint32		b;
	double		weight;
} CdpEdge;

typedef struct CdpClusterOptions
{
	CdpClusterMethod method;
	double		threshold;		/* clusters are joined while their average weight is above */
	double		absent;			/* weight of a pair without an edge; not above the threshold */
	bool		one_per_source; /* no cluster holds two nodes of one source */
	Size		memory;			/* bytes that the work may take */
} CdpClusterOptions;

extern void cdp_cluster_check_memory(uint64 nedges, Size need, Size memory);
extern uint64 cdp_cluster_sort(CdpEdge *edge, uint64 nedges);
extern CdpClusterOptions cdp_cluster_options(FunctionCallInfo fcinfo, int first);
extern uint32 *cdp_cluster(CdpEdge *edge, uint64 nedges, uint32 nnodes, const uint32 *source, uint32 nsources,
						   const CdpClusterOptions *options);

#endif							/* CDP_CLUSTER_H */

/*
 * graph_calls.h
 *		What functions that return rows of a graph share.
 */
#ifndef CDP_GRAPH_CALLS_H
#define CDP_GRAPH_CALLS_H

#include "referral/graph/graph.h"

/* A call of a function that returns rows: its graph, and where the rows go. */
typedef struct GraphCall
{
	ReturnSetInfo *rsinfo;
	CdpGraph	graph;
	CdpOneGraph one;			/* of functions that unite both ends */
	MemoryContext row;			/* emptied after each row */
	Oid			type;			/* of nodes in the rows */
} GraphCall;

extern int	cdp_graph_bounded(FunctionCallInfo fcinfo, int arg, const char *name, int low, int high);
extern void cdp_graph_begin(FunctionCallInfo fcinfo, GraphCall *call, int column);
extern void cdp_graph_use(GraphCall *call, const struct varlena *value, bool united, bool directed);
extern void cdp_graph_put_cycle(void *arg, const uint32 *node, int length);
extern void cdp_graph_tell_hubs(uint32 hubs, int degree_cap);

#endif							/* CDP_GRAPH_CALLS_H */

/*
 * graph.h
 *		Graphs of accounts for fraud rules: rows of two ends come in, one value of
 *		type cdp.fraud_graph is made of them, and engines open it as arrays.
 *
 * The two ends of a row have numbers of their own, so that an account and an
 * attribute may be called the same. Engines over one sort of nodes (cores,
 * cycles) unite the two lists.
 */
#ifndef CDP_GRAPH_H
#define CDP_GRAPH_H

#include "identity/components/components.h"

#include "referral/graph/csr.h"

/* Of the bytes of a value. */
#define CDP_GRAPH_VERSION 1

/* Rows while they come in; everything lives in cxt. */
typedef struct CdpGraphRows
{
	MemoryContext cxt;
	CdpComponents *side[2];		/* tables of nodes; NULL before the first row */
} CdpGraphRows;

/* The nodes of one end, in order of id. */
typedef struct CdpGraphSide
{
	CdpNodeKind kind;
	uint32		n;
	int64	   *number;			/* bigint */
	const char **bytes;			/* others: into the value */
	uint32	   *len;
} CdpGraphSide;

/* An opened graph: its edges by first end, each once. */
typedef struct CdpGraph
{
	CdpGraphSide side[2];
	CdpCsr		edges;			/* from nodes of side 0 to nodes of side 1 */
	uint64		bytes;			/* that all of it takes, with the value */
} CdpGraph;

/* A graph whose two ends are one sort of nodes. */
typedef struct CdpOneGraph
{
	const CdpGraph *graph;
	uint32		n;
	uint32	   *node;			/* [n] number on its side; the highest bit tells which side */
	CdpCsr		edges;
} CdpOneGraph;

extern int	cdp_graph_memory;
extern void cdp_graph_settings(void);
extern void cdp_graph_reserve(uint64 bytes, const char *what);

extern void cdp_graph_take(void *arg, const CdpLinkEnd *end);
extern struct varlena *cdp_graph_finish(CdpGraphRows *rows);
extern void cdp_graph_open(CdpGraph *g, const char *data, uint64 len, bool check_text);
extern void cdp_graph_unite(CdpOneGraph *one, const CdpGraph *g, bool directed);
extern Datum cdp_graph_node(const CdpGraphSide *side, uint32 i);

#endif							/* CDP_GRAPH_H */

/*
 * combine.h
 *		The nodes of a plan and how sets of customers are combined by them.
 *
 * A node holds two sets: who it is true for when a missing value makes an atom
 * false ("set"), and for whom it is unknown in SQL's logic of three values.
 * Whoever it is true for in that logic is in the first and not in the second:
 * an answer that no missing value can change is the same in both logics.
 */
#ifndef CDP_SEGMENT_COMBINE_H
#define CDP_SEGMENT_COMBINE_H

#include "cdp.h"

#include "segment/bitmap/passresult.h"
#include "segment/bitmap/roaring.h"
#include "utils/jsonb.h"

typedef enum CdpNodeKind
{
	CDP_NODE_EVENT,
	CDP_NODE_ATTRIBUTE,
	CDP_NODE_SET,
	CDP_NODE_ALL,
	CDP_NODE_ANY,
	CDP_NODE_NOT,
	CDP_NODE_MEMBERS,			/* of another node, by one of the logics */
	CDP_NODE_NOBODY,
	CDP_NODE_EVERYBODY
} CdpNodeKind;

#define CDP_NODE_KINDS 9

typedef struct CdpNode
{
	CdpNodeKind kind;
	int			atom;			/* of events, attributes or sets */
	bool		sql_nulls;		/* of members */
	int			n;
	int		   *child;			/* nodes before this one */
	int			uses;			/* by nodes and segments */
} CdpNode;

typedef struct CdpNodeSegment
{
	int32		id;
	int			node;
	bool		sql_nulls;
} CdpNodeSegment;

typedef struct CdpNodePlan
{
	int			nevents;
	int			nattributes;
	int			nsets;
	int			nnodes;
	CdpNode    *node;
	int			nsegments;
	CdpNodeSegment *segment;
} CdpNodePlan;

extern CdpNodePlan *cdp_nodes_read(Jsonb *json);

#endif							/* CDP_SEGMENT_COMBINE_H */

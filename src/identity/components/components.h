/*
 * components.h
 *		Connected components by union-find: nodes are bigint, uuid or text, links
 *		come one by one, the result is one value of type cdp.component_set.
 */
#ifndef CDP_COMPONENTS_H
#define CDP_COMPONENTS_H

#include "cdp.h"

#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"

/* Of the bytes of a value. */
#define CDP_SET_VERSION 1

/* What a node is; the numbers stand in stored values. */
typedef enum CdpNodeKind
{
	CDP_NODE_BIGINT = 0,
	CDP_NODE_UUID = 1,
	CDP_NODE_TEXT = 2
} CdpNodeKind;

/* A node: what it is, the way to its component, and 32 bits of its hash. */
typedef struct CdpNode
{
	uint64		key;			/* the number itself, or where its bytes start */
	uint32		parent;			/* never higher than its own place */
	uint32		hash;
} CdpNode;

/* One end of a link that waits for its batch. */
typedef struct CdpEnd
{
	union
	{
		uint64		number;
		const char *bytes;
	}			key;
	uint32		len;			/* of bytes */
	uint32		hash;
} CdpEnd;

/* Links that are worked on together, so that their cache misses overlap. */
#define CDP_BATCH 128

/* Bytes of keys that wait for their batch; longer ones do not wait. */
#define CDP_STAGE_BYTES 32768

/* Nodes of one value: places and half of the slots are 32 bits wide. */
#define CDP_MAX_NODES ((uint32) 1 << 30)

typedef struct CdpComponents
{
	CdpNodeKind kind;
	MemoryContext cxt;			/* holds everything below */
	uint64		seed;			/* of the hash, so that nobody can prepare keys that collide */

	CdpNode    *node;
	uint32		nnodes;
	uint32		room;
	uint32		njoined;		/* links that joined two components */
	uint64		nlinks;			/* rows with two ends */

	uint32	   *slot;			/* 0, or rest of the hash and place + 1; see find_node */
	int			slot_bits;

	char	   *bytes;			/* keys that are no numbers; text with its length before it */
	uint64		nbytes;
	uint64		bytes_room;

	CdpEnd		end[2 * CDP_BATCH];
	int			nends;
	char	   *stage;
	uint32		nstaged;

	const struct varlena *given; /* what a worker found; then there is nothing else */

	bool		keeps;			/* ends are only looked up: no links, the place of each end is kept */
	uint32	   *kept;			/* in the order of the ends; CDP_NO_PLACE for one that is not there */
	uint64		nkept;
	uint64		kept_room;
	const struct CdpComponents *beside; /* another table that shares the memory, or NULL */
	const int  *kilobytes;		/* memory that may be used, */
	const char *setting;		/* the setting that says so, */
	const char *pass;			/* and what it is for */
} CdpComponents;

#define CDP_NO_PLACE PG_UINT32_MAX

/* One end of a row as a scan gives it. */
typedef struct CdpLinkEnd
{
	CdpNodeKind kind;
	bool		null;
	int64		number;			/* bigint */
	const char *bytes;			/* others; they live until the next row */
	uint32		len;
} CdpLinkEnd;

/* Takes the two ends of a row. */
typedef void (*CdpTakeLink) (void *arg, const CdpLinkEnd *end);

/* Reads a value of type cdp.component_set, component by component. */
typedef struct CdpSetReader
{
	StringInfoData buf;
	CdpNodeKind kind;
	uint64		nnodes;
	uint64		ncomponents;
	uint64		nlinks;
	int64		base;			/* bigint: lowest id, */
	int			width;			/* and how many bytes the distance from it takes */
	uint64		components_left;
	uint64		nodes_left;		/* of the component at hand */
	uint64		unread;			/* nodes of all components not begun */
} CdpSetReader;

/* A node as a reader gives it. */
typedef struct CdpSetNode
{
	int64		number;
	const char *bytes;			/* into the value */
	int			len;
} CdpSetNode;

extern int	cdp_components_memory;
extern void cdp_components_settings(void);

extern CdpComponents *cdp_components_create(CdpNodeKind kind, MemoryContext cxt);
extern void cdp_components_number(CdpComponents *c, const int64 *a, const int64 *b);
extern void cdp_components_bytes(CdpComponents *c, const char *a, uint32 alen, const char *b, uint32 blen);
extern void cdp_components_flush(CdpComponents *c);
extern void cdp_components_reserve(const CdpComponents *c, uint64 bytes);
extern struct varlena *cdp_components_finish(CdpComponents *c);
extern void cdp_components_add_set(CdpComponents *c, const struct varlena *set);

extern CdpComponents *cdp_nodes_create(CdpNodeKind kind, MemoryContext cxt, const int *kilobytes, const char *setting, const char *pass);
extern void cdp_nodes_add(CdpComponents *c, const CdpLinkEnd *end);
extern uint32 *cdp_nodes_sort(CdpComponents *c);
extern const char *cdp_nodes_bytes(const CdpComponents *c, uint32 rank, uint32 *len);

extern bool cdp_node_kind_of(Oid type, CdpNodeKind *kind);
extern char *cdp_links_query(Oid relid, const char *a, const char *b, const CdpNodeKind *kind);
extern void cdp_links_of_plan(SPIPlanPtr plan, ParamListInfo params, const CdpNodeKind *kind, CdpTakeLink take, void *arg);
extern void cdp_links_of_relation(Oid relid, const char *a, const char *b, const CdpNodeKind *kind, CdpTakeLink take, void *arg);
extern void cdp_links_of_cursor(const char *name, const CdpNodeKind *kind, CdpTakeLink take, void *arg);

extern const char *cdp_node_kind_name(CdpNodeKind kind);
extern void cdp_set_open(CdpSetReader *r, const struct varlena *set);
extern bool cdp_set_component(CdpSetReader *r);
extern void cdp_set_node(CdpSetReader *r, CdpSetNode *node);

/* Makes the set of a set-returning function at its first call, in the current context. */
typedef struct varlena *(*CdpSetMaker) (FunctionCallInfo fcinfo, CdpNodeKind kind);

extern Datum cdp_component_stream(FunctionCallInfo fcinfo, CdpNodeKind kind, CdpSetMaker make);

#endif							/* CDP_COMPONENTS_H */

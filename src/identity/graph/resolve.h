/*
 * resolve.h
 *		The constrained union-find of identity: which links hold, and which
 *		identifiers are one customer.
 *
 * Nodes are identifiers, links the evidence. Links are taken in canonical
 * order (Kruskal), so that neither the order of rows nor of arrival counts.
 */
#ifndef CDP_RESOLVE_H
#define CDP_RESOLVE_H

#include "utils/array.h"
#include "utils/timestamp.h"

#include "identity/unionfind.h"

/* What a link's verdict says: below zero it is refused. */
#define CDP_VERDICT_JOINS	2	/* it made two parts one */
#define CDP_VERDICT_HOLDS	1	/* its ends were together already */
#define CDP_VERDICT_CANNOT	(-1)
#define CDP_VERDICT_SUPER	(-2)
#define CDP_VERDICT_ATTACH	(-3)
#define CDP_VERDICT_RULE	(-3)	/* minus the number of the rule's row */

typedef enum CdpLinkKind
{
	CDP_LINK_HELD,				/* in force already: joins without a question */
	CDP_LINK_MANUAL,
	CDP_LINK_DETERMINISTIC,
	CDP_LINK_PROBABILISTIC,
	CDP_LINK_CANNOT
} CdpLinkKind;

/* An identifier; 32 bytes. */
typedef struct CdpIdentifier
{
	int64		id;
	int64		start;			/* label of the part it starts in, 0: alone */
	TimestampTz at;				/* first seen, DT_NOBEGIN: unknown */
	int32		place;			/* order of the values, arrival has no say in it */
	int16		type;			/* index into CdpRules.type */
	bool		quarantined;
	bool		attached;		/* of an attach-only type and has its one link */
} CdpIdentifier;

/*
 * A link; 48 bytes. Its ends are ids first, then numbers of nodes, the stronger
 * end first. Once a cannot link stopped it, at is that link's id.
 */
typedef struct CdpLink
{
	int64		id;
	int64		a;
	int64		b;
	double		weight;
	TimestampTz at;
	int32		verdict;
	int32		kind;
} CdpLink;

/* What is said about a type of identifiers. */
typedef struct CdpTypeRule
{
	int16		type_id;
	bool		attach_only;
	bool		limited;
	int32		row;			/* of the rules, for verdicts */
	int64		priority;		/* low is strong */
	int64		max_n;
	int64		window;			/* microseconds; 0: for ever */
} CdpTypeRule;

/* An identifier of type has links to at most max_n of type other. */
typedef struct CdpPairRule
{
	int32		type;			/* indexes */
	int32		other;
	int32		row;
	int64		max_n;
} CdpPairRule;

typedef struct CdpRules
{
	int			ntypes;
	int			npairs;
	CdpTypeRule *type;			/* sorted by type_id */
	CdpPairRule *pair;
	int64		max_size;		/* 0: no bound */
	int32		size_row;
} CdpRules;

struct cdp_tally_hash;

/* The state of the aggregate and of the engine; all in one context. */
typedef struct CdpResolve
{
	MemoryContext cxt;
	CdpRules	rules;
	bool		has_start;
	int32		nnodes;
	int32		nodes_allocated;
	CdpIdentifier    *node;
	int64		nlinks;
	int64		links_allocated;
	CdpLink    *link;
	int64		ncannots;		/* after sorting the cannot links stand last */

	/* Made for the run. */
	int32	   *parent;
	int32	   *slot;			/* hash of ids: numbers of nodes, -1 free */
	uint32		nslots;
	int32	   *first_type;		/* of a root: head of its first limited type, -1 none */
	int32	   *next_type;		/* of a head: head of the next type, by type */
	int32	   *next_member;	/* of types with windows: the next by time */
	int32	   *count;			/* of a head: members of the type */
	int32	   *cannot_first;	/* of a root: its chain of ends of cannot links, -1 none */
	int32	   *cannot_last;
	int32	   *cannot_count;
	int32	   *cannot_next;	/* of an end: 2k and 2k + 1 are those of the k-th */
	struct cdp_tally_hash *tally;	/* links of a node under a pair rule; pairs counted */
} CdpResolve;

/* Mixes a number, so that neighbours do not collide. */
static inline uint64
cdp_mix(uint64 x)
{
	x = (x ^ (x >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

extern void cdp_resolve_rules(CdpRules *rules, ArrayType *array);
extern int	cdp_resolve_type(const CdpRules *rules, int64 type_id);
extern void cdp_resolve_run(CdpResolve *r);

/* resolve_limits.c: what a union must not break. */
extern void cdp_limits_begin(CdpResolve *r);
extern bool cdp_cannot_check(CdpResolve *r, int32 a, int32 b, int64 *blocker);
extern int32 cdp_limits_check(CdpResolve *r, int32 a, int32 b);
extern void cdp_limits_join(CdpResolve *r, int32 winner, int32 loser);
extern int32 cdp_pairs_check(CdpResolve *r, const CdpLink *l);
extern void cdp_pairs_count(CdpResolve *r, const CdpLink *l);

#endif							/* CDP_RESOLVE_H */

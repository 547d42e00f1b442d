/*
 * plan.h
 *		The plan of an event pass in flat structs: what is told of a row, what is
 *		counted of a customer, and which atoms read it.
 */
#ifndef CDP_SEGMENT_PLAN_H
#define CDP_SEGMENT_PLAN_H

#include "segment/pass/compare.h"
#include "segment/bitmap/passresult.h"

#include "pgtime.h"
#include "utils/timestamp.h"

#define CDP_SEQ_STEPS 16
#define CDP_SEQ_BREAK (1u << CDP_SEQ_STEPS)
#define CDP_PLAN_LIST 20000		/* entries of one list of a plan */
#define CDP_NEVER PG_INT64_MIN	/* as a last moment */

typedef enum CdpEventOp
{
	CDP_OP_COUNT,
	CDP_OP_DAYS,
	CDP_OP_PERIODS,
	CDP_OP_SUM,
	CDP_OP_AVG,
	CDP_OP_MIN,
	CDP_OP_MAX,
	CDP_OP_DISTINCT,
	CDP_OP_FIRST,
	CDP_OP_LAST,
	CDP_OP_GAP,
	CDP_OP_SEQ
} CdpEventOp;

#define CDP_EVENT_OPS 12

/* What a condition looks at. */
typedef enum CdpConditionKind
{
	CDP_IF_PROPERTY,
	CDP_IF_VALUE,
	CDP_IF_ORIGIN,				/* or campaign */
	CDP_IF_SOURCE,
	CDP_IF_ALL,
	CDP_IF_ANY,
	CDP_IF_NOT
} CdpConditionKind;

typedef struct CdpCondition
{
	CdpConditionKind kind;
	int			key;			/* of the property */
	bool		complement;		/* true where the comparison says no */
	CdpCompare	compare;
	int			n;
	int32	   *member;			/* sorted ids, or numbers of conditions before this one */
	int			n2;
	int32	   *member2;		/* sorted campaigns */
} CdpCondition;

/* A property by name. */
typedef struct CdpKey
{
	char	   *name;
	int			len;
} CdpKey;

/* What a packed row keeps beside key, time and class. */
typedef enum CdpSlotType
{
	CDP_SLOT_ID,
	CDP_SLOT_NUMBER,
	CDP_SLOT_SCALAR				/* one property, or several together */
} CdpSlotType;

#define CDP_KEY_MONEY (-1)		/* the value of the touchpoint stands for a property */

typedef struct CdpSlot
{
	CdpSlotType type;
	int			nkeys;
	int		   *key;
} CdpSlot;

/* What the class of a row tells: a condition holds (1 bit), or how a value compares (2 bits). */
typedef struct CdpTest
{
	int			condition;		/* -1: the value is compared */
	int			key;
	const CdpCompare *compare;
	int			bit;			/* the first of its bits */
} CdpTest;

/* Why a counter reads rows of a kind: those of which the test holds, or all. */
typedef struct CdpRef
{
	int			counter;
	int			test;			/* -1: all */
	uint32		mask;			/* sequences: steps, CDP_SEQ_BREAK */
	int			value_test;		/* first, last: what tells the verdict */
} CdpRef;

typedef struct CdpKind
{
	int32		id;
	int64		from;			/* rows before it matter to nobody */
	int64		to;				/* nor do rows from here on */
	int			nrefs;
	CdpRef	   *ref;
	int			ntests;
	CdpTest    *test;
	int			bits;			/* of its tests */
	int			nprogram;
	int		   *program;		/* conditions to be asked, children first */
	int			nslots;
	int		   *slot;			/* of each further word of a row */
	int		   *word;			/* of each slot, -1 = none */
} CdpKind;

typedef struct CdpSeq
{
	int			nsteps;			/* that must happen */
	bool		absent;			/* one more must not */
	bool		by_id;			/* ties: the order of ids */
	bool		linked;			/* a step has properties in common with the one before */
	int64		within[CDP_SEQ_STEPS]; /* from the step before; PG_INT64_MAX = any */
	int			link[CDP_SEQ_STEPS];	/* slot of what ties it to the step before, -1 = none */
	int64		total;
} CdpSeq;

/* Days of a time zone. */
typedef struct CdpZone
{
	char	   *name;
	pg_tz	   *tz;
	int			n;
	int			room;
	int			last;
	struct CdpOffset *offset;	/* stretches of time with one offset, as found */
} CdpZone;

/* What is computed of the rows of a customer, once for all atoms that look at it. */
typedef struct CdpCounter
{
	CdpEventOp	op;
	int64		from;			/* [from, to) */
	int64		to;
	uint64		span;			/* to - from */
	int64		slide_from;		/* from is as_of - this, -1 = it stands still */
	int64		slide_to;
	int64		leave_before;	/* rows up to here leave the window by the horizon */
	int64		enter_before;
	int			first_atom;
	int			natoms;
	int			slot;			/* what it reads of a row, -1 = nothing */
	CdpZone    *zone;
	int			nbounds;
	int64	   *bound;
	int64		gap;
	CdpSeq	   *seq;
	int64		pair_within;	/* a sequence of two steps that only times bound: the time between them; -1 = another one */
	int			scratch;		/* number among those of its kind that need memory of their own */
	bool		always;			/* it says something of customers without rows, too */
} CdpCounter;

typedef struct CdpAtom
{
	int			counter;
	int64		least;			/* count, days, periods, distinct */
	CdpCompare *compare;		/* the others */
	CdpTruth	unseen;
} CdpAtom;

typedef struct CdpPlan
{
	int64		as_of;
	int64		horizon;		/* CDP_NEVER: no flips */
	int			nconditions;
	CdpCondition *condition;
	int			nkeys;
	CdpKey	   *key;
	int			nslots;
	CdpSlot    *slot;
	int			nzones;
	CdpZone   **zone;
	int			natoms;
	CdpAtom    *atom;
	int			ncounters;
	CdpCounter *counter;
	int			nkinds;
	CdpKind    *kind;			/* by id */
	int			nsequences;
	int			ndistinct;
	int			words;			/* further words of a row, at most */
} CdpPlan;

extern CdpPlan *cdp_plan_create(Jsonb *json, int64 horizon, bool explain);
extern CdpKind *cdp_plan_kind(const CdpPlan *plan, int32 id);
extern int	cdp_plan_slot(CdpPlan *plan, CdpSlotType type, const int *key, int nkeys);
extern int	cdp_plan_key(CdpPlan *plan, const char *name, int len);

/* plan_condition.c */
extern void cdp_plan_conditions(CdpPlan *plan, const JsonbContainer *root);

/* plan_event.c */
extern void cdp_plan_events(CdpPlan *plan, const JsonbContainer *root, bool explain);

/* zone.c */
extern CdpZone *cdp_zone_create(const char *name, const char *where, int index);
extern int64 cdp_zone_day(CdpZone *zone, int64 at);

#endif							/* CDP_SEGMENT_PLAN_H */

/*
 * event.h
 *		An event pass at work: rows are told apart by class, packed, and walked
 *		customer by customer.
 */
#ifndef CDP_SEGMENT_EVENT_H
#define CDP_SEGMENT_EVENT_H

#include "base/rows/by_key.h"
#include "base/rows/intern.h"
#include "base/rows/store.h"
#include "segment/pass/plan.h"
#include "segment/segment.h"

#define CDP_ARG_CUSTOMER 1
#define CDP_ARG_AT 2
#define CDP_ARG_KIND 3
#define CDP_ARG_ORIGIN 4
#define CDP_ARG_CAMPAIGN 5
#define CDP_ARG_SOURCE 6
#define CDP_ARG_VALUE 7
#define CDP_ARG_PROPERTIES 8
#define CDP_ARG_ID 9
#define CDP_ARG_PLAN 10
#define CDP_ARG_HORIZON 11

/* Words of rows. A number: its micro-units, none, or its place among the odd ones. */
#define CDP_WORD_NO_NUMBER PG_INT64_MIN
#define CDP_WORD_ODD (PG_INT64_MIN + 1)
#define CDP_WORD_ODD_END (PG_INT64_MIN + 1 + CDP_MAX_LABELS)
/* A scalar: 0 is none; others say in their low bits what they are. */
#define CDP_WORD_NO_SCALAR UINT64CONST(0)
#define CDP_WORD_MICRO 1
#define CDP_WORD_TEXT 2
#define CDP_WORD_INTERN 3

#define CDP_VERDICT_NONE 0		/* bits of a compared value in a class */
#define CDP_VERDICT_YES 1
#define CDP_VERDICT_NO 2
#define CDP_VERDICT_OTHER 3		/* a value of another type */

/* What a row of a class does to a counter. */
typedef struct CdpAction
{
	uint32		counter;
	uint32		mask;			/* sequences: steps, CDP_SEQ_BREAK */
	int16		word;			/* of the row, -1 = none */
	uint8		op;
	uint8		verdict;		/* first, last */
} CdpAction;

#define CDP_NO_CLASS PG_UINT32_MAX

/* Rows of one kind of which the same tests hold. */
typedef struct CdpClass
{
	const CdpKind *kind;
	const CdpAction *action;
	int			nactions;
	bool		full;			/* its rows have further words */
} CdpClass;

/* Reads what the plan asks of a row, each property once. */
typedef struct CdpRowReader
{
	CdpPlan    *plan;
	FunctionCallInfo fcinfo;
	uint32		row;			/* number of the row at hand */
	uint32		properties_row; /* for which these were read */
	uint32		money_row;
	JsonbContainer *properties; /* NULL: no object */
	bool		has_money;
	CdpNumber	money;
	uint32	   *key_row;		/* [key] */
	JsonbValue *key_value;		/* [key]; jbvNull = missing */
	bool	   *holds;			/* [condition] */
	uint64	   *bits;			/* of the tests */
	CdpIntern	scalars;
	CdpIntern	odd;			/* numbers that are no whole micro-units, as text */
	union
	{
		char		bytes[256];
		int64		align;
	}			buffer;
} CdpRowReader;

typedef struct CdpEventPass
{
	MemoryContext cxt;
	CdpPlan    *plan;
	Jsonb	   *given;
	bool		vary;			/* the plan is no constant: compare it at each row */
	bool		explain;
	int64		horizon;
	int64		until;			/* rows from here on matter to nobody */
	CdpStore   *store;
	struct CdpEventFiles *files; /* outlives the pass */
	CdpRowReader reader;
	int			direct_kinds;
	uint16	   *kind_number;	/* [id] plus one, for small ids */
	uint32	  **direct;			/* [kind] class by bits plus one, for few bits */
	CdpIntern	class_number;	/* by kind and bits */
	CdpClass   *class;
	uint32		class_room;
	Size		class_bytes;
	struct CdpEventValues *values;	/* of computed traits; NULL: there are none */
} CdpEventPass;

/* event_row.c */
extern void cdp_row_reader_init(CdpRowReader *r, CdpPlan *plan, MemoryContext cxt);
extern void cdp_row_tests(CdpRowReader *r, const CdpKind *kind);
extern void cdp_row_words(CdpRowReader *r, const CdpKind *kind, uint64 *word);
extern int	cdp_row_compare_words(const CdpRowReader *r, const CdpKind *kind, const uint64 *a, const uint64 *b);

/* event_class.c */
extern uint32 cdp_event_class(CdpEventPass *pass, CdpKind *kind);
extern int	cdp_event_compare_classes(const CdpEventPass *pass, uint32 a, uint32 b);

/* event_pass.c */
extern CdpEventPass *cdp_event_start(FunctionCallInfo fcinfo, bool explain);
extern void cdp_event_close(CdpEventPass *pass);

/* What a sequence knows of the customer at hand, without links. */
typedef struct CdpSeqLevel
{
	int64		start;			/* latest start of a chain that ends here */
	int64		at;
	int64		pos;			/* its time, or its place among the rows when ids decide; CDP_NEVER = none */
	int64		old_start;		/* the same for the latest before pos */
	int64		old_at;
	int64		old_pos;
} CdpSeqLevel;

/* A chain that waits for its absent step. */
typedef struct CdpSeqPending
{
	int64		start;
	int64		at;
	int64		pos;
} CdpSeqPending;

typedef struct CdpSeqState
{
	int64		best;			/* latest start of a chain that is there, CDP_NEVER = none */
	int64		first_enter;	/* first step that the window has not reached */
	int64		break_pos;
	int64		old_break;
	CdpSeqLevel level[CDP_SEQ_STEPS];
	CdpSeqPending *pending;
	int			head;
	int			tail;
	int			room;
	/* with links */
	int64		pos;
	struct CdpLinkStaged *staged;
	int			nstaged;
	int			staged_room;
	uint32		best_node;
	uint32	   *waiting;		/* nodes that wait for the absent step */
	int			nwaiting;
	int			waiting_room;
} CdpSeqState;

/* What a counter knows of the customer at hand. */
typedef struct CdpState
{
	uint32		epoch;			/* the customer */
	uint32		n;
	uint32		leaving;
	uint32		entering;
	int64		first_in;		/* first row in the window, PG_INT64_MAX = none */
	int64		first_enter;	/* first row that will enter by the horizon */
	int64		a;
	int64		b;
	Numeric		odd;
	int64		spare;
	int128		sum;
} CdpState;

/* Distinct values of a counter, sorted up to a point. */
typedef struct CdpValues
{
	uint64	   *value;
	int			n;
	int			room;
} CdpValues;

typedef struct CdpWalk
{
	CdpEventPass *pass;
	CdpPlan    *plan;
	const CdpKeyRows *rows;
	int			n;				/* rows before as_of */
	uint32		epoch;
	CdpState   *state;			/* [counter] */
	CdpSeqState *seq;			/* [sequence] */
	CdpValues  *values;			/* [distinct counter] */
	struct CdpLinks *links;
	uint32	   *touched;
	int			ntouched;
	uint32	   *always;			/* counters that say something of customers without their rows */
	int			nalways;
	MemoryContext odd_cxt;
	int64		flip;			/* of the customer, PG_INT64_MAX = none */
	/* results of a pass */
	CdpIdSet	seen;
	CdpIdSet   *yes;
	CdpIdSet   *unknown;
	CdpFlip    *flips;
	int64		nflips;
	int64		flips_room;
	/* results of an explanation */
	CdpTruth   *truth;			/* [atom] */
	int64	   *atom_flip;		/* [atom] */
	Jsonb	   *explained;
} CdpWalk;

/* event_walk.c */
extern CdpWalk *cdp_event_walk(CdpEventPass *pass, bool explain);
extern int	cdp_event_find(const CdpWalk *w, int counter, int64 from, int64 to, int64 nth);
extern bool cdp_event_reads(const CdpWalk *w, int counter, int item);
extern Numeric cdp_event_number(CdpEventOp op, const CdpState *st);

/* event_explain.c */
extern void cdp_event_explain(CdpWalk *w);
extern bool cdp_event_counts(const CdpWalk *w, int atom, int item);
extern const uint64 *cdp_event_words(const CdpWalk *w, int item);

/* event_values.c */
extern void cdp_event_values(CdpWalk *w);

/* event_seq.c */
extern void cdp_seq_reset(CdpWalk *w, const CdpCounter *c);
extern void cdp_seq_row(CdpWalk *w, const CdpCounter *c, int64 at, int64 pos, uint32 mask);
extern void cdp_seq_finish(CdpWalk *w, const CdpCounter *c, int64 *pending);

/*
 * Takes a row into a sequence of two steps that only times bound: the latest first step counts, and for second steps of
 * its own time the one before it.
 */
static inline void
cdp_seq_pair(CdpSeqState *s, const CdpCounter *c, int64 at, uint32 mask)
{
	CdpSeqLevel *first = &s->level[0];

	if (mask & 1)
	{
		if ((uint64) at - (uint64) c->from >= c->span)
		{
			if (at >= c->to && at <= c->enter_before)
				s->first_enter = Min(s->first_enter, at);
		}
		else if (first->pos < at)
		{
			first->old_pos = first->pos;
			first->pos = at;
		}
	}
	if (mask & 2)
	{
		int64		start = first->pos < at ? first->pos : first->old_pos;

		if (start != CDP_NEVER && at - start <= c->pair_within)
			s->best = Max(s->best, start);
	}
}

/* event_link.c */
extern struct CdpLinks *cdp_link_create(MemoryContext cxt);
extern void cdp_link_begin(CdpWalk *w);
extern void cdp_link_row(CdpWalk *w, const CdpCounter *c, int item, uint32 mask, const CdpKind *kind, const uint64 *row);
extern void cdp_link_finish(CdpWalk *w, const CdpCounter *c, int64 *pending);
extern int	cdp_link_chain(const CdpWalk *w, const CdpCounter *c, int *item);

/* The earliest of two flips of an atom and a further moment. */
static inline void
cdp_event_flip(CdpWalk *w, int atom, int64 at)
{
	w->flip = Min(w->flip, at);
	if (w->atom_flip != NULL)
		w->atom_flip[atom] = Min(w->atom_flip[atom], at);
}

#endif							/* CDP_SEGMENT_EVENT_H */

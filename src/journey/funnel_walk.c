/*
 * funnel_walk.c
 *		The furthest chain of steps in one customer's rows.
 *
 * A chain is a row of step 1, a later one of step 2, and so on, with each step
 * within its limits.  Of all chains the one that gets furthest counts; of those
 * the one that gets there first; of those the one that begins last, whose steps
 * before the last lie as late as they can.
 *
 * For each level the newest end of a chain is kept.  It is the best to go on
 * from: it is the last to run out of the next step's limit, and it also began
 * last, for it went on from the newest end of the level before, of which the same
 * is true.  So each row is looked at once, whatever the customer does.
 *
 * Rows of one time are taken together: what one of them reaches, another of the
 * same time cannot go on from, and what it breaks had been reached before.
 */
#include "journey/funnel.h"

#include "port/pg_bitutils.h"

/* The newest end of a chain at a level: the times of its steps. */
typedef struct End
{
	bool		open;
	uint32		breakdown;
	int64		at[CDP_MAX_STEPS];
} End;

/* The steps seen so far in a funnel whose steps come in any order. */
typedef struct Seen
{
	uint64		steps;			/* a bit for each step with a row that may still count */
	int64		newest[CDP_MAX_STEPS];
	uint32		breakdown[CDP_MAX_STEPS];
	uint64		opening_steps;	/* those with such a row before options->until, which may be the first */
	int64		opening[CDP_MAX_STEPS];
	uint32		opening_breakdown[CDP_MAX_STEPS];
} Seen;

struct CdpFunnelWalk
{
	const CdpFunnelOptions *options;
	End		   *end;			/* [step] */
	int			used;			/* levels that may have an end */
	Seen	   *seen;			/* of steps in any order */
	CdpFunnelChain chain;		/* the furthest so far */
};

/* A walk in cxt, for any number of customers. */
CdpFunnelWalk *
cdp_funnel_walk_create(const CdpFunnelOptions *o, MemoryContext cxt)
{
	CdpFunnelWalk *w = MemoryContextAllocZero(cxt, sizeof(CdpFunnelWalk));

	w->options = o;
	if (o->step_order == CDP_FUNNEL_UNORDERED)
		w->seen = MemoryContextAllocZero(cxt, sizeof(Seen));
	else
		w->end = MemoryContextAllocZero(cxt, sizeof(End) * o->steps.n);
	return w;
}

/* Whether a row of this time may go on from the end of a level. */
static inline bool
may_follow(const CdpFunnelWalk *w, int level, int64 at)
{
	const CdpFunnelOptions *o = w->options;
	const End  *end = &w->end[level];

	return end->open && !cdp_is_beyond(o->within, end->at[0], at) &&
		(o->step_within.n == 0 || !cdp_is_beyond(o->step_within.item[level], end->at[level], at));
}

/* Moves the end of the level before to this one. */
static inline void
reach(CdpFunnelWalk *w, int level, int64 at, uint32 breakdown)
{
	End		   *end = &w->end[level];

	for (int k = 0; k < level; k++)
		end->at[k] = w->end[level - 1].at[k];
	end->at[level] = at;
	end->breakdown = level == 0 || w->options->breakdown == CDP_FUNNEL_BREAKDOWN_LAST ? breakdown : w->end[level - 1].breakdown;
}

/* Goes on with the chains of a funnel whose steps come in order. */
static void
walk_ordered(CdpFunnelWalk *w, const CdpFunnelMoment *m)
{
	const CdpFunnelOptions *o = w->options;
	uint64		reached = 0;

	/* From the last step down, so that a level is moved on before it is reached anew. */
	for (uint64 left = m->steps; left != 0;)
	{
		int			k = pg_leftmost_one_pos64(left);

		left ^= UINT64CONST(1) << k;
		if (k > w->used || (k == 0 ? m->at < o->since || m->at >= o->until : !may_follow(w, k - 1, m->at)))
			continue;
		reach(w, k, m->at, m->breakdown[k]);
		reached |= UINT64CONST(1) << k;
	}
	/* What this moment reached stays open; what had been reached before may end here. */
	if (o->step_order == CDP_FUNNEL_STRICT)
		for (int k = 0; k < w->used; k++)
			w->end[k].open = false;
	else
		for (uint64 left = m->breaks; left != 0; left &= left - 1)
			w->end[pg_rightmost_one_pos64(left)].open = false;
	for (; reached != 0; reached &= reached - 1)
	{
		int			k = pg_rightmost_one_pos64(reached);
		const End  *end = &w->end[k];

		w->end[k].open = true;
		w->used = Max(w->used, k + 1);
		if (k < w->chain.level)
			continue;
		w->chain.level = k + 1;
		w->chain.breakdown = end->breakdown;
		memcpy(w->chain.at, end->at, sizeof(int64) * (k + 1));
	}
}

/* The seen steps within the limit in order of their newest rows; returns how many. */
static int
steps_in_window(const CdpFunnelOptions *o, const Seen *seen, int64 at, int *order)
{
	int			n = 0;

	for (uint64 left = seen->steps; left != 0; left &= left - 1)
	{
		int			k = pg_rightmost_one_pos64(left);
		int			place = n;

		if (cdp_is_beyond(o->within, seen->newest[k], at))
			continue;
		for (; place > 0 && seen->newest[order[place - 1]] > seen->newest[k]; place--)
			order[place] = order[place - 1];
		order[place] = k;
		n++;
	}
	return n;
}

/*
 * When all newest rows lie behind the reported interval, the row that opens the
 * chain is an older one of some step: the latest that lies inside. Moves that
 * step to the front; returns false when there is none within the limit.
 */
static bool
open_earlier(const CdpFunnelOptions *o, const Seen *seen, int64 at, int *order)
{
	int			best = -1;
	int			place = 0;

	for (uint64 left = seen->opening_steps; left != 0; left &= left - 1)
	{
		int			k = pg_rightmost_one_pos64(left);

		if (!cdp_is_beyond(o->within, seen->opening[k], at) && (best < 0 || seen->opening[k] > seen->opening[best]))
			best = k;
	}
	if (best < 0)
		return false;
	while (order[place] != best)
		place++;
	for (; place > 0; place--)
		order[place] = order[place - 1];
	order[0] = best;
	return true;
}

/* Notes the steps of a moment. */
static void
see_moment(const CdpFunnelOptions *o, Seen *seen, const CdpFunnelMoment *m)
{
	for (uint64 left = m->steps; left != 0; left &= left - 1)
	{
		int			k = pg_rightmost_one_pos64(left);

		seen->newest[k] = m->at;
		seen->breakdown[k] = m->breakdown[k];
		if (m->at >= o->until)
			continue;
		seen->opening[k] = m->at;
		seen->opening_breakdown[k] = m->breakdown[k];
	}
	seen->steps |= m->steps;
	if (m->at < o->until)
		seen->opening_steps |= m->steps;
}

/* Forgets what was seen before a moment: it lies on the other side of an excluded row. */
static void
forget_before(Seen *seen, int64 at)
{
	for (uint64 left = seen->steps; left != 0; left &= left - 1)
	{
		int			k = pg_rightmost_one_pos64(left);

		if (seen->newest[k] < at)
			seen->steps &= ~(UINT64CONST(1) << k);
		if (seen->opening[k] < at)
			seen->opening_steps &= ~(UINT64CONST(1) << k);
	}
}

/* Looks for more steps than so far in the window that ends at a moment. */
static void
walk_unordered(CdpFunnelWalk *w, const CdpFunnelMoment *m)
{
	const CdpFunnelOptions *o = w->options;
	Seen	   *seen = w->seen;
	CdpFunnelChain *chain = &w->chain;
	int			order[CDP_MAX_STEPS];
	int			level;
	bool		earlier;

	if (m->at < o->since)
		return;
	see_moment(o, seen, m);
	order[0] = 0;
	level = m->steps == 0 ? 0 : steps_in_window(o, seen, m->at, order);
	earlier = level > chain->level && seen->newest[order[0]] >= o->until;
	if (level > chain->level && (!earlier || open_earlier(o, seen, m->at, order)))
	{
		chain->level = level;
		for (int k = 0; k < level; k++)
			chain->at[k] = k == 0 && earlier ? seen->opening[order[0]] : seen->newest[order[k]];
		chain->breakdown = o->breakdown == CDP_FUNNEL_BREAKDOWN_LAST && level > 1 ? seen->breakdown[order[level - 1]]
			: earlier ? seen->opening_breakdown[order[0]] : seen->breakdown[order[0]];
	}
	if (m->breaks != 0)
		forget_before(seen, m->at);
}

/* Begins with a customer. */
void
cdp_funnel_begin(CdpFunnelWalk *w)
{
	w->chain.level = 0;
	w->used = 0;
	if (w->seen != NULL)
		w->seen->steps = w->seen->opening_steps = 0;
}

/* Goes on to the next moment of the customer, of a later time or id; returns whether the last step is reached. */
bool
cdp_funnel_moment(CdpFunnelWalk *w, const CdpFunnelMoment *m)
{
	if (w->seen != NULL)
		walk_unordered(w, m);
	else
		walk_ordered(w, m);
	return w->chain.level == w->options->steps.n;
}

/* The furthest chain since the beginning; the walk keeps it until the next customer. */
const CdpFunnelChain *
cdp_funnel_chain(const CdpFunnelWalk *w)
{
	return &w->chain;
}

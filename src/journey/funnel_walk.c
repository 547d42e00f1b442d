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

/* The newest end of a chain at a level: the times of its steps. */
typedef struct End
{
	bool		open;
	uint32		breakdown;
	int64		at[CDP_MAX_STEPS];
} End;

struct CdpFunnelWalk
{
	const CdpFunnelOptions *options;
	End		   *end;			/* [step] */
	int			used;			/* levels that may have an end */
};

/* A walk in cxt, for any number of customers. */
CdpFunnelWalk *
cdp_funnel_walk_create(const CdpFunnelOptions *o, MemoryContext cxt)
{
	CdpFunnelWalk *w = MemoryContextAllocZero(cxt, sizeof(CdpFunnelWalk));

	w->options = o;
	w->end = MemoryContextAllocZero(cxt, sizeof(End) * o->nsteps);
	return w;
}

/* Whether two times are further apart than a limit allows. */
static inline bool
is_beyond(int64 limit, int64 earlier, int64 later)
{
	/* Unsigned, as the distance of two times need not fit into 64 bits with a sign. */
	return limit != PG_INT64_MAX && (uint64) later - (uint64) earlier > (uint64) limit;
}

/* Whether a row of this time may go on from the end of a level. */
static inline bool
may_follow(const CdpFunnelWalk *w, int level, int64 at)
{
	const CdpFunnelOptions *o = w->options;
	const End  *end = &w->end[level];

	return end->open && !is_beyond(o->within, end->at[0], at) &&
		(o->nstep_within == 0 || !is_beyond(o->step_within[level], end->at[level], at));
}

/* Moves the end of the level before to this one; from now on it may be gone on from. */
static void
reach(CdpFunnelWalk *w, int level, int64 at, uint32 breakdown)
{
	End		   *end = &w->end[level];

	if (level > 0)
		memcpy(end->at, w->end[level - 1].at, sizeof(int64) * level);
	end->at[level] = at;
	end->breakdown = level == 0 || w->options->breakdown_last ? breakdown : w->end[level - 1].breakdown;
	w->used = Max(w->used, level + 1);
}

/* Walks rows of one time in a funnel whose steps come in order. */
static void
walk_moment(CdpFunnelWalk *w, const CdpFunnelEvent *event, int n, CdpFunnelChain *chain)
{
	const CdpFunnelOptions *o = w->options;
	uint64		reached = 0;
	bool		excluded = false;
	int64		at = event[0].at;

	/* From the last step down, so that a level is moved on before it is reached anew. */
	for (int k = Min(w->used, o->nsteps - 1); k >= 0; k--)
		for (int i = 0; i < n; i++)
		{
			if ((event[i].steps >> k & 1) == 0)
				continue;
			if (k == 0 ? at < o->since || at >= o->until : !may_follow(w, k - 1, at))
				break;
			reach(w, k, at, event[i].breakdown);
			reached |= UINT64CONST(1) << k;
			break;
		}
	for (int i = 0; i < n; i++)
		excluded |= event[i].excluded;
	for (int k = 0; k < w->used; k++)
	{
		End		   *end = &w->end[k];

		if ((reached >> k & 1) != 0)
			end->open = true;
		else if (o->order == CDP_FUNNEL_STRICT || (excluded && k >= o->exclude_from - 1 && k < o->exclude_to - 1))
			end->open = false;
		if ((reached >> k & 1) != 0 && k + 1 > chain->level)
		{
			chain->level = k + 1;
			chain->breakdown = end->breakdown;
			memcpy(chain->at, end->at, sizeof(int64) * (k + 1));
		}
	}
}

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

/* The seen steps within the limit in order of their newest rows; returns how many. */
static int
steps_in_window(const CdpFunnelOptions *o, const Seen *seen, int64 at, int *order)
{
	int			n = 0;

	for (int k = 0; k < o->nsteps; k++)
	{
		int			place = n;

		if ((seen->steps >> k & 1) == 0 || is_beyond(o->within, seen->newest[k], at))
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

	for (int k = 0; k < o->nsteps; k++)
		if ((seen->opening_steps >> k & 1) != 0 && !is_beyond(o->within, seen->opening[k], at) &&
			(best < 0 || seen->opening[k] > seen->opening[best]))
			best = k;
	if (best < 0)
		return false;
	while (order[place] != best)
		place++;
	for (; place > 0; place--)
		order[place] = order[place - 1];
	order[0] = best;
	return true;
}

/* Notes the steps of rows of one time. */
static void
see_moment(const CdpFunnelOptions *o, Seen *seen, const CdpFunnelEvent *event, int n)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < o->nsteps; k++)
		{
			if ((event[i].steps >> k & 1) == 0)
				continue;
			seen->newest[k] = event[i].at;
			seen->breakdown[k] = event[i].breakdown;
			seen->steps |= UINT64CONST(1) << k;
			if (event[i].at >= o->until)
				continue;
			seen->opening[k] = event[i].at;
			seen->opening_breakdown[k] = event[i].breakdown;
			seen->opening_steps |= UINT64CONST(1) << k;
		}
}

/* Finds the moment with the most steps in the window that ends there, the first of such. */
static void
walk_unordered(const CdpFunnelOptions *o, const CdpFunnelEvent *event, int n, CdpFunnelChain *chain)
{
	Seen		seen = {0};
	int			next;

	for (int i = 0; i < n && chain->level < o->nsteps; i = next)
	{
		int			order[CDP_MAX_STEPS];
		int64		at = event[i].at;
		bool		excluded = false;
		bool		earlier;
		int			level;

		for (next = i; next < n && event[next].at == at; next++)
			excluded |= event[next].excluded;
		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if (at < o->since)
			continue;
		see_moment(o, &seen, event + i, next - i);
		order[0] = 0;
		level = steps_in_window(o, &seen, at, order);
		earlier = level > chain->level && seen.newest[order[0]] >= o->until;
		if (level > chain->level && (!earlier || open_earlier(o, &seen, at, order)))
		{
			chain->level = level;
			for (int k = 0; k < level; k++)
				chain->at[k] = k == 0 && earlier ? seen.opening[order[0]] : seen.newest[order[k]];
			chain->breakdown = o->breakdown_last && level > 1 ? seen.breakdown[order[level - 1]]
				: earlier ? seen.opening_breakdown[order[0]] : seen.breakdown[order[0]];
		}
		if (!excluded)
			continue;
		/* What was seen before lies on the other side of the excluded row. */
		for (int k = 0; k < o->nsteps; k++)
		{
			if (seen.newest[k] < at)
				seen.steps &= ~(UINT64CONST(1) << k);
			if (seen.opening[k] < at)
				seen.opening_steps &= ~(UINT64CONST(1) << k);
		}
	}
}

/* Finds the chain that counts among rows in order of time. */
void
cdp_funnel_walk(CdpFunnelWalk *w, const CdpFunnelEvent *event, int n, CdpFunnelChain *chain)
{
	const CdpFunnelOptions *o = w->options;

	chain->level = 0;
	if (o->order == CDP_FUNNEL_UNORDERED)
	{
		walk_unordered(o, event, n, chain);
		return;
	}
	for (int k = 0; k < w->used; k++)
		w->end[k].open = false;
	w->used = 0;
	for (int i = 0; i < n && chain->level < o->nsteps;)
	{
		int			next = i + 1;

		if (!o->ties_count)
			while (next < n && event[next].at == event[i].at)
				next++;
		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		walk_moment(w, event + i, next - i, chain);
		i = next;
	}
}

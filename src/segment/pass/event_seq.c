/*
 * event_seq.c
 *		Sequences whose steps are not linked by properties.
 *
 * Each level keeps one chain: the latest start and the latest end belong
 * together here. By induction over the levels, the latest start from which a
 * step can be reached only grows with the time of that step, so the latest
 * candidate has both, and what it cannot reach no earlier one can. It is used
 * from after its own time on; until then the one before it serves.
 */
#include "segment/pass/event.h"

#define NO_TIME PG_INT64_MAX

/* Makes the state of a sequence ready for a customer. */
void
cdp_seq_reset(CdpWalk *w, const CdpCounter *c)
{
	CdpSeqState *s = &w->seq[c->scratch];

	s->best = CDP_NEVER;
	s->first_enter = NO_TIME;
	s->break_pos = s->old_break = CDP_NEVER;
	for (int i = 0; i < c->seq->nsteps; i++)
		s->level[i].pos = s->level[i].old_pos = CDP_NEVER;
	s->head = s->tail = 0;
	s->pos = CDP_NEVER;
	s->nstaged = 0;
	s->nwaiting = 0;
	s->best_node = PG_UINT32_MAX;
}

/* Puts a chain that waits for its absent step behind the others. */
static void
add_pending(CdpWalk *w, CdpSeqState *s, int64 start, int64 at, int64 pos)
{
	if (s->head == s->tail)
		s->head = s->tail = 0;
	if (s->tail == s->room)
	{
		s->room = Max(16, s->room * 2);
		s->pending = s->pending == NULL ? MemoryContextAlloc(w->pass->cxt, sizeof(CdpSeqPending) * s->room)
			: repalloc_huge(s->pending, sizeof(CdpSeqPending) * s->room);
	}
	s->pending[s->tail++] = (CdpSeqPending) {.start = start, .at = at, .pos = pos};
}

/* The event that should be absent came: chains whose time is over stand, the others before it fall. */
static void
take_absent(CdpSeqState *s, int64 within, int64 at, int64 pos)
{
	while (s->head < s->tail && s->pending[s->head].pos < pos)
	{
		if (at - s->pending[s->head].at > within)
			s->best = Max(s->best, s->pending[s->head].start);
		s->head++;
	}
}

/* Takes one step of a chain: from which start it can be reached; CDP_NEVER when from none. */
static int64
reach(const CdpSeq *seq, const CdpSeqState *s, int step, int64 at, int64 pos)
{
	const CdpSeqLevel *level = &s->level[step - 1];
	int64		break_pos = s->break_pos < pos ? s->break_pos : s->old_break;
	int64		start = level->start;
	int64		last = level->at;
	int64		last_pos = level->pos;

	if (last_pos >= pos)
	{
		start = level->old_start;
		last = level->old_at;
		last_pos = level->old_pos;
	}
	if (last_pos == CDP_NEVER || last_pos < break_pos || at - last > seq->within[step] || at - start > seq->total)
		return CDP_NEVER;
	return start;
}

/* Takes a row into a sequence; pos: its time, or its place when ids decide between equal times. */
void
cdp_seq_row(CdpWalk *w, const CdpCounter *c, int64 at, int64 pos, uint32 mask)
{
	const CdpSeq *seq = c->seq;
	CdpSeqState *s = &w->seq[c->scratch];

	for (uint32 steps = mask & (CDP_SEQ_BREAK - 1); steps != 0; steps &= steps - 1)
	{
		int			step = __builtin_ctz(steps);
		int64		start = at;
		CdpSeqLevel *level;

		if (step == seq->nsteps)
		{
			take_absent(s, seq->within[step], at, pos);
			continue;
		}
		if (step == 0 && (uint64) at - (uint64) c->from >= c->span)
		{
			if (at >= c->to && at <= c->enter_before)
				s->first_enter = Min(s->first_enter, at);
			continue;
		}
		if (step > 0 && (start = reach(seq, s, step, at, pos)) == CDP_NEVER)
			continue;
		if (step == seq->nsteps - 1)
		{
			if (seq->absent)
				add_pending(w, s, start, at, pos);
			else
				s->best = Max(s->best, start);
			continue;
		}
		level = &s->level[step];
		if (level->pos < pos)
		{
			level->old_start = level->start;
			level->old_at = level->at;
			level->old_pos = level->pos;
			level->pos = pos;
			level->start = start;
		}
		else
			level->start = Max(level->start, start);
		level->at = at;
	}
	if ((mask & CDP_SEQ_BREAK) && s->break_pos < pos)
	{
		s->old_break = s->break_pos;
		s->break_pos = pos;
	}
}

/* Looks at the chains that still wait: their time is over at as_of, or the first of them becomes true then. */
void
cdp_seq_finish(CdpWalk *w, const CdpCounter *c, int64 *pending)
{
	CdpSeqState *s = &w->seq[c->scratch];

	for (; s->head < s->tail; s->head++)
	{
		int64		over = s->pending[s->head].at + c->seq->within[c->seq->nsteps];

		if (over > w->plan->as_of)
		{
			*pending = over;
			break;
		}
		s->best = Max(s->best, s->pending[s->head].start);
	}
}

/*
 * event_link.c
 *		Sequences whose steps are linked by properties, and the chains that an
 *		explanation shows.
 *
 * A level keeps its chains by the value that the next step must have. There the
 * latest start and the latest end may belong to different chains, as rows of one
 * value come from rows of another, so each value has a queue: ends rise and
 * starts fall from front to back, all others are beaten in both. The front is
 * the latest start that a step can still reach.
 */
#include "segment/pass/event.h"

#define NO_NODE PG_UINT32_MAX
#define NO_TIME PG_INT64_MAX
#define ANY_VALUE UINT64CONST(1) /* of steps that nothing ties to the one before; no scalar has this word */

/* A chain by its last row. */
typedef struct CdpLinkNode
{
	int64		start;
	int64		at;
	int64		pos;
	uint32		prev;
	uint32		next;
	uint32		parent;			/* the row before */
	int			item;
	bool		fallen;			/* what should be absent came */
} CdpLinkNode;

typedef struct CdpLinkQueue
{
	uint64		value;
	uint32		owner;			/* sequence and level */
	uint32		epoch;			/* the customer; others are free */
	uint32		head;
	uint32		tail;
} CdpLinkQueue;

/* A chain that may be used from the next position on. */
typedef struct CdpLinkStaged
{
	uint64		value;
	int			level;
	uint32		node;
} CdpLinkStaged;

typedef struct CdpLinks
{
	MemoryContext cxt;
	uint32		epoch;
	CdpLinkNode *node;
	uint32		n;
	uint32		room;
	CdpLinkQueue *queue;
	uint32		slots;			/* a power of two */
	uint32		used;
} CdpLinks;

/* Makes the chains of the customer before forgotten. */
void
cdp_link_begin(CdpWalk *w)
{
	CdpLinks   *l = w->links;

	l->epoch = w->epoch;
	l->n = 0;
	l->used = 0;
}

/* Makes room for chains; the memory is in cxt. */
struct CdpLinks *
cdp_link_create(MemoryContext cxt)
{
	CdpLinks   *l = MemoryContextAllocZero(cxt, sizeof(CdpLinks));

	l->cxt = cxt;
	l->room = 256;
	l->node = MemoryContextAlloc(cxt, sizeof(CdpLinkNode) * l->room);
	l->slots = 256;
	l->queue = MemoryContextAllocZero(cxt, sizeof(CdpLinkQueue) * l->slots);
	return l;
}

/* Where the search for a queue starts. */
static inline uint32
queue_slot(const CdpLinks *l, uint32 owner, uint64 value)
{
	uint64		hash = (value ^ (uint64) owner << 48) * UINT64CONST(0x9E3779B97F4A7C15);

	return (uint32) (hash >> 32 ^ hash >> 52) & (l->slots - 1);
}

/* Doubles the table of queues. */
static void
grow_queues(CdpLinks *l)
{
	CdpLinkQueue *old = l->queue;
	uint32		slots = l->slots;

	l->slots *= 2;
	l->queue = MemoryContextAllocExtended(l->cxt, sizeof(CdpLinkQueue) * l->slots, MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < slots; i++)
		if (old[i].epoch == l->epoch)
		{
			uint32		at = queue_slot(l, old[i].owner, old[i].value);

			while (l->queue[at].epoch == l->epoch)
				at = (at + 1) & (l->slots - 1);
			l->queue[at] = old[i];
		}
	pfree(old);
}

/* The queue of a level and value; NULL when there is none and none is to be made. */
static CdpLinkQueue *
find_queue(CdpLinks *l, uint32 owner, uint64 value, bool make)
{
	uint32		at;

	if (make && l->used * 2 >= l->slots)
		grow_queues(l);
	for (at = queue_slot(l, owner, value); l->queue[at].epoch == l->epoch; at = (at + 1) & (l->slots - 1))
		if (l->queue[at].owner == owner && l->queue[at].value == value)
			return &l->queue[at];
	if (!make)
		return NULL;
	l->used++;
	l->queue[at] = (CdpLinkQueue) {.value = value, .owner = owner, .epoch = l->epoch, .head = NO_NODE, .tail = NO_NODE};
	return &l->queue[at];
}

/* Adds a chain; returns its number. */
static uint32
add_node(CdpLinks *l, int64 start, int64 at, int64 pos, uint32 parent, int item)
{
	if (l->n == l->room)
	{
		l->room *= 2;
		l->node = repalloc_huge(l->node, sizeof(CdpLinkNode) * l->room);
	}
	l->node[l->n] = (CdpLinkNode) {.start = start, .at = at, .pos = pos, .prev = NO_NODE, .next = NO_NODE,
		.parent = parent, .item = item};
	return l->n++;
}

/* Takes the front off a queue. */
static void
drop_head(CdpLinks *l, CdpLinkQueue *q)
{
	q->head = l->node[q->head].next;
	if (q->head == NO_NODE)
		q->tail = NO_NODE;
	else
		l->node[q->head].prev = NO_NODE;
}

/* Puts a chain to the back of a queue; those that it beats leave it, and it stays out when it is beaten itself. */
static void
push(CdpLinks *l, CdpLinkQueue *q, uint32 n, bool all_stay)
{
	CdpLinkNode *node = &l->node[n];

	while (!all_stay && q->tail != NO_NODE && l->node[q->tail].start <= node->start)
	{
		q->tail = l->node[q->tail].prev;
		if (q->tail == NO_NODE)
			q->head = NO_NODE;
		else
			l->node[q->tail].next = NO_NODE;
	}
	if (!all_stay && q->tail != NO_NODE && l->node[q->tail].pos == node->pos)
		return;
	node->prev = q->tail;
	node->next = NO_NODE;
	if (q->tail == NO_NODE)
		q->head = n;
	else
		l->node[q->tail].next = n;
	q->tail = n;
}

/* Number of a sequence and level. */
static inline uint32
owner_of(const CdpCounter *c, int level)
{
	return (uint32) c->scratch * CDP_SEQ_STEPS + level;
}

/* Lets chains that end before the present position be used. */
static void
flush(CdpWalk *w, const CdpCounter *c, CdpSeqState *s)
{
	for (int i = 0; i < s->nstaged; i++)
	{
		const CdpLinkStaged *staged = &s->staged[i];

		push(w->links, find_queue(w->links, owner_of(c, staged->level), staged->value, true), staged->node,
			 staged->level == c->seq->nsteps - 1);
	}
	s->nstaged = 0;
}

/* Keeps a chain until the position changes. */
static void
stage(CdpWalk *w, CdpSeqState *s, int level, uint64 value, uint32 node)
{
	if (s->nstaged == s->staged_room)
	{
		s->staged_room = Max(16, s->staged_room * 2);
		s->staged = s->staged == NULL ? MemoryContextAlloc(w->pass->cxt, sizeof(CdpLinkStaged) * s->staged_room)
			: repalloc_huge(s->staged, sizeof(CdpLinkStaged) * s->staged_room);
	}
	s->staged[s->nstaged++] = (CdpLinkStaged) {.value = value, .level = level, .node = node};
}

/* Keeps a chain that waits for its absent step. */
static void
wait_for_absence(CdpWalk *w, CdpSeqState *s, uint32 node)
{
	if (s->nwaiting == s->waiting_room)
	{
		s->waiting_room = Max(16, s->waiting_room * 2);
		s->waiting = s->waiting == NULL ? MemoryContextAlloc(w->pass->cxt, sizeof(uint32) * s->waiting_room)
			: repalloc_huge(s->waiting, sizeof(uint32) * s->waiting_room);
	}
	s->waiting[s->nwaiting++] = node;
}

/* What a row has in common with the step before `step`, or the step after it; CDP_WORD_NO_SCALAR when that is missing. */
static inline uint64
link_value(const CdpWalk *w, const CdpSeq *seq, int step, const CdpKind *kind, const uint64 *row)
{
	if (seq->link[step] < 0)
		return ANY_VALUE;
	return row[w->pass->store->extra_word + kind->word[seq->link[step]]];
}

/* The event that should be absent came: chains of its value fall whose time is not over. */
static void
take_absent(CdpWalk *w, const CdpCounter *c, int64 at, int64 pos, uint64 value)
{
	CdpLinks   *l = w->links;
	CdpLinkQueue *q = find_queue(l, owner_of(c, c->seq->nsteps - 1), value, false);

	while (q != NULL && q->head != NO_NODE && l->node[q->head].pos < pos)
	{
		CdpLinkNode *node = &l->node[q->head];

		node->fallen = at - node->at <= c->seq->within[c->seq->nsteps];
		drop_head(l, q);
	}
}

/* The chain that a step continues, NO_NODE when there is none. */
static uint32
reach(CdpWalk *w, const CdpCounter *c, const CdpSeqState *s, int step, int64 at, int64 pos, uint64 value)
{
	const CdpSeq *seq = c->seq;
	CdpLinks   *l = w->links;
	CdpLinkQueue *q = find_queue(l, owner_of(c, step - 1), value, false);
	int64		break_pos = s->break_pos < pos ? s->break_pos : s->old_break;

	while (q != NULL && q->head != NO_NODE &&
		   (l->node[q->head].pos < break_pos || at - l->node[q->head].at > seq->within[step]))
		drop_head(l, q);
	if (q == NULL || q->head == NO_NODE || at - l->node[q->head].start > seq->total)
		return NO_NODE;
	return q->head;
}

/* Takes a row as one step of a sequence. */
static void
take_step(CdpWalk *w, const CdpCounter *c, CdpSeqState *s, int step, int item, int64 pos, const CdpKind *kind,
		  const uint64 *row)
{
	const CdpSeq *seq = c->seq;
	int64		at = w->rows->item[item].at;
	int64		start = at;
	uint32		parent = NO_NODE;
	uint32		node;
	uint64		value = link_value(w, seq, step, kind, row);

	if (value == CDP_WORD_NO_SCALAR)
		return;
	if (step == seq->nsteps)
	{
		take_absent(w, c, at, pos, value);
		return;
	}
	if (step == 0 && (uint64) at - (uint64) c->from >= c->span)
	{
		if (at >= c->to && at <= c->enter_before)
			s->first_enter = Min(s->first_enter, at);
		return;
	}
	if (step > 0)
	{
		parent = reach(w, c, s, step, at, pos, value);
		if (parent == NO_NODE)
			return;
		start = w->links->node[parent].start;
	}
	if (step == seq->nsteps - 1 && !seq->absent)
	{
		if (start > s->best)
		{
			s->best = start;
			s->best_node = add_node(w->links, start, at, pos, parent, item);
		}
		return;
	}
	value = link_value(w, seq, step + 1, kind, row);
	node = add_node(w->links, start, at, pos, parent, item);
	if (step == seq->nsteps - 1)
		wait_for_absence(w, s, node);
	if (value != CDP_WORD_NO_SCALAR)
		stage(w, s, step, value, node);
}

/* Takes a row into a sequence. */
void
cdp_link_row(CdpWalk *w, const CdpCounter *c, int item, uint32 mask, const CdpKind *kind, const uint64 *row)
{
	CdpSeqState *s = &w->seq[c->scratch];
	int64		pos = c->seq->by_id ? item : w->rows->item[item].at;

	if (pos != s->pos)
	{
		flush(w, c, s);
		s->pos = pos;
	}
	for (uint32 steps = mask & (CDP_SEQ_BREAK - 1); steps != 0; steps &= steps - 1)
		take_step(w, c, s, __builtin_ctz(steps), item, pos, kind, row);
	if ((mask & CDP_SEQ_BREAK) && s->break_pos < pos)
	{
		s->old_break = s->break_pos;
		s->break_pos = pos;
	}
}

/* Looks at the chains that still wait: their time is over at as_of, or the first of them becomes true then. */
void
cdp_link_finish(CdpWalk *w, const CdpCounter *c, int64 *pending)
{
	CdpSeqState *s = &w->seq[c->scratch];

	for (int i = 0; i < s->nwaiting; i++)
	{
		const CdpLinkNode *node = &w->links->node[s->waiting[i]];
		int64		over = node->at + c->seq->within[c->seq->nsteps];

		if (node->fallen)
			continue;
		if (over > w->plan->as_of)
			*pending = Min(*pending, over);
		else if (node->start > s->best)
		{
			s->best = node->start;
			s->best_node = s->waiting[i];
		}
	}
}

/* The rows of the chain with the latest start, the last one first; returns how many. */
int
cdp_link_chain(const CdpWalk *w, const CdpCounter *c, int *item)
{
	int			n = 0;

	for (uint32 i = w->seq[c->scratch].best_node; i != NO_NODE; i = w->links->node[i].parent)
		item[n++] = w->links->node[i].item;
	return n;
}

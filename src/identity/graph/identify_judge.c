/*
 * identify_judge.c
 *		What may become one customer: limits, cannot links and sizes.
 *
 * Small customers are counted here.  Large ones, cannot links, limits within a
 * span of time and limits between types are asked of functions in SQL; what
 * follows from the counts is decided here for all.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/timestamp.h"

#include "identity/graph/identify.h"

CDP_FUNCTION(cdp_sql_union_refusal);
CDP_FUNCTION(cdp_sql_winner_of);

/* A customer of so many identifiers, or of more merged customers, is counted by SQL. */
#define SMALL_IDENTIFIERS 33
#define SMALL_CUSTOMERS 64

/* How many identifiers of a type a part has. A part is a root or a new identifier: its place among both. */
typedef struct Count
{
	int			part;
	int16		type_id;
	int32		n;
} Count;

/* The parts of a union, counted. */
typedef struct CdpCensus
{
	int			ncounts;
	int			room;
	Count	   *count;
	bool		near;			/* somebody has a cannot link */
	bool		large;			/* counted by SQL */
} CdpCensus;

/* What a union is asked about. */
typedef struct Question
{
	const CdpLists *lists;
	const int64 *root;
	int			nroots;
	const int64 *fresh;
	const int16 *fresh_type;
	int			nfresh;
	Datum		roots;			/* the same as arrays */
	Datum		freshs;
	Datum		apart;
	CdpCensus  *before;			/* of the roots, before they were locked; NULL: none */
	const CdpHeld *held;		/* the roots, which of them changed since */
} Question;

/* What stands against a union. */
typedef struct CdpVerdict
{
	const char *reason;			/* NULL: nothing */
	int64		blocker;
	int			nsizes;			/* of roots, then of new identifiers */
	int32		size[2 * CDP_RECORD_MAX];	/* -1: not counted */
	int64		unread;			/* the root of whom nothing more can matter, 0: none */
} CdpVerdict;

/* Adds to the count of a part's type. */
static void
count_in(CdpCensus *c, int part, int16 type_id, int32 n)
{
	for (int i = 0; i < c->ncounts; i++)
	{
		if (c->count[i].part == part && c->count[i].type_id == type_id)
		{
			c->count[i].n += n;
			return;
		}
	}
	if (c->ncounts == c->room)
	{
		c->room = Max(2 * c->room, 64);
		c->count = c->count == NULL ? palloc(c->room * sizeof(Count)) : repalloc(c->count, mul_size(c->room, sizeof(Count)));
	}
	c->count[c->ncounts].part = part;
	c->count[c->ncounts].type_id = type_id;
	c->count[c->ncounts++].n = n;
}

/* The identifiers of a part. */
static int32
size_of(const CdpCensus *c, int part)
{
	int32		n = 0;

	for (int i = 0; i < c->ncounts; i++)
		if (c->count[i].part == part)
			n += c->count[i].n;
	return n;
}

/* A root as it is walked down, with the customers that were merged into it. */
typedef struct Walk
{
	int			part;
	int			members;		/* identifiers counted */
	int			below;			/* customers met */
	int64		customer[SMALL_CUSTOMERS + 1];
} Walk;

/*
 * Counts the identifiers of those merged into a root, step by step, until
 * there are most.  False when the root is not small.
 */
static bool
walk_down(const Question *q, Walk *w, int most, CdpCensus *c)
{
	bool		full = w->below == most;	/* the first step reads no more of them */
	int			from = 0;
	bool		isnull;

	while (from < w->below && w->members < most)
	{
		Datum		arg[3] = {cdp_ids(w->customer + from, w->below - from), q->apart, Int32GetDatum(most - w->members)};
		Datum		below[2] = {arg[0], Int32GetDatum(SMALL_CUSTOMERS + 1 - w->below)};

		from = w->below;
		cdp_read(CDP_MEMBERS_OF, arg, NULL);
		w->members += SPI_processed;
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			count_in(c, w->part, DatumGetInt16(cdp_cell(row, 1, &isnull)), 1);
			c->near |= cdp_cell_bool(row, 2);
		}
		cdp_done();
		if (w->members >= most)
			return true;
		cdp_read(CDP_BELOW, below, NULL);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			int64		id = cdp_cell_int8(row, 1);

			if (id == 0)
				return false;	/* an unmerge moved something there */
			w->customer[w->below++] = id;
		}
		cdp_done();
		if (w->below > SMALL_CUSTOMERS)
			return false;
	}
	return w->members >= most || !full;
}

/* Takes the rows of the first step down from the roots. False when a root is not small. */
static bool
take_first_step(const int *part, Walk *walk, int most, CdpCensus *c)
{
	bool		isnull;

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int			nth = (int) cdp_cell_int8(row, 1) - 1;
		Walk	   *w = &walk[nth];

		switch (DatumGetInt32(cdp_cell(row, 2, &isnull)))
		{
			case 1:
				w->members++;
				count_in(c, part[nth], DatumGetInt16(cdp_cell(row, 4, &isnull)), 1);
				c->near |= cdp_cell_bool(row, 5);
				break;
			case 2:
				w->customer[w->below++] = cdp_cell_int8(row, 3);
				break;
			default:
				return false;	/* an unmerge moved something there */
		}
	}
	return true;
}

/*
 * Counts the identifiers of the roots, but for those to skip, by single index
 * probes, at most cut of each (0: all).  False when one of them is not small,
 * or an unmerge moved something to it: the census is of no use then.
 */
static bool
count_small(const Question *q, const bool *skip, int32 cut, CdpCensus *c)
{
	int			most = cut > 0 ? Min(cut, SMALL_IDENTIFIERS) : SMALL_IDENTIFIERS;
	int64		root[CDP_RECORD_MAX];
	int			part[CDP_RECORD_MAX];
	int			n = 0;
	Walk	   *walk;
	bool		small = true;
	Datum		arg[3] = {0, q->apart, Int32GetDatum(most)};

	for (int i = 0; i < q->nroots; i++)
	{
		if (skip != NULL && skip[i])
			continue;
		part[n] = i;
		root[n++] = q->root[i];
	}
	if (n == 0)
		return true;
	walk = palloc(mul_size(n, sizeof(Walk)));
	for (int i = 0; i < n; i++)
	{
		walk[i].part = part[i];
		walk[i].members = walk[i].below = 0;
	}
	arg[0] = cdp_ids(root, n);
	cdp_phase_begin();
	cdp_read(CDP_UNDER, arg, NULL);
	small = take_first_step(part, walk, most, c);
	cdp_done();
	for (int i = 0; i < n && small; i++)
		small = walk_down(q, &walk[i], most, c) && walk[i].members < SMALL_IDENTIFIERS;
	cdp_phase_end();
	pfree(walk);
	return small;
}

/* Counts roots of any size, at most cut identifiers of each (0: all). */
static void
count_large(const Question *q, int32 cut, CdpCensus *c)
{
	Datum		arg[4] = {q->roots, q->freshs, q->apart, Int32GetDatum(cut)};
	bool		isnull;

	c->ncounts = 0;
	c->near = false;
	c->large = true;
	cdp_phase_begin();
	cdp_read(CDP_UNION_MEMBERS, arg, cut > 0 ? NULL : "   n");
	cdp_phase_end();
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int64		part = cdp_cell_int8(row, 1);
		int			nth = -1;

		for (int i = 0; i < q->nroots && nth < 0; i++)
			nth = q->root[i] == part ? i : -1;
		/* New ones are counted by the caller. */
		if (nth >= 0)
			count_in(c, nth, DatumGetInt16(cdp_cell(row, 2, &isnull)), DatumGetInt32(cdp_cell(row, 3, &isnull)));
		c->near |= cdp_cell_bool(row, 4);
	}
	cdp_done();
}

/* How many identifiers of each root are read at first, at most: without a limit of size the rest of a large one seldom matters. */
static int32
first_cut(const CdpLists *lists)
{
	return lists->most > 0 ? lists->most + 1 : 16;
}

/*
 * Takes the census of before the locks, with the roots counted again that
 * changed since.  One that was cut off stays so: it is many.  False when that
 * cannot be done.
 */
static bool
count_changed(Question *q, int32 cut, CdpCensus *c)
{
	bool		skip[CDP_RECORD_MAX];
	bool		all = true;
	int			n = 0;

	*c = *q->before;
	q->before = NULL;			/* new identifiers are added to it */
	for (int i = 0; i < q->nroots; i++)
	{
		skip[i] = !(q->held[i].changed || q->held[i].grown) || (q->lists->most == 0 && size_of(c, i) >= cut);
		all &= skip[i];
	}
	if (all)
		return true;
	if (c->large)
		return false;
	for (int i = 0; i < c->ncounts; i++)
		if (skip[c->count[i].part])
			c->count[n++] = c->count[i];
	c->ncounts = n;
	return count_small(q, skip, cut, c);
}

/* The cannot link that stands between two parts, 0 for none. */
static int64
cannot_between(const Question *q)
{
	Datum		arg[3] = {q->roots, q->freshs, q->apart};
	int64		link_id;

	cdp_phase_begin();
	cdp_read(CDP_UNION_CANNOT, arg, NULL);
	cdp_phase_end();
	link_id = cdp_cell_int8(0, 1);
	cdp_done();
	return link_id;
}

/* Whether the identifiers of a type would be too many within the span of its limit. */
static bool
window_broken(const Question *q, int16 type_id)
{
	Datum		arg[4] = {q->roots, q->freshs, q->apart, Int16GetDatum(type_id)};
	bool		broken;

	cdp_phase_begin();
	cdp_read(CDP_UNION_WINDOW, arg, NULL);
	cdp_phase_end();
	broken = cdp_cell_bool(0, 1);
	cdp_done();
	return broken;
}

/*
 * The strongest type whose limit the union breaks, NULL for none.  A limit
 * counts where two parts have identifiers of the type: what one of them breaks
 * by itself does not.
 */
static const CdpType *
broken_limit(const Question *q, const CdpCensus *c)
{
	const CdpType *broken = NULL;
	const CdpType *after = NULL;

	for (;;)
	{
		const CdpType *next = NULL;

		for (int i = 0; i < c->ncounts; i++)
		{
			const CdpType *t = cdp_type(q->lists, c->count[i].type_id);
			int64		n = 0;
			int			parts = 0;

			if (t == NULL || t->most == 0)
				continue;
			if (after != NULL && (t->priority < after->priority || (t->priority == after->priority && t->type_id <= after->type_id)))
				continue;
			if (next != NULL && (t->priority > next->priority || (t->priority == next->priority && t->type_id >= next->type_id)))
				continue;
			for (int j = 0; j < c->ncounts; j++)
			{
				if (c->count[j].type_id == t->type_id)
				{
					n += c->count[j].n;
					parts++;
				}
			}
			if (parts > 1 && n > t->most)
				next = t;
		}
		if (next == NULL || !next->windowed || window_broken(q, next->type_id))
		{
			broken = next;
			break;
		}
		after = next;
	}
	return broken;
}

/* Whether a union of the parts counted breaks no limit of a type, whatever its span of time, nor that of size. */
static bool
breaks_no_limit(const CdpLists *lists, const CdpCensus *c)
{
	int64		total = 0;

	for (int i = 0; i < c->ncounts; i++)
	{
		const CdpType *t = cdp_type(lists, c->count[i].type_id);
		int64		n = 0;

		for (int j = 0; j < c->ncounts; j++)
			if (c->count[j].type_id == c->count[i].type_id)
				n += c->count[j].n;
		if (t != NULL && t->most > 0 && n > t->most)
			return false;
		total += c->count[i].n;
	}
	return lists->most == 0 || total <= lists->most;
}

/* Counts the parts of a union: roots, then the new identifiers, one each. */
static void
count_parts(Question *q, int32 cut, CdpCensus *c, CdpVerdict *v)
{
	bool		counted = q->before != NULL && cut == first_cut(q->lists) && count_changed(q, cut, c);

	if (!counted)
	{
		memset(c, 0, sizeof(CdpCensus));
		if (!count_small(q, NULL, cut, c))
			count_large(q, cut, c);
	}
	for (int i = 0; i < q->nfresh; i++)
		count_in(c, q->nroots + i, q->fresh_type[i], 1);
	v->nsizes = q->nroots + q->nfresh;
	for (int i = 0; i < v->nsizes; i++)
		v->size[i] = size_of(c, i);
}

/* Whether a part that was counted whole has identifiers of a type with a limit. */
static bool
whole_limited(const Question *q, const CdpCensus *c, const CdpVerdict *v)
{
	for (int i = 0; i < c->ncounts; i++)
	{
		const CdpType *t = cdp_type(q->lists, c->count[i].type_id);

		if (v->size[c->count[i].part] >= 0 && t != NULL && t->most > 0)
			return true;
	}
	return false;
}

/*
 * Counts as far as it can matter.  Without a limit of size large roots are
 * read in part first; the small ones tell whether the rest of them matters.
 * Returns false when nothing can stand against the union.
 */
static bool
count_enough(Question *q, CdpCensus *c, CdpVerdict *v)
{
	int32		cut = first_cut(q->lists);

	for (;;)
	{
		int			cut_off = 0;

		count_parts(q, cut, c, v);
		if (q->lists->most > 0 || cut == 0)
			return true;
		for (int i = 0; i < v->nsizes; i++)
		{
			if (v->size[i] >= cut)
			{
				v->size[i] = -1;
				cut_off++;
			}
		}
		if (cut_off == 0)
			return true;
		if (c->near || whole_limited(q, c, v))
			cut = 0;
		else if (cut_off == 1)
		{
			for (int i = 0; i < q->nroots; i++)
				if (v->size[i] < 0)
					v->unread = q->root[i];
			return false;
		}
		else					/* until one at most is larger: as much work as the second largest asks for */
			cut = cut > PG_INT32_MAX / 8 ? 0 : cut * 8;
	}
}

/*
 * Whether customers (roots) and new identifiers may become one: reason NULL
 * when they may, else cannot, limit <type> or customer size, with the cannot
 * link as blocker.  apart: identifiers that count for nobody, whatever the
 * table says; the new ones must be among them.
 */
static void
judge_union(Question *q, CdpVerdict *v)
{
	CdpCensus	c;
	const CdpType *t;
	int64		total = 0;

	v->reason = NULL;
	v->blocker = 0;
	v->unread = 0;
	q->roots = cdp_ids(q->root, q->nroots);
	q->freshs = cdp_ids(q->fresh, q->nfresh);
	if (!count_enough(q, &c, v))
		return;
	if (c.near)
	{
		v->blocker = cannot_between(q);
		if (v->blocker != 0)
		{
			v->reason = CDP_CANNOT;
			return;
		}
	}
	t = broken_limit(q, &c);
	for (int i = 0; i < c.ncounts; i++)
		total += c.count[i].n;
	if (t != NULL)
		v->reason = psprintf("limit %s", t->name);
	else if (q->lists->most > 0 && total > q->lists->most)
		v->reason = CDP_CUSTOMER_SIZE;
}

/* The limit between two types that the nth identifier would break if it were linked with the accepted hubs; NULL when none. */
static const char *
pair_refusal(const CdpRecord *r, int nth)
{
	Datum		type[CDP_RECORD_MAX],
				id[CDP_RECORD_MAX],
				accepted[CDP_RECORD_MAX],
				hub[2];
	int			nhubs = r->second_hub < 0 ? 1 : 2;
	Datum		arg[5];
	const char *reason;

	for (int i = 0; i < r->k; i++)
	{
		type[i] = Int16GetDatum(r->one[i].type->type_id);
		id[i] = Int64GetDatum(r->one[i].id);
		accepted[i] = BoolGetDatum(r->one[i].accepted);
	}
	hub[0] = Int32GetDatum(r->first_hub + 1);
	hub[1] = Int32GetDatum(r->second_hub + 1);
	arg[0] = PointerGetDatum(construct_array(type, r->k, INT2OID, sizeof(int16), true, TYPALIGN_SHORT));
	arg[1] = PointerGetDatum(construct_array(id, r->k, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
	arg[2] = PointerGetDatum(construct_array(accepted, r->k, BOOLOID, 1, true, TYPALIGN_CHAR));
	arg[3] = PointerGetDatum(construct_array(hub, nhubs, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	arg[4] = Int32GetDatum(nth + 1);
	cdp_phase_begin();
	cdp_read(CDP_PAIR_REFUSAL, arg, NULL);
	cdp_phase_end();
	reason = cdp_cell_text(0, 1);
	cdp_done();
	return reason;
}

/* The place of a number in a list, -1 when it is not there. */
static int
place_of(const int64 *list, int n, int64 id)
{
	for (int i = 0; i < n; i++)
		if (list[i] == id)
			return i;
	return -1;
}

/* New identifiers, as they are taken into a customer. */
typedef struct Newcomers
{
	int			n;
	int64		id[CDP_RECORD_MAX];
	int16		type_id[CDP_RECORD_MAX];
} Newcomers;

/* Puts a new identifier among the others. */
static void
take_newcomer(Newcomers *list, const CdpOne *one)
{
	list->id[list->n] = one->id;
	list->type_id[list->n++] = one->type->type_id;
}

/* Judges the nth identifier of a record, the ones before it being judged: accepted, or left out with the reason. */
static void
judge_one(CdpRecord *r, int nth, bool paired, const Newcomers *all, Newcomers *own)
{
	CdpOne	   *one = &r->one[nth];
	bool		joins = one->fresh || place_of(r->joined, r->njoined, one->root) < 0;
	bool		asked = joins && r->njoined + own->n > 0;
	CdpVerdict	v = {0};

	if (joins)
	{
		if (one->fresh)
			take_newcomer(own, one);
		else
		{
			r->joined[r->njoined] = one->root;
			r->size[r->njoined++] = -1;
		}
	}
	if (asked)
	{
		Question	q = {r->lists, r->joined, r->njoined, own->id, own->type_id, own->n, 0, 0, cdp_ids(all->id, all->n), NULL, NULL};

		judge_union(&q, &v);
	}
	if (paired && (v.reason == NULL || strcmp(v.reason, CDP_CANNOT) != 0))
	{
		const char *why = pair_refusal(r, nth);

		if (why != NULL)
			v.reason = why;
	}
	one->reason = v.reason;
	one->blocker = v.blocker;
	one->accepted = v.reason == NULL;
	if (one->accepted && asked)
		memcpy(r->size, v.size, r->njoined * sizeof(int32));
	else if (!one->accepted && joins)
	{
		/* He stays out again. */
		if (one->fresh)
			own->n--;
		else
			r->njoined--;
	}
}

/* The roots of those of a record who may join, its new identifiers, and whether limits between types hold for it. */
static bool
parties(CdpRecord *r, Newcomers *all)
{
	bool		paired = false;

	r->njoined = all->n = 0;
	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];

		paired |= one->paired;
		if (one->stop != NULL)
			continue;
		if (one->fresh)
			take_newcomer(all, one);
		else if (one->root != 0 && place_of(r->joined, r->njoined, one->root) < 0)
		{
			r->joined[r->njoined] = one->root;
			r->size[r->njoined++] = -1;
		}
	}
	return paired;
}

/*
 * Counts the roots of a record before they are locked, so that they are held
 * shortly.  What has changed by then is counted again.
 */
void
cdp_count_before(CdpRecord *r)
{
	Newcomers	all;
	Question	q = {0};

	r->census = NULL;
	if (parties(r, &all) || r->njoined + all.n < 2)
		return;
	q.lists = r->lists;
	q.root = r->joined;
	q.nroots = r->njoined;
	q.roots = cdp_ids(r->joined, r->njoined);
	q.freshs = q.apart = cdp_ids(all.id, all.n);
	r->census = palloc0(sizeof(CdpCensus));
	if (!count_small(&q, NULL, first_cut(r->lists), r->census))
		count_large(&q, first_cut(r->lists), r->census);
}

/*
 * Whether the census of before the locks says, without another look at the
 * tables, that all of a record's customers will become one.  What it says may
 * be wrong by the time they are locked.
 */
bool
cdp_expect_union(const CdpRecord *r)
{
	const CdpCensus *c = r->census;
	int			large = 0;

	if (c == NULL || c->large || c->near || r->njoined != r->nheld)
		return false;
	for (int i = 0; i < r->k; i++)
		if (r->one[i].fresh || r->one[i].stop != NULL)
			return false;
	for (int i = 0; i < r->njoined; i++)
		large += size_of(c, i) >= first_cut(r->lists);
	return large <= 1 && breaks_no_limit(r->lists, c);
}

/*
 * Whether a record may hold the winner among its roots beside others who come
 * to him, because he becomes or stays one with all of them whatever else comes:
 * no size is too large, nobody is attached but once or linked with so many,
 * and, by the same census, he is large, nobody else is, and none of their
 * identifiers has a limit.  A record that only links what one root has changes
 * no size: to it his own does not matter.
 */
bool
cdp_may_share(const CdpRecord *r, int64 winner)
{
	const CdpCensus *c = r->census;

	if (r->lists->most > 0)
		return false;
	for (int i = 0; i < r->k; i++)
	{
		const CdpOne *one = &r->one[i];

		if (one->fresh || one->stop != NULL || one->paired || one->type->attach_only)
			return false;
	}
	if (r->nheld == 1)
		return true;
	if (!cdp_expect_union(r))
		return false;
	for (int i = 0; i < r->njoined; i++)
		if ((size_of(c, i) >= first_cut(r->lists)) != (r->joined[i] == winner))
			return false;
	for (int i = 0; i < c->ncounts; i++)
	{
		const CdpType *t = cdp_type(r->lists, c->count[i].type_id);

		if (t != NULL && t->most > 0 && r->joined[c->count[i].part] != winner)
			return false;
	}
	return true;
}

/*
 * Which identifiers of a record become one customer.  The union of all is
 * tried first; when a rule forbids it, they are taken in one by one, the hub
 * first and then the strongest, and whoever breaks a rule is left out with the
 * reason.  Sizes of the roots joined are -1 where there was nothing to ask or
 * they are many.
 */
void
cdp_judge(CdpRecord *r)
{
	Newcomers	all,
				own = {0};
	bool		paired = parties(r, &all);

	r->unread = 0;
	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];

		one->reason = NULL;
		one->blocker = 0;
		one->accepted = one->stop == NULL;
	}
	if (!paired)
	{
		Question	q = {r->lists, r->joined, r->njoined, all.id, all.type_id, all.n, 0, 0, 0, r->census, r->held};
		CdpVerdict	v;

		if (r->njoined + all.n < 2)
			return;
		q.apart = cdp_ids(all.id, all.n);
		judge_union(&q, &v);
		memcpy(r->size, v.size, r->njoined * sizeof(int32));
		if (v.reason == NULL)
		{
			r->unread = v.unread;
			return;
		}
	}
	for (int i = 0; i < r->k; i++)
		r->one[i].accepted = false;
	r->njoined = 0;
	if (r->one[r->first_hub].stop == NULL)
		judge_one(r, r->first_hub, paired, &all, &own);
	for (int i = 0; i < r->k; i++)
	{
		if (i != r->first_hub && r->one[i].stop == NULL)
			judge_one(r, i, paired, &all, &own);
	}
}

/* The priority of a type, behind all others for an unknown one. */
static int
priority_of(const CdpLists *lists, int type_id)
{
	const CdpType *t = cdp_type(lists, type_id);

	return t == NULL ? PG_INT16_MAX : t->priority;
}

/*
 * Which of these customers keeps its number when they become one: the one
 * whose anchor (its lowest identifier, by home, else by override) has the
 * strongest type; then the earlier made; then the lower number.  0 when none
 * of them is there.
 */
int64
cdp_winner(const CdpLists *lists, const int64 *root, int n)
{
	Datum		arg = cdp_ids(root, n);
	int64		winner = 0;
	int			best = 0;
	TimestampTz best_at = 0;

	cdp_phase_begin();
	cdp_read(CDP_ANCHORS, &arg, NULL);
	cdp_phase_end();
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		isnull;
		int64		id = cdp_cell_int8(row, 1);
		TimestampTz at = DatumGetTimestampTz(cdp_cell(row, 2, &isnull));
		Datum		type_id = cdp_cell(row, 3, &isnull);
		int			priority = priority_of(lists, isnull ? 0 : DatumGetInt16(type_id));

		if (winner == 0 || priority < best || (priority == best && (at < best_at || (at == best_at && id < winner))))
		{
			winner = id;
			best = priority;
			best_at = at;
		}
	}
	cdp_done();
	pfree(DatumGetPointer(arg));
	return winner;
}

/* The numbers of a bigint[] without NULL. */
static int
read_ids(ArrayType *array, int64 *id, int most)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (ARR_HASNULL(array) || n > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("customers must be at most %d numbers without NULL", most),
				 errdetail("There are %d.", n)));
	memcpy(id, ARR_DATA_PTR(array), n * sizeof(int64));
	return n;
}

/* winner_of(roots): see cdp_winner(). */
Datum
cdp_sql_winner_of(PG_FUNCTION_ARGS)
{
	int64		root[CDP_RECORD_MAX];
	int			n = read_ids(PG_GETARG_ARRAYTYPE_P(0), root, CDP_RECORD_MAX);
	int64		winner;

	SPI_connect();
	winner = cdp_winner(cdp_lists(), root, n);
	SPI_finish();
	if (winner == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(winner);
}

/* union_refusal(roots): what stands against a union of these customers, and how many identifiers they have. */
Datum
cdp_sql_union_refusal(PG_FUNCTION_ARGS)
{
	MemoryContext upper = CurrentMemoryContext;
	int64		root[CDP_RECORD_MAX];
	Question	q = {0};
	CdpVerdict	v;
	Datum		values[3] = {0},
				size[CDP_RECORD_MAX];
	bool		nulls[3] = {false, false, false},
				no_size[CDP_RECORD_MAX];
	int			lower = 1;
	Datum		row;

	q.nroots = read_ids(PG_GETARG_ARRAYTYPE_P(0), root, CDP_RECORD_MAX);
	SPI_connect();
	q.lists = cdp_lists();
	q.root = root;
	q.apart = cdp_ids(NULL, 0);
	judge_union(&q, &v);
	for (int i = 0; i < q.nroots; i++)
	{
		size[i] = Int32GetDatum(v.size[i]);
		no_size[i] = v.size[i] < 0;
	}
	nulls[0] = v.reason == NULL;
	if (v.reason != NULL)
		values[0] = CStringGetTextDatum(v.reason);
	nulls[1] = v.blocker == 0;
	values[1] = Int64GetDatum(v.blocker);
	values[2] = PointerGetDatum(construct_md_array(size, no_size, 1, &q.nroots, &lower, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	row = cdp_result(fcinfo, upper, values, nulls);
	SPI_finish();
	return row;
}

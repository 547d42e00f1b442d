/*
 * event_walk.c
 *		Walks the rows of each customer in order of time, all counters at once,
 *		and answers the atoms.
 *
 * A counter costs nothing for customers without a row of it. Flips: the moment
 * at which an answer may change without new data. For counts it is exact (the
 * k-th newest row leaves, the missing ones enter); for all else it is the first
 * row that leaves or enters, which is never later than the change.
 */
#include "segment/pass/event.h"

#include "base/micro.h"

#define NO_TIME PG_INT64_MAX

/* Makes a counter ready for the customer at hand. */
static pg_noinline void
touch(CdpWalk *w, int counter)
{
	CdpState   *st = &w->state[counter];
	const CdpCounter *c = &w->plan->counter[counter];

	memset(st, 0, sizeof(CdpState));
	st->epoch = w->epoch;
	st->first_in = st->first_enter = NO_TIME;
	st->a = CDP_NEVER;
	st->b = CDP_NEVER;
	w->touched[w->ntouched++] = counter;
	if (c->op == CDP_OP_SEQ)
		cdp_seq_reset(w, c);
	else if (c->op == CDP_OP_DISTINCT)
		w->values[c->scratch].n = 0;
}

/* The odd number of a word, as numeric; palloc'd. */
static Numeric
odd_number(const CdpWalk *w, int64 word)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(w->pass->reader.odd.text[word - CDP_WORD_ODD]),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* Adds a number that is no whole micro-unit to a sum, or keeps it when it is the least or greatest. */
static void
take_odd(CdpWalk *w, CdpState *st, CdpEventOp op, int64 word)
{
	MemoryContext old = MemoryContextSwitchTo(w->odd_cxt);
	Numeric		number = odd_number(w, word);

	if (st->odd == NULL)
		st->odd = number;
	else if (op == CDP_OP_SUM || op == CDP_OP_AVG)
		st->odd = DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(st->odd), NumericGetDatum(number)));
	else
		st->odd = DatumGetNumeric(DirectFunctionCall2(op == CDP_OP_MIN ? numeric_smaller : numeric_larger,
													  NumericGetDatum(st->odd), NumericGetDatum(number)));
	MemoryContextSwitchTo(old);
}

/* Takes a number into sum, avg, min or max. */
static void
take_number(CdpWalk *w, CdpState *st, CdpEventOp op, int64 word)
{
	st->n++;
	if (unlikely(word < CDP_WORD_ODD_END))
	{
		take_odd(w, st, op, word);
		return;
	}
	if (op == CDP_OP_SUM || op == CDP_OP_AVG)
		st->sum += word;
	else if (st->leaving == 0 || (op == CDP_OP_MIN ? word < st->a : word > st->a))
		st->a = word;
	st->leaving++;				/* whole micro-units among them */
}

/* Orders words. */
static int
compare_words(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

/* Sorts values and drops repeated ones. */
static void
sort_values(CdpValues *v)
{
	int			kept = 0;

	qsort(v->value, v->n, sizeof(uint64), compare_words);
	for (int i = 0; i < v->n; i++)
		if (kept == 0 || v->value[kept - 1] != v->value[i])
			v->value[kept++] = v->value[i];
	v->n = kept;
}

/* Adds a value to the distinct ones of a counter. */
static void
take_value(CdpWalk *w, CdpValues *v, uint64 word)
{
	if (v->n == v->room)
	{
		sort_values(v);
		if (v->n > v->room / 2 || v->room == 0)
		{
			v->room = Max(64, v->room * 2);
			v->value = v->value == NULL ? MemoryContextAlloc(w->pass->cxt, sizeof(uint64) * v->room)
				: repalloc_huge(v->value, sizeof(uint64) * v->room);
		}
	}
	v->value[v->n++] = word;
}

/* Counts a local day once. Clocks put back over midnight make days come again, so the last 64 are remembered. */
static void
take_day(CdpState *st, int64 day)
{
	int64		ahead = st->n == 0 ? 64 : day - st->a;

	if (ahead > 0)
	{
		st->b = ahead >= 64 ? 0 : (int64) ((uint64) st->b << ahead);
		st->b |= 1;
		st->a = day;
		st->n++;
	}
	else if (ahead > -64 && ((uint64) st->b >> -ahead & 1) == 0)
	{
		st->b |= (int64) (UINT64CONST(1) << -ahead);
		st->n++;
	}
}

/* Counts a period once. */
static void
take_period(const CdpCounter *c, CdpState *st, int64 at)
{
	int			low = (int) Max(st->a, 0);
	int			high = c->nbounds - 1;

	/* Rows come in order, so periods do. */
	while (low + 1 < high)
	{
		int			middle = (low + high) / 2;

		if (c->bound[middle] <= at)
			low = middle;
		else
			high = middle;
	}
	if (low != st->a)
	{
		st->a = low;
		st->n++;
	}
}

/* Takes a row into a counter other than a count or a sequence. */
static void
take_other(CdpWalk *w, const CdpCounter *c, CdpState *st, const CdpAction *a, int64 at, const uint64 *row)
{
	bool		inside = (uint64) at - (uint64) c->from < c->span;
	uint64		word = 0;

	if (a->word >= 0)
	{
		Assert(row != NULL);	/* rows with words are kept in full */
		word = row[w->pass->store->extra_word + a->word];
		if (c->op >= CDP_OP_DISTINCT ? word == CDP_WORD_NO_SCALAR : (int64) word == CDP_WORD_NO_NUMBER)
			return;
	}
	if (c->op == CDP_OP_GAP)
	{
		if (at != st->a)
		{
			/* The latest row strictly before this one lies far enough back. */
			if (st->a != CDP_NEVER && at - st->a >= c->gap)
			{
				if (inside)
					st->b = at;
				else if (at >= c->to && at <= c->enter_before)
					st->first_enter = Min(st->first_enter, at);
			}
			st->a = at;
		}
		return;
	}
	if (!inside)
	{
		if (at >= c->to && at <= c->enter_before)
			st->first_enter = Min(st->first_enter, at);
		return;
	}
	st->first_in = Min(st->first_in, at);
	switch (c->op)
	{
		case CDP_OP_DAYS:
			take_day(st, cdp_zone_day(c->zone, at));
			break;
		case CDP_OP_PERIODS:
			take_period(c, st, at);
			break;
		case CDP_OP_DISTINCT:
			take_value(w, &w->values[c->scratch], word);
			break;
		case CDP_OP_FIRST:
			if (st->n++ == 0)
				st->b = a->verdict;
			break;
		case CDP_OP_LAST:
			st->n++;
			st->first_in = at;
			st->b = a->verdict;
			break;
		default:
			take_number(w, st, c->op, (int64) word);
			break;
	}
}

/* Whether a counter reads a row. */
bool
cdp_event_reads(const CdpWalk *w, int counter, int item)
{
	const CdpClass *class = &w->pass->class[w->rows->item[item].rank];

	for (int k = 0; k < class->nactions; k++)
		if (class->action[k].counter == (uint32) counter)
			return true;
	return false;
}

/* The place of the nth row of a counter in [from, to), -1 when there are fewer. */
int
cdp_event_find(const CdpWalk *w, int counter, int64 from, int64 to, int64 nth)
{
	for (int i = 0; i < w->n; i++)
	{
		const CdpItem *item = &w->rows->item[i];

		if (item->at >= from && item->at < to && cdp_event_reads(w, counter, i) && --nth == 0)
			return i;
	}
	return -1;
}

/* Answers an atom over a count, and says when the answer changes. */
static CdpTruth
answer_count(CdpWalk *w, int atom, const CdpCounter *c, const CdpState *st)
{
	int64		k = w->plan->atom[atom].least;
	int			item;

	if (st->n >= k)
	{
		/* It holds until the k-th newest row leaves. */
		if (unlikely((int64) st->n - st->leaving < k))
		{
			item = cdp_event_find(w, w->plan->atom[atom].counter, c->from, c->to, st->n - k + 1);
			cdp_event_flip(w, atom, w->rows->item[item].at + c->slide_from + 1);
		}
		return CDP_TRUE;
	}
	if (unlikely((int64) st->n + st->entering >= k))
	{
		item = cdp_event_find(w, w->plan->atom[atom].counter, c->to, w->plan->as_of, k - st->n);
		cdp_event_flip(w, atom, w->rows->item[item].at + c->slide_to + 1);
	}
	return CDP_FALSE;
}

/* The sum (of an average, too), the least or greatest number of a customer; palloc'd. */
Numeric
cdp_event_number(CdpEventOp op, const CdpState *st)
{
	bool		adds = op == CDP_OP_SUM || op == CDP_OP_AVG;
	Datum		whole = cdp_numeric_from_scaled(adds ? st->sum : (int128) st->a, 6);

	if (st->odd == NULL)
		return DatumGetNumeric(whole);
	if (adds)
		return DatumGetNumeric(DirectFunctionCall2(numeric_add, whole, NumericGetDatum(st->odd)));
	if (st->leaving == 0)
		return st->odd;
	return DatumGetNumeric(DirectFunctionCall2(op == CDP_OP_MIN ? numeric_smaller : numeric_larger, whole, NumericGetDatum(st->odd)));
}

/* Compares the sum, average, least or greatest number of a customer. */
static bool
compare_numbers(const CdpCompare *compare, CdpEventOp op, const CdpState *st)
{
	CdpCompare	scaled = *compare;
	CdpConst	constant = compare->value[0];

	if (likely(st->odd == NULL && op != CDP_OP_AVG))
	{
		int128		micro = op == CDP_OP_SUM ? st->sum : (int128) st->a;

		return micro >= compare->lo && micro <= compare->hi;
	}
	if (op != CDP_OP_AVG)
		return cdp_compare_numeric(compare, cdp_event_number(op, st));
	/* An average is compared as the sum with as many times the constant, so that nothing is rounded. */
	constant.numeric = DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(constant.numeric),
														   DirectFunctionCall1(int8_numeric, Int64GetDatum(st->n))));
	scaled.value = &constant;
	return cdp_compare_numeric(&scaled, cdp_event_number(op, st));
}

/* Answers an atom over numbers. */
static CdpTruth
answer_numbers(CdpWalk *w, int atom, const CdpCounter *c, const CdpState *st)
{
	const CdpAtom *a = &w->plan->atom[atom];

	if (st->first_in <= c->leave_before)
		cdp_event_flip(w, atom, st->first_in + c->slide_from + 1);
	if (st->first_enter != NO_TIME)
		cdp_event_flip(w, atom, st->first_enter + c->slide_to + 1);
	if (st->n == 0)
		return a->unseen;
	return compare_numbers(a->compare, c->op, st) ? CDP_TRUE : CDP_FALSE;
}

/* Answers an atom over a first or last value. */
static CdpTruth
answer_value(CdpWalk *w, int atom, const CdpCounter *c, const CdpState *st)
{
	if (st->first_in <= c->leave_before)
		cdp_event_flip(w, atom, st->first_in + c->slide_from + 1);
	if (st->first_enter != NO_TIME)
		cdp_event_flip(w, atom, st->first_enter + c->slide_to + 1);
	if (st->n == 0 || st->b == CDP_VERDICT_OTHER)
		return CDP_UNKNOWN;
	return st->b == CDP_VERDICT_YES ? CDP_TRUE : CDP_FALSE;
}

/* Answers an atom that more rows can only make true: days, periods, distinct values. */
static CdpTruth
answer_rising(CdpWalk *w, int atom, const CdpCounter *c, const CdpState *st, int64 n)
{
	if (n >= w->plan->atom[atom].least)
	{
		if (st->first_in <= c->leave_before)
			cdp_event_flip(w, atom, st->first_in + c->slide_from + 1);
		return CDP_TRUE;
	}
	if (st->first_enter != NO_TIME)
		cdp_event_flip(w, atom, st->first_enter + c->slide_to + 1);
	return CDP_FALSE;
}

/* Answers an atom by its latest witness: a row after a gap, the start of a chain. */
static CdpTruth
answer_witness(CdpWalk *w, int atom, const CdpCounter *c, int64 latest, int64 first_enter)
{
	if (latest != CDP_NEVER)
	{
		if (latest <= c->leave_before)
			cdp_event_flip(w, atom, latest + c->slide_from + 1);
		return CDP_TRUE;
	}
	if (first_enter != NO_TIME)
		cdp_event_flip(w, atom, first_enter + c->slide_to + 1);
	return CDP_FALSE;
}

/* Answers an atom of the customer at hand; its counter has seen all rows. */
static CdpTruth
answer_atom(CdpWalk *w, int atom, CdpState *st)
{
	const CdpCounter *c = &w->plan->counter[w->plan->atom[atom].counter];
	int64		pending = NO_TIME;
	CdpValues  *v;

	switch (c->op)
	{
		case CDP_OP_COUNT:
			return answer_count(w, atom, c, st);
		case CDP_OP_DAYS:
		case CDP_OP_PERIODS:
			return answer_rising(w, atom, c, st, st->n);
		case CDP_OP_DISTINCT:
			v = &w->values[c->scratch];
			if (atom == c->first_atom)
				sort_values(v);
			return answer_rising(w, atom, c, st, v->n);
		case CDP_OP_FIRST:
		case CDP_OP_LAST:
			return answer_value(w, atom, c, st);
		case CDP_OP_GAP:
			return answer_witness(w, atom, c, st->b, st->first_enter);
		case CDP_OP_SEQ:
			if (c->seq->linked || w->pass->explain)
				cdp_link_finish(w, c, &pending);
			else
				cdp_seq_finish(w, c, &pending);
			if (pending != NO_TIME && pending <= w->plan->horizon)
				cdp_event_flip(w, atom, pending);
			return answer_witness(w, atom, c, w->seq[c->scratch].best, w->seq[c->scratch].first_enter);
		default:
			return answer_numbers(w, atom, c, st);
	}
}

/* Takes a row into a sequence. */
static void
take_step(CdpWalk *w, const CdpCounter *c, const CdpAction *a, int i, const CdpKind *kind, const uint64 *row)
{
	int64		at = w->rows->item[i].at;

	if (c->seq->linked || w->pass->explain)
		cdp_link_row(w, c, i, a->mask, kind, row);
	else
		cdp_seq_row(w, c, at, c->seq->by_id ? i : at, a->mask);
}

/* Takes the rows of a customer into the counters. */
static void
take_rows(CdpWalk *w)
{
	const CdpKeyRows *rows = w->rows;
	const CdpClass *classes = w->pass->class;
	const CdpCounter *counters = w->plan->counter;

	for (int i = 0; i < w->n; i++)
	{
		const CdpItem *item = &rows->item[i];
		const CdpClass *class = &classes[item->rank];
		int64		at = item->at;

		for (int k = 0; k < class->nactions; k++)
		{
			const CdpAction *a = &class->action[k];
			const CdpCounter *c = &counters[a->counter];
			CdpState   *st = &w->state[a->counter];

			if (st->epoch != w->epoch)
				touch(w, a->counter);
			if (likely(a->op == CDP_OP_COUNT))
			{
				if ((uint64) at - (uint64) c->from < c->span)
				{
					st->n++;
					st->leaving += at <= c->leave_before;
				}
				else if (at >= c->to)
					st->entering += at <= c->enter_before;
			}
			else if (a->op == CDP_OP_SEQ && likely(c->pair_within >= 0) && w->truth == NULL)
				cdp_seq_pair(&w->seq[c->scratch], c, at, a->mask);
			else if (a->op == CDP_OP_SEQ)
				take_step(w, c, a, i, class->kind, class->full ? cdp_key_row(rows, item) : NULL);
			else
				take_other(w, c, st, a, at, class->full ? cdp_key_row(rows, item) : NULL);
		}
	}
}

/* Rows of the future are not counted; each may change an answer just after its time. */
static void
leave_future(CdpWalk *w)
{
	const CdpKeyRows *rows = w->rows;
	int			n = rows->n;

	while (n > 0 && rows->item[n - 1].at >= w->plan->as_of)
	{
		const CdpClass *class = &w->pass->class[rows->item[--n].rank];

		for (int k = 0; w->atom_flip != NULL && k < class->nactions; k++)
		{
			const CdpCounter *c = &w->plan->counter[class->action[k].counter];

			for (int a = c->first_atom; a < c->first_atom + c->natoms; a++)
				cdp_event_flip(w, a, rows->item[n].at + 1);
		}
	}
	if (n < rows->n)
		w->flip = rows->item[n].at + 1;
	w->n = n;
}

/* Keeps the flip of a customer. */
static void
keep_flip(CdpWalk *w)
{
	if (w->nflips == w->flips_room)
	{
		w->flips_room = Max(1024, w->flips_room * 2);
		if (sizeof(CdpFlip) * w->flips_room > cdp_pass_memory_bytes(&cdp_segment_memory) / 4)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the coming changes of a segment pass do not fit into memory"),
					 errdetail(INT64_FORMAT " customers take more than a quarter of %d kB.", w->nflips, cdp_segment_memory.kilobytes),
					 errhint("Raise cdp.segment_memory, or give a nearer horizon.")));
		w->flips = w->flips == NULL ? MemoryContextAlloc(w->pass->cxt, sizeof(CdpFlip) * w->flips_room)
			: repalloc_huge(w->flips, sizeof(CdpFlip) * w->flips_room);
	}
	w->flips[w->nflips++] = (CdpFlip) {.at = w->flip, .customer = (uint32) w->rows->key};
}

/* Raises the error for answers that take more memory than they may; asked now and then. */
static void
check_sets(const CdpWalk *w)
{
	Size		bytes = w->seen.memory;

	for (int i = 0; i < w->plan->natoms; i++)
		bytes += w->yes[i].memory + w->unknown[i].memory;
	if (bytes > cdp_pass_memory_bytes(&cdp_segment_memory) / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the answers of a segment pass do not fit into memory"),
				 errdetail("Sets of customers of %d atoms need %zu kB, half of %d kB is there for them.", w->plan->natoms,
						   bytes / 1024, cdp_segment_memory.kilobytes),
				 errhint("Raise cdp.segment_memory, or evaluate fewer rules at a time.")));
}

/* Answers the atoms of a counter and keeps the answers. */
static void
answer_counter(CdpWalk *w, int counter)
{
	const CdpCounter *c = &w->plan->counter[counter];

	for (int atom = c->first_atom; atom < c->first_atom + c->natoms; atom++)
	{
		CdpTruth	truth = answer_atom(w, atom, &w->state[counter]);

		if (w->truth != NULL)
			w->truth[atom] = truth;
		else if (truth == CDP_TRUE)
			cdp_idset_add(&w->yes[atom], (uint32) w->rows->key);
		else if (truth == CDP_UNKNOWN)
			cdp_idset_add(&w->unknown[atom], (uint32) w->rows->key);
	}
}

/* Walks one customer. */
static void
visit_customer(const CdpKeyRows *rows)
{
	CdpWalk    *w = rows->arg;

	w->rows = rows;
	w->epoch++;
	w->ntouched = 0;
	w->flip = NO_TIME;
	if (w->links != NULL)
		cdp_link_begin(w);
	leave_future(w);
	take_rows(w);
	for (int i = 0; i < w->nalways; i++)
		if (w->state[w->always[i]].epoch != w->epoch)
			touch(w, w->always[i]);
	for (int i = 0; i < w->ntouched; i++)
		answer_counter(w, w->touched[i]);
	if (w->pass->values != NULL)
		cdp_event_values(w);
	else if (w->truth != NULL)
		cdp_event_explain(w);
	else
	{
		cdp_idset_add(&w->seen, (uint32) rows->key);
		if ((w->epoch & 0x3FFF) == 0)
			check_sets(w);
		if (w->flip != NO_TIME)
			keep_flip(w);
	}
	if (unlikely(!w->odd_cxt->isReset))
		MemoryContextReset(w->odd_cxt);
}

/* The order of rows of one time: by id where they have one, then by all else that they are, never by when they came. */
static int
compare_ties(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpKeyRows *rows = arg;
	const CdpEventPass *pass = ((const CdpWalk *) rows->arg)->pass;
	const CdpClass *x = &pass->class[a->rank];
	const CdpClass *y = &pass->class[b->rank];
	int			id_x = x->full && x->kind->nslots > 0 ? pass->plan->slot[x->kind->slot[0]].type == CDP_SLOT_ID : 0;
	int			id_y = y->full && y->kind->nslots > 0 ? pass->plan->slot[y->kind->slot[0]].type == CDP_SLOT_ID : 0;
	int			c = id_x - id_y;

	if (c == 0 && id_x)
		c = cdp_compare_int64(cdp_key_word(rows, cdp_key_row(rows, a), 0), cdp_key_word(rows, cdp_key_row(rows, b), 0));
	if (c == 0)
		c = cdp_event_compare_classes(pass, a->rank, b->rank);
	if (c == 0 && x->full)
		c = cdp_row_compare_words(&pass->reader, x->kind, cdp_key_row(rows, a) + rows->store->extra_word,
								  cdp_key_row(rows, b) + rows->store->extra_word);
	return c;
}

/* Walks all customers of a pass; the walk lives in the current context, which is the pass's. */
CdpWalk *
cdp_event_walk(CdpEventPass *pass, bool explain)
{
	CdpWalk    *w = palloc0(sizeof(CdpWalk));
	CdpPlan    *plan = pass->plan;
	uint32	   *rank;

	w->pass = pass;
	w->plan = plan;
	w->state = MemoryContextAllocZero(pass->cxt, sizeof(CdpState) * Max(plan->ncounters, 1));
	w->seq = MemoryContextAllocZero(pass->cxt, sizeof(CdpSeqState) * Max(plan->nsequences, 1));
	w->values = palloc0(sizeof(CdpValues) * Max(plan->ndistinct, 1));
	w->touched = palloc(sizeof(uint32) * Max(plan->ncounters, 1));
	w->always = palloc(sizeof(uint32) * Max(plan->ncounters, 1));
	for (int i = 0; i < plan->ncounters; i++)
	{
		if (plan->counter[i].always || explain)
			w->always[w->nalways++] = i;
		if (plan->counter[i].op == CDP_OP_SEQ && (explain || plan->counter[i].seq->linked) && w->links == NULL)
			w->links = cdp_link_create(pass->cxt);
	}
	w->odd_cxt = AllocSetContextCreate(pass->cxt, "cdp segment pass numbers", ALLOCSET_SMALL_SIZES);
	cdp_idset_init(&w->seen, pass->cxt);
	w->yes = palloc0(sizeof(CdpIdSet) * Max(plan->natoms, 1));
	w->unknown = palloc0(sizeof(CdpIdSet) * Max(plan->natoms, 1));
	for (int i = 0; i < plan->natoms; i++)
	{
		cdp_idset_init(&w->yes[i], pass->cxt);
		cdp_idset_init(&w->unknown[i], pass->cxt);
	}
	if (explain)
	{
		w->truth = palloc(sizeof(CdpTruth) * Max(plan->natoms, 1));
		w->atom_flip = palloc(sizeof(int64) * Max(plan->natoms, 1));
		for (int i = 0; i < plan->natoms; i++)
		{
			w->truth[i] = plan->atom[i].unseen;
			w->atom_flip[i] = NO_TIME;
		}
	}
	rank = MemoryContextAllocHuge(pass->cxt, sizeof(uint32) * Max(pass->class_number.n, 1));
	for (uint32 i = 0; i < pass->class_number.n; i++)
		rank[i] = i;
	cdp_by_key(pass->store, rank, compare_ties, visit_customer, w);
	if (explain && w->explained == NULL && pass->values == NULL)
	{
		CdpKeyRows	nothing = {.arg = w};

		visit_customer(&nothing);
	}
	return w;
}

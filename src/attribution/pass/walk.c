/*
 * walk.c
 *		Goes through one customer's sorted rows and cuts the journeys: of each
 *		conversion, and of the touches that led to none.
 */
#include "attribution/pass/journey.h"

#include "common/int.h"

/* Makes room for n touches of one customer. */
static void
reserve_touches(CdpWalk *w, int n)
{
	bool		wide = CDP_ID_WORD(w->store) != 0;
	Size		room;

	if (n <= w->touch_room)
		return;
	room = Max((Size) 256, (Size) n + n / 4);
#define GROW(field) \
	do { \
		if (w->field != NULL) \
			pfree(w->field); \
		w->field = MemoryContextAllocHuge(w->cxt, room * sizeof(*w->field)); \
	} while (0)
	GROW(label);
	GROW(at);
	GROW(used);
	GROW(pick);
	GROW(out_label);
	GROW(out_at);
	if (wide)
	{
		GROW(id);
		GROW(out_id);
		if (CDP_SESSION_WORD(w->store))
		{
			GROW(session);
			GROW(out_session);
		}
		if (w->pass->keep_kinds)
			GROW(kind);
	}
#undef GROW
	w->touch_room = (int) Min(room, PG_INT32_MAX);
}

/* Adds a conversion to the list of the customer. */
static CdpConversion *
add_conversion(CdpWalk *w)
{
	if (w->nconversions == w->conversion_room)
	{
		Size		room = Max((Size) 64, (Size) w->conversion_room * 2);

		w->conversion = w->conversion == NULL
			? MemoryContextAllocHuge(w->cxt, room * sizeof(CdpConversion))
			: repalloc_huge(w->conversion, room * sizeof(CdpConversion));
		w->conversion_room = (int) room;
	}
	return &w->conversion[w->nconversions++];
}

/* Adds a touch, unless its label is left out. */
static inline void
add_touch(CdpWalk *w, uint32 label, int64 at, const uint64 *row)
{
	int			n = w->ntouches;

	if (w->excluded != NULL && w->excluded[label])
	{
		w->sums->counter[CDP_COUNT_EXCLUDED]++;
		return;
	}
	w->label[n] = label;
	w->at[n] = at;
	if (row != NULL)
	{
		w->id[n] = (int64) row[CDP_ID_WORD(w->store)];
		if (w->session != NULL)
			w->session[n] = (int64) row[CDP_SESSION_WORD(w->store)];
		if (w->kind != NULL)
			w->kind[n] = (uint16) (row[2] >> 32);
	}
	w->ntouches++;
}

/* Raises the error for two customers' conversions with one id: which one a refund lowers would be chance. */
static void
ambiguous_refund(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("a refund names an id that conversions of several customers have"),
			 errhint("Give conversions ids of their own, or leave refers_to out: then a refund lowers its customer's latest conversion.")));
}

/*
 * Takes the refunds that name a conversion off its value. Of several conversions
 * with that id the customer's first one in the order is lowered.
 */
static void
apply_references(CdpWalk *w, CdpConversion *c, const uint64 *row)
{
	CdpPass    *pass = w->pass;
	bool		keyed = !((row[2] >> 48) & CDP_ROW_NO_KEY);
	uint64		key2 = w->store->wide_key ? row[3] : 0;
	int64		low = 0;
	int64		high = pass->nreferences;

	if (high == 0 || c->id == CDP_NO_ID)
		return;
	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (pass->reference[middle].conversion_id < c->id)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < pass->nreferences && pass->reference[low].conversion_id == c->id; low++)
	{
		CdpReference *r = &pass->reference[low];

		if (r->used)
		{
			if (!keyed || !r->taken_keyed || r->taken_by[0] != row[0] || r->taken_by[1] != key2)
				ambiguous_refund();
			continue;
		}
		r->used = true;
		r->taken_keyed = keyed;
		r->taken_by[0] = row[0];
		r->taken_by[1] = key2;
		c->net += r->value;
		c->refunds++;
	}
}

/* Whether a time lies in the reported interval. */
static inline bool
is_reported(const CdpOptions *o, int64 at)
{
	return at >= o->since && at < o->until;
}

/* Adds the value of a refund that found no conversion. */
static void
add_orphan(CdpWalk *w, int64 at, int64 value)
{
	CdpJourney	j = {.value_micro = value, .ended_at = at, .conversion_id = CDP_NO_ID,
		.conversion_session = CDP_NO_ID, .conversion_label = CDP_NO_LABEL};

	if (!is_reported(w->options, at))
		return;
	j.customer = w->customer;
	w->sums->counter[CDP_COUNT_REFUNDS]++;
	w->sums->counter[CDP_COUNT_ORPHAN_REFUNDS]++;
	cdp_sums_add(w->sums, &j);
}

/* Fills a conversion from its row. */
static void
read_conversion(CdpWalk *w, CdpConversion *c, const uint64 *row, uint32 label)
{
	const CdpStore *s = w->store;

	c->at = (int64) row[1];
	c->id = CDP_ID_WORD(s) ? (int64) row[CDP_ID_WORD(s)] : CDP_NO_ID;
	c->session = CDP_SESSION_WORD(s) ? (int64) row[CDP_SESSION_WORD(s)] : CDP_NO_ID;
	c->net = (int64) row[s->value_word];
	c->label = label;
	c->refunds = 0;
	apply_references(w, c, row);
}

/* Whether two times are further apart than a lookback. */
static inline bool
is_gap(int64 lookback, int64 earlier, int64 later)
{
	int64		gap;

	return lookback != PG_INT64_MAX && (pg_sub_s64_overflow(later, earlier, &gap) || gap > lookback);
}

/* Turns the sorted items into touches and conversions. */
static void
read_items(CdpWalk *w, const CdpItem *items, int n)
{
	const CdpStore *s = w->store;
	CdpMilestone milestone[CDP_MAX_MILESTONES];
	bool		wide = CDP_ID_WORD(s) != 0;
	CdpConversionTouch touch_rule = w->options->conversion_is_touch;

	for (int m = 0; m < CDP_MAX_MILESTONES; m++)
		milestone[m].position = -1;
	for (int i = 0; i < n; i++)
	{
		uint32		class = CDP_ITEM_CLASS(items[i].rank);
		uint32		label = CDP_ITEM_LABEL(items[i].rank);
		const uint64 *row = NULL;
		CdpConversion *c;

		if (wide || class != CDP_CLASS_TOUCH)
			row = cdp_store_at(s, class >= CDP_CLASS_CONVERSION, w->partition, items[i].row);
		if (class <= CDP_CLASS_MILESTONE)
		{
			if (class == CDP_CLASS_TOUCH)
				add_touch(w, label, items[i].at, row);
			if (row != NULL && (row[2] >> 48) & CDP_ROW_MILESTONE)
				for (int m = 0; m < w->options->nmilestones; m++)
					if (w->pass->milestone[m] == (int) (uint16) (row[2] >> 32) - 1)
						milestone[m] = (CdpMilestone) {w->ntouches, items[i].at};
		}
		else if (class == CDP_CLASS_REFUND)
		{
			int64		value = (int64) row[s->value_word];

			if (w->nconversions == 0)
				add_orphan(w, items[i].at, value);
			else
			{
				w->conversion[w->nconversions - 1].net += value;
				w->conversion[w->nconversions - 1].refunds++;
			}
		}
		else
		{
			bool		labelled = label != CDP_ITEM_NO_LABEL && w->pass->keep_conversion_labels;

			label--;
			if (labelled && touch_rule == CDP_CONVERSION_TOUCHES_ALSO)
				add_touch(w, label, items[i].at, wide ? row : NULL);
			c = add_conversion(w);
			read_conversion(w, c, row, labelled ? label : CDP_NO_LABEL);
			c->position = w->ntouches;
			for (int m = 0; m < CDP_MAX_MILESTONES; m++)
				c->milestone[m] = milestone[m].position >= 0 && !is_gap(w->options->lookback, milestone[m].at, c->at)
					? milestone[m].position : -1;
			if (labelled && touch_rule == CDP_CONVERSION_TOUCHES_LATER)
				add_touch(w, label, items[i].at, wide ? row : NULL);
		}
	}
}

/* Points a journey at the picked touches, repeats as one when asked; anchors follow. */
static void
gather(CdpWalk *w, CdpJourney *j, const int *pick, int n, const CdpConversion *c)
{
	int			out = 0;

	for (int k = 0; k < n; k++)
	{
		int			i = pick[k];

		if (out == 0 || !w->options->collapse || w->out_label[out - 1] != w->label[i])
			out++;
		w->out_label[out - 1] = w->label[i];
		w->out_at[out - 1] = w->at[i];
		if (w->id != NULL)
			w->out_id[out - 1] = w->id[i];
		if (w->session != NULL)
			w->out_session[out - 1] = w->session[i];
		for (int m = 0; c != NULL && m < CDP_MAX_MILESTONES; m++)
			if (i < c->milestone[m])
				j->anchor[m] = out - 1;
	}
	j->n = out;
	j->label = w->out_label;
	j->at = w->out_at;
	j->id = w->id ? w->out_id : NULL;
	j->session = w->session ? w->out_session : NULL;
}

/* Points a journey at touches that follow each other. */
static void
slice(CdpWalk *w, CdpJourney *j, int from, int to, const CdpConversion *c)
{
	j->n = to - from;
	j->label = w->label + from;
	j->at = w->at + from;
	j->id = w->id ? w->id + from : NULL;
	j->session = w->session ? w->session + from : NULL;
	for (int m = 0; c != NULL && m < CDP_MAX_MILESTONES; m++)
		if (c->milestone[m] > from)
			j->anchor[m] = c->milestone[m] - 1 - from;
}

/* Picks the touches of a conversion one by one: kinds have their own lookback, repeats fold. */
static void
pick_touches(CdpWalk *w, CdpJourney *j, const CdpConversion *c, int from)
{
	const CdpOptions *o = w->options;
	int			n = 0;
	int		   *pick = w->pick;

	for (int i = from; i < c->position; i++)
	{
		if (w->kind_lookback != NULL && is_gap(w->kind_lookback[w->kind ? w->kind[i] : 0], w->at[i], c->at))
			continue;
		pick[n++] = i;
	}
	if (o->max_touches > 0 && n > o->max_touches)
	{
		pick += n - o->max_touches;
		n = o->max_touches;
	}
	if (o->need_nulls)
		for (int k = 0; k < n; k++)
			w->used[pick[k]] = true;
	gather(w, j, pick, n, c);
}

/* Cuts and adds the journey of each conversion; tells whether one was reported. */
static bool
add_conversions(CdpWalk *w)
{
	const CdpOptions *o = w->options;
	bool		one_by_one = w->kind_lookback != NULL || o->collapse;
	bool		reported = false;
	int			from = 0;
	int			marked = 0;
	int64		looked_at = 0;	/* touches since the last check for interrupts */

	for (int k = 0; k < w->nconversions; k++)
	{
		CdpConversion *c = &w->conversion[k];
		CdpJourney	j = {.conversions = 1, .value_micro = c->net, .ended_at = c->at,
			.conversion_id = c->id, .conversion_session = c->session, .conversion_label = c->label};
		bool		report = is_reported(o, c->at);
		int64		earliest;
		int			start;

		looked_at += 64 + c->position - from;
		if (looked_at > 65536)
		{
			CHECK_FOR_INTERRUPTS();
			looked_at = 0;
		}
		for (int m = 0; m < CDP_MAX_MILESTONES; m++)
			j.anchor[m] = -1;
		if (o->reset && k > 0)
			from = Max(from, w->conversion[k - 1].position);
		if (w->longest != PG_INT64_MAX && !pg_sub_s64_overflow(c->at, w->longest, &earliest))
			while (from < c->position && w->at[from] < earliest)
				from++;
		if (!report && !o->need_nulls)
			continue;
		if (one_by_one)
			pick_touches(w, &j, c, from);
		else
		{
			start = from;
			if (o->max_touches > 0)
				start = Max(start, c->position - o->max_touches);
			slice(w, &j, start, c->position, c);
			if (o->need_nulls)
			{
				marked = Max(marked, start);
				if (marked < c->position)
					memset(w->used + marked, true, c->position - marked);
				marked = Max(marked, c->position);
			}
		}
		if (!report)
			continue;
		reported = true;
		j.customer = w->customer;
		w->sums->counter[CDP_COUNT_REFUNDS] += c->refunds;
		cdp_sums_add(w->sums, &j);
	}
	return reported;
}

/* Adds one journey without conversion, of touches picked or in a row from `from`. */
static void
add_null(CdpWalk *w, const int *pick, int from, int n)
{
	const CdpOptions *o = w->options;
	CdpJourney	j = {.nulls = 1, .conversion_id = CDP_NO_ID, .conversion_session = CDP_NO_ID,
		.conversion_label = CDP_NO_LABEL};
	int			last = pick ? pick[n - 1] : from + n - 1;

	if (!is_reported(o, w->at[last]))
		return;
	j.ended_at = w->at[last];
	j.customer = w->customer;
	for (int m = 0; m < CDP_MAX_MILESTONES; m++)
		j.anchor[m] = -1;
	if (o->max_touches > 0 && n > o->max_touches)
	{
		if (pick)
			pick += n - o->max_touches;
		from += n - o->max_touches;
		n = o->max_touches;
	}
	if (pick)
		gather(w, &j, pick, n, NULL);
	else
		slice(w, &j, from, from + n, NULL);
	cdp_sums_add(w->sums, &j);
}

/* Cuts and adds the journeys of touches that no conversion used. */
static void
add_nulls(CdpWalk *w)
{
	bool		one_by_one = w->options->collapse || w->nconversions > 0;
	int			next = 0;		/* conversion that cuts next */
	int			n = 0;
	int			previous = -1;

	for (int i = 0; i < w->ntouches; i++)
	{
		bool		cut = previous >= 0 && is_gap(w->options->lookback, w->at[previous], w->at[i]);

		for (; next < w->nconversions && w->conversion[next].position <= i; next++)
			cut = true;
		if (cut && n > 0)
		{
			add_null(w, one_by_one ? w->pick : NULL, i - n, n);
			n = 0;
		}
		if (w->nconversions > 0 && w->used[i])
			continue;
		if (one_by_one)
			w->pick[n] = i;
		n++;
		previous = i;
	}
	if (n > 0)
		add_null(w, one_by_one ? w->pick : NULL, w->ntouches - n, n);
}

/* Adds all journeys of one customer, whose sorted rows are given. */
void
cdp_walk_customer(CdpWalk *w, const CdpItem *items, int n)
{
	reserve_touches(w, n);
	w->ntouches = w->nconversions = 0;
	read_items(w, items, n);
	if (w->nconversions > 0)
	{
		if (w->options->need_nulls)
			memset(w->used, false, w->ntouches);
		if (add_conversions(w))
			w->sums->counter[CDP_COUNT_CONVERTING_CUSTOMERS]++;
	}
	if (w->options->need_nulls)
		add_nulls(w);
}

/* Adds a conversion or refund that has no customer. */
void
cdp_walk_lonely(CdpWalk *w, const uint64 *row)
{
	CdpConversion c;
	CdpJourney	j = {.conversions = 1};
	uint32		label = (uint32) row[2];

	w->customer = NULL;
	if ((row[2] >> 48) & CDP_ROW_REFUND)
	{
		add_orphan(w, (int64) row[1], (int64) row[w->store->value_word]);
		return;
	}
	read_conversion(w, &c, row, label == CDP_NO_LABEL || !w->pass->keep_conversion_labels
					? CDP_NO_LABEL : w->rank[label]);
	if (!is_reported(w->options, c.at))
		return;
	j.value_micro = c.net;
	j.ended_at = c.at;
	j.conversion_id = c.id;
	j.conversion_session = c.session;
	j.conversion_label = c.label;
	w->sums->counter[CDP_COUNT_REFUNDS] += c.refunds;
	cdp_sums_add(w->sums, &j);
}

/* Adds what refunds took back whose conversion was never found. */
void
cdp_walk_orphans(CdpWalk *w)
{
	for (int64 i = 0; i < w->pass->nreferences; i++)
	{
		const CdpReference *r = &w->pass->reference[i];

		if (r->used)
			continue;
		w->customer = r->has_key && w->options->credits ? cdp_pass_customer(w->pass, r->key[0], r->key[1]) : NULL;
		add_orphan(w, r->at, r->value);
	}
}

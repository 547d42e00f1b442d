/*
 * sums.c
 *		Adds journeys to exact sums: the rule models' units, the path statistics
 *		of the other models, histograms and assists.
 */
#include "attribution/result/sums.h"

#include "attribution/result/codec.h"
#include "common/int.h"

/* Journeys up to this length take weights by length from a table. */
#define TABLE_LENGTH 64

/* Scratch of cdp_sums_add; not part of the sums. */
typedef struct CdpSumsWork
{
	int			room;			/* touches that fit */
	int64	   *units;
	CdpRuleWork rule;
	bool	  **passed_over;	/* [model] labels, or NULL */
	int64	  **by_length;		/* [model] triangle of units by length, or NULL */
	bool	   *length_known;	/* [model * TABLE_LENGTH] */
	uint32	   *stamp;			/* [label] */
	uint32		round;
} CdpSumsWork;

/* Where the units of n touches begin in a triangle. */
#define TRIANGLE(n) ((n) * ((n) - 1) / 2)

/* The labels that first_non or last_non passes over. */
static bool *
passed_over_labels(const CdpModel *m, const CdpLabels *labels)
{
	bool	   *passed = palloc0(Max(labels->n, 1));

	for (int i = 0; i < m->nlabels; i++)
	{
		int			label = cdp_label_find(labels, m->label[i]);

		if (label >= 0)
			passed[label] = true;
	}
	return passed;
}

/* Prepares the scratch of a set of sums. */
static CdpSumsWork *
make_work(const CdpOptions *o, const CdpLabels *labels)
{
	CdpSumsWork *w = palloc0(sizeof(CdpSumsWork));
	Size		n = Max(labels->n, 1);

	w->stamp = palloc0(sizeof(uint32) * n);
	w->rule.stamp = palloc0(sizeof(uint32) * n);
	w->rule.times = palloc0(sizeof(uint32) * n);
	w->passed_over = palloc0(sizeof(bool *) * o->nmodels);
	w->by_length = palloc0(sizeof(int64 *) * o->nmodels);
	w->length_known = palloc0(sizeof(bool) * o->nmodels * (TABLE_LENGTH + 1));
	for (int m = 0; m < o->nmodels; m++)
	{
		if (o->model[m].nlabels > 0)
			w->passed_over[m] = passed_over_labels(&o->model[m], labels);
		if (cdp_rule_by_length(&o->model[m]))
			w->by_length[m] = palloc(sizeof(int64) * TRIANGLE(TABLE_LENGTH + 1));
	}
	return w;
}

/* Makes empty sums in cxt, which must outlive them; options and labels are kept, not copied. */
CdpSums *
cdp_sums_create(const CdpOptions *o, const CdpLabels *labels, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpSums    *s = palloc0(sizeof(CdpSums));
	Size		cells = (Size) o->nmodels * (labels->n + 1);
	Size		limit = cdp_pass_memory_bytes(&cdp_attribution_memory) / 4;

	if (cells * 2 * sizeof(int128) > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("attribution sums do not fit into memory"),
				 errdetail("%d models of %d labels take %zu kB, a quarter of %d kB is there for them.",
						   o->nmodels, labels->n, cells * 2 * sizeof(int128) / 1024, cdp_attribution_memory.kilobytes),
				 errhint("Raise cdp.attribution_memory, name fewer models, or group by channel or campaign.")));
	s->cxt = cxt;
	s->options = o;
	s->labels = labels;
	s->conversion_units = MemoryContextAllocExtended(cxt, sizeof(int128) * cells, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s->value_units = MemoryContextAllocExtended(cxt, sizeof(int128) * cells, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s->assist = MemoryContextAllocExtended(cxt, sizeof(CdpAssist) * Max(labels->n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s->budget.limit = limit;
	if (o->norders > 0)
		s->transitions = cdp_transitions_create(o->order[o->norders - 1], labels->n, &s->budget, cxt);
	if (o->need_coalitions)
		s->coalitions = cdp_coalitions_create(labels->n, o->need_ordered, &s->budget, cxt);
	if (o->need_pathtable)
		s->paths = cdp_pathtable_create(labels->n, &s->budget, cxt);
	if (o->credits)
		s->log = cdp_log_create(cxt);
	s->work = make_work(o, labels);
	MemoryContextSwitchTo(old);
	return s;
}

/* Makes room for the touches of one journey. */
static void
reserve_work(CdpSums *s, int n)
{
	CdpSumsWork *w = s->work;

	if (n <= w->room)
		return;
	if (w->room > 0)
	{
		pfree(w->units);
		pfree(w->rule.weight);
	}
	w->room = Max(256, (int) Min((int64) n + n / 4, PG_INT32_MAX));
	w->units = MemoryContextAllocHuge(s->cxt, sizeof(int64) * w->room);
	w->rule.weight = MemoryContextAllocHuge(s->cxt, sizeof(double) * w->room);
}

/* Makes room for so many entries of a histogram. */
static void
histogram_grow(CdpHistogram *h, int size, MemoryContext cxt)
{
	CdpHistogram grown = {h->n, size};

	grown.key = MemoryContextAllocHuge(cxt, sizeof(int64) * size);
	grown.conversions = MemoryContextAllocHuge(cxt, sizeof(int64) * size);
	grown.value_micro = MemoryContextAllocHuge(cxt, sizeof(int128) * size);
	if (h->n > 0)
	{
		memcpy(grown.key, h->key, sizeof(int64) * h->n);
		memcpy(grown.conversions, h->conversions, sizeof(int64) * h->n);
		memcpy(grown.value_micro, h->value_micro, sizeof(int128) * h->n);
		pfree(h->key);
		pfree(h->conversions);
		pfree(h->value_micro);
	}
	*h = grown;
}

/* Adds conversions and value to one entry of a histogram, which keeps its keys ascending. */
static void
histogram_add(CdpHistogram *h, int64 key, int64 conversions, int128 value, MemoryContext cxt)
{
	int			low = 0;
	int			high = h->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (h->key[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == h->n || h->key[low] != key)
	{
		if (h->n == h->size)
			histogram_grow(h, Max(32, h->size * 2), cxt);
		memmove(h->key + low + 1, h->key + low, sizeof(int64) * (h->n - low));
		memmove(h->conversions + low + 1, h->conversions + low, sizeof(int64) * (h->n - low));
		memmove(h->value_micro + low + 1, h->value_micro + low, sizeof(int128) * (h->n - low));
		h->key[low] = key;
		h->conversions[low] = 0;
		h->value_micro[low] = 0;
		h->n++;
	}
	h->conversions[low] += conversions;
	h->value_micro[low] += value;
}

/* The entry of one model and label. */
static inline Size
cell_of(const CdpSums *s, int model, uint32 label)
{
	return (Size) model * (s->labels->n + 1) + label;
}

/* Adds so many units of a journey to one entry. */
static inline void
add_units(CdpSums *s, Size cell, int64 units, const CdpJourney *j)
{
	s->conversion_units[cell] += (int128) units * j->conversions;
	s->value_units[cell] += j->value_micro * units;
}

/* The units of a model whose weights depend on the number of touches alone. */
static const int64 *
units_by_length(CdpSums *s, int model, const CdpJourney *j)
{
	CdpSumsWork *w = s->work;
	int64	   *units;

	if (w->by_length[model] == NULL || j->n > TABLE_LENGTH)
		return NULL;
	units = w->by_length[model] + TRIANGLE(j->n);
	if (!w->length_known[model * (TABLE_LENGTH + 1) + j->n])
	{
		cdp_rule_units(&s->options->model[model], s->options, NULL, j, &w->rule, units);
		w->length_known[model * (TABLE_LENGTH + 1) + j->n] = true;
	}
	return units;
}

/* Whether the label of the conversion's own row alone earns it, as it does under same_touch. */
bool
cdp_sums_own_touch(const CdpModel *m, const CdpJourney *j)
{
	return m->kind == CDP_MODEL_SAME_TOUCH && j->conversion_label != CDP_NO_LABEL;
}

/* The units of each touch under a rule model, valid until the next call; *rest stays unattributed. */
const int64 *
cdp_sums_units(CdpSums *s, int m, const CdpJourney *j, int64 *rest)
{
	CdpSumsWork *w = s->work;
	const int64 *units = units_by_length(s, m, j);

	*rest = 0;
	if (units != NULL)
		return units;
	reserve_work(s, j->n);
	*rest = cdp_rule_units(&s->options->model[m], s->options, w->passed_over[m], j, &w->rule, w->units);
	return w->units;
}

/* From so many touches on, each step over a journey takes long enough to ask for interrupts. */
#define LONG_JOURNEY 65536

/* Adds a journey with touches to every rule model. */
static void
add_rules(CdpSums *s, const CdpJourney *j)
{
	const CdpOptions *o = s->options;

	reserve_work(s, j->n);
	for (int m = 0; m < o->nmodels; m++)
	{
		const CdpModel *model = &o->model[m];
		const int64 *units;
		Size		first = cell_of(s, m, 0);
		int64		rest;

		if (!CDP_MODEL_IS_RULE(model->kind))
			continue;
		if (j->n > LONG_JOURNEY)
			CHECK_FOR_INTERRUPTS();
		if (model->kind == CDP_MODEL_FIRST || model->kind == CDP_MODEL_LAST || cdp_sums_own_touch(model, j))
		{
			uint32		label = model->kind == CDP_MODEL_FIRST ? j->label[0]
				: model->kind == CDP_MODEL_LAST ? j->label[j->n - 1] : j->conversion_label;

			add_units(s, first + label, CDP_UNITS_ONE, j);
			continue;
		}
		units = cdp_sums_units(s, m, j, &rest);
		for (int i = 0; i < j->n; i++)
			if (units[i] != 0)
				add_units(s, first + j->label[i], units[i], j);
		if (rest != 0)
			add_units(s, first + s->labels->n, rest, j);
	}
}

/* Adds a conversion that has no touch: all of it stays unattributed. */
static void
add_without_touch(CdpSums *s, const CdpJourney *j)
{
	s->counter[CDP_COUNT_WITHOUT_TOUCH] += j->conversions;
	for (int m = 0; m < s->options->nmodels; m++)
	{
		const CdpModel *model = &s->options->model[m];

		if (CDP_MODEL_IS_RULE(model->kind))
			add_units(s, cell_of(s, m, cdp_sums_own_touch(model, j) ? j->conversion_label : s->labels->n),
					  CDP_UNITS_ONE, j);
	}
}

/* Counts what each label did in a converting journey. */
static void
add_assists(CdpSums *s, const CdpJourney *j)
{
	CdpSumsWork *w = s->work;
	CdpAssist  *last = &s->assist[j->label[j->n - 1]];
	int			distinct = 0;

	w->round++;
	for (int i = 0; i < j->n - 1; i++)
	{
		CdpAssist  *a = &s->assist[j->label[i]];

		if (w->stamp[j->label[i]] == w->round)
			continue;
		w->stamp[j->label[i]] = w->round;
		distinct++;
		a->assisted += j->conversions;
		a->assisted_micro += j->value_micro;
	}
	last->last += j->conversions;
	last->last_micro += j->value_micro;
	if (distinct == 0 || (distinct == 1 && w->stamp[j->label[j->n - 1]] == w->round))
		last->only += j->conversions;
}

/* Adds conversions and value, and refuses what would leave the range of exact sums. */
static void
add_value(CdpSums *s, const CdpJourney *j)
{
	int64		conversions = s->counter[CDP_COUNT_CONVERSIONS];

	if (pg_add_s64_overflow(conversions, j->conversions, &conversions) ||
		pg_add_s64_overflow(s->counter[CDP_COUNT_NULL_JOURNEYS], j->nulls, &s->counter[CDP_COUNT_NULL_JOURNEYS]))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number of journeys is out of range")));
	s->counter[CDP_COUNT_CONVERSIONS] = conversions;
	s->value_micro += j->value_micro;
	s->absolute_micro += j->value_micro < 0 ? -j->value_micro : j->value_micro;
	if (s->absolute_micro > CDP_VALUE_SUM_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("sum of conversion values is out of range"),
				 errdetail("Exact sums hold 1.6e17."),
				 errhint("Pass values in the main unit of the currency, not in minor units.")));
}

/* Adds one journey to all sums. The journey stays the caller's. */
void
cdp_sums_add(CdpSums *s, const CdpJourney *j)
{
	bool		converts = j->conversions != 0 || j->value_micro != 0;

	add_value(s, j);
	if (s->log != NULL)
		cdp_log_add(s->log, j);
	if (j->n == 0)
	{
		if (converts)
			add_without_touch(s, j);
		return;
	}
	if (converts)
	{
		s->attributable += j->conversions;
		s->attributable_micro += j->value_micro;
		if (s->options->has_rules)
			add_rules(s, j);
		add_assists(s, j);
		histogram_add(&s->lengths, j->n, j->conversions, j->value_micro, s->cxt);
		if (j->at != NULL)
			histogram_add(&s->lags, (int64) (((int128) j->ended_at - j->at[0]) / USECS_PER_DAY), j->conversions,
						  j->value_micro, s->cxt);
	}
	if (s->transitions != NULL)
		cdp_transitions_add(s->transitions, j->label, j->n, j->conversions, j->nulls, j->value_micro);
	if (s->coalitions != NULL)
		cdp_coalitions_add(s->coalitions, j->label, j->n, j->conversions, j->nulls, j->value_micro);
	if (s->paths != NULL)
		cdp_pathtable_add(s->paths, j->label, j->n, j->conversions, j->nulls, j->value_micro);
}

/* Adds the entries of another histogram: both ascend, so that one walk from the end puts all in place. */
static void
histogram_merge(CdpHistogram *into, const CdpHistogram *from, MemoryContext cxt)
{
	int			i = 0;
	int			fresh = 0;		/* keys that only `from` has */
	int			k;
	int			at;

	for (k = 0; k < from->n; k++)
	{
		while (i < into->n && into->key[i] < from->key[k])
			i++;
		fresh += i == into->n || into->key[i] != from->key[k];
	}
	if (into->size - into->n < fresh)
		histogram_grow(into, Max(32, into->n + fresh), cxt);
	i = into->n - 1;
	k = from->n - 1;
	into->n += fresh;
	for (at = into->n - 1; k >= 0; at--)
	{
		bool		old = i >= 0 && into->key[i] >= from->key[k];
		bool		more = i < 0 || into->key[i] <= from->key[k];

		into->conversions[at] = (old ? into->conversions[i] : 0) + (more ? from->conversions[k] : 0);
		into->value_micro[at] = (old ? into->value_micro[i] : 0) + (more ? from->value_micro[k] : 0);
		into->key[at] = old ? into->key[i] : from->key[k];
		i -= old;
		k -= more;
	}
}

/* Adds all of one set of sums to another with (maybe) more labels; map tells the new place of each. */
static void
add_sums(CdpSums *into, const CdpSums *from, const uint32 *map)
{
	const CdpOptions *o = into->options;
	CdpJourney	nothing = {.n = 0};

	for (int i = 0; i < CDP_COUNTERS; i++)
		into->counter[i] += from->counter[i];
	into->attributable += from->attributable;
	into->attributable_micro += from->attributable_micro;
	into->value_micro += from->value_micro;
	into->absolute_micro += from->absolute_micro;
	add_value(into, &nothing);	/* checks the range */
	for (int m = 0; m < o->nmodels; m++)
	{
		for (int l = 0; l <= from->labels->n; l++)
		{
			Size		old_cell = cell_of(from, m, l);
			Size		new_cell = cell_of(into, m, l == from->labels->n ? into->labels->n : map ? map[l] : l);

			into->conversion_units[new_cell] += from->conversion_units[old_cell];
			into->value_units[new_cell] += from->value_units[old_cell];
		}
	}
	for (int l = 0; l < from->labels->n; l++)
	{
		CdpAssist  *a = &into->assist[map ? map[l] : l];
		const CdpAssist *b = &from->assist[l];

		a->assisted += b->assisted;
		a->last += b->last;
		a->only += b->only;
		a->assisted_micro += b->assisted_micro;
		a->last_micro += b->last_micro;
	}
	histogram_merge(&into->lengths, &from->lengths, into->cxt);
	histogram_merge(&into->lags, &from->lags, into->cxt);
	if (into->transitions != NULL)
		cdp_transitions_merge(into->transitions, from->transitions, map);
	if (into->coalitions != NULL)
		cdp_coalitions_merge(into->coalitions, from->coalitions, map);
	if (into->paths != NULL)
		cdp_pathtable_merge(into->paths, from->paths, map);
	if (into->log != NULL)
		cdp_log_merge(into->log, from->log, map);
}

/* The options of merged sums: the reported interval covers both. */
static const CdpOptions *
merged_options(const CdpOptions *a, const CdpOptions *b)
{
	CdpOptions *o;

	if (a->since == b->since && a->until == b->until && a->as_of == b->as_of)
		return a;
	o = palloc(sizeof(CdpOptions));
	*o = *a;
	o->since = Min(a->since, b->since);
	o->until = Max(a->until, b->until);
	o->as_of = Max(a->as_of, b->as_of);
	return o;
}

/* A copy of options in cxt. */
static const CdpOptions *
copy_options(const CdpOptions *o, MemoryContext cxt)
{
	StringInfoData text;

	initStringInfo(&text);
	cdp_options_write(o, &text);
	return cdp_options_from_text(text.data, cxt);
}

/*
 * The sums of both: `a` itself, or new ones in a context of their own below cxt
 * when b brings labels. Then a's context, which must be its own, is deleted, so
 * that a year of days with ever new labels takes no more than the last sums.
 * b stays as it is. Unequal options or kinds of labels are an error.
 */
CdpSums *
cdp_sums_merge(CdpSums *a, const CdpSums *b, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(a->cxt);
	MemoryContext own;
	const char *which = "";
	CdpLabels  *labels;
	uint32	   *map_a;
	uint32	   *map_b;
	CdpSums    *sum;

	if (!cdp_options_equal(a->options, b->options, &which))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribution results with different options cannot be merged"),
				 errdetail("Option \"%s\" differs.", which),
				 errhint("Make all parts with the same cdp.attribution_options(...).")));
	if (a->labels->n > 0 && b->labels->n > 0 && a->labels->is_int != b->labels->is_int)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribution results with text labels and with integer labels cannot be merged"),
				 errhint("Make all parts with labels of one type.")));
	a->options = merged_options(a->options, b->options);
	if (b->labels->n == 0 || cdp_labels_equal(a->labels, b->labels))
	{
		add_sums(a, b, NULL);
		MemoryContextSwitchTo(old);
		return a;
	}
	own = AllocSetContextCreate(cxt, "cdp merged sums", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(own);
	labels = cdp_labels_union(a->labels, b->labels, &map_a, &map_b);
	if (labels->n == a->labels->n)
	{
		add_sums(a, b, map_b);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(own);
		return a;
	}
	for (int i = 0; i < labels->n; i++)
		labels->name[i] = pstrdup(labels->name[i]);
	sum = cdp_sums_create(copy_options(a->options, own), labels, own);
	add_sums(sum, a, map_a);
	add_sums(sum, b, map_b);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(a->cxt);
	return sum;
}

/* The counts of one Markov order, made from those of the highest; errors when the pass did not count it. */
CdpTransitions *
cdp_sums_transitions(CdpSums *s, int order)
{
	if (order < 1 || order > CDP_MAX_ORDER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid Markov order %d", order),
				 errdetail("Orders go from 1 to %d.", CDP_MAX_ORDER)));
	if (s->transitions == NULL || cdp_transitions_order(s->transitions) < order)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the attribution result does not hold Markov order %d", order),
				 errhint("Add the model 'markov(%d)' to the pass.", order)));
	if (cdp_transitions_order(s->transitions) == order)
		return s->transitions;
	return cdp_transitions_lower(s->transitions, order, &s->budget, s->cxt);
}

/* Errors unless the pass kept distinct paths. */
void
cdp_sums_need_paths(const CdpSums *s)
{
	if (s->paths == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the attribution result does not hold paths"),
				 errhint("Make it with cdp.attribution_options(paths => true).")));
}

/*
 * path_rows.c
 *		Opens a cdp.path_partial: nodes, links, whole paths and loops.
 *
 * Where only the labels that most paths go through are asked for, the rest of
 * each step becomes one node. Paths add, so its numbers are exact; customers add
 * only when each has one path, and are NULL where they do not.
 */
#include "journey/path.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

/* The parts of a result that a call shows. */
typedef struct Shown
{
	ReturnSetInfo *rsinfo;
	CdpOutcome *out;
	const CdpPathOptions *options;
	bool		backwards;
	bool		customers_add;
	uint32		other;			/* the number in place of labels that are not shown */
	bool	   *kept;			/* [entry] of nodes */
	CdpTally   *tally;			/* nodes and links with the others together */
} Shown;

/* Words that stand for no label; a label of that name is put in double quotes. */
#define WORD_END "(end)"
#define WORD_BEGIN "(begin)"
#define WORD_MORE "(more)"
#define WORD_OTHER "(other)"

/* The name of a label, or the word that stands in place of one. */
static const char *
label_name(const Shown *s, uint32 number)
{
	const char *name;

	if (number == CDP_LABEL_ENDS)
		return s->backwards ? WORD_BEGIN : WORD_END;
	if (number == CDP_LABEL_MORE)
		return WORD_MORE;
	if (number == s->other)
		return WORD_OTHER;
	name = s->out->labels->name[number - CDP_LABEL_BASE];
	if (strcmp(name, WORD_END) == 0 || strcmp(name, WORD_BEGIN) == 0 || strcmp(name, WORD_MORE) == 0 || strcmp(name, WORD_OTHER) == 0)
		return psprintf("\"%s\"", name);
	return name;
}

/* The step as it is shown: 1, 2 ... from the start, or 0, -1 ... back from the end. */
static inline int
step_shown(const Shown *s, int step)
{
	return s->backwards ? -step : step + 1;
}

/* The name of a node: its step and its label. */
static Datum
node_name(const Shown *s, int step, uint32 label)
{
	return CStringGetTextDatum(psprintf("%d %s", step_shown(s, step), label_name(s, label)));
}

/* Orders nodes of one step: more paths first, then by label. */
static int
compare_nodes(const void *a, const void *b)
{
	const CdpTallyEntry *x = *(CdpTallyEntry *const *) a;
	const CdpTallyEntry *y = *(CdpTallyEntry *const *) b;

	CHECK_FOR_INTERRUPTS();
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	/* In the order in which they were read, which is that of their keys. */
	return (x > y) - (x < y);
}

/* Marks the nodes that are shown by themselves. */
static void
keep_nodes(Shown *s, int top)
{
	const CdpTally *t = s->out->tally;
	CdpTallyEntry **order = cdp_tally_sorted(t);
	uint32		next;

	s->kept = MemoryContextAllocExtended(CurrentMemoryContext, Max((Size) t->n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < t->n && cdp_tally_key(t, order[i])[0] == CDP_KEY_NODE; i = next)
	{
		next = i;
		while (next < t->n && cdp_tally_key(t, order[next])[0] == CDP_KEY_NODE &&
			   cdp_tally_key(t, order[next])[1] == cdp_tally_key(t, order[i])[1])
			next++;
		qsort(order + i, next - i, sizeof(CdpTallyEntry *), compare_nodes);
		for (uint32 k = i; k < next && k - i < (uint32) top; k++)
			s->kept[order[k] - t->entry] = true;
	}
	pfree(order);
}

/* The label of a node, or the number of all others. */
static uint32
shown_label(const Shown *s, int step, uint32 label)
{
	uint32		key[3] = {CDP_KEY_NODE, step, label};
	const CdpTallyEntry *e;

	if (label < CDP_LABEL_BASE)
		return label;
	e = cdp_tally_find(s->out->tally, key, 3);
	return e != NULL && s->kept[e - s->out->tally->entry] ? label : s->other;
}

/* The step that the later end of a link is at. */
static inline int
later_step(const Shown *s, int step, uint32 from)
{
	if (!s->backwards)
		return step + 1;
	return from < CDP_LABEL_BASE ? step : step - 1;
}

/* Puts nodes and links together, with the others of each step as one. */
static void
fold(Shown *s, int top)
{
	const CdpTally *t = s->out->tally;

	keep_nodes(s, top);
	s->tally = cdp_tally_create(CurrentMemoryContext);
	for (uint32 i = 0; i < t->n; i++)
	{
		const CdpTallyEntry *e = &t->entry[i];
		uint32		key[4];
		CdpTallyEntry *into;

		CHECK_FOR_INTERRUPTS();
		if (e->n > 4 || cdp_tally_key(t, e)[0] > CDP_KEY_LINK)
			continue;
		memcpy(key, cdp_tally_key(t, e), sizeof(uint32) * e->n);
		if (key[0] == CDP_KEY_LINK)
		{
			int			to_step = later_step(s, key[1], key[2]);

			key[2] = shown_label(s, key[1], key[2]);
			key[3] = shown_label(s, to_step, key[3]);
		}
		else
			key[2] = shown_label(s, key[1], key[2]);
		into = cdp_tally_entry(s->tally, key, e->n);
		into->seen++;
		cdp_tally_add(s->tally, into, e);
	}
	for (uint32 i = 0; i < s->tally->n; i++)
		cdp_spans_sort(&s->tally->entry[i].times);
}

/* Opens the result of a call; false for NULL. */
static bool
open_result(FunctionCallInfo fcinfo, Shown *s, int *top)
{
	s->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return false;
	s->out = cdp_outcome_from_datum(&cdp_path_kind, PG_GETARG_DATUM(0), CurrentMemoryContext);
	s->options = s->out->options;
	s->backwards = cdp_path_backwards(s->options);
	s->customers_add = s->out->counter[CDP_COUNT_PATHS] == s->out->counter[CDP_COUNT_CUSTOMERS];
	s->other = s->out->labels->n + CDP_LABEL_BASE;
	*top = PG_NARGS() < 2 || PG_ARGISNULL(1) ? PG_INT32_MAX : PG_GETARG_INT32(1);
	if (*top < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("top must be above 0"),
				 errdetail("It is %d.", *top),
				 errhint("Leave it out to see all.")));
	return true;
}

/* Fills paths, customers and the share of all paths. */
static void
put_counts(const Shown *s, const CdpTallyEntry *e, Datum *values, bool *nulls)
{
	values[0] = Int64GetDatum(e->count);
	values[1] = Int64GetDatum(e->customers);
	nulls[1] = e->seen > 1 && !s->customers_add;
	values[2] = cdp_share(e->count, s->out->counter[CDP_COUNT_PATHS], &nulls[2]);
}

/* How many paths of a node have nothing beyond it. */
static Datum
beyond_node(const Shown *s, const uint32 *node, uint32 beyond)
{
	uint32		key[4] = {CDP_KEY_LINK, node[1], s->backwards ? beyond : node[2], s->backwards ? node[2] : beyond};
	const CdpTallyEntry *e = cdp_tally_find(s->tally, key, 4);

	return Int64GetDatum(e == NULL ? 0 : e->count);
}

CDP_FUNCTION(cdp_path_nodes);

/* cdp.path_nodes(partial, top): one row for each step and label. */
Datum
cdp_path_nodes(PG_FUNCTION_ARGS)
{
	Shown		s;
	int			top;
	CdpTallyEntry **order;

	if (!open_result(fcinfo, &s, &top))
		return (Datum) 0;
	fold(&s, top);
	order = cdp_tally_sorted(s.tally);
	for (uint32 i = 0; i < s.tally->n && cdp_tally_key(s.tally, order[i])[0] == CDP_KEY_NODE; i++)
	{
		const uint32 *key = cdp_tally_key(s.tally, order[i]);
		Datum		values[8];
		bool		nulls[8] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = node_name(&s, key[1], key[2]);
		values[1] = Int32GetDatum(step_shown(&s, key[1]));
		values[2] = CStringGetTextDatum(label_name(&s, key[2]));
		put_counts(&s, order[i], values + 3, nulls + 3);
		values[6] = beyond_node(&s, key, CDP_LABEL_ENDS);
		values[7] = beyond_node(&s, key, CDP_LABEL_MORE);
		tuplestore_putvalues(s.rsinfo->setResult, s.rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

CDP_FUNCTION(cdp_path_links);

/* cdp.path_links(partial, top): one row for each step and pair of labels. */
Datum
cdp_path_links(PG_FUNCTION_ARGS)
{
	Shown		s;
	int			top;
	CdpTallyEntry **order;

	if (!open_result(fcinfo, &s, &top))
		return (Datum) 0;
	fold(&s, top);
	order = cdp_tally_sorted(s.tally);
	for (uint32 i = 0; i < s.tally->n; i++)
	{
		const uint32 *key = cdp_tally_key(s.tally, order[i]);
		uint32		from[3] = {CDP_KEY_NODE, key[1], key[2]};
		int			step = key[1];
		const CdpTallyEntry *node;
		Datum		values[12];
		bool		nulls[12] = {false};

		if (key[0] != CDP_KEY_LINK)
			continue;
		CHECK_FOR_INTERRUPTS();
		node = key[2] < CDP_LABEL_BASE ? NULL : cdp_tally_find(s.tally, from, 3);
		/* What lies before the first row of a path that goes back is one step earlier. */
		if (s.backwards && key[2] < CDP_LABEL_BASE)
			step++;
		values[0] = Int32GetDatum(step_shown(&s, step));
		values[1] = node_name(&s, step, key[2]);
		values[2] = node_name(&s, s.backwards ? step - 1 : step + 1, key[3]);
		values[3] = CStringGetTextDatum(label_name(&s, key[2]));
		values[4] = CStringGetTextDatum(label_name(&s, key[3]));
		put_counts(&s, order[i], values + 5, nulls + 5);
		values[8] = cdp_share(order[i]->count, node == NULL ? 0 : node->count, &nulls[8]);
		cdp_spans_put(&order[i]->times, values + 9, nulls + 9);
		tuplestore_putvalues(s.rsinfo->setResult, s.rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The labels of a whole path as text[]. */
static Datum
steps_datum(const Shown *s, const CdpTallyEntry *e)
{
	const uint32 *key = cdp_tally_key(s->out->tally, e);
	Datum	   *label = palloc(sizeof(Datum) * e->n);

	for (uint32 k = 2; k < e->n; k++)
		label[k - 2] = CStringGetTextDatum(s->out->labels->name[key[k] - CDP_LABEL_BASE]);
	return PointerGetDatum(construct_array(label, e->n - 2, TEXTOID, -1, false, TYPALIGN_INT));
}

/* One row of cdp.path_top; rank 0 stands for all other paths. */
static void
put_path(const Shown *s, int rank, CdpTallyEntry *e)
{
	Datum		values[9];
	bool		nulls[9] = {false};

	nulls[0] = nulls[1] = nulls[2] = rank == 0;
	values[0] = Int32GetDatum(rank);
	if (rank > 0)
	{
		values[1] = steps_datum(s, e);
		values[2] = BoolGetDatum(cdp_tally_key(s->out->tally, e)[1] == 1);
	}
	put_counts(s, e, values + 3, nulls + 3);
	cdp_spans_sort(&e->times);
	cdp_spans_put(&e->times, values + 6, nulls + 6);
	tuplestore_putvalues(s->rsinfo->setResult, s->rsinfo->setDesc, values, nulls);
}

CDP_FUNCTION(cdp_path_top);

/* cdp.path_top(partial, top): the whole paths that most paths are, and all others as one row. */
Datum
cdp_path_top(PG_FUNCTION_ARGS)
{
	Shown		s;
	int			top;
	CdpTally   *t;
	CdpTallyEntry **path;
	uint32		n = 0;
	CdpTallyEntry rest = {0};

	if (!open_result(fcinfo, &s, &top))
		return (Datum) 0;
	if (!s.options->whole_paths)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the result holds no whole paths"),
				 errhint("Make it without cdp.path_options(whole_paths => false).")));
	t = s.out->tally;
	path = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(CdpTallyEntry *) * Max((Size) t->n, 1));
	for (uint32 i = 0; i < t->n; i++)
		if (cdp_tally_key(t, &t->entry[i])[0] == CDP_KEY_PATH)
			path[n++] = &t->entry[i];
	qsort(path, n, sizeof(CdpTallyEntry *), compare_nodes);
	for (uint32 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i < (uint32) top)
			put_path(&s, (int) i + 1, path[i]);
		else
		{
			rest.seen++;
			cdp_tally_add(t, &rest, path[i]);
		}
	}
	if (rest.seen > 0)
		put_path(&s, 0, &rest);
	return (Datum) 0;
}

CDP_FUNCTION(cdp_path_loops);

/* cdp.path_loops(partial): one row for each label that paths come back to. */
Datum
cdp_path_loops(PG_FUNCTION_ARGS)
{
	Shown		s;
	int			top;

	if (!open_result(fcinfo, &s, &top))
		return (Datum) 0;
	for (uint32 label = CDP_LABEL_BASE; label < s.other; label++)
	{
		uint32		key[3] = {CDP_KEY_LOOP, 0, label};
		const CdpTallyEntry *self = cdp_tally_find(s.out->tally, key, 3);
		const CdpTallyEntry *back = (key[1] = 1, cdp_tally_find(s.out->tally, key, 3));
		CdpTallyEntry none = {0};
		Datum		values[8];
		bool		nulls[8] = {false};

		CHECK_FOR_INTERRUPTS();
		if (self == NULL && back == NULL)
			continue;
		self = self == NULL ? &none : self;
		back = back == NULL ? &none : back;
		values[0] = CStringGetTextDatum(s.out->labels->name[label - CDP_LABEL_BASE]);
		values[1] = Int64GetDatum(self->count);
		values[2] = Int64GetDatum(self->customers);
		values[3] = Int64GetDatum(back->count);
		values[4] = Int64GetDatum(back->customers);
		cdp_spans_put(&back->times, values + 5, nulls + 5);
		tuplestore_putvalues(s.rsinfo->setResult, s.rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * path_pass.c
 *		The aggregate cdp.path_pass: rows in, one result of type
 *		cdp.path_partial out.
 *
 * All rows of a customer are one sequence, or several where a gap divides them.
 * In a sequence a path begins at its first row, or at rows with a starting label,
 * or goes back from rows with an ending label, or lies between both.
 */
#include "journey/path.h"

#include "base/option.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_LABEL 3
#define ARG_OPTIONS 4
#define ARG_ID 5

/* What a label does. */
#define STARTS 1
#define ENDS 2
#define LEFT_OUT 4

static const char *const occurrence_words[] = {"first", "every"};

static const CdpField path_field[] = {
	CDP_FIELD(CdpPathOptions, starts, TEXTS),
	CDP_FIELD(CdpPathOptions, ends, TEXTS),
	CDP_FIELD_WORDS(CdpPathOptions, occurrence, occurrence_words),
	CDP_FIELD(CdpPathOptions, labels, TEXTS),
	CDP_FIELD(CdpPathOptions, leave_out, TEXTS),
	CDP_FIELD(CdpPathOptions, collapse, BOOL),
	CDP_FIELD(CdpPathOptions, gap, DURATION),
	CDP_FIELD(CdpPathOptions, within, DURATION),
	CDP_FIELD(CdpPathOptions, max_steps, COUNT),
	CDP_FIELD(CdpPathOptions, whole_paths, BOOL),
	CDP_FIELD(CdpPathOptions, durations, BOOL),
	CDP_FIELD(CdpPathOptions, since, TIME),
	CDP_FIELD(CdpPathOptions, until, TIME),
	CDP_FIELD(CdpPathOptions, as_of, TIME),
};

static void path_defaults(void *options);
static void path_check(void *options);
static bool path_valid(const CdpOutcome *out, const CdpTallyEntry *e);

static const CdpFields path_fields = {
	"path", "cdp.path_options", path_field, lengthof(path_field), sizeof(CdpPathOptions),
	path_defaults, path_check, NULL, NULL,
};

const CdpOutcomeKind cdp_path_kind = {
	"cdp.path_partial", "cdp.path_pass", &path_fields, true, path_valid, NULL,
};

CDP_OUTCOME_FUNCTIONS(path, cdp_path_kind)

/* A row of a sequence. */
typedef struct PathRow
{
	int64		at;
	uint32		label;			/* its place among the sorted ones */
	int			use;
} PathRow;

typedef struct PathPass
{
	CdpJourneyPass base;
	CdpPathOptions *options;
	CdpOutcome *out;
	bool		has_id;
	uint8	   *use;			/* [label] */
	uint32		use_room;

	/* while it finishes */
	uint32	   *label_at;		/* number of the label at each place */
	PathRow    *row;			/* of the customer at hand */
	int			row_room;
} PathPass;

/* Ten steps of everything. */
static void
path_defaults(void *options)
{
	CdpPathOptions *o = options;

	o->gap = o->within = PG_INT64_MAX;
	o->max_steps = 10;
	o->whole_paths = o->durations = true;
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
}

/* Refuses options that contradict each other. */
static void
path_check(void *options)
{
	CdpPathOptions *o = options;

	if (o->max_steps < 2 || o->max_steps > CDP_MAX_PATH)
		cdp_fields_bad(&path_fields, "max_steps", "A number from 2 to 100");
	if (o->since >= o->until)
		cdp_fields_bad(&path_fields, "since", "A time before \"until\"");
	if (o->occurrence == 1 && o->starts.n == 0 && o->ends.n == 0)
		cdp_fields_bad(&path_fields, "occurrence", "Nothing, as there are no \"starts\" or \"ends\",");
	for (int i = 0; i < o->leave_out.n; i++)
		if (cdp_texts_have(&o->starts, o->leave_out.item[i]) || cdp_texts_have(&o->ends, o->leave_out.item[i]) ||
			cdp_texts_have(&o->labels, o->leave_out.item[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("label \"%s\" is left out and asked for", o->leave_out.item[i]),
					 errhint("Take it out of \"leave_out\", or out of \"starts\", \"ends\" and \"labels\".")));
}

/* Checks a count that came from outside. */
static bool
path_valid(const CdpOutcome *out, const CdpTallyEntry *e)
{
	const CdpPathOptions *o = out->options;
	const uint32 *key = cdp_tally_key(out->tally, e);
	bool		timed = o->durations;

	if (e->n < 3 || e->customers < 1 || e->value != 0)
		return false;
	switch (key[0])
	{
		case CDP_KEY_NODE:
			return e->n == 3 && key[1] < (uint32) o->max_steps && key[2] >= CDP_LABEL_BASE && e->times.n == 0;
		case CDP_KEY_LINK:
			timed = timed && key[2] >= CDP_LABEL_BASE && e->n == 4 && key[3] >= CDP_LABEL_BASE;
			return e->n == 4 && key[1] < (uint32) o->max_steps && (key[2] >= CDP_LABEL_BASE || key[3] >= CDP_LABEL_BASE) &&
				e->times.n == (timed ? e->count : 0);
		case CDP_KEY_LOOP:
			return e->n == 3 && key[1] <= 1 && key[2] >= CDP_LABEL_BASE && e->times.n == (timed ? e->count : 0);
		case CDP_KEY_PATH:
			for (uint32 k = 2; k < e->n; k++)
				if (key[k] < CDP_LABEL_BASE)
					return false;
			return o->whole_paths && key[1] <= 1 && e->n <= (uint32) o->max_steps + 2 && e->times.n == (timed ? e->count : 0);
		default:
			return false;
	}
}

/* Finds out what a new label does. */
static void
learn_label(PathPass *pass, uint32 number)
{
	const CdpPathOptions *o = pass->options;
	const char *name = cdp_journey_label(&pass->base.labels, number);
	bool		starts = cdp_texts_have(&o->starts, name);
	bool		ends = cdp_texts_have(&o->ends, name);

	if (number == pass->use_room)
	{
		pass->use_room *= 2;
		pass->use = repalloc_huge(pass->use, pass->use_room);
	}
	pass->use[number] = (starts ? STARTS : 0) | (ends ? ENDS : 0) |
		(cdp_texts_have(&o->leave_out, name) || (o->labels.n > 0 && !starts && !ends && !cdp_texts_have(&o->labels, name)) ? LEFT_OUT : 0);
}

/* Makes the labels of a list known. */
static void
name_labels(PathPass *pass, const CdpTexts *list)
{
	for (int i = 0; i < list->n; i++)
	{
		uint32		before = pass->base.labels.n;
		uint32		number = cdp_journey_named(&pass->base, list->item[i]);

		if (number >= before)
			learn_label(pass, number);
	}
}

/* Starts a pass at its first row. */
static PathPass *
start_pass(FunctionCallInfo fcinfo)
{
	PathPass   *pass = cdp_journey_start(fcinfo, sizeof(PathPass), ARG_KEY, ARG_LABEL, ARG_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(pass->base.cxt);

	pass->options = cdp_fields_read(&path_fields, pass->base.given, pass->base.cxt);
	pass->out = cdp_outcome_create(&cdp_path_kind, pass->options, pass->base.cxt);
	pass->has_id = PG_NARGS() > ARG_ID;
	cdp_journey_store(fcinfo, &pass->base, pass->has_id);
	pass->use_room = 64;
	pass->use = palloc(pass->use_room);
	name_labels(pass, &pass->options->starts);
	name_labels(pass, &pass->options->ends);
	name_labels(pass, &pass->options->labels);
	name_labels(pass, &pass->options->leave_out);
	/* Where the options name all that count, the others cost nothing. */
	pass->base.labels.closed = pass->options->labels.n > 0;
	MemoryContextSwitchTo(old);
	return pass;
}

CDP_FUNCTION(cdp_path_add);

/* One row of cdp.path_pass; the state lives in the aggregate's context. */
Datum
cdp_path_add(PG_FUNCTION_ARGS)
{
	PathPass   *pass;
	CdpIntern  *labels;
	uint32		before;
	uint32		label;
	uint64		key[2];
	uint64	   *row;
	int64		at;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (PathPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->base.vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->base.given, "path");
	}
	pass->out->counter[CDP_COUNT_ROWS]++;
	if (PG_ARGISNULL(ARG_LABEL))
		PG_RETURN_POINTER(pass);
	labels = &pass->base.labels;
	before = labels->n;
	label = cdp_intern_label(labels, PG_GETARG_DATUM(ARG_LABEL), labels->is_int);
	if (unlikely(labels->n > before))
		learn_label(pass, label);
	if (label == CDP_NO_LABEL || (pass->use[label] & LEFT_OUT) != 0)
		PG_RETURN_POINTER(pass);
	if (!cdp_outcome_takes(fcinfo, pass->out, ARG_KEY, ARG_AT, pass->options->as_of, &at))
		PG_RETURN_POINTER(pass);
	cdp_journey_key(fcinfo, &pass->base, ARG_KEY, key);
	row = cdp_journey_row(&pass->base, key, at, label);
	if (row != NULL)
		row[pass->base.store->extra_word] = (uint64) (PG_ARGISNULL(ARG_ID) ? PG_INT64_MAX : PG_GETARG_INT64(ARG_ID));
	cdp_store_count(pass->base.store);
	PG_RETURN_POINTER(pass);
}

/* Orders rows of one time: by id where there is one, then by label. */
static int
compare_ties(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpKeyRows *rows = arg;
	const PathPass *pass = rows->arg;
	int			c = !pass->has_id ? 0 : cdp_compare_int64(cdp_key_word(rows, cdp_key_row(rows, a), 0), cdp_key_word(rows, cdp_key_row(rows, b), 0));

	return c != 0 ? c : cdp_compare_int64(a->rank, b->rank);
}

/* Counts a link, with the time that it took when both its ends are rows. */
static void
count_link(PathPass *pass, int step, uint32 from, uint32 to, int64 took)
{
	CdpTally   *t = pass->out->tally;
	uint32		key[4] = {CDP_KEY_LINK, step, from, to};
	CdpTallyEntry *e = cdp_tally_count(t, key, 4);

	if (pass->options->durations && took >= 0)
		cdp_span_add(&t->memory, &e->times, took);
}

/* Counts the ways back to a label: at once, or after others. */
static void
count_loops(PathPass *pass, const PathRow *row, int n)
{
	CdpTally   *t = pass->out->tally;

	for (int i = 1; i < n; i++)
	{
		int			k = i - 1;
		uint32		key[3] = {CDP_KEY_LOOP, 0, row[i].label + CDP_LABEL_BASE};
		CdpTallyEntry *e;

		while (k >= 0 && row[k].label != row[i].label)
			k--;
		if (k < 0)
			continue;
		key[1] = k < i - 1;
		e = cdp_tally_count(t, key, 3);
		if (pass->options->durations)
			cdp_span_add(&t->memory, &e->times, cdp_distance(row[k].at, row[i].at));
	}
}

/* Counts a path of n rows; more tells whether rows were cut off, at its beginning when it goes back from an end. */
static void
count_path(PathPass *pass, const PathRow *row, int n, bool more)
{
	CdpTally   *t = pass->out->tally;
	bool		backwards = cdp_path_backwards(pass->options);
	uint32		beyond = more ? CDP_LABEL_MORE : CDP_LABEL_ENDS;
	uint32		key[CDP_MAX_PATH + 2] = {CDP_KEY_PATH, more};

	pass->out->counter[CDP_COUNT_PATHS]++;
	for (int i = 0; i < n; i++)
	{
		uint32		label = row[i].label + CDP_LABEL_BASE;
		uint32		node[3] = {CDP_KEY_NODE, backwards ? n - 1 - i : i, label};

		key[i + 2] = label;
		(void) cdp_tally_count(t, node, 3);
		if (i > 0)
			count_link(pass, backwards ? n - i : i - 1, row[i - 1].label + CDP_LABEL_BASE, label, cdp_distance(row[i - 1].at, row[i].at));
	}
	if (backwards)
		count_link(pass, n - 1, beyond, row[0].label + CDP_LABEL_BASE, -1);
	else
		count_link(pass, n - 1, row[n - 1].label + CDP_LABEL_BASE, beyond, -1);
	count_loops(pass, row, n);
	if (pass->options->whole_paths)
	{
		CdpTallyEntry *e = cdp_tally_count(t, key, n + 2);

		if (pass->options->durations)
			cdp_span_add(&t->memory, &e->times, cdp_distance(row[0].at, row[n - 1].at));
	}
}

/* Whether a path that is anchored at a time is asked for. */
static inline bool
is_asked(const CdpPathOptions *o, int64 at)
{
	return at >= o->since && at < o->until;
}

/* Paths from the first row of a sequence, or from its starting rows. */
static void
paths_forward(PathPass *pass, const PathRow *row, int n)
{
	const CdpPathOptions *o = pass->options;

	for (int i = 0; i < n; i++)
	{
		int			end = i + 1;

		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if (o->starts.n > 0 && (row[i].use & STARTS) == 0)
			continue;
		while (end < n && end - i < o->max_steps && !cdp_is_beyond(o->within, row[i].at, row[end].at))
			end++;
		if (is_asked(o, row[i].at))
			count_path(pass, row + i, end - i, end < n && !cdp_is_beyond(o->within, row[i].at, row[end].at));
		if (o->occurrence == 0)
			break;
	}
}

/* Paths that lead to the ending rows of a sequence. */
static void
paths_backward(PathPass *pass, const PathRow *row, int n)
{
	const CdpPathOptions *o = pass->options;

	for (int i = 0; i < n; i++)
	{
		int			begin = i;

		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if ((row[i].use & ENDS) == 0)
			continue;
		while (begin > 0 && i - begin + 1 < o->max_steps && !cdp_is_beyond(o->within, row[begin - 1].at, row[i].at))
			begin--;
		if (is_asked(o, row[i].at))
			count_path(pass, row + begin, i - begin + 1, begin > 0 && !cdp_is_beyond(o->within, row[begin - 1].at, row[i].at));
		if (o->occurrence == 0)
			break;
	}
}

/* Paths from a starting row to the first ending row after it; the next one starts where that one ends, or later. */
static void
paths_between(PathPass *pass, const PathRow *row, int n)
{
	const CdpPathOptions *o = pass->options;
	int			end = 0;

	for (int i = 0; i < n; i++)
	{
		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if ((row[i].use & STARTS) == 0)
			continue;
		if (end <= i)
			for (end = i + 1; end < n && (row[end].use & ENDS) == 0;)
				end++;
		if (end == n)
			break;
		/* Too far from this start, the end may still be near enough to a later one. */
		if (cdp_is_beyond(o->within, row[i].at, row[end].at))
			continue;
		if (is_asked(o, row[i].at))
			count_path(pass, row + i, Min(end - i + 1, o->max_steps), end - i + 1 > o->max_steps);
		if (o->occurrence == 0)
			break;
		i = end - 1;
	}
}

/* The paths of one sequence. */
static void
visit_sequence(PathPass *pass, const PathRow *row, int n)
{
	if (cdp_path_backwards(pass->options))
		paths_backward(pass, row, n);
	else if (pass->options->ends.n > 0)
		paths_between(pass, row, n);
	else
		paths_forward(pass, row, n);
}

/* Cuts the rows of one customer into sequences, without repeats when they are collapsed. */
static void
visit_customer(const CdpKeyRows *rows)
{
	PathPass   *pass = rows->arg;
	const CdpPathOptions *o = pass->options;
	int64		before = pass->out->counter[CDP_COUNT_PATHS];
	int			n = 0;

	if (rows->n > pass->row_room)
	{
		pass->row_room = rows->n + rows->n / 4;
		if (pass->row != NULL)
			pfree(pass->row);
		pass->row = MemoryContextAllocHuge(pass->base.cxt, sizeof(PathRow) * (Size) pass->row_room);
	}
	pass->out->tally->customer++;
	for (int i = 0; i < rows->n; i++)
	{
		const CdpItem *item = &rows->item[i];

		if (i > 0 && cdp_is_beyond(o->gap, item[-1].at, item->at))
		{
			visit_sequence(pass, pass->row, n);
			n = 0;
		}
		if (o->collapse && n > 0 && pass->row[n - 1].label == item->rank)
			continue;
		pass->row[n++] = (PathRow) {item->at, item->rank, pass->use[pass->label_at[item->rank]]};
	}
	visit_sequence(pass, pass->row, n);
	pass->out->counter[CDP_COUNT_CUSTOMERS] += pass->out->counter[CDP_COUNT_PATHS] > before;
}

CDP_FUNCTION(cdp_path_final);

/* The final function: paths, their counts, and the bytes of these in the caller's context. */
Datum
cdp_path_final(PG_FUNCTION_ARGS)
{
	PathPass   *pass;
	MemoryContext old;
	uint32	   *rank;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (PathPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->base.cxt);
	pass->out->labels = cdp_intern_sorted(&pass->base.labels, &rank);
	pass->label_at = MemoryContextAllocHuge(pass->base.cxt, sizeof(uint32) * Max((Size) pass->base.labels.n, 1));
	for (uint32 i = 0; i < pass->base.labels.n; i++)
		pass->label_at[rank[i]] = i;
	MemoryContextSwitchTo(old);
	return cdp_outcome_finish(&pass->base, pass->out, rank, compare_ties, visit_customer);
}

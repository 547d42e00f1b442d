/*
 * retention.c
 *		Retention: customers by the period they came in, and how many of them
 *		came back in each period after it.
 *
 * A row is kept as its time, its value and whether its label makes a customer
 * enter a cohort or come back; all else is forgotten at once.
 */
#include "journey/outcome.h"

#include "base/calendar.h"
#include "base/micro.h"
#include "base/option.h"
#include "funcapi.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_LABEL 3
#define ARG_OPTIONS 4
#define ARG_VALUE 5

#define MOST_PERIODS 1000

/* What a label does. */
#define ENTERS 1
#define RETURNS 2
#define CLASSES 4

/* Kinds of counts; both go on with the number of the cohort's period. */
#define KEY_SIZE 0				/* customers of a cohort */
#define KEY_CELL 1				/* then the period: those who came back */

typedef enum RetentionKind
{
	RETENTION_EXACT,
	RETENTION_ROLLING,
	RETENTION_UNBOUNDED,
	RETENTION_CUMULATIVE
} RetentionKind;

typedef struct RetentionOptions
{
	CdpTexts	cohort_labels;	/* none = every row */
	CdpTexts	return_labels;
	int			entry;			/* 1 = into each period with a row */
	int			kind;
	CdpPeriod	period;
	int			periods;
	int			counted;		/* 1 = from the customer's own entry */
	bool		entry_returns;
	char	   *time_zone;
	int64		since;
	int64		until;
	int64		as_of;
} RetentionOptions;

static const char *const entry_words[] = {"first", "each_period"};
static const char *const kind_words[] = {"exact", "rolling", "unbounded", "cumulative"};
static const char *const counted_words[] = {"calendar", "entry"};

static const CdpField retention_field[] = {
	CDP_FIELD(RetentionOptions, cohort_labels, TEXTS),
	CDP_FIELD(RetentionOptions, return_labels, TEXTS),
	CDP_FIELD_WORDS(RetentionOptions, entry, entry_words),
	CDP_FIELD_WORDS(RetentionOptions, kind, kind_words),
	CDP_FIELD(RetentionOptions, period, PERIOD),
	CDP_FIELD(RetentionOptions, periods, COUNT),
	CDP_FIELD_WORDS(RetentionOptions, counted, counted_words),
	CDP_FIELD(RetentionOptions, entry_returns, BOOL),
	CDP_FIELD(RetentionOptions, time_zone, ZONE),
	CDP_FIELD(RetentionOptions, since, TIME),
	CDP_FIELD(RetentionOptions, until, TIME),
	CDP_FIELD(RetentionOptions, as_of, TIME),
};

static void retention_defaults(void *options);
static void retention_check(void *options);
static bool retention_valid(const CdpOutcome *out, const CdpTallyEntry *e);

static const CdpFields retention_fields = {
	"retention", "cdp.retention_options", retention_field, lengthof(retention_field), sizeof(RetentionOptions),
	retention_defaults, retention_check, NULL, NULL,
};

static const CdpOutcomeKind retention_kind = {
	"cdp.retention_partial", "cdp.retention_pass", &retention_fields, false, retention_valid, NULL,
};

CDP_OUTCOME_FUNCTIONS(retention, retention_kind)

typedef struct RetentionPass
{
	CdpJourneyPass base;
	RetentionOptions *options;
	CdpOutcome *out;
	CdpCalendar *calendar;
	bool		valued;
	uint8	   *use;			/* [label that the options name] */
	uint8		other_use;		/* of all other labels, and of none */

	/* while it finishes */
	int64	   *number;			/* [row of the customer] of its period */
	int			number_room;
	int64	   *rows;			/* [period] that came back, the last one for all later ones */
	int128	   *value;
} RetentionPass;

/* Weeks of UTC, twelve of them. */
static void
retention_defaults(void *options)
{
	RetentionOptions *o = options;

	o->period.days = 7;
	o->periods = 12;
	o->time_zone = "UTC";
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
}

/* Refuses options that contradict each other. */
static void
retention_check(void *options)
{
	RetentionOptions *o = options;

	if (o->periods > MOST_PERIODS)
		cdp_fields_bad(&retention_fields, "periods", "A number up to 1000");
	if (o->since >= o->until)
		cdp_fields_bad(&retention_fields, "since", "A time before \"until\"");
}

/* Checks a count that came from outside; those of cohorts come first. */
static bool
retention_valid(const CdpOutcome *out, const CdpTallyEntry *e)
{
	const RetentionOptions *o = out->options;
	const uint32 *key = cdp_tally_key(out->tally, e);
	uint32		size_key[3] = {KEY_SIZE};
	const CdpTallyEntry *size;
	int64		number;

	if (e->n < 3 || e->count < 1 || e->customers != e->count || e->times.n > 0)
		return false;
	number = cdp_tally_number(key + 1);
	if (number > CDP_LAST_PERIOD || number < -CDP_LAST_PERIOD)
		return false;
	if (key[0] == KEY_SIZE)
		return e->n == 3 && e->value == 0;
	memcpy(size_key + 1, key + 1, sizeof(uint32) * 2);
	size = cdp_tally_find(out->tally, size_key, 3);
	return key[0] == KEY_CELL && e->n == 4 && key[3] <= (uint32) o->periods && size != NULL && e->count <= size->count;
}

/* Makes the labels of a list known; they do what all do, and this. */
static void
name_labels(RetentionPass *pass, const CdpTexts *list, uint8 use)
{
	for (int i = 0; i < list->n; i++)
	{
		uint32		before = pass->base.labels.n;
		uint32		number = cdp_journey_named(&pass->base, list->item[i]);

		if (number >= before)
			pass->use[number] = pass->other_use;
		pass->use[number] |= use;
	}
}

/* Starts a pass at its first row. */
static RetentionPass *
start_pass(FunctionCallInfo fcinfo)
{
	RetentionPass *pass = cdp_journey_start(fcinfo, sizeof(RetentionPass), ARG_KEY, ARG_LABEL, ARG_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(pass->base.cxt);
	const RetentionOptions *o;

	pass->options = cdp_fields_read(&retention_fields, pass->base.given, pass->base.cxt);
	pass->out = cdp_outcome_create(&retention_kind, pass->options, pass->base.cxt);
	pass->calendar = cdp_calendar_create(pass->options->time_zone, pass->options->period, pass->base.cxt);
	pass->valued = PG_NARGS() > ARG_VALUE;
	cdp_journey_store(fcinfo, &pass->base, pass->valued);
	o = pass->options;
	pass->use = palloc(o->cohort_labels.n + o->return_labels.n + 1);
	/* A list that is not given takes every row. */
	pass->other_use = (o->cohort_labels.n == 0 ? ENTERS : 0) | (o->return_labels.n == 0 ? RETURNS : 0);
	name_labels(pass, &o->cohort_labels, ENTERS);
	name_labels(pass, &o->return_labels, RETURNS);
	pass->base.labels.closed = true;
	MemoryContextSwitchTo(old);
	return pass;
}

/* What the label of a row does. */
static inline int
use_of_row(FunctionCallInfo fcinfo, RetentionPass *pass)
{
	CdpIntern  *labels = &pass->base.labels;
	uint32		number = PG_ARGISNULL(ARG_LABEL) ? CDP_NO_LABEL : cdp_intern_label(labels, PG_GETARG_DATUM(ARG_LABEL), labels->is_int);

	return number == CDP_NO_LABEL ? pass->other_use : pass->use[number];
}

CDP_FUNCTION(cdp_retention_add);

/* One row of cdp.retention_pass; the state lives in the aggregate's context. */
Datum
cdp_retention_add(PG_FUNCTION_ARGS)
{
	RetentionPass *pass;
	uint64		key[2];
	uint64	   *row;
	int64		at;
	int			use;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (RetentionPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->base.vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->base.given, "retention");
	}
	pass->out->counter[CDP_COUNT_ROWS]++;
	if (!cdp_outcome_takes(fcinfo, pass->out, ARG_KEY, ARG_AT, pass->options->as_of, &at) || (use = use_of_row(fcinfo, pass)) == 0)
		PG_RETURN_POINTER(pass);
	cdp_journey_key(fcinfo, &pass->base, ARG_KEY, key);
	row = cdp_journey_row(&pass->base, key, at, use);
	if (row != NULL)
	{
		int64		value = 0;

		if (!PG_ARGISNULL(ARG_VALUE))
			(void) cdp_micro_from_numeric((struct varlena *) PG_GETARG_POINTER(ARG_VALUE), &value);
		row[pass->base.store->extra_word] = (uint64) value;
	}
	cdp_store_count(pass->base.store);
	PG_RETURN_POINTER(pass);
}

/* Rows of one time may be in any order: only their times count. */
static int
no_order(const CdpItem *a, const CdpItem *b, const void *arg)
{
	return 0;
}

/* How many periods after the entry a row lies; in the calendar of a zone whose clock went back none is below zero. */
static inline int64
period_of(RetentionPass *pass, const CdpKeyRows *rows, int entry, int i)
{
	if (pass->options->counted == 1)
		return cdp_calendar_elapsed(pass->calendar, rows->item[entry].at, rows->item[i].at);
	return Max(pass->number[i] - pass->number[entry], 0);
}

/* Sums what a customer did after an entry, by period; the one after the last takes all later ones. */
static void
sum_periods(RetentionPass *pass, const CdpKeyRows *rows, int entry)
{
	const RetentionOptions *o = pass->options;
	int			beyond = o->periods + 1;
	int64		entered = rows->item[entry].at;

	memset(pass->rows, 0, sizeof(int64) * (beyond + 1));
	memset(pass->value, 0, sizeof(int128) * (beyond + 1));
	/* The entry is the first of the rows of its time, in the order at hand. */
	while (entry > 0 && rows->item[entry - 1].at == entered)
		entry--;
	for (int i = entry; i < rows->n; i++)
	{
		int64		n;

		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if ((rows->item[i].rank & RETURNS) == 0 || (rows->item[i].at == entered && !o->entry_returns))
			continue;
		n = period_of(pass, rows, entry, i);
		/* A clock that goes back takes a row back by one period, no more. */
		if (n > beyond && o->kind != RETENTION_UNBOUNDED)
			break;
		n = Min(n, beyond);
		pass->rows[n]++;
		pass->value[n] += cdp_key_word(rows, cdp_key_row(rows, &rows->item[i]), 0);
	}
}

/* Counts a customer in the cohort of an entry. */
static void
count_entry(RetentionPass *pass, const CdpKeyRows *rows, int entry)
{
	const RetentionOptions *o = pass->options;
	CdpTally   *t = pass->out->tally;
	bool		later = o->kind == RETENTION_ROLLING || o->kind == RETENTION_UNBOUNDED;
	int			last = o->kind == RETENTION_UNBOUNDED ? o->periods + 1 : o->periods;
	int64		found = 0;
	int128		value = 0;
	uint32		key[4] = {KEY_SIZE};

	if (rows->item[entry].at < o->since || rows->item[entry].at >= o->until)
		return;
	cdp_tally_put_number(key + 1, pass->number[entry]);
	(void) cdp_tally_count(t, key, 3);
	pass->out->counter[CDP_COUNT_PATHS]++;
	sum_periods(pass, rows, entry);
	key[0] = KEY_CELL;
	for (int step = 0; step <= last; step++)
	{
		int			n = later ? last - step : step;

		found += pass->rows[n];
		value += pass->value[n];
		if (found > 0 && n <= o->periods)
		{
			key[3] = n;
			cdp_tally_count(t, key, 4)->value += value;
		}
		if (o->kind == RETENTION_EXACT)
			found = value = 0;
	}
}

/* Finds the entries of one customer and counts them. */
static void
visit_customer(const CdpKeyRows *rows)
{
	RetentionPass *pass = rows->arg;
	int64		entered[2] = {PG_INT64_MIN, PG_INT64_MIN};
	int64		before = pass->out->counter[CDP_COUNT_PATHS];

	if (rows->n > pass->number_room)
	{
		pass->number_room = rows->n + rows->n / 4;
		if (pass->number != NULL)
			pfree(pass->number);
		pass->number = MemoryContextAllocHuge(pass->base.cxt, sizeof(int64) * (Size) pass->number_room);
	}
	pass->out->tally->customer++;
	for (int i = 0; i < rows->n; i++)
		pass->number[i] = cdp_calendar_number(pass->calendar, rows->item[i].at);
	for (int i = 0; i < rows->n; i++)
	{
		/* A clock that goes back at midnight returns to the day before, which has its entry. */
		if ((rows->item[i].rank & ENTERS) == 0 || pass->number[i] == entered[0] || pass->number[i] == entered[1])
			continue;
		count_entry(pass, rows, i);
		entered[1] = entered[0];
		entered[0] = pass->number[i];
		if (pass->options->entry == 0)
			break;
	}
	pass->out->counter[CDP_COUNT_CUSTOMERS] += pass->out->counter[CDP_COUNT_PATHS] > before;
}

CDP_FUNCTION(cdp_retention_final);

/* The final function: cohorts and returns, and their bytes in the caller's context. */
Datum
cdp_retention_final(PG_FUNCTION_ARGS)
{
	static const uint32 rank[CLASSES] = {0, 1, 2, 3};
	RetentionPass *pass;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (RetentionPass *) PG_GETARG_POINTER(0);
	pass->rows = MemoryContextAlloc(pass->base.cxt, sizeof(int64) * (pass->options->periods + 2));
	pass->value = MemoryContextAlloc(pass->base.cxt, sizeof(int128) * (pass->options->periods + 2));
	return cdp_outcome_finish(&pass->base, pass->out, rank, no_order, visit_customer);
}

/* Whether no later row can change a cell. */
static bool
is_complete(const RetentionOptions *o, const CdpCalendar *calendar, int64 cohort, int n, int64 as_of)
{
	if (o->kind == RETENTION_UNBOUNDED)
		return false;
	if (o->kind == RETENTION_ROLLING)
		n = o->periods;
	/* Who entered last has the n-th period of his own end with the calendar's next one at the latest. */
	return cdp_calendar_start(calendar, cohort + n + 1 + o->counted) <= as_of;
}

CDP_FUNCTION(cdp_retention_table);

/* cdp.retention_table(partial): one row for each cohort and period that has begun. */
Datum
cdp_retention_table(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpOutcome *out;
	const RetentionOptions *o;
	CdpCalendar *calendar;
	CdpTallyEntry **order;
	int64		as_of;

	InitMaterializedSRF(fcinfo, 0);
	out = cdp_outcome_from_datum(&retention_kind, PG_GETARG_DATUM(0), CurrentMemoryContext);
	o = out->options;
	calendar = cdp_calendar_create(o->time_zone, o->period, CurrentMemoryContext);
	as_of = o->as_of != DT_NOEND || out->newest == DT_NOBEGIN ? o->as_of : out->newest + 1;
	order = cdp_tally_sorted(out->tally);
	for (uint32 i = 0; i < out->tally->n && cdp_tally_key(out->tally, order[i])[0] == KEY_SIZE; i++)
	{
		uint32		key[4] = {KEY_CELL, cdp_tally_key(out->tally, order[i])[1], cdp_tally_key(out->tally, order[i])[2]};
		int64		cohort = cdp_tally_number(key + 1);

		CHECK_FOR_INTERRUPTS();
		for (int n = 0; n <= o->periods && cdp_calendar_start(calendar, cohort + n) < as_of; n++)
		{
			const CdpTallyEntry *e;
			Datum		values[7];
			bool		nulls[7] = {false};

			key[3] = n;
			e = cdp_tally_find(out->tally, key, 4);
			values[0] = TimestampTzGetDatum(cdp_calendar_start(calendar, cohort));
			values[1] = Int64GetDatum(order[i]->count);
			values[2] = Int32GetDatum(n);
			values[3] = Int64GetDatum(e == NULL ? 0 : e->count);
			values[4] = cdp_share(e == NULL ? 0 : e->count, order[i]->count, &nulls[4]);
			values[5] = cdp_numeric_from_scaled(e == NULL ? 0 : e->value, 6);
			values[6] = BoolGetDatum(is_complete(o, calendar, cohort, n, as_of));
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

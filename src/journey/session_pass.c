/*
 * session_pass.c
 *		The aggregate cdp.session_pass, and what opens its result of type
 *		cdp.session_partial.
 */
#include "journey/session.h"

#include "base/calendar.h"
#include "base/micro.h"
#include "base/option.h"
#include "funcapi.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_LABEL 3
#define ARG_OPTIONS 4
#define ARG_CAMPAIGN 5
#define ARG_ID 6

/* What a label does. */
#define STARTS 0				/* a row with it comes first among those of its time */
#define OTHER 1

#define NO_CAMPAIGN PG_UINT32_MAX

/* Kinds of counts; each goes on with the number of a period. */
#define KEY_SESSIONS 0			/* value = rows, times = lengths */
#define KEY_ROWS 1				/* times = millionths of rows in a session */
#define KEY_BOUNCES 2			/* sessions of one row */

typedef struct SessionOptions
{
	int64		gap;
	int64		longest;
	CdpTexts	starts;
	CdpPeriod	period;
	char	   *time_zone;
	bool		durations;
	int64		since;
	int64		until;
	int64		as_of;
} SessionOptions;

static const CdpField session_field[] = {
	CDP_FIELD(SessionOptions, gap, DURATION),
	CDP_FIELD(SessionOptions, longest, DURATION),
	CDP_FIELD(SessionOptions, starts, TEXTS),
	CDP_FIELD(SessionOptions, period, PERIOD),
	CDP_FIELD(SessionOptions, time_zone, ZONE),
	CDP_FIELD(SessionOptions, durations, BOOL),
	CDP_FIELD(SessionOptions, since, TIME),
	CDP_FIELD(SessionOptions, until, TIME),
	CDP_FIELD(SessionOptions, as_of, TIME),
};

static void session_defaults(void *options);
static void session_check(void *options);
static bool session_valid(const CdpOutcome *out, const CdpTallyEntry *e);

static const CdpFields session_fields = {
	"session", "cdp.session_options", session_field, lengthof(session_field), sizeof(SessionOptions),
	session_defaults, session_check, NULL, NULL,
};

static const CdpOutcomeKind session_kind = {
	"cdp.session_partial", "cdp.session_pass", &session_fields, false, session_valid, NULL,
};

CDP_OUTCOME_FUNCTIONS(session, session_kind)

typedef struct SessionPass
{
	CdpJourneyPass base;
	SessionOptions *options;
	CdpOutcome *out;
	CdpCalendar *calendar;
	bool		has_campaign;
	bool		has_id;
	CdpIntern	campaigns;

	/* while it finishes */
	uint32	   *campaign_rank;
	bool		bounced;		/* the customer at hand has had a session of one row */
} SessionPass;

/* Half an hour apart, by days of UTC. */
static void
session_defaults(void *options)
{
	SessionOptions *o = options;

	o->gap = CDP_SESSION_GAP;
	o->longest = PG_INT64_MAX;
	o->period.days = 1;
	o->time_zone = "UTC";
	o->durations = true;
	o->since = DT_NOBEGIN;
	o->until = o->as_of = DT_NOEND;
}

/* Refuses options that contradict each other. */
static void
session_check(void *options)
{
	SessionOptions *o = options;

	if (o->since >= o->until)
		cdp_fields_bad(&session_fields, "since", "A time before \"until\"");
}

/* Checks a count that came from outside. */
static bool
session_valid(const CdpOutcome *out, const CdpTallyEntry *e)
{
	const SessionOptions *o = out->options;
	const uint32 *key = cdp_tally_key(out->tally, e);
	uint32		sessions_key[3] = {KEY_SESSIONS};
	const CdpTallyEntry *sessions;
	int64		number;

	if (e->n != 3 || e->customers < 1)
		return false;
	number = cdp_tally_number(key + 1);
	if (number > CDP_LAST_PERIOD || number < -CDP_LAST_PERIOD || e->times.n != (o->durations && key[0] != KEY_BOUNCES ? e->count : 0))
		return false;
	if (key[0] == KEY_SESSIONS)
		return e->value >= e->count && e->value <= PG_INT64_MAX;
	memcpy(sessions_key + 1, key + 1, sizeof(uint32) * 2);
	sessions = cdp_tally_find(out->tally, sessions_key, 3);
	return e->value == 0 && sessions != NULL && e->customers <= sessions->customers &&
		(key[0] == KEY_ROWS ? e->count == sessions->count : key[0] == KEY_BOUNCES && e->count <= sessions->count);
}

/* Starts a pass at its first row. */
static SessionPass *
start_pass(FunctionCallInfo fcinfo)
{
	SessionPass *pass = cdp_journey_start(fcinfo, sizeof(SessionPass), ARG_KEY, ARG_LABEL, ARG_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(pass->base.cxt);

	pass->options = cdp_fields_read(&session_fields, pass->base.given, pass->base.cxt);
	pass->out = cdp_outcome_create(&session_kind, pass->options, pass->base.cxt);
	pass->calendar = cdp_calendar_create(pass->options->time_zone, pass->options->period, pass->base.cxt);
	pass->has_campaign = PG_NARGS() > ARG_CAMPAIGN;
	pass->has_id = PG_NARGS() > ARG_ID;
	cdp_journey_store(fcinfo, &pass->base, pass->has_campaign + pass->has_id);
	cdp_intern_init(&pass->campaigns, false, pass->base.cxt, &cdp_journey_memory);
	for (int i = 0; i < pass->options->starts.n; i++)
		(void) cdp_journey_named(&pass->base, pass->options->starts.item[i]);
	pass->base.labels.closed = true;
	MemoryContextSwitchTo(old);
	return pass;
}

CDP_FUNCTION(cdp_session_add);

/* One row of cdp.session_pass; the state lives in the aggregate's context. */
Datum
cdp_session_add(PG_FUNCTION_ARGS)
{
	SessionPass *pass;
	CdpIntern  *labels;
	bool		starts;
	uint64		key[2];
	uint64	   *row;
	int64		at;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (SessionPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->base.vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->base.given, "session");
	}
	pass->out->counter[CDP_COUNT_ROWS]++;
	if (!cdp_outcome_takes(fcinfo, pass->out, ARG_KEY, ARG_AT, pass->options->as_of, &at))
		PG_RETURN_POINTER(pass);
	labels = &pass->base.labels;
	starts = labels->n > 0 && !PG_ARGISNULL(ARG_LABEL) && cdp_intern_label(labels, PG_GETARG_DATUM(ARG_LABEL), labels->is_int) != CDP_NO_LABEL;
	cdp_journey_key(fcinfo, &pass->base, ARG_KEY, key);
	row = cdp_journey_row(&pass->base, key, at, starts ? STARTS : OTHER);
	if (row != NULL)
	{
		row += pass->base.store->extra_word;
		row[0] = PG_ARGISNULL(ARG_CAMPAIGN) ? NO_CAMPAIGN : cdp_intern_label(&pass->campaigns, PG_GETARG_DATUM(ARG_CAMPAIGN), false);
		if (pass->has_id)
			row[1] = (uint64) (PG_ARGISNULL(ARG_ID) ? PG_INT64_MAX : PG_GETARG_INT64(ARG_ID));
	}
	cdp_store_count(pass->base.store);
	PG_RETURN_POINTER(pass);
}

/* The place of a row's campaign among the sorted ones; rows without one come last. */
static inline int64
campaign_place(const SessionPass *pass, const CdpKeyRows *rows, const CdpItem *item)
{
	int64		number = pass->has_campaign ? cdp_key_word(rows, cdp_key_row(rows, item), 0) : NO_CAMPAIGN;

	return number == NO_CAMPAIGN ? NO_CAMPAIGN : pass->campaign_rank[number];
}

/* Orders rows of one time: by id where there is one, then those that start a session, then by campaign. */
static int
compare_ties(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpKeyRows *rows = arg;
	const SessionPass *pass = rows->arg;
	int			c = !pass->has_id ? 0 : cdp_compare_int64(cdp_key_word(rows, cdp_key_row(rows, a), 1), cdp_key_word(rows, cdp_key_row(rows, b), 1));

	if (c == 0)
		c = cdp_compare_int64(a->rank, b->rank);
	return c != 0 ? c : cdp_compare_int64(campaign_place(pass, rows, a), campaign_place(pass, rows, b));
}

/* Counts a session of so many rows. */
static void
count_session(SessionPass *pass, const CdpSession *s, int64 rows)
{
	const SessionOptions *o = pass->options;
	CdpTally   *t = pass->out->tally;
	uint32		key[3] = {KEY_SESSIONS};
	CdpTallyEntry *e;

	if (s->first < o->since || s->first >= o->until)
		return;
	pass->out->counter[CDP_COUNT_PATHS]++;
	cdp_tally_put_number(key + 1, cdp_calendar_number(pass->calendar, s->first));
	e = cdp_tally_count(t, key, 3);
	e->value += rows;
	if (o->durations)
		cdp_span_add(&t->memory, &e->times, cdp_distance(s->first, s->last));
	key[0] = KEY_ROWS;
	e = cdp_tally_count(t, key, 3);
	if (o->durations)
		cdp_span_add(&t->memory, &e->times, rows * CDP_MICRO);
	key[0] = KEY_BOUNCES;
	if (rows > 1)
		return;
	(void) cdp_tally_count(t, key, 3);
	pass->bounced = true;
}

/* Divides the rows of one customer into sessions. */
static void
visit_customer(const CdpKeyRows *rows)
{
	SessionPass *pass = rows->arg;
	CdpSessionRule rule = {pass->options->gap, pass->options->longest};
	CdpSession	session = {0};
	CdpSession	before = {0};
	int64		known = pass->out->counter[CDP_COUNT_PATHS];
	int			first = 0;

	pass->out->tally->customer++;
	pass->bounced = false;
	for (int i = 0; i < rows->n; i++)
	{
		int64		campaign = campaign_place(pass, rows, &rows->item[i]);
		CdpSessionRow row = {.at = rows->item[i].at, .starts = rows->item[i].rank == STARTS, .has_campaign = campaign != NO_CAMPAIGN, .campaign = {campaign}};

		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if (cdp_session_takes(&session, &rule, &row) && i > 0)
		{
			count_session(pass, &before, i - first);
			first = i;
		}
		before = session;
	}
	count_session(pass, &session, rows->n - first);
	pass->out->counter[CDP_COUNT_CUSTOMERS] += pass->out->counter[CDP_COUNT_PATHS] > known;
	pass->out->counter[CDP_COUNT_BOUNCED] += pass->bounced;
}

CDP_FUNCTION(cdp_session_final);

/* The final function: sessions, and their bytes in the caller's context. */
Datum
cdp_session_final(PG_FUNCTION_ARGS)
{
	static const uint32 rank[] = {STARTS, OTHER};
	SessionPass *pass;
	MemoryContext old;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (SessionPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->base.cxt);
	(void) cdp_intern_sorted(&pass->campaigns, &pass->campaign_rank);
	MemoryContextSwitchTo(old);
	return cdp_outcome_finish(&pass->base, pass->out, rank, compare_ties, visit_customer);
}

/* Median, mean and ninth decile of rows in a session, or NULLs. */
static void
put_rows(const CdpSpans *d, Datum *values, bool *nulls)
{
	for (int i = 0; i < 3; i++)
		nulls[i] = d->n == 0;
	if (d->n == 0)
		return;
	values[0] = cdp_numeric_from_scaled(cdp_spans_quantile(d, 1, 2), 6);
	values[1] = cdp_numeric_from_scaled(cdp_spans_mean(d), 6);
	values[2] = cdp_numeric_from_scaled(cdp_spans_quantile(d, 9, 10), 6);
}

/* One row of sessions: those of a period, or all. */
static void
put_sessions(ReturnSetInfo *rsinfo, const int64 *starts_at, const CdpTallyEntry *sessions, const CdpTallyEntry *rows, const CdpTallyEntry *bounces)
{
	Datum		values[13];
	bool		nulls[13] = {false};

	nulls[0] = starts_at == NULL;
	values[0] = TimestampTzGetDatum(starts_at == NULL ? 0 : *starts_at);
	values[1] = Int64GetDatum(sessions->count);
	values[2] = Int64GetDatum(sessions->customers);
	values[3] = Int64GetDatum((int64) sessions->value);
	values[4] = Int64GetDatum(bounces->count);
	values[5] = Int64GetDatum(bounces->customers);
	values[6] = cdp_share(bounces->count, sessions->count, &nulls[6]);
	cdp_spans_put(&sessions->times, values + 7, nulls + 7);
	put_rows(&rows->times, values + 10, nulls + 10);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

CDP_FUNCTION(cdp_session_table);

/* cdp.session_table(partial): one row for each period, and one for all together. */
Datum
cdp_session_table(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CdpOutcome *out;
	const SessionOptions *o;
	CdpCalendar *calendar;
	CdpTallyEntry **order;
	CdpTallyEntry all = {0};
	CdpTallyEntry all_rows = {0};
	CdpTallyEntry all_bounces = {0};

	InitMaterializedSRF(fcinfo, 0);
	out = cdp_outcome_from_datum(&session_kind, PG_GETARG_DATUM(0), CurrentMemoryContext);
	o = out->options;
	calendar = cdp_calendar_create(o->time_zone, o->period, CurrentMemoryContext);
	order = cdp_tally_sorted(out->tally);
	for (uint32 i = 0; i < out->tally->n && cdp_tally_key(out->tally, order[i])[0] == KEY_SESSIONS; i++)
	{
		uint32		key[3] = {KEY_ROWS, cdp_tally_key(out->tally, order[i])[1], cdp_tally_key(out->tally, order[i])[2]};
		int64		starts_at = cdp_calendar_start(calendar, cdp_tally_number(key + 1));
		const CdpTallyEntry *rows = cdp_tally_find(out->tally, key, 3);
		const CdpTallyEntry *bounces = (key[0] = KEY_BOUNCES, cdp_tally_find(out->tally, key, 3));
		CdpTallyEntry none = {0};

		CHECK_FOR_INTERRUPTS();
		rows = rows == NULL ? &none : rows;
		bounces = bounces == NULL ? &none : bounces;
		put_sessions(rsinfo, &starts_at, order[i], rows, bounces);
		cdp_tally_add(out->tally, &all, order[i]);
		cdp_tally_add(out->tally, &all_rows, rows);
		cdp_tally_add(out->tally, &all_bounces, bounces);
	}
	/* A customer may have sessions in several periods. */
	all.customers = out->counter[CDP_COUNT_CUSTOMERS];
	all_bounces.customers = out->counter[CDP_COUNT_BOUNCED];
	cdp_spans_sort(&all.times);
	cdp_spans_sort(&all_rows.times);
	put_sessions(rsinfo, NULL, &all, &all_rows, &all_bounces);
	return (Datum) 0;
}

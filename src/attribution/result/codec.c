/*
 * codec.c
 *		Journeys as bytes: times as differences, labels as numbers.
 */
#include "attribution/result/codec.h"

#include "base/wire.h"
#include "common/int.h"
#include "libpq/pqformat.h"

#define HAS_TIMES 1
#define HAS_IDS 2
#define HAS_SESSIONS 4
#define HAS_CUSTOMER 8
#define HAS_CONVERSION 16		/* id, session or label of the conversion */
#define HAS_ANCHORS 32
#define ALL_FLAGS 63

/* Makes an empty list of journeys in cxt. */
CdpJourneyLog *
cdp_log_create(MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	CdpJourneyLog *log = palloc0(sizeof(CdpJourneyLog));

	log->cxt = cxt;
	log->room = 256;
	log->begin = palloc(sizeof(uint32) * log->room);
	initStringInfo(&log->bytes);
	MemoryContextSwitchTo(old);
	return log;
}

/* Notes that a journey begins at the end of the bytes. */
static void
begin_journey(CdpJourneyLog *log)
{
	if (log->n == log->room)
	{
		log->room *= 2;
		log->begin = repalloc_huge(log->begin, sizeof(uint32) * log->room);
	}
	log->begin[log->n++] = log->bytes.len;
}

/* Refuses more journeys than one value should carry, or than half of the memory setting. */
static void
check_limit(const CdpJourneyLog *log)
{
	Size		limit = Min(CDP_LOG_LIMIT, cdp_pass_memory_bytes(&cdp_attribution_memory) / 2);

	if (log->bytes.len > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("journeys of an attribution result take more than %zu MB", limit / (1024 * 1024)),
				 errdetail(INT64_FORMAT " journeys were kept so far; half of cdp.attribution_memory is there for them, and at most 256 MB.", log->n),
				 errhint("Take a shorter interval, set null_paths => false, or make parts and add them with cdp.attribution_merge.")));
}

/* Appends one journey. */
void
cdp_journey_put(StringInfo buf, const CdpJourney *j)
{
	int			flags = 0;
	int64		previous = 0;

	flags |= j->at != NULL ? HAS_TIMES : 0;
	flags |= j->id != NULL ? HAS_IDS : 0;
	flags |= j->session != NULL ? HAS_SESSIONS : 0;
	flags |= j->customer != NULL ? HAS_CUSTOMER : 0;
	if (j->conversion_id != CDP_NO_ID || j->conversion_session != CDP_NO_ID || j->conversion_label != CDP_NO_LABEL)
		flags |= HAS_CONVERSION;
	for (int m = 0; m < CDP_MAX_MILESTONES; m++)
		flags |= j->n > 0 && j->anchor[m] >= 0 ? HAS_ANCHORS : 0;
	pq_sendbyte(buf, flags);
	if (flags & HAS_CUSTOMER)
		cdp_wire_put_text(buf, j->customer);
	cdp_wire_put_int(buf, j->ended_at);
	cdp_wire_put_int(buf, j->conversions);
	cdp_wire_put_int(buf, j->nulls);
	cdp_wire_put_int128(buf, j->value_micro);
	if (flags & HAS_CONVERSION)
	{
		cdp_wire_put_int(buf, j->conversion_id);
		cdp_wire_put_int(buf, j->conversion_session);
		cdp_wire_put_uint(buf, (uint64) (uint32) (j->conversion_label + 1));
	}
	if (flags & HAS_ANCHORS)
		for (int m = 0; m < CDP_MAX_MILESTONES; m++)
			cdp_wire_put_uint(buf, j->anchor[m] + 1);
	cdp_wire_put_uint(buf, j->n);
	for (int i = 0; i < j->n; i++)
		cdp_wire_put_uint(buf, j->label[i]);
	/* Times count back from the end, each from the one after it. */
	previous = j->ended_at;
	for (int i = j->n - 1; (flags & HAS_TIMES) && i >= 0; i--)
	{
		cdp_wire_put_int(buf, previous - j->at[i]);
		previous = j->at[i];
	}
	previous = 0;
	for (int i = 0; (flags & HAS_IDS) && i < j->n; i++)
	{
		cdp_wire_put_int(buf, (int64) ((uint64) j->id[i] - (uint64) previous));
		previous = j->id[i];
	}
	for (int i = 0; (flags & HAS_SESSIONS) && i < j->n; i++)
		cdp_wire_put_int(buf, j->session[i]);
}

/* Makes room for n touches. */
static void
reserve_decoded(CdpDecoded *d, int n)
{
	if (n <= d->room)
		return;
	if (d->room > 0)
	{
		pfree(d->label);
		pfree(d->at);
		pfree(d->id);
		pfree(d->session);
	}
	d->room = Max(64, n);
	d->label = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * d->room);
	d->at = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * d->room);
	d->id = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * d->room);
	d->session = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * d->room);
}

/* A time from bytes; it must be finite and in range. */
static int64
get_time(StringInfo buf, int64 base, bool back)
{
	int64		difference = cdp_wire_get_int(buf);
	int64		at;

	if (back ? pg_sub_s64_overflow(base, difference, &at) : pg_add_s64_overflow(base, difference, &at))
		cdp_wire_broken("time of a journey");
	if (!IS_VALID_TIMESTAMP(at))
		cdp_wire_broken("time of a journey");
	return at;
}

/* Reads the head of a journey: all but its touches. */
static int
get_head(StringInfo buf, int nlabels, CdpDecoded *d)
{
	CdpJourney *j = &d->journey;
	int			flags = cdp_wire_get_byte(buf);

	if (flags & ~ALL_FLAGS)
		cdp_wire_broken("flags of a journey");
	memset(j, 0, sizeof(*j));
	d->customer = flags & HAS_CUSTOMER ? cdp_wire_get_text(buf) : NULL;
	j->customer = d->customer;
	j->ended_at = get_time(buf, 0, false);
	j->conversions = cdp_wire_get_int(buf);
	j->nulls = cdp_wire_get_int(buf);
	j->value_micro = cdp_wire_get_int128(buf);
	if (j->value_micro > CDP_VALUE_SUM_LIMIT || j->value_micro < -CDP_VALUE_SUM_LIMIT)
		cdp_wire_broken("value of a journey");
	j->conversion_id = j->conversion_session = CDP_NO_ID;
	j->conversion_label = CDP_NO_LABEL;
	if (flags & HAS_CONVERSION)
	{
		uint64		label;

		j->conversion_id = cdp_wire_get_int(buf);
		j->conversion_session = cdp_wire_get_int(buf);
		label = cdp_wire_get_uint(buf);
		if (label > (uint64) nlabels)
			cdp_wire_broken("label of a conversion");
		j->conversion_label = label == 0 ? CDP_NO_LABEL : (uint32) label - 1;
	}
	for (int m = 0; m < CDP_MAX_MILESTONES; m++)
	{
		uint64		anchor = flags & HAS_ANCHORS ? cdp_wire_get_uint(buf) : 0;

		if (anchor > PG_INT32_MAX)
			cdp_wire_broken("milestone of a journey");
		j->anchor[m] = (int) anchor - 1;
	}
	return flags;
}

/* Reads one journey; the arrays in *d are used again by the next call in the same context. */
void
cdp_journey_get(StringInfo buf, int nlabels, CdpDecoded *d)
{
	CdpJourney *j = &d->journey;
	int			flags = get_head(buf, nlabels, d);
	int64		previous;

	j->n = cdp_wire_get_count(buf, 1, "touches of a journey");
	reserve_decoded(d, j->n);
	Assert(j->n == 0 || d->at != NULL);
	for (int m = 0; m < CDP_MAX_MILESTONES; m++)
		if (j->anchor[m] >= Max(j->n, 1))
			cdp_wire_broken("milestone of a journey");
	for (int i = 0; i < j->n; i++)
	{
		uint64		label = cdp_wire_get_uint(buf);

		if (label >= (uint64) nlabels)
			cdp_wire_broken("label of a journey");
		d->label[i] = (uint32) label;
	}
	previous = j->ended_at;
	for (int i = j->n - 1; (flags & HAS_TIMES) && i >= 0; i--)
	{
		d->at[i] = get_time(buf, previous, true);
		if (d->at[i] > previous)
			cdp_wire_broken("order of times of a journey");
		previous = d->at[i];
	}
	previous = 0;
	for (int i = 0; (flags & HAS_IDS) && i < j->n; i++)
		previous = d->id[i] = (int64) ((uint64) previous + (uint64) cdp_wire_get_int(buf));
	for (int i = 0; (flags & HAS_SESSIONS) && i < j->n; i++)
		d->session[i] = cdp_wire_get_int(buf);
	j->label = d->label;
	j->at = flags & HAS_TIMES ? d->at : NULL;
	j->id = flags & HAS_IDS ? d->id : NULL;
	j->session = flags & HAS_SESSIONS ? d->session : NULL;
}

/* Refuses a journey that no pass over single touches could have made: without times, or several at once. */
void
cdp_journey_check_single(const CdpJourney *j)
{
	if (j->n > 0 && j->at == NULL)
		cdp_wire_broken("journey without times");
	if (j->conversions < -1 || j->conversions > 1 || j->nulls < -1 || j->nulls > 1)
		cdp_wire_broken("number of journeys");
}

/* Adds a journey to the list. */
void
cdp_log_add(CdpJourneyLog *log, const CdpJourney *j)
{
	begin_journey(log);
	cdp_journey_put(&log->bytes, j);
	check_limit(log);
}

/* Decodes journey i of the list; its bytes were checked when they were read. */
void
cdp_log_get(const CdpJourneyLog *log, int64 i, CdpDecoded *d)
{
	StringInfoData view = log->bytes;

	view.cursor = log->begin[i];
	cdp_journey_get(&view, CDP_MAX_LABELS, d);
}

/* Adds the journeys of another list, with the new numbers of their labels. */
void
cdp_log_merge(CdpJourneyLog *into, const CdpJourneyLog *from, const uint32 *map)
{
	CdpDecoded	d = {.room = 0};
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp journeys", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	for (int64 k = 0; k < from->n; k++)
	{
		if ((k & 1023) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(work);
			d.room = 0;
		}
		cdp_log_get(from, k, &d);
		for (int i = 0; map != NULL && i < d.journey.n; i++)
			d.label[i] = map[d.label[i]];
		if (map != NULL && d.journey.conversion_label != CDP_NO_LABEL)
			d.journey.conversion_label = map[d.journey.conversion_label];
		cdp_log_add(into, &d.journey);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/* Where journey i ends. */
static uint32
end_of(const CdpJourneyLog *log, int64 i)
{
	return i + 1 < log->n ? log->begin[i + 1] : (uint32) log->bytes.len;
}

/* Orders journeys by their bytes. */
static int
compare_journeys(const void *a, const void *b, void *arg)
{
	const CdpJourneyLog *log = arg;
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;
	uint32		x_len = end_of(log, x) - log->begin[x];
	uint32		y_len = end_of(log, y) - log->begin[y];
	int			c = memcmp(log->bytes.data + log->begin[x], log->bytes.data + log->begin[y], Min(x_len, y_len));

	CHECK_FOR_INTERRUPTS();
	return c != 0 ? c : (x_len > y_len) - (x_len < y_len);
}

/* Appends the list, its journeys ordered by their bytes, so that equal lists are written alike. */
void
cdp_log_write(const CdpJourneyLog *log, StringInfo buf)
{
	int64	   *order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(log->n, 1));

	for (int64 i = 0; i < log->n; i++)
		order[i] = i;
	qsort_arg(order, log->n, sizeof(int64), compare_journeys, unconstify(CdpJourneyLog *, log));
	cdp_wire_put_uint(buf, log->n);
	for (int64 i = 0; i < log->n; i++)
	{
		uint32		len = end_of(log, order[i]) - log->begin[order[i]];

		cdp_wire_put_uint(buf, len);
		appendBinaryStringInfo(buf, log->bytes.data + log->begin[order[i]], len);
	}
	pfree(order);
}

/* Reads a list and checks every journey in it. */
CdpJourneyLog *
cdp_log_read(StringInfo buf, int nlabels, MemoryContext cxt)
{
	CdpJourneyLog *log = cdp_log_create(cxt);
	int			n = cdp_wire_get_count(buf, 2, "journeys");
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp journeys", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	CdpDecoded	d = {.room = 0};

	for (int i = 0; i < n; i++)
	{
		int			len = cdp_wire_get_count(buf, 1, "journey");
		StringInfoData one = *buf;

		if ((i & 1023) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(work);
			d.room = 0;
		}
		one.len = buf->cursor + len;
		cdp_journey_get(&one, nlabels, &d);
		if (one.cursor != one.len)
			cdp_wire_broken("length of a journey");
		cdp_journey_check_single(&d.journey);
		begin_journey(log);
		appendBinaryStringInfo(&log->bytes, buf->data + buf->cursor, len);
		check_limit(log);
		buf->cursor += len;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return log;
}

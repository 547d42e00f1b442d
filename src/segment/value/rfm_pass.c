/*
 * rfm_pass.c
 *		The aggregate cdp.rfm_pass: purchases in, one summary for each customer out.
 */
#include "segment/value/rfm.h"

#include "access/htup_details.h"
#include "base/micro.h"
#include "base/option.h"
#include "base/rows/by_key.h"
#include "base/rows/key.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "segment/value/value.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define ARG_KEY 1
#define ARG_AT 2
#define ARG_VALUE 3
#define ARG_OPTIONS 4

#define FIRST_ROOM 1024

/* What the executor closes when it ends without asking for the result, as LIMIT makes it do. */
typedef struct RfmFiles
{
	CdpStore   *store;			/* NULL once the pass is finished */
} RfmFiles;

typedef struct RfmPass
{
	MemoryContext cxt;
	Jsonb	   *given;
	bool		vary;
	CdpRfmOptions *options;
	int64		until;			/* no row from then on matters */
	CdpKeyType	key_type;
	Oid			key_oid;
	bool		dated;			/* times are dates */
	CdpKeyNames *names;
	CdpStore   *store;
	RfmFiles   *files;

	/* while it finishes */
	CdpCalendar calendar;
	CdpPurchase *row;
	int			row_room;
	CdpSummary *summary;
	Size		n;
	Size		room;
} RfmPass;

/* Closes the temporary files of a pass that nobody finished; after an error the server does. */
static void
close_files(Datum files)
{
	CdpStore   *store = ((RfmFiles *) DatumGetPointer(files))->store;

	if (store != NULL)
		cdp_store_close(store);
}

/* How keys of a type are kept. */
static CdpKeyType
key_type_of(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return CDP_KEY_BIGINT;
		case TEXTOID:
		case VARCHAROID:
			return CDP_KEY_TEXT;
		case UUIDOID:
			return CDP_KEY_UUID;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("a pass over purchases cannot take a key of type %s", OidIsValid(type) ? format_type_be(type) : "unknown"),
					 errhint("Give a bigint, integer, text or uuid, or cast to one of them.")));
	}
}

/* Starts a pass at its first row, in a context of its own below the aggregate's. */
static RfmPass *
start_pass(FunctionCallInfo fcinfo)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	RfmPass    *pass;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "pass over purchases called outside an aggregate");
	cxt = AllocSetContextCreate(aggregate, "cdp rfm pass", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	pass = palloc0(sizeof(RfmPass));
	pass->cxt = cxt;
	pass->given = PG_ARGISNULL(ARG_OPTIONS) ? NULL : PG_GETARG_JSONB_P_COPY(ARG_OPTIONS);
	pass->vary = cdp_option_varies(fcinfo, ARG_OPTIONS);
	pass->options = cdp_rfm_options_read(pass->given, cxt);
	pass->until = Max(pass->options->as_of, pass->options->holdout_until);
	pass->calendar.options = pass->options;
	pass->key_oid = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, ARG_KEY));
	pass->key_type = key_type_of(pass->key_oid);
	pass->dated = get_fn_expr_argtype(fcinfo->flinfo, ARG_AT) == DATEOID;
	if (pass->key_type == CDP_KEY_TEXT)
		pass->names = cdp_key_names_create(cxt, &cdp_value_memory);
	pass->store = cdp_store_create(cxt, pass->key_type != CDP_KEY_BIGINT, 1, &cdp_value_memory);
	pass->files = MemoryContextAlloc(aggregate, sizeof(RfmFiles));
	pass->files->store = pass->store;
	AggRegisterCallback(fcinfo, close_files, PointerGetDatum(pass->files));
	MemoryContextSwitchTo(old);
	return pass;
}

/* The time of a row; false when it has none. A date is its first moment in the zone of the options. */
static bool
time_of(FunctionCallInfo fcinfo, const RfmPass *pass, int64 *at)
{
	struct pg_tm tm = {0};
	DateADT		date;

	if (PG_ARGISNULL(ARG_AT))
		return false;
	if (!pass->dated)
	{
		*at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
		return !TIMESTAMP_NOT_FINITE(*at);
	}
	date = PG_GETARG_DATEADT(ARG_AT);
	/* within what a timestamp can hold in any zone */
	if (DATE_NOT_FINITE(date) || date <= DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE + 1 || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE - 1)
		return false;
	j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	*at = date * USECS_PER_DAY + DetermineTimeZoneOffset(&tm, pass->options->zone) * USECS_PER_SEC;
	return true;
}

CDP_FUNCTION(cdp_rfm_add);

/* One row of cdp.rfm_pass; the state lives in the aggregate's context. */
Datum
cdp_rfm_add(PG_FUNCTION_ARGS)
{
	RfmPass    *pass;
	CdpStore   *s;
	uint64		key[2];
	uint64	   *row;
	int64		value = 0;
	int64		at;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo);
	else
	{
		pass = (RfmPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->vary))
			cdp_option_same(fcinfo, ARG_OPTIONS, pass->given, "rfm");
	}
	if (PG_ARGISNULL(ARG_KEY) || !time_of(fcinfo, pass, &at) || at >= pass->until)
		PG_RETURN_POINTER(pass);
	if (!PG_ARGISNULL(ARG_VALUE))
		(void) cdp_micro_from_numeric(PG_GETARG_VARLENA_PP(ARG_VALUE), &value);
	if (pass->key_oid == INT4OID)
		cdp_key_read(Int64GetDatum(PG_GETARG_INT32(ARG_KEY)), pass->key_type, NULL, key);
	else if (pass->key_oid == INT2OID)
		cdp_key_read(Int64GetDatum(PG_GETARG_INT16(ARG_KEY)), pass->key_type, NULL, key);
	else
		cdp_key_read(PG_GETARG_DATUM(ARG_KEY), pass->key_type, pass->names, key);
	s = pass->store;
	row = cdp_store_row(s, CDP_STORE_FULL, cdp_store_place(s, key[0], key[1]));
	row[0] = key[0];
	row[1] = (uint64) at;
	row[2] = 0;
	if (s->wide_key)
		row[3] = key[1];
	row[s->extra_word] = (uint64) value;
	cdp_store_count(s);
	PG_RETURN_POINTER(pass);
}

/* Orders rows of one time: purchases before refunds, larger ones first. */
static int
compare_ties(const CdpItem *a, const CdpItem *b, const void *arg)
{
	const CdpKeyRows *rows = arg;

	return cdp_compare_int64(cdp_key_word(rows, cdp_key_row(rows, b), 0), cdp_key_word(rows, cdp_key_row(rows, a), 0));
}

/* Sums up one customer. */
static void
visit_customer(const CdpKeyRows *rows)
{
	RfmPass    *pass = rows->arg;
	CdpSummary	summary = {.key = {rows->key, rows->key2}};

	if (rows->n > pass->row_room)
	{
		if (pass->row != NULL)
			pfree(pass->row);
		pass->row_room = rows->n + rows->n / 4;
		pass->row = MemoryContextAllocHuge(pass->cxt, sizeof(CdpPurchase) * (Size) pass->row_room);
	}
	for (int i = 0; i < rows->n; i++)
		pass->row[i] = (CdpPurchase) {rows->item[i].at, cdp_key_word(rows, cdp_key_row(rows, &rows->item[i]), 0)};
	if (!cdp_rfm_summarise(&pass->calendar, pass->row, rows->n, &summary))
		return;
	if (pass->n == pass->room)
	{
		pass->room = Max(FIRST_ROOM, pass->room * 2);
		if (pass->room * sizeof(CdpSummary) > cdp_pass_memory_bytes(&cdp_value_memory))
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the customers of a pass over purchases do not fit into memory"),
					 errdetail("Summaries of more than %zu customers need more than %d kB.", pass->n, cdp_value_memory.kilobytes),
					 errhint("Raise %s, or take the customers in parts.", cdp_value_memory.setting)));
		pass->summary = pass->summary == NULL ? MemoryContextAllocHuge(pass->cxt, sizeof(CdpSummary) * pass->room)
			: repalloc_huge(pass->summary, sizeof(CdpSummary) * pass->room);
	}
	pass->summary[pass->n++] = summary;
}

/* Orders summaries by bigint keys. */
static int
compare_numbers(const void *x, const void *y)
{
	return cdp_compare_int64((int64) ((const CdpSummary *) x)->key[0], (int64) ((const CdpSummary *) y)->key[0]);
}

/* Orders summaries by the words of their keys: of hashes and uuids, which have no order that matters. */
static int
compare_words(const void *x, const void *y)
{
	const uint64 *a = ((const CdpSummary *) x)->key;
	const uint64 *b = ((const CdpSummary *) y)->key;
	int			w = a[0] == b[0];

	return (a[w] > b[w]) - (a[w] < b[w]);
}

/* One summary as a row of the result type, in the current context. */
static Datum
form_summary(const RfmPass *pass, const CdpSummary *s, TupleDesc desc)
{
	bool		counts = s->frequency > 0 || pass->options->include_first;
	int			purchases = s->frequency + pass->options->include_first;
	Datum		value[10];
	bool		null[10] = {0};

	value[0] = CStringGetTextDatum(cdp_key_name(pass->key_type, pass->names, s->key[0], s->key[1]));
	value[1] = Int32GetDatum(s->frequency);
	value[2] = Float8GetDatum(s->recency);
	value[3] = Float8GetDatum(s->age);
	null[4] = !counts;
	value[4] = counts ? Float8GetDatum((double) s->repeat / purchases / CDP_MICRO) : (Datum) 0;
	value[5] = cdp_numeric_from_scaled(s->total, 6);
	value[6] = TimestampTzGetDatum(s->first_at);
	value[7] = TimestampTzGetDatum(s->last_at);
	null[8] = null[9] = pass->options->holdout_until == PG_INT64_MIN;
	value[8] = Int32GetDatum(s->holdout_frequency);
	value[9] = null[9] ? (Datum) 0 : cdp_numeric_from_scaled(s->holdout_total, 6);
	return HeapTupleGetDatum(heap_form_tuple(desc, value, null));
}

/* All summaries as an array, in the caller's context; rows are in the pass's own until it goes. */
static Datum
form_result(FunctionCallInfo fcinfo, const RfmPass *pass)
{
	MemoryContext old = MemoryContextSwitchTo(pass->cxt);
	Oid			type = get_element_type(get_fn_expr_rettype(fcinfo->flinfo));
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	Datum	   *row = palloc_extended(sizeof(Datum) * Max(pass->n, 1), MCXT_ALLOC_HUGE);
	Size		bytes = 0;

	if (desc->natts != 10)
		elog(ERROR, "cdp.customer_summary has %d columns", desc->natts);
	for (Size i = 0; i < pass->n; i++)
	{
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		row[i] = form_summary(pass, &pass->summary[i], desc);
		bytes += MAXALIGN(VARSIZE_ANY(DatumGetPointer(row[i])));
		if (bytes > MaxAllocSize - 1024)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the customers of a pass over purchases do not fit into one value"),
					 errdetail("The first %zu of %zu customers fill 1 GB.", i, pass->n),
					 errhint("Take the customers in parts.")));
	}
	ReleaseTupleDesc(desc);
	MemoryContextSwitchTo(old);
	return PointerGetDatum(construct_array(row, pass->n, type, -1, false, TYPALIGN_DOUBLE));
}

CDP_FUNCTION(cdp_rfm_final);

/* The final function: summaries of all customers, in the caller's context. */
Datum
cdp_rfm_final(PG_FUNCTION_ARGS)
{
	const uint32 rank[1] = {0};
	RfmPass    *pass;
	MemoryContext old;
	Datum		result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (RfmPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->cxt);
	cdp_by_key(pass->store, rank, compare_ties, visit_customer, pass);
	cdp_store_close(pass->store);
	pass->files->store = NULL;
	if (pass->n > 1)
		qsort(pass->summary, pass->n, sizeof(CdpSummary), pass->key_type == CDP_KEY_BIGINT ? compare_numbers : compare_words);
	MemoryContextSwitchTo(old);
	result = form_result(fcinfo, pass);
	MemoryContextDelete(pass->cxt);
	return result;
}

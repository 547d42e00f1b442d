/*
 * event_pass.c
 *		The aggregate cdp_internal.segment_pass: events in, for each event atom of
 *		a plan the customers of whom it is true out.
 *
 * Rows that no atom reads are forgotten at once. Most others are packed into 12
 * bytes: customer, time and class.
 */
#include "segment/pass/event.h"

#include "base/option.h"

#define SMALL_KIND 32768

/* What the executor closes when it ends without asking for the result, as LIMIT makes it do. */
typedef struct CdpEventFiles
{
	CdpStore   *store;			/* NULL once the pass is finished */
} CdpEventFiles;

/* Closes the temporary files of a pass that nobody finished; after an error the server does. */
static void
close_files(Datum files)
{
	CdpStore   *store = ((CdpEventFiles *) DatumGetPointer(files))->store;

	if (store != NULL)
		cdp_store_close(store);
}

/* The last moment of flips that are of interest. */
static int64
read_horizon(FunctionCallInfo fcinfo)
{
	int64		at;

	if (PG_ARGISNULL(CDP_ARG_HORIZON))
		return CDP_NEVER;
	at = PG_GETARG_TIMESTAMPTZ(CDP_ARG_HORIZON);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the horizon of a segment pass is not finite"),
				 errhint("Give the moment up to which changes without new data are of interest, or NULL for none.")));
	return at;
}

/* Numbers kinds with small ids for one look-up. */
static void
number_kinds(CdpEventPass *pass)
{
	const CdpPlan *plan = pass->plan;

	pass->direct = palloc0(sizeof(uint32 *) * Max(plan->nkinds, 1));
	for (int k = 0; k < plan->nkinds; k++)
		if (plan->kind[k].id >= 0 && plan->kind[k].id < SMALL_KIND)
			pass->direct_kinds = Max(pass->direct_kinds, plan->kind[k].id + 1);
	pass->kind_number = palloc0(sizeof(uint16) * Max(pass->direct_kinds, 1));
	for (int k = 0; k < plan->nkinds; k++)
		if (plan->kind[k].id >= 0 && plan->kind[k].id < SMALL_KIND)
			pass->kind_number[plan->kind[k].id] = k + 1;
}

/* Starts a pass at its first row, in a context of its own below the aggregate's. */
CdpEventPass *
cdp_event_start(FunctionCallInfo fcinfo, bool explain)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	CdpEventPass *pass;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "segment pass called outside an aggregate");
	if (PG_ARGISNULL(CDP_ARG_PLAN))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a segment pass needs a plan"),
				 errhint("Plans are made by cdp_internal.rule_plan().")));
	cxt = AllocSetContextCreate(aggregate, "cdp segment pass", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	pass = palloc0(sizeof(CdpEventPass));
	pass->cxt = cxt;
	pass->explain = explain;
	pass->given = PG_GETARG_JSONB_P_COPY(CDP_ARG_PLAN);
	pass->vary = cdp_option_varies(fcinfo, CDP_ARG_PLAN);
	pass->horizon = read_horizon(fcinfo);
	pass->plan = cdp_plan_create(pass->given, pass->horizon, explain);
	pass->until = pass->plan->horizon == CDP_NEVER ? pass->plan->as_of : pass->plan->horizon;
	cdp_row_reader_init(&pass->reader, pass->plan, cxt);
	number_kinds(pass);
	cdp_intern_init(&pass->class_number, false, cxt, &cdp_segment_memory);
	pass->class_room = 64;
	pass->class = palloc(sizeof(CdpClass) * pass->class_room);
	pass->store = cdp_store_create(cxt, false, pass->plan->words, &cdp_segment_memory);
	pass->files = MemoryContextAlloc(aggregate, sizeof(CdpEventFiles));
	pass->files->store = pass->store;
	AggRegisterCallback(fcinfo, close_files, PointerGetDatum(pass->files));
	MemoryContextSwitchTo(old);
	return pass;
}

/* Says that all rows have been visited and their files closed. */
void
cdp_event_close(CdpEventPass *pass)
{
	pass->files->store = NULL;
}

/* Refuses what must be the same for all rows: which one came first would decide. */
static void
check_same(FunctionCallInfo fcinfo, CdpEventPass *pass)
{
	if (unlikely(pass->vary))
		cdp_option_same(fcinfo, CDP_ARG_PLAN, pass->given, "segment");
	if (unlikely((PG_ARGISNULL(CDP_ARG_HORIZON) ? CDP_NEVER : PG_GETARG_TIMESTAMPTZ(CDP_ARG_HORIZON)) != pass->horizon))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the horizon of a segment pass differs from row to row"),
				 errhint("Give one moment for all rows.")));
}

/* The kind of a row, NULL when no atom reads it. */
static inline CdpKind *
kind_of(const CdpEventPass *pass, int32 id)
{
	if (likely((uint32) id < (uint32) pass->direct_kinds))
		return pass->kind_number[id] == 0 ? NULL : &pass->plan->kind[pass->kind_number[id] - 1];
	return id >= 0 && id < SMALL_KIND ? NULL : cdp_plan_kind(pass->plan, id);
}

/* Raises the error for a customer that no bitmap can hold. */
CDP_NORETURN static void
bad_customer(int64 customer)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("customer_id is out of range for segments"),
			 errdetail("Sets of customers hold ids from 0 to %u; this one is %s.", PG_UINT32_MAX,
					   customer < 0 ? "negative" : "larger")));
}

/* Packs a row whose class is known. */
static void
put_row(CdpEventPass *pass, uint64 customer, int64 at, uint32 class)
{
	CdpStore   *s = pass->store;
	int			place = cdp_store_place(s, customer, 0);
	const CdpClass *c = &pass->class[class];
	uint64	   *row;

	if (likely(!c->full && cdp_store_fits_narrow(at, class)))
		cdp_store_put_slim(cdp_store_row(s, CDP_STORE_SLIM, place), customer, cdp_store_narrow(at, class));
	else
	{
		row = cdp_store_row(s, CDP_STORE_FULL, place);
		row[0] = customer;
		row[1] = (uint64) at;
		row[2] = class;
		if (s->extra_words > 0)
		{
			memset(row + s->extra_word, 0, sizeof(uint64) * s->extra_words);
			if (c->full)
				cdp_row_words(&pass->reader, c->kind, row + s->extra_word);
		}
	}
	cdp_store_count(s);
}

/* Takes one row; the state lives in the aggregate's context. */
static pg_attribute_always_inline Datum
take_row(FunctionCallInfo fcinfo, bool explain)
{
	CdpEventPass *pass;
	CdpKind    *kind;
	int64		at;
	int64		customer;
	uint32		class;

	if (unlikely(PG_ARGISNULL(0)))
		pass = cdp_event_start(fcinfo, explain);
	else
	{
		pass = (CdpEventPass *) PG_GETARG_POINTER(0);
		check_same(fcinfo, pass);
	}
	if (PG_ARGISNULL(CDP_ARG_KIND) || PG_ARGISNULL(CDP_ARG_AT) || PG_ARGISNULL(CDP_ARG_CUSTOMER))
		PG_RETURN_POINTER(pass);
	kind = kind_of(pass, PG_GETARG_INT32(CDP_ARG_KIND));
	if (kind == NULL)
		PG_RETURN_POINTER(pass);
	at = PG_GETARG_TIMESTAMPTZ(CDP_ARG_AT);
	if (at < kind->from || at >= kind->to || at >= pass->until)
		PG_RETURN_POINTER(pass);
	customer = PG_GETARG_INT64(CDP_ARG_CUSTOMER);
	if (unlikely((uint64) customer > PG_UINT32_MAX))
		bad_customer(customer);
	pass->reader.fcinfo = fcinfo;
	/* Zero is the number of no row, also when 32 bits begin anew. */
	if (unlikely(++pass->reader.row == 0))
	{
		memset(pass->reader.key_row, 0, sizeof(uint32) * pass->plan->nkeys);
		pass->reader.properties_row = pass->reader.money_row = 0;
		pass->reader.row = 1;
	}
	class = cdp_event_class(pass, kind);
	if (class != CDP_NO_CLASS)
		put_row(pass, (uint64) customer, at, class);
	PG_RETURN_POINTER(pass);
}

CDP_FUNCTION(cdp_segment_pass_add);

/* One row of cdp_internal.segment_pass. */
Datum
cdp_segment_pass_add(PG_FUNCTION_ARGS)
{
	return take_row(fcinfo, false);
}

CDP_FUNCTION(cdp_segment_explain_add);

/* One row of cdp_internal.segment_explain_pass. */
Datum
cdp_segment_explain_add(PG_FUNCTION_ARGS)
{
	return take_row(fcinfo, true);
}

/* The bytes of a finished walk, in the current context. */
static bytea *
result_bytes(CdpWalk *w)
{
	StringInfoData out;

	cdp_passresult_begin(&out, w->plan->natoms, &w->seen);
	for (int i = 0; i < w->plan->natoms; i++)
	{
		CHECK_FOR_INTERRUPTS();
		cdp_passresult_atom(&out, &w->yes[i], &w->unknown[i], w->plan->atom[i].unseen);
	}
	cdp_passresult_flips(&out, w->flips, w->nflips);
	return cdp_passresult_finish(&out);
}

CDP_FUNCTION(cdp_segment_pass_final);

/* The final function: customers, atoms, and their bytes in the caller's context. */
Datum
cdp_segment_pass_final(PG_FUNCTION_ARGS)
{
	CdpEventPass *pass;
	CdpWalk    *w;
	MemoryContext old;
	bytea	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (CdpEventPass *) PG_GETARG_POINTER(0);
	old = MemoryContextSwitchTo(pass->cxt);
	w = cdp_event_walk(pass, false);
	cdp_event_close(pass);
	MemoryContextSwitchTo(old);
	result = result_bytes(w);
	MemoryContextDelete(pass->cxt);
	PG_RETURN_BYTEA_P(result);
}

CDP_FUNCTION(cdp_segment_pass_nothing);

/* The result of a pass over no rows. */
Datum
cdp_segment_pass_nothing(PG_FUNCTION_ARGS)
{
	CdpPlan    *plan = cdp_plan_create(PG_GETARG_JSONB_P_COPY(0), CDP_NEVER, false);
	StringInfoData out;

	cdp_passresult_begin(&out, plan->natoms, NULL);
	for (int i = 0; i < plan->natoms; i++)
		cdp_passresult_atom(&out, NULL, NULL, plan->atom[i].unseen);
	cdp_passresult_flips(&out, NULL, 0);
	PG_RETURN_BYTEA_P(cdp_passresult_finish(&out));
}

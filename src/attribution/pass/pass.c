/*
 * pass.c
 *		The transition functions of cdp.attribution_pass: one row in, a few
 *		packed words appended.
 *
 * They run once for each row of a scan, so they allocate nothing, read the
 * options only at the first row, and differ by type through inlining.
 */
#include "attribution/pass/pass.h"


typedef enum ValueType
{
	VALUE_NUMERIC,
	VALUE_FLOAT
} ValueType;

/* What the executor closes when it ends without asking for the result, as LIMIT makes it do. */
typedef struct CdpPassFiles
{
	CdpStore   *store;			/* NULL once the pass is finished */
} CdpPassFiles;

/* Closes the temporary files of a pass that nobody finished; after an error the server does. */
static void
close_files(Datum files)
{
	CdpStore   *store = ((CdpPassFiles *) DatumGetPointer(files))->store;

	if (store != NULL)
		cdp_store_close(store);
}

/* Refuses options that look at the kinds of rows when the call does not pass them: they would do nothing. */
static void
refuse_without_kinds(const CdpOptions *o)
{
	if (o->nkinds == 0 && o->nmilestones == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("attribution option \"%s\" needs the kinds of the rows",
					o->nkinds > 0 ? "lookback_by_kind" : "milestones"),
			 errhint("Call cdp.attribution_pass(key, at, label, value, options, id, kind, session, refers_to); what you do not have is NULL.")));
}

/* Starts a pass at its first row: reads the options, fixes the layout of rows. */
static CdpPass *
start_pass(FunctionCallInfo fcinfo, CdpKeyType key_type, bool int_labels, bool wide)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	CdpPass    *pass;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "attribution pass called outside an aggregate");
	cxt = AllocSetContextCreate(aggregate, "cdp attribution pass", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	pass = palloc0(sizeof(CdpPass));
	pass->cxt = cxt;
	pass->given = PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P_COPY(5);
	pass->vary = cdp_option_varies(fcinfo, 5);
	pass->options = cdp_options_from_jsonb(pass->given, cxt);
	if (!wide)
		refuse_without_kinds(pass->options);
	pass->key_type = key_type;
	pass->wide = wide;
	pass->keep_kinds = wide && (pass->options->nkinds > 0 || pass->options->nmilestones > 0);
	pass->keep_conversion_labels = pass->options->conversion_is_touch != CDP_CONVERSION_NO_TOUCH ||
		pass->options->need_sessions;
	pass->store = cdp_store_create(cxt, key_type != CDP_KEY_BIGINT, wide ? 1 + pass->options->need_sessions : 0,
								   &cdp_attribution_memory);
	pass->files = MemoryContextAlloc(aggregate, sizeof(CdpPassFiles));
	pass->files->store = pass->store;
	AggRegisterCallback(fcinfo, close_files, PointerGetDatum(pass->files));
	cdp_intern_init(&pass->labels, int_labels, cxt, &cdp_attribution_memory);
	cdp_intern_init(&pass->conversion_labels, int_labels, cxt, &cdp_attribution_memory);
	cdp_intern_init(&pass->kinds, int_labels, cxt, &cdp_attribution_memory);
	for (int m = 0; m < CDP_MAX_MILESTONES; m++)
		pass->milestone[m] = -1;
	if (pass->options->credits && key_type == CDP_KEY_TEXT)
		pass->customers = cdp_key_names_create(cxt, &cdp_attribution_memory);
	MemoryContextSwitchTo(old);
	return pass;
}

/* The name of a customer, for credits; palloc'd or shared. */
const char *
cdp_pass_customer(const CdpPass *pass, uint64 key, uint64 key2)
{
	return cdp_key_name(pass->key_type, pass->customers, key, key2);
}

/* The number of a kind plus one; a new one is compared with the milestones. */
static uint16
kind_number(CdpPass *pass, Datum kind)
{
	CdpIntern  *in = &pass->kinds;
	uint32		before = in->n;
	uint32		number;

	if (in->is_int)
		number = cdp_intern_int(in, DatumGetInt32(kind));
	else
	{
		text	   *t = DatumGetTextPP(kind);

		number = cdp_intern_text(in, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
	}
	if (in->n > before)
	{
		const char *name = in->is_int ? psprintf("%d", (int) in->code[number]) : in->text[number];

		if (number >= PG_UINT16_MAX - 1)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many distinct kinds of touch"),
					 errdetail("At most %d are possible.", PG_UINT16_MAX - 1),
					 errhint("Pass what names the kind of touch, not the single touch.")));
		for (int m = 0; m < pass->options->nmilestones; m++)
			if (strcmp(pass->options->milestone[m], name) == 0)
				pass->milestone[m] = number;
	}
	return (uint16) (number + 1);
}

/* Keeps a refund that names its conversion. */
static void
add_reference(CdpPass *pass, int64 conversion_id, int64 at, int64 value, const uint64 *key, bool has_key)
{
	if (pass->nreferences == pass->reference_room)
	{
		pass->reference_room = Max(256, pass->reference_room * 2);
		if (pass->reference_room * sizeof(CdpReference) > cdp_pass_memory_bytes(&cdp_attribution_memory) / 4)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("refunds of attribution do not fit into memory"),
					 errdetail(INT64_FORMAT " refunds that name their conversion take more than a quarter of %d kB.",
							   pass->nreferences, cdp_attribution_memory.kilobytes),
					 errhint("Raise cdp.attribution_memory, or report a shorter interval.")));
		pass->reference = pass->reference == NULL
			? MemoryContextAlloc(pass->cxt, sizeof(CdpReference) * pass->reference_room)
			: repalloc_huge(pass->reference, sizeof(CdpReference) * pass->reference_room);
	}
	pass->reference[pass->nreferences++] = (CdpReference) {.conversion_id = conversion_id, .at = at, .value = value,
		.key = {key[0], key[1]}, .has_key = has_key};
}

/* Fills the words of id and session, where rows have them. */
static inline void
put_wide(FunctionCallInfo fcinfo, CdpPass *pass, uint64 *row)
{
	row[CDP_ID_WORD(pass->store)] = (uint64) (PG_ARGISNULL(6) ? CDP_NO_ID : PG_GETARG_INT64(6));
	if (CDP_SESSION_WORD(pass->store))
		row[CDP_SESSION_WORD(pass->store)] = (uint64) (PG_ARGISNULL(8) ? CDP_NO_ID : PG_GETARG_INT64(8));
}

/* Packs a conversion or refund; returns nothing, counts what it leaves out. */
static void
add_conversion(FunctionCallInfo fcinfo, CdpPass *pass, CdpKeyType key_type, bool int_labels, bool wide,
			   int64 micro, bool negative)
{
	CdpStore   *store = pass->store;
	int64		at;
	uint64		key[2] = {0, 0};
	uint64		label = CDP_NO_LABEL;
	uint64		kind = 0;
	uint64		flags = negative ? CDP_ROW_REFUND : 0;
	uint64	   *row;

	if (PG_ARGISNULL(2) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2)))
	{
		pass->counter[CDP_COUNT_UNTIMED]++;
		return;
	}
	at = PG_GETARG_TIMESTAMPTZ(2);
	if (at >= pass->options->as_of)
	{
		pass->counter[CDP_COUNT_IGNORED]++;
		return;
	}
	if (PG_ARGISNULL(1))
		flags |= CDP_ROW_NO_KEY;
	else
		cdp_key_read(PG_GETARG_DATUM(1), key_type, pass->customers, key);
	if (wide && !PG_ARGISNULL(9))
	{
		add_reference(pass, PG_GETARG_INT64(9), at, micro < 0 ? micro : -micro, key, !PG_ARGISNULL(1));
		return;
	}
	if (!PG_ARGISNULL(3) && !negative)
		label = cdp_intern_label(pass->keep_conversion_labels ? &pass->labels : &pass->conversion_labels,
							 PG_GETARG_DATUM(3), int_labels);
	if (pass->keep_kinds && !PG_ARGISNULL(7))
		kind = kind_number(pass, PG_GETARG_DATUM(7));
	row = cdp_store_row(store, CDP_STORE_VALUED, cdp_store_place(store, key[0], key[1]));
	row[0] = key[0];
	row[1] = (uint64) at;
	row[2] = label | kind << 32 | flags << 48;
	if (key_type != CDP_KEY_BIGINT)
		row[3] = key[1];
	if (wide)
		put_wide(fcinfo, pass, row);
	row[store->value_word] = (uint64) micro;
	cdp_store_count(store);
}

/* Takes one row; all arguments but the state are those of cdp.attribution_pass. */
static pg_attribute_always_inline Datum
take_row(FunctionCallInfo fcinfo, CdpKeyType key_type, bool int_labels, ValueType value_type, bool wide)
{
	CdpPass    *pass;
	CdpStore   *store;
	int64		at;
	uint64		key[2];
	uint64		label = CDP_NO_LABEL;
	uint64		kind = 0;
	uint64		flags = 0;
	uint64	   *row;

	if (unlikely(PG_ARGISNULL(0)))
		pass = start_pass(fcinfo, key_type, int_labels, wide);
	else
	{
		pass = (CdpPass *) PG_GETARG_POINTER(0);
		if (unlikely(pass->vary))
			cdp_option_same(fcinfo, 5, pass->given, "attribution");
	}
	store = pass->store;
	pass->counter[CDP_COUNT_ROWS]++;

	if (!PG_ARGISNULL(4))
	{
		int64		micro;
		bool		negative;

		if (value_type == VALUE_NUMERIC)
			negative = cdp_micro_from_numeric((struct varlena *) PG_GETARG_POINTER(4), &micro);
		else
		{
			micro = cdp_micro_from_float(PG_GETARG_FLOAT8(4));
			negative = PG_GETARG_FLOAT8(4) < 0;
		}
		add_conversion(fcinfo, pass, key_type, int_labels, wide, micro, negative);
		PG_RETURN_POINTER(pass);
	}
	if (wide && pass->keep_kinds && !PG_ARGISNULL(7))
	{
		kind = kind_number(pass, PG_GETARG_DATUM(7));
		for (int m = 0; m < pass->options->nmilestones && PG_ARGISNULL(3); m++)
			if (pass->milestone[m] == (int) kind - 1)
				flags = CDP_ROW_MILESTONE;
	}
	if (unlikely(PG_ARGISNULL(3) && flags == 0))
	{
		pass->counter[CDP_COUNT_UNLABELLED]++;
		PG_RETURN_POINTER(pass);
	}
	if (unlikely(PG_ARGISNULL(2) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2))))
	{
		pass->counter[CDP_COUNT_UNTIMED]++;
		PG_RETURN_POINTER(pass);
	}
	at = PG_GETARG_TIMESTAMPTZ(2);
	if (unlikely(at >= pass->options->as_of))
	{
		pass->counter[CDP_COUNT_IGNORED]++;
		PG_RETURN_POINTER(pass);
	}
	if (unlikely(PG_ARGISNULL(1)))
	{
		pass->counter[CDP_COUNT_NO_KEY]++;
		PG_RETURN_POINTER(pass);
	}
	if (!PG_ARGISNULL(3))
	{
		label = cdp_intern_label(&pass->labels, PG_GETARG_DATUM(3), int_labels);
		pass->counter[CDP_COUNT_TOUCHES]++;
	}
	cdp_key_read(PG_GETARG_DATUM(1), key_type, pass->customers, key);
	if (!wide && likely(cdp_store_fits_narrow(at, label)))
	{
		if (key_type == CDP_KEY_BIGINT && key[0] <= PG_UINT32_MAX)
		{
			cdp_store_put_slim(cdp_store_row(store, CDP_STORE_SLIM, cdp_store_place(store, key[0], 0)), key[0],
							   cdp_store_narrow(at, label));
			cdp_store_count(store);
			PG_RETURN_POINTER(pass);
		}
		row = cdp_store_row(store, CDP_STORE_NARROW, cdp_store_place(store, key[0], key[1]));
		row[0] = key[0];
		row[1] = cdp_store_narrow(at, label);
		if (key_type != CDP_KEY_BIGINT)
			row[2] = key[1];
		cdp_store_count(store);
		PG_RETURN_POINTER(pass);
	}
	row = cdp_store_row(store, CDP_STORE_FULL, cdp_store_place(store, key[0], key[1]));
	row[0] = key[0];
	row[1] = (uint64) at;
	row[2] = label | kind << 32 | flags << 48;
	if (key_type != CDP_KEY_BIGINT)
		row[3] = key[1];
	if (wide)
		put_wide(fcinfo, pass, row);
	cdp_store_count(store);
	PG_RETURN_POINTER(pass);
}

#define PASS_FUNCTION(name, key, int_labels, value, wide) \
CDP_FUNCTION(name); \
/* One row of cdp.attribution_pass; the state lives in the aggregate's context. */ \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	return take_row(fcinfo, key, int_labels, value, wide); \
}

PASS_FUNCTION(cdp_pass_bigint_text_numeric, CDP_KEY_BIGINT, false, VALUE_NUMERIC, false)
PASS_FUNCTION(cdp_pass_bigint_text_float, CDP_KEY_BIGINT, false, VALUE_FLOAT, false)
PASS_FUNCTION(cdp_pass_bigint_int_numeric, CDP_KEY_BIGINT, true, VALUE_NUMERIC, false)
PASS_FUNCTION(cdp_pass_bigint_int_float, CDP_KEY_BIGINT, true, VALUE_FLOAT, false)
PASS_FUNCTION(cdp_pass_text_text_numeric, CDP_KEY_TEXT, false, VALUE_NUMERIC, false)
PASS_FUNCTION(cdp_pass_text_text_float, CDP_KEY_TEXT, false, VALUE_FLOAT, false)
PASS_FUNCTION(cdp_pass_text_int_numeric, CDP_KEY_TEXT, true, VALUE_NUMERIC, false)
PASS_FUNCTION(cdp_pass_text_int_float, CDP_KEY_TEXT, true, VALUE_FLOAT, false)
PASS_FUNCTION(cdp_pass_uuid_text_numeric, CDP_KEY_UUID, false, VALUE_NUMERIC, false)
PASS_FUNCTION(cdp_pass_uuid_text_float, CDP_KEY_UUID, false, VALUE_FLOAT, false)
PASS_FUNCTION(cdp_pass_uuid_int_numeric, CDP_KEY_UUID, true, VALUE_NUMERIC, false)
PASS_FUNCTION(cdp_pass_uuid_int_float, CDP_KEY_UUID, true, VALUE_FLOAT, false)
PASS_FUNCTION(cdp_pass_bigint_text_wide, CDP_KEY_BIGINT, false, VALUE_NUMERIC, true)
PASS_FUNCTION(cdp_pass_bigint_int_wide, CDP_KEY_BIGINT, true, VALUE_NUMERIC, true)
PASS_FUNCTION(cdp_pass_text_text_wide, CDP_KEY_TEXT, false, VALUE_NUMERIC, true)
PASS_FUNCTION(cdp_pass_text_int_wide, CDP_KEY_TEXT, true, VALUE_NUMERIC, true)
PASS_FUNCTION(cdp_pass_uuid_text_wide, CDP_KEY_UUID, false, VALUE_NUMERIC, true)
PASS_FUNCTION(cdp_pass_uuid_int_wide, CDP_KEY_UUID, true, VALUE_NUMERIC, true)

/* Names what was left out, in one warning. */
static void
warn_left_out(const int64 *counter)
{
	int64		all = counter[CDP_COUNT_NO_KEY] + counter[CDP_COUNT_UNTIMED] + counter[CDP_COUNT_UNLABELLED];

	if (all == 0)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("attribution left out " INT64_FORMAT " of " INT64_FORMAT " rows", all, counter[CDP_COUNT_ROWS]),
			 errdetail(INT64_FORMAT " touches without key, " INT64_FORMAT " rows without a finite time, "
					   INT64_FORMAT " rows without label and value.",
					   counter[CDP_COUNT_NO_KEY], counter[CDP_COUNT_UNTIMED], counter[CDP_COUNT_UNLABELLED])));
}

CDP_FUNCTION(cdp_pass_final);

/* The final function: journeys, sums, and their bytes in the caller's context. */
Datum
cdp_pass_final(PG_FUNCTION_ARGS)
{
	CdpPass    *pass;
	CdpSums    *sums;
	Datum		result;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "attribution pass finished outside an aggregate");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pass = (CdpPass *) PG_GETARG_POINTER(0);
	sums = cdp_pass_finish(pass);
	pass->files->store = NULL;	/* walked and closed, partition by partition */
	warn_left_out(sums->counter);
	result = cdp_sums_to_datum(sums);
	MemoryContextDelete(pass->cxt);
	return result;
}

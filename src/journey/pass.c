/*
 * pass.c
 *		Starting and ending the passes of the journey room.
 */
#include "journey/pass.h"

#include "base/option.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

/* What the executor closes when it ends without asking for the result, as LIMIT makes it do. */
typedef struct CdpJourneyFiles
{
	CdpStore   *store;			/* NULL once the pass is finished */
} CdpJourneyFiles;

/* Closes the temporary files of a pass that nobody finished; after an error the server does. */
static void
close_files(Datum files)
{
	CdpStore   *store = ((CdpJourneyFiles *) DatumGetPointer(files))->store;

	if (store != NULL)
		cdp_store_close(store);
}

/* Raises the error for a type that a pass does not take. */
CDP_NORETURN static void
bad_type(const char *what, Oid type, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("a pass over journeys cannot take %s of type %s", what,
					OidIsValid(type) ? format_type_be(type) : "unknown"),
			 errhint("%s", hint)));
}

/* Starts a pass of the given size at its first row, in a context of its own below the aggregate's. */
void *
cdp_journey_start(FunctionCallInfo fcinfo, Size size, int key_arg, int label_arg, int options_arg)
{
	MemoryContext aggregate;
	MemoryContext cxt;
	MemoryContext old;
	CdpJourneyPass *pass;
	Oid			label_type;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "pass over journeys called outside an aggregate");
	cxt = AllocSetContextCreate(aggregate, "cdp journey pass", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	pass = palloc0(size);
	pass->cxt = cxt;
	pass->given = PG_ARGISNULL(options_arg) ? NULL : PG_GETARG_JSONB_P_COPY(options_arg);
	pass->vary = cdp_option_varies(fcinfo, options_arg);
	pass->key_oid = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, key_arg));
	label_type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, label_arg));
	switch (pass->key_oid)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			pass->key_type = CDP_KEY_BIGINT;
			break;
		case TEXTOID:
		case VARCHAROID:
			pass->key_type = CDP_KEY_TEXT;
			break;
		case UUIDOID:
			pass->key_type = CDP_KEY_UUID;
			break;
		default:
			bad_type("a key", pass->key_oid, "Give a bigint, integer, text or uuid, or cast to one of them.");
	}
	if (label_type != TEXTOID && label_type != VARCHAROID && label_type != INT4OID && label_type != INT2OID)
		bad_type("a label", label_type, "Give text or integer, or cast to one of them.");
	/* The Datum of a smallint is that of the integer of the same value: both are made by widening, the sign included. */
	cdp_intern_init(&pass->labels, label_type == INT4OID || label_type == INT2OID, cxt, &cdp_journey_memory);
	MemoryContextSwitchTo(old);
	return pass;
}

/* Makes the store of a pass, with so many words in each row beside key, time and label. */
void
cdp_journey_store(FunctionCallInfo fcinfo, CdpJourneyPass *pass, int extra_words)
{
	MemoryContext aggregate;

	(void) AggCheckCallContext(fcinfo, &aggregate);
	pass->store = cdp_store_create(pass->cxt, pass->key_type != CDP_KEY_BIGINT, extra_words, &cdp_journey_memory);
	pass->files = MemoryContextAlloc(aggregate, sizeof(CdpJourneyFiles));
	pass->files->store = pass->store;
	AggRegisterCallback(fcinfo, close_files, PointerGetDatum(pass->files));
}

/* Says that all rows have been visited and their files closed. */
void
cdp_journey_finished(CdpJourneyPass *pass)
{
	pass->files->store = NULL;
}

/* The text of a label; an integer's is palloc'd. */
const char *
cdp_journey_label(const CdpIntern *labels, uint32 number)
{
	return labels->is_int ? psprintf("%d", (int) labels->code[number]) : labels->text[number];
}

/* The number of a label that the options name; labels of integer columns are integers. */
uint32
cdp_journey_named(CdpJourneyPass *pass, const char *name)
{
	char	   *end;
	long		code;

	if (!pass->labels.is_int)
		return cdp_intern_text(&pass->labels, name, strlen(name));
	errno = 0;
	code = strtol(name, &end, 10);
	/* Only as the number is written, so that options that compare labels as text see the same ones. */
	if (end == name || *end != '\0' || errno != 0 || code < PG_INT32_MIN || code > PG_INT32_MAX || strcmp(psprintf("%ld", code), name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("label \"%s\" of the options is no integer", name),
				 errdetail("The labels of the rows are integers."),
				 errhint("Name labels by their digits, or give the rows labels of type text.")));
	return cdp_intern_int(&pass->labels, (int32) code);
}

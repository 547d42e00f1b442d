/*
 * setup.c
 *		Whether cdp.setup() of this release has run; each entry point asks.
 */
#include "cdp.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"

CDP_FUNCTION(cdp_require_setup);

/* Whether a table or view of cdp_data is there. */
static bool
is_there(char *name)
{
	return OidIsValid(RangeVarGetRelid(makeRangeVar("cdp_data", name, -1), NoLock, true));
}

/* Reads the release of the tables and that of the extension, palloc'd; NULL for none. */
static void
read_versions(char **made, char **installed)
{
	static SPIPlanPtr plan = NULL;
	int			code;

	*made = *installed = NULL;
	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare("SELECT e.extversion, (SELECT t.version FROM cdp_data.setting t) "
										   "FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp'", 0, NULL);

		if (prepared == NULL)
			elog(ERROR, "the release cannot be read: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(prepared);
		plan = prepared;
	}
	code = SPI_execute_plan(plan, NULL, NULL, true, 1);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "the release cannot be read: %s", SPI_result_code_string(code));
	if (SPI_processed == 0)
		return;
	*installed = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	*made = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
}

/* require_setup(): nothing, or the error that tells to call cdp.setup(). */
Datum
cdp_require_setup(PG_FUNCTION_ARGS)
{
	char	   *made,
			   *installed;

	if (!is_there("setting"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of pg_cdp are not there yet"),
				 errhint("Run: CALL cdp.setup();")));
	SPI_connect();
	read_versions(&made, &installed);
	if (made == NULL || installed == NULL || strcmp(made, installed) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of pg_cdp are of another release"),
				 errdetail("Tables: %s, extension: %s.", made != NULL ? made : "none", installed != NULL ? installed : "none"),
				 errhint("Run: CALL cdp.setup();")));
	/* DROP EXTENSION CASCADE takes all views together; one tells for all. */
	if (!is_there("channel_all"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the views of pg_cdp are missing"),
				 errdetail("DROP EXTENSION ... CASCADE takes them, the tables stay."),
				 errhint("Run: CALL cdp.setup();")));
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * feed.c
 *		Writes the change feed: one row for each customer that changed.
 *
 * Every merge, load and erasure ends here, so the statement is prepared once
 * by a backend and kept; PostgreSQL plans it again when the table changes.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"

#include "core/feed.h"

CDP_FUNCTION(cdp_sql_feed_write);

#define FEED_ARGS 4

/* Runs the statement with the arguments of feed_write(); returns the rows written. */
static uint64
write_rows(Datum *args, const char *nulls)
{
	static SPIPlanPtr plan = NULL;
	int			code;

	if (plan == NULL)
	{
		Oid			types[FEED_ARGS] = {INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
		SPIPlanPtr	made = SPI_prepare_cursor("INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to) "
											  "SELECT c, $2, $3, $4 FROM unnest(coalesce($1, ARRAY[NULL::bigint])) c",
											  FEED_ARGS, types, CURSOR_OPT_GENERIC_PLAN);

		if (made == NULL)
			elog(ERROR, "the change feed cannot be written: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(made);
		plan = made;
	}
	code = SPI_execute_plan(plan, args, nulls, false, 0);
	if (code != SPI_OK_INSERT)
		elog(ERROR, "the change feed cannot be written: %s", SPI_result_code_string(code));
	return SPI_processed;
}

/* Tells that these customers (bigint[]) changed, for this cause (text); within any times. */
void
cdp_feed_write(Datum customer_ids, Datum cause)
{
	Datum		args[FEED_ARGS] = {customer_ids, cause, 0, 0};

	write_rows(args, "  nn");
}

/* feed_write(customer_ids, cause, occurred_from, occurred_to): rows written. */
Datum
cdp_sql_feed_write(PG_FUNCTION_ARGS)
{
	Datum		args[FEED_ARGS];
	char		nulls[FEED_ARGS + 1] = "    ";
	uint64		n;

	for (int i = 0; i < FEED_ARGS; i++)
	{
		args[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		if (PG_ARGISNULL(i))
			nulls[i] = 'n';
	}
	SPI_connect();
	n = write_rows(args, nulls);
	SPI_finish();
	PG_RETURN_INT64((int64) n);
}

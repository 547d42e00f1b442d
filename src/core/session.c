/*
 * session.c
 *		What SQL can not do by itself: the cluster's number, the next transaction's, and a command that
 *		may commit although its text is known at run time only.
 */
#include "cdp.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "utils/xid8.h"

CDP_FUNCTION(cdp_system_identifier);
CDP_FUNCTION(cdp_next_xid);
CDP_FUNCTION(cdp_run_command);

/* Number of the cluster, as in pg_control_system(). */
Datum
cdp_system_identifier(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) GetSystemIdentifier());
}

/* Number of the next transaction: every one that has a number now has a lower one. A snapshot's xmax does not tell that. */
Datum
cdp_next_xid(PG_FUNCTION_ARGS)
{
	PG_RETURN_FULLTRANSACTIONID(ReadNextFullTransactionId());
}

/*
 * run_command(text): runs one command with the caller's rights.  Reached by
 * CALL outside a transaction block, the command may be a CALL that commits,
 * which EXECUTE of plpgsql refuses.
 */
Datum
cdp_run_command(PG_FUNCTION_ARGS)
{
	bool		may_commit = fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic;
	SPIExecuteOptions options = {0};
	MemoryContext cxt;
	char	   *command;
	int			rc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("command must not be NULL")));
	SPI_connect_ext(may_commit ? SPI_OPT_NONATOMIC : 0);
	/* The text has to outlive the transactions of the command. */
	cxt = AllocSetContextCreate(PortalContext, "cdp command", ALLOCSET_SMALL_SIZES);
	command = MemoryContextStrdup(cxt, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	options.allow_nonatomic = may_commit;
	options.dest = None_Receiver;	/* else SPI would keep every row of a SELECT in memory */
	rc = SPI_execute_extended(command, &options);
	if (rc < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command can not be run here"),
				 errdetail("%s", SPI_result_code_string(rc)),
				 errhint("Use one SELECT, CALL or other statement without BEGIN or COMMIT.")));
	SPI_finish();
	MemoryContextDelete(cxt);
	PG_RETURN_VOID();
}

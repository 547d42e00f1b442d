/*
 * identify_lists.c
 *		The types of identifiers and the rules of their values, kept by a
 *		backend as long as they are what the tables say.
 *
 * Anybody may change the lists with a plain UPDATE.  So once in each statement
 * of a client the visible versions of their rows, which are few, are compared
 * with those that the lists were made of: a version never changes.  Only where
 * and by whom it was written is looked at, no content; the lists themselves
 * are read with the rights of the user.
 */
#include "cdp.h"

#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/snapmgr.h"

#include "identity/graph/identify.h"

/* The lists of this backend, and what they were made of. */
static CdpLists *lists = NULL;
static StringInfoData source;	/* in the context of the lists */

/* The statement and the command in it for which they were last compared. */
static struct
{
	bool		holds;
	TimestampTz statement;
	CommandId	command;
	Oid			user;
}			compared;

/* Has the lists compared again after a transaction. */
static void
forget_after_transaction(XactEvent event, void *arg)
{
	compared.holds = false;
}

/* Has the lists compared again after a subtransaction, which may have changed them and gone back. */
static void
forget_after_subtransaction(SubXactEvent event, SubTransactionId own, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		compared.holds = false;
}

/* Writes which versions of a table's rows the active snapshot sees, at most so many. */
static void
write_versions(StringInfo to, char *name, uint64 most)
{
	Oid			id = RangeVarGetRelid(makeRangeVar("cdp_data", name, -1), AccessShareLock, true);
	Relation	table;
	TupleTableSlot *slot;
	TableScanDesc scan;

	appendBinaryStringInfo(to, (char *) &id, sizeof(id));
	if (!OidIsValid(id))
		return;					/* the statement that needs it will tell */
	table = table_open(id, NoLock);
	slot = table_slot_create(table, NULL);
	/* In the order of their places: a scan that joins another one would begin anywhere. */
	scan = table_beginscan_strat(table, GetActiveSnapshot(), 0, NULL, true, false);
	for (uint64 n = 0; n < most && table_scan_getnextslot(scan, ForwardScanDirection, slot); n++)
	{
		bool		isnull;
		TransactionId xmin = DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull));

		CHECK_FOR_INTERRUPTS();
		appendBinaryStringInfo(to, (char *) &xmin, sizeof(xmin));
		appendBinaryStringInfo(to, (char *) &slot->tts_tid, sizeof(slot->tts_tid));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, NoLock);
}

/* Writes what the lists depend on. Of the suppressed it matters whether there are any. */
static void
write_source(StringInfo to)
{
	Oid			user = GetUserId();

	initStringInfo(to);
	appendBinaryStringInfo(to, (char *) &user, sizeof(user));
	write_versions(to, "identifier_type", PG_UINT64_MAX);
	write_versions(to, "identifier_block", PG_UINT64_MAX);
	write_versions(to, "setting", PG_UINT64_MAX);
	write_versions(to, "suppression", 1);
}

/* Reads all types into the lists' context. */
static void
read_types(CdpLists *made)
{
	cdp_read(CDP_ALL_TYPES, NULL, NULL);
	made->ntypes = SPI_processed;
	made->type = MemoryContextAllocZero(made->cxt, mul_size(made->ntypes + 1, sizeof(CdpType)));
	for (int i = 0; i < made->ntypes; i++)
	{
		CdpType    *t = &made->type[i];
		bool		isnull;

		t->type_id = DatumGetInt16(cdp_cell(i, 1, &isnull));
		t->priority = DatumGetInt16(cdp_cell(i, 2, &isnull));
		t->is_builtin = cdp_cell_bool(i, 3);
		t->attach_only = cdp_cell_bool(i, 4);
		t->ignored = cdp_cell_bool(i, 5);
		t->windowed = cdp_cell_bool(i, 6);
		t->most = DatumGetInt32(cdp_cell(i, 7, &isnull));
		t->degree = DatumGetInt32(cdp_cell(i, 8, &isnull));
		t->name = MemoryContextStrdup(made->cxt, cdp_cell_text(i, 9));
	}
	cdp_done();
}

/* An array of the last statement's row 0, NULL for NULL; it lives until cdp_done(). */
static ArrayType *
array_cell(int column)
{
	bool		isnull;
	Datum		d = cdp_cell(0, column, &isnull);

	return isnull ? NULL : DatumGetArrayTypeP(d);
}

/* Makes the lists from the tables and takes them for this backend; own is what they are compared with. */
static void
make_lists(StringInfo own)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "identifier lists", ALLOCSET_DEFAULT_SIZES);
	CdpLists   *made = MemoryContextAllocZero(cxt, sizeof(CdpLists));
	MemoryContext old;
	bool		isnull;

	made->cxt = cxt;
	read_types(made);
	cdp_read(CDP_ALL_RULES, NULL, NULL);
	made->rules = cdp_rules_make(cxt, array_cell(1), array_cell(2));
	made->most = DatumGetInt32(cdp_cell(0, 3, &isnull));
	made->suppression = cdp_cell_bool(0, 4);
	cdp_done();
	/* A caller further up may still look at the old ones. */
	if (lists != NULL)
		MemoryContextSetParent(lists->cxt, TopTransactionContext);
	lists = NULL;
	old = MemoryContextSwitchTo(cxt);
	initStringInfo(&source);
	appendBinaryStringInfo(&source, own->data, own->len);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(cxt, TopMemoryContext);
	lists = made;
}

/*
 * The lists as the active snapshot shows them.  They belong to the backend and
 * live at least until the transaction ends.
 */
CdpLists *
cdp_lists(void)
{
	static bool watching = false;
	CommandId	command = GetActiveSnapshot()->curcid;
	StringInfoData own;

	if (lists != NULL && compared.holds && compared.statement == GetCurrentStatementStartTimestamp() &&
		compared.command == command && compared.user == GetUserId())
		return lists;
	if (!watching)
	{
		RegisterXactCallback(forget_after_transaction, NULL);
		RegisterSubXactCallback(forget_after_subtransaction, NULL);
		watching = true;
	}
	compared.holds = false;
	write_source(&own);
	if (lists == NULL || source.len != own.len || memcmp(source.data, own.data, own.len) != 0 ||
		!cdp_plan_holds(CDP_ALL_TYPES) || !cdp_plan_holds(CDP_ALL_RULES))
		make_lists(&own);
	pfree(own.data);
	compared.statement = GetCurrentStatementStartTimestamp();
	compared.command = command;
	compared.user = GetUserId();
	compared.holds = true;
	return lists;
}

/* The type of that number, NULL when there is none. */
const CdpType *
cdp_type(const CdpLists *l, int type_id)
{
	int			low = 0,
				high = l->ntypes - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (l->type[mid].type_id == type_id)
			return &l->type[mid];
		if (l->type[mid].type_id < type_id)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
}

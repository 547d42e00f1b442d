/*
 * identify_lock.c
 *		Locks of roots, and how one notices that a root is not what a look-up
 *		saw.
 *
 * Whoever changes what a root holds keeps its row locked, and either writes
 * that row or, when others are merged into the root, a line of the ledger.  So
 * as long as the version of the row and the newest line are the same, so is
 * what the root holds.  The row itself is not written at each merge: that of a
 * root into which many are merged would grow a version each time, and as long
 * as any transaction runs, its report or its waiting neighbour, everybody would
 * have to step over all of them.
 *
 * Where customers may have any size, records need not wait for each other that
 * bring somebody to one large root, or link what one has, if the verdict on each
 * is the same whoever else comes.  They lock its row FOR SHARE, which keeps it
 * a root and keeps its identifiers with it, and the rows of those whom they
 * bring FOR NO KEY UPDATE like everybody.  cdp_may_share() tells before the
 * locks when that will do, and the judge under them whether it did.  All other
 * work on a root shuts them out.  A call never asks for more of a root that it
 * shares: where it has to, it gives all its locks back first.  They commit in
 * any order, so the newest line does not tell of all of them, and a link leaves
 * the row as it is: under the locks that matters to nobody, for a root that
 * others join is large, and of a large one no more is counted than that, and a
 * link changes no count.
 *
 * A transaction on an older snapshot (REPEATABLE READ) gets 40001 from
 * PostgreSQL where the row was written; where it was not, the newest line of
 * now is compared with the newest one in its snapshot, and where roots may be
 * shared, all that the root holds.  Lines are looked up without the rights of
 * the user: of their content nothing is told but whether there is a newer one.
 *
 * With CDP_UNION_UNSAFE the union step takes no locks and looks nobody up
 * again.  That is the peer of a benchmark (test/bench/identity/unsafe.c) and
 * loses merges; no build of the extension sets it.
 */
#include "cdp.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "identity/graph/identify.h"

CDP_FUNCTION(cdp_sql_require_seen);

/* The ledger, open for look-ups. */
typedef struct Ledger
{
	Relation	table;
	Relation	by_root;		/* its index, NULL when somebody dropped or changed it */
	AttrNumber	to_id;
	AttrNumber	merge_id;
} Ledger;

/* Whether an index of the ledger has the newest line of a root at the end of the root's lines. */
static bool
leads_to_newest(const Ledger *l, Relation index)
{
	Form_pg_index form = index->rd_index;

	return form->indrelid == RelationGetRelid(l->table) && form->indisvalid && index->rd_rel->relam == BTREE_AM_OID &&
		form->indnkeyatts >= 2 && form->indkey.values[0] == l->to_id && form->indkey.values[1] == l->merge_id &&
		index->rd_indoption[0] == 0 && index->rd_indoption[1] == 0 && heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

/* Opens the ledger; its locks stay until the transaction ends. */
static void
open_ledger(Ledger *l)
{
	Oid			index = RangeVarGetRelid(makeRangeVar("cdp_data", "merge_log_to_idx", -1), AccessShareLock, true);

	l->table = table_openrv(makeRangeVar("cdp_data", "merge_log", -1), AccessShareLock);
	l->to_id = get_attnum(RelationGetRelid(l->table), "to_id");
	l->merge_id = get_attnum(RelationGetRelid(l->table), "merge_id");
	l->by_root = OidIsValid(index) ? index_open(index, NoLock) : NULL;
	if (l->by_root != NULL && !leads_to_newest(l, l->by_root))
	{
		index_close(l->by_root, NoLock);
		l->by_root = NULL;
	}
}

/* Closes it. */
static void
close_ledger(const Ledger *l)
{
	if (l->by_root != NULL)
		index_close(l->by_root, NoLock);
	table_close(l->table, NoLock);
}

/* The newest line by which somebody came to a root, as a snapshot shows it; 0 for none. */
static int64
newest_merge(const Ledger *l, int64 root, Snapshot snapshot)
{
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	line;
	int64		newest = 0;
	bool		isnull;

	ScanKeyInit(&key, l->to_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(root));
	if (l->by_root != NULL)
	{
		scan = systable_beginscan_ordered(l->table, l->by_root, snapshot, 1, &key);
		line = systable_getnext_ordered(scan, BackwardScanDirection);
		if (HeapTupleIsValid(line))
			newest = DatumGetInt64(heap_getattr(line, l->merge_id, RelationGetDescr(l->table), &isnull));
		systable_endscan_ordered(scan);
		return newest;
	}
	/* Slow, but right. */
	scan = systable_beginscan(l->table, InvalidOid, false, snapshot, 1, &key);
	while (HeapTupleIsValid(line = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		newest = Max(newest, DatumGetInt64(heap_getattr(line, l->merge_id, RelationGetDescr(l->table), &isnull)));
	}
	systable_endscan(scan);
	return newest;
}

/* Notes, for the roots of a record, the newest merge into each as the active snapshot shows it. */
void
cdp_find_merges(CdpRecord *r)
{
#ifndef CDP_UNION_UNSAFE
	Ledger		ledger;

	open_ledger(&ledger);
	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];
		int			same = 0;

		if (one->root == 0)
			continue;
		while (r->one[same].root != one->root)
			same++;
		one->version.merge_id = same < i ? r->one[same].version.merge_id : newest_merge(&ledger, one->root, GetActiveSnapshot());
	}
	close_ledger(&ledger);
#endif
}

/* What a root holds, as a snapshot shows it. */
typedef struct Holding
{
	int64		n;
	int64		digest;
} Holding;

/* Counts a root's identifiers and links, with a digest of which they are and how the links stand. */
static Holding
count_holding(int64 root, Snapshot snapshot)
{
	Datum		arg = Int64GetDatum(root);
	Holding		holding;

	PushActiveSnapshot(snapshot);
	cdp_read(CDP_HOLDING, &arg, NULL);
	holding.n = cdp_cell_int8(0, 1);
	holding.digest = cdp_cell_int8(0, 2);
	cdp_done();
	PopActiveSnapshot();
	return holding;
}

/*
 * Error 40001 when the snapshot of the transaction does not show all that came
 * to a root: by its newest merge, or where it may be shared by all that it holds.
 */
static void
require_seen(const Ledger *l, int64 root, Snapshot now, bool shareable)
{
	bool		seen;

	if (shareable)
	{
		Holding		here = count_holding(root, now),
					before = count_holding(root, GetTransactionSnapshot());

		seen = here.n == before.n && here.digest == before.digest;
	}
	else
		seen = newest_merge(l, root, now) == newest_merge(l, root, GetTransactionSnapshot());
	if (!seen)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("customer %lld changed after the snapshot of this transaction", (long long) root),
				 errhint("Try the transaction again.")));
}

/* require_seen(customers): nothing, or error 40001; see its comment in SQL. */
Datum
cdp_sql_require_seen(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *id;
	bool	   *isnull;
	int			n;
	Ledger		ledger;
	Snapshot	now;
	bool		shareable;

	if (!IsolationUsesXactSnapshot())
		PG_RETURN_VOID();
	deconstruct_array(array, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &id, &isnull, &n);
	CommandCounterIncrement();
	SPI_connect();
	shareable = cdp_lists()->most == 0;
	now = RegisterSnapshot(GetLatestSnapshot());
	open_ledger(&ledger);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnull[i])
			require_seen(&ledger, DatumGetInt64(id[i]), now, shareable);
	}
	close_ledger(&ledger);
	UnregisterSnapshot(now);
	SPI_finish();
	PG_RETURN_VOID();
}

#ifndef CDP_UNION_UNSAFE

/* Takes the rows of locked roots, and stops at the first that is none. */
typedef struct RootReceiver
{
	DestReceiver pub;
	CdpRecord  *record;
	uint64		roots;
	bool		moved;
} RootReceiver;

/* Nothing is to be prepared for the rows. */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

/* Nothing is left after them. */
static void
end_rows(DestReceiver *self)
{
}

/* One locked row: who has locked what is no root any more must not wait for the next lock, because the holder of its root may want it. */
static bool
receive_root(TupleTableSlot *slot, DestReceiver *self)
{
	RootReceiver *receiver = (RootReceiver *) self;
	CdpRecord  *r = receiver->record;
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	TransactionId xmin = DatumGetTransactionId(slot_getattr(slot, 3, &isnull));
	ItemPointer tid = (ItemPointer) DatumGetPointer(slot_getattr(slot, 4, &isnull));

	receiver->roots++;
	receiver->moved = id != DatumGetInt64(slot_getattr(slot, 2, &isnull));
	for (int i = 0; i < r->nheld; i++)
	{
		CdpHeld    *held = &r->held[i];

		if (held->id == id)
			held->changed = held->version.xmin != xmin || !ItemPointerEquals(&held->version.tid, tid);
	}
	return !receiver->moved;
}

/* Notes which of the locked roots took in others since the look-up; error 40001 where the transaction's snapshot does not show that. */
static void
note_growth(CdpRecord *r)
{
	Ledger		ledger;
	Snapshot	now;

	CommandCounterIncrement();
	now = RegisterSnapshot(GetLatestSnapshot());
	open_ledger(&ledger);
	for (int i = 0; i < r->nheld; i++)
	{
		CdpHeld    *held = &r->held[i];

		/* What else comes to a shared root plays no part. */
		held->grown = held->id != r->shared && held->version.merge_id != newest_merge(&ledger, held->id, now);
		if (IsolationUsesXactSnapshot())
			require_seen(&ledger, held->id, now, r->lists->most == 0);
	}
	close_ledger(&ledger);
	UnregisterSnapshot(now);
}

/* Runs a statement that locks roots. False when one of them is none any more. */
static bool
lock_some(CdpStatement which, Datum arg, RootReceiver *receiver)
{
	cdp_run_to(which, &arg, &receiver->pub);
	return !receiver->moved;
}

/* The same for those of the record's roots that are below, or above, the one that is shared; for all when none is. */
static bool
lock_alone(CdpRecord *r, bool above, RootReceiver *receiver)
{
	int64		id[CDP_RECORD_MAX];
	int			n = 0;
	Datum		arg;
	bool		all;

	for (int i = 0; i < r->nheld; i++)
		if (r->shared == 0 || (r->held[i].id != r->shared && (r->held[i].id > r->shared) == above))
			id[n++] = r->held[i].id;
	if (n == 0)
		return true;
	arg = cdp_ids(id, n);
	all = lock_some(CDP_LOCK_ROOTS, arg, receiver);
	pfree(DatumGetPointer(arg));
	return all;
}

/*
 * Locks the shared root.  Those who wait for it alone go first: they hold the
 * lock of its tuple while they wait, and those who share would pass them for
 * ever.  False when it is no root any more.
 */
static bool
lock_shared(CdpRecord *r, RootReceiver *receiver)
{
	Relation	customer = table_openrv(makeRangeVar("cdp_data", "customer", -1), RowShareLock);
	uint64		before = receiver->roots;

	for (int i = 0; i < r->nheld; i++)
	{
		if (r->held[i].id == r->shared)
		{
			LockTuple(customer, &r->held[i].version.tid, RowShareLock);
			UnlockTuple(customer, &r->held[i].version.tid, RowShareLock);
		}
	}
	table_close(customer, NoLock);
	return lock_some(CDP_SHARE_ROOT, Int64GetDatum(r->shared), receiver) && receiver->roots > before;
}

#endif							/* CDP_UNION_UNSAFE */

/*
 * Locks the record's roots until the transaction ends, in the order of their
 * numbers, and notes which of them changed or grew since the look-up.  False
 * as soon as one of them is no root any more, or when none is there: give the
 * locks back and look the roots up again.
 */
bool
cdp_lock_roots(CdpRecord *r)
{
#ifdef CDP_UNION_UNSAFE
	for (int i = 0; i < r->nheld; i++)
		r->held[i].changed = r->held[i].grown = false;
	return true;
#else
	RootReceiver receiver = {{receive_root, start_rows, end_rows, end_rows, DestNone}, r, 0, false};

	for (int i = 0; i < r->nheld; i++)
	{
		r->held[i].changed = true;	/* a root that is not there */
		r->held[i].grown = true;
	}
	if (!lock_alone(r, false, &receiver))
		return false;
	if (r->shared != 0 && !(lock_shared(r, &receiver) && lock_alone(r, true, &receiver)))
		return false;
	if (receiver.roots == 0)
		return false;
	note_growth(r);
	return true;
#endif
}

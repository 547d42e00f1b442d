/*
 * identify.c
 *		One record comes in: whose is it, who becomes one customer through it,
 *		and what forbids that.
 *
 * Locks are taken in one order by everybody, so that calls wait but never
 * deadlock: the table of links (against a rebuild), new identifiers by type
 * and value, rows of known ones by type and value, roots by customer_id, links
 * by their ends, support.  A root may move between the look-up and its lock;
 * then everything is rolled back to before the first lock and tried again,
 * because a lock asked for later could be out of order.  Records that need not
 * wait for each other share a root (identify_lock.c, with how a transaction on
 * an older snapshot notices what it cannot see, and fails with 40001 instead of
 * judging).
 */
#include "cdp.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "identity/graph/identify.h"

#define ATTEMPTS 100

CDP_FUNCTION(cdp_identify_in);
CDP_FUNCTION(cdp_sql_calls_follow);

/* The transaction in which this session last took a record in, or said that it takes in several. */
static LocalTransactionId last_transaction = InvalidLocalTransactionId;

/* What a call tells. */
typedef struct Answer
{
	int64		customer_id;
	int64		identifier_id;
	int64		home_id;
	bool		created;
	int			nmerged;
	int64		merged[CDP_RECORD_MAX];
	JsonbParseState *rejected;
} Answer;

/* One attempt to take a record in. */
typedef struct Attempt
{
	int			missing;		/* identifiers that nobody knows */
	int64		guess;			/* home of the new ones until the judge has spoken */
	int64		made;			/* number of a new customer, 0: none */
	int64		winner;			/* of all held, 0: there is none */
	bool		may_tell;		/* of a merge before the locks */
	bool		told;			/* that all held become the winner */
	TimestampTz locked_at;
	int			ncrowded;
	int64		crowded[CDP_RECORD_MAX];
	int			nneed;
	CdpPair    *need[2 * CDP_RECORD_MAX];	/* pairs whose link is written */
} Attempt;

/* Whether a moment is a day or more beyond the one that is stored for "last". */
static inline bool
is_later(TimestampTz at, TimestampTz last)
{
	return TIMESTAMP_NOT_FINITE(last) ? last == DT_NOBEGIN : at > last + CDP_DAY;
}

/* Whether the times of an identifier need a note. */
static inline bool
needs_note(const CdpOne *one, TimestampTz at)
{
	return at < one->first_seen || is_later(at, one->last_seen);
}

/* Whether a number is in a list. */
static bool
is_among(const int64 *list, int n, int64 id)
{
	for (int i = 0; i < n; i++)
		if (list[i] == id)
			return true;
	return false;
}

/* Puts the root of an identifier among those to lock. */
static void
hold_root(CdpRecord *r, const CdpOne *one)
{
	for (int i = 0; i < r->nheld; i++)
		if (r->held[i].id == one->root)
			return;
	r->held[r->nheld].id = one->root;
	r->held[r->nheld++].version = one->version;
}

/* The strongest that nothing keeps out, else the strongest. */
static int
strongest_free(const CdpRecord *r)
{
	for (int i = 0; i < r->k; i++)
	{
		if (r->one[i].stop == NULL)
			return i;
	}
	return 0;
}

/*
 * Finds the hubs, the two strongest of a type that merges, and the pairs: each
 * other identifier gets a link from both, so that any one of them may be taken
 * out later without the rest falling apart.  Whether a hub is in quarantine
 * plays no part, so that a record makes the same links whenever it comes: by
 * one in quarantine nobody is joined.  first_hub and second_hub are those that
 * join; first_hub carries the facts of the record also where none does.
 */
static void
choose_hubs(CdpRecord *r)
{
	int			hub[2] = {-1, -1};
	int			nhubs = 0;

	r->first_hub = r->second_hub = -1;
	for (int i = 0; i < r->k && nhubs < 2; i++)
	{
		if (r->one[i].type->attach_only)
			continue;
		hub[nhubs++] = i;
		if (r->one[i].stop != NULL)
			continue;
		if (r->first_hub < 0)
			r->first_hub = i;
		else
			r->second_hub = i;
	}
	if (r->first_hub < 0)
	{
		/* Only one more can be attached to an identifier that is itself only attached; and nobody joins by hubs that are all in quarantine. */
		bool		full;

		r->first_hub = strongest_free(r);
		full = nhubs > 0 || r->one[r->first_hub].stop != NULL;
		for (int i = r->first_hub + 1; i < r->k; i++)
		{
			if (r->one[i].stop != NULL)
				continue;
			if (full)
				r->one[i].stop = nhubs > 0 ? CDP_SUPER_NODE : CDP_ATTACH_ONLY;
			full = true;
		}
		if (nhubs == 0)
			hub[nhubs++] = r->first_hub;
	}
	r->npairs = 0;
	for (int h = 0; h < nhubs; h++)
	{
		for (int i = 0; i < r->k; i++)
		{
			if (i == hub[0] || i == hub[h])
				continue;
			r->pair[r->npairs].hub = hub[h];
			r->pair[r->npairs++].other = i;
		}
	}
}

/* Adds {"type", "reason"} to the rejected ones. */
static void
reject(Answer *a, const CdpOne *one, const char *reason)
{
	JsonbValue	key = {jbvString},
				v = {jbvString};

	pushJsonbValue(&a->rejected, WJB_BEGIN_OBJECT, NULL);
	key.val.string.val = "type";
	key.val.string.len = 4;
	v.val.string.val = one->type->name;
	v.val.string.len = strlen(one->type->name);
	pushJsonbValue(&a->rejected, WJB_KEY, &key);
	pushJsonbValue(&a->rejected, WJB_VALUE, &v);
	key.val.string.val = "reason";
	key.val.string.len = 6;
	if (reason == NULL)
		v.type = jbvNull;
	else
	{
		v.val.string.val = unconstify(char *, reason);
		v.val.string.len = strlen(reason);
	}
	pushJsonbValue(&a->rejected, WJB_KEY, &key);
	pushJsonbValue(&a->rejected, WJB_VALUE, &v);
	pushJsonbValue(&a->rejected, WJB_END_OBJECT, NULL);
}

/* Whether all that may join are one customer already. */
static bool
has_one_root(const CdpRecord *r)
{
	for (int i = 0; i < r->k; i++)
	{
		const CdpOne *one = &r->one[i];

		if (one->root != 0 && one->stop == NULL && one->root != r->one[r->first_hub].root && r->one[r->first_hub].root != 0)
			return false;
	}
	return true;
}

/* Whether the links of a record, all of whose identifiers are known and of one root, would change. */
static bool
links_change(CdpRecord *r)
{
	if (r->k == 1)
		return false;
	cdp_find_links(r);
	for (int i = 0; i < r->npairs; i++)
	{
		const CdpPair *p = &r->pair[i];
		const CdpOne *hub = &r->one[p->hub],
				   *other = &r->one[p->other];

		if (!p->supported || p->first_seen > r->at || is_later(r->at, p->last_at))
			return true;
		if (strcmp(p->state, "active") != 0 && hub->stop == NULL && other->stop == NULL && !other->type->attach_only)
			return true;
	}
	return false;
}

/* Answers a record that tells nothing new, without a lock on anything but what was seen long ago. False when it tells something. */
static bool
answer_known(CdpRecord *r, Answer *a)
{
	const CdpOne *hub = &r->one[r->first_hub];
	int64		old[CDP_RECORD_MAX];
	int			n = 0;

	if (!has_one_root(r) || links_change(r))
		return false;
	for (int i = 0; i < r->k; i++)
		if (needs_note(&r->one[i], r->at))
			old[n++] = r->one[i].id;
	if (n > 0)
		cdp_touch(old, n, r->at, false);
	a->customer_id = hub->root;
	a->identifier_id = hub->id;
	a->home_id = hub->home;
	for (int i = 0; i < r->k; i++)
		if (r->one[i].root != a->customer_id && r->one[i].root != 0)
			reject(a, &r->one[i], r->one[i].stop);
	return true;
}

/* Locks the table of links as a writer does: a rebuild keeps writers out. */
static void
lock_links(void)
{
	RangeVarGetRelid(makeRangeVar("cdp_data", "link", -1), RowExclusiveLock, false);
}

/* Whether a quarantined identifier may have been released since the snapshot of the transaction: its row tells when it is locked. */
static inline bool
may_be_free(const CdpOne *one)
{
	return IsolationUsesXactSnapshot() && one->stop != NULL && strcmp(one->stop, CDP_SUPER_NODE) == 0;
}

/*
 * Step 1: identifiers.  New ones get the customer of the strongest known one,
 * which the judge may correct.  False when somebody else wrote one of them.
 */
static bool
write_identifiers(CdpRecord *r, Attempt *t)
{
	int64		old[2 * CDP_RECORD_MAX];
	int			n = 0,
				maybe = 0;
	bool		lock_all = false;

	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];
		/* Who shares a root counts the neighbours of an identifier under the lock of its row. */
		bool		alone = may_be_free(one) || (r->shared != 0 && cdp_may_crowd(r, i));

		if (!one->fresh && (alone || needs_note(one, r->at)))
			old[n++] = one->id;
		lock_all |= alone;
		if (!one->fresh && one->stop == NULL && one->root != 0 && (t->guess == 0 || i == r->first_hub))
			t->guess = one->root;
		maybe += cdp_may_crowd(r, i);
	}
	if (t->missing > 0)
	{
		if (t->guess == 0)
			t->guess = t->made = cdp_next_customer();
		if (!cdp_add_identifiers(r, t->guess))
			return false;
		if (t->made != 0)
			cdp_add_customer(t->made);
	}
	/* Whoever may turn out to be shared by too many is locked here as well: later would be out of order. */
	if (r->k > 1 && maybe > 0)
		t->ncrowded = cdp_crowded(r, r->k - 1, t->crowded);
	if (t->ncrowded > 0)
		r->shared = 0;
	memcpy(old + n, t->crowded, t->ncrowded * sizeof(int64));
	n += t->ncrowded;
	if (n > 0)
		cdp_touch(old, n, r->at, lock_all || t->ncrowded > 0);
	for (int i = 0; i < r->k; i++)
	{
		const CdpOne *one = &r->one[i];

		if (!one->fresh && one->root != 0 && is_among(t->crowded, t->ncrowded, one->id))
			hold_root(r, one);
	}
	return true;
}

/* Asks what can be asked before the roots are locked, to hold them shortly: the anchor and the age of a root never change, its size seldom. */
static void
look_ahead(CdpRecord *r, Attempt *t)
{
	if (r->nheld > 1)
	{
		int64		id[CDP_RECORD_MAX];

		for (int i = 0; i < r->nheld; i++)
			id[i] = r->held[i].id;
		t->winner = cdp_winner(r->lists, id, r->nheld);
	}
	else if (r->nheld == 1)
		t->winner = r->held[0].id;
	cdp_count_before(r);
}

/* Says which root the record shares with others, if all of its identifiers are known and no rule asks for more. */
static void
choose_shared(CdpRecord *r, Attempt *t)
{
	r->shared = 0;
	if (t->missing > 0)
		return;					/* new ones are counted when they have their numbers */
	look_ahead(r, t);
	if (r->may_share && cdp_may_share(r, t->winner))
		r->shared = t->winner;
}

/* Step 2: roots. False when one of them is none any more, or somebody belongs elsewhere by now. */
static bool
hold_roots(CdpRecord *r, Attempt *t)
{
	if (t->missing > 0 || t->ncrowded > 0)
		look_ahead(r, t);
	if (r->nheld > 1 && t->may_tell && cdp_expect_union(r))
	{
		cdp_tell_merge(r->joined, r->njoined, t->winner);
		t->told = true;
	}
	if (r->nheld > 0 && (!cdp_lock_roots(r) || cdp_moved(r)))
		return false;
	t->locked_at = GetCurrentTimestamp();
	return true;
}

/* Makes a customer and returns its number. */
static int64
make_customer(void)
{
	int64		id = cdp_next_customer();

	cdp_add_customer(id);
	return id;
}

/* Step 3: under which number, and the homes of new identifiers for which another was guessed. */
static void
settle_customers(CdpRecord *r, Attempt *t, Answer *a)
{
	int64		customer = 0;
	bool		some = false;

	for (int i = 0; i < r->k; i++)
		some |= r->one[i].accepted;
	if (r->njoined == 1)
		customer = r->joined[0];
	else if (r->njoined > 1)
		customer = r->njoined == r->nheld ? t->winner : cdp_winner(r->lists, r->joined, r->njoined);
	for (int i = 0; i < r->njoined; i++)
		if (r->joined[i] != customer)
			a->merged[a->nmerged++] = r->joined[i];
	if (customer == 0 && t->made == 0 && t->missing > 0 && some)
		t->made = make_customer();
	a->created = customer == 0 && t->made != 0;
	if (customer == 0)
		customer = t->made != 0 ? t->made : r->one[r->first_hub].root;
	a->customer_id = customer;
	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];

		if (!one->fresh)
			continue;
		if (!one->accepted)
			one->home = make_customer();
		else if (t->guess != customer && !is_among(r->joined, r->njoined, t->guess))
			one->home = customer;
		else
			continue;
		cdp_move_home(one->id, one->home);
	}
}

/* Compares two texts of which either may be NULL. */
static inline bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Says what becomes of the link of a pair, and whether that is to be written. */
static bool
settle_link(const CdpRecord *r, CdpPair *p)
{
	const CdpOne *hub = &r->one[p->hub],
			   *other = &r->one[p->other];
	const char *state,
			   *reason = NULL;
	bool		differs;

	if ((hub->accepted && other->accepted && !(other->type->attach_only && p->hub != r->first_hub)) ||
		is_same(p->state, "active"))
		state = "active";
	else if (is_same(p->state, "revoked") && is_same(p->reason, "unmerge"))
	{
		state = "revoked";
		reason = p->reason;
	}
	else
	{
		state = "rejected";
		reason = other->stop ? other->stop : hub->stop ? hub->stop : other->reason ? other->reason : hub->reason ? hub->reason : CDP_ATTACH_ONLY;
	}
	differs = !p->supported || !is_same(p->state, state) || !is_same(p->reason, reason) ||
		p->first_seen > r->at || is_later(r->at, p->last_at);
	p->state = state;
	p->reason = reason;
	p->blocker = is_same(reason, CDP_CANNOT) ? (other->blocker != 0 ? other->blocker : hub->blocker) : 0;
	return differs;
}

/* Step 4: links, with what became of each. */
static void
settle_links(CdpRecord *r, Attempt *t, const Answer *a)
{
	if (r->k == 1)
		return;
	if (r->k == 2 && a->nmerged > 0)
	{
		/* Two that were apart had no link in force; whatever stands there is overwritten. */
		r->pair[0].state = "active";
		r->pair[0].reason = NULL;
		r->pair[0].blocker = 0;
		t->need[t->nneed++] = &r->pair[0];
	}
	else
	{
		cdp_find_links(r);
		for (int i = 0; i < r->npairs; i++)
			if (settle_link(r, &r->pair[i]))
				t->need[t->nneed++] = &r->pair[i];
	}
	if (t->nneed > 0)
		cdp_write_links(r, t->need, t->nneed);
}

/* Step 5: one pointer a loser, one ledger line, and the roots written because what they hold has changed. */
static void
write_merge(CdpRecord *r, Attempt *t, const Answer *a)
{
	if (r->njoined > 0 && (t->nneed > 0 || t->missing > 0) && (r->shared == 0 || a->nmerged > 0))
		cdp_write_roots(r->joined, r->njoined, a->customer_id);
	if (a->nmerged > 0)
	{
		cdp_write_ledger(r, a->customer_id, t->locked_at);
		if (!t->told)
			cdp_tell_merge(r->joined, r->njoined, a->customer_id);
	}
	for (int i = 0; i < r->k; i++)
	{
		if (is_same(r->one[i].reason, CDP_CUSTOMER_SIZE))
		{
			Datum		arg[2] = {Int64GetDatum(a->customer_id), Int32GetDatum(r->lists->most)};

			cdp_run(CDP_ALERT_SIZE, arg, NULL);
			cdp_done();
			break;
		}
	}
}

/* Step 6: takes out who is shared by too many. While this call waited for the roots, others may have brought neighbours: false then. */
static bool
quarantine(CdpRecord *r, Attempt *t, Answer *a)
{
	int64		late[CDP_RECORD_MAX];
	int			n = t->nneed > 0 ? cdp_crowded(r, 0, late) : 0;
	int			hub = -1;
	CdpVersion	version;
	Datum		arg;

	for (int i = 0; i < n; i++)
		if (!is_among(t->crowded, t->ncrowded, late[i]))
			return false;
	if (n == 0)
		return true;
	arg = cdp_ids(late, n);
	cdp_run(CDP_QUARANTINE, &arg, NULL);
	cdp_done();
	for (int i = 0; i < r->k; i++)
	{
		if (is_among(late, n, r->one[i].id))
		{
			r->one[i].stop = CDP_SUPER_NODE;
			r->one[i].accepted = false;
		}
		if (hub < 0 && r->one[i].accepted)
			hub = i;
	}
	if (hub >= 0)
		r->first_hub = hub;
	a->identifier_id = r->one[r->first_hub].id;
	a->home_id = r->one[r->first_hub].home;
	arg = Int64GetDatum(a->identifier_id);
	cdp_phase_begin();
	cdp_read(CDP_PLACE_OF, &arg, NULL);
	a->customer_id = SPI_processed > 0 ? cdp_cell_int8(0, 1) : 0;
	cdp_done();
	a->customer_id = cdp_root(a->customer_id, &version);
	cdp_phase_end();
	return true;
}

/* All steps of one attempt. False when somebody else was quicker: everything is to be taken back and tried again. */
static bool
attempt(CdpRecord *r, Attempt *t, Answer *a)
{
	choose_shared(r, t);
	if (!write_identifiers(r, t) || !hold_roots(r, t))
		return false;
	cdp_judge(r);
	/* A rule asks for more than others leave as it is: once more, with the root for this call alone. */
	if (r->shared != 0 && (r->njoined != r->nheld || (r->njoined > 1 && r->unread != r->shared)))
	{
		r->may_share = false;
		return false;
	}
	settle_customers(r, t, a);
	/* What was told too soon is taken back with the rest. */
	if (t->told && (a->nmerged != r->nheld - 1 || a->customer_id != t->winner))
		return false;
	settle_links(r, t, a);
	write_merge(r, t, a);
	a->identifier_id = r->one[r->first_hub].id;
	a->home_id = r->one[r->first_hub].home;
	if (!quarantine(r, t, a))
		return false;
	for (int i = 0; i < r->k; i++)
	{
		const CdpOne *one = &r->one[i];

		if (!one->accepted && (one->fresh || one->root != a->customer_id))
			reject(a, one, one->stop != NULL ? one->stop : one->reason);
	}
	return true;
}

/* Prepares an attempt: what is new, and which roots are to be locked. Tells whether it may have to be taken back. */
static bool
prepare(CdpRecord *r, Attempt *t)
{
	bool		crowd = false;

	memset(t, 0, offsetof(Attempt, crowded));
	t->nneed = 0;
	r->nheld = 0;
	for (int i = 0; i < r->k; i++)
	{
		CdpOne	   *one = &r->one[i];

		one->fresh = one->id == 0;
		t->missing += one->fresh;
		if (!one->fresh && one->stop == NULL && one->root != 0)
			hold_root(r, one);
		crowd |= cdp_may_crowd(r, i);
	}
#ifdef CDP_UNION_UNSAFE
	return false;
#else
	/*
	 * One new identifier that joins nobody is the first thing that such a call
	 * writes: where somebody else was quicker, nothing is to be taken back.  A
	 * root that was locked must be let go when it is none any more, and of
	 * several new identifiers some may be written already.
	 */
	return r->nheld > 0 || t->missing > 1 || (crowd && r->k > 1);
#endif
}

/* The same attempt inside of a subtransaction, which gives its locks back when it fails. */
static bool
attempt_in_subtransaction(CdpRecord *r, Attempt *t, Answer *a)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		done = attempt(r, t, a);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	if (done)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return done;
}

/* Begins to tell. */
static void
begin_answer(Answer *a)
{
	memset(a, 0, sizeof(Answer));
	pushJsonbValue(&a->rejected, WJB_BEGIN_ARRAY, NULL);
}

/* Takes the record in and tells what became of it. */
static void
identify(CdpRecord *r, Answer *a)
{
	Attempt    *t = palloc(sizeof(Attempt));

	cdp_find(r);
	for (int nth = 1; nth <= ATTEMPTS; nth++)
	{
		bool		all_known = true;
		bool		some_quarantined = false;
		bool		may_roll_back;

		choose_hubs(r);
		for (int i = 0; i < r->k; i++)
		{
			all_known &= r->one[i].id != 0;
			some_quarantined |= is_same(r->one[i].stop, CDP_SUPER_NODE);
		}
		if (nth == 1)
		{
			if (all_known && answer_known(r, a))
				return;
			lock_links();
			if (some_quarantined)
			{
				/* Somebody may have released it while this call waited for the table. */
				cdp_find(r);
				continue;
			}
		}
		may_roll_back = prepare(r, t);
		t->may_tell = may_roll_back && nth == 1;
		if (may_roll_back ? attempt_in_subtransaction(r, t, a) : attempt(r, t, a))
			return;
		begin_answer(a);
		cdp_find(r);
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("customers of the record changed faster than they could be locked"),
			 errdetail("Tried %d times.", ATTEMPTS),
			 errhint("Try the transaction again.")));
}

#ifndef CDP_UNION_UNSAFE
/* Whether the session's statement is a query that calls functions for one row, by itself and not inside BEGIN and COMMIT. */
static bool
is_single_call(void)
{
	PlannedStmt *statement;
	Plan	   *plan;

	if (IsTransactionBlock() || ActivePortal == NULL || list_length(ActivePortal->stmts) != 1)
		return false;
	statement = linitial_node(PlannedStmt, ActivePortal->stmts);
	if (statement->commandType != CMD_SELECT || statement->planTree == NULL)
		return false;
	plan = statement->planTree;
	return IsA(plan, Result) ? outerPlan(plan) == NULL : IsA(plan, FunctionScan) && plan->plan_rows <= 1;
}
#endif

/*
 * Whether the call may share a root with others: the first of its transaction,
 * when no more are to be expected.  Who shares a root and wants it alone later
 * would wait for another who does the same, and that one for him.  And its
 * snapshot must not be older than its locks.
 */
static bool
is_first_call(void)
{
#ifdef CDP_UNION_UNSAFE
	return false;
#else
	bool		first = last_transaction != CDP_LOCAL_TRANSACTION;

	last_transaction = CDP_LOCAL_TRANSACTION;
	return first && !IsolationUsesXactSnapshot() && is_single_call();
#endif
}

/* calls_follow(): nothing; see its comment in SQL. */
Datum
cdp_sql_calls_follow(PG_FUNCTION_ARGS)
{
	last_transaction = CDP_LOCAL_TRANSACTION;
	PG_RETURN_VOID();
}

/* Refuses arguments that make no record. */
static void
check_arguments(FunctionCallInfo fcinfo)
{
	int			n;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(4) || PG_ARGISNULL(6) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(4)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("load, time and cause of a record must be given")));
	if (PG_ARGISNULL(2))
		return;
	n = ArrayGetNItems(ARR_NDIM(PG_GETARG_ARRAYTYPE_P(2)), ARR_DIMS(PG_GETARG_ARRAYTYPE_P(2)));
	if (n > CDP_RECORD_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many identifiers in one record"),
				 errdetail("%d were given, at most %d are taken.", n, CDP_RECORD_MAX),
				 errhint("A record shows one person; send each person's identifiers in a record of their own.")));
}

/*
 * identify_in(load_id, source_id, type_ids, vals, at, event_key, cause): takes
 * one record in.
 */
Datum
cdp_identify_in(PG_FUNCTION_ARGS)
{
	MemoryContext upper = CurrentMemoryContext;
	CdpRecord  *r;
	Answer	   *a;
	Datum		values[6] = {0},
				row;
	bool		nulls[6] = {0};

	check_arguments(fcinfo);
	SPI_connect();
	r = palloc(sizeof(CdpRecord));
	a = palloc(sizeof(Answer));
	begin_answer(a);
	r->k = 0;
	r->may_share = is_first_call();
	r->load_id = PG_GETARG_INT64(0);
	r->no_source = PG_ARGISNULL(1);
	r->source_id = PG_GETARG_DATUM(1);
	r->at = PG_GETARG_TIMESTAMPTZ(4);
	r->no_key = PG_ARGISNULL(5);
	r->event_key = PG_GETARG_DATUM(5);
	r->cause = PG_GETARG_DATUM(6);
	if (!PG_ARGISNULL(2) && !PG_ARGISNULL(3))
	{
		cdp_phase_begin();
		r->lists = cdp_lists();
		cdp_phase_end();
		cdp_record_take(r, PG_GETARG_ARRAYTYPE_P(2), PG_GETARG_ARRAYTYPE_P(3));
	}
	if (r->k > 0)
		identify(r, a);
	nulls[0] = a->customer_id == 0;
	values[0] = Int64GetDatum(a->customer_id);
	nulls[1] = a->identifier_id == 0;
	values[1] = Int64GetDatum(a->identifier_id);
	nulls[2] = a->home_id == 0;
	values[2] = Int64GetDatum(a->home_id);
	values[3] = BoolGetDatum(a->created);
	values[4] = cdp_ids(a->merged, a->nmerged);
	values[5] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&a->rejected, WJB_END_ARRAY, NULL)));
	row = cdp_result(fcinfo, upper, values, nulls);
	SPI_finish();
	return row;
}

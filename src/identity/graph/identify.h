/*
 * identify.h
 *		One record comes in: what the parts of identify share.
 *
 * Tables are read and written through SPI with plans that each backend
 * prepares once, so that rights, row security and triggers hold as for any
 * statement.  Memory belongs to the context of the call's SPI connection
 * unless a function says otherwise.
 */
#ifndef CDP_IDENTIFY_H
#define CDP_IDENTIFY_H

#include "core/normalise.h"

#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* Identifiers that one record may show. */
#define CDP_RECORD_MAX 50

/* A moment within a day of the one that is stored is not written down. */
#define CDP_DAY USECS_PER_DAY

/* Why an identifier joins nobody, and the other reasons that stand with links. */
#define CDP_SUPER_NODE "super-node"
#define CDP_ATTACH_ONLY "attach only"
#define CDP_CANNOT "cannot"
#define CDP_CUSTOMER_SIZE "customer size"

/* The statements of identify_plans.c. */
typedef enum CdpStatement
{
	CDP_ALL_TYPES,
	CDP_ALL_RULES,
	CDP_SUPPRESSED,
	CDP_PARENT,
	CDP_PLACE_OF,
	CDP_FIND,
	CDP_FIND_AGAIN,
	CDP_LINKED,
	CDP_LINKS,
	CDP_NEXT_CUSTOMER,
	CDP_ADD_CUSTOMER,
	CDP_ADD_IDENTIFIER,
	CDP_ADD_IDENTIFIERS,
	CDP_MOVE_HOME,
	CDP_LOCK_IDENTIFIERS,
	CDP_TOUCH,
	CDP_CROWDED,
	CDP_ANCHORS,
	CDP_LOCK_ROOTS,
	CDP_SHARE_ROOT,
	CDP_WRITE_ROOTS,
	CDP_HOLDING,
	CDP_UNDER,
	CDP_MEMBERS_OF,
	CDP_BELOW,
	CDP_UNION_MEMBERS,
	CDP_UNION_CANNOT,
	CDP_UNION_WINDOW,
	CDP_PAIR_REFUSAL,
	CDP_WRITE_LINK,
	CDP_WRITE_LINKS,
	CDP_WRITE_LEDGER,
	CDP_ALERT_SIZE,
	CDP_QUARANTINE,
	CDP_STATEMENTS				/* how many */
} CdpStatement;

/* A type of identifiers, from cdp_data.identifier_type_all; limits are 0 when there is none. */
typedef struct CdpType
{
	int16		type_id;
	int16		priority;
	bool		is_builtin;
	bool		attach_only;
	bool		ignored;
	bool		windowed;		/* its limit holds within a span of time */
	int32		most;
	int32		degree;			/* above so many neighbours it is shared by many */
	char	   *name;
} CdpType;

/* The lists that a record is read and judged by; they live until the lists change. */
typedef struct CdpLists
{
	MemoryContext cxt;
	int			ntypes;
	CdpType    *type;			/* by type_id */
	int32		most;			/* identifiers of a customer, 0: any number */
	bool		suppression;	/* somebody was erased */
	CdpRules   *rules;
} CdpLists;

/*
 * What a look-up saw of a root: the version of its row, and the newest line of
 * the ledger that tells of a merge into it.  As long as both are the same, so
 * is what the root holds; see identify_lock.c.
 */
typedef struct CdpVersion
{
	TransactionId xmin;
	ItemPointerData tid;
	int64		merge_id;		/* 0: no line, or not looked up */
} CdpVersion;

/* A root of a record, to be locked. */
typedef struct CdpHeld
{
	int64		id;
	CdpVersion	version;		/* when it was looked up */
	bool		changed;		/* another version of its row was locked */
	bool		grown;			/* others were merged into it meanwhile */
} CdpHeld;

/* One identifier of a record. Numbers are 0 where there is none. */
typedef struct CdpOne
{
	const CdpType *type;
	text	   *value;
	int64		id;
	int64		home;			/* home customer */
	int64		root;			/* customer to whom it belongs now */
	CdpVersion	version;		/* of the root's row */
	const char *stop;			/* why it joins nobody, NULL: it may */
	TimestampTz first_seen;		/* DT_NOEND: unknown */
	TimestampTz last_seen;		/* DT_NOBEGIN: unknown */
	bool		paired;			/* a limit between its type and others exists */
	bool		fresh;			/* this call made it */
	bool		accepted;
	const char *reason;			/* why the judge left it out */
	int64		blocker;
} CdpOne;

/* A pair of identifiers of a record, and the link that they have. Ends are indexes into CdpRecord.one. */
typedef struct CdpPair
{
	int			hub;
	int			other;
	int64		link_id;		/* 0: none */
	const char *state;
	const char *reason;
	TimestampTz first_seen;
	bool		supported;		/* by the load of the call */
	TimestampTz last_at;
	int64		blocker;
} CdpPair;

/* One record. */
typedef struct CdpRecord
{
	CdpLists   *lists;
	int64		load_id;
	Datum		source_id;
	bool		no_source;
	TimestampTz at;
	Datum		event_key;
	bool		no_key;
	Datum		cause;
	int			k;
	CdpOne		one[CDP_RECORD_MAX];
	int			first_hub;
	int			second_hub;		/* -1: none */
	int			npairs;
	CdpPair		pair[2 * CDP_RECORD_MAX];
	int			nheld;
	CdpHeld		held[CDP_RECORD_MAX];	/* roots to lock: those that may join, then those of crowded identifiers */
	bool		may_share;		/* hold a root beside other records */
	int64		shared;			/* the one of held for which it does, 0: none */
	int64		unread;			/* the one of whom the judge need not know more than that it is large, 0: none */
	struct CdpCensus *census;	/* of the roots that may join, counted before the locks; NULL: not counted */
	int			njoined;		/* what the judge found: the roots that become one */
	int64		joined[CDP_RECORD_MAX];
	int32		size[CDP_RECORD_MAX];	/* their identifiers, -1: not counted */
} CdpRecord;

/* identify_plans.c: statements. */
extern void cdp_run(CdpStatement which, Datum *args, const char *nulls);
extern void cdp_run_to(CdpStatement which, Datum *args, struct _DestReceiver *dest);
extern void cdp_read(CdpStatement which, Datum *args, const char *nulls);
extern bool cdp_plan_holds(CdpStatement which);
extern int64 cdp_cell_int8(uint64 row, int column);
extern Datum cdp_cell(uint64 row, int column, bool *isnull);
extern char *cdp_cell_text(uint64 row, int column);
extern bool cdp_cell_bool(uint64 row, int column);
extern void cdp_done(void);
extern void cdp_phase_begin(void);
extern void cdp_phase_end(void);
extern Datum cdp_ids(const int64 *id, int n);
extern Datum cdp_result(FunctionCallInfo fcinfo, MemoryContext cxt, Datum *values, bool *nulls);

/* identify_lists.c: types and rules. */
extern CdpLists *cdp_lists(void);
extern const CdpType *cdp_type(const CdpLists *lists, int type_id);

/* identify_find.c: who they are. */
extern int64 cdp_root(int64 customer_id, CdpVersion *version);
extern void cdp_record_take(CdpRecord *r, ArrayType *type_ids, ArrayType *vals);
extern void cdp_record_sort(CdpRecord *r);
extern int	cdp_record_arrays(const CdpRecord *r, bool fresh_only, Datum *type_ids, Datum *vals);
extern void cdp_find(CdpRecord *r);
extern bool cdp_moved(CdpRecord *r);
extern void cdp_find_links(CdpRecord *r);

/* identify_lock.c: what is locked. */
extern void cdp_find_merges(CdpRecord *r);
extern bool cdp_lock_roots(CdpRecord *r);

/* identify_judge.c: what may become one. */
extern void cdp_count_before(CdpRecord *r);
extern bool cdp_expect_union(const CdpRecord *r);
extern bool cdp_may_share(const CdpRecord *r, int64 winner);
extern int64 cdp_winner(const CdpLists *lists, const int64 *root, int n);
extern void cdp_judge(CdpRecord *r);

/* identify_write.c: what is written. */
extern bool cdp_add_identifiers(CdpRecord *r, int64 home);
extern int64 cdp_next_customer(void);
extern void cdp_add_customer(int64 customer_id);
extern void cdp_move_home(int64 identifier_id, int64 customer_id);
extern void cdp_touch(const int64 *id, int n, TimestampTz at, bool lock_all);
extern void cdp_write_roots(const int64 *root, int n, int64 winner);
extern void cdp_write_links(CdpRecord *r, CdpPair *const *pair, int n);
extern void cdp_write_ledger(CdpRecord *r, int64 winner, TimestampTz at);
extern void cdp_tell_merge(const int64 *root, int n, int64 winner);
extern bool cdp_may_crowd(const CdpRecord *r, int i);
extern int	cdp_crowded(const CdpRecord *r, int more, int64 *crowded);

#endif							/* CDP_IDENTIFY_H */

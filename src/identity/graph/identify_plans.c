/*
 * identify_plans.c
 *		The statements of identify, each prepared once by a backend and kept.
 *
 * PostgreSQL itself checks a kept plan before each use and makes it anew when
 * a table, a function or the rights behind it changed, so DROP EXTENSION and
 * new tables need nothing here.  Statements are small and ask by key; plans
 * are made with sequential scans and hash joins switched off, so that a table
 * that was empty when the plan was made is not read whole once it has grown.  For
 * the same reason each table stands in a subquery with OFFSET 0: whatever the
 * statistics say, it is asked once for each row of the one before.
 */
#include "cdp.h"

#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "identity/graph/identify.h"

#define MAX_ARGS 11

/* A statement with the types of its parameters. */
typedef struct Statement
{
	const char *sql;
	Oid			types[MAX_ARGS];
	SPIPlanPtr	plan;			/* NULL until it is first used */
	Oid			temporary;		/* the session's schema of temporary objects when it was made, 0: none */
} Statement;

/* An identifier, the customer that has it, and the parent of that one. */
#define STANDING \
	"SELECT u.n, i.identifier_id, i.customer_id, i.state = 'quarantined', i.first_seen, i.last_seen, " \
	"coalesce(o.customer_id, i.customer_id), c.parent_id, c.xmin, c.ctid"
#define ABOVE \
	" LEFT JOIN LATERAL (SELECT x.customer_id FROM cdp_data.identifier_override x WHERE x.identifier_id = i.identifier_id OFFSET 0) o ON true" \
	" LEFT JOIN LATERAL (SELECT x.parent_id, x.xmin, x.ctid FROM cdp_data.customer x WHERE x.customer_id = coalesce(o.customer_id, i.customer_id) OFFSET 0) c ON true"

/* An identifier h whose home is customer u, but for those that count for nobody, and whether it has a cannot link, if anybody has. */
#define OWN \
	"FROM cdp_data.identifier h WHERE h.customer_id = u.id AND h.identifier_id <> ALL ($2) " \
	"AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = h.identifier_id)"
#define NEAR \
	"EXISTS (SELECT FROM cdp_data.link k WHERE k.kind = 'cannot' AND k.state = 'active') AND (" \
	"EXISTS (SELECT FROM cdp_data.link k WHERE k.a_id = h.identifier_id AND k.kind = 'cannot' AND k.state = 'active')" \
	" OR EXISTS (SELECT FROM cdp_data.link k WHERE k.b_id = h.identifier_id AND k.kind = 'cannot' AND k.state = 'active'))"

/* The writing of links: before and after their rows. */
#define PUT_LINKS "WITH put AS (INSERT INTO cdp_data.link AS l (a_id, b_id, kind, state, first_seen, reason, blocker) "
#define SUPPORT_LINKS \
	"ON CONFLICT ON CONSTRAINT link_once DO UPDATE SET state = excluded.state, reason = excluded.reason, blocker = excluded.blocker, " \
	"first_seen = least(l.first_seen, excluded.first_seen), changed_at = pg_catalog.clock_timestamp() RETURNING l.link_id) " \
	"INSERT INTO cdp_data.link_support AS s (link_id, load_id, first_at, last_at, event_key) SELECT p.link_id, $7, $6, $6, $8 FROM put p ORDER BY p.link_id " \
	"ON CONFLICT ON CONSTRAINT link_support_pkey DO UPDATE " \
	"SET first_at = least(s.first_at, excluded.first_at), last_at = greatest(s.last_at, excluded.last_at)"

static Statement statements[CDP_STATEMENTS] = {
	[CDP_ALL_TYPES] = {
		"SELECT t.type_id, t.priority, t.is_builtin, t.role = 'attach_only', t.role = 'ignore', t.limit_window IS NOT NULL, "
		"coalesce(t.max_per_customer, 0), coalesce(t.supernode_degree, 0), t.name "
	"FROM cdp_data.identifier_type_all t ORDER BY t.type_id"},
	[CDP_ALL_RULES] = {
		"SELECT cdp_internal.identifier_rules(), cdp_internal.identifier_rules_builtin(), "
	"coalesce((SELECT s.max_identifiers_per_customer FROM cdp_data.setting s), 0), EXISTS (SELECT FROM cdp_data.suppression)"},
	[CDP_SUPPRESSED] = {
		"SELECT u.n FROM unnest($1, $2) WITH ORDINALITY AS u (type_id, value, n) "
		"WHERE cdp_internal.is_suppressed(u.type_id, u.value) ORDER BY u.n",
	{INT2ARRAYOID, TEXTARRAYOID}},
	[CDP_PARENT] = {
		"SELECT c.parent_id, c.xmin, c.ctid FROM cdp_data.customer c WHERE c.customer_id = $1",
	{INT8OID}},
	[CDP_PLACE_OF] = {
		"SELECT coalesce(o.customer_id, i.customer_id) FROM cdp_data.identifier i "
		"LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id WHERE i.identifier_id = $1",
	{INT8OID}},
	[CDP_FIND] = {
		STANDING ", EXISTS (SELECT FROM cdp_data.identifier_pair_limit p WHERE p.type_id = u.type_id) "
		"FROM unnest($1, $2) WITH ORDINALITY AS u (type_id, value, n) "
		"LEFT JOIN LATERAL (SELECT x.* FROM cdp_data.identifier x WHERE x.type_id = u.type_id AND x.value = u.value OFFSET 0) i ON true" ABOVE,
	{INT2ARRAYOID, TEXTARRAYOID}},
	[CDP_FIND_AGAIN] = {
		STANDING " FROM unnest($1) WITH ORDINALITY AS u (id, n) "
		"CROSS JOIN LATERAL (SELECT x.* FROM cdp_data.identifier x WHERE x.identifier_id = u.id OFFSET 0) i" ABOVE,
	{INT8ARRAYOID}},
	[CDP_LINKED] = {
		"SELECT EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = $1 AND l.state = 'active' AND l.kind <> 'cannot')"
		" OR EXISTS (SELECT FROM cdp_data.link l WHERE l.b_id = $1 AND l.state = 'active' AND l.kind <> 'cannot')",
	{INT8OID}},
	[CDP_LINKS] = {
		"SELECT u.n, l.link_id, l.state, l.reason, l.first_seen, s.load_id IS NOT NULL, s.last_at "
		"FROM unnest($1, $2) WITH ORDINALITY AS u (a_id, b_id, n) "
		"CROSS JOIN LATERAL (SELECT x.* FROM cdp_data.link x WHERE x.a_id = u.a_id AND x.b_id = u.b_id AND x.kind = 'deterministic' OFFSET 0) l "
		"LEFT JOIN LATERAL (SELECT x.* FROM cdp_data.link_support x WHERE x.link_id = l.link_id AND x.load_id = $3 OFFSET 0) s ON true",
	{INT8ARRAYOID, INT8ARRAYOID, INT8OID}},
	[CDP_NEXT_CUSTOMER] = {"SELECT pg_catalog.nextval('cdp_data.customer_customer_id_seq')"},
	[CDP_ADD_CUSTOMER] = {
		"INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES ($1, $1)",
	{INT8OID}},
	[CDP_ADD_IDENTIFIER] = {
		"INSERT INTO cdp_data.identifier AS i (type_id, value, customer_id, first_seen, last_seen) VALUES ($1, $2, $3, $4, $4) "
		"ON CONFLICT DO NOTHING RETURNING i.identifier_id",
	{INT2OID, TEXTOID, INT8OID, TIMESTAMPTZOID}},
	/* Numbered in the order given: the lowest number of a customer is its anchor. Written by type and value. */
	[CDP_ADD_IDENTIFIERS] = {
		"INSERT INTO cdp_data.identifier AS i (identifier_id, type_id, value, customer_id, first_seen, last_seen) "
		"SELECT n.id, n.type_id, n.value, $3, $4, $4 FROM ("
		"SELECT pg_catalog.nextval('cdp_data.identifier_identifier_id_seq') AS id, u.type_id, u.value "
		"FROM unnest($1, $2) WITH ORDINALITY AS u (type_id, value, n) ORDER BY u.n OFFSET 0) n "
		"ORDER BY n.type_id, n.value COLLATE \"C\" ON CONFLICT DO NOTHING RETURNING i.identifier_id",
	{INT2ARRAYOID, TEXTARRAYOID, INT8OID, TIMESTAMPTZOID}},
	[CDP_MOVE_HOME] = {
		"UPDATE cdp_data.identifier SET customer_id = $2 WHERE identifier_id = $1",
	{INT8OID, INT8OID}},
	[CDP_LOCK_IDENTIFIERS] = {
		"SELECT FROM cdp_data.identifier i WHERE i.identifier_id = ANY ($1) ORDER BY i.type_id, i.value FOR NO KEY UPDATE",
	{INT8ARRAYOID}},
	/* first_seen exactly, last_seen when it is off by more than a day, so that busy identifiers are not written at each record. */
	[CDP_TOUCH] = {
		"UPDATE cdp_data.identifier i SET first_seen = least(i.first_seen, $2), "
		"last_seen = CASE WHEN i.last_seen + interval '24 hours' >= $2 THEN i.last_seen ELSE greatest(i.last_seen, $2) END "
		"WHERE i.identifier_id = ANY ($1) AND (i.first_seen IS NULL OR $2 < i.first_seen OR i.last_seen IS NULL OR $2 > i.last_seen + interval '24 hours')",
	{INT8ARRAYOID, TIMESTAMPTZOID}},
	/* Two ends have one such link only, so links count neighbours; one more than the limit is enough. */
	[CDP_CROWDED] = {
		"SELECT i.identifier_id FROM unnest($1, $2) AS x (id, most) "
		"CROSS JOIN LATERAL (SELECT y.* FROM cdp_data.identifier y WHERE y.identifier_id = x.id OFFSET 0) i WHERE i.state = 'active' AND x.most < $3 + (SELECT pg_catalog.count(*) FROM ("
		"SELECT FROM cdp_data.link l WHERE l.a_id = i.identifier_id AND l.kind = 'deterministic' AND l.state IN ('active', 'rejected') "
		"UNION ALL "
		"SELECT FROM cdp_data.link l WHERE l.b_id = i.identifier_id AND l.kind = 'deterministic' AND l.state IN ('active', 'rejected') "
		"LIMIT x.most + 1) n) ORDER BY i.identifier_id",
	{INT8ARRAYOID, INT4ARRAYOID, INT4OID}},
	/* + 0: the index of the customer is to be read, not the primary key from its begin. */
	[CDP_ANCHORS] = {
		"SELECT c.customer_id, c.created_at, i.type_id FROM cdp_data.customer c CROSS JOIN LATERAL ("
		"SELECT coalesce((SELECT pg_catalog.min(h.identifier_id + 0) FROM cdp_data.identifier h WHERE h.customer_id = c.customer_id), "
		"(SELECT pg_catalog.min(o.identifier_id + 0) FROM cdp_data.identifier_override o WHERE o.customer_id = c.customer_id)) AS id OFFSET 0) a "
		"LEFT JOIN LATERAL (SELECT x.type_id FROM cdp_data.identifier x WHERE x.identifier_id = a.id OFFSET 0) i ON true WHERE c.customer_id = ANY ($1)",
	{INT8ARRAYOID}},
	[CDP_LOCK_ROOTS] = {
		"SELECT c.customer_id, c.parent_id, c.xmin, c.ctid FROM cdp_data.customer c WHERE c.customer_id = ANY ($1) ORDER BY c.customer_id FOR NO KEY UPDATE",
	{INT8ARRAYOID}},
	/* Beside others who do the same; not beside those who lock roots as above. */
	[CDP_SHARE_ROOT] = {
		"SELECT c.customer_id, c.parent_id, c.xmin, c.ctid FROM cdp_data.customer c WHERE c.customer_id = $1 FOR SHARE",
	{INT8OID}},
	[CDP_WRITE_ROOTS] = {
		"UPDATE cdp_data.customer SET parent_id = $2 WHERE customer_id = ANY ($1)",
	{INT8ARRAYOID, INT8OID}},
	[CDP_HOLDING] = {
		"SELECT pg_catalog.count(*), pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(m.identifier_id, l.link_id, l.state), 0)) "
		"FROM cdp_internal.members($1) m LEFT JOIN LATERAL ("
		"SELECT x.link_id, x.state FROM cdp_data.link x WHERE x.a_id = m.identifier_id OFFSET 0) l ON true",
	{INT8OID}},
	/* Of customers: their identifiers, who was merged into them directly, and whether an unmerge moved something there. */
	[CDP_UNDER] = {
		"SELECT u.n, x.what, x.id, x.type_id, x.near FROM unnest($1) WITH ORDINALITY AS u (id, n) CROSS JOIN LATERAL ("
		"(SELECT 1 AS what, h.identifier_id AS id, h.type_id, " NEAR " AS near " OWN " LIMIT $3) UNION ALL "
		"(SELECT 2, c.customer_id, NULL, NULL FROM cdp_data.customer c WHERE c.parent_id = u.id AND c.parent_id <> c.customer_id LIMIT $3) UNION ALL "
		"(SELECT 3, NULL, NULL, NULL FROM cdp_data.identifier_override o WHERE o.customer_id = u.id LIMIT 1)) x",
	{INT8ARRAYOID, INT8ARRAYOID, INT4OID}},
	/* The same in two steps: whom the first tells to be many need not be asked the second. */
	[CDP_MEMBERS_OF] = {
		"SELECT x.type_id, x.near FROM unnest($1) AS u (id) CROSS JOIN LATERAL (SELECT h.type_id, " NEAR " AS near " OWN " OFFSET 0) x LIMIT $3",
	{INT8ARRAYOID, INT8ARRAYOID, INT4OID}},
	[CDP_BELOW] = {
		"SELECT x.id FROM unnest($1) AS u (id) CROSS JOIN LATERAL ("
		"(SELECT c.customer_id AS id FROM cdp_data.customer c WHERE c.parent_id = u.id AND c.parent_id <> c.customer_id LIMIT $2) UNION ALL "
		"(SELECT NULL FROM cdp_data.identifier_override o WHERE o.customer_id = u.id LIMIT 1)) x LIMIT $2",
	{INT8ARRAYOID, INT4OID}},
	[CDP_UNION_MEMBERS] = {
		"SELECT m.part, m.type_id, m.n, m.near FROM cdp_internal.union_members($1, $2, $3, $4) m",
	{INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4OID}},
	[CDP_UNION_CANNOT] = {
		"SELECT cdp_internal.union_cannot($1, $2, $3)",
	{INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}},
	[CDP_UNION_WINDOW] = {
		"SELECT cdp_internal.union_window($1, $2, $3, $4)",
	{INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT2OID}},
	[CDP_PAIR_REFUSAL] = {
		"SELECT cdp_internal.pair_refusal($1, $2, $3, $4, $5)",
	{INT2ARRAYOID, INT8ARRAYOID, BOOLARRAYOID, INT4ARRAYOID, INT4OID}},
	/* One link, the commonest: arrays would take time while roots are locked. */
	[CDP_WRITE_LINK] = {
		PUT_LINKS "VALUES ($1, $2, 'deterministic', $3, $6, $4, $5) " SUPPORT_LINKS,
	{INT8OID, INT8OID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, TEXTOID}},
	/* Links come in the order of their ends; sorting has all of them written before the first support. */
	[CDP_WRITE_LINKS] = {
		PUT_LINKS "SELECT u.a, u.b, 'deterministic', u.state, $6, u.reason, u.blocker FROM unnest($1, $2, $3, $4, $5) AS u (a, b, state, reason, blocker) " SUPPORT_LINKS,
	{INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, INT8OID, TEXTOID}},
	[CDP_WRITE_LEDGER] = {
		"INSERT INTO cdp_data.merge_log (operation_id, at, kind, customer_id, from_id, to_id, link_id, cause, source_id, load_id, event_key, winner_size, loser_size) "
		"SELECT (SELECT pg_catalog.nextval('cdp_data.identity_operation_seq')), $7, 'merge', u.loser, u.loser, $6, "
		"(SELECT k.link_id FROM cdp_data.link k WHERE k.a_id = u.a AND k.b_id = u.b AND k.kind = 'deterministic'), "
		"$8, $9, $10, $11, u.winner_size, u.loser_size FROM unnest($1, $2, $3, $4, $5) AS u (loser, a, b, winner_size, loser_size)",
	{INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT8OID, TEXTOID}},
	[CDP_ALERT_SIZE] = {
		"SELECT cdp_internal.alert_size($1, $2)",
	{INT8OID, INT4OID}},
	[CDP_QUARANTINE] = {
		"SELECT cdp_internal.quarantine_in($1)",
	{INT8ARRAYOID}}
};

/* Raises the error of a database without our tables; nothing when they are there. */
static void
require_tables(void)
{
	if (!OidIsValid(RangeVarGetRelid(makeRangeVar("cdp_data", "link", -1), NoLock, true)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of pg_cdp are not there yet"),
				 errhint("Run: CALL cdp.setup();")));
}

/* The session's schema of temporary objects, which is in the search path; 0 while there is none. */
static inline Oid
temporary_schema(void)
{
	Oid			schema,
				toast;

	GetTempNamespaceState(&schema, &toast);
	return schema;
}

/*
 * Prepares the statement, or lets PostgreSQL plan it again, under settings
 * that make it ask by key.  The plan belongs to the backend.
 */
static void
make_plan(Statement *s)
{
	static const char *const off[] = {"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "enable_material", "jit"};
	int			level = NewGUCNestLevel();
	CachedPlan *made;

	require_tables();
	for (int i = 0; i < lengthof(off); i++)
		(void) set_config_option(off[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (s->plan == NULL)
	{
		int			nargs = 0;
		SPIPlanPtr	plan;

		while (nargs < MAX_ARGS && OidIsValid(s->types[nargs]))
			nargs++;
		plan = SPI_prepare_cursor(s->sql, nargs, s->types, CURSOR_OPT_GENERIC_PLAN);
		if (plan == NULL)
			elog(ERROR, "a statement of identify cannot be prepared: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		s->plan = plan;
	}
	made = SPI_plan_get_cached_plan(s->plan);
	if (made != NULL)
		ReleaseCachedPlan(made, CurrentResourceOwner);
	s->temporary = temporary_schema();
	AtEOXact_GUC(true, level);
}

/*
 * Whether PostgreSQL would use the plan as it is.  It makes a plan anew, and
 * then without our settings, also when the search path leads elsewhere, which
 * the first temporary table of a session is enough for, and when somebody else
 * uses it while row security is on.
 */
static inline bool
plan_holds(const Statement *s)
{
	const CachedPlanSource *source;

	if (s->plan == NULL || !SPI_plan_is_valid(s->plan) || s->temporary != temporary_schema())
		return false;
	source = linitial(SPI_plan_get_plan_sources(s->plan));
	return !source->dependsOnRLS || (source->rewriteRoleId == GetUserId() && source->rewriteRowSecurity == row_security);
}

/* The statement's plan, made when there is none that holds. */
static inline SPIPlanPtr
ready(CdpStatement which)
{
	Statement  *s = &statements[which];

	if (!plan_holds(s))
		make_plan(s);
	return s->plan;
}

/* Tells whether nothing behind the statement changed since it was last planned. */
bool
cdp_plan_holds(CdpStatement which)
{
	return statements[which].plan != NULL && SPI_plan_is_valid(statements[which].plan);
}

/* Raises the error of a statement that did not run. */
static void
require_run(CdpStatement which, int code)
{
	if (code < 0)
		elog(ERROR, "statement %d of identify failed: %s", (int) which, SPI_result_code_string(code));
}

/* Runs a statement that writes or locks, on a snapshot of its own. Its rows are read with cdp_cell(). */
void
cdp_run(CdpStatement which, Datum *args, const char *nulls)
{
	require_run(which, SPI_execute_plan(ready(which), args, nulls, false, 0));
}

/* The same, with a receiver that may stop it. */
void
cdp_run_to(CdpStatement which, Datum *args, DestReceiver *dest)
{
	Statement  *s = &statements[which];
	SPIExecuteOptions options = {0};
	int			nargs = 0;

	while (nargs < MAX_ARGS && OidIsValid(s->types[nargs]))
		nargs++;
	options.params = makeParamList(nargs);
	for (int i = 0; i < nargs; i++)
	{
		options.params->params[i].value = args[i];
		options.params->params[i].isnull = false;
		options.params->params[i].pflags = PARAM_FLAG_CONST;
		options.params->params[i].ptype = s->types[i];
	}
	options.dest = dest;
	require_run(which, SPI_execute_plan_extended(ready(which), &options));
}

/* Runs a statement that only reads, on the snapshot that is active. */
void
cdp_read(CdpStatement which, Datum *args, const char *nulls)
{
	require_run(which, SPI_execute_plan(ready(which), args, nulls, true, 0));
}

/* A cell of the last statement's rows; columns from 1. By reference it lives until cdp_done(). */
Datum
cdp_cell(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* A bigint of the last statement's rows, 0 for NULL. */
int64
cdp_cell_int8(uint64 row, int column)
{
	bool		isnull;
	Datum		d = cdp_cell(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(d);
}

/* A boolean of the last statement's rows, false for NULL. */
bool
cdp_cell_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		d = cdp_cell(row, column, &isnull);

	return !isnull && DatumGetBool(d);
}

/* A text of the last statement's rows, palloc'd; NULL for NULL. */
char *
cdp_cell_text(uint64 row, int column)
{
	bool		isnull;
	Datum		d = cdp_cell(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(d);
}

/* Frees the rows of the last statement. */
void
cdp_done(void)
{
	SPI_freetuptable(SPI_tuptable);
	SPI_tuptable = NULL;
}

/* Begins to read on one snapshot of now, which sees what this transaction has written. */
void
cdp_phase_begin(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* Ends it. */
void
cdp_phase_end(void)
{
	PopActiveSnapshot();
}

/* Numbers as bigint[], palloc'd. */
Datum
cdp_ids(const int64 *id, int n)
{
	ArrayType  *a = (ArrayType *) palloc0(ARR_OVERHEAD_NONULLS(1) + (Size) n * sizeof(int64));

	if (n == 0)
		return PointerGetDatum(construct_empty_array(INT8OID));
	SET_VARSIZE(a, ARR_OVERHEAD_NONULLS(1) + (Size) n * sizeof(int64));
	a->ndim = 1;
	a->elemtype = INT8OID;
	ARR_DIMS(a)[0] = n;
	ARR_LBOUND(a)[0] = 1;
	memcpy(ARR_DATA_PTR(a), id, (Size) n * sizeof(int64));
	return PointerGetDatum(a);
}

/* The row that a function with OUT parameters returns, in the context given. */
Datum
cdp_result(FunctionCallInfo fcinfo, MemoryContext cxt, Datum *values, bool *nulls)
{
	/* Row types of the functions of this room, which are few; a function keeps its row type for its lifetime. */
	static struct
	{
		Oid			function;
		TupleDesc	desc;
	}			known[8];
	MemoryContext old;
	HeapTuple	tuple;
	int			i = 0;

	while (i < lengthof(known) - 1 && OidIsValid(known[i].function) && known[i].function != fcinfo->flinfo->fn_oid)
		i++;
	if (known[i].function != fcinfo->flinfo->fn_oid)
	{
		TupleDesc	desc;

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "the function must return a row");
		old = MemoryContextSwitchTo(TopMemoryContext);
		desc = BlessTupleDesc(CreateTupleDescCopy(desc));
		MemoryContextSwitchTo(old);
		if (known[i].desc != NULL)
			FreeTupleDesc(known[i].desc);
		known[i].desc = desc;
		known[i].function = fcinfo->flinfo->fn_oid;
	}
	old = MemoryContextSwitchTo(cxt);
	tuple = heap_form_tuple(known[i].desc, values, nulls);
	MemoryContextSwitchTo(old);
	return HeapTupleGetDatum(tuple);
}

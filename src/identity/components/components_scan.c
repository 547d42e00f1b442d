/*
 * components_scan.c
 *		Connected components of a table, view or open cursor: the executor reads
 *		the rows, with the rights and row security of the caller, and hands them
 *		over one by one.
 */
#include "identity/components/components.h"

#include "access/relation.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/rel.h"

/* Where the executor puts its rows. */
typedef struct LinkReceiver
{
	DestReceiver receiver;
	CdpComponents *components;
	Oid			type[2];		/* of the two columns, without domains */
} LinkReceiver;

/* Tells whether columns of a type can be read as nodes of a kind. */
static bool
is_readable(Oid type, CdpNodeKind kind)
{
	switch (kind)
	{
		case CDP_NODE_BIGINT:
			return type == INT8OID || type == INT4OID || type == INT2OID;
		case CDP_NODE_UUID:
			return type == UUIDOID;
		case CDP_NODE_TEXT:
			return type == TEXTOID || type == VARCHAROID;
	}
	return false;
}

/* Refuses a column that cannot be read as nodes of a kind. */
static void
refuse_type(const char *column, Oid type, CdpNodeKind kind)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" cannot be read as nodes of type %s", column, cdp_node_kind_name(kind)),
			 errdetail("It is of type %s.", format_type_be(type)),
			 is_readable(type, CDP_NODE_BIGINT) ? errhint("Call the function without _text and _uuid.") :
			 is_readable(type, CDP_NODE_UUID) ? errhint("Call the function that ends in _uuid.") :
			 errhint("Call the function that ends in _text, and cast the column to text where it is none.")));
}

/* Looks at the columns before the first row. */
static void
start_links(DestReceiver *self, int operation, TupleDesc tupdesc)
{
	LinkReceiver *links = (LinkReceiver *) self;

	if (tupdesc->natts != 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("links have two columns"),
				 errdetail("The query returns %d.", tupdesc->natts),
				 errhint("Open the cursor for a query that returns both ends of a link and nothing else.")));
	for (int i = 0; i < 2; i++)
	{
		links->type[i] = getBaseType(TupleDescAttr(tupdesc, i)->atttypid);
		if (!is_readable(links->type[i], links->components->kind))
			refuse_type(NameStr(TupleDescAttr(tupdesc, i)->attname), links->type[i], links->components->kind);
	}
}

/* A number of any width. */
static inline int64
number_of(Oid type, Datum value)
{
	return type == INT8OID ? DatumGetInt64(value) : type == INT4OID ? DatumGetInt32(value) : DatumGetInt16(value);
}

/* Takes one row. */
static bool
receive_link(TupleTableSlot *slot, DestReceiver *self)
{
	LinkReceiver *links = (LinkReceiver *) self;
	CdpComponents *c = links->components;
	const bool *null;
	const Datum *value;

	slot_getsomeattrs(slot, 2);
	null = slot->tts_isnull;
	value = slot->tts_values;
	if (c->kind == CDP_NODE_BIGINT)
	{
		int64		a = null[0] ? 0 : number_of(links->type[0], value[0]);
		int64		b = null[1] ? 0 : number_of(links->type[1], value[1]);

		cdp_components_number(c, null[0] ? NULL : &a, null[1] ? NULL : &b);
	}
	else if (c->kind == CDP_NODE_UUID)
		cdp_components_bytes(c, null[0] ? NULL : DatumGetPointer(value[0]), 16, null[1] ? NULL : DatumGetPointer(value[1]), 16);
	else
	{
		struct varlena *a = null[0] ? NULL : PG_DETOAST_DATUM_PACKED(value[0]);
		struct varlena *b = null[1] ? NULL : PG_DETOAST_DATUM_PACKED(value[1]);

		cdp_components_bytes(c, a ? VARDATA_ANY(a) : NULL, a ? VARSIZE_ANY_EXHDR(a) : 0,
							 b ? VARDATA_ANY(b) : NULL, b ? VARSIZE_ANY_EXHDR(b) : 0);
		if (a != NULL && PointerGetDatum(a) != value[0])
			pfree(a);
		if (b != NULL && PointerGetDatum(b) != value[1])
			pfree(b);
	}
	return true;
}

/* Ends the rows. */
static void
end_links(DestReceiver *self)
{
}

/* Makes a receiver, in the current context. */
static LinkReceiver *
make_receiver(CdpComponents *c)
{
	LinkReceiver *links = palloc0(sizeof(LinkReceiver));

	links->receiver.receiveSlot = receive_link;
	links->receiver.rStartup = start_links;
	links->receiver.rShutdown = end_links;
	links->receiver.rDestroy = end_links;
	links->receiver.mydest = DestTuplestore; /* for SPI: rows are taken */
	links->components = c;
	return links;
}

/* Refuses a column that a relation does not have. */
static void
refuse_column(Relation rel, const char *column)
{
	int			natts = RelationGetNumberOfAttributes(rel);
	const char **names = palloc(sizeof(char *) * Max(natts, 1));
	int			n = 0;

	for (int i = 0; i < natts; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			names[n++] = NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" does not exist in \"%s\"", column, RelationGetRelationName(rel)),
			 cdp_suggest_hint(column, names, n)));
}

/* The quoted name of a column, checked against the catalogue; as text when that is asked for and it is something else. */
static char *
column_of(Relation rel, const char *column, CdpNodeKind kind)
{
	AttrNumber	number = get_attnum(RelationGetRelid(rel), column);
	Oid			type;

	if (number <= 0)
		refuse_column(rel, column);
	type = getBaseType(TupleDescAttr(RelationGetDescr(rel), number - 1)->atttypid);
	if (is_readable(type, kind))
		return psprintf("%s", quote_identifier(column));
	if (kind != CDP_NODE_TEXT)
		refuse_type(column, type, kind);
	return psprintf("%s::pg_catalog.text", quote_identifier(column));
}

/* The query that reads the links of a relation. */
static char *
links_query(Oid relid, const char *a, const char *b, CdpNodeKind kind)
{
	static const char readable[] = {RELKIND_RELATION, RELKIND_PARTITIONED_TABLE, RELKIND_VIEW, RELKIND_MATVIEW, RELKIND_FOREIGN_TABLE, 0};
	Relation	rel = try_relation_open(relid, AccessShareLock);
	char	   *query;

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no relation with OID %u", relid),
				 errhint("Give the name of a table: 'my_links'::regclass.")));
	if (strchr(readable, rel->rd_rel->relkind) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" has no rows to read", RelationGetRelationName(rel)),
				 errhint("Name a table, a view or a foreign table.")));
	query = psprintf("SELECT %s, %s FROM %s", column_of(rel, a, kind), column_of(rel, b, kind),
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel)));
	relation_close(rel, NoLock);
	return query;
}

/* Components of the relation and columns that the arguments name. */
static struct varlena *
set_of_relation(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext old;
	CdpComponents *c = cdp_components_create(kind, cxt);
	char	   *query = links_query(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), NameStr(*PG_GETARG_NAME(2)), kind);
	SPIExecuteOptions options = {.read_only = true, .dest = (DestReceiver *) make_receiver(c)};
	struct varlena *set;
	int			code;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	code = SPI_execute_extended(query, &options);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "reading the links failed: %s", SPI_result_code_string(code));
	old = MemoryContextSwitchTo(cxt);
	set = cdp_components_finish(c);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return set;
}

/* Components of the rows that an open cursor still has. */
static struct varlena *
set_of_cursor(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Portal		portal = GetPortalByName(name);
	CdpComponents *c;

	if (!PortalIsValid(portal))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_CURSOR),
				 errmsg("cursor \"%s\" does not exist", name),
				 errhint("Open it in this transaction, or WITH HOLD.")));
	c = cdp_components_create(kind, CurrentMemoryContext);
	PortalRunFetch(portal, FETCH_FORWARD, FETCH_ALL, (DestReceiver *) make_receiver(c));
	return cdp_components_finish(c);
}

#define SCAN_FUNCTION(name, kind, make) \
CDP_FUNCTION(name); \
/* Rows of (node, component); see cdp_component_stream. */ \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	return cdp_component_stream(fcinfo, kind, make); \
}

SCAN_FUNCTION(cdp_connected_components_bigint, CDP_NODE_BIGINT, set_of_relation)
SCAN_FUNCTION(cdp_connected_components_uuid, CDP_NODE_UUID, set_of_relation)
SCAN_FUNCTION(cdp_connected_components_text, CDP_NODE_TEXT, set_of_relation)
SCAN_FUNCTION(cdp_cursor_components_bigint, CDP_NODE_BIGINT, set_of_cursor)
SCAN_FUNCTION(cdp_cursor_components_uuid, CDP_NODE_UUID, set_of_cursor)
SCAN_FUNCTION(cdp_cursor_components_text, CDP_NODE_TEXT, set_of_cursor)

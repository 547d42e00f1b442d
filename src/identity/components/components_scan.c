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
#include "utils/uuid.h"

/* Where the executor puts its rows. */
typedef struct LinkReceiver
{
	DestReceiver receiver;
	CdpTakeLink take;
	void	   *arg;
	const CdpNodeKind *kind;	/* what both columns must be; NULL: each what its type says */
	Oid			type[2];		/* of the two columns, without domains */
	CdpLinkEnd	end[2];
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

/* Tells as what the values of a type are read; false when they are not. */
bool
cdp_node_kind_of(Oid type, CdpNodeKind *kind)
{
	type = getBaseType(type);
	for (*kind = CDP_NODE_BIGINT; *kind <= CDP_NODE_TEXT; (*kind)++)
		if (is_readable(type, *kind))
			return true;
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
		if (links->kind != NULL && !is_readable(links->type[i], *links->kind))
			refuse_type(NameStr(TupleDescAttr(tupdesc, i)->attname), links->type[i], *links->kind);
		if (!cdp_node_kind_of(links->type[i], &links->end[i].kind))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" cannot be read as nodes", NameStr(TupleDescAttr(tupdesc, i)->attname)),
					 errdetail("It is of type %s; nodes are of type bigint, uuid or text.", format_type_be(links->type[i])),
					 errhint("Cast the column to text.")));
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
	struct varlena *text[2] = {NULL, NULL};

	slot_getsomeattrs(slot, 2);
	for (int i = 0; i < 2; i++)
	{
		CdpLinkEnd *end = &links->end[i];
		Datum		value = slot->tts_values[i];

		end->null = slot->tts_isnull[i];
		if (end->null)
			continue;
		if (end->kind == CDP_NODE_BIGINT)
			end->number = number_of(links->type[i], value);
		else if (end->kind == CDP_NODE_UUID)
		{
			end->bytes = DatumGetPointer(value);
			end->len = UUID_LEN;
		}
		else
		{
			text[i] = PG_DETOAST_DATUM_PACKED(value);
			end->bytes = VARDATA_ANY(text[i]);
			end->len = VARSIZE_ANY_EXHDR(text[i]);
		}
	}
	links->take(links->arg, links->end);
	for (int i = 0; i < 2; i++)
		if (text[i] != NULL && PointerGetDatum(text[i]) != slot->tts_values[i])
			pfree(text[i]);
	return true;
}

/* Ends the rows. */
static void
end_links(DestReceiver *self)
{
}

/* Makes a receiver, in the current context. */
static LinkReceiver *
make_receiver(const CdpNodeKind *kind, CdpTakeLink take, void *arg)
{
	LinkReceiver *links = palloc0(sizeof(LinkReceiver));

	links->receiver.receiveSlot = receive_link;
	links->receiver.rStartup = start_links;
	links->receiver.rShutdown = end_links;
	links->receiver.rDestroy = end_links;
	links->receiver.mydest = DestTuplestore; /* for SPI: rows are taken */
	links->kind = kind;
	links->take = take;
	links->arg = arg;
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

/* The quoted name of a column, checked against the catalogue; as text when that is asked for, or nothing, and it is something else. */
static char *
column_of(Relation rel, const char *column, const CdpNodeKind *kind)
{
	AttrNumber	number = get_attnum(RelationGetRelid(rel), column);
	CdpNodeKind own;
	Oid			type;

	if (number <= 0)
		refuse_column(rel, column);
	type = getBaseType(TupleDescAttr(RelationGetDescr(rel), number - 1)->atttypid);
	if (kind == NULL ? cdp_node_kind_of(type, &own) : is_readable(type, *kind))
		return psprintf("%s", quote_identifier(column));
	if (kind != NULL && *kind != CDP_NODE_TEXT)
		refuse_type(column, type, *kind);
	return psprintf("%s::pg_catalog.text", quote_identifier(column));
}

/* The query that reads the links of a relation, checked against the catalogue; palloc'd. */
char *
cdp_links_query(Oid relid, const char *a, const char *b, const CdpNodeKind *kind)
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

/* Hands over the rows of two columns of a relation, which are read as nodes of a kind, or each as its type says. */
void
cdp_links_of_relation(Oid relid, const char *a, const char *b, const CdpNodeKind *kind, CdpTakeLink take, void *arg)
{
	char	   *query = cdp_links_query(relid, a, b, kind);
	SPIExecuteOptions options = {.read_only = true, .dest = (DestReceiver *) make_receiver(kind, take, arg)};
	int			code;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	code = SPI_execute_extended(query, &options);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "reading the links failed: %s", SPI_result_code_string(code));
	SPI_finish();
}

/* Hands over the rows of a prepared query of two columns; within SPI. */
void
cdp_links_of_plan(SPIPlanPtr plan, ParamListInfo params, const CdpNodeKind *kind, CdpTakeLink take, void *arg)
{
	SPIExecuteOptions options = {.params = params, .read_only = true, .dest = (DestReceiver *) make_receiver(kind, take, arg)};
	int			code = SPI_execute_plan_extended(plan, &options);

	if (code != SPI_OK_SELECT)
		elog(ERROR, "reading the links failed: %s", SPI_result_code_string(code));
}

/* Hands over the rows that an open cursor still has. */
void
cdp_links_of_cursor(const char *name, const CdpNodeKind *kind, CdpTakeLink take, void *arg)
{
	Portal		portal = GetPortalByName(name);

	if (!PortalIsValid(portal))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_CURSOR),
				 errmsg("cursor \"%s\" does not exist", name),
				 errhint("Open it in this transaction, or WITH HOLD.")));
	PortalRunFetch(portal, FETCH_FORWARD, FETCH_ALL, (DestReceiver *) make_receiver(kind, take, arg));
}

/* Adds a link. */
static void
take_link(void *arg, const CdpLinkEnd *end)
{
	CdpComponents *c = arg;

	if (c->kind == CDP_NODE_BIGINT)
		cdp_components_number(c, end[0].null ? NULL : &end[0].number, end[1].null ? NULL : &end[1].number);
	else
		cdp_components_bytes(c, end[0].null ? NULL : end[0].bytes, end[0].len, end[1].null ? NULL : end[1].bytes, end[1].len);
}

/* Components of the relation and columns that the arguments name. */
static struct varlena *
set_of_relation(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	CdpComponents *c = cdp_components_create(kind, CurrentMemoryContext);

	cdp_links_of_relation(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), NameStr(*PG_GETARG_NAME(2)), &kind, take_link, c);
	return cdp_components_finish(c);
}

/* Components of the rows that an open cursor still has. */
static struct varlena *
set_of_cursor(FunctionCallInfo fcinfo, CdpNodeKind kind)
{
	CdpComponents *c = cdp_components_create(kind, CurrentMemoryContext);

	cdp_links_of_cursor(text_to_cstring(PG_GETARG_TEXT_PP(0)), &kind, take_link, c);
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

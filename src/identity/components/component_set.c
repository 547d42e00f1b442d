/*
 * component_set.c
 *		The type cdp.component_set: components as bytes, in and out.
 *
 * A value is: version, kind of nodes, numbers of nodes, components and links;
 * for bigint the lowest node and the bytes that the distance from it takes.
 * Then each component, in the order of its smallest node: how many nodes, and
 * the nodes in ascending order (bigint: distance, lowest byte first; uuid: 16
 * bytes; text: length and bytes). Equal components have equal bytes.
 *
 * The bytes come from clients too. Readers check each length before they look;
 * the in and receive functions also make the value anew and compare.
 */
#include "identity/components/components.h"

#include "base/wire.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"

/* The name of a kind of nodes, as SQL has it. */
const char *
cdp_node_kind_name(CdpNodeKind kind)
{
	return kind == CDP_NODE_BIGINT ? "bigint" : kind == CDP_NODE_UUID ? "uuid" : "text";
}

/* Opens bytes and checks what comes before the components. */
static void
open_bytes(CdpSetReader *r, const char *data, int len)
{
	memset(r, 0, sizeof(CdpSetReader));
	r->buf.data = unconstify(char *, data);
	r->buf.len = r->buf.maxlen = len;
	if (cdp_wire_get_byte(&r->buf) != CDP_SET_VERSION)
		cdp_wire_broken("version of a component set");
	r->kind = cdp_wire_get_byte(&r->buf);
	if (r->kind > CDP_NODE_TEXT)
		cdp_wire_broken("kind of nodes");
	r->nnodes = cdp_wire_get_uint(&r->buf);
	r->ncomponents = cdp_wire_get_uint(&r->buf);
	r->nlinks = cdp_wire_get_uint(&r->buf);
	if (r->kind == CDP_NODE_BIGINT)
	{
		r->base = cdp_wire_get_int(&r->buf);
		r->width = cdp_wire_get_byte(&r->buf);
	}
	else
		r->width = r->kind == CDP_NODE_UUID ? 16 : 1;
	if (r->width > 16 || (r->kind == CDP_NODE_BIGINT && r->width > 8))
		cdp_wire_broken("width of nodes");
	/* Without width only one node has a place: no claim of many costs time. */
	if (r->nnodes > (r->width > 0 ? CDP_MAX_NODES : 1) || r->ncomponents > r->nnodes || (r->ncomponents == 0) != (r->nnodes == 0) ||
		r->nlinks > PG_INT64_MAX)
		cdp_wire_broken("counts of a component set");
	r->components_left = r->ncomponents;
	r->unread = r->nnodes;
}

/* Opens a value, which must stay where it is. */
void
cdp_set_open(CdpSetReader *r, const struct varlena *set)
{
	open_bytes(r, VARDATA_ANY(set), VARSIZE_ANY_EXHDR(set));
}

/* Begins the next component; the one before must be read to its end. False after the last. */
bool
cdp_set_component(CdpSetReader *r)
{
	uint64		left;

	if (r->components_left == 0)
	{
		if (r->unread != 0 || r->buf.cursor != r->buf.len)
			cdp_wire_broken("bytes are left over");
		return false;
	}
	r->nodes_left = cdp_wire_get_uint(&r->buf);
	left = r->buf.len - r->buf.cursor;
	if (r->nodes_left == 0 || r->nodes_left > r->unread || r->nodes_left * r->width > left)
		cdp_wire_broken("size of a component");
	r->components_left--;
	r->unread -= r->nodes_left;
	return true;
}

/* Reads the next node of the component; there must be one. */
void
cdp_set_node(CdpSetReader *r, CdpSetNode *node)
{
	const unsigned char *from = (const unsigned char *) r->buf.data + r->buf.cursor;
	uint64		distance = 0;

	r->nodes_left--;
	if (r->kind == CDP_NODE_BIGINT)
	{
		for (int i = 0; i < r->width; i++)
			distance |= (uint64) from[i] << (8 * i);
		node->number = (int64) ((uint64) r->base + distance);
		r->buf.cursor += r->width;
		return;
	}
	node->len = r->kind == CDP_NODE_UUID ? 16 : cdp_wire_get_count(&r->buf, 1, "length of a node");
	node->bytes = r->buf.data + r->buf.cursor;
	r->buf.cursor += node->len;
}

/* Links every node of a component to its smallest. */
static void
add_opened(CdpComponents *c, CdpSetReader *r, bool check_text)
{
	CdpSetNode	first = {0};
	CdpSetNode	node;

	while (cdp_set_component(r))
	{
		cdp_set_node(r, &first);
		for (node = first;; cdp_set_node(r, &node))
		{
			if (check_text && r->kind == CDP_NODE_TEXT && !pg_verifymbstr(node.bytes, node.len, true))
				cdp_wire_broken("text is not valid in the encoding of this database");
			if (r->kind == CDP_NODE_BIGINT)
				cdp_components_number(c, &first.number, &node.number);
			else
				cdp_components_bytes(c, first.bytes, first.len, node.bytes, node.len);
			if (r->nodes_left == 0)
				break;
		}
	}
}

/* Adds the components and the count of links of a value, whose nodes must be of the engine's kind. */
void
cdp_components_add_set(CdpComponents *c, const struct varlena *set)
{
	CdpSetReader r;
	uint64		nlinks = c->nlinks;

	cdp_set_open(&r, set);
	if (r.kind != c->kind)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("component sets of different nodes cannot be merged"),
				 errdetail("One has nodes of type %s, another of type %s.", cdp_node_kind_name(c->kind), cdp_node_kind_name(r.kind)),
				 errhint("Merge sets of one type only.")));
	add_opened(c, &r, false);
	c->nlinks = nlinks + r.nlinks;
}

/* Makes a value of bytes that nobody vouches for: only those are taken that the engine itself would write. */
static struct varlena *
checked_set(const char *data, int len)
{
	CdpSetReader r;
	CdpComponents *c;
	struct varlena *set;

	open_bytes(&r, data, len);
	c = cdp_components_create(r.kind, CurrentMemoryContext);
	add_opened(c, &r, true);
	c->nlinks = r.nlinks;
	set = cdp_components_finish(c);
	if (VARSIZE_ANY_EXHDR(set) != len || memcmp(VARDATA_ANY(set), data, len) != 0)
		cdp_wire_broken("order or repetition of nodes");
	return set;
}

CDP_FUNCTION(cdp_component_set_in);

/* Text to value: \x and hexadecimal digits; palloc'd. */
Datum
cdp_component_set_in(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = cdp_wire_unhex(PG_GETARG_CSTRING(0), "cdp.component_set", "cdp.components(...)");

	PG_RETURN_POINTER(checked_set(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

CDP_FUNCTION(cdp_component_set_out);

/* Value to text; palloc'd. */
Datum
cdp_component_set_out(PG_FUNCTION_ARGS)
{
	struct varlena *set = PG_GETARG_VARLENA_PP(0);
	Size		len = VARSIZE_ANY_EXHDR(set);

	if (len * 2 + 3 > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a component set is too long for its text form"),
				 errdetail("It has %zu bytes; text shows at most %zu.", len, (Size) (MaxAllocSize - 3) / 2),
				 errhint("Use the binary form, or open the set with cdp.component_rows(set).")));
	PG_RETURN_CSTRING(cdp_wire_hex(VARDATA_ANY(set), len));
}

CDP_FUNCTION(cdp_component_set_recv);

/* Binary to value: the same bytes; palloc'd. */
Datum
cdp_component_set_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	const char *data = pq_getmsgbytes(buf, len);

	PG_RETURN_POINTER(checked_set(data, len));
}

CDP_FUNCTION(cdp_component_set_send);

/* Value to binary; palloc'd. */
Datum
cdp_component_set_send(PG_FUNCTION_ARGS)
{
	struct varlena *set = PG_GETARG_VARLENA_PP(0);

	PG_RETURN_BYTEA_P(cdp_wire_binary(VARDATA_ANY(set), VARSIZE_ANY_EXHDR(set)));
}

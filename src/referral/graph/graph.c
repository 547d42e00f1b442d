/*
 * graph.c
 *		From rows of two ends to a value of type cdp.fraud_graph, and from the
 *		value to arrays.
 *
 * A value is: version, the kinds of both ends, how many nodes each has, how many
 * edges; then the nodes of both ends in ascending order (bigint: the first, then
 * the steps; uuid: 16 bytes; text: length and bytes); then for each node of the
 * first end how many edges it has, and where they go: the first, then the steps
 * less one. Equal graphs have equal bytes, whatever the order and repetition of
 * the rows was. The bytes come from clients too: all of them are checked.
 */
#include "referral/graph/graph.h"

#include "base/wire.h"
#include "mb/pg_wchar.h"
#include "utils/guc.h"
#include "utils/uuid.h"

#define PASS "graphs of accounts"
#define SETTING "cdp.fraud_memory"

int			cdp_graph_memory = 1024 * 1024;

/* Defines the setting; called once, when the library is loaded. */
void
cdp_graph_settings(void)
{
	DefineCustomIntVariable(SETTING,
							"Memory that one graph of accounts may use.",
							"What needs more is an error. An edge takes 20 to 40 bytes.",
							&cdp_graph_memory,
							1024 * 1024,
							1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* Refuses to take more memory than the setting allows. */
void
cdp_graph_reserve(uint64 bytes, const char *what)
{
	if (bytes <= (uint64) cdp_graph_memory * 1024)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a graph of accounts does not fit into memory"),
			 errdetail("%s take " UINT64_FORMAT " kB; " SETTING " is %d kB.", what, (bytes + 1023) / 1024, cdp_graph_memory),
			 errhint("Raise " SETTING ", or ask for fewer edges, such as those of the last months.")));
}

/* Takes one row; what has one end is a node without an edge, what has none is nothing. */
void
cdp_graph_take(void *arg, const CdpLinkEnd *end)
{
	CdpGraphRows *rows = arg;

	if (rows->side[0] == NULL)
	{
		for (int i = 0; i < 2; i++)
			rows->side[i] = cdp_nodes_create(end[i].kind, rows->cxt, &cdp_graph_memory, SETTING, PASS);
		rows->side[0]->beside = rows->side[1];
		rows->side[1]->beside = rows->side[0];
	}
	if (end[0].null && end[1].null)
		return;
	for (int i = 0; i < 2; i++)
		cdp_nodes_add(rows->side[i], &end[i]);
}

/* Refuses a value that no varlena can be. */
static void
check_room(StringInfo buf, uint64 more)
{
	if ((uint64) buf->len + more + 64 < MaxAllocSize)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a graph of accounts takes more than 1 GB"),
			 errhint("Ask for fewer edges, such as those of the last months, or give the nodes shorter keys.")));
}

/* Appends the nodes of one end, which are sorted. */
static void
write_nodes(const CdpComponents *c, StringInfo buf)
{
	uint64		before = 0;

	for (uint32 i = 0; i < c->nnodes; i++)
	{
		uint32		len;
		const char *bytes;

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (c->kind == CDP_NODE_BIGINT)
		{
			check_room(buf, 0);
			if (i == 0)
				cdp_wire_put_int(buf, (int64) (c->node[0].key ^ (uint64) 1 << 63));
			else
				cdp_wire_put_uint(buf, c->node[i].key - before);
			before = c->node[i].key;
			continue;
		}
		bytes = cdp_nodes_bytes(c, i, &len);
		check_room(buf, len);
		if (c->kind == CDP_NODE_TEXT)
			cdp_wire_put_uint(buf, len);
		appendBinaryStringInfo(buf, bytes, len);
	}
}

/* Turns the places that both tables kept into edges; nodes without one are left to the lists of nodes. */
static void
edges_of_rows(CdpGraphRows *rows, CdpCsr *csr)
{
	CdpComponents *a = rows->side[0];
	CdpComponents *b = rows->side[1];
	uint32	   *rank_a = cdp_nodes_sort(a);
	uint32	   *rank_b = cdp_nodes_sort(b);
	uint64		m = 0;

	Assert(a->nkept == b->nkept);
	for (uint64 i = 0; i < a->nkept; i++)
	{
		if ((i & 0xFFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (a->kept[i] == CDP_NO_PLACE || b->kept[i] == CDP_NO_PLACE)
			continue;
		a->kept[m] = rank_a[a->kept[i]];
		b->kept[m++] = rank_b[b->kept[i]];
	}
	if (m > PG_UINT32_MAX / 2)
		cdp_graph_reserve(PG_INT64_MAX, "More than 2^31 rows");
	cdp_graph_reserve((a->kept_room + b->kept_room + 2 * m + Max(a->nnodes, b->nnodes)) * sizeof(uint32) +
					  (a->nnodes + (uint64) b->nnodes) * (sizeof(CdpNode) + 2 * sizeof(uint64)) + a->bytes_room + b->bytes_room,
					  "Rows, nodes and edges");
	cdp_csr_make(csr, a->nnodes, b->nnodes, (uint32) m, a->kept, b->kept);
	a->kept = b->kept = NULL;
}

/* Makes the value of all rows, in the current context, and gives the tables back. */
struct varlena *
cdp_graph_finish(CdpGraphRows *rows)
{
	StringInfoData buf;
	CdpCsr		csr = {0};
	uint32		nothing[1] = {0};

	csr.first = nothing;
	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	appendStringInfoCharMacro(&buf, CDP_GRAPH_VERSION);
	if (rows->side[0] != NULL)
		edges_of_rows(rows, &csr);
	for (int i = 0; i < 2; i++)
		appendStringInfoCharMacro(&buf, (char) (rows->side[i] != NULL && rows->side[i]->nnodes > 0 ? rows->side[i]->kind : CDP_NODE_BIGINT));
	for (int i = 0; i < 2; i++)
		cdp_wire_put_uint(&buf, rows->side[i] != NULL ? rows->side[i]->nnodes : 0);
	cdp_wire_put_uint(&buf, csr.first[csr.n]);
	for (int i = 0; i < 2 && rows->side[i] != NULL; i++)
		write_nodes(rows->side[i], &buf);
	for (uint32 i = 0; i < csr.n; i++)
	{
		uint32		from = csr.first[i];

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		check_room(&buf, ((uint64) csr.first[i + 1] - from + 1) * 5);
		cdp_wire_put_uint(&buf, csr.first[i + 1] - from);
		for (uint32 k = from; k < csr.first[i + 1]; k++)
			cdp_wire_put_uint(&buf, k == from ? csr.to[k] : csr.to[k] - csr.to[k - 1] - 1);
	}
	if (csr.n > 0 || csr.to != NULL)
	{
		pfree(csr.first);
		pfree(csr.to);
	}
	for (int i = 0; i < 2; i++)
	{
		if (rows->side[i] != NULL)
			MemoryContextDelete(rows->side[i]->cxt);
		rows->side[i] = NULL;
	}
	SET_VARSIZE(buf.data, buf.len);
	return (struct varlena *) buf.data;
}

/* Reads a count of which each entry takes at least so many bytes. */
static uint32
read_count(StringInfo buf, int least_bytes, const char *what)
{
	uint64		n = cdp_wire_get_uint(buf);

	if (n > (uint64) (buf->len - buf->cursor) / least_bytes)
		cdp_wire_broken(what);
	return (uint32) n;
}

/* Reads the numbers of one end. */
static void
read_numbers(StringInfo buf, CdpGraphSide *side)
{
	side->number = palloc_extended(sizeof(int64) * Max((Size) side->n, 1), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < side->n; i++)
	{
		uint64		step;

		if (i == 0)
		{
			side->number[0] = cdp_wire_get_int(buf);
			continue;
		}
		step = cdp_wire_get_uint(buf);
		side->number[i] = (int64) ((uint64) side->number[i - 1] + step);
		if (side->number[i] <= side->number[i - 1])
			cdp_wire_broken("order of nodes");
	}
}

/* Reads the byte keys of one end. */
static void
read_keys(StringInfo buf, CdpGraphSide *side, bool check_text)
{
	side->bytes = palloc_extended(sizeof(char *) * Max((Size) side->n, 1), MCXT_ALLOC_HUGE);
	side->len = palloc_extended(sizeof(uint32) * Max((Size) side->n, 1), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < side->n; i++)
	{
		uint32		len = side->kind == CDP_NODE_UUID ? UUID_LEN : read_count(buf, 1, "length of a node");
		int			order = -1;

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (len > (uint32) (buf->len - buf->cursor))
			cdp_wire_broken("length of a node");
		side->bytes[i] = buf->data + buf->cursor;
		side->len[i] = len;
		buf->cursor += len;
		if (i > 0)
		{
			order = memcmp(side->bytes[i - 1], side->bytes[i], Min(side->len[i - 1], len));
			if (order == 0)
				order = side->len[i - 1] < len ? -1 : 1;
		}
		if (order > 0)
			cdp_wire_broken("order of nodes");
		if (check_text && side->kind == CDP_NODE_TEXT && !pg_verifymbstr(side->bytes[i], len, true))
			cdp_wire_broken("text is not valid in the encoding of this database");
	}
}

/* Reads the edges. */
static void
read_edges(StringInfo buf, CdpCsr *csr, uint32 m, uint32 nto)
{
	uint32		at = 0;

	csr->first = palloc_extended(sizeof(uint32) * ((Size) csr->n + 1), MCXT_ALLOC_HUGE);
	csr->to = palloc_extended(sizeof(uint32) * Max((Size) m, 1), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < csr->n; i++)
	{
		uint64		n = cdp_wire_get_uint(buf);
		uint64		to = 0;

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (n > m - at)
			cdp_wire_broken("number of edges");
		csr->first[i] = at;
		for (uint64 k = 0; k < n; k++)
		{
			uint64		step = cdp_wire_get_uint(buf);

			if (step >= nto)
				cdp_wire_broken("end of an edge");
			to = k == 0 ? step : to + step + 1;
			if (to >= nto)
				cdp_wire_broken("end of an edge");
			csr->to[at++] = (uint32) to;
		}
	}
	csr->first[csr->n] = at;
	if (at != m || buf->cursor != buf->len)
		cdp_wire_broken("number of edges");
}

/* Opens bytes, which must stay where they are; the arrays live in the current context. */
void
cdp_graph_open(CdpGraph *g, const char *data, uint64 len, bool check_text)
{
	StringInfoData buf = {.data = unconstify(char *, data), .len = (int) len, .maxlen = (int) len};
	uint32		m;

	memset(g, 0, sizeof(CdpGraph));
	if (cdp_wire_get_byte(&buf) != CDP_GRAPH_VERSION)
		cdp_wire_broken("version of a graph");
	for (int i = 0; i < 2; i++)
	{
		g->side[i].kind = cdp_wire_get_byte(&buf);
		if (g->side[i].kind > CDP_NODE_TEXT)
			cdp_wire_broken("kind of nodes");
	}
	for (int i = 0; i < 2; i++)
	{
		g->side[i].n = read_count(&buf, g->side[i].kind == CDP_NODE_UUID ? UUID_LEN : 1, "number of nodes");
		if (g->side[i].n == 0 && g->side[i].kind != CDP_NODE_BIGINT)
			cdp_wire_broken("kind of nodes");
	}
	m = read_count(&buf, 1, "number of edges");
	g->bytes = sizeof(uint32) * ((uint64) m + g->side[0].n) + (sizeof(char *) + sizeof(uint32)) * ((uint64) g->side[0].n + g->side[1].n) + len;
	cdp_graph_reserve(g->bytes, "Nodes and edges");
	for (int i = 0; i < 2; i++)
	{
		if (g->side[i].kind == CDP_NODE_BIGINT)
			read_numbers(&buf, &g->side[i]);
		else
			read_keys(&buf, &g->side[i], check_text);
	}
	g->edges.n = g->side[0].n;
	read_edges(&buf, &g->edges, m, g->side[1].n);
}

/* Orders node i of one end and node k of the other. */
static int
compare_nodes(const CdpGraphSide *a, uint32 i, const CdpGraphSide *b, uint32 k)
{
	int			c;

	if (a->kind == CDP_NODE_BIGINT)
		return (a->number[i] > b->number[k]) - (a->number[i] < b->number[k]);
	c = memcmp(a->bytes[i], b->bytes[k], Min(a->len[i], b->len[k]));
	return c != 0 ? c : (a->len[i] > b->len[k]) - (a->len[i] < b->len[k]);
}

/* Makes one list of both ends' nodes and their edges, without those of a node with itself; each from both ends unless directed. */
void
cdp_graph_unite(CdpOneGraph *one, const CdpGraph *g, bool directed)
{
	const CdpGraphSide *a = &g->side[0];
	const CdpGraphSide *b = &g->side[1];
	uint32		m = g->edges.first[g->edges.n];
	uint32	   *map[2];
	uint32	   *from;
	uint32	   *to;
	uint32		kept = 0;
	uint32		i = 0;
	uint32		k = 0;

	if (a->n > 0 && b->n > 0 && a->kind != b->kind)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("both ends of the edges must be of one type here"),
				 errdetail("One end is of type %s, the other of type %s.", cdp_node_kind_name(a->kind), cdp_node_kind_name(b->kind)),
				 errhint("Edges of this function go from account to account.")));
	/* Pairs, their sorted copy, and what a search takes for each node. */
	cdp_graph_reserve(g->bytes + ((uint64) m * (directed ? 4 : 8) + ((uint64) a->n + b->n) * 8) * sizeof(uint32), "Edges from both ends");
	if ((uint64) m * 2 > PG_UINT32_MAX || (uint64) a->n + b->n > PG_INT32_MAX)
		cdp_graph_reserve(PG_INT64_MAX, "More than 2^31 edges");
	one->graph = g;
	one->n = 0;
	one->node = palloc_extended(sizeof(uint32) * Max((Size) a->n + b->n, 1), MCXT_ALLOC_HUGE);
	map[0] = palloc_extended(sizeof(uint32) * Max((Size) a->n, 1), MCXT_ALLOC_HUGE);
	map[1] = palloc_extended(sizeof(uint32) * Max((Size) b->n, 1), MCXT_ALLOC_HUGE);
	while (i < a->n || k < b->n)
	{
		int			c = i == a->n ? 1 : k == b->n ? -1 : compare_nodes(a, i, b, k);

		one->node[one->n] = c <= 0 ? i : k | (uint32) 1 << 31;
		if (c <= 0)
			map[0][i++] = one->n;
		if (c >= 0)
			map[1][k++] = one->n;
		one->n++;
	}
	from = palloc_extended(sizeof(uint32) * Max((Size) m * (directed ? 1 : 2), 1), MCXT_ALLOC_HUGE);
	to = palloc_extended(sizeof(uint32) * Max((Size) m * (directed ? 1 : 2), 1), MCXT_ALLOC_HUGE);
	for (i = 0; i < a->n; i++)
		for (k = g->edges.first[i]; k < g->edges.first[i + 1]; k++)
		{
			uint32		x = map[0][i];
			uint32		y = map[1][g->edges.to[k]];

			if (x == y)
				continue;
			from[kept] = x;
			to[kept++] = y;
			if (directed)
				continue;
			from[kept] = y;
			to[kept++] = x;
		}
	pfree(map[0]);
	pfree(map[1]);
	cdp_csr_make(&one->edges, one->n, one->n, kept, from, to);
}

/* A node as a value of its SQL type, in the current context. */
Datum
cdp_graph_node(const CdpGraphSide *side, uint32 i)
{
	if (side->kind == CDP_NODE_BIGINT)
		return Int64GetDatum(side->number[i]);
	if (side->kind == CDP_NODE_TEXT)
		return PointerGetDatum(cstring_to_text_with_len(side->bytes[i], (int) side->len[i]));
	return UUIDPGetDatum((pg_uuid_t *) memcpy(palloc(UUID_LEN), side->bytes[i], UUID_LEN));
}

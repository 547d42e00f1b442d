/*
 * components_finish.c
 *		From joined nodes to a value of type cdp.component_set: components by
 *		their smallest node, nodes in order, so that equal components have equal
 *		bytes whatever the order of the links was.
 *
 * Nodes are sorted in place by the first eight bytes of their key (one byte
 * after the other, from the highest), the few that are equal in them by all
 * bytes. The component that comes first in that order is the first of the value.
 */
#include "identity/components/components.h"

#include "base/wire.h"
#include "port/pg_bswap.h"

#define SHORT_RUN 48
#define PREFETCH_AHEAD 16

/* What the comparison of long keys needs. */
typedef struct KeyBytes
{
	const char *bytes;
	const uint64 *start;		/* of each node, by its number in hash */
	bool		text;
} KeyBytes;

/* A component while it is written. */
typedef struct SetPart
{
	uint32		nodes;			/* 0 once it has begun */
	uint32		bytes;			/* of its nodes; then where the next one goes */
} SetPart;

/* Bytes that an unsigned integer takes on the wire. */
static inline int
uint_bytes(uint64 value)
{
	int			n = 1;

	for (; value >= 0x80; value >>= 7)
		n++;
	return n;
}

/* Writes an unsigned integer as cdp_wire_put_uint does; returns what follows. */
static inline char *
put_uint(char *to, uint64 value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (char) (value | 0x80);
	*to++ = (char) value;
	return to;
}

/* Sorts a few nodes by key. */
static inline void
sort_few(CdpNode *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
	{
		CdpNode		node = v[i];
		size_t		k = i;

		for (; k > 0 && v[k - 1].key > node.key; k--)
			v[k] = v[k - 1];
		v[k] = node;
	}
}

/* Sorts nodes by key in place, beginning with the byte at shift. */
static void
sort_nodes(CdpNode *v, size_t n, int shift)
{
	size_t		end[256];
	size_t		next[256];
	size_t		at = 0;

	CHECK_FOR_INTERRUPTS();
	for (;; shift -= 8)
	{
		if (n <= SHORT_RUN)
		{
			sort_few(v, n);
			return;
		}
		memset(end, 0, sizeof(end));
		for (size_t i = 0; i < n; i++)
			end[(v[i].key >> shift) & 0xFF]++;
		if (end[(v[0].key >> shift) & 0xFF] < n)
			break;
		if (shift == 0)
			return;
	}
	for (int b = 0; b < 256; b++)
	{
		next[b] = at;
		at += end[b];
		end[b] = at;
	}
	for (int b = 0; b < 256; b++)
		while (next[b] < end[b])
		{
			CdpNode		node = v[next[b]];
			int			to = (node.key >> shift) & 0xFF;

			while (to != b)
			{
				CdpNode		swap = v[next[to]];

				v[next[to]++] = node;
				node = swap;
				to = (node.key >> shift) & 0xFF;
			}
			v[next[b]++] = node;
		}
	for (int b = 0; b < 256 && shift > 0; b++)
	{
		size_t		start = b == 0 ? 0 : end[b - 1];

		if (end[b] - start > 1)
			sort_nodes(v + start, end[b] - start, shift - 8);
	}
}

/* The bytes of a node. */
static inline const char *
bytes_of(const KeyBytes *k, const CdpNode *node, uint32 *len)
{
	const char *bytes = k->bytes + k->start[node->hash];

	if (!k->text)
	{
		*len = 16;
		return bytes;
	}
	memcpy(len, bytes, sizeof(uint32));
	return bytes + sizeof(uint32);
}

/* Orders two nodes by all bytes of their keys; no two are equal. */
static int
compare_bytes(const void *a, const void *b, void *arg)
{
	uint32		alen;
	uint32		blen;
	const char *x = bytes_of(arg, a, &alen);
	const char *y = bytes_of(arg, b, &blen);
	int			c = memcmp(x, y, Min(alen, blen));

	CHECK_FOR_INTERRUPTS();
	return c != 0 ? c : (alen > blen) - (alen < blen);
}

/* The first eight bytes of a key as a number of the same order; text has no byte 0, so the end sorts first. */
static uint64
prefix_of(const char *bytes, uint32 len)
{
	uint64		prefix = 0;

	memcpy(&prefix, bytes, Min(len, sizeof(prefix)));
	return pg_hton64(prefix);
}

/* Gives every node the number of its component, counted by lowest place; returns how many there are. */
static uint32
number_components(CdpComponents *c)
{
	CdpNode    *node = c->node;
	uint32		ncomponents = 0;

	for (uint32 i = 0; i < c->nnodes; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i + PREFETCH_AHEAD < c->nnodes)
			__builtin_prefetch(&node[node[i + PREFETCH_AHEAD].parent]);
		/* A parent has a lower place, so it has its component's number already. */
		node[i].parent = node[i].parent == i ? ncomponents++ : node[node[i].parent].parent;
	}
	return ncomponents;
}

/* Sorts the nodes; for byte keys start tells where the bytes of each are. */
static void
sort_by_key(CdpComponents *c, KeyBytes *k)
{
	CdpNode    *node = c->node;
	uint64	   *start;

	if (c->kind == CDP_NODE_BIGINT)
	{
		for (uint32 i = 0; i < c->nnodes; i++)
			node[i].key ^= (uint64) 1 << 63; /* negative numbers first */
		sort_nodes(node, c->nnodes, 56);
		return;
	}
	start = MemoryContextAllocHuge(c->cxt, sizeof(uint64) * Max(c->nnodes, 1));
	k->bytes = c->bytes;
	k->start = start;
	k->text = c->kind == CDP_NODE_TEXT;
	for (uint32 i = 0; i < c->nnodes; i++)
	{
		const char *bytes;
		uint32		len;

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		start[i] = node[i].key;
		node[i].hash = i;
		bytes = bytes_of(k, &node[i], &len);
		node[i].key = prefix_of(bytes, len);
	}
	sort_nodes(node, c->nnodes, 56);
	for (uint32 i = 0; i < c->nnodes;)
	{
		uint32		from = i++;

		while (i < c->nnodes && node[i].key == node[from].key)
			i++;
		if (i - from > 1)
			qsort_arg(node + from, i - from, sizeof(CdpNode), compare_bytes, k);
	}
}

/*
 * Sorts a table of nodes, after its last end; returns the rank of each place, in the table's memory. From then on
 * node[rank].key holds a number with its sign bit turned, and cdp_nodes_bytes() reads the others.
 */
uint32 *
cdp_nodes_sort(CdpComponents *c)
{
	KeyBytes	k = {0};
	uint32	   *rank;

	cdp_components_flush(c);
	pfree(c->slot);
	c->slot = NULL;
	cdp_components_reserve(c, c->nnodes * (uint64) (sizeof(CdpNode) + sizeof(uint64) + sizeof(uint32)) + c->bytes_room);
	rank = MemoryContextAllocHuge(c->cxt, sizeof(uint32) * Max(c->nnodes, 1));
	sort_by_key(c, &k);
	for (uint32 i = 0; i < c->nnodes; i++)
	{
		rank[c->node[i].parent] = i;
		if (k.start != NULL)
			c->node[i].key = k.start[c->node[i].hash];
	}
	return rank;
}

/* The bytes of a node of a sorted table, which stay the table's. */
const char *
cdp_nodes_bytes(const CdpComponents *c, uint32 rank, uint32 *len)
{
	const char *bytes = c->bytes + c->node[rank].key;

	*len = 16;
	if (c->kind != CDP_NODE_TEXT)
		return bytes;
	memcpy(len, bytes, sizeof(uint32));
	return bytes + sizeof(uint32);
}

/* Bytes of one node in the value. */
static inline uint32
node_bytes(const CdpComponents *c, const KeyBytes *k, const CdpNode *node, int width)
{
	uint32		len;

	if (c->kind == CDP_NODE_BIGINT)
		return width;
	bytes_of(k, node, &len);
	return c->kind == CDP_NODE_UUID ? len : uint_bytes(len) + len;
}

/* Appends one node. */
static inline char *
put_node(const CdpComponents *c, const KeyBytes *k, const CdpNode *node, uint64 lowest, int width, char *to)
{
	const char *bytes;
	uint32		len;

	if (c->kind == CDP_NODE_BIGINT)
	{
		uint64		distance = node->key - lowest;

		for (int i = 0; i < width; i++)
			to[i] = (char) (distance >> (8 * i));
		return to + width;
	}
	bytes = bytes_of(k, node, &len);
	if (c->kind == CDP_NODE_TEXT)
		to = put_uint(to, len);
	memcpy(to, bytes, len);
	return to + len;
}

/* Appends what comes before the components. */
static void
write_head(const CdpComponents *c, uint32 ncomponents, uint64 lowest, int width, StringInfo buf)
{
	initStringInfo(buf);
	appendStringInfoCharMacro(buf, CDP_SET_VERSION);
	appendStringInfoCharMacro(buf, (char) c->kind);
	cdp_wire_put_uint(buf, c->nnodes);
	cdp_wire_put_uint(buf, ncomponents);
	cdp_wire_put_uint(buf, c->nlinks);
	if (c->kind == CDP_NODE_BIGINT)
	{
		cdp_wire_put_int(buf, c->nnodes > 0 ? (int64) (lowest ^ (uint64) 1 << 63) : 0);
		appendStringInfoCharMacro(buf, (char) width);
	}
}

/* Counts nodes and bytes of each component; returns the bytes of all. */
static uint64
measure_groups(const CdpComponents *c, const KeyBytes *k, SetPart *group, uint32 ncomponents, int width)
{
	uint64		total = 0;

	for (uint32 i = 0; i < c->nnodes; i++)
	{
		SetPart	   *g = &group[c->node[i].parent];
		uint32		bytes = node_bytes(c, k, &c->node[i], width);

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		g->nodes++;
		g->bytes += bytes;
		total += bytes;
	}
	for (uint32 i = 0; i < ncomponents; i++)
		total += uint_bytes(group[i].nodes);
	return total;
}

/* Writes the sorted nodes, each behind those of its component that are there already. */
static void
write_groups(const CdpComponents *c, const KeyBytes *k, SetPart *group, uint64 lowest, int width, char *to)
{
	const CdpNode *node = c->node;
	uint32		n = c->nnodes;
	char	   *start = to;

	for (uint32 i = 0; i < n; i++)
	{
		SetPart	   *g = &group[node[i].parent];

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i + 2 * PREFETCH_AHEAD < n)
		{
			__builtin_prefetch(&group[node[i + 2 * PREFETCH_AHEAD].parent], 1);
			__builtin_prefetch(start + group[node[i + PREFETCH_AHEAD].parent].bytes, 1);
		}
		if (g->nodes != 0)
		{
			/* The smallest node of its component: the component begins here. */
			char	   *first = put_uint(to, g->nodes);

			to = first + g->bytes;
			g->bytes = (uint32) (first - start);
			g->nodes = 0;
		}
		g->bytes = (uint32) (put_node(c, k, &node[i], lowest, width, start + g->bytes) - start);
	}
}

/* Makes the value, in the current context, and gives the engine back. */
struct varlena *
cdp_components_finish(CdpComponents *c)
{
	KeyBytes	k = {0};
	StringInfoData head;
	SetPart	   *group;
	uint64		lowest;
	uint64		spread;
	uint64		total;
	uint32		ncomponents;
	int			width = 0;
	struct varlena *set;

	cdp_components_flush(c);
	pfree(c->slot);
	c->slot = NULL;
	cdp_components_reserve(c, c->nnodes * (uint64) (2 * sizeof(CdpNode)) + c->bytes_room);
	ncomponents = number_components(c);
	sort_by_key(c, &k);

	lowest = c->nnodes > 0 ? c->node[0].key : 0;
	spread = c->nnodes > 0 ? c->node[c->nnodes - 1].key - lowest : 0;
	for (; width < 8 && spread >> (8 * width) != 0; width++)
		;
	write_head(c, ncomponents, lowest, width, &head);
	group = MemoryContextAllocExtended(c->cxt, sizeof(SetPart) * Max(ncomponents, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	total = VARHDRSZ + head.len + measure_groups(c, &k, group, ncomponents, width);
	if (total > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a component set takes more than 1 GB"),
				 errdetail("%u nodes take " UINT64_FORMAT " bytes; at most %zu are possible.", c->nnodes, total, (Size) MaxAllocSize),
				 errhint("Leave out links that cannot meet the others, or give the nodes shorter keys.")));
	cdp_components_reserve(c, c->nnodes * (uint64) (sizeof(CdpNode) + (c->kind == CDP_NODE_BIGINT ? 0 : sizeof(uint64))) +
						   c->bytes_room + sizeof(SetPart) * ncomponents + total);
	set = palloc(total);
	SET_VARSIZE(set, total);
	memcpy(VARDATA(set), head.data, head.len);
	write_groups(c, &k, group, lowest, width, VARDATA(set) + head.len);
	pfree(head.data);
	MemoryContextDelete(c->cxt);
	return set;
}

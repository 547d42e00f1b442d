/*
 * components.c
 *		Union-find over nodes of any kind: a table of nodes, a hash that finds
 *		them, and the joining of links.
 *
 * The cost of it is waiting for memory, so links are collected and worked on
 * in batches whose places in memory are asked for ahead. A slot of the hash is
 * four bytes: the place of its node, and above it as much of the hash as fits,
 * so that other nodes are hardly ever looked at. Nodes link to lower places
 * only (Rem's algorithm with splicing), which makes the last pass a single walk.
 */
#include "identity/components/components.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"

#define FIRST_SLOT_BITS 10
#define FIRST_ROOM 256

/* A hash of a number: every bit of it depends on every bit of the number. */
static inline uint32
hash_number(uint64 number, uint64 seed)
{
	uint64		h = number ^ seed;

	h ^= h >> 33;
	h *= UINT64CONST(0xFF51AFD7ED558CCD);
	h ^= h >> 33;
	h *= UINT64CONST(0xC4CEB9FE1A85EC53);
	return (uint32) (h >> 32);
}

/* Where the search for a hash starts. */
static inline uint32
first_slot(const CdpComponents *c, uint32 hash)
{
	return hash >> (32 - c->slot_bits);
}

/* Makes an empty engine; all of it lives in a child of cxt. */
CdpComponents *
cdp_components_create(CdpNodeKind kind, MemoryContext cxt)
{
	MemoryContext own = AllocSetContextCreate(cxt, "cdp components", ALLOCSET_DEFAULT_SIZES);
	CdpComponents *c = MemoryContextAllocZero(own, sizeof(CdpComponents));

	c->kind = kind;
	c->cxt = own;
	c->seed = pg_prng_uint64(&pg_global_prng_state);
	c->kilobytes = &cdp_components_memory;
	c->setting = "cdp.components_memory";
	c->pass = "connected components";
	c->slot_bits = FIRST_SLOT_BITS;
	c->slot = MemoryContextAllocZero(own, sizeof(uint32) << FIRST_SLOT_BITS);
	c->room = FIRST_ROOM;
	c->node = MemoryContextAlloc(own, sizeof(CdpNode) * FIRST_ROOM);
	if (kind != CDP_NODE_BIGINT)
	{
		c->stage = MemoryContextAlloc(own, CDP_STAGE_BYTES);
		c->bytes_room = 1024;
		c->bytes = MemoryContextAlloc(own, c->bytes_room);
	}
	return c;
}

/* Makes an empty table of nodes, which numbers the ends that it is given; memory is that of another setting. */
CdpComponents *
cdp_nodes_create(CdpNodeKind kind, MemoryContext cxt, const int *kilobytes, const char *setting, const char *pass)
{
	CdpComponents *c = cdp_components_create(kind, cxt);

	c->keeps = true;
	c->kilobytes = kilobytes;
	c->setting = setting;
	c->pass = pass;
	c->kept_room = FIRST_ROOM;
	c->kept = MemoryContextAlloc(c->cxt, sizeof(uint32) * FIRST_ROOM);
	return c;
}

/* The memory of an engine with so much room. */
static uint64
memory_of(uint64 room, int slot_bits, uint64 bytes_room)
{
	return room * sizeof(CdpNode) + (sizeof(uint32) << slot_bits) + bytes_room;
}

/* Refuses to take more memory than the setting allows. */
void
cdp_components_reserve(const CdpComponents *c, uint64 bytes)
{
	bytes += c->kept_room * sizeof(uint32);
	if (c->beside != NULL)
		bytes += memory_of(c->beside->room, c->beside->slot_bits, c->beside->bytes_room) + c->beside->kept_room * sizeof(uint32);
	if (bytes <= (uint64) *c->kilobytes * 1024)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s do not fit into memory", c->pass),
			 errdetail("%u nodes, the room for more and the result take " UINT64_FORMAT " kB; %s is %d kB.",
					   c->nnodes, (bytes + 1023) / 1024, c->setting, *c->kilobytes),
			 errhint("Raise %s, or leave out links that cannot meet the others, such as those of another source.", c->setting)));
}

/* The next room of something that grows: twice as much, or what is allowed when that still helps. */
static uint64
more_room(const CdpComponents *c, uint64 room, uint64 needed, uint64 unit, uint64 others)
{
	uint64		allowed = (uint64) *c->kilobytes * 1024;
	uint64		most = allowed > others ? (allowed - others) / unit : 0;
	uint64		next = room;

	while (next < needed)
		next *= 2;
	return next > most && most >= needed ? most : next;
}

/* Puts a node that is not in the hash yet into it. */
static inline void
enter(CdpComponents *c, uint32 place)
{
	uint32		hash = c->node[place].hash;
	uint32		mask = ((uint32) 1 << c->slot_bits) - 1;
	uint32		at = first_slot(c, hash);

	while (c->slot[at] != 0)
		at = (at + 1) & mask;
	c->slot[at] = hash << c->slot_bits | (place + 1);
}

/* Doubles the hash; the old one is given back first, because the nodes can fill the new one. */
static void
grow_slots(CdpComponents *c)
{
	pfree(c->slot);
	c->slot = NULL;
	c->slot_bits++;
	c->slot = MemoryContextAllocExtended(c->cxt, sizeof(uint32) << c->slot_bits, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < c->nnodes; i++)
	{
		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i + 16 < c->nnodes)
			__builtin_prefetch(&c->slot[first_slot(c, c->node[i + 16].hash)], 1);
		enter(c, i);
	}
}

/* Makes room for the nodes that a batch may bring. */
static void
make_room(CdpComponents *c, uint32 more)
{
	uint64		needed = (uint64) c->nnodes + more;

	if (needed > CDP_MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many nodes for %s", c->pass),
				 errdetail("At most %u are possible.", CDP_MAX_NODES),
				 errhint("Leave out links that cannot meet the others, such as those of another source.")));
	if (needed > c->room)
	{
		uint64		room = more_room(c, c->room, needed, sizeof(CdpNode), memory_of(0, c->slot_bits, c->bytes_room));

		cdp_components_reserve(c, memory_of(room, c->slot_bits, c->bytes_room));
		c->node = repalloc_huge(c->node, room * sizeof(CdpNode));
		c->room = (uint32) Min(room, CDP_MAX_NODES);
	}
	while (needed > (uint64) 1 << (c->slot_bits - 1))
	{
		cdp_components_reserve(c, memory_of(c->room, c->slot_bits + 1, c->bytes_room));
		grow_slots(c);
	}
}

/* Keeps the bytes of a new node; tells where. */
static uint64
keep_bytes(CdpComponents *c, const CdpEnd *end)
{
	uint64		at = c->nbytes;
	uint64		needed = at + sizeof(uint32) + end->len;
	char	   *to;

	if (needed > c->bytes_room)
	{
		uint64		others = memory_of(c->room, c->slot_bits, 0);
		uint64		room = more_room(c, c->bytes_room, needed, 1, others);

		cdp_components_reserve(c, others + room);
		c->bytes = repalloc_huge(c->bytes, room);
		c->bytes_room = room;
	}
	to = c->bytes + at;
	if (c->kind == CDP_NODE_TEXT)
	{
		memcpy(to, &end->len, sizeof(uint32));
		to += sizeof(uint32);
	}
	memcpy(to, end->key.bytes, end->len);
	c->nbytes = to + end->len - c->bytes;
	return at;
}

/* Tells whether a node is the one looked for. */
static pg_attribute_always_inline bool
is_node(const CdpComponents *c, const CdpNode *node, const CdpEnd *end, bool numbers)
{
	const char *bytes;
	uint32		len;

	if (numbers)
		return node->key == end->key.number;
	if (node->hash != end->hash)
		return false;
	bytes = c->bytes + node->key;
	if (c->kind == CDP_NODE_TEXT)
	{
		memcpy(&len, bytes, sizeof(uint32));
		if (len != end->len)
			return false;
		bytes += sizeof(uint32);
	}
	return memcmp(bytes, end->key.bytes, end->len) == 0;
}

/* The place of a node, which is added when it is new; there is room for it. */
static pg_attribute_always_inline uint32
find_node(CdpComponents *c, const CdpEnd *end, bool numbers)
{
	uint32		mask = ((uint32) 1 << c->slot_bits) - 1;
	uint32		rest = end->hash << c->slot_bits;
	uint32		at = first_slot(c, end->hash);
	uint32		place;

	for (;; at = (at + 1) & mask)
	{
		uint32		slot = c->slot[at];

		if (slot == 0)
			break;
		if ((slot & ~mask) == rest && is_node(c, &c->node[(slot & mask) - 1], end, numbers))
			return (slot & mask) - 1;
	}
	place = c->nnodes;
	c->node[place].key = numbers ? end->key.number : keep_bytes(c, end);
	c->node[place].parent = place;
	c->node[place].hash = end->hash;
	c->slot[at] = rest | (place + 1);
	c->nnodes++;
	return place;
}

/* Joins the components of two nodes. */
static inline void
join(CdpComponents *c, uint32 u, uint32 v)
{
	CdpNode    *node = c->node;

	while (node[u].parent != node[v].parent)
	{
		uint32		up;

		if (node[u].parent < node[v].parent)
		{
			uint32		swap = u;

			u = v;
			v = swap;
		}
		up = node[u].parent;
		node[u].parent = node[v].parent;
		if (up == u)
		{
			c->njoined++;
			return;
		}
		u = up;
	}
}

/* Keeps places of ends. */
static void
keep_places(CdpComponents *c, uint32 *place, int n)
{
	if (c->nkept + n > c->kept_room)
	{
		c->kept_room *= 2;
		cdp_components_reserve(c, memory_of(c->room, c->slot_bits, c->bytes_room));
		c->kept = repalloc_huge(c->kept, sizeof(uint32) * c->kept_room);
	}
	for (int i = 0; i < n; i++)
		c->kept[c->nkept++] = place[i];
}

/* Works on the links that wait. */
static pg_attribute_always_inline void
work_on_batch(CdpComponents *c, bool numbers)
{
	int			n = c->nends;
	uint32		mask;
	uint32		place[2 * CDP_BATCH];

	Assert(c->keeps || n % 2 == 0);	/* each link brings both of its ends */
	make_room(c, n);
	mask = ((uint32) 1 << c->slot_bits) - 1;
	for (int i = 0; i < n; i++)
		__builtin_prefetch(&c->slot[first_slot(c, c->end[i].hash)], 1);
	for (int i = 0; i < n; i++)
	{
		uint32		slot = c->slot[first_slot(c, c->end[i].hash)];

		__builtin_prefetch(&c->node[(slot & mask) - (slot != 0)]);
	}
	for (int i = 0; i < n; i++)
	{
		place[i] = find_node(c, &c->end[i], numbers);
		__builtin_prefetch(&c->node[c->node[place[i]].parent], 1);
	}
	if (c->keeps)
		keep_places(c, place, n);
	for (int i = 0; i < n && !c->keeps; i += 2)
		join(c, place[i], place[i + 1]);
	c->nends = 0;
	c->nstaged = 0;
}

/* Works on what still waits. */
void
cdp_components_flush(CdpComponents *c)
{
	CHECK_FOR_INTERRUPTS();
	if (c->kind == CDP_NODE_BIGINT)
		work_on_batch(c, true);
	else
		work_on_batch(c, false);
}

/* Adds a link of numbers; NULL is an end that is not there. */
void
cdp_components_number(CdpComponents *c, const int64 *a, const int64 *b)
{
	CdpEnd	   *end = &c->end[c->nends];

	c->nlinks += a != NULL && b != NULL;
	if (a == NULL)
		a = b;
	if (b == NULL)
		b = a;
	if (a == NULL)
		return;
	end[0].key.number = (uint64) *a;
	end[0].hash = hash_number((uint64) *a, c->seed);
	end[1].key.number = (uint64) *b;
	end[1].hash = hash_number((uint64) *b, c->seed);
	c->nends += 2;
	if (c->nends == 2 * CDP_BATCH)
		cdp_components_flush(c);
}

/* Makes an end of bytes, which stay where they are or are copied to the stage. */
static void
bytes_end(CdpComponents *c, const char *bytes, uint32 len, bool stage)
{
	CdpEnd	   *end = &c->end[c->nends++];

	end->len = len;
	end->hash = (uint32) hash_bytes_extended((const unsigned char *) bytes, (int) len, c->seed);
	end->key.bytes = bytes;
	if (stage)
	{
		end->key.bytes = memcpy(c->stage + c->nstaged, bytes, len);
		c->nstaged += len;
	}
}

/* Adds a link of byte keys; NULL is an end that is not there. The bytes are the caller's. */
void
cdp_components_bytes(CdpComponents *c, const char *a, uint32 alen, const char *b, uint32 blen)
{
	uint64		both;

	c->nlinks += a != NULL && b != NULL;
	if (a == NULL)
	{
		a = b;
		alen = blen;
	}
	if (b == NULL)
	{
		b = a;
		blen = alen;
	}
	if (a == NULL)
		return;
	both = (uint64) alen + blen;
	if (c->nstaged + both > CDP_STAGE_BYTES)
		cdp_components_flush(c);
	bytes_end(c, a, alen, both <= CDP_STAGE_BYTES);
	bytes_end(c, b, blen, both <= CDP_STAGE_BYTES);
	if (c->nends == 2 * CDP_BATCH || both > CDP_STAGE_BYTES)
		cdp_components_flush(c);
}

/* Gives one end its place, which is kept; a table of nodes only. */
void
cdp_nodes_add(CdpComponents *c, const CdpLinkEnd *end)
{
	if (end->null)
	{
		uint32		none = CDP_NO_PLACE;

		cdp_components_flush(c);	/* those before it keep their place in the order */
		keep_places(c, &none, 1);
		return;
	}
	if (c->kind == CDP_NODE_BIGINT)
	{
		CdpEnd	   *to = &c->end[c->nends++];

		to->key.number = (uint64) end->number;
		to->hash = hash_number((uint64) end->number, c->seed);
	}
	else
	{
		if ((uint64) c->nstaged + end->len > CDP_STAGE_BYTES)
			cdp_components_flush(c);
		bytes_end(c, end->bytes, end->len, end->len <= CDP_STAGE_BYTES);
	}
	if (c->nends == 2 * CDP_BATCH || (c->kind != CDP_NODE_BIGINT && end->len > CDP_STAGE_BYTES))
		cdp_components_flush(c);
}

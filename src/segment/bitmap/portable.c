/*
 * portable.c
 *		Reading and writing the portable format of Roaring bitmaps
 *		(RoaringFormatSpec).
 *
 * Bytes come from anybody, so a reader checks all of them before anything
 * believes a number in them: order of the keys, counts, offsets, rising ids,
 * separate runs, exact length.  CRoaring 0.2 checks only that it does not read
 * behind the end.
 *
 * Layout: cookie; with runs the number of containers in the cookie's upper half
 * and a bit each, else a number; key and count - 1 of each; offsets (left out
 * with runs and fewer than four containers); containers.
 */
#include "segment/bitmap/roaring.h"

#include "port/pg_bitutils.h"

#define COOKIE_NO_RUNS 12346
#define COOKIE_RUNS 12347
#define OFFSETS_FROM 4			/* containers from which a set with runs has offsets */
#define MAX_CONTAINERS 65536

/* Reads 16 bits at any address. */
static inline uint32
get16(const char *p)
{
	uint16		v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Reads 32 bits at any address. */
static inline uint32
get32(const char *p)
{
	uint32		v;

	memcpy(&v, p, sizeof(v));
	return v;
}

CDP_NORETURN static void broken(const char *what, Size len);

/* Raises the error of bytes that are no set. */
static void
broken(const char *what, Size len)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid roaring bitmap"),
			 errdetail("Of its %zu bytes, %s.", len, what),
			 errhint("Give the portable serialisation of 32-bit Roaring bitmaps, as cdp.roaring_build() makes it.")));
}

/* Checks a list of ids. */
static bool
list_is_good(const CdpContainer *c)
{
	uint32		last = get16(c->data);

	for (uint32 i = 1; i < c->count; i++)
	{
		uint32		v = get16(c->data + 2 * i);

		if (v <= last)
			return false;
		last = v;
	}
	return true;
}

/* Checks that runs rise, leave a gap between each other and hold what the head says. */
static bool
runs_are_good(const CdpContainer *c)
{
	uint32		n = get16(c->data);
	uint32		next = 0;		/* least id that may come */
	uint32		count = 0;

	for (uint32 i = 0; i < n; i++)
	{
		uint32		first = get16(c->data + 2 + 4 * i);
		uint32		more = get16(c->data + 4 + 4 * i);

		if (first < next || first + more > 0xFFFF)
			return false;
		count += more + 1;
		next = first + more + 2;
	}
	return count == c->count;
}

/* Reads the heads: sets n, flags, heads and where the first container starts. */
static Size
open_heads(CdpBits *b)
{
	Size		pos = 8;
	uint32		cookie;

	if (b->len < 4)
		broken("the first four are missing", b->len);
	cookie = get32(b->bytes);
	if ((cookie & 0xFFFF) == COOKIE_RUNS)
	{
		b->n = (int32) (cookie >> 16) + 1;
		b->run_flags = (const unsigned char *) b->bytes + 4;
		pos = 4 + (b->n + 7) / 8;
	}
	else if (cookie == COOKIE_NO_RUNS && b->len >= 8 && get32(b->bytes + 4) <= MAX_CONTAINERS)
		b->n = (int32) get32(b->bytes + 4);
	else
		broken("the first are not those of any", b->len);
	if (b->len < pos || (b->len - pos) / 4 < b->n)
		broken("the heads are cut", b->len);
	b->heads = b->bytes + pos;
	pos += 4 * (Size) b->n;
	if (b->run_flags == NULL || b->n >= OFFSETS_FROM)
	{
		if ((b->len - pos) / 4 < b->n)
			broken("the offsets are cut", b->len);
		pos += 4 * (Size) b->n;
	}
	return pos;
}

/* Tells container i, whose place must be known. */
void
cdp_bits_container(const CdpBits *b, int32 i, CdpContainer *c)
{
	c->key = get16(b->heads + 4 * (Size) i);
	c->count = get16(b->heads + 4 * (Size) i + 2) + 1;
	c->data = b->bytes + b->at[i];
	if (b->run_flags != NULL && (b->run_flags[i / 8] >> (i % 8)) & 1)
	{
		c->kind = CDP_RUNS;
		c->size = 2 + 4 * get16(c->data);
	}
	else
	{
		c->kind = c->count > CDP_FEW ? CDP_BITS : CDP_LIST;
		c->size = c->count > CDP_FEW ? CDP_CHUNK_BYTES : 2 * c->count;
	}
}

/* Checks container i, which must fit into what is left, and tells where it ends. */
static Size
check_container(const CdpBits *b, int32 i, CdpContainer *c)
{
	Size		left = b->len - b->at[i];

	if (left < 2)
		broken("the last container is cut", b->len);
	cdp_bits_container(b, i, c);
	if (left < c->size)
		broken("the last container is cut", b->len);
	if (i > 0 && c->key <= get16(b->heads + 4 * (Size) (i - 1)))
		broken("some are containers out of order", b->len);
	if (b->heads + 4 * (Size) b->n != b->bytes + b->at[0] &&
		get32(b->heads + 4 * ((Size) b->n + i)) != b->at[i])
		broken("some are offsets that lead elsewhere", b->len);
	if (c->kind == CDP_LIST ? !list_is_good(c) :
		c->kind == CDP_RUNS ? !runs_are_good(c) :
		pg_popcount(c->data, CDP_CHUNK_BYTES) != c->count)
		broken("some are a container that does not fit its head", b->len);
	return b->at[i] + c->size;
}

/* Opens and checks all bytes of a set (22P03); the places of the containers are palloc'd. */
void
cdp_bits_open(CdpBits *b, const void *bytes, Size len)
{
	Size		pos;

	memset(b, 0, sizeof(*b));
	b->bytes = bytes;
	b->len = len;
	pos = open_heads(b);
	b->at = palloc(((Size) b->n + 1) * sizeof(uint32));
	for (int32 i = 0; i < b->n; i++)
	{
		CdpContainer c;

		if ((i & 0xFF) == 0)
			CHECK_FOR_INTERRUPTS();
		b->at[i] = (uint32) pos;
		pos = check_container(b, i, &c);
		b->count += c.count;
	}
	b->at[b->n] = (uint32) pos;
	if (pos != len)
		broken("some follow the last container", len);
}

/* The first container of this key or a higher one; the number of containers when there is none. */
int32
cdp_bits_from(const CdpBits *b, uint32 key)
{
	int32		low = 0,
				high = b->n;

	while (low < high)
	{
		int32		mid = (low + high) / 2;

		if (get16(b->heads + 4 * (Size) mid) < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Whether a container of a list holds the lower half of an id. */
static bool
list_has(const CdpContainer *c, uint32 low_half)
{
	uint32		low = 0,
				high = c->count;

	while (low < high)
	{
		uint32		mid = (low + high) / 2;

		if (get16(c->data + 2 * mid) < low_half)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->count && get16(c->data + 2 * low) == low_half;
}

/* Whether the set holds an id. */
bool
cdp_bits_has(const CdpBits *b, uint32 id)
{
	int32		i = cdp_bits_from(b, id >> 16);
	uint32		v = id & 0xFFFF;
	CdpContainer c;

	if (i == b->n)
		return false;
	cdp_bits_container(b, i, &c);
	if (c.key != id >> 16)
		return false;
	if (c.kind == CDP_BITS)
		return (c.data[v / 8] >> (v % 8)) & 1;
	if (c.kind == CDP_LIST)
		return list_has(&c, v);
	for (uint32 r = 0; r < get16(c.data); r++)
	{
		uint32		first = get16(c.data + 2 + 4 * r);

		if (v < first)
			return false;
		if (v <= first + get16(c.data + 4 + 4 * r))
			return true;
	}
	return false;
}

/* Writes a container as 1,024 words of bits. */
void
cdp_container_words(const CdpContainer *c, uint64 *words)
{
	if (c->kind == CDP_BITS)
	{
		memcpy(words, c->data, CDP_CHUNK_BYTES);
		return;
	}
	memset(words, 0, CDP_CHUNK_BYTES);
	if (c->kind == CDP_LIST)
	{
		for (uint32 i = 0; i < c->count; i++)
		{
			uint32		v = get16(c->data + 2 * i);

			words[v >> 6] |= UINT64CONST(1) << (v & 63);
		}
		return;
	}
	for (uint32 r = 0; r < get16(c->data); r++)
	{
		uint32		first = get16(c->data + 2 + 4 * r);
		uint32		last = first + get16(c->data + 4 + 4 * r);

		for (uint32 w = first >> 6; w <= last >> 6; w++)
		{
			uint64		mask = PG_UINT64_MAX;

			if (w == first >> 6)
				mask &= PG_UINT64_MAX << (first & 63);
			if (w == last >> 6)
				mask &= PG_UINT64_MAX >> (63 - (last & 63));
			words[w] |= mask;
		}
	}
}

/* Starts to write a set. */
void
cdp_writer_begin(CdpWriter *w)
{
	w->n = w->nruns = 0;
	w->room = 16;
	w->head = palloc(w->room * sizeof(uint32));
	w->is_run = palloc(w->room * sizeof(bool));
	initStringInfo(&w->body);
}

/* How many runs of ones the words hold. */
static uint32
count_runs(const uint64 *words)
{
	uint64		before = 0;		/* the highest bit of the word before */
	uint32		runs = 0;

	for (int i = 0; i < CDP_CHUNK_WORDS; i++)
	{
		uint64		starts = words[i] & ~((words[i] << 1) | before);

		if (starts != 0)
			runs += pg_popcount64(starts);
		before = words[i] >> 63;
	}
	return runs;
}

/* Appends the ids of the words as a list. */
static void
put_list(StringInfo out, const uint64 *words)
{
	uint16		ids[CDP_FEW];
	int			n = 0;

	for (int i = 0; i < CDP_CHUNK_WORDS; i++)
		for (uint64 left = words[i]; left != 0; left &= left - 1)
			ids[n++] = (uint16) (i * 64 + pg_rightmost_one_pos64(left));
	appendBinaryStringInfo(out, (char *) ids, n * sizeof(uint16));
}

/* Appends the runs of the words, fewer than a quarter of 8 KB. */
static void
put_runs(StringInfo out, const uint64 *words, uint32 runs)
{
	uint16		pair[CDP_CHUNK_BYTES / 2];
	int			n = 1;
	bool		inside = false;

	pair[0] = (uint16) runs;
	for (int i = 0; i < CDP_CHUNK_WORDS; i++)
	{
		uint64		edges = words[i] ^ ((words[i] << 1) | (inside ? 1 : 0));

		/* An edge is where a run starts, or the first id behind it. */
		for (; edges != 0; edges &= edges - 1)
		{
			int			at = i * 64 + pg_rightmost_one_pos64(edges);

			if (inside)
			{
				pair[n] = (uint16) (at - 1 - pair[n - 1]);
				n++;
			}
			else
				pair[n++] = (uint16) at;
			inside = !inside;
		}
	}
	if (inside)
	{
		pair[n] = (uint16) (0xFFFF - pair[n - 1]);
		n++;
	}
	Assert(n == 1 + 2 * runs);
	appendBinaryStringInfo(out, (char *) pair, n * sizeof(uint16));
}

/* Adds the 65,536 bits of a key in the smallest form; keys come in rising order, empty ones are left out. */
void
cdp_writer_add(CdpWriter *w, uint32 key, const uint64 *words)
{
	uint32		count = (uint32) pg_popcount((const char *) words, CDP_CHUNK_BYTES);
	uint32		plain = Min(2 * count, CDP_CHUNK_BYTES);
	uint32		runs;

	if (count == 0)
		return;
	if (w->n == w->room)
	{
		w->room *= 2;
		w->head = repalloc(w->head, w->room * sizeof(uint32));
		w->is_run = repalloc(w->is_run, w->room * sizeof(bool));
	}
	w->head[w->n] = key | (count - 1) << 16;
	runs = count_runs(words);
	w->is_run[w->n] = 2 + 4 * runs < plain;
	if (w->is_run[w->n])
	{
		w->nruns++;
		put_runs(&w->body, words, runs);
	}
	else if (count > CDP_FEW)
		appendBinaryStringInfo(&w->body, (const char *) words, CDP_CHUNK_BYTES);
	else
		put_list(&w->body, words);
	w->n++;
}

/* Appends a bit for each container: whether it is one of runs. */
static void
put_flags(const CdpWriter *w, StringInfo out)
{
	for (int32 i = 0; i < w->n; i += 8)
	{
		unsigned char flags = 0;

		for (int32 j = i; j < Min(i + 8, w->n); j++)
			flags |= w->is_run[j] << (j - i);
		appendStringInfoCharMacro(out, (char) flags);
	}
}

/* Appends offsets: each container's place from the start of the set. */
static void
put_offsets(const CdpWriter *w, StringInfo out, Size pos)
{
	Size		at = 0;

	for (int32 i = 0; i < w->n; i++)
	{
		uint32		place = (uint32) (pos + at);
		uint32		count = (w->head[i] >> 16) + 1;

		appendBinaryStringInfo(out, (char *) &place, sizeof(place));
		if (w->is_run[i])
			at += 2 + 4 * get16(w->body.data + at);
		else
			at += count > CDP_FEW ? CDP_CHUNK_BYTES : 2 * count;
	}
}

/* Appends the portable bytes of all that was added and gives the memory back. */
void
cdp_writer_end(CdpWriter *w, StringInfo out)
{
	Size		start = out->len;
	uint32		cookie = w->nruns > 0 ? COOKIE_RUNS | (uint32) (w->n - 1) << 16 : COOKIE_NO_RUNS;

	appendBinaryStringInfo(out, (char *) &cookie, sizeof(cookie));
	if (w->nruns > 0)
		put_flags(w, out);
	else
		appendBinaryStringInfo(out, (char *) &w->n, sizeof(w->n));
	appendBinaryStringInfo(out, (char *) w->head, w->n * sizeof(uint32));
	if (w->nruns == 0 || w->n >= OFFSETS_FROM)
		put_offsets(w, out, out->len - start + sizeof(uint32) * w->n);
	appendBinaryStringInfo(out, w->body.data, w->body.len);
	pfree(w->head);
	pfree(w->is_run);
	pfree(w->body.data);
}

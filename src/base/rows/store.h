/*
 * store.h
 *		Packed rows of a pass, in partitions by key.
 */
#ifndef CDP_STORE_H
#define CDP_STORE_H

#include "base/rows/memory.h"

#include "storage/buffile.h"

#define CDP_STORE_PARTITIONS 256
#define CDP_CACHE_LINE 64

/* Kinds of rows. */
#define CDP_STORE_FULL 0
#define CDP_STORE_VALUED 1		/* a full one with a value */
#define CDP_STORE_NARROW 2		/* one without further words, class and flags */
#define CDP_STORE_SLIM 3			/* a narrow one whose key has 32 bits */
#define CDP_STORE_KINDS 4

/* Rows of one kind of one partition: fixed size, in chunks, the older ones perhaps in a file. */
typedef struct CdpStream
{
	char	   *next;			/* where the next row goes */
	char	   *end;			/* of the chunk at hand */
	char	  **chunk;
	int			nchunks;
	int			room;
	uint64		rows;			/* in memory */
	uint64		spilled;		/* in the file */
	BufFile    *file;
} CdpStream;

/*
 * A row is a few 64-bit words: key, time, label (low 32) with class (16) and
 * flags (16), then the second key word and further words where the pass has
 * them; a valued row ends with its value. A pass without further words keeps
 * nearly all rows as narrow ones: time and label share a word, which saves a
 * third of the memory and of the time that it takes to fill it. Most bigint keys
 * have 32 bits, which makes the slim row, half of a full one.
 */
typedef struct CdpSlimRow
{
	uint32		key;
	uint32		low;			/* of the word of time and label */
	uint32		high;
} CdpSlimRow;

typedef struct CdpStore
{
	MemoryContext cxt;
	int			row_bytes[CDP_STORE_KINDS];
	int			chunk_rows[CDP_STORE_KINDS];
	int			key2_word[CDP_STORE_KINDS]; /* 0 = none */
	int			value_word;		/* of a valued row */
	bool		wide_key;
	int			extra_words;
	int			extra_word;		/* the first of them, 0 = none */
	int			level;			/* of partitioning: which bits of the hash */
	bool		partitioned;
	uint64		unpartitioned_left; /* rows until it is partitioned */
	const CdpPassMemory *memory;
	Size		limit;			/* bytes of chunks before they go to files */
	Size		used;
	char	  **free_chunk;
	int			nfree;
	int			free_room;
	CdpStream	stream[CDP_STORE_KINDS][CDP_STORE_PARTITIONS];
} CdpStore;

/* Labels and times (1928 to 2071) that fit into one word. */
#define CDP_NARROW_LABEL_BITS 12
#define CDP_NARROW_TIME (INT64CONST(1) << (63 - CDP_NARROW_LABEL_BITS))

/* What to do with a loaded partition; arg is the caller's. */
typedef void (*CdpVisitPartition) (CdpStore *s, int partition, void *arg);

extern CdpStore *cdp_store_create(MemoryContext cxt, bool wide_key, int extra_words, const CdpPassMemory *memory);
extern char *cdp_store_new_chunk(CdpStore *s, int kind, CdpStream *stream);
extern void cdp_store_partition_now(CdpStore *s);
extern void cdp_store_visit(CdpStore *s, Size scratch_of_row, CdpVisitPartition visit, void *arg);
extern void cdp_store_close(CdpStore *s);

/* Which partition a key belongs to. */
static inline int
cdp_store_place(const CdpStore *s, uint64 key, uint64 key2)
{
	uint64		hash;

	if (!s->partitioned)
		return 0;
	hash = (key ^ (key2 * UINT64CONST(0xC2B2AE3D27D4EB4F))) * UINT64CONST(0x9E3779B97F4A7C15);
	hash ^= hash >> 32;
	hash *= UINT64CONST(0xD6E8FEB86659FD93);
	return (hash >> (56 - 8 * s->level)) & (CDP_STORE_PARTITIONS - 1);
}

/* Tells whether a row of a pass without further words can be a narrow one. */
static inline bool
cdp_store_fits_narrow(int64 at, uint64 label)
{
	return label < (1 << CDP_NARROW_LABEL_BITS) && at >= -CDP_NARROW_TIME && at < CDP_NARROW_TIME;
}

/* The second word of a narrow row. */
static inline uint64
cdp_store_narrow(int64 at, uint64 label)
{
	return (uint64) at << CDP_NARROW_LABEL_BITS | label;
}

/* The time of a narrow row. */
static inline int64
cdp_store_narrow_at(uint64 word)
{
	return (int64) word >> CDP_NARROW_LABEL_BITS;
}

/* The label of a narrow row. */
static inline uint32
cdp_store_narrow_label(uint64 word)
{
	return (uint32) word & ((1 << CDP_NARROW_LABEL_BITS) - 1);
}

/* All rows of a partition, in memory and in files. */
static inline uint64
cdp_store_rows(const CdpStore *s, int partition)
{
	uint64		rows = 0;

	for (int kind = 0; kind < CDP_STORE_KINDS; kind++)
		rows += s->stream[kind][partition].rows + s->stream[kind][partition].spilled;
	return rows;
}

/* Fills a narrow row whose key has 32 bits. */
static inline void
cdp_store_put_slim(CdpSlimRow *row, uint64 key, uint64 word)
{
	row->key = (uint32) key;
	row->low = (uint32) word;
	row->high = (uint32) (word >> 32);
}

/* The word of time and label of a slim row. */
static inline uint64
cdp_store_slim_word(const CdpSlimRow *row)
{
	return (uint64) row->high << 32 | row->low;
}

/*
 * Room for one more row of a partition; the caller fills it. Rows go to hundreds
 * of places in turn, which no processor foresees, so the line after this one is
 * asked for now: it is needed some hundred rows later.
 */
static inline void *
cdp_store_row(CdpStore *s, int kind, int partition)
{
	CdpStream  *stream = &s->stream[kind][partition];
	char	   *row = stream->next;

	if (unlikely(row == stream->end))
		row = cdp_store_new_chunk(s, kind, stream);
	__builtin_prefetch(row + CDP_CACHE_LINE, 1);
	stream->next = row + s->row_bytes[kind];
	stream->rows++;
	return row;
}

/* Counts a row that was added: many rows are moved to partitions. */
static inline void
cdp_store_count(CdpStore *s)
{
	if (s->unpartitioned_left > 0 && --s->unpartitioned_left == 0)
		cdp_store_partition_now(s);
}

/* Visits the rows of one kind of a loaded partition, chunk by chunk: the body, given last, sees `row`, of the given type, and `number`. */
#define CDP_FOR_ROWS(s, kind_, partition, type, row, number, ...) \
	do { \
		const CdpStream *stream_ = &(s)->stream[kind_][partition]; \
		uint64		left_ = stream_->rows; \
		int			bytes_ = (s)->row_bytes[kind_]; \
		number = 0; \
		for (int c_ = 0; left_ > 0; c_++) \
		{ \
			const char *at_ = stream_->chunk[c_]; \
			uint64		here_ = Min(left_, (uint64) (s)->chunk_rows[kind_]); \
			left_ -= here_; \
			CHECK_FOR_INTERRUPTS(); \
			for (; here_ > 0; here_--, at_ += bytes_, number++) \
			{ \
				const type *row = (const type *) at_; \
				__VA_ARGS__ \
			} \
		} \
	} while (0)

/* Row i of a loaded partition, of a kind other than slim rows. */
static inline uint64 *
cdp_store_at(const CdpStore *s, int kind, int partition, uint64 i)
{
	const CdpStream *stream = &s->stream[kind][partition];

	return (uint64 *) (stream->chunk[i / s->chunk_rows[kind]] + (i % s->chunk_rows[kind]) * s->row_bytes[kind]);
}

#endif							/* CDP_STORE_H */

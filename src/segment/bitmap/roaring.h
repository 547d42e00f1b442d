/*
 * roaring.h
 *		Sets of customers in the portable format of Roaring bitmaps, which the
 *		type of the extension pg_roaringbitmap reads too.
 *
 * Three layers: a collector that turns ids in any order into bytes, a reader
 * that checks bytes of anybody, and handles around CRoaring for set algebra.
 * Equal sets have equal bytes: each container takes the smallest of its forms,
 * a list of ids when a list of runs is as short.
 */
#ifndef CDP_SEGMENT_ROARING_H
#define CDP_SEGMENT_ROARING_H

#include "cdp.h"

#include "lib/stringinfo.h"

#ifdef WORDS_BIGENDIAN
#error "the portable format is little-endian, and CRoaring serves no other machine"
#endif

#define CDP_CHUNK_WORDS 1024	/* 64-bit words of 65,536 bits */
#define CDP_CHUNK_BYTES 8192
#define CDP_FEW 4096			/* ids of a container up to which it is a list */

/* The ids of a collector that share their upper 16 bits. */
typedef struct CdpIdChunk
{
	uint64	   *bits;			/* one bit an id, or NULL while there are few */
	uint16	   *few;			/* lower halves as they came, repeated ones too */
	int32		n;
	int32		allocated;
} CdpIdChunk;

#define CDP_IDS_AT_ONCE 128

/*
 * Ids in any order, repeats allowed: at most 8 KB for each 65,536 ids and what a short list takes. They wait until there
 * are some: put in together, the processor waits for their places at the same time, not for one after the other.
 */
typedef struct CdpIdSet
{
	MemoryContext cxt;
	Size		memory;			/* bytes held */
	uint32		nchunks;
	int			nwaiting;
	uint32	   *waiting;		/* CDP_IDS_AT_ONCE, NULL before the first id */
	CdpIdChunk *chunk;
} CdpIdSet;

extern void cdp_idset_init(CdpIdSet *s, MemoryContext cxt);
extern void cdp_idset_settle(CdpIdSet *s);
extern void cdp_idset_write(CdpIdSet *s, StringInfo out);
extern void cdp_idset_free(CdpIdSet *s);

/* Puts an id into the set. */
static inline void
cdp_idset_add(CdpIdSet *s, uint32 id)
{
	if (unlikely((s->nwaiting & (CDP_IDS_AT_ONCE - 1)) == 0))
		cdp_idset_settle(s);
	s->waiting[s->nwaiting++] = id;
}

/* How a container keeps its ids. */
typedef enum CdpContainerKind
{
	CDP_LIST,					/* 16-bit ids, rising */
	CDP_BITS,					/* 8 KB */
	CDP_RUNS					/* count, then pairs of first id and length - 1 */
} CdpContainerKind;

/* One container of checked bytes; data points into them and may be unaligned. */
typedef struct CdpContainer
{
	CdpContainerKind kind;
	uint32		key;			/* upper 16 bits of its ids */
	uint32		count;			/* ids */
	uint32		size;			/* bytes at data */
	const char *data;
} CdpContainer;

/* Checked bytes of a set; the caller keeps the bytes while it reads. */
typedef struct CdpBits
{
	const char *bytes;
	Size		len;
	int32		n;				/* containers */
	const unsigned char *run_flags; /* NULL: no container of runs */
	const char *heads;			/* key and count - 1 of each */
	uint32	   *at;				/* where each starts, and the end */
	uint64		count;			/* ids of all */
} CdpBits;

extern void cdp_bits_open(CdpBits *b, const void *bytes, Size len);
extern void cdp_bits_container(const CdpBits *b, int32 i, CdpContainer *c);
extern int32 cdp_bits_from(const CdpBits *b, uint32 key);
extern bool cdp_bits_has(const CdpBits *b, uint32 id);
extern void cdp_container_words(const CdpContainer *c, uint64 *words);

/* Containers on their way into bytes. */
typedef struct CdpWriter
{
	int32		n;
	int32		room;
	int32		nruns;			/* containers of runs */
	uint32	   *head;			/* key and count - 1 of each */
	bool	   *is_run;
	StringInfoData body;
} CdpWriter;

extern void cdp_writer_begin(CdpWriter *w);
extern void cdp_writer_add(CdpWriter *w, uint32 key, const uint64 *words);
extern void cdp_writer_end(CdpWriter *w, StringInfo out);

/* A set in CRoaring's memory, freed with the memory context that its handle lives in. */
typedef struct CdpRoaring CdpRoaring;

extern CdpRoaring *cdp_roaring_set_empty(void);
extern CdpRoaring *cdp_roaring_set_read(const void *bytes, Size len);
extern CdpRoaring *cdp_roaring_set_slice(const CdpBits *b, int32 first, int32 end);
extern CdpRoaring *cdp_roaring_set_copy(const CdpRoaring *a);
extern CdpRoaring *cdp_roaring_set_and(const CdpRoaring *a, const CdpRoaring *b);
extern CdpRoaring *cdp_roaring_set_or(const CdpRoaring *a, const CdpRoaring *b);
extern CdpRoaring *cdp_roaring_set_andnot(const CdpRoaring *a, const CdpRoaring *b);
extern void cdp_roaring_set_and_with(CdpRoaring *a, const CdpRoaring *b);
extern void cdp_roaring_set_or_with(CdpRoaring *a, const CdpRoaring *b);
extern void cdp_roaring_set_andnot_with(CdpRoaring *a, const CdpRoaring *b);
extern uint64 cdp_roaring_set_count(const CdpRoaring *a);
extern uint64 cdp_roaring_set_count_and(const CdpRoaring *a, const CdpRoaring *b);
extern uint64 cdp_roaring_set_count_andnot(const CdpRoaring *a, const CdpRoaring *b);
extern bytea *cdp_roaring_set_write(const CdpRoaring *a);
extern void cdp_roaring_set_append(const CdpRoaring *a, CdpWriter *w);
extern void cdp_roaring_set_free(CdpRoaring *a);

#endif							/* CDP_SEGMENT_ROARING_H */

/*
 * idset.c
 *		The collector: ids in any order become the portable bytes of their set.
 *
 * A chunk of 65,536 ids starts as a list and turns into bits when the list is
 * full, so that thinly spread ids cost two bytes each and crowded ones a bit.
 */
#include "segment/bitmap/roaring.h"

/* Makes an empty set; what it grows to lives in cxt. */
void
cdp_idset_init(CdpIdSet *s, MemoryContext cxt)
{
	memset(s, 0, sizeof(*s));
	s->cxt = cxt;
}

/* Makes room for a chunk; the number of slots doubles. */
static void
grow_chunks(CdpIdSet *s, uint32 chunk)
{
	uint32		n = Max(s->nchunks, 16);
	Size		old = s->nchunks * sizeof(CdpIdChunk);

	while (n <= chunk)
		n *= 2;
	if (s->chunk == NULL)
		s->chunk = MemoryContextAlloc(s->cxt, n * sizeof(CdpIdChunk));
	else
		s->chunk = repalloc(s->chunk, n * sizeof(CdpIdChunk));
	memset((char *) s->chunk + old, 0, n * sizeof(CdpIdChunk) - old);
	s->memory += n * sizeof(CdpIdChunk) - old;
	s->nchunks = n;
}

/* Turns the list of a chunk into bits. */
static void
list_to_bits(CdpIdSet *s, CdpIdChunk *c)
{
	c->bits = MemoryContextAllocZero(s->cxt, CDP_CHUNK_BYTES);
	for (int32 i = 0; i < c->n; i++)
		c->bits[c->few[i] >> 6] |= UINT64CONST(1) << (c->few[i] & 63);
	s->memory += CDP_CHUNK_BYTES - c->allocated * sizeof(uint16);
	pfree(c->few);
	c->few = NULL;
	c->n = c->allocated = 0;
}

/* Puts an id into a chunk that has no bits yet, or no slot. */
static void
add_slow(CdpIdSet *s, uint32 id)
{
	CdpIdChunk *c;

	if ((id >> 16) >= s->nchunks)
		grow_chunks(s, id >> 16);
	c = &s->chunk[id >> 16];
	if (c->n == c->allocated)
	{
		int32		more = c->allocated == 0 ? 8 : c->allocated * 2;

		if (more > CDP_FEW)
		{
			list_to_bits(s, c);
			c->bits[(id & 0xFFFF) >> 6] |= UINT64CONST(1) << (id & 63);
			return;
		}
		c->few = c->few == NULL ? MemoryContextAlloc(s->cxt, more * sizeof(uint16)) : repalloc(c->few, more * sizeof(uint16));
		s->memory += (more - c->allocated) * sizeof(uint16);
		c->allocated = more;
	}
	c->few[c->n++] = (uint16) (id & 0xFFFF);
}

/* Puts the ids that wait into their chunks, and makes room for more. */
void
cdp_idset_settle(CdpIdSet *s)
{
	if (s->waiting == NULL)
	{
		s->waiting = MemoryContextAlloc(s->cxt, CDP_IDS_AT_ONCE * sizeof(uint32));
		s->memory += CDP_IDS_AT_ONCE * sizeof(uint32);
	}
	for (int i = 0; i < s->nwaiting; i++)
	{
		uint32		id = s->waiting[i];
		uint32		chunk = id >> 16;

		if (likely(chunk < s->nchunks && s->chunk[chunk].bits != NULL))
			s->chunk[chunk].bits[(id & 0xFFFF) >> 6] |= UINT64CONST(1) << (id & 63);
		else
			add_slow(s, id);
	}
	s->nwaiting = 0;
}

/* Appends the portable bytes of the set; it may grow further. */
void
cdp_idset_write(CdpIdSet *s, StringInfo out)
{
	CdpWriter	w;
	uint64	   *words = palloc(CDP_CHUNK_BYTES);

	cdp_idset_settle(s);
	cdp_writer_begin(&w);
	for (uint32 i = 0; i < s->nchunks; i++)
	{
		const CdpIdChunk *c = &s->chunk[i];

		CHECK_FOR_INTERRUPTS();
		if (c->bits != NULL)
			cdp_writer_add(&w, i, c->bits);
		else if (c->n > 0)
		{
			memset(words, 0, CDP_CHUNK_BYTES);
			for (int32 j = 0; j < c->n; j++)
				words[c->few[j] >> 6] |= UINT64CONST(1) << (c->few[j] & 63);
			cdp_writer_add(&w, i, words);
		}
	}
	pfree(words);
	cdp_writer_end(&w, out);
}

/* Gives the memory of a set back and leaves it empty. */
void
cdp_idset_free(CdpIdSet *s)
{
	for (uint32 i = 0; i < s->nchunks; i++)
	{
		if (s->chunk[i].bits != NULL)
			pfree(s->chunk[i].bits);
		if (s->chunk[i].few != NULL)
			pfree(s->chunk[i].few);
	}
	if (s->chunk != NULL)
		pfree(s->chunk);
	if (s->waiting != NULL)
		pfree(s->waiting);
	cdp_idset_init(s, s->cxt);
}

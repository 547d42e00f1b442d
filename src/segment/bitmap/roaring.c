/*
 * roaring.c
 *		Handles around CRoaring: the only file that includes it.
 *
 * CRoaring takes its memory from malloc, which no error of PostgreSQL gives
 * back.  So every set hangs on a handle in the current memory context, whose
 * reset callback frees it; freeing it earlier leaves an empty handle.
 * The functions used are the same in 0.2 (Debian 12) and 4.x (Debian 13).
 */
#include "segment/bitmap/roaring.h"

#include <roaring/roaring.h>

struct CdpRoaring
{
	MemoryContextCallback callback;
	roaring_bitmap_t *r;
};

/* Frees the set of a handle whose memory context goes away. */
static void
free_set(void *handle)
{
	cdp_roaring_set_free(handle);
}

/* Makes a handle without a set: what allocates and may fail comes before CRoaring does. */
static CdpRoaring *
new_handle(void)
{
	CdpRoaring  *h = palloc(sizeof(CdpRoaring));

	h->r = NULL;
	h->callback.func = free_set;
	h->callback.arg = h;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &h->callback);
	return h;
}

/* Hangs a set on its handle; NULL means that malloc had nothing. */
static CdpRoaring *
hang(CdpRoaring *h, roaring_bitmap_t *r)
{
	if (r == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("A roaring bitmap could not be made.")));
	h->r = r;
	return h;
}

/* Makes an empty set. */
CdpRoaring *
cdp_roaring_set_empty(void)
{
	CdpRoaring  *h = new_handle();

	return hang(h, roaring_bitmap_create());
}

/* Makes a set of bytes that anybody gave; all of them are checked (22P03). */
CdpRoaring *
cdp_roaring_set_read(const void *bytes, Size len)
{
	CdpRoaring  *h = new_handle();
	CdpBits		b;

	cdp_bits_open(&b, bytes, len);
	pfree(b.at);
	return hang(h, roaring_bitmap_portable_deserialize_safe(bytes, len));
}

/* Makes a set of some containers of checked bytes, from first to before end. */
CdpRoaring *
cdp_roaring_set_slice(const CdpBits *b, int32 first, int32 end)
{
	CdpRoaring *h = new_handle();
	uint64	   *words = palloc(CDP_CHUNK_BYTES);
	CdpWriter	w;
	StringInfoData out;

	cdp_writer_begin(&w);
	for (int32 i = first; i < end; i++)
	{
		CdpContainer c;

		cdp_bits_container(b, i, &c);
		cdp_container_words(&c, words);
		cdp_writer_add(&w, c.key, words);
	}
	initStringInfo(&out);
	cdp_writer_end(&w, &out);
	hang(h, roaring_bitmap_portable_deserialize_safe(out.data, out.len));
	pfree(out.data);
	pfree(words);
	return h;
}

/* Makes a copy. */
CdpRoaring *
cdp_roaring_set_copy(const CdpRoaring *a)
{
	CdpRoaring  *h = new_handle();

	return hang(h, roaring_bitmap_copy(a->r));
}

/* Makes the set of ids in both. */
CdpRoaring *
cdp_roaring_set_and(const CdpRoaring *a, const CdpRoaring *b)
{
	CdpRoaring  *h = new_handle();

	return hang(h, roaring_bitmap_and(a->r, b->r));
}

/* Makes the set of ids in either. */
CdpRoaring *
cdp_roaring_set_or(const CdpRoaring *a, const CdpRoaring *b)
{
	CdpRoaring  *h = new_handle();

	return hang(h, roaring_bitmap_or(a->r, b->r));
}

/* Makes the set of ids in the first only. */
CdpRoaring *
cdp_roaring_set_andnot(const CdpRoaring *a, const CdpRoaring *b)
{
	CdpRoaring  *h = new_handle();

	return hang(h, roaring_bitmap_andnot(a->r, b->r));
}

/* Leaves in the first what is in the second too. */
void
cdp_roaring_set_and_with(CdpRoaring *a, const CdpRoaring *b)
{
	roaring_bitmap_and_inplace(a->r, b->r);
}

/* Puts the second into the first. */
void
cdp_roaring_set_or_with(CdpRoaring *a, const CdpRoaring *b)
{
	roaring_bitmap_or_inplace(a->r, b->r);
}

/* Takes the second out of the first. */
void
cdp_roaring_set_andnot_with(CdpRoaring *a, const CdpRoaring *b)
{
	roaring_bitmap_andnot_inplace(a->r, b->r);
}

/* Number of ids. */
uint64
cdp_roaring_set_count(const CdpRoaring *a)
{
	return roaring_bitmap_get_cardinality(a->r);
}

/* Number of ids in both. */
uint64
cdp_roaring_set_count_and(const CdpRoaring *a, const CdpRoaring *b)
{
	return roaring_bitmap_and_cardinality(a->r, b->r);
}

/* Number of ids in the first only. */
uint64
cdp_roaring_set_count_andnot(const CdpRoaring *a, const CdpRoaring *b)
{
	return roaring_bitmap_andnot_cardinality(a->r, b->r);
}

/* Frees the set now; the handle may not be used after. */
void
cdp_roaring_set_free(CdpRoaring *a)
{
	if (a->r != NULL)
		roaring_bitmap_free(a->r);
	a->r = NULL;
}

/* Adds the containers of a set to a writer. */
void
cdp_roaring_set_append(const CdpRoaring *a, CdpWriter *w)
{
	Size		len = roaring_bitmap_portable_size_in_bytes(a->r);
	char	   *raw = MemoryContextAllocHuge(CurrentMemoryContext, len);
	uint64	   *words = palloc(CDP_CHUNK_BYTES);
	CdpBits		b;

	roaring_bitmap_portable_serialize(a->r, raw);
	cdp_bits_open(&b, raw, len);
	for (int32 i = 0; i < b.n; i++)
	{
		CdpContainer c;

		CHECK_FOR_INTERRUPTS();
		cdp_bits_container(&b, i, &c);
		cdp_container_words(&c, words);
		cdp_writer_add(w, c.key, words);
	}
	pfree(b.at);
	pfree(words);
	pfree(raw);
}

/* The set as portable bytes in the smallest form, whatever form CRoaring keeps; palloc'd. */
bytea *
cdp_roaring_set_write(const CdpRoaring *a)
{
	CdpWriter	w;
	StringInfoData out;

	cdp_writer_begin(&w);
	cdp_roaring_set_append(a, &w);
	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	cdp_writer_end(&w, &out);
	SET_VARSIZE(out.data, out.len);
	return (bytea *) out.data;
}

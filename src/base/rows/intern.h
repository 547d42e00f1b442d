/*
 * intern.h
 *		Distinct labels of a pass, numbered as rows bring them.
 */
#ifndef CDP_INTERN_H
#define CDP_INTERN_H

#include "base/rows/memory.h"
#include "base/rows/labels.h"

/* Distinct texts or integers, numbered as they come. */
typedef struct CdpIntern
{
	MemoryContext cxt;
	const CdpPassMemory *memory;
	bool		is_int;
	bool		closed;			/* new labels are told by CDP_NO_LABEL, not added */
	uint32		n;
	uint32		room;
	uint32		slots;			/* a power of two */
	uint32	   *slot;			/* number + 1, 0 = free */
	char	  **text;			/* [room] */
	uint32	   *len;			/* [room] */
	uint32	   *hash;			/* [room] */
	int32	   *code;			/* [room], integers */
	uint32		last;			/* found last */
	Size		bytes;
	struct CdpRecentText *recent;	/* [CDP_RECENT_TEXTS] short texts found before, for text labels */
} CdpIntern;

/* A text of at most 16 bytes: its length and the two words that tell it from others of that length. */
#define CDP_RECENT_TEXTS 1024
#define CDP_RECENT_SHIFT 54
#define CDP_RECENT_BYTES 16
#define CDP_RECENT_FREE (CDP_NO_LABEL - 1)

typedef struct CdpRecentText
{
	uint64		head;
	uint64		tail;
	uint32		len;
	uint32		number;			/* CDP_RECENT_FREE = nothing stands here */
} CdpRecentText;

extern void cdp_intern_init(CdpIntern *in, bool is_int, MemoryContext cxt, const CdpPassMemory *memory);
extern uint32 cdp_intern_text_slow(CdpIntern *in, const char *text, uint32 len);
extern uint32 cdp_intern_int(CdpIntern *in, int32 code);
extern CdpLabels *cdp_intern_sorted(const CdpIntern *in, uint32 **rank);

/* The words of a text of at most 16 bytes; together with the length they hold all of it. */
static pg_attribute_always_inline void
cdp_text_words(const char *text, uint32 len, uint64 *head, uint64 *tail)
{
	uint32		half[2];

	*tail = 0;
	if (len >= 8)
	{
		memcpy(head, text, 8);
		memcpy(tail, text + len - 8, 8);
	}
	else if (len >= 4)
	{
		memcpy(&half[0], text, 4);
		memcpy(&half[1], text + len - 4, 4);
		*head = (uint64) half[0] << 32 | half[1];
	}
	else if (len > 0)
		*head = (uint64) (uint8) text[0] << 16 | (uint64) (uint8) text[len / 2] << 8 | (uint8) text[len - 1];
	else
		*head = 0;
}

/*
 * The number of a text. Most labels are short and few: comparing two words with
 * what stood in the same place before is much cheaper than hashing bytes.
 */
static pg_attribute_always_inline uint32
cdp_intern_text(CdpIntern *in, const char *text, uint32 len)
{
	CdpRecentText *recent;
	uint64		head;
	uint64		tail;

	if (len > CDP_RECENT_BYTES)
		return cdp_intern_text_slow(in, text, len);
	cdp_text_words(text, len, &head, &tail);
	recent = &in->recent[((head ^ (tail * UINT64CONST(0xC2B2AE3D27D4EB4F)) ^ len) *
						  UINT64CONST(0x9E3779B97F4A7C15)) >> CDP_RECENT_SHIFT];
	if (likely(recent->head == head && recent->tail == tail && recent->len == len && recent->number != CDP_RECENT_FREE))
		return recent->number;
	recent->number = cdp_intern_text_slow(in, text, len);
	recent->head = head;
	recent->tail = tail;
	recent->len = len;
	return recent->number;
}

/* The number of a label as a row brings it. */
static pg_attribute_always_inline uint32
cdp_intern_label(CdpIntern *in, Datum label, bool is_int)
{
	text	   *t;

	if (is_int)
		return cdp_intern_int(in, DatumGetInt32(label));
	t = (text *) DatumGetPointer(label);
	if (unlikely(VARATT_IS_EXTENDED(t) && !VARATT_IS_SHORT(t)))
		t = pg_detoast_datum_packed(t);
	return cdp_intern_text(in, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

#endif							/* CDP_INTERN_H */

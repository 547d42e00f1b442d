/*
 * compare_symbols.c
 *		Turns two texts into arrays of small numbers, one for each character.
 *
 * ASCII, and any text of a one-byte encoding, is its bytes.  Otherwise the
 * bytes of a character, packed into one number, are looked up in a hash table
 * that both texts share and replaced by a running number, so that tables by
 * character stay as small as the texts.
 */
#include "identity/compare/compare_symbols.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"

/* Rounds of a loop between two looks for a cancel request. */
#define INTERRUPT_EVERY 0xFFFF

typedef struct Slot
{
	uint32		character;		/* packed bytes; 0 marks a free slot, as no text has NUL */
	uint32		number;
} Slot;

/* Raises unless the text has at most limit characters; they are counted only when its bytes leave that open. */
static void
check_length(const char *s, int len, int limit)
{
	if (likely(len <= limit))
		return;
	if (len / pg_database_encoding_max_length() <= limit && pg_mbstrlen_with_len(s, len) <= limit)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("text is too long to compare"),
			 errdetail("It has %d bytes; at most %d characters are compared.", len, limit),
			 limit < CDP_COMPARE_MAX_CHARS ?
			 errhint("Give a max of at most %d, which allows %d characters, or compare a part of it, such as left(value, 1000).",
					 CDP_COMPARE_SMALL_MAX, CDP_COMPARE_MAX_CHARS) :
			 errhint("Compare a part of it, such as left(value, 1000).")));
}

/* Copies bytes to numbers; returns whether none has the high bit. */
static inline bool
copy_bytes(const char *s, int len, uint32 *out)
{
	unsigned char all = 0;

	for (int i = 0; i < len; i++)
	{
		out[i] = (unsigned char) s[i];
		all |= (unsigned char) s[i];
	}
	return all < 0x80;
}

/* Packs the bytes of each character into one number; returns the number of characters. */
static int
copy_characters(const char *s, int len, uint32 *out)
{
	const unsigned char *at = (const unsigned char *) s;
	const unsigned char *end = at + len;
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	int			n = 0;

	while (at < end)
	{
		uint32		packed = *at;
		int			size;

		if (packed < 0x80)
			size = 1;
		else if (utf8)
			size = packed < 0xE0 ? 2 : packed < 0xF0 ? 3 : 4;
		else
			size = pg_mblen((const char *) at);
		size = Min(size, end - at);
		for (int k = 1; k < size; k++)
			packed = (packed << 8) | at[k];
		out[n++] = packed;
		at += size;
		if (unlikely((n & INTERRUPT_EVERY) == 0))
			CHECK_FOR_INTERRUPTS();
	}
	return n;
}

/* Replaces characters by their numbers; those not seen yet get the next one.  Returns the next. */
static uint32
number_characters(uint32 *s, int n, Slot *slot, uint32 mask, uint32 next)
{
	for (int i = 0; i < n; i++)
	{
		uint32		at = murmurhash32(s[i]) & mask;

		while (slot[at].character != s[i])
		{
			if (slot[at].character == 0)
			{
				slot[at].character = s[i];
				slot[at].number = next++;
				break;
			}
			at = (at + 1) & mask;
		}
		s[i] = slot[at].number;
		if (unlikely((i & INTERRUPT_EVERY) == INTERRUPT_EVERY))
			CHECK_FOR_INTERRUPTS();
	}
	return next;
}

/* Gives both texts of a pair numbers from 1. */
static void
number_pair(ComparePair *pair)
{
	Slot		stack[4 * COMPARE_SHORT];
	uint32		nslots = pg_nextpower2_32(2 * Max(pair->na + pair->nb, 4));
	Slot	   *slot = compare_space(stack, sizeof(stack), nslots * sizeof(Slot));
	uint32		next;

	memset(slot, 0, nslots * sizeof(Slot));
	next = number_characters(pair->a, pair->na, slot, nslots - 1, 1);
	next = number_characters(pair->b, pair->nb, slot, nslots - 1, next);
	pair->nsymbols = next;
	compare_release(slot, stack);
}

/* Fills the pair; cdp_compare_close() gives its memory back.  Raises when a text has more than limit characters. */
void
cdp_compare_open(ComparePair *pair, const char *a, int alen, const char *b, int blen, int limit)
{
	bool		ascii_a,
				ascii_b;

	check_length(a, alen, limit);
	check_length(b, blen, limit);
	pair->allocated_a = alen > COMPARE_SHORT ? palloc(sizeof(uint32) * (Size) alen) : NULL;
	pair->allocated_b = blen > COMPARE_SHORT ? palloc(sizeof(uint32) * (Size) blen) : NULL;
	pair->a = pair->allocated_a ? pair->allocated_a : pair->space_a;
	pair->b = pair->allocated_b ? pair->allocated_b : pair->space_b;
	pair->na = alen;
	pair->nb = blen;
	pair->nsymbols = 128;
	ascii_a = copy_bytes(a, alen, pair->a);
	ascii_b = copy_bytes(b, blen, pair->b);
	if (likely(ascii_a && ascii_b))
		return;
	if (pg_database_encoding_max_length() == 1)
	{
		pair->nsymbols = 256;
		return;
	}
	if (!ascii_a)
		pair->na = copy_characters(a, alen, pair->a);
	if (!ascii_b)
		pair->nb = copy_characters(b, blen, pair->b);
	number_pair(pair);
}

/* Gives back what cdp_compare_open() took. */
void
cdp_compare_close(ComparePair *pair)
{
	if (pair->allocated_a)
		pfree(pair->allocated_a);
	if (pair->allocated_b)
		pfree(pair->allocated_b);
}

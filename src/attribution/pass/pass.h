/*
 * pass.h
 *		What an attribution pass collects row by row.
 */
#ifndef CDP_PASS_H
#define CDP_PASS_H

#include "attribution/attribution.h"
#include "attribution/pass/store.h"
#include "attribution/result/sums.h"
#include "utils/hsearch.h"

typedef enum CdpKeyType
{
	CDP_KEY_BIGINT,
	CDP_KEY_TEXT,
	CDP_KEY_UUID
} CdpKeyType;

/* Distinct texts or integers, numbered as they come. */
typedef struct CdpIntern
{
	MemoryContext cxt;
	bool		is_int;
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

typedef struct CdpRecentText
{
	uint64		head;
	uint64		tail;
	uint32		len;
	uint32		number;			/* + 1, 0 = free */
} CdpRecentText;

/* A refund that names its conversion. */
typedef struct CdpReference
{
	int64		conversion_id;
	int64		at;
	int64		value;			/* micro-units, 0 or less */
	uint64		key[2];
	uint64		taken_by[2];	/* key of the conversion that it was taken off */
	bool		has_key;
	bool		taken_keyed;	/* that conversion has a key */
	bool		used;
} CdpReference;

typedef struct CdpPass
{
	MemoryContext cxt;
	CdpOptions *options;
	Jsonb	   *given;			/* what the options were read from, NULL = defaults */
	bool		vary;			/* the argument is no constant: compare it at each row */
	CdpKeyType	key_type;
	bool		wide;			/* with id, kind, session and reference */
	bool		keep_kinds;
	bool		keep_conversion_labels;
	CdpStore   *store;
	CdpIntern	labels;
	CdpIntern	conversion_labels; /* for the order only, unless conversions' labels are kept */
	CdpIntern	kinds;
	int			milestone[CDP_MAX_MILESTONES]; /* number of the kind in kinds, -1 = not seen */
	uint64		unpartitioned_left; /* rows until the store is partitioned */
	CdpReference *reference;
	int64		nreferences;
	int64		reference_room;
	HTAB	   *customers;		/* names of text keys, for credits only */
	Size		customer_bytes;
	struct CdpPassFiles *files; /* outlives the pass */
	int64		counter[CDP_COUNTERS];
} CdpPass;

/* intern.c */
extern void cdp_intern_init(CdpIntern *in, bool is_int, MemoryContext cxt);
extern uint32 cdp_intern_text_slow(CdpIntern *in, const char *text, uint32 len);
extern uint32 cdp_intern_int(CdpIntern *in, int32 code);
extern CdpLabels *cdp_intern_sorted(const CdpIntern *in, uint32 **rank);

/* numbers.c */
extern bool cdp_micro_from_numeric(struct varlena *number, int64 *micro);
extern int64 cdp_micro_from_float(double value);

/* pass.c */
extern bool cdp_options_vary(FunctionCallInfo fcinfo, int arg);
extern void cdp_options_same(FunctionCallInfo fcinfo, int arg, const Jsonb *given);
extern const char *cdp_pass_customer(const CdpPass *pass, uint64 key, uint64 key2);

/* journey.c */
extern CdpSums *cdp_pass_finish(CdpPass *pass);

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
	if (likely(recent->head == head && recent->tail == tail && recent->len == len && recent->number != 0))
		return recent->number - 1;
	recent->number = cdp_intern_text_slow(in, text, len) + 1;
	recent->head = head;
	recent->tail = tail;
	recent->len = len;
	return recent->number - 1;
}

#endif							/* CDP_PASS_H */

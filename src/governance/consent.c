/*
 * consent.c
 *		The gate of consent: one scan over summaries of consent into a bitmap
 *		of customers, and the look-up in it.
 *
 * A summary (cdp_data.consent_state) tells the latest refusal, explicit and
 * implied grant of one identifier.  Those of all identifiers of a customer
 * add up by the latest of each, so each customer needs two words only: the
 * latest explicit word (a refusal or an explicit grant) and the latest
 * implied grant.  A word is its time with two bits below it that say what it
 * is, ordered so that of two words of one time the stricter one is greater;
 * adding up is then a maximum.
 *
 * Words stand in pages of 65,536 customers (1 MB), made when the first of
 * them turns up.  One aggregate looks at 2^26 ids from its lowest one on, so
 * it never takes more than 1 GB; callers with higher ids scan again for each
 * further range and join the pieces.  The bitmap has one bit an id: at most
 * 512 MB for all that there can be.
 */
#include "cdp.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#define BITMAP_MAGIC 0x43445042
#define MAX_CUSTOMER PG_UINT32_MAX
#define RANGE_BITS 26
#define PAGE_BITS 16
#define PAGE_SIZE (1 << PAGE_BITS)
#define PAGES (1 << (RANGE_BITS - PAGE_BITS))

/* What a word is, in its two lowest bits; the stricter the greater. */
#define WORD_LIVE 1
#define WORD_EXPIRED 2
#define WORD_REFUSED 3
#define NO_WORD PG_INT64_MIN

typedef struct Words
{
	int64		spoken;			/* latest refusal or explicit grant */
	int64		implied;		/* latest implied grant */
} Words;

typedef struct GateState
{
	MemoryContext cxt;
	int64		low;			/* first id of the range */
	bool		opt_in;
	Words	   *page[PAGES];
} GateState;

/*
 * A bitmap of customers.  Whoever is outside of it, or whose bit is 0, is
 * what "others" says; the others of a bitmap of refusals are allowed.
 */
typedef struct Bitmap
{
	int32		vl_len_;
	uint32		magic;
	uint32		others;			/* 1: who has no bit is allowed */
	uint32		base;			/* id of bit 0, a multiple of 64 */
	uint32		nbytes;
	uint32		count;			/* bits that are set */
	uint8		bits[FLEXIBLE_ARRAY_MEMBER];
} Bitmap;

CDP_FUNCTION(cdp_consent_add);
CDP_FUNCTION(cdp_consent_final);
CDP_FUNCTION(cdp_bitmap_join);
CDP_FUNCTION(cdp_bitmap_has);
CDP_FUNCTION(cdp_bitmap_count);
CDP_FUNCTION(cdp_bitmap_ids);

/* A time and what was said at it, as one number that orders as words do. */
static inline int64
make_word(TimestampTz at, int what)
{
	/* The ledger takes the years 1 to 9999 only: times fit into 61 bits. */
	if (unlikely(at < INT64CONST(-70000000000000000) || at > INT64CONST(260000000000000000)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("time of a consent out of range"),
				 errdetail("Times from the year 1 to 9999 are taken.")));
	return at * 4 + what;
}

/* The word of a grant: it holds, or it had run out by then. */
static inline int64
grant_word(TimestampTz at, TimestampTz until, TimestampTz as_of)
{
	return make_word(at, until > as_of ? WORD_LIVE : WORD_EXPIRED);
}

/* Makes the state of the aggregate, in its context. */
static GateState *
new_state(FunctionCallInfo fcinfo, bool opt_in, int64 low)
{
	MemoryContext cxt;
	GateState  *s;

	if (!AggCheckCallContext(fcinfo, &cxt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("called outside an aggregate")));
	if (low < 0 || low > MAX_CUSTOMER || low % PAGE_SIZE != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the first customer of a range must be a multiple of %d", PAGE_SIZE),
				 errdetail("It is %lld.", (long long) low)));
	s = MemoryContextAllocZero(cxt, sizeof(GateState));
	s->cxt = cxt;
	s->opt_in = opt_in;
	s->low = low;
	return s;
}

/* The words of a customer of the range; its page is made when it is the first of it. */
static inline Words *
words_of(GateState *s, uint32 nth)
{
	Words	   *page = s->page[nth >> PAGE_BITS];

	if (unlikely(page == NULL))
	{
		page = MemoryContextAlloc(s->cxt, sizeof(Words) * PAGE_SIZE);
		for (int i = 0; i < PAGE_SIZE; i++)
			page[i].spoken = page[i].implied = NO_WORD;
		s->page[nth >> PAGE_BITS] = page;
	}
	return &page[nth & (PAGE_SIZE - 1)];
}

/*
 * Transition of consent_bitmap(root, refused_at, explicit_at, explicit_until,
 * implied_at, implied_until, as_of, opt_in, low): adds one summary.
 */
Datum
cdp_consent_add(PG_FUNCTION_ARGS)
{
	GateState  *s = PG_ARGISNULL(0) ? NULL : (GateState *) PG_GETARG_POINTER(0);
	TimestampTz as_of;
	int64		root;
	Words	   *w;

	if (PG_ARGISNULL(7) || PG_ARGISNULL(8) || PG_ARGISNULL(9))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("moment, rule and range of a bitmap must not be NULL")));
	if (s == NULL)
		s = new_state(fcinfo, PG_GETARG_BOOL(8), PG_GETARG_INT64(9));
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(s);
	root = PG_GETARG_INT64(1);
	if (unlikely(root < 1 || root > MAX_CUSTOMER))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("customer id out of range"),
				 errdetail("It is %lld; customers have ids from 1 to %u.", (long long) root, MAX_CUSTOMER)));
	root -= s->low;
	if (root < 0 || root >= ((int64) 1 << RANGE_BITS))
		PG_RETURN_POINTER(s);
	as_of = PG_GETARG_TIMESTAMPTZ(7);
	w = words_of(s, (uint32) root);
	if (!PG_ARGISNULL(2))
		w->spoken = Max(w->spoken, make_word(PG_GETARG_TIMESTAMPTZ(2), WORD_REFUSED));
	if (!PG_ARGISNULL(3))
		w->spoken = Max(w->spoken, grant_word(PG_GETARG_TIMESTAMPTZ(3), PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4), as_of));
	if (!PG_ARGISNULL(5))
		w->implied = Max(w->implied, grant_word(PG_GETARG_TIMESTAMPTZ(5), PG_ARGISNULL(6) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(6), as_of));
	PG_RETURN_POINTER(s);
}

/* Whether a customer's bit is set: allowed under opt_in, refused under opt_out. */
static inline bool
bit_of(const Words *w, bool opt_in)
{
	bool		refused = w->spoken != NO_WORD && (w->spoken & 3) == WORD_REFUSED;

	if (!opt_in)
		return refused;
	return !refused && (Max(w->spoken, w->implied) & 3) == WORD_LIVE;
}

/* Makes an empty bitmap of a size; the caller owns it. */
static Bitmap *
new_bitmap(uint32 base, Size nbytes, bool others)
{
	Size		size = add_size(offsetof(Bitmap, bits), nbytes);
	Bitmap	   *b = palloc0(size);

	SET_VARSIZE(b, size);
	b->magic = BITMAP_MAGIC;
	b->others = others;
	b->base = base;
	b->nbytes = nbytes;
	return b;
}

/* Final of consent_bitmap(): one bit for each id from the first page to the last. NULL without a row. */
Datum
cdp_consent_final(PG_FUNCTION_ARGS)
{
	GateState  *s = PG_ARGISNULL(0) ? NULL : (GateState *) PG_GETARG_POINTER(0);
	int			first = 0,
				end = PAGES;
	Bitmap	   *b;

	if (s == NULL)
		PG_RETURN_NULL();
	while (end > 0 && s->page[end - 1] == NULL)
		end--;
	while (first < end && s->page[first] == NULL)
		first++;
	b = new_bitmap((uint32) (s->low + ((int64) first << PAGE_BITS)), (Size) (end - first) * (PAGE_SIZE / 8), !s->opt_in);
	for (int p = first; p < end; p++)
	{
		uint8	   *bits = b->bits + (Size) (p - first) * (PAGE_SIZE / 8);

		CHECK_FOR_INTERRUPTS();
		if (s->page[p] == NULL)
			continue;
		for (int i = 0; i < PAGE_SIZE; i++)
			if (bit_of(&s->page[p][i], s->opt_in))
			{
				bits[i >> 3] |= 1 << (i & 7);
				b->count++;
			}
	}
	PG_RETURN_POINTER(b);
}

/* Checks that bytes are a bitmap; looking up in it checks the rest. */
static inline const Bitmap *
open_bitmap(bytea *bytes)
{
	const Bitmap *b = (const Bitmap *) bytes;
	Size		size = VARSIZE(bytes);

	if (unlikely(size < offsetof(Bitmap, bits) || b->magic != BITMAP_MAGIC || b->others > 1 ||
				 size - offsetof(Bitmap, bits) != b->nbytes || b->base % 64 != 0 ||
				 (uint64) b->base + (uint64) b->nbytes * 8 > (uint64) MAX_CUSTOMER + 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid bitmap of customers"),
				 errdetail("It has %zu bytes that do not fit its header.", size)));
	return b;
}

/* bitmap_join(bytea[], others): the pieces of several ranges as one bitmap; the caller owns it. */
Datum
cdp_bitmap_join(PG_FUNCTION_ARGS)
{
	ArrayType  *a = PG_GETARG_ARRAYTYPE_P(0);
	bool		others = PG_GETARG_BOOL(1);
	Datum	   *piece;
	bool	   *isnull;
	int			n;
	uint64		low = MAX_CUSTOMER,
				high = 0;
	Bitmap	   *out;

	deconstruct_array(a, BYTEAOID, -1, false, TYPALIGN_INT, &piece, &isnull, &n);
	for (int i = 0; i < n; i++)
		if (!isnull[i])
		{
			const Bitmap *b = open_bitmap((bytea *) (piece[i] = PointerGetDatum(PG_DETOAST_DATUM(piece[i]))));

			if (b->others != others)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("pieces of bitmaps of another rule")));
			if (b->nbytes == 0)
				continue;
			low = Min(low, b->base);
			high = Max(high, (uint64) b->base + (uint64) b->nbytes * 8);
		}
	out = new_bitmap(high > low ? (uint32) low : 0, high > low ? (Size) ((high - low) / 8) : 0, others);
	for (int i = 0; i < n; i++)
		if (!isnull[i])
		{
			const Bitmap *b = (const Bitmap *) DatumGetPointer(piece[i]);

			for (uint32 k = 0; k < b->nbytes; k++)
			{
				uint8	   *byte = &out->bits[(b->base - out->base) / 8 + k];

				if ((k & 0xFFFFF) == 0)
					CHECK_FOR_INTERRUPTS();
				out->count += pg_number_of_ones[b->bits[k] & ~*byte];
				*byte |= b->bits[k];
			}
		}
	PG_RETURN_POINTER(out);
}

/* bitmap_has(bitmap, customer): whether the customer is allowed; a NULL bitmap leaves nobody out. */
Datum
cdp_bitmap_has(PG_FUNCTION_ARGS)
{
	const Bitmap *b;
	int64		id;
	bool		bit;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(true);
	b = open_bitmap(PG_GETARG_BYTEA_P(0));
	id = PG_GETARG_INT64(1) - b->base;
	bit = id >= 0 && id < (int64) b->nbytes * 8 && (b->bits[id >> 3] & (1 << (id & 7))) != 0;
	PG_RETURN_BOOL(bit != (b->others != 0));
}

/* bitmap_count(bitmap): how many bits are set. */
Datum
cdp_bitmap_count(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(open_bitmap(PG_GETARG_BYTEA_P(0))->count);
}

/* Where bitmap_ids() stands. */
typedef struct IdScan
{
	const Bitmap *b;
	uint64		next;
} IdScan;

/* bitmap_ids(bitmap): the ids whose bit is set, in order, one a call. */
Datum
cdp_bitmap_ids(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	IdScan	   *scan;
	uint64		nbits;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		scan = palloc0(sizeof(IdScan));
		scan->b = open_bitmap(PG_GETARG_BYTEA_P_COPY(0));
		call->user_fctx = scan;
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	scan = call->user_fctx;
	nbits = (uint64) scan->b->nbytes * 8;
	while (scan->next < nbits)
	{
		uint8		byte = scan->b->bits[scan->next >> 3] >> (scan->next & 7);

		if (byte == 0)
		{
			scan->next = (scan->next | 7) + 1;
			if ((scan->next & 0xFFFFFF) == 0)
				CHECK_FOR_INTERRUPTS();
			continue;
		}
		scan->next += pg_rightmost_one_pos[byte] + 1;
		SRF_RETURN_NEXT(call, Int64GetDatum((int64) scan->b->base + (int64) scan->next - 1));
	}
	SRF_RETURN_DONE(call);
}

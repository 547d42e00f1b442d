/*
 * parse_set.c
 *		What a load remembers while it reads rows: which origins and which record
 *		keys it has met.
 *
 * Both answers come in the same pass that reads the text, where a GROUP BY
 * over all rows would cost more than reading them. The sets live as long as
 * the query; they hold 128-bit hashes, not texts.
 */
#include "cdp.h"

#include "common/hashfn.h"
#include "utils/uuid.h"

/* A set stops growing here (128 MB): then every further key counts as met. */
#define CDP_SEEN_MAX (4 * 1024 * 1024)

/* Open addressing, linear probing, at most half full; an entry of zeros is free. */
typedef struct CdpSeen
{
	uint64		mask;
	uint64		used;
	uint64	   *entry;			/* two words each */
} CdpSeen;

CDP_FUNCTION(cdp_origin_hash);
CDP_FUNCTION(cdp_first_sight);
CDP_FUNCTION(cdp_key_repeats);

/* Finds the entry's place or the free place where it belongs. */
static inline uint64 *
seen_slot(CdpSeen *set, uint64 a, uint64 b)
{
	for (uint64 i = a & set->mask;; i = (i + 1) & set->mask)
	{
		uint64	   *e = set->entry + 2 * i;

		if ((e[0] == a && e[1] == b) || (e[0] == 0 && e[1] == 0))
			return e;
	}
}

/* Doubles the table. */
static void
seen_grow(CdpSeen *set, MemoryContext cxt)
{
	CdpSeen		bigger = {set->mask * 2 + 1, set->used};

	bigger.entry = MemoryContextAllocExtended(cxt, (bigger.mask + 1) * 2 * sizeof(uint64),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint64 i = 0; i <= set->mask; i++)
	{
		uint64	   *from = set->entry + 2 * i;

		if (from[0] != 0 || from[1] != 0)
			memcpy(seen_slot(&bigger, from[0], from[1]), from, 2 * sizeof(uint64));
	}
	pfree(set->entry);
	*set = bigger;
}

/* Puts a hash into the call's set, kept in fn_extra; true when it was there already, or the set is full. */
static bool
seen_before(FunctionCallInfo fcinfo, uint64 a, uint64 b)
{
	CdpSeen    *set = (CdpSeen *) fcinfo->flinfo->fn_extra;
	MemoryContext cxt = fcinfo->flinfo->fn_mcxt;
	uint64	   *slot;

	if (set == NULL)
	{
		set = MemoryContextAllocZero(cxt, sizeof(CdpSeen));
		set->mask = 1023;
		set->entry = MemoryContextAllocZero(cxt, 1024 * 2 * sizeof(uint64));
		fcinfo->flinfo->fn_extra = set;
	}
	if (b == 0)
		b = 1;					/* zeros mean free */
	slot = seen_slot(set, a, b);
	if (slot[1] != 0)
		return true;
	if (set->used >= CDP_SEEN_MAX)
		return true;
	slot[0] = a;
	slot[1] = b;
	if (++set->used * 2 > set->mask)
		seen_grow(set, cxt);
	return false;
}

/* origin_hash(6 texts): 128 bits that tell combinations apart; NULL counts as ''. */
Datum
cdp_origin_hash(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	uint64		h[2] = {0, 0};

	for (int i = 0; i < PG_NARGS(); i++)
	{
		text	   *part = PG_ARGISNULL(i) ? NULL : PG_GETARG_TEXT_PP(i);
		int			len = part ? VARSIZE_ANY_EXHDR(part) : 0;
		const unsigned char *bytes = part ? (unsigned char *) VARDATA_ANY(part) : (const unsigned char *) "";

		if (len == 0)
		{
			h[0] = hash_combine64(h[0], i);
			h[1] = hash_combine64(h[1], ~(uint64) i);
			continue;
		}
		h[0] = hash_combine64(h[0], hash_bytes_extended(bytes, len, 0x6f726967));
		h[1] = hash_combine64(h[1], hash_bytes_extended(bytes, len, 0x696e2121));
	}
	memcpy(result->data, h, sizeof(h));
	PG_RETURN_UUID_P(result);
}

/* first_sight(hash): true when this query meets it for the first time (or remembers too many to say). */
Datum
cdp_first_sight(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *hash = PG_GETARG_UUID_P(0);
	CdpSeen    *set;
	uint64		h[2];

	memcpy(h, hash->data, sizeof(h));
	if (!seen_before(fcinfo, h[0], h[1]))
		PG_RETURN_BOOL(true);
	set = (CdpSeen *) fcinfo->flinfo->fn_extra;
	PG_RETURN_BOOL(set->used >= CDP_SEEN_MAX);
}

/* key_repeats(text): false only when this query has surely not met the text before. */
Datum
cdp_key_repeats(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	const unsigned char *bytes = (unsigned char *) VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);

	PG_RETURN_BOOL(seen_before(fcinfo, hash_bytes_extended(bytes, len, 1), hash_bytes_extended(bytes, len, 2)));
}

/*
 * pass.h
 *		What an attribution pass collects row by row.
 */
#ifndef CDP_PASS_H
#define CDP_PASS_H

#include "attribution.h"
#include "store.h"
#include "sums.h"
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
} CdpIntern;

/* A refund that names its conversion. */
typedef struct CdpReference
{
	int64		conversion_id;
	int64		at;
	int64		value;			/* micro-units, 0 or less */
	uint64		key[2];
	bool		has_key;
	bool		used;
} CdpReference;

typedef struct CdpPass
{
	MemoryContext cxt;
	CdpOptions *options;
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
extern const char *cdp_pass_customer(const CdpPass *pass, uint64 key, uint64 key2);

/* journey.c */
extern CdpSums *cdp_pass_finish(CdpPass *pass);

/* The number of a text, which the last one found shortens. */
static inline uint32
cdp_intern_text(CdpIntern *in, const char *text, uint32 len)
{
	if (in->n > 0 && in->len[in->last] == len && memcmp(in->text[in->last], text, len) == 0)
		return in->last;
	return cdp_intern_text_slow(in, text, len);
}

#endif							/* CDP_PASS_H */

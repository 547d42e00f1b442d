/*
 * pass.h
 *		What an attribution pass collects row by row.
 */
#ifndef CDP_PASS_H
#define CDP_PASS_H

#include "attribution/attribution.h"
#include "attribution/result/sums.h"
#include "base/option.h"
#include "base/rows/intern.h"
#include "base/rows/key.h"
#include "base/rows/store.h"

#define CDP_ROW_REFUND 1
#define CDP_ROW_NO_KEY 2
#define CDP_ROW_MILESTONE 4

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
	CdpReference *reference;
	int64		nreferences;
	int64		reference_room;
	CdpKeyNames *customers;		/* names of text keys, for credits only */
	struct CdpPassFiles *files; /* outlives the pass */
	int64		counter[CDP_COUNTERS];
} CdpPass;

/* The word of a row's id, and that of its session; 0 when the rows of the pass have none. */
#define CDP_ID_WORD(s) ((s)->extra_word)
#define CDP_SESSION_WORD(s) ((s)->extra_words > 1 ? (s)->extra_word + 1 : 0)

/* pass.c */
extern const char *cdp_pass_customer(const CdpPass *pass, uint64 key, uint64 key2);

/* journey.c */
extern CdpSums *cdp_pass_finish(CdpPass *pass);

#endif							/* CDP_PASS_H */

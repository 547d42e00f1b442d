/*
 * pass.h
 *		What the passes of the journey room have in common: the state of the
 *		aggregate, its key, its labels and its store.
 */
#ifndef CDP_JOURNEY_PASS_H
#define CDP_JOURNEY_PASS_H

#include "cdp.h"

#include "base/rows/intern.h"
#include "base/rows/key.h"
#include "base/rows/store.h"
#include "catalog/pg_type_d.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef struct CdpJourneyPass
{
	MemoryContext cxt;
	Jsonb	   *given;			/* what the options are read from, NULL = defaults */
	bool		vary;			/* the argument is no constant: compare it at each row */
	CdpKeyType	key_type;
	Oid			key_oid;
	CdpKeyNames *names;			/* of text keys, when the result names customers */
	CdpIntern	labels;
	CdpStore   *store;
	struct CdpJourneyFiles *files; /* outlives the pass */
} CdpJourneyPass;

extern void *cdp_journey_start(FunctionCallInfo fcinfo, Size size, int key_arg, int label_arg, int options_arg);
extern void cdp_journey_store(FunctionCallInfo fcinfo, CdpJourneyPass *pass, int extra_words);
extern void cdp_journey_finished(CdpJourneyPass *pass);
extern const char *cdp_journey_label(const CdpIntern *labels, uint32 number);
extern uint32 cdp_journey_named(CdpJourneyPass *pass, const char *name);

/* settings.c */
extern CdpPassMemory cdp_journey_memory;
extern void cdp_journey_settings(void);

/* The key of a row as one or two words. */
static inline void
cdp_journey_key(FunctionCallInfo fcinfo, CdpJourneyPass *pass, int arg, uint64 *key)
{
	Datum		datum = PG_GETARG_DATUM(arg);

	if (pass->key_oid == INT4OID)
		datum = Int64GetDatum(DatumGetInt32(datum));
	else if (pass->key_oid == INT2OID)
		datum = Int64GetDatum(DatumGetInt16(datum));
	cdp_key_read(datum, pass->key_type, pass->names, key);
}

/* Adds a row; returns its words when the pass has further ones to fill, else NULL. */
static inline uint64 *
cdp_journey_row(CdpJourneyPass *pass, const uint64 *key, int64 at, uint32 label)
{
	CdpStore   *s = pass->store;
	int			place = cdp_store_place(s, key[0], key[1]);
	uint64	   *row;

	if (s->extra_words == 0 && likely(cdp_store_fits_narrow(at, label)))
	{
		if (!s->wide_key && key[0] <= PG_UINT32_MAX)
		{
			cdp_store_put_slim(cdp_store_row(s, CDP_STORE_SLIM, place), key[0], cdp_store_narrow(at, label));
			return NULL;
		}
		row = cdp_store_row(s, CDP_STORE_NARROW, place);
		row[0] = key[0];
		row[1] = cdp_store_narrow(at, label);
		if (s->wide_key)
			row[2] = key[1];
		return NULL;
	}
	row = cdp_store_row(s, CDP_STORE_FULL, place);
	row[0] = key[0];
	row[1] = (uint64) at;
	row[2] = label;
	if (s->wide_key)
		row[3] = key[1];
	return s->extra_words > 0 ? row : NULL;
}

#endif							/* CDP_JOURNEY_PASS_H */

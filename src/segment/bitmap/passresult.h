/*
 * passresult.h
 *		What a pass over events or profiles returns: for each atom of the plan
 *		the customers for whom it is true and those for whom it is unknown, and
 *		when whose answer may change without new data.
 *
 * Customers that the pass met and that stand in neither set of an atom are
 * false.  Those that it did not meet (no row at all) have one answer each atom,
 * "unseen": count = 0 is true of a customer without events.
 *
 * A writer calls begin, atom for each atom in the order of the plan, flips,
 * finish; segment_pass_events(), segment_pass_flips() and segment_combine()
 * open the bytes.
 */
#ifndef CDP_SEGMENT_PASSRESULT_H
#define CDP_SEGMENT_PASSRESULT_H

#include "segment/bitmap/roaring.h"

/* Answer of an atom for a customer. */
typedef enum CdpTruth
{
	CDP_FALSE = 0,
	CDP_TRUE = 1,
	CDP_UNKNOWN = 2
} CdpTruth;

/* A customer's answer may change at this moment (microseconds since 2000-01-01 UTC). */
typedef struct CdpFlip
{
	int64		at;
	uint32		customer;
} CdpFlip;

extern void cdp_passresult_begin(StringInfo out, int natoms, CdpIdSet *seen);
extern void cdp_passresult_atom(StringInfo out, CdpIdSet *yes, CdpIdSet *unknown, CdpTruth unseen);
extern void cdp_passresult_flips(StringInfo out, CdpFlip *flips, int64 n);
extern bytea *cdp_passresult_finish(StringInfo out);

/* One atom of an opened result; the bytes are those of the result. */
typedef struct CdpPassAtom
{
	const char *yes;
	Size		yes_len;
	const char *unknown;
	Size		unknown_len;
	CdpTruth	unseen;
} CdpPassAtom;

/* An opened result. */
typedef struct CdpPassResult
{
	int			natoms;
	CdpPassAtom *atom;
	const char *seen;
	Size		seen_len;
	int64		nflips;
	const char *flips;			/* customer, at: 12 bytes each */
} CdpPassResult;

extern void cdp_passresult_open(CdpPassResult *r, bytea *bytes);

#endif							/* CDP_SEGMENT_PASSRESULT_H */

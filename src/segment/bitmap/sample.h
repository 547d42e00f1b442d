/*
 * sample.h
 *		Which customers belong to a sample: the hash of an id and a seed decides,
 *		so that the same sample comes again on any machine.
 */
#ifndef CDP_SEGMENT_SAMPLE_H
#define CDP_SEGMENT_SAMPLE_H

#include "cdp.h"

extern uint64 cdp_sample_border(double fraction);

/* Whether a sample takes a customer (mixing steps of splitmix64). */
static inline bool
cdp_sample_takes(int64 customer, int64 seed, uint64 border)
{
	uint64		h = (uint64) customer + (uint64) seed * UINT64CONST(0xD1342543DE82EF95) + UINT64CONST(0x9E3779B97F4A7C15);

	h = (h ^ (h >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	h = (h ^ (h >> 27)) * UINT64CONST(0x94D049BB133111EB);
	h ^= h >> 31;
	return (h >> 11) < border;
}

#endif							/* CDP_SEGMENT_SAMPLE_H */

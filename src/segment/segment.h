/*
 * segment.h
 *		What the parts of the segment room share.
 */
#ifndef CDP_SEGMENT_H
#define CDP_SEGMENT_H

#include "base/rows/memory.h"

extern CdpPassMemory cdp_segment_memory;

extern void cdp_segment_settings(void);

#endif							/* CDP_SEGMENT_H */

/*
 * settings.c
 *		The settings of the segment room.
 */
#include "segment/segment.h"

#include <limits.h>

#include "utils/guc.h"

CdpPassMemory cdp_segment_memory = {"segments", "cdp.segment_memory", 1024 * 1024, "name fewer properties of events"};

/* Defines the settings; called once, when the library is loaded. */
void
cdp_segment_settings(void)
{
	DefineCustomIntVariable(cdp_segment_memory.setting,
							"Memory that one pass over events for segments may use.",
							"Above it packed rows go to temporary files; what cannot be spilled is an error.",
							&cdp_segment_memory.kilobytes,
							1024 * 1024,
							16 * 1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/*
 * settings.c
 *		The settings of the journey room.
 */
#include "journey/pass.h"

#include <limits.h>

#include "utils/guc.h"

CdpPassMemory cdp_journey_memory = {"journeys", "cdp.journey_memory", 1024 * 1024, "label kinds of pages instead of single ones"};

/* Defines the settings; called once, when the library is loaded. */
void
cdp_journey_settings(void)
{
	DefineCustomIntVariable(cdp_journey_memory.setting,
							"Memory that one pass over journeys may use: funnels, retention, paths, stages, sessions.",
							"Above it packed rows go to temporary files; what cannot be spilled is an error.",
							&cdp_journey_memory.kilobytes,
							1024 * 1024,
							16 * 1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/*
 * settings.c
 *		The settings of the attribution room.
 */
#include "attribution/attribution.h"

#include <limits.h>

#include "utils/guc.h"

CdpPassMemory	cdp_attribution_memory = {"attribution", "cdp.attribution_memory", 1024 * 1024, "group by channel or campaign"};

/* Defines the settings; called once, when the library is loaded. */
void
cdp_attribution_settings(void)
{
	DefineCustomIntVariable(cdp_attribution_memory.setting,
							"Memory that one attribution pass may use.",
							"Above it packed touches go to temporary files; what cannot be spilled is an error.",
							&cdp_attribution_memory.kilobytes,
							1024 * 1024,
							16 * 1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/*
 * pg_cdp.c
 *		The module: its magic block, its settings, and its version.
 */
#include "cdp.h"

#include "attribution/attribution.h"
#include "connector/network/settings.h"
#include "journey/funnel.h"
#include "base/keyfile.h"
#include "identity/components/components.h"
#include "referral/graph/graph.h"
#include "segment/segment.h"
#include "segment/value/value.h"
#include "utils/guc.h"

CDP_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/* Runs once in each session that loads the library: defines the settings. */
void
_PG_init(void)
{
	cdp_keyfile_settings();
	cdp_attribution_settings();
	cdp_journey_settings();
	cdp_components_settings();
	cdp_segment_settings();
	cdp_value_settings();
	cdp_graph_settings();
	cdp_connector_settings();
	MarkGUCPrefixReserved("cdp");
}

CDP_FUNCTION(cdp_version);

/* Tells the version of the loaded library; the caller owns the text. */
Datum
cdp_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(CDP_VERSION));
}

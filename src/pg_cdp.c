/*
 * pg_cdp.c
 *		The module: its magic block, its settings, and its version.
 */
#include "cdp.h"

CDP_MODULE_MAGIC;

CDP_FUNCTION(cdp_version);

/* Tells the version of the loaded library; the caller owns the text. */
Datum
cdp_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(CDP_VERSION));
}

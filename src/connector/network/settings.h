/*
 * settings.h
 *		The settings of the connector room, as its code reads them.
 */
#ifndef CDP_CONNECTOR_SETTINGS_H
#define CDP_CONNECTOR_SETTINGS_H

#include "connector/network/address.h"

extern char *cdp_ca_file;		/* '' for none */
extern int	cdp_http_max_bytes;

extern void cdp_connector_settings(void);
extern const CdpOrigins *cdp_allowed_hosts(void);
extern const CdpRanges *cdp_allowed_private_ranges(void);

#endif							/* CDP_CONNECTOR_SETTINGS_H */

/*
 * blank.h
 *		Secrets in answers: read where they stand, and made unreadable there.
 */
#ifndef CDP_CONNECTOR_BLANK_H
#define CDP_CONNECTOR_BLANK_H

#include "connector/connection/secret.h"
#include "connector/manifest/manifest.h"

#define CDP_BLANK_MIN 6			/* bytes; shorter ones would take half of an answer with them */

extern int64 cdp_blank(char *body, Size len, const char *const *secrets, int n);
extern CdpSecret *cdp_json_secret(const char *body, Size len, const ManifestPath *path);

#endif							/* CDP_CONNECTOR_BLANK_H */

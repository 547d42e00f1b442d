/*
 * gunzip.h
 *		Unpacks gzip with a bound on what comes out.
 */
#ifndef CDP_CONNECTOR_GUNZIP_H
#define CDP_CONNECTOR_GUNZIP_H

#include "cdp.h"

typedef enum CdpGunzip
{
	CDP_GUNZIP_OK,
	CDP_GUNZIP_TRUNCATED,
	CDP_GUNZIP_BROKEN,
	CDP_GUNZIP_TOO_LARGE
} CdpGunzip;

extern CdpGunzip cdp_gunzip(const void *packed, Size len, Size max, bytea **out);

#endif							/* CDP_CONNECTOR_GUNZIP_H */

/*
 * address.h
 *		Where requests may go: addresses by range, hosts by allow-list.
 *
 * Both are pure: no allocation, no errors, no settings, so that callbacks of
 * libcurl may ask.
 */
#ifndef CDP_CONNECTOR_ADDRESS_H
#define CDP_CONNECTOR_ADDRESS_H

#include "cdp.h"

#include <sys/socket.h>

/* A range of addresses, such as 10.0.0.0/8. */
typedef struct CdpRange
{
	int			family;			/* AF_INET or AF_INET6 */
	int			bits;
	uint8		bytes[16];
} CdpRange;

typedef struct CdpRanges
{
	int			n;
	CdpRange	range[FLEXIBLE_ARRAY_MEMBER];
} CdpRanges;

#define CDP_HOST_MAX 253		/* bytes of a name, as DNS has it */

/* Scheme, host and port of a request, or an entry of an allow-list. */
typedef struct CdpOrigin
{
	bool		plain;			/* http, not https */
	bool		suffix;			/* of a list only: every name below host */
	int			port;
	char		host[CDP_HOST_MAX + 3]; /* lower case; an IPv6 address in [] */
} CdpOrigin;

typedef struct CdpOrigins
{
	int			n;
	CdpOrigin	origin[FLEXIBLE_ARRAY_MEMBER];
} CdpOrigins;

extern const char *cdp_address_verdict(const struct sockaddr *address, const CdpRanges *allowed);
extern const char *cdp_range_parse(const char *text, Size len, CdpRange *range);
extern const char *cdp_origin_parse(const char *text, Size len, bool of_list, CdpOrigin *origin);
extern bool cdp_origin_matches(const CdpOrigin *origin, const CdpOrigin *entry);
extern void cdp_address_text(const struct sockaddr *address, char *out, Size size);

#endif							/* CDP_CONNECTOR_ADDRESS_H */

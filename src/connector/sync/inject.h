/*
 * inject.h
 *		Secrets put into a request that was built without any.
 */
#ifndef CDP_CONNECTOR_INJECT_H
#define CDP_CONNECTOR_INJECT_H

#include "connector/connection/secret.h"
#include "connector/network/http.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#define CDP_INJECT_NONCE_BYTES 16

/* One thing that ${name} stands for: token, secret.x. */
typedef struct CdpInjectValue
{
	const char *name;
	const char *bytes;			/* with a zero behind them */
	Size		len;
} CdpInjectValue;

/* What a request is filled with. */
typedef struct CdpInject
{
	const CdpInjectValue *value;
	int			n;
	TimestampTz at;				/* the moment that a signature tells */
	uint8		nonce[CDP_INJECT_NONCE_BYTES];
} CdpInject;

extern void cdp_inject(const CdpInject *fill, const Jsonb *request, CdpHttpRequest *out);
extern CdpSecret *cdp_inject_app(const CdpInject *fill, const Jsonb *request);

#endif							/* CDP_CONNECTOR_INJECT_H */

/*
 * secret.h
 *		Secrets of connections in the memory of the session, and nowhere else.
 */
#ifndef CDP_SECRET_H
#define CDP_SECRET_H

#include "core/envelope.h"
#include "utils/palloc.h"

#define CDP_SECRET_MAX_BYTES	65536

/* A text that is wiped when its memory context goes, however that comes about. */
typedef struct CdpSecret
{
	char	   *bytes;			/* len of them, then a zero */
	int			len;
	Size		room;
	MemoryContextCallback wipe;
} CdpSecret;

extern CdpSecret *cdp_secret_new(Size room);
extern void cdp_secret_wipe(CdpSecret *secret);
extern CdpSecret *cdp_connector_secret(int connection_id, const char *name);
extern bool cdp_connector_secret_renew(int connection_id, const char *name, const CdpSecret *value);
extern CdpSecret *cdp_connector_open(const char *purpose, const char *context, const text *envelope);
extern text *cdp_connector_seal(const char *purpose, const char *context, const char *bytes, int len);
extern void cdp_as_owner(const char *sql, int n, Oid *types, Datum *values, const char *nulls);
extern int	cdp_connection_for(text *connection);

#endif							/* CDP_SECRET_H */

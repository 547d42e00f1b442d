/*
 * call.h
 *		One call of a connection after the other: requests that were built without
 *		secrets go out with them, and answers come back without.
 *
 * A caller reads its connection once, when it is opened, and refuses to go on when
 * the connection was changed since.  Whoever uses it is a C procedure that has
 * connected to SPI without atomicity and holds no snapshot: it has committed.
 */
#ifndef CDP_CONNECTOR_CALL_H
#define CDP_CONNECTOR_CALL_H

#include "connector/connection/token.h"
#include "connector/network/http.h"
#include "utils/jsonb.h"

typedef struct CdpCaller CdpCaller;

/* The connection as the caller read it; all of it lives as long as the caller. */
typedef struct CdpCallerFacts
{
	int			connection_id;
	char	   *name;
	char	   *state;
	Jsonb	   *manifest;
	Jsonb	   *config;
	int			revision;
	char	   *binding;
	bool		has_token;		/* auth takes a token that is fetched */
} CdpCallerFacts;

/* What became of a call. */
typedef struct CdpCallAnswer
{
	bool		sent;			/* false: there was no token, and http is empty */
	CdpHttpResponse http;		/* its body without token and secrets; in the context that was current at the call */
	bool		token_refused;	/* the other system takes not the credentials: somebody has to look */
	bool		token_unavailable;	/* no token to be had now */
	char		failure[CDP_TOKEN_FAILURE_BYTES];	/* why there was none; nothing secret */
	int			token_calls;	/* requests for a token that this call made */
	TimestampTz retry_at;		/* when there may be one again; 0: not told */
	TimestampTz fetched_at;		/* when the answer was there */
	int64		blanked;		/* places of the body where a secret stood */
} CdpCallAnswer;

extern CdpCaller *cdp_caller_open(MemoryContext owner, int connection_id);
extern const CdpCallerFacts *cdp_caller_facts(const CdpCaller *caller);
extern void cdp_caller_call(CdpCaller *caller, const Jsonb *request, CdpCallAnswer *answer);
extern bool cdp_caller_token_failed(CdpCaller *caller);
extern void cdp_caller_insist(CdpCaller *caller);
extern CdpHttp *cdp_caller_http(CdpCaller *caller);
extern const char *const *cdp_caller_hosts(const CdpCaller *caller, int *n);
extern void cdp_caller_close(CdpCaller *caller);

#endif							/* CDP_CONNECTOR_CALL_H */

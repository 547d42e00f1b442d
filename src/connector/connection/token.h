/*
 * token.h
 *		Tokens of apps: one at a time is fetched, whoever needs it takes that one.
 */
#ifndef CDP_TOKEN_H
#define CDP_TOKEN_H

#include "connector/connection/secret.h"
#include "datatype/timestamp.h"

#define CDP_TOKEN_FAILURE_BYTES	200

typedef enum CdpTokenOutcome
{
	CDP_TOKEN_READY,
	CDP_TOKEN_REFUSED,			/* the other system knows the app and takes not its secret, or the like: a person must look */
	CDP_TOKEN_UNAVAILABLE		/* no answer, or none that counts: try later */
} CdpTokenOutcome;

/* What a fetch has to tell. */
typedef struct CdpTokenAnswer
{
	CdpTokenOutcome outcome;
	CdpSecret  *token;			/* when ready; in the context that was current at the call */
	int64		seconds;		/* for how long it holds; 0: not told */
	char		failure[CDP_TOKEN_FAILURE_BYTES];	/* when not ready: a code or some words, nothing secret */
} CdpTokenAnswer;

/* Asks the other system for a token. No transaction of the session has a snapshot or a number meanwhile, and none is to be left. */
typedef void (*CdpTokenFetch) (void *state, CdpTokenAnswer *answer);

typedef struct CdpTokenAsk
{
	int			connection_id;
	const char *host;			/* with id and secret: the app */
	const char *app_id;
	const CdpSecret *secret;
	int64		failed_generation;	/* of the token that did not serve; 0: none has been tried */
	int			slack;			/* seconds before its end at which a new one is fetched */
	bool		again;			/* ask although the app was refused a short while ago: a person wants to know */
	CdpTokenFetch fetch;
	void	   *state;
} CdpTokenAsk;

typedef struct CdpToken
{
	CdpTokenOutcome outcome;
	CdpSecret  *token;			/* when ready; in the caller's context */
	int64		generation;
	bool		fetched;		/* by this call: when it does not serve, another will not either */
	char		failure[CDP_TOKEN_FAILURE_BYTES];
	TimestampTz retry_at;		/* when refused: until then nobody asks again by himself */
} CdpToken;

extern void cdp_connector_token(const CdpTokenAsk *ask, CdpToken *token);

#endif							/* CDP_TOKEN_H */

/*
 * judge.h
 *		Calls whose answers are judged by the manifest, with a new token where that is the verdict.
 */
#ifndef CDP_CONNECTOR_JUDGE_H
#define CDP_CONNECTOR_JUDGE_H

#include "connector/sync/call.h"

/* What the manifest says about an answer; texts in the context that was current at the call. */
typedef struct CdpVerdict
{
	char	   *verb;			/* of cdp_internal.connector_verdict(), or the outcome of the transport where no answer came */
	char	   *code;			/* or NULL */
	char	   *note;			/* or NULL */
	int			calls;			/* requests for data that were sent */
	int			token_calls;	/* and for a token */
	bool		token_bad;		/* config, because a new token was not taken, either */
} CdpVerdict;

extern void cdp_wait_ms(int64 ms);
extern void cdp_require_no_block(FunctionCallInfo fcinfo, const char *message);
extern Jsonb *cdp_call_request(MemoryContext into, CdpCaller *caller, const char *stream, Jsonb *state);
extern void cdp_call_judged(CdpCaller *caller, const char *stream, const Jsonb *request, CdpCallAnswer *answer, CdpVerdict *verdict);

#endif							/* CDP_CONNECTOR_JUDGE_H */

/*
 * score_calls.h
 *		What the fraud score's functions of SQL share.
 */
#ifndef CDP_REFERRAL_SCORE_CALLS_H
#define CDP_REFERRAL_SCORE_CALLS_H

#include "referral/score.h"

/* Policies and lists of codes that were read before, in the memory of the call. */
typedef struct CdpFraudKept
{
	int			n;
	struct varlena *given[64];
	CdpFraudPolicy *policy[64];
	const CdpFraudPolicy *codes_of; /* the policy for which places holds */
	struct varlena *codes;
	int			ncodes;
	int		   *places;			/* of the nth code, the number of its rule */
} CdpFraudKept;

extern const CdpFraudPolicy *cdp_fraud_policy_for(FmgrInfo *flinfo, struct varlena *given);

#endif							/* CDP_REFERRAL_SCORE_CALLS_H */

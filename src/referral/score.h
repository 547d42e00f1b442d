/*
 * score.h
 *		The fraud score: what rules measured is turned into weights, and weights into
 *		one score and a decision. Pure arithmetic; knows no table.
 */
#ifndef CDP_REFERRAL_SCORE_H
#define CDP_REFERRAL_SCORE_H

#include "cdp.h"

#define CDP_FRAUD_RULES 200		/* most rules of a policy */
#define CDP_FRAUD_STEPS 8		/* most steps of a rule */

/* What a rule is: lists decide first, hard rules next; density never rejects alone. */
typedef enum CdpFraudKind
{
	CDP_FRAUD_BAN,
	CDP_FRAUD_ALLOW,
	CDP_FRAUD_BLOCK,
	CDP_FRAUD_HARD,
	CDP_FRAUD_SOFT,
	CDP_FRAUD_DENSITY
} CdpFraudKind;

/* How a measured value becomes a weight. */
typedef enum CdpFraudShape
{
	CDP_FRAUD_FLAG,				/* above 0: the weight */
	CDP_FRAUD_STEPS_UP,			/* at least at[i]: weights[i] */
	CDP_FRAUD_BELOW,			/* below at[0]: the weight */
	CDP_FRAUD_TAIL,				/* a probability below at[0]: 0.1 * -log10 p, at most the weight */
	CDP_FRAUD_HUB,				/* n persons, 1 or more: weight / (1 + log2(n / 2)) from 2 on */
	CDP_FRAUD_SHARE				/* 0 to 1: its share of the weight */
} CdpFraudShape;

typedef struct CdpFraudRule
{
	char	   *code;
	char	   *group_name;
	int			group;			/* number of the group within the policy */
	CdpFraudKind kind;
	CdpFraudShape shape;
	double		weight;			/* most that the rule can give; below 1 */
	int			nsteps;
	double		at[CDP_FRAUD_STEPS];
	double		weights[CDP_FRAUD_STEPS];
} CdpFraudRule;

typedef struct CdpFraudPolicy
{
	char	   *version;
	double		review_at;
	double		reject_at;
	bool		costs;			/* decide by cost_review and cost_wrong instead, where a loss is known */
	double		cost_review;
	double		cost_wrong;
	int			nrules;
	int			ngroups;
	CdpFraudRule *rules;		/* in the order of their codes */
} CdpFraudPolicy;

/* A rule that fired. */
typedef struct CdpFraudReason
{
	int			rule;
	double		value;
	double		effective;
	bool		counts;			/* the largest of its group */
} CdpFraudReason;

typedef enum CdpFraudDecision
{
	CDP_FRAUD_APPROVE,
	CDP_FRAUD_REVIEW,
	CDP_FRAUD_REJECT,
	CDP_FRAUD_INELIGIBLE
} CdpFraudDecision;

typedef struct CdpFraudVerdict
{
	double		score;
	double		evident;		/* the score without density */
	CdpFraudDecision decision;
	const char *decided_by;
	int			nreasons;
	CdpFraudReason reasons[CDP_FRAUD_RULES];	/* effective descending, then code */
} CdpFraudVerdict;

extern double cdp_fraud_effective(const CdpFraudRule *rule, double value);
extern void cdp_fraud_judge(const CdpFraudPolicy *policy, const double *values, const bool *known, double loss,
							CdpFraudVerdict *verdict);
extern int	cdp_fraud_rule_index(const CdpFraudPolicy *policy, const char *code, int len);

#endif							/* CDP_REFERRAL_SCORE_H */

/*
 * score.c
 *		The fraud score of one case from what each rule measured.
 *
 * Within a group only the largest weight counts, since its rules look at the same
 * thing; across groups the weights are combined as independent causes (noisy-or):
 *
 *		score = 1 - prod over groups (1 - max in group)
 *
 * Sums and products run in the order of the reasons (effective descending, then
 * code by bytes), so that any machine gives the same digits.
 */
#include "referral/score.h"

#include <math.h>

/* The weight that a measured value gets under a rule; 0: it does not fire. */
double
cdp_fraud_effective(const CdpFraudRule *rule, double value)
{
	double		w = 0;

	switch (rule->shape)
	{
		case CDP_FRAUD_FLAG:
			w = value > 0 ? rule->weight : 0;
			break;
		case CDP_FRAUD_STEPS_UP:
			for (int i = 0; i < rule->nsteps && value >= rule->at[i]; i++)
				w = rule->weights[i];
			break;
		case CDP_FRAUD_BELOW:
			w = value < rule->at[0] ? rule->weight : 0;
			break;
		case CDP_FRAUD_TAIL:
			/* a probability may come out as 0 */
			if (value < rule->at[0])
				w = value > 0 ? fmin(rule->weight, -0.1 * log10(value)) : rule->weight;
			break;
		case CDP_FRAUD_HUB:
			if (value >= 1)
				w = rule->weight / (1 + (value > 2 ? log2(value / 2) : 0));
			break;
		case CDP_FRAUD_SHARE:
			w = value > 0 ? rule->weight * fmin(value, 1) : 0;
			break;
	}
	return w;
}

/* Reasons in their order; codes of a policy are in order already. */
static int
by_effective(const void *a, const void *b)
{
	const CdpFraudReason *x = a;
	const CdpFraudReason *y = b;

	if (x->effective != y->effective)
		return x->effective > y->effective ? -1 : 1;
	return x->rule < y->rule ? -1 : 1;
}

/* 1 less the chance that no group is right; marks what counts. Without density: the reasons of those rules are left out. */
static double
combine(const CdpFraudPolicy *policy, CdpFraudVerdict *v, bool density)
{
	bool		seen[CDP_FRAUD_RULES] = {false};
	double		none = 1;

	for (int i = 0; i < v->nreasons; i++)
	{
		CdpFraudReason *r = &v->reasons[i];
		const CdpFraudRule *rule = &policy->rules[r->rule];

		if (rule->kind < CDP_FRAUD_SOFT || (rule->kind == CDP_FRAUD_DENSITY && !density) || seen[rule->group])
			continue;
		seen[rule->group] = true;
		none *= 1 - r->effective;
		if (density)
			r->counts = true;
	}
	return 1 - none;
}

/* The decision that thresholds or costs ask for at a chance p of fraud; ties go to the review, then to approval. */
static CdpFraudDecision
decide(const CdpFraudPolicy *policy, double p, double loss)
{
	if (policy->costs && loss >= 0)
	{
		double		approve = p * loss;
		double		reject = (1 - p) * policy->cost_wrong;

		if (approve <= policy->cost_review && approve <= reject)
			return CDP_FRAUD_APPROVE;
		return reject < policy->cost_review ? CDP_FRAUD_REJECT : CDP_FRAUD_REVIEW;
	}
	if (p >= policy->reject_at)
		return CDP_FRAUD_REJECT;
	return p >= policy->review_at ? CDP_FRAUD_REVIEW : CDP_FRAUD_APPROVE;
}

/*
 * Judges a case: values[i] and known[i] are of rule i of the policy; loss is what approving
 * a fraud costs, below 0: not known.
 */
void
cdp_fraud_judge(const CdpFraudPolicy *policy, const double *values, const bool *known, double loss, CdpFraudVerdict *v)
{
	bool		has[CDP_FRAUD_DENSITY + 1] = {false};

	v->nreasons = 0;
	for (int i = 0; i < policy->nrules; i++)
	{
		const CdpFraudRule *rule = &policy->rules[i];
		double		w = known[i] ? cdp_fraud_effective(rule, values[i]) : 0;

		if (w <= 0)
			continue;
		has[rule->kind] = true;
		v->reasons[v->nreasons++] = (CdpFraudReason) {i, values[i], rule->kind < CDP_FRAUD_SOFT ? 1 : w, rule->kind < CDP_FRAUD_SOFT};
	}
	qsort(v->reasons, v->nreasons, sizeof(CdpFraudReason), by_effective);
	v->evident = combine(policy, v, false);
	v->score = combine(policy, v, true);
	v->decision = decide(policy, v->score, loss);
	v->decided_by = policy->costs && loss >= 0 ? "cost" : "score";
	if (v->decision == CDP_FRAUD_REJECT && (v->evident <= 0 || decide(policy, v->evident, loss) == CDP_FRAUD_APPROVE))
	{
		/* loyal customers are dense too: somebody has to look */
		v->decision = CDP_FRAUD_REVIEW;
		v->decided_by = "density";
	}
	if (has[CDP_FRAUD_BAN] || (has[CDP_FRAUD_BLOCK] && !has[CDP_FRAUD_ALLOW]))
	{
		v->decision = CDP_FRAUD_REJECT;
		v->decided_by = has[CDP_FRAUD_BAN] ? "ban" : "block";
	}
	else if (has[CDP_FRAUD_ALLOW])
	{
		v->decision = CDP_FRAUD_APPROVE;
		v->decided_by = "allow";
	}
	else if (has[CDP_FRAUD_HARD])
	{
		v->decision = CDP_FRAUD_INELIGIBLE;
		v->decided_by = "hard";
	}
}

/* The number of the rule with a code, or -1. */
int
cdp_fraud_rule_index(const CdpFraudPolicy *policy, const char *code, int len)
{
	int			low = 0;
	int			high = policy->nrules;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		const char *name = policy->rules[middle].code;
		int			c = strncmp(name, code, len);

		if (c == 0 && name[len] == '\0')
			return middle;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

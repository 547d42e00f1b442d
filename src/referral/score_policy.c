/*
 * score_policy.c
 *		Reads the policy of cdp.fraud_policy() and keeps it with the call, so that a
 *		query over many cases reads it once.
 */
#include "referral/score_calls.h"

#include <math.h>

#include "base/option.h"
#include "utils/numeric.h"

static const char *const kinds[] = {"ban", "allow", "block", "hard", "soft", "density"};
static const char *const shapes[] = {"flag", "steps", "below", "tail", "hub", "share"};

CDP_NORETURN static void bad_policy(const char *what, const char *where);

/* Raises the error for a policy that cdp.fraud_policy() did not make. */
static void
bad_policy(const char *what, const char *where)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid fraud policy"),
			 errdetail("%s, at %s.", what, where),
			 errhint("Policies are made with cdp.fraud_policy(...).")));
}

/* A member of an object, or NULL. */
static JsonbValue *
member(JsonbContainer *object, const char *name, JsonbValue *v)
{
	return getKeyJsonValueFromContainer(object, name, strlen(name), v);
}

/* A number from least to most. */
static double
read_number(const JsonbValue *v, const char *where, double least, double most)
{
	double		x;

	if (v == NULL || v->type != jbvNumeric || numeric_is_nan(v->val.numeric) || numeric_is_inf(v->val.numeric))
		bad_policy("a number is missing", where);
	x = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
	if (!(x >= least && x <= most))
		bad_policy("a number is out of range", where);
	return x;
}

/* A text in the current memory. */
static char *
read_text(const JsonbValue *v, const char *where)
{
	if (v == NULL || v->type != jbvString || v->val.string.len == 0 || v->val.string.len > 63)
		bad_policy("a word of 1 to 63 bytes is missing", where);
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* One of some words. */
static int
read_word(const JsonbValue *v, const char *where, const char *const *words, int n)
{
	char	   *word = read_text(v, where);

	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	bad_policy("an unknown word", where);
}

/* A list of numbers; how many. */
static int
read_steps(const JsonbValue *v, const char *where, bool ascending, double most, double *steps)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			n = 0;

	if (v == NULL || v->type == jbvNull)
		return 0;
	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerIsScalar(v->val.binary.data))
		bad_policy("a list of numbers is missing", where);
	it = JsonbIteratorInit(v->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (n == CDP_FRAUD_STEPS)
			bad_policy("too many steps", where);
		steps[n] = read_number(&item, where, -1e300, most);
		if (ascending && n > 0 && steps[n] <= steps[n - 1])
			bad_policy("steps do not ascend", where);
		n++;
	}
	return n;
}

/* One rule, in the current memory. */
static void
read_rule(JsonbContainer *object, CdpFraudRule *rule)
{
	JsonbValue	v;
	int			nweights;

	rule->code = read_text(member(object, "code", &v), "code");
	rule->group_name = read_text(member(object, "group", &v), rule->code);
	rule->kind = read_word(member(object, "kind", &v), rule->code, kinds, lengthof(kinds));
	rule->shape = read_word(member(object, "shape", &v), rule->code, shapes, lengthof(shapes));
	/* a weight of 1 would make all other reasons vanish */
	rule->weight = read_number(member(object, "weight", &v), rule->code, 0, rule->kind < CDP_FRAUD_SOFT ? 1 : 0.999999);
	rule->nsteps = read_steps(member(object, "at", &v), rule->code, true, 1e300, rule->at);
	nweights = read_steps(member(object, "weights", &v), rule->code, false, rule->weight, rule->weights);
	if (rule->shape == CDP_FRAUD_STEPS_UP ? rule->nsteps == 0 || nweights != rule->nsteps :
		(rule->shape == CDP_FRAUD_BELOW || rule->shape == CDP_FRAUD_TAIL) && rule->nsteps != 1)
		bad_policy("its shape needs other steps", rule->code);
}

/* Rules by the bytes of their codes. */
static int
by_code(const void *a, const void *b)
{
	return strcmp(((const CdpFraudRule *) a)->code, ((const CdpFraudRule *) b)->code);
}

/* Reads the list of rules into the policy. */
static void
read_rules(CdpFraudPolicy *policy, const JsonbValue *list)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (list == NULL || list->type != jbvBinary || !JsonContainerIsArray(list->val.binary.data))
		bad_policy("there is no list of rules", "rules");
	if (JsonContainerSize(list->val.binary.data) > CDP_FRAUD_RULES)
		bad_policy("there are too many rules", "rules");
	policy->rules = palloc0(sizeof(CdpFraudRule) * Max(JsonContainerSize(list->val.binary.data), 1));
	it = JsonbIteratorInit(list->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvBinary || !JsonContainerIsObject(item.val.binary.data))
			bad_policy("a rule is no object", "rules");
		read_rule(item.val.binary.data, &policy->rules[policy->nrules++]);
	}
	qsort(policy->rules, policy->nrules, sizeof(CdpFraudRule), by_code);
	for (int i = 0; i < policy->nrules; i++)
	{
		int			j = 0;

		if (i > 0 && strcmp(policy->rules[i].code, policy->rules[i - 1].code) == 0)
			bad_policy("a code stands twice", policy->rules[i].code);
		while (strcmp(policy->rules[j].group_name, policy->rules[i].group_name) != 0)
			j++;
		policy->rules[i].group = j == i ? policy->ngroups++ : policy->rules[j].group;
	}
}

/* Reads a policy; all of it in the current memory. */
static CdpFraudPolicy *
read_policy(Jsonb *given)
{
	CdpFraudPolicy *policy = palloc0(sizeof(CdpFraudPolicy));
	JsonbValue	v;

	if (!JB_ROOT_IS_OBJECT(given))
		bad_policy("it is no object", "its start");
	policy->version = read_text(member(&given->root, "version", &v), "version");
	policy->review_at = read_number(member(&given->root, "review_at", &v), "review_at", 0, 1e9);
	policy->reject_at = read_number(member(&given->root, "reject_at", &v), "reject_at", policy->review_at, 1e9);
	if (member(&given->root, "cost_review", &v) != NULL)
	{
		policy->costs = true;
		policy->cost_review = read_number(&v, "cost_review", 0, 1e15);
		policy->cost_wrong = read_number(member(&given->root, "cost_wrong", &v), "cost_wrong", 0, 1e15);
	}
	read_rules(policy, member(&given->root, "rules", &v));
	return policy;
}

/* The policy of an argument, as read before where it was; lives with the call. */
const CdpFraudPolicy *
cdp_fraud_policy_for(FmgrInfo *flinfo, struct varlena *given)
{
	CdpFraudKept *kept = flinfo->fn_extra;
	MemoryContext old;

	if (kept == NULL)
		flinfo->fn_extra = kept = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(CdpFraudKept));
	for (int i = 0; i < kept->n; i++)
		if (VARSIZE(kept->given[i]) == VARSIZE(given) && memcmp(kept->given[i], given, VARSIZE(given)) == 0)
			return kept->policy[i];
	if (kept->n == lengthof(kept->given))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("one query judges by at most %d fraud policies", (int) lengthof(kept->given)),
				 errhint("Make the policies outside the query, or ask for part of the cases.")));
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	kept->policy[kept->n] = read_policy((Jsonb *) given);
	kept->given[kept->n] = memcpy(palloc(VARSIZE(given)), given, VARSIZE(given));
	MemoryContextSwitchTo(old);
	return kept->policy[kept->n++];
}

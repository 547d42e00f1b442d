/*
 * score_calls.c
 *		The fraud score as a function over arrays and as an aggregate over rows.
 */
#include "referral/score_calls.h"

#include <math.h>

#include "access/htup_details.h"
#include "base/suggest.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

CDP_FUNCTION(cdp_fraud_score_of);
CDP_FUNCTION(cdp_fraud_score_row);
CDP_FUNCTION(cdp_fraud_score_step);
CDP_FUNCTION(cdp_fraud_score_end);

static const char *const decisions[] = {"approve", "review", "reject", "ineligible"};

/* What is known of one case. */
typedef struct Case
{
	const CdpFraudPolicy *policy;
	double		loss;			/* below 0: not known */
	bool		has_loss;
	double	   *values;			/* of each rule of the policy, as known and evidence */
	bool	   *known;
	Jsonb	  **evidence;
} Case;

/* A case of which nothing is known, in one piece of that memory. */
static Case *
new_case(MemoryContext context, const CdpFraudPolicy *policy, bool no_loss, double loss)
{
	Size		n = policy->nrules;
	Case	   *c;

	if (!no_loss && !(loss >= 0 && loss <= 1e15))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a loss must lie between 0 and 1e15"),
				 errdetail("It is %g.", loss)));
	c = MemoryContextAllocZero(context, MAXALIGN(sizeof(Case)) + n * (sizeof(double) + sizeof(Jsonb *) + sizeof(bool)));
	c->policy = policy;
	c->has_loss = !no_loss;
	c->loss = no_loss ? -1 : loss;
	c->values = (double *) ((char *) c + MAXALIGN(sizeof(Case)));
	c->evidence = (Jsonb **) (c->values + n);
	c->known = (bool *) (c->evidence + n);
	return c;
}

CDP_NORETURN static void unknown_code(const CdpFraudPolicy *policy, const char *code, int len);

/* Raises the error for a code that the policy does not have. */
static void
unknown_code(const CdpFraudPolicy *policy, const char *code, int len)
{
	const char **names = palloc(sizeof(char *) * Max(policy->nrules, 1));
	char	   *word = pnstrdup(code, len);

	for (int i = 0; i < policy->nrules; i++)
		names[i] = policy->rules[i].code;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("no fraud rule of this policy has the code \"%s\"", word),
			 errdetail("The policy has %d rules.", policy->nrules),
			 cdp_suggest_hint(word, names, policy->nrules)));
}

/* The number of the rule with a code. */
static int
rule_of(const CdpFraudPolicy *policy, const text *code)
{
	int			i = cdp_fraud_rule_index(policy, VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));

	if (i < 0)
		unknown_code(policy, VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));
	return i;
}

/* Whether evidence a comes before b; NULL is last. */
static bool
evidence_before(Jsonb *a, Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a != NULL;
	return compareJsonbContainers(&a->root, &b->root) < 0;
}

/* Notes a measured value; of several the one with the largest weight, then value, then the smallest evidence. Evidence is not copied. */
static bool
note_value(Case *c, int rule, double value, Jsonb *evidence)
{
	if (isnan(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the value of a fraud signal must not be NaN"),
				 errdetail("That of rule %s is.", c->policy->rules[rule].code),
				 errhint("Give NULL for what is not known.")));
	if (c->known[rule])
	{
		double		before = cdp_fraud_effective(&c->policy->rules[rule], c->values[rule]);
		double		now = cdp_fraud_effective(&c->policy->rules[rule], value);

		if (now < before || (now == before && (value < c->values[rule] || (value == c->values[rule] && !evidence_before(evidence, c->evidence[rule])))))
			return false;
	}
	c->known[rule] = true;
	c->values[rule] = value;
	c->evidence[rule] = evidence;
	return true;
}

/* Pushes a key of an object. */
static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = (char *) name;
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

/* Pushes a text. */
static void
push_text(JsonbParseState **state, const char *name, const char *text)
{
	JsonbValue	v;

	push_key(state, name);
	v.type = jbvString;
	v.val.string.val = (char *) text;
	v.val.string.len = strlen(text);
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* Pushes a number; what jsonb can not hold becomes a text. */
static void
push_number(JsonbParseState **state, const char *name, double x)
{
	JsonbValue	v;

	if (isinf(x))
	{
		push_text(state, name, x > 0 ? "Infinity" : "-Infinity");
		return;
	}
	push_key(state, name);
	v.type = jbvNumeric;
	v.val.numeric = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(x)));
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* The reasons as an array of objects. */
static Datum
make_reasons(const Case *c, const CdpFraudVerdict *v)
{
	JsonbParseState *state = NULL;
	JsonbValue	flag;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < v->nreasons; i++)
	{
		const CdpFraudReason *r = &v->reasons[i];
		const CdpFraudRule *rule = &c->policy->rules[r->rule];
		JsonbValue	evidence;

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_text(&state, "code", rule->code);
		push_text(&state, "group", rule->group_name);
		push_number(&state, "weight", rule->weight);
		push_number(&state, "value", r->value);
		push_number(&state, "effective", r->effective);
		push_key(&state, "counts");
		flag.type = jbvBool;
		flag.val.boolean = r->counts;
		pushJsonbValue(&state, WJB_VALUE, &flag);
		if (c->evidence[r->rule] != NULL)
		{
			push_key(&state, "evidence");
			if (JB_ROOT_IS_SCALAR(c->evidence[r->rule]))
				JsonbExtractScalar(&c->evidence[r->rule]->root, &evidence);
			else
			{
				evidence.type = jbvBinary;
				evidence.val.binary.data = &c->evidence[r->rule]->root;
				evidence.val.binary.len = VARSIZE(c->evidence[r->rule]) - VARHDRSZ;
			}
			pushJsonbValue(&state, WJB_VALUE, &evidence);
		}
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}

/* Judges a case and makes the row of type cdp.fraud_decision. */
static Datum
make_decision(FunctionCallInfo fcinfo, const Case *c)
{
	CdpFraudVerdict v;
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};
	Datum		missing[CDP_FRAUD_RULES];
	int			nmissing = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	cdp_fraud_judge(c->policy, c->values, c->known, c->has_loss ? c->loss : -1, &v);
	for (int i = 0; i < c->policy->nrules; i++)
		if (!c->known[i] && (c->policy->rules[i].weight > 0 || c->policy->rules[i].kind < CDP_FRAUD_SOFT))
			missing[nmissing++] = PointerGetDatum(cstring_to_text(c->policy->rules[i].code));
	values[0] = Float8GetDatum(v.score);
	values[1] = PointerGetDatum(cstring_to_text(decisions[v.decision]));
	values[2] = PointerGetDatum(cstring_to_text(v.decided_by));
	values[3] = make_reasons(c, &v);
	values[4] = PointerGetDatum(construct_array(missing, nmissing, TEXTOID, -1, false, TYPALIGN_INT));
	values[5] = PointerGetDatum(cstring_to_text(c->policy->version));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* The numbers of the rules of an array of codes, as looked up before where it was. */
static const int *
places_of(FmgrInfo *flinfo, const CdpFraudPolicy *policy, ArrayType *codes, int *n)
{
	CdpFraudKept *kept = flinfo->fn_extra;
	Datum	   *items;
	bool	   *nulls;
	struct varlena *copy;
	int		   *places;

	if (kept->codes_of == policy && VARSIZE(kept->codes) == VARSIZE(codes) && memcmp(kept->codes, codes, VARSIZE(codes)) == 0)
	{
		*n = kept->ncodes;
		return kept->places;
	}
	deconstruct_array(codes, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, n);
	places = MemoryContextAlloc(flinfo->fn_mcxt, sizeof(int) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("codes of fraud rules must not be NULL"),
					 errdetail("Element %d is.", i + 1)));
		places[i] = rule_of(policy, DatumGetTextPP(items[i]));
	}
	copy = memcpy(MemoryContextAlloc(flinfo->fn_mcxt, VARSIZE(codes)), codes, VARSIZE(codes));
	if (kept->codes_of != NULL)
	{
		pfree(kept->codes);
		pfree(kept->places);
	}
	kept->codes_of = policy;
	kept->codes = copy;
	kept->ncodes = *n;
	kept->places = places;
	return places;
}

/* cdp.fraud_score_of(codes, values, evidence, policy, loss). */
Datum
cdp_fraud_score_of(PG_FUNCTION_ARGS)
{
	const CdpFraudPolicy *policy;
	Case	   *c;
	ArrayType  *given;
	Datum	   *items;
	Datum	   *proofs = NULL;
	bool	   *nulls;
	bool	   *proof_nulls = NULL;
	const int  *places;
	int			n;
	int			m;
	int			k;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	policy = cdp_fraud_policy_for(fcinfo->flinfo, (struct varlena *) PG_GETARG_JSONB_P(3));
	places = places_of(fcinfo->flinfo, policy, PG_GETARG_ARRAYTYPE_P(0), &n);
	given = PG_GETARG_ARRAYTYPE_P(1);
	deconstruct_array(given, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, &nulls, &m);
	k = n;
	if (!PG_ARGISNULL(2))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), JSONBOID, -1, false, TYPALIGN_INT, &proofs, &proof_nulls, &k);
	if (m != n || k != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("codes, values and evidence must have one element per rule"),
				 errdetail("There are %d codes, %d values and %d pieces of evidence.", n, m, k)));
	c = new_case(CurrentMemoryContext, policy, PG_ARGISNULL(4), PG_ARGISNULL(4) ? 0 : PG_GETARG_FLOAT8(4));
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			note_value(c, places[i], DatumGetFloat8(items[i]), proofs == NULL || proof_nulls[i] ? NULL : DatumGetJsonbP(proofs[i]));
	PG_RETURN_DATUM(make_decision(fcinfo, c));
}

/* cdp_internal.fraud_score_row(names, missing, fired, values, evidence, policy, loss): only what fired is given, and what is not known. */
Datum
cdp_fraud_score_row(PG_FUNCTION_ARGS)
{
	const CdpFraudPolicy *policy;
	Case	   *c;
	int64		missing;
	const int  *places;
	Datum	   *codes;
	Datum	   *items;
	Datum	   *proofs;
	bool	   *nulls;
	bool	   *proof_nulls;
	int			n;
	int			m;
	int			k;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(5))
		PG_RETURN_NULL();
	policy = cdp_fraud_policy_for(fcinfo->flinfo, (struct varlena *) PG_GETARG_JSONB_P(5));
	places = places_of(fcinfo->flinfo, policy, PG_GETARG_ARRAYTYPE_P(0), &n);
	missing = PG_GETARG_INT64(1);
	c = new_case(CurrentMemoryContext, policy, PG_ARGISNULL(6), PG_ARGISNULL(6) ? 0 : PG_GETARG_FLOAT8(6));
	for (int i = 0; i < policy->nrules; i++)
	{
		/* known, but not so that a rule fires */
		c->known[i] = true;
		c->values[i] = NAN;
	}
	for (int i = 0; i < n && i < 63; i++)
		if (missing & (INT64CONST(1) << i))
			c->known[places[i]] = false;
	if (!PG_ARGISNULL(2) && !PG_ARGISNULL(3) && !PG_ARGISNULL(4))
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &codes, &nulls, &n);
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, &nulls, &m);
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(4), JSONBOID, -1, false, TYPALIGN_INT, &proofs, &proof_nulls, &k);
		if (m != n || k != n)
			elog(ERROR, "fired rules have %d codes, %d values and %d pieces of evidence", n, m, k);
		for (int i = 0; i < n; i++)
		{
			int			rule = rule_of(policy, DatumGetTextPP(codes[i]));

			if (isnan(c->values[rule]))
				c->known[rule] = false;
			note_value(c, rule, DatumGetFloat8(items[i]), proof_nulls[i] ? NULL : DatumGetJsonbP(proofs[i]));
		}
	}
	PG_RETURN_DATUM(make_decision(fcinfo, c));
}

/* cdp.fraud_score_agg: one row, (state, code, value, evidence, policy, loss). */
Datum
cdp_fraud_score_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Case	   *c;
	int			rule;
	const CdpFraudPolicy *policy;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "cdp.fraud_score_agg called outside an aggregate");
	if (PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a fraud policy must not be NULL"),
				 errhint("Give cdp.fraud_policy().")));
	policy = cdp_fraud_policy_for(fcinfo->flinfo, (struct varlena *) PG_GETARG_JSONB_P(4));
	if (PG_ARGISNULL(0))
		c = new_case(context, policy, PG_ARGISNULL(5), PG_ARGISNULL(5) ? 0 : PG_GETARG_FLOAT8(5));
	else
	{
		c = (Case *) PG_GETARG_POINTER(0);
		if (c->policy != policy || c->has_loss != !PG_ARGISNULL(5) || (c->has_loss && c->loss != PG_GETARG_FLOAT8(5)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fraud policy or loss differ from row to row"),
					 errhint("Give the same to all rows of a case, or GROUP BY what they depend on.")));
	}
	/* a row without a code brings a case of which nothing is known */
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(c);
	rule = rule_of(policy, PG_GETARG_TEXT_PP(1));
	if (PG_ARGISNULL(2))
		PG_RETURN_POINTER(c);
	if (note_value(c, rule, PG_GETARG_FLOAT8(2), PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3)) && !PG_ARGISNULL(3))
	{
		Jsonb	   *seen = c->evidence[rule];

		c->evidence[rule] = memcpy(MemoryContextAlloc(context, VARSIZE(seen)), seen, VARSIZE(seen));
	}
	PG_RETURN_POINTER(c);
}

/* cdp.fraud_score_agg: the decision. */
Datum
cdp_fraud_score_end(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(make_decision(fcinfo, (Case *) PG_GETARG_POINTER(0)));
}

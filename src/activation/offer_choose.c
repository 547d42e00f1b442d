/*
 * offer_choose.c
 *		The choice among the arms that are possible for one customer, and the
 *		functions of SQL about it.
 */
#include "activation/offer.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

CDP_FUNCTION(cdp_offer_choose);
CDP_FUNCTION(cdp_offer_propensity);
CDP_FUNCTION(cdp_offer_draws);

#define MAX_ARMS 200
/* Of a batch, most customers have one of a few sets of arms. */
#define KEPT 32

/* Propensities that were computed before, in the memory of the calling expression. */
typedef struct Kept
{
	int			next;
	int			n[KEPT];
	CdpOfferArm *arms[KEPT];
	double	   *propensities[KEPT];
} Kept;

/* The numbers of an argument; as many as given unless -1. Error 22004 for NULLs, 22023 for another length. */
static double *
read_doubles(ArrayType *array, const char *what, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
	double	   *result;

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, &count);
	if (*n >= 0 && count != *n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have one value per arm", what),
				 errdetail("There are %d values for %d arms.", count, *n)));
	*n = count;
	result = palloc(Max(count, 1) * sizeof(double));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not hold NULL", what)));
		result[i] = DatumGetFloat8(values[i]);
	}
	return result;
}

/* The whole numbers of an argument. */
static int64 *
read_integers(ArrayType *array, const char *what, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int64	   *result;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, n);
	result = palloc(Max(*n, 1) * sizeof(int64));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not hold NULL", what)));
		result[i] = DatumGetInt64(values[i]);
	}
	return result;
}

/* Arms from the arguments a, b and worth, checked; *n as known, or -1. */
static CdpOfferArm *
read_arms(ArrayType *a, ArrayType *b, ArrayType *worth, int *n)
{
	double	   *as = read_doubles(a, "a", n);
	double	   *bs = read_doubles(b, "b", n);
	double	   *worths = read_doubles(worth, "worth", n);
	CdpOfferArm *arms = palloc(Max(*n, 1) * sizeof(CdpOfferArm));

	if (*n < 1 || *n > MAX_ARMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a choice is among 1 to %d arms", MAX_ARMS),
				 errdetail("There are %d.", *n),
				 errhint("Give offers different priorities, or different placements.")));
	for (int i = 0; i < *n; i++)
	{
		arms[i] = (CdpOfferArm) {as[i], bs[i], worths[i]};
		if (!(as[i] >= CDP_OFFER_SMALLEST && as[i] <= CDP_OFFER_LARGEST && bs[i] >= CDP_OFFER_SMALLEST && bs[i] <= CDP_OFFER_LARGEST))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a and b of an arm must lie between %g and %g", CDP_OFFER_SMALLEST, CDP_OFFER_LARGEST),
					 errdetail("Those of arm %d are %g and %g.", i + 1, as[i], bs[i])));
		if (!(worths[i] >= CDP_OFFER_LEAST_WORTH && worths[i] <= CDP_OFFER_MOST_WORTH))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the worth of an arm must lie between %g and %g", CDP_OFFER_LEAST_WORTH, CDP_OFFER_MOST_WORTH),
					 errdetail("That of arm %d is %g.", i + 1, worths[i])));
	}
	return arms;
}

/* A float8[] of n values. */
static Datum
make_doubles(const double *values, int n)
{
	Datum	   *datums = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		datums[i] = Float8GetDatum(values[i]);
	return PointerGetDatum(construct_array(datums, n, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Propensities of the arms, from what is kept when they were asked for before; not to be freed. */
static const double *
kept_propensities(FmgrInfo *flinfo, const CdpOfferArm *arms, int n)
{
	Kept	   *kept = flinfo->fn_extra;
	int			at;

	if (kept == NULL)
		flinfo->fn_extra = kept = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Kept));
	for (int i = 0; i < KEPT; i++)
		if (kept->n[i] == n && memcmp(kept->arms[i], arms, n * sizeof(CdpOfferArm)) == 0)
			return kept->propensities[i];
	at = kept->next;
	kept->next = (at + 1) % KEPT;
	if (kept->n[at] > 0)
	{
		kept->n[at] = 0;
		pfree(kept->arms[at]);
		pfree(kept->propensities[at]);
	}
	kept->arms[at] = MemoryContextAlloc(flinfo->fn_mcxt, n * sizeof(CdpOfferArm));
	kept->propensities[at] = MemoryContextAlloc(flinfo->fn_mcxt, n * sizeof(double));
	memcpy(kept->arms[at], arms, n * sizeof(CdpOfferArm));
	cdp_offer_propensities(arms, n, kept->propensities[at]);
	kept->n[at] = n;
	return kept->propensities[at];
}

/* The first of the largest. */
static int
best_of(const double *scores, int n)
{
	int			best = 0;

	for (int i = 1; i < n; i++)
		if (scores[i] > scores[best])
			best = i;
	return best;
}

/* offer_choose(method, epsilon, seed, inputs, arms, worth, a, b, means): which, by what scores, with what probabilities. */
Datum
cdp_offer_choose(PG_FUNCTION_ARGS)
{
	char	   *method = text_to_cstring(PG_GETARG_TEXT_PP(0));
	double		epsilon = PG_GETARG_FLOAT8(1);
	int64		seed = PG_GETARG_INT64(2);
	bool		thompson = strcmp(method, "thompson") == 0;
	int			n;
	int			ninputs;
	int64	   *inputs = read_integers(PG_GETARG_ARRAYTYPE_P(3), "inputs", &ninputs);
	int64	   *streams = read_integers(PG_GETARG_ARRAYTYPE_P(4), "arms", &n);
	CdpOfferArm *arms = read_arms(PG_GETARG_ARRAYTYPE_P(6), PG_GETARG_ARRAYTYPE_P(7), PG_GETARG_ARRAYTYPE_P(5), &n);
	double	   *means = read_doubles(PG_GETARG_ARRAYTYPE_P(8), "means", &n);
	double	   *scores = palloc(n * sizeof(double));
	double	   *propensities = palloc(n * sizeof(double));
	CdpDraws	draws;
	int			chosen;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (!thompson && strcmp(method, "value") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown method of choice"),
				 errhint("Use thompson or value.")));
	if (!(epsilon >= 0 && epsilon <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("epsilon must lie between 0 and 1"),
				 errdetail("It is %g.", epsilon)));
	for (int i = 0; i < n; i++)
	{
		if (!thompson && !(means[i] >= 0 && means[i] <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a mean must lie between 0 and 1"),
					 errdetail("That of arm %d is %g.", i + 1, means[i])));
		/* each arm has its own stream, so that others do not change what it draws */
		cdp_draws_start(&draws, seed, inputs, ninputs, streams[i]);
		scores[i] = arms[i].worth * (thompson ? cdp_draw_beta(&draws, arms[i].a, arms[i].b) : means[i]);
	}
	chosen = best_of(scores, n);
	if (thompson)
		memcpy(propensities, kept_propensities(fcinfo->flinfo, arms, n), n * sizeof(double));
	else
		for (int i = 0; i < n; i++)
			propensities[i] = i == chosen;
	for (int i = 0; i < n; i++)
		propensities[i] = epsilon / n + (1 - epsilon) * propensities[i];
	cdp_draws_start(&draws, seed, inputs, ninputs, 0);
	if (cdp_draw_uniform(&draws) < epsilon)
	{
		chosen = (int) (cdp_draw_uniform(&draws) * n);
		/* just below 1 it may round up */
		chosen = Min(chosen, n - 1);
	}

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum(chosen + 1);
	values[1] = make_doubles(scores, n);
	values[2] = make_doubles(propensities, n);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* offer_propensity(a, b, worth): the probability of each arm to be the best. */
Datum
cdp_offer_propensity(PG_FUNCTION_ARGS)
{
	int			n = -1;
	CdpOfferArm *arms = read_arms(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2), &n);
	double	   *propensities = palloc(n * sizeof(double));

	cdp_offer_propensities(arms, n, propensities);
	PG_RETURN_DATUM(make_doubles(propensities, n));
}

/* offer_draws(seed, inputs, stream, a, b, n): the first n draws of a stream. */
Datum
cdp_offer_draws(PG_FUNCTION_ARGS)
{
	int			ninputs;
	int64	   *inputs = read_integers(PG_GETARG_ARRAYTYPE_P(1), "inputs", &ninputs);
	double		a = PG_GETARG_FLOAT8(3);
	double		b = PG_GETARG_FLOAT8(4);
	int			n = PG_GETARG_INT32(5);
	double	   *values;
	CdpDraws	draws;

	if (n < 1 || n > 1000000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("1 to 1000000 draws can be asked for"),
				 errdetail("Asked for are %d.", n)));
	if (!(a >= CDP_OFFER_SMALLEST && a <= CDP_OFFER_LARGEST && b >= CDP_OFFER_SMALLEST && b <= CDP_OFFER_LARGEST))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a and b of an arm must lie between %g and %g", CDP_OFFER_SMALLEST, CDP_OFFER_LARGEST),
				 errdetail("They are %g and %g.", a, b)));
	values = palloc(n * sizeof(double));
	cdp_draws_start(&draws, PG_GETARG_INT64(0), inputs, ninputs, PG_GETARG_INT64(2));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		values[i] = cdp_draw_beta(&draws, a, b);
	}
	PG_RETURN_DATUM(make_doubles(values, n));
}

/*
 * sample.c
 *		Samples of customers, and what a count in one says of all.
 */
#include "segment/bitmap/sample.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"

CDP_FUNCTION(cdp_in_sample);
CDP_FUNCTION(cdp_wilson_interval);

/* The border below which 53-bit hashes belong to a sample of that fraction. */
uint64
cdp_sample_border(double fraction)
{
	if (!(fraction >= 0 && fraction <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sample must be a fraction from 0 to 1"),
				 errdetail("It is %g.", fraction)));
	return (uint64) ceil(ldexp(fraction, 53));
}

/* in_sample(customer, fraction, seed). */
Datum
cdp_in_sample(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cdp_sample_takes(PG_GETARG_INT64(0), PG_GETARG_INT64(2), cdp_sample_border(PG_GETARG_FLOAT8(1))));
}

/* How many standard deviations hold this share of a normal distribution around its mean. */
static double
two_sided_deviations(double share)
{
	double		low = 0,
				high = 40;

	for (int i = 0; i < 100; i++)
	{
		double		mid = (low + high) / 2;

		if (erfc(mid / sqrt(2)) > 1 - share)
			low = mid;
		else
			high = mid;
	}
	return (low + high) / 2;
}

/* wilson_interval(hits, tries, confidence): between which shares the true one lies (Wilson 1927). */
Datum
cdp_wilson_interval(PG_FUNCTION_ARGS)
{
	int64		hits = PG_GETARG_INT64(0);
	int64		tries = PG_GETARG_INT64(1);
	double		confidence = PG_GETARG_FLOAT8(2);
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false};
	double		low = 0,
				high = 1;

	if (hits < 0 || hits > tries)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hits must lie between 0 and the number of tries"),
				 errdetail("There are %lld hits of %lld tries.", (long long) hits, (long long) tries)));
	if (!(confidence > 0 && confidence < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a confidence must lie between 0 and 1"),
				 errdetail("It is %g.", confidence)));
	if (tries > 0)
	{
		double		z = two_sided_deviations(confidence);
		double		n = (double) tries,
					p = (double) hits / n,
					middle = p + z * z / (2 * n),
					half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
					scale = 1 + z * z / n;

		low = hits == 0 ? 0 : Max(0, (middle - half) / scale);
		high = hits == tries ? 1 : Min(1, (middle + half) / scale);
	}
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Float8GetDatum(low);
	values[1] = Float8GetDatum(high);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

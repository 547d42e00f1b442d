/*
 * sample.c
 *		Samples of customers.
 */
#include "segment/bitmap/sample.h"

#include <math.h>

CDP_FUNCTION(cdp_in_sample);

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

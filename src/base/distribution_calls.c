/*
 * distribution_calls.c
 *		Distributions as SQL functions: arguments are checked here, so that no NaN
 *		comes out where a number was asked for.
 */
#include "base/distribution.h"

#include <math.h>

CDP_FUNCTION(cdp_call_normal_cdf);
CDP_FUNCTION(cdp_call_normal_quantile);
CDP_FUNCTION(cdp_call_beta_cdf);
CDP_FUNCTION(cdp_call_beta_quantile);
CDP_FUNCTION(cdp_call_gamma_cdf);
CDP_FUNCTION(cdp_call_student_cdf);
CDP_FUNCTION(cdp_call_student_quantile);
CDP_FUNCTION(cdp_call_chi_square_cdf);
CDP_FUNCTION(cdp_call_poisson_cdf);

/* An argument that must lie from least to most. */
static double
number_within(FunctionCallInfo fcinfo, int arg, const char *name, double least, double most)
{
	double		x = PG_GETARG_FLOAT8(arg);

	if (!(x >= least && x <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s cannot be %g", name, x),
				 errdetail("It is from %g to %g.", least, most)));
	return x;
}

/* A finite argument. */
static double
number(FunctionCallInfo fcinfo, int arg, const char *name)
{
	return number_within(fcinfo, arg, name, -DBL_MAX, DBL_MAX);
}

/* A shape, or degrees of freedom. */
static double
shape(FunctionCallInfo fcinfo, int arg, const char *name)
{
	return number_within(fcinfo, arg, name, CDP_SMALLEST_SHAPE, CDP_LARGEST_SHAPE);
}

/* A probability of a quantile that is infinite at 0 and 1. */
static double
inner_probability(FunctionCallInfo fcinfo)
{
	double		p = PG_GETARG_FLOAT8(0);

	if (!(p > 0 && p < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a probability of %g has no quantile", p),
				 errdetail("It lies between 0 and 1.")));
	return p;
}

/* cdp.normal_cdf(z, upper). */
Datum
cdp_call_normal_cdf(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_normal_cdf(number(fcinfo, 0, "z"), PG_GETARG_BOOL(1)));
}

/* cdp.normal_quantile(p). */
Datum
cdp_call_normal_quantile(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_normal_quantile(inner_probability(fcinfo)));
}

/* cdp.beta_cdf(x, a, b, upper). */
Datum
cdp_call_beta_cdf(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_beta_cdf(number_within(fcinfo, 0, "a share", 0, 1), shape(fcinfo, 1, "a"), shape(fcinfo, 2, "b"), PG_GETARG_BOOL(3)));
}

/* cdp.beta_quantile(p, a, b). */
Datum
cdp_call_beta_quantile(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_beta_quantile(number_within(fcinfo, 0, "a probability", 0, 1), shape(fcinfo, 1, "a"), shape(fcinfo, 2, "b")));
}

/* cdp.gamma_cdf(x, shape, upper). */
Datum
cdp_call_gamma_cdf(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_gamma_cdf(number_within(fcinfo, 0, "x", 0, DBL_MAX), shape(fcinfo, 1, "a shape"), PG_GETARG_BOOL(2)));
}

/* cdp.student_cdf(t, df, upper). */
Datum
cdp_call_student_cdf(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_student_cdf(number(fcinfo, 0, "t"), shape(fcinfo, 1, "degrees of freedom"), PG_GETARG_BOOL(2)));
}

/* cdp.student_quantile(p, df). */
Datum
cdp_call_student_quantile(PG_FUNCTION_ARGS)
{
	double		p = inner_probability(fcinfo);
	double		df = shape(fcinfo, 1, "degrees of freedom");
	double		t = cdp_student_quantile(p, df);

	if (isinf(t))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the quantile is out of range"),
				 errdetail("It is asked for probability %g with %g degrees of freedom.", p, df)));
	PG_RETURN_FLOAT8(t);
}

/* cdp.chi_square_cdf(x, df, upper). */
Datum
cdp_call_chi_square_cdf(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cdp_chi_square_cdf(number_within(fcinfo, 0, "chi-square", 0, DBL_MAX), shape(fcinfo, 1, "degrees of freedom"), PG_GETARG_BOOL(2)));
}

/* cdp.poisson_cdf(n, mean, upper). */
Datum
cdp_call_poisson_cdf(PG_FUNCTION_ARGS)
{
	int64		n = PG_GETARG_INT64(0);
	double		mean = number_within(fcinfo, 1, "a mean", 0, DBL_MAX);

	if (n < 0 || n >= CDP_LARGEST_SHAPE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a count cannot be %lld", (long long) n),
				 errdetail("It is from 0 to below %g.", CDP_LARGEST_SHAPE)));
	PG_RETURN_FLOAT8(cdp_poisson_cdf((double) n, mean, PG_GETARG_BOOL(2)));
}

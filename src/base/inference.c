/*
 * inference.c
 *		What counts and means of samples tell: intervals and tests of a rate, of the
 *		difference of two rates or means, and of a split that should have been another.
 */
#include "base/distribution.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

CDP_FUNCTION(cdp_rate_interval);
CDP_FUNCTION(cdp_rate_difference);
CDP_FUNCTION(cdp_mean_difference);
CDP_FUNCTION(cdp_sample_ratio_check);

/* Below this the two roads of chi-square part (Cochran 1954). */
#define LEAST_EXPECTED 5
/* A split this unlikely is a fault of the experiment, not chance. */
#define SUSPECT 0.001

/* The row that a function gives. */
static Datum
row_of(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* The probability outside an interval, on one side. */
static double
outside(FunctionCallInfo fcinfo, int arg)
{
	double		confidence = PG_GETARG_FLOAT8(arg);

	if (!(confidence > 0 && confidence < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a confidence must lie between 0 and 1"),
				 errdetail("It is %g.", confidence)));
	return (1 - confidence) / 2;
}

/* A rate and its interval by Wilson (1927). */
typedef struct Rate
{
	int64		hits;
	double		tries;
	double		rate;
	double		low;
	double		high;
} Rate;

/* Reads hits and tries; z: normal quantile of the confidence. */
static Rate
rate_of(FunctionCallInfo fcinfo, int arg, double z)
{
	int64		hits = PG_GETARG_INT64(arg);
	int64		tries = PG_GETARG_INT64(arg + 1);
	double		n = (double) tries;
	Rate		r = {hits, n, 0, 0, 1};

	if (hits < 0 || hits > tries)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hits must lie between 0 and the number of tries"),
				 errdetail("There are %lld hits of %lld tries.", (long long) hits, (long long) tries)));
	if (tries > 0)
	{
		double		middle;
		double		half;
		double		scale = 1 + z * z / n;

		r.rate = (double) hits / n;
		middle = r.rate + z * z / (2 * n);
		half = z * sqrt(r.rate * (1 - r.rate) / n + z * z / (4 * n * n));
		r.low = hits == 0 ? 0 : Max(0, (middle - half) / scale);
		r.high = hits == tries ? 1 : Min(1, (middle + half) / scale);
	}
	return r;
}

/* cdp.rate_interval(hits, tries, confidence): between which shares the true one lies. */
Datum
cdp_rate_interval(PG_FUNCTION_ARGS)
{
	Rate		r = rate_of(fcinfo, 0, -cdp_normal_quantile(outside(fcinfo, 2)));
	Datum		values[2] = {Float8GetDatum(r.low), Float8GetDatum(r.high)};
	bool		nulls[2] = {false};

	return row_of(fcinfo, values, nulls);
}

/*
 * cdp.rate_difference(hits, tries, base_hits, base_tries, confidence). Both intervals
 * are the values f of a - f b (f = 1 for the difference) that the two Wilson intervals
 * leave possible: Newcombe's method 10, and its sister for the ratio (Donner, Zou 2012).
 */
Datum
cdp_rate_difference(PG_FUNCTION_ARGS)
{
	double		z = -cdp_normal_quantile(outside(fcinfo, 4));
	Rate		a = rate_of(fcinfo, 0, z);
	Rate		b = rate_of(fcinfo, 2, z);
	Datum		values[7];
	bool		nulls[7] = {false};
	double		pooled;
	double		error;

	if (a.tries == 0 || b.tries == 0)
	{
		memset(nulls, true, sizeof(nulls));
		return row_of(fcinfo, values, nulls);
	}
	values[0] = Float8GetDatum(a.rate - b.rate);
	values[1] = Float8GetDatum(a.rate - b.rate - hypot(a.rate - a.low, b.high - b.rate));
	values[2] = Float8GetDatum(a.rate - b.rate + hypot(a.high - a.rate, b.rate - b.low));
	pooled = ((double) a.hits + (double) b.hits) / (a.tries + b.tries);
	error = sqrt(pooled * (1 - pooled) * (1 / a.tries + 1 / b.tries));
	values[3] = Float8GetDatum(error > 0 ? Min(1, 2 * cdp_normal_cdf(fabs(a.rate - b.rate) / error, true)) : 1);

	nulls[4] = nulls[5] = nulls[6] = b.hits == 0;
	if (b.hits > 0)
	{
		double		product = a.rate * b.rate;
		double		least = sqrt(fmax(0, product * product - a.low * b.high * (2 * a.rate - a.low) * (2 * b.rate - b.high)));
		double		most = sqrt(fmax(0, product * product - a.high * b.low * (2 * a.rate - a.high) * (2 * b.rate - b.low)));

		values[4] = Float8GetDatum(a.rate / b.rate - 1);
		/* the lower root, written so that nothing is divided by 0 or below */
		values[5] = Float8GetDatum(a.hits > 0 ? a.low * (2 * a.rate - a.low) / (product + least) - 1 : -1);
		values[6] = Float8GetDatum((product + most) / (b.low * (2 * b.rate - b.low)) - 1);
	}
	return row_of(fcinfo, values, nulls);
}

/* Size, mean and variance of a sample. */
typedef struct Sample
{
	double		n;
	double		mean;
	double		square;			/* of the standard error of the mean */
} Sample;

/* Reads a sample. */
static Sample
sample_of(FunctionCallInfo fcinfo, int arg)
{
	int64		n = PG_GETARG_INT64(arg);
	double		mean = PG_GETARG_FLOAT8(arg + 1);
	double		variance = PG_GETARG_FLOAT8(arg + 2);
	Sample		s = {(double) n, mean, n > 0 ? variance / (double) n : 0};

	if (n < 0 || !isfinite(mean) || !isfinite(variance) || variance < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no sample has these figures"),
				 errdetail("n = %lld, mean = %g, variance = %g.", (long long) n, mean, variance)));
	return s;
}

/* cdp.mean_difference(n, mean, variance, base_n, base_mean, base_variance, confidence), by Welch (1947). */
Datum
cdp_mean_difference(PG_FUNCTION_ARGS)
{
	double		beside = outside(fcinfo, 6);
	Sample		a = sample_of(fcinfo, 0);
	Sample		b = sample_of(fcinfo, 3);
	double		square = a.square + b.square;
	double		difference = a.mean - b.mean;
	Datum		values[6];
	bool		nulls[6];

	memset(nulls, true, sizeof(nulls));
	values[0] = Float8GetDatum(difference);
	nulls[0] = a.n == 0 || b.n == 0;
	if (a.n >= 2 && b.n >= 2 && square > 0)
	{
		double		u = a.square / square;
		double		df = 1 / (u * u / (a.n - 1) + (1 - u) * (1 - u) / (b.n - 1));
		double		half;

		df = fmin(df, CDP_LARGEST_SHAPE);
		half = -cdp_student_quantile(beside, df) * sqrt(square);
		values[1] = Float8GetDatum(difference - half);
		values[2] = Float8GetDatum(difference + half);
		values[3] = Float8GetDatum(difference / sqrt(square));
		values[4] = Float8GetDatum(df);
		values[5] = Float8GetDatum(Min(1, 2 * cdp_student_cdf(fabs(difference) / sqrt(square), df, true)));
		memset(nulls, false, sizeof(nulls));
	}
	return row_of(fcinfo, values, nulls);
}

/* The elements of an array without NULLs, in one dimension; palloc'd. */
static Datum *
elements_of(ArrayType *array, Oid type, int *n)
{
	Datum	   *elements;
	bool	   *nulls;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("an array of one dimension is needed"),
				 errdetail("It has %d.", ARR_NDIM(array))));
	deconstruct_array(array, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, &nulls, n);
	for (int i = 0; i < *n; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("counts and weights cannot be NULL"),
					 errdetail("Element %d is.", i + 1)));
	return elements;
}

/* cdp.sample_ratio_check(observed, weights): Pearson's chi-square of counts against the split that was planned. */
Datum
cdp_sample_ratio_check(PG_FUNCTION_ARGS)
{
	int			n;
	int			m;
	Datum	   *counts = elements_of(PG_GETARG_ARRAYTYPE_P(0), INT8OID, &n);
	Datum	   *weights = elements_of(PG_GETARG_ARRAYTYPE_P(1), FLOAT8OID, &m);
	double		total = 0;
	double		weight = 0;
	double		chi_square = 0;
	double		least = INFINITY;
	bool		impossible = false;
	int			arms = 0;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (n != m || n < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("every group needs a count and a weight, and there are two groups at least"),
				 errdetail("There are %d counts and %d weights.", n, m)));
	for (int i = 0; i < n; i++)
	{
		int64		count = DatumGetInt64(counts[i]);
		double		w = DatumGetFloat8(weights[i]);

		if (count < 0 || !(w >= 0 && w <= 1e15))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a group of %lld with a weight of %g cannot be", (long long) count, w),
					 errdetail("Counts and weights are not below 0, weights at most 1e15.")));
		total += (double) count;
		weight += w;
	}
	for (int i = 0; i < n; i++)
	{
		double		count = (double) DatumGetInt64(counts[i]);
		double		expected = weight > 0 ? total * (DatumGetFloat8(weights[i]) / weight) : 0;

		arms += DatumGetFloat8(weights[i]) > 0;
		if (expected > 0)
		{
			chi_square += (count - expected) * (count - expected) / expected;
			least = fmin(least, expected);
		}
		else if (count > 0)
			impossible = true;	/* somebody is where nobody could be */
	}
	values[0] = Float8GetDatum(impossible ? INFINITY : chi_square);
	values[1] = Int32GetDatum(Max(arms - 1, 0));
	nulls[0] = total == 0;
	nulls[2] = nulls[3] = !impossible && (total == 0 || arms < 2 || least < LEAST_EXPECTED);
	if (!nulls[2])
	{
		double		p = impossible ? 0 : cdp_chi_square_cdf(chi_square, arms - 1, true);

		values[2] = Float8GetDatum(p);
		values[3] = BoolGetDatum(p < SUSPECT);
	}
	return row_of(fcinfo, values, nulls);
}

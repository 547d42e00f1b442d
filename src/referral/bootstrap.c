/*
 * bootstrap.c
 *		The interval of a ratio of two sums by the bootstrap, the same on any machine
 *		and in any order of the rows.
 */
#include "activation/offer.h"
#include "base/distribution.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

/* Ratios are the same on any machine: no two operations may be fused into one. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize ("fp-contract=off")
#endif

CDP_FUNCTION(cdp_bootstrap_ratio);

#define MOST_REPLICATES 100000
/* Draws of one call: some seconds. */
#define MOST_DRAWS INT64CONST(2000000000)

/* What one unit brings to both sums. */
typedef struct Unit
{
	double		numerator;
	double		denominator;
} Unit;

/* Order of units for qsort, so that results do not depend on the order in which they came. */
static int
by_unit(const void *l, const void *r)
{
	const Unit *a = l;
	const Unit *b = r;

	if (a->denominator != b->denominator)
		return a->denominator < b->denominator ? -1 : 1;
	return (a->numerator > b->numerator) - (a->numerator < b->numerator);
}

/* Order of doubles for qsort. */
static int
by_value(const void *l, const void *r)
{
	double		x = *(const double *) l;
	double		y = *(const double *) r;

	return (x > y) - (x < y);
}

/* The units of two arrays, sorted; palloc'd. Errors: 22004, 22023. */
static Unit *
read_units(ArrayType *numerators, ArrayType *denominators, int *n)
{
	Datum	   *values[2];
	bool	   *nulls[2];
	int			counts[2];
	Unit	   *units;

	deconstruct_array(numerators, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values[0], &nulls[0], &counts[0]);
	deconstruct_array(denominators, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values[1], &nulls[1], &counts[1]);
	if (counts[0] != counts[1])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be as many denominators as numerators"),
				 errdetail("There are %d and %d.", counts[1], counts[0])));
	*n = counts[0];
	units = palloc(Max(*n, 1) * sizeof(Unit));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[0][i] || nulls[1][i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("numerators and denominators must not hold NULL")));
		units[i] = (Unit) {DatumGetFloat8(values[0][i]), DatumGetFloat8(values[1][i])};
		if (!isfinite(units[i].numerator) || !isfinite(units[i].denominator) || units[i].denominator < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("numerators must be finite, denominators finite and not below 0"),
					 errdetail("Those of unit %d are %g and %g.", i + 1, units[i].numerator, units[i].denominator)));
	}
	qsort(units, *n, sizeof(Unit), by_unit);
	return units;
}

/*
 * The distinct units among sorted ones: fills in which of them each unit is, and moves them to the front of
 * units. Returns how many there are.
 */
static int
distinct_units(Unit *units, int n, uint32 *which)
{
	int			kinds = 0;

	for (int i = 0; i < n; i++)
	{
		if (i == 0 || by_unit(&units[kinds - 1], &units[i]) != 0)
			units[kinds++] = units[i];
		which[i] = kinds - 1;
	}
	return kinds;
}

/*
 * Fills in the ratios of resamples whose denominator is not 0; returns how many. units are the distinct ones:
 * what is drawn is counted, for where most people are alike a short table of counts stays in the cache.
 */
static int
resample(const Unit *units, int kinds, const uint32 *which, int n, int64 seed, int replicates, double *ratios)
{
	uint32	   *counts = palloc(kinds * sizeof(uint32));
	int			made = 0;

	for (int b = 0; b < replicates; b++)
	{
		CdpDraws	draws;
		double		numerator = 0;
		double		denominator = 0;

		memset(counts, 0, kinds * sizeof(uint32));
		cdp_draws_start(&draws, seed, NULL, 0, b);
		for (int i = 0; i < n; i++)
		{
			if (i % 65536 == 0)
				CHECK_FOR_INTERRUPTS();
			/* just below 1 it may round up */
			counts[which[Min((int) (cdp_draw_uniform(&draws) * n), n - 1)]]++;
		}
		for (int k = 0; k < kinds; k++)
		{
			numerator += counts[k] * units[k].numerator;
			denominator += counts[k] * units[k].denominator;
		}
		if (denominator > 0)
			ratios[made++] = numerator / denominator;
	}
	pfree(counts);
	return made;
}

/* The value below which that part of sorted values lies (the n + 1 rule). */
static double
part_of(const double *sorted, int n, double part)
{
	double		at = part * (n + 1) - 1;
	int			low = (int) floor(at);

	if (low < 0)
		return sorted[0];
	if (low >= n - 1)
		return sorted[n - 1];
	return sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
}

/* bootstrap_ratio(numerators, denominators, seed, replicates, confidence): ratio of the sums, interval, standard error. */
Datum
cdp_bootstrap_ratio(PG_FUNCTION_ARGS)
{
	int			n;
	Unit	   *units = read_units(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1), &n);
	int			replicates = PG_GETARG_INT32(3);
	double		confidence = PG_GETARG_FLOAT8(4);
	double	   *ratios;
	double		sums[2] = {0, 0};
	int			made = 0;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {true, true, true, true};

	if (replicates < 1 || replicates > MOST_REPLICATES || (int64) n * replicates > MOST_DRAWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("replicates must lie between 1 and %d, and times units not exceed %lld", MOST_REPLICATES, (long long) MOST_DRAWS),
				 errdetail("There are %d replicates of %d units.", replicates, n)));
	if (!(confidence > 0 && confidence < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a confidence must lie between 0 and 1"),
				 errdetail("It is %g.", confidence)));
	for (int i = 0; i < n; i++)
	{
		sums[0] += units[i].numerator;
		sums[1] += units[i].denominator;
	}
	if (sums[1] > 0)
	{
		values[0] = Float8GetDatum(sums[0] / sums[1]);
		nulls[0] = false;
		ratios = palloc(replicates * sizeof(double));
		if (n >= 2)
		{
			uint32	   *which = palloc(n * sizeof(uint32));
			int			kinds = distinct_units(units, n, which);

			made = resample(units, kinds, which, n, PG_GETARG_INT64(2), replicates, ratios);
		}
		if (made > 1)
		{
			double		mean = 0;
			double		square = 0;

			qsort(ratios, made, sizeof(double), by_value);
			for (int i = 0; i < made; i++)
				mean += ratios[i] / made;
			for (int i = 0; i < made; i++)
				square += (ratios[i] - mean) * (ratios[i] - mean);
			values[1] = Float8GetDatum(part_of(ratios, made, (1 - confidence) / 2));
			values[2] = Float8GetDatum(part_of(ratios, made, (1 + confidence) / 2));
			values[3] = Float8GetDatum(sqrt(square / (made - 1)));
			nulls[1] = nulls[2] = nulls[3] = false;
		}
	}
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

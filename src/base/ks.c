/*
 * ks.c
 *		One-sided tests of Kolmogorov and Smirnov: whether a sample comes later, or
 *		earlier, than a known distribution or than another sample.
 */
#include "cdp.h"

#include <math.h>

#include "access/htup_details.h"
#include "base/distribution.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

CDP_FUNCTION(cdp_ks_uniform);
CDP_FUNCTION(cdp_ks_two_samples);

/* Up to so many steps p values are exact; beyond, asymptotic. */
#define EXACT_STEPS 10000000
#define EXACT_SHARES 1000000

/* Ascending doubles. */
static int
by_value(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The numbers of an argument in ascending order; palloc'd. least and most: between which they lie. */
static double *
read_sample(FunctionCallInfo fcinfo, int arg, const char *what, double least, double most, int *n)
{
	Datum	   *items;
	bool	   *nulls;
	double	   *x;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, &nulls, n);
	x = palloc(Max(*n, 1) * sizeof(double));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not hold NULL", what),
					 errdetail("Element %d is.", i + 1)));
		x[i] = DatumGetFloat8(items[i]);
		if (!(x[i] >= least && x[i] <= most))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s cannot hold %g", what, x[i]),
					 errdetail("Values are from %g to %g.", least, most)));
	}
	qsort(x, *n, sizeof(double), by_value);
	return x;
}

/* Whether the alternative asked for is that the sample comes later. */
static bool
read_later(FunctionCallInfo fcinfo, int arg)
{
	char	   *word = text_to_cstring(PG_GETARG_TEXT_PP(arg));

	if (strcmp(word, "later") != 0 && strcmp(word, "earlier") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown alternative"),
				 errhint("Use later or earlier.")));
	return word[0] == 'l';
}

/*
 * The chance that n uniform numbers depart by d or more on one side: Birnbaum and Tingey
 * (1951), d sum C(n,j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j); all terms are positive.
 */
static double
uniform_tail(int n, double d)
{
	double		sum = 0;
	double		all = lgamma(n + 1.0);

	if (d <= 0)
		return 1;
	if (n > EXACT_SHARES)
	{
		/* Maag and Dicaire (1971) */
		double		z = 6.0 * n * d + 1;

		return exp(-z * z / (18.0 * n));
	}
	for (int j = 0; j <= (int) floor(n * (1 - d)); j++)
	{
		double		left = 1 - d - (double) j / n;

		if ((j & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (left > 0 || j == n)
			sum += exp(all - lgamma(j + 1.0) - lgamma(n - j + 1.0) + (j - 1) * log(d + (double) j / n) + (n - j > 0 ? (n - j) * log(left) : 0));
	}
	return fmin(1, d * sum);
}

/*
 * The chance that a random order of n and m numbers departs by steps / (n m) or more on
 * one side: a walk through the orders that ends where it departs so far. Adds only.
 */
static double
order_tail(int n, int m, int64 steps)
{
	double	   *at;				/* chance to be at (i, j) without having departed, for the current i */
	double		tail = 0;

	if (steps <= 0)
		return 1;
	if ((double) n * m > EXACT_STEPS)
	{
		/* Hodges (1958), equation 5.3 */
		double		small = Min(n, m);
		double		large = Max(n, m);
		double		z = (double) steps / ((double) n * m) * sqrt(small * large / (small + large));

		return fmin(1, exp(-2 * z * z - 2 * z * (large + 2 * small) / sqrt(small * large * (small + large)) / 3));
	}
	at = palloc0((m + 1) * sizeof(double));
	at[0] = 1;
	for (int i = 0; i <= n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j <= m; j++)
		{
			double		p = at[j];
			int			left = n + m - i - j;

			if (p == 0)
				continue;
			if ((int64) i * m - (int64) j * n >= steps)
			{
				tail += p;
				at[j] = 0;
				continue;
			}
			if (j < m)
				at[j + 1] += p * (m - j) / left;
			/* what goes on to i + 1 stays in the cell */
			at[j] = i < n ? p * (n - i) / left : 0;
		}
	}
	pfree(at);
	return fmin(1, tail);
}

/* The row that a function gives. */
static Datum
ks_row(FunctionCallInfo fcinfo, bool empty, double statistic, double p_value, int n, int m)
{
	TupleDesc	desc;
	Datum		values[4] = {Float8GetDatum(statistic), Float8GetDatum(p_value), Int32GetDatum(n), Int32GetDatum(m)};
	bool		nulls[4] = {empty, empty, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* cdp.ks_uniform(shares, alternative). */
Datum
cdp_ks_uniform(PG_FUNCTION_ARGS)
{
	bool		later = read_later(fcinfo, 1);
	int			n;
	double	   *x = read_sample(fcinfo, 0, "shares", 0, 1, &n);
	double		d = 0;

	/* later: the sample's curve lies below the diagonal, by most just before a value */
	for (int i = 0; i < n; i++)
		d = fmax(d, later ? x[i] - (double) i / n : (double) (i + 1) / n - x[i]);
	return ks_row(fcinfo, n == 0, d, n == 0 ? 1 : uniform_tail(n, d), n, 0);
}

/* cdp.ks_two_samples(a, b, alternative). */
Datum
cdp_ks_two_samples(PG_FUNCTION_ARGS)
{
	bool		later = read_later(fcinfo, 2);
	int			n;
	int			m;
	double	   *a = read_sample(fcinfo, 0, "a sample", -DBL_MAX, DBL_MAX, &n);
	double	   *b = read_sample(fcinfo, 1, "a sample", -DBL_MAX, DBL_MAX, &m);
	int64		most = 0;

	for (int i = 0, j = 0; i < n && j < m;)
	{
		double		x = Min(a[i], b[j]);

		while (i < n && a[i] <= x)
			i++;
		while (j < m && b[j] <= x)
			j++;
		/* later: b's curve is ahead of a's */
		most = Max(most, later ? (int64) j * n - (int64) i * m : (int64) i * m - (int64) j * n);
	}
	return ks_row(fcinfo, n == 0 || m == 0, n == 0 || m == 0 ? 0 : (double) most / ((double) n * m),
				  n == 0 || m == 0 ? 1 : later ? order_tail(m, n, most) : order_tail(n, m, most), n, m);
}

/*
 * match_em.c
 *		Estimates m and the share of matches by expectation maximisation over
 *		counts of patterns, with u held fixed.
 *
 * A pattern says the level of every comparison, so that a million pairs are a
 * few hundred rows.  Sums run over the patterns in ascending order: the result
 * does not depend on the order of rows.
 */
#include "identity/match/match.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"

#define MAX_ITERATIONS 1000

CDP_FUNCTION(cdp_match_em);

typedef struct Pattern
{
	int64		pattern;
	double		pairs;
} Pattern;

typedef struct Estimate
{
	CdpModel   *model;
	bool		used[CDP_MATCH_MAX_COMPARISONS];	/* others are left out of this session */
	double		share;			/* of matches among the pairs */
	double		m[CDP_MATCH_MAX_COMPARISONS][CDP_MATCH_MAX_LEVELS];
	double		u[CDP_MATCH_MAX_COMPARISONS][CDP_MATCH_MAX_LEVELS];
	Pattern    *pattern;
	int			npatterns;
} Estimate;

/* Orders patterns. */
static int
compare_patterns(const void *a, const void *b)
{
	int64		x = ((const Pattern *) a)->pattern;
	int64		y = ((const Pattern *) b)->pattern;

	return (x > y) - (x < y);
}

/* Reads the counts and sorts them. */
static void
read_patterns(Estimate *e, ArrayType *patterns, ArrayType *pairs)
{
	Datum	   *pattern,
			   *count;
	bool	   *null1,
			   *null2;
	int			n;

	deconstruct_array(patterns, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &pattern, &null1, &e->npatterns);
	deconstruct_array(pairs, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &count, &null2, &n);
	if (n != e->npatterns)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there are %d patterns and %d counts", e->npatterns, n)));
	e->pattern = palloc_extended(Max(n, 1) * sizeof(Pattern), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		if (null1[i] || null2[i] || DatumGetInt64(pattern[i]) < 0 || DatumGetInt64(count[i]) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a pattern or its count is NULL or negative")));
		e->pattern[i] = (Pattern) {DatumGetInt64(pattern[i]), DatumGetInt64(count[i])};
	}
	qsort(e->pattern, n, sizeof(Pattern), compare_patterns);
}

/* First values: the model's own where it has them, else nearly all matches agree in the strictest level. */
static void
start_values(Estimate *e)
{
	for (int i = 0; i < e->model->ncomparisons; i++)
	{
		const CdpComparison *c = &e->model->comparison[i];

		for (int v = 0; v < c->nvalues; v++)
		{
			double		m = c->by_value[v]->m,
						u = c->by_value[v]->u;

			e->m[i][v] = !isnan(m) ? m : v == c->nvalues - 1 ? 0.95 : 0.05 / (c->nvalues - 1);
			e->u[i][v] = isnan(u) ? 1.0 / c->nvalues : u;
		}
	}
}

/* Probability that pairs of a pattern are matches. */
static double
match_probability(const Estimate *e, int64 pattern)
{
	double		odds = e->share / (1 - e->share);

	for (int i = 0; i < e->model->ncomparisons; i++)
	{
		int			v = e->used[i] ? cdp_pattern_value(&e->model->comparison[i], pattern) : -1;

		if (v >= 0)
			odds *= Max(e->m[i][v], 1e-10) / Max(e->u[i][v], 1e-10);
	}
	return isinf(odds) ? 1 : odds / (1 + odds);
}

/* One step; returns the largest change of any parameter. */
static double
improve(Estimate *e)
{
	double	  (*matches)[CDP_MATCH_MAX_LEVELS] = palloc0(sizeof(e->m));
	double		all = 0,
				pairs = 0,
				change;

	for (int p = 0; p < e->npatterns; p++)
	{
		double		expected = e->pattern[p].pairs * match_probability(e, e->pattern[p].pattern);

		CHECK_FOR_INTERRUPTS();
		pairs += e->pattern[p].pairs;
		all += expected;
		for (int i = 0; i < e->model->ncomparisons; i++)
		{
			int			v = e->used[i] ? cdp_pattern_value(&e->model->comparison[i], e->pattern[p].pattern) : -1;

			if (v >= 0)
				matches[i][v] += expected;
		}
	}
	if (pairs == 0)
	{
		pfree(matches);
		return 0;
	}
	/* Never 0 or 1: from there no step leads away. */
	all = Min(Max(all / pairs, 1e-10), 1 - 1e-10);
	change = fabs(all - e->share);
	e->share = all;
	for (int i = 0; i < e->model->ncomparisons; i++)
	{
		const CdpComparison *c = &e->model->comparison[i];
		double		sum = 0;

		for (int v = 0; v < c->nvalues; v++)
			sum += matches[i][v];
		for (int v = 0; v < c->nvalues && e->used[i] && sum > 0; v++)
		{
			double		m = matches[i][v] / sum;

			if (c->by_value[v]->fix_m)
				continue;
			change = Max(change, fabs(m - e->m[i][v]));
			e->m[i][v] = m;
		}
	}
	pfree(matches);
	return change;
}

/* match_em(model, patterns, pairs, used, share, convergence, iterations): m of each level, the share, the steps taken. */
Datum
cdp_match_em(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Estimate   *e = palloc0(sizeof(Estimate));
	ArrayType  *used = PG_GETARG_ARRAYTYPE_P(3);
	double		convergence = PG_GETARG_FLOAT8(5);
	int			iterations = PG_GETARG_INT32(6);
	int			done = 0;
	Datum	   *flag;
	bool	   *isnull;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	e->model = cdp_model_read(PG_GETARG_JSONB_P(0));
	read_patterns(e, PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2));
	deconstruct_array(used, BOOLOID, 1, true, TYPALIGN_CHAR, &flag, &isnull, &n);
	e->share = PG_GETARG_FLOAT8(4);
	if (n != e->model->ncomparisons || !(e->share > 0 && e->share < 1) || !(convergence > 0) || iterations < 1 ||
		iterations > MAX_ITERATIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("settings of the estimation are out of range"),
				 errdetail("%d flags for %d comparisons, share %g, convergence %g, %d iterations.", n,
						   e->model->ncomparisons, e->share, convergence, iterations),
				 errhint("The share is between 0 and 1, convergence above 0, iterations from 1 to %d.", MAX_ITERATIONS)));
	for (int i = 0; i < n; i++)
		e->used[i] = !isnull[i] && DatumGetBool(flag[i]);
	start_values(e);
	while (e->npatterns > 0 && done < iterations)
	{
		done++;
		if (improve(e) < convergence)
			break;
	}
	for (int i = 0; i < e->model->ncomparisons; i++)
		for (int v = 0; v < e->model->comparison[i].nvalues && e->used[i]; v++)
		{
			Datum		values[5] = {Int32GetDatum(i), Int32GetDatum(v), Float8GetDatum(e->m[i][v]),
			Float8GetDatum(e->share), Int32GetDatum(done)};
			bool		nulls[5] = {false};

			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	return (Datum) 0;
}

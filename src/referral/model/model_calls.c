/*
 * model_calls.c
 *		Models of labelled rows in SQL: the aggregates that fit a logistic model,
 *		and that tell how well scores are calibrated and ordered.
 *
 * Rows are kept as they come, 8 bytes a number, and sorted before anything is
 * worked out, so that their order tells nothing.
 */
#include "referral/model/logistic.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "referral/graph/graph.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include <math.h>

#define MOST_BINS 1000

/* Labelled rows of an aggregate; everything lives in the aggregate's memory. */
typedef struct LabelledRows
{
	int			p;
	int64		n;
	int64		room;
	int64		skipped;		/* rows with a NULL */
	double	   *x;				/* [room * (p + 1)] numbers, then the label as 0 or 1 */
	double		option;			/* penalty or bins, the same in each row */
	ArrayType  *names;			/* of the first row, or NULL */
} LabelledRows;

/* The state of the aggregate at hand; made at the first row. */
static LabelledRows *
state_of(FunctionCallInfo fcinfo)
{
	MemoryContext aggregate;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "labelled rows are taken outside an aggregate");
	if (!PG_ARGISNULL(0))
		return (LabelledRows *) PG_GETARG_POINTER(0);
	return MemoryContextAllocZero(aggregate, sizeof(LabelledRows));
}

/* Adds a row; the numbers are the caller's. */
static void
add_row(FunctionCallInfo fcinfo, LabelledRows *r, const double *x, int p, bool label)
{
	MemoryContext aggregate;
	Size		width = p + 1;
	double	   *to;

	(void) AggCheckCallContext(fcinfo, &aggregate);
	if (r->x == NULL)
	{
		r->p = p;
		r->room = 64;
		r->x = MemoryContextAlloc(aggregate, sizeof(double) * width * r->room);
	}
	if (p != r->p)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("rows have different numbers of features"),
				 errdetail("One has %d, another %d.", r->p, p),
				 errhint("Give each row the same features in the same order; NULL for one that is not known skips the row.")));
	if (r->n == r->room)
	{
		/* The sorted copy and the standardised one come on top. */
		cdp_graph_reserve((uint64) r->room * 2 * width * sizeof(double) * 3, "Labelled rows");
		r->x = repalloc_huge(r->x, sizeof(double) * width * r->room * 2);
		r->room *= 2;
	}
	to = r->x + r->n++ * width;
	for (int j = 0; j < p; j++)
	{
		if (isnan(x[j]) || isinf(x[j]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("numbers of labelled rows must be finite"),
					 errdetail("Number %d of a row is %s.", j + 1, isnan(x[j]) ? "NaN" : "infinite"),
					 errhint("Give NULL for what is not known: the row is skipped.")));
		to[j] = x[j] + 0.0;		/* no negative zero */
	}
	to[p] = label;
}

/* An option that is the same in each row. */
static void
take_option(LabelledRows *r, double option, const char *name)
{
	if (r->n + r->skipped > 0 && r->option != option)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s differs from row to row", name),
				 errdetail("It is %g in one and %g in another.", r->option, option),
				 errhint("Give a constant.")));
	r->option = option;
}

CDP_FUNCTION(cdp_model_add);

/* One row of cdp.fraud_model_fit(label, features [, l2, names]). */
Datum
cdp_model_add(PG_FUNCTION_ARGS)
{
	LabelledRows *r = state_of(fcinfo);
	ArrayType  *array;
	MemoryContext aggregate;
	MemoryContext old;
	double		l2 = 1;

	if (PG_NARGS() > 3)
	{
		l2 = PG_ARGISNULL(3) ? get_float8_nan() : PG_GETARG_FLOAT8(3);
		if (!(l2 >= 0) || isinf(l2))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("l2 is out of range"),
					 errhint("Give 0 for no penalty, 1 for the usual one.")));
		if (!PG_ARGISNULL(4) && r->names == NULL)
		{
			(void) AggCheckCallContext(fcinfo, &aggregate);
			old = MemoryContextSwitchTo(aggregate);
			r->names = PG_GETARG_ARRAYTYPE_P_COPY(4);
			MemoryContextSwitchTo(old);
		}
	}
	take_option(r, l2, "l2");
	array = PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2);
	if (PG_ARGISNULL(1) || array == NULL || array_contains_nulls(array))
	{
		r->skipped++;
		PG_RETURN_POINTER(r);
	}
	if (ARR_NDIM(array) > 1 || ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) > CDP_MOST_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("features are no list"),
				 errhint("Give an array of one dimension with at most %d numbers.", CDP_MOST_FEATURES)));
	add_row(fcinfo, r, (const double *) ARR_DATA_PTR(array), ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)), PG_GETARG_BOOL(1));
	PG_RETURN_POINTER(r);
}

CDP_FUNCTION(cdp_scored_add);

/* One row of cdp.fraud_auc(score, label) and cdp.fraud_calibration(score, label, bins). */
Datum
cdp_scored_add(PG_FUNCTION_ARGS)
{
	LabelledRows *r = state_of(fcinfo);
	double		score;

	if (PG_NARGS() > 3)
	{
		int			bins = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);

		if (bins < 1 || bins > MOST_BINS)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("bins is out of range"),
					 errhint("Give a whole number from 1 to %d.", MOST_BINS)));
		take_option(r, bins, "bins");
	}
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		r->skipped++;
		PG_RETURN_POINTER(r);
	}
	score = PG_GETARG_FLOAT8(1);
	if (PG_NARGS() > 3 && !(score >= 0 && score <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a score is no probability"),
				 errdetail("It is %g.", score),
				 errhint("Calibration asks for scores from 0 to 1.")));
	add_row(fcinfo, r, &score, 1, PG_GETARG_BOOL(2));
	PG_RETURN_POINTER(r);
}

/* Orders two rows by their numbers, then by label. */
static int
compare_rows(const void *a, const void *b, void *arg)
{
	int			width = *(int *) arg;
	const double *x = a;
	const double *y = b;

	for (int j = 0; j < width; j++)
		if (x[j] != y[j])
			return x[j] < y[j] ? -1 : 1;
	return 0;
}

/* Sorts the rows and parts numbers from labels; both live in the current context. Returns how many labels are true. */
static int64
part_rows(LabelledRows *r, double **x, double **target)
{
	int			width = r->p + 1;
	int64		positives = 0;

	cdp_graph_reserve((uint64) r->room * width * sizeof(double) + (uint64) r->n * width * sizeof(double) * 2, "Labelled rows");
	if (r->n > 0)
		qsort_arg(r->x, r->n, sizeof(double) * width, compare_rows, &width);
	*x = palloc_extended(sizeof(double) * Max((Size) r->n * r->p, 1), MCXT_ALLOC_HUGE);
	*target = palloc_extended(sizeof(double) * Max((Size) r->n, 1), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < r->n; i++)
	{
		memcpy(*x + i * r->p, r->x + i * width, sizeof(double) * r->p);
		(*target)[i] = r->x[i * width + r->p];
		positives += (*target)[i] > 0.5;
	}
	return positives;
}

/* Appends a number as JSON has it: all digits, null for what is none. */
static void
put_number(StringInfo buf, double x)
{
	if (isnan(x) || isinf(x))
		appendStringInfoString(buf, "null");
	else
		appendStringInfoString(buf, float8out_internal(x));
}

/* Appends a member that is a number. */
static void
put_member(StringInfo buf, const char *name, double x)
{
	appendStringInfo(buf, ", \"%s\": ", name);
	put_number(buf, x);
}

/* Appends a member that is a list of numbers. */
static void
put_list(StringInfo buf, const char *name, const double *x, int n)
{
	appendStringInfo(buf, ", \"%s\": [", name);
	for (int j = 0; j < n; j++)
	{
		if (j > 0)
			appendStringInfoString(buf, ", ");
		put_number(buf, x[j]);
	}
	appendStringInfoChar(buf, ']');
}

/* The names of the features: those that were given, or f1, f2, ... */
static char **
feature_names(const LabelledRows *r)
{
	char	  **name = palloc(sizeof(char *) * Max(r->p, 1));
	Datum	   *given = NULL;
	bool	   *null = NULL;
	int			n = 0;

	if (r->names != NULL)
		deconstruct_array(r->names, TEXTOID, -1, false, TYPALIGN_INT, &given, &null, &n);
	if (r->names != NULL && n != r->p)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there is not one name for each feature"),
				 errdetail("There are %d names and %d features.", n, r->p),
				 errhint("Give a name for each feature, in their order, or NULL.")));
	for (int j = 0; j < r->p; j++)
		name[j] = n > 0 && !null[j] ? TextDatumGetCString(given[j]) : psprintf("f%d", j + 1);
	return name;
}

/* Turns JSON text into a value. */
static Datum
value_of(StringInfo buf)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf->data));
}

CDP_FUNCTION(cdp_model_final);

/* Final function of cdp.fraud_model_fit: the model as jsonb. */
Datum
cdp_model_final(PG_FUNCTION_ARGS)
{
	LabelledRows *r = PG_ARGISNULL(0) ? palloc0(sizeof(LabelledRows)) : (LabelledRows *) PG_GETARG_POINTER(0);
	CdpLogistic m;
	double	   *x;
	double	   *target;
	double	   *score;
	bool	   *label;
	bool		known;
	char	  **name;
	int64		positives = part_rows(r, &x, &target);
	StringInfoData buf;

	if (positives == 0 || positives == r->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a model needs rows of both labels"),
				 errdetail("Of " INT64_FORMAT " rows without NULL, " INT64_FORMAT " are true.", r->n, positives),
				 errhint("Review more cases first, of both sorts.")));
	name = feature_names(r);
	cdp_logistic_fit(&m, x, target, r->n, r->p, r->option);
	score = palloc_extended(sizeof(double) * r->n, MCXT_ALLOC_HUGE);
	label = palloc_extended(sizeof(bool) * r->n, MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < r->n; i++)
	{
		score[i] = m.intercept;
		for (int j = 0; j < r->p; j++)
			score[i] += m.beta[j] * x[i * r->p + j];
		label[i] = target[i] > 0.5;
	}
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"features\": [");
	for (int j = 0; j < r->p; j++)
	{
		if (j > 0)
			appendStringInfoString(&buf, ", ");
		escape_json(&buf, name[j]);
	}
	appendStringInfoString(&buf, "], \"dropped\": [");
	for (int j = 0, n = 0; j < r->p; j++)
		if (m.dropped[j])
		{
			if (n++ > 0)
				appendStringInfoString(&buf, ", ");
			escape_json(&buf, name[j]);
		}
	appendStringInfoChar(&buf, ']');
	put_list(&buf, "mean", m.mean, r->p);
	put_list(&buf, "sd", m.scale, r->p);
	put_list(&buf, "beta", m.beta, r->p);
	put_list(&buf, "standard_error", m.error, r->p);
	put_member(&buf, "intercept", m.intercept);
	put_member(&buf, "intercept_standard_error", m.intercept_error);
	put_member(&buf, "l2", m.l2);
	put_member(&buf, "rows", (double) r->n);
	put_member(&buf, "positives", (double) positives);
	put_member(&buf, "skipped", (double) r->skipped);
	put_member(&buf, "deviance", m.deviance);
	put_member(&buf, "null_deviance", m.null_deviance);
	put_member(&buf, "auc", cdp_auc(score, label, r->n, &known));
	put_member(&buf, "iterations", m.iterations);
	appendStringInfo(&buf, ", \"converged\": %s, \"separated\": %s}", m.converged ? "true" : "false", m.separated ? "true" : "false");
	PG_RETURN_DATUM(value_of(&buf));
}

CDP_FUNCTION(cdp_auc_final);

/* Final function of cdp.fraud_auc; NULL without rows of both labels. */
Datum
cdp_auc_final(PG_FUNCTION_ARGS)
{
	LabelledRows *r = PG_ARGISNULL(0) ? palloc0(sizeof(LabelledRows)) : (LabelledRows *) PG_GETARG_POINTER(0);
	double	   *x;
	double	   *target;
	bool	   *label;
	bool		known;
	double		auc;

	(void) part_rows(r, &x, &target);
	label = palloc_extended(sizeof(bool) * Max((Size) r->n, 1), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < r->n; i++)
		label[i] = target[i] > 0.5;
	auc = cdp_auc(x, label, r->n, &known);
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(auc);
}

/* Appends the bins, which are equally wide, and the error that they show. */
static void
put_bins(StringInfo buf, const double *x, const double *target, int64 n, int bins)
{
	double		off = 0;
	int64		i = 0;
	bool		first = true;

	appendStringInfoString(buf, ", \"bins\": [");
	for (int bin = 0; bin < bins; bin++)
	{
		int64		count = 0;
		int64		positives = 0;
		double		sum = 0;

		/* Rows are sorted by score; the last bin has its upper bound too. */
		for (; i < n && (bin == bins - 1 || x[i] < (double) (bin + 1) / bins); i++)
		{
			count++;
			positives += target[i] > 0.5;
			sum += x[i];
		}
		if (count == 0)
			continue;
		off += fabs(sum - positives);
		appendStringInfo(buf, "%s{\"bin\": %d", first ? "" : ", ", bin + 1);
		first = false;
		put_member(buf, "from", (double) bin / bins);
		put_member(buf, "to", (double) (bin + 1) / bins);
		put_member(buf, "rows", (double) count);
		put_member(buf, "positives", (double) positives);
		put_member(buf, "mean_score", sum / count);
		put_member(buf, "rate", (double) positives / count);
		appendStringInfoChar(buf, '}');
	}
	appendStringInfoChar(buf, ']');
	put_member(buf, "expected_calibration_error", n > 0 ? off / n : get_float8_nan());
}

CDP_FUNCTION(cdp_calibration_final);

/* Final function of cdp.fraud_calibration: bins, Platt's scaling, Brier score, as jsonb; NULL without rows. */
Datum
cdp_calibration_final(PG_FUNCTION_ARGS)
{
	LabelledRows *r = PG_ARGISNULL(0) ? NULL : (LabelledRows *) PG_GETARG_POINTER(0);
	double	   *x;
	double	   *target;
	bool	   *label;
	double	   *smooth;
	double		squares = 0;
	double		auc;
	bool		known;
	int64		positives;
	StringInfoData buf;

	if (r == NULL || r->n == 0)
		PG_RETURN_NULL();
	positives = part_rows(r, &x, &target);
	label = palloc_extended(sizeof(bool) * r->n, MCXT_ALLOC_HUGE);
	smooth = palloc_extended(sizeof(double) * r->n, MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < r->n; i++)
	{
		label[i] = target[i] > 0.5;
		squares += (x[i] - target[i]) * (x[i] - target[i]);
		/* Platt 1999: targets that a fit can reach. */
		smooth[i] = label[i] ? (positives + 1.0) / (positives + 2.0) : 1 / (r->n - positives + 2.0);
	}
	auc = cdp_auc(x, label, r->n, &known);
	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"rows\": " INT64_FORMAT ", \"positives\": " INT64_FORMAT ", \"skipped\": " INT64_FORMAT, r->n, positives, r->skipped);
	put_member(&buf, "brier", squares / r->n);
	put_member(&buf, "auc", known ? auc : get_float8_nan());
	if (known)
	{
		CdpLogistic m;

		cdp_logistic_fit(&m, x, smooth, r->n, 1, 0);
		appendStringInfoString(&buf, ", \"platt\": {\"converged\": ");
		appendStringInfoString(&buf, m.converged ? "true" : "false");
		put_member(&buf, "intercept", m.intercept);
		put_member(&buf, "slope", m.beta[0]);
		appendStringInfoChar(&buf, '}');
	}
	else
		appendStringInfoString(&buf, ", \"platt\": null");
	put_bins(&buf, x, target, r->n, (int) r->option);
	appendStringInfoChar(&buf, '}');
	PG_RETURN_DATUM(value_of(&buf));
}

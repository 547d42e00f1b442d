/*
 * fit_agg.c
 *		The aggregates cdp.fit_...: histories of customers in, a fitted model as
 *		jsonb out.
 */
#include "segment/value/value.h"

#include <math.h>

#include "base/option.h"
#include "base/suggest.h"
#include "lib/stringinfo.h"
#include "segment/value/fit.h"
#include "utils/float.h"
#include "utils/jsonb.h"

#define FIRST_ROOM 1024

/* Rows of one fit, in the aggregate's context. */
typedef struct FitState
{
	MemoryContext cxt;
	const CdpValueModel *model;
	Jsonb	   *given;
	bool		vary;
	CdpFitOptions options;
	CdpFitRow  *rows;
	Size		n;
	Size		room;
} FitState;

static const char *const option_names[] = {"penalizer", "max_iterations", "tolerance"};

/* A number of the options. */
static double
option_number(const char *name, const JsonbValue *v, double least, double most)
{
	double		x = v->type != jbvNumeric ? NAN : DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric)));

	if (!(x >= least && x <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for fit option \"%s\"", name),
				 errdetail("A number from %g to %g is expected.", least, most)));
	return x;
}

/* Reads the options of a fit; an unknown one is an error with the nearest name. */
static void
read_options(Jsonb *jsonb, CdpFitOptions *o)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	*o = (CdpFitOptions) {.penalizer = 0, .max_iterations = 2000, .tolerance = 1e-7};
	if (jsonb == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fit options are no object"),
				 errhint("Give an object such as {\"penalizer\": 0.01}.")));
	it = JsonbIteratorInit(&jsonb->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		if (strcmp(name, option_names[0]) == 0)
			o->penalizer = option_number(name, &v, 0, 1e6);
		else if (strcmp(name, option_names[1]) == 0)
			o->max_iterations = (int) option_number(name, &v, 1, 100000);
		else if (strcmp(name, option_names[2]) == 0)
			o->tolerance = option_number(name, &v, 1e-8, 1);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown fit option \"%s\"", name),
					 cdp_suggest_hint(name, option_names, lengthof(option_names))));
	}
}

/* Starts a fit at its first row. */
static FitState *
start_fit(FunctionCallInfo fcinfo, const CdpValueModel *m, int options_arg)
{
	MemoryContext aggregate;
	MemoryContext old;
	FitState   *state;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "fit called outside an aggregate");
	old = MemoryContextSwitchTo(aggregate);
	state = palloc0(sizeof(FitState));
	state->cxt = aggregate;
	state->model = m;
	if (PG_NARGS() > options_arg)
	{
		state->given = PG_ARGISNULL(options_arg) ? NULL : PG_GETARG_JSONB_P_COPY(options_arg);
		state->vary = cdp_option_varies(fcinfo, options_arg);
	}
	read_options(state->given, &state->options);
	state->room = FIRST_ROOM;
	state->rows = palloc(sizeof(CdpFitRow) * state->room);
	MemoryContextSwitchTo(old);
	return state;
}

/* Makes room for a row: more memory, or where that is at its limit one row for customers of one history. */
static void
make_room(FitState *state)
{
	Size		limit = cdp_pass_memory_bytes(&cdp_value_memory) / (2 * sizeof(CdpFitRow));

	if (state->room * 2 <= limit)
	{
		state->room *= 2;
		state->rows = repalloc_huge(state->rows, sizeof(CdpFitRow) * state->room);
		return;
	}
	state->n = cdp_fit_order(state->rows, state->n);
	if (state->n > state->room - state->room / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the histories to fit do not fit into memory"),
				 errdetail("%zu different ones take more than %d kB.", state->n, cdp_value_memory.kilobytes),
				 errhint("Fit to a sample of customers, round ages, or raise %s.", cdp_value_memory.setting)));
}

/* One row of a fit: frequency, recency and age, or frequency and mean value; then weight and options, if given. */
static Datum
add_row(FunctionCallInfo fcinfo, const CdpValueModel *m)
{
	int			weight_arg = m->money ? 3 : 4;
	FitState   *state = PG_ARGISNULL(0) ? start_fit(fcinfo, m, weight_arg + 1) : (FitState *) PG_GETARG_POINTER(0);
	CdpFitRow	row = {.weight = 1};

	if (unlikely(state->vary))
		cdp_option_same(fcinfo, weight_arg + 1, state->given, "fit");
	for (int arg = 1; arg < PG_NARGS() && arg <= weight_arg; arg++)
		if (PG_ARGISNULL(arg))
			PG_RETURN_POINTER(state);
	/* who bought once has no mean value of repeat purchases */
	if (m->money && PG_GETARG_FLOAT8(1) == 0)
		PG_RETURN_POINTER(state);
	row.history = cdp_history(m, PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), m->money ? 0 : PG_GETARG_FLOAT8(3));
	if (PG_NARGS() > weight_arg)
		row.weight = PG_GETARG_FLOAT8(weight_arg);
	if (!(row.weight >= 0 && row.weight <= CDP_MAX_VALUE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a weight of %g cannot be", row.weight),
				 errdetail("It is from 0 to %g.", CDP_MAX_VALUE)));
	if (row.weight == 0)
		PG_RETURN_POINTER(state);
	if (state->n == state->room)
		make_room(state);
	state->rows[state->n++] = row;
	PG_RETURN_POINTER(state);
}

#define FIT_ADD(name) \
	CDP_FUNCTION(cdp_fit_##name##_add); \
	/* One row of cdp.fit_<name>. */ \
	Datum \
	cdp_fit_##name##_add(PG_FUNCTION_ARGS) \
	{ \
		return add_row(fcinfo, &cdp_model_##name); \
	}

FIT_ADD(bgnbd)
FIT_ADD(mbgnbd)
FIT_ADD(paretonbd)
FIT_ADD(bgbb)
FIT_ADD(gammagamma)

/* Refuses rows that no parameters can be told from. */
static void
check_rows(const FitState *state)
{
	bool		repeats = false;
	bool		aged = false;

	for (Size i = 0; i < state->n; i++)
	{
		repeats |= state->rows[i].history.frequency > 0;
		aged |= state->rows[i].history.age > 0;
	}
	if (!repeats)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s cannot be fitted: nobody bought again", state->model->title),
				 errdetail("%zu different histories, all with frequency 0.", state->n),
				 errhint("Take a longer time, or customers with repeat purchases.")));
	if (!aged && !state->model->money)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s cannot be fitted: no time has passed", state->model->title),
				 errdetail("All ages are 0."),
				 errhint("Ages count from the first purchase to the end of what is known.")));
	if (state->n < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s cannot be fitted to one history", state->model->title),
				 errdetail("All customers have the same figures."),
				 errhint("How customers differ can only be told from different ones.")));
}

/* Appends a member; a number that is not finite is null. */
static void
append_number(StringInfo buf, const char *name, double x)
{
	if (buf->data[buf->len - 1] != '{')
		appendStringInfoString(buf, ", ");
	appendStringInfo(buf, "\"%s\": %s", name, isfinite(x) ? float8out_internal(x) : "null");
}

CDP_FUNCTION(cdp_fit_final);

/* The final function of all fits: the fitted model, in the caller's context. */
Datum
cdp_fit_final(PG_FUNCTION_ARGS)
{
	FitState   *state;
	CdpFit		fit;
	StringInfoData buf;
	bool		first = true;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (FitState *) PG_GETARG_POINTER(0);
	if (state->n == 0)
		PG_RETURN_NULL();
	state->n = cdp_fit_order(state->rows, state->n);
	check_rows(state);
	cdp_fit(state->model, &state->options, state->rows, state->n, &fit);
	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"model\": \"%s\"", state->model->name);
	for (int i = 0; i < state->model->n; i++)
		append_number(&buf, state->model->parameter[i], fit.parameter[i]);
	append_number(&buf, "log_likelihood", fit.log_likelihood);
	append_number(&buf, "customers", fit.customers);
	appendStringInfo(&buf, ", \"histories\": %zu, \"iterations\": %d, \"evaluations\": %d, \"converged\": %s", state->n,
					 fit.found.iterations, fit.found.evaluations, fit.found.converged ? "true" : "false");
	append_number(&buf, "gradient", fit.found.gradient);
	append_number(&buf, "penalizer", state->options.penalizer);
	appendStringInfoString(&buf, ", \"at_bound\": [");
	for (int i = 0; i < state->model->n; i++)
		if (fit.found.at_bound[i])
		{
			appendStringInfo(&buf, "%s\"%s\"", first ? "" : ", ", state->model->parameter[i]);
			first = false;
		}
	appendStringInfoString(&buf, "], \"standard_errors\": {");
	for (int i = 0; i < state->model->n; i++)
		append_number(&buf, state->model->parameter[i], fit.error[i]);
	appendStringInfoString(&buf, "}}");
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

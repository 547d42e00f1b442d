/*
 * expect.c
 *		What a fitted model says about a customer: alive or not, purchases and value
 *		to come.
 */
#include "segment/value/value.h"

#include <math.h>

/* More steps of discounting than this are a mistake. */
#define MAX_STEPS 100000

/* A result; overflow is an error, not infinity. */
static Datum
result_of(double x)
{
	if (!isfinite(x))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the model's answer is out of range")));
	return Float8GetDatum(x);
}

/* The history in three arguments from `arg` on; without them that of a new customer. */
static CdpHistory
history_of(FunctionCallInfo fcinfo, const CdpValueModel *m, int arg)
{
	if (PG_NARGS() <= arg)
		return (CdpHistory) {0};
	return cdp_history(m, PG_GETARG_FLOAT8(arg), PG_GETARG_FLOAT8(arg + 1), PG_GETARG_FLOAT8(arg + 2));
}

/* Checks a horizon. */
static double
checked_horizon(const CdpValueModel *m, double horizon)
{
	if (!(horizon >= 0 && horizon <= (m->discrete ? CDP_MAX_PERIODS : CDP_MAX_AGE)) ||
		(m->discrete && horizon != floor(horizon)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a horizon of %g cannot be", horizon),
				 m->discrete ? errdetail("BG/BB counts whole periods, at most %d.", CDP_MAX_PERIODS)
				 : errdetail("It is from 0 to %g of the unit of time of the fit.", CDP_MAX_AGE)));
	return horizon;
}

CDP_FUNCTION(cdp_probability_alive);

/* cdp.probability_alive(fit, frequency, recency, age). */
Datum
cdp_probability_alive(PG_FUNCTION_ARGS)
{
	const CdpParams *fit = cdp_params(fcinfo, 0, false);
	CdpHistory	h = history_of(fcinfo, fit->model, 1);

	return result_of(fit->model->alive(fit->p, &h));
}

CDP_FUNCTION(cdp_expected_purchases);

/* cdp.expected_purchases(fit, horizon [, frequency, recency, age]). */
Datum
cdp_expected_purchases(PG_FUNCTION_ARGS)
{
	const CdpParams *fit = cdp_params(fcinfo, 0, false);
	double		horizon = checked_horizon(fit->model, PG_GETARG_FLOAT8(1));
	CdpHistory	h = history_of(fcinfo, fit->model, 2);

	return result_of(cdp_model_expected(fit->model, fit->p, &h, horizon));
}

CDP_FUNCTION(cdp_purchase_probability);

/* cdp.purchase_probability(fit, n, horizon [, frequency, recency, age]). */
Datum
cdp_purchase_probability(PG_FUNCTION_ARGS)
{
	const CdpParams *fit = cdp_params(fcinfo, 0, false);
	int32		n = PG_GETARG_INT32(1);
	double		horizon = checked_horizon(fit->model, PG_GETARG_FLOAT8(2));
	CdpHistory	h = history_of(fcinfo, fit->model, 3);

	if (n < 0 || n > CDP_MAX_PERIODS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d purchases cannot be asked for", n),
				 errdetail("It is from 0 to %d.", CDP_MAX_PERIODS)));
	return result_of(cdp_model_probability(fit->model, fit->p, &h, n, horizon));
}

CDP_FUNCTION(cdp_model_log_likelihood);

/* cdp.model_log_likelihood(fit, frequency, recency, age), or (fit, frequency, mean value). */
Datum
cdp_model_log_likelihood(PG_FUNCTION_ARGS)
{
	bool		money = PG_NARGS() == 3;
	const CdpParams *fit = cdp_params(fcinfo, 0, money);
	CdpHistory	h = cdp_history(fit->model, PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), money ? 0 : PG_GETARG_FLOAT8(3));

	if (money && h.frequency == 0)
		return Float8GetDatum(0);
	return result_of(fit->model->of_frequency(fit->p, h.frequency) + fit->model->of_row(fit->p, &h));
}

CDP_FUNCTION(cdp_expected_value);

/* cdp.expected_value(fit, frequency, mean value); NULL where the mean does not exist. */
Datum
cdp_expected_value(PG_FUNCTION_ARGS)
{
	const CdpParams *fit;
	CdpHistory	h = {0};
	double		p;
	double		q;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	fit = cdp_params(fcinfo, 0, true);
	/* without a repeat purchase there is no mean value: what all customers spend */
	if (PG_GETARG_FLOAT8(1) != 0)
	{
		if (PG_ARGISNULL(2))
			PG_RETURN_NULL();
		h = cdp_history(fit->model, PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), 0);
	}
	p = fit->p[0];
	q = fit->p[1];
	if (p * h.frequency + q <= 1)
		PG_RETURN_NULL();
	return result_of(p * (fit->p[2] + h.frequency * h.recency) / (p * h.frequency + q - 1));
}

CDP_FUNCTION(cdp_lifetime_value);

/* cdp.lifetime_value(fit, value, horizon, discount rate, step, frequency, recency, age). */
Datum
cdp_lifetime_value(PG_FUNCTION_ARGS)
{
	const CdpParams *fit = cdp_params(fcinfo, 0, false);
	double		value = PG_GETARG_FLOAT8(1);
	double		horizon = checked_horizon(fit->model, PG_GETARG_FLOAT8(2));
	double		rate = PG_GETARG_FLOAT8(3);
	double		step = checked_horizon(fit->model, PG_GETARG_FLOAT8(4));
	CdpHistory	h = history_of(fcinfo, fit->model, 5);
	double		alive = fit->model->alive(fit->p, &h);
	double		q[CDP_MODEL_PARAMETERS];
	double		before = 0;
	double		bought_before = 0;
	double		bought;
	double		sum = 0;

	if (!(fabs(value) <= CDP_MAX_VALUE) || !(rate > -1 && rate <= CDP_MAX_VALUE) || !(step > 0 && horizon / step <= MAX_STEPS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lifetime value cannot be told from these numbers"),
				 errdetail("value %g, discount rate %g, horizon %g, step %g", value, rate, horizon, step),
				 errhint("The discount rate is above -1 (0.01 is one per cent a step), and a horizon has at most %d steps.", MAX_STEPS)));
	fit->model->after(fit->p, &h, q);
	for (int i = 1; before < horizon; i++)
	{
		double		until = fmin(i * step, horizon);

		CHECK_FOR_INTERRUPTS();
		/* both are rounded, so that next to nothing might be less than that */
		bought = fit->model->mean(q, until);
		sum += fmax(bought - bought_before, 0) / pow(1 + rate, until / step);
		bought_before = bought;
		before = until;
	}
	return result_of(value * alive * sum);
}

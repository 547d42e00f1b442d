/*
 * params.c
 *		Fitted models as they come in jsonb, histories as they come in columns, and
 *		the setting of the memory that passes over them may use.
 */
#include "segment/value/value.h"

#include <limits.h>
#include <math.h>

#include "base/suggest.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

/* A call has at most two fits. */
#define FITS 2
#define LEAST_PARAMETER 1e-12
#define LARGEST_PARAMETER 1e12

CdpPassMemory cdp_value_memory = {"customer value", "cdp.value_memory", 1024 * 1024, "value fewer kinds of touchpoints"};

/* Defines the settings; called once, when the library is loaded. */
void
cdp_value_settings(void)
{
	DefineCustomIntVariable(cdp_value_memory.setting,
							"Memory that one pass over purchases or one fit of a model may use.",
							"Above it purchases go to temporary files; what cannot be spilled is an error.",
							&cdp_value_memory.kilobytes,
							1024 * 1024,
							16 * 1024,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

static const CdpValueModel *const models[] = {
	&cdp_model_bgnbd, &cdp_model_mbgnbd, &cdp_model_paretonbd, &cdp_model_bgbb, &cdp_model_gammagamma,
};

/* Fits of a call as they were at its last row. */
typedef struct Known
{
	MemoryContext cxt;
	Jsonb	   *given[FITS];
	CdpParams	params[FITS];
} Known;

/* A value of an object; NULL when it is not there. */
static JsonbValue *
member(Jsonb *jsonb, const char *name)
{
	return getKeyJsonValueFromContainer(&jsonb->root, name, strlen(name), NULL);
}

/* Which model a fit names. */
static const CdpValueModel *
model_of(Jsonb *jsonb, bool money)
{
	JsonbValue *v = JB_ROOT_IS_OBJECT(jsonb) ? member(jsonb, "model") : NULL;
	const char *names[lengthof(models)];
	char	   *name;

	if (v == NULL || v->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a fit names no model"),
				 errhint("Give the result of cdp.fit_bgnbd(...) or another fit, or an object such as {\"model\": \"bgnbd\", \"r\": 0.243, \"alpha\": 4.414, \"a\": 0.793, \"b\": 2.426}.")));
	name = pnstrdup(v->val.string.val, v->val.string.len);
	for (int i = 0; i < lengthof(models); i++)
	{
		names[i] = models[i]->name;
		if (strcmp(name, names[i]) != 0)
			continue;
		if (models[i]->money != money)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s says nothing about %s", models[i]->title, money ? "what customers spend" : "how often customers buy"),
					 errhint("Give the result of %s.", money ? "cdp.fit_gammagamma(...)" : "cdp.fit_bgnbd(...), cdp.fit_mbgnbd(...), cdp.fit_paretonbd(...) or cdp.fit_bgbb(...)")));
		return models[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown model \"%s\"", name),
			 cdp_suggest_hint(name, names, lengthof(models))));
}

/* Reads a fit. */
static void
read_params(Jsonb *jsonb, bool money, CdpParams *params)
{
	params->model = model_of(jsonb, money);
	for (int i = 0; i < params->model->n; i++)
	{
		const char *name = params->model->parameter[i];
		JsonbValue *v = member(jsonb, name);

		params->p[i] = v == NULL || v->type != jbvNumeric ? 0 :
			DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric)));
		if (!(params->p[i] >= LEAST_PARAMETER && params->p[i] <= LARGEST_PARAMETER))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("parameter \"%s\" of %s is missing or out of range", name, params->model->title),
					 errdetail("A number from %g to %g is expected.", LEAST_PARAMETER, LARGEST_PARAMETER)));
	}
}

/* The fit in an argument: of money, or of purchases. What it points to lasts as long as the function's fmgr data. */
const CdpParams *
cdp_params(FunctionCallInfo fcinfo, int arg, bool money)
{
	Known	   *known = fcinfo->flinfo->fn_extra;
	Jsonb	   *jsonb = PG_GETARG_JSONB_P(arg);
	CdpParams	params;

	if (known == NULL)
	{
		known = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Known));
		fcinfo->flinfo->fn_extra = known;
	}
	if (known->given[money] != NULL && VARSIZE(known->given[money]) == VARSIZE(jsonb) &&
		memcmp(known->given[money], jsonb, VARSIZE(jsonb)) == 0)
		return &known->params[money];
	read_params(jsonb, money, &params);
	if (known->given[money] != NULL)
		pfree(known->given[money]);
	known->given[money] = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, VARSIZE(jsonb));
	memcpy(known->given[money], jsonb, VARSIZE(jsonb));
	known->params[money] = params;
	return &known->params[money];
}

/* Whether a number is a whole one within bounds. */
static bool
is_count(double x, double most)
{
	return x >= 0 && x <= most && x == floor(x);
}

/* Raises the error for a history that cannot be. */
CDP_NORETURN static void
bad_history(const CdpValueModel *m, double frequency, double recency, double age, const char *rule)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the history of a customer cannot be"),
			 m->money ? errdetail("frequency %g, mean value %g", frequency, recency)
			 : errdetail("frequency %g, recency %g, age %g", frequency, recency, age),
			 errhint("%s cdp.rfm_pass(...) makes such figures.", rule)));
}

/* A history from three numbers; for the money model recency is the mean value, and age counts for nothing. */
CdpHistory
cdp_history(const CdpValueModel *m, double frequency, double recency, double age)
{
	CdpHistory	h = {frequency, recency, m->money ? 0 : age};

	if (!is_count(frequency, CDP_MAX_FREQUENCY))
		bad_history(m, frequency, recency, age, "Frequency is a whole number from 0 to 1e9: purchases after the first.");
	if (m->money)
	{
		if (!(recency > 0 && recency <= CDP_MAX_VALUE))
			bad_history(m, frequency, recency, age, "The mean value of purchases is above 0: leave customers without out.");
		return h;
	}
	if (!(age >= 0 && age <= CDP_MAX_AGE && recency >= 0 && recency <= age))
		bad_history(m, frequency, recency, age, "Recency is the age at the last purchase, and age is at most 1e15.");
	if (frequency == 0 && recency != 0)
		bad_history(m, frequency, recency, age, "Without a second purchase recency is 0.");
	if (m->discrete && (!is_count(recency, CDP_MAX_PERIODS) || !is_count(age, CDP_MAX_PERIODS) || frequency > recency ||
						(frequency > 0) != (recency > 0)))
		bad_history(m, frequency, recency, age, "Recency and age are whole numbers of periods, at most 100000, with at most one purchase in each.");
	return h;
}

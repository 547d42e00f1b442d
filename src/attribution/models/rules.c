/*
 * rules.c
 *		Weights of the rule models: one journey in, whole units of 1e-15 out.
 *
 * Pure C over arrays. The weights of a conversion add up to exactly one
 * (participation: one for each distinct label); what rounding down leaves over
 * goes to the largest weight, of equal ones to the latest touch.
 */
#include "attribution/attribution.h"

#include <math.h>

#include "base/wire.h"

/* Turns weights with the given sum into units; the sum must be above zero. */
static void
weights_to_units(const double *weight, int n, double sum, int64 *units)
{
	int64		left = CDP_UNITS_ONE;
	int			largest = 0;

	for (int i = 0; i < n; i++)
	{
		units[i] = (int64) floor(weight[i] / sum * (double) CDP_UNITS_ONE);
		left -= units[i];
		if (weight[i] >= weight[largest])
			largest = i;
	}
	units[largest] += left;
}

/* All of the credit to one touch. */
static void
one_touch(int n, int i, int64 *units)
{
	memset(units, 0, sizeof(int64) * n);
	units[i] = CDP_UNITS_ONE;
}

/* The same weight for every touch. */
static void
equal_units(int n, int64 *units)
{
	int64		each = (int64) floor(1.0 / n * (double) CDP_UNITS_ONE);

	for (int i = 0; i < n; i++)
		units[i] = each;
	units[n - 1] += CDP_UNITS_ONE - each * n;
}

/* first_non and last_non; returns what stays unattributed. */
static int64
passing_over(const CdpModel *m, const CdpOptions *o, const bool *passed_over, const CdpJourney *j, int64 *units)
{
	bool		last = m->kind == CDP_MODEL_LAST_NON;

	for (int k = 0; k < j->n; k++)
	{
		int			i = last ? j->n - 1 - k : k;

		if (!passed_over[j->label[i]])
		{
			one_touch(j->n, i, units);
			return 0;
		}
	}
	if (o->fallback_plain)
	{
		one_touch(j->n, last ? j->n - 1 : 0, units);
		return 0;
	}
	memset(units, 0, sizeof(int64) * j->n);
	return CDP_UNITS_ONE;
}

/* Shares for the first and the last touch, the rest for those between. */
static void
position_weights(const CdpModel *m, const CdpOptions *o, int n, double *weight)
{
	double		first = m->param[0];
	double		last = m->param[1];
	double		middle = 1 - first - last;

	if (n == 1)
		weight[0] = 1;
	else if (n == 2)
	{
		weight[0] = o->two_touch_split || first + last <= 0 ? first + middle / 2 : first / (first + last);
		weight[1] = 1 - weight[0];
	}
	else
	{
		for (int i = 1; i < n - 1; i++)
			weight[i] = Max(middle, 0) / (n - 2);
		weight[0] = first;
		weight[n - 1] = last;
	}
}

/* Shares for the first touch, the last touch before each milestone, the last touch, and the rest. */
static void
milestone_weights(const CdpModel *m, const CdpJourney *j, double *weight)
{
	int			nmilestones = m->nparams - 3;
	int			rest = 0;

	memset(weight, 0, sizeof(double) * j->n);
	weight[0] += m->param[0];
	for (int k = 0; k < nmilestones; k++)
		if (j->anchor[k] >= 0)
			weight[j->anchor[k]] += m->param[1 + k];
	weight[j->n - 1] += m->param[nmilestones + 1];
	for (int i = 0; i < j->n; i++)
		rest += weight[i] == 0;
	for (int i = 0; i < j->n; i++)
		if (weight[i] == 0)
			weight[i] = m->param[nmilestones + 2] / rest;
}

/* Halves with age; ages count from the youngest touch, so that nothing underflows for all of them. */
static void
decay_weights(const CdpModel *m, const CdpJourney *j, double *weight)
{
	int64		newest;

	/* Our own journeys of such a model have times; bytes from outside need not. */
	if (j->at == NULL)
		cdp_wire_broken("a journey without times, under a model that needs them");
	newest = j->at[j->n - 1];
	for (int i = 0; i < j->n; i++)
	{
		if (m->step)
			weight[i] = exp2((double) (((int128) j->ended_at - newest) / m->half_life -
									   ((int128) j->ended_at - j->at[i]) / m->half_life));
		else
			weight[i] = exp2(-(double) ((int128) newest - j->at[i]) / (double) m->half_life);
	}
}

/* Given weights by rank from the conversion; when none of them applies, all touches share equally. */
static void
custom_weights(const CdpModel *m, int n, double *weight)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
	{
		int			rank = n - 1 - i;

		weight[i] = rank < m->nparams ? m->param[rank] : 0;
		sum += weight[i];
	}
	for (int i = 0; sum <= 0 && i < n; i++)
		weight[i] = 1;
}

/* Counts how often each label of the journey occurs, in work->times; returns the number of labels. */
static int
count_labels(const CdpJourney *j, CdpRuleWork *work)
{
	int			distinct = 0;

	work->round++;
	for (int i = 0; i < j->n; i++)
	{
		uint32		label = j->label[i];

		if (work->stamp[label] != work->round)
		{
			work->stamp[label] = work->round;
			work->times[label] = 0;
			distinct++;
		}
		work->times[label]++;
	}
	return distinct;
}

/* One whole unit for each label, on its first touch. */
static void
participation_units(const CdpJourney *j, CdpRuleWork *work, int64 *units)
{
	work->round++;
	for (int i = 0; i < j->n; i++)
	{
		units[i] = work->stamp[j->label[i]] != work->round ? CDP_UNITS_ONE : 0;
		work->stamp[j->label[i]] = work->round;
	}
}

/* Touches of the conversion's session share equally; returns what stays unattributed. */
static int64
session_units(const CdpJourney *j, CdpRuleWork *work, int64 *units)
{
	double		sum = 0;

	for (int i = 0; i < j->n; i++)
	{
		work->weight[i] = j->session != NULL && j->conversion_session != CDP_NO_ID &&
			j->session[i] == j->conversion_session;
		sum += work->weight[i];
	}
	if (sum == 0)
	{
		memset(units, 0, sizeof(int64) * j->n);
		return CDP_UNITS_ONE;
	}
	weights_to_units(work->weight, j->n, sum, units);
	return 0;
}

/* Tells whether the number of touches alone decides the weights, so that they can be kept in a table. */
bool
cdp_rule_by_length(const CdpModel *m)
{
	return m->kind == CDP_MODEL_LINEAR || m->kind == CDP_MODEL_POSITION || m->kind == CDP_MODEL_EXPONENTIAL ||
		m->kind == CDP_MODEL_RAMP || m->kind == CDP_MODEL_CUSTOM;
}

/*
 * Writes the units of each touch of a journey that has one at least; returns
 * the units that stay unattributed. The caller owns all arrays.
 */
int64
cdp_rule_units(const CdpModel *m, const CdpOptions *o, const bool *passed_over, const CdpJourney *j,
			   CdpRuleWork *work, int64 *units)
{
	double	   *weight = work->weight;
	int			n = j->n;
	double		sum = 0;
	int			distinct;

	switch (m->kind)
	{
		case CDP_MODEL_FIRST:
			one_touch(n, 0, units);
			return 0;
		case CDP_MODEL_LAST:
			one_touch(n, n - 1, units);
			return 0;
		case CDP_MODEL_FIRST_NON:
		case CDP_MODEL_LAST_NON:
			return passing_over(m, o, passed_over, j, units);
		case CDP_MODEL_LINEAR:
			equal_units(n, units);
			return 0;
		case CDP_MODEL_PARTICIPATION:
			participation_units(j, work, units);
			return 0;
		case CDP_MODEL_SAME_TOUCH:
			return session_units(j, work, units);
		case CDP_MODEL_LINEAR_UNIQUE:
			distinct = count_labels(j, work);
			for (int i = 0; i < n; i++)
				weight[i] = 1.0 / ((double) distinct * work->times[j->label[i]]);
			break;
		case CDP_MODEL_POSITION:
			position_weights(m, o, n, weight);
			break;
		case CDP_MODEL_MILESTONES:
			milestone_weights(m, j, weight);
			break;
		case CDP_MODEL_TIME_DECAY:
			decay_weights(m, j, weight);
			break;
		case CDP_MODEL_EXPONENTIAL:
			weight[n - 1] = 1;
			for (int i = n - 2; i >= 0; i--)
				weight[i] = weight[i + 1] * m->param[0];
			break;
		case CDP_MODEL_RAMP:
			for (int i = 0; i < n; i++)
				weight[i] = i + 1;
			break;
		case CDP_MODEL_CUSTOM:
			custom_weights(m, n, weight);
			break;
		default:
			memset(units, 0, sizeof(int64) * n);
			return CDP_UNITS_ONE;
	}
	for (int i = 0; i < n; i++)
		sum += weight[i];
	weights_to_units(weight, n, sum, units);
	return 0;
}

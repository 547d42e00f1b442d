/*
 * shapley.c
 *		Shapley values over label sets. See shapley.h and coalitions.h.
 *
 * With R(T) the conversions (or value) of journeys whose set of labels is
 * exactly T, the sum game v(S) = sum of R(T), T in S, has the Shapley value
 * sum of R(T) / |T| over the sets T with the label: its Harsanyi dividends are
 * R itself (Zhao, Mahboobi, Bagheri, arXiv 1804.05327). The rate game
 * v(S) = C / (C + N) of the journeys inside S has no such short form; it is
 * enumerated. Sums run in canonical order and in long double, so that results
 * do not depend on the order of the input.
 */
#include "cdp.h"

#include "port/pg_bitutils.h"

#include "attribution/models/shapley.h"

/* Fails when more was subtracted than had been added. */
static void
check_counts(const CdpCounts *c)
{
	if (c->conversions < 0 || c->nulls < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("journeys were subtracted that had not been added"),
				 errhint("Compute the partial again from its touches.")));
}

/* Writes long double sums as doubles and frees them. */
static void
put_sums(CdpLongDouble *sum, int nlabels, double *conv_credit, double *value_credit)
{
	for (int j = 0; j < nlabels; j++)
	{
		conv_credit[j] = (double) sum[2 * j];
		value_credit[j] = (double) (sum[2 * j + 1] / 1e6L);
	}
	pfree(sum);
}

/* Sums for each label: conversions, micro-units. */
static CdpLongDouble *
make_sums(int nlabels)
{
	return palloc_extended(Max((Size) nlabels, 1) * 2 * sizeof(CdpLongDouble), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* The sum game: each set shares equally. */
static void
shapley_simple(const CdpCoalitions *c, int nlabels, double *conv_credit, double *value_credit)
{
	uint32		count;
	uint32	   *order = cdp_pathtable_order(c->sets, &count, CurrentMemoryContext);
	CdpLongDouble *sum = make_sums(nlabels);

	for (uint32 i = 0; i < count; i++)
	{
		const CdpPath *set = &c->sets->path[order[i]];
		const uint32 *label = cdp_path_labels(c->sets, order[i]);

		CHECK_FOR_INTERRUPTS();
		check_counts(&set->sum);
		for (uint32 k = 0; k < set->n; k++)
		{
			sum[2 * label[k]] += (long double) set->sum.conversions / set->n;
			sum[2 * label[k] + 1] += (long double) set->sum.value / set->n;
		}
	}
	put_sums(sum, nlabels, conv_credit, value_credit);
	pfree(order);
}

/* The ordered game, summed over positions. */
static void
shapley_ordered(const CdpCoalitions *c, int nlabels, double *conv_credit, double *value_credit)
{
	uint32		count;
	CdpPlace   *place = cdp_coalitions_places(c, &count, CurrentMemoryContext);
	CdpLongDouble *sum = make_sums(nlabels);

	for (uint32 i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sum[2 * place[i].label] += (long double) place[i].conversions / place[i].divisor;
		sum[2 * place[i].label + 1] += (long double) place[i].value / place[i].divisor;
	}
	put_sums(sum, nlabels, conv_credit, value_credit);
	pfree(place);
}

/* ---- the rate game ---- */

typedef struct RateGame
{
	int			players;
	uint32	   *label;			/* [players] */
	int		   *player;			/* [nlabels] or -1 */
	/* [2 ^ players] of exactly this set, then of all its subsets, then worth */
	double	   *conv;
	double	   *value;
	double	   *journeys;
} RateGame;

/* Numbers the labels that occur; error 54000 when there are too many to enumerate. */
static void
rate_players(const CdpCoalitions *c, int nlabels, RateGame *g)
{
	g->label = palloc(CDP_SHAPLEY_RATE_LABELS * sizeof(uint32));
	g->player = palloc_extended(Max((Size) nlabels, 1) * sizeof(int), MCXT_ALLOC_HUGE);
	for (int j = 0; j < nlabels; j++)
		g->player[j] = -1;
	for (uint32 i = 0; i < c->sets->npaths; i++)
	{
		const CdpPath *set = &c->sets->path[i];

		CHECK_FOR_INTERRUPTS();
		check_counts(&set->sum);
		for (uint32 k = 0; k < set->n && !cdp_counts_zero(&set->sum); k++)
			g->player[cdp_path_labels(c->sets, i)[k]] = 0;
	}
	g->players = 0;
	for (int j = 0; j < nlabels; j++)
		if (g->player[j] == 0)
		{
			if (g->players < CDP_SHAPLEY_RATE_LABELS)
				g->label[g->players] = j;
			g->player[j] = g->players++;
		}
	if (g->players > CDP_SHAPLEY_RATE_LABELS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("shapley_rate looks at all sets of labels, which takes at most %d labels",
						CDP_SHAPLEY_RATE_LABELS),
				 errdetail("The journeys have %d labels.", g->players),
				 errhint("Group to fewer labels, or use shapley, which has no such limit.")));
}

/* Worth of each set: sums over its subsets (zeta transform), then rates. */
static void
rate_worth(const CdpCoalitions *c, RateGame *g)
{
	uint32		sets = UINT32_C(1) << g->players;

	for (uint32 i = 0; i < c->sets->npaths; i++)
	{
		const CdpPath *set = &c->sets->path[i];
		uint32		mask = 0;

		if (cdp_counts_zero(&set->sum))
			continue;
		for (uint32 k = 0; k < set->n; k++)
			mask |= UINT32_C(1) << g->player[cdp_path_labels(c->sets, i)[k]];
		g->conv[mask] += (double) set->sum.conversions;
		g->value[mask] += (double) set->sum.value;
		g->journeys[mask] += (double) set->sum.conversions + (double) set->sum.nulls;
	}
	for (int j = 0; j < g->players; j++)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint32 mask = 0; mask < sets; mask++)
			if (mask & (UINT32_C(1) << j))
			{
				uint32		without = mask ^ (UINT32_C(1) << j);

				g->conv[mask] += g->conv[without];
				g->value[mask] += g->value[without];
				g->journeys[mask] += g->journeys[without];
			}
	}
}

/* The rate game, rescaled so that the credits sum to all conversions and all value. */
static void
shapley_rate(const CdpCoalitions *c, int nlabels, double *conv_credit, double *value_credit)
{
	RateGame	g;
	uint32		sets;
	Size		bytes;
	double	   *worth;
	double		all;
	long double weight[CDP_SHAPLEY_RATE_LABELS + 1];
	CdpLongDouble *sum = make_sums(nlabels);

	rate_players(c, nlabels, &g);
	sets = UINT32_C(1) << g.players;
	bytes = (Size) sets * 3 * sizeof(double);
	cdp_budget_take(c->budget, bytes);
	worth = palloc0(bytes);
	g.conv = worth;
	g.value = worth + sets;
	g.journeys = worth + (Size) 2 * sets;
	rate_worth(c, &g);
	all = g.journeys[sets - 1];
	for (uint32 mask = 0; mask < sets; mask++)
		if (g.journeys[mask] > 0)
		{
			g.conv[mask] /= g.journeys[mask];
			g.value[mask] /= g.journeys[mask];
		}
	/* weight[s] = s! (p - s - 1)! / p! for a set of s others */
	for (int s = 0; s < g.players; s++)
	{
		weight[s] = 1.0L / g.players;
		for (int k = 1; k <= s; k++)
			weight[s] *= (long double) k / (g.players - k);
	}
	for (int j = 0; j < g.players; j++)
	{
		uint32		bit = UINT32_C(1) << j;

		CHECK_FOR_INTERRUPTS();
		for (uint32 mask = 0; mask < sets; mask++)
			if ((mask & bit) == 0)
			{
				long double w = weight[pg_popcount32(mask)] * all;

				sum[2 * g.label[j]] += w * ((long double) g.conv[mask | bit] - g.conv[mask]);
				sum[2 * g.label[j] + 1] += w * ((long double) g.value[mask | bit] - g.value[mask]);
			}
	}
	put_sums(sum, nlabels, conv_credit, value_credit);
	pfree(worth);
	cdp_budget_give(c->budget, bytes);
	pfree(g.label);
	pfree(g.player);
}

/*
 * Credits of all labels: conversions, and value in currency units; arrays of
 * nlabels, owned by the caller. They sum to the totals. Only the rate game can
 * give negative ones. ORDERED needs a table made with positions.
 */
void
cdp_shapley_credit(const CdpCoalitions *c, int nlabels, CdpShapleyKind kind,
				   double *conv_credit, double *value_credit)
{
	switch (kind)
	{
		case CDP_SHAPLEY_SIMPLE:
			shapley_simple(c, nlabels, conv_credit, value_credit);
			break;
		case CDP_SHAPLEY_ORDERED:
			if (!c->ordered)
				elog(ERROR, "label sets were counted without positions");
			shapley_ordered(c, nlabels, conv_credit, value_credit);
			break;
		case CDP_SHAPLEY_RATE:
			shapley_rate(c, nlabels, conv_credit, value_credit);
			break;
	}
}

/*
 * counterfactual.c
 *		Credit by taking one touch away: a touch is worth the conversion rate of
 *		its path less the rate of the same path without it, not below 0 (the
 *		rate of a path that nobody took is 0). A path shares its conversions and
 *		its value in proportion; when no touch is worth anything the last gets all.
 *
 * This is what google/fractribution calls Shapley; it is none, and is named here
 * for what it does.
 */
#include "cdp.h"

#include "attribution/models/shapley.h"

typedef struct Counterfactual
{
	const CdpPathTable *t;
	uint32	   *order;			/* paths by length, then labels */
	uint32		count;
	uint32	   *shorter;		/* scratch: a path without one touch */
	double	   *rate;			/* [longest path] rate without touch i */
} Counterfactual;

/* Conversion rate of a path. */
static double
path_rate(const CdpPath *p)
{
	double		journeys = (double) p->sum.conversions + (double) p->sum.nulls;

	if (p->sum.conversions < 0 || p->sum.nulls < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("journeys were subtracted that had not been added"),
				 errhint("Compute the partial again from its touches.")));
	return journeys > 0 ? (double) p->sum.conversions / journeys : 0;
}

/* Rates of a path without each touch, by looking each shorter path up. */
static void
rates_by_lookup(Counterfactual *w, const uint32 *label, uint32 n)
{
	memcpy(w->shorter, label + 1, (n - 1) * sizeof(uint32));
	for (uint32 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			w->shorter[i - 1] = label[i - 1];
		/* Without a touch or without its equal neighbour is the same path. */
		if (i > 0 && label[i] == label[i - 1])
			w->rate[i] = w->rate[i - 1];
		else
		{
			uint32		found = cdp_pathtable_find(w->t, w->shorter, (int) n - 1);

			w->rate[i] = found == CDP_PATH_NONE ? 0 : path_rate(&w->t->path[found]);
		}
	}
}

/* The same by comparing with each path that is one touch shorter: cheaper for long paths. */
static void
rates_by_comparison(Counterfactual *w, const uint32 *label, uint32 n, uint32 from, uint32 to)
{
	memset(w->rate, 0, n * sizeof(double));
	for (uint32 k = from; k < to; k++)
	{
		const uint32 *other = cdp_path_labels(w->t, w->order[k]);
		uint32		head = 0,
					tail = 0;

		CHECK_FOR_INTERRUPTS();
		while (head < n - 1 && other[head] == label[head])
			head++;
		while (tail < n - 1 && other[n - 2 - tail] == label[n - 1 - tail])
			tail++;
		for (uint32 i = n - 1 - tail; i <= head && head + tail >= n - 1; i++)
			w->rate[i] = path_rate(&w->t->path[w->order[k]]);
	}
}

/* Shares the conversions and value of one path out. */
static void
share_path(Counterfactual *w, const CdpPath *p, const uint32 *label, CdpLongDouble *sum)
{
	double		full = path_rate(p);
	long double total = 0;

	for (uint32 i = 0; i < p->n; i++)
	{
		w->rate[i] = Max(full - w->rate[i], 0);
		total += w->rate[i];
	}
	for (uint32 i = 0; i < p->n; i++)
	{
		long double share = total > 0 ? w->rate[i] / total : (i == p->n - 1);

		sum[2 * label[i]] += share * (long double) p->sum.conversions;
		sum[2 * label[i] + 1] += share * (long double) p->sum.value;
	}
}

/*
 * Credits of all labels: conversions, and value in currency units; arrays of
 * nlabels, owned by the caller. They sum to the totals.
 */
void
cdp_one_removed_credit(const CdpPathTable *t, int nlabels,
					   double *conv_credit, double *value_credit)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "cdp counterfactual", ALLOCSET_DEFAULT_SIZES);
	Counterfactual w = {0};
	CdpLongDouble *sum = MemoryContextAllocExtended(work, Max((Size) nlabels, 1) * 2 * sizeof(CdpLongDouble),
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint32		longest;
	uint32		from = 0,
				to = 0;			/* paths one touch shorter than the one at hand */

	w.t = t;
	w.order = cdp_pathtable_order(t, &w.count, work);
	longest = w.count > 0 ? t->path[w.order[w.count - 1]].n : 0;
	w.shorter = MemoryContextAllocHuge(work, Max((Size) longest, 1) * sizeof(uint32));
	w.rate = MemoryContextAllocHuge(work, Max((Size) longest, 1) * sizeof(double));
	for (uint32 k = 0; k < w.count; k++)
	{
		const CdpPath *p = &t->path[w.order[k]];
		const uint32 *label = cdp_path_labels(t, w.order[k]);

		CHECK_FOR_INTERRUPTS();
		while (to < k && t->path[w.order[to]].n < p->n)
			to++;
		while (from < to && t->path[w.order[from]].n + 1 < p->n)
			from++;
		if (p->sum.conversions == 0 && p->sum.value == 0)
			continue;
		if (p->n == 1)
			w.rate[0] = 0;
		else if (to - from < p->n)
			rates_by_comparison(&w, label, p->n, from, to);
		else
			rates_by_lookup(&w, label, p->n);
		share_path(&w, p, label, sum);
	}
	for (int j = 0; j < nlabels; j++)
	{
		conv_credit[j] = (double) sum[2 * j];
		value_credit[j] = (double) (sum[2 * j + 1] / 1e6L);
	}
	MemoryContextDelete(work);
}

/*
 * anomaly.c
 *		Judges the days of a series, each from the days before it only.
 *
 * A day is foretold on the transformed scale: the slope is the median of slopes
 * between days of one weekday (Sen 1968; Hirsch and Slack 1982), the level the
 * median of its weekday, moved by the median of what is left. Its score is its
 * error in units of 1.4826 times the median of past absolute one-step errors.
 * A day is never among those that foretell it, nor is its error among those
 * that it is judged by.
 *
 * Of few events a day an error says little: tails of the gamma-Poisson
 * predictive distribution judge them, and runs of zero days together.
 */
#include "connector/daily/anomaly.h"

#include <math.h>

#include "base/distribution.h"

/* The normal distribution's standard deviation over its median absolute deviation. */
#define MAD_SIGMA 1.4826022185056018
/* More events in a bundle than this are those of a level that is gone. */
#define MOST_BUNDLE 1000.0
/* Beyond it a count has no neighbour. */
#define MOST_COUNT 4503599627370496.0
/* Days that a weekday's mean is drawn to the mean of all with. */
#define PRIOR_DAYS 3.0

typedef struct Work
{
	const CdpAnomalyOptions *o;
	const CdpAnomalyPoint *point;
	double	   *y;				/* [point] transformed */
	double	   *error;			/* [point] one-step, NaN = none */
	double	   *left;			/* [window] */
	double	   *some;			/* [window] */
	double	   *slope;			/* [pairs of the window] */
	int		   *train;			/* [two windows] points */
	int			n;				/* of train */
} Work;

/* What a day is foretold as. */
typedef struct Forecast
{
	double		y;				/* transformed; NaN = not foretold */
	int			same;			/* days of its weekday that tell */
} Forecast;

/* The k-th smallest of n numbers, which change places. */
static double
kth(double *x, int n, int k)
{
	int			from = 0;
	int			to = n - 1;

	while (from < to)
	{
		double		pivot = x[from + (to - from) / 2];
		int			i = from;
		int			j = to;

		while (i <= j)
		{
			while (x[i] < pivot)
				i++;
			while (x[j] > pivot)
				j--;
			if (i <= j)
			{
				double		swap = x[i];

				x[i++] = x[j];
				x[j--] = swap;
			}
		}
		if (k <= j)
			to = j;
		else if (k >= i)
			from = i;
		else
			break;
	}
	return x[k];
}

/* The median of n numbers (mean of the middle two), which change places; NaN of none. */
double
cdp_median(double *x, int n)
{
	double		upper;
	double		lower;

	if (n == 0)
		return NAN;
	upper = kth(x, n, n / 2);
	if (n % 2 == 1)
		return upper;
	/* what is below the middle stands before it */
	lower = x[0];
	for (int i = 1; i < n / 2; i++)
		lower = Max(lower, x[i]);
	return lower + (upper - lower) / 2;
}

/* A value on the scale where errors have one size. Source: Anscombe, Biometrika 35 (1948). */
double
cdp_transform(int transform, double x)
{
	return transform == CDP_TRANSFORM_ANSCOMBE ? 2 * sqrt(x + 0.375) : x;
}

/* The value that cdp_transform() takes there; counts are not below 0. */
double
cdp_transform_back(int transform, double y)
{
	if (transform != CDP_TRANSFORM_ANSCOMBE)
		return y;
	return y <= 0 ? 0 : Max(0, y * y / 4 - 0.375);
}

/* The place of a day in its season, from 0. */
static inline int
place_of(const CdpAnomalyOptions *o, int32 day)
{
	int			place = day % o->season;

	return place < 0 ? place + o->season : place;
}

/* Whether the value of a day says what to expect of later ones. */
static inline bool
trains(const CdpAnomalyPoint *p)
{
	return p->state == CDP_DAY_FINAL || p->state == CDP_DAY_RESTATED;
}

/* Collects the points that train, of so many windows of days before one of them. */
static void
collect(Work *w, int at, int windows)
{
	int64		first = (int64) w->point[at].day - (int64) windows * w->o->window;
	int			n = 0;
	int			from = at;

	while (from > 0 && w->point[from - 1].day >= first)
		from--;
	for (int i = from; i < at; i++)
		if (trains(&w->point[i]))
			w->train[n++] = i;
	w->n = n;
}

/* The median slope a day between days of one weekday; 0 where no two are of one. */
static double
slope_of(Work *w)
{
	int			n = 0;

	for (int i = 0; i < w->n; i++)
		for (int j = i + 1; j < w->n; j++)
		{
			int			days = w->point[w->train[j]].day - w->point[w->train[i]].day;

			if (days % w->o->season == 0)
				w->slope[n++] = (w->y[w->train[j]] - w->y[w->train[i]]) / days;
		}
	return n == 0 ? 0 : cdp_median(w->slope, n);
}

/* Foretells a point from those that collect() found. */
static Forecast
foretell(Work *w, int at)
{
	const CdpAnomalyOptions *o = w->o;
	Forecast	f = {NAN, 0};
	double		slope;
	double		level = NAN;
	int			own = place_of(o, w->point[at].day);

	if (w->n < Max(2, o->min_history / 2))
		return f;
	slope = slope_of(w);
	for (int place = 0; place < o->season; place++)
	{
		int			n = 0;
		double		median;

		for (int i = 0; i < w->n; i++)
			if (place_of(o, w->point[w->train[i]].day) == place)
				w->some[n++] = w->y[w->train[i]] - slope * (w->point[w->train[i]].day - w->point[at].day);
		median = cdp_median(w->some, n);
		for (int i = 0; i < w->n; i++)
			if (place_of(o, w->point[w->train[i]].day) == place)
				w->left[i] = w->y[w->train[i]] - slope * (w->point[w->train[i]].day - w->point[at].day) - median;
		if (place == own)
		{
			level = median;
			f.same = n;
		}
	}
	if (f.same > 0)
		f.y = level + cdp_median(w->left, w->n);
	return f;
}

/* The usual error before a point; says from how many. */
static double
usual_error(Work *w, int at, int *errors)
{
	int64		first = (int64) w->point[at].day - w->o->window;
	int			n = 0;

	for (int i = at - 1; i >= 0 && w->point[i].day >= first; i--)
		if (!isnan(w->error[i]))
			w->some[n++] = fabs(w->error[i]);
	*errors = n;
	return n == 0 ? NAN : Max(w->o->floor, MAD_SIGMA * cdp_median(w->some, n));
}

/*
 * What the window before a point says of counts: their sum, which is returned,
 * and its exposure, the days it came from, each as the share that its weekday
 * has in a mean day. Shares change slowly and few events tell little of them,
 * so they are learned from two windows.
 */
static double
learn_counts(Work *w, int at, double *share, double *exposure)
{
	const CdpAnomalyOptions *o = w->o;
	double		sum[CDP_ANOMALY_MOST_SEASON] = {0};
	int			n[CDP_ANOMALY_MOST_SEASON] = {0};
	double		total = 0;

	collect(w, at, 2);
	for (int i = 0; i < w->n; i++)
	{
		int			place = place_of(o, w->point[w->train[i]].day);

		sum[place] += w->point[w->train[i]].value;
		n[place]++;
		total += w->point[w->train[i]].value;
	}
	for (int place = 0; place < o->season; place++)
		share[place] = total == 0 ? 1 : (sum[place] * w->n / total + PRIOR_DAYS) / (n[place] + PRIOR_DAYS);
	collect(w, at, 1);
	total = *exposure = 0;
	for (int i = 0; i < w->n; i++)
	{
		total += w->point[w->train[i]].value;
		*exposure += share[place_of(o, w->point[w->train[i]].day)];
	}
	return total;
}

/*
 * How likely at most (or, with upper, at least) so many events are on days of
 * that exposure, after `total` on days of exposure `before`, when events come
 * in bundles of `bundle`: the gamma-Poisson distribution, which tends to the
 * Poisson one, and for 0 events to exp(-mean), as the past grows.
 */
static double
tail(double events, double exposure, double total, double before, double bundle, bool upper)
{
	double		shape = Min(total / bundle + 0.5, CDP_LARGEST_SHAPE);
	double		p = before / (before + exposure);

	if (upper)
		return events <= 0 ? 1 : cdp_beta_cdf(1 - p, Min(events / bundle, CDP_LARGEST_SHAPE), shape, false);
	return cdp_beta_cdf(p, shape, Min(events / bundle + 1, CDP_LARGEST_SHAPE), false);
}

/* The dispersion of counts that the usual error tells, less what the forecast's own error adds to it. */
static double
bundle_of(double scale, int same)
{
	return Min(MOST_BUNDLE, Max(1, scale * scale / (1 + M_PI / 2 / Max(same, 1))));
}

/* The largest count from 1 on that is not too unlikely: the tail falls, so steps double and are then halved; NaN when none is. */
static double
highest(double here, double total, double exposure, double bundle, double tail_p)
{
	double		good = 0;
	double		bad = 1;

	while (tail(bad + 1, here, total, exposure, bundle, true) >= tail_p)
	{
		CHECK_FOR_INTERRUPTS();
		good = bad;
		bad *= 2;
		if (bad > MOST_COUNT)
			return NAN;
	}
	/* the first one whose next is too unlikely */
	while (bad - good > 1)
	{
		double		middle = floor((good + bad) / 2);

		if (tail(middle + 1, here, total, exposure, bundle, true) >= tail_p)
			good = middle;
		else
			bad = middle;
	}
	return bad;
}

/* The zero days of the last window that end with a point; days of which nothing is known are passed over. */
static int
zero_run(const Work *w, int at, int *first)
{
	int64		window = (int64) w->point[at].day - w->o->window;
	int			run = 0;

	for (int i = at; i >= 0 && w->point[i].day > window && !(w->point[i].value > 0); i--)
		if (w->point[i].state == CDP_DAY_FINAL)
		{
			run++;
			*first = i;
		}
	return run;
}

/* Judges zero days up to a point together, from the days before the first of them. */
static void
judge_run(Work *w, int at, double bundle, CdpAnomalyDay *d)
{
	double		share[CDP_ANOMALY_MOST_SEASON];
	double		exposure;
	double		here = 0;
	double		total;
	double		chance;
	int			first = at;

	d->run = zero_run(w, at, &first);
	total = learn_counts(w, first, share, &exposure);
	if (w->n < Max(2, w->o->min_history / 2))
		return;
	for (int i = first; i <= at; i++)
		if (w->point[i].state == CDP_DAY_FINAL)
			here += share[place_of(w->o, w->point[i].day)];
	chance = tail(0, here, total, exposure, bundle, false);
	/* each day of the run was a look; one day that is low anyhow is no run */
	if (chance * d->run < w->o->run_p && (d->run > 1 || d->verdict == CDP_ANOMALY_OK))
	{
		d->verdict = CDP_ANOMALY_ZERO_RUN;
		d->chance = chance;
		d->mean = total * here / exposure / d->run;
	}
}

/* Judges a day of few events by the tails of counts in place of its score. A zero is a run of one day. */
static void
judge_tails(Work *w, int at, double bundle, CdpAnomalyDay *d)
{
	const CdpAnomalyOptions *o = w->o;
	double		share[CDP_ANOMALY_MOST_SEASON];
	double		exposure;
	double		value = w->point[at].value;
	double		total = learn_counts(w, at, share, &exposure);
	double		here = share[place_of(o, w->point[at].day)];
	double		mean = total * here / exposure;
	double		low = 0;

	if (!(mean < o->tiny))
		return;
	while (low < mean && tail(low, here, total, exposure, bundle, false) < (low == 0 ? o->run_p : o->tail_p))
		low++;
	d->low = low;
	d->high = o->tail_p > 0 ? highest(here, total, exposure, bundle, o->tail_p) : NAN;
	d->verdict = CDP_ANOMALY_OK;
	if (value < low || value > d->high)
	{
		d->verdict = value < low ? CDP_ANOMALY_LOW : CDP_ANOMALY_HIGH;
		d->chance = tail(value, here, total, exposure, bundle, value > mean);
		d->mean = mean;
	}
}

/* Judges one point. */
static void
judge(Work *w, int at, CdpAnomalyDay *d)
{
	const CdpAnomalyOptions *o = w->o;
	const CdpAnomalyPoint *p = &w->point[at];
	Forecast	f;
	double		scale;

	*d = (CdpAnomalyDay) {NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, 0, CDP_ANOMALY_LEARNING};
	collect(w, at, 1);
	d->trained = w->n;
	f = foretell(w, at);
	scale = usual_error(w, at, &d->errors);
	if (!isnan(f.y))
	{
		d->expected = cdp_transform_back(o->transform, f.y);
		if (trains(p))
			w->error[at] = w->y[at] - f.y;
	}
	if (!isnan(f.y) && d->errors >= o->min_history / 2)
	{
		d->low = cdp_transform_back(o->transform, f.y - o->threshold * scale);
		d->high = cdp_transform_back(o->transform, f.y + o->threshold * scale);
		d->verdict = CDP_ANOMALY_OK;
	}
	if (p->state != CDP_DAY_FINAL)
		d->verdict = p->state == CDP_DAY_RESTATED ? CDP_ANOMALY_RESTATED : p->state == CDP_DAY_MISSING ? CDP_ANOMALY_NO_VALUE : CDP_ANOMALY_NOT_FINAL;
	if (d->verdict != CDP_ANOMALY_OK)
		return;
	d->score = (w->y[at] - f.y) / scale;
	if (fabs(d->score) > o->threshold)
		d->verdict = d->score < 0 ? CDP_ANOMALY_LOW : CDP_ANOMALY_HIGH;
	if (o->transform != CDP_TRANSFORM_ANSCOMBE)
		return;
	judge_tails(w, at, bundle_of(scale, f.same), d);
	if (p->value == 0)
		judge_run(w, at, bundle_of(scale, f.same), d);
}

/* Judges n points, in the order of their days, each once; day[n] is the caller's. Other memory is taken in the current context. */
void
cdp_anomaly_judge(const CdpAnomalyOptions *o, const CdpAnomalyPoint *point, int n, CdpAnomalyDay *day)
{
	Work		w = {o, point};
	Size		window = o->window;

	w.y = palloc(sizeof(double) * n);
	w.error = palloc(sizeof(double) * n);
	w.left = palloc(sizeof(double) * window);
	w.some = palloc(sizeof(double) * window);
	w.train = palloc(sizeof(int) * 2 * window);
	w.slope = palloc(sizeof(double) * window * window / 2);
	for (int i = 0; i < n; i++)
	{
		w.y[i] = cdp_transform(o->transform, point[i].value);
		w.error[i] = NAN;
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		judge(&w, i, &day[i]);
	}
}

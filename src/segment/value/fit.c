/*
 * fit.c
 *		Fitting a model of purchases to histories. See fit.h.
 *
 * Customers with one history are one row with a weight, in order of their
 * histories: the result does not depend on the order of the input, and terms of
 * frequency are computed once for each. Time (or money) is measured by its mean
 * while it is fitted, so its unit does not matter; parameters are positive, so
 * their logarithms are searched, within bounds.
 */
#include "cdp.h"

#include <math.h>

#include "segment/value/fit.h"

/* Parameters are found between 1e-5 and 1e5 (of the mean age or value). */
#define BOUND 11.512925464970229
#define ERROR_DIFFERENCE 1e-3

typedef struct Task
{
	const CdpValueModel *model;
	const CdpFitOptions *options;
	const CdpFitRow *rows;
	Size		n;
	double		customers;
	double		scale;			/* of time or money */
} Task;

/* Orders by frequency, recency and age. */
static int
compare_rows(const void *x, const void *y)
{
	const CdpHistory *a = &((const CdpFitRow *) x)->history;
	const CdpHistory *b = &((const CdpFitRow *) y)->history;

	if (a->frequency != b->frequency)
		return a->frequency < b->frequency ? -1 : 1;
	if (a->recency != b->recency)
		return a->recency < b->recency ? -1 : 1;
	return (a->age > b->age) - (a->age < b->age);
}

/* Orders by history and then by weight, so that sums of weights do not depend on the input's order either. */
static int
compare_weighted(const void *x, const void *y)
{
	double		a = ((const CdpFitRow *) x)->weight;
	double		b = ((const CdpFitRow *) y)->weight;
	int			c = compare_rows(x, y);

	return c != 0 ? c : (a > b) - (a < b);
}

/* Orders rows and makes one of those with one history; how many are left. */
Size
cdp_fit_order(CdpFitRow *rows, Size n)
{
	Size		left = 0;

	qsort(rows, n, sizeof(CdpFitRow), compare_weighted);
	for (Size i = 0; i < n; i++)
	{
		if (left > 0 && compare_rows(&rows[left - 1], &rows[i]) == 0)
			rows[left - 1].weight += rows[i].weight;
		else
			rows[left++] = rows[i];
	}
	return left;
}

/* The log likelihood of ordered rows, with compensated summation: the search looks at its last digits. */
double
cdp_fit_log_likelihood(const CdpValueModel *m, const double *p, const CdpFitRow *rows, Size n)
{
	double		sum = 0;
	double		lost = 0;
	double		of_frequency = 0;

	for (Size i = 0; i < n; i++)
	{
		double		term;
		double		next;

		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i == 0 || rows[i].history.frequency != rows[i - 1].history.frequency)
			of_frequency = m->of_frequency(p, rows[i].history.frequency);
		term = rows[i].weight * (of_frequency + m->of_row(p, &rows[i].history)) - lost;
		next = sum + term;
		lost = (next - sum) - term;
		sum = next;
	}
	return sum;
}

/* Parameters in the caller's unit of time or money. */
static void
parameters_at(const Task *t, const double *x, double *p)
{
	for (int i = 0; i < t->model->n; i++)
		p[i] = exp(x[i]) * (t->model->scaled[i] ? t->scale : 1);
}

/* What is made small: the mean log likelihood with its sign turned, and the penalty. */
static double
objective(const double *x, void *arg)
{
	const Task *t = arg;
	double		p[CDP_MODEL_PARAMETERS];
	double		penalty = 0;

	parameters_at(t, x, p);
	for (int i = 0; i < t->model->n; i++)
		penalty += p[i] * p[i];
	return t->options->penalizer * penalty - cdp_fit_log_likelihood(t->model, p, t->rows, t->n) / t->customers;
}

/* The mean age, or the mean value; 1 where time is counted in periods. */
static double
scale_of(const CdpValueModel *m, const CdpFitRow *rows, Size n, double customers)
{
	double		sum = 0;

	if (m->discrete)
		return 1;
	for (Size i = 0; i < n; i++)
		sum += rows[i].weight / customers * (m->money ? rows[i].history.recency : rows[i].history.age);
	return sum;
}

/* Inverts a symmetric matrix that should be positive definite, in place; false when it is not. */
static bool
invert(double m[][CDP_MODEL_PARAMETERS], int n)
{
	for (int k = 0; k < n; k++)
	{
		double		pivot = m[k][k];

		if (!(pivot > 1e-12))
			return false;
		m[k][k] = 1;
		for (int j = 0; j < n; j++)
			m[k][j] /= pivot;
		for (int i = 0; i < n; i++)
		{
			double		factor = m[i][k];

			if (i == k)
				continue;
			m[i][k] = 0;
			for (int j = 0; j < n; j++)
				m[i][j] -= factor * m[k][j];
		}
	}
	return true;
}

/* Standard errors from the second derivatives by log parameters; NaN for parameters at a bound, or for all when there are none. */
static void
standard_errors(Task *t, CdpFit *fit)
{
	double		second[CDP_MODEL_PARAMETERS][CDP_MODEL_PARAMETERS];
	int			at[CDP_MODEL_PARAMETERS];
	int			n = 0;

	for (int i = 0; i < t->model->n; i++)
	{
		fit->error[i] = NAN;
		if (!fit->found.at_bound[i])
			at[n++] = i;
	}
	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i; j++)
		{
			double		sum = 0;

			for (int corner = 0; corner < 4; corner++)
			{
				double		x[CDP_MODEL_PARAMETERS];

				memcpy(x, fit->found.x, sizeof(x));
				x[at[i]] += corner & 1 ? ERROR_DIFFERENCE : -ERROR_DIFFERENCE;
				x[at[j]] += corner & 2 ? ERROR_DIFFERENCE : -ERROR_DIFFERENCE;
				sum += (corner == 0 || corner == 3 ? 1 : -1) * objective(x, t);
			}
			second[i][j] = second[j][i] = sum / (4 * ERROR_DIFFERENCE * ERROR_DIFFERENCE) * t->customers;
		}
	if (!invert(second, n))
		return;
	for (int i = 0; i < n; i++)
		fit->error[at[i]] = fit->parameter[at[i]] * sqrt(second[i][i]);
}

/* Fits a model to ordered rows of positive weight. */
void
cdp_fit(const CdpValueModel *m, const CdpFitOptions *o, CdpFitRow *rows, Size n, CdpFit *fit)
{
	const double start[CDP_MAX_VARIABLES] = {0};
	CdpSearch	search = {m->n, BOUND, o->max_iterations, o->tolerance};
	Task		task = {m, o, rows, n, 0, 1};

	for (Size i = 0; i < n; i++)
		task.customers += rows[i].weight;
	task.scale = scale_of(m, rows, n, task.customers);
	cdp_minimise(objective, &task, &search, start, &fit->found);
	parameters_at(&task, fit->found.x, fit->parameter);
	fit->customers = task.customers;
	fit->log_likelihood = cdp_fit_log_likelihood(m, fit->parameter, rows, n);
	standard_errors(&task, fit);
}

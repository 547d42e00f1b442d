/*
 * logistic.c
 *		Logistic regression by iteratively reweighted least squares, with a
 *		penalty on the squared length of the coefficients (not on the intercept).
 *
 * Features are standardised, so that the penalty means the same for each. A
 * constant, and a feature that those before it determine, keeps its place with
 * the coefficient 0. A step that makes the fit worse is halved. Rows must come
 * in an order of their own: sums are taken in it.
 */
#include "referral/model/logistic.h"

#include <math.h>

#include "utils/float.h"

#define MOST_STEPS 100
#define MOST_HALVINGS 30
#define SMALL_STEP 1e-10
#define ROUNDING 1e-13
#define SINGULAR 1e-11

/* A fit under way: arrays of q = p + 1, the intercept first. */
typedef struct Fit
{
	const double *x;			/* [n * p] standardised */
	const double *target;
	int64		n;
	int			p;
	int			q;
	double		l2;
	const bool *dropped;
	double	   *beta;			/* [q] */
	double	   *gradient;		/* [q] */
	double	   *hessian;		/* [q * q] lower half */
	double	   *factor;			/* [q * q] Cholesky factor */
	bool	   *out;			/* [q] not part of the system */
} Fit;

/* log(1 + exp(z)) without overflow. */
static inline double
softplus(double z)
{
	return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z));
}

/* The linear part of a row. */
static inline double
linear(const Fit *f, const double *beta, int64 i)
{
	const double *x = f->x + i * f->p;
	double		z = beta[0];

	for (int j = 0; j < f->p; j++)
		z += beta[j + 1] * x[j];
	return z;
}

/* Minus the penalised log likelihood; and, when asked for, without the penalty. */
static double
loss(const Fit *f, const double *beta, double *plain)
{
	double		sum = 0;
	double		squares = 0;

	for (int64 i = 0; i < f->n; i++)
	{
		double		z = linear(f, beta, i);

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		sum += softplus(z) - f->target[i] * z;
	}
	for (int j = 1; j < f->q; j++)
		squares += beta[j] * beta[j];
	if (plain != NULL)
		*plain = sum;
	return sum + f->l2 / 2 * squares;
}

/* Gradient and Hessian of the loss at beta. */
static void
derive(Fit *f)
{
	int			q = f->q;

	memset(f->gradient, 0, sizeof(double) * q);
	memset(f->hessian, 0, sizeof(double) * q * q);
	for (int64 i = 0; i < f->n; i++)
	{
		const double *x = f->x + i * f->p;
		double		probability = 1 / (1 + exp(-linear(f, f->beta, i)));
		double		off = probability - f->target[i];
		double		weight = probability * (1 - probability);

		if ((i & 0xFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		f->gradient[0] += off;
		f->hessian[0] += weight;
		for (int j = 1; j < q; j++)
		{
			double		wx = weight * x[j - 1];
			double	   *row = f->hessian + j * q;

			f->gradient[j] += off * x[j - 1];
			row[0] += wx;
			for (int k = 1; k <= j; k++)
				row[k] += wx * x[k - 1];
		}
	}
	for (int j = 1; j < q; j++)
	{
		f->gradient[j] += f->l2 * f->beta[j];
		f->hessian[j * q + j] += f->l2;
	}
}

/* Cholesky factor of a symmetric matrix; rows that those before determine are marked as out when told to, else make it fail. */
static bool
factorise(const double *a, double *l, int q, bool *out, bool mark)
{
	for (int j = 0; j < q; j++)
	{
		double		pivot = a[j * q + j];

		memset(l + j * q, 0, sizeof(double) * q);
		if (out[j])
			continue;
		for (int k = 0; k < j; k++)
		{
			double		sum = a[j * q + k];

			if (out[k])
				continue;
			for (int i = 0; i < k; i++)
				sum -= l[j * q + i] * l[k * q + i];
			l[j * q + k] = sum / l[k * q + k];
			pivot -= l[j * q + k] * l[j * q + k];
		}
		if (!(pivot > SINGULAR * a[j * q + j]) || a[j * q + j] <= 0)
		{
			if (!mark)
				return false;
			out[j] = true;
			memset(l + j * q, 0, sizeof(double) * q);
			continue;
		}
		l[j * q + j] = sqrt(pivot);
	}
	return true;
}

/* Solves with the factor, in place; what is out becomes 0. */
static void
solve(const double *l, int q, const bool *out, double *b)
{
	for (int j = 0; j < q; j++)
	{
		if (out[j])
		{
			b[j] = 0;
			continue;
		}
		for (int k = 0; k < j; k++)
			b[j] -= l[j * q + k] * b[k];
		b[j] /= l[j * q + j];
	}
	for (int j = q - 1; j >= 0; j--)
	{
		if (out[j])
			continue;
		for (int k = j + 1; k < q; k++)
			b[j] -= l[k * q + j] * b[k];
		b[j] /= l[j * q + j];
	}
}

/* Marks features that those before determine: the covariance loses its rank there. */
static void
find_determined(Fit *f, bool *dropped)
{
	int			p = f->p;
	double	   *covariance = palloc0(sizeof(double) * Max(p * p, 1));
	double	   *l = palloc0(sizeof(double) * Max(p * p, 1));

	for (int64 i = 0; i < f->n; i++)
	{
		const double *x = f->x + i * p;

		if ((i & 0xFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < p; j++)
			for (int k = 0; k <= j; k++)
				covariance[j * p + k] += x[j] * x[k];
	}
	factorise(covariance, l, p, dropped, true);
	pfree(covariance);
	pfree(l);
}

/* Newton's steps until they are small, or until no step helps. */
static void
iterate(Fit *f, CdpLogistic *m)
{
	int			q = f->q;
	double	   *step = palloc(sizeof(double) * q);
	double	   *tried = palloc(sizeof(double) * q);
	double		now = loss(f, f->beta, NULL);

	for (m->iterations = 1; m->iterations <= MOST_STEPS; m->iterations++)
	{
		double		largest = 0;
		double		share = 1;
		double		next = now;
		int			halvings = 0;

		derive(f);
		if (!factorise(f->hessian, f->factor, q, f->out, false))
			break;				/* all probabilities are 0 or 1: the fit runs away */
		memcpy(step, f->gradient, sizeof(double) * q);
		solve(f->factor, q, f->out, step);
		for (int j = 0; j < q; j++)
			largest = Max(largest, fabs(step[j]));
		for (; halvings < MOST_HALVINGS; halvings++, share /= 2)
		{
			for (int j = 0; j < q; j++)
				tried[j] = f->beta[j] - share * step[j];
			next = loss(f, tried, NULL);
			if (next <= now + ROUNDING * (1 + fabs(now)))
				break;			/* near the end a step changes the loss by less than its last digits */
		}
		if (largest * share < SMALL_STEP || halvings == MOST_HALVINGS)
		{
			m->converged = largest < 1e-6;
			break;
		}
		memcpy(f->beta, tried, sizeof(double) * q);
		now = next;
	}
	m->iterations = Min(m->iterations, MOST_STEPS);
	pfree(step);
	pfree(tried);
}

/* Standard errors from the inverse of the Hessian, on the scale of the features as they came. */
static void
standard_errors(Fit *f, CdpLogistic *m)
{
	int			q = f->q;
	double	   *column = palloc(sizeof(double) * q);
	double	   *lever = palloc0(sizeof(double) * q); /* the intercept as a combination of standardised coefficients */

	derive(f);
	if (!m->converged || !factorise(f->hessian, f->factor, q, f->out, false))
	{
		m->intercept_error = get_float8_nan();
		for (int j = 0; j < m->p; j++)
			m->error[j] = get_float8_nan();
		return;
	}
	lever[0] = 1;
	for (int j = 0; j < m->p; j++)
	{
		if (f->out[j + 1])
		{
			m->error[j] = get_float8_nan();
			continue;
		}
		lever[j + 1] = -m->mean[j] / m->scale[j];
		memset(column, 0, sizeof(double) * q);
		column[j + 1] = 1;
		solve(f->factor, q, f->out, column);
		m->error[j] = sqrt(column[j + 1]) / m->scale[j];
	}
	memcpy(column, lever, sizeof(double) * q);
	solve(f->factor, q, f->out, column);
	m->intercept_error = 0;
	for (int j = 0; j < q; j++)
		m->intercept_error += lever[j] * column[j];
	m->intercept_error = sqrt(m->intercept_error);
}

/* Means, deviations and standardised features; x2 is the caller's, [n * p]. */
static void
standardise(CdpLogistic *m, const double *x, double *x2)
{
	for (int j = 0; j < m->p; j++)
	{
		double		sum = 0;
		double		squares = 0;
		double		low = x[j];
		double		high = x[j];

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < m->n; i++)
		{
			sum += x[i * m->p + j] / m->n;
			low = Min(low, x[i * m->p + j]);
			high = Max(high, x[i * m->p + j]);
		}
		if (low == high)
			sum = low;			/* to the last digit */
		m->mean[j] = sum;
		for (int64 i = 0; i < m->n; i++)
			squares += (x[i * m->p + j] - sum) * (x[i * m->p + j] - sum) / m->n;
		m->scale[j] = low < high ? sqrt(squares) : 0;
		m->dropped[j] = !(m->scale[j] > 0) || isinf(m->scale[j]);
		for (int64 i = 0; i < m->n; i++)
			x2[i * m->p + j] = m->dropped[j] ? 0 : (x[i * m->p + j] - sum) / m->scale[j];
	}
}

/* Fits a model; its arrays live in the current context. Targets are probabilities, 0 and 1 as a rule; n is at least 1. */
void
cdp_logistic_fit(CdpLogistic *m, const double *x, const double *target, int64 n, int p, double l2)
{
	Fit			f = {.target = target, .n = n, .p = p, .q = p + 1, .l2 = l2};
	double	   *x2 = palloc_extended(sizeof(double) * Max((Size) n * p, 1), MCXT_ALLOC_HUGE);
	double		positives = 0;

	memset(m, 0, sizeof(CdpLogistic));
	m->p = p;
	m->n = n;
	m->l2 = l2;
	m->mean = palloc0(sizeof(double) * Max(p, 1));
	m->scale = palloc0(sizeof(double) * Max(p, 1));
	m->beta = palloc0(sizeof(double) * Max(p, 1));
	m->error = palloc0(sizeof(double) * Max(p, 1));
	m->dropped = palloc0(sizeof(bool) * Max(p, 1));
	standardise(m, x, x2);
	f.x = x2;
	if (l2 == 0)				/* a penalty shares the weight among such features */
		find_determined(&f, m->dropped);
	f.beta = palloc0(sizeof(double) * f.q);
	f.gradient = palloc0(sizeof(double) * f.q);
	f.hessian = palloc0(sizeof(double) * f.q * f.q);
	f.factor = palloc0(sizeof(double) * f.q * f.q);
	f.out = palloc0(sizeof(bool) * f.q);
	memcpy(f.out + 1, m->dropped, sizeof(bool) * p);
	for (int64 i = 0; i < n; i++)
		positives += target[i];
	m->positives = (int64) rint(positives);
	if (positives > 0 && positives < n)
	{
		f.beta[0] = log(positives / (n - positives));
		(void) loss(&f, f.beta, &m->null_deviance);
		m->null_deviance *= 2;
	}
	iterate(&f, m);
	(void) loss(&f, f.beta, &m->deviance);
	m->deviance *= 2;
	m->separated = true;
	for (int64 i = 0; i < n && m->separated; i++)
		m->separated = linear(&f, f.beta, i) * (target[i] > 0.5 ? 1 : -1) > 0;
	standard_errors(&f, m);
	m->intercept = f.beta[0];
	for (int j = 0; j < p; j++)
		if (!m->dropped[j])
		{
			m->beta[j] = f.beta[j + 1] / m->scale[j];
			m->intercept -= m->beta[j] * m->mean[j];
		}
	pfree(x2);
}

/* A score and where it came. */
typedef struct Scored
{
	double		score;
	bool		positive;
} Scored;

/* Orders scores. */
static int
compare_scores(const void *a, const void *b)
{
	double		x = ((const Scored *) a)->score;
	double		y = ((const Scored *) b)->score;

	return (x > y) - (x < y);
}

/*
 * The probability that a positive row scores above another, ties counted half (Mann and Whitney): whole numbers until
 * the last division. Not known without both sorts.
 */
double
cdp_auc(const double *score, const bool *positive, int64 n, bool *known)
{
	Scored	   *s = palloc_extended(sizeof(Scored) * Max((Size) n, 1), MCXT_ALLOC_HUGE);
	int64		positives = 0;
	int64		below = 0;		/* negatives with lower scores */
	int128		halves = 0;

	for (int64 i = 0; i < n; i++)
	{
		s[i] = (Scored) {score[i], positive[i]};
		positives += positive[i];
	}
	qsort(s, n, sizeof(Scored), compare_scores);
	for (int64 i = 0; i < n;)
	{
		int64		ups = 0;
		int64		downs = 0;
		double		now = s[i].score;

		CHECK_FOR_INTERRUPTS();
		for (; i < n && s[i].score == now; i++)
		{
			ups += s[i].positive;
			downs += !s[i].positive;
		}
		halves += (int128) ups * (2 * below + downs);
		below += downs;
	}
	pfree(s);
	*known = positives > 0 && positives < n;
	return *known ? (double) halves / ((double) positives * 2.0 * (double) (n - positives)) : 0;
}

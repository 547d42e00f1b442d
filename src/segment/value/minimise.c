/*
 * minimise.c
 *		Nelder and Mead to come near the least value from anywhere, then BFGS with
 *		central differences to reach it. See minimise.h.
 *
 * Deterministic: no random start, no clock. A variable that runs away, as the
 * likelihood of customers who never drop out lets it, stops at its bound.
 */
#include "cdp.h"

#include <math.h>

#include "segment/value/minimise.h"

#define DIFFERENCE 1e-4
#define ROUNDS 4
#define LONGEST_STEP 2.0
/* Armijo's constant, and how often a step is halved. */
#define SUFFICIENT 1e-4
#define HALVINGS 30
/* So many steps in turn that gain nothing but rounding end a search. */
#define STALLED 3
#define NOTHING 1e-13

typedef struct Task
{
	CdpObjective f;
	void	   *arg;
	const CdpSearch *search;
	CdpMinimum *result;
} Task;

/* The function at x put within its bounds; counted. */
static double
value_at(Task *t, double *x)
{
	double		value;

	for (int i = 0; i < t->search->n; i++)
		x[i] = fmin(fmax(x[i], -t->search->bound), t->search->bound);
	t->result->evaluations++;
	value = t->f(x, t->arg);
	return isnan(value) ? INFINITY : value;
}

/* A corner of the simplex. */
typedef struct Corner
{
	double		x[CDP_MAX_VARIABLES];
	double		value;
} Corner;

/* Moves the worst corner along the line through the middle of the others. */
static void
move_corner(Task *t, const Corner *simplex, const double *middle, double factor, Corner *out)
{
	int			n = t->search->n;

	for (int i = 0; i < n; i++)
		out->x[i] = middle[i] + factor * (simplex[n].x[i] - middle[i]);
	out->value = value_at(t, out->x);
}

/* Puts the corners in order of their values; insertion keeps equal ones as they were. */
static void
order_corners(Corner *simplex, int n)
{
	for (int i = 1; i < n; i++)
	{
		Corner		one = simplex[i];
		int			j = i;

		for (; j > 0 && simplex[j - 1].value > one.value; j--)
			simplex[j] = simplex[j - 1];
		simplex[j] = one;
	}
}

/* One step of Nelder and Mead on an ordered simplex. */
static void
simplex_step(Task *t, Corner *simplex)
{
	int			n = t->search->n;
	double		middle[CDP_MAX_VARIABLES] = {0};
	Corner		reflected;
	Corner		other;

	for (int i = 0; i < n; i++)
	{
		middle[i] = 0;
		for (int c = 0; c < n; c++)
			middle[i] += simplex[c].x[i] / n;
	}
	move_corner(t, simplex, middle, -1, &reflected);
	if (reflected.value < simplex[0].value)
	{
		move_corner(t, simplex, middle, -2, &other);
		simplex[n] = other.value < reflected.value ? other : reflected;
		return;
	}
	if (reflected.value < simplex[n - 1].value)
	{
		simplex[n] = reflected;
		return;
	}
	move_corner(t, simplex, middle, reflected.value < simplex[n].value ? -0.5 : 0.5, &other);
	if (other.value < fmin(reflected.value, simplex[n].value))
	{
		simplex[n] = other;
		return;
	}
	for (int c = 1; c <= n; c++)
	{
		for (int i = 0; i < n; i++)
			simplex[c].x[i] = simplex[0].x[i] + 0.5 * (simplex[c].x[i] - simplex[0].x[i]);
		simplex[c].value = value_at(t, simplex[c].x);
	}
}

/* Nelder and Mead from x, which it moves; stops where a step of `size` gains nothing. */
static double
nelder_mead(Task *t, double *x, double value, double size, int steps)
{
	int			n = t->search->n;
	Corner		simplex[CDP_MAX_VARIABLES + 1] = {0};

	for (int c = 0; c <= n; c++)
	{
		memcpy(simplex[c].x, x, sizeof(simplex[c].x));
		if (c > 0)
			simplex[c].x[c - 1] += x[c - 1] + size > t->search->bound ? -size : size;
		simplex[c].value = c > 0 ? value_at(t, simplex[c].x) : value;
	}
	for (; steps > 0 && t->result->iterations < t->search->max_iterations; steps--)
	{
		double		width = 0;

		order_corners(simplex, n + 1);
		for (int c = 1; c <= n; c++)
			for (int i = 0; i < n; i++)
				width = fmax(width, fabs(simplex[c].x[i] - simplex[0].x[i]));
		if (width < 1e-3 && simplex[n].value - simplex[0].value < 1e-8)
			break;
		t->result->iterations++;
		simplex_step(t, simplex);
	}
	order_corners(simplex, n + 1);
	memcpy(x, simplex[0].x, sizeof(double) * n);
	return simplex[0].value;
}

/* Gradient by central differences; components that push against a bound are marked held. The largest other one. */
static double
gradient_at(Task *t, const double *x, double *gradient, bool *held)
{
	int			n = t->search->n;
	double		largest = 0;

	for (int i = 0; i < n; i++)
	{
		double		y[CDP_MAX_VARIABLES];
		double		up;

		memcpy(y, x, sizeof(double) * n);
		y[i] = x[i] + DIFFERENCE;
		up = t->f(y, t->arg);
		y[i] = x[i] - DIFFERENCE;
		gradient[i] = (up - t->f(y, t->arg)) / (2 * DIFFERENCE);
		if (!isfinite(gradient[i]))
			gradient[i] = 0;
		t->result->evaluations += 2;
		held[i] = (x[i] >= t->search->bound && gradient[i] <= 0) || (x[i] <= -t->search->bound && gradient[i] >= 0);
		if (!held[i])
			largest = fmax(largest, fabs(gradient[i]));
	}
	return largest;
}

/* Makes the inverse of the second derivatives one again. */
static void
reset_inverse(double inverse[][CDP_MAX_VARIABLES])
{
	for (int i = 0; i < CDP_MAX_VARIABLES; i++)
		for (int j = 0; j < CDP_MAX_VARIABLES; j++)
			inverse[i][j] = i == j;
}

/* The step that the inverse proposes, no longer than LONGEST_STEP; its slope. */
static double
propose(const Task *t, double inverse[][CDP_MAX_VARIABLES], const double *gradient, const bool *held, double *step)
{
	int			n = t->search->n;
	double		slope = 0;
	double		longest = 0;

	for (int i = 0; i < n; i++)
	{
		step[i] = 0;
		for (int j = 0; j < n && !held[i]; j++)
			if (!held[j])
				step[i] -= inverse[i][j] * gradient[j];
		longest = fmax(longest, fabs(step[i]));
	}
	for (int i = 0; i < n; i++)
	{
		if (longest > LONGEST_STEP)
			step[i] *= LONGEST_STEP / longest;
		slope += step[i] * gradient[i];
	}
	return slope;
}

/* The update of Broyden, Fletcher, Goldfarb and Shanno. */
static void
update_inverse(int n, double inverse[][CDP_MAX_VARIABLES], const double *s, const double *y)
{
	double		sy = 0;
	double		hy[CDP_MAX_VARIABLES] = {0};
	double		yhy = 0;

	for (int i = 0; i < n; i++)
	{
		sy += s[i] * y[i];
		for (int j = 0; j < n; j++)
			hy[i] += inverse[i][j] * y[j];
		yhy += y[i] * hy[i];
	}
	if (sy <= 1e-14)
		return;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			inverse[i][j] += (1 + yhy / sy) * s[i] * s[j] / sy - (hy[i] * s[j] + s[i] * hy[j]) / sy;
}

/* BFGS from x, which it moves; true when the gradient is within the tolerance. */
static bool
bfgs(Task *t, double *x, double *value)
{
	int			n = t->search->n;
	double		inverse[CDP_MAX_VARIABLES][CDP_MAX_VARIABLES];
	double		gradient[CDP_MAX_VARIABLES];
	bool		held[CDP_MAX_VARIABLES];
	bool		fresh = true;
	int			stalled = 0;

	reset_inverse(inverse);
	t->result->gradient = gradient_at(t, x, gradient, held);
	while (t->result->gradient > t->search->tolerance && t->result->iterations < t->search->max_iterations && stalled < STALLED)
	{
		double		step[CDP_MAX_VARIABLES];
		double		next[CDP_MAX_VARIABLES] = {0};
		double		before[CDP_MAX_VARIABLES];
		double		slope = propose(t, inverse, gradient, held, step);
		double		length = 1;
		double		found = INFINITY;
		int			halvings = 0;

		if (slope >= 0 && !fresh)
		{
			reset_inverse(inverse);
			fresh = true;
			continue;
		}
		t->result->iterations++;
		for (; halvings < HALVINGS; halvings++, length /= 2)
		{
			for (int i = 0; i < n; i++)
				next[i] = x[i] + length * step[i];
			found = value_at(t, next);
			if (found <= *value + SUFFICIENT * length * slope)
				break;
		}
		if (halvings == HALVINGS)
		{
			if (fresh)
				return false;
			reset_inverse(inverse);
			fresh = true;
			continue;
		}
		memcpy(before, gradient, sizeof(before));
		for (int i = 0; i < n; i++)
		{
			step[i] = next[i] - x[i];
			x[i] = next[i];
		}
		stalled = found < *value - NOTHING * (1 + fabs(*value)) ? 0 : stalled + 1;
		*value = found;
		t->result->gradient = gradient_at(t, x, gradient, held);
		for (int i = 0; i < n; i++)
			before[i] = gradient[i] - before[i];
		update_inverse(n, inverse, step, before);
		fresh = false;
	}
	return t->result->gradient <= t->search->tolerance;
}

/* Finds the least value from a start; says in the result how sure that is. */
void
cdp_minimise(CdpObjective f, void *arg, const CdpSearch *search, const double *start, CdpMinimum *result)
{
	Task		t = {f, arg, search, result};

	memset(result, 0, sizeof(CdpMinimum));
	memcpy(result->x, start, sizeof(double) * search->n);
	result->value = value_at(&t, result->x);
	for (int round = 0; round < ROUNDS && !result->converged; round++)
	{
		result->value = nelder_mead(&t, result->x, result->value, round == 0 ? 1.0 : 0.1, round == 0 ? 60 : 400);
		result->converged = bfgs(&t, result->x, &result->value);
	}
	for (int i = 0; i < search->n; i++)
		result->at_bound[i] = fabs(result->x[i]) >= search->bound;
}

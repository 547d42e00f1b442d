/*
 * special.c
 *		Special functions of the models of purchases. See special.h.
 *
 * Where a series converges slowly or cancels, integrals of positive functions take
 * its place.
 */
#include "cdp.h"

#include <math.h>

#include "segment/value/special.h"

#define SERIES_TERMS 5000
/* A sum this much smaller than its largest term has lost digits. */
#define SERIES_CANCELLED 100.0

/* Where Gauss's 7 points differ this little, Kronrod's 15 are right to the last digits. */
#define INTEGRAL_PRECISION 1e-9
#define INTEGRAL_DEPTH 40
#define MEAN_PRECISION 1e-13
#define MEAN_LEVELS 10
/* exp(-MEAN_TAIL) is nothing. */
#define MEAN_TAIL 60.0

/* log(exp(a) + exp(b)). */
double
cdp_log_sum(double a, double b)
{
	if (a < b)
		return b + log1p(exp(a - b));
	if (isinf(a))
		return a;
	return a + log1p(exp(b - a));
}

/* The series of 2F1(a, b; c; z) for 0 <= z < 1; false when it is long or loses digits. */
bool
cdp_hyp2f1_series(double a, double b, double c, double z, double *value)
{
	double		term = 1;
	double		sum = 1;
	double		largest = 1;

	for (int k = 0; k < SERIES_TERMS; k++)
	{
		double		ratio = (a + k) * (b + k) / ((c + k) * (k + 1)) * z;

		term *= ratio;
		sum += term;
		largest = fmax(largest, fabs(term));
		/* the terms to come are below a geometric series once the ratio only nears z */
		if (fabs(term) * fmax(1, 1 / (1 - z)) <= 1e-17 * fabs(sum) && fabs(ratio) < 1)
		{
			*value = sum;
			return isfinite(sum) && largest < SERIES_CANCELLED * fabs(sum);
		}
	}
	return false;
}

/* Nodes and weights of Gauss and Kronrod on [-1, 1], from the middle outwards. */
static const double kronrod_node[8] = {
	0, 0.207784955007898467600689403773245, 0.405845151377397166906606412076961, 0.586087235467691130294144691693,
	0.741531185599394439863864773280788, 0.864864423359769072789712788640926, 0.949107912342758524526189684047851,
	0.991455371120812639206854697526329,
};
static const double kronrod_weight[8] = {
	0.209482141084727828012999174891714, 0.204432940075298892414161999234649, 0.190350578064785409913256402421014,
	0.169004726639267902826583426598550, 0.140653259715525918745189590510238, 0.104790010322250183839876322541518,
	0.063092092629978553290700663189204, 0.022935322010529224963732008058970,
};
static const double gauss_weight[8] = {
	0.417959183673469387755102040816327, 0, 0.381830050505118944950369775488975, 0,
	0.279705391489276667901467771423780, 0, 0.129484966168869693270611432679082, 0,
};

/* Integral over one interval, halved until Gauss and Kronrod agree; scale is what the whole is like. */
static double
integrate_part(CdpFunction f, const void *arg, double from, double to, double *scale, int depth)
{
	double		middle = 0.5 * (from + to);
	double		half = 0.5 * (to - from);
	double		kronrod = 0;
	double		gauss = 0;

	for (int i = 0; i < 8; i++)
	{
		double		value = f(middle + half * kronrod_node[i], arg);

		if (i > 0)
			value += f(middle - half * kronrod_node[i], arg);
		kronrod += kronrod_weight[i] * value;
		gauss += gauss_weight[i] * value;
	}
	kronrod *= half;
	gauss *= half;
	*scale = fmax(*scale, fabs(kronrod));
	/* what is not a number ends here, too */
	if (depth == INTEGRAL_DEPTH || !(fabs(kronrod - gauss) > INTEGRAL_PRECISION * *scale) || half == 0)
		return kronrod;
	return integrate_part(f, arg, from, middle, scale, depth + 1) + integrate_part(f, arg, middle, to, scale, depth + 1);
}

/* The integral of a function that does not change its sign and is finite inside the interval. */
double
cdp_integrate(CdpFunction f, const void *arg, double from, double to)
{
	double		scale = 0;

	return to > from ? integrate_part(f, arg, from, to, &scale, 0) : 0;
}

/* log p and log(1 - p) of p = 1 / (1 + exp(-y)). */
static void
log_logistic(double y, double *log_p, double *log_q)
{
	double		rest = log1p(exp(-fabs(y)));

	*log_p = y > 0 ? -rest : y - rest;
	*log_q = y > 0 ? -y - rest : -rest;
}

/*
 * The mean of f(p) for p of a beta distribution, by the trapezoidal rule in s where
 * logit p = peak + width * sinh(s): both ends fall double-exponentially however
 * small a and b are. Weights and weighted values are summed at the same places,
 * so their common errors cancel.
 */
double
cdp_beta_mean(CdpFunction f, const void *arg, double a, double b)
{
	double		peak = log(a / b);
	double		width = sqrt((a + b) / a / b);
	double		left = asinh((MEAN_TAIL + a) / a / width);
	double		right = asinh((MEAN_TAIL + b) / b / width);
	double		log_p;
	double		log_q;
	double		top;
	double		weights = 0;
	double		values = 0;
	double		before = 0;
	double		step = 0.25;

	log_logistic(peak, &log_p, &log_q);
	top = a * log_p + b * log_q;
	for (int level = 0; level < MEAN_LEVELS; level++, step /= 2)
	{
		/* places of the levels before are not visited again */
		for (double k = level == 0 ? ceil(-left / step) : 2 * ceil((-left / step - 1) / 2) + 1; k * step <= right; k += level == 0 ? 1 : 2)
		{
			double		s = k * step;
			double		weight;

			log_logistic(peak + width * sinh(s), &log_p, &log_q);
			weight = exp(a * log_p + b * log_q - top) * cosh(s);
			if (weight == 0)
				continue;
			weights += weight;
			values += weight * f(exp(log_p), arg);
		}
		if (level > 2 && fabs(values / weights - before) <= MEAN_PRECISION * fabs(before))
			break;
		before = values / weights;
	}
	return values / weights;
}

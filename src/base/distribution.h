/*
 * distribution.h
 *		Distributions that statistics ask for: normal, Student's t, chi-square, beta,
 *		gamma and Poisson. Pure arithmetic: arguments are checked by callers.
 *
 * upper asks for the probability above instead of the one up to: small ones keep
 * their digits. What is below 1e-308 comes out as 0.
 */
#ifndef CDP_DISTRIBUTION_H
#define CDP_DISTRIBUTION_H

#include "cdp.h"

#include <float.h>

/* Shapes and degrees of freedom between which digits are kept and a call takes milliseconds at most. */
#define CDP_SMALLEST_SHAPE 1e-3
#define CDP_LARGEST_SHAPE 1e12

extern double cdp_lgamma_ratio(double z, double s);
extern double cdp_normal_cdf(double z, bool upper);
extern double cdp_normal_quantile(double p);
extern double cdp_beta_cdf(double x, double a, double b, bool upper);
extern double cdp_beta_quantile(double p, double a, double b);
extern double cdp_gamma_cdf(double x, double shape, bool upper);
extern double cdp_student_cdf(double t, double df, bool upper);
extern double cdp_student_quantile(double p, double df);
extern double cdp_chi_square_cdf(double x, double df, bool upper);
extern double cdp_poisson_cdf(double n, double mean, bool upper);

#endif							/* CDP_DISTRIBUTION_H */

/*
 * special.h
 *		Special functions of the models of purchases: the hypergeometric series, and
 *		two integrals.
 */
#ifndef CDP_VALUE_SPECIAL_H
#define CDP_VALUE_SPECIAL_H

#include "cdp.h"

/* A function of one variable; arg is the caller's. */
typedef double (*CdpFunction) (double x, const void *arg);

extern double cdp_log_sum(double a, double b);
extern bool cdp_hyp2f1_series(double a, double b, double c, double z, double *value);
extern double cdp_integrate(CdpFunction f, const void *arg, double from, double to);
extern double cdp_beta_mean(CdpFunction f, const void *arg, double a, double b);

#endif							/* CDP_VALUE_SPECIAL_H */

/*
 * offer.h
 *		How an offer is chosen: draws that any machine repeats bit for bit, the
 *		probability of each arm to be the best, and the choice itself.
 */
#ifndef CDP_ACTIVATION_OFFER_H
#define CDP_ACTIVATION_OFFER_H

#include "cdp.h"

/* One arm as ranking sees it: a beta posterior of its success, and what a success is worth. */
typedef struct CdpOfferArm
{
	double		a;
	double		b;
	double		worth;
} CdpOfferArm;

/* A stream of random numbers: the nth depends on nothing but the key and n. */
typedef struct CdpDraws
{
	uint64		key;
	uint64		n;
} CdpDraws;

#define CDP_DRAW_GOLDEN UINT64CONST(0x9e3779b97f4a7c15)

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): each bit of the result depends on each of z. */
static inline uint64
cdp_draw_mix(uint64 z)
{
	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A number strictly between 0 and 1, one of 2^53 that are equally far apart. Inline: a bootstrap draws millions. */
static inline double
cdp_draw_uniform(CdpDraws *draws)
{
	draws->n++;
	return ((double) (cdp_draw_mix(draws->key + draws->n * CDP_DRAW_GOLDEN) >> 11) + 0.5) * (1.0 / 9007199254740992.0);
}

/* Shapes between which a draw keeps its digits. */
#define CDP_OFFER_SMALLEST 0.5
#define CDP_OFFER_LARGEST 1e12
/* Worths between which no ratio of two leaves the range of a double. */
#define CDP_OFFER_LEAST_WORTH 1e-30
#define CDP_OFFER_MOST_WORTH 1e30

extern void cdp_draws_start(CdpDraws *draws, int64 seed, const int64 *inputs, int ninputs, int64 stream);
extern double cdp_draw_beta(CdpDraws *draws, double a, double b);
extern void cdp_offer_propensities(const CdpOfferArm *arms, int n, double *propensities);

#endif							/* CDP_ACTIVATION_OFFER_H */

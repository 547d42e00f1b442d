/*
 * domain.h
 *		The values that a condition lets through: a set of intervals, and whether
 *		a missing value passes.
 */
#ifndef CDP_SEGMENT_DOMAIN_H
#define CDP_SEGMENT_DOMAIN_H

#include "segment/rule/rule.h"

/* Membership changes just before a value, or just after it. */
typedef struct DomainCut
{
	RuleConst	at;
	bool		after;
} DomainCut;

typedef struct Domain
{
	bool		missing;		/* a missing value passes */
	bool		low;			/* what lies below the first cut passes */
	int			n;
	DomainCut  *cut;			/* ascending */
} Domain;

/* What values there are at all. */
typedef enum DomainKind
{
	DOMAIN_VALUES,				/* any, dense */
	DOMAIN_WHOLE,				/* whole numbers of any size, days */
	DOMAIN_COUNT,				/* whole numbers from 0 */
	DOMAIN_SWITCH				/* 0 and 1 */
} DomainKind;

extern Domain cdp_domain_test(const RuleTest *test, DomainKind kind);
extern Domain cdp_domain_point(int64 value);
extern Domain cdp_domain_complement(Domain d, bool missing);
extern Domain cdp_domain_combine(const Domain *a, const Domain *b, bool both);
extern Domain cdp_domain_copy(const Domain *d);
extern void cdp_domain_add(Domain *d, Domain *other, bool both);
extern bool cdp_domain_empty(const Domain *d, DomainKind kind, bool can_miss);
extern int64 cdp_domain_least(const Domain *d);
extern int64 cdp_domain_most(const Domain *d);
extern bool cdp_domain_full(const Domain *d, DomainKind kind, bool can_miss);

/* nested.c */
extern bool cdp_rule_window_within(const RuleWindow *a, const RuleWindow *b);
extern bool cdp_rule_events_within(const RuleEvents *a, const RuleEvents *b);

#endif							/* CDP_SEGMENT_DOMAIN_H */

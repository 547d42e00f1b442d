/*
 * domain.c
 *		Sets of values as sorted cuts: what comparisons let through, united and
 *		intersected, so that contradictions can be seen.
 */
#include "segment/rule/domain.h"

#include "utils/fmgrprotos.h"

/* A whole number as a constant. */
static RuleConst
whole(int64 value)
{
	return (RuleConst) {.type = RULE_NUMBER,.timed = true,.time = value};
}

/* Appends a cut; two at one place cancel each other. */
static void
add_cut(Domain *d, RuleConst at, bool after)
{
	if (d->n > 0 && d->cut[d->n - 1].after == after && cdp_rule_compare_consts(&d->cut[d->n - 1].at, &at) == 0)
		d->n--;
	else
		d->cut[d->n++] = (DomainCut) {at, after};
}

/* Appends the cut just before or after a value; among whole numbers, before the next whole one. */
static void
cut_at(Domain *d, const RuleConst *value, bool after, DomainKind kind)
{
	RuleConst	at = *value;

	if (kind == DOMAIN_VALUES)
	{
		add_cut(d, at, after);
		return;
	}
	if (at.timed)
		at.time += after ? 1 : 0;
	else
	{
		at.number = DatumGetNumeric(DirectFunctionCall1(after ? numeric_floor : numeric_ceil, NumericGetDatum(at.number)));
		if (after)
			at.number = DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(at.number), NumericGetDatum(int64_to_numeric(1))));
	}
	add_cut(d, at, false);
}

/* The values of a list, each a point. */
static void
points(Domain *d, const RuleTest *test, DomainKind kind)
{
	RuleConst  *value = palloc(sizeof(RuleConst) * test->n);

	memcpy(value, test->value, sizeof(RuleConst) * test->n);
	qsort(value, test->n, sizeof(RuleConst), cdp_rule_compare_consts);
	for (int i = 0; i < test->n; i++)
	{
		if (i > 0 && cdp_rule_compare_consts(&value[i], &value[i - 1]) == 0)
			continue;
		cut_at(d, &value[i], false, kind);
		cut_at(d, &value[i], true, kind);
	}
}

/* The values that a comparison lets through; its complement for neq and its kin lets a missing value through. */
Domain
cdp_domain_test(const RuleTest *test, DomainKind kind)
{
	Domain		d = {0};

	d.cut = palloc(sizeof(DomainCut) * (2 * test->n + 2));
	switch (test->op)
	{
		case RULE_LT:
		case RULE_LTE:
			d.low = true;
			cut_at(&d, &test->value[0], test->op == RULE_LTE, kind);
			break;
		case RULE_GT:
		case RULE_GTE:
			cut_at(&d, &test->value[0], test->op == RULE_GT, kind);
			break;
		case RULE_BETWEEN:
		case RULE_NOT_BETWEEN:
			if (cdp_rule_compare_consts(&test->value[0], &test->value[1]) > 0)
				break;
			cut_at(&d, &test->value[0], false, kind);
			cut_at(&d, &test->value[1], true, kind);
			break;
		case RULE_EXISTS:
			d.low = true;
			break;
		default:
			points(&d, test, kind);
	}
	if (test->op == RULE_NEQ || test->op == RULE_NOT_IN || test->op == RULE_NOT_BETWEEN ||
		(test->op == RULE_EXISTS && strcmp(test->value[0].text, "false") == 0))
		return cdp_domain_complement(d, true);
	return d;
}

/* One whole number. */
Domain
cdp_domain_point(int64 value)
{
	Domain		d = {0};
	RuleConst	at = whole(value);

	d.cut = palloc(sizeof(DomainCut) * 2);
	cut_at(&d, &at, false, DOMAIN_WHOLE);
	cut_at(&d, &at, true, DOMAIN_WHOLE);
	return d;
}

/* All other values, and a missing one when said so. */
Domain
cdp_domain_complement(Domain d, bool missing)
{
	d.low = !d.low;
	d.missing = missing;
	return d;
}

/* A copy with cuts of its own. */
Domain
cdp_domain_copy(const Domain *d)
{
	Domain		out = *d;

	out.cut = palloc_extended(sizeof(DomainCut) * Max(d->n, 1), MCXT_ALLOC_HUGE);
	if (d->n > 0)
		memcpy(out.cut, d->cut, sizeof(DomainCut) * d->n);
	return out;
}

/* Lets another set into the first one, by both or either; the cuts of both are freed. */
void
cdp_domain_add(Domain *d, Domain *other, bool both)
{
	Domain		out = cdp_domain_combine(d, other, both);

	pfree(d->cut);
	pfree(other->cut);
	*d = out;
}

/* Order of two cuts. */
static int
compare_cuts(const DomainCut *a, const DomainCut *b)
{
	int			order = cdp_rule_compare_consts(&a->at, &b->at);

	return order != 0 ? order : (int) a->after - (int) b->after;
}

/* What passes both, or at least one. */
Domain
cdp_domain_combine(const Domain *a, const Domain *b, bool both)
{
	Domain		out = {0};
	bool		in_a = a->low,
				in_b = b->low,
				in;
	int			i = 0,
				j = 0;

	out.cut = palloc_extended(sizeof(DomainCut) * Max(a->n + b->n, 1), MCXT_ALLOC_HUGE);
	out.missing = both ? a->missing && b->missing : a->missing || b->missing;
	out.low = in = both ? in_a && in_b : in_a || in_b;
	while (i < a->n || j < b->n)
	{
		int			order = i == a->n ? 1 : j == b->n ? -1 : compare_cuts(&a->cut[i], &b->cut[j]);
		DomainCut	cut = order <= 0 ? a->cut[i] : b->cut[j];
		bool		now;

		if (order <= 0)
		{
			in_a = !in_a;
			i++;
		}
		if (order >= 0)
		{
			in_b = !in_b;
			j++;
		}
		now = both ? in_a && in_b : in_a || in_b;
		if (now != in)
			out.cut[out.n++] = cut;
		in = now;
	}
	return out;
}

/* All values that there are. */
static Domain
universe(DomainKind kind)
{
	Domain		all = {.missing = true,.low = kind == DOMAIN_VALUES || kind == DOMAIN_WHOLE};
	RuleConst	zero = whole(0),
				one = whole(1);

	all.cut = palloc(sizeof(DomainCut) * 2);
	if (!all.low)
		cut_at(&all, &zero, false, kind);
	if (kind == DOMAIN_SWITCH)
		cut_at(&all, &one, true, kind);
	return all;
}

/* Does nothing that there is pass? */
bool
cdp_domain_empty(const Domain *d, DomainKind kind, bool can_miss)
{
	Domain		all = universe(kind);
	Domain		rest = cdp_domain_combine(d, &all, true);

	pfree(all.cut);
	pfree(rest.cut);
	return !rest.low && rest.n == 0 && !(can_miss && d->missing);
}

/* Does everything that there is pass? */
bool
cdp_domain_full(const Domain *d, DomainKind kind, bool can_miss)
{
	Domain		other = cdp_domain_complement(*d, !d->missing);

	return cdp_domain_empty(&other, kind, can_miss);
}

/* The least count that passes, PG_INT64_MAX when none does. */
int64
cdp_domain_least(const Domain *d)
{
	bool		in = d->low;
	int64		start = 0;

	for (int i = 0; i <= d->n; i++, in = !in)
	{
		int64		end = i < d->n ? d->cut[i].at.time : PG_INT64_MAX;

		if (in && start < end)
			return start;
		start = Max(start, end);
	}
	return PG_INT64_MAX;
}

/* The greatest count that passes, PG_INT64_MAX when there is no end, -1 when none does. */
int64
cdp_domain_most(const Domain *d)
{
	bool		in = d->low;
	int64		start = 0;
	int64		most = -1;

	for (int i = 0; i <= d->n; i++, in = !in)
	{
		int64		end = i < d->n ? d->cut[i].at.time : PG_INT64_MAX;

		if (in && start < end)
			most = end == PG_INT64_MAX ? end : end - 1;
		start = Max(start, end);
	}
	return most;
}

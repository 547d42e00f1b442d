/*
 * resolve_run.c
 *		The constrained union-find: rules read, ids made numbers, links put in
 *		canonical order and taken one by one.
 */
#include "cdp.h"

#include "catalog/pg_type_d.h"
#include "port.h"

#include "identity/graph/resolve.h"

/* Columns of a row of the rules. */
#define RULE_COLUMNS 6
#define RULE_TYPE 1				/* 1, type, priority, most or 0, window or 0, attach only */
#define RULE_PAIR 2				/* 2, type, other type, most */
#define RULE_SIZE 3				/* 3, most */

#define MAX_RULES 10000

/* Raises the error of a malformed row of rules. */
static void
bad_rule(int row, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("rule %d is malformed", row),
			 errdetail("%s", what)));
}

/* Orders types by their number. */
static int
compare_types(const void *a, const void *b)
{
	return ((const CdpTypeRule *) a)->type_id - ((const CdpTypeRule *) b)->type_id;
}

/* The index of a type among the rules; raises when it has none. */
int
cdp_resolve_type(const CdpRules *rules, int64 type_id)
{
	int			low = 0;
	int			high = rules->ntypes;

	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (rules->type[mid].type_id < type_id)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == rules->ntypes || rules->type[low].type_id != type_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no rule names identifier type %lld", (long long) type_id),
				 errhint("cdp_internal.resolve_rules() makes the rules of all types.")));
	return low;
}

/* Takes a row about a type. */
static void
read_type(CdpRules *rules, const int64 *row, int number)
{
	CdpTypeRule *t = &rules->type[rules->ntypes++];

	if (row[1] < 1 || row[1] > PG_INT16_MAX || row[3] < 0 || row[4] < 0 || (row[5] != 0 && row[5] != 1))
		bad_rule(number, "A type has a number from 1 to 32767, a limit and a window of 0 or more, and 0 or 1 for attach only.");
	t->type_id = (int16) row[1];
	t->priority = row[2];
	t->max_n = row[3];
	t->window = row[4];
	t->limited = row[3] > 0;
	t->attach_only = row[5] == 1;
	t->row = number;
}

/* Takes a row about two types, whose numbers become indexes later. */
static void
read_pair(CdpRules *rules, const int64 *row, int number)
{
	CdpPairRule *p = &rules->pair[rules->npairs++];

	if (row[3] < 1)
		bad_rule(number, "A limit between two types is 1 or more.");
	p->type = cdp_resolve_type(rules, row[1]);
	p->other = cdp_resolve_type(rules, row[2]);
	p->max_n = row[3];
	p->row = number;
}

/* Reads the rules into arrays of the current context. */
void
cdp_resolve_rules(CdpRules *rules, ArrayType *array)
{
	const int64 *row;
	int			n;

	if (ARR_ELEMTYPE(array) != INT8OID || ARR_HASNULL(array) || ARR_NDIM(array) > 2 ||
		(ARR_NDIM(array) == 2 && ARR_DIMS(array)[1] != RULE_COLUMNS) || ARR_NDIM(array) == 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("rules must be rows of %d numbers without NULL", RULE_COLUMNS)));
	n = ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0];
	if (n > MAX_RULES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rules"),
				 errdetail("There are %d; %d are allowed.", n, MAX_RULES)));
	row = (const int64 *) ARR_DATA_PTR(array);
	rules->type = palloc0(Max(n, 1) * sizeof(CdpTypeRule));
	rules->pair = palloc0(Max(n, 1) * sizeof(CdpPairRule));
	for (int i = 0; i < n; i++)
	{
		const int64 *r = row + (Size) i * RULE_COLUMNS;

		if (r[0] == RULE_TYPE)
			read_type(rules, r, i + 1);
		else if (r[0] == RULE_SIZE)
		{
			rules->max_size = r[1];
			rules->size_row = i + 1;
		}
		else if (r[0] != RULE_PAIR)
			bad_rule(i + 1, "A row starts with 1 (type), 2 (pair of types) or 3 (size).");
	}
	qsort(rules->type, rules->ntypes, sizeof(CdpTypeRule), compare_types);
	for (int i = 1; i < rules->ntypes; i++)
		if (rules->type[i].type_id == rules->type[i - 1].type_id)
			bad_rule(rules->type[i].row, "Another row names the same type.");
	for (int i = 0; i < n; i++)
		if (row[(Size) i * RULE_COLUMNS] == RULE_PAIR)
			read_pair(rules, row + (Size) i * RULE_COLUMNS, i + 1);
}

/* Home slot of an id. */
static inline uint32
home_slot(const CdpResolve *r, int64 id)
{
	return (uint32) (((uint64) (uint32) (cdp_mix((uint64) id) >> 32) * r->nslots) >> 32);
}

/* The number of the node with this id, -1 when there is none. */
static int32
find_node(const CdpResolve *r, int64 id)
{
	uint32		i = home_slot(r, id);

	while (r->slot[i] >= 0)
	{
		if (r->node[r->slot[i]].id == id)
			return r->slot[i];
		i = (i + 1 == r->nslots) ? 0 : i + 1;
	}
	return -1;
}

/* Hashes the ids, two slots an identifier; the same id twice is an error. */
static void
hash_nodes(CdpResolve *r)
{
	r->nslots = (uint32) r->nnodes * 2 + 1;
	r->slot = MemoryContextAllocHuge(r->cxt, mul_size(r->nslots, sizeof(int32)));
	memset(r->slot, 0xFF, (Size) r->nslots * sizeof(int32));
	for (int32 i = 0; i < r->nnodes; i++)
	{
		uint32		s = home_slot(r, r->node[i].id);

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		while (r->slot[s] >= 0)
		{
			if (r->node[r->slot[s]].id == r->node[i].id)
				ereport(ERROR,
						(errcode(ERRCODE_CARDINALITY_VIOLATION),
						 errmsg("identifier %lld is there twice", (long long) r->node[i].id)));
			s = (s + 1 == r->nslots) ? 0 : s + 1;
		}
		r->slot[s] = i;
	}
}

/* Tells whether identifier a is the stronger one: by priority, then by place. */
static inline bool
is_stronger(const CdpResolve *r, int32 a, int32 b)
{
	int64		pa = r->rules.type[r->node[a].type].priority;
	int64		pb = r->rules.type[r->node[b].type].priority;

	if (pa != pb)
		return pa < pb;
	if (r->node[a].place != r->node[b].place)
		return r->node[a].place < r->node[b].place;
	return r->node[a].id < r->node[b].id;
}

/* Turns the ends of links into numbers, the stronger first. Cannot links that lead out of the set bind nobody here. */
static void
number_ends(CdpResolve *r)
{
	int64		kept = 0;

	for (int64 i = 0; i < r->nlinks; i++)
	{
		CdpLink    *l = &r->link[i];
		int32		a = find_node(r, l->a);
		int32		b = find_node(r, l->b);

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (a < 0 || b < 0)
		{
			if (l->kind == CDP_LINK_CANNOT)
			{
				r->ncannots--;
				continue;
			}
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("link %lld leads to an identifier that is not among the rows", (long long) l->id),
					 errdetail("Its ends are %lld and %lld.", (long long) l->a, (long long) l->b)));
		}
		l->a = is_stronger(r, a, b) ? a : b;
		l->b = (l->a == a) ? b : a;
		r->link[kept++] = *l;
	}
	r->nlinks = kept;
	pfree(r->slot);
	r->slot = NULL;
}

/* Orders two numbers. */
static inline int
compare_numbers(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

/* The canonical order: kind, priorities of the ends, weight, time, values of the ends; id only for links told twice. */
static int
compare_links(const void *pa, const void *pb, void *arg)
{
	const CdpLink *a = pa;
	const CdpLink *b = pb;
	const CdpResolve *r = arg;
	int			c = a->kind - b->kind;

	CHECK_FOR_INTERRUPTS();
	if (c == 0)
		c = compare_numbers(r->rules.type[r->node[a->a].type].priority, r->rules.type[r->node[b->a].type].priority);
	if (c == 0)
		c = compare_numbers(r->rules.type[r->node[a->b].type].priority, r->rules.type[r->node[b->b].type].priority);
	if (c == 0)
		c = (a->weight < b->weight) - (a->weight > b->weight);
	if (c == 0)
		c = compare_numbers(a->at, b->at);
	if (c == 0)
		c = compare_numbers(r->node[a->a].place, r->node[b->a].place);
	if (c == 0)
		c = compare_numbers(r->node[a->b].place, r->node[b->b].place);
	return c != 0 ? c : compare_numbers(a->id, b->id);
}

/* Joins the sets of two roots with all that is kept about them. */
static void
join_roots(CdpResolve *r, int32 a, int32 b)
{
	int32		winner = cdp_set_join(r->parent, a, b);

	cdp_limits_join(r, winner, winner == a ? b : a);
}

/* Orders nodes by the part that they start in. */
static int
compare_starts(const void *a, const void *b, void *arg)
{
	const CdpIdentifier *node = arg;
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	CHECK_FOR_INTERRUPTS();
	return compare_numbers(node[x].start, node[y].start);
}

/* Joins the identifiers that start in one part. */
static void
join_starts(CdpResolve *r)
{
	int32	   *order;

	if (!r->has_start)
		return;
	order = MemoryContextAllocHuge(r->cxt, mul_size(r->nnodes, sizeof(int32)));
	for (int32 i = 0; i < r->nnodes; i++)
		order[i] = i;
	qsort_arg(order, r->nnodes, sizeof(int32), compare_starts, r->node);
	for (int32 i = 1; i < r->nnodes; i++)
	{
		int64		start = r->node[order[i]].start;

		if ((i & 0xFFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (start != 0 && start == r->node[order[i - 1]].start)
			join_roots(r, cdp_set_root(r->parent, order[i - 1]), cdp_set_root(r->parent, order[i]));
	}
	pfree(order);
}

/* Decides on one link; the first rule that stops it is the reason. */
static int32
decide(CdpResolve *r, CdpLink *l)
{
	CdpIdentifier *a = &r->node[l->a];
	CdpIdentifier *b = &r->node[l->b];
	int32		ra;
	int32		rb;
	int32		verdict = 0;

	if (a->quarantined || b->quarantined)
		return CDP_VERDICT_SUPER;
	if (a->attached || b->attached)
		return CDP_VERDICT_ATTACH;
	ra = cdp_set_root(r->parent, (int32) l->a);
	rb = cdp_set_root(r->parent, (int32) l->b);
	if (ra != rb && cdp_cannot_check(r, ra, rb, &l->at))
		return CDP_VERDICT_CANNOT;
	if (r->rules.npairs > 0)
		verdict = cdp_pairs_check(r, l);
	if (verdict == 0 && ra != rb)
		verdict = cdp_limits_check(r, ra, rb);
	if (verdict != 0)
		return verdict;
	if (ra == rb)
		return CDP_VERDICT_HOLDS;
	join_roots(r, ra, rb);
	return CDP_VERDICT_JOINS;
}

/* What a link in force changes: its ends' counts, and that an attach-only end has its link. */
static void
count_link(CdpResolve *r, const CdpLink *l)
{
	CdpIdentifier *a = &r->node[l->a];
	CdpIdentifier *b = &r->node[l->b];

	a->attached |= r->rules.type[a->type].attach_only;
	b->attached |= r->rules.type[b->type].attach_only;
	if (r->rules.npairs > 0)
		cdp_pairs_count(r, l);
}

/* Runs over all links in canonical order; leaves verdicts in the links and parts in parent. */
void
cdp_resolve_run(CdpResolve *r)
{
	hash_nodes(r);
	number_ends(r);
	qsort_arg(r->link, r->nlinks, sizeof(CdpLink), compare_links, r);
	r->parent = MemoryContextAllocHuge(r->cxt, mul_size(Max(r->nnodes, 1), sizeof(int32)));
	for (int32 i = 0; i < r->nnodes; i++)
		r->parent[i] = -1;
	cdp_limits_begin(r);
	join_starts(r);
	for (int64 i = 0; i < r->nlinks - r->ncannots; i++)
	{
		CdpLink    *l = &r->link[i];

		if ((i & 0xFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (l->kind == CDP_LINK_HELD)
		{
			int32		ra = cdp_set_root(r->parent, (int32) l->a);
			int32		rb = cdp_set_root(r->parent, (int32) l->b);

			if (ra != rb)
				join_roots(r, ra, rb);
			l->verdict = CDP_VERDICT_HOLDS;
		}
		else
			l->verdict = decide(r, l);
		if (l->verdict > 0)
			count_link(r, l);
	}
}

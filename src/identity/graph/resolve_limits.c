/*
 * resolve_limits.c
 *		What a union must not break: cannot links, limits of identifiers of a
 *		type in one customer (for ever or in a window), links between two types,
 *		the size of a customer.
 *
 * Each set keeps a chain of its limited types; the chain goes from one member
 * of each type (its head) to the next. Types with a window chain all members
 * by time from their head. Joining two sets merges the chains, so that a check
 * costs the types of both sides, and for windows their members of the type:
 * few, because the limit itself keeps them few.
 */
#include "cdp.h"

#include "identity/graph/resolve.h"

#define MAX_CANNOTS (PG_INT32_MAX / 2)

/* Links of a node under a pair rule, or (top bit) a pair of nodes that was counted. */
typedef struct CdpTally
{
	uint64		key;
	uint32		status;
	int32		n;
} CdpTally;

#define SH_PREFIX cdp_tally
#define SH_ELEMENT_TYPE CdpTally
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, key) ((uint32) cdp_mix(key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define PAIR_KEY(a, b) ((UINT64CONST(1) << 63) | ((uint64) (a) << 32) | (uint64) (b))
#define COUNT_KEY(node, rule) (((uint64) (node) << 32) | (uint64) (rule))

/* Makes an array of n words, all -1; it lives as long as the state. */
static int32 *
make_words(CdpResolve *r, int64 n)
{
	int32	   *words = MemoryContextAllocHuge(r->cxt, mul_size(Max(n, 1), sizeof(int32)));

	memset(words, 0xFF, (Size) Max(n, 1) * sizeof(int32));
	return words;
}

/* The rule of a node's type. */
static inline const CdpTypeRule *
type_of(const CdpResolve *r, int32 node)
{
	return &r->rules.type[r->node[node].type];
}

/* Puts one end of a cannot link into the chain of its node, which is a set of one still. */
static void
chain_cannot(CdpResolve *r, int32 end, int32 node)
{
	if (r->cannot_first[node] < 0)
	{
		r->cannot_first[node] = end;
		r->cannot_count[node] = 0;
	}
	else
		r->cannot_next[r->cannot_last[node]] = end;
	r->cannot_last[node] = end;
	r->cannot_count[node]++;
}

/* Lays out the chains of sets of one. The cannot links are sorted and stand last. */
void
cdp_limits_begin(CdpResolve *r)
{
	bool		limited = false;
	bool		windows = false;

	for (int i = 0; i < r->rules.ntypes; i++)
	{
		limited |= r->rules.type[i].limited;
		windows |= r->rules.type[i].limited && r->rules.type[i].window > 0;
	}
	if (limited)
	{
		r->first_type = make_words(r, r->nnodes);
		r->next_type = make_words(r, r->nnodes);
		r->count = make_words(r, r->nnodes);
		if (windows)
			r->next_member = make_words(r, r->nnodes);
		for (int32 i = 0; i < r->nnodes; i++)
			if (type_of(r, i)->limited && !r->node[i].quarantined &&
				(type_of(r, i)->window == 0 || !TIMESTAMP_NOT_FINITE(r->node[i].at)))
			{
				r->first_type[i] = i;
				r->count[i] = 1;
			}
	}
	if (r->rules.npairs > 0)
		r->tally = cdp_tally_create(r->cxt, 1024, NULL);
	if (r->ncannots == 0)
		return;
	if (r->ncannots > MAX_CANNOTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many cannot links"),
				 errdetail("There are %lld; one pass takes %d.", (long long) r->ncannots, MAX_CANNOTS)));
	r->cannot_first = make_words(r, r->nnodes);
	r->cannot_last = make_words(r, r->nnodes);
	r->cannot_count = make_words(r, r->nnodes);
	r->cannot_next = make_words(r, 2 * r->ncannots);
	for (int64 k = 0; k < r->ncannots; k++)
	{
		CdpLink    *l = &r->link[r->nlinks - r->ncannots + k];

		chain_cannot(r, (int32) (2 * k), (int32) l->a);
		chain_cannot(r, (int32) (2 * k + 1), (int32) l->b);
	}
}

/* Tells whether a cannot link leads from one root's set to the other's, and which: the first in canonical order. */
bool
cdp_cannot_check(CdpResolve *r, int32 a, int32 b, int64 *blocker)
{
	int32		found = -1;
	const CdpLink *cannot;

	if (r->ncannots == 0 || r->cannot_first[a] < 0 || r->cannot_first[b] < 0)
		return false;
	cannot = &r->link[r->nlinks - r->ncannots];
	if (r->cannot_count[a] > r->cannot_count[b])
	{
		int32		swap = a;

		a = b;
		b = swap;
	}
	for (int32 end = r->cannot_first[a]; end >= 0; end = r->cannot_next[end])
	{
		const CdpLink *l = &cannot[end / 2];
		int32		other = (int32) (end % 2 == 0 ? l->b : l->a);

		CHECK_FOR_INTERRUPTS();
		if (cdp_set_root(r->parent, other) == b && (found < 0 || end / 2 < found))
			found = end / 2;
	}
	if (found >= 0)
		*blocker = cannot[found].id;
	return found >= 0;
}

/* Tells whether member a of a windowed type comes before member b. */
static inline bool
is_earlier(const CdpResolve *r, int32 a, int32 b)
{
	return r->node[a].at < r->node[b].at;
}

/* The earlier of two chains' next members, which it takes out of its chain; -1 at the end of both. */
static inline int32
take_member(const CdpResolve *r, int32 *a, int32 *b)
{
	int32	   *from = (*a < 0 || (*b >= 0 && is_earlier(r, *b, *a))) ? b : a;
	int32		member = *from;

	if (member >= 0)
		*from = r->next_member[member];
	return member;
}

/*
 * Tells whether a span of the type's window would hold more of the members of
 * both chains than allowed. A span with members of one chain only does not
 * count: it was so before.
 */
static bool
window_breaks(const CdpResolve *r, const CdpTypeRule *t, int32 a, int32 b)
{
	int32		tail_a = a;
	int32		tail_b = b;
	int32		left = a;		/* of chain a, to tell whose member came */
	int64		last[2] = {-1, -1}; /* places of the latest members of a and b */
	int32		member;

	if ((int64) r->count[a] + r->count[b] <= t->max_n)
		return false;
	/* The tail is a second walk, max_n members behind: a span from it to here holds one too many. */
	for (int64 k = 0; (member = take_member(r, &a, &b)) >= 0; k++)
	{
		int32		oldest;

		CHECK_FOR_INTERRUPTS();
		last[a == left] = k;
		left = a;
		if (k < t->max_n)
			continue;
		oldest = take_member(r, &tail_a, &tail_b);
		if ((uint64) (r->node[member].at - r->node[oldest].at) < (uint64) t->window &&
			Min(last[0], last[1]) >= k - t->max_n)
			return true;
	}
	return false;
}

/* The rule of types or size that a union of two roots would break: its verdict, 0 when none. */
int32
cdp_limits_check(CdpResolve *r, int32 a, int32 b)
{
	int32		broken = 0;

	if (r->first_type != NULL)
	{
		int32		x = r->first_type[a];
		int32		y = r->first_type[b];

		while (x >= 0 && y >= 0)
		{
			const CdpTypeRule *t = type_of(r, x);

			if (r->node[x].type != r->node[y].type)
			{
				if (r->node[x].type < r->node[y].type)
					x = r->next_type[x];
				else
					y = r->next_type[y];
				continue;
			}
			if ((broken == 0 || t->row < broken) &&
				(t->window > 0 ? window_breaks(r, t, x, y) : (int64) r->count[x] + r->count[y] > t->max_n))
				broken = t->row;
			x = r->next_type[x];
			y = r->next_type[y];
		}
	}
	if (broken == 0 && r->rules.max_size > 0 &&
		(int64) cdp_set_size(r->parent, a) + cdp_set_size(r->parent, b) > r->rules.max_size)
		broken = r->rules.size_row;
	return broken == 0 ? 0 : CDP_VERDICT_RULE - broken;
}

/* Merges the members of a type of two sets; returns their head. */
static int32
join_members(CdpResolve *r, int32 x, int32 y)
{
	int32		total = r->count[x] + r->count[y];
	int32		head = x;

	if (type_of(r, x)->window > 0)
	{
		int32	   *link = &head;
		int32		member;

		while ((member = take_member(r, &x, &y)) >= 0)
		{
			CHECK_FOR_INTERRUPTS();
			*link = member;
			link = &r->next_member[member];
		}
		*link = -1;
	}
	r->count[head] = total;
	return head;
}

/* Merges the chains of a root that lost into those of the winner. */
void
cdp_limits_join(CdpResolve *r, int32 winner, int32 loser)
{
	if (r->first_type != NULL)
	{
		int32		x = r->first_type[winner];
		int32		y = r->first_type[loser];
		int32	   *link = &r->first_type[winner];

		while (x >= 0 || y >= 0)
		{
			int32		head;

			if (y < 0 || (x >= 0 && r->node[x].type < r->node[y].type))
			{
				head = x;
				x = r->next_type[x];
			}
			else if (x < 0 || r->node[y].type < r->node[x].type)
			{
				head = y;
				y = r->next_type[y];
			}
			else
			{
				int32		next_x = r->next_type[x];
				int32		next_y = r->next_type[y];

				head = join_members(r, x, y);
				x = next_x;
				y = next_y;
			}
			*link = head;
			link = &r->next_type[head];
		}
		*link = -1;
	}
	if (r->ncannots > 0 && r->cannot_first[loser] >= 0)
	{
		if (r->cannot_first[winner] < 0)
		{
			r->cannot_first[winner] = r->cannot_first[loser];
			r->cannot_count[winner] = r->cannot_count[loser];
		}
		else
		{
			r->cannot_next[r->cannot_last[winner]] = r->cannot_first[loser];
			r->cannot_count[winner] += r->cannot_count[loser];
		}
		r->cannot_last[winner] = r->cannot_last[loser];
	}
}

/* Tells whether links between this pair of identifiers were counted already: by another kind of link. */
static bool
pair_counted(CdpResolve *r, const CdpLink *l)
{
	return cdp_tally_lookup(r->tally, PAIR_KEY(l->a, l->b)) != NULL;
}

/* How many links one end has under a pair rule. */
static int64
links_under(CdpResolve *r, int64 node, int rule)
{
	CdpTally   *t = cdp_tally_lookup(r->tally, COUNT_KEY(node, rule));

	return t == NULL ? 0 : t->n;
}

/* The pair rule that one more link would break, as a verdict; 0 when none. */
int32
cdp_pairs_check(CdpResolve *r, const CdpLink *l)
{
	int			ta = r->node[l->a].type;
	int			tb = r->node[l->b].type;

	for (int k = 0; k < r->rules.npairs; k++)
	{
		const CdpPairRule *p = &r->rules.pair[k];
		bool		breaks = (p->type == ta && p->other == tb && links_under(r, l->a, k) >= p->max_n) ||
			(p->type == tb && p->other == ta && links_under(r, l->b, k) >= p->max_n);

		if (breaks && !pair_counted(r, l))
			return CDP_VERDICT_RULE - p->row;
	}
	return 0;
}

/* Adds a link to the count of a node under a pair rule. */
static void
count_under(CdpResolve *r, int64 node, int rule)
{
	bool		known;
	CdpTally   *t = cdp_tally_insert(r->tally, COUNT_KEY(node, rule), &known);

	t->n = known ? t->n + 1 : 1;
}

/* Counts a link that is in force under the pair rules that name its types; a pair counts once whatever its kinds. */
void
cdp_pairs_count(CdpResolve *r, const CdpLink *l)
{
	int			ta = r->node[l->a].type;
	int			tb = r->node[l->b].type;
	bool		counted = pair_counted(r, l);
	bool		concerned = false;

	for (int k = 0; k < r->rules.npairs && !counted; k++)
	{
		const CdpPairRule *p = &r->rules.pair[k];

		if (p->type == ta && p->other == tb)
			count_under(r, l->a, k);
		if (p->type == tb && p->other == ta)
			count_under(r, l->b, k);
		concerned |= (p->type == ta && p->other == tb) || (p->type == tb && p->other == ta);
	}
	if (concerned)
		cdp_tally_insert(r->tally, PAIR_KEY(l->a, l->b), &concerned);
}

/*
 * match_block.c
 *		The pairs that blocking rules make.
 *
 * Each record gets one 64-bit key per rule; records with equal keys form a
 * block, and a block makes all its pairs.  A pair belongs to the first rule
 * that makes it.  When a rule makes more pairs than its cap, its largest blocks
 * are dropped until it does not; the figures say so.  Memory: 12 bytes for each
 * record and rule (24 for a rule whose sides differ), beside the records.
 */
#include "identity/match/match.h"

#include "common/hashfn.h"

/* A record with its key, while a rule is sorted. */
typedef struct KeyedRecord
{
	uint64		key;
	uint32		record;
} KeyedRecord;

/* Records of one key on one side: a stretch of the order. */
typedef struct Side
{
	uint64	   *key;			/* of each record; 0: none */
	uint32	   *order;			/* records that have a key, by key and number */
	uint32		n;
} Side;

typedef struct RuleState
{
	Side		side[2];		/* the second is the first when the rule is symmetric */
	CdpBlockFigures figures;
} RuleState;

/* A block: a stretch of each side, the same one when the rule is symmetric. */
typedef struct Block
{
	uint32		from[2];
	uint32		to[2];
	double		pairs;
} Block;

struct CdpBlocks
{
	CdpRecords *records;
	CdpMatcher *matcher;
	CdpLinkType link_type;
	bool		changed_only;
	const CdpRule *rule;
	int			nrules;
	RuleState  *state;
	bool		alone;			/* one rule, whatever earlier ones make */
	/* where the pairs are */
	int			at_rule;
	bool		in_block;
	Block		block;
	uint32		i;
	uint32		j;
};

#define ST_SORT sort_keyed
#define ST_ELEMENT_TYPE KeyedRecord
#define ST_COMPARE(a, b) ((a)->key < (b)->key ? -1 : (a)->key > (b)->key ? 1 : (a)->record < (b)->record ? -1 : 1)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

/* Makes the keys of one side of a rule and sorts the records by them. */
static void
make_side(CdpBlocks *b, const int *part, int nparts, Side *side)
{
	CdpRecords *records = b->records;
	KeyedRecord *sorted = palloc_extended(Max(records->nrecords, 1) * sizeof(KeyedRecord), MCXT_ALLOC_HUGE);
	int			column[CDP_MATCH_MAX_PARTS];

	for (int p = 0; p < nparts; p++)
	{
		column[p] = cdp_matcher_term(b->matcher, part[p]);
		cdp_records_hash(records, column[p]);
	}
	side->key = palloc_extended(Max(records->nrecords, 1) * sizeof(uint64), MCXT_ALLOC_HUGE);
	side->n = 0;
	for (uint32 i = 0; i < records->nrecords; i++)
	{
		const int32 *code = records->code + (Size) i * records->nterms;
		uint64		key = 0;

		for (int p = 0; p < nparts; p++)
		{
			if (code[column[p]] < 0)
			{
				key = 0;
				break;
			}
			key = hash_combine64(key, records->term[column[p]].hash[code[column[p]]]);
			key += key == 0;
		}
		side->key[i] = key;
		if (key != 0)
			sorted[side->n++] = (KeyedRecord) {key, i};
	}
	sort_keyed(sorted, side->n);
	side->order = palloc_extended(Max(side->n, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < side->n; i++)
		side->order[i] = sorted[i].record;
	pfree(sorted);
}

/* The key at a place of the order; a dropped block keeps its place but has none. */
static inline uint64
key_at(const Side *side, uint32 i)
{
	return side->key[side->order[i]];
}

/* End of the stretch of equal keys. */
static uint32
stretch_end(const Side *side, uint32 from)
{
	uint64		key = key_at(side, from);

	while (++from < side->n && key_at(side, from) == key)
		continue;
	return from;
}

/* Finds the next block from where the last one ended; false at the end. Dropped blocks are stepped over. */
static bool
next_block(const RuleState *s, bool symmetric, Block *block)
{
	const Side *l = &s->side[0];
	const Side *r = &s->side[1];

	block->from[0] = block->to[0];
	block->from[1] = block->to[1];
	while (block->from[0] < l->n && block->from[1] < r->n)
	{
		uint64		a = key_at(l, block->from[0]);
		uint64		b = key_at(r, block->from[1]);

		block->to[0] = a <= b || a == 0 ? stretch_end(l, block->from[0]) : block->from[0];
		if (symmetric)
			block->to[1] = block->to[0];
		else
			block->to[1] = b <= a || b == 0 ? stretch_end(r, block->from[1]) : block->from[1];
		if (a == b && a != 0)
			return true;
		block->from[0] = block->to[0];
		block->from[1] = block->to[1];
	}
	return false;
}

/* Pairs of a symmetric block: all, less those within a source and those without a change. */
static double
symmetric_pairs(const CdpBlocks *b, const Side *side, const Block *block)
{
	const CdpRecords *records = b->records;
	double		n = block->to[0] - block->from[0];
	double		pairs = n * (n - 1) / 2;
	double		still = 0;
	uint32		i = block->from[0];

	/* Within a block records are sorted by number, so those of a source stand together. */
	while (b->link_type == CDP_LINK_BETWEEN && i < block->to[0])
	{
		uint16		source = records->source[side->order[i]];
		double		same = 0;

		for (; i < block->to[0] && records->source[side->order[i]] == source; i++)
			same++;
		pairs -= same * (same - 1) / 2;
	}
	if (!b->changed_only)
		return pairs;
	for (i = block->from[0]; i < block->to[0]; i++)
		still += !records->flag[side->order[i]];
	if (still == n)
		return 0;
	return b->link_type == CDP_LINK_BETWEEN ? pairs : pairs - still * (still - 1) / 2;
}

/* Pairs of a block whose sides differ: those in which l comes first. */
static double
crossed_pairs(const RuleState *s, const Block *block)
{
	double		pairs = 0;
	uint32		i = block->from[0];

	for (uint32 j = block->from[1]; j < block->to[1]; j++)
	{
		while (i < block->to[0] && s->side[0].order[i] < s->side[1].order[j])
			i++;
		pairs += i - block->from[0];
	}
	return pairs;
}

/* Largest block first; of equal ones that of the lowest record. */
static int
compare_blocks(const void *a, const void *b, void *arg)
{
	const Block *x = a;
	const Block *y = b;
	const uint32 *order = arg;

	if (x->pairs != y->pairs)
		return x->pairs > y->pairs ? -1 : 1;
	return order[x->from[0]] < order[y->from[0]] ? -1 : 1;
}

/* Counts the blocks of a rule and drops the largest until its pairs are within the cap. */
static void
count_blocks(CdpBlocks *b, int number, double max_pairs)
{
	RuleState  *s = &b->state[number];
	bool		symmetric = b->rule[number].symmetric;
	Block		block = {{0}};
	Block	   *all = palloc(1024 * sizeof(Block));
	uint32		n = 0,
				room = 1024;

	while (next_block(s, symmetric, &block))
	{
		CHECK_FOR_INTERRUPTS();
		block.pairs = symmetric ? symmetric_pairs(b, &s->side[0], &block) : crossed_pairs(s, &block);
		if (block.pairs == 0)
			continue;
		if (n == room)
		{
			room *= 2;
			all = repalloc_huge(all, room * sizeof(Block));
		}
		all[n++] = block;
		s->figures.pairs += block.pairs;
	}
	qsort_arg(all, n, sizeof(Block), compare_blocks, s->side[0].order);
	s->figures.blocks = n;
	if (n > 0)
	{
		s->figures.largest = all[0].to[0] - all[0].from[0];
		if (!symmetric)
			s->figures.largest += all[0].to[1] - all[0].from[1];
		s->figures.largest_record = s->side[0].order[all[0].from[0]];
	}
	for (uint32 k = 0; k < n && s->figures.pairs - s->figures.dropped_pairs > max_pairs; k++)
	{
		s->figures.dropped_blocks++;
		s->figures.dropped_pairs += all[k].pairs;
		for (int side = 0; side < 2; side++)
			for (uint32 i = all[k].from[side]; i < all[k].to[side]; i++)
				s->side[side].key[s->side[side].order[i]] = 0;
	}
	pfree(all);
}

/* Makes blocks; palloc'd in the current context. max_pairs: of each rule. changed_only: a side of each pair is flagged. */
CdpBlocks *
cdp_blocks_create(CdpRecords *records, CdpMatcher *matcher, CdpModel *model, CdpRule *rules, int nrules,
				  double max_pairs, bool changed_only)
{
	CdpBlocks  *b = palloc0(sizeof(CdpBlocks));

	b->records = records;
	b->matcher = matcher;
	b->link_type = model->link_type;
	b->changed_only = changed_only;
	b->rule = rules;
	b->nrules = nrules;
	b->state = palloc0(Max(nrules, 1) * sizeof(RuleState));
	for (int i = 0; i < nrules; i++)
	{
		RuleState  *s = &b->state[i];

		make_side(b, rules[i].part_l, rules[i].nparts, &s->side[0]);
		if (rules[i].symmetric)
			s->side[1] = s->side[0];
		else
			make_side(b, rules[i].part_r, rules[i].nparts, &s->side[1]);
		count_blocks(b, i, max_pairs);
	}
	return b;
}

/* What a rule makes, before its pairs are compared with those of other rules. */
const CdpBlockFigures *
cdp_blocks_figures(CdpBlocks *b, int rule)
{
	return &b->state[rule].figures;
}

/* Starts over with the pairs of one rule, also those that an earlier rule makes. */
void
cdp_blocks_rule_only(CdpBlocks *b, int rule)
{
	b->alone = true;
	b->at_rule = rule;
	b->in_block = false;
	memset(&b->block, 0, sizeof(Block));
}

/* True when both records have the same text for every part of a rule, and its filters hold. */
static bool
rule_holds(CdpBlocks *b, const CdpRule *rule, uint32 l, uint32 r)
{
	const CdpRecords *records = b->records;

	for (int p = 0; p < rule->nparts; p++)
	{
		int			cl = cdp_matcher_term(b->matcher, rule->part_l[p]);
		int			cr = cdp_matcher_term(b->matcher, rule->part_r[p]);
		int32		x = records->code[(Size) l * records->nterms + cl];
		int32		y = records->code[(Size) r * records->nterms + cr];
		int			xlen,
					ylen;
		const char *xs,
				   *ys;

		if (x < 0 || y < 0)
			return false;
		if (cl == cr)
		{
			if (x != y)
				return false;
			continue;
		}
		xs = cdp_value(&records->term[cl], x, &xlen);
		ys = cdp_value(&records->term[cr], y, &ylen);
		if (xlen != ylen || memcmp(xs, ys, xlen) != 0)
			return false;
	}
	for (int f = 0; f < rule->nfilters; f++)
		if (!cdp_matcher_holds(b->matcher, rule->filter[f], l, r))
			return false;
	return true;
}

/* True when the pair is wanted here and no earlier rule makes it. */
static bool
accept_pair(CdpBlocks *b, uint32 l, uint32 r)
{
	const CdpRecords *records = b->records;

	if (b->changed_only && !records->flag[l] && !records->flag[r])
		return false;
	if (b->link_type == CDP_LINK_BETWEEN && records->source[l] == records->source[r])
		return false;
	if (!rule_holds(b, &b->rule[b->at_rule], l, r))
		return false;
	for (int k = 0; k < b->at_rule && !b->alone; k++)
	{
		uint64		key = b->state[k].side[0].key[l];

		if (key != 0 && key == b->state[k].side[1].key[r] && rule_holds(b, &b->rule[k], l, r))
			return false;
	}
	return true;
}

/* Steps to the next pair of the block at hand; false when it has no more. */
static bool
next_in_block(CdpBlocks *b, uint32 *l, uint32 *r)
{
	const RuleState *s = &b->state[b->at_rule];

	for (;;)
	{
		if (b->j >= b->block.to[1])
		{
			if (++b->i >= b->block.to[0])
				return false;
			b->j = b->rule[b->at_rule].symmetric ? b->i + 1 : b->block.from[1];
			continue;
		}
		*l = s->side[0].order[b->i];
		*r = s->side[1].order[b->j++];
		if (*l < *r)
			return true;
	}
}

/* True when no record of a block has changed. */
static bool
nothing_changed(const CdpBlocks *b)
{
	const RuleState *s = &b->state[b->at_rule];

	for (int side = 0; side < 2; side++)
		for (uint32 i = b->block.from[side]; i < b->block.to[side]; i++)
			if (b->records->flag[s->side[side].order[i]])
				return false;
	return true;
}

/* The next pair, l before r in the order of records, with the rule it belongs to; false when there is none. */
bool
cdp_blocks_next(CdpBlocks *b, uint32 *l, uint32 *r, int *rule)
{
	while (b->at_rule < b->nrules)
	{
		CHECK_FOR_INTERRUPTS();
		if (!b->in_block)
		{
			if (!next_block(&b->state[b->at_rule], b->rule[b->at_rule].symmetric, &b->block))
			{
				if (b->alone)
					return false;
				b->at_rule++;
				memset(&b->block, 0, sizeof(Block));
				continue;
			}
			if (b->changed_only && nothing_changed(b))
				continue;
			b->in_block = true;
			b->i = b->block.from[0];
			b->j = b->rule[b->at_rule].symmetric ? b->i + 1 : b->block.from[1];
		}
		if (!next_in_block(b, l, r))
			b->in_block = false;
		else if (accept_pair(b, *l, *r))
		{
			*rule = b->at_rule;
			return true;
		}
	}
	return false;
}

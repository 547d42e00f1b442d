/*
 * event_class.c
 *		Classes of rows: a kind, and which of its tests hold. A class knows what
 *		its rows do to which counter, so that the walk asks nothing more.
 */
#include "segment/pass/event.h"

#define DIRECT_BITS 8

/* What the class at hand says of a reference: whether its rows are meant. */
static bool
is_meant(const CdpRowReader *r, const CdpKind *kind, const CdpRef *ref)
{
	int			bit;

	if (ref->test < 0)
		return true;
	bit = kind->test[ref->test].bit;
	return (r->bits[bit / 64] >> (bit % 64) & 1) != 0;
}

/* The verdict of a compared value in the class at hand. */
static uint8
verdict_of(const CdpRowReader *r, const CdpKind *kind, const CdpRef *ref)
{
	int			bit;

	if (ref->value_test < 0)
		return CDP_VERDICT_NONE;
	bit = kind->test[ref->value_test].bit;
	return r->bits[bit / 64] >> (bit % 64) & 3;
}

/* Whether rows must keep words for a counter. */
static bool
needs_words(const CdpEventPass *pass, const CdpCounter *c)
{
	return pass->explain || c->slot >= 0 || c->op == CDP_OP_FIRST || c->op == CDP_OP_LAST ||
		(c->op == CDP_OP_SEQ && (c->seq->by_id || c->seq->linked));
}

/* Makes a class of the tests at hand: what its rows do to each counter, once. */
static void
make_class(CdpEventPass *pass, const CdpKind *kind, CdpClass *class)
{
	CdpRowReader *r = &pass->reader;
	CdpAction  *action = MemoryContextAlloc(pass->cxt, sizeof(CdpAction) * Max(kind->nrefs, 1));
	int			n = 0;

	class->kind = kind;
	class->action = action;
	class->full = false;
	for (int i = 0; i < kind->nrefs; i++)
	{
		const CdpRef *ref = &kind->ref[i];
		const CdpCounter *c = &pass->plan->counter[ref->counter];
		uint8		verdict;

		if (!is_meant(r, kind, ref))
			continue;
		verdict = verdict_of(r, kind, ref);
		/* A first or last value is that of rows which have one. */
		if ((c->op == CDP_OP_FIRST || c->op == CDP_OP_LAST) && verdict == CDP_VERDICT_NONE)
			continue;
		if (n > 0 && action[n - 1].counter == (uint32) ref->counter)
		{
			action[n - 1].mask |= ref->mask;
			continue;
		}
		action[n++] = (CdpAction) {.counter = ref->counter, .mask = ref->mask, .op = c->op, .verdict = verdict,
			.word = c->slot >= 0 ? kind->word[c->slot] : -1};
		class->full |= needs_words(pass, c);
	}
	class->nactions = n;
	pass->class_bytes += sizeof(CdpAction) * kind->nrefs + sizeof(CdpClass) + 16;
	if (pass->class_bytes > cdp_pass_memory_bytes(&cdp_segment_memory) / 8)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the rows of a segment pass differ in too many ways"),
				 errdetail("%u combinations of conditions that hold need more than an eighth of %d kB.",
						   pass->class_number.n, cdp_segment_memory.kilobytes),
				 errhint("Raise cdp.segment_memory, or evaluate fewer rules with conditions on events at a time.")));
}

/* The class of the tests at hand, made when it is new; CDP_NO_CLASS when nobody reads its rows. */
static uint32
find_class(CdpEventPass *pass, CdpKind *kind, int number)
{
	CdpIntern  *in = &pass->class_number;
	int			words = (kind->bits + 63) / 64;
	uint64		name[1 + 8];
	uint64	   *whole = words <= 8 ? name : palloc(sizeof(uint64) * (words + 1));
	uint32		before = in->n;
	uint32		class;

	whole[0] = number;
	memcpy(whole + 1, pass->reader.bits, sizeof(uint64) * words);
	class = cdp_intern_text(in, (char *) whole, sizeof(uint64) * (words + 1));
	if (in->n > before)
	{
		if (class == pass->class_room)
		{
			pass->class_room *= 2;
			pass->class = repalloc_huge(pass->class, sizeof(CdpClass) * pass->class_room);
		}
		make_class(pass, kind, &pass->class[class]);
	}
	return class;
}

/* The class of the row at hand, whose kind is known; CDP_NO_CLASS when nobody reads it. */
uint32
cdp_event_class(CdpEventPass *pass, CdpKind *kind)
{
	int			number = (int) (kind - pass->plan->kind);
	uint32	   *direct = pass->direct[number];
	uint32		class;

	if (kind->ntests > 0)
		cdp_row_tests(&pass->reader, kind);
	if (kind->bits <= DIRECT_BITS)
	{
		uint64		bits = kind->bits > 0 ? pass->reader.bits[0] : 0;

		if (unlikely(direct == NULL))
			direct = pass->direct[number] = MemoryContextAllocZero(pass->cxt, sizeof(uint32) << kind->bits);
		if (unlikely(direct[bits] == 0))
			direct[bits] = find_class(pass, kind, number) + 1;
		class = direct[bits] - 1;
	}
	else
		class = find_class(pass, kind, number);
	return pass->class[class].nactions == 0 ? CDP_NO_CLASS : class;
}

/* Orders two classes by what they are, not by when they came. */
int
cdp_event_compare_classes(const CdpEventPass *pass, uint32 a, uint32 b)
{
	const CdpIntern *in = &pass->class_number;

	if (a == b)
		return 0;
	if (in->len[a] != in->len[b])
		return in->len[a] < in->len[b] ? -1 : 1;
	return memcmp(in->text[a], in->text[b], in->len[a]);
}

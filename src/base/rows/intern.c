/*
 * intern.c
 *		Numbers distinct labels and kinds as rows bring them.
 */
#include "base/rows/intern.h"

/* Prepares an empty table whose memory is in cxt. */
void
cdp_intern_init(CdpIntern *in, bool is_int, MemoryContext cxt, const CdpPassMemory *memory)
{
	memset(in, 0, sizeof(*in));
	in->cxt = cxt;
	in->memory = memory;
	in->is_int = is_int;
	in->slots = 64;
	in->room = 32;
	in->slot = MemoryContextAllocZero(cxt, sizeof(uint32) * in->slots);
	in->text = MemoryContextAlloc(cxt, sizeof(char *) * in->room);
	in->len = MemoryContextAlloc(cxt, sizeof(uint32) * in->room);
	in->hash = MemoryContextAlloc(cxt, sizeof(uint32) * in->room);
	in->code = MemoryContextAlloc(cxt, sizeof(int32) * in->room);
	if (is_int)
		return;
	in->recent = MemoryContextAllocZero(cxt, sizeof(CdpRecentText) * CDP_RECENT_TEXTS);
	for (int i = 0; i < CDP_RECENT_TEXTS; i++)
		in->recent[i].number = CDP_RECENT_FREE;
}

/* Mixes two 64-bit words into one. */
static inline uint64
mix(uint64 a, uint64 b)
{
	uint128		product = (uint128) (a ^ UINT64CONST(0xA0761D6478BD642F)) * (b ^ UINT64CONST(0xE7037ED1A0B428DB));

	return (uint64) product ^ (uint64) (product >> 64);
}

/* Hash of a short text, eight bytes at a time. */
static inline uint32
hash_text(const char *text, uint32 len)
{
	uint64		h = len;
	uint64		word;

	while (len >= 8)
	{
		memcpy(&word, text, 8);
		h = mix(h, word);
		text += 8;
		len -= 8;
	}
	word = 0;
	memcpy(&word, text, len);
	return (uint32) mix(h, word);
}

/* Doubles the table. */
static void
grow(CdpIntern *in)
{
	if (in->n >= CDP_MAX_LABELS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many distinct labels for %s", in->memory->pass),
				 errdetail("At most %d are possible.", CDP_MAX_LABELS),
				 errhint("Make them fewer: %s.", in->memory->fewer)));
	in->room *= 2;
	in->slots *= 2;
	in->text = repalloc_huge(in->text, sizeof(char *) * in->room);
	in->len = repalloc_huge(in->len, sizeof(uint32) * in->room);
	in->hash = repalloc_huge(in->hash, sizeof(uint32) * in->room);
	in->code = repalloc_huge(in->code, sizeof(int32) * in->room);
	pfree(in->slot);
	in->slot = MemoryContextAllocExtended(in->cxt, sizeof(uint32) * in->slots, MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < in->n; i++)
	{
		uint32		at = in->hash[i] & (in->slots - 1);

		while (in->slot[at] != 0)
			at = (at + 1) & (in->slots - 1);
		in->slot[at] = i + 1;
	}
}

/* Puts a new entry into the slot that the search ended at. */
static uint32
add_entry(CdpIntern *in, uint32 hash)
{
	uint32		at;

	if (in->n == in->room)
		grow(in);
	at = hash & (in->slots - 1);
	while (in->slot[at] != 0)
		at = (at + 1) & (in->slots - 1);
	in->slot[at] = in->n + 1;
	in->hash[in->n] = hash;
	in->last = in->n;
	return in->n++;
}

/* Counts the memory of a new label; error 54000 when all take more than a quarter of the setting. */
static void
take_bytes(CdpIntern *in, Size bytes)
{
	in->bytes += bytes;
	if (in->bytes > cdp_pass_memory_bytes(in->memory) / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("labels of %s do not fit into memory", in->memory->pass),
				 errdetail("%u distinct labels take more than a quarter of %d kB.", in->n, in->memory->kilobytes),
				 errhint("Raise %s, or %s.", in->memory->setting, in->memory->fewer)));
}

/* The number of a text; new ones are copied, unless the table is closed. */
uint32
cdp_intern_text_slow(CdpIntern *in, const char *text, uint32 len)
{
	uint32		hash = hash_text(text, len);
	uint32		at = hash & (in->slots - 1);
	uint32		number;

	for (; in->slot[at] != 0; at = (at + 1) & (in->slots - 1))
	{
		uint32		i = in->slot[at] - 1;

		if (in->hash[i] == hash && in->len[i] == len && memcmp(in->text[i], text, len) == 0)
			return in->last = i;
	}
	if (in->closed)
		return CDP_NO_LABEL;
	number = add_entry(in, hash);
	in->text[number] = MemoryContextAlloc(in->cxt, (Size) len + 1);
	memcpy(in->text[number], text, len);
	in->text[number][len] = '\0';
	in->len[number] = len;
	take_bytes(in, len + 64);
	return number;
}

/* The number of an integer. */
uint32
cdp_intern_int(CdpIntern *in, int32 code)
{
	uint32		hash = (uint32) mix((uint32) code, 1);
	uint32		at = hash & (in->slots - 1);
	uint32		number;

	if (in->n > 0 && in->code[in->last] == code)
		return in->last;
	for (; in->slot[at] != 0; at = (at + 1) & (in->slots - 1))
		if (in->code[in->slot[at] - 1] == code)
			return in->last = in->slot[at] - 1;
	if (in->closed)
		return CDP_NO_LABEL;
	number = add_entry(in, hash);
	in->code[number] = code;
	in->text[number] = NULL;
	in->len[number] = 0;
	take_bytes(in, 64);
	return number;
}

/* Orders texts as C does. */
static int
compare_text(const void *a, const void *b, void *arg)
{
	const CdpIntern *in = arg;

	CHECK_FOR_INTERRUPTS();
	return strcmp(in->text[*(const uint32 *) a], in->text[*(const uint32 *) b]);
}

/* Orders integers. */
static int
compare_code(const void *a, const void *b, void *arg)
{
	const CdpIntern *in = arg;
	int32		x = in->code[*(const uint32 *) a];
	int32		y = in->code[*(const uint32 *) b];

	return (x > y) - (x < y);
}

/* The labels in order, and in *rank the place of each number among them; current context, texts shared. */
CdpLabels *
cdp_intern_sorted(const CdpIntern *in, uint32 **rank)
{
	CdpLabels  *labels = palloc0(sizeof(CdpLabels));
	Size		n = Max(in->n, 1);
	uint32	   *order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * n);

	*rank = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * n);
	labels->n = in->n;
	labels->is_int = in->is_int;
	labels->name = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(char *) * n);
	if (in->is_int)
		labels->code = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * n);
	for (uint32 i = 0; i < in->n; i++)
		order[i] = i;
	qsort_arg(order, in->n, sizeof(uint32), in->is_int ? compare_code : compare_text, unconstify(CdpIntern *, in));
	for (uint32 i = 0; i < in->n; i++)
	{
		(*rank)[order[i]] = i;
		if (in->is_int)
		{
			labels->code[i] = in->code[order[i]];
			labels->name[i] = psprintf("%d", (int) labels->code[i]);
		}
		else
			labels->name[i] = in->text[order[i]];
	}
	pfree(order);
	return labels;
}

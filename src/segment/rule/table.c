/*
 * table.c
 *		Distinct texts: the same text gets the same number.
 */
#include "segment/rule/rule.h"

#include "common/hashfn.h"

/* The slot of a text: where it is, or the free one where it belongs. */
static int
find_slot(const RuleTable *t, const char *text)
{
	uint32		at = hash_bytes((const unsigned char *) text, strlen(text)) & (t->nslots - 1);

	while (t->slot[at] >= 0 && strcmp(t->text[t->slot[at]], text) != 0)
		at = (at + 1) & (t->nslots - 1);
	return at;
}

/* Doubles the slots, at most half of which are taken. */
static void
grow(RuleTable *t)
{
	t->room = t->room == 0 ? 32 : t->room * 2;
	t->nslots = t->room * 2;
	t->text = t->text == NULL ? palloc(sizeof(char *) * t->room) : repalloc(t->text, sizeof(char *) * t->room);
	if (t->slot != NULL)
		pfree(t->slot);
	t->slot = palloc(sizeof(int) * t->nslots);
	memset(t->slot, 0xFF, sizeof(int) * t->nslots);
	for (int i = 0; i < t->n; i++)
		t->slot[find_slot(t, t->text[i])] = i;
}

/* The number of a text, or -1 when it has none. */
int
cdp_rule_table_find(const RuleTable *t, const char *text)
{
	return t->n == 0 ? -1 : t->slot[find_slot(t, text)];
}

/* The number of a text, which is kept, not copied, when it is new. */
int
cdp_rule_table_add(RuleTable *t, const char *text)
{
	int			at;

	if (t->n == t->room)
		grow(t);
	at = find_slot(t, text);
	if (t->slot[at] < 0)
	{
		t->slot[at] = t->n;
		t->text[t->n++] = unconstify(char *, text);
	}
	return t->slot[at];
}

/*
 * event_row.c
 *		What the plan asks of a row: which tests hold, and the words that are kept.
 *
 * Properties are looked at only when the kind of the row needs them, each one
 * once, without copying. What is allocated here goes with the row.
 */
#include "segment/pass/event.h"

#include "base/micro.h"

/* Prepares a reader; its memory is in cxt. */
void
cdp_row_reader_init(CdpRowReader *r, CdpPlan *plan, MemoryContext cxt)
{
	int			bits = 1;

	for (int k = 0; k < plan->nkinds; k++)
		bits = Max(bits, plan->kind[k].bits);
	r->plan = plan;
	r->key_row = palloc0(sizeof(uint32) * Max(plan->nkeys, 1));
	r->key_value = palloc0(sizeof(JsonbValue) * Max(plan->nkeys, 1));
	r->holds = palloc0(sizeof(bool) * Max(plan->nconditions, 1));
	r->bits = palloc0(sizeof(uint64) * (bits / 64 + 2));
	cdp_intern_init(&r->scalars, false, cxt, &cdp_segment_memory);
	cdp_intern_init(&r->odd, false, cxt, &cdp_segment_memory);
}

/* The properties of the row at hand, NULL when they are no object. */
static JsonbContainer *
row_properties(CdpRowReader *r)
{
	struct varlena *given;
	Jsonb	   *json;

	if (r->properties_row == r->row)
		return r->properties;
	r->properties_row = r->row;
	r->properties = NULL;
	if (r->fcinfo->args[CDP_ARG_PROPERTIES].isnull)
		return NULL;
	given = (struct varlena *) DatumGetPointer(r->fcinfo->args[CDP_ARG_PROPERTIES].value);
	if (VARATT_IS_SHORT(given))
	{
		/* The short form stands at any address; its members want theirs aligned. */
		json = (Jsonb *) r->buffer.bytes;
		memcpy(VARDATA(json), VARDATA_SHORT(given), VARSIZE_SHORT(given) - VARHDRSZ_SHORT);
		SET_VARSIZE(json, VARSIZE_SHORT(given) - VARHDRSZ_SHORT + VARHDRSZ);
	}
	else
		json = (Jsonb *) PG_DETOAST_DATUM(PointerGetDatum(given));
	if (JsonContainerIsObject(&json->root))
		r->properties = &json->root;
	return r->properties;
}

/* A property of the row at hand, NULL when it is missing or null. */
static const JsonbValue *
row_property(CdpRowReader *r, int key)
{
	JsonbValue *v = &r->key_value[key];
	JsonbContainer *properties;

	if (r->key_row[key] != r->row)
	{
		r->key_row[key] = r->row;
		properties = row_properties(r);
		if (properties == NULL ||
			getKeyJsonValueFromContainer(properties, r->plan->key[key].name, r->plan->key[key].len, v) == NULL)
			v->type = jbvNull;
	}
	return v->type == jbvNull ? NULL : v;
}

/* The value of the row at hand in money; false when there is none. */
static bool
row_money(CdpRowReader *r)
{
	struct varlena *given;

	if (r->money_row == r->row)
		return r->has_money;
	r->money_row = r->row;
	r->has_money = false;
	if (r->fcinfo->args[CDP_ARG_VALUE].isnull)
		return false;
	given = (struct varlena *) DatumGetPointer(r->fcinfo->args[CDP_ARG_VALUE].value);
	r->money.odd = NULL;
	r->has_money = (!VARATT_IS_EXTERNAL(given) && !VARATT_IS_COMPRESSED(given) && cdp_micro_exact(given, &r->money.micro)) ||
		cdp_number_read(DatumGetNumeric(PointerGetDatum(given)), &r->money);
	return r->has_money;
}

/* Whether a sorted list holds an id. */
static bool
has_id(const int32 *list, int n, int32 id)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (list[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && list[low] == id;
}

/* Whether an argument is in a sorted list. */
static inline bool
argument_in(const CdpRowReader *r, int argument, const int32 *list, int n)
{
	const NullableDatum *given = &r->fcinfo->args[argument];

	return !given->isnull && has_id(list, n, DatumGetInt32(given->value));
}

/* Whether the value in money compares as it should. */
static CdpVerdict
compare_money(CdpRowReader *r, const CdpCompare *compare)
{
	if (compare->op == CDP_EXISTS)
		return row_money(r) ? CDP_SAYS_YES : CDP_SAYS_NO;
	if (!row_money(r) || compare->value[0].type != jbvNumeric)
		return CDP_SAYS_NOTHING;
	return cdp_compare_number(compare, &r->money) ? CDP_SAYS_YES : CDP_SAYS_NO;
}

/* Whether a condition holds; those that it depends on have been asked. */
static bool
ask_condition(CdpRowReader *r, const CdpCondition *c)
{
	CdpVerdict	wanted = c->complement ? CDP_SAYS_NO : CDP_SAYS_YES;

	switch (c->kind)
	{
		case CDP_IF_PROPERTY:
			return cdp_compare_value(&c->compare, row_property(r, c->key)) == wanted;
		case CDP_IF_VALUE:
			return compare_money(r, &c->compare) == wanted;
		case CDP_IF_ORIGIN:
			return argument_in(r, CDP_ARG_ORIGIN, c->member, c->n) || argument_in(r, CDP_ARG_CAMPAIGN, c->member2, c->n2);
		case CDP_IF_SOURCE:
			return argument_in(r, CDP_ARG_SOURCE, c->member, c->n);
		case CDP_IF_NOT:
			return !r->holds[c->member[0]];
		case CDP_IF_ALL:
			for (int i = 0; i < c->n; i++)
				if (!r->holds[c->member[i]])
					return false;
			return true;
		case CDP_IF_ANY:
			for (int i = 0; i < c->n; i++)
				if (r->holds[c->member[i]])
					return true;
			return false;
	}
	return false;
}

/* How a scalar compares: two bits of a class. */
static uint64
ask_value(CdpRowReader *r, const CdpTest *test)
{
	const JsonbValue *v;
	CdpVerdict	verdict;

	if (test->key == CDP_KEY_MONEY)
	{
		if (!row_money(r))
			return CDP_VERDICT_NONE;
		verdict = compare_money(r, test->compare);
	}
	else
	{
		v = row_property(r, test->key);
		if (v == NULL || v->type == jbvBinary)
			return CDP_VERDICT_NONE;
		verdict = cdp_compare_value(test->compare, v);
	}
	return verdict == CDP_SAYS_YES ? CDP_VERDICT_YES : verdict == CDP_SAYS_NO ? CDP_VERDICT_NO : CDP_VERDICT_OTHER;
}

/* Finds out which tests hold of the row at hand; the answers stand in bits. */
void
cdp_row_tests(CdpRowReader *r, const CdpKind *kind)
{
	memset(r->bits, 0, sizeof(uint64) * ((kind->bits + 63) / 64));
	for (int i = 0; i < kind->nprogram; i++)
		r->holds[kind->program[i]] = ask_condition(r, &r->plan->condition[kind->program[i]]);
	for (int t = 0; t < kind->ntests; t++)
	{
		const CdpTest *test = &kind->test[t];
		uint64		bits = test->condition >= 0 ? r->holds[test->condition] : ask_value(r, test);

		r->bits[test->bit / 64] |= bits << (test->bit % 64);
	}
}

/* A number as a word. */
static uint64
number_word(CdpRowReader *r, const CdpNumber *number)
{
	char	   *text;

	if (number->odd == NULL)
		return (uint64) number->micro;
	text = numeric_normalize(number->odd);
	return (uint64) (CDP_WORD_ODD + cdp_intern_text(&r->odd, text, strlen(text)));
}

/* The number of a property or of the value as a word. */
static uint64
row_number(CdpRowReader *r, int key)
{
	const JsonbValue *v;
	CdpNumber	number;

	if (key == CDP_KEY_MONEY)
		return row_money(r) ? number_word(r, &r->money) : (uint64) CDP_WORD_NO_NUMBER;
	v = row_property(r, key);
	if (v == NULL || v->type != jbvNumeric || !cdp_number_read(v->val.numeric, &number))
		return (uint64) CDP_WORD_NO_NUMBER;
	return number_word(r, &number);
}

/* A text by its number, with what tells it from values of other types. */
static uint64
intern_word(CdpRowReader *r, char type, const char *text, int len)
{
	char	   *tagged = palloc(len + 1);

	tagged[0] = type;
	memcpy(tagged + 1, text, len);
	return (uint64) cdp_intern_text(&r->scalars, tagged, len + 1) << 2 | CDP_WORD_INTERN;
}

/* A scalar as a word: equal words are equal values. */
static uint64
scalar_word(CdpRowReader *r, const JsonbValue *v)
{
	CdpNumber	number;
	uint64		word = 0;
	char	   *text;

	switch (v->type)
	{
		case jbvString:
			if (v->val.string.len > 7)
				return intern_word(r, 's', v->val.string.val, v->val.string.len);
			memcpy(&word, v->val.string.val, v->val.string.len);
			return (word << 3 | v->val.string.len) << 2 | CDP_WORD_TEXT;
		case jbvBool:
			return intern_word(r, 'b', v->val.boolean ? "t" : "f", 1);
		case jbvNumeric:
			if (!cdp_number_read(v->val.numeric, &number))
				return CDP_WORD_NO_SCALAR;
			if (number.odd == NULL && number.micro > -(INT64CONST(1) << 61) && number.micro < INT64CONST(1) << 61)
				return (uint64) number.micro << 2 | CDP_WORD_MICRO;
			text = numeric_normalize(v->val.numeric);
			return intern_word(r, 'n', text, strlen(text));
		default:
			return CDP_WORD_NO_SCALAR;
	}
}

/* The scalar of a property or of the value as a word. */
static uint64
row_scalar(CdpRowReader *r, int key)
{
	const JsonbValue *v;

	if (key == CDP_KEY_MONEY)
	{
		JsonbValue	money = {.type = jbvNumeric};

		if (!row_money(r))
			return CDP_WORD_NO_SCALAR;
		money.val.numeric = cdp_number_numeric(&r->money);
		return scalar_word(r, &money);
	}
	v = row_property(r, key);
	return v == NULL ? CDP_WORD_NO_SCALAR : scalar_word(r, v);
}

/* Several scalars together as a word; none when one is missing. */
static uint64
row_scalars(CdpRowReader *r, const CdpSlot *slot)
{
	uint64	   *word;

	if (slot->nkeys == 1)
		return row_scalar(r, slot->key[0]);
	word = palloc(sizeof(uint64) * slot->nkeys);
	for (int i = 0; i < slot->nkeys; i++)
	{
		word[i] = row_scalar(r, slot->key[i]);
		if (word[i] == CDP_WORD_NO_SCALAR)
			return CDP_WORD_NO_SCALAR;
	}
	return intern_word(r, 't', (char *) word, sizeof(uint64) * slot->nkeys);
}

/* Fills the further words of the row at hand. */
void
cdp_row_words(CdpRowReader *r, const CdpKind *kind, uint64 *word)
{
	const NullableDatum *id = &r->fcinfo->args[CDP_ARG_ID];

	for (int i = 0; i < kind->nslots; i++)
	{
		const CdpSlot *slot = &r->plan->slot[kind->slot[i]];

		if (slot->type == CDP_SLOT_ID)
			word[i] = (uint64) (id->isnull ? PG_INT64_MAX : DatumGetInt64(id->value));
		else if (slot->type == CDP_SLOT_NUMBER)
			word[i] = row_number(r, slot->key[0]);
		else
			word[i] = row_scalars(r, slot);
	}
}

/* Orders two words of scalars or odd numbers by what they stand for. */
static int
compare_interned(const CdpIntern *in, uint32 a, uint32 b)
{
	int			c;

	if (a == b)
		return 0;
	c = memcmp(in->text[a], in->text[b], Min(in->len[a], in->len[b]));
	return c != 0 ? c : in->len[a] < in->len[b] ? -1 : in->len[a] > in->len[b];
}

/* Orders two scalars. */
static int
compare_scalars(const CdpRowReader *r, uint64 a, uint64 b)
{
	const CdpIntern *in = &r->scalars;
	int			c = 0;

	if (a == b)
		return 0;
	if ((a & 3) != CDP_WORD_INTERN || (b & 3) != CDP_WORD_INTERN)
		return a < b ? -1 : 1;
	if (in->text[a >> 2][0] != 't' || in->text[b >> 2][0] != 't')
		return compare_interned(in, a >> 2, b >> 2);
	for (uint32 i = 1; c == 0 && i + sizeof(uint64) <= in->len[a >> 2]; i += sizeof(uint64))
	{
		uint64		x;
		uint64		y;

		memcpy(&x, in->text[a >> 2] + i, sizeof(x));
		memcpy(&y, in->text[b >> 2] + i, sizeof(y));
		c = compare_scalars(r, x, y);
	}
	return c;
}

/* Orders the further words of two rows of a kind by what they stand for, not by when it came. */
int
cdp_row_compare_words(const CdpRowReader *r, const CdpKind *kind, const uint64 *a, const uint64 *b)
{
	for (int i = 0; i < kind->nslots; i++)
	{
		int64		x = (int64) a[i];
		int64		y = (int64) b[i];
		int			c;

		if (r->plan->slot[kind->slot[i]].type == CDP_SLOT_SCALAR)
			c = compare_scalars(r, a[i], b[i]);
		else if (r->plan->slot[kind->slot[i]].type == CDP_SLOT_NUMBER && x != CDP_WORD_NO_NUMBER && x < CDP_WORD_ODD_END &&
				 y != CDP_WORD_NO_NUMBER && y < CDP_WORD_ODD_END)
			c = compare_interned(&r->odd, x - CDP_WORD_ODD, y - CDP_WORD_ODD);
		else
			c = cdp_compare_int64(x, y);
		if (c != 0)
			return c;
	}
	return 0;
}

/*
 * tokens.c
 *		Words by which rows of raw content are found again by what they say.
 *
 * Content that could not be read (the quarantine), and messages without a
 * customer, name a person in their text only.  A row gets 64-bit hashes of
 *   - each string or number as a whole,
 *   - each word of it,
 *   - each run of digits, as phone numbers have it, blanks and hyphens aside,
 *   - each member of an object, its key and its value,
 * for an index of type GIN.  Letters and digits count, case and signs between
 * them do not, so that +86 138-0013-8000 meets 8613800138000.  Looking for an
 * identifier uses the same hashes; of a phone number every end of seven digits
 * or more, for who wrote it down may have left out the country.  Nothing is
 * left out, however long the content: who is to be forgotten may stand at its
 * end.  Memory: 8 bytes a hash, of which there are fewer than bytes by four.
 */
#include "cdp.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* Shorter texts say nothing by themselves: a 7 is a quantity, too. */
#define CDP_TOKEN_LENGTH 5
#define CDP_DIGITS_LENGTH 7

typedef struct CdpTokens
{
	Datum	   *hash;
	int			n;
	int			room;
	char	   *word;			/* a text without the signs, room for the longest */
	int			word_room;
} CdpTokens;

CDP_FUNCTION(cdp_content_tokens);
CDP_FUNCTION(cdp_identifier_tokens);

/* Adds one hash; tag keeps the sorts of tokens apart. */
static void
add(CdpTokens *t, char tag, const char *str, int length)
{
	if (t->n >= t->room)
	{
		t->room = t->room ? t->room * 2 : 64;
		t->hash = t->hash ? repalloc(t->hash, t->room * sizeof(Datum)) : palloc(t->room * sizeof(Datum));
	}
	t->hash[t->n++] = Int64GetDatum((int64) hash_bytes_extended((const unsigned char *) str, length, (uint64) tag));
}

/* Whether a byte is part of a word: letters, digits, and whatever is not ASCII. */
static bool
is_letter(unsigned char c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Copies the letters and digits of a text to t->word behind what stands there; returns the new length. */
static int
squeeze(CdpTokens *t, int at, const char *str, int length)
{
	if (t->word == NULL || at + length + 1 > t->word_room)
	{
		t->word_room = (at + length + 1) * 2;
		t->word = t->word ? repalloc(t->word, t->word_room) : palloc(t->word_room);
	}
	for (int i = 0; i < length; i++)
		if (is_letter((unsigned char) str[i]))
			t->word[at++] = str[i] >= 'A' && str[i] <= 'Z' ? str[i] + ('a' - 'A') : str[i];
	return at;
}

/* Adds a text as a whole or as a word, when it is long enough. */
static void
add_word(CdpTokens *t, const char *str, int length)
{
	int			n = squeeze(t, 0, str, length);

	if (n >= CDP_TOKEN_LENGTH)
		add(t, 'w', t->word, n);
}

/* Adds digits without the zeros before them. */
static void
add_digits(CdpTokens *t, const char *digit, int n)
{
	while (n > 0 && *digit == '0')
		digit++, n--;
	if (n >= CDP_DIGITS_LENGTH)
		add(t, 'd', digit, n);
}

/* Adds the runs of digits of a text: as they stand, and with the signs of phone numbers passed over. */
static void
add_runs(CdpTokens *t, const char *str, int length)
{
	char		digits[64];

	for (int i = 0; i < length;)
	{
		int			n = 0,
					plain = 0;

		if (str[i] < '0' || str[i] > '9')
		{
			i++;
			continue;
		}
		for (; i < length; i++)
		{
			if (str[i] >= '0' && str[i] <= '9')
			{
				if (n < (int) sizeof(digits))
					digits[n++] = str[i];
			}
			else if (strchr(" -().+/", str[i]) == NULL)
				break;
			else
			{
				if (n > plain)
					add_digits(t, digits + plain, n - plain);
				plain = n;
			}
		}
		if (n > plain)
			add_digits(t, digits + plain, n - plain);
		if (plain > 0)
			add_digits(t, digits, n);
	}
}

/* Adds all tokens of one string or number. */
static void
add_text(CdpTokens *t, const char *str, int length)
{
	int			from = 0;

	add_word(t, str, length);
	for (int i = 0; i <= length; i++)
		if (i == length || !(is_letter((unsigned char) str[i]) || strchr("@._+%-", str[i]) != NULL))
		{
			if ((t->n & 0x3FF) == 0)
				CHECK_FOR_INTERRUPTS();
			if (i > from && (from > 0 || i < length))
				add_word(t, str + from, i - from);
			from = i + 1;
		}
	add_runs(t, str, length);
}

/* Adds key and value of a member. */
static void
add_member(CdpTokens *t, const char *key, int key_length, const char *str, int length)
{
	int			n = squeeze(t, 0, key, key_length);

	n = squeeze(t, n, "=", 1);	/* makes room for the sign that is not a letter */
	t->word[n++] = '=';
	n = squeeze(t, n, str, length);
	add(t, 'k', t->word, n);
}

/* Order of hashes, for qsort. */
static int
compare_hash(const void *a, const void *b)
{
	int64		x = DatumGetInt64(*(const Datum *) a),
				y = DatumGetInt64(*(const Datum *) b);

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The hashes as a sorted int8[] without repetition. */
static Datum
finish(CdpTokens *t)
{
	int			n = 0;

	if (t->n > 1)
		qsort(t->hash, t->n, sizeof(Datum), compare_hash);
	for (int i = 0; i < t->n; i++)
		if (n == 0 || DatumGetInt64(t->hash[n - 1]) != DatumGetInt64(t->hash[i]))
			t->hash[n++] = t->hash[i];
	if (n == 0)
		return PointerGetDatum(construct_empty_array(INT8OID));
	return PointerGetDatum(construct_array(t->hash, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * content_tokens(jsonb): hashes of all strings and numbers of a value.  The
 * array is the caller's; all else is freed with the call's memory context.
 */
Datum
cdp_content_tokens(PG_FUNCTION_ARGS)
{
	Jsonb	   *content = PG_GETARG_JSONB_P(0);
	CdpTokens	t = {0};
	JsonbIterator *it = JsonbIteratorInit(&content->root);
	JsonbIteratorToken kind;
	JsonbValue	v;
	const char *key = NULL;
	int			key_length = 0;

	while ((kind = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		const char *str = NULL;
		int			length = 0;

		CHECK_FOR_INTERRUPTS();
		if (kind == WJB_KEY)
		{
			key = v.val.string.val;
			key_length = v.val.string.len;
		}
		if (kind == WJB_BEGIN_OBJECT)
			key = NULL;
		if (kind != WJB_VALUE && kind != WJB_ELEM)
			continue;
		if (v.type == jbvString)
		{
			str = v.val.string.val;
			length = v.val.string.len;
		}
		else if (v.type == jbvNumeric)
		{
			str = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v.val.numeric)));
			length = strlen(str);
		}
		if (str == NULL)
			continue;
		if (key != NULL)		/* of a list, the key that the list has */
			add_member(&t, key, key_length, str, length);
		add_text(&t, str, length);
	}
	PG_RETURN_DATUM(finish(&t));
}

/*
 * identifier_tokens(text, text[]): hashes under which content with this value
 * is found, as a whole or under one of the keys.  The array is the caller's.
 */
Datum
cdp_identifier_tokens(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	const char *str = VARDATA_ANY(value);
	int			length = VARSIZE_ANY_EXHDR(value);
	CdpTokens	t = {0};
	Datum	   *key;
	bool	   *no_key;
	int			keys,
				n = 0;
	char	   *digit = palloc(length + 1);
	bool		is_number = length > 0;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &key, &no_key, &keys);
	add_word(&t, str, length);
	for (int i = 0; i < keys; i++)
		if (!no_key[i])
			add_member(&t, VARDATA_ANY(DatumGetTextPP(key[i])), VARSIZE_ANY_EXHDR(DatumGetTextPP(key[i])), str, length);
	for (int i = 0; i < length; i++)
	{
		if (str[i] >= '0' && str[i] <= '9')
			digit[n++] = str[i];
		else if (strchr(" -().+/", str[i]) == NULL)
			is_number = false;
	}
	for (int i = 0; is_number && n - i >= CDP_DIGITS_LENGTH; i++)
		add(&t, 'd', digit + i, n - i);
	PG_RETURN_DATUM(finish(&t));
}

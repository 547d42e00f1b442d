/*
 * code.c
 *		Referral codes with a check digit, and vanity codes: pure text, knows no table.
 *
 * A random code has eight symbols of an alphabet of 31, without the letters and
 * digits that are taken for each other (0 O, 1 I L), and a ninth so that
 * sum(i * value(i)) = 0 modulo 31 for i = 1 .. 9.  31 is prime and no weight is a
 * multiple of it: one wrong symbol changes the sum by i * d, two neighbours
 * changed about by d, two that stand one apart by 2 d, and twins (aa for bb) by
 * (2 i + 1) * d, all of which differ from 0 modulo 31 (twins: 2 i + 1 is at most
 * 17).  For the same reason one symbol that is missing is known from the others.
 *
 * A vanity code is 3 to 50 of a-z, 0-9 and the dash, and never looks like a random one.
 */
#include "referral/code.h"

#include "mb/pg_wchar.h"

#define BASE 31
#define NO_SYMBOL (-1)

static const char alphabet[] = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/* The value of an upper-case symbol, NO_SYMBOL when the alphabet lacks it. */
static int
symbol_value(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int) (at - alphabet) : NO_SYMBOL;
}

/* Characters that look like a dash, or are typed for one. */
static bool
is_dash(pg_wchar c)
{
	return c == '-' || c == '_' || c == 0xAD || (c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xFE58 || c == 0xFE63;
}

/* Blanks of all widths, also those that nobody sees. */
static bool
is_blank(pg_wchar c)
{
	return c == ' ' || (c >= 9 && c <= 13) || c == 0xA0 || (c >= 0x2000 && c <= 0x200F) || c == 0x202F || c == 0x205F ||
		c == 0x2060 || c == 0x3000 || c == 0xFEFF;
}

/* What a code was read as: symbols without dashes, and the form with dashes. */
typedef struct Reading
{
	int			n;				/* symbols without dashes */
	char		upper[CDP_VANITY_MAX];
	int			places[CDP_VANITY_MAX];
	int			nform;			/* with dashes */
	char		form[CDP_VANITY_MAX];
	bool		grouped;		/* dashes after the fourth and the eighth symbol, nowhere else */
	int			bad;			/* place of the first character that no code has; 0 */
	bool		too_long;
} Reading;

/* Reads UTF-8 into symbols: capitals, full-width forms as the usual ones, no blanks. */
static void
read_symbols(const char *text, int len, Reading *r)
{
	int			place = 0;
	int			dashes = 0;
	bool		odd_dash = false;

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < len;)
	{
		int			step = pg_utf_mblen((const unsigned char *) text + i);
		pg_wchar	c = i + step <= len ? utf8_to_unicode((const unsigned char *) text + i) : 0xFFFD;

		i += step;
		place++;
		if (c >= 0xFF01 && c <= 0xFF5E)
			c -= 0xFEE0;
		if (is_blank(c))
			continue;
		if (r->nform == CDP_VANITY_MAX)
		{
			r->too_long = true;
			return;
		}
		if (is_dash(c))
		{
			r->form[r->nform++] = '-';
			dashes++;
			odd_dash = odd_dash || dashes > 2 || r->n != 4 * dashes;
			continue;
		}
		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
		{
			r->bad = r->bad ? r->bad : place;
			c = '?';
		}
		r->places[r->n] = place;
		r->upper[r->n++] = (char) c;
		r->form[r->nform++] = c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : (char) c;
	}
	r->grouped = dashes == 2 && !odd_dash;
}

/* The symbol at a place (from 0) that makes the sum right, whatever stands there now. */
static char
fitting_symbol(const char *symbols, int place)
{
	int			sum = 0;

	for (int i = 0; i < CDP_CODE_SYMBOLS; i++)
		if (i != place)
			sum += (i + 1) * symbol_value(symbols[i]);
	for (int v = 0; v < BASE; v++)
		if ((sum + (place + 1) * v) % BASE == 0)
			return alphabet[v];
	pg_unreachable();
}

/* Says what a text is as a code; len bytes of UTF-8. Never an error: problem tells. */
void
cdp_code_read(const char *text, int len, CdpCode *code)
{
	Reading		r;
	int			strange = 0;
	int			last_strange = 0;

	memset(code, 0, sizeof(*code));
	read_symbols(text, len, &r);
	for (int i = 0; i < r.n; i++)
		if (symbol_value(r.upper[i]) == NO_SYMBOL)
		{
			strange++;
			last_strange = i;
		}
	if (r.n == CDP_CODE_SYMBOLS && strange == 1 && !r.too_long)
	{
		memcpy(code->meant, r.upper, CDP_CODE_SYMBOLS);
		code->meant[last_strange] = fitting_symbol(r.upper, last_strange);
	}
	code->random = r.n == CDP_CODE_SYMBOLS && !r.too_long && (strange == 0 || r.grouped);
	if (r.n == 0 && !r.too_long)
		code->problem = "empty";
	else if (r.bad)
	{
		code->problem = "bad_character";
		code->place = r.bad;
	}
	else if (r.too_long)
		code->problem = "too_long";
	else if (code->random && strange > 0)
	{
		code->problem = "bad_character";
		for (int i = CDP_CODE_SYMBOLS - 1; i >= 0; i--)
			if (symbol_value(r.upper[i]) == NO_SYMBOL)
				code->place = r.places[i];
	}
	else if (code->random && fitting_symbol(r.upper, CDP_CODE_SYMBOLS - 1) != r.upper[CDP_CODE_SYMBOLS - 1])
		code->problem = "check_digit";
	else if (r.nform < CDP_VANITY_MIN)
		code->problem = "too_short";
	code->valid = code->problem == NULL;
	if (code->valid)
		memcpy(code->folded, code->random ? r.upper : r.form, code->random ? CDP_CODE_SYMBOLS : r.nform);
}

/* Writes a random code as it is shown, XXXX-XXXX-X, and a vanity code as it is; out has room for CDP_VANITY_MAX + 1. */
void
cdp_code_show(const char *folded, char *out)
{
	if (strlen(folded) == CDP_CODE_SYMBOLS && strspn(folded, alphabet) == CDP_CODE_SYMBOLS)
		snprintf(out, CDP_VANITY_MAX + 1, "%.4s-%.4s-%.1s", folded, folded + 4, folded + 8);
	else
		strlcpy(out, folded, CDP_VANITY_MAX + 1);
}

/* Makes a code from the operating system's random numbers; out has room for CDP_CODE_SYMBOLS + 1. */
void
cdp_code_random(char *out)
{
	int			n = 0;

	while (n < CDP_CODE_SYMBOLS - 1)
	{
		uint8		bytes[16];

		CHECK_FOR_INTERRUPTS();
		if (!pg_strong_random(bytes, sizeof(bytes)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not get random numbers for a code")));
		/* Bytes above the last multiple of 31 are thrown away, or the first symbols would come more often. */
		for (int i = 0; i < (int) sizeof(bytes) && n < CDP_CODE_SYMBOLS - 1; i++)
			if (bytes[i] < 256 / BASE * BASE)
				out[n++] = alphabet[bytes[i] % BASE];
	}
	out[n] = fitting_symbol(out, n);
	out[n + 1] = '\0';
}

/* Whether a lower-case letter or digit of a code may be read as that letter of a word. */
static bool
looks_like(char c, char letter)
{
	/* What each character is also read as. */
	static const char *const alike[] = {"0o", "1il", "2z", "3e", "4a", "5s", "6gb", "7t", "8b", "9gq", "uv", "vu", "il", "li", "zs"};

	if (c == letter)
		return true;
	for (int i = 0; i < (int) lengthof(alike); i++)
		if (alike[i][0] == c)
			return strchr(alike[i] + 1, letter) != NULL;
	return false;
}

/*
 * Whether a word of up to 62 lower-case letters stands in a code of len bytes,
 * also with look-alikes, letters repeated and dashes between; whole: is all of
 * it.  A run over the code with one bit for each number of letters matched.
 */
bool
cdp_code_has_word(const char *code, int len, const char *word, int word_len, bool whole)
{
	uint64		states = 1;

	if (word_len < 1 || word_len > 62)
		return false;
	for (int i = 0; i < len; i++)
	{
		char		c = pg_ascii_tolower((unsigned char) code[i]);
		uint64		next = whole ? 0 : 1;

		if (c == '-')
			continue;
		for (int j = 0; j <= word_len; j++)
			if (states & (UINT64CONST(1) << j))
			{
				if (j < word_len && looks_like(c, word[j]))
					next |= UINT64CONST(1) << (j + 1);
				if (j > 0 && looks_like(c, word[j - 1]))
					next |= UINT64CONST(1) << j;
			}
		states = next;
		if (!whole && (states & (UINT64CONST(1) << word_len)))
			return true;
	}
	return (states & (UINT64CONST(1) << word_len)) != 0;
}

/*
 * parse_json.c
 *		Reads text to jsonb without ever throwing on bad content.
 *
 * jsonb's input function raises an error at the first wrong byte. Here a
 * checker of one pass, without recursion, decides first; what it lets through
 * the input function takes. It is stricter where that function could still
 * fail: depth, size, huge exponents, and escapes that the encoding lacks.
 */
#include "cdp.h"

#include "mb/pg_wchar.h"
#include "utils/jsonb.h"

/* Limits of one value; deeper or larger content is no property of a touch. */
#define CDP_JSON_DEPTH 64
#define CDP_JSON_NUMBER 1000
#define CDP_JSON_BYTES (1024 * 1024)

/* The checker's place in the text, and for each open bracket whether it is an object. */
typedef struct CdpJsonCheck
{
	const char *at;
	const char *end;
	int			depth;
	bool		object[CDP_JSON_DEPTH];
} CdpJsonCheck;

CDP_FUNCTION(cdp_parse_json);

/* Steps over the blanks that JSON knows. */
static void
skip_blanks(CdpJsonCheck *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
}

/* Steps over one given character. */
static bool
take(CdpJsonCheck *c, char wanted)
{
	if (c->at >= c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* Reads four hexadecimal digits. */
static bool
take_hex4(CdpJsonCheck *c, unsigned *code)
{
	*code = 0;
	for (int i = 0; i < 4; i++, c->at++)
	{
		char		d;

		if (c->at >= c->end)
			return false;
		d = *c->at;
		if (d >= '0' && d <= '9')
			*code = *code * 16 + (d - '0');
		else if ((d | 32) >= 'a' && (d | 32) <= 'f')
			*code = *code * 16 + ((d | 32) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Steps over what follows a backslash; jsonb can hold neither \u0000 nor half a surrogate pair. */
static bool
take_escape(CdpJsonCheck *c)
{
	unsigned	code,
				low;

	if (c->at >= c->end)
		return false;
	if (*c->at != 'u')
		return strchr("\"\\/bfnrt", *c->at++) != NULL;
	c->at++;
	if (!take_hex4(c, &code) || code == 0 || (code >= 0xDC00 && code <= 0xDFFF))
		return false;
	if (code >= 0xD800 && code <= 0xDBFF &&
		!(take(c, '\\') && take(c, 'u') && take_hex4(c, &low) && low >= 0xDC00 && low <= 0xDFFF))
		return false;
	return code < 0x80 || GetDatabaseEncoding() == PG_UTF8;
}

/* Steps over a string. */
static bool
take_string(CdpJsonCheck *c)
{
	if (!take(c, '"'))
		return false;
	while (c->at < c->end)
	{
		unsigned char ch = (unsigned char) *c->at++;

		if (ch == '"')
			return true;
		if (ch < 0x20 || (ch == '\\' && !take_escape(c)))
			return false;
	}
	return false;
}

/* Steps over digits; returns how many. */
static int
take_digit_run(CdpJsonCheck *c)
{
	const char *from = c->at;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	return c->at - from;
}

/*
 * Steps over a number that numeric can hold.  jsonb spells an exponent out, up
 * to 999 digits: what is taken with one must be taken again without it.
 */
static bool
take_number(CdpJsonCheck *c)
{
	const char *from = c->at;
	int			most = 2 * CDP_JSON_NUMBER;

	take(c, '-');
	if (!take(c, '0') && take_digit_run(c) == 0)
		return false;
	if (take(c, '.') && take_digit_run(c) == 0)
		return false;
	if (c->at < c->end && (*c->at | 32) == 'e')
	{
		int			digits;

		c->at++;
		if (!take(c, '+'))
			take(c, '-');
		digits = take_digit_run(c);
		if (digits == 0 || digits > 3)
			return false;
		most = CDP_JSON_NUMBER;
	}
	return c->at - from <= most;
}

/* Steps over true, false or null. */
static bool
take_word(CdpJsonCheck *c)
{
	static const char *const words[] = {"true", "false", "null"};

	for (int i = 0; i < lengthof(words); i++)
	{
		size_t		len = strlen(words[i]);

		if (c->end - c->at >= len && memcmp(c->at, words[i], len) == 0)
		{
			c->at += len;
			return true;
		}
	}
	return false;
}

/* Steps over "name" and the colon after it. */
static bool
take_name(CdpJsonCheck *c)
{
	skip_blanks(c);
	if (!take_string(c))
		return false;
	skip_blanks(c);
	return take(c, ':');
}

/* Steps over a scalar, or opens brackets up to the next scalar or an empty pair. */
static bool
take_value(CdpJsonCheck *c)
{
	for (;;)
	{
		bool		object;

		skip_blanks(c);
		if (c->at >= c->end)
			return false;
		if (*c->at == '"')
			return take_string(c);
		if (*c->at == '-' || (*c->at >= '0' && *c->at <= '9'))
			return take_number(c);
		if (*c->at != '{' && *c->at != '[')
			return take_word(c);
		if (c->depth >= CDP_JSON_DEPTH)
			return false;
		object = *c->at++ == '{';
		skip_blanks(c);
		if (take(c, object ? '}' : ']'))
			return true;
		c->object[c->depth++] = object;
		if (object && !take_name(c))
			return false;
	}
}

/* True when the text is one JSON value that jsonb's input function will take. */
static bool
is_json(const char *at, const char *end)
{
	CdpJsonCheck c = {at, end, 0};

	if (end - at > CDP_JSON_BYTES)
		return false;
	for (;;)
	{
		if (!take_value(&c))
			return false;
		for (;;)
		{
			skip_blanks(&c);
			if (c.depth == 0)
				return c.at == c.end;
			if (take(&c, ','))
				break;
			if (!take(&c, c.object[c.depth - 1] ? '}' : ']'))
				return false;
			c.depth--;
		}
		if (c.object[c.depth - 1] && !take_name(&c))
			return false;
	}
}

/* parse_json(text): jsonb, NULL when it is no JSON (or an object deeper than 64, or above 1 MB). */
Datum
cdp_parse_json(PG_FUNCTION_ARGS)
{
	text	   *input = PG_GETARG_TEXT_PP(0);
	const char *at = VARDATA_ANY(input);

	if (!is_json(at, at + VARSIZE_ANY_EXHDR(input)))
		PG_RETURN_NULL();
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(input)));
}

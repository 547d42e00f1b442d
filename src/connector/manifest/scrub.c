/*
 * scrub.c
 *		Bodies as they come: bytes that should be JSON, made fit for jsonb.
 *
 * What vendors send and jsonb refuses is replaced and counted: a byte order mark
 * goes, raw tabs and ends of line in texts become their escapes, other raw control
 * characters, \u0000, halves of surrogate pairs and bytes that are no UTF-8 become
 * U+FFFD.  What is no JSON beyond that is a problem, told with its place and never
 * with its content.  Numbers keep all their digits.
 */
#include "connector/manifest/scrub.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#define REPLACEMENT "\xEF\xBF\xBD"
#define MAX_DIGITS 1000
#define MAX_EXPONENT 1000

typedef enum Expect
{
	WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COLON, WANT_COMMA_OR_END, WANT_NOTHING
} Expect;

typedef struct Scrubber
{
	const unsigned char *start,
			   *p,
			   *end;
	StringInfo	out;
	int64		scrubbed;
	const char *problem;
	int			depth;
	char		stack[SCRUB_MAX_DEPTH];
	Expect		expect;
} Scrubber;

/* Notes a problem at the place reached; returns false. */
static bool
fail(Scrubber *s, const char *what)
{
	s->problem = psprintf("not JSON at byte %ld: %s", (long) (s->p - s->start), what);
	return false;
}

/* Puts U+FFFD in the place of what cannot be kept. */
static void
replace(Scrubber *s)
{
	appendBinaryStringInfo(s->out, REPLACEMENT, 3);
	s->scrubbed++;
}

/* Copies a character beyond ASCII, or replaces the longest beginning of one that is broken. */
static void
copy_high(Scrubber *s)
{
	int			n = pg_utf_mblen(s->p);

	if (s->p + n <= s->end && n > 1 && pg_utf8_islegal(s->p, n))
	{
		appendBinaryStringInfo(s->out, (const char *) s->p, n);
		s->p += n;
		return;
	}
	replace(s);
	s->p++;
	for (n--; n > 0 && s->p < s->end && (*s->p & 0xC0) == 0x80; n--)
		s->p++;
}

/* Reads four hexadecimal digits; -1 when they are not there. */
static int
hex4(const Scrubber *s, const unsigned char *p)
{
	int			value = 0;

	if (s->end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char		c = p[i];

		if (!isxdigit((unsigned char) c))
			return -1;
		value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* Copies an escape; p is behind the backslash. */
static bool
copy_escape(Scrubber *s)
{
	int			unit,
				low;

	if (s->p >= s->end)
		return fail(s, "it ends within a text");
	if (strchr("\"\\/bfnrt", *s->p) != NULL && *s->p != '\0')
	{
		appendStringInfoChar(s->out, '\\');
		appendStringInfoChar(s->out, *s->p++);
		return true;
	}
	if (*s->p != 'u')
		return fail(s, "an escape that JSON does not know");
	unit = hex4(s, s->p + 1);
	if (unit < 0)
		return fail(s, "\\u without four hexadecimal digits");
	if (unit >= 0xD800 && unit <= 0xDBFF)
	{
		low = s->end - s->p >= 11 && s->p[5] == '\\' && s->p[6] == 'u' ? hex4(s, s->p + 7) : -1;
		if (low >= 0xDC00 && low <= 0xDFFF)
		{
			appendStringInfoChar(s->out, '\\');
			appendBinaryStringInfo(s->out, (const char *) s->p, 11);
			s->p += 11;
			return true;
		}
		replace(s);
	}
	else if (unit == 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
		replace(s);
	else
	{
		appendStringInfoChar(s->out, '\\');
		appendBinaryStringInfo(s->out, (const char *) s->p, 5);
	}
	s->p += 5;
	return true;
}

/* Copies a text with its quotes; p is at the first one. */
static bool
copy_string(Scrubber *s)
{
	appendStringInfoChar(s->out, *s->p++);
	while (s->p < s->end)
	{
		const unsigned char *from = s->p;

		/* Most of a text goes over in one piece. */
		while (s->p < s->end && *s->p >= ' ' && *s->p < 0x80 && *s->p != '"' && *s->p != '\\')
			s->p++;
		appendBinaryStringInfo(s->out, (const char *) from, s->p - from);
		if (s->p >= s->end)
			break;
		if (*s->p == '"')
		{
			appendStringInfoChar(s->out, *s->p++);
			return true;
		}
		if (*s->p == '\\')
		{
			s->p++;
			if (!copy_escape(s))
				return false;
		}
		else if (*s->p >= 0x80)
			copy_high(s);
		else
		{
			const char *escape = *s->p == '\t' ? "\\t" : *s->p == '\n' ? "\\n" : *s->p == '\r' ? "\\r" : NULL;

			if (escape != NULL)
			{
				appendStringInfoString(s->out, escape);
				s->scrubbed++;
			}
			else
				replace(s);
			s->p++;
		}
	}
	return fail(s, "it ends within a text");
}

/* Copies digits; false when there is none. */
static bool
copy_digits(Scrubber *s)
{
	const unsigned char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	appendBinaryStringInfo(s->out, (const char *) from, s->p - from);
	return s->p > from;
}

/* Copies a number with all its digits. */
static bool
copy_number(Scrubber *s)
{
	const unsigned char *from = s->p;

	if (*s->p == '-')
		appendStringInfoChar(s->out, *s->p++);
	if (s->p < s->end && *s->p == '0' && s->p + 1 < s->end && s->p[1] >= '0' && s->p[1] <= '9')
		return fail(s, "a number that begins with 0");
	if (!copy_digits(s))
		return fail(s, "a number without digits");
	if (s->p < s->end && *s->p == '.')
	{
		appendStringInfoChar(s->out, *s->p++);
		if (!copy_digits(s))
			return fail(s, "a number without digits behind its point");
	}
	if (s->p - from > MAX_DIGITS)
		return fail(s, "a number of too many digits");
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E'))
	{
		const unsigned char *digits;

		appendStringInfoChar(s->out, *s->p++);
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			appendStringInfoChar(s->out, *s->p++);
		digits = s->p;
		if (!copy_digits(s))
			return fail(s, "a number without exponent");
		if (s->p - digits > 4 || atoi(pnstrdup((const char *) digits, s->p - digits)) > MAX_EXPONENT)
			return fail(s, "a number out of range");
	}
	return true;
}

/* Copies true, false or null. */
static bool
copy_word(Scrubber *s)
{
	static const char *const words[] = {"true", "false", "null"};

	for (int i = 0; i < lengthof(words); i++)
	{
		size_t		n = strlen(words[i]);

		if ((size_t) (s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0)
		{
			appendBinaryStringInfo(s->out, words[i], n);
			s->p += n;
			return true;
		}
	}
	return fail(s, "a value was expected");
}

/* Opens an object or a list. */
static bool
open_container(Scrubber *s)
{
	if (s->depth == SCRUB_MAX_DEPTH)
		return fail(s, psprintf("values are nested more than %d deep", SCRUB_MAX_DEPTH));
	s->stack[s->depth++] = *s->p;
	s->expect = *s->p == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
	appendStringInfoChar(s->out, *s->p++);
	return true;
}

/* Closes the innermost object or list. */
static bool
close_container(Scrubber *s)
{
	if (s->depth == 0 || s->stack[s->depth - 1] != (*s->p == '}' ? '{' : '['))
		return fail(s, "a bracket that nothing opened");
	s->depth--;
	s->expect = s->depth == 0 ? WANT_NOTHING : WANT_COMMA_OR_END;
	appendStringInfoChar(s->out, *s->p++);
	return true;
}

/* Copies a value that begins here, or opens one. */
static bool
copy_value(Scrubber *s)
{
	bool		good;

	if (*s->p == '{' || *s->p == '[')
		return open_container(s);
	good = *s->p == '"' ? copy_string(s) : *s->p == '-' || (*s->p >= '0' && *s->p <= '9') ? copy_number(s) : copy_word(s);
	s->expect = s->depth == 0 ? WANT_NOTHING : WANT_COMMA_OR_END;
	return good;
}

/* Copies one token, as what came before it wants. */
static bool
copy_token(Scrubber *s)
{
	char		c = *s->p;

	switch (s->expect)
	{
		case WANT_VALUE_OR_END:
			if (c == ']')
				return close_container(s);
			return copy_value(s);
		case WANT_VALUE:
			return copy_value(s);
		case WANT_KEY_OR_END:
			if (c == '}')
				return close_container(s);
			/* FALLTHROUGH */
		case WANT_KEY:
			if (c != '"')
				return fail(s, "a key was expected");
			s->expect = WANT_COLON;
			return copy_string(s);
		case WANT_COLON:
			if (c != ':')
				return fail(s, "a colon was expected");
			s->expect = WANT_VALUE;
			break;
		case WANT_COMMA_OR_END:
			if (c == '}' || c == ']')
				return close_container(s);
			if (c != ',')
				return fail(s, "a comma or the end of an object or list was expected");
			s->expect = s->stack[s->depth - 1] == '{' ? WANT_KEY : WANT_VALUE;
			break;
		case WANT_NOTHING:
			return fail(s, "something comes behind its end");
	}
	appendStringInfoChar(s->out, *s->p++);
	return true;
}

/* Makes bytes that should be JSON fit for jsonb; returns NULL, or what is wrong.  scrubbed counts what was replaced. */
const char *
cdp_scrub_json(const char *bytes, int64 len, StringInfo out, int64 *scrubbed)
{
	Scrubber	s = {0};

	s.start = s.p = (const unsigned char *) bytes;
	s.end = s.start + len;
	s.out = out;
	s.expect = WANT_VALUE;
	if (len > SCRUB_MAX_BYTES)
		return psprintf("the body has %lld bytes; at most %d are read", (long long) len, SCRUB_MAX_BYTES);
	enlargeStringInfo(out, (int) len + 16);
	if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
	{
		s.p += 3;
		s.scrubbed++;
	}
	for (int64 tokens = 0;; tokens++)
	{
		while (s.p < s.end && (*s.p == ' ' || *s.p == '\t' || *s.p == '\n' || *s.p == '\r'))
			s.p++;
		if (s.p >= s.end)
			break;
		if (tokens % 10000 == 0)
			CHECK_FOR_INTERRUPTS();
		if (!copy_token(&s))
			return s.problem;
	}
	*scrubbed += s.scrubbed;
	if (s.expect == WANT_NOTHING)
		return NULL;
	return s.start == s.end ? "the body is empty" : psprintf("not JSON at byte %lld: it ends too early", (long long) len);
}

/* Makes a text that stands outside of JSON fit for the database: as cdp_scrub_json does inside of texts. */
void
cdp_scrub_text(const char *bytes, int64 len, StringInfo out, int64 *scrubbed)
{
	Scrubber	s = {0};

	s.start = s.p = (const unsigned char *) bytes;
	s.end = s.start + len;
	s.out = out;
	while (s.p < s.end)
	{
		if (*s.p >= 0x80)
			copy_high(&s);
		else if (*s.p < ' ' && *s.p != '\t' && *s.p != '\n' && *s.p != '\r')
		{
			replace(&s);
			s.p++;
		}
		else
			appendStringInfoChar(out, *s.p++);
	}
	*scrubbed += s.scrubbed;
}

/* Ends the call in a database that cannot hold every letter of an answer. */
void
cdp_scrub_require_utf8(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("connectors need a database in UTF8"),
				 errdetail("The encoding of this one is %s.", GetDatabaseEncodingName())));
}

/* The jsonb of a body, or NULL with what is wrong. */
Jsonb *
cdp_scrub_jsonb(const char *bytes, int64 len, int64 *scrubbed, const char **problem)
{
	StringInfoData clean;
	char	   *text;
	Jsonb	   *doc;

	cdp_scrub_require_utf8();
	initStringInfo(&clean);
	*problem = cdp_scrub_json(bytes, len, &clean, scrubbed);
	if (*problem != NULL)
		return NULL;
	text = pg_any_to_server(clean.data, clean.len, PG_UTF8);
	doc = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	pfree(clean.data);
	return doc;
}

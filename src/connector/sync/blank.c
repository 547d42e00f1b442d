/*
 * blank.c
 *		Secrets in answers: read where they stand, and made unreadable there.
 *
 * Servers echo: next links with the token, the request in an error, credentials in
 * a debug field.  A body is searched for what its request was filled with, before
 * anybody sees it, in every way of writing that a server may choose: as it is,
 * with %XX, with the escapes of JSON, also mixed.  What is found is overwritten
 * with as many stars, so that JSON and CSV stay what they are.
 *
 * An answer with a token is not parsed before the token is out of it: parsers copy.
 */
#include "connector/sync/blank.h"

#include <openssl/crypto.h>

#include "mb/pg_wchar.h"

/* The value of a hexadecimal digit, or -1. */
static inline int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The number of so many hexadecimal digits; -1 when they are none. */
static int
hex_number(const char *p, const char *end, int digits)
{
	int			n = 0;

	if (end - p < digits)
		return -1;
	for (int i = 0; i < digits; i++)
	{
		int			d = hex_digit(p[i]);

		if (d < 0)
			return -1;
		n = n * 16 + d;
	}
	return n;
}

/* How many bytes at p stand for this one of a secret, in any way of writing; 0: they do not. */
static int
stands_for(const char *p, const char *end, unsigned char c)
{
	if (p == end)
		return 0;
	if (*p == '%' && hex_number(p + 1, end, 2) == c)
		return 3;
	if (*p == '\\' && end - p >= 2)
	{
		if (p[1] == 'u' && c < 0x80 && hex_number(p + 2, end, 4) == c)
			return 6;
		if (p[1] == (char) c && (c == '/' || c == '"' || c == '\\'))
			return 2;
	}
	return (unsigned char) *p == c || (c == ' ' && *p == '+') ? 1 : 0;
}

/* Reads the character of UTF-8 at s; its number in *wide, how many bytes it has as the answer. */
static int
character_at(const unsigned char *s, pg_wchar *wide)
{
	*wide = utf8_to_unicode(s);
	return pg_utf_mblen(s);
}

/* How many bytes at p are \uXXXX, or two of them, for a character beyond ASCII; 0: they are not. */
static int
escape_for(const char *p, const char *end, pg_wchar wide)
{
	int			high,
				low;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return 0;
	high = hex_number(p + 2, end, 4);
	if (wide < 0x10000)
		return high == (int) wide ? 6 : 0;
	low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex_number(p + 8, end, 4) : -1;
	wide -= 0x10000;
	return high == 0xD800 + (int) (wide >> 10) && low == 0xDC00 + (int) (wide & 0x3FF) ? 12 : 0;
}

/* How many bytes at p are the secret, in any way of writing; 0: they are not. */
static Size
secret_at(const char *p, const char *end, const char *secret)
{
	const char *start = p;
	const char *s = secret;

	while (*s != '\0')
	{
		int			n = stands_for(p, end, *s);

		if (n == 0 && IS_HIGHBIT_SET(*s))
		{
			pg_wchar	wide;
			int			bytes = character_at((const unsigned char *) s, &wide);

			n = escape_for(p, end, wide);
			s += bytes - 1;
		}
		if (n == 0)
			return 0;
		p += n;
		s++;
	}
	return p - start;
}

/* The longest secret at p, in bytes of the body; 0: none is there. */
static Size
any_secret_at(const char *p, const char *end, const char *const *secrets, int n)
{
	Size		longest = 0;

	for (int i = 0; i < n; i++)
		if (strlen(secrets[i]) >= CDP_BLANK_MIN)
			longest = Max(longest, secret_at(p, end, secrets[i]));
	return longest;
}

/* Overwrites bytes: with stars, or with a number where the secret is one, which may stand without quotes. */
static void
overwrite(char *p, Size len)
{
	bool		number = true;

	for (Size i = 0; i < len && number; i++)
		number = p[i] >= '0' && p[i] <= '9';
	memset(p, number ? '1' : '*', len);
}

/* How many bytes at p are one escape of JSON, 0: none. */
static int
escape_bytes(const char *p, const char *end)
{
	if (*p != '\\' || end - p < 2)
		return 0;
	return p[1] == 'u' && hex_number(p + 2, end, 4) >= 0 ? 6 : 2;
}

/* Overwrites secrets in a body, in place; returns how often one was there. */
int64
cdp_blank(char *body, Size len, const char *const *secrets, int n)
{
	char	   *p = body;
	char	   *end = body + len;
	char	   *look_up = body;
	bool		may_begin[256] = {false};
	int64		found = 0;

	for (int i = 0; i < n; i++)
		may_begin[(unsigned char) secrets[i][0]] = true;
	may_begin['%'] = may_begin['\\'] = true;
	may_begin['+'] = may_begin['+'] || may_begin[' '];
	while (p < end)
	{
		Size		hit;
		int			escape,
					in = 0;

		if (p >= look_up)
		{
			CHECK_FOR_INTERRUPTS();
			look_up = p + 65536;
		}
		if (!may_begin[(unsigned char) *p])
		{
			p++;
			continue;
		}
		hit = any_secret_at(p, end, secrets, n);
		escape = escape_bytes(p, end);
		/* One that begins within an escape (\nSECRET) takes the whole of it along, or a lone backslash would be left. */
		while (hit == 0 && ++in < escape)
			if ((hit = any_secret_at(p + in, end, secrets, n)) > 0)
				hit += in;
		if (hit > 0)
		{
			overwrite(p, hit);
			found++;
			p += hit;
		}
		else
			p += Max(escape, 1);
	}
	return found;
}

/* Moves behind blanks. */
static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* Moves behind a string of JSON that begins at p; NULL: it has no end. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && ++p == end)
			return NULL;
	return p < end ? p + 1 : NULL;
}

/* Moves behind a value of JSON; NULL: it has no end. Brackets are counted, not matched: parsing comes later. */
static const char *
skip_value(const char *p, const char *end)
{
	int			depth = 0;

	p = skip_blanks(p, end);
	while (p < end)
	{
		if (*p == '"')
		{
			p = skip_string(p, end);
			if (p == NULL)
				return NULL;
		}
		else if (*p == '{' || *p == '[')
		{
			depth++;
			p++;
			continue;
		}
		else if (*p == '}' || *p == ']')
		{
			if (depth-- == 0)
				return p;
			p++;
		}
		else if (*p == ',' && depth == 0)
			return p;
		else
		{
			p++;
			continue;
		}
		if (depth == 0)
			return p;
	}
	return p;
}

/* Whether the string of JSON from p to q, quotes included, is a name as it stands. */
static bool
is_name(const char *p, const char *q, const char *name)
{
	Size		n = strlen(name);

	return (Size) (q - p) == n + 2 && memcmp(p + 1, name, n) == 0;
}

/* The value that a step leads to from the one at p; NULL: nowhere. Of a name that comes twice the last counts, as in jsonb. */
static const char *
go(const PathStep *step, const char *p, const char *end)
{
	const char *found = NULL;
	int			i = 0;

	p = skip_blanks(p, end);
	if (p == end || *p != (step->name != NULL ? '{' : '['))
		return NULL;
	p++;
	while (p != NULL && (p = skip_blanks(p, end)) < end && *p != '}' && *p != ']')
	{
		bool		this = step->name == NULL && (step->index < 0 || i == step->index);

		if (step->name != NULL)
		{
			const char *q = *p == '"' ? skip_string(p, end) : NULL;

			if (q == NULL)
				return NULL;
			this = is_name(p, q, step->name);
			p = skip_blanks(q, end);
			if (p == end || *p != ':')
				return NULL;
			p = skip_blanks(p + 1, end);
		}
		if (this)
			found = p;
		if (this && step->name == NULL)
			return found;
		p = skip_value(p, end);
		if (p != NULL)
			p = skip_blanks(p, end);
		if (p != NULL && p < end && *p == ',')
			p++;
		i++;
	}
	return found;
}

/* Writes the character at *p of a string of JSON, without its escape, and moves behind it. */
static void
unescape(const char **p, const char *end, CdpSecret *to)
{
	static const char from[] = "bfnrt";
	static const char into[] = "\b\f\n\r\t";
	const char *known;
	int			code;

	if (**p != '\\' || end - *p < 2)
		to->bytes[to->len++] = *(*p)++;
	else if ((*p)[1] == 'u' && (code = hex_number(*p + 2, end, 4)) >= 0)
	{
		int			low = code >= 0xD800 && code <= 0xDBFF && end - *p >= 12 && (*p)[6] == '\\' && (*p)[7] == 'u' ? hex_number(*p + 8, end, 4) : -1;
		bool		pair = low >= 0xDC00 && low <= 0xDFFF;

		unicode_to_utf8(pair ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : code, (unsigned char *) to->bytes + to->len);
		to->len += pg_utf_mblen((unsigned char *) to->bytes + to->len);
		*p += pair ? 12 : 6;
	}
	else
	{
		known = strchr(from, (*p)[1]);
		to->bytes[to->len++] = known != NULL ? into[known - from] : (*p)[1];
		*p += 2;
	}
}

/*
 * The text that a path leads to in a body of JSON, read from the bytes into the current context; NULL: there is none, or it
 * is no text, or an empty one, or one that can stand in no request. Names with escapes are not found.
 */
CdpSecret *
cdp_json_secret(const char *body, Size len, const ManifestPath *path)
{
	const char *end = body + len;
	const char *p = len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0 ? body + 3 : body;
	const char *q;
	CdpSecret  *secret;

	for (int i = 0; i < path->n && p != NULL; i++)
		p = go(&path->step[i], p, end);
	p = p == NULL ? NULL : skip_blanks(p, end);
	q = p == NULL || p == end || *p != '"' ? NULL : skip_string(p, end);
	if (q == NULL || q - p > CDP_SECRET_MAX_BYTES)
		return NULL;
	secret = cdp_secret_new(q - p);
	for (p++, q--; p < q;)
		unescape(&p, q, secret);
	secret->bytes[secret->len] = '\0';
	if (secret->len == 0 || memchr(secret->bytes, '\0', secret->len) != NULL || !pg_verifymbstr(secret->bytes, secret->len, true))
		return NULL;
	return secret;
}

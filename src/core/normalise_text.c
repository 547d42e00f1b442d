/*
 * normalise_text.c
 *		The text part of each normaliser: blanks, invisible characters, NFKC,
 *		lower case.
 *
 * Characters that nobody sees (Default_Ignorable_Code_Point: zero width,
 * direction marks, byte order marks, soft hyphens, variation selectors) are
 * left out wherever they stand; blanks and control characters at the ends, too.
 * A control character inside, or U+FFFD, tells that the text was broken on its
 * way: it is refused, because several people's values may have been broken to
 * the same one.  NFKC is the server's own.  In a database that is not in UTF-8
 * only ASCII is looked at, and other bytes stay as they are.
 */
#include "core/normalise.h"

#include "common/unicode_norm.h"

#include "core/normalise_case.h"

typedef struct Range
{
	pg_wchar	first;
	pg_wchar	last;
} Range;

/* Default_Ignorable_Code_Point of the Unicode Character Database. */
static const Range invisible[] = {
	{0x00AD, 0x00AD}, {0x034F, 0x034F}, {0x061C, 0x061C}, {0x115F, 0x1160}, {0x17B4, 0x17B5},
	{0x180B, 0x180F}, {0x200B, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164},
	{0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFF8}, {0x1BCA0, 0x1BCA3},
	{0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}
};

/* White_Space and Cc above ASCII. */
static const Range blank[] = {
	{0x0080, 0x00A0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
	{0x205F, 0x205F}, {0x3000, 0x3000}
};

/* Tells whether c lies in one of n ordered ranges. */
static bool
in_ranges(pg_wchar c, const Range *range, int n)
{
	for (int i = 0; i < n && c >= range[i].first; i++)
	{
		if (c <= range[i].last)
			return true;
	}
	return false;
}

/* True for what nobody sees. */
static inline bool
is_invisible(pg_wchar c)
{
	return c >= 0xAD && in_ranges(c, invisible, lengthof(invisible));
}

/* True for blanks and control characters. */
static inline bool
is_blank(pg_wchar c)
{
	if (c < 0x80)
		return c <= ' ' || c == 0x7F;
	return in_ranges(c, blank, lengthof(blank));
}

/* True for a character that no identifier has inside. */
static inline bool
is_broken(pg_wchar c)
{
	if (c < 0x80)
		return c < ' ' || c == 0x7F;
	return (c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFFFD;
}

/* Reads the character at *at and steps over it; only for UTF-8 (which the server has checked). */
static inline pg_wchar
next_utf8(const char *text, int len, int *at)
{
	const unsigned char *p = (const unsigned char *) text + *at;
	int			n;

	if (*p < 0x80)
	{
		(*at)++;
		return *p;
	}
	n = pg_utf_mblen(p);
	if (*at + n > len)
	{
		*at = len;
		return 0xFFFD;
	}
	*at += n;
	return utf8_to_unicode(p);
}

/* The character above ASCII at *at, stepping over it; one byte of no meaning when the database is not in UTF-8. */
pg_wchar
cdp_form_next_wide(const CdpForm *form, int *at)
{
	if (GetDatabaseEncoding() == PG_UTF8)
		return next_utf8(form->text, form->len, at);
	(*at)++;
	return 0xFFFF;
}

/* Keeps the bytes from..to of the form; false when nothing is left. */
bool
cdp_form_cut(CdpForm *form, int from, int to)
{
	if (to <= from)
	{
		form->len = 0;
		form->text[0] = '\0';
		return false;
	}
	Assert(to <= form->len);
	form->len = to - from;
	if (from > 0)
		/* cppcheck-suppress pointerOutOfBoundsCond ; from < to <= len, which the callers' loops keep */
		memmove(form->text, form->text + from, form->len);
	form->text[form->len] = '\0';
	return true;
}

/* Where the blanks and invisible characters before the first other character end. */
static int
skip_front(const char *text, int len, bool utf8)
{
	int			at = 0;

	while (at < len)
	{
		int			next = at;
		pg_wchar	c = utf8 ? next_utf8(text, len, &next) : (unsigned char) text[next++];

		if (!utf8 && c >= 0x80)
			break;
		if (!is_blank(c) && !is_invisible(c))
			break;
		at = next;
		if (unlikely((at & 0xFFF) == 0))
			CHECK_FOR_INTERRUPTS();
	}
	return at;
}

/* Where the blanks and invisible characters after the last other character begin. */
static int
skip_back(const char *text, int from, int len, bool utf8)
{
	int			end = len;

	while (end > from)
	{
		int			start = end - 1,
					next;
		pg_wchar	c;

		while (utf8 && start > from && ((unsigned char) text[start] & 0xC0) == 0x80)
			start--;
		next = start;
		c = utf8 ? next_utf8(text, len, &next) : (unsigned char) text[start];
		if (!utf8 && c >= 0x80)
			break;
		if (!is_blank(c) && !is_invisible(c))
			break;
		end = start;
		if (unlikely((end & 0xFFF) == 0))
			CHECK_FOR_INTERRUPTS();
	}
	return end;
}

/* Puts a text of n characters into the form; false when it does not fit. */
static bool
put_wide(CdpForm *form, const pg_wchar *wide, int n)
{
	int			len = 0;

	for (int i = 0; i < n; i++)
	{
		unsigned char bytes[8];
		int			size;

		unicode_to_utf8(wide[i], bytes);
		size = pg_utf_mblen(bytes);
		if (len + size > CDP_FORM_ROOM)
			return false;
		memcpy(form->text + len, bytes, size);
		len += size;
	}
	form->len = len;
	form->text[len] = '\0';
	return true;
}

/* Brings n characters, ended by a zero, to NFKC and into the form, without blanks at the ends. */
static CdpRefusal
put_nfkc(CdpForm *form, const pg_wchar *wide, int n)
{
	bool		fits;

	if (unicode_is_normalized_quickcheck(UNICODE_NFKC, wide) == UNICODE_NORM_QC_YES)
		fits = put_wide(form, wide, n);
	else
	{
		pg_wchar   *normal = unicode_normalize(UNICODE_NFKC, wide);

		for (n = 0; normal[n] != 0;)
			n++;
		fits = put_wide(form, normal, n);
		pfree(normal);
	}
	if (!fits)
		return CDP_FORM_TOO_LONG;
	if (!cdp_form_cut(form, skip_front(form->text, form->len, true), skip_back(form->text, 0, form->len, true)))
		return CDP_FORM_EMPTY;
	return CDP_FORM_GOOD;
}

/*
 * Fills the form with the text in NFKC, without what nobody sees and without
 * blanks at the ends.  Gives why it can not be an identifier of any kind.
 */
CdpRefusal
cdp_form_clean(const char *text, int len, CdpForm *form)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	pg_wchar	wide[CDP_FORM_ROOM + 1];
	int			from,
				end,
				at,
				n = 0;

	form->len = 0;
	form->text[0] = '\0';
	from = skip_front(text, len, utf8);
	end = skip_back(text, from, len, utf8);
	if (end == from)
		return CDP_FORM_EMPTY;
	if (end - from > CDP_FORM_ROOM)
		return CDP_FORM_TOO_LONG;
	/* Most identifiers are ASCII from end to end: nothing to normalise. */
	for (at = from; at < end && (unsigned char) text[at] < 0x80; at++)
	{
		if (is_broken((unsigned char) text[at]))
			return CDP_FORM_BAD_CHARACTER;
	}
	if (at == end || !utf8)
	{
		for (; at < end; at++)
		{
			if ((unsigned char) text[at] < 0x80 && is_broken((unsigned char) text[at]))
				return CDP_FORM_BAD_CHARACTER;
		}
		form->len = end - from;
		memcpy(form->text, text + from, form->len);
		form->text[form->len] = '\0';
		return CDP_FORM_GOOD;
	}
	for (at = from; at < end;)
	{
		pg_wchar	c = next_utf8(text, end, &at);

		if (is_broken(c))
			return CDP_FORM_BAD_CHARACTER;
		if (!is_invisible(c))
			wide[n++] = c;
	}
	wide[n] = 0;
	return put_nfkc(form, wide, n);
}

/* Normaliser trim: the clean text as it is. */
CdpRefusal
cdp_form_trim(CdpForm *form, const CdpRegion *region)
{
	return CDP_FORM_GOOD;
}

/* Lowers one character by its simple mapping, whatever the locale. */
pg_wchar
cdp_lower_wide(pg_wchar c)
{
	int			low = 0,
				high = lengthof(case_run) - 1;

	if (c < 0x80)
		return (c >= 'A' && c <= 'Z') ? c + ('a' - 'A') : c;
	while (low <= high)
	{
		int			mid = (low + high) / 2;

		if (c < case_run[mid].first)
			high = mid - 1;
		else if (c > case_run[mid].last)
			low = mid + 1;
		else
			return (c - case_run[mid].first) % case_run[mid].step == 0 ? c + case_run[mid].delta : c;
	}
	return c;
}

/* True for a small letter that has a capital. */
bool
cdp_is_small_wide(pg_wchar c)
{
	if (c < 0x80)
		return c >= 'a' && c <= 'z';
	/* Words in capitals keep it as it is. */
	if (c == 0xDF)
		return false;
	for (int i = 0; i < lengthof(case_run); i++)
	{
		pg_wchar	capital = c - case_run[i].delta;

		if (capital >= case_run[i].first && capital <= case_run[i].last && (capital - case_run[i].first) % case_run[i].step == 0)
			return true;
	}
	return false;
}

/* True for blanks and control characters. */
bool
cdp_is_blank_wide(pg_wchar c)
{
	return is_blank(c);
}

/* Normaliser lower: the clean text in lower case, character by character. */
CdpRefusal
cdp_form_lower(CdpForm *form, const CdpRegion *region)
{
	pg_wchar	wide[CDP_FORM_ROOM + 1];
	bool		wider = false;
	int			n = 0;

	for (int i = 0; i < form->len; i++)
	{
		char		c = form->text[i];

		if (c >= 'A' && c <= 'Z')
			form->text[i] = c + ('a' - 'A');
		wider |= (unsigned char) c >= 0x80;
	}
	if (!wider || GetDatabaseEncoding() != PG_UTF8)
		return CDP_FORM_GOOD;
	for (int at = 0; at < form->len;)
		wide[n++] = cdp_lower_wide(next_utf8(form->text, form->len, &at));
	wide[n] = 0;
	/* A small letter may form one character with its accent where the capital did not. */
	return put_nfkc(form, wide, n);
}

/* Takes one pair of quotes (' " `) off, also with a backslash before each, with the blanks inside; false when there is none. */
bool
cdp_form_unquote(CdpForm *form)
{
	const char *t = form->text;
	int			from = t[0] == '\\',
				end = form->len - 1;

	if (end <= from || strchr("'\"`", t[from]) == NULL || t[end] != t[from])
		return false;
	from++;
	if (end > from && t[0] == '\\' && t[end - 1] == '\\')
		end--;
	while (from < end && t[from] == ' ')
		from++;
	while (end > from && t[end - 1] == ' ')
		end--;
	cdp_form_cut(form, from, end);
	return true;
}

/*
 * normalise_email.c
 *		E-mail addresses in one form: lower case, without display name or scheme.
 *
 * What is taken: local@domain with a local part of up to 64 and in all up to
 * 254 bytes, letters of any script on both sides (SMTPUTF8), a domain of at
 * least two labels.  Tags (+x) and dots stay: only the provider knows what
 * they mean; email_gmail is for those of Google.  Dots at the end of a local
 * part or next to each other are taken: Japanese carriers gave such addresses.
 * Quoted local parts and address literals are refused.  A label of the domain
 * that mixes Latin with Cyrillic or Greek letters is refused, as browsers do:
 * it is made to look like another domain.
 */
#include "core/normalise.h"

#define LOCAL_MAX 64
#define LABEL_MAX 63
#define ADDRESS_MAX 254

/* Scripts whose letters look alike. */
#define SCRIPT_LATIN 1
#define SCRIPT_GREEK 2
#define SCRIPT_CYRILLIC 4

/* Tells which of the scripts with look-alikes a lowered letter belongs to; 0 for all else. */
static int
script_of(pg_wchar c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 0xDF && c <= 0x24F && c != 0xF7) || (c >= 0x1E00 && c <= 0x1EFF))
		return SCRIPT_LATIN;
	if ((c >= 0x370 && c <= 0x3FF) || (c >= 0x1F00 && c <= 0x1FFF))
		return SCRIPT_GREEK;
	if ((c >= 0x400 && c <= 0x52F) || (c >= 0x2DE0 && c <= 0x2DFF) || (c >= 0xA640 && c <= 0xA69F))
		return SCRIPT_CYRILLIC;
	return 0;
}

/* Cuts "mailto:x?y" to x, 'Name <x>' to x and <x> to x; repeated by the caller until nothing changes. */
static bool
unwrap(CdpForm *form)
{
	char	   *mark;

	if (form->len > 7 && strncmp(form->text, "mailto:", 7) == 0)
	{
		mark = strchr(form->text, '?');
		cdp_form_cut(form, 7, mark ? mark - form->text : form->len);
		return true;
	}
	if (form->len > 2 && form->text[form->len - 1] == '>')
	{
		mark = strrchr(form->text, '<');
		if (mark != NULL)
		{
			cdp_form_cut(form, mark + 1 - form->text, form->len - 1);
			return true;
		}
	}
	return cdp_form_unquote(form);
}

/* Tells whether the n bytes can stand before the @. */
static bool
local_is_good(const char *local, int n)
{
	if (n < 1 || n > LOCAL_MAX || local[0] == '.')
		return false;
	for (int i = 0; i < n; i++)
	{
		unsigned char c = local[i];

		if (c < 0x80 && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && strchr(".!#$%&'*+-/=?^_`{|}~", c) == NULL)
			return false;
	}
	return true;
}

/* Checks one label of the domain, bytes from..to of the form. */
static CdpRefusal
check_label(const CdpForm *form, int from, int to)
{
	int			scripts = 0;

	if (to == from || to - from > LABEL_MAX || form->text[from] == '-' || form->text[to - 1] == '-')
		return CDP_FORM_BAD_EMAIL;
	for (int at = from; at < to;)
	{
		pg_wchar	c = cdp_form_next(form, &at);

		if (c < 0x80 && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return CDP_FORM_BAD_EMAIL;
		scripts |= script_of(c);
	}
	if ((scripts & SCRIPT_LATIN) && scripts != SCRIPT_LATIN)
		return CDP_FORM_MIXED_SCRIPT;
	return CDP_FORM_GOOD;
}

/* Checks the domain, from byte from to the end. */
static CdpRefusal
check_domain(const CdpForm *form, int from)
{
	int			labels = 0,
				start = from;
	bool		letters = false;

	for (int i = from; i <= form->len; i++)
	{
		if (i == form->len || form->text[i] == '.')
		{
			CdpRefusal	r = check_label(form, start, i);

			if (r != CDP_FORM_GOOD)
				return r;
			labels++;
			letters = false;
			for (int j = start; j < i; j++)
				letters |= (unsigned char) form->text[j] >= 0x80 || (form->text[j] >= 'a' && form->text[j] <= 'z');
			if (i == form->len && (!letters || i - start < 2))
				return CDP_FORM_BAD_EMAIL;
			start = i + 1;
		}
	}
	return labels >= 2 ? CDP_FORM_GOOD : CDP_FORM_BAD_EMAIL;
}

/* Turns the ideographic full stop of Chinese keyboards into a dot, from byte from on. */
static void
fold_full_stops(CdpForm *form, int from)
{
	static const char stop[] = "\xE3\x80\x82";
	char	   *at;

	if (GetDatabaseEncoding() != PG_UTF8)
		return;
	while ((at = strstr(form->text + from, stop)) != NULL)
	{
		*at = '.';
		memmove(at + 1, at + 3, strlen(at + 3) + 1);
		form->len -= 2;
	}
}

/* Normaliser email: see the head of the file. */
CdpRefusal
cdp_form_email(CdpForm *form, const CdpRegion *region)
{
	CdpRefusal	r = cdp_form_lower(form, region);
	char	   *at;

	if (r != CDP_FORM_GOOD)
		return r;
	while (unwrap(form))
	{
		if (!cdp_form_cut(form, strspn(form->text, " "), form->len))
			return CDP_FORM_BAD_EMAIL;
		while (form->len > 0 && form->text[form->len - 1] == ' ')
			form->text[--form->len] = '\0';
	}
	at = strchr(form->text, '@');
	if (at == NULL || strchr(at + 1, '@') != NULL)
		return CDP_FORM_BAD_EMAIL;
	fold_full_stops(form, at + 1 - form->text);
	if (form->text[form->len - 1] == '.')
		form->text[--form->len] = '\0'; /* the root of the domain names */
	if (form->len > ADDRESS_MAX || !local_is_good(form->text, at - form->text))
		return CDP_FORM_BAD_EMAIL;
	return check_domain(form, at + 1 - form->text);
}

/* Normaliser email_gmail: as email; of an address at Google, also without dots and tag, at gmail.com. */
CdpRefusal
cdp_form_email_gmail(CdpForm *form, const CdpRegion *region)
{
	CdpRefusal	r = cdp_form_email(form, region);
	char	   *at;
	int			n = 0;

	if (r != CDP_FORM_GOOD)
		return r;
	at = strchr(form->text, '@');
	if (strcmp(at, "@gmail.com") != 0 && strcmp(at, "@googlemail.com") != 0)
		return CDP_FORM_GOOD;
	for (char *p = form->text; p < at && *p != '+'; p++)
	{
		if (*p != '.')
			form->text[n++] = *p;
	}
	if (n == 0)
		return CDP_FORM_BAD_EMAIL;
	strcpy(form->text + n, "@gmail.com");
	form->len = n + 10;
	return CDP_FORM_GOOD;
}

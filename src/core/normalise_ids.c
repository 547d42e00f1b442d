/*
 * normalise_ids.c
 *		Identifiers that machines made: WeChat ids, devices, cookies, hashes.
 *
 * Machines write one id in few ways, so these normalisers undo those (capitals
 * of hexadecimal digits, braces, quotes of a cookie) and refuse what the maker
 * never gives.  Lengths are those seen in practice with room on both sides,
 * because none of the makers promises one.
 */
#include "core/normalise.h"

/* True for a hexadecimal digit in lower case. */
static inline bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Lowers A-Z. */
static void
lower_ascii(CdpForm *form)
{
	for (int i = 0; i < form->len; i++)
	{
		if (form->text[i] >= 'A' && form->text[i] <= 'Z')
			form->text[i] += 'a' - 'A';
	}
}

/* True when all but the marks - and : are one and the same character: no maker gives such an id. */
static bool
is_one_character(const CdpForm *form)
{
	char		only = '\0';

	for (int i = 0; i < form->len; i++)
	{
		char		c = form->text[i];

		if (c == '-' || c == ':')
			continue;
		if (only != '\0' && c != only)
			return false;
		only = c;
	}
	return true;
}

/* Tells whether the text has the shape, in which x stands for a hexadecimal digit. */
static bool
has_shape(const CdpForm *form, const char *shape)
{
	for (int i = 0; i < form->len; i++)
	{
		if (shape[i] == '\0' || (shape[i] == 'x' ? !is_hex(form->text[i]) : form->text[i] != shape[i]))
			return false;
	}
	return shape[form->len] == '\0';
}

#define UUID_SHAPE "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

/* Takes { } off. */
static void
unbrace(CdpForm *form)
{
	while (form->len > 2 && form->text[0] == '{' && form->text[form->len - 1] == '}')
		cdp_form_cut(form, 1, form->len - 1);
}

/* Normaliser openid, unionid and external_userid: 20 to 64 characters of base64url, capitals kept. */
CdpRefusal
cdp_form_openid(CdpForm *form, const CdpRegion *region)
{
	if (form->len < 20 || form->len > 64)
		return CDP_FORM_BAD_OPENID;
	for (int i = 0; i < form->len; i++)
	{
		char		c = form->text[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
			return CDP_FORM_BAD_OPENID;
	}
	return is_one_character(form) ? CDP_FORM_BAD_OPENID : CDP_FORM_GOOD;
}

/*
 * Normaliser device: IDFA, GAID, OAID, Android id, IMEI, MAC and the like.
 * Those in hexadecimal digits are lowered; others keep their capitals.
 */
CdpRefusal
cdp_form_device(CdpForm *form, const CdpRegion *region)
{
	bool		hex = true;

	unbrace(form);
	if (form->len < 8 || form->len > 128)
		return CDP_FORM_BAD_DEVICE;
	for (int i = 0; i < form->len; i++)
	{
		char		c = form->text[i];

		if ((c >= '0' && c <= '9') || c == '-' || c == ':')
			continue;
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && strchr("._=+/~", c) == NULL)
			return CDP_FORM_BAD_DEVICE;
		hex &= (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	}
	if (hex)
		lower_ascii(form);
	if (has_shape(form, "xx-xx-xx-xx-xx-xx"))
	{
		for (int i = 2; i < 17; i += 3)
			form->text[i] = ':';
	}
	return is_one_character(form) ? CDP_FORM_BAD_DEVICE : CDP_FORM_GOOD;
}

/* Decodes %22, quotes as cookies carry them, at both ends; false when there is none. */
static bool
unquote_cookie(CdpForm *form)
{
	if (form->len >= 6 && strncmp(form->text, "%22", 3) == 0 && strcmp(form->text + form->len - 3, "%22") == 0)
	{
		cdp_form_cut(form, 3, form->len - 3);
		return true;
	}
	return cdp_form_unquote(form);
}

/*
 * Normaliser cookie: without the quotes in which some tools store it; of a
 * cookie _ga ("GA1.2.1234567890.1700000000") only the client id, which is what
 * the tool reports, whatever the depth of the domain was.
 */
CdpRefusal
cdp_form_cookie(CdpForm *form, const CdpRegion *region)
{
	int			at;

	while (unquote_cookie(form))
	{
	}
	if (form->len == 0)
		return CDP_FORM_EMPTY;
	while (strncmp(form->text, "GA1.", 4) == 0)
	{
		at = 4 + strspn(form->text + 4, "0123456789-");
		if (at == 4 || form->text[at] != '.' || form->text[at + 1] == '\0')
			break;
		cdp_form_cut(form, at + 1, form->len);
	}
	for (int i = 0; i < form->len; i++)
	{
		if (strchr(" ;,\"", form->text[i]) != NULL)
			return CDP_FORM_BAD_COOKIE;
	}
	return CDP_FORM_GOOD;
}

/* Normaliser hash: 32 to 128 hexadecimal digits in lower case, an even number of them. */
CdpRefusal
cdp_form_hash(CdpForm *form, const CdpRegion *region)
{
	lower_ascii(form);
	if (strncmp(form->text, "0x", 2) == 0 || strncmp(form->text, "\\x", 2) == 0)
		cdp_form_cut(form, 2, form->len);
	if (form->len < 32 || form->len > 128 || form->len % 2 != 0)
		return CDP_FORM_BAD_HASH;
	for (int i = 0; i < form->len; i++)
	{
		if (!is_hex(form->text[i]))
			return CDP_FORM_BAD_HASH;
	}
	return is_one_character(form) ? CDP_FORM_BAD_HASH : CDP_FORM_GOOD;
}

/* Normaliser digits: the digits of a number written with blanks, dots, hyphens or slashes. */
CdpRefusal
cdp_form_digits(CdpForm *form, const CdpRegion *region)
{
	int			n = 0;

	for (int i = 0; i < form->len; i++)
	{
		char		c = form->text[i];

		if (c >= '0' && c <= '9')
			form->text[n++] = c;
		else if (strchr(" .-/", c) == NULL)
			return CDP_FORM_BAD_DIGITS;
	}
	form->len = n;
	form->text[n] = '\0';
	return n > 0 ? CDP_FORM_GOOD : CDP_FORM_BAD_DIGITS;
}

/* Normaliser uuid: lower case with hyphens, from any usual way to write one. */
CdpRefusal
cdp_form_uuid(CdpForm *form, const CdpRegion *region)
{
	char		digits[32];
	int			n = 0;

	lower_ascii(form);
	if (strncmp(form->text, "urn:uuid:", 9) == 0)
		cdp_form_cut(form, 9, form->len);
	unbrace(form);
	for (int i = 0; i < form->len; i++)
	{
		if (form->text[i] == '-')
			continue;
		if (!is_hex(form->text[i]) || n == 32)
			return CDP_FORM_BAD_UUID;
		digits[n++] = form->text[i];
	}
	if (n != 32 || (form->len != 32 && !has_shape(form, UUID_SHAPE)))
		return CDP_FORM_BAD_UUID;
	n = 0;
	for (int i = 0; i < 36; i++)
		form->text[i] = UUID_SHAPE[i] == '-' ? '-' : digits[n++];
	form->len = 36;
	form->text[36] = '\0';
	return is_one_character(form) ? CDP_FORM_BAD_UUID : CDP_FORM_GOOD;
}

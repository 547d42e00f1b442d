/*
 * field_name.c
 *		Names of fields, as sources spell them, brought to one spelling.
 *
 * firstName, First Name, first-name and ＦＩＲＳＴ_ＮＡＭＥ are one name: first_name.
 * Beyond ASCII every character but blanks is a letter, and lower case is that
 * of the Unicode Character Database, so that the spelling is the same under
 * every locale.  In a database that is not in UTF-8 only ASCII is looked at.
 */
#include "core/normalise.h"

#include "core/field_name.h"

CDP_FUNCTION(cdp_snake);

/* True for capital letters. */
static inline bool
is_capital(pg_wchar c)
{
	return cdp_lower_wide(c) != c;
}

/* True for what stands between words. */
static inline bool
is_between(pg_wchar c)
{
	return c < 0x80 ? !(c == '$' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) : cdp_is_blank_wide(c);
}

/* Puts the spelling of a name into the form; false when the text is too long or too broken for a name. */
bool
cdp_field_name(const char *text, int len, CdpForm *form)
{
	CdpForm		given;
	CdpRefusal	refusal = cdp_form_clean(text, len, &given);
	bool		pending = false,
				joins = false;	/* the character before ends a word when a capital follows */

	form->len = 0;
	if (refusal != CDP_FORM_GOOD && refusal != CDP_FORM_EMPTY)
		return false;
	for (int at = 0; at < given.len;)
	{
		int			from = at;
		pg_wchar	c = cdp_form_next(&given, &at);

		if (is_between(c))
		{
			pending = true;
			continue;
		}
		if (form->len + (at - from) + 1 > CDP_FORM_ROOM)
			return false;
		if (form->len > 0 && (pending || (joins && is_capital(c))))
			form->text[form->len++] = '_';
		memcpy(form->text + form->len, given.text + from, at - from);
		form->len += at - from;
		pending = false;
		joins = (c >= '0' && c <= '9') || cdp_is_small_wide(c);
	}
	form->text[form->len] = '\0';
	return form->len == 0 || cdp_form_lower(form, NULL) == CDP_FORM_GOOD;
}

/* snake(name): the one spelling of a name, as a new text; a text that is no name as it came. */
Datum
cdp_snake(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	CdpForm		form;

	if (!cdp_field_name(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &form))
		PG_RETURN_TEXT_P(name);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(form.text, form.len));
}

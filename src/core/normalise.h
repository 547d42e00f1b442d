/*
 * normalise.h
 *		One form for each identifier: what the normalisers share.
 *
 * A normaliser works in place on a CdpForm, never raises an error on content,
 * and gives the reason when the content is no identifier of its kind.  Each is
 * idempotent: its own output passes unchanged.
 */
#ifndef CDP_NORMALISE_H
#define CDP_NORMALISE_H

#include "cdp.h"

#include "mb/pg_wchar.h"
#include "utils/array.h"

/* Longest stored identifier: an index holds it beside other columns. */
#define CDP_FORM_MAX 800

/* Longest text that is looked at, so that an address with a display name fits. */
#define CDP_FORM_ROOM 3200

typedef enum CdpRefusal
{
	CDP_FORM_GOOD,
	CDP_FORM_EMPTY,
	CDP_FORM_TOO_LONG,
	CDP_FORM_BAD_CHARACTER,
	CDP_FORM_BLOCKED,
	CDP_FORM_PATTERN,
	CDP_FORM_BAD_EMAIL,
	CDP_FORM_MIXED_SCRIPT,
	CDP_FORM_BAD_PHONE,
	CDP_FORM_PHONE_REGION,
	CDP_FORM_PHONE_EXTENSION,
	CDP_FORM_BAD_OPENID,
	CDP_FORM_BAD_DEVICE,
	CDP_FORM_BAD_COOKIE,
	CDP_FORM_BAD_HASH,
	CDP_FORM_BAD_DIGITS,
	CDP_FORM_BAD_UUID
} CdpRefusal;

/* A text under work, in the encoding of the database, always ended by a zero. */
typedef struct CdpForm
{
	int			len;
	char		text[CDP_FORM_ROOM + 1];
} CdpForm;

/* Where phone numbers without a country code come from; NULL: from nowhere. */
typedef struct CdpRegion
{
	const struct CdpPlan *plan;
} CdpRegion;

typedef CdpRefusal (*CdpNormaliser) (CdpForm *form, const CdpRegion *region);

/* Rules of one database, compiled; see normalise_rules.c. */
typedef struct CdpRules CdpRules;

/* normalise_text.c */
extern CdpRefusal cdp_form_clean(const char *text, int len, CdpForm *form);
extern CdpRefusal cdp_form_trim(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_lower(CdpForm *form, const CdpRegion *region);
extern pg_wchar cdp_lower_wide(pg_wchar c);
extern bool cdp_is_small_wide(pg_wchar c);
extern bool cdp_is_blank_wide(pg_wchar c);
extern pg_wchar cdp_form_next_wide(const CdpForm *form, int *at);
extern bool cdp_form_cut(CdpForm *form, int from, int to);
extern bool cdp_form_unquote(CdpForm *form);

/* normalise_email.c */
extern CdpRefusal cdp_form_email(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_email_gmail(CdpForm *form, const CdpRegion *region);

/* normalise_phone.c */
extern CdpRefusal cdp_form_phone(CdpForm *form, const CdpRegion *region);
extern const struct CdpPlan *cdp_phone_plan(const char *code, int len);

/* normalise_ids.c */
extern CdpRefusal cdp_form_openid(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_device(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_cookie(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_hash(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_digits(CdpForm *form, const CdpRegion *region);
extern CdpRefusal cdp_form_uuid(CdpForm *form, const CdpRegion *region);

/* normalise.c */
extern CdpNormaliser cdp_normaliser(const char *name, int len);
extern const char *cdp_refusal_code(CdpRefusal refusal);

/* normalise_rules.c */
extern CdpRules *cdp_rules_for(FunctionCallInfo fcinfo, int own, int builtin);
extern CdpRules *cdp_rules_make(MemoryContext parent, ArrayType *own, ArrayType *builtin);
extern CdpRefusal cdp_rules_apply(CdpRules *rules, int32 type_id, const char *text, int len, CdpForm *form);

/* The character at *at, stepping over it. */
static inline pg_wchar
cdp_form_next(const CdpForm *form, int *at)
{
	unsigned char c = form->text[*at];

	if (c >= 0x80)
		return cdp_form_next_wide(form, at);
	(*at)++;
	return c;
}

#endif							/* CDP_NORMALISE_H */

/*
 * normalise_phone.c
 *		Telephone numbers to E.164: + calling code and subscriber number.
 *
 * The plans stand in normalise_plans.h: calling codes, trunk and international
 * prefixes, lengths.  That tells a number from a number that has lost a digit,
 * and never whether it is assigned.  Two plans that hold most of our users'
 * numbers are checked further (China, North America).  A number without + or
 * 00 needs the region of the database; an extension is refused, because the
 * people behind one switchboard are not one person.
 */
#include "core/normalise.h"

#define DIGITS_MAX 20
#define E164_MAX 15

typedef struct CdpPlan
{
	const char *regions;		/* two letters each; empty: no country's, reached by its code only */
	uint16		code;
	char		trunk[3];
	char		idd[20];
	uint16		lengths;		/* bit n: numbers of n digits */
} CdpPlan;

#include "core/normalise_plans.h"

/* The digits of a number as written. */
typedef struct Written
{
	bool		plus;
	int			n;
	char		digit[DIGITS_MAX + 1];
} Written;

/* Code point of zero in each script whose digits NFKC leaves alone, in order. */
static const pg_wchar zero_of_script[] = {
	0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50,
	0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50,
	0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0
};

/* Value of a decimal digit of any script; -1 for all else. */
static int
digit_value(pg_wchar c)
{
	if (c < 0x80)
		return (c >= '0' && c <= '9') ? (int) c - '0' : -1;
	for (int i = 0; i < lengthof(zero_of_script) && c >= zero_of_script[i]; i++)
	{
		if (c <= zero_of_script[i] + 9)
			return c - zero_of_script[i];
	}
	return -1;
}

/* True for what people write between digits. */
static bool
is_separator(pg_wchar c)
{
	if (c < 0x80)
		return strchr(" -./()", c) != NULL;
	return (c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0x00B7 || c == 0x30FC;
}

/* True for what begins an extension: x, ext, #, comma, semicolon, and the Chinese words. */
static bool
begins_extension(pg_wchar c)
{
	if (c < 0x80)
		return strchr("xXeE#,;", c) != NULL;
	return c == 0x8F6C || c == 0x8F49 || c == 0x5206;
}

/* Reads the digits of the form. */
static CdpRefusal
read_written(const CdpForm *form, Written *w)
{
	int			at = pg_strncasecmp(form->text, "tel:", 4) == 0 ? 4 : 0;

	w->plus = false;
	w->n = 0;
	while (at < form->len)
	{
		pg_wchar	c;
		int			digit;

		/* The trunk prefix that some write in brackets behind the calling code. */
		if (form->text[at] == '(' && w->n > 0 && strncmp(form->text + at, "(0)", 3) == 0)
		{
			at += 3;
			continue;
		}
		c = cdp_form_next(form, &at);
		digit = digit_value(c);
		if (digit >= 0)
		{
			if (w->n == DIGITS_MAX)
				return CDP_FORM_BAD_PHONE;
			w->digit[w->n++] = '0' + digit;
		}
		else if (c == '+' && w->n == 0 && !w->plus)
			w->plus = true;
		else if (begins_extension(c) && w->n > 4)
			return CDP_FORM_PHONE_EXTENSION;
		else if (!is_separator(c))
			return CDP_FORM_BAD_PHONE;
	}
	w->digit[w->n] = '\0';
	return w->n > 0 ? CDP_FORM_GOOD : CDP_FORM_BAD_PHONE;
}

/* The plan of a country (two capitals); NULL when there is none. */
const struct CdpPlan *
cdp_phone_plan(const char *code, int len)
{
	for (int i = 0; len == 2 && i < lengthof(plans); i++)
	{
		for (const char *region = plans[i].regions; *region; region += region[2] == ' ' ? 3 : 2)
			if (strncmp(region, code, 2) == 0)
				return &plans[i];
	}
	return NULL;
}

/* The first plan with the calling code at the front of the digits, and how long that is; NULL when there is none. */
static const CdpPlan *
plan_of_digits(const char *digits, int *size)
{
	static int16 plan_of_code[1000];	/* index + 1; filled at the first call */
	int			code = 0;

	if (plan_of_code[plans[0].code] == 0)
	{
		for (int i = lengthof(plans) - 1; i >= 0; i--)
			plan_of_code[plans[i].code] = i + 1;
	}
	for (*size = 1; *size <= 3 && digits[*size - 1] != '\0'; (*size)++)
	{
		code = code * 10 + digits[*size - 1] - '0';
		if (plan_of_code[code] != 0)
			return &plans[plan_of_code[code] - 1];
	}
	return NULL;
}

/* Tells whether the plan has numbers of that length, and, where more is known, of that beginning. */
static bool
fits(const CdpPlan *plan, const char *number)
{
	int			n = strlen(number);

	if (n > E164_MAX || !(plan->lengths & (1 << n)))
		return false;
	if (plan->code == 1)
		return number[0] >= '2' && number[3] >= '2';
	/* Mobile numbers are 1[3-9] and nine more; 10 is Beijing, the only area code with a 1. */
	if (plan->code == 86 && number[0] == '1')
		return n == 11 ? number[1] >= '3' : number[1] == '0';
	if (plan->code == 86 && n == 11)
		return number[0] >= '3';
	return true;
}

/* The subscriber number within national digits, without trunk prefix; NULL when they fit no plan. */
static const char *
subscriber(const CdpPlan *plan, const char *digits)
{
	/* Mexico gave up its prefixes for mobile and trunk calls in 2019 and 2020; older lists have them. */
	static const char *const old_mexican[] = {"1", "01", "044", "045"};
	int			trunk = strlen(plan->trunk);

	if (plan->trunk[0] == '0' && trunk == 1)
	{
		/* No number begins with 0 where 0 is the trunk prefix. */
		digits += digits[0] == '0';
		return digits[0] != '0' && fits(plan, digits) ? digits : NULL;
	}
	if (fits(plan, digits))
		return digits;
	if (trunk > 0 && strncmp(digits, plan->trunk, trunk) == 0 && fits(plan, digits + trunk))
		return digits + trunk;
	for (int i = 0; plan->code == 52 && i < lengthof(old_mexican); i++)
	{
		int			n = strlen(old_mexican[i]);

		if (strncmp(digits, old_mexican[i], n) == 0 && fits(plan, digits + n))
			return digits + n;
	}
	return NULL;
}

/* Puts + code number into the form. */
static CdpRefusal
put_number(CdpForm *form, const CdpPlan *plan, const char *number)
{
	int			n = 1 + pg_ltoa(plan->code, form->text + 1);
	int			digits = strlen(number);

	form->text[0] = '+';
	memcpy(form->text + n, number, digits + 1);
	form->len = n + digits;
	return form->len <= E164_MAX + 1 ? CDP_FORM_GOOD : CDP_FORM_BAD_PHONE;
}

/* Reads digits that begin with a calling code; false when they are no number. */
static bool
take_international(CdpForm *form, const char *digits)
{
	int			size;
	const CdpPlan *plan = plan_of_digits(digits, &size);
	const char *number = plan ? subscriber(plan, digits + size) : NULL;

	return number != NULL && put_number(form, plan, number) == CDP_FORM_GOOD;
}

/* Reads digits behind one of the plan's international prefixes; false when they are no number. */
static bool
take_after_prefix(CdpForm *form, const CdpPlan *plan, const char *digits)
{
	const char *idd = plan->idd;

	while (*idd != '\0')
	{
		int			n = strcspn(idd, "|");

		if (strncmp(digits, idd, n) == 0 && take_international(form, digits + n))
			return true;
		idd += n + (idd[n] == '|');
	}
	return false;
}

/* Argentine mobiles: at home area code, 15, number; with the calling code 9, area code, number. False for other digits. */
static bool
take_argentine(CdpForm *form, const CdpPlan *plan, const char *digits)
{
	char		number[12] = "9";

	digits += digits[0] == '0';
	if (plan->code != 54 || strlen(digits) != 12)
		return false;
	for (int area = strncmp(digits, "11", 2) == 0 ? 2 : 3; area <= 4; area++)
	{
		if (strncmp(digits + area, "15", 2) == 0)
		{
			memcpy(number + 1, digits, area);
			memcpy(number + 1 + area, digits + area + 2, 10 - area + 1);
			return put_number(form, plan, number) == CDP_FORM_GOOD;
		}
	}
	return false;
}

/* Reads digits as somebody in the region writes them. */
static CdpRefusal
take_national(CdpForm *form, const CdpPlan *plan, const char *digits)
{
	char		code[12];
	int			n = pg_ltoa(plan->code, code);
	const char *as_is = subscriber(plan, digits);
	const char *behind = strncmp(digits, code, n) == 0 ? subscriber(plan, digits + n) : NULL;

	/*
	 * The calling code without its +.  Where national numbers begin with a
	 * trunk prefix, one that begins with the code instead is taken for that.
	 */
	if (behind != NULL && (as_is == NULL || plan->trunk[0] == '0'))
		return put_number(form, plan, behind);
	if (as_is != NULL)
		return put_number(form, plan, as_is);
	return take_argentine(form, plan, digits) ? CDP_FORM_GOOD : CDP_FORM_BAD_PHONE;
}

/* Normaliser phone: see the head of the file. */
CdpRefusal
cdp_form_phone(CdpForm *form, const CdpRegion *region)
{
	const CdpPlan *plan = region->plan;
	Written		w = {0};
	CdpRefusal	r = read_written(form, &w);

	if (r != CDP_FORM_GOOD)
		return r;
	if (w.plus)
		return take_international(form, w.digit) ? CDP_FORM_GOOD : CDP_FORM_BAD_PHONE;
	if (plan != NULL && take_after_prefix(form, plan, w.digit))
		return CDP_FORM_GOOD;
	/* 00 is the prefix that ITU-T recommends, and no national number begins with it. */
	if (strncmp(w.digit, "00", 2) == 0)
		return take_international(form, w.digit + 2) ? CDP_FORM_GOOD : CDP_FORM_BAD_PHONE;
	if (plan == NULL)
		return w.n >= 5 && w.n <= E164_MAX ? CDP_FORM_PHONE_REGION : CDP_FORM_BAD_PHONE;
	return take_national(form, plan, w.digit);
}

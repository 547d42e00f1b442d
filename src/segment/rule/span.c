/*
 * span.c
 *		Durations and windows of rules.
 */
#include "segment/rule/rule.h"

#define DURATION_HINT "Write a whole number and a unit, such as \"30 days\" or \"3 months\"."

/* Seconds that a fixed unit lasts; 0 for units of the calendar. */
static int64
unit_seconds(RuleUnit unit)
{
	static const int64 seconds[] = {1, 60, 3600, 86400, 604800, 0, 0, 0};

	return seconds[unit];
}

/* Does the duration last the same whenever it begins? */
bool
cdp_rule_span_fixed(RuleSpan s)
{
	return unit_seconds(s.unit) > 0;
}

/* Microseconds of a fixed duration; the maximum keeps it far from overflow. */
int64
cdp_rule_span_usecs(RuleSpan s)
{
	return s.count * unit_seconds(s.unit) * USECS_PER_SEC;
}

/* Months of a duration of the calendar. */
int
cdp_rule_span_months(RuleSpan s)
{
	return (int) s.count * (s.unit == RULE_YEAR ? 12 : 1);
}

/* The duration as rules write it, palloc'd. */
char *
cdp_rule_span_text(RuleSpan s)
{
	return psprintf(INT64_FORMAT " %s%s", s.count, cdp_rule_unit_name(s.unit), s.count == 1 ? "" : "s");
}

/* Is the duration longer than any window may be?  Compares counts, so nothing can overflow. */
static bool
too_long(RuleSpan s)
{
	if (s.unit == RULE_MONTH)
		return s.count > RULE_MAX_YEARS * 12;
	if (s.unit == RULE_YEAR)
		return s.count > RULE_MAX_YEARS;
	return s.count > INT64CONST(365) * RULE_MAX_YEARS * SECS_PER_DAY / unit_seconds(s.unit);
}

/* The unit that a word names, singular or plural; false when it names none that lasts. */
static bool
find_unit(const char *word, int len, RuleUnit *out)
{
	for (RuleUnit u = RULE_SECOND; u <= RULE_YEAR; u++)
	{
		const char *name = cdp_rule_unit_name(u);
		int			n = strlen(name);

		if (u != RULE_QUARTER && strncmp(word, name, n) == 0 && len >= n && (len == n || (len == n + 1 && word[n] == 's')))
		{
			*out = u;
			return true;
		}
	}
	return false;
}

/* Takes apart "30 days": optional sign, digits, blanks, unit.  A count beyond any maximum is cut to one beyond it. */
static bool
scan_span(const char *p, int len, bool *negative, RuleSpan *out)
{
	const char *end = p + len;
	const char *digits;

	*negative = p < end && *p == '-';
	if (*negative)
		p++;
	out->count = 0;
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++)
		out->count = Min(out->count * 10 + (*p - '0'), INT64CONST(100000000000000));
	if (p == digits)
		return false;
	while (p < end && *p == ' ')
		p++;
	return find_unit(p, end - p, &out->unit);
}

/* Reads a duration above zero, or from zero where that is allowed; false after an error. */
static bool
read_span(RuleReader *r, const JsonbValue *v, const char *path, bool fixed_only, bool zero, RuleSpan *out)
{
	bool		negative;

	if (v->type != jbvString)
	{
		cdp_rule_error(r, path, "E_TYPE", DURATION_HINT, "a duration must be text, not %s", cdp_rule_json_type(v));
		return false;
	}
	if (!scan_span(v->val.string.val, v->val.string.len, &negative, out))
	{
		cdp_rule_error(r, path, "E_WINDOW", DURATION_HINT, "%s is no duration", cdp_rule_quote(cdp_rule_string(v)));
		return false;
	}
	if (negative || (out->count == 0 && !zero))
		cdp_rule_error(r, path, "E_WINDOW", "Durations look back by themselves: write them without a sign.",
					   "a duration must be above zero");
	else if (too_long(*out))
		cdp_rule_error(r, path, "E_WINDOW", "Leave the window out to look at all the past.",
					   "a duration is at most %d years", RULE_MAX_YEARS);
	else if (fixed_only && !cdp_rule_span_fixed(*out))
		cdp_rule_error(r, path, "E_WINDOW", "Write it in days, such as \"30 days\".",
					   "months and years differ in length; here a fixed duration is needed");
	else
		return true;
	return false;
}

/* Reads a duration above zero; false after an error. */
bool
cdp_rule_read_span(RuleReader *r, const JsonbValue *v, const char *path, bool fixed_only, RuleSpan *out)
{
	return read_span(r, v, path, fixed_only, false, out);
}

/* Reads the name of a unit of the calendar: day, week, month and, where wanted, quarter and year. */
bool
cdp_rule_read_unit(RuleReader *r, const JsonbValue *v, const char *path, bool short_only, RuleUnit *out)
{
	static const char *const names[] = {"day", "week", "month", "quarter", "year"};
	int			n = short_only ? 3 : lengthof(names);
	char	   *word;

	if (v->type != jbvString)
	{
		cdp_rule_error(r, path, "E_TYPE", NULL, "a unit must be text, not %s", cdp_rule_json_type(v));
		return false;
	}
	word = cdp_rule_string(v);
	for (int i = 0; i < n; i++)
		if (strcmp(word, names[i]) == 0)
		{
			*out = RULE_DAY + i;
			return true;
		}
	cdp_rule_error(r, path, "E_WINDOW", cdp_rule_near(word, names, n), "%s is no unit of the calendar", cdp_rule_quote(word));
	return false;
}

/* Reads ["90 days", "30 days"]: the farther end first, both fixed or both of the calendar. */
bool
cdp_rule_read_between(RuleReader *r, const JsonbValue *v, const char *path, RuleWindow *out)
{
	const JsonbContainer *ends = cdp_rule_array(v);
	bool		farther;

	if (ends == NULL || JsonContainerSize(ends) != 2)
	{
		cdp_rule_error(r, path, "E_TYPE", "Write [\"90 days\", \"30 days\"]: from 90 to 30 days ago.",
					   "a window between must be an array of two durations");
		return false;
	}
	out->kind = RULE_WINDOW_BETWEEN;
	if (!read_span(r, cdp_rule_item(ends, 0), cdp_rule_nth(path, 0), false, false, &out->a) |
		!read_span(r, cdp_rule_item(ends, 1), cdp_rule_nth(path, 1), false, true, &out->b))
		return false;
	if (out->b.count != 0 && cdp_rule_span_fixed(out->a) != cdp_rule_span_fixed(out->b))
	{
		cdp_rule_error(r, path, "E_WINDOW", "Write both in days or both in months.",
					   "one end of the window is fixed and the other moves by the calendar");
		return false;
	}
	if (cdp_rule_span_fixed(out->a))
		farther = out->b.count == 0 || cdp_rule_span_usecs(out->a) > cdp_rule_span_usecs(out->b);
	else
		farther = out->b.count == 0 || cdp_rule_span_months(out->a) > cdp_rule_span_months(out->b);
	if (!farther)
		cdp_rule_error(r, path, "E_WINDOW", "The farther end comes first: [\"90 days\", \"30 days\"].",
					   "the window ends before it begins");
	return farther;
}

/* Reads one end of an absolute window; false after an error. */
static bool
read_end(RuleReader *r, const JsonbContainer *object, const char *path, const char *key, const char **text, TimestampTz *at)
{
	JsonbValue *v = cdp_rule_get(object, key);

	if (v == NULL)
		return true;
	path = cdp_rule_at(path, key);
	if (v->type != jbvString)
	{
		cdp_rule_error(r, path, "E_TYPE", NULL, "a moment must be text, not %s", cdp_rule_json_type(v));
		return false;
	}
	*text = cdp_rule_string(v);
	if (cdp_rule_read_moment(*text, r->rule->zone, at))
		return true;
	cdp_rule_error(r, path, "E_WINDOW", "Write 2026-01-31, 2026-01-31T08:00:00 (in the zone of the rule) or 2026-01-31T00:00:00Z.",
				   "%s is no moment", cdp_rule_quote(*text));
	return false;
}

/* Reads since and until; false after an error. */
static bool
read_absolute(RuleReader *r, const JsonbContainer *object, const char *path, RuleWindow *out)
{
	out->kind = RULE_WINDOW_ABSOLUTE;
	if (!read_end(r, object, path, "since", &out->since, &out->since_at) |
		!read_end(r, object, path, "until", &out->until, &out->until_at))
		return false;
	if (out->since != NULL && out->until != NULL && out->since_at >= out->until_at)
	{
		cdp_rule_error(r, cdp_rule_at(path, "until"), "E_WINDOW", "The moment until is no longer in the window: name the next day.",
					   "the window ends before it begins");
		return false;
	}
	return true;
}

/* Reads the window of an atom: last, between, this, previous, or since and until; false after an error. */
bool
cdp_rule_read_window(RuleReader *r, const JsonbContainer *object, const char *path, RuleWindow *out)
{
	static const char *const forms[] = {"last", "between", "this", "previous", "since"};
	const char *found = NULL;
	JsonbValue *v = NULL;

	memset(out, 0, sizeof(RuleWindow));
	for (int i = 0; i < lengthof(forms); i++)
	{
		JsonbValue *here = cdp_rule_get(object, forms[i]);

		if (here == NULL && i == lengthof(forms) - 1)
			here = cdp_rule_get(object, "until");
		if (here == NULL)
			continue;
		if (found != NULL)
		{
			cdp_rule_error(r, cdp_rule_at(path, cdp_rule_get(object, forms[i]) != NULL ? forms[i] : "until"), "E_SYNTAX", NULL,
						   "there is a window already: \"%s\"", found);
			return false;
		}
		found = forms[i];
		v = here;
	}
	if (found == NULL)
		return true;
	if (found == forms[4])
		return read_absolute(r, object, path, out);
	path = cdp_rule_at(path, found);
	if (found == forms[1])
		return cdp_rule_read_between(r, v, path, out);
	out->kind = found == forms[0] ? RULE_WINDOW_LAST : found == forms[2] ? RULE_WINDOW_THIS : RULE_WINDOW_PREVIOUS;
	if (out->kind == RULE_WINDOW_LAST)
		return cdp_rule_read_span(r, v, path, false, &out->a);
	return cdp_rule_read_unit(r, v, path, false, &out->unit);
}

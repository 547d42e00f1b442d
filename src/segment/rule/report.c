/*
 * report.c
 *		What is wrong with a rule: messages with JSON Pointers, and the words in
 *		which they are told.
 */
#include "segment/rule/rule.h"

#include "base/suggest.h"
#include "mb/pg_wchar.h"

#define QUOTE_BYTES 63

static const char *const op_names[] = {
	"eq", "neq", "lt", "lte", "gt", "gte", "in", "not_in", "between", "not_between", "exists", "prefix", "suffix",
	"contains", "not_contains", "has", "has_any", "has_all", "last", "next", "before_last", "anniversary_next",
};
static const char *const agg_names[] = {
	"did", "count", "days", "sum", "avg", "min", "max", "distinct", "first_value", "last_value",
};
static const char *const field_names[] = {"channel", "channel_group", "campaign", "source", "value"};
static const char *const type_names[] = {"text", "integer", "numeric", "boolean", "date", "timestamp", "list", "json"};
static const char *const unit_names[] = {"second", "minute", "hour", "day", "week", "month", "quarter", "year"};

/* The word of a comparison in a rule. */
const char *
cdp_rule_op_name(RuleOp op)
{
	StaticAssertStmt(lengthof(op_names) == RULE_OPS, "a comparison has no name");
	return op_names[op];
}

/* The word of an aggregate in a rule. */
const char *
cdp_rule_agg_name(RuleAgg agg)
{
	return agg_names[agg];
}

/* The word of a field of an event. */
const char *
cdp_rule_field_name(RuleField field)
{
	return field_names[field];
}

/* The word of an attribute's type. */
const char *
cdp_rule_type_name(RuleType type)
{
	return type_names[type];
}

/* The word of a unit of time. */
const char *
cdp_rule_unit_name(RuleUnit unit)
{
	return unit_names[unit];
}

static void add_message(RuleReader *r, bool warning, const char *path, const char *code, const char *hint,
						const char *fmt, va_list args) pg_attribute_printf(6, 0);

/* Appends a message; the format and its arguments become its text. */
static void
add_message(RuleReader *r, bool warning, const char *path, const char *code, const char *hint, const char *fmt, va_list args)
{
	StringInfoData text;
	va_list		again;
	RuleMessage *m;
	int			needed;

	if (!warning)
		r->errors++;
	if (r->n >= RULE_MAX_MESSAGES)
	{
		r->left_out++;
		return;
	}
	initStringInfo(&text);
	for (;;)
	{
		va_copy(again, args);
		needed = appendStringInfoVA(&text, fmt, again);
		va_end(again);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	if (r->n == r->room)
	{
		r->room = r->room == 0 ? 16 : r->room * 2;
		r->message = r->message == NULL ? palloc(sizeof(RuleMessage) * r->room)
			: repalloc(r->message, sizeof(RuleMessage) * r->room);
	}
	m = &r->message[r->n++];
	m->path = path;
	m->code = code;
	m->warning = warning;
	m->text = text.data;
	m->hint = hint;
}

/* Notes an error at a path; the hint may be NULL. */
void
cdp_rule_error(RuleReader *r, const char *path, const char *code, const char *hint, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	add_message(r, false, path, code, hint, fmt, args);
	va_end(args);
}

/* Notes a warning at a path; the hint may be NULL. */
void
cdp_rule_warn(RuleReader *r, const char *path, const char *code, const char *hint, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	add_message(r, true, path, code, hint, fmt, args);
	va_end(args);
}

/* JSON Pointer of a key below a path: ~ and / are escaped as RFC 6901 says. */
const char *
cdp_rule_at(const char *path, const char *key)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "%s/", path);
	for (const char *p = key; *p != '\0'; p++)
		if (*p == '~')
			appendStringInfoString(&s, "~0");
		else if (*p == '/')
			appendStringInfoString(&s, "~1");
		else
			appendStringInfoChar(&s, *p);
	return s.data;
}

/* JSON Pointer of the i-th item, from 0, of an array. */
const char *
cdp_rule_nth(const char *path, int i)
{
	return psprintf("%s/%d", path, i);
}

/* A name in quotes for a message: clipped, without control characters. */
const char *
cdp_rule_quote(const char *name)
{
	int			len = strlen(name);
	int			clipped = pg_mbcliplen(name, len, QUOTE_BYTES);
	char	   *out = psprintf("\"%.*s%s\"", clipped, name, clipped < len ? "..." : "");

	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7F)
			*p = '?';
	return out;
}

/* Hint with the nearest name, or with all of them when they are few; NULL when there is nothing to say. */
const char *
cdp_rule_near(const char *word, const char *const *names, int n)
{
	const char *best = cdp_suggest(word, names, n);
	StringInfoData all;

	if (best != NULL)
		return psprintf("Did you mean %s?", cdp_rule_quote(best));
	if (n == 0 || n > 30)
		return NULL;
	initStringInfo(&all);
	for (int i = 0; i < n; i++)
	{
		const char *quoted = cdp_rule_quote(names[i]);

		appendStringInfo(&all, "%s%.*s", i > 0 ? ", " : "", (int) strlen(quoted) - 2, quoted + 1);
	}
	return psprintf("Known: %s.", all.data);
}

/* Notes that the rule names something, once; what is one word. */
void
cdp_rule_use(RuleReader *r, const char *what, const char *name)
{
	cdp_rule_table_add(&r->uses, psprintf("%s %s", what, name));
}

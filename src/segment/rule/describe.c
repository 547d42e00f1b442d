/*
 * describe.c
 *		Tells a segment rule in plain words: one clause a line, groups by
 *		indentation, so that and and or cannot be taken for each other. The
 *		words are in describe_en.c and describe_zh.c. Also the expansion of
 *		named behaviours.
 */
#include "segment/rule/describe.h"

#include "mb/pg_wchar.h"

CDP_FUNCTION(cdp_segment_describe);

/* Takes "30 days" apart; caller's context. */
CdpTextSpan
cdp_text_span(const char *duration)
{
	CdpTextSpan span = {NULL, NULL};
	const char *blank = strchr(duration, ' ');
	int			len;

	if (!cdp_text_is_duration(duration) || strchr(blank + 1, ' ') != NULL)
		return span;
	span.count = pnstrdup(duration, blank - duration);
	len = strlen(blank + 1);
	span.unit = pnstrdup(blank + 1, blank[len] == 's' ? len - 1 : len);
	return span;
}

/* Tells whether a number as written is 1. */
bool
cdp_text_is_one(const char *number)
{
	return strcmp(number, "1") == 0;
}

/* Appends a text in quotes: those inside are doubled, and no control character can begin a line of its own. */
static void
append_quoted(StringInfo out, const char *s, int len, char quote)
{
	appendStringInfoChar(out, quote);
	for (int i = 0; i < len; i++)
	{
		if (s[i] == quote)
			appendStringInfoChar(out, quote);
		appendStringInfoChar(out, (unsigned char) s[i] < ' ' || s[i] == 0x7f ? '?' : s[i]);
	}
	appendStringInfoChar(out, quote);
}

/* Appends a name: as it is when it is one word of letters, else in double quotes. */
void
cdp_describe_name(StringInfo out, const char *name)
{
	bool		plain = name[0] != '\0';

	for (const char *c = name; *c != '\0' && plain; c++)
		plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			*c == '_' || *c == '.' || *c == '-' || IS_HIGHBIT_SET(*c);
	if (plain)
		appendStringInfoString(out, name);
	else
		append_quoted(out, name, strlen(name), '"');
}

/* Appends names with something between. */
void
cdp_describe_names(StringInfo out, List *names, const char *between)
{
	ListCell   *cell;

	foreach(cell, names)
	{
		if (cell != list_head(names))
			appendStringInfoString(out, between);
		cdp_describe_name(out, lfirst(cell));
	}
	if (names == NIL)
		appendStringInfoString(out, "()");
}

/* Appends a constant. */
void
cdp_describe_value(StringInfo out, const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvNumeric:
			appendStringInfoString(out, cdp_text_number(v));
			break;
		case jbvBool:
			appendStringInfoString(out, v->val.boolean ? "true" : "false");
			break;
		case jbvNull:
			appendStringInfoString(out, "null");
			break;
		default:
			append_quoted(out, v->val.string.val, v->val.string.len, '\'');
	}
}

/* Appends constants with something between. */
void
cdp_describe_values(StringInfo out, List *values, const char *between)
{
	ListCell   *cell;

	foreach(cell, values)
	{
		if (cell != list_head(values))
			appendStringInfoString(out, between);
		cdp_describe_value(out, lfirst(cell));
	}
	if (values == NIL)
		appendStringInfoString(out, "()");
}

/* The comparison that is true, false and unknown where this one is false, true and unknown; TEXT_OPS: none. */
CdpTextOp
cdp_text_opposite(const CdpTextTest *test)
{
	switch (test->op)
	{
		case TEXT_EQ:
			return TEXT_NEQ;
		case TEXT_NEQ:
			return TEXT_EQ;
		case TEXT_IN:
			return TEXT_NOT_IN;
		case TEXT_NOT_IN:
			return TEXT_IN;
		case TEXT_BETWEEN:
			return TEXT_NOT_BETWEEN;
		case TEXT_NOT_BETWEEN:
			return TEXT_BETWEEN;
		case TEXT_CONTAINS:
			return TEXT_NOT_CONTAINS;
		case TEXT_NOT_CONTAINS:
			return TEXT_CONTAINS;
		case TEXT_EXISTS:
			return TEXT_EXISTS;
		default:
			return TEXT_OPS;
	}
}

/* Tells whether a count is asked to be zero. */
bool
cdp_text_asks_never(const CdpTextTest *test)
{
	const JsonbValue *v = linitial(test->values);
	const char *n;

	if (v->type != jbvNumeric || test->op > TEXT_LTE)
		return false;
	n = cdp_text_number(v);
	return strcmp(n, "0") == 0 ? test->op == TEXT_EQ || test->op == TEXT_LTE :
		strcmp(n, "1") == 0 && test->op == TEXT_LT;
}

/* Tells whether a node is a group that needs lines of its own. */
static bool
is_group(const CdpTextNode *node)
{
	return (node->kind == TEXT_ALL || node->kind == TEXT_ANY) && list_length(node->parts) > 1;
}

/* Steps over groups of one, and over pairs of nots; tells whether what is left is negated. */
static const CdpTextNode *
simplest(const CdpTextNode *node, bool *negated)
{
	*negated = false;
	for (;;)
	{
		if (node->kind == TEXT_NOT)
			*negated = !*negated;
		else if ((node->kind != TEXT_ALL && node->kind != TEXT_ANY) || list_length(node->parts) != 1)
			return node;
		node = linitial(node->parts);
	}
}

/* Which heading a group has: all, any, not all, none. */
static int
heading(const CdpTextNode *node, bool negated)
{
	return (node->kind == TEXT_ALL ? 0 : 1) + (negated ? 2 : 0);
}

/* Appends a node that is no group; its line has begun. */
static void
describe_clause(StringInfo out, const CdpTongue *tongue, const CdpTextNode *node, bool negated, int indent)
{
	if (node->kind == TEXT_ALL || node->kind == TEXT_ANY)
	{
		appendStringInfoString(out, (node->kind == TEXT_ALL) != negated ? tongue->always : tongue->never);
		return;
	}
	if (negated && !tongue->negates(node))
	{
		appendStringInfoString(out, tongue->not_so);
		negated = false;
	}
	tongue->clause(out, node, negated, indent);
}

/* Appends the parts of a group, each on a line of its own. */
static void
describe_parts(StringInfo out, const CdpTongue *tongue, const CdpTextNode *group, int indent)
{
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	foreach(cell, group->parts)
	{
		bool		negated;
		const CdpTextNode *part = simplest(lfirst(cell), &negated);

		appendStringInfo(out, "\n%*s- ", indent, "");
		if (is_group(part))
		{
			appendStringInfoString(out, tongue->part[heading(part, negated)]);
			describe_parts(out, tongue, part, indent + 2);
		}
		else
			describe_clause(out, tongue, part, negated, indent + 2);
	}
}

/* Tells a whole rule; caller's context. */
static char *
describe(const CdpTextRule *rule, const CdpTongue *tongue)
{
	StringInfoData out;
	bool		negated;
	const CdpTextNode *node = simplest(rule->where, &negated);

	initStringInfo(&out);
	if (is_group(node))
	{
		appendStringInfoString(&out, tongue->whole[heading(node, negated)]);
		describe_parts(&out, tongue, node, 0);
	}
	else if (node->kind == TEXT_ALL || node->kind == TEXT_ANY)
		appendStringInfoString(&out, (node->kind == TEXT_ALL) != negated ? tongue->everybody : tongue->nobody);
	else
	{
		appendStringInfoString(&out, tongue->one);
		describe_clause(&out, tongue, node, negated, 0);
		appendStringInfoString(&out, tongue->after_one);
	}
	if (rule->tz != NULL)
		appendStringInfo(&out, "\n%s%s%s", tongue->zone, rule->tz, tongue->after_zone);
	if (rule->nulls != NULL && strcmp(rule->nulls, "sql") == 0)
		appendStringInfo(&out, "\n%s", tongue->unknown);
	return out.data;
}

/* Makes an event atom of a behaviour's events in a window; caller's context. */
static CdpTextNode *
event_of(const CdpTextNode *behaviour, CdpTextWindowKind kind, char *a, char *b)
{
	CdpTextNode *node = cdp_text_node(TEXT_EVENT);

	node->kinds = behaviour->kinds;
	node->kinds_listed = behaviour->kinds_listed;
	node->where = behaviour->where;
	node->window.kind = kind;
	node->window.a = a;
	node->window.b = b;
	return node;
}

/* The longest duration that rules take, of the same sort as another one: it stands for ever. */
static char *
ever(const char *duration)
{
	CdpTextSpan span = cdp_text_span(duration);

	return span.unit != NULL && (strcmp(span.unit, "month") == 0 || strcmp(span.unit, "year") == 0) ?
		"100 years" : "36500 days";
}

/* Puts what they stand for in the place of named behaviours, in all the tree. */
static CdpTextNode *
expand(CdpTextNode *node)
{
	CdpTextNode *both = cdp_text_node(TEXT_ALL);
	CdpTextNode *none = cdp_text_node(TEXT_NOT);
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->kind)
	{
		case TEXT_ALL:
		case TEXT_ANY:
		case TEXT_NOT:
			foreach(cell, node->parts)
				lfirst(cell) = expand(lfirst(cell));
			return node;
		case TEXT_FIRST_TIME:
			if (node->window.kind != WINDOW_LAST)
				return node;
			none->parts = list_make1(event_of(node, WINDOW_BETWEEN, ever(node->window.a), node->window.a));
			both->parts = list_make2(event_of(node, WINDOW_LAST, node->window.a, NULL), none);
			return both;
		case TEXT_STOPPED:
			if (node->window.kind != WINDOW_BETWEEN)
				return node;
			none->parts = list_make1(event_of(node, WINDOW_LAST, node->window.b, NULL));
			both->parts = list_make2(event_of(node, WINDOW_BETWEEN, node->window.a, node->window.b), none);
			return both;
		case TEXT_REGULARLY:
		case TEXT_RESUMED:
			node->expanded = true;
			return node;
		default:
			return node;
	}
}

/* cdp.segment_describe(jsonb, text): the rule in plain words, or the expansion of its named behaviours. */
Datum
cdp_segment_describe(PG_FUNCTION_ARGS)
{
	CdpTextRule *rule = cdp_text_from_jsonb(PG_GETARG_JSONB_P(0));
	char	   *language = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (strcmp(language, "en") == 0)
		PG_RETURN_TEXT_P(cstring_to_text(describe(rule, &cdp_tongue_en)));
	if (strcmp(language, "zh") == 0)
	{
		if (GetDatabaseEncoding() != PG_UTF8)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("rules can be told in Chinese in a database of encoding UTF8 only"),
					 errdetail("The encoding of this one is %s.", GetDatabaseEncodingName())));
		PG_RETURN_TEXT_P(cstring_to_text(describe(rule, &cdp_tongue_zh)));
	}
	if (strcmp(language, "expansion") == 0)
	{
		Jsonb	   *expanded;

		rule->where = expand(rule->where);
		expanded = cdp_text_to_jsonb(rule);
		PG_RETURN_TEXT_P(cstring_to_text(JsonbToCString(NULL, &expanded->root, VARSIZE(expanded))));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("rules cannot be described in this language"),
			 errhint("Known: en, zh, and expansion for what named behaviours stand for.")));
}

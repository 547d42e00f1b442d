/*
 * text_print.c
 *		Writes the tree of text.h as the text of a segment rule: on one line where
 *		it is short, else with one operand a line. The parser reads it back to
 *		the same tree.
 */
#include "segment/rule/text.h"

#include "utils/fmgrprotos.h"
#include "utils/formatting.h"

/* Columns that one line may have before groups are broken into lines. */
#define PRINT_WIDTH 100

static void print_node(StringInfo out, const CdpTextNode *node, int indent);

/* The digits of a number; caller's context. */
char *
cdp_text_number(const JsonbValue *v)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
}

/* Appends a text between quotes, doubling those inside. */
static void
print_quoted(StringInfo out, const char *text, int len, char quote)
{
	appendStringInfoChar(out, quote);
	for (int i = 0; i < len; i++)
	{
		if (text[i] == quote)
			appendStringInfoChar(out, quote);
		appendStringInfoChar(out, text[i]);
	}
	appendStringInfoChar(out, quote);
}

/* Appends a name, in double quotes unless it is a plain word that means nothing else. */
static void
print_name(StringInfo out, const char *name)
{
	bool		plain = (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z') || name[0] == '_';

	for (const char *c = name; *c != '\0' && plain; c++)
		plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '.';
	if (plain && !cdp_text_is_reserved(name))
		appendStringInfoString(out, name);
	else
		print_quoted(out, name, strlen(name), '"');
}

/* Appends the name of a property, quoted when it would be read as a field. */
static void
print_property(StringInfo out, const char *name)
{
	if (cdp_text_is_field(asc_tolower(name, strlen(name))))
		print_quoted(out, name, strlen(name), '"');
	else
		print_name(out, name);
}

/* Appends a constant. */
static void
print_value(StringInfo out, const JsonbValue *v)
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
			print_quoted(out, v->val.string.val, v->val.string.len, '\'');
	}
}

/* Tells whether a text is a duration as the parser would give it back: "30 days", "1 day 12 hours". */
bool
cdp_text_is_duration(const char *text)
{
	const char *c = text;

	for (;;)
	{
		const char *start = c;
		char		unit[16];
		int			n = 0;

		while (*c >= '0' && *c <= '9')
			c++;
		if (c == start || c - start > 15 || *c++ != ' ')
			return false;
		while (*c >= 'a' && *c <= 'z' && n < (int) sizeof(unit) - 1)
			unit[n++] = *c++;
		unit[n] = '\0';
		if (!cdp_text_is_unit(unit))
			return false;
		if (*c == '\0')
			return true;
		if (*c++ != ' ')
			return false;
	}
}

/* Appends a duration in words, or as a string when it is none. */
static void
print_duration(StringInfo out, const char *duration)
{
	if (cdp_text_is_duration(duration))
		appendStringInfoString(out, duration);
	else
		print_quoted(out, duration, strlen(duration), '\'');
}

/* Appends a unit of the calendar, or a string when it is none; plural adds its s. */
static void
print_unit(StringInfo out, const char *unit, bool plural)
{
	int			len = strlen(unit);

	if (len > 0 && unit[len - 1] != 's' && cdp_text_is_unit(unit))
		appendStringInfo(out, "%s%s", unit, plural ? "s" : "");
	else
		print_quoted(out, unit, len, '\'');
}

/* Appends a comparison, beginning with a blank. */
static void
print_test(StringInfo out, const CdpTextTest *test)
{
	const CdpTextOpEntry *op = &cdp_text_ops[test->op];
	ListCell   *cell;

	if (op->operand == OPERAND_TRUTH)
	{
		appendStringInfoString(out, ((JsonbValue *) linitial(test->values))->val.boolean ? " is known" : " is missing");
		return;
	}
	appendStringInfo(out, " %s ", op->words);
	switch (op->operand)
	{
		case OPERAND_TWO:
			print_value(out, linitial(test->values));
			appendStringInfoString(out, " and ");
			print_value(out, lsecond(test->values));
			break;
		case OPERAND_LIST:
			appendStringInfoChar(out, '(');
			foreach(cell, test->values)
			{
				if (cell != list_head(test->values))
					appendStringInfoString(out, ", ");
				print_value(out, lfirst(cell));
			}
			appendStringInfoChar(out, ')');
			break;
		case OPERAND_DURATION:
			{
				JsonbValue *v = linitial(test->values);

				print_duration(out, pnstrdup(v->val.string.val, v->val.string.len));
			}
			break;
		default:
			print_value(out, linitial(test->values));
	}
}

/* Appends kinds of events. */
static void
print_kinds(StringInfo out, const CdpTextNode *node)
{
	bool		bracket = node->kinds_listed && list_length(node->kinds) < 2;
	ListCell   *cell;

	if (bracket)
		appendStringInfoString(out, "any(");
	foreach(cell, node->kinds)
	{
		if (cell != list_head(node->kinds))
			appendStringInfoString(out, " or ");
		print_name(out, lfirst(cell));
	}
	if (bracket)
		appendStringInfoChar(out, ')');
}

/* Appends a window, beginning with a blank. */
static void
print_window(StringInfo out, const CdpTextWindow *w)
{
	switch (w->kind)
	{
		case WINDOW_NONE:
			break;
		case WINDOW_LAST:
			appendStringInfoString(out, " last ");
			print_duration(out, w->a);
			break;
		case WINDOW_BETWEEN:
			appendStringInfoString(out, " between ");
			print_duration(out, w->a);
			appendStringInfoString(out, " ago and ");
			print_duration(out, w->b);
			appendStringInfoString(out, " ago");
			break;
		case WINDOW_THIS:
		case WINDOW_PREVIOUS:
			appendStringInfoString(out, w->kind == WINDOW_THIS ? " this " : " previous ");
			print_unit(out, w->a, false);
			break;
		case WINDOW_ABSOLUTE:
			if (w->a != NULL)
			{
				appendStringInfoString(out, " since ");
				print_quoted(out, w->a, strlen(w->a), '\'');
			}
			if (w->b != NULL)
			{
				appendStringInfoString(out, " until ");
				print_quoted(out, w->b, strlen(w->b), '\'');
			}
			break;
	}
}

/* Appends the condition on events, beginning with a blank. */
static void
print_where(StringInfo out, const CdpTextNode *node)
{
	if (node->where == NULL)
		return;
	appendStringInfoString(out, " where ");
	print_node(out, node->where, -1);
}

/* Appends a step of a sequence, or an event that breaks one. */
static void
print_step(StringInfo out, const CdpTextNode *node)
{
	ListCell   *cell;

	if (node->absent)
		appendStringInfoString(out, "no ");
	print_kinds(out, node);
	if (node->within != NULL)
	{
		appendStringInfoString(out, " within ");
		print_duration(out, node->within);
	}
	if (node->has_same)
	{
		appendStringInfoString(out, " same ");
		foreach(cell, node->same)
		{
			if (cell != list_head(node->same))
				appendStringInfoString(out, ", ");
			print_name(out, lfirst(cell));
		}
		if (node->same == NIL)
			appendStringInfoString(out, "()");
	}
	print_where(out, node);
}

/* Appends a sequence. */
static void
print_sequence(StringInfo out, const CdpTextNode *node)
{
	ListCell   *cell;

	appendStringInfoString(out, "seq(");
	foreach(cell, node->parts)
	{
		if (cell != list_head(node->parts))
			appendStringInfoString(out, " -> ");
		print_step(out, lfirst(cell));
	}
	if (node->window.kind != WINDOW_NONE)
		appendStringInfoChar(out, ';');
	print_window(out, &node->window);
	if (node->total != NULL)
	{
		appendStringInfoString(out, "; total ");
		print_duration(out, node->total);
	}
	if (node->has_breaks)
	{
		appendStringInfoString(out, node->breaks_listed ? "; without (" : "; without ");
		foreach(cell, node->breaks)
		{
			if (cell != list_head(node->breaks))
				appendStringInfoString(out, ", ");
			print_step(out, lfirst(cell));
		}
		if (node->breaks_listed)
			appendStringInfoChar(out, ')');
	}
	if (node->ties != NULL)
	{
		appendStringInfoString(out, "; ties ");
		if (strcmp(node->ties, "order") == 0 || strcmp(node->ties, "strict") == 0)
			appendStringInfoString(out, node->ties);
		else
			print_quoted(out, node->ties, strlen(node->ties), '\'');
	}
	appendStringInfoChar(out, ')');
}

/* Appends an event atom with its aggregate. */
static void
print_event(StringInfo out, const CdpTextNode *node)
{
	appendStringInfo(out, "%s(", cdp_text_aggs[node->agg].word);
	if (CDP_TEXT_HAS_OPERAND(node->agg))
	{
		if (node->of_field)
			appendStringInfoString(out, node->name);
		else
			print_property(out, node->name);
		appendStringInfoString(out, " of ");
	}
	print_kinds(out, node);
	print_window(out, &node->window);
	print_where(out, node);
	appendStringInfoChar(out, ')');
	if (node->agg != TEXT_DID)
		print_test(out, node->test);
}

/* Appends a named behaviour. */
static void
print_behaviour(StringInfo out, const CdpTextNode *node, const char *word)
{
	appendStringInfo(out, "%s(", word);
	print_kinds(out, node);
	if (node->kind == TEXT_REGULARLY)
	{
		appendStringInfo(out, " in at least %s of %s ", cdp_text_number(node->at_least), cdp_text_number(node->of));
		print_unit(out, node->unit, true);
	}
	if (node->after != NULL)
	{
		appendStringInfoString(out, " after ");
		print_duration(out, node->after);
	}
	print_window(out, &node->window);
	print_where(out, node);
	appendStringInfoChar(out, ')');
}

/* Tells whether "10%" may stand without quotes. */
static bool
is_share(const char *s, int len)
{
	int			digits = 0;
	int			points = 0;

	for (int i = 0; i < len - 1; i++)
	{
		if (s[i] >= '0' && s[i] <= '9')
			digits++;
		else if (s[i] != '.' || digits == 0 || i == len - 2 || points++ > 0)
			return false;
	}
	return digits > 0 && digits < 20 && s[len - 1] == '%';
}

/* Appends a rank. */
static void
print_rank(StringInfo out, const CdpTextNode *node)
{
	const JsonbValue *amount = node->amount;

	appendStringInfoString(out, node->bottom ? "bottom " : "top ");
	if (amount->type == jbvString && is_share(amount->val.string.val, amount->val.string.len))
		appendBinaryStringInfo(out, amount->val.string.val, amount->val.string.len);
	else
		print_value(out, amount);
	appendStringInfo(out, " by %s", node->of_trait ? "trait " : "");
	print_name(out, node->name);
}

/* Appends an atom about one name: its word, the name, what else it has. */
static void
print_named(StringInfo out, const CdpTextNode *node, const char *word, const char *second)
{
	appendStringInfo(out, "%s ", word);
	print_name(out, node->name);
	if (node->second != NULL)
	{
		appendStringInfo(out, " %s ", second);
		print_name(out, node->second);
	}
	if (node->test != NULL)
		print_test(out, node->test);
}

/* Appends the operands of a group with its word between them; from a column on, each on a line of its own. */
static void
print_operands(StringInfo out, const CdpTextNode *node, int indent)
{
	const char *word = node->kind == TEXT_ALL ? "and" : "or";
	ListCell   *cell;

	foreach(cell, node->parts)
	{
		const CdpTextNode *part = lfirst(cell);
		bool		group = (part->kind == TEXT_ALL || part->kind == TEXT_ANY) && list_length(part->parts) > 1;
		StringInfoData flat;

		if (cell != list_head(node->parts))
		{
			if (indent < 0)
				appendStringInfo(out, " %s ", word);
			else
				appendStringInfo(out, "\n%*s%s ", indent, "", word);
		}
		initStringInfo(&flat);
		print_node(&flat, part, -1);
		if (!group)
			appendBinaryStringInfo(out, flat.data, flat.len);
		else if (indent < 0 || flat.len + indent <= PRINT_WIDTH)
			appendStringInfo(out, "(%s)", flat.data);
		else
		{
			appendStringInfo(out, "(\n%*s", indent + 2, "");
			print_operands(out, part, indent + 2);
			appendStringInfo(out, "\n%*s)", indent, "");
		}
		pfree(flat.data);
	}
}

/* Appends a group of nodes. */
static void
print_group(StringInfo out, const CdpTextNode *node, int indent)
{
	const char *word = node->kind == TEXT_ALL ? "all" : "any";

	if (list_length(node->parts) > 1)
		print_operands(out, node, indent);
	else
	{
		appendStringInfo(out, "%s(", word);
		if (node->parts != NIL)
			print_node(out, linitial(node->parts), -1);
		appendStringInfoChar(out, ')');
	}
}

/* Appends a node without brackets around it; indent < 0: on one line. */
static void
print_node(StringInfo out, const CdpTextNode *node, int indent)
{
	const CdpTextNode *inner;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->kind)
	{
		case TEXT_ALL:
		case TEXT_ANY:
			print_group(out, node, indent);
			break;
		case TEXT_NOT:
			inner = linitial(node->parts);
			appendStringInfoString(out, "not ");
			if ((inner->kind == TEXT_ALL || inner->kind == TEXT_ANY) && list_length(inner->parts) > 1)
			{
				appendStringInfoChar(out, '(');
				print_node(out, inner, -1);
				appendStringInfoChar(out, ')');
			}
			else
				print_node(out, inner, -1);
			break;
		case TEXT_ATTR:
			print_name(out, node->name);
			print_test(out, node->test);
			break;
		case TEXT_PROP:
			print_property(out, node->name);
			print_test(out, node->test);
			break;
		case TEXT_FIELD:
			appendStringInfoString(out, node->name);
			print_test(out, node->test);
			break;
		case TEXT_EVENT:
			print_event(out, node);
			break;
		case TEXT_FIRST_TIME:
			print_behaviour(out, node, "first_time");
			break;
		case TEXT_REGULARLY:
			print_behaviour(out, node, "regularly");
			break;
		case TEXT_STOPPED:
			print_behaviour(out, node, "stopped");
			break;
		case TEXT_RESUMED:
			print_behaviour(out, node, "resumed");
			break;
		case TEXT_SEQ:
			print_sequence(out, node);
			break;
		case TEXT_STEP:
			print_step(out, node);
			break;
		case TEXT_SEGMENT:
			print_named(out, node, "segment", NULL);
			break;
		case TEXT_LIST:
			print_named(out, node, "list", NULL);
			break;
		case TEXT_TRAIT:
			print_named(out, node, "trait", NULL);
			break;
		case TEXT_RANK:
			print_rank(out, node);
			break;
		case TEXT_CONSENT:
			print_named(out, node, "consent", "by");
			break;
		case TEXT_HOLDOUT:
			print_named(out, node, "holdout", "arm");
			break;
	}
}

/* Writes a whole rule; caller's context. */
char *
cdp_text_print(const CdpTextRule *rule)
{
	StringInfoData out;

	initStringInfo(&out);
	if ((rule->where->kind == TEXT_ALL || rule->where->kind == TEXT_ANY) && rule->where->parts == NIL)
		appendStringInfoString(&out, rule->where->kind == TEXT_ALL ? "everybody" : "nobody");
	else
		print_node(&out, rule->where, -1);
	if (out.len > PRINT_WIDTH)
	{
		resetStringInfo(&out);
		print_node(&out, rule->where, 0);
	}
	if (rule->tz != NULL)
	{
		appendStringInfoString(&out, "; time zone ");
		print_quoted(&out, rule->tz, strlen(rule->tz), '\'');
	}
	if (rule->nulls != NULL)
	{
		appendStringInfoString(&out, "; nulls ");
		if (strcmp(rule->nulls, "set") == 0 || strcmp(rule->nulls, "sql") == 0)
			appendStringInfoString(&out, rule->nulls);
		else
			print_quoted(&out, rule->nulls, strlen(rule->nulls), '\'');
	}
	return out.data;
}

/*
 * describe_en.c
 *		Segment rules in English.
 */
#include "segment/rule/describe.h"

static void clause(StringInfo out, const CdpTextNode *node, bool negated, int indent);

/* Appends a count with its noun in singular or plural. */
static void
say_number(StringInfo out, const char *number, const char *noun)
{
	appendStringInfo(out, "%s %s%s", number, noun, cdp_text_is_one(number) ? "" : "s");
}

/* Appends a duration; short leaves the 1 of "1 day" away. */
static void
say_span(StringInfo out, const char *duration, bool brief)
{
	CdpTextSpan span = cdp_text_span(duration);

	if (span.count == NULL)
		appendStringInfo(out, "'%s'", duration);
	else if (brief && cdp_text_is_one(span.count))
		appendStringInfoString(out, span.unit);
	else
		say_number(out, span.count, span.unit);
}

/* Appends "90 to 30 days ago". */
static void
say_between(StringInfo out, const CdpTextWindow *w)
{
	CdpTextSpan a = cdp_text_span(w->a);
	CdpTextSpan b = cdp_text_span(w->b);

	appendStringInfoString(out, " between ");
	if (b.count != NULL && strcmp(b.count, "0") == 0)
	{
		say_span(out, w->a, false);
		appendStringInfoString(out, " ago and now");
		return;
	}
	if (a.count != NULL && b.count != NULL && strcmp(a.unit, b.unit) == 0)
		appendStringInfoString(out, a.count);
	else
		say_span(out, w->a, false);
	appendStringInfoString(out, " and ");
	say_span(out, w->b, false);
	appendStringInfoString(out, " ago");
}

/* Appends a window, beginning with a blank. */
static void
say_window(StringInfo out, const CdpTextWindow *w)
{
	switch (w->kind)
	{
		case WINDOW_NONE:
			appendStringInfoString(out, " at any time");
			break;
		case WINDOW_LAST:
			appendStringInfoString(out, " in the last ");
			say_span(out, w->a, true);
			break;
		case WINDOW_BETWEEN:
			say_between(out, w);
			break;
		case WINDOW_THIS:
			appendStringInfo(out, strcmp(w->a, "day") == 0 ? " today" : " this %s", w->a);
			break;
		case WINDOW_PREVIOUS:
			appendStringInfo(out, strcmp(w->a, "day") == 0 ? " yesterday" : " in the previous %s", w->a);
			break;
		case WINDOW_ABSOLUTE:
			if (w->a != NULL)
				appendStringInfo(out, w->b != NULL ? " from %s to" : " since %s", w->a);
			if (w->b != NULL)
				appendStringInfo(out, " before %s", w->b);
			break;
	}
}

/* Appends a comparison of a single thing, beginning with a blank: " is at least 3". */
static void
say_test(StringInfo out, const CdpTextTest *test, bool negated)
{
	static const char *const words[TEXT_OPS] = {
		"is", "is not", "is less than", "is at most", "is more than", "is at least",
		"is one of", "is none of", "is between", "is not between", "is known",
		"starts with", "ends with", "contains", "does not contain",
		"has", "has at least one of", "has all of",
		"lies in the last", "lies in the next", "lies before the last", "has its anniversary in the next"
	};
	CdpTextOp	op = negated ? cdp_text_opposite(test) : test->op;
	JsonbValue *v = test->values != NIL ? linitial(test->values) : NULL;	/* only a list may be empty */

	Assert(v != NULL || cdp_text_ops[op].operand == OPERAND_LIST);
	switch (cdp_text_ops[op].operand)
	{
		case OPERAND_TRUTH:
			appendStringInfoString(out, v->val.boolean != negated ? " is known" : " is not known");
			return;
		case OPERAND_DURATION:
			appendStringInfo(out, " %s ", words[op]);
			say_span(out, pnstrdup(v->val.string.val, v->val.string.len), true);
			return;
		case OPERAND_TWO:
			appendStringInfo(out, " %s ", words[op]);
			cdp_describe_values(out, test->values, " and ");
			return;
		default:
			appendStringInfo(out, " %s ", words[op]);
			cdp_describe_values(out, test->values, ", ");
	}
}

/* Appends how often: " at least 2 times". */
static void
say_times(StringInfo out, const CdpTextTest *test)
{
	static const char *const words[] = {
		" exactly ", " any number of times but ", " fewer than ", " at most ", " more than ", " at least "
	};
	const JsonbValue *v = linitial(test->values);

	if (test->op > TEXT_GTE || v->type != jbvNumeric)
	{
		appendStringInfoString(out, " a number of times that");
		say_test(out, test, false);
		return;
	}
	appendStringInfoString(out, words[test->op]);
	if (cdp_text_is_one(cdp_text_number(v)))
		appendStringInfoString(out, "once");
	else
		say_number(out, cdp_text_number(v), "time");
}

/* Appends on how many days: " on at least 3 different days". */
static void
say_days(StringInfo out, const CdpTextTest *test)
{
	static const char *const words[] = {"exactly", "any number but", "fewer than", "at most", "more than", "at least"};
	const JsonbValue *v = linitial(test->values);

	if (test->op > TEXT_GTE || v->type != jbvNumeric)
	{
		appendStringInfoString(out, " on a number of different days that");
		say_test(out, test, false);
		return;
	}
	appendStringInfo(out, " on %s ", words[test->op]);
	say_number(out, cdp_text_number(v), cdp_text_is_one(cdp_text_number(v)) ? "day" : "different day");
}

/* Appends a condition on events; what is in brackets belongs together. */
static void
say_condition(StringInfo out, const CdpTextNode *node, bool inner)
{
	const CdpTextNode *part;
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->kind)
	{
		case TEXT_NOT:
			part = linitial(node->parts);
			if ((part->kind == TEXT_PROP || part->kind == TEXT_FIELD) && cdp_text_opposite(part->test) != TEXT_OPS)
			{
				cdp_describe_name(out, part->name);
				say_test(out, part->test, true);
				return;
			}
			appendStringInfoString(out, "not (");
			say_condition(out, part, false);
			appendStringInfoChar(out, ')');
			return;
		case TEXT_ALL:
		case TEXT_ANY:
			if (node->parts == NIL)
				appendStringInfoString(out, node->kind == TEXT_ALL ? "anything holds" : "nothing holds");
			if (inner && list_length(node->parts) > 1)
				appendStringInfoChar(out, '(');
			foreach(cell, node->parts)
			{
				if (cell != list_head(node->parts))
					appendStringInfoString(out, node->kind == TEXT_ALL ? " and " : " or ");
				say_condition(out, lfirst(cell), list_length(node->parts) > 1 || inner);
			}
			if (inner && list_length(node->parts) > 1)
				appendStringInfoChar(out, ')');
			return;
		default:
			if (node->kind == TEXT_FIELD && strcmp(node->name, "value") == 0)
				appendStringInfoString(out, "the money");
			else if (node->kind == TEXT_FIELD)
				appendStringInfo(out, "the %s", strcmp(node->name, "channel_group") == 0 ? "channel group" : node->name);
			else
				cdp_describe_name(out, node->name);
			say_test(out, node->test, false);
	}
}

/* Appends ", where ..." when the events have a condition. */
static void
say_where(StringInfo out, const CdpTextNode *node)
{
	if (node->where == NULL)
		return;
	appendStringInfoString(out, ", where ");
	say_condition(out, node->where, false);
}

/* Appends an event atom. */
static void
say_event(StringInfo out, const CdpTextNode *node, bool negated)
{
	static const char *const words[TEXT_AGGS] = {
		[TEXT_SUM] = "the sum of", [TEXT_AVG] = "the average of", [TEXT_MIN] = "the smallest", [TEXT_MAX] = "the largest",
		[TEXT_DISTINCT] = "the number of different values of", [TEXT_FIRST] = "the first known", [TEXT_LAST] = "the last known",
	};

	if (!CDP_TEXT_HAS_OPERAND(node->agg))
	{
		bool		never = negated || (node->agg != TEXT_DID && cdp_text_asks_never(node->test));

		appendStringInfoString(out, never ? "they did not do " : "they did ");
		cdp_describe_names(out, node->kinds, " or ");
		if (!never && node->agg == TEXT_DID)
			appendStringInfoString(out, " at least once");
		else if (!never && node->agg == TEXT_COUNT)
			say_times(out, node->test);
		else if (!never)
			say_days(out, node->test);
		say_window(out, &node->window);
		say_where(out, node);
		return;
	}
	appendStringInfo(out, "%s ", words[node->agg]);
	if (node->of_field)
		appendStringInfoString(out, strcmp(node->name, "value") == 0 ? "money" : node->name);
	else
		cdp_describe_name(out, node->name);
	appendStringInfoString(out, " of their ");
	cdp_describe_names(out, node->kinds, " or ");
	appendStringInfoString(out, " events");
	say_window(out, &node->window);
	say_where(out, node);
	if (node->where != NULL)
		appendStringInfoChar(out, ',');
	say_test(out, node->test, negated);
}

/* Appends a named behaviour. */
static void
say_behaviour(StringInfo out, const CdpTextNode *node)
{
	appendStringInfoString(out, "they did ");
	cdp_describe_names(out, node->kinds, " or ");
	if (node->kind == TEXT_FIRST_TIME)
		appendStringInfoString(out, " for the first time");
	if (node->kind == TEXT_REGULARLY)
	{
		char	   *of = cdp_text_number(node->of);

		appendStringInfo(out, " in at least %s of the last ", cdp_text_number(node->at_least));
		say_number(out, of, psprintf("complete %s", node->unit));
	}
	else
		say_window(out, &node->window);
	if (node->kind == TEXT_STOPPED)
		appendStringInfoString(out, " but not since");
	if (node->kind == TEXT_RESUMED)
	{
		appendStringInfoString(out, " after a pause of at least ");
		say_span(out, node->after, false);
	}
	say_where(out, node);
}

/* Appends one step of a sequence. */
static void
say_step(StringInfo out, const CdpTextNode *step, bool first)
{
	if (step->absent)
	{
		appendStringInfoString(out, "no ");
		cdp_describe_names(out, step->kinds, " or ");
		if (step->within != NULL)
		{
			appendStringInfoString(out, " for ");
			say_span(out, step->within, false);
		}
		appendStringInfoString(out, " after it");
	}
	else
	{
		cdp_describe_names(out, step->kinds, " or ");
		if (step->within != NULL)
		{
			appendStringInfoString(out, " at most ");
			say_span(out, step->within, false);
			appendStringInfoString(out, " later");
		}
		else if (!first)
			appendStringInfoString(out, " later");
	}
	if (step->has_same)
	{
		appendStringInfoString(out, " with the same ");
		cdp_describe_names(out, step->same, " and ");
	}
	say_where(out, step);
}

/* Appends a sequence, its steps on lines of their own. */
static void
say_sequence(StringInfo out, const CdpTextNode *node, int indent)
{
	ListCell   *cell;
	int			n = 0;

	appendStringInfoString(out, "they did one after the other, the first");
	say_window(out, &node->window);
	if (node->total != NULL)
	{
		appendStringInfoString(out, ", the last at most ");
		say_span(out, node->total, false);
		appendStringInfoString(out, " after it");
	}
	appendStringInfoChar(out, ':');
	foreach(cell, node->parts)
	{
		appendStringInfo(out, "\n%*s%d. ", indent, "", ++n);
		say_step(out, lfirst(cell), n == 1);
	}
	foreach(cell, node->breaks)
	{
		const CdpTextNode *event = lfirst(cell);

		appendStringInfo(out, "\n%*swith no ", indent, "");
		cdp_describe_names(out, event->kinds, " or ");
		appendStringInfoString(out, " in between");
		say_where(out, event);
	}
	if (node->ties != NULL && strcmp(node->ties, "order") == 0)
		appendStringInfo(out, "\n%*scounting events of the same moment as they were recorded", indent, "");
}

/* Appends a rank. */
static void
say_rank(StringInfo out, const CdpTextNode *node, bool negated)
{
	appendStringInfo(out, "they are %samong the %s ", negated ? "not " : "", node->bottom ? "bottom" : "top");
	if (node->amount->type == jbvString)
		appendBinaryStringInfo(out, node->amount->val.string.val, node->amount->val.string.len);
	else
		cdp_describe_value(out, node->amount);
	appendStringInfo(out, " by %s", node->of_trait ? "the trait " : "");
	cdp_describe_name(out, node->name);
}

/* Tells whether a clause has a negative of its own. */
static bool
negates(const CdpTextNode *node)
{
	switch (node->kind)
	{
		case TEXT_ATTR:
		case TEXT_TRAIT:
			return cdp_text_opposite(node->test) != TEXT_OPS;
		case TEXT_EVENT:
			return node->agg == TEXT_DID || (CDP_TEXT_HAS_OPERAND(node->agg) && cdp_text_opposite(node->test) != TEXT_OPS);
		case TEXT_SEGMENT:
		case TEXT_LIST:
		case TEXT_RANK:
		case TEXT_CONSENT:
		case TEXT_HOLDOUT:
			return true;
		default:
			return false;
	}
}

/* Appends an atom as a clause. */
static void
clause(StringInfo out, const CdpTextNode *node, bool negated, int indent)
{
	const char *not = negated ? " not" : "";

	switch (node->kind)
	{
		case TEXT_TRAIT:
			appendStringInfoString(out, "the trait ");
			/* FALLTHROUGH */
		case TEXT_ATTR:
			cdp_describe_name(out, node->name);
			say_test(out, node->test, negated);
			break;
		case TEXT_EVENT:
			say_event(out, node, negated);
			break;
		case TEXT_SEQ:
			say_sequence(out, node, indent);
			break;
		case TEXT_SEGMENT:
			appendStringInfo(out, "they are%s in the segment ", not);
			cdp_describe_name(out, node->name);
			break;
		case TEXT_LIST:
			appendStringInfo(out, "they are%s on the list ", not);
			cdp_describe_name(out, node->name);
			break;
		case TEXT_RANK:
			say_rank(out, node, negated);
			break;
		case TEXT_CONSENT:
			appendStringInfoString(out, negated ? "they do not consent to " : "they consent to ");
			cdp_describe_name(out, node->name);
			if (node->second != NULL)
			{
				appendStringInfoString(out, " by ");
				cdp_describe_name(out, node->second);
			}
			break;
		case TEXT_HOLDOUT:
			appendStringInfo(out, "they are%s in the group ", not);
			cdp_describe_name(out, node->second != NULL ? node->second : "control");
			appendStringInfoString(out, " of the holdout ");
			cdp_describe_name(out, node->name);
			break;
		default:
			say_behaviour(out, node);
	}
}

const CdpTongue cdp_tongue_en = {
	.everybody = "All customers.",
	.nobody = "No customers.",
	.one = "Customers for whom this holds: ",
	.after_one = ".",
	.whole = {"Customers for whom all of these hold:", "Customers for whom at least one of these holds:",
	"Customers for whom not all of these hold:", "Customers for whom none of these holds:"},
	.part = {"all of these hold:", "at least one of these holds:", "not all of these hold:", "none of these holds:"},
	.always = "nothing is asked (always true)",
	.never = "nothing can hold (never true)",
	.not_so = "it is not so that ",
	.zone = "Days and months are those of ",
	.after_zone = ".",
	.unknown = "A comparison with a missing value is unknown, and so is its opposite; customers of whom the whole is unknown are left out.",
	.clause = clause,
	.negates = negates,
};

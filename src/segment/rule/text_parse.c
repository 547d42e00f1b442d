/*
 * text_parse.c
 *		Reads the text of a segment rule into the tree of text.h: recursive
 *		descent with two tokens of sight. docs/segments.md has the grammar.
 */
#include "segment/rule/text_lex.h"

#include "utils/fmgrprotos.h"
#include "utils/formatting.h"

/* Nodes and brackets in each other; each node of the tree takes one at most twice. */
#define PARSE_DEPTH (2 * CDP_TEXT_DEPTH)

/* Words that begin something, so that a name which is one of them stands in double quotes. */
static const char *const reserved[] = {
	"and", "or", "not", "all", "any", "no", "where", "everybody", "nobody", "true", "false", "null",
	"segment", "list", "trait", "top", "bottom", "consent", "holdout",
	"did", "count", "days", "sum", "avg", "min", "max", "distinct", "first", "last",
	"first_time", "regularly", "stopped", "resumed", "seq",
};

static const char *const functions[] = {
	"did", "count", "days", "sum", "avg", "min", "max", "distinct", "first", "last",
	"first_time", "regularly", "stopped", "resumed", "seq", "all", "any",
};

static const char *const units[] = {
	"seconds", "minutes", "hours", "days", "weeks", "months", "quarters", "years",
	"second", "minute", "hour", "day", "week", "month", "quarter", "year",
};

static CdpTextNode *parse_expression(CdpLexer *p, bool condition);

/* Tells whether a name must stand in double quotes although its letters are plain. */
bool
cdp_text_is_reserved(const char *word)
{
	for (int i = 0; i < lengthof(reserved); i++)
		if (pg_strcasecmp(word, reserved[i]) == 0)
			return true;
	return false;
}

/* Tells whether a lower-case word is a unit of durations. */
bool
cdp_text_is_unit(const char *word)
{
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(word, units[i]) == 0)
			return true;
	return false;
}

/* Tells whether the token looked at is this word. */
static bool
at_word(CdpLexer *p, const char *word)
{
	return cdp_lex_is(&p->now, word);
}

/* Tells whether the token looked at is this sign. */
static bool
at_sign(CdpLexer *p, const char *sign)
{
	return p->now.kind == TOKEN_SIGN && strcmp(p->now.text, sign) == 0;
}

/* Goes past a word if it is there. */
static bool
accept_word(CdpLexer *p, const char *word)
{
	if (!at_word(p, word))
		return false;
	cdp_lex_step(p);
	return true;
}

/* Goes past a sign if it is there. */
static bool
accept_sign(CdpLexer *p, const char *sign)
{
	if (!at_sign(p, sign))
		return false;
	cdp_lex_step(p);
	return true;
}

/* Goes past a word that must be there. */
static void
need_word(CdpLexer *p, const char *word)
{
	if (!accept_word(p, word))
		cdp_lex_expected(p, psprintf("\"%s\"", word), &word, 1);
}

/* Goes past a sign that must be there; the words could stand here, too. */
static void
need_sign(CdpLexer *p, const char *sign, const char *expected, const char *const *words, int nwords)
{
	if (!accept_sign(p, sign))
		cdp_lex_expected(p, expected, words, nwords);
}

/* Counts how deep we are; leave() follows. */
static void
enter(CdpLexer *p)
{
	check_stack_depth();
	if (++p->depth > PARSE_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("the rule text is nested too deeply"),
				 errdetail("More than %d brackets and nots stand in each other.", PARSE_DEPTH)));
}

/* Refuses a word by which other languages say something here, and tells how it is written. */
CDP_NORETURN static void
refuse_habit(CdpLexer *p, const char *expected, const char *hint)
{
	cdp_lex_refuse(p, p->now.at, psprintf("%s is expected, but there is \"%s\"", expected, p->now.text), hint);
}

/* Reads a name. */
static char *
parse_name(CdpLexer *p, const char *expected)
{
	char	   *name = p->now.text;

	if (p->now.kind == TOKEN_WORD && cdp_text_is_reserved(name))
		cdp_lex_refuse(p, p->now.at, psprintf("%s is expected, but \"%s\" is a word of the language", expected, name),
					   psprintf("If it is a name, write it in double quotes: \"%s\".", name));
	if (p->now.kind != TOKEN_WORD && p->now.kind != TOKEN_NAME)
		cdp_lex_expected(p, expected, NULL, 0);
	cdp_lex_step(p);
	return name;
}

/* Reads a number. */
static JsonbValue *
parse_number(CdpLexer *p, const char *expected)
{
	JsonbValue *v = palloc(sizeof(JsonbValue));

	if (p->now.kind != TOKEN_NUMBER)
		cdp_lex_expected(p, expected, NULL, 0);
	v->type = jbvNumeric;
	v->val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(p->now.text),
														 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	cdp_lex_step(p);
	return v;
}

/* Reads a constant. */
static JsonbValue *
parse_value(CdpLexer *p)
{
	JsonbValue *v;

	if (p->now.kind == TOKEN_STRING)
	{
		v = cdp_text_string(p->now.text);
		cdp_lex_step(p);
		return v;
	}
	if (p->now.kind == TOKEN_NUMBER)
		return parse_number(p, "a value");
	v = palloc(sizeof(JsonbValue));
	if (at_word(p, "true") || at_word(p, "false"))
	{
		v->type = jbvBool;
		v->val.boolean = at_word(p, "true");
	}
	else if (at_word(p, "null"))
		v->type = jbvNull;
	else if (p->now.kind == TOKEN_NAME)
		cdp_lex_refuse(p, p->now.at, "a value is expected, but there is a name",
					   "Text stands in single quotes; double quotes are for names.");
	else if (p->now.kind == TOKEN_WORD && strlen(p->now.text) <= 60)
		cdp_lex_refuse(p, p->now.at, psprintf("a number, a text in single quotes, true or false is expected, but there is \"%s\"",
											  p->now.text),
					   psprintf("Text stands in single quotes: '%s'.", p->now.text));
	else if (at_sign(p, "="))
		cdp_lex_refuse(p, p->now.at, "a number, a text in single quotes, true or false is expected, but there is \"=\"",
					   "Equality is written with one =.");
	else
		cdp_lex_expected(p, "a number, a text in single quotes, true or false", NULL, 0);
	cdp_lex_step(p);
	return v;
}

/* Reads a duration in words, as it stands, or a string. */
static char *
parse_duration(CdpLexer *p)
{
	StringInfoData out;

	if (p->now.kind == TOKEN_STRING)
	{
		char	   *text = p->now.text;

		cdp_lex_step(p);
		return text;
	}
	initStringInfo(&out);
	do
	{
		char	   *unit;

		if (p->now.kind == TOKEN_WORD && cdp_text_is_unit(asc_tolower(p->now.text, strlen(p->now.text))))
			refuse_habit(p, "a duration such as 30 days",
						 psprintf("\"last 1 %s\" reaches back from now, \"previous %s\" is the one of the calendar.", p->now.text, p->now.text));
		if (p->now.kind != TOKEN_NUMBER)
			cdp_lex_expected(p, "a duration such as 30 days", NULL, 0);
		appendStringInfo(&out, "%s%s ", out.len > 0 ? " " : "", p->now.text);
		cdp_lex_step(p);
		unit = p->now.kind == TOKEN_WORD ? asc_tolower(p->now.text, strlen(p->now.text)) : "";
		if (!cdp_text_is_unit(unit))
			cdp_lex_expected(p, "a unit such as hours, days, weeks or months", units, lengthof(units));
		appendStringInfoString(&out, unit);
		cdp_lex_step(p);
	} while (p->now.kind == TOKEN_NUMBER);
	return out.data;
}

/* Reads a unit of the calendar, in the singular, or a string. */
static char *
parse_calendar_unit(CdpLexer *p)
{
	char	   *unit = p->now.text;

	if (p->now.kind == TOKEN_WORD)
	{
		unit = asc_tolower(unit, strlen(unit));
		if (!cdp_text_is_unit(unit))
			cdp_lex_expected(p, "day, week, month, quarter or year", units, lengthof(units));
		if (unit[strlen(unit) - 1] == 's')
			unit[strlen(unit) - 1] = '\0';
	}
	else if (p->now.kind != TOKEN_STRING)
		cdp_lex_expected(p, "day, week, month, quarter or year", NULL, 0);
	cdp_lex_step(p);
	return unit;
}

/* Reads a list of constants in brackets. */
static List *
parse_values(CdpLexer *p)
{
	List	   *values = NIL;

	need_sign(p, "(", "a list such as ('a', 'b')", NULL, 0);
	if (accept_sign(p, ")"))
		return NIL;
	do
		values = lappend(values, parse_value(p));
	while (accept_sign(p, ","));
	need_sign(p, ")", "a comma or )", NULL, 0);
	return values;
}

/* Reads what begins with "in": a list, or a stretch of time. */
static CdpTextOp
parse_in(CdpLexer *p)
{
	static const char *const words[] = {"last", "next"};

	if (accept_word(p, "last"))
		return TEXT_IN_LAST;
	if (accept_word(p, "next"))
		return TEXT_IN_NEXT;
	if (!at_sign(p, "("))
		cdp_lex_expected(p, "a list in brackets, \"last\" or \"next\"", words, lengthof(words));
	return TEXT_IN;
}

/* Reads the words of a comparison; "is missing" comes back as TEXT_OPS. */
static CdpTextOp
parse_operator(CdpLexer *p)
{
	static const char *const words[] = {
		"in", "not", "between", "is", "starts", "ends", "contains", "has", "before", "anniversary"
	};
	static const char *const after_not[] = {"in", "between", "contains"};
	static const char *const after_is[] = {"known", "missing"};

	for (int op = TEXT_EQ; op <= TEXT_GTE; op++)
		if (accept_sign(p, cdp_text_ops[op].words))
			return op;
	if (accept_sign(p, "<>"))
		return TEXT_NEQ;
	if (accept_word(p, "in"))
		return parse_in(p);
	if (accept_word(p, "between"))
		return TEXT_BETWEEN;
	if (accept_word(p, "contains"))
		return TEXT_CONTAINS;
	if (accept_word(p, "not"))
	{
		if (accept_word(p, "in"))
			return TEXT_NOT_IN;
		if (accept_word(p, "between"))
			return TEXT_NOT_BETWEEN;
		if (accept_word(p, "contains"))
			return TEXT_NOT_CONTAINS;
		cdp_lex_expected(p, "\"in\", \"between\" or \"contains\" after \"not\"", after_not, lengthof(after_not));
	}
	if (accept_word(p, "is"))
	{
		if (accept_word(p, "known"))
			return TEXT_EXISTS;
		if (accept_word(p, "missing"))
			return TEXT_OPS;
		if (at_word(p, "null") || at_word(p, "not"))
			refuse_habit(p, "\"known\" or \"missing\"", "Null is written \"is missing\", and not null \"is known\".");
		cdp_lex_expected(p, "\"known\" or \"missing\"", after_is, lengthof(after_is));
	}
	if (accept_word(p, "starts") || at_word(p, "ends"))
	{
		bool		ends = accept_word(p, "ends");

		need_word(p, "with");
		return ends ? TEXT_SUFFIX : TEXT_PREFIX;
	}
	if (accept_word(p, "has"))
		return accept_word(p, "any") ? TEXT_HAS_ANY : accept_word(p, "all") ? TEXT_HAS_ALL : TEXT_HAS;
	if (accept_word(p, "before"))
	{
		need_word(p, "last");
		return TEXT_BEFORE_LAST;
	}
	if (accept_word(p, "anniversary"))
	{
		need_word(p, "in");
		need_word(p, "next");
		return TEXT_ANNIVERSARY;
	}
	if (at_word(p, "like") || at_word(p, "ilike"))
		refuse_habit(p, "a comparison", "Patterns are written \"starts with\", \"ends with\" and \"contains\".");
	cdp_lex_expected(p, "a comparison such as =, >=, in, between, is known or contains", words, lengthof(words));
}

/* Reads a comparison with its values. Behind an aggregate over a property JSONB has no place for all. */
static CdpTextTest *
parse_test(CdpLexer *p, CdpTextAgg agg)
{
	CdpTextTest *test = palloc0(sizeof(CdpTextTest));
	JsonbValue *truth;
	int			at = p->now.at;

	test->op = parse_operator(p);
	if (test->op == TEXT_EXISTS || test->op == TEXT_OPS)
	{
		truth = palloc(sizeof(JsonbValue));
		truth->type = jbvBool;
		truth->val.boolean = test->op == TEXT_EXISTS;
		test->op = TEXT_EXISTS;
		test->values = list_make1(truth);
		return test;
	}
	switch (cdp_text_ops[test->op].operand)
	{
		case OPERAND_LIST:
			test->values = parse_values(p);
			break;
		case OPERAND_TWO:
			if (test->op == TEXT_BETWEEN && CDP_TEXT_HAS_OPERAND(agg))
				cdp_lex_refuse(p, at, "\"between\" cannot stand behind this aggregate",
							   "Write two atoms with \"and\": one with >=, one with <=.");
			test->values = list_make1(parse_value(p));
			need_word(p, "and");
			test->values = lappend(test->values, parse_value(p));
			break;
		case OPERAND_DURATION:
			if (agg != TEXT_DID)
				cdp_lex_refuse(p, at, "an aggregate of events has no time to compare",
							   "The window of the events stands inside the brackets.");
			test->values = list_make1(cdp_text_string(parse_duration(p)));
			break;
		default:
			test->values = list_make1(parse_value(p));
	}
	return test;
}

/* Reads kinds of events: a name, names with "or" between, or any(...). */
static void
parse_kinds(CdpLexer *p, CdpTextNode *node)
{
	static const char *const expected = "a kind of event";

	if (at_word(p, "any"))
	{
		cdp_lex_step(p);
		need_sign(p, "(", "(", NULL, 0);
		node->kinds_listed = true;
		if (accept_sign(p, ")"))
			return;
		do
			node->kinds = lappend(node->kinds, parse_name(p, expected));
		while (accept_sign(p, ","));
		need_sign(p, ")", "a comma or )", NULL, 0);
		return;
	}
	do
		node->kinds = lappend(node->kinds, parse_name(p, expected));
	while (accept_word(p, "or"));
	node->kinds_listed = list_length(node->kinds) > 1;
}

/* Reads the moment of "since" or "until". */
static char *
parse_moment(CdpLexer *p)
{
	char	   *moment = p->now.text;

	if (p->now.kind != TOKEN_STRING)
		cdp_lex_expected(p, "a date or time in single quotes", NULL, 0);
	cdp_lex_step(p);
	return moment;
}

/* Reads a window if one begins here. */
static bool
parse_window(CdpLexer *p, CdpTextWindow *w)
{
	int			at = p->now.at;
	CdpTextWindow old = *w;

	if (accept_word(p, "last"))
	{
		w->kind = WINDOW_LAST;
		w->a = parse_duration(p);
	}
	else if (accept_word(p, "between"))
	{
		w->kind = WINDOW_BETWEEN;
		w->a = parse_duration(p);
		need_word(p, "ago");
		need_word(p, "and");
		w->b = parse_duration(p);
		need_word(p, "ago");
	}
	else if (accept_word(p, "this"))
	{
		w->kind = WINDOW_THIS;
		w->a = parse_calendar_unit(p);
	}
	else if (accept_word(p, "previous"))
	{
		w->kind = WINDOW_PREVIOUS;
		w->a = parse_calendar_unit(p);
	}
	else if (at_word(p, "since") || at_word(p, "until"))
	{
		w->kind = WINDOW_ABSOLUTE;
		w->a = accept_word(p, "since") ? parse_moment(p) : NULL;
		w->b = accept_word(p, "until") ? parse_moment(p) : NULL;
	}
	else
		return false;
	if (old.kind != WINDOW_NONE)
		cdp_lex_refuse(p, at, "this is a second window", "An event has one window; write two atoms with \"and\".");
	return true;
}

/* Reads "where" with its condition if it stands here. */
static bool
parse_where(CdpLexer *p, CdpTextNode *node)
{
	int			at = p->now.at;

	if (!accept_word(p, "where"))
		return false;
	if (node->where != NULL)
		cdp_lex_refuse(p, at, "this is a second \"where\"", "Join the conditions with \"and\".");
	node->where = parse_expression(p, true);
	return true;
}

/* Reads "regularly"'s own clause: in at least 3 of 4 weeks. */
static bool
parse_periods(CdpLexer *p, CdpTextNode *node)
{
	if (node->kind != TEXT_REGULARLY || node->of != NULL || !accept_word(p, "in"))
		return false;
	if (accept_word(p, "at"))
		need_word(p, "least");
	node->at_least = parse_number(p, "how many periods");
	need_word(p, "of");
	node->of = parse_number(p, "of how many periods");
	node->unit = parse_calendar_unit(p);
	return true;
}

/* Reads what may follow the kinds of an event atom, up to the closing bracket. */
static void
parse_clauses(CdpLexer *p, CdpTextNode *node)
{
	static const char *const words[] = {
		"last", "between", "this", "previous", "since", "until", "where", "or"
	};
	bool		windows = node->kind != TEXT_REGULARLY;

	for (;;)
	{
		if (parse_where(p, node) || (windows && parse_window(p, &node->window)) || parse_periods(p, node))
			continue;
		if (node->kind == TEXT_RESUMED && node->after == NULL && accept_word(p, "after"))
			node->after = parse_duration(p);
		else
			break;
	}
	if (node->kind == TEXT_REGULARLY && node->of == NULL)
		cdp_lex_expected(p, "\"in at least 3 of 4 weeks\" or the like", NULL, 0);
	if (node->kind == TEXT_RESUMED && node->after == NULL)
		cdp_lex_expected(p, "\"after\" with the pause", NULL, 0);
	if (windows && at_word(p, "in"))
		refuse_habit(p, "a window, \"where\" or )", "A window begins without \"in\": last 30 days.");
	need_sign(p, ")", windows ? "a window, \"where\" or )" : "\"where\" or )", words, lengthof(words));
}

/* Tells whether a comparison with a number begins here. */
static bool
at_comparison(CdpLexer *p)
{
	bool		found = at_sign(p, "<>") || at_word(p, "between");

	for (int op = TEXT_EQ; op <= TEXT_GTE && !found; op++)
		found = at_sign(p, cdp_text_ops[op].words);
	return found;
}

/* Reads did, count, sum and their like; their word is gone, the bracket is not. */
static CdpTextNode *
parse_event(CdpLexer *p, CdpTextAgg agg)
{
	CdpTextNode *node = cdp_text_node(TEXT_EVENT);

	node->agg = agg;
	cdp_lex_step(p);
	if (CDP_TEXT_HAS_OPERAND(agg))
	{
		bool		quoted = p->now.kind == TOKEN_NAME;

		node->name = parse_name(p, "a property");
		if (!quoted && cdp_text_is_field(asc_tolower(node->name, strlen(node->name))))
		{
			node->of_field = true;
			node->name = asc_tolower(node->name, strlen(node->name));
		}
		need_word(p, "of");
	}
	parse_kinds(p, node);
	parse_clauses(p, node);
	if (agg == TEXT_DID && at_comparison(p))
		node->agg = agg = TEXT_COUNT;	/* did(..) >= 2 says count(..) >= 2 */
	if (agg != TEXT_DID)
		node->test = parse_test(p, agg);
	return node;
}

/* Reads a step of a sequence, or an event that breaks one. */
static CdpTextNode *
parse_step(CdpLexer *p, bool breaks)
{
	CdpTextNode *node = cdp_text_node(TEXT_STEP);

	node->absent = !breaks && accept_word(p, "no");
	parse_kinds(p, node);
	for (;;)
	{
		if (parse_where(p, node))
			continue;
		if (!breaks && node->within == NULL && accept_word(p, "within"))
			node->within = parse_duration(p);
		else if (!breaks && !node->has_same && accept_word(p, "same"))
		{
			node->has_same = true;
			if (accept_sign(p, "("))
			{
				need_sign(p, ")", ")", NULL, 0);
				continue;
			}
			do
				node->same = lappend(node->same, parse_name(p, "a property"));
			while (accept_sign(p, ","));
		}
		else
			return node;
	}
}

/* Reads "without": one event, or several in brackets. */
static void
parse_breaks(CdpLexer *p, CdpTextNode *node)
{
	node->has_breaks = true;
	if (!accept_sign(p, "("))
	{
		node->breaks = list_make1(parse_step(p, true));
		return;
	}
	node->breaks_listed = true;
	if (accept_sign(p, ")"))
		return;
	do
		node->breaks = lappend(node->breaks, parse_step(p, true));
	while (accept_sign(p, ","));
	need_sign(p, ")", "a comma or )", NULL, 0);
}

/* Reads a sequence after its opening bracket. */
static CdpTextNode *
parse_sequence(CdpLexer *p)
{
	static const char *const words[] = {
		"last", "between", "this", "previous", "since", "until", "total", "without", "ties"
	};
	static const char *const in_step[] = {"within", "same", "where", "or"};
	CdpTextNode *node = cdp_text_node(TEXT_SEQ);

	do
		node->parts = lappend(node->parts, parse_step(p, false));
	while (accept_sign(p, "->"));
	while (accept_sign(p, ";"))
	{
		if (parse_window(p, &node->window))
			continue;
		if (node->total == NULL && accept_word(p, "total"))
			node->total = parse_duration(p);
		else if (!node->has_breaks && accept_word(p, "without"))
			parse_breaks(p, node);
		else if (node->ties == NULL && accept_word(p, "ties"))
		{
			node->ties = p->now.kind == TOKEN_WORD ? asc_tolower(p->now.text, strlen(p->now.text)) : p->now.text;
			if (p->now.kind != TOKEN_WORD && p->now.kind != TOKEN_STRING)
				cdp_lex_expected(p, "\"strict\" or \"order\"", NULL, 0);
			cdp_lex_step(p);
		}
		else
			cdp_lex_expected(p, "a window, \"total\", \"without\" or \"ties\"", words, lengthof(words));
	}
	need_sign(p, ")", "->, a clause of the step, a semicolon or )", in_step, lengthof(in_step));
	return node;
}

/* Reads all(...) or any(...) after the opening bracket. */
static CdpTextNode *
parse_group(CdpLexer *p, CdpTextKind kind, bool condition)
{
	CdpTextNode *node = cdp_text_node(kind);

	if (accept_sign(p, ")"))
		return node;
	do
		node->parts = lappend(node->parts, parse_expression(p, condition));
	while (accept_sign(p, ","));
	need_sign(p, ")", "and, or, a comma or )", NULL, 0);
	return node;
}

/* Reads what is written like a function: a word with an opening bracket. */
static CdpTextNode *
parse_function(CdpLexer *p, bool condition)
{
	static const struct
	{
		const char *word;
		CdpTextKind kind;
	}			behaviours[] = {
		{"first_time", TEXT_FIRST_TIME}, {"regularly", TEXT_REGULARLY},
		{"stopped", TEXT_STOPPED}, {"resumed", TEXT_RESUMED},
	};
	CdpToken	word = p->now;

	if (cdp_lex_is(&word, "all") || cdp_lex_is(&word, "any"))
	{
		cdp_lex_step(p);
		cdp_lex_step(p);
		return parse_group(p, cdp_lex_is(&word, "all") ? TEXT_ALL : TEXT_ANY, condition);
	}
	if (condition)
		cdp_lex_refuse(p, word.at, "inside \"where\" stand properties and fields of the event only", NULL);
	for (int agg = 0; agg < TEXT_AGGS; agg++)
		if (cdp_lex_is(&word, cdp_text_aggs[agg].word))
		{
			cdp_lex_step(p);
			return parse_event(p, agg);
		}
	for (int i = 0; i < lengthof(behaviours); i++)
		if (cdp_lex_is(&word, behaviours[i].word))
		{
			CdpTextNode *node = cdp_text_node(behaviours[i].kind);

			cdp_lex_step(p);
			cdp_lex_step(p);
			parse_kinds(p, node);
			parse_clauses(p, node);
			return node;
		}
	if (!cdp_lex_is(&word, "seq"))
		cdp_lex_expected(p, "did, count, sum, seq or another function", functions, lengthof(functions));
	cdp_lex_step(p);
	cdp_lex_step(p);
	return parse_sequence(p);
}

/* Reads "top 10% by ltv" after its first word. */
static CdpTextNode *
parse_rank(CdpLexer *p, bool bottom)
{
	CdpTextNode *node = cdp_text_node(TEXT_RANK);

	node->bottom = bottom;
	if (p->now.kind == TOKEN_STRING)
	{
		node->amount = cdp_text_string(p->now.text);
		cdp_lex_step(p);
	}
	else if (p->now.kind == TOKEN_NUMBER && p->next.kind == TOKEN_SIGN && strcmp(p->next.text, "%") == 0)
	{
		node->amount = cdp_text_string(psprintf("%s%%", p->now.text));
		cdp_lex_step(p);
		cdp_lex_step(p);
	}
	else
		node->amount = parse_number(p, "a number or a share such as 10%");
	need_word(p, "by");
	node->of_trait = accept_word(p, "trait");
	node->name = parse_name(p, "an attribute, or \"trait\" with its name");
	return node;
}

/* Reads an atom that begins with a word of its own; NULL when none does. */
static CdpTextNode *
parse_worded(CdpLexer *p)
{
	static const struct
	{
		const char *word;
		CdpTextKind kind;
		const char *expected;
		const char *second;
	}			worded[] = {
		{"segment", TEXT_SEGMENT, "the name of a segment"},
		{"list", TEXT_LIST, "the name of a list"},
		{"trait", TEXT_TRAIT, "the name of a trait"},
		{"consent", TEXT_CONSENT, "a purpose", "by"},
		{"holdout", TEXT_HOLDOUT, "the name of a holdout", "arm"},
	};

	if (accept_word(p, "everybody"))
		return cdp_text_node(TEXT_ALL);
	if (accept_word(p, "nobody"))
		return cdp_text_node(TEXT_ANY);
	if (accept_word(p, "top"))
		return parse_rank(p, false);
	if (accept_word(p, "bottom"))
		return parse_rank(p, true);
	for (int i = 0; i < lengthof(worded); i++)
	{
		CdpTextNode *node;

		if (!accept_word(p, worded[i].word))
			continue;
		if (p->now.kind == TOKEN_SIGN)
			cdp_lex_refuse(p, p->now.at, psprintf("%s is expected, but there is \"%s\"", worded[i].expected, p->now.text),
						   psprintf("If \"%s\" is the name of an attribute, write it in double quotes.", worded[i].word));
		node = cdp_text_node(worded[i].kind);
		node->name = parse_name(p, worded[i].expected);
		if (worded[i].second != NULL && accept_word(p, worded[i].second))
			node->second = parse_name(p, "a name");
		if (node->kind == TEXT_TRAIT)
			node->test = parse_test(p, TEXT_DID);
		return node;
	}
	return NULL;
}

/* Reads one atom, or an expression in brackets. */
static CdpTextNode *
parse_primary(CdpLexer *p, bool condition)
{
	CdpTextNode *node;
	bool		word = p->now.kind == TOKEN_WORD;

	if (accept_sign(p, "("))
	{
		node = parse_expression(p, condition);
		need_sign(p, ")", "and, or, or )", NULL, 0);
		return node;
	}
	if (word && p->next.kind == TOKEN_SIGN && strcmp(p->next.text, "(") == 0)
		return parse_function(p, condition);
	if (!condition && (node = parse_worded(p)) != NULL)
		return node;
	node = cdp_text_node(condition ? TEXT_PROP : TEXT_ATTR);
	node->name = parse_name(p, condition ? "a property, a field or a bracket" :
							"an attribute, a function such as did(...), \"segment\" or a bracket");
	if (condition && word && cdp_text_is_field(asc_tolower(node->name, strlen(node->name))))
	{
		node->kind = TEXT_FIELD;
		node->name = asc_tolower(node->name, strlen(node->name));
	}
	node->test = parse_test(p, TEXT_DID);
	return node;
}

/* Reads a primary with the nots before it. */
static CdpTextNode *
parse_not(CdpLexer *p, bool condition)
{
	CdpTextNode *node;

	enter(p);
	if (accept_word(p, "not"))
	{
		node = cdp_text_node(TEXT_NOT);
		node->parts = list_make1(parse_not(p, condition));
	}
	else
		node = parse_primary(p, condition);
	p->depth--;
	return node;
}

/* Reads operands with "and" between them. */
static CdpTextNode *
parse_and(CdpLexer *p, bool condition)
{
	CdpTextNode *first = parse_not(p, condition);
	CdpTextNode *node;

	if (!at_word(p, "and"))
		return first;
	node = cdp_text_node(TEXT_ALL);
	node->parts = list_make1(first);
	while (accept_word(p, "and"))
		node->parts = lappend(node->parts, parse_not(p, condition));
	return node;
}

/* Reads operands with "or" between them. */
static CdpTextNode *
parse_expression(CdpLexer *p, bool condition)
{
	CdpTextNode *first = parse_and(p, condition);
	CdpTextNode *node;

	if (!at_word(p, "or"))
		return first;
	node = cdp_text_node(TEXT_ANY);
	node->parts = list_make1(first);
	while (accept_word(p, "or"))
		node->parts = lappend(node->parts, parse_and(p, condition));
	return node;
}

/* Reads one option of the whole rule after its semicolon. */
static void
parse_option(CdpLexer *p, CdpTextRule *rule)
{
	static const char *const words[] = {"time", "nulls"};

	if (rule->tz == NULL && accept_word(p, "time"))
	{
		need_word(p, "zone");
		if (p->now.kind != TOKEN_STRING)
			cdp_lex_expected(p, "a time zone in single quotes", NULL, 0);
		rule->tz = p->now.text;
	}
	else if (rule->nulls == NULL && accept_word(p, "nulls"))
	{
		if (p->now.kind != TOKEN_STRING && p->now.kind != TOKEN_WORD)
			cdp_lex_expected(p, "\"set\" or \"sql\"", NULL, 0);
		rule->nulls = p->now.kind == TOKEN_STRING ? p->now.text : asc_tolower(p->now.text, strlen(p->now.text));
	}
	else
		cdp_lex_expected(p, "\"time zone\" or \"nulls\", each once,", words, lengthof(words));
	cdp_lex_step(p);
}

/* Reads a whole rule; caller's context. */
CdpTextRule *
cdp_text_parse(const char *text)
{
	static const char *const words[] = {"and", "or"};
	CdpTextRule *rule = palloc0(sizeof(CdpTextRule));
	CdpLexer	lexer;

	cdp_lex_start(&lexer, text);
	rule->where = parse_expression(&lexer, false);
	while (accept_sign(&lexer, ";"))
		parse_option(&lexer, rule);
	if (lexer.now.kind != TOKEN_END)
		cdp_lex_expected(&lexer, "\"and\", \"or\", a semicolon or the end", words, lengthof(words));
	return rule;
}

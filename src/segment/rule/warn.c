/*
 * warn.c
 *		Warnings about a rule that has no errors: contradictions, conditions that
 *		always hold, negations that let missing values through, events over all
 *		the past or never seen.
 *
 * Nodes and conditions of events become terms; each leaf is the set of values
 * that one operand may have, so that leaves on the same operand can be combined.
 */
#include "segment/rule/canonical.h"
#include "segment/rule/domain.h"

#define MAX_POINTS 100			/* longer lists are not looked into */

typedef enum TermKind
{
	TERM_ALL, TERM_ANY, TERM_NOT, TERM_LEAF
} TermKind;

typedef struct Term
{
	TermKind	kind;
	const char *path;
	int			n;
	struct Term **child;
	/* of a leaf */
	const char *key;			/* leaves with the same key speak of the same value */
	const char *what;			/* the value in words; NULL: whether it holds */
	Domain		domain;
	DomainKind	values;
	bool		can_miss;
	bool		kleene;			/* unknown, under the logic of SQL, for a missing value */
	bool		asks;			/* exists: true */
	bool		negated;		/* neq and its kin */
	const char *without;		/* who passes a negation without a value, in words, or NULL */
	const char *hint;			/* how to leave them out */
	const RuleNode *counts;		/* the atom when it counts events, days or distinct values */
} Term;

/* Values of one operand that a list of terms lets through. */
typedef struct Group
{
	const Term *leaf;
	Domain		domain;
} Group;

/* Makes a term without children. */
static Term *
new_term(TermKind kind, const char *path, int n)
{
	Term	   *t = palloc0(sizeof(Term));

	t->kind = kind;
	t->path = path;
	t->n = n;
	t->child = palloc(sizeof(Term *) * Max(n, 1));
	return t;
}

/* A leaf of which only is known whether it holds. */
static Term *
opaque_leaf(const RuleReader *r, const char *path, const char *text)
{
	Term	   *t = new_term(TERM_LEAF, path, 0);

	t->key = text;
	t->values = DOMAIN_SWITCH;
	t->domain = cdp_domain_point(1);
	return t;
}

/* Constants of counts and switches as whole numbers. */
static RuleTest
whole_test(const RuleTest *test)
{
	RuleTest	out = *test;

	out.value = palloc(sizeof(RuleConst) * test->n);
	for (int i = 0; i < test->n; i++)
	{
		out.value[i] = test->value[i];
		out.value[i].type = RULE_NUMBER;
		out.value[i].timed = true;
		if (test->value[i].type == RULE_BOOLEAN)
			out.value[i].time = strcmp(test->value[i].text, "true") == 0;
	}
	return out;
}

/* Can the comparison be seen as a set of values? */
static bool
is_set(const RuleTest *test)
{
	return (RULE_BIT(test->op) & (RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_BIT(RULE_EXISTS))) != 0;
}

/*
 * A leaf that compares an operand which may be missing.  Where the type of the operand is not declared, constants of
 * two types do not speak of the same value.
 */
static Term *
value_leaf(const RuleReader *r, const char *path, const char *operand, bool declared, bool kleene, const char *what,
		   const RuleTest *test, DomainKind values, const char *text)
{
	Term	   *t = opaque_leaf(r, path, text);
	bool		boolean = test->n > 0 && test->value[0].type == RULE_BOOLEAN && test->op != RULE_EXISTS;
	RuleTest	shown = boolean ? whole_test(test) : *test;

	t->what = what;
	t->negated = test->op == RULE_NEQ || test->op == RULE_NOT_IN || test->op == RULE_NOT_BETWEEN || test->op == RULE_NOT_CONTAINS;
	t->kleene = kleene && r->rule->sql_nulls && test->op != RULE_EXISTS;
	t->can_miss = t->kleene;
	if (!is_set(test) || test->n > MAX_POINTS)
		return t;
	t->asks = test->op == RULE_EXISTS && strcmp(test->value[0].text, "true") == 0;
	t->can_miss = true;
	t->values = boolean ? DOMAIN_SWITCH : values;
	t->domain = cdp_domain_test(&shown, t->values);
	if (t->kleene)
		t->domain.missing = false;
	t->key = declared ? operand : psprintf("%s %d", operand, test->op == RULE_EXISTS ? -1 : (int) test->value[0].type);
	return t;
}

/* Says who passes a negation of a leaf without a value, and what to add against it. */
static void
set_missing(Term *t, const RuleTest *test, const char *without, const char *hint)
{
	if (test->op == RULE_EXISTS || t->kleene)
		return;
	t->without = without;
	t->hint = hint;
}

/* Warns of kinds that no event had yet, or so few that they count for nothing. */
static void
check_seen(RuleReader *r, const RuleEvents *events)
{
	for (int i = 0; i < events->n; i++)
		if (!events->seen[i])
			cdp_rule_warn(r, events->path, "W_RARE_EVENT", "Is it the name that the source sends?",
						  "no event of the kind %s has been seen, or hardly one", cdp_rule_quote(events->name[i]));
}

static bool judge(RuleReader *r, Term *t);
static void check_negation(RuleReader *r, const Term *t, bool positive, const Term *all);

/* The term of a condition on events. */
static Term *
cond_term(const RuleReader *r, const RuleCond *cond)
{
	Term	   *t;
	const char *what;
	const char *name = cond->kind == RULE_COND_PROP ? cond->prop : cdp_rule_field_name(cond->field);

	if (cond->kind < RULE_COND_PROP)
	{
		t = new_term(cond->kind == RULE_COND_ALL ? TERM_ALL : cond->kind == RULE_COND_ANY ? TERM_ANY : TERM_NOT, cond->path, cond->n);
		for (int i = 0; i < cond->n; i++)
			t->child[i] = cond_term(r, cond->child[i]);
		return t;
	}
	what = psprintf("%s %s", cond->kind == RULE_COND_PROP ? "property" : "field", cdp_rule_quote(name));
	t = value_leaf(r, cond->path, what, false, true, what, &cond->test, DOMAIN_VALUES, cdp_rule_cond_text(cond));
	set_missing(t, &cond->test, psprintf("events without %s", what),
				psprintf("To leave them out, add {\"%s\": %s, \"exists\": true} in one \"all\".", cond->kind == RULE_COND_PROP ? "prop" : "field", cdp_rule_quote(name)));
	return t;
}

/* Looks at kinds and condition of events. */
static void
check_events(RuleReader *r, const RuleEvents *events)
{
	Term	   *t;

	check_seen(r, events);
	if (events->where == NULL)
		return;
	t = cond_term(r, events->where);
	judge(r, t);
	check_negation(r, t, true, NULL);
}

/* The leaf of an aggregate of events; atoms over the same events share its key. */
static Term *
event_leaf(const RuleReader *r, const RuleNode *node)
{
	RuleNode	bare = *node;
	RuleTest	once = {.op = RULE_GTE,.n = 1};
	RuleConst	one = {.type = RULE_NUMBER,.timed = true,.time = 1};
	RuleTest	test = node->test;
	RuleAgg		agg = node->agg == RULE_ONCE ? RULE_COUNT : node->agg;
	bool		counts = agg == RULE_COUNT || agg == RULE_DAYS || agg == RULE_DISTINCT;
	Term	   *t;
	const char *operand;

	once.value = &one;
	bare.agg = RULE_ONCE;
	operand = psprintf("%s %s %s", cdp_rule_node_text(&bare), cdp_rule_agg_name(agg), node->prop == NULL ? "" : node->prop);
	if (counts)
		test = node->agg == RULE_ONCE ? once : whole_test(&node->test);
	t = value_leaf(r, node->path, operand, counts || agg <= RULE_MAX, true, psprintf("the %s of these events", cdp_rule_agg_name(agg)),
				   &test, counts ? DOMAIN_COUNT : DOMAIN_VALUES, cdp_rule_node_text(node));
	t->counts = counts ? node : NULL;
	if (counts || agg == RULE_SUM)
		t->can_miss = t->domain.missing = t->kleene = false;
	else
		set_missing(t, &test, psprintf("customers without %s", t->what),
					"To leave them out, add a condition that one of these events with a value was done.");
	return t;
}

/* Warns of an atom that reads all the past. */
static void
check_window(RuleReader *r, const RuleNode *node)
{
	const RuleWindow *w = &node->window;

	if (w->kind == RULE_WINDOW_NONE || (w->kind == RULE_WINDOW_ABSOLUTE && w->since == NULL))
		cdp_rule_warn(r, node->path, "W_UNBOUNDED", "Add \"last\": \"365 days\" or \"since\" unless all the past is meant.",
					  "the events have no first day: all the past is read at each full evaluation");
}

/* Looks at the events of an atom, and makes its leaf. */
static Term *
event_term(RuleReader *r, const RuleNode *node)
{
	if (node->kind == RULE_SEQ)
	{
		for (int i = 0; i < node->nsteps; i++)
			check_events(r, &node->step[i].events);
		for (int i = 0; i < node->nbreaks; i++)
			check_events(r, &node->breaks[i]);
	}
	else
		check_events(r, &node->events);
	if (node->kind == RULE_DID || node->kind == RULE_SEQ)
		check_window(r, node);
	if (node->kind == RULE_DID)
		return event_leaf(r, node);
	return opaque_leaf(r, node->path, cdp_rule_node_text(node));
}

/* The leaf of an attribute or a trait. */
static Term *
named_leaf(const RuleReader *r, const RuleNode *node)
{
	const char *what = psprintf("%s %s", node->kind == RULE_ATTR ? "attribute" : "trait", cdp_rule_quote(node->name));
	const char *key = psprintf("%s %s", node->kind == RULE_ATTR ? "attribute" : "trait", node->name);
	bool		whole = node->kind == RULE_ATTR && (node->attribute.type == RULE_TYPE_INTEGER || node->attribute.type == RULE_TYPE_DATE);
	Term	   *t = value_leaf(r, node->path, key, true, node->kind == RULE_ATTR, what, &node->test, whole ? DOMAIN_WHOLE : DOMAIN_VALUES, cdp_rule_node_text(node));

	set_missing(t, &node->test, psprintf("customers without %s", what),
				psprintf("To leave them out, add {\"%s\": %s, \"exists\": true} in one \"all\".", node->kind == RULE_ATTR ? "attr" : "trait", cdp_rule_quote(node->name)));
	return t;
}

/* The term of a node; looks at its events on the way. */
static Term *
node_term(RuleReader *r, const RuleNode *node)
{
	Term	   *t;

	switch (node->kind)
	{
		case RULE_ALL:
		case RULE_ANY:
		case RULE_NOT:
			t = new_term(node->kind == RULE_ALL ? TERM_ALL : node->kind == RULE_ANY ? TERM_ANY : TERM_NOT, node->path, node->n);
			for (int i = 0; i < node->n; i++)
				t->child[i] = node_term(r, node->child[i]);
			return t;
		case RULE_ATTR:
		case RULE_TRAIT:
			return named_leaf(r, node);
		case RULE_SEGMENT:
		case RULE_LIST:
		case RULE_RANK:
		case RULE_CONSENT:
		case RULE_HOLDOUT:
			t = opaque_leaf(r, node->path, cdp_rule_node_text(node));
			if (node->kind == RULE_RANK)
			{
				t->what = psprintf("%s %s", node->of_trait ? "trait" : "attribute", cdp_rule_quote(node->name));
				t->kleene = t->can_miss = !node->of_trait && r->rule->sql_nulls;
				t->without = t->kleene ? NULL : psprintf("customers without %s", t->what);
				t->hint = "To leave them out, ask beside it whether there is a value.";
			}
			return t;
		default:
			return event_term(r, node);
	}
}

/* The values of one operand that a term lets through, when it speaks of one only; its leaf, or NULL. */
static const Term *
single(const RuleReader *r, const Term *t, bool positive, Domain *out)
{
	const Term *leaf = NULL;
	bool		both = (t->kind == TERM_ALL) == positive;

	if (t->kind == TERM_NOT)
		return single(r, t->child[0], !positive, out);
	if (t->kind == TERM_LEAF)
	{
		*out = cdp_domain_copy(&t->domain);
		if (!positive)
			*out = cdp_domain_complement(*out, t->kleene ? false : !out->missing);
		return t;
	}
	for (int i = 0; i < t->n; i++)
	{
		Domain		d;
		const Term *other = single(r, t->child[i], positive, &d);

		if (other == NULL || (leaf != NULL && strcmp(other->key, leaf->key) != 0))
			return NULL;
		if (leaf == NULL)
			*out = d;
		else
			cdp_domain_add(out, &d, both);
		leaf = other;
	}
	return leaf;
}

/* Combines what a list of terms says of each operand: lists of the same kind inside it are part of it. */
static int
collect(const RuleReader *r, const Term *t, bool positive, bool both, Group *group, int n)
{
	Domain		d;
	const Term *leaf;

	CHECK_FOR_INTERRUPTS();
	if (t->kind == TERM_NOT)
		return collect(r, t->child[0], !positive, both, group, n);
	if (t->kind != TERM_LEAF && ((t->kind == TERM_ALL) == positive) == both)
	{
		for (int i = 0; i < t->n; i++)
			n = collect(r, t->child[i], positive, both, group, n);
		return n;
	}
	leaf = single(r, t, positive, &d);
	if (leaf == NULL)
		return n;
	for (int i = 0; i < n; i++)
		if (strcmp(group[i].leaf->key, leaf->key) == 0)
		{
			cdp_domain_add(&group[i].domain, &d, both);
			return n;
		}
	group[n] = (Group) {leaf, d};
	return n + 1;
}

/* Warns of a term that never holds, or always, by what it says of one value. */
static void
say_constant(RuleReader *r, const Term *t, const Term *leaf, bool always)
{
	if (leaf->what == NULL)
		cdp_rule_warn(r, t->path, always ? "W_ALWAYS" : "W_EMPTY", "Take one of them out.",
					  always ? "a condition or its opposite always holds" : "a condition and its opposite never hold together");
	else if (always)
		cdp_rule_warn(r, t->path, "W_ALWAYS", "Take it out, or correct a limit.", "this holds whatever %s is", leaf->what);
	else if (t == leaf)
		cdp_rule_warn(r, t->path, "W_EMPTY", "Correct a limit.", "this never holds, whatever %s is", leaf->what);
	else
		cdp_rule_warn(r, t->path, "W_EMPTY", "Correct a limit, or join the conditions by \"any\".", "these conditions on %s contradict each other", leaf->what);
}

/* Does a group count events that are among those that the other counts? */
static bool
counts_within(const Term *few, const Term *many)
{
	const RuleNode *a = few->counts;
	const RuleNode *b = many->counts;

	if (a == NULL || b == NULL || (a->agg == RULE_ONCE ? RULE_COUNT : a->agg) != (b->agg == RULE_ONCE ? RULE_COUNT : b->agg))
		return false;
	if (a->agg == RULE_DISTINCT && ((a->prop == NULL) != (b->prop == NULL) || (a->prop != NULL && strcmp(a->prop, b->prop) != 0)))
		return false;
	return cdp_rule_window_within(&a->window, &b->window) && cdp_rule_events_within(&a->events, &b->events);
}

/*
 * Warns of a list in which more is asked of some events than of others that hold them, or one of the two always holds;
 * true when a warning was given.
 */
static bool
judge_nested(RuleReader *r, const Term *t, const Group *group, int n)
{
	bool		all = t->kind == TERM_ALL;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
		{
			Domain		few = group[i].domain;
			Domain		many = group[j].domain;

			CHECK_FOR_INTERRUPTS();
			if (i == j || !counts_within(group[i].leaf, group[j].leaf))
				continue;
			/* Who meets neither is whom "any" leaves out. */
			if (!all)
			{
				few = cdp_domain_complement(few, false);
				many = cdp_domain_complement(many, false);
			}
			if (cdp_domain_least(&few) <= cdp_domain_most(&many))
				continue;
			cdp_rule_warn(r, t->path, all ? "W_EMPTY" : "W_ALWAYS",
						  psprintf("Each event of %s is one of %s, too.", group[i].leaf->path, group[j].leaf->path),
						  all ? "these never hold together: the events of one are among those of the other"
						  : "one of these always holds: the events of one are among those of the other");
			return true;
		}
	return false;
}

/* Warns of lists whose parts contradict each other or leave nothing out; true when a warning was given here or below. */
static bool
judge(RuleReader *r, Term *t)
{
	Group	   *group;
	int			n;
	bool		said = false;

	for (int i = 0; i < t->n; i++)
		said |= judge(r, t->child[i]);
	if (said || t->kind == TERM_NOT)
		return said;
	if (t->kind == TERM_LEAF)
	{
		bool		empty = cdp_domain_empty(&t->domain, t->values, t->can_miss);

		if (!empty && !cdp_domain_full(&t->domain, t->values, t->can_miss))
			return false;
		say_constant(r, t, t, !empty);
		return true;
	}
	if (t->n == 0)
	{
		cdp_rule_warn(r, t->path, t->kind == TERM_ALL ? "W_ALWAYS" : "W_EMPTY", "Add a condition.",
					  t->kind == TERM_ALL ? "all of no conditions always holds" : "any of no conditions never holds");
		return true;
	}
	group = palloc(sizeof(Group) * RULE_MAX_NODES);
	n = collect(r, t, true, t->kind == TERM_ALL, group, 0);
	for (int i = 0; i < n && !said; i++)
	{
		const Term *leaf = group[i].leaf;

		said = t->kind == TERM_ALL ? cdp_domain_empty(&group[i].domain, leaf->values, leaf->can_miss)
			: cdp_domain_full(&group[i].domain, leaf->values, leaf->can_miss);
		if (said)
			say_constant(r, t, leaf, t->kind == TERM_ANY);
	}
	said = said || judge_nested(r, t, group, n);
	pfree(group);
	return said;
}

/* Does a list of all hold a leaf that asks for a value of the same thing? */
static bool
asks_for_value(const Term *all, const Term *leaf)
{
	for (int i = 0; all != NULL && i < all->n; i++)
	{
		const Term *t = all->child[i];

		if (t->kind == TERM_LEAF && t != leaf && t->asks && strcmp(t->what, leaf->what) == 0)
			return true;
	}
	return false;
}

/* Warns of negations that let missing values through, unless the list asks for a value too. */
static void
check_negation(RuleReader *r, const Term *t, bool positive, const Term *all)
{
	if (t->kind == TERM_LEAF)
	{
		if (t->without != NULL && t->negated == positive && !asks_for_value(all, t))
			cdp_rule_warn(r, t->path, "W_NULL_NEGATION", t->hint, "%s are let through by the negation", t->without);
		return;
	}
	for (int i = 0; i < t->n; i++)
		check_negation(r, t->child[i], t->kind == TERM_NOT ? !positive : positive, t->kind == TERM_ALL && positive ? t : all);
}

/* Notes the warnings about a rule that was read without errors. */
void
cdp_rule_warnings(RuleReader *r)
{
	Term	   *t = node_term(r, r->rule->where);

	judge(r, t);
	check_negation(r, t, true, NULL);
}

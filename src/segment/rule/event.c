/*
 * event.c
 *		Atoms about events: counts and aggregates in windows, sequences, and the
 *		named behaviours.
 */
#include "segment/rule/rule.h"

#define WINDOW_KEYS "last", "between", "this", "previous", "since", "until"
#define CMP_OPS RULE_ORDER_OPS
#define VALUE_OPS (RULE_ORDER_OPS | RULE_IN_OPS | RULE_TEXT_OPS)

/* Adds a kind in the order of names, once. */
static void
add_kind(RuleEvents *out, const char *name, int64 id, bool seen)
{
	int			at = out->n;

	while (at > 0 && strcmp(out->name[at - 1], name) > 0)
		at--;
	if (at > 0 && strcmp(out->name[at - 1], name) == 0)
		return;
	for (int i = out->n; i > at; i--)
	{
		out->name[i] = out->name[i - 1];
		out->id[i] = out->id[i - 1];
		out->seen[i] = out->seen[i - 1];
	}
	out->name[at] = name;
	out->id[at] = id;
	out->seen[at] = seen;
	out->n++;
}

/* Reads the name of one kind of events; false after an error. */
static bool
read_kind(RuleReader *r, const JsonbValue *v, const char *path, RuleEvents *out)
{
	const char *name = cdp_rule_read_name(r, v, path, "a kind of events");
	const JsonbContainer *entry;
	JsonbValue *seen;

	if (name == NULL)
		return false;
	cdp_rule_use(r, "kind", name);
	if (r->catalog == NULL)
	{
		add_kind(out, name, 0, true);
		return true;
	}
	entry = cdp_rule_lookup(r, "kinds", name, path, "E_UNKNOWN_KIND", "kind of events");
	if (entry == NULL)
		return false;
	cdp_rule_allowed(r, entry, path, "kind of events", name);
	seen = cdp_rule_get(entry, "seen");
	add_kind(out, name, cdp_rule_entry_id(entry), seen == NULL || seen->type != jbvBool || seen->val.boolean);
	return true;
}

/* Reads the kinds under a key, and the condition under where; false after an error. */
static bool
read_events(RuleReader *r, const JsonbContainer *object, const char *path, const char *key, int depth, RuleEvents *out)
{
	JsonbValue *v = cdp_rule_get(object, key);
	JsonbValue *where = cdp_rule_get(object, "where");
	const JsonbContainer *array = cdp_rule_array(v);
	int			n = array == NULL ? 1 : (int) JsonContainerSize(array);
	bool		good = true;

	memset(out, 0, sizeof(RuleEvents));
	out->path = cdp_rule_at(path, key);
	if (n == 0 || n > RULE_MAX_NODES)
	{
		cdp_rule_error(r, out->path, n == 0 ? "E_SYNTAX" : "E_SIZE", NULL, "%d kinds of events are named; 1 to %d can be", n, RULE_MAX_NODES);
		good = false;
		n = 0;
	}
	out->name = palloc(sizeof(char *) * Max(n, 1));
	out->id = palloc(sizeof(int64) * Max(n, 1));
	out->seen = palloc(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
		good &= array == NULL ? read_kind(r, v, out->path, out)
			: read_kind(r, cdp_rule_item(array, i), cdp_rule_nth(out->path, i), out);
	if (where != NULL)
	{
		out->where = cdp_rule_read_cond(r, where, cdp_rule_at(path, "where"), depth + 1, out);
		good &= out->where != NULL;
	}
	return good;
}

/* Reads the property that an aggregate is over, or {"field": "value"}; false after an error. */
static bool
read_prop(RuleReader *r, const JsonbValue *v, const char *path, RuleNode *node)
{
	static const char *const keys[] = {"field"};
	const JsonbContainer *object = cdp_rule_object(v);
	JsonbValue *field;

	if (object == NULL)
	{
		node->prop = cdp_rule_read_name(r, v, path, "a property");
		if (node->prop != NULL)
			cdp_rule_check_prop(r, path, node->prop, &node->events);
		return node->prop != NULL;
	}
	cdp_rule_known_keys(r, object, path, keys, 1);
	field = cdp_rule_get(object, "field");
	if (field != NULL && field->type == jbvString && strcmp(cdp_rule_string(field), "value") == 0)
		return true;
	cdp_rule_error(r, field == NULL ? path : cdp_rule_at(path, "field"), "E_SYNTAX", "Write {\"field\": \"value\"}, or the name of a property.",
				   "the only field with a number is \"value\"");
	return false;
}

/* Reads count and days: a comparison of its own; false after an error. */
static bool
read_count(RuleReader *r, const JsonbValue *v, const char *path, RuleNode *node)
{
	const JsonbContainer *object = cdp_rule_object(v);
	uint32		ops = CMP_OPS | RULE_BIT(RULE_BETWEEN);
	const char *known[RULE_OPS];
	const char *of = cdp_rule_agg_name(node->agg);

	if (object == NULL)
	{
		cdp_rule_error(r, path, "E_TYPE", "Write {\"gte\": 2}.", "%s needs a comparison, not %s", of, cdp_rule_json_type(v));
		return false;
	}
	cdp_rule_known_keys(r, object, path, known, cdp_rule_op_names(ops, known));
	return cdp_rule_read_test(r, object, path, ops, of, &node->test) && cdp_rule_fit_count(r, &node->test, of);
}

/* Reads the aggregate of an atom and its comparison; false after an error. */
static bool
read_agg(RuleReader *r, const JsonbContainer *object, RuleNode *node)
{
	const char *of = cdp_rule_agg_name(node->agg);
	const char *path = cdp_rule_at(node->path, of);
	JsonbValue *v = cdp_rule_get(object, of);
	bool		value = node->agg == RULE_FIRST || node->agg == RULE_LAST_OF;
	bool		good;

	if (node->agg == RULE_COUNT || node->agg == RULE_DAYS)
		return read_count(r, v, path, node);
	good = read_prop(r, v, path, node);
	if (!cdp_rule_read_test(r, object, node->path, value ? VALUE_OPS : CMP_OPS, of, &node->test))
		return false;
	if (node->agg == RULE_DISTINCT)
		return cdp_rule_fit_count(r, &node->test, of) && good;
	if (!value || (good && node->prop == NULL))
		return cdp_rule_fit_number(r, &node->test, of) && good;
	if (RULE_BIT(node->test.op) & RULE_TEXT_OPS)
		return cdp_rule_fit_text(r, &node->test, of) && good;
	return good;
}

/* Finds which aggregate an atom has; false when it has two. */
static bool
find_agg(RuleReader *r, const JsonbContainer *object, RuleNode *node)
{
	for (RuleAgg a = RULE_COUNT; a <= RULE_LAST_OF; a++)
	{
		if (cdp_rule_get(object, cdp_rule_agg_name(a)) == NULL)
			continue;
		if (node->agg != RULE_ONCE)
		{
			cdp_rule_error(r, cdp_rule_at(node->path, cdp_rule_agg_name(a)), "E_SYNTAX", "Write two conditions in one \"all\".",
						   "there is an aggregate already: \"%s\"", cdp_rule_agg_name(node->agg));
			return false;
		}
		node->agg = a;
	}
	return true;
}

/* Reads {"did": ...}; false after an error. */
bool
cdp_rule_read_did(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[RULE_OPS + 32] = {"did", "where", WINDOW_KEYS};
	int			n = 8;
	bool		good = find_agg(r, object, node);

	for (RuleAgg a = RULE_COUNT; a <= RULE_LAST_OF; a++)
		known[n++] = cdp_rule_agg_name(a);
	if (node->agg > RULE_DAYS || !good)
		n += cdp_rule_op_names(node->agg >= RULE_FIRST || !good ? VALUE_OPS : CMP_OPS, known + n);
	cdp_rule_known_keys(r, object, node->path, known, n);
	good &= read_events(r, object, node->path, "did", depth, &node->events);
	good &= cdp_rule_read_window(r, object, node->path, &node->window);
	if (node->agg != RULE_ONCE)
		good &= read_agg(r, object, node);
	return good;
}

/* Reads the properties that a step shares with the one before; false after an error. */
static bool
read_same(RuleReader *r, const JsonbValue *v, const char *path, RuleStep *step)
{
	const JsonbContainer *array = cdp_rule_array(v);
	bool		good = true;

	if (array == NULL || JsonContainerSize(array) == 0 || JsonContainerSize(array) > RULE_MAX_STEPS)
	{
		cdp_rule_error(r, path, "E_TYPE", "Write [\"product_id\"].", "same must be an array of 1 to %d properties", RULE_MAX_STEPS);
		return false;
	}
	step->same = palloc(sizeof(char *) * JsonContainerSize(array));
	for (int i = 0; i < JsonContainerSize(array); i++)
	{
		const char *at = cdp_rule_nth(path, i);
		const char *name = cdp_rule_read_name(r, cdp_rule_item(array, i), at, "a property");

		if (name == NULL)
			good = false;
		else
		{
			cdp_rule_check_prop(r, at, name, &step->events);
			step->same[step->nsame++] = name;
		}
	}
	return good;
}

/* Reads one step of a sequence; false after an error. */
static bool
read_step(RuleReader *r, const JsonbValue *v, const char *path, int i, bool last, int depth, RuleStep *out)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const char *known[] = {"did", "where", "absent", "within", "same"};
	JsonbValue *within,
			   *same;
	bool		good;

	memset(out, 0, sizeof(RuleStep));
	if (!cdp_rule_enter(r, path, depth))
		return false;
	if (object == NULL)
	{
		cdp_rule_error(r, path, "E_TYPE", "Write {\"did\": \"order\"}.", "a step must be an object, not %s", cdp_rule_json_type(v));
		return false;
	}
	cdp_rule_known_keys(r, object, path, known, i == 0 ? 3 : lengthof(known));
	out->absent = cdp_rule_get(object, "absent") != NULL;
	if (out->absent == (cdp_rule_get(object, "did") != NULL))
	{
		cdp_rule_error(r, path, "E_SYNTAX", NULL, "a step needs either \"did\" or \"absent\"");
		return false;
	}
	good = read_events(r, object, path, out->absent ? "absent" : "did", depth, &out->events);
	within = i == 0 ? NULL : cdp_rule_get(object, "within");
	same = i == 0 ? NULL : cdp_rule_get(object, "same");
	out->bounded = within != NULL;
	if (within != NULL)
		good &= cdp_rule_read_span(r, within, cdp_rule_at(path, "within"), true, &out->within);
	if (same != NULL)
		good &= read_same(r, same, cdp_rule_at(path, "same"), out);
	if (out->absent && (!last || i == 0))
		cdp_rule_error(r, cdp_rule_at(path, "absent"), "E_SYNTAX", "For an event that must not come in between use \"not_between\".",
					   "only the last step, after one that was done, can be absent");
	else if (out->absent && within == NULL)
		cdp_rule_error(r, path, "E_SYNTAX", "Add \"within\": absent until when?", "an absent step has no duration");
	else
		return good;
	return false;
}

/* Reads what may not come between two steps: one object or an array of them; false after an error. */
static bool
read_breaks(RuleReader *r, const JsonbValue *v, const char *path, int depth, RuleNode *node)
{
	const JsonbContainer *array = cdp_rule_array(v);
	const char *known[] = {"did", "where"};
	int			n = array == NULL ? 1 : (int) JsonContainerSize(array);
	bool		good = n >= 1 && n <= RULE_MAX_STEPS;

	if (!good)
		cdp_rule_error(r, path, "E_SIZE", NULL, "not_between has %d parts; 1 to %d can be", n, RULE_MAX_STEPS);
	n = good ? n : 0;
	node->breaks = palloc(sizeof(RuleEvents) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const JsonbValue *item = array == NULL ? v : cdp_rule_item(array, i);
		const char *at = array == NULL ? path : cdp_rule_nth(path, i);
		const JsonbContainer *object = cdp_rule_object(item);

		if (!cdp_rule_enter(r, at, depth))
			return false;
		if (object == NULL || cdp_rule_get(object, "did") == NULL)
		{
			cdp_rule_error(r, at, object == NULL ? "E_TYPE" : "E_SYNTAX", "Write {\"did\": \"refund\"}.", "what may not come between must be an object with \"did\"");
			good = false;
			continue;
		}
		cdp_rule_known_keys(r, object, at, known, lengthof(known));
		good &= read_events(r, object, at, "did", depth, &node->breaks[node->nbreaks++]);
	}
	return good;
}

/* Reads how equal times are told apart; false after an error. */
static bool
read_ties(RuleReader *r, const JsonbContainer *object, RuleNode *node)
{
	static const char *const words[] = {"strict", "order"};
	JsonbValue *v = cdp_rule_get(object, "ties");
	const char *path = cdp_rule_at(node->path, "ties");
	char	   *word;

	if (v == NULL)
		return true;
	if (v->type != jbvString)
	{
		cdp_rule_error(r, path, "E_TYPE", NULL, "ties must be text, not %s", cdp_rule_json_type(v));
		return false;
	}
	word = cdp_rule_string(v);
	node->by_order = strcmp(word, "order") == 0;
	if (node->by_order || strcmp(word, "strict") == 0)
		return true;
	cdp_rule_error(r, path, "E_SYNTAX", cdp_rule_near(word, words, 2), "ties cannot be %s", cdp_rule_quote(word));
	return false;
}

/* Reads {"seq": [...]}; false after an error. */
bool
cdp_rule_read_seq(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"seq", "total", "not_between", "ties", WINDOW_KEYS};
	const char *path = cdp_rule_at(node->path, "seq");
	const JsonbContainer *steps = cdp_rule_array(cdp_rule_get(object, "seq"));
	int			n = steps == NULL ? 0 : (int) JsonContainerSize(steps);
	JsonbValue *total = cdp_rule_get(object, "total");
	JsonbValue *breaks = cdp_rule_get(object, "not_between");
	bool		good = n >= 2 && n <= RULE_MAX_STEPS;

	cdp_rule_known_keys(r, object, node->path, known, lengthof(known));
	if (!good)
		cdp_rule_error(r, path, steps == NULL ? "E_TYPE" : "E_SIZE", NULL, "a sequence must be an array of 2 to %d steps", RULE_MAX_STEPS);
	else
	{
		node->nsteps = n;
		node->step = palloc0(sizeof(RuleStep) * n);
	}
	for (int i = 0; i < node->nsteps; i++)
		good &= read_step(r, cdp_rule_item(steps, i), cdp_rule_nth(path, i), i, i == n - 1, depth + 1, &node->step[i]);
	good &= cdp_rule_read_window(r, object, node->path, &node->window);
	node->limited = total != NULL;
	if (total != NULL)
		good &= cdp_rule_read_span(r, total, cdp_rule_at(node->path, "total"), true, &node->total);
	if (breaks != NULL)
		good &= read_breaks(r, breaks, cdp_rule_at(node->path, "not_between"), depth + 1, node);
	return read_ties(r, object, node) && good;
}

/* The value of a key that must be there; NULL after an error. */
static JsonbValue *
need(RuleReader *r, const JsonbContainer *object, const RuleNode *node, const char *what, const char *key)
{
	JsonbValue *v = cdp_rule_get(object, key);

	if (v == NULL)
		cdp_rule_error(r, node->path, "E_SYNTAX", NULL, "%s needs \"%s\"", what, key);
	return v;
}

/* Reads {"first_time": ..., "last": ...}; false after an error. */
bool
cdp_rule_read_first_time(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"first_time", "where", "last"};
	bool		good = read_events(r, object, node->path, "first_time", depth, &node->events);
	JsonbValue *last = need(r, object, node, "first_time", "last");

	cdp_rule_known_keys(r, object, node->path, known, lengthof(known));
	node->window.kind = RULE_WINDOW_LAST;
	return last != NULL && cdp_rule_read_span(r, last, cdp_rule_at(node->path, "last"), false, &node->window.a) && good;
}

/* Reads a whole number between 1 and a maximum; false after an error. */
static bool
read_places(RuleReader *r, const JsonbValue *v, const char *path, int64 maximum, int *out)
{
	int64		value;

	if (v == NULL)
		return false;
	if (v->type == jbvNumeric && cdp_rule_whole(v, &value) && value >= 1 && value <= maximum)
	{
		*out = (int) value;
		return true;
	}
	cdp_rule_error(r, path, "E_TYPE", NULL, "a whole number from 1 to " INT64_FORMAT " is needed here", maximum);
	return false;
}

/* Reads {"regularly": ..., "at_least": k, "of": n, "unit": ...}; false after an error. */
bool
cdp_rule_read_regularly(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"regularly", "where", "at_least", "of", "unit"};
	bool		good = read_events(r, object, node->path, "regularly", depth, &node->events);
	JsonbValue *least = need(r, object, node, "regularly", "at_least");
	JsonbValue *periods = need(r, object, node, "regularly", "of");
	JsonbValue *unit = need(r, object, node, "regularly", "unit");

	cdp_rule_known_keys(r, object, node->path, known, lengthof(known));
	good &= read_places(r, least, cdp_rule_at(node->path, "at_least"), RULE_MAX_PERIODS, &node->least);
	good &= read_places(r, periods, cdp_rule_at(node->path, "of"), RULE_MAX_PERIODS, &node->periods);
	good &= unit != NULL && cdp_rule_read_unit(r, unit, cdp_rule_at(node->path, "unit"), true, &node->unit);
	if (good && node->least > node->periods)
	{
		cdp_rule_error(r, cdp_rule_at(node->path, "at_least"), "E_WINDOW", NULL, "%d of %d periods cannot be reached", node->least, node->periods);
		return false;
	}
	return good;
}

/* Reads {"stopped": ..., "between": [a, b]}; false after an error. */
bool
cdp_rule_read_stopped(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"stopped", "where", "between"};
	const char *path = cdp_rule_at(node->path, "between");
	bool		good = read_events(r, object, node->path, "stopped", depth, &node->events);
	JsonbValue *between = need(r, object, node, "stopped", "between");

	cdp_rule_known_keys(r, object, node->path, known, lengthof(known));
	if (between == NULL || !cdp_rule_read_between(r, between, path, &node->window))
		return false;
	if (node->window.b.count > 0)
		return good;
	cdp_rule_error(r, cdp_rule_nth(path, 1), "E_WINDOW", "Write since when there was none, such as \"30 days\".", "a duration must be above zero");
	return false;
}

/* Reads {"resumed": ..., "after": d, "last": w}; false after an error. */
bool
cdp_rule_read_resumed(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"resumed", "where", "after", "last"};
	bool		good = read_events(r, object, node->path, "resumed", depth, &node->events);
	JsonbValue *after = need(r, object, node, "resumed", "after");
	JsonbValue *last = need(r, object, node, "resumed", "last");

	cdp_rule_known_keys(r, object, node->path, known, lengthof(known));
	node->window.kind = RULE_WINDOW_LAST;
	good &= after != NULL && cdp_rule_read_span(r, after, cdp_rule_at(node->path, "after"), true, &node->after);
	return last != NULL && cdp_rule_read_span(r, last, cdp_rule_at(node->path, "last"), false, &node->window.a) && good;
}

/*
 * text_read.c
 *		Reads the JSONB of a segment rule into the tree of text.h.
 *
 * It is as strict as a printer needs: an unknown key, a missing one or a value
 * that no text could say is an error with its path. Whether names are known,
 * types fit and windows make sense is the checker's question.
 */
#include "segment/rule/text.h"

/* The words of each comparison; what stands in the text is what is printed, too. */
const CdpTextOpEntry cdp_text_ops[TEXT_OPS] = {
	{"eq", "=", OPERAND_VALUE}, {"neq", "!=", OPERAND_VALUE}, {"lt", "<", OPERAND_VALUE},
	{"lte", "<=", OPERAND_VALUE}, {"gt", ">", OPERAND_VALUE}, {"gte", ">=", OPERAND_VALUE},
	{"in", "in", OPERAND_LIST}, {"not_in", "not in", OPERAND_LIST},
	{"between", "between", OPERAND_TWO}, {"not_between", "not between", OPERAND_TWO},
	{"exists", "is known", OPERAND_TRUTH},
	{"prefix", "starts with", OPERAND_VALUE}, {"suffix", "ends with", OPERAND_VALUE},
	{"contains", "contains", OPERAND_VALUE}, {"not_contains", "not contains", OPERAND_VALUE},
	{"has", "has", OPERAND_VALUE}, {"has_any", "has any", OPERAND_LIST}, {"has_all", "has all", OPERAND_LIST},
	{"last", "in last", OPERAND_DURATION}, {"next", "in next", OPERAND_DURATION},
	{"before_last", "before last", OPERAND_DURATION},
	{"anniversary_next", "anniversary in next", OPERAND_DURATION},
};

/* Aggregates: their key in JSONB, and their word in text. */
const CdpTextAggEntry cdp_text_aggs[TEXT_AGGS] = {
	{"did", "did"}, {"count", "count"}, {"days", "days"}, {"sum", "sum"}, {"avg", "avg"}, {"min", "min"},
	{"max", "max"}, {"distinct", "distinct"}, {"first_value", "first"}, {"last_value", "last"},
};

/* An object while it is read: keys that were asked for and found. */
typedef struct Reader
{
	JsonbContainer *object;
	const char *path;
	int			depth;
	int			ntaken;
	const char *taken[24];
} Reader;

static CdpTextNode *read_node(const JsonbValue *v, const char *path, int depth, bool condition);

/* Makes an empty node; caller's context. */
CdpTextNode *
cdp_text_node(CdpTextKind kind)
{
	CdpTextNode *node = palloc0(sizeof(CdpTextNode));

	node->kind = kind;
	return node;
}

/* Makes a string value; the text is not copied. */
JsonbValue *
cdp_text_string(const char *text)
{
	JsonbValue *v = palloc(sizeof(JsonbValue));

	v->type = jbvString;
	v->val.string.val = unconstify(char *, text);
	v->val.string.len = strlen(text);
	return v;
}

/* Tells whether an unquoted name in a condition on events is a column of the touchpoint. */
bool
cdp_text_is_field(const char *name)
{
	static const char *const fields[] = {
		"channel", "channel_group", "campaign", "source", "value"
	};

	for (int i = 0; i < lengthof(fields); i++)
		if (strcmp(name, fields[i]) == 0)
			return true;
	return false;
}

/* Refuses what the text form cannot say. */
CDP_NORETURN static void
refuse(const char *path, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the rule is not well formed"),
			 errdetail("At %s: %s.", path[0] == '\0' ? "the top" : path, why),
			 errhint("cdp.segment_check() tells all that is wrong with a rule.")));
}

/* Opens an object for reading. */
static Reader
open_object(const JsonbValue *v, const char *path, int depth)
{
	Reader		r = {0};

	if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		refuse(path, "an object is expected");
	r.object = v->val.binary.data;
	r.path = path;
	r.depth = depth;
	return r;
}

/* Returns the value of a key, or NULL; a null is a value. */
static JsonbValue *
take(Reader *r, const char *key)
{
	JsonbValue *v = getKeyJsonValueFromContainer(r->object, key, strlen(key), NULL);

	if (v != NULL)
	{
		Assert(r->ntaken < lengthof(r->taken));
		r->taken[r->ntaken++] = key;
	}
	return v;
}

/* Tells whether a key is there. */
static bool
has(Reader *r, const char *key)
{
	return getKeyJsonValueFromContainer(r->object, key, strlen(key), NULL) != NULL;
}

/* The path of a key of an object; caller's context. */
static char *
below(Reader *r, const char *key)
{
	return psprintf("%s/%s", r->path, key);
}

/* Complains about a key nobody asked for. */
static void
close_object(Reader *r)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	if (JsonContainerSize(r->object) == r->ntaken)
		return;
	it = JsonbIteratorInit(r->object);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		bool		known = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < r->ntaken && !known; i++)
			known = v.val.string.len == strlen(r->taken[i]) &&
				memcmp(v.val.string.val, r->taken[i], v.val.string.len) == 0;
		if (!known)
			refuse(r->path, psprintf("the key \"%s\" has no place here",
									 pnstrdup(v.val.string.val, Min(v.val.string.len, 100))));
	}
}

/* Returns a string of an object, or NULL when the key is missing; caller's context. */
static char *
take_text(Reader *r, const char *key)
{
	JsonbValue *v = take(r, key);

	if (v == NULL)
		return NULL;
	if (v->type != jbvString)
		refuse(below(r, key), "text is expected");
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* Returns a string that must be there. */
static char *
need_text(Reader *r, const char *key)
{
	char	   *text = take_text(r, key);

	if (text == NULL)
		refuse(r->path, psprintf("\"%s\" is missing", key));
	return text;
}

/* Opens an array for reading; returns how many elements. */
static int
open_array(const JsonbValue *v, const char *path)
{
	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) ||
		JsonContainerIsScalar(v->val.binary.data))
		refuse(path, "a list is expected");
	return JsonContainerSize(v->val.binary.data);
}

/* Reads a list of strings. */
static List *
read_names(const JsonbValue *v, const char *path)
{
	int			n = open_array(v, path);
	List	   *names = NIL;

	for (int i = 0; i < n; i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(v->val.binary.data, i);

		CHECK_FOR_INTERRUPTS();
		if (name->type != jbvString)
			refuse(psprintf("%s/%d", path, i), "text is expected");
		names = lappend(names, pnstrdup(name->val.string.val, name->val.string.len));
	}
	return names;
}

/* Reads the nodes of an array. */
static List *
read_nodes(const JsonbValue *v, const char *path, int depth, bool condition)
{
	int			n = open_array(v, path);
	List	   *nodes = NIL;

	for (int i = 0; i < n; i++)
		nodes = lappend(nodes, read_node(getIthJsonbValueFromContainer(v->val.binary.data, i),
										 psprintf("%s/%d", path, i), depth, condition));
	return nodes;
}

/* Reads one scalar constant. */
static JsonbValue *
read_scalar(JsonbValue *v, const char *path)
{
	if (v->type == jbvBinary)
		refuse(path, "a single value is expected");
	return v;
}

/* Reads the one comparison of an object; beside an aggregate "last" and "between" are windows. */
static CdpTextTest *
read_test(Reader *r, bool aggregate)
{
	CdpTextTest *test = palloc0(sizeof(CdpTextTest));
	int			found = -1;

	for (int i = 0; i < TEXT_OPS; i++)
	{
		if ((aggregate && (cdp_text_ops[i].operand == OPERAND_DURATION || i == TEXT_BETWEEN)) ||
			!has(r, cdp_text_ops[i].key))
			continue;
		if (found >= 0)
			refuse(r->path, psprintf("\"%s\" and \"%s\" are two comparisons; write one",
									 cdp_text_ops[found].key, cdp_text_ops[i].key));
		found = i;
	}
	if (found < 0)
		refuse(r->path, "a comparison is missing");
	test->op = found;
	{
		const char *key = cdp_text_ops[found].key;
		JsonbValue *v = take(r, key);
		const char *path = below(r, key);

		switch (cdp_text_ops[found].operand)
		{
			case OPERAND_LIST:
			case OPERAND_TWO:
				for (int i = 0, n = open_array(v, path); i < n; i++)
				{
					CHECK_FOR_INTERRUPTS();
					test->values = lappend(test->values,
										   read_scalar(getIthJsonbValueFromContainer(v->val.binary.data, i),
													   psprintf("%s/%d", path, i)));
				}
				if (cdp_text_ops[found].operand == OPERAND_TWO && list_length(test->values) != 2)
					refuse(path, "two values are expected");
				break;
			case OPERAND_TRUTH:
				if (v->type != jbvBool)
					refuse(path, "true or false is expected");
				test->values = list_make1(v);
				break;
			case OPERAND_DURATION:
				if (v->type != jbvString)
					refuse(path, "a duration such as \"30 days\" is expected");
				test->values = list_make1(v);
				break;
			case OPERAND_VALUE:
				test->values = list_make1(read_scalar(v, path));
				break;
		}
	}
	return test;
}

/* Reads the kinds of events, one name or a list. */
static void
read_kinds(CdpTextNode *node, Reader *r, const char *key)
{
	JsonbValue *v = take(r, key);

	if (v->type == jbvString)
		node->kinds = list_make1(pnstrdup(v->val.string.val, v->val.string.len));
	else
	{
		node->kinds = read_names(v, below(r, key));
		node->kinds_listed = true;
	}
}

/* Reads the condition on events, when there is one. */
static void
read_where(CdpTextNode *node, Reader *r)
{
	JsonbValue *v = take(r, "where");

	if (v != NULL)
		node->where = read_node(v, below(r, "where"), r->depth + 1, true);
}

/* Reads a window. */
static CdpTextWindow
read_window(Reader *r)
{
	CdpTextWindow w = {WINDOW_NONE};
	JsonbValue *v;
	int			found = 0;

	if (has(r, "last"))
	{
		w.kind = WINDOW_LAST;
		w.a = take_text(r, "last");
		found++;
	}
	if (has(r, "between"))
	{
		List	   *ends;

		v = take(r, "between");
		ends = read_names(v, below(r, "between"));
		if (list_length(ends) != 2)
			refuse(below(r, "between"), "two durations are expected");
		w.kind = WINDOW_BETWEEN;
		w.a = linitial(ends);
		w.b = lsecond(ends);
		found++;
	}
	if (has(r, "this"))
	{
		w.kind = WINDOW_THIS;
		w.a = take_text(r, "this");
		found++;
	}
	if (has(r, "previous"))
	{
		w.kind = WINDOW_PREVIOUS;
		w.a = take_text(r, "previous");
		found++;
	}
	if (has(r, "since") || has(r, "until"))
	{
		w.kind = WINDOW_ABSOLUTE;
		w.a = take_text(r, "since");
		w.b = take_text(r, "until");
		found++;
	}
	if (found > 1)
		refuse(r->path, "it has more than one window");
	return w;
}

/* Reads the operand of an aggregate: a property, or {"field": name}. */
static void
read_operand(CdpTextNode *node, Reader *r, const char *key)
{
	JsonbValue *v = take(r, key);
	Reader		field;

	if (v->type == jbvString)
	{
		node->name = pnstrdup(v->val.string.val, v->val.string.len);
		return;
	}
	field = open_object(v, below(r, key), r->depth + 1);
	node->name = need_text(&field, "field");
	if (!cdp_text_is_field(node->name))
		refuse(below(&field, "field"), "no such field");
	node->of_field = true;
	close_object(&field);
}

/* Reads {"did": ...} with its aggregate. */
static CdpTextNode *
read_event(Reader *r)
{
	CdpTextNode *node = cdp_text_node(TEXT_EVENT);
	const char *key;

	read_kinds(node, r, "did");
	for (int agg = TEXT_COUNT; agg < TEXT_AGGS; agg++)
	{
		if (!has(r, cdp_text_aggs[agg].key))
			continue;
		if (node->agg != TEXT_DID)
			refuse(r->path, psprintf("\"%s\" and \"%s\" are two aggregates; write one",
									 cdp_text_aggs[node->agg].key, cdp_text_aggs[agg].key));
		node->agg = agg;
	}
	key = cdp_text_aggs[node->agg].key;
	if (CDP_TEXT_HAS_OPERAND(node->agg))
	{
		read_operand(node, r, key);
		node->test = read_test(r, true);
	}
	else if (node->agg != TEXT_DID)
	{
		Reader		test = open_object(take(r, key), below(r, key), r->depth + 1);

		node->test = read_test(&test, false);
		if (cdp_text_ops[node->test->op].operand == OPERAND_DURATION)
			refuse(test.path, "a number has no time to compare");
		close_object(&test);
	}
	node->window = read_window(r);
	read_where(node, r);
	return node;
}

/* Reads a step of a sequence, or an event that breaks one. */
static CdpTextNode *
read_step(const JsonbValue *v, const char *path, int depth, bool breaks)
{
	CdpTextNode *node = cdp_text_node(TEXT_STEP);
	Reader		r = open_object(v, path, depth);

	node->absent = !breaks && has(&r, "absent");
	if (!node->absent && !has(&r, "did"))
		refuse(path, "\"did\" is missing");
	read_kinds(node, &r, node->absent ? "absent" : "did");
	read_where(node, &r);
	if (!breaks)
	{
		JsonbValue *same = take(&r, "same");

		node->within = take_text(&r, "within");
		if (same != NULL)
		{
			node->same = read_names(same, below(&r, "same"));
			node->has_same = true;
		}
	}
	close_object(&r);
	return node;
}

/* Reads {"seq": ...}. */
static CdpTextNode *
read_sequence(Reader *r)
{
	CdpTextNode *node = cdp_text_node(TEXT_SEQ);
	JsonbValue *v = take(r, "seq");
	const char *path = below(r, "seq");
	int			n = open_array(v, path);

	if (n == 0)
		refuse(path, "a step is expected");
	for (int i = 0; i < n; i++)
		node->parts = lappend(node->parts, read_step(getIthJsonbValueFromContainer(v->val.binary.data, i),
													 psprintf("%s/%d", path, i), r->depth + 1, false));
	node->window = read_window(r);
	node->total = take_text(r, "total");
	node->ties = take_text(r, "ties");
	v = take(r, "not_between");
	if (v != NULL)
	{
		path = below(r, "not_between");
		node->has_breaks = true;
		node->breaks_listed = v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data);
		n = node->breaks_listed ? JsonContainerSize(v->val.binary.data) : 1;
		for (int i = 0; i < n; i++)
			node->breaks = lappend(node->breaks,
								   read_step(node->breaks_listed ? getIthJsonbValueFromContainer(v->val.binary.data, i) : v,
											 node->breaks_listed ? psprintf("%s/%d", path, i) : path,
											 r->depth + 1, true));
	}
	return node;
}

/* Returns a number of an object that must be there. */
static JsonbValue *
need_number(Reader *r, const char *key)
{
	JsonbValue *v = take(r, key);

	if (v == NULL)
		refuse(r->path, psprintf("\"%s\" is missing", key));
	if (v->type != jbvNumeric)
		refuse(below(r, key), "a number is expected");
	return v;
}

/* Reads a named behaviour. */
static CdpTextNode *
read_behaviour(Reader *r, CdpTextKind kind, const char *key)
{
	CdpTextNode *node = cdp_text_node(kind);

	read_kinds(node, r, key);
	if (kind == TEXT_REGULARLY)
	{
		node->at_least = need_number(r, "at_least");
		node->of = need_number(r, "of");
		node->unit = need_text(r, "unit");
	}
	else
		node->window = read_window(r);
	if (kind == TEXT_RESUMED)
		node->after = need_text(r, "after");
	read_where(node, r);
	return node;
}

/* Reads {"rank": ...}. */
static CdpTextNode *
read_rank(Reader *r)
{
	CdpTextNode *node = cdp_text_node(TEXT_RANK);
	Reader		by = open_object(take(r, "rank"), below(r, "rank"), r->depth + 1);

	node->of_trait = has(&by, "trait");
	node->name = need_text(&by, node->of_trait ? "trait" : "attr");
	close_object(&by);
	node->bottom = !has(r, "top");
	node->amount = take(r, node->bottom ? "bottom" : "top");
	if (node->amount == NULL)
		refuse(r->path, "\"top\" or \"bottom\" is missing");
	if (node->amount->type != jbvNumeric && node->amount->type != jbvString)
		refuse(r->path, "a number or a share such as \"10%\" is expected");
	return node;
}

/* Reads an atom about one name, such as {"segment": ...}. */
static CdpTextNode *
read_named(Reader *r, CdpTextKind kind, const char *key, const char *second)
{
	CdpTextNode *node = cdp_text_node(kind);

	node->name = need_text(r, key);
	if (kind == TEXT_FIELD && !cdp_text_is_field(node->name))
		refuse(below(r, key), "no such field");
	if (kind == TEXT_ATTR || kind == TEXT_PROP || kind == TEXT_FIELD || kind == TEXT_TRAIT)
		node->test = read_test(r, false);
	if (second != NULL)
		node->second = take_text(r, second);
	return node;
}

/* Reads an atom of a rule. */
static CdpTextNode *
read_atom(Reader *r)
{
	static const struct
	{
		const char *key;
		CdpTextKind kind;
		const char *second;
	}			named[] = {
		{"attr", TEXT_ATTR}, {"trait", TEXT_TRAIT}, {"segment", TEXT_SEGMENT}, {"list", TEXT_LIST},
		{"consent", TEXT_CONSENT, "channel"}, {"holdout", TEXT_HOLDOUT, "arm"},
	};
	static const struct
	{
		const char *key;
		CdpTextKind kind;
	}			behaviours[] = {
		{"first_time", TEXT_FIRST_TIME}, {"regularly", TEXT_REGULARLY},
		{"stopped", TEXT_STOPPED}, {"resumed", TEXT_RESUMED},
	};

	if (has(r, "did"))
		return read_event(r);
	if (has(r, "seq"))
		return read_sequence(r);
	if (has(r, "rank"))
		return read_rank(r);
	for (int i = 0; i < lengthof(named); i++)
		if (has(r, named[i].key))
			return read_named(r, named[i].kind, named[i].key, named[i].second);
	for (int i = 0; i < lengthof(behaviours); i++)
		if (has(r, behaviours[i].key))
			return read_behaviour(r, behaviours[i].kind, behaviours[i].key);
	refuse(r->path, "it is no kind of node");
}

/* Reads a node of a rule, or of a condition on events. */
static CdpTextNode *
read_node(const JsonbValue *v, const char *path, int depth, bool condition)
{
	Reader		r = open_object(v, path, depth);
	CdpTextNode *node;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	if (depth > CDP_TEXT_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("the rule is nested too deeply"),
				 errdetail("More than %d nodes stand in each other.", CDP_TEXT_DEPTH)));
	if (has(&r, "all") || has(&r, "any"))
	{
		bool		all = has(&r, "all");
		const char *key = all ? "all" : "any";

		node = cdp_text_node(all ? TEXT_ALL : TEXT_ANY);
		node->parts = read_nodes(take(&r, key), below(&r, key), depth + 1, condition);
	}
	else if (has(&r, "not"))
	{
		node = cdp_text_node(TEXT_NOT);
		node->parts = list_make1(read_node(take(&r, "not"), below(&r, "not"), depth + 1, condition));
	}
	else if (!condition)
		node = read_atom(&r);
	else if (has(&r, "prop"))
		node = read_named(&r, TEXT_PROP, "prop", NULL);
	else if (has(&r, "field"))
		node = read_named(&r, TEXT_FIELD, "field", NULL);
	else
		refuse(path, "it is no condition on events");
	close_object(&r);
	return node;
}

/* Reads a whole rule; its strings may point into it. */
CdpTextRule *
cdp_text_from_jsonb(Jsonb *rule)
{
	CdpTextRule *out = palloc0(sizeof(CdpTextRule));
	JsonbValue	top;
	JsonbValue *v;
	Reader		r;

	JsonbToJsonbValue(rule, &top);
	r = open_object(&top, "", 0);
	v = take(&r, "v");
	if (v != NULL && (v->type != jbvNumeric ||
					  strcmp(cdp_text_number(v), "1") != 0))
		refuse("/v", "1 is expected");
	out->tz = take_text(&r, "tz");
	out->nulls = take_text(&r, "nulls");
	v = take(&r, "where");
	if (v == NULL)
		refuse("", "\"where\" is missing");
	out->where = read_node(v, "/where", 1, false);
	close_object(&r);
	return out;
}

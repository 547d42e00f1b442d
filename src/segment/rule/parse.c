/*
 * parse.c
 *		Reads a rule from JSONB into its tree: nodes and the atoms that are not
 *		about events.  All errors are collected; what has one is left out.
 */
#include "segment/rule/canonical.h"

typedef bool (*ReadNode) (RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);

static RuleNode *read_node(RuleReader *r, const JsonbValue *v, const char *path, int depth);

/* Readies a reader; the catalogue may be NULL and is read for purpose and self. */
void
cdp_rule_reader_init(RuleReader *r, const JsonbContainer *catalog)
{
	JsonbValue *v;

	memset(r, 0, sizeof(RuleReader));
	r->catalog = catalog;
	if (catalog == NULL)
		return;
	v = cdp_rule_get(catalog, "purpose");
	if (v != NULL && v->type == jbvString)
		r->purpose = cdp_rule_string(v);
	v = cdp_rule_get(catalog, "self");
	if (v != NULL && v->type == jbvString)
		r->self = cdp_rule_string(v);
}

/* Reads the parts of all and any; false after an error. */
static bool
read_parts(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *key = node->kind == RULE_ALL ? "all" : "any";
	const char *path = cdp_rule_at(node->path, key);
	JsonbValue *v = cdp_rule_get(object, key);
	const JsonbContainer *array = cdp_rule_array(v);
	bool		good = true;

	cdp_rule_known_keys(r, object, node->path, &key, 1);
	if (array == NULL)
	{
		cdp_rule_error(r, path, "E_TYPE", NULL, "%s needs an array of conditions, not %s", key, cdp_rule_json_type(v));
		return false;
	}
	node->child = palloc(sizeof(RuleNode *) * Max(JsonContainerSize(array), 1));
	for (int i = 0; i < JsonContainerSize(array) && !r->oversize; i++)
	{
		node->child[i] = read_node(r, cdp_rule_item(array, i), cdp_rule_nth(path, i), depth + 1);
		good &= node->child[i] != NULL;
		node->n = i + 1;
	}
	return good;
}

/* Reads {"not": ...}; false after an error. */
static bool
read_not(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *key = "not";

	cdp_rule_known_keys(r, object, node->path, &key, 1);
	node->n = 1;
	node->child = palloc(sizeof(RuleNode *));
	node->child[0] = read_node(r, cdp_rule_get(object, key), cdp_rule_at(node->path, key), depth + 1);
	return node->child[0] != NULL;
}

/* Reads the name of an atom under its key into the node; false after an error. */
static bool
read_named(RuleReader *r, const JsonbContainer *object, RuleNode *node, const char *key, const char *what)
{
	node->name = cdp_rule_read_name(r, cdp_rule_get(object, key), cdp_rule_at(node->path, key), what);
	if (node->name == NULL)
		return false;
	cdp_rule_use(r, key, node->name);
	return true;
}

#define ATTR_OPS (RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_TEXT_OPS | RULE_HAS_OPS | RULE_TIME_OPS | RULE_BIT(RULE_EXISTS))

/* Reads {"attr": ..., comparison}; false after an error. */
static bool
read_attr(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[RULE_OPS + 1] = {"attr"};
	const char *path = cdp_rule_at(node->path, "attr");
	bool		encrypted = false,
				good,
				found;

	cdp_rule_known_keys(r, object, node->path, known, 1 + cdp_rule_op_names(ATTR_OPS, known + 1));
	if (!read_named(r, object, node, "attr", "an attribute"))
		return false;
	found = cdp_rule_resolve_attribute(r, node->name, path, &node->attribute, &encrypted);
	good = cdp_rule_read_test(r, object, node->path, ATTR_OPS, psprintf("attribute %s", cdp_rule_quote(node->name)), &node->test);
	if (good && encrypted && node->test.op != RULE_EXISTS)
	{
		cdp_rule_error(r, node->test.path, "E_ENCRYPTED", "Ask with \"exists\" whether there is a value.",
					   "attribute %s is stored encrypted and cannot be compared", cdp_rule_quote(node->name));
		return false;
	}
	if (r->catalog == NULL)
		return good;
	return found && good && cdp_rule_fit_attribute(r, &node->test, node->name, node->attribute.type);
}

/* Reads {"segment": name}; false after an error. */
static bool
read_segment(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *key = "segment";
	const char *path = cdp_rule_at(node->path, key);
	const JsonbContainer *entry;

	cdp_rule_known_keys(r, object, node->path, &key, 1);
	if (!read_named(r, object, node, key, "a segment"))
		return false;
	if (r->self != NULL && strcmp(node->name, r->self) == 0)
	{
		cdp_rule_check_cycle(r, node->name, path);
		return false;
	}
	entry = cdp_rule_lookup(r, "segments", node->name, path, "E_UNKNOWN_SEGMENT", "segment");
	if (entry == NULL)
		return r->catalog == NULL;
	cdp_rule_allowed(r, entry, path, "segment", node->name);
	cdp_rule_check_cycle(r, node->name, path);
	return true;
}

/* Reads {"list": name}; false after an error. */
static bool
read_list(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *key = "list";
	const char *path = cdp_rule_at(node->path, key);
	const JsonbContainer *entry;

	cdp_rule_known_keys(r, object, node->path, &key, 1);
	if (!read_named(r, object, node, key, "a list"))
		return false;
	entry = cdp_rule_lookup(r, "lists", node->name, path, "E_UNKNOWN_LIST", "list");
	if (entry == NULL)
		return r->catalog == NULL;
	cdp_rule_allowed(r, entry, path, "list", node->name);
	node->id = cdp_rule_entry_id(entry);
	return true;
}

#define TRAIT_OPS (RULE_ORDER_OPS | RULE_BETWEEN_OPS | RULE_IN_OPS | RULE_BIT(RULE_EXISTS))

/* Finds a trait and whether it holds text; false after an error, or without a catalogue. */
static bool
resolve_trait(RuleReader *r, const char *name, const char *path, int64 *id, bool *text)
{
	const JsonbContainer *entry = cdp_rule_lookup(r, "traits", name, path, "E_UNKNOWN_TRAIT", "trait");
	JsonbValue *type;

	if (entry == NULL)
		return false;
	cdp_rule_allowed(r, entry, path, "trait", name);
	*id = cdp_rule_entry_id(entry);
	type = cdp_rule_get(entry, "type");
	*text = type != NULL && type->type == jbvString && strcmp(cdp_rule_string(type), "text") == 0;
	return true;
}

/* Reads {"trait": name, comparison}; false after an error. */
static bool
read_trait(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[RULE_OPS + 1] = {"trait"};
	const char *of;
	bool		good,
				text = false;

	cdp_rule_known_keys(r, object, node->path, known, 1 + cdp_rule_op_names(TRAIT_OPS, known + 1));
	if (!read_named(r, object, node, "trait", "a trait"))
		return false;
	good = resolve_trait(r, node->name, cdp_rule_at(node->path, "trait"), &node->id, &text) || r->catalog == NULL;
	of = psprintf("trait %s", cdp_rule_quote(node->name));
	if (!cdp_rule_read_test(r, object, node->path, TRAIT_OPS, of, &node->test))
		return false;
	if (r->catalog == NULL || !good)
		return good;
	return text ? cdp_rule_fit_text(r, &node->test, of) : cdp_rule_fit_number(r, &node->test, of);
}

/* Reads a share such as "10%": above 0, at most 100, up to four decimals; NULL when the text is none. */
static const char *
read_share(const char *text)
{
	int			whole = 0,
				after = 0,
				n = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && n < 3; p++, n++)
		whole = whole * 10 + (*p - '0');
	if (n == 0)
		return NULL;
	if (*p == '.')
		for (p++, n = 0; n < 4; n++)
		{
			bool		digit = *p >= '0' && *p <= '9';

			if (!digit && n == 0)
				return NULL;
			after = after * 10 + (digit ? *p++ - '0' : 0);
		}
	if (strcmp(p, "%") != 0 || whole * 10000 + after > 1000000 || whole * 10000 + after == 0)
		return NULL;
	if (after == 0)
		return psprintf("%d%%", whole);
	for (n = 4; after % 10 == 0; n--)
		after /= 10;
	return psprintf("%d.%0*d%%", whole, n, after);
}

/* Reads top or bottom of a rank; false after an error. */
static bool
read_places(RuleReader *r, const JsonbContainer *object, RuleNode *node)
{
	JsonbValue *top = cdp_rule_get(object, "top");
	JsonbValue *bottom = cdp_rule_get(object, "bottom");
	JsonbValue *v = top != NULL ? top : bottom;
	const char *path = cdp_rule_at(node->path, top != NULL ? "top" : "bottom");

	if ((top == NULL) == (bottom == NULL))
	{
		cdp_rule_error(r, node->path, "E_SYNTAX", "Write \"top\": \"10%\" or \"bottom\": 100.", "a rank needs either top or bottom");
		return false;
	}
	node->bottom = bottom != NULL;
	if (v->type == jbvString)
		node->share = read_share(cdp_rule_string(v));
	else if (v->type != jbvNumeric || !cdp_rule_whole(v, &node->places) || node->places < 1 || node->places > PG_UINT32_MAX)
		node->places = 0;
	if (node->share != NULL || node->places > 0)
		return true;
	cdp_rule_error(r, path, "E_TYPE", "Write a share such as \"10%\" (up to 4 decimals) or a number of customers.",
				   "the places of a rank are a share above 0%% and up to 100%%, or a number from 1 to %u", PG_UINT32_MAX);
	return false;
}

/* Reads {"rank": {"trait" | "attr": name}, "top" | "bottom": ...}; false after an error. */
static bool
read_rank(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"rank", "top", "bottom"};
	const char *of[] = {"attr", "trait"};
	const char *path = cdp_rule_at(node->path, "rank");
	const JsonbContainer *what = cdp_rule_object(cdp_rule_get(object, "rank"));
	bool		good = read_places(r, object, node),
				encrypted = false,
				text = false;
	const char *at;

	cdp_rule_known_keys(r, object, node->path, known, lengthof(known));
	if (what == NULL || (cdp_rule_get(what, "trait") == NULL) == (cdp_rule_get(what, "attr") == NULL))
	{
		cdp_rule_error(r, path, what == NULL ? "E_TYPE" : "E_SYNTAX", "Write {\"trait\": \"ltv\"} or {\"attr\": \"age\"}.",
					   "a rank is over one trait or one attribute");
		return false;
	}
	cdp_rule_known_keys(r, what, path, of, lengthof(of));
	node->of_trait = cdp_rule_get(what, "trait") != NULL;
	at = cdp_rule_at(path, of[node->of_trait]);
	node->name = cdp_rule_read_name(r, cdp_rule_get(what, of[node->of_trait]), at, node->of_trait ? "a trait" : "an attribute");
	if (node->name == NULL)
		return false;
	cdp_rule_use(r, of[node->of_trait], node->name);
	if (good)
		cdp_rule_use(r, "rank", cdp_rule_node_text(node));
	if (r->catalog == NULL)
		return good;
	if (node->of_trait ? !resolve_trait(r, node->name, at, &node->id, &text)
		: !cdp_rule_resolve_attribute(r, node->name, at, &node->attribute, &encrypted))
		return false;
	if (encrypted)
		cdp_rule_error(r, at, "E_ENCRYPTED", NULL, "attribute %s is stored encrypted and cannot be ranked", cdp_rule_quote(node->name));
	else if (text || (!node->of_trait && node->attribute.type != RULE_TYPE_INTEGER && node->attribute.type != RULE_TYPE_NUMERIC))
		cdp_rule_error(r, at, "E_TYPE", NULL, "only numbers are ranked; %s holds %s", cdp_rule_quote(node->name),
					   text ? "text" : cdp_rule_type_name(node->attribute.type));
	else
		return good;
	return false;
}

/* Is the name among those of an array of the catalogue?  Notes an error when it is not. */
static bool
check_listed(RuleReader *r, const char *section, const char *name, const char *path, const char *code, const char *what)
{
	const JsonbContainer *array = r->catalog == NULL ? NULL : cdp_rule_array(cdp_rule_get(r->catalog, section));
	int			n = array == NULL ? 0 : (int) JsonContainerSize(array);
	const char **names = palloc(sizeof(char *) * Max(n, 1));
	int			k = 0;

	if (r->catalog == NULL)
		return true;
	for (int i = 0; i < n; i++)
	{
		JsonbValue *item = cdp_rule_item(array, i);

		if (item->type != jbvString)
			continue;
		names[k] = cdp_rule_string(item);
		if (strcmp(names[k++], name) == 0)
			return true;
	}
	cdp_rule_error(r, path, code, cdp_rule_near(name, names, k), "%s %s is not known", what, cdp_rule_quote(name));
	return false;
}

/* Reads an optional name beside an atom; false after an error. */
static bool
read_beside(RuleReader *r, const JsonbContainer *object, RuleNode *node, const char *key, const char *what, const char **out)
{
	JsonbValue *v = cdp_rule_get(object, key);

	*out = NULL;
	if (v == NULL)
		return true;
	*out = cdp_rule_read_name(r, v, cdp_rule_at(node->path, key), what);
	return *out != NULL;
}

/* Reads {"consent": purpose, "channel": ...}; false after an error. */
static bool
read_consent(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"consent", "channel"};
	bool		good;

	cdp_rule_known_keys(r, object, node->path, known, 2);
	good = read_named(r, object, node, "consent", "a purpose") &&
		check_listed(r, "purposes", node->name, cdp_rule_at(node->path, "consent"), "E_UNKNOWN_PURPOSE", "purpose");
	if (!read_beside(r, object, node, "channel", "a channel", &node->channel))
		return false;
	if (node->channel != NULL && r->catalog != NULL && cdp_rule_get(r->catalog, "consent_channels") != NULL)
		good &= check_listed(r, "consent_channels", node->channel, cdp_rule_at(node->path, "channel"), "E_UNKNOWN_CHANNEL", "channel of consent");
	return good;
}

/* Reads {"holdout": name, "arm": ...}; false after an error. */
static bool
read_holdout(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth)
{
	const char *known[] = {"holdout", "arm"};
	const JsonbContainer *entry;
	const JsonbContainer *arms;
	bool		good;

	cdp_rule_known_keys(r, object, node->path, known, 2);
	good = read_named(r, object, node, "holdout", "a holdout");
	if (!read_beside(r, object, node, "arm", "an arm", &node->arm) || !good)
		return false;
	if (node->arm == NULL)
		node->arm = "control";
	entry = cdp_rule_lookup(r, "holdouts", node->name, cdp_rule_at(node->path, "holdout"), "E_UNKNOWN_HOLDOUT", "holdout");
	if (entry == NULL)
		return r->catalog == NULL;
	node->id = cdp_rule_entry_id(entry);
	arms = cdp_rule_array(cdp_rule_get(entry, "arms"));
	for (int i = 0; arms != NULL && i < JsonContainerSize(arms); i++)
	{
		JsonbValue *item = cdp_rule_item(arms, i);

		if (item->type == jbvString && strcmp(cdp_rule_string(item), node->arm) == 0)
			return true;
	}
	cdp_rule_error(r, cdp_rule_get(object, "arm") != NULL ? cdp_rule_at(node->path, "arm") : node->path, "E_UNKNOWN_HOLDOUT", NULL,
				   "holdout %s has no arm %s", cdp_rule_quote(node->name), cdp_rule_quote(node->arm));
	return false;
}

/* The forms of a node: the key that tells it, and who reads it. */
static const struct
{
	const char *key;
	RuleKind	kind;
	ReadNode	read;
}			forms[] =
{
	{"all", RULE_ALL, read_parts},
	{"any", RULE_ANY, read_parts},
	{"not", RULE_NOT, read_not},
	{"attr", RULE_ATTR, read_attr},
	{"did", RULE_DID, cdp_rule_read_did},
	{"seq", RULE_SEQ, cdp_rule_read_seq},
	{"first_time", RULE_FIRST_TIME, cdp_rule_read_first_time},
	{"regularly", RULE_REGULARLY, cdp_rule_read_regularly},
	{"stopped", RULE_STOPPED, cdp_rule_read_stopped},
	{"resumed", RULE_RESUMED, cdp_rule_read_resumed},
	{"segment", RULE_SEGMENT, read_segment},
	{"list", RULE_LIST, read_list},
	{"rank", RULE_RANK, read_rank},
	{"trait", RULE_TRAIT, read_trait},
	{"consent", RULE_CONSENT, read_consent},
	{"holdout", RULE_HOLDOUT, read_holdout},
};

/* The one form that a node has; -1 after an error. */
static int
find_form(RuleReader *r, const JsonbContainer *object, const char *path)
{
	const char *names[lengthof(forms)];
	const char **key;
	int			found = -1,
				nkeys;

	for (int i = 0; i < lengthof(forms); i++)
	{
		names[i] = forms[i].key;
		if (cdp_rule_get(object, forms[i].key) == NULL)
			continue;
		if (found >= 0)
		{
			cdp_rule_error(r, cdp_rule_at(path, forms[i].key), "E_SYNTAX", "Write two conditions in one \"all\".",
						   "this is a condition \"%s\" already", forms[found].key);
			return -1;
		}
		found = i;
	}
	if (found >= 0)
		return found;
	key = cdp_rule_keys(object, &nkeys);
	for (int i = 0; i < nkeys; i++)
		cdp_rule_error(r, cdp_rule_at(path, key[i]), "E_UNKNOWN_KEY", cdp_rule_near(key[i], names, lengthof(names)),
					   "%s begins no condition", cdp_rule_quote(key[i]));
	if (nkeys == 0)
		cdp_rule_error(r, path, "E_SYNTAX", cdp_rule_near("", names, lengthof(names)), "there is no condition");
	return -1;
}

/* Reads a node; NULL after an error.  Recursion ends at RULE_MAX_DEPTH. */
static RuleNode *
read_node(RuleReader *r, const JsonbValue *v, const char *path, int depth)
{
	const JsonbContainer *object = cdp_rule_object(v);
	RuleNode   *node;
	int			form;

	if (!cdp_rule_enter(r, path, depth))
		return NULL;
	if (object == NULL)
	{
		cdp_rule_error(r, path, "E_TYPE", "Write an object, such as {\"did\": \"order\", \"last\": \"30 days\"}.",
					   "a condition must be an object, not %s", cdp_rule_json_type(v));
		return NULL;
	}
	form = find_form(r, object, path);
	if (form < 0)
		return NULL;
	node = palloc0(sizeof(RuleNode));
	node->kind = forms[form].kind;
	node->path = path;
	return forms[form].read(r, object, node, depth) ? node : NULL;
}

/* Reads the zone of a rule, or takes that of the catalogue; UTC stands in after an error. */
static void
read_zone(RuleReader *r, const JsonbContainer *object)
{
	Rule	   *rule = r->rule;
	JsonbValue *v = cdp_rule_get(object, "tz");

	if (v != NULL)
	{
		rule->tz = cdp_rule_read_name(r, v, "/tz", "a time zone");
		rule->zone = rule->tz == NULL ? NULL : cdp_rule_zone(rule->tz);
		rule->zone_name = rule->tz;
		if (rule->tz != NULL && rule->zone == NULL)
			cdp_rule_error(r, "/tz", "E_UNKNOWN_ZONE", "Take a name from pg_timezone_names, such as Asia/Shanghai.",
						   "time zone %s is not known", cdp_rule_quote(rule->tz));
	}
	else if (r->catalog != NULL && (v = cdp_rule_get(r->catalog, "timezone")) != NULL && v->type == jbvString)
	{
		rule->zone_name = cdp_rule_string(v);
		rule->zone = cdp_rule_zone(rule->zone_name);
	}
	if (rule->zone == NULL)
	{
		rule->zone_name = "UTC";
		rule->zone = cdp_rule_zone("UTC");
	}
}

/* Reads version and logic of a rule. */
static void
read_head(RuleReader *r, const JsonbContainer *object)
{
	static const char *const words[] = {"set", "sql"};
	JsonbValue *v = cdp_rule_get(object, "v");
	int64		version;

	if (v != NULL && (!cdp_rule_whole(v, &version) || version != 1))
		cdp_rule_error(r, "/v", v->type == jbvNumeric ? "E_SYNTAX" : "E_TYPE", NULL, "the version of the language must be 1");
	v = cdp_rule_get(object, "nulls");
	if (v == NULL)
		return;
	if (v->type != jbvString)
		cdp_rule_error(r, "/nulls", "E_TYPE", NULL, "nulls must be text, not %s", cdp_rule_json_type(v));
	else
	{
		char	   *word = cdp_rule_string(v);

		r->rule->sql_nulls = strcmp(word, "sql") == 0;
		if (!r->rule->sql_nulls && strcmp(word, "set") != 0)
			cdp_rule_error(r, "/nulls", "E_SYNTAX", cdp_rule_near(word, words, 2), "nulls cannot be %s", cdp_rule_quote(word));
	}
}

/* Reads a whole rule; its tree is NULL when there was an error, and all errors are with the reader. */
Rule *
cdp_rule_read(RuleReader *r, Jsonb *jsonb)
{
	static const char *const known[] = {"v", "tz", "nulls", "where"};
	const JsonbContainer *object = &jsonb->root;
	Rule	   *rule = palloc0(sizeof(Rule));
	JsonbValue *where;

	r->rule = rule;
	if (!JB_ROOT_IS_OBJECT(jsonb))
	{
		cdp_rule_error(r, "", "E_TYPE", "Write {\"v\": 1, \"where\": {...}}.", "a rule must be an object");
		return rule;
	}
	cdp_rule_known_keys(r, object, "", known, lengthof(known));
	read_head(r, object);
	read_zone(r, object);
	where = cdp_rule_get(object, "where");
	if (where == NULL)
		cdp_rule_error(r, "", "E_SYNTAX", "Write {\"v\": 1, \"where\": {...}}.", "a rule needs \"where\"");
	else
		rule->where = read_node(r, where, "/where", 1);
	if (r->errors > 0)
		rule->where = NULL;
	return rule;
}

/*
 * manifest_check.c
 *		Reads a manifest by the tables of its grammar and collects what is wrong.
 */
#include "connector/manifest/grammar.h"

#include "base/durations.h"
#include "mb/pg_wchar.h"
#include "segment/rule/rule.h"

static void read_rule(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path);

/* Notes that a value is of another type than wanted. */
static void
wrong_type(ManifestCheck *c, const JsonbValue *v, const char *path, const char *wanted)
{
	cdp_manifest_problem(c, path, "wrong_type", NULL, "this must be %s, not %s", wanted, cdp_rule_json_type(v));
}

/* The text that a value must be: not empty unless blank is, not too long, without control characters; NULL after a problem. */
static const char *
read_text(ManifestCheck *c, const JsonbValue *v, const char *path, const char *wanted, bool blank)
{
	const char *text;

	if (v->type != jbvString)
	{
		wrong_type(c, v, path, wanted);
		return NULL;
	}
	if (v->val.string.len > MANIFEST_MAX_TEXT || (v->val.string.len == 0 && !blank))
	{
		cdp_manifest_problem(c, path, "out_of_range", NULL, "this text has %d bytes; it may have %d to %d", v->val.string.len, blank ? 0 : 1, MANIFEST_MAX_TEXT);
		return NULL;
	}
	text = cdp_rule_string(v);
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' && *p != '\n' && *p != '\t')
		{
			cdp_manifest_problem(c, path, "bad_text", NULL, "this text has a control character");
			return NULL;
		}
	return text;
}

/* Whether a text is a small name: a letter, then letters, digits and _, at most 63 bytes. */
static bool
small_name(const char *text)
{
	size_t		len = strlen(text);

	return len >= 1 && len <= 63 && text[0] >= 'a' && text[0] <= 'z' && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

/* Whether a text can be the name of a header that a request may set. */
static bool
header_name(const char *text)
{
	static const char *const kept[] = {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect", "cookie", "accept-encoding"};
	size_t		len = strlen(text);

	for (int i = 0; i < lengthof(kept); i++)
		if (pg_strcasecmp(text, kept[i]) == 0)
			return false;
	return len >= 1 && len <= 100 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* Reads one of the words. */
static void
read_word(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, "one of a few words", false);
	int			n = 0;

	if (text == NULL)
		return;
	for (; rule->words[n] != NULL; n++)
		if (strcmp(text, rule->words[n]) == 0)
			return;
	cdp_manifest_problem(c, path, "unknown_word", cdp_rule_near(text, rule->words, n), "%s is none of the words that can stand here", cdp_rule_quote(text));
}

/* Reads a whole number. */
static void
read_whole(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	int64		n;

	if (v->type != jbvNumeric)
		wrong_type(c, v, path, "a whole number");
	else if (!cdp_rule_whole(v, &n) || n < rule->min || n > rule->max)
		cdp_manifest_problem(c, path, "out_of_range", NULL, "this must be a whole number from " INT64_FORMAT " to " INT64_FORMAT, rule->min, rule->max);
}

/* Reads a number above 0. */
static void
read_number(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	if (v->type != jbvNumeric)
		wrong_type(c, v, path, "a number");
	else
	{
		const char *text = cdp_manifest_scalar_text(v);

		if (strlen(text) > 40 || text[0] == '-' || strpbrk(text, "123456789") == NULL)
			cdp_manifest_problem(c, path, "out_of_range", NULL, "this must be a number above 0 with at most 40 digits");
	}
}

/* Reads a duration: 10 min, 1 h. */
static void
read_span(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, "a duration such as 10 min", false);

	if (text != NULL && cdp_manifest_span(text) == 0)
		cdp_manifest_problem(c, path, "bad_span", "Write a number and s, min, h or day: 1 min.", "%s is no duration", cdp_rule_quote(text));
}

/* Reads a time of day or a day. */
static void
read_clock_or_day(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, rule->kind == G_CLOCK ? "a time such as 08:00" : "a day such as 2026-03-01", false);
	int			day;

	if (text == NULL)
		return;
	if (rule->kind == G_DAY ? !cdp_manifest_day(text, &day)
		: strlen(text) != 5 || text[2] != ':' || strspn(text, "0123456789") != 2 || strspn(text + 3, "0123456789") != 2
		|| atoi(text) > 23 || atoi(text + 3) > 59)
		cdp_manifest_problem(c, path, rule->kind == G_CLOCK ? "bad_clock" : "bad_day", NULL, "%s is no %s", cdp_rule_quote(text),
							 rule->kind == G_CLOCK ? "time of the form 08:00" : "day of the form 2026-03-01");
}

/* Reads a time zone: an Area/City name, or UTC. */
static void
read_zone(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, "a time zone", false);

	if (text != NULL && ((strchr(text, '/') == NULL && strcmp(text, "UTC") != 0) || cdp_rule_zone(text) == NULL))
		cdp_manifest_problem(c, path, "bad_zone", "Take an Area/City name of pg_timezone_names, such as Asia/Shanghai, or UTC.", "%s is no time zone", cdp_rule_quote(text));
}

/* Reads the address that requests begin with: https://host/prefix, or $config.name alone. */
static void
read_url(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, "an address", false);
	const char *why;

	if (text == NULL)
		return;
	if (*text == '$')
	{
		ManifestTemplate t;
		const char *hint;

		cdp_manifest_check_template(c, text, path, VAR_BIT(VAR_CONFIG));
		if (cdp_manifest_template_parse(text, &t, &hint) == NULL && (t.n != 1 || t.piece[0].var != VAR_CONFIG))
			cdp_manifest_problem(c, path, "bad_url", "Let the whole address come from one entry of config, of type url.", "an address is written out, or is one variable");
		return;
	}
	if (!cdp_manifest_url(text, NULL, &why))
		cdp_manifest_problem(c, path, "bad_url", "Write https://api.example.com, with a path or without.", "this is no address that can be asked: %s", why);
}

/* Reads a path of a page or of a record; what it takes from the request must be there. */
static void
read_path(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	bool		of_record = rule->kind == G_FIELD;
	const char *text = read_text(c, v, path, of_record ? "a path such as contact.id" : "a path such as $.list[*]", false);
	ManifestPath p;
	const char *why;

	if (text == NULL)
		return;
	if (!cdp_manifest_path_parse(text, of_record, &p, &why))
		cdp_manifest_problem(c, path, "bad_path", NULL, "%s is no path: %s", cdp_rule_quote(text), why);
	else if (of_record && p.root == PATH_DOCUMENT && !rule->min)
		cdp_manifest_problem(c, path, "bad_path", "Only key and ref_date can be taken from the page: records are kept without it.", "%s leads to the page, and a record is read without it", cdp_rule_quote(text));
	else if (p.root == PATH_PARTITION && p.n == 0 && cdp_manifest_whole(cdp_manifest_object(c->stream, "partition"), "chunk", 1) > 1)
		cdp_manifest_problem(c, path, "conflict", "Take a field of the record.", "a record of a chunk does not tell which partition it is of");
	else if (p.root == PATH_CONFIG || p.root == PATH_PARTITION || p.root == PATH_WINDOW_FROM || p.root == PATH_WINDOW_TO)
		cdp_manifest_check_template(c, text, path, p.root == PATH_PARTITION && p.n > 1 ? 0 : VARS_REQUEST);
}

/* Reads an HTTP status: 429 or "5xx". */
static void
read_status(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	int64		n;

	if (v->type == jbvNumeric && cdp_rule_whole(v, &n) && n >= 100 && n <= 599)
		return;
	if (v->type == jbvString && v->val.string.len == 3 && v->val.string.val[0] >= '1' && v->val.string.val[0] <= '5' && memcmp(v->val.string.val + 1, "xx", 2) == 0)
		return;
	cdp_manifest_problem(c, path, "bad_status", "Write 429 or \"5xx\".", "this is no HTTP status");
}

/* Reads where a cursor goes: body.page.cursor or query.cursor. */
static void
read_place(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, "a place such as body.cursor", false);
	const char *dot = text == NULL ? NULL : strchr(text, '.');
	ManifestPath p;
	const char *why;

	if (text == NULL)
		return;
	if (strncmp(text, "body.", 5) != 0 && strncmp(text, "query.", 6) != 0 && strncmp(text, "form.", 5) != 0)
		cdp_manifest_problem(c, path, "bad_place", "Write body.cursor, query.cursor or form.cursor.", "%s is no place in a request", cdp_rule_quote(text));
	else if (!cdp_manifest_path_parse(dot + 1, true, &p, &why) || p.many || p.root != PATH_RECORD || p.n == 0)
		cdp_manifest_problem(c, path, "bad_place", "Write body.cursor, query.cursor or form.cursor.", "%s names no one value of a request", cdp_rule_quote(text));
	else
		for (int i = 0; i < p.n; i++)
			if (p.step[i].name == NULL || (i > 0 && text[0] != 'b'))
			{
				cdp_manifest_problem(c, path, "bad_place", NULL, "a place has names only, and one name in query and form");
				return;
			}
}

/* Reads an object by its shape. */
static void
read_object(ManifestCheck *c, const GrammarShape *shape, const JsonbValue *v, const char *path)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const char *names[40];
	const char **key;
	int			nkeys;

	if (object == NULL)
	{
		wrong_type(c, v, path, "an object");
		return;
	}
	Assert(shape->n <= lengthof(names));
	for (int i = 0; i < shape->n; i++)
		names[i] = shape->key[i].name;
	key = cdp_rule_keys(object, &nkeys);
	for (int i = 0; i < nkeys; i++)
	{
		int			k = 0;

		while (k < shape->n && strcmp(key[i], names[k]) != 0)
			k++;
		if (k == shape->n)
			cdp_manifest_problem(c, cdp_manifest_at(path, key[i]), "unknown_key", cdp_rule_near(key[i], names, shape->n), "%s has no key %s", shape->what, cdp_rule_quote(key[i]));
		else
			read_rule(c, shape->key[k].rule, cdp_rule_get(object, key[i]), cdp_manifest_at(path, key[i]));
	}
	for (int k = 0; k < shape->n; k++)
		if (shape->key[k].required && cdp_rule_get(object, names[k]) == NULL)
			cdp_manifest_problem(c, cdp_manifest_at(path, names[k]), "missing_key", NULL, "%s needs the key %s", shape->what, cdp_rule_quote(names[k]));
}

/* Reads a map of names to values; a stream knows which one it is. */
static void
read_map(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const char **key;
	int			n;

	if (object == NULL)
	{
		wrong_type(c, v, path, "an object");
		return;
	}
	key = cdp_rule_keys(object, &n);
	for (int i = 0; i < n; i++)
	{
		const char *at = cdp_manifest_at(path, key[i]);
		JsonbValue *item = cdp_rule_get(object, key[i]);

		CHECK_FOR_INTERRUPTS();
		if (rule->min == NAMES_OWN && !small_name(key[i]))
			cdp_manifest_problem(c, at, "bad_name", "Write a small letter, then small letters, digits and _.", "%s cannot be a name here", cdp_rule_quote(key[i]));
		if (rule->min == NAMES_HEADER && !header_name(key[i]))
			cdp_manifest_problem(c, at, "bad_header", NULL, "%s is no header that a manifest can set", cdp_rule_quote(key[i]));
		if (strcmp(path, "streams") == 0)
		{
			c->stream = cdp_rule_object(item);
			c->stream_name = key[i];
		}
		read_rule(c, rule->item, item, at);
		if (strcmp(path, "streams") == 0)
			c->stream = NULL;
	}
}

/* Reads a list of at least one item. */
static void
read_list(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	const JsonbContainer *array = cdp_rule_array(v);

	if (array == NULL)
		wrong_type(c, v, path, "a list");
	else if (JsonContainerSize(array) == 0)
		cdp_manifest_problem(c, path, "out_of_range", NULL, "this list is empty");
	else
		for (int i = 0; i < JsonContainerSize(array); i++)
			read_rule(c, rule->item, cdp_rule_item(array, i), cdp_manifest_nth(path, i));
}

/* Reads auth: its kind tells which keys it has. */
static void
read_auth(ManifestCheck *c, const JsonbValue *v, const char *path)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const char *kind = cdp_manifest_text(object, "kind", NULL);
	const char *at = cdp_manifest_at(path, "kind");
	int			n = 0;

	if (object == NULL)
	{
		wrong_type(c, v, path, "an object");
		return;
	}
	for (; cdp_grammar_auth[n].kind != NULL; n++)
		if (kind != NULL && strcmp(kind, cdp_grammar_auth[n].kind) == 0)
		{
			read_object(c, cdp_grammar_auth[n].shape, v, path);
			return;
		}
	if (cdp_rule_get(object, "kind") == NULL)
		cdp_manifest_problem(c, at, "missing_key", NULL, "auth needs the key \"kind\"");
	else if (kind == NULL)
		wrong_type(c, cdp_rule_get(object, "kind"), at, "one of a few words");
	else
		cdp_manifest_problem(c, at, "unknown_word", cdp_rule_near(kind, cdp_grammar_auth_kinds, n), "there is no kind of auth %s", cdp_rule_quote(kind));
}

/* Reads a text that holds one thing: a name, a header, a template. */
static void
read_special(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	const char *text = read_text(c, v, path, "text", rule->kind == G_BLANK || rule->kind == G_TEMPLATE);

	if (text == NULL)
		return;
	if (rule->kind == G_NAME && !small_name(text))
		cdp_manifest_problem(c, path, "bad_name", "Write a small letter, then small letters, digits and _.", "%s cannot be a name here", cdp_rule_quote(text));
	else if (rule->kind == G_HEADER && !header_name(text))
		cdp_manifest_problem(c, path, "bad_header", NULL, "%s is no header that a manifest can name", cdp_rule_quote(text));
	else if (rule->kind == G_TEMPLATE)
		cdp_manifest_check_template(c, text, path, (int) rule->min);
}

/* Reads a value by its rule. */
static void
read_rule(ManifestCheck *c, const GrammarRule *rule, const JsonbValue *v, const char *path)
{
	switch (rule->kind)
	{
		case G_TEXT:
		case G_BLANK:
		case G_NAME:
		case G_HEADER:
		case G_TEMPLATE:
			read_special(c, rule, v, path);
			break;
		case G_WORD:
			read_word(c, rule, v, path);
			break;
		case G_BOOL:
			if (v->type != jbvBool)
				wrong_type(c, v, path, "true or false");
			break;
		case G_WHOLE:
			read_whole(c, rule, v, path);
			break;
		case G_NUMBER:
			read_number(c, v, path);
			break;
		case G_ZONE:
			read_zone(c, v, path);
			break;
		case G_CLOCK:
		case G_DAY:
			read_clock_or_day(c, rule, v, path);
			break;
		case G_SPAN:
			read_span(c, v, path);
			break;
		case G_URL:
			read_url(c, v, path);
			break;
		case G_PATH:
		case G_FIELD:
			read_path(c, rule, v, path);
			break;
		case G_TREE:
			cdp_manifest_check_tree(c, v, path, (int) rule->min, 0);
			break;
		case G_SCALAR:
			if (v->type == jbvString && v->val.string.len > MANIFEST_MAX_TEXT)
				cdp_manifest_problem(c, path, "out_of_range", NULL, "this text has more than %d bytes", MANIFEST_MAX_TEXT);
			else if (v->type != jbvString && v->type != jbvNumeric && v->type != jbvBool && !(v->type == jbvNull && rule->min))
				wrong_type(c, v, path, "a text, a number, or true or false");
			break;
		case G_STATUS:
			read_status(c, v, path);
			break;
		case G_PLACE:
			read_place(c, v, path);
			break;
		case G_OBJECT:
			read_object(c, rule->shape, v, path);
			break;
		case G_MAP:
			read_map(c, rule, v, path);
			break;
		case G_LIST:
			read_list(c, rule, v, path);
			break;
		case G_SOME:
			if (cdp_rule_array(v) != NULL)
				read_list(c, rule, v, path);
			else
				read_rule(c, rule->item, v, path);
			break;
		case G_EITHER:
			if (cdp_rule_object(v) != NULL)
				read_object(c, rule->shape, v, path);
			else
				read_rule(c, rule->item, v, path);
			break;
		case G_AUTH:
			read_auth(c, v, path);
			break;
	}
}

/* Seconds of a duration such as 10 min; 0 when it is none or absurd. */
int64
cdp_manifest_span(const char *text)
{
	static const struct
	{
		const char *unit;
		int64		seconds;
	}			units[] = {{" s", 1}, {" min", SECS_PER_MINUTE}, {" h", SECS_PER_HOUR}, {" day", SECS_PER_DAY}};
	size_t		digits = strspn(text, "0123456789");

	if (digits < 1 || digits > 6)
		return 0;
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(text + digits, units[i].unit) == 0)
			return atoi(text) * units[i].seconds;
	return 0;
}

/* Collects what is wrong with a manifest, an object. */
void
cdp_manifest_check(ManifestCheck *c, const JsonbContainer *root)
{
	JsonbValue	v;

	c->config = cdp_manifest_object(root, "config");
	c->secrets = cdp_manifest_object(root, "secrets");
	c->streams = cdp_manifest_object(root, "streams");
	v.type = jbvBinary;
	v.val.binary.data = (JsonbContainer *) root;
	read_object(c, &cdp_grammar_root, &v, "");
	cdp_manifest_check_references(c, root);
}

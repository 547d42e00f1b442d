/*
 * catalog.c
 *		What the names of a rule stand for: look-ups in the catalogue that the
 *		caller hands in as JSONB.
 *
 * The catalogue is made by our own functions: what is wrong with it is an error
 * of its own, not one of the rule.
 */
#include "segment/rule/rule.h"

#include "base/suggest.h"

/* Ends the call for a catalogue that does not look as agreed. */
static void
bad_catalog(const char *section, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the catalogue of rules is malformed"),
			 errdetail("The entry %s of \"%s\" is not as expected.", cdp_rule_quote(name), section),
			 errhint("Take the catalogue from cdp_internal.segment_catalog().")));
}

#define HINTED_ERRORS 100		/* more errors of one rule go without a look for near names */

/* Hint with the names among the keys of a section (NULL: it is empty) that are near. */
const char *
cdp_rule_near_key(RuleReader *r, const JsonbContainer *section, const char *name)
{
	int			n;
	const char **names;
	const char *hint;

	if (section == NULL || JsonContainerSize(section) == 0)
		return "There are none yet.";
	if (r->errors >= HINTED_ERRORS)
		return NULL;
	names = cdp_rule_keys(section, &n);
	hint = cdp_rule_near(name, names, n);
	for (int i = 0; i < n; i++)
		pfree(unconstify(char *, names[i]));
	pfree(names);
	return hint;
}

/* The entry of a name in a section (an object, an array or a number: its container or NULL); notes an error when it has none. */
static JsonbValue *
find_entry(RuleReader *r, const char *section, const char *name, const char *path, const char *code, const char *what)
{
	JsonbValue *whole = cdp_rule_get(r->catalog, section);
	const JsonbContainer *entries = cdp_rule_object(whole);
	JsonbValue *entry;

	if (whole != NULL && entries == NULL)
		bad_catalog(section, name);
	entry = entries == NULL ? NULL : cdp_rule_get(entries, name);
	if (entry == NULL)
		cdp_rule_error(r, path, code, cdp_rule_near_key(r, entries, name),
					   "%s %s is not known", what, cdp_rule_quote(name));
	return entry;
}

/* The entry, an object, of a name in a section; NULL after an error, or without a catalogue. */
const JsonbContainer *
cdp_rule_lookup(RuleReader *r, const char *section, const char *name, const char *path, const char *code, const char *what)
{
	JsonbValue *entry;

	if (r->catalog == NULL)
		return NULL;
	entry = find_entry(r, section, name, path, code, what);
	if (entry != NULL && cdp_rule_object(entry) == NULL)
		bad_catalog(section, name);
	return cdp_rule_object(entry);
}

/* The number of an entry. */
int64
cdp_rule_entry_id(const JsonbContainer *entry)
{
	JsonbValue *v = cdp_rule_get(entry, "id");
	int64		id;

	if (v == NULL || !cdp_rule_whole(v, &id))
		bad_catalog("id", "id");
	return id;
}

/* Notes an error when an entry is bound to purposes and that of the rule is not among them. */
void
cdp_rule_allowed(RuleReader *r, const JsonbContainer *entry, const char *path, const char *what, const char *name)
{
	JsonbValue *v = entry == NULL ? NULL : cdp_rule_get(entry, "purposes");
	const JsonbContainer *purposes = cdp_rule_array(v);
	StringInfoData known;

	if (r->purpose == NULL || purposes == NULL)
		return;
	initStringInfo(&known);
	for (int i = 0; i < JsonContainerSize(purposes); i++)
	{
		JsonbValue *item = cdp_rule_item(purposes, i);
		char	   *purpose;

		if (item->type != jbvString)
			bad_catalog("purposes", name);
		purpose = cdp_rule_string(item);
		if (strcmp(purpose, r->purpose) == 0)
			return;
		appendStringInfo(&known, "%s%s", i > 0 ? ", " : "", purpose);
	}
	cdp_rule_error(r, path, "E_PURPOSE",
				   known.len == 0 ? "No purpose may use it: an administrator can allow one."
				   : psprintf("It may be used for: %s.", known.data),
				   "%s %s may not be used for the purpose %s", what, cdp_rule_quote(name), cdp_rule_quote(r->purpose));
}

/* The type of an attribute by its word. */
static RuleType
type_of(const JsonbContainer *entry, const char *name)
{
	JsonbValue *v = cdp_rule_get(entry, "type");

	if (v != NULL && v->type == jbvString)
	{
		const char *word = cdp_rule_string(v);

		for (RuleType t = RULE_TYPE_TEXT; t <= RULE_TYPE_JSON; t++)
			if (strcmp(word, cdp_rule_type_name(t)) == 0)
				return t;
	}
	bad_catalog("attributes", name);
	return RULE_TYPE_TEXT;
}

/* Text under a key of an entry, or NULL. */
static const char *
text_of(const JsonbContainer *entry, const char *key)
{
	JsonbValue *v = cdp_rule_get(entry, key);

	return v != NULL && v->type == jbvString ? cdp_rule_string(v) : NULL;
}

/* Finds an attribute and checks its purposes; false after an error, or without a catalogue. */
bool
cdp_rule_resolve_attribute(RuleReader *r, const char *name, const char *path, RuleAttribute *out, bool *encrypted)
{
	const JsonbContainer *entry = cdp_rule_lookup(r, "attributes", name, path, "E_UNKNOWN_ATTR", "attribute");
	JsonbValue *v;

	if (entry == NULL)
		return false;
	cdp_rule_allowed(r, entry, path, "attribute", name);
	out->type = type_of(entry, name);
	out->column = text_of(entry, "column");
	out->json = text_of(entry, "json");
	out->key = text_of(entry, "key");
	if (out->key == NULL)
		out->key = name;
	if (out->column == NULL && out->json == NULL)
		bad_catalog("attributes", name);
	v = cdp_rule_get(entry, "encrypted");
	*encrypted = v != NULL && v->type == jbvBool && v->val.boolean;
	return true;
}

/* A segment reached on the search for a way back to the one being saved. */
typedef struct Reached
{
	const char *name;
	int			from;			/* index of the one that uses it; -1 for the first */
} Reached;

/* Notes the whole way from the segment being saved back to it. */
static void
report_cycle(RuleReader *r, const Reached *reached, int at, const char *path)
{
	StringInfoData way;
	int		   *chain = palloc(sizeof(int) * (at + 1));
	int			n = 0;

	for (int i = at; i >= 0; i = reached[i].from)
		chain[n++] = i;
	initStringInfo(&way);
	appendStringInfoString(&way, cdp_rule_quote(r->self));
	while (n-- > 0)
		appendStringInfo(&way, " -> %s", cdp_rule_quote(reached[chain[n]].name));
	if (strcmp(reached[at].name, r->self) != 0)
		appendStringInfo(&way, " -> %s", cdp_rule_quote(r->self));
	cdp_rule_error(r, path, "E_CYCLE", "A segment cannot rest on itself: take one of these references out.",
				   "the segments name each other in a circle: %s", way.data);
}

/* Notes an error when the segment named leads back to the one being saved.  Goes by breadth: the shortest way is told. */
void
cdp_rule_check_cycle(RuleReader *r, const char *name, const char *path)
{
	const JsonbContainer *segments = cdp_rule_object(r->catalog == NULL ? NULL : cdp_rule_get(r->catalog, "segments"));
	RuleTable	seen = {0};
	Reached    *reached;
	int			n = 1,
				room = 64;

	if (r->self == NULL || segments == NULL)
		return;
	reached = palloc(sizeof(Reached) * room);
	reached[0] = (Reached) {name, -1};
	cdp_rule_table_add(&seen, name);
	for (int at = 0; at < n; at++)
	{
		const JsonbContainer *entry = cdp_rule_object(cdp_rule_get(segments, reached[at].name));
		const JsonbContainer *uses = entry == NULL ? NULL : cdp_rule_array(cdp_rule_get(entry, "uses"));

		CHECK_FOR_INTERRUPTS();
		if (strcmp(reached[at].name, r->self) == 0)
		{
			report_cycle(r, reached, at, path);
			return;
		}
		for (int i = 0; uses != NULL && i < JsonContainerSize(uses); i++)
		{
			JsonbValue *item = cdp_rule_item(uses, i);
			char	   *used;

			if (item->type != jbvString)
				bad_catalog("segments", reached[at].name);
			used = cdp_rule_string(item);
			if (cdp_rule_table_add(&seen, used) < n)
				continue;
			if (n == room)
				reached = repalloc(reached, sizeof(Reached) * (room *= 2));
			reached[n++] = (Reached) {used, at};
		}
	}
}

/*
 * template_check.c
 *		What is wrong with the templates of a manifest: variables that are not
 *		there, secrets outside of auth, values that are not declared.
 */
#include "connector/manifest/manifest.h"

#include "segment/rule/rule.h"

static const char *const var_names[] = {
	"a literal", "$config", "$secret", "$token", "$partition", "$window.from", "$window.to", "$cursor", "$size",
	"$method", "$path", "$query", "$body", "$timestamp", "$nonce"
};

/* Notes that a name is not declared in config or secrets. */
static void
check_declared(ManifestCheck *c, const JsonbContainer *declared, const char *name, const char *path, const char *where)
{
	const char **known = NULL;
	int			n = 0;

	if (cdp_manifest_get(declared, name) != NULL)
		return;
	if (declared != NULL)
		known = cdp_rule_keys(declared, &n);
	cdp_manifest_problem(c, path, "unknown_reference", cdp_rule_near(name, known, n), "%s has no entry %s", where, cdp_rule_quote(name));
}

/* Notes what a variable of a stream needs and the stream lacks. */
static void
check_stream_variable(ManifestCheck *c, const TemplatePiece *piece, const char *path)
{
	const JsonbContainer *partition = cdp_manifest_object(c->stream, "partition");
	const JsonbContainer *fields = cdp_manifest_object(partition, "fields");

	if (piece->var == VAR_PARTITION)
	{
		if (partition == NULL)
			cdp_manifest_problem(c, path, "unknown_reference", "Give the stream a key partition.", "the stream has no partition");
		else if (piece->text != NULL && !c->in_each && cdp_manifest_whole(partition, "chunk", 1) > 1)
			cdp_manifest_problem(c, path, "conflict", "Put it into {\"$each\": ...}, or leave chunk out.", "a chunk of partitions has no %s of its own", cdp_rule_quote(piece->text));
		else if (piece->text != NULL && fields == NULL)
			cdp_manifest_problem(c, path, "unknown_reference", "Give the partition the key fields.", "the partition has no fields to take %s from", cdp_rule_quote(piece->text));
		else if (piece->text != NULL)
			check_declared(c, fields, piece->text, path, "fields of the partition");
		else if (fields != NULL)
			cdp_manifest_problem(c, path, "unknown_reference", "Write $partition.name.", "a partition with fields has no value of its own");
	}
	else if (piece->var == VAR_WINDOW_FROM || piece->var == VAR_WINDOW_TO)
	{
		if (cdp_manifest_object(c->stream, "window") == NULL)
			cdp_manifest_problem(c, path, "unknown_reference", "Give the stream a key window.", "the stream has no window");
	}
	else if (piece->var == VAR_CURSOR || piece->var == VAR_SIZE)
	{
		const JsonbContainer *cursor = cdp_manifest_object(c->stream, "cursor");

		if (cursor == NULL)
			cdp_manifest_problem(c, path, "unknown_reference", "Give the stream a key cursor.", "the stream has no cursor");
		else if (piece->var == VAR_SIZE && cdp_manifest_get(cursor, "size") == NULL)
			cdp_manifest_problem(c, path, "unknown_reference", "Give the cursor the key size.", "the cursor has no size");
	}
}

/* Notes what is wrong with a template in which the allowed variables may stand. */
void
cdp_manifest_check_template(ManifestCheck *c, const char *text, const char *path, int allowed)
{
	ManifestTemplate t;
	const char *hint;
	const char *why = cdp_manifest_template_parse(text, &t, &hint);

	if (why != NULL)
	{
		cdp_manifest_problem(c, path, "bad_template", hint, "%s", why);
		return;
	}
	for (int i = 0; i < t.n; i++)
	{
		const TemplatePiece *piece = &t.piece[i];

		if (piece->var == VAR_LITERAL)
			continue;
		if (piece->var == VAR_SECRET && (allowed & VAR_BIT(VAR_SECRET)) == 0)
			cdp_manifest_problem(c, path, "secret_outside_auth", "Name secrets in auth only; what it makes of them is put into each request.", "a secret cannot be named here");
		else if ((allowed & VAR_BIT(piece->var)) == 0)
			cdp_manifest_problem(c, path, "unknown_variable", NULL, "%s cannot be named here", var_names[piece->var]);
		else if (piece->var == VAR_CONFIG)
			check_declared(c, c->config, piece->text, path, "config");
		else if (piece->var == VAR_SECRET)
			check_declared(c, c->secrets, piece->text, path, "secrets");
		else
			check_stream_variable(c, piece, path);
	}
}

/* Notes what is wrong with JSON that has templates in its texts. */
void
cdp_manifest_check_tree(ManifestCheck *c, const JsonbValue *v, const char *path, int allowed, int depth)
{
	const JsonbContainer *object = cdp_rule_object(v);
	const JsonbContainer *array = cdp_rule_array(v);

	CHECK_FOR_INTERRUPTS();
	if (depth > MANIFEST_MAX_DEPTH)
		cdp_manifest_problem(c, path, "out_of_range", NULL, "this is nested more than %d deep", MANIFEST_MAX_DEPTH);
	else if (object != NULL)
	{
		int			n;
		const char **key = cdp_rule_keys(object, &n);
		bool		within;

		for (int i = 0; i < n; i++)
		{
			if (strcmp(key[i], "$each") == 0)
			{
				if (n > 1 || (allowed & VAR_BIT(VAR_PARTITION)) == 0)
					cdp_manifest_problem(c, cdp_manifest_at(path, key[i]), "conflict", NULL, "$each stands alone in its object, in a request of a stream with a partition");
				else if (cdp_manifest_object(c->stream, "partition") == NULL)
					cdp_manifest_problem(c, cdp_manifest_at(path, key[i]), "unknown_reference", "Give the stream a key partition.", "the stream has no partition");
			}
			else if (key[i][0] == '$')
				cdp_manifest_problem(c, cdp_manifest_at(path, key[i]), "bad_template", NULL, "a key cannot be a variable");
			within = c->in_each;
			c->in_each |= strcmp(key[i], "$each") == 0;
			cdp_manifest_check_tree(c, cdp_rule_get(object, key[i]), cdp_manifest_at(path, key[i]), allowed, depth + 1);
			c->in_each = within;
		}
	}
	else if (array != NULL)
		for (int i = 0; i < JsonContainerSize(array); i++)
			cdp_manifest_check_tree(c, cdp_rule_item(array, i), cdp_manifest_nth(path, i), allowed, depth + 1);
	else if (v->type == jbvString)
	{
		if (v->val.string.len > MANIFEST_MAX_TEXT)
			cdp_manifest_problem(c, path, "out_of_range", NULL, "this text has more than %d bytes", MANIFEST_MAX_TEXT);
		else
			cdp_manifest_check_template(c, cdp_rule_string(v), path, allowed);
	}
}

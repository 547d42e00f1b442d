/*
 * template.c
 *		Templates: texts of a manifest in which $config.shop or $window.from stand
 *		for values.
 *
 * There is nothing to compute in them.  A name ends where its letters end, or in
 * braces: ${partition.id}.json; $$ is a dollar sign.
 */
#include "connector/manifest/manifest.h"

#include "base/suggest.h"
#include "segment/rule/rule.h"

static const struct
{
	const char *word;
	TemplateVar var;
	bool		named;			/* a name comes behind a dot */
}			vars[] = {
	{"config", VAR_CONFIG, true}, {"secret", VAR_SECRET, true}, {"token", VAR_TOKEN, false}, {"partition", VAR_PARTITION, true},
	{"cursor", VAR_CURSOR, false}, {"size", VAR_SIZE, false}, {"method", VAR_METHOD, false}, {"path", VAR_PATH, false},
	{"query", VAR_QUERY, false}, {"body", VAR_BODY, false}, {"timestamp", VAR_TIMESTAMP, false}, {"nonce", VAR_NONCE, false},
};

static const char *const var_words[] = {
	"config", "secret", "partition", "window", "cursor", "size", "method", "path", "query", "body", "timestamp", "nonce", "token",
};

static const char *const format_names[TIME_FORMATS + 1] = {
	"epoch", "epoch_ms", "date", "yyyymmdd", "yyyymmdd_number", "iso", "datetime", NULL
};

/* The word of a format of time. */
const char *
cdp_manifest_time_format_name(TimeFormat format)
{
	return format_names[format];
}

/* The words of the formats of time, NULL at their end. */
const char *const *
cdp_manifest_time_format_names(void)
{
	return format_names;
}

/* The format of time of that word, or -1. */
int
cdp_manifest_time_format(const char *name)
{
	for (int i = 0; i < TIME_FORMATS; i++)
		if (strcmp(name, format_names[i]) == 0)
			return i;
	return -1;
}

/* Reads window.from or window.to with the format behind it; returns what is wrong, or NULL. */
static const char *
read_window(const char *rest, TemplatePiece *piece, const char **hint)
{
	const char *end = strchr(rest, '_');
	size_t		n = end == NULL ? strlen(rest) : (size_t) (end - rest);

	if (n == 4 && strncmp(rest, "from", 4) == 0)
		piece->var = VAR_WINDOW_FROM;
	else if (n == 2 && strncmp(rest, "to", 2) == 0)
		piece->var = VAR_WINDOW_TO;
	else
	{
		*hint = "Write $window.from, $window.to, or with a format $window.from_epoch.";
		return psprintf("a window has no %s", cdp_rule_quote(rest));
	}
	piece->format = end == NULL ? -1 : cdp_manifest_time_format(end + 1);
	if (end == NULL || piece->format >= 0)
		return NULL;
	*hint = cdp_rule_near(end + 1, format_names, TIME_FORMATS);
	return psprintf("a day has no format %s", cdp_rule_quote(end + 1));
}

/* Reads the name of a variable; returns what is wrong, or NULL. */
static const char *
read_variable(const char *name, TemplatePiece *piece, const char **hint)
{
	const char *dot = strchr(name, '.');
	char	   *word = dot == NULL ? pstrdup(name) : pnstrdup(name, dot - name);

	if (strcmp(word, "window") == 0)
		return read_window(dot == NULL ? "" : dot + 1, piece, hint);
	for (int i = 0; i < lengthof(vars); i++)
	{
		if (strcmp(word, vars[i].word) != 0)
			continue;
		if (dot != NULL && (!vars[i].named || dot[1] == '\0'))
			return psprintf("$%s takes no name", word);
		if (dot == NULL && (vars[i].var == VAR_CONFIG || vars[i].var == VAR_SECRET))
			return psprintf("$%s needs a name: $%s.name", word, word);
		piece->var = vars[i].var;
		piece->text = dot == NULL ? NULL : pstrdup(dot + 1);
		return NULL;
	}
	*hint = cdp_rule_near(word, var_words, lengthof(var_words));
	return psprintf("there is no variable %s", cdp_rule_quote(name));
}

/* Whether a byte can stand in the name of a variable. */
static inline bool
name_byte(char c)
{
	return isalnum((unsigned char) c) || c == '_';
}

/* The name of the variable at a dollar sign, and where the text goes on; NULL without one. */
static char *
variable_name(const char *p, const char **rest)
{
	const char *start = p + 1;
	const char *end;

	if (*start == '{')
	{
		end = strchr(++start, '}');
		if (end == NULL || end == start)
			return NULL;
		*rest = end + 1;
		return pnstrdup(start, end - start);
	}
	for (end = start; name_byte(*end) || (*end == '.' && end > start && name_byte(end[1])); end++)
		if (*end == '.' && memchr(start, '.', end - start) != NULL)
			break;
	*rest = end;
	return end == start ? NULL : pnstrdup(start, end - start);
}

/* Cuts a text into literals and variables; returns what is wrong with it, or NULL.  The hint may be set. */
const char *
cdp_manifest_template_parse(const char *text, ManifestTemplate *out, const char **hint)
{
	StringInfoData literal;

	*hint = NULL;
	out->n = 0;
	initStringInfo(&literal);
	for (const char *p = text;;)
	{
		bool		variable = *p == '$' && p[1] != '$';

		if (literal.len > 0 && (variable || *p == '\0'))
		{
			if (out->n == TEMPLATE_MAX_PIECES)
				return "a text has too many variables";
			out->piece[out->n++] = (TemplatePiece) {VAR_LITERAL, pstrdup(literal.data), -1};
			resetStringInfo(&literal);
		}
		if (*p == '\0')
			return NULL;
		if (variable)
		{
			TemplatePiece *piece = &out->piece[out->n];
			char	   *name = variable_name(p, &p);
			const char *why;

			if (out->n == TEMPLATE_MAX_PIECES)
				return "a text has too many variables";
			if (name == NULL)
			{
				*hint = "A dollar sign itself is written $$.";
				return "behind a dollar sign comes a name";
			}
			*piece = (TemplatePiece) {VAR_LITERAL, NULL, -1};
			why = read_variable(name, piece, hint);
			if (why != NULL)
				return why;
			out->n++;
			continue;
		}
		p += *p == '$';
		appendStringInfoChar(&literal, *p++);
	}
}

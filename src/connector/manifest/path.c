/*
 * path.c
 *		Paths into answers: $.list[*].id of a page, follow_info.userid of a record.
 *
 * A path is names with dots, items in brackets, and [*] for all of them; a name
 * that is no plain word stands in brackets and quotes.  There is nothing to
 * compute in it.  The path of a page begins with $.  That of a record begins with
 * a name, or is @, the record itself; $ is its page there, and $partition,
 * $window.from, $window.to and $config.name are what it was asked with.
 */
#include "connector/manifest/manifest.h"

#include "miscadmin.h"
#include "segment/rule/rule.h"

/* Whether a byte can stand in a name without quotes; anything beyond ASCII can. */
static inline bool
plain(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '-' || c == '@' || c == ':' || IS_HIGHBIT_SET(c);
}

/* Reads a plain name and moves on; NULL when there is none. */
static char *
read_name(const char **p)
{
	const char *start = *p;

	while (plain(**p))
		(*p)++;
	return *p == start ? NULL : pnstrdup(start, *p - start);
}

/* Reads what stands in brackets, and moves on behind them; returns what is wrong with it, or NULL. */
static const char *
read_bracket(const char **p, PathStep *step)
{
	const char *start = ++(*p);

	step->name = NULL;
	if (*start == '*')
	{
		step->index = -1;
		(*p)++;
	}
	else if (*start == '"')
	{
		const char *end = strchr(start + 1, '"');

		if (end == NULL || end == start + 1)
			return "a name in brackets needs its quotes: [\"a name\"]";
		step->name = pnstrdup(start + 1, end - start - 1);
		*p = end + 1;
	}
	else
	{
		int64		index = 0;

		while (**p >= '0' && **p <= '9' && *p - start < 9)
			index = index * 10 + (*(*p)++ - '0');
		if (*p == start)
			return "brackets hold a number from 0, a star or a name in quotes";
		step->index = (int) index;
	}
	if (**p != ']')
		return "a bracket is not closed";
	(*p)++;
	return NULL;
}

/* Reads the steps of a path; first tells that a name may come without a dot.  Returns what is wrong, or NULL. */
static const char *
read_steps(const char *p, bool first, ManifestPath *out)
{
	for (; *p != '\0'; first = false)
	{
		PathStep   *step = &out->step[out->n];
		const char *why;

		if (out->n == PATH_MAX_STEPS)
			return "a path has at most 16 steps";
		if (*p == '[')
		{
			why = read_bracket(&p, step);
			if (why != NULL)
				return why;
			out->many |= step->name == NULL && step->index < 0;
		}
		else
		{
			if (*p == '.' && !first)
				p++;
			else if (!first)
				return "names are parted by dots";
			step->name = read_name(&p);
			if (step->name == NULL)
				return "a name is missing, or has characters that take brackets and quotes: [\"a name\"]";
		}
		out->n++;
	}
	return NULL;
}

/* Reads what a path of a record takes from the request: $partition.name and its sisters; returns what is wrong, or NULL. */
static const char *
read_request_path(const char *text, ManifestPath *out)
{
	if (strcmp(text, "$window.from") == 0)
		out->root = PATH_WINDOW_FROM;
	else if (strcmp(text, "$window.to") == 0)
		out->root = PATH_WINDOW_TO;
	else if (strcmp(text, "$partition") == 0)
		out->root = PATH_PARTITION;
	else if (strncmp(text, "$partition.", 11) == 0)
	{
		out->root = PATH_PARTITION;
		return read_steps(text + 11, true, out);
	}
	else if (strncmp(text, "$config.", 8) == 0)
	{
		const char *why = read_steps(text + 8, true, out);

		out->root = PATH_CONFIG;
		return why != NULL ? why : out->n != 1 || out->step[0].name == NULL ? "$config takes one name" : NULL;
	}
	else
		return "behind $ comes a dot, a bracket, or one of partition, window.from, window.to, config";
	return NULL;
}

/* Reads the text of a path; false with what is wrong.  of_record: it begins at a record, not at the page. */
bool
cdp_manifest_path_parse(const char *text, bool of_record, ManifestPath *out, const char **why)
{
	out->root = PATH_RECORD;
	out->many = false;
	out->n = 0;
	if (*text == '$' && (text[1] == '\0' || text[1] == '.' || text[1] == '['))
	{
		out->root = PATH_DOCUMENT;
		*why = text[1] == '.' ? read_steps(text + 2, true, out) : read_steps(text + 1, false, out);
		if (*why == NULL && text[1] == '.' && out->n == 0)
			*why = "a name is missing";
	}
	else if (!of_record)
		*why = "the path of a page begins with $";
	else if (*text == '$')
		*why = read_request_path(text, out);
	else if (strcmp(text, "@") == 0)
		*why = NULL;
	else if (*text == '\0')
		*why = "it is empty";
	else
		*why = read_steps(text, true, out);
	return *why == NULL;
}

/* The path of a text of a checked manifest. */
ManifestPath *
cdp_manifest_path(const char *text, bool of_record)
{
	ManifestPath *path = palloc(sizeof(ManifestPath));
	const char *why;

	if (!cdp_manifest_path_parse(text, of_record, path, &why))
		elog(ERROR, "a checked path is none: %s", why);
	return path;
}

/* Goes one step that leads to one value; false when there is none. */
static bool
go(const PathStep *step, const JsonbValue *from, JsonbValue *out)
{
	const JsonbContainer *object = cdp_rule_object(from);
	const JsonbContainer *array = cdp_rule_array(from);
	JsonbValue *v = NULL;

	if (step->name != NULL && object != NULL)
		v = cdp_rule_get(object, step->name);
	else if (step->name == NULL && array != NULL && step->index >= 0 && step->index < JsonContainerSize(array))
		v = cdp_rule_item(array, step->index);
	if (v == NULL)
		return false;
	*out = *v;
	pfree(v);
	return true;
}

/* Adds a value to the list, which has a bound. */
static void
add_record(ManifestRecords *out, const JsonbValue *v)
{
	if (out->n == PAGE_MAX_RECORDS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a page has more than %d records", PAGE_MAX_RECORDS),
				 errhint("Ask for smaller pages.")));
	if (out->n == out->room)
	{
		out->room = out->room == 0 ? 64 : out->room * 2;
		out->value = out->value == NULL ? palloc(sizeof(JsonbValue) * out->room)
			: repalloc(out->value, sizeof(JsonbValue) * out->room);
	}
	out->value[out->n++] = *v;
}

/* Goes on from step i, into every item where the step says so. */
static void
walk(const ManifestPath *path, int i, const JsonbValue *from, ManifestRecords *out)
{
	JsonbValue	next = *from;

	for (; i < path->n; i++)
	{
		const PathStep *step = &path->step[i];

		if (step->name == NULL && step->index < 0)
		{
			const JsonbContainer *array = cdp_rule_array(&next);
			JsonbIterator *it;
			JsonbIteratorToken token;
			JsonbValue	item;

			if (array == NULL)
				return;
			it = JsonbIteratorInit((JsonbContainer *) array);
			while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
				if (token == WJB_ELEM)
				{
					CHECK_FOR_INTERRUPTS();
					walk(path, i + 1, &item, out);
				}
			return;
		}
		if (!go(step, &next, &next))
			return;
	}
	add_record(out, &next);
}

/* The first value that a path leads to from a value; false when there is none. */
bool
cdp_manifest_path_first(const ManifestPath *path, const JsonbValue *from, JsonbValue *out)
{
	ManifestRecords all = {0};

	if (!path->many)
	{
		*out = *from;
		for (int i = 0; i < path->n; i++)
			if (!go(&path->step[i], out, out))
				return false;
		return true;
	}
	walk(path, 0, from, &all);
	if (all.n > 0)
		*out = all.value[0];
	return all.n > 0;
}

/* Adds every value that a path leads to from a value, in their order. */
void
cdp_manifest_path_all(const ManifestPath *path, const JsonbValue *from, ManifestRecords *out)
{
	walk(path, 0, from, out);
}

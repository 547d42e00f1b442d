/*
 * problem.c
 *		What is wrong with a manifest: problems with the path to where they are.
 */
#include "connector/manifest/manifest.h"

#include "segment/rule/rule.h"

/* Notes a problem at a path; the hint may be NULL.  Beyond the last that is kept they are counted. */
void
cdp_manifest_problem(ManifestCheck *c, const char *path, const char *code, const char *hint, const char *fmt,...)
{
	StringInfoData text;
	ManifestProblem *p;

	if (c->n >= MANIFEST_MAX_PROBLEMS)
	{
		c->left_out++;
		return;
	}
	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&text, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	if (c->n == c->room)
	{
		c->room = c->room == 0 ? 16 : c->room * 2;
		c->problem = c->problem == NULL ? palloc(sizeof(ManifestProblem) * c->room)
			: repalloc(c->problem, sizeof(ManifestProblem) * c->room);
	}
	p = &c->problem[c->n++];
	p->path = path;
	p->code = code;
	p->text = text.data;
	p->hint = hint;
}

/* Path of a key below a path: streams.contacts, or with what is no plain word query["a[]"]. */
const char *
cdp_manifest_at(const char *path, const char *key)
{
	bool		plain = *key != '\0';

	for (const char *p = key; *p != '\0'; p++)
		plain &= isalnum((unsigned char) *p) || *p == '_' || *p == '-';
	if (!plain)
	{
		const char *quoted = cdp_rule_quote(key);

		return psprintf("%s[%s]", path, quoted);
	}
	return *path == '\0' ? pstrdup(key) : psprintf("%s.%s", path, key);
}

/* Path of the i-th item, from 0. */
const char *
cdp_manifest_nth(const char *path, int i)
{
	return psprintf("%s[%d]", path, i);
}

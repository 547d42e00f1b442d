/*
 * match_term.c
 *		Terms of a match model: each different one once, and how they are written.
 */
#include "identity/match/match.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Writes a name in double quotes, always: one text for one name. */
static void
write_name(StringInfo out, const char *name, char suffix)
{
	appendStringInfoChar(out, '"');
	for (const char *c = name; *c; c++)
	{
		if (*c == '"')
			appendStringInfoChar(out, '"');
		appendStringInfoChar(out, *c);
	}
	if (suffix)
		appendStringInfo(out, "_%c", suffix);
	appendStringInfoChar(out, '"');
}

/* Writes a text as a literal that no setting of the session reads in another way. */
static void
write_literal(StringInfo out, const char *text)
{
	if (strchr(text, '\\') != NULL)
		appendStringInfoString(out, quote_literal_cstr(text));
	else
	{
		appendStringInfoChar(out, '\'');
		for (const char *c = text; *c; c++)
		{
			if (*c == '\'')
				appendStringInfoChar(out, '\'');
			appendStringInfoChar(out, *c);
		}
		appendStringInfoChar(out, '\'');
	}
}

/* The schema of extension fuzzystrmatch, InvalidOid without it. */
static Oid
fuzzy_schema(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			schema = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("fuzzystrmatch"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return schema;
}

/* Writes a function of fuzzystrmatch, which may be in any schema. */
static void
write_fuzzy(StringInfo out, const char *name, CdpTermStyle style)
{
	if (style == CDP_STYLE_POSTGRES)
	{
		Oid			schema = fuzzy_schema();

		if (!OidIsValid(schema))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("the match model uses %s(), which extension fuzzystrmatch brings", name),
					 errhint("Run: CREATE EXTENSION fuzzystrmatch;")));
		appendStringInfo(out, "%s.", quote_identifier(get_namespace_name(schema)));
	}
	appendStringInfo(out, "%s(", name);
}

/* Writes a term. Columns become prefix"column_suffix"; for PostgreSQL, cast to text. */
void
cdp_term_write(StringInfo out, const CdpTerm *t, const char *prefix, char suffix, CdpTermStyle style)
{
	check_stack_depth();
	switch (t->kind)
	{
		case CDP_TERM_COLUMN:
			appendStringInfoString(out, prefix);
			write_name(out, t->text, suffix);
			if (style == CDP_STYLE_POSTGRES)
				appendStringInfoString(out, "::text");
			return;
		case CDP_TERM_LOWER:
			appendStringInfoString(out, "lower(");
			break;
		case CDP_TERM_UPPER:
			appendStringInfoString(out, "upper(");
			break;
		case CDP_TERM_TRIM:
			appendStringInfoString(out, style == CDP_STYLE_POSTGRES ? "btrim(" : "trim(");
			break;
		case CDP_TERM_SUBSTR:
			appendStringInfoString(out, "substr(");
			break;
		case CDP_TERM_NULLIF:
			appendStringInfoString(out, "nullif(");
			break;
		case CDP_TERM_SOUNDEX:
			write_fuzzy(out, "soundex", style);
			break;
		case CDP_TERM_DMETAPHONE:
			write_fuzzy(out, "dmetaphone", style);
			break;
		case CDP_TERM_EXTRACT:
			appendStringInfoString(out, style == CDP_STYLE_POSTGRES ? "substring(" : "regexp_extract(");
			break;
		case CDP_TERM_CONCAT:
			appendStringInfoChar(out, '(');
			cdp_term_write(out, t->arg, prefix, suffix, style);
			appendStringInfoString(out, " || ");
			if (t->arg2 != NULL)
				cdp_term_write(out, t->arg2, prefix, suffix, style);
			else
				write_literal(out, t->text);
			appendStringInfoChar(out, ')');
			return;
	}
	cdp_term_write(out, t->arg, prefix, suffix, style);
	if (t->kind == CDP_TERM_SUBSTR)
	{
		appendStringInfo(out, ", %d", t->from);
		if (t->count >= 0)
			appendStringInfo(out, ", %d", t->count);
	}
	else if (t->kind == CDP_TERM_NULLIF || t->kind == CDP_TERM_EXTRACT)
	{
		appendStringInfoString(out, ", ");
		write_literal(out, t->text);
		/* DuckDB wants to know the group; the known patterns have one at most. */
		if (t->kind == CDP_TERM_EXTRACT && style == CDP_STYLE_CANONICAL)
			appendStringInfo(out, ", %d", strchr(t->text, '(') != NULL ? 1 : 0);
	}
	appendStringInfoChar(out, ')');
}

/* Appends the names of the columns that a term reads; they stay the term's. */
void
cdp_term_columns(const CdpTerm *t, List **columns)
{
	check_stack_depth();
	if (t->kind == CDP_TERM_COLUMN)
		*columns = lappend(*columns, t->text);
	if (t->arg != NULL)
		cdp_term_columns(t->arg, columns);
	if (t->arg2 != NULL)
		cdp_term_columns(t->arg2, columns);
}

/* Number of the term in the list, where it is put when it is new. */
int
cdp_term_intern(CdpTermList *list, CdpTerm *term, const char *path)
{
	StringInfoData name;

	initStringInfo(&name);
	cdp_term_write(&name, term, "", '\0', CDP_STYLE_CANONICAL);
	for (int i = 0; i < list->n; i++)
		if (strcmp(list->name[i], name.data) == 0)
		{
			pfree(name.data);
			return i;
		}
	if (list->n == CDP_MATCH_MAX_TERMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a match model has at most %d different expressions", CDP_MATCH_MAX_TERMS),
				 errdetail("The next one is met at %s.", path)));
	list->term[list->n] = term;
	list->name[list->n] = name.data;
	return list->n++;
}

/*
 * lines.c
 *		Bodies that are no one JSON value: a line of JSON a record, and CSV
 *		(RFC 4180).  Both become a list, so that $[*] are their records.
 */
#include "connector/manifest/scrub.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* The list that a text of JSON is, in the encoding of the database. */
static Jsonb *
list_of(StringInfo json)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(pg_any_to_server(json->data, json->len, PG_UTF8))));
}

/* Whether a line has nothing in it. */
static bool
blank(const char *p, int64 n)
{
	while (n > 0 && (*p == ' ' || *p == '\t' || *p == '\r'))
	{
		p++;
		n--;
	}
	return n == 0;
}

/* A list of the values of the lines; empty lines are none.  NULL with what is wrong. */
Jsonb *
cdp_scrub_lines(const char *bytes, int64 len, int64 *scrubbed, const char **problem)
{
	StringInfoData all;
	const char *end = bytes + len;
	int64		line = 0;

	*problem = len > SCRUB_MAX_BYTES ? psprintf("the body has %lld bytes; at most %d are read", (long long) len, SCRUB_MAX_BYTES) : NULL;
	if (*problem != NULL)
		return NULL;
	initStringInfo(&all);
	appendStringInfoChar(&all, '[');
	for (const char *p = bytes; p < end;)
	{
		const char *stop = memchr(p, '\n', end - p);
		int64		n = (stop == NULL ? end : stop) - p;

		CHECK_FOR_INTERRUPTS();
		line++;
		if (!blank(p, n))
		{
			if (all.len > 1)
				appendStringInfoChar(&all, ',');
			*problem = cdp_scrub_json(p, n, &all, scrubbed);
			if (*problem != NULL)
			{
				*problem = psprintf("line %lld: %s", (long long) line, *problem);
				return NULL;
			}
		}
		p += n + 1;
	}
	appendStringInfoChar(&all, ']');
	return list_of(&all);
}

/* One field of CSV; quoted tells an empty text from no value. */
typedef struct CsvField
{
	StringInfoData text;
	bool		quoted;
} CsvField;

typedef struct CsvReader
{
	const char *p,
			   *end;
	char		delimiter;
	int64		line;
	int			n;
	CsvField	field[CSV_MAX_COLUMNS];
	const char *problem;
} CsvReader;

/* Reads a field in quotes; p is behind the first one.  False when it does not end. */
static bool
read_quoted(CsvReader *r, StringInfo text)
{
	while (r->p < r->end)
	{
		if (*r->p == '"' && r->p + 1 < r->end && r->p[1] == '"')
			r->p++;
		else if (*r->p == '"')
		{
			r->p++;
			return true;
		}
		r->line += *r->p == '\n';
		appendStringInfoChar(text, *r->p++);
	}
	r->problem = psprintf("line %lld: a quoted field does not end", (long long) r->line);
	return false;
}

/* Reads one record; false at the end or with a problem. */
static bool
read_record(CsvReader *r)
{
	if (r->p >= r->end)
		return false;
	for (r->n = 0;; r->p++)
	{
		CsvField   *f = &r->field[r->n];

		if (r->n == CSV_MAX_COLUMNS)
		{
			r->problem = psprintf("line %lld has more than %d fields", (long long) r->line, CSV_MAX_COLUMNS);
			return false;
		}
		if (f->text.data == NULL)
			initStringInfo(&f->text);
		resetStringInfo(&f->text);
		f->quoted = r->p < r->end && *r->p == '"';
		r->n++;
		if (f->quoted)
		{
			r->p++;
			if (!read_quoted(r, &f->text))
				return false;
		}
		while (r->p < r->end && *r->p != r->delimiter && *r->p != '\n' && *r->p != '\r')
		{
			if (f->quoted)
			{
				r->problem = psprintf("line %lld: a quoted field goes on behind its quote", (long long) r->line);
				return false;
			}
			appendStringInfoChar(&f->text, *r->p++);
		}
		if (r->p >= r->end || *r->p != r->delimiter)
			break;
	}
	if (r->p < r->end && *r->p == '\r')
		r->p++;
	if (r->p < r->end && *r->p == '\n')
		r->p++;
	r->line++;
	return true;
}

/* The names of the columns, from the form or the first record; NULL with a problem. */
static char **
read_columns(CsvReader *r, const CsvForm *form, int *n)
{
	char	  **column = form->column;

	*n = form->ncolumns;
	if (form->header)
	{
		if (!read_record(r))
			return NULL;
		if (form->ncolumns == 0)
		{
			*n = r->n;
			column = palloc(sizeof(char *) * r->n);
			for (int i = 0; i < r->n; i++)
				column[i] = pstrdup(r->field[i].text.data);
		}
	}
	for (int i = 0; i < *n; i++)
		for (int k = 0; k < i; k++)
			if (strcmp(column[i], column[k]) == 0)
			{
				r->problem = psprintf("columns %d and %d have one name", k + 1, i + 1);
				return NULL;
			}
	return column;
}

/* A list of objects, one a line of CSV; values are texts, an empty field without quotes is null.  NULL with what is wrong. */
Jsonb *
cdp_scrub_csv(const char *bytes, int64 len, const CsvForm *form, int64 *scrubbed, const char **problem)
{
	CsvReader  *r = palloc0(sizeof(CsvReader));
	StringInfoData clean,
				all;
	char	  **column;
	int			n;

	*problem = len > SCRUB_MAX_BYTES / 4 ? psprintf("the body has %lld bytes; at most %d are read", (long long) len, SCRUB_MAX_BYTES / 4) : NULL;
	if (*problem != NULL)
		return NULL;
	initStringInfo(&clean);
	initStringInfo(&all);
	if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
	{
		bytes += 3;
		len -= 3;
		(*scrubbed)++;
	}
	cdp_scrub_text(bytes, len, &clean, scrubbed);
	r->p = clean.data;
	r->end = clean.data + clean.len;
	r->delimiter = form->delimiter;
	r->line = 1;
	column = read_columns(r, form, &n);
	appendStringInfoChar(&all, '[');
	while (r->problem == NULL && (column != NULL || n == 0) && read_record(r))
	{
		CHECK_FOR_INTERRUPTS();
		if (r->n == 1 && r->field[0].text.len == 0 && !r->field[0].quoted)
			continue;
		if (r->n != n)
		{
			r->problem = psprintf("line %lld has %d fields where there are %d columns", (long long) r->line - 1, r->n, n);
			break;
		}
		/* Names of columns on each line make more of a body than it was. */
		if (all.len > SCRUB_MAX_BYTES)
		{
			r->problem = psprintf("the body makes more than %d bytes of records", SCRUB_MAX_BYTES);
			break;
		}
		appendStringInfoString(&all, all.len > 1 ? ",{" : "{");
		for (int i = 0; i < n; i++)
		{
			if (i > 0)
				appendStringInfoChar(&all, ',');
			escape_json(&all, column[i]);
			appendStringInfoChar(&all, ':');
			if (r->field[i].text.len == 0 && !r->field[i].quoted)
				appendStringInfoString(&all, "null");
			else
				escape_json(&all, r->field[i].text.data);
		}
		appendStringInfoChar(&all, '}');
	}
	*problem = r->problem;
	if (*problem != NULL)
		return NULL;
	appendStringInfoChar(&all, ']');
	return list_of(&all);
}

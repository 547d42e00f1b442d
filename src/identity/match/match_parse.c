/*
 * match_parse.c
 *		Reads a condition of a match model: from SQL text of a closed list of
 *		forms to a tree over terms.  Whatever is not on the list is refused with
 *		the place in the model; nothing is ever run.
 *
 * A column of one record is written l.name or "name_l".  A value is a term of
 * one side, a number, a text, a date of one side, or a measure of both sides;
 * a comparison turns values into a condition.
 */
#include "identity/match/match.h"

#include <math.h>

#include "mb/pg_wchar.h"

typedef enum TokenKind
{
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_NUMBER,
	TOKEN_TEXT,
	TOKEN_SYMBOL
} TokenKind;

typedef struct Token
{
	TokenKind	kind;
	bool		quoted;
	int			at;
	char	   *text;			/* of a symbol: the symbol */
	double		number;
} Token;

typedef struct Parser
{
	const char *path;
	Token	   *token;
	int			n;
	int			next;
	int			depth;
	CdpTermList *terms;
} Parser;

typedef enum ValueKind
{
	VALUE_NUMBER,
	VALUE_TEXT,
	VALUE_TERM,
	VALUE_DATE,
	VALUE_EPOCH,
	VALUE_MEASURE,
	VALUE_DIFFERENCE,			/* of dates, with a sign that only abs takes off */
	VALUE_ARRAY					/* the elements that two arrays share */
} ValueKind;

typedef struct Value
{
	ValueKind	kind;
	int			at;
	double		number;
	char	   *text;
	char		side;
	CdpTerm    *term;
	CdpDateFormat format;
	CdpMeasure	measure;
	int			pair[2];		/* terms of l and r that a measure looks at */
	int			longitude[2];
} Value;

static CdpCondition *parse_or(Parser *p);
static Value parse_value(Parser *p);

/* The patterns that EXTRACT knows: those of Splink's postcode and e-mail comparisons. */
static const char *const known_patterns[] = {
	"^[A-Za-z]{1,2}[0-9][A-Za-z0-9]? [0-9]",
	"^[A-Za-z]{1,2}[0-9][A-Za-z0-9]?",
	"^[A-Za-z]{1,2}",
	"^[A-Za-z]{1,2}[0-9][A-Za-z0-9]? [0-9][A-Za-z]{2}$",
	"^[^@]+",
	"@([^@]+)$",
};

/* Refuses the condition at a character of its text; only words of SQL are ever named. */
CDP_NORETURN static void
refuse(const Parser *p, int at, const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a condition of the match model has none of the known forms"),
			 name ? errdetail("%s, byte %d: %s \"%s\".", p->path, at + 1, what, pnstrdup(name, pg_mbcliplen(name, strlen(name), 40)))
			 : errdetail("%s, byte %d: %s.", p->path, at + 1, what),
			 errhint("docs/matching.md lists the forms. Conditions are read, never run as SQL.")));
}

/* ---- words */

/* Reads a name or text in quotes, a doubled quote standing for itself; returns the byte after it. */
static int
read_quoted(Parser *p, const char *s, int len, int at, Token *t)
{
	char		quote = s[at];
	StringInfoData out;
	int			i = at + 1;

	initStringInfo(&out);
	for (;; i++)
	{
		if (i >= len)
			refuse(p, at, "a quote is not closed", NULL);
		if (s[i] == quote)
		{
			if (i + 1 < len && s[i + 1] == quote)
				i++;
			else
				break;
		}
		appendStringInfoChar(&out, s[i]);
	}
	if (quote != '\'' && (out.len == 0 || out.len >= NAMEDATALEN + 2))
		refuse(p, at, "a name is empty or too long", NULL);
	t->kind = quote == '\'' ? TOKEN_TEXT : TOKEN_NAME;
	t->quoted = true;
	t->text = out.data;
	return i + 1;
}

/* True for a byte that a bare name may begin with. */
static bool
starts_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c);
}

/* Reads a bare name, lowering A-Z; returns the byte after it. */
static int
read_name(const char *s, int len, int at, Token *t)
{
	int			end = at;

	while (end < len && (starts_name(s[end]) || (s[end] >= '0' && s[end] <= '9')))
		end++;
	t->kind = TOKEN_NAME;
	t->text = pnstrdup(s + at, end - at);
	for (char *c = t->text; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	return end;
}

/* Reads a number without sign; returns the byte after it. */
static int
read_number(Parser *p, const char *s, int len, int at, Token *t)
{
	int			end = at;
	char		copy[64];

	while (end < len && ((s[end] >= '0' && s[end] <= '9') || s[end] == '.' || s[end] == 'e' || s[end] == 'E' ||
						 ((s[end] == '-' || s[end] == '+') && (s[end - 1] == 'e' || s[end - 1] == 'E'))))
		end++;
	if (end - at >= lengthof(copy))
		refuse(p, at, "a number is too long", NULL);
	memcpy(copy, s + at, end - at);
	copy[end - at] = '\0';
	t->kind = TOKEN_NUMBER;
	t->number = strtod(copy, &t->text);
	if (*t->text != '\0' || !isfinite(t->number))
		refuse(p, at, "a number can not be read", NULL);
	return end;
}

/* Cuts the text into words. */
static void
tokenize(Parser *p, const char *s, int len)
{
	static const char *const symbols[] = {"<=", ">=", "<>", "!=", "::", "||", "=", "<", ">", "(", ")", ",", ".", "-", "+", "*"};
	int			i = 0;

	p->token = palloc0((len + 1) * sizeof(Token));
	while (i < len)
	{
		Token	   *t = &p->token[p->n];
		int			k;

		t->at = i;
		if (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r')
		{
			i++;
			continue;
		}
		if (i + 1 < len && ((s[i] == '-' && s[i + 1] == '-') || (s[i] == '/' && s[i + 1] == '*')))
			refuse(p, i, "a comment", NULL);
		p->n++;
		if (s[i] == '"' || s[i] == '`' || s[i] == '\'')
			i = read_quoted(p, s, len, i, t);
		else if (starts_name(s[i]))
			i = read_name(s, len, i, t);
		else if (s[i] >= '0' && s[i] <= '9')
			i = read_number(p, s, len, i, t);
		else
		{
			for (k = 0; k < lengthof(symbols); k++)
				if (strncmp(s + i, symbols[k], Min(strlen(symbols[k]), len - i)) == 0 && strlen(symbols[k]) <= len - i)
					break;
			if (k == lengthof(symbols))
				refuse(p, i, s[i] == ';' ? "a semicolon" : "an unknown character", NULL);
			t->kind = TOKEN_SYMBOL;
			t->text = unconstify(char *, symbols[k]);
			i += strlen(symbols[k]);
		}
	}
	p->token[p->n].kind = TOKEN_END;
	p->token[p->n].at = len;
	p->token[p->n].text = "";
}

/* The word that comes next. */
static inline Token *
peek(Parser *p)
{
	return &p->token[p->next];
}

/* True when the next word is this symbol or bare word. */
static bool
is_next(Parser *p, const char *text)
{
	Token	   *t = peek(p);

	return (t->kind == TOKEN_SYMBOL || (t->kind == TOKEN_NAME && !t->quoted)) && strcmp(t->text, text) == 0;
}

/* Takes the next word when it is this one. */
static bool
take(Parser *p, const char *text)
{
	if (!is_next(p, text))
		return false;
	p->next++;
	return true;
}

/* Takes this word or refuses. */
static void
expect(Parser *p, const char *text)
{
	if (!take(p, text))
		refuse(p, peek(p)->at, "another word is expected there, namely", text);
}

/* Takes a whole number from 0 to 10000. */
static int
expect_count(Parser *p)
{
	Token	   *t = peek(p);

	if (t->kind != TOKEN_NUMBER || t->number < 0 || t->number > 10000 || t->number != floor(t->number))
		refuse(p, t->at, "a whole number from 0 to 10000 is expected", NULL);
	p->next++;
	return (int) t->number;
}

/* Takes a literal text. */
static char *
expect_text(Parser *p)
{
	Token	   *t = peek(p);

	if (t->kind != TOKEN_TEXT)
		refuse(p, t->at, "a text in single quotes is expected", NULL);
	p->next++;
	return t->text;
}

/* Goes one level deeper, up to a limit, so that no text can exhaust the stack. */
static void
deeper(Parser *p)
{
	if (++p->depth > CDP_MATCH_MAX_DEPTH)
		refuse(p, peek(p)->at, "the condition is nested too deep", NULL);
}

/* ---- values */

/* A term over another one. */
static CdpTerm *
wrap(CdpTermKind kind, CdpTerm *arg)
{
	CdpTerm    *t = palloc0(sizeof(CdpTerm));

	t->kind = kind;
	t->arg = arg;
	return t;
}

/* A value that must be a term of one side. */
static Value
expect_term(Parser *p)
{
	Value		v = parse_value(p);

	if (v.kind != VALUE_TERM)
		refuse(p, v.at, "a column of l or r is expected", NULL);
	return v;
}

/* A value that must be a date of one side; a bare column is read in the given format. */
static Value
expect_date(Parser *p, CdpDateFormat bare)
{
	Value		v = parse_value(p);

	if (v.kind == VALUE_TERM)
	{
		v.kind = VALUE_DATE;
		v.format = bare;
	}
	if (v.kind != VALUE_DATE)
		refuse(p, v.at, "a date column of l or r is expected", NULL);
	return v;
}

/* Puts a value of each side into a measure; the order of the sides does not matter to any. */
static void
measure_pair(Parser *p, Value *out, CdpMeasure measure, Value a, Value b)
{
	if (a.side == b.side)
		refuse(p, b.at, "both sides of a comparison are of the same record", NULL);
	if (a.format != b.format)
		refuse(p, b.at, "the dates of l and r have different formats", NULL);
	out->kind = VALUE_MEASURE;
	out->measure = measure;
	out->format = a.format;
	out->pair[a.side == 'r'] = cdp_term_intern(p->terms, a.term, p->path);
	out->pair[b.side == 'r'] = cdp_term_intern(p->terms, b.term, p->path);
}

/* Reads the name of a column: l.name, r.name, name_l or name_r. */
static Value
parse_column(Parser *p)
{
	Token	   *t = peek(p);
	Value		v = {VALUE_TERM, t->at};
	size_t		len = strlen(t->text);

	p->next++;
	v.term = palloc0(sizeof(CdpTerm));
	v.term->kind = CDP_TERM_COLUMN;
	if (len == 1 && (t->text[0] == 'l' || t->text[0] == 'r') && is_next(p, "."))
	{
		p->next++;
		v.side = t->text[0];
		t = peek(p);
		if (t->kind != TOKEN_NAME)
			refuse(p, t->at, "the name of a column is expected", NULL);
		p->next++;
		v.term->text = t->text;
	}
	else if (len > 2 && t->text[len - 2] == '_' && (t->text[len - 1] == 'l' || t->text[len - 1] == 'r'))
	{
		v.side = t->text[len - 1];
		v.term->text = pnstrdup(t->text, len - 2);
	}
	else
		refuse(p, t->at, "neither a column of l or r (l.name, name_l) nor a known word:", t->text);
	if (strlen(v.term->text) >= NAMEDATALEN)
		refuse(p, t->at, "a name is too long", NULL);
	if (is_next(p, "("))
		refuse(p, t->at, "a function is not known:", t->text);
	return v;
}

const char *const cdp_date_pattern[CDP_DATE_LAST + 1] = {
	[CDP_DATE_ISO] = "%Y-%m-%d", [CDP_DATE_COMPACT] = "%Y%m%d", [CDP_DATE_DMY] = "%d/%m/%Y",
	[CDP_DATE_TIME_Z] = "%Y-%m-%dT%H:%M:%SZ", [CDP_DATE_TIME_T] = "%Y-%m-%dT%H:%M:%S", [CDP_DATE_TIME_BLANK] = "%Y-%m-%d %H:%M:%S",
};

/* The format that a pattern says, in the words of strptime (DuckDB), to_date (PostgreSQL) or Spark. */
static CdpDateFormat
date_format(Parser *p, int at, const char *pattern)
{
	static const struct
	{
		const char *text;
		CdpDateFormat format;
	}			known[] = {
		{"yyyy-mm-dd", CDP_DATE_ISO}, {"yyyymmdd", CDP_DATE_COMPACT}, {"dd/mm/yyyy", CDP_DATE_DMY},
		{"yyyy-mm-ddThh24:mi:ss", CDP_DATE_TIME_T}, {"yyyy-mm-dd\"T\"hh24:mi:ss", CDP_DATE_TIME_T},
		{"yyyy-mm-dd\"T\"hh24:mi:ss\"Z\"", CDP_DATE_TIME_Z}, {"yyyy-mm-dd hh24:mi:ss", CDP_DATE_TIME_BLANK},
		{"yyyy-mm-dd hh:mm:ss", CDP_DATE_TIME_BLANK},
	};

	for (int i = 0; i < lengthof(known); i++)
		if (pg_strcasecmp(pattern, known[i].text) == 0)
			return known[i].format;
	for (int i = 0; i < lengthof(cdp_date_pattern); i++)
		if (cdp_date_pattern[i] != NULL && strcmp(pattern, cdp_date_pattern[i]) == 0)
			return (CdpDateFormat) i;
	refuse(p, at, "a format of dates is not one of the known ones, such as %Y-%m-%d", NULL);
}

/* Turns a value into another type: text changes nothing, a date is read as ISO, a timestamp with its time. */
static Value
cast_value(Parser *p, Value v)
{
	Token	   *t = peek(p);

	if (v.kind != VALUE_TERM && v.kind != VALUE_DATE)
		refuse(p, v.at, "only a column can be cast", NULL);
	if (take(p, "varchar") || take(p, "text") || take(p, "string"))
	{
		if (v.kind != VALUE_TERM)
			refuse(p, t->at, "a date can not be cast back", NULL);
		return v;
	}
	if (is_next(p, "date") || is_next(p, "timestamp"))
	{
		if (v.kind == VALUE_TERM)
			v.format = is_next(p, "date") ? CDP_DATE_ISO : CDP_DATE_TIME;
		else if (is_next(p, "date") && v.format >= CDP_DATE_TIME)
			refuse(p, t->at, "a time can not be cast to a date", NULL);
		p->next++;
		v.kind = VALUE_DATE;
		return v;
	}
	refuse(p, t->at, "a cast to a type that is not text, varchar, string, date or timestamp:", t->text);
}

/* Reads the arguments of a function that makes a term out of a term. */
static Value
parse_term_function(Parser *p, const char *name)
{
	Value		v = expect_term(p);
	CdpTerm    *t;
	int			at = peek(p)->at;

	if (strcmp(name, "substr") == 0 || strcmp(name, "substring") == 0 || strcmp(name, "left") == 0)
	{
		t = wrap(CDP_TERM_SUBSTR, v.term);
		t->from = 1;
		t->count = -1;
		expect(p, ",");
		if (name[0] == 's')
			t->from = expect_count(p);
		if (name[0] == 'l' || take(p, ","))
			t->count = expect_count(p);
		if (t->from < 1)
			refuse(p, at, "the first letter is number 1", NULL);
	}
	else if (strcmp(name, "nullif") == 0)
	{
		t = wrap(CDP_TERM_NULLIF, v.term);
		expect(p, ",");
		t->text = expect_text(p);
	}
	else if (strcmp(name, "regexp_extract") == 0)
	{
		t = wrap(CDP_TERM_EXTRACT, v.term);
		expect(p, ",");
		t->text = expect_text(p);
		for (int i = 0;; i++)
		{
			if (i == lengthof(known_patterns))
				refuse(p, at, "a pattern is not one of the known ones", NULL);
			if (strcmp(t->text, known_patterns[i]) == 0)
				break;
		}
		if (take(p, ",") && expect_count(p) != (strchr(t->text, '(') != NULL ? 1 : 0))
			refuse(p, at, "a group of a pattern that is not the known one", NULL);
	}
	else
		t = wrap(strcmp(name, "lower") == 0 ? CDP_TERM_LOWER :
				 strcmp(name, "upper") == 0 ? CDP_TERM_UPPER :
				 strcmp(name, "soundex") == 0 ? CDP_TERM_SOUNDEX :
				 strcmp(name, "dmetaphone") == 0 ? CDP_TERM_DMETAPHONE : CDP_TERM_TRIM, v.term);
	expect(p, ")");
	v.term = t;
	return v;
}

/* Reads the arguments of abs: a difference of the two sides. */
static Value
parse_abs(Parser *p)
{
	Value		a = parse_value(p);
	Value		out = {VALUE_MEASURE, a.at};
	Value		b;

	if (a.kind == VALUE_DIFFERENCE)
	{
		expect(p, ")");
		a.kind = VALUE_MEASURE;
		return a;
	}
	expect(p, "-");
	b = parse_value(p);
	expect(p, ")");
	if (a.kind != b.kind || (a.kind != VALUE_TERM && a.kind != VALUE_DATE && a.kind != VALUE_EPOCH))
		refuse(p, a.at, "abs knows a difference of columns, dates or epochs of l and r", NULL);
	measure_pair(p, &out, a.kind == VALUE_EPOCH ? CDP_MEASURE_SECONDS :
				 a.kind == VALUE_DATE ? CDP_MEASURE_DAYS : CDP_MEASURE_NUMBER, a, b);
	return out;
}

/* Reads the arguments of date_diff('unit', date, date). */
static Value
parse_date_difference(Parser *p)
{
	Value		out = {VALUE_MEASURE, peek(p)->at};
	char	   *unit = expect_text(p);
	Value		a,
				b;

	expect(p, ",");
	a = expect_date(p, CDP_DATE_ISO);
	expect(p, ",");
	b = expect_date(p, CDP_DATE_ISO);
	expect(p, ")");
	if (pg_strcasecmp(unit, "day") != 0 && pg_strcasecmp(unit, "month") != 0 && pg_strcasecmp(unit, "year") != 0)
		refuse(p, out.at, "a difference of dates is in day, month or year", NULL);
	measure_pair(p, &out, (unit[0] | 32) == 'd' ? CDP_MEASURE_DAYS : (unit[0] | 32) == 'm' ? CDP_MEASURE_MONTHS : CDP_MEASURE_YEARS,
				 a, b);
	out.kind = VALUE_DIFFERENCE;
	return out;
}

/* Reads the arguments of distance_km(lat_l, long_l, lat_r, long_r). */
static Value
parse_distance(Parser *p)
{
	Value		out = {VALUE_MEASURE, peek(p)->at};
	Value		v[4];

	for (int i = 0; i < 4; i++)
	{
		if (i > 0)
			expect(p, ",");
		v[i] = expect_term(p);
	}
	expect(p, ")");
	if (v[0].side != v[1].side || v[2].side != v[3].side)
		refuse(p, out.at, "distance_km takes latitude and longitude of l, then of r", NULL);
	measure_pair(p, &out, CDP_MEASURE_KM, v[1], v[3]);
	memcpy(out.longitude, out.pair, sizeof(out.pair));
	measure_pair(p, &out, CDP_MEASURE_KM, v[0], v[2]);
	return out;
}

/* Takes the words of a text, @0 to @3 being columns that must be the same each time, F the formula. */
static void
follow(Parser *p, const char *words, Value column[4])
{
	/* Splink's great circle: latitudes @0 and @2, longitudes @1 and @3 */
	static const char *const formula = "sin ( radians ( @0 ) ) * sin ( radians ( @2 ) ) + cos ( radians ( @0 ) ) * "
	"cos ( radians ( @2 ) ) * cos ( radians ( @3 - @1 ) )";

	while (*words)
	{
		size_t		len = strcspn(words, " ");
		char	   *word = pnstrdup(words, len);
		Token	   *t = peek(p);

		if (strcmp(word, "F") == 0)
			follow(p, formula, column);
		else if (word[0] == '@')
		{
			Value	   *c = &column[word[1] - '0'];
			Value		v;

			if (t->kind != TOKEN_NAME)
				refuse(p, t->at, "a column of l or r is expected", NULL);
			v = parse_column(p);
			if (c->term != NULL && (c->side != v.side || strcmp(c->term->text, v.term->text) != 0))
				refuse(p, t->at, "a formula of distance uses different columns", NULL);
			*c = v;
		}
		else if (word[0] >= '0' && word[0] <= '9')
		{
			if (t->kind != TOKEN_NUMBER || t->number != strtod(word, NULL))
				refuse(p, t->at, "another number is expected there, namely", word);
			p->next++;
		}
		else
			expect(p, word);
		words += len + (words[len] == ' ');
	}
}

/* Reads Splink's formula of the distance on a sphere, cut to what acos takes, up to the end of its cast. */
static Value
parse_great_circle(Parser *p)
{
	Value		out = {VALUE_MEASURE, peek(p)->at};
	Value		column[4] = {{VALUE_NUMBER}};

	follow(p, "acos ( case when ( F ) > 1 then 1 when ( F ) < - 1 then - 1 else ( F ) end ) * 6371 as float )", column);
	if (column[0].side != column[1].side || column[2].side != column[3].side)
		refuse(p, out.at, "a formula of distance mixes the sides", NULL);
	measure_pair(p, &out, CDP_MEASURE_KM, column[1], column[3]);
	memcpy(out.longitude, out.pair, sizeof(out.pair));
	measure_pair(p, &out, CDP_MEASURE_KM, column[0], column[2]);
	return out;
}

/* Reads the arguments of a function of two columns. */
static Value
parse_measure(Parser *p, CdpMeasure measure)
{
	Value		out = {VALUE_MEASURE, peek(p)->at};
	Value		a = expect_term(p);
	Value		b;

	expect(p, ",");
	b = expect_term(p);
	expect(p, ")");
	measure_pair(p, &out, measure, a, b);
	if (measure == CDP_MEASURE_COMMON)
		out.kind = VALUE_ARRAY;
	return out;
}

/* Reads a function of dates: strptime and its kin, epoch, extract. */
static Value
parse_date_function(Parser *p, const char *name)
{
	Value		v;

	if (strcmp(name, "extract") == 0)
	{
		expect(p, "epoch");
		expect(p, "from");
	}
	if (strcmp(name, "epoch") == 0 || strcmp(name, "extract") == 0 || strcmp(name, "unix_timestamp") == 0)
	{
		v = expect_date(p, CDP_DATE_TIME);
		v.kind = VALUE_EPOCH;
	}
	else
	{
		v = expect_term(p);
		expect(p, ",");
		v.format = date_format(p, peek(p)->at, expect_text(p));
		v.kind = VALUE_DATE;
	}
	expect(p, ")");
	return v;
}

/* Reads a function by its name. */
static Value
parse_function(Parser *p)
{
	static const struct
	{
		const char *name;
		int			group;		/* 0 term, 1 date, 2 measure */
		CdpMeasure	measure;
	}			known[] = {
		{"lower", 0}, {"upper", 0}, {"trim", 0}, {"btrim", 0}, {"substr", 0}, {"substring", 0}, {"left", 0}, {"nullif", 0},
		{"soundex", 0}, {"dmetaphone", 0}, {"regexp_extract", 0},
		{"try_strptime", 1}, {"strptime", 1}, {"to_date", 1}, {"to_timestamp", 1}, {"try_to_timestamp", 1},
		{"try_cast_date", 1}, {"try_cast_timestamp", 1}, {"epoch", 1}, {"extract", 1}, {"unix_timestamp", 1},
		{"levenshtein", 2, CDP_MEASURE_LEVENSHTEIN}, {"levenshtein_distance", 2, CDP_MEASURE_LEVENSHTEIN},
		{"damerau_levenshtein", 2, CDP_MEASURE_DAMERAU},
		{"jaro_similarity", 2, CDP_MEASURE_JARO}, {"jaro", 2, CDP_MEASURE_JARO}, {"jaro_sim", 2, CDP_MEASURE_JARO},
		{"jaro_winkler_similarity", 2, CDP_MEASURE_JARO_WINKLER}, {"jaro_winkler", 2, CDP_MEASURE_JARO_WINKLER},
		{"jaccard", 2, CDP_MEASURE_JACCARD}, {"similarity", 2, CDP_MEASURE_TRIGRAM}, {"dice", 2, CDP_MEASURE_DICE},
		{"list_intersect", 2, CDP_MEASURE_COMMON}, {"array_intersect", 2, CDP_MEASURE_COMMON},
	};
	char	   *name = peek(p)->text;
	Value		v;

	p->next += 2;				/* the name and its bracket */
	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].group == 0 ? parse_term_function(p, name) :
				known[i].group == 1 ? parse_date_function(p, name) : parse_measure(p, known[i].measure);
	if (strcmp(name, "abs") == 0)
		return parse_abs(p);
	if (strcmp(name, "date_diff") == 0 || strcmp(name, "datediff") == 0)
		return parse_date_difference(p);
	if (strcmp(name, "distance_km") == 0)
		return parse_distance(p);
	if (strcmp(name, "cast") == 0 && is_next(p, "acos"))
		return parse_great_circle(p);
	if (strcmp(name, "cast") == 0 || strcmp(name, "try_cast") == 0)
	{
		v = parse_value(p);
		expect(p, "as");
		v = cast_value(p, v);
		expect(p, ")");
		return v;
	}
	if (strcmp(name, "array_length") == 0 || strcmp(name, "cardinality") == 0 || strcmp(name, "size") == 0)
	{
		v = parse_value(p);
		if (v.kind != VALUE_ARRAY)
			refuse(p, v.at, "only the number of elements that two arrays share is known", NULL);
		expect(p, ")");
		v.kind = VALUE_MEASURE;
		return v;
	}
	refuse(p, p->token[p->next - 2].at, "a function is not known:", name);
}

/* Reads a value without what may follow it. */
static Value
parse_primary(Parser *p)
{
	Token	   *t = peek(p);
	Value		v = {VALUE_NUMBER, t->at};

	if (take(p, "("))
	{
		v = parse_value(p);
		expect(p, ")");
		return v;
	}
	switch (t->kind)
	{
		case TOKEN_NUMBER:
			p->next++;
			v.number = t->number;
			return v;
		case TOKEN_TEXT:
			p->next++;
			v.kind = VALUE_TEXT;
			v.text = t->text;
			return v;
		case TOKEN_NAME:
			if (!t->quoted && p->token[p->next + 1].kind == TOKEN_SYMBOL && p->token[p->next + 1].text[0] == '(')
				return parse_function(p);
			return parse_column(p);
		case TOKEN_SYMBOL:
			refuse(p, t->at, "a value is expected before", t->text);
		case TOKEN_END:
			break;
	}
	refuse(p, t->at, "the condition ends too early", NULL);
}

/* Reads a value with casts and joined texts. */
static Value
parse_value(Parser *p)
{
	Value		v;

	deeper(p);
	v = parse_primary(p);
	for (;;)
	{
		if (take(p, "::"))
			v = cast_value(p, v);
		else if (take(p, "||"))
		{
			Value		b = parse_primary(p);
			CdpTerm    *t;

			if (v.kind != VALUE_TERM || !(b.kind == VALUE_TEXT || (b.kind == VALUE_TERM && b.side == v.side)))
				refuse(p, b.at, "|| joins columns of one record, and texts after them", NULL);
			t = wrap(CDP_TERM_CONCAT, v.term);
			t->arg2 = b.kind == VALUE_TERM ? b.term : NULL;
			t->text = b.text;
			v.term = t;
		}
		else
			break;
	}
	p->depth--;
	return v;
}

/* ---- conditions */

/* A new condition. */
static CdpCondition *
make_condition(CdpConditionKind kind, CdpCondition *first, CdpCondition *second)
{
	CdpCondition *c = palloc0(sizeof(CdpCondition));

	c->kind = kind;
	if (first != NULL)
	{
		c->arg = palloc(2 * sizeof(CdpCondition *));
		c->arg[c->n++] = first;
		if (second != NULL)
			c->arg[c->n++] = second;
	}
	return c;
}

/* Takes a comparison operator. */
static CdpOperator
expect_operator(Parser *p)
{
	static const char *const symbols[] = {"<=", "<", ">=", ">", "=", "<>"};

	for (int i = 0; i < lengthof(symbols); i++)
		if (take(p, symbols[i]))
			return (CdpOperator) i;
	if (take(p, "!="))
		return CDP_OP_NE;
	refuse(p, peek(p)->at, "a comparison is expected instead of", peek(p)->text);
}

/* Reads value operator value, or value IS NULL. */
static CdpCondition *
parse_comparison(Parser *p)
{
	Value		a = parse_value(p);
	Value		b;
	CdpCondition *c = make_condition(CDP_CONDITION_MEASURE, NULL, NULL);

	if (take(p, "is"))
	{
		if (a.kind != VALUE_TERM && a.kind != VALUE_DATE)
			refuse(p, a.at, "IS NULL needs a column of l or r", NULL);
		c->kind = CDP_CONDITION_NULL;
		c->side = a.side;
		c->format = a.format;
		c->negated = take(p, "not");
		expect(p, "null");
		c->term[0] = c->term[1] = cdp_term_intern(p->terms, a.term, p->path);
		return c;
	}
	if (a.kind == VALUE_DIFFERENCE)
		refuse(p, a.at, "a difference of dates has a sign, so it needs abs", NULL);
	c->op = expect_operator(p);
	b = parse_value(p);
	if (a.kind == VALUE_TERM && b.kind == VALUE_TERM)
	{
		if (c->op != CDP_OP_EQ && c->op != CDP_OP_NE)
			refuse(p, b.at, "columns are compared with = or <> only", NULL);
		measure_pair(p, &a, CDP_MEASURE_EQUAL, a, b);
	}
	else if (a.kind == VALUE_MEASURE && b.kind == VALUE_NUMBER)
		c->limit = b.number;
	else
		refuse(p, a.at, "a comparison is between a column of l and one of r, or between a known measure and a number", NULL);
	c->measure = a.measure;
	c->format = a.format;
	memcpy(c->term, a.pair, sizeof(c->term));
	memcpy(c->longitude, a.longitude, sizeof(c->longitude));
	return c;
}

/* True when the bracket that comes next holds a value, not a condition: what follows it tells. */
static bool
bracket_is_value(Parser *p)
{
	int			open = 0,
				i = p->next;

	for (; i < p->n; i++)
	{
		Token	   *t = &p->token[i];

		if (t->kind != TOKEN_SYMBOL)
			continue;
		if (t->text[0] == '(')
			open++;
		else if (t->text[0] == ')' && --open == 0)
			break;
	}
	if (i >= p->n)
		return false;
	i++;
	return p->token[i].kind == TOKEN_SYMBOL ? p->token[i].text[0] != ')' :
		p->token[i].kind == TOKEN_NAME && strcmp(p->token[i].text, "is") == 0;
}

/* Reads NOT, a bracket, or a comparison. */
static CdpCondition *
parse_not(Parser *p)
{
	CdpCondition *c;

	deeper(p);
	if (take(p, "not"))
		c = make_condition(CDP_CONDITION_NOT, parse_not(p), NULL);
	else if (is_next(p, "(") && !bracket_is_value(p))
	{
		p->next++;
		c = parse_or(p);
		expect(p, ")");
	}
	else
		c = parse_comparison(p);
	p->depth--;
	return c;
}

/* Reads what AND joins. */
static CdpCondition *
parse_and(Parser *p)
{
	CdpCondition *c = parse_not(p);

	for (int n = 1; take(p, "and"); n++)
	{
		if (n == CDP_MATCH_MAX_DEPTH)
			refuse(p, peek(p)->at, "too many conditions are joined by AND", NULL);
		c = make_condition(CDP_CONDITION_AND, c, parse_not(p));
	}
	return c;
}

/* Reads what OR joins. */
static CdpCondition *
parse_or(Parser *p)
{
	CdpCondition *c = parse_and(p);

	for (int n = 1; take(p, "or"); n++)
	{
		if (n == CDP_MATCH_MAX_DEPTH)
			refuse(p, peek(p)->at, "too many conditions are joined by OR", NULL);
		c = make_condition(CDP_CONDITION_OR, c, parse_and(p));
	}
	return c;
}

/* Reads a condition; the tree is palloc'd, its terms are put into the list. path: where in the model it stands. */
CdpCondition *
cdp_condition_parse(const char *text, int len, const char *path, CdpTermList *terms)
{
	Parser		p = {path};
	CdpCondition *c;

	p.terms = terms;
	if (len > CDP_MATCH_MAX_CONDITION)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a condition of the match model is too long"),
				 errdetail("%s has %d bytes; the limit is %d.", path, len, CDP_MATCH_MAX_CONDITION)));
	tokenize(&p, text, len);
	if (take(&p, "else"))
		c = make_condition(CDP_CONDITION_TRUE, NULL, NULL);
	else
		c = parse_or(&p);
	if (peek(&p)->kind != TOKEN_END)
		refuse(&p, peek(&p)->at, "the condition should end before", peek(&p)->text);
	pfree(p.token);
	return c;
}

/* ---- writing */

/* Writes a term of one side, as a blocking rule (l.name) or a level (name_l) has it. */
static void
write_side(StringInfo out, const CdpTermList *terms, int term, char side, bool blocking)
{
	char		prefix[3] = {side, '.', '\0'};

	cdp_term_write(out, terms->term[term], blocking ? prefix : "", blocking ? '\0' : side, CDP_STYLE_CANONICAL);
}

/* Writes a date or time of one side. */
static void
write_date(StringInfo out, const CdpCondition *c, const CdpTermList *terms, int term, char side, bool blocking)
{
	const char *pattern = cdp_date_pattern[c->format];

	appendStringInfoString(out, pattern ? "try_strptime(" : "try_cast(");
	write_side(out, terms, term, side, blocking);
	if (pattern)
		appendStringInfo(out, ", '%s')", pattern);
	else
		appendStringInfoString(out, " AS timestamp)");
}

/* Writes a measure without its limit. */
static void
write_measure(StringInfo out, const CdpCondition *c, const CdpTermList *terms, bool blocking)
{
	static const char *const functions[] = {
		[CDP_MEASURE_LEVENSHTEIN] = "levenshtein(", [CDP_MEASURE_DAMERAU] = "damerau_levenshtein(",
		[CDP_MEASURE_JARO] = "jaro_similarity(", [CDP_MEASURE_JARO_WINKLER] = "jaro_winkler_similarity(",
		[CDP_MEASURE_JACCARD] = "jaccard(", [CDP_MEASURE_TRIGRAM] = "similarity(", [CDP_MEASURE_DICE] = "dice(",
		[CDP_MEASURE_COMMON] = "array_length(list_intersect(",
		[CDP_MEASURE_DAYS] = "abs(date_diff('day', ", [CDP_MEASURE_MONTHS] = "abs(date_diff('month', ",
		[CDP_MEASURE_YEARS] = "abs(date_diff('year', ", [CDP_MEASURE_SECONDS] = "abs(epoch(",
		[CDP_MEASURE_NUMBER] = "abs(", [CDP_MEASURE_KM] = "distance_km(", [CDP_MEASURE_EQUAL] = "",
	};
	bool		dates = c->measure >= CDP_MEASURE_SECONDS && c->measure <= CDP_MEASURE_YEARS;

	appendStringInfoString(out, functions[c->measure]);
	for (int side = 0; side < 2; side++)
	{
		if (side == 1)
			appendStringInfoString(out, c->measure == CDP_MEASURE_SECONDS ? ") - epoch(" :
								   c->measure == CDP_MEASURE_NUMBER ? " - " : c->measure == CDP_MEASURE_EQUAL ?
								   (c->op == CDP_OP_EQ ? " = " : " <> ") : ", ");
		if (dates)
			write_date(out, c, terms, c->term[side], side ? 'r' : 'l', blocking);
		else
			write_side(out, terms, c->term[side], side ? 'r' : 'l', blocking);
		if (c->measure == CDP_MEASURE_KM)
		{
			appendStringInfoString(out, ", ");
			write_side(out, terms, c->longitude[side], side ? 'r' : 'l', blocking);
		}
	}
	if (c->measure != CDP_MEASURE_EQUAL)
		appendStringInfoString(out, dates || c->measure == CDP_MEASURE_COMMON ? "))" : ")");
}

/* Writes a condition in Splink's words (DuckDB's dialect), one text for one meaning. */
void
cdp_condition_write(StringInfo out, const CdpCondition *c, const CdpTermList *terms, bool blocking)
{
	static const char *const operators[] = {"<=", "<", ">=", ">", "=", "<>"};

	check_stack_depth();
	switch (c->kind)
	{
		case CDP_CONDITION_TRUE:
			appendStringInfoString(out, "ELSE");
			break;
		case CDP_CONDITION_AND:
		case CDP_CONDITION_OR:
			for (int i = 0; i < c->n; i++)
			{
				bool		bracket = c->arg[i]->kind == CDP_CONDITION_OR && c->kind == CDP_CONDITION_AND;

				if (i > 0)
					appendStringInfoString(out, c->kind == CDP_CONDITION_AND ? " AND " : " OR ");
				if (bracket)
					appendStringInfoChar(out, '(');
				cdp_condition_write(out, c->arg[i], terms, blocking);
				if (bracket)
					appendStringInfoChar(out, ')');
			}
			break;
		case CDP_CONDITION_NOT:
			appendStringInfoString(out, "NOT (");
			cdp_condition_write(out, c->arg[0], terms, blocking);
			appendStringInfoChar(out, ')');
			break;
		case CDP_CONDITION_NULL:
			if (c->format != CDP_DATE_NONE)
				write_date(out, c, terms, c->term[0], c->side, blocking);
			else
				write_side(out, terms, c->term[0], c->side, blocking);
			appendStringInfoString(out, c->negated ? " IS NOT NULL" : " IS NULL");
			break;
		case CDP_CONDITION_MEASURE:
			write_measure(out, c, terms, blocking);
			if (c->measure != CDP_MEASURE_EQUAL)
				appendStringInfo(out, " %s %.15g", operators[c->op], c->limit);
			break;
	}
}

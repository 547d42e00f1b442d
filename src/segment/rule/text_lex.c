/*
 * text_lex.c
 *		Cuts the text of a segment rule into words, names, strings, numbers and
 *		signs, and says where in the text something is wrong.
 */
#include "segment/rule/text_lex.h"

#include "base/suggest.h"
#include "mb/pg_wchar.h"

/* Digits and powers of ten that a number may have; jsonb takes more than anybody means. */
#define LEX_DIGITS 1000
#define LEX_EXPONENT 1000

/* Punctuation that Chinese keyboards give, and what the language has in its place. */
static const struct
{
	const char *wide;
	const char *plain;
}			wide_signs[] = {
	{"\xef\xbc\x88", "("}, {"\xef\xbc\x89", ")"}, {"\xef\xbc\x8c", ","}, {"\xe3\x80\x81", ","},
	{"\xef\xbc\x9b", ";"}, {"\xe2\x80\x9c", "\""}, {"\xe2\x80\x9d", "\""}, {"\xe2\x80\x98", "'"},
	{"\xe2\x80\x99", "'"}, {"\xef\xbc\x9d", "="}, {"\xef\xbc\x9e", ">"}, {"\xef\xbc\x9c", "<"},
	{"\xe2\x89\xa5", ">="}, {"\xe2\x89\xa4", "<="}, {"\xe2\x89\xa0", "!="}, {"\xef\xbc\x85", "%"},
	{"\xe2\x86\x92", "->"}, {"\xe3\x80\x80", "a blank"}, {"\xc2\xa0", "a blank"},
};

/* Where a byte stands, for a reader: line and column from 1, offset from 0, in characters; caller's context. */
static char *
place(CdpLexer *lexer, int at)
{
	int			line = 1;
	int			start = 0;

	for (int i = 0; i < at; i++)
		if (lexer->text[i] == '\n')
		{
			line++;
			start = i + 1;
		}
	return psprintf("Line %d, column %d (offset %d)", line,
					1 + pg_mbstrlen_with_len(lexer->text + start, at - start),
					pg_mbstrlen_with_len(lexer->text, at));
}

/* Complains about a place in the text; the hint may be NULL. */
void
cdp_lex_refuse(CdpLexer *lexer, int at, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("the rule text cannot be read"),
			 errdetail("%s: %s.", place(lexer, at), why),
			 hint != NULL ? errhint("%s", hint) : 0));
}

/* Complains that something else was expected than the token looked at; names the nearest of the words. */
void
cdp_lex_expected(CdpLexer *lexer, const char *expected, const char *const *words, int nwords)
{
	CdpToken   *now = &lexer->now;
	const char *found;
	const char *near = NULL;
	char	   *hint = NULL;

	switch (now->kind)
	{
		case TOKEN_END:
			found = "the end";
			break;
		case TOKEN_STRING:		/* may be personal, so it is not repeated */
			found = "a string";
			break;
		case TOKEN_NUMBER:
			found = "a number";
			break;
		default:
			found = psprintf("\"%s\"", pnstrdup(now->text, pg_mbcliplen(now->text, strlen(now->text), 60)));
	}
	if (now->kind == TOKEN_WORD)
		near = cdp_suggest(now->text, words, nwords);
	if (near != NULL && pg_strcasecmp(near, now->text) != 0)
		hint = psprintf("Did you mean \"%s\"?", near);
	cdp_lex_refuse(lexer, now->at, psprintf("%s is expected, but there is %s", expected, found), hint);
}

/* Tells whether a token is this unquoted word, whatever its case. */
bool
cdp_lex_is(const CdpToken *token, const char *word)
{
	return token->kind == TOKEN_WORD && pg_strcasecmp(token->text, word) == 0;
}

/* Bytes that names without quotes are made of. */
static bool
word_byte(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c) ||
		(!first && ((c >= '0' && c <= '9') || c == '.'));
}

/* Returns the entry of wide_signs that stands here, or -1. */
static int
wide_sign(const char *s)
{
	if (IS_HIGHBIT_SET(*s) && GetDatabaseEncoding() == PG_UTF8)
		for (int i = 0; i < lengthof(wide_signs); i++)
			if (strncmp(s, wide_signs[i].wide, strlen(wide_signs[i].wide)) == 0)
				return i;
	return -1;
}

/* Reads what stands between two quotes; a doubled one means itself. */
static void
lex_quoted(CdpLexer *lexer, CdpToken *t, char quote)
{
	const char *start = lexer->text + t->at + 1;
	const char *s;
	char	   *o;

	for (s = start; *s != quote || s[1] == quote; s++)
	{
		if (*s == '\0')
			cdp_lex_refuse(lexer, t->at, quote == '"' ? "this name has no closing \"" :
						   "this string has no closing '", NULL);
		if (*s == quote)
			s++;
	}
	t->kind = quote == '"' ? TOKEN_NAME : TOKEN_STRING;
	t->end = s + 1 - lexer->text;
	t->text = o = palloc(s - start + 1);
	for (const char *from = start; from < s; from++)
	{
		*o++ = *from;
		if (*from == quote)
			from++;
	}
	*o = '\0';
}

/* Steps over digits. */
static const char *
skip_digits(const char *s)
{
	while (*s >= '0' && *s <= '9')
		s++;
	return s;
}

/* Reads a number of JSON's form. */
static void
lex_number(CdpLexer *lexer, CdpToken *t)
{
	const char *start = lexer->text + t->at;
	const char *s = skip_digits(start + (*start == '-' ? 1 : 0));

	if (*s == '.' && skip_digits(s + 1) > s + 1)
		s = skip_digits(s + 1);
	if (s - start > LEX_DIGITS)
		cdp_lex_refuse(lexer, t->at, psprintf("this number has more than %d digits", LEX_DIGITS), NULL);
	if (*s == 'e' || *s == 'E')
	{
		const char *digits = s + 1 + (s[1] == '-' || s[1] == '+' ? 1 : 0);
		const char *end = skip_digits(digits);

		if (end - digits > 4 || (end > digits && atoi(digits) > LEX_EXPONENT))
			cdp_lex_refuse(lexer, t->at, psprintf("this number has an exponent above %d", LEX_EXPONENT), NULL);
		if (end > digits)
			s = end;
	}
	t->kind = TOKEN_NUMBER;
	t->end = s - lexer->text;
	t->text = pnstrdup(start, s - start);
}

/* Reads the token that begins at or after a byte. */
static CdpToken
lex(CdpLexer *lexer, int at)
{
	static const char *const signs[] = {"->", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ",", ";", "%"};
	CdpToken	t = {TOKEN_END, ""};
	const char *s = lexer->text + at;
	int			wide;

	while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r' || *s == '\f' || *s == '\v')
		s++;
	t.at = t.end = s - lexer->text;
	if (*s == '\0')
		return t;
	if (*s == '"' || *s == '\'')
	{
		lex_quoted(lexer, &t, *s);
		return t;
	}
	if (skip_digits(s) > s || (*s == '-' && skip_digits(s + 1) > s + 1))
	{
		lex_number(lexer, &t);
		return t;
	}
	for (int i = 0; i < lengthof(signs); i++)
		if (strncmp(s, signs[i], strlen(signs[i])) == 0)
		{
			t.kind = TOKEN_SIGN;
			t.text = unconstify(char *, signs[i]);
			t.end = t.at + strlen(signs[i]);
			return t;
		}
	wide = wide_sign(s);
	if (wide >= 0)
		cdp_lex_refuse(lexer, t.at, "this is a sign of full width",
					   psprintf("Write %s in its place.", wide_signs[wide].plain));
	if (*s == '&' || *s == '|')
		cdp_lex_refuse(lexer, t.at, "this sign has no meaning here", *s == '&' ? "Write \"and\"." : "Write \"or\".");
	if (!word_byte(*s, true))
		cdp_lex_refuse(lexer, t.at, "this sign has no meaning here",
					   "A name with other signs than letters, digits, _ and . stands in double quotes, text in single quotes.");
	while (word_byte(*s, false) && wide_sign(s) < 0)
		s += pg_mblen(s);
	t.kind = TOKEN_WORD;
	t.end = s - lexer->text;
	t.text = pnstrdup(lexer->text + t.at, t.end - t.at);
	return t;
}

/* Begins a text; the lexer keeps pointing to it. */
void
cdp_lex_start(CdpLexer *lexer, const char *text)
{
	memset(lexer, 0, sizeof(CdpLexer));
	lexer->text = text;
	lexer->len = strlen(text);
	if (lexer->len > CDP_TEXT_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the rule text is too long"),
				 errdetail("It has %d bytes; %d are allowed.", lexer->len, CDP_TEXT_BYTES),
				 errhint("Put long lists of customers into an uploaded list.")));
	lexer->now = lex(lexer, 0);
	lexer->next = lex(lexer, lexer->now.end);
}

/* Goes on by one token. */
void
cdp_lex_step(CdpLexer *lexer)
{
	CHECK_FOR_INTERRUPTS();
	lexer->now = lexer->next;
	lexer->next = lex(lexer, lexer->now.end);
}

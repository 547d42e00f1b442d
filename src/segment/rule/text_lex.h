/*
 * text_lex.h
 *		Words of a rule's text, and the errors that tell a place in it.
 */
#ifndef CDP_SEGMENT_TEXT_LEX_H
#define CDP_SEGMENT_TEXT_LEX_H

#include "segment/rule/text.h"

typedef enum CdpTokenKind
{
	TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_SIGN
} CdpTokenKind;

typedef struct CdpToken
{
	CdpTokenKind kind;
	char	   *text;			/* what it says: without quotes, the sign itself, "" at the end */
	int			at;				/* first byte, and the byte after it */
	int			end;
} CdpToken;

typedef struct CdpLexer
{
	const char *text;
	int			len;
	CdpToken	now;			/* the token looked at */
	CdpToken	next;			/* the one after it */
	int			depth;
} CdpLexer;

extern void cdp_lex_start(CdpLexer *lexer, const char *text);
extern void cdp_lex_step(CdpLexer *lexer);
CDP_NORETURN extern void cdp_lex_expected(CdpLexer *lexer, const char *expected,
										  const char *const *words, int nwords);
CDP_NORETURN extern void cdp_lex_refuse(CdpLexer *lexer, int at, const char *why, const char *hint);
extern bool cdp_lex_is(const CdpToken *token, const char *word);

#endif							/* CDP_SEGMENT_TEXT_LEX_H */

/*
 * grammar.h
 *		The grammar of manifests as tables: which keys an object has, and what each
 *		may hold.
 */
#ifndef CDP_CONNECTOR_GRAMMAR_H
#define CDP_CONNECTOR_GRAMMAR_H

#include "connector/manifest/manifest.h"

typedef enum GrammarKind
{
	G_TEXT,						/* any text of 1 to max bytes */
	G_BLANK,					/* any text of 0 to max bytes */
	G_NAME,						/* a small name: a to z, digits, _ */
	G_WORD,						/* one of words */
	G_BOOL,
	G_WHOLE,					/* min to max */
	G_NUMBER,					/* above 0 */
	G_ZONE,
	G_CLOCK,					/* 08:00 */
	G_DAY,						/* 2026-03-01 */
	G_SPAN,						/* 10 min */
	G_URL,						/* https://host/prefix or $config.name */
	G_HEADER,					/* the name of a header */
	G_PATH,						/* of a page */
	G_FIELD,					/* of a record; with min also of its page */
	G_TEMPLATE,					/* variables: min */
	G_TREE,						/* any JSON with templates in its texts; variables: min */
	G_SCALAR,					/* text, number, true, false; with min also null */
	G_STATUS,					/* 429 or "5xx" */
	G_PLACE,					/* body.name or query.name */
	G_OBJECT,					/* by shape */
	G_MAP,						/* names to item; min tells which names */
	G_LIST,						/* of item, at least one */
	G_SOME,						/* item, or a list of it */
	G_EITHER,					/* an object by shape, or else item */
	G_AUTH						/* an object whose kind tells its shape */
} GrammarKind;

/* Which names a map has. */
typedef enum GrammarNames
{
	NAMES_OWN,					/* small names */
	NAMES_HEADER,				/* of headers */
	NAMES_ANY					/* any text */
} GrammarNames;

typedef struct GrammarRule GrammarRule;

typedef struct GrammarKey
{
	const char *name;
	const GrammarRule *rule;
	bool		required;
} GrammarKey;

typedef struct GrammarShape
{
	const char *what;			/* in messages: a stream */
	int			n;
	const GrammarKey *key;
} GrammarShape;

struct GrammarRule
{
	GrammarKind kind;
	const char *const *words;	/* NULL at their end */
	const GrammarShape *shape;
	const GrammarRule *item;
	int64		min,
				max;
};

typedef struct GrammarAuth
{
	const char *kind;
	const GrammarShape *shape;
} GrammarAuth;

extern const GrammarShape cdp_grammar_root;
extern const GrammarAuth cdp_grammar_auth[];
extern const char *const cdp_grammar_auth_kinds[];

#endif							/* CDP_CONNECTOR_GRAMMAR_H */

/*
 * text.h
 *		The tree between the three forms of a segment rule that people meet:
 *		its text, its JSONB and its description in plain words.
 *
 * The tree says what is written, not whether it makes sense: names are not
 * looked up and values not typed. Everything in it lives in the memory
 * context of the call.
 */
#ifndef CDP_SEGMENT_TEXT_H
#define CDP_SEGMENT_TEXT_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Nodes in nodes; the compiler of rules allows 32, so its answer comes first for what is merely too deep. */
#define CDP_TEXT_DEPTH 100

/* Bytes of a rule's text. */
#define CDP_TEXT_BYTES (1024 * 1024)

/* Comparisons, in the order of cdp_text_ops. */
typedef enum CdpTextOp
{
	TEXT_EQ, TEXT_NEQ, TEXT_LT, TEXT_LTE, TEXT_GT, TEXT_GTE,
	TEXT_IN, TEXT_NOT_IN, TEXT_BETWEEN, TEXT_NOT_BETWEEN, TEXT_EXISTS,
	TEXT_PREFIX, TEXT_SUFFIX, TEXT_CONTAINS, TEXT_NOT_CONTAINS,
	TEXT_HAS, TEXT_HAS_ANY, TEXT_HAS_ALL,
	TEXT_IN_LAST, TEXT_IN_NEXT, TEXT_BEFORE_LAST, TEXT_ANNIVERSARY,
	TEXT_OPS
} CdpTextOp;

/* What stands behind a comparison. */
typedef enum CdpTextOperand
{
	OPERAND_VALUE, OPERAND_TWO, OPERAND_LIST, OPERAND_TRUTH, OPERAND_DURATION
} CdpTextOperand;

typedef struct CdpTextOpEntry
{
	const char *key;			/* in JSONB */
	const char *words;			/* in text */
	CdpTextOperand operand;
} CdpTextOpEntry;

extern const CdpTextOpEntry cdp_text_ops[TEXT_OPS];

typedef struct CdpTextTest
{
	CdpTextOp	op;
	List	   *values;			/* of JsonbValue: scalars */
} CdpTextTest;

/* What is counted or added up over the events of an atom, in the order of cdp_text_aggs. */
typedef enum CdpTextAgg
{
	TEXT_DID, TEXT_COUNT, TEXT_DAYS, TEXT_SUM, TEXT_AVG, TEXT_MIN, TEXT_MAX,
	TEXT_DISTINCT, TEXT_FIRST, TEXT_LAST,
	TEXT_AGGS
} CdpTextAgg;

typedef struct CdpTextAggEntry
{
	const char *key;			/* in JSONB */
	const char *word;			/* in text */
} CdpTextAggEntry;

extern const CdpTextAggEntry cdp_text_aggs[TEXT_AGGS];

/* The aggregate is over a property or field; count and days are over the events alone. */
#define CDP_TEXT_HAS_OPERAND(agg) ((agg) >= TEXT_SUM)

typedef enum CdpTextWindowKind
{
	WINDOW_NONE, WINDOW_LAST, WINDOW_BETWEEN, WINDOW_THIS, WINDOW_PREVIOUS, WINDOW_ABSOLUTE
} CdpTextWindowKind;

typedef struct CdpTextWindow
{
	CdpTextWindowKind kind;
	char	   *a;				/* duration, unit, or the moment since; NULL when open */
	char	   *b;				/* the second duration, or the moment until; NULL when open */
} CdpTextWindow;

typedef enum CdpTextKind
{
	TEXT_ALL, TEXT_ANY, TEXT_NOT,
	TEXT_ATTR, TEXT_PROP, TEXT_FIELD, TEXT_TRAIT,	/* name and test */
	TEXT_EVENT, TEXT_FIRST_TIME, TEXT_REGULARLY, TEXT_STOPPED, TEXT_RESUMED,
	TEXT_SEQ, TEXT_STEP,		/* a step is also an event that may not stand between */
	TEXT_SEGMENT, TEXT_LIST, TEXT_RANK, TEXT_CONSENT, TEXT_HOLDOUT
} CdpTextKind;

typedef struct CdpTextNode
{
	CdpTextKind kind;
	List	   *parts;			/* all, any, not: nodes; seq: steps */
	char	   *name;			/* of what is asked; operand of an aggregate */
	char	   *second;			/* channel of consent, arm of holdout */
	bool		of_field;		/* the operand is a field, not a property */
	bool		of_trait;		/* a rank is by a trait, not an attribute */
	CdpTextTest *test;

	List	   *kinds;			/* of events: names */
	bool		kinds_listed;	/* written as a list */
	CdpTextAgg	agg;
	CdpTextWindow window;
	struct CdpTextNode *where;	/* condition on the events */

	char	   *within;			/* step: from the one before */
	List	   *same;			/* step: properties equal to those of the one before */
	bool		has_same;
	bool		absent;			/* step: that it did not come */
	char	   *total;			/* seq: from first to last */
	List	   *breaks;			/* seq: events that may not stand between */
	bool		has_breaks;
	bool		breaks_listed;
	char	   *ties;			/* seq */

	bool		expanded;		/* regularly, resumed: told as what it stands for */
	char	   *after;			/* resumed: the pause */
	JsonbValue *at_least;		/* regularly */
	JsonbValue *of;
	char	   *unit;
	bool		bottom;			/* rank */
	JsonbValue *amount;			/* rank: number, or text such as 10% */
} CdpTextNode;

/* A whole rule. */
typedef struct CdpTextRule
{
	char	   *tz;				/* NULL: the setup's */
	char	   *nulls;			/* NULL: sets */
	CdpTextNode *where;
} CdpTextRule;

extern CdpTextNode *cdp_text_node(CdpTextKind kind);
extern JsonbValue *cdp_text_string(const char *text);
extern bool cdp_text_is_field(const char *name);
extern bool cdp_text_is_unit(const char *word);

extern CdpTextRule *cdp_text_from_jsonb(Jsonb *rule);
extern Jsonb *cdp_text_to_jsonb(const CdpTextRule *rule);
extern CdpTextRule *cdp_text_parse(const char *text);
extern char *cdp_text_print(const CdpTextRule *rule);
extern bool cdp_text_is_duration(const char *text);
extern bool cdp_text_is_reserved(const char *word);
extern char *cdp_text_number(const JsonbValue *v);

#endif							/* CDP_SEGMENT_TEXT_H */

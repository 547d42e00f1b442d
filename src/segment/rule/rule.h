/*
 * rule.h
 *		Rules of segments: the typed tree that JSONB is read into, the reader
 *		that collects all its errors, and what the plan is made from.
 *
 * The language and its meaning are told in docs/segments.md.  Everything is
 * palloc'd in the context of the caller and freed with it.
 */
#ifndef CDP_SEGMENT_RULE_H
#define CDP_SEGMENT_RULE_H

#include "cdp.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "pgtime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#define RULE_MAX_DEPTH 32
#define RULE_MAX_NODES 1000
#define RULE_MAX_CONSTANTS 10000	/* in one list; longer ones are uploaded */
#define RULE_MAX_TEXT 10000		/* bytes of a constant or a name */
#define RULE_MAX_MESSAGES 1000	/* more are counted in one line */
#define RULE_MAX_YEARS 100
#define RULE_MAX_STEPS 16
#define RULE_MAX_PERIODS 400
#define RULE_MAX_COUNT 1000000000

/* Distinct texts, numbered in order of first use. */
typedef struct RuleTable
{
	int			n,
				room,
				nslots;
	char	  **text;
	int		   *slot;			/* open addressing; -1 is free */
} RuleTable;

/* Comparisons; their order is that of cdp_rule_op_name. */
typedef enum RuleOp
{
	RULE_EQ, RULE_NEQ, RULE_LT, RULE_LTE, RULE_GT, RULE_GTE, RULE_IN, RULE_NOT_IN,
	RULE_BETWEEN, RULE_NOT_BETWEEN, RULE_EXISTS, RULE_PREFIX, RULE_SUFFIX,
	RULE_CONTAINS, RULE_NOT_CONTAINS, RULE_HAS, RULE_HAS_ANY, RULE_HAS_ALL,
	RULE_LAST, RULE_NEXT, RULE_BEFORE_LAST, RULE_ANNIVERSARY,
	RULE_OPS
} RuleOp;

#define RULE_BIT(op) (1u << (op))
#define RULE_ORDER_OPS (RULE_BIT(RULE_EQ) | RULE_BIT(RULE_NEQ) | RULE_BIT(RULE_LT) | RULE_BIT(RULE_LTE) | \
						RULE_BIT(RULE_GT) | RULE_BIT(RULE_GTE))
#define RULE_BETWEEN_OPS (RULE_BIT(RULE_BETWEEN) | RULE_BIT(RULE_NOT_BETWEEN))
#define RULE_IN_OPS (RULE_BIT(RULE_IN) | RULE_BIT(RULE_NOT_IN))
#define RULE_TEXT_OPS (RULE_BIT(RULE_PREFIX) | RULE_BIT(RULE_SUFFIX) | RULE_BIT(RULE_CONTAINS) | RULE_BIT(RULE_NOT_CONTAINS))
#define RULE_HAS_OPS (RULE_BIT(RULE_HAS) | RULE_BIT(RULE_HAS_ANY) | RULE_BIT(RULE_HAS_ALL))
#define RULE_TIME_OPS (RULE_BIT(RULE_LAST) | RULE_BIT(RULE_NEXT) | RULE_BIT(RULE_BEFORE_LAST) | RULE_BIT(RULE_ANNIVERSARY))

typedef enum RuleConstType
{
	RULE_TEXT, RULE_NUMBER, RULE_BOOLEAN
} RuleConstType;

/* A constant: as JSON said it, and as the type of what it is compared with reads it. */
typedef struct RuleConst
{
	RuleConstType type;
	const char *text;			/* the text, or the number without trailing zeros, or true or false */
	Numeric		number;			/* of a number */
	bool		timed;			/* date or timestamp: time holds days or microseconds since 2000 */
	int64		time;
} RuleConst;

typedef enum RuleUnit
{
	RULE_SECOND, RULE_MINUTE, RULE_HOUR, RULE_DAY, RULE_WEEK, RULE_MONTH, RULE_QUARTER, RULE_YEAR
} RuleUnit;

/* A duration of whole units; months and years move by the calendar. */
typedef struct RuleSpan
{
	int64		count;
	RuleUnit	unit;
} RuleSpan;

/* A comparison and what it compares with. */
typedef struct RuleTest
{
	RuleOp		op;
	int			n;
	RuleConst  *value;
	RuleSpan	span;			/* of the operators of time */
	const char *path;			/* of the operator */
} RuleTest;

typedef enum RuleWindowKind
{
	RULE_WINDOW_NONE, RULE_WINDOW_LAST, RULE_WINDOW_BETWEEN, RULE_WINDOW_THIS, RULE_WINDOW_PREVIOUS, RULE_WINDOW_ABSOLUTE
} RuleWindowKind;

typedef struct RuleWindow
{
	RuleWindowKind kind;
	RuleSpan	a;				/* last; farther end of between */
	RuleSpan	b;				/* nearer end of between */
	RuleUnit	unit;			/* this, previous */
	const char *since,			/* as written, or NULL */
			   *until;
	TimestampTz since_at,
				until_at;
} RuleWindow;

typedef enum RuleField
{
	RULE_FIELD_CHANNEL, RULE_FIELD_GROUP, RULE_FIELD_CAMPAIGN, RULE_FIELD_SOURCE, RULE_FIELD_VALUE
} RuleField;

typedef enum RuleCondKind
{
	RULE_COND_ALL, RULE_COND_ANY, RULE_COND_NOT, RULE_COND_PROP, RULE_COND_FIELD
} RuleCondKind;

/* A condition on one event. */
typedef struct RuleCond
{
	RuleCondKind kind;
	const char *path;
	int			n;
	struct RuleCond **child;
	const char *prop;
	RuleField	field;
	RuleTest	test;
} RuleCond;

/* Some kinds of events, with a condition. */
typedef struct RuleEvents
{
	int			n;
	const char **name;
	int64	   *id;				/* sorted as name is; 0 without a catalogue */
	bool	   *seen;
	RuleCond   *where;			/* NULL: any */
	const char *path;			/* of the names */
} RuleEvents;

typedef struct RuleStep
{
	RuleEvents	events;
	bool		absent;
	bool		bounded;		/* has within */
	RuleSpan	within;
	int			nsame;
	const char **same;
} RuleStep;

typedef enum RuleAgg
{
	RULE_ONCE, RULE_COUNT, RULE_DAYS, RULE_SUM, RULE_AVG, RULE_MIN, RULE_MAX, RULE_DISTINCT, RULE_FIRST, RULE_LAST_OF
} RuleAgg;

typedef enum RuleKind
{
	RULE_ALL, RULE_ANY, RULE_NOT, RULE_ATTR, RULE_DID, RULE_SEQ, RULE_FIRST_TIME, RULE_REGULARLY, RULE_STOPPED,
	RULE_RESUMED, RULE_SEGMENT, RULE_LIST, RULE_TRAIT, RULE_RANK, RULE_CONSENT, RULE_HOLDOUT
} RuleKind;

/* Where an attribute lies, and its type. */
typedef enum RuleType
{
	RULE_TYPE_TEXT, RULE_TYPE_INTEGER, RULE_TYPE_NUMERIC, RULE_TYPE_BOOLEAN, RULE_TYPE_DATE, RULE_TYPE_TIMESTAMP,
	RULE_TYPE_LIST, RULE_TYPE_JSON
} RuleType;

typedef struct RuleAttribute
{
	RuleType	type;
	const char *column;			/* a column of its own, or NULL */
	const char *json;			/* else the column of JSON that holds it under key */
	const char *key;
} RuleAttribute;

/* A node of the tree; which fields count is said by its kind. */
typedef struct RuleNode
{
	RuleKind	kind;
	const char *path;
	int			n;				/* all, any, not */
	struct RuleNode **child;
	const char *name;			/* attr, segment, list, trait, rank, consent, holdout */
	int64		id;				/* list, trait, holdout */
	RuleAttribute attribute;	/* attr; rank of one */
	RuleTest	test;			/* attr, trait; aggregates */
	RuleEvents	events;			/* did and the named behaviours */
	RuleWindow	window;
	RuleAgg		agg;
	const char *prop;			/* of the aggregate; NULL: the field value */
	int			least,			/* regularly */
				periods;
	RuleUnit	unit;
	RuleSpan	after;			/* resumed */
	int			nsteps;			/* seq */
	RuleStep   *step;
	bool		limited;		/* has total */
	RuleSpan	total;
	int			nbreaks;
	RuleEvents *breaks;
	bool		by_order;		/* ties: order */
	const char *channel;		/* consent */
	const char *arm;			/* holdout */
	bool		of_trait;		/* rank */
	bool		bottom;
	const char *share;			/* rank: a percentage such as 10%, or NULL */
	int64		places;			/* rank: a number of customers */
} RuleNode;

typedef struct Rule
{
	const char *tz;				/* as written, or NULL */
	pg_tz	   *zone;			/* that, or the catalogue's */
	const char *zone_name;
	bool		sql_nulls;
	RuleNode   *where;			/* NULL when it has errors */
} Rule;

/* One error or warning. */
typedef struct RuleMessage
{
	const char *path;
	const char *code;
	bool		warning;
	const char *text;
	const char *hint;			/* or NULL */
} RuleMessage;

/* Reads one rule: what it knows, and what it found wrong. */
typedef struct RuleReader
{
	const JsonbContainer *catalog;	/* NULL: only the form is checked */
	const char *purpose;		/* that the rule is for, or NULL */
	const char *self;			/* name of the segment being saved, or NULL */
	Rule	   *rule;
	int			nodes;
	bool		oversize;		/* said once */
	int			n,
				room;
	int			errors;
	int			left_out;		/* messages above RULE_MAX_MESSAGES */
	RuleMessage *message;
	RuleTable	uses;			/* what the rule names, in order of first use: "what name" */
} RuleReader;

/* report.c: messages, paths, names of things */
extern void cdp_rule_error(RuleReader *r, const char *path, const char *code, const char *hint,
						   const char *fmt,...) pg_attribute_printf(5, 6);
extern void cdp_rule_warn(RuleReader *r, const char *path, const char *code, const char *hint,
						  const char *fmt,...) pg_attribute_printf(5, 6);
extern const char *cdp_rule_at(const char *path, const char *key);
extern const char *cdp_rule_nth(const char *path, int i);
extern const char *cdp_rule_quote(const char *name);
extern const char *cdp_rule_near(const char *word, const char *const *names, int n);
extern void cdp_rule_use(RuleReader *r, const char *what, const char *name);
extern const char *cdp_rule_op_name(RuleOp op);
extern const char *cdp_rule_agg_name(RuleAgg agg);
extern const char *cdp_rule_field_name(RuleField field);
extern const char *cdp_rule_type_name(RuleType type);
extern const char *cdp_rule_unit_name(RuleUnit unit);

/* table.c: distinct texts */
extern int	cdp_rule_table_add(RuleTable *t, const char *text);
extern int	cdp_rule_table_find(const RuleTable *t, const char *text);

/* read.c: values out of JSONB */
extern JsonbValue *cdp_rule_get(const JsonbContainer *object, const char *key);
extern JsonbValue *cdp_rule_item(const JsonbContainer *array, int i);
extern const JsonbContainer *cdp_rule_object(const JsonbValue *v);
extern const JsonbContainer *cdp_rule_array(const JsonbValue *v);
extern const char *cdp_rule_json_type(const JsonbValue *v);
extern char *cdp_rule_string(const JsonbValue *v);
extern bool cdp_rule_whole(const JsonbValue *v, int64 *out);
extern const char **cdp_rule_keys(const JsonbContainer *object, int *n);
extern const char *cdp_rule_read_name(RuleReader *r, const JsonbValue *v, const char *path, const char *what);
extern void cdp_rule_known_keys(RuleReader *r, const JsonbContainer *object, const char *path,
								const char *const *known, int n);
extern bool cdp_rule_enter(RuleReader *r, const char *path, int depth);

/* span.c: durations and windows */
extern bool cdp_rule_read_span(RuleReader *r, const JsonbValue *v, const char *path, bool fixed_only, RuleSpan *out);
extern bool cdp_rule_read_window(RuleReader *r, const JsonbContainer *object, const char *path, RuleWindow *out);
extern bool cdp_rule_read_unit(RuleReader *r, const JsonbValue *v, const char *path, bool whole_days, RuleUnit *out);
extern bool cdp_rule_read_between(RuleReader *r, const JsonbValue *v, const char *path, RuleWindow *out);
extern bool cdp_rule_span_fixed(RuleSpan s);
extern int64 cdp_rule_span_usecs(RuleSpan s);
extern int	cdp_rule_span_months(RuleSpan s);
extern char *cdp_rule_span_text(RuleSpan s);

/* moment.c: dates, moments and the calendar of a zone */
extern pg_tz *cdp_rule_zone(const char *name);
extern bool cdp_rule_read_date(const char *text, int64 *days);
extern bool cdp_rule_read_moment(const char *text, pg_tz *zone, int64 *at);
extern int	cdp_rule_today(TimestampTz at, pg_tz *zone);
extern TimestampTz cdp_rule_midnight(int day, pg_tz *zone);
extern int	cdp_rule_add_months(int day, int months);
extern int	cdp_rule_period_start(int day, RuleUnit unit, int back);
extern void cdp_rule_ymd(int day, int *year, int *month, int *mday);

/* test.c: comparisons and their constants */
extern bool cdp_rule_read_test(RuleReader *r, const JsonbContainer *object, const char *path, uint32 ops,
							   const char *of, RuleTest *out);
extern bool cdp_rule_fit_attribute(RuleReader *r, RuleTest *test, const char *name, RuleType type);
extern bool cdp_rule_fit_number(RuleReader *r, RuleTest *test, const char *of);
extern bool cdp_rule_fit_text(RuleReader *r, RuleTest *test, const char *of);
extern bool cdp_rule_fit_count(RuleReader *r, RuleTest *test, const char *of);
extern const char *cdp_rule_value_path(const RuleTest *test, int i);
extern int	cdp_rule_compare_consts(const void *pa, const void *pb);
extern int	cdp_rule_op_names(uint32 ops, const char **names);

/* condition.c: conditions on events */
extern RuleCond *cdp_rule_read_cond(RuleReader *r, const JsonbValue *v, const char *path, int depth, const RuleEvents *events);
extern void cdp_rule_check_prop(RuleReader *r, const char *path, const char *prop, const RuleEvents *events);

/* event.c: atoms about events */
extern bool cdp_rule_read_did(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);
extern bool cdp_rule_read_seq(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);
extern bool cdp_rule_read_first_time(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);
extern bool cdp_rule_read_regularly(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);
extern bool cdp_rule_read_stopped(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);
extern bool cdp_rule_read_resumed(RuleReader *r, const JsonbContainer *object, RuleNode *node, int depth);

/* catalog.c: what the names stand for */
extern const JsonbContainer *cdp_rule_lookup(RuleReader *r, const char *section, const char *name, const char *path,
											 const char *code, const char *what);
extern void cdp_rule_allowed(RuleReader *r, const JsonbContainer *entry, const char *path, const char *what, const char *name);
extern const char *cdp_rule_near_key(RuleReader *r, const JsonbContainer *section, const char *name);
extern int64 cdp_rule_entry_id(const JsonbContainer *entry);
extern bool cdp_rule_resolve_attribute(RuleReader *r, const char *name, const char *path, RuleAttribute *out, bool *encrypted);
extern void cdp_rule_check_cycle(RuleReader *r, const char *name, const char *path);

/* warn.c: what is allowed and hardly meant */
extern void cdp_rule_warnings(RuleReader *r);

/* parse.c: the whole rule */
extern void cdp_rule_reader_init(RuleReader *r, const JsonbContainer *catalog);
extern Rule *cdp_rule_read(RuleReader *r, Jsonb *rule);

#endif							/* CDP_SEGMENT_RULE_H */

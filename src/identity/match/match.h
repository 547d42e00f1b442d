/*
 * match.h
 *		Probabilistic matching: terms, conditions, the model, the packed records,
 *		and the pairs that blocking makes.
 *
 * A term is an expression over one record (a column, lower of it, its first
 * letters ...).  PostgreSQL computes all terms once per record; what compares
 * two records reads only these texts, so nothing of a model is run as SQL but
 * expressions that were put together from a closed list.
 */
#ifndef CDP_MATCH_H
#define CDP_MATCH_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/jsonb.h"

#define CDP_MATCH_MAX_TERMS 64
#define CDP_MATCH_MAX_COMPARISONS 32
#define CDP_MATCH_MAX_LEVELS 32
#define CDP_MATCH_MAX_RULES 64
#define CDP_MATCH_MAX_PARTS 16
#define CDP_MATCH_MAX_CONDITION 10000	/* bytes */
#define CDP_MATCH_MAX_DEPTH 50

/* ---- terms: expressions over one record */

typedef enum CdpTermKind
{
	CDP_TERM_COLUMN,
	CDP_TERM_LOWER,
	CDP_TERM_UPPER,
	CDP_TERM_TRIM,
	CDP_TERM_SUBSTR,
	CDP_TERM_NULLIF,
	CDP_TERM_SOUNDEX,
	CDP_TERM_DMETAPHONE,
	CDP_TERM_EXTRACT,
	CDP_TERM_CONCAT
} CdpTermKind;

typedef struct CdpTerm
{
	CdpTermKind kind;
	char	   *text;			/* column; the pattern of EXTRACT; what NULLIF turns to NULL; literal of CONCAT */
	int			from;			/* SUBSTR */
	int			count;			/* SUBSTR; -1 = to the end */
	struct CdpTerm *arg;
	struct CdpTerm *arg2;		/* CONCAT; NULL when text stands there */
} CdpTerm;

/* Each different term once, known by its canonical text. */
typedef struct CdpTermList
{
	int			n;
	CdpTerm    *term[CDP_MATCH_MAX_TERMS];
	char	   *name[CDP_MATCH_MAX_TERMS];
} CdpTermList;

/* How a term is written: canonical (and DuckDB's, one text for both), or for PostgreSQL to run. */
typedef enum CdpTermStyle
{
	CDP_STYLE_CANONICAL,
	CDP_STYLE_POSTGRES
} CdpTermStyle;

extern int	cdp_term_intern(CdpTermList *list, CdpTerm *term, const char *path);
extern void cdp_term_write(StringInfo out, const CdpTerm *term, const char *prefix, char suffix, CdpTermStyle style);
extern void cdp_term_columns(const CdpTerm *term, List **columns);

/* ---- conditions: over two records, l and r */

typedef enum CdpConditionKind
{
	CDP_CONDITION_TRUE,			/* ELSE */
	CDP_CONDITION_AND,
	CDP_CONDITION_OR,
	CDP_CONDITION_NOT,
	CDP_CONDITION_NULL,			/* a term of one side is NULL (or no date) */
	CDP_CONDITION_MEASURE
} CdpConditionKind;

typedef enum CdpMeasure
{
	CDP_MEASURE_EQUAL,
	CDP_MEASURE_LEVENSHTEIN,
	CDP_MEASURE_DAMERAU,
	CDP_MEASURE_JARO,
	CDP_MEASURE_JARO_WINKLER,
	CDP_MEASURE_JACCARD,
	CDP_MEASURE_TRIGRAM,
	CDP_MEASURE_DICE,
	CDP_MEASURE_SECONDS,
	CDP_MEASURE_DAYS,
	CDP_MEASURE_MONTHS,
	CDP_MEASURE_YEARS,
	CDP_MEASURE_NUMBER,
	CDP_MEASURE_COMMON,			/* elements that two arrays share */
	CDP_MEASURE_KM
} CdpMeasure;

typedef enum CdpOperator
{
	CDP_OP_LE,
	CDP_OP_LT,
	CDP_OP_GE,
	CDP_OP_GT,
	CDP_OP_EQ,
	CDP_OP_NE
} CdpOperator;

/* How a text says its day, or its time. */
typedef enum CdpDateFormat
{
	CDP_DATE_NONE,
	CDP_DATE_ISO,				/* the day of 2026-11-22, whatever follows it */
	CDP_DATE_COMPACT,			/* 20261122 */
	CDP_DATE_DMY,				/* 22/11/2026 */
	CDP_DATE_TIME,				/* 2026-11-22, and if there is one its time, fraction and zone */
	CDP_DATE_TIME_Z,			/* 2026-11-22T10:15:00Z and nothing else */
	CDP_DATE_TIME_T,			/* 2026-11-22T10:15:00 */
	CDP_DATE_TIME_BLANK			/* 2026-11-22 10:15:00 */
} CdpDateFormat;

#define CDP_DATE_LAST CDP_DATE_TIME_BLANK

/* Its pattern in the words of strptime; NULL for a cast to timestamp. */
extern const char *const cdp_date_pattern[CDP_DATE_LAST + 1];

typedef struct CdpCondition
{
	CdpConditionKind kind;
	CdpMeasure	measure;
	CdpOperator op;
	double		limit;
	char		side;			/* NULL: 'l' or 'r' */
	bool		negated;		/* NULL: IS NOT NULL */
	CdpDateFormat format;
	int			term[2];		/* of l and of r; NULL: the first */
	int			longitude[2];	/* KM */
	int			n;
	struct CdpCondition **arg;	/* AND, OR, NOT */
} CdpCondition;

extern CdpCondition *cdp_condition_parse(const char *text, int len, const char *path, CdpTermList *terms);
extern void cdp_condition_write(StringInfo out, const CdpCondition *c, const CdpTermList *terms, bool blocking);

/* ---- the model */

/* One way to make pairs: both records agree on every part; the rest is checked on each pair. */
typedef struct CdpRule
{
	int			source;			/* which rule of the model it comes from */
	int			nparts;
	int			part_l[CDP_MATCH_MAX_PARTS];
	int			part_r[CDP_MATCH_MAX_PARTS];
	int			nfilters;
	CdpCondition *filter[CDP_MATCH_MAX_PARTS];
	bool		symmetric;
} CdpRule;

typedef struct CdpLevel
{
	CdpCondition *condition;
	char	   *label;
	bool		is_null;
	int			value;			/* Splink's: -1 for the null level, 0 for the last, up to the strictest */
	double		m;				/* NaN when it is not trained */
	double		u;
	bool		fix_m;
	bool		fix_u;
	int			tf_term;		/* -1: none */
	double		tf_weight;
	double		tf_minimum;
	double		tf_u;			/* u of the level that says the term is equal */
} CdpLevel;

typedef struct CdpComparison
{
	char	   *name;
	int			nlevels;
	CdpLevel   *level;
	int			nvalues;		/* levels that are not null */
	CdpLevel   *by_value[CDP_MATCH_MAX_LEVELS];
	int64		weight;			/* of this comparison in a pattern */
	bool		single;			/* looks at one term of each side only */
	int			term[2];
	uint64		terms;			/* all that it looks at */
} CdpComparison;

typedef enum CdpLinkType
{
	CDP_LINK_DEDUPE,
	CDP_LINK_BETWEEN,
	CDP_LINK_BOTH
} CdpLinkType;

typedef struct CdpModel
{
	CdpLinkType link_type;
	double		prior;
	int			ncomparisons;
	CdpComparison *comparison;
	int			nrules;
	CdpRule    *rule;
	CdpTermList terms;
} CdpModel;

extern CdpModel *cdp_model_read(Jsonb *settings);
extern int	cdp_rules_parse(const char *text, int len, const char *path, int source, CdpTermList *terms, CdpRule *rules,
							int room);
extern CdpRule *cdp_rules_read(ArrayType *texts, const char *path, CdpTermList *terms, int *n);
extern uint64 cdp_condition_terms(const CdpCondition *c);

/* ---- records: what the terms of each record are, packed */

typedef struct CdpRecordTerm
{
	const char *name;
	uint32		nvalues;
	const uint32 *offset;		/* nvalues + 1, into bytes */
	const uint32 *count;		/* records that have the value */
	const char *bytes;
	double		records;		/* that have any */
	uint64	   *hash;			/* of the values; made when asked for */
} CdpRecordTerm;

typedef struct CdpRecords
{
	uint32		nterms;
	uint32		nrecords;
	uint32		nsources;
	CdpRecordTerm *term;
	const char **source_name;
	const uint32 *id_offset;
	const char *id_bytes;
	const uint16 *source;
	const uint8 *flag;			/* 1: new or changed */
	const int32 *code;			/* nrecords x nterms; -1 for NULL */
} CdpRecords;

extern CdpRecords *cdp_records_open(bytea *packed);
extern int	cdp_records_find_term(const CdpRecords *r, const char *name);
extern void cdp_records_hash(CdpRecords *r, int term);

/* The text of a value. */
static inline const char *
cdp_value(const CdpRecordTerm *t, int32 code, int *len)
{
	*len = t->offset[code + 1] - t->offset[code];
	return t->bytes + t->offset[code];
}

/* ---- comparing two records */

typedef struct CdpMatcher CdpMatcher;

extern CdpMatcher *cdp_matcher_create(CdpRecords *records, CdpModel *model);
extern bool cdp_matcher_holds(CdpMatcher *m, const CdpCondition *c, uint32 l, uint32 r);
extern int64 cdp_matcher_pattern(CdpMatcher *m, uint32 l, uint32 r);
extern double cdp_matcher_weight(CdpMatcher *m, int64 pattern, uint32 l, uint32 r);
extern double cdp_matcher_prior(const CdpMatcher *m);
extern double cdp_matcher_step(CdpMatcher *m, int comparison, int64 pattern, uint32 l, uint32 r, double *tf,
							   double *frequency);
extern int	cdp_matcher_term(const CdpMatcher *m, int model_term);
extern int	cdp_pattern_value(const CdpComparison *c, int64 pattern);

/* ---- blocking */

typedef struct CdpBlocks CdpBlocks;

/* What one rule makes. */
typedef struct CdpBlockFigures
{
	int64		blocks;
	double		pairs;
	int64		largest;		/* records of the largest block */
	uint32		largest_record; /* one of them */
	int64		dropped_blocks;
	double		dropped_pairs;
} CdpBlockFigures;

extern CdpBlocks *cdp_blocks_create(CdpRecords *records, CdpMatcher *matcher, CdpModel *model, CdpRule *rules, int nrules,
									double max_pairs, bool changed_only);
extern bool cdp_blocks_next(CdpBlocks *b, uint32 *l, uint32 *r, int *rule);
extern void cdp_blocks_rule_only(CdpBlocks *b, int rule);
extern const CdpBlockFigures *cdp_blocks_figures(CdpBlocks *b, int rule);

#endif							/* CDP_MATCH_H */

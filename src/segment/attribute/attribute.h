/*
 * attribute.h
 *		The attribute atoms of a plan, and the values of a row that they look at.
 *
 * read.c makes both out of the plan; value.c takes the values out of a row;
 * expression.c compiles an atom into an expression of PostgreSQL; pass.c is the
 * aggregate.  All of it lives in the context of the aggregate.
 */
#ifndef CDP_SEGMENT_ATTRIBUTE_H
#define CDP_SEGMENT_ATTRIBUTE_H

#include "cdp.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "pgtime.h"
#include "segment/bitmap/passresult.h"
#include "utils/jsonb.h"

/* Types of attributes, in the order of their names in read.c. */
typedef enum CdpAttrType
{
	CDP_ATTR_TEXT,
	CDP_ATTR_INTEGER,
	CDP_ATTR_NUMERIC,
	CDP_ATTR_BOOLEAN,
	CDP_ATTR_DATE,
	CDP_ATTR_TIMESTAMP,
	CDP_ATTR_LIST,
	CDP_ATTR_JSON
} CdpAttrType;

#define CDP_ATTR_TYPES 8

/* Comparisons, in the order of their names in read.c. */
typedef enum CdpAttrOp
{
	CDP_ATTR_EXISTS,
	CDP_ATTR_EQ,
	CDP_ATTR_LT,
	CDP_ATTR_LTE,
	CDP_ATTR_GT,
	CDP_ATTR_GTE,
	CDP_ATTR_BETWEEN,
	CDP_ATTR_IN,
	CDP_ATTR_PREFIX,
	CDP_ATTR_SUFFIX,
	CDP_ATTR_CONTAINS,
	CDP_ATTR_HAS,
	CDP_ATTR_RANGE,				/* [lo, hi) */
	CDP_ATTR_ANNIVERSARY		/* month and day lie between two, in one of some pairs */
} CdpAttrOp;

#define CDP_ATTR_OPS 14

#define CDP_ATTR_MAX_FIELDS 1600	/* what a row of PostgreSQL can have */

/* A value that atoms look at: one column of the row that they see. */
typedef struct CdpAttrField
{
	char	   *column;			/* of the row given */
	char	   *key;			/* member of its JSON, NULL: the column itself */
	CdpAttrType type;
	bool		presence;		/* only whether there is one: true or NULL */
	/* when the type of the rows is known */
	int			attnum;
	bool		from_json;
	Oid			value_type;
	ExprState  *cast;			/* over the row given; NULL: as it is */
} CdpAttrField;

/* A comparison of the plan. */
typedef struct CdpAttrAtom
{
	CdpAttrOp	op;
	int			field;
	int			nvalues;
	JsonbValue *value;			/* constants, in the plan's copy */
	bool		has_lo;
	bool		has_hi;
	bool		slides_lo;
	bool		slides_hi;
	int64		lo;				/* days or microseconds since 2000 */
	int64		hi;
	int64		slide_lo;		/* lo is as_of - this */
	int64		slide_hi;
	int			npairs;
	int		   *pair;			/* month * 100 + day: first and last of each */
	pg_tz	   *zone;			/* in which the days of moments are told */
	CdpIdSet	yes;
	CdpIdSet	unknown;
} CdpAttrAtom;

typedef struct CdpAttrPlan
{
	int64		as_of;
	int			nfields;
	CdpAttrField *field;
	int			natoms;
	CdpAttrAtom *atom;
} CdpAttrPlan;

/* read.c */
extern CdpAttrPlan *cdp_attr_read(Jsonb *json);
CDP_NORETURN extern void cdp_attr_bad(int atom, const char *what);

/* value.c */
extern void cdp_attr_bind(CdpAttrPlan *plan, TupleDesc rows);
extern TupleDesc cdp_attr_desc(const CdpAttrPlan *plan);
extern void cdp_attr_values(const CdpAttrPlan *plan, TupleTableSlot *row, ExprContext *econtext, TupleTableSlot *values);

/* expression.c */
extern Expr *cdp_attr_expression(const CdpAttrPlan *plan, int atom);

#endif							/* CDP_SEGMENT_ATTRIBUTE_H */

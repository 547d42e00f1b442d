/*
 * survivor.h
 *		Which of several values of an attribute counts: the rows of one customer,
 *		the voices among them, and the choice.
 *
 * A voice is one identifier in one source: it says one thing at a time, and
 * what it said last is what it says now. Pure C but for memory and numerics.
 */
#ifndef CDP_SURVIVOR_H
#define CDP_SURVIVOR_H

#include "cdp.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* In the order of cdp_internal.attribute_types(). */
typedef enum CdpAttributeType
{
	CDP_TYPE_TEXT = 1,
	CDP_TYPE_INTEGER,
	CDP_TYPE_NUMERIC,
	CDP_TYPE_BOOLEAN,
	CDP_TYPE_DATE,
	CDP_TYPE_TIMESTAMP,
	CDP_TYPE_LIST,
	CDP_TYPE_JSON
} CdpAttributeType;

/* In the order of cdp_internal.attribute_strategies(). */
typedef enum CdpStrategy
{
	CDP_SURVIVE_LATEST = 1,
	CDP_SURVIVE_LATEST_SEEN,
	CDP_SURVIVE_EARLIEST,
	CDP_SURVIVE_MOST_FREQUENT,
	CDP_SURVIVE_SOURCE_ORDER,
	CDP_SURVIVE_LONGEST,
	CDP_SURVIVE_VERIFIED,
	CDP_SURVIVE_MIN,
	CDP_SURVIVE_MAX,
	CDP_SURVIVE_SUM,
	CDP_SURVIVE_UNION,
	CDP_SURVIVE_CUSTOM
} CdpStrategy;

/* What a row said, or what a voice says now; texts belong to the aggregate. */
typedef struct CdpSaid
{
	int32		attribute;
	int32		source;
	int32		rank;			/* place of the source in the attribute's order */
	int8		type;
	int8		strategy;
	bool		verified;
	int64		customer;		/* home */
	int64		identifier;
	TimestampTz first;
	TimestampTz last;
	TimestampTz since;			/* voices only: since when it says so without a break */
	struct varlena *times;		/* timestamptz[], sorted: when it was said between first and last; NULL: then only */
	const char *name;
	const char *value;
	int32		name_len;
	int32		len;
} CdpSaid;

/* The choice for one attribute of one customer. */
typedef struct CdpGolden
{
	CdpSaid		said;			/* the voice that won; its value, unless sum or list stands */
	Numeric		sum;			/* strategy sum, else NULL */
	Jsonb *list;			/* strategy union, else NULL */
	int64		others;			/* voices that say something else */
	CdpSaid    *voices;			/* all of them, best first */
	int64		n;
} CdpGolden;

extern int	cdp_said_compare(const void *a, const void *b);
extern bool cdp_said_fits(const CdpSaid *said);
extern bool cdp_choose(const CdpSaid *rows, int64 n, CdpGolden *golden);

extern Jsonb *cdp_said_json(const CdpSaid *said);
extern Jsonb *cdp_union_lists(const CdpSaid *voices, int64 n);

#endif							/* CDP_SURVIVOR_H */

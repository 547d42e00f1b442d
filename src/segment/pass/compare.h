/*
 * compare.h
 *		A value of a row beside the constants of a plan.
 *
 * Numbers are compared as numeric, text bytewise. Nearly all numbers of the
 * world are whole micro-units: those are compared as 64-bit integers, all others
 * as they are.
 */
#ifndef CDP_SEGMENT_COMPARE_H
#define CDP_SEGMENT_COMPARE_H

#include "cdp.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

typedef enum CdpCompareOp
{
	CDP_EXISTS,
	CDP_EQ,
	CDP_LT,
	CDP_LTE,
	CDP_GT,
	CDP_GTE,
	CDP_IN,
	CDP_BETWEEN,				/* both ends included */
	CDP_PREFIX,
	CDP_SUFFIX,
	CDP_CONTAINS,
	CDP_HAS						/* a list that holds the constant */
} CdpCompareOp;

#define CDP_COMPARE_OPS 12
#define CDP_OPS_NUMBER (1 << CDP_EQ | 1 << CDP_LT | 1 << CDP_LTE | 1 << CDP_GT | 1 << CDP_GTE)
#define CDP_OPS_SCALAR (CDP_OPS_NUMBER | 1 << CDP_IN | 1 << CDP_PREFIX | 1 << CDP_SUFFIX | 1 << CDP_CONTAINS)
#define CDP_OPS_ALL (CDP_OPS_SCALAR | 1 << CDP_EXISTS | 1 << CDP_BETWEEN | 1 << CDP_HAS)

/* A number: micro-units, or what does not fit them. */
typedef struct CdpNumber
{
	int64		micro;
	Numeric		odd;			/* NULL: micro says all */
} CdpNumber;

typedef struct CdpConst
{
	enum jbvType type;			/* jbvNumeric, jbvString or jbvBool */
	bool		boolean;
	int			len;
	const char *text;
	Numeric		numeric;
	CdpNumber	number;
} CdpConst;

typedef struct CdpCompare
{
	CdpCompareOp op;
	int			n;
	CdpConst   *value;			/* sorted for CDP_IN */
	int128		lo;				/* numbers: the micro-units for which op holds, but for CDP_IN */
	int128		hi;
} CdpCompare;

/* What a comparison says. */
typedef enum CdpVerdict
{
	CDP_SAYS_NO,
	CDP_SAYS_YES,
	CDP_SAYS_NOTHING			/* the value is missing, or of another type than the constants */
} CdpVerdict;

extern bool cdp_number_read(Numeric numeric, CdpNumber *number);
extern Numeric cdp_number_numeric(const CdpNumber *number);
extern void cdp_compare_read(const JsonbContainer *object, const char *op_key, int ops, const char *where, int index,
							 CdpCompare *compare);
extern CdpVerdict cdp_compare_value(const CdpCompare *compare, const JsonbValue *v);
extern bool cdp_compare_numeric(const CdpCompare *compare, Numeric numeric);
extern bool cdp_compare_in(const CdpCompare *compare, const CdpNumber *number);

/* Whether a comparison with numbers holds. */
static inline bool
cdp_compare_number(const CdpCompare *compare, const CdpNumber *number)
{
	if (unlikely(compare->op == CDP_IN))
		return cdp_compare_in(compare, number);
	if (likely(number->odd == NULL))
		return number->micro >= compare->lo && number->micro <= compare->hi;
	return cdp_compare_numeric(compare, number->odd);
}

/* plan_read.c */
CDP_NORETURN extern void cdp_plan_bad(const char *where, int index, const char *what) ;
extern bool cdp_plan_get(const JsonbContainer *object, const char *key, JsonbValue *v);
extern bool cdp_plan_int(const JsonbContainer *object, const char *key, const char *where, int index, int64 *value);
extern const JsonbContainer *cdp_plan_array(const JsonbContainer *object, const char *key, const char *where, int index, int *n);
extern const JsonbContainer *cdp_plan_element(const JsonbContainer *array, int i, const char *where, int index);
extern char *cdp_plan_text(const JsonbContainer *object, const char *key, const char *where, int index);
extern int64 cdp_plan_int_of(const JsonbValue *v, const char *where, int index, const char *key);

#endif							/* CDP_SEGMENT_COMPARE_H */

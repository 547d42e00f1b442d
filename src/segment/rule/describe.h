/*
 * describe.h
 *		What a language gives so that rules can be told in it.
 */
#ifndef CDP_SEGMENT_DESCRIBE_H
#define CDP_SEGMENT_DESCRIBE_H

#include "segment/rule/text.h"

typedef struct CdpTongue
{
	const char *everybody;		/* whole descriptions */
	const char *nobody;
	const char *one;			/* what goes before a single clause */
	const char *after_one;		/* and after it */
	const char *whole[4];		/* headings of a whole rule: all, any, not all, none */
	const char *part[4];		/* headings of a group inside */
	const char *always;			/* an empty group inside */
	const char *never;
	const char *not_so;			/* before a clause that has no negative of its own */
	const char *zone;			/* before the name of a time zone */
	const char *after_zone;
	const char *unknown;		/* what nulls sql means */
	void		(*clause) (StringInfo out, const CdpTextNode *node, bool negated, int indent);
	bool		(*negates) (const CdpTextNode *node);	/* the clause has a negative of its own */
} CdpTongue;

extern const CdpTongue cdp_tongue_en;
extern const CdpTongue cdp_tongue_zh;

/* A duration taken apart: "30 days". */
typedef struct CdpTextSpan
{
	char	   *count;			/* digits; NULL when the text is no single duration */
	char	   *unit;			/* singular */
} CdpTextSpan;

extern CdpTextSpan cdp_text_span(const char *duration);
extern bool cdp_text_is_one(const char *number);
extern void cdp_describe_name(StringInfo out, const char *name);
extern void cdp_describe_names(StringInfo out, List *names, const char *between);
extern void cdp_describe_value(StringInfo out, const JsonbValue *v);
extern void cdp_describe_values(StringInfo out, List *values, const char *between);
extern CdpTextOp cdp_text_opposite(const CdpTextTest *test);
extern bool cdp_text_asks_never(const CdpTextTest *test);

#endif							/* CDP_SEGMENT_DESCRIBE_H */

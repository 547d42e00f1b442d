/*
 * option.h
 *		Options that come as jsonb: reading one value, and the options of an
 *		aggregate.
 */
#ifndef CDP_OPTION_H
#define CDP_OPTION_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* What an option is called in errors. */
typedef struct CdpOptionName
{
	const char *room;			/* such as "attribution" */
	const char *maker;			/* such as "cdp.attribution_options" */
	const char *name;
} CdpOptionName;

CDP_NORETURN extern void cdp_option_bad(const CdpOptionName *option, const char *expected);
extern char *cdp_option_text(const CdpOptionName *option, const JsonbValue *v);
extern bool cdp_option_bool(const CdpOptionName *option, const JsonbValue *v);
extern int	cdp_option_word(const CdpOptionName *option, const JsonbValue *v, const char *const *words, int n);
extern int	cdp_option_count(const CdpOptionName *option, const JsonbValue *v);
extern char **cdp_option_list(const CdpOptionName *option, const JsonbValue *v, int *n);

extern void cdp_option_append_list(StringInfo buf, char *const *list, int n);
extern void cdp_option_append_duration(StringInfo buf, int64 duration);
extern void cdp_option_append_time(StringInfo buf, int64 at);
extern void cdp_option_append_text(StringInfo buf, const char *text);
extern void cdp_option_append_argument(FunctionCallInfo fcinfo, int arg, const CdpOptionName *option, Oid type,
									   StringInfo buf);

extern bool cdp_option_varies(FunctionCallInfo fcinfo, int arg);
extern void cdp_option_same(FunctionCallInfo fcinfo, int arg, const Jsonb *given, const char *room);

#endif							/* CDP_OPTION_H */

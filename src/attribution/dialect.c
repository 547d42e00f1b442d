/*
 * dialect.c
 *		Named sets of defaults that give the answers of other products.
 */
#include "attribution/options.h"

#include "base/suggest.h"

static const char *const dialect_names[] = {
	"adobe", "mam", "channelattribution", "ga", "posthog", "snowplow",
};

/* Sets the defaults of a dialect; options that are given win, because they are read later. */
void
cdp_dialect_apply(CdpOptions *o, const char *name)
{
	int			i;

	for (i = 0; i < lengthof(dialect_names); i++)
		if (pg_strcasecmp(name, dialect_names[i]) == 0)
			break;
	if (i == lengthof(dialect_names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown attribution dialect \"%s\"", name),
				 cdp_suggest_hint(name, dialect_names, lengthof(dialect_names))));
	o->dialect = pstrdup(dialect_names[i]);
	switch (i)
	{
		case 1:					/* mam: journeys end at a conversion, no window, half the middle each for two */
			o->lookback = PG_INT64_MAX;
			o->reset = true;
			o->two_touch_split = true;
			break;
		case 2:					/* channelattribution: paths as they come */
			o->lookback = PG_INT64_MAX;
			o->reset = true;
			break;
		case 3:					/* ga: key events look back 90 days */
			o->lookback = INT64CONST(90) * USECS_PER_DAY;
			o->reset = true;
			break;
		default:				/* adobe, posthog, snowplow: 30 days, touches shared by conversions */
			break;
	}
}

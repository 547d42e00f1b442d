/*
 * zone.c
 *		The local day of a moment. Zones keep one offset for months or for ever,
 *		so the stretches found before answer nearly all questions.
 */
#include "segment/pass/plan.h"

typedef struct CdpOffset
{
	int64		from;			/* known from here */
	int64		to;				/* and before this */
	int64		offset;			/* microseconds to add */
} CdpOffset;

#define MOST_STRETCHES 64

/* Looks a zone up, in the current context. */
CdpZone *
cdp_zone_create(const char *name, const char *where, int index)
{
	CdpZone    *zone = palloc0(sizeof(CdpZone));

	zone->name = pstrdup(name);
	zone->tz = pg_tzset(name);
	if (zone->tz == NULL || !pg_tz_acceptable(zone->tz))
		cdp_plan_bad(where, index, psprintf("\"tz\" %s is no time zone", quote_literal_cstr(name)));
	zone->room = MOST_STRETCHES;
	zone->offset = palloc(sizeof(CdpOffset) * zone->room);
	return zone;
}

/* Finds the stretch that a moment lies in, and keeps it. */
static const CdpOffset *
find_stretch(CdpZone *zone, int64 at)
{
	pg_time_t	second = timestamptz_to_time_t(at);
	pg_time_t	boundary;
	long		before = 0;
	long		after = 0;
	int			dst;
	int			changes;
	CdpOffset  *o;

	Assert(zone->offset != NULL);
	for (int i = 0; i < zone->n; i++)
		if (at >= zone->offset[i].from && at < zone->offset[i].to)
		{
			zone->last = i;
			return &zone->offset[i];
		}
	changes = pg_next_dst_boundary(&second, &before, &dst, &boundary, &after, &dst, zone->tz);
	zone->last = zone->n < zone->room ? zone->n++ : 0;
	o = &zone->offset[zone->last];
	o->from = at;
	o->to = changes > 0 ? time_t_to_timestamptz(boundary) : PG_INT64_MAX;
	o->offset = (int64) before * USECS_PER_SEC;
	/* The same stretch from an earlier moment on: one entry is enough. */
	for (int i = 0; i < zone->n; i++)
		if (i != zone->last && zone->offset[i].to == o->to && zone->offset[i].offset == o->offset)
		{
			zone->offset[i].from = Min(zone->offset[i].from, at);
			if (zone->last == zone->n - 1)
				zone->n--;
			zone->last = i;
			break;
		}
	return &zone->offset[zone->last];
}

/* The local day of a moment, as days since 2000-01-01. */
int64
cdp_zone_day(CdpZone *zone, int64 at)
{
	const CdpOffset *o = zone->n > 0 ? &zone->offset[zone->last] : NULL;
	int64		local;

	if (o == NULL || at < o->from || at >= o->to)
		o = find_stretch(zone, at);
	local = at + o->offset;
	return local >= 0 ? local / USECS_PER_DAY : -((USECS_PER_DAY - 1 - local) / USECS_PER_DAY);
}

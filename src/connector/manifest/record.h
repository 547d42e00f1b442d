/*
 * record.h
 *		Records of a page: the values of their fields, keys and days.
 */
#ifndef CDP_CONNECTOR_RECORD_H
#define CDP_CONNECTOR_RECORD_H

#include "connector/manifest/request.h"

/* A field of a record, ready to be read many times. */
typedef struct RecordField
{
	ManifestPath *path;
	TimeFormat	format;			/* of a time */
	const JsonbContainer *map;	/* of a value that is translated, or NULL */
	JsonbValue *otherwise;		/* its default, or NULL */
	JsonbValue *constant;		/* in place of a path, or NULL */
	Numeric		scale;			/* of an amount, or NULL */
	bool		negate;
} RecordField;

/* What the records of one call have in common. */
typedef struct RecordContext
{
	const Manifest *m;
	RequestValues *request;		/* partition, window */
	JsonbValue	page;			/* jbvNull: not known */
} RecordContext;

/* record.c */
extern RecordContext *cdp_record_context(const Manifest *m, const Jsonb *page);
extern bool cdp_record_value(const RecordContext *c, const ManifestPath *path, const JsonbValue *record, JsonbValue *out);
extern bool cdp_record_day(const RecordContext *c, const RecordField *f, const JsonbValue *record, int *day);
extern bool cdp_record_moment(const RecordContext *c, const RecordField *f, const JsonbValue *record, TimestampTz *at);
extern RecordField *cdp_record_time_field(const JsonbValue *declared, TimeFormat otherwise);
extern RecordField *cdp_record_field(const JsonbValue *declared, bool constant);
extern bool cdp_record_fits(const RecordContext *c, const JsonbContainer *of, const char *key, const JsonbValue *record, bool any);
extern void cdp_record_list(const RecordContext *c, const JsonbValue *page, ManifestRecords *out);
extern char *cdp_record_key(const RecordContext *c, const JsonbContainer *fields, const JsonbValue *record);
extern char *cdp_record_digest(const char *text);
extern Jsonb *cdp_record_jsonb(const JsonbValue *v);

#endif							/* CDP_CONNECTOR_RECORD_H */

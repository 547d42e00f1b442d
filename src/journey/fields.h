/*
 * fields.h
 *		Options of the passes as a table of fields: read from jsonb, checked,
 *		and written back in canonical form.
 */
#ifndef CDP_JOURNEY_FIELDS_H
#define CDP_JOURNEY_FIELDS_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* A list of texts. */
typedef struct CdpTexts
{
	int			n;
	char	  **item;
} CdpTexts;

/* A list of durations in microseconds, PG_INT64_MAX = unbounded. */
typedef struct CdpDurations
{
	int			n;
	int64	   *item;
} CdpDurations;

/* What a field holds, and the member of the options it is kept in. */
typedef enum CdpFieldKind
{
	CDP_FIELD_TEXTS,			/* CdpTexts */
	CDP_FIELD_DURATION,			/* int64 microseconds, PG_INT64_MAX = unbounded */
	CDP_FIELD_WORD,				/* int, index of words */
	CDP_FIELD_BOOL,				/* bool */
	CDP_FIELD_COUNT,			/* int above zero */
	CDP_FIELD_TIME,				/* int64, DT_NOBEGIN or DT_NOEND = no limit */
	CDP_FIELD_ZONE,				/* char *, a time zone */
	CDP_FIELD_PERIOD,			/* CdpPeriod */
	CDP_FIELD_DURATIONS,		/* CdpDurations */
	CDP_FIELD_OTHER				/* read and written by functions of the pass */
} CdpFieldKind;

typedef struct CdpField
{
	const char *name;
	CdpFieldKind kind;
	Size		offset;
	const char *const *words;
	int			nwords;
} CdpField;

#define CDP_FIELD(type, member, field_kind) {#member, CDP_FIELD_##field_kind, offsetof(type, member), NULL, 0}
#define CDP_FIELD_WORDS(type, member, list) {#member, CDP_FIELD_WORD, offsetof(type, member), list, lengthof(list)}

/* The options of a pass. */
typedef struct CdpFields
{
	const char *pass;			/* such as "retention" */
	const char *maker;			/* such as "cdp.retention_options" */
	const CdpField *field;
	int			n;
	Size		size;			/* of the options */
	void		(*defaults) (void *options);
	void		(*check) (void *options);
	void		(*read_other) (void *options, const JsonbValue *v);
	void		(*write_other) (const void *options, StringInfo buf);
} CdpFields;

CDP_NORETURN extern void cdp_fields_bad(const CdpFields *fields, const char *name, const char *expected);
extern void *cdp_fields_read(const CdpFields *fields, Jsonb *jsonb, MemoryContext cxt);
extern void *cdp_fields_read_text(const CdpFields *fields, const char *text, MemoryContext cxt);
extern void cdp_fields_write(const CdpFields *fields, const void *options, StringInfo buf);
extern Datum cdp_fields_make(FunctionCallInfo fcinfo, const CdpFields *fields);
extern bool cdp_texts_have(const CdpTexts *texts, const char *text);

#endif							/* CDP_JOURNEY_FIELDS_H */

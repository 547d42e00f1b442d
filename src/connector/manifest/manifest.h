/*
 * manifest.h
 *		Manifests of connectors: what is wrong with one, its paths and templates,
 *		and the pure steps of a pull that read it.
 *
 * A manifest is JSONB with a closed grammar (docs/connectors.md).  Nothing here
 * reads a table, waits, or knows a secret.  Everything is palloc'd in the context
 * of the caller and freed with it.
 */
#ifndef CDP_CONNECTOR_MANIFEST_H
#define CDP_CONNECTOR_MANIFEST_H

#include "cdp.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "pgtime.h"
#include "utils/jsonb.h"

#define MANIFEST_MAX_BYTES (1024 * 1024)
#define MANIFEST_MAX_PROBLEMS 1000
#define MANIFEST_MAX_STREAMS 200
#define MANIFEST_MAX_TEXT 10000		/* bytes of a text in it */
#define MANIFEST_MAX_DEPTH 32		/* of the body of a request */
#define PATH_MAX_STEPS 16
#define TEMPLATE_MAX_PIECES 32
#define PAGE_MAX_RECORDS 100000
#define KEY_MAX_BYTES 800

/* One thing that is wrong with a manifest. */
typedef struct ManifestProblem
{
	const char *path;			/* streams.contacts.cursor.take; '' is the manifest itself */
	const char *code;
	const char *text;
	const char *hint;			/* or NULL */
} ManifestProblem;

/* Reads a manifest and collects what is wrong with it. */
typedef struct ManifestCheck
{
	int			n,
				room,
				left_out;
	ManifestProblem *problem;
	const JsonbContainer *config;	/* of the manifest; NULL where absent or no object */
	const JsonbContainer *secrets;
	const JsonbContainer *streams;
	const JsonbContainer *stream;	/* the one that is being read, or NULL */
	const char *stream_name;
	bool		in_each;		/* within $each: a chunk is one value there */
} ManifestCheck;

/* Where the value of a path begins. */
typedef enum PathRoot
{
	PATH_RECORD, PATH_DOCUMENT, PATH_PARTITION, PATH_WINDOW_FROM, PATH_WINDOW_TO, PATH_CONFIG
} PathRoot;

typedef struct PathStep
{
	char	   *name;			/* of a key, or NULL */
	int			index;			/* of an item, from 0; -1 is all of them */
} PathStep;

typedef struct ManifestPath
{
	PathRoot	root;
	bool		many;			/* has a step over all items */
	int			n;
	PathStep	step[PATH_MAX_STEPS];
} ManifestPath;

/* What a template may name; the words are in template.c in this order. */
typedef enum TemplateVar
{
	VAR_LITERAL, VAR_CONFIG, VAR_SECRET, VAR_TOKEN, VAR_PARTITION, VAR_WINDOW_FROM, VAR_WINDOW_TO, VAR_CURSOR, VAR_SIZE,
	VAR_METHOD, VAR_PATH, VAR_QUERY, VAR_BODY, VAR_TIMESTAMP, VAR_NONCE
} TemplateVar;

#define VAR_BIT(v) (1 << (v))
#define VARS_REQUEST (VAR_BIT(VAR_CONFIG) | VAR_BIT(VAR_PARTITION) | VAR_BIT(VAR_WINDOW_FROM) | VAR_BIT(VAR_WINDOW_TO) | VAR_BIT(VAR_CURSOR) | VAR_BIT(VAR_SIZE))
#define VARS_AUTH (VAR_BIT(VAR_CONFIG) | VAR_BIT(VAR_SECRET))
#define VARS_SIGN (VAR_BIT(VAR_CONFIG) | VAR_BIT(VAR_METHOD) | VAR_BIT(VAR_PATH) | VAR_BIT(VAR_QUERY) | VAR_BIT(VAR_BODY) | VAR_BIT(VAR_TIMESTAMP) | VAR_BIT(VAR_NONCE))

/* How a day or a moment is written. */
typedef enum TimeFormat
{
	TIME_EPOCH, TIME_EPOCH_MS, TIME_DATE, TIME_YYYYMMDD, TIME_YYYYMMDD_NUMBER, TIME_ISO, TIME_DATETIME, TIME_FORMATS
} TimeFormat;

typedef struct TemplatePiece
{
	TemplateVar var;
	char	   *text;			/* the literal, or the name after the dot, or NULL */
	int			format;			/* of a window, a TimeFormat; -1: that of the window */
} TemplatePiece;

typedef struct ManifestTemplate
{
	int			n;
	TemplatePiece piece[TEMPLATE_MAX_PIECES];
} ManifestTemplate;

/* A manifest without problems and one of its streams, ready for the steps of a pull. */
typedef struct Manifest
{
	const JsonbContainer *root;
	const JsonbContainer *stream;	/* or NULL */
	const char *stream_name;
	const JsonbContainer *state;	/* config, partition, window, cursor: or NULL */
	pg_tz	   *zone;
} Manifest;

/* An address, taken apart. */
typedef struct ManifestUrl
{
	bool		https;
	char	   *host;
	int			port;
	char	   *prefix;			/* /v1, or empty */
} ManifestUrl;

/* Rows of what a page is made of. */
typedef struct ManifestRecords
{
	int			n,
				room;
	JsonbValue *value;
} ManifestRecords;

/* problem.c */
extern void cdp_manifest_problem(ManifestCheck *c, const char *path, const char *code, const char *hint, const char *fmt,...) pg_attribute_printf(5, 6);
extern const char *cdp_manifest_at(const char *path, const char *key);
extern const char *cdp_manifest_nth(const char *path, int i);

/* manifest_check.c */
extern void cdp_manifest_check(ManifestCheck *c, const JsonbContainer *root);

/* references.c */
extern void cdp_manifest_check_references(ManifestCheck *c, const JsonbContainer *root);

extern int64 cdp_manifest_span(const char *text);

/* template_check.c */
extern void cdp_manifest_check_template(ManifestCheck *c, const char *text, const char *path, int allowed);
extern void cdp_manifest_check_tree(ManifestCheck *c, const JsonbValue *v, const char *path, int allowed, int depth);

/* path.c */
extern bool cdp_manifest_path_parse(const char *text, bool of_record, ManifestPath *out, const char **why);
extern ManifestPath *cdp_manifest_path(const char *text, bool of_record);
extern bool cdp_manifest_path_first(const ManifestPath *path, const JsonbValue *from, JsonbValue *out);
extern void cdp_manifest_path_all(const ManifestPath *path, const JsonbValue *from, ManifestRecords *out);

/* template.c */
extern const char *cdp_manifest_template_parse(const char *text, ManifestTemplate *out, const char **hint);
extern const char *cdp_manifest_time_format_name(TimeFormat format);
extern int	cdp_manifest_time_format(const char *name);
extern const char *const *cdp_manifest_time_format_names(void);

/* read.c */
extern const Manifest *cdp_manifest_open(FunctionCallInfo fcinfo, const Jsonb *manifest, const char *stream, const Jsonb *state);
extern JsonbValue *cdp_manifest_get(const JsonbContainer *object, const char *key);
extern const JsonbContainer *cdp_manifest_object(const JsonbContainer *object, const char *key);
extern const char *cdp_manifest_text(const JsonbContainer *object, const char *key, const char *otherwise);
extern int64 cdp_manifest_whole(const JsonbContainer *object, const char *key, int64 otherwise);
extern bool cdp_manifest_true(const JsonbContainer *object, const char *key, bool otherwise);
extern const char *cdp_manifest_scalar_text(const JsonbValue *v);
extern bool cdp_manifest_same(const JsonbValue *value, const JsonbValue *wanted);
extern void cdp_manifest_root_value(const Jsonb *doc, JsonbValue *out);

/* url.c */
extern bool cdp_manifest_url(const char *text, ManifestUrl *out, const char **why);
extern void cdp_manifest_append_encoded(StringInfo buf, const char *text);

/* verdict.c */
extern const char *cdp_manifest_token_verb(const Jsonb *manifest, int status, const Jsonb *headers, const Jsonb *body, const char **code, const char **note);

/* moment.c */
extern bool cdp_manifest_day(const char *text, int *day);
extern const char *cdp_manifest_day_text(int day, TimeFormat format, pg_tz *zone, bool last_second);
extern bool cdp_manifest_read_moment(const char *text, TimeFormat format, pg_tz *zone, TimestampTz *at);

#endif							/* CDP_CONNECTOR_MANIFEST_H */

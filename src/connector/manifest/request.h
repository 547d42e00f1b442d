/*
 * request.h
 *		Values of a request: what templates of a manifest stand for.
 */
#ifndef CDP_CONNECTOR_REQUEST_H
#define CDP_CONNECTOR_REQUEST_H

#include "connector/manifest/manifest.h"

/* What the variables of one request stand for. */
typedef struct RequestValues
{
	const Manifest *m;
	JsonbValue *partition;		/* a scalar, a list, an object of fields; NULL: none */
	const JsonbContainer *fields;	/* of the partition, where it has any */
	bool		windowed;
	int			from,			/* days since 2000, both within the window */
				to;
	TimeFormat	format;
	const char *end;
	JsonbValue	cursor;			/* jbvNull: none */
	int64		size;			/* of a page; 0: none */
} RequestValues;

/* values.c */
extern RequestValues *cdp_request_values(const Manifest *m);
extern JsonbValue *cdp_request_config(const Manifest *m, const char *name);
extern bool cdp_request_value(const RequestValues *r, const TemplatePiece *piece, JsonbValue *out);
extern char *cdp_request_text(const RequestValues *r, const char *text, bool in_path);
extern void cdp_request_tree(const RequestValues *r, JsonbParseState **state, JsonbIteratorToken token, const JsonbValue *v,
							 const ManifestPath *place, int depth);
extern char *cdp_request_literal(const char *text);
extern char *cdp_request_auth_text(const Manifest *m, const char *text);
extern ManifestUrl cdp_request_base(const Manifest *m, const JsonbContainer *of, const char *where);

/* request.c */
extern JsonbValue *cdp_request_push(JsonbParseState **state, const char *key, JsonbValue *v);
extern void cdp_request_push_text(JsonbParseState **state, const char *key, const char *text);

#endif							/* CDP_CONNECTOR_REQUEST_H */

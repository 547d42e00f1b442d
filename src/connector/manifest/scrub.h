/*
 * scrub.h
 *		Bodies of answers: bytes made fit for jsonb, CSV and lines of JSON too.
 *
 * Results are palloc'd in the context of the caller.
 */
#ifndef CDP_CONNECTOR_SCRUB_H
#define CDP_CONNECTOR_SCRUB_H

#include "cdp.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* A body of so many bytes makes at most the 256 MB that jsonb can hold. */
#define SCRUB_MAX_BYTES (32 * 1024 * 1024)
#define SCRUB_MAX_DEPTH 128
#define CSV_MAX_COLUMNS 1000

/* How CSV is written. */
typedef struct CsvForm
{
	char		delimiter;
	bool		header;			/* its first line names the columns */
	int			ncolumns;
	char	  **column;			/* names that stand for those of the header; ncolumns may be 0 */
} CsvForm;

extern void cdp_scrub_require_utf8(void);
extern const char *cdp_scrub_json(const char *bytes, int64 len, StringInfo out, int64 *scrubbed);
extern void cdp_scrub_text(const char *bytes, int64 len, StringInfo out, int64 *scrubbed);
extern Jsonb *cdp_scrub_jsonb(const char *bytes, int64 len, int64 *scrubbed, const char **problem);
extern Jsonb *cdp_scrub_lines(const char *bytes, int64 len, int64 *scrubbed, const char **problem);
extern Jsonb *cdp_scrub_csv(const char *bytes, int64 len, const CsvForm *form, int64 *scrubbed, const char **problem);

#endif							/* CDP_CONNECTOR_SCRUB_H */

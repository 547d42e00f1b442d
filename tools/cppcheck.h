/*
 * cppcheck.h
 *		What cppcheck must know of PostgreSQL's macros: which of them do not come back.
 */
#define PG_VERSION_NUM 150000
#define CDP_VERSION "x"
#define PG_RETURN_NULL() return (Datum) 0
#define PG_RETURN_POINTER(x) return (Datum) (x)
#define PG_RETURN_DATUM(x) return (Datum) (x)
#define PG_RETURN_BYTEA_P(x) return (Datum) (x)
#define PG_RETURN_TEXT_P(x) return (Datum) (x)
#define PG_RETURN_ARRAYTYPE_P(x) return (Datum) (x)
#define PG_RETURN_INT32(x) return (Datum) (x)
#define PG_RETURN_INT64(x) return (Datum) (x)
#define PG_RETURN_BOOL(x) return (Datum) (x)
#define pg_attribute_noreturn() __attribute__((noreturn))
#define ERROR 21
#define ereport(level, rest) do { if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { if ((level) >= ERROR) abort(); } while (0)

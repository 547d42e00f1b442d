/*
 * wire.h
 *		The bytes of values of our types: short integers, 128-bit integers and
 *		text, read without trusting any of them.
 */
#ifndef CDP_WIRE_H
#define CDP_WIRE_H

#include "cdp.h"

#include "lib/stringinfo.h"

CDP_NORETURN extern void cdp_wire_broken(const char *what);
extern int	cdp_wire_get_byte(StringInfo buf);
extern void cdp_wire_put_uint(StringInfo buf, uint64 value);
extern uint64 cdp_wire_get_uint(StringInfo buf);
extern void cdp_wire_put_int(StringInfo buf, int64 value);
extern int64 cdp_wire_get_int(StringInfo buf);
extern void cdp_wire_put_int128(StringInfo buf, int128 value);
extern int128 cdp_wire_get_int128(StringInfo buf);
extern void cdp_wire_put_text(StringInfo buf, const char *text);
extern char *cdp_wire_get_text(StringInfo buf);
extern int	cdp_wire_get_count(StringInfo buf, int least_bytes, const char *what);
extern char *cdp_wire_hex(const void *bytes, Size len);
extern bytea *cdp_wire_unhex(const char *text, const char *type, const char *maker);
extern bytea *cdp_wire_binary(const void *bytes, Size len);

#endif							/* CDP_WIRE_H */

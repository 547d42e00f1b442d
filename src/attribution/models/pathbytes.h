/*
 * pathbytes.h
 *		The bytes in which path statistics are written: variable-length
 *		integers, 7 bits a byte, low bits first, always in their shortest form,
 *		so that equal tables have equal bytes.
 *
 * Readers trust nothing: each value is checked against what is left.
 */
#ifndef CDP_PATHBYTES_H
#define CDP_PATHBYTES_H

#include "cdp.h"
#include "lib/stringinfo.h"

typedef unsigned __int128 CdpWide;

/* Raises the error for bytes that no pg_cdp wrote. */
static inline void
cdp_bytes_bad(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("damaged attribution partial"),
			 errdetail("%s.", what),
			 errhint("Compute the partial again from its touches.")));
}

/* Appends an unsigned integer of at most 128 bits. */
static inline void
cdp_put_wide(StringInfo buf, CdpWide value)
{
	do
	{
		unsigned char byte = (unsigned char) (value & 0x7f);

		value >>= 7;
		if (value != 0)
			byte |= 0x80;
		appendStringInfoCharMacro(buf, (char) byte);
	} while (value != 0);
}

/* Appends an unsigned integer of 64 bits. */
static inline void
cdp_put_uint(StringInfo buf, uint64 value)
{
	cdp_put_wide(buf, value);
}

/* Appends a signed integer: 0, -1, 1, -2 ... become 0, 1, 2, 3 ... */
static inline void
cdp_put_int(StringInfo buf, int128 value)
{
	CdpWide		sign = value < 0 ? ~(CdpWide) 0 : 0;

	cdp_put_wide(buf, ((CdpWide) value << 1) ^ sign);
}

/* Reads an unsigned integer of at most the given bits. */
static inline CdpWide
cdp_get_wide(StringInfo buf, int bits)
{
	CdpWide		value = 0;
	int			shift = 0;

	for (;;)
	{
		unsigned char byte;

		if (buf->cursor >= buf->len)
			cdp_bytes_bad("The bytes end too early");
		byte = (unsigned char) buf->data[buf->cursor++];
		if (shift >= bits || (bits - shift < 7 && (byte & 0x7f) >> (bits - shift) != 0))
			cdp_bytes_bad("A number is too large");
		value |= (CdpWide) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
		{
			if (byte == 0 && shift > 0)
				cdp_bytes_bad("A number is not in its shortest form");
			return value;
		}
		shift += 7;
	}
}

/* Reads an unsigned integer that must not exceed max. */
static inline uint64
cdp_get_uint(StringInfo buf, uint64 max, const char *what)
{
	CdpWide		value = cdp_get_wide(buf, 64);

	if (value > max)
		cdp_bytes_bad(what);
	return (uint64) value;
}

/* Reads a signed integer of 128 bits. */
static inline int128
cdp_get_int128(StringInfo buf)
{
	CdpWide		value = cdp_get_wide(buf, 128);

	return (int128) ((value >> 1) ^ ((value & 1) ? ~(CdpWide) 0 : 0));
}

/* Reads a signed integer of 64 bits. */
static inline int64
cdp_get_int64(StringInfo buf)
{
	uint64		value = (uint64) cdp_get_wide(buf, 64);

	return (int64) ((value >> 1) ^ ((value & 1) ? ~UINT64CONST(0) : 0));
}

/* How many bytes are left; each entry to come needs at least one. */
static inline uint64
cdp_bytes_left(StringInfo buf)
{
	return (uint64) (buf->len - buf->cursor);
}

#endif							/* CDP_PATHBYTES_H */

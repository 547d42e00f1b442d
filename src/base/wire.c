/*
 * wire.c
 *		The bytes of values of our types: short integers (seven bits a byte, the
 *		lowest first), 128-bit integers and text.
 *
 * Readers take whatever a client sent: each checks what is left before it
 * looks, and a count is only believed when that many entries could follow.
 */
#include "wire.h"

#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"

/* Raises the error for bytes that we never wrote. */
void
cdp_wire_broken(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary value: %s", what),
			 errhint("Take the value as the database gave it; it may be cut or changed.")));
}

/* Reads one byte. */
int
cdp_wire_get_byte(StringInfo buf)
{
	if (buf->cursor >= buf->len)
		cdp_wire_broken("it ends too early");
	return (unsigned char) buf->data[buf->cursor++];
}

/* Appends an unsigned integer, 1 to 10 bytes. */
void
cdp_wire_put_uint(StringInfo buf, uint64 value)
{
	char		bytes[10];
	int			n = 0;

	while (value >= 0x80)
	{
		bytes[n++] = (char) (value | 0x80);
		value >>= 7;
	}
	bytes[n++] = (char) value;
	appendBinaryStringInfo(buf, bytes, n);
}

/* Reads it; only the shortest form is accepted, so that equal values have equal bytes. */
uint64
cdp_wire_get_uint(StringInfo buf)
{
	uint64		value = 0;

	for (int shift = 0; shift < 70; shift += 7)
	{
		uint64		byte;

		if (buf->cursor >= buf->len)
			cdp_wire_broken("it ends too early");
		byte = (unsigned char) buf->data[buf->cursor++];
		if (shift == 63 && byte > 1)
			break;
		value |= (byte & 0x7F) << shift;
		if (byte < 0x80)
		{
			if (byte == 0 && shift > 0)
				cdp_wire_broken("integer");
			return value;
		}
	}
	cdp_wire_broken("integer");
}

/* Appends a signed integer, small absolute values short. */
void
cdp_wire_put_int(StringInfo buf, int64 value)
{
	cdp_wire_put_uint(buf, ((uint64) value << 1) ^ (uint64) (value >> 63));
}

/* Reads it. */
int64
cdp_wire_get_int(StringInfo buf)
{
	uint64		value = cdp_wire_get_uint(buf);

	return (int64) ((value >> 1) ^ (~(value & 1) + 1));
}

/* Appends a signed 128-bit integer as high and low part. */
void
cdp_wire_put_int128(StringInfo buf, int128 value)
{
	uint128		folded = ((uint128) value << 1) ^ (uint128) (value >> 127);

	cdp_wire_put_uint(buf, (uint64) folded);
	cdp_wire_put_uint(buf, (uint64) (folded >> 64));
}

/* Reads it. */
int128
cdp_wire_get_int128(StringInfo buf)
{
	uint128		folded = cdp_wire_get_uint(buf);

	folded |= (uint128) cdp_wire_get_uint(buf) << 64;
	return (int128) ((folded >> 1) ^ (~(folded & 1) + 1));
}

/* Appends text with its length. */
void
cdp_wire_put_text(StringInfo buf, const char *text)
{
	size_t		len = strlen(text);

	cdp_wire_put_uint(buf, len);
	appendBinaryStringInfo(buf, text, len);
}

/* Reads text, which must be valid in the database encoding; palloc'd. */
char *
cdp_wire_get_text(StringInfo buf)
{
	int			len = cdp_wire_get_count(buf, 1, "text");
	char	   *text = pnstrdup(buf->data + buf->cursor, len);

	if (strlen(text) != len || !pg_verifymbstr(text, len, true))
		cdp_wire_broken("text is not valid in the encoding of this database");
	buf->cursor += len;
	return text;
}

/* Reads a count of entries of at least so many bytes each; never more than what is left can hold. */
int
cdp_wire_get_count(StringInfo buf, int least_bytes, const char *what)
{
	uint64		n = cdp_wire_get_uint(buf);

	if (n > (uint64) (buf->len - buf->cursor) / least_bytes)
		cdp_wire_broken(what);
	return (int) n;
}

/* Text form of a value of our types, as bytea has it: \x and hexadecimal digits; palloc'd. */
char *
cdp_wire_hex(const void *bytes, Size len)
{
	char	   *text = palloc(len * 2 + 3);

	text[0] = '\\';
	text[1] = 'x';
	text[2 + hex_encode(bytes, len, text + 2)] = '\0';
	return text;
}

/* Bytes of the text form of a value of a type, not yet looked at; maker tells for the hint what makes values. palloc'd. */
bytea *
cdp_wire_unhex(const char *text, const char *type, const char *maker)
{
	if (text[0] != '\\' || text[1] != 'x')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s", type),
				 errdetail("Text of the type starts with \\x."),
				 errhint("Values are made by %s.", maker)));
	return DatumGetByteaPP(DirectFunctionCall1(byteain, CStringGetDatum(text)));
}

/* Binary form of a value of our types: its bytes; palloc'd. */
bytea *
cdp_wire_binary(const void *bytes, Size len)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbytes(&buf, bytes, len);
	return pq_endtypsend(&buf);
}

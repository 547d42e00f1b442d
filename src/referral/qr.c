/*
 * qr.c
 *		QR codes as SVG and PNG: libqrencode finds the modules, this draws them.
 *
 * The symbol is the smallest that holds the text in UTF-8 at the level of error
 * correction asked for.  What libqrencode allocates is freed on every way out.
 * A PNG is one bit a pixel, black on white, packed by zlib.
 */
#include "cdp.h"

#include <errno.h>
#include <qrencode.h>
#include <zlib.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

CDP_FUNCTION(cdp_qr_svg);
CDP_FUNCTION(cdp_qr_png);

#define QUIET_MAX 64
#define SCALE_MAX 64

/* Level of error correction from its letter. */
static QRecLevel
level_of(const text *arg)
{
	static const char letters[] = "LMQH";
	static const QRecLevel levels[] = {QR_ECLEVEL_L, QR_ECLEVEL_M, QR_ECLEVEL_Q, QR_ECLEVEL_H};
	const char *at = VARSIZE_ANY_EXHDR(arg) == 1 ? memchr(letters, pg_ascii_toupper((unsigned char) *VARDATA_ANY(arg)), 4) : NULL;

	if (at == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("level of error correction must be L, M, Q or H"),
				 errhint("They bear 7, 15, 25 and 30 per cent of damage.")));
	return levels[at - letters];
}

/* Raises an error unless a number lies within bounds. */
static int
bounded(const char *what, int32 value, int low, int high)
{
	if (value < low || value > high)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be from %d to %d", what, low, high),
				 errdetail("Got %d.", value)));
	return value;
}

/* Encodes a text; the caller frees the result with QRcode_free(). */
static QRcode *
encode(const text *arg, QRecLevel level)
{
	char	   *utf8 = pg_server_to_any(text_to_cstring(arg), VARSIZE_ANY_EXHDR(arg), PG_UTF8);
	QRcode	   *code;
	int			why;

	if (utf8[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("text of a QR code must not be empty")));
	errno = 0;
	code = QRcode_encodeString(utf8, 0, level, QR_MODE_8, 1);
	why = errno;
	if (code == NULL && why == ERANGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text is too long for a QR code"),
				 errdetail("It has %zu bytes.", strlen(utf8)),
				 errhint("2953 bytes fit at level L, 2331 at M, 1663 at Q, 1273 at H; more of digits and capitals.")));
	if (code == NULL)
		ereport(ERROR,
				(errcode(why == ENOMEM ? ERRCODE_OUT_OF_MEMORY : ERRCODE_INTERNAL_ERROR),
				 errmsg("libqrencode could not encode the text: %s", strerror(why))));
	pfree(utf8);
	return code;
}

/* Whether the module at a place is dark. */
static inline bool
is_dark(const QRcode *code, int x, int y)
{
	return code->data[y * code->width + x] & 1;
}

/* Red, green and blue of #rgb or #rrggbb, as a luma of 0 to 255000; an error for anything else. */
static int
luma_of(const char *color)
{
	size_t		len = strlen(color);
	int			digits[6];

	if (color[0] != '#' || (len != 4 && len != 7) || strspn(color + 1, "0123456789abcdefABCDEF") != len - 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a color must be written #rgb or #rrggbb"),
				 errdetail("Got %zu bytes.", len),
				 errhint("Such as #000000.")));
	for (int i = 0; i < 6; i++)
	{
		char		c = pg_ascii_tolower((unsigned char) color[len == 7 ? 1 + i : 1 + i / 2]);

		digits[i] = c <= '9' ? c - '0' : c - 'a' + 10;
	}
	return 299 * (16 * digits[0] + digits[1]) + 587 * (16 * digits[2] + digits[3]) + 114 * (16 * digits[4] + digits[5]);
}

/* Draws the symbol as one path of runs. */
static text *
draw_svg(const QRcode *code, int quiet, const char *dark, const char *light)
{
	StringInfoData out;
	int			side = code->width + 2 * quiet;
	text	   *result;

	initStringInfo(&out);
	appendStringInfo(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
					 "<path fill=\"%s\" d=\"M0 0h%dv%dH0z\"/><path fill=\"%s\" d=\"", side, side, light, side, side, dark);
	for (int y = 0; y < code->width; y++)
		for (int x = 0; x < code->width; x++)
		{
			int			from = x;

			while (x < code->width && is_dark(code, x, y))
				x++;
			if (x > from)
				appendStringInfo(&out, "M%d %dh%dv1h-%dz", from + quiet, y + quiet, x - from, x - from);
		}
	appendStringInfoString(&out, "\"/></svg>");
	result = cstring_to_text_with_len(out.data, out.len);
	pfree(out.data);
	return result;
}

/* qr_svg(text, level, quiet_zone, dark, light): a QR code as an SVG picture. */
Datum
cdp_qr_svg(PG_FUNCTION_ARGS)
{
	QRecLevel	level = level_of(PG_GETARG_TEXT_PP(1));
	int			quiet = bounded("quiet_zone", PG_GETARG_INT32(2), 0, QUIET_MAX);
	char	   *dark = text_to_cstring(PG_GETARG_TEXT_PP(3));
	char	   *light = text_to_cstring(PG_GETARG_TEXT_PP(4));
	int			contrast = luma_of(light) - luma_of(dark);
	QRcode	   *code;
	text	   *volatile result = NULL;

	if (contrast < 102000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dark must be much darker than light, or scanners see nothing"),
				 errdetail("The brightness of light is %d%% above that of dark, 40%% is needed.", contrast / 2550)));
	code = encode(PG_GETARG_TEXT_PP(0), level);
	PG_TRY();
	{
		result = draw_svg(code, quiet, dark, light);
	}
	PG_FINALLY();
	{
		QRcode_free(code);
	}
	PG_END_TRY();
	PG_RETURN_TEXT_P(result);
}

/* Writes four bytes, the highest first. */
static void
put_u32(StringInfo out, uint32 value)
{
	uint8		bytes[4] = {(uint8) (value >> 24), (uint8) (value >> 16), (uint8) (value >> 8), (uint8) value};

	appendBinaryStringInfo(out, (const char *) bytes, 4);
}

/* Writes a chunk of a PNG: length, name, content, checksum of both. */
static void
put_chunk(StringInfo out, const char *name, const void *bytes, uint32 len)
{
	uLong		crc = crc32(crc32(0, NULL, 0), (const Bytef *) name, 4);

	if (len > 0)
		crc = crc32(crc, bytes, len);
	put_u32(out, len);
	appendBinaryStringInfo(out, name, 4);
	if (len > 0)
		appendBinaryStringInfo(out, bytes, (int) len);
	put_u32(out, (uint32) crc);
}

/* Draws the symbol, each module scale pixels wide; at most (177 + 2 * 64) * 64 pixels a side, 48 MB. */
static bytea *
draw_png(const QRcode *code, int quiet, int scale)
{
	int			side = (code->width + 2 * quiet) * scale;
	Size		row = 1 + ((Size) side + 7) / 8;	/* the filter's byte first */
	uint8	   *pixels = palloc0(row * side);
	uLongf		packed_len = compressBound(row * side);
	Bytef	   *packed = palloc(packed_len);
	uint8		head[13] = {0, 0, (uint8) (side >> 8), (uint8) side, 0, 0, (uint8) (side >> 8), (uint8) side, 1, 0, 0, 0, 0};
	StringInfoData out;
	bytea	   *result;

	for (int y = 0; y < side; y++)
	{
		uint8	   *line = pixels + row * y;
		int			my = y / scale - quiet;

		CHECK_FOR_INTERRUPTS();
		if (y % scale > 0)
		{
			memcpy(line, line - row, row);
			continue;
		}
		for (int x = 0; x < side; x++)
		{
			int			mx = x / scale - quiet;

			if (mx < 0 || my < 0 || mx >= code->width || my >= code->width || !is_dark(code, mx, my))
				line[1 + x / 8] |= 0x80 >> (x % 8);
		}
	}
	if (compress2(packed, &packed_len, pixels, row * side, Z_BEST_COMPRESSION) != Z_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("zlib could not pack the picture")));
	initStringInfo(&out);
	appendBinaryStringInfo(&out, "\x89PNG\r\n\x1a\n", 8);
	put_chunk(&out, "IHDR", head, sizeof(head));
	put_chunk(&out, "IDAT", packed, (uint32) packed_len);
	put_chunk(&out, "IEND", NULL, 0);
	result = (bytea *) cstring_to_text_with_len(out.data, out.len);
	pfree(out.data);
	pfree(packed);
	pfree(pixels);
	return result;
}

/* qr_png(text, level, quiet_zone, scale): a QR code as a PNG picture. */
Datum
cdp_qr_png(PG_FUNCTION_ARGS)
{
	QRecLevel	level = level_of(PG_GETARG_TEXT_PP(1));
	int			quiet = bounded("quiet_zone", PG_GETARG_INT32(2), 0, QUIET_MAX);
	int			scale = bounded("scale", PG_GETARG_INT32(3), 1, SCALE_MAX);
	QRcode	   *code = encode(PG_GETARG_TEXT_PP(0), level);
	bytea	   *volatile result = NULL;

	PG_TRY();
	{
		result = draw_png(code, quiet, scale);
	}
	PG_FINALLY();
	{
		QRcode_free(code);
	}
	PG_END_TRY();
	PG_RETURN_BYTEA_P(result);
}

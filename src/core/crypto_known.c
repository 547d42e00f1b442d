/*
 * crypto_known.c
 *		The bare primitives with keys that the caller gives, so that tests can put
 *		the known answers of RFC 4231 and of NIST to them. No key of the server.
 */
#include "base/crypto.h"

CDP_FUNCTION(cdp_known_hmac);
CDP_FUNCTION(cdp_known_seal);
CDP_FUNCTION(cdp_known_open);

/* Raises invalid_parameter_value unless a byte string has the length that AES-256-GCM asks for. */
static const uint8 *
bytes_of(bytea *b, int len, const char *what)
{
	if (VARSIZE_ANY_EXHDR(b) != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have %d bytes", what, len)));
	return (const uint8 *) VARDATA_ANY(b);
}

/* known_hmac(key, data): HMAC-SHA256, 32 bytes that the caller owns. */
Datum
cdp_known_hmac(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	bytea	   *data = PG_GETARG_BYTEA_PP(1);
	CdpPiece	piece = {VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data)};
	bytea	   *result = palloc(VARHDRSZ + CDP_KEY_BYTES);

	SET_VARSIZE(result, VARHDRSZ + CDP_KEY_BYTES);
	cdp_hmac_raw((const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &piece, 1, (uint8 *) VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}

/* known_seal(key, nonce, context, plain): cipher text and tag, which the caller owns. */
Datum
cdp_known_seal(PG_FUNCTION_ARGS)
{
	bytea	   *context = PG_GETARG_BYTEA_PP(2);
	bytea	   *plain = PG_GETARG_BYTEA_PP(3);
	CdpPiece	piece = {VARDATA_ANY(context), VARSIZE_ANY_EXHDR(context)};
	int			len = VARSIZE_ANY_EXHDR(plain);
	bytea	   *result = palloc(VARHDRSZ + len + CDP_TAG_BYTES);
	uint8	   *out = (uint8 *) VARDATA(result);

	SET_VARSIZE(result, VARHDRSZ + len + CDP_TAG_BYTES);
	cdp_gcm_seal(bytes_of(PG_GETARG_BYTEA_PP(0), CDP_KEY_BYTES, "key"), bytes_of(PG_GETARG_BYTEA_PP(1), CDP_NONCE_BYTES, "nonce"),
				 &piece, (const uint8 *) VARDATA_ANY(plain), len, out, out + len);
	PG_RETURN_BYTEA_P(result);
}

/* known_open(key, nonce, context, sealed): the plain text, which the caller owns; NULL when it is not untouched. */
Datum
cdp_known_open(PG_FUNCTION_ARGS)
{
	bytea	   *context = PG_GETARG_BYTEA_PP(2);
	bytea	   *sealed = PG_GETARG_BYTEA_PP(3);
	CdpPiece	piece = {VARDATA_ANY(context), VARSIZE_ANY_EXHDR(context)};
	const uint8 *in = (const uint8 *) VARDATA_ANY(sealed);
	int			len = (int) VARSIZE_ANY_EXHDR(sealed) - CDP_TAG_BYTES;
	bytea	   *result;

	if (len < 0)
		PG_RETURN_NULL();
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	if (!cdp_gcm_open(bytes_of(PG_GETARG_BYTEA_PP(0), CDP_KEY_BYTES, "key"), bytes_of(PG_GETARG_BYTEA_PP(1), CDP_NONCE_BYTES, "nonce"),
					  &piece, in, len, in + len, (uint8 *) VARDATA(result)))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(result);
}

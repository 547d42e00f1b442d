/*
 * envelope.c
 *		Texts that are stored encrypted: cdp1:<key number>:<base64 of what was sealed>.
 *
 * What is sealed is bound to a context, which is not stored: the attribute's
 * number, or a word that the caller chose for a column.  An envelope moved to
 * another context does not open.  Attributes are sealed same for same, so that
 * equal values stay equal; it shows which rows are equal, and no more.
 */
#include "core/envelope.h"
#include "core/keys.h"

#include <openssl/evp.h>

#define PREFIX			"cdp1:"
#define PREFIX_LEN		5
#define MAX_PLAIN		(700 * 1024 * 1024) /* base64 of it fits into a text */
#define PURPOSE			"column"

CDP_FUNCTION(cdp_seal_text);
CDP_FUNCTION(cdp_seal_same);
CDP_FUNCTION(cdp_open_text);
CDP_FUNCTION(cdp_open_or_null);
CDP_FUNCTION(cdp_envelope_key);

/* The envelope of bytes, palloced; purpose and same_for_same as in cdp_seal(). */
text *
cdp_envelope_make(const char *purpose, int key_id, const CdpPiece *context, bool same_for_same, const uint8 *plain, int len)
{
	int			sealed_len = len + CDP_SEAL_OVERHEAD;
	uint8	   *sealed = palloc(sealed_len);
	char		head[16];
	int			head_len = snprintf(head, sizeof(head), PREFIX "%d:", key_id);
	Size		body_len = ((Size) sealed_len + 2) / 3 * 4;
	text	   *result = palloc(VARHDRSZ + head_len + body_len + 1);	/* libcrypto ends it with a zero */

	cdp_seal(purpose, key_id, same_for_same, context, plain, len, sealed);
	memcpy(VARDATA(result), head, head_len);
	EVP_EncodeBlock((unsigned char *) VARDATA(result) + head_len, sealed, sealed_len);
	SET_VARSIZE(result, VARHDRSZ + head_len + body_len);
	pfree(sealed);
	return result;
}

/*
 * Reads an envelope: its key, and what was sealed, palloced, with its length.
 * False when it is none, or not written in the one way that cdp_envelope_make() has.
 */
bool
cdp_envelope_read(const text *given, int *key_id, uint8 **sealed, int *sealed_len)
{
	const char *s = VARDATA_ANY(given);
	int			len = VARSIZE_ANY_EXHDR(given);
	int			at = PREFIX_LEN;
	int			body;
	int			pad = 0;
	char	   *again;
	bool		same;

	if (len < PREFIX_LEN || memcmp(s, PREFIX, PREFIX_LEN) != 0)
		return false;
	*key_id = 0;
	while (at < len && at < PREFIX_LEN + 5 && s[at] >= '0' && s[at] <= '9')
		*key_id = *key_id * 10 + (s[at++] - '0');
	if (at == PREFIX_LEN || s[PREFIX_LEN] == '0' || *key_id > CDP_KEY_MAX_ID || at >= len || s[at] != ':')
		return false;
	at++;
	body = len - at;
	if (body % 4 != 0 || body / 4 * 3 < CDP_SEAL_OVERHEAD)
		return false;
	while (pad < 2 && s[len - 1 - pad] == '=')
		pad++;
	*sealed = palloc(body / 4 * 3 + 1);
	if (EVP_DecodeBlock(*sealed, (const unsigned char *) s + at, body) != body / 4 * 3)
		return false;
	*sealed_len = body / 4 * 3 - pad;
	/* base64 has several spellings of the same bytes; only one is ours. */
	again = palloc(body + 1);
	EVP_EncodeBlock((unsigned char *) again, *sealed, *sealed_len);
	same = memcmp(again, s + at, body) == 0;
	pfree(again);
	return same && *sealed_len >= CDP_SEAL_OVERHEAD;
}

/* A text argument as a piece. */
static CdpPiece
piece_of(const text *t)
{
	return (CdpPiece) {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};
}

/* The envelope of the first argument in the context of the second, with the newest key. */
static text *
seal_argument(FunctionCallInfo fcinfo, bool same_for_same)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	CdpPiece	context = piece_of(PG_GETARG_TEXT_PP(1));

	cdp_require_key_right("digest");
	if (VARSIZE_ANY_EXHDR(value) > MAX_PLAIN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too large to be encrypted"),
				 errdetail("It has %zu bytes, %d are taken.", (size_t) VARSIZE_ANY_EXHDR(value), MAX_PLAIN)));
	return cdp_envelope_make(PURPOSE, cdp_keyfile_newest(), &context, same_for_same, (const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* seal_text(value, context): an envelope that is another one each time; the caller owns it. */
Datum
cdp_seal_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(seal_argument(fcinfo, false));
}

/* seal_same(value, context): an envelope that is the same each time; the caller owns it. */
Datum
cdp_seal_same(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(seal_argument(fcinfo, true));
}

/* open_text(envelope, context): what was sealed, which the caller owns. */
Datum
cdp_open_text(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	CdpPiece	context = piece_of(PG_GETARG_TEXT_PP(1));
	int			key_id,
				sealed_len;
	uint8	   *sealed;
	text	   *result;

	cdp_require_key_right("decrypt");
	if (!cdp_envelope_read(given, &key_id, &sealed, &sealed_len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is no encrypted text"),
				 errhint("Encrypted texts begin with cdp1: and the number of their key.")));
	result = palloc(VARHDRSZ + sealed_len);
	if (!cdp_open(PURPOSE, key_id, &context, sealed, sealed_len, (uint8 *) VARDATA(result)))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION),
				 errmsg("encrypted text does not open"),
				 errdetail("It was changed, belongs to another column, or was made with another key of number %d.", key_id)));
	SET_VARSIZE(result, VARHDRSZ + sealed_len - CDP_SEAL_OVERHEAD);
	PG_RETURN_TEXT_P(result);
}

/* open_or_null(envelope, context): what was sealed, which the caller owns; NULL when it does not open with the keys that are there. */
Datum
cdp_open_or_null(PG_FUNCTION_ARGS)
{
	CdpPiece	context = piece_of(PG_GETARG_TEXT_PP(1));
	int16		ids[CDP_KEY_MAX_COUNT];
	int			n,
				key_id,
				sealed_len;
	uint8	   *sealed;
	text	   *result;

	cdp_require_key_right("decrypt");
	if (!cdp_envelope_read(PG_GETARG_TEXT_PP(0), &key_id, &sealed, &sealed_len))
		PG_RETURN_NULL();
	n = cdp_keyfile_ids(ids);
	while (n > 0 && ids[n - 1] != key_id)
		n--;
	result = palloc(VARHDRSZ + sealed_len);
	if (n == 0 || !cdp_open(PURPOSE, key_id, &context, sealed, sealed_len, (uint8 *) VARDATA(result)))
		PG_RETURN_NULL();
	SET_VARSIZE(result, VARHDRSZ + sealed_len - CDP_SEAL_OVERHEAD);
	PG_RETURN_TEXT_P(result);
}

/* envelope_key(text): number of the key, NULL when the text is no envelope. Needs no key. */
Datum
cdp_envelope_key(PG_FUNCTION_ARGS)
{
	int			key_id,
				sealed_len;
	uint8	   *sealed;

	if (!cdp_envelope_read(PG_GETARG_TEXT_PP(0), &key_id, &sealed, &sealed_len))
		PG_RETURN_NULL();
	PG_RETURN_INT32(key_id);
}

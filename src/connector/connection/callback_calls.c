/*
 * callback_calls.c
 *		Callbacks as SQL functions: with the secrets of a connection, which no
 *		function returns, and with keys that the caller gives, so that tests can put
 *		known answers and tampered messages to them.
 */
#include "connector/connection/callback.h"
#include "connector/connection/callback_message.h"
#include "connector/connection/secret.h"

#include "access/htup_details.h"
#include "funcapi.h"

CDP_FUNCTION(cdp_known_callback_signature);
CDP_FUNCTION(cdp_known_callback_open);
CDP_FUNCTION(cdp_known_callback_seal);
CDP_FUNCTION(cdp_callback_cipher_text);
CDP_FUNCTION(cdp_callback_message_call);
CDP_FUNCTION(cdp_open_callback);
CDP_FUNCTION(cdp_check_callback);
CDP_FUNCTION(cdp_check_webhook);
CDP_FUNCTION(cdp_known_webhook_check);

/* A text argument as a piece. */
static CdpPiece
piece(FunctionCallInfo fcinfo, int arg)
{
	text	   *t = PG_GETARG_TEXT_PP(arg);

	return (CdpPiece) {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};
}

/* known_callback_signature(token, timestamp, nonce, cipher): 40 hexadecimal digits that the caller owns. */
Datum
cdp_known_callback_signature(PG_FUNCTION_ARGS)
{
	CdpCallbackKeys keys = {.token = piece(fcinfo, 0)};
	CdpCallbackCall call = {.timestamp = piece(fcinfo, 1), .nonce = piece(fcinfo, 2), .cipher = piece(fcinfo, 3)};
	char		hex[64];

	cdp_callback_signature(&keys, &call, hex);
	PG_RETURN_TEXT_P(cstring_to_text(hex));
}

/* The row (problem, message) of a callback that is opened with these keys. */
static Datum
opened(FunctionCallInfo fcinfo, const CdpCallbackKeys *keys, const CdpCallbackCall *call)
{
	CdpCallbackOutcome outcome;
	CdpPiece	message;
	uint8	   *plain;
	int			size;
	TupleDesc	desc;
	Datum		value[2] = {0};
	bool		null[2] = {true, true};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a function that opens callbacks is declared without its columns");
	desc = BlessTupleDesc(desc);
	outcome = cdp_callback_open(keys, call, &plain, &size, &message);
	if (outcome == CDP_CALLBACK_OK)
	{
		bytea	   *bytes = palloc(VARHDRSZ + message.len);

		SET_VARSIZE(bytes, VARHDRSZ + message.len);
		memcpy(VARDATA(bytes), message.bytes, message.len);
		cdp_callback_wipe(plain, size);
		pfree(plain);
		value[1] = PointerGetDatum(bytes);
		null[1] = false;
	}
	else
	{
		value[0] = CStringGetTextDatum(cdp_callback_word(outcome));
		null[0] = false;
	}
	return HeapTupleGetDatum(heap_form_tuple(desc, value, null));
}

/* known_callback_open(token, key, receiver, signature, timestamp, nonce, cipher): a row of problem and message. */
Datum
cdp_known_callback_open(PG_FUNCTION_ARGS)
{
	CdpCallbackKeys keys = {piece(fcinfo, 0), piece(fcinfo, 1), piece(fcinfo, 2)};
	CdpCallbackCall call = {piece(fcinfo, 3), piece(fcinfo, 4), piece(fcinfo, 5), piece(fcinfo, 6)};

	PG_RETURN_DATUM(opened(fcinfo, &keys, &call));
}

/* open_callback(connection_id, receiver, signature, timestamp, nonce, cipher): a row of problem and message; the secrets are wiped. */
Datum
cdp_open_callback(PG_FUNCTION_ARGS)
{
	CdpSecret  *token = cdp_connector_secret(PG_GETARG_INT32(0), "callback_token");
	CdpSecret  *key = cdp_connector_secret(PG_GETARG_INT32(0), "callback_key");
	CdpCallbackKeys keys = {{token->bytes, token->len}, {key->bytes, key->len}, piece(fcinfo, 1)};
	CdpCallbackCall call = {piece(fcinfo, 2), piece(fcinfo, 3), piece(fcinfo, 4), piece(fcinfo, 5)};
	Datum		result = opened(fcinfo, &keys, &call);

	cdp_secret_wipe(token);
	cdp_secret_wipe(key);
	PG_RETURN_DATUM(result);
}

/* check_callback(connection_id, signature, timestamp, nonce): whether who signed a callback that is not encrypted knows the token. */
Datum
cdp_check_callback(PG_FUNCTION_ARGS)
{
	CdpSecret  *token = cdp_connector_secret(PG_GETARG_INT32(0), "callback_token");
	CdpCallbackKeys keys = {.token = {token->bytes, token->len}};
	CdpCallbackCall call = {piece(fcinfo, 1), piece(fcinfo, 2), piece(fcinfo, 3), {"", 0}};
	bool		good = cdp_callback_signed(&keys, &call);

	cdp_secret_wipe(token);
	PG_RETURN_BOOL(good);
}

/* A bytea argument as a piece. */
static CdpPiece
bytes_piece(FunctionCallInfo fcinfo, int arg)
{
	bytea	   *b = PG_GETARG_BYTEA_PP(arg);

	return (CdpPiece) {VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b)};
}

/* check_webhook(connection_id, signature, timestamp, id, body): whether who signed it knows the secret. */
Datum
cdp_check_webhook(PG_FUNCTION_ARGS)
{
	CdpSecret  *token = cdp_connector_secret(PG_GETARG_INT32(0), "callback_token");
	CdpPiece	secret = {token->bytes, token->len};
	CdpCallbackCall call = {.signature = piece(fcinfo, 1), .timestamp = piece(fcinfo, 2), .nonce = piece(fcinfo, 3)};
	CdpPiece	body = bytes_piece(fcinfo, 4);
	bool		good = cdp_webhook_signed(&secret, &call, &body);

	cdp_secret_wipe(token);
	PG_RETURN_BOOL(good);
}

/* known_webhook_check(secret, signature, timestamp, id, body): the same with a secret that the caller gives. */
Datum
cdp_known_webhook_check(PG_FUNCTION_ARGS)
{
	CdpPiece	secret = piece(fcinfo, 0);
	CdpCallbackCall call = {.signature = piece(fcinfo, 1), .timestamp = piece(fcinfo, 2), .nonce = piece(fcinfo, 3)};
	CdpPiece	body = bytes_piece(fcinfo, 4);

	PG_RETURN_BOOL(cdp_webhook_signed(&secret, &call, &body));
}

/* callback_message(message): a row of doc, the count of replaced characters and the problem. */
Datum
cdp_callback_message_call(PG_FUNCTION_ARGS)
{
	bytea	   *message = PG_GETARG_BYTEA_PP(0);
	TupleDesc	desc;
	int64		scrubbed;
	const char *problem;
	Jsonb	   *doc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	doc = cdp_callback_message(VARDATA_ANY(message), (int) VARSIZE_ANY_EXHDR(message), &scrubbed, &problem);
	nulls[0] = doc == NULL;
	values[0] = JsonbPGetDatum(doc);
	values[1] = Int64GetDatum(scrubbed);
	nulls[2] = problem == NULL;
	values[2] = problem == NULL ? (Datum) 0 : CStringGetTextDatum(problem);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* known_callback_seal(key, receiver, random, message): base64 that the caller owns. */
Datum
cdp_known_callback_seal(PG_FUNCTION_ARGS)
{
	CdpCallbackKeys keys = {.key = piece(fcinfo, 0), .receiver = piece(fcinfo, 1)};
	bytea	   *random = PG_GETARG_BYTEA_PP(2);
	CdpPiece	message = piece(fcinfo, 3);
	text	   *result;

	if (VARSIZE_ANY_EXHDR(random) != 16)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("random part of a callback must have 16 bytes"),
				 errdetail("It has %d.", (int) VARSIZE_ANY_EXHDR(random))));
	result = cdp_callback_seal(&keys, (const uint8 *) VARDATA_ANY(random), &message);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key of callbacks must be %d characters of base64", CDP_CALLBACK_KEY_CHARS)));
	PG_RETURN_TEXT_P(result);
}

/* callback_cipher(body): the cipher text in the body of a request, which the caller owns; NULL without one. */
Datum
cdp_callback_cipher_text(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(0);
	CdpPiece	cipher;

	if (VARSIZE_ANY_EXHDR(body) > CDP_CALLBACK_MOST_BYTES || !cdp_callback_cipher(VARDATA_ANY(body), (int) VARSIZE_ANY_EXHDR(body), &cipher))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(cipher.bytes, (int) cipher.len));
}

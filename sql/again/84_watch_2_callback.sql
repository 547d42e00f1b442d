-- Callbacks of WeCom and WeChat: the cipher text of a request, and the bare primitives with keys that a test gives.

CREATE OR REPLACE FUNCTION cdp_internal.callback_cipher(body bytea) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_callback_cipher_text';
COMMENT ON FUNCTION cdp_internal.callback_cipher(bytea) IS
'The cipher text in the body of a callback: the content of <Encrypt>, bare or as CDATA, or of "encrypt" or "Encrypt" of a JSON object; base64 digits only. NULL when there is none, when there are two, of which another reader might take the other one, above 16 MiB, and for NULL. No XML or JSON is parsed, so no entity of it is followed.';

CREATE OR REPLACE FUNCTION cdp_internal.known_callback_signature(token text, "timestamp" text, nonce text, cipher text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_callback_signature';
COMMENT ON FUNCTION cdp_internal.known_callback_signature(text, text, text, text) IS
'The signature of a callback: SHA-1 over the four texts sorted by their bytes, 40 lower-case hexadecimal digits, for tests with known answers. NULL for NULL. Source: developer.work.weixin.qq.com/document/path/91144.';

CREATE OR REPLACE FUNCTION cdp_internal.known_callback_open(token text, key text, receiver text, signature text, "timestamp" text, nonce text, cipher text,
  OUT problem text, OUT message bytea)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_callback_open';
COMMENT ON FUNCTION cdp_internal.known_callback_open(text, text, text, text, text, text, text) IS
'Verifies and decrypts a callback with keys that a test gives: token, EncodingAESKey (43 characters), and receiver (CorpID, SuiteID or AppID), which must be the one that the message names. message: its bytes, whatever their encoding; problem, NULL when it is good: signature (then nothing was decrypted), base64, key (EncodingAESKey is none), padding, length, receiver. Age and replay are not its business. Comparisons take the same time wherever texts differ; decrypted bytes are wiped. NULLs for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.known_callback_seal(key text, receiver text, random bytea, message text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_callback_seal';
COMMENT ON FUNCTION cdp_internal.known_callback_seal(text, text, bytea, text) IS
'The cipher text that cdp_internal.known_callback_open() opens: AES-256-CBC over 16 random bytes, length, message and receiver, padded to 32 bytes, as base64, for tests. NULL for NULL. Errors: 22023 random is not 16 bytes or the key not 43 characters of base64; 54000 more than 16 MiB.';

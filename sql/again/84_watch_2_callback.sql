-- Callbacks of WeCom and WeChat: the cipher text of a request, its message, and the bare primitives with keys that a test gives.

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

CREATE OR REPLACE FUNCTION cdp_internal.callback_message(message bytea, OUT doc jsonb, OUT scrubbed bigint, OUT problem text)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_callback_message_call';
COMMENT ON FUNCTION cdp_internal.callback_message(bytea) IS
'The message of a callback, XML or JSON, as an object. Of XML: elements with elements in them become objects, others texts (bare or CDATA), those of one name side by side lists; the name of the outermost one, attributes and comments are left out. Document types and entities but the five of XML and numbers are refused, so nothing outside is followed. scrubbed: characters that jsonb cannot hold, replaced by U+FFFD. problem: why there is no doc, with the place and nothing of the content; also above 1 MiB, 32 levels or 10,000 elements. NULLs for NULL. Error 0A000: the database is not in UTF8.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_wishes(manifest jsonb, message jsonb, OUT stream text, OUT part text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 1
AS 'MODULE_PATHNAME', 'cdp_connector_wishes';
COMMENT ON FUNCTION cdp_internal.connector_wishes(jsonb, jsonb) IS
'What the message of a callback makes worth asking again, as callback.events of the manifest say: a row for each rule whose conditions hold. part: the value to ask by; NULL: the whole stream. A rule whose part is not in the message, or has more than 800 bytes, has no row. No row for NULL. Error 22023: bad manifest.';

CREATE OR REPLACE FUNCTION cdp_internal.open_callback(connection_id integer, receiver text, signature text, "timestamp" text, nonce text, cipher text, OUT problem text, OUT message bytea)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_open_callback';
COMMENT ON FUNCTION cdp_internal.open_callback(integer, text, text, text, text, text) IS
'cdp_internal.known_callback_open() with the secrets callback_token and callback_key of a connection, which are wiped. For who may use the connection. NULLs for NULL. Errors: as cdp_internal.probe_secret().';

CREATE OR REPLACE FUNCTION cdp_internal.check_callback(connection_id integer, signature text, "timestamp" text, nonce text) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_check_callback';
COMMENT ON FUNCTION cdp_internal.check_callback(integer, text, text, text) IS
'Whether the signature of a callback of WeChat that is not encrypted is right: SHA-1 over the secret callback_token of the connection, time and nonce, sorted by their bytes. It says nothing of the body. For who may use the connection. NULL for NULL. Errors: as cdp_internal.probe_secret(). Source: developers.weixin.qq.com, message push.';

CREATE OR REPLACE FUNCTION cdp_internal.check_webhook(connection_id integer, signature text, "timestamp" text, id text, body bytea) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_check_webhook';
COMMENT ON FUNCTION cdp_internal.check_webhook(integer, text, text, text, bytea) IS
'cdp_internal.known_webhook_check() with the secret callback_token of a connection, which is wiped. For who may use the connection. NULL for NULL. Errors: as cdp_internal.probe_secret().';

CREATE OR REPLACE FUNCTION cdp_internal.known_webhook_check(secret text, signature text, "timestamp" text, id text, body bytea) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_webhook_check';
COMMENT ON FUNCTION cdp_internal.known_webhook_check(text, text, text, text, bytea) IS
'Whether one of the signatures (v1,base64, parted by blanks; other versions are passed over) is that of Standard Webhooks: HMAC-SHA256 over id, timestamp and body with dots between. secret: base64 of 24 to 64 bytes, whsec_ before it or not; with another one nothing is right. For tests with known answers. NULL for NULL. Source: standardwebhooks.com.';

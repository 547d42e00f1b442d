-- Connector room, manifests: what is wrong with one, and the pure steps of a pull. They read no table, do not wait and know no secret.
CREATE OR REPLACE FUNCTION cdp.connector_problems(manifest jsonb, OUT path text, OUT code text, OUT problem text, OUT hint text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000 ROWS 5
AS 'MODULE_PATHNAME', 'cdp_connector_problems';
COMMENT ON FUNCTION cdp.connector_problems(jsonb) IS
'What is wrong with the manifest of a connector: all of it at once. path tells where (streams.contacts.cursor.take; empty: the manifest itself), code is one of those in docs/connectors.md, hint NULL when there is none. No row: the manifest is good. At most 1,000 rows; a manifest has at most 1 MiB. NULL is a problem. Reads no table: whether its hosts may be asked is seen at connect time.';

CREATE OR REPLACE FUNCTION cdp_internal.decode_body(body bytea, OUT doc jsonb, OUT scrubbed bigint, OUT problem text)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_decode_body';
COMMENT ON FUNCTION cdp_internal.decode_body(bytea) IS
'The JSON of a body as it came. scrubbed counts what jsonb would refuse and what was replaced: a byte order mark goes; in texts, raw tabs and ends of line become \t, \r, \n, other raw control characters, \u0000, halves of surrogate pairs and bytes that are no UTF-8 become U+FFFD. Numbers keep all their digits. problem: why it is no JSON (place, never content), more than 32 MiB, nested more than 128 deep, a number of more than 1,000 digits or with an exponent beyond 1,000; then doc is NULL. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_decode(manifest jsonb, stream text, body bytea, OUT doc jsonb, OUT scrubbed bigint, OUT problem text)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_decode';
COMMENT ON FUNCTION cdp_internal.connector_decode(jsonb, text, bytea) IS
'A body in the form that the stream has (json, ndjson, csv), as cdp_internal.decode_body(). ndjson becomes the list of its lines. CSV (RFC 4180, at most 8 MiB) becomes a list of objects with texts; an empty field without quotes is null; lines of another number of fields than there are columns, and two columns of one name, are a problem. NULL for NULL. Errors: 22023 bad manifest, unknown stream.';

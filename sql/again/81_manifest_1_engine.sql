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
'The JSON of a body as it came. scrubbed counts what jsonb would refuse and what was replaced: a byte order mark goes; in texts, raw tabs and ends of line become \t, \r, \n, other raw control characters, \u0000, halves of surrogate pairs and bytes that are no UTF-8 become U+FFFD. Numbers keep all their digits. problem: why it is no JSON (place, never content), more than 32 MiB, nested more than 128 deep, a number of more than 1,000 digits or with an exponent beyond 1,000; then doc is NULL. NULL for NULL. Errors: 0A000 in a database that is not UTF8, as for all steps of a pull.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_decode(manifest jsonb, stream text, body bytea, OUT doc jsonb, OUT scrubbed bigint, OUT problem text)
RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_decode';
COMMENT ON FUNCTION cdp_internal.connector_decode(jsonb, text, bytea) IS
'A body in the form that the stream has (json, ndjson, csv), as cdp_internal.decode_body(). ndjson becomes the list of its lines. CSV (RFC 4180, at most 8 MiB) becomes a list of objects with texts; an empty field without quotes is null; lines of another number of fields than there are columns, and two columns of one name, are a problem. NULL for NULL. Errors: 22023 bad manifest, unknown stream.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_request(manifest jsonb, stream text, state jsonb) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_request';
COMMENT ON FUNCTION cdp_internal.connector_request(jsonb, text, jsonb) IS
'The next request of a stream, without any secret: method, https, host, port, path (the template, fit for logs), query (names and values as they are meant), target (path and query, encoded), headers, body (raw UTF-8), and auth, what is put in just before it goes out: query, headers, basic or hmac, whose texts are templates that name ${token} and ${secret.name} ($$ is a dollar sign); in all other parts a dollar sign is one. state: config (of the connection), partition (a value; with chunk a list), window ({"from", "to"}, days of the zone of the manifest, both within), cursor (absent or null: the first page). A POST without body sends {}. NULL for NULL. Errors: 22023 bad manifest, unknown stream, a state that lacks something, a window that is too long, an address that cannot be asked, another host as next page; 54000 a body above 4 MiB.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_auth_request(manifest jsonb, state jsonb) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_auth_request';
COMMENT ON FUNCTION cdp_internal.connector_auth_request(jsonb, jsonb) IS
'The request for a token, without any secret: method, https, host, port, path, target (path, encoded), and what is put in just before it goes out: query, headers, form, json, basic, whose texts are templates that name ${secret.name} ($$ is a dollar sign). app: what tells one app from another, for a token that connections share. token and ttl are paths of the answer (ttl in seconds; or ttl_s, a number); slack_s: so long before its end a token counts as expired. state: config. NULL when auth needs no token, or for NULL. Errors: 22023 bad manifest, a configuration that lacks something, an address that cannot be asked.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_hosts(manifest jsonb) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_hosts';
COMMENT ON FUNCTION cdp_internal.connector_hosts(jsonb) IS
'The hosts that a manifest names, host or host:port, lower case; those that come from the configuration are not among them. NULL for NULL. Errors: 22023 bad manifest.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_verdict(manifest jsonb, stream text, status integer, headers jsonb, body jsonb, as_of timestamptz, parked integer DEFAULT 0,
  OUT verb text, OUT code text, OUT rule text, OUT max_tries integer, OUT until text, OUT wait_s integer, OUT until_at timestamptz, OUT note text)
RETURNS record
LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_verdict';
COMMENT ON FUNCTION cdp_internal.connector_verdict(jsonb, text, integer, jsonb, jsonb, timestamptz, integer) IS
'What to do about an answer. verb: ok, or not_ready (data are not there yet), retry, reauth_once (fetch a new token, once), park (the stream waits), slow (fewer calls at once), split (smaller window or partition), skip_partition, config (somebody has to look), ignore, fail. Rules of the stream go before those of the connector, the first that fits counts, rule is its path; without a rule the HTTP status decides: 408, 425, 429 and 5xx retry, 401 and 403 config (401 is reauth_once where auth has a token), else fail. code: that of the body, or of the header that ok names. headers: an object, names in any case; body NULL: it could not be read, then the code of the header counts, and a good status without a code is retried. wait_s: seconds until the next call, by the header that the rule honors (seconds, Unix time or HTTP date), its wait_s, or its until (window: the shortest quota, and after parked times in a row that did not help the next longer one, in the end the day; day: the midnight of the manifest''s zone), at most 31 days; of retry it is the first wait, to be doubled. until_at: as_of plus that. max_tries: of retry and slow. NULL for a NULL manifest, stream, status, as_of or parked. Errors: 22023 bad manifest, unknown stream, infinite as_of.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_page(manifest jsonb, stream text, body jsonb, state jsonb, OUT n integer, OUT record_key text, OUT ref_date date, OUT payload jsonb, OUT problem text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 100
AS 'MODULE_PATHNAME', 'cdp_connector_page';
COMMENT ON FUNCTION cdp_internal.connector_page(jsonb, text, jsonb, jsonb) IS
'The records of a page, numbered in its order from 1; those that skip names are left out, texts that unpack names are the JSON that they hold. record_key: the text of the one field of key, or several as a JSON list in which a missing one is null; without key, or above 800 bytes, sha256: and a digest of it. ref_date: the day in the zone of the manifest. problem: no_key (all fields of the key are missing), no_ref_date; NULL when there is none. state as of cdp_internal.connector_request(). No row for NULL. Errors: 22023 bad manifest, unknown stream; 54000 more than 100,000 records.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_zeros(manifest jsonb, stream text, body jsonb, state jsonb) RETURNS SETOF date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 1
AS 'MODULE_PATHNAME', 'cdp_connector_zeros';
COMMENT ON FUNCTION cdp_internal.connector_zeros(jsonb, text, jsonb, jsonb) IS
'The days of a page on which every metric of every record is missing, null, 0 or a dash: then a vendor may not have counted yet. No row where the stream has no not_ready.all_zero, or for NULL; records without a day do not count. Errors: 22023 bad manifest, unknown stream.';

CREATE OR REPLACE FUNCTION cdp_internal.connector_next(manifest jsonb, stream text, body jsonb, headers jsonb, state jsonb, OUT next jsonb, OUT done boolean, OUT records integer, OUT problem text)
RETURNS record
LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_connector_next';
COMMENT ON FUNCTION cdp_internal.connector_next(jsonb, text, jsonb, jsonb, jsonb) IS
'What comes after a page that was asked with state. done: it was the last. next: the state with the next cursor (and page_digest and pages, by which a pull without end is seen); when it is done, without a cursor, but where the manifest says keep with the last one, from which the next pull goes on. records: how many the page had, also those that skip leaves out. problem: the cursor does not move, the page has the records of the page before, it says that there is more and nothing asks for it, a pull has more than 100,000 pages, or the next page is of another host; then next is NULL and done true. Addresses of next pages are kept as path and query without what auth puts into them. NULL for a NULL manifest, stream, body or state. Errors: 22023 bad manifest, unknown stream, a state that lacks something.';

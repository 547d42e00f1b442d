-- Core room: keyed digests, and the list of people who must not come in again.
--
-- A digest is 34 bytes: the number of its key in two, then HMAC-SHA256 with the subkey of its purpose. Keys stand in the
-- file that cdp.key_file names (docs/encryption.md), never in SQL. Whoever has to look somebody up needs the right to
-- digest: with it one can try values until one fits.

CREATE OR REPLACE FUNCTION cdp_internal.may_use_keys(what text) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_may_use_keys';
COMMENT ON FUNCTION cdp_internal.may_use_keys(text) IS
'Whether the current role may digest (what => ''digest''; encrypting is part of it), decrypt (''decrypt'') or compute links and seals of the audit (''audit''): it has SELECT on the empty table cdp_data.key_right_<what>. False for any other word and before cdp.setup(). NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.key_file_is_set() RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_key_file_is_set';
COMMENT ON FUNCTION cdp_internal.key_file_is_set() IS
'Whether cdp.key_file names a file. Says nothing about what is in it. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.key_ids() RETURNS integer[]
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_key_ids';
COMMENT ON FUNCTION cdp_internal.key_ids() IS
'Numbers of the keys in the key file, ascending; the last one digests and encrypts what comes in. Never the keys. Errors: 55000 no key file is set, F0000 it can not be used.';

CREATE OR REPLACE FUNCTION cdp_internal.keyed_digest(purpose text, value text, key_id integer DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_keyed_digest';
COMMENT ON FUNCTION cdp_internal.keyed_digest(text, text, integer) IS
'Keyed digest of a text for a purpose (suppression, audit, ...): two bytes of key number, then HMAC-SHA256 of the value''s bytes with the subkey of the purpose, HMAC-SHA256(key, ''pg_cdp '' || purpose). key_id NULL: the newest key. NULL for a NULL purpose or value. Digests of different purposes or keys can not be compared. Errors: 42501 without the right to digest, 55000 no key file or no such key, F0000 it can not be used, 22023 purpose of no or more than 31 bytes, or one that belongs to encryption. Purpose audit seal takes the right to verify the audit instead.';

CREATE OR REPLACE FUNCTION cdp_internal.keyed_digests(purpose text, value text, key_ids integer[]) RETURNS bytea[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_keyed_digests';
COMMENT ON FUNCTION cdp_internal.keyed_digests(text, text, integer[]) IS
'cdp_internal.keyed_digest() with each of these keys, in their order. NULL for NULL. Errors: as there; 22004 a NULL among the keys.';

CREATE OR REPLACE FUNCTION cdp_internal.suppression_digest(type_id smallint, value text, key_id integer DEFAULT NULL) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN cdp_internal.keyed_digest('suppression', type_id::text || ':' || value, key_id);
COMMENT ON FUNCTION cdp_internal.suppression_digest(smallint, text, integer) IS
'Keyed digest of an identifier as cdp_data.suppression holds it: of type_id, a colon and the normalised value. key_id NULL: the newest key. NULL for NULL. Errors: as cdp_internal.keyed_digest().';

CREATE OR REPLACE FUNCTION cdp_internal.suppression_keys() RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  keys integer[] := '{}';
  first bytea;
  key integer;
BEGIN
  -- One index probe for each key, however many digests there are.
  SELECT s.digest INTO first FROM cdp_data.suppression s ORDER BY s.digest LIMIT 1;
  WHILE first IS NOT NULL LOOP
    key := get_byte(first, 0) * 256 + get_byte(first, 1);
    keys := keys || key;
    EXIT WHEN key = 32767;
    SELECT (SELECT s.digest FROM cdp_data.suppression s WHERE s.digest >= int2send((key + 1)::smallint) ORDER BY s.digest LIMIT 1) INTO first;
  END LOOP;
  RETURN keys;
END
$$;
COMMENT ON FUNCTION cdp_internal.suppression_keys() IS
'Numbers of the keys with which the digests of cdp_data.suppression were made, ascending; empty without any. All of them have to stay in the key file.';

CREATE OR REPLACE FUNCTION cdp_internal.suppression_digests(type_id smallint, value text, keys integer[] DEFAULT NULL) RETURNS bytea[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN cdp_internal.keyed_digests('suppression', type_id::text || ':' || value, coalesce(keys, cdp_internal.suppression_keys()));
COMMENT ON FUNCTION cdp_internal.suppression_digests(smallint, text, integer[]) IS
'Every digest under which an identifier may stand in cdp_data.suppression, one for each key that rows there use; for joins, with keys asked once. NULL for NULL. Errors: 55000 when the key file lacks one of these keys: what can not be checked is not taken in.';

CREATE OR REPLACE FUNCTION cdp_internal.is_suppressed(type_id smallint, value text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.suppression) THEN
    RETURN false;
  END IF;
  RETURN EXISTS (
    SELECT FROM unnest(cdp_internal.suppression_digests(is_suppressed.type_id, is_suppressed.value)) AS d (digest)
      JOIN cdp_data.suppression s ON s.digest = d.digest);
END
$$;
COMMENT ON FUNCTION cdp_internal.is_suppressed(smallint, text) IS
'Whether an identifier, in the form in which it would be stored, belongs to a person who must not come in again. False for NULL, and at once when nobody is suppressed. Errors: as cdp_internal.suppression_digests().';

CREATE OR REPLACE FUNCTION cdp_internal.suppress(identifier_ids bigint[], reason text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  INSERT INTO cdp_data.suppression (digest, reason)
  SELECT d.digest, suppress.reason
  FROM (
    SELECT cdp_internal.suppression_digest(i.type_id, i.value) AS digest
    FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifier_ids)) d
  ORDER BY d.digest
  ON CONFLICT ON CONSTRAINT suppression_pkey DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.suppress(bigint[], text) IS
'Puts these identifiers on the list of those who must not come in again, digested with the newest key; the identifiers themselves stay, an erasure deletes them. reason is a word without personal data. Returns how many were not there with that key yet. Errors: as cdp_internal.keyed_digest().';

CREATE OR REPLACE FUNCTION cdp_internal.count_suppressed(source_id integer, n bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF n > 0 THEN
    -- A row each, so that nobody waits for another's count; cdp.maintain() adds them up.
    INSERT INTO cdp_data.suppression_refusal (source_id, day, n) VALUES (count_suppressed.source_id, (now() AT TIME ZONE 'UTC')::date, count_suppressed.n);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.count_suppressed(integer, bigint) IS
'Counts records of erased people that a source brought again and that were refused. Nothing of the records is kept. Zero and NULL write nothing.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_core()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  WITH gone AS (
    DELETE FROM cdp_data.suppression_refusal r
    USING (SELECT x.source_id, x.day FROM cdp_data.suppression_refusal x GROUP BY 1, 2 HAVING count(*) > 1) g
    WHERE (r.source_id, r.day) = (g.source_id, g.day)
    RETURNING r.source_id, r.day, r.n
  )
  INSERT INTO cdp_data.suppression_refusal (source_id, day, n) SELECT g.source_id, g.day, sum(g.n) FROM gone g GROUP BY 1, 2;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_core() IS
'Part of cdp.maintain(): adds up the counts of refused records, one row for each source and day.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_keys()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted integer[] := cdp_internal.suppression_keys();
  known integer[];
BEGIN
  IF NOT cdp_internal.key_file_is_set() THEN
    RETURN QUERY SELECT 'error', 'key_file_missing', format('%s keys are needed to refuse erased people, and no key file is set', cardinality(wanted)),
      'Set cdp.key_file to the file with these keys; until then loads and calls are refused'
    WHERE wanted <> '{}';
    RETURN;
  END IF;
  BEGIN
    known := cdp_internal.key_ids();
  EXCEPTION WHEN config_file_error THEN
    RETURN QUERY SELECT 'error', 'key_file_unusable', SQLERRM, 'The server log has the detail; see docs/encryption.md';
    RETURN;
  END;
  RETURN QUERY
  SELECT 'error', 'key_missing', format('key %s is not in the key file, and digests of suppressed people need it', k), 'Put the line of that key back; until then loads and calls are refused'
  FROM unnest(wanted) k WHERE k <> ALL (known);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_keys() IS
'Findings of cdp.health() about the key file: not set, unusable, or without a key that digests of suppressed people need.';

-- Encrypted texts. Attributes are bound to their number and sealed same for same: what is equal stays equal.
CREATE OR REPLACE FUNCTION cdp_internal.seal_text(value text, context text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'cdp_seal_text';
COMMENT ON FUNCTION cdp_internal.seal_text(text, text) IS
'A text encrypted with the newest key: cdp1:<key>:<base64 of nonce, AES-256-GCM cipher text and tag>. It opens with the same context only; every result differs. NULL for NULL. Errors: 42501 without the right to digest, 55000 no key file, F0000 it can not be used, 54000 over 700 MB.';

CREATE OR REPLACE FUNCTION cdp_internal.seal_same(value text, context text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'cdp_seal_same';
COMMENT ON FUNCTION cdp_internal.seal_same(text, text) IS
'cdp_internal.seal_text() where equal texts of one context and key give equal results (the nonce is made of them). Errors as there.';

CREATE OR REPLACE FUNCTION cdp_internal.open_text(envelope text, context text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'cdp_open_text';
COMMENT ON FUNCTION cdp_internal.open_text(text, text) IS
'The text that cdp_internal.seal_text() encrypted. NULL for NULL. Errors, never a wrong text: 22023 it is no encrypted text, 39000 a bit of it or of the context differs, 42501 without the right to decrypt, 55000 no key file or no such key.';

CREATE OR REPLACE FUNCTION cdp_internal.open_or_null(envelope text, context text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'cdp_open_or_null';
COMMENT ON FUNCTION cdp_internal.open_or_null(text, text) IS
'cdp_internal.open_text(), but NULL for what does not open: no encrypted text, one that was changed or has another context, or one whose key is not in the key file. A text that somebody wrote so that it looks encrypted is such. Errors: 42501 without the right to decrypt, 55000 no key file.';

CREATE OR REPLACE FUNCTION cdp_internal.envelope_key(envelope text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_envelope_key';
COMMENT ON FUNCTION cdp_internal.envelope_key(text) IS
'Number of the key of an encrypted text; NULL when the text is none. Needs no key.';

CREATE OR REPLACE FUNCTION cdp_internal.seal_attribute(attribute_id integer, value text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN cdp_internal.seal_same(value, 'attribute ' || attribute_id::text);
COMMENT ON FUNCTION cdp_internal.seal_attribute(integer, text) IS
'The stored form of a value of an encrypted attribute; equal values of an attribute give equal texts. NULL for NULL. Errors: as cdp_internal.seal_text().';

CREATE OR REPLACE FUNCTION cdp_internal.open_attribute(attribute_id integer, envelope text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN cdp_internal.open_text(envelope, 'attribute ' || attribute_id::text);
COMMENT ON FUNCTION cdp_internal.open_attribute(integer, text) IS
'The value of an encrypted attribute from its stored form. Leaves no trace: whoever calls it writes the audit. NULL for NULL. Errors: as cdp_internal.open_text().';

-- The bare primitives, for the known answers of RFC 4231 and NIST. They see no key of the server.
CREATE OR REPLACE FUNCTION cdp_internal.known_hmac(key bytea, data bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_hmac';
COMMENT ON FUNCTION cdp_internal.known_hmac(bytea, bytea) IS
'HMAC-SHA256 (RFC 2104, FIPS 198-1) of data with any key, for tests with known answers. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.known_seal(key bytea, nonce bytea, context bytea, plain bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_seal';
COMMENT ON FUNCTION cdp_internal.known_seal(bytea, bytea, bytea, bytea) IS
'AES-256-GCM (NIST SP 800-38D): cipher text and 16 bytes of tag, for tests with known answers. key has 32 bytes, nonce 12, context is authenticated only. NULL for NULL. Error 22023: another length.';

CREATE OR REPLACE FUNCTION cdp_internal.known_open(key bytea, nonce bytea, context bytea, sealed bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_known_open';
COMMENT ON FUNCTION cdp_internal.known_open(bytea, bytea, bytea, bytea) IS
'What cdp_internal.known_seal() was given; NULL when a bit of key, nonce, context or sealed text differs, and for NULL. Error 22023: another length.';

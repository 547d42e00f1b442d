-- Core room: content that names a person in its text only is found by hashes of its words; see src/core/tokens.c.

CREATE OR REPLACE FUNCTION cdp_internal.content_tokens(content jsonb) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'cdp_content_tokens';
COMMENT ON FUNCTION cdp_internal.content_tokens(jsonb) IS
'Hashes of all strings and numbers of a JSON value, sorted, for a GIN index: whole, word by word, runs of digits, and keys with their values. Case and signs between letters and digits do not count; texts of fewer than 5 letters only with their key, runs of fewer than 7 digits not at all. None is left out, however long the value. Empty, not NULL, without any.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_tokens(value text, keys text[]) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_identifier_tokens';
COMMENT ON FUNCTION cdp_internal.identifier_tokens(text, text[]) IS
'The hashes of cdp_internal.content_tokens() by which content with this value is found: as a whole or a word (from 5 letters on), under one of the keys, and of a number each end of 7 digits or more, for phone numbers without a country.';

CREATE OR REPLACE FUNCTION cdp_internal.origin_tokens(source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  texts text[] := ARRAY[source, medium, campaign, referrer_host, add_way, qr_scene];
BEGIN
  RETURN cdp_internal.content_tokens(to_jsonb(texts || replace(array_to_string(texts, ' '), '%40', '@')));
END
$$;
COMMENT ON FUNCTION cdp_internal.origin_tokens(text, text, text, text, text, text) IS
'cdp_internal.content_tokens() of the texts of an origin, for its index; %40 is read as @, too. NULL when one is.';

CREATE OR REPLACE FUNCTION cdp_internal.outbox_tokens(payload jsonb, dedup_key text, last_error text) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 50 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.content_tokens(jsonb_build_array(payload, dedup_key, last_error));
END
$$;
COMMENT ON FUNCTION cdp_internal.outbox_tokens(jsonb, text, text) IS
'cdp_internal.content_tokens() of all that a message may name somebody in, for its index. Never NULL.';

-- Core room: content that names a person in its text only is found by hashes of its words; see src/core/tokens.c.

CREATE OR REPLACE FUNCTION cdp_internal.content_tokens(content jsonb) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'cdp_content_tokens';
COMMENT ON FUNCTION cdp_internal.content_tokens(jsonb) IS
'Hashes of all strings and numbers of a JSON value, sorted, for a GIN index: whole, word by word, runs of digits, and keys with their values. Case and signs between letters and digits do not count; texts of fewer than 5 letters only with their key, runs of fewer than 7 digits not at all. After some 4,000 the rest is left out. Empty, not NULL, without any.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_tokens(value text, keys text[]) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_identifier_tokens';
COMMENT ON FUNCTION cdp_internal.identifier_tokens(text, text[]) IS
'The hashes of cdp_internal.content_tokens() by which content with this value is found: as a whole or a word (from 5 letters on), under one of the keys, and of a number each end of 7 digits or more, for phone numbers without a country.';

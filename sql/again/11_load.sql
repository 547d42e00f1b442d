-- Core room, loading: from a staging table into touchpoint, with quarantine, ledger, revert and retry.
-- The readers of text; see src/core/parse.c.
CREATE OR REPLACE FUNCTION cdp_internal.parse_time(input text, zone text) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_time';
COMMENT ON FUNCTION cdp_internal.parse_time(text, text) IS
'Reads an ISO 8601 time (2026-01-02, 2026-01-02 3:04, 2026/1/2T03:04:05.123456+08:00, ...Z). Text without an offset is in the given zone. Gives infinity for the words infinity and -infinity, and NULL, never an error, for anything else. Independent of DateStyle and TimeZone. Errors: 22023 for an unknown zone.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_value(input text) RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_value';
COMMENT ON FUNCTION cdp_internal.parse_value(text) IS
'Reads a plain decimal number (-12.5) as money with six decimals. NULL, never an error, when it is no such number, is 9.2e12 or more either way, or has digits beyond the sixth decimal that are not zero.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_int(input text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_int';
COMMENT ON FUNCTION cdp_internal.parse_int(text) IS
'Reads a whole number of 32 bits. NULL, never an error, when the text is none.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_key(input text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_parse_key';
COMMENT ON FUNCTION cdp_internal.parse_key(text) IS
'The text without blanks at its ends. NULL, never an error, when nothing is left or it is longer than 800 bytes, which an index could not hold beside other columns.';

CREATE OR REPLACE FUNCTION cdp_internal.parse_json(input text) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'cdp_parse_json';
COMMENT ON FUNCTION cdp_internal.parse_json(text) IS
'Reads JSON text to jsonb. NULL, never an error, when it is no JSON, is deeper than 64 levels, larger than 1 MB, or has an exponent of more than three digits.';

CREATE OR REPLACE FUNCTION cdp_internal.row_number() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'cdp_row_number';
COMMENT ON FUNCTION cdp_internal.row_number() IS
'Counts 1, 2, 3, ... the rows that one query evaluates it for. Never NULL. Only for a plain scan: the numbers follow the order of evaluation.';

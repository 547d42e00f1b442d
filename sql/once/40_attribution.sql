-- Types of the attribution room.
CREATE TYPE cdp.attribution_partial;
COMMENT ON TYPE cdp.attribution_partial IS
'Result of an attribution pass: exact sums over whole journeys, with the options they were made under. Made by cdp.attribution_pass and cdp.attribution_path_pass, added by cdp.attribution_merge, opened by cdp.attribution_totals and its neighbours. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.attribution_partial_in(cstring) RETURNS cdp.attribution_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_partial_in';
COMMENT ON FUNCTION cdp_internal.attribution_partial_in(cstring) IS
'Reads the text form of cdp.attribution_partial; errors 22P02 or 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.attribution_partial_out(cdp.attribution_partial) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_partial_out';
COMMENT ON FUNCTION cdp_internal.attribution_partial_out(cdp.attribution_partial) IS
'Writes the text form of cdp.attribution_partial.';

CREATE FUNCTION cdp_internal.attribution_partial_recv(internal) RETURNS cdp.attribution_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_partial_recv';
COMMENT ON FUNCTION cdp_internal.attribution_partial_recv(internal) IS
'Reads the binary form of cdp.attribution_partial; errors 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.attribution_partial_send(cdp.attribution_partial) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_partial_send';
COMMENT ON FUNCTION cdp_internal.attribution_partial_send(cdp.attribution_partial) IS
'Writes the binary form of cdp.attribution_partial.';

CREATE TYPE cdp.attribution_partial (
  INPUT = cdp_internal.attribution_partial_in,
  OUTPUT = cdp_internal.attribution_partial_out,
  RECEIVE = cdp_internal.attribution_partial_recv,
  SEND = cdp_internal.attribution_partial_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

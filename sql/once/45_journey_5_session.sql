-- The type of the results of session passes.
CREATE TYPE cdp.session_partial;
COMMENT ON TYPE cdp.session_partial IS
'Result of a session pass: sessions by period with their lengths and rows, with the options it was made under. Made by cdp.session_pass, added by cdp.session_merge (of disjoint customers), opened by cdp.session_table and cdp.session_summary. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.session_partial_in(cstring) RETURNS cdp.session_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_in';
COMMENT ON FUNCTION cdp_internal.session_partial_in(cstring) IS
'Reads the text form of cdp.session_partial; errors 22P02 or 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.session_partial_out(cdp.session_partial) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_out';
COMMENT ON FUNCTION cdp_internal.session_partial_out(cdp.session_partial) IS
'Writes the text form of cdp.session_partial.';

CREATE FUNCTION cdp_internal.session_partial_recv(internal) RETURNS cdp.session_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_recv';
COMMENT ON FUNCTION cdp_internal.session_partial_recv(internal) IS
'Reads the binary form of cdp.session_partial; errors 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.session_partial_send(cdp.session_partial) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_send';
COMMENT ON FUNCTION cdp_internal.session_partial_send(cdp.session_partial) IS
'Writes the binary form of cdp.session_partial.';

CREATE TYPE cdp.session_partial (
  INPUT = cdp_internal.session_partial_in,
  OUTPUT = cdp_internal.session_partial_out,
  RECEIVE = cdp_internal.session_partial_recv,
  SEND = cdp_internal.session_partial_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

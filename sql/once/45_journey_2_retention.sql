-- The type of the results of retention passes.
CREATE TYPE cdp.retention_partial;
COMMENT ON TYPE cdp.retention_partial IS
'Result of a retention pass: the size of each cohort, and who came back in which period, with the options it was made under. Made by cdp.retention_pass, added by cdp.retention_merge (of disjoint customers), opened by cdp.retention_table and cdp.retention_summary. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.retention_partial_in(cstring) RETURNS cdp.retention_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_in';
COMMENT ON FUNCTION cdp_internal.retention_partial_in(cstring) IS
'Reads the text form of cdp.retention_partial; errors 22P02 or 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.retention_partial_out(cdp.retention_partial) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_out';
COMMENT ON FUNCTION cdp_internal.retention_partial_out(cdp.retention_partial) IS
'Writes the text form of cdp.retention_partial.';

CREATE FUNCTION cdp_internal.retention_partial_recv(internal) RETURNS cdp.retention_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_recv';
COMMENT ON FUNCTION cdp_internal.retention_partial_recv(internal) IS
'Reads the binary form of cdp.retention_partial; errors 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.retention_partial_send(cdp.retention_partial) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_send';
COMMENT ON FUNCTION cdp_internal.retention_partial_send(cdp.retention_partial) IS
'Writes the binary form of cdp.retention_partial.';

CREATE TYPE cdp.retention_partial (
  INPUT = cdp_internal.retention_partial_in,
  OUTPUT = cdp_internal.retention_partial_out,
  RECEIVE = cdp_internal.retention_partial_recv,
  SEND = cdp_internal.retention_partial_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

-- The type of the results of stage passes.
CREATE TYPE cdp.stage_partial;
COMMENT ON TYPE cdp.stage_partial IS
'Result of a stage pass: stays in each stage and how they went on, and where each customer stands when that was asked for, with the options it was made under. Made by cdp.stage_pass, added by cdp.stage_merge (of disjoint customers), opened by cdp.stage_table, cdp.stage_flows, cdp.stage_state and cdp.stage_summary. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.stage_partial_in(cstring) RETURNS cdp.stage_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_in';
COMMENT ON FUNCTION cdp_internal.stage_partial_in(cstring) IS
'Reads the text form of cdp.stage_partial; errors 22P02 or 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.stage_partial_out(cdp.stage_partial) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_out';
COMMENT ON FUNCTION cdp_internal.stage_partial_out(cdp.stage_partial) IS
'Writes the text form of cdp.stage_partial.';

CREATE FUNCTION cdp_internal.stage_partial_recv(internal) RETURNS cdp.stage_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_recv';
COMMENT ON FUNCTION cdp_internal.stage_partial_recv(internal) IS
'Reads the binary form of cdp.stage_partial; errors 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.stage_partial_send(cdp.stage_partial) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_send';
COMMENT ON FUNCTION cdp_internal.stage_partial_send(cdp.stage_partial) IS
'Writes the binary form of cdp.stage_partial.';

CREATE TYPE cdp.stage_partial (
  INPUT = cdp_internal.stage_partial_in,
  OUTPUT = cdp_internal.stage_partial_out,
  RECEIVE = cdp_internal.stage_partial_recv,
  SEND = cdp_internal.stage_partial_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

-- Types of the journey room.
CREATE TYPE cdp.funnel_partial;
COMMENT ON TYPE cdp.funnel_partial IS
'Result of a funnel pass: for each breakdown and step the customers who came that far and how long they took, with the options it was made under. Made by cdp.funnel_pass, added by cdp.funnel_merge (of disjoint customers), opened by cdp.funnel_steps and cdp.funnel_summary. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.funnel_partial_in(cstring) RETURNS cdp.funnel_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_in';
COMMENT ON FUNCTION cdp_internal.funnel_partial_in(cstring) IS
'Reads the text form of cdp.funnel_partial; errors 22P02 or 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.funnel_partial_out(cdp.funnel_partial) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_out';
COMMENT ON FUNCTION cdp_internal.funnel_partial_out(cdp.funnel_partial) IS
'Writes the text form of cdp.funnel_partial.';

CREATE FUNCTION cdp_internal.funnel_partial_recv(internal) RETURNS cdp.funnel_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_recv';
COMMENT ON FUNCTION cdp_internal.funnel_partial_recv(internal) IS
'Reads the binary form of cdp.funnel_partial; errors 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.funnel_partial_send(cdp.funnel_partial) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_send';
COMMENT ON FUNCTION cdp_internal.funnel_partial_send(cdp.funnel_partial) IS
'Writes the binary form of cdp.funnel_partial.';

CREATE TYPE cdp.funnel_partial (
  INPUT = cdp_internal.funnel_partial_in,
  OUTPUT = cdp_internal.funnel_partial_out,
  RECEIVE = cdp_internal.funnel_partial_recv,
  SEND = cdp_internal.funnel_partial_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

-- The type of the results of path passes.
CREATE TYPE cdp.path_partial;
COMMENT ON TYPE cdp.path_partial IS
'Result of a path pass: nodes, links, loops and whole paths with how often and by how many customers they were gone, and how long it took, with the options it was made under. Made by cdp.path_pass, added by cdp.path_merge (of disjoint customers), opened by cdp.path_nodes, cdp.path_links, cdp.path_top, cdp.path_loops and cdp.path_summary. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.path_partial_in(cstring) RETURNS cdp.path_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_in';
COMMENT ON FUNCTION cdp_internal.path_partial_in(cstring) IS
'Reads the text form of cdp.path_partial; errors 22P02 or 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.path_partial_out(cdp.path_partial) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_out';
COMMENT ON FUNCTION cdp_internal.path_partial_out(cdp.path_partial) IS
'Writes the text form of cdp.path_partial.';

CREATE FUNCTION cdp_internal.path_partial_recv(internal) RETURNS cdp.path_partial
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_recv';
COMMENT ON FUNCTION cdp_internal.path_partial_recv(internal) IS
'Reads the binary form of cdp.path_partial; errors 22P03 when the bytes were not made by a pass.';

CREATE FUNCTION cdp_internal.path_partial_send(cdp.path_partial) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_send';
COMMENT ON FUNCTION cdp_internal.path_partial_send(cdp.path_partial) IS
'Writes the binary form of cdp.path_partial.';

CREATE TYPE cdp.path_partial (
  INPUT = cdp_internal.path_partial_in,
  OUTPUT = cdp_internal.path_partial_out,
  RECEIVE = cdp_internal.path_partial_recv,
  SEND = cdp_internal.path_partial_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

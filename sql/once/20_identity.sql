-- Types of the identity room.
CREATE TYPE cdp.component_set;
COMMENT ON TYPE cdp.component_set IS
'Connected components of a graph: every node with its component, and the number of links. Made by cdp.components, united by cdp.component_merge, opened by cdp.component_rows and its neighbours. Equal components of equally many links are equal bytes, whatever the order of the rows was. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.component_set_in(cstring) RETURNS cdp.component_set
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_component_set_in';
COMMENT ON FUNCTION cdp_internal.component_set_in(cstring) IS
'Reads the text form of cdp.component_set; errors 22P02 or 22P03 when the bytes are not what cdp.components makes, 54000 when checking them takes more than cdp.components_memory.';

CREATE FUNCTION cdp_internal.component_set_out(cdp.component_set) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_component_set_out';
COMMENT ON FUNCTION cdp_internal.component_set_out(cdp.component_set) IS
'Writes the text form of cdp.component_set; error 54000 above 512 MB.';

CREATE FUNCTION cdp_internal.component_set_recv(internal) RETURNS cdp.component_set
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_component_set_recv';
COMMENT ON FUNCTION cdp_internal.component_set_recv(internal) IS
'Reads the binary form of cdp.component_set; errors 22P03 when the bytes are not what cdp.components makes, 54000 when checking them takes more than cdp.components_memory.';

CREATE FUNCTION cdp_internal.component_set_send(cdp.component_set) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_component_set_send';
COMMENT ON FUNCTION cdp_internal.component_set_send(cdp.component_set) IS
'Writes the binary form of cdp.component_set.';

CREATE TYPE cdp.component_set (
  INPUT = cdp_internal.component_set_in,
  OUTPUT = cdp_internal.component_set_out,
  RECEIVE = cdp_internal.component_set_recv,
  SEND = cdp_internal.component_set_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

-- Types of the referral room: graphs of accounts.
CREATE TYPE cdp.fraud_graph;
COMMENT ON TYPE cdp.fraud_graph IS
'A graph: the nodes of both ends of its edges, and each edge once. Made by the aggregate cdp.fraud_graph, searched by cdp.fraud_components, cdp.fraud_core, cdp.fraud_cycles and cdp.fraud_dense_blocks. Equal graphs are equal bytes, whatever the order and repetition of the rows was. Text form: \x and hexadecimal digits; every value that comes from outside is checked in full.';

CREATE FUNCTION cdp_internal.fraud_graph_in(cstring) RETURNS cdp.fraud_graph
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_graph_in';
COMMENT ON FUNCTION cdp_internal.fraud_graph_in(cstring) IS
'Reads the text form of cdp.fraud_graph; errors 22P02 or 22P03 when the bytes are not what the aggregate cdp.fraud_graph makes, 54000 when checking them takes more than cdp.fraud_memory.';

CREATE FUNCTION cdp_internal.fraud_graph_out(cdp.fraud_graph) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_graph_out';
COMMENT ON FUNCTION cdp_internal.fraud_graph_out(cdp.fraud_graph) IS
'Writes the text form of cdp.fraud_graph; error 54000 above 512 MB.';

CREATE FUNCTION cdp_internal.fraud_graph_recv(internal) RETURNS cdp.fraud_graph
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_graph_recv';
COMMENT ON FUNCTION cdp_internal.fraud_graph_recv(internal) IS
'Reads the binary form of cdp.fraud_graph; errors 22P03 when the bytes are not what the aggregate cdp.fraud_graph makes, 54000 when checking them takes more than cdp.fraud_memory.';

CREATE FUNCTION cdp_internal.fraud_graph_send(cdp.fraud_graph) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_graph_send';
COMMENT ON FUNCTION cdp_internal.fraud_graph_send(cdp.fraud_graph) IS
'Writes the binary form of cdp.fraud_graph.';

CREATE TYPE cdp.fraud_graph (
  INPUT = cdp_internal.fraud_graph_in,
  OUTPUT = cdp_internal.fraud_graph_out,
  RECEIVE = cdp_internal.fraud_graph_recv,
  SEND = cdp_internal.fraud_graph_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4,
  STORAGE = extended
);

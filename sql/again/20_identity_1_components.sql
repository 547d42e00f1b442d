-- Identity room: connected components of links, by union-find.

CREATE OR REPLACE FUNCTION cdp_internal.components_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_combine';
COMMENT ON FUNCTION cdp_internal.components_combine(internal, internal) IS 'Combine function of cdp.components: adds what a worker found.';
CREATE OR REPLACE FUNCTION cdp_internal.components_serialize(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_serialize';
COMMENT ON FUNCTION cdp_internal.components_serialize(internal) IS 'Serialisation function of cdp.components: the components of a worker as bytes.';
CREATE OR REPLACE FUNCTION cdp_internal.components_deserialize(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_deserialize';
COMMENT ON FUNCTION cdp_internal.components_deserialize(bytea, internal) IS 'Deserialisation function of cdp.components.';

CREATE OR REPLACE FUNCTION cdp_internal.components_add(internal, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_add_bigint';
COMMENT ON FUNCTION cdp_internal.components_add(internal, bigint, bigint) IS 'Transition function of cdp.components(bigint, bigint).';
CREATE OR REPLACE FUNCTION cdp_internal.components_finish_bigint(internal) RETURNS cdp.component_set
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_finish_bigint';
COMMENT ON FUNCTION cdp_internal.components_finish_bigint(internal) IS 'Final function of cdp.components(bigint, bigint); it uses the state up.';
CREATE OR REPLACE AGGREGATE cdp.components(a bigint, b bigint) (
  SFUNC = cdp_internal.components_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.components_finish_bigint, FINALFUNC_MODIFY = READ_WRITE,
  COMBINEFUNC = cdp_internal.components_combine, SERIALFUNC = cdp_internal.components_serialize,
  DESERIALFUNC = cdp_internal.components_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.components(bigint, bigint) IS
'Connected components of all rows, for cdp.component_rows. A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Never NULL: without rows it has no nodes. The result does not depend on the order of rows or on workers. Union-find (Rem''s algorithm with splicing). Errors: 54000 above cdp.components_memory, above 2^30 nodes, or when the value would take more than 1 GB.';

CREATE OR REPLACE FUNCTION cdp_internal.components_add(internal, uuid, uuid) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_add_uuid';
COMMENT ON FUNCTION cdp_internal.components_add(internal, uuid, uuid) IS 'Transition function of cdp.components(uuid, uuid).';
CREATE OR REPLACE FUNCTION cdp_internal.components_finish_uuid(internal) RETURNS cdp.component_set
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_finish_uuid';
COMMENT ON FUNCTION cdp_internal.components_finish_uuid(internal) IS 'Final function of cdp.components(uuid, uuid); it uses the state up.';
CREATE OR REPLACE AGGREGATE cdp.components(a uuid, b uuid) (
  SFUNC = cdp_internal.components_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.components_finish_uuid, FINALFUNC_MODIFY = READ_WRITE,
  COMBINEFUNC = cdp_internal.components_combine, SERIALFUNC = cdp_internal.components_serialize,
  DESERIALFUNC = cdp_internal.components_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.components(uuid, uuid) IS
'Connected components of all rows, for cdp.component_rows_uuid. A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Never NULL: without rows it has no nodes. The result does not depend on the order of rows or on workers. Union-find (Rem''s algorithm with splicing). Errors: 54000 above cdp.components_memory, above 2^30 nodes, or when the value would take more than 1 GB.';

CREATE OR REPLACE FUNCTION cdp_internal.components_add(internal, text, text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_add_text';
COMMENT ON FUNCTION cdp_internal.components_add(internal, text, text) IS 'Transition function of cdp.components(text, text).';
CREATE OR REPLACE FUNCTION cdp_internal.components_finish_text(internal) RETURNS cdp.component_set
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_components_finish_text';
COMMENT ON FUNCTION cdp_internal.components_finish_text(internal) IS 'Final function of cdp.components(text, text); it uses the state up.';
CREATE OR REPLACE AGGREGATE cdp.components(a text, b text) (
  SFUNC = cdp_internal.components_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.components_finish_text, FINALFUNC_MODIFY = READ_WRITE,
  COMBINEFUNC = cdp_internal.components_combine, SERIALFUNC = cdp_internal.components_serialize,
  DESERIALFUNC = cdp_internal.components_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.components(text, text) IS
'Connected components of all rows, for cdp.component_rows_text. A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Never NULL: without rows it has no nodes. Text is compared by its bytes. The result does not depend on the order of rows or on workers. Union-find (Rem''s algorithm with splicing). Errors: 54000 above cdp.components_memory, above 2^30 nodes, or when the value would take more than 1 GB.';

CREATE OR REPLACE FUNCTION cdp_internal.component_merge_add(internal, cdp.component_set) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_component_merge_add';
COMMENT ON FUNCTION cdp_internal.component_merge_add(internal, cdp.component_set) IS 'Transition function of cdp.component_merge.';
CREATE OR REPLACE FUNCTION cdp_internal.component_merge_finish(internal) RETURNS cdp.component_set
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_component_merge_finish';
COMMENT ON FUNCTION cdp_internal.component_merge_finish(internal) IS 'Final function of cdp.component_merge; it uses the state up.';
CREATE OR REPLACE AGGREGATE cdp.component_merge(cdp.component_set) (
  SFUNC = cdp_internal.component_merge_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.component_merge_finish, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.component_merge(cdp.component_set) IS
'The components of all links together, from sets of parts of them, such as shards, or a stored set and the links that came since. Equal to cdp.components over all rows; the numbers of links add up. NULL without sets; NULLs count for nothing. Errors: 42804 sets of different types of nodes, 54000 as cdp.components.';

CREATE OR REPLACE FUNCTION cdp.component_rows(set cdp.component_set, OUT id bigint, OUT component bigint) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_component_rows_bigint';
COMMENT ON FUNCTION cdp.component_rows(cdp.component_set) IS
'One row per node of a set of bigint nodes: id, and component, the smallest id of its component. In the select list the rows stream; in FROM they are kept first. No rows for NULL. Error 42804 when the nodes are of another type.';

CREATE OR REPLACE FUNCTION cdp.component_rows_uuid(set cdp.component_set, OUT id uuid, OUT component uuid) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_component_rows_uuid';
COMMENT ON FUNCTION cdp.component_rows_uuid(cdp.component_set) IS
'One row per node of a set of uuid nodes: id, and component, the smallest id of its component. In the select list the rows stream; in FROM they are kept first. No rows for NULL. Error 42804 when the nodes are of another type.';

CREATE OR REPLACE FUNCTION cdp.component_rows_text(set cdp.component_set, OUT id text, OUT component text) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_component_rows_text';
COMMENT ON FUNCTION cdp.component_rows_text(cdp.component_set) IS
'One row per node of a set of text nodes: id, and component, the smallest id of its component by the bytes of the text. In the select list the rows stream; in FROM they are kept first. No rows for NULL. Error 42804 when the nodes are of another type.';

CREATE OR REPLACE FUNCTION cdp.component_summary(set cdp.component_set, OUT node_type text, OUT nodes bigint, OUT links bigint,
  OUT components bigint, OUT largest bigint, OUT single bigint) RETURNS record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'cdp_component_summary';
COMMENT ON FUNCTION cdp.component_summary(cdp.component_set) IS
'Counts of a component set: node_type (bigint, uuid, text), nodes, links (rows that had two ends, repeated ones and links of a node with itself included), components, largest (nodes of the largest component, 0 when there is none), single (components of one node). NULLs for NULL.';

CREATE OR REPLACE FUNCTION cdp.component_sizes(set cdp.component_set, OUT nodes bigint, OUT components bigint) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'cdp_component_sizes';
COMMENT ON FUNCTION cdp.component_sizes(cdp.component_set) IS
'How many components of a set have so many nodes, in ascending order of nodes. No rows for NULL.';

CREATE OR REPLACE FUNCTION cdp.connected_components(edges regclass, a name DEFAULT 'a', b name DEFAULT 'b', OUT id bigint, OUT component bigint) RETURNS SETOF record
LANGUAGE c STABLE STRICT COST 100000 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_connected_components_bigint';
COMMENT ON FUNCTION cdp.connected_components(regclass, name, name) IS
'Connected components of a table, view or foreign table whose columns a and b are the two ends of a link: one row per node, id and component (smallest id of its component). The columns are of type bigint, integer or smallint. Rows are read with the rights and the row security of the caller. A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Errors: 42703 a column that does not exist, 42804 a column of another type, 42501 without SELECT, 54000 as cdp.components.';

CREATE OR REPLACE FUNCTION cdp.cursor_components(links refcursor, OUT id bigint, OUT component bigint) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT COST 100000 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_cursor_components_bigint';
COMMENT ON FUNCTION cdp.cursor_components(refcursor) IS
'Connected components of the rows that an open cursor still has; it stays open, at its end. Its query returns two columns of type bigint, integer or smallint, the two ends of a link. One row per node, id and component (smallest id of its component). A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Errors: 34000 a cursor that does not exist, 42804 other columns, 54000 as cdp.components.';

CREATE OR REPLACE FUNCTION cdp.connected_components_uuid(edges regclass, a name DEFAULT 'a', b name DEFAULT 'b', OUT id uuid, OUT component uuid) RETURNS SETOF record
LANGUAGE c STABLE STRICT COST 100000 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_connected_components_uuid';
COMMENT ON FUNCTION cdp.connected_components_uuid(regclass, name, name) IS
'Connected components of a table, view or foreign table whose columns a and b are the two ends of a link: one row per node, id and component (smallest id of its component). The columns are of type uuid. Rows are read with the rights and the row security of the caller. A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Errors: 42703 a column that does not exist, 42804 a column of another type, 42501 without SELECT, 54000 as cdp.components.';

CREATE OR REPLACE FUNCTION cdp.cursor_components_uuid(links refcursor, OUT id uuid, OUT component uuid) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT COST 100000 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_cursor_components_uuid';
COMMENT ON FUNCTION cdp.cursor_components_uuid(refcursor) IS
'Connected components of the rows that an open cursor still has; it stays open, at its end. Its query returns two columns of type uuid, the two ends of a link. One row per node, id and component (smallest id of its component). A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Errors: 34000 a cursor that does not exist, 42804 other columns, 54000 as cdp.components.';

CREATE OR REPLACE FUNCTION cdp.connected_components_text(edges regclass, a name DEFAULT 'a', b name DEFAULT 'b', OUT id text, OUT component text) RETURNS SETOF record
LANGUAGE c STABLE STRICT COST 100000 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_connected_components_text';
COMMENT ON FUNCTION cdp.connected_components_text(regclass, name, name) IS
'Connected components of a table, view or foreign table whose columns a and b are the two ends of a link: one row per node, id and component (smallest id of its component). Columns of any type are read, those that are no text in their text form (times, dates and numbers as the session writes them); they are compared by their bytes. Rows are read with the rights and the row security of the caller. A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Errors: 42703 a column that does not exist, 42804 a column of another type, 42501 without SELECT, 54000 as cdp.components.';

CREATE OR REPLACE FUNCTION cdp.cursor_components_text(links refcursor, OUT id text, OUT component text) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT COST 100000 ROWS 100000 AS 'MODULE_PATHNAME', 'cdp_cursor_components_text';
COMMENT ON FUNCTION cdp.cursor_components_text(refcursor) IS
'Connected components of the rows that an open cursor still has; it stays open, at its end. Its query returns two columns of type text or varchar, the two ends of a link. One row per node, id and component (smallest id of its component). A row is a link between its two ends; a row with one NULL end is a node without a link, a row with two NULLs nothing; a node linked with itself is a node. Errors: 34000 a cursor that does not exist, 42804 other columns, 54000 as cdp.components.';

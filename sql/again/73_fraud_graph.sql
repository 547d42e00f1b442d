-- Referral room: fraud rules on graphs of accounts. The engines know no table: they take a graph that an aggregate made of any query,
-- a relation, or an open cursor.

CREATE OR REPLACE FUNCTION cdp_internal.fraud_graph_add(internal, "any", "any") RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_graph_add';
COMMENT ON FUNCTION cdp_internal.fraud_graph_add(internal, "any", "any") IS 'Transition function of the aggregate cdp.fraud_graph.';
CREATE OR REPLACE FUNCTION cdp_internal.fraud_graph_finish(internal) RETURNS cdp.fraud_graph
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_graph_final';
COMMENT ON FUNCTION cdp_internal.fraud_graph_finish(internal) IS 'Final function of the aggregate cdp.fraud_graph; it uses the state up.';
CREATE OR REPLACE AGGREGATE cdp.fraud_graph(a "any", b "any") (
  SFUNC = cdp_internal.fraud_graph_add, STYPE = internal, SSPACE = 8192,
  FINALFUNC = cdp_internal.fraud_graph_finish, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp.fraud_graph("any", "any") IS
'The graph of all rows, for cdp.fraud_components, cdp.fraud_core, cdp.fraud_cycles and cdp.fraud_dense_blocks. A row is an edge from a to b: from an account to an attribute that it has, or from an account to an account. Each end is of type bigint, integer, smallint, uuid, text or varchar. Repeated rows count once; a row with one NULL end is a node without an edge, a row with two NULLs nothing. Never NULL: without rows it has no nodes. The result does not depend on the order of rows or on workers. Errors: 42804 another type, 54000 above cdp.fraud_memory (rows take 8 bytes each, a bigint node 25 to 40) or when the value would take more than 1 GB.';

CREATE OR REPLACE FUNCTION cdp.fraud_graph_of(edges regclass, a name DEFAULT 'a', b name DEFAULT 'b') RETURNS cdp.fraud_graph
LANGUAGE c STABLE STRICT COST 10000 AS 'MODULE_PATHNAME', 'cdp_graph_of';
COMMENT ON FUNCTION cdp.fraud_graph_of(regclass, name, name) IS
'The graph of a table, view or foreign table whose columns a and b are the ends of an edge; see the aggregate cdp.fraud_graph. Columns of type bigint, integer, smallint and uuid are read as such, others in their text form (times, dates and numbers as the session writes them). Rows are read with the rights and the row security of the caller. Errors: 42703 a column that does not exist, 42501 without SELECT, 54000 as cdp.fraud_graph.';
CREATE OR REPLACE FUNCTION cdp.fraud_graph_of(edges refcursor) RETURNS cdp.fraud_graph
LANGUAGE c VOLATILE STRICT COST 10000 AS 'MODULE_PATHNAME', 'cdp_graph_of';
COMMENT ON FUNCTION cdp.fraud_graph_of(refcursor) IS
'The graph of the rows that an open cursor still has, whose two columns are the ends of an edge; it stays open, at its end. See the aggregate cdp.fraud_graph. Errors: 34000 a cursor that does not exist, 42804 columns of other types than bigint, integer, smallint, uuid, text and varchar, or more or fewer than two, 54000 as cdp.fraud_graph.';

CREATE OR REPLACE FUNCTION cdp.fraud_components(graph cdp.fraud_graph, hub_cap integer DEFAULT 10, OUT account bigint, OUT component bigint, OUT accounts integer) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_components';
COMMENT ON FUNCTION cdp.fraud_components(cdp.fraud_graph, integer) IS
'Groups of accounts that share attributes: an edge goes from an account to an attribute that it has, such as a device. An attribute that more than hub_cap accounts share, such as the address of an office, links nobody. One row per account: account, component (smallest account of its group), accounts (how many the group has; 1 for one that shares nothing). For edges from account to account use cdp.components. The accounts are numbers; attributes may be of any type of node. No rows for NULL. Errors: 42804 nodes that are no numbers, 54000 above cdp.fraud_memory, 22003 hub_cap below 1, 22004 hub_cap NULL.';

CREATE OR REPLACE FUNCTION cdp.fraud_components_uuid(graph cdp.fraud_graph, hub_cap integer DEFAULT 10, OUT account uuid, OUT component uuid, OUT accounts integer) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_components';
COMMENT ON FUNCTION cdp.fraud_components_uuid(cdp.fraud_graph, integer) IS
'As cdp.fraud_components over a graph whose nodes are of type uuid.';

CREATE OR REPLACE FUNCTION cdp.fraud_components_text(graph cdp.fraud_graph, hub_cap integer DEFAULT 10, OUT account text, OUT component text, OUT accounts integer) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_components';
COMMENT ON FUNCTION cdp.fraud_components_text(cdp.fraud_graph, integer) IS
'As cdp.fraud_components over a graph whose nodes are of type text; they are compared by their bytes.';

CREATE OR REPLACE FUNCTION cdp.fraud_components(edges regclass, hub_cap integer DEFAULT 10, a name DEFAULT 'a', b name DEFAULT 'b', OUT account bigint, OUT component bigint, OUT accounts integer) RETURNS SETOF record
LANGUAGE c STABLE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_components';
COMMENT ON FUNCTION cdp.fraud_components(regclass, integer, name, name) IS
'As cdp.fraud_components over the rows of a table, view or foreign table whose columns a and b are the ends of an edge. Rows are read with the rights and the row security of the caller. Further errors: 42703 a column that does not exist, 42501 without SELECT.';

CREATE OR REPLACE FUNCTION cdp.fraud_components(edges refcursor, hub_cap integer DEFAULT 10, OUT account bigint, OUT component bigint, OUT accounts integer) RETURNS SETOF record
LANGUAGE c VOLATILE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_components';
COMMENT ON FUNCTION cdp.fraud_components(refcursor, integer) IS
'As cdp.fraud_components over the rows that an open cursor still has, whose two columns are the ends of an edge; it stays open, at its end. Further errors: 34000 a cursor that does not exist, 42804 other columns.';

CREATE OR REPLACE FUNCTION cdp.fraud_core(graph cdp.fraud_graph, OUT account bigint, OUT core integer, OUT degree integer) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_core';
COMMENT ON FUNCTION cdp.fraud_core(cdp.fraud_graph) IS
'Core numbers of the accounts of a graph whose edges go from account to account, whichever way. core is the largest k for which the account belongs to a part of the graph where every account has k neighbours in that part; degree counts its neighbours. One row per account. Repeated edges count once, edges of an account with itself not at all. Batagelj and Zaversnik 2003, O(edges). No rows for NULL. Errors: 42804 nodes that are no numbers, 54000 above cdp.fraud_memory.';

CREATE OR REPLACE FUNCTION cdp.fraud_core_uuid(graph cdp.fraud_graph, OUT account uuid, OUT core integer, OUT degree integer) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_core';
COMMENT ON FUNCTION cdp.fraud_core_uuid(cdp.fraud_graph) IS
'As cdp.fraud_core over a graph whose nodes are of type uuid.';

CREATE OR REPLACE FUNCTION cdp.fraud_core_text(graph cdp.fraud_graph, OUT account text, OUT core integer, OUT degree integer) RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_core';
COMMENT ON FUNCTION cdp.fraud_core_text(cdp.fraud_graph) IS
'As cdp.fraud_core over a graph whose nodes are of type text; they are compared by their bytes.';

CREATE OR REPLACE FUNCTION cdp.fraud_core(edges regclass, a name DEFAULT 'a', b name DEFAULT 'b', OUT account bigint, OUT core integer, OUT degree integer) RETURNS SETOF record
LANGUAGE c STABLE STRICT COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_core';
COMMENT ON FUNCTION cdp.fraud_core(regclass, name, name) IS
'As cdp.fraud_core over the rows of a table, view or foreign table whose columns a and b are the ends of an edge. Rows are read with the rights and the row security of the caller. Further errors: 42703 a column that does not exist, 42501 without SELECT.';

CREATE OR REPLACE FUNCTION cdp.fraud_core(edges refcursor, OUT account bigint, OUT core integer, OUT degree integer) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_core';
COMMENT ON FUNCTION cdp.fraud_core(refcursor) IS
'As cdp.fraud_core over the rows that an open cursor still has, whose two columns are the ends of an edge; it stays open, at its end. Further errors: 34000 a cursor that does not exist, 42804 other columns.';

CREATE OR REPLACE FUNCTION cdp.fraud_cycles(graph cdp.fraud_graph, longest integer DEFAULT 4, degree_cap integer DEFAULT 100, OUT length integer, OUT accounts bigint[]) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_cycles';
COMMENT ON FUNCTION cdp.fraud_cycles(cdp.fraud_graph, integer, integer) IS
'Directed cycles of a graph whose edges go from account to account: who referred whom in a ring. One row per cycle of 2 to longest accounts, each once: length, and the accounts in the direction of the edges, the smallest first. Edges of an account with itself are no cycle. Accounts with edges to more than degree_cap others are left out, which a NOTICE counts; that bounds the work by accounts times the cube of degree_cap. No rows for NULL. Errors: 42804 nodes that are no numbers, 54000 above cdp.fraud_memory, 22003 longest outside 2 to 4 or degree_cap outside 1 to 100000, 22004 one of them NULL.';

CREATE OR REPLACE FUNCTION cdp.fraud_cycles_uuid(graph cdp.fraud_graph, longest integer DEFAULT 4, degree_cap integer DEFAULT 100, OUT length integer, OUT accounts uuid[]) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_cycles';
COMMENT ON FUNCTION cdp.fraud_cycles_uuid(cdp.fraud_graph, integer, integer) IS
'As cdp.fraud_cycles over a graph whose nodes are of type uuid.';

CREATE OR REPLACE FUNCTION cdp.fraud_cycles_text(graph cdp.fraud_graph, longest integer DEFAULT 4, degree_cap integer DEFAULT 100, OUT length integer, OUT accounts text[]) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_cycles';
COMMENT ON FUNCTION cdp.fraud_cycles_text(cdp.fraud_graph, integer, integer) IS
'As cdp.fraud_cycles over a graph whose nodes are of type text; they are compared by their bytes.';

CREATE OR REPLACE FUNCTION cdp.fraud_cycles(edges regclass, longest integer DEFAULT 4, degree_cap integer DEFAULT 100, a name DEFAULT 'a', b name DEFAULT 'b', OUT length integer, OUT accounts bigint[]) RETURNS SETOF record
LANGUAGE c STABLE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_cycles';
COMMENT ON FUNCTION cdp.fraud_cycles(regclass, integer, integer, name, name) IS
'As cdp.fraud_cycles over the rows of a table, view or foreign table whose columns a and b are the ends of an edge. Rows are read with the rights and the row security of the caller. Further errors: 42703 a column that does not exist, 42501 without SELECT.';

CREATE OR REPLACE FUNCTION cdp.fraud_cycles(edges refcursor, longest integer DEFAULT 4, degree_cap integer DEFAULT 100, OUT length integer, OUT accounts bigint[]) RETURNS SETOF record
LANGUAGE c VOLATILE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_cycles';
COMMENT ON FUNCTION cdp.fraud_cycles(refcursor, integer, integer) IS
'As cdp.fraud_cycles over the rows that an open cursor still has, whose two columns are the ends of an edge; it stays open, at its end. Further errors: 34000 a cursor that does not exist, 42804 other columns.';

CREATE OR REPLACE FUNCTION cdp.fraud_dense_blocks(graph cdp.fraud_graph, k integer DEFAULT 1, weight text DEFAULT 'log', OUT block integer, OUT account bigint, OUT attribute text, OUT accounts integer, OUT attributes integer, OUT density double precision) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_dense_blocks';
COMMENT ON FUNCTION cdp.fraud_dense_blocks(cdp.fraud_graph, integer, text) IS
'Blocks of accounts and attributes that have unusually many edges with each other, by greedy peeling (FRAUDAR, Hooi et al. 2016): at most k of them, each from what the blocks before it left. An edge goes from an account to an attribute. With weight log an edge to an attribute of d accounts weighs 1 / ln(d + 5), in exact multiples of 2^-32, so that hubs and camouflage count for little; with none every edge weighs 1. One row per member: block (1, 2, ...), account or attribute (the other is NULL; attributes in their text form), accounts and attributes (how many the block has), density (weight of its edges divided by its members). Among nodes of equal weight the lowest goes first, accounts before attributes; of equally dense blocks the largest is taken. A dense block is a reason to look, not a proof: loyal customers are dense too. O(k edges log nodes); 12 bytes an edge and at most 50 a node. No rows for NULL. Errors: 42804 nodes that are no numbers, 54000 above cdp.fraud_memory, 22003 k outside 1 to 1000, 22004 k or weight NULL, 22023 another weight.';

CREATE OR REPLACE FUNCTION cdp.fraud_dense_blocks_uuid(graph cdp.fraud_graph, k integer DEFAULT 1, weight text DEFAULT 'log', OUT block integer, OUT account uuid, OUT attribute text, OUT accounts integer, OUT attributes integer, OUT density double precision) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_dense_blocks';
COMMENT ON FUNCTION cdp.fraud_dense_blocks_uuid(cdp.fraud_graph, integer, text) IS
'As cdp.fraud_dense_blocks over a graph whose nodes are of type uuid.';

CREATE OR REPLACE FUNCTION cdp.fraud_dense_blocks_text(graph cdp.fraud_graph, k integer DEFAULT 1, weight text DEFAULT 'log', OUT block integer, OUT account text, OUT attribute text, OUT accounts integer, OUT attributes integer, OUT density double precision) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_dense_blocks';
COMMENT ON FUNCTION cdp.fraud_dense_blocks_text(cdp.fraud_graph, integer, text) IS
'As cdp.fraud_dense_blocks over a graph whose nodes are of type text; they are compared by their bytes.';

CREATE OR REPLACE FUNCTION cdp.fraud_dense_blocks(edges regclass, k integer DEFAULT 1, weight text DEFAULT 'log', a name DEFAULT 'a', b name DEFAULT 'b', OUT block integer, OUT account bigint, OUT attribute text, OUT accounts integer, OUT attributes integer, OUT density double precision) RETURNS SETOF record
LANGUAGE c STABLE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_dense_blocks';
COMMENT ON FUNCTION cdp.fraud_dense_blocks(regclass, integer, text, name, name) IS
'As cdp.fraud_dense_blocks over the rows of a table, view or foreign table whose columns a and b are the ends of an edge. Rows are read with the rights and the row security of the caller. Further errors: 42703 a column that does not exist, 42501 without SELECT.';

CREATE OR REPLACE FUNCTION cdp.fraud_dense_blocks(edges refcursor, k integer DEFAULT 1, weight text DEFAULT 'log', OUT block integer, OUT account bigint, OUT attribute text, OUT accounts integer, OUT attributes integer, OUT density double precision) RETURNS SETOF record
LANGUAGE c VOLATILE COST 10000 ROWS 10000 AS 'MODULE_PATHNAME', 'cdp_fraud_dense_blocks';
COMMENT ON FUNCTION cdp.fraud_dense_blocks(refcursor, integer, text) IS
'As cdp.fraud_dense_blocks over the rows that an open cursor still has, whose two columns are the ends of an edge; it stays open, at its end. Further errors: 34000 a cursor that does not exist, 42804 other columns.';

CREATE OR REPLACE FUNCTION cdp.fraud_new_cycles(edges regclass, from_account bigint, to_account bigint, longest integer DEFAULT 4, degree_cap integer DEFAULT 100,
  a name DEFAULT 'a', b name DEFAULT 'b', OUT length integer, OUT accounts bigint[]) RETURNS SETOF record
LANGUAGE c STABLE COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'cdp_fraud_new_cycles';
COMMENT ON FUNCTION cdp.fraud_new_cycles(regclass, bigint, bigint, integer, integer, name, name) IS
'The cycles that one edge closes, for a check as the edge comes: those rows of cdp.fraud_cycles that have it, without reading all edges. Asked for are the ways out of to_account, of the accounts behind it, and who leads back to from_account; with an index on (a, b) each question reads few rows, at most degree_cap + 1 for an account, and there are at most degree_cap + 3 of them beside those that close a cycle. The edge itself may be in the table or not yet. Accounts with edges to more than degree_cap others are left out, which a NOTICE counts where it matters. Rows are read with the rights and the row security of the caller. No rows when an argument is NULL, or when both accounts are one. Errors: 42703 a column that does not exist, 42804 a column of another type, 42501 without SELECT, 22003 longest outside 2 to 4 or degree_cap outside 1 to 100000, 22004 one of the two NULL.';

CREATE OR REPLACE FUNCTION cdp.fraud_new_cycles(graph cdp.fraud_graph, from_account bigint, to_account bigint, longest integer DEFAULT 4, degree_cap integer DEFAULT 100,
  OUT length integer, OUT accounts bigint[]) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10 AS 'MODULE_PATHNAME', 'cdp_fraud_new_cycles';
COMMENT ON FUNCTION cdp.fraud_new_cycles(cdp.fraud_graph, bigint, bigint, integer, integer) IS
'As cdp.fraud_new_cycles over a table, in a graph that is there as a whole.';

CREATE OR REPLACE FUNCTION cdp.fraud_new_cycles_uuid(edges regclass, from_account uuid, to_account uuid, longest integer DEFAULT 4, degree_cap integer DEFAULT 100,
  a name DEFAULT 'a', b name DEFAULT 'b', OUT length integer, OUT accounts uuid[]) RETURNS SETOF record
LANGUAGE c STABLE COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'cdp_fraud_new_cycles';
COMMENT ON FUNCTION cdp.fraud_new_cycles_uuid(regclass, uuid, uuid, integer, integer, name, name) IS
'As cdp.fraud_new_cycles over columns of type uuid.';

CREATE OR REPLACE FUNCTION cdp.fraud_new_cycles_uuid(graph cdp.fraud_graph, from_account uuid, to_account uuid, longest integer DEFAULT 4, degree_cap integer DEFAULT 100,
  OUT length integer, OUT accounts uuid[]) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10 AS 'MODULE_PATHNAME', 'cdp_fraud_new_cycles';
COMMENT ON FUNCTION cdp.fraud_new_cycles_uuid(cdp.fraud_graph, uuid, uuid, integer, integer) IS
'As cdp.fraud_new_cycles over a table, in a graph that is there as a whole; its nodes are of type uuid.';

CREATE OR REPLACE FUNCTION cdp.fraud_new_cycles_text(edges regclass, from_account text, to_account text, longest integer DEFAULT 4, degree_cap integer DEFAULT 100,
  a name DEFAULT 'a', b name DEFAULT 'b', OUT length integer, OUT accounts text[]) RETURNS SETOF record
LANGUAGE c STABLE COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'cdp_fraud_new_cycles';
COMMENT ON FUNCTION cdp.fraud_new_cycles_text(regclass, text, text, integer, integer, name, name) IS
'As cdp.fraud_new_cycles over columns of type text or any other, in its text form (only text and varchar use an index).';

CREATE OR REPLACE FUNCTION cdp.fraud_new_cycles_text(graph cdp.fraud_graph, from_account text, to_account text, longest integer DEFAULT 4, degree_cap integer DEFAULT 100,
  OUT length integer, OUT accounts text[]) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10 AS 'MODULE_PATHNAME', 'cdp_fraud_new_cycles';
COMMENT ON FUNCTION cdp.fraud_new_cycles_text(cdp.fraud_graph, text, text, integer, integer) IS
'As cdp.fraud_new_cycles over a table, in a graph that is there as a whole; its nodes are of type text.';

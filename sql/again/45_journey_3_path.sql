-- Paths over any table: options, the pass, merging, and what opens a result.

CREATE OR REPLACE FUNCTION cdp.path_options(
  starts text[] DEFAULT NULL,
  ends text[] DEFAULT NULL,
  occurrence text DEFAULT NULL,
  labels text[] DEFAULT NULL,
  leave_out text[] DEFAULT NULL,
  collapse boolean DEFAULT NULL,
  gap interval DEFAULT NULL,
  within interval DEFAULT NULL,
  max_steps integer DEFAULT NULL,
  whole_paths boolean DEFAULT NULL,
  durations boolean DEFAULT NULL,
  since timestamptz DEFAULT NULL,
  until timestamptz DEFAULT NULL,
  as_of timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_options';
COMMENT ON FUNCTION cdp.path_options(text[], text[], text, text[], text[], boolean, interval, interval, integer, boolean, boolean, timestamptz, timestamptz, timestamptz) IS
'Options of paths, checked, in canonical form; any may be left out or NULL. A customer''s rows in order of time are one sequence; a row more than gap after the one before begins another. Neither starts nor ends: a path is the sequence from its first row. starts: it begins at a row with such a label. ends alone: it goes back from such a row. Both: it begins at a starting row and ends with the first ending row after it. occurrence: first (default; one path a sequence at most) or every (each start, or each end; between both the next path begins where the last one ended or later). labels, leave_out: those that the paths are made of (starts and ends always), and that are treated as if they were not there, before anything else. collapse => true: rows with the label of the row before are one step, at the time of the first. within: how far a path reaches from its start, or back from its end; between both, from start to end. Durations are exact, days are 24 hours, t <= within. max_steps: 2 to 100, default 10; a longer path keeps its first ones, or those before its end. whole_paths => false leaves whole paths out, durations => false times: less memory. since <= time of the first row (of the last when paths go back) < until; rows at or after as_of are ignored. Errors 22023 with the nearest name for what is unknown.';

CREATE OR REPLACE FUNCTION cdp_internal.path_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_add';
COMMENT ON FUNCTION cdp_internal.path_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Adds one row to the state of cdp.path_pass(key, at, label, options).';

CREATE OR REPLACE FUNCTION cdp_internal.path_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_add';
COMMENT ON FUNCTION cdp_internal.path_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) IS
'Adds one row to the state of cdp.path_pass(key, at, label, options, id).';

CREATE OR REPLACE FUNCTION cdp_internal.path_final(internal) RETURNS cdp.path_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_final';
COMMENT ON FUNCTION cdp_internal.path_final(internal) IS
'Cuts the rows of each customer of a path pass into paths and counts them.';

CREATE OR REPLACE AGGREGATE cdp.path_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb) (
  SFUNC = cdp_internal.path_add, STYPE = internal, FINALFUNC = cdp_internal.path_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.path_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Which ways customers take from label to label, by cdp.path_options(...). key: bigint, integer, text or uuid; label: text or integer. Each row is one step; rows of one time are in the order of their labels (C order, integers by number). Rows in any order, no index needed; the result does not depend on row order, workers or time zone. Rows without label are ignored, those without key or without a finite time left out and counted (cdp.path_summary). NULL over no rows. Memory up to cdp.journey_memory, then temporary files; distinct paths and their times must fit into half of it.';

CREATE OR REPLACE AGGREGATE cdp.path_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, id bigint) (
  SFUNC = cdp_internal.path_add, STYPE = internal, FINALFUNC = cdp_internal.path_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.path_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) IS
'As cdp.path_pass(key, at, label, options), with ids: rows of one time are in the order of their ids, those without one last, then of their labels.';

CREATE OR REPLACE FUNCTION cdp_internal.path_merge_add(internal, cdp.path_partial) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_merge_add';
COMMENT ON FUNCTION cdp_internal.path_merge_add(internal, cdp.path_partial) IS
'Adds one result to the state of cdp.path_merge; NULL adds nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.path_merge_final(internal) RETURNS cdp.path_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_merge_final';
COMMENT ON FUNCTION cdp_internal.path_merge_final(internal) IS
'The sum of all results of cdp.path_merge.';

CREATE OR REPLACE AGGREGATE cdp.path_merge(part cdp.path_partial) (
  SFUNC = cdp_internal.path_merge_add, STYPE = internal, FINALFUNC = cdp_internal.path_merge_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.path_merge(cdp.path_partial) IS
'Adds results of disjoint customers, of shards for instance: equals the pass over all of them. Errors 22023 when they were made with different options.';

CREATE OR REPLACE FUNCTION cdp.path_nodes(partial cdp.path_partial, top integer DEFAULT NULL)
RETURNS TABLE (node text, step integer, label text, paths bigint, customers bigint, share numeric, ended bigint, cut bigint)
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_nodes';
COMMENT ON FUNCTION cdp.path_nodes(cdp.path_partial, integer) IS
'The nodes of paths, by step and label: name for a Sankey diagram (''2 cart''), step (1, 2 ... from the start; paths that go back from an end: 0 is the end, -1 the step before), label, paths through it, distinct customers, share of all paths (six places), paths that have no further row there, and paths whose further rows are cut off by max_steps. top: labels of each step that are shown by themselves, those with the most paths (ties in the order of labels); the rest of a step is one node ''(other)'', whose customers are NULL unless each customer has one path. NULL partial gives no rows; error 22023 for a top below 1.';

CREATE OR REPLACE FUNCTION cdp.path_links(partial cdp.path_partial, top integer DEFAULT NULL)
RETURNS TABLE (step integer, from_node text, to_node text, from_label text, to_label text, paths bigint, customers bigint, share numeric, of_from numeric, median_time interval, mean_time interval, p90_time interval)
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_links';
COMMENT ON FUNCTION cdp.path_links(cdp.path_partial, integer) IS
'The links of paths, ready for a Sankey diagram (no cycles: a node is a step and a label): step that it leaves, names of both nodes as in cdp.path_nodes, their labels, paths, distinct customers, share of all paths and of those at the node it leaves (six places), exact median, mean and ninth decile of the time between both rows, rounded to microseconds. Words in place of a label: (end) or (begin): there is no further row; (more): there are, beyond max_steps; (other): labels that are not among the top ones. A label of such a name stands in double quotes. Times are NULL for those and with durations => false. The paths of the links that leave a node add up to its paths. top as in cdp.path_nodes.';

CREATE OR REPLACE FUNCTION cdp.path_top(partial cdp.path_partial, top integer DEFAULT 20)
RETURNS TABLE (rank integer, steps text[], cut boolean, paths bigint, customers bigint, share numeric, median_time interval, mean_time interval, p90_time interval)
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_top';
COMMENT ON FUNCTION cdp.path_top(cdp.path_partial, integer) IS
'The whole paths that were gone most often: rank (more paths first; ties: whole before cut, then in the order of their labels), labels in order, whether max_steps cut it off, paths, distinct customers, share of all paths (six places), and exact times from first to last row. top: how many, default 20, NULL = all; the rest is one row with rank and steps NULL, whose customers are NULL unless each customer has one path. NULL partial gives no rows; error 22023 when made with whole_paths => false or for a top below 1.';

CREATE OR REPLACE FUNCTION cdp.path_loops(partial cdp.path_partial)
RETURNS TABLE (label text, self_loops bigint, self_customers bigint, returns bigint, return_customers bigint, median_return interval, mean_return interval, p90_return interval)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_loops';
COMMENT ON FUNCTION cdp.path_loops(cdp.path_partial) IS
'The loops of paths, by label: how often a step repeats the label of the step before and how many customers do that (none with collapse => true), how often a path comes back to a label after others and how many customers do that, and exact times from the step that was left to the return. Loops in overlapping paths (occurrence => every) count in each. Labels without loops have no row. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.path_summary(partial cdp.path_partial)
RETURNS TABLE (rows bigint, without_key bigint, without_time bigint, after_as_of bigint, customers bigint, paths bigint, options jsonb)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_summary';
COMMENT ON FUNCTION cdp.path_summary(cdp.path_partial) IS
'What the pass read: all rows; those that it left out for want of a key or of a finite time, or as too late; customers that the result is about; paths; and its options. NULL gives no rows.';

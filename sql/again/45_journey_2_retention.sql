-- Retention over any table: options, the pass, merging, and what opens a result.

CREATE OR REPLACE FUNCTION cdp.retention_options(
  cohort_labels text[] DEFAULT NULL,
  return_labels text[] DEFAULT NULL,
  entry text DEFAULT NULL,
  kind text DEFAULT NULL,
  period text DEFAULT NULL,
  periods integer DEFAULT NULL,
  counted text DEFAULT NULL,
  entry_returns boolean DEFAULT NULL,
  time_zone text DEFAULT NULL,
  since timestamptz DEFAULT NULL,
  until timestamptz DEFAULT NULL,
  as_of timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_options';
COMMENT ON FUNCTION cdp.retention_options(text[], text[], text, text, text, integer, text, boolean, text, timestamptz, timestamptz, timestamptz) IS
'Options of a retention table, checked, in canonical form; any may be left out or NULL. cohort_labels: rows that make a customer enter, default every row, also one without label. return_labels: rows by which he comes back, default every row. entry: first (default; his first such row decides his one cohort) or each_period (the first one in each period; he is in as many cohorts). kind: exact (default; came back in period n), rolling (in n or later, up to the last period of the table), unbounded (in n or ever after) or cumulative (in n or before). period: hour, day, week (default, from Monday), month, quarter, year or an interval of only months, only days, or only hours and less; days and longer begin at midnight of time_zone (default UTC), so that a day of 23 or 25 hours is one day; several days count from Monday 2000-01-03, months from January. periods: the last n, default 12, up to 1000. counted: calendar (default; n is the number of period borders between entry and return) or entry (n is the number of whole periods since the customer''s own entry, by the clocks of the zone). Only rows later than the entry are returns; with entry_returns => true those of its very time are, too, the entering row among them. since <= entry < until; rows at or after as_of are ignored. Errors 22023 with the nearest name for what is unknown.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_add';
COMMENT ON FUNCTION cdp_internal.retention_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Adds one row to the state of cdp.retention_pass(key, at, label, options).';

CREATE OR REPLACE FUNCTION cdp_internal.retention_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, numeric) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_add';
COMMENT ON FUNCTION cdp_internal.retention_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, numeric) IS
'Adds one row to the state of cdp.retention_pass(key, at, label, options, value).';

CREATE OR REPLACE FUNCTION cdp_internal.retention_final(internal) RETURNS cdp.retention_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_final';
COMMENT ON FUNCTION cdp_internal.retention_final(internal) IS
'Puts the customers of a retention pass into cohorts and counts who came back.';

CREATE OR REPLACE AGGREGATE cdp.retention_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb) (
  SFUNC = cdp_internal.retention_add, STYPE = internal, FINALFUNC = cdp_internal.retention_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.retention_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Who comes back when, by cdp.retention_options(...). key: bigint, integer, text or uuid; label: text or integer. A customer enters the cohort of the period of his first row of cohort_labels among all rows of the pass; his rows of return_labels after that are put into periods 0, 1, 2 ... Rows of one time need no order. Rows in any order, no index needed; the result does not depend on row order, workers or the time zone of the session. Rows without key or without a finite time are left out and counted (cdp.retention_summary). NULL over no rows. Memory up to cdp.journey_memory, then temporary files.';

CREATE OR REPLACE AGGREGATE cdp.retention_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, value numeric) (
  SFUNC = cdp_internal.retention_add, STYPE = internal, FINALFUNC = cdp_internal.retention_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.retention_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, numeric) IS
'As cdp.retention_pass(key, at, label, options), with a value for each row, summed over the returns of each cell; NULL counts 0. Values are exact to six places; errors 22003 for 9.2e12 and more.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_merge_add(internal, cdp.retention_partial) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_merge_add';
COMMENT ON FUNCTION cdp_internal.retention_merge_add(internal, cdp.retention_partial) IS
'Adds one result to the state of cdp.retention_merge; NULL adds nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_merge_final(internal) RETURNS cdp.retention_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_merge_final';
COMMENT ON FUNCTION cdp_internal.retention_merge_final(internal) IS
'The sum of all results of cdp.retention_merge.';

CREATE OR REPLACE AGGREGATE cdp.retention_merge(part cdp.retention_partial) (
  SFUNC = cdp_internal.retention_merge_add, STYPE = internal, FINALFUNC = cdp_internal.retention_merge_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.retention_merge(cdp.retention_partial) IS
'Adds results of disjoint customers, of shards for instance: equals the pass over all of them. Errors 22023 when they were made with different options.';

CREATE OR REPLACE FUNCTION cdp.retention_table(partial cdp.retention_partial)
RETURNS TABLE (cohort timestamptz, size bigint, period integer, customers bigint, share numeric, value numeric, complete boolean)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_table';
COMMENT ON FUNCTION cdp.retention_table(cdp.retention_partial) IS
'A retention table in long form, by cohort and period: start of the cohort''s period (midnight of the zone of the options), customers in the cohort, n of the period, customers who came back as the kind says, their share of the cohort (six places), the value of the returns that the cell counts (0 when the pass was given none), and whether it is complete: no later row can change the cell, because all customers of the cohort have had the whole period (rolling: the last period) before as_of; an unbounded cell never is. Without as_of the time just after the newest row of the pass stands for it. Periods that had not begun by then have no row. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.retention_summary(partial cdp.retention_partial)
RETURNS TABLE (rows bigint, without_key bigint, without_time bigint, after_as_of bigint, customers bigint, entries bigint, options jsonb)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_retention_summary';
COMMENT ON FUNCTION cdp.retention_summary(cdp.retention_partial) IS
'What the pass read: all rows; those that it left out for want of a key or of a finite time, or as too late; customers that the result is about; entries into cohorts; and its options. NULL gives no rows.';

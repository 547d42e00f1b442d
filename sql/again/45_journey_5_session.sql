-- Sessions over any table: the number of each row's session, options, the pass, merging, and what opens a result.

CREATE OR REPLACE FUNCTION cdp.session_number(at timestamptz, gap interval DEFAULT '30 minutes', longest interval DEFAULT NULL, starts boolean DEFAULT NULL, campaign text DEFAULT NULL)
RETURNS bigint
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_number';
COMMENT ON FUNCTION cdp.session_number(timestamptz, interval, interval, boolean, text) IS
'Window function: which session of its customer a row belongs to, 1, 2 ..., as cdp.session_number(at) OVER (PARTITION BY customer ORDER BY at, id). A session ends before a row that lies more than gap after the row before (default 30 minutes, also for NULL; exactly gap is the same session), more than longest after the first row of the session (NULL: no limit), whose starts is true, or whose campaign is another than that of the last row of the session that had one; a row without campaign (NULL) changes nothing. Durations are exact, days are 24 hours. Rows of one time are taken in the order of the window. NULL, and in no session, for rows without a finite time. Errors 22023 when rows are not in order of time or a duration is not above zero.';

CREATE OR REPLACE FUNCTION cdp.session_options(
  gap interval DEFAULT NULL,
  longest interval DEFAULT NULL,
  starts text[] DEFAULT NULL,
  period text DEFAULT NULL,
  time_zone text DEFAULT NULL,
  durations boolean DEFAULT NULL,
  since timestamptz DEFAULT NULL,
  until timestamptz DEFAULT NULL,
  as_of timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_options';
COMMENT ON FUNCTION cdp.session_options(interval, interval, text[], text, text, boolean, timestamptz, timestamptz, timestamptz) IS
'Options of sessions, checked, in canonical form; any may be left out or NULL. gap (default 30 minutes): a row more than that after the one before begins a session. longest: so does one more than that after the first of its session; default no limit. starts: labels that always begin one. period: hour, day (default), week (from Monday), month, quarter, year or an interval of only months, only days, or only hours and less; days and longer begin at midnight of time_zone (default UTC). A session belongs to the period of its first row. durations => false leaves medians out: less memory. since <= first row of a session < until; rows at or after as_of are ignored. Errors 22023 with the nearest name for what is unknown.';

CREATE OR REPLACE FUNCTION cdp_internal.session_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_add';
COMMENT ON FUNCTION cdp_internal.session_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Adds one row to the state of cdp.session_pass(key, at, label, options).';

CREATE OR REPLACE FUNCTION cdp_internal.session_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_add';
COMMENT ON FUNCTION cdp_internal.session_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text) IS
'Adds one row to the state of cdp.session_pass(key, at, label, options, campaign).';

CREATE OR REPLACE FUNCTION cdp_internal.session_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_add';
COMMENT ON FUNCTION cdp_internal.session_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text, bigint) IS
'Adds one row to the state of cdp.session_pass(key, at, label, options, campaign, id).';

CREATE OR REPLACE FUNCTION cdp_internal.session_final(internal) RETURNS cdp.session_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_final';
COMMENT ON FUNCTION cdp_internal.session_final(internal) IS
'Divides the rows of each customer of a session pass into sessions and counts them.';

CREATE OR REPLACE AGGREGATE cdp.session_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb) (
  SFUNC = cdp_internal.session_add, STYPE = internal, FINALFUNC = cdp_internal.session_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.session_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Divides the rows of each customer into sessions by cdp.session_options(...), as cdp.session_number() does. key: bigint, integer, text or uuid; label: text or integer, may be NULL. Among rows of one time those with a starting label come first. Rows in any order, no index needed; the result does not depend on row order, workers or the time zone of the session. Rows without key or without a finite time are left out and counted (cdp.session_summary). NULL over no rows. Memory up to cdp.journey_memory, then temporary files; lengths must fit into half of it.';

CREATE OR REPLACE AGGREGATE cdp.session_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, campaign text) (
  SFUNC = cdp_internal.session_add, STYPE = internal, FINALFUNC = cdp_internal.session_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.session_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, text) IS
'As cdp.session_pass(key, at, label, options), where a row whose campaign is another than that of the last row of the session that had one begins a session, too; NULL changes nothing. Rows of one time: those with a starting label first, then in the order of their campaigns (C order), those without one last.';

CREATE OR REPLACE AGGREGATE cdp.session_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, campaign text, id bigint) (
  SFUNC = cdp_internal.session_add, STYPE = internal, FINALFUNC = cdp_internal.session_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.session_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, text, bigint) IS
'As cdp.session_pass(key, at, label, options, campaign), with ids: rows of one time are taken in the order of their ids, those without one last, and only then as described there.';

CREATE OR REPLACE FUNCTION cdp_internal.session_merge_add(internal, cdp.session_partial) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_merge_add';
COMMENT ON FUNCTION cdp_internal.session_merge_add(internal, cdp.session_partial) IS
'Adds one result to the state of cdp.session_merge; NULL adds nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.session_merge_final(internal) RETURNS cdp.session_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_merge_final';
COMMENT ON FUNCTION cdp_internal.session_merge_final(internal) IS
'The sum of all results of cdp.session_merge.';

CREATE OR REPLACE AGGREGATE cdp.session_merge(part cdp.session_partial) (
  SFUNC = cdp_internal.session_merge_add, STYPE = internal, FINALFUNC = cdp_internal.session_merge_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.session_merge(cdp.session_partial) IS
'Adds results of disjoint customers, of shards for instance: equals the pass over all of them. Errors 22023 when they were made with different options.';

CREATE OR REPLACE FUNCTION cdp.session_table(partial cdp.session_partial)
RETURNS TABLE (starts_at timestamptz, sessions bigint, customers bigint, rows bigint, bounces bigint, bounced bigint, bounce_rate numeric, median_length interval, mean_length interval, p90_length interval, median_rows numeric, mean_rows numeric, p90_rows numeric)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_table';
COMMENT ON FUNCTION cdp.session_table(cdp.session_partial) IS
'Sessions by the period in which they began, and as last row, with starts_at NULL, all together: sessions, distinct customers, rows, sessions of one row (bounces), distinct customers with such a one, their share of the sessions (six places), exact median, mean and ninth decile (interpolated as percentile_cont) of the time from first to last row, rounded to microseconds, and of the rows in a session, to six places; NULL with durations => false and over nothing. Periods without a session have no row. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.session_summary(partial cdp.session_partial)
RETURNS TABLE (rows bigint, without_key bigint, without_time bigint, after_as_of bigint, customers bigint, sessions bigint, options jsonb)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_session_summary';
COMMENT ON FUNCTION cdp.session_summary(cdp.session_partial) IS
'What the pass read: all rows; those that it left out for want of a key or of a finite time, or as too late; customers that the result is about; sessions; and its options. NULL gives no rows.';

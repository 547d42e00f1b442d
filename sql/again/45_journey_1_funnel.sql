-- Funnels over any table: options, the pass, merging, and what opens a result.

CREATE OR REPLACE FUNCTION cdp.funnel_options(
  steps text[],
  within interval DEFAULT NULL,
  step_within interval[] DEFAULT NULL,
  step_order text DEFAULT NULL,
  ties text DEFAULT NULL,
  exclude text[] DEFAULT NULL,
  exclude_between jsonb DEFAULT NULL,
  breakdown text DEFAULT NULL,
  durations boolean DEFAULT NULL,
  since timestamptz DEFAULT NULL,
  until timestamptz DEFAULT NULL,
  as_of timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_options';
COMMENT ON FUNCTION cdp.funnel_options(text[], interval, interval[], text, text, text[], jsonb, text, boolean, timestamptz, timestamptz, timestamptz) IS
'Options of a funnel, checked, in canonical form; all but steps may be left out or NULL. steps: 1 to 64 in order, each a label or several divided by | (''{visit,cart|wishlist,purchase}''; \| is a bar in a label); integer labels as digits. within: from the first step to any other, exact, days are 24 hours, 0 < t <= within; default unbounded. step_within: one limit for each step but the first, from the step before. step_order: ordered (default; other rows may come between), strict (no row of the pass may), unordered (any order; a step is then the n-th distinct one, and rows of one time may be different steps). ties: apart (default: rows of one time are never two steps in order) or by_id (they are, in the order of their ids, rows of one id never; needs a call with ids). exclude: labels that break a chain when they come strictly between two of its steps; exclude_between: only between these two, such as ''[1, 3]'', or two for each excluded label, such as ''[[1, 2], [2, 3]]''. breakdown: whether the row of the first step (default first) or of the last one reached (last) names it. durations => false leaves the times between steps out. since <= first step < until; rows at or after as_of are ignored. Errors 22023 with the nearest name for what is unknown.';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_add';
COMMENT ON FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Adds one row to the state of cdp.funnel_pass(key, at, label, options).';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_add';
COMMENT ON FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text) IS
'Adds one row to the state of cdp.funnel_pass(key, at, label, options, breakdown).';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_add';
COMMENT ON FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) IS
'Adds one row to the state of cdp.funnel_pass(key, at, label, options, id).';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_add';
COMMENT ON FUNCTION cdp_internal.funnel_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, text, bigint) IS
'Adds one row to the state of cdp.funnel_pass(key, at, label, options, breakdown, id).';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_final(internal) RETURNS cdp.funnel_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_final';
COMMENT ON FUNCTION cdp_internal.funnel_final(internal) IS
'Finds the furthest chain of each customer of a funnel pass and counts them.';

CREATE OR REPLACE AGGREGATE cdp.funnel_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb) (
  SFUNC = cdp_internal.funnel_add, STYPE = internal, FINALFUNC = cdp_internal.funnel_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.funnel_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'How far each customer goes through the steps of cdp.funnel_options(...). key: bigint, integer, text or uuid; label: text or integer. Of all chains of a customer the one that gets furthest counts; of those the one that gets there first; of those the one that begins last. Rows in any order, no index needed; the result does not depend on row order, workers or time zone. Rows without key or without a finite time are left out and counted (cdp.funnel_summary); rows without label count only as rows between two of a strict funnel. NULL over no rows. Memory up to cdp.journey_memory, then temporary files.';

CREATE OR REPLACE AGGREGATE cdp.funnel_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, breakdown text) (
  SFUNC = cdp_internal.funnel_add, STYPE = internal, FINALFUNC = cdp_internal.funnel_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.funnel_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, text) IS
'As cdp.funnel_pass(key, at, label, options), counted apart by the breakdown of the chain''s first (or last) row; NULL is "(none)". Breakdowns that nobody is in are left out.';

CREATE OR REPLACE AGGREGATE cdp.funnel_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, id bigint) (
  SFUNC = cdp_internal.funnel_add, STYPE = internal, FINALFUNC = cdp_internal.funnel_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.funnel_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) IS
'As cdp.funnel_pass(key, at, label, options), with the ids that order rows of one time when the option ties is by_id; rows without id come last. A whole number in this place is an id: cast it to text where it is to be a breakdown.';

CREATE OR REPLACE AGGREGATE cdp.funnel_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, breakdown text, id bigint) (
  SFUNC = cdp_internal.funnel_add, STYPE = internal, FINALFUNC = cdp_internal.funnel_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.funnel_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, text, bigint) IS
'As cdp.funnel_pass(key, at, label, options, breakdown), with the ids that order rows of one time when the option ties is by_id; rows without id come last.';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_merge_add(internal, cdp.funnel_partial) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_merge_add';
COMMENT ON FUNCTION cdp_internal.funnel_merge_add(internal, cdp.funnel_partial) IS
'Adds one result to the state of cdp.funnel_merge; NULL adds nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.funnel_merge_final(internal) RETURNS cdp.funnel_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_merge_final';
COMMENT ON FUNCTION cdp_internal.funnel_merge_final(internal) IS
'The sum of all results of cdp.funnel_merge.';

CREATE OR REPLACE AGGREGATE cdp.funnel_merge(part cdp.funnel_partial) (
  SFUNC = cdp_internal.funnel_merge_add, STYPE = internal, FINALFUNC = cdp_internal.funnel_merge_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.funnel_merge(cdp.funnel_partial) IS
'Adds results of disjoint customers, of shards for instance: equals the pass over all of them, durations included. Errors 22023 when they were made with different options.';

CREATE OR REPLACE FUNCTION cdp.funnel_steps(partial cdp.funnel_partial)
RETURNS TABLE (breakdown text, step integer, labels text, customers bigint, dropped bigint, of_previous numeric, of_first numeric,
  median_from_previous interval, mean_from_previous interval, p90_from_previous interval,
  median_from_first interval, mean_from_first interval, p90_from_first interval)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_steps';
COMMENT ON FUNCTION cdp.funnel_steps(cdp.funnel_partial) IS
'The steps of a funnel, by breakdown (NULL when there is none) and step: customers who came at least this far, how many of them went no further, their share of the step before and of the first (rounded to six places, NULL over nobody), and exact median, mean and ninth decile (interpolated as percentile_cont) of the time from the step before and from the first, in days of 24 hours, rounded to microseconds; NULL for the first step, for nobody, and with durations => false. In an unordered funnel step n is the n-th distinct one and labels is NULL. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.funnel_summary(partial cdp.funnel_partial)
RETURNS TABLE (rows bigint, without_key bigint, without_time bigint, after_as_of bigint, customers bigint, options jsonb)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_funnel_summary';
COMMENT ON FUNCTION cdp.funnel_summary(cdp.funnel_partial) IS
'What a funnel pass read: all rows; those of steps or excluded labels that it left out for want of a key or of a finite time, or as too late; customers with a row of any step; and its options. NULL gives no rows.';

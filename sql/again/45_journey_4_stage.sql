-- Stages over any table: options, the pass, merging, and what opens a result.

CREATE OR REPLACE FUNCTION cdp.stage_options(
  stages jsonb,
  skip boolean DEFAULT NULL,
  back boolean DEFAULT NULL,
  exits text[] DEFAULT NULL,
  idle interval DEFAULT NULL,
  customers boolean DEFAULT NULL,
  durations boolean DEFAULT NULL,
  since timestamptz DEFAULT NULL,
  until timestamptz DEFAULT NULL,
  as_of timestamptz DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_options';
COMMENT ON FUNCTION cdp.stage_options(jsonb, boolean, boolean, text[], interval, boolean, boolean, timestamptz, timestamptz, timestamptz) IS
'Options of stages, checked, in canonical form; all but stages may be left out or NULL. stages: 1 to 64 in order, each {"name", "enter": labels, "engage": labels (optional), "count": rows of enter that it takes since the journey began, default 1}; a label may be in several stages. A row with an entering label takes the customer to the next later stage whose count is reached; skip => false: only to the one right after his own (from outside, the first). If there is none and the label enters the stage he is in, he stays; else with back => true he goes back to the nearest earlier stage that it enters (default: he stays). A row that moves nobody and has an engaging label of the stage he is in is an engagement. exits: labels that end the journey; what was counted is forgotten, and a later entering row begins a new journey. idle: who stands in a stage at as_of without a row of any stage for longer than that has dropped off (t > idle; needs as_of). customers => true keeps where each customer stands. durations => false leaves times out. since <= beginning of the journey < until; rows at or after as_of are ignored. Errors 22023 with the nearest name for what is unknown.';

CREATE OR REPLACE FUNCTION cdp_internal.stage_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_add';
COMMENT ON FUNCTION cdp_internal.stage_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Adds one row to the state of cdp.stage_pass(key, at, label, options).';

CREATE OR REPLACE FUNCTION cdp_internal.stage_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_add';
COMMENT ON FUNCTION cdp_internal.stage_add(internal, anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) IS
'Adds one row to the state of cdp.stage_pass(key, at, label, options, id).';

CREATE OR REPLACE FUNCTION cdp_internal.stage_final(internal) RETURNS cdp.stage_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_final';
COMMENT ON FUNCTION cdp_internal.stage_final(internal) IS
'Walks each customer of a stage pass through the stages and counts stays and flows.';

CREATE OR REPLACE AGGREGATE cdp.stage_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb) (
  SFUNC = cdp_internal.stage_add, STYPE = internal, FINALFUNC = cdp_internal.stage_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.stage_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb) IS
'Walks each customer through the stages of cdp.stage_options(...). key: bigint, integer, text or uuid; label: text or integer. Rows of one time are taken in this order: those that enter a stage by the lowest stage that they enter, then engagements, then exits, each by label. Rows in any order, no index needed; the result does not depend on row order, workers or time zone. Rows without label, or with one that the options do not name, are ignored; of the others those without key or without a finite time are left out and counted (cdp.stage_summary). NULL over no rows. Memory up to cdp.journey_memory, then temporary files; times and, when asked for, customers must fit into half of it.';

CREATE OR REPLACE AGGREGATE cdp.stage_pass(key anynonarray, at timestamptz, label anycompatiblenonarray, options jsonb, id bigint) (
  SFUNC = cdp_internal.stage_add, STYPE = internal, FINALFUNC = cdp_internal.stage_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.stage_pass(anynonarray, timestamptz, anycompatiblenonarray, jsonb, bigint) IS
'As cdp.stage_pass(key, at, label, options), with ids: rows of one time are taken in the order of their ids, those without one last, and only then by what they do.';

CREATE OR REPLACE FUNCTION cdp_internal.stage_merge_add(internal, cdp.stage_partial) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_merge_add';
COMMENT ON FUNCTION cdp_internal.stage_merge_add(internal, cdp.stage_partial) IS
'Adds one result to the state of cdp.stage_merge; NULL adds nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.stage_merge_final(internal) RETURNS cdp.stage_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_merge_final';
COMMENT ON FUNCTION cdp_internal.stage_merge_final(internal) IS
'The sum of all results of cdp.stage_merge.';

CREATE OR REPLACE AGGREGATE cdp.stage_merge(part cdp.stage_partial) (
  SFUNC = cdp_internal.stage_merge_add, STYPE = internal, FINALFUNC = cdp_internal.stage_merge_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.stage_merge(cdp.stage_partial) IS
'Adds results of disjoint customers, of shards for instance: equals the pass over all of them. Errors 22023 when they were made with different options.';

CREATE OR REPLACE FUNCTION cdp.stage_table(partial cdp.stage_partial)
RETURNS TABLE (stage integer, name text, customers bigint, engaged bigint, converted bigint, engagement numeric, conversion numeric, engagements bigint, stays bigint, went_on bigint, went_back bigint, exited bigint, dropped bigint, staying bigint, median_time interval, mean_time interval, p90_time interval)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_table';
COMMENT ON FUNCTION cdp.stage_table(cdp.stage_partial) IS
'The stages in order: distinct customers who entered, who engaged within it, and who went on from it to a later one; engagement and conversion as shares of those who entered (six places, NULL over nobody); engagements; stays (times that it was entered), and how each of them ended: went on to a later stage, went back to an earlier one, exited, dropped off (idle at as_of) or still staying there; these five add up to the stays. Exact median, mean and ninth decile of the time of stays that ended with a move or an exit, in days of 24 hours, rounded to microseconds; NULL over none and with durations => false. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.stage_flows(partial cdp.stage_partial)
RETURNS TABLE (from_stage integer, from_name text, to_stage integer, to_name text, back boolean, stays bigint, customers bigint, share numeric, median_time interval, mean_time interval, p90_time interval)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_flows';
COMMENT ON FUNCTION cdp.stage_flows(cdp.stage_partial) IS
'The flows of a stage pass, ready for a Sankey diagram (without those with back, which would close cycles): from a stage, or NULL and ''(outside)'', to a stage, or NULL and ''(exit)'', ''(dropped)'' or ''(staying)''; stays that ended so, distinct customers, share of all stays in the stage that was left (six places, NULL from outside), and exact times that those stays took. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.stage_state(partial cdp.stage_partial)
RETURNS TABLE (customer text, stage integer, name text, status text, since timestamptz, last_at timestamptz, engagements bigint)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_state';
COMMENT ON FUNCTION cdp.stage_state(cdp.stage_partial) IS
'Where each customer stands at the end of his last journey that was asked for, by customer: stage, status active, dropped (idle at as_of) or exited (from that stage), since when he is in that stage (of the exited: when he left), time of his last row with a label of a stage (of the exited: of the exit), and engagements in that stage. Personal data of whoever''s rows the pass read. Error 22023 when not made with customers => true. NULL gives no rows.';

CREATE OR REPLACE FUNCTION cdp.stage_summary(partial cdp.stage_partial)
RETURNS TABLE (rows bigint, without_key bigint, without_time bigint, after_as_of bigint, customers bigint, stays bigint, options jsonb)
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_stage_summary';
COMMENT ON FUNCTION cdp.stage_summary(cdp.stage_partial) IS
'What the pass read: all rows; those that it left out for want of a key or of a finite time, or as too late; customers that the result is about; stays; and its options. NULL gives no rows.';

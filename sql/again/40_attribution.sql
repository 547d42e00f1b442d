-- Attribution over any table: options, passes, merging, and what opens a result.

CREATE OR REPLACE FUNCTION cdp.attribution_options(
  models text[] DEFAULT NULL,
  lookback interval DEFAULT NULL,
  lookback_by_kind jsonb DEFAULT NULL,
  max_touches integer DEFAULT NULL,
  since timestamptz DEFAULT NULL,
  until timestamptz DEFAULT NULL,
  as_of timestamptz DEFAULT NULL,
  journey text DEFAULT NULL,
  exclude text[] DEFAULT NULL,
  include text[] DEFAULT NULL,
  collapse boolean DEFAULT NULL,
  conversion_is_touch text DEFAULT NULL,
  fallback text DEFAULT NULL,
  two_touch text DEFAULT NULL,
  milestones text[] DEFAULT NULL,
  null_paths boolean DEFAULT NULL,
  paths boolean DEFAULT NULL,
  credits boolean DEFAULT NULL,
  grouped_by text DEFAULT NULL,
  time_zone text DEFAULT NULL,
  dialect text DEFAULT NULL,
  lookback_unbounded boolean DEFAULT NULL
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_attribution_options';
COMMENT ON FUNCTION cdp.attribution_options(text[], interval, jsonb, integer, timestamptz, timestamptz, timestamptz, text, text[], text[], boolean, text, text, text, text[], boolean, boolean, boolean, text, text, text, boolean) IS
'Options of an attribution pass, checked, in canonical form. All may be left out or NULL. models: first, last, first_non(X,...), last_non(X,...), linear, linear_unique, position(f,l), u_shaped, j_shaped, inverse_j, w_shaped, full_path, time_decay(7 days), time_decay(7 days, step), exponential(0.5), ramp, custom(w1,w2,...), same_touch, participation, markov(k), shapley, shapley_ordered, shapley_rate, one_removed; commas inside parentheses need no quotes: ''{last,position(0.3,0.5)}''; default last, linear, u_shaped, markov, shapley. lookback: exact duration, days are 24 hours, default 30 days; lookback_unbounded => true for none; lookback_by_kind such as {"view": "1 day"}; it and milestones need the call with kinds. max_touches: at most the last so many. since <= conversion < until are reported; rows at or after as_of are ignored. journey: shared (default: a touch may earn from several conversions) or reset. exclude, include: labels. collapse: runs of one label count once. conversion_is_touch: no (default), later, also. fallback (of first_non, last_non when all touches are passed over): plain (default) or none. two_touch (of position models): adobe (default) or split. milestones: kinds of w_shaped and full_path. null_paths => false leaves journeys without conversion out. paths, credits: keep distinct paths, single journeys. dialect: adobe, mam, channelattribution, ga, posthog, snowplow set defaults of the others. Details: same_touch credits the label of the conversion''s own row, else the touches of its session in equal parts, else nobody; a milestone is a row of that kind without label and value, the latest within the lookback counts, and shares of missing anchors go to the others in proportion; custom weights that are all 0 for a journey become equal ones; time_decay alone is 7 days (posthog: a quarter of the lookback; mam: in whole steps); equal times without ids are ordered touch, milestone, conversion, refund, then by label and value. mam: unbounded lookback, reset, split. channelattribution: unbounded lookback, reset. ga: 90 days, reset. Raw jsonb may also hold label_names, a list of names for integer labels 1, 2, ... Errors 22023 with the nearest name for what is unknown.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, text, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_bigint_text_numeric';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, text, numeric, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(bigint, timestamptz, text, numeric, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, text, float8, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_bigint_text_float';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, text, float8, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(bigint, timestamptz, text, float8, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_bigint_text_wide';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) IS
'Adds one row to the state of cdp.attribution_pass(bigint, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, integer, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_bigint_int_numeric';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, integer, numeric, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(bigint, timestamptz, integer, numeric, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, integer, float8, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_bigint_int_float';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, integer, float8, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(bigint, timestamptz, integer, float8, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_bigint_int_wide';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, bigint, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) IS
'Adds one row to the state of cdp.attribution_pass(bigint, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, text, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_text_text_numeric';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, text, numeric, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(text, timestamptz, text, numeric, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, text, float8, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_text_text_float';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, text, float8, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(text, timestamptz, text, float8, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_text_text_wide';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) IS
'Adds one row to the state of cdp.attribution_pass(text, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, integer, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_text_int_numeric';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, integer, numeric, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(text, timestamptz, integer, numeric, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, integer, float8, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_text_int_float';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, integer, float8, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(text, timestamptz, integer, float8, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_text_int_wide';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, text, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) IS
'Adds one row to the state of cdp.attribution_pass(text, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, text, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_uuid_text_numeric';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, text, numeric, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(uuid, timestamptz, text, numeric, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, text, float8, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_uuid_text_float';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, text, float8, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(uuid, timestamptz, text, float8, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_uuid_text_wide';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) IS
'Adds one row to the state of cdp.attribution_pass(uuid, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, integer, numeric, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_uuid_int_numeric';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, integer, numeric, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(uuid, timestamptz, integer, numeric, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, integer, float8, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_uuid_int_float';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, integer, float8, jsonb) IS
'Adds one row to the state of cdp.attribution_pass(uuid, timestamptz, integer, float8, jsonb).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_uuid_int_wide';
COMMENT ON FUNCTION cdp_internal.attribution_pass_add(internal, uuid, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) IS
'Adds one row to the state of cdp.attribution_pass(uuid, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_pass_finish(internal) RETURNS cdp.attribution_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_pass_final';
COMMENT ON FUNCTION cdp_internal.attribution_pass_finish(internal) IS
'Final function of cdp.attribution_pass: sorts each customer''s rows, cuts the journeys and adds them up.';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key bigint, at timestamptz, label text, value numeric, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(bigint, timestamptz, text, numeric, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key bigint, at timestamptz, label text, value float8, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(bigint, timestamptz, text, float8, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key bigint, at timestamptz, label text, value numeric, options jsonb, id bigint, kind text, session bigint, refers_to bigint) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(bigint, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. id: of the row, orders rows of equal time and is what refers_to names. kind: of the row, for lookback_by_kind and milestones. session: for same_touch. refers_to: makes the row a refund of the conversion with that id (error 21000 when conversions of several customers have it). options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key bigint, at timestamptz, label integer, value numeric, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(bigint, timestamptz, integer, numeric, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key bigint, at timestamptz, label integer, value float8, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(bigint, timestamptz, integer, float8, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key bigint, at timestamptz, label integer, value numeric, options jsonb, id bigint, kind integer, session bigint, refers_to bigint) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(bigint, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. id: of the row, orders rows of equal time and is what refers_to names. kind: of the row, for lookback_by_kind and milestones. session: for same_touch. refers_to: makes the row a refund of the conversion with that id (error 21000 when conversions of several customers have it). options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key text, at timestamptz, label text, value numeric, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(text, timestamptz, text, numeric, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key text, at timestamptz, label text, value float8, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(text, timestamptz, text, float8, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key text, at timestamptz, label text, value numeric, options jsonb, id bigint, kind text, session bigint, refers_to bigint) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(text, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. id: of the row, orders rows of equal time and is what refers_to names. kind: of the row, for lookback_by_kind and milestones. session: for same_touch. refers_to: makes the row a refund of the conversion with that id (error 21000 when conversions of several customers have it). options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key text, at timestamptz, label integer, value numeric, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(text, timestamptz, integer, numeric, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key text, at timestamptz, label integer, value float8, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(text, timestamptz, integer, float8, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key text, at timestamptz, label integer, value numeric, options jsonb, id bigint, kind integer, session bigint, refers_to bigint) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(text, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. id: of the row, orders rows of equal time and is what refers_to names. kind: of the row, for lookback_by_kind and milestones. session: for same_touch. refers_to: makes the row a refund of the conversion with that id (error 21000 when conversions of several customers have it). options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key uuid, at timestamptz, label text, value numeric, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(uuid, timestamptz, text, numeric, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key uuid, at timestamptz, label text, value float8, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(uuid, timestamptz, text, float8, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key uuid, at timestamptz, label text, value numeric, options jsonb, id bigint, kind text, session bigint, refers_to bigint) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(uuid, timestamptz, text, numeric, jsonb, bigint, text, bigint, bigint) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. id: of the row, orders rows of equal time and is what refers_to names. kind: of the row, for lookback_by_kind and milestones. session: for same_touch. refers_to: makes the row a refund of the conversion with that id (error 21000 when conversions of several customers have it). options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key uuid, at timestamptz, label integer, value numeric, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(uuid, timestamptz, integer, numeric, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key uuid, at timestamptz, label integer, value float8, options jsonb) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(uuid, timestamptz, integer, float8, jsonb) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE AGGREGATE cdp.attribution_pass(key uuid, at timestamptz, label integer, value numeric, options jsonb, id bigint, kind integer, session bigint, refers_to bigint) (
  SFUNC = cdp_internal.attribution_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.attribution_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_pass(uuid, timestamptz, integer, numeric, jsonb, bigint, integer, bigint, bigint) IS
'One pass over touches and conversions, in any order of rows: makes a cdp.attribution_partial, NULL when there are no rows. key: the customer. at: time of the row. label: what earns credit, such as the channel; not ''(unattributed)''. value: NULL for a touch, 0 or more for a conversion, below 0 for a refund of the customer''s latest conversion. id: of the row, orders rows of equal time and is what refers_to names. kind: of the row, for lookback_by_kind and milestones. session: for same_touch. refers_to: makes the row a refund of the conversion with that id (error 21000 when conversions of several customers have it). options: from cdp.attribution_options(), the same for all rows, NULL for defaults. Touches without key, label or finite time are left out and counted, with a WARNING; a conversion without key goes to (unattributed). Errors: 22023 for options that differ between rows, 22P02 for NaN and infinite values, 22003 for values of 9.2e12 and more, 54000 when memory does not suffice (cdp.attribution_memory).';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_path_add(internal, text[], bigint, numeric, bigint, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_path_trans';
COMMENT ON FUNCTION cdp_internal.attribution_path_add(internal, text[], bigint, numeric, bigint, jsonb) IS
'Adds one aggregated path to the state of cdp.attribution_path_pass.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_replay_add(internal, bytea, integer, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_replay_trans';
COMMENT ON FUNCTION cdp_internal.attribution_replay_add(internal, bytea, integer, jsonb) IS
'Adds or subtracts one encoded journey; part of cdp.attribution_replay.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_replay_finish(internal) RETURNS cdp.attribution_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_replay_final';
COMMENT ON FUNCTION cdp_internal.attribution_replay_finish(internal) IS
'Final function of cdp.attribution_replay and cdp.attribution_path_pass.';

CREATE OR REPLACE AGGREGATE cdp.attribution_path_pass(path text[], conversions bigint, value numeric, nulls bigint, options jsonb) (
  SFUNC = cdp_internal.attribution_path_add,
  STYPE = internal,
  FINALFUNC = cdp_internal.attribution_replay_finish,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_path_pass(text[], bigint, numeric, bigint, jsonb) IS
'The same as cdp.attribution_pass over paths that are aggregated already: path is the labels, oldest first; conversions and nulls count the journeys that did and did not convert; value is the value of all conversions together. NULL counts are 0; an empty or NULL path has no touch, its conversions go to (unattributed). Models that need times (time_decay, same_touch, w_shaped, full_path) and credits are refused with 22023, negative counts too.';

CREATE OR REPLACE AGGREGATE cdp.attribution_replay(journey bytea, sign integer, options jsonb) (
  SFUNC = cdp_internal.attribution_replay_add,
  STYPE = internal,
  FINALFUNC = cdp_internal.attribution_replay_finish,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_replay(bytea, integer, jsonb) IS
'Adds (sign 1) or takes back (sign -1) journeys that cdp.attribution_journeys gave, under options that must cut journeys alike; models may differ. Counts of rows, touches and customers stay 0. A NULL journey adds nothing. Errors 22P03 when bytes are not a journey, 22023 for another sign.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_merge_add(internal, cdp.attribution_partial) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_merge_trans';
COMMENT ON FUNCTION cdp_internal.attribution_merge_add(internal, cdp.attribution_partial) IS
'Adds one result to the state of cdp.attribution_merge.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_merge_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_merge_combine';
COMMENT ON FUNCTION cdp_internal.attribution_merge_combine(internal, internal) IS
'Adds two states of cdp.attribution_merge, as parallel workers make them.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_merge_serial(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_merge_serial';
COMMENT ON FUNCTION cdp_internal.attribution_merge_serial(internal) IS
'The state of cdp.attribution_merge as bytes.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_merge_deserial(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_merge_deserial';
COMMENT ON FUNCTION cdp_internal.attribution_merge_deserial(bytea, internal) IS
'The state of cdp.attribution_merge from bytes.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_merge_finish(internal) RETURNS cdp.attribution_partial
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_merge_final';
COMMENT ON FUNCTION cdp_internal.attribution_merge_finish(internal) IS
'Final function of cdp.attribution_merge.';

CREATE OR REPLACE AGGREGATE cdp.attribution_merge(cdp.attribution_partial) (
  SFUNC = cdp_internal.attribution_merge_add,
  STYPE = internal,
  FINALFUNC = cdp_internal.attribution_merge_finish,
  COMBINEFUNC = cdp_internal.attribution_merge_combine,
  SERIALFUNC = cdp_internal.attribution_merge_serial,
  DESERIALFUNC = cdp_internal.attribution_merge_deserial,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp.attribution_merge(cdp.attribution_partial) IS
'Adds results of parts whose customers (shards) or journeys (days) do not overlap; the order does not matter, NULLs add nothing. Labels unite. Parts with other options than since, until and as_of are refused with 22023, which names the option.';

CREATE OR REPLACE FUNCTION cdp.attribution_totals(partial cdp.attribution_partial)
RETURNS TABLE (
  label text,
  model text,
  conversions numeric,
  value numeric
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'cdp_attribution_totals';
COMMENT ON FUNCTION cdp.attribution_totals(cdp.attribution_partial) IS
'Credit of each label under each model, models as they were named, labels in order, (unattributed) last, also labels that earned nothing. conversions and value (in the currency of the input, net of refunds) add up exactly to those of the summary in every model but participation, which credits each label of a journey in full. No rows for NULL. Data-driven models are solved here.';

CREATE OR REPLACE FUNCTION cdp.attribution_summary(partial cdp.attribution_partial)
RETURNS TABLE (
  rows bigint,
  touches bigint,
  conversions bigint,
  conversions_without_touch bigint,
  refunds bigint,
  orphan_refunds bigint,
  customers bigint,
  converting_customers bigint,
  null_journeys bigint,
  no_key bigint,
  untimed bigint,
  unlabelled bigint,
  after_as_of bigint,
  excluded_touches bigint,
  value numeric,
  attributable_value numeric,
  options jsonb
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'cdp_attribution_summary';
COMMENT ON FUNCTION cdp.attribution_summary(cdp.attribution_partial) IS
'One row of counts. rows, touches: of the input. customers: with rows that count, NULL when no model looks at customers without conversions. conversions, refunds, value (net of refunds), converting_customers: reported ones, by since and until. orphan_refunds found no conversion. null_journeys: journeys without conversion, NULL when no model counts them. no_key, untimed, unlabelled: rows left out. after_as_of: rows ignored. excluded_touches: by exclude and include. No row for NULL.';

CREATE OR REPLACE FUNCTION cdp.attribution_lengths(partial cdp.attribution_partial)
RETURNS TABLE (
  touches integer,
  conversions bigint,
  value numeric
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'cdp_attribution_lengths';
COMMENT ON FUNCTION cdp.attribution_lengths(cdp.attribution_partial) IS
'Reported conversions and their net value by the number of touches in the journey; conversions without a touch are not among them. No rows for NULL.';

CREATE OR REPLACE FUNCTION cdp.attribution_lags(partial cdp.attribution_partial)
RETURNS TABLE (
  days integer,
  conversions bigint,
  value numeric
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'cdp_attribution_lags';
COMMENT ON FUNCTION cdp.attribution_lags(cdp.attribution_partial) IS
'Reported conversions and their net value by whole days (24 hours) from the first touch of the journey to the conversion. Empty for aggregated paths. No rows for NULL.';

CREATE OR REPLACE FUNCTION cdp.attribution_assists(partial cdp.attribution_partial)
RETURNS TABLE (
  label text,
  assisted_conversions bigint,
  assisted_value numeric,
  last_conversions bigint,
  last_value numeric,
  only_conversions bigint
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'cdp_attribution_assists';
COMMENT ON FUNCTION cdp.attribution_assists(cdp.attribution_partial) IS
'What each label did in converting journeys, whatever the model: assisted counts conversions with the label before the last touch, last those with the label as last touch (one conversion may count in both), only those with no other label. Values are net of refunds. No rows for NULL.';

CREATE OR REPLACE FUNCTION cdp.attribution_credit(partial cdp.attribution_partial)
RETURNS TABLE (
  customer text,
  conversion_id bigint,
  conversion_at timestamptz,
  touch_id bigint,
  touch_at timestamptz,
  label text,
  model text,
  weight numeric,
  conversions numeric,
  value numeric
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1000
AS 'MODULE_PATHNAME', 'cdp_attribution_credit';
COMMENT ON FUNCTION cdp.attribution_credit(cdp.attribution_partial) IS
'Credit of each touch that earned some, under each rule model; needs a result made with credits => true, else error 22023. A conversion without touch has one row with label (unattributed) and no touch. weight adds up to 1 for each conversion and model (participation: 1 for each label), value to its net value. Ids are NULL when the pass had none. The answer is kept in a temporary file when long.';

CREATE OR REPLACE FUNCTION cdp.attribution_journeys(partial cdp.attribution_partial)
RETURNS TABLE (
  customer text,
  ended_at timestamptz,
  converted boolean,
  value numeric,
  touches integer,
  journey bytea
)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1000
AS 'MODULE_PATHNAME', 'cdp_attribution_journeys';
COMMENT ON FUNCTION cdp.attribution_journeys(cdp.attribution_partial) IS
'The journeys of a result made with credits => true, else error 22023: when each ended (conversion, or last touch), whether it converted, net value, number of touches, and the journey as bytes for cdp.attribution_replay. Journeys without conversion are among them unless null_paths => false; so are refunds that found no conversion, with no touch and a value below 0.';

-- The event pass: events in any order in, for each event atom of a plan the customers of whom it is true out.
CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_add(internal, bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_pass_add';
COMMENT ON FUNCTION cdp_internal.segment_pass_add(internal, bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) IS
'Adds one row to the state of cdp_internal.segment_pass.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_finish(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_pass_final';
COMMENT ON FUNCTION cdp_internal.segment_pass_finish(internal) IS
'Final function of cdp_internal.segment_pass: walks the rows of each customer in order of time and answers the atoms.';

CREATE OR REPLACE AGGREGATE cdp_internal.segment_pass(customer bigint, at timestamptz, kind integer, origin integer, campaign integer, source integer, value numeric, properties jsonb, id bigint, plan jsonb, horizon timestamptz) (
  SFUNC = cdp_internal.segment_pass_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.segment_pass_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp_internal.segment_pass(bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) IS
'One pass over events, in any order of rows, for all event atoms of a plan of cdp_internal.rule_plan(): the customers of whom each is true or unknown, and who may change when. NULL when there are no rows: take cdp_internal.segment_pass_nothing(plan) then. customer: 0 to 4294967295. kind, origin, campaign, source: numbers as in the plan. value: money of the event in reporting currency. properties: an object; all else counts as empty. id: of the event, orders events of equal time where a rule asks for it. horizon: coming changes up to this moment are told, NULL for none. Rows without customer, time or kind, rows that no atom reads and rows at or after as_of count for nothing; the latter are read for changes. NaN and infinite values are missing ones. Opened by cdp_internal.segment_pass_events(), segment_pass_flips() and segment_combine(). Errors: 22023 for what is no plan and for a plan or horizon that differs between rows, 22004 without a plan, 22003 for other customers, 54000 when memory does not suffice (cdp.segment_memory).';

CREATE OR REPLACE FUNCTION cdp_internal.segment_pass_nothing(plan jsonb) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_pass_nothing';
COMMENT ON FUNCTION cdp_internal.segment_pass_nothing(jsonb) IS
'What cdp_internal.segment_pass gives over no rows at all: nobody was met, and each atom tells what it says of customers without events. Error 22023 for what is no plan.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_explain_add(internal, bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_explain_add';
COMMENT ON FUNCTION cdp_internal.segment_explain_add(internal, bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) IS
'Adds one row to the state of cdp_internal.segment_explain_pass.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_explain_finish(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_explain_final';
COMMENT ON FUNCTION cdp_internal.segment_explain_finish(internal) IS
'Final function of cdp_internal.segment_explain_pass.';

CREATE OR REPLACE AGGREGATE cdp_internal.segment_explain_pass(customer bigint, at timestamptz, kind integer, origin integer, campaign integer, source integer, value numeric, properties jsonb, id bigint, plan jsonb, horizon timestamptz) (
  SFUNC = cdp_internal.segment_explain_add,
  STYPE = internal,
  SSPACE = 10000,
  FINALFUNC = cdp_internal.segment_explain_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp_internal.segment_explain_pass(bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) IS
'Explains the event atoms of a plan for one customer, whose events are the rows; arguments as of cdp_internal.segment_pass. A list with an object for each atom: atom (number from 0), result (true, false, null = unknown), observed (number of events, days, periods or distinct values in the window; sum, average, least or greatest number; first or last value; moment of the event after the gap; moment of the first step of the chain; null when there is none), evidence (ids of at most 20 events it stands on, newest first; of a sequence the chain with the latest start), flips_at (when the answer may change without new data, up to the horizon, in UTC; null when it does not or no horizon is given). NULL without rows. Errors: as of segment_pass, and 22023 for rows of several customers.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_values_finish(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_segment_values_final';
COMMENT ON FUNCTION cdp_internal.segment_values_finish(internal) IS
'Final function of cdp_internal.segment_values_pass.';

CREATE OR REPLACE AGGREGATE cdp_internal.segment_values_pass(customer bigint, at timestamptz, kind integer, origin integer, campaign integer, source integer, value numeric, properties jsonb, id bigint, plan jsonb, horizon timestamptz) (
  SFUNC = cdp_internal.segment_explain_add,
  STYPE = internal,
  SSPACE = 1000000,
  FINALFUNC = cdp_internal.segment_values_finish,
  FINALFUNC_MODIFY = READ_WRITE,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE cdp_internal.segment_values_pass(bigint, timestamptz, integer, integer, integer, integer, numeric, jsonb, bigint, jsonb, timestamptz) IS
'What computed traits are for each customer with an event of theirs, in one pass; arguments as of cdp_internal.segment_pass, with a plan of cdp_internal.trait_plan(). Opened by cdp_internal.segment_values(). NULL without rows. Errors: as of segment_pass, 22023 traits that the plan can not tell, 54000 more values than cdp.segment_memory or 1 GB holds.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_values(result bytea) RETURNS TABLE (customer_id bigint, trait integer, number double precision, word text)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 100000
AS 'MODULE_PATHNAME', 'cdp_segment_values';
COMMENT ON FUNCTION cdp_internal.segment_values(bytea) IS
'A row for each value that a pass found: customer, trait (its place in "traits" of the plan, from 0), and number or word, the other NULL. By customer in no order. No row for NULL. Error 22P03: bytes that are no result of cdp_internal.segment_values_pass().';

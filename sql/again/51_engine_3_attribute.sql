-- Segment room: the pass over profiles.

CREATE OR REPLACE FUNCTION cdp_internal.segment_attribute_add(internal, bigint, record, jsonb, timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_segment_attribute_add';
COMMENT ON FUNCTION cdp_internal.segment_attribute_add(internal, bigint, record, jsonb, timestamptz) IS 'Transition function of segment_attribute_pass.';
CREATE OR REPLACE FUNCTION cdp_internal.segment_attribute_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_segment_attribute_final';
COMMENT ON FUNCTION cdp_internal.segment_attribute_final(internal) IS 'Final function of segment_attribute_pass.';
CREATE OR REPLACE AGGREGATE cdp_internal.segment_attribute_pass(customer bigint, profile record, plan jsonb, horizon timestamptz) (
  SFUNC = cdp_internal.segment_attribute_add, STYPE = internal, SSPACE = 1048576,
  FINALFUNC = cdp_internal.segment_attribute_final, FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.segment_attribute_pass(bigint, record, jsonb, timestamptz) IS
'Asks the attribute atoms of a plan (cdp_internal.rule_plan()) of every row: SELECT segment_attribute_pass(p.customer_id, p, plan, horizon) FROM profile p. The rows are of any one type that has the columns the plan names; columns: text, numbers, boolean, date, timestamptz, text[], or jsonb for any type, where JSON is read without coercion (days and moments as ISO text, moments without a zone as UTC). Text is compared bytewise (collation C). SQL NULL, JSON null, a key that is not there and JSON of another type are no value: unknown, and exists is false. Rows in any order, a customer once; rows with a NULL customer or profile count for nothing, but tell the plan. Opened by segment_pass_events() and segment_pass_flips(): of moments that leave or enter a range that moves with as_of, the earliest after as_of up to the horizon (NULL: none). NULL without rows. Errors: 22023 a plan of another form, a column that the rows lack, a plan that differs from row to row; 42804 a column of another type; 22004 NULL plan; 22003 customer; 53400 more memory than cdp.segment_memory.';

-- Segment room: from the sets of atoms to the members of segments.

CREATE OR REPLACE FUNCTION cdp_internal.segment_combine(
  plan jsonb, population bytea, events bytea, attributes bytea, sets bytea[])
RETURNS TABLE (segment_id integer, members bytea, through_null bigint)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'cdp_segment_combine';
COMMENT ON FUNCTION cdp_internal.segment_combine(jsonb, bytea, bytea, bytea, bytea[]) IS
'Members of every segment of a plan (cdp_internal.rule_plan()), a row each in the order of the plan, within the population: a set of customers as Roaring bitmap, as all sets here. events, attributes: results of segment_pass() and segment_attribute_pass() with the same plan; NULL when the plan has no such atom. sets: one set for each set atom of the plan, NULL for nobody; whoever is not in it is not, and never unknown. "not" is the complement within the population. Under nulls "set" an atom without a value is false; under "sql" it is unknown, and members are those for whom the rule is true (Kleene). through_null: members under "set" who would be none under "sql", so are in only because a missing value was negated; 0 under "sql". Errors: 22023 a plan, a pass or sets of another plan, 22004 NULL plan, population or pass, 22P03 bytes that are no set or no result of a pass, 2202E an array of several dimensions.';

-- Segment room, the rule language: what is wrong with a rule, its canonical form, what it names.
CREATE OR REPLACE FUNCTION cdp_internal.rule_check(rule jsonb, catalog jsonb,
  OUT path text, OUT code text, OUT severity text, OUT message text, OUT hint text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1000 ROWS 5
AS 'MODULE_PATHNAME', 'cdp_rule_check';
COMMENT ON FUNCTION cdp_internal.rule_check(jsonb, jsonb) IS
'What is wrong with the rule of a segment: all errors at once, and warnings when it has none. path is a JSON Pointer (RFC 6901; empty: the whole rule), code one of those in docs/segments.md, severity error or warning; hint NULL when there is none. No row: the rule is good. At most 1,000 rows. catalog as cdp_internal.segment_catalog() makes it: names, types, purposes; NULL checks the form only. A NULL rule is an error of the rule. Errors: 22023 for a malformed catalogue.';

CREATE OR REPLACE FUNCTION cdp_internal.rule_canonical(rule jsonb) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS 'MODULE_PATHNAME', 'cdp_rule_canonical';
COMMENT ON FUNCTION cdp_internal.rule_canonical(jsonb) IS
'The canonical form of a rule: defaults left out, durations and numbers written one way, kinds of events sorted; the order of conditions is kept. Applied to itself it changes nothing. Names are not looked up. NULL for NULL. Errors: 22023 with the first error that cdp_internal.rule_check(rule, NULL) tells.';

CREATE OR REPLACE FUNCTION cdp_internal.rule_uses(rule jsonb, OUT what text, OUT name text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'cdp_rule_uses';
COMMENT ON FUNCTION cdp_internal.rule_uses(jsonb) IS
'What a rule names, each once, in order of first use: what is attr, kind, property, channel, channel_group, campaign, source, segment, list, trait, rank (name is the canonical text of the condition), consent or holdout. No row for NULL. Errors: 22023 with the first error of the form of the rule.';

CREATE OR REPLACE FUNCTION cdp_internal.rule_plan(rules jsonb, catalog jsonb, as_of timestamptz, paths boolean DEFAULT false) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000
AS 'MODULE_PATHNAME', 'cdp_rule_plan';
COMMENT ON FUNCTION cdp_internal.rule_plan(jsonb, jsonb, timestamptz, boolean) IS
'The plan by which the engines evaluate rules at one moment: names as numbers, constants as typed values, windows as moments, every identical condition, atom and node once; its form is told in docs/segments.md. rules is an array of {"id", "name", "rule", and "purpose" where it is to be checked}, with every segment that another names; their order does not matter. catalog as cdp_internal.segment_catalog() makes it. Moments are microseconds, days are days, both since 2000-01-01 (UTC). With paths, each segment tells which node stands for each part of its rule. The same arguments give the same bytes. NULL for NULL. Errors: 22023 with the first error of a rule, for a circle of segments or one that is missing, 55000 for a rank without threshold, 22008 for as_of outside the years 1000 to 9890.';

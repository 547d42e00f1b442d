-- Random segment rules over random customers, events and attributes: the engine (plan, passes over events and attributes, set algebra)
-- gives the same customers as the plain-SQL twin, for both null modes, at moments on the edges of calendars, with ties, late and future
-- events; and what logic says of all, any and not holds among the engine's own answers. Many rules go through one plan, as in use.
-- test/fuzz/segment_twin.sql is the longer run.
BEGIN;
SET client_min_messages = error;
SELECT plan(8);
SET jit = off;
SELECT setseed(0.2024), set_config('twin.batches', '20', true) \g /dev/null
\ir ../twin/segment_check.sql

SELECT is((SELECT string_agg(told, E'\n') FROM (SELECT told FROM difference LIMIT 10) x), NULL, 'engine and twin agree');
SELECT is((SELECT count(*) FROM answer), 2040::bigint + 192, 'on all the rules');
SELECT cmp_ok((SELECT count(*) FROM answer WHERE cardinality(members) BETWEEN 1 AND 39), '>', (SELECT count(*) / 2 FROM answer), 'most of them hold for some and not for all');
SELECT is((SELECT string_agg(w, ', ') FROM unnest(ARRAY['attr', 'did', 'seq', 'first_time', 'regularly', 'stopped', 'resumed', 'list', 'trait', 'rank', 'consent', 'holdout', 'segment']) w
  WHERE NOT EXISTS (SELECT FROM answer WHERE rule->'where' ? w AND cardinality(members) BETWEEN 1 AND 39)), NULL, 'so does each sort of condition by itself');
SELECT is((SELECT string_agg(told, E'\n') FROM (SELECT told FROM broken_law LIMIT 5) x), NULL, 'laws of logic hold');
SELECT is((SELECT count(*) FROM law), 140::bigint, 'all of them');

-- What named behaviours stand for gives the same customers; two of them stand for what rules can say.
SELECT set_config('twin.narrow', 'off', true), twin.segment_data('2024-06-15 12:00 Asia/Shanghai', 40, 420) \g /dev/null
CREATE TEMP TABLE named AS SELECT n, cdp_internal.rule_canonical(jsonb_build_object('v', 1, 'where', b)) AS rule FROM (SELECT n, twin.behaviour(0) AS b FROM generate_series(1, 200) n) x WHERE b ?| ARRAY['first_time', 'stopped'];
CREATE TEMP TABLE stands AS SELECT (SELECT count(*) FROM named) AS rules, * FROM twin.engine((SELECT jsonb_agg(r) FROM (SELECT jsonb_build_object('id', n, 'name', 'a' || n, 'rule', rule) FROM named
  UNION ALL SELECT jsonb_build_object('id', 1000 + n, 'name', 'b' || n, 'rule', cdp.segment_describe(rule, 'expansion')::jsonb) FROM named) x(r)), twin.segment_catalog(), '2024-06-15 12:00 Asia/Shanghai');
SELECT is((SELECT string_agg(cdp.segment_rule_text(n.rule), E'\n') FROM stands a JOIN stands b ON b.id = a.id + 1000 JOIN named n ON n.n = a.id WHERE a.members <> b.members), NULL, 'an expansion means the same');
SELECT cmp_ok((SELECT count(*) FROM stands a JOIN stands b ON b.id = a.id + 1000 WHERE cardinality(a.members) BETWEEN 1 AND 39), '>', 20::bigint, 'for some customers');
SELECT * FROM finish();
ROLLBACK;

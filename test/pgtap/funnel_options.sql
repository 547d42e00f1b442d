-- Bad input to funnels: every option refuses what it cannot mean, with a name and a hint; hostile text stays text.
BEGIN;
SELECT plan(70);
SET client_min_messages = error;
CREATE FUNCTION pg_temp.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE m text;
BEGIN
  EXECUTE 'SELECT cdp.funnel_options(' || call || ')';
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS m = MESSAGE_TEXT;
  RETURN SQLSTATE || ' ' || m;
END $$;
SELECT is(pg_temp.refused(call), '22023 ' || message, call) FROM (VALUES
  ($$NULL$$, 'a funnel needs 1 to 64 steps'),
  ($$'{}'$$, 'a funnel needs 1 to 64 steps'),
  ($$array_fill('a'::text, ARRAY[65])$$, 'a funnel needs 1 to 64 steps'),
  ($$'{a,NULL}'$$, 'invalid value for funnel option "steps"'),
  ($$'{""}'$$, 'invalid value for funnel option "steps"'),
  ($$'{a,b|}'$$, 'invalid value for funnel option "steps"'),
  ($$'{a,|b}'$$, 'invalid value for funnel option "steps"'),
  ($$'{a,b}', within => '0'$$, 'invalid within'),
  ($$'{a,b}', within => '-1 day'$$, 'invalid within'),
  ($$'{a,b}', within => '1 month'$$, 'invalid within'),
  ($$'{a,b}', within => '178000000 years'$$, 'invalid within'),
  ($$'{a,b}', step_within => '{1 day,1 day}'$$, 'funnel option "step_within" does not fit the steps'),
  ($$'{a,b}', step_within => '{NULL}'$$, 'invalid value for funnel option "step_within"'),
  ($$'{a,b}', step_within => '{0}'$$, 'invalid step_within'),
  ($$'{a,b}', step_within => '{1 day}', step_order => 'unordered'$$, 'funnel option "step_within" does not fit the steps'),
  ($$'{a,b}', step_order => 'strickt'$$, 'unknown value "strickt" for funnel option "step_order"'),
  ($$'{a,b}', ties => ''$$, 'unknown value "" for funnel option "ties"'),
  ($$'{a,b}', ties => 'by_id', step_order => 'unordered'$$, 'invalid value for funnel option "ties"'),
  ($$'{a,b}', exclude => '{NULL}'$$, 'invalid value for funnel option "exclude"'),
  ($$'{a,b}', exclude => '{x,b}'$$, 'label "b" is both a step and excluded'),
  ($$'{a,b|c}', exclude => '{c}'$$, 'label "c" is both a step and excluded'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[1]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[1, 2, 3]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[2, 1]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[2, 2]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[0, 2]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[1, 4]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[1.5, 2]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[[1], 2]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '{"a": 1}'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[[1, 2], [2, 3]]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x,y}', exclude_between => '[[1, 2], [2, 4]]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x,y}', exclude_between => '[[1, 2], 3]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x,y}', exclude_between => '[[1, 2], {"a": 1}]'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x,y}', exclude_between => '[[1, 2], [1, 3]]', step_order => 'unordered'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '7'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a,b,c}', exclude => '{x}', exclude_between => '[1, 2]', step_order => 'unordered'$$, 'invalid value for funnel option "exclude_between"'),
  ($$'{a|b,b}', step_order => 'unordered'$$, 'label "b" is in two steps of an unordered funnel'),
  ($$'{a,b}', breakdown => 'middle'$$, 'unknown value "middle" for funnel option "breakdown"'),
  ($$'{a,b}', since => '2026-01-02Z', until => '2026-01-02Z'$$, 'funnel option "since" is not before "until"'),
  ($$'{a,b}', since => 'infinity'$$, 'funnel option "since" is not before "until"')) v (call, message);
SELECT is(pg_temp.refused($$'{a,b,c}', exclude => '{x}', exclude_between => '[99999999999, 2]'$$), '22023 invalid value for funnel option "exclude_between"', 'a step beyond all numbers');

SELECT is(cdp.funnel_options('{a,b,c}', exclude => '{x,y}', exclude_between => b) -> 'exclude_between', w, 'steps to exclude between: ' || b::text) FROM (VALUES ('[[1, 2], [1, 2]]'::jsonb, '[1, 2]'::jsonb), ('[[1, 2], [2, 3]]', '[[1, 2], [2, 3]]'), ('[[2, 3]]', '[2, 3]')) v (b, w);

-- As raw jsonb, of any shape.
CREATE FUNCTION pg_temp.raw(o jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE m text;
BEGIN
  PERFORM cdp.funnel_pass(1, now(), 'a', o);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS m = MESSAGE_TEXT;
  RETURN SQLSTATE || ' ' || m;
END $$;
SELECT matches(pg_temp.raw(o), '^22023 ', coalesce(o::text, 'no options')) FROM unnest(ARRAY[NULL, '[]', '7', '"steps"', '{}', '{"steps": 7}', '{"steps": {"a": 1}}', '{"steps": [["a"]]}', '{"steps": ["a"], "within": 7}', '{"steps": ["a"], "since": "now"}',
  '{"steps": ["a"], "since": "2026-01-01"}', '{"steps": ["a"], "durations": "yes"}']::jsonb[]) o;
SELECT is(pg_temp.raw('{"steps": ["a"], "step_ordre": "strict"}'), '22023 unknown funnel option "step_ordre"', 'an unknown option');
SELECT is(pg_temp.raw('{"steps": "a", "within": null, "since": null}'), 'accepted', 'a JSON null is the default, one text a list of one');

-- What the pass refuses.
SELECT throws_ok($$SELECT cdp.funnel_pass(k, now(), 'a', jsonb_build_object('steps', k)) FROM unnest('{a,b}'::text[]) k$$, '22023', 'funnel options differ from row to row', 'options that vary');
SELECT throws_ok($$SELECT cdp.funnel_pass(1, now(), 'a', cdp.funnel_options('{a}', ties => 'by_id'))$$, '22023', 'funnel option "ties" needs the ids of the rows', 'ids that are not there');
SELECT throws_ok($$SELECT cdp.funnel_pass(1.5, now(), 'a', cdp.funnel_options('{a}'))$$, '42804', NULL, 'a key of another type');
SELECT throws_ok($$SELECT cdp.funnel_pass(1, now(), true, cdp.funnel_options('{a}'))$$, '42804', NULL, 'a label of another type');
SELECT throws_ok($$SELECT cdp.funnel_pass(1, now(), 7, cdp.funnel_options('{7,7x}'))$$, '22023', 'label "7x" of the options is no integer', 'names of integer labels');
SELECT throws_ok($$SELECT cdp.funnel_pass(1, now(), 7, cdp.funnel_options('{7,07}', step_order => 'unordered'))$$, '22023', 'label "07" of the options is no integer', 'one number in two forms, which would be two labels to the options and one to the rows');
SELECT throws_ok($$SELECT cdp.funnel_pass(1, now(), 7, cdp.funnel_options('{99999999999}'))$$, '22023', 'label "99999999999" of the options is no integer', 'one that no integer can be');

-- Hostile text is a label like any other.
CREATE FUNCTION pg_temp.alone(l text) RETURNS text LANGUAGE sql AS $$
  SELECT s.breakdown || s.labels || s.customers FROM (SELECT cdp.funnel_pass(1, now(), u, cdp.funnel_options(ARRAY[replace(replace(l, '\', '\\'), '|', '\|')]), u) AS p FROM unnest(ARRAY[l]) u) f, cdp.funnel_steps(f.p) s $$;
SELECT is(pg_temp.alone(l), l || replace(replace(l, '\', '\\'), '|', '\|') || '1', 'hostile: ' || left(l, 20)) FROM unnest(ARRAY[$$'; DROP TABLE x; --$$, E'"\\|\t\n', repeat('长', 5000)]) l;
SELECT * FROM finish();
ROLLBACK;

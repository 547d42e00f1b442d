-- Funnels whose answer can be read off: ties, repeats, limits, exclusions, breakdowns, times to convert, and what is
-- known to go wrong in the window functions of other systems.
BEGIN;
SELECT plan(51);
SET client_min_messages = error;
CREATE SCHEMA t;
-- Events such as 'a@0 b@1': label and minute, in that order of ids. Customers who came to each step.
CREATE FUNCTION t.pass(events text, o jsonb) RETURNS cdp.funnel_partial LANGUAGE sql AS $$
  SELECT cdp.funnel_pass(1, timestamptz '2026-01-01Z' + split_part(e, '@', 2)::numeric * interval '1 minute', split_part(e, '@', 1), o, n) FROM unnest(string_to_array(events, ' ')) WITH ORDINALITY u (e, n) $$;
CREATE FUNCTION t.funnel(events text, o jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(s.customers::text, ',' ORDER BY s.step) FROM (SELECT t.pass(events, o) AS p OFFSET 0) f, cdp.funnel_steps(f.p) s $$;
-- Minutes of the chain that counts, from its first step.
CREATE FUNCTION t.minutes(events text, o jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(extract(epoch FROM s.median_from_first)::int / 60 || '', ',' ORDER BY s.step) FROM (SELECT t.pass(events, o) AS p OFFSET 0) f, cdp.funnel_steps(f.p) s WHERE s.step > 1 $$;

SELECT is(t.funnel('a@0 b@1 c@2', cdp.funnel_options('{a,b,c}')), '1,1,1', 'all steps in order');
SELECT is(t.funnel('c@0 b@1 a@2', cdp.funnel_options('{a,b,c}')), '1,0,0', 'in the wrong order only the first');
SELECT is(t.funnel('b@0 c@1', cdp.funnel_options('{a,b,c}')), '0,0,0', 'without the first nobody is in');
SELECT is(t.funnel('a@0 x@1 b@2', cdp.funnel_options('{a,b}')), '1,1', 'others may come between');
SELECT is(t.funnel('a@0 x@1 b@2', cdp.funnel_options('{a,b}', step_order => 'strict')), '1,0', 'none when strict');
SELECT is(t.funnel('a@0 a@1 b@2', cdp.funnel_options('{a,b}', step_order => 'strict')), '1,1', 'strict: the second of two firsts goes on');
SELECT is(t.funnel('a@0 |@1 \@2', cdp.funnel_options('{a,"\\|","\\\\"}')), '1,1,1', 'bars and backslashes in labels');
SELECT is(t.funnel('x@0 c@1', cdp.funnel_options('{a|x,b|c}')), '1,1', 'several labels a step');

-- Limits are inclusive, to the microsecond.
SELECT is(t.funnel('a@0 b@10', cdp.funnel_options('{a,b}', '10 minutes')), '1,1', 'exactly within');
SELECT is(t.funnel('a@0 b@10.00000002', cdp.funnel_options('{a,b}', '10 minutes')), '1,0', 'a microsecond too late');
SELECT is(t.funnel('a@0 b@6 c@11', cdp.funnel_options('{a,b,c}', '10 minutes')), '1,1,0', 'the limit counts from the first step');
SELECT is(t.funnel('a@0 b@6 c@11', cdp.funnel_options('{a,b,c}', step_within => '{6 minutes,5 minutes}')), '1,1,1', 'limits from step to step');
SELECT is(t.funnel('a@0 b@6 c@12', cdp.funnel_options('{a,b,c}', step_within => '{6 minutes,5 minutes}')), '1,1,0', 'one of them too short');
SELECT is(t.funnel('a@0 a@9 b@10 c@19', cdp.funnel_options('{a,b,c}', '12 minutes')), '1,1,1', 'the chain that began last is gone on with');
SELECT is(t.minutes('a@0 a@9 b@10 c@19', cdp.funnel_options('{a,b,c}', '12 minutes')), '1,10', 'and its times are told');
SELECT is(t.funnel('a@0 b@5 a@6 c@8', cdp.funnel_options('{a,b,c}', '9 minutes')), '1,1,1', 'a new beginning does not end a chain under way');
SELECT is(t.minutes('a@0 b@5 b@6 a@7 b@8 c@9 c@20', cdp.funnel_options('{a,b,c}')), '1,2', 'of many chains the first to arrive, of those the last to begin');
SELECT is(t.minutes('a@0 b@3 a@10 b@11', cdp.funnel_options('{a,b,c}')), '3', 'also where no chain gets to the end');

-- The interval is of the first step; as_of of all.
SELECT is(t.funnel('a@0 b@5', cdp.funnel_options('{a,b}', since => '2026-01-01 00:00Z', until => '2026-01-01 00:01Z')), '1,1', 'later steps may come after until');
SELECT is(t.funnel('a@0 a@2 b@5', cdp.funnel_options('{a,b}', since => '2026-01-01 00:00:01Z', until => '2026-01-01 00:02Z')), '0,0', 'half-open');
SELECT is(t.funnel('a@0 b@5', cdp.funnel_options('{a,b}', as_of => '2026-01-01 00:05Z')), '1,0', 'what comes at as_of is not known');

-- Exclusions lie strictly between two steps.
SELECT is(t.funnel('a@0 x@1 b@2', cdp.funnel_options('{a,b}', exclude => '{x}')), '1,0', 'an excluded one between breaks the chain');
SELECT is(t.funnel('x@0 a@1 b@2 x@3', cdp.funnel_options('{a,b}', exclude => '{x}')), '1,1', 'before and after it does not');
SELECT is(t.funnel('a@0 x@0 b@2', cdp.funnel_options('{a,b}', exclude => '{x}')) || t.funnel('a@0 x@2 b@2', cdp.funnel_options('{a,b}', exclude => '{x}')), '1,11,1', 'nor at the time of a step');
SELECT is(t.funnel('a@0 x@1 a@2 b@3', cdp.funnel_options('{a,b}', exclude => '{x}')), '1,1', 'a new chain may begin after it');
SELECT is(t.funnel('a@0 x@1 b@2 c@3', cdp.funnel_options('{a,b,c}', exclude => '{x}', exclude_between => '[2, 3]')), '1,1,1', 'between the second and third it is not there');
SELECT is(t.funnel('a@0 b@2 x@3 c@4', cdp.funnel_options('{a,b,c}', exclude => '{x}', exclude_between => '[2, 3]')), '1,1,0', 'here it is');

SELECT is(string_agg(t.funnel(e, cdp.funnel_options('{a,b,c}', exclude => '{x,y}', exclude_between => '[[1, 2], [2, 3]]')), ' ' ORDER BY n), '1,1,1 1,1,0 1,0,0', 'each excluded label between steps of its own')
FROM unnest('{a@0 y@1 b@2 x@3 c@4,a@0 b@2 y@3 c@4,a@0 x@1 b@2 c@4}'::text[]) WITH ORDINALITY u (e, n);

-- Ties and repeats: one event is never two steps, and the order of storage decides nothing.
SELECT is(t.funnel('a@0 b@0', cdp.funnel_options('{a,b}')) || ' ' || t.funnel('b@0 a@0', cdp.funnel_options('{a,b}')), '1,0 1,0', 'rows of one time are no two steps');
SELECT is(t.funnel('a@0 b@0', cdp.funnel_options('{a,b}', ties => 'by_id')) || ' ' || t.funnel('b@0 a@0', cdp.funnel_options('{a,b}', ties => 'by_id')), '1,1 1,0', 'unless their ids order them');
SELECT is(t.funnel('a@0', cdp.funnel_options('{a,a}')), '1,0', 'the same event is not counted twice');
SELECT is(t.funnel('a@0 a@0 a@3', cdp.funnel_options('{a,a,a}')), '1,1,0', 'nor are two of one time');
SELECT is(t.funnel('a@0', cdp.funnel_options('{a|b,a|c}')), '1,0', 'nor one that fits two steps');
SELECT is(t.funnel('a@0 b@1 a@2 c@3 a@4 b@5 c@6', cdp.funnel_options('{a,b,c}', step_order => 'strict')), '1,1,1', 'a strict chain after a repeated part of it');
SELECT is(t.funnel('i@0 s@5 l@10 i@15 s@20 i@25 s@30 l@35 e@40', cdp.funnel_options('{i,s,l,e}', '60 minutes')), '1,1,1,1', 'repeated beginnings, then the whole');
SELECT is(t.funnel('i@0 s@5 l@10 i@15', cdp.funnel_options('{i,s,l,e}', '60 minutes')), '1,1,1,0', 'a repeated beginning takes nothing back');
SELECT is(t.funnel('a@0 b@1 b@3 c@3 d@4', cdp.funnel_options('{a,b,c,d}', '60 minutes')), '1,1,1,1', 'another second step at the time of the third leaves the chain before it');
SELECT is(t.funnel('a@0 b@1 a@1 b@2 a@2 c@2', cdp.funnel_options('{a,b,c}')), '1,1,1', 'levels are moved once for all rows of one time');

-- Any order.
SELECT is(t.funnel('c@0 a@1 b@2', cdp.funnel_options('{a,b,c}', step_order => 'unordered')), '1,1,1', 'steps in any order');
SELECT is(t.funnel('c@0 a@9 b@12', cdp.funnel_options('{a,b,c}', '10 minutes', step_order => 'unordered')), '1,1,0', 'two within the window');
SELECT is(t.minutes('c@0 a@3 c@4 b@12', cdp.funnel_options('{a,b,c}', '10 minutes', step_order => 'unordered')), '1,9', 'the newest of each step count');

SELECT is(t.funnel('c@0 a@0 b@3', cdp.funnel_options('{a,b,c}', '3 minutes', step_order => 'unordered')), '1,1,1', 'also at one time');
SELECT is(t.minutes('c@0 a@0 b@3', cdp.funnel_options('{a,b,c}', step_order => 'unordered')), '0,3', 'which takes no time');

-- Labels that are integers, missing ones, keys of other types.
SELECT is((SELECT string_agg(s.customers::text, ',' ORDER BY s.step) FROM (SELECT cdp.funnel_pass(k::uuid, at, l, cdp.funnel_options('{1,-2147483648|2}', step_order => 'strict')) AS p
  FROM (VALUES ('00000000-0000-0000-0000-000000000001', timestamptz '2026-01-01Z', 1), ('00000000-0000-0000-0000-000000000001', '2026-01-02Z', NULL), ('00000000-0000-0000-0000-000000000002', '2026-01-01Z', 1),
    ('00000000-0000-0000-0000-000000000002', '2026-01-02Z', -2147483648)) v (k, at, l)) f, cdp.funnel_steps(f.p) s), '2,1', 'no label is a row between, and no label of any number');
SELECT is((SELECT string_agg(s.customers::text, ',' ORDER BY s.step) FROM (SELECT cdp.funnel_pass(1, at, l, cdp.funnel_options('{-1,2|70000}', exclude => '{9}')) AS p
  FROM (VALUES (timestamptz '2026-01-01Z', 9), ('2026-01-02Z', -1), ('2026-01-03Z', 70001), ('2026-01-03Z', -2), ('2026-01-03Z', 0), ('2026-01-04Z', 70000)) v (at, l)) f, cdp.funnel_steps(f.p) s)
  || (SELECT string_agg(s.customers::text, ',' ORDER BY s.step) FROM (SELECT cdp.funnel_pass(1, at, l, cdp.funnel_options('{-1,2|7}', exclude => '{9}')) AS p
  FROM (VALUES (timestamptz '2026-01-01Z', -1), ('2026-01-02Z', 8), ('2026-01-02Z', 10), ('2026-01-02Z', -2), ('2026-01-03Z', 7)) v (at, l)) f, cdp.funnel_steps(f.p) s), '1,11,1', 'integers near each other and far');
CREATE TABLE t.small (at timestamptz, l smallint);
INSERT INTO t.small VALUES ('2026-01-01Z', -1), ('2026-01-02Z', 32767), ('2026-01-03Z', -32768), ('2026-01-04Z', 7), ('2026-01-05Z', NULL);
SELECT is((SELECT string_agg(s.customers::text, ',' ORDER BY s.step) FROM (SELECT cdp.funnel_pass(1, at, l, cdp.funnel_options('{-1,32767,-32768|70000,7}', step_order => 'strict')) AS p FROM t.small) f, cdp.funnel_steps(f.p) s)
  || (SELECT s.steps::text FROM (SELECT cdp.path_pass(1, at, -(l + 1)::smallint, NULL) AS p FROM t.small WHERE l < 32767) f, cdp.path_top(f.p) s), '1,1,1,1{0,32767,-8}', 'small integers, of a table and computed');
SELECT is((SELECT s::text FROM (SELECT cdp.funnel_pass(k, at, l, cdp.funnel_options('{a,b}', as_of => '2026-01-05Z')) AS p
  FROM (VALUES (1, timestamptz '2026-01-01Z', 'a'), (NULL, '2026-01-01Z', 'a'), (1, NULL, 'a'), (1, 'infinity', 'a'), (2, '2026-01-06Z', 'a'), (3, '2026-01-01Z', 'z'), (4, '2026-01-01Z', 'b'), (5, '2026-01-01Z', NULL)) v (k, at, l)) f,
  LATERAL (SELECT rows, without_key, without_time, after_as_of, customers FROM cdp.funnel_summary(f.p)) s), '(8,1,2,1,2)', 'what was left out is counted');
SELECT is((SELECT string_agg(s.customers::text, ',') FROM (SELECT cdp.funnel_pass(1, at, l, cdp.funnel_options('{a,b}')) AS p FROM (VALUES (timestamptz '4713-01-01 BC', 'a'), ('294276-12-31Z', 'b')) v (at, l)) f, cdp.funnel_steps(f.p) s), '1,1', 'from one end of the calendar to the other');
SELECT is((SELECT cdp.funnel_pass(1, now(), 'a', cdp.funnel_options('{a}')) FROM generate_series(1, 0))::text, NULL, 'nothing over no rows');

-- Breakdowns, shares and times: red 1, 2, 4 and 6 minutes, blue one who stops.
CREATE TABLE t.paid AS SELECT cdp.funnel_pass(c, at, l, cdp.funnel_options('{a,b}'), color) AS p FROM (
  SELECT c, timestamptz '2026-01-01Z' AS at, 'a' AS l, CASE WHEN c < 5 THEN 'red' WHEN c = 5 THEN 'blue' END AS color FROM generate_series(1, 6) c
  UNION ALL SELECT c, timestamptz '2026-01-01Z' + (ARRAY[1, 2, 4, 6])[c] * interval '1 minute', 'b', 'green' FROM generate_series(1, 4) c) e;
SELECT is((SELECT string_agg(concat_ws(' ', breakdown, step, customers, dropped, of_previous, of_first, median_from_previous, mean_from_first, p90_from_first), ', ' ORDER BY breakdown COLLATE "C", step) FROM t.paid, cdp.funnel_steps(p)),
  '(none) 1 1 1 1 1, (none) 2 0 0 0 0, blue 1 1 1 1 1, blue 2 0 0 0 0, red 1 4 0 1 1, red 2 4 0 1 1 00:03:00 00:03:15 00:05:24', 'by the first row, with exact quantiles');
SELECT is((SELECT string_agg(concat_ws(' ', breakdown, step, customers), ', ' ORDER BY breakdown COLLATE "C", step) FROM (SELECT cdp.funnel_pass(1, at, l, cdp.funnel_options('{a,b}', breakdown => 'last'), color) AS p
  FROM (VALUES (timestamptz '2026-01-01Z', 'a', 'red'), ('2026-01-02Z', 'b', 'green')) v (at, l, color)) f, cdp.funnel_steps(f.p)), 'green 1 1, green 2 1', 'by the last one reached');
SELECT * FROM finish();
ROLLBACK;

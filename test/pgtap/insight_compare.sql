-- Two rules side by side, of whom a segment is made up against others and against itself earlier: numbers by hand, the index
-- of stability by its formula, ranges of numbers, small groups.
BEGIN;
SELECT plan(38);
SET client_min_messages = error;
INSERT INTO cdp_data.source (source_id, name) VALUES (900, 'shop');
INSERT INTO cdp_data.load (load_id, source_id, state) VALUES (900, 900, 'done');
INSERT INTO cdp_data.origin (origin_id, source, medium, campaign) VALUES (901, 'google', 'cpc', 'brand');
INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT i, i FROM generate_series(1, 1000) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) SELECT i, 1, 'p' || i, i FROM generate_series(1, 1000) i;
SELECT cdp.add_attribute('taste', 'text', 'most_frequent', sensitivity => 'internal'), cdp.add_attribute('secret', 'text', 'latest', sensitivity => 'personal');
INSERT INTO cdp_data.profile (customer_id, city, gender, membership_points, attributes, registered_at)
SELECT i, CASE WHEN i <= 400 THEN 'Xian' ELSE 'Rome' END, 'f', CASE WHEN i <= 900 THEN i END, CASE WHEN i % 2 = 0 THEN '{"taste": "sweet"}' ELSE '{}' END::jsonb, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour'
FROM generate_series(1, 1000) i;
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, value, currency)
SELECT i, i, timestamptz '2026-03-01 00:00+00' + i * interval '1 hour', 901, 900, 900, k.kind_id, i, 'CNY' FROM generate_series(1, 1000) i, cdp_data.touch_kind_all k WHERE k.name = 'purchase';

-- Two rules: by 1 April (744 hours) 743 customers bought, in the 10 days before it 240.
\set a '{"where": {"did": "purchase"}}'
\set b '{"where": {"any": [{"did": "purchase", "last": "10 days"}, {"attr": "membership_points", "gt": 850}]}}'
SELECT is((SELECT (c.customers_a, c.customers_b, c.common, c.only_a, c.only_b, c.examples_a, c.examples_b)::text FROM cdp.segment_compare(:'a'::jsonb, :'b'::jsonb, '2026-04-01 00:00+00') c),
  '(743,290,240,503,50,"{1,2,3,4,5,6,7,8,9,10}","{851,852,853,854,855,856,857,858,859,860}")', 'both, and only one');
SELECT is((SELECT round(jaccard::numeric, 6) FROM cdp.segment_compare(:'a'::jsonb, :'b'::jsonb, '2026-04-01 00:00+00')), round(240 / 793.0, 6), 'as a share of either');
SELECT is((SELECT (c.only_a, c.only_b, c.jaccard)::text FROM cdp.segment_compare(:'a'::jsonb, :'a'::jsonb, '2026-04-01 00:00+00') c), '(0,0,1)', 'a rule and itself');
SELECT is((SELECT (c.customers_a, c.common, c.only_b)::text FROM cdp.segment_compare(:'b'::jsonb, :'a'::jsonb, '2026-04-01 00:00+00') c), '(290,240,503)', 'the other way round');
SELECT cdp.create_segment('buyers', :'a'::jsonb, 'service'), cdp.edit_segment('buyers', :'b'::jsonb);
SELECT is((SELECT (c.customers_a, c.customers_b, c.common)::text FROM cdp.segment_compare('buyers', 1, 2, '2026-04-01 00:00+00') c), '(743,290,240)', 'versions of a segment');
SELECT throws_ok($$SELECT * FROM cdp.segment_compare('buyers', 1, 3)$$, '22023', 'segment "buyers" has no version 3', 'an unknown version');
SELECT throws_ok(format($$SELECT * FROM cdp.segment_compare(%L::jsonb, '{"where": {"attr": "citty", "eq": "x"}}'::jsonb)$$, :'a'), '22023', 'attribute "citty" is not known', 'a rule with an error');
UPDATE cdp_data.setting SET minimum_audience = 60;
SELECT is((SELECT c::text FROM cdp.segment_compare(:'a'::jsonb, :'b'::jsonb, '2026-04-01 00:00+00') c), '(743,290,,,,,,)', 'few in one only: what would tell them is hidden');
UPDATE cdp_data.setting SET minimum_audience = NULL;

-- A segment: 201 to 600 on 1 May, 301 to 700 on 1 June.
SELECT cdp_internal.segment_partition('2026-06-01 00:00+00');
INSERT INTO cdp_data.segment_run (run_id, kind, as_of, started_at) VALUES (1001, 'full', '2026-05-01 00:00+00', now()), (1002, 'tick', '2026-06-01 00:00+00', now());
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id)
SELECT s.segment_id, i, '2026-06-01 00:00+00', i > 600, 'event', 1, 1002 FROM cdp_data.segment s, generate_series(201, 700) i WHERE s.name = 'buyers' AND NOT i BETWEEN 301 AND 600;
INSERT INTO cdp_data.segment_chunk SELECT s.segment_id, c.* FROM cdp_data.segment s CROSS JOIN cdp.roaring_chunks((SELECT cdp.roaring_build(i) FROM generate_series(301, 700) i)) c WHERE s.name = 'buyers';
CREATE TEMP TABLE drift AS SELECT * FROM cdp.segment_drift('buyers', '2026-05-01 00:00+00', '2026-06-01 00:00+00');
SELECT is((SELECT array_agg(concat_ws(' ', value, before, after, share_before, share_after)) FROM drift WHERE attribute IS NULL), '{(all) 400 400 1 1,(stayed) 300 300 0.75 0.75,(left) 100 0 0.25 0,(entered) 0 100 0 0.25}', 'size, and who came and went');
SELECT results_eq($$SELECT value, before, after, share_before, share_after FROM drift WHERE attribute = 'city'$$, $$VALUES ('Rome', 200::bigint, 300::bigint, 0.5::float8, 0.75::float8), ('Xian', 200, 100, 0.5, 0.25)$$, 'of whom it is made up');
SELECT is((SELECT DISTINCT round(psi::numeric, 12) FROM drift WHERE attribute = 'city'), 0.273139657475, 'the index by its formula');
SELECT is((SELECT DISTINCT psi FROM drift WHERE attribute = 'taste'), 0::float8, 'nothing changed in taste');
SELECT is((SELECT array_agg(value || ' ' || before ORDER BY value) FROM drift WHERE attribute = 'taste'), '{"(none) 200","sweet 200"}', 'half of them have none');
SELECT is((SELECT array_agg(concat_ws(' ', value, before, after)) FROM drift WHERE attribute = 'membership_points' AND value IN ('below 250', '250 to below 300', '300 to below 350', '600 to below 650', '650 and above')), '{"250 to below 300 50 0","300 to below 350 50 49","600 to below 650 1 50","650 and above 0 51","below 250 49 0"}', 'tenths of numbers');
SELECT is((SELECT (count(*), sum(before), sum(after))::text FROM drift WHERE attribute = 'registered_at'), '(10,400,400)', 'and of moments');
SELECT is((SELECT count(*) FROM drift WHERE attribute IN ('gender', 'secret', 'birthday', 'birth_year')), 0::bigint, 'nothing personal');
SELECT is((SELECT psi FROM drift WHERE attribute IS NOT NULL LIMIT 1), (SELECT max(psi) FROM drift), 'what changed most comes first');
SELECT is((SELECT string_agg(DISTINCT attribute, ' ') FROM cdp.segment_drift('buyers', '2026-05-01 00:00+00', attributes => '{city}')), 'city', 'some attributes only, until the last tick');
SELECT throws_ok($$SELECT * FROM cdp.segment_drift('buyers', '2026-05-01 00:00+00', attributes => '{gender}')$$, '22023', 'attribute "gender" can not be told of', 'not of personal ones');

-- Against everybody else.
CREATE TEMP TABLE drivers AS SELECT * FROM cdp.segment_drivers('buyers');
SELECT results_eq($$SELECT value, members, others, lift FROM drivers WHERE attribute = 'city'$$, $$VALUES ('Rome', 300::bigint, 300::bigint, 1.5::float8), ('Xian', 100, 300, 0.5)$$, 'who is in, who is not');
SELECT is((SELECT DISTINCT round(information_value::numeric, 12) FROM drivers WHERE attribute = 'city'), 0.273139657475, 'what the city tells');
-- By what they did before the last tick: those from the 48th hour of March on.
UPDATE cdp_data.segment_clock SET as_of = '2026-06-01 00:00+00';
SELECT is((SELECT count(*) FROM drivers WHERE attribute LIKE 'did%'), 0::bigint, 'of what lies longer back nothing is told');
CREATE TEMP TABLE did AS SELECT * FROM cdp.segment_drivers('buyers');
SELECT results_eq($$SELECT attribute, value, members, others, round(lift::numeric, 6) FROM did WHERE attribute LIKE 'did%'$$, $$VALUES ('did(purchase last 90 days)', 'no', 0::bigint, 47::bigint, 0::numeric), ('did(purchase last 90 days)', 'yes', 400, 553, 1.084991)$$, 'who did and who did not');
SELECT is((SELECT DISTINCT round(information_value::numeric, 9) FROM did WHERE attribute LIKE 'did%'),
  round((((47.5 / 601 - 0.5 / 401) * ln((47.5 / 601) / (0.5 / 401))) + ((553.5 / 601 - 400.5 / 401) * ln((553.5 / 601) / (400.5 / 401))))::numeric, 9), 'and what that tells, by the same formula');
SELECT is((SELECT count(DISTINCT attribute) FROM cdp.segment_drivers('buyers', '{city}', events => true)), 2::bigint, 'beside chosen attributes when asked for');
SELECT is((SELECT count(*) FROM cdp.segment_drivers('buyers', events => false) WHERE attribute LIKE 'did%'), 0::bigint, 'or not at all');
SELECT cdp.allow_purposes('kind', 'purchase', '{service}');
SELECT is((SELECT count(*) FROM cdp.segment_drivers('buyers') WHERE attribute LIKE 'did%'), 0::bigint, 'not what analytics may not use');
SELECT cdp.allow_purposes('kind', 'purchase', NULL);
-- A sample: some customers, always the same ones.
CREATE TEMP TABLE sampled AS SELECT id FROM cdp.roaring_ids(cdp.roaring_sample(cdp_internal.segment_population(), 0.4)) id;
SELECT results_eq($$SELECT attribute, value, members, others FROM cdp.segment_drivers('buyers', '{city}', 0.4, true)$$,
  $$SELECT * FROM (SELECT x.a, x.v, count(*) FILTER (WHERE s.id BETWEEN 301 AND 700) AS m, count(*) FILTER (WHERE NOT s.id BETWEEN 301 AND 700) AS o
    FROM sampled s CROSS JOIN LATERAL (VALUES ('city', CASE WHEN s.id <= 400 THEN 'Xian' ELSE 'Rome' END), ('did(purchase last 90 days)', CASE WHEN s.id >= 48 THEN 'yes' ELSE 'no' END)) AS x (a, v) GROUP BY 1, 2) y ORDER BY a, v$$, 'in a sample the same is counted of fewer');
SELECT cmp_ok((SELECT count(*) FROM sampled), '<', 1000::bigint, 'of fewer, indeed');
SELECT throws_ok($$SELECT * FROM cdp.segment_drivers('buyers', sample => 1.5)$$, '22023', NULL, 'a share of more than all');
SELECT throws_ok($$SELECT * FROM cdp.segment_drivers('buyers', sample => NULL)$$, '22023', 'a sample is a share of customers from 0 to 1', 'or of nothing');
SELECT throws_ok($$SELECT * FROM cdp.segment_drift('buyers', NULL)$$, '22023', 'since must be a moment', 'since nothing');
-- Small groups.
UPDATE cdp_data.profile SET city = 'Ulm' WHERE customer_id BETWEEN 310 AND 314;
UPDATE cdp_data.setting SET minimum_audience = 30;
SELECT results_eq($$SELECT value, members, others FROM cdp.segment_drivers('buyers', '{city}')$$, $$VALUES ('(few)', NULL::bigint, NULL::bigint), ('Rome', 300, 300), ('Xian', NULL, NULL)$$, 'a town of five people is not told, nor what would tell them');
-- A town without members hides nobody; the index does not tell how those who are hidden divide.
UPDATE cdp_data.profile SET city = 'Bonn' WHERE customer_id <= 50;
CREATE TEMP TABLE beside AS SELECT * FROM cdp.segment_drivers('buyers', '{city}');
SELECT results_eq('SELECT value, members, others FROM beside', $$VALUES ('(few)', NULL::bigint, NULL::bigint), ('Bonn', 0, 50), ('Rome', 300, 300), ('Xian', NULL, NULL)$$, 'what is hidden beside the few is not nobody');
SELECT is((SELECT DISTINCT round(information_value::numeric, 9) FROM beside),
  (SELECT round(sum((p - q) * ln(p / q))::numeric, 9) FROM (SELECT (a + 0.5) / (400 + 1.5) AS p, (b + 0.5) / (600 + 1.5) AS q FROM (VALUES (0, 50), (300, 300), (100, 250)) AS v (a, b)) x), 'and counts as one');
UPDATE cdp_data.setting SET minimum_audience = 500;
SELECT throws_ok($$SELECT * FROM cdp.segment_drivers('buyers')$$, '42501', NULL, 'too few members');
SELECT cdp.create_segment('turned', 'did(visit)', 'service');
INSERT INTO cdp_data.segment_transition (segment_id, customer_id, at, entered, cause, version, run_id)
SELECT s.segment_id, i, '2026-06-01 00:00+00', i > 100, 'event', 1, 1002 FROM cdp_data.segment s, generate_series(1, 197) i WHERE s.name = 'turned' AND NOT i BETWEEN 98 AND 100;
INSERT INTO cdp_data.segment_chunk SELECT s.segment_id, c.* FROM cdp_data.segment s CROSS JOIN cdp.roaring_chunks((SELECT cdp.roaring_build(i) FROM generate_series(98, 197) i)) c WHERE s.name = 'turned';
UPDATE cdp_data.setting SET minimum_audience = 90;
SELECT throws_ok($$SELECT * FROM cdp.segment_drift('turned', '2026-05-01 00:00+00')$$, '42501', NULL, 'or too few who stayed');
UPDATE cdp_data.setting SET minimum_audience = 150;
SELECT throws_ok($$SELECT * FROM cdp.segment_drift('buyers', '2026-05-01 00:00+00')$$, '42501', NULL, 'or too few who came');
SELECT * FROM finish();
ROLLBACK;

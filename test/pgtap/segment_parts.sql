-- A pass over profiles that needs more memory than it may take works in parts, and finds the same.
BEGIN;
SELECT plan(7);
SET client_min_messages = error;
INSERT INTO cdp_data.profile (customer_id, revenue, average_order, city, personal_attributes, attributes, provenance, touches, conversions, orders, refunds, unrated)
SELECT p.part * 65536 + n, 0, CASE WHEN n % 3 = 0 THEN n + p.part END, 'Xian', '{}', '{}', '{}', 0, 0, 0, 0, 0 FROM unnest(ARRAY[0, 1, 2, 3, 4, 5, 6, 7, 9, 40]) AS p (part), generate_series(1, 4300) n;
CREATE TEMP TABLE plan AS
SELECT cdp_internal.rule_plan(jsonb_build_array(jsonb_build_object('id', 1, 'name', 'x', 'rule', jsonb_build_object('where', jsonb_build_object('any',
  (SELECT jsonb_agg(jsonb_build_object('attr', 'average_order', 'gte', n * 10)) FROM generate_series(1, 400) n) || '[{"attr": "last_seen", "last": "30 days"}]')))), cdp_internal.segment_catalog(), '2026-06-01') AS plan;
UPDATE cdp_data.profile SET last_seen = '2026-05-05' WHERE customer_id % 65536 < 3;
SELECT cdp_internal.segment_profiles(plan, '2026-06-05', NULL) AS whole FROM plan \gset
SET cdp.segment_memory = '16MB';
SELECT throws_ok($$SELECT cdp_internal.segment_attribute_pass(p.customer_id, p, (SELECT plan FROM plan), '2026-06-05') FROM (SELECT customer_id, average_order, last_seen FROM cdp_data.profile) p$$, '53400', NULL, 'one pass does not fit');
SELECT cdp_internal.segment_profiles(plan, '2026-06-05', NULL) AS parts FROM plan \gset
SELECT is(cdp_internal.segment_pass_seen(:'parts'), cdp_internal.segment_pass_seen(:'whole'), 'parts meet whom one pass meets');
SELECT results_eq(format('SELECT * FROM cdp_internal.segment_pass_events(%L)', :'parts'), format('SELECT * FROM cdp_internal.segment_pass_events(%L)', :'whole'), 'find the same');
SELECT results_eq(format('SELECT * FROM cdp_internal.segment_pass_flips(%L)', :'parts'), format('SELECT * FROM cdp_internal.segment_pass_flips(%L)', :'whole'), 'and when it changes');
SELECT is((SELECT count(*) FROM cdp_internal.segment_pass_flips(:'parts')), 20::bigint, 'for some');
SELECT throws_ok(format($$SELECT cdp_internal.segment_pass_join(ARRAY[%L, cdp_internal.segment_pass_nothing('{"v": 1, "as_of": 0, "from": 0, "tz": "UTC", "kinds": [], "conditions": [], "events": [], "attributes": [], "sets": [], "nodes": [], "segments": []}')]::bytea[])$$, :'parts'), '22023', NULL, 'parts of another plan');
SELECT throws_ok($$SELECT cdp_internal.segment_pass_join('{"\\\\x00"}')$$, '22P03', NULL, 'bytes that are none');
SELECT * FROM finish();
ROLLBACK;

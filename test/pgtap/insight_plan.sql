-- What is read for a segment: every atom with its source, shared ones, how many it is true for and unknown of.
BEGIN;
SELECT plan(10);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT cdp.track('shop', k, jsonb_build_object('user_id', u), '{"card": "gold"}', at::timestamptz, u || at, v, 'CNY')
FROM (VALUES ('a', 'purchase', '2026-05-01 10:00+00', 50), ('a', 'purchase', '2026-05-20 10:00+00', 60), ('b', 'visit', '2026-05-10 10:00+00', NULL)) AS x (u, k, at, v);
SELECT cdp.identify('shop', '{"user_id": "a"}', '{"city": "Xian"}', '2026-05-01'), cdp.identify('shop', '{"user_id": "d"}', '{"city": "Rome"}', '2026-05-01');
SELECT cdp.refresh_profiles();
SELECT cdp.upload_list('press', 'user_id', '{a,d}');
SELECT cdp.create_segment(n, r::jsonb, 'service') FROM (VALUES
  ('one', '{"where": {"all": [{"not": {"attr": "city", "eq": "Xian"}}, {"did": "purchase", "last": "30 days", "where": {"all": [{"prop": "card", "eq": "gold"}, {"not": {"prop": "card", "eq": "tin"}}]}, "count": {"lt": 2}}]}}'),
  ('two', '{"where": {"any": [{"attr": "city", "eq": "Xian"}, {"list": "press"}]}}'), ('three', '{"nulls": "sql", "where": {"any": [{"segment": "two"}, {"seq": [{"did": "visit"}, {"did": "purchase"}], "not_between": {"did": "refund"}}]}}'),
  ('old', '{"where": {"attr": "city", "eq": "Xian"}}')) AS x (n, r);
SELECT cdp.archive_segment('old');
\set at '2026-05-25 00:00+00'
SELECT results_eq(format($$SELECT what, reads, shared_with, customers, unknown FROM cdp.segment_explain_plan('one', true, %L)$$, :'at'),
  $$VALUES ('event', 'touchpoints: purchase', '{}'::text[], 1::bigint, 0::bigint), ('attribute', 'profile: city', '{three,two}', 1, 1)$$, 'events and attributes');
SELECT is((SELECT atom -> 'conditions' FROM cdp.segment_explain_plan('one', as_of => :'at') WHERE what = 'event'), '{"3": {"all": [{"op": "eq", "prop": "card", "value": "gold"}, {"not": {"op": "eq", "prop": "card", "value": "tin"}}]}}', 'conditions on events in full');
SELECT results_eq(format($$SELECT what, reads, shared_with, customers, unknown FROM cdp.segment_explain_plan('two', true, %L)$$, :'at'),
  $$VALUES ('attribute', 'profile: city', '{one,three}'::text[], 1::bigint, 1::bigint), ('set', 'list: press', '{three}', 2, NULL)$$, 'lists');
SELECT results_eq(format($$SELECT what, reads, shared_with FROM cdp.segment_explain_plan('three', as_of => %L)$$, :'at'),
  $$VALUES ('event', 'touchpoints: purchase, refund, visit', '{}'::text[]), ('attribute', 'profile: city', '{one,two}'), ('set', 'list: press', '{two}')$$, 'of the segments that it names, too');
SELECT is((SELECT count(customers) + count(unknown) FROM cdp.segment_explain_plan('one')), 0::bigint, 'counted on demand only');
SELECT results_eq(format($$SELECT shared_with FROM cdp.segment_explain_plan('old', as_of => %L)$$, :'at'), $$VALUES ('{one,three,two}'::text[])$$, 'of one that was put away');
UPDATE cdp_data.setting SET minimum_audience = 2;
SELECT results_eq(format($$SELECT customers, unknown FROM cdp.segment_explain_plan('two', true, %L)$$, :'at'), $$VALUES (NULL::bigint, NULL::bigint), (NULL, NULL)$$, 'few people are not told, nor all but few');
SELECT cdp.identify('shop', '{"user_id": "e"}'), cdp.identify('shop', '{"user_id": "f"}');
SELECT results_eq(format($$SELECT customers, unknown FROM cdp.segment_explain_plan('two', true, %L)$$, :'at'), $$VALUES (NULL::bigint, 3::bigint), (2, NULL)$$, 'enough are');
SELECT throws_ok($$SELECT * FROM cdp.segment_explain_plan('none')$$, '42704', NULL, 'an unknown segment');
SELECT is((SELECT count(*) FROM cdp_data.segment_run), 0::bigint, 'nothing is written');
SELECT * FROM finish();
ROLLBACK;

-- The live funnel: a small campaign counted by hand, step by step; tests, programs, retracted and refused are nowhere in it; merges count at
-- once; an empty campaign has zeros and no rates; few people are hidden; who may not read rewards sees the sums.
SELECT plan(21);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT cdp.identify('shop', jsonb_build_object('user_id', 'a' || i, 'email', 'a' || i || '@x.example'), '{"city": "Xian"}', '2025-01-01') FROM generate_series(1, 6) i;
SELECT cdp.create_segment('all', 'city = ''Xian''', 'service', 'email');
SELECT cdp.segment_tick();
SELECT cdp.add_destination('desk', 'service', 'email');
SELECT cdp.create_referral_campaign('bring', 'all', '{email}', 'https://shop.example/r/{code}', ends_at => '2099-01-01'), cdp.create_referral_campaign('empty');
SELECT cdp.set_referral_terms('bring', rules => '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]');
SELECT cdp.approve_referral_material(cdp.add_referral_material('bring', 'email', '{link}', 'x'));
SELECT cdp.activate_referral_campaign('bring', '2026-01-01');
CREATE FUNCTION pg_temp.funnel(name text DEFAULT 'bring') RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', reached, enrolled, shared, clicked, signed_up, converted, approved, paid) FROM cdp_bi.referral_funnel WHERE referral_campaign = name $$;
SELECT is(pg_temp.funnel('empty'), '0 0 0 0 0 0 0 0', 'an empty campaign has zeros');
SELECT is((SELECT num_nonnulls(participation_rate, signup_rate, conversion_rate, approval_rate, paid_rate) FROM cdp_bi.referral_funnel WHERE referral_campaign = 'empty'), 0, 'and no rates');
SELECT queued FROM cdp.distribute_referral('bring', 'email', 'desk');
SELECT is(pg_temp.funnel(), '6 6 0 0 0 0 0 0', 'six have a code, no message went out yet');
SELECT cdp.outbox_sent(outbox_id) FROM cdp.outbox_take('desk', 5);
UPDATE cdp_data.outbox SET state = 'failed' WHERE state = 'waiting';
SELECT cdp.advance_referral_campaigns();
SELECT is(pg_temp.funnel(), '5 6 0 0 0 0 0 0', 'five were');
-- Codes were issued now; the lives below are of last spring.
UPDATE cdp_data.referral_code SET issued_at = '2026-01-02';
CREATE FUNCTION pg_temp.code(who text) RETURNS text LANGUAGE sql AS $$ SELECT k.code FROM cdp_data.referral_code k WHERE k.customer_id = cdp.customer_of('user_id', who) $$;
CREATE TABLE public.by_state AS SELECT c.user_id, row_number() OVER (ORDER BY d.state DESC, c.user_id) AS nth FROM (SELECT 'a' || i AS user_id FROM generate_series(1, 6) i) c JOIN cdp_data.referral_distribution d ON d.customer_id = cdp.customer_of('user_id', c.user_id);
CREATE FUNCTION pg_temp.nth(i integer) RETURNS text LANGUAGE sql AS $$ SELECT user_id FROM public.by_state WHERE nth = i $$; -- 1 to 5 were reached
SELECT (cdp.referral_share('shop', 's' || i, pg_temp.code(pg_temp.nth(v.who)), 'email', '2026-03-01 10:00+00'::timestamptz + i * interval '1 hour')).result FROM (VALUES (1, 1), (2, 1), (3, 2)) AS v (i, who);
SELECT is(pg_temp.funnel(), '5 6 2 0 0 0 0 0', 'two shared, one of them twice');
SELECT (cdp.referral_click('shop', 'c' || v.friend || v.n, pg_temp.code(pg_temp.nth(v.who)), '2026-03-02 10:00+00'::timestamptz + v.n * interval '3 hours', jsonb_build_object('cookie', 'ck-' || v.friend), bot => v.friend = 'f5')).result
FROM (VALUES ('f1', 1, 1), ('f1', 1, 2), ('f2', 1, 1), ('f3', 2, 1), ('f4', 3, 1), ('f5', 4, 1)) AS v (friend, who, n);
SELECT is(pg_temp.funnel(), '5 6 3 4 0 0 0 0', 'four visitors; whose link was clicked has shared it; a program is nobody');
SELECT (cdp.referral_convert('shop', 'o1', 'purchase', '2026-03-05 10:00+00', '{"cookie": "ck-f1"}', 100, 'CNY')).state, (cdp.referral_convert('shop', 'o2', 'sign_up', '2026-03-06 10:00+00', '{"cookie": "ck-f2"}', 0, 'CNY')).state, (cdp.referral_convert('shop', 'o3', 'purchase', '2026-03-07 10:00+00', '{"cookie": "ck-f3"}', 50, 'CNY')).state,
  (cdp.referral_convert('shop', 'o4', 'purchase', '2026-03-08 10:00+00', '{"cookie": "ck-f1"}', 30, 'CNY')).state;
SELECT is(pg_temp.funnel(), format('5 6 3 4 3 2 %s 0', (SELECT count(*) FROM cdp_data.referral WHERE state = 'approved')), 'three were referred, two of them bought');
SELECT ok((SELECT count(*) FROM cdp_data.referral WHERE state = 'approved') >= 2, 'which is in order');
SELECT results_eq($$SELECT participation_rate, signup_rate, conversion_rate, denominators ->> 'participation_rate', denominators ->> 'conversion_rate' FROM cdp.referral_funnel('bring')$$, $$VALUES (0.6, 0.75, 0.5, 'reached', 'clicked')$$, 'rates say of whom');
UPDATE cdp_data.reward SET reserved_minor = 0, pending_minor = 0, available_minor = 0, paid_minor = amount_minor, paid_at = now() WHERE referral_id = (SELECT min(referral_id) FROM cdp_data.referral WHERE state = 'approved');
SELECT is(pg_temp.funnel(), format('5 6 3 4 3 2 %s 1', (SELECT count(*) FROM cdp_data.referral WHERE state = 'approved')), 'one was paid');
SELECT is_empty($$SELECT r.metric, r.value, f.value FROM cdp.referral_report('bring') r LEFT JOIN (SELECT e.key, e.value FROM cdp.referral_funnel('bring') x, jsonb_each(to_jsonb(x)) e) f ON f.key = r.metric WHERE r.section = 'funnel' AND r.value IS DISTINCT FROM (f.value #>> '{}')::numeric$$, 'the report says the same');
SELECT is((SELECT concat_ws(' ', clicked, signed_up, converted) FROM cdp.referral_funnel('bring', '2026-03-06 00:00+00')), '4 1 1', 'as known at an earlier moment');

-- Tests count nowhere.
CREATE TABLE public.was AS SELECT pg_temp.funnel() AS f;
SELECT cdp.issue_referral_code('bring', cdp.customer_of('user_id', 'a1'), is_test => true, issued_at => '2026-01-02') AS test \gset
SELECT (cdp.referral_click('shop', 't1', :'test', '2026-03-02 10:00+00', '{"cookie": "ck-t1"}')).result, (cdp.referral_convert('shop', 't2', 'purchase', '2026-03-05 10:00+00', '{"cookie": "ck-t1"}', 100, 'CNY', is_test => true)).state;
SELECT ok((SELECT count(*) FROM cdp_data.referral WHERE is_test) > 0, 'a test was made');
SELECT is(pg_temp.funnel(), (SELECT f FROM public.was), 'which is in no figure');
SELECT bool_and(ok) FROM cdp.referral_selftest('bring');
SELECT is(pg_temp.funnel(), (SELECT f FROM public.was), 'nor is the self-test');
-- Two visitors who turn out to be one person.
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'ck-f4'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'ck-f2'), 'one person') IS NULL;
SELECT is((SELECT clicked FROM cdp.referral_funnel('bring')), 3::bigint, 'merged visitors are one');
SELECT result FROM cdp.record_consent('shop', 'analytics', 'withdrawn', '{"cookie": "ck-f3"}');
SELECT is((SELECT concat_ws(' ', clicked, converted) FROM cdp.referral_funnel('bring')), '2 1', 'who refuses analytics is left out');
-- Rights, few people, bad input.
CREATE ROLE funnel_marketer;
CALL cdp.setup(marketer => 'funnel_marketer');
SET ROLE funnel_marketer;
SELECT lives_ok('SELECT * FROM cdp_bi.referral_funnel', 'a marketer sees the sums');
SELECT throws_ok('SELECT * FROM cdp_data.referral_click', '42501', NULL, 'and no click');
RESET ROLE;
UPDATE cdp_data.setting SET minimum_audience = 4;
SELECT results_eq($$SELECT reached, clicked, signed_up, conversion_rate FROM cdp.referral_funnel('bring')$$, $$VALUES (5::bigint, NULL::bigint, NULL::bigint, NULL::numeric)$$, 'few people are hidden');
SELECT throws_ok($$SELECT * FROM cdp.referral_funnel('brnig')$$, '42704', NULL, 'an unknown campaign');
DROP OWNED BY funnel_marketer;
DROP ROLE funnel_marketer;
SELECT * FROM finish();

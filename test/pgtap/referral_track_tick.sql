-- The job of referrals: what comes by loads is taken in, corrections and reverts are followed, merges, unmerges and erasures are
-- decided again. Each statement is a transaction of its own, as the change feed wants it.
SELECT plan(82);
SET client_min_messages = warning;
SET timezone = 'Asia/Kolkata';
SELECT cdp.add_source('web'), cdp.add_source('shop') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('user_id', u, 'email', u || '@example.org')) FROM unnest('{anna,ben}'::text[]) u \g /dev/null
SELECT cdp.create_referral_campaign('friends') \g /dev/null
SELECT cdp.set_referral_terms('friends', '{}', '[{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 5}]', valid_from => '2026-01-01 00:00+00') \g /dev/null
SELECT cdp.activate_referral_campaign('friends', '2026-01-10 00:00+00') \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', u), 'by-' || u, issued_at => '2026-01-05 00:00+00') FROM unnest('{anna,ben}'::text[]) u \g /dev/null
SELECT is((SELECT people FROM cdp.referral_tick()), 2::bigint, 'the first time all who have codes are looked at');
SELECT is((SELECT t::text FROM cdp.referral_tick() t), '(0,0,0,0)', 'then nothing is to be done');
CREATE FUNCTION pg_temp.state(k text) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT string_agg(concat_ws(' ', x.state, x.reason, x.method), ', ' ORDER BY x.referral_id) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = k $$;

-- Loads: orders that name a code, orders of somebody who clicked, orders of nobody here, a refund.
SELECT cdp.referral_click('web', 'c1', 'by-anna', '2026-02-01 10:00+00', '{"cookie": "cookie-one"}') \g /dev/null
SELECT cdp.identify('shop', '{"cookie": "cookie-one", "email": "p1@example.org"}', '{}', '2026-02-02 10:00+00') \g /dev/null
CREATE TABLE st (source_key text, occurred_at text, identifier_type text, identifier text, kind text, value text, currency text, refers_to text, properties text);
INSERT INTO st VALUES ('o1', '2026-02-02 10:00:00Z', 'email', 'p1@example.org', 'purchase', '80', 'EUR', NULL, NULL), ('o2', '2026-02-03 10:00:00Z', 'email', 'p2@example.org', 'order', '50', 'EUR', NULL, '{"referral_code": "By-Ben", "eligible": 40}'),
  ('o3', '2026-02-03 10:00:00Z', 'email', 'p3@example.org', 'purchase', '50', 'EUR', NULL, NULL), ('o4', '2026-02-03 10:00:00Z', 'email', 'p4@example.org', 'purchase', '50', 'EUR', NULL, '{"referral_code": "nobody-s"}'),
  ('r1', '2026-02-05 10:00:00Z', 'email', 'p1@example.org', 'refund', '-20', 'EUR', 'o1', NULL), ('k1', '2026-02-01 09:00:00Z', 'email', 'p5@example.org', 'referral_click', NULL, NULL, NULL, '{"referral_code": "by-ben"}'),
  ('o5', '2026-02-01 09:30:00Z', 'email', 'p5@example.org', 'sign_up', NULL, NULL, NULL, NULL);
SELECT load_id AS load FROM cdp.load_touchpoints('shop', 'st') \gset
SELECT is((SELECT taken FROM cdp.referral_tick()), 5::bigint, 'two orders, a registration, a click and a refund are taken in');
SELECT is((SELECT array_agg(source_key ORDER BY source_key) FROM cdp_data.referral_conversion), '{o1,o2,o5}', 'those of people with a click or a code');
SELECT is(pg_temp.state('o1') || ', ' || pg_temp.state('o2') || ', ' || pg_temp.state('o5'), 'approved click, approved code, approved click', 'and attributed');
SELECT is((SELECT array_agg(concat_ws(' ', value_minor, eligible_minor, currency) ORDER BY source_key) FROM cdp_data.referral_conversion), '{"8000 8000 EUR","5000 4000 EUR","0 0"}', 'money in minor units, what is eligible by its property');
SELECT is((SELECT f.amount_minor || ' ' || c.source_key FROM cdp_data.referral_refund f JOIN cdp_data.referral_conversion c USING (referral_conversion_id)), '2000 o1', 'the refund with its conversion');
SELECT is((SELECT decided FROM cdp.referral_tick()), 0::bigint, 'again changes nothing');
SELECT is((SELECT result FROM cdp.referral_convert('shop', 'o2', 'order', '2026-02-03 10:00:00Z', '{"email": "p2@example.org"}', 50, 'EUR', code => 'by-ben', ip => '203.0.113.5')), 'repeated', 'the shop tells the same order by a call');
SELECT is((SELECT ip_digest IS NOT NULL FROM cdp_data.referral_conversion WHERE source_key = 'o2'), true, 'which adds what only the call knows');

-- Corrections.
UPDATE st SET value = '60', properties = '{"referral_code": "By-Ben", "eligible": 45}' WHERE source_key = 'o2';
UPDATE st SET value = '-30' WHERE source_key = 'r1';
SELECT load_id AS second FROM cdp.load_touchpoints('shop', 'st') \gset
SELECT is((SELECT followed FROM cdp.referral_tick()), 2::bigint, 'corrected rows are followed');
SELECT is((SELECT value_minor || ' ' || eligible_minor FROM cdp_data.referral_conversion WHERE source_key = 'o2') || ' ' || (SELECT amount_minor FROM cdp_data.referral_refund), '6000 4500 3000', 'to their new amounts');
SELECT cdp.revert_load(:second) \g /dev/null
SELECT is((SELECT followed FROM cdp.referral_tick()), 2::bigint, 'and back');
SELECT is((SELECT value_minor || ' ' || eligible_minor FROM cdp_data.referral_conversion WHERE source_key = 'o2') || ' ' || (SELECT amount_minor FROM cdp_data.referral_refund), '5000 4000 2000', 'to the old ones');
SELECT cdp.revert_load(:load) \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT array_agg(retracted_at IS NOT NULL) FROM cdp_data.referral_conversion) || (SELECT array_agg(retracted_at IS NOT NULL) FROM cdp_data.referral_refund), '{t,t,t,t}', 'a load that is taken back takes its conversions');
SELECT is(pg_temp.state('o1') || ', ' || pg_temp.state('o2'), 'ineligible no_evidence click, ineligible no_evidence code', 'and their referrals');
SELECT cdp.retry_load(:load) \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('o1') || ', ' || pg_temp.state('o2'), 'approved click, approved code', 'done again, they count again');

-- Merges and unmerges.
SELECT cdp.referral_convert('web', 's1', 'sign_up', '2026-02-10 10:00+00', '{"email": "p6@example.org"}', code => 'by-anna'), cdp.referral_convert('web', 's2', 'sign_up', '2026-02-11 10:00+00', '{"email": "p7@example.org"}', code => 'by-ben') \g /dev/null
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'p6@example.org'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'p7@example.org'), 'one person') \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('s1') || ', ' || pg_temp.state('s2'), 'approved code, duplicate already_referred code', 'of two who become one the first referral stays');
SELECT cdp.unmerge(link => (SELECT max(link_id) FROM cdp_data.link WHERE kind = 'manual' AND state = 'active'), reason => 'two after all') \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('s1') || ', ' || pg_temp.state('s2'), 'approved code, review unmerged code', 'parted, the other one waits for somebody');
SELECT cdp.identify('web', '{"email": ["anna@example.org", "p6@example.org"]}') \g /dev/null
SELECT decided FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('s1'), 'ineligible same_person code', 'an advocate who becomes one with his friend');

-- What stands behind a referral, and an erasure.
SELECT is((SELECT array_agg(concat_ws(' ', method, code, counts, reason, explanation)) FROM cdp.explain_referral((SELECT x.referral_id FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'o1'))),
  '{"click by-anna t valid, and first in order"}', 'why it counts');
SELECT is((SELECT array_agg(concat_ws(' ', method, code, counts, reason)) FROM cdp.explain_referral((SELECT x.referral_id FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 's1'))),
  '{"code by-anna f same_person"}', 'or not');
SELECT throws_ok('SELECT cdp.explain_referral(-5)', '22023', NULL, 'a referral that is not there');
SELECT cdp.erase_customer(cdp.customer_of('email', 'p2@example.org')) \g /dev/null
SELECT is((SELECT count(*) FROM cdp.referral_tick()), 1::bigint, 'the job passes over an erased person');
SELECT is((SELECT string_agg(concat_ws(' ', state, method), ',') FROM cdp_data.referral x WHERE EXISTS (SELECT FROM cdp_data.referral_conversion c WHERE c.referral_conversion_id = x.first_conversion_id AND c.identifier_id < 0)), 'approved code', 'whose referral stays as it was decided');
SELECT cdp.erase_customer(cdp.customer_of('email', 'ben@example.org')) \g /dev/null
SELECT is((SELECT count(*) FROM cdp.referral_tick()), 1::bigint, 'and over an erased advocate');
SELECT is((SELECT count(*) FROM cdp_data.referral_code WHERE code ~ 'ben' OR revoked_reason = 'erased'), 1::bigint, 'whose code has ended and lost its text');
-- The text of an erased advocate is given to somebody else: whom he brought stays his.
SELECT cdp.identify('shop', jsonb_build_object('user_id', u, 'email', u || '@example.org')) FROM unnest('{eve,second}'::text[]) u \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'eve'), 'by-eve', issued_at => '2026-01-05 00:00+00') \g /dev/null
TRUNCATE st;
INSERT INTO st VALUES ('e1', '2026-02-03 10:00:00Z', 'email', 'pe1@example.org', 'purchase', '50', 'EUR', NULL, '{"referral_code": "by-eve"}'),
  ('e2', '2026-02-01 10:00:00Z', 'email', 'pe2@example.org', 'referral_click', NULL, NULL, NULL, '{"referral_code": "by-eve"}'), ('e3', '2026-02-03 10:00:00Z', 'email', 'pe2@example.org', 'sign_up', NULL, NULL, NULL, NULL);
SELECT load_id FROM cdp.load_touchpoints('shop', 'st') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('e1') || ', ' || pg_temp.state('e3'), 'approved code, approved click', 'friends of somebody who is erased');
SELECT cdp.erase_customer(cdp.customer_of('email', 'eve@example.org')) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', k.source_key, t.properties ? 'referral_code', jsonb_typeof(t.properties -> 'referral_code_id')), ', ' ORDER BY k.source_key) FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key IN ('e1', 'e2')), 'e1 f number, e2 f number', 'the text of his code is in no touchpoint of theirs');
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'second'), 'by-eve', issued_at => '2026-01-06 00:00+00') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('email', e, 'cookie', 'cookie-' || e)) FROM unnest('{pe1@example.org,pe2@example.org}'::text[]) e \g /dev/null
SELECT cdp.referral_convert('shop', 'e4', 'purchase', '2026-02-05 10:00:00Z', jsonb_build_object('email', e), 5, 'EUR') FROM unnest('{pe1@example.org}'::text[]) e \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('e1') || ', ' || pg_temp.state('e3'), 'approved code, approved click', 'stay as they are when his text is given again');
SELECT is((SELECT count(*) FROM cdp_data.referral x WHERE x.referrer_id = cdp.customer_of('user_id', 'second')), 0::bigint, 'its new owner did not bring them');
SELECT is((SELECT count(*) FROM cdp_data.referral_conversion c JOIN cdp_data.referral_code k USING (referral_code_id) WHERE c.source_key = 'e1' AND k.erased_at IS NOT NULL) + (SELECT count(*) FROM cdp_data.referral_click c JOIN cdp_data.referral_code k USING (referral_code_id) WHERE c.source_key = 'e2' AND k.erased_at IS NOT NULL), 2::bigint, 'order and click keep the code that has ended');
DELETE FROM cdp_data.feed_cursor WHERE consumer = 'referral';
CREATE TABLE before AS SELECT md5(string_agg(r::text, '|' ORDER BY referral_id)) AS m FROM cdp_data.referral r;
SELECT is((SELECT decided FROM cdp.referral_tick()), 0::bigint, 'a full pass changes nothing');
SELECT is((SELECT md5(string_agg(r::text, '|' ORDER BY referral_id)) FROM cdp_data.referral r), (SELECT m FROM before), 'not a row');
-- Late news by whatever road: a click after the order was passed over, a call after the refund was, a code after the order.
TRUNCATE st;
INSERT INTO st VALUES ('x1', '2026-02-12 10:00:00Z', 'email', 'p21@example.org', 'purchase', '80', 'EUR', NULL, NULL), ('x2', '2026-02-12 10:00:00Z', 'email', 'p22@example.org', 'purchase', '80', 'EUR', NULL, NULL), ('f2', '2026-02-13 10:00:00Z', 'email', 'p22@example.org', 'refund', '-30', 'EUR', 'x2', NULL),
  ('x3', '2026-02-12 10:00:00Z', 'email', 'p23@example.org', 'purchase', '80', 'EUR', NULL, '{"referral_code_id": 1, "referral_click_id": 1}'), ('x4', '2025-01-12 10:00:00Z', 'email', 'p24@example.org', 'purchase', '80', 'EUR', NULL, NULL),
  ('x5', '2026-02-12 10:00:00Z', 'email', 'p25@example.org', 'sign_up', NULL, NULL, NULL, '{"referral_code": "by-ann"}'), ('x6', '2026-02-12 10:00:00Z', 'email', 'p26@example.org', 'purchase', '80', 'EUR', NULL, '{"referral_code": "trial-of-anna"}'),
  ('x7', '2026-02-12 10:00:00Z', 'email', 'p27@example.org', 'purchase', '70', 'USD', NULL, '{"referral_code": "by-carl"}'), ('f7', '2026-02-14 10:00:00Z', 'email', 'p27@example.org', 'refund', '-10', 'EUR', 'x7', NULL), ('f8', '2026-02-14 10:00:00Z', 'email', 'p27@example.org', 'refund', '-10', 'GBP', 'x7', NULL);
SELECT cdp.identify('shop', jsonb_build_object('user_id', u, 'email', u || '@example.org')) FROM unnest('{carl,dan}'::text[]) u \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', u), 'by-' || u, issued_at => '2026-01-05 00:00+00') FROM unnest('{carl,dan}'::text[]) u \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'carl'), 'trial-of-anna', is_test => true, issued_at => '2026-01-05 00:00+00') \g /dev/null
INSERT INTO cdp_data.currency_rate (currency, base, valid_from, rate) VALUES ('USD', 'EUR', '2026-01-01', 0.5), ('EUR', 'USD', '2025-01-01', 9);
SELECT load_id AS load FROM cdp.load_touchpoints('shop', 'st') \gset
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT array_agg(source_key ORDER BY source_key) FROM cdp_data.referral_conversion WHERE source_key ~ '^x'), '{x7}', 'numbers of codes and codes for tests are nothing to name, codes that are none neither');
SELECT is((SELECT string_agg(concat_ws(' ', f.source_key, f.amount_minor), ',') FROM cdp_data.referral_refund f JOIN cdp_data.referral_conversion c USING (referral_conversion_id) WHERE c.source_key = 'x7'), 'f7 2000', 'a refund in another currency by the rate of its day, either way; none without a rate');
SELECT cdp.referral_click('web', 'k21', 'by-dan', '2026-02-12 09:00+00', '{"email": "p21@example.org"}') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('x1'), 'approved click', 'a click that came late finds the order that was passed over');
SELECT is((SELECT result || ' ' || state FROM cdp.referral_convert('shop', 'x2', 'purchase', '2026-02-12 10:00:00Z', '{"email": "p22@example.org"}', 80, 'EUR', code => 'by-dan')), 'recorded approved', 'an order that was loaded, and is told by a call');
SELECT is((SELECT amount_minor FROM cdp_data.referral_refund WHERE source_key = 'f2'), 3000::bigint, 'brings its refund along');
SELECT cdp.referral_convert('shop', 'y3', 'sign_up', '2026-02-01 10:00:00Z', '{"email": "p23@example.org"}') \g /dev/null
SELECT is((SELECT referral_code_id FROM cdp_data.referral_conversion WHERE source_key = 'x3'), NULL, 'another order of a person of whom we know now, without a code');
SELECT is((SELECT result || ' ' || code_result || ' ' || state FROM cdp.referral_convert('shop', 'x3', 'purchase', '2026-02-12 10:00:00Z', '{"email": "p23@example.org"}', 80, 'EUR', code => 'by-dan')), 'repeated found approved', 'the code that only the call knows is added');
SELECT is((SELECT result FROM cdp.referral_convert('shop', 'x3', 'purchase', '2026-02-12 10:00:00Z', '{"email": "p23@example.org"}', 80, 'EUR')), 'repeated', 'none told is no other');
SELECT throws_ok($$SELECT cdp.referral_convert('shop', 'x3', 'purchase', '2026-02-12 10:00:00Z', '{"email": "p23@example.org"}', 80, 'EUR', code => 'by-carl')$$, '23505', NULL, 'another one is refused');
SELECT is((SELECT state || ' ' || reason FROM cdp.referral_convert('shop', 'y4', 'purchase', '2026-02-12 10:00:00Z', '{"email": "p24@example.org"}', 80, 'EUR', code => 'by-dan')), 'ineligible existing_customer', 'who bought a year ago is no new customer');
DELETE FROM cdp_data.touchpoint_key WHERE source_key = 'x4';
DELETE FROM cdp_data.touchpoint WHERE occurred_at < '2025-02-01';
DELETE FROM cdp_data.feed_cursor WHERE consumer = 'referral';
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('y4'), 'ineligible existing_customer code', 'nor when that order is past its retention');
UPDATE st SET properties = '{"referral_code": "By-Dan"}' WHERE source_key IN ('x5', 'x7');
SELECT load_id FROM cdp.load_touchpoints('shop', 'st') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT string_agg(k.code, ',' ORDER BY c.source_key) FROM cdp_data.referral_conversion c JOIN cdp_data.referral_code k USING (referral_code_id) WHERE c.source_key IN ('x5', 'x7')), 'by-dan,by-dan', 'a corrected code is followed');
SELECT is((SELECT state || ' ' || reason FROM cdp.referral_convert('shop', 'y6', 'purchase', '2026-02-13 10:00:00Z', '{"email": "p28@example.org"}', 8, 'EUR', code => 'trial-of-anna')) || '; ' || (SELECT concat_ws(' ', referral_id, reason) FROM cdp.referral_convert('shop', 'y7', 'purchase', '2026-02-14 10:00:00Z', '{"email": "p28@example.org"}', 8, 'EUR')), 'approved test; no_evidence', 'the order of a tester is no test');
SELECT is((SELECT string_agg(a, ',' ORDER BY a) FROM unnest('{Mozilla/5.0 (Linux; Android 13; CUBOT X70) Chrome,cubot_note,Googlebot/2.1,bingbot,MyBot 3}'::text[]) a WHERE cdp_internal.is_bot_agent(a)), 'Googlebot/2.1,MyBot 3,bingbot', 'telephones of a make are no robots');
UPDATE cdp_data.setting SET referral_guesses = 2;
SELECT is((SELECT string_agg(r.result, ' ' ORDER BY n) FROM unnest('{2001:db8:1:2::5,2001:db8:1:2:3::9,2001:db8:1:2:7::1,2001:db8:1:3::1}'::inet[]) WITH ORDINALITY AS u (a, n) CROSS JOIN LATERAL cdp.referral_click('web', 'g' || n, 'nobody-' || n, '2026-02-01', '{}', a) r), 'unknown_code unknown_code throttled unknown_code', 'who guesses from all of his network');
SELECT is((SELECT array_agg(DISTINCT r.result) FROM generate_series(1, 200) n CROSS JOIN LATERAL cdp.referral_share('web', 'gs' || n, 'nobody-' || n, 'wechat', '2026-02-01') r) || (SELECT r.result FROM cdp.referral_share('web', 'gs', 'by-dan', 'wechat', '2026-02-01') r), '{unknown_code,throttled}', 'or by sharing');
SELECT is((SELECT r.result FROM cdp.referral_share('web', 'gs', 'by-dan', 'wechat', '2026-02-01', '[]') r) || ' ' || (SELECT r.result FROM cdp.referral_click('web', 's1', 'by-dan', '2026-02-01') r), 'throttled throttled', 'no error says that it is a code: not of a recipient that is none, not of the key of an order');
SELECT is((SELECT count(*) FROM cdp_data.referral_share WHERE source_key = 'gs'), 0::bigint, 'nothing is kept');
-- Known visitors without an address count for their source: cookies cost nothing.
DELETE FROM cdp_data.referral_guess;
UPDATE cdp_data.setting SET referral_guesses = 1;
SELECT cdp.track('web', 'page_view', jsonb_build_object('cookie', 'guess-cookie-' || n), '{}', '2026-02-01 10:00+00', 'gv' || n) FROM generate_series(1, 101) n \g /dev/null
SELECT is((SELECT string_agg(DISTINCT r.result, ',') FROM generate_series(1, 100) n CROSS JOIN LATERAL cdp.referral_click('web', 'gc' || n, 'nobody-' || n, '2026-02-01 11:00+00', jsonb_build_object('cookie', 'guess-cookie-' || n)) r), 'unknown_code', 'who shows another cookie each time');
SELECT is((SELECT concat_ws(' ', r.result, r.referral_click_id, r.customer_id) FROM cdp.referral_click('web', 'gc101', 'by-dan', '2026-02-01 11:00+00', '{"cookie": "guess-cookie-101"}') r) || ' ' || (SELECT r.result FROM cdp.referral_click('web', 'gc102', 'nobody', '2026-02-01 11:00+00', '{"cookie": "guess-cookie-101"}') r), 'throttled throttled', 'is told nothing in the end');
SELECT is((SELECT count(*) FROM cdp_data.referral_click WHERE source_key ~ '^gc'), 0::bigint, 'and nothing is kept of him');
SELECT is((SELECT r.code_result FROM cdp.referral_convert('web', 'gc103', 'sign_up', '2026-02-01 12:00+00', '{"email": "gc103@example.org"}', code => 'by-dan') r), 'throttled', 'an order of somebody else by the same source');
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('gc103'), 'approved code', 'counts when the job has looked its code up');
-- An order of somebody who is not looked up for keeps what was typed.
DELETE FROM cdp_data.referral_guess;
SELECT is((SELECT code_result FROM cdp.referral_convert('shop', 'gt1', 'sign_up', '2026-02-10 10:00+00', '{"email": "gt@example.org"}', code => 'nobody', ip => '192.0.2.77')) || ' ' ||
  (SELECT concat_ws(' ', code_result, state) FROM cdp.referral_convert('shop', 'gt2', 'purchase', '2026-02-11 10:00+00', '{"email": "gt@example.org"}', 8, 'EUR', code => 'By-Dan', ip => '192.0.2.77')), 'unknown_code throttled', 'an order with a good code after too many bad ones');
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(pg_temp.state('gt2'), 'approved code', 'the job takes its code');
TRUNCATE st;
INSERT INTO st SELECT k, '2026-02-12 10:00:00Z', 'email', k || '@example.org', CASE WHEN k = 'ta2' THEN 'referral_click' ELSE 'purchase' END, CASE WHEN k <> 'ta2' THEN '80' END, CASE WHEN k <> 'ta2' THEN 'EUR' END, NULL, t
FROM (VALUES ('ta1', '{"referral_code": "by-carl"}'), ('ta2', '{"referral_code": "by-carl"}'), ('ta3', '{"referral_code": "later-1"}'), ('ta4', '{"referral_code": "later-1"}'), ('ta5', NULL), ('ta6', '{"referral_code": "later-1"}')) v (k, t);
SELECT load_id FROM cdp.load_touchpoints('shop', 'st') \g /dev/null
CREATE FUNCTION pg_temp.buy(k text, code text, ip inet DEFAULT NULL) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT concat_ws(' ', result, code_result, state, reason) FROM cdp.referral_convert('shop', k, 'purchase', '2026-02-12 10:00:00Z', jsonb_build_object('email', k || '@example.org'), 80, 'EUR', code => code, ip => ip) $$;
SELECT is(pg_temp.buy('ta5', 'By-Dan', '192.0.2.77') || ', ' || pg_temp.buy('ta5', 'by-carl', '192.0.2.77'), 'recorded throttled no_evidence, repeated throttled no_evidence', 'one that a load brought without a code');
SELECT pg_temp.buy('gt5', 'By-Dan', '192.0.2.77') \g /dev/null
DELETE FROM cdp_data.referral_guess;
-- What stands on the touchpoint is what was typed, whether the job has looked it up or not.
SELECT throws_ok($$SELECT pg_temp.buy('gt5', 'by-carl')$$, '23505', NULL, 'what was typed while nothing was looked up is not replaced');
SELECT is(pg_temp.buy('gt5', 'by-dan'), 'repeated found approved', 'and found when it is told again');
SELECT throws_ok($$SELECT pg_temp.buy('ta1', 'by-dan')$$, '23505', NULL, 'nor is the code of a loaded order, before the job');
SELECT throws_ok($$SELECT result FROM cdp.referral_click('shop', 'ta2', 'by-dan', '2026-02-12 10:00:00Z', '{"email": "ta2@example.org"}')$$, '23505', NULL, 'nor that of a loaded click');
SELECT is(pg_temp.buy('ta3', 'by-dan'), 'recorded found approved', 'a text that is no code stands for nothing');
SELECT is(pg_temp.buy('ta4', NULL), 'recorded no_evidence', 'nor does it count');
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'carl'), 'later-1', issued_at => '2026-03-01 00:00+00') \g /dev/null
DELETE FROM cdp_data.feed_cursor WHERE consumer = 'referral';
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is(concat_ws(', ', pg_temp.state('ta1'), pg_temp.state('ta3'), pg_temp.state('ta4'), pg_temp.state('ta5'), pg_temp.state('gt5')), 'approved code, approved code, approved code, approved code', 'the job looks up what stands there; what became a code later named nobody');
SELECT is((SELECT string_agg(c.source_key || ' ' || k.code, ', ' ORDER BY c.source_key) FROM cdp_data.referral_conversion c JOIN cdp_data.referral_code k USING (referral_code_id) WHERE c.source_key ~ '^ta'), 'ta1 by-carl, ta3 by-dan, ta5 by-dan', 'each with its own');
SELECT throws_ok($$SELECT pg_temp.buy('ta1', 'by-dan')$$, '23505', NULL, 'after the job as before it');
SELECT is(pg_temp.buy('ta4', 'by-eve') || ', ' || pg_temp.buy('ta6', 'by-eve'), 'repeated found approved, recorded found approved', 'and the right code may still be told');
-- A name of a site that is too long is none, by whatever road.
SELECT cdp.track('web', 'referral_click', '{"cookie": "cookie-long"}', '{"referral_code": "by-dan"}', '2026-02-01 10:00+00', 'lh1', origin => jsonb_build_object('referrer_host', repeat('é', 200))) \g /dev/null
SELECT is((SELECT taken FROM cdp.referral_tick()), 1::bigint, 'the job goes on');
SELECT is((SELECT result FROM cdp.referral_click('web', 'lh2', 'by-dan', '2026-02-01 10:00+00', '{"cookie": "cookie-long"}', referrer => 'https://' || repeat('É', 200) || '/x')), 'recorded', 'a call, too');
SELECT is((SELECT recorded FROM cdp.load_referral_clicks('web', jsonb_build_array(jsonb_build_object('source_key', 'lh3', 'occurred_at', '2026-02-01T10:00:00Z', 'code', 'by-dan', 'identifiers', '{"cookie": "cookie-long"}'::jsonb, 'referrer', repeat('é', 200)), jsonb_build_object('source_key', 'lh4', 'occurred_at', '2026-02-01T10:00:00Z', 'code', 'by-dan', 'referrer', repeat('é', 127))))), 2::bigint, 'and a batch');
SELECT is((SELECT string_agg(octet_length(referrer_host)::text, ' ' ORDER BY source_key) FROM cdp_data.referral_click WHERE source_key ~ '^lh'), '0 0 0 254', 'with what fits');
-- The text of an erased advocate's code, in versions that are not in force any more.
SELECT cdp.identify('shop', '{"email": "fay@example.org"}') \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('email', 'fay@example.org'), 'by-fay', issued_at => '2026-01-05 00:00+00') \g /dev/null
TRUNCATE st;
INSERT INTO st VALUES ('tf1', '2026-02-12 10:00:00Z', 'email', 'tf1@example.org', 'purchase', '80', 'EUR', NULL, '{"referral_code": "By-Fay"}');
SELECT load_id FROM cdp.load_touchpoints('shop', 'st') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
UPDATE st SET value = '90', properties = NULL;
SELECT load_id AS load FROM cdp.load_touchpoints('shop', 'st') \gset
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT cdp.erase_customer(cdp.customer_of('email', 'fay@example.org')) \g /dev/null
SELECT is((SELECT array_agg(concat_ws(' ', properties ? 'referral_code', jsonb_typeof(properties -> 'referral_code_id'))) FROM cdp_data.touchpoint_retracted WHERE source_key = 'tf1'), '{f number}', 'the text is in no earlier version');
SELECT cdp.revert_load(:load) \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT concat_ws(' ', t.value, t.properties ? 'referral_code', pg_temp.state('tf1')) FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = 'tf1'), '80.000000 f approved code', 'nor when that one is in force again');
-- Everybody whom a decision may touch, before the first row.
SELECT cdp.customer_of('user_id', 'dan') AS dan, cdp.customer_of('email', 'gt@example.org') AS gt \gset
SELECT is((SELECT array_agg(c) FROM cdp_internal.referral_circle(ARRAY[:gt, NULL, :gt]) c), ARRAY[:gt]::bigint[], 'the circle of one with one level');
SELECT is((SELECT :gt = ANY (array_agg(c)) AND :dan = ANY (array_agg(c)) FROM cdp_internal.referral_circle(ARRAY[:dan], true) c), true, 'of an advocate who changed: whom he brought');
SELECT is((SELECT count(*) FROM cdp_internal.referral_circle(ARRAY[:dan]) c), 1::bigint, 'not of one who only bought');
SELECT cdp.issue_referral_code('friends', :gt, 'by-gt', issued_at => '2026-01-06 00:00+00') \g /dev/null
SELECT cdp.referral_convert('shop', 'gt3', 'sign_up', '2026-02-12 10:00+00', '{"email": "gt3@example.org"}', code => 'by-gt') \g /dev/null
SELECT cdp.create_referral_campaign('deep'), cdp.set_referral_terms('deep', '{"levels": 2}', '[{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 5}]', valid_from => '2026-01-01') \g /dev/null
SELECT is((SELECT count(*) FROM cdp_internal.referral_circle(ARRAY[:dan], true) c WHERE c IN (:dan, :gt, cdp.customer_of('email', 'gt3@example.org'))), 3::bigint, 'with two levels those whom they brought, too');
SELECT is((SELECT count(*) FROM cdp_internal.referral_circle(ARRAY[:dan]) c WHERE c IN (:dan, :gt)), 2::bigint, 'and of who bought those whom he brought');
SELECT result FROM cdp.referral_convert('shop', 'gt4', 'purchase', '2026-02-13 10:00+00', '{"email": "gt@example.org", "cookie": "gt-cookie"}', 3, 'EUR') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
-- One of three in a row by a load.
SELECT cdp.activate_referral_campaign('deep', '2026-01-10 00:00+00') \g /dev/null
SELECT cdp.issue_referral_code('deep', :dan, 'deep-dan', issued_at => '2026-01-11 00:00+00'), cdp.issue_referral_code('deep', cdp.customer_of('email', 'gt3@example.org'), 'deep-gt3', issued_at => '2026-01-11 00:00+00') \g /dev/null
TRUNCATE st;
INSERT INTO st VALUES ('lv1', '2026-02-14 10:00:00Z', 'email', 'gt3@example.org', 'purchase', '5', 'EUR', NULL, '{"referral_code": "deep-dan"}'), ('lv2', '2026-02-15 10:00:00Z', 'email', 'lv2@example.org', 'purchase', '5', 'EUR', NULL, '{"referral_code": "deep-gt3"}');
SELECT load_id FROM cdp.load_touchpoints('shop', 'st') \g /dev/null
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', c.source_key, r.level, r.state, CASE cdp_internal.root_of(r.referrer_id) WHEN :dan THEN 'dan' WHEN cdp.customer_of('email', 'gt3@example.org') THEN 'gt3' END), ', ' ORDER BY c.source_key, r.level) FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id WHERE c.source_key ~ '^lv'), 'lv1 1 approved dan, lv2 1 approved gt3, lv2 2 approved dan', 'the job gives the second level, too');
SELECT * FROM finish();

-- Who referred whom: each rule of the attribution at its border, what merges, unmerges, late news and refunds change, and that
-- doing it again changes nothing. Fraud is not asked here: no evidence of it is given.
BEGIN;
SELECT plan(83);
SET timezone = 'Pacific/Chatham';
SELECT cdp.add_source('web'), cdp.add_source('shop') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('user_id', u)) FROM unnest('{anna,ben,carl,dora,eve,fay}'::text[]) u \g /dev/null
CREATE FUNCTION pg_temp.who(u text) RETURNS bigint LANGUAGE sql RETURN cdp.customer_of('user_id', u);
SELECT cdp.create_referral_campaign(c, campaign_group => g) FROM (VALUES ('friends', 'one'), ('more', 'one'), ('buyers', 'two'), ('last', 'three'), ('deep', 'four'), ('late', 'five')) v (c, g) \g /dev/null
SELECT cdp.set_referral_terms(c, t::jsonb, '[{"rule": "r", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 5}]', valid_from => '2026-01-01 00:00+00') FROM (VALUES
  ('friends', '{"weights": {"ctit.fast": 0}}'), ('more', '{}'), ('buyers', '{"signup_kinds": [], "existing_lookback": "180 days"}'), ('last', '{"model": "last_valid_click", "code_first": false, "signup_kinds": [], "network_match": true}'),
  ('deep', '{"levels": 2}'), ('late', '{}')) v (c, t) \g /dev/null
SELECT cdp.activate_referral_campaign(c, '2026-01-10 00:00+00') FROM unnest('{friends,more,buyers,last,deep}'::text[]) c \g /dev/null
CREATE FUNCTION pg_temp.code(c text, u text) RETURNS text LANGUAGE sql RETURN c || '-of-' || u;
SELECT cdp.issue_referral_code(c, pg_temp.who(u), pg_temp.code(c, u), issued_at => '2026-01-05 00:00+00') FROM unnest('{friends,more,buyers,last,deep,late}'::text[]) c, unnest('{anna,ben,carl}'::text[]) u \g /dev/null
SELECT cdp.issue_referral_code('friends', pg_temp.who('fay'), 'friends-of-fay', issued_at => '2026-01-06 00:00+00') \g /dev/null

-- click(key, who clicked, code, when) and buy(key, who, when, options): what the call says of the referral.
CREATE FUNCTION pg_temp.click(k text, ids jsonb, c text, at timestamptz, agent text DEFAULT 'Mozilla/5.0', ip inet DEFAULT NULL, pre boolean DEFAULT false) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT result FROM cdp.referral_click('web', k, c, at, ids, ip, agent, prefetch => pre) $$;
CREATE FUNCTION pg_temp.buy(k text, ids jsonb, at timestamptz, kind text DEFAULT 'purchase', code text DEFAULT NULL, click text DEFAULT NULL, advocate jsonb DEFAULT NULL, ip inet DEFAULT NULL, test boolean DEFAULT false) RETURNS text LANGUAGE plpgsql VOLATILE AS
$$ DECLARE r record; BEGIN
  r := cdp.referral_convert('web', k, kind, at, ids, 100, 'EUR', code => code, click => click, advocate => advocate, ip => ip, user_agent => CASE WHEN ip IS NOT NULL THEN 'Mozilla/5.0' END, is_test => test);
  RETURN (SELECT concat_ws(' ', x.state, x.reason, x.method, replace(k.code, 'friends-of-', '')) FROM cdp_data.referral x LEFT JOIN cdp_data.referral_code k USING (referral_code_id) WHERE x.referral_id = r.referral_id); END $$;
CREATE FUNCTION pg_temp.c(n text) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('cookie', 'cookie-of-' || n);
CREATE FUNCTION pg_temp.m(n text) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('cookie', 'cookie-of-' || n, 'email', n || '@example.org');

-- The plain case, and each condition at its border.
SELECT pg_temp.click('c1', pg_temp.c('p1'), 'friends-of-anna', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b1', pg_temp.m('p1'), '2026-02-02 10:00+00'), 'approved click anna', 'a friend clicks, and buys');
SELECT is(pg_temp.buy('b1b', pg_temp.m('p1'), '2026-02-03 10:00+00', code => 'friends-of-ben'), 'approved click anna', 'what he buys later goes with it, whatever is typed');
SELECT is((SELECT count(*) FROM cdp_data.referral), 1::bigint, 'one referral');
SELECT is(pg_temp.buy('b2', pg_temp.m('p2'), '2026-02-02 10:00+00'), NULL, 'who has no evidence has no referral');
SELECT pg_temp.click('c3', pg_temp.c('p3'), 'friends-of-anna', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b3', pg_temp.m('p3'), '2026-03-03 09:59:59.999999+00'), 'approved click anna', 'the last moment of the window');
SELECT pg_temp.click('c4', pg_temp.c('p4'), 'friends-of-anna', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b4', pg_temp.m('p4'), '2026-03-03 10:00+00'), 'ineligible outside_window click anna', 'its end is not in it');
SELECT pg_temp.click('c5', pg_temp.c('p5'), 'friends-of-anna', '2026-02-02 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b5', pg_temp.c('p5'), '2026-02-02 10:00+00'), 'approved click anna', 'a click at the moment of the purchase, by a cookie alone');
SELECT pg_temp.click('c6', pg_temp.c('p6'), 'friends-of-anna', '2026-02-02 10:00:01+00') \g /dev/null
SELECT is(pg_temp.buy('b6', pg_temp.m('p6'), '2026-02-02 10:00+00'), NULL, 'a click after it is none');
SELECT pg_temp.click('c7', pg_temp.c('p7'), 'friends-of-anna', '2026-02-01 10:00+00', 'Googlebot/2.1') \g /dev/null
SELECT is(pg_temp.buy('b7', pg_temp.m('p7'), '2026-02-02 10:00+00'), 'ineligible bot click anna', 'a robot');
SELECT pg_temp.click('c8', pg_temp.c('p8'), 'friends-of-anna', '2026-02-01 10:00+00', pre => true) \g /dev/null
SELECT is(pg_temp.buy('b8', pg_temp.m('p8'), '2026-02-02 10:00+00'), 'ineligible prefetch click anna', 'a page fetched ahead');
SELECT pg_temp.click('c9', pg_temp.c('p9'), 'friends-of-anna', '2026-01-09 23:59:59+00') \g /dev/null
SELECT is(pg_temp.buy('b9', pg_temp.m('p9'), '2026-02-02 10:00+00'), 'ineligible no_active_campaign click anna', 'before the campaign');
SELECT pg_temp.click('c10', pg_temp.c('p10'), 'friends-of-anna', '2026-01-10 00:00+00') \g /dev/null
SELECT is(pg_temp.buy('b10', pg_temp.m('p10'), '2026-02-02 10:00+00'), 'approved click anna', 'at its beginning');
SELECT is(pg_temp.buy('b11', pg_temp.m('p11'), '2026-02-02 10:00+00', code => 'late-of-anna'), 'ineligible no_active_campaign code late-of-anna', 'a campaign that never began');
UPDATE cdp_data.referral_code SET expires_at = '2026-02-01 00:00+00' WHERE code = 'friends-of-carl';
SELECT is(pg_temp.buy('b12', pg_temp.m('p12'), '2026-02-01 00:00+00', code => 'friends-of-carl'), 'ineligible code_inactive code carl', 'a code at the moment at which it expires');
SELECT is(pg_temp.buy('b13', pg_temp.m('p13'), '2026-01-31 23:59:59+00', code => 'Friends-of-Carl'), 'approved code carl', 'and just before');
SELECT cdp.add_to_fraud_list('denied_host', 'host', 'coupons.example') \g /dev/null
UPDATE cdp_data.fraud_list SET added_at = '2026-01-20 00:00+00';
SELECT r2.result FROM cdp.referral_click('web', 'c140', 'friends-of-anna', '2026-01-19 10:00+00', pg_temp.c('p140'), referrer => 'https://best.Coupons.example/x'), cdp.referral_click('web', 'c141', 'friends-of-anna', '2026-01-20 00:00+00', pg_temp.c('p141'), referrer => 'https://best.Coupons.example/x') r2 \g /dev/null
SELECT is(pg_temp.buy('b140', pg_temp.m('p140'), '2026-02-01 10:00+00') || '; ' || pg_temp.buy('b141', pg_temp.m('p141'), '2026-02-01 10:00+00'), 'review fraud_score click anna; ineligible denied_referrer click anna', 'a site on the list, from then on; what came before is looked at');
SELECT is(pg_temp.buy('b14', '{"user_id": "anna"}', '2026-02-02 10:00+00', code => 'friends-of-anna'), 'ineligible self_referral code anna', 'nobody refers himself');

-- Who is known already.
SELECT pg_temp.buy('b15a', pg_temp.m('p15'), '2026-01-15 10:00+00', 'sign_up'), pg_temp.click('c15', pg_temp.c('p15'), 'friends-of-anna', '2026-01-15 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b15', pg_temp.m('p15'), '2026-02-02 10:00+00'), 'ineligible known_before_click click anna', 'a click at the moment of the registration comes too late');
SELECT pg_temp.click('c16', pg_temp.c('p16'), 'friends-of-anna', '2026-01-15 09:59:59+00') \g /dev/null
SELECT is(pg_temp.buy('b16a', pg_temp.m('p16'), '2026-01-15 10:00+00', 'sign_up'), 'approved click anna', 'just before it counts, with the registration');
SELECT is(pg_temp.buy('b16', pg_temp.m('p16'), '2026-02-02 10:00+00'), 'approved click anna', 'and the purchase goes with it');
SELECT cdp.track('shop', 'newsletter', '{"email": "p17@example.org"}', '{}', '2026-01-12 10:00+00') \g /dev/null
SELECT pg_temp.click('c17', pg_temp.c('p17'), 'friends-of-anna', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b17', pg_temp.m('p17'), '2026-02-02 10:00+00'), 'ineligible known_before_click click anna', 'without a registration, whose address was known is known');
SELECT pg_temp.click('c18', pg_temp.c('p18'), 'buyers-of-anna', '2026-02-01 10:00+00') \g /dev/null
SELECT cdp.track('shop', 'newsletter', '{"email": "p18@example.org"}', '{}', '2026-01-12 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b18', pg_temp.m('p18'), '2026-02-02 10:00+00'), 'approved click buyers-of-anna', 'which a campaign without registrations does not ask');
SELECT is(pg_temp.buy('b19', pg_temp.m('p1'), '2026-02-09 10:00+00', code => 'buyers-of-ben'), 'approved click anna', 'another group, for a customer') ;
SELECT is((SELECT string_agg(x.reason, ' ') FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b19'), 'existing_customer', 'is no referral there: he had bought');
SELECT cdp.track('shop', 'order', '{"email": "p20@example.org"}', '{}', '2025-08-05 10:00:00+00', value => 5) \g /dev/null
SELECT is(pg_temp.buy('b20', pg_temp.m('p20'), '2026-02-01 10:00:01+00', code => 'buyers-of-ben'), 'approved code buyers-of-ben', 'who bought longer ago than the look-back is new again');
SELECT cdp.track('shop', 'order', '{"email": "p21@example.org"}', '{}', '2025-08-05 10:00:00+00', value => 5) \g /dev/null
SELECT is(pg_temp.buy('b21', pg_temp.m('p21'), '2026-02-01 10:00:00+00', code => 'buyers-of-ben'), 'ineligible existing_customer code buyers-of-ben', 'its border is in it');
SELECT is(pg_temp.buy('b22', pg_temp.m('p20'), '2026-02-02 10:00:00+00', code => 'friends-of-ben'), 'approved code buyers-of-ben', 'and where there is none');
SELECT is((SELECT count(*) FROM cdp_data.referral WHERE reason = 'existing_customer' AND campaign_group = 'one' AND referee_id = cdp.customer_of('email', 'p20@example.org')), 1::bigint, 'who ever bought is no new customer');

-- The order of evidence.
SELECT pg_temp.click('c30', pg_temp.c('p30'), 'friends-of-ben', '2026-02-01 10:00+00'), pg_temp.click('c31', pg_temp.c('p30'), 'friends-of-anna', '2026-02-01 09:00+00'), pg_temp.click('c32', pg_temp.c('p30'), 'more-of-carl', '2026-02-01 08:00+00', 'Googlebot/2.1') \g /dev/null
SELECT is(pg_temp.buy('b30', pg_temp.m('p30'), '2026-02-02 10:00+00'), 'approved click anna', 'the first valid click');
SELECT pg_temp.click('c33', pg_temp.c('p33'), 'last-of-ben', '2026-02-01 10:00+00'), pg_temp.click('c34', pg_temp.c('p33'), 'last-of-anna', '2026-02-01 09:00+00') \g /dev/null
SELECT is(pg_temp.buy('b33', pg_temp.m('p33'), '2026-02-02 10:00+00', code => 'last-of-carl'), 'approved click last-of-ben', 'or the last, and before a code, where the terms say so');
SELECT pg_temp.click('c35', pg_temp.c('p35'), 'friends-of-ben', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b35', pg_temp.m('p35'), '2026-02-02 10:00+00', code => 'friends-of-anna'), 'approved code anna', 'a code goes before clicks');
SELECT pg_temp.click('c36', pg_temp.c('p36'), 'friends-of-ben', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b36', pg_temp.m('p36'), '2026-02-02 10:00+00', advocate => '{"user_id": "fay"}'), 'approved click ben', 'a click before a name');
SELECT is(pg_temp.buy('b37', pg_temp.m('p37'), '2026-02-02 10:00+00', advocate => '{"user_id": "fay"}'), 'approved claim fay', 'the name of an advocate');
SELECT cdp.referral_share('web', 's38', 'friends-of-ben', 'email', '2026-02-01 10:00+00', '{"email": "P38@Example.org"}') \g /dev/null
SELECT is(pg_temp.buy('b38', '{"email": "p38@example.org"}', '2026-02-02 10:00+00'), 'approved share ben', 'a message that was sent to the address');
SELECT pg_temp.click('c39', '{}', 'friends-of-ben', '2026-02-01 10:00+00') \g /dev/null
SELECT is(pg_temp.buy('b39', pg_temp.m('p39'), '2026-02-02 10:00+00', click => 'c39'), 'approved click ben', 'a click of nobody known that the shop names');
SELECT pg_temp.click('c40', '{}', 'last-of-ben', '2026-02-01 10:00+00', ip => '203.0.113.40') \g /dev/null
SELECT is(pg_temp.buy('b40', pg_temp.m('p40'), '2026-02-01 10:59:59+00', ip => '203.0.113.40'), 'approved network last-of-ben', 'network and browser within the hour, where the terms take it');
SELECT is(pg_temp.buy('b41', pg_temp.m('p41'), '2026-02-01 11:00:00+00', ip => '203.0.113.40'), NULL, 'not after it');
SELECT pg_temp.click('c42', '{}', 'friends-of-ben', '2026-02-01 10:00+00', ip => '203.0.113.42') \g /dev/null
SELECT is(pg_temp.buy('b42', pg_temp.m('p42'), '2026-02-01 10:01:00+00', ip => '203.0.113.42'), NULL, 'nor elsewhere');
-- A click that the shop names before it is told.
SELECT is(pg_temp.buy('b43', pg_temp.m('p43'), '2026-02-02 10:00+00', click => 'c43'), NULL, 'a click that nobody told of yet');
SELECT pg_temp.click('c43', '{}', 'friends-of-ben', '2026-02-01 10:00+00') \g /dev/null
SELECT is((SELECT count(*) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b43'), 0::bigint, 'a click decides nothing and holds nobody');
SELECT people FROM cdp.referral_tick() \g /dev/null
SELECT is((SELECT concat_ws(' ', x.state, x.method, x.referral_click_id IS NOT NULL, c.named_click) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b43'), 'approved click t', 'the job ties it');
-- One for tests is none of an order that was told as a real one.
SELECT cdp.issue_referral_code('friends', pg_temp.who('anna'), 'trial-late', is_test => true, issued_at => '2026-01-05 00:00+00') \g /dev/null
SELECT pg_temp.buy('b44', pg_temp.m('p44'), '2026-02-02 10:00+00', click => 'c44') \g /dev/null
SELECT pg_temp.click('c44', '{}', 'trial-late', '2026-02-01 10:00+00') \g /dev/null
SELECT is((SELECT concat_ws(' ', c.is_test, c.referral_click_id, c.named_click) FROM cdp_data.referral_conversion c WHERE c.source_key = 'b44'), 'f c44', 'a click for tests that comes later is not tied to an order');
SELECT is((SELECT concat_ws(' ', state, reason) FROM cdp.set_referral_advocate('web', 'b41', 'friends', pg_temp.who('carl'))), 'approved', 'a name by hand');
SELECT is((SELECT x.method || ' ' || (x.referrer_id = pg_temp.who('carl')) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b41' AND x.campaign_group = 'one'), 'manual true', 'goes before all');
SELECT throws_ok($$SELECT cdp.set_referral_advocate('web', 'b41', 'friends', pg_temp.who('eve'))$$, '22023', NULL, 'of an advocate only');
SELECT is((SELECT count(*) FROM cdp.set_referral_advocate('web', 'b41', 'friends', NULL) WHERE state = 'ineligible' AND reason = 'no_evidence'), 1::bigint, 'taken back');

-- Tests.
SELECT cdp.issue_referral_code('friends', pg_temp.who('anna'), 'trial-of-anna', is_test => true, issued_at => '2026-01-05 00:00+00') \g /dev/null
SELECT is(pg_temp.buy('b50', pg_temp.m('p50'), '2026-02-02 10:00+00', code => 'trial-of-anna'), 'approved test code trial-of-anna', 'a test');
SELECT is((SELECT array_agg(DISTINCT x.is_test AND c.is_test) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b50'), '{t}', 'is marked as one');
SELECT is(pg_temp.buy('b51', pg_temp.m('p50'), '2026-02-03 10:00+00', code => 'friends-of-ben'), 'approved code ben', 'and stands in nobody''s way');

-- Levels.
SELECT is(pg_temp.buy('b60', '{"user_id": "dora"}', '2026-02-01 10:00+00', code => 'deep-of-anna'), 'approved code deep-of-anna', 'anna brings dora');
SELECT cdp.issue_referral_code('deep', pg_temp.who('dora'), 'deep-of-dora', issued_at => '2026-02-02 00:00+00') \g /dev/null
SELECT is(pg_temp.buy('b61', pg_temp.m('p61'), '2026-02-03 10:00+00', code => 'deep-of-dora'), 'approved code deep-of-dora', 'dora brings somebody');
SELECT is((SELECT array_agg(concat_ws(' ', level, state, method, referrer_id = pg_temp.who('anna')) ORDER BY level) FROM cdp_data.referral WHERE referee_id = cdp.customer_of('email', 'p61@example.org')), '{1 approved code f,2 approved sticky t}', 'anna has a part in it');
SELECT is((SELECT result FROM cdp.referral_refund('web', 'r61', 'b61', 40, '2026-02-05 10:00+00')) || (SELECT result FROM cdp.referral_refund('web', 'r61', 'b61', 40, '2026-02-05 10:00+00')), 'recordedrepeated', 'a refund, once');
SELECT throws_ok($$SELECT cdp.referral_refund('web', 'r61', 'b61', 41, '2026-02-05 10:00+00')$$, '23505', NULL, 'another amount under its key is refused');
SELECT throws_ok($$SELECT cdp.referral_refund('web', 'r62', 'nothing', 41)$$, '42704', NULL, 'a refund of nothing known');
SELECT is((SELECT array_agg(k.name || ' ' || t.value ORDER BY k.name) FROM cdp_data.referral_refund f JOIN cdp_data.referral_conversion c USING (referral_conversion_id) JOIN cdp_data.touchpoint t ON t.touchpoint_id IN (f.touchpoint_id, c.touchpoint_id) JOIN cdp_data.touch_kind_all k USING (kind_id)), '{"purchase 100.000000","refund -40.000000"}', 'both are touchpoints');

-- Merges and unmerges.
CREATE FUNCTION pg_temp.state(k text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT string_agg(concat_ws(' ', x.level, x.state, x.reason), ', ' ORDER BY x.level, x.referral_id) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = k $$;
CREATE FUNCTION pg_temp.decide(VARIADIC mails text[]) RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT count(*) FROM cdp_internal.referral_decide(ARRAY(SELECT cdp.customer_of('email', m) FROM unnest(mails) m)) $$;
SELECT pg_temp.buy('b70', '{"email": "p70@example.org"}', '2026-02-01 10:00+00', code => 'friends-of-anna'), pg_temp.buy('b71', '{"email": "p71@example.org"}', '2026-02-02 10:00+00', code => 'friends-of-ben') \g /dev/null
SELECT cdp.link_identifiers((SELECT identifier_id FROM cdp_data.identifier WHERE value = 'p70@example.org'), (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'p71@example.org'), 'one person') \g /dev/null
SELECT is(pg_temp.decide('p71@example.org'), 1::bigint, 'two become one: one referral changes');
SELECT is(pg_temp.state('b70') || '; ' || pg_temp.state('b71'), '1 approved; 1 ineligible existing_customer', 'the earlier one stays; who had bought is no new customer');
SELECT is(pg_temp.decide('p71@example.org'), 0::bigint, 'again changes nothing');
SELECT cdp.unmerge(link => (SELECT max(link_id) FROM cdp_data.link WHERE kind = 'manual' AND state = 'active'), reason => 'two after all') \g /dev/null
SELECT cmp_ok(pg_temp.decide('p70@example.org', 'p71@example.org'), '>', 0::bigint, 'parted again');
SELECT is(pg_temp.state('b70') || '; ' || pg_temp.state('b71'), '1 approved; 1 review unmerged', 'somebody has to look: nothing is paid by itself');
-- Two who have one home: the cookie was first seen with the mail, and is somebody else's after all.
SELECT pg_temp.buy('b175', pg_temp.m('p175'), '2026-02-01 10:00+00', code => 'friends-of-anna') \g /dev/null
SELECT cdp.unmerge(identifier => (SELECT identifier_id FROM cdp_data.identifier WHERE value = 'cookie-of-p175'), reason => 'a shared computer') \g /dev/null
SELECT is(pg_temp.buy('b176', pg_temp.c('p175'), '2026-02-02 10:00+00', code => 'friends-of-ben') || '; ' || pg_temp.state('b175'), 'approved code ben; 1 approved', 'two people with one home are referred, each by his own');
SELECT is((SELECT count(DISTINCT c.customer_id) || ' ' || count(DISTINCT cdp_internal.identifier_root(c.identifier_id)) FROM cdp_data.referral_conversion c WHERE c.source_key IN ('b175', 'b176')), '1 2', 'which they are');
SELECT pg_temp.buy('b72', '{"email": "p72@example.org"}', '2026-02-01 10:00+00', 'sign_up', code => 'friends-of-anna'), pg_temp.buy('b73', '{"email": "p73@example.org"}', '2026-02-02 10:00+00', 'sign_up', code => 'more-of-ben') \g /dev/null
SELECT cdp.identify('shop', '{"email": ["p72@example.org", "p73@example.org"]}') \g /dev/null
SELECT pg_temp.decide('p72@example.org') \g /dev/null
SELECT is(pg_temp.state('b72') || '; ' || pg_temp.state('b73'), '1 approved; 1 duplicate already_referred', 'of two registrations of one group the first counts');
SELECT pg_temp.buy('b74', '{"email": "p74@example.org"}', '2026-02-01 10:00+00', code => 'friends-of-ben') \g /dev/null
SELECT cdp.identify('shop', '{"email": "p74@example.org", "user_id": "ben"}') \g /dev/null
SELECT pg_temp.decide('p74@example.org') \g /dev/null
SELECT is(pg_temp.state('b74'), '1 ineligible same_person', 'advocate and friend turn out to be one person');
-- Late news.
SELECT pg_temp.buy('b75', pg_temp.m('p75'), '2026-02-10 10:00+00', 'sign_up', code => 'friends-of-anna') \g /dev/null
SELECT pg_temp.buy('b76', pg_temp.m('p75'), '2026-01-29 10:00+00', 'sign_up', code => 'friends-of-carl') \g /dev/null
SELECT is(pg_temp.state('b75') || '; ' || pg_temp.state('b76'), '1 duplicate already_referred; 1 approved', 'what happened first counts, whenever it was told');
SELECT is((SELECT array_agg(concat_ws('>', from_state, to_state) ORDER BY referral_decision_id) FROM cdp_data.referral_decision d JOIN cdp_data.referral r USING (referral_id) JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id WHERE c.source_key = 'b75'),
  '{pending,pending>approved,approved>duplicate}', 'every step is kept');
-- Rejections: of an advocate for a person, not of a conversion. Erased advocates: whom they brought stays referred.
CREATE FUNCTION pg_temp.reject(k text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE id bigint := (SELECT x.referral_id FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = k AND x.state = 'approved'); BEGIN
  UPDATE cdp_data.referral SET state = 'review' WHERE referral_id = id;
  PERFORM cdp_internal.open_reviews(ARRAY[id], 'score', clock_timestamp()), cdp.decide_review(id, 'reject', is_fraud => false); END $$;
SELECT pg_temp.buy('b80', '{"email": "p80@example.org"}', '2026-02-01 10:00+00', 'sign_up', code => 'friends-of-anna'), pg_temp.buy('b81', '{"email": "p80@example.org"}', '2026-02-02 10:00+00', 'sign_up', code => 'more-of-anna') \g /dev/null
SELECT pg_temp.reject('b80') \g /dev/null
SELECT is(pg_temp.decide('p80@example.org') || pg_temp.state('b80'), '01 rejected fraud_score', 'a rejected advocate stays rejected, though another conversion names him');
SELECT pg_temp.buy('b82', '{"email": "p80@example.org"}', '2026-02-03 10:00+00', 'sign_up', code => 'friends-of-ben') \g /dev/null
SELECT is(pg_temp.state('b80') || '; ' || pg_temp.state('b82'), '1 duplicate already_referred; 1 approved', 'another one goes before him');
SELECT pg_temp.buy('b83', '{"email": "p80@example.org"}', '2026-02-04 10:00+00', 'sign_up', code => 'friends-of-anna') \g /dev/null
SELECT is(pg_temp.decide('p80@example.org') || pg_temp.state('b80') || '; ' || pg_temp.state('b82'), '01 duplicate already_referred; 1 approved', 'and stays before him');
SELECT pg_temp.click('c84', pg_temp.c('p84'), 'friends-of-ben', '2026-01-31 10:00+00'), pg_temp.buy('b84', pg_temp.m('p84'), '2026-02-01 10:00+00', 'sign_up', code => 'friends-of-anna') \g /dev/null
SELECT pg_temp.reject('b84') \g /dev/null
SELECT pg_temp.decide('p84@example.org') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', x.state, x.method), ', ' ORDER BY x.referral_id) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b84'), 'duplicate code, approved click', 'also by other evidence of the same conversion');
SELECT cdp.confirm_fraud(x.referral_id) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key = 'b82' \g /dev/null
SELECT is(array_agg(pg_temp.decide('p80@example.org')), '{2,0}', 'where none is left') FROM generate_series(1, 2);
SELECT is(pg_temp.state('b80') || '; ' || pg_temp.state('b82'), '1 rejected fraud_score; 1 duplicate already_referred', 'the first one stays rejected, and that is the end of it');
SELECT cdp.identify('shop', jsonb_build_object('user_id', u)) FROM unnest('{gil,hal}'::text[]) u \g /dev/null
SELECT cdp.issue_referral_code(c, pg_temp.who(u), pg_temp.code(c, u), issued_at => '2026-01-05 00:00+00') FROM unnest('{friends,more}'::text[]) c, unnest('{gil,hal}'::text[]) u \g /dev/null
CREATE TEMP TABLE gone AS SELECT u, n, 'p9-' || n || '-' || u AS p FROM unnest('{gil,hal}'::text[]) u, generate_series(1, 5) n;
SELECT cdp.referral_share('web', 's' || p, 'friends-of-' || u, 'email', '2026-02-01 10:00+00', jsonb_build_object('email', p || '@example.org')) FROM gone WHERE n = 4 \g /dev/null
SELECT pg_temp.buy('b' || p, jsonb_build_object('email', p || '@example.org'), '2026-02-01 11:00+00', 'sign_up', code => CASE WHEN n IN (1, 5) THEN 'friends-of-' || u WHEN n = 2 THEN 'friends-of-ben' END, advocate => CASE WHEN n = 3 THEN jsonb_build_object('user_id', u) END) FROM gone \g /dev/null
SELECT cdp.set_referral_advocate('web', 'b' || p, 'friends', pg_temp.who(u)) FROM gone WHERE n = 2 \g /dev/null
SELECT pg_temp.buy('c' || p, jsonb_build_object('email', p || '@example.org'), '2026-02-02 11:00+00', 'sign_up', code => 'more-of-' || u) FROM gone WHERE n = 5 \g /dev/null
SELECT cdp.confirm_fraud(x.referral_id) FROM cdp_data.referral x JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = x.first_conversion_id WHERE c.source_key ~ '^bp9-5' \g /dev/null
CREATE FUNCTION pg_temp.gone(u text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT string_agg(concat_ws(' ', g.n, x.method, x.state, x.score IS NOT NULL), ', ' ORDER BY g.n, x.referral_id) FROM gone g JOIN cdp_data.referral_conversion c ON c.source_key = 'b' || g.p JOIN cdp_data.referral x ON x.first_conversion_id = c.referral_conversion_id WHERE g.u = gone.u $$;
SELECT pg_temp.gone('gil') AS before \gset
SELECT is(:'before'::text, '1 code approved t, 2 code duplicate t, 2 manual approved t, 3 claim approved t, 4 share approved t, 5 code rejected t', 'brought by code, by hand, by name, by a share, and by fraud');
SELECT cdp.erase_customer(pg_temp.who(u), CASE u WHEN 'gil' THEN 'delete' ELSE 'anonymise' END) FROM unnest('{gil,hal}'::text[]) u \g /dev/null
SELECT is((SELECT count(*) FROM cdp_internal.referral_decide(ARRAY(SELECT cdp.customer_of('email', p || '@example.org') FROM gone))), 0::bigint, 'their advocate is erased: nothing changes');
SELECT is(pg_temp.gone(u), :'before', 'whom ' || u || ' brought stays referred') FROM unnest('{gil,hal}'::text[]) u;
SELECT is((SELECT count(DISTINCT x.referrer_id) FROM gone g JOIN cdp_data.referral_conversion c ON c.source_key = 'b' || g.p JOIN cdp_data.referral x ON x.first_conversion_id = c.referral_conversion_id WHERE x.method <> 'code' OR g.n <> 2), 2::bigint, 'each is one stranger');
SELECT is(pg_temp.buy('bp9-6', '{"email": "p9-6@example.org"}', clock_timestamp(), advocate => '{"user_id": "gil"}'), NULL, 'nobody is brought by him any more');
SELECT is_empty($$SELECT count(*) FROM cdp_data.referral_share s JOIN cdp_data.referral_code k USING (referral_code_id) WHERE k.erased_at IS NOT NULL AND (s.channel <> '' OR s.recipient_digest IS NULL) HAVING count(*) > 0$$, 'shares stay for whom they were');
-- Everything once more: nothing changes, and what is live is one for each person and group.
CREATE TEMP TABLE before AS SELECT md5(string_agg(r::text, '|' ORDER BY referral_id)) AS m, (SELECT count(*) FROM cdp_data.referral_decision) AS n FROM cdp_data.referral r;
SELECT is((SELECT count(*) FROM cdp_internal.referral_decide(ARRAY(SELECT DISTINCT customer_id FROM cdp_data.referral_conversion))), 0::bigint, 'all people at once, again');
SELECT is((SELECT (md5(string_agg(r::text, '|' ORDER BY referral_id)), (SELECT count(*) FROM cdp_data.referral_decision))::text FROM cdp_data.referral r), (SELECT (m, n)::text FROM before), 'not a row is written');
SELECT is_empty($$SELECT 1 FROM cdp_data.referral r JOIN cdp_data.referral_conversion c ON c.referral_conversion_id = r.first_conversion_id WHERE r.state IN ('pending', 'approved', 'review', 'rejected')
  GROUP BY r.campaign_group, cdp_internal.identifier_root(c.identifier_id), r.level, r.is_test HAVING count(*) > 1$$, 'one live referral for each person, group and level');
SELECT * FROM finish();
ROLLBACK;

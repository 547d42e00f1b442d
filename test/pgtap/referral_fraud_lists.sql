-- Lists, what advocates were seen with, and confirmed fraud, by the calls that shops make: only keyed digests are kept, and what
-- is told in one way is known again in another.
BEGIN;
SELECT plan(25);
SET client_min_messages = warning;
SELECT cdp.add_source('shop', 'UTC') \g /dev/null
SELECT cdp.create_referral_campaign('friends', link_template => 'https://shop.example/r/{code}', currency => 'EUR', timezone => 'UTC') \g /dev/null
SELECT cdp.set_referral_terms('friends', '{}', '[{"rule": "cash", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]', valid_from => '2026-01-01') \g /dev/null
SELECT cdp.activate_referral_campaign('friends', '2026-01-01') \g /dev/null
SELECT cdp.identify('shop', '{"user_id": "anna", "email": "anna@people.example"}') \g /dev/null
SELECT cdp.issue_referral_code('friends', cdp.customer_of('user_id', 'anna'), 'anna-brings') \g /dev/null
SELECT cdp.customer_of('user_id', 'anna') AS anna \gset
-- She brings many within this test's moment.
INSERT INTO cdp_data.fraud_rule (code, set_at, weight) VALUES ('vel.referrer_hour', '2025-01-01', 0), ('vel.referrer', '2025-01-01', 0);
CREATE FUNCTION pg_temp.buy(who text, ip inet DEFAULT NULL, agent text DEFAULT NULL, device text DEFAULT NULL, payment text DEFAULT NULL, address text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS
  $$ SELECT (cdp.referral_convert('shop', 'order of ' || who, 'purchase', now(), jsonb_build_object('email', who), 50, 'EUR', code => 'anna-brings', ip => ip, user_agent => agent, device => device, payment => payment, address => address)).referral_id $$;
CREATE FUNCTION pg_temp.said(referral bigint) RETURNS text LANGUAGE sql AS
  $$ SELECT r.state || coalesce(' ' || (SELECT string_agg(e ->> 'code', ' ' ORDER BY e ->> 'code' COLLATE "C") FROM jsonb_array_elements(s.reasons) e), '') FROM cdp_data.referral r, LATERAL (SELECT f.reasons FROM cdp_data.fraud_score f WHERE f.referral_id = referral ORDER BY f.fraud_score_id DESC LIMIT 1) s WHERE r.referral_id = referral $$;

SELECT is(cdp.observe_for_fraud(:anna, '{"ip": "203.0.113.9", "user_agent": "Firefox", "device": "phone-of-anna", "payout": "DE89 3704", "address": "Lindenallee 3"}', now() - interval '1 hour'), 6, 'an advocate signs in');
SELECT is(cdp.observe_for_fraud(:anna, '{"device": "phone-of-anna"}', now() - interval '5 days'), 1, 'a fact of before');
SELECT is((SELECT count(*) || ' ' || max(now() - first_at) || ' ' || max(now() - last_at) FROM cdp_data.fraud_fact WHERE kind = 'device'), '1 5 days 01:00:00', 'told twice it is one fact, with its first and its last time');
SELECT is((SELECT count(*) FROM cdp_data.fraud_fact f WHERE f::text ~* 'anna|203[.]0|firefox|DE89|linden'), 0::bigint, 'nothing plain is kept');
SELECT is(pg_temp.said(pg_temp.buy('a1@people.example', device => 'phone-of-anna')), 'review self.device', 'the referee on her telephone');
SELECT is(pg_temp.said(pg_temp.buy('a2@people.example', payment => 'DE89 3704')), 'rejected self.payout_fp', 'the referee pays from where she is paid to');
SELECT is(pg_temp.said(pg_temp.buy('a3@people.example', '203.0.113.9', 'Firefox')), 'review self.ip self.ip_ua', 'her network and browser');
SELECT is(pg_temp.said(pg_temp.buy('a4@people.example', '203.0.113.77', 'Opera')), 'approved self.ip24', 'her neighbourhood');
SELECT is(pg_temp.said(pg_temp.buy('a5@people.example', address => 'Lindenallee 3')), 'review self.address', 'her address');

-- Blocks and allowances; they hold from the moment they are told.
SELECT cdp.add_to_fraud_list('block', 'email', 'Bad.Guy+1@gmail.com'), cdp.add_to_fraud_list('block', 'net', '198.51.100.7'), cdp.add_to_fraud_list('block', 'device', 'farm'), cdp.add_to_fraud_list('block', 'email_domain', '.Spam.example'), cdp.add_to_fraud_list('allow', 'email', 'sister@people.example') \g /dev/null
UPDATE cdp_data.fraud_list SET added_at = now();
SELECT is((SELECT count(*) FROM cdp_data.fraud_list l WHERE l::text ~* 'bad.?guy|198[.]51|farm|sister'), 0::bigint, 'persons and networks are digests only');
SELECT is(pg_temp.said(pg_temp.buy('badguy@googlemail.com')), 'rejected list.block', 'the mailbox, written otherwise');
SELECT is(pg_temp.said(pg_temp.buy('b1@people.example', '198.51.100.200')), 'rejected list.block', 'the network');
SELECT is(pg_temp.said(pg_temp.buy('b2@people.example', device => 'farm')), 'rejected list.block', 'the device');
SELECT is(pg_temp.said(pg_temp.buy('b3@mail.spam.example')), 'rejected list.block', 'a domain below');
SELECT is(pg_temp.said(pg_temp.buy('b4@notspam.example')), 'approved', 'but not another of a longer name');
SELECT is(pg_temp.said(pg_temp.buy('sister@people.example', device => 'phone-of-anna')), 'approved list.allow self.device', 'let through, with what there is against it');
SELECT throws_ok($$SELECT cdp.add_to_fraud_list('allow', 'ip', '203.0.113.9')$$, '22023', 'only persons can be let through always', 'an address lets nobody through');
SELECT throws_ok($$SELECT cdp.add_to_fraud_list('block', 'ip', 'somewhere')$$, '22P02', NULL, 'no address') UNION ALL SELECT throws_ok($$SELECT cdp.add_to_fraud_list('block', 'email', 'nobody')$$, '22023', NULL, 'no mailbox')
UNION ALL SELECT throws_ok($$SELECT cdp.add_to_fraud_list('denied_host', 'host', 'https://x.example/y')$$, '22023', 'this is no name of a host', 'no host') UNION ALL SELECT throws_ok($$SELECT cdp.observe_for_fraud(1, '{"shoe": "43"}')$$, '22023', NULL, 'no fact');

-- What a confirmed fraud was done with is known again; not after an appeal.
SELECT referral_id AS case1 FROM cdp_data.referral r WHERE r.first_conversion_id = (SELECT referral_conversion_id FROM cdp_data.referral_conversion WHERE source_key = 'order of a1@people.example') \gset
SELECT is(cdp.decide_review(:case1, 'reject'), 'rejected', 'a review finds fraud');
SELECT is((SELECT string_agg(kind, ' ' ORDER BY kind) FROM cdp_data.fraud_history), 'device email', 'what it was done with');
UPDATE cdp_data.fraud_history SET confirmed_at = now();
SELECT is(pg_temp.said(pg_temp.buy('c1@people.example', device => 'phone-of-anna')), 'rejected history.fraud_identifier self.device', 'is known again');
SELECT cdp.decide_appeal(cdp.appeal('it was her mother', :case1), 'overturn') \g /dev/null
UPDATE cdp_data.fraud_history SET cleared_at = now();
SELECT is(pg_temp.said(pg_temp.buy('c2@people.example', device => 'phone-of-anna')), 'review self.device', 'and no more when an appeal undid it');
SELECT * FROM finish();
ROLLBACK;

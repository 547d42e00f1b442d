-- What people decide about referrals: reviews and their deadlines, confirmed fraud, bans, appeals; all of it is kept, rewards
-- follow, nothing is paid because nobody looked.
BEGIN;
SELECT plan(78);
SET client_min_messages = warning;
SELECT cdp.add_source('shop', 'UTC') \g /dev/null
SELECT cdp.create_referral_campaign('friends', link_template => 'https://shop.example/r/{code}', currency => 'EUR', timezone => 'UTC'), cdp.create_referral_campaign('strict', link_template => 'https://shop.example/s/{code}', currency => 'EUR', timezone => 'UTC') \g /dev/null
\set rules '[{"rule": "cash", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]'
SELECT cdp.set_referral_terms('friends', '{}', :'rules', valid_from => '2026-01-01'), cdp.set_referral_terms('strict', '{"on_timeout": "reject", "review_within": "2 days"}', :'rules', valid_from => '2026-01-01') \g /dev/null
SELECT cdp.activate_referral_campaign('friends', '2026-01-01'), cdp.activate_referral_campaign('strict', '2026-01-01') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('user_id', u, 'email', u || '@people.example')) FROM unnest('{anna,bob,carl}'::text[]) u \g /dev/null
SELECT cdp.identify('shop', '{"user_id": "wei", "email": "li.wei@gmail.com"}') \g /dev/null
CREATE FUNCTION pg_temp.who(u text) RETURNS bigint LANGUAGE sql RETURN cdp.customer_of('user_id', u);
SELECT cdp.issue_referral_code(c, pg_temp.who(u), u || '-' || c) FROM unnest('{anna,bob,carl,wei}'::text[]) u, unnest('{friends,strict}'::text[]) c \g /dev/null
-- Somebody with an e-mail address buys with the code of an advocate. Returns the referral.
CREATE FUNCTION pg_temp.buy(code text, email text) RETURNS bigint LANGUAGE sql AS
  $$ SELECT (cdp.referral_convert('shop', 'order of ' || email, 'purchase', now(), jsonb_build_object('email', email), 50, 'EUR', code => buy.code)).referral_id $$;
CREATE FUNCTION pg_temp.state(referral bigint) RETURNS text LANGUAGE sql AS $$ SELECT r.state || coalesce(' ' || r.reason, '') FROM cdp_data.referral r WHERE r.referral_id = referral $$;
CREATE FUNCTION pg_temp.life(referral bigint) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(v.event || coalesce(' ' || v.reason, '') || CASE WHEN v.is_fraud THEN ' fraud' ELSE '' END, ', ' ORDER BY v.referral_review_id) FROM cdp_data.referral_review v WHERE v.referral_id = referral $$;
CREATE FUNCTION pg_temp.decisions(referral bigint) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(d.to_state || CASE d.actor WHEN 'system' THEN '' ELSE ' by hand' END, ', ' ORDER BY d.referral_decision_id) FROM cdp_data.referral_decision d WHERE d.referral_id = referral $$;

SELECT pg_temp.buy('anna-friends', 'good@people.example') AS good, pg_temp.buy('anna-friends', 'alpha@mailinator.com') AS doubt, pg_temp.buy('anna-friends', 'bravo@mailinator.com') AS bad, pg_temp.buy('anna-friends', 'charlie@mailinator.com') AS late,
  pg_temp.buy('anna-strict', 'delta@mailinator.com') AS late_strict, pg_temp.buy('wei-friends', 'liwei+shop@gmail.com') AS self \gset
SELECT is(pg_temp.state(:good), 'approved', 'an honest referral is approved');
SELECT is(pg_temp.state(:doubt), 'review fraud_score', 'a doubtful one waits for a review');
SELECT is(pg_temp.state(:self), 'rejected fraud_score', 'the same mailbox is rejected');
SELECT is((SELECT format('%s %s %s %s', campaign, score, reasons, deadline - opened_at) FROM cdp_bi.referral_review_queue WHERE referral_id = :doubt), 'friends 0.7 {email.disposable} 7 days', 'what waits, why and until when');
SELECT is((SELECT count(*) FROM cdp_bi.referral_review_queue), 4::bigint, 'all that waits');
SELECT is((SELECT format('%s %s', s.decision, s.reasons -> 0 ->> 'code') FROM cdp_data.referral_decision d JOIN cdp_data.fraud_score s USING (fraud_score_id) WHERE d.referral_id = :self ORDER BY 1 LIMIT 1), 'reject self.email_canonical', 'a decision keeps the score that it stood on');
SELECT is((SELECT count(*) FROM cdp_internal.referral_score(ARRAY[:good, :doubt, :self]::bigint[], NULL)), 3::bigint, 'scored again');
SELECT is((SELECT count(*) FROM cdp_data.fraud_score WHERE referral_id IN (:good, :doubt, :self)), 3::bigint, 'the same score adds no row');

-- People decide.
SELECT is(cdp.decide_review(:doubt, 'approve', 'known to us'), 'approved', 'approved by hand');
SELECT is(cdp.decide_review(:bad, 'reject'), 'rejected', 'rejected by hand');
SELECT is(pg_temp.life(:doubt) || '; ' || pg_temp.life(:bad), 'opened score, approved decision; opened score, rejected decision fraud', 'as it went');
SELECT is(pg_temp.decisions(:doubt) || '; ' || pg_temp.decisions(:bad), 'pending, review, approved by hand; pending, review, rejected by hand', 'each decision is kept');
SELECT throws_ok(format('SELECT cdp.decide_review(%s, %L)', :doubt, 'reject'), '55000', format('referral %s waits for no review', :doubt), 'decided once');
SELECT throws_ok('SELECT cdp.decide_review(-1, ''reject'')', '42704', 'there is no referral -1', 'no such referral');
SELECT throws_ok(format('SELECT cdp.decide_review(%s, %L)', :late, 'pay'), '22023', NULL, 'no such decision');
SELECT throws_ok(format('SELECT cdp.decide_review(%s, %L, NULL, true)', :late, 'approve'), '22023', 'what is approved is no fraud', 'no fraud is approved');
SELECT count(*) AS changed FROM cdp_internal.referral_decide(ARRAY(SELECT cdp_internal.root_of(referee_id) FROM cdp_data.referral)) \gset
SELECT is(pg_temp.state(:doubt) || ', ' || pg_temp.state(:bad), 'approved, rejected fraud_score', 'deciding all again changes neither');
SELECT is((cdp_internal.referral_score(ARRAY[:doubt]::bigint[], NULL)).decision || ' ' || (cdp.fraud_score(:doubt)).decision, 'approve review', 'what a person decided goes before the rules, which still say what they say');

-- Deadlines.
SELECT is(cdp.review_deadlines(now() + interval '1 day'), 0::bigint, 'none is late');
SELECT is(cdp.review_deadlines(now() + interval '3 days'), 1::bigint, 'the strict one is');
SELECT is(pg_temp.state(:late_strict) || '; ' || pg_temp.life(:late_strict), 'rejected fraud_score; opened score, rejected timeout', 'and is rejected');
SELECT is(cdp.review_deadlines(now() + interval '8 days') || ' ' || cdp.review_deadlines(now() + interval '8 days'), '1 0', 'the other is escalated, once');
SELECT is((SELECT format('%s %s %s', pg_temp.state(referral_id), escalations, deadline - now()) FROM cdp_bi.referral_review_queue WHERE referral_id = :late), 'review fraud_score 1 15 days', 'with a new deadline, and not paid');
SELECT is((SELECT count(*) FROM generate_series(1, 60) d, cdp.review_deadlines(now() + d * interval '9 days') n WHERE n > 1), 0::bigint, 'however long nobody looks');
SELECT is(pg_temp.state(:late), 'review fraud_score', 'nothing is paid');
SELECT throws_ok('SELECT cdp.review_deadlines(''infinity'')', '22023', NULL, 'not for ever');

-- Appeals.
SELECT throws_ok(format('SELECT cdp.appeal(%L, %s)', 'please', :good), '55000', 'there is nothing to appeal against', 'what is approved needs no appeal');
SELECT throws_ok('SELECT cdp.appeal(''please'')', '22023', NULL, 'against what');
SELECT cdp.appeal('That is my sister', :self, evidence => '{"call": 7}') AS appeal \gset
SELECT throws_ok(format('SELECT cdp.appeal(%L, %s)', 'please', :self), '55000', format('appeal %s is open already', :appeal), 'one at a time');
SELECT is(cdp.decide_appeal(:appeal, 'uphold', 'she is not'), 'rejected', 'upheld: it stays');
SELECT throws_ok(format('SELECT cdp.decide_appeal(%s, %L)', :appeal, 'overturn'), '55000', NULL, 'decided once');
SELECT cdp.appeal('She is: here is her passport', :self) AS appeal2 \gset
SELECT is(cdp.decide_appeal(:appeal2, 'overturn'), 'approved', 'overturned: approved');
SELECT is(pg_temp.life(:self) || '; ' || pg_temp.decisions(:self), 'approved appeal; pending, rejected, approved by hand', 'all of it is kept');
SELECT throws_ok('SELECT cdp.decide_appeal(-1, ''uphold'')', '42704', 'there is no appeal -1', 'no such appeal');

-- Bans.
SELECT pg_temp.buy('bob-friends', 'fine@people.example') AS before_ban, pg_temp.buy('bob-friends', 'echo@mailinator.com') AS open \gset
SELECT cdp.ban_referrer(pg_temp.who('bob'), 'sells codes') AS ban \gset
SELECT is(pg_temp.state(:open) || ', ' || pg_temp.state(:before_ban), 'rejected fraud_score, approved', 'a ban rejects what is open, not what was approved');
SELECT is((SELECT s.decided_by FROM cdp_data.fraud_score s WHERE s.referral_id = :open ORDER BY s.fraud_score_id DESC LIMIT 1), 'ban', 'for the ban');
SELECT pg_temp.buy('bob-friends', 'during@people.example') AS during \gset
SELECT is(coalesce(pg_temp.state(:during), 'none') ~ '^(ineligible|none|rejected)', true, 'nothing comes by him meanwhile');
SELECT ok(cdp.unban_referrer(:ban, 'was not him') >= 1, 'unbanned');
SELECT is(pg_temp.state(:open) || ', ' || pg_temp.state(:during), 'review fraud_score, approved', 'what the ban held goes on');
SELECT throws_ok(format('SELECT cdp.unban_referrer(%s)', :ban), '55000', NULL, 'lifted once');
SELECT throws_ok('SELECT cdp.ban_referrer(-1, ''x'')', '42704', NULL, 'nobody is not banned') UNION ALL SELECT throws_ok('SELECT cdp.ban_referrer(pg_temp.who(''bob''), '''')', '22023', NULL, 'not without a reason');
SELECT cdp.ban_referrer(pg_temp.who('carl'), 'for a day', 'strict', now() + interval '1 day') AS ban2 \gset
SELECT is(array_length(ARRAY(SELECT cdp_internal.referral_banned(ARRAY[pg_temp.who('carl')], c.referral_campaign_id, clock_timestamp() + d) FROM cdp_data.referral_campaign c, unnest('{0,2 days}'::interval[]) d), 1), 1, 'from one campaign, for a day');

-- Fraud that is found later, and figures.
SELECT is(cdp.confirm_fraud(:good, 'card was stolen'), 'rejected', 'fraud that was paid is taken back');
SELECT is((SELECT (blocked, blocked_value::numeric(10,2), found_later, found_later_value::numeric(10,2), rate, value_rate, overturned)::text FROM cdp.fraud_prevention('friends')), '(2,20.00,0,0.00,1,1,1)', 'two were stopped before anything was paid, by what they would have earned; an appeal undid one');
SELECT is((SELECT (blocked, found_later, overturned)::text FROM cdp.fraud_prevention('strict')), '(0,0,0)', 'what a deadline rejected is no fraud');
SELECT is((SELECT (code, cases, fraud, "precision")::text FROM cdp.fraud_rule_precision('friends') WHERE code = 'email.disposable'), '(email.disposable,2,1,0.5)', 'one of two cases of the rule was fraud');

SELECT is((SELECT string_agg(format('%s %s %s', is_fraud, score, features[array_position(names, 'email.disposable')]), ', ' ORDER BY referral_id) FROM cdp_bi.referral_fraud_case WHERE referral_id IN (:good, :doubt, :bad, :self)), 't 0 0, f 0.7 0.7, t 0.7 0.7, f 0.95 0', 'cases for a fitted model: what was said last, with the weights that rules had');
SELECT is((SELECT count(*) FROM cdp_bi.referral_fraud_case c WHERE cardinality(c.names) = cardinality(c.features) AND cardinality(c.names) = (SELECT count(*) FROM cdp.fraud_rule_builtin() WHERE kind IN ('soft', 'density'))), 4::bigint, 'one for each of those, with every rule');

-- One that a deadline rejected, however far ahead as_of was, stays so for the next scoring.
SELECT is((cdp_internal.referral_score(ARRAY[:late_strict]::bigint[], NULL)).decision || ' ' || pg_temp.life(:late_strict), 'reject opened score, rejected timeout', 'what a deadline rejected is seen by the next scoring');

-- After an unmerge somebody has to look: the review is there for him, and neither a ban nor its end decides it.
SELECT pg_temp.buy('bob-friends', 'twin@people.example') AS twin, pg_temp.buy('bob-friends', 'twin2@people.example') AS twin2 \gset
UPDATE cdp_data.referral SET state = 'review', reason = 'unmerged' WHERE referral_id IN (:twin, :twin2);
SELECT cdp.ban_referrer(pg_temp.who('bob'), 'again') AS ban3 \gset
SELECT cdp.unban_referrer(:ban3) \g /dev/null
SELECT is(pg_temp.state(:twin) || '; ' || pg_temp.life(:twin), 'review fraud_score; opened unmerged, withdrawn score, opened unmerged', 'a review after an unmerge, banned and unbanned, still waits') UNION ALL
SELECT is(cdp.rescore_referrals(), 0::bigint, 'no scoring decides it');
SELECT is((SELECT count(*) FROM cdp_bi.referral_review_queue WHERE referral_id IN (:twin, :twin2)), 2::bigint, 'it stands in the queue');
SELECT is(cdp.decide_review(:twin, 'approve') || '; ' || pg_temp.life(:twin), 'approved; opened unmerged, withdrawn score, opened unmerged, approved decision', 'until somebody decides');
DELETE FROM cdp_data.referral_review WHERE referral_id = :twin2;
SELECT cdp.review_deadlines() \g /dev/null
SELECT is(pg_temp.life(:twin2), 'opened unmerged', 'one that nobody opened is opened by the job');
DELETE FROM cdp_data.referral_review WHERE referral_id = :twin2;
SELECT is(cdp.decide_review(:twin2, 'reject', is_fraud => false) || '; ' || pg_temp.life(:twin2), 'rejected; opened unmerged, rejected decision', 'or by the decision');

-- Bans that end by themselves, and those of other times.
SELECT pg_temp.buy('carl-friends', 'golf@mailinator.com') AS waits, pg_temp.buy('carl-friends', 'honest@people.example') AS ok \gset
UPDATE cdp_data.referral_review SET deadline = deadline + interval '1 year' WHERE referral_id = :waits;
UPDATE cdp_data.referral SET attributed_at = now() - interval '1 hour' WHERE referral_id IN (:waits, :ok);
SELECT cdp.ban_referrer(pg_temp.who('carl'), 'for a week', 'friends', now() + interval '7 days') AS ban4 \gset
SELECT is(pg_temp.state(:waits) || ', ' || pg_temp.state(:ok), 'rejected fraud_score, approved', 'a ban with an end');
SELECT is(cdp.rescore_referrals(now() + interval '6 days') || ' ' || pg_temp.state(:ok), '0 approved', 'holds what was approved before at no time');
SELECT is(cdp.rescore_referrals(now() + interval '8 days') || ' ' || pg_temp.state(:waits) || ' ' || cdp.rescore_referrals(now() + interval '8 days'), '1 review fraud_score 0', 'what it held goes on after it');
UPDATE cdp_data.referral SET attributed_at = now() + interval '1 day' WHERE referral_id = :ok;
SELECT is(cdp.rescore_referrals(now() + interval '8 days') || ' ' || pg_temp.state(:ok), '1 rejected fraud_score', 'of the time of the ban, decided beside it: rejected, also after its end');

-- Rewards are held so that what comes to light counts.
SELECT pg_temp.buy('anna-friends', 'bounces@people.example') AS held \gset
SELECT is((SELECT string_agg(state, ' ') FROM cdp_data.reward WHERE referral_id = :held) || ' ' || cdp_internal.referral_doubted(ARRAY[:held, :good]::bigint[], clock_timestamp())::text, 'held {}', 'approved, in hold, and nobody doubts it');
INSERT INTO cdp_data.channel_bounce (channel, identifier_id, bounced_at) SELECT 'email', identifier_id, now() FROM cdp_data.identifier WHERE value = 'bounces@people.example';
SELECT is(cdp_internal.referral_doubted(ARRAY[:held, :good]::bigint[], clock_timestamp()), ARRAY[:held]::bigint[], 'the address bounces: it would not be approved now');
SELECT cdp.rescore_referrals() \g /dev/null
SELECT is(pg_temp.state(:held) || ' ' || (SELECT string_agg(state, ' ') FROM cdp_data.reward WHERE referral_id = :held) || ' ' || pg_temp.decisions(:held), 'review fraud_score reserved pending, approved, review', 'to review, the reward waits');
SELECT cdp.decide_review(:held, 'approve') \g /dev/null
SELECT is(cdp_internal.referral_doubted(ARRAY[:held]::bigint[], clock_timestamp())::text || cdp.rescore_referrals(), '{}0', 'what a person decided stays');
-- What is suspicious no more is still looked at.
SELECT pg_temp.buy('anna-friends', 'hotel@mailinator.com') AS faded \gset
SELECT cdp.set_fraud_weight('email.disposable', 0) \g /dev/null
SELECT cdp.rescore_referrals() \g /dev/null
SELECT is(pg_temp.state(:faded) || ' ' || (cdp.fraud_score(:faded, clock_timestamp())).decision || ' ' || pg_temp.life(:faded), 'review fraud_score approve opened score', 'a review is not ended because the rules forgot why');
SELECT cdp.add_to_fraud_list('allow', 'email', 'hotel@mailinator.com') \g /dev/null
SELECT cdp.rescore_referrals() \g /dev/null
SELECT is(pg_temp.state(:faded) || '; ' || pg_temp.life(:faded), 'approved; opened score, withdrawn score', 'but by the list of who is let through');
SELECT cdp.set_fraud_weight('email.disposable', NULL) \g /dev/null
-- One that ended another way waits for nobody.
SELECT pg_temp.buy('anna-friends', 'india@mailinator.com') AS ended \gset
UPDATE cdp_data.referral SET state = 'ineligible', reason = 'no_evidence' WHERE referral_id = :ended;
SELECT is((SELECT count(*) FROM cdp_bi.referral_review_queue WHERE referral_id = :ended), 0::bigint, 'not in the queue') UNION ALL
SELECT throws_ok(format('SELECT cdp.decide_review(%s, %L)', :ended, 'reject'), '55000', NULL, 'nor to be decided');
SELECT throws_ok('SELECT cdp.rescore_referrals(''-infinity'')', '22023', NULL, 'as of a moment');

-- Terms with costs decide by what is cheapest: approving costs the score times the rewards, a review what it costs, rejecting the rest of the score times a wrong rejection.
CREATE FUNCTION pg_temp.costs(terms jsonb, rules jsonb, value numeric, kind text DEFAULT 'purchase') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  name text := format('costs %s', (SELECT count(*) FROM cdp_data.referral_campaign));
  n text := translate(name, ' ', '-');
  r bigint;
BEGIN
  PERFORM cdp.create_referral_campaign(name, currency => 'EUR', timezone => 'UTC', ends_at => '2099-01-01'), cdp.set_referral_terms(name, terms, rules), cdp.activate_referral_campaign(name, '2026-01-01');
  PERFORM cdp.issue_referral_code(name, pg_temp.who('carl'), n, issued_at => '2026-01-02');
  r := (cdp.referral_convert('shop', 'order of ' || n, kind, now(), jsonb_build_object('email', n || '@mailinator.com'), value, 'EUR', code => n)).referral_id;
  RETURN (SELECT concat_ws(' ', x.state, (cdp.fraud_score(r)).decided_by, l.loss) FROM cdp_data.referral x LEFT JOIN cdp_internal.fraud_losses(ARRAY[r], now()) l ON true WHERE x.referral_id = r);
END $$;
\set cash '[{"rule": "cash", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 8}, {"rule": "thanks", "side": "referee", "trigger": "first_purchase", "shape": "flat", "amount": 2}]'
\set tenth '[{"rule": "tenth", "side": "referrer", "trigger": "first_purchase", "shape": "percent", "rate": 0.1}, {"rule": "tier", "side": "referrer", "trigger": "first_purchase", "shape": "tier", "tiers": [{"from": 0, "amount": 1}, {"from": 2, "amount": 100}], "exclusive": false}]'
SELECT is(pg_temp.costs(v.terms::jsonb, v.rules::jsonb, v.value, v.kind), v.answer, 'costs: ' || v.what) FROM (VALUES
  ('{"cost_review": 3, "cost_wrong": 40}', :'cash', 50, 'purchase', 'review cost 1000', 'a review is cheaper than 7.00 of 10.00, and than 12.00 of 40.00'), ('{"cost_review": 8, "cost_wrong": 40}', :'cash', 50, 'purchase', 'approved cost 1000', 'not at 8.00'),
  ('{"cost_review": 3, "cost_wrong": 5}', :'cash', 50, 'purchase', 'rejected cost 1000', 'who is wrongly rejected costs little'), ('{"cost_review": 3, "cost_wrong": 40}', :'tenth', 20, 'purchase', 'approved cost 300', 'so does a fraud of 3.00'),
  ('{"cost_review": 3, "cost_wrong": 40}', :'tenth', 400, 'purchase', 'review cost 4100', 'not one of 41.00'), ('{"cost_review": 3, "cost_wrong": 40}', :'cash', NULL, 'sign_up', 'review score', 'as long as nothing is earned the thresholds decide'),
  ('{}', :'cash', 50, 'purchase', 'review score', 'as they do without costs')) AS v (terms, rules, value, kind, answer, what);
SELECT is((SELECT count(DISTINCT p ->> 'version') FROM cdp_data.referral_terms m JOIN cdp_data.referral_campaign c USING (referral_campaign_id), cdp_internal.fraud_policy_of(m.referral_campaign_id, m.terms_version, now()) p WHERE c.name IN ('friends', 'costs 2', 'costs 3')), 3::bigint, 'the stamp of a score tells the costs');
-- What a person rejected costs as much as before: scored again it is not approved for being rejected.
SELECT referral_id AS dear FROM cdp_data.referral r JOIN cdp_data.referral_campaign c USING (referral_campaign_id) WHERE c.name = 'costs 2' \gset
SELECT cdp.decide_review(:dear, 'reject') \g /dev/null
SELECT is((cdp.fraud_score(:dear)).decision || ' ' || (SELECT loss FROM cdp_internal.fraud_losses(ARRAY[:dear, :good]::bigint[], now())), 'review 1000', 'the loss does not go by the state');

SELECT * FROM finish();
ROLLBACK;

-- The two test cases of the mission, by the calls that a shop makes. A: a friend clicks on a shared link and buys; the referral is
-- tracked, the customer attributed, the reward triggered. B: a completed campaign gives a full report with insights and
-- recommendations, and an empty one says that data are insufficient.
BEGIN;
SELECT plan(31);
SET client_min_messages = error;
SET timezone = 'Asia/Shanghai';
SELECT cdp.add_source('shop') AS shop \gset
SELECT cdp.create_referral_campaign('friends', channels => '{wecom}', link_template => 'https://shop.example/r/{code}', starts_at => '2026-01-01', ends_at => '2026-03-01', goal_target => 20, budget => 10000) AS c \gset
SELECT cdp.set_referral_terms('friends', rules => '[{"rule": "give", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 20, "hold": "14 days"},
  {"rule": "get", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1, "hold": "14 days"}]') AS terms \gset
SELECT cdp.activate_referral_campaign('friends', '2026-01-01') \g /dev/null
SELECT cdp.track('shop', 'purchase', '{"email": "ann@example.org"}', occurred_at => '2025-12-01', value => 80) \g /dev/null
SELECT cdp.customer_of('email', 'ann@example.org') AS ann \gset
SELECT cdp.issue_referral_code('friends', :ann, issued_at => '2026-01-02') AS code \gset

-- A.
SELECT is((SELECT s.result FROM cdp.referral_share('shop', 'share 1', :'code', 'wecom', '2026-01-03 10:00') s), 'recorded', 'A: she shares her link');
SELECT is((SELECT (k.result, k.referral_click_id IS NOT NULL)::text FROM cdp.referral_click('shop', 'click 1', :'code', '2026-01-03 12:00', '{"cookie": "bobs-browser-1"}', channel => 'wecom') k), '(recorded,t)', 'A: a friend clicks on it');
SELECT r.result, r.state, r.referral_id AS id, r.referral_conversion_id AS order FROM cdp.referral_convert('shop', 'order 1', 'purchase', '2026-01-04 09:00', '{"cookie": "bobs-browser-1", "email": "bob@example.org"}', 250) r \gset
SELECT cdp.customer_of('email', 'bob@example.org') AS bob \gset
SELECT is(:'result' || ' ' || :'state', 'recorded approved', 'A: he buys, and the referral is approved');
SELECT is((SELECT (r.referrer_id, r.referee_id, r.method, r.referral_click_id = k.referral_click_id, r.first_conversion_id = :order, r.referral_campaign_id, r.terms_version)::text FROM cdp_data.referral r, cdp_data.referral_click k WHERE r.referral_id = :id AND k.source_key = 'click 1'),
  format('(%s,%s,click,t,t,%s,1)', :ann, :bob, :c), 'A: the customer is attributed to her, by that click');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint t JOIN cdp_data.touch_kind_all k USING (kind_id) WHERE t.customer_id IN (:ann, :bob) AND k.name IN ('share', 'referral_click', 'purchase') AND t.occurred_at >= '2026-01-01'), 3::bigint, 'A: share, click and order are touchpoints, too');
SELECT is((SELECT string_agg(format('%s %s %s %s', w.side, w.customer_id = CASE w.side WHEN 'referrer' THEN :ann ELSE :bob END, w.amount_minor, w.state), ', ' ORDER BY w.side) FROM cdp_data.reward w WHERE w.referral_id = :id), 'referee t 2500 held, referrer t 2000 held', 'A: both rewards are triggered: a tenth of 250, and 20; held for 14 days');
SELECT is((SELECT count(*) FROM cdp_data.ledger_entry e JOIN cdp_data.ledger_account a USING (ledger_account_id) WHERE a.kind = 'liability_pending' AND e.amount_minor IN (-2500, -2000)), 2::bigint, 'A: and stand in the ledger');
-- The same once more, and the same events again: nothing changes.
SELECT count(*) AS postings FROM cdp_data.ledger_posting \gset
SELECT is((SELECT k.result FROM cdp.referral_click('shop', 'click 1', :'code', '2026-01-03 12:00', '{"cookie": "bobs-browser-1"}', channel => 'wecom') k), 'repeated', 'A: the click again');
SELECT is((SELECT (r.result, r.referral_id)::text FROM cdp.referral_convert('shop', 'order 1', 'purchase', '2026-01-04 09:00', '{"cookie": "bobs-browser-1", "email": "bob@example.org"}', 250) r), format('(repeated,%s)', :id), 'A: the order again');
SELECT is((SELECT (count(*), (SELECT count(*) FROM cdp_data.ledger_posting))::text FROM cdp_data.reward), format('(2,%s)', :postings), 'A: and nothing is rewarded twice');
-- The hold ends, and it is paid after another person agreed.
SELECT is(cdp.release_rewards('2026-01-17'), 0::bigint, 'A: nothing before the hold is over');
SELECT is(cdp.release_rewards('2026-01-18 09:00'), 2::bigint, 'A: then both are available');

-- B: 40 more customers, each with a code; every other shares it; each brings people who click and buy, some of whom send goods back.
SELECT count(cdp.track('shop', 'purchase', jsonb_build_object('email', format('a%s@example.org', i)), occurred_at => '2025-12-02', value => 50)) FROM generate_series(1, 40) i \g /dev/null
CREATE TEMP TABLE advocate AS SELECT i, cdp.issue_referral_code('friends', cdp.customer_of('email', format('a%s@example.org', i)), issued_at => '2026-01-02') AS code FROM generate_series(1, 40) i;
SELECT count(cdp.referral_share('shop', 'share a' || i, code, 'wecom', '2026-01-05 10:00')) FROM advocate WHERE i % 2 = 0 \g /dev/null
SELECT count(cdp.referral_click('shop', format('click %s %s', i, k), code, timestamptz '2026-01-05 12:00' + (i * 7 + k) * interval '1 hour', jsonb_build_object('cookie', format('cookie-of-friend-%s-%s', i, k)), channel => 'wecom')) FROM advocate, generate_series(1, 4) k WHERE i % 2 = 0 \g /dev/null
SELECT count(cdp.referral_convert('shop', format('order %s %s', i, k), 'purchase', timestamptz '2026-01-06 12:00' + (i * 13 + k * 5) * interval '1 hour', jsonb_build_object('cookie', format('cookie-of-friend-%s-%s', i, k), 'email', format('f%s.%s@example.org', i, k)), 60 + i)) FROM advocate, generate_series(1, 2) k WHERE i % 2 = 0 AND (k = 1 OR i % 4 = 0) \g /dev/null
SELECT cdp.referral_refund('shop', 'refund 1', 'order 4 1', 32, '2026-01-25') \g /dev/null
SELECT cdp.release_rewards('2026-02-20') \g /dev/null
CREATE TEMP TABLE r AS SELECT * FROM cdp.referral_report('friends', '2026-03-01', margin => 0.4);
SELECT is((SELECT string_agg(DISTINCT section, ' ' ORDER BY section) FROM r), 'fraud funnel goal growth money rates rewards tracking', 'B: the report is full');
SELECT is((SELECT string_agg(metric || ' ' || value, ', ' ORDER BY o) FROM (SELECT *, row_number() OVER () AS o FROM r) x WHERE section = 'funnel'), 'reached 41, enrolled 41, shared 21, clicked 81, signed_up 31, converted 31, approved 31, paid 0', 'B: the funnel: 21 share, 81 click, 31 buy');
SELECT is((SELECT (value, numerator, denominator, denominator_name)::text FROM r WHERE metric = 'participation_rate'), '(0.512195,21,41,"people who were reached")', 'B: participation');
SELECT is((SELECT (value, numerator, denominator, denominator_name)::text FROM r WHERE metric = 'share_rate'), '(0.512195,21,41,"enrolled advocates")', 'B: share rate');
SELECT is((SELECT (value, numerator, denominator, denominator_name)::text FROM r WHERE metric = 'conversion_rate'), '(0.382716,31,81,"visitors who clicked")', 'B: conversion rate');
-- Advocates joined on 2 January; of the friends those who came 30 days before are in the cohort, too.
SELECT is((SELECT (k.value, k.numerator, k.denominator)::text FROM r k WHERE k.metric = 'k_factor'), (SELECT format('(%s,%s,%s)', round(b::numeric / n, 6), b, n) FROM (SELECT count(*) FILTER (WHERE at < '2026-02-01') AS b, 41 + count(*) FILTER (WHERE at <= timestamptz '2026-03-01' - interval '30 days') AS n
  FROM (SELECT attributed_at AS at FROM cdp_data.referral WHERE referral_campaign_id = :c) x) y), 'B: K');
SELECT is((SELECT value FROM r WHERE metric = 'revenue'), (SELECT 250 + sum((60 + i) * CASE WHEN i % 4 = 0 THEN 2 ELSE 1 END)::numeric FROM generate_series(2, 40, 2) i), 'B: revenue');
SELECT is((SELECT value FROM r WHERE metric = 'rewards_granted'), (SELECT 45 + sum((20 + round((60 + i) / 10.0, 2)) * CASE WHEN i % 4 = 0 THEN 2 ELSE 1 END) FROM generate_series(2, 40, 2) i), 'B: rewards');
SELECT is((SELECT value FROM r WHERE metric = 'rewards_taken_back'), 13.2, 'B: half of the order was refunded: half of 20 and of 6.40 is taken back');
SELECT is((SELECT round(value, 4) FROM r WHERE metric = 'net_roi'), (SELECT round((0.4 * (v.value - 32) - c.value) / c.value, 4) FROM r v, r c WHERE v.metric = 'revenue' AND c.metric = 'net_cost'), 'B: net return');
SELECT is((SELECT (value, numerator, denominator)::text FROM r WHERE section = 'goal'), '(1.550000,31,20)', 'B: the target is passed');
SELECT is((SELECT count(*) FROM r WHERE value IS NULL AND note IS NULL), 0::bigint, 'B: what has no value says why');
CREATE TEMP TABLE advice AS SELECT * FROM cdp.referral_recommend('friends', '2026-03-01', margin => 0.4);
SELECT cmp_ok((SELECT count(*) FROM advice WHERE status = 'recommended' AND insight <> '' AND action <> '' AND evidence <> '{}'), '>=', 1::bigint, 'B: there are insights, each with an action and its numbers');
SELECT is((SELECT (status, action)::text FROM advice WHERE rule_id = 'R19'), '(recommended,"Make a holdout with cdp.create_holdout() and give it to the campaign before it is told of.")', 'B: such as that it has no holdout');
SELECT is((SELECT count(*) FROM advice), 20::bigint, 'B: every rule was looked at');

-- An empty campaign.
SELECT cdp.create_referral_campaign('nobody', ends_at => '2099-01-01') \g /dev/null
SELECT lives_ok($$SELECT * FROM cdp.referral_report('nobody')$$, 'an empty campaign is no error');
SELECT is((SELECT count(*) FROM cdp.referral_report('nobody') WHERE value IS NULL AND note LIKE 'insufficient data: _%'), (SELECT count(*) FROM cdp.referral_report('nobody') WHERE value IS NULL), 'it says insufficient data');
SELECT is((SELECT note FROM cdp.referral_report('nobody') WHERE metric = 'participation_rate'), 'insufficient data: no people who were reached', 'and of what');
SELECT is((SELECT string_agg(rule_id, ' ' ORDER BY rule_id) FROM cdp.referral_recommend('nobody') WHERE status = 'insufficient data'), 'R01 R02 R03 R04 R05 R06 R07 R08 R09 R10 R11 R12 R13 R14 R15 R16 R17 R18 R20', 'so do the recommendations, but that it has no holdout');
SELECT * FROM finish();
ROLLBACK;

-- Rewards follow what is known by one road: every event with the figures of a hand, partial refunds to the cent before and after
-- payment, caps, reversals, merges, levels, tiers and milestones, payouts; and whatever happens, the books are whole.
BEGIN;
SELECT plan(83);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'u' || i || '@example.org'))) FROM generate_series(1, 60) i;
CREATE FUNCTION pg_temp.c(i int) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp.customer_of('email', 'u' || i || '@example.org') $$;
CREATE FUNCTION pg_temp.campaign(name text, rules jsonb, caps jsonb DEFAULT '[]', budget numeric DEFAULT NULL, terms jsonb DEFAULT '{}') RETURNS int LANGUAGE plpgsql AS $$
DECLARE id int := cdp.create_referral_campaign(name, currency => 'EUR', timezone => 'Europe/Berlin', budget => budget, ends_at => '2099-01-01');
BEGIN
  PERFORM cdp.set_referral_terms(name, terms, rules, caps), cdp.activate_referral_campaign(name, '2025-01-01');
  RETURN id;
END $$;
-- A purchase (or registration) of friend i, in cents.
CREATE FUNCTION pg_temp.buy(key text, i int, at timestamptz, eligible bigint, kind text DEFAULT 'purchase', currency text DEFAULT 'EUR') RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, eligible_minor, currency)
  SELECT 1, key, kind, at, n.identifier_id, n.customer_id, eligible, CASE WHEN eligible > 0 THEN currency END FROM cdp_data.identifier n WHERE n.value = 'u' || i || '@example.org' RETURNING referral_conversion_id $$;
CREATE FUNCTION pg_temp.refer(campaign int, referrer int, referee int, conversion bigint, state text DEFAULT 'approved', level int DEFAULT 1) RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, level, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
  SELECT 'g' || campaign, campaign, 1, level, (SELECT customer_id FROM cdp_data.identifier WHERE value = 'u' || referrer || '@example.org'), (SELECT customer_id FROM cdp_data.identifier WHERE value = 'u' || referee || '@example.org'), 'code', conversion, '2026-03-01', state RETURNING referral_id $$;
CREATE FUNCTION pg_temp.refund(key text, conversion bigint, amount bigint, at timestamptz DEFAULT '2026-03-20') RETURNS void LANGUAGE sql AS $$
  INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, key, conversion, at, amount, customer_id FROM cdp_data.referral_conversion WHERE referral_conversion_id = conversion $$;
CREATE FUNCTION pg_temp.settle(VARIADIC ids bigint[]) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp_internal.reward_settle(ids, current_setting('my.now')::timestamptz) $$;
SET my.now = '2026-03-18';
CREATE FUNCTION pg_temp.become(id bigint, to_state text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN UPDATE cdp_data.referral SET state = to_state WHERE referral_id = id; RETURN pg_temp.settle(id); END $$;
CREATE FUNCTION pg_temp.rewards(VARIADIC ids bigint[]) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(format('%s%s %s%s%s', left(w.side, 6), ' m' || w.milestone, w.amount_minor, CASE WHEN w.clawed_minor > 0 THEN '-' || w.clawed_minor END, ' ' || w.state), ', ' ORDER BY w.referral_id, w.referral_conversion_id, w.side DESC, w.milestone, w.reward_id), 'none') FROM cdp_data.reward w WHERE w.referral_id = ANY (ids) $$;
CREATE FUNCTION pg_temp.books(campaign int) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(format('%s%s %s', a.kind, ' u' || i.who, a.balance_minor), ', ' ORDER BY array_position('{budget,budget_reserved,liability_pending,liability_available,paid,breakage_expired,clawback_receivable,fees}', a.kind::text), i.who), 'nothing')
  FROM cdp_data.ledger_account a LEFT JOIN LATERAL (SELECT min(substr(split_part(n.value, '@', 1), 2)::int) AS who FROM cdp_data.identifier n WHERE n.customer_id = a.customer_id) i ON true WHERE a.referral_campaign_id = campaign AND a.balance_minor <> 0 $$;
CREATE FUNCTION pg_temp.whole() RETURNS text LANGUAGE sql AS $$ SELECT coalesce((SELECT string_agg(v.problem || ': ' || v.subject || ' ' || v.detail, '; ') FROM cdp.ledger_verify() v), 'whole') $$;

-- The way of one reward: 10 EUR to the advocate (u1), 10 % to the friend (u2).
SELECT pg_temp.campaign('two', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}, {"rule": "welcome", "side": "referee", "trigger": "first_purchase", "shape": "percent", "rate": 0.1, "hold": "30 days"}]') AS two \gset
SELECT pg_temp.buy('o1', 2, '2026-03-05 10:00+00', 5005) AS o1 \gset
SELECT pg_temp.refer(:two, 1, 2, :o1, 'pending') AS r1 \gset
SELECT is(pg_temp.settle(:r1), 2::bigint, 'a conversion that waits for a decision');
SELECT is(pg_temp.rewards(:r1), 'referr 1000 reserved, refere 500 reserved', 'sets both rewards aside');
SELECT is(pg_temp.books(:two), 'budget 1500, budget_reserved -1500', 'in the books, too');
SELECT is(pg_temp.settle(:r1), 0::bigint, 'the same again changes nothing');
SELECT is(pg_temp.become(:r1, 'approved'), 2::bigint, 'approved');
SELECT is(pg_temp.books(:two), 'budget 1500, liability_pending u1 -1000, liability_pending u2 -500', 'they are pending');
SELECT is((SELECT string_agg(to_char(hold_until AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), ', ' ORDER BY reward_id) FROM cdp_data.reward WHERE referral_id = :r1), '03-19 10:00, 04-04 09:00', 'until the hold of the rule, from the conversion on, by the clock of the campaign');
SELECT pg_temp.become(:r1, 'review');
SELECT is(pg_temp.books(:two), 'budget 1500, budget_reserved -1500', 'back to review they are set aside');
SELECT pg_temp.become(:r1, 'approved');
SELECT is(cdp.release_rewards('2026-03-19 09:59:59+00'), 0::bigint, 'not before its time');
SELECT is(cdp.release_rewards('2026-03-19 10:00+00'), 1::bigint, 'the hold is over');
SELECT is(pg_temp.books(:two), 'budget 1500, liability_pending u2 -500, liability_available u1 -1000', 'one of them is available');
SELECT is((SELECT string_agg(format('%s %s %s %s', account, age, rewards, amount), ', ') FROM cdp.liability_by_age('2026-05-02 12:00+00')), 'liability_pending 30-59 days 1 5.00, liability_available 30-59 days 1 10.00', 'liability by age');

SET my.now = '2026-04-01 12:00+00';
-- Refunds in parts: of 50.05 first 10, then 20.02, then the rest; the friend's 5.00 falls by 1.00, 2.00, 2.00; the advocate's alike.
SELECT pg_temp.refund('f1', :o1, 1000);
SELECT pg_temp.settle(:r1);
SELECT is(pg_temp.rewards(:r1), 'referr 1000-200 available, refere 500-100 held', 'a part is refunded: 1000 * 1000 / 5005 = 199.8, 99.9');
SELECT is(pg_temp.books(:two), 'budget 1200, liability_pending u2 -400, liability_available u1 -800', 'and taken back');
SELECT payout_batch_id AS b1, payouts, amount FROM cdp.claim_payouts('bank', 'EUR', as_of => '2026-04-01') \gset
SELECT is(ROW(:payouts, :amount)::text, '(1,8.00)', 'what is available is claimed');
SELECT is((SELECT payouts FROM cdp.claim_payouts('bank', 'EUR', as_of => '2026-04-01')), 0::bigint, 'once');
SELECT is(pg_temp.rewards(:r1), 'referr 1000-200 paying, refere 500-100 held', 'it is being paid');
SELECT throws_ok(format('SELECT * FROM cdp.send_payout_batch(%s)', :b1), '55000', format('payout batch %s is not approved', :b1), 'nothing goes unapproved');
SELECT throws_ok(format('SELECT cdp.approve_payout_batch(%s)', :b1), '42501', 'who claims payouts does not approve them', 'by oneself it is not');
CREATE ROLE referral_second SUPERUSER;
SET SESSION AUTHORIZATION referral_second;
SELECT is(cdp.approve_payout_batch(:b1), 1::bigint, 'another person approves it');
RESET SESSION AUTHORIZATION;
SELECT throws_ok(format('SELECT cdp.approve_payout_batch(%s)', :b1), '55000', NULL, 'once');
SELECT is((SELECT string_agg(format('%s %s', amount, currency), ', ') FROM cdp.send_payout_batch(:b1, as_of => '2026-04-01')), '8.00 EUR', 'sent');
SELECT is((SELECT count(*) FROM cdp.send_payout_batch(:b1)), 0::bigint, 'once');
SELECT is(pg_temp.books(:two), 'budget 1200, liability_pending u2 -400, paid -800', 'and posted');
SELECT max(payout_id) AS p1 FROM cdp_data.payout \gset
SELECT is(ARRAY[cdp.confirm_payout(:p1, 'B-77', 0.30), cdp.confirm_payout(:p1, 'B-77', 0.30)], '{confirmed,repeated}', 'confirmed, with its fee');
SELECT throws_ok(format('SELECT cdp.confirm_payout(%s, %L)', :p1, 'B-78'), '55000', NULL, 'not under another reference');
SELECT is((SELECT string_agg(kind || ' ' || balance_minor, ', ' ORDER BY kind) FROM cdp_data.ledger_account WHERE referral_campaign_id IS NULL), 'fees 30, paid -30', 'the fee is posted');
SELECT pg_temp.refund('f2', :o1, 2002);
SELECT pg_temp.settle(:r1);
SELECT is(pg_temp.rewards(:r1), 'referr 1000-600 paid, refere 500-300 held', 'refunded after payment');
SELECT is(pg_temp.books(:two), 'budget 600, liability_pending u2 -200, paid -800, clawback_receivable u1 400', 'is owed back');
SELECT pg_temp.refund('f3', :o1, 2003), pg_temp.refund('f4', :o1, 9000);
SELECT pg_temp.settle(:r1);
SELECT is(pg_temp.rewards(:r1), 'referr 1000-1000 clawed_back, refere 500-500 voided', 'all of it, and never more');
SELECT is(pg_temp.books(:two), 'paid -800, clawback_receivable u1 800', 'to the cent');
-- Later earnings are kept against it; then the refund turns out to be none.
SELECT pg_temp.buy('o2', 3, '2026-03-06', 100) AS o2 \gset
SELECT pg_temp.refer(:two, 1, 3, :o2) AS r2 \gset
SELECT pg_temp.settle(:r2), cdp.release_rewards('2026-04-01');
SELECT is(pg_temp.rewards(:r2), 'referr 1000 available, refere 10 held', 'he earns again');
SELECT is(pg_temp.books(:two), 'budget 1010, liability_pending u3 -10, liability_available u1 -200, paid -800', 'less what he owes');
UPDATE cdp_data.referral_refund SET retracted_at = now() WHERE source_key IN ('f3', 'f4');
SELECT pg_temp.settle(:r1);
SELECT is(pg_temp.books(:two), 'budget 1610, liability_pending u1 -400, liability_pending u2 -200, liability_pending u3 -10, liability_available u1 -200, paid -800', 'what was kept is owed to him again');
SELECT is(pg_temp.whole(), 'whole', 'the books are whole');
SELECT is((SELECT string_agg(format('%s %s/%s/%s', event, pending_balance, available_balance, owed_balance), ', ') FROM cdp.referrer_statement(pg_temp.c(1)) WHERE event NOT IN ('approve', 'suspend')),
  'release 0.00/10.00/0.00, void 0.00/8.00/0.00, payout_sent 0.00/0.00/0.00, clawback 0.00/0.00/4.00, clawback 0.00/0.00/8.00, release 0.00/10.00/8.00, offset 0.00/2.00/0.00', 'his statement');

-- A payout that changes before it is sent, one that fails, one that comes back.
SELECT payout_batch_id AS b2 FROM cdp.claim_payouts('bank', 'EUR', as_of => '2026-04-01') \gset
SELECT pg_temp.become(:r2, 'rejected');
SELECT is((SELECT state || ': ' || reason FROM cdp_data.payout WHERE payout_batch_id = :b2), 'cancelled: a reward in it changed', 'a rejected referral stops the payout');
SELECT is(pg_temp.rewards(:r2), 'referr 1000-1000 clawed_back, refere 10-10 voided', 'and is taken back');
SELECT is(pg_temp.books(:two), 'budget 600, liability_pending u1 -400, liability_pending u2 -200, paid -800, clawback_receivable u1 800', 'what he had kept against it is owed again');
SELECT cdp.release_rewards('2026-04-02');
SELECT is(pg_temp.books(:two), 'budget 600, liability_pending u2 -200, paid -800, clawback_receivable u1 400', 'and what is released is kept against it');
SELECT pg_temp.become(:r2, 'approved');
SELECT cdp.release_rewards('2026-04-08');
SELECT is(pg_temp.books(:two), 'budget 1610, liability_available u1 -600, liability_available u2 -200, liability_available u3 -10, paid -800', 'approved after all');
SELECT payout_batch_id AS b3 FROM cdp.claim_payouts('bank', 'EUR', as_of => '2026-04-08') \gset
SET SESSION AUTHORIZATION referral_second;
SELECT cdp.approve_payout_batch(:b3);
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM cdp.send_payout_batch(:b3, as_of => '2026-04-08')), 3::bigint, 'three people at once');
SELECT is(pg_temp.books(:two), 'budget 1610, paid -1610', 'all is paid');
SELECT min(payout_id) AS p2, max(payout_id) AS p3 FROM cdp_data.payout WHERE payout_batch_id = :b3 \gset
SELECT is(ARRAY[cdp.fail_payout(:p2, 'account closed', '2026-04-09'), cdp.fail_payout(:p2, 'account closed')], '{failed,repeated}', 'one of them does not arrive');
SELECT throws_ok(format('SELECT cdp.confirm_payout(%s, %L)', :p3, 'B-77'), '23505', 'another payout has that reference of bank', 'a reference is there once');
SELECT cdp.confirm_payout(:p3, 'B-79'), cdp.fail_payout(:p3, 'returned', '2026-04-09');
SELECT is(pg_temp.books(:two), 'budget 1610, liability_available u1 -600, liability_available u3 -10, paid -1000', 'what did not arrive, and what came back, is available again');
SELECT is(pg_temp.whole(), 'whole', 'the books are whole');
UPDATE cdp_data.setting SET reward_expiry = '1 year', payout_minimum = '{"EUR": 6}';
SELECT is((SELECT amount FROM cdp.claim_payouts('bank', 'EUR')), 6.00, 'who has less than the least payout waits');
SELECT is(cdp.expire_rewards('2027-06-01'), 1::bigint, 'until it expires; what is in a payout does not');
SELECT matches(pg_temp.books(:two), 'breakage_expired -10$', 'as breakage');
SELECT pg_temp.refund('f9', :o2, 100), pg_temp.settle(:r2);
SELECT is(pg_temp.rewards(:r2), 'referr 1000-1000 clawed_back, refere 10-10 voided', 'what is refunded after it expired');
SELECT matches(pg_temp.books(:two), '^budget 600, paid -1000, clawback_receivable u1 400$', 'is no longer breakage, and nothing is asked back for it; what the advocate had is kept against what he owes');
UPDATE cdp_data.setting SET reward_expiry = NULL, payout_minimum = '{}';

-- Caps: two rewards a month, a third of 15 EUR is left of 40; the budget of 50 EUR.
SELECT pg_temp.campaign('caps', '[{"rule": "a", "side": "referrer", "trigger": "every_purchase", "shape": "percent", "rate": 1, "on_cap": "clamp"}, {"rule": "b", "side": "referee", "trigger": "every_purchase", "shape": "flat", "amount": 5}]', '[{"per": "referrer", "period": "month", "amount": 30}, {"per": "referee", "rewards": 2}, {"per": "campaign", "period": "day", "amount": 25}]', 50) AS caps \gset
SELECT pg_temp.buy('k1', 12, '2026-03-05 10:00+00', 1200) AS k1, pg_temp.buy('k2', 12, '2026-03-06 10:00+00', 1500) AS k2, pg_temp.buy('k3', 12, '2026-03-07', 700) AS k3 \gset
SELECT pg_temp.refer(:caps, 11, 12, :k1) AS q1 \gset
SELECT pg_temp.settle(:q1);
SELECT is(pg_temp.rewards(:q1), 'referr 1200 held, refere 500 held, referr 1500 held, refere 500 held, referr 300 held, refere 0 voided', 'caps of the month, of the friend');
SELECT is((SELECT string_agg(coalesce(reason, '-'), ', ' ORDER BY referral_conversion_id, side DESC) FROM cdp_data.reward WHERE referral_id = :q1), '-, -, -, -, cap amount/referrer/month/*, cap rewards/referee/ever/*', 'and which');
SELECT pg_temp.buy('k4', 13, '2026-03-31 22:30+00', 2000) AS k4 \gset
SELECT pg_temp.refer(:caps, 11, 13, :k4) AS q2 \gset
SELECT pg_temp.settle(:q2);
SELECT is(pg_temp.rewards(:q2), 'referr 1000 held, refere 0 voided', 'the next month, in the campaign''s time zone; of the budget 10.00 are left, and nothing for who is not paid in part');
SELECT is((SELECT used_minor || '/' || cap_minor FROM cdp_data.reward_counter WHERE counter_key = 'budget/' || :caps), '5000/5000', 'the budget is used up, to the cent');
SELECT is(pg_temp.settle(:q1, :q2), 0::bigint, 'and nothing is tried again');
SELECT pg_temp.refund('kf', :k1, 600);
SELECT is(pg_temp.settle(:q1, :q2), 2::bigint, 'a refund');
SELECT is(pg_temp.rewards(:q1, :q2), 'referr 1200-600 held, refere 500-250 held, referr 1500 held, refere 500 held, referr 300 held, refere 0 voided, referr 1000 held, refere 0 voided', 'gives nothing to others by itself');
SELECT is(cdp.retry_capped_rewards('caps', '2026-04-01 12:00+00'), 2::bigint, 'but when asked again');
SELECT is(pg_temp.rewards(:q1, :q2), 'referr 1200-600 held, refere 500-250 held, referr 1500 held, refere 500 held, referr 700 held, refere 0 voided, referr 1450 held, refere 0 voided', 'first come first served: 4.00 of the month, then what is left of the budget') ;
SELECT is(pg_temp.settle(:q1, :q2), 0::bigint, 'once');
SELECT is(pg_temp.whole(), 'whole', 'the books are whole');
SELECT pg_temp.become(:q1, 'rejected'), pg_temp.become(:q1, 'approved');
SELECT is(pg_temp.rewards(:q1, :q2), 'referr 1200-600 held, refere 500-250 held, referr 1500 held, refere 500 held, referr 700 held, refere 0 voided, referr 1450 held, refere 0 voided', 'rejected and approved again it is as it was');
-- u14 is u11: what he had this month counts.
SELECT pg_temp.buy('k5', 15, '2026-03-09', 900) AS k5 \gset
SELECT pg_temp.refer(:caps, 14, 15, :k5, 'pending') AS q3 \gset
SELECT (cdp.alias('shop', '{"email": "u11@example.org"}', '{"email": "u14@example.org"}')).merged IS NOT NULL AS merged \gset
SELECT pg_temp.become(:q1, 'rejected');
UPDATE cdp_data.referral_campaign SET budget_minor = 10000 WHERE referral_campaign_id = :caps;
SELECT pg_temp.settle(:q3), pg_temp.become(:q1, 'approved');
SELECT is(pg_temp.rewards(:q3), 'referr 900 reserved, refere 500 reserved', 'one has 9.00');
SELECT is((SELECT sum(amount_minor - clawed_minor) FROM cdp_data.reward WHERE referral_id IN (:q1, :q3) AND side = 'referrer'), 3000::numeric, 'both together what one may have');
SELECT is(pg_temp.whole(), 'whole', 'the books are whole');

-- Milestones, tiers and a second level.
SELECT pg_temp.campaign('many', '[{"rule": "t", "side": "referrer", "trigger": "first_purchase", "shape": "tier", "tier_mode": "whole", "tiers": [{"from": 0, "amount": 5}, {"from": 3, "amount": 8}]}, {"rule": "m", "side": "referrer", "trigger": "first_purchase", "shape": "milestone", "milestones": [{"n": 2, "amount": 20}, {"n": 3, "amount": 30}]},
  {"rule": "up", "side": "referrer", "level": 2, "trigger": "first_purchase", "shape": "percent", "rate": 0.1}]', terms => '{"levels": 2}') AS many \gset
SELECT pg_temp.buy('m' || i, 20 + i, timestamptz '2026-03-01' + i * interval '1 day', 1000) FROM generate_series(1, 4) i;
SELECT pg_temp.refer(:many, 20, 20 + i, (SELECT referral_conversion_id FROM cdp_data.referral_conversion WHERE source_key = 'm' || i)) FROM generate_series(1, 4) i;
SELECT array_agg(referral_id ORDER BY referral_id) AS ms, min(referral_id) AS m1, max(referral_id) AS m4 FROM cdp_data.referral WHERE referral_campaign_id = :many \gset
SELECT pg_temp.refer(:many, 19, 21, (SELECT referral_conversion_id FROM cdp_data.referral_conversion WHERE source_key = 'm1'), level => 2) AS up \gset
SELECT pg_temp.settle(:m1);
SELECT is(pg_temp.rewards(VARIADIC :'ms'::bigint[]), 'referr 800 held, referr m2 2000 held, referr 800 held, referr m3 3000 held, referr 800 held, referr 800 held', 'the tier reached holds for all, each milestone once');
SELECT is(pg_temp.rewards(:up), 'referr 80 held', 'the second level has its part of the first');
SELECT pg_temp.become(:m1, 'rejected');
SELECT is(pg_temp.rewards(VARIADIC :'ms'::bigint[]), 'referr 800-800 voided, referr m2 2000 held, referr 800 held, referr m3 3000 held, referr 800 held, referr 800 held', 'one of four less: three are three');
SELECT pg_temp.become(:m4, 'rejected');
SELECT is(pg_temp.rewards(VARIADIC :'ms'::bigint[]), 'referr 800-800 voided, referr m2 2000 held, referr 800-300 held, referr m3 3000-3000 voided, referr 800-300 held, referr 800-800 voided', 'two left: the tier and the third milestone fall');
SELECT pg_temp.become(:m1, 'approved');
SELECT is(pg_temp.rewards(VARIADIC :'ms'::bigint[]), 'referr 800 held, referr m2 2000 held, referr 800 held, referr m3 3000 held, referr 800 held, referr 800-800 voided', 'and come back, no milestone twice');
SELECT is(pg_temp.settle(VARIADIC :'ms'::bigint[]), 0::bigint, 'settled');
-- The advocate was two people, each with two friends: as one he has four.
SELECT pg_temp.buy('n' || i, 30 + i, timestamptz '2026-03-01' + i * interval '1 day', 1000) FROM generate_series(1, 4) i;
SELECT pg_temp.refer(:many, 28 + i % 2, 30 + i, (SELECT referral_conversion_id FROM cdp_data.referral_conversion WHERE source_key = 'n' || i)) FROM generate_series(1, 4) i;
SELECT array_agg(referral_id ORDER BY referral_id) AS ns FROM cdp_data.referral WHERE referral_campaign_id = :many AND referee_id IN (SELECT customer_id FROM cdp_data.identifier WHERE value IN ('u31@example.org', 'u32@example.org', 'u33@example.org', 'u34@example.org')) \gset
SELECT pg_temp.settle(VARIADIC :'ns'::bigint[]);
SELECT is(pg_temp.rewards(VARIADIC :'ns'::bigint[]), 'referr 500 held, referr 500 held, referr m2 2000 held, referr 500 held, referr m2 2000 held, referr 500 held', 'two advocates with a second friend each');
SELECT (cdp.alias('shop', '{"email": "u28@example.org"}', '{"email": "u29@example.org"}')).merged IS NOT NULL AS merged \gset
SELECT pg_temp.settle(VARIADIC :'ns'::bigint[]);
SELECT is(pg_temp.rewards(VARIADIC :'ns'::bigint[]), 'referr 800 held, referr 800 held, referr m2 2000 held, referr m3 3000 held, referr 800 held, referr m2 2000-2000 voided, referr 800 held', 'as one: a tier more, the second milestone once, the third');
SELECT is(pg_temp.settle(VARIADIC :'ns'::bigint[]), 0::bigint, 'settled');

-- The same conversion is paid to one only; a retracted one to none; a test never.
SELECT pg_temp.refer(:two, 40, 2, :o1, 'duplicate') AS d1 \gset
SELECT pg_temp.settle(:d1);
SELECT is(pg_temp.rewards(:d1), 'none', 'a duplicate earns nothing');
UPDATE cdp_data.referral SET state = CASE referral_id WHEN :d1 THEN 'approved' ELSE 'duplicate' END WHERE referral_id IN (:d1, :r1);
SELECT pg_temp.settle(:d1);
SELECT is(pg_temp.rewards(:d1), 'referr 1000-600 held, refere 500-300 held', 'when it is the other one who brought him');
SELECT is(pg_temp.rewards(:r1), 'referr 1000-1000 clawed_back, refere 500-500 clawed_back', 'the first pays back');
UPDATE cdp_data.referral_conversion SET retracted_at = now() WHERE referral_conversion_id = :o1;
SELECT pg_temp.settle(:d1);
SELECT is(pg_temp.rewards(:d1), 'referr 1000-1000 voided, refere 500-500 voided', 'a conversion that was taken back is none');
UPDATE cdp_data.referral_conversion SET retracted_at = NULL, is_test = true WHERE referral_conversion_id = :o1;
SELECT is(pg_temp.settle(:d1), 0::bigint, 'nor is a test');
SELECT throws_ok('SELECT cdp_internal.reward_settle(''{1}'', ''infinity'')', '22023', NULL, 'as_of is a moment');
SELECT is(pg_temp.whole(), 'whole', 'the books are whole');
SELECT * FROM finish();
ROLLBACK;

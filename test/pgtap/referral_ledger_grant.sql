-- The quick road of new rewards (cdp_internal.grant_pairs): the same books as the road with the counters in hand, its looks at caps, and
-- what it does when somebody else has a reward, or was faster.
BEGIN;
SELECT plan(19);
SET LOCAL client_min_messages = error;
INSERT INTO cdp_data.customer (customer_id, parent_id) OVERRIDING SYSTEM VALUE SELECT i, i FROM generate_series(1, 60) i;
SELECT cdp.create_referral_campaign(c, currency => 'EUR', budget => 100000, campaign_group => c) FROM unnest('{quick,held}'::text[]) c;
SELECT cdp.set_referral_terms(c, '{}', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]') FROM unnest('{quick,held}'::text[]) c;
-- Reward n of a campaign, for advocate n % 7 + 1, under the budget and a cap of the advocate.
CREATE FUNCTION pg_temp.pair(camp integer, n bigint, stage text DEFAULT 'approve', budget bigint DEFAULT 10000000, own_cap bigint DEFAULT 100000, own_count bigint DEFAULT NULL) RETURNS cdp_internal.reward_pair LANGUAGE sql AS $$
  SELECT ROW(NULL, n, n, camp, 'referrer', 1, NULL, n % 7 + 1, camp, 'EUR', 1000 + n, 0, 0, stage, timestamptz '2026-03-15', true, cdp_internal.ledger_key('reward', camp::text, n::text), NULL,
    ARRAY['budget/' || camp, camp || '/amount/referrer/ever/*/#' || n % 7 + 1 || '/'], ARRAY[NULL, n % 7 + 1], ARRAY[budget, own_cap], ARRAY[NULL, own_count], '{}', 1000 + n, timestamptz '2026-03-15')::cdp_internal.reward_pair $$;
CREATE FUNCTION pg_temp.pairs(camp integer, a integer, b integer) RETURNS cdp_internal.reward_pair[] LANGUAGE sql AS $$ SELECT array_agg(pg_temp.pair(camp, n, CASE n % 5 WHEN 0 THEN 'reserve' ELSE 'approve' END) ORDER BY n) FROM generate_series(a, b) n $$;

-- The same rewards on both roads: one by one, then several at once.
SELECT is((SELECT sum(cdp_internal.settle_pairs(pg_temp.pairs(1, n, n), '2026-03-02', 'infinity')) FROM generate_series(1, 12) n) + cdp_internal.settle_pairs(pg_temp.pairs(1, 13, 40), '2026-03-02', 'infinity'), 40::numeric, 'forty, quickly');
CREATE FUNCTION pg_temp.held(p cdp_internal.reward_pair[]) RETURNS bigint LANGUAGE sql AS $$ SELECT cdp_internal.settle_held(p, '2026-03-02', 'infinity', h.keys, h.minors, h.counts) FROM cdp_internal.hold_pairs(p) h $$;
SELECT is((SELECT sum(pg_temp.held(pg_temp.pairs(2, n, n))) FROM generate_series(1, 12) n) + pg_temp.held(pg_temp.pairs(2, 13, 40)), 40::numeric, 'forty, with the counters in hand');
CREATE FUNCTION pg_temp.books(camp integer) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT 'reward ' || (to_jsonb(w) - '{reward_id,idempotency_key,referral_campaign_id,reward_rule_id,counters}'::text[] || jsonb_build_object('counters', (SELECT array_agg(regexp_replace(k, '^\d+/|\d+$', '') ORDER BY k) FROM unnest(w.counters) k)))::text FROM cdp_data.reward w WHERE w.referral_campaign_id = camp
  UNION ALL SELECT concat_ws(' ', 'posting', w.referral_id, p.kind, p.occurred_at, p.booked_on, p.idempotency_key = cdp_internal.ledger_key('move', w.reward_id::text, '0', CASE p.kind WHEN 'reserve' THEN '1' ELSE '2' END), e.line, a.kind, a.customer_id, e.amount_minor)
    FROM cdp_data.reward w JOIN cdp_data.ledger_posting p USING (reward_id) JOIN cdp_data.ledger_entry e USING (ledger_posting_id) JOIN cdp_data.ledger_account a USING (ledger_account_id) WHERE w.referral_campaign_id = camp
  UNION ALL SELECT concat_ws(' ', 'account', a.kind, a.customer_id, a.balance_minor) FROM cdp_data.ledger_account a WHERE a.referral_campaign_id = camp AND a.balance_minor <> 0
  UNION ALL SELECT concat_ws(' ', 'counter', regexp_replace(c.counter_key, '^\d+/|\d+$', ''), c.customer_id, c.used_minor, c.used_count, c.cap_minor, c.cap_count, c.over_minor) FROM cdp_data.reward_counter c WHERE c.counter_key LIKE camp || '/%' OR c.counter_key = 'budget/' || camp $$;
SELECT bag_eq('SELECT * FROM pg_temp.books(1)', 'SELECT * FROM pg_temp.books(2)', 'rewards, postings, entries, balances and counters are the same');
SELECT is((SELECT count(*) FROM pg_temp.books(1)), (40 + 2 * 40 + 2 * 32 + 10 + 7 + 1 - 1)::bigint, 'all of them');
SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'the books are whole');

-- How far caps are.
SELECT is((cdp_internal.glance_pairs(ARRAY[pg_temp.pair(1, 100)])).margin, 1000::bigint, 'a thousand times is far');
SELECT is((SELECT margin || ' ' || keys::text || minors::text || counts::text FROM cdp_internal.glance_pairs(ARRAY[pg_temp.pair(3, 1, budget => 30000), pg_temp.pair(3, 8, budget => 30000), pg_temp.pair(3, 2, budget => 30000)])), '9 {3/amount/referrer/ever/*/#2/,3/amount/referrer/ever/*/#3/,budget/3}{2009,1002,3011}{2,1,3}', 'sums by counter, in the order of keys; the budget tells how often');
SELECT is((cdp_internal.glance_pairs(ARRAY[pg_temp.pair(4, 1, own_cap => 1001)])).margin, 1000::bigint, 'a person''s cap has room for just this');
SELECT is((cdp_internal.glance_pairs(ARRAY[pg_temp.pair(5, 1, own_cap => 1000)])).margin, 0::bigint, 'or not');
SELECT is((cdp_internal.glance_pairs(ARRAY[pg_temp.pair(6, 1, own_count => 1), pg_temp.pair(6, 8, own_count => 1)])).margin, 0::bigint, 'nor for two rewards where one may be');
SELECT is((cdp_internal.glance_pairs(ARRAY[pg_temp.pair(1, 100, budget => 20000000)])).margin, 0::bigint, 'another cap is taken over first');
SELECT is((SELECT count(*) FROM cdp_internal.glance_pairs(ARRAY[jsonb_populate_record(pg_temp.pair(1, 100), v)]) g WHERE g.margin IS NULL), 1::bigint, 'no case: ' || v::text)
FROM unnest('{"{\"reward_id\": 1}","{\"refunded\": 1}","{\"stage\": \"none\"}","{\"own\": 5}"}'::jsonb[]) v;

-- The same reward again, in one call and in another: nothing is given, nothing is counted.
SELECT is(cdp_internal.settle_pairs(ARRAY[pg_temp.pair(1, 50), pg_temp.pair(1, 50), pg_temp.pair(1, 40)], '2026-03-02', 'infinity'), 1::bigint, 'one of three is new');
SELECT is((SELECT c.used_count || ' ' || c.used_minor FROM cdp_data.reward_counter c WHERE c.counter_key = 'budget/1'), '41 ' || 41 * 1000 + 820 + 50, 'and counts once');

-- Somebody took the room after the look: the race is lost at the end of the work, and run again with the counters in hand.
CREATE FUNCTION pg_temp.late() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN cdp_internal.grant_pairs(ARRAY[pg_temp.pair(7, 1, budget => 500)], '2026-03-02', 'infinity', '-infinity', ARRAY['7/amount/referrer/ever/*/#2/', 'budget/7'], '{1001,1001}', '{1,1}'); END $$;
INSERT INTO cdp_data.reward_counter (counter_key, customer_id, cap_minor) VALUES ('budget/7', NULL, 500), ('7/amount/referrer/ever/*/#2/', 2, 100000);
SELECT throws_ok('SELECT pg_temp.late()', '40001', 'a cap has less room than was found', 'no cent above the cap');
SELECT is((SELECT cdp_internal.settle_pairs(ARRAY[pg_temp.pair(7, 1, budget => 500)], '2026-03-02', 'infinity') || ' ' || (SELECT c.used_minor FROM cdp_data.reward_counter c WHERE c.counter_key = 'budget/7')), '1 0', 'near the cap the other road is gone');
SELECT * FROM finish();
ROLLBACK;

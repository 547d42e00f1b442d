-- Fills a database for test/bench/referral/caps.sh: a campaign with a budget and a cap per advocate, and the naive peer, which writes
-- the same rows through the same ledger, but reads what is used before, and adds to it after, without a test.
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'EUR');
SET client_min_messages = error;
SELECT cdp.create_referral_campaign('caps', currency => 'EUR', budget => 1e9, ends_at => '2099-01-01');
SELECT cdp.set_referral_terms('caps', '{}', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10}]');
CREATE SEQUENCE bench_n;
-- The conversion n of advocate n % 1000, as both sides get it.
CREATE FUNCTION bench_pair(n bigint) RETURNS cdp_internal.reward_pair LANGUAGE sql VOLATILE AS $$
  SELECT ROW(NULL, n, n, 1, 'referrer', 1, NULL, n % 1000 + 1, 1, 'EUR', 1000, 0, 0, 'approve', timestamptz '2026-03-15', false, cdp_internal.ledger_key('reward', n::text), NULL, ARRAY['budget/1'], ARRAY[NULL::bigint], ARRAY[100000000000], ARRAY[NULL::bigint], '{}')::cdp_internal.reward_pair $$;
CREATE FUNCTION bench_guarded() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN cdp_internal.settle_pairs(ARRAY[bench_pair(nextval('bench_n'))], '2026-03-01'); END $$;
CREATE FUNCTION bench_naive() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  p cdp_internal.reward_pair := bench_pair(nextval('bench_n'));
  used bigint;
  id bigint;
BEGIN
  SELECT c.used_minor INTO used FROM cdp_data.reward_counter c WHERE c.counter_key = 'budget/1';
  IF used + p.wanted > 100000000000 OR EXISTS (SELECT FROM cdp_data.reward w WHERE w.idempotency_key = p.key) THEN
    RETURN 0;
  END IF;
  INSERT INTO cdp_data.reward (idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, pending_minor, hold_until, granted_at, counters)
  VALUES (p.key, p.referral_id, p.referral_conversion_id, p.reward_rule_id, p.side, p.level, p.customer_id, p.referral_campaign_id, p.currency, p.wanted, p.wanted, p.wanted, p.hold_until, '2026-03-01', p.cap_keys) RETURNING reward_id INTO id;
  PERFORM cdp_internal.post_moves(ARRAY[ROW('reserve', id, 0, 1, 'budget', 'budget_reserved', p.wanted, NULL, NULL), ROW('approve', id, 0, 2, 'budget_reserved', 'liability_pending', p.wanted, NULL, NULL)]::cdp_internal.reward_move[], '2026-03-01');
  UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + p.wanted, used_count = c.used_count + 1 WHERE c.counter_key = 'budget/1';
  RETURN 1;
END $$;
-- Accounts and the counter are there before anything is measured.
SELECT count(cdp_internal.settle_pairs(ARRAY[bench_pair(nextval('bench_n'))], '2026-03-01')) FROM generate_series(1, 1000);
VACUUM ANALYZE;

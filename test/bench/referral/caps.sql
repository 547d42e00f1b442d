-- Fills a database for test/bench/referral/caps.sh: a campaign with a budget and a cap per advocate, and the naive peer, which writes
-- the same rows with the same indexes and adds to the same counters, and never asks what a cap leaves.
CREATE EXTENSION pg_cdp;
CALL cdp.setup(timezone => 'UTC', currency => 'EUR');
SET client_min_messages = error;
SELECT setval('cdp_data.customer_customer_id_seq', 10000);
INSERT INTO cdp_data.source (name) VALUES ('shop');
INSERT INTO cdp_data.customer (customer_id, parent_id) OVERRIDING SYSTEM VALUE SELECT i, i FROM generate_series(1, 2001) i;
INSERT INTO cdp_data.identifier (identifier_id, type_id, value, customer_id) OVERRIDING SYSTEM VALUE SELECT i, 8, 'ck' || i, i FROM generate_series(1, 2001) i;
-- far: the caps are never near; near: they are reached within the run.
SELECT cdp.create_referral_campaign(c.name, currency => 'EUR', budget => c.budget, starts_at => '2026-01-01', ends_at => '2099-01-01', campaign_group => c.name) FROM (VALUES ('far', 1e9), ('near', 21234.56)) AS c (name, budget);
SELECT cdp.set_referral_terms(c.name, '{}', '[{"rule": "friend", "side": "referrer", "trigger": "first_purchase", "shape": "flat", "amount": 10, "on_cap": "clamp"}]', c.caps::jsonb)
FROM (VALUES ('far', '[{"per": "referrer", "amount": 1000000}]'), ('near', '[{"per": "referrer", "amount": 25}]')) AS c (name, caps);
SELECT cdp.activate_referral_campaign(c, '2026-01-01') FROM unnest('{far,near}'::text[]) c;
-- One real referral of each campaign: what the real road makes of it, with all its counters, is the pattern of all others.
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, value_minor, eligible_minor, currency) VALUES (1, 'o1', 'purchase', '2026-03-01', 2001, 2001, 5000, 5000, 'EUR');
INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
SELECT c.name, c.referral_campaign_id, 1, 1, 2001, 'manual', 1, '2026-03-01', 'approved' FROM cdp_data.referral_campaign c ORDER BY 1;
CREATE TABLE bench_pattern AS SELECT c.name, p.* FROM cdp_data.referral r JOIN cdp_data.referral_campaign c USING (referral_campaign_id) CROSS JOIN LATERAL cdp_internal.reward_pairs(ARRAY[r.referral_id], '2026-03-02') p;
DO $$ BEGIN
  IF (SELECT array_agg(x.name || ' ' || x.wanted || ' ' || x.cap_keys[1] || ' ' || regexp_replace(x.cap_keys[2], '^\d+/(.*)#1/$', '\1') || ' ' || x.cap_minors::text ORDER BY x.name) FROM bench_pattern x)
    IS DISTINCT FROM '{"far 1000 budget/1 amount/referrer/ever/*/ {100000000000,100000000}","near 1000 budget/2 amount/referrer/ever/*/ {2123456,2500}"}'::text[] THEN
    RAISE EXCEPTION 'the campaigns have other counters than this bench expects: %', (SELECT jsonb_agg(x) FROM bench_pattern x);
  END IF;
END $$;
CREATE SEQUENCE bench_n START 2;
-- The reward for conversion n, of advocate n % 1000 + 1, as both sides get it.
CREATE FUNCTION bench_pair(campaign text, n bigint) RETURNS cdp_internal.reward_pair LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  p cdp_internal.reward_pair;
BEGIN
  SELECT NULL, n, n, x.reward_rule_id, x.side, x.level, NULL, n % 1000 + 1, x.referral_campaign_id, x.currency, x.wanted, 0, x.eligible, x.stage, x.hold_until, x.clamp, cdp_internal.ledger_key('reward', n::text), NULL,
    ARRAY[x.cap_keys[1], replace(x.cap_keys[2], '#1/', '#' || n % 1000 + 1 || '/')], ARRAY[NULL, n % 1000 + 1], x.cap_minors, x.cap_counts, '{}', x.own, x.later_until INTO p FROM bench_pattern x WHERE x.name = campaign;
  RETURN p;
END $$;
CREATE FUNCTION bench_guarded(campaign text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN cdp_internal.settle_pairs(ARRAY[bench_pair(campaign, nextval('bench_n'))], '2026-03-02', 'infinity'); END $$;
-- The peer in plain statements, what everybody waits for last. No counter is asked; keys of postings and the day of the books are as ours.
CREATE FUNCTION bench_naive(campaign text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  p cdp_internal.reward_pair := bench_pair(campaign, nextval('bench_n'));
  id bigint;
  budget bigint; reserved bigint; pending bigint;
  p1 bigint; p2 bigint;
BEGIN
  SELECT (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'budget' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id IS NULL AND a.currency = p.currency),
    (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'budget_reserved' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id IS NULL AND a.currency = p.currency),
    (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'liability_pending' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id = p.customer_id AND a.currency = p.currency) INTO budget, reserved, pending;
  INSERT INTO cdp_data.reward (idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, pending_minor, hold_until, granted_at, counters)
  VALUES (p.key, p.referral_id, p.referral_conversion_id, p.reward_rule_id, p.side, p.level, p.customer_id, p.referral_campaign_id, p.currency, p.wanted, p.wanted, p.wanted, p.hold_until, '2026-03-02', p.cap_keys) RETURNING reward_id INTO id;
  p1 := nextval('cdp_data.ledger_posting_ledger_posting_id_seq');
  p2 := nextval('cdp_data.ledger_posting_ledger_posting_id_seq');
  INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on, reward_id)
  VALUES (p1, cdp_internal.ledger_key('move', id::text, '0', '1'), 'reserve', '2026-03-02', '2026-03-02', id), (p2, cdp_internal.ledger_key('move', id::text, '0', '2'), 'approve', '2026-03-02', '2026-03-02', id);
  INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) VALUES (p1, 1, budget, p.wanted), (p1, 2, reserved, -p.wanted), (p2, 1, reserved, p.wanted), (p2, 2, pending, -p.wanted);
  UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + p.wanted, used_count = c.used_count + 1 WHERE c.counter_key = p.cap_keys[2];
  UPDATE cdp_data.ledger_account a SET balance_minor = a.balance_minor - p.wanted WHERE a.ledger_account_id = pending;
  UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + p.wanted, used_count = c.used_count + 1 WHERE c.counter_key = p.cap_keys[1];
  UPDATE cdp_data.ledger_account a SET balance_minor = a.balance_minor + p.wanted WHERE a.ledger_account_id = budget;
  RETURN 1;
END $$;
-- Accounts and counters are there before anything is measured.
SELECT count(cdp_internal.settle_pairs(ARRAY[bench_pair('far', nextval('bench_n'))], '2026-03-02', 'infinity')) FROM generate_series(1, 1000);
VACUUM ANALYZE;

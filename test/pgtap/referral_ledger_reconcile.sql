-- What the provider says beside the books: every kind of difference, files taken whole and once; receivables that are repaid; and the
-- finance part pays through its roads and writes no table.
BEGIN;
SELECT plan(32);
SET LOCAL client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC');
SELECT count(cdp.identify('shop', jsonb_build_object('email', 'u' || i || '@example.org'))) FROM generate_series(1, 12) i;
SELECT cdp.create_referral_campaign('c', currency => 'EUR', ends_at => '2099-01-01') AS c \gset
SELECT cdp.set_referral_terms('c', '{}', '[{"rule": "f", "side": "referee", "trigger": "first_purchase", "shape": "flat", "amount": 10, "hold": "0"}]'), cdp.activate_referral_campaign('c', '2025-01-01');
INSERT INTO cdp_data.referral_conversion (source_id, source_key, kind, occurred_at, identifier_id, customer_id, eligible_minor, currency)
SELECT 1, n.value, 'purchase', '2026-03-01', n.identifier_id, n.customer_id, 1000, 'EUR' FROM cdp_data.identifier n WHERE n.value <> 'u1@example.org' ORDER BY substr(split_part(n.value, '@', 1), 2)::int;
INSERT INTO cdp_data.referral (campaign_group, referral_campaign_id, terms_version, referrer_id, referee_id, method, first_conversion_id, attributed_at, state)
SELECT 'c', :c, 1, (SELECT customer_id FROM cdp_data.identifier WHERE value = 'u1@example.org'), v.customer_id, 'code', v.referral_conversion_id, v.occurred_at, 'approved' FROM cdp_data.referral_conversion v ORDER BY v.referral_conversion_id;
SELECT is(cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM cdp_data.referral), '2026-03-02'), 11::bigint, 'eleven rewards');
SELECT is(cdp.release_rewards('2026-03-02'), 11::bigint, 'available');
SELECT payout_batch_id AS b FROM cdp.claim_payouts('bank', 'EUR', as_of => '2026-03-02') \gset
UPDATE cdp_data.payout_batch SET claimed_by = 'another', claimed_role = 'another';
SELECT cdp.approve_payout_batch(:b), cdp.cancel_payouts(:b, (SELECT max(payout_id) FROM cdp_data.payout));
SELECT is((SELECT count(*) FROM cdp.send_payout_batch(:b, as_of => '2026-03-03')), 10::bigint, 'ten are sent');
SELECT min(payout_id) AS p FROM cdp_data.payout \gset
SELECT cdp.confirm_payout(:p + i, 'B' || i, 0.1) FROM generate_series(0, 5) i;
SELECT cdp.fail_payout(:p + 8, 'closed');
SELECT is((SELECT count(*) FROM cdp.reconcile_payouts('bank') WHERE difference = 'unknown to the provider'), 9::bigint, 'no file yet');
-- 0 right, 1 another amount, 2 another fee, 3 another currency, 4 failed there, 5 in no file, 6 paid and not confirmed, 7 twice, 8 failed here, 10 cancelled here, one that is nobody's.
\set file '[{"reference": "B0", "amount": 10, "currency": "EUR", "status": "paid", "fee": 0.1}, {"reference": "B1", "amount": 9.99, "currency": "EUR", "status": "paid", "fee": 0.1}, {"reference": "B2", "amount": 10, "currency": "EUR", "status": "paid", "fee": 0.2}, {"reference": "B3", "amount": 10, "currency": "USD", "status": "paid", "fee": 0.1}, {"reference": "B4", "amount": 10, "currency": "EUR", "status": "failed"}, {"reference": "X6", "ours": "cdp-P6", "amount": 10, "currency": "EUR", "status": "paid"}, {"reference": "X7", "ours": "cdp-P7", "amount": 10, "currency": "EUR", "status": "paid"}, {"reference": "X7", "ours": "cdp-P7", "amount": 10, "currency": "EUR", "status": "paid"}, {"reference": "X8", "ours": "cdp-P8", "amount": 10, "currency": "EUR", "status": "paid"}, {"reference": "XA", "ours": "cdp-PA", "amount": 10, "currency": "EUR", "status": "paid"}, {"reference": "Y", "amount": 3, "currency": "EUR", "status": "paid"}]'
SELECT replace(replace(replace(replace(:'file', 'P6', (:p + 6)::text), 'P7', (:p + 7)::text), 'P8', (:p + 8)::text), 'PA', (:p + 10)::text) AS file \gset
SELECT is((SELECT string_agg(r::text, ' ') FROM cdp.load_provider_lines('bank', 'march', :'file') r), '(loaded,11)', 'the file is taken');
SELECT is((SELECT string_agg(r::text, ' ') FROM cdp.load_provider_lines('bank', 'march', :'file') r), '(repeated,11)', 'once');
SELECT is((SELECT string_agg(format('%s %s', difference, coalesce((payout_id - :p)::text, provider_reference)), ', ' ORDER BY difference, payout_id) FROM cdp.reconcile_payouts('bank')),
  'failed at the provider 4, not confirmed 6, not confirmed 7, other amount 1, other currency 3, other fee 2, paid by the provider 8, paid by the provider 10, paid twice 7, unknown to the books Y, unknown to the provider 5, unknown to the provider 9', 'every difference, and nothing else');
SELECT is((SELECT format('%s %s', ours, theirs) FROM cdp.reconcile_payouts('bank') WHERE difference = 'other amount'), '10.00 9.99', 'with both amounts');
SELECT is((SELECT count(*) FROM cdp.reconcile_payouts('bank', until => '2026-03-03')), 10::bigint, 'what was sent later is not looked for');
SELECT is((SELECT count(*) FROM cdp.reconcile_payouts('other')), 0::bigint, 'each provider by itself');
-- Two payments of one payout under two numbers, before it is confirmed and after; one that was tried again; and one under another number.
SELECT cdp.load_provider_lines('bank', 'april', replace(replace('[{"reference": "X6b", "ours": "cdp-P6", "amount": 10, "currency": "EUR", "status": "paid", "account": "DE02120300000000202051"}, {"reference": "X9", "ours": "cdp-P9", "amount": 10, "currency": "EUR", "status": "failed"}, {"reference": "X9b", "ours": "cdp-P9", "amount": 10, "currency": "EUR", "status": "paid"}]', 'P6', (:p + 6)::text), 'P9', (:p + 9)::text)::jsonb) \g /dev/null
SELECT is((SELECT string_agg(difference || ' ' || provider_reference, ', ' ORDER BY difference, provider_reference) FROM cdp.reconcile_payouts('bank') WHERE payout_id IN (:p + 6, :p + 9)), 'not confirmed X6, not confirmed X9b, paid twice X6b', 'a second payment shows before the first is confirmed; a second try is none');
SELECT is((SELECT count(*) FROM cdp_data.fraud_fact WHERE kind = 'payout'), 1::bigint, 'the account is kept for the fraud rules');
SELECT is((SELECT count(*) FROM cdp_data.provider_line l WHERE l::text LIKE '%DE0212%'), 0::bigint, 'as a digest only');
SELECT cdp.confirm_payout(:p + 6, 'X6'), cdp.confirm_payout(:p + 9, 'X99') \g /dev/null
SELECT is((SELECT string_agg(difference || ' ' || provider_reference, ', ' ORDER BY difference, provider_reference) FROM cdp.reconcile_payouts('bank') WHERE payout_id IN (:p + 6, :p + 9)), 'other reference X9b, paid twice X6b', 'and after it');
SELECT throws_ok(format('SELECT * FROM cdp.load_provider_lines(''bank'', ''march'', %L)', '[{"reference": "B0", "amount": 11, "currency": "EUR", "status": "paid"}]'), '23505', 'another file of that name was loaded before', 'another file of the name');
SELECT throws_ok(format('SELECT * FROM cdp.load_provider_lines(''bank'', ''x'', %L)', l), '22023', NULL, l) FROM unnest(ARRAY['{}', '[{"reference": "", "amount": 1, "currency": "EUR", "status": "paid"}]', '[{"reference": "r", "amount": "1", "currency": "EUR", "status": "paid"}]', '[{"reference": "r", "amount": 1, "currency": "EURO", "status": "paid"}]', '[7]']) l;
SELECT is((SELECT count(*) FROM cdp_data.provider_line), 14::bigint, 'nothing of a bad file is taken');

-- A friend gives everything back after he was paid, and pays back in parts.
SELECT customer_id AS who FROM cdp_data.payout WHERE payout_id = :p \gset
INSERT INTO cdp_data.referral_refund (source_id, source_key, referral_conversion_id, refunded_at, amount_minor, customer_id) SELECT 1, 'f', referral_conversion_id, '2026-03-05', 1000, customer_id FROM cdp_data.referral_conversion WHERE customer_id = :who;
SELECT cdp_internal.reward_settle(ARRAY(SELECT referral_id FROM cdp_data.referral), '2026-03-06');
SELECT is(ARRAY[cdp.settle_receivable(:who, 'c', 4, 'repaid', 'cash 1'), cdp.settle_receivable(:who, 'c', 4, 'repaid', 'cash 1'), cdp.settle_receivable(:who, 'c', 6, 'written_off', 'board 7'), cdp.settle_receivable(:who, 'c', 6, 'written_off', 'board 7')], '{repaid,repeated,asked,asked}', 'paid back, once; nobody gives up money by himself');
CREATE ROLE reconcile_board SUPERUSER;
SET SESSION AUTHORIZATION reconcile_board;
SELECT throws_ok(format('SELECT cdp.settle_receivable(%s, ''c'', 5, ''written_off'', ''board 7'')', :who), '23505', 'another write-off has that reference', 'another one agrees to what was asked');
SELECT is(ARRAY[cdp.settle_receivable(:who, 'c', 6, 'written_off', 'board 7'), cdp.settle_receivable(:who, 'c', 6, 'written_off', 'board 7')], '{written_off,repeated}', 'and it is given up, once');
RESET SESSION AUTHORIZATION;
SELECT throws_ok(format('SELECT cdp.settle_receivable(%s, ''c'', 1, ''repaid'', ''cash 2'')', :who), '22023', 'the customer owes less than that', 'no more than he owes');
SELECT is((SELECT string_agg(format('%s %s', account, balance), ', ') FROM cdp.ledger_balances() WHERE account IN ('clawback_receivable', 'fees') AND balance <> 0 AND campaign = 'c'), 'fees 6.00', 'in the books');

-- The finance part.
CREATE ROLE reconcile_finance LOGIN;
CREATE ROLE reconcile_second LOGIN;
GRANT reconcile_finance TO reconcile_second;
CALL cdp.setup(timezone => 'Asia/Shanghai', currency => 'CNY', finance => 'reconcile_finance');
SET SESSION AUTHORIZATION reconcile_finance;
SELECT is((SELECT payouts FROM cdp_api.claim_payouts('bank', 'EUR')), 2::bigint, 'claims');
SELECT throws_ok('SELECT cdp_api.approve_payout_batch((SELECT max(payout_batch_id) FROM cdp_data.payout_batch))', '42501', 'who claims payouts does not approve them', 'does not approve its own');
SELECT throws_ok('UPDATE cdp_data.payout SET amount_minor = 1', '42501', NULL, 'and writes nothing');
SELECT throws_ok(format('SELECT cdp_api.settle_receivable(%s, ''c'', 1, ''repaid'', ''cash 3'')', :who), '22023', 'the customer owes less than that', 'notes what is paid back');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION reconcile_second;
SELECT is(cdp_api.approve_payout_batch((SELECT max(payout_batch_id) FROM cdp_data.payout_batch)), 2::bigint, 'another one approves');
RESET SESSION AUTHORIZATION;
SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'the books are whole');
SELECT * FROM finish();
ROLLBACK;

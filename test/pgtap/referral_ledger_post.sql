-- The reward ledger by itself: postings sum to zero, are made once, are never changed; balances are sums and stay on their side;
-- a closed month is left alone; caps are exact; cdp.ledger_verify() sees whatever is put wrong by hand.
BEGIN;
SELECT plan(50);
SET LOCAL client_min_messages = error;
SELECT is(cdp_internal.ledger_key('a', 'bc') = cdp_internal.ledger_key('ab', 'c'), false, 'keys of different lists differ');
SELECT is(cdp_internal.ledger_key('a', NULL) = cdp_internal.ledger_key('a', ''), false, 'nothing is not an empty text');
SELECT is(octet_length(cdp_internal.ledger_key('a')), 32, 'a key has 32 bytes');
SELECT is(cdp_internal.ledger_accounts('{budget,budget_reserved,liability_pending,budget}', '{7,7,7,7}', '{NULL,NULL,41,NULL}', '{CNY,CNY,CNY,CNY}'), ARRAY[1, 2, 3, 1]::bigint[], 'accounts are made once') FROM (SELECT setval(pg_get_serial_sequence('cdp_data.ledger_account', 'ledger_account_id'), 1, false)) s;
SELECT throws_ok($$SELECT cdp_internal.ledger_accounts('{budget}', '{7}', '{41}', '{CNY}')$$, '23514', NULL, 'a budget is nobody''s');
SELECT throws_ok($$SELECT cdp_internal.ledger_accounts('{paid}', '{7}', '{NULL}', '{NULL}')$$, '23502', NULL, 'an account has a currency');

-- One posting: lines [account kind, customer, amount]. Campaign 7.
CREATE FUNCTION pg_temp.post(key text, kind text, at timestamptz, lines jsonb, currency text DEFAULT 'CNY', reversal bigint DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
  SELECT (cdp_internal.ledger_post(ARRAY[cdp_internal.ledger_key(key)], ARRAY[kind], ARRAY[at], ARRAY[NULL::bigint], ARRAY[NULL::bigint], ARRAY[reversal], ARRAY[NULL::text],
    ARRAY(SELECT 1 FROM jsonb_array_elements(lines)), cdp_internal.ledger_accounts(ARRAY(SELECT l ->> 0 FROM jsonb_array_elements(lines) l), ARRAY(SELECT 7 FROM jsonb_array_elements(lines)),
      ARRAY(SELECT (l ->> 1)::bigint FROM jsonb_array_elements(lines) l), ARRAY(SELECT currency FROM jsonb_array_elements(lines))), ARRAY(SELECT (l ->> 2)::bigint FROM jsonb_array_elements(lines) l)))[1] $$;
CREATE FUNCTION pg_temp.books() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s%s %s', a.kind, ' ' || a.customer_id, a.balance_minor), ', ' ORDER BY a.ledger_account_id) FROM cdp_data.ledger_account a WHERE a.balance_minor <> 0 $$;

-- Every event of the ledger, with the figures of a hand.
SELECT ok(pg_temp.post('r1', 'reserve', '2026-03-05 10:00+08', '[["budget", null, 1000], ["budget_reserved", null, -1000]]') IS NOT NULL, 'reserve');
SELECT is(pg_temp.books(), 'budget 1000, budget_reserved -1000', 'is set aside');
SELECT is(pg_temp.post('r1', 'reserve', '2026-03-05 10:00+08', '[["budget", null, 1000], ["budget_reserved", null, -1000]]'), NULL, 'the same again is not posted');
SELECT is(pg_temp.books(), 'budget 1000, budget_reserved -1000', 'and changes nothing');
SELECT pg_temp.post('r2', 'approve', '2026-03-06', '[["budget_reserved", null, 1000], ["liability_pending", 41, -1000]]');
SELECT is(pg_temp.books(), 'budget 1000, liability_pending 41 -1000', 'approve');
SELECT pg_temp.post('r3', 'release', '2026-03-20', '[["liability_pending", 41, 1000], ["liability_available", 41, -1000]]');
SELECT is(pg_temp.books(), 'budget 1000, liability_available 41 -1000', 'the hold is over');
SELECT pg_temp.post('r4', 'payout_sent', '2026-03-21', '[["liability_available", 41, 1000], ["paid", null, -1000]]');
SELECT is(pg_temp.books(), 'budget 1000, paid -1000', 'paid');
SELECT pg_temp.post('r5', 'payout_failed', '2026-03-22', '[["paid", null, 1000], ["liability_available", 41, -1000]]', reversal => (SELECT max(ledger_posting_id) FROM cdp_data.ledger_posting));
SELECT is(pg_temp.books(), 'budget 1000, liability_available 41 -1000', 'the payment came back');
SELECT throws_ok($$SELECT pg_temp.post('r5b', 'reversal', '2026-03-22', '[["paid", null, 1000], ["liability_available", 41, -1000]]', reversal => (SELECT max(reversal_of) FROM cdp_data.ledger_posting))$$, '23505', NULL, 'once');
SELECT pg_temp.post('r6', 'payout_sent', '2026-03-23', '[["liability_available", 41, 700], ["paid", null, -700]]');
SELECT pg_temp.post('r7', 'clawback', '2026-03-24', '[["clawback_receivable", 41, 400], ["budget", null, -400]]');
SELECT is(pg_temp.books(), 'budget 600, liability_available 41 -300, paid -700, clawback_receivable 41 400', 'clawback after payment');
SELECT pg_temp.post('r8', 'offset', '2026-03-25', '[["liability_available", 41, 300], ["clawback_receivable", 41, -300]]');
SELECT is(pg_temp.books(), 'budget 600, paid -700, clawback_receivable 41 100', 'later earnings against it');
SELECT pg_temp.post('r9', 'reserve', '2026-03-26', '[["budget", null, 55], ["budget_reserved", null, -55]]');
SELECT pg_temp.post('r10', 'void', '2026-03-26', '[["budget_reserved", null, 55], ["budget", null, -55]]');
SELECT pg_temp.post('r11', 'fee', '2026-03-26', '[["fees", null, 3], ["paid", null, -3]]');
SELECT is(pg_temp.books(), 'budget 600, paid -703, clawback_receivable 41 100, fees 3', 'void and a fee');
SELECT pg_temp.post('e1', 'reserve', '2026-03-26', '[["budget", null, 55], ["budget_reserved", null, -55]]', 'EUR');
SELECT is((SELECT string_agg(currency || ' ' || s, ', ' ORDER BY currency) FROM (SELECT currency, sum(balance_minor) AS s FROM cdp_data.ledger_account GROUP BY 1) x), 'CNY 0, EUR 0', 'each currency sums to zero');
SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'the books are whole');

-- What is refused.
SELECT throws_ok($$SELECT pg_temp.post('b1', 'reserve', now(), '[["budget", null, 5], ["budget_reserved", null, -4]]')$$, '23000', 'a posting does not sum to zero', 'off by one');
SELECT throws_ok($$SELECT pg_temp.post('b2', 'approve', now(), '[["budget_reserved", null, 56], ["liability_pending", 41, -56]]', 'EUR')$$, '23514', 'an account of kind budget_reserved holds less than would be taken from it', 'more than is there');
SELECT throws_ok($$SELECT pg_temp.post('b3', 'reversal', now(), '[["clawback_receivable", 41, -101], ["budget", null, 101]]')$$, '23514', NULL, 'a receivable never turns');
SELECT throws_ok($$SELECT pg_temp.post('b4', 'gift', now(), '[["budget", null, 5], ["budget_reserved", null, -5]]')$$, '23514', NULL, 'an unknown kind');
SELECT throws_ok($$SELECT pg_temp.post('b5', 'reserve', 'infinity', '[["budget", null, 5], ["budget_reserved", null, -5]]')$$, '23514', NULL, 'no moment');
SELECT throws_ok($$UPDATE cdp_data.ledger_entry SET amount_minor = 1$$, '42501', 'the ledger is never changed', 'entries stay');
SELECT throws_ok($$DELETE FROM cdp_data.ledger_posting$$, '42501', NULL, 'postings stay');
SELECT throws_ok($$TRUNCATE cdp_data.ledger_entry$$, '42501', NULL, 'all of them');
SELECT throws_ok($$INSERT INTO cdp_data.ledger_entry VALUES (1, 9, 1, 5)$$, '23000', NULL, 'a line by itself, whoever writes it');

-- Months.
SELECT throws_ok($$SELECT * FROM cdp.close_ledger_month('2026-03-31', '2026-03-31 15:59+00')$$, '55000', 'the month is not over', 'a month that is not over');
SELECT throws_ok($$SELECT * FROM cdp.close_ledger_month(NULL)$$, '22023', NULL, 'none');
SELECT throws_ok($$SELECT * FROM cdp.close_ledger_month('infinity')$$, '22023', NULL, 'no day');
SELECT results_eq($$SELECT account, currency, debit, credit, balance FROM cdp.close_ledger_month('2026-03-07', '2026-03-31 16:00+00')$$,
  $$VALUES ('budget', 'CNY', 10.55, 4.55, 6.00), ('budget', 'EUR', 0.55, 0.00, 0.55), ('budget_reserved', 'CNY', 10.55, 10.55, 0.00), ('budget_reserved', 'EUR', 0.00, 0.55, -0.55), ('clawback_receivable', 'CNY', 4.00, 3.00, 1.00),
    ('fees', 'CNY', 0.03, 0.00, 0.03), ('liability_available', 'CNY', 20.00, 20.00, 0.00), ('liability_pending', 'CNY', 10.00, 10.00, 0.00), ('paid', 'CNY', 10.00, 17.03, -7.03)$$, 'a month is closed with its trial balance, in the reporting time zone');
SELECT pg_temp.post('late', 'fee', '2026-03-31 15:59+00', '[["fees", null, 4], ["paid", null, -4]]'), pg_temp.post('march', 'fee', '2026-03-01', '[["fees", null, 1], ["paid", null, -1]]'), pg_temp.post('april', 'fee', '2026-04-02 17:00+00', '[["fees", null, 1], ["paid", null, -1]]');
SELECT is((SELECT string_agg(to_char(booked_on, 'YYYY-MM-DD'), ' ' ORDER BY ledger_posting_id DESC) FROM (SELECT * FROM cdp_data.ledger_posting ORDER BY ledger_posting_id DESC LIMIT 3) x), '2026-04-03 2026-04-01 2026-04-01', 'what comes later for it goes into the next');
SELECT is((SELECT count(*) FROM cdp.close_ledger_month('2026-03-01')), 9::bigint, 'closed again it answers the same');
SELECT is((SELECT balance FROM cdp.close_ledger_month('2026-04-01', '2026-07-01') WHERE account = 'fees'), 0.09, 'the next');
SELECT is((SELECT balance FROM cdp.close_ledger_month('2026-06-01', '2026-07-01') WHERE account = 'fees'), 0.09, 'two at a time');
SELECT is((SELECT count(DISTINCT month) FROM cdp_data.ledger_close), 4::bigint, 'each with its balance');
SELECT is_empty('SELECT * FROM cdp.ledger_verify()', 'the books are whole');
SELECT is((SELECT string_agg(format('%s %s %s', account, coalesce(debit, -credit), line), ', ') FROM cdp.ledger_journal('2026-03-24', '2026-03-26')), 'clawback_receivable 4.00 1, budget -4.00 2, liability_available 3.00 1, clawback_receivable -3.00 2', 'the journal of two days');
SELECT is((SELECT sum(debit) - sum(credit) FROM cdp.ledger_journal(only_account => 'paid')), -7.09, 'of one account');
SELECT is((SELECT balance FROM cdp.ledger_balances('2026-03-20') WHERE account = 'liability_available'), -10.00, 'the balance at the end of a day');

-- Caps.
SELECT cdp_internal.counter_hold('{b,a,a}', '{NULL,41,41}', '{100,NULL,NULL}', '{NULL,2,2}');
SELECT is(cdp_internal.counter_add('{a,b}', '{60,60}', '{1,1}'), 2, 'taken');
SELECT is(cdp_internal.counter_add('{b}', '{41}', '{1}'), 0, 'not one unit above');
SELECT is(cdp_internal.counter_add('{b,a}', '{40,40}', '{1,1}'), 2, 'the last of it');
SELECT throws_ok($$UPDATE cdp_data.reward_counter SET used_minor = used_minor + 1 WHERE counter_key = 'b'$$, '23514', NULL, 'CHECK holds it, whoever writes');
SELECT cdp_internal.counter_hold('{b}', '{NULL}', '{30}', '{NULL}');
SELECT is((SELECT ROW(used_minor, cap_minor, over_minor)::text FROM cdp_data.reward_counter WHERE counter_key = 'b'), '(100,30,70)', 'a lower cap leaves what was granted');
SELECT cdp_internal.counter_add('{b}', '{-50}', '{0}');
SELECT is((SELECT ROW(used_minor, over_minor)::text FROM cdp_data.reward_counter WHERE counter_key = 'b'), '(50,20)', 'what is given back comes off that first');
SELECT is(cdp_internal.counter_add('{b}', '{1}', '{0}'), 0, 'and none of it is granted again');

-- What is put wrong by hand is seen.
CREATE FUNCTION pg_temp.seen(how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  said text;
BEGIN
  BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE how;
    SELECT string_agg(DISTINCT problem, ', ' ORDER BY problem) INTO said FROM cdp.ledger_verify() WHERE problem <> 'cap differs from rewards'; -- those above were used for no reward
    RAISE EXCEPTION USING ERRCODE = 'ZZ001';
  EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN said;
  END;
END $$;
SELECT is(ARRAY[
  pg_temp.seen('UPDATE cdp_data.ledger_account SET balance_minor = balance_minor + 1 WHERE kind = ''fees'''),
  pg_temp.seen('UPDATE cdp_data.ledger_entry SET amount_minor = amount_minor + 1 WHERE line = 1 AND ledger_posting_id = (SELECT min(ledger_posting_id) FROM cdp_data.ledger_entry)'),
  pg_temp.seen('DELETE FROM cdp_data.ledger_entry WHERE ledger_posting_id = (SELECT max(ledger_posting_id) FROM cdp_data.ledger_entry)'),
  pg_temp.seen('DELETE FROM cdp_data.ledger_posting WHERE ledger_posting_id = (SELECT max(ledger_posting_id) FROM cdp_data.ledger_entry)')],
  ARRAY['wrong balance', 'closed month changed, unbalanced posting, wrong balance', 'closed month changed, posting without entries, wrong balance', 'closed month changed, entries without a posting'], 'each is told');
SELECT * FROM finish();
ROLLBACK;

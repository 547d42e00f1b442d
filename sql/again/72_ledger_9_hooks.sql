-- Referral room, ledger and rewards: what they add to erasures and to health.

CREATE OR REPLACE FUNCTION cdp_internal.reward_forsake(gone bigint[], as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  moves cdp_internal.reward_move[];
  keys text[];
  minors bigint[];
  counts bigint[];
  owes record;
BEGIN
  PERFORM cdp_internal.payouts_cancel(ARRAY(SELECT DISTINCT w.payout_id FROM cdp_data.reward w WHERE w.customer_id = ANY (gone) AND w.payout_id IS NOT NULL), 'erased', as_of);
  -- What was not approved or held goes back to the budget; what was his already lapses.
  SELECT array_agg(k.key), array_agg(-(w.reserved_minor + w.pending_minor)), array_agg(CASE WHEN w.amount_minor - w.clawed_minor = w.reserved_minor + w.pending_minor THEN -1 ELSE 0 END) INTO keys, minors, counts
  FROM cdp_data.reward w CROSS JOIN LATERAL unnest(w.counters) AS k (key) WHERE w.customer_id = ANY (gone) AND w.reserved_minor + w.pending_minor > 0;
  IF keys IS NOT NULL THEN
    PERFORM FROM cdp_data.reward_counter c WHERE c.counter_key = ANY (keys) ORDER BY c.counter_key FOR NO KEY UPDATE;
    PERFORM cdp_internal.counter_add(keys, minors, counts);
  END IF;
  WITH was AS MATERIALIZED (
    SELECT w.* FROM cdp_data.reward w WHERE w.customer_id = ANY (gone) ORDER BY w.reward_id FOR UPDATE
  ), now AS (
    UPDATE cdp_data.reward w SET reserved_minor = 0, pending_minor = 0, later_minor = 0, later_until = NULL, available_minor = 0, expired_minor = w.expired_minor + w.available_minor, clawed_minor = w.clawed_minor + w.reserved_minor + w.pending_minor,
      voided_at = CASE WHEN w.clawed_minor + w.reserved_minor + w.pending_minor = w.amount_minor THEN coalesce(w.voided_at, reward_forsake.as_of) END, reason = 'erased', frozen = true, revision = w.revision + 1
    FROM was WHERE w.reward_id = was.reward_id RETURNING w.reward_id, w.revision, was.reserved_minor, was.pending_minor, was.available_minor
  )
  SELECT array_agg(ROW(m.kind, n.reward_id, n.revision, m.nth, m.debit, m.credit, m.amount, NULL, 'erased')::cdp_internal.reward_move ORDER BY n.reward_id, m.nth) INTO moves
  FROM now n CROSS JOIN LATERAL (VALUES ('void', 1, 'budget_reserved', 'budget', n.reserved_minor), ('void', 2, 'liability_pending', 'budget', n.pending_minor), ('expire', 3, 'liability_available', 'breakage_expired', n.available_minor)) AS m (kind, nth, debit, credit, amount) WHERE m.amount > 0;
  PERFORM cdp_internal.post_moves(coalesce(moves, '{}'), as_of);
  FOR owes IN SELECT a.ledger_account_id, a.referral_campaign_id, a.currency, a.balance_minor FROM cdp_data.ledger_account a WHERE a.customer_id = ANY (gone) AND a.kind = 'clawback_receivable' AND a.balance_minor > 0 ORDER BY a.ledger_account_id LOOP
    PERFORM cdp_internal.ledger_post(ARRAY[cdp_internal.ledger_key('written off', owes.ledger_account_id::text, (SELECT max(e.ledger_posting_id)::text FROM cdp_data.ledger_entry e WHERE e.ledger_account_id = owes.ledger_account_id))], '{written_off}', ARRAY[as_of], '{NULL}', '{NULL}', '{NULL}', '{erased}', '{1,1}',
      cdp_internal.ledger_accounts('{fees}', ARRAY[owes.referral_campaign_id], '{NULL}', ARRAY[owes.currency]::text[]) || owes.ledger_account_id, ARRAY[owes.balance_minor, -owes.balance_minor]);
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_forsake(bigint[], timestamptz) IS
'Ends what is open with people who are erased: payouts that were not sent are cancelled, what was not theirs yet goes back to the budget, what was available lapses, what they owe is written off to fees. Their rewards are never decided about again.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_referral_ledger(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
DECLARE
  strayed bigint[];
  own text[];
  message record;
BEGIN
  -- While identifiers tell whose it is: what stands with others, and what of others stands here.
  strayed := ARRAY(SELECT w.reward_id FROM cdp_data.reward w WHERE w.customer_id = ANY (customers) AND w.side = 'referee'
    UNION SELECT w.reward_id FROM cdp_data.referral_conversion c JOIN cdp_data.reward w ON w.referral_conversion_id = c.referral_conversion_id WHERE c.customer_id = ANY (homes) AND c.identifier_id = ANY (identifiers) AND w.side = 'referee');
  PERFORM cdp_internal.hold_people(customers || ARRAY(SELECT cdp_internal.root_of(w.customer_id) FROM cdp_data.reward w WHERE w.reward_id = ANY (strayed) AND w.customer_id > 0)
    || ARRAY(SELECT cdp_internal.reward_root(w.side, w.referral_conversion_id, w.customer_id) FROM cdp_data.reward w WHERE w.reward_id = ANY (strayed)));
  PERFORM cdp_internal.reward_rehome(strayed, clock_timestamp());
  -- And others in his caps, while the ledger of merges tells who was one with him.
  own := ARRAY(SELECT c.counter_key FROM cdp_data.reward_counter c WHERE c.customer_id = ANY (customers));
  IF own <> '{}' THEN
    WITH RECURSIVE one (id) AS (
      SELECT unnest(customers)
      UNION
      SELECT x.id FROM one o CROSS JOIN LATERAL (
        SELECT m.customer_id FROM cdp_data.merge_log m WHERE m.to_id = o.id
        UNION ALL SELECT v.customer_id FROM cdp_data.identifier i JOIN cdp_data.identifier_override v ON v.identifier_id = i.identifier_id WHERE i.customer_id = o.id) x (id) WHERE x.id IS NOT NULL
    )
    UPDATE cdp_data.reward w SET counters = ARRAY(SELECT u.key FROM unnest(w.counters) WITH ORDINALITY AS u (key, n) WHERE u.key <> ALL (own) ORDER BY u.n)
    FROM (SELECT DISTINCT y.id FROM one o CROSS JOIN LATERAL (VALUES (o.id), (cdp_internal.root_of(o.id))) y (id) WHERE y.id <> ALL (customers)) o WHERE w.customer_id = o.id AND w.counters && own;
  END IF;
  -- A payout whose message waits was not paid, and never will be.
  FOR message IN
    SELECT p.payout_id FROM cdp_data.payout p JOIN cdp_data.outbox o ON o.outbox_id = p.outbox_id
    WHERE p.customer_id = ANY (customers) AND p.state = 'sent' AND o.state IN ('waiting', 'cancelled') AND o.attempts = 0 ORDER BY p.payout_id
  LOOP
    PERFORM cdp.fail_payout(message.payout_id, 'erased');
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_referral_ledger(bigint[], bigint[], bigint[], bigint, text) IS
'While the identifiers of the person who is erased are there: brings rewards of friends to who carries them, takes the names of his caps off rewards of people who were one with him, and posts back payouts that nobody has taken from the outbox. Returns no row.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_referral_ledger(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
DECLARE
  k bigint;
  shared record;
BEGIN
  PERFORM cdp_internal.hold_people(customers);
  PERFORM cdp_internal.reward_forsake(customers, clock_timestamp());
  IF fresh IS NULL THEN
    -- Nothing is left to reckon the other one's reward from, so it stays as it is.
    UPDATE cdp_data.reward w SET frozen = true FROM cdp_data.referral r WHERE r.referral_id = w.referral_id AND r.referee_id = ANY (customers || homes) AND NOT w.frozen;
  END IF;
  -- Who was one with others once counted in their caps.
  SELECT array_agg(c.counter_key) AS keys, array_agg(-(w.amount_minor - w.clawed_minor)) AS minors, array_agg(-1::bigint) AS counts INTO shared
  FROM cdp_data.reward w CROSS JOIN LATERAL unnest(w.counters) AS u (key) JOIN cdp_data.reward_counter c ON c.counter_key = u.key
  WHERE w.customer_id = ANY (customers) AND w.clawed_minor < w.amount_minor AND c.customer_id IS NOT NULL AND c.customer_id <> ALL (customers);
  IF shared.keys IS NOT NULL THEN
    PERFORM cdp_internal.counter_add(shared.keys, shared.minors, shared.counts);
  END IF;
  UPDATE cdp_data.reward w SET customer_id = coalesce(fresh, cdp_internal.referral_stranger()), counters = ARRAY(SELECT c FROM unnest(w.counters) c WHERE c !~ '/(referrer|referee)/') WHERE w.customer_id = ANY (customers);
  GET DIAGNOSTICS k = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.reward', 'unlink', k;
  UPDATE cdp_data.payout p SET customer_id = coalesce(fresh, cdp_internal.referral_stranger()) WHERE p.customer_id = ANY (customers);
  GET DIAGNOSTICS k = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.payout', 'unlink', k;
  -- Each account is then a stranger's of its own: nothing ties those of one person together.
  UPDATE cdp_data.ledger_account a SET customer_id = cdp_internal.referral_stranger() WHERE a.customer_id = ANY (customers);
  GET DIAGNOSTICS k = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.ledger_account', 'unlink', k;
  RETURN QUERY SELECT 'cdp_data.reward_counter', 'delete', cdp_internal.erase_keyed('cdp_data.reward_counter', 'customer_id', customers);
  RETURN QUERY SELECT 'cdp_data.receivable_request', 'delete', cdp_internal.erase_keyed('cdp_data.receivable_request', 'customer_id', customers);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_referral_ledger(bigint[], bigint[], bigint[], bigint, text) IS
'Takes the person who is erased off rewards, payouts and accounts, which stay with their entries, once what is open with him is ended; deletes his caps. Rewards of those whom he brought, or who brought him, stay. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_referral_ledger()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  IF to_regclass('cdp_data.reward_counter') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'ledger_sum', format('balances of accounts in %s sum to %s minor units', x.currency, x.total), 'SELECT * FROM cdp.ledger_verify() tells where tables were written by hand'
  FROM (SELECT a.currency, sum(a.balance_minor) AS total FROM cdp_data.ledger_account a GROUP BY 1 HAVING sum(a.balance_minor) <> 0) x
  UNION ALL
  SELECT 'warning', 'ledger_month', format('%s is over for more than ten days and not closed', to_char(m.month, 'YYYY-MM')), format('SELECT * FROM cdp.close_ledger_month(%L)', m.month)
  FROM (SELECT (max(p.month) + interval '1 month')::date AS month FROM cdp_data.ledger_period p WHERE p.month <> '-infinity') m, cdp_data.setting s
  WHERE (m.month + interval '1 month 10 days') <= now() AT TIME ZONE s.timezone AND EXISTS (SELECT FROM cdp_data.ledger_posting p WHERE p.booked_on >= m.month AND p.booked_on < (m.month + interval '1 month')::date)
  UNION ALL
  SELECT 'warning', 'payout_message', format('%s payouts count as sent, and nobody knows whether they were: their messages failed, were cancelled after they had been tried, or are gone', count(*)), 'SELECT * FROM cdp_internal.payouts_untold() lists them; ask the provider, then cdp.confirm_payout() or cdp.fail_payout().'
  FROM cdp_internal.payouts_untold() u WHERE NOT (u.message_state = 'cancelled' AND u.attempts = 0) HAVING count(*) > 0
  UNION ALL
  SELECT 'warning', 'payout_minimum', format('payout_minimum names %s, which is no currency', left(quote_literal(k), 30)), 'See cdp_data.currency_all; correct cdp_data.setting.payout_minimum.'
  FROM cdp_data.setting s CROSS JOIN LATERAL jsonb_object_keys(s.payout_minimum) k WHERE NOT EXISTS (SELECT FROM cdp_data.currency_all c WHERE c.code = k);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_referral_ledger() IS
'Findings of cdp.health() about the reward ledger: balances that do not sum to zero, a month that waits to be closed, where months are closed, payouts whose messages did not end well, and a least payout of no currency.';

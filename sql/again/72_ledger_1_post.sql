-- Referral room, ledger: how anything is posted. Locks of the room are taken in one order: books (cdp_internal.hold_books()), rewards,
-- payouts, the table of closed months, counters by key, accounts by number. So sessions wait for each other and never in a circle.

CREATE OR REPLACE FUNCTION cdp_internal.ledger_key(VARIADIC parts text[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- In SQL it would be planned anew by each statement that calls it.
  RETURN sha256(convert_to(to_jsonb(parts)::text, 'UTF8'));
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_key(text[]) IS 'sha256 of a list of texts, 32 bytes: no two lists give the same text before it is hashed. NULL and '''' differ.';

CREATE OR REPLACE FUNCTION cdp_internal.ledger_accounts(kinds text[], campaigns integer[], customers bigint[], currencies text[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids bigint[];
BEGIN
  FOR attempt IN 1 .. 2 LOOP
    ids := ARRAY(SELECT (SELECT a.ledger_account_id FROM cdp_data.ledger_account a
        WHERE a.kind = w.kind AND a.referral_campaign_id IS NOT DISTINCT FROM w.campaign AND a.customer_id IS NOT DISTINCT FROM w.customer AND a.currency = w.currency)
      FROM unnest(kinds, campaigns, customers, currencies) WITH ORDINALITY AS w (kind, campaign, customer, currency, n) ORDER BY w.n);
    EXIT WHEN array_position(ids, NULL) IS NULL;
    INSERT INTO cdp_data.ledger_account (kind, referral_campaign_id, customer_id, currency)
    SELECT DISTINCT w.kind, w.campaign, w.customer, w.currency FROM unnest(kinds, campaigns, customers, currencies) AS w (kind, campaign, customer, currency)
    ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING;
  END LOOP;
  RETURN ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_accounts(text[], integer[], bigint[], text[]) IS
'The numbers of accounts, each of the kind, campaign (NULL: none), customer (NULL: nobody''s) and currency at its place; what is missing is made.';

CREATE OR REPLACE FUNCTION cdp_internal.ledger_closed() RETURNS date
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Whoever closes a month holds the table alone: it is closed before this posting is booked, or after it was committed.
  LOCK TABLE cdp_data.ledger_period IN ROW SHARE MODE;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    -- A snapshot of before may not see what was closed since: the row, changed since, tells (40001).
    PERFORM FROM cdp_data.ledger_period p WHERE p.month = '-infinity' FOR SHARE;
  END IF;
  RETURN (SELECT max(p.month) FROM cdp_data.ledger_period p);
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_closed() IS
'The last closed month (its first day; -infinity: none), held against closing more until this transaction ends. Error 40001 when the snapshot of a REPEATABLE READ or SERIALIZABLE transaction is older than a close.';

CREATE OR REPLACE FUNCTION cdp_internal.ledger_day(occurred_at timestamptz, closed date, timezone text) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN closed = '-infinity' THEN (occurred_at AT TIME ZONE timezone)::date ELSE greatest((occurred_at AT TIME ZONE timezone)::date, (closed + interval '1 month')::date) END;
COMMENT ON FUNCTION cdp_internal.ledger_day(timestamptz, date, text) IS
'The day on which something that occurred then is booked: its day in that time zone, or the first day after the last closed month (its first day; -infinity: none).';

CREATE OR REPLACE FUNCTION cdp_internal.ledger_write(
  keys bytea[], kinds text[], occurred timestamptz[], rewards bigint[], payouts bigint[], reversals bigint[], notes text[],
  lines integer[], accounts bigint[], amounts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  zone text := (SELECT s.timezone FROM cdp_data.setting s);
  closed date := cdp_internal.ledger_closed();
  ids bigint[];
BEGIN
  WITH made AS (
    INSERT INTO cdp_data.ledger_posting AS p (idempotency_key, kind, occurred_at, booked_on, reward_id, payout_id, reversal_of, note)
    SELECT w.key, w.kind, w.at, cdp_internal.ledger_day(w.at, closed, zone), w.reward, w.payout, w.reversal, w.note
    FROM unnest(keys, kinds, occurred, rewards, payouts, reversals, notes) WITH ORDINALITY AS w (key, kind, at, reward, payout, reversal, note, n) ORDER BY w.n
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING p.ledger_posting_id, p.idempotency_key)
  SELECT array_agg(m.ledger_posting_id ORDER BY k.n) INTO ids FROM unnest(keys) WITH ORDINALITY AS k (key, n) LEFT JOIN made m ON m.idempotency_key = k.key;
  INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor)
  SELECT ids[l.posting], row_number() OVER (PARTITION BY l.posting ORDER BY l.n), l.account, l.amount
  FROM unnest(lines, accounts, amounts) WITH ORDINALITY AS l (posting, account, amount, n) WHERE ids[l.posting] IS NOT NULL AND l.amount <> 0;
  RETURN ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_write(bytea[], text[], timestamptz[], bigint[], bigint[], bigint[], text[], integer[], bigint[], bigint[]) IS
'The first half of cdp_internal.ledger_post(): writes postings and entries, for which nobody waits. The balances have to follow in the same transaction: cdp_internal.ledger_balance().';

CREATE OR REPLACE FUNCTION cdp_internal.ledger_balance(accounts bigint[], amounts bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids bigint[];
  minors bigint[];
  changed integer;
  bad record;
BEGIN
  SELECT array_agg(x.account ORDER BY x.account), array_agg(x.amount ORDER BY x.account) INTO ids, minors
  FROM (SELECT l.account, sum(l.amount)::bigint AS amount FROM unnest(accounts, amounts) AS l (account, amount) GROUP BY 1 HAVING sum(l.amount) <> 0) x;
  PERFORM FROM cdp_data.ledger_account a WHERE a.ledger_account_id = ANY (ids) ORDER BY a.ledger_account_id FOR NO KEY UPDATE;
  UPDATE cdp_data.ledger_account a SET balance_minor = a.balance_minor + d.amount FROM unnest(ids, minors) AS d (account, amount)
  WHERE a.ledger_account_id = d.account AND CASE WHEN a.kind IN ('budget', 'clawback_receivable', 'fees') THEN a.balance_minor + d.amount >= 0 WHEN a.kind <> 'paid' THEN a.balance_minor + d.amount <= 0 ELSE true END;
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed < cardinality(ids) THEN
    SELECT a.kind, a.currency, a.balance_minor, d.amount INTO bad FROM cdp_data.ledger_account a JOIN unnest(ids, minors) AS d (account, amount) ON d.account = a.ledger_account_id
    WHERE CASE WHEN a.kind IN ('budget', 'clawback_receivable', 'fees') THEN a.balance_minor + d.amount < 0 ELSE a.kind <> 'paid' AND a.balance_minor + d.amount > 0 END ORDER BY a.ledger_account_id LIMIT 1;
    RAISE EXCEPTION 'an account of kind % holds less than would be taken from it', bad.kind USING ERRCODE = 'check_violation',
      DETAIL = format('It holds %s minor units of %s, %s would be taken.', abs(bad.balance_minor), bad.currency, abs(bad.amount)), HINT = 'SELECT * FROM cdp.ledger_verify() tells whether the books are whole.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_balance(bigint[], bigint[]) IS
'The second half of cdp_internal.ledger_post(): adds amounts to balances, summed by account, locked in the order of their numbers. Error 23514: an account would stand on the wrong side.';

CREATE OR REPLACE FUNCTION cdp_internal.ledger_post(
  keys bytea[], kinds text[], occurred timestamptz[], rewards bigint[], payouts bigint[], reversals bigint[], notes text[],
  lines integer[], accounts bigint[], amounts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids bigint[];
BEGIN
  IF keys = '{}' THEN
    RETURN '{}';
  END IF;
  ids := cdp_internal.ledger_write(keys, kinds, occurred, rewards, payouts, reversals, notes, lines, accounts, amounts);
  -- Balances last: the accounts of a campaign are everybody's.
  PERFORM cdp_internal.ledger_balance(array_agg(l.account), array_agg(l.amount)) FROM unnest(lines, accounts, amounts) AS l (posting, account, amount) WHERE ids[l.posting] IS NOT NULL HAVING count(*) > 0;
  RETURN ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_post(bytea[], text[], timestamptz[], bigint[], bigint[], bigint[], text[], integer[], bigint[], bigint[]) IS
'Posts, at one go: keys to notes hold one element for each posting; lines, accounts and amounts one for each entry, lines telling to which posting (from 1) it belongs; amounts in minor units, debits above zero; those of zero are left out. Keeps the balances. Returns the number of each posting, NULL where its key was there already and nothing was posted. Errors: 23000 a posting does not sum to zero, 23514 an account would stand on the wrong side, 22003 a balance too large.';

-- Referral room, ledger: what finance reads and closes: months, the journal, balances, and the proof that all of it is whole.

CREATE OR REPLACE FUNCTION cdp_internal.from_minor(amount numeric, currency text) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT round(amount / 10::numeric ^ c.exponent, c.exponent) FROM cdp_data.currency_all c WHERE c.code = from_minor.currency);
END
$$;
COMMENT ON FUNCTION cdp_internal.from_minor(numeric, text) IS 'Minor units as an amount of money with the digits of its currency: 1250, EUR: 12.50. NULL for an unknown currency.';

CREATE OR REPLACE FUNCTION cdp_internal.to_minor(amount numeric, currency text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  digits integer := (SELECT c.exponent FROM cdp_data.currency_all c WHERE c.code = to_minor.currency);
  units numeric;
BEGIN
  IF digits IS NULL THEN
    RAISE EXCEPTION 'unknown currency %', coalesce(quote_literal(left(currency, 20)), 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_data.currency_all; add your own to cdp_data.currency.';
  END IF;
  units := amount * 10::numeric ^ digits;
  IF amount IN ('NaN', 'Infinity', '-Infinity') OR abs(units) >= 9e18 THEN
    RAISE EXCEPTION 'an amount of money is out of range' USING ERRCODE = 'numeric_value_out_of_range', DETAIL = format('It is %s %s.', left(amount::text, 40), currency), HINT = 'At most 9e18 minor units are counted.';
  ELSIF units <> trunc(units) THEN
    RAISE EXCEPTION 'an amount of money has more digits than its currency' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s %s, which has %s digits.', left(amount::text, 40), currency, digits), HINT = 'Round it first.';
  END IF;
  RETURN units;
END
$$;
COMMENT ON FUNCTION cdp_internal.to_minor(numeric, text) IS 'An amount of money in minor units of its currency: 12.50, EUR: 1250. NULL for NULL. Errors: 22023 unknown currency or more digits than it has, 22003 out of range.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_name(campaign integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
BEGIN
  IF campaign IS NULL OR to_regclass('cdp_data.referral_campaign') IS NULL THEN
    RETURN NULL;
  END IF;
  EXECUTE 'SELECT c.name FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = $1' INTO name USING campaign;
  RETURN name;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_name(integer) IS 'The name of a referral campaign; NULL for NULL or an unknown one.';

CREATE OR REPLACE FUNCTION cdp.close_ledger_month(month date, as_of timestamptz DEFAULT NULL) RETURNS TABLE (account text, campaign text, currency text, debit numeric, credit numeric, balance numeric)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  first date := date_trunc('month', close_ledger_month.month::timestamp)::date;
  today date;
  closed date;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF close_ledger_month.month IS NULL OR NOT isfinite(close_ledger_month.month) OR NOT isfinite(coalesce(as_of, now())) THEN
    RAISE EXCEPTION 'the month to close must be a day of it' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as cdp.close_ledger_month(''2026-03-01'').';
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'months are closed under READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This transaction is %s: what was posted since it began would not be seen.', upper(current_setting('transaction_isolation'))),
      HINT = 'Close it in a transaction of its own.';
  END IF;
  -- Alone: whoever posts now ends first, whoever comes later sees the month closed.
  LOCK TABLE cdp_data.ledger_period IN EXCLUSIVE MODE;
  SELECT max(p.month) INTO closed FROM cdp_data.ledger_period p;
  SELECT (coalesce(as_of, clock_timestamp()) AT TIME ZONE s.timezone)::date INTO today FROM cdp_data.setting s;
  IF first > closed THEN
    IF (first + interval '1 month')::date > today THEN
      RAISE EXCEPTION 'the month is not over' USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('%s ends on %s, today is %s.', to_char(first, 'YYYY-MM'), (first + interval '1 month - 1 day')::date, today), HINT = 'Close it on the first day of the next.';
    END IF;
    INSERT INTO cdp_data.ledger_close (month, kind, referral_campaign_id, currency, debit_minor, credit_minor, balance_minor)
    SELECT x.* FROM generate_series(CASE WHEN closed = '-infinity' THEN (SELECT least(first, date_trunc('month', min(p.booked_on)::timestamp)::date) FROM cdp_data.ledger_posting p) ELSE (closed + interval '1 month')::date END::timestamp, first::timestamp, '1 month') g (m)
      CROSS JOIN LATERAL cdp_internal.ledger_trial(g.m::date) x;
    INSERT INTO cdp_data.ledger_period (month) SELECT first;
    -- For sessions whose snapshot is older: see cdp_internal.ledger_closed().
    UPDATE cdp_data.ledger_period p SET closed_at = clock_timestamp() WHERE p.month = '-infinity';
  END IF;
  RETURN QUERY SELECT c.kind::text, cdp_internal.referral_name(nullif(c.referral_campaign_id, 0)), c.currency::text, cdp_internal.from_minor(c.debit_minor, c.currency), cdp_internal.from_minor(c.credit_minor, c.currency), cdp_internal.from_minor(c.balance_minor, c.currency)
    FROM cdp_data.ledger_close c WHERE c.month = first ORDER BY c.kind, c.referral_campaign_id, c.currency;
END
$$;

CREATE OR REPLACE FUNCTION cdp_internal.ledger_trial(of_month date) RETURNS TABLE (month date, kind text, referral_campaign_id integer, currency text, debit_minor numeric, credit_minor numeric, balance_minor numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT of_month, a.kind::text, coalesce(a.referral_campaign_id, 0), a.currency::text,
    coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0 AND p.booked_on >= of_month), 0), coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0 AND p.booked_on >= of_month), 0), sum(e.amount_minor)
  FROM cdp_data.ledger_posting p JOIN cdp_data.ledger_entry e ON e.ledger_posting_id = p.ledger_posting_id JOIN cdp_data.ledger_account a ON a.ledger_account_id = e.ledger_account_id
  WHERE p.booked_on < (of_month + interval '1 month')::date
  GROUP BY a.kind, coalesce(a.referral_campaign_id, 0), a.currency;
END
$$;
COMMENT ON FUNCTION cdp_internal.ledger_trial(date) IS 'The trial balance of a month (its first day) from the entries: debits and credits of the month and balance at its end, by kind of account, campaign (0: none) and currency, in minor units.';
COMMENT ON FUNCTION cdp.close_ledger_month(date, timestamptz) IS
'Closes a month of the reward ledger, and all before it: what comes later is booked into the next open month, whatever its own time. Returns the trial balance of the month, in money: debits and credits of the month, balance at its end (debits less credits), by account, campaign and currency; it is kept in cdp_data.ledger_close. A month that is closed answers the same again. month: any day of it; as_of: now, by default. Waits for whoever is posting. Errors: 22023 no day, 25000 not READ COMMITTED, 55000 the month is not over in the reporting time zone, or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.ledger_journal(since date DEFAULT '-infinity', until date DEFAULT 'infinity', only_account text DEFAULT NULL, only_campaign text DEFAULT NULL)
RETURNS TABLE (booked_on date, posting bigint, line smallint, kind text, occurred_at timestamptz, account text, campaign text, customer_id bigint, currency text, debit numeric, credit numeric, reward_id bigint, payout_id bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp_internal.require_setup();
  IF only_account IS NOT NULL THEN
    PERFORM cdp_internal.require_choice('account', only_account, '{budget,budget_reserved,liability_pending,liability_available,paid,breakage_expired,clawback_receivable,fees}');
  END IF;
  RETURN QUERY
  WITH name AS MATERIALIZED (SELECT c.id, cdp_internal.referral_name(c.id) AS name FROM (SELECT DISTINCT a.referral_campaign_id AS id FROM cdp_data.ledger_account a) c)
  SELECT p.booked_on, p.ledger_posting_id, e.line, p.kind::text, p.occurred_at, a.kind::text, n.name, a.customer_id, a.currency::text,
    cdp_internal.from_minor(CASE WHEN e.amount_minor > 0 THEN e.amount_minor END, a.currency), cdp_internal.from_minor(CASE WHEN e.amount_minor < 0 THEN -e.amount_minor END, a.currency), p.reward_id, p.payout_id, p.note
  FROM cdp_data.ledger_posting p JOIN cdp_data.ledger_entry e ON e.ledger_posting_id = p.ledger_posting_id JOIN cdp_data.ledger_account a ON a.ledger_account_id = e.ledger_account_id
    LEFT JOIN name n ON n.id IS NOT DISTINCT FROM a.referral_campaign_id
  WHERE p.booked_on >= since AND p.booked_on < until AND (only_account IS NULL OR a.kind = only_account) AND (only_campaign IS NULL OR n.name = only_campaign)
  ORDER BY p.booked_on, p.ledger_posting_id, e.line;
END
$$;
COMMENT ON FUNCTION cdp.ledger_journal(date, date, text, text) IS
'The journal of the reward ledger, one row for each entry, booked since <= day < until, in the order of the books; only of one kind of account or one campaign, when said. debit and credit in money of the currency, one of them NULL. customer_id: whose account it is, NULL for a campaign''s. Errors: 22023 unknown account, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.ledger_balances(as_of date DEFAULT 'infinity') RETURNS TABLE (account text, campaign text, currency text, debit numeric, credit numeric, balance numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT x.kind, cdp_internal.referral_name(x.id), x.currency, cdp_internal.from_minor(x.debit, x.currency), cdp_internal.from_minor(x.credit, x.currency), cdp_internal.from_minor(x.debit - x.credit, x.currency)
  FROM (SELECT a.kind::text AS kind, a.referral_campaign_id AS id, a.currency::text AS currency, coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0), 0) AS debit, coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0), 0) AS credit
    FROM cdp_data.ledger_posting p JOIN cdp_data.ledger_entry e ON e.ledger_posting_id = p.ledger_posting_id JOIN cdp_data.ledger_account a ON a.ledger_account_id = e.ledger_account_id
    WHERE p.booked_on <= as_of GROUP BY 1, 2, 3) x
  ORDER BY x.kind, x.id NULLS FIRST, x.currency;
END
$$;
COMMENT ON FUNCTION cdp.ledger_balances(date) IS
'Debits, credits and balance (debits less credits) of each kind of account, campaign and currency at the end of a day of the books (default: all), in money. All balances of a currency sum to zero. Error 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.ledger_verify() RETURNS TABLE (problem text, subject text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  part text;
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT 'unbalanced posting', 'posting ' || x.id, format('off by %s minor units of %s', x.off, x.currency)
  FROM (SELECT e.ledger_posting_id AS id, a.currency, sum(e.amount_minor) AS off FROM cdp_data.ledger_entry e LEFT JOIN cdp_data.ledger_account a ON a.ledger_account_id = e.ledger_account_id GROUP BY 1, 2 HAVING sum(e.amount_minor) <> 0 OR a.currency IS NULL) x ORDER BY x.id;
  RETURN QUERY
  SELECT 'wrong balance', format('account %s (%s)', a.ledger_account_id, a.kind), format('%s minor units of %s, its entries sum to %s', a.balance_minor, a.currency, coalesce(x.total, 0))
  FROM cdp_data.ledger_account a LEFT JOIN (SELECT e.ledger_account_id AS id, sum(e.amount_minor) AS total FROM cdp_data.ledger_entry e GROUP BY 1) x ON x.id = a.ledger_account_id
  WHERE a.balance_minor <> coalesce(x.total, 0) ORDER BY a.ledger_account_id;
  RETURN QUERY
  SELECT 'wrong side', format('account %s (%s)', a.ledger_account_id, a.kind), format('%s minor units of %s', a.balance_minor, a.currency) FROM cdp_data.ledger_account a
  WHERE CASE WHEN a.kind IN ('budget', 'clawback_receivable', 'fees') THEN a.balance_minor < 0 ELSE a.kind <> 'paid' AND a.balance_minor > 0 END ORDER BY a.ledger_account_id;
  RETURN QUERY
  SELECT 'posting without entries', 'posting ' || p.ledger_posting_id, format('%s of %s', p.kind, p.booked_on)
  FROM cdp_data.ledger_posting p WHERE NOT EXISTS (SELECT FROM cdp_data.ledger_entry e WHERE e.ledger_posting_id = p.ledger_posting_id) ORDER BY p.ledger_posting_id;
  RETURN QUERY
  SELECT DISTINCT 'entries without a posting', 'posting ' || e.ledger_posting_id, 'it is not there' FROM cdp_data.ledger_entry e
  WHERE NOT EXISTS (SELECT FROM cdp_data.ledger_posting p WHERE p.ledger_posting_id = e.ledger_posting_id) ORDER BY 2;
  RETURN QUERY
  SELECT 'closed month changed', format('%s, %s, campaign %s', to_char(m.month, 'YYYY-MM'), x.kind, x.campaign), format('%s: debits, credits and balance were (%s) when it was closed, now (%s)', x.currency, array_to_string(x.was, ', '), array_to_string(x.are, ', '))
  FROM (SELECT DISTINCT l.month FROM cdp_data.ledger_close l) m CROSS JOIN LATERAL (
      SELECT coalesce(c.kind, t.kind) AS kind, coalesce(c.referral_campaign_id, t.referral_campaign_id) AS campaign, coalesce(c.currency, t.currency) AS currency,
        ARRAY[coalesce(c.debit_minor, 0), coalesce(c.credit_minor, 0), coalesce(c.balance_minor, 0)] AS was, ARRAY[coalesce(t.debit_minor, 0), coalesce(t.credit_minor, 0), coalesce(t.balance_minor, 0)] AS are
      FROM (SELECT * FROM cdp_data.ledger_close l WHERE l.month = m.month) c FULL JOIN cdp_internal.ledger_trial(m.month) t ON (t.kind, t.referral_campaign_id, t.currency) = (c.kind, c.referral_campaign_id, c.currency)) x
  WHERE x.was <> x.are ORDER BY 2, 3;
  RETURN QUERY
  SELECT 'cap exceeded', c.counter_key::text, format('used %s minor units of %s, %s rewards of %s', c.used_minor, coalesce(c.cap_minor::text, 'any'), c.used_count, coalesce(c.cap_count::text, 'any')) FROM cdp_data.reward_counter c
  WHERE c.used_minor > c.cap_minor + c.over_minor OR c.used_count > c.cap_count + c.over_count OR c.used_minor < 0 OR c.used_count < 0 ORDER BY c.counter_key;
  FOREACH part IN ARRAY ARRAY(SELECT cdp_internal.room_functions('verify_ledger_of_', 0)) LOOP
    RETURN QUERY EXECUTE format('SELECT * FROM cdp_internal.%I()', part);
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.ledger_verify() IS
'Proves the reward ledger from its entries: a row for each problem, none when all is whole. Postings sum to zero in each currency, balances are the sums of their entries and on their side, no posting lacks entries, closed months are as they were, caps hold, and rewards, payouts and counters are what was posted. Reads everything: minutes for millions of postings. Error 55000 before cdp.setup().';

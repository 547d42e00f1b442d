-- Referral room, ledger: what it adds to erasures and to health.

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_referral_ledger(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
DECLARE
  k bigint;
BEGIN
  -- Each account is then a stranger's of its own: nothing ties those of one person together.
  UPDATE cdp_data.ledger_account a SET customer_id = -a.ledger_account_id WHERE a.customer_id = ANY (customers || homes);
  GET DIAGNOSTICS k = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.ledger_account', 'unlink', k;
  RETURN QUERY SELECT 'cdp_data.reward_counter', 'delete', cdp_internal.erase_keyed('cdp_data.reward_counter', 'customer_id', customers || homes);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_referral_ledger(bigint[], bigint[], bigint[], bigint, text) IS
'Takes the person who is erased off the accounts, which stay with their entries, and deletes his caps. Returns what was done per table.';

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
  WHERE (m.month + interval '1 month 10 days') <= now() AT TIME ZONE s.timezone AND EXISTS (SELECT FROM cdp_data.ledger_posting p WHERE p.booked_on >= m.month AND p.booked_on < (m.month + interval '1 month')::date);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_referral_ledger() IS
'Findings of cdp.health() about the reward ledger: balances that do not sum to zero, and a month that waits to be closed, where months are closed.';

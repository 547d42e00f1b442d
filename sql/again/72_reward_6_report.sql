-- Referral room, rewards: what finance and advocates read: open liabilities by age, the statement of a person, and the proof that rewards,
-- payouts and counters are what was posted.

CREATE OR REPLACE FUNCTION cdp_internal.verify_ledger_of_reward() RETURNS TABLE (problem text, subject text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT 'reward differs from its entries', 'reward ' || x.reward_id, format('set aside, pending, available, paid, offset, expired, owed and net are (%s), its entries sum to (%s)', array_to_string(x.has, ', '), array_to_string(x.booked, ', '))
  FROM (
    SELECT w.reward_id, ARRAY[w.reserved_minor, w.pending_minor, w.available_minor, w.paid_minor, w.offset_minor, w.expired_minor, w.owed_minor, w.amount_minor - w.clawed_minor]::numeric[] AS has,
      ARRAY[coalesce(-e.reserved, 0), coalesce(-e.pending, 0), coalesce(-e.available, 0), coalesce(-e.paid, 0), coalesce(e.kept, 0), coalesce(-e.expired, 0), coalesce(e.owed, 0), coalesce(e.budget, 0)] AS booked
    FROM cdp_data.reward w LEFT JOIN (
      SELECT p.reward_id, sum(n.amount_minor) FILTER (WHERE a.kind = 'budget_reserved') AS reserved, sum(n.amount_minor) FILTER (WHERE a.kind = 'liability_pending') AS pending, sum(n.amount_minor) FILTER (WHERE a.kind = 'liability_available') AS available,
        sum(n.amount_minor) FILTER (WHERE a.kind = 'paid') AS paid, sum(n.amount_minor) FILTER (WHERE a.kind = 'breakage_expired') AS expired, sum(n.amount_minor) FILTER (WHERE a.kind = 'budget') AS budget,
        sum(n.amount_minor) FILTER (WHERE a.kind = 'clawback_receivable' AND p.kind IN ('clawback', 'reversal', 'payout_sent') OR a.kind = 'fees' AND p.kind = 'reversal') AS owed, -sum(n.amount_minor) FILTER (WHERE a.kind = 'clawback_receivable' AND p.kind = 'offset') AS kept
      FROM cdp_data.ledger_posting p JOIN cdp_data.ledger_entry n ON n.ledger_posting_id = p.ledger_posting_id JOIN cdp_data.ledger_account a ON a.ledger_account_id = n.ledger_account_id WHERE p.reward_id IS NOT NULL GROUP BY 1) e ON e.reward_id = w.reward_id) x
  WHERE x.has <> x.booked ORDER BY x.reward_id;
  RETURN QUERY
  SELECT 'postings without a reward', 'reward ' || p.reward_id, format('%s postings', count(*)) FROM cdp_data.ledger_posting p WHERE p.reward_id IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.reward w WHERE w.reward_id = p.reward_id) GROUP BY p.reward_id ORDER BY p.reward_id;
  RETURN QUERY
  SELECT 'rewarded twice', 'rewards ' || string_agg(w.reward_id::text, ', ' ORDER BY w.reward_id), 'one conversion, rule and side' FROM cdp_data.reward w WHERE w.clawed_minor < w.amount_minor GROUP BY w.idempotency_key HAVING count(*) > 1 ORDER BY 2;
  RETURN QUERY
  SELECT 'cap differs from rewards', c.counter_key::text, format('it counts %s minor units and %s rewards, they are %s and %s', c.used_minor, c.used_count, coalesce(x.minor, 0), coalesce(x.n, 0))
  FROM cdp_data.reward_counter c FULL JOIN (
    SELECT k.key, sum(w.amount_minor - w.clawed_minor) AS minor, count(*) AS n FROM cdp_data.reward w CROSS JOIN LATERAL unnest(w.counters) AS k (key) WHERE w.clawed_minor < w.amount_minor GROUP BY 1) x ON x.key = c.counter_key
  WHERE (coalesce(c.used_minor, -1), coalesce(c.used_count, -1)) <> (coalesce(x.minor, 0), coalesce(x.n, 0)) ORDER BY 2;
  RETURN QUERY
  SELECT 'payout differs from its items', 'payout ' || p.payout_id, format('%s minor units, its items are %s, posted are %s', p.amount_minor, coalesce(i.minor, 0), coalesce(e.minor, 0))
  FROM cdp_data.payout p LEFT JOIN (SELECT i.payout_id, sum(i.amount_minor) AS minor FROM cdp_data.payout_item i GROUP BY 1) i ON i.payout_id = p.payout_id
    LEFT JOIN (SELECT q.payout_id, -sum(n.amount_minor) AS minor FROM cdp_data.ledger_posting q JOIN cdp_data.ledger_entry n ON n.ledger_posting_id = q.ledger_posting_id JOIN cdp_data.ledger_account a ON a.ledger_account_id = n.ledger_account_id
      WHERE q.kind IN ('payout_sent', 'payout_failed') AND a.kind = 'paid' GROUP BY 1) e ON e.payout_id = p.payout_id
  WHERE p.amount_minor <> coalesce(i.minor, 0) OR coalesce(e.minor, 0) <> CASE WHEN p.state IN ('sent', 'confirmed') THEN p.amount_minor ELSE 0 END ORDER BY p.payout_id;
  RETURN QUERY
  SELECT 'reward in no open payout', 'reward ' || w.reward_id, format('payout %s is %s', w.payout_id, coalesce(p.state, 'not there')) FROM cdp_data.reward w LEFT JOIN cdp_data.payout p ON p.payout_id = w.payout_id
  WHERE w.payout_id IS NOT NULL AND (p.state IS NULL OR p.state NOT IN ('claimed', 'approved') OR NOT EXISTS (SELECT FROM cdp_data.payout_item i WHERE i.payout_id = w.payout_id AND i.reward_id = w.reward_id AND i.amount_minor <= w.available_minor)) ORDER BY w.reward_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.verify_ledger_of_reward() IS 'Part of cdp.ledger_verify(): rewards are where their entries say, none is rewarded twice, counters and payouts are the sums of their rewards.';

CREATE OR REPLACE FUNCTION cdp.liability_by_age(as_of timestamptz DEFAULT NULL, only_campaign text DEFAULT NULL)
RETURNS TABLE (campaign text, currency text, account text, age text, rewards bigint, people bigint, amount numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := coalesce(as_of, now());
  id integer := CASE WHEN only_campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(only_campaign) END;
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH open AS (
    SELECT p.reward_id, a.kind::text AS kind, a.customer_id, a.referral_campaign_id, a.currency::text AS currency, -sum(n.amount_minor) AS minor
    FROM cdp_data.ledger_account a JOIN cdp_data.ledger_entry n ON n.ledger_account_id = a.ledger_account_id JOIN cdp_data.ledger_posting p ON p.ledger_posting_id = n.ledger_posting_id
    WHERE a.kind IN ('budget_reserved', 'liability_pending', 'liability_available') AND p.occurred_at <= at AND (id IS NULL OR a.referral_campaign_id = id) GROUP BY 1, 2, 3, 4, 5 HAVING sum(n.amount_minor) <> 0
  ), aged AS (
    SELECT o.*, w.customer_id AS owner, width_bucket(extract(epoch FROM at - w.granted_at)::numeric / 86400, '{30,60,90,180}'::numeric[]) AS bucket FROM open o JOIN cdp_data.reward w ON w.reward_id = o.reward_id
  )
  SELECT cdp_internal.referral_name(g.referral_campaign_id), g.currency, g.kind, (ARRAY['0-29 days', '30-59 days', '60-89 days', '90-179 days', '180 days and more'])[g.bucket + 1], count(DISTINCT g.reward_id), count(DISTINCT g.owner), cdp_internal.from_minor(sum(g.minor), g.currency)
  FROM aged g GROUP BY g.referral_campaign_id, g.currency, g.kind, g.bucket
  ORDER BY 1, 2, array_position('{budget_reserved,liability_pending,liability_available}', g.kind), g.bucket;
END
$$;
COMMENT ON FUNCTION cdp.liability_by_age(timestamptz, text) IS
'What is open as of a moment (NULL: now), from the entries of the ledger: what is set aside (budget_reserved), pending and available, by campaign, currency and age since the reward was granted, with numbers of rewards and people, in money. Of one campaign, when said. No row: nothing is open. Errors: 42704 no such campaign, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.referrer_statement(customer bigint, since date DEFAULT '-infinity', until date DEFAULT 'infinity')
RETURNS TABLE (booked_on date, occurred_at timestamptz, event text, campaign text, rule text, currency text, pending numeric, available numeric, paid numeric, owed numeric, pending_balance numeric, available_balance numeric, owed_balance numeric, reward_id bigint, payout_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  root bigint := cdp_internal.known_customer(customer);
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH line AS (
    SELECT p.ledger_posting_id AS id, p.booked_on, p.occurred_at, p.kind::text AS kind, p.reward_id, p.payout_id, a.currency::text AS currency, min(a.referral_campaign_id) AS campaign,
      coalesce(-sum(n.amount_minor) FILTER (WHERE a.kind = 'liability_pending'), 0) AS pending, coalesce(-sum(n.amount_minor) FILTER (WHERE a.kind = 'liability_available'), 0) AS available, coalesce(sum(n.amount_minor) FILTER (WHERE a.kind = 'clawback_receivable'), 0) AS owed
    FROM cdp_internal.customers_under(cdp_internal.root_of(customer)) h (home) JOIN cdp_data.ledger_account a ON a.customer_id = h.home
      JOIN cdp_data.ledger_entry n ON n.ledger_account_id = a.ledger_account_id JOIN cdp_data.ledger_posting p ON p.ledger_posting_id = n.ledger_posting_id
    GROUP BY p.ledger_posting_id, a.currency
  ), run AS (
    SELECT l.*, CASE WHEN l.kind IN ('payout_sent', 'payout_failed') THEN l.owed - l.available ELSE 0 END AS paid, sum(l.pending) OVER w AS pending_run, sum(l.available) OVER w AS available_run, sum(l.owed) OVER w AS owed_run
    FROM line l WINDOW w AS (PARTITION BY l.currency ORDER BY l.booked_on, l.id ROWS UNBOUNDED PRECEDING)
  )
  SELECT r.booked_on, r.occurred_at, r.kind, cdp_internal.referral_name(r.campaign), u.rule::text, r.currency, cdp_internal.from_minor(r.pending, r.currency), cdp_internal.from_minor(r.available, r.currency), cdp_internal.from_minor(r.paid, r.currency), cdp_internal.from_minor(r.owed, r.currency),
    cdp_internal.from_minor(r.pending_run, r.currency), cdp_internal.from_minor(r.available_run, r.currency), cdp_internal.from_minor(r.owed_run, r.currency), r.reward_id, r.payout_id
  FROM run r LEFT JOIN cdp_data.reward w ON w.reward_id = r.reward_id LEFT JOIN cdp_data.reward_rule u ON u.reward_rule_id = w.reward_rule_id
  WHERE r.booked_on >= since AND r.booked_on < until ORDER BY r.currency, r.booked_on, r.id;
END
$$;
COMMENT ON FUNCTION cdp.referrer_statement(bigint, date, date) IS
'The statement of a person (any id that was merged into him): what became pending, available, was paid and is owed back by each posting booked since <= day < until, and the balances after it, in money, by currency and in the order of the books. Holds no name; the right to read the ledger is needed. Errors: 22023 no such customer, 55000 before cdp.setup().';

-- Referral room, rewards: the one road by which rewards change with what is known. It works out what each should be and posts the
-- difference, so replays, merges, refunds, reversals and late events are all the same to it.

CREATE OR REPLACE FUNCTION cdp_internal.reward_pairs(scope bigint[], as_of timestamptz) RETURNS SETOF cdp_internal.reward_pair
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH have AS MATERIALIZED (
    SELECT w.*, u.rule, cdp_internal.root_of(w.customer_id) AS root FROM cdp_data.reward w JOIN cdp_data.reward_rule u ON u.reward_rule_id = w.reward_rule_id
      JOIN cdp_data.referral r ON r.referral_id = w.referral_id
    -- Of what is frozen only the other side's is still taken back, when the referral turns out to be none.
    WHERE w.referral_id = ANY (scope) AND (NOT w.frozen OR w.reason IS DISTINCT FROM 'erased' AND r.state IN ('rejected', 'ineligible', 'duplicate'))
  ), want AS MATERIALIZED (
    SELECT d.*, row_number() OVER (ORDER BY d.later_until, d.referral_conversion_id, d.rule, d.side, d.level, d.milestone, d.referral_id) AS nth FROM cdp_internal.reward_desired(scope, reward_pairs.as_of) d
    WHERE NOT EXISTS (SELECT FROM cdp_data.reward f WHERE f.referral_id = d.referral_id AND f.side = d.side AND f.level = d.level AND f.frozen AND (f.reason = 'erased' OR (f.referral_conversion_id, f.reward_rule_id) = (d.referral_conversion_id, d.reward_rule_id)))
  ), pair AS (
    SELECT h.reward_id, d.nth FROM have h JOIN want d ON d.milestone IS NULL AND h.milestone IS NULL AND (h.referral_id, h.referral_campaign_id, h.currency, h.referral_conversion_id, h.rule, h.side, h.level) = (d.referral_id, d.referral_campaign_id, d.currency, d.referral_conversion_id, d.rule, d.side, d.level)
    UNION ALL
    -- A milestone is one for each advocate and n, whichever referral was the nth when it was reached.
    SELECT m.reward_id, m.nth FROM (
      SELECT h.reward_id, d.nth, row_number() OVER (PARTITION BY d.nth ORDER BY h.clawed_minor < h.amount_minor DESC, h.referral_id = d.referral_id DESC, h.reward_id) AS place
      FROM have h JOIN want d ON h.milestone = d.milestone AND (h.referral_campaign_id, h.rule, h.root) = (d.referral_campaign_id, d.rule, d.root)) m WHERE m.place = 1
  )
  SELECT x.reward_id, x.referral_id, x.referral_conversion_id, x.reward_rule_id, x.side, x.level, x.milestone, x.customer_id, x.referral_campaign_id, x.currency, x.wanted, x.refunded, x.eligible, x.stage, x.hold_until, x.clamp, x.key, x.why, x.cap_keys, x.cap_customers, x.cap_minors, x.cap_counts, x.family, x.own, x.later_until
  FROM (SELECT h.reward_id, coalesce(h.referral_id, d.referral_id) AS referral_id, coalesce(h.referral_conversion_id, d.referral_conversion_id) AS referral_conversion_id, coalesce(h.reward_rule_id, d.reward_rule_id) AS reward_rule_id, coalesce(h.side, d.side) AS side, coalesce(h.level, d.level) AS level,
      coalesce(h.milestone, d.milestone) AS milestone, CASE WHEN h.reward_id IS NULL OR h.side = 'referee' AND d.root > 0 AND d.root <> h.root AND h.milestone IS NULL AND h.paid_minor + h.offset_minor + h.owed_minor = 0 THEN d.customer_id ELSE h.customer_id END AS customer_id, h.customer_id AS stands_with, coalesce(h.referral_campaign_id, d.referral_campaign_id) AS referral_campaign_id, coalesce(h.currency, d.currency) AS currency, d.amount_minor AS wanted,
      coalesce(d.refunded, 0) AS refunded, coalesce(d.eligible, 0) AS eligible, coalesce(d.stage, 'none') AS stage, d.hold_until, coalesce(d.clamp, false) AS clamp, coalesce(h.idempotency_key, d.key) AS key,
      CASE WHEN d.nth IS NOT NULL THEN CASE WHEN d.refunded > 0 THEN 'refund' END WHEN r.state IN ('approved', 'pending', 'review') THEN CASE WHEN v.retracted_at IS NOT NULL THEN 'retracted' WHEN h.milestone IS NOT NULL THEN 'milestone' ELSE 'rule' END ELSE coalesce(nullif(r.reason, ''), r.state) END AS why,
      coalesce(d.cap_keys, '{}') AS cap_keys, coalesce(d.cap_customers, '{}') AS cap_customers, coalesce(d.cap_minors, '{}') AS cap_minors, coalesce(d.cap_counts, '{}') AS cap_counts, coalesce(d.family, '{}') AS family, d.own_minor AS own, d.later_until,
      h.wanted_minor, h.amount_minor, h.amount_minor - h.clawed_minor AS net, h.reserved_minor, h.pending_minor, h.available_minor, h.shut, h.hold_until AS held, h.later_minor AS held_later, h.later_until AS held_later_until, d.nth
    FROM (have h LEFT JOIN pair p ON p.reward_id = h.reward_id) FULL JOIN want d ON d.nth = p.nth
      LEFT JOIN cdp_data.referral r ON r.referral_id = coalesce(h.referral_id, d.referral_id) LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = h.referral_conversion_id) x
  -- Only what differs: a replay locks nothing. Somebody without an identifier can not be paid.
  WHERE CASE WHEN x.reward_id IS NULL THEN EXISTS (SELECT FROM cdp_internal.members(cdp_internal.root_of(x.customer_id))) WHEN x.stage = 'none' THEN x.net > 0 ELSE x.wanted > x.wanted_minor OR x.customer_id <> x.stands_with
    OR x.net <> least(x.amount_minor, x.wanted) - cdp_internal.refund_share(least(x.amount_minor, x.wanted), x.refunded, x.eligible) AND NOT (x.shut AND x.net < least(x.amount_minor, x.wanted) - cdp_internal.refund_share(least(x.amount_minor, x.wanted), x.refunded, x.eligible))
    OR CASE x.stage WHEN 'approve' THEN x.reserved_minor > 0 OR x.pending_minor > 0 AND (SELECT (x.held, x.held_later, x.held_later_until) IS DISTINCT FROM (y.hold_until, y.later_minor, y.later_until) FROM cdp_internal.reward_held(least(x.own, x.amount_minor, x.wanted) - cdp_internal.refund_share(least(x.own, x.amount_minor, x.wanted), x.refunded, x.eligible), x.net - x.pending_minor, x.pending_minor, x.hold_until, x.later_until) y) ELSE x.pending_minor + x.available_minor > 0 END END
  -- What is taken back makes room for what is granted; what was earned first is granted first.
  ORDER BY x.stage <> 'none', x.wanted > x.wanted_minor NULLS LAST, x.nth, x.reward_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_pairs(bigint[], timestamptz) IS
'Each reward of these referrals beside what it should be: reward_id NULL for one that is to be made; stage none for one that is not owed any more, and why; in the order in which they are settled. What is as it should be is left out.';

CREATE OR REPLACE FUNCTION cdp_internal.payouts_cancel(payouts bigint[], why text, as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  UPDATE cdp_data.reward w SET payout_id = NULL, revision = w.revision + 1 WHERE w.payout_id = ANY (payouts);
  UPDATE cdp_data.payout p SET state = 'cancelled', reason = why, finished_at = payouts_cancel.as_of WHERE p.payout_id = ANY (payouts) AND p.state IN ('claimed', 'approved');
END
$$;
COMMENT ON FUNCTION cdp_internal.payouts_cancel(bigint[], text, timestamptz) IS 'Takes payouts that were not sent back: their rewards are available again. Nothing is posted, as nothing was at the claim. The caller holds the people.';

CREATE OR REPLACE FUNCTION cdp_internal.write_moves(moves cdp_internal.reward_move[], as_of timestamptz, OUT accounts bigint[], OUT amounts bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  m record;
  posted bigint[];
BEGIN
  IF moves = '{}' THEN
    RETURN;
  END IF;
  SELECT array_agg(cdp_internal.ledger_key('move', u.reward_id::text, u.revision::text, u.nth::text) ORDER BY u.n) AS keys, array_agg(u.kind ORDER BY u.n) AS kinds, array_agg(as_of) AS occurred, array_agg(u.reward_id ORDER BY u.n) AS rewards, array_agg(u.payout_id ORDER BY u.n) AS payouts,
    array_agg(NULL::bigint) AS none, array_agg(u.note ORDER BY u.n) AS notes, array_agg(u.n::integer ORDER BY u.n) AS lines, array_agg(u.debit ORDER BY u.n) AS debits, array_agg(u.credit ORDER BY u.n) AS credits,
    array_agg(u.amount ORDER BY u.n) AS amounts, array_agg(-u.amount ORDER BY u.n) AS against, array_agg(w.referral_campaign_id ORDER BY u.n) AS campaigns, array_agg(w.currency::text ORDER BY u.n) AS currencies,
    array_agg(CASE WHEN u.debit IN ('liability_pending', 'liability_available', 'clawback_receivable') THEN w.customer_id END ORDER BY u.n) AS debtors, array_agg(CASE WHEN u.credit IN ('liability_pending', 'liability_available', 'clawback_receivable') THEN w.customer_id END ORDER BY u.n) AS creditors
  INTO m FROM unnest(moves) WITH ORDINALITY AS u (kind, reward_id, revision, nth, debit, credit, amount, payout_id, note, n) JOIN cdp_data.reward w ON w.reward_id = u.reward_id;
  accounts := cdp_internal.ledger_accounts(m.debits || m.credits, m.campaigns || m.campaigns, m.debtors || m.creditors, m.currencies || m.currencies);
  amounts := m.amounts || m.against;
  posted := cdp_internal.ledger_write(m.keys, m.kinds, m.occurred, m.rewards, m.payouts, m.none, m.notes, m.lines || m.lines, accounts, amounts);
  IF array_position(posted, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'a reward was changed by somebody else at the same time' USING ERRCODE = 'serialization_failure', DETAIL = format('Reward %s.', m.rewards[array_position(posted, NULL)]), HINT = 'Try again.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.write_moves(cdp_internal.reward_move[], timestamptz) IS
'The first half of cdp_internal.post_moves(): writes movements of rewards between kinds of accounts, one posting of two lines for each, in the reward''s campaign, customer and currency. Each movement of a revision of a reward is posted once. Returns what cdp_internal.ledger_balance() then adds to the accounts. Error 40001: it was there already.';

CREATE OR REPLACE FUNCTION cdp_internal.post_moves(moves cdp_internal.reward_move[], as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  x record := cdp_internal.write_moves(moves, as_of);
BEGIN
  IF x.accounts IS NOT NULL THEN
    PERFORM cdp_internal.ledger_balance(x.accounts, x.amounts);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.post_moves(cdp_internal.reward_move[], timestamptz) IS
'Posts movements of rewards between kinds of accounts, one posting of two lines for each, in the reward''s campaign, customer and currency. Each movement of a revision of a reward is posted once. Error 40001: it was there already.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_receivable(reward bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT a.balance_minor FROM cdp_data.reward w JOIN cdp_data.ledger_account a ON a.kind = 'clawback_receivable' AND a.referral_campaign_id = w.referral_campaign_id AND a.customer_id = w.customer_id AND a.currency = w.currency WHERE w.reward_id = reward), 0);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_receivable(bigint) IS 'What is still open of the receivable account of a reward''s customer, campaign and currency, in minor units.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_given_up(reward bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  IF NOT EXISTS (
      SELECT FROM cdp_data.receivable_request q WHERE q.done_at IS NOT NULL) THEN
    RETURN 0; -- nothing was ever given up
  END IF;
  RETURN (
    SELECT coalesce((SELECT -sum(e.amount_minor) FROM cdp_data.ledger_account a JOIN cdp_data.ledger_entry e ON e.ledger_account_id = a.ledger_account_id JOIN cdp_data.ledger_posting p ON p.ledger_posting_id = e.ledger_posting_id
        WHERE a.kind = 'clawback_receivable' AND a.referral_campaign_id = w.referral_campaign_id AND a.customer_id = w.customer_id AND a.currency = w.currency AND p.kind = 'written_off'), 0)
      + coalesce((SELECT sum(e.amount_minor) FROM cdp_data.reward o JOIN cdp_data.ledger_posting p ON p.reward_id = o.reward_id JOIN cdp_data.ledger_entry e ON e.ledger_posting_id = p.ledger_posting_id JOIN cdp_data.ledger_account a ON a.ledger_account_id = e.ledger_account_id
        WHERE o.customer_id = w.customer_id AND o.referral_campaign_id = w.referral_campaign_id AND o.currency = w.currency AND p.kind = 'reversal' AND a.kind = 'fees'), 0)
    FROM cdp_data.reward w WHERE w.reward_id = reward);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_given_up(bigint) IS 'What was written off of the receivable account of a reward''s customer, campaign and currency, less what was taken back of it since, in minor units.';

CREATE OR REPLACE FUNCTION cdp_internal.hold_pairs(pairs cdp_internal.reward_pair[], OUT keys text[], OUT minors bigint[], OUT counts bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  whose bigint[];
  caps bigint[];
  most bigint[];
BEGIN
  SELECT array_agg(x.key ORDER BY x.key COLLATE "C"), array_agg(x.customer ORDER BY x.key COLLATE "C"), array_agg(x.minor ORDER BY x.key COLLATE "C"), array_agg(x.count ORDER BY x.key COLLATE "C") INTO keys, whose, caps, most
  FROM (SELECT DISTINCT ON (a.key COLLATE "C") a.key, a.customer, a.minor, a.count FROM (
      SELECT 1 AS told, u.key, u.customer, u.minor, u.count FROM unnest(pairs) q CROSS JOIN LATERAL unnest(q.cap_keys, q.cap_customers, q.cap_minors, q.cap_counts) AS u (key, customer, minor, count)
      UNION ALL
      SELECT 2, c.counter_key, c.customer_id, c.cap_minor, c.cap_count FROM unnest(pairs) q JOIN cdp_data.reward w ON w.reward_id = q.reward_id CROSS JOIN LATERAL unnest(w.counters) AS u (key) JOIN cdp_data.reward_counter c ON c.counter_key = u.key
      UNION ALL
      -- One that goes home to another person counts in the same caps of his.
      SELECT 3, cdp_internal.counter_key_of(c.counter_key, q.customer_id), q.customer_id, c.cap_minor, c.cap_count FROM unnest(pairs) q JOIN cdp_data.reward w ON w.reward_id = q.reward_id AND w.customer_id <> q.customer_id
        CROSS JOIN LATERAL unnest(w.counters) AS u (key) JOIN cdp_data.reward_counter c ON c.counter_key = u.key WHERE c.customer_id <> q.customer_id AND cdp_internal.root_of(w.customer_id) IS DISTINCT FROM q.customer_id) a
    ORDER BY a.key COLLATE "C", a.told, a.minor NULLS LAST, a.count NULLS LAST) x;
  keys := coalesce(keys, '{}');
  PERFORM cdp_internal.counter_hold(keys, whose, caps, most);
  -- Only those that are there: one of somebody who is erased meanwhile is not.
  SELECT coalesce(array_agg(c.counter_key ORDER BY c.counter_key), '{}'), array_agg(c.cap_minor - c.used_minor - coalesce(f.minor, 0) ORDER BY c.counter_key), array_agg(c.cap_count - c.used_count - coalesce(f.count, 0) ORDER BY c.counter_key) INTO keys, minors, counts
  FROM cdp_data.reward_counter c LEFT JOIN (
    SELECT s.key, sum(o.used_minor) AS minor, sum(o.used_count) AS count
    FROM (SELECT DISTINCT split_part(y, ' ', 1) AS key, split_part(y, ' ', 2) AS other FROM unnest(pairs) q CROSS JOIN LATERAL unnest(q.family) y) s JOIN cdp_data.reward_counter o ON o.counter_key = s.other GROUP BY 1) f ON f.key = c.counter_key
  WHERE c.counter_key = ANY (keys);
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_pairs(cdp_internal.reward_pair[]) IS
'Locks all counters that these rewards count in, in the order of their keys, and tells what room each has: minor units and numbers of rewards, NULL without a limit; what was used under other numbers of a merged customer is taken off.';

CREATE OR REPLACE FUNCTION cdp_internal.cap_words(key text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN starts_with(key, 'budget/') THEN 'budget' ELSE regexp_replace(key, '^[0-9]+/([^#]*)/#.*$', '\1') END;
COMMENT ON FUNCTION cdp_internal.cap_words(text) IS 'What a counter limits, from its key, without whose it is: budget, or rewards/referrer/month/* (*: all rules).';

CREATE OR REPLACE FUNCTION cdp_internal.reward_granted(inc bigint, is_new boolean, clamp boolean, at integer[], minors bigint[], counts bigint[], OUT given bigint, OUT shut integer)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  i integer;
BEGIN
  given := inc;
  FOREACH i IN ARRAY at LOOP
    IF is_new AND counts[i] < 1 THEN
      given := 0;
      shut := i;
    ELSIF minors[i] < given THEN
      given := CASE WHEN clamp THEN greatest(0, minors[i]) ELSE 0 END;
      shut := i;
    END IF;
    EXIT WHEN given = 0;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_granted(bigint, boolean, boolean, integer[], bigint[], bigint[]) IS
'What caps leave of so much more for a reward: all of it, or with clamp what there is room for, else nothing; is_new: one more reward, too. at: which of the counters (minors, counts: their room). shut: the one that left less.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_held(own bigint, released bigint, pending bigint, own_until timestamptz, rest_until timestamptz, OUT hold_until timestamptz, OUT later_minor bigint, OUT later_until timestamptz)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- What it earned by itself is released first.
  later_minor := greatest(0, pending - greatest(0, own - released));
  IF rest_until IS NOT DISTINCT FROM own_until OR later_minor = 0 THEN
    hold_until := own_until;
    later_minor := 0;
  ELSIF later_minor = pending THEN
    hold_until := rest_until;
    later_minor := 0;
  ELSE
    hold_until := own_until;
    later_until := rest_until;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_held(bigint, bigint, bigint, timestamptz, timestamptz) IS
'How what is pending of a reward is held: own is what of it (net of refunds) the conversion earned by itself, held until own_until; the rest came with a tier, held until rest_until; released: what left the hold before. hold_until: when something is released next; later_minor of what is pending waits on, until later_until (0, NULL: nothing).';

CREATE OR REPLACE FUNCTION cdp_internal.settle_held(pairs cdp_internal.reward_pair[], as_of timestamptz, horizon timestamptz, keys text[], minors bigint[], counts bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p cdp_internal.reward_pair;
  w cdp_data.reward;
  g record;
  at integer[];
  i integer;
  before bigint;
  target bigint;
  left_over bigint;
  part bigint;
  was_new boolean;
  spent jsonb := '{}'; -- of receivables, and of what was given up, by campaign and customer
  forgiven jsonb := '{}';
  lost bigint;
  parted text[];
  n bigint := 0;
  posted record;
  moved integer;
  moves cdp_internal.reward_move[] := '{}';
  more_minor bigint[] := array_fill(0::bigint, ARRAY[cardinality(keys)]); -- changes of counters
  more_count bigint[] := more_minor;
  ck text[]; cm bigint[]; cn bigint[];
  step record;
BEGIN
  FOREACH p IN ARRAY pairs LOOP
    was_new := p.reward_id IS NULL;
    IF was_new THEN
      CONTINUE WHEN EXISTS (SELECT FROM cdp_data.reward x WHERE x.idempotency_key = p.key AND x.clawed_minor < x.amount_minor);
      w := jsonb_populate_record(NULL::cdp_data.reward, '{"wanted_minor": 0, "amount_minor": 0, "clawed_minor": 0, "reserved_minor": 0, "pending_minor": 0, "later_minor": 0, "available_minor": 0, "paid_minor": 0, "offset_minor": 0, "expired_minor": 0, "owed_minor": 0, "revision": 0, "shut": false, "counters": []}');
      w.reward_id := nextval('cdp_data.reward_reward_id_seq');
    ELSE
      -- A claim that came meanwhile is seen.
      SELECT x.* INTO w FROM cdp_data.reward x WHERE x.reward_id = p.reward_id FOR UPDATE;
      IF w.customer_id <> p.customer_id THEN
        parted := w.counters::text[];
        PERFORM cdp_internal.reward_rehome(ARRAY[p.reward_id], as_of);
        SELECT x.* INTO w FROM cdp_data.reward x WHERE x.reward_id = p.reward_id;
        -- The room that was found goes along.
        part := w.amount_minor - w.clawed_minor;
        FOR g IN SELECT width_bucket(u.key COLLATE "C", keys) AS slot, u.key, u.sign FROM (SELECT o.key, 1 AS sign FROM unnest(parted) o (key) WHERE o.key <> ALL (w.counters) UNION ALL SELECT o.key, -1 FROM unnest(w.counters) o (key) WHERE o.key <> ALL (parted)) u WHERE part > 0 LOOP
          IF keys[g.slot] = g.key THEN
            minors[g.slot] := minors[g.slot] + g.sign * part;
            counts[g.slot] := counts[g.slot] + g.sign;
          END IF;
        END LOOP;
      END IF;
      w.revision := w.revision + 1;
    END IF;
    i := 0;
    moved := cardinality(moves);
    before := w.amount_minor - w.clawed_minor;
    IF w.counters = '{}' THEN
      w.counters := p.cap_keys;
    END IF;
    -- A counter that is there no more counted for somebody who was erased.
    SELECT coalesce(array_agg(x.slot ORDER BY x.n), '{}'), coalesce(array_agg(keys[x.slot] ORDER BY x.n), '{}') INTO at, w.counters
    FROM (SELECT u.n, u.k, width_bucket(u.k COLLATE "C", keys) AS slot FROM unnest(w.counters) WITH ORDINALITY AS u (k, n)) x WHERE keys[x.slot] = x.k;
    IF p.stage <> 'none' AND p.wanted > w.wanted_minor THEN
      g := cdp_internal.reward_granted(p.wanted - w.wanted_minor, before = 0, p.clamp, at, minors, counts);
      w.amount_minor := w.amount_minor + g.given;
      w.reserved_minor := w.reserved_minor + g.given;
      w.wanted_minor := p.wanted;
      w.reason := CASE WHEN g.shut IS NOT NULL THEN 'cap ' || cdp_internal.cap_words(keys[g.shut]) ELSE w.reason END;
      IF g.given > 0 THEN
        i := i + 1;
        moves := moves || ROW(CASE WHEN was_new THEN 'reserve' ELSE 'topup' END, w.reward_id, w.revision, i, 'budget', 'budget_reserved', g.given, NULL, NULL)::cdp_internal.reward_move;
      END IF;
    END IF;
    target := CASE p.stage WHEN 'none' THEN 0 ELSE least(w.amount_minor, p.wanted) - cdp_internal.refund_share(least(w.amount_minor, p.wanted), p.refunded, p.eligible) END;
    left_over := w.amount_minor - w.clawed_minor - target;
    IF left_over > 0 THEN
      IF w.payout_id IS NOT NULL AND left_over > w.reserved_minor + w.pending_minor THEN
        PERFORM cdp_internal.payouts_cancel(ARRAY[w.payout_id], 'a reward in it changed', as_of);
        w.payout_id := NULL;
        w.revision := w.revision + 1;
      END IF;
      w.clawed_minor := w.amount_minor - target;
      w.reason := coalesce(p.why, 'rule');
      FOR step IN SELECT s.* FROM (VALUES (1, 'budget_reserved', w.reserved_minor), (2, 'liability_pending', w.pending_minor), (3, 'liability_available', w.available_minor), (4, 'breakage_expired', w.expired_minor), (5, 'clawback_receivable', 9223372036854775807)) AS s (nth, account, held) ORDER BY 1 LOOP
        part := least(left_over, step.held);
        CONTINUE WHEN part = 0;
        left_over := left_over - part;
        CASE step.nth WHEN 1 THEN w.reserved_minor := w.reserved_minor - part; WHEN 2 THEN w.pending_minor := w.pending_minor - part; WHEN 3 THEN w.available_minor := w.available_minor - part;
          WHEN 4 THEN w.expired_minor := w.expired_minor - part; ELSE w.owed_minor := w.owed_minor + part; END CASE;
        i := i + 1;
        moves := moves || ROW(CASE WHEN step.nth = 5 THEN 'clawback' WHEN p.stage = 'none' OR p.refunded > 0 THEN 'void' ELSE 'reduce' END, w.reward_id, w.revision, i, step.account, 'budget', part, NULL, w.reason)::cdp_internal.reward_move;
      END LOOP;
    ELSIF left_over < 0 AND NOT w.shut THEN
      g := cdp_internal.reward_granted(-left_over, before = 0, p.clamp, at, minors, counts);
      w.shut := g.given < -left_over;
      w.reason := CASE WHEN w.shut THEN 'cap ' || cdp_internal.cap_words(keys[g.shut]) ELSE p.why END;
      w.clawed_minor := w.clawed_minor - g.given;
      part := 0;
      IF w.owed_minor > 0 AND g.given > 0 THEN
        -- What is still open of the receivable is let go, then what was given up; what was kept or repaid is owed to him again.
        part := least(g.given, w.owed_minor, cdp_internal.reward_receivable(w.reward_id) - coalesce((spent ->> format('%s %s', w.referral_campaign_id, w.customer_id))::bigint, 0));
        spent := spent || jsonb_build_object(format('%s %s', w.referral_campaign_id, w.customer_id), coalesce((spent ->> format('%s %s', w.referral_campaign_id, w.customer_id))::bigint, 0) + part);
      END IF;
      IF part > 0 THEN
        w.owed_minor := w.owed_minor - part;
        i := i + 1;
        moves := moves || ROW('reversal', w.reward_id, w.revision, i, 'budget', 'clawback_receivable', part, NULL, NULL)::cdp_internal.reward_move;
      END IF;
      -- He has kept what was given up.
      lost := CASE WHEN w.owed_minor > 0 AND g.given > part THEN greatest(0, least(g.given - part, w.owed_minor, cdp_internal.reward_given_up(w.reward_id) - coalesce((forgiven ->> format('%s %s', w.referral_campaign_id, w.customer_id))::bigint, 0))) ELSE 0 END;
      IF lost > 0 THEN
        forgiven := forgiven || jsonb_build_object(format('%s %s', w.referral_campaign_id, w.customer_id), coalesce((forgiven ->> format('%s %s', w.referral_campaign_id, w.customer_id))::bigint, 0) + lost);
        w.owed_minor := w.owed_minor - lost;
        i := i + 1;
        moves := moves || ROW('reversal', w.reward_id, w.revision, i, 'budget', 'fees', lost, NULL, 'given up before')::cdp_internal.reward_move;
      END IF;
      IF g.given > part + lost THEN
        w.reserved_minor := w.reserved_minor + g.given - part - lost;
        i := i + 1;
        moves := moves || ROW('reserve', w.reward_id, w.revision, i, 'budget', 'budget_reserved', g.given - part - lost, NULL, NULL)::cdp_internal.reward_move;
      END IF;
    END IF;
    IF p.stage = 'approve' AND w.reserved_minor > 0 THEN
      i := i + 1;
      moves := moves || ROW('approve', w.reward_id, w.revision, i, 'budget_reserved', 'liability_pending', w.reserved_minor, NULL, NULL)::cdp_internal.reward_move;
      w.pending_minor := w.pending_minor + w.reserved_minor;
      w.reserved_minor := 0;
    ELSIF p.stage = 'reserve' AND w.pending_minor + w.available_minor > 0 THEN
      IF w.payout_id IS NOT NULL THEN
        PERFORM cdp_internal.payouts_cancel(ARRAY[w.payout_id], 'a referral in it went to review', as_of);
        w.payout_id := NULL;
        w.revision := w.revision + 1;
      END IF;
      IF w.pending_minor > 0 THEN
        i := i + 1;
        moves := moves || ROW('suspend', w.reward_id, w.revision, i, 'liability_pending', 'budget_reserved', w.pending_minor, NULL, NULL)::cdp_internal.reward_move;
      END IF;
      IF w.available_minor > 0 THEN
        i := i + 1;
        moves := moves || ROW('suspend', w.reward_id, w.revision, i, 'liability_available', 'budget_reserved', w.available_minor, NULL, NULL)::cdp_internal.reward_move;
      END IF;
      w.reserved_minor := w.reserved_minor + w.pending_minor + w.available_minor;
      w.pending_minor := 0;
      w.available_minor := 0;
    END IF;
    part := w.amount_minor - w.clawed_minor;
    IF p.stage = 'none' THEN
      w.later_minor := 0;
      w.later_until := NULL;
    ELSE
      g := cdp_internal.reward_held(least(p.own, w.amount_minor, p.wanted) - cdp_internal.refund_share(least(p.own, w.amount_minor, p.wanted), p.refunded, p.eligible), part - w.reserved_minor - w.pending_minor, w.pending_minor, p.hold_until, p.later_until);
      w.hold_until := g.hold_until;
      w.later_minor := g.later_minor;
      w.later_until := g.later_until;
    END IF;
    w.voided_at := CASE WHEN part = 0 THEN coalesce(w.voided_at, as_of) END;
    IF was_new THEN
      INSERT INTO cdp_data.reward (reward_id, idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, milestone, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, clawed_minor, reserved_minor, pending_minor, hold_until, granted_at, voided_at, reason, counters, horizon, later_minor, later_until)
      VALUES (w.reward_id, p.key, p.referral_id, p.referral_conversion_id, p.reward_rule_id, p.side, p.level, p.milestone, p.customer_id, p.referral_campaign_id, p.currency, w.wanted_minor, w.amount_minor, w.clawed_minor, w.reserved_minor, w.pending_minor, w.hold_until, as_of, w.voided_at, w.reason, w.counters, horizon, w.later_minor, w.later_until)
      -- On an older snapshot somebody else's may be there unseen: that is 40001, too.
      ON CONFLICT DO NOTHING;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a reward was made by somebody else at the same time' USING ERRCODE = 'serialization_failure', DETAIL = format('Of referral %s.', p.referral_id), HINT = 'Try again.';
      END IF;
    ELSE
      UPDATE cdp_data.reward x SET wanted_minor = w.wanted_minor, amount_minor = w.amount_minor, clawed_minor = w.clawed_minor, reserved_minor = w.reserved_minor, pending_minor = w.pending_minor, available_minor = w.available_minor, expired_minor = w.expired_minor, owed_minor = w.owed_minor,
        hold_until = w.hold_until, later_minor = w.later_minor, later_until = w.later_until, voided_at = w.voided_at, reason = w.reason, counters = w.counters, shut = w.shut, revision = w.revision, horizon = settle_held.horizon WHERE x.reward_id = w.reward_id;
    END IF;
    IF part <> before THEN
      FOREACH i IN ARRAY at LOOP
        minors[i] := minors[i] - (part - before);
        counts[i] := counts[i] - (CASE WHEN part > 0 THEN 1 ELSE 0 END - CASE WHEN before > 0 THEN 1 ELSE 0 END);
        more_minor[i] := more_minor[i] + (part - before);
        more_count[i] := more_count[i] + (CASE WHEN part > 0 THEN 1 ELSE 0 END - CASE WHEN before > 0 THEN 1 ELSE 0 END);
      END LOOP;
    END IF;
    n := n + CASE WHEN was_new OR cardinality(moves) > moved THEN 1 ELSE 0 END;
  END LOOP;
  -- What everybody wants comes last: the counters, and then the accounts of the campaign.
  posted := cdp_internal.write_moves(moves, as_of);
  SELECT array_agg(u.key), array_agg(u.minor), array_agg(u.count) INTO ck, cm, cn FROM unnest(keys, more_minor, more_count) AS u (key, minor, count) WHERE u.minor <> 0 OR u.count <> 0;
  IF cdp_internal.counter_add(ck, cm, cn) < cardinality(ck) THEN
    RAISE EXCEPTION 'a cap has less room than was found' USING ERRCODE = 'serialization_failure', HINT = 'Try again.';
  END IF;
  IF posted.accounts IS NOT NULL THEN
    PERFORM cdp_internal.ledger_balance(posted.accounts, posted.amounts);
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.settle_held(cdp_internal.reward_pair[], timestamptz, timestamptz, text[], bigint[], bigint[]) IS
'Makes rewards what they should be: grants what caps leave, takes back what is owed no more (set aside, pending, available, expired, then as a receivable), moves between set aside and approved, posts all of it and counts it. keys, minors, counts: the counters in the order of their keys and their room (NULL: no limit), held by the caller. as_of: the moment of the postings; horizon: the events up to then were known. A payout that was not sent and pays a reward that shrinks is cancelled. Returns how many rewards changed. The caller holds the people.';

CREATE OR REPLACE FUNCTION cdp_internal.settle_pairs(pairs cdp_internal.reward_pair[], as_of timestamptz, horizon timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  room record;
  closed date;
  zone text;
  day date;
  n bigint;
BEGIN
  IF cardinality(pairs) = 1 THEN
    n := cdp_internal.grant_pair(pairs[1], as_of, horizon);
    IF n IS NOT NULL THEN
      RETURN n;
    END IF;
  END IF;
  -- Before the counters, on all roads, so that nobody waits in a circle with who closes a month.
  closed := cdp_internal.ledger_closed();
  IF cardinality(pairs) <= 50 THEN
    zone := (SELECT s.timezone FROM cdp_data.setting s);
    day := cdp_internal.ledger_day(as_of, closed, zone);
    room := cdp_internal.glance_pairs(pairs);
    IF room.margin >= 1000 THEN
      RETURN cdp_internal.grant_pairs(pairs, as_of, horizon, day, room.keys, room.minors, room.counts);
    ELSIF room.margin >= 20 THEN
      BEGIN
        RETURN cdp_internal.grant_pairs(pairs, as_of, horizon, day, room.keys, room.minors, room.counts);
      EXCEPTION WHEN serialization_failure THEN
        NULL; -- others were faster: once more, with the counters in hand
      END;
    END IF;
  END IF;
  room := cdp_internal.hold_pairs(pairs);
  RETURN cdp_internal.settle_held(pairs, as_of, horizon, room.keys, room.minors, room.counts);
END
$$;
COMMENT ON FUNCTION cdp_internal.settle_pairs(cdp_internal.reward_pair[], timestamptz, timestamptz) IS
'Makes rewards what they should be: cdp_internal.settle_held(), or for new ones whose caps are far away cdp_internal.grant_pairs(), where the counters, which everybody wants, are locked for the end of the work only. With room for less than a thousand times as much a lost race for the last of it is run again with the counters held from the beginning, with room for less than twenty times they are held at once. Returns how many rewards changed. Error 40001: others used up a thousand times as much meanwhile.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_settle(ids bigint[], as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  scope bigint[];
  people bigint[];
  held bigint[] := '{}';
  pairs cdp_internal.reward_pair[];
  horizon timestamptz;
  n bigint;
BEGIN
  IF NOT isfinite(coalesce(as_of, now())) THEN
    RAISE EXCEPTION 'as_of must be a moment' USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for all that is known.';
  END IF;
  LOOP
    people := held || cdp_internal.reward_people(cdp_internal.reward_scope(ids));
    BEGIN
      PERFORM cdp_internal.hold_people(people);
      scope := cdp_internal.reward_scope(ids);
      held := cdp_internal.reward_people(scope);
      EXIT WHEN held <@ people;
      -- A merge, or a referral more, has come while this waited. All locks or none: more of them, taken out of their order, could end in a circle.
      RAISE EXCEPTION USING ERRCODE = 'CDPRP', MESSAGE = 'more people than were held';
    EXCEPTION WHEN SQLSTATE 'CDPRP' THEN
      NULL;
    END;
  END LOOP;
  -- Of an earlier moment nothing is decided any more: what was granted or taken back since would be undone.
  horizon := CASE WHEN as_of IS NULL THEN 'infinity' ELSE greatest(as_of, (SELECT max(w.horizon) FROM cdp_data.reward w WHERE w.referral_id = ANY (scope))) END;
  as_of := coalesce(as_of, clock_timestamp());
  pairs := ARRAY(SELECT p FROM cdp_internal.reward_pairs(scope, horizon) p);
  n := CASE WHEN pairs = '{}' THEN 0 ELSE cdp_internal.settle_pairs(pairs, as_of, horizon) END;
  PERFORM cdp_internal.reward_offset(people, as_of);
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_settle(bigint[], timestamptz) IS
'Makes the rewards of these referrals, and of those that hang together with them, what they should be by the events up to as_of (NULL: all that are known, also those that another clock dated ahead; an as_of older than that of the last decision counts as that): from the state of the referral (approved: granted, its hold begins; pending, review: set aside; else taken back), its conversions that are neither tests nor retracted, refunds, terms and caps. Called again it changes nothing. Caps are decided once: what one refused stays refused until cdp.retry_capped_rewards(). Returns how many rewards changed. Holds the people until the transaction ends. Error 22023: as_of.';

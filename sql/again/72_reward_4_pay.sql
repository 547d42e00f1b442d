-- Referral room, rewards: from the end of the hold to the payment: release, offset against what is owed back, expiry, payouts.

CREATE OR REPLACE FUNCTION cdp_internal.counters_rehome(keys text[], root bigint, net bigint) RETURNS text[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  o record;
BEGIN
  SELECT array_agg(c.counter_key::text ORDER BY c.counter_key) AS was, array_agg(cdp_internal.counter_key_of(c.counter_key, root) ORDER BY c.counter_key) AS now, array_agg(c.customer_id ORDER BY c.counter_key) AS whose,
    array_agg(c.cap_minor ORDER BY c.counter_key) AS minors, array_agg(c.cap_count ORDER BY c.counter_key) AS counts, array_agg(root) AS roots, array_agg(-net) AS less, array_agg(-1::bigint) AS one INTO o
  FROM unnest(keys) u (key) JOIN cdp_data.reward_counter c ON c.counter_key = u.key WHERE c.customer_id IS NOT NULL AND c.customer_id <> root;
  IF o.was IS NULL THEN
    RETURN keys;
  END IF;
  PERFORM cdp_internal.counter_hold(o.was || o.now, o.whose || o.roots, o.minors || o.minors, o.counts || o.counts);
  IF net > 0 THEN
    PERFORM cdp_internal.counter_add(o.was, o.less, o.one);
    -- What was granted stays, also above a cap.
    UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + net, used_count = c.used_count + 1, over_minor = greatest(c.over_minor, c.used_minor + net - c.cap_minor), over_count = greatest(c.over_count, c.used_count + 1 - c.cap_count) WHERE c.counter_key = ANY (o.now);
  END IF;
  RETURN ARRAY(SELECT coalesce(o.now[array_position(o.was, u.key)], u.key) FROM unnest(keys) WITH ORDINALITY AS u (key, n) ORDER BY u.n);
END
$$;
COMMENT ON FUNCTION cdp_internal.counters_rehome(text[], bigint, bigint) IS
'Moves what a reward counts in caps of a person (net, in minor units, and one reward) to the same caps of another one (a root), above them where they are used up. Returns the keys of its counters then.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_rehome(rewards bigint[], as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  x record;
  w cdp_data.reward;
  n bigint := 0;
BEGIN
  FOR x IN
    SELECT y.reward_id, y.root FROM (
      SELECT r.reward_id, r.customer_id, cdp_internal.identifier_root(v.identifier_id) AS root FROM cdp_data.reward r JOIN cdp_data.referral_conversion v USING (referral_conversion_id)
      WHERE r.reward_id = ANY (rewards) AND r.side = 'referee' AND r.paid_minor + r.offset_minor + r.owed_minor = 0 AND r.reason IS DISTINCT FROM 'erased' OFFSET 0) y
    WHERE y.root IS DISTINCT FROM cdp_internal.root_of(y.customer_id) AND y.root IS NOT NULL ORDER BY y.reward_id
  LOOP
    SELECT r.* INTO w FROM cdp_data.reward r WHERE r.reward_id = x.reward_id FOR UPDATE;
    IF w.payout_id IS NOT NULL THEN
      PERFORM cdp_internal.payouts_cancel(ARRAY[w.payout_id], 'the person in it was taken apart', as_of);
    END IF;
    PERFORM cdp_internal.ledger_closed(); -- before the counters, as everybody takes them
    UPDATE cdp_data.reward r SET customer_id = x.root, counters = cdp_internal.counters_rehome(r.counters, x.root, r.amount_minor - r.clawed_minor), revision = r.revision + 1 WHERE r.reward_id = w.reward_id RETURNING r.revision INTO w.revision;
    PERFORM cdp_internal.ledger_post(array_agg(cdp_internal.ledger_key('move', w.reward_id::text, w.revision::text, m.nth::text) ORDER BY m.nth), array_agg('moved'::text), array_agg(as_of), array_agg(w.reward_id), array_agg(NULL::bigint), array_agg(NULL::bigint), array_agg(NULL::text),
      array_agg(m.nth ORDER BY m.nth) || array_agg(m.nth ORDER BY m.nth), cdp_internal.ledger_accounts(array_agg(m.kind ORDER BY m.nth) || array_agg(m.kind ORDER BY m.nth), array_agg(w.referral_campaign_id) || array_agg(w.referral_campaign_id),
        array_agg(w.customer_id) || array_agg(x.root), array_agg(w.currency::text) || array_agg(w.currency::text)), array_agg(m.amount ORDER BY m.nth) || array_agg(-m.amount ORDER BY m.nth))
    FROM (SELECT u.kind, u.amount, row_number() OVER (ORDER BY u.kind)::integer AS nth FROM (VALUES ('liability_pending', w.pending_minor), ('liability_available', w.available_minor)) AS u (kind, amount) WHERE u.amount <> 0) m HAVING count(*) > 0;
    n := n + 1;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_rehome(bigint[], timestamptz) IS
'Brings rewards of friends to who carries the identifier of the conversion now, when it was parted from who they stood with: what is pending and available moves between the accounts of the two, and what it counts in caps of the one counts in those of the other; a payout that was not sent is cancelled. One of which anything was paid or kept stays with who got it. Returns how many moved. The caller holds both people.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_strayed(roots bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN ARRAY(SELECT DISTINCT w.referral_id FROM cdp_internal.members_of(roots) m JOIN cdp_data.referral_conversion c ON c.customer_id = m.home_id AND c.identifier_id = m.identifier_id
      JOIN cdp_data.reward w ON w.referral_conversion_id = c.referral_conversion_id
    WHERE w.side = 'referee' AND w.paid_minor + w.offset_minor + w.owed_minor = 0 AND w.reason IS DISTINCT FROM 'erased' AND cdp_internal.root_of(w.customer_id) IS DISTINCT FROM m.root_id ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_strayed(bigint[]) IS 'The referrals of which rewards stand with somebody else than the person (one of these roots) who carries the identifier of the conversion; settling them brings them home.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_offset(people bigint[], as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  x record;
  n bigint := 0;
  done jsonb := '{}';
  debtors bigint[];
BEGIN
  -- Few people owe anything, so those are looked for first.
  debtors := ARRAY(SELECT DISTINCT p FROM unnest(people) p CROSS JOIN LATERAL cdp_internal.customers_under(p) h JOIN cdp_data.ledger_account a ON a.customer_id = h WHERE a.kind = 'clawback_receivable' AND a.balance_minor > 0);
  IF debtors = '{}' THEN
    RETURN 0;
  END IF;
  PERFORM cdp_internal.reward_rehome(ARRAY(SELECT w.reward_id FROM unnest(debtors) p CROSS JOIN LATERAL cdp_internal.customers_under(p) h JOIN cdp_data.reward w ON w.customer_id = h
    WHERE w.side = 'referee' AND cdp_internal.reward_root(w.side, w.referral_conversion_id, w.customer_id) = ANY (people)), as_of);
  FOR x IN
    SELECT o.root, w.reward_id, w.revision + 1 AS revision, w.available_minor, w.currency, o.receivable, o.kind_account, w.available_at, w.referral_campaign_id, w.customer_id
    FROM (SELECT p AS root, a.ledger_account_id AS kind_account, a.currency, a.balance_minor AS receivable FROM unnest(debtors) p CROSS JOIN LATERAL cdp_internal.customers_under(p) h JOIN cdp_data.ledger_account a ON a.customer_id = h WHERE a.kind = 'clawback_receivable' AND a.balance_minor > 0) o
      JOIN LATERAL (SELECT w.* FROM cdp_internal.customers_under(o.root) h JOIN cdp_data.reward w ON w.customer_id = h WHERE w.currency = o.currency AND w.available_minor > 0 AND w.payout_id IS NULL AND w.reason IS DISTINCT FROM 'erased'
        -- What is still to go home to another person is not his.
        AND (w.side <> 'referee' OR w.paid_minor + w.offset_minor + w.owed_minor > 0 OR cdp_internal.reward_root(w.side, w.referral_conversion_id, w.customer_id) IS NOT DISTINCT FROM o.root)) w ON true
    ORDER BY o.root, w.currency, w.available_at, w.reward_id, o.kind_account
  LOOP
    DECLARE
      owes bigint := x.receivable - coalesce((done ->> ('a' || x.kind_account))::bigint, 0);
      has bigint := x.available_minor - coalesce((done ->> ('r' || x.reward_id))::bigint, 0);
      part bigint := least(owes, has);
    BEGIN
      CONTINUE WHEN part <= 0;
      -- Somebody may have claimed it meanwhile; then the next one has to do.
      PERFORM FROM cdp_data.reward w WHERE w.reward_id = x.reward_id AND w.payout_id IS NULL AND w.available_minor >= part FOR UPDATE;
      CONTINUE WHEN NOT FOUND;
      done := done || jsonb_build_object('a' || x.kind_account, coalesce((done ->> ('a' || x.kind_account))::bigint, 0) + part, 'r' || x.reward_id, coalesce((done ->> ('r' || x.reward_id))::bigint, 0) + part);
      UPDATE cdp_data.reward w SET available_minor = w.available_minor - part, offset_minor = w.offset_minor + part, revision = w.revision + 1, paid_at = CASE WHEN w.available_minor = part THEN reward_offset.as_of ELSE w.paid_at END WHERE w.reward_id = x.reward_id RETURNING w.revision INTO x.revision;
      PERFORM cdp_internal.ledger_post(ARRAY[cdp_internal.ledger_key('move', x.reward_id::text, x.revision::text, '1')], '{offset}', ARRAY[as_of], ARRAY[x.reward_id], '{NULL}', '{NULL}', '{NULL}', '{1,1}',
        cdp_internal.ledger_accounts('{liability_available}', ARRAY[x.referral_campaign_id], ARRAY[x.customer_id], ARRAY[x.currency]) || x.kind_account, ARRAY[part, -part]);
      n := n + 1;
    END;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_offset(bigint[], timestamptz) IS
'Keeps available rewards of these customers (roots), the oldest first, against what they owe back in the same currency, over all campaigns and all numbers that were merged into them. Rewards in a payout are left alone, and so are those of who was taken apart from them and has them not yet. Returns how many postings. The caller holds the people.';

CREATE OR REPLACE FUNCTION cdp.release_rewards(as_of timestamptz DEFAULT NULL, max_rewards integer DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  due bigint[];
  people bigint[];
  doubted bigint[];
  moves cdp_internal.reward_move[];
BEGIN
  PERFORM cdp_internal.require_setup();
  as_of := coalesce(as_of, clock_timestamp());
  SELECT array_agg(x.reward_id), array_agg(DISTINCT cdp_internal.root_of(x.customer_id)) INTO due, people
  FROM (SELECT w.reward_id, w.customer_id FROM cdp_data.reward w WHERE w.pending_minor > 0 AND w.hold_until <= release_rewards.as_of ORDER BY w.hold_until, w.reward_id LIMIT max_rewards) x;
  IF due IS NULL THEN
    RETURN 0;
  END IF;
  PERFORM cdp_internal.hold_people(people);
  -- What has become doubtful in its hold waits for the job that scores it again.
  doubted := cdp_internal.referral_doubted(ARRAY(SELECT DISTINCT w.referral_id FROM cdp_data.reward w WHERE w.reward_id = ANY (due)), as_of);
  IF doubted <> '{}' THEN
    due := ARRAY(SELECT w.reward_id FROM cdp_data.reward w WHERE w.reward_id = ANY (due) AND w.referral_id <> ALL (doubted));
  END IF;
  WITH was AS MATERIALIZED (
    SELECT w.reward_id, w.pending_minor - CASE WHEN w.later_until > release_rewards.as_of THEN w.later_minor ELSE 0 END AS pending_minor FROM cdp_data.reward w WHERE w.reward_id = ANY (due) AND w.pending_minor > 0 AND w.hold_until <= release_rewards.as_of ORDER BY w.reward_id FOR UPDATE
  ), freed AS (
    UPDATE cdp_data.reward w SET available_minor = w.available_minor + was.pending_minor, pending_minor = w.pending_minor - was.pending_minor, hold_until = CASE WHEN w.pending_minor > was.pending_minor THEN w.later_until ELSE w.hold_until END, later_minor = 0, later_until = NULL, available_at = release_rewards.as_of, revision = w.revision + 1 FROM was WHERE w.reward_id = was.reward_id RETURNING w.reward_id, w.revision, was.pending_minor
  )
  SELECT array_agg(ROW('release', f.reward_id, f.revision, 1, 'liability_pending', 'liability_available', f.pending_minor, NULL, NULL)::cdp_internal.reward_move ORDER BY f.reward_id) INTO moves FROM freed f;
  PERFORM cdp_internal.post_moves(coalesce(moves, '{}'), as_of);
  PERFORM cdp_internal.reward_offset(people, as_of);
  RETURN coalesce(cardinality(moves), 0);
END
$$;
COMMENT ON FUNCTION cdp.release_rewards(timestamptz, integer) IS
'Makes rewards available whose hold is over as of a moment (NULL: now), but not those of referrals that would not be approved by what is known then (cdp_internal.referral_doubted()), and keeps them against what their owners owe back. At most max_rewards, the longest due first. Returns how many. The job list runs it. Error 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.expire_rewards(as_of timestamptz DEFAULT NULL, max_rewards integer DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  cutoff timestamptz;
  due bigint[];
  moves cdp_internal.reward_move[];
BEGIN
  PERFORM cdp_internal.require_setup();
  as_of := coalesce(as_of, clock_timestamp());
  SELECT cdp_internal.cutoff(expire_rewards.as_of, s.reward_expiry) INTO cutoff FROM cdp_data.setting s;
  due := ARRAY(SELECT w.reward_id FROM cdp_data.reward w WHERE w.available_minor > 0 AND w.payout_id IS NULL AND w.available_at < cutoff ORDER BY w.available_at, w.reward_id LIMIT max_rewards);
  IF due = '{}' THEN
    RETURN 0;
  END IF;
  PERFORM cdp_internal.hold_people(ARRAY(SELECT DISTINCT cdp_internal.root_of(w.customer_id) FROM cdp_data.reward w WHERE w.reward_id = ANY (due)));
  WITH was AS MATERIALIZED (
    SELECT w.reward_id, w.available_minor FROM cdp_data.reward w WHERE w.reward_id = ANY (due) AND w.available_minor > 0 AND w.payout_id IS NULL ORDER BY w.reward_id FOR UPDATE
  ), gone AS (
    UPDATE cdp_data.reward w SET expired_minor = w.expired_minor + w.available_minor, available_minor = 0, reason = 'expired', revision = w.revision + 1 FROM was WHERE w.reward_id = was.reward_id RETURNING w.reward_id, w.revision, was.available_minor
  )
  SELECT array_agg(ROW('expire', g.reward_id, g.revision, 1, 'liability_available', 'breakage_expired', g.available_minor, NULL, NULL)::cdp_internal.reward_move ORDER BY g.reward_id) INTO moves FROM gone g;
  PERFORM cdp_internal.post_moves(coalesce(moves, '{}'), as_of);
  RETURN coalesce(cardinality(moves), 0);
END
$$;
COMMENT ON FUNCTION cdp.expire_rewards(timestamptz, integer) IS
'Lets rewards expire that were available for longer than cdp_data.setting.reward_expiry as of a moment (NULL: now) and are in no payout. Returns how many; 0 where nothing expires. The job list runs it. Error 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.retry_capped_rewards(campaign text, as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  id integer := cdp_internal.referral_campaign_of(campaign);
  ids bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  ids := ARRAY(SELECT DISTINCT w.referral_id FROM cdp_data.reward w WHERE w.referral_campaign_id = id AND (w.amount_minor < w.wanted_minor OR w.shut) AND NOT w.frozen);
  PERFORM cdp_internal.hold_people(cdp_internal.reward_people(cdp_internal.reward_scope(ids)));
  UPDATE cdp_data.reward w SET wanted_minor = w.amount_minor, shut = false WHERE w.referral_id = ANY (ids) AND w.referral_campaign_id = id AND (w.amount_minor < w.wanted_minor OR w.shut) AND NOT w.frozen;
  RETURN cdp_internal.reward_settle(ids, as_of);
END
$$;
COMMENT ON FUNCTION cdp.retry_capped_rewards(text, timestamptz) IS
'Asks the caps of a referral campaign again for every reward of which they left less than the rule gives, those earned first first: after a budget was raised, or money was taken back. Returns how many rewards changed. Errors: 42704 no such campaign, 55000 before cdp.setup().';

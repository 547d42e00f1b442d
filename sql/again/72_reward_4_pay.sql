-- Referral room, rewards: from the end of the hold to the payment: release, offset against what is owed back, expiry, payouts.

CREATE OR REPLACE FUNCTION cdp_internal.reward_offset(people bigint[], as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  x record;
  n bigint := 0;
  done jsonb := '{}';
BEGIN
  -- Few people owe anything, so those are looked for first.
  FOR x IN
    SELECT o.root, w.reward_id, w.revision + 1 AS revision, w.available_minor, w.currency, o.receivable, o.kind_account, w.available_at, w.referral_campaign_id, w.customer_id
    FROM (SELECT h.root, a.ledger_account_id AS kind_account, a.currency, a.balance_minor AS receivable FROM cdp_internal.reward_homes(people) h JOIN cdp_data.ledger_account a ON a.customer_id = h.home WHERE a.kind = 'clawback_receivable' AND a.balance_minor > 0) o
      JOIN LATERAL (SELECT w.* FROM cdp_internal.reward_homes(ARRAY[o.root]) h JOIN cdp_data.reward w ON w.customer_id = h.home WHERE w.currency = o.currency AND w.available_minor > 0 AND w.payout_id IS NULL AND NOT w.frozen) w ON true
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
'Keeps available rewards of these customers (roots), the oldest first, against what they owe back in the same currency, over all campaigns. Rewards in a payout are left alone. Returns how many postings. The caller holds the people.';

CREATE OR REPLACE FUNCTION cdp.release_rewards(as_of timestamptz DEFAULT NULL, max_rewards integer DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  due bigint[];
  people bigint[];
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
  WITH was AS MATERIALIZED (
    SELECT w.reward_id, w.pending_minor FROM cdp_data.reward w WHERE w.reward_id = ANY (due) AND w.pending_minor > 0 AND w.hold_until <= release_rewards.as_of ORDER BY w.reward_id FOR UPDATE
  ), freed AS (
    UPDATE cdp_data.reward w SET available_minor = w.available_minor + w.pending_minor, pending_minor = 0, available_at = release_rewards.as_of, revision = w.revision + 1 FROM was WHERE w.reward_id = was.reward_id RETURNING w.reward_id, w.revision, was.pending_minor
  )
  SELECT array_agg(ROW('release', f.reward_id, f.revision, 1, 'liability_pending', 'liability_available', f.pending_minor, NULL, NULL)::cdp_internal.reward_move ORDER BY f.reward_id) INTO moves FROM freed f;
  PERFORM cdp_internal.post_moves(coalesce(moves, '{}'), as_of);
  PERFORM cdp_internal.reward_offset(people, as_of);
  RETURN coalesce(cardinality(moves), 0);
END
$$;
COMMENT ON FUNCTION cdp.release_rewards(timestamptz, integer) IS
'Makes rewards available whose hold is over as of a moment (NULL: now), and keeps them against what their owners owe back. At most max_rewards, the longest due first. Returns how many. The job list runs it. Error 55000 before cdp.setup().';

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

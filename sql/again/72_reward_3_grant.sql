-- Referral room, rewards: the quick road of new rewards while caps are far away. Most rewards go it: plain statements, and what
-- everybody waits for, counters and accounts of the campaign, is held for the last of them only.

CREATE OR REPLACE FUNCTION cdp_internal.grant_pair(p cdp_internal.reward_pair, as_of timestamptz, horizon timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
  x record;
  day date;
  id bigint; first bigint; second bigint; -- of the reward and its postings
  n integer;
BEGIN
  IF p.reward_id IS NOT NULL OR p.family <> '{}' OR p.refunded > 0 OR p.wanted < 1 OR p.wanted > 1e12 OR p.own < p.wanted OR p.stage <> 'approve' AND p.stage <> 'reserve' THEN
    RETURN NULL;
  END IF;
  -- As cdp_internal.ledger_closed() does, which older snapshots go through.
  LOCK TABLE cdp_data.ledger_period IN ROW SHARE MODE;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RETURN NULL;
  END IF;
  SELECT count(*) AS n, (SELECT max(m.month) FROM cdp_data.ledger_period m) AS closed, bool_or((c.cap_minor, c.cap_count) IS DISTINCT FROM (p.cap_minors[k.at], p.cap_counts[k.at]) OR c.cap_minor - c.used_minor < p.wanted * CASE WHEN p.cap_customers[k.at] IS NULL THEN 1000 ELSE 1 END
      OR c.cap_count - c.used_count < CASE WHEN p.cap_customers[k.at] IS NULL THEN 1000 ELSE 1 END) AS near,
    (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'budget' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id IS NULL AND a.currency = p.currency) AS budget,
    (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'budget_reserved' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id IS NULL AND a.currency = p.currency) AS reserved,
    (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'liability_pending' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id = p.customer_id AND a.currency = p.currency) AS pending,
    (SELECT s.timezone FROM cdp_data.setting s) AS zone, EXISTS (SELECT FROM cdp_data.reward w WHERE w.idempotency_key = p.key AND w.clawed_minor < w.amount_minor) AS had INTO x
  FROM cdp_data.reward_counter c CROSS JOIN LATERAL (SELECT array_position(p.cap_keys, c.counter_key) AS at) k WHERE c.counter_key = ANY (p.cap_keys);
  IF x.near OR x.n < cardinality(p.cap_keys) OR x.had OR x.budget IS NULL OR x.reserved IS NULL OR x.pending IS NULL THEN
    RETURN NULL;
  END IF;
  day := cdp_internal.ledger_day(as_of, x.closed, x.zone);
  id := nextval('cdp_data.reward_reward_id_seq');
  first := nextval('cdp_data.ledger_posting_ledger_posting_id_seq');
  IF p.stage = 'approve' THEN
    second := nextval('cdp_data.ledger_posting_ledger_posting_id_seq');
    WITH made AS (
      INSERT INTO cdp_data.reward (reward_id, idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, milestone, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, pending_minor, hold_until, granted_at, counters, horizon)
      VALUES (id, p.key, p.referral_id, p.referral_conversion_id, p.reward_rule_id, p.side, p.level, p.milestone, p.customer_id, p.referral_campaign_id, p.currency, p.wanted, p.wanted, p.wanted, p.hold_until, as_of, p.cap_keys, horizon)
    ), posted AS (
      INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on, reward_id)
      VALUES (first, cdp_internal.ledger_key('move', id::text, '0', '1'), 'reserve', as_of, day, id), (second, cdp_internal.ledger_key('move', id::text, '0', '2'), 'approve', as_of, day, id)
    )
    INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) VALUES (first, 1, x.budget, p.wanted), (first, 2, x.reserved, -p.wanted), (second, 1, x.reserved, p.wanted), (second, 2, x.pending, -p.wanted);
  ELSE
    WITH made AS (
      INSERT INTO cdp_data.reward (reward_id, idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, milestone, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, reserved_minor, hold_until, granted_at, counters, horizon)
      VALUES (id, p.key, p.referral_id, p.referral_conversion_id, p.reward_rule_id, p.side, p.level, p.milestone, p.customer_id, p.referral_campaign_id, p.currency, p.wanted, p.wanted, p.wanted, p.hold_until, as_of, p.cap_keys, horizon)
    ), posted AS (
      INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on, reward_id) VALUES (first, cdp_internal.ledger_key('move', id::text, '0', '1'), 'reserve', as_of, day, id)
    )
    INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) VALUES (first, 1, x.budget, p.wanted), (first, 2, x.reserved, -p.wanted);
  END IF;
  -- Who is held has his counters for himself, so that only what is common is waited for.
  IF cardinality(array_positions(p.cap_customers, NULL)) > 1 THEN
    PERFORM FROM cdp_data.reward_counter c WHERE c.counter_key = ANY (p.cap_keys) ORDER BY c.counter_key FOR NO KEY UPDATE; -- in the order that all keep
  END IF;
  UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + p.wanted, used_count = c.used_count + 1
  WHERE c.counter_key = ANY (p.cap_keys) AND (c.cap_minor IS NULL OR c.used_minor + p.wanted <= c.cap_minor) AND (c.cap_count IS NULL OR c.used_count < c.cap_count);
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n < cardinality(p.cap_keys) THEN
    RAISE EXCEPTION 'a cap has less room than was found' USING ERRCODE = 'serialization_failure', HINT = 'Try again.';
  END IF;
  IF p.stage = 'reserve' THEN -- both are common
    PERFORM FROM cdp_data.ledger_account a WHERE a.ledger_account_id IN (x.budget, x.reserved) ORDER BY a.ledger_account_id FOR NO KEY UPDATE;
  END IF;
  UPDATE cdp_data.ledger_account a SET balance_minor = a.balance_minor + CASE WHEN a.ledger_account_id = x.budget THEN p.wanted ELSE -p.wanted END WHERE a.ledger_account_id IN (x.budget, CASE p.stage WHEN 'approve' THEN x.pending ELSE x.reserved END);
  RETURN 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.grant_pair(cdp_internal.reward_pair, timestamptz, timestamptz) IS
'cdp_internal.grant_pairs() of one reward, the most frequent case, with the fewest statements: when it is new, owed in full, its counters and accounts are there and common caps have room for a thousand times as much (a person''s for this: he is held). Returns 1; NULL, and nothing was done, when it is no such case, or in REPEATABLE READ and SERIALIZABLE. Holds closed months as cdp_internal.ledger_closed() does. Error 40001: others used up a thousand times as much meanwhile.';

CREATE OR REPLACE FUNCTION cdp_internal.glance_pairs(pairs cdp_internal.reward_pair[], OUT margin bigint, OUT keys text[], OUT minors bigint[], OUT counts bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
  p cdp_internal.reward_pair;
  k text;
  at integer;
  used record;
  whose bigint[] := '{}'; caps bigint[] := '{}'; most bigint[] := '{}';
BEGIN
  keys := '{}';
  minors := '{}';
  counts := '{}';
  FOREACH p IN ARRAY pairs LOOP
    IF p.reward_id IS NOT NULL OR p.family <> '{}' OR p.refunded > 0 OR p.wanted < 1 OR p.wanted > 1e12 OR p.own < p.wanted OR p.stage <> 'approve' AND p.stage <> 'reserve' THEN
      RETURN;
    END IF;
    FOR i IN REVERSE cardinality(p.cap_keys) .. 1 LOOP
      k := p.cap_keys[i];
      at := width_bucket(k COLLATE "C", keys);
      IF at > 0 AND keys[at] = k THEN
        IF caps[at] IS DISTINCT FROM p.cap_minors[i] OR most[at] IS DISTINCT FROM p.cap_counts[i] THEN
          RETURN;
        END IF;
        minors[at] := minors[at] + p.wanted;
        counts[at] := counts[at] + 1;
      ELSIF at = cardinality(keys) THEN
        -- Most come in their order: the budget is the last.
        keys := keys || k;
        whose := whose || p.cap_customers[i];
        caps := caps || p.cap_minors[i];
        most := most || p.cap_counts[i];
        minors := minors || p.wanted;
        counts := counts || 1::bigint;
      ELSE
        keys := keys[:at] || k || keys[at + 1:];
        whose := whose[:at] || p.cap_customers[i] || whose[at + 1:];
        caps := caps[:at] || p.cap_minors[i] || caps[at + 1:];
        most := most[:at] || p.cap_counts[i] || most[at + 1:];
        minors := minors[:at] || p.wanted || minors[at + 1:];
        counts := counts[:at] || 1::bigint || counts[at + 1:];
      END IF;
    END LOOP;
  END LOOP;
  margin := 1000;
  FOR i IN 1 .. cardinality(keys) LOOP
    SELECT c.used_minor, c.used_count, c.cap_minor IS NOT DISTINCT FROM caps[i] AND c.cap_count IS NOT DISTINCT FROM most[i] AS same INTO used FROM cdp_data.reward_counter c WHERE c.counter_key = keys[i];
    IF NOT FOUND THEN
      INSERT INTO cdp_data.reward_counter (counter_key, customer_id, cap_minor, cap_count) VALUES (keys[i], whose[i], caps[i], most[i]) ON CONFLICT DO NOTHING;
    ELSIF NOT used.same THEN
      margin := 0;
    END IF;
    -- A person's counter is his own while he is held.
    IF whose[i] IS NULL THEN
      margin := least(margin, (caps[i] - coalesce(used.used_minor, 0)) / minors[i], (most[i] - coalesce(used.used_count, 0)) / counts[i]);
    ELSIF caps[i] - coalesce(used.used_minor, 0) < minors[i] OR most[i] - coalesce(used.used_count, 0) < counts[i] THEN
      margin := 0;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.glance_pairs(cdp_internal.reward_pair[]) IS
'A look, without a lock, at the counters of rewards that are all new and to be granted in full: keys (each once, in their order), what they would get in minor units and numbers of rewards, and margin: for how many times as much the fullest of them still has room, at most 1000; 0 when one has not room for this, or its cap is to change. A person''s counter has room or has not, as the person is held; one that was missing is made. margin NULL: the rewards are no case for cdp_internal.grant_pairs().';

CREATE OR REPLACE FUNCTION cdp_internal.grant_pairs(pairs cdp_internal.reward_pair[], as_of timestamptz, horizon timestamptz, day date, keys text[], minors bigint[], counts bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
  p cdp_internal.reward_pair;
  id bigint; first bigint; second bigint; -- of a reward and its postings
  acc record;
  made bigint[];
  account bigint;
  accounts bigint[] := '{}'; amounts bigint[] := '{}'; -- what accounts get, each once, in the order of their numbers
  at integer;
  k text;
  n bigint := cardinality(pairs);
BEGIN
  FOREACH p IN ARRAY pairs LOOP
    INSERT INTO cdp_data.reward (idempotency_key, referral_id, referral_conversion_id, reward_rule_id, side, level, milestone, customer_id, referral_campaign_id, currency, wanted_minor, amount_minor, reserved_minor, pending_minor, hold_until, granted_at, counters, horizon)
    VALUES (p.key, p.referral_id, p.referral_conversion_id, p.reward_rule_id, p.side, p.level, p.milestone, p.customer_id, p.referral_campaign_id, p.currency, p.wanted, p.wanted, CASE p.stage WHEN 'reserve' THEN p.wanted ELSE 0 END, CASE p.stage WHEN 'approve' THEN p.wanted ELSE 0 END,
      p.hold_until, as_of, p.cap_keys, horizon) ON CONFLICT DO NOTHING RETURNING reward_id INTO id;
    IF NOT FOUND THEN
      -- Another referral has it.
      n := n - 1;
      FOREACH k IN ARRAY p.cap_keys LOOP
        at := width_bucket(k COLLATE "C", keys);
        minors[at] := minors[at] - p.wanted;
        counts[at] := counts[at] - 1;
      END LOOP;
      CONTINUE;
    END IF;
    SELECT (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'budget' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id IS NULL AND a.currency = p.currency) AS budget,
      (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'budget_reserved' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id IS NULL AND a.currency = p.currency) AS reserved,
      (SELECT a.ledger_account_id FROM cdp_data.ledger_account a WHERE a.kind = 'liability_pending' AND a.referral_campaign_id = p.referral_campaign_id AND a.customer_id = p.customer_id AND a.currency = p.currency) AS pending INTO acc;
    IF acc.budget IS NULL OR acc.reserved IS NULL OR acc.pending IS NULL AND p.stage = 'approve' THEN
      made := cdp_internal.ledger_accounts('{budget,budget_reserved,liability_pending}', array_fill(p.referral_campaign_id, '{3}'), ARRAY[NULL, NULL, p.customer_id], array_fill(p.currency, '{3}'));
      SELECT made[1] AS budget, made[2] AS reserved, made[3] AS pending INTO acc;
    END IF;
    first := nextval('cdp_data.ledger_posting_ledger_posting_id_seq');
    IF p.stage = 'approve' THEN
      second := nextval('cdp_data.ledger_posting_ledger_posting_id_seq');
      INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on, reward_id)
      VALUES (first, cdp_internal.ledger_key('move', id::text, '0', '1'), 'reserve', as_of, day, id), (second, cdp_internal.ledger_key('move', id::text, '0', '2'), 'approve', as_of, day, id);
      INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) VALUES (first, 1, acc.budget, p.wanted), (first, 2, acc.reserved, -p.wanted), (second, 1, acc.reserved, p.wanted), (second, 2, acc.pending, -p.wanted);
    ELSE
      INSERT INTO cdp_data.ledger_posting (ledger_posting_id, idempotency_key, kind, occurred_at, booked_on, reward_id) VALUES (first, cdp_internal.ledger_key('move', id::text, '0', '1'), 'reserve', as_of, day, id);
      INSERT INTO cdp_data.ledger_entry (ledger_posting_id, line, ledger_account_id, amount_minor) VALUES (first, 1, acc.budget, p.wanted), (first, 2, acc.reserved, -p.wanted);
    END IF;
    FOREACH account IN ARRAY ARRAY[acc.budget, CASE p.stage WHEN 'approve' THEN acc.pending ELSE acc.reserved END] LOOP
      at := width_bucket(account, accounts);
      IF at > 0 AND accounts[at] = account THEN
        amounts[at] := amounts[at] + CASE account WHEN acc.budget THEN p.wanted ELSE -p.wanted END;
      ELSE
        accounts := accounts[:at] || account || accounts[at + 1:];
        amounts := amounts[:at] || CASE account WHEN acc.budget THEN p.wanted ELSE -p.wanted END || amounts[at + 1:];
      END IF;
    END LOOP;
  END LOOP;
  FOR i IN 1 .. cardinality(keys) LOOP
    UPDATE cdp_data.reward_counter c SET used_minor = c.used_minor + minors[i], used_count = c.used_count + counts[i]
    WHERE c.counter_key = keys[i] AND (c.cap_minor IS NULL OR c.used_minor + minors[i] <= c.cap_minor) AND (c.cap_count IS NULL OR c.used_count + counts[i] <= c.cap_count);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'a cap has less room than was found' USING ERRCODE = 'serialization_failure', HINT = 'Try again.';
    END IF;
  END LOOP;
  FOR i IN 1 .. cardinality(accounts) LOOP
    UPDATE cdp_data.ledger_account a SET balance_minor = a.balance_minor + amounts[i] WHERE a.ledger_account_id = accounts[i];
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.grant_pairs(cdp_internal.reward_pair[], timestamptz, timestamptz, date, text[], bigint[], bigint[]) IS
'The quick road of cdp_internal.settle_pairs(): grants new rewards in full, after cdp_internal.glance_pairs(). Counters and accounts are changed at the very end, one by one in the order of their keys and numbers, counters by the statement that tests the cap. day: of the books, held open. What another referral has is left out. Returns how many. Error 40001: somebody else took the room in the meantime.';

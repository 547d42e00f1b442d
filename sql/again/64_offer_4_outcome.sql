-- Activation room, offers: what came of decisions, stock that comes back, counts for posteriors; and what the room adds to
-- erasures, to maintenance and to the findings of health.

CREATE OR REPLACE FUNCTION cdp_internal.offer_money(value numeric, currency text, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  reporting text := (SELECT s.currency FROM cdp_data.setting s);
  rate numeric;
BEGIN
  IF value IS NULL OR currency IS NULL OR currency = reporting THEN
    RETURN value;
  END IF;
  SELECT r.rate INTO rate FROM cdp_data.currency_rate r
  WHERE r.currency = offer_money.currency AND r.base = reporting AND r.valid_from <= (offer_money.at AT TIME ZONE 'UTC')::date ORDER BY r.valid_from DESC LIMIT 1;
  IF rate IS NULL THEN
    RAISE EXCEPTION 'no rate from % to %', left(currency, 10), reporting
      USING ERRCODE = 'data_exception', DETAIL = format('Asked for is %s.', (at AT TIME ZONE 'UTC')::date), HINT = 'Put it into cdp_data.currency_rate.';
  END IF;
  RETURN value * rate;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_money(numeric, text, timestamptz) IS
'Money in the reporting currency at the rate of its day (UTC); a NULL currency is the reporting one. NULL for NULL. Error 22000: there is no rate.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_decision_of(decision bigint, OUT offer_id integer, OUT customer_id bigint, OUT at timestamptz, OUT state text, OUT stocked boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT d.offer_id INTO offer_id FROM cdp_data.offer_decision d WHERE d.decision_id = decision;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no decision %', coalesce(decision::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.next_best_offer() tells its number; old ones are deleted (cdp_data.setting.offer_retention).';
  ELSIF offer_id IS NULL THEN
    RAISE EXCEPTION 'decision % was for no offer', decision USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Only decisions with reason offer have outcomes.';
  END IF;
  -- Stock before decisions, as everybody does who wants both.
  PERFORM FROM cdp_data.offer_stock s WHERE s.offer_id = offer_decision_of.offer_id FOR UPDATE;
  SELECT d.customer_id, d.at, d.state, d.stocked INTO customer_id, at, state, stocked FROM cdp_data.offer_decision d WHERE d.decision_id = decision FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no decision %', decision USING ERRCODE = 'invalid_parameter_value', HINT = 'It was deleted meanwhile.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_decision_of(bigint) IS
'A decision for an offer, held with the stock of the offer until the transaction ends. Errors: 22023 no such decision, 55000 it was for no offer or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.offer_outcome_put(decision bigint, kind text, at timestamptz, value numeric, touchpoint bigint) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record := cdp_internal.offer_decision_of(decision);
  took boolean := false;
  n bigint;
BEGIN
  IF d.state = 'released' AND EXISTS (SELECT FROM cdp_data.offer_stock s WHERE s.offer_id = d.offer_id) THEN
    UPDATE cdp_data.offer_stock s SET "left" = s."left" - 1 WHERE s.offer_id = d.offer_id AND s."left" > 0;
    IF NOT FOUND THEN
      RETURN 'expired';
    END IF;
    took := true;
  END IF;
  IF d.state <> 'shown' THEN
    UPDATE cdp_data.offer_decision x SET state = 'shown', stocked = x.stocked OR took WHERE x.decision_id = decision;
  END IF;
  -- Whatever he did with it, he had seen it.
  INSERT INTO cdp_data.offer_outcome AS o (decision_id, kind, customer_id, at, touchpoint_id)
  SELECT decision, 'shown', d.customer_id, offer_outcome_put.at, touchpoint WHERE offer_outcome_put.kind <> 'shown' ON CONFLICT ON CONSTRAINT offer_outcome_pkey DO NOTHING;
  INSERT INTO cdp_data.offer_outcome AS o (decision_id, kind, customer_id, at, value, touchpoint_id)
  VALUES (decision, offer_outcome_put.kind, d.customer_id, offer_outcome_put.at, offer_outcome_put.value, touchpoint) ON CONFLICT ON CONSTRAINT offer_outcome_pkey DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN CASE n WHEN 0 THEN 'repeated' ELSE 'recorded' END;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_outcome_put(bigint, text, timestamptz, numeric, bigint) IS
'What cdp.record_offer_outcome() does, with money in the reporting currency and the touchpoint that told it.';

CREATE OR REPLACE FUNCTION cdp.record_offer_outcome(decision bigint, kind text, at timestamptz DEFAULT NULL, value numeric DEFAULT NULL, currency text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  moment timestamptz := coalesce(record_offer_outcome.at, clock_timestamp());
BEGIN
  PERFORM cdp_internal.require_choice('kind of outcome', kind, '{shown,clicked,accepted,rejected,dismissed}');
  IF NOT isfinite(moment) OR value = 'NaN' OR abs(value) >= 1e14 THEN
    RAISE EXCEPTION 'the time of an outcome must be finite, and its value below 10^14'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', moment, coalesce(left(value::text, 50), 'NULL'));
  END IF;
  RETURN cdp_internal.offer_outcome_put(decision, kind, moment, cdp_internal.offer_money(value, currency, moment), NULL);
END
$$;
COMMENT ON FUNCTION cdp.record_offer_outcome(bigint, text, timestamptz, numeric, text) IS
'Tells what came of a decision: SELECT cdp.record_offer_outcome(17, ''accepted'', value => 59.90). kind: shown, clicked, accepted, rejected, dismissed; each once, all but the first are recorded as shown, too. at NULL: now; value in currency (NULL: the reporting one), kept in the reporting currency at the rate of the day. Returns recorded, repeated (it was known: nothing changes), or expired: it had been given back and nothing is left of the stock: do not show it. Posteriors count it from the next decision on. Errors: 22023 no such decision, unknown kind; 22000 no rate; 55000 the decision was for no offer.';

CREATE OR REPLACE FUNCTION cdp.release_offer(decision bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  d record := cdp_internal.offer_decision_of(decision);
BEGIN
  IF d.state <> 'reserved' THEN
    RETURN false;
  END IF;
  UPDATE cdp_data.offer_decision x SET state = 'released', stocked = false WHERE x.decision_id = decision;
  UPDATE cdp_data.offer_stock s SET "left" = s."left" + 1 WHERE s.offer_id = d.offer_id AND d.stocked;
  RETURN true;
END
$$;
COMMENT ON FUNCTION cdp.release_offer(bigint) IS
'Gives back an offer that was reserved and will not be shown: its stock is there for others, caps do not count it. False when it was shown or given back before. Errors: 22023 no such decision, 55000 it was for no offer.';

CREATE OR REPLACE FUNCTION cdp.release_offers(as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  moment timestamptz := coalesce(release_offers.as_of, clock_timestamp());
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_internal.offer_release(ARRAY(SELECT DISTINCT d.offer_id FROM cdp_data.offer_decision d WHERE d.state = 'reserved' AND d.lease_until <= moment), moment);
END
$$;
COMMENT ON FUNCTION cdp.release_offers(timestamptz) IS
'Gives back all offers that were not shown before the end of their lease (as_of NULL: now). Returns how many. The job list runs it each minute; a decision about a limited offer does so first, too.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_fold(decisions bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint;
BEGIN
  -- One fold at a time: two would wait for each other's rows. Readers see all of it or nothing.
  LOCK TABLE cdp_data.offer_tally IN SHARE ROW EXCLUSIVE MODE;
  WITH folded AS (
    UPDATE cdp_data.offer_outcome o SET tallied = true FROM cdp_data.offer_decision d
    WHERE NOT o.tallied AND d.decision_id = o.decision_id AND (decisions IS NULL OR o.decision_id = ANY (decisions)) RETURNING d.placement_id, d.arm_id, (d.at AT TIME ZONE 'UTC')::date AS day, o.kind
  ), counted AS (
    INSERT INTO cdp_data.offer_tally AS t (placement_id, arm_id, day, kind, n)
    SELECT f.placement_id, f.arm_id, f.day, f.kind, count(*) FROM folded f GROUP BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT offer_tally_pkey DO UPDATE SET n = t.n + excluded.n
  )
  SELECT count(*) INTO n FROM folded;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_fold(bigint[]) IS 'Counts outcomes of these decisions (NULL: all) that are not counted yet into cdp_data.offer_tally, each once. Returns how many.';

CREATE OR REPLACE FUNCTION cdp.tally_offers() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_internal.offer_fold(NULL);
END
$$;
COMMENT ON FUNCTION cdp.tally_offers() IS
'Counts outcomes into days (cdp_data.offer_tally), so that a decision need not read the log; what posteriors say does not change. Returns how many. The job list runs it.';

CREATE OR REPLACE FUNCTION cdp.collect_offer_outcomes(kinds jsonb, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL) RETURNS TABLE (result text, touchpoints bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  wrong text;
  t record;
  answer text;
  counts jsonb := '{}';
BEGIN
  PERFORM cdp_internal.require_setup();
  IF jsonb_typeof(kinds) IS DISTINCT FROM 'object' OR kinds = '{}' THEN
    RAISE EXCEPTION 'kinds must say which kind of touchpoint tells which outcome' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"offer_view": "shown", "purchase": "accepted"}.';
  END IF;
  SELECT k INTO wrong FROM jsonb_object_keys(kinds) k WHERE NOT EXISTS (SELECT FROM cdp_data.touch_kind_all a WHERE a.name = k) ORDER BY 1 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'unknown kind "%"', left(wrong, 100) USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(wrong, ARRAY(SELECT a.name FROM cdp_data.touch_kind_all a), 'See cdp_data.touch_kind_all.');
  END IF;
  PERFORM cdp_internal.require_choice('kind of outcome', k.value, '{shown,clicked,accepted,rejected,dismissed}') FROM jsonb_each_text(kinds) k;
  FOR t IN
    SELECT x.touchpoint_id, x.occurred_at, x.outcome, x.value, x.currency, x.root, d.customer_id, d.decision_id, d.offer_id
    FROM (SELECT c.touchpoint_id, c.occurred_at, kinds ->> k.name AS outcome, c.value, c.currency, c.properties ->> 'decision' AS decision,
        cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), c.customer_id, c.identifier_id) AS root
      FROM cdp_data.touchpoint c JOIN cdp_data.touch_kind_all k ON k.kind_id = c.kind_id
      WHERE kinds ? k.name AND c.properties ? 'decision' AND c.flags & 3 = 0 AND (since IS NULL OR c.occurred_at >= since) AND (until IS NULL OR c.occurred_at < until)) x
      LEFT JOIN cdp_data.offer_decision d ON d.decision_id = CASE WHEN x.decision ~ '^[0-9]{1,18}$' THEN x.decision::bigint END
    -- Stock is held in the order of offers, as decisions hold it.
    ORDER BY d.offer_id, d.decision_id, x.occurred_at, x.touchpoint_id
  LOOP
    answer := CASE WHEN t.decision_id IS NULL THEN 'unknown' WHEN t.offer_id IS NULL THEN 'no offer' WHEN cdp_internal.root_of(t.customer_id) IS DISTINCT FROM t.root THEN 'other customer'
      ELSE cdp_internal.offer_outcome_put(t.decision_id, t.outcome, t.occurred_at, cdp_internal.offer_money(t.value, t.currency, t.occurred_at), t.touchpoint_id) END;
    counts := jsonb_set(counts, ARRAY[answer], to_jsonb(coalesce((counts ->> answer)::bigint, 0) + 1));
  END LOOP;
  RETURN QUERY SELECT n.key, n.value::bigint FROM jsonb_each_text(counts) n ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp.collect_offer_outcomes(jsonb, timestamptz, timestamptz) IS
'Takes outcomes from touchpoints whose property decision holds the number of a decision: SELECT * FROM cdp.collect_offer_outcomes(''{"purchase": "accepted"}'', now() - interval ''2 days''). kinds: which kind of touchpoint tells which outcome; since <= time < until. What is known already changes nothing, so the same time may be looked at again. Returns how many touchpoints were recorded, repeated, expired (see cdp.record_offer_outcome()), unknown (no such decision), no offer, or other customer (of somebody else than the decision: not taken). Errors: 22023 unknown kind or outcome, 22000 no rate.';

CREATE OR REPLACE FUNCTION cdp.replay_offer_decision(decision bigint) RETURNS TABLE (offer text, arm text, score double precision, propensity double precision, same boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
DECLARE
  d record;
  given record;
  x record;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT e.*, p.policy INTO d FROM cdp_data.offer_decision e JOIN cdp_data.offer_policy p ON p.placement_id = e.placement_id AND p.version = e.policy_version WHERE e.decision_id = decision;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no decision %', coalesce(decision::text, 'NULL') USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT decision_id FROM cdp_data.offer_decision;';
  ELSIF d.reason <> 'offer' THEN
    RAISE EXCEPTION 'decision % was for no offer', decision USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Its reason is %s.', d.reason);
  END IF;
  SELECT array_agg((c.value ->> 'arm')::bigint ORDER BY c.nth) AS arms, array_agg((c.value ->> 'worth')::double precision ORDER BY c.nth) AS worths, array_agg((c.value ->> 'a')::double precision ORDER BY c.nth) AS a,
    array_agg((c.value ->> 'b')::double precision ORDER BY c.nth) AS b, array_agg((c.value ->> 'mean')::double precision ORDER BY c.nth) AS means
  INTO given FROM jsonb_array_elements(d.candidates) WITH ORDINALITY AS c (value, nth) WHERE c.value ? 'score';
  x := cdp_internal.offer_choose(d.policy ->> 'method', (d.policy ->> 'epsilon')::double precision, d.seed, ARRAY[d.placement_id, d.customer_id, cdp_internal.offer_moment(d.at)], given.arms, given.worths, given.a, given.b, given.means);
  RETURN QUERY
  SELECT o.name::text, a.arm::text, x.scores[x.chosen], x.propensities[x.chosen], a.arm_id = d.arm_id AND x.scores[x.chosen] = d.score AND abs(x.propensities[x.chosen] - d.propensity) <= 1e-9
  FROM cdp_data.offer_arm a JOIN cdp_data.offer o USING (offer_id) WHERE a.arm_id = given.arms[x.chosen];
END
$$;
COMMENT ON FUNCTION cdp.replay_offer_decision(bigint) IS
'Makes the choice of a decision again from what it noted: the arm, its score and propensity, and whether they are the same: arm and score to the last bit, the propensity to 1e-9 (its integral is left to the mathematics of the machine). Errors: 22023 no such decision, 55000 it was for no offer.';

CREATE OR REPLACE FUNCTION cdp_internal.offer_forget(decisions bigint[]) RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
BEGIN
  IF decisions <> '{}' THEN
    -- An outcome that is being told just now is waited for, and goes with the others; counts first, as maintenance does.
    LOCK TABLE cdp_data.offer_tally IN SHARE ROW EXCLUSIVE MODE;
    PERFORM FROM cdp_data.offer_decision d WHERE d.decision_id = ANY (decisions) ORDER BY d.decision_id FOR UPDATE;
    PERFORM cdp_internal.offer_fold(decisions);
  END IF;
  RETURN QUERY SELECT 'cdp_data.offer_outcome', 'delete', cdp_internal.erase_keyed('cdp_data.offer_outcome', 'decision_id', decisions);
  RETURN QUERY SELECT 'cdp_data.offer_decision', 'delete', cdp_internal.erase_keyed('cdp_data.offer_decision', 'decision_id', decisions);
END
$$;
COMMENT ON FUNCTION cdp_internal.offer_forget(bigint[]) IS
'Deletes decisions with their outcomes, which are counted by the day first. Returns what was done.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_offer(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off
AS $$
DECLARE
  gone bigint[] := ARRAY(SELECT d.decision_id FROM cdp_data.offer_decision d WHERE d.customer_id = ANY (customers));
BEGIN
  -- What was learnt of many stays, as counts; what was reserved and not shown comes back.
  PERFORM cdp.release_offer(d.decision_id) FROM cdp_data.offer_decision d WHERE d.decision_id = ANY (gone) AND d.state = 'reserved' ORDER BY d.offer_id, d.decision_id;
  RETURN QUERY SELECT * FROM cdp_internal.offer_forget(gone);
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_offer(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes the decisions and outcomes of a person who is erased; counts by day stay, reserved stock comes back. Returns what was done.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_offer()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamptz := (SELECT cdp_internal.cutoff(now(), s.offer_retention) FROM cdp_data.setting s);
  held bigint[] := cdp_internal.held_homes();
  old bigint[];
  n bigint := 0;
BEGIN
  PERFORM cdp.release_offers();
  PERFORM cdp.tally_offers();
  IF cutoff IS NOT NULL THEN
    old := ARRAY(SELECT d.decision_id FROM cdp_data.offer_decision d WHERE d.at < cutoff AND d.state <> 'reserved' AND d.customer_id <> ALL (held));
    n := (SELECT f.n FROM cdp_internal.offer_forget(old) f WHERE f.table_name = 'cdp_data.offer_decision');
  END IF;
  RAISE NOTICE 'maintain: % decisions about offers past their retention', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_offer() IS
'Part of cdp.maintain(): leases that ended, counts by day, and decisions older than cdp_data.setting.offer_retention, but those of customers on hold.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_offer()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.offer_stock') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'error', 'offer_stock', format('offer "%s": %s are left of %s, %s are given or reserved', o.name, s."left", s.total, x.n), 'Tables were written by hand: correct cdp_data.offer_stock."left".'
  FROM cdp_data.offer_stock s JOIN cdp_data.offer o USING (offer_id) CROSS JOIN LATERAL (SELECT count(*) AS n FROM cdp_data.offer_decision d WHERE d.offer_id = s.offer_id AND d.stocked) x
  WHERE s.total - s."left" < x.n
  UNION ALL
  SELECT 'warning', 'offer_rule', format('offer "%s" is given to nobody: %s at %s of its rule', o.name, k.code, coalesce(nullif(k.path, ''), 'the top')), format('Mend its rule with cdp.edit_offer(%L, ...), or end it', o.name)
  FROM cdp_data.offer o JOIN cdp_data.offer_version v ON v.offer_id = o.offer_id AND v.version = o.version
    CROSS JOIN LATERAL (SELECT c.code, c.path FROM cdp_internal.segment_check_as(v.rule, o.purpose, NULL) c WHERE c.severity = 'error' LIMIT 1) k
  WHERE o.state = 'active'
  UNION ALL
  SELECT 'warning', 'offer_score', format('offer "%s" is given to nobody where offers are ranked by value: its score has %s', o.name, k.code), format('Give it another score with cdp.edit_offer(%L, terms => ...), or none', o.name)
  FROM cdp_data.offer o CROSS JOIN LATERAL cdp_internal.offer_score_check(o.score, o.purpose) k
  WHERE o.state = 'active'
  UNION ALL
  SELECT 'warning', 'offer_retention', format('decisions about offers are kept for %s, a cap looks back %s', s.offer_retention, x.reach), 'Keep them longer, or shorten the cap.'
  FROM cdp_data.setting s CROSS JOIN LATERAL (
    SELECT max(c.w) AS reach FROM (SELECT o.cap_within AS w FROM cdp_data.offer o WHERE o.state <> 'ended' UNION ALL SELECT p.cap_within FROM cdp_data.offer_placement p) c) x
  WHERE s.offer_retention < x.reach;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_offer() IS
'Findings of cdp.health() about offers: stock that does not fit what was given, rules and scores that no longer check, a retention shorter than a cap.';

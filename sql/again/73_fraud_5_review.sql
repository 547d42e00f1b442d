-- Referral room, fraud: what people decide. Reviews with deadlines, confirmed fraud, appeals, and how good the rules are.

CREATE OR REPLACE FUNCTION cdp_internal.referral_apply(ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  held bigint[];
  moment timestamptz;
  changes jsonb;
  changed bigint[];
BEGIN
  -- As a decision about them does: nobody merges or decides meanwhile.
  held := cdp_internal.lock_customers(NULL, false, ARRAY(SELECT DISTINCT cdp_internal.root_of(r.referee_id) FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.referee_id > 0));
  moment := clock_timestamp();
  WITH scored AS MATERIALIZED (
    SELECT s.* FROM cdp_internal.referral_score(ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.state IN ('pending', 'approved', 'review', 'rejected') AND NOT r.is_test ORDER BY 1), moment) s
  ), want AS (
    SELECT s.*, r.state AS from_state, CASE s.decision WHEN 'approve' THEN 'approved' WHEN 'review' THEN 'review' WHEN 'reject' THEN 'rejected' ELSE 'ineligible' END AS state FROM scored s JOIN cdp_data.referral r USING (referral_id)
  ), done AS (
    UPDATE cdp_data.referral r SET state = w.state, score = w.score, reason = CASE WHEN w.state <> 'approved' THEN 'fraud_score' END, decided_at = moment
    FROM want w WHERE r.referral_id = w.referral_id AND r.state <> w.state
    RETURNING r.referral_id, w.from_state, w.fraud_score_id
  )
  SELECT jsonb_agg(to_jsonb(d)), array_agg(d.referral_id) INTO changes, changed FROM done d;
  IF changed IS NULL THEN
    RETURN '{}';
  END IF;
  PERFORM cdp_internal.referral_note(changes, session_user, moment);
  PERFORM cdp_internal.referral_settled(changed || cdp_internal.referral_levels(held, moment));
  RETURN changed;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_apply(bigint[]) IS
'Brings referrals to what lists, reviews and rules say now, after a person decided something: scores them, changes their states with a decision each, and has rewards settled. Returns those whose state changed.';

CREATE OR REPLACE FUNCTION cdp_internal.hold_referral(referral bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The person before the row, as every decision about him does: nobody waits for another in a circle.
  PERFORM cdp_internal.lock_customers(NULL, false, ARRAY(SELECT cdp_internal.root_of(r.referee_id) FROM cdp_data.referral r WHERE r.referral_id = referral AND r.referee_id > 0));
  RETURN (SELECT x.state FROM (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = referral FOR UPDATE) x);
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_referral(bigint) IS
'Waits until nobody else decides about a referral or its referee, and keeps others waiting until the transaction ends. Returns its state, NULL when there is none.';

CREATE OR REPLACE FUNCTION cdp_internal.remember_fraud(referral bigint, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  n bigint;
BEGIN
  INSERT INTO cdp_data.fraud_history (kind, digest, referral_id, confirmed_at, expires_at)
  SELECT DISTINCT x.kind, x.digest, referral, at, CASE x.kind WHEN 'ip' THEN at + interval '720 hours' END
  FROM (
    SELECT u.kind, u.digest
    FROM cdp_data.referral r JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id LEFT JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id
      CROSS JOIN LATERAL (VALUES ('ip', coalesce(v.ip_digest, c.ip_digest)), ('device', v.device_digest), ('device', c.device_digest), ('payment', v.payment_digest), ('address', v.address_digest)) AS u (kind, digest)
    WHERE r.referral_id = referral
    UNION ALL
    SELECT CASE i.type_id WHEN 2 THEN 'email' ELSE 'phone' END, cdp_internal.fraud_digest(CASE i.type_id WHEN 2 THEN 'email' ELSE 'phone' END, i.value)
    FROM cdp_data.referral r CROSS JOIN LATERAL cdp_internal.members(cdp_internal.root_of(r.referee_id)) m JOIN cdp_data.identifier i ON i.identifier_id = m.identifier_id
    WHERE r.referral_id = referral AND r.referee_id > 0 AND i.type_id IN (2, 3) AND cdp_internal.key_file_is_set()) x
  WHERE x.digest IS NOT NULL
    AND NOT EXISTS (SELECT FROM cdp_data.fraud_history h WHERE h.referral_id = referral AND (h.kind, h.digest) = (x.kind, x.digest) AND h.cleared_at IS NULL);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.remember_fraud(bigint, timestamptz) IS
'Keeps keyed digests of what a confirmed fraud was done with: address (30 days), device, means of payment, delivery address of its conversion and click, e-mail and telephone of the referee. Returns how many are new.';

CREATE OR REPLACE FUNCTION cdp_internal.write_review(referral bigint, event text, is_fraud boolean, reason text, note text, actor text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  INSERT INTO cdp_data.referral_review (referral_id, referrer_id, referee_id, at, event, is_fraud, fraud_score_id, score, reason, note, actor)
  SELECT referral, r.referrer_id, r.referee_id, clock_timestamp(), event, is_fraud, s.fraud_score_id, s.score, reason, note, actor
  FROM cdp_data.referral r LEFT JOIN LATERAL (SELECT f.fraud_score_id, f.score FROM cdp_data.fraud_score f WHERE f.referral_id = referral ORDER BY f.fraud_score_id DESC LIMIT 1) s ON true
  WHERE r.referral_id = referral;
END
$$;
COMMENT ON FUNCTION cdp_internal.write_review(bigint, text, boolean, text, text, text) IS 'Adds a row to the life of a review, with the last score of the referral.';

CREATE OR REPLACE FUNCTION cdp.decide_review(referral bigint, decision text, note text DEFAULT NULL, is_fraud boolean DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  stands text;
  fraud boolean := coalesce(is_fraud, decision = 'reject');
BEGIN
  PERFORM cdp_internal.require_choice('decision', decision, '{approve,reject}');
  IF decision = 'approve' AND fraud THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'what is approved is no fraud';
  END IF;
  IF cdp_internal.hold_referral(referral) IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no referral %s', coalesce(referral::text, 'NULL')), HINT = 'What waits: SELECT * FROM cdp_bi.referral_review_queue;';
  END IF;
  SELECT v.event INTO stands FROM cdp_data.referral_review_now v WHERE v.referral_id = referral;
  IF stands IS NULL OR stands NOT IN ('opened', 'escalated', 'reopened') THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('referral %s waits for no review', referral), DETAIL = format('Its review: %s.', coalesce(stands, 'none')),
      HINT = 'A decision is undone by an appeal; fraud that is found later is told by cdp.confirm_fraud().';
  END IF;
  PERFORM cdp_internal.write_review(referral, CASE decision WHEN 'approve' THEN 'approved' ELSE 'rejected' END, fraud, 'decision', note, session_user);
  IF fraud THEN
    PERFORM cdp_internal.remember_fraud(referral, clock_timestamp());
  END IF;
  PERFORM cdp_internal.referral_apply(ARRAY[referral]);
  RETURN (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = referral);
END
$$;
COMMENT ON FUNCTION cdp.decide_review(bigint, text, text, boolean) IS
'Decides a referral that waits for a review: approve or reject. is_fraud says whether it was fraud (NULL: when it is rejected); the precision of rules, the history of fraud and the fitted model stand on that. note: for people, without names. Returns the state of the referral after; its rewards follow. Errors: 42704 no such referral, 55000 it waits for no review, 22023 another decision.';

CREATE OR REPLACE FUNCTION cdp.confirm_fraud(referral bigint, note text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before text;
BEGIN
  before := cdp_internal.hold_referral(referral);
  IF before IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no referral %s', coalesce(referral::text, 'NULL'));
  END IF;
  IF before NOT IN ('approved', 'rejected', 'review', 'pending') THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('referral %s is %s, so there is nothing to take back', referral, before);
  END IF;
  PERFORM cdp_internal.write_review(referral, 'rejected', true, CASE before WHEN 'approved' THEN 'found later' ELSE 'decision' END, note, session_user);
  PERFORM cdp_internal.remember_fraud(referral, clock_timestamp());
  PERFORM cdp_internal.referral_apply(ARRAY[referral]);
  RETURN (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = referral);
END
$$;
COMMENT ON FUNCTION cdp.confirm_fraud(bigint, text) IS
'Tells that a referral was fraud, whatever was decided before: it is rejected, its rewards are taken back, what it was done with is known from now on. One that had been approved counts as found later in cdp.fraud_prevention(). Returns its state after. Errors: 42704 no such referral, 55000 it is ineligible or a duplicate.';

CREATE OR REPLACE FUNCTION cdp.review_deadlines(as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  late record;
  now_at timestamptz := coalesce(review_deadlines.as_of, now());
  n bigint := 0;
BEGIN
  IF NOT isfinite(now_at) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'as_of must be a moment';
  END IF;
  FOR late IN
    SELECT r.referral_id, m.on_timeout, m.review_within, v.deadline, v.fraud_score_id, v.score, r.referrer_id, r.referee_id
    FROM cdp_data.referral_review_now v JOIN cdp_data.referral r USING (referral_id) JOIN cdp_data.referral_terms m USING (referral_campaign_id, terms_version)
    WHERE v.event IN ('opened', 'escalated', 'reopened') AND v.deadline <= now_at AND r.state = 'review' ORDER BY v.deadline, r.referral_id
  LOOP
    -- Whoever decided between the scan and the lock was first.
    CONTINUE WHEN cdp_internal.hold_referral(late.referral_id) IS DISTINCT FROM 'review' OR NOT EXISTS (SELECT FROM cdp_data.referral_review_now v WHERE v.referral_id = late.referral_id AND v.event IN ('opened', 'escalated', 'reopened') AND v.deadline = late.deadline);
    n := n + 1;
    INSERT INTO cdp_data.referral_review (referral_id, referrer_id, referee_id, at, event, deadline, fraud_score_id, score, reason, actor)
    VALUES (late.referral_id, late.referrer_id, late.referee_id, now_at, CASE late.on_timeout WHEN 'reject' THEN 'rejected' ELSE 'escalated' END,
      CASE WHEN late.on_timeout <> 'reject' THEN now_at + late.review_within END, late.fraud_score_id, late.score, 'timeout', 'system');
    IF late.on_timeout = 'reject' THEN
      PERFORM cdp_internal.referral_apply(ARRAY[late.referral_id]);
    END IF;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.review_deadlines(timestamptz) IS
'Job: reviews whose deadline has come by as_of (NULL: now) are escalated (a new deadline, higher in the queue) or rejected, as the terms say (on_timeout). Never approved: nothing is paid because nobody looked. Returns how many. Error 22023: as_of is not finite.';

CREATE OR REPLACE FUNCTION cdp.appeal(text text, referral bigint DEFAULT NULL, ban bigint DEFAULT NULL, evidence jsonb DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  id bigint;
  who bigint;
BEGIN
  PERFORM cdp_internal.require_text('what the appeal says', text, 10000);
  IF num_nonnulls(referral, ban) <> 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'an appeal is against a referral''s rejection or against a ban', HINT = 'Give referral or ban.';
  END IF;
  IF referral IS NOT NULL THEN
    PERFORM cdp_internal.hold_referral(referral);
    SELECT r.referrer_id INTO who FROM cdp_data.referral r WHERE r.referral_id = referral AND r.state = 'rejected';
  ELSE
    SELECT b.customer_id INTO who FROM cdp_data.referral_ban b WHERE b.referral_ban_id = ban AND NOT EXISTS (SELECT FROM cdp_data.referral_ban_lift l WHERE l.referral_ban_id = ban) FOR UPDATE;
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'there is nothing to appeal against', DETAIL = coalesce('Referral ' || referral || ' is not rejected, or not there.', 'Ban ' || ban || ' was lifted, or is not there.');
  END IF;
  SELECT a.appeal_id INTO id FROM cdp_data.referral_appeal a WHERE (a.referral_id = referral OR a.referral_ban_id = ban) AND a.event = 'opened'
    AND NOT EXISTS (SELECT FROM cdp_data.referral_appeal d WHERE d.appeal_id = a.appeal_id AND d.event <> 'opened') LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('appeal %s is open already', id), HINT = 'Decide it with cdp.decide_appeal().';
  END IF;
  INSERT INTO cdp_data.referral_appeal AS a (appeal_id, customer_id, referral_id, referral_ban_id, event, text, evidence)
  VALUES (nextval('cdp_data.referral_appeal_seq'), who, referral, ban, 'opened', text, evidence) RETURNING a.appeal_id INTO id;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.appeal(text, bigint, bigint, jsonb) IS
'Takes in an appeal of a customer against the rejection of a referral, or against a ban: what he says, and evidence. Returns its number, for cdp.decide_appeal(). Errors: 22023 no text, or not one of referral and ban; 55000 nothing to appeal against, or an appeal is open.';

CREATE OR REPLACE FUNCTION cdp.decide_appeal(appeal bigint, decision text, text text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  a record;
BEGIN
  PERFORM cdp_internal.require_choice('decision', decision, '{uphold,overturn}');
  SELECT p.* INTO a FROM cdp_data.referral_appeal p WHERE p.appeal_id = appeal AND p.event = 'opened';
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no appeal %s', coalesce(appeal::text, 'NULL')), HINT = 'Appeals: SELECT * FROM cdp_data.referral_appeal;';
  END IF;
  IF a.referral_id IS NOT NULL THEN
    PERFORM cdp_internal.hold_referral(a.referral_id);
  END IF;
  IF EXISTS (SELECT FROM cdp_data.referral_appeal p WHERE p.appeal_id = appeal AND p.event <> 'opened') THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('appeal %s was decided before', appeal), HINT = 'The customer can appeal again.';
  END IF;
  INSERT INTO cdp_data.referral_appeal (appeal_id, customer_id, referral_id, referral_ban_id, event, text)
  VALUES (appeal, a.customer_id, a.referral_id, a.referral_ban_id, CASE decision WHEN 'uphold' THEN 'upheld' ELSE 'overturned' END, text);
  IF decision = 'uphold' THEN
    RETURN (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = a.referral_id);
  ELSIF a.referral_ban_id IS NOT NULL THEN
    IF NOT EXISTS (SELECT FROM cdp_data.referral_ban_lift l WHERE l.referral_ban_id = a.referral_ban_id) THEN
      PERFORM cdp.unban_referrer(a.referral_ban_id, 'appeal');
    END IF;
    RETURN NULL;
  END IF;
  PERFORM cdp_internal.write_review(a.referral_id, 'approved', false, 'appeal', NULL, session_user);
  UPDATE cdp_data.fraud_history h SET cleared_at = clock_timestamp() WHERE h.referral_id = a.referral_id AND h.cleared_at IS NULL;
  PERFORM cdp_internal.referral_apply(ARRAY[a.referral_id]);
  RETURN (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = a.referral_id);
END
$$;
COMMENT ON FUNCTION cdp.decide_appeal(bigint, text, text) IS
'Decides an appeal: uphold (the decision stands) or overturn: the referral is approved and rewarded, what it was done with is no longer known for fraud; a ban is lifted and what it held is replayed. text: why. Returns the state of the referral, NULL for bans. Errors: 42704 no such appeal, 55000 decided before, 22023 another decision.';

CREATE OR REPLACE FUNCTION cdp.fraud_prevention(campaign text DEFAULT NULL, from_at timestamptz DEFAULT '-infinity', to_at timestamptz DEFAULT 'infinity')
RETURNS TABLE (campaign_name text, currency text, blocked bigint, blocked_value numeric, found_later bigint, found_later_value numeric, rate double precision, value_rate double precision, overturned bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  id integer := CASE WHEN fraud_prevention.campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(fraud_prevention.campaign) END;
BEGIN
  RETURN QUERY
  SELECT c.name, c.currency, x.blocked, x.blocked_minor / u.unit, x.later, x.later_minor / u.unit,
    x.blocked::double precision / nullif(x.blocked + x.later, 0), (x.blocked_minor / nullif(x.blocked_minor + x.later_minor, 0))::double precision, x.overturned
  FROM cdp_data.referral_campaign c JOIN cdp_data.currency_all y ON y.code = c.currency CROSS JOIN LATERAL (SELECT power(10::numeric, y.exponent) AS unit) u
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE r.state = 'rejected' AND NOT w.later) AS blocked, coalesce(sum(v.eligible_minor) FILTER (WHERE r.state = 'rejected' AND NOT w.later AND v.currency = c.currency), 0)::numeric AS blocked_minor,
        count(*) FILTER (WHERE w.later) AS later, coalesce(sum(v.eligible_minor) FILTER (WHERE w.later AND v.currency = c.currency), 0)::numeric AS later_minor,
        count(*) FILTER (WHERE w.overturned) AS overturned
      FROM cdp_data.referral r JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id
        CROSS JOIN LATERAL (SELECT coalesce(bool_or(z.reason = 'found later'), false) AND r.state = 'rejected' AS later, coalesce(bool_or(z.reason = 'appeal'), false) AS overturned FROM cdp_data.referral_review z WHERE z.referral_id = r.referral_id) w
      WHERE r.referral_campaign_id = c.referral_campaign_id AND r.level = 1 AND NOT r.is_test AND r.attributed_at >= from_at AND r.attributed_at < to_at) x
  WHERE id IS NULL OR c.referral_campaign_id = id
  ORDER BY c.name;
END
$$;
COMMENT ON FUNCTION cdp.fraud_prevention(text, timestamptz, timestamptz) IS
'How much fraud was stopped before it was paid, for referrals of from_at <= time < to_at, of one campaign or of each: blocked (rejected referrals that never were approved), found_later (approved first, confirmed as fraud after: cdp.confirm_fraud()), rate = blocked / (blocked + found_later), and the same by the eligible value of their first conversions in the campaign''s currency. overturned: rejections that an appeal undid; they count in neither. Rates are NULL without any.';

CREATE OR REPLACE FUNCTION cdp.fraud_rule_precision(campaign text DEFAULT NULL, from_at timestamptz DEFAULT '-infinity', to_at timestamptz DEFAULT 'infinity')
RETURNS TABLE (code text, cases bigint, fraud bigint, "precision" double precision, low double precision, high double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  id integer := CASE WHEN fraud_rule_precision.campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(fraud_rule_precision.campaign) END;
BEGIN
  RETURN QUERY
  SELECT x.code, x.n, x.k, x.k::double precision / x.n, i.low, i.high
  FROM (
    SELECT y.code, count(*) AS n, count(*) FILTER (WHERE v.is_fraud) AS k
    -- What was said last about a referral, and the score that was looked at then.
    FROM (SELECT DISTINCT ON (w.referral_id) w.referral_id, w.is_fraud, w.fraud_score_id FROM cdp_data.referral_review w WHERE w.is_fraud IS NOT NULL AND w.at >= from_at AND w.at < to_at ORDER BY w.referral_id, w.referral_review_id DESC) v
      JOIN cdp_data.referral r ON r.referral_id = v.referral_id AND (id IS NULL OR r.referral_campaign_id = id) AND NOT r.is_test
      JOIN cdp_data.fraud_score s ON s.fraud_score_id = v.fraud_score_id CROSS JOIN LATERAL (SELECT DISTINCT e ->> 'code' AS code FROM jsonb_array_elements(s.reasons) e) y
    GROUP BY y.code) x CROSS JOIN LATERAL cdp.rate_interval(x.k, x.n) i
  ORDER BY x.code COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp.fraud_rule_precision(text, timestamptz, timestamptz) IS
'For each rule that fired in cases which people decided (from_at <= decision < to_at): in how many cases, how many of them were fraud, their share (precision) and its interval at 95 % (Wilson). Only cases of which somebody said whether they were fraud, by what was said last.';

-- Referral room, fraud: what people decide. Reviews with deadlines, confirmed fraud, appeals, and how good the rules are.

CREATE OR REPLACE FUNCTION cdp_internal.hold_referrals(ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint[];
BEGIN
  -- People before rows, all of them at once and in order, as every decision about them does: nobody waits for another in a circle.
  held := cdp_internal.lock_customers(NULL, false, ARRAY(
    SELECT DISTINCT p.root FROM cdp_data.referral r CROSS JOIN LATERAL (VALUES (cdp_internal.root_of(r.referee_id)),
      ((SELECT cdp_internal.identifier_root(c.identifier_id) FROM cdp_data.referral_conversion c WHERE c.referral_conversion_id = r.first_conversion_id))) AS p (root)
    WHERE r.referral_id = ANY (ids) AND p.root > 0 ORDER BY 1));
  PERFORM FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) ORDER BY r.referral_id FOR UPDATE;
  RETURN held;
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_referrals(bigint[]) IS
'Waits until nobody else decides about these referrals or their referees, and keeps others waiting until the transaction ends. Call it once in a transaction, with all of them. Returns the customers (roots) who are held.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_apply(ids bigint[], actor text, as_of timestamptz DEFAULT NULL, also bigint[] DEFAULT '{}') RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  held bigint[];
  moment timestamptz;
  changes jsonb;
  changed bigint[];
BEGIN
  held := cdp_internal.hold_referrals(ids);
  moment := coalesce(as_of, clock_timestamp());
  -- So that a ban in between does not make it forgotten.
  PERFORM cdp_internal.open_reviews(ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.state = 'review' AND r.reason = 'unmerged'), 'unmerged', moment);
  WITH scored AS MATERIALIZED (
    SELECT s.* FROM cdp_internal.referral_score(ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.state IN ('pending', 'approved', 'review', 'rejected') AND r.level = 1 AND NOT r.is_test ORDER BY 1), moment) s
  ), want AS (
    SELECT s.*, r.state AS from_state, CASE s.decision WHEN 'approve' THEN 'approved' WHEN 'review' THEN 'review' WHEN 'reject' THEN 'rejected' ELSE 'ineligible' END AS state FROM scored s JOIN cdp_data.referral r USING (referral_id)
  ), done AS (
    UPDATE cdp_data.referral r SET state = w.state, score = w.score, reason = CASE WHEN r.state = w.state THEN r.reason WHEN w.state <> 'approved' THEN 'fraud_score' END, decided_at = clock_timestamp()
    FROM want w WHERE r.referral_id = w.referral_id AND (r.state <> w.state OR r.score IS DISTINCT FROM w.score)
    RETURNING r.referral_id, w.from_state, w.state, w.fraud_score_id
  )
  SELECT coalesce(jsonb_agg(to_jsonb(d)) FILTER (WHERE d.state <> d.from_state), '[]'), array_agg(d.referral_id) INTO changes, changed FROM done d;
  IF changed IS NULL AND also = '{}' THEN
    RETURN '{}';
  END IF;
  PERFORM cdp_internal.referral_note(changes, actor, moment);
  -- The score alone may lengthen a hold.
  PERFORM cdp_internal.referral_settled(also || changed || cdp_internal.referral_levels(held, moment));
  RETURN ARRAY(SELECT (c ->> 'referral_id')::bigint FROM jsonb_array_elements(changes) c ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_apply(bigint[], text, timestamptz, bigint[]) IS
'Brings referrals of the first level to what lists, reviews and rules say as of a moment (NULL: when they are held): scores them, changes their states with a decision each by actor (a role, or system), and has rewards settled, with those of also in one go. Returns those whose state changed.';

CREATE OR REPLACE FUNCTION cdp_internal.hold_referral(referral bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.hold_referrals(ARRAY[referral]);
  RETURN (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = referral);
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_referral(bigint) IS
'Waits until nobody else decides about a referral or its referee, and keeps others waiting until the transaction ends. Returns its state, NULL when there is none.';

CREATE OR REPLACE FUNCTION cdp_internal.open_reviews(ids bigint[], reason text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  INSERT INTO cdp_data.referral_review (referral_id, referrer_id, referee_id, at, event, deadline, fraud_score_id, score, reason, actor)
  SELECT r.referral_id, r.referrer_id, r.referee_id, clock_timestamp(), CASE WHEN v.event IN ('approved', 'rejected') THEN 'reopened' ELSE 'opened' END, open_reviews.at + m.review_within, s.fraud_score_id, s.score, open_reviews.reason, 'system'
  FROM cdp_data.referral r JOIN cdp_data.referral_terms m USING (referral_campaign_id, terms_version)
    LEFT JOIN LATERAL (SELECT w.event FROM cdp_data.referral_review w WHERE w.referral_id = r.referral_id ORDER BY w.referral_review_id DESC LIMIT 1) v ON true
    LEFT JOIN LATERAL (SELECT f.fraud_score_id, f.score FROM cdp_data.fraud_score f WHERE f.referral_id = r.referral_id ORDER BY f.fraud_score_id DESC LIMIT 1) s ON true
  WHERE r.referral_id = ANY (ids) AND r.state = 'review' AND r.level = 1 AND NOT r.is_test AND (v.event IS NULL OR v.event NOT IN ('opened', 'escalated', 'reopened'))
  ORDER BY r.referral_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.open_reviews(bigint[], text, timestamptz) IS
'Opens a review, as of a moment, for each of these referrals that is in state review and has none open, such as after an unmerge; reason: what for. The caller holds their people. Returns how many.';

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
  PERFORM cdp_internal.open_reviews(ARRAY[referral], 'unmerged', clock_timestamp());
  SELECT v.event INTO stands FROM cdp_data.referral_review_now v WHERE v.referral_id = referral;
  IF stands IS NULL OR stands NOT IN ('opened', 'escalated', 'reopened') OR NOT EXISTS (SELECT FROM cdp_data.referral r WHERE r.referral_id = referral AND r.state = 'review') THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('referral %s waits for no review', referral), DETAIL = format('Its review: %s.', coalesce(stands, 'none')),
      HINT = 'A decision is undone by an appeal; fraud that is found later is told by cdp.confirm_fraud().';
  END IF;
  PERFORM cdp_internal.write_review(referral, CASE decision WHEN 'approve' THEN 'approved' ELSE 'rejected' END, fraud, 'decision', note, session_user);
  IF fraud THEN
    PERFORM cdp_internal.remember_fraud(referral, clock_timestamp());
  END IF;
  PERFORM cdp_internal.referral_apply(ARRAY[referral], session_user::text);
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
  IF (SELECT r.level FROM cdp_data.referral r WHERE r.referral_id = confirm_fraud.referral) > 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('referral %s is of the second level and follows the first', referral),
      HINT = format('Confirm the fraud of referral %s.', (SELECT r.evidence ->> 'through' FROM cdp_data.referral r WHERE r.referral_id = confirm_fraud.referral));
  END IF;
  IF before NOT IN ('approved', 'rejected', 'review', 'pending') THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('referral %s is %s, so there is nothing to take back', referral, before);
  END IF;
  PERFORM cdp_internal.write_review(referral, 'rejected', true, CASE before WHEN 'approved' THEN 'found later' ELSE 'decision' END, note, session_user);
  PERFORM cdp_internal.remember_fraud(referral, clock_timestamp());
  PERFORM cdp_internal.referral_apply(ARRAY[referral], session_user::text);
  RETURN (SELECT r.state FROM cdp_data.referral r WHERE r.referral_id = referral);
END
$$;
COMMENT ON FUNCTION cdp.confirm_fraud(bigint, text) IS
'Tells that a referral was fraud, whatever was decided before: it is rejected, its rewards are taken back, what it was done with is known from now on. One of which something had been paid counts as found later in cdp.fraud_prevention(). Returns its state after. Errors: 42704 no such referral, 55000 it is ineligible or a duplicate, or of the second level.';

CREATE OR REPLACE FUNCTION cdp_internal.reviews_late(as_of timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(SELECT v.referral_id FROM cdp_data.referral_review_now v JOIN cdp_data.referral r USING (referral_id)
    WHERE v.event IN ('opened', 'escalated', 'reopened') AND v.deadline <= reviews_late.as_of AND r.state = 'review' ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.reviews_late(timestamptz) IS 'Referrals whose review is open past its deadline at a moment.';

CREATE OR REPLACE FUNCTION cdp.review_deadlines(as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  now_at timestamptz := coalesce(review_deadlines.as_of, now());
  lost bigint[];
  late bigint[];
  refused bigint[];
BEGIN
  IF NOT isfinite(now_at) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'as_of must be a moment';
  END IF;
  late := cdp_internal.reviews_late(now_at);
  lost := ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.state = 'review' AND r.level = 1 AND NOT r.is_test
    AND coalesce((SELECT v.event FROM cdp_data.referral_review v WHERE v.referral_id = r.referral_id ORDER BY v.referral_review_id DESC LIMIT 1) NOT IN ('opened', 'escalated', 'reopened'), true));
  IF late = '{}' AND lost = '{}' THEN
    RETURN 0;
  END IF;
  -- All at once, in order; whoever decided between the scan and the lock was first.
  PERFORM cdp_internal.hold_referrals(late || lost);
  PERFORM cdp_internal.open_reviews(lost, 'unmerged', now_at);
  late := ARRAY(SELECT u FROM unnest(cdp_internal.reviews_late(now_at)) u WHERE u = ANY (late));
  WITH told AS (
    INSERT INTO cdp_data.referral_review AS w (referral_id, referrer_id, referee_id, at, event, deadline, fraud_score_id, score, reason, actor)
    -- as_of says what is late; the row is of now, so that whoever scores next sees it.
    SELECT r.referral_id, r.referrer_id, r.referee_id, clock_timestamp(), CASE m.on_timeout WHEN 'reject' THEN 'rejected' ELSE 'escalated' END, CASE WHEN m.on_timeout <> 'reject' THEN now_at + m.review_within END, v.fraud_score_id, v.score, 'timeout', 'system'
    FROM unnest(late) AS l (id) JOIN cdp_data.referral r ON r.referral_id = l.id JOIN cdp_data.referral_terms m USING (referral_campaign_id, terms_version)
      CROSS JOIN LATERAL (SELECT x.fraud_score_id, x.score FROM cdp_data.referral_review x WHERE x.referral_id = r.referral_id ORDER BY x.referral_review_id DESC LIMIT 1) v
    ORDER BY r.referral_id RETURNING w.referral_id, w.event
  )
  SELECT array_agg(t.referral_id ORDER BY t.referral_id) INTO refused FROM told t WHERE t.event = 'rejected';
  IF refused IS NOT NULL THEN
    PERFORM cdp_internal.referral_apply(refused, 'system');
  END IF;
  RETURN cardinality(late);
END
$$;
COMMENT ON FUNCTION cdp.review_deadlines(timestamptz) IS
'Job: reviews whose deadline has come by as_of (NULL: now) are escalated (a new deadline, higher in the queue) or rejected, as the terms say (on_timeout). Never approved: nothing is paid because nobody looked. Opens a review where a referral waits for one and has none. Returns how many were late. Error 22023: as_of is not finite.';

CREATE OR REPLACE FUNCTION cdp_internal.referrals_in_hold(max_referrals integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN ARRAY(
    SELECT x.id FROM (
      SELECT f.referral_id AS id, min(w.hold_until) AS due
      FROM cdp_data.reward w JOIN cdp_data.referral r USING (referral_id) JOIN cdp_data.referral f ON f.first_conversion_id = r.first_conversion_id AND f.campaign_group = r.campaign_group AND f.is_test = r.is_test AND f.level = 1
      WHERE w.pending_minor > 0 AND f.state = 'approved' GROUP BY 1
      UNION ALL
      SELECT r.referral_id, r.attributed_at FROM cdp_data.referral r WHERE r.state IN ('pending', 'review') AND r.level = 1 AND NOT r.is_test
      UNION ALL
      -- What only a ban had rejected goes on when the ban has run out, or is of somebody else after an unmerge; last, as some of them stay.
      SELECT r.referral_id, 'infinity' FROM cdp_data.referral r WHERE r.state = 'rejected' AND r.level = 1 AND NOT r.is_test AND cdp_internal.rejected_by_ban(r.referral_id)) x
    GROUP BY x.id ORDER BY min(x.due), x.id LIMIT max_referrals);
END
$$;
COMMENT ON FUNCTION cdp_internal.referrals_in_hold(integer) IS
'Referrals about which money is not released yet: approved with rewards in hold, pending, in review, or rejected by a ban. At most so many, what is due first first.';

CREATE OR REPLACE FUNCTION cdp.rescore_referrals(as_of timestamptz DEFAULT NULL, max_referrals integer DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  now_at timestamptz := coalesce(rescore_referrals.as_of, clock_timestamp());
  ids bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT isfinite(now_at) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'as_of must be a moment', HINT = 'Leave as_of out for now.';
  END IF;
  ids := cdp_internal.referrals_in_hold(greatest(max_referrals, 0));
  IF ids = '{}' THEN
    RETURN 0;
  END IF;
  -- Looked at without a lock; only those are held of whom something else would be said.
  ids := ARRAY(SELECT v.referral_id FROM cdp_internal.referral_verdict(ids, now_at) v JOIN cdp_data.referral r USING (referral_id)
    WHERE CASE v.final WHEN 'approve' THEN 'approved' WHEN 'review' THEN 'review' WHEN 'reject' THEN 'rejected' ELSE 'ineligible' END <> r.state OR r.score IS DISTINCT FROM (v.d).score ORDER BY 1);
  IF ids = '{}' THEN
    RETURN 0;
  END IF;
  RETURN cardinality(cdp_internal.referral_apply(ids, 'system', rescore_referrals.as_of));
END
$$;
COMMENT ON FUNCTION cdp.rescore_referrals(timestamptz, integer) IS
'Job: scores every referral anew about which money is still held back, with what is known by as_of (NULL: now): approved ones in their hold, those that wait, and those that a ban rejected which has run out. Who looks different goes to review, is rejected, or goes on; a higher score may lengthen the hold. What the rules rejected stays, but for such bans; so does what people decided. cdp.release_rewards() pays nobody of whom this would say otherwise. At most max_referrals, what is due first first. Returns how many referrals changed their state. Errors: 22023 as_of is not finite, 55000 before cdp.setup().';

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
  PERFORM cdp_internal.referral_apply(ARRAY[a.referral_id], session_user::text);
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
    x.blocked::double precision / nullif(x.blocked + x.later, 0), (x.blocked_minor / nullif(x.blocked_minor + x.later_minor, 0))::double precision,
    (SELECT count(*) FROM cdp_data.referral r WHERE r.referral_campaign_id = c.referral_campaign_id AND r.level = 1 AND NOT r.is_test AND r.attributed_at >= from_at AND r.attributed_at < to_at
      AND EXISTS (SELECT FROM cdp_data.referral_review z WHERE z.referral_id = r.referral_id AND z.event = 'approved' AND z.reason = 'appeal'))
  FROM cdp_data.referral_campaign c JOIN cdp_data.currency_all y ON y.code = c.currency CROSS JOIN LATERAL (SELECT power(10::numeric, y.exponent) AS unit) u
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE NOT f.found_later) AS blocked, coalesce(sum(f.worth_minor - f.lost_minor), 0) AS blocked_minor, count(*) FILTER (WHERE f.found_later) AS later, coalesce(sum(f.lost_minor), 0) AS later_minor
      -- Up to any time: what is told a little ahead is there as well.
      FROM cdp_internal.referral_frauds(c.referral_campaign_id, 'infinity') f WHERE f.attributed_at >= from_at AND f.attributed_at < to_at) x
  WHERE id IS NULL OR c.referral_campaign_id = id
  ORDER BY c.name;
END
$$;
COMMENT ON FUNCTION cdp.fraud_prevention(text, timestamptz, timestamptz) IS
'How much fraud was stopped before it was paid, for referrals of from_at <= time < to_at that are rejected as fraud (by score, list or person; not those of which a person said that it was none, nor those that only a deadline rejected), of one campaign or of each, as cdp.referral_report() has it: blocked (nothing was paid), found_later (something was), rate = blocked / (blocked + found_later). blocked_value: rewards that they would have earned by the rules, before caps, less what went out; found_later_value: what went out; both in the campaign''s currency. overturned: rejections that an appeal undid; they count in neither. Rates are NULL without any.';

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

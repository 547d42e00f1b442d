-- Referral room, fraud: the score of referrals, kept with its reasons for every decision.

CREATE OR REPLACE FUNCTION cdp_internal.fraud_policy_of(campaign integer, terms integer, as_of timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  policy jsonb;
BEGIN
  SELECT cdp.fraud_policy(cdp_internal.fraud_weights(as_of) || (
      -- Codes that this version does not have say nothing.
      SELECT coalesce(jsonb_object_agg(w.key, w.value), '{}') FROM jsonb_each(m.weights) w JOIN cdp.fraud_rule_builtin() b ON b.code = w.key AND b.kind IN ('soft', 'density') AND jsonb_typeof(w.value) = 'number'),
    m.review_at, m.reject_at, m.cost_review_minor, m.cost_wrong_minor) INTO policy
  FROM cdp_data.referral_terms m WHERE m.referral_campaign_id = campaign AND m.terms_version = terms;
  -- By indexes: a list of throw-away domains has a hundred thousand entries.
  RETURN policy || jsonb_build_object('version', concat_ws('/', policy ->> 'version', concat_ws('.',
    coalesce((SELECT l.fraud_list_id FROM cdp_data.fraud_list l WHERE l.added_at <= as_of ORDER BY l.fraud_list_id DESC LIMIT 1), 0),
    coalesce(extract(epoch FROM greatest((SELECT max(l.removed_at) FROM cdp_data.fraud_list l WHERE l.removed_at <= as_of), (SELECT max(l.expires_at) FROM cdp_data.fraud_list l WHERE l.expires_at <= as_of)))::bigint, 0))));
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_policy_of(integer, integer, timestamptz) IS
'The fraud policy of a version of terms at a moment: built-in weights, those of cdp_data.fraud_rule, those of the terms, and its thresholds or costs. To its version the state of the lists is added: the last entry so far, and when one ended last (seconds of Unix time).';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_losses(ids bigint[], as_of timestamptz) RETURNS TABLE (referral_id bigint, loss double precision)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  dear bigint[];
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.referral_terms m WHERE m.cost_review_minor IS NOT NULL) THEN
    RETURN;
  END IF;
  dear := ARRAY(SELECT r.referral_id FROM unnest(ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id JOIN cdp_data.referral_terms m ON m.referral_campaign_id = r.referral_campaign_id AND m.terms_version = r.terms_version
    WHERE m.cost_review_minor IS NOT NULL AND r.level = 1 ORDER BY 1);
  RETURN QUERY
  WITH event AS MATERIALIZED ( -- each alone, so that it does not matter who is judged with it; its own conversion counts even when another clock dated it ahead
    SELECT e.campaign, e.version, to_jsonb(e) - 'campaign' || jsonb_build_object('referrer', -e.referral, 'refunded', 0, 'counts', true) AS doc
    FROM cdp_internal.reward_events(dear, 'infinity', '{pending,approved,review,rejected,ineligible,duplicate}') e JOIN cdp_data.referral r ON r.referral_id = e.referral
    WHERE e.at <= greatest(fraud_losses.as_of, r.attributed_at)
  ), campaign AS (
    SELECT e.campaign, jsonb_agg(e.doc) AS events, array_agg(DISTINCT e.version) AS versions FROM event e GROUP BY 1
  )
  SELECT a.referral, sum(a.amount_minor)::double precision
  FROM campaign x JOIN cdp_data.referral_campaign c ON c.referral_campaign_id = x.campaign
    CROSS JOIN LATERAL cdp_internal.reward_amounts((SELECT jsonb_agg(to_jsonb(u)) FROM cdp_data.reward_rule u WHERE u.referral_campaign_id = x.campaign AND u.terms_version = ANY (x.versions)), c.timezone, c.currency, x.events) a
  GROUP BY a.referral;
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_losses(bigint[], timestamptz) IS
'What approving each of these referrals would cost, were it fraud, where the terms have costs (cost_review_minor): the rewards of both sides that its conversions until as_of earn by the rules (cdp_internal.reward_amounts()), each referral as if it were the first of its advocate, before caps and refunds, in minor units. No row: its terms have no costs, or nothing is earned yet; then the thresholds decide.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_judge(ids bigint[], as_of timestamptz) RETURNS TABLE (referral_id bigint, referral_campaign_id integer, terms_version integer, d cdp.fraud_decision)
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH policy AS MATERIALIZED (
    SELECT m.referral_campaign_id AS camp, m.terms_version AS tv, cdp_internal.fraud_policy_of(m.referral_campaign_id, m.terms_version, as_of) AS p
    FROM cdp_data.referral_terms m WHERE (m.referral_campaign_id, m.terms_version) IN (SELECT r.referral_campaign_id, r.terms_version FROM unnest(ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id)
  )
  SELECT s.referral_id, s.referral_campaign_id, s.terms_version, cdp_internal.fraud_score_row(cdp_internal.fraud_signal_names(), s.missing, s.fired, s.vals, s.evidence, o.p, l.loss)
  FROM cdp_internal.fraud_signals(ids, as_of) s JOIN policy o ON o.camp = s.referral_campaign_id AND o.tv = s.terms_version LEFT JOIN cdp_internal.fraud_losses(ids, as_of) l ON l.referral_id = s.referral_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_judge(bigint[], timestamptz) IS
'The fraud decision about referrals by the rules alone, as of a moment: cdp_internal.fraud_signals() under the policy of their terms, with what each would cost (cdp_internal.fraud_losses()) where these decide by costs. What people decided is not looked at. Only reads.';

CREATE OR REPLACE FUNCTION cdp.fraud_score(referral bigint, as_of timestamptz DEFAULT NULL) RETURNS cdp.fraud_decision
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  result cdp.fraud_decision;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.referral r WHERE r.referral_id = referral) THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no referral %s', coalesce(referral::text, 'NULL')), HINT = 'Referrals: SELECT * FROM cdp_data.referral;';
  END IF;
  SELECT (j.d).* INTO result FROM cdp_internal.referral_judge(ARRAY[referral], coalesce(fraud_score.as_of, now())) j;
  RETURN result;
END
$$;
COMMENT ON FUNCTION cdp.fraud_score(bigint, timestamptz) IS
'How suspicious a referral is, by the rules, the weights and thresholds of its campaign''s terms, and what had happened until as_of (NULL: now): score, decision, the rules that fired in the order of their weight with what they measured, and the rules whose signal is missing. Identity is that of now. Writes nothing; scores that decisions stood on are in cdp_data.fraud_score. NULL when the referral is of after as_of. Error 42704: there is no such referral.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_verdict(ids bigint[], as_of timestamptz) RETURNS TABLE (referral_id bigint, referral_campaign_id integer, terms_version integer, d cdp.fraud_decision, event text, held_for text, final text)
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH j AS MATERIALIZED (
    SELECT x.* FROM cdp_internal.referral_judge(ids, as_of) x
  ), review AS MATERIALIZED ( -- where reviews stand, and what the last one was opened for
    SELECT v.referral_id AS id, (array_agg(v.event::text ORDER BY v.referral_review_id DESC))[1] AS event,
      (array_agg(v.reason::text ORDER BY v.referral_review_id DESC) FILTER (WHERE v.event IN ('opened', 'reopened')))[1] AS held_for
    FROM unnest(ids) AS i (id) JOIN cdp_data.referral_review v ON v.referral_id = i.id GROUP BY v.referral_id
  ), x AS (
    SELECT j.referral_id, j.referral_campaign_id, j.terms_version, j.d, v.event,
      -- Who was parted from others is looked at by somebody, whatever the rules say; also where nobody opened a review for it yet.
      CASE WHEN v.event NOT IN ('approved', 'rejected') THEN v.held_for WHEN v.event IS NULL AND r.state = 'review' AND r.reason = 'unmerged' THEN 'unmerged' END AS held_for
    FROM j JOIN cdp_data.referral r ON r.referral_id = j.referral_id LEFT JOIN review v ON v.id = j.referral_id
  )
  SELECT x.referral_id, x.referral_campaign_id, x.terms_version, x.d, x.event, x.held_for,
    -- People decide over scores, but not over the terms.
    CASE WHEN (x.d).decision = 'ineligible' THEN 'ineligible' WHEN x.event = 'approved' THEN 'approve' WHEN x.event = 'rejected' THEN 'reject'
      -- Nothing is approved because what was suspicious is forgotten.
      WHEN (x.d).decision = 'approve' AND (x.held_for <> 'score' OR x.event IN ('opened', 'escalated', 'reopened') AND (x.d).decided_by <> 'allow') THEN 'review' ELSE (x.d).decision END
  FROM x;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_verdict(bigint[], timestamptz) IS
'What should become of referrals: the decision of the rules as of a moment (d, cdp_internal.referral_judge()), where their reviews stand now (event, the last row; held_for: what one was opened for that nobody decided), and final: approve, review, reject or ineligible. What people or a deadline decided goes before the rules; an open review is approved by people or a list only, also when the rules find nothing any more. Only reads.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_score(ids bigint[], as_of timestamptz) RETURNS TABLE (referral_id bigint, score double precision, decision text, fraud_score_id bigint)
LANGUAGE plpgsql VOLATILE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  -- One that is told a little ahead of the clock is decided all the same.
  at timestamptz := greatest(coalesce(referral_score.as_of, now()), (SELECT max(r.attributed_at) FROM cdp_data.referral r WHERE r.referral_id = ANY (ids) AND r.state = 'pending'));
  told timestamptz := clock_timestamp(); -- people's time runs from when they are asked
BEGIN
  RETURN QUERY
  WITH f AS MATERIALIZED (
    SELECT x.referral_id AS id, x.referral_campaign_id AS camp, x.terms_version AS tv, r.referrer_id, r.referee_id, r.is_test, (x.d).score, (x.d).decision, (x.d).decided_by, (x.d).reasons, (x.d).degraded, (x.d).version, x.event, x.held_for, x.final
    FROM cdp_internal.referral_verdict(ids, at) x JOIN cdp_data.referral r ON r.referral_id = x.referral_id
  ), last AS (
    SELECT DISTINCT ON (s.referral_id) s.referral_id AS id, s.fraud_score_id, s.score, s.decision, s.decided_by, s.reasons, s.degraded, s.version
    FROM unnest(ids) AS i (id) JOIN cdp_data.fraud_score s ON s.referral_id = i.id ORDER BY s.referral_id, s.fraud_score_id DESC
  ), kept AS (
    INSERT INTO cdp_data.fraud_score AS s (referral_id, referrer_id, referee_id, as_of, score, decision, decided_by, reasons, degraded, version)
    SELECT f.id, f.referrer_id, f.referee_id, at, f.score, f.decision, f.decided_by, f.reasons, f.degraded, f.version
    FROM f LEFT JOIN last l ON l.id = f.id
    WHERE l.id IS NULL OR (l.score, l.decision, l.decided_by, l.reasons, l.degraded, l.version) IS DISTINCT FROM (f.score, f.decision, f.decided_by, f.reasons, f.degraded, f.version)
    ORDER BY f.id
    RETURNING s.referral_id AS id, s.fraud_score_id
  ), scored AS MATERIALIZED (
    SELECT f.*, coalesce(k.fraud_score_id, l.fraud_score_id) AS sid FROM f LEFT JOIN kept k ON k.id = f.id LEFT JOIN last l ON l.id = f.id
  ), opened AS (
    INSERT INTO cdp_data.referral_review (referral_id, referrer_id, referee_id, at, event, deadline, fraud_score_id, score, reason, actor)
    SELECT c.id, c.referrer_id, c.referee_id, told, CASE WHEN c.final = 'review' THEN 'opened' ELSE 'withdrawn' END, CASE WHEN c.final = 'review' THEN told + m.review_within END, c.sid, c.score, CASE WHEN c.final = 'review' THEN coalesce(c.held_for, 'score') ELSE 'score' END, 'system'
    FROM scored c JOIN cdp_data.referral_terms m ON m.referral_campaign_id = c.camp AND m.terms_version = c.tv
    WHERE NOT c.is_test AND CASE WHEN c.final = 'review' THEN c.event IS NULL OR c.event = 'withdrawn' ELSE c.event IN ('opened', 'escalated', 'reopened') END
    ORDER BY c.id
  )
  SELECT c.id, c.score, c.final, c.sid FROM scored c ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_score(bigint[], timestamptz) IS
'Scores referrals for a decision as of a moment (NULL: now), keeps each score that differs from the last one of its referral, and opens or withdraws reviews. decision: approve, review, reject or ineligible: cdp_internal.referral_verdict(). One row for each referral of until then, in their order.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_doubted(ids bigint[], as_of timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  firsts bigint[];
  doubted bigint[];
BEGIN
  -- Suspicion is about the person who came: the second level stands on the first.
  firsts := ARRAY(SELECT DISTINCT f.referral_id FROM unnest(ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id
    JOIN cdp_data.referral f ON f.first_conversion_id = r.first_conversion_id AND f.campaign_group = r.campaign_group AND f.is_test = r.is_test AND f.level = 1 AND f.state IN ('approved', 'pending', 'review') ORDER BY 1);
  doubted := ARRAY(SELECT v.referral_id FROM cdp_internal.referral_verdict(firsts, as_of) v WHERE v.final <> 'approve');
  IF doubted = '{}' THEN
    RETURN doubted;
  END IF;
  RETURN ARRAY(SELECT r.referral_id FROM cdp_data.referral f JOIN cdp_data.referral r ON r.first_conversion_id = f.first_conversion_id AND r.campaign_group = f.campaign_group AND r.is_test = f.is_test
    WHERE f.referral_id = ANY (doubted) AND r.referral_id = ANY (ids) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_doubted(bigint[], timestamptz) IS
'Of these referrals, of either level, those that would not be approved by what is known at a moment: their rewards are not released before cdp.rescore_referrals() or somebody decided. Only reads, locks nothing.';

-- Referral room, fraud: what it adds to erasures, health and maintenance.

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_referral_fraud(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  who bigint[] := customers || homes;
BEGIN
  RETURN QUERY SELECT x, 'delete', cdp_internal.erase_keyed(x, 'customer_id', who) FROM unnest(ARRAY['cdp_data.fraud_fact', 'cdp_data.fraud_list', 'cdp_data.fraud_ring']) x;
  UPDATE cdp_data.fraud_score s SET referrer_id = CASE WHEN s.referrer_id = ANY (who) THEN fresh ELSE s.referrer_id END, referee_id = CASE WHEN s.referee_id = ANY (who) THEN fresh ELSE s.referee_id END,
    reasons = (SELECT coalesce(jsonb_agg(e.value - 'evidence' ORDER BY e.ordinality), '[]') FROM jsonb_array_elements(s.reasons) WITH ORDINALITY e)
  WHERE s.referrer_id = ANY (who) OR s.referee_id = ANY (who);
  GET DIAGNOSTICS n = ROW_COUNT;
  table_name := 'cdp_data.fraud_score'; action := 'unlink'; RETURN NEXT;
  UPDATE cdp_data.referral_review v SET referrer_id = CASE WHEN v.referrer_id = ANY (who) THEN fresh ELSE v.referrer_id END, referee_id = CASE WHEN v.referee_id = ANY (who) THEN fresh ELSE v.referee_id END, note = NULL
  WHERE v.referrer_id = ANY (who) OR v.referee_id = ANY (who);
  GET DIAGNOSTICS n = ROW_COUNT;
  table_name := 'cdp_data.referral_review'; RETURN NEXT;
  UPDATE cdp_data.referral_appeal a SET customer_id = fresh, text = NULL, evidence = NULL WHERE a.customer_id = ANY (who);
  GET DIAGNOSTICS n = ROW_COUNT;
  table_name := 'cdp_data.referral_appeal'; RETURN NEXT;
  UPDATE cdp_data.referral_ban_lift f SET customer_id = NULL, reason = NULL WHERE f.customer_id = ANY (who);
  GET DIAGNOSTICS n = ROW_COUNT;
  table_name := 'cdp_data.referral_ban_lift'; RETURN NEXT;
  UPDATE cdp_data.referral_ban b SET customer_id = NULL, reason = 'erased' WHERE b.customer_id = ANY (who);
  GET DIAGNOSTICS n = ROW_COUNT;
  table_name := 'cdp_data.referral_ban'; RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_referral_fraud(bigint[], bigint[], bigint[], bigint, text) IS
'Takes a person who is erased out of scores, reviews, appeals and bans, with all free text and evidence, and deletes what he was seen with, his entries in lists and his place in rings. Counts and decisions stay. Keyed digests of confirmed fraud stay without a name. Returns what was done per table.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_referral_fraud()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.referral_review') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'referral_reviews_late', format('%s referrals wait for a review past their deadline, the oldest since %s', count(*), min(v.deadline)), 'Decide them: SELECT * FROM cdp_bi.referral_review_queue ORDER BY deadline;'
  FROM cdp_data.referral_review_now v JOIN cdp_data.referral r USING (referral_id) WHERE v.event IN ('opened', 'escalated', 'reopened') AND v.deadline < now() AND r.state = 'review' HAVING count(*) > 0
  UNION ALL
  SELECT 'warning', 'fraud_rule_unknown', format('weights are set for %s, which is no rule of this version', string_agg(DISTINCT r.code, ', ' ORDER BY r.code)), 'The rule was renamed or dropped; its weight has no effect.'
  FROM cdp_data.fraud_rule r WHERE NOT EXISTS (SELECT FROM cdp.fraud_rule_builtin() b WHERE b.code = r.code) HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_referral_fraud() IS 'Findings of cdp.health() about referral fraud: reviews past their deadline, weights of rules that are none.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_referral_fraud()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  -- Expired digests of addresses; a month longer, for scores of earlier moments.
  DELETE FROM cdp_data.fraud_history h WHERE h.expires_at < now() - interval '720 hours';
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % digests of confirmed fraud past their time', n;
  -- The run goes with its places: a score as of then says that it does not know, not that there was no ring.
  WITH gone AS (
    DELETE FROM cdp_data.fraud_ring_run u WHERE u.made_at < now() - interval '2160 hours' AND u.fraud_ring_run_id < (SELECT max(x.fraud_ring_run_id) FROM cdp_data.fraud_ring_run x) RETURNING u.fraud_ring_run_id
  )
  DELETE FROM cdp_data.fraud_ring r USING gone u WHERE u.fraud_ring_run_id = r.fraud_ring_run_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % places in rings of three months ago', n;
  DELETE FROM cdp_data.fraud_code c WHERE c.as_of < now() - interval '2160 hours';
  DELETE FROM cdp_data.fraud_norm c WHERE c.as_of < now() - interval '2160 hours';
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % measurements of referral campaigns of three months ago', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_referral_fraud() IS
'Part of cdp.maintain(): deletes digests of addresses 30 days after they ended, and searches for rings with what they found that are older than 90 days (the last one stays), and measurements of campaigns likewise.';

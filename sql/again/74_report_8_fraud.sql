-- Referral room, report: its section about fraud: what was kept back, what went out before it was known, and codes that leak.

CREATE OR REPLACE FUNCTION cdp_internal.referral_blocked(campaign integer, as_of timestamptz, OUT referrals bigint, OUT people bigint, OUT worth_minor numeric, OUT lost_minor numeric, OUT lost_referrals bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  WITH came AS MATERIALIZED (
    SELECT b.*, r.terms_version FROM cdp_internal.referral_brought(campaign, as_of) b JOIN cdp_data.referral r ON r.referral_id = b.referral_id
  ), rejected AS (
    SELECT c.referral_id, c.referrer FROM came c WHERE c.state = 'rejected'
  ), event AS (
    -- Tiers and milestones ask for all referrals of a referrer.
    SELECT jsonb_build_object('referral', c.referral_id, 'conversion', v.referral_conversion_id, 'referrer', c.referrer, 'referee', c.referee, 'level', 1, 'version', c.terms_version, 'kind', CASE WHEN v.kind = ANY (t.signup_kinds) THEN 'signup' ELSE 'purchase' END,
      'at', v.occurred_at, 'eligible', v.eligible_minor, 'refunded', 0, 'currency', v.currency, 'counts', true) AS e
    FROM came c JOIN cdp_data.referral_terms t ON t.referral_campaign_id = campaign AND t.terms_version = c.terms_version
      JOIN (SELECT x.*, CASE WHEN x.customer_id < 0 THEN x.customer_id ELSE cdp_internal.customer_root(map, NULL, x.customer_id, NULL) END AS root FROM cdp_data.referral_conversion x WHERE NOT x.is_test AND x.retracted_at IS NULL AND x.occurred_at <= as_of OFFSET 0) v
        ON v.root = c.referee AND v.occurred_at >= c.attributed_at AND (v.kind = ANY (t.signup_kinds) OR v.kind = ANY (t.conversion_kinds))
    WHERE c.state IN ('approved', 'rejected') AND c.referrer IN (SELECT r.referrer FROM rejected r)
  ), worth AS (
    SELECT a.amount_minor FROM cdp_data.referral_campaign p CROSS JOIN LATERAL cdp_internal.reward_amounts((SELECT coalesce(jsonb_agg(to_jsonb(u)), '[]') FROM cdp_data.reward_rule u WHERE u.referral_campaign_id = campaign), p.timezone, p.currency, (SELECT coalesce(jsonb_agg(e.e), '[]') FROM event e)) a
    WHERE p.referral_campaign_id = campaign AND a.referral IN (SELECT r.referral_id FROM rejected r)
  ), paid AS (
    SELECT w.referral_id, sum(w.lost_minor) AS lost FROM cdp_internal.referral_rewards(campaign, as_of) w WHERE w.lost_minor > 0 AND w.paid_at IS NOT NULL GROUP BY w.referral_id
  )
  SELECT (SELECT count(*) FROM rejected), (SELECT count(DISTINCT r.referrer) FROM rejected r), (SELECT coalesce(sum(w.amount_minor), 0) FROM worth w), coalesce(sum(p.lost), 0), count(p.referral_id) INTO referrals, people, worth_minor, lost_minor, lost_referrals
  FROM rejected r LEFT JOIN paid p ON p.referral_id = r.referral_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_blocked(integer, timestamptz) IS
'Referrals of a campaign that are rejected, how many referrers they had, what they would have earned by the rules before caps (cdp_internal.reward_amounts()), and what of it, and for how many, had been paid out before they were rejected; minor units of the campaign''s currency.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_fraud(campaign integer, as_of timestamptz, gate bytea, confidence double precision)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  b record := cdp_internal.referral_blocked(campaign, as_of);
  c record;
  n record;
  worth numeric;
BEGIN
  SELECT r.currency, power(10, cdp_internal.referral_exponent(r.currency))::numeric AS unit INTO c FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  worth := greatest(b.worth_minor, b.lost_minor);
  SELECT count(*) AS referrals, count(*) FILTER (WHERE EXISTS (SELECT FROM cdp_data.referral_decision v WHERE v.referral_id = l.referral_id AND v.as_of <= referral_report_fraud.as_of AND v.to_state = 'review') OR l.state = 'review') AS reviewed INTO n FROM cdp_internal.referral_brought(campaign, as_of, gate) l;
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'review_rate', n.reviewed, n.referrals, 'referrals', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'rejection_rate', b.referrals, greatest(n.referrals, b.referrals), 'referrals', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('fraud', 'value_blocked', ((worth - b.lost_minor) / c.unit)::double precision, c.currency, b.people, b.referrals - b.lost_referrals, NULL, NULL, 'rewards that rejected referrals would have earned, before caps, and that did not go out');
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('fraud', 'value_lost', (b.lost_minor / c.unit)::double precision, c.currency, b.people, b.lost_referrals, NULL, NULL, 'paid before the referral was rejected; what came back is among the money');
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('fraud', 'prevention_rate_by_value', ((worth - b.lost_minor) / nullif(worth, 0))::double precision, 'share', b.people, b.referrals, NULL, NULL, CASE WHEN worth = 0 THEN 'insufficient data: no rejected referrals that would have earned something' ELSE 'blocked / (blocked + confirmed later)' END,
    round((worth - b.lost_minor) / c.unit, 6), round(worth / c.unit, 6), 'value of rejected referrals');
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'prevention_rate_by_count', b.referrals - b.lost_referrals, b.referrals, 'rejected referrals', confidence);
  SELECT coalesce(sum(l.clicks), 0)::bigint AS clicks, coalesce(sum(l.leaks), 0)::bigint AS leaks INTO n FROM cdp_internal.referral_leaks(campaign, as_of, gate) l;
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'leak_rate', n.leaks, n.clicks, 'clicks of people', confidence);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_fraud(integer, timestamptz, bytea, double precision) IS
'Section fraud of cdp.referral_report().';

-- Referral room, report: its section about fraud: what was kept back, what went out before it was known, and codes that leak.

CREATE OR REPLACE FUNCTION cdp_internal.referral_frauds_of(campaign integer, as_of timestamptz, book record)
RETURNS TABLE (referral_id bigint, referrer bigint, referee bigint, attributed_at timestamptz, worth_minor numeric, lost_minor numeric, found_later boolean, once_approved boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea;
BEGIN
  IF array_position(book.states, 'rejected') IS NULL THEN
    RETURN;
  END IF;
  map := cdp_internal.customer_map();
  RETURN QUERY
  WITH came AS MATERIALIZED (
    SELECT b.*, r.terms_version FROM unnest(book.ids, book.referrers, book.referees, book.times, book.states) AS b (referral_id, referrer, referee, attributed_at, state) JOIN cdp_data.referral r ON r.referral_id = b.referral_id
  ), rejected AS MATERIALIZED ( -- but where people said that it was none, and where a deadline rejected, which says nothing about fraud
    SELECT c.referral_id, c.referrer, c.referee, c.attributed_at FROM came c
    WHERE c.state = 'rejected' AND NOT coalesce((SELECT v.event = 'rejected' AND NOT coalesce(v.is_fraud, v.reason IS DISTINCT FROM 'timeout')
      FROM cdp_data.referral_review v WHERE v.referral_id = c.referral_id AND v.event IN ('approved', 'rejected') ORDER BY v.referral_review_id DESC LIMIT 1), false)
  ), event AS (
    -- Tiers and milestones ask for all referrals of a referrer.
    SELECT jsonb_build_object('referral', c.referral_id, 'conversion', v.referral_conversion_id, 'referrer', c.referrer, 'referee', c.referee, 'level', 1, 'version', c.terms_version, 'kind', CASE WHEN v.kind = ANY (t.signup_kinds) THEN 'signup' ELSE 'purchase' END,
      'at', v.occurred_at, 'eligible', v.eligible_minor, 'refunded', 0, 'currency', v.currency, 'counts', true) AS e
    FROM came c JOIN cdp_data.referral_terms t ON t.referral_campaign_id = campaign AND t.terms_version = c.terms_version
      JOIN (SELECT x.*, CASE WHEN x.customer_id < 0 THEN x.customer_id ELSE cdp_internal.customer_root(map, NULL, x.customer_id, NULL) END AS root FROM cdp_data.referral_conversion x WHERE NOT x.is_test AND x.retracted_at IS NULL AND x.occurred_at <= as_of OFFSET 0) v
        ON v.root = c.referee AND v.occurred_at >= c.attributed_at AND (v.kind = ANY (t.signup_kinds) OR v.kind = ANY (t.conversion_kinds))
    WHERE (c.state = 'approved' OR c.referral_id IN (SELECT r.referral_id FROM rejected r)) AND c.referrer IN (SELECT r.referrer FROM rejected r)
  ), worth AS (
    SELECT a.referral, sum(a.amount_minor) AS minor FROM cdp_data.referral_campaign p CROSS JOIN LATERAL cdp_internal.reward_amounts((SELECT coalesce(jsonb_agg(to_jsonb(u)), '[]') FROM cdp_data.reward_rule u WHERE u.referral_campaign_id = campaign), p.timezone, p.currency, (SELECT coalesce(jsonb_agg(e.e), '[]') FROM event e)) a
    WHERE p.referral_campaign_id = campaign GROUP BY a.referral
  ), paid AS (
    SELECT r.referral_id, (SELECT coalesce(sum(w.paid_minor + w.offset_minor), 0) FROM cdp_data.reward w WHERE w.referral_id = r.referral_id AND w.paid_at <= as_of) AS lost FROM rejected r
  )
  SELECT r.referral_id, r.referrer, r.referee, r.attributed_at, greatest(coalesce(w.minor, 0), p.lost)::numeric, p.lost::numeric, p.lost > 0, EXISTS (SELECT FROM cdp_data.referral_decision d WHERE d.referral_id = r.referral_id AND d.to_state = 'approved')
  FROM rejected r LEFT JOIN worth w ON w.referral = r.referral_id JOIN paid p ON p.referral_id = r.referral_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_frauds_of(integer, timestamptz, record) IS
'cdp_internal.referral_frauds() from what was read before: cdp_internal.referral_book().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_frauds(campaign integer, as_of timestamptz)
RETURNS TABLE (referral_id bigint, referrer bigint, referee bigint, attributed_at timestamptz, worth_minor numeric, lost_minor numeric, found_later boolean, once_approved boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY SELECT * FROM cdp_internal.referral_frauds_of(campaign, as_of, cdp_internal.referral_book(campaign, as_of, NULL));
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_frauds(integer, timestamptz) IS
'Referrals of a campaign up to as_of that are rejected as fraud now, a row each (of each referee one): by score or list, or by somebody who did not say that it was none; not those that a deadline rejected, as nobody looked. worth_minor: what they would have earned by the rules before caps (cdp_internal.reward_amounts()), at least what went out for them; lost_minor: what of it had been paid; found_later: something had; once_approved: it had been approved before. Minor units of the campaign''s currency. What cdp.referral_report() and cdp.fraud_prevention() call prevented.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_fraud(campaign integer, as_of timestamptz, gate bytea, confidence double precision, book record)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  b record;
  c record;
  n record;
BEGIN
  SELECT r.currency, power(10, cdp_internal.referral_exponent(r.currency))::numeric AS unit INTO c FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  SELECT count(*) AS referrals, count(*) FILTER (WHERE l.state = 'rejected') AS rejected, count(*) FILTER (WHERE l.state = 'review' OR EXISTS (SELECT FROM cdp_data.referral_decision d WHERE d.referral_id = l.referral_id AND d.as_of <= referral_report_fraud.as_of AND d.to_state = 'review')) AS reviewed INTO n
  FROM unnest(book.ids, book.states, book.ours) AS l (referral_id, state, ours) WHERE l.ours;
  -- Money is of everybody, counts of who agreed to them.
  SELECT count(DISTINCT f.referrer) AS people, count(DISTINCT f.referrer) FILTER (WHERE f.worth_minor > f.lost_minor) AS blocked_people, count(DISTINCT f.referrer) FILTER (WHERE f.found_later) AS lost_people, coalesce(sum(f.worth_minor), 0) / c.unit AS worth, coalesce(sum(f.lost_minor), 0) / c.unit AS lost, count(*) AS referrals, count(*) FILTER (WHERE f.found_later) AS later,
    count(*) FILTER (WHERE x.ours) AS ours, count(*) FILTER (WHERE x.ours AND NOT f.found_later) AS ours_blocked INTO b
  FROM cdp_internal.referral_frauds_of(campaign, as_of, book) f CROSS JOIN LATERAL (SELECT f.referee < 0 OR cdp_internal.bitmap_has(gate, f.referee) AS ours) x;
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'review_rate', n.reviewed, n.referrals, 'referrals', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'rejection_rate', n.rejected, n.referrals, 'referrals', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('fraud', 'value_blocked', (b.worth - b.lost)::double precision, c.currency, b.blocked_people, b.referrals - b.later, NULL, NULL, 'rewards that referrals rejected as fraud would have earned, before caps, and that did not go out');
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('fraud', 'value_lost', b.lost::double precision, c.currency, b.lost_people, b.later, NULL, NULL, 'rewards paid before the referral was rejected as fraud; what came back is among the money');
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('fraud', 'prevention_rate_by_value', (b.worth - b.lost)::double precision / nullif(b.worth, 0)::double precision, 'share', CASE WHEN cdp_internal.few_people(b.lost_people, NULL) THEN b.lost_people WHEN cdp_internal.few_people(b.blocked_people, NULL) THEN b.blocked_people ELSE b.people END, b.referrals, NULL, NULL,
    CASE WHEN b.worth = 0 THEN 'insufficient data: no referrals rejected as fraud that would have earned something' ELSE 'blocked / (blocked + found after it was paid)' END, round(b.worth - b.lost, 6), round(b.worth, 6), 'rewards of referrals rejected as fraud');
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'prevention_rate_by_count', b.ours_blocked, b.ours, 'referrals rejected as fraud', confidence);
  SELECT coalesce(sum(l.clicks), 0)::bigint AS clicks, coalesce(sum(l.leaks), 0)::bigint AS leaks INTO n FROM cdp_internal.referral_leaks(campaign, as_of, gate) l;
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('fraud', 'leak_rate', n.leaks, n.clicks, 'clicks of people', confidence);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_fraud(integer, timestamptz, bytea, double precision, record) IS
'Section fraud of cdp.referral_report().';

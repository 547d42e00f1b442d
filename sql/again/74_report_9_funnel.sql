-- Referral room, report: the live funnel of every campaign: how many came how far, by the customers of now.

CREATE OR REPLACE FUNCTION cdp_internal.referral_funnel_counts(campaign integer, as_of timestamptz, gate bytea,
  OUT reached bigint, OUT enrolled bigint, OUT sharers bigint, OUT visitors bigint, OUT visitors_signed bigint, OUT visitors_bought bigint, OUT referees bigint, OUT buyers bigint, OUT approved bigint, OUT paid bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  -- Numbers below zero are people who were erased: they count, and nobody is asked for them.
  WITH code AS MATERIALIZED (
    SELECT c.referral_code_id, CASE WHEN c.customer_id < 0 THEN c.customer_id ELSE cdp_internal.customer_root(map, NULL, c.customer_id, NULL) END AS root
    FROM cdp_data.referral_code c WHERE c.referral_campaign_id = campaign AND NOT c.is_test AND c.issued_at <= as_of
  ), told AS MATERIALIZED (
    SELECT DISTINCT cdp_internal.customer_root(map, NULL, d.customer_id, NULL) AS root FROM cdp_data.referral_distribution d
    WHERE d.referral_campaign_id = campaign AND d.state IN ('sent', 'delivered') AND coalesce(d.sent_at, d.delivered_at) <= as_of
  ), click AS MATERIALIZED (
    SELECT k.referral_click_id, k.referral_code_id, x.root, CASE WHEN x.root IS NOT NULL THEN 'c' || x.root WHEN k.device_digest IS NOT NULL THEN 'd' || encode(k.device_digest, 'hex')
      WHEN k.ip_digest IS NOT NULL AND k.agent_digest IS NOT NULL THEN 'n' || encode(k.ip_digest || k.agent_digest, 'hex') ELSE 'k' || k.referral_click_id END AS visitor
    FROM cdp_data.referral_click k CROSS JOIN LATERAL (SELECT CASE WHEN k.customer_id < 0 THEN k.customer_id ELSE cdp_internal.customer_root(map, NULL, k.customer_id, NULL) END AS root OFFSET 0) x
    WHERE k.referral_campaign_id = campaign AND NOT k.is_test AND NOT k.bot AND NOT k.prefetch AND k.retracted_at IS NULL AND k.clicked_at <= as_of AND (x.root IS NULL OR x.root < 0 OR cdp_internal.bitmap_has(gate, x.root))
  ), came AS MATERIALIZED (
    SELECT DISTINCT ON (x.referee) x.* FROM (
      SELECT r.referral_id, r.state, r.attributed_at, r.referral_click_id, t.conversion_kinds, CASE WHEN r.referee_id < 0 THEN r.referee_id ELSE cdp_internal.customer_root(map, NULL, r.referee_id, NULL) END AS referee,
        CASE WHEN r.referrer_id < 0 THEN r.referrer_id ELSE cdp_internal.customer_root(map, NULL, r.referrer_id, NULL) END AS referrer
      FROM cdp_data.referral r LEFT JOIN cdp_data.referral_terms t ON t.referral_campaign_id = r.referral_campaign_id AND t.terms_version = r.terms_version
      WHERE r.referral_campaign_id = campaign AND r.level = 1 AND NOT r.is_test AND r.attributed_at <= as_of AND r.state IN ('pending', 'approved', 'review', 'rejected')) x
    WHERE x.referee < 0 OR cdp_internal.bitmap_has(gate, x.referee) ORDER BY x.referee, x.state = 'rejected', x.attributed_at, x.referral_id
  ), bought AS MATERIALIZED (
    SELECT DISTINCT c.referral_id FROM came c JOIN (
        SELECT v.kind, v.occurred_at, CASE WHEN v.customer_id < 0 THEN v.customer_id ELSE cdp_internal.customer_root(map, NULL, v.customer_id, NULL) END AS root
        FROM cdp_data.referral_conversion v WHERE NOT v.is_test AND v.retracted_at IS NULL AND v.occurred_at <= as_of AND v.occurred_at >= (SELECT min(m.attributed_at) FROM came m) OFFSET 0) v
      ON v.root = c.referee AND v.occurred_at >= c.attributed_at AND v.kind = ANY (c.conversion_kinds)
  ), active AS MATERIALIZED (
    SELECT CASE WHEN s.customer_id < 0 THEN s.customer_id ELSE cdp_internal.customer_root(map, NULL, s.customer_id, NULL) END AS root FROM cdp_data.referral_share s
    WHERE s.referral_campaign_id = campaign AND NOT s.is_test AND s.retracted_at IS NULL AND s.shared_at <= as_of
    UNION SELECT c.root FROM click k JOIN code c USING (referral_code_id) UNION SELECT m.referrer FROM came m WHERE m.state <> 'rejected'
  ), seen AS (
    SELECT count(DISTINCT k.visitor) AS n, count(DISTINCT k.visitor) FILTER (WHERE m.referral_id IS NOT NULL) AS signed, count(DISTINCT k.visitor) FILTER (WHERE b.referral_id IS NOT NULL) AS bought
    FROM click k LEFT JOIN came m ON m.referral_click_id = k.referral_click_id LEFT JOIN bought b ON b.referral_id = m.referral_id
  )
  SELECT (SELECT count(*) FROM (SELECT t.root FROM told t UNION SELECT a.root FROM active a) u WHERE u.root < 0 OR cdp_internal.bitmap_has(gate, u.root)), (SELECT count(DISTINCT c.root) FROM code c WHERE c.root < 0 OR cdp_internal.bitmap_has(gate, c.root)),
    (SELECT count(*) FROM active a WHERE a.root < 0 OR cdp_internal.bitmap_has(gate, a.root)), s.n, s.signed, s.bought, (SELECT count(*) FROM came), (SELECT count(*) FROM bought), (SELECT count(*) FROM came m WHERE m.state = 'approved'),
    (SELECT count(DISTINCT m.referral_id) FROM came m JOIN cdp_data.reward w USING (referral_id) WHERE m.state = 'approved' AND w.paid_at <= as_of)
  INTO reached, enrolled, sharers, visitors, visitors_signed, visitors_bought, referees, buyers, approved, paid FROM seen s;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_funnel_counts(integer, timestamptz, bytea) IS
'People of a campaign up to as_of, by the customers of now, as cdp.referral_funnel() tells them; visitors_signed and visitors_bought: visitors whose click brought a referral, and a purchase. gate: bitmap of cdp_internal.consent_gate(''analytics''), NULL leaves nobody out.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_funnel_rows(campaign text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (referral_campaign text, state text, reached bigint, enrolled bigint, shared bigint, clicked bigint, signed_up bigint, converted bigint, approved bigint, paid bigint,
  participation_rate numeric, signup_rate numeric, conversion_rate numeric, approval_rate numeric, paid_rate numeric, denominators jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := coalesce(as_of, now());
  gate bytea := cdp_internal.consent_gate('analytics');
  only_one integer := CASE WHEN campaign IS NOT NULL THEN cdp_internal.referral_campaign_of(campaign) END;
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT c.name::text, c.state::text, n.reached, n.enrolled, n.shared, n.clicked, n.signed_up, n.converted, n.approved, n.paid,
    -- A rate of whom a count is hidden would tell it.
    CASE WHEN n.shared IS NOT NULL THEN round(n.shared::numeric / nullif(n.reached, 0), 6) END, CASE WHEN NOT cdp_internal.few_people(x.visitors_signed, x.visitors) THEN round(x.visitors_signed::numeric / nullif(n.clicked, 0), 6) END,
    CASE WHEN NOT cdp_internal.few_people(x.visitors_bought, x.visitors) THEN round(x.visitors_bought::numeric / nullif(n.clicked, 0), 6) END, round(n.approved::numeric / nullif(n.signed_up, 0), 6), round(n.paid::numeric / nullif(n.approved, 0), 6),
    '{"participation_rate": "reached", "signup_rate": "clicked", "conversion_rate": "clicked", "approval_rate": "signed_up", "paid_rate": "approved"}'::jsonb
  FROM cdp_data.referral_campaign c CROSS JOIN LATERAL cdp_internal.referral_funnel_counts(c.referral_campaign_id, moment, gate) x
    CROSS JOIN LATERAL (SELECT CASE WHEN NOT cdp_internal.few_people(x.reached, NULL) THEN x.reached END AS reached, CASE WHEN NOT cdp_internal.few_people(x.enrolled, NULL) THEN x.enrolled END AS enrolled, CASE WHEN NOT cdp_internal.few_people(x.sharers, x.reached) THEN x.sharers END AS shared,
      CASE WHEN NOT cdp_internal.few_people(x.visitors, NULL) THEN x.visitors END AS clicked, CASE WHEN NOT cdp_internal.few_people(x.referees, NULL) THEN x.referees END AS signed_up, CASE WHEN NOT cdp_internal.few_people(x.buyers, x.referees) THEN x.buyers END AS converted,
      CASE WHEN NOT cdp_internal.few_people(x.approved, x.referees) THEN x.approved END AS approved, CASE WHEN NOT cdp_internal.few_people(x.paid, x.approved) THEN x.paid END AS paid) n
  WHERE coalesce(c.referral_campaign_id = only_one, true) ORDER BY c.name;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_funnel_rows(text, timestamptz) IS 'What cdp.referral_funnel() shows; it runs with the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.referral_funnel(campaign text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (referral_campaign text, state text, reached bigint, enrolled bigint, shared bigint, clicked bigint, signed_up bigint, converted bigint, approved bigint, paid bigint,
  participation_rate numeric, signup_rate numeric, conversion_rate numeric, approval_rate numeric, paid_rate numeric, denominators jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_data.referral_funnel(campaign, as_of);
END
$$;
COMMENT ON FUNCTION cdp.referral_funnel(text, timestamptz) IS
'How far people came in a referral campaign (NULL: in each), as known at as_of (NULL: now), by the customers of now; tests, programs and what was taken back are nowhere in it. reached: advocates who were told, and those who shared without; enrolled: who have a code; shared: who shared, or whose link was clicked or brought somebody; clicked: visitors; signed_up: who was referred (rejected ones, too); converted: of them who bought; approved: referrals in order; paid: of them some reward was paid. participation_rate = shared / reached, signup_rate and conversion_rate: visitors whose click brought a referral, a purchase / clicked, approval_rate = approved / signed_up, paid_rate = paid / approved; denominators names them. A rate without anybody below the line, and figures of fewer people than minimum_audience, are NULL. Errors: 42704 no such campaign, 42501 for a role that is kept to some sources.';

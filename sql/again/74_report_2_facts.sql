-- Referral room, report: the facts from which figures are counted: people, clicks, referrals and rewards of a campaign up to a
-- moment, by the customers of now, one set-based statement each. Test traffic and what was taken back are nowhere in them.

CREATE OR REPLACE FUNCTION cdp_internal.referral_brought(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL)
RETURNS TABLE (referral_id bigint, referrer bigint, referee bigint, attributed_at timestamptz, state text, score double precision, method text, referral_code_id bigint, referral_click_id bigint,
  channel text, bought_at timestamptz, purchases bigint, revenue_minor numeric, refunded_minor numeric, foreign_purchases bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  RETURN QUERY
  WITH live AS MATERIALIZED (
    SELECT DISTINCT ON (x.referee) x.* FROM (
      SELECT r.referral_id, CASE WHEN r.referrer_id < 0 THEN r.referrer_id ELSE cdp_internal.customer_root(map, NULL, r.referrer_id, NULL) END AS referrer,
        CASE WHEN r.referee_id < 0 THEN r.referee_id ELSE cdp_internal.customer_root(map, NULL, r.referee_id, NULL) END AS referee,
        r.attributed_at, r.state, r.score, r.method, r.referral_code_id, r.referral_click_id, t.conversion_kinds, c.currency
      FROM cdp_data.referral r JOIN cdp_data.referral_campaign c ON c.referral_campaign_id = r.referral_campaign_id
        LEFT JOIN cdp_data.referral_terms t ON t.referral_campaign_id = r.referral_campaign_id AND t.terms_version = r.terms_version
      WHERE r.referral_campaign_id = campaign AND r.level = 1 AND NOT r.is_test AND r.attributed_at <= as_of AND r.state IN ('pending', 'approved', 'review', 'rejected')) x
    WHERE x.referee < 0 OR cdp_internal.bitmap_has(gate, x.referee)
    ORDER BY x.referee, x.state = 'rejected', x.attributed_at, x.referral_id
  ), given AS (
    SELECT f.referral_conversion_id AS id, sum(f.amount_minor) AS minor FROM cdp_data.referral_refund f WHERE f.retracted_at IS NULL AND f.refunded_at <= as_of GROUP BY 1
  ), bought AS (
    SELECT l.referral_id, min(v.occurred_at) AS at, count(*) AS n, sum(v.eligible_minor) FILTER (WHERE v.currency = l.currency) AS minor,
      sum(least(g.minor, v.eligible_minor)) FILTER (WHERE v.currency = l.currency AND g.minor > 0) AS refunded, count(*) FILTER (WHERE v.currency <> l.currency) AS elsewhere
    FROM live l JOIN (
        SELECT CASE WHEN v.customer_id < 0 THEN v.customer_id ELSE cdp_internal.customer_root(map, NULL, v.customer_id, NULL) END AS root, v.referral_conversion_id, v.kind, v.occurred_at, v.eligible_minor, v.currency
        FROM cdp_data.referral_conversion v WHERE NOT v.is_test AND v.retracted_at IS NULL AND v.occurred_at <= as_of AND v.occurred_at >= (SELECT min(m.attributed_at) FROM live m) OFFSET 0) v
      ON v.root = l.referee AND v.occurred_at >= l.attributed_at AND v.kind = ANY (l.conversion_kinds)
      LEFT JOIN given g ON g.id = v.referral_conversion_id
    GROUP BY l.referral_id
  )
  SELECT l.referral_id, l.referrer, l.referee, l.attributed_at, l.state::text, l.score, l.method::text, l.referral_code_id, l.referral_click_id,
    coalesce(nullif(k.channel, ''), nullif(d.channel, ''), '')::text, b.at, coalesce(b.n, 0), coalesce(b.minor, 0), coalesce(b.refunded, 0), coalesce(b.elsewhere, 0)
  FROM live l LEFT JOIN bought b ON b.referral_id = l.referral_id LEFT JOIN cdp_data.referral_click k ON k.referral_click_id = l.referral_click_id LEFT JOIN cdp_data.referral_code d ON d.referral_code_id = l.referral_code_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_brought(integer, timestamptz, bytea) IS
'Who was brought by whom in a campaign up to as_of: one row for each referee of now with a live referral of level 1 (pending, approved, review, rejected, as it stands now), both as roots (below zero: erased). channel: of the click, else of the code, '''': not told. bought_at: first purchase (conversion_kinds of the terms) from the referral on, purchases how many, revenue_minor what they are worth net of tax, shipping and discounts in the campaign''s currency, refunded_minor what was given back of it; foreign_purchases: those in other currencies, in no sum. gate: bitmap of cdp_internal.consent_gate(''analytics''), NULL leaves nobody out.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_clicks(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL)
RETURNS TABLE (referral_click_id bigint, visitor text, root bigint, referral_code_id bigint, clicked_at timestamptz, channel text, variant text, paid boolean, referrer_host text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  RETURN QUERY
  SELECT x.referral_click_id, CASE WHEN x.root IS NOT NULL THEN 'c' || x.root WHEN x.device_digest IS NOT NULL THEN 'd' || encode(x.device_digest, 'hex')
      WHEN x.ip_digest IS NOT NULL AND x.agent_digest IS NOT NULL THEN 'n' || encode(x.ip_digest || x.agent_digest, 'hex') ELSE 'k' || x.referral_click_id END,
    x.root, x.referral_code_id, x.clicked_at, coalesce(nullif(x.channel, ''), d.channel, '')::text, x.variant::text, x.paid, x.referrer_host::text
  FROM (SELECT k.*, CASE WHEN k.customer_id < 0 THEN k.customer_id ELSE cdp_internal.customer_root(map, NULL, k.customer_id, NULL) END AS root
    FROM cdp_data.referral_click k WHERE k.referral_campaign_id = campaign AND NOT k.is_test AND NOT k.bot AND NOT k.prefetch AND k.retracted_at IS NULL AND k.clicked_at <= as_of OFFSET 0) x
    LEFT JOIN cdp_data.referral_code d ON d.referral_code_id = x.referral_code_id
  WHERE x.root IS NULL OR x.root < 0 OR cdp_internal.bitmap_has(gate, x.root);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_clicks(integer, timestamptz, bytea) IS
'Clicks of people on the links of a campaign up to as_of, without programs, prefetches and tests. visitor tells visitors apart: by the customer of now, else by device, else by address and browser, else each click is one. root: the customer, NULL: nothing told who it was.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_shares(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL)
RETURNS TABLE (root bigint, shared_at timestamptz, channel text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  RETURN QUERY
  SELECT x.root, x.shared_at, x.channel::text
  FROM (SELECT s.shared_at, s.channel, CASE WHEN s.customer_id < 0 THEN s.customer_id ELSE cdp_internal.customer_root(map, NULL, s.customer_id, NULL) END AS root
    FROM cdp_data.referral_share s WHERE s.referral_campaign_id = campaign AND NOT s.is_test AND s.retracted_at IS NULL AND s.shared_at <= as_of OFFSET 0) x
  WHERE x.root < 0 OR cdp_internal.bitmap_has(gate, x.root);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_shares(integer, timestamptz, bytea) IS
'Acts of sharing in a campaign up to as_of, each an invitation, by the advocate of now.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_members(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL)
RETURNS TABLE (root bigint, told_at timestamptz, told_channel text, told_language text, variant text, enrolled_at timestamptz, shares bigint, shared_at timestamptz, referred_at timestamptz, joined_at timestamptz,
  brought bigint, brought_buyers bigint, brought_at timestamptz, clickers bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  RETURN QUERY
  WITH code AS MATERIALIZED (
    SELECT x.* FROM (SELECT c.referral_code_id, c.issued_at, CASE WHEN c.customer_id < 0 THEN c.customer_id ELSE cdp_internal.customer_root(map, NULL, c.customer_id, NULL) END AS root
      FROM cdp_data.referral_code c WHERE c.referral_campaign_id = campaign AND NOT c.is_test AND c.issued_at <= as_of OFFSET 0) x
    WHERE x.root < 0 OR cdp_internal.bitmap_has(gate, x.root)
  ), came AS MATERIALIZED (
    SELECT b.* FROM cdp_internal.referral_brought(campaign, as_of, gate) b WHERE b.state <> 'rejected'
  ), told AS (
    SELECT DISTINCT ON (x.root) x.root, x.at, x.channel, coalesce(m.language, '') AS language, x.variant
    FROM (SELECT cdp_internal.customer_root(map, NULL, d.customer_id, NULL) AS root, coalesce(d.sent_at, d.delivered_at) AS at, d.channel, d.variant, d.referral_material_id, d.referral_distribution_id AS id
      FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = campaign AND d.state IN ('sent', 'delivered') AND coalesce(d.sent_at, d.delivered_at) <= as_of OFFSET 0) x LEFT JOIN cdp_data.referral_material m ON m.referral_material_id = x.referral_material_id
    WHERE cdp_internal.bitmap_has(gate, x.root) ORDER BY x.root, x.at, x.id
  ), fact AS (
    SELECT t.root, t.at AS told_at, t.channel::text AS channel, t.language::text AS language, t.variant::text AS variant, NULL::timestamptz AS enrolled_at, 0::bigint AS shares, NULL::timestamptz AS shared_at, NULL::timestamptz AS referred_at,
      0::bigint AS brought, 0::bigint AS buyers, NULL::timestamptz AS brought_at, 0::bigint AS clickers FROM told t
    UNION ALL SELECT c.root, NULL, NULL, NULL, NULL, min(c.issued_at), 0, NULL, NULL, 0, 0, NULL, 0 FROM code c GROUP BY c.root
    UNION ALL SELECT s.root, NULL, NULL, NULL, NULL, NULL, count(*), min(s.shared_at), NULL, 0, 0, NULL, 0 FROM cdp_internal.referral_shares(campaign, as_of, gate) s GROUP BY s.root
    UNION ALL SELECT b.referee, NULL, NULL, NULL, NULL, NULL, 0, NULL, b.attributed_at, 0, 0, NULL, 0 FROM came b
    UNION ALL SELECT b.referrer, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, count(*), count(b.bought_at), min(b.attributed_at), 0 FROM came b WHERE (b.referrer < 0 OR cdp_internal.bitmap_has(gate, b.referrer)) GROUP BY b.referrer
    UNION ALL SELECT c.root, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, count(DISTINCT k.visitor) FROM cdp_internal.referral_clicks(campaign, as_of, gate) k JOIN code c ON c.referral_code_id = k.referral_code_id GROUP BY c.root
  )
  SELECT f.root, min(f.told_at), min(f.channel), min(f.language), min(f.variant), min(f.enrolled_at), sum(f.shares)::bigint, min(f.shared_at), min(f.referred_at),
    least(min(f.enrolled_at), min(f.shared_at), min(f.referred_at), min(f.brought_at)), sum(f.brought)::bigint, sum(f.buyers)::bigint, min(f.brought_at), sum(f.clickers)::bigint
  FROM fact f GROUP BY f.root;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_members(integer, timestamptz, bytea) IS
'Everybody of a campaign up to as_of, a row for each customer of now: told_at (a message went out; channel, language and variant of the first one), enrolled_at (first code), shares and the first one, referred_at (was brought himself), joined_at (the earliest of these but being told), brought (referrals that are not rejected), brought_buyers (of them who bought), brought_at (the first), clickers (visitors on his links). NULL or 0: not.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rewards(campaign integer, as_of timestamptz)
RETURNS TABLE (reward_id bigint, referral_id bigint, root bigint, side text, amount_minor bigint, lost_minor bigint, clawed_minor bigint, expired_minor bigint, open_minor bigint, capped_minor bigint, state text, referral_state text,
  earned_at timestamptz, available_at timestamptz, paid_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  RETURN QUERY
  WITH later AS ( -- what refunds of after as_of took back is not yet taken back
    SELECT f.referral_conversion_id AS id, sum(f.amount_minor)::bigint AS minor, coalesce(sum(f.amount_minor) FILTER (WHERE f.refunded_at <= as_of), 0)::bigint AS until_minor
    FROM cdp_data.referral_refund f WHERE f.retracted_at IS NULL GROUP BY 1 HAVING max(f.refunded_at) > as_of
  ), reward AS (
    SELECT w.*, r.state AS referral_state, coalesce(v.occurred_at, w.granted_at) AS earned_at, w.paid_at <= as_of AS is_paid,
      CASE WHEN l.id IS NOT NULL AND w.clawed_minor > 0 AND w.milestone IS NULL AND r.state = 'approved'
        THEN least(w.clawed_minor, cdp_internal.refund_share(w.amount_minor, l.minor, v.eligible_minor) - cdp_internal.refund_share(w.amount_minor, l.until_minor, v.eligible_minor)) ELSE 0 END AS clawed_later,
      CASE WHEN w.expired_minor > 0 AND (SELECT min(p.occurred_at) FROM cdp_data.ledger_posting p WHERE p.reward_id = w.reward_id AND p.kind = 'expire') > as_of THEN w.expired_minor ELSE 0 END AS expired_later
    FROM cdp_data.reward w JOIN cdp_data.referral r ON r.referral_id = w.referral_id
      LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = w.referral_conversion_id LEFT JOIN later l ON l.id = w.referral_conversion_id
    WHERE w.referral_campaign_id = campaign AND NOT r.is_test AND coalesce(v.occurred_at, w.granted_at) <= as_of
  )
  SELECT w.reward_id, w.referral_id, CASE WHEN w.customer_id < 0 THEN w.customer_id ELSE cdp_internal.customer_root(map, NULL, w.customer_id, NULL) END, w.side::text, w.amount_minor,
    CASE WHEN w.referral_state = 'rejected' THEN w.paid_minor + w.offset_minor ELSE 0 END, w.clawed_minor - w.clawed_later, w.expired_minor - w.expired_later,
    CASE WHEN w.is_paid THEN w.pending_minor + w.available_minor ELSE least(w.amount_minor, w.pending_minor + w.available_minor + w.paid_minor + w.clawed_later + w.expired_later) END,
    CASE WHEN w.reason LIKE 'cap %' THEN w.wanted_minor - w.amount_minor ELSE 0 END, w.state::text, w.referral_state::text,
    w.earned_at, CASE WHEN w.available_at <= as_of THEN w.available_at END, CASE WHEN w.is_paid THEN w.paid_at END
  FROM reward w;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rewards(integer, timestamptz) IS
'Rewards of a campaign that were earned up to as_of, a row each, in minor units of its currency: amount_minor what was granted, clawed_minor taken back of it, expired_minor not taken in time, open_minor approved and not paid, capped_minor what a cap refused, lost_minor paid for what is now rejected and not taken back. Refunds, expiries and payments of after as_of are not in them; which referrals are approved is as of now. earned_at: time of the conversion; available_at and paid_at: NULL when not until as_of.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_counts(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL,
  OUT told bigint, OUT reached bigint, OUT enrolled bigint, OUT reached_enrolled bigint, OUT sharers bigint, OUT enrolled_sharers bigint, OUT invitations bigint, OUT clicked_sharers bigint, OUT clicks_each double precision[], OUT shares_each double precision[],
  OUT visitors bigint, OUT visitors_signed bigint, OUT visitors_bought bigint, OUT referees bigint, OUT buyers bigint, OUT approved bigint, OUT rejected bigint, OUT undecided bigint, OUT paid bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
BEGIN
  SELECT count(m.told_at), count(*) FILTER (WHERE m.told_at IS NOT NULL OR m.active), count(m.enrolled_at), count(*) FILTER (WHERE m.enrolled_at IS NOT NULL AND m.told_at IS NOT NULL), count(*) FILTER (WHERE m.active),
    count(*) FILTER (WHERE m.enrolled_at IS NOT NULL AND m.active), coalesce(sum(m.shares), 0), count(*) FILTER (WHERE m.clickers > 0), coalesce(array_agg(m.clickers::double precision) FILTER (WHERE m.shares > 0), '{}'), coalesce(array_agg(m.shares::double precision) FILTER (WHERE m.shares > 0), '{}')
  INTO told, reached, enrolled, reached_enrolled, sharers, enrolled_sharers, invitations, clicked_sharers, clicks_each, shares_each
  FROM (SELECT x.*, x.shared_at IS NOT NULL OR x.clickers > 0 OR x.brought > 0 AS active FROM cdp_internal.referral_members(campaign, as_of, gate) x) m;
  WITH came AS MATERIALIZED (
    SELECT b.* FROM cdp_internal.referral_brought(campaign, as_of, gate) b
  ), click AS (
    SELECT count(DISTINCT k.visitor) AS visitors, count(DISTINCT k.visitor) FILTER (WHERE b.referral_id IS NOT NULL) AS signed, count(DISTINCT k.visitor) FILTER (WHERE b.bought_at IS NOT NULL) AS bought
    FROM cdp_internal.referral_clicks(campaign, as_of, gate) k LEFT JOIN came b ON b.referral_click_id = k.referral_click_id
  ), paid AS (
    SELECT DISTINCT w.referral_id FROM cdp_internal.referral_rewards(campaign, as_of) w WHERE w.paid_at IS NOT NULL
  )
  SELECT k.visitors, k.signed, k.bought, x.* INTO visitors, visitors_signed, visitors_bought, referees, buyers, approved, rejected, undecided, paid
  FROM click k, (SELECT count(*), count(b.bought_at), count(*) FILTER (WHERE b.state = 'approved'), count(*) FILTER (WHERE b.state = 'rejected'), count(*) FILTER (WHERE b.state IN ('pending', 'review')), count(p.referral_id) FILTER (WHERE b.state = 'approved')
    FROM came b LEFT JOIN paid p ON p.referral_id = b.referral_id) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_counts(integer, timestamptz, bytea) IS
'Counts of a campaign up to as_of from which its rates are made. told: a message went out; reached: told, or known of because they shared; sharers: shared, or their link was clicked or brought somebody (a link that was copied tells of no share), reached_enrolled and enrolled_sharers: both; clicks_each, shares_each: of each who shared; visitors: who clicked, visitors_signed and visitors_bought: whose click brought a referral, and a purchase; referees: with a live referral; buyers: of them who bought; approved, rejected, undecided; paid: approved, and a reward of it was paid.';

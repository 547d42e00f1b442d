-- Referral room, report: the facts from which figures are counted: people, clicks, referrals and rewards of a campaign up to a
-- moment, by the customers of now, one set-based statement each. Test traffic and what was taken back are nowhere in them.

CREATE OR REPLACE FUNCTION cdp_internal.referral_brought(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL, as_decided boolean DEFAULT false)
RETURNS TABLE (referral_id bigint, referrer bigint, referee bigint, attributed_at timestamptz, state text, score double precision, method text, referral_code_id bigint, referral_click_id bigint,
  channel text, bought_at timestamptz, purchases bigint, revenue_minor numeric, refunded_minor numeric, foreign_purchases bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
BEGIN
  RETURN QUERY
  WITH before AS ( -- what had been decided by then of what was decided later; what had not waited
    SELECT DISTINCT ON (d.referral_id) d.referral_id, CASE WHEN d.decided_at <= referral_brought.as_of THEN d.to_state WHEN r.state IN ('ineligible', 'duplicate') THEN r.state ELSE 'pending' END AS state
    FROM cdp_data.referral r JOIN cdp_data.referral_decision d ON d.referral_id = r.referral_id
    WHERE as_decided AND r.referral_campaign_id = campaign AND r.attributed_at <= referral_brought.as_of AND r.decided_at > referral_brought.as_of ORDER BY d.referral_id, d.decided_at <= referral_brought.as_of DESC, d.referral_decision_id DESC
  ), live AS MATERIALIZED (
    SELECT DISTINCT ON (x.referee) x.* FROM (
      SELECT r.referral_id, CASE WHEN r.referrer_id < 0 THEN r.referrer_id ELSE cdp_internal.customer_root(map, NULL, r.referrer_id, NULL) END AS referrer,
        CASE WHEN r.referee_id < 0 THEN r.referee_id ELSE cdp_internal.customer_root(map, NULL, r.referee_id, NULL) END AS referee,
        r.attributed_at, coalesce(f.state, r.state) AS state, r.score, r.method, r.referral_code_id, r.referral_click_id, t.conversion_kinds, c.currency
      FROM cdp_data.referral r JOIN cdp_data.referral_campaign c ON c.referral_campaign_id = r.referral_campaign_id
        LEFT JOIN cdp_data.referral_terms t ON t.referral_campaign_id = r.referral_campaign_id AND t.terms_version = r.terms_version
        LEFT JOIN before f ON f.referral_id = r.referral_id
      WHERE r.referral_campaign_id = campaign AND r.level = 1 AND NOT r.is_test AND r.attributed_at <= as_of AND coalesce(f.state, r.state) IN ('pending', 'approved', 'review', 'rejected')) x
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
  FROM live l LEFT JOIN bought b ON b.referral_id = l.referral_id LEFT JOIN cdp_data.referral_click k ON k.referral_click_id = l.referral_click_id AND k.referral_campaign_id = campaign LEFT JOIN cdp_data.referral_code d ON d.referral_code_id = l.referral_code_id AND d.referral_campaign_id = campaign;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_brought(integer, timestamptz, bytea, boolean) IS
'Who was brought by whom in a campaign up to as_of: one row for each referee of now with a live referral of level 1 (pending, approved, review, rejected, as it stands now), both as roots (below zero: erased). channel: of the click, else of the code, '''': not told. bought_at: first purchase (conversion_kinds of the terms) from the referral on, purchases how many, revenue_minor what they are worth net of tax, shipping and discounts in the campaign''s currency, refunded_minor what was given back of it; foreign_purchases: those in other currencies, in no sum. gate: bitmap of cdp_internal.consent_gate(''analytics''), NULL leaves nobody out. as_decided: state as it had been decided by as_of, pending where nothing had been (as it stands now where no decision is kept).';

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
    LEFT JOIN cdp_data.referral_code d ON d.referral_code_id = x.referral_code_id AND d.referral_campaign_id = campaign
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

CREATE OR REPLACE FUNCTION cdp_internal.referral_book(campaign integer, as_of timestamptz, gate bytea, as_decided boolean DEFAULT false, OUT ids bigint[], OUT referrers bigint[], OUT referees bigint[], OUT times timestamptz[], OUT states text[], OUT clicks bigint[], OUT channels text[],
  OUT bought timestamptz[], OUT revenues numeric[], OUT refunds numeric[], OUT foreign_purchases bigint, OUT ours boolean[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  SELECT coalesce(array_agg(b.referral_id), '{}'), coalesce(array_agg(b.referrer), '{}'), coalesce(array_agg(b.referee), '{}'), coalesce(array_agg(b.attributed_at), '{}'), coalesce(array_agg(b.state), '{}'), coalesce(array_agg(b.referral_click_id), '{}'), coalesce(array_agg(b.channel), '{}'),
    coalesce(array_agg(b.bought_at), '{}'), coalesce(array_agg(b.revenue_minor), '{}'), coalesce(array_agg(b.refunded_minor), '{}'), coalesce(sum(b.foreign_purchases), 0), coalesce(array_agg(b.referee < 0 OR cdp_internal.bitmap_has(gate, b.referee)), '{}')
  INTO ids, referrers, referees, times, states, clicks, channels, bought, revenues, refunds, foreign_purchases, ours FROM cdp_internal.referral_brought(campaign, as_of, NULL, as_decided) b;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_book(integer, timestamptz, bytea, boolean) IS
'cdp_internal.referral_brought() of everybody as one row of arrays, so that a report reads it once: unnest() what is needed of it. ours: whether the referee is counted, by the gate. About 100 bytes a referral.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_members(campaign integer, as_of timestamptz, gate bytea, within interval, book record)
RETURNS TABLE (root bigint, told_at timestamptz, told_channel text, told_language text, variant text, enrolled_at timestamptz, shares bigint, shared_at timestamptz, referred_at timestamptz, joined_at timestamptz,
  brought bigint, brought_buyers bigint, brought_at timestamptz, clickers bigint, whole boolean, referred boolean, invitations bigint, conversions bigint, cycles double precision[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea := cdp_internal.customer_map();
  span interval := cdp_internal.window_length(within);
BEGIN
  RETURN QUERY
  WITH code AS MATERIALIZED (
    SELECT x.* FROM (SELECT c.referral_code_id, c.issued_at, CASE WHEN c.customer_id < 0 THEN c.customer_id ELSE cdp_internal.customer_root(map, NULL, c.customer_id, NULL) END AS root
      FROM cdp_data.referral_code c WHERE c.referral_campaign_id = campaign AND NOT c.is_test AND c.issued_at <= as_of OFFSET 0) x
    WHERE x.root < 0 OR cdp_internal.bitmap_has(gate, x.root)
  ), came AS MATERIALIZED (
    SELECT b.* FROM unnest(book.ids, book.referrers, book.referees, book.times, book.states, book.bought, book.ours) AS b (referral_id, referrer, referee, attributed_at, state, bought_at, ours) WHERE b.ours AND b.state <> 'rejected'
  ), share AS MATERIALIZED (
    SELECT s.root, s.shared_at FROM cdp_internal.referral_shares(campaign, as_of, gate) s
  ), visit AS MATERIALIZED (
    SELECT c.root, k.visitor, min(k.clicked_at) AS at FROM cdp_internal.referral_clicks(campaign, as_of, gate) k JOIN code c ON c.referral_code_id = k.referral_code_id GROUP BY c.root, k.visitor
  ), told AS (
    SELECT DISTINCT ON (x.root) x.root, x.at, x.channel, coalesce(m.language, '') AS language, x.variant
    FROM (SELECT cdp_internal.customer_root(map, NULL, d.customer_id, NULL) AS root, coalesce(d.sent_at, d.delivered_at) AS at, d.channel, d.variant, d.referral_material_id, d.referral_distribution_id AS id
      FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = campaign AND d.state IN ('sent', 'delivered') AND coalesce(d.sent_at, d.delivered_at) <= as_of OFFSET 0) x LEFT JOIN cdp_data.referral_material m ON m.referral_material_id = x.referral_material_id
    WHERE cdp_internal.bitmap_has(gate, x.root) ORDER BY x.root, x.at, x.id
  ), fact (root, told_at, channel, language, variant, enrolled_at, shares, shared_at, referred_at, brought, buyers, brought_at, clickers) AS (
    SELECT t.root, t.at, t.channel::text, t.language::text, t.variant::text, NULL::timestamptz, 0::bigint, NULL::timestamptz, NULL::timestamptz, 0::bigint, 0::bigint, NULL::timestamptz, 0::bigint FROM told t
    UNION ALL SELECT c.root, NULL, NULL, NULL, NULL, min(c.issued_at), 0, NULL, NULL, 0, 0, NULL, 0 FROM code c GROUP BY c.root
    UNION ALL SELECT s.root, NULL, NULL, NULL, NULL, NULL, count(*), min(s.shared_at), NULL, 0, 0, NULL, 0 FROM share s GROUP BY s.root
    UNION ALL SELECT b.referee, NULL, NULL, NULL, NULL, NULL, 0, NULL, b.attributed_at, 0, 0, NULL, 0 FROM came b
    UNION ALL SELECT b.referrer, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, count(*), count(b.bought_at), min(b.attributed_at), 0 FROM came b WHERE (b.referrer < 0 OR cdp_internal.bitmap_has(gate, b.referrer)) GROUP BY b.referrer
    UNION ALL SELECT v.root, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0, 0, NULL, count(*) FROM visit v GROUP BY v.root
  ), member AS MATERIALIZED (
    SELECT f.root, min(f.told_at) AS told_at, min(f.channel) AS channel, min(f.language) AS language, min(f.variant) AS variant, min(f.enrolled_at) AS enrolled_at, sum(f.shares)::bigint AS shares, min(f.shared_at) AS shared_at, min(f.referred_at) AS referred_at,
      least(min(f.enrolled_at), min(f.shared_at), min(f.referred_at), min(f.brought_at)) AS joined_at, sum(f.brought)::bigint AS brought, sum(f.buyers)::bigint AS buyers, min(f.brought_at) AS brought_at, sum(f.clickers)::bigint AS clickers
    FROM fact f GROUP BY f.root
  ), invited AS (
    -- A link that is copied tells of no share: then visitors are what is known of invitations.
    SELECT m.root, count(*) AS n FROM member m JOIN (SELECT s.root, s.shared_at AS at FROM share s UNION ALL SELECT v.root, v.at FROM visit v WHERE NOT EXISTS (SELECT FROM share)) i ON i.root = m.root AND i.at >= m.joined_at AND i.at < m.joined_at + span GROUP BY m.root
  ), gained AS (
    SELECT m.root, count(*) AS n, array_agg(extract(epoch FROM b.attributed_at - m.joined_at)::double precision / 86400) AS cycles
    FROM member m JOIN came b ON b.referrer = m.root AND b.attributed_at >= m.joined_at AND b.attributed_at < m.joined_at + span GROUP BY m.root
  )
  SELECT m.root, m.told_at, m.channel, m.language, m.variant, m.enrolled_at, m.shares, m.shared_at, m.referred_at, m.joined_at, m.brought, m.buyers, m.brought_at, m.clickers,
    m.joined_at + span <= as_of, m.referred_at IS NOT DISTINCT FROM m.joined_at, coalesce(i.n, 0), coalesce(g.n, 0), coalesce(g.cycles, '{}')
  FROM member m LEFT JOIN invited i ON i.root = m.root LEFT JOIN gained g ON g.root = m.root;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_members(integer, timestamptz, bytea, interval, record) IS
'Everybody of a campaign up to as_of, a row for each customer of now: told_at (a message went out; channel, language and variant of the first one), enrolled_at (first code), shares and the first one, referred_at (was brought himself), joined_at (the earliest of these but being told; NULL: told only), brought (referrals that are not rejected), brought_buyers (of them who bought), brought_at (the first), clickers (visitors on his links). What he did in the span of within since he joined: whole (it is over at as_of, else he is right-censored), referred (he joined by being brought), invitations (acts of sharing; visitors on his links where the campaign knows of no share), conversions (people he brought, not rejected), and after how many days each (cycles). book: cdp_internal.referral_book(). NULL or 0: not.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rewards(campaign integer, as_of timestamptz)
RETURNS TABLE (reward_id bigint, referral_id bigint, root bigint, side text, amount_minor bigint, clawed_minor bigint, expired_minor bigint, open_minor bigint, capped_minor bigint, state text,
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
    SELECT w.*, coalesce(v.occurred_at, w.granted_at) AS earned_at, w.paid_at <= as_of AND w.paid_minor + w.offset_minor > 0 AS is_paid,
      CASE WHEN l.id IS NOT NULL AND w.clawed_minor > 0 AND w.milestone IS NULL AND r.state = 'approved'
        THEN least(w.clawed_minor, cdp_internal.refund_share(w.amount_minor, l.minor, v.eligible_minor) - cdp_internal.refund_share(w.amount_minor, l.until_minor, v.eligible_minor)) ELSE 0 END AS clawed_later,
      CASE WHEN w.expired_minor > 0 AND (SELECT min(p.occurred_at) FROM cdp_data.ledger_posting p WHERE p.reward_id = w.reward_id AND p.kind = 'expire') > as_of THEN w.expired_minor ELSE 0 END AS expired_later
    FROM cdp_data.reward w JOIN cdp_data.referral r ON r.referral_id = w.referral_id
      LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = w.referral_conversion_id LEFT JOIN later l ON l.id = w.referral_conversion_id
    WHERE w.referral_campaign_id = campaign AND NOT r.is_test AND coalesce(v.occurred_at, w.granted_at) <= as_of
  )
  SELECT w.reward_id, w.referral_id, CASE WHEN w.customer_id < 0 THEN w.customer_id ELSE cdp_internal.customer_root(map, NULL, w.customer_id, NULL) END, w.side::text, w.amount_minor,
    w.clawed_minor - w.clawed_later, w.expired_minor - w.expired_later,
    CASE WHEN w.is_paid THEN w.pending_minor + w.available_minor ELSE least(w.amount_minor, w.pending_minor + w.available_minor + w.paid_minor + w.clawed_later + w.expired_later) END,
    CASE WHEN w.reason LIKE 'cap %' THEN w.wanted_minor - w.amount_minor ELSE 0 END, w.state::text,
    w.earned_at, CASE WHEN w.available_at <= as_of THEN w.available_at END, CASE WHEN w.is_paid THEN w.paid_at END
  FROM reward w;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rewards(integer, timestamptz) IS
'Rewards of a campaign that were earned up to as_of, a row each, in minor units of its currency: amount_minor what was granted, clawed_minor taken back of it, expired_minor not taken in time, open_minor approved and not paid, capped_minor what a cap refused. Refunds, expiries and payments of after as_of are not in them; which referrals are approved is as of now. earned_at: time of the conversion; available_at and paid_at: NULL when not until as_of.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_reward_book(campaign integer, as_of timestamptz, OUT referrals bigint[], OUT roots bigint[], OUT sides text[], OUT amounts bigint[], OUT clawed bigint[], OUT expired bigint[], OUT opens bigint[], OUT capped bigint[], OUT states text[],
  OUT earned timestamptz[], OUT available timestamptz[], OUT paid timestamptz[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  SELECT coalesce(array_agg(w.referral_id), '{}'), coalesce(array_agg(w.root), '{}'), coalesce(array_agg(w.side), '{}'), coalesce(array_agg(w.amount_minor), '{}'), coalesce(array_agg(w.clawed_minor), '{}'), coalesce(array_agg(w.expired_minor), '{}'), coalesce(array_agg(w.open_minor), '{}'),
    coalesce(array_agg(w.capped_minor), '{}'), coalesce(array_agg(w.state), '{}'), coalesce(array_agg(w.earned_at), '{}'), coalesce(array_agg(w.available_at), '{}'), coalesce(array_agg(w.paid_at), '{}')
  INTO referrals, roots, sides, amounts, clawed, expired, opens, capped, states, earned, available, paid FROM (SELECT x.* FROM cdp_internal.referral_rewards(campaign, as_of) x ORDER BY x.earned_at, x.reward_id) w;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_reward_book(integer, timestamptz) IS
'cdp_internal.referral_rewards() as one row of arrays in the order of time, so that a report reads it once. About 100 bytes a reward.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_census(campaign integer, as_of timestamptz, gate bytea, within interval, book record, paid_referrals bigint[],
  OUT told bigint, OUT reached bigint, OUT enrolled bigint, OUT reached_enrolled bigint, OUT sharers bigint, OUT enrolled_sharers bigint, OUT invitations bigint, OUT clicked_sharers bigint, OUT clicks_each double precision[], OUT shares_each double precision[],
  OUT visitors bigint, OUT visitors_signed bigint, OUT visitors_bought bigint, OUT referees bigint, OUT buyers bigint, OUT approved bigint, OUT rejected bigint, OUT undecided bigint, OUT paid bigint,
  OUT roots bigint[], OUT whole boolean[], OUT referred boolean[], OUT invited double precision[], OUT gained double precision[], OUT first_days double precision[], OUT first_known boolean[], OUT cycles double precision[], OUT cycle_people bigint,
  OUT brought_each bigint[], OUT week_enrolled bigint, OUT week_idle bigint, OUT arms jsonb, OUT messages boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
BEGIN
  messages := EXISTS (SELECT FROM cdp_data.referral_distribution d WHERE d.referral_campaign_id = campaign AND d.state IN ('sent', 'delivered') AND coalesce(d.sent_at, d.delivered_at) <= as_of);
  WITH m AS MATERIALIZED (
    SELECT x.*, x.shared_at IS NOT NULL OR x.clickers > 0 OR x.brought > 0 AS active FROM cdp_internal.referral_members(campaign, as_of, gate, within, book) x
  ), arm AS (
    SELECT m.told_channel AS channel, m.told_language AS language, m.variant, count(*) AS n, count(*) FILTER (WHERE m.active) AS shared, count(*) FILTER (WHERE m.brought > 0) AS brought FROM m WHERE m.told_at IS NOT NULL AND m.variant IS NOT NULL GROUP BY 1, 2, 3
  )
  SELECT count(m.told_at), CASE WHEN messages THEN count(*) FILTER (WHERE m.told_at IS NOT NULL OR m.active) ELSE count(*) FILTER (WHERE m.enrolled_at IS NOT NULL OR m.active) END, count(m.enrolled_at), count(*) FILTER (WHERE m.enrolled_at IS NOT NULL AND m.told_at IS NOT NULL), count(*) FILTER (WHERE m.active),
    count(*) FILTER (WHERE m.enrolled_at IS NOT NULL AND m.active), coalesce(sum(m.shares), 0), count(*) FILTER (WHERE m.clickers > 0), coalesce(array_agg(m.clickers::double precision) FILTER (WHERE m.shares > 0), '{}'), coalesce(array_agg(m.shares::double precision) FILTER (WHERE m.shares > 0), '{}'),
    coalesce(array_agg(m.root) FILTER (WHERE m.joined_at IS NOT NULL), '{}'), coalesce(array_agg(m.whole) FILTER (WHERE m.joined_at IS NOT NULL), '{}'), coalesce(array_agg(m.referred) FILTER (WHERE m.joined_at IS NOT NULL), '{}'),
    coalesce(array_agg(m.invitations::double precision) FILTER (WHERE m.joined_at IS NOT NULL), '{}'), coalesce(array_agg(m.conversions::double precision) FILTER (WHERE m.joined_at IS NOT NULL), '{}'),
    coalesce(array_agg(greatest(0, extract(epoch FROM coalesce(m.brought_at, CASE WHEN isfinite(as_of) THEN as_of END) - m.joined_at)::double precision / 86400)) FILTER (WHERE m.joined_at IS NOT NULL), '{}'), coalesce(array_agg(m.brought_at IS NOT NULL) FILTER (WHERE m.joined_at IS NOT NULL), '{}'),
    (SELECT coalesce(array_agg(c), '{}') FROM m y CROSS JOIN unnest(y.cycles) c WHERE y.whole), count(*) FILTER (WHERE m.whole AND m.conversions > 0), coalesce(array_agg(m.brought) FILTER (WHERE m.enrolled_at IS NOT NULL), '{}'),
    count(*) FILTER (WHERE m.enrolled_at <= as_of - interval '168 hours'), count(*) FILTER (WHERE m.enrolled_at <= as_of - interval '168 hours' AND NOT m.active), (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM arm a)
  INTO told, reached, enrolled, reached_enrolled, sharers, enrolled_sharers, invitations, clicked_sharers, clicks_each, shares_each, roots, whole, referred, invited, gained, first_days, first_known, cycles, cycle_people, brought_each, week_enrolled, week_idle, arms FROM m;
  WITH came AS MATERIALIZED (
    SELECT b.* FROM unnest(book.ids, book.states, book.clicks, book.bought, book.ours) AS b (referral_id, state, click, bought_at, ours) WHERE b.ours
  ), click AS (
    SELECT count(DISTINCT k.visitor) AS visitors, count(DISTINCT k.visitor) FILTER (WHERE b.referral_id IS NOT NULL) AS signed, count(DISTINCT k.visitor) FILTER (WHERE b.bought_at IS NOT NULL) AS bought
    FROM cdp_internal.referral_clicks(campaign, as_of, gate) k LEFT JOIN came b ON b.click = k.referral_click_id
  ), paid AS (
    SELECT DISTINCT p.id FROM unnest(paid_referrals) AS p (id)
  )
  SELECT k.visitors, k.signed, k.bought, x.* INTO visitors, visitors_signed, visitors_bought, referees, buyers, approved, rejected, undecided, paid
  FROM click k, (SELECT count(*), count(b.bought_at), count(*) FILTER (WHERE b.state = 'approved'), count(*) FILTER (WHERE b.state = 'rejected'), count(*) FILTER (WHERE b.state IN ('pending', 'review')), count(p.id) FILTER (WHERE b.state = 'approved')
    FROM came b LEFT JOIN paid p ON p.id = b.referral_id) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_census(integer, timestamptz, bytea, interval, record, bigint[]) IS
'All that the report and the recommendations count of the people of a campaign, from one look at them. book: cdp_internal.referral_book(); paid_referrals: of which some reward was paid. told to paid: as cdp_internal.referral_counts(). Of everybody who joined, in one order: roots, whole, referred, invited, gained (of cdp_internal.referral_members()), first_days and first_known (days until he first brought somebody, or until as_of). cycles: days from joining to each person brought, of whole spans; cycle_people: who brought them. brought_each: of each who has a code how many he brought. week_enrolled, week_idle: who has had a code for a week, and has not used it. arms: of each channel, language and variant how many were told, shared, and brought somebody. messages: whether any went out.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_counts(campaign integer, as_of timestamptz, gate bytea DEFAULT NULL, as_decided boolean DEFAULT false,
  OUT told bigint, OUT reached bigint, OUT enrolled bigint, OUT reached_enrolled bigint, OUT sharers bigint, OUT enrolled_sharers bigint, OUT invitations bigint, OUT clicked_sharers bigint,
  OUT visitors bigint, OUT visitors_signed bigint, OUT visitors_bought bigint, OUT referees bigint, OUT buyers bigint, OUT approved bigint, OUT rejected bigint, OUT undecided bigint, OUT paid bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  book record := cdp_internal.referral_book(campaign, as_of, gate, as_decided);
BEGIN
  SELECT c.told, c.reached, c.enrolled, c.reached_enrolled, c.sharers, c.enrolled_sharers, c.invitations, c.clicked_sharers, c.visitors, c.visitors_signed, c.visitors_bought, c.referees, c.buyers, c.approved, c.rejected, c.undecided, c.paid
  INTO told, reached, enrolled, reached_enrolled, sharers, enrolled_sharers, invitations, clicked_sharers, visitors, visitors_signed, visitors_bought, referees, buyers, approved, rejected, undecided, paid
  FROM cdp_internal.referral_census(campaign, as_of, gate, '1 day', book, cdp_internal.referral_paid(campaign, as_of)) c;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_counts(integer, timestamptz, bytea, boolean) IS
'Counts of a campaign up to as_of from which its rates are made. told: a message went out; reached: told, or known of because they shared; as long as no message went out, who has a code; sharers: shared, or their link was clicked or brought somebody (a link that was copied tells of no share), reached_enrolled and enrolled_sharers: both; clicked_sharers: whose link was clicked; visitors: who clicked, visitors_signed and visitors_bought: whose click brought a referral, and a purchase; referees: with a live referral; buyers: of them who bought; approved, rejected, undecided; paid: approved, and a reward of it was paid. as_decided: by what had been decided by as_of, else by what is decided now.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_paid(campaign integer, as_of timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
BEGIN
  RETURN ARRAY(SELECT DISTINCT w.referral_id FROM cdp_data.reward w WHERE w.referral_campaign_id = campaign AND w.paid_at <= as_of AND w.paid_minor + w.offset_minor > 0);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_paid(integer, timestamptz) IS 'Numbers of the referrals of a campaign of which some reward was paid up to as_of.';

-- Referral room, tracking: attribution to the referrer. A pure function of the events up to as_of, the terms and the identity of
-- now: nothing of what was decided before goes in, but which advocates are to be passed over.
--
-- Evidence in its order: manual, code (typed), click, claim, share, network; a code goes behind clicks where the terms say so.
-- Of each conversion every piece of evidence is judged; the first conversion with a valid one decides (a manual one before all).

CREATE OR REPLACE FUNCTION cdp_internal.denied_host(host text, campaign integer, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM cdp_internal.fraud_suffixes(host) s JOIN cdp_data.fraud_list l ON l.list = 'denied_host' AND l.what = 'host' AND l.value = s
    WHERE (l.referral_campaign_id IS NULL OR l.referral_campaign_id = campaign) AND l.added_at <= at AND (l.expires_at IS NULL OR l.expires_at > at) AND (l.removed_at IS NULL OR l.removed_at > at));
END
$$;
COMMENT ON FUNCTION cdp_internal.denied_host(text, integer, timestamptz) IS 'Whether no click from a host, or from one below a host on the list denied_host, counted for a campaign at a moment. Built-in sites of coupons are not meant: a click from there counts, and raises suspicion.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_kinds() RETURNS smallint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(SELECT k.kind_id FROM cdp_data.touch_kind_all k WHERE k.name IN (SELECT unnest(t.signup_kinds || t.conversion_kinds) FROM cdp_data.referral_terms t) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_kinds() IS 'Kinds of touchpoints that are a registration or a purchase in some terms of some referral campaign.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_code_by_name(customer bigint, at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
    SELECT k.referral_code_id
    FROM (SELECT u FROM cdp_internal.customers_under(cdp_internal.root_of(customer)) u UNION SELECT customer) AS m (id) CROSS JOIN LATERAL (SELECT x.* FROM cdp_data.referral_code x WHERE x.customer_id = m.id AND x.issued_at <= at OFFSET 0) k
    WHERE NOT k.is_test AND cdp_internal.referral_active_at(k.referral_campaign_id, at) ORDER BY k.issued_at DESC, k.referral_code_id DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_code_by_name(bigint, timestamptz) IS
'By which code, and so in which campaign, a customer counts as advocate at a moment when he was only named: the last one issued to him in a campaign that is active then. NULL without one.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_candidates(roots bigint[], as_of timestamptz)
RETURNS TABLE (root bigint, campaign_group text, is_test boolean, referral_conversion_id bigint, occurred_at timestamptz, method text, rank integer, turn bigint, referral_campaign_id integer, terms_version integer,
  referral_click_id bigint, referral_code_id bigint, advocate_id bigint, advocate_root bigint, referee_id bigint, event_at timestamptz, reason text, evidence jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET plan_cache_mode = force_custom_plan SET enable_nestloop = on
AS $$
#variable_conflict use_column
DECLARE
  kinds smallint[] := cdp_internal.referral_kinds();
  sent boolean := cdp_internal.key_file_is_set() AND cdp_internal.may_use_keys('digest') AND EXISTS (SELECT FROM cdp_data.referral_share s WHERE s.recipient_digest IS NOT NULL);
  keys integer[] := CASE WHEN sent THEN cdp_internal.key_ids() END; -- a share may be older than the newest key
  by_network boolean := EXISTS (SELECT FROM cdp_data.referral_terms t WHERE t.network_match);
  types smallint[] := ARRAY(SELECT t.type_id FROM cdp_data.identifier_type_all t WHERE t.priority < 600 AND t.role = 'merge');
BEGIN
  IF cardinality(roots) > 100 THEN
    PERFORM set_config('enable_nestloop', 'off', true); -- nobody knows how many rows a person has; of many people all of it is read once
  END IF;
  RETURN QUERY
  WITH mem AS MATERIALIZED (
    SELECT m.root_id AS root, m.identifier_id, m.home_id, m.type_id, m.first_seen FROM cdp_internal.members_of(roots) m
  ), home AS MATERIALIZED (
    SELECT DISTINCT m.root, m.home_id FROM mem m
  ), conv AS MATERIALIZED (
    SELECT m.root, c.* FROM home h CROSS JOIN LATERAL (
      SELECT x.* FROM cdp_data.referral_conversion x WHERE x.customer_id = h.home_id AND x.retracted_at IS NULL AND x.occurred_at <= as_of OFFSET 0) c
      JOIN mem m ON m.identifier_id = c.identifier_id AND m.root = h.root
  ), told AS MATERIALIZED ( -- whatever may tie a conversion to an advocate
    SELECT c.root, c.referral_conversion_id, 'code' AS method, NULL::bigint AS click_id, c.referral_code_id AS code_id, k.referral_campaign_id AS campaign, c.occurred_at AS event_at, k.customer_id AS advocate, k.is_test
    FROM conv c JOIN cdp_data.referral_code k ON k.referral_code_id = c.referral_code_id
    UNION ALL
    SELECT c.root, c.referral_conversion_id, v.method, NULL, k.referral_code_id, k.referral_campaign_id, c.occurred_at, v.customer, c.is_test
    FROM conv c CROSS JOIN LATERAL (VALUES ('manual', c.manual_customer_id, c.manual_code_id), ('claim', c.claimed_customer_id, cdp_internal.referral_code_by_name(c.claimed_customer_id, c.occurred_at))) AS v (method, customer, code)
      JOIN cdp_data.referral_code k ON k.referral_code_id = v.code
    WHERE v.customer IS NOT NULL
    UNION ALL
    SELECT DISTINCT c.root, c.referral_conversion_id, 'click', h.referral_click_id, h.referral_code_id, h.referral_campaign_id, h.clicked_at, k.customer_id, h.is_test
    FROM (
      SELECT m.root, x.* FROM home o CROSS JOIN LATERAL (
        SELECT y.* FROM cdp_data.referral_click y WHERE y.customer_id = o.home_id AND y.clicked_at <= as_of OFFSET 0) x
        JOIN mem m ON m.identifier_id = x.identifier_id AND m.root = o.root
      UNION ALL
      SELECT c.root, x.* FROM conv c JOIN cdp_data.referral_click x ON x.referral_click_id = c.referral_click_id) h
      JOIN conv c ON c.root = h.root JOIN cdp_data.referral_code k ON k.referral_code_id = h.referral_code_id
    WHERE h.clicked_at <= c.occurred_at AND h.retracted_at IS NULL
    UNION ALL
    SELECT c.root, c.referral_conversion_id, 'share', NULL, s.referral_code_id, s.referral_campaign_id, s.shared_at, s.customer_id, s.is_test
    FROM mem m JOIN cdp_data.identifier i ON sent AND i.identifier_id = m.identifier_id CROSS JOIN LATERAL unnest(cdp_internal.keyed_digests('referral', 'recipient:' || btrim(i.type_id || ':' || i.value), keys)) AS d (digest)
      JOIN cdp_data.referral_share s ON s.recipient_digest = d.digest AND s.retracted_at IS NULL
      JOIN conv c ON c.root = m.root AND s.shared_at <= c.occurred_at
    UNION ALL
    SELECT c.root, c.referral_conversion_id, 'network', h.referral_click_id, h.referral_code_id, h.referral_campaign_id, h.clicked_at, k.customer_id, h.is_test
    FROM conv c JOIN cdp_data.referral_click h ON by_network AND h.ip_digest = c.ip_digest AND h.agent_digest = c.agent_digest AND h.clicked_at <= c.occurred_at AND h.clicked_at > c.occurred_at - interval '1 hour'
        AND h.customer_id IS NULL AND h.retracted_at IS NULL
      JOIN cdp_data.referral_code k ON k.referral_code_id = h.referral_code_id
  ), judged AS MATERIALIZED (
    SELECT row_number() OVER () AS nth, t.*, c.kind, c.occurred_at, c.customer_id AS referee, v.terms_version, v.model, v.click_window, v.existing_lookback, v.signup_kinds, v.conversion_kinds, g.campaign_group,
      coalesce(cdp_internal.root_of(t.advocate), t.advocate) AS advocate_root, -- of who was erased, his number
      CASE t.method WHEN 'manual' THEN 1 WHEN 'code' THEN CASE WHEN v.code_first THEN 3 ELSE 5 END WHEN 'click' THEN 4 WHEN 'claim' THEN 6 WHEN 'share' THEN 7 ELSE 8 END AS rank
    FROM told t JOIN conv c USING (referral_conversion_id) JOIN cdp_data.referral_campaign g ON g.referral_campaign_id = t.campaign
      JOIN cdp_data.referral_terms v ON v.referral_campaign_id = t.campaign AND v.terms_version = cdp_internal.referral_terms_at(t.campaign, c.occurred_at)
    WHERE c.is_test = t.is_test AND c.kind = ANY (v.signup_kinds || v.conversion_kinds) AND (t.method <> 'network' OR v.network_match)
  ), touched AS MATERIALIZED (
    SELECT o.root, x.* FROM (SELECT DISTINCT j.root FROM judged j) r JOIN home o USING (root) CROSS JOIN LATERAL (
      SELECT y.identifier_id, y.occurred_at, y.kind_id FROM cdp_data.touchpoint y WHERE y.customer_id = o.home_id AND y.occurred_at <= as_of AND y.kind_id = ANY (kinds) AND y.flags & 3 = 0 OFFSET 0) x
  ), word AS MATERIALIZED (
    SELECT k.kind_id, k.name FROM cdp_data.touch_kind_all k WHERE k.kind_id = ANY (kinds)
  ), past AS MATERIALIZED ( -- registrations and purchases of the people, by whatever road
    SELECT m.root, x.occurred_at, k.name AS kind, false AS is_test FROM touched x JOIN mem m ON m.identifier_id = x.identifier_id AND m.root = x.root JOIN word k ON k.kind_id = x.kind_id
    UNION ALL
    SELECT c.root, c.occurred_at, c.kind, c.is_test FROM conv c
  ), known AS MATERIALIZED (
    SELECT m.root, min(m.first_seen) AS at FROM mem m WHERE m.type_id = ANY (types) AND m.first_seen <= as_of GROUP BY m.root
  ), facts AS MATERIALIZED (
    SELECT w.nth, min(p.occurred_at) FILTER (WHERE p.kind = ANY (w.signup_kinds)) AS signed_up_at,
      min(p.occurred_at) FILTER (WHERE p.kind = ANY (w.conversion_kinds) AND p.occurred_at < w.event_at
        AND (w.existing_lookback IS NULL OR p.occurred_at >= (w.event_at AT TIME ZONE 'UTC' - w.existing_lookback) AT TIME ZONE 'UTC')) AS bought_at
    FROM judged w JOIN past p ON p.root = w.root AND (w.is_test OR NOT p.is_test) GROUP BY w.nth
  )
  SELECT j.root, j.campaign_group::text, j.is_test, j.referral_conversion_id, j.occurred_at, j.method, j.rank,
    row_number() OVER (PARTITION BY j.referral_conversion_id, j.rank, j.campaign_group ORDER BY CASE WHEN j.model = 'last_valid_click' THEN -extract(epoch FROM j.event_at) ELSE extract(epoch FROM j.event_at) END,
      CASE WHEN j.model = 'last_valid_click' THEN -j.click_id ELSE j.click_id END, j.code_id), j.campaign, j.terms_version, j.click_id, j.code_id, j.advocate, j.advocate_root, j.referee, j.event_at,
    CASE
      WHEN h.bot THEN 'bot'
      WHEN h.prefetch THEN 'prefetch'
      WHEN h.referrer_host <> '' AND cdp_internal.denied_host(h.referrer_host, j.campaign, j.event_at) THEN 'denied_referrer'
      WHEN NOT cdp_internal.referral_active_at(j.campaign, j.event_at) THEN 'no_active_campaign'
      WHEN k.erased_at <= j.occurred_at THEN 'code_inactive'
      WHEN j.method NOT IN ('manual', 'claim') AND NOT (j.event_at >= k.issued_at AND (k.expires_at IS NULL OR j.event_at < k.expires_at) AND (k.revoked_at IS NULL OR j.event_at < k.revoked_at)) THEN 'code_inactive'
      WHEN (j.event_at AT TIME ZONE 'UTC' + j.click_window) AT TIME ZONE 'UTC' <= j.occurred_at THEN 'outside_window'
      WHEN j.advocate_root = j.root THEN CASE WHEN j.advocate = j.referee THEN 'self_referral' ELSE 'same_person' END
      WHEN EXISTS (SELECT FROM cdp_internal.referral_banned(ARRAY[j.advocate_root], j.campaign, j.event_at)) THEN 'referrer_banned'
      WHEN f.bought_at IS NOT NULL THEN 'existing_customer'
      WHEN j.method IN ('click', 'share', 'network') AND j.signup_kinds <> '{}' AND (f.signed_up_at <= j.event_at OR f.signed_up_at IS NULL AND y.at < j.event_at) THEN 'known_before_click'
    END,
    jsonb_strip_nulls(jsonb_build_object('conversion', j.referral_conversion_id, 'method', j.method, 'click', j.click_id, 'code', j.code_id, 'terms', j.terms_version, 'event_at', j.event_at,
      'registered_at', coalesce(f.signed_up_at, y.at), 'bought_before_at', f.bought_at))
  FROM judged j LEFT JOIN facts f ON f.nth = j.nth LEFT JOIN known y ON y.root = j.root
    LEFT JOIN cdp_data.referral_click h ON h.referral_click_id = j.click_id LEFT JOIN cdp_data.referral_code k ON k.referral_code_id = j.code_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_candidates(bigint[], timestamptz) IS
'Everything that may tie conversions of these roots to an advocate, of events up to as_of, judged: one row for each conversion and piece of evidence. reason NULL: valid; else the first of bot, prefetch, denied_referrer, no_active_campaign, code_inactive, outside_window (a click counts in [click, click + click_window)), self_referral or same_person, referrer_banned, existing_customer (a purchase by any identity before the click, or before the conversion for codes and names; existing_lookback), known_before_click (clicks, shares and networks where the terms know registrations: the first registration by any identity must come after it; without one, no identifier that is more than a cookie, a device or an order was seen before it). rank and turn: its place among the evidence of the conversion; terms are those of the conversion''s time.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_attribute(roots bigint[], as_of timestamptz, passed_over jsonb DEFAULT '[]')
RETURNS TABLE (root bigint, campaign_group text, is_test boolean, place bigint, referral_conversion_id bigint, occurred_at timestamptz, method text, referral_campaign_id integer, terms_version integer,
  referral_click_id bigint, referral_code_id bigint, advocate_id bigint, advocate_root bigint, referee_id bigint, reason text, evidence jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH passed AS MATERIALIZED (
    SELECT DISTINCT p.* FROM jsonb_to_recordset(passed_over) AS p (root bigint, campaign_group text, is_test boolean, advocate_root bigint)
  ), best AS (
    SELECT DISTINCT ON (c.root, c.campaign_group, c.is_test, c.referral_conversion_id, c.advocate_root) c.*, p.root IS NOT NULL AS passed
    FROM cdp_internal.referral_candidates(roots, as_of) c LEFT JOIN passed p ON (p.root, p.campaign_group, p.is_test, p.advocate_root) = (c.root, c.campaign_group, c.is_test, c.advocate_root)
    ORDER BY c.root, c.campaign_group, c.is_test, c.referral_conversion_id, c.advocate_root, c.reason IS NOT NULL, c.rank, c.turn
  )
  SELECT b.root, b.campaign_group, b.is_test,
    row_number() OVER (PARTITION BY b.root, b.campaign_group, b.is_test ORDER BY b.reason IS NOT NULL, b.passed, b.method <> 'manual', CASE WHEN b.method = 'manual' THEN -extract(epoch FROM b.occurred_at) ELSE extract(epoch FROM b.occurred_at) END,
      CASE WHEN b.method = 'manual' THEN -b.referral_conversion_id ELSE b.referral_conversion_id END, b.rank, b.turn),
    b.referral_conversion_id, b.occurred_at, b.method, b.referral_campaign_id, b.terms_version, b.referral_click_id, b.referral_code_id, b.advocate_id, b.advocate_root, b.referee_id, b.reason, b.evidence
  FROM best b;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_attribute(bigint[], timestamptz, jsonb) IS
'Of each conversion of these roots the best evidence for each advocate (the best that is valid, else the best at all), in the order in which they decide: place 1 is the referral of the person in the group of campaigns; reason tells why it is none. Evidence of a hand goes first, the last that was named; then the earliest conversion, and of one conversion the evidence that goes first. passed_over: advocates who come after all others of a person, [{"root", "campaign_group", "is_test", "advocate_root"}].';

-- Referral room, fraud: what the rules measure of referrals, all of them in one statement.

CREATE OR REPLACE FUNCTION cdp_internal.fraud_score_row(names text[], missing bigint, fired text[], "values" double precision[], evidence jsonb[], policy jsonb, loss double precision DEFAULT NULL) RETURNS cdp.fraud_decision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'cdp_fraud_score_row';
COMMENT ON FUNCTION cdp_internal.fraud_score_row(text[], bigint, text[], double precision[], jsonb[], jsonb, double precision) IS
'cdp.fraud_score_of() for many cases, of which only what fired is given: fired, values and evidence, NULL: nothing; and what is not known: bit i (from 0) of missing is set for the code names[i + 1]. All other rules were looked at and did not fire.';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_homes(roots bigint[], OUT root bigint[], OUT home bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- By the index of merged customers, of which there may be none.
  IF (SELECT c.parent_id FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id ORDER BY c.parent_id LIMIT 1) IS NULL THEN
    root := roots;
    home := roots;
  ELSIF cardinality(roots) <= 2000 THEN
    WITH RECURSIVE under (root, id) AS (
      SELECT r.id, r.id FROM unnest(roots) AS r (id)
      UNION
      SELECT u.root, c.customer_id FROM under u CROSS JOIN LATERAL (SELECT c.customer_id FROM cdp_data.customer c WHERE c.parent_id = u.id AND c.parent_id <> c.customer_id OFFSET 0) c
    )
    SELECT array_agg(u.root), array_agg(u.id) INTO root, home FROM under u;
  ELSE
    SELECT array_agg(x.root), array_agg(x.home) INTO root, home
    FROM (
      SELECT r.id AS root, r.id AS home FROM unnest(roots) AS r (id)
      UNION ALL
      SELECT m.root, m.customer_id FROM (SELECT c.customer_id, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, c.customer_id, NULL) AS root FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) m
        JOIN unnest(roots) AS r (id) ON r.id = m.root) x;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_homes(bigint[]) IS
'Each of these roots with every customer that was merged into it, itself among them, as two arrays. NULL for none.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_state_at(referral bigint, state text, as_of timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT d.to_state FROM cdp_data.referral_decision d WHERE d.referral_id = referral AND d.decided_at <= referral_state_at.as_of ORDER BY d.referral_decision_id DESC LIMIT 1), state);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_state_at(bigint, text, timestamptz) IS
'The state of a referral at a moment, by its decisions; the one given (that of now) when it was decided later than that for the first time. Ask only where it was decided after the moment.';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_ancestors(roots bigint[], as_of timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  nodes bigint[] := roots;
  found_ids bigint[] := '{}';
  ids bigint[];
BEGIN
  FOR step IN 1 .. 3 LOOP
    SELECT array_agg(DISTINCT r.referral_id), array_agg(DISTINCT cdp_internal.root_of(r.referrer_id)) INTO ids, nodes
    FROM cdp_data.referral r
    WHERE r.referee_id = ANY ((cdp_internal.fraud_homes(nodes)).home) AND r.level = 1 AND NOT r.is_test AND r.attributed_at <= as_of
      AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate');
    EXIT WHEN ids IS NULL;
    found_ids := found_ids || ids;
    nodes := array_remove(nodes, NULL);
  END LOOP;
  RETURN found_ids;
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_ancestors(bigint[], timestamptz) IS
'Numbers of the referrals that brought these roots, those who referred them, and those who referred those: three steps, as many as a circle of four needs.';

CREATE OR REPLACE FUNCTION cdp.coupon_site_builtin() RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT unnest('{couponbirds.com,couponcabin.com,couponchief.com,couponfollow.com,couponsmarter.com,dansdeals.com,dealspotr.com,honey.com,joinhoney.com,groupon.com,offers.com,promocodes.com,refaround.com,referralcodes.com,invitation.codes,retailmenot.com,savings.com,slickdeals.net,slickdeals.com,smzdm.com,mydealz.de,hotukdeals.com,dealabs.com,ozbargain.com.au}'::text[]);
END;
COMMENT ON FUNCTION cdp.coupon_site_builtin() IS
'Sites where codes of strangers are collected: a click from there, or from a host below, is no recommendation (rule leak.coupon_site). Your own: cdp.add_to_fraud_list(''denied_host'', ''host'', ...). Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_signal_names() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{self.email_canonical,self.phone,self.payment_fp,self.payout_fp,self.id_hash,self.device,self.cookie,self.openid,self.address,self.ip_ua,self.ip,self.ip24,self.name_email_similar,email.disposable,email.invalid,email.role,email.sequential,vel.referrer,vel.ip,ctit.fast,ctit.flat,click.flood,leak.coupon_site,leak.public_spread,leak.paid,ring.component,ring.core,ring.dense,history.fraud_identifier,behav.dormant}'::text[];
COMMENT ON FUNCTION cdp_internal.fraud_signal_names() IS 'Rules whose signal may be missing, in the order of the bits of missing of cdp_internal.fraud_signals().';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_suffixes(host text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 3
BEGIN ATOMIC
  SELECT array_to_string(p.parts[k:], '.') FROM (SELECT string_to_array(host, '.') AS parts) p CROSS JOIN generate_series(1, cardinality(p.parts) - 1) k;
END;
COMMENT ON FUNCTION cdp_internal.fraud_suffixes(text) IS 'A host and the domains above it that have two labels at least: mail.a.example, a.example.';

CREATE OR REPLACE FUNCTION cdp_internal.fraud_signals(ids bigint[], as_of timestamptz)
RETURNS TABLE (referral_id bigint, referral_campaign_id integer, terms_version integer, missing bigint, fired text[], vals double precision[], evidence jsonb[])
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off SET timezone = 'UTC' SET plan_cache_mode = force_custom_plan SET work_mem = '64MB' SET enable_nestloop = on
AS $$
#variable_conflict use_column
DECLARE
  -- Many referrals: every table is read once; few: by their indexes.
  big boolean := cardinality(ids) > 2000;
  merged boolean := (SELECT c.parent_id FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id ORDER BY c.parent_id LIMIT 1) IS NOT NULL;
  moved boolean := EXISTS (SELECT FROM cdp_data.identifier_override);
  few boolean := merged AND NOT big;
  cmap bytea := CASE WHEN merged AND big THEN cdp_internal.customer_map() END;
  omap bytea := CASE WHEN moved THEN cdp_internal.override_map() END;
  rid bigint[]; -- these referrals, and those of their referrers
  up_ids bigint[]; -- the way up from them; NULL: among rid
  camps integer[];
  a_roots bigint[];
  e_roots bigint[];
  a_root bigint[];
  a_home bigint[];
  p_root bigint[];
  p_home bigint[];
  ring_run bigint := (SELECT r.fraud_ring_run_id FROM cdp_data.fraud_ring_run r WHERE r.as_of <= fraud_signals.as_of ORDER BY r.as_of DESC, r.fraud_ring_run_id DESC LIMIT 1);
  marked bytea[]; -- of many: digests of confirmed fraud, and of the lists
  lively double precision := (SELECT (b.parameters ->> 'per_day')::double precision FROM cdp.fraud_rule_builtin() b WHERE b.code = 'vel.referrer');
  mails boolean := cdp_internal.key_file_is_set() AND (EXISTS (SELECT FROM cdp_data.fraud_history h WHERE h.kind IN ('email', 'phone')) OR EXISTS (SELECT FROM cdp_data.fraud_list l WHERE l.what IN ('email', 'phone') AND l.digest IS NOT NULL));
BEGIN
  IF cardinality(ids) <= 200 THEN
    -- One plan for all of them; making it takes longer than using it.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
  END IF;
  IF big THEN
    rid := ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.attributed_at <= as_of AND (r.level = 1 AND NOT r.is_test OR r.referral_id = ANY (ids)));
    marked := ARRAY(SELECT h.digest FROM cdp_data.fraud_history h WHERE h.confirmed_at <= as_of AND (h.expires_at > as_of OR h.expires_at IS NULL) AND (h.cleared_at > as_of OR h.cleared_at IS NULL)
      UNION SELECT l.digest FROM cdp_data.fraud_list l WHERE l.digest IS NOT NULL AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL));
  ELSE
    a_roots := ARRAY(SELECT DISTINCT cdp_internal.root_of(r.referrer_id) FROM unnest(ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id AND r.attributed_at <= as_of);
    SELECT h.root, h.home INTO a_root, a_home FROM cdp_internal.fraud_homes(array_remove(a_roots, NULL)) h;
    -- The last ones, the last ones of whom it is known what became of them, and those around each that is asked for: 500 before it (of its
    -- campaign, too, for the pace) and 100 after, so that each is judged by the same rows whoever else is asked for.
    rid := ARRAY(SELECT unnest(ids)
      UNION SELECT x.id FROM unnest(a_home) AS h (id) CROSS JOIN LATERAL (
        SELECT r.referral_id AS id FROM cdp_data.referral r WHERE r.referrer_id = h.id AND r.level = 1 AND NOT r.is_test AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of ORDER BY r.attributed_at DESC, r.referral_id DESC LIMIT 200) x
      UNION SELECT x.id FROM unnest(a_home) AS h (id) CROSS JOIN LATERAL (
        SELECT r.referral_id AS id FROM cdp_data.referral r WHERE r.referrer_id = h.id AND r.level = 1 AND NOT r.is_test AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of - interval '14 days' ORDER BY r.attributed_at DESC, r.referral_id DESC LIMIT 200) x
      UNION SELECT x.id FROM (SELECT DISTINCT a.home AS id, q.referral_campaign_id AS camp, q.attributed_at - interval '7 days' AS lo, q.attributed_at AS t, least(q.attributed_at + interval '7 days', as_of) AS hi FROM unnest(ids) AS i (id) JOIN cdp_data.referral q ON q.referral_id = i.id
          JOIN unnest(a_root, a_home) AS a (root, home) ON a.root = cdp_internal.root_of(q.referrer_id)) h CROSS JOIN LATERAL (
        (SELECT r.referral_id AS id FROM cdp_data.referral r WHERE r.referrer_id = h.id AND r.level = 1 AND NOT r.is_test AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate') AND r.attributed_at BETWEEN h.lo AND h.t ORDER BY r.attributed_at DESC FETCH FIRST 500 ROWS WITH TIES)
        UNION ALL (SELECT r.referral_id AS id FROM cdp_data.referral r WHERE r.referrer_id = h.id AND r.referral_campaign_id = h.camp AND r.level = 1 AND NOT r.is_test AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate') AND r.attributed_at BETWEEN h.t - interval '24 hours' AND h.t ORDER BY r.attributed_at DESC LIMIT 500)
        UNION ALL (SELECT r.referral_id AS id FROM cdp_data.referral r WHERE r.referrer_id = h.id AND r.level = 1 AND NOT r.is_test AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate') AND r.attributed_at > h.t AND r.attributed_at <= h.hi ORDER BY r.attributed_at FETCH FIRST 100 ROWS WITH TIES)) x);
    up_ids := cdp_internal.fraud_ancestors(array_remove(a_roots, NULL), as_of);
    IF merged THEN
      -- The map of those who take part.
      cmap := (SELECT cdp_internal.customer_map(x.id, cdp_internal.root_of(x.id)) FROM (
        SELECT DISTINCT y.id FROM unnest(rid || up_ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id LEFT JOIN cdp_data.referral_conversion v ON moved AND v.referral_conversion_id = r.first_conversion_id
          CROSS JOIN LATERAL (VALUES (r.referrer_id), (cdp_internal.customer_root(NULL, omap, nullif(greatest(r.referee_id, 0), 0), v.identifier_id))) AS y (id) WHERE y.id > 0) x
        WHERE cdp_internal.root_of(x.id) <> x.id);
    END IF;
  END IF;
  SELECT array_agg(DISTINCT x.camp), array_agg(DISTINCT x.a), array_agg(DISTINCT x.e) INTO camps, a_roots, e_roots
  FROM (SELECT r.referral_campaign_id AS camp, cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referrer_id, 0), 0), NULL) AS a, cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referee_id, 0), 0), v.identifier_id) AS e
    FROM unnest(rid) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id AND r.attributed_at <= as_of LEFT JOIN cdp_data.referral_conversion v ON moved AND v.referral_conversion_id = r.first_conversion_id) x;
  IF camps IS NULL THEN
    RETURN;
  END IF;
  SELECT h.root, h.home INTO a_root, a_home FROM cdp_internal.fraud_homes(array_remove(a_roots, NULL)) h;
  SELECT h.root, h.home INTO p_root, p_home FROM cdp_internal.fraud_homes(ARRAY(SELECT u FROM unnest(e_roots) u WHERE u IS NOT NULL UNION SELECT u FROM unnest(a_roots) u WHERE u IS NOT NULL)) h;
  IF big THEN
    -- The planner knows little of what the parts of the query give each other, and takes each for small.
    PERFORM set_config('enable_nestloop', 'off', true);
  END IF;

  RETURN QUERY
  WITH r0 AS MATERIALIZED ( -- referrals, each with its conversion and its click
    SELECT r.referral_id AS id, r.referral_id = ANY (ids) AS asked, r.referral_campaign_id AS camp, r.terms_version AS tv, r.attributed_at AS t, r.referral_code_id AS code, CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END AS state, r.reason, cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referrer_id, 0), 0), NULL) AS a, cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referee_id, 0), 0), v.identifier_id) AS e,
      r.level = 1 AND NOT r.is_test AS plain,
      coalesce(v.ip_digest, c.ip_digest) AS ip, coalesce(v.net_digest, c.net_digest) AS net, coalesce(v.device_digest, c.device_digest) AS device, v.payment_digest AS payment, v.address_digest AS address,
      CASE WHEN v.ip_digest IS NULL THEN c.ip_digest || c.agent_digest ELSE v.ip_digest || v.agent_digest END AS ip_ua,
      nullif(c.referrer_host, '') AS host, c.paid, c.asn IS NOT NULL AS has_asn, c.referral_click_id AS click,
      extract(epoch FROM v.occurred_at - c.clicked_at)::double precision AS ctit, v.kind = ANY (m.signup_kinds) AS signup
    FROM unnest(rid) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id AND r.attributed_at <= as_of
      -- Outer joins, so that the planner does not think little of how many there are.
      LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id
      LEFT JOIN cdp_data.referral_terms m ON m.referral_campaign_id = r.referral_campaign_id AND m.terms_version = r.terms_version
      LEFT JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id
  ), b AS NOT MATERIALIZED (
    SELECT r.* FROM r0 r WHERE r.asked
  ), g AS MATERIALIZED ( -- those of referrers who have three and more; nth, oth: place among all of his, and among those of two weeks and more ago;
    -- from_p, to_p: places from the first one of the same moment to the last
    SELECT x.* FROM (
      SELECT r.id, r.asked, r.camp, r.a, r.e, r.t, r.ip AS vip, r.ctit, r.t <= as_of - interval '14 days' AS old, row_number() OVER (PARTITION BY r.a ORDER BY r.t DESC, r.id DESC) AS nth,
        row_number() OVER (PARTITION BY r.a, r.t <= as_of - interval '14 days' ORDER BY r.t DESC, r.id DESC) AS oth, count(*) OVER (PARTITION BY r.a) AS n,
        count(*) OVER (PARTITION BY r.a) - count(*) OVER (PARTITION BY r.a ORDER BY r.t DESC) + 1 AS from_p, count(*) OVER (PARTITION BY r.a) - rank() OVER (PARTITION BY r.a ORDER BY r.t DESC) + 1 AS to_p
      FROM r0 r WHERE r.plain AND r.state NOT IN ('ineligible', 'duplicate') AND r.a IS NOT NULL) x
    WHERE x.n >= 3
  ), edge AS MATERIALIZED (
    SELECT r.id, r.a, r.e FROM r0 r WHERE up_ids IS NULL AND r.plain AND r.state NOT IN ('ineligible', 'duplicate')
    UNION ALL
    SELECT r.referral_id, cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referrer_id, 0), 0), NULL), cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referee_id, 0), 0), v.identifier_id)
    FROM unnest(up_ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id LEFT JOIN cdp_data.referral_conversion v ON moved AND v.referral_conversion_id = r.first_conversion_id
  ), ph AS MATERIALIZED ( -- everybody concerned, under all his homes; with the identifier where an unmerge gave it to him
    SELECT p.root, p.home, NULL::bigint AS iid FROM unnest(p_root, p_home) AS p (root, home)
    UNION ALL
    SELECT p.root, i.customer_id, i.identifier_id FROM unnest(CASE WHEN moved THEN p_root END, CASE WHEN moved THEN p_home END) AS p (root, home) JOIN cdp_data.identifier_override o ON o.customer_id = p.home JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
  ), norm AS MATERIALIZED ( -- what is known of the campaigns
    SELECT n.*, (SELECT min(y.as_of) FROM cdp_data.fraud_norm y WHERE y.referral_campaign_id = n.referral_campaign_id AND y.per_day IS NOT NULL) AS paced_from
    FROM unnest(camps) AS k (camp) CROSS JOIN LATERAL (SELECT y.* FROM cdp_data.fraud_norm y WHERE y.referral_campaign_id = k.camp AND y.as_of <= fraud_signals.as_of ORDER BY y.as_of DESC LIMIT 1) n
  ), idn AS NOT MATERIALIZED ( -- their identifiers
    SELECT p.root, i.identifier_id AS iid, i.type_id AS type, i.value
    FROM ph p JOIN cdp_data.identifier i ON i.customer_id = p.home
    WHERE i.type_id IN (2, 3, 4, 5, 7, 8, 11, 13, 15) AND (i.first_seen IS NULL OR i.first_seen <= as_of)
      AND CASE WHEN p.iid IS NULL THEN NOT moved OR cdp_internal.customer_root(NULL, omap, i.customer_id, i.identifier_id) = i.customer_id ELSE i.identifier_id = p.iid END
  ), has AS MATERIALIZED ( -- bit n: an identifier of type n
    SELECT d.root, bit_or(1 << d.type) AS types FROM idn d GROUP BY d.root
  ), em AS MATERIALIZED (
    SELECT d.root, d.iid, (d.parts).canonical COLLATE "C" AS canonical, (d.parts).local, (d.parts).domain COLLATE "C" AS domain, (d.parts).stem COLLATE "C" AS stem, (d.parts).serial, (d.parts).is_role
    FROM (SELECT x.root, x.iid, cdp.email_parts(x.value) AS parts FROM idn x WHERE x.type = 2 OFFSET 0) d WHERE (d.parts).canonical IS NOT NULL
  ), fact AS ( -- what the referrers were seen with
    SELECT p.root, v.occurred_at AS at, v.ip_digest AS ip, v.net_digest AS net, v.ip_digest || v.agent_digest AS ip_ua, v.device_digest AS device, v.payment_digest AS payment, NULL::bytea AS payout, v.address_digest AS address
    FROM unnest(a_root) AS u (root) JOIN ph p ON p.root = u.root JOIN cdp_data.referral_conversion v ON v.customer_id = p.home AND NOT v.is_test AND v.occurred_at <= as_of AND (v.retracted_at IS NULL OR v.retracted_at > as_of) AND CASE WHEN p.iid IS NULL THEN NOT moved OR cdp_internal.customer_root(NULL, omap, v.customer_id, v.identifier_id) = v.customer_id ELSE v.identifier_id = p.iid END
    UNION ALL
    SELECT p.root, c.clicked_at, c.ip_digest, c.net_digest, c.ip_digest || c.agent_digest, c.device_digest, NULL, NULL, NULL
    FROM unnest(a_root) AS u (root) JOIN ph p ON p.root = u.root JOIN cdp_data.referral_click c ON c.customer_id = p.home AND NOT c.is_test AND NOT c.bot AND NOT c.prefetch AND c.clicked_at <= as_of AND (c.retracted_at IS NULL OR c.retracted_at > as_of) AND CASE WHEN p.iid IS NULL THEN NOT moved OR cdp_internal.customer_root(NULL, omap, c.customer_id, c.identifier_id) = c.customer_id ELSE c.identifier_id = p.iid END
    UNION ALL
    SELECT p.root, x.at, CASE f.kind WHEN 'ip' THEN f.digest END, CASE f.kind WHEN 'net' THEN f.digest END, CASE f.kind WHEN 'ip_ua' THEN f.digest END, CASE f.kind WHEN 'device' THEN f.digest END, CASE f.kind WHEN 'payment' THEN f.digest END,
      CASE f.kind WHEN 'payout' THEN f.digest END, CASE f.kind WHEN 'address' THEN f.digest END
    FROM unnest(a_root, a_home) AS p (root, home) JOIN cdp_data.fraud_fact f ON f.customer_id = p.home AND f.first_at <= as_of CROSS JOIN LATERAL (VALUES (f.first_at), (f.last_at)) AS x (at) WHERE x.at <= as_of
  ), fa AS MATERIALIZED (
    SELECT f.root, array_agg(f.ip) FILTER (WHERE f.ip IS NOT NULL) AS ips, array_agg(f.at) FILTER (WHERE f.ip IS NOT NULL) AS ips_at, array_agg(f.net) FILTER (WHERE f.net IS NOT NULL) AS nets, array_agg(f.at) FILTER (WHERE f.net IS NOT NULL) AS nets_at,
      array_agg(f.ip_ua) FILTER (WHERE f.ip_ua IS NOT NULL) AS uas, array_agg(f.at) FILTER (WHERE f.ip_ua IS NOT NULL) AS uas_at, array_agg(f.device) FILTER (WHERE f.device IS NOT NULL) AS devices, array_agg(f.at) FILTER (WHERE f.device IS NOT NULL) AS devices_at,
      array_agg(f.payment) FILTER (WHERE f.payment IS NOT NULL) AS payments, array_agg(f.payout) FILTER (WHERE f.payout IS NOT NULL) AS payouts, array_agg(f.address) FILTER (WHERE f.address IS NOT NULL) AS addresses
    FROM fact f GROUP BY f.root
  ), own AS MATERIALIZED ( -- referees who were seen with something of their referrer's
    SELECT b.id, b.a, b.ip, b.net, b.t, f.payouts IS NOT NULL AND b.payment = ANY (f.payouts) AS payout, f.payments IS NOT NULL AND b.payment = ANY (f.payments) AS payment, f.addresses IS NOT NULL AND b.address = ANY (f.addresses) AS address,
      (SELECT count(*) FROM unnest(f.devices, f.devices_at) AS u (d, at) WHERE u.d = b.device AND u.at BETWEEN b.t - interval '90 days' AND b.t + interval '90 days') AS device,
      (SELECT count(*) FROM unnest(f.uas, f.uas_at) AS u (d, at) WHERE u.d = b.ip_ua AND u.at BETWEEN b.t - interval '24 hours' AND b.t + interval '24 hours') AS ip_ua,
      (SELECT count(*) FROM unnest(f.ips, f.ips_at) AS u (d, at) WHERE u.d = b.ip AND u.at BETWEEN b.t - interval '30 days' AND b.t + interval '30 days') AS on_ip,
      (SELECT count(*) FROM unnest(f.nets, f.nets_at) AS u (d, at) WHERE u.d = b.net AND u.at BETWEEN b.t - interval '30 days' AND b.t + interval '30 days') AS on_net
    FROM b JOIN fa f ON f.root = b.a
    WHERE b.net = ANY (f.nets) OR b.ip = ANY (f.ips) OR b.device = ANY (f.devices) OR b.payment = ANY (f.payments) OR b.payment = ANY (f.payouts) OR b.address = ANY (f.addresses)
  ), ip_run AS MATERIALIZED ( -- referrers with more than three referees from one address in seven days, of the last 500: the narrower of both counts
    SELECT x.id, x.a, x.ip, x.t, x.k
    FROM (SELECT g.id, g.asked, g.a, g.vip AS ip, g.t, least(count(*) OVER (PARTITION BY g.a, g.vip ORDER BY g.t RANGE interval '7 days' PRECEDING), count(*) OVER (PARTITION BY g.a, g.vip ORDER BY g.to_p RANGE 499 PRECEDING)) AS k FROM g WHERE g.n > 3 AND g.vip IS NOT NULL) x
    WHERE x.k > 3 AND x.asked
  ), hub AS MATERIALIZED ( -- how many persons an address had in the 30 days up to a day
    SELECT h.ip, h.d, count(DISTINCT CASE WHEN few THEN cdp_internal.root_of(cdp_internal.customer_root(NULL, omap, s.customer_id, NULL)) ELSE cdp_internal.customer_root(cmap, omap, s.customer_id, NULL) END) AS n
    FROM (SELECT o.ip, o.t::date AS d FROM own o WHERE o.on_ip > 0 GROUP BY 1, 2) h CROSS JOIN LATERAL (
      (SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.ip_digest = h.ip AND v.occurred_at > h.d - interval '30 days' AND v.occurred_at < h.d + interval '1 day' AND NOT v.is_test AND v.occurred_at <= as_of AND (v.retracted_at IS NULL OR v.retracted_at > as_of) ORDER BY v.occurred_at DESC, v.referral_conversion_id DESC LIMIT 1000)
      UNION ALL (SELECT c.customer_id FROM cdp_data.referral_click c WHERE c.ip_digest = h.ip AND c.clicked_at > h.d - interval '30 days' AND c.clicked_at < h.d + interval '1 day' AND NOT c.is_test AND NOT c.bot AND NOT c.prefetch AND c.clicked_at <= as_of AND (c.retracted_at IS NULL OR c.retracted_at > as_of) AND c.customer_id IS NOT NULL ORDER BY c.clicked_at DESC, c.referral_click_id DESC LIMIT 1000)
      UNION ALL (SELECT f.customer_id FROM cdp_data.fraud_fact f WHERE f.digest = h.ip AND f.kind = 'ip' AND f.last_at > h.d - interval '30 days' AND f.first_at < least(h.d + interval '1 day', as_of + interval '1 us') ORDER BY f.customer_id LIMIT 1000)) s
    GROUP BY h.ip, h.d
  ), net_hub AS MATERIALIZED (
    SELECT h.net, h.d, count(DISTINCT CASE WHEN few THEN cdp_internal.root_of(cdp_internal.customer_root(NULL, omap, s.customer_id, NULL)) ELSE cdp_internal.customer_root(cmap, omap, s.customer_id, NULL) END) AS n
    FROM (SELECT o.net, o.t::date AS d FROM own o WHERE o.on_net > 0 AND o.on_ip = 0 GROUP BY 1, 2) h CROSS JOIN LATERAL (
      (SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.net_digest = h.net AND v.occurred_at > h.d - interval '30 days' AND v.occurred_at < h.d + interval '1 day' AND NOT v.is_test AND v.occurred_at <= as_of AND (v.retracted_at IS NULL OR v.retracted_at > as_of) ORDER BY v.occurred_at DESC, v.referral_conversion_id DESC LIMIT 1000)
      UNION ALL (SELECT f.customer_id FROM cdp_data.fraud_fact f WHERE f.digest = h.net AND f.kind = 'net' AND f.last_at > h.d - interval '30 days' AND f.first_at < least(h.d + interval '1 day', as_of + interval '1 us') ORDER BY f.customer_id LIMIT 1000)) s
    GROUP BY h.net, h.d
  ), others AS ( -- persons at such an address who are neither the referrer nor a referee of his
    SELECT s.a, s.ip, s.d, count(DISTINCT s.root) AS n
    FROM (SELECT h.a, h.ip, h.d, s.customer_id, CASE WHEN few THEN cdp_internal.root_of(cdp_internal.customer_root(NULL, omap, s.customer_id, NULL)) ELSE cdp_internal.customer_root(cmap, omap, s.customer_id, NULL) END AS root
      FROM (SELECT x.a, x.ip, x.t::date AS d FROM ip_run x GROUP BY 1, 2, 3) h CROSS JOIN LATERAL (
      (SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.ip_digest = h.ip AND v.occurred_at > h.d - interval '30 days' AND v.occurred_at < h.d + interval '1 day' AND NOT v.is_test AND v.occurred_at <= as_of AND (v.retracted_at IS NULL OR v.retracted_at > as_of) ORDER BY v.occurred_at DESC, v.referral_conversion_id DESC LIMIT 1000)
      UNION ALL (SELECT c.customer_id FROM cdp_data.referral_click c WHERE c.ip_digest = h.ip AND c.clicked_at > h.d - interval '30 days' AND c.clicked_at < h.d + interval '1 day' AND NOT c.is_test AND NOT c.bot AND NOT c.prefetch AND c.clicked_at <= as_of AND (c.retracted_at IS NULL OR c.retracted_at > as_of) AND c.customer_id IS NOT NULL ORDER BY c.clicked_at DESC, c.referral_click_id DESC LIMIT 1000)
      UNION ALL (SELECT f.customer_id FROM cdp_data.fraud_fact f WHERE f.digest = h.ip AND f.kind = 'ip' AND f.last_at > h.d - interval '30 days' AND f.first_at < least(h.d + interval '1 day', as_of + interval '1 us') ORDER BY f.customer_id LIMIT 1000)) s) s
    WHERE s.root <> s.a AND NOT EXISTS (SELECT FROM cdp_data.referral r WHERE r.referee_id = s.customer_id AND CASE WHEN few THEN cdp_internal.root_of(r.referrer_id) ELSE cdp_internal.customer_root(cmap, omap, r.referrer_id, NULL) END = s.a
      AND r.level = 1 AND NOT r.is_test AND r.attributed_at <= as_of AND CASE WHEN r.decided_at <= as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, as_of) END NOT IN ('ineligible', 'duplicate'))
    GROUP BY s.a, s.ip, s.d
  ), fast AS MATERIALIZED ( -- referrals of a referrer in the day, and in the hour, up to each
    SELECT p.* FROM (SELECT g.id, g.asked, g.camp, g.t, least(count(*) OVER (PARTITION BY g.camp, g.a ORDER BY g.t RANGE interval '24 hours' PRECEDING), 500) AS k, least(count(*) OVER (PARTITION BY g.camp, g.a ORDER BY g.t RANGE interval '1 hour' PRECEDING), 500) AS h FROM g WHERE g.n >= 4) p
    WHERE p.k >= 4 AND p.asked
  ), flat AS ( -- times from click to conversion, beside those of the campaign
    SELECT x.camp, x.a, k.p_value, k.n
    FROM (SELECT g.camp, g.a, array_agg(g.ctit) AS us FROM g WHERE g.nth <= 200 AND g.ctit IS NOT NULL AND g.n >= 20 GROUP BY g.camp, g.a HAVING count(*) >= 20) x JOIN norm n ON n.referral_campaign_id = x.camp CROSS JOIN LATERAL cdp.ks_two_samples(x.us, n.seconds, 'later') k
    WHERE k.p_value < 1e-4
  ), back AS ( -- what of conversions was given back in time
    SELECT f.referral_conversion_id AS cv, f.refunded_at AS at, f.amount_minor AS minor FROM cdp_data.referral_refund f WHERE big AND f.refunded_at <= as_of AND (f.retracted_at IS NULL OR f.retracted_at > as_of)
  ), later AS ( -- what the referees did from their referral on
    SELECT g.id, v.referral_conversion_id AS cv, v.occurred_at > g.t AND v.occurred_at <= g.t + interval '14 days' AS busy, v.eligible_minor AS eligible, g.t + interval '30 days' AS upto
    FROM (SELECT g.* FROM g WHERE g.nth <= 200 OR g.old AND g.oth <= 200) g JOIN ph p ON p.root = g.e JOIN cdp_data.referral_conversion v ON v.customer_id = p.home AND v.occurred_at >= g.t AND v.occurred_at <= g.t + interval '30 days' AND NOT v.is_test AND v.occurred_at <= as_of AND (v.retracted_at IS NULL OR v.retracted_at > as_of) AND CASE WHEN p.iid IS NULL THEN NOT moved OR cdp_internal.customer_root(NULL, omap, v.customer_id, v.identifier_id) = v.customer_id ELSE v.identifier_id = p.iid END
  ), life AS MATERIALIZED (
    SELECT y.id, bool_or(y.busy) AS busy, count(*) FILTER (WHERE y.eligible > 0) AS bought, count(*) FILTER (WHERE y.eligible > 0 AND y.minor * 2 >= y.eligible) AS returned
    FROM (
      SELECT l.id, l.cv, l.busy, l.eligible, CASE WHEN big THEN f.minor ELSE (
          SELECT sum(x.amount_minor) FROM cdp_data.referral_refund x WHERE x.referral_conversion_id = l.cv AND x.refunded_at <= least(l.upto, as_of) AND (x.retracted_at IS NULL OR x.retracted_at > as_of)) END AS minor
      FROM later l LEFT JOIN (SELECT z.id, z.cv, sum(f.minor) AS minor FROM later z JOIN back f ON f.cv = z.cv AND f.at <= z.upto WHERE big GROUP BY z.id, z.cv) f ON f.id = l.id AND f.cv = l.cv) y
    GROUP BY y.id
  ), refunds AS ( -- of the last 200; of who has more also of the last 200 whose time is over
    SELECT DISTINCT ON (x.a) x.a, x.n, x.k
    FROM (SELECT g.a, count(*) AS n, count(*) FILTER (WHERE l.returned * 2 >= l.bought) AS k FROM g JOIN life l ON l.id = g.id AND l.bought > 0 WHERE g.nth <= 200 GROUP BY g.a
      UNION ALL SELECT g.a, count(*), count(*) FILTER (WHERE l.returned * 2 >= l.bought) FROM g JOIN life l ON l.id = g.id AND l.bought > 0 WHERE g.n > 200 AND g.old AND g.oth <= 200 GROUP BY g.a) x
    WHERE x.n >= 3 AND x.k * 2 >= x.n ORDER BY x.a, x.k::double precision / x.n DESC, x.n DESC
  ), idle AS ( -- referees of two weeks and more ago who did nothing after
    SELECT g.camp, g.a, count(*) AS n, count(*) FILTER (WHERE l.busy IS NOT TRUE) AS k
    FROM g LEFT JOIN life l ON l.id = g.id WHERE g.n >= 5 AND g.old AND g.oth <= 200 GROUP BY g.camp, g.a HAVING count(*) >= 5 AND count(*) FILTER (WHERE l.busy IS NOT TRUE) * 2 >= count(*)
  ), serial AS MATERIALIZED ( -- addresses of a referrer's referees that end in a number, and have neighbours
    SELECT x.* FROM (SELECT g.id, g.asked, g.a, g.t, g.from_p, g.to_p, m.iid, m.domain, m.stem, m.serial, count(*) OVER (PARTITION BY g.a, m.domain, m.stem ORDER BY m.serial RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING) AS n
      FROM g JOIN em m ON m.root = g.e WHERE m.serial IS NOT NULL) x WHERE x.n >= 3
  ), counted AS ( -- addresses that are counted up within a week, of the 500 before and the 100 after
    SELECT x.id, x.iid, count(DISTINCT y.iid) AS n FROM serial x CROSS JOIN generate_series(-5, 5) d JOIN serial y ON y.a = x.a AND y.domain = x.domain AND y.stem = x.stem AND y.serial = x.serial + d AND y.t BETWEEN x.t - interval '7 days' AND x.t + interval '7 days' AND y.to_p >= x.to_p - 499 AND y.from_p <= x.to_p + 100
    WHERE x.asked GROUP BY x.id, x.iid HAVING count(DISTINCT y.iid) >= 3
  ), up1 AS ( -- who referred the referrer, and so on
    SELECT b.id, b.e, g.a AS node, g.id AS r1 FROM b JOIN edge g ON g.e = b.a
  ), up2 AS (
    SELECT u.id, u.e, g.a AS node, u.r1, g.id AS r2 FROM up1 u JOIN edge g ON g.e = u.node WHERE u.node <> u.e
  ), up3 AS (
    SELECT u.id, u.e, g.a AS node, u.r1, u.r2, g.id AS r3 FROM up2 u JOIN edge g ON g.e = u.node WHERE u.node <> u.e
  ), banned AS MATERIALIZED (
    SELECT DISTINCT p.root, n.referral_campaign_id AS camp, n.banned_at, least(n.expires_at, f.lifted_at, 'infinity') AS until
    FROM unnest(p_root, p_home) AS p (root, home) JOIN cdp_data.referral_ban n ON n.customer_id = p.home LEFT JOIN cdp_data.referral_ban_lift f USING (referral_ban_id)
    WHERE n.banned_at <= as_of AND n.banned_at < least(n.expires_at, f.lifted_at, 'infinity')
  ), person AS MATERIALIZED ( -- entries of lists about people
    SELECT p.root, l.list, l.fraud_list_id AS entry, l.referral_campaign_id AS camp FROM unnest(p_root, p_home) AS p (root, home) JOIN cdp_data.fraud_list l ON l.customer_id = p.home AND l.list IN ('allow', 'block') AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
  ), name AS ( -- hosts and domains, with what they are below of
    SELECT 'host' AS what, h.host COLLATE "C" AS name, s COLLATE "C" AS suffix FROM (SELECT DISTINCT b.host FROM b WHERE b.host IS NOT NULL) h CROSS JOIN LATERAL cdp_internal.fraud_suffixes(h.host) s
    UNION ALL
    SELECT 'email_domain', d.domain, s COLLATE "C" FROM (SELECT DISTINCT m.domain FROM em m) d CROSS JOIN LATERAL cdp_internal.fraud_suffixes(d.domain) s
  ), place AS MATERIALIZED ( -- entries of lists about hosts and domains
    SELECT n.what, n.name, l.list, l.fraud_list_id AS entry, l.referral_campaign_id AS camp FROM name n JOIN cdp_data.fraud_list l ON l.value = n.suffix AND l.what = n.what AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
    UNION ALL SELECT n.what, n.name, 'denied_host', NULL, NULL FROM name n JOIN cdp.coupon_site_builtin() s ON s = n.suffix WHERE n.what = 'host'
    UNION ALL SELECT n.what, n.name, 'disposable_domain', NULL, NULL FROM name n JOIN cdp.disposable_domain_builtin() s ON s = n.suffix WHERE n.what = 'email_domain'
  ), touched AS MATERIALIZED ( -- digests of the referrals; of many only those that are marked
    SELECT b.id, b.camp, x.kind, x.digest FROM b CROSS JOIN LATERAL (VALUES ('ip', b.ip), ('net', b.net), ('device', b.device), ('payment', b.payment), ('address', b.address)) AS x (kind, digest)
    WHERE x.digest IS NOT NULL AND (NOT big OR b.ip = ANY (marked) OR b.net = ANY (marked) OR b.device = ANY (marked) OR b.payment = ANY (marked) OR b.address = ANY (marked)) AND (NOT big OR x.digest = ANY (marked))
    UNION ALL
    SELECT b.id, b.camp, 'payment', u.u FROM (SELECT f.root, u FROM fa f CROSS JOIN LATERAL unnest(f.payments || f.payouts) u WHERE NOT big OR u = ANY (marked)) u JOIN b ON b.a = u.root
    UNION ALL
    SELECT b.id, b.camp, u.kind, u.digest
    FROM (SELECT d.root, d.kind, d.digest
        FROM (SELECT x.root, 'email' AS kind, cdp_internal.keyed_digest('referral', 'email:' || x.canonical) AS digest FROM em x WHERE mails
          UNION ALL SELECT x.root, 'phone', cdp_internal.keyed_digest('referral', 'phone:' || btrim(x.value)) FROM idn x WHERE mails AND x.type = 3 OFFSET 0) d WHERE NOT big OR d.digest = ANY (marked)) u
      JOIN (SELECT b.id, b.camp, b.e AS who FROM b UNION ALL SELECT b.id, b.camp, b.a FROM b) b ON b.who = u.root
  ), seen_together AS ( -- records that show identifiers of both, where a limit kept them two
    SELECT b.id, l.link_id, least(array_position('{3,15,11,7,4,5,8,13,2}', l.xt::integer), array_position('{3,15,11,7,4,5,8,13,2}', l.yt::integer)) AS rank
    FROM (SELECT l.link_id, x.root AS xr, x.type AS xt, y.root AS yr, y.type AS yt FROM idn x JOIN cdp_data.link l ON l.a_id = x.iid AND l.state = 'rejected' AND l.kind = 'deterministic' AND l.first_seen <= as_of JOIN idn y ON y.iid = l.b_id) l
      JOIN LATERAL (VALUES (l.xr, l.yr), (l.yr, l.xr)) AS s (e, a) ON true JOIN b ON b.e = s.e AND b.a = s.a
  ), known AS MATERIALIZED ( -- what confirmed frauds were done with
    SELECT t.id, t.kind, t.digest, h.referral_id AS referral FROM touched t JOIN cdp_data.fraud_history h ON h.digest = t.digest AND h.referral_id <> t.id
    WHERE h.confirmed_at <= as_of AND (h.expires_at > as_of OR h.expires_at IS NULL) AND (h.cleared_at > as_of OR h.cleared_at IS NULL)
  ), crowd AS ( -- persons who came from such an address in 30 days, but those of its confirmed frauds
    SELECT s.digest, array_agg(DISTINCT s.root) AS roots
    FROM (SELECT d.digest, CASE WHEN few THEN cdp_internal.root_of(s.customer_id) ELSE cdp_internal.customer_root(cmap, omap, s.customer_id, NULL) END AS root
      FROM (SELECT DISTINCT k.digest FROM known k WHERE k.kind = 'ip') d CROSS JOIN LATERAL (
        (SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.ip_digest = d.digest AND NOT v.is_test AND v.occurred_at <= as_of AND v.occurred_at > as_of - interval '30 days' AND (v.retracted_at IS NULL OR v.retracted_at > as_of) ORDER BY v.occurred_at DESC, v.referral_conversion_id DESC LIMIT 1000)
        UNION ALL (SELECT c.customer_id FROM cdp_data.referral_click c WHERE c.ip_digest = d.digest AND NOT c.is_test AND NOT c.bot AND NOT c.prefetch AND c.clicked_at <= as_of AND c.clicked_at > as_of - interval '30 days' AND (c.retracted_at IS NULL OR c.retracted_at > as_of) AND c.customer_id IS NOT NULL ORDER BY c.clicked_at DESC, c.referral_click_id DESC LIMIT 1000)
        UNION ALL (SELECT f.customer_id FROM cdp_data.fraud_fact f WHERE f.digest = d.digest AND f.kind = 'ip' AND f.last_at > as_of - interval '30 days' AND f.first_at <= as_of ORDER BY f.customer_id LIMIT 1000)) s) s
    WHERE s.root IS NOT NULL AND (s.digest, s.root) NOT IN (
      SELECT h.digest, w.root FROM (SELECT DISTINCT k.digest FROM known k WHERE k.kind = 'ip') d JOIN cdp_data.fraud_history h ON h.digest = d.digest AND h.confirmed_at <= as_of AND (h.expires_at > as_of OR h.expires_at IS NULL) AND (h.cleared_at > as_of OR h.cleared_at IS NULL)
        JOIN cdp_data.referral r ON r.referral_id = h.referral_id CROSS JOIN LATERAL (VALUES (r.referrer_id), (r.referee_id)) AS u (id)
        CROSS JOIN LATERAL (SELECT CASE WHEN few THEN cdp_internal.root_of(u.id) ELSE cdp_internal.customer_root(cmap, omap, u.id, NULL) END AS root) w WHERE w.root IS NOT NULL)
    GROUP BY s.digest
  ), signal (id, code, value, evidence) AS (
    SELECT n.id, 'list.ban', 1::double precision, jsonb_build_object('referrer', bool_or(n.mine))
      FROM (SELECT b.id, true AS mine, b.t, b.state, n.banned_at, n.until FROM banned n JOIN b ON b.a = n.root AND (n.camp IS NULL OR n.camp = b.camp) UNION ALL SELECT b.id, false, b.t, b.state, n.banned_at, n.until FROM banned n JOIN b ON b.e = n.root AND (n.camp IS NULL OR n.camp = b.camp)) n
      -- Banned then, or now while it is open: what was approved before the ban stays.
      WHERE n.t >= n.banned_at AND n.t < n.until OR n.state <> 'approved' AND n.until > as_of GROUP BY n.id
    UNION ALL SELECT b.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.entry) FROM person l JOIN b ON b.a = l.root AND (l.camp IS NULL OR l.camp = b.camp)
    UNION ALL SELECT b.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.entry) FROM person l JOIN b ON b.e = l.root AND (l.camp IS NULL OR l.camp = b.camp)
    UNION ALL SELECT t.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.fraud_list_id) FROM touched t JOIN cdp_data.fraud_list l ON l.digest = t.digest AND (l.referral_campaign_id IS NULL OR l.referral_campaign_id = t.camp) AND l.list IN ('allow', 'block') AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
    UNION ALL SELECT b.id, CASE l.list WHEN 'disposable_domain' THEN 'email.disposable' ELSE 'list.' || l.list END, 1, CASE l.list WHEN 'disposable_domain' THEN jsonb_build_object('identifier', min(m.iid)) ELSE jsonb_build_object('entry', min(l.entry)) END
      FROM place l JOIN em m ON m.domain = l.name JOIN b ON b.e = m.root AND (l.camp IS NULL OR l.camp = b.camp) WHERE l.what = 'email_domain' AND l.list <> 'denied_host' GROUP BY b.id, l.list
    UNION ALL SELECT b.id, CASE l.list WHEN 'denied_host' THEN 'leak.coupon_site' ELSE 'list.' || l.list END, 1, CASE WHEN l.list <> 'denied_host' THEN jsonb_build_object('entry', min(l.entry)) END
      FROM place l JOIN b ON b.host = l.name AND (l.camp IS NULL OR l.camp = b.camp) WHERE l.what = 'host' AND l.list <> 'disposable_domain' GROUP BY b.id, l.list
    UNION ALL SELECT b.id, 'hard.same_person', 1, NULL FROM b WHERE b.a = b.e
    UNION ALL SELECT b.id, CASE WHEN b.state = 'duplicate' OR b.reason = 'already_referred' THEN 'hard.already_referred' WHEN b.reason = 'no_active_campaign' THEN 'hard.campaign_closed' ELSE 'hard.existing_customer' END, 1, NULL
      FROM b WHERE b.state = 'duplicate' OR b.state = 'ineligible' AND b.reason IN ('already_referred', 'no_active_campaign', 'existing_customer', 'known_before_click')
    UNION ALL SELECT x.id, CASE WHEN x.same THEN 'self.email_canonical' ELSE 'self.name_email_similar' END, 1, jsonb_build_object('referee_identifier', x.ri, 'referrer_identifier', x.ai)
      FROM (SELECT b.id, m.iid AS ri, n.iid AS ai, m.canonical = n.canonical AS same, m.canonical <> n.canonical AND cdp.emails_similar(m.local, n.local) AS alike FROM b JOIN em m ON m.root = b.e JOIN em n ON n.root = b.a WHERE b.a <> b.e) x WHERE x.same OR x.alike
    UNION ALL SELECT s.id, (ARRAY['self.phone', 'self.id_hash', 'self.payment_fp', 'self.device', 'self.openid', 'self.openid', 'self.cookie', 'self.cookie', 'self.email_canonical'])[s.rank], 1, jsonb_build_object('link', min(s.link_id)) FROM seen_together s WHERE s.rank IS NOT NULL GROUP BY s.id, s.rank
    UNION ALL SELECT o.id, 'self.payout_fp', 1, NULL FROM own o WHERE o.payout
    UNION ALL SELECT o.id, 'self.payment_fp', 1, NULL FROM own o WHERE o.payment
    UNION ALL SELECT o.id, 'self.address', 1, NULL FROM own o WHERE o.address
    UNION ALL SELECT o.id, 'self.device', 1, jsonb_build_object('seen', o.device) FROM own o WHERE o.device > 0
    UNION ALL SELECT o.id, 'self.ip_ua', greatest(h.n, 2), jsonb_build_object('persons', greatest(h.n, 2), 'seen', o.ip_ua) FROM own o LEFT JOIN hub h ON h.ip = o.ip AND h.d = o.t::date WHERE o.ip_ua > 0
    UNION ALL SELECT o.id, 'self.ip', greatest(h.n, 2), jsonb_build_object('persons', greatest(h.n, 2), 'seen', o.on_ip) FROM own o JOIN hub h ON h.ip = o.ip AND h.d = o.t::date WHERE o.on_ip > 0
    UNION ALL SELECT o.id, 'self.ip24', greatest(h.n, 2), jsonb_build_object('persons', greatest(h.n, 2), 'seen', o.on_net) FROM own o JOIN net_hub h ON h.net = o.net AND h.d = o.t::date WHERE o.on_net > 0 AND o.on_ip = 0
    UNION ALL SELECT b.id, 'email.role', 1, jsonb_build_object('identifier', min(m.iid)) FROM em m JOIN b ON m.root = b.e WHERE m.is_role GROUP BY b.id
    UNION ALL SELECT b.id, 'email.invalid', 1, jsonb_build_object('identifier', min(m.iid)) FROM cdp_data.channel_bounce u JOIN em m ON m.iid = u.identifier_id JOIN b ON b.e = m.root WHERE u.bounced_at <= as_of AND (u.alive_at <= u.bounced_at OR u.alive_at > as_of) GROUP BY b.id
    UNION ALL SELECT c.id, 'email.sequential', max(c.n), jsonb_build_object('identifier', min(c.iid), 'addresses', max(c.n)) FROM counted c GROUP BY c.id
    UNION ALL SELECT x.id, 'vel.referrer', x.p, jsonb_build_object('referrals', x.k, 'expected', round(x.per_day::numeric, 4))
      -- By the rate that the campaign had before; else the first one after; else a lively one.
      FROM (SELECT f.id, f.k, n.per_day, cdp.poisson_cdf(f.k - 1, n.per_day, true) AS p FROM fast f CROSS JOIN LATERAL (
          SELECT coalesce((SELECT y.per_day FROM cdp_data.fraud_norm y WHERE y.referral_campaign_id = f.camp AND y.as_of <= f.t AND y.per_day IS NOT NULL ORDER BY y.as_of DESC LIMIT 1),
            (SELECT y.per_day FROM cdp_data.fraud_norm y WHERE y.referral_campaign_id = f.camp AND y.as_of > f.t AND y.as_of <= fraud_signals.as_of AND y.per_day IS NOT NULL ORDER BY y.as_of LIMIT 1), lively) AS per_day) n) x WHERE x.p < 0.05
    UNION ALL SELECT f.id, 'vel.referrer_hour', f.h, jsonb_build_object('referrals', f.h) FROM fast f WHERE f.h > 5
    UNION ALL SELECT x.id, 'vel.ip', coalesce(o.n, 0) + 2, jsonb_build_object('referees', x.k, 'others', coalesce(o.n, 0)) FROM ip_run x LEFT JOIN others o ON o.a = x.a AND o.ip = x.ip AND o.d = x.t::date
    UNION ALL SELECT b.id, 'ctit.fast', greatest(b.ctit, 0) / CASE WHEN b.signup THEN 10 ELSE 60 END, jsonb_build_object('seconds', b.ctit) FROM b WHERE b.ctit < CASE WHEN b.signup THEN 10 ELSE 60 END
    UNION ALL SELECT b.id, 'ctit.flat', f.p_value, jsonb_build_object('conversions', f.n) FROM flat f JOIN b ON b.camp = f.camp AND b.a = f.a
    UNION ALL SELECT b.id, 'click.flood', 1, jsonb_build_object('clicks', f.clicks, 'referrals', f.referrals, 'clicks_p99', n.clicks_p99, 'median_rate', round(n.click_rate::numeric, 6)) FROM norm n JOIN cdp_data.fraud_code f ON f.referral_campaign_id = n.referral_campaign_id AND f.as_of = n.as_of AND f.flood JOIN b ON b.code = f.referral_code_id
    UNION ALL SELECT b.id, 'leak.public_spread', f.networks, jsonb_build_object('networks', f.networks) FROM norm n JOIN cdp_data.fraud_code f ON f.referral_campaign_id = n.referral_campaign_id AND f.as_of = n.as_of AND f.networks >= 8 JOIN b ON b.code = f.referral_code_id
    UNION ALL SELECT b.id, 'leak.paid', 1, jsonb_build_object('click', b.click) FROM b WHERE b.paid
    UNION ALL SELECT u.id, 'ring.cycle', 2, jsonb_build_object('referrals', ARRAY[min(u.r1)]) FROM up1 u WHERE u.node = u.e GROUP BY u.id
    UNION ALL SELECT u.id, 'ring.cycle', 3, jsonb_build_object('referrals', min(ARRAY[u.r1, u.r2])) FROM up2 u WHERE u.node = u.e GROUP BY u.id
    UNION ALL SELECT u.id, 'ring.cycle', 4, jsonb_build_object('referrals', min(ARRAY[u.r1, u.r2, u.r3])) FROM up3 u WHERE u.node = u.e GROUP BY u.id
    UNION ALL SELECT b.id, x.code, x.value, jsonb_build_object('run', ring_run) || CASE WHEN x.code = 'ring.component' THEN jsonb_build_object('accounts', r.component_size) ELSE '{}' END
      FROM b JOIN cdp_data.fraud_ring r ON r.fraud_ring_run_id = ring_run AND r.customer_id = b.e CROSS JOIN LATERAL (VALUES ('ring.component', r.component_size), ('ring.core', r.core), ('ring.dense', r.dense::integer)) AS x (code, value) WHERE x.value > 0
    UNION ALL SELECT b.id, 'behav.refund', r.k::double precision / r.n, jsonb_build_object('referees', r.n, 'refunded', r.k) FROM refunds r JOIN b ON b.a = r.a
    UNION ALL SELECT b.id, 'behav.dormant', x.p, jsonb_build_object('referees', x.n, 'idle', x.k, 'campaign_rate', round(x.idle::numeric, 4))
      FROM (SELECT i.camp, i.a, i.n, i.k, n.idle, cdp.beta_cdf(n.idle, i.k, i.n - i.k + 1) AS p FROM idle i JOIN norm n ON n.referral_campaign_id = i.camp AND n.idle IS NOT NULL) x JOIN b ON b.camp = x.camp AND b.a = x.a WHERE x.p < 0.01
    -- An address of many other people is none of the fraud's alone.
    UNION ALL SELECT x.id, 'history.fraud_identifier', 1, jsonb_build_object('referral', min(x.referral), 'kinds', count(DISTINCT x.kind)) FROM known x JOIN b ON b.id = x.id LEFT JOIN crowd c ON c.digest = x.digest AND x.kind = 'ip'
      WHERE c.digest IS NULL OR cardinality(array_remove(array_remove(c.roots, b.a), b.e)) <= 4 GROUP BY x.id
  ), hits AS (
    SELECT s.id, array_agg(s.code) AS codes, array_agg(s.value) AS vals, array_agg(s.evidence) AS evidence FROM signal s GROUP BY s.id
  )
  SELECT b.id, b.camp, b.tv,
    CASE WHEN coalesce(he.types, 0) & 4 = 0 OR coalesce(ha.types, 0) & 4 = 0 THEN 4097 ELSE 0::bigint END | CASE WHEN coalesce(he.types, 0) & 4 = 0 THEN 122880 ELSE 0 END
    | CASE WHEN coalesce(he.types, 0) & 8 = 0 THEN 2 ELSE 0 END | CASE WHEN b.payment IS NULL OR f.payments IS NULL THEN 4 ELSE 0 END | CASE WHEN b.payment IS NULL OR f.payouts IS NULL THEN 8 ELSE 0 END
    | CASE WHEN coalesce(he.types, 0) & 32768 = 0 THEN 16 ELSE 0 END | CASE WHEN (b.device IS NULL OR f.devices IS NULL) AND coalesce(he.types, 0) & 128 = 0 THEN 32 ELSE 0 END
    | CASE WHEN coalesce(he.types, 0) & 8448 = 0 THEN 64 ELSE 0 END | CASE WHEN coalesce(he.types, 0) & 48 = 0 THEN 128 ELSE 0 END | CASE WHEN b.address IS NULL OR f.addresses IS NULL THEN 256 ELSE 0 END
    | CASE WHEN b.ip_ua IS NULL OR f.uas IS NULL THEN 512 ELSE 0 END | CASE WHEN b.ip IS NULL OR f.ips IS NULL THEN 1024 ELSE 0 END | CASE WHEN b.net IS NULL OR f.nets IS NULL THEN 2048 ELSE 0 END
    | CASE WHEN n.paced_from <= b.t THEN 0 ELSE 131072 END | CASE WHEN b.ip IS NULL THEN 262144 ELSE 0 END | CASE WHEN b.click IS NULL THEN 18350080 WHEN n.seconds IS NULL THEN 1048576 ELSE 0 END
    | CASE WHEN b.code IS NULL OR n.clicks_p99 IS NULL THEN 2097152 ELSE 0 END
    | CASE WHEN b.host IS NULL THEN 4194304 ELSE 0 END | CASE WHEN b.has_asn IS NOT TRUE OR n.referral_campaign_id IS NULL THEN 8388608 ELSE 0 END | CASE WHEN ring_run IS NULL THEN 234881024 ELSE 0 END
    | CASE WHEN num_nonnulls(b.ip, b.device, b.payment, b.address) = 0 AND coalesce(he.types, 0) & 12 = 0 THEN 268435456 ELSE 0 END | CASE WHEN n.idle IS NULL THEN 536870912 ELSE 0 END,
    x.codes, x.vals, x.evidence
  FROM b LEFT JOIN hits x ON x.id = b.id LEFT JOIN has he ON he.root = b.e LEFT JOIN has ha ON ha.root = b.a LEFT JOIN fa f ON f.root = b.a LEFT JOIN norm n ON n.referral_campaign_id = b.camp;
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_signals(bigint[], timestamptz) IS
'What the rules measure of referrals as of a moment, from what had happened by then; identity is that of now. fired: the rules that found something, vals and evidence of each (counts and numbers of rows); missing: bits of cdp_internal.fraud_signal_names() whose signal is not known. Referrals of after as_of have no row. Pace, addresses and counted-up mailboxes are those around each referral: of the 500 before it (for the pace those of its campaign, up to a day) and 100 after it, with those of the same moment, whether it is asked for alone or with others; returns, idleness and times to convert those of the referrer''s last 200 until then; an address or network with its last 1,000 conversions and clicks of 30 days; what is compared with the campaign comes from its last measurement (cdp.measure_referral_norms()). One pass over each table for more than 2,000 referrals, indexes for fewer. Takes up to 64 MB for each of its sorts and joins, then temporary files.';

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
    SELECT array_agg(r.id), array_agg(u.id) INTO root, home FROM unnest(roots) AS r (id) CROSS JOIN LATERAL cdp_internal.customers_under(r.id) AS u (id);
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
    WHERE r.referee_id = ANY ((cdp_internal.fraud_homes(nodes)).home) AND r.level = 1 AND NOT r.is_test AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of;
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
RETURN '{self.email_canonical,self.phone,self.payment_fp,self.payout_fp,self.id_hash,self.device,self.cookie,self.openid,self.address,self.ip_ua,self.ip,self.ip24,self.name_email_similar,email.disposable,email.invalid,email.role,email.sequential,vel.referrer,vel.ip,ctit.fast,ctit.flat,click.flood,leak.coupon_site,leak.public_spread,leak.paid,ring.component,ring.core,ring.dense,history.fraud_identifier}'::text[];
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
  camps integer[];
  a_roots bigint[];
  e_roots bigint[];
  a_root bigint[];
  a_home bigint[];
  p_root bigint[];
  p_home bigint[];
  g_ids bigint[]; -- all referrals of their referrers, and the way up from these
  ring_run bigint := (SELECT r.fraud_ring_run_id FROM cdp_data.fraud_ring_run r WHERE r.as_of <= fraud_signals.as_of ORDER BY r.as_of DESC, r.fraud_ring_run_id DESC LIMIT 1);
  marked bytea[]; -- digests of confirmed fraud, and of the lists
  mails boolean;
BEGIN
  SELECT array_agg(DISTINCT x.camp), array_agg(DISTINCT x.a), array_agg(DISTINCT x.e) INTO camps, a_roots, e_roots
  FROM (SELECT r.referral_campaign_id AS camp, CASE WHEN few THEN cdp_internal.root_of(r.referrer_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referrer_id, NULL) END AS a,
      CASE WHEN few THEN cdp_internal.root_of(r.referee_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referee_id, NULL) END AS e
    FROM unnest(ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id) x;
  IF camps IS NULL THEN
    RETURN;
  END IF;
  SELECT h.root, h.home INTO a_root, a_home FROM cdp_internal.fraud_homes(array_remove(a_roots, NULL)) h;
  SELECT array_agg(DISTINCT x.id) INTO e_roots FROM (
    SELECT CASE WHEN few THEN cdp_internal.root_of(r.referee_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referee_id, NULL) END AS id FROM cdp_data.referral r WHERE r.referrer_id = ANY (a_home) AND r.attributed_at <= as_of
    UNION ALL SELECT unnest(e_roots) UNION ALL SELECT unnest(a_roots)) x;
  IF big THEN
    g_ids := ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.level = 1 AND NOT r.is_test AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of);
  ELSE
    g_ids := ARRAY(SELECT r.referral_id FROM cdp_data.referral r WHERE r.referrer_id = ANY (a_home) UNION SELECT unnest(cdp_internal.fraud_ancestors(array_remove(a_roots, NULL), as_of)));
  END IF;
  IF cardinality(ids) <= 200 THEN
    -- One plan for all of them; making it takes longer than using it.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
  ELSIF big THEN
    -- The planner knows little of what the parts of the query give each other, and takes each for small.
    PERFORM set_config('enable_nestloop', 'off', true);
  END IF;
  SELECT h.root, h.home INTO p_root, p_home FROM cdp_internal.fraud_homes(array_remove(e_roots, NULL)) h;
  SELECT array_agg(m.digest), coalesce(bool_or(m.kind IN ('email', 'phone')), false) INTO marked, mails
  FROM (
    SELECT h.kind, h.digest FROM cdp_data.fraud_history h WHERE h.confirmed_at <= as_of AND (h.expires_at > as_of OR h.expires_at IS NULL) AND (h.cleared_at > as_of OR h.cleared_at IS NULL)
    UNION ALL
    SELECT l.what, l.digest FROM cdp_data.fraud_list l WHERE l.digest IS NOT NULL AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)) m;
  marked := coalesce(marked, '{}');

  RETURN QUERY
  WITH b AS MATERIALIZED ( -- the referrals, each with its conversion and its click
    SELECT r.referral_id AS id, r.referral_campaign_id AS camp, r.terms_version AS tv, r.attributed_at AS t, r.referral_code_id AS code, r.state, r.reason, r.first_conversion_id AS cv,
      CASE WHEN few THEN cdp_internal.root_of(r.referrer_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referrer_id, NULL) END AS a,
      CASE WHEN few THEN cdp_internal.root_of(r.referee_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referee_id, NULL) END AS e,
      coalesce(v.ip_digest, c.ip_digest) AS ip, coalesce(v.net_digest, c.net_digest) AS net, coalesce(v.device_digest, c.device_digest) AS device, v.payment_digest AS payment, v.address_digest AS address,
      CASE WHEN v.ip_digest IS NULL THEN c.ip_digest || c.agent_digest ELSE v.ip_digest || v.agent_digest END AS ip_ua,
      nullif(c.referrer_host, '') AS host, c.paid, c.asn IS NOT NULL AS has_asn, c.referral_click_id AS click,
      extract(epoch FROM v.occurred_at - c.clicked_at)::double precision AS ctit, v.kind = ANY (m.signup_kinds) AS signup
    FROM unnest(ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id AND r.attributed_at <= as_of
      -- Outer joins, so that the planner does not think little of how many there are.
      LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id
      LEFT JOIN cdp_data.referral_terms m ON m.referral_campaign_id = r.referral_campaign_id AND m.terms_version = r.terms_version
      LEFT JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id
  ), g AS MATERIALIZED ( -- all referrals of their referrers, and the way up from these
    SELECT r.referral_id AS id, r.referral_campaign_id AS camp, r.attributed_at AS t, r.first_conversion_id AS cv, r.referral_click_id AS click, r.referral_code_id AS code, r.referee_id AS e_home,
      CASE WHEN few THEN cdp_internal.root_of(r.referrer_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referrer_id, NULL) END AS a,
      CASE WHEN few THEN cdp_internal.root_of(r.referee_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referee_id, NULL) END AS e
    FROM unnest(g_ids) AS i (id) JOIN cdp_data.referral r ON r.referral_id = i.id
    WHERE r.level = 1 AND NOT r.is_test AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of
  ), idp AS MATERIALIZED ( -- identifiers of everybody concerned
    SELECT p.root, i.identifier_id AS iid, i.type_id AS type, CASE WHEN i.type_id = 2 THEN cdp.email_parts(i.value) END AS parts, CASE WHEN mails AND i.type_id = 3 THEN i.value END AS phone
    FROM unnest(p_root, p_home) AS p (root, home) JOIN cdp_data.identifier i ON i.customer_id = p.home
    WHERE i.type_id IN (2, 3, 4, 5, 7, 8, 11, 13, 15) AND (i.first_seen IS NULL OR i.first_seen <= as_of) AND (NOT moved OR cdp_internal.customer_root(NULL, omap, i.customer_id, i.identifier_id) = i.customer_id)
    UNION ALL
    SELECT p.root, i.identifier_id, i.type_id, CASE WHEN i.type_id = 2 THEN cdp.email_parts(i.value) END, CASE WHEN mails AND i.type_id = 3 THEN i.value END
    FROM unnest(CASE WHEN moved THEN p_root END, CASE WHEN moved THEN p_home END) AS p (root, home) JOIN cdp_data.identifier_override o ON o.customer_id = p.home JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
    WHERE i.type_id IN (2, 3, 4, 5, 7, 8, 11, 13, 15) AND (i.first_seen IS NULL OR i.first_seen <= as_of)
  ), has AS ( -- bit n: an identifier of type n
    SELECT d.root, bit_or(1 << d.type) AS types FROM idp d GROUP BY d.root
  ), em AS MATERIALIZED (
    SELECT d.root, d.iid, (d.parts).canonical COLLATE "C" AS canonical, (d.parts).local, (d.parts).domain COLLATE "C" AS domain, (d.parts).stem COLLATE "C" AS stem, (d.parts).serial, (d.parts).is_role FROM idp d WHERE d.type = 2 AND (d.parts).canonical IS NOT NULL
  ), fact AS ( -- what the referrers were seen with
    SELECT p.root, x.kind, x.digest, v.occurred_at AS at
    FROM unnest(a_root, a_home) AS p (root, home) JOIN cdp_data.referral_conversion v ON v.customer_id = p.home AND NOT v.is_test AND v.retracted_at IS NULL AND v.occurred_at <= as_of
      CROSS JOIN LATERAL (VALUES (1, v.ip_digest), (2, v.net_digest), (3, v.ip_digest || v.agent_digest), (4, v.device_digest), (5, v.payment_digest), (7, v.address_digest)) AS x (kind, digest) WHERE x.digest IS NOT NULL
    UNION ALL
    SELECT p.root, x.kind, x.digest, c.clicked_at
    FROM unnest(a_root, a_home) AS p (root, home) JOIN cdp_data.referral_click c ON c.customer_id = p.home AND NOT c.is_test AND c.retracted_at IS NULL AND c.clicked_at <= as_of
      CROSS JOIN LATERAL (VALUES (1, c.ip_digest), (2, c.net_digest), (3, c.ip_digest || c.agent_digest), (4, c.device_digest)) AS x (kind, digest) WHERE x.digest IS NOT NULL
    UNION ALL
    SELECT p.root, array_position('{ip,net,ip_ua,device,payment,payout,address}', f.kind), f.digest, x.at
    FROM unnest(a_root, a_home) AS p (root, home) JOIN cdp_data.fraud_fact f ON f.customer_id = p.home AND f.first_at <= as_of CROSS JOIN LATERAL (VALUES (f.first_at), (f.last_at)) AS x (at) WHERE f.kind <> 'agent' AND x.at <= as_of
  ), fa AS MATERIALIZED (
    SELECT f.root, array_agg(f.digest) FILTER (WHERE f.kind = 1) AS ips, array_agg(f.at) FILTER (WHERE f.kind = 1) AS ips_at, array_agg(f.digest) FILTER (WHERE f.kind = 2) AS nets, array_agg(f.at) FILTER (WHERE f.kind = 2) AS nets_at,
      array_agg(f.digest) FILTER (WHERE f.kind = 3) AS uas, array_agg(f.at) FILTER (WHERE f.kind = 3) AS uas_at, array_agg(f.digest) FILTER (WHERE f.kind = 4) AS devices, array_agg(f.at) FILTER (WHERE f.kind = 4) AS devices_at,
      array_agg(f.digest) FILTER (WHERE f.kind = 5) AS payments, array_agg(f.digest) FILTER (WHERE f.kind = 6) AS payouts, array_agg(f.digest) FILTER (WHERE f.kind = 7) AS addresses
    FROM fact f GROUP BY f.root
  ), own AS MATERIALIZED ( -- referees who were seen with something of their referrer's
    SELECT b.id, b.a, b.ip, b.net, b.t, f.payouts IS NOT NULL AND b.payment = ANY (f.payouts) AS payout, f.payments IS NOT NULL AND b.payment = ANY (f.payments) AS payment, f.addresses IS NOT NULL AND b.address = ANY (f.addresses) AS address,
      (SELECT count(*) FROM unnest(f.devices, f.devices_at) AS u (d, at) WHERE u.d = b.device AND u.at BETWEEN b.t - interval '90 days' AND b.t + interval '90 days') AS device,
      (SELECT count(*) FROM unnest(f.uas, f.uas_at) AS u (d, at) WHERE u.d = b.ip_ua AND u.at BETWEEN b.t - interval '24 hours' AND b.t + interval '24 hours') AS ip_ua,
      (SELECT count(*) FROM unnest(f.ips, f.ips_at) AS u (d, at) WHERE u.d = b.ip AND u.at BETWEEN b.t - interval '30 days' AND b.t + interval '30 days') AS on_ip,
      (SELECT count(*) FROM unnest(f.nets, f.nets_at) AS u (d, at) WHERE u.d = b.net AND u.at BETWEEN b.t - interval '30 days' AND b.t + interval '30 days') AS on_net
    FROM b JOIN fa f ON f.root = b.a
    WHERE b.net = ANY (f.nets) OR b.ip = ANY (f.ips) OR b.device = ANY (f.devices) OR b.payment = ANY (f.payments) OR b.payment = ANY (f.payouts) OR b.address = ANY (f.addresses)
  ), ip_run AS MATERIALIZED ( -- referrers with more than three referees from one address in seven days
    SELECT x.id, x.a, x.ip, x.t, x.k
    FROM (
      SELECT g.id, g.a, v.ip_digest AS ip, g.t, count(*) OVER (PARTITION BY g.a, v.ip_digest ORDER BY g.t RANGE interval '7 days' PRECEDING) AS k
      FROM (SELECT h.a FROM g h GROUP BY h.a HAVING count(*) > 3) h JOIN g ON g.a = h.a JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = g.cv
      WHERE v.ip_digest IS NOT NULL) x JOIN b ON b.id = x.id
    WHERE x.k > 3
  ), hub AS MATERIALIZED ( -- how many persons an address had in the 30 days up to a day
    SELECT h.ip, h.d, count(DISTINCT s.customer_id) AS n
    FROM (SELECT o.ip, o.t::date AS d FROM own o WHERE o.on_ip > 0 GROUP BY 1, 2) h CROSS JOIN LATERAL (
      SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.ip_digest = h.ip AND v.occurred_at > h.d - interval '30 days' AND v.occurred_at < least(h.d + interval '1 day', as_of + interval '1 us') AND NOT v.is_test
      UNION ALL
      SELECT c.customer_id FROM cdp_data.referral_click c WHERE c.ip_digest = h.ip AND c.clicked_at > h.d - interval '30 days' AND c.clicked_at < least(h.d + interval '1 day', as_of + interval '1 us') AND NOT c.is_test AND c.customer_id IS NOT NULL
      UNION ALL
      SELECT f.customer_id FROM cdp_data.fraud_fact f WHERE f.digest = h.ip AND f.kind = 'ip' AND f.last_at > h.d - interval '30 days' AND f.first_at < least(h.d + interval '1 day', as_of + interval '1 us')) s
    GROUP BY h.ip, h.d
  ), net_hub AS MATERIALIZED (
    SELECT h.net, h.d, count(DISTINCT s.customer_id) AS n
    FROM (SELECT o.net, o.t::date AS d FROM own o WHERE o.on_net > 0 AND o.on_ip = 0 GROUP BY 1, 2) h CROSS JOIN LATERAL (
      SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.net_digest = h.net AND v.occurred_at > h.d - interval '30 days' AND v.occurred_at < least(h.d + interval '1 day', as_of + interval '1 us') AND NOT v.is_test
      UNION ALL
      SELECT f.customer_id FROM cdp_data.fraud_fact f WHERE f.digest = h.net AND f.kind = 'net' AND f.last_at > h.d - interval '30 days' AND f.first_at < least(h.d + interval '1 day', as_of + interval '1 us')) s
    GROUP BY h.net, h.d
  ), others AS ( -- persons at such an address who are neither the referrer nor a referee of his
    SELECT h.a, h.ip, h.d, count(DISTINCT s.customer_id) AS n
    FROM (SELECT x.a, x.ip, x.t::date AS d FROM ip_run x GROUP BY 1, 2, 3) h CROSS JOIN LATERAL (
      SELECT v.customer_id FROM cdp_data.referral_conversion v WHERE v.ip_digest = h.ip AND v.occurred_at > h.d - interval '30 days' AND v.occurred_at < least(h.d + interval '1 day', as_of + interval '1 us') AND NOT v.is_test
      UNION ALL
      SELECT c.customer_id FROM cdp_data.referral_click c WHERE c.ip_digest = h.ip AND c.clicked_at > h.d - interval '30 days' AND c.clicked_at < least(h.d + interval '1 day', as_of + interval '1 us') AND NOT c.is_test AND c.customer_id IS NOT NULL) s
    WHERE NOT EXISTS (SELECT FROM g WHERE g.a = h.a AND g.e_home = s.customer_id) AND s.customer_id <> ALL (a_home) OR EXISTS (SELECT FROM unnest(a_root, a_home) AS p (root, home) WHERE p.home = s.customer_id AND p.root <> h.a)
    GROUP BY h.a, h.ip, h.d
  ), pace AS ( -- referrals of a referrer in the day, and in the hour, up to each
    SELECT g.id, g.camp, g.a, count(*) OVER (PARTITION BY g.camp, g.a ORDER BY g.t RANGE interval '24 hours' PRECEDING) AS k, count(*) OVER (PARTITION BY g.camp, g.a ORDER BY g.t RANGE interval '1 hour' PRECEDING) AS h
    FROM g
  ), fast AS MATERIALIZED (
    SELECT p.* FROM pace p JOIN b ON b.id = p.id WHERE p.k >= 4
  ), recent AS ( -- the campaign's rate over 30 days
    SELECT x.camp, sum(x.n) AS n, count(*) AS d, greatest(extract(epoch FROM max(x.hi) - min(x.lo)) / 86400, 1) AS days
    FROM (SELECT r.referral_campaign_id AS camp, r.referrer_id, count(*) AS n, min(r.attributed_at) AS lo, max(r.attributed_at) AS hi FROM cdp_data.referral r
      WHERE r.referral_campaign_id IN (SELECT f.camp FROM fast f) AND r.level = 1 AND NOT r.is_test AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of AND r.attributed_at > as_of - interval '30 days' GROUP BY 1, 2) x
    GROUP BY x.camp
  ), mine AS (
    SELECT g.camp, g.a, count(*) FILTER (WHERE g.t > as_of - interval '30 days') AS recent, count(g.click) AS clicked FROM g GROUP BY g.camp, g.a
  ), flat AS ( -- times from click to conversion: where those of a referrer stand among those of the campaign
    SELECT x.camp, x.a, k.p_value, k.n
    FROM (
      SELECT y.camp, y.a, array_agg(y.u) AS us
      FROM (SELECT r.referral_campaign_id AS camp, CASE WHEN few THEN cdp_internal.root_of(r.referrer_id) ELSE cdp_internal.customer_root(cmap, NULL, r.referrer_id, NULL) END AS a,
          (rank() OVER (PARTITION BY r.referral_campaign_id ORDER BY v.occurred_at - c.clicked_at) - 1)::double precision / count(*) OVER (PARTITION BY r.referral_campaign_id) AS u
        FROM cdp_data.referral r JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id
        WHERE r.referral_campaign_id IN (SELECT m.camp FROM mine m WHERE m.clicked >= 20) AND r.level = 1 AND NOT r.is_test AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of) y
      JOIN mine m ON m.camp = y.camp AND m.a = y.a AND m.clicked >= 20
      GROUP BY y.camp, y.a) x CROSS JOIN LATERAL cdp.ks_uniform(x.us, 'later') k
    WHERE k.p_value < 0.05
  ), clicks AS MATERIALIZED (
    SELECT c.referral_code_id AS code, min(c.referral_campaign_id) AS camp, count(*) AS n
    FROM (SELECT DISTINCT b.code FROM b WHERE b.code IS NOT NULL) d JOIN cdp_data.referral_click c ON c.referral_code_id = d.code
    WHERE c.clicked_at > as_of - interval '30 days' AND c.clicked_at <= as_of AND NOT c.bot AND NOT c.prefetch AND NOT c.is_test AND c.retracted_at IS NULL
    GROUP BY c.referral_code_id
  ), crowd AS MATERIALIZED ( -- of campaigns where somebody has 50 clicks or more: clicks and referrals of each code
    SELECT x.camp, x.code, x.n, coalesce(y.k, 0) AS k
    FROM (SELECT c.referral_campaign_id AS camp, c.referral_code_id AS code, count(*) AS n FROM cdp_data.referral_click c
        WHERE c.referral_campaign_id IN (SELECT k.camp FROM clicks k WHERE k.n >= 50) AND c.clicked_at > as_of - interval '30 days' AND c.clicked_at <= as_of AND NOT c.bot AND NOT c.prefetch AND NOT c.is_test AND c.retracted_at IS NULL GROUP BY 1, 2) x
      LEFT JOIN (SELECT r.referral_code_id AS code, count(*) AS k FROM cdp_data.referral r WHERE r.referral_campaign_id IN (SELECT k.camp FROM clicks k WHERE k.n >= 50) AND r.level = 1 AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at > as_of - interval '30 days' AND r.attributed_at <= as_of GROUP BY 1) y USING (code)
  ), flood AS (
    SELECT c.code, c.n, c.k, q.p99, q.rate
    FROM crowd c JOIN (SELECT w.camp, percentile_cont(0.99) WITHIN GROUP (ORDER BY w.n) AS p99, percentile_cont(0.5) WITHIN GROUP (ORDER BY least(1, w.k::double precision / w.n)) AS rate FROM crowd w GROUP BY w.camp HAVING count(*) >= 20) q USING (camp)
    WHERE c.n >= 50 AND c.n > q.p99 AND c.k::double precision / c.n < 0.1 * q.rate
  ), spread AS ( -- networks from which a code was clicked on one day
    SELECT x.code, max(x.n) AS n
    FROM (SELECT c.referral_code_id AS code, count(DISTINCT (c.asn, coalesce(c.country, ''))) AS n FROM clicks k JOIN cdp_data.referral_click c ON c.referral_code_id = k.code
        WHERE k.n >= 8 AND c.asn IS NOT NULL AND c.clicked_at > as_of - interval '30 days' AND c.clicked_at <= as_of AND NOT c.bot AND NOT c.prefetch AND NOT c.is_test AND c.retracted_at IS NULL
        GROUP BY c.referral_code_id, c.clicked_at::date) x
    GROUP BY x.code HAVING max(x.n) >= 8
  ), denied AS (
    SELECT l.value, l.referral_campaign_id AS camp FROM cdp_data.fraud_list l WHERE l.list = 'denied_host' AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
    UNION ALL SELECT s, NULL FROM cdp.coupon_site_builtin() s
  ), coupon AS MATERIALIZED (
    SELECT DISTINCT h.host, d.camp FROM (SELECT DISTINCT b.host FROM b WHERE b.host IS NOT NULL) h CROSS JOIN LATERAL cdp_internal.fraud_suffixes(h.host) s JOIN denied d ON d.value = s
  ), throwaway AS MATERIALIZED (
    SELECT DISTINCT d.domain
    FROM (SELECT DISTINCT m.domain FROM em m) d CROSS JOIN LATERAL cdp_internal.fraud_suffixes(d.domain) s JOIN (
      SELECT l.value FROM cdp_data.fraud_list l WHERE l.list = 'disposable_domain' AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
      UNION SELECT x FROM cdp.disposable_domain_builtin() x) l ON l.value = s
  ), counted AS ( -- addresses of a referrer's referees that are counted up
    SELECT g.a, m.root, m.iid, count(*) OVER (PARTITION BY g.a, m.domain, m.stem ORDER BY m.serial RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING) AS n
    FROM (SELECT DISTINCT g.a, g.e FROM g) g JOIN em m ON m.root = g.e WHERE m.serial IS NOT NULL
  ), up1 AS ( -- who referred the referrer, and so on
    SELECT b.id, b.e, g.a AS node, g.id AS r1 FROM b JOIN g ON g.e = b.a
  ), up2 AS (
    SELECT u.id, u.e, g.a AS node, u.r1, g.id AS r2 FROM up1 u JOIN g ON g.e = u.node WHERE u.node <> u.e
  ), up3 AS (
    SELECT u.id, u.e, g.a AS node, u.r1, u.r2, g.id AS r3 FROM up2 u JOIN g ON g.e = u.node WHERE u.node <> u.e
  ), refunds AS (
    SELECT g.a, count(*) AS n, count(f.cv) AS k
    FROM g LEFT JOIN (SELECT x.referral_conversion_id AS cv, min(x.refunded_at) AS at FROM cdp_data.referral_refund x WHERE x.refunded_at <= as_of AND x.retracted_at IS NULL GROUP BY 1) f ON f.cv = g.cv AND f.at <= g.t + interval '30 days'
    GROUP BY g.a HAVING count(*) >= 3 AND count(f.cv) * 2 >= count(*)
  ), idle AS MATERIALIZED ( -- referees of two weeks and more ago who did nothing after
    SELECT g.camp, g.a, count(*) AS n, count(*) - count(y.id) AS k
    FROM g LEFT JOIN (SELECT DISTINCT h.id FROM g h JOIN cdp_data.referral_conversion v ON v.customer_id = h.e_home AND v.occurred_at > h.t AND v.occurred_at <= h.t + interval '14 days' AND v.retracted_at IS NULL) y ON y.id = g.id
    WHERE g.t <= as_of - interval '14 days' GROUP BY g.camp, g.a
  ), base AS ( -- of all of the campaign: that is what idle has when every table is read
    SELECT i.camp, sum(i.n)::bigint AS n, sum(i.k)::bigint AS k FROM idle i WHERE big GROUP BY i.camp
    UNION ALL
    SELECT x.camp, count(*), count(*) FILTER (WHERE x.idle)
    FROM (SELECT r.referral_campaign_id AS camp, bool_and(v.customer_id IS NULL) AS idle
      FROM cdp_data.referral r LEFT JOIN cdp_data.referral_conversion v ON v.customer_id = r.referee_id AND v.occurred_at > r.attributed_at AND v.occurred_at <= r.attributed_at + interval '14 days' AND v.retracted_at IS NULL
      WHERE NOT big AND r.referral_campaign_id IN (SELECT i.camp FROM idle i WHERE i.n >= 5 AND i.k * 2 >= i.n) AND r.level = 1 AND NOT r.is_test AND r.state NOT IN ('ineligible', 'duplicate') AND r.attributed_at <= as_of - interval '14 days' GROUP BY r.referral_campaign_id, r.referral_id) x
    GROUP BY x.camp
  ), banned AS (
    SELECT DISTINCT cdp_internal.root_of(n.customer_id) AS root, n.referral_campaign_id AS camp, n.banned_at, least(n.expires_at, f.lifted_at, 'infinity') AS until
    FROM cdp_data.referral_ban n LEFT JOIN cdp_data.referral_ban_lift f USING (referral_ban_id)
    WHERE n.customer_id IS NOT NULL AND n.banned_at <= as_of AND n.banned_at < least(n.expires_at, f.lifted_at, 'infinity')
  ), listed AS MATERIALIZED (
    SELECT l.* FROM cdp_data.fraud_list l WHERE l.list IN ('allow', 'block') AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
  ), touched AS ( -- digests of the referrals that are marked: confirmed fraud, or lists
    SELECT b.id, b.camp, x.kind, x.digest FROM b CROSS JOIN LATERAL (VALUES ('ip', b.ip), ('net', b.net), ('device', b.device), ('payment', b.payment), ('address', b.address)) AS x (kind, digest)
    WHERE marked <> '{}' AND (b.ip = ANY (marked) OR b.net = ANY (marked) OR b.device = ANY (marked) OR b.payment = ANY (marked) OR b.address = ANY (marked)) AND x.digest = ANY (marked)
    UNION ALL
    SELECT b.id, b.camp, 'payment', u FROM b JOIN fa f ON f.root = b.a CROSS JOIN LATERAL unnest(f.payments || f.payouts) u WHERE marked <> '{}' AND u = ANY (marked)
    UNION ALL
    SELECT x.id, x.camp, x.kind, x.digest
    FROM (SELECT b.id, b.camp, CASE d.type WHEN 2 THEN 'email' ELSE 'phone' END AS kind, CASE d.type WHEN 2 THEN cdp_internal.referral_digest('email', (d.parts).canonical) ELSE cdp_internal.referral_digest('phone', d.phone) END AS digest
      FROM b JOIN idp d ON d.root = b.e OR d.root = b.a WHERE mails AND d.type IN (2, 3)) x WHERE x.digest = ANY (marked)
  ), seen_together AS ( -- records that show identifiers of both, where a limit kept them two
    SELECT b.id, l.link_id, least(y.rank, z.rank) AS rank
    FROM b JOIN idp i ON i.root = b.e JOIN cdp_data.link l ON l.a_id = i.iid OR l.b_id = i.iid
      JOIN cdp_data.identifier o ON o.identifier_id = CASE WHEN l.a_id = i.iid THEN l.b_id ELSE l.a_id END
      CROSS JOIN LATERAL (SELECT array_position('{3,15,11,7,4,5,8,13,2}', i.type::integer) AS rank) y CROSS JOIN LATERAL (SELECT array_position('{3,15,11,7,4,5,8,13,2}', o.type_id::integer) AS rank) z
    WHERE l.state = 'rejected' AND l.kind = 'deterministic' AND l.first_seen <= as_of AND CASE WHEN few THEN cdp_internal.root_of(o.customer_id) ELSE cdp_internal.customer_root(cmap, NULL, o.customer_id, NULL) END = b.a
  ), signal (id, code, value, evidence) AS (
    SELECT b.id, 'list.ban', 1::double precision, jsonb_build_object('referrer', bool_or(n.root = b.a)) FROM b JOIN banned n ON (n.root = b.a OR n.root = b.e) AND (n.camp IS NULL OR n.camp = b.camp)
      -- Banned then, or now while it is open: what was approved before the ban stays.
      WHERE b.t >= n.banned_at AND b.t < n.until OR b.state <> 'approved' AND n.until > as_of GROUP BY b.id
    UNION ALL SELECT b.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.fraud_list_id) FROM listed l JOIN b ON (cdp_internal.root_of(l.customer_id) IN (b.a, b.e)) AND (l.referral_campaign_id IS NULL OR l.referral_campaign_id = b.camp) WHERE l.what = 'customer'
    UNION ALL SELECT t.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.fraud_list_id) FROM touched t JOIN listed l ON l.digest = t.digest AND (l.referral_campaign_id IS NULL OR l.referral_campaign_id = t.camp)
    UNION ALL SELECT b.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.fraud_list_id) FROM listed l JOIN em m ON m.domain = l.value OR right(m.domain, length(l.value) + 1) = '.' || l.value JOIN b ON b.e = m.root AND (l.referral_campaign_id IS NULL OR l.referral_campaign_id = b.camp) WHERE l.what = 'email_domain'
    UNION ALL SELECT b.id, 'list.' || l.list, 1, jsonb_build_object('entry', l.fraud_list_id) FROM listed l JOIN b ON (b.host = l.value OR right(b.host, length(l.value) + 1) = '.' || l.value) AND (l.referral_campaign_id IS NULL OR l.referral_campaign_id = b.camp) WHERE l.what = 'host'
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
    UNION ALL SELECT b.id, 'email.disposable', 1, jsonb_build_object('identifier', min(m.iid)) FROM b JOIN em m ON m.root = b.e JOIN throwaway d ON d.domain = m.domain GROUP BY b.id
    UNION ALL SELECT b.id, 'email.role', 1, jsonb_build_object('identifier', min(m.iid)) FROM b JOIN em m ON m.root = b.e AND m.is_role GROUP BY b.id
    UNION ALL SELECT b.id, 'email.invalid', 1, jsonb_build_object('identifier', min(m.iid)) FROM cdp_data.channel_bounce u JOIN em m ON m.iid = u.identifier_id JOIN b ON b.e = m.root WHERE u.bounced_at <= as_of AND (u.alive_at IS NULL OR u.alive_at <= u.bounced_at) GROUP BY b.id
    UNION ALL SELECT b.id, 'email.sequential', max(c.n), jsonb_build_object('identifier', min(c.iid), 'addresses', max(c.n)) FROM counted c JOIN b ON b.a = c.a AND b.e = c.root WHERE c.n >= 3 GROUP BY b.id
    UNION ALL SELECT x.id, 'vel.referrer', x.p, jsonb_build_object('referrals', x.k, 'expected', round(x.mean::numeric, 4))
      FROM (SELECT f.id, f.k, w.mean, cdp.poisson_cdf(f.k - 1, w.mean, true) AS p FROM fast f JOIN recent r ON r.camp = f.camp JOIN mine m ON m.camp = f.camp AND m.a = f.a
          CROSS JOIN LATERAL (SELECT ((r.n - m.recent) / (r.d - 1) / r.days)::double precision AS mean OFFSET 0) w WHERE r.d > 5 AND r.n >= m.recent) x WHERE x.p < 0.05
    UNION ALL SELECT f.id, 'vel.referrer_hour', f.h, jsonb_build_object('referrals', f.h) FROM fast f WHERE f.h > 5
    UNION ALL SELECT x.id, 'vel.ip', coalesce(o.n, 0) + 2, jsonb_build_object('referees', x.k, 'others', coalesce(o.n, 0)) FROM ip_run x LEFT JOIN others o ON o.a = x.a AND o.ip = x.ip AND o.d = x.t::date
    UNION ALL SELECT b.id, 'ctit.fast', greatest(b.ctit, 0) / CASE WHEN b.signup THEN 10 ELSE 60 END, jsonb_build_object('seconds', b.ctit) FROM b WHERE b.ctit < CASE WHEN b.signup THEN 10 ELSE 60 END
    UNION ALL SELECT b.id, 'ctit.flat', f.p_value, jsonb_build_object('conversions', f.n) FROM flat f JOIN b ON b.camp = f.camp AND b.a = f.a WHERE f.p_value < 1e-4
    UNION ALL SELECT b.id, 'click.flood', 1, jsonb_build_object('clicks', f.n, 'referrals', f.k, 'clicks_p99', f.p99, 'median_rate', round(f.rate::numeric, 6)) FROM flood f JOIN b ON b.code = f.code
    UNION ALL SELECT b.id, 'leak.coupon_site', 1, NULL FROM b JOIN coupon d ON d.host = b.host WHERE d.camp IS NULL OR d.camp = b.camp
    UNION ALL SELECT b.id, 'leak.public_spread', s.n, jsonb_build_object('networks', s.n) FROM spread s JOIN b ON b.code = s.code
    UNION ALL SELECT b.id, 'leak.paid', 1, jsonb_build_object('click', b.click) FROM b WHERE b.paid
    UNION ALL SELECT u.id, 'ring.cycle', 2, jsonb_build_object('referrals', ARRAY[min(u.r1)]) FROM up1 u WHERE u.node = u.e GROUP BY u.id
    UNION ALL SELECT u.id, 'ring.cycle', 3, jsonb_build_object('referrals', min(ARRAY[u.r1, u.r2])) FROM up2 u WHERE u.node = u.e GROUP BY u.id
    UNION ALL SELECT u.id, 'ring.cycle', 4, jsonb_build_object('referrals', min(ARRAY[u.r1, u.r2, u.r3])) FROM up3 u WHERE u.node = u.e GROUP BY u.id
    UNION ALL SELECT b.id, x.code, x.value, jsonb_build_object('run', ring_run) || CASE WHEN x.code = 'ring.component' THEN jsonb_build_object('accounts', r.component_size) ELSE '{}' END
      FROM b JOIN cdp_data.fraud_ring r ON r.fraud_ring_run_id = ring_run AND r.customer_id = b.e CROSS JOIN LATERAL (VALUES ('ring.component', r.component_size), ('ring.core', r.core), ('ring.dense', r.dense::integer)) AS x (code, value) WHERE x.value > 0
    UNION ALL SELECT b.id, 'behav.refund', r.k::double precision / r.n, jsonb_build_object('referees', r.n, 'refunded', r.k) FROM refunds r JOIN b ON b.a = r.a
    UNION ALL SELECT b.id, 'behav.dormant', x.p, jsonb_build_object('referees', x.n, 'idle', x.k, 'campaign_rate', round(x.rate::numeric, 4))
      FROM (SELECT i.camp, i.a, i.n, i.k, w.rate, cdp.beta_cdf(w.rate, i.k, i.n - i.k + 1) AS p FROM idle i JOIN base s ON s.camp = i.camp
          CROSS JOIN LATERAL (SELECT (s.k - i.k + 1)::double precision / (s.n - i.n + 2) AS rate OFFSET 0) w WHERE i.n >= 5 AND i.k * 2 >= i.n) x JOIN b ON b.camp = x.camp AND b.a = x.a WHERE x.p < 0.01
    UNION ALL SELECT t.id, 'history.fraud_identifier', 1, jsonb_build_object('referral', min(h.referral_id), 'kinds', count(DISTINCT t.kind)) FROM touched t JOIN cdp_data.fraud_history h ON h.digest = t.digest AND h.referral_id <> t.id
      WHERE h.confirmed_at <= as_of AND (h.expires_at > as_of OR h.expires_at IS NULL) AND (h.cleared_at > as_of OR h.cleared_at IS NULL) GROUP BY t.id
  ), hits AS (
    SELECT s.id, array_agg(s.code) AS codes, array_agg(s.value) AS vals, array_agg(s.evidence) AS evidence FROM signal s GROUP BY s.id
  )
  SELECT b.id, b.camp, b.tv,
    CASE WHEN coalesce(he.types, 0) & 4 = 0 OR coalesce(ha.types, 0) & 4 = 0 THEN 4097 ELSE 0::bigint END | CASE WHEN coalesce(he.types, 0) & 4 = 0 THEN 122880 ELSE 0 END
    | CASE WHEN coalesce(he.types, 0) & 8 = 0 THEN 2 ELSE 0 END | CASE WHEN b.payment IS NULL OR f.payments IS NULL THEN 4 ELSE 0 END | CASE WHEN b.payment IS NULL OR f.payouts IS NULL THEN 8 ELSE 0 END
    | CASE WHEN coalesce(he.types, 0) & 32768 = 0 THEN 16 ELSE 0 END | CASE WHEN (b.device IS NULL OR f.devices IS NULL) AND coalesce(he.types, 0) & 128 = 0 THEN 32 ELSE 0 END
    | CASE WHEN coalesce(he.types, 0) & 8448 = 0 THEN 64 ELSE 0 END | CASE WHEN coalesce(he.types, 0) & 48 = 0 THEN 128 ELSE 0 END | CASE WHEN b.address IS NULL OR f.addresses IS NULL THEN 256 ELSE 0 END
    | CASE WHEN b.ip_ua IS NULL OR f.uas IS NULL THEN 512 ELSE 0 END | CASE WHEN b.ip IS NULL OR f.ips IS NULL THEN 1024 ELSE 0 END | CASE WHEN b.net IS NULL OR f.nets IS NULL THEN 2048 ELSE 0 END
    | CASE WHEN b.ip IS NULL THEN 262144 ELSE 0 END | CASE WHEN b.click IS NULL THEN 18350080 ELSE 0 END | CASE WHEN b.code IS NULL THEN 2097152 ELSE 0 END
    | CASE WHEN b.host IS NULL THEN 4194304 ELSE 0 END | CASE WHEN b.has_asn IS NOT TRUE THEN 8388608 ELSE 0 END | CASE WHEN ring_run IS NULL THEN 234881024 ELSE 0 END
    | CASE WHEN num_nonnulls(b.ip, b.device, b.payment, b.address) = 0 AND coalesce(he.types, 0) & 12 = 0 THEN 268435456 ELSE 0 END,
    x.codes, x.vals, x.evidence
  FROM b LEFT JOIN hits x ON x.id = b.id LEFT JOIN has he ON he.root = b.e LEFT JOIN has ha ON ha.root = b.a LEFT JOIN fa f ON f.root = b.a;
END
$$;
COMMENT ON FUNCTION cdp_internal.fraud_signals(bigint[], timestamptz) IS
'What the rules measure of referrals as of a moment, from what had happened by then; identity is that of now. fired: the rules that found something, vals and evidence of each (counts and numbers of rows); missing: bits of cdp_internal.fraud_signal_names() whose signal is not known. Referrals of after as_of have no row. One pass over each table for more than 2,000 referrals, indexes for fewer. Takes up to 64 MB for each of its sorts and joins, then temporary files.';

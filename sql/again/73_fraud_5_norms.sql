-- Referral room, fraud: what is usual in a campaign, measured by a job, so that a score needs not read the whole campaign.

CREATE OR REPLACE FUNCTION cdp_internal.referral_norm(campaign integer, as_of timestamptz, cmap bytea, omap bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET timezone = 'UTC' SET work_mem = '64MB'
AS $$
#variable_conflict use_column
BEGIN
  DELETE FROM cdp_data.fraud_norm n WHERE n.referral_campaign_id = campaign AND n.as_of = referral_norm.as_of;
  DELETE FROM cdp_data.fraud_code c WHERE c.referral_campaign_id = campaign AND c.as_of = referral_norm.as_of;
  WITH came AS MATERIALIZED (
    SELECT r.referral_id AS id, r.referral_code_id AS code, r.referee_id, r.attributed_at AS t, cdp_internal.customer_root(cmap, NULL, nullif(greatest(r.referrer_id, 0), 0), NULL) AS a,
      cdp_internal.customer_root(cmap, omap, nullif(greatest(r.referee_id, 0), 0), v.identifier_id) AS e, extract(epoch FROM v.occurred_at - c.clicked_at)::double precision AS seconds
    FROM cdp_data.referral r LEFT JOIN cdp_data.referral_conversion v ON v.referral_conversion_id = r.first_conversion_id LEFT JOIN cdp_data.referral_click c ON c.referral_click_id = r.referral_click_id
    WHERE r.referral_campaign_id = campaign AND r.attributed_at <= referral_norm.as_of AND r.attributed_at > referral_norm.as_of - interval '74 days' AND r.level = 1 AND NOT r.is_test
      AND CASE WHEN r.decided_at <= referral_norm.as_of THEN r.state ELSE cdp_internal.referral_state_at(r.referral_id, r.state, referral_norm.as_of) END NOT IN ('ineligible', 'duplicate')
  ), each AS MATERIALIZED ( -- what each referrer brought in 30 days
    SELECT c.a, count(*) AS n, min(c.t) AS lo FROM came c WHERE c.t > referral_norm.as_of - interval '30 days' AND c.a IS NOT NULL GROUP BY c.a
  ), pace AS ( -- the busiest tenth counts as the next one below, so that those who are looked for do not set the pace
    SELECT count(*) AS referrers, sum(least(e.n, q.most)) / count(*) / greatest(extract(epoch FROM referral_norm.as_of - min(e.lo)) / 86400, 1) AS per_day
    FROM each e CROSS JOIN (SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY x.n) AS most FROM each x) q
  ), times AS (
    SELECT array_agg(x.seconds ORDER BY x.t, x.id) AS seconds
    FROM (SELECT y.* FROM (SELECT c.id, c.t, c.seconds, row_number() OVER (PARTITION BY c.a ORDER BY c.t DESC, c.id DESC) AS nth FROM came c WHERE c.seconds IS NOT NULL) y WHERE y.nth <= 10 ORDER BY y.t DESC, y.id DESC LIMIT 300) x
  ), idle AS ( -- referees of 14 to 74 days ago who did nothing within 14 days; each referrer counts as one
    SELECT (sum(x.share) + 1) / (count(*) + 2) AS idle, count(*) AS n
    FROM (SELECT c.a, avg(CASE WHEN y.e IS NULL THEN 1 ELSE 0 END) AS share
      FROM came c LEFT JOIN (
        SELECT DISTINCT z.id AS e FROM came z JOIN (
          SELECT p.root, v.occurred_at AS t
          FROM cdp_internal.fraud_homes((SELECT array_agg(DISTINCT c.e) FROM came c WHERE c.e IS NOT NULL)) h CROSS JOIN LATERAL unnest(h.root, h.home) AS p (root, home)
            JOIN cdp_data.referral_conversion v ON v.customer_id = p.home AND cdp_internal.customer_root(cmap, omap, v.customer_id, v.identifier_id) = p.root
          WHERE v.occurred_at > referral_norm.as_of - interval '74 days' AND v.occurred_at <= referral_norm.as_of AND NOT v.is_test AND (v.retracted_at IS NULL OR v.retracted_at > referral_norm.as_of)) v
          ON v.root = z.e AND v.t > z.t AND v.t <= z.t + interval '14 days') y ON y.e = c.id
      WHERE c.t <= referral_norm.as_of - interval '14 days' AND c.a IS NOT NULL GROUP BY c.a) x
  ), day AS ( -- clicks of each code on each day
    SELECT k.referral_code_id AS code, k.clicked_at::date AS d, count(*) AS n, count(DISTINCT (k.asn, coalesce(k.country, ''))) FILTER (WHERE k.asn IS NOT NULL) AS networks
    FROM cdp_data.referral_click k
    WHERE k.referral_campaign_id = campaign AND k.clicked_at > referral_norm.as_of - interval '30 days' AND k.clicked_at <= referral_norm.as_of AND NOT k.bot AND NOT k.prefetch AND NOT k.is_test AND (k.retracted_at IS NULL OR k.retracted_at > referral_norm.as_of)
    GROUP BY 1, 2
  ), code AS MATERIALIZED (
    SELECT x.code, x.n, x.networks, coalesce(y.k, 0) AS k
    FROM (SELECT d.code, sum(d.n)::bigint AS n, max(d.networks)::integer AS networks FROM day d GROUP BY d.code) x
      LEFT JOIN (SELECT c.code, count(*) AS k FROM came c WHERE c.t > referral_norm.as_of - interval '30 days' GROUP BY c.code) y USING (code)
  ), clicked AS (
    SELECT count(*) AS codes, percentile_cont(0.99) WITHIN GROUP (ORDER BY c.n) AS p99, percentile_cont(0.5) WITHIN GROUP (ORDER BY least(1, c.k::double precision / c.n)) AS rate FROM code c
  ), norm AS (
    INSERT INTO cdp_data.fraud_norm (referral_campaign_id, as_of, referrers, per_day, seconds, idle, codes, clicks_p99, click_rate)
    SELECT campaign, referral_norm.as_of, p.referrers, CASE WHEN p.referrers >= 10 THEN p.per_day END, CASE WHEN cardinality(t.seconds) >= 50 THEN t.seconds END, CASE WHEN i.n >= 10 THEN i.idle END,
      k.codes, CASE WHEN k.codes >= 20 THEN k.p99 END, CASE WHEN k.codes >= 20 THEN k.rate END
    FROM pace p, times t, idle i, clicked k
  )
  INSERT INTO cdp_data.fraud_code (referral_campaign_id, as_of, referral_code_id, clicks, referrals, flood, networks)
  SELECT campaign, referral_norm.as_of, c.code, c.n, c.k, x.flood, c.networks
  FROM code c CROSS JOIN clicked k CROSS JOIN LATERAL (SELECT k.codes >= 20 AND c.n >= 50 AND c.n > k.p99 AND c.k::double precision / c.n < 0.1 * k.rate AS flood) x
  WHERE x.flood OR c.networks >= 8;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_norm(integer, timestamptz, bytea, bytea) IS
'Measures what is usual in one referral campaign as of a moment, in place of a measurement of the same moment, by the maps of merged customers and moved identifiers: cdp.measure_referral_norms().';

CREATE OR REPLACE FUNCTION cdp.measure_referral_norms(as_of timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  now_at timestamptz := coalesce(measure_referral_norms.as_of, now());
  campaign integer;
  cmap bytea := cdp_internal.customer_map();
  omap bytea := cdp_internal.override_map();
  n bigint := 0;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT isfinite(now_at) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'norms are as of a moment', HINT = 'Leave as_of out for now.';
  END IF;
  FOR campaign IN
    SELECT c.referral_campaign_id FROM cdp_data.referral_campaign c
    WHERE EXISTS (SELECT FROM cdp_data.referral r WHERE r.referral_campaign_id = c.referral_campaign_id AND r.attributed_at <= now_at AND r.attributed_at > now_at - interval '74 days')
      OR EXISTS (SELECT FROM cdp_data.referral_click k WHERE k.referral_campaign_id = c.referral_campaign_id AND k.clicked_at <= now_at AND k.clicked_at > now_at - interval '30 days')
    ORDER BY c.referral_campaign_id
  LOOP
    PERFORM cdp_internal.referral_norm(campaign, now_at, cmap, omap);
    n := n + 1;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.measure_referral_norms(timestamptz) IS
'Job: measures what is usual in each referral campaign that had referrals or clicks, as of a moment (NULL: now): referrals a referrer brings a day, times from click to conversion, the share of referees who do nothing more, clicks of codes; and which codes are flooded with clicks or spread over many networks. Writes cdp_data.fraud_norm and cdp_data.fraud_code. The score compares with the last measurement that is not after its moment, and lists these rules as missing before the first, or where there is too little to compare with. Returns how many campaigns. Errors: 22023 a moment that is infinite, 55000 before cdp.setup().';

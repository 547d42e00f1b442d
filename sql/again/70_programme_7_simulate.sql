-- Referral room, programme: what terms would have cost for customers who came in the past, and what they can cost at most. Nothing is
-- written, so it runs on a hot standby, too. Rewards come from the calculator that the ledger uses; caps are applied one by one in time.

CREATE OR REPLACE FUNCTION cdp_internal.referral_cohort(since timestamptz, until timestamptz, signups text[], purchases text[], currency text) RETURNS TABLE (root bigint, kind text, id bigint, at timestamptz, eligible bigint, refunded bigint, money text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  signup_ids smallint[] := ARRAY(SELECT k.kind_id FROM cdp_data.touch_kind_all k WHERE k.name = ANY (signups) AND coalesce('analytics' = ANY (k.allowed_purposes), true));
  buy_ids smallint[] := ARRAY(SELECT k.kind_id FROM cdp_data.touch_kind_all k WHERE k.name = ANY (purchases) AND coalesce('analytics' = ANY (k.allowed_purposes), true));
  unit numeric := 10::numeric ^ cdp_internal.referral_exponent(currency);
  gate bytea := cdp_internal.consent_gate('analytics');
BEGIN
  RETURN QUERY
  WITH t AS MATERIALIZED (
    SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), x.customer_id, x.identifier_id) AS root, x.kind_id = ANY (buy_ids) AS buys, x.touchpoint_id AS id, x.occurred_at AS at, x.value, x.currency
    FROM cdp_data.touchpoint x WHERE x.kind_id = ANY (signup_ids || buy_ids) AND x.flags & 3 = 0 AND x.refers_to IS NULL AND coalesce(x.value >= 0, true)
  ), part AS MATERIALIZED (
    SELECT y.touchpoint_id AS id, y.eligible FROM cdp_data.referral_eligible(buy_ids) y
  ), newcomer AS MATERIALIZED (
    -- Who bought before is no newcomer; who only registered before is one.
    SELECT t.root FROM t WHERE t.buys AND (gate IS NULL OR cdp_internal.bitmap_has(gate, t.root)) GROUP BY t.root HAVING min(t.at) >= since AND min(t.at) < until
  ), back AS MATERIALIZED (
    -- As the ledger takes refunds: what is negative and names the purchase, in its currency; a reply or a delivery names it, too.
    SELECT r.refers_to AS id, r.currency, sum(coalesce(p.eligible, -r.value)) AS value FROM cdp_data.touchpoint r LEFT JOIN part p ON p.id = r.touchpoint_id WHERE r.refers_to IS NOT NULL AND r.value < 0 AND r.flags & 1 = 0 GROUP BY 1, 2
  )
  SELECT t.root, CASE WHEN t.buys THEN 'purchase' ELSE 'signup' END, t.id, t.at, CASE WHEN t.value IS NOT NULL THEN least(round(coalesce(p.eligible, t.value) * unit), 1e15)::bigint END, CASE WHEN b.value IS NOT NULL THEN least(round(b.value * unit), 1e15)::bigint END, CASE WHEN t.value IS NOT NULL THEN t.currency END
  FROM t JOIN newcomer USING (root) LEFT JOIN part p ON p.id = t.id LEFT JOIN back b ON b.id = t.id AND b.currency = t.currency;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_cohort(timestamptz, timestamptz, text[], text[], text) IS
'Registrations and purchases of customers (roots, merges of now) who bought for the first time from since to before until: all of theirs, also later ones. Money in minor units of the currency; money: the currency of the touchpoint, NULL without value. eligible: what rewards count of the value (property eligible, cdp_internal.touch_eligible()); refunded: what refunds of it took, touchpoints below zero in its currency that name it. Bots, internal traffic and who refuses analytics are left out.';

CREATE OR REPLACE FUNCTION cdp_internal.capped_rewards(rewards jsonb, rules jsonb, caps jsonb, budget bigint, timezone text) RETURNS TABLE (n bigint, granted bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  r record;
  i integer;
  room bigint;
  give bigint;
  most bigint;
  left_minor bigint := budget;
  used bigint[] := '{}'; -- by key; they grow as keys come
  counts bigint[] := '{}';
BEGIN
  FOR r IN
    WITH w AS MATERIALIZED (
      SELECT x.*, coalesce((SELECT u.on_cap FROM jsonb_to_recordset(rules) AS u (rule text, on_cap text) WHERE u.rule = x.rule), 'skip') AS on_cap
      FROM jsonb_to_recordset(rewards) AS x (n bigint, rule text, side text, customer bigint, code bigint, at timestamptz, amount bigint)
    ), c AS MATERIALIZED (
      SELECT x.nth, x.item ->> 'per' AS per, x.item ->> 'period' AS period, x.item ->> 'rule' AS rule, (x.item ->> 'amount_minor')::bigint AS amount, (x.item ->> 'rewards')::bigint AS rewards FROM jsonb_array_elements(caps) WITH ORDINALITY AS x (item, nth)
    ), k AS MATERIALIZED (
      SELECT w.n, c.amount, c.rewards, dense_rank() OVER (ORDER BY c.nth, CASE c.per WHEN 'code' THEN w.code WHEN 'campaign' THEN 0 ELSE w.customer END,
        CASE c.period WHEN 'ever' THEN 'epoch'::timestamp ELSE date_trunc(c.period, w.at AT TIME ZONE capped_rewards.timezone) END)::integer AS key
      FROM w JOIN c ON coalesce(c.rule = w.rule, true) AND (c.per = 'campaign' OR c.per = 'code' AND w.code IS NOT NULL OR c.per = w.side)
    ), by_reward AS MATERIALIZED (
      SELECT k.n, array_agg(k.key) AS keys, array_agg(k.amount) AS amounts, array_agg(k.rewards) AS limits FROM k GROUP BY k.n
    )
    SELECT w.n, w.amount, w.on_cap, coalesce(b.keys, '{}') AS keys, b.amounts, b.limits FROM w LEFT JOIN by_reward b ON b.n = w.n ORDER BY w.at, w.n
  LOOP
    give := r.amount;
    most := least(left_minor, r.amount);
    FOR i IN 1 .. cardinality(r.keys) LOOP
      room := CASE WHEN r.amounts[i] IS NOT NULL THEN r.amounts[i] - coalesce(used[r.keys[i]], 0) WHEN coalesce(counts[r.keys[i]], 0) < r.limits[i] THEN r.amount ELSE 0 END;
      most := least(most, room);
    END LOOP;
    give := CASE WHEN most >= r.amount THEN r.amount WHEN r.on_cap = 'clamp' THEN greatest(0, most) ELSE 0 END;
    IF give > 0 THEN
      left_minor := left_minor - give;
      FOR i IN 1 .. cardinality(r.keys) LOOP
        used[r.keys[i]] := coalesce(used[r.keys[i]], 0) + give;
        counts[r.keys[i]] := coalesce(counts[r.keys[i]], 0) + 1;
      END LOOP;
    END IF;
    n := r.n;
    granted := give;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.capped_rewards(jsonb, jsonb, jsonb, bigint, text) IS
'What is left of rewards under caps and a budget (NULL: none), one after the other by time and number: rewards [{"n", "rule", "side", "customer", "code" (NULL of the second level), "at", "amount"}] (minor units), rules and caps in the form that is kept (cdp_internal.referral_terms_kept()). granted: all of it, or what is left where the rule says clamp, or nothing. Periods by the clock of the time zone; memory: 16 bytes for each pair of a cap and whom or which period it counts.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_periods(period text, starts timestamptz, ends timestamptz, timezone text) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN period = 'ever' THEN 1 WHEN starts IS NULL OR ends IS NULL THEN NULL ELSE (
  SELECT count(*) FROM generate_series(date_trunc(period, starts AT TIME ZONE timezone), (ends - interval '1 microsecond') AT TIME ZONE timezone, ('1 ' || period)::interval)) END;
COMMENT ON FUNCTION cdp_internal.referral_periods(text, timestamptz, timestamptz, text) IS 'How many calendar periods (ever: one) a time from starts to before ends touches, by the clock of a time zone. NULL: it has no end.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_worst_case(rules jsonb, caps jsonb, budget bigint, starts timestamptz, ends timestamptz, timezone text, advocates bigint, OUT worst numeric, OUT bound text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  WITH u AS MATERIALIZED (
    SELECT x.rule, x.side, coalesce(x.level, 1) AS level, x.shape, x.rate, x.max_minor, coalesce(x.exclusive, true) AS exclusive, CASE x.shape WHEN 'flat' THEN x.amount_minor WHEN 'recurring' THEN coalesce(x.amount_minor, x.max_minor) WHEN 'percent' THEN x.max_minor
        WHEN 'milestone' THEN (SELECT max((m ->> 'amount_minor')::bigint) FROM jsonb_array_elements(x.milestones) m)
        ELSE least(x.max_minor, (SELECT CASE WHEN bool_or(t ? 'rate') THEN x.max_minor ELSE max((t ->> 'amount_minor')::bigint) END FROM jsonb_array_elements(x.tiers) t)) END::numeric AS most
    FROM jsonb_to_recordset(rules) AS x (rule text, side text, level smallint, shape text, amount_minor bigint, rate numeric, max_minor bigint, exclusive boolean, milestones jsonb, tiers jsonb)
  ), base AS MATERIALIZED (
    -- Of one conversion one exclusive rule pays the referrer, and each of the others.
    SELECT CASE WHEN bool_or(u.most IS NULL) THEN NULL ELSE coalesce(max(u.most) FILTER (WHERE u.exclusive), 0) + coalesce(sum(u.most) FILTER (WHERE NOT u.exclusive), 0) END AS most FROM u WHERE u.level = 1 AND u.side = 'referrer' AND u.shape <> 'milestone'
  ), r AS MATERIALIZED (
    SELECT u.rule, u.side, u.level, CASE WHEN u.level = 2 AND u.shape = 'percent' THEN least(u.max_minor, ceil(u.rate * b.most)) ELSE u.most END AS most FROM u CROSS JOIN base b
  ), c AS MATERIALIZED (
    -- What a cap lets through at most; one for each person or code as often as there are advocates. Referees there may be any number of. A code is of the first level.
    SELECT x.nth, x.item ->> 'per' AS per, x.item ->> 'rule' AS rule, coalesce((x.item ->> 'amount_minor')::numeric, (x.item ->> 'rewards')::numeric
        * (SELECT CASE WHEN bool_or(r.most IS NULL) THEN NULL ELSE max(r.most) END FROM r WHERE coalesce(r.rule = x.item ->> 'rule', true) AND (x.item ->> 'per' = 'campaign' OR x.item ->> 'per' = 'code' AND r.level = 1 OR r.side = x.item ->> 'per')))
      * cdp_internal.referral_periods(x.item ->> 'period', starts, ends, referral_worst_case.timezone) * CASE x.item ->> 'per' WHEN 'campaign' THEN 1 WHEN 'referee' THEN NULL ELSE advocates END AS lets
    FROM jsonb_array_elements(caps) WITH ORDINALITY AS x (item, nth)
  ), of_rule AS MATERIALIZED (
    SELECT r.rule, r.side, r.level, (SELECT min(c.lets) FROM c WHERE c.rule = r.rule AND (c.per = 'campaign' OR c.per = 'code' AND r.level = 1 OR c.per = r.side)) AS lets FROM r
  ), side AS (
    SELECT s.side, least((SELECT CASE WHEN bool_or(o.lets IS NULL) THEN NULL ELSE sum(o.lets) END FROM of_rule o WHERE o.side = s.side), (SELECT min(c.lets) FROM c WHERE c.rule IS NULL AND c.per = s.side)) AS lets FROM (SELECT DISTINCT r.side FROM r) s
  ), second AS ( -- what caps of codes leave open
    SELECT CASE WHEN count(*) = 0 THEN 0 ELSE least(CASE WHEN bool_or(o.lets IS NULL) THEN NULL ELSE sum(o.lets) END, (SELECT min(c.lets) FROM c WHERE c.rule IS NULL AND c.per = 'referrer')) END AS lets FROM of_rule o WHERE o.level = 2
  ), bounds AS (
    SELECT 'budget' AS word, budget::numeric AS lets, 0::bigint AS nth
    UNION ALL SELECT 'cap ' || c.nth, c.lets, c.nth FROM c WHERE c.rule IS NULL AND c.per = 'campaign'
    UNION ALL SELECT 'cap ' || c.nth || CASE WHEN s.lets > 0 THEN ' and level 2' ELSE '' END, c.lets + s.lets, c.nth FROM c, second s WHERE c.rule IS NULL AND c.per = 'code'
    UNION ALL SELECT 'caps', CASE WHEN bool_or(s.lets IS NULL) THEN NULL ELSE coalesce(sum(s.lets), 0) END, 1000000 FROM side s
  )
  SELECT b.lets, b.word INTO worst, bound FROM bounds b WHERE b.lets IS NOT NULL ORDER BY b.lets, b.nth LIMIT 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_worst_case(jsonb, jsonb, bigint, timestamptz, timestamptz, text, bigint) IS
'What rewards by these rules and caps (as kept) can come to at most, all caps reached by so many advocates in the whole time of the campaign, in minor units, and what bounds it: budget, cap N (by its place, of all rules), cap N and level 2 (a cap per code, which rewards of the second level have none of, with one code for each advocate: each further one that he is given has a cap of its own), or caps (of rules or sides together). A percent of level 2 is of the largest reward that level 1 can give for one conversion. Both NULL: nothing bounds it.';

CREATE OR REPLACE FUNCTION cdp.referral_simulate(name text, since timestamptz, until timestamptz, rules jsonb DEFAULT NULL, caps jsonb DEFAULT NULL, referred numeric DEFAULT 1, advocates bigint DEFAULT NULL, margin numeric DEFAULT NULL, seed bigint DEFAULT 1, brought numeric DEFAULT 1)
RETURNS TABLE (rule text, side text, newcomers bigint, referrals bigint, purchases bigint, revenue numeric, rewards bigint, cost numeric, withheld numeric, lost_to_refunds numeric, cost_per_referral numeric, margin_left numeric, margin_per_referral numeric, worst_case numeric, worst_case_by text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  c record;
  k record;
  digits integer;
  unit numeric;
  people bigint;
  few boolean;
  events jsonb;
  doc jsonb;
  errors bigint;
  told text;
  w record;
  n record;
BEGIN
  SELECT x.*, s.name AS segment INTO c FROM cdp_data.referral_campaign x LEFT JOIN cdp_data.segment s ON s.segment_id = x.segment_id WHERE x.referral_campaign_id = cdp_internal.referral_campaign_of(referral_simulate.name);
  IF NOT coalesce(isfinite(since) AND isfinite(until) AND since < until, false) THEN
    RAISE EXCEPTION 'a cohort needs a time from since to until' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s and %s.', since, until), HINT = 'Such as the last quarter.';
  ELSIF NOT coalesce(referred > 0 AND referred <= 1, false) OR NOT coalesce(margin > 0 AND margin <= 1, true) OR NOT coalesce(brought BETWEEN 0 AND 1, false) OR advocates <= 0 OR seed IS NULL THEN
    RAISE EXCEPTION 'referred and margin are shares above 0, at most 1, brought is one from 0 on, advocates is above 0' USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('They are %s, %s, %s and %s.', coalesce(referred::text, 'NULL'), coalesce(margin::text, 'NULL'), coalesce(brought::text, 'NULL'), coalesce(advocates::text, 'NULL'));
  END IF;
  digits := cdp_internal.referral_exponent(c.currency);
  unit := 10::numeric ^ digits;
  k := cdp_internal.referral_terms_kept(c.referral_campaign_id, (SELECT max(t.terms_version) FROM cdp_data.referral_terms t WHERE t.referral_campaign_id = c.referral_campaign_id));
  SELECT count(*), string_agg(format('%s %s: %s.%s', f.path, f.code, f.message, ' ' || f.hint), E'\n') INTO errors, told
  FROM cdp_internal.referral_terms_findings('{"levels": 2}', coalesce(referral_simulate.rules, cdp.referral_terms(name) -> 'rules', '[]'), coalesce(referral_simulate.caps, '[]'), c.currency, '{}', true) f WHERE f.severity = 'error';
  IF errors > 0 THEN
    RAISE EXCEPTION 'the terms have % error%', errors, CASE WHEN errors > 1 THEN 's' ELSE '' END USING ERRCODE = 'invalid_parameter_value', DETAIL = told, HINT = 'The form is told at cdp.set_referral_terms().';
  ELSIF k.terms IS NULL AND referral_simulate.rules IS NULL THEN
    RAISE EXCEPTION 'referral campaign "%" has no terms', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give rules, or set terms first.';
  END IF;
  k.rules := CASE WHEN referral_simulate.rules IS NULL THEN k.rules ELSE cdp_internal.reward_rule_rows(referral_simulate.rules, digits) END;
  k.caps := CASE WHEN referral_simulate.caps IS NULL THEN coalesce(k.caps, '[]') ELSE cdp_internal.reward_cap_rows(referral_simulate.caps, digits) END;
  people := coalesce(advocates, CASE WHEN c.segment IS NOT NULL THEN (SELECT nullif(cdp.roaring_count(cdp_internal.segment_bits(c.segment_id)), 0)) END);
  -- Who of the newcomers would have been referred is drawn, by which advocate, and by which other one he was brought; all by a hash, so
  -- that it is the same at each call.
  WITH e AS MATERIALIZED (
    SELECT x.* FROM cdp_internal.referral_cohort(since, until, ARRAY(SELECT jsonb_array_elements_text(coalesce(k.terms -> 'signup_kinds', '["sign_up"]'))), ARRAY(SELECT jsonb_array_elements_text(coalesce(k.terms -> 'conversion_kinds', '["order", "purchase"]'))), c.currency) x
  ), drawn AS MATERIALIZED (
    SELECT r.root, -1 - CASE WHEN people IS NULL THEN r.root ELSE cdp_internal.campaign_bucket(seed, r.root) % people END AS referrer FROM (SELECT DISTINCT e.root FROM e) r WHERE cdp_internal.in_sample(r.root, referred::double precision, seed)
  ), above AS MATERIALIZED (
    SELECT d.referrer, CASE WHEN people IS NULL THEN d.referrer - (1::bigint << 61) ELSE -1 - (-1 - d.referrer + 1 + cdp_internal.campaign_bucket(seed # 1, d.referrer) % (people - 1)) % people END AS upper
    FROM (SELECT DISTINCT x.referrer FROM drawn x) d WHERE k.rules @> '[{"level": 2}]' AND coalesce(people > 1, true) AND cdp_internal.in_sample(-d.referrer, brought::double precision, seed)
  ), of_level AS (
    SELECT d.root, d.root AS referral, d.referrer, 1 AS level FROM drawn d UNION ALL SELECT d.root, -d.root, a.upper, 2 FROM drawn d JOIN above a USING (referrer)
  )
  SELECT (SELECT jsonb_agg(jsonb_build_object('referral', l.referral, 'conversion', y.id, 'referrer', l.referrer, 'referee', l.root, 'level', l.level, 'kind', y.kind, 'at', y.at, 'eligible', y.eligible, 'refunded', y.refunded, 'currency', y.money) ORDER BY y.at, y.id, l.level)
      FROM of_level l JOIN e y ON y.root = l.root) AS events,
    (SELECT count(DISTINCT e.root) FROM e) AS newcomers, (SELECT count(*) FROM drawn) AS referrals, count(*) FILTER (WHERE e.kind = 'purchase') AS purchases,
    coalesce(sum(greatest(e.eligible - coalesce(e.refunded, 0), 0)) FILTER (WHERE e.money = c.currency), 0) AS revenue
  INTO n FROM drawn d JOIN e USING (root);
  w := cdp_internal.referral_worst_case(k.rules, k.caps, c.budget_minor, coalesce(c.starts_at, (SELECT min(s.from_at) FROM cdp_data.referral_campaign_state s WHERE s.referral_campaign_id = c.referral_campaign_id AND s.state = 'active'), now()), c.ends_at, c.timezone, people);
  few := cdp_internal.few_people(n.referrals, n.newcomers);
  IF few THEN
    n.events := NULL;
  END IF;
  RETURN QUERY
  WITH a AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY x.counts_from, x.conversion, x.side DESC, x.level, x.rule, x.milestone) AS n, x.*, d.referrer
    FROM cdp_internal.reward_amounts(k.rules, c.timezone, c.currency, coalesce(n.events, '[]')) x
      JOIN (SELECT DISTINCT y.referral, y.referrer FROM jsonb_to_recordset(coalesce(n.events, '[]')) AS y (referral bigint, referrer bigint)) d ON d.referral = x.referral
  ), g AS MATERIALIZED (
    SELECT y.n, y.granted FROM cdp_internal.capped_rewards((SELECT coalesce(jsonb_agg(jsonb_build_object('n', a.n, 'rule', a.rule, 'side', a.side, 'customer', a.customer, 'code', CASE a.level WHEN 1 THEN a.referrer END, 'at', a.counts_from, 'amount', a.amount_minor)), '[]') FROM a), k.rules, k.caps, c.budget_minor, c.timezone) y
  ), s AS MATERIALIZED (
    SELECT a.rule, a.side, count(*) FILTER (WHERE g.granted > 0) AS rewards, sum(g.granted) AS granted, sum(a.amount_minor - g.granted) AS withheld,
      sum(CASE WHEN a.clawed_minor > 0 THEN cdp_internal.refund_share(g.granted, a.clawed_minor, a.amount_minor) ELSE 0 END) AS clawed
    FROM a JOIN g USING (n) GROUP BY GROUPING SETS ((a.rule, a.side), ())
  ), every AS (
    SELECT x.rule, x.side FROM jsonb_to_recordset(k.rules) AS x (rule text, side text) UNION ALL SELECT NULL, NULL
  )
  SELECT e.rule, e.side, v.newcomers, v.referrals, v.purchases, v.revenue, CASE WHEN NOT few THEN coalesce(s.rewards, 0) END, v.cost, CASE WHEN NOT few THEN round(coalesce(s.withheld, 0) / unit, digits) END, CASE WHEN NOT few THEN round(coalesce(s.clawed, 0) / unit, digits) END,
    CASE WHEN n.referrals > 0 THEN round(v.cost / n.referrals, digits + 2) END, CASE WHEN e.rule IS NULL THEN round(v.revenue * margin - v.cost, digits) END, CASE WHEN e.rule IS NULL AND n.referrals > 0 THEN round((v.revenue * margin - v.cost) / n.referrals, digits + 2) END,
    CASE WHEN e.rule IS NULL THEN round(w.worst / unit, digits) END, CASE WHEN e.rule IS NULL THEN w.bound END
  FROM every e LEFT JOIN s ON s.rule IS NOT DISTINCT FROM e.rule AND s.side IS NOT DISTINCT FROM e.side
    CROSS JOIN LATERAL (SELECT CASE WHEN NOT few THEN n.newcomers END AS newcomers, CASE WHEN NOT few THEN n.referrals END AS referrals, CASE WHEN NOT few THEN n.purchases END AS purchases, CASE WHEN NOT few THEN round(n.revenue / unit, digits) END AS revenue,
      CASE WHEN NOT few THEN round((coalesce(s.granted, 0) - coalesce(s.clawed, 0)) / unit, digits) END AS cost) v
  ORDER BY e.rule NULLS LAST;
END
$$;
COMMENT ON FUNCTION cdp.referral_simulate(text, timestamptz, timestamptz, jsonb, jsonb, numeric, bigint, numeric, bigint, numeric) IS
'What the terms of a referral campaign would have cost for those who bought for the first time from since to before until, had they been referred: SELECT * FROM cdp.referral_simulate(''bring'', ''2026-01-01'', ''2026-04-01'', margin => 0.3). rules, caps: in place of the last terms, as cdp.set_referral_terms() takes them; referred: share of them who come by a referral, drawn by a hash; advocates: among how many they are spread (NULL: the members of the segment, else one for each); margin: of revenue; brought: share of the advocates who were brought themselves, each by another of them (drawn), which is what rules of level 2 pay for. A row for each rule and one, without rule, for all: newcomers and referrals (people), purchases, revenue (without refunds, in the campaign''s currency only), rewards paid and their cost (expected cost, without what refunds take back), withheld by caps and budget, lost_to_refunds, cost for each referral; margin_left = revenue * margin - cost, and for each referral; worst_case: what the campaign can cost when all caps are reached in its whole time, and what bounds it (NULL: nothing does). All of their purchases count, whenever they were; of a touchpoint its property eligible counts, without one its value. Figures of fewer people than minimum_audience are NULL. Reads only. Errors: 42704 no such campaign, 55000 it has no terms, 22023 rules or caps with errors, times or shares out of their range; 42501 a role that is kept to some sources.';

-- Referral room, rewards: what rules give for conversions. A pure function: it reads no table, so that the simulator, the tests and
-- the ledger use the same one.

CREATE OR REPLACE FUNCTION cdp_internal.round_half_even(x numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(x - trunc(x)) = 0.5 THEN 2 * round(x / 2) ELSE round(x) END;
COMMENT ON FUNCTION cdp_internal.round_half_even(numeric) IS 'The nearest whole number, of two as near the even one: 0.5, 1.5, 2.5: 0, 2, 2.';

CREATE OR REPLACE FUNCTION cdp_internal.refund_share(amount bigint, refunded bigint, eligible bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN eligible > 0 AND refunded > 0 THEN CASE WHEN refunded >= eligible THEN amount ELSE cdp_internal.round_half_even(amount::numeric * refunded / eligible) END ELSE 0 END;
COMMENT ON FUNCTION cdp_internal.refund_share(bigint, bigint, bigint) IS
'What of a reward is lost when so much of what was eligible was refunded in all: round_half_even(amount * refunded / eligible), at most all of it. In parts, less what was taken back before, they sum to it exactly.';

CREATE OR REPLACE FUNCTION cdp_internal.month_later(at timestamptz, months integer, timezone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ((at AT TIME ZONE timezone) + make_interval(months => months)) AT TIME ZONE timezone;
COMMENT ON FUNCTION cdp_internal.month_later(timestamptz, integer, text) IS 'The same day and time so many calendar months later, by the clock of a time zone; the last of the month where it has no such day.';

CREATE OR REPLACE FUNCTION cdp_internal.reward_amounts(rules jsonb, timezone text, currency text, events jsonb)
RETURNS TABLE (referral bigint, conversion bigint, rule text, version integer, side text, level smallint, milestone integer, customer bigint, amount_minor bigint, clawed_minor bigint, counts_from timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH r AS MATERIALIZED (
    SELECT coalesce(x.terms_version, 1) AS version, x.* FROM jsonb_to_recordset(rules) AS x (rule text, terms_version integer, side text, level smallint, trigger text, nth integer, min_amount_minor bigint, shape text, amount_minor bigint, rate numeric,
      tiers jsonb, tier_mode text, tier_of text, milestones jsonb, months integer, max_minor bigint, priority integer, exclusive boolean)
  ), told AS (
    SELECT x.referral, x.conversion, x.referrer, x.referee, coalesce(x.level, 1::smallint) AS level, coalesce(x.version, 1) AS version, x.kind, x.at, greatest(x.eligible, 0) AS eligible, least(greatest(x.refunded, 0), greatest(x.eligible, 0)) AS refunded,
      x.currency IS NULL OR x.currency = reward_amounts.currency AS ours, coalesce(x.counts, true) AS counts
    FROM jsonb_to_recordset(events) AS x (referral bigint, conversion bigint, referrer bigint, referee bigint, level smallint, version integer, kind text, at timestamptz, eligible bigint, refunded bigint, currency text, counts boolean)
  ), e AS MATERIALIZED (
    SELECT t.*, coalesce(t.eligible, 0) - coalesce(t.refunded, 0) AS net, row_number() OVER (PARTITION BY t.referral, t.kind ORDER BY t.at, t.conversion) AS no, min(t.at) OVER (PARTITION BY t.referral) AS first_at FROM told t
  ), fit AS MATERIALIZED ( -- every rule with every conversion that it is for
    SELECT e.*, r.rule, r.side, r.shape, r.amount_minor, r.rate, r.tiers, r.tier_mode, coalesce(r.tier_of, 'referrals') AS tier_of, r.milestones, r.max_minor, coalesce(r.priority, 100) AS priority, coalesce(r.exclusive, true) AS exclusive,
      CASE r.side WHEN 'referrer' THEN e.referrer ELSE e.referee END AS customer
    FROM e JOIN r ON r.version = e.version AND coalesce(r.level, 1) = e.level
    WHERE CASE r.trigger WHEN 'signup' THEN e.kind = 'signup' AND e.no = 1 WHEN 'first_purchase' THEN e.kind = 'purchase' AND e.no = 1 WHEN 'nth_purchase' THEN e.kind = 'purchase' AND e.no = r.nth
        WHEN 'every_purchase' THEN e.kind = 'purchase' WHEN 'amount' THEN e.kind = 'purchase' END
      AND (r.min_amount_minor IS NULL OR e.ours AND e.eligible >= r.min_amount_minor)
      -- Amounts in another currency are never counted.
      AND (e.ours OR r.rate IS NULL AND r.shape <> 'tier' OR e.level = 2)
      AND (r.shape <> 'recurring' OR e.at < cdp_internal.month_later(e.first_at, r.months, reward_amounts.timezone))
  ), counted AS MATERIALIZED ( -- the approved referrals of each referrer, in their order, by rule
    SELECT c.*, row_number() OVER (PARTITION BY c.customer, c.rule ORDER BY c.at, c.referral) AS k
    FROM (SELECT DISTINCT ON (f.customer, f.rule, f.referral) f.customer, f.rule, f.referral, f.conversion, f.version, f.level, f.side, f.at, f.net, f.milestones, f.shape, f.tier_of FROM fit f
        WHERE f.counts AND (f.shape = 'milestone' OR f.shape = 'tier' AND f.tier_of = 'referrals') AND (f.net > 0 OR coalesce(f.eligible, 0) = 0) ORDER BY f.customer, f.rule, f.referral, f.at, f.conversion) c
  ), reached AS MATERIALIZED ( -- how far each conversion with tiers has come: alone (marginal), or in the end (whole)
    SELECT f.referral, f.conversion, f.rule, f.level, f.side,
      CASE f.tier_of
        WHEN 'referrals' THEN CASE f.tier_mode WHEN 'whole' THEN greatest((SELECT count(*) FROM counted c WHERE c.customer = f.customer AND c.rule = f.rule), (SELECT count(*) + 1 FROM counted c WHERE c.customer = f.customer AND c.rule = f.rule AND (c.at, c.referral) < (f.q, f.referral)))
          ELSE (SELECT count(*) + 1 FROM counted c WHERE c.customer = f.customer AND c.rule = f.rule AND (c.at, c.referral) < (f.q, f.referral)) END
        ELSE CASE f.tier_mode WHEN 'whole' THEN greatest(f.net_all, f.net_before + f.eligible) ELSE f.net_before + f.eligible END END AS far,
      f.net_before, f.customer, f.at, f.counts, f.net_before + f.net AS upto
    FROM (SELECT t.*, min(t.at) OVER (PARTITION BY t.customer, t.rule, t.referral) AS q,
        coalesce(sum(CASE WHEN t.counts THEN t.net END) OVER (PARTITION BY t.customer, t.rule), 0) AS net_all,
        coalesce(sum(CASE WHEN t.counts THEN t.net END) OVER (PARTITION BY t.customer, t.rule ORDER BY t.at, t.conversion ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS net_before
      FROM fit t WHERE t.shape = 'tier') f
  ), plain AS (
    SELECT f.referral, f.conversion, f.rule, f.version, f.side, f.level, f.customer, f.eligible, f.refunded, f.at, f.priority, f.exclusive, f.rate, f.shape, f.max_minor, y.counts_from,
      -- least() passes NULL over, which is no amount at all.
      least(coalesce(f.max_minor, 9223372036854775807), coalesce(CASE
        WHEN f.shape = 'flat' OR f.shape = 'recurring' AND f.rate IS NULL THEN f.amount_minor
        WHEN f.shape = 'tier' THEN y.amount
        WHEN f.level = 1 THEN cdp_internal.round_half_even(f.eligible * f.rate) END, 0)) AS amount
    FROM fit f LEFT JOIN reached d ON f.shape = 'tier' AND (d.referral, d.conversion, d.rule, d.level, d.side) = (f.referral, f.conversion, f.rule, f.level, f.side)
      CROSS JOIN LATERAL (
        -- The tier that was reached; marginal parts of amounts each by their own.
        SELECT CASE WHEN f.shape <> 'tier' THEN NULL WHEN g.amount_minor IS NOT NULL THEN g.amount_minor
            WHEN f.tier_of = 'amount' AND coalesce(f.tier_mode, 'marginal') = 'marginal' THEN (
              SELECT cdp_internal.round_half_even(sum(greatest(0, least(d.net_before + f.eligible, p.upto) - greatest(d.net_before, p."from")) * p.rate))
              FROM (SELECT z."from", z.rate, lead(z."from", 1, 'Infinity'::numeric) OVER (ORDER BY z."from") AS upto FROM jsonb_to_recordset(f.tiers) AS z ("from" numeric, rate numeric)) p WHERE p.rate IS NOT NULL)
            ELSE cdp_internal.round_half_even(f.eligible * g.rate) END AS amount,
          -- What a tier adds is earned when it is reached.
          CASE WHEN f.shape = 'tier' AND f.tier_mode = 'whole' THEN greatest(f.at, CASE f.tier_of
              WHEN 'referrals' THEN (SELECT c.at FROM counted c WHERE c.customer = f.customer AND c.rule = f.rule AND c.k = g."from")
              ELSE (SELECT min(x.at) FROM reached x WHERE x.customer = f.customer AND x.rule = f.rule AND x.counts AND x.upto >= g."from") END) ELSE f.at END AS counts_from
        FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT z."from", z.rate, z.amount_minor FROM jsonb_to_recordset(CASE WHEN f.shape = 'tier' THEN f.tiers END) AS z ("from" numeric, rate numeric, amount_minor bigint) WHERE z."from" <= d.far ORDER BY z."from" DESC LIMIT 1) g ON true) y
    WHERE f.shape <> 'milestone'
  ), first_level AS MATERIALIZED (
    SELECT p.* FROM (SELECT p.*, row_number() OVER (PARTITION BY p.referral, p.conversion, p.side, p.exclusive ORDER BY p.priority, p.amount DESC, p.rule) AS place FROM plain p WHERE p.level = 1 AND p.amount > 0) p WHERE NOT p.exclusive OR p.place = 1
  ), second_level AS (
    SELECT p.* FROM (SELECT p.*, row_number() OVER (PARTITION BY p.referral, p.conversion, p.side, p.exclusive ORDER BY p.priority, p.amount_2 DESC, p.rule) AS place
      FROM (SELECT p.*, CASE p.shape WHEN 'percent' THEN least(coalesce(p.max_minor, 9223372036854775807), coalesce(cdp_internal.round_half_even(p.rate * (SELECT sum(l.amount) FROM first_level l WHERE l.conversion = p.conversion AND l.side = 'referrer')), 0)) ELSE p.amount END AS amount_2
        FROM plain p WHERE p.level = 2) p WHERE p.amount_2 > 0) p WHERE NOT p.exclusive OR p.place = 1
  )
  SELECT p.referral, p.conversion, p.rule, p.version, p.side, p.level, NULL::integer, p.customer, p.amount, cdp_internal.refund_share(p.amount, p.refunded, p.eligible), p.counts_from FROM first_level p
  UNION ALL
  SELECT p.referral, p.conversion, p.rule, p.version, p.side, p.level, NULL, p.customer, p.amount_2, cdp_internal.refund_share(p.amount_2, p.refunded, p.eligible), p.at FROM second_level p
  UNION ALL
  SELECT c.referral, c.conversion, c.rule, c.version, c.side, c.level, m.n, c.customer, m.amount_minor, 0, c.at
  FROM counted c CROSS JOIN LATERAL jsonb_to_recordset(CASE WHEN c.shape = 'milestone' THEN c.milestones ELSE '[]' END) AS m (n integer, amount_minor bigint) WHERE m.n = c.k AND m.amount_minor > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_amounts(jsonb, text, text, jsonb) IS
'What rules of a campaign give for conversions, before caps, in minor units. rules: rows of cdp_data.reward_rule as JSON. events: an array of {"referral", "conversion", "referrer", "referee" (numbers), "level" (1), "version" (of the terms, 1), "kind" (signup or purchase), "at", "eligible", "refunded" (minor units), "currency" (null: none), "counts" (true: the referral is approved, so it counts for tiers and milestones)}; of each referrer whose rules have tiers or milestones all of them, of each referee all from the first on. Conversions in another currency earn only what does not depend on their amount. Rows: amount_minor, what of it is lost to refunds (clawed_minor), counts_from (the hold begins then); milestone NULL but for milestones. Of exclusive rules that fit one conversion and side the one of the lowest priority pays, of those the highest amount, then by name; others pay each; milestones always. A percent of level 2 is of what the rules give level 1 (side referrer) for the conversion, before caps. Order of the rows: none.';

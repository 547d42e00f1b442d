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
RETURNS TABLE (referral bigint, conversion bigint, rule text, version integer, side text, level smallint, milestone integer, customer bigint, amount_minor bigint, clawed_minor bigint, counts_from timestamptz, own_minor bigint, at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan SET enable_nestloop = off
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
  ), placed AS MATERIALIZED ( -- how many of them came before each referral, and how many there are in all
    SELECT u.customer, u.rule, u.referral, u.before, u.in_all FROM (
      SELECT x.*, sum(x.n) OVER (PARTITION BY x.customer, x.rule ORDER BY x.at, x.referral, x.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before, sum(x.n) OVER (PARTITION BY x.customer, x.rule) AS in_all
      FROM (SELECT f.customer, f.rule, f.referral, min(f.at) AS at, 0 AS n FROM fit f WHERE f.shape = 'tier' AND f.tier_of = 'referrals' GROUP BY f.customer, f.rule, f.referral
        UNION ALL SELECT c.customer, c.rule, c.referral, c.at, 1 FROM counted c) x) u
    WHERE u.n = 0
  ), summed AS MATERIALIZED ( -- what the purchases of a person under a rule sum to, before each and in all
    SELECT t.referral, t.conversion, t.rule, t.level, t.side, t.customer, t.at, t.counts, t.tiers,
      coalesce(sum(CASE WHEN t.counts THEN t.net END) OVER (PARTITION BY t.customer, t.rule), 0) AS net_all,
      coalesce(sum(CASE WHEN t.counts THEN t.net END) OVER (PARTITION BY t.customer, t.rule ORDER BY t.at, t.conversion ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS net_before, t.net
    FROM fit t WHERE t.shape = 'tier' AND t.tier_of = 'amount'
  ), passed AS MATERIALIZED ( -- and when each tier was reached
    SELECT m.customer, m.rule, z."from", min(m.at) AS at FROM summed m CROSS JOIN LATERAL jsonb_to_recordset(m.tiers) AS z ("from" numeric)
    WHERE m.counts AND m.net_before + m.net >= z."from" GROUP BY m.customer, m.rule, z."from"
  ), graded AS MATERIALIZED ( -- how far each conversion with tiers came by itself, and (whole) in the end
    SELECT f.*, d.net_before, CASE f.tier_of WHEN 'referrals' THEN coalesce(p.before, 0) + 1 ELSE d.net_before + f.eligible END AS near,
      CASE WHEN f.tier_mode = 'whole' THEN CASE f.tier_of WHEN 'referrals' THEN greatest(p.in_all, coalesce(p.before, 0) + 1) ELSE greatest(d.net_all, d.net_before + f.eligible) END
        ELSE CASE f.tier_of WHEN 'referrals' THEN coalesce(p.before, 0) + 1 ELSE d.net_before + f.eligible END END AS far
    FROM fit f LEFT JOIN placed p ON f.tier_of = 'referrals' AND (p.customer, p.rule, p.referral) = (f.customer, f.rule, f.referral)
      LEFT JOIN summed d ON f.tier_of = 'amount' AND (d.referral, d.conversion, d.rule, d.level, d.side) = (f.referral, f.conversion, f.rule, f.level, f.side)
    WHERE f.shape = 'tier'
  ), priced AS MATERIALIZED (
    SELECT g.*, y.amount, y.own, y.reached FROM graded g CROSS JOIN LATERAL (
      SELECT max(z."from") FILTER (WHERE z."from" <= g.far) AS reached,
        CASE WHEN g.tier_of = 'amount' AND coalesce(g.tier_mode, 'marginal') = 'marginal' AND (array_agg(z.amount_minor ORDER BY z."from" DESC) FILTER (WHERE z."from" <= g.far))[1] IS NULL THEN
            cdp_internal.round_half_even(sum(greatest(0, least(g.net_before + g.eligible, z.upto) - greatest(g.net_before, z."from")) * z.rate) FILTER (WHERE z.rate IS NOT NULL))
          ELSE (array_agg(coalesce(z.amount_minor, cdp_internal.round_half_even(g.eligible * z.rate)) ORDER BY z."from" DESC) FILTER (WHERE z."from" <= g.far))[1] END AS amount,
        (array_agg(coalesce(z.amount_minor, cdp_internal.round_half_even(g.eligible * z.rate)) ORDER BY z."from" DESC) FILTER (WHERE z."from" <= g.near))[1] AS own
      FROM (SELECT t."from", t.rate, t.amount_minor, lead(t."from", 1, 'Infinity'::numeric) OVER (ORDER BY t."from") AS upto FROM jsonb_to_recordset(g.tiers) AS t ("from" numeric, rate numeric, amount_minor bigint)) z) y
  ), plain AS (
    SELECT f.referral, f.conversion, f.rule, f.version, f.side, f.level, f.customer, f.eligible, f.refunded, f.at, f.priority, f.exclusive, f.rate, f.shape, f.max_minor, f.at AS counts_from,
      -- least() passes NULL over, which is no amount at all.
      least(coalesce(f.max_minor, 9223372036854775807), coalesce(CASE WHEN f.shape = 'flat' OR f.shape = 'recurring' AND f.rate IS NULL THEN f.amount_minor WHEN f.level = 1 THEN cdp_internal.round_half_even(f.eligible * f.rate) END, 0)) AS amount, NULL::bigint AS own
    FROM fit f WHERE f.shape NOT IN ('milestone', 'tier')
    UNION ALL
    SELECT f.referral, f.conversion, f.rule, f.version, f.side, f.level, f.customer, f.eligible, f.refunded, f.at, f.priority, f.exclusive, f.rate, f.shape, f.max_minor,
      -- What a tier adds is earned when it is reached.
      CASE WHEN f.tier_mode = 'whole' THEN greatest(f.at, c.at, m.at) ELSE f.at END, least(coalesce(f.max_minor, 9223372036854775807), coalesce(f.amount, 0)),
      CASE WHEN f.tier_mode = 'whole' THEN least(coalesce(f.max_minor, 9223372036854775807), coalesce(f.own, 0)) END
    FROM priced f LEFT JOIN counted c ON f.tier_mode = 'whole' AND f.tier_of = 'referrals' AND (c.customer, c.rule) = (f.customer, f.rule) AND c.k = f.reached
      LEFT JOIN passed m ON f.tier_mode = 'whole' AND f.tier_of = 'amount' AND (m.customer, m.rule, m."from") = (f.customer, f.rule, f.reached)
  ), first_level AS MATERIALIZED (
    SELECT p.* FROM (SELECT p.*, row_number() OVER (PARTITION BY p.referral, p.conversion, p.side, p.exclusive ORDER BY p.priority, p.amount DESC, p.rule) AS place FROM plain p WHERE p.level = 1 AND p.amount > 0) p WHERE NOT p.exclusive OR p.place = 1
  ), second_level AS (
    SELECT p.* FROM (SELECT p.*, row_number() OVER (PARTITION BY p.referral, p.conversion, p.side, p.exclusive ORDER BY p.priority, p.amount_2 DESC, p.rule) AS place
      FROM (SELECT p.*, CASE p.shape WHEN 'percent' THEN least(coalesce(p.max_minor, 9223372036854775807), coalesce(cdp_internal.round_half_even(p.rate * l.amount), 0)) ELSE p.amount END AS amount_2
        FROM plain p LEFT JOIN (SELECT l.conversion, sum(l.amount) AS amount FROM first_level l WHERE l.side = 'referrer' GROUP BY 1) l ON l.conversion = p.conversion WHERE p.level = 2) p WHERE p.amount_2 > 0) p WHERE NOT p.exclusive OR p.place = 1
  )
  SELECT p.referral, p.conversion, p.rule, p.version, p.side, p.level, NULL::integer, p.customer, p.amount, cdp_internal.refund_share(p.amount, p.refunded, p.eligible), p.counts_from, least(p.amount, coalesce(p.own, p.amount)), p.at FROM first_level p
  UNION ALL
  SELECT p.referral, p.conversion, p.rule, p.version, p.side, p.level, NULL, p.customer, p.amount_2, cdp_internal.refund_share(p.amount_2, p.refunded, p.eligible), p.at, p.amount_2, p.at FROM second_level p
  UNION ALL
  SELECT c.referral, c.conversion, c.rule, c.version, c.side, c.level, m.n, c.customer, m.amount_minor, 0, c.at, m.amount_minor, c.at
  FROM counted c CROSS JOIN LATERAL jsonb_to_recordset(CASE WHEN c.shape = 'milestone' THEN c.milestones ELSE '[]' END) AS m (n integer, amount_minor bigint) WHERE m.n = c.k AND m.amount_minor > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.reward_amounts(jsonb, text, text, jsonb) IS
'What rules of a campaign give for conversions, before caps, in minor units. rules: rows of cdp_data.reward_rule as JSON. events: an array of {"referral", "conversion", "referrer", "referee" (numbers), "level" (1), "version" (of the terms, 1), "kind" (signup or purchase), "at", "eligible", "refunded" (minor units), "currency" (null: none), "counts" (true: the referral is approved, so it counts for tiers and milestones)}; of each referrer whose rules have tiers or milestones all of them, of each referee all from the first on. Conversions in another currency earn only what does not depend on their amount. Rows: amount_minor, what of it is lost to refunds (clawed_minor), counts_from (the hold begins then) and own_minor: what of amount_minor the conversion earned by itself at its time (at), from which that part''s hold counts; the rest came with a tier that was reached later. milestone NULL but for milestones. Of exclusive rules that fit one conversion and side the one of the lowest priority pays, of those the highest amount, then by name; others pay each; milestones always. A percent of level 2 is of what the rules give level 1 (side referrer) for the conversion, before caps. Order of the rows: none.';

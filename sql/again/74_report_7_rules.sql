-- Referral room, recommendations, second part: rules about rewards, budgets and fraud, and all of them together.

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_rewards(campaign integer, as_of timestamptz, gate bytea, book record, rewards record)
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  terms integer := cdp_internal.referral_terms_at(campaign, as_of);
  map bytea := cdp_internal.customer_map();
  since timestamptz := (cdp_internal.referral_window(campaign, as_of)).since;
  span numeric;
  c record;
  d record;
  q record;
  f record;
  cut double precision;
BEGIN
  SELECT r.currency, r.budget_minor, r.ends_at, r.state, r.holdout_id, power(10, cdp_internal.referral_exponent(r.currency))::numeric AS unit INTO c FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  -- R08: who waited longer for his first reward than the median referrer, and when each brought the next one.
  WITH first_reward AS (
    SELECT DISTINCT ON (w.root) w.root, w.earned_at, extract(epoch FROM w.available_at - w.earned_at)::double precision / 86400 AS delay
    FROM unnest(rewards.roots, rewards.sides, rewards.earned, rewards.available) WITH ORDINALITY AS w (root, side, earned_at, available_at, o) WHERE w.side = 'referrer' AND w.available_at IS NOT NULL AND (w.root < 0 OR cdp_internal.bitmap_has(gate, w.root)) ORDER BY w.root, w.earned_at, w.o
  ), again AS (
    SELECT r.root, r.delay, greatest(0, extract(epoch FROM coalesce(min(b.attributed_at), as_of) - r.earned_at)::double precision / 86400) AS t, min(b.attributed_at) IS NOT NULL AS e
    FROM first_reward r LEFT JOIN unnest(book.referrers, book.times, book.states, book.ours) AS b (referrer, attributed_at, state, ours) ON b.ours AND b.referrer = r.root AND b.attributed_at > r.earned_at AND b.state <> 'rejected' GROUP BY r.root, r.delay, r.earned_at
  ), half AS (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY a.delay) AS cut, percentile_disc(0.9) WITHIN GROUP (ORDER BY a.delay) AS p90 FROM again a
  )
  SELECT min(h.cut) AS cut, min(h.p90) AS p90, count(*) FILTER (WHERE a.delay > h.cut) AS slow, count(*) FILTER (WHERE a.delay <= h.cut) AS fast, count(*) FILTER (WHERE a.delay > h.cut AND a.e) AS slow_again, count(*) FILTER (WHERE a.delay <= h.cut AND a.e) AS fast_again,
    coalesce(array_agg(a.t) FILTER (WHERE a.delay > h.cut), '{}') AS st, coalesce(array_agg(a.e) FILTER (WHERE a.delay > h.cut), '{}') AS se, coalesce(array_agg(a.t) FILTER (WHERE a.delay <= h.cut), '{}') AS ft, coalesce(array_agg(a.e) FILTER (WHERE a.delay <= h.cut), '{}') AS fe
  INTO d FROM again a CROSS JOIN half h;
  f := cdp.logrank_test(d.st, d.se, d.ft, d.fe);
  RETURN QUERY SELECT 'R08', ARRAY[d.slow, d.fast, d.slow_again, d.slow - d.slow_again, d.fast_again, d.fast - d.fast_again], CASE WHEN least(d.slow, d.fast) >= 20 THEN f.p_value END, NULL::double precision, d.p90 > 7 AND f.observed < f.expected,
    CASE WHEN least(d.slow, d.fast) < 20 THEN format('20 referrers who got their first reward sooner and 20 who got it later (there are %s and %s)', d.fast, d.slow) WHEN f.p_value IS NULL THEN 'referrers who brought another one' END, 'medium',
    format('Referrers who waited more than %s days for their first reward brought another one less often (%s of %s) than the others (%s of %s); nine in ten have it after %s days.', round(d.cut::numeric, 1), d.slow_again, d.slow, d.fast_again, d.fast, round(d.p90::numeric, 1)),
    'Shorten the hold of referrals whose fraud score is below 0.2.', jsonb_build_object('slow', d.slow, 'slow_again', d.slow_again, 'fast', d.fast, 'fast_again', d.fast_again, 'cut_days', round(d.cut::numeric, 6), 'p90_days', round(d.p90::numeric, 6), 'observed', f.observed, 'expected', round(f.expected::numeric, 6), 'chi_square', round(f.chi_square::numeric, 6)),
    round((f.expected - f.observed)::numeric, 1), 'repeat referrals more, had all waited alike';
  -- R11: refunds that came after the hold. Who bought lately may give back later: purchases that were not refunded are censored at as_of.
  SELECT coalesce(array_agg(extract(epoch FROM coalesce(x.refunded_at, as_of) - x.occurred_at)::double precision / 86400), '{}') AS t, coalesce(array_agg(x.refunded_at IS NOT NULL), '{}') AS e,
    coalesce(array_agg(extract(epoch FROM as_of - x.occurred_at)::double precision / 86400), '{}') AS seen, coalesce(array_agg(x.minor), '{}') AS minor, coalesce(array_agg(x.referee), '{}') AS who, count(x.refunded_at) AS n,
    (SELECT extract(epoch FROM min(u.hold))::double precision / 86400 FROM cdp_data.reward_rule u WHERE u.referral_campaign_id = campaign AND u.terms_version = terms AND u.trigger <> 'signup') AS hold INTO d
  FROM (SELECT b.referee, v.occurred_at, g.at AS refunded_at, CASE WHEN v.currency = c.currency THEN coalesce(g.minor, 0) ELSE 0 END AS minor
    FROM unnest(book.ids, book.referees, book.times, book.states, book.ours) AS b (referral_id, referee, attributed_at, state, ours) JOIN cdp_data.referral r ON r.referral_id = b.referral_id JOIN cdp_data.referral_terms m ON m.referral_campaign_id = campaign AND m.terms_version = r.terms_version
      JOIN (SELECT x.referral_conversion_id, x.occurred_at, x.kind, x.currency, CASE WHEN x.customer_id < 0 THEN x.customer_id ELSE cdp_internal.customer_root(map, NULL, x.customer_id, NULL) END AS root
        FROM cdp_data.referral_conversion x WHERE NOT x.is_test AND x.retracted_at IS NULL AND x.occurred_at <= as_of AND x.eligible_minor > 0 OFFSET 0) v ON v.root = b.referee AND v.occurred_at >= b.attributed_at AND v.kind = ANY (m.conversion_kinds)
      LEFT JOIN (SELECT z.referral_conversion_id, min(z.refunded_at) AS at, sum(z.amount_minor) AS minor FROM cdp_data.referral_refund z WHERE z.retracted_at IS NULL AND z.refunded_at <= as_of GROUP BY 1) g ON g.referral_conversion_id = v.referral_conversion_id
    WHERE b.ours AND b.state <> 'rejected') x;
  -- By when nine in ten of those refunds came that come as far as one can see; the last few at risk tell nothing.
  SELECT min(k.at) FILTER (WHERE 1 - k.survival >= 0.9 * (1 - k.least) - 1e-12) AS p90 INTO q FROM (SELECT z.at, z.survival, min(z.survival) OVER () AS least FROM cdp.survival_curve(d.t, d.e) z WHERE z.at_risk >= 10) k;
  -- Of purchases that were seen for so long, how many refunds came after the hold.
  SELECT count(*) AS n, count(*) FILTER (WHERE x.lag > d.hold) AS k, coalesce(sum(x.minor) FILTER (WHERE x.lag > d.hold), 0) AS minor, count(DISTINCT x.who) AS people, count(DISTINCT x.who) FILTER (WHERE x.lag > d.hold) AS late_people INTO f
  FROM unnest(d.t, d.e, d.seen, d.minor, d.who) AS x (lag, refunded, seen, minor, who) WHERE x.refunded AND x.seen >= greatest(q.p90, d.hold);
  RETURN QUERY SELECT 'R11', ARRAY[f.people, f.late_people, f.people - f.late_people], CASE WHEN f.n >= 20 THEN cdp.binomial_tail(f.k, f.n, 0.1) END, NULL::double precision, q.p90 > d.hold,
    CASE WHEN d.hold IS NULL THEN 'rules that reward purchases' WHEN d.n < 20 THEN format('20 purchases that were refunded (there are %s)', d.n) WHEN q.p90 IS NULL OR f.n < 20 THEN format('20 refunded purchases of which one knows by now whether they came back after the hold (there are %s)', f.n) END, 'medium',
    format('Of %s refunded purchases %s (%s %%) came back after the hold of %s days; nine in ten come back within %s days.', f.n, f.k, round(100.0 * f.k / nullif(f.n, 0), 1), round(d.hold::numeric, 1), round(q.p90::numeric, 1)), format('Set the hold to %s days.', ceil(q.p90)),
    jsonb_build_object('purchases', cardinality(d.t), 'refunded', d.n, 'seen_long_enough', f.n, 'after_hold', f.k, 'hold_days', round(d.hold::numeric, 6), 'p90_days', round(q.p90::numeric, 6)), round(f.minor / c.unit, 2), c.currency || ' of purchases refunded after the hold';
  -- R12: rewards of the last 28 days, or of those since it began, against what the budget has left for the days to come.
  span := least(28, extract(epoch FROM as_of - since) / 86400);
  SELECT count(*) FILTER (WHERE w.earned_at > as_of - interval '672 hours') AS k, avg(w.amount) FILTER (WHERE w.earned_at > as_of - interval '672 hours') AS mean, c.budget_minor - coalesce(sum(w.amount - w.clawed), 0) AS rest, extract(epoch FROM c.ends_at - as_of)::numeric / 86400 AS days,
    count(DISTINCT w.root) FILTER (WHERE w.earned_at > as_of - interval '672 hours') AS people INTO d FROM unnest(rewards.roots, rewards.amounts, rewards.clawed, rewards.earned) AS w (root, amount, clawed, earned_at) WHERE w.amount > 0;
  RETURN QUERY SELECT 'R12', ARRAY[d.people], CASE WHEN d.k >= 10 AND d.days > 0 AND span >= 1 THEN CASE WHEN d.rest > 0 THEN cdp.poisson_cdf(d.k - 1, (d.rest / d.mean * span / d.days)::double precision, true) ELSE 0 END END, NULL::double precision, d.rest < x.a_day * d.days,
    CASE WHEN c.budget_minor IS NULL THEN 'a budget' WHEN c.ends_at IS NULL OR d.days <= 0 THEN 'an end that is not past' WHEN NOT span >= 1 THEN 'a day since the campaign began' WHEN d.k < 10 THEN format('10 rewards in the last 28 days (there are %s)', d.k) END, 'high',
    format('%s %s of the budget are left. At %s %s a day, as in the %s, that lasts %s days of the %s until the end.', round(d.rest / c.unit, 2), c.currency, round(x.a_day / c.unit, 2), c.currency, CASE WHEN span < 28 THEN format('%s days since it began', round(span, 1)) ELSE 'last 28 days' END,
      round(greatest(0, d.rest) / nullif(x.a_day, 0), 1), round(d.days, 1)),
    'Raise the budget, lower the caps, or pace it.', jsonb_build_object('left', round(d.rest / c.unit, 6), 'a_day', round(x.a_day / c.unit, 6), 'rewards', d.k, 'in_days', round(span, 6), 'days_left', round(d.days, 6), 'lasts_days', round(greatest(0, d.rest) / nullif(x.a_day, 0), 6)),
    round((x.a_day * d.days - d.rest) / c.unit, 2), c.currency || ' short at the end' FROM (SELECT d.mean * d.k / nullif(span, 0) AS a_day) x;
  -- R13: referrers whose reward a cap cut.
  SELECT count(DISTINCT x.root) AS n, count(DISTINCT x.root) FILTER (WHERE x.capped) AS k, coalesce(sum(x.lost) FILTER (WHERE x.capped), 0) AS lost INTO d
  FROM (SELECT w.root, w.lost > 0 AS capped, w.lost FROM unnest(rewards.roots, rewards.sides, rewards.capped) AS w (root, side, lost) WHERE w.side = 'referrer' AND (w.root < 0 OR cdp_internal.bitmap_has(gate, w.root))) x;
  RETURN QUERY SELECT 'R13', ARRAY[d.k, d.n - d.k], CASE WHEN d.n >= 30 THEN cdp.binomial_tail(d.k, d.n, 0.1) END, NULL::double precision, d.k > 0.1 * d.n,
    CASE WHEN NOT EXISTS (SELECT FROM cdp_data.reward_cap p WHERE p.referral_campaign_id = campaign AND p.terms_version = terms) THEN 'a cap' WHEN d.n < 30 THEN format('30 referrers with a reward (there are %s)', d.n) END, 'medium',
    format('%s of %s referrers (%s %%) have reached a cap; %s %s were not granted.', d.k, d.n, round(100.0 * d.k / nullif(d.n, 0), 1), round(d.lost / c.unit, 2), c.currency), 'Raise the cap, or give a milestone to those who reach it.', jsonb_build_object('capped', d.k, 'referrers', d.n, 'not_granted', round(d.lost / c.unit, 6)),
    round(d.lost / c.unit, 2), c.currency || ' that advocates earned and did not get';
  -- R15: referrers who stop at a step of the reward.
  WITH step AS (
    SELECT DISTINCT x.n FROM cdp_data.reward_rule u CROSS JOIN LATERAL (
      SELECT (e ->> 'from')::numeric AS n FROM jsonb_array_elements(u.tiers) e WHERE u.tier_of = 'referrals' UNION ALL SELECT (e ->> 'n')::numeric FROM jsonb_array_elements(u.milestones) e) x
    WHERE u.referral_campaign_id = campaign AND u.terms_version = terms AND x.n > 1
  ), held AS (
    SELECT b.referrer, count(*) AS n FROM unnest(book.referrers, book.states, book.ours) AS b (referrer, state, ours) WHERE b.ours AND b.state = 'approved' GROUP BY b.referrer
  ), tested AS (
    SELECT s.n, count(*) FILTER (WHERE h.n = s.n) AS at, count(*) FILTER (WHERE h.n = s.n - 1) AS below, count(*) FILTER (WHERE h.n = s.n + 1) AS above FROM step s LEFT JOIN held h ON h.n BETWEEN s.n - 1 AND s.n + 1 GROUP BY s.n
  )
  SELECT t.*, cdp.binomial_tail(t.at, t.at + t.below, 0.5) AS p, count(*) FILTER (WHERE t.at + t.below >= 20) OVER () AS tests, (SELECT count(*) FROM step) AS steps INTO d FROM tested t ORDER BY t.at + t.below < 20, cdp.binomial_tail(t.at, t.at + t.below, 0.5), t.n LIMIT 1;
  RETURN QUERY SELECT 'R15', ARRAY[d.at, d.below, d.above], CASE WHEN d.tests > 0 THEN least(1, d.p * d.tests) END, NULL::double precision, d.at > d.below AND d.at > d.above,
    CASE WHEN d.n IS NULL THEN 'tiers or milestones of referrals' WHEN d.tests = 0 THEN 'at least 20 referrers at a step and one below it' END, 'low',
    format('%s referrers stop at %s referrals, where the reward steps up; %s have one fewer and %s one more.', d.at, d.n, d.below, d.above), 'Smooth the tiers: marginal ones, and steps that follow each other closely.', jsonb_build_object('step', d.n, 'at', d.at, 'below', d.below, 'above', d.above, 'tests', d.tests),
    (d.at - d.below)::numeric, 'referrers more at the step than below it';
  -- R19.
  RETURN QUERY SELECT 'R19', '{}'::bigint[], NULL::double precision, NULL::double precision, c.holdout_id IS NULL, NULL, 'low', CASE WHEN c.holdout_id IS NULL THEN 'The campaign has no holdout: nobody can tell what would have come without it.' ELSE 'The campaign has a holdout.' END,
    'Make a holdout with cdp.create_holdout() and give it to the campaign before it is told of.', jsonb_build_object('holdout_id', c.holdout_id), NULL::numeric, NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_rewards(integer, timestamptz, bytea, record, record) IS
'R08 (who waited longer for the first reward brought another one later: logrank), R11 (more than a tenth of refunds after the hold; exact binomial over purchases that were seen for long enough; when nine in ten come back by Kaplan and Meier), R12 (the budget ends before the campaign: exact Poisson test of the last 28 days, or of those since it began), R13 (more than a tenth of referrers at a cap; exact binomial), R15 (referrers stop at a step; exact binomial of those at it against those one below, Bonferroni over steps) and R19 (no holdout) of cdp.referral_recommend().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_leaks(campaign integer, as_of timestamptz, gate bytea)
RETURNS TABLE (referral_code_id bigint, clicks bigint, leaks bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH denied AS MATERIALIZED (
    SELECT l.value AS host FROM cdp_data.fraud_list l WHERE l.list = 'denied_host' AND (l.referral_campaign_id = campaign OR l.referral_campaign_id IS NULL) AND l.added_at <= as_of AND (l.expires_at > as_of OR l.expires_at IS NULL) AND (l.removed_at > as_of OR l.removed_at IS NULL)
    UNION SELECT b FROM cdp.coupon_site_builtin() b
  ), click AS MATERIALIZED (
    SELECT k.referral_code_id, k.paid, k.referrer_host AS host FROM cdp_internal.referral_clicks(campaign, as_of, gate) k
  ), leak AS (
    SELECT h.host FROM (SELECT DISTINCT c.host FROM click c WHERE c.host <> '' OFFSET 0) h WHERE EXISTS (SELECT FROM cdp_internal.fraud_suffixes(h.host) s JOIN denied d ON d.host = s)
  )
  SELECT c.referral_code_id, count(*), count(*) FILTER (WHERE c.paid OR l.host IS NOT NULL) FROM click c LEFT JOIN leak l ON l.host = c.host GROUP BY c.referral_code_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_leaks(integer, timestamptz, bytea) IS
'Clicks on each code of a campaign, and how many of them came from paid advertisements or from sites where codes of strangers are collected (cdp.coupon_site_builtin(), and the list denied_host as it was at as_of).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_fraud(campaign integer, as_of timestamptz, gate bytea)
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  d record;
  judged jsonb;
  reasons jsonb;
  worst record;
  base double precision;
BEGIN
  -- Reviews of this campaign: what scores they stood on, and what people found; all of them are judged, those of enough people are listed.
  SELECT coalesce(jsonb_agg(x.o ORDER BY x.rate, x.code), '[]'), coalesce(jsonb_agg(x.o ORDER BY x.rate, x.code) FILTER (WHERE x.told), '[]') INTO judged, reasons
  FROM (SELECT jsonb_build_object('reason', y.code, 'reviewed', y.n, 'fraud', y.k, 'precision', round(y.k::numeric / y.n, 6)) AS o, y.k::numeric / y.n AS rate, y.code, NOT cdp_internal.few_people(y.k, y.n) AND NOT cdp_internal.few_people(y.n, NULL) AS told
  FROM (SELECT e.value ->> 'code' AS code, count(*) AS n, count(*) FILTER (WHERE x.is_fraud) AS k
    FROM (SELECT DISTINCT ON (v.referral_id) v.referral_id, coalesce(v.is_fraud, v.event = 'rejected') AS is_fraud, v.fraud_score_id FROM cdp_data.referral_review v JOIN cdp_data.referral r ON r.referral_id = v.referral_id AND r.referral_campaign_id = campaign AND NOT r.is_test
        WHERE v.at <= as_of AND v.event IN ('approved', 'rejected') AND v.reason IS DISTINCT FROM 'timeout' ORDER BY v.referral_id, v.referral_review_id DESC) x
      JOIN cdp_data.fraud_score s ON s.fraud_score_id = x.fraud_score_id CROSS JOIN LATERAL jsonb_array_elements(s.reasons) e GROUP BY 1) y) x;
  WITH event AS (
    SELECT v.referral_id, v.event, v.at, v.deadline, v.referral_review_id AS id FROM cdp_data.referral_review v JOIN cdp_data.referral r ON r.referral_id = v.referral_id AND r.referral_campaign_id = campaign AND NOT r.is_test WHERE v.at <= as_of
  ), opened AS (
    SELECT DISTINCT ON (e.referral_id) e.referral_id, e.at, e.deadline FROM event e WHERE e.event = 'opened' ORDER BY e.referral_id, e.id
  ), ended AS (
    SELECT DISTINCT ON (e.referral_id) e.referral_id, e.at FROM event e WHERE e.event IN ('approved', 'rejected', 'withdrawn') ORDER BY e.referral_id, e.id
  )
  SELECT count(*) FILTER (WHERE e.at IS NOT NULL OR o.deadline < as_of) AS n, count(*) FILTER (WHERE coalesce(e.at, as_of) > o.deadline) AS k, count(*) FILTER (WHERE e.at IS NULL) AS open INTO d FROM opened o LEFT JOIN ended e ON e.referral_id = o.referral_id AND e.at >= o.at;
  RETURN QUERY SELECT 'R09', ARRAY[d.n, d.k, d.n - d.k, d.open], CASE WHEN d.n >= 20 THEN cdp.binomial_tail(d.k, d.n, 0.1) END, NULL::double precision, d.k > 0.1 * d.n, CASE WHEN d.n < 20 THEN format('20 reviews that were decided or are overdue (there are %s)', d.n) END, 'high',
    format('%s of %s reviews (%s %%) were not decided in time; %s wait.', d.k, d.n, round(100.0 * d.k / nullif(d.n, 0), 1), d.open), 'Raise the threshold of review, or the weights'' precision: see the reasons whose reviews found no fraud.',
    jsonb_build_object('late', d.k, 'reviews', d.n, 'open', d.open, 'reasons', reasons), d.open::numeric, 'reviews that wait';
  SELECT x.*, cdp.binomial_tail(x.fraud, x.reviewed, 0.3, false) AS p, count(*) OVER () AS tests INTO worst FROM jsonb_to_recordset(judged) AS x (reason text, reviewed bigint, fraud bigint) WHERE x.reviewed >= 10 ORDER BY cdp.binomial_tail(x.fraud, x.reviewed, 0.3, false), x.reason LIMIT 1;
  RETURN QUERY SELECT 'R10', ARRAY[worst.reviewed, worst.fraud, worst.reviewed - worst.fraud], least(1, worst.p * worst.tests), NULL::double precision, worst.fraud < 0.3 * worst.reviewed, CASE WHEN worst.reason IS NULL THEN 'a reason with at least 10 reviews that people decided' END, 'medium',
    format('Reason %s was right in %s of %s reviews (%s %%).', worst.reason, worst.fraud, worst.reviewed, round(100.0 * worst.fraud / nullif(worst.reviewed, 0), 1)), format('Lower its weight: cdp.set_fraud_weight(%L, ...).', worst.reason),
    jsonb_build_object('reason', worst.reason, 'reviewed', worst.reviewed, 'fraud', worst.fraud, 'tests', worst.tests, 'reasons', reasons), (worst.reviewed - worst.fraud)::numeric, 'reviews fewer that found nothing';
  -- A code is leaky against all others together, and against one click in fifty.
  WITH code AS MATERIALIZED (
    SELECT l.* FROM cdp_internal.referral_leaks(campaign, as_of, gate) l
  ), total AS (
    SELECT sum(x.clicks) AS clicks, sum(x.leaks) AS leaks FROM code x
  ), tested AS (
    SELECT x.*, greatest(0.02, (t.leaks - x.leaks) / greatest(1, t.clicks - x.clicks))::double precision AS base, count(*) OVER () AS tests FROM code x CROSS JOIN total t WHERE x.clicks >= 20
  )
  SELECT x.*, cdp.binomial_tail(x.leaks, x.clicks, x.base) AS p INTO worst FROM tested x ORDER BY cdp.binomial_tail(x.leaks, x.clicks, x.base), x.referral_code_id LIMIT 1;
  -- A code is one advocate.
  RETURN QUERY SELECT 'R14', CASE WHEN worst.referral_code_id IS NOT NULL THEN ARRAY[1::bigint] ELSE '{}' END, least(1, worst.p * worst.tests), NULL::double precision, worst.leaks >= 0.2 * worst.clicks, CASE WHEN worst.referral_code_id IS NULL THEN 'a code with at least 20 clicks' END, 'high',
    format('%s of %s clicks (%s %%) on the code with referral_code_id %s came from advertisements or sites that collect codes.', worst.leaks, worst.clicks, round(100.0 * worst.leaks / nullif(worst.clicks, 0), 1), worst.referral_code_id), 'Give its advocate another code: cdp.rotate_referral_code().',
    jsonb_build_object('referral_code_id', worst.referral_code_id, 'clicks', worst.clicks, 'leaks', worst.leaks, 'base_share', round(worst.base::numeric, 6), 'tests', worst.tests), worst.leaks::numeric, 'clicks that were no recommendation';
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_fraud(integer, timestamptz, bytea) IS
'R09 (more than a tenth of reviews decided late; exact binomial; with the share of fraud found for each reason), R10 (a reason that was right in fewer than 30 % of reviews; exact binomial, Bonferroni over reasons) and R14 (a code whose clicks leak; exact binomial against all other codes, Bonferroni over codes) of cdp.referral_recommend().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_recommend_rows(campaign text, as_of timestamptz, margin double precision, target_cpa numeric, within interval, segments text[], discovery double precision)
RETURNS TABLE (rule_id text, status text, severity text, insight text, action text, evidence jsonb, expected_impact numeric, impact_unit text, confidence double precision, p_value double precision, q_value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.referral_campaign_of(campaign);
  at timestamptz := coalesce(as_of, now());
  gate bytea;
  book record;
  rewards record;
  census record;
  counts jsonb;
  age interval;
  own text[] := coalesce(segments, ARRAY(SELECT s.name FROM cdp_data.segment s WHERE s.state = 'active' ORDER BY s.name LIMIT 20));
BEGIN
  IF NOT isfinite(at) THEN
    RAISE EXCEPTION 'as_of is a moment' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', at);
  ELSIF margin IS NOT NULL AND NOT (margin >= 0 AND margin <= 1) THEN
    RAISE EXCEPTION 'a margin is a part of revenue, from 0 to 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', margin), HINT = 'Such as 0.3.';
  ELSIF target_cpa IS NOT NULL AND NOT (target_cpa > 0 AND target_cpa < 1e15) THEN
    RAISE EXCEPTION 'target_cpa must be above 0' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', target_cpa);
  ELSIF NOT coalesce(within > '0'::interval AND within <= '10 years'::interval, false) THEN
    RAISE EXCEPTION 'within must be a span above 0, at most 10 years' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(within::text, 'NULL')), HINT = 'Such as 30 days.';
  ELSIF NOT coalesce(discovery > 0 AND discovery < 1, false) THEN
    RAISE EXCEPTION 'a false discovery rate must lie between 0 and 1' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(discovery::text, 'NULL')), HINT = 'Such as 0.1.';
  ELSIF array_position(segments, NULL) IS NOT NULL OR cardinality(segments) > 100 THEN
    RAISE EXCEPTION 'segments are at most 100 names' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('There are %s.', cardinality(segments));
  END IF;
  gate := cdp_internal.consent_gate('analytics', '');
  IF gate IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out, but of sums of money';
  END IF;
  -- Each table is read once, of other campaigns what one compares with: as they were, and were decided, at the same age.
  age := make_interval(secs => extract(epoch FROM at - (cdp_internal.referral_window(id, at)).since)::double precision);
  book := cdp_internal.referral_book(id, at, gate);
  rewards := cdp_internal.referral_reward_book(id, at);
  census := cdp_internal.referral_census(id, at, gate, within, book, cdp_internal.referral_paid(id, at));
  -- What was decided after as_of is not compared with what others had decided by the same age.
  IF at < now() AND EXISTS (SELECT FROM cdp_data.referral r WHERE r.referral_campaign_id = id AND r.attributed_at <= at AND r.decided_at > at) THEN
    counts := jsonb_build_array((SELECT to_jsonb(n) || jsonb_build_object('id', id) FROM cdp_internal.referral_counts(id, at, gate, true) n));
  ELSE
    counts := jsonb_build_array(jsonb_build_object('id', id, 'enrolled', census.enrolled, 'enrolled_sharers', census.enrolled_sharers, 'sharers', census.sharers, 'clicked_sharers', census.clicked_sharers, 'visitors', census.visitors, 'visitors_signed', census.visitors_signed,
      'visitors_bought', census.visitors_bought, 'referees', census.referees, 'buyers', census.buyers, 'approved', census.approved, 'rejected', census.rejected, 'paid', census.paid));
  END IF;
  counts := counts || (SELECT coalesce(jsonb_agg(to_jsonb(n) || jsonb_build_object('id', p.id)), '[]') FROM cdp_internal.referral_peers(id) p CROSS JOIN LATERAL cdp_internal.referral_counts(p.id, least(at, (cdp_internal.referral_window(p.id, at)).since + age), gate, true) n);
  RETURN QUERY
  WITH rule AS MATERIALIZED (
    SELECT s.* FROM cdp_internal.referral_rule_steps(id, counts) s
    UNION ALL SELECT * FROM cdp_internal.referral_rule_channels(id, margin, target_cpa, book, rewards)
    UNION ALL SELECT * FROM cdp_internal.referral_rule_people(id, at, counts, census)
    UNION ALL SELECT * FROM cdp_internal.referral_rule_segments(census, own)
    UNION ALL SELECT * FROM cdp_internal.referral_rule_best(id, at, gate, book, census)
    UNION ALL SELECT * FROM cdp_internal.referral_rule_rewards(id, at, gate, book, rewards)
    UNION ALL SELECT * FROM cdp_internal.referral_rule_fraud(id, at, gate)
  ), shown AS MATERIALIZED (
    SELECT r.*, CASE WHEN r.missing IS NOT NULL THEN r.missing WHEN EXISTS (SELECT FROM unnest(r.people) n WHERE cdp_internal.few_people(n, NULL)) THEN 'more people: these are fewer than the minimum audience' END AS lacks FROM rule r
  ), test AS (
    -- What was not tested is no chance to be wrong.
    SELECT array_agg(CASE WHEN s.lacks IS NULL THEN s.p END ORDER BY s.rule_id) AS p, array_agg(s.rule_id ORDER BY s.rule_id) AS ids FROM shown s
  ), judged AS (
    SELECT s.*, u.q, CASE WHEN s.lacks IS NOT NULL THEN 'insufficient data' WHEN s.holds AND (u.q <= discovery OR s.p IS NULL) THEN 'recommended' ELSE 'no evidence' END AS verdict
    FROM shown s JOIN (SELECT x.id, x.q FROM test t CROSS JOIN LATERAL unnest(t.ids, cdp.false_discovery(t.p)) AS x (id, q)) u ON u.id = s.rule_id
  )
  SELECT j.rule_id, j.verdict, CASE j.verdict WHEN 'recommended' THEN j.severity END, CASE j.verdict WHEN 'insufficient data' THEN 'insufficient data: what is missing is ' || j.lacks ELSE j.insight END, CASE j.verdict WHEN 'recommended' THEN j.action END,
    CASE WHEN j.verdict <> 'insufficient data' THEN j.evidence ELSE '{}' END, CASE j.verdict WHEN 'recommended' THEN j.impact END, CASE WHEN j.verdict = 'recommended' AND j.impact IS NOT NULL THEN j.impact_unit END,
    CASE j.verdict WHEN 'recommended' THEN CASE WHEN j.posterior IS NOT NULL THEN j.posterior WHEN j.p IS NOT NULL THEN 1 - j.q ELSE 1 END END, CASE WHEN j.lacks IS NULL THEN j.p END, CASE WHEN j.lacks IS NULL THEN j.q END
  FROM judged j ORDER BY array_position('{recommended,no evidence,insufficient data}'::text[], j.verdict), array_position('{high,medium,low}'::text[], CASE j.verdict WHEN 'recommended' THEN j.severity END), j.rule_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_recommend_rows(text, timestamptz, double precision, numeric, interval, text[], double precision) IS
'What cdp.referral_recommend() shows.';

CREATE OR REPLACE FUNCTION cdp.referral_recommend(campaign text, as_of timestamptz DEFAULT NULL, margin double precision DEFAULT NULL, target_cpa numeric DEFAULT NULL, within interval DEFAULT '30 days', segments text[] DEFAULT NULL, discovery double precision DEFAULT 0.1)
RETURNS TABLE (rule_id text, status text, severity text, insight text, action text, evidence jsonb, expected_impact numeric, impact_unit text, confidence double precision, p_value double precision, q_value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_data.referral_recommend(campaign, as_of, margin, target_cpa, within, segments, discovery);
END
$$;
COMMENT ON FUNCTION cdp.referral_recommend(text, timestamptz, double precision, numeric, interval, text[], double precision) IS
'What to do about a referral campaign, as known at as_of (NULL: now): a row for each of the rules R01 to R20. status: recommended (the rule fires), no evidence (it was tested and does not), insufficient data (insight says what is missing). severity high, medium or low, insight with its numbers, action, evidence as JSON, expected_impact in impact_unit when the action works as assumed there. p_value: of the rule''s test, already adjusted where the rule tried several steps, channels, reasons, codes, tiers or segments; q_value: its false discovery rate among all tests made (Benjamini and Hochberg 1995): a rule with a test fires only at discovery (10 %) or below, and when what it says is large enough. R17 and R18 need an exact posterior probability above 95 % besides, R19 stands on a fact. confidence: 1 - q_value, of R17 and R18 the posterior, of R19 1. margin: part of revenue (R05 needs it); target_cpa: what an approved referral may cost (R04; NULL: the average); within: span of cohorts; segments: which to compare (R16; NULL: the first 20 active ones by name). R01, R02, R03 and R07 take other campaigns as they were at the same age, by what had been decided by then. With cdp_data.setting.minimum_audience a rule about fewer people has insufficient data. Other things as cdp.referral_report(). Writes nothing. Errors: 42704 no such campaign or segment; 22023 arguments out of range; 42501 a role that is kept to some sources.';

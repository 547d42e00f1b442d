-- Referral room, recommendations, first part: rules about steps of the way, channels, people and texts. Each rule is one function
-- and gives one row: what it measured, its test, and what is missing when it cannot be made.

CREATE OR REPLACE FUNCTION cdp_internal.referral_peers(campaign integer) RETURNS TABLE (id integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT c.referral_campaign_id FROM cdp_data.referral_campaign c WHERE c.state <> 'draft' AND c.referral_campaign_id <> campaign
    ORDER BY coalesce(c.starts_at, c.created_at) DESC, c.referral_campaign_id DESC LIMIT 20;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_peers(integer) IS 'The campaigns with which one is compared: the 20 others that began last and are no drafts.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_steps(campaign integer, counts jsonb)
RETURNS TABLE (step text, o integer, hits bigint, tries bigint, median_hits bigint, median_tries bigint, campaigns bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH step AS MATERIALIZED (
    SELECT n.id, s.* FROM jsonb_to_recordset(counts) AS n (id integer, enrolled bigint, enrolled_sharers bigint, sharers bigint, clicked_sharers bigint, visitors bigint, visitors_signed bigint, referees bigint, buyers bigint, approved bigint, rejected bigint, paid bigint)
      CROSS JOIN LATERAL (VALUES ('share', 1, n.enrolled_sharers, n.enrolled), ('click', 2, n.clicked_sharers, n.sharers), ('sign-up', 3, n.visitors_signed, n.visitors), ('purchase', 4, n.buyers, n.referees), ('approval', 5, n.approved, n.approved + n.rejected), ('payment', 6, n.paid, n.approved)) AS s (step, o, hits, tries)
  )
  SELECT m.step, m.o, m.hits, m.tries, t.hits, t.tries, (SELECT count(*) FROM step x WHERE x.step = m.step AND x.id <> campaign AND x.tries >= 30)
  FROM step m LEFT JOIN LATERAL (
    -- The campaign in the middle, of two middle ones the lower.
    SELECT y.hits, y.tries FROM (SELECT x.*, row_number() OVER (ORDER BY x.hits::double precision / x.tries, x.id) AS k, count(*) OVER () AS n FROM step x WHERE x.step = m.step AND x.id <> campaign AND x.tries >= 30) y WHERE y.k = (y.n + 1) / 2) t ON true
  WHERE m.id = campaign ORDER BY m.o;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_steps(integer, jsonb) IS
'How many went on at each step of a campaign, and at that step in the campaign that stands in the middle of the others which at least 30 reached. counts: an array of objects, of each campaign its id with what cdp_internal.referral_counts() gives.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_steps(campaign integer, counts jsonb)
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  steps jsonb;
  worst record;
  m integer;
  s record;
  prior record;
BEGIN
  SELECT coalesce(jsonb_agg(jsonb_build_object('step', x.step, 'o', x.o, 'hits', x.hits, 'tries', x.tries, 'median_hits', x.median_hits, 'median_tries', x.median_tries, 'campaigns', x.campaigns, 'p', d.p_value, 'difference', d.difference) ORDER BY x.o), '[]') INTO steps
  FROM cdp_internal.referral_steps(campaign, counts) x LEFT JOIN LATERAL cdp.rate_difference(x.hits, x.tries, x.median_hits, x.median_tries) d ON x.tries >= 30;
  SELECT count(x.p) INTO m FROM jsonb_to_recordset(steps) AS x (p double precision);
  SELECT x.*, x.hits::double precision / x.tries AS rate, x.median_hits::double precision / x.median_tries AS median INTO worst
  FROM jsonb_to_recordset(steps) AS x (step text, o integer, hits bigint, tries bigint, median_hits bigint, median_tries bigint, campaigns bigint, p double precision, difference double precision)
  WHERE x.p IS NOT NULL AND x.median_hits > 0 ORDER BY x.hits::double precision / x.tries / (x.median_hits::double precision / x.median_tries), x.o LIMIT 1;
  RETURN QUERY SELECT 'R01', ARRAY[worst.hits, worst.tries - worst.hits, worst.median_hits, worst.median_tries - worst.median_hits], least(1, worst.p * m), NULL::double precision, worst.difference < 0,
    CASE WHEN worst.step IS NULL THEN 'a step with at least 30 people here and in another campaign' END, 'high',
    format('The step %s loses most: %s of %s went on (%s %%), against %s %% in the campaign in the middle of %s.', worst.step, worst.hits, worst.tries, round((100 * worst.rate)::numeric, 1), round((100 * worst.median)::numeric, 1), worst.campaigns),
    format('Look at the step %s first.', worst.step), jsonb_build_object('step', worst.step, 'hits', worst.hits, 'tries', worst.tries, 'rate', round(worst.rate::numeric, 6), 'median_hits', worst.median_hits, 'median_tries', worst.median_tries, 'median_rate', round(worst.median::numeric, 6), 'campaigns', worst.campaigns, 'tests', m),
    round(((worst.median - worst.rate) * worst.tries)::numeric, 1), format('people more at the step %s, at the rate of the campaign in the middle', worst.step);
  FOR s IN SELECT x.*, x.hits::double precision / nullif(x.tries, 0) AS rate, x.median_hits::double precision / nullif(x.median_tries, 0) AS median,
      CASE x.step WHEN 'click' THEN 'R02' ELSE 'R03' END AS rule FROM jsonb_to_recordset(steps) AS x (step text, o integer, hits bigint, tries bigint, median_hits bigint, median_tries bigint, campaigns bigint, p double precision, difference double precision) WHERE x.step IN ('click', 'sign-up') ORDER BY x.o LOOP
    SELECT x.hits, x.tries, x.hits::double precision / nullif(x.tries, 0) AS rate, x.median_hits::double precision / nullif(x.median_tries, 0) AS median INTO prior FROM jsonb_to_recordset(steps) AS x (o integer, hits bigint, tries bigint, median_hits bigint, median_tries bigint) WHERE x.o = s.o - 1;
    RETURN QUERY SELECT s.rule, ARRAY[s.hits, s.tries - s.hits, s.median_hits, s.median_tries - s.median_hits, prior.hits, prior.tries - prior.hits], s.p, NULL::double precision, s.difference < 0 AND prior.rate >= prior.median,
      CASE WHEN s.p IS NULL OR prior.rate IS NULL OR prior.median IS NULL THEN format('the steps before and at %s with at least 30 people here and in another campaign', s.step) END, 'medium',
      CASE s.rule WHEN 'R02' THEN format('Many share (%s %% of advocates; %s %% in the campaign in the middle) but few links are clicked: %s of %s sharers (%s %%), against %s %%.', round((100 * prior.rate)::numeric, 1), round((100 * prior.median)::numeric, 1), s.hits, s.tries, round((100 * s.rate)::numeric, 1), round((100 * s.median)::numeric, 1))
        ELSE format('Links are clicked (of %s %% of sharers; %s %% in the campaign in the middle) but few visitors sign up: %s of %s (%s %%), against %s %%.', round((100 * prior.rate)::numeric, 1), round((100 * prior.median)::numeric, 1), s.hits, s.tries, round((100 * s.rate)::numeric, 1), round((100 * s.median)::numeric, 1)) END,
      CASE s.rule WHEN 'R02' THEN 'Change the message that is shared and the preview of the link.' ELSE 'Look at the landing page and at who is eligible.' END,
      jsonb_build_object('hits', s.hits, 'tries', s.tries, 'rate', round(s.rate::numeric, 6), 'median_rate', round(s.median::numeric, 6), 'rate_before', round(prior.rate::numeric, 6), 'median_rate_before', round(prior.median::numeric, 6), 'campaigns', s.campaigns),
      round(((s.median - s.rate) * s.tries)::numeric, 1), CASE s.rule WHEN 'R02' THEN 'sharers more whose link is clicked' ELSE 'visitors more who sign up' END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_steps(integer, jsonb) IS
'R01 (the step that falls shortest of the campaign in the middle; two-proportion z test, Bonferroni over steps), R02 (shared much, clicked little) and R03 (clicked much, signed up little) of cdp.referral_recommend().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_channels(campaign integer, margin double precision, target_cpa numeric, book record, rewards record)
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  channels jsonb;
  good record;
  bad record;
  m integer;
  money text;
BEGIN
  SELECT r.currency INTO money FROM cdp_data.referral_campaign r WHERE r.referral_campaign_id = campaign;
  -- Approved referrals of each channel, what each cost and what it is worth.
  SELECT coalesce(jsonb_agg(to_jsonb(y) ORDER BY y.channel), '[]') INTO channels FROM (
    SELECT x.channel, count(*) AS n, sum(x.cost) AS cost, avg(x.cost) AS cpa, sum(count(*)) OVER () AS all_n, sum(sum(x.cost)) OVER () AS all_cost, avg(x.worth - x.cost) AS mean, var_samp(x.worth - x.cost) AS variance, avg(x.worth) AS worth
    FROM (SELECT b.channel, coalesce(w.kept, 0) / u.unit AS cost, margin::numeric * (b.revenue - b.refunded) / u.unit AS worth
      FROM unnest(book.ids, book.states, book.channels, book.revenues, book.refunds, book.ours) AS b (referral_id, state, channel, revenue, refunded, ours)
        LEFT JOIN (SELECT y.referral_id, sum(y.amount - y.clawed - y.expired) AS kept FROM unnest(rewards.referrals, rewards.amounts, rewards.clawed, rewards.expired, rewards.states) AS y (referral_id, amount, clawed, expired, state) WHERE y.state <> 'reserved' GROUP BY y.referral_id) w ON w.referral_id = b.referral_id
        CROSS JOIN (SELECT power(10, cdp_internal.referral_exponent(money))::numeric AS unit) u WHERE b.ours AND b.state = 'approved' AND b.channel <> '') x GROUP BY x.channel) y;
  SELECT count(*) FILTER (WHERE x.n >= 20) INTO m FROM jsonb_to_recordset(channels) AS x (n bigint);
  SELECT x.*, cdp.binomial_tail(x.n, x.all_n::bigint, (x.cost / x.all_cost)::double precision) AS p INTO good
  FROM jsonb_to_recordset(channels) AS x (channel text, n bigint, cost numeric, cpa numeric, all_n numeric, all_cost numeric) WHERE x.n >= 20 AND x.all_n > x.n AND x.all_cost > 0
  ORDER BY cdp.binomial_tail(x.n, x.all_n::bigint, (x.cost / x.all_cost)::double precision), x.channel LIMIT 1;
  RETURN QUERY SELECT 'R04', ARRAY[good.n, good.all_n::bigint - good.n], least(1, good.p * m), NULL::double precision, good.cpa < coalesce(target_cpa, good.all_cost / good.all_n), CASE WHEN good.channel IS NULL THEN 'two channels with approved referrals, one of them with at least 20' END, 'medium',
    format('Channel %s brings %s of %s approved referrals (%s %%) for %s %% of the rewards; one costs %s %s there, %s %s elsewhere.', good.channel, good.n, good.all_n, round(100.0 * good.n / good.all_n, 1), round(100 * good.cost / good.all_cost, 1), round(good.cpa, 2), money,
      round((good.all_cost - good.cost) / nullif(good.all_n - good.n, 0), 2), money),
    format('Spend more of the budget on channel %s.', good.channel), jsonb_build_object('channel', good.channel, 'referrals', good.n, 'all_referrals', good.all_n, 'cost', round(good.cost, 6), 'all_cost', round(good.all_cost, 6), 'cpa', round(good.cpa, 6), 'target_cpa', target_cpa, 'tests', m,
      'cpa_is', 'rewards per approved referral; not incremental, as no channel has a control of its own'),
    round(((good.all_cost - good.cost) / nullif(good.all_n - good.n, 0) - good.cpa) * (good.all_n - good.n), 2), money || ' saved, did the others cost as much';
  -- Where each loses the same there is no spread to divide by: then by the sign alone.
  SELECT x.*, x.mean / nullif(sqrt(x.variance / x.n), 0) AS t, CASE WHEN x.variance > 0 THEN cdp.student_cdf((x.mean / nullif(sqrt(x.variance / x.n), 0))::double precision, x.n - 1) WHEN x.mean < 0 THEN 0.5::double precision ^ least(x.n, 1000) ELSE 1 END AS p INTO bad
  FROM jsonb_to_recordset(channels) AS x (channel text, n bigint, cost numeric, cpa numeric, mean numeric, variance numeric, worth numeric) WHERE x.n >= 20 AND x.mean IS NOT NULL
  ORDER BY CASE WHEN x.variance > 0 THEN x.mean / sqrt(x.variance / x.n) ELSE sign(x.mean) * 'Infinity'::numeric END, x.channel LIMIT 1;
  RETURN QUERY SELECT 'R05', ARRAY[bad.n], least(1, bad.p * m), NULL::double precision, bad.mean < 0, CASE WHEN margin IS NULL THEN 'the part of revenue that is margin (margin => 0.3)' WHEN bad.channel IS NULL THEN 'a channel with at least 20 approved referrals' END, 'high',
    format('Each approved referral of channel %s costs %s %s and has brought a margin of %s %s so far.', bad.channel, round(bad.cpa, 2), money, round(bad.worth, 2), money), format('Pause rewards on channel %s.', bad.channel),
    jsonb_build_object('channel', bad.channel, 'referrals', bad.n, 'cpa', round(bad.cpa, 6), 'margin_each', round(bad.worth, 6), 'difference', round(bad.mean, 6), 't', round(bad.t, 6), 'tests', m), round(-bad.mean * bad.n, 2), money || ' lost so far';
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_channels(integer, double precision, numeric, record, record) IS
'R04 (a channel whose share of referrals is above its share of cost, and cheaper than target_cpa or the average; exact binomial test) and R05 (a channel that costs more than its margin; one-sided t test over referrals, a sign test where all are alike), both Bonferroni over channels, of cdp.referral_recommend().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_people(campaign integer, as_of timestamptz, counts jsonb, census record)
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  d record;
  t record;
  cycle double precision;
BEGIN
  -- Over everybody enrolled, sharers or not, by how many they brought.
  WITH x AS (
    SELECT b AS k, row_number() OVER (ORDER BY b) AS i FROM unnest(census.brought_each) b
  ), a AS (
    SELECT count(*) AS n, sum(x.k) AS total, var_samp(x.k) AS variance, avg(x.k) AS mean, 2 * sum(x.i * x.k) AS weighted FROM x
  )
  SELECT a.n, a.total, ceil(0.05 * a.n)::bigint AS top_n, (SELECT sum(x.k) FROM x WHERE x.i > a.n - ceil(0.05 * a.n)) AS top, a.weighted / nullif(a.n * a.total, 0) - (a.n + 1.0) / nullif(a.n, 0) AS gini, (a.n - 1) * a.variance / nullif(a.mean, 0) AS chi INTO d FROM a;
  RETURN QUERY SELECT 'R06', ARRAY[d.n, d.top_n, d.top::bigint, (d.total - d.top)::bigint], CASE WHEN d.n >= 40 AND d.total >= 20 THEN cdp.chi_square_cdf(d.chi::double precision, d.n - 1, true) END, NULL::double precision, d.top > 0.5 * d.total AND d.gini > 0.8,
    CASE WHEN d.n < 40 OR coalesce(d.total, 0) < 20 THEN format('40 enrolled advocates and 20 people brought (there are %s and %s)', d.n, coalesce(d.total, 0)) END, 'medium',
    format('The top 5 %% of advocates (%s of %s) brought %s of %s people (%s %%); Gini %s.', d.top_n, d.n, d.top, d.total, round(100 * d.top / nullif(d.total, 0), 1), round(d.gini, 3)), 'Give them a tier of their own: ambassadors.',
    jsonb_build_object('advocates', d.n, 'top_advocates', d.top_n, 'brought', d.total, 'brought_by_top', d.top, 'gini', round(d.gini, 6), 'chi_square', round(d.chi, 6)), round(0.1 * d.top, 1), 'people more, if they brought a tenth more';
  -- Two-sided or not, against all campaigns that reward both sides.
  WITH side AS (
    SELECT c.referral_campaign_id AS id, bool_or(u.side = 'referee') AS both_sides FROM cdp_data.referral_campaign c JOIN cdp_data.reward_rule u ON u.referral_campaign_id = c.referral_campaign_id
    WHERE u.terms_version = cdp_internal.referral_terms_at(c.referral_campaign_id, as_of) AND (c.referral_campaign_id = campaign OR c.referral_campaign_id IN (SELECT p.id FROM cdp_internal.referral_peers(campaign) p)) GROUP BY 1
  )
  SELECT (SELECT s.both_sides FROM side s WHERE s.id = campaign) AS both_sides, n.visitors_bought AS k, n.visitors AS n, x.k AS other_k, x.n AS other_n, r.difference, r.p_value, x.campaigns INTO t
  FROM jsonb_to_recordset(counts) AS n (id integer, visitors bigint, visitors_bought bigint)
    CROSS JOIN (SELECT coalesce(sum(y.visitors_bought), 0)::bigint AS k, coalesce(sum(y.visitors), 0)::bigint AS n, count(*) AS campaigns FROM side s JOIN jsonb_to_recordset(counts) AS y (id integer, visitors bigint, visitors_bought bigint) ON y.id = s.id WHERE s.id <> campaign AND s.both_sides) x
    CROSS JOIN LATERAL cdp.rate_difference(n.visitors_bought, n.visitors, x.k, x.n) r WHERE n.id = campaign;
  RETURN QUERY SELECT 'R07', ARRAY[t.k, t.n - t.k, t.other_k, t.other_n - t.other_k], CASE WHEN NOT t.both_sides AND least(t.n, t.other_n) >= 30 THEN t.p_value END, NULL::double precision, NOT t.both_sides AND t.difference < 0,
    CASE WHEN t.both_sides THEN NULL WHEN t.both_sides IS NULL THEN 'rules of reward' WHEN least(t.n, t.other_n) < 30 THEN 'at least 30 visitors here and in campaigns that reward both sides' END, 'low',
    CASE WHEN t.both_sides THEN 'Both sides are rewarded already.' ELSE format('Only who refers is rewarded, and %s of %s visitors buy (%s %%), against %s %% in campaigns that reward both sides.', t.k, t.n, round(100.0 * t.k / nullif(t.n, 0), 1), round(100.0 * t.other_k / nullif(t.other_n, 0), 1)) END,
    'Test a reward for who is referred, too.', jsonb_build_object('bought', t.k, 'visitors', t.n, 'two_sided_bought', t.other_k, 'two_sided_visitors', t.other_n, 'two_sided_campaigns', t.campaigns), round(-t.difference::numeric * t.n, 1), 'buyers more, at their rate';
  -- Codes that lie about.
  cycle := (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY y) FROM unnest(census.cycles) y);
  RETURN QUERY SELECT 'R20', ARRAY[census.week_idle, census.week_enrolled - census.week_idle], CASE WHEN census.week_enrolled >= 30 THEN cdp.binomial_tail(census.week_idle, census.week_enrolled, 0.6) END, NULL::double precision, census.week_idle > 0.6 * census.week_enrolled, CASE WHEN census.week_enrolled < 30 THEN format('30 advocates who have had a code for a week (there are %s)', census.week_enrolled) END, 'low',
    format('%s of %s advocates (%s %%) have had a code for a week and not used it.', census.week_idle, census.week_enrolled, round(100.0 * census.week_idle / nullif(census.week_enrolled, 0), 1)), CASE WHEN cycle IS NULL THEN 'Remind them of it.' ELSE format('Remind them of it %s days after they got it, the median cycle time.', round(cycle::numeric, 1)) END,
    jsonb_build_object('dormant', census.week_idle, 'advocates', census.week_enrolled, 'cycle_days', round(cycle::numeric, 6)), round(census.week_idle * (1 - census.week_idle::numeric / nullif(census.week_enrolled, 0)), 1), 'advocates more who share, if those who are reminded share as the others did';
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_people(integer, timestamptz, jsonb, record) IS
'R06 (few bring most: more than half by the top 5 %, Gini above 0.8; index of dispersion against chance), R07 (one-sided rewards and few buyers, against campaigns that reward both sides) and R20 (more than 60 % of codes unused after a week; exact binomial test) of cdp.referral_recommend().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_segments(census record, segments text[])
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  found record;
  m integer;
BEGIN
  WITH member AS MATERIALIZED (
    SELECT c.root, c.conversions::bigint AS conversions FROM unnest(census.roots, census.whole, census.gained) AS c (root, whole, conversions) WHERE c.whole
  ), total AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE x.conversions > 0) AS k, sum(x.conversions) AS conversions FROM member x
  ), part AS (
    SELECT s.name, count(*) AS n, count(*) FILTER (WHERE x.conversions > 0) AS k, sum(x.conversions) AS conversions
    FROM unnest(segments) AS s (name) CROSS JOIN LATERAL cdp.segment_members(s.name) i JOIN member x ON x.root = i GROUP BY s.name
  ), tested AS (
    SELECT p.name, p.n, p.k, p.conversions::numeric / p.n AS own, (t.n - p.n) AS other_n, (t.k - p.k) AS other_k, (t.conversions - p.conversions)::numeric / nullif(t.n - p.n, 0) AS other, d.difference, d.p_value, count(*) OVER () AS tests
    FROM part p CROSS JOIN total t CROSS JOIN LATERAL cdp.rate_difference(p.k, p.n, t.k - p.k, t.n - p.n) d WHERE p.n >= 30 AND t.n - p.n >= 30
  )
  SELECT t.* INTO found FROM tested t ORDER BY t.p_value, t.name LIMIT 1;
  RETURN QUERY SELECT 'R16', ARRAY[found.n, found.other_n, found.k, found.n - found.k, found.other_k, found.other_n - found.other_k], least(1, found.p_value * found.tests), NULL::double precision, found.difference IS NOT NULL,
    CASE WHEN segments = '{}' THEN 'segments to compare (segments => ''{...}'')' WHEN found.name IS NULL THEN 'a segment with at least 30 customers of the cohort within and 30 without' END, 'medium',
    format('Of segment %s %s of %s bring somebody (K %s), of the others %s of %s (K %s).', found.name, found.k, found.n, round(found.own, 3), found.other_k, found.other_n, round(found.other, 3)),
    CASE WHEN found.difference > 0 THEN format('Ask segment %s first.', found.name) ELSE format('Ask who is not in segment %s first.', found.name) END,
    jsonb_build_object('segment', found.name, 'members', found.n, 'members_who_brought', found.k, 'k', round(found.own, 6), 'others', found.other_n, 'others_who_brought', found.other_k, 'other_k', round(found.other, 6), 'tests', found.tests),
    round(abs(found.own - found.other) * least(found.n, found.other_n), 1), 'people more, did both bring as many';
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_segments(record, text[]) IS
'R16 of cdp.referral_recommend(): a segment whose customers of the cohort bring somebody more, or less, often than the others (two-proportion z test, Bonferroni over segments).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rule_best(campaign integer, as_of timestamptz, gate bytea, book record, census record)
RETURNS TABLE (rule_id text, people bigint[], p double precision, posterior double precision, holds boolean, missing text, severity text, insight text, action text, evidence jsonb, impact numeric, impact_unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  zone text;
  goal text;
  arms record;
  best record;
  v record;
  tests integer;
BEGIN
  SELECT c.timezone, c.goal_metric INTO zone, goal FROM cdp_data.referral_campaign c WHERE c.referral_campaign_id = campaign;
  SELECT NULL::text AS grain, NULL::integer AS part, NULL::bigint AS n, NULL::bigint AS k, NULL::double precision AS posterior, 0::numeric AS visitors, 0::numeric AS hits INTO best;
  tests := 0;
  FOR arms IN
    WITH visit AS (
      SELECT k.visitor, (array_agg(k.clicked_at ORDER BY k.clicked_at, k.referral_click_id))[1] AT TIME ZONE zone AS at, bool_or(b.click IS NOT NULL) AS hit
      FROM cdp_internal.referral_clicks(campaign, as_of, gate) k LEFT JOIN (SELECT x.click FROM unnest(book.clicks, book.ours) AS x (click, ours) WHERE x.ours AND x.click IS NOT NULL) b ON b.click = k.referral_click_id GROUP BY k.visitor
    ), part AS (
      SELECT g.o, g.grain, g.part, count(*) AS n, count(*) FILTER (WHERE y.hit) AS k FROM visit y CROSS JOIN LATERAL (VALUES (1, 'weekday', extract(isodow FROM y.at)::integer), (2, 'hour', extract(hour FROM y.at)::integer)) AS g (o, grain, part) GROUP BY 1, 2, 3
    )
    SELECT x.grain, array_agg(x.part ORDER BY x.part) AS parts, array_agg(x.n ORDER BY x.part) AS n, array_agg(x.k ORDER BY x.part) AS k, sum(x.n) AS visitors, sum(x.k) AS hits,
      cdp_internal.offer_propensity(array_agg(1 + x.k::double precision ORDER BY x.part), array_agg(1 + (x.n - x.k)::double precision ORDER BY x.part), array_agg(1::double precision ORDER BY x.part)) AS posterior
    FROM part x GROUP BY x.o, x.grain ORDER BY x.o
  LOOP
    IF cardinality(arms.parts) > 1 THEN
      tests := tests + cardinality(arms.parts);
      SELECT arms.grain, arms.parts[i] AS part, arms.n[i] AS n, arms.k[i] AS k, arms.posterior[i] AS posterior, arms.visitors, arms.hits INTO v FROM generate_subscripts(arms.parts, 1) i ORDER BY arms.posterior[i] DESC, i LIMIT 1;
      IF best.grain IS NULL OR v.posterior > best.posterior THEN
        best := v;
      END IF;
    END IF;
  END LOOP;
  RETURN QUERY SELECT 'R17', ARRAY[best.n, best.k, best.n - best.k, (best.hits - best.k)::bigint, (best.visitors - best.n - best.hits + best.k)::bigint], CASE WHEN best.visitors >= 100 AND best.hits >= 10 THEN least(1, tests * (SELECT d.p_value FROM cdp.rate_difference(best.k, best.n, (best.hits - best.k)::bigint, (best.visitors - best.n)::bigint) d)) END, CASE WHEN best.visitors >= 100 AND best.hits >= 10 THEN best.posterior END, best.posterior > 0.95,
    CASE WHEN best.grain IS NULL OR best.visitors < 100 OR best.hits < 10 THEN format('100 visitors on two or more weekdays or hours, 10 of whom signed up (there are %s and %s)', best.visitors, best.hits) END, 'low',
    format('Visitors who come %s sign up most: %s of %s (%s %%), against %s of %s at other times; probability %s that it is the best.', CASE best.grain WHEN 'weekday' THEN 'on ' || (ARRAY['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'])[best.part] || 's' ELSE format('between %s:00 and %s:00', lpad(best.part::text, 2, '0'), lpad((best.part + 1)::text, 2, '0')) END,
      best.k, best.n, round(100.0 * best.k / nullif(best.n, 0), 1), best.hits - best.k, best.visitors - best.n, round(best.posterior::numeric, 3)),
    'Send messages so that links are opened then.', jsonb_build_object('grain', best.grain, 'part', best.part, 'visitors', best.n, 'signed_up', best.k, 'all_visitors', best.visitors, 'all_signed_up', best.hits, 'posterior', round(best.posterior::numeric, 6), 'timezone', zone, 'tests', tests),
    round((best.k::numeric / nullif(best.n, 0) - (best.hits - best.k) / nullif(best.visitors - best.n, 0)) * (best.visitors - best.n), 1), 'sign-ups more, did all come then';
  -- Variants of the message, on one channel in one language: who was told and shared, or brought somebody, by the goal of the campaign.
  WITH arm AS (
    SELECT m.channel, m.language, m.variant, m.n, CASE goal WHEN 'participants' THEN m.shared ELSE m.brought END AS k
    FROM jsonb_to_recordset(census.arms) AS m (channel text, language text, variant text, n bigint, shared bigint, brought bigint)
  ), stratum AS (
    SELECT a.channel, a.language, array_agg(a.variant ORDER BY a.variant) AS parts, array_agg(a.n ORDER BY a.variant) AS n, array_agg(a.k ORDER BY a.variant) AS k, min(a.n) AS least_n, sum(a.n)::bigint AS all_n, sum(a.k)::bigint AS all_k,
      array_agg(1 + a.k::double precision ORDER BY a.variant) AS alphas, array_agg(1 + (a.n - a.k)::double precision ORDER BY a.variant) AS betas, array_agg(1::double precision ORDER BY a.variant) AS ones,
      array_agg(coalesce((SELECT max(t.weight) FROM cdp_data.referral_material t WHERE t.referral_campaign_id = campaign AND t.channel = a.channel AND t.language = a.language AND t.variant = a.variant), 1)::double precision ORDER BY a.variant) AS weights
    FROM arm a GROUP BY a.channel, a.language HAVING count(*) > 1
  ), judged AS (
    SELECT s.*, cdp_internal.offer_propensity(s.alphas, s.betas, s.ones) AS posterior, (cdp.sample_ratio_check(s.n, s.weights)).suspect IS TRUE AS suspect FROM stratum s
  ), leader AS (
    SELECT j.*, l.i AS best, cardinality(j.n) AS arms, CASE WHEN j.least_n >= 30 AND NOT j.suspect THEN
        least(1, CASE WHEN cardinality(j.n) > 2 THEN cardinality(j.n) ELSE 1 END * (SELECT d.p_value FROM cdp.rate_difference(j.k[l.i], j.n[l.i], j.all_k - j.k[l.i], j.all_n - j.n[l.i]) d)) END AS p
    FROM judged j CROSS JOIN LATERAL (SELECT g.i FROM generate_subscripts(j.posterior, 1) AS g (i) ORDER BY j.posterior[g.i] DESC, g.i LIMIT 1) l
  )
  SELECT x.*, count(x.p) OVER () AS tests INTO arms FROM leader x ORDER BY x.p, x.suspect, x.least_n DESC, x.channel, x.language LIMIT 1;
  RETURN QUERY SELECT 'R18', arms.n || arms.k || ARRAY(SELECT u.n - u.k FROM unnest(arms.n, arms.k) AS u (n, k)), least(1, arms.p * arms.tests), CASE WHEN arms.p IS NOT NULL THEN arms.posterior[arms.best] END, arms.posterior[arms.best] > 0.95,
    CASE WHEN arms.parts IS NULL THEN 'two variants that were sent on one channel in one language' WHEN arms.least_n < 30 THEN 'at least 30 people told by each variant' WHEN arms.suspect THEN 'a split as planned: the variants went to other numbers of people than their weights say' END, 'medium',
    format('Variant %s is the best on channel %s%s with probability %s: %s of %s (%s %%) %s.', arms.parts[arms.best], arms.channel, CASE WHEN arms.language <> '' THEN format(' in language %s', arms.language) END, round(arms.posterior[arms.best]::numeric, 4), arms.k[arms.best], arms.n[arms.best],
      round(100.0 * arms.k[arms.best] / nullif(arms.n[arms.best], 0), 1), CASE goal WHEN 'participants' THEN 'shared' ELSE 'brought somebody' END), format('Send variant %s to all on channel %s%s.', arms.parts[arms.best], arms.channel, CASE WHEN arms.language <> '' THEN format(' in language %s', arms.language) END),
    jsonb_build_object('channel', arms.channel, 'language', arms.language, 'variants', arms.parts, 'told', arms.n, 'hits', arms.k, 'posteriors', (SELECT jsonb_agg(round(x::numeric, 6)) FROM unnest(arms.posterior) x), 'hit', CASE goal WHEN 'participants' THEN 'shared' ELSE 'brought' END, 'prior', 'Beta(1, 1)', 'tests', arms.tests),
    round((arms.k[arms.best]::numeric / nullif(arms.n[arms.best], 0)) * arms.all_n - arms.all_k, 1), CASE goal WHEN 'participants' THEN 'advocates more who share, had all got it' ELSE 'advocates more who bring somebody, had all got it' END;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rule_best(integer, timestamptz, bytea, record, record) IS
'R17 (the best weekday or hour) and R18 (the best variant of the message) of cdp.referral_recommend(): the exact probability to be the best under beta posteriors from a uniform prior (cdp_internal.offer_propensity()), above 0.95, and the two-proportion z test of the best against the rest, Bonferroni over hours, weekdays and variants; variants are compared on one channel in one language, where the split is as planned.';

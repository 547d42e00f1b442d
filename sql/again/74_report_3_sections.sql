-- Referral room, report: its sections about people: how far they came, rates with their denominators, growth, tracking.

CREATE OR REPLACE FUNCTION cdp_internal.referral_count_row(its_section text, its_metric text, people bigint, everybody bigint, its_unit text DEFAULT 'people', its_note text DEFAULT NULL)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  IF cdp_internal.few_people(people, everybody) THEN
    RETURN QUERY SELECT its_section, its_metric, NULL::numeric, its_unit, NULL::numeric, NULL::numeric, NULL::text, NULL::numeric, NULL::numeric, NULL::bigint, 'hidden: fewer people than the minimum audience';
  ELSE
    RETURN QUERY SELECT its_section, its_metric, people::numeric, its_unit, NULL::numeric, NULL::numeric, NULL::text, NULL::numeric, NULL::numeric, people, its_note;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_count_row(text, text, bigint, bigint, text, text) IS
'A row of the report that counts people; no figure where it tells of fewer than the minimum audience, or leaves fewer of everybody (NULL: of no matter).';

CREATE OR REPLACE FUNCTION cdp_internal.referral_rate_row(its_section text, its_metric text, hits bigint, tries bigint, tries_name text, confidence double precision, its_note text DEFAULT NULL)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  IF coalesce(tries, 0) = 0 THEN
    RETURN QUERY SELECT its_section, its_metric, NULL::numeric, 'share', 0::numeric, 0::numeric, tries_name, NULL::numeric, NULL::numeric, 0::bigint, 'insufficient data: no ' || tries_name;
  ELSIF cdp_internal.few_people(hits, tries) OR cdp_internal.few_people(tries, NULL) THEN
    RETURN QUERY SELECT its_section, its_metric, NULL::numeric, 'share', NULL::numeric, NULL::numeric, tries_name, NULL::numeric, NULL::numeric, NULL::bigint, 'hidden: fewer people than the minimum audience';
  ELSE
    RETURN QUERY SELECT its_section, its_metric, round(hits::numeric / tries, 6), 'share', hits::numeric, tries::numeric, tries_name, round(i.low::numeric, 6), round(i.high::numeric, 6), tries, its_note
    FROM cdp.rate_interval(hits, tries, confidence) i;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_rate_row(text, text, bigint, bigint, text, double precision, text) IS
'A row of the report that is a share: hits of tries, with the interval of Wilson; insufficient data without tries; no figure where it tells of fewer people than the minimum audience.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_figure_row(its_section text, its_metric text, its_value double precision, its_unit text, people bigint, units bigint, its_low double precision, its_high double precision, its_note text,
  its_numerator numeric DEFAULT NULL, its_denominator numeric DEFAULT NULL, its_denominator_name text DEFAULT NULL)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  hidden boolean := cdp_internal.few_people(people, NULL);
BEGIN
  RETURN QUERY SELECT its_section, its_metric, CASE WHEN NOT hidden THEN round(its_value::numeric, 6) END, its_unit, CASE WHEN NOT hidden THEN its_numerator END, CASE WHEN NOT hidden THEN its_denominator END, its_denominator_name,
    CASE WHEN NOT hidden THEN round(its_low::numeric, 6) END, CASE WHEN NOT hidden THEN round(its_high::numeric, 6) END, CASE WHEN NOT hidden THEN units END,
    CASE WHEN hidden THEN 'hidden: fewer people than the minimum audience' ELSE its_note END;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_figure_row(text, text, double precision, text, bigint, bigint, double precision, double precision, text, numeric, numeric, text) IS
'A row of the report that is a figure about people; no figure where they are fewer than the minimum audience.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_rates(c record, confidence double precision)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  n bigint := cardinality(c.shares_each);
  b record;
BEGIN
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'reached', c.reached, NULL, its_note => CASE WHEN c.reached = 0 THEN 'insufficient data: nobody was told, has a code or shared' WHEN NOT c.messages THEN 'no message went out: who has a code counts as reached' END);
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'enrolled', c.enrolled, NULL);
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'shared', c.sharers, c.reached);
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'clicked', c.visitors, NULL, 'visitors');
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'signed_up', c.referees, NULL);
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'converted', c.buyers, c.referees);
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'approved', c.approved, c.referees);
  RETURN QUERY SELECT * FROM cdp_internal.referral_count_row('funnel', 'paid', c.paid, c.approved);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'enrolment_rate', c.reached_enrolled, c.told, 'people who were told', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'participation_rate', c.sharers, c.reached, 'people who were reached', confidence, CASE WHEN NOT c.messages THEN 'no message went out: who has a code counts as reached' END);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'share_rate', c.enrolled_sharers, c.enrolled, 'enrolled advocates', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'clicked_rate', c.clicked_sharers, c.sharers, 'advocates who shared', confidence);
  -- A message may be seen by many: this is no share, and an advocate is what is drawn anew.
  b := cdp.bootstrap_ratio(c.clicks_each, c.shares_each, 1, cdp_internal.referral_replicates(n), confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('rates', 'click_through_rate', b.ratio, 'visitors per invitation', n, n, b.low, b.high, CASE WHEN n = 0 THEN 'insufficient data: no acts of sharing' END,
    (SELECT sum(k) FROM unnest(c.clicks_each) k)::numeric, c.invitations, 'invitations (acts of sharing)');
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'signup_rate', c.visitors_signed, c.visitors, 'visitors who clicked', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'conversion_rate', c.visitors_bought, c.visitors, 'visitors who clicked', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'purchase_rate', c.buyers, c.referees, 'referred people (all evidence)', confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'approval_rate', c.approved, c.approved + c.rejected, 'decided referrals', confidence, CASE WHEN c.undecided > 0 THEN CASE WHEN cdp_internal.few_people(c.undecided, NULL) THEN 'some are not decided' ELSE format('%s are not decided', c.undecided) END END);
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('rates', 'paid_rate', c.paid, c.approved, 'approved referrals', confidence);
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_rates(record, double precision) IS
'Sections funnel and rates of cdp.referral_report(), from cdp_internal.referral_census().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_replicates(units bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(100, least(1000, 5000000 / greatest(units, 1)))::integer;
COMMENT ON FUNCTION cdp_internal.referral_replicates(bigint) IS 'Resamples of a bootstrap in a report: 1,000, of more than 5,000 units fewer, at least 100.';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_growth(a record, book record, within interval, confidence double precision)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  c record;
  i record;
  v record;
  k record;
  q record;
  n bigint := cardinality(a.roots);
  ends bigint;
  late bigint;
  said text := format('within %s of joining', within);
  nobody text := format('insufficient data: nobody joined %s or more before', within);
  suffix text;
BEGIN
  SELECT count(*) FILTER (WHERE NOT w) INTO late FROM unnest(a.whole) w;
  SELECT count(*) FILTER (WHERE e) INTO ends FROM unnest(a.first_known) e;
  FOREACH suffix IN ARRAY '{"",_of_referred}'::text[] LOOP
    SELECT count(*) AS n, coalesce(sum(x.i), 0)::numeric AS invitations, coalesce(sum(x.k), 0)::numeric AS conversions, coalesce(array_agg(x.i), '{}') AS i, coalesce(array_agg(x.k), '{}') AS k, coalesce(array_agg(1::double precision), '{}') AS ones INTO c
    FROM unnest(a.whole, a.referred, a.invited, a.gained) AS x (whole, referred, i, k) WHERE x.whole AND (suffix = '' OR x.referred);
    i := cdp.bootstrap_ratio(c.i, c.ones, 1, cdp_internal.referral_replicates(c.n), confidence);
    v := cdp.bootstrap_ratio(c.k, c.i, 1, cdp_internal.referral_replicates(c.n), confidence);
    k := cdp.bootstrap_ratio(c.k, c.ones, 1, cdp_internal.referral_replicates(c.n), confidence);
    RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('growth', 'invitations_per_customer' || suffix, i.ratio, 'invitations per customer', c.n, c.n, i.low, i.high,
      CASE WHEN c.n = 0 THEN nobody ELSE format('%s; who joined later (%s) is left out', said, CASE WHEN cdp_internal.few_people(late, NULL) THEN 'few' ELSE late::text END) END, c.invitations, c.n, 'customers of the cohort, sharers or not');
    RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('growth', 'conversions_per_invitation' || suffix, v.ratio, 'conversions per invitation', c.n, c.n, v.low, v.high,
      CASE WHEN v.ratio IS NULL THEN 'insufficient data: no invitations in the cohort' ELSE said END, c.conversions, c.invitations, 'invitations of the cohort');
    RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('growth', 'k_factor' || suffix, k.ratio, 'new customers per customer', c.n, c.n, k.low, k.high,
      CASE WHEN c.n = 0 THEN nobody ELSE format('%s; right-censored cohorts are excluded (%s customers); interval by %s bootstrap samples over customers', said, CASE WHEN cdp_internal.few_people(late, NULL) THEN 'few' ELSE late::text END, cdp_internal.referral_replicates(c.n)) END,
      c.conversions, c.n, 'customers of the cohort, sharers or not');
    RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('growth', 'amplification' || suffix, CASE WHEN k.ratio < 1 THEN 1 / (1 - k.ratio) END, 'customers per customer', c.n, c.n, CASE WHEN k.low < 1 THEN 1 / (1 - k.low) END,
      CASE WHEN k.high < 1 THEN 1 / (1 - k.high) END, CASE WHEN c.n = 0 THEN 'insufficient data: no K factor' WHEN k.ratio >= 1 THEN 'K is 1 or more: it grows without end' WHEN k.high >= 1 THEN 'it may grow without end' ELSE '1 / (1 - K)' END);
  END LOOP;
  q := cdp.survival_quantile(a.cycles, array_fill(true, ARRAY[cardinality(a.cycles)]), 0.5, confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('growth', 'cycle_time', q.value, 'days', a.cycle_people, q.n, q.low, q.high,
    CASE WHEN q.n = 0 THEN 'insufficient data: nobody of the cohort brought anybody' ELSE 'median from joining to the joining of who was brought, ' || said END);
  q := cdp.survival_quantile(a.first_days, a.first_known, 0.5, confidence);
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('growth', 'time_to_first_referral', q.value, 'days', n, n, q.low, q.high,
    CASE WHEN n = 0 THEN 'insufficient data: nobody joined' WHEN q.value IS NULL THEN 'insufficient data: fewer than half have brought somebody' || CASE WHEN cdp_internal.few_people(ends, n) THEN '' ELSE format(' (%s of %s so far)', ends, n) END ELSE 'median over everybody who joined, censored at as_of (Kaplan-Meier)' END);
  RETURN QUERY
  WITH RECURSIVE edge AS MATERIALIZED (
    SELECT b.referrer, b.referee FROM unnest(book.referrers, book.referees, book.states, book.ours) AS b (referrer, referee, state, ours) WHERE b.ours AND b.state <> 'rejected'
  ), walk AS (
    SELECT DISTINCT e.referrer AS root, 0 AS generation FROM edge e WHERE NOT EXISTS (SELECT FROM edge x WHERE x.referee = e.referrer)
    UNION ALL
    SELECT e.referee, w.generation + 1 FROM walk w JOIN edge e ON e.referrer = w.root
  ), counted AS (
    SELECT w.generation, count(*) AS n FROM walk w WHERE w.generation > 0 GROUP BY w.generation
  )
  SELECT r.* FROM (SELECT 'generation_' || d.generation AS metric, d.generation AS o, d.n, 'people brought by ' || CASE d.generation WHEN 1 THEN 'those whom nobody brought' ELSE 'generation ' || d.generation - 1 END AS note FROM counted d
      UNION ALL SELECT 'generation_1', 1, 0, 'insufficient data: nobody was brought' WHERE NOT EXISTS (SELECT FROM edge)
      UNION ALL SELECT 'in_a_circle', 1000000, count(*), 'people who were brought by those whom they brought themselves, over some steps' FROM edge e WHERE NOT EXISTS (SELECT FROM walk w WHERE w.root = e.referee) HAVING count(*) > 0) g
    CROSS JOIN LATERAL cdp_internal.referral_count_row('growth', g.metric, g.n, NULL, 'people', g.note) r ORDER BY g.o;
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_growth(record, record, interval, double precision) IS
'Section growth of cdp.referral_report(), from cdp_internal.referral_census() and cdp_internal.referral_book().';

CREATE OR REPLACE FUNCTION cdp_internal.referral_report_tracking(campaign integer, as_of timestamptz, gate bytea, confidence double precision, book record, sharers bigint)
RETURNS TABLE (section text, metric text, value numeric, unit text, numerator numeric, denominator numeric, denominator_name text, low numeric, high numeric, n bigint, note text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  map bytea := cdp_internal.customer_map();
  c record;
  g record;
  got numeric;
BEGIN
  WITH code AS MATERIALIZED (
    SELECT d.referral_code_id, CASE WHEN d.customer_id < 0 THEN d.customer_id ELSE cdp_internal.customer_root(map, NULL, d.customer_id, NULL) END AS root FROM cdp_data.referral_code d WHERE d.referral_campaign_id = campaign AND NOT d.is_test
  ), click AS MATERIALIZED (
    SELECT k.referral_click_id, k.root, k.clicked_at FROM cdp_internal.referral_clicks(campaign, as_of, gate) k
  ), first_click AS (
    SELECT k.root, min(k.clicked_at) AS at FROM click k WHERE k.root IS NOT NULL GROUP BY k.root
  ), conversion AS MATERIALIZED (
    SELECT x.* FROM (SELECT v.*, CASE WHEN v.customer_id < 0 THEN v.customer_id ELSE cdp_internal.customer_root(map, NULL, v.customer_id, NULL) END AS root
      FROM cdp_data.referral_conversion v WHERE NOT v.is_test AND v.retracted_at IS NULL AND v.occurred_at <= as_of OFFSET 0) x WHERE x.root < 0 OR cdp_internal.bitmap_has(gate, x.root)
  ), advocate AS MATERIALIZED (
    SELECT DISTINCT d.root FROM code d
  ), evidence AS MATERIALIZED (
    SELECT DISTINCT v.root
    FROM conversion v LEFT JOIN code d ON d.referral_code_id = v.referral_code_id LEFT JOIN click k ON k.referral_click_id = v.referral_click_id LEFT JOIN first_click f ON f.root = v.root AND f.at <= v.occurred_at
      LEFT JOIN advocate a ON a.root = CASE WHEN v.claimed_customer_id IS NOT NULL THEN cdp_internal.customer_root(map, NULL, v.claimed_customer_id, NULL) END
      LEFT JOIN advocate m ON m.root = CASE WHEN v.manual_customer_id IS NOT NULL THEN cdp_internal.customer_root(map, NULL, v.manual_customer_id, NULL) END
    WHERE num_nonnulls(d.referral_code_id, k.referral_click_id, f.root, a.root, m.root) > 0
  ), known AS (
    SELECT DISTINCT CASE WHEN r.referee_id < 0 THEN r.referee_id ELSE cdp_internal.customer_root(map, NULL, r.referee_id, NULL) END AS root
    FROM cdp_data.referral r WHERE r.campaign_group = (SELECT x.campaign_group FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign) AND NOT r.is_test AND r.attributed_at <= as_of
  )
  SELECT count(*) AS n, count(k.root) AS matched INTO c FROM evidence e LEFT JOIN known k ON k.root = e.root;
  RETURN QUERY SELECT * FROM cdp_internal.referral_rate_row('tracking', 'tracking_accuracy', c.matched, c.n, 'people with a conversion that carries evidence of a referral', confidence,
    CASE WHEN c.matched < c.n THEN format('%s have evidence and no decision', c.n - c.matched) END);
  SELECT x.goal_metric, x.goal_target, x.currency INTO g FROM cdp_data.referral_campaign x WHERE x.referral_campaign_id = campaign;
  SELECT CASE g.goal_metric WHEN 'participants' THEN sharers WHEN 'referrals' THEN count(*) FILTER (WHERE b.state = 'approved') WHEN 'conversions' THEN count(b.bought_at) FILTER (WHERE b.state <> 'rejected')
    ELSE coalesce(sum(b.revenue - b.refunded) FILTER (WHERE b.state = 'approved'), 0) / power(10::numeric, cdp_internal.referral_exponent(g.currency)) END, count(*) AS people INTO got, c.n
  FROM unnest(book.states, book.bought, book.revenues, book.refunds, book.ours) AS b (state, bought_at, revenue, refunded, ours) WHERE b.ours;
  RETURN QUERY SELECT * FROM cdp_internal.referral_figure_row('goal', 'goal_' || g.goal_metric, (got / g.goal_target)::double precision, 'share of the target', c.n, c.n, NULL, NULL, CASE WHEN g.goal_target IS NULL THEN 'insufficient data: the campaign has no target' END,
    got, g.goal_target, 'target');
END
$$;
COMMENT ON FUNCTION cdp_internal.referral_report_tracking(integer, timestamptz, bytea, double precision, record, bigint) IS
'Sections tracking and goal of cdp.referral_report(): of the people one of whose conversions carries a code, click or claimed advocate of the campaign, or who clicked before, how many have a referral, whatever was decided; and how much of the target is reached.';

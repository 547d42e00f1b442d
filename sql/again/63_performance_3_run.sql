-- Activation room, performance of campaign runs and holdouts: what the exposed did within their window, variant by
-- variant, and what the treated did more than the control. Everybody counts in the arm in which he was put, whatever
-- became of his message (intention to treat).

CREATE OR REPLACE FUNCTION cdp_internal.run_exposed(run integer, as_of timestamptz) RETURNS TABLE (root bigint, arm text, variant text, exposed_at timestamptz, state text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  gate bytea := cdp_internal.consent_gate('analytics', '');
BEGIN
  RETURN QUERY
  SELECT DISTINCT ON (x.root) x.root, x.arm, x.variant, x.exposed_at, x.state
  FROM (SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, e.customer_id, NULL) AS root, e.* FROM cdp_data.campaign_exposure e
        WHERE e.campaign_run_id = run AND e.exposed_at < as_of OFFSET 0) x
  WHERE cdp_internal.bitmap_has(gate, x.root)
  ORDER BY x.root, x.exposed_at, x.customer_id;
END $$;
COMMENT ON FUNCTION cdp_internal.run_exposed(integer, timestamptz) IS
'Who was exposed to a run before as_of, by the customers of now: who was merged of several exposed ones stands once, with the first exposure. Without those whose consent to analytics is missing, in both arms alike.';

CREATE OR REPLACE FUNCTION cdp_internal.holdout_exposed(holdout integer, since timestamptz, until timestamptz) RETURNS TABLE (root bigint, arm text, assigned_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  gate bytea := cdp_internal.consent_gate('analytics', '');
BEGIN
  RETURN QUERY
  SELECT DISTINCT ON (x.root) x.root, x.arm, x.assigned_at
  FROM (SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, a.customer_id, NULL) AS root, a.* FROM cdp_data.holdout_assignment a
        WHERE a.holdout_id = holdout AND a.assigned_at < holdout_exposed.until OFFSET 0) x
  WHERE cdp_internal.bitmap_has(gate, x.root)
  ORDER BY x.root, x.assigned_at, x.customer_id;
END $$;
COMMENT ON FUNCTION cdp_internal.holdout_exposed(integer, timestamptz, timestamptz) IS
'Who was assigned to an arm of a holdout before until, by the customers of now: who was merged of several has the earliest arm of theirs. Without those whose consent to analytics is missing, in both arms alike.';

CREATE OR REPLACE FUNCTION cdp_internal.exposure_outcomes(roots bigint[], starts timestamptz[], ends timestamptz[], as_of timestamptz, own jsonb)
RETURNS TABLE (root bigint, conversions bigint, revenue numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  few boolean := cardinality(roots) <= 2000;
  since timestamptz := (SELECT min(s) FROM unnest(starts) s);
  until timestamptz := (SELECT least(max(e), exposure_outcomes.as_of) FROM unnest(ends) e);
BEGIN
  IF coalesce(since >= until, true) THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format($sql$
    WITH person AS MATERIALIZED (
      SELECT u.root, u.starts, u.ends FROM unnest($1, $2, $4) AS u (root, starts, ends)
    ), event AS MATERIALIZED (
      SELECT x.root, CASE WHEN x.class = 1 THEN x.id END AS id, x.value FROM (%s) x JOIN person p ON p.root = x.root AND x.at >= p.starts AND x.at < p.ends WHERE x.class > 0
    )
    SELECT e.root, count(e.id), sum(e.value + coalesce(r.value, 0)) FROM event e LEFT JOIN (%s) r ON r.id = e.id GROUP BY e.root$sql$,
    cdp_internal.performance_rows_sql(own, since, until, false, few), cdp_internal.performance_refunds_sql(own, as_of))
  USING roots, starts, CASE WHEN few THEN cdp_internal.attribution_members(roots) END, ends;
END $$;
COMMENT ON FUNCTION cdp_internal.exposure_outcomes(bigint[], timestamptz[], timestamptz[], timestamptz, jsonb) IS
'What each root did in its own window, starts <= time < ends, as known at as_of: conversions, and revenue less refunds in the reporting currency. No row for who did nothing. Parallel arrays without NULLs, each root once. One scan of the time that the windows span, by index for up to 2,000 roots.';

CREATE OR REPLACE FUNCTION cdp_internal.window_length(within interval) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN make_interval(secs => extract(epoch FROM within)::double precision);
COMMENT ON FUNCTION cdp_internal.window_length(interval) IS 'A span as so many seconds: a day of it is 24 hours in any time zone, a month 30 days, twelve of them 365.25.';

CREATE OR REPLACE FUNCTION cdp_internal.run_people(run integer, as_of timestamptz, own jsonb)
RETURNS TABLE (root bigint, arm text, variant text, exposed_at timestamptz, state text, is_open boolean, conversions bigint, revenue numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  span interval := (SELECT cdp_internal.window_length(r.goal_within) FROM cdp_data.campaign_run r WHERE r.campaign_run_id = run);
  exposed record;
BEGIN
  -- Kept once: the same people are asked about and told of.
  SELECT coalesce(array_agg(x.root), '{}') AS roots, coalesce(array_agg(x.arm), '{}') AS arms, coalesce(array_agg(x.variant), '{}') AS variants, coalesce(array_agg(x.exposed_at), '{}') AS starts,
    coalesce(array_agg(x.exposed_at + span), '{}') AS ends, coalesce(array_agg(x.state), '{}') AS states
  INTO exposed FROM cdp_internal.run_exposed(run, as_of) x;
  RETURN QUERY
  SELECT u.root, u.arm, u.variant, u.starts, u.state, u.ends > as_of, coalesce(o.conversions, 0), coalesce(o.revenue, 0)
  FROM unnest(exposed.roots, exposed.arms, exposed.variants, exposed.starts, exposed.ends, exposed.states) AS u (root, arm, variant, starts, ends, state)
    LEFT JOIN cdp_internal.exposure_outcomes(exposed.roots, exposed.starts, exposed.ends, as_of, own) o ON o.root = u.root;
END $$;
COMMENT ON FUNCTION cdp_internal.run_people(integer, timestamptz, jsonb) IS
'The exposed of a run with what they did within goal_within from exposure, as known at as_of; is_open: that time is not over.';

CREATE OR REPLACE FUNCTION cdp_internal.run_own(run integer, conversion_kinds text[], currency text, missing_rate text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.performance_own(coalesce(conversion_kinds, (SELECT nullif(r.goal_kinds, '{}') FROM cdp_data.campaign_run r WHERE r.campaign_run_id = run)), NULL, false, false, currency, missing_rate);
END $$;
COMMENT ON FUNCTION cdp_internal.run_own(integer, text[], text, text) IS
'The choices of a report about a run: conversions of these kinds, NULL: its goal_kinds, or all conversions when it names none.';

CREATE OR REPLACE FUNCTION cdp_internal.run_feedback(run integer, since timestamptz, as_of timestamptz) RETURNS TABLE (root bigint, effect text, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  named text := (SELECT r.name FROM cdp_data.campaign_run r WHERE r.campaign_run_id = run);
  kinds smallint[] := cdp_internal.journey_property_kinds('campaign_run', ARRAY(SELECT k.kind_id FROM cdp_internal.feedback_kinds() k JOIN cdp_data.touch_kind_all a USING (kind_id)
    WHERE a.allowed_purposes IS NULL OR 'analytics' = ANY (a.allowed_purposes)), 'feedback', false);
BEGIN
  RETURN QUERY EXECUTE format($sql$
    SELECT %s, k.effect, t.occurred_at FROM cdp_data.touchpoint t JOIN cdp_internal.feedback_kinds() k USING (kind_id)
    WHERE t.kind_id = ANY ($1) AND t.flags & 3 = 0 AND t.occurred_at >= $2 AND t.occurred_at < $3 AND t.properties ->> 'campaign_run' = $4$sql$, cdp_internal.touchpoint_root_sql())
  USING kinds, since, as_of, named;
END $$;
COMMENT ON FUNCTION cdp_internal.run_feedback(integer, timestamptz, timestamptz) IS
'Feedback that names a run, of since <= time < as_of: the customer of now, what it tells (cdp_internal.feedback_kinds()), when. Bots and internal traffic are left out.';

CREATE OR REPLACE FUNCTION cdp_internal.run_feedback_seen(run integer, since timestamptz, as_of timestamptz) RETURNS TABLE (root bigint, effect text, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF has_column_privilege('cdp_data.touchpoint', 'properties', 'SELECT') THEN
    RETURN QUERY SELECT * FROM cdp_internal.run_feedback(run, since, as_of);
  ELSE
    RETURN QUERY SELECT * FROM cdp_data.run_feedback(run, since, as_of);
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.run_feedback_seen(integer, timestamptz, timestamptz) IS
'cdp_internal.run_feedback() by the right that the caller has: his own on properties of touchpoints, or that of cdp_data.run_feedback().';

CREATE OR REPLACE FUNCTION cdp.run_performance(run text, as_of timestamptz DEFAULT now(), conversion_kinds text[] DEFAULT NULL, currency text DEFAULT NULL, missing_rate text DEFAULT 'error')
RETURNS TABLE (arm text, variant text, customers bigint, open_windows bigint, sent bigint, delivered bigint, opened bigint, clicked bigint, bounced bigint, unsubscribed bigint,
  open_rate numeric, click_rate numeric, converted bigint, conversion_rate numeric, conversions bigint, revenue numeric, average_order_value numeric, revenue_per_customer numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.campaign_run_of(run_performance.run);
  own jsonb := cdp_internal.run_own(id, conversion_kinds, currency, missing_rate);
  r record;
BEGIN
  PERFORM cdp_internal.require_whole_people();
  run_performance.as_of := coalesce(run_performance.as_of, now());
  SELECT x.launched_at INTO r FROM cdp_data.campaign_run x WHERE x.campaign_run_id = id;
  IF cdp_internal.consent_gate('analytics', '') IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out, of both arms';
  END IF;
  RETURN QUERY
  WITH person AS MATERIALIZED (
    SELECT p.* FROM cdp_internal.run_people(id, run_performance.as_of, own) p
  ), feedback AS MATERIALIZED (
    -- Once each customer; what is older than his exposure is of somebody else.
    SELECT p.root, bool_or(f.effect IN ('delivered', 'open', 'click')) AS delivered, bool_or(f.effect IN ('open', 'click')) AS opened, bool_or(f.effect = 'click') AS clicked,
      bool_or(f.effect = 'bounce') AS bounced, bool_or(f.effect = 'withdraw') AS unsubscribed, bool_or(f.effect = 'delivered') AS told
    FROM person p JOIN cdp_internal.run_feedback_seen(id, r.launched_at, run_performance.as_of) f ON f.root = p.root AND f.at >= p.exposed_at
    WHERE p.arm = 'treatment' GROUP BY p.root
  ), made AS (
    SELECT 'treatment' AS arm, v.variant FROM cdp_data.campaign_variant v WHERE v.campaign_run_id = id
    UNION SELECT p.arm, p.variant FROM person p
  ), figure AS (
    SELECT m.arm, m.variant, count(p.root) AS customers, count(*) FILTER (WHERE p.is_open) AS is_open, count(*) FILTER (WHERE p.state = 'sent') AS sent,
      count(*) FILTER (WHERE f.delivered) AS delivered, count(*) FILTER (WHERE f.opened) AS opened, count(*) FILTER (WHERE f.clicked) AS clicked,
      count(*) FILTER (WHERE f.told) AS told, count(*) FILTER (WHERE f.delivered OR p.state = 'sent' AND f.bounced IS NOT TRUE) AS not_bounced, count(*) FILTER (WHERE f.bounced) AS bounced, count(*) FILTER (WHERE f.unsubscribed) AS unsubscribed,
      count(*) FILTER (WHERE p.conversions > 0) AS converted, coalesce(sum(p.conversions), 0)::bigint AS conversions, coalesce(sum(p.revenue), 0) AS revenue
    FROM made m LEFT JOIN person p ON p.arm = m.arm AND p.variant IS NOT DISTINCT FROM m.variant LEFT JOIN feedback f ON f.root = p.root
    GROUP BY m.arm, m.variant
  ), judged AS (
    -- A figure that one variant may not show is shown of none: it could be had from that of all.
    SELECT f.*, sum(f.told) OVER w > 0 AS arrival_told, sum(f.sent) OVER w > 0 AS sending_told, bool_and(NOT cdp_internal.few_people(f.customers, NULL)) OVER w AS people,
      bool_and(NOT cdp_internal.few_people(f.is_open, f.customers)) OVER w AS waits, bool_and(NOT cdp_internal.few_people(f.sent, f.customers)) OVER w AS went,
      bool_and(NOT cdp_internal.few_people(f.delivered, f.customers)) OVER w AS arrived, bool_and(NOT cdp_internal.few_people(f.opened, f.customers)) OVER w AS saw,
      bool_and(NOT cdp_internal.few_people(f.clicked, f.customers)) OVER w AS clicks, bool_and(NOT cdp_internal.few_people(f.bounced, f.customers)) OVER w AS bounces,
      bool_and(NOT cdp_internal.few_people(f.unsubscribed, f.customers)) OVER w AS leaves, bool_and(NOT cdp_internal.few_people(f.converted, f.customers)) OVER w AS buys
    FROM figure f WINDOW w AS (PARTITION BY f.arm)
  ), shown AS (
    SELECT j.arm, j.variant, CASE WHEN j.people THEN j.customers END AS customers, CASE WHEN j.people AND j.waits THEN j.is_open END AS is_open,
      CASE WHEN j.people AND j.went AND j.arm = 'treatment' THEN j.sent END AS sent, CASE WHEN j.people AND j.arrived AND j.arm = 'treatment' THEN j.delivered END AS delivered,
      CASE WHEN j.people AND j.saw AND j.arm = 'treatment' THEN j.opened END AS opened,
      -- Where the mailer does not tell what arrived, what it sent and did not come back.
      CASE WHEN j.arrival_told THEN CASE WHEN j.people AND j.arrived THEN j.delivered END WHEN j.sending_told AND j.people AND j.went AND j.bounces AND j.arrived THEN j.not_bounced END AS reached, CASE WHEN j.people AND j.clicks AND j.arm = 'treatment' THEN j.clicked END AS clicked,
      CASE WHEN j.people AND j.bounces AND j.arm = 'treatment' THEN j.bounced END AS bounced, CASE WHEN j.people AND j.leaves AND j.arm = 'treatment' THEN j.unsubscribed END AS unsubscribed,
      CASE WHEN j.people AND j.buys THEN j.converted END AS converted, CASE WHEN j.people AND j.buys THEN j.conversions END AS conversions, CASE WHEN j.people AND j.buys THEN j.revenue END AS revenue
    FROM judged j
  )
  SELECT s.arm, s.variant, s.customers, s.is_open, s.sent, s.delivered, s.opened, s.clicked, s.bounced, s.unsubscribed,
    round(s.opened::numeric / nullif(s.reached, 0), 6), round(s.clicked::numeric / nullif(s.reached, 0), 6),
    s.converted, round(s.converted::numeric / nullif(s.customers, 0), 6), s.conversions, round(s.revenue, 6),
    round(s.revenue / nullif(s.conversions, 0), 6), round(s.revenue / nullif(s.customers, 0), 6)
  FROM shown s ORDER BY s.arm DESC, s.variant;
END $$;
COMMENT ON FUNCTION cdp.run_performance(text, timestamptz, text[], text, text) IS
'What came of a campaign run, as known at as_of: a row for each variant of the arm treatment, and one for control where there is one. customers: exposed before as_of, in the arm and variant in which they were put, whatever became of the message; open_windows: of them those whose goal_within is not over yet. sent: the deliverer said so; delivered, opened, clicked, bounced, unsubscribed (complaints too): customers of whom feedback that names the run tells it after exposure, at least once (who clicked has opened, who opened has received); open_rate and click_rate are of the delivered; where no delivery was told at all, of those sent that did not bounce, and NULL where nothing is known to be sent either. NULL for control. converted: who converted within goal_within from exposure (its start included, its end not; a day is 24 hours), conversions how often, revenue less refunds (whenever they came before as_of) in the reporting currency, average_order_value = revenue / conversions, revenue_per_customer = revenue / customers. conversion_kinds: NULL the goal_kinds of the run, or all conversions when it has none. Merges count at once: who is one now stands once, by his first exposure. Customers without consent to analytics are left out of both arms (a NOTICE says so). With cdp_data.setting.minimum_audience: NULL in figures about fewer people, or about all but fewer, in all variants. Whether a difference is more than chance, cdp.run_lift() tells. Reads only. Errors: 42704 no such run, 22023 unknown kinds, 22000 a missing rate, 42501 a role that is kept to some sources.';

CREATE OR REPLACE FUNCTION cdp_internal.lift_compare(treated bigint, treated_converted bigint, treated_mean numeric, treated_variance numeric,
  control bigint, control_converted bigint, control_mean numeric, control_variance numeric, suspect boolean, split_p double precision, confidence double precision,
  OUT difference numeric, OUT low numeric, OUT high numeric, OUT lift numeric, OUT lift_low numeric, OUT lift_high numeric, OUT p_value double precision,
  OUT revenue_difference numeric, OUT revenue_low numeric, OUT revenue_high numeric, OUT revenue_p_value double precision, OUT warning text, OUT verdict text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  least_customers constant integer := 30;
  least_converted constant integer := 10;
  points text;
BEGIN
  IF suspect THEN
    warning := format('the groups have not the sizes that were planned (p = %s): something beside the draw puts customers into one of them, or takes them out', round(split_p::numeric, 9));
  END IF;
  verdict := CASE WHEN treated = 0 AND control = 0 THEN 'nobody was exposed'
    WHEN control = 0 THEN 'no control group: nothing to compare with'
    WHEN treated = 0 THEN 'nobody was treated: nothing to compare'
    WHEN least(treated, control) < least_customers THEN format('not enough data: %s customers in the smaller group, %s are needed', least(treated, control), least_customers)
    WHEN treated_converted + control_converted < least_converted THEN format('not enough data: %s customers converted, %s are needed', treated_converted + control_converted, least_converted) END;
  IF verdict IS NOT NULL THEN
    RETURN;
  END IF;
  SELECT round(d.difference::numeric, 6), round(d.low::numeric, 6), round(d.high::numeric, 6), round(d.lift::numeric, 6), round(d.lift_low::numeric, 6), round(d.lift_high::numeric, 6), d.p_value,
    CASE WHEN suspect THEN 'not to be trusted: see the warning' WHEN d.low > 0 THEN 'treatment converts more' WHEN d.high < 0 THEN 'treatment converts less' ELSE 'no difference is shown' END,
    format(': between %s and %s points of conversion rate', round((100 * d.low)::numeric, 2), round((100 * d.high)::numeric, 2))
  INTO difference, low, high, lift, lift_low, lift_high, p_value, verdict, points
  FROM cdp.rate_difference(treated_converted, treated, control_converted, control, confidence) d;
  verdict := verdict || CASE WHEN suspect THEN '' ELSE points END;
  SELECT round(d.difference::numeric, 6), round(d.low::numeric, 6), round(d.high::numeric, 6), d.p_value INTO revenue_difference, revenue_low, revenue_high, revenue_p_value
  FROM cdp.mean_difference(treated, treated_mean::double precision, treated_variance::double precision, control, control_mean::double precision, control_variance::double precision, confidence) d;
END $$;
COMMENT ON FUNCTION cdp_internal.lift_compare(bigint, bigint, numeric, numeric, bigint, bigint, numeric, numeric, boolean, double precision, double precision) IS
'Treated against control: cdp.rate_difference() of their conversion rates, cdp.mean_difference() of their revenue per customer, a warning when the split is suspect, and a verdict in words. No numbers, only words, with fewer than 30 customers in a group or fewer than 10 converted in both.';

CREATE OR REPLACE FUNCTION cdp_internal.lift_table(arms text[], variants text[], conversions bigint[], revenues numeric[], share numeric, weights jsonb, confidence double precision)
RETURNS TABLE (variant text, treated bigint, control bigint, treated_converted bigint, control_converted bigint, treated_rate numeric, control_rate numeric,
  difference numeric, low numeric, high numeric, lift numeric, lift_low numeric, lift_high numeric, p_value double precision,
  treated_revenue numeric, control_revenue numeric, revenue_difference numeric, revenue_low numeric, revenue_high numeric, revenue_p_value double precision,
  sample_ratio_p double precision, warning text, verdict text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH person AS (
    SELECT u.* FROM unnest(arms, variants, conversions, revenues) AS u (arm, variant, conversions, revenue)
  ), control AS MATERIALIZED (
    SELECT count(*) AS n, count(*) FILTER (WHERE p.conversions > 0) AS converted, avg(p.revenue) AS mean, var_samp(p.revenue) AS variance FROM person p WHERE p.arm = 'control'
  ), treated AS MATERIALIZED (
    SELECT grouping(p.variant) = 1 AS is_all, p.variant, count(*) AS n, count(*) FILTER (WHERE p.conversions > 0) AS converted, avg(p.revenue) AS mean, var_samp(p.revenue) AS variance
    FROM person p WHERE p.arm = 'treatment' GROUP BY GROUPING SETS ((), (p.variant))
  ), line AS (
    -- Variants of their own right only where there are several.
    SELECT t.* FROM treated t WHERE t.is_all
    UNION ALL
    SELECT false, w.key, coalesce(t.n, 0), coalesce(t.converted, 0), t.mean, t.variance
    FROM jsonb_each_text(weights) w LEFT JOIN treated t ON NOT t.is_all AND t.variant = w.key WHERE (SELECT count(*) FROM jsonb_each(weights)) > 1
  ), split AS MATERIALIZED (
    SELECT true AS is_all, s.p_value, s.suspect FROM treated t, control c, cdp.sample_ratio_check(ARRAY[t.n, c.n], ARRAY[1 - share, share]::double precision[]) s WHERE t.is_all AND share IS NOT NULL
    UNION ALL
    SELECT false, s.p_value, s.suspect FROM (SELECT array_agg(l.n ORDER BY l.variant) AS observed, array_agg((weights ->> l.variant)::double precision ORDER BY l.variant) AS planned FROM line l WHERE NOT l.is_all HAVING count(*) > 1) x,
      cdp.sample_ratio_check(x.observed, x.planned) s
  ), judged AS (
    -- What one variant may not show, none does: it could be had from that of all.
    SELECT l.*, c.n AS control_n, c.converted AS control_converted, c.mean AS control_mean, c.variance AS control_variance,
      bool_or(cdp_internal.few_people(l.n, NULL) OR cdp_internal.few_people(c.n, NULL) OR cdp_internal.few_people(l.converted, l.n) OR cdp_internal.few_people(c.converted, c.n)) OVER (PARTITION BY l.is_all) AS hidden
    FROM line l CROSS JOIN control c
  )
  SELECT j.variant, CASE WHEN NOT j.hidden THEN j.n END, CASE WHEN NOT j.hidden THEN j.control_n END, CASE WHEN NOT j.hidden THEN j.converted END, CASE WHEN NOT j.hidden THEN j.control_converted END,
    CASE WHEN NOT j.hidden THEN round(j.converted::numeric / nullif(j.n, 0), 6) END, CASE WHEN NOT j.hidden THEN round(j.control_converted::numeric / nullif(j.control_n, 0), 6) END,
    x.difference, x.low, x.high, x.lift, x.lift_low, x.lift_high, x.p_value,
    CASE WHEN NOT j.hidden THEN round(j.mean, 6) END, CASE WHEN NOT j.hidden THEN round(j.control_mean, 6) END, x.revenue_difference, x.revenue_low, x.revenue_high, x.revenue_p_value,
    CASE WHEN NOT j.hidden THEN s.p_value END, x.warning, coalesce(x.verdict, 'fewer people than the minimum audience')
  -- A variant is compared with the control as well: both splits must hold.
  FROM judged j LEFT JOIN split s ON s.is_all = j.is_all LEFT JOIN split o ON o.is_all AND o.suspect
    LEFT JOIN LATERAL cdp_internal.lift_compare(j.n, j.converted, j.mean, j.variance, j.control_n, j.control_converted, j.control_mean, j.control_variance,
      s.suspect OR o.suspect, least(s.p_value, o.p_value), confidence) x ON NOT j.hidden
  ORDER BY j.is_all DESC, j.variant COLLATE "C";
END $$;
COMMENT ON FUNCTION cdp_internal.lift_table(text[], text[], bigint[], numeric[], numeric, jsonb, double precision) IS
'The rows of cdp.run_lift() and cdp.holdout_lift() from people in parallel arrays: arm, variant, conversions, revenue. share: planned part of control, NULL when there is no control; weights: planned weight of each variant, {} without variants. With cdp_data.setting.minimum_audience: a row without figures where one would be about fewer people.';

CREATE OR REPLACE FUNCTION cdp.run_lift(run text, as_of timestamptz DEFAULT now(), conversion_kinds text[] DEFAULT NULL, currency text DEFAULT NULL, missing_rate text DEFAULT 'error', confidence double precision DEFAULT 0.95)
RETURNS TABLE (variant text, treated bigint, control bigint, treated_converted bigint, control_converted bigint, treated_rate numeric, control_rate numeric,
  difference numeric, low numeric, high numeric, lift numeric, lift_low numeric, lift_high numeric, p_value double precision,
  treated_revenue numeric, control_revenue numeric, revenue_difference numeric, revenue_low numeric, revenue_high numeric, revenue_p_value double precision,
  sample_ratio_p double precision, warning text, verdict text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  id integer := cdp_internal.campaign_run_of(run_lift.run);
  people record;
BEGIN
  PERFORM cdp_internal.require_whole_people(), cdp_internal.require_confidence(confidence);
  run_lift.as_of := coalesce(run_lift.as_of, now());
  IF cdp_internal.consent_gate('analytics', '') IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out, of both arms';
  END IF;
  SELECT coalesce(array_agg(p.arm), '{}') AS arms, coalesce(array_agg(p.variant), '{}') AS variants, coalesce(array_agg(p.conversions), '{}') AS conversions, coalesce(array_agg(p.revenue), '{}') AS revenues
  INTO people FROM cdp_internal.run_people(id, run_lift.as_of, cdp_internal.run_own(id, conversion_kinds, currency, missing_rate)) p;
  RETURN QUERY SELECT t.* FROM cdp_internal.lift_table(people.arms, people.variants, people.conversions, people.revenues,
    (SELECT h.share FROM cdp_data.campaign_run r JOIN cdp_data.holdout h USING (holdout_id) WHERE r.campaign_run_id = id),
    (SELECT coalesce(jsonb_object_agg(v.variant, v.weight), '{}') FROM cdp_data.campaign_variant v WHERE v.campaign_run_id = id), confidence) t;
END $$;
COMMENT ON FUNCTION cdp.run_lift(text, timestamptz, text[], text, text, double precision) IS
'What a campaign run brought: its treated against the control of its holdout, as known at as_of. A row for all treated (variant NULL), and where there are several variants one for each, against the same control. treated and control: customers exposed before as_of; who of them converted within goal_within from exposure, and their rates; difference of the rates with its interval low to high (95 % unless confidence says otherwise; Newcombe), lift = difference / control_rate with its interval, p_value of cdp.rate_difference(); treated_revenue and control_revenue: revenue per customer, less refunds, in the reporting currency, with difference, interval and p value of Welch''s test. sample_ratio_p: how likely groups of these sizes are by the planned share of the holdout (rows of variants: by their weights); below 0.001 warning says so, in rows of variants also where it is that of all treated and control, and the verdict that nothing is to be trusted. verdict: in words; where there are fewer than 30 customers in a group or fewer than 10 converted in both it says what is not enough, and there are no differences. Everybody counts in the arm in which he was put (intention to treat); merges, refunds, windows and consent as cdp.run_performance(): who withdraws consent to analytics drops out of both arms alike. With cdp_data.setting.minimum_audience: no figures where one would be about fewer people. Reads only. Errors: 42704 no such run, 22023 unknown kinds or a confidence not between 0 and 1, 22000 a missing rate, 42501 a role that is kept to some sources.';

CREATE OR REPLACE FUNCTION cdp.holdout_lift(holdout text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT now(), as_of timestamptz DEFAULT now(), conversion_kinds text[] DEFAULT NULL,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error', confidence double precision DEFAULT 0.95)
RETURNS TABLE (treated bigint, control bigint, treated_converted bigint, control_converted bigint, treated_rate numeric, control_rate numeric,
  difference numeric, low numeric, high numeric, lift numeric, lift_low numeric, lift_high numeric, p_value double precision,
  treated_revenue numeric, control_revenue numeric, revenue_difference numeric, revenue_low numeric, revenue_high numeric, revenue_p_value double precision,
  sample_ratio_p double precision, warning text, verdict text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
  h record := cdp_internal.holdout_of(holdout_lift.holdout);
  own jsonb := cdp_internal.performance_own(conversion_kinds, NULL, false, false, currency, missing_rate);
  exposed record;
  people record;
BEGIN
  PERFORM cdp_internal.require_whole_people(), cdp_internal.require_confidence(confidence);
  holdout_lift.as_of := coalesce(holdout_lift.as_of, now());
  holdout_lift.until := least(holdout_lift.until, holdout_lift.as_of, h.ended_at);
  holdout_lift.since := coalesce(holdout_lift.since, '-infinity');
  PERFORM cdp_internal.require_moments(holdout_lift.since, holdout_lift.until);
  IF cdp_internal.consent_gate('analytics', '') IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out, of both arms';
  END IF;
  SELECT coalesce(array_agg(x.root), '{}') AS roots, coalesce(array_agg(x.arm), '{}') AS arms, coalesce(array_agg(greatest(x.assigned_at, holdout_lift.since)), '{}') AS starts, coalesce(array_agg(holdout_lift.until), '{}') AS ends
  INTO exposed FROM cdp_internal.holdout_exposed(h.holdout_id, holdout_lift.since, holdout_lift.until) x;
  SELECT coalesce(array_agg(u.arm), '{}') AS arms, coalesce(array_agg(coalesce(o.conversions, 0)), '{}') AS conversions, coalesce(array_agg(coalesce(o.revenue, 0)), '{}') AS revenues
  INTO people FROM unnest(exposed.roots, exposed.arms) AS u (root, arm)
    LEFT JOIN cdp_internal.exposure_outcomes(exposed.roots, exposed.starts, exposed.ends, holdout_lift.as_of, own) o ON o.root = u.root;
  RETURN QUERY SELECT t.treated, t.control, t.treated_converted, t.control_converted, t.treated_rate, t.control_rate, t.difference, t.low, t.high, t.lift, t.lift_low, t.lift_high, t.p_value, t.treated_revenue, t.control_revenue, t.revenue_difference, t.revenue_low, t.revenue_high, t.revenue_p_value, t.sample_ratio_p, t.warning, t.verdict FROM cdp_internal.lift_table(people.arms, array_fill(NULL::text, ARRAY[cardinality(people.arms)]), people.conversions, people.revenues, h.share, '{}', confidence) t;
END $$;
COMMENT ON FUNCTION cdp.holdout_lift(text, timestamptz, timestamptz, timestamptz, text[], text, text, double precision) IS
'What everything that was done under a holdout brought together: those treated against those kept out, one row; columns as cdp.run_lift(). Who was assigned to an arm before until counts with all that he did from his assignment, or since when that is later, to until (not included, at most as_of and the end of the holdout). since NULL: from assignment. Of a time long after assignment both arms are still as they were drawn. conversion_kinds NULL: all conversions. Merges count at once: who is one now has the earliest arm of his parts. Errors: 42704 no such holdout; 22023 no window, unknown kinds; 22000 a missing rate; 42501 a role that is kept to some sources.';

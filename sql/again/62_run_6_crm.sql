-- Activation room: leads, opportunities and deals, which a CRM tells as touchpoints of built-in kinds. An opportunity is what
-- the property opportunity names, within its source.

CREATE OR REPLACE FUNCTION cdp_internal.crm_rows_sql(kinds text[], keys text[]) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids smallint[] := cdp_internal.attribution_kinds(kinds, 'kinds');
BEGIN
  PERFORM cdp_internal.journey_property_kinds(k, ids, 'kinds', true) FROM unnest(keys) k;
  RETURN format('cdp_data.touchpoint t WHERE t.kind_id = ANY (%L::smallint[]) AND t.flags & 3 = 0', ids);
END
$$;
COMMENT ON FUNCTION cdp_internal.crm_rows_sql(text[], text[]) IS
'SQL text of the rows of cdp_data.touchpoint t of these kinds, without bots and internal traffic. Error 22023 (E_PURPOSE) when a kind, or one of these properties of it, may not be used for analytics.';

CREATE OR REPLACE FUNCTION cdp_internal.opportunity_events(as_of timestamptz, currency text DEFAULT NULL, missing_rate text DEFAULT 'error')
RETURNS TABLE (source_id integer, opportunity text, root bigint, at timestamptz, touchpoint_id bigint, what text, stage text, amount numeric, merged_into text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
DECLARE
  base text := coalesce(currency, (SELECT s.currency FROM cdp_data.setting s));
  day text := '(t.occurred_at AT TIME ZONE ''UTC'')::date';
BEGIN
  PERFORM cdp_internal.attribution_own(NULL, NULL, NULL, false, false, currency, missing_rate);
  RETURN QUERY EXECUTE format($query$
    SELECT t.source_id, t.properties ->> 'opportunity', %s,
      CASE WHEN t.kind_id IN (54, 65) AND isfinite(cdp_internal.parse_time(t.properties ->> 'closed_at', s.timezone)) THEN cdp_internal.parse_time(t.properties ->> 'closed_at', s.timezone) ELSE t.occurred_at END,
      t.touchpoint_id, CASE t.kind_id WHEN 65 THEN 'won' WHEN 54 THEN 'lost' ELSE 'open' END, t.properties ->> 'stage',
      CASE WHEN t.value IS NOT NULL THEN t.value * %s WHEN jsonb_typeof(t.properties -> 'amount') = 'number' THEN (t.properties ->> 'amount')::numeric * %s END,
      nullif(t.properties ->> 'merged_into', t.properties ->> 'opportunity')
    FROM cdp_data.source s JOIN %s AND t.properties ->> 'opportunity' <> '' AND t.occurred_at < $1$query$,
    cdp_internal.touchpoint_root_sql(), cdp_internal.attribution_rate_sql('t.currency', day, base, missing_rate),
    cdp_internal.attribution_rate_sql('(t.properties ->> ''currency'')', day, base, missing_rate),
    replace(cdp_internal.crm_rows_sql('{opportunity,opportunity_stage,deal_lost,deal_won}', '{opportunity,stage}'), ' WHERE ', ' ON t.source_id = s.source_id AND '))
  USING as_of;
END
$$;
COMMENT ON FUNCTION cdp_internal.opportunity_events(timestamptz, text, text) IS
'What a CRM told of opportunities before as_of, one row for each touchpoint of kind opportunity, opportunity_stage, deal_won or deal_lost with a property opportunity that is not empty: whose (root of today), when (property closed_at of a deal that was won or lost, if it is a time; else occurred_at), what it makes of the opportunity (open, won, lost), stage, amount in the reporting currency (value, else the property amount in the property currency; by the rate of its UTC day; NULL: not told), merged_into.';

CREATE OR REPLACE FUNCTION cdp_internal.opportunities(as_of timestamptz, currency text DEFAULT NULL, missing_rate text DEFAULT 'error')
RETURNS TABLE (source_id integer, opportunity text, root bigint, opened_at timestamptz, state text, closed_at timestamptz, stage text, amount numeric, reopened bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH event AS MATERIALIZED (
    -- At one time what closes comes last: a CRM writes the last stage and the deal together.
    SELECT e.*, row_number() OVER w AS nth, e.what = 'open' AND lag(e.what, 1, 'open') OVER w <> 'open' AS opens_again
    FROM cdp_internal.opportunity_events(as_of, currency, missing_rate) e
    WINDOW w AS (PARTITION BY e.source_id, e.opportunity ORDER BY e.at, e.what <> 'open', e.touchpoint_id)
  ), whole AS (
    SELECT e.source_id, e.opportunity, (array_agg(e.root ORDER BY e.nth))[1] AS root, min(e.at) AS opened_at, (array_agg(e.what ORDER BY e.nth DESC))[1] AS what,
      max(e.nth) FILTER (WHERE e.what = 'open') AS last_open, (array_agg(e.stage ORDER BY e.nth DESC) FILTER (WHERE e.stage IS NOT NULL))[1] AS stage,
      (array_agg(e.amount ORDER BY e.nth DESC) FILTER (WHERE e.amount IS NOT NULL))[1] AS amount, count(*) FILTER (WHERE e.opens_again) AS reopened, bool_or(e.merged_into IS NOT NULL) AS merged
    FROM event e GROUP BY 1, 2
  )
  SELECT w.source_id, w.opportunity, w.root, w.opened_at, CASE WHEN w.merged THEN 'merged' ELSE w.what END,
    CASE WHEN NOT w.merged AND w.what <> 'open' THEN (SELECT min(e.at) FROM event e WHERE (e.source_id, e.opportunity) = (w.source_id, w.opportunity) AND e.nth > coalesce(w.last_open, 0)) END,
    w.stage, w.amount, w.reopened
  FROM whole w;
END
$$;
COMMENT ON FUNCTION cdp_internal.opportunities(timestamptz, text, text) IS
'Opportunities as they stood at as_of: root of today''s customer (of the first that was told), opened_at the first that was told, state open, won, lost or merged, closed_at of those won or lost (the first word of the closure that holds), the last stage and the last amount told (reporting currency; NULL: none), how often it was opened again after a closure. What comes last decides; at one time a closure.';

CREATE OR REPLACE FUNCTION cdp_internal.crm_leads(as_of timestamptz, customer_kinds text[], within interval) RETURNS TABLE (root bigint, lead_at timestamptz, became boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
BEGIN
  RETURN QUERY EXECUTE format($query$
    WITH lead AS MATERIALIZED (
      SELECT x.root, min(x.at) AS at FROM (SELECT %1$s AS root, t.occurred_at AS at FROM %2$s AND t.occurred_at < $1 OFFSET 0) x GROUP BY x.root
    ), bought AS MATERIALIZED (
      SELECT %1$s AS root, t.occurred_at AS at FROM %3$s AND t.occurred_at < $1
    )
    SELECT l.root, l.at, EXISTS (SELECT FROM bought b WHERE b.root = l.root AND b.at >= l.at AND (extract(epoch FROM b.at - l.at) <= extract(epoch FROM $2)) IS NOT FALSE) FROM lead l$query$,
    cdp_internal.touchpoint_root_sql(), cdp_internal.crm_rows_sql('{lead}', '{}'), cdp_internal.crm_rows_sql(customer_kinds, '{}')) USING as_of, within;
END
$$;
COMMENT ON FUNCTION cdp_internal.crm_leads(timestamptz, text[], interval) IS
'Customers (roots) who became a lead before as_of, when first, and whether they bought then or after (touchpoints of customer_kinds), within so long (NULL: however late; days of 24 hours), before as_of.';

CREATE OR REPLACE FUNCTION cdp_internal.crm_messages(since timestamptz, until timestamptz, as_of timestamptz) RETURNS TABLE (root bigint, at timestamptz, arrived boolean, opened boolean, clicked boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
BEGIN
  RETURN QUERY EXECUTE format($query$
    WITH sent AS MATERIALIZED (
      SELECT r.name AS run, cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, e.customer_id, NULL) AS root, min(e.exposed_at) AS at
      FROM cdp_data.campaign_exposure e JOIN cdp_data.campaign_run r USING (campaign_run_id)
      WHERE e.state = 'sent' AND e.exposed_at >= $1 AND e.exposed_at < $2 AND e.sent_at < $3 GROUP BY 1, 2
    ), told AS MATERIALIZED (
      SELECT x.root, x.run, bool_or(x.effect IN ('open', 'click')) AS opened, bool_or(x.effect = 'click') AS clicked,
        max(x.at) FILTER (WHERE x.effect = 'bounce') >= coalesce(max(x.at) FILTER (WHERE x.effect <> 'bounce'), '-infinity') AS bounced
      FROM (SELECT %1$s AS root, t.properties ->> 'campaign_run' AS run, k.effect, t.occurred_at AS at FROM cdp_internal.feedback_kinds() k JOIN cdp_data.touchpoint t ON t.kind_id = k.kind_id AND k.effect <> 'withdraw'
            WHERE t.flags & 3 = 0 AND t.properties ? 'campaign_run' AND t.occurred_at < $3 AND t.occurred_at >= $1 OFFSET 0) x
      GROUP BY 1, 2
    )
    SELECT s.root, s.at, coalesce(t.opened OR NOT t.bounced, true), coalesce(t.opened, false), coalesce(t.clicked, false) FROM sent s LEFT JOIN told t ON t.root = s.root AND t.run = s.run$query$, cdp_internal.touchpoint_root_sql())
  USING since, until, as_of;
END
$$;
COMMENT ON FUNCTION cdp_internal.crm_messages(timestamptz, timestamptz, timestamptz) IS
'Messages of runs that were sent before as_of to customers (roots) exposed from since to before until, and what came of them before as_of: whether they arrived (no bounce, or something that shows arrival after it), an open (or click) and a click of theirs. Who was exposed under two ids that are one now counts once for a run.';

CREATE OR REPLACE FUNCTION cdp.segment_pipeline(segments text[] DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  customer_kinds text[] DEFAULT '{deal_won,purchase,order,subscription}', lead_within interval DEFAULT NULL, stages text[] DEFAULT NULL,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error')
RETURNS TABLE (segment text, sent bigint, delivered bigint, opened bigint, clicked bigint, open_rate numeric, click_rate numeric,
  leads bigint, lead_customers bigint, lead_to_customer_rate numeric,
  opportunities bigint, open bigint, won bigint, lost bigint, reopened bigint, win_rate numeric, open_value numeric, won_value numeric, average_won_value numeric,
  average_days_to_close numeric, velocity numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := coalesce(as_of, now());
  low timestamptz;
  high timestamptz := least(coalesce(until, 'infinity'), coalesce(as_of, now()));
  ids integer[];
  gate bytea;
  least_people integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  low := cdp_internal.require_members_since(since);
  least_people := cdp_internal.minimum_audience();
  gate := cdp_internal.consent_gate('analytics');
  IF gate IS NOT NULL THEN
    RAISE NOTICE 'customers without consent to analytics are left out';
  END IF;
  ids := CASE WHEN segments IS NULL THEN ARRAY(SELECT s.segment_id FROM cdp_data.segment s WHERE s.state IN ('active', 'paused'))
    ELSE ARRAY(SELECT (cdp_internal.segment_of(n)).segment_id FROM unnest(segments) n) END;
  RETURN QUERY
  WITH fact AS MATERIALIZED (
    SELECT row_number() OVER () AS n, f.* FROM (
      SELECT 'message' AS what, m.root, m.at, m.opened AS yes, m.clicked AS also, m.arrived, NULL::text AS state, NULL::numeric AS amount, NULL::numeric AS days, 0::bigint AS again
      FROM cdp_internal.crm_messages(low, high, at) m
      UNION ALL
      SELECT 'lead', l.root, l.lead_at, l.became, NULL, NULL, NULL, NULL, NULL, 0 FROM cdp_internal.crm_leads(at, customer_kinds, lead_within) l WHERE l.lead_at >= low AND l.lead_at < high
      UNION ALL
      SELECT 'opportunity', o.root, o.opened_at, o.stage = ANY (segment_pipeline.stages), NULL, NULL, o.state, o.amount, extract(epoch FROM o.closed_at - o.opened_at) / 86400, o.reopened
      FROM cdp_internal.opportunities(at, segment_pipeline.currency, segment_pipeline.missing_rate) o WHERE o.opened_at >= low AND o.opened_at < high AND o.state <> 'merged') f
    WHERE gate IS NULL OR cdp_internal.bitmap_has(gate, f.root)
  ), place AS (
    SELECT NULL::integer AS segment_id, f.n FROM fact f
    UNION ALL
    SELECT m.segment_id, m.n FROM (SELECT array_agg(f.root ORDER BY f.n) AS roots, array_agg(f.at ORDER BY f.n) AS moments FROM fact f) a
      CROSS JOIN LATERAL cdp_internal.members_then(ids, a.roots, a.moments) m
  ), total AS (
    SELECT p.segment_id,
      count(*) FILTER (WHERE f.what = 'message') AS sent, count(*) FILTER (WHERE f.arrived) AS delivered, count(*) FILTER (WHERE f.what = 'message' AND f.yes) AS opened, count(*) FILTER (WHERE f.what = 'message' AND f.also) AS clicked,
      count(*) FILTER (WHERE f.what = 'lead') AS leads, count(*) FILTER (WHERE f.what = 'lead' AND f.yes) AS became,
      count(*) FILTER (WHERE f.what = 'opportunity') AS opportunities, count(*) FILTER (WHERE f.state = 'open') AS open, count(*) FILTER (WHERE f.state = 'won') AS won, count(*) FILTER (WHERE f.state = 'lost') AS lost,
      coalesce(sum(f.again) FILTER (WHERE f.what = 'opportunity'), 0)::bigint AS reopened, coalesce(sum(f.amount) FILTER (WHERE f.state = 'open'), 0) AS open_value,
      coalesce(sum(f.amount) FILTER (WHERE f.state = 'won'), 0) AS won_value, avg(f.amount) FILTER (WHERE f.state = 'won') AS won_average, avg(f.days) FILTER (WHERE f.state = 'won') AS days,
      count(*) FILTER (WHERE f.state = 'open' AND (segment_pipeline.stages IS NULL OR f.yes)) AS counted,
      count(DISTINCT f.root) FILTER (WHERE f.what = 'message') AS sent_people, count(DISTINCT f.root) FILTER (WHERE f.arrived) AS delivered_people, count(DISTINCT f.root) FILTER (WHERE f.what = 'message' AND f.yes) AS opened_people, count(DISTINCT f.root) FILTER (WHERE f.what = 'message' AND f.also) AS clicked_people,
      count(DISTINCT f.root) FILTER (WHERE f.what = 'opportunity') AS people, count(DISTINCT f.root) FILTER (WHERE f.state = 'open') AS open_people, count(DISTINCT f.root) FILTER (WHERE f.state = 'won') AS won_people,
      count(DISTINCT f.root) FILTER (WHERE f.state = 'lost') AS lost_people
    FROM place p JOIN fact f USING (n) GROUP BY p.segment_id
  ), row AS (
    SELECT x.segment_id, x.name, t.*, e.sent_people AS all_sent, e.leads AS all_leads, e.people AS all_people
    FROM (SELECT s.segment_id, s.name::text FROM cdp_data.segment s WHERE s.segment_id = ANY (ids) UNION ALL SELECT NULL, NULL) x (segment_id, name)
      LEFT JOIN total t ON t.segment_id IS NOT DISTINCT FROM x.segment_id LEFT JOIN total e ON e.segment_id IS NULL
  ), shown AS (
    -- Fewer people than the minimum are not told: neither those in a figure, nor those that another one leaves over.
    SELECT r.*, NOT cdp_internal.tells_few(ARRAY[r.sent_people, r.all_sent - r.sent_people], least_people) AS messages_shown,
      NOT cdp_internal.tells_few(ARRAY[r.delivered_people, r.sent_people - r.delivered_people, r.opened_people, r.delivered_people - r.opened_people, r.clicked_people, r.opened_people - r.clicked_people], least_people) AS opens_shown,
      NOT cdp_internal.tells_few(ARRAY[r.leads, r.all_leads - r.leads], least_people) AS leads_shown, NOT cdp_internal.tells_few(ARRAY[r.became, r.leads - r.became], least_people) AS became_shown,
      NOT cdp_internal.tells_few(ARRAY[r.people, r.all_people - r.people], least_people) AS deals_shown, NOT cdp_internal.tells_few(ARRAY[r.open_people, r.won_people, r.lost_people], least_people) AS ends_shown
    FROM row r
  )
  SELECT s.name, CASE WHEN s.messages_shown THEN coalesce(s.sent, 0) END, CASE WHEN s.messages_shown AND s.opens_shown THEN coalesce(s.delivered, 0) END, CASE WHEN s.messages_shown AND s.opens_shown THEN coalesce(s.opened, 0) END, CASE WHEN s.messages_shown AND s.opens_shown THEN coalesce(s.clicked, 0) END,
    CASE WHEN s.messages_shown AND s.opens_shown THEN round(s.opened::numeric / nullif(s.delivered, 0), 6) END, CASE WHEN s.messages_shown AND s.opens_shown THEN round(s.clicked::numeric / nullif(s.delivered, 0), 6) END,
    CASE WHEN s.leads_shown THEN coalesce(s.leads, 0) END, CASE WHEN s.leads_shown AND s.became_shown THEN coalesce(s.became, 0) END, CASE WHEN s.leads_shown AND s.became_shown THEN round(s.became::numeric / nullif(s.leads, 0), 6) END,
    CASE WHEN s.deals_shown THEN coalesce(s.opportunities, 0) END, d.open, d.won, d.lost, d.reopened, d.win_rate, d.open_value, d.won_value, d.won_average, d.days,
    round(d.counted * d.win_rate_exact * d.won_exact / nullif(d.days_exact, 0), 6)
  FROM shown s LEFT JOIN LATERAL (
    SELECT coalesce(s.open, 0) AS open, coalesce(s.won, 0) AS won, coalesce(s.lost, 0) AS lost, coalesce(s.reopened, 0) AS reopened, s.won::numeric / nullif(s.won + s.lost, 0) AS win_rate_exact,
      round(s.won::numeric / nullif(s.won + s.lost, 0), 6) AS win_rate, coalesce(s.open_value, 0) AS open_value, coalesce(s.won_value, 0) AS won_value, s.won_average AS won_exact, round(s.won_average, 6) AS won_average,
      s.days AS days_exact, round(s.days, 6) AS days, s.counted
    WHERE s.deals_shown AND s.ends_shown) d ON true
  ORDER BY s.name COLLATE "C" NULLS FIRST;
END
$$;
COMMENT ON FUNCTION cdp.segment_pipeline(text[], timestamptz, timestamptz, timestamptz, text[], interval, text[], text, text) IS
'Messages, leads and opportunities by segment, a row for each (NULL: every active or paused one) and one for everybody (segment NULL). Something belongs to a segment when its customer was a member at that moment: of exposure, of the first lead, of the opening of the opportunity; since <= moment < until, and what came of it before as_of (default now). sent: messages that deliverers reported sent; delivered: of them those that did not bounce, or of which something shows that they arrived after all; open_rate = opened / delivered, click_rate = clicked / delivered (who clicked has opened). leads: customers whose first touchpoint of kind lead it is; lead_customers of them bought (customer_kinds) then or after, within lead_within; lead_to_customer_rate = lead_customers / leads. opportunities = open + won + lost, as cdp_internal.opportunities() has them; those merged into another one count nowhere; reopened: how often one was opened again. win_rate = won / (won + lost); open_value, won_value: sums of amounts, average_won_value over won ones whose amount is known, in the reporting currency by dated rates; average_days_to_close: of won ones, from opening to closing, days of 24 hours. velocity = open x win_rate x average_won_value / average_days_to_close: money a day; stages: of open ones only those in these stages count in it. Rates and velocity are NULL where a divisor is 0 or nothing was won. Six decimals. Customers without consent to analytics are left out (a NOTICE says so). With cdp_data.setting.minimum_audience figures about fewer people, or that leave fewer over, are NULL. Reads only. Errors: 42704 no such segment; 22023 unknown kinds or currency, kinds or properties that are not for analytics (E_PURPOSE), a time whose transitions are no longer kept; 22000 no rate.';

CREATE OR REPLACE FUNCTION cdp_internal.tells_few(people bigint[], least_people integer) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM unnest(people) n WHERE n BETWEEN 1 AND least_people - 1);
COMMENT ON FUNCTION cdp_internal.tells_few(bigint[], integer) IS 'Whether one of these numbers of people is more than nobody and below the minimum (NULL: none is).';

CREATE OR REPLACE FUNCTION cdp.opportunity_stages(stages text[], segment text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (stage integer, name text, opportunities bigint, went_on bigint, conversion numeric, stays bigint, went_back bigint, lost bigint, staying bigint, median_days numeric, mean_days numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := coalesce(as_of, now());
  low timestamptz;
  high timestamptz := least(coalesce(until, 'infinity'), coalesce(as_of, now()));
  id integer[] := '{}';
  gate bytea;
  least_people integer;
  options jsonb;
  result cdp.stage_partial;
  few integer[];
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  low := cdp_internal.require_members_since(since);
  IF segment IS NOT NULL THEN
    id := ARRAY[(cdp_internal.segment_of(segment)).segment_id];
  END IF;
  gate := cdp_internal.consent_gate('analytics');
  options := cdp.stage_options((SELECT jsonb_agg(jsonb_build_object('name', s, 'enter', jsonb_build_array(s)) ORDER BY n) FROM unnest(stages || '(won)'::text) WITH ORDINALITY AS u (s, n)),
    exits => '{(lost)}', back => true, as_of => at);
  WITH chosen AS MATERIALIZED (
    SELECT row_number() OVER () AS n, o.source_id, o.opportunity, o.root, o.opened_at FROM cdp_internal.opportunities(at, NULL, 'zero') o
    WHERE o.opened_at >= low AND o.opened_at < high AND o.state <> 'merged' AND (gate IS NULL OR cdp_internal.bitmap_has(gate, o.root))
  ), kept AS MATERIALIZED (
    SELECT c.* FROM chosen c
    WHERE segment IS NULL OR c.n IN (
      SELECT m.n FROM (SELECT array_agg(x.root ORDER BY x.n) AS roots, array_agg(x.opened_at ORDER BY x.n) AS moments FROM chosen x) a CROSS JOIN LATERAL cdp_internal.members_then(id, a.roots, a.moments) m)
  ), row AS MATERIALIZED (
    SELECT k.n, k.root, e.at, CASE e.what WHEN 'won' THEN '(won)' WHEN 'lost' THEN '(lost)' ELSE e.stage END AS label
    FROM kept k JOIN cdp_internal.opportunity_events(at, NULL, 'zero') e USING (source_id, opportunity)
  )
  SELECT (SELECT cdp.stage_pass(r.n, r.at, r.label, options) FROM row r),
    ARRAY(SELECT array_position(stages || '(won)'::text, r.label) FROM row r WHERE r.label = ANY (stages || '(won)'::text) GROUP BY 1 HAVING count(DISTINCT r.root) < least_people)
    INTO result, few;
  RETURN QUERY
  SELECT t.stage, t.name, x.customers, x.converted, x.conversion, x.stays, x.went_back, x.exited, x.staying, x.median, x.mean
  FROM cdp.stage_table(result) t LEFT JOIN LATERAL (
    SELECT t.customers, t.converted, t.conversion, t.stays, t.went_back, t.exited, t.staying, round(extract(epoch FROM t.median_time) / 86400, 6) AS median, round(extract(epoch FROM t.mean_time) / 86400, 6) AS mean
    WHERE t.stage <> ALL (few)
      AND NOT cdp_internal.tells_few(ARRAY[t.converted, t.customers - t.converted, t.went_back, t.exited, t.staying], least_people)) x ON true
  ORDER BY t.stage;
END
$$;
COMMENT ON FUNCTION cdp.opportunity_stages(text[], text, timestamptz, timestamptz, timestamptz) IS
'How far opportunities opened from since to before until get through these stages, in order, and the last one, (won): SELECT * FROM cdp.opportunity_stages(''{qualified,proposal,negotiation}''). A walk of cdp.stage_pass() over what the CRM told before as_of (default now): a stage may be skipped or gone back to, a deal lost ends the walk, one opened again begins another. opportunities: how many entered the stage; went_on of them came to a later one; conversion = went_on / opportunities; stays: how often it was entered, and how they ended: went_back to an earlier stage, lost, staying there still; median and mean days (of 24 hours) of the stays that ended, six decimals. segment: only those whose customer was a member when they were opened. Opportunities merged into others count nowhere. Customers without consent to analytics are left out. With cdp_data.setting.minimum_audience a row that tells of fewer people has no figures. No rows over none. Reads only. Errors: 42704 no such segment, 22023 a stage twice, E_PURPOSE, a time whose transitions are no longer kept.';

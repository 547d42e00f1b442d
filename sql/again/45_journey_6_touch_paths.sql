-- Retention, paths, stages and sessions over our own touchpoints. Figures of fewer people than the minimum audience
-- are hidden, and with them what they could be had from.

CREATE OR REPLACE FUNCTION cdp_internal.shown_parts(people bigint[], least_people integer) RETURNS boolean[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
  WITH part AS (SELECT u.o, u.n, coalesce(u.n BETWEEN 1 AND least_people - 1, false) AS small FROM unnest(people) WITH ORDINALITY u (n, o)),
  beside AS (SELECT p.o FROM part p WHERE p.n > 0 AND NOT p.small AND EXISTS (SELECT FROM part s WHERE s.small) ORDER BY p.n, p.o LIMIT 1)
  SELECT array_agg(NOT p.small AND p.o NOT IN (SELECT b.o FROM beside b) ORDER BY p.o) FROM part p);
COMMENT ON FUNCTION cdp_internal.shown_parts(bigint[], integer) IS
'Which parts of a whole may show their figures: nobody or at least so many people; beside a hidden part the smallest other one is hidden, too, or the whole less what is shown would tell it. Without a minimum all. NULL for no parts.';

CREATE OR REPLACE FUNCTION cdp_internal.shown_links(sources text[], targets text[], people bigint[], least_people integer) RETURNS boolean[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  hidden boolean[] := ARRAY(SELECT coalesce(coalesce(p, 1) BETWEEN 1 AND least_people - 1, false) FROM unnest(people) p);
  more bigint[];
BEGIN
  LOOP
    -- In each node whose hidden links are all small, the smallest link that is shown goes with them.
    WITH link AS (
      SELECT u.o, u.n, u.h, e.node FROM unnest(people, hidden, sources, targets) WITH ORDINALITY u (n, h, source, target, o), LATERAL (VALUES ('from ' || source), ('to ' || target)) e (node)
    ), lone AS (SELECT l.node FROM link l GROUP BY l.node HAVING bool_or(l.h) AND NOT coalesce(bool_or(l.h AND l.n >= least_people), false))
    SELECT array_agg(DISTINCT s.o) INTO more FROM (SELECT DISTINCT ON (l.node) l.o FROM link l JOIN lone USING (node) WHERE NOT l.h AND l.n > 0 ORDER BY l.node, l.n, l.o) s;
    EXIT WHEN more IS NULL;
    hidden := ARRAY(SELECT h OR o = ANY (more) FROM unnest(hidden) WITH ORDINALITY u (h, o) ORDER BY o);
  END LOOP;
  RETURN ARRAY(SELECT NOT h FROM unnest(hidden) h);
END $$;
COMMENT ON FUNCTION cdp_internal.shown_links(text[], text[], bigint[], integer) IS
'Which links between nodes may show their figures: those of nobody or at least so many people (NULL people count as too few), and of each node with a hidden link enough are hidden that the node''s sum less the others tells of no fewer. Without a minimum all.';

CREATE OR REPLACE FUNCTION cdp.retention(
  cohort_labels text[] DEFAULT NULL, return_labels text[] DEFAULT NULL, period_length text DEFAULT 'week', periods integer DEFAULT 12, kind text DEFAULT 'exact',
  entry text DEFAULT 'first', counted text DEFAULT 'calendar', entry_returns boolean DEFAULT false, by text DEFAULT 'kind',
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL, time_zone text DEFAULT NULL,
  with_value boolean DEFAULT false, currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (cohort timestamptz, size bigint, period integer, customers bigint, share numeric, value numeric, complete boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  least_people integer;
  options jsonb;
  rows record;
  result cdp.retention_partial;
  r record;
  last_shown bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  as_of := coalesce(as_of, now());
  options := cdp.retention_options(cohort_labels, return_labels, entry, kind, period_length, periods, counted, entry_returns,
    coalesce(time_zone, (SELECT s.timezone FROM cdp_data.setting s)), since, until, as_of);
  PERFORM cdp_internal.require_labels(by, cohort_labels, 'cohort_labels');
  PERFORM cdp_internal.require_labels(by, return_labels, 'return_labels');
  IF by = 'kind' AND kinds IS NULL AND cardinality(cohort_labels) > 0 AND cardinality(return_labels) > 0 THEN
    kinds := cohort_labels || return_labels; -- no other row matters
  END IF;
  -- The first row of all decides, so rows before since are read, too.
  rows := cdp_internal.journey_rows(by, NULL, kinds, NULL, as_of, customer_ids, bots, internal, currency, missing_rate);
  EXECUTE format('SELECT cdp.retention_pass(r.key, r.at, r.label, %L::jsonb%s) FROM (%s) r', options, CASE WHEN with_value THEN ', r.value' END, rows.query)
    INTO result
    USING rows.names, rows.codes, rows.campaigns, rows.breakdown_names, rows.breakdown_codes, rows.breakdown_campaigns, rows.members, rows.roots, rows.gate;
  PERFORM cdp.require_audience((SELECT s.customers FROM cdp.retention_summary(result) s));
  FOR r IN
    WITH cell AS MATERIALIZED (SELECT t.*, row_number() OVER () AS nr FROM cdp.retention_table(result) t),
    whole AS (SELECT array_agg(c.cohort ORDER BY c.cohort) AS cohorts, cdp_internal.shown_parts(array_agg(c.size ORDER BY c.cohort), least_people) AS shown FROM cell c WHERE c.period = 0)
    SELECT c.*, w.shown FROM cell c JOIN (SELECT u.* FROM whole, unnest(whole.cohorts, whole.shown) u (cohort, shown)) w ON w.cohort = c.cohort ORDER BY c.nr
  LOOP
    IF r.period = 0 THEN
      last_shown := CASE WHEN options->>'kind' = 'cumulative' THEN 0 ELSE r.size END;
    END IF;
    -- Neither those who came back, nor those who did not, nor what they differ from the period before by, may be few.
    IF NOT r.shown OR coalesce(r.customers BETWEEN 1 AND least_people - 1 OR r.size - r.customers BETWEEN 1 AND least_people - 1
        OR options->>'kind' <> 'exact' AND abs(r.customers - last_shown) BETWEEN 1 AND least_people - 1, false) THEN
      r.customers := NULL; r.share := NULL; r.value := NULL;
    ELSE
      last_shown := r.customers;
    END IF;
    cohort := r.cohort; size := CASE WHEN r.shown THEN r.size END; period := r.period; customers := r.customers; share := r.share;
    value := CASE WHEN with_value THEN r.value END; complete := r.complete;
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION cdp.retention(text[], text[], text, integer, text, text, text, boolean, text, timestamptz, timestamptz, timestamptz, text, boolean, text, text, text[], bigint[], boolean, boolean) IS
'Retention over our own touchpoints; columns as cdp.retention_table(). Labels are kinds (default), or by: channel, channel_group, campaign, source, origin or property:KEY. cohort_labels, return_labels, periods, kind, entry, counted, entry_returns, since and until (of the entry) as cdp.retention_options(); period_length is its period. as_of: default now; time_zone: default that of setup. with_value => true sums the value of returns in currency (default that of setup), refunds taken off; a missing rate is an error, or 0 with missing_rate => ''zero''; else value is NULL. kinds: only touchpoints of these. customer_ids: only these, by any id that was merged into them. Bots and internal traffic are left out unless asked for. The first touchpoint of all decides on the cohort, also one before since. Merges, unmerges and erasures count at once; customers without consent to analytics are left out (a NOTICE says so). With cdp_data.setting.minimum_audience: error 42501 when fewer people entered at all, and NULL for figures of fewer people and for what would tell them. Errors 22023 for unknown words, kinds and channels, and for what may not be used for analytics (E_PURPOSE). Reads only.';

CREATE OR REPLACE FUNCTION cdp_internal.path_scan(options jsonb, by text, kinds text[], customer_ids bigint[], bots boolean, internal boolean) RETURNS cdp.path_partial
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  name text;
  named text[];
  reach timestamptz := (options->>'until')::timestamptz;
  rows record;
  result cdp.path_partial;
BEGIN
  FOREACH name IN ARRAY '{starts,ends,labels,leave_out}'::text[] LOOP
    named := ARRAY(SELECT jsonb_array_elements_text(options->name));
    PERFORM cdp_internal.require_labels(by, named, name);
  END LOOP;
  IF by = 'kind' AND kinds IS NULL AND options->'labels' <> '[]' THEN
    kinds := ARRAY(SELECT jsonb_array_elements_text((options->'labels') || (options->'starts') || (options->'ends'))); -- no other row matters
  END IF;
  IF options->'starts' <> '[]' OR options->'ends' = '[]' THEN
    reach := cdp_internal.journey_end(reach, nullif(options->>'within', 'unbounded')::interval);
  END IF;
  -- Where a sequence begins, and which row is its first start, what lies before since decides.
  rows := cdp_internal.journey_rows(by, NULL, kinds, NULL, least((options->>'as_of')::timestamptz, reach), customer_ids, bots, internal);
  EXECUTE format('SELECT cdp.path_pass(r.key, r.at, r.label, %L::jsonb, r.id) FROM (%s) r', options, rows.query)
    INTO result
    USING rows.names, rows.codes, rows.campaigns, rows.breakdown_names, rows.breakdown_codes, rows.breakdown_campaigns, rows.members, rows.roots, rows.gate;
  PERFORM cdp.require_audience((SELECT s.customers FROM cdp.path_summary(result) s));
  RETURN result;
END $$;
COMMENT ON FUNCTION cdp_internal.path_scan(jsonb, text, text[], bigint[], boolean, boolean) IS
'A path pass over our touchpoints, those of one time in the order of their ids; NULL over none. Error 42501 when its paths are of fewer people than the minimum audience.';

CREATE OR REPLACE FUNCTION cdp.paths(
  starts text[] DEFAULT NULL, ends text[] DEFAULT NULL, by text DEFAULT 'kind', top integer DEFAULT 20, max_steps integer DEFAULT 10, occurrence text DEFAULT NULL,
  labels text[] DEFAULT NULL, leave_out text[] DEFAULT NULL, collapse boolean DEFAULT false, gap interval DEFAULT NULL, within interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (rank integer, steps text[], cut boolean, paths bigint, customers bigint, share numeric, median_time interval, mean_time interval, p90_time interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  least_people integer;
  shown integer;
  result cdp.path_partial;
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  result := cdp_internal.path_scan(cdp.path_options(starts, ends, occurrence, labels, leave_out, collapse, gap, within, max_steps, since => since, until => until, as_of => as_of),
    by, kinds, customer_ids, bots, internal);
  IF least_people IS NULL OR top < 1 THEN -- which it refuses
    RETURN QUERY SELECT * FROM cdp.path_top(result, top);
    RETURN;
  END IF;
  -- Paths of few people are among the others, and the others are never only such.
  SELECT coalesce(min(p.rank) FILTER (WHERE p.customers < least_people) - 1, count(*))::integer INTO shown FROM cdp.path_top(result, NULL) p;
  shown := least(shown, top);
  IF EXISTS (SELECT FROM cdp.path_top(result, NULL) p WHERE p.rank > shown) AND NOT EXISTS (SELECT FROM cdp.path_top(result, NULL) p WHERE p.rank > shown AND p.customers >= least_people) THEN
    shown := shown - 1;
  END IF;
  IF shown > 0 THEN
    RETURN QUERY SELECT * FROM cdp.path_top(result, shown);
  ELSE
    RETURN QUERY SELECT NULL::integer, NULL::text[], NULL::boolean, s.paths, s.customers, 1::numeric, NULL::interval, NULL::interval, NULL::interval FROM cdp.path_summary(result) s WHERE s.paths > 0;
  END IF;
END $$;
COMMENT ON FUNCTION cdp.paths(text[], text[], text, integer, integer, text, text[], text[], boolean, interval, interval, timestamptz, timestamptz, timestamptz, text[], bigint[], boolean, boolean) IS
'The ways that most customers go, over our own touchpoints; columns and top as cdp.path_top(). Labels are kinds (default), or by: channel, channel_group, campaign, source, origin or property:KEY. starts, ends, max_steps, occurrence, labels, leave_out, collapse, gap, within, since, until and as_of as cdp.path_options(); touchpoints of one time are in the order of their ids. kinds, customer_ids, bots, internal, consent, merges and errors as cdp.retention(). With cdp_data.setting.minimum_audience: error 42501 when the paths are of fewer people, and paths of fewer people are among the rest. Reads only.';

CREATE OR REPLACE FUNCTION cdp.journey_links(
  starts text[] DEFAULT NULL, ends text[] DEFAULT NULL, by text DEFAULT 'kind', top integer DEFAULT 10, max_steps integer DEFAULT 5, occurrence text DEFAULT NULL,
  labels text[] DEFAULT NULL, leave_out text[] DEFAULT NULL, collapse boolean DEFAULT false, gap interval DEFAULT NULL, within interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (step integer, from_node text, to_node text, from_label text, to_label text, paths bigint, customers bigint, share numeric, of_from numeric, median_time interval, mean_time interval, p90_time interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  result cdp.path_partial;
BEGIN
  PERFORM cdp_internal.require_setup();
  result := cdp_internal.path_scan(cdp.path_options(starts, ends, occurrence, labels, leave_out, collapse, gap, within, max_steps, whole_paths => false, since => since, until => until, as_of => as_of),
    by, kinds, customer_ids, bots, internal);
  RETURN QUERY
  WITH link AS MATERIALIZED (SELECT l.*, row_number() OVER () AS nr FROM cdp.path_links(result, top) l),
  seen AS (SELECT cdp_internal.shown_links(array_agg(l.from_node ORDER BY l.nr), array_agg(l.to_node ORDER BY l.nr), array_agg(l.customers ORDER BY l.nr), cdp_internal.minimum_audience()) AS shown FROM link l)
  SELECT l.step, l.from_node, l.to_node, l.from_label, l.to_label, l.paths, l.customers, l.share, l.of_from, l.median_time, l.mean_time, l.p90_time
  FROM link l, seen s WHERE s.shown[l.nr] ORDER BY l.nr;
END $$;
COMMENT ON FUNCTION cdp.journey_links(text[], text[], text, integer, integer, text, text[], text[], boolean, interval, interval, timestamptz, timestamptz, timestamptz, text[], bigint[], boolean, boolean) IS
'The links of paths over our own touchpoints, ready for a Sankey diagram; columns and top as cdp.path_links(), arguments as cdp.paths(). With cdp_data.setting.minimum_audience: error 42501 when the paths are of fewer people; links of fewer people have no row, nor have those that would tell them. Reads only.';

CREATE OR REPLACE FUNCTION cdp.journey_loops(
  starts text[] DEFAULT NULL, ends text[] DEFAULT NULL, by text DEFAULT 'kind', max_steps integer DEFAULT 100, occurrence text DEFAULT NULL,
  labels text[] DEFAULT NULL, leave_out text[] DEFAULT NULL, collapse boolean DEFAULT false, gap interval DEFAULT NULL, within interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (label text, self_loops bigint, self_customers bigint, returns bigint, return_customers bigint, median_return interval, mean_return interval, p90_return interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  least_people integer;
  result cdp.path_partial;
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  result := cdp_internal.path_scan(cdp.path_options(starts, ends, occurrence, labels, leave_out, collapse, gap, within, max_steps, whole_paths => false, since => since, until => until, as_of => as_of),
    by, kinds, customer_ids, bots, internal);
  RETURN QUERY
  SELECT l.label, CASE WHEN s.own THEN l.self_loops END, CASE WHEN s.own THEN l.self_customers END, CASE WHEN s.back THEN l.returns END, CASE WHEN s.back THEN l.return_customers END,
    CASE WHEN s.back THEN l.median_return END, CASE WHEN s.back THEN l.mean_return END, CASE WHEN s.back THEN l.p90_return END
  FROM cdp.path_loops(result) l, LATERAL (SELECT NOT coalesce(l.self_customers BETWEEN 1 AND least_people - 1, false) AS own, NOT coalesce(l.return_customers BETWEEN 1 AND least_people - 1, false) AS back) s
  WHERE s.own AND l.self_loops > 0 OR s.back AND l.returns > 0
  ORDER BY l.label COLLATE "C";
END $$;
COMMENT ON FUNCTION cdp.journey_loops(text[], text[], text, integer, text, text[], text[], boolean, interval, interval, timestamptz, timestamptz, timestamptz, text[], bigint[], boolean, boolean) IS
'How often paths over our own touchpoints repeat a label at once or come back to it after others; columns as cdp.path_loops(), arguments as cdp.paths(); max_steps: default 100, the longest. With cdp_data.setting.minimum_audience: error 42501 when the paths are of fewer people; figures of fewer people are NULL, labels without another have no row. Reads only.';

CREATE OR REPLACE FUNCTION cdp.sessions(
  gap interval DEFAULT '30 minutes', longest interval DEFAULT NULL, starts text[] DEFAULT NULL, by text DEFAULT 'kind', by_campaign boolean DEFAULT false,
  period_length text DEFAULT 'day', since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL, time_zone text DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (starts_at timestamptz, sessions bigint, customers bigint, rows bigint, bounces bigint, bounced bigint, bounce_rate numeric, median_length interval, mean_length interval, p90_length interval,
  median_rows numeric, mean_rows numeric, p90_rows numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  least_people integer;
  options jsonb;
  source record;
  result cdp.session_partial;
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  options := cdp.session_options(gap, longest, starts, period_length, coalesce(time_zone, (SELECT s.timezone FROM cdp_data.setting s)), since => since, until => until, as_of => as_of);
  PERFORM cdp_internal.require_labels(by, starts, 'starts');
  -- Whether a session began before since only earlier touchpoints tell.
  source := cdp_internal.journey_rows(by, CASE WHEN by_campaign THEN 'campaign' END, kinds, NULL, as_of, customer_ids, bots, internal);
  EXECUTE format('SELECT cdp.session_pass(r.key, r.at, r.label, %L::jsonb, nullif(r.breakdown, ''(unknown)''), r.id) FROM (%s) r', options, source.query)
    INTO result
    USING source.names, source.codes, source.campaigns, source.breakdown_names, source.breakdown_codes, source.breakdown_campaigns, source.members, source.roots, source.gate;
  PERFORM cdp.require_audience((SELECT s.customers FROM cdp.session_summary(result) s));
  RETURN QUERY
  WITH part AS MATERIALIZED (SELECT t.*, row_number() OVER () AS nr FROM cdp.session_table(result) t),
  seen AS (SELECT cdp_internal.shown_parts(array_agg(p.customers ORDER BY p.nr), least_people) AS shown FROM part p WHERE p.starts_at IS NOT NULL),
  -- Few who bounced, or few sessions that did not, are told by nothing beside them either.
  cell AS (SELECT p.*, p.starts_at IS NULL OR s.shown[p.nr] AS whole, NOT coalesce(p.bounced BETWEEN 1 AND least_people - 1 OR p.sessions - p.bounces BETWEEN 1 AND least_people - 1, false) AS open FROM part p, seen s),
  bounce AS (SELECT cdp_internal.shown_parts(array_agg(CASE WHEN c.open THEN c.bounced ELSE 1 END ORDER BY c.nr), least_people) AS shown FROM cell c WHERE c.starts_at IS NOT NULL),
  told AS (SELECT c.*, c.whole AND CASE WHEN c.starts_at IS NULL THEN c.open ELSE b.shown[c.nr] END AS bounce_shown FROM cell c, bounce b)
  SELECT c.starts_at, CASE WHEN c.whole THEN c.sessions END, CASE WHEN c.whole THEN c.customers END, CASE WHEN c.whole THEN c.rows END,
    CASE WHEN c.bounce_shown THEN c.bounces END, CASE WHEN c.bounce_shown THEN c.bounced END, CASE WHEN c.bounce_shown THEN c.bounce_rate END,
    CASE WHEN c.whole THEN c.median_length END, CASE WHEN c.whole THEN c.mean_length END, CASE WHEN c.whole THEN c.p90_length END,
    CASE WHEN c.whole THEN c.median_rows END, CASE WHEN c.whole THEN c.mean_rows END, CASE WHEN c.whole THEN c.p90_rows END
  FROM told c ORDER BY c.nr;
END $$;
COMMENT ON FUNCTION cdp.sessions(interval, interval, text[], text, boolean, text, timestamptz, timestamptz, timestamptz, text, text[], bigint[], boolean, boolean) IS
'Sessions over our own touchpoints by period, and all together in the last row; columns as cdp.session_table(). gap, longest, starts (labels: kinds, or by channel, channel_group, campaign, source, origin or property:KEY), since, until (of a session''s first touchpoint) and as_of as cdp.session_options(); period_length is its period, time_zone by default that of setup. by_campaign => true: another campaign begins a session, touchpoints without one change nothing. Touchpoints of one time are in the order of their ids. kinds, customer_ids, bots, internal, consent, merges and errors as cdp.retention(). With cdp_data.setting.minimum_audience: error 42501 when the sessions are of fewer people, and NULL for figures of fewer people and for what would tell them. Reads only.';

CREATE OR REPLACE FUNCTION cdp_internal.stage_scan(options jsonb, by text, kinds text[], customer_ids bigint[], bots boolean, internal boolean) RETURNS cdp.stage_partial
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  named text[] := ARRAY(SELECT l FROM jsonb_array_elements(options->'stages') s, jsonb_array_elements_text((s->'enter') || (s->'engage')) l);
  exits text[] := ARRAY(SELECT jsonb_array_elements_text(options->'exits'));
  rows record;
  result cdp.stage_partial;
BEGIN
  PERFORM cdp_internal.require_labels(by, named, 'stages');
  PERFORM cdp_internal.require_labels(by, exits, 'exits');
  IF by = 'kind' AND kinds IS NULL THEN
    kinds := named || exits; -- no other row matters
  END IF;
  rows := cdp_internal.journey_rows(by, NULL, kinds, NULL, (options->>'as_of')::timestamptz, customer_ids, bots, internal);
  EXECUTE format('SELECT cdp.stage_pass(r.key, r.at, r.label, %L::jsonb, r.id) FROM (%s) r', options, rows.query)
    INTO result
    USING rows.names, rows.codes, rows.campaigns, rows.breakdown_names, rows.breakdown_codes, rows.breakdown_campaigns, rows.members, rows.roots, rows.gate;
  RETURN result;
END $$;
COMMENT ON FUNCTION cdp_internal.stage_scan(jsonb, text, text[], bigint[], boolean, boolean) IS
'A stage pass over our touchpoints, those of one time in the order of their ids; NULL over none.';

CREATE OR REPLACE FUNCTION cdp_internal.stage_flows_shown(result cdp.stage_partial)
RETURNS TABLE (from_stage integer, from_name text, to_stage integer, to_name text, back boolean, stays bigint, customers bigint, share numeric, median_time interval, mean_time interval, p90_time interval, shown boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM cdp.require_audience((SELECT s.customers FROM cdp.stage_summary(result) s));
  RETURN QUERY
  WITH flow AS MATERIALIZED (SELECT f.*, row_number() OVER () AS nr FROM cdp.stage_flows(result) f),
  seen AS (SELECT cdp_internal.shown_links(array_agg(coalesce(f.from_stage, 0)::text ORDER BY f.nr), array_agg(coalesce(f.to_stage::text, f.to_name) ORDER BY f.nr), array_agg(f.customers ORDER BY f.nr), cdp_internal.minimum_audience()) AS shown FROM flow f)
  SELECT f.from_stage, f.from_name, f.to_stage, f.to_name, f.back, f.stays, f.customers, f.share, f.median_time, f.mean_time, f.p90_time, s.shown[f.nr] FROM flow f, seen s ORDER BY f.nr;
END $$;
COMMENT ON FUNCTION cdp_internal.stage_flows_shown(cdp.stage_partial) IS
'The flows of a stage pass, and which of them may be shown for the minimum audience. Error 42501 when the journeys are of fewer people.';

CREATE OR REPLACE FUNCTION cdp.journey_flows(
  stages jsonb, skip boolean DEFAULT true, back_too boolean DEFAULT false, exits text[] DEFAULT NULL, idle interval DEFAULT NULL, by text DEFAULT 'kind',
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (from_stage integer, from_name text, to_stage integer, to_name text, back boolean, stays bigint, customers bigint, share numeric, median_time interval, mean_time interval, p90_time interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  options jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  options := cdp.stage_options(stages, skip, back_too, exits, idle, since => since, until => until, as_of => coalesce(as_of, now()));
  RETURN QUERY
  SELECT f.from_stage, f.from_name, f.to_stage, f.to_name, f.back, f.stays, f.customers, f.share, f.median_time, f.mean_time, f.p90_time
  FROM cdp_internal.stage_flows_shown(cdp_internal.stage_scan(options, by, kinds, customer_ids, bots, internal)) f WHERE f.shown;
END $$;
COMMENT ON FUNCTION cdp.journey_flows(jsonb, boolean, boolean, text[], interval, text, timestamptz, timestamptz, timestamptz, text[], bigint[], boolean, boolean) IS
'How customers move between the stages of a journey, over our own touchpoints; columns as cdp.stage_flows(), arguments as cdp.journey_stages(). With cdp_data.setting.minimum_audience: error 42501 when fewer people began; flows of fewer people have no row, nor have those that would tell them. Reads only.';

CREATE OR REPLACE FUNCTION cdp.journey_stages(
  stages jsonb, skip boolean DEFAULT true, back_too boolean DEFAULT false, exits text[] DEFAULT NULL, idle interval DEFAULT NULL, by text DEFAULT 'kind',
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  kinds text[] DEFAULT NULL, customer_ids bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (stage integer, name text, customers bigint, engaged bigint, converted bigint, engagement numeric, conversion numeric, engagements bigint, stays bigint,
  went_on bigint, went_back bigint, exited bigint, dropped bigint, staying bigint, median_time interval, mean_time interval, p90_time interval)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  options jsonb;
  least_people integer;
  result cdp.stage_partial;
BEGIN
  PERFORM cdp_internal.require_setup();
  least_people := cdp_internal.minimum_audience();
  options := cdp.stage_options(stages, skip, back_too, exits, idle, since => since, until => until, as_of => coalesce(as_of, now()));
  result := cdp_internal.stage_scan(options, by, kinds, customer_ids, bots, internal);
  RETURN QUERY
  WITH flow AS MATERIALIZED (SELECT * FROM cdp_internal.stage_flows_shown(result)),
  ends AS (
    SELECT f.from_stage, coalesce(bool_and(f.shown) FILTER (WHERE f.to_stage > f.from_stage), true) AS went_on, coalesce(bool_and(f.shown) FILTER (WHERE f.back), true) AS went_back,
      coalesce(bool_and(f.shown) FILTER (WHERE f.to_name = '(exit)' AND f.to_stage IS NULL), true) AS exited, coalesce(bool_and(f.shown) FILTER (WHERE f.to_name = '(dropped)' AND f.to_stage IS NULL), true) AS dropped,
      coalesce(bool_and(f.shown) FILTER (WHERE f.to_name = '(staying)' AND f.to_stage IS NULL), true) AS staying
    FROM flow f WHERE f.from_stage IS NOT NULL GROUP BY f.from_stage),
  cell AS (
    SELECT t.*, NOT coalesce(t.customers BETWEEN 1 AND least_people - 1, false) AS whole,
      NOT coalesce(t.engaged BETWEEN 1 AND least_people - 1 OR t.customers - t.engaged BETWEEN 1 AND least_people - 1, false) AS open_engaged,
      NOT coalesce(t.converted BETWEEN 1 AND least_people - 1 OR t.customers - t.converted BETWEEN 1 AND least_people - 1, false) AS open_converted,
      coalesce(e.went_on, true) AS on_shown, coalesce(e.went_back, true) AS back_shown, coalesce(e.exited, true) AS exit_shown, coalesce(e.dropped, true) AS dropped_shown, coalesce(e.staying, true) AS staying_shown
    FROM cdp.stage_table(result) t LEFT JOIN ends e ON e.from_stage = t.stage)
  SELECT c.stage, c.name, CASE WHEN c.whole THEN c.customers END, CASE WHEN c.whole AND c.open_engaged THEN c.engaged END, CASE WHEN c.whole AND c.open_converted AND c.on_shown THEN c.converted END,
    CASE WHEN c.whole AND c.open_engaged THEN c.engagement END, CASE WHEN c.whole AND c.open_converted AND c.on_shown THEN c.conversion END, CASE WHEN c.whole AND c.open_engaged THEN c.engagements END,
    CASE WHEN c.whole THEN c.stays END, CASE WHEN c.whole AND c.on_shown THEN c.went_on END, CASE WHEN c.whole AND c.back_shown THEN c.went_back END, CASE WHEN c.whole AND c.exit_shown THEN c.exited END,
    CASE WHEN c.whole AND c.dropped_shown THEN c.dropped END, CASE WHEN c.whole AND c.staying_shown THEN c.staying END,
    CASE WHEN c.whole AND c.on_shown AND c.back_shown AND c.exit_shown THEN c.median_time END, CASE WHEN c.whole AND c.on_shown AND c.back_shown AND c.exit_shown THEN c.mean_time END,
    CASE WHEN c.whole AND c.on_shown AND c.back_shown AND c.exit_shown THEN c.p90_time END
  FROM cell c ORDER BY c.stage;
END $$;
COMMENT ON FUNCTION cdp.journey_stages(jsonb, boolean, boolean, text[], interval, text, timestamptz, timestamptz, timestamptz, text[], bigint[], boolean, boolean) IS
'How far customers are in a journey of stages, over our own touchpoints; columns as cdp.stage_table(). Labels of stages and exits are kinds (default), or by: channel, channel_group, campaign, source, origin or property:KEY. stages, skip, exits, idle, since and until as cdp.stage_options(); back_too is its back; as_of: default now. Touchpoints of one time are in the order of their ids. kinds, customer_ids, bots, internal, consent, merges and errors as cdp.retention(). With cdp_data.setting.minimum_audience: error 42501 when fewer people began, and NULL for figures of fewer people and for what would tell them. No rows over no touchpoints. Reads only.';

CREATE OR REPLACE FUNCTION cdp.journey_state(
  stages jsonb, customer_ids bigint[] DEFAULT NULL, skip boolean DEFAULT true, back_too boolean DEFAULT false, exits text[] DEFAULT NULL, idle interval DEFAULT NULL, by text DEFAULT 'kind',
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL, kinds text[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false)
RETURNS TABLE (customer_id bigint, stage integer, name text, status text, stands_since timestamptz, last_at timestamptz, engagements bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  options jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  options := cdp.stage_options(stages, skip, back_too, exits, idle, customers => true, durations => false, since => since, until => until, as_of => coalesce(as_of, now()));
  RETURN QUERY SELECT s.customer::bigint, s.stage, s.name, s.status, s.since, s.last_at, s.engagements
    FROM cdp.stage_state(cdp_internal.stage_scan(options, by, kinds, customer_ids, bots, internal)) s ORDER BY s.customer::bigint;
  PERFORM cdp_internal.audit_read('journey_state', CASE WHEN cardinality(customer_ids) = 1 THEN cdp_internal.root_of(customer_ids[1]) END);
END $$;
COMMENT ON FUNCTION cdp.journey_state(jsonb, bigint[], boolean, boolean, text[], interval, text, timestamptz, timestamptz, timestamptz, text[], boolean, boolean) IS
'Where each customer stands in a journey of stages, over our own touchpoints, by customer (root id): stage, status active, dropped or exited, since when, time of the last touchpoint of a stage, engagements; as cdp.stage_state(). customer_ids: only these, by any id that was merged into them, read by index. Other arguments, consent, merges and errors as cdp.journey_stages(); the minimum audience is for reports and does not apply. Personal data: each read leaves a row in cdp_data.audit, so it needs a writable session (25006).';

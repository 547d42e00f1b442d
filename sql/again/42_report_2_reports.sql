-- Attribution over our own tables: the reports. cdp.attribution_run() makes the one
-- pass; everything else opens its result or adds spend to it.

CREATE OR REPLACE FUNCTION cdp_internal.attribution_kind_ids(lookback_by_kind jsonb, OUT by_id jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT jsonb_object_agg((cdp_internal.attribution_kinds(ARRAY[e.key], 'lookback'))[1]::text, e.value)
  INTO by_id FROM jsonb_each(lookback_by_kind) e;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_kind_ids(jsonb) IS
'An object keyed by names of kinds as an object keyed by their ids, which is what our own tables hand to the engine. NULL gives NULL; an unknown name is error 22023.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_group_by(group_by text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF group_by IS NULL OR group_by NOT IN ('channel', 'channel_group', 'campaign', 'source', 'origin') THEN
    RAISE EXCEPTION 'unknown grouping "%"', coalesce(group_by, 'NULL')
      USING ERRCODE = 'invalid_parameter_value',
        HINT = 'Use channel, channel_group, campaign, source or origin; for any other label run cdp.attribution_pass over a query.';
  END IF;
  RETURN group_by;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_group_by(text) IS
'Checks the name of a grouping and returns it; error 22023 for an unknown one.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_request(
  models text[] DEFAULT '{last,linear,u_shaped,markov,shapley}', lookback interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL,
  customers bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  lookback_by_kind jsonb DEFAULT NULL, lookback_unbounded boolean DEFAULT false, max_touches integer DEFAULT NULL,
  journey text DEFAULT NULL, exclude text[] DEFAULT NULL, include text[] DEFAULT NULL, collapse boolean DEFAULT NULL,
  conversion_is_touch text DEFAULT NULL, fallback text DEFAULT NULL, two_touch text DEFAULT NULL,
  milestones text[] DEFAULT NULL, null_paths boolean DEFAULT NULL, dialect text DEFAULT NULL,
  paths boolean DEFAULT NULL, credits boolean DEFAULT NULL, OUT options jsonb, OUT own jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  options := cdp.attribution_options(models => models, lookback => lookback,
    lookback_by_kind => cdp_internal.attribution_kind_ids(lookback_by_kind), max_touches => max_touches,
    since => since, until => until, as_of => as_of, journey => journey, exclude => exclude, include => include,
    collapse => collapse, conversion_is_touch => conversion_is_touch, fallback => fallback, two_touch => two_touch,
    milestones => CASE WHEN milestones IS NOT NULL THEN cdp_internal.attribution_kinds(milestones, 'milestone')::text[] END,
    null_paths => null_paths, paths => paths, credits => credits, grouped_by => cdp_internal.attribution_group_by(group_by),
    time_zone => (SELECT s.timezone FROM cdp_data.setting s), dialect => dialect,
    lookback_unbounded => lookback_unbounded);
  own := cdp_internal.attribution_own(conversion_kinds, touch_kinds, customers, bots, internal, currency, missing_rate);
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_request(text[], interval, timestamptz, timestamptz, timestamptz, text, text[], text[], bigint[], boolean, boolean, text, text, jsonb, boolean, integer, text, text[], text[], boolean, text, text, text, text[], boolean, text, boolean, boolean) IS
'The arguments of a report, checked, as the engine''s options and the choices about our own tables.';

CREATE OR REPLACE FUNCTION cdp.attribution_run(
  models text[] DEFAULT '{last,linear,u_shaped,markov,shapley}', lookback interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL,
  customers bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  lookback_by_kind jsonb DEFAULT NULL, lookback_unbounded boolean DEFAULT false, max_touches integer DEFAULT NULL,
  journey text DEFAULT NULL, exclude text[] DEFAULT NULL, include text[] DEFAULT NULL, collapse boolean DEFAULT NULL,
  conversion_is_touch text DEFAULT NULL, fallback text DEFAULT NULL, two_touch text DEFAULT NULL,
  milestones text[] DEFAULT NULL, null_paths boolean DEFAULT NULL, dialect text DEFAULT NULL,
  paths boolean DEFAULT NULL, credits boolean DEFAULT NULL)
RETURNS cdp.attribution_partial
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  request record;
BEGIN
  request := cdp_internal.attribution_request(models => models, lookback => lookback, since => since, until => until, as_of => as_of,
    group_by => group_by, conversion_kinds => conversion_kinds, touch_kinds => touch_kinds, customers => customers,
    bots => bots, internal => internal, currency => currency, missing_rate => missing_rate,
    lookback_by_kind => lookback_by_kind, lookback_unbounded => lookback_unbounded, max_touches => max_touches,
    journey => journey, exclude => exclude, include => include, collapse => collapse,
    conversion_is_touch => conversion_is_touch, fallback => fallback, two_touch => two_touch,
    milestones => milestones, null_paths => null_paths, dialect => dialect, paths => paths, credits => credits);
  RETURN cdp_internal.attribution_scan(request.options, request.own);
END $$;
COMMENT ON FUNCTION cdp.attribution_run(text[], interval, timestamptz, timestamptz, timestamptz, text, text[], text[], bigint[], boolean, boolean, text, text, jsonb, boolean, integer, text, text[], text[], boolean, text, text, text, text[], boolean, text, boolean, boolean) IS
'One pass over cdp_data.touchpoint as a value that cdp.attribution_totals, _summary, _paths (paths => true), _lengths, _lags, _assists, _transitions, _removal, _check, _wide and _credit (credits => true) open. Arguments as cdp.attribution(). Writes nothing. Never NULL.';

CREATE OR REPLACE FUNCTION cdp.attribution_left_out(
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL,
  bots boolean DEFAULT false, internal boolean DEFAULT false, currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  OUT customers bigint, OUT conversions bigint, OUT value numeric, OUT touches bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  own jsonb;
  gate bytea;
  crossing record := cdp_internal.attribution_crossings();
  parted record;
BEGIN
  PERFORM cdp_internal.require_setup();
  own := cdp_internal.attribution_own(conversion_kinds, touch_kinds, NULL, bots, internal, currency, missing_rate);
  gate := cdp_internal.consent_gate('analytics');
  IF gate IS NULL THEN
    customers := 0; conversions := 0; value := 0; touches := 0;
    RETURN;
  END IF;
  parted := cdp_internal.attribution_parted(NULL, 0, 4294967295);
  EXECUTE format($query$
    SELECT count(DISTINCT x.key) FILTER (WHERE x.is_touch OR x.value IS NOT NULL), count(*) FILTER (WHERE x.value >= 0 AND x.refers_to IS NULL AND x.kind_id <> ALL (%L::smallint[])),
      coalesce(round(sum(x.value), 6), 0), count(*) FILTER (WHERE x.is_touch AND x.value IS NULL)
    FROM (
      SELECT coalesce(o.root, %s) AS key,
        %s AS value, t.kind_id = ANY (%L::smallint[]) AS is_touch, t.refers_to, t.kind_id
      FROM cdp_data.touchpoint t LEFT JOIN (SELECT DISTINCT u.id, u.root FROM unnest($4, $5) u (id, root)) o ON o.id = t.refers_to
      WHERE t.occurred_at >= $2 AND t.occurred_at < $3 AND t.flags & %s = 0 OFFSET 0) x
    WHERE NOT cdp_internal.bitmap_has($1, x.key)$query$,
    translate(own->>'refunds', '[] ', '{}'), cdp_internal.touchpoint_root_sql(), cdp_internal.attribution_value_sql(own), translate(own->>'touches', '[] ', '{}'), own->>'hidden_flags')
  INTO customers, conversions, value, touches
  USING gate, coalesce(since, '-infinity'), coalesce(until, 'infinity'), crossing.ids || parted.ids, crossing.roots || parted.roots;
  IF customers > 0 AND customers < cdp_internal.minimum_audience() THEN
    customers := NULL; conversions := NULL; value := NULL; touches := NULL;
  END IF;
END $$;
COMMENT ON FUNCTION cdp.attribution_left_out(timestamptz, timestamptz, text[], text[], boolean, boolean, text, text) IS
'What reports of attribution leave out between since and until for want of consent to analytics (the rule of purpose analytics, cdp.consent_allowed): customers, their conversions, what these are worth less refunds in the reporting currency, and their touches. Zeros when nobody is left out; NULLs when they are fewer than cdp_data.setting.minimum_audience. Arguments as cdp.attribution(). One scan of the window; reads only.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_spend(since timestamptz, until timestamptz, group_by text, currency text, missing_rate text,
  bucket interval DEFAULT NULL)
RETURNS TABLE (label text, bucket_no bigint, spend numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  base text := coalesce(currency, (SELECT s.currency FROM cdp_data.setting s));
BEGIN
  IF group_by NOT IN ('channel', 'channel_group', 'campaign') THEN
    RETURN; -- spend is known per channel and campaign only
  END IF;
  -- A day of spend lasts from midnight to midnight of its account; of a day that the window
  -- or a bucket cuts, the part inside counts.
  RETURN QUERY EXECUTE format($query$
    SELECT d.label, d.bucket_no, sum(d.amount * d.rate * d.part) FROM (
      SELECT coalesce(%1$s, '(unknown)') AS label, b.no AS bucket_no, s.amount, %2$s AS rate,
        extract(epoch FROM least(s.ends, b.ends) - greatest(s.starts, b.starts))
          / extract(epoch FROM s.ends - s.starts) AS part
      FROM (SELECT p.*, p.day::timestamp AT TIME ZONE p.timezone AS starts, (p.day + 1)::timestamp AT TIME ZONE p.timezone AS ends
            FROM cdp_data.spend p) s
      JOIN LATERAL (
        SELECT 0::bigint AS no, $1 AS starts, $2 AS ends WHERE $3 IS NULL
        UNION ALL
        SELECT g.no, $1 + g.no * $3, least($1 + (g.no + 1) * $3, $2)
        FROM generate_series(floor(extract(epoch FROM greatest(s.starts, $1) - $1) / extract(epoch FROM $3))::bigint,
          floor(extract(epoch FROM least(s.ends, $2) - $1) / extract(epoch FROM $3))::bigint) AS g (no)
        WHERE $3 IS NOT NULL
      ) b ON s.starts < b.ends AND s.ends > b.starts
      LEFT JOIN cdp_data.channel_all c ON c.channel_id = s.channel_id
      LEFT JOIN cdp_data.campaign g ON g.campaign_id = s.campaign_id
    ) d GROUP BY d.label, d.bucket_no$query$,
    CASE group_by WHEN 'channel' THEN 'c.name' WHEN 'channel_group' THEN 'c.channel_group' ELSE 'g.name' END,
    cdp_internal.attribution_rate_sql('s.currency', 's.day', base, missing_rate))
  USING coalesce(since, '-infinity'), coalesce(until, 'infinity'), bucket;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_spend(timestamptz, timestamptz, text, text, text, interval) IS
'Spend per label in the reporting currency for since <= time < until, optionally per bucket of equal length counted from since. Days are those of the account''s time zone. No rows for groupings without spend (source, origin). A missing rate is error 22000 or counts 0.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_people(options jsonb, own jsonb)
RETURNS TABLE (label text, model text, people bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  highest bigint := (SELECT max(c.customer_id) FROM cdp_data.customer c);
  slice bigint := CASE WHEN own->'customers' <> 'null' THEN highest ELSE cdp_internal.attribution_slice() END;
  part cdp.attribution_partial;
  low bigint;
BEGIN
  -- participation names everybody in whose journey a label is: the people behind models that earn by paths, not by touches.
  options := options || '{"credits": true, "null_paths": false}'
    || jsonb_build_object('models', (SELECT jsonb_agg(DISTINCT m) FROM jsonb_array_elements(options->'models' || '["participation"]') m));
  FOR low IN SELECT g FROM generate_series(1, highest, slice) g LOOP
    part := cdp_internal.attribution_scan(options, own, NULL, low, low + slice - 1);
    RETURN QUERY SELECT c.label, c.model, count(DISTINCT c.customer) FROM cdp.attribution_credit(part) c GROUP BY c.label, c.model;
    RETURN QUERY SELECT NULL::text, NULL::text, s.converting_customers FROM cdp.attribution_summary(part) s;
  END LOOP;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_people(jsonb, jsonb) IS
'How many customers (roots) the credit of each label under each rule model comes from, participation always among them, in parts to be added up; rows with NULL for label and model add up to all customers who converted. Another pass over the touchpoints.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_hidden(result cdp.attribution_partial, options jsonb, own jsonb, OUT labels text[], OUT models text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  least_people integer := cdp_internal.minimum_audience();
  everybody bigint;
BEGIN
  IF least_people IS NULL THEN
    RETURN;
  END IF;
  WITH person AS MATERIALIZED (
    SELECT p.label, p.model, sum(p.people)::bigint AS people FROM cdp_internal.attribution_people(options, own) p GROUP BY p.label, p.model
  ), figure AS MATERIALIZED (
    SELECT t.label, t.model, coalesce(CASE WHEN t.model IN (SELECT x.model FROM person x) THEN p.people ELSE q.people END, 0) AS people
    FROM cdp.attribution_totals(result) t LEFT JOIN person p ON p.label = t.label AND p.model = t.model LEFT JOIN person q ON q.label = t.label AND q.model = 'participation'
    WHERE t.conversions <> 0 OR t.value <> 0
  ), hidden AS (
    SELECT f.label, f.model FROM figure f WHERE f.people < least_people
    UNION ALL
    -- Else what is hidden could be had as the total less what is shown: one row of enough people goes with it.
    (SELECT DISTINCT ON (f.model) f.label, f.model FROM figure f
     WHERE f.people >= least_people AND f.model IN (SELECT s.model FROM figure s WHERE s.people < least_people)
     ORDER BY f.model, f.people, f.label COLLATE "C")
  )
  SELECT (SELECT p.people FROM person p WHERE p.label IS NULL), (SELECT array_agg(h.label) FROM hidden h), (SELECT array_agg(h.model) FROM hidden h)
  INTO everybody, labels, models;
  PERFORM cdp.require_audience(everybody);
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_hidden(cdp.attribution_partial, jsonb, jsonb) IS
'Which rows (label and model, parallel lists, NULL: none) of the totals of a pass show no figures for the sake of cdp_data.setting.minimum_audience: those to which fewer customers contributed, and of a model with such a row also the smallest of the others. options and own as the pass had them, over our own tables. Error 42501 when fewer customers than that converted in all. Nothing, and no further pass, without a minimum.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_report(result cdp.attribution_partial, acquired cdp.attribution_partial,
  since timestamptz, until timestamptz, group_by text, currency text, missing_rate text, options jsonb, own jsonb)
RETURNS TABLE (label text, model text, conversions numeric, value numeric, contribution numeric,
  spend numeric, roas numeric, cpa numeric, cac numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  least_people integer := cdp_internal.minimum_audience();
  small record := cdp_internal.attribution_hidden(result, options, own);
BEGIN
  RETURN QUERY
  WITH total AS MATERIALIZED (
    SELECT t.label, t.model, t.conversions, t.value, t.place FROM cdp.attribution_totals(result) WITH ORDINALITY AS t (label, model, conversions, value, place)
  ), spent AS MATERIALIZED (
    SELECT s.label, s.spend FROM cdp_internal.attribution_spend(since, until, group_by, currency, missing_rate) s
  ), model AS (
    SELECT t.model, min(t.place) AS place, sum(t.value) AS value, sum(t.conversions) AS conversions FROM total t GROUP BY t.model
  ), shown AS (
    -- a label is shown when any model gave it something, or when money was spent on it
    SELECT t.label FROM total t WHERE t.conversions <> 0 OR t.value <> 0 OR t.label = '(unattributed)'
    UNION SELECT s.label FROM spent s
  ), gained AS MATERIALIZED (
    SELECT t.label, t.model, t.conversions FROM cdp.attribution_totals(acquired) t
  )
  -- Fewer people than have to be there: the row stands without figures of theirs.
  SELECT l.label, m.model, CASE WHEN h.shown THEN coalesce(t.conversions, 0) END, CASE WHEN h.shown THEN coalesce(t.value, 0) END,
    CASE WHEN h.shown THEN round(CASE WHEN m.value <> 0 THEN coalesce(t.value, 0) / m.value
               WHEN m.conversions <> 0 THEN coalesce(t.conversions, 0) / m.conversions END, 6) END,
    round(s.spend, 6), CASE WHEN h.shown THEN round(coalesce(t.value, 0) / nullif(s.spend, 0), 6) END,
    CASE WHEN h.shown THEN round(s.spend / nullif(t.conversions, 0), 6) END,
    CASE WHEN h.shown AND (g.conversions < least_people) IS NOT TRUE THEN round(s.spend / nullif(g.conversions, 0), 6) END
  FROM model m CROSS JOIN shown l
  LEFT JOIN total t ON t.label = l.label AND t.model = m.model
  LEFT JOIN spent s ON s.label = l.label
  LEFT JOIN gained g ON g.label = l.label AND g.model = m.model
  CROSS JOIN LATERAL (SELECT NOT EXISTS (SELECT FROM unnest(small.labels, small.models) u (label, model) WHERE u.label = l.label AND u.model = m.model) AS shown) h
  ORDER BY m.place, l.label = '(unattributed)', NOT h.shown, coalesce(t.value, 0) DESC, coalesce(t.conversions, 0) DESC, l.label COLLATE "C";
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_report(cdp.attribution_partial, cdp.attribution_partial, timestamptz, timestamptz, text, text, text, jsonb, jsonb) IS
'Totals of a pass beside the spend of the same window, as cdp.attribution() shows them; the second pass counts first-ever conversions for cac (NULL: cac is NULL). options and own: of the pass. With cdp_data.setting.minimum_audience, error 42501 for fewer converting customers, and NULL in every figure of the rows of cdp_internal.attribution_hidden().';

CREATE OR REPLACE FUNCTION cdp.attribution(
  models text[] DEFAULT '{last,linear,u_shaped,markov,shapley}', lookback interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL,
  customers bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  lookback_by_kind jsonb DEFAULT NULL, lookback_unbounded boolean DEFAULT false, max_touches integer DEFAULT NULL,
  journey text DEFAULT NULL, exclude text[] DEFAULT NULL, include text[] DEFAULT NULL, collapse boolean DEFAULT NULL,
  conversion_is_touch text DEFAULT NULL, fallback text DEFAULT NULL, two_touch text DEFAULT NULL,
  milestones text[] DEFAULT NULL, null_paths boolean DEFAULT NULL, dialect text DEFAULT NULL,
  new_customers boolean DEFAULT false)
RETURNS TABLE (label text, model text, conversions numeric, value numeric, contribution numeric,
  spend numeric, roas numeric, cpa numeric, cac numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  request record;
  result cdp.attribution_partial;
  acquired cdp.attribution_partial;
BEGIN
  request := cdp_internal.attribution_request(models => models, lookback => lookback, since => since, until => until, as_of => as_of,
    group_by => group_by, conversion_kinds => conversion_kinds, touch_kinds => touch_kinds, customers => customers,
    bots => bots, internal => internal, currency => currency, missing_rate => missing_rate,
    lookback_by_kind => lookback_by_kind, lookback_unbounded => lookback_unbounded, max_touches => max_touches,
    journey => journey, exclude => exclude, include => include, collapse => collapse,
    conversion_is_touch => conversion_is_touch, fallback => fallback, two_touch => two_touch,
    milestones => milestones, null_paths => null_paths, dialect => dialect);
  result := cdp_internal.attribution_scan(request.options, request.own);
  IF new_customers THEN
    acquired := cdp_internal.attribution_scan(request.options, request.own || '{"first_only": true}');
  END IF;
  RETURN QUERY
  SELECT r.label, r.model, r.conversions, r.value, r.contribution, r.spend, r.roas, r.cpa, r.cac
  FROM cdp_internal.attribution_report(result, acquired, since, least(until, as_of), group_by, currency, missing_rate, request.options, request.own) r; -- money spent later is not known yet
END $$;
COMMENT ON FUNCTION cdp.attribution(text[], interval, timestamptz, timestamptz, timestamptz, text, text[], text[], bigint[], boolean, boolean, text, text, jsonb, boolean, integer, text, text[], text[], boolean, text, text, text, text[], boolean, text, boolean) IS
'Attribution report over our own tables: one row per label and model, ''(unattributed)'' always among them. since <= time of conversion < until (NULL: all); journeys reach back by lookback (NULL: 30 days); money in the reporting currency by dated rates. contribution is the share of the model''s value (of its conversions when there is no value); spend, roas = value / spend, cpa = spend / conversions, cac = spend / first-ever conversions (new_customers => true). NULL where spend is not known or a divisor is 0. Customers without consent to analytics are left out, all their rows: a NOTICE says what that takes away, cdp.attribution_left_out() in figures. With cdp_data.setting.minimum_audience, a report about fewer converting customers is refused (42501), and rows to which fewer contributed have NULL for figures, with them the smallest other row of the model; that takes a second pass. Errors 22023 (unknown model, kind, option; with the nearest name), 22000 (no rate). Reads only.';

CREATE OR REPLACE FUNCTION cdp.attribution_credit(
  models text[] DEFAULT '{last,linear,u_shaped,markov,shapley}', lookback interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_of timestamptz DEFAULT NULL,
  group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL,
  customers bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  lookback_by_kind jsonb DEFAULT NULL, lookback_unbounded boolean DEFAULT false, max_touches integer DEFAULT NULL,
  journey text DEFAULT NULL, exclude text[] DEFAULT NULL, include text[] DEFAULT NULL, collapse boolean DEFAULT NULL,
  conversion_is_touch text DEFAULT NULL, fallback text DEFAULT NULL, two_touch text DEFAULT NULL,
  milestones text[] DEFAULT NULL, null_paths boolean DEFAULT NULL, dialect text DEFAULT NULL,
  slice integer DEFAULT NULL)
RETURNS TABLE (customer_id bigint, conversion_id bigint, conversion_at timestamptz, touchpoint_id bigint, touch_at timestamptz,
  label text, model text, weight numeric, conversions numeric, value numeric)
LANGUAGE plpgsql STABLE ROWS 1000000 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  request record;
  highest bigint;
  low bigint;
  part cdp.attribution_partial;
  people bigint := 0;
BEGIN
  IF slice < 1 THEN
    RAISE EXCEPTION 'slice must be at least 1' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  request := cdp_internal.attribution_request(models => models, lookback => lookback, since => since, until => until, as_of => as_of,
    group_by => group_by, conversion_kinds => conversion_kinds, touch_kinds => touch_kinds, customers => customers,
    bots => bots, internal => internal, currency => currency, missing_rate => missing_rate,
    lookback_by_kind => lookback_by_kind, lookback_unbounded => lookback_unbounded, max_touches => max_touches,
    journey => journey, exclude => exclude, include => include, collapse => collapse,
    conversion_is_touch => conversion_is_touch, fallback => fallback, two_touch => two_touch,
    milestones => milestones, null_paths => null_paths, dialect => dialect, credits => true);
  -- journeys that do not convert earn nothing: no need to keep them
  request.options := request.options || '{"null_paths": false}';
  IF customers IS NOT NULL THEN
    part := cdp_internal.attribution_scan(request.options, request.own);
    PERFORM cdp.require_audience((SELECT s.converting_customers FROM cdp.attribution_summary(part) s));
    RETURN QUERY SELECT c.customer::bigint, c.conversion_id, c.conversion_at, c.touch_id, c.touch_at, c.label, c.model, c.weight, c.conversions, c.value
      FROM cdp.attribution_credit(part) c;
    RETURN;
  END IF;
  -- Slices of customers: a pass that keeps its journeys is limited in size, the whole is not.
  highest := (SELECT max(c.customer_id) FROM cdp_data.customer c);
  slice := coalesce(slice, cdp_internal.attribution_slice());
  FOR low IN SELECT g FROM generate_series(1, highest, slice) g LOOP -- an integer loop ends at 2^31
    part := cdp_internal.attribution_scan(request.options, request.own, NULL, low, low + slice - 1);
    people := people + (SELECT s.converting_customers FROM cdp.attribution_summary(part) s);
    RETURN QUERY SELECT c.customer::bigint, c.conversion_id, c.conversion_at, c.touch_id, c.touch_at, c.label, c.model, c.weight, c.conversions, c.value
      FROM cdp.attribution_credit(part) c;
  END LOOP;
  PERFORM cdp.require_audience(people); -- no row has left the function yet
END $$;
COMMENT ON FUNCTION cdp.attribution_credit(text[], interval, timestamptz, timestamptz, timestamptz, text, text[], text[], bigint[], boolean, boolean, text, text, jsonb, boolean, integer, text, text[], text[], boolean, text, text, text, text[], boolean, text, integer) IS
'Credit of every touch for every conversion over our own tables, rule models only: customer_id is the root customer, touchpoint ids join with cdp_data.touchpoint, weight is the share of the conversion, value is in the reporting currency; a conversion without touch has one row with label ''(unattributed)'' and NULL touch. Store it with CREATE TABLE ... AS. Works in slices of customers (slice: how many ids at once, NULL: by the size of the table), so that memory stays bounded. Other arguments as cdp.attribution(); customers without consent to analytics are left out (cdp.attribution_left_out() counts them). With cdp_data.setting.minimum_audience, credit of fewer converting customers is refused (42501); of enough it stands for each, by his number.';

CREATE OR REPLACE FUNCTION cdp.attribution_wide(result cdp.attribution_partial, measure text DEFAULT 'value')
RETURNS TABLE (label text, by_model jsonb, lowest numeric, lowest_model text, highest numeric, highest_model text, spread numeric, spread_share numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  IF measure IS NULL OR measure NOT IN ('value', 'conversions', 'contribution') THEN
    RAISE EXCEPTION 'unknown measure "%"', coalesce(measure, 'NULL')
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use value, conversions or contribution.';
  END IF;
  RETURN QUERY
  WITH figure AS (
    SELECT t.label, t.model, t.place,
      CASE measure WHEN 'value' THEN t.value WHEN 'conversions' THEN t.conversions
        ELSE round(CASE WHEN sum(t.value) OVER w <> 0 THEN t.value / sum(t.value) OVER w
                        WHEN sum(t.conversions) OVER w <> 0 THEN t.conversions / sum(t.conversions) OVER w
                        ELSE 0 END, 6) END AS x
    FROM cdp.attribution_totals(result) WITH ORDINALITY AS t (label, model, conversions, value, place)
    WINDOW w AS (PARTITION BY t.model)
  ), row_of AS (
    SELECT f.label, jsonb_object_agg(f.model, f.x) AS by_model, min(f.x) AS lowest, max(f.x) AS highest, avg(f.x) AS average,
      (array_agg(f.model ORDER BY f.x, f.place))[1] AS lowest_model, (array_agg(f.model ORDER BY f.x DESC, f.place))[1] AS highest_model
    FROM figure f GROUP BY f.label
  )
  SELECT r.label, r.by_model, r.lowest, r.lowest_model, r.highest, r.highest_model, r.highest - r.lowest,
    round((r.highest - r.lowest) / nullif(abs(r.average), 0), 6)
  FROM row_of r
  ORDER BY r.label = '(unattributed)', r.average DESC, r.label COLLATE "C";
END $$;
COMMENT ON FUNCTION cdp.attribution_wide(cdp.attribution_partial, text) IS
'All models of a pass side by side: one row per label, by_model = {model: figure}, the lowest and highest figure with their models, spread = highest - lowest, spread_share = spread / mean over the models (how far the models disagree; NULL when the mean is 0). measure: value, conversions or contribution (share of the model''s value). Works on passes over any table. participation counts a conversion once per label, so leave it out when comparing.';

CREATE OR REPLACE FUNCTION cdp.attribution_wide(models text[] DEFAULT '{last,linear,u_shaped,markov,shapley}', lookback interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL,
  measure text DEFAULT 'value')
RETURNS TABLE (label text, by_model jsonb, lowest numeric, lowest_model text, highest numeric, highest_model text, spread numeric, spread_share numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  request record := cdp_internal.attribution_request(models => models, lookback => lookback, since => since, until => until,
    group_by => group_by, conversion_kinds => conversion_kinds);
  result cdp.attribution_partial := cdp_internal.attribution_scan(request.options, request.own);
  small record := cdp_internal.attribution_hidden(result, request.options, request.own);
BEGIN
  RETURN QUERY SELECT w.label, CASE WHEN h.shown THEN w.by_model END, CASE WHEN h.shown THEN w.lowest END, CASE WHEN h.shown THEN w.lowest_model END,
    CASE WHEN h.shown THEN w.highest END, CASE WHEN h.shown THEN w.highest_model END, CASE WHEN h.shown THEN w.spread END, CASE WHEN h.shown THEN w.spread_share END
  FROM cdp.attribution_wide(result, measure) WITH ORDINALITY w (label, by_model, lowest, lowest_model, highest, highest_model, spread, spread_share, place)
    CROSS JOIN LATERAL (SELECT (w.label = ANY (small.labels)) IS NOT TRUE AS shown) h
  ORDER BY w.label = '(unattributed)', NOT h.shown, CASE WHEN h.shown THEN w.place END, w.label COLLATE "C";
END $$;
COMMENT ON FUNCTION cdp.attribution_wide(text[], interval, timestamptz, timestamptz, text, text[], text) IS
'All models side by side over our own tables: cdp.attribution_wide() of cdp.attribution_run() with these arguments. With cdp_data.setting.minimum_audience as cdp.attribution(): refused (42501) for fewer customers; a label that is hidden under one of the models is NULL in all.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_journeys_of(options jsonb, own jsonb)
RETURNS TABLE (customer_id bigint, ended_at timestamptz, converted boolean, value numeric, touches integer, journey bytea)
LANGUAGE plpgsql STABLE ROWS 1000000 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  highest bigint := (SELECT max(c.customer_id) FROM cdp_data.customer c);
  low bigint;
  slice integer := cdp_internal.attribution_slice();
BEGIN
  options := options || '{"credits": true}';
  FOR low IN SELECT g FROM generate_series(1, highest, slice) g LOOP -- an integer loop ends at 2^31
    RETURN QUERY SELECT j.customer::bigint, j.ended_at, j.converted, j.value, j.touches, j.journey
      FROM cdp.attribution_journeys(cdp_internal.attribution_scan(options, own, NULL, low, low + slice - 1)) j;
  END LOOP;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_journeys_of(jsonb, jsonb) IS
'All journeys over our own tables, encoded, read in slices of root customers so that memory stays bounded.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_series(options jsonb, own jsonb, since timestamptz, until timestamptz,
  period interval, group_by text)
RETURNS TABLE (label text, model text, bucket_no bigint, spend double precision, value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH bucket AS MATERIALIZED (
    SELECT b.no, cdp.attribution_totals(b.p) AS t FROM (
      SELECT floor(extract(epoch FROM j.ended_at - since) / extract(epoch FROM period))::bigint AS no,
        cdp.attribution_replay(j.journey, 1, options) AS p
      FROM cdp_internal.attribution_journeys_of(options, own) j
      WHERE j.ended_at >= since AND j.ended_at < until
      GROUP BY 1) b
  ), spent AS MATERIALIZED (
    SELECT s.label, s.bucket_no, s.spend FROM cdp_internal.attribution_spend(since, until, group_by, own->>'currency', own->>'missing_rate', period) s
  ), every AS (
    -- a period without spend or without value is a figure too
    SELECT l.label, m.model, n.no FROM (SELECT DISTINCT s.label FROM spent s) l
    CROSS JOIN jsonb_array_elements_text(options->'models') AS m (model)
    CROSS JOIN generate_series(0, ceil(extract(epoch FROM until - since) / extract(epoch FROM period))::bigint - 1) AS n (no)
  )
  SELECT e.label, e.model, e.no, coalesce(s.spend, 0)::double precision, coalesce((b.t).value, 0)::double precision
  FROM every e
  LEFT JOIN bucket b ON b.no = e.no AND (b.t).label = e.label AND (b.t).model = e.model
  LEFT JOIN spent s ON s.bucket_no = e.no AND s.label = e.label;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_series(jsonb, jsonb, timestamptz, timestamptz, interval, text) IS
'Spend and attributed value per label, model and period of equal length from since, zeros included, for labels with spend. Money in the reporting currency.';

CREATE OR REPLACE FUNCTION cdp.attribution_insights(models text[] DEFAULT '{linear}', lookback interval DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL,
  period interval DEFAULT '7 days', currency text DEFAULT NULL, missing_rate text DEFAULT 'error')
RETURNS TABLE (label text, model text, periods bigint, changes bigint, spend numeric, value numeric, roas numeric,
  marginal_roas numeric, standard_error numeric, t numeric, evidence text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  request record;
  base text;
  small record;
BEGIN
  PERFORM cdp_internal.require_setup();
  base := coalesce(currency, (SELECT s.currency FROM cdp_data.setting s));
  IF period IS NULL OR period < interval '1 hour' OR extract(month FROM period) <> 0 OR extract(year FROM period) <> 0 THEN
    RAISE EXCEPTION 'period must be a fixed length of at least one hour'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Write ''7 days'' or ''1 day''.';
  END IF;
  period := make_interval(secs => extract(epoch FROM period)::double precision);
  until := coalesce(until, (SELECT max((p.day + 1)::timestamp AT TIME ZONE p.timezone) FROM cdp_data.spend p), now());
  since := coalesce(since, until - 26 * period);
  -- whole periods only, counted back from until
  since := until - floor(extract(epoch FROM until - since) / extract(epoch FROM period))::double precision * period;
  IF since >= until THEN
    RAISE EXCEPTION 'the window is shorter than one period' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  request := cdp_internal.attribution_request(models => models, lookback => lookback, since => since, until => until,
    group_by => group_by, conversion_kinds => conversion_kinds, currency => currency, missing_rate => missing_rate);
  small := cdp_internal.attribution_hidden(CASE WHEN cdp_internal.minimum_audience() IS NOT NULL THEN cdp_internal.attribution_scan(request.options, request.own) END,
    request.options, request.own);
  RETURN QUERY
  WITH step AS (
    -- changes from one period to the next: what is constant in a channel falls out
    SELECT x.*, x.spend - lag(x.spend) OVER w AS dx, x.value - lag(x.value) OVER w AS dy
    FROM cdp_internal.attribution_series(request.options, request.own, since, until, period, group_by) x
    WINDOW w AS (PARTITION BY x.label, x.model ORDER BY x.bucket_no)
  ), fit AS (
    SELECT s.label, s.model, count(*) AS periods, sum(s.spend) AS spend, sum(s.value) AS value,
      count(*) FILTER (WHERE abs(s.dx) > 0.02 * (SELECT avg(a.spend) FROM step a WHERE a.label = s.label AND a.model = s.model)) AS changes,
      regr_count(s.dy, s.dx) AS n, regr_slope(s.dy, s.dx) AS slope, regr_sxx(s.dy, s.dx) AS sxx,
      greatest(regr_syy(s.dy, s.dx) - regr_sxy(s.dy, s.dx) ^ 2 / nullif(regr_sxx(s.dy, s.dx), 0), 0) AS rest
    FROM step s GROUP BY s.label, s.model
  ), judged AS (
    SELECT f.*, sqrt(f.rest / nullif(f.n - 2, 0) / nullif(f.sxx, 0)) AS error,
      h.hidden, CASE WHEN h.hidden THEN 'fewer people than the minimum audience' WHEN f.periods < 8 THEN format('insufficient data: %s periods, 8 are needed', f.periods)
           WHEN f.changes < 6 THEN format('insufficient data: spend changed in %s periods, 6 are needed', f.changes) END AS lack
    FROM fit f CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM unnest(small.labels, small.models) u (label, model) WHERE u.label = f.label AND u.model = f.model) AS hidden) h
  ), marked AS (
    SELECT j.*, CASE WHEN j.lack IS NOT NULL THEN j.lack
      WHEN abs(j.slope) < 2 * j.error THEN 'insufficient data: the effect of spend changes is within the noise (|t| < 2)' END AS reason
    FROM judged j
  ), compared AS (
    -- sound figures only, and only where the ranges of two standard errors do not meet
    SELECT m.*,
      (SELECT o.label FROM marked o WHERE o.model = m.model AND o.reason IS NULL AND m.reason IS NULL
         AND o.slope - 2 * o.error > m.slope + 2 * m.error ORDER BY o.slope DESC LIMIT 1) AS better,
      (SELECT o.label FROM marked o WHERE o.model = m.model AND o.reason IS NULL AND m.reason IS NULL
         AND o.slope + 2 * o.error < m.slope - 2 * m.error ORDER BY o.slope LIMIT 1) AS worse
    FROM marked m
  )
  SELECT c.label, c.model, c.periods, c.changes, round(c.spend::numeric, 6), CASE WHEN NOT c.hidden THEN round(c.value::numeric, 6) END,
    CASE WHEN NOT c.hidden THEN round((c.value / nullif(c.spend, 0))::numeric, 6) END,
    CASE WHEN c.lack IS NULL THEN round(c.slope::numeric, 6) END, CASE WHEN c.lack IS NULL THEN round(c.error::numeric, 6) END,
    CASE WHEN c.lack IS NULL THEN round((c.slope / nullif(c.error, 0))::numeric, 3) END,
    format('%s periods of %s, %s changes of spend, %s of spend%s', c.periods,
      CASE WHEN extract(epoch FROM period)::bigint % 86400 = 0 THEN extract(epoch FROM period)::bigint / 86400 || ' days' ELSE period::text END,
      c.changes, round(c.spend::numeric, 2) || ' ' || base, CASE WHEN c.hidden THEN '' ELSE ', ' || round(c.value::numeric, 2) || ' ' || base || ' of value' END),
    CASE WHEN c.reason IS NOT NULL THEN c.reason
         WHEN c.better IS NOT NULL AND c.worse IS NOT NULL THEN format('more than %s and less than %s for further spend', c.worse, c.better)
         WHEN c.worse IS NOT NULL THEN format('move spend here from %s: a further 1 %s brought about %s', c.worse, base, round(c.slope::numeric, 2))
         WHEN c.better IS NOT NULL THEN format('move spend from here to %s: a further 1 %s brought about %s', c.better, base, round(c.slope::numeric, 2))
         ELSE 'no other label is clearly better or worse' END
  FROM compared c
  ORDER BY c.model, c.slope DESC NULLS LAST, c.label COLLATE "C";
END $$;
COMMENT ON FUNCTION cdp.attribution_insights(text[], interval, timestamptz, timestamptz, text, text[], interval, text, text) IS
'What a further unit of spend brought, per label with spend and model: marginal_roas is the slope of the change of attributed value on the change of spend from one period to the next (ordinary least squares), with standard_error and t. The hint names a reallocation only between labels whose ranges of two standard errors do not meet; otherwise it says ''insufficient data'' and why (fewer than 8 periods, fewer than 6 changes of spend, or |t| < 2). Evidence of association, not of cause. Rows that cdp_data.setting.minimum_audience hides in cdp.attribution() have no figures but of spend; 42501 for fewer customers. Default window: 26 periods up to the last day of spend. Money in the reporting currency.';

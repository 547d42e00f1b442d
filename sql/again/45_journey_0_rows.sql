-- The rows of cdp_data.touchpoint as the passes of the journey room take them: which
-- rows, under which customer, by which label. As cdp_internal.attribution_scan() does,
-- small tables come in as arrays, so that no join stands between table and aggregate.
-- All functions here only read: they work on a hot standby.

CREATE OR REPLACE FUNCTION cdp_internal.journey_property_kinds(key text, kinds smallint[], argument text, chosen boolean)
RETURNS smallint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  f record;
BEGIN
  -- Kinds that were named must allow it; of all kinds those that do are taken.
  SELECT c.message, c.hint INTO f FROM cdp.purpose_check('analytics', (
      SELECT jsonb_build_object('properties', jsonb_agg(jsonb_build_object('kind', k.name, 'key', journey_property_kinds.key) ORDER BY k.kind_id))
      FROM cdp_data.touch_kind_all k WHERE k.kind_id = ANY (kinds))) c
  WHERE chosen AND c.code = 'E_PURPOSE' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', f.message USING ERRCODE = 'invalid_parameter_value', DETAIL = format('E_PURPOSE at /%s', argument), HINT = f.hint;
  END IF;
  RETURN ARRAY(
    SELECT k.kind_id FROM cdp_data.touch_kind_all k LEFT JOIN cdp_data.property_rule r ON r.kind_id = k.kind_id AND r.key = journey_property_kinds.key
    WHERE k.kind_id = ANY (kinds) AND (r.allowed_purposes IS NULL OR 'analytics' = ANY (r.allowed_purposes)) ORDER BY k.kind_id);
END $$;
COMMENT ON FUNCTION cdp_internal.journey_property_kinds(text, smallint[], text, boolean) IS
'Of these kinds those whose property of that key may be used for analytics (cdp_data.property_rule). chosen: error 22023 (E_PURPOSE at the argument) when one of them does not allow it.';

CREATE OR REPLACE FUNCTION cdp_internal.journey_label(by text, argument text, kinds smallint[], chosen boolean, first_parameter integer,
  OUT label text, OUT names text[], OUT codes int[], OUT campaigns int[])
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  g record;
BEGIN
  IF by IS NULL THEN
    label := 'NULL::text';
  ELSIF by = 'kind' THEN
    SELECT array_agg(k.name ORDER BY k.name COLLATE "C") INTO names FROM cdp_data.touch_kind_all k;
    SELECT cdp_internal.dense_codes(k.kind_id, array_position(names, k.name)) INTO codes FROM cdp_data.touch_kind_all k;
    label := format('cdp_internal.dense_name($%s, cdp_internal.dense_lookup($%s, t.kind_id))', first_parameter, first_parameter + 1);
  ELSIF starts_with(by, 'property:') AND length(by) BETWEEN 10 AND 209 THEN
    label := format('CASE WHEN t.kind_id = ANY (%L::smallint[]) THEN t.properties->>%L END',
      cdp_internal.journey_property_kinds(substr(by, 10), kinds, argument, chosen), substr(by, 10));
  ELSIF by IN ('channel', 'channel_group', 'campaign', 'source', 'origin') THEN
    g := cdp_internal.attribution_codes(by);
    names := g.names;
    codes := g.by_origin;
    campaigns := g.by_campaign;
    label := format('cdp_internal.dense_name($%s, coalesce(%scdp_internal.dense_lookup($%s, t.origin_id), %s))', first_parameter,
      CASE WHEN by = 'campaign' THEN format('cdp_internal.dense_lookup($%s, t.campaign_id), ', first_parameter + 2) END,
      first_parameter + 1, array_position(names, '(unknown)'));
  ELSIF argument = 'breakdown_by' AND by IN ('day', 'week', 'month', 'quarter', 'year') THEN
    label := format('to_char(date_trunc(%L, t.occurred_at AT TIME ZONE %L), ''YYYY-MM-DD'')', by, (SELECT s.timezone FROM cdp_data.setting s));
  ELSE
    RAISE EXCEPTION 'unknown % "%"', argument, left(by, 100)
      USING ERRCODE = 'invalid_parameter_value',
        HINT = concat('Use kind, channel, channel_group, campaign, source, origin', CASE argument WHEN 'breakdown_by' THEN ', day, week, month, quarter, year' END,
          ' or property:KEY; for any other label run the pass over a query of your own.');
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.journey_label(text, text, smallint[], boolean, integer) IS
'SQL text of a label of touchpoint t, with the three parameters from first_parameter on that it reads: names, codes by kind or origin, codes by campaign. by: NULL (no label), kind, channel, channel_group, campaign, source, origin (without one: ''(unknown)''), property:KEY (NULL where a touchpoint has none, or may not show it for analytics), or as breakdown_by day, week, month, quarter or year: the first day of it in the reporting time zone. argument is what errors (22023) call it.';

CREATE OR REPLACE FUNCTION cdp_internal.require_labels(by text, labels text[], argument text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  odd text;
BEGIN
  -- What is a list must have it; campaigns, sources and properties are whatever was observed.
  IF by = 'kind' THEN
    PERFORM cdp_internal.attribution_kinds(labels, argument);
  ELSIF by IN ('channel', 'channel_group') THEN
    SELECT l INTO odd FROM unnest(labels) l
    WHERE l <> '(unknown)' AND NOT EXISTS (SELECT FROM cdp_data.channel_all c WHERE l = CASE by WHEN 'channel' THEN c.name ELSE c.channel_group END) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'there is no % named "%"', replace(by, '_', ' '), left(odd, 100)
        USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is named at /%s.', argument),
          HINT = format('There are: %s.', (SELECT string_agg(x.name, ', ' ORDER BY x.name)
                                           FROM (SELECT DISTINCT CASE by WHEN 'channel' THEN c.name ELSE c.channel_group END AS name FROM cdp_data.channel_all c) x));
    END IF;
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.require_labels(text, text[], text) IS
'Refuses (22023) labels that touchpoints cannot have by that word: kinds, channels and groups that are in no list, kinds that may not be used for analytics (E_PURPOSE). argument is what errors call it. NULL labels pass.';

CREATE OR REPLACE FUNCTION cdp_internal.journey_end(until timestamptz, reach interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN isfinite(until) AND extract(epoch FROM until) + extract(epoch FROM reach) < 9000000000000
  THEN until + make_interval(secs => extract(epoch FROM reach)::double precision) END;
COMMENT ON FUNCTION cdp_internal.journey_end(timestamptz, interval) IS
'When the last chain ends that begins before until and takes at most reach (days of 24 hours); NULL: never, or beyond the calendar.';

CREATE OR REPLACE FUNCTION cdp_internal.journey_rows(by text, breakdown_by text DEFAULT NULL, kinds text[] DEFAULT NULL,
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, customers bigint[] DEFAULT NULL, bots boolean DEFAULT false, internal boolean DEFAULT false,
  currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  OUT query text, OUT names text[], OUT codes int[], OUT campaigns int[], OUT breakdown_names text[], OUT breakdown_codes int[], OUT breakdown_campaigns int[],
  OUT members bigint[], OUT roots bigint[], OUT gate bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
  kind_ids smallint[];
  own jsonb;
  label record;
  split record;
  condition text;
  outer_condition text;
BEGIN
  PERFORM cdp_internal.require_setup();
  own := cdp_internal.attribution_own(NULL, NULL, customers, bots, internal, currency, missing_rate);
  kind_ids := cdp_internal.attribution_kinds(kinds, 'kinds');
  IF by IS NULL THEN
    RAISE EXCEPTION 'by must not be NULL' USING ERRCODE = 'null_value_not_allowed', HINT = 'Such as kind or channel.';
  END IF;
  label := cdp_internal.journey_label(by, 'by', kind_ids, kinds IS NOT NULL, 1);
  split := cdp_internal.journey_label(breakdown_by, 'breakdown_by', kind_ids, kinds IS NOT NULL, 4);
  names := label.names;
  codes := label.codes;
  campaigns := label.campaigns;
  breakdown_names := split.names;
  breakdown_codes := split.codes;
  breakdown_campaigns := split.campaigns;

  -- Constants, so that partitions are pruned.
  condition := concat_ws(' AND ', format('t.kind_id = ANY (%L::smallint[])', kind_ids),
    CASE WHEN own->'hidden_flags' <> '0' THEN format('t.flags & %s = 0', own->>'hidden_flags') END,
    CASE WHEN since > '-infinity' THEN format('t.occurred_at >= %L::timestamptz', since) END,
    CASE WHEN until < 'infinity' THEN format('t.occurred_at < %L::timestamptz', until) END);
  IF customers IS NOT NULL THEN
    -- A customer may be asked for by any id that was merged into it; the index road, all rows of few customers.
    roots := ARRAY(SELECT DISTINCT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, c, NULL) FROM unnest(customers) c);
    members := cdp_internal.attribution_members(roots);
    condition := condition || ' AND t.customer_id = ANY ($7)';
    outer_condition := ' AND x.key = ANY ($8)';
  END IF;
  gate := cdp_internal.consent_gate('analytics', '', roots); -- NULL: nobody to leave out, nothing to ask per row
  IF gate IS NOT NULL THEN
    outer_condition := concat(outer_condition, ' AND cdp_internal.bitmap_has($9, x.key)');
    RAISE NOTICE 'customers without consent to analytics are left out';
  END IF;
  query := format('SELECT %s AS key, t.occurred_at AS at, %s AS label, %s AS breakdown, t.touchpoint_id AS id, CASE WHEN t.kind_id = ANY (%L::smallint[]) THEN -abs(t.value) ELSE t.value END * %s AS value FROM cdp_data.touchpoint t WHERE %s',
    cdp_internal.touchpoint_root_sql(), label.label, split.label, translate(own->>'refunds', '[] ', '{}'),
    cdp_internal.attribution_rate_sql('t.currency', '(t.occurred_at AT TIME ZONE ''UTC'')::date', own->>'currency', own->>'missing_rate'), condition);
  IF outer_condition IS NOT NULL THEN
    -- OFFSET keeps the customer from being looked up twice a row.
    query := format('SELECT x.* FROM (%s OFFSET 0) x WHERE true%s', query, outer_condition);
  END IF;
END $$;
COMMENT ON FUNCTION cdp_internal.journey_rows(text, text, text[], timestamptz, timestamptz, bigint[], boolean, boolean, text, text) IS
'SQL text over cdp_data.touchpoint for a pass, and its nine parameters: rows r (key, at, label, breakdown, id, value) of since <= time < until, without bots and internal traffic unless asked for, of kinds that may be used for analytics, of customers (root ids, so merges count at once; any merged id may be asked for) who are not left out for want of consent to analytics (a NOTICE says so). by and breakdown_by: see cdp_internal.journey_label(). value is in the reporting currency, below zero for refunds, NULL for touchpoints without; a missing rate is an error only where it is used. To run a pass: rows := cdp_internal.journey_rows(...); EXECUTE format(''SELECT cdp.funnel_pass(r.key, r.at, r.label, %L::jsonb) FROM (%s) r'', options, rows.query) INTO result USING rows.names, rows.codes, rows.campaigns, rows.breakdown_names, rows.breakdown_codes, rows.breakdown_campaigns, rows.members, rows.roots, rows.gate. The rows come in no order. Errors 22023 for unknown kinds, words, currencies, and for what may not be used for analytics (E_PURPOSE with the argument''s path); 55000 before cdp.setup(). Reads only.';

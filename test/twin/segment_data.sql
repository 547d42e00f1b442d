-- Random customers, profiles, events and memberships in the tables of segment.sql: \ir ../twin/segment_data.sql, then
-- twin.segment_data(as_of, customers, events). Times are often equal, on the edges of windows and calendar periods, or after as_of;
-- ids do not follow times; properties are missing, null or of another type now and then; some customers have no profile or no event.
\set QUIET on
CREATE FUNCTION twin.some_moment(as_of timestamptz) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  tz text := twin.pick('Asia/Shanghai', 'Asia/Shanghai', 'UTC', 'America/New_York', 'Europe/Berlin', 'Australia/Lord_Howe');
BEGIN
  IF twin.narrow() THEN RETURN as_of + (3 - twin.upto(15)) * interval '1 hour' + CASE WHEN random() < 0.1 THEN twin.pick(-1, 1) * interval '1 microsecond' ELSE interval '0' END; END IF;
  RETURN CASE twin.upto(9)
    WHEN 0 THEN as_of - twin.upto(60) * interval '24 hours'                        -- the edge of a fixed window, and as_of itself
    WHEN 1 THEN ((as_of AT TIME ZONE tz)::date - twin.upto(120))::timestamp AT TIME ZONE tz  -- a local midnight
    WHEN 2 THEN date_trunc(twin.pick('week', 'month', 'quarter', 'year'), as_of AT TIME ZONE tz) AT TIME ZONE tz - twin.pick(0, 0, 1) * interval '1 microsecond'
    WHEN 3 THEN as_of + twin.upto(10) * interval '1 day'                           -- the future
    WHEN 4 THEN as_of - random() * interval '800 days'
    WHEN 5 THEN as_of - twin.upto(48) * interval '1 hour' + twin.pick(-1, 0, 1) * interval '1 microsecond'
    WHEN 6 THEN as_of - twin.upto(30) * interval '1 minute'
    ELSE date_trunc('hour', as_of - random() * interval '45 days') END;
END $$;

CREATE FUNCTION twin.some_properties() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN random() < 0.05 THEN NULL ELSE jsonb_strip_nulls(jsonb_build_object(
    'amount', CASE WHEN random() < 0.7 THEN to_jsonb(twin.pick(VARIADIC ARRAY[0::numeric, 1, 2, 3.5, 5, 5.0, 7.25, 10, -1])) WHEN random() < 0.3 THEN '"5"' END,
    'product_id', CASE WHEN random() < 0.8 THEN to_jsonb(twin.upto(3)) END,
    'coupon', CASE WHEN random() < 0.6 THEN to_jsonb(twin.pick('CN', 'US', 'cn', '', 'a', 'ab', 'b', '微信')) END,
    'gift', CASE WHEN random() < 0.4 THEN to_jsonb(random() < 0.5) END,
    'mixed', CASE WHEN random() < 0.8 THEN twin.pick('1'::jsonb, '1.0', '"1"', '"a"', 'true', '[]', '["a", 1]', '["CN", "b", null]', '[true, 2, 5]', '{"a": 1}', '2', '"b"') END))
    || CASE WHEN random() < 0.15 THEN jsonb_build_object(twin.pick('amount', 'coupon', 'mixed', 'gift'), NULL) ELSE '{}' END END $$;

CREATE FUNCTION twin.segment_data(as_of timestamptz, customers integer, events integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  TRUNCATE twin.customer, twin.profile, twin.event, twin.list_member, twin.trait_value, twin.consented, twin.holdout_member;
  -- ids of several chunks of 65,536
  INSERT INTO twin.customer SELECT DISTINCT CASE n % 3 WHEN 0 THEN n WHEN 1 THEN 65530 + n ELSE 4294967295 - n END FROM generate_series(1, customers) n;
  INSERT INTO twin.profile SELECT customer_id,
    CASE WHEN random() < 0.8 THEN twin.pick('CN', 'US', 'cn', '') END, CASE WHEN random() < 0.7 THEN twin.pick('a', 'ab', 'b', '微信', 'xaby') END,
    CASE WHEN random() < 0.8 THEN twin.upto(12) - 1 END, CASE WHEN random() < 0.8 THEN twin.pick(VARIADIC ARRAY[0::numeric, 1, 2.5, 5, 7, 7.0, 10.5]) END,
    CASE WHEN random() < 0.7 THEN random() < 0.5 END,
    CASE WHEN random() < 0.8 THEN twin.pick(date '2000-02-29', date '1996-02-29', date '2024-03-01', (as_of AT TIME ZONE 'Asia/Shanghai')::date, (as_of AT TIME ZONE 'Asia/Shanghai')::date + twin.upto(70) - 35, date '2024-01-01' + twin.upto(400),
      ((as_of AT TIME ZONE 'Asia/Shanghai')::date + twin.upto(40) - interval '30 years')::date) END,
    CASE WHEN random() < 0.8 THEN CASE WHEN random() < 0.2 THEN as_of - twin.upto(800) * interval '1 day' ELSE twin.some_moment(as_of) END END,
    CASE WHEN random() < 0.7 THEN twin.pick('{}'::text, '{a}', '{a,b}', '{CN,US,ab}', '{"",微信}')::text[] END,
    jsonb_strip_nulls(jsonb_build_object('plan', CASE WHEN random() < 0.7 THEN twin.pick('CN', 'a', 'ab', '') END, 'score', CASE WHEN random() < 0.7 THEN twin.pick(VARIADIC ARRAY[0::numeric, 1, 2.5, 9, 5.0]) END,
      'trial', CASE WHEN random() < 0.7 THEN random() < 0.5 END, 'raw', CASE WHEN random() < 0.5 THEN '{"a": [1]}'::jsonb END)) || CASE WHEN random() < 0.2 THEN '{"plan": null, "raw": null}'::jsonb ELSE '{}' END,
    CASE WHEN random() < 0.9 THEN jsonb_strip_nulls(jsonb_build_object('renewal', CASE WHEN random() < 0.7 THEN to_jsonb(((as_of AT TIME ZONE 'Asia/Shanghai')::date + twin.upto(60) - 30)::text) END,
      'seen', CASE WHEN random() < 0.7 THEN to_jsonb(to_char(twin.some_moment(as_of) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) END,
      'hobbies', CASE WHEN random() < 0.7 THEN twin.pick('[]'::jsonb, '["a"]', '["b", "CN", "a"]') END, 'visits', CASE WHEN random() < 0.7 THEN to_jsonb(twin.upto(9)) END)) END
    FROM twin.customer WHERE random() < 0.9;
  FOR n IN 1 .. events LOOP -- a few customers have many events
    INSERT INTO twin.event (id, customer_id, at, kind_id, origin_id, campaign_id, source_id, value, properties)
    SELECT n * 7919 % 1000003, ids[1 + floor(power(random(), 2) * cardinality(ids))::integer], twin.some_moment(as_of), twin.upto(4) + 1,
      CASE WHEN random() < 0.85 THEN twin.upto(5) + 1 END, CASE WHEN random() < 0.4 THEN twin.pick(11, 12, 13, 99) END, twin.pick(1, 2, 3),
      CASE WHEN random() < 0.7 THEN twin.pick(VARIADIC ARRAY[0::numeric, 1, 3.5, 5, 7.25, 10]) END, twin.some_properties()
    FROM (SELECT array_agg(customer_id ORDER BY customer_id) AS ids FROM twin.customer WHERE customer_id % 7 <> 0) c;
  END LOOP;
  UPDATE twin.event SET campaign_id = NULL WHERE origin_id = 1; -- that origin is of a campaign by itself
  UPDATE twin.event e SET at = o.at FROM twin.event o WHERE random() < 0.1 AND o.id = (SELECT max(x.id) FROM twin.event x WHERE x.customer_id = e.customer_id AND x.id < e.id); -- ties
  UPDATE twin.event SET kind = (ARRAY['view', 'cart add', 'order', 'refund', 'visit'])[kind_id], source = (ARRAY['shop', 'app'])[source_id],
    channel = CASE WHEN origin_id IN (1, 2) THEN 'email' WHEN origin_id = 3 THEN 'search' WHEN origin_id IN (4, 5) THEN 'social' END,
    channel_group = CASE WHEN origin_id IN (3, 4) THEN 'paid' WHEN origin_id IN (1, 2, 5) THEN 'owned' END,
    campaign = CASE WHEN origin_id = 1 OR campaign_id = 11 THEN 'spring' WHEN campaign_id IN (12, 13) THEN '618' END;
  INSERT INTO twin.list_member SELECT l, customer_id FROM twin.customer, unnest(ARRAY['press 2025', 'staff']) l WHERE random() < 0.4;
  INSERT INTO twin.trait_value SELECT t, customer_id, twin.pick(VARIADIC ARRAY[0::numeric, 1, 2.5, 3, 5, 9.5]) FROM twin.customer, unnest(ARRAY['rfm_r', 'clv']) t WHERE random() < 0.8;
  INSERT INTO twin.consented SELECT p, c, customer_id FROM twin.customer, unnest(ARRAY['marketing', 'analytics']) p, unnest(ARRAY['', 'email', 'sms']) c WHERE random() < 0.6;
  INSERT INTO twin.holdout_member SELECT 'global', twin.pick('control', 'treated'), customer_id FROM twin.customer WHERE random() < 0.5;
END $$;

-- The catalogue with the thresholds of the ranks that these rules ask for: the value of the last customer who is in.
CREATE FUNCTION twin.with_ranks(catalog jsonb, rules jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  r record;
  o jsonb;
  name text;
  value text;
  threshold numeric;
BEGIN
  FOR r IN SELECT DISTINCT u.name FROM jsonb_array_elements(rules) x, cdp_internal.rule_uses(x->'rule') u WHERE u.what = 'rank' LOOP
    o := r.name::jsonb;
    name := coalesce(o->'rank'->>'trait', o->'rank'->>'attr');
    value := CASE WHEN o->'rank' ? 'trait' THEN format('(SELECT value FROM twin.trait_value WHERE trait = %L) t(v)', name)
      ELSE format('(SELECT %s FROM twin.profile) t(v)', CASE WHEN catalog->'attributes'->name ? 'column' THEN quote_ident(name) ELSE format('(%I->>%L)::numeric', catalog->'attributes'->name->>'json', name) END) END;
    EXECUTE format('SELECT (array_agg(v ORDER BY v %s))[greatest(1, %s)] FROM %s WHERE v IS NOT NULL', CASE WHEN o ? 'top' THEN 'DESC' ELSE 'ASC' END,
      CASE WHEN coalesce(o->>'top', o->>'bottom') LIKE '%\%' THEN 'ceil(count(*) * ' || rtrim(coalesce(o->>'top', o->>'bottom'), '%') || ' / 100)::integer' ELSE 'least(count(*), ' || coalesce(o->>'top', o->>'bottom') || ')::integer' END, value) INTO threshold;
    catalog := jsonb_set(catalog, ARRAY['ranks', r.name], (o - 'top' - 'bottom')->'rank' || jsonb_build_object(CASE WHEN o ? 'top' THEN 'gte' ELSE 'lte' END, threshold));
  END LOOP;
  RETURN catalog;
END $$;

-- The sets that a plan asks for, in its order, as bitmaps.
CREATE FUNCTION twin.plan_sets(plan jsonb, catalog jsonb) RETURNS bytea[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  s jsonb;
  sets bytea[] := '{}';
  one bytea;
  ids text;
BEGIN
  FOR s IN SELECT e FROM jsonb_array_elements(plan->'sets') WITH ORDINALITY AS x(e, n) ORDER BY n LOOP
    ids := CASE
      WHEN s ? 'list' THEN format('SELECT customer_id FROM twin.list_member WHERE list = (SELECT key FROM jsonb_each(%L) WHERE value->''id'' = %L)', catalog->'lists', s->'list')
      WHEN s ? 'consent' THEN format('SELECT customer_id FROM twin.consented WHERE purpose = %L AND channel = %L', s->>'consent', coalesce(s->>'channel', ''))
      WHEN s ? 'holdout' THEN format('SELECT customer_id FROM twin.holdout_member WHERE arm = %L', s->>'arm')
      ELSE format('SELECT customer_id FROM twin.trait_value WHERE trait = (SELECT key FROM jsonb_each(%L) WHERE value->''id'' = %L) AND %s', catalog->'traits', s->'trait',
        CASE s->>'op' WHEN 'exists' THEN 'true' WHEN 'between' THEN format('value BETWEEN %s AND %s', s->'values'->0, s->'values'->1)
          WHEN 'in' THEN format('value IN (%s)', (SELECT string_agg(v, ', ') FROM jsonb_array_elements_text(s->'values') v))
          ELSE format('value %s %s', CASE s->>'op' WHEN 'eq' THEN '=' WHEN 'lt' THEN '<' WHEN 'lte' THEN '<=' WHEN 'gt' THEN '>' WHEN 'gte' THEN '>=' END, s->>'value') END) END;
    EXECUTE 'SELECT cdp.roaring_build(x.customer_id) FROM (' || ids || ') x' INTO one;
    sets := sets || one;
  END LOOP;
  RETURN sets;
END $$;

-- The members that the engine finds for rules [{"id", "name", "rule"}] as of a moment; a row a rule.
CREATE FUNCTION twin.engine(rules jsonb, catalog jsonb, as_of timestamptz) RETURNS TABLE (id integer, members bigint[]) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  whole jsonb := twin.with_ranks(catalog, rules);
  plan jsonb := cdp_internal.rule_plan(rules, whole, as_of);
  events bytea := (SELECT cdp_internal.segment_pass(e.customer_id, e.at, e.kind_id, e.origin_id::integer, e.campaign_id::integer, e.source_id, e.value, e.properties, e.id, plan, NULL::timestamptz) FROM twin.event e);
  attributes bytea := (SELECT cdp_internal.segment_attribute_pass(p.customer_id, p, plan, NULL::timestamptz) FROM twin.profile p);
BEGIN
  RETURN QUERY SELECT m.segment_id, ARRAY(SELECT i FROM cdp.roaring_ids(m.members) i ORDER BY i)
    FROM cdp_internal.segment_combine(plan, (SELECT cdp.roaring_build(customer_id) FROM twin.customer), coalesce(events, cdp_internal.segment_pass_nothing(plan)), attributes, twin.plan_sets(plan, whole)) m;
END $$;

-- The twin of the attribution engine, part 4: random journeys, random options, and the comparison.

-- Everything follows from the seed, so that a failure can be replayed by its seed alone.
CREATE TABLE twin.rows (key text, at timestamptz, label text, value numeric, id bigint, kind text, session bigint, refers_to bigint);

CREATE FUNCTION twin.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE
RETURN choices[1 + floor(random() * cardinality(choices))::int];

-- Fills twin.rows. flavour: mixed (few customers, all kinds of rows), plain (journeys as a shop has them).
CREATE FUNCTION twin.make_rows(seed int, flavour text DEFAULT 'mixed', size int DEFAULT 0, int_labels bool DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  customers int; labels text[]; n int; grid interval; span int; k text; i bigint := 0; r float8;
  base timestamptz := '2026-03-01 00:00+00';
  t timestamptz; lab text; v numeric; kind text;
  p_conv float8; p_refund float8; p_dirt float8;
  conv_ids bigint[] := '{}';
BEGIN
  PERFORM setseed((seed % 100000) / 100000.0);
  DELETE FROM twin.rows;
  IF int_labels THEN labels := ARRAY['7', '10', '-3', '200', '0', '15'];
  ELSE labels := ARRAY['email', '微信', 'Direct', 'a, b', 'paid "x"', 'e', 'E(1)', 'zeta']; END IF;
  labels := labels[1:1 + floor(random() * cardinality(labels))::int];
  customers := 1 + floor(random() * 7);
  grid := twin.pick('0 s', '1 s', '1 h', '1 day', '10 days', '00:00:00.000013')::interval;
  span := twin.pick('3', '20', '200')::int;
  p_conv := twin.pick('0.02', '0.1', '0.3')::float8;
  p_refund := twin.pick('0', '0.05', '0.1')::float8;
  p_dirt := CASE flavour WHEN 'mixed' THEN twin.pick('0', '0.05')::float8 ELSE 0 END;
  FOR cust IN 1..customers LOOP
    n := CASE WHEN size > 0 THEN size ELSE floor(power(random(), 3) * 40)::int + 1 END;
    FOR x IN 1..n LOOP
      i := i + 1;
      k := (100 - cust)::text;
      t := base + floor(random() * span) * grid;
      lab := labels[1 + floor(random() * cardinality(labels))::int];
      kind := twin.pick('click', 'view', 'view', NULL);
      v := NULL;
      r := random();
      IF r < p_conv THEN
        v := twin.pick('0', '10', '10', '0.000001', '33.333333', '123456.789012', '1999.99')::numeric;
        kind := 'purchase';
        IF random() < 0.7 THEN lab := NULL; END IF;
        conv_ids := conv_ids || i;
      ELSIF r < p_conv + p_refund THEN
        v := twin.pick('-10', '-3.21', '-0.000001')::numeric;
        lab := NULL; kind := 'refund';
      ELSIF r > 0.9 THEN
        lab := NULL; kind := twin.pick('lead', 'opportunity', 'lead', 'visit');
      END IF;
      INSERT INTO twin.rows VALUES (
        CASE WHEN random() < p_dirt THEN NULL ELSE k END,
        CASE WHEN random() < p_dirt THEN twin.pick(NULL, 'infinity', '-infinity')::timestamptz ELSE t END,
        lab, v, i, kind,
        CASE WHEN random() < 0.7 THEN floor(random() * 4)::bigint END,
        CASE WHEN v < 0 AND random() < 0.6 THEN
               CASE WHEN random() < 0.2 OR conv_ids = '{}' THEN 999999 ELSE conv_ids[1 + floor(random() * cardinality(conv_ids))::int] END
        END);
    END LOOP;
  END LOOP;
END $$;

-- Random options for these rows; models are given.
CREATE FUNCTION twin.make_options(seed int, models text[], ids bool, int_labels bool DEFAULT false) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE o jsonb := jsonb_build_object('models', models); part text[];
BEGIN
  PERFORM setseed(((seed + 7777) % 100000) / 100000.0);
  IF ids THEN o := o || '{"ids": true}'; END IF;
  IF int_labels THEN o := o || '{"int_labels": true}'; END IF;
  IF random() < 0.2 THEN o := o || '{"lookback_unbounded": true}';
  ELSIF random() < 0.7 THEN o := o || jsonb_build_object('lookback', twin.pick('1 s', '12:00', '2 days', '7 days', '29 days 23:59:59.999999', '100 days')); END IF;
  IF ids AND NOT int_labels AND random() < 0.3 THEN
    o := o || jsonb_build_object('lookback_by_kind', jsonb_build_object('view', twin.pick('1 h', '1 day', '90 days'), 'click', '5 days'));
  END IF;
  IF random() < 0.3 THEN o := o || jsonb_build_object('max_touches', twin.pick('1', '2', '3', '5', '20')::int); END IF;
  IF random() < 0.4 THEN o := o || '{"journey": "reset"}'; END IF;
  IF random() < 0.3 THEN o := o || '{"collapse": true}'; END IF;
  IF random() < 0.4 THEN o := o || jsonb_build_object('conversion_is_touch', twin.pick('later', 'also', 'no')); END IF;
  IF random() < 0.3 THEN o := o || '{"fallback": "none"}'; END IF;
  IF random() < 0.3 THEN o := o || '{"two_touch": "split"}'; END IF;
  IF random() < 0.2 THEN o := o || '{"null_paths": false}'; END IF;
  IF random() < 0.25 THEN o := o || jsonb_build_object('since', '2026-03-01 00:00+00'::timestamptz + floor(random() * 20) * interval '1 h'); END IF;
  IF random() < 0.25 THEN o := o || jsonb_build_object('until', '2026-03-03 00:00+00'::timestamptz + floor(random() * 40) * interval '6 h'); END IF;
  IF random() < 0.25 THEN o := o || jsonb_build_object('as_of', '2026-03-04 00:00+00'::timestamptz + floor(random() * 40) * interval '6 h'); END IF;
  IF random() < 0.4 THEN
    SELECT array_agg(label) INTO part FROM (SELECT label FROM (SELECT DISTINCT label FROM twin.rows WHERE label IS NOT NULL) d
                                             WHERE random() < 0.4 ORDER BY label COLLATE "C") s;
    IF part IS NOT NULL THEN o := o || jsonb_build_object(twin.pick('exclude', 'include'), to_jsonb(part)); END IF;
  END IF;
  IF ids AND NOT int_labels AND random() < 0.7 THEN o := o || jsonb_build_object('milestones', to_jsonb(CASE WHEN random() < 0.5 THEN '{lead,opportunity}'::text[] ELSE '{opportunity}' END)); END IF;
  RETURN o;
END $$;

-- The same options as an SQL expression for the engine.
CREATE FUNCTION twin.options_sql(o jsonb) RETURNS text LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
  SELECT 'cdp.attribution_options(' || coalesce(string_agg(
           format('%I => %L', key, CASE jsonb_typeof(value) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(value))::text
                                                             ELSE value #>> '{}' END), ', ' ORDER BY key), '') || ')'
    FROM jsonb_each(o) WHERE key NOT IN ('ids', 'int_labels', 'key_type', 'value_type');
END;

-- The engine's call over src, as an expression with its FROM.
CREATE FUNCTION twin.pass_sql(src text, o jsonb) RETURNS text LANGUAGE sql IMMUTABLE
RETURN format('SELECT cdp.attribution_pass(%s, at, %s, %s, %s%s) AS p FROM %s',
  CASE coalesce(o->>'key_type', 'text') WHEN 'bigint' THEN 'key::bigint' WHEN 'uuid' THEN 'md5(key)::uuid' ELSE 'key' END,
  CASE WHEN (o->>'int_labels')::bool THEN 'label::int' ELSE 'label' END,
  CASE WHEN o->>'value_type' = 'float8' THEN 'value::float8' ELSE 'value' END,
  twin.options_sql(o),
  CASE WHEN (o->>'ids')::bool THEN CASE WHEN (o->>'int_labels')::bool THEN ', id, NULL::int, session, refers_to' ELSE ', id, kind, session, refers_to' END ELSE '' END,
  src);

-- NULL when engine and twin agree on totals, on conservation to the last digit and on the rows that must be there.
CREATE FUNCTION twin.compare(src regclass, o jsonb) RETURNS text LANGUAGE plpgsql
SET client_min_messages = error AS $$
DECLARE bad text; s record;
BEGIN
  CREATE TEMP TABLE twin_t ON COMMIT DROP AS
  SELECT label, model, sum(conversions) AS c, sum(value) AS v, bool_or(driven) AS driven FROM twin.totals(src, o) GROUP BY 1, 2;
  EXECUTE format('CREATE TEMP TABLE twin_e ON COMMIT DROP AS SELECT t.*, row_number() OVER () AS no FROM (%s) q, cdp.attribution_totals(q.p) t', twin.pass_sql(src::text, o));
  SELECT coalesce(sum(abs(net)), 0) + 1 AS v, count(*) + 1 AS c,
         -- A touch's weight is cut to 1e-15 and the last one takes the rest, so a label may be off by that for each touch.
         1e-12 + 1e-15 * coalesce((SELECT max(n) FROM twin.j), 0) AS exact INTO s FROM twin.conv;
  SELECT string_agg(format('%s/%s: engine %s, %s; twin %s, %s', model, label, e.conversions, e.value, t.c, t.v), E'\n' ORDER BY model, label)
    INTO bad
    FROM (SELECT * FROM twin_e WHERE conversions <> 0 OR value <> 0) e FULL JOIN twin_t t USING (label, model)
   WHERE NOT coalesce(abs(coalesce(e.conversions::float8, 0) - coalesce(t.c, 0))
                      <= CASE WHEN t.driven THEN 1e-9 ELSE s.exact END * s.c, false)
      OR (NOT coalesce(abs(coalesce(e.value::float8, 0) - coalesce(t.v, 0))
                      <= CASE WHEN t.driven THEN 1e-9 ELSE s.exact END
                         * greatest(s.v, (SELECT max(abs(x.v)) FROM twin_t x WHERE x.model = model)), false)
          -- Shares of value have no meaning when what they divide by is nothing but rounding.
          AND NOT (coalesce(t.driven, true) AND twin.degenerate(model)));
  SELECT concat_ws(E'\n', bad, string_agg(format('%s: sums to %s, %s instead of %s, %s', model, e.c, e.v, s2.c, s2.v), E'\n'))
    INTO bad
    FROM (SELECT model, sum(conversions) AS c, sum(value) AS v FROM twin_e GROUP BY model) e,
         (SELECT (SELECT count(*) FROM twin.conv WHERE reported) AS c,
                 (SELECT coalesce(sum(net), 0) FROM twin.conv WHERE reported) + (SELECT coalesce(sum(value), 0) FROM twin.orphan WHERE reported) AS v) s2
   WHERE model <> 'participation' AND (e.c <> s2.c OR e.v <> s2.v);
  SELECT concat_ws(E'\n', nullif(bad, ''), string_agg(format('%s: no row for %s', model, label), E'\n'))
    INTO bad
    FROM jsonb_array_elements_text(o->'models') m(model),
         (SELECT DISTINCT label FROM twin.touch UNION SELECT '(unattributed)') l
   WHERE NOT EXISTS (SELECT FROM twin_e e WHERE e.label = l.label AND e.model = m.model);
  DROP TABLE twin_t, twin_e;
  IF nullif(bad, '') IS NULL THEN RETURN NULL; END IF;
  RETURN format(E'%s\noptions %s', left(bad, 1500), o);
END $$;

-- Whether the value of a data-driven model is undefined or close to it: values that cancel.
CREATE FUNCTION twin.degenerate(model text) RETURNS bool LANGUAGE sql STABLE
RETURN (SELECT coalesce(min(value), 0) < 0 OR coalesce(sum(value), 0) = 0 FROM twin.path) AND model NOT LIKE 'shapley' AND model NOT LIKE 'one%';

-- NULL when the credits of each touch agree.
CREATE FUNCTION twin.compare_credit(src regclass, o jsonb) RETURNS text LANGUAGE plpgsql
SET client_min_messages = error AS $$
DECLARE bad text;
BEGIN
  o := o || '{"credits": true}';
  CREATE TEMP TABLE twin_t ON COMMIT DROP AS
  SELECT key AS customer, conversion_id, conversion_at, touch_id, touch_at, label, model, sum(weight) AS w, sum(conversions) AS n, sum(value) AS v
    FROM twin.credit(src, o) GROUP BY 1, 2, 3, 4, 5, 6, 7;
  EXECUTE format('CREATE TEMP TABLE twin_e ON COMMIT DROP AS
    SELECT customer, conversion_id, conversion_at, touch_id, touch_at, label, model, sum(weight)::float8 AS w, sum(t.conversions)::float8 AS n, sum(t.value)::float8 AS v
      FROM (%s) q, cdp.attribution_credit(q.p) t WHERE weight <> 0 GROUP BY 1, 2, 3, 4, 5, 6, 7', twin.pass_sql(src::text, o));
  SELECT string_agg(format('%s: customer %s, conversion %s %s, touch %s %s %s: engine %s, %s, %s; twin %s, %s, %s', coalesce(e.model, t.model),
                           coalesce(e.customer, t.customer), coalesce(e.conversion_id, t.conversion_id), coalesce(e.conversion_at, t.conversion_at),
                           coalesce(e.touch_id, t.touch_id), coalesce(e.touch_at, t.touch_at), coalesce(e.label, t.label), e.w, e.n, e.v, t.w, t.n, t.v), E'\n')
    INTO bad
    FROM twin_e e FULL JOIN twin_t t
      ON (e.customer, e.conversion_id, e.conversion_at, e.touch_id, e.touch_at, e.label, e.model)::text
       = (t.customer, t.conversion_id, t.conversion_at, t.touch_id, t.touch_at, t.label, t.model)::text
   WHERE NOT (abs(coalesce(e.w, 0) - coalesce(t.w, 0)) <= 1e-12 AND abs(coalesce(e.n, 0) - coalesce(t.n, 0)) <= 1e-12 AND abs(coalesce(e.v, 0) - coalesce(t.v, 0)) <= 1e-12 * (SELECT 1 + coalesce(max(abs(net)), 0) FROM twin.conv));
  DROP TABLE twin_t, twin_e;
  RETURN CASE WHEN bad IS NOT NULL THEN left(bad, 2000) || E'\noptions ' || o END;
END $$;

-- Attribution: the daily roll-up. Every journey of every customer is stored once, encoded,
-- and counted in the sums of the day on which it ended. A refresh reads the change feed,
-- computes the journeys of the changed customers anew, subtracts those that are gone and
-- adds those that came; touches of all other customers are not read. A report adds day sums
-- and, on the fly, what has changed since: it always equals a direct pass.

CREATE OR REPLACE FUNCTION cdp.define_attribution_rollup(
  name text, models text[] DEFAULT '{last,linear,u_shaped,markov,shapley}', lookback interval DEFAULT NULL,
  group_by text DEFAULT 'channel', conversion_kinds text[] DEFAULT NULL, touch_kinds text[] DEFAULT NULL,
  bots boolean DEFAULT false, internal boolean DEFAULT false, currency text DEFAULT NULL, missing_rate text DEFAULT 'error',
  lookback_by_kind jsonb DEFAULT NULL, lookback_unbounded boolean DEFAULT false, max_touches integer DEFAULT NULL,
  journey text DEFAULT NULL, exclude text[] DEFAULT NULL, include text[] DEFAULT NULL, collapse boolean DEFAULT NULL,
  conversion_is_touch text DEFAULT NULL, fallback text DEFAULT NULL, two_touch text DEFAULT NULL,
  milestones text[] DEFAULT NULL, null_paths boolean DEFAULT NULL, dialect text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  wanted jsonb;
  asked jsonb;
  id integer;
BEGIN
  IF name IS NULL OR name = '' THEN
    RAISE EXCEPTION 'a roll-up needs a name' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT r.options - '{label_names}'::text[] INTO wanted FROM cdp_internal.attribution_request(models => models, lookback => lookback,
    group_by => group_by, conversion_kinds => conversion_kinds, touch_kinds => touch_kinds, bots => bots, internal => internal,
    currency => currency, missing_rate => missing_rate, lookback_by_kind => lookback_by_kind, lookback_unbounded => lookback_unbounded,
    max_touches => max_touches, journey => journey, exclude => exclude, include => include, collapse => collapse,
    conversion_is_touch => conversion_is_touch, fallback => fallback, two_touch => two_touch, milestones => milestones,
    null_paths => null_paths, dialect => dialect) r;
  asked := jsonb_build_object('conversion_kinds', to_jsonb(conversion_kinds), 'touch_kinds', to_jsonb(touch_kinds),
    'bots', coalesce(bots, false), 'internal', coalesce(internal, false), 'currency', currency, 'missing_rate', coalesce(missing_rate, 'error'));
  INSERT INTO cdp_data.attribution_rollup AS r (name, options, choices) VALUES (name, wanted, asked)
  ON CONFLICT (name) DO UPDATE SET options = excluded.options, choices = excluded.choices,
    basis = CASE WHEN r.options = excluded.options AND r.choices = excluded.choices THEN r.basis END
  RETURNING r.rollup_id INTO id;
  RETURN id;
END $$;
COMMENT ON FUNCTION cdp.define_attribution_rollup(text, text[], interval, text, text[], text[], boolean, boolean, text, text, jsonb, boolean, integer, text, text[], text[], boolean, text, text, text, text[], boolean, text) IS
'Defines a roll-up by name, or changes it (then the next refresh starts over); arguments as cdp.attribution(), without a window. Returns its rollup_id. Nothing is read until cdp.refresh_attribution(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.drop_attribution_rollup(name text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  id integer;
BEGIN
  DELETE FROM cdp_data.attribution_rollup r WHERE r.name = drop_attribution_rollup.name RETURNING r.rollup_id INTO id;
  DELETE FROM cdp_data.attribution_journey j WHERE j.rollup_id = id;
  DELETE FROM cdp_data.attribution_day d WHERE d.rollup_id = id;
  DELETE FROM cdp_data.attribution_rollup_label l WHERE l.rollup_id = id;
  DELETE FROM cdp_data.feed_cursor c WHERE c.consumer = 'attribution_rollup:' || name;
  RETURN id IS NOT NULL;
END $$;
COMMENT ON FUNCTION cdp.drop_attribution_rollup(text) IS
'Removes a roll-up and all that it stored; returns whether it was there. No touchpoint is touched.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_rates(base text)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  RETURN (SELECT coalesce(jsonb_object_agg(r.currency || ' ' || to_char(r.valid_from, 'YYYY-MM-DD'), r.rate), '{}') FROM cdp_data.currency_rate r WHERE r.base = base);
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_rates(text) IS
'All dated rates into a currency as {"USD 2026-01-01": rate}, to tell later which have changed.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_rollup_own(choices jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.attribution_own(
    CASE WHEN choices->'conversion_kinds' <> 'null' THEN ARRAY(SELECT jsonb_array_elements_text(choices->'conversion_kinds')) END,
    CASE WHEN choices->'touch_kinds' <> 'null' THEN ARRAY(SELECT jsonb_array_elements_text(choices->'touch_kinds')) END,
    NULL, (choices->>'bots')::boolean, (choices->>'internal')::boolean, choices->>'currency', choices->>'missing_rate');
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_rollup_own(jsonb) IS
'The choices of a roll-up with today''s ids of kinds, time zone and currency, as cdp_internal.attribution_own() gives them.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_rollup_labels(group_by text)
RETURNS TABLE (kind text, id integer, label text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  codes record := cdp_internal.attribution_codes(group_by);
BEGIN
  RETURN QUERY
  SELECT u.kind, u.id::integer, coalesce(n.name, '') FROM (
    SELECT 'origin' AS kind, o.id, o.code FROM unnest(codes.by_origin) WITH ORDINALITY AS o (code, id)
    WHERE EXISTS (SELECT FROM cdp_data.origin g WHERE g.origin_id = o.id)
    UNION ALL
    SELECT 'campaign', c.id, c.code FROM unnest(codes.by_campaign) WITH ORDINALITY AS c (code, id)
    WHERE EXISTS (SELECT FROM cdp_data.campaign g WHERE g.campaign_id = c.id)
  ) u LEFT JOIN unnest(codes.names) WITH ORDINALITY AS n (name, code) ON n.code = u.code;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_rollup_labels(text) IS
'Label of every origin and campaign under a grouping, today; '''' for none.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_stale(rollup integer)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec cdp_data.attribution_rollup;
BEGIN
  SELECT * INTO STRICT spec FROM cdp_data.attribution_rollup r WHERE r.rollup_id = rollup;
  RETURN CASE
    WHEN spec.basis IS NULL THEN 'it has not been built'
    WHEN NOT EXISTS (SELECT FROM cdp_data.feed_cursor c WHERE c.consumer = 'attribution_rollup:' || spec.name) THEN 'its place in the change feed is lost'
    WHEN NOT EXISTS (SELECT FROM cdp_data.feed_cursor c
                     WHERE c.consumer = 'attribution_rollup:' || spec.name AND c.system_identifier = cdp_internal.system_identifier())
      THEN 'the database was restored on another cluster'
    WHEN spec.basis->'own' <> cdp_internal.attribution_rollup_own(spec.choices) THEN 'kinds of touchpoints, time zone, currency or the rule of consent have changed'
    WHEN EXISTS (SELECT FROM cdp_data.attribution_day d WHERE d.rollup_id = rollup AND d.partial IS NULL) THEN 'its sums were lost with the extension'
    WHEN EXISTS (SELECT FROM cdp_data.change_feed f WHERE f.customer_id IS NULL
                 AND NOT pg_visible_in_snapshot(f.xid, (SELECT c.snapshot FROM cdp_data.feed_cursor c WHERE c.consumer = 'attribution_rollup:' || spec.name)))
      THEN 'the change feed says that everybody changed'
    WHEN EXISTS (SELECT FROM cdp_data.attribution_rollup_label l
                 LEFT JOIN cdp_internal.attribution_rollup_labels(spec.options->>'grouped_by') n ON n.kind = l.kind AND n.id = l.id
                 WHERE l.rollup_id = rollup AND n.label IS DISTINCT FROM l.label) THEN 'channel rules or names have changed'
  END;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_stale(integer) IS
'Why a roll-up has to start over, in words; NULL when it need not.';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_changed(rollup integer, OUT roots bigint[], OUT snapshot pg_snapshot)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  spec cdp_data.attribution_rollup;
  seen pg_snapshot;
  ids bigint[];
  dated record;
  more bigint[];
BEGIN
  SELECT * INTO STRICT spec FROM cdp_data.attribution_rollup r WHERE r.rollup_id = rollup;
  SELECT c.snapshot INTO seen FROM cdp_data.feed_cursor c WHERE c.consumer = 'attribution_rollup:' || spec.name;
  SELECT array_agg(DISTINCT f.customer_id) INTO ids FROM cdp_data.change_feed f
  WHERE f.xid >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(f.xid, seen) AND f.customer_id IS NOT NULL;

  -- A rate that is new, gone or corrected changes conversions from its day on.
  FOR dated IN
    SELECT split_part(k.key, ' ', 1) AS currency, min(split_part(k.key, ' ', 2)::date) AS day
    FROM (SELECT coalesce(a.key, b.key) AS key
          FROM jsonb_each(spec.basis->'rates') a
          FULL JOIN jsonb_each(cdp_internal.attribution_rates(spec.basis->'own'->>'currency')) b ON b.key = a.key
          WHERE a.value IS DISTINCT FROM b.value AND spec.basis IS NOT NULL) k
    GROUP BY 1
  LOOP
    EXECUTE 'SELECT array_agg(DISTINCT t.customer_id) FROM cdp_data.touchpoint t WHERE t.currency = $1 AND t.occurred_at >= $2'
      INTO more USING dated.currency, dated.day::timestamp AT TIME ZONE 'UTC';
    ids := ids || more;
  END LOOP;

  -- Consent turns without a word when a grant runs out, or a record of the future begins.
  ids := ids || cdp_internal.consent_turns('analytics', (spec.basis->>'gate_at')::timestamptz, clock_timestamp());

  IF EXISTS (SELECT FROM cdp_data.identifier_override) THEN
    -- the feed names home customers; their moved identifiers belong to others
    ids := ids || ARRAY(SELECT o.customer_id FROM cdp_data.identifier_override o JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id
                        WHERE i.customer_id = ANY (ids));
  END IF;
  SELECT coalesce(array_agg(DISTINCT u.id ORDER BY u.id), '{}') INTO roots FROM (
    SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), NULL, i, NULL) AS id FROM unnest(ids) i
    UNION ALL SELECT i FROM unnest(ids) i) u;

  snapshot := pg_current_snapshot();
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_changed(integer) IS
'Customers (old ids and today''s roots) whose journeys may have changed since the roll-up''s cursor: by the change feed, by changed rates, by moved identifiers, by consent that turned by itself; and the snapshot up to which that holds, for cdp.feed_advance().';

CREATE OR REPLACE FUNCTION cdp_internal.attribution_store(rollup integer, roots bigint[], root_from bigint, root_to bigint,
  OUT removed bigint, OUT added bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec cdp_data.attribution_rollup;
  own jsonb;
  options jsonb;
BEGIN
  SELECT * INTO STRICT spec FROM cdp_data.attribution_rollup r WHERE r.rollup_id = rollup;
  own := cdp_internal.attribution_rollup_own(spec.choices);
  options := spec.options || jsonb_build_object('time_zone', own->'time_zone');
  WITH new AS MATERIALIZED (
    SELECT j.customer::bigint AS customer_id, (j.ended_at AT TIME ZONE (own->>'time_zone'))::date AS day, j.ended_at, j.converted, j.journey,
      row_number() OVER (PARTITION BY j.customer, j.journey) AS nth
    FROM cdp.attribution_journeys(cdp_internal.attribution_scan(options || '{"credits": true}', own, roots, root_from, root_to)) j
  ), old AS MATERIALIZED (
    SELECT s.journey_id, s.customer_id, s.day, s.journey, row_number() OVER (PARTITION BY s.customer_id, s.journey ORDER BY s.journey_id) AS nth
    FROM cdp_data.attribution_journey s WHERE s.rollup_id = rollup AND s.customer_id = ANY (roots)
  ), gone AS (
    DELETE FROM cdp_data.attribution_journey d USING old o
    WHERE d.rollup_id = rollup AND d.customer_id = o.customer_id AND d.journey_id = o.journey_id
      AND NOT EXISTS (SELECT FROM new n WHERE n.customer_id = o.customer_id AND n.journey = o.journey AND n.nth = o.nth)
    RETURNING d.day, d.journey
  ), come AS (
    INSERT INTO cdp_data.attribution_journey (rollup_id, customer_id, day, ended_at, converted, journey)
    SELECT rollup, n.customer_id, n.day, n.ended_at, n.converted, n.journey FROM new n
    WHERE NOT EXISTS (SELECT FROM old o WHERE o.customer_id = n.customer_id AND o.journey = n.journey AND o.nth = n.nth)
    RETURNING day, journey
  ), change AS (
    SELECT g.day, g.journey, -1 AS sign FROM gone g UNION ALL SELECT c.day, c.journey, 1 FROM come c
  ), delta AS (
    SELECT c.day, cdp.attribution_replay(c.journey, c.sign, options) AS partial, count(*) FILTER (WHERE c.sign < 0) AS minus, count(*) FILTER (WHERE c.sign > 0) AS plus
    FROM change c GROUP BY c.day
  ), kept AS (
    INSERT INTO cdp_data.attribution_day AS d (rollup_id, day, partial) SELECT rollup, x.day, x.partial FROM delta x
    ON CONFLICT (rollup_id, day) DO UPDATE SET partial = (SELECT cdp.attribution_merge(m.p) FROM (VALUES (d.partial), (excluded.partial)) AS m (p))
  )
  SELECT coalesce(sum(x.minus), 0), coalesce(sum(x.plus), 0) INTO removed, added FROM delta x;
END $$;
COMMENT ON FUNCTION cdp_internal.attribution_store(integer, bigint[], bigint, bigint) IS
'Computes the journeys of given customers (roots, and ids that were roots before; or a range of root ids of an empty roll-up) anew, subtracts from the day sums what is gone, adds what came, and stores the journeys; tells how many.';

CREATE OR REPLACE FUNCTION cdp.refresh_attribution(name text DEFAULT NULL)
RETURNS TABLE (rollup text, started_over text, customers bigint, journeys_removed bigint, journeys_added bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  spec cdp_data.attribution_rollup;
  changed record;
  own jsonb;
  rates jsonb;
  gate_at timestamptz;
  part record;
  first bigint;
  slice integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF name IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.attribution_rollup r WHERE r.name = refresh_attribution.name) THEN
    RAISE EXCEPTION 'there is no attribution roll-up named "%"', name
      USING ERRCODE = 'undefined_object', HINT = 'Define it with cdp.define_attribution_rollup().';
  END IF;
  slice := cdp_internal.attribution_slice();
  FOR spec IN SELECT r.* FROM cdp_data.attribution_rollup r
    WHERE CASE WHEN refresh_attribution.name IS NULL THEN r.enabled ELSE r.name = refresh_attribution.name END ORDER BY r.name FOR UPDATE
  LOOP
    rollup := spec.name; journeys_removed := 0; journeys_added := 0;
    -- What the sums stand on is read before they are made: what changes meanwhile must differ from it later.
    own := cdp_internal.attribution_rollup_own(spec.choices);
    rates := cdp_internal.attribution_rates(own->>'currency');
    gate_at := clock_timestamp();
    started_over := cdp_internal.attribution_stale(spec.rollup_id);
    changed := cdp_internal.attribution_changed(spec.rollup_id);
    IF started_over IS NOT NULL THEN
      DELETE FROM cdp_data.attribution_journey j WHERE j.rollup_id = spec.rollup_id;
      DELETE FROM cdp_data.attribution_day d WHERE d.rollup_id = spec.rollup_id;
      DELETE FROM cdp_data.attribution_rollup_label l WHERE l.rollup_id = spec.rollup_id;
    END IF;
    INSERT INTO cdp_data.attribution_rollup_label (rollup_id, kind, id, label)
    SELECT spec.rollup_id, l.kind, l.id, l.label FROM cdp_internal.attribution_rollup_labels(spec.options->>'grouped_by') l
    ON CONFLICT DO NOTHING;
    IF started_over IS NOT NULL THEN
      customers := (SELECT count(*) FROM cdp_data.customer);
      FOR first IN SELECT g FROM generate_series(1, (SELECT max(c.customer_id) FROM cdp_data.customer c), slice) g LOOP -- an integer loop ends at 2^31
        part := cdp_internal.attribution_store(spec.rollup_id, NULL, first, first + slice - 1);
        journeys_added := journeys_added + part.added;
      END LOOP;
    ELSE
      customers := cardinality(changed.roots);
      FOR low IN 1 .. customers BY slice LOOP
        part := cdp_internal.attribution_store(spec.rollup_id, changed.roots[low : low + slice - 1], NULL, NULL);
        journeys_removed := journeys_removed + part.removed;
        journeys_added := journeys_added + part.added;
      END LOOP;
    END IF;
    UPDATE cdp_data.attribution_rollup r SET refreshed_at = now(), built_at = CASE WHEN started_over IS NULL THEN r.built_at ELSE now() END,
      basis = jsonb_build_object('own', own, 'rates', rates, 'gate_at', gate_at)
    WHERE r.rollup_id = spec.rollup_id;
    PERFORM cdp.feed_advance('attribution_rollup:' || spec.name, changed.snapshot);
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION cdp.refresh_attribution(text) IS
'Brings roll-ups up to date (NULL: all that are enabled): reads the change feed and the touches of changed customers only. started_over says why a roll-up was built anew (first time, restored elsewhere, changed channel rules, kinds, time zone or currency), NULL when it was not. Two refreshes of one roll-up wait for each other. Needs the rights of the tables'' owner; the job list runs it daily.';

CREATE OR REPLACE FUNCTION cdp.attribution_rollup_run(name text, since date DEFAULT NULL, until date DEFAULT NULL)
RETURNS cdp.attribution_partial
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  spec cdp_data.attribution_rollup;
  stale text;
  changed record;
  own jsonb;
  options jsonb;
  slice integer;
  live cdp.attribution_partial[] := '{}';
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT r.* INTO spec FROM cdp_data.attribution_rollup r WHERE r.name = attribution_rollup_run.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no attribution roll-up named "%"', name
      USING ERRCODE = 'undefined_object', HINT = 'Define it with cdp.define_attribution_rollup().';
  END IF;
  stale := cdp_internal.attribution_stale(spec.rollup_id);
  IF stale IS NOT NULL THEN
    RAISE EXCEPTION 'roll-up "%" has to be built anew: %', name, stale
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Run SELECT * FROM cdp.refresh_attribution(%L), or use cdp.attribution().', name);
  END IF;
  own := cdp_internal.attribution_rollup_own(spec.choices);
  options := spec.options || jsonb_build_object('time_zone', own->'time_zone');
  changed := cdp_internal.attribution_changed(spec.rollup_id);
  slice := cdp_internal.attribution_slice();
  -- What changed since the last refresh: the stored journeys out, today's in.
  FOR low IN 1 .. cardinality(changed.roots) BY slice LOOP
    live := live || (
      WITH batch AS (SELECT changed.roots[low : low + slice - 1] AS roots)
      SELECT cdp.attribution_replay(x.journey, x.sign, options) FROM (
        SELECT s.journey, -1 AS sign, s.day FROM batch b
        JOIN cdp_data.attribution_journey s ON s.rollup_id = spec.rollup_id AND s.customer_id = ANY (b.roots)
        UNION ALL
        SELECT j.journey, 1, (j.ended_at AT TIME ZONE (own->>'time_zone'))::date FROM batch b
        CROSS JOIN LATERAL cdp.attribution_journeys(cdp_internal.attribution_scan(options || '{"credits": true}', own, b.roots)) j
      ) x WHERE (since IS NULL OR x.day >= since) AND (until IS NULL OR x.day < until));
  END LOOP;
  RETURN (
    SELECT coalesce(cdp.attribution_merge(u.p), cdp_internal.attribution_nothing(options)) FROM (
      SELECT d.partial AS p FROM cdp_data.attribution_day d
      WHERE d.rollup_id = spec.rollup_id AND (since IS NULL OR d.day >= since) AND (until IS NULL OR d.day < until)
      UNION ALL SELECT l FROM unnest(live) l) u);
END $$;
COMMENT ON FUNCTION cdp.attribution_rollup_run(text, date, date) IS
'A roll-up for since <= day < until (days of its time zone; NULL: all) as a value that cdp.attribution_totals, _transitions, _wide and the others open. Adds what changed since the last refresh, so that it equals a direct pass over the touchpoints at this moment. Writes nothing. Error 55000 when the roll-up has to be built first.';

CREATE OR REPLACE FUNCTION cdp.attribution_rollup(name text, since date DEFAULT NULL, until date DEFAULT NULL)
RETURNS TABLE (label text, model text, conversions numeric, value numeric, contribution numeric,
  spend numeric, roas numeric, cpa numeric, cac numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  result cdp.attribution_partial := cdp.attribution_rollup_run(name, since, until);
  spec record;
BEGIN
  SELECT r.options->>'grouped_by' AS group_by, r.basis->'own' AS own, r.options INTO spec FROM cdp_data.attribution_rollup r WHERE r.name = attribution_rollup.name;
  IF NOT cdp_internal.consent_gate_open('analytics') THEN
    -- How much it is no sum of a day tells, and a report from day sums does not read touches to find out.
    RAISE NOTICE 'customers without consent to analytics are left out; cdp.attribution_left_out() tells how much that is';
  END IF;
  RETURN QUERY
  SELECT r.label, r.model, r.conversions, r.value, r.contribution, r.spend, r.roas, r.cpa, r.cac
  FROM cdp_internal.attribution_report(result, NULL, since::timestamp AT TIME ZONE (spec.own->>'time_zone'),
    until::timestamp AT TIME ZONE (spec.own->>'time_zone'), spec.group_by, spec.own->>'currency', spec.own->>'missing_rate',
    -- the window in which people are counted, where there is a minimum audience
    spec.options || jsonb_build_object('time_zone', spec.own->'time_zone', 'since', since::timestamp AT TIME ZONE (spec.own->>'time_zone'), 'until', until::timestamp AT TIME ZONE (spec.own->>'time_zone')), spec.own) r;
END $$;
COMMENT ON FUNCTION cdp.attribution_rollup(text, date, date) IS
'The report of cdp.attribution() from a roll-up, for since <= day of conversion < until (days of the roll-up''s time zone; NULL: all): the same numbers to the last digit, without reading touches of unchanged customers. cac is NULL. With cdp_data.setting.minimum_audience touches are read all the same, to count people. A NOTICE tells where customers are left out for want of consent. Error 55000 when the roll-up has to be built first.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_attribution()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rollup text;
BEGIN
  -- One that cannot be refreshed, for want of a rate say, must not stop the others.
  FOR rollup IN SELECT r.name FROM cdp_data.attribution_rollup r WHERE r.enabled ORDER BY r.name LOOP
    BEGIN
      PERFORM cdp.refresh_attribution(rollup);
    EXCEPTION WHEN data_exception OR object_not_in_prerequisite_state THEN
      RAISE WARNING 'attribution roll-up "%" was not refreshed: %', rollup, SQLERRM;
    END;
  END LOOP;
END $$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_attribution() IS
'Part of cdp.maintain(): refreshes the enabled roll-ups of attribution, each for itself.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_attribution()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.attribution_rollup') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'roll-up of attribution has to be built anew', format('"%s": %s', r.name, s.reason),
    format('SELECT * FROM cdp.refresh_attribution(%L);', r.name)
  FROM cdp_data.attribution_rollup r, LATERAL (SELECT cdp_internal.attribution_stale(r.rollup_id) AS reason OFFSET 0) s
  WHERE r.enabled AND s.reason IS NOT NULL
  UNION ALL
  SELECT 'warning', 'roll-up of attribution is not refreshed', format('"%s": last on %s', r.name, r.refreshed_at),
    'See that the job list runs (cdp.schedule()), or run SELECT * FROM cdp.refresh_attribution();'
  FROM cdp_data.attribution_rollup r
  WHERE r.enabled AND r.refreshed_at < now() - interval '3 days';
END $$;
COMMENT ON FUNCTION cdp_internal.health_of_attribution() IS
'Findings of cdp.health() about roll-ups of attribution: those that must start over and those not refreshed for three days.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_attribution(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  spec record;
  part record;
  gone bigint := 0;
BEGIN
  -- The touches have moved or gone already: the roll-ups follow at once, so that their sums stay or shrink with them.
  FOR spec IN SELECT r.rollup_id, r.name FROM cdp_data.attribution_rollup r ORDER BY r.name FOR UPDATE LOOP
    BEGIN
      IF cdp_internal.attribution_stale(spec.rollup_id) IS NULL THEN
        part := cdp_internal.attribution_store(spec.rollup_id, array_remove(customers || fresh, NULL), NULL, NULL);
        gone := gone + part.removed;
      END IF;
    EXCEPTION WHEN data_exception OR object_not_in_prerequisite_state THEN
      -- A rate is missing, say. An erasure does not wait for that: the roll-up starts over.
      UPDATE cdp_data.attribution_rollup r SET basis = NULL WHERE r.rollup_id = spec.rollup_id;
    END;
    DELETE FROM cdp_data.attribution_journey j WHERE j.rollup_id = spec.rollup_id AND j.customer_id = ANY (customers);
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone + n;
  END LOOP;
  RETURN QUERY SELECT 'cdp_data.attribution_journey', CASE WHEN fresh IS NULL THEN 'delete' ELSE 'unlink' END, gone;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_attribution(bigint[], bigint[], bigint[], bigint, text) IS
'Brings the roll-ups to an erasure whose touches have been moved to an unlinked customer (or deleted, fresh NULL): journeys out, journeys in, sums by the difference. Returns what was done.';

-- Governance room: retention policies, what they would do, and the deletion of single rows in committed batches.
-- Partitions of which nothing is kept are dropped by cdp.maintain() before this (13_retention).

CREATE OR REPLACE FUNCTION cdp_internal.retention_tables() RETURNS TABLE (what text, basis text, at_column text, condition text, subject text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
-- Only what waits for nothing: an open message or alert, or a deletion that a destination has not confirmed, is not deleted by age.
SELECT * FROM (VALUES
  ('quarantine'::text, 'loaded'::text, 'created_at'::text, 'true'::text, NULL::text),
  ('outbox', 'loaded', 'created_at', $$t.state NOT IN ('waiting', 'taken') AND NOT EXISTS (SELECT FROM cdp_data.erasure_destination e WHERE e.outbox_id = t.outbox_id)$$, 'customer_id'),
  ('touchpoint_retracted', 'occurred', 'occurred_at', 'true', 'customer_id'),
  ('touchpoint_retracted', 'loaded', 'retracted_at', 'true', 'customer_id'),
  ('identity_alert', 'loaded', 'resolved_at', 't.resolved_at IS NOT NULL', 'customer_id')) AS v (what, basis, at_column, condition, subject);
END;
COMMENT ON FUNCTION cdp_internal.retention_tables() IS
'Tables beside touchpoints and attributes that a retention policy may name: the bases that they know, the column that tells the age, which rows may go, and the column of the customer for holds (NULL: the rows name none).';

CREATE OR REPLACE FUNCTION cdp.set_retention(what text, keep interval, name text DEFAULT NULL, basis text DEFAULT NULL, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  setting text := CASE WHEN name IS NULL THEN CASE what WHEN 'touchpoint' THEN 'touchpoint_retention' WHEN 'audit' THEN 'audit_retention'
    WHEN 'call_message' THEN 'message_retention' WHEN 'job_run' THEN 'job_run_retention' END END;
  chosen text := coalesce(set_retention.basis, CASE WHEN what IN ('touchpoint', 'attribute', 'customer') THEN 'occurred'
    ELSE (SELECT t.basis FROM cdp_internal.retention_tables() t WHERE t.what = set_retention.what ORDER BY t.basis LIMIT 1) END);
BEGIN
  PERFORM cdp_internal.require_setup();
  IF keep <= '0'::interval THEN
    RAISE EXCEPTION 'a retention must be longer than nothing' USING ERRCODE = 'invalid_parameter_value', HINT = 'NULL takes the policy away.';
  END IF;
  IF setting IS NOT NULL THEN
    IF set_retention.basis <> (CASE what WHEN 'touchpoint' THEN 'occurred' ELSE 'loaded' END) THEN
      RAISE EXCEPTION 'the general retention of % is counted one way only', what
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave basis out; for touchpoints, name a kind to count from the load.';
    END IF;
    IF keep IS NULL AND what IN ('call_message', 'job_run') THEN
      RAISE EXCEPTION 'the retention of % can not be taken away', what
        USING ERRCODE = 'null_value_not_allowed', HINT = 'Give a long one.';
    END IF;
    EXECUTE format('UPDATE cdp_data.setting SET %I = $1, updated_at = now()', setting) USING keep;
  ELSE
    IF NOT (what IN ('touchpoint', 'attribute') AND chosen IN ('occurred', 'loaded') OR what = 'customer' AND chosen = 'occurred' AND coalesce(name, '') IN ('', 'delete')
      OR EXISTS (SELECT FROM cdp_internal.retention_tables() t WHERE t.what = set_retention.what AND t.basis = chosen) AND name IS NULL) OR what IS NULL THEN
      RAISE EXCEPTION 'there is no retention of %', concat_ws(' ', coalesce(quote_literal(left(what, 100)), 'NULL'), quote_literal(left(name, 100)), 'counted from', coalesce(left(set_retention.basis, 50), 'anything'))
        USING ERRCODE = 'invalid_parameter_value',
          HINT = 'what: touchpoint (name: a kind), attribute (name: an attribute, or none), customer (name: delete, or none), audit, call_message, job_run, '
            || (SELECT string_agg(format('%s (%s)', t.what, t.basis), ', ' ORDER BY t.what, t.basis) FROM cdp_internal.retention_tables() t) || '; basis: occurred or loaded.';
    ELSIF what = 'touchpoint' AND NOT EXISTS (SELECT FROM cdp_data.touch_kind_all k WHERE k.name = set_retention.name) THEN
      RAISE EXCEPTION 'unknown kind "%"', left(name, 100)
        USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT k.name FROM cdp_data.touch_kind_all k), 'See cdp_data.touch_kind_all.');
    ELSIF what = 'attribute' AND name IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.attribute_all a WHERE a.name = set_retention.name) THEN
      RAISE EXCEPTION 'unknown attribute "%"', left(name, 100)
        USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(name, ARRAY(SELECT a.name FROM cdp_data.attribute_all a), 'See cdp_data.attribute_all.');
    END IF;
    IF what = 'customer' THEN
      -- One policy: a second way of erasing people would take the first one's.
      DELETE FROM cdp_data.retention r WHERE r.what = 'customer';
      IF keep IS NOT NULL THEN
        PERFORM cdp_internal.key_ids();
      END IF;
    END IF;
    IF keep IS NULL THEN
      DELETE FROM cdp_data.retention r WHERE r.what = set_retention.what AND r.name = coalesce(set_retention.name, '');
    ELSE
      INSERT INTO cdp_data.retention AS r (what, name, keep, basis, note) VALUES (set_retention.what, coalesce(set_retention.name, ''), set_retention.keep, chosen, set_retention.note)
      ON CONFLICT ON CONSTRAINT retention_pkey DO UPDATE
      SET keep = excluded.keep, basis = excluded.basis, note = excluded.note, set_by = excluded.set_by, set_at = excluded.set_at;
    END IF;
  END IF;
  PERFORM cdp_data.audit_write('setting', 'retention', NULL, jsonb_build_object('what', what, 'name', name, 'keep', keep::text, 'basis', chosen));
END
$$;
COMMENT ON FUNCTION cdp.set_retention(text, interval, text, text, text) IS
'Says how long what is kept: SELECT cdp.set_retention(''touchpoint'', ''90 days'', ''page_view''). what: touchpoint (name a kind; without a name the general retention of all other kinds), attribute (with or without a name), customer (people without a sign for so long are erased as cdp.erase_customer() does, but may come again; name delete for that mode, none for anonymise), quarantine, outbox (sent, failed and cancelled messages, but for deletions that no destination has confirmed), touchpoint_retracted, identity_alert (resolved ones), audit (sealed rows), call_message, job_run. basis: occurred (when it happened) or loaded (when it came here); NULL: occurred where it is known. keep NULL takes the policy away. Nothing is deleted now: cdp.retention_plan() shows what would be, cdp.maintain() does it. Errors: 22023 unknown what, name or basis, or a keep not above zero; 55000 customer without a key file; 22004 a setting that can not be without.';

CREATE OR REPLACE FUNCTION cdp_internal.value_last(basis text, last_at timestamptz, load_id bigint, version_id bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Loads that repeated the record said the value again.
  RETURN greatest(
    CASE value_last.basis WHEN 'occurred' THEN value_last.last_at ELSE (SELECT l.started_at FROM cdp_data.load l WHERE l.load_id = value_last.load_id) END,
    (SELECT CASE value_last.basis WHEN 'occurred' THEN r.last_at ELSE (SELECT max(l.started_at) FROM cdp_data.load l WHERE l.load_id = ANY (r.loads)) END
     FROM cdp_data.record_version w JOIN cdp_data.repetition r ON r.repetition_id = w.repetition_id WHERE w.version_id = value_last.version_id AND value_last.version_id <> 0));
END
$$;
COMMENT ON FUNCTION cdp_internal.value_last(text, timestamptz, bigint, bigint) IS
'When a row of cdp_data.attribute_value was last said (occurred) or last delivered (loaded), by its own load or one that repeated its record.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_signs(identifiers bigint[]) RETURNS TABLE (identifier_id bigint, customer_id bigint, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT i.identifier_id, i.customer_id, greatest(coalesce(i.last_seen, c.created_at), k.at)
  FROM cdp_data.identifier i LEFT JOIN cdp_data.customer c ON c.customer_id = i.customer_id
    LEFT JOIN (SELECT s.identifier_id, max(s.effective_at) AS at FROM cdp_data.consent s
      WHERE identifier_signs.identifiers IS NULL OR s.identifier_id = ANY (identifier_signs.identifiers) GROUP BY 1) k ON k.identifier_id = i.identifier_id
  WHERE identifier_signs.identifiers IS NULL OR i.identifier_id = ANY (identifier_signs.identifiers);
END
$$;
COMMENT ON FUNCTION cdp_internal.identifier_signs(bigint[]) IS
'Of these identifiers (NULL: all) their home and the last sign of them: a touch, a call, a record, a consent, and for one that was never dated the making of its customer.';

CREATE OR REPLACE FUNCTION cdp_internal.has_asked(root bigint, since timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM cdp_internal.customers_under(root) u JOIN cdp_data.request q ON q.customer_id = u WHERE q.closed_at IS NULL OR q.received_at >= since);
END
$$;
COMMENT ON FUNCTION cdp_internal.has_asked(bigint, timestamptz) IS 'Whether a customer has a request that is open, or came since then.';

CREATE OR REPLACE FUNCTION cdp_internal.is_unseen(root bigint, identifiers bigint[], since timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN identifiers <> '{}' AND NOT EXISTS (SELECT FROM cdp_internal.identifier_signs(identifiers) s WHERE s.at >= since) AND NOT cdp_internal.has_asked(root, since);
END
$$;
COMMENT ON FUNCTION cdp_internal.is_unseen(bigint, bigint[], timestamptz) IS
'Whether there was no sign of a customer with these identifiers since then. False for one without identifiers: nothing of him is left to erase.';

CREATE OR REPLACE FUNCTION cdp_internal.unseen_customers(since timestamptz, OUT customer bigint, OUT held boolean) RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT r.root, cdp_internal.hold_on(r.root) IS NOT NULL
  FROM (
    SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), s.customer_id, s.identifier_id) AS root
    FROM cdp_internal.identifier_signs(NULL) s GROUP BY 1 HAVING max(s.at) < since) r
  WHERE NOT cdp_internal.has_asked(r.root, since)
  ORDER BY r.root;
END
$$;
COMMENT ON FUNCTION cdp_internal.unseen_customers(timestamptz) IS
'Customers (roots) of whom there was no sign since then, and whether they are on hold. Reads all identifiers.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_plan_in(as_of timestamptz)
RETURNS TABLE (what text, name text, basis text, keep interval, cutoff timestamptz, method text, place text, past bigint, held bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  homes bigint[];
  dropped text[];
  latest timestamptz;
  p record;
  r record;
BEGIN
  PERFORM cdp_internal.require_setup();
  homes := cdp_internal.held_homes();
  dropped := ARRAY(SELECT cdp_internal.expired_partitions(as_of));
  SELECT max(c.cutoff) + max(s.time_ahead) INTO latest FROM cdp_internal.kind_cutoffs(as_of) c, cdp_data.setting s;
  FOR p IN SELECT b.partition_name FROM cdp_internal.touchpoint_bounds() b WHERE b.is_default OR b.from_at < latest ORDER BY b.is_default, b.from_at LOOP
    RETURN QUERY EXECUTE format('SELECT ''touchpoint''::text, c.name, c.basis, c.keep, c.cutoff, %L::text, %L::text, count(*) FILTER (WHERE NOT x.held), count(*) FILTER (WHERE x.held)
      %s WHERE x.past GROUP BY c.name, c.basis, c.keep, c.cutoff ORDER BY c.name', CASE WHEN p.partition_name = ANY (dropped) THEN 'drop' ELSE 'delete' END, p.partition_name,
      cdp_internal.past_sql(p.partition_name)) USING as_of, homes;
  END LOOP;
  FOR r IN SELECT * FROM cdp_data.retention t WHERE t.what = 'attribute' ORDER BY t.name LOOP
    RETURN QUERY
    SELECT r.what, a.name::text, r.basis, r.keep, cdp_internal.cutoff(as_of, r.keep), 'delete', 'cdp_data.attribute_value', count(*) FILTER (WHERE NOT v.customer_id = ANY (homes)), count(*) FILTER (WHERE v.customer_id = ANY (homes))
    FROM cdp_data.attribute_all a JOIN cdp_data.attribute_value v ON v.attribute_id = a.attribute_id
    WHERE CASE WHEN r.name = '' THEN NOT EXISTS (SELECT FROM cdp_data.retention o WHERE o.what = 'attribute' AND o.name = a.name) ELSE a.name = r.name END
      AND cdp_internal.value_last(r.basis, v.last_at, v.load_id, v.version_id) < cdp_internal.cutoff(as_of, r.keep)
    GROUP BY a.name ORDER BY a.name;
  END LOOP;
  RETURN QUERY
  SELECT t.what, coalesce(nullif(t.name, ''), 'anonymise'), t.basis, t.keep, cdp_internal.cutoff(as_of, t.keep), 'erase', 'cdp_data.customer', count(*) FILTER (WHERE NOT u.held), count(*) FILTER (WHERE u.held)
  FROM cdp_data.retention t CROSS JOIN LATERAL cdp_internal.unseen_customers(cdp_internal.cutoff(as_of, t.keep)) u WHERE t.what = 'customer' GROUP BY t.what, t.name, t.basis, t.keep;
  FOR r IN
    SELECT t.*, x.at_column, x.condition, x.subject FROM cdp_data.retention t JOIN cdp_internal.retention_tables() x ON x.what = t.what AND x.basis = t.basis ORDER BY t.what
  LOOP
    RETURN QUERY EXECUTE format('SELECT %1$L::text, NULL::text, %2$L::text, $1, cdp_internal.cutoff($2, $1), ''delete''::text, %3$L::text, count(*) FILTER (WHERE NOT x.held), count(*) FILTER (WHERE x.held)
      FROM cdp_data.%1$I t CROSS JOIN LATERAL (SELECT %4$s AS held) x WHERE t.%5$I < cdp_internal.cutoff($2, $1) AND %6$s HAVING count(*) > 0', r.what, r.basis, 'cdp_data.' || r.what,
      CASE WHEN r.subject IS NULL THEN 'false' ELSE format('coalesce(t.%I = ANY ($3), false)', r.subject) END, r.at_column, r.condition) USING r.keep, as_of, homes;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_plan_in(timestamptz) IS
'What cdp.retention_plan() does; it runs with the rights of the owner of cdp_data.';

CREATE OR REPLACE FUNCTION cdp.retention_plan(as_of timestamptz DEFAULT now())
RETURNS TABLE (what text, name text, basis text, keep interval, cutoff timestamptz, method text, place text, past bigint, held bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  IF as_of IS NULL OR NOT isfinite(as_of) THEN
    RAISE EXCEPTION 'as_of must be a moment'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(as_of::text, 'NULL')), HINT = 'Leave it out for now.';
  ELSIF NOT has_function_privilege('cdp_data.retention_plan(timestamptz)', 'EXECUTE') THEN
    RAISE EXCEPTION 'permission denied to see the retention plan'
      USING ERRCODE = 'insufficient_privilege', HINT = 'It takes the part of privacy: CALL cdp.setup(privacy => ...);';
  END IF;
  RETURN QUERY SELECT * FROM cdp_data.retention_plan(as_of);
END
$$;
COMMENT ON FUNCTION cdp.retention_plan(timestamptz) IS
'What the retention policies would delete at as_of, nothing is changed: a row for each policy and place, with the cutoff, the method (drop: the whole partition goes; delete: single rows, in batches; erase: people), how many rows are past and how many of those stay because their customer is on hold. Reads the partitions and tables concerned. Not in it: what cdp_data.setting alone rules (audit, call_message, job_run). For the owner of the tables and the part of privacy, which gets counts and no row. Errors: 42501 for others and for roles that are kept to some sources, 22023 as_of is no moment, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.retention_touchpoints(partition_name text, batch integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids bigint[];
  homes bigint[];
  first_at timestamptz;
  last_at timestamptz;
  n bigint;
BEGIN
  -- The key first, as loads do, and none that a load works on: so nobody waits for us, nor we for him.
  EXECUTE format('SELECT array_agg(t.touchpoint_id) FROM (SELECT t.touchpoint_id %s WHERE x.past AND NOT x.held LIMIT $3) t', cdp_internal.past_sql(partition_name))
  INTO ids USING now(), cdp_internal.held_homes(), batch;
  IF ids IS NULL THEN
    RETURN 0;
  END IF;
  WITH locked AS (
    SELECT k.source_id, k.source_key, k.touchpoint_id, k.customer_id, k.occurred_at FROM cdp_data.touchpoint_key k
    WHERE k.touchpoint_id >= (SELECT min(i) FROM unnest(ids) i) AND k.touchpoint_id <= (SELECT max(i) FROM unnest(ids) i) AND k.touchpoint_id = ANY (ids)
    ORDER BY k.source_id, k.source_key FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM cdp_data.touchpoint t USING locked k
    WHERE t.customer_id = k.customer_id AND t.occurred_at = k.occurred_at AND t.touchpoint_id = k.touchpoint_id
    RETURNING t.touchpoint_id, t.customer_id, t.occurred_at, t.kind_id, k.source_id, k.source_key
  ), keys AS (
    DELETE FROM cdp_data.touchpoint_key k USING gone g WHERE k.source_id = g.source_id AND k.source_key = g.source_key
  ), versions AS (
    -- An older version must not come back with a revert.
    DELETE FROM cdp_data.touchpoint_retracted r USING gone g WHERE r.touchpoint_id = g.touchpoint_id
  ), told AS (
    UPDATE cdp_data.retention r SET applied_at = now(), deleted = r.deleted + c.n
    FROM (SELECT k.name, count(*) AS n FROM gone g JOIN cdp_data.touch_kind_all k USING (kind_id) GROUP BY k.name) c
    WHERE r.what = 'touchpoint' AND r.name = c.name
  )
  SELECT count(*), array_agg(DISTINCT g.customer_id), min(g.occurred_at), max(g.occurred_at) INTO n, homes, first_at, last_at FROM gone g;
  IF n > 0 THEN
    PERFORM cdp_internal.feed_write(homes, 'retention', first_at, last_at);
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_touchpoints(text, integer) IS
'Deletes at most so many touchpoints of a partition (name quoted) that are past their retention and nobody''s on hold, with their keys and earlier versions, and tells the change feed. Rows that somebody else works on are left for the next time. Returns how many; 0: done.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_values(name text, batch integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  n bigint;
  homes bigint[];
BEGIN
  SELECT * INTO r FROM cdp_data.retention t WHERE t.what = 'attribute' AND t.name = retention_values.name;
  WITH past AS (
    SELECT v.ctid AS place FROM cdp_data.attribute_value v JOIN cdp_data.attribute_all a ON a.attribute_id = v.attribute_id
    WHERE CASE WHEN r.name = '' THEN NOT EXISTS (SELECT FROM cdp_data.retention o WHERE o.what = 'attribute' AND o.name = a.name) ELSE a.name = r.name END
      AND cdp_internal.value_last(r.basis, v.last_at, v.load_id, v.version_id) < cdp_internal.cutoff(now(), r.keep)
      AND NOT v.customer_id = ANY ((SELECT cdp_internal.held_homes())::bigint[])
    LIMIT batch FOR UPDATE OF v SKIP LOCKED
  ), gone AS (
    DELETE FROM cdp_data.attribute_value v USING past p WHERE v.ctid = p.place RETURNING v.customer_id
  )
  SELECT count(*), array_agg(DISTINCT g.customer_id) INTO n, homes FROM gone g;
  IF n > 0 THEN
    UPDATE cdp_data.retention t SET applied_at = now(), deleted = t.deleted + n WHERE t.what = 'attribute' AND t.name = r.name;
    PERFORM cdp_internal.feed_write(homes, 'retention');
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_values(text, integer) IS
'Deletes at most so many values that are past the attribute policy of that name ('''': of all others) and nobody''s on hold, and tells the change feed, so that profiles follow. Returns how many; 0: done.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_rows(what text, batch integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  n bigint;
BEGIN
  SELECT t.keep, x.* INTO r FROM cdp_data.retention t JOIN cdp_internal.retention_tables() x ON x.what = t.what AND x.basis = t.basis WHERE t.what = retention_rows.what;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  EXECUTE format('WITH past AS (SELECT t.ctid AS place FROM cdp_data.%1$I t WHERE t.%2$I < $1 AND %3$s AND NOT %4$s LIMIT $3 FOR UPDATE SKIP LOCKED)
    DELETE FROM cdp_data.%1$I t USING past p WHERE t.ctid = p.place', r.what, r.at_column, r.condition,
    CASE WHEN r.subject IS NULL THEN 'false' ELSE format('coalesce(t.%I = ANY ($2), false)', r.subject) END) USING cdp_internal.cutoff(now(), r.keep), cdp_internal.held_homes(), batch;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    UPDATE cdp_data.retention t SET applied_at = now(), deleted = t.deleted + n WHERE t.what = retention_rows.what;
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_rows(text, integer) IS
'Deletes at most so many rows that are past the policy of one of cdp_internal.retention_tables(). Returns how many; 0: done.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_customers(most integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM cdp_data.retention r WHERE r.what = 'customer') AND NOT cdp_internal.key_file_is_set() THEN
    RAISE WARNING 'maintain: nobody is erased by age, no key file is set' USING HINT = 'See docs/encryption.md.';
    RETURN '{}';
  END IF;
  RETURN ARRAY(SELECT u.customer FROM cdp_data.retention r CROSS JOIN LATERAL cdp_internal.unseen_customers(cdp_internal.cutoff(now(), r.keep)) u WHERE r.what = 'customer' AND NOT u.held LIMIT most);
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_customers(integer) IS
'At most so many customers who are past the policy of customers and not on hold. None, with a warning, without a key file.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_customer(customer bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
BEGIN
  SELECT * INTO r FROM cdp_data.retention t WHERE t.what = 'customer';
  -- What came meanwhile counts: he is looked at again when he is locked.
  IF NOT FOUND OR cdp_internal.erase_in(customer, coalesce(nullif(r.name, ''), 'anonymise'), NULL, cdp_internal.cutoff(now(), r.keep)) IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE cdp_data.retention t SET applied_at = now(), deleted = t.deleted + 1 WHERE t.what = 'customer';
  RETURN 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_customer(bigint) IS
'Erases a customer who is past the policy of customers, in its mode, without suppression. Returns 0 when he is not any more, else 1.';

CREATE OR REPLACE FUNCTION cdp_internal.retention_awaited() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  n bigint;
BEGIN
  WITH past AS (
    SELECT a.ctid AS place FROM cdp_data.touchpoint_awaited a
    WHERE a.last_at < (SELECT max(c.cutoff) FROM cdp_internal.kind_cutoffs() c)
      AND NOT EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = a.customer_id AND t.occurred_at >= a.first_at AND t.refers_to = a.touchpoint_id)
      AND NOT EXISTS (SELECT FROM cdp_data.touchpoint_retracted t WHERE t.customer_id = a.customer_id AND t.refers_to = a.touchpoint_id)
    FOR UPDATE SKIP LOCKED
  )
  DELETE FROM cdp_data.touchpoint_awaited a USING past p WHERE a.ctid = p.place;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.retention_awaited() IS
'Deletes references of which every row that referred is past its retention and gone, and no version of one could come back. Returns how many.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_retention()
LANGUAGE plpgsql
AS $$
DECLARE
  batch CONSTANT pg_catalog.int4 := 10000;
  latest pg_catalog.timestamptz;
  p pg_catalog.record;
  n pg_catalog.int8;
  total pg_catalog.int8;
BEGIN
  SELECT pg_catalog.max(c.cutoff) OPERATOR(pg_catalog.+) pg_catalog.max(s.time_ahead) INTO latest FROM cdp_internal.kind_cutoffs() c, cdp_data.setting s;
  -- With one retention for all and nobody on hold, dropping partitions was all there is to do.
  IF cdp_internal.retention_is_plain() THEN
    latest := NULL;
  END IF;
  FOR p IN
    SELECT 1 AS nth, b.partition_name AS name FROM cdp_internal.touchpoint_bounds() b WHERE b.from_at OPERATOR(pg_catalog.<) latest OR b.is_default AND latest IS NOT NULL
    UNION ALL SELECT 2, t.name FROM cdp_data.retention t WHERE t.what OPERATOR(pg_catalog.=) 'attribute'
    UNION ALL SELECT 3, t.what FROM cdp_data.retention t WHERE t.what OPERATOR(pg_catalog.<>) ALL (ARRAY['attribute', 'touchpoint', 'customer'])
    ORDER BY 1, 2
  LOOP
    total := 0;
    LOOP
      n := CASE p.nth WHEN 1 THEN cdp_internal.retention_touchpoints(p.name, batch) WHEN 2 THEN cdp_internal.retention_values(p.name, batch)
        ELSE cdp_internal.retention_rows(p.name, batch) END;
      total := total OPERATOR(pg_catalog.+) n;
      EXIT WHEN n OPERATOR(pg_catalog.=) 0;
      COMMIT;
    END LOOP;
    IF total OPERATOR(pg_catalog.>) 0 THEN
      PERFORM cdp_data.audit_write('retention', CASE p.nth WHEN 2 THEN 'attribute ' OPERATOR(pg_catalog.||) p.name ELSE p.name END, NULL, pg_catalog.jsonb_build_object('deleted', total));
      RAISE NOTICE 'maintain: % rows past their retention deleted: %', total, p.name;
      COMMIT;
    END IF;
  END LOOP;
  total := cdp_internal.retention_awaited();
  COMMIT;
  -- One person, one transaction; what is left is for the next run.
  total := 0;
  FOREACH n IN ARRAY cdp_internal.retention_customers(batch) LOOP
    total := total OPERATOR(pg_catalog.+) cdp_internal.retention_customer(n);
    COMMIT;
  END LOOP;
  IF total OPERATOR(pg_catalog.>) 0 THEN
    PERFORM cdp_data.audit_write('retention', 'customer', NULL, pg_catalog.jsonb_build_object('deleted', total));
    RAISE NOTICE 'maintain: % customers erased who were past their retention', total;
    COMMIT;
  END IF;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_retention() IS
'Part of cdp.maintain(): deletes what cdp_data.retention says, 10000 rows a transaction, with a row in the audit for each place; then erases people who are past theirs, each in a transaction, at most 10000 a run.';

CREATE OR REPLACE FUNCTION cdp.place_hold(customer bigint, reason text, until timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id bigint;
  root bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.known_customer(customer);
  IF coalesce(btrim(reason), '') = '' OR pg_catalog.length(reason) > 200 OR until <= now() THEN
    RAISE EXCEPTION 'a hold needs a reason of at most 200 characters and, if any, an end to come'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as a case number; no personal values, errors show it.';
  END IF;
  INSERT INTO cdp_data.hold AS h (customer_id, reason, until) VALUES (customer, reason, place_hold.until) RETURNING h.hold_id INTO id;
  PERFORM cdp_data.audit_write('hold', 'hold ' || id, root, jsonb_build_object('until', place_hold.until));
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp.place_hold(bigint, text, timestamptz) IS
'From now on nothing is deleted of a customer and all who are one with him: retention leaves his rows, cdp.erase_customer() refuses with the reason. until NULL: until cdp.lift_hold(). Returns the number of the hold. Errors: 22023 no such customer, no reason, an end that is past.';

CREATE OR REPLACE FUNCTION cdp.lift_hold(hold bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whose bigint;
BEGIN
  UPDATE cdp_data.hold h SET lifted_at = now(), lifted_by = session_user WHERE h.hold_id = hold AND h.lifted_at IS NULL RETURNING h.customer_id INTO whose;
  IF FOUND THEN
    PERFORM cdp_data.audit_write('hold', 'hold ' || hold || ' lifted', whose);
    RETURN true;
  END IF;
  RETURN false;
END
$$;
COMMENT ON FUNCTION cdp.lift_hold(bigint) IS
'Ends a hold; true when it held. Other holds of the customer go on.';

CREATE OR REPLACE FUNCTION cdp_internal.hold_on(customer bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint := cdp_internal.root_of(customer);
BEGIN
  RETURN (SELECT min(x.hold_id) FROM cdp_data.hold x
    WHERE x.lifted_at IS NULL AND (x.until IS NULL OR x.until > now()) AND cdp_internal.root_of(x.customer_id) = root);
END
$$;
COMMENT ON FUNCTION cdp_internal.hold_on(bigint) IS 'The first hold on a customer, or on one who is the same, that holds now; NULL: none.';

CREATE OR REPLACE FUNCTION cdp_internal.require_no_hold(customer bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  h record;
BEGIN
  SELECT x.hold_id, x.reason, x.placed_at, x.until INTO h FROM cdp_data.hold x WHERE x.hold_id = cdp_internal.hold_on(customer);
  IF FOUND THEN
    RAISE EXCEPTION 'customer % is on hold: %', customer, h.reason
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Hold %s since %s%s.', h.hold_id, h.placed_at, coalesce(', until ' || h.until, '')),
        HINT = format('When it may end: SELECT cdp.lift_hold(%s);', h.hold_id);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_no_hold(bigint) IS
'For whatever deletes people: error 55000 with the reason while the customer, or one who is the same, is on hold.';

-- Identity room, ingestion: a load is taken back or put in again, and identity follows.

CREATE OR REPLACE FUNCTION cdp_internal.load_identifiers_identity(load_id bigint) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- In line behind a rebuild now, not when rows are locked that it may want.
  LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE;
  PERFORM cdp_internal.repetition_refresh(ARRAY(SELECT cdp_internal.load_repeats(load_identifiers_identity.load_id)));
  RETURN QUERY
  SELECT e.id
  FROM cdp_internal.links_shown_by(load_identifiers_identity.load_id) s (link_id) JOIN cdp_data.link l USING (link_id)
    CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_identifiers_identity(bigint) IS
'The ends of the links that a load shows (cdp_internal.load_lock_seen()), once it stands in line behind a rebuild. What it repeated is in force again, or no more, from here on.';

CREATE OR REPLACE FUNCTION cdp_internal.load_changed_identity(load_id bigint, to_state text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  load bigint := load_changed_identity.load_id;
BEGIN
  -- When somebody was first seen takes part in limits over time, so it must be what the loads in force tell. Whoever
  -- has no link is as his touchpoints say already.
  DELETE FROM pg_temp.cdp_load_seen x
  WHERE NOT EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = x.identifier_id) AND NOT EXISTS (SELECT FROM cdp_data.link l WHERE l.b_id = x.identifier_id);
  UPDATE cdp_data.identifier i SET first_seen = y.first_at, last_seen = y.last_at
  FROM (
    SELECT x.identifier_id, min(e.first_at) AS first_at, max(e.last_at) AS last_at
    FROM pg_temp.cdp_load_seen x LEFT JOIN (
      SELECT x.identifier_id, t.occurred_at AS first_at, t.occurred_at AS last_at
      FROM pg_temp.cdp_load_seen x JOIN cdp_data.touchpoint t USING (customer_id, identifier_id)
      UNION ALL
      SELECT l.a_id, s.first_at, s.last_at
      FROM pg_temp.cdp_load_seen x JOIN cdp_data.link l ON l.a_id = x.identifier_id JOIN cdp_data.link_support_now s USING (link_id)
      UNION ALL
      SELECT l.b_id, s.first_at, s.last_at
      FROM pg_temp.cdp_load_seen x JOIN cdp_data.link l ON l.b_id = x.identifier_id JOIN cdp_data.link_support_now s USING (link_id)) e USING (identifier_id)
    GROUP BY x.identifier_id) y
  WHERE i.identifier_id = y.identifier_id AND (i.first_seen, i.last_seen) IS DISTINCT FROM (y.first_at, y.last_at);
  PERFORM cdp_internal.links_of_load(load, to_state);
  PERFORM cdp_internal.attributes_of_load(load, CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'retry' END);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_changed_identity(bigint, text) IS
'What identity does when a load was reverted or retried (cdp_internal.room_functions()): identifiers are first and last seen when the loads in force say, links that no load in force shows are revoked or come back, customers follow, and the change feed tells of whom attributes came or went.';

-- Loads of calls are counted when their day is over, not by the calls.

CREATE OR REPLACE FUNCTION cdp_internal.count_calls(load_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  load bigint := count_calls.load_id;
  n bigint;
BEGIN
  UPDATE cdp_data.load l SET rows_read = t.n + m.n + q.n, inserted = t.n + m.n, corrected = 0, unchanged = 0, quarantined = q.n,
    first_at = least(t.first_at, m.first_at), last_at = greatest(t.last_at, m.last_at)
  FROM (SELECT count(*) AS n, min(t.occurred_at) AS first_at, max(t.occurred_at) AS last_at FROM cdp_data.touchpoint t WHERE t.load_id = load) t,
    (SELECT count(*) AS n, min(m.occurred_at) AS first_at, max(m.occurred_at) AS last_at FROM cdp_data.call_message m WHERE m.load_id = load) m,
    (SELECT count(*) AS n FROM cdp_data.quarantine q WHERE q.load_id = load) q
  WHERE l.load_id = load
  RETURNING l.rows_read INTO n;
  DELETE FROM cdp_data.source_quality q WHERE q.load_id = load;
  INSERT INTO cdp_data.source_quality (load_id, source_id, record_kind, field, target, rows_seen, filled, valid, distinct_values)
  SELECT load, l.source_id, 'event', y.name, 'identifier ' || y.name, n, x.n, x.n, x.n
  FROM (
    SELECT i.type_id, count(*) AS n
    FROM (SELECT t.identifier_id FROM cdp_data.touchpoint t WHERE t.load_id = load
          UNION SELECT m.identifier_id FROM cdp_data.call_message m WHERE m.load_id = load
          UNION SELECT e.id FROM cdp_data.link_support s JOIN cdp_data.link k USING (link_id) CROSS JOIN LATERAL (VALUES (k.a_id), (k.b_id)) AS e (id) WHERE s.load_id = load) u
      JOIN cdp_data.identifier i USING (identifier_id) GROUP BY i.type_id) x
    JOIN cdp_data.identifier_type_all y USING (type_id), cdp_data.load l WHERE l.load_id = load
  UNION ALL
  SELECT load, l.source_id, 'event', a.name, 'attribute ' || a.name, n, x.n, x.n, x.n
  FROM (SELECT v.attribute_id, count(*) AS n FROM cdp_data.attribute_value v WHERE v.load_id = load GROUP BY 1) x
    JOIN cdp_data.attribute_all a USING (attribute_id), cdp_data.load l WHERE l.load_id = load
  -- An attribute may have the name of an identifier type.
  ON CONFLICT DO NOTHING;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.count_calls(bigint) IS
'Counts what a load of calls holds now into its ledger row, and into cdp_data.source_quality how many different identifiers and values of attributes the calls showed. Messages that came again are not known any more, so unchanged stays 0. Returns rows_read.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_messages() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM cdp_data.call_message m USING cdp_data.load l, cdp_data.setting s
  WHERE l.load_id = m.load_id AND l.started_at < cdp_internal.cutoff(now(), s.message_retention) AND l.finished_at IS NOT NULL;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_messages() IS
'Deletes the keys of messages without touchpoint that are older than cdp_data.setting.message_retention and counted. Returns how many.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_ingest()
LANGUAGE plpgsql
AS $$
DECLARE
  id pg_catalog.int8;
BEGIN
  FOR id IN SELECT l.load_id FROM cdp_data.load l
    WHERE l.kind OPERATOR(pg_catalog.=) 'calls' AND l.finished_at IS NULL AND l.started_at OPERATOR(pg_catalog.<) pg_catalog.date_trunc('day', pg_catalog.now(), 'UTC')
    ORDER BY l.load_id
  LOOP
    RAISE NOTICE 'maintain: % calls in load %', cdp_internal.count_calls(id), id;
    UPDATE cdp_data.load l SET finished_at = pg_catalog.clock_timestamp() WHERE l.load_id OPERATOR(pg_catalog.=) id;
    COMMIT;
  END LOOP;
  RAISE NOTICE 'maintain: % keys of old messages deleted', cdp_internal.trim_messages();
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_ingest() IS
'Part of cdp.maintain(): counts the loads of calls whose day (UTC) is over, and deletes old keys of messages. Commits after each.';

-- Refused rows are tried again.

CREATE OR REPLACE FUNCTION cdp_internal.record_again(load bigint, src integer, record_kind text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  by_contract boolean := EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = record_again.record_kind);
  names text[] := ARRAY(SELECT DISTINCT jsonb_object_keys(q.original) FROM cdp_internal.quarantine_open(load) q WHERE jsonb_typeof(q.original) = 'object');
  list text;
  n bigint;
BEGIN
  -- The columns that the contract reads, or those of the rows that have the name of something. As text: a path begins in
  -- a column of JSON, which stands in the original as an object or, where the column was text, as a string.
  SELECT string_agg(format('o.row ->> %L AS %I', c.name, c.name), ', ' ORDER BY c.name) INTO list
  FROM (
    SELECT DISTINCT CASE WHEN f.field ~ '^[$][.]' THEN split_part(f.field, '.', 2) ELSE f.field END AS name
    FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = record_again.record_kind
    UNION ALL
    SELECT k.name FROM unnest(names) AS k (name)
    WHERE NOT by_contract AND k.name = ANY (CASE record_again.record_kind WHEN 'event' THEN cdp_internal.touch_columns() ELSE '{source_key,observed_at}' END)
    UNION
    SELECT t.name FROM cdp_internal.field_targets(names) t
    WHERE NOT by_contract AND (t.target_kind = 'identifier' OR record_again.record_kind = 'customer')
    UNION ALL
    -- Without any row there still is a load, of none.
    SELECT v.name
    FROM (SELECT t.name FROM cdp_data.identifier_type_all t WHERE t.role <> 'ignore' ORDER BY t.type_id LIMIT 1) v
    WHERE NOT by_contract AND NOT EXISTS (
      SELECT FROM cdp_internal.field_targets(names) x JOIN cdp_data.identifier_type_all t ON x.target_kind = 'identifier' AND t.name = x.target_name AND t.role <> 'ignore')) c;
  IF record_kind = 'event' AND NOT by_contract THEN
    list := concat(list, (SELECT string_agg(format(', o.row ->> %L AS %I', m, m), '') FROM unnest('{source_key,occurred_at,kind}'::text[]) m
      WHERE m <> ALL (names)));
  END IF;
  EXECUTE format('CREATE TEMP TABLE cdp_load_again AS SELECT %s
    FROM cdp_internal.quarantine_open($1) q CROSS JOIN LATERAL (SELECT cdp_internal.open_fields(q.original, $4) AS row OFFSET 0) o
    WHERE NOT cdp_internal.record_told_later($1, $2, $3, q.original) ORDER BY q.row_no', list)
  USING load, src, record_kind, cdp_internal.secret_places(src, (SELECT jsonb_object_agg(k, '') FROM unnest(names) k));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_again(bigint, integer, text) IS
'Puts the refused rows of a batch into pg_temp.cdp_load_again, with the columns that a load of the kind reads and encrypted attributes opened. Returns how many; those of whose record a later load told are left out.';

CREATE OR REPLACE FUNCTION cdp_internal.record_told_later(load bigint, src integer, record_kind text, original jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  field text := coalesce((SELECT f.field FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = record_told_later.record_kind
    AND f.target_name = 'source_key' AND f.target_kind IN ('record', 'touchpoint')), 'source_key');
  key text := CASE WHEN field ~ '^[$][.]' THEN original #>> (string_to_array(field, '.'))[2:] ELSE original ->> field END;
BEGIN
  IF key IS NULL THEN
    RETURN false;
  ELSIF record_kind = 'event' THEN
    RETURN cdp_internal.touched_later(load, src, key);
  END IF;
  RETURN EXISTS (
    SELECT FROM cdp_data.customer_record k JOIN cdp_data.record_version w USING (version_id) JOIN cdp_data.repetition p USING (repetition_id)
      JOIN cdp_data.load l ON l.state = 'done' AND l.load_id > load AND (l.load_id IN (k.load_id, k.said_by) OR l.load_id = ANY (p.loads))
    WHERE k.source_id = src AND k.source_key = cdp_internal.parse_key(key));
END
$$;
COMMENT ON FUNCTION cdp_internal.record_told_later(bigint, integer, text, jsonb) IS
'Whether a later load in force told of the record that a refused row is about, by its key. False for a row without a key of its own.';

CREATE OR REPLACE FUNCTION cdp_internal.retry_rows_customers(load bigint, src text, time_zone text, identifier_type text, kind text, note text)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, orphaned bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.record_again(load, s.source_id, 'customer') FROM cdp_data.source s WHERE s.name = src;
  RETURN QUERY SELECT l.load_id, l.rows_read, l.inserted, l.corrected, l.unchanged, l.quarantined, 0::bigint
  FROM cdp.load_customers(src, 'pg_temp.cdp_load_again', time_zone, note) l;
END
$$;
COMMENT ON FUNCTION cdp_internal.retry_rows_customers(bigint, text, text, text, text, text) IS
'cdp.retry_quarantine() for loads of customers; identifier_type and kind mean nothing here.';

CREATE OR REPLACE FUNCTION cdp_internal.retry_rows_events(load bigint, src text, time_zone text, identifier_type text, kind text, note text)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, orphaned bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.record_again(load, s.source_id, 'event') FROM cdp_data.source s WHERE s.name = src;
  RETURN QUERY SELECT l.load_id, l.rows_read, l.inserted, l.corrected, l.unchanged, l.quarantined, l.orphaned
  FROM cdp.load_events(src, 'pg_temp.cdp_load_again', time_zone, kind, note) l;
END
$$;
COMMENT ON FUNCTION cdp_internal.retry_rows_events(bigint, text, text, text, text, text) IS
'cdp.retry_quarantine() for loads of events; identifier_type means nothing here.';

-- Core room, loading: taking a whole load back, and putting it in again.
--
-- The rule: what is in force for a record is what the latest active load said about it. A load says something about a
-- record when it wrote a version, or found the version of an earlier load unchanged (cdp_data.load_confirmed). Latest
-- means highest load_id; active means not reverted. So any order of reverts and retries ends as if only the active
-- loads had ever run, in their order.

CREATE OR REPLACE FUNCTION cdp_internal.load_versions(load bigint, src integer) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Every version, in force or not, of each record that the load said something about.
  CREATE TEMP TABLE cdp_load_move (touchpoint_id bigint);
  INSERT INTO pg_temp.cdp_load_move
  SELECT t.touchpoint_id FROM cdp_data.touchpoint t, cdp_data.load l
  WHERE l.load_id = load AND t.load_id = load AND t.source_id = src AND t.occurred_at BETWEEN l.first_at AND l.last_at
  UNION
  SELECT t.touchpoint_id FROM cdp_data.touchpoint_retracted t WHERE t.load_id = load AND t.source_id = src AND t.restored_at IS NULL
  UNION
  SELECT i FROM cdp_data.load_confirmed c, unnest(c.touchpoints) r, generate_series(lower(r), upper(r) - 1) i WHERE c.load_id = load;
  ANALYZE pg_temp.cdp_load_move;
  CREATE TEMP TABLE cdp_load_version AS
  SELECT k.touchpoint_id, t.load_id, k.source_key, t.customer_id, t.occurred_at, t.refers_to, t.flags < 0 AS follows, NULL::bigint AS retraction_id, 0::bigint AS rank
  FROM pg_temp.cdp_load_move m JOIN cdp_data.touchpoint_key k USING (touchpoint_id)
    JOIN cdp_data.touchpoint t ON (t.customer_id, t.occurred_at, t.touchpoint_id) = (k.customer_id, k.occurred_at, k.touchpoint_id)
  WHERE k.source_id = src
    -- The ids of a load stand together, so the index finds their keys in one place.
    AND k.touchpoint_id BETWEEN (SELECT min(y.touchpoint_id) FROM pg_temp.cdp_load_move y) AND (SELECT max(y.touchpoint_id) FROM pg_temp.cdp_load_move y)
  UNION ALL
  SELECT t.touchpoint_id, t.load_id, t.source_key, t.customer_id, t.occurred_at, t.refers_to, t.flags < 0, t.retraction_id, 0
  FROM pg_temp.cdp_load_move m JOIN cdp_data.touchpoint_retracted t USING (touchpoint_id)
  WHERE t.source_id = src AND t.restored_at IS NULL;
  ANALYZE pg_temp.cdp_load_version;
  -- A version ranks as the latest active load that stands for it; 0 when none does.
  UPDATE pg_temp.cdp_load_version v SET rank = x.rank
  FROM (
    SELECT s.touchpoint_id, s.owner_load, max(s.load_id) AS rank
    FROM (
      SELECT y.touchpoint_id, y.load_id AS owner_load, y.load_id FROM pg_temp.cdp_load_version y
      UNION ALL
      SELECT i, c.owner_load, c.load_id
      FROM cdp_data.load_confirmed c, unnest(c.touchpoints) r, generate_series(lower(r), upper(r) - 1) i
      WHERE c.owner_load IN (SELECT y.load_id FROM pg_temp.cdp_load_version y)
        AND i IN (SELECT y.touchpoint_id FROM pg_temp.cdp_load_version y)) s
      JOIN cdp_data.load l ON l.load_id = s.load_id AND l.state = 'done'
    GROUP BY 1, 2) x
  WHERE (v.touchpoint_id, v.load_id) = (x.touchpoint_id, x.owner_load);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_versions(bigint, integer) IS
'Collects in pg_temp.cdp_load_version every version of the records that a load said something about, each with the latest active load that stands for it (rank 0: none).';

CREATE OR REPLACE FUNCTION cdp_internal.load_settle(load bigint, src integer, cause text, OUT removed bigint, OUT restored bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  span record;
BEGIN
  -- Keep what must change: versions in force that are not the best, and best ones that are not in force.
  DELETE FROM pg_temp.cdp_load_version v USING (
    SELECT DISTINCT ON (y.touchpoint_id) y.touchpoint_id, y.load_id, y.rank FROM pg_temp.cdp_load_version y ORDER BY y.touchpoint_id, y.rank DESC) b
  WHERE v.touchpoint_id = b.touchpoint_id
    AND (v.retraction_id IS NULL) = (b.rank > 0 AND v.load_id = b.load_id);
  SELECT min(v.occurred_at) AS first_at, max(v.occurred_at) AS last_at INTO span FROM pg_temp.cdp_load_version v WHERE v.retraction_id IS NOT NULL;
  IF span.first_at IS NOT NULL THEN
    PERFORM cdp_internal.ensure_partitions(span.first_at, span.last_at);
  END IF;
  LOCK TABLE cdp_data.touchpoint IN ROW EXCLUSIVE MODE;
  WITH gone AS (
    DELETE FROM cdp_data.touchpoint t USING pg_temp.cdp_load_version v
    WHERE v.retraction_id IS NULL AND (t.customer_id, t.occurred_at, t.touchpoint_id) = (v.customer_id, v.occurred_at, v.touchpoint_id)
    RETURNING t.*, v.source_key
  )
  INSERT INTO cdp_data.touchpoint_retracted (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id,
    flags, kind_id, campaign_id, refers_to, value, currency, properties, source_key, retracted_by_load)
  SELECT g.touchpoint_id, g.customer_id, g.identifier_id, g.occurred_at, g.origin_id, g.source_id, g.load_id,
    g.flags, g.kind_id, g.campaign_id, g.refers_to, g.value, g.currency, g.properties, g.source_key, load
  FROM gone g;
  GET DIAGNOSTICS removed = ROW_COUNT;
  WITH back AS (
    UPDATE cdp_data.touchpoint_retracted t SET restored_at = now(), restored_xid = pg_current_xact_id()
    FROM pg_temp.cdp_load_version v WHERE t.retraction_id = v.retraction_id
    RETURNING t.*
  )
  INSERT INTO cdp_data.touchpoint (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id,
    flags, kind_id, campaign_id, refers_to, value, currency, properties)
  SELECT b.touchpoint_id, b.customer_id, b.identifier_id, b.occurred_at, b.origin_id, b.source_id, b.load_id,
    b.flags, b.kind_id, b.campaign_id, b.refers_to, b.value, b.currency, b.properties
  FROM back b;
  GET DIAGNOSTICS restored = ROW_COUNT;
  DELETE FROM cdp_data.touchpoint_key k USING pg_temp.cdp_load_version v
  WHERE v.retraction_id IS NULL AND (k.source_id, k.source_key) = (src, v.source_key)
    AND NOT EXISTS (SELECT FROM pg_temp.cdp_load_version b WHERE b.retraction_id IS NOT NULL AND b.touchpoint_id = v.touchpoint_id);
  INSERT INTO cdp_data.touchpoint_key AS k (source_id, source_key, touchpoint_id, customer_id, occurred_at)
  SELECT src, v.source_key, v.touchpoint_id, v.customer_id, v.occurred_at
  FROM pg_temp.cdp_load_version v WHERE v.retraction_id IS NOT NULL ORDER BY v.source_key COLLATE "C"
  ON CONFLICT ON CONSTRAINT touchpoint_key_pkey DO UPDATE SET customer_id = excluded.customer_id, occurred_at = excluded.occurred_at;
  PERFORM cdp_internal.load_keep_references(load, src, array_agg(v.touchpoint_id), array_agg(v.customer_id), array_agg(v.source_key))
  FROM pg_temp.cdp_load_version v WHERE v.retraction_id IS NULL
    AND EXISTS (SELECT FROM cdp_data.touchpoint t WHERE t.customer_id = v.customer_id AND t.refers_to = v.touchpoint_id AND t.refers_to IS NOT NULL);
  -- A row that comes back may find its record with another customer, or gone.
  IF EXISTS (SELECT FROM pg_temp.cdp_load_version v WHERE v.retraction_id IS NOT NULL AND v.refers_to IS NOT NULL) THEN
    PERFORM cdp_internal.load_keep_references(load, src, array_agg(x.refers_to), array_agg(x.customer_id), array_agg(x.source_key))
    FROM (
      SELECT v.refers_to, v.customer_id, coalesce(k.source_key, (SELECT t.source_key FROM cdp_data.touchpoint_retracted t WHERE t.touchpoint_id = v.refers_to LIMIT 1)) AS source_key
      FROM (SELECT DISTINCT w.refers_to, w.customer_id FROM pg_temp.cdp_load_version w WHERE w.retraction_id IS NOT NULL AND w.refers_to IS NOT NULL) v
        LEFT JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = v.refers_to
      WHERE k.customer_id IS DISTINCT FROM v.customer_id) x
    WHERE x.source_key IS NOT NULL;
  END IF;
  IF EXISTS (SELECT FROM cdp_data.touchpoint_awaited a WHERE a.source_id = src) THEN
    PERFORM cdp_internal.load_tell_owners(src, cause, array_agg(v.refers_to) FILTER (WHERE v.refers_to IS NOT NULL),
      array_agg(v.customer_id) FILTER (WHERE v.refers_to IS NOT NULL), array_agg(a.source_key) FILTER (WHERE a.source_key IS NOT NULL))
    FROM pg_temp.cdp_load_version v LEFT JOIN (SELECT DISTINCT w.source_key FROM cdp_data.touchpoint_awaited w WHERE w.source_id = src) a USING (source_key);
  END IF;
  PERFORM cdp_internal.refunds_follow(load, src, cause, array_agg(x.source_key))
  FROM (SELECT a.source_key FROM cdp_data.touchpoint_awaited a JOIN pg_temp.cdp_load_version v USING (source_key) WHERE a.source_id = src
        UNION SELECT k.source_key FROM pg_temp.cdp_load_version v JOIN cdp_data.touchpoint_key k ON k.touchpoint_id = v.refers_to WHERE v.follows AND v.retraction_id IS NOT NULL
        UNION SELECT a.source_key FROM pg_temp.cdp_load_version v JOIN cdp_data.touchpoint_awaited a ON (a.customer_id, a.touchpoint_id) = (v.customer_id, v.refers_to)
        WHERE v.follows AND v.retraction_id IS NOT NULL) x
  HAVING count(*) > 0;
  INSERT INTO cdp_data.change_feed (customer_id, cause, occurred_from, occurred_to)
  SELECT x.customer_id, load_settle.cause, min(x.first_at), max(x.last_at)
  FROM (SELECT v.customer_id, v.occurred_at AS first_at, v.occurred_at AS last_at FROM pg_temp.cdp_load_version v
        UNION ALL
        -- Whoever referred to a record that goes or comes back.
        SELECT a.customer_id, a.first_at, a.last_at
        FROM cdp_data.touchpoint_awaited a JOIN pg_temp.cdp_load_version v ON a.source_id = src AND a.source_key = v.source_key) x
  GROUP BY x.customer_id;
  UPDATE cdp_data.identifier i SET first_seen = x.first_at, last_seen = x.last_at
  FROM (
    SELECT y.identifier_id, min(t.occurred_at) AS first_at, max(t.occurred_at) AS last_at
    FROM pg_temp.cdp_load_seen y LEFT JOIN cdp_data.touchpoint t USING (customer_id, identifier_id)
    WHERE y.by_touchpoint AND y.customer_id IN (SELECT v.customer_id FROM pg_temp.cdp_load_version v)
    GROUP BY y.identifier_id) x
  WHERE i.identifier_id = x.identifier_id AND (i.first_seen, i.last_seen) IS DISTINCT FROM (x.first_at, x.last_at);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_settle(bigint, integer, text) IS
'Brings touchpoint, touchpoint_key and touchpoint_retracted to what cdp_internal.load_versions() found best, writes the change feed, and corrects first_seen and last_seen. The caller holds the identifiers: cdp_internal.load_lock_seen(). Returns how many rows went and came.';

CREATE OR REPLACE FUNCTION cdp_internal.load_lock_seen(load bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  name text;
BEGIN
  CREATE TEMP TABLE cdp_load_seen (identifier_id bigint, type_id smallint, value text COLLATE "C", customer_id bigint, by_touchpoint boolean);
  CREATE TEMP TABLE cdp_load_end (identifier_id bigint);
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('load_identifiers_', 1)) LOOP
    EXECUTE format('INSERT INTO pg_temp.cdp_load_end SELECT cdp_internal.%I($1)', name) USING load;
  END LOOP;
  INSERT INTO pg_temp.cdp_load_seen
  SELECT i.identifier_id, i.type_id, i.value, i.customer_id, bool_or(u.by_touchpoint)
  FROM (
    SELECT e.identifier_id, false AS by_touchpoint FROM pg_temp.cdp_load_end e
    UNION ALL
    SELECT h.identifier_id, true FROM (SELECT DISTINCT v.customer_id FROM pg_temp.cdp_load_version v) v JOIN cdp_data.identifier h USING (customer_id)) u
    JOIN cdp_data.identifier i USING (identifier_id)
  GROUP BY i.identifier_id;
  ANALYZE pg_temp.cdp_load_seen;
  PERFORM FROM cdp_data.identifier i JOIN pg_temp.cdp_load_seen x USING (identifier_id) ORDER BY i.type_id, i.value FOR NO KEY UPDATE OF i;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_lock_seen(bigint) IS
'Collects in pg_temp.cdp_load_seen the identifiers whose first_seen and last_seen a revert or retry may change, and locks them in the order of type and value, as every load and call does, before any key of a record is written. by_touchpoint: those that share a home with a record of the load; the others are those of other rooms.';

CREATE OR REPLACE FUNCTION cdp_internal.load_lock_key(load_id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN hashint8extended(load_id, 7234563);
COMMENT ON FUNCTION cdp_internal.load_lock_key(bigint) IS
'Advisory lock of a load that is in force while it is still written to: shared for who writes, exclusive while it is taken back or put in again.';

CREATE OR REPLACE FUNCTION cdp_internal.change_load(load bigint, from_state text, to_state text, OUT removed bigint, OUT restored bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  l record;
  moved record;
  name text;
  work_mem text := current_setting('work_mem');
BEGIN
  PERFORM cdp_internal.require_setup();
  PERFORM cdp_internal.guard_batch();
  -- The same lock as a load's, so that both stand in line; the state is read after it.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    -- A load of any source may have come in force since the snapshot and show the same.
    PERFORM FROM cdp_data.source s ORDER BY s.source_id FOR NO KEY UPDATE;
  END IF;
  PERFORM cdp_internal.hold_source((SELECT x.source_id FROM cdp_data.load x WHERE x.load_id = load));
  SELECT x.source_id, x.state, x.kind INTO l FROM cdp_data.load x WHERE x.load_id = load FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no load %', load
      USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_data.load for the ledger of loads.';
  ELSIF l.kind NOT IN ('touchpoints', 'events', 'customers', 'calls', 'consents') THEN
    RAISE EXCEPTION 'load % is of kind %, which cannot be reverted', load, l.kind
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Load the earlier figures again; a figure that comes again replaces the one that is there.';
  ELSIF l.state <> from_state THEN
    RAISE EXCEPTION 'load % is %, not %', load, l.state, from_state
      USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = CASE l.state WHEN 'reverted' THEN format('To put it in again: SELECT * FROM cdp.retry_load(%s);', load)
          ELSE format('To take it back: SELECT * FROM cdp.revert_load(%s);', load) END;
  END IF;
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  IF l.kind = 'calls' THEN
    -- Wait for calls that are under way. Nobody noted the times of the rows while they came in.
    PERFORM pg_advisory_xact_lock(cdp_internal.load_lock_key(load));
    UPDATE cdp_data.load x SET first_at = coalesce(t.first_at, x.first_at), last_at = coalesce(t.last_at, x.last_at)
    FROM (SELECT min(t.occurred_at) AS first_at, max(t.occurred_at) AS last_at FROM cdp_data.touchpoint t
          WHERE t.load_id = load AND t.source_id = l.source_id) t
    WHERE x.load_id = load;
  END IF;
  UPDATE cdp_data.load x
  SET state = to_state, reverted_at = CASE to_state WHEN 'reverted' THEN now() END WHERE x.load_id = load;
  PERFORM cdp_data.audit_write(CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'retry' END, format('load %s', load), NULL, jsonb_build_object('source_id', l.source_id, 'kind', l.kind));
  PERFORM cdp_internal.drop_load_tables();
  PERFORM cdp_internal.load_versions(load, l.source_id);
  PERFORM cdp_internal.load_lock_seen(load);
  moved := cdp_internal.load_settle(load, l.source_id, CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'retry' END);
  removed := moved.removed;
  restored := moved.restored;
  FOREACH name IN ARRAY ARRAY(SELECT cdp_internal.room_functions('load_changed_', 2)) LOOP
    EXECUTE format('SELECT cdp_internal.%I($1, $2)', name) USING load, to_state;
  END LOOP;
  PERFORM cdp_internal.drop_load_tables();
  PERFORM set_config('work_mem', work_mem, true);
END
$$;
COMMENT ON FUNCTION cdp_internal.change_load(bigint, text, text) IS
'Reverts or retries a load of touchpoints, events, customers, calls or consents: changes its state, settles the records that it said something about, and lets the other rooms follow. Errors: 22023 no such load, 55000 it is not in from_state or of another kind, 40001 in REPEATABLE READ and SERIALIZABLE when a load of any source came or went since the snapshot.';

CREATE OR REPLACE FUNCTION cdp.revert_load(load_id bigint, OUT removed bigint, OUT restored bigint)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT c.removed, c.restored FROM cdp_internal.change_load(load_id, 'done', 'reverted') c;
END;
COMMENT ON FUNCTION cdp.revert_load(bigint) IS
'Takes a whole load of touchpoints, events, customers, calls or consents back: records end as if it had never run, whatever later loads did. What a later active load said about a record stays in force; otherwise the version that the load had replaced comes back, or the record goes. Nothing is lost: versions taken out are in cdp_data.touchpoint_retracted. Returns how many rows were taken out and how many came back. Links between identifiers that only this load shows are revoked, so that its merges come undone, and attributes and consents that only it told are out of force. Customers and identifiers that the load made stay, and its rows in quarantine too. Errors: 22023 no such load, 55000 it is already reverted.';

CREATE OR REPLACE FUNCTION cdp.retry_load(load_id bigint, OUT removed bigint, OUT restored bigint)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
SELECT c.removed, c.restored FROM cdp_internal.change_load(load_id, 'reverted', 'done') c;
END;
COMMENT ON FUNCTION cdp.retry_load(bigint) IS
'Puts a reverted load in again, from what was kept, with the same ids and in its old place among the loads: records end as if it had never been reverted. Returns how many rows were taken out and how many came back. Errors: 22023 no such load, 55000 it is not reverted.';

CREATE OR REPLACE FUNCTION cdp_internal.retry_rows_touchpoints(load bigint, src text, time_zone text, identifier_type text, kind text, note text)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, orphaned bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  CREATE TEMP TABLE cdp_load_again AS
  SELECT r.* FROM cdp_internal.quarantine_open(load) q, jsonb_to_record(q.original) AS r (source_key text, occurred_at text, identifier_type text,
    identifier text, kind text, source text, medium text, campaign text, referrer_host text, add_way text, qr_scene text,
    value text, currency text, properties text, refers_to text, flags text)
  WHERE NOT cdp_internal.touched_later(load, q.source_id, q.original ->> 'source_key')
  ORDER BY q.row_no;
  RETURN QUERY SELECT * FROM cdp.load_touchpoints(src, 'pg_temp.cdp_load_again', time_zone, identifier_type, kind, note);
END
$$;
COMMENT ON FUNCTION cdp_internal.retry_rows_touchpoints(bigint, text, text, text, text, text) IS
'cdp.retry_quarantine() for loads of touchpoints.';

CREATE OR REPLACE FUNCTION cdp_internal.quarantine_open(load bigint)
RETURNS TABLE (source_id integer, row_no bigint, original jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT q.source_id, q.row_no::bigint, q.original FROM cdp_data.quarantine q
  WHERE q.load_id = load AND q.retried_by_load IS NULL AND q.code NOT IN ('superseded', 'suppressed');
END
$$;
COMMENT ON FUNCTION cdp_internal.quarantine_open(bigint) IS
'Rows that a load put into quarantine and that may be tried again: not those of which a later row of the load told better, nor of suppressed people.';

CREATE OR REPLACE FUNCTION cdp_internal.touched_later(load bigint, src integer, key text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- What a later load said about the record is newer than the mended row.
  RETURN EXISTS (SELECT FROM cdp_data.touchpoint_key k JOIN cdp_data.touchpoint t USING (touchpoint_id, customer_id, occurred_at)
    WHERE k.source_id = src AND k.source_key = cdp_internal.parse_key(key)
      AND (t.load_id > load OR EXISTS (SELECT FROM cdp_data.load_confirmed c JOIN cdp_data.load l USING (load_id)
        WHERE c.load_id > load AND l.state = 'done' AND c.touchpoints @> t.touchpoint_id)));
END
$$;
COMMENT ON FUNCTION cdp_internal.touched_later(bigint, integer, text) IS
'Whether a later load in force, or a later day of calls, told of the touchpoint with this key.';

CREATE OR REPLACE FUNCTION cdp.retry_quarantine(
  load bigint, time_zone text DEFAULT NULL, identifier_type text DEFAULT NULL, kind text DEFAULT NULL)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint, orphaned bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  src text;
  what text;
  given jsonb;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT s.name, l.kind, l.arguments INTO src, what, given FROM cdp_data.load l JOIN cdp_data.source s USING (source_id) WHERE l.load_id = load FOR NO KEY UPDATE OF s;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no load %', load
      USING ERRCODE = 'invalid_parameter_value', HINT = 'See cdp_data.load for the ledger of loads.';
  ELSIF 'retry_rows_' || what NOT IN (SELECT cdp_internal.room_functions('retry_rows_', 6)) THEN
    RAISE EXCEPTION 'load % is of kind %, whose rows are not tried again one by one', load, what
      USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = CASE what WHEN 'calls' THEN 'Messages are tried again by a function of their own, see docs/ingest.md.'
          ELSE 'Load the mended table again; figures that are there already count as unchanged.' END;
  END IF;
  PERFORM cdp_internal.drop_temp_tables('{cdp_load_again}');
  EXECUTE format('SELECT * FROM cdp_internal.%I($1, $2, $3, $4, $5, $6)', 'retry_rows_' || what)
  INTO load_id, rows_read, inserted, corrected, unchanged, quarantined, orphaned
  USING load, src, coalesce(time_zone, given ->> 'time_zone'), coalesce(identifier_type, given ->> 'identifier_type'), coalesce(kind, given ->> 'kind'), format('quarantine of load %s', load);
  PERFORM cdp_internal.drop_temp_tables('{cdp_load_again}');
  UPDATE cdp_data.quarantine q SET retried_by_load = retry_quarantine.load_id
  WHERE q.load_id = load AND q.retried_by_load IS NULL AND q.code NOT IN ('superseded', 'suppressed');
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.retry_quarantine(bigint, text, text, text) IS
'Loads the rows that a load of touchpoints, events or customers put into quarantine once more, as a load of its own: after a kind or an identifier type was added, the contract was mended, or their original column was. Rows that fail again are in quarantine under the new load; rows whose record a later load has brought meanwhile are passed over, and each row is tried once. time_zone, identifier_type and kind mean what they mean in the load; NULL: as they were given to it. Returns the counts of the new load (orphaned 0 for customers). Errors: 22023 no such load, 55000 a load of another kind, or a contract that is not live.';

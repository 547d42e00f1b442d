-- Core room: the change feed.
--
-- A row carries the id of the transaction that wrote it. A consumer keeps the snapshot up to which it has read;
-- new to it is what its snapshot does not see and the current one does. A transaction that commits late is in no
-- earlier snapshot, so it is read once it commits; a maximum as cursor would have passed it by.

CREATE OR REPLACE FUNCTION cdp_internal.system_identifier() RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_system_identifier';
COMMENT ON FUNCTION cdp_internal.system_identifier() IS
'Number that PostgreSQL gave this cluster when it was made; the same on its standbys, another one where a dump was restored.';

CREATE OR REPLACE FUNCTION cdp_internal.next_xid() RETURNS xid8
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_next_xid';
COMMENT ON FUNCTION cdp_internal.next_xid() IS
'Number that the next transaction will get: every transaction that has one now has a lower one, which the xmax of a snapshot does not promise. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.feed_write(customer_ids bigint[], cause text, occurred_from timestamptz DEFAULT NULL, occurred_to timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_sql_feed_write';
COMMENT ON FUNCTION cdp_internal.feed_write(bigint[], text, timestamptz, timestamptz) IS
'Tells the consumers of the change feed that these customers changed, for this cause, within these times of touchpoints (NULL: any). customer_ids NULL: take every customer for changed. Returns the rows written.';

CREATE OR REPLACE FUNCTION cdp_internal.snapshot_without(s pg_snapshot, own xid8) RETURNS pg_snapshot
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN own IS NULL OR own >= pg_snapshot_xmax(s) OR NOT pg_visible_in_snapshot(own, s) THEN s
  ELSE (least(own, pg_snapshot_xmin(s))::text || ':' || pg_snapshot_xmax(s)::text || ':'
    || (SELECT string_agg(x::text, ',' ORDER BY x) FROM (SELECT own UNION SELECT pg_snapshot_xip(s)) AS v (x)))::pg_snapshot
END;
COMMENT ON FUNCTION cdp_internal.snapshot_without(pg_snapshot, xid8) IS
'The snapshot with one transaction put among those that still run. A transaction''s own snapshot may count it as over, while it goes on writing.';

CREATE OR REPLACE FUNCTION cdp.feed_read(consumer text, upto pg_snapshot DEFAULT pg_current_snapshot())
RETURNS TABLE (seq bigint, customer_id bigint, cause text, occurred_from timestamptz, occurred_to timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  since record;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF consumer IS NULL OR upto IS NULL THEN
    RAISE EXCEPTION 'consumer and upto must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT c.snapshot, c.system_identifier INTO since FROM cdp_data.feed_cursor c WHERE c.consumer = feed_read.consumer;
  IF NOT FOUND OR since.system_identifier <> cdp_internal.system_identifier() THEN
    RETURN QUERY SELECT NULL::bigint, NULL::bigint, 'full pass', NULL::timestamptz, NULL::timestamptz;
    RETURN;
  END IF;
  RETURN QUERY
  SELECT f.seq, f.customer_id, f.cause, f.occurred_from, f.occurred_to
  FROM cdp_data.change_feed f
  WHERE f.xid >= pg_snapshot_xmin(since.snapshot) AND f.xid < pg_snapshot_xmax(upto)
    AND NOT pg_visible_in_snapshot(f.xid, since.snapshot) AND pg_visible_in_snapshot(f.xid, upto)
    AND f.xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
  ORDER BY f.xid, f.seq;
END
$$;
COMMENT ON FUNCTION cdp.feed_read(text, pg_snapshot) IS
'What changed since the consumer''s last feed_advance(), up to a snapshot (default: now). One row per change; customer_id NULL means every customer within the times given. A consumer without a cursor, or with one of another cluster (a restored dump), gets the single row with cause ''full pass'': take everything for changed, and finish within a day. Writes nothing, runs on a standby; but a snapshot that goes to feed_advance() must be of the primary, for one of a standby does not name the transactions that still run. Use one snapshot for both: SELECT pg_current_snapshot(), then feed_read(name, it), the work, feed_advance(name, it), in one transaction.';

CREATE OR REPLACE FUNCTION cdp.feed_advance(consumer text, upto pg_snapshot) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known record;
  here bigint := cdp_internal.system_identifier();
  reached pg_snapshot := cdp_internal.snapshot_without(upto, pg_current_xact_id_if_assigned());
BEGIN
  PERFORM cdp_internal.require_setup();
  IF consumer IS NULL OR upto IS NULL THEN
    RAISE EXCEPTION 'consumer and upto must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT c.snapshot, c.system_identifier INTO known FROM cdp_data.feed_cursor c WHERE c.consumer = feed_advance.consumer FOR UPDATE;
  IF FOUND AND known.system_identifier = here AND pg_snapshot_xmax(upto) < pg_snapshot_xmax(known.snapshot) THEN
    RAISE EXCEPTION 'consumer "%" has read further already', consumer
      USING ERRCODE = 'object_not_in_prerequisite_state',
        DETAIL = format('Cursor: %s, asked for: %s.', known.snapshot, upto),
        HINT = 'Another session consumes under the same name; let only one do so.';
  END IF;
  IF FOUND AND known.system_identifier <> here THEN
    -- Rows of the other cluster whose transaction numbers lie ahead of ours; the full pass covered them.
    DELETE FROM cdp_data.change_feed f WHERE f.xid >= pg_snapshot_xmax(pg_current_snapshot())
      AND f.xid IS DISTINCT FROM pg_current_xact_id_if_assigned();
  END IF;
  INSERT INTO cdp_data.feed_cursor AS c (consumer, snapshot, system_identifier, advanced_at)
  VALUES (feed_advance.consumer, reached, here, now())
  ON CONFLICT ON CONSTRAINT feed_cursor_pkey DO UPDATE
  SET snapshot = excluded.snapshot, system_identifier = excluded.system_identifier, advanced_at = excluded.advanced_at;
END
$$;
COMMENT ON FUNCTION cdp.feed_advance(text, pg_snapshot) IS
'Notes that the consumer has worked on all that feed_read(consumer, upto) gave. Call it in the transaction of that work. Makes the cursor when there is none. Error 55000: another session of the same name read further.';

CREATE OR REPLACE FUNCTION cdp_internal.trim_feed() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  here bigint := cdp_internal.system_identifier();
  n bigint;
  more bigint;
BEGIN
  -- A consumer that stopped reading must not keep the feed for ever; it will make a full pass.
  DELETE FROM cdp_data.feed_cursor c
  USING cdp_data.setting t
  WHERE c.advanced_at < now() - t.feed_retention
    AND EXISTS (SELECT FROM cdp_data.change_feed f WHERE NOT pg_visible_in_snapshot(f.xid, c.snapshot) AND f.written_at < now() - t.feed_retention);
  -- A day stays in any case, for a new consumer that is in its full pass and has no cursor yet.
  DELETE FROM cdp_data.change_feed f
  WHERE f.written_at < now() - interval '1 day' AND f.xid < pg_snapshot_xmax(pg_current_snapshot())
    AND NOT EXISTS (SELECT FROM cdp_data.feed_cursor c WHERE c.system_identifier = here AND NOT pg_visible_in_snapshot(f.xid, c.snapshot));
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM cdp_data.change_feed f WHERE f.xid >= pg_snapshot_xmax(pg_current_snapshot())
    AND f.xid IS DISTINCT FROM pg_current_xact_id_if_assigned();
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN n + more;
END
$$;
COMMENT ON FUNCTION cdp_internal.trim_feed() IS
'Deletes rows of the change feed that are older than a day and that every consumer has read, cursors that were idle longer than cdp_data.setting.feed_retention with changes waiting, and rows of another cluster. Returns the feed rows deleted.';

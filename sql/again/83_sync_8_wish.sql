-- Connector room, pulls: what shall be asked again before its time. Who pulls takes wishes first.

CREATE OR REPLACE FUNCTION cdp_internal.part_list(part text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN part LIKE '[%]' THEN (SELECT CASE jsonb_typeof(d.doc) WHEN 'array' THEN d.doc END FROM cdp_internal.decode_body(convert_to(part, 'UTF8')) d) END;
COMMENT ON FUNCTION cdp_internal.part_list(text) IS
'The list that a partition of cdp_data.stream_part is, where a stream is asked for several values at a time; NULL for one value, also one that only looks like a list.';

CREATE OR REPLACE FUNCTION cdp_internal.wish(connection_id integer, stream text, part text, reason text, wished_at timestamptz, first_day date DEFAULT NULL, last_day date DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO cdp_data.stream_wish AS w (connection_id, stream, part, source_id, first_day, last_day, reason, wished_at)
  SELECT c.connection_id, wish.stream, coalesce(wish.part, ''), c.source_id, wish.first_day, wish.last_day, wish.reason, wish.wished_at
  FROM cdp_data.connection c WHERE c.connection_id = wish.connection_id AND c.state <> 'retired' AND cdp_internal.connector_manifest(c.connector) -> 'streams' ? wish.stream
  ON CONFLICT (connection_id, stream, part) DO UPDATE
  SET first_day = CASE WHEN w.first_day IS NULL OR excluded.first_day IS NULL THEN NULL ELSE least(w.first_day, excluded.first_day) END,
    last_day = CASE WHEN w.first_day IS NULL OR excluded.first_day IS NULL THEN NULL ELSE greatest(w.last_day, excluded.last_day) END,
    reason = CASE WHEN excluded.wished_at >= w.wished_at THEN excluded.reason ELSE w.reason END, wished_at = greatest(w.wished_at, excluded.wished_at), wishes = w.wishes + 1;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION cdp_internal.wish(integer, text, text, text, timestamptz, date, date) IS
'Wishes that a stream of a connection is pulled before its time: for one value of its partition, or the whole (NULL or empty), of these days, both within, or of those that are due (NULL). Wishes for the same become one, of the days from the first to the last. False: the connection is retired or not there, or its manifest has no such stream. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.wish_granted(connection_id integer, stream text, parts text[], asked_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n integer;
BEGIN
  -- In the order in which wishes are written, so that nobody waits in a circle.
  WITH granted AS MATERIALIZED (
    SELECT w.part FROM cdp_data.stream_wish w
    WHERE w.connection_id = wish_granted.connection_id AND w.stream = wish_granted.stream AND w.part = ANY (coalesce(nullif(wish_granted.parts, '{}'), '{""}')) AND w.wished_at <= wish_granted.asked_at
    ORDER BY w.part FOR UPDATE)
  DELETE FROM cdp_data.stream_wish w USING granted g
  WHERE w.connection_id = wish_granted.connection_id AND w.stream = wish_granted.stream AND w.part = g.part;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.wish_granted(integer, text, text[], timestamptz) IS
'A pull of these values of the partition (NULL or empty: of the whole stream), the first page of which was asked at asked_at, has ended: deletes what was wished until then, and returns how much. What was wished meanwhile stays. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_wish(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM cdp_data.stream_wish w WHERE w.part = ANY (ARRAY(SELECT i.value FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers)));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.stream_wish', 'delete', erase_of_values_wish.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_wish(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes wishes that a stream is asked by an identifier of a person. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_wish()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM cdp_data.stream_wish w USING cdp_data.connection c WHERE c.connection_id = w.connection_id AND c.state = 'retired';
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % wishes of retired connections', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_wish() IS 'Part of cdp.maintain(): deletes wishes of connections that are retired.';

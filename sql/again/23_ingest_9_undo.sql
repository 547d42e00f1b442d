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
  WHERE l.load_id = m.load_id AND l.started_at < now() - s.message_retention AND l.finished_at IS NOT NULL;
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

-- Identity room, ingestion: a load is taken back or put in again, and identity follows.

CREATE OR REPLACE FUNCTION cdp_internal.load_changed_identity(load_id bigint, to_state text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  load bigint := load_changed_identity.load_id;
BEGIN
  -- When somebody was first seen takes part in limits over time, so it must be what the loads in force tell.
  IF to_regclass('pg_temp.cdp_load_seen') IS NOT NULL THEN
    DROP TABLE pg_temp.cdp_load_seen;
  END IF;
  CREATE TEMP TABLE cdp_load_seen AS
  SELECT u.identifier_id, i.type_id, i.value, i.customer_id
  FROM (
    SELECT e.id AS identifier_id
    FROM cdp_data.link_support s JOIN cdp_data.link l USING (link_id) CROSS JOIN LATERAL (VALUES (l.a_id), (l.b_id)) AS e (id) WHERE s.load_id = load
    UNION
    SELECT h.identifier_id FROM (SELECT DISTINCT v.customer_id FROM pg_temp.cdp_load_version v) v JOIN cdp_data.identifier h USING (customer_id)
    WHERE EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = h.identifier_id) OR EXISTS (SELECT FROM cdp_data.link l WHERE l.b_id = h.identifier_id)
  ) u JOIN cdp_data.identifier i USING (identifier_id);
  ANALYZE pg_temp.cdp_load_seen;
  PERFORM FROM cdp_data.identifier i JOIN pg_temp.cdp_load_seen x USING (identifier_id) ORDER BY i.type_id, i.value FOR NO KEY UPDATE OF i;
  UPDATE cdp_data.identifier i SET first_seen = y.first_at, last_seen = y.last_at
  FROM (
    SELECT x.identifier_id, min(e.first_at) AS first_at, max(e.last_at) AS last_at
    FROM pg_temp.cdp_load_seen x LEFT JOIN (
      SELECT x.identifier_id, t.occurred_at AS first_at, t.occurred_at AS last_at
      FROM pg_temp.cdp_load_seen x JOIN cdp_data.touchpoint t USING (customer_id, identifier_id)
      UNION ALL
      SELECT l.a_id, s.first_at, s.last_at
      FROM pg_temp.cdp_load_seen x JOIN cdp_data.link l ON l.a_id = x.identifier_id JOIN cdp_data.link_support s USING (link_id)
        JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done'
      UNION ALL
      SELECT l.b_id, s.first_at, s.last_at
      FROM pg_temp.cdp_load_seen x JOIN cdp_data.link l ON l.b_id = x.identifier_id JOIN cdp_data.link_support s USING (link_id)
        JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done') e USING (identifier_id)
    GROUP BY x.identifier_id) y
  WHERE i.identifier_id = y.identifier_id AND (i.first_seen, i.last_seen) IS DISTINCT FROM (y.first_at, y.last_at);
  DROP TABLE pg_temp.cdp_load_seen;
  IF EXISTS (SELECT FROM cdp_data.link_support s WHERE s.load_id = load) THEN
    PERFORM cdp_internal.links_of_load(load, to_state);
  END IF;
  PERFORM cdp_internal.attributes_of_load(load, CASE to_state WHEN 'reverted' THEN 'revert' ELSE 'retry' END);
END
$$;
COMMENT ON FUNCTION cdp_internal.load_changed_identity(bigint, text) IS
'What identity does when a load was reverted or retried (cdp_internal.room_load_changes()): identifiers are first and last seen when the loads in force say, links that no load in force shows are revoked or come back, customers follow, and the change feed tells of whom attributes came or went.';

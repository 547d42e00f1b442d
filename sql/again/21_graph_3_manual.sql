-- Identity room, the graph: what a person decides. Links said to hold or never to hold, and identifiers taken out
-- because many people share them.

CREATE OR REPLACE FUNCTION cdp_internal.quarantine_in(ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  roots bigint[] := ARRAY(SELECT DISTINCT cdp_internal.identifier_root(i) FROM unnest(ids) i ORDER BY 1);
BEGIN
  UPDATE cdp_data.identifier i SET state = 'quarantined' WHERE i.identifier_id = ANY (ids);
  INSERT INTO cdp_data.identity_alert (kind, identifier_id, detail)
  SELECT 'super_node', i.identifier_id, jsonb_strip_nulls(jsonb_build_object('type', t.name, 'limit', t.supernode_degree))
  FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  WHERE i.identifier_id = ANY (ids)
    AND NOT EXISTS (SELECT FROM cdp_data.identity_alert x WHERE x.kind = 'super_node' AND x.identifier_id = i.identifier_id AND x.resolved_at IS NULL)
  ORDER BY i.identifier_id;
  UPDATE cdp_data.link l SET state = 'rejected', reason = 'super-node', blocker = NULL, changed_at = clock_timestamp()
  WHERE l.state = 'active' AND l.kind <> 'cannot' AND l.link_id IN (
    SELECT x.link_id FROM cdp_data.link x WHERE x.a_id = ANY (ids) UNION ALL SELECT x.link_id FROM cdp_data.link x WHERE x.b_id = ANY (ids));
  PERFORM cdp_internal.recompute(roots, 'quarantine');
END
$$;
COMMENT ON FUNCTION cdp_internal.quarantine_in(bigint[]) IS
'Takes identifiers out as shared by too many: state, alert, all their links rejected, their customers brought to what is left. The caller holds the locks of their rows and of their roots.';

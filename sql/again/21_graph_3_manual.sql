-- Identity room, the graph: what a person decides. Links said to hold or never to hold, and identifiers taken out
-- because many people share them.

CREATE OR REPLACE FUNCTION cdp_internal.quarantine_in(ids bigint[], note text DEFAULT NULL) RETURNS void
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
  -- Where nobody moves, callers on an older snapshot must notice, too.
  PERFORM cdp_internal.touch_roots(ids), cdp_internal.recompute(roots, 'quarantine', note);
END
$$;
COMMENT ON FUNCTION cdp_internal.quarantine_in(bigint[], text) IS
'Takes identifiers out as shared by too many: state, alert, all their links rejected, their customers brought to what is left. The caller holds the locks of their rows and of their roots.';

CREATE OR REPLACE FUNCTION cdp_internal.require_identifiers(ids bigint[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  unknown bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF array_position(ids, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'identifier must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT u.id INTO unknown FROM unnest(ids) AS u (id)
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = u.id) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'there is no identifier %', unknown
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp.explain_identity(customer); shows the identifiers of a customer with their numbers.';
  ELSIF cardinality(ids) = 2 AND ids[1] = ids[2] THEN
    RAISE EXCEPTION 'an identifier cannot be linked with itself'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Both are identifier %s.', ids[1]);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_identifiers(bigint[]) IS
'Nothing when these identifiers are there. Errors: 22004 NULL, 22023 an unknown one or twice the same, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.link_identifiers(a bigint, b bigint, reason text DEFAULT NULL, OUT link_id bigint, OUT state text, OUT why text, OUT customer_id bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  roots bigint[];
  f record;
  sizes integer[];
  blocker bigint;
  known record;
  winner bigint;
BEGIN
  PERFORM cdp_internal.require_identifiers(ARRAY[a, b]);
  PERFORM cdp_data.audit_write('link', format('identifiers %s and %s', a, b));
  roots := cdp_internal.lock_customers(ARRAY[a, b]);
  PERFORM cdp_internal.require_identifiers(ARRAY[a, b]); -- an erasure may have been first
  f := cdp_internal.identify_find(array_agg(i.type_id), array_agg(i.value)) FROM cdp_data.identifier i WHERE i.identifier_id IN (a, b);
  SELECT l.link_id, l.state INTO known FROM cdp_data.link l WHERE l.a_id = least(a, b) AND l.b_id = greatest(a, b) AND l.kind = 'manual';
  IF known.state IS DISTINCT FROM 'active' THEN
    why := coalesce(f.stops[1], f.stops[2]);
    IF why IS NULL AND cardinality(roots) > 1 THEN
      SELECT * INTO why, blocker, sizes FROM cdp_internal.union_refusal(roots);
    END IF;
    IF why IS DISTINCT FROM 'cannot' AND why IS DISTINCT FROM 'super-node' AND why IS DISTINCT FROM 'attach only' THEN
      why := coalesce(cdp_internal.pair_refusal(f.type_ids, f.ids, '{t,f}', '{1}', 2), why);
    END IF;
  END IF;
  state := CASE WHEN why IS NULL THEN 'active' ELSE 'rejected' END;
  INSERT INTO cdp_data.link AS l (a_id, b_id, kind, state, first_seen, reason, blocker)
  VALUES (least(a, b), greatest(a, b), 'manual', link_identifiers.state, now(), why, blocker)
  ON CONFLICT ON CONSTRAINT link_once DO UPDATE
  SET state = excluded.state, reason = excluded.reason, blocker = excluded.blocker, made_by = session_user, changed_at = clock_timestamp()
  RETURNING l.link_id INTO link_id;
  customer_id := roots[1];
  IF why IS NULL AND cardinality(roots) > 1 THEN
    winner := cdp_internal.winner_of(roots);
    UPDATE cdp_data.customer c SET parent_id = winner WHERE c.customer_id = ANY (roots);
    INSERT INTO cdp_data.merge_log (operation_id, kind, customer_id, from_id, to_id, link_id, cause, note, winner_size, loser_size)
    SELECT nextval('cdp_data.identity_operation_seq'), 'merge', r.root, r.root, winner, link_identifiers.link_id, 'manual', link_identifiers.reason,
      sizes[array_position(roots, winner)], r.size
    FROM unnest(roots, sizes) AS r (root, size) WHERE r.root <> winner;
    PERFORM cdp_internal.feed_write(roots, 'merge');
    customer_id := winner;
  ELSIF why IS NULL THEN
    PERFORM cdp_internal.touch_roots(ARRAY[a]);
  ELSE
    customer_id := cdp_internal.identifier_root(a);
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.link_identifiers(bigint, bigint, text) IS
'Says that two identifiers (identifier_id) are one person, and makes their customers one. Rules hold here, too: state is active, or rejected with why (limit ..., cannot, super-node, attach only, customer size); then lift the rule first, for a cannot link with cdp.allow_link(). reason goes to the ledger. Returns the link and the customer of a. Errors: 22023 unknown identifier, or twice the same, 22004 NULL, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.forbid_in(a_ids bigint[], b_ids bigint[], reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.link AS l (a_id, b_id, kind, state, first_seen, reason)
  SELECT DISTINCT least(u.a, u.b), greatest(u.a, u.b), 'cannot', 'active', now(), forbid_in.reason
  FROM unnest(a_ids, b_ids) AS u (a, b) ORDER BY 1, 2
  ON CONFLICT ON CONSTRAINT link_once DO UPDATE
  SET state = 'active', reason = coalesce(excluded.reason, l.reason), made_by = session_user, changed_at = clock_timestamp()
  WHERE l.state <> 'active';
  PERFORM cdp_internal.touch_roots(a_ids || b_ids);
END
$$;
COMMENT ON FUNCTION cdp_internal.forbid_in(bigint[], bigint[], text) IS
'Writes cannot links between pairs of identifiers, or puts them in force again, and writes their roots, so that a caller on an older snapshot notices. Customers are not brought to them: recompute does. The caller holds the locks of the roots.';

CREATE OR REPLACE FUNCTION cdp.forbid_link(a bigint, b bigint, reason text DEFAULT NULL) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  roots bigint[];
BEGIN
  PERFORM cdp_internal.require_identifiers(ARRAY[a, b]);
  PERFORM cdp_data.audit_write('forbid', format('identifiers %s and %s', a, b));
  roots := cdp_internal.lock_customers(ARRAY[a, b]);
  PERFORM cdp_internal.require_identifiers(ARRAY[a, b]);
  PERFORM cdp_internal.forbid_in(ARRAY[a], ARRAY[b], reason);
  IF cardinality(roots) > 1 THEN
    RETURN roots;
  END IF;
  RETURN cdp_internal.recompute(roots, 'unmerge', reason);
END
$$;
COMMENT ON FUNCTION cdp.forbid_link(bigint, bigint, text) IS
'Says that two identifiers (identifier_id) are never one person, whatever records, matching and rebuilds find. When they are one customer now, its weakest links between them are rejected until they are two. Returns the customers that their identifiers are then. Lifted with cdp.allow_link(). reason stays with the link. Errors: 22023 unknown identifier, or twice the same, 22004 NULL, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.link_shown(link_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM cdp_data.link_support_now s WHERE s.link_id = link_shown.link_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.link_shown(bigint) IS
'Whether some load in force shows a link.';

CREATE OR REPLACE FUNCTION cdp.allow_link(a bigint, b bigint, reason text DEFAULT NULL, OUT lifted bigint, OUT customers bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids bigint[];
  other bigint[];
  roots bigint[];
  back record;
BEGIN
  PERFORM cdp_internal.require_identifiers(ARRAY[a, b]);
  PERFORM cdp_data.audit_write('allow', format('identifiers %s and %s', a, b));
  -- Who else writes links waits, so that rows of identifiers may be locked behind roots.
  LOCK TABLE cdp_data.link IN SHARE ROW EXCLUSIVE MODE;
  PERFORM cdp_internal.lock_customers(ARRAY[a, b], true);
  roots := ARRAY[cdp_internal.identifier_root(a), cdp_internal.identifier_root(b)];
  ids := ARRAY(SELECT m.identifier_id FROM cdp_internal.members(roots[1]) m);
  other := ARRAY(SELECT m.identifier_id FROM cdp_internal.members(roots[2]) m);
  -- What an unmerge had taken back may hold again, unless its loads were reverted since; those are neighbours that come anew.
  SELECT array_agg(y.a_id) AS a, array_agg(y.b_id) AS b INTO back
  FROM cdp_data.link x JOIN cdp_data.link y ON y.a_id = x.a_id AND y.b_id = x.b_id
  WHERE x.kind = 'cannot' AND x.state = 'active' AND y.kind = 'deterministic' AND y.state = 'revoked' AND y.reason = 'unmerge'
    AND (x.a_id = ANY (ids) AND x.b_id = ANY (other) OR x.a_id = ANY (other) AND x.b_id = ANY (ids))
    AND cdp_internal.link_shown(y.link_id);
  IF back.a IS NOT NULL THEN
    PERFORM cdp_internal.lock_and_crowd(ids || other, back.a, back.b);
  END IF;
  -- All of them: one that is left would still keep the two apart.
  WITH pair AS (
    SELECT x.link_id, x.a_id, x.b_id FROM unnest(ids) AS u (id) JOIN cdp_data.link x ON x.a_id = u.id
    WHERE x.kind = 'cannot' AND x.state = 'active' AND x.b_id = ANY (other)
    UNION ALL
    SELECT x.link_id, x.a_id, x.b_id FROM unnest(ids) AS u (id) JOIN cdp_data.link x ON x.b_id = u.id
    WHERE x.kind = 'cannot' AND x.state = 'active' AND x.a_id = ANY (other)
  ), gone AS (
    UPDATE cdp_data.link l SET state = 'revoked', changed_at = clock_timestamp() FROM pair p WHERE l.link_id = p.link_id
  ), back AS (
    UPDATE cdp_data.link l SET state = CASE WHEN p.shown OR l.kind <> 'deterministic' THEN 'rejected' ELSE 'revoked' END,
      reason = CASE WHEN p.shown OR l.kind <> 'deterministic' THEN 'cannot' ELSE 'load reverted' END, blocker = NULL, changed_at = clock_timestamp()
    FROM (
      SELECT y.link_id, cdp_internal.link_shown(y.link_id) AS shown
      FROM pair x JOIN cdp_data.link y ON y.a_id = x.a_id AND y.b_id = x.b_id) p
    WHERE l.link_id = p.link_id AND l.state = 'revoked' AND l.reason = 'unmerge'
  )
  SELECT count(*) INTO lifted FROM pair;
  customers := CASE WHEN lifted = 0 THEN ARRAY(SELECT DISTINCT r FROM unnest(roots) r ORDER BY 1)
    ELSE cdp_internal.recompute(ARRAY(SELECT DISTINCT cdp_internal.identifier_root(x) FROM unnest(ids || other) x ORDER BY 1), 'manual', reason, true) END;
END
$$;
COMMENT ON FUNCTION cdp.allow_link(bigint, bigint, text) IS
'Lifts every cannot link that stands between the customers of two identifiers (identifier_id), also those that an unmerge left, and tries the links again that they had stopped. Returns how many were lifted, and the customers that the identifiers are then. reason goes to the ledger when customers become one. Errors: 22023 unknown identifier, or twice the same, 22004 NULL, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.quarantine_identifier(identifier_id bigint, reason text DEFAULT NULL) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  ids bigint[];
BEGIN
  PERFORM cdp_internal.require_identifiers(ARRAY[identifier_id]);
  PERFORM cdp_data.audit_write('quarantine', format('identifier %s', identifier_id));
  LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE;
  PERFORM FROM cdp_data.identifier i WHERE i.identifier_id = quarantine_identifier.identifier_id FOR NO KEY UPDATE;
  PERFORM cdp_internal.lock_customers(ARRAY[identifier_id]);
  ids := ARRAY(SELECT m.identifier_id FROM cdp_internal.members(cdp_internal.identifier_root(quarantine_identifier.identifier_id)) m);
  IF EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = quarantine_identifier.identifier_id AND i.state <> 'quarantined') THEN
    PERFORM cdp_internal.quarantine_in(ARRAY[identifier_id], reason);
  END IF;
  RETURN ARRAY(SELECT DISTINCT cdp_internal.identifier_root(i) FROM unnest(ids) i ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp.quarantine_identifier(bigint, text) IS
'Takes an identifier out as shared by many people (a kiosk, a clerk''s phone): it links nobody from now on, its links are rejected, and its customer falls into what the other links hold together. Returns the customers that came out. reason goes to the ledger. Taken back with cdp.release_identifier(). Errors: 22023 unknown identifier, 22004 NULL, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.release_identifier(identifier_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  links bigint[];
  ends bigint[];
BEGIN
  PERFORM cdp_internal.require_identifiers(ARRAY[identifier_id]);
  PERFORM cdp_data.audit_write('release', format('identifier %s', identifier_id));
  -- Records under way that still saw it quarantined write their links first, so that none is left rejected.
  LOCK TABLE cdp_data.link IN SHARE ROW EXCLUSIVE MODE;
  PERFORM FROM cdp_data.identifier i WHERE i.identifier_id = release_identifier.identifier_id FOR NO KEY UPDATE;
  SELECT array_agg(x.link_id), array_agg(x.other) INTO links, ends
  FROM (
    SELECT l.link_id, l.b_id AS other FROM cdp_data.link l WHERE l.a_id = release_identifier.identifier_id AND l.state = 'rejected' AND l.reason = 'super-node'
    UNION ALL
    SELECT l.link_id, l.a_id FROM cdp_data.link l WHERE l.b_id = release_identifier.identifier_id AND l.state = 'rejected' AND l.reason = 'super-node') x;
  PERFORM cdp_internal.lock_customers(ends || release_identifier.identifier_id);
  UPDATE cdp_data.identifier i SET state = 'active' WHERE i.identifier_id = release_identifier.identifier_id AND i.state <> 'active';
  IF FOUND THEN
    UPDATE cdp_data.identity_alert x SET resolved_at = now(), resolved_by = session_user
    WHERE x.kind = 'super_node' AND x.identifier_id = release_identifier.identifier_id AND x.resolved_at IS NULL;
    IF links <> '{}' THEN
      PERFORM cdp_internal.resolve_links(links, 'retry');
    END IF;
    -- A batch on an older snapshot still takes it for shared by many: it must notice.
    PERFORM cdp_internal.touch_roots(ARRAY[identifier_id]);
  END IF;
  RETURN cdp_internal.identifier_root(identifier_id);
END
$$;
COMMENT ON FUNCTION cdp.release_identifier(bigint) IS
'Takes an identifier back out of quarantine: its links are tried again under all rules, and its alert is resolved. Its next new neighbour puts it back when its type''s supernode_degree is still below what it has; raise that first. Waits for records and loads under way, and they for it. Returns the customer to whom it belongs then. Errors: 22023 unknown identifier, 22004 NULL, 55000 before cdp.setup().';

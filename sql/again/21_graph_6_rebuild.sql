-- Identity room, the graph: the result that does not depend on arrival. The canonical partition over all links, what
-- it would change (the drift), and its application; bridges and super-nodes; paths of merged customers shortened.

CREATE OR REPLACE FUNCTION cdp_internal.bridges_add(state internal, least_side integer, link_id bigint, a_id bigint, b_id bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bridges_add';
COMMENT ON FUNCTION cdp_internal.bridges_add(internal, integer, bigint, bigint, bigint) IS 'Transition function of bridges.';
CREATE OR REPLACE FUNCTION cdp_internal.bridges_final(state internal) RETURNS bigint[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bridges_final';
COMMENT ON FUNCTION cdp_internal.bridges_final(internal) IS 'Final function of bridges.';
CREATE OR REPLACE AGGREGATE cdp_internal.bridges(least_side integer, link_id bigint, a_id bigint, b_id bigint) (
  SFUNC = cdp_internal.bridges_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.bridges_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.bridges(integer, bigint, bigint, bigint) IS
'Links without which their component falls into two, as rows of three numbers: link, nodes of the smaller side, nodes of the whole; only those whose smaller side has at least so many. NULL when there is none. Of two links between the same ends none is a bridge. Order not fixed. Memory about 50 bytes a link and 32 a node. Errors: 22004 NULL, 54000 too many.';

CREATE OR REPLACE FUNCTION cdp.identity_bridges(customer_id bigint DEFAULT NULL, least_side integer DEFAULT 2)
RETURNS TABLE (link_id bigint, customer bigint, a_id bigint, b_id bigint, kind text, weight double precision, smaller_side bigint, identifiers bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  bridge bigint[];
  ids bigint[];
BEGIN
  PERFORM cdp_internal.require_setup();
  IF identity_bridges.customer_id IS NULL THEN
    bridge := (SELECT cdp_internal.bridges(least_side, l.link_id, l.a_id, l.b_id) FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot');
  ELSE
    ids := ARRAY(SELECT m.identifier_id FROM cdp_internal.members(cdp_internal.root_of(identity_bridges.customer_id)) m);
    bridge := (
      SELECT cdp_internal.bridges(least_side, l.link_id, l.a_id, l.b_id)
      FROM unnest(ids) AS i (id) JOIN cdp_data.link l ON l.a_id = i.id WHERE l.state = 'active' AND l.kind <> 'cannot');
  END IF;
  RETURN QUERY
  SELECT l.link_id, cdp_internal.identifier_root(l.a_id), l.a_id, l.b_id, l.kind::text, l.weight, bridge[n.n][2], bridge[n.n][3]
  FROM generate_series(1, coalesce(array_length(bridge, 1), 0)) AS n (n) JOIN cdp_data.link l ON l.link_id = bridge[n.n][1]
  ORDER BY bridge[n.n][2] DESC, l.kind = 'probabilistic' DESC, l.weight, l.link_id;
END
$$;
COMMENT ON FUNCTION cdp.identity_bridges(bigint, integer) IS
'Links on which a customer hangs: without one of them it falls into two, of which the smaller side has at least least_side identifiers. The place to look for a wrong merge; links by score come first among equals, the weakest first. customer_id: of this customer only (NULL: of all). Largest smaller side first; identifiers is the size of the whole customer. No personal value.';

CREATE OR REPLACE FUNCTION cdp.identity_supernodes(least_degree integer DEFAULT 20)
RETURNS TABLE (identifier_id bigint, identifier_type text, neighbours bigint, limit_of_type integer, state text, customer_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  SELECT d.id, t.name::text, d.n, t.supernode_degree, i.state, cdp_internal.identifier_root(d.id)
  FROM (
    SELECT e.id, count(*) AS n
    FROM (SELECT l.a_id AS id FROM cdp_data.link l WHERE l.kind = 'deterministic' AND l.state <> 'revoked'
          UNION ALL SELECT l.b_id FROM cdp_data.link l WHERE l.kind = 'deterministic' AND l.state <> 'revoked') e
    GROUP BY e.id HAVING count(*) >= least_degree) d
    JOIN cdp_data.identifier i ON i.identifier_id = d.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  ORDER BY d.n DESC, d.id;
END
$$;
COMMENT ON FUNCTION cdp.identity_supernodes(integer) IS
'Identifiers that records showed together with at least so many distinct others, most first: neighbours counts links that are active or rejected, limit_of_type is supernode_degree of the type (NULL: none), state active or quarantined. No personal value.';

CREATE OR REPLACE FUNCTION cdp_internal.rebuild_compute(
  OUT ids bigint[], OUT parts bigint[], OUT link_ids bigint[], OUT verdicts bigint[], OUT blockers bigint[], OUT reasons text[],
  OUT crowded bigint[], OUT degrees bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
  rule record;
BEGIN
  SELECT * INTO rule FROM cdp_internal.resolve_rules();
  reasons := rule.reasons;
  -- Whoever is quarantined stays so until a person releases it; whoever a person released stays so until a new record.
  SELECT array_agg(i.identifier_id ORDER BY i.identifier_id), array_agg(d.n ORDER BY i.identifier_id) INTO crowded, degrees
  FROM (
    SELECT e.id, count(*) AS n
    FROM (SELECT l.a_id AS id FROM cdp_data.link l WHERE l.kind = 'deterministic' AND l.state <> 'revoked'
          UNION ALL SELECT l.b_id FROM cdp_data.link l WHERE l.kind = 'deterministic' AND l.state <> 'revoked') e
    GROUP BY e.id HAVING count(*) > (SELECT min(t.supernode_degree) FROM cdp_data.identifier_type_all t)) d
    JOIN cdp_data.identifier i ON i.identifier_id = d.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  WHERE i.state = 'active' AND d.n > t.supernode_degree
    AND NOT EXISTS (SELECT FROM cdp_data.identity_alert x WHERE x.kind = 'super_node' AND x.identifier_id = i.identifier_id AND x.resolved_by IS NOT NULL);
  crowded := coalesce(crowded, '{}');
  degrees := coalesce(degrees, '{}');
  SELECT (x.r).ids, (x.r).parts, (x.r).link_ids, (x.r).verdicts, (x.r).blockers INTO ids, parts, link_ids, verdicts, blockers
  FROM (
    SELECT cdp_internal.resolve(rule.rules, s.what, s.id, s.other, s.ref, s.type_id, s.weight, s.at) AS r
    FROM (
      SELECT CASE WHEN i.state = 'quarantined' OR i.identifier_id = ANY (crowded) THEN 'q' ELSE 'n' END::"char" AS what, i.identifier_id AS id,
        row_number() OVER (ORDER BY i.type_id, i.value) AS other, NULL::bigint AS ref, i.type_id, NULL::double precision AS weight, i.first_seen AS at
      FROM cdp_data.identifier i
      UNION ALL
      SELECT left(l.kind, 1)::"char", l.a_id, l.b_id, l.link_id, NULL, l.weight, l.first_seen
      FROM cdp_data.link l WHERE CASE WHEN l.kind = 'cannot' THEN l.state = 'active' ELSE l.state <> 'revoked' END
    ) s OFFSET 0) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.rebuild_compute() IS
'The canonical result over all identifiers and all links that are not revoked (rejected ones are looked at again), as type cdp_internal.resolution, with the reasons of the rules, and identifiers that are to be quarantined with their neighbours. Depends on what is there only, not on when it came. Writes nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.identity_violations()
RETURNS TABLE (customer_id bigint, identifiers bigint, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH member AS MATERIALIZED (
    SELECT cdp_internal.customer_root((SELECT cdp_internal.customer_map()), (SELECT cdp_internal.override_map()), i.customer_id, i.identifier_id) AS root,
      i.type_id, i.first_seen
    FROM cdp_data.identifier i WHERE i.state = 'active'
  ), held AS MATERIALIZED (
    SELECT m.root, t.type_id, t.name, t.max_per_customer AS most, t.limit_window AS span, count(*) AS n
    FROM member m JOIN cdp_data.identifier_type_all t ON t.type_id = m.type_id
    GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > t.max_per_customer
  )
  SELECT h.root, h.n, format('%s identifiers of type %s, allowed %s', h.n, h.name, h.most) FROM held h WHERE h.span IS NULL
  UNION ALL
  -- The member so many places further on must not be closer than the span.
  SELECT x.root, x.n, format('more than %s identifiers of type %s within %s, of %s in all', x.most, x.name, x.span, x.n)
  FROM (
    SELECT h.root, h.name, h.span, h.most, h.n,
      extract(epoch FROM lead(m.first_seen, h.most) OVER (PARTITION BY h.root, h.type_id ORDER BY m.first_seen)) - extract(epoch FROM m.first_seen)
        < extract(epoch FROM h.span) AS beyond
    FROM held h JOIN member m ON m.root = h.root AND m.type_id = h.type_id WHERE h.span IS NOT NULL AND m.first_seen IS NOT NULL) x
  WHERE x.beyond GROUP BY x.root, x.name, x.span, x.most, x.n
  UNION ALL
  SELECT m.root, count(*), format('%s identifiers, allowed %s', count(*), s.max_identifiers_per_customer)
  FROM member m, cdp_data.setting s GROUP BY m.root, s.max_identifiers_per_customer HAVING count(*) > s.max_identifiers_per_customer
  UNION ALL
  SELECT cdp_internal.identifier_root(x.id), x.n, format('identifier %s (%s) has links to %s of type %s, allowed %s', x.id, x.name, x.n, x.other, x.most)
  FROM (
    SELECT i.identifier_id AS id, t.name, o.name AS other, p.max_n AS most, count(DISTINCT j.identifier_id) AS n
    FROM cdp_data.identifier_pair_limit p
      JOIN cdp_data.identifier_type_all t ON t.type_id = p.type_id JOIN cdp_data.identifier_type_all o ON o.type_id = p.other_type_id
      JOIN cdp_data.identifier i ON i.type_id = p.type_id
      JOIN (SELECT l.a_id AS id, l.b_id AS other FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot'
            UNION ALL SELECT l.b_id, l.a_id FROM cdp_data.link l WHERE l.state = 'active' AND l.kind <> 'cannot') l ON l.id = i.identifier_id
      JOIN cdp_data.identifier j ON j.identifier_id = l.other AND j.type_id = p.other_type_id
    GROUP BY 1, 2, 3, 4 HAVING count(DISTINCT j.identifier_id) > p.max_n) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.identity_violations() IS
'Customers of now that are beyond a limit of now: it was set or tightened after they were made. A rebuild mends them. Numbers only, no personal value.';

CREATE OR REPLACE FUNCTION cdp_internal.rebuild_mark() RETURNS numeric[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN ARRAY[
    (SELECT coalesce(sum(hash_record_extended(ROW(i.identifier_id, i.state, i.first_seen, i.value), 0)), 0) FROM cdp_data.identifier i),
    (SELECT coalesce(sum(hash_record_extended(ROW(l.link_id, l.state, l.weight, l.first_seen, l.changed_at), 0)), 0) FROM cdp_data.link l),
    (SELECT coalesce(sum(hash_record_extended(ROW(a.alert_id, a.resolved_at, a.resolved_by IS NULL), 0)), 0) FROM cdp_data.identity_alert a WHERE a.kind = 'super_node'),
    (SELECT hash_record_extended(ROW(r.rules, r.reasons), 0) FROM cdp_internal.resolve_rules() r),
    (SELECT sum(hash_record_extended(ROW(t.type_id, t.supernode_degree), 0)) FROM cdp_data.identifier_type_all t)];
END
$$;
COMMENT ON FUNCTION cdp_internal.rebuild_mark() IS
'A digest of all that cdp_internal.rebuild_compute() reads: while it is the same, so is the result. A tenth of its time.';

CREATE OR REPLACE FUNCTION cdp_internal.rebuild_changes(c cdp_internal.resolution, p record, reasons text[], crowded bigint[], degrees bigint[])
RETURNS TABLE (change text, customer_id bigint, other_id bigint, identifiers bigint, detail text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH moved AS (
    SELECT x.root, h.id AS new, count(*) AS n, count(*) OVER (PARTITION BY x.root) AS pieces, (SELECT count(*) FROM unnest(p.u_id) AS u (id) WHERE u.id = h.id AND h.id <> x.root) AS known
    FROM unnest(p.c_part, p.c_root) AS x (part, root) JOIN unnest(p.h_part, p.h_id) AS h (part, id) ON h.part = x.part
    GROUP BY x.root, h.id
  )
  SELECT CASE WHEN m.pieces = 1 THEN 'merge' WHEN m.new < 0 OR u.root <> u.id OR u.id IS NULL THEN 'split' ELSE 'move' END,
    CASE WHEN m.pieces = 1 THEN nullif(greatest(m.new, 0), 0) ELSE m.root END, CASE WHEN m.pieces = 1 THEN m.root ELSE nullif(greatest(m.new, 0), 0) END, m.n,
    CASE WHEN m.pieces = 1 THEN format('customer %s goes under %s', m.root, CASE WHEN m.new < 0 THEN 'a new one' ELSE m.new::text END)
      WHEN m.new < 0 THEN format('%s identifiers leave customer %s for a new one', m.n, m.root)
      WHEN u.root <> u.id THEN format('%s identifiers leave customer %s for %s, which was merged once', m.n, m.root, m.new)
      ELSE format('%s identifiers go from customer %s to %s', m.n, m.root, m.new) END
  FROM moved m LEFT JOIN unnest(p.u_id, p.u_root) AS u (id, root) ON u.id = m.new
  WHERE m.new <> m.root
  ORDER BY 1, m.n DESC, m.root, m.new;

  RETURN QUERY
  SELECT CASE WHEN x.verdict > 0 THEN 'link activated' ELSE 'link rejected' END, NULL::bigint, NULL::bigint, count(*),
    CASE WHEN x.verdict > 0 THEN 'was ' || coalesce(l.reason, l.state) ELSE cdp_internal.verdict_reason(x.verdict, reasons) || CASE WHEN l.state = 'rejected' THEN ', was ' || coalesce(l.reason, 'without reason') ELSE '' END END
  FROM unnest(c.link_ids, c.verdicts) AS x (link_id, verdict) JOIN cdp_data.link l ON l.link_id = x.link_id
  WHERE (l.state, l.reason) IS DISTINCT FROM (CASE WHEN x.verdict > 0 THEN 'active' ELSE 'rejected' END, cdp_internal.verdict_reason(x.verdict, reasons))
  GROUP BY 1, 5 ORDER BY 1, 4 DESC, 5;

  RETURN QUERY
  SELECT 'quarantine', cdp_internal.identifier_root(q.id), q.id, q.n, format('identifier of type %s has %s neighbours, allowed %s', t.name, q.n, t.supernode_degree)
  FROM unnest(crowded, degrees) AS q (id, n) JOIN cdp_data.identifier i ON i.identifier_id = q.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  ORDER BY q.n DESC, q.id;

  RETURN QUERY
  SELECT 'largest', CASE WHEN h.id IS NULL THEN cdp_internal.identifier_root(g.part) WHEN h.id > 0 THEN h.id END, NULL::bigint, g.n, format('number %s by identifiers', g.nth)
  FROM (SELECT x.part, count(*) AS n, row_number() OVER (ORDER BY count(*) DESC, x.part) AS nth FROM unnest(c.parts) AS x (part) GROUP BY x.part ORDER BY 2 DESC, 1 LIMIT 10) g
    LEFT JOIN unnest(p.h_part, p.h_id) AS h (part, id) ON h.part = g.part
  WHERE g.n > 1 ORDER BY g.nth;
END
$$;
COMMENT ON FUNCTION cdp_internal.rebuild_changes(cdp_internal.resolution, record, text[], bigint[], bigint[]) IS
'The rows of cdp.rebuild() that tell what differs between a canonical result and now, and the largest customers after it. p: cdp_internal.plan_partition() of the result.';

CREATE OR REPLACE FUNCTION cdp_internal.rebuild_sights()
RETURNS TABLE (change text, customer_id bigint, other_id bigint, identifiers bigint, detail text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT 'violation', v.customer_id, NULL::bigint, v.identifiers, v.detail FROM cdp_internal.identity_violations() v ORDER BY v.identifiers DESC, v.customer_id, v.detail;

  RETURN QUERY
  SELECT 'bridge', b.customer, b.link_id, b.smaller_side,
    format('%s link %s holds %s of %s identifiers%s', b.kind, b.link_id, b.smaller_side, b.identifiers, CASE WHEN b.weight IS NOT NULL THEN format(', weight %s', round(b.weight::numeric, 2)) ELSE '' END)
  FROM cdp.identity_bridges(NULL, 5) b LIMIT 10;

  RETURN QUERY
  SELECT 'super-node', s.customer_id, s.identifier_id, s.neighbours, format('identifier of type %s, %s, limit %s', s.identifier_type, s.state, coalesce(s.limit_of_type::text, 'none'))
  FROM cdp.identity_supernodes(20) s LIMIT 10;
END
$$;
COMMENT ON FUNCTION cdp_internal.rebuild_sights() IS
'The rows of cdp.rebuild() about customers as they are: beyond a limit of today, hanging on a link, shared by many.';

CREATE OR REPLACE FUNCTION cdp_internal.rebuild_apply(c cdp_internal.resolution, p record, reasons text[], crowded bigint[], degrees bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
  operation bigint;
BEGIN
  UPDATE cdp_data.identifier i SET state = 'quarantined' WHERE i.identifier_id = ANY (crowded);
  INSERT INTO cdp_data.identity_alert (kind, identifier_id, detail)
  SELECT 'super_node', i.identifier_id, jsonb_build_object('type', t.name, 'limit', t.supernode_degree, 'neighbours', q.n)
  FROM unnest(crowded, degrees) AS q (id, n) JOIN cdp_data.identifier i ON i.identifier_id = q.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
  WHERE NOT EXISTS (SELECT FROM cdp_data.identity_alert x WHERE x.kind = 'super_node' AND x.identifier_id = i.identifier_id AND x.resolved_at IS NULL)
  ORDER BY i.identifier_id;
  UPDATE cdp_data.link l
  SET state = CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, reason = cdp_internal.verdict_reason(v.verdict, reasons),
    blocker = nullif(v.blocker, 0), changed_at = clock_timestamp()
  FROM unnest(c.link_ids, c.verdicts, c.blockers) AS v (link_id, verdict, blocker)
  WHERE l.link_id = v.link_id
    AND (l.state, l.reason, l.blocker) IS DISTINCT FROM
      (CASE WHEN v.verdict > 0 THEN 'active' ELSE 'rejected' END, cdp_internal.verdict_reason(v.verdict, reasons), nullif(v.blocker, 0));
  IF p.c_id IS NOT NULL THEN
    -- The parts that change are closed: all members of the roots concerned are among them.
    SELECT a.operation_id INTO operation FROM cdp_internal.apply_partition(p.c_id, p.c_part, 'rebuild') a;
  END IF;
  RETURN operation;
END
$$;
COMMENT ON FUNCTION cdp_internal.rebuild_apply(cdp_internal.resolution, record, text[], bigint[], bigint[]) IS
'Brings links, quarantine and customers to a canonical result; what equals it already is not written. Returns the operation of the ledger, NULL when no customer changed. p: cdp_internal.plan_partition() of the result. The caller holds the table of links against all writers.';

CREATE OR REPLACE FUNCTION cdp_internal.rebuild_fits() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- The library knows its default; a session that has not loaded it yet does not.
  allowed bigint := pg_size_bytes(coalesce(nullif(current_setting('cdp.components_memory', true), ''), '1GB'));
  identifiers bigint := (SELECT count(*) FROM cdp_data.identifier);
  links bigint := (SELECT count(*) FROM cdp_data.link l WHERE CASE WHEN l.kind = 'cannot' THEN l.state = 'active' ELSE l.state <> 'revoked' END);
BEGIN
  IF identifiers * 70 + links * 72 > allowed THEN
    RAISE EXCEPTION 'the identity graph does not fit into the memory that is allowed'
      USING ERRCODE = 'program_limit_exceeded',
        DETAIL = format('%s identifiers and %s links take about %s kB; cdp.components_memory is %s kB.', identifiers, links, (identifiers * 70 + links * 72) / 1024, allowed / 1024),
        HINT = 'Raise cdp.components_memory where the machine has the memory: the lists of the server take as much again.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.rebuild_fits() IS
'Error 54000 when a rebuild would take more memory than cdp.components_memory: about 70 bytes an identifier and 72 a link. Reads both tables once, which is little beside the rebuild.';

CREATE OR REPLACE FUNCTION cdp.rebuild(dry_run boolean DEFAULT true)
RETURNS TABLE (change text, customer_id bigint, other_id bigint, identifiers bigint, detail text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  r record;
  p record;
  c cdp_internal.resolution;
  mark numeric[];
  work_mem text := current_setting('work_mem');
BEGIN
  PERFORM cdp_internal.require_setup();
  IF dry_run IS NULL THEN
    RAISE EXCEPTION 'dry_run must not be NULL' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  PERFORM cdp_internal.rebuild_fits(); -- what does not fit is refused before anybody waits
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  IF NOT dry_run THEN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      RAISE EXCEPTION 'a rebuild needs READ COMMITTED'
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('This transaction is %s: it would judge by a snapshot older than its lock.', current_setting('transaction_isolation')),
          HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED; or call it outside of a transaction.';
    END IF;
    -- All that can be done before the lock: when nobody wrote meanwhile, the result holds.
    RETURN QUERY SELECT x.change, x.customer_id, x.other_id, x.identifiers, x.detail FROM cdp_internal.rebuild_sights() x;
    mark := cdp_internal.rebuild_mark();
    r := cdp_internal.rebuild_compute();
    -- Everybody who changes identity holds this table first; readers and records that tell nothing new go on.
    LOCK TABLE cdp_data.link IN SHARE ROW EXCLUSIVE MODE;
    PERFORM cdp_data.audit_write('rebuild', 'identity');
  END IF;
  IF dry_run OR mark IS DISTINCT FROM cdp_internal.rebuild_mark() THEN
    r := cdp_internal.rebuild_compute();
  END IF;
  c := ROW(r.ids, r.parts, r.link_ids, r.verdicts, r.blockers);
  IF r.ids IS NOT NULL THEN
    p := cdp_internal.plan_partition(c.ids, c.parts);
    RETURN QUERY SELECT x.change, x.customer_id, x.other_id, x.identifiers, x.detail
      FROM cdp_internal.rebuild_changes(c, p, r.reasons, r.crowded, r.degrees) x;
    IF dry_run THEN
      RETURN QUERY SELECT x.change, x.customer_id, x.other_id, x.identifiers, x.detail FROM cdp_internal.rebuild_sights() x;
    ELSE
      PERFORM cdp_internal.rebuild_apply(c, p, r.reasons, r.crowded, r.degrees);
    END IF;
  END IF;
  PERFORM set_config('work_mem', work_mem, true);
END
$$;
COMMENT ON FUNCTION cdp.rebuild(boolean) IS
'Compares customers with the canonical result over all links, which does not depend on the order in which records came, and (dry_run => false) brings them to it. Every link that is not revoked is looked at, also rejected ones, under the rules of today; cannot links hold. Rows: merge (other_id goes under customer_id), split (identifiers leave customer_id for other_id, NULL: a new one), move (from customer_id to other_id, both there before), link activated and link rejected (identifiers: how many links, detail: why), quarantine (other_id an identifier with too many neighbours), violation (a customer beyond a limit of today), and what deserves a look: largest (customers after it), bridge (other_id a link that holds a customer together), super-node (other_id). No merge, split, move or link row: no drift. Customers keep their numbers by anchor, then by largest overlap; what is as it should be is not written. Applying computes first, then holds the table of links against writers, looks whether anything changed meanwhile, computes again if so, and writes; readers go on. Super-nodes stay quarantined until released by a person, and one so released stays so until a new record. Errors: 54000 it would take more memory than cdp.components_memory, 55000 not READ COMMITTED, or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.shorten_paths(after bigint, most integer DEFAULT 1000, OUT reached bigint, OUT changed bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  batch bigint[] := ARRAY(
    SELECT c.customer_id FROM cdp_data.customer c JOIN cdp_data.customer p ON p.customer_id = c.parent_id
    WHERE c.parent_id <> c.customer_id AND p.parent_id <> p.customer_id AND c.customer_id > after
    ORDER BY c.customer_id LIMIT most);
BEGIN
  IF batch = '{}' THEN
    RETURN;
  END IF;
  PERFORM cdp_internal.lock_customers('{}', false, batch);
  UPDATE cdp_data.customer c SET parent_id = r.root_id
  FROM cdp_internal.roots_of(batch) r
  WHERE c.customer_id = r.customer_id AND c.parent_id <> r.root_id AND c.customer_id <> r.root_id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  reached := batch[cardinality(batch)];
END
$$;
COMMENT ON FUNCTION cdp_internal.shorten_paths(bigint, integer) IS
'Replaces parents that are no roots by the root, for at most so many customers above a number, under the locks of their roots. Who belongs to whom does not change, so neither ledger nor change feed hear of it. Returns the last number looked at (NULL: none left) and how many changed.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_identity()
LANGUAGE plpgsql
AS $$
DECLARE
  step pg_catalog.record;
  after pg_catalog.int8 := 0;
  total pg_catalog.int8 := 0;
BEGIN
  LOOP
    step := cdp_internal.shorten_paths(after);
    EXIT WHEN step.reached IS NULL;
    after := step.reached;
    total := total OPERATOR(pg_catalog.+) step.changed;
    COMMIT;
  END LOOP;
  RAISE NOTICE 'maintain: % paths of merged customers shortened', total;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_identity() IS
'Part of cdp.maintain(): shortens the paths of merged customers, a thousand at a time, so that locks are short and look-ups stay fast however long merges have piled up.';

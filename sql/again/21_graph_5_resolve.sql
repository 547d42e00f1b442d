-- Identity room, the graph: which identifiers are one customer. The constrained union-find over links, and what
-- brings tables to a partition: bulk unions, loads, reverts, and the recomputing that unmerge and quarantine build on.
--
-- Sets travel as arrays, and plans are made for the arrays at hand: the same statements serve two identifiers and
-- two million, without a temporary table for each call.

CREATE OR REPLACE FUNCTION cdp_internal.resolve_add(
  state internal, rules bigint[], what "char", id bigint, other bigint, ref bigint, type_id smallint, weight double precision, at timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_resolve_add';
COMMENT ON FUNCTION cdp_internal.resolve_add(internal, bigint[], "char", bigint, bigint, bigint, smallint, double precision, timestamptz) IS 'Transition function of resolve.';
CREATE OR REPLACE FUNCTION cdp_internal.resolve_final(state internal) RETURNS cdp_internal.resolution
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_resolve_final';
COMMENT ON FUNCTION cdp_internal.resolve_final(internal) IS 'Final function of resolve.';
CREATE OR REPLACE AGGREGATE cdp_internal.resolve(
  rules bigint[], what "char", id bigint, other bigint, ref bigint, type_id smallint, weight double precision, at timestamptz) (
  SFUNC = cdp_internal.resolve_add, STYPE = internal, SSPACE = 65536,
  FINALFUNC = cdp_internal.resolve_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE cdp_internal.resolve(bigint[], "char", bigint, bigint, bigint, smallint, double precision, timestamptz) IS
'Constrained union-find: which links hold and which identifiers are one customer. A row is an identifier (what n, or q when quarantined: id, other its place among the values, ref the part that it starts in or NULL, type_id, at when it was first seen) or a link (what h in force already, m manual, d deterministic, p probabilistic, c cannot: id and other its ends, ref its number, weight, at). Links are taken in canonical order: kind, priorities of the stronger and the weaker end, weight (high first), time, values of the ends; each is refused by the first of: quarantined end, attach-only end that has its link, cannot link, limit between two types, limit of a type, size. The result depends on the set of rows only. rules: of cdp_internal.resolve_rules(). NULL without rows; answers type cdp_internal.resolution. Memory about 70 bytes an identifier and 72 a link. Errors: 22004 a value is missing, 22023 a type without rule, a link to an unknown identifier or to itself, a weight that is no number, 21000 an identifier twice, 54000 too many.';

CREATE OR REPLACE FUNCTION cdp_internal.resolve_rules(OUT rules bigint[], OUT reasons text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT array_agg(r.rule ORDER BY r.rule[1], r.rule[2], r.rule[3]), array_agg(r.reason ORDER BY r.rule[1], r.rule[2], r.rule[3])
  INTO rules, reasons
  FROM (
    SELECT ARRAY[1, t.type_id, t.priority, coalesce(t.max_per_customer, 0),
        coalesce((extract(epoch FROM t.limit_window) * 1000000)::bigint, 0), (t.role = 'attach_only')::integer]::bigint[] AS rule,
      'limit ' || t.name AS reason
    FROM cdp_data.identifier_type_all t
    UNION ALL
    SELECT ARRAY[2, p.type_id, p.other_type_id, p.max_n, 0, 0]::bigint[], format('pair limit %s %s', t.name, o.name)
    FROM cdp_data.identifier_pair_limit p
      JOIN cdp_data.identifier_type_all t ON t.type_id = p.type_id JOIN cdp_data.identifier_type_all o ON o.type_id = p.other_type_id
    UNION ALL
    SELECT ARRAY[3, s.max_identifiers_per_customer, 0, 0, 0, 0]::bigint[], 'customer size' FROM cdp_data.setting s
    WHERE s.max_identifiers_per_customer IS NOT NULL
  ) r;
END
$$;
COMMENT ON FUNCTION cdp_internal.resolve_rules() IS
'The rules in force for the aggregate cdp_internal.resolve(), one row of six numbers each: (1, type, priority, limit or 0, window in microseconds or 0, 1 for attach only), (2, type, other type, limit, 0, 0), (3, most identifiers of a customer, 0, 0, 0, 0); and the reason that each gives. A window counts a month as 30 days.';

CREATE OR REPLACE FUNCTION cdp_internal.facts_only(rules bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT array_agg(ARRAY[1, r[i][2], r[i][3], 0, 0, 0]::bigint[] ORDER BY i)
  FROM (SELECT facts_only.rules) AS v (r), generate_subscripts(v.r, 1) AS i WHERE v.r[i][1] = 1);
COMMENT ON FUNCTION cdp_internal.facts_only(bigint[]) IS
'Rules of cdp_internal.resolve_rules() without any limit: types and their priorities only. What is in force stays in force when a limit became tighter, until a rebuild.';

CREATE OR REPLACE FUNCTION cdp_internal.roots_of(customers bigint[])
RETURNS TABLE (customer_id bigint, root_id bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE walk (customer_id, at_id, parent_id) AS (
    SELECT c.customer_id, c.customer_id, c.parent_id
    FROM (SELECT DISTINCT x FROM unnest(customers) x) u JOIN cdp_data.customer c ON c.customer_id = u.x
    UNION
    SELECT w.customer_id, p.customer_id, p.parent_id
    FROM walk w JOIN cdp_data.customer p ON p.customer_id = w.parent_id
    WHERE w.parent_id <> w.at_id
  )
  SELECT w.customer_id, w.at_id FROM walk w WHERE w.parent_id = w.at_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.roots_of(bigint[]) IS
'The root of each of these customers, each once. No row for an unknown one, nor for one whose parents run in a circle.';

CREATE OR REPLACE FUNCTION cdp_internal.members_of(roots bigint[])
RETURNS TABLE (root_id bigint, identifier_id bigint, type_id smallint, home_id bigint, override_id bigint, first_seen timestamptz, quarantined boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE under (root_id, customer_id) AS (
    SELECT DISTINCT x, x FROM unnest(roots) x
    UNION
    SELECT u.root_id, c.customer_id FROM under u JOIN cdp_data.customer c ON c.parent_id = u.customer_id AND c.parent_id <> c.customer_id
  )
  SELECT u.root_id, i.identifier_id, i.type_id, i.customer_id, NULL::bigint, i.first_seen, i.state = 'quarantined'
  FROM under u JOIN cdp_data.identifier i ON i.customer_id = u.customer_id
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = i.identifier_id)
  UNION ALL
  SELECT u.root_id, i.identifier_id, i.type_id, i.customer_id, o.customer_id, i.first_seen, i.state = 'quarantined'
  FROM under u JOIN cdp_data.identifier_override o ON o.customer_id = u.customer_id JOIN cdp_data.identifier i ON i.identifier_id = o.identifier_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.members_of(bigint[]) IS
'All identifiers that belong to these roots now, with their home and their override (NULL: none).';

CREATE OR REPLACE FUNCTION cdp_internal.require_root(customer_id bigint, parent_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF parent_id <> customer_id THEN
    RAISE EXCEPTION 'a root moved' USING ERRCODE = 'CDPRT';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_root(bigint, bigint) IS
'Error CDPRT unless the customer is a root. For rows as they come out of FOR NO KEY UPDATE: who has locked a row that is no root any more must let it go before he waits for the next one, because the holder of its root may want it.';

CREATE OR REPLACE FUNCTION cdp_internal.require_seen(customers bigint[]) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_sql_require_seen';
COMMENT ON FUNCTION cdp_internal.require_seen(bigint[]) IS
'Error 40001 in REPEATABLE READ and SERIALIZABLE when somebody was merged into one of these customers, whose rows the caller has locked, after the snapshot of the transaction; nothing in READ COMMITTED. A merge writes no row of the customer that stays, so the lock alone does not tell. Where max_identifiers_per_customer is NULL a new link need not write one either: then all that the customers hold is compared. NULL numbers are passed over.';

CREATE OR REPLACE FUNCTION cdp_internal.lock_customers(identifiers bigint[], far boolean DEFAULT false, customers bigint[] DEFAULT NULL) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  wanted bigint[];
  seen bigint[];
BEGIN
  LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE;
  seen := cdp_internal.customers_to_lock(identifiers, far, customers);
  FOR attempt IN 1 .. 1000 LOOP
    wanted := seen;
    -- The subtransaction gives the locks of a failed attempt back, so that none is ever taken out of order.
    BEGIN
      PERFORM cdp_internal.require_root(x.customer_id, x.parent_id)
      FROM (SELECT c.customer_id, c.parent_id FROM cdp_data.customer c WHERE c.customer_id = ANY (wanted) ORDER BY c.customer_id FOR NO KEY UPDATE) x;
      PERFORM cdp_internal.require_seen(wanted);
      seen := cdp_internal.customers_to_lock(identifiers, far, customers);
      IF seen = wanted THEN
        RETURN wanted;
      END IF;
      RAISE EXCEPTION 'a root moved' USING ERRCODE = 'CDPRT';
    EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      seen := cdp_internal.customers_to_lock(identifiers, far, customers);
    END;
  END LOOP;
  RAISE EXCEPTION 'customers merge faster than they can be locked'
    USING ERRCODE = 'serialization_failure', DETAIL = format('%s customers, 1000 attempts.', cardinality(wanted)), HINT = 'Try again.';
END
$$;
COMMENT ON FUNCTION cdp_internal.lock_customers(bigint[], boolean, bigint[]) IS
'Locks the roots of these identifiers and of these customers, in the order that all of identity keeps: table link (row exclusive), then roots by number, tried again when a root moved meanwhile. far: also the roots at the other ends of links of theirs that a limit or a cannot link stopped, which is what recompute(retry_rejected => true) may join. Returns the roots, sorted. Call it before the first write. Error 40001: under REPEATABLE READ somebody merged them; or no calm within 1000 attempts.';

CREATE OR REPLACE FUNCTION cdp_internal.customers_to_lock(identifiers bigint[], far boolean, customers bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  at bigint[];
  roots bigint[];
  ids bigint[];
BEGIN
  at := coalesce(customers, '{}') || ARRAY(
    SELECT DISTINCT coalesce(o.customer_id, i.customer_id)
    FROM unnest(identifiers) u (id) JOIN cdp_data.identifier i ON i.identifier_id = u.id
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id);
  roots := ARRAY(SELECT DISTINCT r.root_id FROM cdp_internal.roots_of(at) r ORDER BY r.root_id);
  IF far AND roots <> '{}' THEN
    ids := ARRAY(SELECT m.identifier_id FROM cdp_internal.members_of(roots) m);
    at := ARRAY(
      SELECT DISTINCT coalesce(o.customer_id, i.customer_id)
      FROM cdp_internal.links_to_retry(ids) l
        JOIN cdp_data.identifier i ON i.identifier_id IN (l.a_id, l.b_id)
        LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id);
    IF at <> '{}' THEN
      roots := ARRAY(SELECT r.root_id FROM cdp_internal.roots_of(at) r UNION SELECT x FROM unnest(roots) x ORDER BY 1);
    END IF;
  END IF;
  RETURN roots;
END
$$;
COMMENT ON FUNCTION cdp_internal.customers_to_lock(bigint[], boolean, bigint[]) IS
'The roots that cdp_internal.lock_customers() has to lock, as they are now, sorted.';

CREATE OR REPLACE FUNCTION cdp_internal.links_to_retry(identifiers bigint[])
RETURNS TABLE (link_id bigint, a_id bigint, b_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  RETURN QUERY
  SELECT l.link_id, l.a_id, l.b_id
  FROM (SELECT l.link_id FROM unnest(identifiers) u (id) JOIN cdp_data.link l ON l.a_id = u.id WHERE l.state = 'rejected'
        UNION
        SELECT l.link_id FROM unnest(identifiers) u (id) JOIN cdp_data.link l ON l.b_id = u.id WHERE l.state = 'rejected') x
    JOIN cdp_data.link l USING (link_id)
  WHERE l.reason IN ('cannot', 'customer size') OR l.reason LIKE 'limit %' OR l.reason LIKE 'pair limit %';
END
$$;
COMMENT ON FUNCTION cdp_internal.links_to_retry(bigint[]) IS
'Links at these identifiers that a limit, the size of a customer or a cannot link stopped: they may fit once their customers have changed.';

CREATE OR REPLACE FUNCTION cdp_internal.plan_partition(
  ids bigint[], parts bigint[],
  OUT c_id bigint[], OUT c_part bigint[], OUT c_home bigint[], OUT c_override bigint[], OUT c_root bigint[],
  OUT u_id bigint[], OUT u_root bigint[], OUT u_new bigint[], OUT h_part bigint[], OUT h_id bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  -- The customer at which each identifier stands; the part of each customer's anchor.
  c_at bigint[]; a_id bigint[]; a_part bigint[];
BEGIN
  WITH own AS MATERIALIZED (
    SELECT i.identifier_id, p.part, i.customer_id AS home, o.customer_id AS override, coalesce(o.customer_id, i.customer_id) AS at
    FROM unnest(ids, parts) AS p (id, part) JOIN cdp_data.identifier i ON i.identifier_id = p.id
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
  ), placed AS (
    SELECT w.*, r.root_id,
      min(r.root_id) OVER p <> max(r.root_id) OVER p OR min(w.part) OVER r <> max(w.part) OVER r AS changed
    FROM own w JOIN cdp_internal.roots_of(ARRAY(SELECT DISTINCT at FROM own)) r ON r.customer_id = w.at
    WINDOW p AS (PARTITION BY w.part), r AS (PARTITION BY r.root_id)
  )
  SELECT array_agg(s.identifier_id), array_agg(s.part), array_agg(s.home), array_agg(s.override), array_agg(s.at), array_agg(s.root_id)
  INTO c_id, c_part, c_home, c_override, c_at, c_root
  FROM placed s WHERE s.changed;
  IF c_id IS NULL THEN
    RETURN;
  END IF;
  WITH RECURSIVE under (root_id, customer_id) AS (
    SELECT DISTINCT x, x FROM unnest(c_root) x
    UNION
    SELECT u.root_id, c.customer_id FROM under u JOIN cdp_data.customer c ON c.parent_id = u.customer_id AND c.parent_id <> c.customer_id
  )
  SELECT array_agg(u.customer_id), array_agg(u.root_id) INTO u_id, u_root FROM under u;
  -- A customer's anchor: the lowest identifier that it is the home of, else the lowest that was moved to it.
  SELECT array_agg(a.at), array_agg(a.part) INTO a_id, a_part
  FROM (SELECT DISTINCT ON (c.at) c.at, c.part FROM unnest(c_id, c_part, c_override, c_at) AS c (id, part, override, at)
        ORDER BY c.at, c.override IS NOT NULL, c.id) a;
  SELECT h.h_part, h.h_id INTO h_part, h_id
  FROM cdp_internal.holders_by_anchor(c_id, c_part, c_override, c_at, u_id, u_root) h;
  SELECT h.h_part, h.h_id INTO h_part, h_id
  FROM cdp_internal.holders_for_rest(c_part, c_root, h_part, h_id) h;

  -- A customer goes where its anchor goes; without one, with its root; a root without one, with its lowest identifier.
  WITH own AS MATERIALIZED (
    SELECT u.id, u.root, u.n, coalesce(h.id, a.h_id) AS new
    FROM unnest(u_id, u_root) WITH ORDINALITY AS u (id, root, n)
      LEFT JOIN unnest(h_id) AS h (id) ON h.id = u.id
      LEFT JOIN (SELECT a.id, h.id AS h_id FROM unnest(a_id, a_part) AS a (id, part)
                 JOIN unnest(h_part, h_id) AS h (part, id) ON h.part = a.part) a ON a.id = u.id
  ), lowest AS MATERIALIZED (
    SELECT DISTINCT ON (c.root) c.root, c.part FROM unnest(c_root, c_part, c_id) AS c (root, part, id) ORDER BY c.root, c.id
  )
  SELECT array_agg(coalesce(o.new, r.new, h.id) ORDER BY o.n) INTO u_new
  FROM own o LEFT JOIN own r ON r.id = o.root LEFT JOIN lowest l ON l.root = o.root LEFT JOIN unnest(h_part, h_id) AS h (part, id) ON h.part = l.part;
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_partition(bigint[], bigint[]) IS
'What cdp_internal.apply_partition() would do, as columns: c_ the identifiers of parts that change (their part, home, override, root), u_ the customers under the roots concerned (root, and root to be), h_ the customer of each part. New customers have numbers from -1 down. All NULL when nothing changes. Writes nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.apply_partition(
  ids bigint[], parts bigint[], cause text, note text DEFAULT NULL, source_id integer DEFAULT NULL, load_id bigint DEFAULT NULL,
  via_roots bigint[] DEFAULT NULL, via_links bigint[] DEFAULT NULL, OUT operation_id bigint, OUT customers bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  p record;
  made bigint[];
  told bigint[];
BEGIN
  customers := '{}';
  p := cdp_internal.plan_partition(ids, parts);
  IF p.c_id IS NULL THEN
    RETURN;
  END IF;
  operation_id := nextval('cdp_data.identity_operation_seq');
  IF 0 > ANY (p.h_id) THEN
    made := ARRAY(SELECT nextval('cdp_data.customer_customer_id_seq') FROM unnest(p.h_id) AS h (id) WHERE h.id < 0);
    INSERT INTO cdp_data.customer (customer_id, parent_id) SELECT m, m FROM unnest(made) m;
    p.h_id := ARRAY(SELECT CASE WHEN h.id < 0 THEN made[-h.id] ELSE h.id END FROM unnest(p.h_id) WITH ORDINALITY AS h (id, n) ORDER BY h.n);
    -- New customers stand in no tree yet.
    p.u_id := p.u_id || made;
    p.u_root := p.u_root || made;
    p.u_new := ARRAY(SELECT CASE WHEN u.id < 0 THEN made[-u.id] ELSE u.id END FROM unnest(p.u_new) WITH ORDINALITY AS u (id, n) ORDER BY u.n) || made;
  END IF;
  PERFORM cdp_internal.write_parents(p.u_id, p.u_new, p.c_root, operation_id, cause, note, source_id, load_id, via_roots, via_links);
  told := cdp_internal.write_overrides(p.c_id, p.c_part, p.c_home, p.c_override, p.h_part, p.h_id, p.u_id, p.u_new, operation_id, cause, note, source_id, load_id);
  PERFORM cdp_internal.feed_write(
    ARRAY(SELECT t FROM unnest(told) t
          UNION SELECT r FROM unnest(p.c_root) r
          UNION SELECT v.id FROM unnest(p.u_id, p.u_root, p.u_new) AS u (id, root, new), LATERAL (VALUES (u.id), (u.root), (u.new)) AS v (id)
          WHERE u.root <> u.new ORDER BY 1),
    CASE WHEN cause IN ('unmerge', 'quarantine', 'revert') THEN 'unmerge' WHEN cause = 'rebuild' THEN 'rebuild' ELSE 'merge' END);
  customers := ARRAY(SELECT DISTINCT h FROM unnest(p.h_id) h ORDER BY h);
END
$$;
COMMENT ON FUNCTION cdp_internal.apply_partition(bigint[], bigint[], text, text, integer, bigint, bigint[], bigint[]) IS
'Brings parents and overrides to a partition: ids are all identifiers of the roots concerned, parts a label for each. A part keeps the customer whose anchor it holds (of several the one that is a root now; then the strongest type, the earliest, the lowest), so that a customer which had been merged gets its number back; a part without such a customer takes the root of which it holds most and that no other part took, else a new one. Writes ledger and change feed; parts that equal a customer of now are left alone, and when all do nothing is written and operation_id is NULL. customers: those that the changed parts are now. via_roots and via_links: by which link a root comes to its part, for the ledger. The caller holds the locks of all roots (cdp_internal.lock_customers).';

CREATE OR REPLACE FUNCTION cdp_internal.holders_by_anchor(
  c_id bigint[], c_part bigint[], c_override bigint[], c_at bigint[], u_id bigint[], u_root bigint[], OUT h_part bigint[], OUT h_id bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  SELECT array_agg(h.part), array_agg(h.at) INTO h_part, h_id
  FROM (
    SELECT DISTINCT ON (a.part) a.part, a.at
    FROM (SELECT DISTINCT ON (c.at) c.at, c.part, c.id FROM unnest(c_id, c_part, c_override, c_at) AS c (id, part, override, at)
          ORDER BY c.at, c.override IS NOT NULL, c.id) a
      JOIN unnest(u_id, u_root) AS u (id, root) ON u.id = a.at
      JOIN cdp_data.identifier i ON i.identifier_id = a.id
      JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
      JOIN cdp_data.customer c ON c.customer_id = a.at
    ORDER BY a.part, u.id <> u.root, t.priority, c.created_at, c.customer_id) h;
END
$$;
COMMENT ON FUNCTION cdp_internal.holders_by_anchor(bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]) IS
'The first half of the choice of cdp_internal.apply_partition(): of the customers whose anchor lies in a part, the one that keeps it.';

CREATE OR REPLACE FUNCTION cdp_internal.holders_for_rest(c_part bigint[], c_root bigint[], INOUT h_part bigint[], INOUT h_id bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  more_part bigint[];
  more_id bigint[];
  orphans bigint[] := ARRAY(SELECT p FROM unnest(c_part) p EXCEPT SELECT p FROM unnest(h_part) p ORDER BY 1);
BEGIN
  h_part := coalesce(h_part, '{}');
  h_id := coalesce(h_id, '{}');
  IF orphans = '{}' THEN
    RETURN;
  END IF;
  -- Each free root turns to the part that has most of it, and a part takes the root that brings most.
  SELECT array_agg(b.part), array_agg(b.root) INTO more_part, more_id
  FROM (
    SELECT DISTINCT ON (o.part) o.part, o.root
    FROM (
      SELECT DISTINCT ON (c.root) c.root, c.part, count(*) AS n
      FROM unnest(c_part, c_root) AS c (part, root) JOIN unnest(orphans) AS p (part) ON p.part = c.part
      WHERE NOT EXISTS (SELECT FROM unnest(h_id) AS h (id) WHERE h.id = c.root)
      GROUP BY c.root, c.part ORDER BY c.root, count(*) DESC, c.part) o
    ORDER BY o.part, o.n DESC, o.root) b;
  h_part := h_part || coalesce(more_part, '{}');
  h_id := h_id || coalesce(more_id, '{}');
  SELECT h_part || array_agg(x.part), h_id || array_agg(-x.n) INTO h_part, h_id
  FROM (SELECT p.part, row_number() OVER (ORDER BY p.part) AS n
        FROM (SELECT p FROM unnest(orphans) p EXCEPT SELECT p FROM unnest(more_part) p) AS p (part)) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.holders_for_rest(bigint[], bigint[], bigint[], bigint[]) IS
'The second half of the choice of cdp_internal.apply_partition(): parts that hold no customer''s anchor take the free root of which they hold most, else a new customer: -1, -2 and so on.';

CREATE OR REPLACE FUNCTION cdp_internal.write_parents(
  u_id bigint[], u_new bigint[], c_root bigint[], operation_id bigint, cause text, note text, source_id integer, load_id bigint, via_roots bigint[], via_links bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  -- The ledger knows nothing of shortened paths, so it is compared by itself: a row where its pointer would lead
  -- elsewhere than the table's new one, whatever the table says now.
  WITH moved AS MATERIALIZED (
    SELECT u.id, u.new, coalesce(m.to_id, u.id) AS told, m.merge_id, m.kind = 'merge' AND m.undone_by IS NULL AS holds
    FROM unnest(u_id, u_new) AS u (id, new)
      LEFT JOIN LATERAL (
        SELECT m.to_id, m.merge_id, m.kind, m.undone_by FROM cdp_data.merge_log m
        WHERE m.customer_id = u.id AND m.kind IN ('merge', 'split') ORDER BY m.merge_id DESC LIMIT 1) m ON true
  ), wrong AS (
    SELECT m.* FROM moved m LEFT JOIN unnest(u_id, u_new) AS t (id, new) ON t.id = m.told
    WHERE CASE WHEN m.new = m.id THEN m.told <> m.id ELSE m.told = m.id OR t.new IS DISTINCT FROM m.new END
  ), size AS MATERIALIZED (
    SELECT r.root, count(*)::integer AS n FROM unnest(c_root) AS r (root) GROUP BY r.root
  ), undone AS (
    UPDATE cdp_data.merge_log l SET undone_by = write_parents.operation_id
    -- Who goes on under another customer is still merged with part of what the merge joined.
    FROM wrong w WHERE l.merge_id = w.merge_id AND w.holds AND w.new = w.id
  )
  INSERT INTO cdp_data.merge_log (operation_id, kind, customer_id, from_id, to_id, link_id, cause, source_id, load_id, note, winner_size, loser_size)
  SELECT write_parents.operation_id, CASE WHEN w.told = w.id THEN 'merge' ELSE 'split' END, w.id, w.told, w.new, v.link_id,
    write_parents.cause, write_parents.source_id, write_parents.load_id, write_parents.note,
    CASE WHEN w.told = w.id THEN coalesce(a.n, 0) END, CASE WHEN w.told = w.id THEN coalesce(b.n, 0) END
  FROM wrong w LEFT JOIN size a ON a.root = w.new LEFT JOIN size b ON b.root = w.id
    LEFT JOIN unnest(via_roots, via_links) AS v (root, link_id) ON v.root = w.id
  ORDER BY w.id;
  -- Roots are written even where they stay: what they hold has changed, and a caller on an older snapshot must notice.
  UPDATE cdp_data.customer c SET parent_id = u.new
  FROM unnest(u_id, u_new) AS u (id, new)
  WHERE c.customer_id = u.id
    AND (u.new = u.id OR c.parent_id = u.id
      OR NOT EXISTS (SELECT FROM unnest(u_id, u_new) AS p (id, new) WHERE p.id = c.parent_id AND p.new = u.new));
END
$$;
COMMENT ON FUNCTION cdp_internal.write_parents(bigint[], bigint[], bigint[], bigint, text, text, integer, bigint, bigint[], bigint[]) IS
'Writes the parents of cdp_internal.apply_partition() where they do not lead to the new root, and the ledger where it would not.';

CREATE OR REPLACE FUNCTION cdp_internal.write_overrides(
  c_id bigint[], c_part bigint[], c_home bigint[], c_override bigint[], h_part bigint[], h_id bigint[], u_id bigint[], u_new bigint[],
  operation_id bigint, cause text, note text, source_id integer, load_id bigint)
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  told bigint[];
BEGIN
  WITH wanted AS MATERIALIZED (
    SELECT c.id, c.home, c.override, h.id AS customer,
      n.new IS DISTINCT FROM h.id AS apart, o.new IS NOT DISTINCT FROM h.id AS right_now,
      -- A customer that is nobody's home is known by its overrides only: without them its number would not come back.
      c.override IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.customer_id = c.override) AS anchors
    FROM unnest(c_id, c_part, c_home, c_override) AS c (id, part, home, override)
      JOIN unnest(h_part, h_id) AS h (part, id) ON h.part = c.part
      LEFT JOIN unnest(u_id, u_new) AS n (id, new) ON n.id = c.home
      LEFT JOIN unnest(u_id, u_new) AS o (id, new) ON o.id = c.override
  ), moved AS (
    SELECT w.* FROM wanted w
    WHERE CASE WHEN w.override IS NULL THEN w.apart ELSE NOT w.right_now OR NOT w.apart AND NOT w.anchors END
  ), put AS (
    INSERT INTO cdp_data.identifier_override AS o (identifier_id, customer_id) SELECT m.id, m.customer FROM moved m WHERE m.apart ORDER BY m.id
    ON CONFLICT (identifier_id) DO UPDATE SET customer_id = excluded.customer_id
  ), gone AS (
    DELETE FROM cdp_data.identifier_override o USING moved m WHERE o.identifier_id = m.id AND NOT m.apart
  ), logged AS (
    INSERT INTO cdp_data.merge_log (operation_id, kind, customer_id, identifier_id, from_id, to_id, cause, source_id, load_id, note)
    SELECT write_overrides.operation_id, CASE WHEN m.apart THEN 'move' ELSE 'attach' END, m.home, m.id, coalesce(m.override, m.home),
      CASE WHEN m.apart THEN m.customer ELSE m.home END, write_overrides.cause, write_overrides.source_id,
      write_overrides.load_id, write_overrides.note
    FROM moved m ORDER BY m.id
  )
  SELECT array_agg(DISTINCT v.id) INTO told FROM moved m, LATERAL (VALUES (m.home), (m.override), (m.customer)) AS v (id) WHERE v.id IS NOT NULL;
  RETURN told;
END
$$;
COMMENT ON FUNCTION cdp_internal.write_overrides(bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint, text, text, integer, bigint) IS
'Writes the overrides of cdp_internal.apply_partition(): one where the home does not lead to the customer of the part, none elsewhere, but for overrides to a customer that is nobody''s home and goes to that part itself: they stay. Returns the customers concerned, NULL when nothing moved.';

CREATE OR REPLACE FUNCTION cdp_internal.recompute(roots bigint[], cause text, note text DEFAULT NULL, retry_rejected boolean DEFAULT false)
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  held bigint[] := cdp_internal.lock_customers('{}', retry_rejected, roots);
  ours bigint[] := ARRAY(SELECT DISTINCT r.root_id FROM cdp_internal.roots_of(roots) r ORDER BY 1);
  rule record;
  m_id bigint[]; m_type smallint[]; m_seen timestamptz[]; m_out boolean[];
  answer record;
  done record;
BEGIN
  SELECT * INTO rule FROM cdp_internal.resolve_rules();
  SELECT array_agg(m.identifier_id), array_agg(m.type_id), array_agg(m.first_seen), array_agg(m.quarantined)
  INTO m_id, m_type, m_seen, m_out FROM cdp_internal.members_of(ours) m;
  IF m_id IS NULL THEN
    RETURN ours;
  END IF;
  SELECT (x.r).ids, (x.r).parts, (x.r).link_ids, (x.r).verdicts, (x.r).blockers INTO answer
  FROM (
    SELECT cdp_internal.resolve(cdp_internal.facts_only(rule.rules), s.what, s.id, s.other, s.ref, s.type_id, s.weight, s.at) AS r
    FROM (
      SELECT CASE WHEN n.quarantined THEN 'q' ELSE 'n' END::"char" AS what, i.identifier_id AS id,
        row_number() OVER (ORDER BY i.type_id, i.value) AS other, NULL::bigint AS ref, i.type_id, NULL::double precision AS weight, i.first_seen AS at
      FROM unnest(m_id, m_out) AS n (id, quarantined) JOIN cdp_data.identifier i ON i.identifier_id = n.id
      UNION ALL
      SELECT left(l.kind, 1)::"char", l.a_id, l.b_id, l.link_id, NULL::smallint, l.weight, l.first_seen
      FROM unnest(m_id) AS n (id) JOIN cdp_data.link l ON l.a_id = n.id AND l.state = 'active'
      WHERE l.b_id = ANY (m_id)
    ) s OFFSET 0) x;
  UPDATE cdp_data.link l
  SET state = 'rejected', reason = CASE v.verdict WHEN -1 THEN 'cannot' ELSE 'super-node' END, blocker = nullif(v.blocker, 0), changed_at = clock_timestamp()
  FROM unnest(answer.link_ids, answer.verdicts, answer.blockers) AS v (link_id, verdict, blocker)
  WHERE l.link_id = v.link_id AND v.verdict < 0;
  SELECT * INTO done FROM cdp_internal.apply_partition(answer.ids, answer.parts, cause, note);
  IF retry_rejected THEN
    PERFORM cdp_internal.resolve_links(ARRAY(SELECT l.link_id FROM cdp_internal.links_to_retry(m_id) l), cause);
  END IF;
  RETURN ARRAY(
    SELECT DISTINCT r.root_id
    FROM cdp_internal.roots_of(ARRAY(
      SELECT coalesce(o.customer_id, i.customer_id)
      FROM unnest(m_id) AS n (id) JOIN cdp_data.identifier i ON i.identifier_id = n.id
        LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id)) r ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.recompute(bigint[], text, text, boolean) IS
'Brings the customers of these roots to what their active links say: after links were revoked, a cannot link came, or an identifier was quarantined. Links that a cannot link or a quarantine stops become rejected, weakest in canonical order; limits are not looked at, for what was within the limits when it was made stays until a rebuild. retry_rejected: then links of theirs that a limit, the size or a cannot link had stopped are tried once more under all rules. cause and note go to the ledger. Takes the locks itself; call cdp_internal.lock_customers(..., far => retry_rejected) before writing, so that they come in order. Returns the customers that their identifiers are now.';

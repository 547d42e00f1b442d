-- Identity room, the graph: taking customers apart again, and who was who at an earlier time.
-- Both stand on the ledger: cdp_data.merge_log tells every change of a pointer in the order in which it was made.

CREATE OR REPLACE FUNCTION cdp_internal.customers_before(root bigint, merge_id bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE under (id) AS (
    SELECT root
    UNION
    SELECT c.customer_id
    FROM under u CROSS JOIN LATERAL (
      SELECT m.customer_id FROM cdp_data.merge_log m
      WHERE m.to_id = u.id AND m.customer_id <> u.id AND m.kind IN ('merge', 'split') AND m.merge_id < customers_before.merge_id
        AND NOT EXISTS (SELECT FROM cdp_data.merge_log n WHERE n.customer_id = m.customer_id AND n.kind IN ('merge', 'split')
                        AND n.merge_id > m.merge_id AND n.merge_id < customers_before.merge_id)
      OFFSET 0) c
  )
  SELECT u.id FROM under u;
END
$$;
COMMENT ON FUNCTION cdp_internal.customers_before(bigint, bigint) IS
'A customer and all that stood under it just before a line of the ledger was written.';

CREATE OR REPLACE FUNCTION cdp_internal.members_before(root bigint, merge_id bigint, at timestamptz) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  under bigint[] := ARRAY(SELECT c FROM cdp_internal.customers_before(root, merge_id) c);
BEGIN
  RETURN QUERY
  SELECT i.identifier_id
  FROM (
    SELECT h.identifier_id, h.customer_id FROM unnest(under) AS u (id) JOIN cdp_data.identifier h ON h.customer_id = u.id
    UNION
    SELECT h.identifier_id, h.customer_id
    FROM unnest(under) AS u (id) JOIN cdp_data.merge_log m ON m.to_id = u.id AND m.kind = 'move' AND m.merge_id < members_before.merge_id
      JOIN cdp_data.identifier h ON h.identifier_id = m.identifier_id) i
    LEFT JOIN LATERAL (
      SELECT m.to_id FROM cdp_data.merge_log m
      WHERE m.identifier_id = i.identifier_id AND m.kind IN ('move', 'attach') AND m.merge_id < members_before.merge_id
      ORDER BY m.merge_id DESC LIMIT 1) o ON true
  WHERE coalesce(o.to_id, i.customer_id) = ANY (under)
    -- The table does not tell when an identifier came. Who was there before had a link by then, or was all that its customer had.
    AND (NOT EXISTS (SELECT FROM cdp_data.identifier h WHERE h.customer_id = i.customer_id AND h.identifier_id < i.identifier_id)
      OR EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = i.identifier_id AND l.made_at < members_before.at)
      OR EXISTS (SELECT FROM cdp_data.link l WHERE l.b_id = i.identifier_id AND l.made_at < members_before.at));
END
$$;
COMMENT ON FUNCTION cdp_internal.members_before(bigint, bigint, timestamptz) IS
'The identifiers that belonged to a customer just before a line of the ledger was written, at being its time: without those that came later, wherever these found their home.';

CREATE OR REPLACE FUNCTION cdp_internal.unmerge_in(links bigint[], a_ids bigint[], b_ids bigint[], reason text) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  roots bigint[] := ARRAY(SELECT DISTINCT cdp_internal.identifier_root(x) FROM unnest(a_ids || b_ids) x ORDER BY 1);
BEGIN
  UPDATE cdp_data.link l SET state = 'revoked', reason = 'unmerge', blocker = NULL, changed_at = clock_timestamp()
  WHERE l.link_id = ANY (links) AND l.state = 'active' AND l.kind <> 'cannot';
  PERFORM cdp_internal.forbid_in(a_ids, b_ids, reason);
  RETURN cdp_internal.recompute(roots, 'unmerge', reason);
END
$$;
COMMENT ON FUNCTION cdp_internal.unmerge_in(bigint[], bigint[], bigint[], text) IS
'Revokes links, forbids the pairs, and brings the customers of the pairs to what is left. Returns the customers that came out. The caller holds the locks of the roots.';

CREATE OR REPLACE FUNCTION cdp_internal.unmerge_merges(merges bigint[], reason text) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  m record;
  a bigint[];
  b bigint[];
  at timestamptz;
  side_merge bigint[] := '{}';
  side_id bigint[] := '{}';
  side_left boolean[] := '{}';
  pairs_a bigint[] := '{}';
  pairs_b bigint[] := '{}';
  links bigint[];
  out_of bigint[];
  operation bigint;
BEGIN
  FOR m IN SELECT l.merge_id, l.customer_id, l.to_id, l.at, d.started_at
    FROM cdp_data.merge_log l LEFT JOIN cdp_data.load d ON d.load_id = l.load_id AND d.kind <> 'calls'
    WHERE l.merge_id = ANY (merges) ORDER BY l.merge_id DESC
  LOOP
    -- The links of a load were made in the transaction of its merges, so those do not count as earlier.
    at := least(m.at, m.started_at);
    a := ARRAY(SELECT x FROM cdp_internal.members_before(m.customer_id, m.merge_id, at) x);
    b := ARRAY(SELECT x FROM cdp_internal.members_before(m.to_id, m.merge_id, at) x);
    side_merge := side_merge || array_fill(m.merge_id, ARRAY[cardinality(a) + cardinality(b)]);
    side_id := side_id || a || b;
    side_left := side_left || array_fill(true, ARRAY[cardinality(a)]) || array_fill(false, ARRAY[cardinality(b)]);
    -- The strongest of each side stand for it, so that whoever came later cannot hold both together.
    IF a <> '{}' AND b <> '{}' THEN
      pairs_a := pairs_a || cdp_internal.strongest(a);
      pairs_b := pairs_b || cdp_internal.strongest(b);
    END IF;
  END LOOP;
  IF side_id = '{}' THEN
    RETURN '{}';
  END IF;
  PERFORM cdp_internal.lock_customers(ARRAY(SELECT DISTINCT x FROM unnest(side_id) x));
  SELECT coalesce(array_agg(DISTINCT l.link_id), '{}'), pairs_a || coalesce(array_agg(l.a_id), '{}'), pairs_b || coalesce(array_agg(l.b_id), '{}')
  INTO links, pairs_a, pairs_b
  FROM unnest(side_merge, side_id, side_left) AS x (merge_id, id, side)
    JOIN cdp_data.link l ON l.a_id = x.id AND l.state = 'active' AND l.kind <> 'cannot'
    JOIN unnest(side_merge, side_id, side_left) AS y (merge_id, id, side) ON y.merge_id = x.merge_id AND y.id = l.b_id AND y.side <> x.side;
  out_of := cdp_internal.unmerge_in(links, pairs_a, pairs_b, reason);
  operation := (SELECT max(l.operation_id) FROM cdp_data.merge_log l
    WHERE l.customer_id = ANY (SELECT n.customer_id FROM cdp_data.merge_log n WHERE n.merge_id = ANY (merges)) AND l.cause = 'unmerge' AND l.xid = pg_current_xact_id());
  UPDATE cdp_data.merge_log l SET undone_by = coalesce(operation, nextval('cdp_data.identity_operation_seq'))
  WHERE l.merge_id = ANY (merges) AND l.undone_by IS NULL;
  RETURN out_of;
END
$$;
COMMENT ON FUNCTION cdp_internal.unmerge_merges(bigint[], text) IS
'Takes merges of the ledger back: what belonged to the loser and what belonged to the winner before each are parted, every link between the two sides is revoked and forbidden, and who came later stays where its links hold it. Returns the customers that came out.';

CREATE OR REPLACE FUNCTION cdp_internal.strongest(ids bigint[]) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT i.identifier_id
    FROM unnest(ids) AS u (id) JOIN cdp_data.identifier i ON i.identifier_id = u.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
    ORDER BY i.state = 'quarantined', t.role = 'attach_only', t.priority, i.identifier_id LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.strongest(bigint[]) IS
'The identifier that stands best for its customer: able to merge, of the strongest type, the earliest. NULL for none.';

CREATE OR REPLACE FUNCTION cdp.unmerge(
  link bigint DEFAULT NULL, identifier bigint DEFAULT NULL, merge bigint DEFAULT NULL, customer bigint DEFAULT NULL,
  since timestamptz DEFAULT NULL, reason text DEFAULT NULL)
RETURNS TABLE (customer_id bigint, identifiers bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  l record;
  m record;
  others bigint[];
  links bigint[];
  out_of bigint[] := '{}';
BEGIN
  PERFORM cdp_internal.require_setup();
  IF num_nonnulls(link, identifier, merge, customer) <> 1 OR (customer IS NULL) <> (since IS NULL) THEN
    RAISE EXCEPTION 'tell one thing to take back'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('%s of link, identifier, merge and customer are given.', num_nonnulls(link, identifier, merge, customer)),
        HINT = 'unmerge(link => 1), unmerge(identifier => 1), unmerge(merge => 1), or unmerge(customer => 1, since => ''2026-01-01'').';
  END IF;
  LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE;
  PERFORM cdp_data.audit_write('unmerge', CASE WHEN link IS NOT NULL THEN format('link %s', link) WHEN identifier IS NOT NULL THEN format('identifier %s', identifier)
    WHEN merge IS NOT NULL THEN format('merge %s', merge) ELSE format('customer %s since %s', customer, since) END, customer);
  IF link IS NOT NULL THEN
    SELECT x.a_id, x.b_id, x.kind INTO l FROM cdp_data.link x WHERE x.link_id = unmerge.link;
    IF NOT FOUND OR l.kind = 'cannot' THEN
      RAISE EXCEPTION 'there is no link % that holds identifiers together', link
        USING ERRCODE = 'invalid_parameter_value', HINT = 'A cannot link is lifted with cdp.allow_link().';
    END IF;
    PERFORM cdp_internal.lock_customers(ARRAY[l.a_id, l.b_id]);
    IF NOT EXISTS (SELECT FROM cdp_data.link x WHERE x.link_id = unmerge.link AND x.state = 'active') THEN
      RAISE EXCEPTION 'link % holds nothing together', link
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Its state is %s.', (SELECT x.state FROM cdp_data.link x WHERE x.link_id = unmerge.link));
    END IF;
    out_of := cdp_internal.unmerge_in(ARRAY[link], ARRAY[l.a_id], ARRAY[l.b_id], reason);
  ELSIF identifier IS NOT NULL THEN
    PERFORM cdp_internal.require_identifiers(ARRAY[identifier]);
    PERFORM cdp_internal.lock_customers(ARRAY[identifier]);
    SELECT array_agg(x.link_id), array_agg(x.other) INTO links, others
    FROM (
      SELECT y.link_id, y.b_id AS other FROM cdp_data.link y WHERE y.a_id = unmerge.identifier AND y.state = 'active' AND y.kind <> 'cannot'
      UNION ALL
      SELECT y.link_id, y.a_id FROM cdp_data.link y WHERE y.b_id = unmerge.identifier AND y.state = 'active' AND y.kind <> 'cannot') x;
    IF links IS NULL THEN
      RAISE EXCEPTION 'identifier % is alone already', identifier
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'No active link holds it.';
    END IF;
    out_of := cdp_internal.unmerge_in(links, array_fill(identifier, ARRAY[cardinality(others)]), others, reason);
  ELSIF merge IS NOT NULL THEN
    SELECT x.kind, x.undone_by INTO m FROM cdp_data.merge_log x WHERE x.merge_id = unmerge.merge;
    IF NOT FOUND OR m.kind <> 'merge' THEN
      RAISE EXCEPTION 'line % of the ledger is no merge', merge
        USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM cdp.customer_merges(customer); shows the merges of a customer.';
    ELSIF m.undone_by IS NOT NULL THEN
      RAISE EXCEPTION 'merge % was taken back already', merge
        USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('By operation %s.', m.undone_by);
    END IF;
    out_of := cdp_internal.unmerge_merges(ARRAY[merge], reason);
  ELSE
    IF NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = unmerge.customer) THEN
      RAISE EXCEPTION 'there is no customer %', customer USING ERRCODE = 'invalid_parameter_value';
    END IF;
    out_of := cdp_internal.unmerge_merges(ARRAY(
      SELECT x.merge_id
      FROM cdp_internal.customers_under(cdp_internal.root_of(unmerge.customer)) u JOIN cdp_data.merge_log x ON x.to_id = u
      WHERE x.kind = 'merge' AND x.undone_by IS NULL AND x.at >= unmerge.since), reason);
  END IF;
  RETURN QUERY
  SELECT r, (SELECT count(*) FROM cdp_internal.members(r)) FROM unnest(out_of) r ORDER BY r;
END
$$;
COMMENT ON FUNCTION cdp.unmerge(bigint, bigint, bigint, bigint, timestamptz, text) IS
'Takes customers apart. One of: link (its two ends are not one person), identifier (it belongs to nobody of its customer), merge (a line of the ledger: what was the loser and what was the winner part again), customer with since (all merges into it from that time on). A customer that had been merged gets its number back; records move along without being rewritten. The links concerned are revoked and cannot links written, so that neither the same records coming again nor a rebuild undo it; cdp.allow_link() lifts them. Returns the customers that came out with the number of their identifiers. reason goes to the ledger. Errors: 22023 not exactly one thing told, or an unknown one, 55000 nothing left to take back there, or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.customer_asof(customer bigint DEFAULT NULL, at timestamptz DEFAULT now(), identifier bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  here bigint := customer;
  above bigint;
  steps integer := 0;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF num_nonnulls(customer, identifier) <> 1 OR at IS NULL THEN
    RAISE EXCEPTION 'tell a customer or an identifier, and a time'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'customer_asof(1, ''2026-01-01''), or customer_asof(identifier => 1, at => ''2026-01-01'').';
  END IF;
  IF identifier IS NOT NULL THEN
    here := coalesce(
      (SELECT m.to_id FROM cdp_data.merge_log m
       WHERE m.identifier_id = customer_asof.identifier AND m.kind IN ('move', 'attach') AND m.at <= customer_asof.at ORDER BY m.merge_id DESC LIMIT 1),
      (SELECT i.customer_id FROM cdp_data.identifier i WHERE i.identifier_id = customer_asof.identifier));
  END IF;
  IF NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = here AND c.created_at <= customer_asof.at) THEN
    RETURN NULL;
  END IF;
  LOOP
    SELECT m.to_id INTO above FROM cdp_data.merge_log m
    WHERE m.customer_id = here AND m.kind IN ('merge', 'split') AND m.at <= customer_asof.at ORDER BY m.merge_id DESC LIMIT 1;
    IF above IS NULL OR above = here THEN
      RETURN here;
    END IF;
    here := above;
    steps := steps + 1;
    IF steps > 100000 THEN
      RAISE EXCEPTION 'the ledger of merges runs in a circle' USING ERRCODE = 'data_corrupted', DETAIL = format('At customer %s.', here);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp.customer_asof(bigint, timestamptz, bigint) IS
'The customer to whom a customer, or an identifier (identifier_id), belonged at a time, from the ledger of merges. What loads and corrections of later days brought about belonged to nobody then: NULL when the customer was not there yet. Errors: 22023 not exactly one told, or no time, 55000 before cdp.setup().';

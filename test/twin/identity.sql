-- What must hold in any state of the identity graph, asked of the tables in plain SQL and by a union-find of a few lines.
-- Makes schema twin. twin.faults() is empty when all is well; the tests of identity call it at quiet points. Loads that go
-- and come back change when identifiers were first seen and how many neighbours they have: until the next record or
-- rebuild some may be beyond a limit over time or their number of neighbours. Not settled, these two are not asked.
CREATE SCHEMA twin;

-- Every customer's root by its parents; NULL when they end at no row or run in a circle.
CREATE FUNCTION twin.customer_root() RETURNS TABLE (customer_id bigint, root bigint) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE walk (customer_id, at) AS (
    SELECT c.customer_id, c.parent_id FROM cdp_data.customer c
    UNION
    SELECT w.customer_id, c.parent_id FROM walk w JOIN cdp_data.customer c ON c.customer_id = w.at
  )
  SELECT c.customer_id, max(r.customer_id)
  FROM cdp_data.customer c LEFT JOIN walk w USING (customer_id) LEFT JOIN cdp_data.customer r ON r.customer_id = w.at AND r.parent_id = r.customer_id
  GROUP BY c.customer_id
$$;

-- Every identifier's root: by its override, else its home.
CREATE FUNCTION twin.place() RETURNS TABLE (identifier_id bigint, type_id smallint, home_id bigint, root bigint) LANGUAGE sql STABLE AS $$
  SELECT i.identifier_id, i.type_id, i.customer_id, r.root
  FROM cdp_data.identifier i LEFT JOIN cdp_data.identifier_override o USING (identifier_id)
    LEFT JOIN twin.customer_root() r ON r.customer_id = coalesce(o.customer_id, i.customer_id)
$$;

-- Union-find: the lowest number of the component of each node. Nodes are 1 .. n.
CREATE FUNCTION twin.union_find(n integer, a integer[], b integer[]) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  up integer[] := ARRAY(SELECT generate_series(1, n));
  x integer;
  y integer;
BEGIN
  FOR i IN 1 .. coalesce(cardinality(a), 0) LOOP
    x := a[i];
    WHILE up[x] <> x LOOP up[x] := up[up[x]]; x := up[x]; END LOOP;
    y := b[i];
    WHILE up[y] <> y LOOP up[y] := up[up[y]]; y := up[y]; END LOOP;
    up[greatest(x, y)] := least(x, y);
  END LOOP;
  FOR i IN 1 .. n LOOP
    up[i] := up[up[i]];
  END LOOP;
  RETURN up;
END
$$;

-- Every identifier's component over the links in force: its lowest identifier_id.
CREATE FUNCTION twin.part() RETURNS TABLE (identifier_id bigint, part bigint) LANGUAGE sql STABLE AS $$
  WITH node AS MATERIALIZED (
    SELECT i.identifier_id, row_number() OVER (ORDER BY i.identifier_id)::integer AS n FROM cdp_data.identifier i
  ), edge AS MATERIALIZED (
    SELECT a.n AS a, b.n AS b FROM cdp_data.link l JOIN node a ON a.identifier_id = l.a_id JOIN node b ON b.identifier_id = l.b_id
    WHERE l.state = 'active' AND l.kind <> 'cannot'
  ), found AS (
    SELECT u.low, u.nth
    FROM unnest(twin.union_find((SELECT count(*)::integer FROM node), (SELECT array_agg(e.a ORDER BY e.a, e.b) FROM edge e),
      (SELECT array_agg(e.b ORDER BY e.a, e.b) FROM edge e))) WITH ORDINALITY AS u (low, nth)
  )
  SELECT x.identifier_id, y.identifier_id FROM found f JOIN node x ON x.n = f.nth JOIN node y ON y.n = f.low
$$;

-- The roots that the ledger tells, by its last word on each customer and on each identifier.
CREATE FUNCTION twin.replayed() RETURNS TABLE (identifier_id bigint, root bigint) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE pointer AS MATERIALIZED (
    SELECT c.customer_id, coalesce(m.to_id, c.customer_id) AS at
    FROM cdp_data.customer c LEFT JOIN (
      SELECT DISTINCT ON (x.customer_id) x.customer_id, x.to_id FROM cdp_data.merge_log x
      WHERE x.kind IN ('merge', 'split') ORDER BY x.customer_id, x.merge_id DESC) m USING (customer_id)
  ), walk (customer_id, at) AS (
    SELECT p.customer_id, p.at FROM pointer p
    UNION
    SELECT w.customer_id, p.at FROM walk w JOIN pointer p ON p.customer_id = w.at
  ), top AS (
    SELECT w.customer_id, max(w.at) AS root FROM walk w JOIN pointer p ON p.customer_id = w.at AND p.at = w.at GROUP BY w.customer_id
  )
  SELECT i.identifier_id, t.root
  FROM cdp_data.identifier i
    LEFT JOIN (
      SELECT DISTINCT ON (x.identifier_id) x.identifier_id, x.to_id FROM cdp_data.merge_log x
      WHERE x.kind IN ('move', 'attach') ORDER BY x.identifier_id, x.merge_id DESC) m USING (identifier_id)
    LEFT JOIN top t ON t.customer_id = coalesce(m.to_id, i.customer_id)
$$;

-- Links that a load in force shows: by its own records, or by bringing again what a record of another load said.
CREATE FUNCTION twin.shown() RETURNS TABLE (link_id bigint) LANGUAGE sql STABLE AS $$
  SELECT s.link_id FROM cdp_data.link_support s JOIN cdp_data.load d USING (load_id) WHERE d.state = 'done'
  UNION
  SELECT s.link_id
  FROM cdp_data.load d JOIN cdp_data.repetition r ON d.load_id = ANY (r.loads) JOIN cdp_data.record_version w USING (repetition_id)
    JOIN cdp_data.link_support s ON s.version_id = w.version_id AND s.version_id <> 0
  WHERE d.state = 'done'
$$;

CREATE FUNCTION twin.faults(settled boolean DEFAULT true) RETURNS TABLE (fault text, detail text) LANGUAGE plpgsql SET jit = off SET client_min_messages = warning AS $$
BEGIN
  DROP TABLE IF EXISTS pg_temp.twin_place;
  CREATE TEMP TABLE twin_place AS
  SELECT p.*, c.part, i.first_seen, i.state FROM twin.place() p JOIN twin.part() c USING (identifier_id) JOIN cdp_data.identifier i USING (identifier_id);
  CREATE INDEX ON pg_temp.twin_place (identifier_id);
  ANALYZE pg_temp.twin_place;
  RETURN QUERY
  -- Nothing points at nothing, and no parents run in a circle.
  SELECT 'dangling', format('%s %s', v.what, v.id) FROM (
    SELECT 'parent of customer', c.customer_id FROM cdp_data.customer c WHERE NOT EXISTS (SELECT FROM cdp_data.customer p WHERE p.customer_id = c.parent_id)
    UNION ALL SELECT 'circle over customer', r.customer_id FROM twin.customer_root() r WHERE r.root IS NULL
    UNION ALL SELECT 'identifier', p.identifier_id FROM twin_place p WHERE p.root IS NULL
    UNION ALL SELECT 'home of identifier', p.identifier_id FROM twin_place p WHERE NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = p.home_id)
    UNION ALL SELECT 'override of identifier', o.identifier_id FROM cdp_data.identifier_override o
      WHERE NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = o.customer_id) OR NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = o.identifier_id)
    UNION ALL SELECT 'end of link', l.link_id FROM cdp_data.link l
      WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = l.a_id) OR NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = l.b_id)
    UNION ALL SELECT 'support of link', s.link_id FROM cdp_data.link_support s
      WHERE NOT EXISTS (SELECT FROM cdp_data.link l WHERE l.link_id = s.link_id) OR NOT EXISTS (SELECT FROM cdp_data.load l WHERE l.load_id = s.load_id)) v (what, id)
  -- A customer is a component.
  UNION ALL
  SELECT 'lost merge', format('link %s between customers %s and %s', l.link_id, a.root, b.root)
  FROM cdp_data.link l JOIN twin_place a ON a.identifier_id = l.a_id JOIN twin_place b ON b.identifier_id = l.b_id
  WHERE l.state = 'active' AND l.kind <> 'cannot' AND a.root <> b.root
  UNION ALL
  SELECT 'false merge', format('customer %s holds %s components', p.root, count(DISTINCT p.part)) FROM twin_place p GROUP BY p.root HAVING count(DISTINCT p.part) > 1
  -- Rules.
  UNION ALL
  SELECT 'cannot', format('link %s inside customer %s', l.link_id, a.root)
  FROM cdp_data.link l JOIN twin_place a ON a.identifier_id = l.a_id JOIN twin_place b ON b.identifier_id = l.b_id AND b.root = a.root
  WHERE l.state = 'active' AND l.kind = 'cannot'
  UNION ALL
  SELECT 'limit', format('customer %s has %s of %s', p.root, count(*), t.name)
  FROM twin_place p JOIN cdp_data.identifier_type_all t USING (type_id)
  WHERE t.limit_window IS NULL GROUP BY p.root, t.name, t.max_per_customer HAVING count(*) > t.max_per_customer
  UNION ALL
  SELECT 'window', format('customer %s has %s of %s since identifier %s', p.root, count(*), t.name, p.identifier_id)
  FROM twin_place p JOIN cdp_data.identifier_type_all t USING (type_id)
    JOIN twin_place q ON q.root = p.root AND q.type_id = p.type_id AND q.first_seen >= p.first_seen AND q.first_seen < p.first_seen + t.limit_window
  WHERE settled
  GROUP BY p.root, p.identifier_id, t.name, t.max_per_customer HAVING count(*) > t.max_per_customer
  UNION ALL
  SELECT 'size', format('customer %s has %s', p.root, count(*)) FROM twin_place p GROUP BY p.root
  HAVING count(*) > (SELECT max_identifiers_per_customer FROM cdp_data.setting)
  UNION ALL
  SELECT 'pair limit', format('identifier %s has %s of type %s', x.identifier_id, count(DISTINCT y.identifier_id), m.other_type_id)
  FROM cdp_data.identifier_pair_limit m JOIN twin_place x ON x.type_id = m.type_id
    JOIN cdp_data.link l ON x.identifier_id IN (l.a_id, l.b_id) AND l.state = 'active' AND l.kind <> 'cannot'
    JOIN twin_place y ON y.identifier_id = l.a_id + l.b_id - x.identifier_id AND y.type_id = m.other_type_id
  GROUP BY x.identifier_id, m.other_type_id, m.max_n HAVING count(DISTINCT y.identifier_id) > m.max_n
  UNION ALL
  SELECT 'quarantined', format('identifier %s has link %s', p.identifier_id, l.link_id)
  FROM twin_place p JOIN cdp_data.link l ON p.identifier_id IN (l.a_id, l.b_id) WHERE p.state = 'quarantined' AND l.state = 'active' AND l.kind <> 'cannot'
  UNION ALL
  SELECT 'super-node', format('identifier %s has %s neighbours', p.identifier_id, count(*))
  FROM twin_place p JOIN cdp_data.identifier_type_all t USING (type_id)
    JOIN (SELECT a_id AS id FROM cdp_data.link WHERE kind = 'deterministic' AND state <> 'revoked' UNION ALL SELECT b_id FROM cdp_data.link WHERE kind = 'deterministic' AND state <> 'revoked') l
      ON l.id = p.identifier_id
  -- Whom somebody released has more until the next new neighbour.
  WHERE settled AND p.state = 'active' AND NOT EXISTS (SELECT FROM cdp_data.identity_alert a WHERE a.identifier_id = p.identifier_id AND a.resolved_at IS NOT NULL)
  GROUP BY p.identifier_id, t.supernode_degree HAVING count(*) > t.supernode_degree
  UNION ALL
  SELECT 'attach only', format('identifier %s has %s links', p.identifier_id, count(*))
  FROM twin_place p JOIN cdp_data.identifier_type_all t ON t.type_id = p.type_id AND t.role = 'attach_only'
    JOIN cdp_data.link l ON p.identifier_id IN (l.a_id, l.b_id) AND l.state = 'active' AND l.kind = 'deterministic'
  GROUP BY p.identifier_id HAVING count(*) > 1
  -- Loads.
  UNION ALL
  SELECT 'support', format('link %s is active, no load in force shows it', l.link_id) FROM cdp_data.link l
  WHERE l.kind = 'deterministic' AND l.state = 'active'
    AND NOT EXISTS (SELECT FROM twin.shown() s WHERE s.link_id = l.link_id)
  UNION ALL
  SELECT 'support', format('link %s is revoked, a load in force shows it', l.link_id) FROM cdp_data.link l
  WHERE l.kind = 'deterministic' AND l.state = 'revoked' AND l.reason = 'load reverted'
    AND EXISTS (SELECT FROM twin.shown() s WHERE s.link_id = l.link_id)
  -- The ledger tells the same story. An override may say what the home says: merges leave it.
  UNION ALL
  SELECT 'ledger', format('identifier %s is at %s, by the ledger at %s', p.identifier_id, p.root, r.root)
  FROM twin_place p JOIN twin.replayed() r USING (identifier_id) WHERE r.root IS DISTINCT FROM p.root;
END
$$;

-- Roots now, kept so that twin.feed_faults() can say later who changed.
CREATE TABLE twin.kept (identifier_id bigint PRIMARY KEY, home_id bigint, root bigint);
CREATE TABLE twin.kept_seq (seq bigint);
CREATE FUNCTION twin.keep() RETURNS void LANGUAGE sql AS $$
  TRUNCATE twin.kept, twin.kept_seq;
  INSERT INTO twin.kept SELECT identifier_id, home_id, root FROM twin.place();
  INSERT INTO twin.kept_seq SELECT coalesce(max(seq), 0) FROM cdp_data.change_feed;
$$;

-- Since twin.keep(): identifiers that changed their customer while the feed names not both the old and the new one.
CREATE FUNCTION twin.feed_faults() RETURNS TABLE (fault text, detail text) LANGUAGE sql AS $$
  WITH told AS MATERIALIZED (
    SELECT DISTINCT f.customer_id FROM cdp_data.change_feed f WHERE f.seq > (SELECT s.seq FROM twin.kept_seq s)
  )
  SELECT 'feed', format('identifier %s went from %s to %s', k.identifier_id, k.root, p.root)
  FROM twin.kept k JOIN twin.place() p USING (identifier_id)
  WHERE p.root <> k.root AND NOT EXISTS (SELECT FROM told WHERE customer_id IS NULL)
    AND NOT (k.root IN (SELECT customer_id FROM told) AND p.root IN (SELECT customer_id FROM told))
$$;

-- Faults as one text, at most ten of each kind, for the message of a failed test. Empty when all is well.
CREATE FUNCTION twin.tell(settled boolean DEFAULT true) RETURNS text LANGUAGE sql SET jit = off AS $$
  SELECT coalesce(string_agg(format('%s (%s): %s', x.fault, x.n, x.detail), E'\n' ORDER BY x.fault, x.nth), '')
  FROM (SELECT f.*, count(*) OVER (PARTITION BY f.fault) AS n, row_number() OVER (PARTITION BY f.fault ORDER BY f.detail) AS nth
    FROM (SELECT * FROM twin.faults(settled) UNION ALL SELECT * FROM twin.feed_faults()) f) x
  WHERE x.nth <= 10
$$;

-- Identity room, the graph: why somebody is one customer, as rows to read; and whether the tables keep their promise.
-- No function here shows the value of an identifier to who may not read cdp_data.identifier.

CREATE OR REPLACE FUNCTION cdp_internal.links_inside(ids bigint[])
RETURNS TABLE (link_id bigint, a_id bigint, b_id bigint, kind text, weight double precision, first_seen timestamptz, made_by text, made_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT l.link_id, l.a_id, l.b_id, l.kind COLLATE "default", l.weight, l.first_seen, l.made_by, l.made_at
  FROM unnest(ids) AS u (id) JOIN cdp_data.link l ON l.a_id = u.id
  WHERE l.state = 'active' AND l.kind <> 'cannot' AND l.b_id = ANY (ids);
END
$$;
COMMENT ON FUNCTION cdp_internal.links_inside(bigint[]) IS
'The active links between these identifiers.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_words(identifier_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT format('%s #%s', t.name, i.identifier_id)
    FROM cdp_data.identifier i JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id WHERE i.identifier_id = identifier_words.identifier_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.identifier_words(bigint) IS
'Type and number of an identifier, such as email #7, for sentences that must not show its value. NULL for an unknown one.';

CREATE OR REPLACE FUNCTION cdp_internal.link_words(link_id bigint, OUT how text, OUT source text, OUT load_id bigint, OUT event_key text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  l record;
  s record;
BEGIN
  SELECT x.kind, x.weight, x.first_seen, x.made_by, x.made_at INTO l FROM cdp_data.link x WHERE x.link_id = link_words.link_id;
  SELECT x.load_id, y.name, y.source_id, d.state INTO s
  FROM cdp_data.link_support x JOIN cdp_data.load d ON d.load_id = x.load_id JOIN cdp_data.source y ON y.source_id = d.source_id
  WHERE x.link_id = link_words.link_id ORDER BY d.state IN ('done', 'running') DESC, x.first_at, x.load_id LIMIT 1;
  source := s.name;
  load_id := s.load_id;
  IF has_column_privilege('cdp_data.link_support', 'event_key', 'SELECT') THEN
    event_key := (SELECT x.event_key FROM cdp_data.link_support x WHERE x.link_id = link_words.link_id AND x.load_id = s.load_id
      ORDER BY x.first_at, x.event_key LIMIT 1);
  END IF;
  how := CASE l.kind
    WHEN 'deterministic' THEN format('seen together in a record of %s at %s', coalesce(quote_literal(s.name), 'an unknown source'), l.first_seen AT TIME ZONE 'UTC')
    WHEN 'probabilistic' THEN format('matched with weight %s at %s', round(l.weight::numeric, 2), l.made_at AT TIME ZONE 'UTC')
    WHEN 'manual' THEN format('linked by %s at %s', quote_ident(l.made_by), date_trunc('second', l.made_at AT TIME ZONE 'UTC')) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.link_words(bigint) IS
'How a link came, as a sentence without values (times in UTC), with source, load and record of the earliest support that is in force. NULL for an unknown link; event_key is NULL for who may not read it.';

CREATE OR REPLACE FUNCTION cdp.explain_identity(customer bigint)
RETURNS TABLE (step integer, identifier_id bigint, identifier_type text, value text, state text, home_id bigint, moved boolean,
  linked_with bigint, linked_type text, link_id bigint, link_kind text, how text, source text, load_id bigint, event_key text, links bigint,
  first_seen timestamptz, last_seen timestamptz)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  root bigint;
  ids bigint[];
  seen bigint[];
  by_link bigint[];
  by_id bigint[];
  depths integer[];
  edge_a bigint[];
  edge_b bigint[];
  edge_link bigint[];
  level integer := 0;
  r record;
  shown boolean := has_column_privilege('cdp_data.identifier', 'value', 'SELECT');
BEGIN
  PERFORM cdp_internal.require_setup();
  root := cdp_internal.root_of(customer);
  IF root IS NULL THEN
    RAISE EXCEPTION 'there is no customer %', customer USING ERRCODE = 'invalid_parameter_value';
  END IF;
  ids := ARRAY(SELECT m.identifier_id FROM cdp_internal.members(root) m ORDER BY 1);
  SELECT array_agg(l.a_id), array_agg(l.b_id), array_agg(l.link_id) INTO edge_a, edge_b, edge_link FROM cdp_internal.links_inside(ids) l;
  -- From the strongest on outwards, each by the earliest made of the links that bring it at that distance.
  seen := ARRAY[cdp_internal.strongest(ids)];
  by_link := ARRAY[NULL::bigint];
  by_id := ARRAY[NULL::bigint];
  depths := ARRAY[0];
  LOOP
    SELECT array_agg(x.id ORDER BY x.id) AS ids, array_agg(x.link_id ORDER BY x.id) AS links, array_agg(x.from_id ORDER BY x.id) AS froms INTO r
    FROM (
      SELECT DISTINCT ON (e.id) e.id, e.link_id, e.from_id
      FROM (SELECT u.b AS id, u.l AS link_id, u.a AS from_id FROM unnest(edge_a, edge_b, edge_link) AS u (a, b, l)
            UNION ALL SELECT u.a, u.l, u.b FROM unnest(edge_a, edge_b, edge_link) AS u (a, b, l)) e
        JOIN unnest(seen, depths) AS f (id, depth) ON f.id = e.from_id AND f.depth = level
      WHERE NOT EXISTS (SELECT FROM unnest(seen) AS s (id) WHERE s.id = e.id)
      ORDER BY e.id, e.link_id) x;
    EXIT WHEN r.ids IS NULL;
    level := level + 1;
    seen := seen || r.ids;
    by_link := by_link || r.links;
    by_id := by_id || r.froms;
    depths := depths || array_fill(level, ARRAY[cardinality(r.ids)]);
  END LOOP;
  IF shown THEN
    PERFORM cdp_internal.audit_read('explain_identity', root);
    RETURN QUERY
    SELECT s.depth, i.identifier_id, t.name COLLATE "default", i.value COLLATE "default", i.state, i.customer_id, o.identifier_id IS NOT NULL,
      s.from_id, ft.name COLLATE "default", s.link_id, l.kind COLLATE "default",
      CASE WHEN s.id IS NULL THEN 'no active link holds it' WHEN s.link_id IS NULL THEN 'the strongest: the others are told from here' ELSE w.how END,
      w.source, w.load_id, w.event_key COLLATE "default",
      coalesce(h.n, 0), i.first_seen, i.last_seen
    FROM unnest(ids) AS u (id) JOIN cdp_data.identifier i ON i.identifier_id = u.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
      LEFT JOIN unnest(seen, depths, by_link, by_id) AS s (id, depth, link_id, from_id) ON s.id = u.id
      LEFT JOIN cdp_data.identifier f ON f.identifier_id = s.from_id LEFT JOIN cdp_data.identifier_type_all ft ON ft.type_id = f.type_id
      LEFT JOIN (SELECT e.id, count(*) AS n FROM unnest(edge_a || edge_b) AS e (id) GROUP BY e.id) h ON h.id = u.id
      LEFT JOIN cdp_data.link l ON l.link_id = s.link_id
      LEFT JOIN LATERAL cdp_internal.link_words(s.link_id) w ON s.link_id IS NOT NULL
    ORDER BY s.depth NULLS LAST, t.priority, i.identifier_id;
  ELSE
    RETURN QUERY
    SELECT s.depth, i.identifier_id, t.name COLLATE "default", NULL::text, i.state, i.customer_id, o.identifier_id IS NOT NULL,
      s.from_id, ft.name COLLATE "default", s.link_id, l.kind COLLATE "default",
      CASE WHEN s.id IS NULL THEN 'no active link holds it' WHEN s.link_id IS NULL THEN 'the strongest: the others are told from here' ELSE w.how END,
      w.source, w.load_id, NULL::text,
      coalesce(h.n, 0), i.first_seen, i.last_seen
    FROM unnest(ids) AS u (id) JOIN cdp_data.identifier i ON i.identifier_id = u.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
      LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
      LEFT JOIN unnest(seen, depths, by_link, by_id) AS s (id, depth, link_id, from_id) ON s.id = u.id
      LEFT JOIN cdp_data.identifier f ON f.identifier_id = s.from_id LEFT JOIN cdp_data.identifier_type_all ft ON ft.type_id = f.type_id
      LEFT JOIN (SELECT e.id, count(*) AS n FROM unnest(edge_a || edge_b) AS e (id) GROUP BY e.id) h ON h.id = u.id
      LEFT JOIN cdp_data.link l ON l.link_id = s.link_id
      LEFT JOIN LATERAL cdp_internal.link_words(s.link_id) w ON s.link_id IS NOT NULL
    ORDER BY s.depth NULLS LAST, t.priority, i.identifier_id;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp.explain_identity(bigint) IS
'Why a customer is one: a row for each of its identifiers, the strongest first, then outwards step by step: by which link each hangs on which other one, how that link came (a sentence, times in UTC), its source, load and record, and how many active links hold it in all. home_id is the customer that it came with, moved: an unmerge put it elsewhere. value and event_key are NULL for who may not read cdp_data.identifier.value. step and link are NULL for one that no link holds (its customer''s only one, or damage: cdp.identity_check()). Needs the right to read cdp_data.link, link_support and the other columns of identifier; without the right to values, those are NULL. A read that shows values leaves a row in cdp_data.audit. Errors: 22023 unknown customer, 25006 values asked for in a read-only transaction, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.why_same(a bigint, b bigint)
RETURNS TABLE (step integer, from_id bigint, from_type text, to_id bigint, to_type text, link_id bigint, link_kind text, how text, source text, load_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  seen bigint[] := ARRAY[a];
  by_link bigint[] := ARRAY[NULL::bigint];
  by_id bigint[] := ARRAY[NULL::bigint];
  front bigint[] := ARRAY[a];
  r record;
  here bigint;
  nth integer;
  path_link bigint[] := '{}';
  path_from bigint[] := '{}';
  path_to bigint[] := '{}';
BEGIN
  PERFORM cdp_internal.require_identifiers(ARRAY[a, b]);
  WHILE b <> ALL (front) LOOP
    SELECT array_agg(x.id) AS ids, array_agg(x.link_id) AS links, array_agg(x.from_id) AS froms INTO r
    FROM (
      SELECT DISTINCT ON (e.id) e.id, e.link_id, e.from_id
      FROM unnest(front) AS f (id) CROSS JOIN LATERAL (
        SELECT l.b_id AS id, l.link_id, f.id AS from_id FROM cdp_data.link l WHERE l.a_id = f.id AND l.state = 'active' AND l.kind <> 'cannot'
        UNION ALL
        SELECT l.a_id, l.link_id, f.id FROM cdp_data.link l WHERE l.b_id = f.id AND l.state = 'active' AND l.kind <> 'cannot') e
      WHERE NOT EXISTS (SELECT FROM unnest(seen) AS s (id) WHERE s.id = e.id)
      ORDER BY e.id, e.link_id) x;
    IF r.ids IS NULL THEN
      RETURN;
    END IF;
    front := r.ids;
    seen := seen || r.ids;
    by_link := by_link || r.links;
    by_id := by_id || r.froms;
  END LOOP;
  here := b;
  WHILE here <> a LOOP
    nth := array_position(seen, here);
    path_link := by_link[nth] || path_link;
    path_from := by_id[nth] || path_from;
    path_to := here || path_to;
    here := by_id[nth];
  END LOOP;
  RETURN QUERY
  SELECT p.n::integer, p.from_id, ft.name COLLATE "default", p.to_id, tt.name COLLATE "default", p.link_id, l.kind COLLATE "default", w.how, w.source, w.load_id
  FROM unnest(path_link, path_from, path_to) WITH ORDINALITY AS p (link_id, from_id, to_id, n)
    JOIN cdp_data.link l ON l.link_id = p.link_id
    JOIN cdp_data.identifier f ON f.identifier_id = p.from_id JOIN cdp_data.identifier_type_all ft ON ft.type_id = f.type_id
    JOIN cdp_data.identifier t ON t.identifier_id = p.to_id JOIN cdp_data.identifier_type_all tt ON tt.type_id = t.type_id
    CROSS JOIN LATERAL cdp_internal.link_words(p.link_id) w
  ORDER BY p.n;
END
$$;
COMMENT ON FUNCTION cdp.why_same(bigint, bigint) IS
'Why two identifiers (identifier_id) are one customer: the shortest way from a to b over active links, a row a link, with how it came. Of several ways of that length, the one by the links with the lowest numbers. No row when they are not one customer. Errors: 22023 unknown identifier, or twice the same, 22004 NULL, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.customer_merges(customer bigint)
RETURNS TABLE (merge_id bigint, operation_id bigint, at timestamptz, kind text, customer_id bigint, identifier_id bigint, from_id bigint, to_id bigint,
  link_id bigint, cause text, actor text, source text, load_id bigint, note text, winner_size integer, loser_size integer, undone_by bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- Notes are free text of whoever merged.
  sees_notes boolean := has_column_privilege('cdp_data.merge_log', 'note', 'SELECT');
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.customer_id = customer) THEN
    RAISE EXCEPTION 'there is no customer %', customer USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF sees_notes THEN
    PERFORM cdp_internal.audit_read('customer_merges', cdp_internal.root_of(customer));
  END IF;
  RETURN QUERY EXECUTE format('
  WITH under AS MATERIALIZED (SELECT u AS id FROM cdp_internal.customers_under(cdp_internal.root_of($1)) u)
  SELECT m.merge_id, m.operation_id, m.at, m.kind COLLATE "default", m.customer_id, m.identifier_id, m.from_id, m.to_id,
    m.link_id, m.cause COLLATE "default", m.actor, s.name COLLATE "default", m.load_id, %s, m.winner_size, m.loser_size, m.undone_by
  FROM cdp_data.merge_log m LEFT JOIN cdp_data.source s ON s.source_id = m.source_id
  WHERE m.merge_id IN (
    SELECT x.merge_id FROM under u JOIN cdp_data.merge_log x ON x.customer_id = u.id
    UNION SELECT x.merge_id FROM under u JOIN cdp_data.merge_log x ON x.to_id = u.id
    UNION SELECT x.merge_id FROM under u JOIN cdp_data.identifier i ON i.customer_id = u.id JOIN cdp_data.merge_log x ON x.identifier_id = i.identifier_id)
  ORDER BY m.merge_id', CASE WHEN sees_notes THEN 'm.note' ELSE 'NULL::text' END) USING customer;
END
$$;
COMMENT ON FUNCTION cdp.customer_merges(bigint) IS
'The lines of the ledger about a customer, all that were merged into it and their identifiers, in the order in which they were written. Columns as in cdp_data.merge_log. cdp.unmerge(merge => merge_id) takes one of kind merge back. note is NULL for who may not read it (admin); shown, the read leaves a row in cdp_data.audit; cdp_bi.merge_history is without notes. Errors: 22023 unknown customer, 25006 in a read-only transaction, 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.identity_check()
RETURNS TABLE (violation text, customer_id bigint, identifier_id bigint, link_id bigint, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY
  WITH RECURSIVE walk (id, at_id, parent_id) AS (
    SELECT c.customer_id, c.customer_id, c.parent_id FROM cdp_data.customer c
    UNION
    SELECT w.id, p.customer_id, p.parent_id FROM walk w JOIN cdp_data.customer p ON p.customer_id = w.parent_id WHERE w.parent_id <> w.at_id
  ), root AS MATERIALIZED (
    SELECT w.id, w.at_id AS root_id FROM walk w WHERE w.parent_id = w.at_id
  ), placed AS MATERIALIZED (
    SELECT i.identifier_id, i.type_id, i.first_seen, i.state, i.customer_id AS home_id, o.customer_id AS override_id, r.root_id
    FROM cdp_data.identifier i LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
      LEFT JOIN root r ON r.id = coalesce(o.customer_id, i.customer_id)
  ), edge AS MATERIALIZED (
    SELECT l.link_id, l.kind, l.state, l.a_id, l.b_id, a.root_id AS a_root, b.root_id AS b_root, a.identifier_id AS a_there, b.identifier_id AS b_there,
      a.state = 'quarantined' OR b.state = 'quarantined' AS shared
    FROM cdp_data.link l LEFT JOIN placed a ON a.identifier_id = l.a_id LEFT JOIN placed b ON b.identifier_id = l.b_id
  ), part AS MATERIALIZED (
    SELECT (cdp.component_rows(cdp.components(p.identifier_id, e.b_id))).*
    FROM placed p LEFT JOIN edge e ON e.a_id = p.identifier_id AND e.state = 'active' AND e.kind <> 'cannot' AND e.b_there IS NOT NULL
  )
  SELECT 'parent', c.customer_id, NULL::bigint, NULL::bigint, 'its parents lead to no root: one is missing, or they run in a circle'
  FROM cdp_data.customer c WHERE NOT EXISTS (SELECT FROM root r WHERE r.id = c.customer_id)
  UNION ALL
  SELECT 'dangling', coalesce(p.override_id, p.home_id), p.identifier_id, NULL, 'the customer that it points to has no root or is not there'
  FROM placed p WHERE p.root_id IS NULL
  UNION ALL
  SELECT 'dangling', o.customer_id, o.identifier_id, NULL, 'an override of an identifier that is not there'
  FROM cdp_data.identifier_override o WHERE NOT EXISTS (SELECT FROM placed p WHERE p.identifier_id = o.identifier_id)
  UNION ALL
  SELECT 'dangling', NULL, CASE WHEN e.a_there IS NULL THEN e.a_id ELSE e.b_id END, e.link_id, 'a link whose end is not there'
  FROM edge e WHERE e.a_there IS NULL OR e.b_there IS NULL
  UNION ALL
  SELECT 'lost merge', e.a_root, e.a_id, e.link_id, format('an active link to customer %s', e.b_root)
  FROM edge e WHERE e.state = 'active' AND e.kind <> 'cannot' AND e.a_root <> e.b_root
  UNION ALL
  SELECT 'not connected', p.root_id, min(p.identifier_id), NULL, format('its identifiers are %s groups without a link between them', count(DISTINCT x.component))
  FROM placed p JOIN part x ON x.id = p.identifier_id WHERE p.root_id IS NOT NULL GROUP BY p.root_id HAVING count(DISTINCT x.component) > 1
  UNION ALL
  SELECT 'cannot', e.a_root, e.a_id, e.link_id, format('one customer with %s, which a cannot link forbids', e.b_id)
  FROM edge e WHERE e.state = 'active' AND e.kind = 'cannot' AND e.a_root = e.b_root
  UNION ALL
  SELECT 'super-node', e.a_root, e.a_id, e.link_id, 'an active link of a quarantined identifier'
  FROM edge e WHERE e.state = 'active' AND e.kind <> 'cannot' AND e.shared
  UNION ALL
  SELECT 'attach only', p.root_id, p.identifier_id, NULL, format('%s active links, one is allowed', count(*))
  FROM placed p JOIN cdp_data.identifier_type_all t ON t.type_id = p.type_id AND t.role = 'attach_only'
    JOIN edge e ON p.identifier_id IN (e.a_id, e.b_id) AND e.state = 'active' AND e.kind <> 'cannot'
  GROUP BY p.root_id, p.identifier_id HAVING count(*) > 1
  UNION ALL
  SELECT 'support', e.a_root, e.a_id, e.link_id, 'an active link of records, of which no load is in force'
  FROM edge e WHERE e.state = 'active' AND e.kind = 'deterministic' AND NOT EXISTS (
    -- cdp_data.link_support_now without the keys of records, which an admin may not read.
    SELECT FROM cdp_data.link_support s JOIN cdp_data.load d ON d.load_id = s.load_id
      LEFT JOIN cdp_data.record_version w ON w.version_id = s.version_id AND s.version_id <> 0 LEFT JOIN cdp_data.repetition r ON r.repetition_id = w.repetition_id
    WHERE s.link_id = e.link_id AND (d.state = 'done' OR d.state = 'running' AND d.xid = pg_current_xact_id_if_assigned() OR r.own_time OR r.first_at IS NOT NULL))
    AND NOT EXISTS (SELECT FROM cdp_data.link_support s JOIN cdp_data.load d ON d.load_id = s.load_id WHERE s.link_id = e.link_id AND d.state = 'running');
END
$$;
COMMENT ON FUNCTION cdp.identity_check() IS
'Whether the tables keep the promise of the identity room: a customer is a connected component of identifiers over active links. One row per violation, none when all is well: parent and dangling (pointers that lead nowhere), lost merge (an active link between two customers), not connected (a customer without links that hold it together), cannot, super-node, attach only (an active link that a rule forbids), support (an active link whose loads were reverted). Limits are not looked at: what was within them when it was made may stay. Reads every customer, identifier and link once. Error 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_identity()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT CASE a.kind WHEN 'drift' THEN 'info' ELSE 'warning' END, 'alert_' || a.kind, format('%s open, the first of %s', count(*), min(a.at)),
    CASE a.kind
      WHEN 'super_node' THEN 'SELECT * FROM cdp_bi.identity_alert; block the value, or raise supernode_degree of its type and SELECT cdp.release_identifier(id);'
      WHEN 'customer_size' THEN 'SELECT * FROM cdp_bi.identity_alert; look at the customer with cdp.explain_identity(), or raise cdp_data.setting.max_identifiers_per_customer'
      ELSE 'SELECT * FROM cdp_bi.identity_alert; then SELECT * FROM cdp.rebuild();' END
  FROM cdp_data.identity_alert a WHERE a.resolved_at IS NULL GROUP BY a.kind;
  RETURN QUERY
  SELECT 'error', 'override_missing', format('%s overrides of identifiers that are not there', count(*)), 'SELECT * FROM cdp.identity_check();'
  FROM cdp_data.identifier_override o WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE i.identifier_id = o.identifier_id) HAVING count(*) > 0;
  RETURN QUERY
  SELECT 'warning', 'pair_limit_type', format('a limit between types %s and %s, of which one is unknown', p.type_id, p.other_type_id), 'Delete the row of cdp_data.identifier_pair_limit or add the type'
  FROM cdp_data.identifier_pair_limit p
  WHERE NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.type_id = p.type_id)
    OR NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.type_id = p.other_type_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_identity() IS
'Findings of cdp.health() about identity: open alerts, and what is cheap to check. The whole check is cdp.identity_check().';

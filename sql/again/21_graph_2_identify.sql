-- Identity room, the graph: one record comes in. Whose is it, who becomes one customer through it, and what forbids that.
--
-- The work is done in C (src/identity/graph/identify*.c), which also tells the order of locks. Here is what it asks of
-- SQL: customers that are too large for single look-ups, and rules that few records meet.

CREATE OR REPLACE FUNCTION cdp_internal.identify_in(
  load_id bigint, source_id integer, type_ids smallint[], vals text[], at timestamptz, event_key text, cause text,
  OUT customer_id bigint, OUT identifier_id bigint, OUT home_id bigint, OUT created boolean, OUT merged bigint[], OUT rejected jsonb)
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_identify_in';
COMMENT ON FUNCTION cdp_internal.identify_in(bigint, integer, smallint[], text[], timestamptz, text, text) IS
'One record that shows these identifiers (as cdp_internal.clean_identifiers() gives them) of one person. Makes the unknown ones, links all of them, and makes their customers one, as far as the rules let them: the weakest that would break one is left out. Returns customer_id (the root; NULL without an identifier), identifier_id and home_id of the strongest that may carry the record''s facts, created (the customer is new), merged (customers that lost their id to this one), rejected ([{"type", "reason"}]: who belongs to somebody else, and why). load_id gives the links their support; at is the time of the record; cause goes to the ledger. A record that tells nothing new writes nothing. Errors: 22004 load, time or cause missing, 54000 more than 50 identifiers, 40001 in REPEATABLE READ and SERIALIZABLE when somebody else works on the same customers: try again.';

CREATE OR REPLACE FUNCTION cdp_internal.calls_follow() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_sql_calls_follow';
COMMENT ON FUNCTION cdp_internal.calls_follow() IS
'Says that this transaction takes in several records. Each of them then has its customers for itself: a call that shares a large customer with others must not want it alone later in the same transaction, or two such transactions wait for each other.';

CREATE OR REPLACE FUNCTION cdp_internal.identify_find(INOUT type_ids smallint[], vals text[], OUT ids bigint[], OUT stops text[])
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_identify_find';
COMMENT ON FUNCTION cdp_internal.identify_find(smallint[], text[]) IS
'The identifiers of a record as they stand, each once, the strongest first (priority, type_id, value by bytes), as arrays: ids NULL where one is unknown; stops: why it joins nobody (super-node; attach only, when it is attached already), NULL when it may. Types that are unknown or ignored are left out; all arrays are NULL when nobody is left. VOLATILE, because it looks at the tables as they are at the call.';

CREATE OR REPLACE FUNCTION cdp_internal.winner_of(roots bigint[]) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_sql_winner_of';
COMMENT ON FUNCTION cdp_internal.winner_of(bigint[]) IS
'Which of these customers, at most 50, keeps its id when they become one: the one whose anchor (its lowest identifier_id, by home, else by override) has the strongest type; then the earlier created; then the lower id.';

CREATE OR REPLACE FUNCTION cdp_internal.union_refusal(roots bigint[], OUT reason text, OUT blocker bigint, OUT sizes integer[])
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_sql_union_refusal';
COMMENT ON FUNCTION cdp_internal.union_refusal(bigint[]) IS
'Whether customers (roots, at most 50) may become one: reason NULL when they may, else cannot, limit <type> or customer size, with the cannot link as blocker. A limit that one of them breaks by itself does not count. sizes: identifiers of each root, NULL where they were not counted because they are many.';

CREATE OR REPLACE FUNCTION cdp_internal.union_members(roots bigint[], fresh bigint[], apart bigint[], cut integer)
RETURNS TABLE (part bigint, type_id smallint, n integer, near boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  RETURN QUERY
  WITH member AS MATERIALIZED (
    SELECT p.part, i.identifier_id, i.type_id
    FROM unnest(roots) AS p (part) CROSS JOIN LATERAL (
      WITH RECURSIVE under (id) AS (
        SELECT p.part
        UNION
        SELECT c.customer_id
        FROM under u CROSS JOIN LATERAL (
          SELECT c.customer_id FROM cdp_data.customer c WHERE c.parent_id = u.id AND c.parent_id <> c.customer_id OFFSET 0) c
      )
      SELECT h.identifier_id, h.type_id
      FROM under u CROSS JOIN LATERAL (
        SELECT h.identifier_id, h.type_id FROM cdp_data.identifier h
        WHERE h.customer_id = u.id AND h.identifier_id <> ALL (apart)
          AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = h.identifier_id)
        UNION ALL
        SELECT h.identifier_id, h.type_id
        FROM cdp_data.identifier_override o CROSS JOIN LATERAL (
          SELECT x.identifier_id, x.type_id FROM cdp_data.identifier x WHERE x.identifier_id = o.identifier_id OFFSET 0) h
        WHERE o.customer_id = u.id
        OFFSET 0) h
      LIMIT cut) i
    UNION ALL
    SELECT -h.identifier_id, h.identifier_id, h.type_id FROM cdp_data.identifier h WHERE h.identifier_id = ANY (fresh)
  )
  SELECT m.part, m.type_id, count(*)::integer,
    EXISTS (SELECT FROM member x JOIN cdp_data.link k ON k.a_id = x.identifier_id AND k.kind = 'cannot' AND k.state = 'active')
      OR EXISTS (SELECT FROM member x JOIN cdp_data.link k ON k.b_id = x.identifier_id AND k.kind = 'cannot' AND k.state = 'active')
  FROM member m GROUP BY m.part, m.type_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.union_members(bigint[], bigint[], bigint[], integer) IS
'How many identifiers of which type customers of any size (roots) and new identifiers (by their negative number) have, at most cut of each root (NULL: all); near: one of them has a cannot link. apart: identifiers that count for nobody, whatever the table says; the new ones must be among them.';

CREATE OR REPLACE FUNCTION cdp_internal.union_cannot(roots bigint[], fresh bigint[], apart bigint[]) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
    WITH member AS MATERIALIZED (
      SELECT p.part, m.identifier_id FROM unnest(roots) AS p (part) CROSS JOIN LATERAL cdp_internal.members(p.part) m WHERE m.identifier_id <> ALL (apart)
      UNION ALL
      SELECT -f, f FROM unnest(fresh) f
    )
    SELECT min(k.link_id)
    FROM member x JOIN cdp_data.link k ON k.a_id = x.identifier_id AND k.kind = 'cannot' AND k.state = 'active'
      JOIN member y ON y.identifier_id = k.b_id AND y.part <> x.part);
END
$$;
COMMENT ON FUNCTION cdp_internal.union_cannot(bigint[], bigint[], bigint[]) IS
'The first cannot link between two of these parts: customers (roots) and new identifiers; NULL when there is none. apart as for cdp_internal.union_members().';

CREATE OR REPLACE FUNCTION cdp_internal.union_window(roots bigint[], fresh bigint[], apart bigint[], type_id smallint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  most integer;
  span interval;
BEGIN
  SELECT t.max_per_customer, t.limit_window INTO most, span FROM cdp_data.identifier_type_all t WHERE t.type_id = union_window.type_id;
  -- Is the span from one to the one that is most further on too short, and have two parts a share in it?
  RETURN EXISTS (
    WITH seen AS MATERIALIZED (
      SELECT x.part, x.first_seen, row_number() OVER (ORDER BY x.first_seen, x.identifier_id) AS nth
      FROM (
        SELECT p.part, m.identifier_id, m.first_seen FROM unnest(roots) AS p (part) CROSS JOIN LATERAL cdp_internal.members(p.part) m
        WHERE m.type_id = union_window.type_id AND m.identifier_id <> ALL (apart)
        UNION ALL
        SELECT -h.identifier_id, h.identifier_id, h.first_seen FROM cdp_data.identifier h WHERE h.identifier_id = ANY (fresh) AND h.type_id = union_window.type_id) x
      WHERE x.first_seen IS NOT NULL)
    SELECT FROM seen a JOIN seen b ON b.nth = a.nth + most
    WHERE extract(epoch FROM b.first_seen) - extract(epoch FROM a.first_seen) < extract(epoch FROM span)
      AND EXISTS (SELECT FROM seen c WHERE c.nth BETWEEN a.nth AND b.nth AND c.part <> a.part));
END
$$;
COMMENT ON FUNCTION cdp_internal.union_window(bigint[], bigint[], bigint[], smallint) IS
'Whether a union of these parts has more identifiers of a type first seen within its limit_window than max_per_customer, with a share of two parts in it. Arguments as for cdp_internal.union_members().';

CREATE OR REPLACE FUNCTION cdp_internal.pair_refusal(
  type_ids smallint[], ids bigint[], accepted boolean[], hubs integer[], nth integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Each link that the identifier would get is looked at from both of its ends.
  RETURN (
    SELECT format('pair limit %s %s', t.name, v.name)
    FROM unnest(hubs) AS h (n)
      CROSS JOIN LATERAL (VALUES (h.n, nth), (nth, h.n)) AS e (own, other)
      JOIN cdp_data.identifier_pair_limit p ON p.type_id = type_ids[e.own] AND p.other_type_id = type_ids[e.other]
      JOIN cdp_data.identifier_type_all t ON t.type_id = p.type_id
      JOIN cdp_data.identifier_type_all v ON v.type_id = p.other_type_id
    WHERE h.n <> nth AND accepted[h.n] AND p.max_n < (
      SELECT count(*) FROM (
        SELECT x.identifier_id
        FROM (
          SELECT l.b_id AS id FROM cdp_data.link l WHERE l.a_id = ids[e.own] AND l.state = 'active' AND l.kind <> 'cannot'
          UNION ALL
          SELECT l.a_id FROM cdp_data.link l WHERE l.b_id = ids[e.own] AND l.state = 'active' AND l.kind <> 'cannot') y
          JOIN cdp_data.identifier x ON x.identifier_id = y.id
        WHERE x.type_id = p.other_type_id
        UNION
        SELECT ids[g] FROM generate_subscripts(ids, 1) g
        WHERE g <> e.own AND type_ids[g] = p.other_type_id AND (accepted[g] OR g = nth) AND (e.own = ANY (hubs) OR g = ANY (hubs))) n)
    ORDER BY t.priority, t.type_id, v.priority, v.type_id LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.pair_refusal(smallint[], bigint[], boolean[], integer[], integer) IS
'The limit between two types that the nth identifier of a record would break if it were linked with the accepted hubs, as the reason to be written; NULL when none.';

CREATE OR REPLACE FUNCTION cdp_internal.alert_size(customer_id bigint, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.identity_alert (kind, customer_id, detail)
  SELECT 'customer_size', alert_size.customer_id, jsonb_build_object('limit', most)
  WHERE NOT EXISTS (
    SELECT FROM cdp_data.identity_alert x
    WHERE x.kind = 'customer_size' AND x.customer_id = alert_size.customer_id AND x.resolved_at IS NULL);
END
$$;
COMMENT ON FUNCTION cdp_internal.alert_size(bigint, integer) IS
'Notes, once until it is resolved, that a customer was refused more identifiers for its size.';

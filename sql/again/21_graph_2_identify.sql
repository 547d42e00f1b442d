-- Identity room, the graph: one record comes in. Whose is it, who becomes one customer through it, and what forbids that.
--
-- Locks are taken in one order by everybody, so that calls wait but never deadlock: the table of links (against a
-- rebuild), new identifiers by type and value, rows of known ones by type and value, roots by customer_id, links by
-- their ends, support. A root may move between
-- the look-up and its lock; then everything is rolled back to before the first lock and tried again, because a lock
-- asked for later could be out of order. Whatever changes what a root holds also writes its row: a transaction that
-- works on an older snapshot (REPEATABLE READ) then fails with 40001 instead of judging by what it cannot see.

CREATE OR REPLACE FUNCTION cdp_internal.identify_find(
  type_ids smallint[], vals text[], attach_only boolean[],
  OUT ids bigint[], OUT homes bigint[], OUT roots bigint[], OUT stops text[], OUT first_seen timestamptz[], OUT last_seen timestamptz[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT array_agg(i.identifier_id ORDER BY u.n), array_agg(i.customer_id ORDER BY u.n),
    array_agg(CASE WHEN p.parent_id = p.customer_id THEN p.customer_id ELSE cdp_internal.root_of(p.parent_id) END ORDER BY u.n),
    array_agg(CASE WHEN i.state = 'quarantined' THEN 'super-node'
      WHEN u.attach AND (EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = i.identifier_id AND l.state = 'active' AND l.kind <> 'cannot')
        OR EXISTS (SELECT FROM cdp_data.link l WHERE l.b_id = i.identifier_id AND l.state = 'active' AND l.kind <> 'cannot')) THEN 'attach only'
      END ORDER BY u.n),
    array_agg(i.first_seen ORDER BY u.n), array_agg(i.last_seen ORDER BY u.n)
  INTO ids, homes, roots, stops, first_seen, last_seen
  FROM unnest(type_ids, vals, attach_only) WITH ORDINALITY AS u (type_id, value, attach, n)
    LEFT JOIN LATERAL (
      SELECT x.* FROM cdp_data.identifier x WHERE x.type_id = u.type_id AND x.value = u.value OFFSET 0) i ON true
    LEFT JOIN LATERAL (
      SELECT x.customer_id FROM cdp_data.identifier_override x WHERE x.identifier_id = i.identifier_id OFFSET 0) o ON true
    LEFT JOIN LATERAL (
      SELECT x.customer_id, x.parent_id FROM cdp_data.customer x WHERE x.customer_id = coalesce(o.customer_id, i.customer_id) OFFSET 0) p ON true;
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_find(smallint[], text[], boolean[]) IS
'The identifiers of a record as they stand: arrays in the order given, NULL where one is unknown. stops: why it joins nobody (super-node; attach only, when it is attached already), NULL when it may.';

CREATE OR REPLACE FUNCTION cdp_internal.identify_links(
  load_id bigint, a_ids bigint[], b_ids bigint[],
  OUT link_ids bigint[], OUT states text[], OUT reasons text[], OUT first_seen timestamptz[], OUT supported boolean[], OUT last_at timestamptz[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT array_agg(l.link_id ORDER BY u.n), array_agg(l.state ORDER BY u.n), array_agg(l.reason ORDER BY u.n),
    array_agg(l.first_seen ORDER BY u.n), array_agg(s.load_id IS NOT NULL ORDER BY u.n), array_agg(s.last_at ORDER BY u.n)
  INTO link_ids, states, reasons, first_seen, supported, last_at
  FROM unnest(a_ids, b_ids) WITH ORDINALITY AS u (a_id, b_id, n)
    LEFT JOIN LATERAL (
      SELECT x.* FROM cdp_data.link x
      WHERE x.a_id = least(u.a_id, u.b_id) AND x.b_id = greatest(u.a_id, u.b_id) AND x.kind = 'deterministic' OFFSET 0) l ON true
    LEFT JOIN LATERAL (
      SELECT x.load_id, x.last_at FROM cdp_data.link_support x
      WHERE x.link_id = l.link_id AND x.load_id = identify_links.load_id OFFSET 0) s ON true;
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_links(bigint, bigint[], bigint[]) IS
'The deterministic links between pairs of identifiers as they stand, with the support that one load gives: arrays in the order given, NULL where there is no link.';

CREATE OR REPLACE FUNCTION cdp_internal.union_refusal(
  roots bigint[], fresh bigint[], apart bigint[], most integer, cut integer, OUT reason text, OUT blocker bigint, OUT sizes integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  parts bigint[] := roots || ARRAY(SELECT -f FROM unnest(fresh) f);
  m record;
BEGIN
  -- One part is a root or, by its negative number, a new identifier, which is nobody's yet.
  WITH member AS MATERIALIZED (
    SELECT p.part, i.identifier_id, i.type_id, i.first_seen
    FROM unnest(roots) AS p (part) CROSS JOIN LATERAL (
      WITH RECURSIVE under (id) AS (
        SELECT p.part
        UNION
        SELECT c.customer_id
        FROM under u CROSS JOIN LATERAL (
          SELECT c.customer_id FROM cdp_data.customer c WHERE c.parent_id = u.id AND c.parent_id <> c.customer_id OFFSET 0) c
      )
      SELECT h.identifier_id, h.type_id, h.first_seen
      FROM under u CROSS JOIN LATERAL (
        SELECT h.identifier_id, h.type_id, h.first_seen FROM cdp_data.identifier h
        WHERE h.customer_id = u.id AND h.identifier_id <> ALL (fresh) AND h.identifier_id <> ALL (apart)
          AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = h.identifier_id)
        UNION ALL
        SELECT h.identifier_id, h.type_id, h.first_seen
        FROM cdp_data.identifier_override o JOIN cdp_data.identifier h ON h.identifier_id = o.identifier_id
        WHERE o.customer_id = u.id
        OFFSET 0) h
      LIMIT cut) i
    UNION ALL
    SELECT -h.identifier_id, h.identifier_id, h.type_id, h.first_seen FROM cdp_data.identifier h WHERE h.identifier_id = ANY (fresh)
  ), part AS (
    SELECT x.part, count(*)::integer AS n FROM member x GROUP BY x.part
  ), held AS (
    SELECT x.type_id, count(*) AS n, count(DISTINCT x.part) AS parts FROM member x GROUP BY x.type_id
  )
  SELECT ARRAY(SELECT coalesce(x.n, 0) FROM unnest(parts) WITH ORDINALITY AS p (part, nth) LEFT JOIN part x ON x.part = p.part ORDER BY p.nth) AS sizes,
    (SELECT min(l.link_id) FROM member x JOIN cdp_data.link l ON l.a_id = x.identifier_id AND l.kind = 'cannot' AND l.state = 'active'
       JOIN member y ON y.identifier_id = l.b_id AND y.part <> x.part) AS forbidden,
    (SELECT t.name FROM held h JOIN cdp_data.identifier_type_all t ON t.type_id = h.type_id
     WHERE h.n > t.max_per_customer AND h.parts > 1 AND (t.limit_window IS NULL OR EXISTS (
       -- The span from one to the one max_per_customer further on is too short, and both parts have a share in it.
       WITH seen AS (
         SELECT x.part, x.first_seen, row_number() OVER (ORDER BY x.first_seen, x.identifier_id) AS nth
         FROM member x WHERE x.type_id = h.type_id AND x.first_seen IS NOT NULL)
       SELECT FROM seen a JOIN seen b ON b.nth = a.nth + t.max_per_customer
       WHERE extract(epoch FROM b.first_seen) - extract(epoch FROM a.first_seen) < extract(epoch FROM t.limit_window)
         AND EXISTS (SELECT FROM seen c WHERE c.nth BETWEEN a.nth AND b.nth AND c.part <> a.part)))
     ORDER BY t.priority, t.type_id LIMIT 1) AS limited,
    EXISTS (SELECT FROM member x JOIN cdp_data.identifier_type_all t ON t.type_id = x.type_id
      WHERE t.max_per_customer IS NOT NULL AND x.part NOT IN (SELECT p.part FROM part p WHERE p.n >= cut)) AS limits_matter,
    EXISTS (SELECT FROM member x JOIN cdp_data.link l ON l.a_id = x.identifier_id AND l.kind = 'cannot' AND l.state = 'active')
      OR EXISTS (SELECT FROM member x JOIN cdp_data.link l ON l.b_id = x.identifier_id AND l.kind = 'cannot' AND l.state = 'active') AS cannots
  INTO m;
  IF cut IS NOT NULL AND most IS NULL AND (SELECT count(*) FROM unnest(m.sizes) s WHERE s >= cut) > 0 THEN
    -- A large part was read in part only. The small ones tell whether the rest of it can matter.
    IF m.limits_matter OR m.cannots OR (SELECT count(*) FROM unnest(m.sizes) s WHERE s >= cut) > 1 THEN
      SELECT * INTO reason, blocker, sizes FROM cdp_internal.union_refusal(roots, fresh, apart, most, NULL);
      RETURN;
    END IF;
    m.sizes := ARRAY(SELECT nullif(s.s, cut) FROM unnest(m.sizes) WITH ORDINALITY AS s (s, nth) ORDER BY s.nth);
  END IF;
  sizes := m.sizes;
  IF m.forbidden IS NOT NULL THEN
    reason := 'cannot';
    blocker := m.forbidden;
  ELSIF m.limited IS NOT NULL THEN
    reason := 'limit ' || m.limited;
  ELSIF (SELECT sum(s) FROM unnest(m.sizes) s) > most THEN
    reason := 'customer size';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.union_refusal(bigint[], bigint[], bigint[], integer, integer) IS
'Whether customers (roots) and new identifiers may become one: reason NULL when they may, else cannot, limit <type> or customer size, with the cannot link as blocker. apart: identifiers that count for nobody, whatever the table says. A limit that one of them breaks by itself does not count. most: identifiers that a customer may have (NULL: any number); cut: read at most so many of each root, for speed; what was left out is read when it can matter. sizes: identifiers of each root and of each new one (1), NULL where they were not counted.';

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

CREATE OR REPLACE FUNCTION cdp_internal.identify_judge(
  type_ids smallint[], ids bigint[], roots bigint[], fresh boolean[], stops text[], hubs integer[], most integer,
  OUT accepted boolean[], OUT reasons text[], OUT blockers bigint[], OUT joined bigint[], OUT sizes integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k integer := cardinality(ids);
  cut integer := coalesce(most + 1, 64);
  pairs boolean := EXISTS (SELECT FROM cdp_data.identifier_pair_limit p WHERE p.type_id = ANY (type_ids));
  own bigint[];
  newcomers bigint[];
  all_roots bigint[];
  nth integer;
  why text;
  against bigint;
  counted integer[];
BEGIN
  reasons := array_fill(NULL::text, ARRAY[k]);
  blockers := array_fill(NULL::bigint, ARRAY[k]);
  accepted := ARRAY(SELECT s.stop IS NULL AND NOT pairs FROM unnest(stops) WITH ORDINALITY AS s (stop, n) ORDER BY s.n);
  own := ARRAY(SELECT i.id FROM unnest(ids, fresh, stops) AS i (id, fresh, stop) WHERE i.fresh AND i.stop IS NULL);
  all_roots := ARRAY(SELECT DISTINCT i.root FROM unnest(roots, fresh, stops) AS i (root, fresh, stop) WHERE NOT i.fresh AND i.stop IS NULL ORDER BY 1);
  joined := all_roots;
  IF NOT pairs THEN
    IF cardinality(all_roots) + cardinality(own) < 2 THEN
      RETURN;
    END IF;
    SELECT u.reason, u.sizes[1:cardinality(all_roots)] INTO why, sizes FROM cdp_internal.union_refusal(all_roots, own, own, most, cut) u;
    IF why IS NULL THEN
      RETURN;
    END IF;
  END IF;
  -- Something stands against it: one by one from the hub and then the strongest, whoever does not fit stays out.
  accepted := array_fill(false, ARRAY[k]);
  joined := '{}';
  newcomers := own;
  own := '{}';
  FOR nth IN SELECT s.n FROM unnest(stops) WITH ORDINALITY AS s (stop, n) WHERE s.stop IS NULL ORDER BY s.n <> hubs[1], s.n LOOP
    why := NULL;
    against := NULL;
    counted := NULL;
    IF (fresh[nth] OR roots[nth] <> ALL (joined)) AND cardinality(joined) + cardinality(own) > 0 THEN
      SELECT * INTO why, against, counted FROM cdp_internal.union_refusal(
        CASE WHEN fresh[nth] THEN joined ELSE joined || roots[nth] END, CASE WHEN fresh[nth] THEN own || ids[nth] ELSE own END, newcomers, most, cut);
    END IF;
    IF pairs AND why IS DISTINCT FROM 'cannot' THEN
      why := coalesce(cdp_internal.pair_refusal(type_ids, ids, accepted, hubs, nth), why);
    END IF;
    reasons[nth] := why;
    blockers[nth] := against;
    CONTINUE WHEN why IS NOT NULL;
    IF fresh[nth] OR roots[nth] <> ALL (joined) THEN
      sizes := coalesce(counted, sizes);
      IF fresh[nth] THEN
        own := own || ids[nth];
      ELSE
        joined := joined || roots[nth];
      END IF;
    END IF;
    accepted[nth] := true;
  END LOOP;
  sizes := sizes[1:cardinality(joined)];
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_judge(smallint[], bigint[], bigint[], boolean[], text[], integer[], integer) IS
'Which identifiers of a record become one customer. The union of all is tried first; when a rule forbids it, they are taken in one by one, strongest first, and whoever breaks a rule is left out with the reason. joined: the roots that become one, sizes: their identifiers (NULL: not counted, there was nothing to ask or they are many).';

CREATE OR REPLACE FUNCTION cdp_internal.identify_lock(roots bigint[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cardinality(roots) = (
    SELECT count(*) FROM (
      SELECT FROM cdp_data.customer c WHERE c.customer_id = ANY (roots) AND c.parent_id = c.customer_id
      ORDER BY c.customer_id FOR NO KEY UPDATE) c);
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_lock(bigint[]) IS
'Locks customers until the transaction ends, in the order of their ids. False when one of them is no root (any more); the locks taken stay then.';

CREATE OR REPLACE FUNCTION cdp_internal.identify_touch(ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM FROM cdp_data.identifier i WHERE i.identifier_id = ANY (ids) ORDER BY i.type_id, i.value FOR NO KEY UPDATE;
  UPDATE cdp_data.identifier i
  SET first_seen = least(i.first_seen, at), last_seen = CASE WHEN i.last_seen + interval '1 day' >= at THEN i.last_seen ELSE greatest(i.last_seen, at) END
  WHERE i.identifier_id = ANY (ids)
    AND (i.first_seen IS NULL OR at < i.first_seen OR i.last_seen IS NULL OR at > i.last_seen + interval '1 day');
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_touch(bigint[], timestamptz) IS
'Notes that identifiers were seen at a time: first_seen exactly, last_seen when it is off by more than a day, so that busy identifiers are not written at each record.';

CREATE OR REPLACE FUNCTION cdp_internal.identify_links_write(
  load_id bigint, a_ids bigint[], b_ids bigint[], states text[], reasons text[], blockers bigint[], at timestamptz, event_key text,
  OUT link_ids bigint[], OUT inserted boolean[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Rows are locked and written in the order of their ends. xmax is 0 in a row that this command inserted.
  WITH want AS MATERIALIZED (
    SELECT least(u.a, u.b) AS a_id, greatest(u.a, u.b) AS b_id, u.state, u.reason, u.blocker, u.n
    FROM unnest(a_ids, b_ids, states, reasons, blockers) WITH ORDINALITY AS u (a, b, state, reason, blocker, n)
  ), put AS (
    INSERT INTO cdp_data.link AS l (a_id, b_id, kind, state, first_seen, reason, blocker)
    SELECT w.a_id, w.b_id, 'deterministic', w.state, at, w.reason, w.blocker FROM want w ORDER BY w.a_id, w.b_id
    ON CONFLICT ON CONSTRAINT link_once DO UPDATE
    SET state = excluded.state, reason = excluded.reason, blocker = excluded.blocker, first_seen = least(l.first_seen, excluded.first_seen),
      changed_at = clock_timestamp()
    RETURNING l.link_id, l.a_id, l.b_id, l.xmax = 0 AS inserted
  ), support AS (
    INSERT INTO cdp_data.link_support AS s (link_id, load_id, first_at, last_at, event_key)
    SELECT p.link_id, identify_links_write.load_id, at, at, identify_links_write.event_key FROM put p ORDER BY p.link_id
    ON CONFLICT ON CONSTRAINT link_support_pkey DO UPDATE
    SET first_at = least(s.first_at, excluded.first_at), last_at = greatest(s.last_at, excluded.last_at)
  )
  SELECT array_agg(p.link_id ORDER BY w.n), array_agg(p.inserted ORDER BY w.n)
  INTO link_ids, inserted
  FROM want w JOIN put p ON p.a_id = w.a_id AND p.b_id = w.b_id;
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_links_write(bigint, bigint[], bigint[], text[], text[], bigint[], timestamptz, text) IS
'Writes deterministic links with their state, and that a load supports them; at is the time of the record. Returns their numbers in the order given, and which of them are new.';

CREATE OR REPLACE FUNCTION cdp_internal.identify_in(
  load_id bigint, source_id integer, type_ids smallint[], vals text[], at timestamptz, event_key text, cause text,
  OUT customer_id bigint, OUT identifier_id bigint, OUT home_id bigint, OUT created boolean, OUT merged bigint[], OUT rejected jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  t record;
  f record;
  again record;
  l record;
  j record;
  w record;
  k integer;
  attempt integer;
  missing bigint;
  most integer;
  first_hub integer;
  second_hub integer;
  hubs integer[];
  ids bigint[];
  homes bigint[];
  fresh boolean[];
  a integer[];
  b integer[];
  changed boolean;
  guess bigint;
  made bigint;
  alone bigint;
  held bigint[];
  states text[];
  reasons text[];
  blockers bigint[];
  need integer[];
  crowded bigint[];
  locked_at timestamptz;
BEGIN
  created := false;
  merged := '{}';
  rejected := '[]';
  IF load_id IS NULL OR at IS NULL OR NOT isfinite(at) OR cause IS NULL THEN
    RAISE EXCEPTION 'load, time and cause of a record must be given' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF cardinality(type_ids) > 50 THEN
    RAISE EXCEPTION 'too many identifiers in one record'
      USING ERRCODE = 'program_limit_exceeded', DETAIL = format('%s were given, at most 50 are taken.', cardinality(type_ids)),
        HINT = 'A record shows one person; send each person''s identifiers in a record of their own.';
  END IF;
  SELECT array_agg(x.type_id) AS type_ids, array_agg(x.value) AS vals, array_agg(x.name) AS names,
    array_agg(x.attach) AS attach, array_agg(x.supernode_degree) AS degrees
  INTO t
  FROM (
    SELECT DISTINCT y.priority, u.type_id, u.value COLLATE "C" AS value, y.name, y.role = 'attach_only' AS attach, y.supernode_degree
    FROM unnest(identify_in.type_ids, vals) AS u (type_id, value) JOIN cdp_data.identifier_type_all y ON y.type_id = u.type_id
    WHERE u.value <> '' AND y.role <> 'ignore'
    ORDER BY 1, 2, 3) x;
  k := cardinality(t.type_ids);
  IF k IS NULL THEN
    RETURN;
  END IF;
  f := cdp_internal.identify_find(t.type_ids, t.vals, t.attach);
  FOR attempt IN 1 .. 100 LOOP
    -- The hubs: the two strongest that can merge; each other identifier gets a link from both, so that any one of
    -- them may be taken out later without the rest falling apart.
    first_hub := NULL;
    second_hub := NULL;
    FOR i IN 1 .. k LOOP
      IF f.stops[i] IS NULL AND NOT t.attach[i] THEN
        IF first_hub IS NULL THEN
          first_hub := i;
        ELSE
          second_hub := i;
          EXIT;
        END IF;
      END IF;
    END LOOP;
    IF first_hub IS NULL THEN
      first_hub := coalesce(array_position(f.stops, NULL), 1);
      -- Only one more can be attached to an identifier that is itself only attached.
      FOR i IN first_hub + 1 .. k LOOP
        IF f.stops[i] IS NULL THEN
          IF f.stops[first_hub] IS NOT NULL OR held IS NOT NULL THEN
            f.stops[i] := 'attach only';
          END IF;
          held := '{}';
        END IF;
      END LOOP;
      held := NULL;
    END IF;
    hubs := CASE WHEN second_hub IS NULL THEN ARRAY[first_hub] ELSE ARRAY[first_hub, second_hub] END;
    a := '{}';
    b := '{}';
    FOR h IN 1 .. cardinality(hubs) LOOP
      FOR i IN 1 .. k LOOP
        IF i <> first_hub AND i <> hubs[h] THEN
          a := a || hubs[h];
          b := b || i;
        END IF;
      END LOOP;
    END LOOP;
    missing := (SELECT count(*) FROM unnest(f.ids) i WHERE i IS NULL);

    IF attempt = 1 AND missing = 0 THEN
      -- What is known and needs no change is answered without a lock.
      IF k > 1 THEN
        l := cdp_internal.identify_links(load_id, ARRAY(SELECT f.ids[i] FROM unnest(a) i), ARRAY(SELECT f.ids[i] FROM unnest(b) i));
        changed := EXISTS (
          SELECT FROM unnest(l.states, l.supported, l.first_seen, a, b) AS x (state, supported, first_seen, a, b)
          WHERE NOT coalesce(x.supported, false) OR x.first_seen > at
            OR x.state <> 'active' AND f.stops[x.a] IS NULL AND f.stops[x.b] IS NULL AND NOT t.attach[x.b]);
      END IF;
      IF NOT coalesce(changed, false) THEN
        ids := ARRAY(SELECT i.id FROM unnest(f.ids, f.first_seen, f.last_seen) AS i (id, first_seen, last_seen)
          WHERE i.first_seen IS NULL OR at < i.first_seen OR i.last_seen IS NULL OR at > i.last_seen + interval '1 day');
        IF ids <> '{}' THEN
          PERFORM cdp_internal.identify_touch(ids, at);
        END IF;
        customer_id := f.roots[first_hub];
        identifier_id := f.ids[first_hub];
        home_id := f.homes[first_hub];
        rejected := coalesce((
          SELECT jsonb_agg(jsonb_build_object('type', t.names[i.n], 'reason', i.stop) ORDER BY i.n)
          FROM unnest(f.roots, f.stops) WITH ORDINALITY AS i (root, stop, n) WHERE i.root <> f.roots[first_hub]), '[]');
        RETURN;
      END IF;
    END IF;

    IF attempt = 1 THEN
      LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE;
    END IF;
    BEGIN
      -- 1. Identifiers. New ones get the customer of the strongest known one, which step 3 may correct.
      fresh := ARRAY(SELECT i.id IS NULL FROM unnest(f.ids) WITH ORDINALITY AS i (id, n) ORDER BY i.n);
      ids := f.ids;
      homes := f.homes;
      made := NULL;
      IF missing > 0 THEN
        guess := NULL;
        FOR i IN 1 .. k LOOP
          IF NOT fresh[i] AND f.stops[i] IS NULL AND (guess IS NULL OR i = first_hub) THEN
            guess := f.roots[i];
          END IF;
        END LOOP;
        IF guess IS NULL THEN
          INSERT INTO cdp_data.customer AS c (customer_id, parent_id)
          SELECT n.id, n.id FROM nextval('cdp_data.customer_customer_id_seq') AS n (id) RETURNING c.customer_id INTO made;
          guess := made;
        END IF;
        WITH put AS (
          INSERT INTO cdp_data.identifier AS i (identifier_id, type_id, value, customer_id, first_seen, last_seen)
          SELECT n.id, n.type_id, n.value, guess, at, at
          FROM (
            -- Numbered strongest first: the lowest number of a customer is its anchor.
            SELECT nextval('cdp_data.identifier_identifier_id_seq') AS id, u.type_id, u.value
            FROM unnest(t.type_ids, t.vals, fresh) WITH ORDINALITY AS u (type_id, value, fresh, n) WHERE u.fresh ORDER BY u.n OFFSET 0) n
          ORDER BY n.type_id, n.value COLLATE "C"
          ON CONFLICT DO NOTHING
          RETURNING i.identifier_id, i.type_id, i.value
        )
        SELECT array_agg(coalesce(u.id, p.identifier_id) ORDER BY u.n) INTO ids
        FROM unnest(t.type_ids, t.vals, f.ids) WITH ORDINALITY AS u (type_id, value, id, n)
          LEFT JOIN put p ON p.type_id = u.type_id AND p.value = u.value;
        homes := ARRAY(SELECT coalesce(h.home, guess) FROM unnest(f.homes) WITH ORDINALITY AS h (home, n) ORDER BY h.n);
        IF array_position(ids, NULL) IS NOT NULL THEN
          RAISE EXCEPTION 'somebody else wrote the same identifier' USING ERRCODE = 'CDPRT';
        END IF;
      END IF;
      -- Whoever may turn out to be shared by too many is locked here as well: later would be out of order.
      crowded := cdp_internal.crowded(
        ARRAY(SELECT i.id FROM unnest(ids, f.stops, t.degrees) AS i (id, stop, degree) WHERE i.degree IS NOT NULL AND i.stop IS DISTINCT FROM 'super-node'), k - 1);
      IF missing < k THEN
        PERFORM cdp_internal.identify_touch(array_agg(i.id), at)
        FROM unnest(f.ids, f.first_seen, f.last_seen) AS i (id, first_seen, last_seen)
        WHERE i.id = ANY (crowded) OR i.id IS NOT NULL
          AND (i.first_seen IS NULL OR at < i.first_seen OR i.last_seen IS NULL OR at > i.last_seen + interval '1 day')
        HAVING count(*) > 0;
      END IF;

      -- 2. Roots.
      held := ARRAY(SELECT DISTINCT i.root FROM unnest(f.roots, f.stops) AS i (root, stop) WHERE i.root IS NOT NULL AND i.stop IS NULL);
      IF held <> '{}' THEN
        IF NOT cdp_internal.identify_lock(held) THEN
          RAISE EXCEPTION 'a root moved' USING ERRCODE = 'CDPRT';
        END IF;
        again := cdp_internal.identify_find(t.type_ids, t.vals, t.attach);
        IF EXISTS (SELECT FROM unnest(f.ids, f.roots, f.stops, again.ids, again.roots, again.stops) AS i (id, root, stop, id2, root2, stop2)
            WHERE i.id IS NOT NULL AND (i.id, i.root, i.stop) IS DISTINCT FROM (i.id2, i.root2, i.stop2)) THEN
          RAISE EXCEPTION 'a root moved' USING ERRCODE = 'CDPRT';
        END IF;
      END IF;

      locked_at := clock_timestamp();

      -- 3. Who belongs together, and under which id.
      SELECT s.max_identifiers_per_customer INTO most FROM cdp_data.setting s;
      j := cdp_internal.identify_judge(t.type_ids, ids, f.roots, fresh, f.stops, hubs, most);
      customer_id := CASE cardinality(j.joined) WHEN 0 THEN NULL WHEN 1 THEN j.joined[1] ELSE cdp_internal.winner_of(j.joined) END;
      merged := array_remove(j.joined, customer_id);
      IF customer_id IS NULL AND made IS NULL AND EXISTS (SELECT FROM unnest(j.accepted, fresh) AS i (yes, fresh) WHERE i.yes AND i.fresh) THEN
        INSERT INTO cdp_data.customer AS c (customer_id, parent_id)
        SELECT n.id, n.id FROM nextval('cdp_data.customer_customer_id_seq') AS n (id) RETURNING c.customer_id INTO made;
      END IF;
      created := customer_id IS NULL AND made IS NOT NULL;
      customer_id := coalesce(customer_id, made, f.roots[first_hub]);
      FOR i IN 1 .. k LOOP
        IF fresh[i] AND NOT j.accepted[i] THEN
          INSERT INTO cdp_data.customer AS c (customer_id, parent_id)
          SELECT n.id, n.id FROM nextval('cdp_data.customer_customer_id_seq') AS n (id) RETURNING c.customer_id INTO alone;
          homes[i] := alone;
          UPDATE cdp_data.identifier x SET customer_id = homes[i] WHERE x.identifier_id = ids[i];
        ELSIF fresh[i] AND guess <> customer_id AND guess <> ALL (j.joined) THEN
          homes[i] := customer_id;
          UPDATE cdp_data.identifier x SET customer_id = homes[i] WHERE x.identifier_id = ids[i];
        END IF;
      END LOOP;

      -- 4. Links, with what became of each.
      need := '{}';
      states := '{}';
      reasons := '{}';
      blockers := '{}';
      IF k > 1 THEN
        l := cdp_internal.identify_links(load_id, ARRAY(SELECT ids[i] FROM unnest(a) i), ARRAY(SELECT ids[i] FROM unnest(b) i));
        FOR n IN 1 .. cardinality(a) LOOP
          DECLARE
            good boolean := j.accepted[a[n]] AND j.accepted[b[n]] AND NOT (t.attach[b[n]] AND a[n] <> first_hub) OR l.states[n] = 'active';
            state text := CASE WHEN good THEN 'active' WHEN l.states[n] = 'revoked' AND l.reasons[n] = 'unmerge' THEN 'revoked' ELSE 'rejected' END;
            reason text := CASE WHEN good THEN NULL WHEN state = 'revoked' THEN l.reasons[n]
              ELSE coalesce(f.stops[b[n]], f.stops[a[n]], j.reasons[b[n]], j.reasons[a[n]], 'attach only') END;
          BEGIN
            IF (l.states[n], l.reasons[n], l.supported[n]) IS DISTINCT FROM (state, reason, true) OR l.first_seen[n] > at THEN
              need := need || n;
              states := states || state;
              reasons := reasons || reason;
              blockers := blockers || CASE WHEN reason = 'cannot' THEN coalesce(j.blockers[b[n]], j.blockers[a[n]]) END;
            END IF;
          END;
        END LOOP;
      END IF;
      IF need <> '{}' THEN
        w := cdp_internal.identify_links_write(load_id, ARRAY(SELECT ids[a[n]] FROM unnest(need) n), ARRAY(SELECT ids[b[n]] FROM unnest(need) n),
          states, reasons, blockers, at, event_key);
      END IF;

      -- 5. The merge: one pointer a loser, one ledger line, and the roots written because what they hold has changed.
      IF j.joined <> '{}' AND (need <> '{}' OR true = ANY (fresh)) THEN
        UPDATE cdp_data.customer c SET parent_id = identify_in.customer_id WHERE c.customer_id = ANY (j.joined);
      END IF;
      IF merged <> '{}' THEN
        PERFORM cdp_internal.identify_ledger(customer_id, j.joined, j.sizes,
          ARRAY(SELECT CASE WHEN x.yes AND NOT x.fresh THEN x.root END FROM unnest(f.roots, j.accepted, fresh) WITH ORDINALITY AS x (root, yes, fresh, n) ORDER BY x.n),
          ids, first_hub, locked_at, cause, source_id, load_id, event_key);
        PERFORM cdp_internal.feed_write(merged || customer_id, 'merge');
      END IF;
      IF 'customer size' = ANY (j.reasons) THEN
        PERFORM cdp_internal.alert_size(customer_id, most);
      END IF;
      identifier_id := ids[first_hub];
      home_id := homes[first_hub];

      -- 6. Shared by too many?
      IF crowded <> '{}' THEN
        crowded := cdp_internal.crowded(crowded, 0);
        IF crowded <> '{}' THEN
          PERFORM cdp_internal.quarantine_in(crowded);
          FOR i IN 1 .. k LOOP
            IF ids[i] = ANY (crowded) THEN
              f.stops[i] := 'super-node';
              j.accepted[i] := false;
            END IF;
          END LOOP;
          first_hub := coalesce(array_position(j.accepted, true), first_hub);
          identifier_id := ids[first_hub];
          home_id := homes[first_hub];
          customer_id := cdp_internal.identifier_root(identifier_id);
        END IF;
      END IF;
      rejected := coalesce((
        SELECT jsonb_agg(jsonb_build_object('type', t.names[i.n], 'reason', coalesce(i.stop, i.reason)) ORDER BY i.n)
        FROM unnest(j.accepted, j.reasons, f.stops, f.roots) WITH ORDINALITY AS i (yes, reason, stop, root, n)
        WHERE NOT i.yes AND i.root IS DISTINCT FROM identify_in.customer_id), '[]');
      RETURN;
    EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      f := cdp_internal.identify_find(t.type_ids, t.vals, t.attach);
    END;
  END LOOP;
  RAISE EXCEPTION 'customers of the record changed faster than they could be locked'
    USING ERRCODE = 'serialization_failure', DETAIL = 'Tried 100 times.', HINT = 'Try the transaction again.';
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_in(bigint, integer, smallint[], text[], timestamptz, text, text) IS
'One record that shows these identifiers (as cdp_internal.clean_identifiers() gives them) of one person. Makes the unknown ones, links all of them, and makes their customers one, as far as the rules let them: the weakest that would break one is left out. Returns customer_id (the root; NULL without an identifier), identifier_id and home_id of the strongest that may carry the record''s facts, created (the customer is new), merged (customers that lost their id to this one), rejected ([{"type", "reason"}]: who belongs to somebody else, and why). load_id gives the links their support; at is the time of the record; cause goes to the ledger. A record that tells nothing new writes nothing. Errors: 22004 load, time or cause missing, 54000 more than 50 identifiers, 40001 in REPEATABLE READ and SERIALIZABLE when somebody else works on the same customers: try again.';

CREATE OR REPLACE FUNCTION cdp_internal.winner_of(roots bigint[]) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT c.customer_id
    FROM cdp_data.customer c
      LEFT JOIN LATERAL (
        SELECT i.type_id FROM cdp_data.identifier i
        WHERE i.identifier_id = coalesce(
          (SELECT min(h.identifier_id) FROM cdp_data.identifier h WHERE h.customer_id = c.customer_id),
          (SELECT min(o.identifier_id) FROM cdp_data.identifier_override o WHERE o.customer_id = c.customer_id)) OFFSET 0) a ON true
      LEFT JOIN cdp_data.identifier_type_all t ON t.type_id = a.type_id
    WHERE c.customer_id = ANY (roots)
    ORDER BY t.priority, c.created_at, c.customer_id LIMIT 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.winner_of(bigint[]) IS
'Which of these customers keeps its id when they become one: the one whose anchor (its lowest identifier_id, by home, else by override) has the strongest type; then the earlier created; then the lower id.';

CREATE OR REPLACE FUNCTION cdp_internal.identify_ledger(
  winner bigint, joined bigint[], sizes integer[], roots bigint[], ids bigint[], hub integer, at timestamptz,
  cause text, source_id integer, load_id bigint, event_key text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The winner grows from line to line, in the order of the losers' ids.
  INSERT INTO cdp_data.merge_log (operation_id, at, kind, customer_id, from_id, to_id, link_id, cause, source_id, load_id, event_key, winner_size, loser_size)
  SELECT o.id, identify_ledger.at, 'merge', x.root, x.root, winner, k.link_id, identify_ledger.cause, identify_ledger.source_id, identify_ledger.load_id, identify_ledger.event_key,
    sizes[array_position(joined, winner)] + coalesce(sum(x.size) OVER (ORDER BY x.root ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0), x.size
  FROM nextval('cdp_data.identity_operation_seq') AS o (id),
    (SELECT u.root, u.size,
       ids[array_position(roots, u.root)] AS own,
       CASE WHEN array_position(roots, u.root) = hub OR roots[hub] = u.root THEN ids[array_position(roots, winner)] ELSE ids[hub] END AS other
     FROM unnest(joined, sizes) AS u (root, size) WHERE u.root <> winner) x
    LEFT JOIN cdp_data.link k ON k.a_id = least(x.own, x.other) AND k.b_id = greatest(x.own, x.other) AND k.kind = 'deterministic'
  ORDER BY x.root;
END
$$;
COMMENT ON FUNCTION cdp_internal.identify_ledger(bigint, bigint[], integer[], bigint[], bigint[], integer, timestamptz, text, integer, bigint, text) IS
'Writes the ledger lines of a merge by a record: one for each root that lost its id, with the link that brought it, and the sizes before. at is a time after the locks and before the links of the record, so that an unmerge can tell earlier links from those of the merge.';

CREATE OR REPLACE FUNCTION cdp_internal.crowded(ids bigint[], more integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT i.identifier_id
    FROM unnest(ids) AS x (id) JOIN cdp_data.identifier i ON i.identifier_id = x.id JOIN cdp_data.identifier_type_all t ON t.type_id = i.type_id
    WHERE i.state = 'active' AND t.supernode_degree < more + (
      -- Two ends have one such link only, so links count neighbours; one more than the limit is enough.
      SELECT count(*) FROM (
        SELECT FROM cdp_data.link l WHERE l.a_id = i.identifier_id AND l.kind = 'deterministic' AND l.state IN ('active', 'rejected')
        UNION ALL
        SELECT FROM cdp_data.link l WHERE l.b_id = i.identifier_id AND l.kind = 'deterministic' AND l.state IN ('active', 'rejected')
        LIMIT t.supernode_degree + 1) n)
    ORDER BY i.identifier_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.crowded(bigint[], integer) IS
'Which of these identifiers have more distinct neighbours, by links that records brought, than supernode_degree of their type, or would have with more new ones. Never reads more links of one than that.';

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

-- The slow twin of cdp_internal.identify_in() and clean_identifiers(): the same in plpgsql, in one session, without root
-- locks and without what is done for speed. Makes schema slow; test/pgtap/identify_twin.sql compares both.
CREATE SCHEMA slow;

CREATE FUNCTION slow.is_linked(id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM cdp_data.link l WHERE l.a_id = id AND l.state = 'active' AND l.kind <> 'cannot')
    OR EXISTS (SELECT FROM cdp_data.link l WHERE l.b_id = id AND l.state = 'active' AND l.kind <> 'cannot');
END
$$;

CREATE FUNCTION slow.identify_find(
  INOUT type_ids smallint[], INOUT vals text[],
  OUT names text[], OUT attach boolean[], OUT degrees integer[], OUT ids bigint[], OUT homes bigint[], OUT roots bigint[], OUT stops text[],
  OUT first_seen timestamptz[], OUT last_seen timestamptz[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  given_types smallint[] := type_ids;
  given text[] := vals;
  n integer := 0;
  t record;
  strength smallint := 0;
  g record;
  owner bigint;
  above bigint;
BEGIN
  -- A few index probes for each identifier are cheaper than one statement that joins all of these tables.
  FOR i IN 1 .. coalesce(cardinality(given), 0) LOOP
    IF i > 1 THEN
      strength := t.priority;
    END IF;
    IF i = 1 OR given_types[i] IS DISTINCT FROM given_types[i - 1] THEN
      SELECT y.type_id, y.name, y.priority, y.role, y.supernode_degree INTO t FROM cdp_data.identifier_type_all y WHERE y.type_id = given_types[i];
    END IF;
    -- The callers clean before, so this is in order already; whatever is not comes back in order, each once.
    IF t.type_id IS NULL OR t.role = 'ignore' OR coalesce(given[i], '') = '' OR i > 1
      AND (given_types[i] = given_types[i - 1] AND given[i] COLLATE "C" <= given[i - 1] OR (t.priority, t.type_id) < (strength, given_types[i - 1])) THEN
      SELECT array_agg(x.type_id), array_agg(x.value) INTO type_ids, vals
      FROM (
        SELECT DISTINCT y.priority, u.type_id, u.value COLLATE "C" AS value
        FROM unnest(given_types, given) AS u (type_id, value) JOIN cdp_data.identifier_type_all y ON y.type_id = u.type_id
        WHERE u.value <> '' AND y.role <> 'ignore' ORDER BY 1, 2, 3) x;
      SELECT * INTO type_ids, vals, names, attach, degrees, ids, homes, roots, stops, first_seen, last_seen
      FROM slow.identify_find(type_ids, vals);
      RETURN;
    END IF;
    SELECT x.identifier_id, x.customer_id, x.state, x.first_seen, x.last_seen INTO g
    FROM cdp_data.identifier x WHERE x.type_id = given_types[i] AND x.value = given[i];
    owner := g.customer_id;
    above := NULL;
    IF owner IS NOT NULL THEN
      SELECT x.customer_id INTO above FROM cdp_data.identifier_override x WHERE x.identifier_id = g.identifier_id;
      owner := coalesce(above, owner);
      SELECT x.parent_id INTO above FROM cdp_data.customer x WHERE x.customer_id = owner;
      IF above <> owner THEN
        above := cdp_internal.root_of(above);
      END IF;
    END IF;
    n := n + 1;
    names[n] := t.name;
    attach[n] := t.role = 'attach_only';
    degrees[n] := t.supernode_degree;
    ids[n] := g.identifier_id;
    homes[n] := g.customer_id;
    roots[n] := above;
    stops[n] := CASE WHEN g.state = 'quarantined' THEN 'super-node' END;
    IF attach[n] AND g.state = 'active' AND slow.is_linked(g.identifier_id) THEN
      stops[n] := 'attach only';
    END IF;
    first_seen[n] := g.first_seen;
    last_seen[n] := g.last_seen;
  END LOOP;
  IF n = 0 THEN
    type_ids := NULL;
    vals := NULL;
  END IF;
END
$$;

CREATE FUNCTION slow.identify_links(
  load_id bigint, a_ids bigint[], b_ids bigint[],
  OUT link_ids bigint[], OUT states text[], OUT reasons text[], OUT first_seen timestamptz[], OUT supported boolean[], OUT last_at timestamptz[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT array_agg(x.link_id), array_agg(x.state), array_agg(x.reason), array_agg(x.first_seen), array_agg(x.supported), array_agg(x.last_at)
  INTO link_ids, states, reasons, first_seen, supported, last_at
  FROM (
    SELECT l.link_id, l.state, l.reason, l.first_seen, s.load_id IS NOT NULL AS supported, s.last_at
    FROM unnest(a_ids, b_ids) WITH ORDINALITY AS u (a_id, b_id, n)
      LEFT JOIN LATERAL (
        SELECT y.link_id, y.state, y.reason, y.first_seen FROM cdp_data.link y
        WHERE y.a_id = least(u.a_id, u.b_id) AND y.b_id = greatest(u.a_id, u.b_id) AND y.kind = 'deterministic' OFFSET 0) l ON true
      LEFT JOIN LATERAL (
        SELECT y.load_id, y.last_at FROM cdp_data.link_support y
        WHERE y.link_id = l.link_id AND y.load_id = identify_links.load_id OFFSET 0) s ON true
    ORDER BY u.n) x;
END
$$;

CREATE FUNCTION slow.union_refusal(
  roots bigint[], fresh bigint[], apart bigint[], most integer, cut integer, OUT reason text, OUT blocker bigint, OUT sizes integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  -- One part is a root or, by its negative number, a new identifier, which is nobody's yet.
  parts bigint[] := roots;
  g record;
  l record;
  nth integer;
  total bigint := 0;
  types smallint[] := '{}';
  counts integer[] := '{}';
  shared boolean[] := '{}';
  some_shared boolean := false;
  cut_off integer := 0;
  whole_types smallint[];
BEGIN
  FOR i IN 1 .. cardinality(fresh) LOOP
    parts := parts || -fresh[i];
  END LOOP;
    -- Where ours goes down from the roots, this goes up from every identifier there is.
    WITH RECURSIVE standing (identifier_id, type_id, at) AS (
      SELECT i.identifier_id, i.type_id, coalesce(o.customer_id, i.customer_id)
      FROM cdp_data.identifier i LEFT JOIN cdp_data.identifier_override o USING (identifier_id)
      WHERE NOT i.identifier_id = ANY (apart)
      UNION ALL
      SELECT s.identifier_id, s.type_id, c.parent_id
      FROM standing s JOIN cdp_data.customer c ON c.customer_id = s.at AND c.parent_id <> c.customer_id
    ), member AS MATERIALIZED (
      SELECT s.at AS part, s.identifier_id, s.type_id
      FROM (SELECT x.*, row_number() OVER (PARTITION BY x.at) AS nth FROM standing x WHERE x.at = ANY (roots)) s WHERE cut IS NULL OR s.nth <= cut
      UNION ALL
      SELECT -h.identifier_id, h.identifier_id, h.type_id FROM cdp_data.identifier h WHERE h.identifier_id = ANY (fresh)
    )
    SELECT array_agg(x.part) AS parts, array_agg(x.type_id) AS types, array_agg(x.n) AS counts,
      EXISTS (SELECT FROM member m JOIN cdp_data.link k ON k.a_id = m.identifier_id AND k.kind = 'cannot' AND k.state = 'active')
        OR EXISTS (SELECT FROM member m JOIN cdp_data.link k ON k.b_id = m.identifier_id AND k.kind = 'cannot' AND k.state = 'active') AS near
    INTO g
    FROM (SELECT m.part, m.type_id, count(*)::integer AS n FROM member m GROUP BY m.part, m.type_id) x;

  sizes := array_fill(0, ARRAY[cardinality(parts)]);
  FOR i IN 1 .. coalesce(cardinality(g.parts), 0) LOOP
    nth := array_position(parts, g.parts[i]);
    sizes[nth] := sizes[nth] + g.counts[i];
    total := total + g.counts[i];
    nth := array_position(types, g.types[i]);
    IF nth IS NULL THEN
      types := types || g.types[i];
      counts := counts || g.counts[i];
      shared := shared || false;
    ELSE
      counts[nth] := counts[nth] + g.counts[i];
      shared[nth] := true;
    END IF;
  END LOOP;
  FOR i IN 1 .. cardinality(types) LOOP
    IF shared[i] AND EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.type_id = types[i] AND t.max_per_customer < counts[i]) THEN
      some_shared := true;
    END IF;
  END LOOP;

  IF most IS NULL AND cut IS NOT NULL THEN
    -- A large part was read in part only. The small ones tell whether the rest of it can matter.
    FOR i IN 1 .. cardinality(sizes) LOOP
      IF sizes[i] >= cut THEN
        cut_off := cut_off + 1;
        sizes[i] := NULL;
      END IF;
    END LOOP;
    IF cut_off > 0 THEN
      whole_types := ARRAY(SELECT x.type_id FROM unnest(g.parts, g.types) AS x (part, type_id) WHERE sizes[array_position(parts, x.part)] IS NOT NULL);
      IF g.near OR EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.type_id = ANY (whole_types) AND t.max_per_customer IS NOT NULL) THEN
        SELECT * INTO reason, blocker, sizes FROM slow.union_refusal(roots, fresh, apart, most, NULL);
      ELSIF cut_off > 1 THEN
        -- Further into all of them, until one at most is larger: as much work as the second largest asks for.
        SELECT * INTO reason, blocker, sizes FROM slow.union_refusal(roots, fresh, apart, most, cut * 8);
      END IF;
      RETURN;
    END IF;
  END IF;

  IF g.near THEN
    WITH member AS MATERIALIZED (
      SELECT p.part, m.identifier_id FROM unnest(roots) AS p (part) CROSS JOIN LATERAL cdp_internal.members(p.part) m WHERE m.identifier_id <> ALL (apart)
      UNION ALL
      SELECT -f, f FROM unnest(fresh) f
    )
    SELECT min(k.link_id) INTO blocker
    FROM member x JOIN cdp_data.link k ON k.a_id = x.identifier_id AND k.kind = 'cannot' AND k.state = 'active'
      JOIN member y ON y.identifier_id = k.b_id AND y.part <> x.part;
    IF blocker IS NOT NULL THEN
      reason := 'cannot';
      RETURN;
    END IF;
  END IF;
  IF some_shared THEN
    FOR l IN
      SELECT t.type_id, t.name, t.max_per_customer, t.limit_window
      FROM unnest(types, counts, shared) AS x (type_id, n, shared) JOIN cdp_data.identifier_type_all t ON t.type_id = x.type_id
      WHERE x.shared AND x.n > t.max_per_customer
      ORDER BY t.priority, t.type_id
    LOOP
      -- With a window: is the span from one to the one max_per_customer further on too short, and have two parts a share in it?
      CONTINUE WHEN l.limit_window IS NOT NULL AND NOT EXISTS (
        WITH seen AS MATERIALIZED (
          SELECT x.part, x.first_seen, row_number() OVER (ORDER BY x.first_seen, x.identifier_id) AS nth
          FROM (
            SELECT p.part, m.identifier_id, m.first_seen FROM unnest(roots) AS p (part) CROSS JOIN LATERAL cdp_internal.members(p.part) m
            WHERE m.type_id = l.type_id AND m.identifier_id <> ALL (apart)
            UNION ALL
            SELECT -h.identifier_id, h.identifier_id, h.first_seen FROM cdp_data.identifier h WHERE h.identifier_id = ANY (fresh) AND h.type_id = l.type_id) x
          WHERE x.first_seen IS NOT NULL)
        SELECT FROM seen a JOIN seen b ON b.nth = a.nth + l.max_per_customer
        WHERE extract(epoch FROM b.first_seen) - extract(epoch FROM a.first_seen) < extract(epoch FROM l.limit_window)
          AND EXISTS (SELECT FROM seen c WHERE c.nth BETWEEN a.nth AND b.nth AND c.part <> a.part));
      reason := 'limit ' || l.name;
      RETURN;
    END LOOP;
  END IF;
  IF total > most THEN
    reason := 'customer size';
  END IF;
END
$$;

CREATE FUNCTION slow.identify_judge(
  type_ids smallint[], ids bigint[], roots bigint[], fresh boolean[], stops text[], hubs integer[], most integer,
  OUT accepted boolean[], OUT reasons text[], OUT blockers bigint[], OUT joined bigint[], OUT sizes integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k integer := cardinality(ids);
  cut integer := coalesce(most + 1, 16);
  pairs boolean := EXISTS (SELECT FROM cdp_data.identifier_pair_limit p WHERE p.type_id = ANY (type_ids));
  own bigint[];
  newcomers bigint[];
  all_roots bigint[];
  nth integer;
  u record;
  why text;
  against bigint;
  counted integer[];
BEGIN
  reasons := array_fill(NULL::text, ARRAY[k]);
  blockers := array_fill(NULL::bigint, ARRAY[k]);
  accepted := array_fill(false, ARRAY[k]);
  own := '{}';
  all_roots := '{}';
  FOR i IN 1 .. k LOOP
    IF stops[i] IS NULL THEN
      accepted[i] := NOT pairs;
      IF fresh[i] THEN
        own := own || ids[i];
      ELSIF array_position(all_roots, roots[i]) IS NULL THEN
        all_roots := all_roots || roots[i];
      END IF;
    END IF;
  END LOOP;
  joined := all_roots;
  IF NOT pairs THEN
    IF cardinality(all_roots) + cardinality(own) < 2 THEN
      RETURN;
    END IF;
    u := slow.union_refusal(all_roots, own, own, most, cut);
    sizes := u.sizes[1:cardinality(all_roots)];
    IF u.reason IS NULL THEN
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
      SELECT * INTO why, against, counted FROM slow.union_refusal(
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

CREATE FUNCTION slow.pick(things anyarray, places integer[]) RETURNS anyarray
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  picked things%TYPE := '{}';
BEGIN
  FOR i IN 1 .. coalesce(cardinality(places), 0) LOOP
    picked := picked || things[places[i]];
  END LOOP;
  RETURN picked;
END
$$;

CREATE FUNCTION slow.identify_touch(ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM FROM cdp_data.identifier i WHERE i.identifier_id = ANY (ids) ORDER BY i.type_id, i.value FOR NO KEY UPDATE;
  UPDATE cdp_data.identifier i
  SET first_seen = least(i.first_seen, at), last_seen = CASE WHEN i.last_seen + interval '24 hours' >= at THEN i.last_seen ELSE greatest(i.last_seen, at) END
  WHERE i.identifier_id = ANY (ids)
    AND (i.first_seen IS NULL OR at < i.first_seen OR i.last_seen IS NULL OR at > i.last_seen + interval '24 hours');
END
$$;

CREATE FUNCTION slow.identify_links_write(
  load_id bigint, a_ids bigint[], b_ids bigint[], states text[], reasons text[], blockers bigint[], at timestamptz, event_key text,
  OUT link_ids bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Rows are locked and written in the order of their ends.
  WITH want AS MATERIALIZED (
    SELECT least(u.a, u.b) AS a_id, greatest(u.a, u.b) AS b_id, u.state, u.reason, u.blocker, u.n
    FROM unnest(a_ids, b_ids, states, reasons, blockers) WITH ORDINALITY AS u (a, b, state, reason, blocker, n)
  ), put AS (
    INSERT INTO cdp_data.link AS l (a_id, b_id, kind, state, first_seen, reason, blocker)
    SELECT w.a_id, w.b_id, 'deterministic', w.state, at, w.reason, w.blocker FROM want w ORDER BY w.a_id, w.b_id
    ON CONFLICT ON CONSTRAINT link_once DO UPDATE
    SET state = excluded.state, reason = excluded.reason, blocker = excluded.blocker, first_seen = least(l.first_seen, excluded.first_seen),
      changed_at = clock_timestamp()
    RETURNING l.link_id, l.a_id, l.b_id
  ), support AS (
    INSERT INTO cdp_data.link_support AS s (link_id, load_id, first_at, last_at, event_key)
    SELECT p.link_id, identify_links_write.load_id, at, at, identify_links_write.event_key FROM put p ORDER BY p.link_id
    ON CONFLICT ON CONSTRAINT link_support_pkey DO UPDATE
    SET first_at = least(s.first_at, excluded.first_at), last_at = greatest(s.last_at, excluded.last_at)
  )
  SELECT array_agg(p.link_id ORDER BY w.n) INTO link_ids
  FROM want w JOIN put p ON p.a_id = w.a_id AND p.b_id = w.b_id;
END
$$;

CREATE FUNCTION slow.identify_in(
  load_id bigint, source_id integer, type_ids smallint[], vals text[], at timestamptz, event_key text, cause text,
  OUT customer_id bigint, OUT identifier_id bigint, OUT home_id bigint, OUT created boolean, OUT merged bigint[], OUT rejected jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  f record;
  l record;
  j record;
  linked bigint[];
  k integer;
  attempt integer;
  missing integer;
  one_root boolean;
  most integer;
  first_hub integer;
  stars integer[];
  hubs integer[];
  ids bigint[];
  homes bigint[];
  fresh boolean[];
  a integer[];
  b integer[];
  changed boolean;
  guess bigint;
  made bigint;
  winner bigint;
  alone bigint;
  held bigint[];
  old bigint[];
  maybe bigint[];
  states text[];
  reasons text[];
  blockers bigint[];
  need integer[];
  crowded bigint[];
  late bigint[];
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
  f := slow.identify_find(type_ids, vals);
  k := cardinality(f.ids);
  IF k IS NULL THEN
    RETURN;
  END IF;
  FOR attempt IN 1 .. 100 LOOP
    -- The hubs: the two strongest that can merge; each other identifier gets a link from both, so that any one of
    -- them may be taken out later without the rest falling apart.
    -- In quarantine or not; by one in quarantine nobody is joined, and where all are, nobody at all.
    stars := ARRAY(SELECT i FROM generate_series(1, k) i WHERE NOT f.attach[i] ORDER BY i LIMIT 2);
    hubs := ARRAY(SELECT h FROM unnest(stars) h WHERE f.stops[h] IS NULL ORDER BY h);
    IF hubs = '{}' THEN
      hubs := ARRAY[coalesce(array_position(f.stops, NULL), 1)];
      IF stars <> '{}' THEN
        FOR i IN 1 .. k LOOP
          f.stops[i] := CASE WHEN i = hubs[1] THEN f.stops[i] ELSE coalesce(f.stops[i], 'super-node') END;
        END LOOP;
      ELSE
        -- Only one more can be attached to an identifier that is itself only attached.
        stars := hubs;
        FOR i IN hubs[1] + 1 .. k LOOP
          IF f.stops[i] IS NULL THEN
            IF f.stops[hubs[1]] IS NOT NULL OR held IS NOT NULL THEN
              f.stops[i] := 'attach only';
            END IF;
            held := '{}';
          END IF;
        END LOOP;
        held := NULL;
      END IF;
    END IF;
    first_hub := hubs[1];
    a := '{}';
    b := '{}';
    FOR h IN 1 .. cardinality(stars) LOOP
      FOR i IN 1 .. k LOOP
        IF i <> stars[1] AND i <> stars[h] THEN
          a := a || stars[h];
          b := b || i;
        END IF;
      END LOOP;
    END LOOP;
    missing := 0;
    one_root := true;
    FOR i IN 1 .. k LOOP
      IF f.ids[i] IS NULL THEN
        missing := missing + 1;
      ELSIF f.stops[i] IS NULL AND f.roots[i] <> f.roots[first_hub] THEN
        one_root := false;
      END IF;
    END LOOP;

    IF attempt = 1 AND missing = 0 THEN
      -- What is known and needs no change is answered without a lock.
      changed := NOT one_root;
      IF k > 1 AND one_root THEN
        l := slow.identify_links(load_id, slow.pick(f.ids, a), slow.pick(f.ids, b));
        FOR n IN 1 .. cardinality(a) LOOP
          IF NOT coalesce(l.supported[n], false) OR l.first_seen[n] > at OR l.last_at[n] + interval '24 hours' < at
            OR l.states[n] <> 'active' AND f.stops[a[n]] IS NULL AND f.stops[b[n]] IS NULL AND NOT f.attach[b[n]] THEN
            changed := true;
          END IF;
        END LOOP;
      END IF;
      IF NOT changed THEN
        ids := '{}';
        FOR i IN 1 .. k LOOP
          IF f.first_seen[i] IS NULL OR at < f.first_seen[i] OR f.last_seen[i] IS NULL OR at > f.last_seen[i] + interval '24 hours' THEN
            ids := ids || f.ids[i];
          END IF;
        END LOOP;
        IF ids <> '{}' THEN
          PERFORM slow.identify_touch(ids, at);
        END IF;
        customer_id := f.roots[first_hub];
        identifier_id := f.ids[first_hub];
        home_id := f.homes[first_hub];
        FOR i IN 1 .. k LOOP
          IF f.roots[i] <> customer_id THEN
            rejected := rejected || jsonb_build_object('type', f.names[i], 'reason', f.stops[i]);
          END IF;
        END LOOP;
        RETURN;
      END IF;
    END IF;

    IF attempt = 1 THEN
      LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE;
      IF 'super-node' = ANY (f.stops) THEN
        -- Somebody may have released it while this call waited for the table.
        f := slow.identify_find(f.type_ids, f.vals);
        CONTINUE;
      END IF;
    END IF;
    BEGIN
      -- 1. Identifiers. New ones get the customer of the strongest known one, which step 3 may correct.
      fresh := array_fill(false, ARRAY[k]);
      maybe := '{}';
      old := '{}';
      held := '{}';
      FOR i IN 1 .. k LOOP
        fresh[i] := f.ids[i] IS NULL;
        IF NOT fresh[i] THEN
          IF f.degrees[i] IS NOT NULL AND f.stops[i] IS DISTINCT FROM 'super-node' THEN
            maybe := maybe || f.ids[i];
          END IF;
          IF f.first_seen[i] IS NULL OR at < f.first_seen[i] OR f.last_seen[i] IS NULL OR at > f.last_seen[i] + interval '24 hours' THEN
            old := old || f.ids[i];
          END IF;
          IF f.stops[i] IS NULL AND array_position(held, f.roots[i]) IS NULL THEN
            held := held || f.roots[i];
          END IF;
        END IF;
      END LOOP;
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
            FROM unnest(f.type_ids, f.vals, fresh) WITH ORDINALITY AS u (type_id, value, fresh, n) WHERE u.fresh ORDER BY u.n OFFSET 0) n
          ORDER BY n.type_id, n.value COLLATE "C"
          ON CONFLICT DO NOTHING
          RETURNING i.identifier_id, i.type_id, i.value
        )
        SELECT array_agg(coalesce(u.id, p.identifier_id) ORDER BY u.n) INTO ids
        FROM unnest(f.type_ids, f.vals, f.ids) WITH ORDINALITY AS u (type_id, value, id, n)
          LEFT JOIN put p ON p.type_id = u.type_id AND p.value = u.value;
        FOR i IN 1 .. k LOOP
          homes[i] := coalesce(homes[i], guess);
        END LOOP;
        IF array_position(ids, NULL) IS NOT NULL THEN
          RAISE EXCEPTION 'somebody else wrote the same identifier' USING ERRCODE = 'CDPRT';
        END IF;
      END IF;
      -- Whoever may turn out to be shared by too many is locked here as well: later would be out of order.
      crowded := CASE WHEN k > 1 AND (maybe <> '{}' OR k > 20 AND missing > 0)
        THEN slow.crowded(maybe || CASE WHEN k > 20 THEN ids END, k - 1) ELSE '{}' END;
      IF old <> '{}' OR crowded <> '{}' THEN
        PERFORM slow.identify_touch(old || crowded, at);
      END IF;
      FOR i IN 1 .. k LOOP
        IF ids[i] = ANY (crowded) AND NOT fresh[i] AND array_position(held, f.roots[i]) IS NULL THEN
          held := held || f.roots[i];
        END IF;
      END LOOP;

      -- 2. Roots. What does not depend on who else works on them is asked before, to hold them shortly: the anchor and
      -- the age of a root never change.
      SELECT s.max_identifiers_per_customer INTO most FROM cdp_data.setting s;
      winner := CASE WHEN cardinality(held) > 1 THEN slow.winner_of(held) END;
      locked_at := clock_timestamp();

      -- 3. Who belongs together, and under which id.
      j := slow.identify_judge(f.type_ids, ids, f.roots, fresh, f.stops, hubs, most);
      customer_id := CASE WHEN j.joined = '{}' THEN NULL WHEN cardinality(j.joined) = 1 THEN j.joined[1]
        WHEN cardinality(j.joined) = cardinality(held) THEN winner ELSE slow.winner_of(j.joined) END;
      merged := array_remove(j.joined, customer_id);
      IF customer_id IS NULL AND made IS NULL AND missing > 0 AND true = ANY (j.accepted) THEN
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
      IF k = 2 AND merged <> '{}' THEN
        -- Two that were apart had no link in force; whatever stands there is overwritten.
        need := '{1}';
        states := '{active}';
        reasons := ARRAY[NULL::text];
        blockers := ARRAY[NULL::bigint];
      ELSIF k > 1 THEN
        l := slow.identify_links(load_id, slow.pick(ids, a), slow.pick(ids, b));
        FOR n IN 1 .. cardinality(a) LOOP
          DECLARE
            good boolean := j.accepted[a[n]] AND j.accepted[b[n]] AND NOT (f.attach[b[n]] AND a[n] <> first_hub) OR l.states[n] = 'active';
            state text := CASE WHEN good THEN 'active' WHEN l.states[n] = 'revoked' AND l.reasons[n] = 'unmerge' THEN 'revoked' ELSE 'rejected' END;
            reason text := CASE WHEN good THEN NULL WHEN state = 'revoked' THEN l.reasons[n]
              ELSE coalesce(f.stops[b[n]], f.stops[a[n]], j.reasons[b[n]], j.reasons[a[n]], 'attach only') END;
          BEGIN
            IF (l.states[n], l.reasons[n], l.supported[n]) IS DISTINCT FROM (state, reason, true)
              OR l.first_seen[n] > at OR l.last_at[n] + interval '24 hours' < at THEN
              need := need || n;
              states := states || state;
              reasons := reasons || reason;
              blockers := blockers || CASE WHEN reason = 'cannot' THEN coalesce(j.blockers[b[n]], j.blockers[a[n]]) END;
            END IF;
          END;
        END LOOP;
      END IF;
      IF need <> '{}' THEN
        linked := slow.identify_links_write(load_id, slow.pick(ids, slow.pick(a, need)), slow.pick(ids, slow.pick(b, need)),
          states, reasons, blockers, at, event_key);
      END IF;

      -- 5. The merge: one pointer a loser, one ledger line, and the roots written because what they hold has changed.
      IF j.joined <> '{}' AND (need <> '{}' OR true = ANY (fresh)) THEN
        UPDATE cdp_data.customer c SET parent_id = identify_in.customer_id WHERE c.customer_id = ANY (j.joined);
      END IF;
      IF merged <> '{}' THEN
        PERFORM slow.identify_ledger(customer_id, j.joined, j.sizes, f.roots, j.accepted, ids, first_hub, locked_at, cause, source_id, load_id, event_key);
        PERFORM cdp_internal.feed_write(merged || customer_id, 'merge');
      END IF;
      IF 'customer size' = ANY (j.reasons) THEN
        PERFORM cdp_internal.alert_size(customer_id, most);
      END IF;
      identifier_id := ids[first_hub];
      home_id := homes[first_hub];

      -- 6. Shared by too many? While this call waited for the roots, others may have brought neighbours.
      IF need <> '{}' AND (maybe <> '{}' OR k > 20) THEN
        late := slow.crowded(maybe || CASE WHEN k > 20 THEN ids END, 0);
        IF NOT late <@ crowded THEN
          RAISE EXCEPTION 'an identifier became crowded' USING ERRCODE = 'CDPRT';
        END IF;
        crowded := late;
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
      FOR i IN 1 .. k LOOP
        IF NOT j.accepted[i] AND f.roots[i] IS DISTINCT FROM customer_id THEN
          rejected := rejected || jsonb_build_object('type', f.names[i], 'reason', coalesce(f.stops[i], j.reasons[i]));
        END IF;
      END LOOP;
      RETURN;
    EXCEPTION WHEN SQLSTATE 'CDPRT' THEN
      f := slow.identify_find(f.type_ids, f.vals);
    END;
  END LOOP;
  RAISE EXCEPTION 'customers of the record changed faster than they could be locked'
    USING ERRCODE = 'serialization_failure', DETAIL = 'Tried 100 times.', HINT = 'Try the transaction again.';
END
$$;

CREATE FUNCTION slow.winner_of(roots bigint[]) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  winner bigint;
  made_at timestamptz;
  kind smallint;
  other_at timestamptz;
  other_kind smallint;
  anchor bigint;
  stronger integer;
BEGIN
  FOR i IN 1 .. cardinality(roots) LOOP
    SELECT c.created_at INTO other_at FROM cdp_data.customer c WHERE c.customer_id = roots[i];
    CONTINUE WHEN NOT FOUND;
    -- + 0: the index of the customer is to be read, not the primary key from its begin.
    anchor := (SELECT min(h.identifier_id + 0) FROM cdp_data.identifier h WHERE h.customer_id = roots[i]);
    IF anchor IS NULL THEN
      anchor := (SELECT min(o.identifier_id + 0) FROM cdp_data.identifier_override o WHERE o.customer_id = roots[i]);
    END IF;
    SELECT h.type_id INTO other_kind FROM cdp_data.identifier h WHERE h.identifier_id = anchor;
    stronger := 0;
    IF winner IS NOT NULL AND other_kind IS DISTINCT FROM kind THEN
      stronger := coalesce((SELECT t.priority FROM cdp_data.identifier_type_all t WHERE t.type_id = other_kind), 32767)
        - coalesce((SELECT t.priority FROM cdp_data.identifier_type_all t WHERE t.type_id = kind), 32767);
    END IF;
    IF winner IS NULL OR stronger < 0 OR stronger = 0 AND (other_at, roots[i]) < (made_at, winner) THEN
      winner := roots[i];
      made_at := other_at;
      kind := other_kind;
    END IF;
  END LOOP;
  RETURN winner;
END
$$;

CREATE FUNCTION slow.identify_ledger(
  winner bigint, joined bigint[], sizes integer[], roots bigint[], accepted boolean[], ids bigint[], hub integer, at timestamptz,
  cause text, source_id integer, load_id bigint, event_key text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  operation bigint := nextval('cdp_data.identity_operation_seq');
  winner_size integer := sizes[array_position(joined, winner)];
  loser bigint;
  own bigint;
  other bigint;
BEGIN
  -- The winner grows from line to line. The link told is the one between the loser's strongest and the hub.
  FOR n IN 1 .. cardinality(joined) LOOP
    loser := joined[n];
    CONTINUE WHEN loser = winner;
    own := NULL;
    other := NULL;
    FOR i IN 1 .. cardinality(ids) LOOP
      IF accepted[i] AND roots[i] = loser AND own IS NULL THEN
        own := ids[i];
      ELSIF accepted[i] AND roots[i] = winner AND other IS NULL THEN
        other := ids[i];
      END IF;
    END LOOP;
    IF own <> ids[hub] AND roots[hub] IS DISTINCT FROM loser THEN
      other := ids[hub];
    ELSIF own <> ids[hub] THEN
      own := ids[hub];
    END IF;
    INSERT INTO cdp_data.merge_log (operation_id, at, kind, customer_id, from_id, to_id, link_id, cause, source_id, load_id, event_key, winner_size, loser_size)
    VALUES (operation, identify_ledger.at, 'merge', loser, loser, winner,
      (SELECT k.link_id FROM cdp_data.link k WHERE k.a_id = least(own, other) AND k.b_id = greatest(own, other) AND k.kind = 'deterministic'),
      identify_ledger.cause, identify_ledger.source_id, identify_ledger.load_id, identify_ledger.event_key, winner_size, sizes[n]);
    winner_size := winner_size + sizes[n];
  END LOOP;
END
$$;

CREATE FUNCTION slow.crowded(ids bigint[], more integer) RETURNS bigint[]
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

CREATE FUNCTION slow.clean_identifiers(
  identifiers jsonb, OUT type_ids smallint[], OUT vals text[], OUT refused jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  rules text[] := cdp_internal.identifier_rules();
  g record;
  given text;
  clean text;
  code text;
  n integer := 0;
  priorities smallint[] := '{}';
BEGIN
  type_ids := '{}';
  vals := '{}';
  refused := '[]';
  IF identifiers IS NULL OR jsonb_typeof(identifiers) <> 'object' THEN
    RAISE EXCEPTION 'identifiers must be a JSON object'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(jsonb_typeof(identifiers), 'NULL')),
        HINT = 'Write type and value, such as {"email": "...", "phone": ["...", "..."]}.';
  END IF;
  FOR g IN
    SELECT e.key, t.type_id, t.priority, t.role, a.value
    FROM jsonb_each(identifiers) AS e (key, value)
      LEFT JOIN LATERAL (
        SELECT y.type_id, y.priority, y.role FROM cdp_data.identifier_type_all y WHERE y.name = e.key ORDER BY y.is_builtin, y.type_id LIMIT 1) t ON true
      CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END) AS a (value)
  LOOP
    n := n + 1;
    IF n > 50 THEN
      RAISE EXCEPTION 'too many identifiers in one record'
        USING ERRCODE = 'program_limit_exceeded', DETAIL = 'At most 50 are taken.',
          HINT = 'A record shows one person; send each person''s identifiers in a record of their own.';
    END IF;
    -- Lists and maps inside of a list are nobody's identifier.
    given := CASE WHEN jsonb_typeof(g.value) IN ('string', 'number') THEN g.value #>> '{}' END;
    clean := CASE WHEN g.role <> 'ignore' THEN cdp_internal.read_identifier(given, g.type_id, rules) END;
    IF clean IS NULL THEN
      code := CASE WHEN g.type_id IS NULL THEN 'unknown_identifier_type' WHEN g.role = 'ignore' THEN 'ignored'
        WHEN jsonb_typeof(g.value) IN ('boolean', 'object', 'array') THEN 'not_text'
        ELSE cdp_internal.refused_identifier(given, g.type_id, rules) END;
      refused := refused || jsonb_build_object('type', left(g.key, 63), 'code', code);
    ELSE
      type_ids := type_ids || g.type_id;
      priorities := priorities || g.priority;
      vals := vals || clean;
    END IF;
  END LOOP;
  IF cardinality(vals) > 1 THEN
    SELECT array_agg(x.type_id), array_agg(x.value) INTO type_ids, vals
    FROM (SELECT DISTINCT u.priority, u.type_id, u.value COLLATE "C" AS value FROM unnest(priorities, type_ids, vals) AS u (priority, type_id, value) ORDER BY 1, 2, 3) x;
  END IF;
  IF vals <> '{}' AND EXISTS (SELECT FROM cdp_data.suppression) THEN
    -- Erased people do not come in again.
    SELECT coalesce(array_agg(u.type_id ORDER BY u.n) FILTER (WHERE NOT u.gone), '{}'), coalesce(array_agg(u.value ORDER BY u.n) FILTER (WHERE NOT u.gone), '{}'),
      refused || coalesce(jsonb_agg(jsonb_build_object('type', u.name, 'code', 'suppressed')) FILTER (WHERE u.gone), '[]')
    INTO type_ids, vals, refused
    FROM (
      SELECT x.type_id, x.value, x.n, t.name,
        cdp_internal.is_suppressed(x.type_id, x.value) AS gone
      FROM unnest(type_ids, vals) WITH ORDINALITY AS x (type_id, value, n) JOIN cdp_data.identifier_type_all t ON t.type_id = x.type_id) u;
  END IF;
END
$$;

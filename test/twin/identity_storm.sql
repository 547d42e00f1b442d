-- A small crowded world for storms on the identity graph: types with every kind of rule, and single steps that many
-- clients make at random. Needs twin/identity.sql. Each step is one call; its refusals by rule are counted, other errors are not caught.
CREATE SCHEMA storm;
INSERT INTO cdp_data.identifier_type (type_id, name, normaliser, role, priority, max_per_customer, limit_window, supernode_degree) VALUES
  (1001, 'free1', 'trim', 'merge', 400, NULL, NULL, NULL), (1002, 'free2', 'trim', 'merge', 410, NULL, NULL, NULL), (1003, 'free3', 'trim', 'merge', 420, NULL, NULL, NULL),
  (1010, 'account', 'trim', 'merge', 100, 1, NULL, NULL), (1011, 'mail', 'trim', 'merge', 300, 3, NULL, NULL), (1012, 'tablet', 'trim', 'merge', 700, 4, '10 years', NULL),
  (1013, 'crumb', 'trim', 'merge', 800, NULL, NULL, 12), (1014, 'card', 'trim', 'attach_only', 450, NULL, NULL, 20);
INSERT INTO cdp_data.identifier_pair_limit (type_id, other_type_id, max_n) VALUES (1011, 1010, 1);
INSERT INTO cdp_data.source (name) VALUES ('storm0'), ('storm1'), ('storm2'), ('storm3');

-- What the clients said, in the transactions in which they said it; and what was refused.
CREATE UNLOGGED TABLE storm.record (type_ids smallint[], vals text[]);
CREATE UNLOGGED TABLE storm.refused (step text, code text);

CREATE FUNCTION storm.load_id() RETURNS bigint LANGUAGE sql AS $$
  SELECT load_id FROM cdp_data.load WHERE kind = 'calls' AND state = 'done' ORDER BY random() LIMIT 1
$$;
INSERT INTO cdp_data.load (source_id, kind, state) SELECT s.source_id, 'calls', 'done' FROM cdp_data.source s, generate_series(1, 4) WHERE s.name = 'storm0';

-- A record of two to four identifiers without any rule: every one must merge. x and y come from the client's generator.
CREATE FUNCTION storm.plain(tag text, x bigint, y bigint, z bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  types smallint[] := ARRAY[1001 + x % 3, 1001 + y % 3];
  vals text[] := ARRAY[tag || x, tag || y];
BEGIN
  IF z % 4 = 0 THEN
    types := types || (1001 + z % 3)::smallint;
    vals := vals || (tag || z);
  END IF;
  INSERT INTO storm.record VALUES (types, vals);
  PERFORM cdp_internal.identify_in(storm.load_id(), 1, types, vals, now(), NULL, 'identify');
END
$$;

-- One as a source tells it, which a revert of its load does not miss.
CREATE FUNCTION storm.beside(tag text, x bigint, y bigint) RETURNS void LANGUAGE sql AS $$
  SELECT cdp.identify('storm' || x % 4, jsonb_build_object('free1', jsonb_build_array(tag || x, tag || y)), '{}', now())
$$;

-- A record under rules.
CREATE FUNCTION storm.mixed(tag text, n integer, x bigint, y bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  record jsonb := jsonb_build_object((ARRAY['account', 'mail', 'mail', 'tablet', 'crumb', 'crumb'])[1 + x % 6], jsonb_build_array(tag || x));
  kind text := (ARRAY['mail', 'tablet', 'crumb', 'card', 'crumb', 'mail'])[1 + y % 6];
  z bigint := y;
BEGIN
  LOOP
    record := record || jsonb_build_object(kind, coalesce(record -> kind, '[]') || jsonb_build_array(tag || z));
    EXIT WHEN random() > 0.35;
    kind := (ARRAY['account', 'mail', 'tablet', 'crumb', 'card'])[1 + floor(random() * 5)::integer];
    z := 1 + floor(random() * n);
  END LOOP;
  PERFORM cdp.identify('storm' || x % 4, record, '{}', now());
END
$$;

-- Records for whole loads, over the same values: batch0 to batch3.
CREATE FUNCTION storm.write_batches(tag text, n integer, records integer) RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
BEGIN
  FOR i IN 0 .. 3 LOOP
    EXECUTE format('DROP TABLE IF EXISTS storm.batch%s', i);
    EXECUTE format('CREATE TABLE storm.batch%s AS SELECT ''batch'' || i AS source_key, $1 || 1 + floor(random() * $2) AS account,
      $1 || 1 + floor(random() * $2) AS mail, CASE WHEN i %% 2 = 0 THEN $1 || 1 + floor(random() * $2) END AS tablet,
      CASE WHEN i %% 3 = 0 THEN $1 || 1 + floor(random() * random() * $2) END AS crumb, now() AS observed_at FROM generate_series(1, $3) i', i) USING tag, n, records;
  END LOOP;
END
$$;

-- Any other step, on identifiers, links and loads that are there.
CREATE FUNCTION storm.other(step text, tag text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a bigint;
  b bigint;
  l record;
BEGIN
  SELECT i.identifier_id INTO a FROM cdp_data.identifier i WHERE i.identifier_id >= (SELECT max(identifier_id) * random() FROM cdp_data.identifier) ORDER BY 1 LIMIT 1;
  SELECT i.identifier_id INTO b FROM cdp_data.identifier i WHERE i.identifier_id >= (SELECT max(identifier_id) * random() FROM cdp_data.identifier) ORDER BY 1 LIMIT 1;
  SELECT x.* INTO l FROM cdp_data.link x WHERE x.link_id >= (SELECT max(link_id) * random() FROM cdp_data.link) ORDER BY link_id LIMIT 1;
  IF a IS NULL OR b IS NULL OR l IS NULL THEN
    RETURN;
  END IF;
  CASE step
    WHEN 'link' THEN PERFORM cdp.link_identifiers(a, b, 'storm');
    WHEN 'forbid' THEN PERFORM cdp.forbid_link(a, b, 'storm');
    WHEN 'forbid near' THEN PERFORM cdp.forbid_link(l.a_id, l.b_id, 'storm');
    WHEN 'allow' THEN
      SELECT x.* INTO l FROM cdp_data.link x WHERE x.kind = 'cannot' AND x.state = 'active' ORDER BY random() LIMIT 1;
      IF FOUND THEN
        PERFORM cdp.allow_link(l.a_id, l.b_id, 'storm');
      END IF;
    WHEN 'quarantine' THEN PERFORM cdp.quarantine_identifier(a, 'storm');
    WHEN 'release' THEN
      SELECT i.identifier_id INTO a FROM cdp_data.identifier i WHERE i.state = 'quarantined' ORDER BY random() LIMIT 1;
      IF FOUND THEN
        PERFORM cdp.release_identifier(a);
      END IF;
    WHEN 'unmerge' THEN
      CASE floor(random() * 4)::integer
        WHEN 0 THEN PERFORM cdp.unmerge(link => l.link_id, reason => 'storm');
        WHEN 1 THEN PERFORM cdp.unmerge(identifier => a, reason => 'storm');
        WHEN 2 THEN PERFORM cdp.unmerge(merge => (SELECT m.merge_id FROM cdp_data.merge_log m WHERE m.kind = 'merge' ORDER BY random() LIMIT 1), reason => 'storm');
        ELSE PERFORM cdp.unmerge(customer => cdp_internal.identifier_root(a), since => clock_timestamp() - random() * interval '20 s', reason => 'storm');
      END CASE;
    WHEN 'load' THEN PERFORM cdp.load_customers('storm' || floor(random() * 4), ('storm.batch' || floor(random() * 4))::regclass);
    WHEN 'revert' THEN PERFORM cdp.revert_load((SELECT d.load_id FROM cdp_data.load d WHERE d.state = 'done' ORDER BY random() LIMIT 1));
    WHEN 'retry' THEN
      SELECT d.load_id INTO a FROM cdp_data.load d WHERE d.state = 'reverted' ORDER BY random() LIMIT 1;
      IF FOUND THEN
        PERFORM cdp.retry_load(a);
      END IF;
    WHEN 'rebuild' THEN PERFORM cdp.rebuild(dry_run => false);
    WHEN 'recompute' THEN PERFORM cdp_internal.recompute(ARRAY[cdp_internal.identifier_root(a), cdp_internal.identifier_root(b)], 'unmerge', 'storm', true);
  END CASE;
EXCEPTION WHEN invalid_parameter_value OR object_not_in_prerequisite_state OR serialization_failure THEN
  INSERT INTO storm.refused VALUES (step, sqlstate);
END
$$;

-- How far customers differ from what the records said (0: not at all): by a union-find over storm.record, whose types have no rule.
CREATE FUNCTION storm.lost() RETURNS bigint LANGUAGE sql SET jit = off AS $$
  WITH said AS MATERIALIZED (
    SELECT row_number() OVER () AS record, r.type_ids, r.vals FROM storm.record r
  ), node AS MATERIALIZED (
    SELECT v.type_id, v.value, dense_rank() OVER (ORDER BY v.type_id, v.value COLLATE "C")::integer AS n, s.record, v.nth
    FROM said s, unnest(s.type_ids, s.vals) WITH ORDINALITY AS v (type_id, value, nth)
  ), edge AS (
    SELECT a.n AS a, b.n AS b FROM node a JOIN node b ON b.record = a.record AND b.nth = 1 AND a.nth > 1
  ), found AS MATERIALIZED (
    SELECT u.low, u.nth AS n
    FROM unnest(twin.union_find((SELECT max(n) FROM node), (SELECT array_agg(e.a) FROM edge e), (SELECT array_agg(e.b) FROM edge e)))
      WITH ORDINALITY AS u (low, nth)
  ), compared AS MATERIALIZED (
    SELECT f.low, p.root
    FROM (SELECT DISTINCT x.n, x.type_id, x.value FROM node x) x JOIN found f USING (n)
      LEFT JOIN cdp_data.identifier i ON i.type_id = x.type_id AND i.value = x.value LEFT JOIN twin.place() p USING (identifier_id)
  )
  SELECT count(*) FILTER (WHERE b.root IS NULL) + count(DISTINCT (b.low, b.root)) - least(count(DISTINCT b.low), count(DISTINCT b.root)) FROM compared b
$$;

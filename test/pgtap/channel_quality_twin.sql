-- The form of records against a slow plain twin, on random streams whose fields vanish, come, change their type and come back.
SELECT plan(3);
SET client_min_messages = error;
SELECT cdp.add_source('s'), cdp.add_connector('{"connector": "my_things", "version": 1, "base_url": "https://things.example", "tz": "UTC", "streams": {"things": {"path": "/t", "records": "$[*]", "key": ["id"], "content": {"kind": "post", "id": "id", "title": "a", "text": "b.c"}}}}'),
  cdp.create_connection('s', 'my_things', '{}', 's') \g /dev/null
SELECT setseed(0.84) \g /dev/null

-- The twin walks through one record after the other and counts each path once.
CREATE TABLE shape (path text PRIMARY KEY, types text[], seen int, of int);
CREATE TABLE drift (path text, kind text, used boolean, closed text);
CREATE TABLE told (path text, type text, r int, PRIMARY KEY (path, type, r));
CREATE FUNCTION pg_temp.walk(r int, at text, v jsonb, depth int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE k text; x jsonb; i int := 0;
BEGIN
  IF jsonb_typeof(v) = 'null' THEN RETURN; END IF;
  IF at <> '' THEN INSERT INTO told VALUES (at, jsonb_typeof(v), r) ON CONFLICT DO NOTHING; END IF;
  IF at = '' AND jsonb_typeof(v) <> 'object' THEN INSERT INTO told VALUES ('$', jsonb_typeof(v), r) ON CONFLICT DO NOTHING; END IF;
  IF depth >= 8 THEN RETURN; END IF;
  IF jsonb_typeof(v) = 'object' THEN
    FOR k, x IN SELECT * FROM jsonb_each(v) LOOP
      PERFORM pg_temp.walk(r, CASE WHEN at = '' THEN '' ELSE at || '.' END || CASE WHEN k ~ '^[a-z_]+$' THEN k ELSE '*' END, x, depth + 1);
    END LOOP;
  ELSIF jsonb_typeof(v) = 'array' THEN
    FOR x IN SELECT * FROM jsonb_array_elements(v) LOOP
      i := i + 1;
      EXIT WHEN i > 20;
      PERFORM pg_temp.walk(r, at || '[*]', x, depth + 1);
    END LOOP;
  END IF;
END $$;
CREATE FUNCTION pg_temp.under(p text, top text) RETURNS boolean LANGUAGE sql AS $$ SELECT p = top OR left(p, length(top) + 1) IN (top || '.', top || '[') $$;
CREATE FUNCTION pg_temp.chance(share numeric, times int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE p float8 := 1;
BEGIN
  FOR i IN 1..times LOOP p := p * share::float8; EXIT WHEN p < 1e-9; END LOOP;
  RETURN p;
END $$;
CREATE FUNCTION pg_temp.twin(records jsonb[], looked int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE m int := cardinality(records); known int; t record; h record; d record; n int; up text;
BEGIN
  DELETE FROM told;
  FOR i IN 1..m LOOP PERFORM pg_temp.walk(i, '', records[i], 0); END LOOP;
  SELECT coalesce(max(of), 0) INTO known FROM shape;
  IF looked >= 50 THEN
    -- another type
    FOR h IN SELECT * FROM shape LOOP
      IF EXISTS (SELECT FROM told x WHERE x.path = h.path AND x.type <> ALL (h.types) GROUP BY x.type HAVING count(*) >= 3 AND pg_temp.chance(1 - count(*) / (m + 1.0), h.seen) < 0.001)
        AND NOT EXISTS (SELECT FROM drift x WHERE x.path = h.path AND x.kind = 'type' AND x.closed IS NULL) THEN
        INSERT INTO drift VALUES (h.path, 'type', NULL, NULL);
      END IF;
    END LOOP;
    -- missing, unless what it stands in is missing or of another type now
    CREATE TEMP TABLE gone AS SELECT s.path FROM shape s WHERE s.path NOT IN (SELECT x.path FROM told x) AND pg_temp.chance(1 - s.seen / (s.of + 1.0), m) < 0.001;
    FOR h IN SELECT g.path FROM gone g LOOP
      up := CASE WHEN right(h.path, 3) = '[*]' THEN left(h.path, -3) WHEN h.path ~ '\.' THEN substring(h.path FROM '^(.*)\.') ELSE '' END;
      CONTINUE WHEN up IN (SELECT g.path FROM gone g);
      CONTINUE WHEN EXISTS (SELECT FROM shape s JOIN told x ON x.path = s.path WHERE s.path = up AND x.type <> ALL (s.types) GROUP BY s.path, s.seen, x.type HAVING count(*) >= 3 AND pg_temp.chance(1 - count(*) / (m + 1.0), s.seen) < 0.001);
      IF NOT EXISTS (SELECT FROM drift x WHERE x.path = h.path AND x.kind = 'missing' AND x.closed IS NULL) THEN INSERT INTO drift VALUES (h.path, 'missing', NULL, NULL); END IF;
    END LOOP;
    DROP TABLE gone;
    -- new
    CREATE TEMP TABLE come AS SELECT x.path FROM told x WHERE x.path NOT IN (SELECT s.path FROM shape s) GROUP BY x.path HAVING count(DISTINCT r) >= 3 AND pg_temp.chance(1 - count(DISTINCT r) / (m + 1.0), known) < 0.001;
    FOR h IN SELECT c.path FROM come c LOOP
      up := CASE WHEN right(h.path, 3) = '[*]' THEN left(h.path, -3) WHEN h.path ~ '\.' THEN substring(h.path FROM '^(.*)\.') ELSE '' END;
      CONTINUE WHEN up IN (SELECT c.path FROM come c) OR EXISTS (SELECT FROM drift x WHERE x.path = h.path AND x.kind = 'new' AND x.closed IS NULL);
      INSERT INTO drift VALUES (h.path, 'new', NULL, NULL);
    END LOOP;
    DROP TABLE come;
  END IF;
  FOR d IN SELECT ctid, * FROM drift WHERE closed IS NULL AND kind <> 'new' LOOP
    IF d.path IN (SELECT path FROM told) AND (d.kind = 'missing' OR NOT EXISTS (SELECT FROM told x JOIN shape s ON s.path = x.path WHERE x.path = d.path AND x.type <> ALL (s.types))) THEN UPDATE drift SET closed = 'back' WHERE ctid = d.ctid; END IF;
  END LOOP;
  FOR h IN SELECT path FROM shape UNION SELECT path FROM told LOOP
    CONTINUE WHEN EXISTS (SELECT FROM drift x WHERE x.closed IS NULL AND x.kind <> 'new' AND pg_temp.under(h.path, x.path));
    SELECT count(DISTINCT r) INTO n FROM told x WHERE x.path = h.path;
    IF EXISTS (SELECT FROM shape s WHERE s.path = h.path) THEN
      UPDATE shape s SET of = s.of + m, seen = s.seen + n, types = ARRAY(SELECT y COLLATE "C" FROM unnest(s.types) y UNION SELECT x.type COLLATE "C" FROM told x WHERE x.path = s.path ORDER BY 1) WHERE s.path = h.path;
    ELSE
      INSERT INTO shape SELECT h.path, array_agg(DISTINCT x.type COLLATE "C" ORDER BY x.type COLLATE "C"), n, known + m FROM told x WHERE x.path = h.path;
    END IF;
  END LOOP;
END $$;

-- A stream: fields with a chance each; which of them are there, and of which type, changes with the phase.
CREATE FUNCTION pg_temp.thing(i int, phase int) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('id', i, 'phase_no', phase,
    'a', CASE WHEN phase = 3 AND random() < 0.9 THEN '"7"'::jsonb WHEN random() < 0.95 THEN to_jsonb((random() * 9)::int) END,
    'b', CASE WHEN phase NOT IN (2, 5) THEN jsonb_build_object('c', 'x', 'd', CASE WHEN random() < 0.3 THEN 1 END, 'e', CASE WHEN phase <> 4 THEN jsonb_build_array(1, 'y', NULL, jsonb_build_object('f', true)) END) END,
    'l', CASE WHEN random() < 0.6 THEN (SELECT jsonb_agg(jsonb_build_object('m', random() < 0.5, '2026-01-0' || j, CASE WHEN phase > 3 THEN j::text END)) FROM generate_series(1, (random() * 30)::int) j) END,
    'g', CASE WHEN phase IN (3, 4) THEN jsonb_build_object('h', 1) END,
    'rare', CASE WHEN random() < 0.02 THEN 1 END)) $$;
CREATE TABLE seen (phase int, shapes boolean, drifts boolean);
DO $$
DECLARE id int := (SELECT connection_id FROM cdp_data.connection); n int; looked int := 0; at timestamptz := '2026-03-01'; records jsonb[]; k int := 0;
BEGIN
  FOR phase IN 1..6 LOOP
    FOR turn IN 1..4 LOOP
      n := 3 + (random() * 40)::int;
      records := ARRAY(SELECT pg_temp.thing(k + i, phase) FROM generate_series(1, n) i);
      k := k + n; at := at + interval '1 hour';
      PERFORM cdp.ingest_page('s', 'things', convert_to(to_jsonb(records)::text, 'UTF8'), fetched_at => at);
      -- what was too few waits
      SELECT array_agg(r.payload) INTO records FROM cdp_data.raw_record r WHERE r.page_id > coalesce((SELECT p.page_id FROM cdp_data.stream_profile p), 0) AND r.gone_at IS NULL;
      PERFORM cdp_internal.watch_connection(id, at);
      IF cardinality(records) >= 5 THEN PERFORM pg_temp.twin(records, looked); looked := looked + cardinality(records); END IF;
      INSERT INTO seen SELECT phase,
        NOT EXISTS (SELECT path, types, seen, of FROM shape EXCEPT SELECT h.path, h.types, h.seen::int, h.of::int FROM cdp_data.stream_shape h) AND NOT EXISTS (SELECT h.path, h.types, h.seen::int, h.of::int FROM cdp_data.stream_shape h EXCEPT SELECT path, types, seen, of FROM shape),
        (SELECT array_agg(concat_ws(' ', path, kind, closed) ORDER BY path COLLATE "C", kind, closed) FROM drift) IS NOT DISTINCT FROM (SELECT array_agg(concat_ws(' ', d.path, d.kind, d.closed_by) ORDER BY d.path, d.kind, d.closed_by) FROM cdp_data.stream_drift d);
    END LOOP;
  END LOOP;
END $$;
SELECT is((SELECT count(*) FILTER (WHERE shapes) || ' of ' || count(*) FROM seen), '24 of 24', 'the form that is known is that of the twin after every look');
SELECT is((SELECT count(*) FILTER (WHERE drifts) || ' of ' || count(*) FROM seen), '24 of 24', 'and so are its changes');
SELECT is((SELECT count(DISTINCT kind) FILTER (WHERE closed_by = 'back') || ' ' || count(DISTINCT kind) || ' ' || (bool_or(is_used) FILTER (WHERE path IN ('a', 'b'))) || ' ' || (bool_or(is_used) FILTER (WHERE path NOT IN ('a', 'b', 'b.c'))) FROM cdp_data.stream_drift), '2 3 true false', 'of every kind, some of them back');
SELECT * FROM finish();

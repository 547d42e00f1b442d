-- Connected components equal their slow twin on random graphs, for every type of node and every way to ask.
-- A failing test prints its seed: SELECT t.make_links(seed) makes the same links again.
BEGIN;
SELECT plan(10);
SET LOCAL client_min_messages = error;
\ir ../twin/components.sql
CREATE SCHEMA t;

-- Random links: sparse to dense, with repeated ones, rows with one end, links of a node with itself, chains and stars.
CREATE FUNCTION t.make_links(seed int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  nodes int;
BEGIN
  PERFORM setseed(seed / 1000.0);
  nodes := 1 + (random() ^ 3 * 400)::int;
  TRUNCATE twin.link;
  INSERT INTO twin.link
  SELECT CASE WHEN r < 0.05 THEN NULL ELSE lpad(a::text, 9, '0') END,
    CASE WHEN r BETWEEN 0.03 AND 0.1 THEN NULL WHEN r < 0.2 THEN lpad(a::text, 9, '0') WHEN r < 0.3 THEN lpad((a + 1)::text, 9, '0')
      WHEN r < 0.33 THEN lpad('7', 9, '0') ELSE lpad(b::text, 9, '0') END
  FROM (SELECT (random() * nodes)::int AS a, (random() * nodes)::int AS b, random() AS r
        FROM generate_series(1, (nodes * random() * 1.6)::int)) g;
END $$;
-- A number that text of nine digits stands for: spread over all 64 bits, of both signs, in the same order.
CREATE FUNCTION t.number(id text) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN (id::numeric * 40000000000000000 - 9000000000000000000)::bigint;
CREATE FUNCTION t.uuid(id text) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN (substr(id, 2) || '-1111-1111-1111-' || lpad(id, 12, 'f'))::uuid;

-- Seeds whose components differ from the twin's, asked for in each way.
CREATE FUNCTION t.differing(seeds int) RETURNS TABLE (way text, seed int) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  c refcursor;
BEGIN
  FOR seed IN 1 .. seeds LOOP
    PERFORM t.make_links(seed);
    CREATE TEMP TABLE expected ON COMMIT DROP AS SELECT * FROM twin.components();
    CREATE TEMP TABLE got (way text, id text, component text) ON COMMIT DROP;
    CREATE TABLE t.number_link AS SELECT t.number(a) AS "from", t.number(b) AS "to" FROM twin.link;
    CREATE TABLE t.uuid_link AS SELECT t.uuid(a) AS a, t.uuid(b) AS b FROM twin.link;
    INSERT INTO got SELECT 'bigint', id, component FROM cdp.component_rows((SELECT cdp.components(t.number(a), t.number(b)) FROM twin.link));
    INSERT INTO got SELECT 'bigint, table', id, component FROM cdp.connected_components('t.number_link', 'from', 'to');
    INSERT INTO got SELECT 'bigint, streamed', (r).id, (r).component FROM (SELECT cdp.connected_components('t.number_link', 'from', 'to') AS r OFFSET 0) s;
    OPEN c FOR SELECT "from", "to" FROM t.number_link ORDER BY random();
    INSERT INTO got SELECT 'bigint, cursor', id, component FROM cdp.cursor_components(c);
    CLOSE c;
    INSERT INTO got SELECT 'text', id, component FROM cdp.component_rows_text((SELECT cdp.components(a, b) FROM twin.link));
    INSERT INTO got SELECT 'text, table', id, component FROM cdp.connected_components_text('twin.link');
    INSERT INTO got SELECT 'uuid', id, component FROM cdp.component_rows_uuid((SELECT cdp.components(t.uuid(a), t.uuid(b)) FROM twin.link));
    INSERT INTO got SELECT 'uuid, table', id, component FROM cdp.connected_components_uuid('t.uuid_link');
    INSERT INTO got SELECT 'merged parts', id, component FROM cdp.component_rows_text((SELECT cdp.component_merge(s) FROM
      (SELECT cdp.components(a, b) AS s FROM (SELECT a, b, row_number() OVER () % 5 AS part FROM twin.link) p GROUP BY part) q));
    RETURN QUERY
      SELECT w.way, seed FROM unnest('{bigint,"bigint, table","bigint, streamed","bigint, cursor",text,"text, table",uuid,"uuid, table","merged parts"}'::text[]) AS w (way)
      WHERE (SELECT md5(string_agg(g.id || ' ' || g.component, ',' ORDER BY g.id COLLATE "C")) FROM got g WHERE g.way = w.way) IS DISTINCT FROM
        (SELECT md5(string_agg(k.id || ' ' || k.component, ',' ORDER BY k.id COLLATE "C")) FROM expected e, LATERAL (SELECT
           CASE WHEN w.way LIKE 'bigint%' THEN t.number(e.id)::text WHEN w.way LIKE 'uuid%' THEN t.uuid(e.id)::text ELSE e.id END AS id,
           CASE WHEN w.way LIKE 'bigint%' THEN t.number(e.component)::text WHEN w.way LIKE 'uuid%' THEN t.uuid(e.component)::text ELSE e.component END AS component) k);
    DROP TABLE t.number_link, t.uuid_link, expected, got;
  END LOOP;
END $$;
CREATE TABLE t.result AS SELECT * FROM t.differing(60);
SELECT is((SELECT string_agg(seed::text, ' ') FROM t.result r WHERE r.way = w.way), NULL, w.way || ': equal to the twin')
FROM unnest('{bigint,"bigint, table","bigint, streamed","bigint, cursor",text,"text, table",uuid,"uuid, table","merged parts"}'::text[]) AS w (way);

-- The counts, against plain SQL.
SELECT t.make_links(77) \g /dev/null
SELECT is((SELECT to_jsonb(s) FROM cdp.component_summary((SELECT cdp.components(a, b) FROM twin.link)) s),
  (SELECT jsonb_build_object('node_type', 'text', 'nodes', sum(n), 'links', (SELECT count(*) FROM twin.link WHERE a IS NOT NULL AND b IS NOT NULL),
    'components', count(*), 'largest', max(n), 'single', count(*) FILTER (WHERE n = 1)) FROM (SELECT count(*) AS n FROM twin.components() GROUP BY component) c),
  'summary');
SELECT * FROM finish();
ROLLBACK;

-- Fraud rules on graphs equal their slow twins on random graphs: components with a hub cap, cores, cycles, dense blocks; for
-- every type of node and every way to ask. A failing test prints seeds: SELECT t.make_edges(seed) makes the same edges again.
BEGIN;
SELECT plan(9);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off; -- compiling costs more than these small graphs
\ir ../twin/graph.sql
CREATE SCHEMA t;

-- Sparse to dense, with repeated edges, hubs, edges of a node with itself and rows with one end or none; two blocks in some.
CREATE FUNCTION t.make_edges(seed int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  nodes int;
BEGIN
  PERFORM setseed(seed / 1000.0);
  nodes := 1 + (random() ^ 2 * 30)::int;
  TRUNCATE twin.edge;
  INSERT INTO twin.edge
  SELECT CASE WHEN r < 0.02 THEN NULL WHEN r < 0.1 THEN 3 ELSE a END - 7, CASE WHEN r BETWEEN 0.01 AND 0.05 THEN NULL WHEN r BETWEEN 0.1 AND 0.2 THEN 5 WHEN r < 0.25 THEN a ELSE b END - 7
  FROM (SELECT (random() * nodes)::int AS a, (random() * nodes)::int AS b, random() AS r FROM generate_series(1, (nodes * random() * 4)::int)) g;
  INSERT INTO twin.edge SELECT x, y FROM generate_series(1, 5) x, generate_series(2, 7) y WHERE seed % 3 = 0 AND random() < 0.8;
  INSERT INTO twin.edge SELECT a, b FROM twin.edge WHERE random() < 0.2;
END $$;
-- Ids of other types in the same order.
CREATE FUNCTION t.uuid(id bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN lpad(to_hex(id + 2000), 32, '0')::uuid;
CREATE FUNCTION t.text(id bigint) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'n' || (id + 2000);

-- What each rule says, as one text.
CREATE FUNCTION t.ask(rule text, way text, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r text;
  call text;
  columns text := CASE rule WHEN 'components' THEN 'account, component, accounts' WHEN 'core' THEN 'account, core, degree'
    WHEN 'cycles' THEN 'length, accounts' ELSE 'block, account, attribute, accounts, attributes, density' END;
  kind text := CASE WHEN way LIKE 'uuid%' THEN 'uuid' WHEN way LIKE 'text%' THEN 'text' END;
  options text := CASE rule WHEN 'components' THEN format(', %s', n) WHEN 'core' THEN '' WHEN 'cycles' THEN format(', %s, %s', 2 + n % 3, n + 1)
    ELSE format(', %s, %L', n, CASE WHEN n % 2 = 0 THEN 'none' ELSE 'log' END) END;
  function text := CASE rule WHEN 'blocks' THEN 'fraud_dense_blocks' ELSE 'fraud_' || rule END;
BEGIN
  IF way = 'twin' THEN
    call := format('SELECT %s FROM twin.%s(%s)', columns, function, ltrim(options, ', '));
  ELSIF way = 'table' THEN
    call := format('SELECT * FROM cdp.%s(%L::regclass%s)', function, 'twin.edge', options);
  ELSIF way = 'named' THEN
    call := format('SELECT * FROM cdp.%s(%L::regclass%s, a => %L, b => %L)', function, 't.named', options, 'to "x', 'B');
  ELSIF way = 'cursor' THEN
    call := format('SELECT * FROM cdp.%s(%L::refcursor%s)', function, 'edges', options);
  ELSIF way = 'shuffled' THEN
    call := format('SELECT (cdp.%s(cdp.fraud_graph(a, b)%s)).* FROM (SELECT a, b FROM twin.edge ORDER BY random()) e', function, options);
  ELSIF way = 'stored' THEN
    call := format('SELECT (cdp.%s(g::text::cdp.fraud_graph%s)).* FROM (SELECT cdp.fraud_graph(a::int, b::int) AS g FROM twin.edge) e', function, options);
  ELSE
    call := format('SELECT (cdp.%s_%s(cdp.fraud_graph(t.%2$s(a), t.%2$s(b))%s)).* FROM twin.edge', function, kind, options);
  END IF;
  EXECUTE format('SELECT string_agg(x, '' '' ORDER BY x COLLATE "C") FROM (SELECT format(%L, %s) AS x FROM (%s) q) s',
    '(' || repeat('%s,', array_length(string_to_array(columns, ','), 1)) || ')', columns, call) INTO r;
  RETURN r;
END $$;
-- The twin's answer with the ids of another type.
CREATE FUNCTION t.expected(rule text, kind text, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r text;
BEGIN
  EXECUTE format(CASE rule
    WHEN 'components' THEN 'SELECT string_agg(x, '' '' ORDER BY x COLLATE "C") FROM (SELECT format(''(%%s,%%s,%%s,)'', t.%1$s(account), t.%1$s(component), accounts) AS x FROM twin.fraud_components(%2$s)) s'
    WHEN 'core' THEN 'SELECT string_agg(x, '' '' ORDER BY x COLLATE "C") FROM (SELECT format(''(%%s,%%s,%%s,)'', t.%1$s(account), core, degree) AS x FROM twin.fraud_core()) s'
    WHEN 'cycles' THEN 'SELECT string_agg(x, '' '' ORDER BY x COLLATE "C") FROM (SELECT format(''(%%s,%%s,)'', length, (SELECT array_agg(t.%1$s(i) ORDER BY o) FROM unnest(accounts) WITH ORDINALITY u (i, o))) AS x FROM twin.fraud_cycles(%3$s, %4$s)) s'
    ELSE 'SELECT string_agg(x, '' '' ORDER BY x COLLATE "C") FROM (SELECT format(''(%%s,%%s,%%s,%%s,%%s,%%s,)'', block, t.%1$s(account), t.%1$s(attribute), accounts, attributes, density) AS x FROM twin.fraud_dense_blocks(%2$s, %5$L)) s'
    END, kind, n, 2 + n % 3, n + 1, CASE WHEN n % 2 = 0 THEN 'none' ELSE 'log' END) INTO r;
  RETURN r;
END $$;

-- Seeds whose answers differ from the twin's.
CREATE FUNCTION t.differing(rule text, seeds int) RETURNS TABLE (way text, seed int) LANGUAGE plpgsql AS $$
DECLARE
  expected text;
  c refcursor := 'edges';
BEGIN
  FOR s IN 1 .. seeds LOOP
    PERFORM t.make_edges(s);
    CREATE TABLE t.named AS SELECT b::int AS "B", a AS "to ""x" FROM twin.edge;
    expected := t.ask(rule, 'twin', 1 + s % 4);
    FOREACH way IN ARRAY '{table,named,shuffled,stored,cursor}'::text[] LOOP
      IF way = 'cursor' THEN OPEN c FOR SELECT a, b FROM twin.edge; END IF;
      seed := s;
      IF t.ask(rule, way, 1 + s % 4) IS DISTINCT FROM expected THEN RETURN NEXT; END IF;
      IF way = 'cursor' THEN CLOSE c; END IF;
    END LOOP;
    IF s % 4 = 0 THEN
      FOREACH way IN ARRAY '{uuid,text}'::text[] LOOP
        IF t.ask(rule, way, 1 + s % 4) IS DISTINCT FROM t.expected(rule, way, 1 + s % 4) THEN RETURN NEXT; END IF;
      END LOOP;
    END IF;
    DROP TABLE t.named;
  END LOOP;
END $$;
SELECT is_empty('SELECT * FROM t.differing(''components'', 32)', 'components with a hub cap');
SELECT is_empty('SELECT * FROM t.differing(''core'', 32)', 'core numbers and degrees');
SELECT is_empty('SELECT * FROM t.differing(''cycles'', 32)', 'cycles');
SELECT is_empty('SELECT * FROM t.differing(''blocks'', 12)', 'dense blocks, one to four, with both weights');

-- The cycles that one edge closes: those of all that have it, whether it is in the table yet or not.
CREATE FUNCTION t.has(accounts bigint[], x bigint, y bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN EXISTS (SELECT FROM generate_subscripts(accounts, 1) i WHERE accounts[i] = x AND accounts[i % cardinality(accounts) + 1] = y);
CREATE FUNCTION t.new_differing(seeds int) RETURNS TABLE (seed int, x bigint, y bigint) LANGUAGE plpgsql AS $$
DECLARE
  n int;
  cap int;
  expected text;
BEGIN
  FOR s IN 1 .. seeds LOOP
    PERFORM t.make_edges(s * 7);
    n := 2 + s % 3;
    cap := CASE WHEN s % 2 = 0 THEN 4 ELSE 1000 END;
    FOR x, y IN (SELECT DISTINCT a, b FROM twin.edge WHERE a IS NOT NULL AND b IS NOT NULL ORDER BY 1, 2 LIMIT 8) LOOP
      -- An edge that is not there yet makes no hub of its own.
      IF s % 4 = 1 THEN
        DELETE FROM twin.edge WHERE a = x AND b = y;
        INSERT INTO twin.edge VALUES (x, y);
      END IF;
      SELECT string_agg(accounts::text, ' ' ORDER BY accounts) INTO expected FROM twin.fraud_cycles(n, cap) WHERE t.has(accounts, x, y);
      IF s % 4 = 1 THEN DELETE FROM twin.edge WHERE a = x AND b = y; END IF;
      seed := s * 7;
      IF (SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM cdp.fraud_new_cycles('twin.edge'::regclass, x, y, n, cap)) IS DISTINCT FROM expected
        OR (SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM (SELECT (cdp.fraud_new_cycles(cdp.fraud_graph(a, b), x, y, n, cap)).* FROM twin.edge) q) IS DISTINCT FROM expected THEN
        RETURN NEXT;
      END IF;
      IF s % 4 = 1 THEN INSERT INTO twin.edge VALUES (x, y); END IF;
    END LOOP;
  END LOOP;
END $$;
SELECT is_empty('SELECT * FROM t.new_differing(12)', 'cycles that one edge closes, from a table and in a graph');
SELECT t.make_edges(9) \g /dev/null
CREATE TABLE t.uuid_edge AS SELECT t.uuid(a) AS a, t.uuid(b) AS b FROM twin.edge;
CREATE TABLE t.text_edge AS SELECT t.text(a)::varchar AS "from", t.text(b) AS b FROM twin.edge;
SELECT is((SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM (SELECT DISTINCT a, b FROM twin.edge) e, cdp.fraud_new_cycles_uuid('t.uuid_edge'::regclass, t.uuid(e.a), t.uuid(e.b))),
  (SELECT string_agg(ids::text, ' ' ORDER BY ids) FROM (SELECT (SELECT array_agg(t.uuid(i) ORDER BY o) FROM unnest(accounts) WITH ORDINALITY u (i, o)) AS ids
    FROM (SELECT DISTINCT a, b FROM twin.edge) e, cdp.fraud_new_cycles('twin.edge'::regclass, e.a, e.b)) q), 'of uuids');
SELECT is((SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM (SELECT DISTINCT a, b FROM twin.edge) e, cdp.fraud_new_cycles_text('t.text_edge'::regclass, t.text(e.a), t.text(e.b), a => 'from')),
  (SELECT string_agg(ids::text, ' ' ORDER BY ids) FROM (SELECT (SELECT array_agg(t.text(i) ORDER BY o) FROM unnest(accounts) WITH ORDINALITY u (i, o)) AS ids
    FROM (SELECT DISTINCT a, b FROM twin.edge) e, cdp.fraud_new_cycles('twin.edge'::regclass, e.a, e.b)) q), 'of texts');

-- Workers scan, and the answer is the same.
CREATE TABLE t.many AS SELECT (hashint8(i) & 1023)::bigint AS a, (hashint8(i * 7) & 255) AS b FROM generate_series(1, 20000::bigint) i;
CREATE TEMP TABLE alone AS SELECT cdp.fraud_graph(a, b)::text AS g FROM t.many;
SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL max_parallel_workers_per_gather = 2;
CREATE FUNCTION t.plan() RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text; line text;
BEGIN
  FOR line IN EXPLAIN SELECT cdp.fraud_graph(a, b) FROM t.many LOOP r := concat(r, line); END LOOP;
  RETURN r;
END $$;
SELECT matches(t.plan(), 'Gather', 'workers scan');
SELECT is((SELECT cdp.fraud_graph(a, b)::text FROM t.many), (SELECT g FROM alone), 'and the graph has the same bytes');
SELECT * FROM finish();
ROLLBACK;

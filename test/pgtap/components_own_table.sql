-- Connected components of the user's own tables and cursors: names, types, rights, row security, memory, cancellation.
BEGIN;
SELECT plan(41);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off; -- the compiler's memory is not ours
CREATE SCHEMA t;
CREATE TABLE t."Odd ""name" ("from" bigint, "To ""x" int, gone int, note varchar(20), amount numeric, owner name DEFAULT current_user);
INSERT INTO t."Odd ""name" VALUES (1, 2, 0, 'x', 1.5), (2, 3, 0, 'y', 2.5), (10, 11, 0, NULL, 1.5);
ALTER TABLE t."Odd ""name" DROP COLUMN gone;
CREATE FUNCTION t.shown(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(id || ''>'' || component, '' '' ORDER BY component::text COLLATE "C", id::text COLLATE "C") FROM %s', query) INTO r;
  RETURN r;
END $$;

-- Names and types.
SELECT is(t.shown($$cdp.connected_components('t."Odd ""name"', 'from', 'To "x')$$), '1>1 2>1 3>1 10>10 11>10', 'names with blanks and quotes, columns of different width');
SELECT is(t.shown($$cdp.connected_components_text('t."Odd ""name"', 'from', 'note')$$), '1>1 x>1 10>10 2>2 y>2', 'columns of any type in their text form');
SELECT is(t.shown($$cdp.connected_components_text('t."Odd ""name"', b => 'note', a => 'amount')$$), '1.5>1.5 x>1.5 2.5>2.5 y>2.5', 'arguments by name');
SELECT throws_ok($$SELECT cdp.connected_components('t."Odd ""name"', 'from', 'to')$$, '42703', 'column "to" does not exist in "Odd "name"', 'a column that does not exist');
SELECT throws_ok($$SELECT cdp.connected_components('t."Odd ""name"', 'from', 'gone')$$, '42703', NULL, 'a column that was dropped');
SELECT throws_ok($$SELECT cdp.connected_components('t."Odd ""name"', 'from', '........pg.dropped.3........')$$, '42703', NULL, 'its ghost');
SELECT throws_ok($$SELECT cdp.connected_components('t."Odd ""name"', 'from', 'ctid')$$, '42703', NULL, 'a system column');
SELECT throws_ok($$SELECT cdp.connected_components('t."Odd ""name"', 'from', '"from", pg_sleep(9) --')$$, '42703', NULL, 'SQL text as a column');
SELECT throws_ok($$SELECT cdp.connected_components('t."Odd ""name"', 'from', 'amount')$$, '42804', 'column "amount" cannot be read as nodes of type bigint', 'a type with fractions');
SELECT throws_ok($$SELECT cdp.connected_components_uuid('t."Odd ""name"', 'from', 'To "x')$$, '42804', NULL, 'numbers are no uuids');
SELECT throws_ok($$SELECT cdp.connected_components('pg_class_oid_index', 'oid', 'oid')$$, '42809', NULL, 'an index');
SELECT throws_ok($$SELECT cdp.connected_components(4000000000::oid::regclass)$$, '42P01', NULL, 'a number that is no table');
SELECT throws_ok($$SELECT cdp.connected_components('t.nowhere')$$, '42P01', NULL, 'a table that does not exist');
CREATE DOMAIN t.person AS integer CHECK (VALUE > 0);
CREATE TABLE t.parts (a t.person, b smallint) PARTITION BY RANGE (a);
CREATE TABLE t.part PARTITION OF t.parts DEFAULT;
INSERT INTO t.parts VALUES (1, 2), (3, 2), (7, 7);
SELECT is(t.shown($$cdp.connected_components('t.parts')$$), '1>1 2>1 3>1 7>7', 'partitions, domains, smallint');
CREATE VIEW t.view AS SELECT a, b FROM t.parts WHERE a < 5;
SELECT is(t.shown($$cdp.connected_components('t.view')$$), '1>1 2>1 3>1', 'a view');
CREATE TABLE t.empty (a uuid, b uuid);
SELECT is(t.shown($$cdp.connected_components_uuid('t.empty')$$), NULL, 'an empty table');
SELECT is((SELECT count(*) FROM cdp.connected_components(NULL)), 0::bigint, 'NULL table: no rows');
SELECT is((SELECT count(*) FROM (SELECT cdp.connected_components(c, 'a', 'b') FROM unnest('{t.parts,t.view}'::regclass[]) c) s), 7::bigint, 'of several tables in one query');

-- Cursors.
CREATE FUNCTION t.cursor(query text) RETURNS refcursor LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'links';
BEGIN
  IF EXISTS (SELECT FROM pg_cursors WHERE name = 'links') THEN CLOSE c; END IF;
  OPEN c FOR EXECUTE query;
  RETURN c;
END $$;
SELECT t.cursor('SELECT a, b FROM t.parts ORDER BY a') \g /dev/null
MOVE 1 IN links;
SELECT is(t.shown($$cdp.cursor_components('links')$$), '2>2 3>2 7>7', 'the rows that a cursor still has');
SELECT is(t.shown($$cdp.cursor_components('links')$$), NULL, 'then it is at its end');
SELECT t.cursor('SELECT a::text, note FROM t.parts, t."Odd ""name"') \g /dev/null
SELECT is((SELECT count(*) FROM cdp.cursor_components_text('links')), 5::bigint, 'text and varchar');
SELECT t.cursor('SELECT 1') \g /dev/null
SELECT throws_ok($$SELECT cdp.cursor_components('links')$$, '42804', 'links have two columns', 'a cursor of one column');
SELECT t.cursor('SELECT 1, 2.5') \g /dev/null
SELECT throws_ok($$SELECT cdp.cursor_components('links')$$, '42804', NULL, 'a cursor of other types');
SELECT throws_ok($$SELECT cdp.cursor_components('no such')$$, '34000', NULL, 'a cursor that does not exist');
DECLARE itself CURSOR FOR SELECT id, component FROM cdp.cursor_components('itself');
SELECT throws_ok('FETCH ALL FROM itself', '55000', NULL, 'a cursor that reads itself');

-- Rights and row security are those of the caller.
CREATE ROLE components_reader;
CREATE TABLE t.secret (a bigint, b bigint, who name);
INSERT INTO t.secret VALUES (1, 2, 'components_reader'), (2, 3, 'other'), (5, 6, 'components_reader');
ALTER TABLE t.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON t.secret USING (who = current_user);
GRANT USAGE ON SCHEMA t TO components_reader;
SET LOCAL ROLE components_reader;
SELECT throws_ok($$SELECT cdp.connected_components('t.secret')$$, '42501', NULL, 'without SELECT');
RESET ROLE;
GRANT SELECT (a, who) ON t.secret TO components_reader;
SET LOCAL ROLE components_reader;
SELECT throws_ok($$SELECT cdp.connected_components('t.secret')$$, '42501', NULL, 'with SELECT on one column');
SELECT is(t.shown($$cdp.connected_components('t.secret', 'a', 'a')$$), '1>1 5>5', 'which may be read');
RESET ROLE;
GRANT SELECT ON t.secret TO components_reader;
SET LOCAL ROLE components_reader;
SELECT is(t.shown($$cdp.connected_components('t.secret')$$), '1>1 2>1 5>5 6>5', 'only the rows that its policy shows');
SELECT is(t.shown($$cdp.component_rows((SELECT cdp.components(a, b) FROM t.secret))$$), '1>1 2>1 5>5 6>5', 'by the aggregate too');
RESET ROLE;
SELECT is(t.shown($$cdp.connected_components('t.secret')$$), '1>1 2>1 3>1 5>5 6>5', 'the owner sees all');

-- A table that changes below: the snapshot of the query.
CREATE FUNCTION t.insert_and_count() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO t.parts VALUES (100, 101);
  RETURN (SELECT count(*) FROM cdp.connected_components('t.parts'));
END $$;
SELECT is(t.insert_and_count(), 6::bigint, 'a function sees its own rows');

-- Memory: a clear error at the bound, and not much more than the bound below it.
CREATE FUNCTION t.peak() RETURNS bigint LANGUAGE sql RETURN (regexp_match(pg_read_file('/proc/self/status', 0, 4000), 'VmHWM:\s+(\d+)'))[1]::bigint;
SET LOCAL cdp.components_memory = '16MB';
CREATE TABLE t.start AS SELECT t.peak() AS kb;
SELECT throws_ok($$SELECT cdp.components(i, i + 1) FROM generate_series(1, 10000000::bigint) i$$, '54000', 'connected components do not fit into memory', 'too many numbers');
SELECT throws_ok($$SELECT cdp.components(repeat('x', 1000) || i, NULL) FROM generate_series(1, 100000) i$$, '54000', NULL, 'too many bytes of text');
SELECT diag('peak grew by kB: ' || t.peak() - kb) FROM t.start;
SELECT cmp_ok(t.peak() - kb, '<', 45000::bigint, 'neither took much more than the bound') FROM t.start;
SELECT is((SELECT nodes FROM cdp.component_summary((SELECT cdp.components(i, i % 5000) FROM generate_series(1, 1000000::bigint) i WHERE i % 3 = 0 OR i < 10))), 336667::bigint, 'below it nodes count, not links');
RESET cdp.components_memory;
-- The peak since the start holds this one too.
SELECT is((SELECT nodes FROM cdp.component_summary((SELECT cdp.components(i * 2654435761 % 4294967296 * 2147483647, (i + 1000000) * 2654435761 % 4294967296 * 2147483647)
  FROM generate_series(1, 1000000) i))), 2000000::bigint, 'two million nodes');
SELECT diag('bytes a node: ' || (t.peak() - kb) * 1024 / 2000000) FROM t.start;
SELECT cmp_ok((t.peak() - kb) * 1024 / 2000000, '<=', 40::bigint, 'at most 40 bytes a node') FROM t.start;

-- Cancelled wherever it is: uncancelled these would run for hours.
CREATE FUNCTION t.ended(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE query;
  RETURN 'to its end';
EXCEPTION WHEN query_canceled THEN
  RETURN 'by the cancel';
END $$;
SET LOCAL statement_timeout = '1s';
SELECT is(t.ended('SELECT cdp.components(i % 1000, 1::bigint) FROM generate_series(1, 1000000) j, generate_series(1, 1000000::bigint) i'), 'by the cancel', 'the aggregate');
SET LOCAL statement_timeout = 0;
CREATE VIEW t.many AS SELECT i % 1000 AS a, i % 999 AS b FROM generate_series(1, 1000000) j, generate_series(1, 1000000::bigint) i;
SET LOCAL statement_timeout = '1s';
SELECT is(t.ended($$SELECT cdp.connected_components('t.many')$$), 'by the cancel', 'a view');
SELECT t.cursor('SELECT a, b FROM t.many') \g /dev/null
SELECT is(t.ended($$SELECT cdp.cursor_components('links')$$), 'by the cancel', 'a cursor');
SET LOCAL statement_timeout = 0;
SELECT * FROM finish();
ROLLBACK;

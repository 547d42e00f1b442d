-- Connected components: known answers, ends of the ranges, order of rows, merging, and bytes that nobody should trust.
BEGIN;
SELECT plan(60);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
CREATE FUNCTION t.numbers(VARIADIC ends bigint[]) RETURNS cdp.component_set LANGUAGE sql
RETURN (SELECT cdp.components(ends[i], ends[i + 1]) FROM generate_series(1, cardinality(ends), 2) i);
CREATE FUNCTION t.texts(VARIADIC ends text[]) RETURNS cdp.component_set LANGUAGE sql
RETURN (SELECT cdp.components(ends[i], ends[i + 1]) FROM generate_series(1, cardinality(ends), 2) i);
CREATE FUNCTION t.shown(set cdp.component_set) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(id || '>' || component, ' ' ORDER BY component, id) FROM cdp.component_rows(set));
CREATE FUNCTION t.shown_text(set cdp.component_set) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(id || '>' || component, ' ' ORDER BY component COLLATE "C", id COLLATE "C") FROM cdp.component_rows_text(set));

-- Known answers.
SELECT is(t.shown(t.numbers(3, 2, 2, 1, 10, 11)), '1>1 2>1 3>1 10>10 11>10', 'a chain and a pair');
SELECT is(t.shown(t.numbers(1, 2, 2, 3, 3, 1)), '1>1 2>1 3>1', 'a cycle');
SELECT is(t.shown(t.numbers(5, 5)), '5>5', 'a node linked with itself');
SELECT is(t.shown(t.numbers(5, NULL, NULL, 6, NULL, NULL)), '5>5 6>6', 'one end is a node, no end is nothing');
SELECT is(t.shown(t.numbers(1, 2, 1, 2, 2, 1)), '1>1 2>1', 'repeated links');
SELECT is(t.shown(t.numbers(-9223372036854775808, 9223372036854775807, -1, 0)),
  '-9223372036854775808>-9223372036854775808 9223372036854775807>-9223372036854775808 -1>-1 0>-1', 'the ends of bigint');
SELECT is(t.shown(t.numbers(9223372036854775807, NULL)), '9223372036854775807>9223372036854775807', 'the highest alone');
SELECT is(t.shown_text(t.texts('b', 'a', '', 'é', 'Z', NULL)), '> é> Z>Z a>a b>a', 'text by bytes; the empty text is a node');
SELECT is((SELECT string_agg(component::text, ' ') FROM cdp.component_rows_uuid((SELECT cdp.components(a, b) FROM (VALUES
  ('ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid, '00000000-0000-0000-0000-000000000001'::uuid)) v (a, b)))),
  '00000000-0000-0000-0000-000000000001 00000000-0000-0000-0000-000000000001', 'uuids');
SELECT is((SELECT string_agg(length(id) || '>' || md5(component), ' ' ORDER BY length(id), id COLLATE "C") FROM cdp.component_rows_text(
  t.texts(repeat('x', 1000000), repeat('x', 1000000) || 'y', 'a', repeat('x', 1000000), 'prefix12A', 'prefix12B', 'prefix12', NULL)) WHERE id <> 'prefix12A'),
  format('1>%s 8>%s 9>%s 1000000>%s 1000001>%s', md5('a'), md5('prefix12'), md5('prefix12A'), md5('a'), md5('a')), 'texts of a megabyte, and texts that begin alike');

-- A link is a row with two ends, in any type.
SELECT is((SELECT links FROM cdp.component_summary(t.numbers(1, 2, 2, 1, 3, 3, 4, NULL, NULL, 5, NULL, NULL))), 3::bigint, 'links of numbers are counted');
SELECT is((SELECT links FROM cdp.component_summary(t.texts('1', '2', '2', '1', '3', '3', '4', NULL, NULL, '5', NULL, NULL))), 3::bigint, 'links of texts');
SELECT is((SELECT links FROM cdp.component_summary((SELECT cdp.components(a, b) FROM (VALUES
  ('00000000-0000-0000-0000-000000000001'::uuid, '00000000-0000-0000-0000-000000000002'::uuid), ('00000000-0000-0000-0000-000000000001', NULL), (NULL, NULL)) v (a, b)))),
  1::bigint, 'links of uuids');

-- No rows, NULL sets.
SELECT is((SELECT to_jsonb(s) FROM cdp.component_summary((SELECT cdp.components(1::bigint, 2) WHERE false)) s),
  '{"node_type": "bigint", "nodes": 0, "links": 0, "components": 0, "largest": 0, "single": 0}', 'no rows: an empty set');
SELECT is((SELECT node_type FROM cdp.component_summary((SELECT cdp.components('a'::text, 'b') WHERE false))), 'text', 'it knows its type');
SELECT is((SELECT node_type FROM cdp.component_summary((SELECT cdp.components(NULL::uuid, NULL)))), 'uuid', 'rows without ends: also empty');
SELECT is((SELECT count(*) FROM cdp.component_rows((SELECT cdp.components(1::bigint, 2) WHERE false))), 0::bigint, 'without rows');
SELECT is((SELECT count(*) FROM cdp.component_rows(NULL)), 0::bigint, 'NULL set: no rows');
SELECT is((SELECT count(*) FROM (SELECT cdp.component_rows(NULL)) s), 0::bigint, 'nor in the select list');
SELECT ok((SELECT cdp.component_merge(NULL::cdp.component_set)) IS NULL, 'merging nothing');
SELECT is((SELECT string_agg(nodes || ':' || components, ' ') FROM cdp.component_sizes(t.numbers(1, 2, 3, 4, 5, NULL, 6, 7, 7, 8))), '1:1 2:2 3:1', 'sizes');

-- The order of rows, workers and parts decide nothing: the bytes are the same.
SELECT setseed(0.5) \g /dev/null
CREATE TABLE t.link AS SELECT (random() * 9e18 - random() * 9e18)::bigint / (CASE WHEN random() < 0.9 THEN 200000000000000 ELSE 1 END) AS a,
  (random() * 9e18)::bigint / 200000000000000 AS b FROM generate_series(1, 30000);
CREATE TABLE t.whole AS SELECT cdp.components(a, b) AS s FROM t.link;
SELECT cmp_ok(components, '>', 1000::bigint, 'many components') FROM t.whole, cdp.component_summary(s);
SELECT is((SELECT md5(cdp.components(a, b)::text) FROM (SELECT * FROM t.link ORDER BY random()) r), md5(s::text), 'rows in random order') FROM t.whole;
SELECT is((SELECT md5(cdp.components(b, a)::text) FROM (SELECT * FROM t.link ORDER BY a DESC) r), md5(s::text), 'links the other way round') FROM t.whole;
SELECT is((SELECT md5(cdp.components(a, b)::text) FROM (SELECT * FROM t.link ORDER BY b) r), md5(s::text), 'rows sorted') FROM t.whole;
SELECT is((SELECT md5(cdp.component_merge(p)::text) FROM (SELECT cdp.components(a, b) AS p FROM t.link GROUP BY abs(a % 7)) r), md5(s::text), 'merged parts') FROM t.whole;
SELECT is((SELECT md5(cdp.component_merge(p)::text) FROM (SELECT NULL AS p UNION ALL SELECT s UNION ALL SELECT cdp.components(1::bigint, 2) WHERE false) r), md5(s::text),
  'merged with an empty one and NULL') FROM t.whole;
CREATE TABLE t.long (a text, b text);
INSERT INTO t.long SELECT 'the same beginning of many bytes ' || a, 'the same beginning of many bytes ' || b FROM t.link;
SELECT is((SELECT md5(cdp.component_merge(p)::text) FROM (SELECT cdp.components(a, b) AS p FROM t.long GROUP BY length(a)) r),
  (SELECT md5(cdp.components(a, b)::text) FROM t.long), 'the same with text');
SELECT is((SELECT count(*) FROM cdp.component_rows_text((SELECT cdp.components(a, b) FROM t.long)) x JOIN cdp.component_rows((SELECT s FROM t.whole)) y
  ON x.id = 'the same beginning of many bytes ' || y.id), nodes, 'which has the same nodes') FROM t.whole, cdp.component_summary(s);
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
ALTER TABLE t.link SET (parallel_workers = 2);
CREATE FUNCTION t.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; whole text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP whole := whole || line; END LOOP;
  RETURN whole;
END $$;
SELECT alike(t.plan('SELECT cdp.components(a, b) FROM t.link'), '%Gather%Partial Aggregate%', 'workers find components');
SELECT is((SELECT md5(cdp.components(a, b)::text) FROM t.link), md5(s::text), 'and change nothing') FROM t.whole;
ALTER TABLE t.long SET (parallel_workers = 2);
SELECT alike(t.plan('SELECT cdp.components(a, b) FROM t.long'), '%Gather%Partial Aggregate%', 'with text as well');
SELECT is((SELECT md5(cdp.components(a, b)::text) FROM t.long), (SELECT md5(cdp.components(a, b)::text) FROM (SELECT * FROM t.long OFFSET 0) l), 'they change nothing');
SELECT is((SELECT md5(cdp.components(md5(a)::uuid, md5(b)::uuid)::text) FROM t.long), (SELECT md5(cdp.components(md5(a)::uuid, md5(b)::uuid)::text) FROM (SELECT * FROM t.long OFFSET 0) l), 'nor with uuids');
SELECT is((SELECT node_type || nodes FROM cdp.component_summary((SELECT cdp.components(a, b) FROM t.long WHERE a = 'nobody'))), 'text0', 'workers without rows');

-- Round trips.
SELECT is(s::text::cdp.component_set::text, s::text, 'text in and out') FROM t.whole;
SELECT is(md5(cdp_internal.component_set_send(s)), md5(decode(substr(s::text, 3), 'hex')), 'binary is the same bytes') FROM t.whole;
SELECT is((SELECT t.shown(v::text::cdp.component_set)), t.shown(v), 'a small one too') FROM t.numbers(1, 2, 7, NULL) v;
CREATE TABLE t.stored AS SELECT s FROM t.whole;
SELECT is((SELECT md5(string_agg((r).id || ' ' || (r).component, ',')) FROM (SELECT cdp.component_rows(s) AS r FROM t.stored) q),
  (SELECT md5(string_agg(id || ' ' || component, ',')) FROM t.whole, cdp.component_rows(s)), 'stored, streamed or kept: the same rows in the same order');
SELECT is((SELECT count(*) FROM (SELECT cdp.component_rows(s) FROM t.stored LIMIT 10) q), 10::bigint, 'a stream may be left early');

-- What must be refused.
SELECT throws_ok($$SELECT cdp.component_rows_text(t.numbers(1, 2))$$, '42804', 'the nodes of this component set are not of type text', 'another type of nodes');
SELECT throws_ok($$SELECT * FROM cdp.component_rows(t.texts('a', 'b'))$$, '42804', 'the nodes of this component set are not of type bigint', 'the other way round');
SELECT throws_ok($$SELECT cdp.component_merge(s) FROM (VALUES (t.numbers(1, 2)), (t.texts('a', 'b'))) v (s)$$, '42804', NULL, 'different types do not merge');
SELECT throws_ok($$SELECT 'hello'::cdp.component_set$$, '22P02', NULL, 'text that is no value');
SELECT throws_ok($$SELECT '\x'::cdp.component_set$$, '22P03', NULL, 'no bytes');
SELECT throws_ok($$SELECT '\x0200000000000000'::cdp.component_set$$, '22P03', NULL, 'another version');
SELECT throws_ok($$SELECT '\x0103'::cdp.component_set$$, '22P03', NULL, 'another type of nodes');
SELECT throws_ok($$SELECT '\x0100ffffffff0301000000ffffffff03'::cdp.component_set$$, '22P03', NULL, 'a thousand million nodes in no bytes');
SELECT throws_ok($$SELECT '\x01000202000201010001010101'::cdp.component_set$$, '22P03', NULL, 'a node in two components');
SELECT is(t.shown('\x0100020200020101000101'), '1>1 2>2', 'two components as they should be');
SELECT throws_ok($$SELECT '\x0100020200020101010100'::cdp.component_set$$, '22P03', NULL, 'components in another order');
SELECT throws_ok($$SELECT '\x01020101000101ff'::cdp.component_set$$, '22P03', NULL, 'text that is not valid in the encoding');
SELECT throws_ok($$SELECT '\x0102010100010100'::cdp.component_set$$, '22P03', NULL, 'text with a byte 0');

-- Changed bytes: refused with an error of ours, or a value that opens; never a crash or an internal error.
CREATE FUNCTION t.try(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  set cdp.component_set;
BEGIN
  set := bytes::text::cdp.component_set;
  PERFORM cdp.component_summary(set), cdp.component_merge(set);
  PERFORM count(*) FROM cdp.component_sizes(set);
  CASE (cdp.component_summary(set)).node_type
    WHEN 'bigint' THEN PERFORM count(*) FROM cdp.component_rows(set);
    WHEN 'uuid' THEN PERFORM count(*) FROM cdp.component_rows_uuid(set);
    ELSE PERFORM count(*) FROM cdp.component_rows_text(set);
  END CASE;
  -- What was taken is what the engine itself makes.
  RETURN CASE WHEN (SELECT cdp.component_merge(set)::text) = bytes::text THEN 'fine' ELSE 'XX changed' END;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE TABLE t.small AS
SELECT decode(substr(v::text, 3), 'hex') AS b FROM (VALUES (t.numbers(1, 2, 2, 3, 70000, -5, 8, NULL, 9, 9)), (t.texts('a', 'b', '微信', 'c', 'long text of many bytes', NULL)),
  ((SELECT cdp.components(md5(i::text)::uuid, md5((i / 3)::text)::uuid) FROM generate_series(1, 12) i))) x (v);
SELECT is((SELECT string_agg(DISTINCT t.try(b), ' ') FROM t.small), 'fine', 'unchanged, they are taken');
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.try(substr(b, 1, n)) AS s FROM t.small, generate_series(0, length(b) - 1) n) x), '22P03', 'cut anywhere, they are refused');
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.try(b || '\x00'::bytea) AS s FROM t.small) x), '22P03', 'bytes behind the end');
CREATE TABLE t.fuzz AS SELECT t.try(set_byte(b, (random() * (length(b) - 1))::int, (random() * 255)::int)) AS s FROM t.small, generate_series(1, 2000);
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM t.fuzz WHERE s !~ '^(22P03|54000|fine)$'), NULL, 'one byte changed');
SELECT cmp_ok((SELECT count(*) FROM t.fuzz WHERE s = '22P03'), '>', 1000::bigint, 'most are refused');
SELECT cmp_ok((SELECT count(*) FROM t.fuzz WHERE s = 'fine'), '>', 10::bigint, 'some are other sets');
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.try(overlay(b PLACING decode('ffffffffffffffff7f', 'hex') FROM 1 + (random() * (length(b) - 1))::int)) AS s FROM t.small, generate_series(1, 300)) x
  WHERE s !~ '^(22P03|54000|fine)$'), NULL, 'huge counts anywhere');
SELECT * FROM finish();
ROLLBACK;

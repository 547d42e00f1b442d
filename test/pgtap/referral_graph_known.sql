-- Fraud rules on graphs: known answers, bad input, rights, memory, cancellation, values from outside.
BEGIN;
SELECT plan(59);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off; -- the compiler's memory is not ours
CREATE SCHEMA t;

-- Zachary's karate club (1977): 34 members, 78 friendships; its 4-core has ten members, which other libraries' examples print.
CREATE TABLE t.karate AS
SELECT split_part(e, '-', 1)::int AS a, split_part(e, '-', 2)::int AS b FROM regexp_split_to_table(
  '2-1 3-1 3-2 4-1 4-2 4-3 5-1 6-1 7-1 7-5 7-6 8-1 8-2 8-3 8-4 9-1 9-3 10-3 11-1 11-5 11-6 12-1 13-1 13-4 14-1 14-2 14-3 14-4 17-6 17-7 18-1 18-2 20-1 20-2 22-1 22-2 26-24 26-25 28-3 28-24 28-25 29-3 30-24 30-27 31-2 31-9 32-1 32-25 32-26 32-29 33-3 33-9 33-15 33-16 33-19 33-21 33-23 33-24 33-30 33-31 33-32 34-9 34-10 34-14 34-15 34-16 34-19 34-20 34-21 34-23 34-24 34-27 34-28 34-29 34-30 34-31 34-32 34-33', ' ') e;
SELECT is((SELECT count(*) || ' ' || sum(degree) FROM cdp.fraud_core('t.karate'::regclass)), '34 156', 'the club has 34 members and 78 friendships');
SELECT is((SELECT string_agg(account::text, ' ' ORDER BY account) FROM cdp.fraud_core('t.karate'::regclass) WHERE core = 4), '1 2 3 4 8 9 14 31 33 34', 'its 4-core');
SELECT is((SELECT max(core) FROM cdp.fraud_core('t.karate'::regclass)), 4, 'there is no 5-core');
SELECT is((SELECT string_agg(account::text, ' ' ORDER BY account) FROM cdp.fraud_core('t.karate'::regclass) WHERE core = 1), '12', 'one member has core number 1');

-- Complete graphs: n - 1 is the core of all; k of n nodes make (k - 1)! cycles.
CREATE TABLE t.complete AS SELECT a, b FROM generate_series(1, 7) a, generate_series(1, 7) b;
SELECT is((SELECT string_agg(DISTINCT core || '/' || degree, ' ') FROM cdp.fraud_core('t.complete'::regclass)), '6/6', 'all of a complete graph are in its core; edges of a node with itself do not count');
SELECT is((SELECT string_agg(length || ':' || n, ' ' ORDER BY length) FROM (SELECT length, count(*) AS n FROM cdp.fraud_cycles('t.complete'::regclass) GROUP BY length) x), '2:21 3:70 4:210', 'cycles of a complete graph');
SELECT is((SELECT count(*) FROM (SELECT DISTINCT accounts FROM cdp.fraud_cycles('t.complete'::regclass)) x), 301::bigint, 'each cycle once');
SELECT is((SELECT count(*) FROM cdp.fraud_cycles('t.complete'::regclass, 2)), 21::bigint, 'only pairs');
SELECT is((SELECT count(*) FROM cdp.fraud_cycles('t.complete'::regclass, 3)), 91::bigint, 'pairs and triangles');
CREATE TABLE t.ring AS SELECT i AS a, i % 5 + 1 AS b FROM generate_series(1, 5) i;
SELECT is((SELECT count(*) FROM cdp.fraud_cycles('t.ring'::regclass)), 0::bigint, 'a ring of five is too long');
SELECT is((SELECT string_agg(accounts::text, ' ') FROM (SELECT (cdp.fraud_cycles_text(cdp.fraud_graph(a, b))).* FROM (VALUES ('zoe', 'anna'), ('bob', 'zoe'), ('anna', 'bob')) v (a, b)) x), '{anna,bob,zoe}', 'a ring of three in its direction, the smallest first');

-- A hub is left out, and that is said.
CREATE TABLE t.star AS SELECT 0 AS a, i AS b FROM generate_series(1, 20) i UNION ALL SELECT i, 0 FROM generate_series(1, 20) i UNION ALL VALUES (3, 4), (4, 3);
SELECT is((SELECT string_agg(accounts::text, ' ') FROM cdp.fraud_cycles('t.star'::regclass, degree_cap => 19)), '{3,4}', 'cycles beside a hub');
SELECT is((SELECT count(*) FROM cdp.fraud_cycles('t.star'::regclass, degree_cap => 20)), 23::bigint, 'and through it');

-- What one edge closes, read by an index: a table of 200,000 edges is hardly touched.
CREATE TABLE t.referred AS SELECT i AS a, i + 1 AS b FROM generate_series(1, 200000) i UNION ALL VALUES (3, 1), (4, 1), (4, 2);
CREATE INDEX ON t.referred (a, b);
ANALYZE t.referred;
SELECT is((SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM cdp.fraud_new_cycles('t.referred'::regclass, 3, 1)), '{1,2,3}', 'the cycles that an edge closes');
SELECT is((SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM cdp.fraud_new_cycles('t.referred'::regclass, 1, 2)), '{1,2,3} {1,2,3,4}', 'that an inner edge has');
SELECT is((SELECT string_agg(accounts::text, ' ' ORDER BY accounts) FROM cdp.fraud_new_cycles('t.referred'::regclass, 5, 2)), '{2,3,4,5}', 'that an edge would close');
SELECT is((SELECT count(*) FROM cdp.fraud_new_cycles('t.referred'::regclass, 5, 5)) + (SELECT count(*) FROM cdp.fraud_new_cycles('t.referred'::regclass, NULL, 5)) + (SELECT count(*) FROM cdp.fraud_new_cycles('t.referred'::regclass, 5, 7000000)), 0::bigint, 'one account, NULL, an account without edges: none');
SELECT is((SELECT count(*) FROM (SELECT (cdp.fraud_new_cycles(cdp.fraud_graph(a, b), 3, 1, 3, 1)).* FROM t.referred) x), 0::bigint, 'through a hub: none');
SELECT throws_ok($$SELECT * FROM cdp.fraud_new_cycles_uuid('t.referred'::regclass, gen_random_uuid(), gen_random_uuid())$$, '42804', NULL, 'columns of another type');
SELECT throws_ok($$SELECT * FROM cdp.fraud_new_cycles('t.referred'::regclass, 1, 2, 5)$$, '22003', 'longest is out of range', 'longer ones');
SELECT is((SELECT count(*) FROM (SELECT cdp.fraud_new_cycles('t.referred'::regclass, i, i - 3) FROM generate_series(1000, 1300) i) x), 301::bigint, 'three hundred new edges, each a cycle of four');

-- Offices: an address that eleven share links nobody, one that ten share does.
CREATE TABLE t.shared AS SELECT i AS account, 'office' AS attribute FROM generate_series(1, 11) i UNION ALL SELECT i, 'home' FROM generate_series(21, 30) i
  UNION ALL VALUES (1, 'device 7'), (2, 'device 7'), (40, NULL), (NULL, 'device 8');
SELECT is((SELECT string_agg(component || ':' || n, ' ' ORDER BY component) FROM (SELECT component, count(*) AS n FROM cdp.fraud_components('t.shared'::regclass, a => 'account', b => 'attribute') WHERE accounts > 1 GROUP BY component) x), '1:2 21:10', 'a hub cap of ten');
SELECT is((SELECT count(DISTINCT component) FROM cdp.fraud_components('t.shared'::regclass, 11, 'account', 'attribute')), 3::bigint, 'a hub cap of eleven joins the office');
SELECT is((SELECT accounts FROM cdp.fraud_components('t.shared'::regclass, 10, 'account', 'attribute') WHERE account = 40), 1, 'an account without attributes stands alone');
SELECT is((SELECT string_agg(account::text, ' ' ORDER BY account) FROM cdp.fraud_components('t.shared'::regclass, 1, 'account', 'attribute') WHERE accounts > 1), NULL, 'a hub cap of one joins nobody');

-- A complete block of 6 x 4 with one edge beside it: weight by node is highest for the block alone.
CREATE TABLE t.block AS SELECT a, b::text AS b FROM generate_series(1, 6) a, generate_series(1, 4) b UNION ALL VALUES (99, 'alone');
SELECT is((SELECT string_agg(coalesce(account::text, attribute), ' ' ORDER BY account, attribute) FROM cdp.fraud_dense_blocks('t.block'::regclass)), '1 2 3 4 5 6 1 2 3 4', 'the members of a block');
SELECT is((SELECT DISTINCT density FROM cdp.fraud_dense_blocks('t.block'::regclass)), round(4294967296 / ln(11::float8)) / 4294967296 * 24 / 10, 'its density: 24 edges that weigh 1 / ln(11) each, 10 members');
SELECT is((SELECT DISTINCT density FROM cdp.fraud_dense_blocks('t.block'::regclass, weight => 'none')), 2.4::float8, 'without weights');
SELECT is((SELECT string_agg(block || ':' || accounts || 'x' || attributes, ' ' ORDER BY block) FROM (SELECT DISTINCT block, accounts, attributes FROM cdp.fraud_dense_blocks('t.block'::regclass, 5)) x), '1:6x4 2:1x1', 'then what is left, and no more');
-- Camouflage: the accounts of the block also have what everybody has.
INSERT INTO t.block SELECT a, 'popular' FROM generate_series(1, 6) a UNION ALL SELECT a, 'popular' FROM generate_series(1000, 3000) a;
SELECT is((SELECT string_agg(coalesce(account::text, attribute), ' ' ORDER BY account, attribute) FROM cdp.fraud_dense_blocks('t.block'::regclass)), '1 2 3 4 5 6 1 2 3 4', 'what everybody has hides no block');

-- Ids at the ends of their range, texts of bytes, empty graphs.
SELECT is((SELECT string_agg(account::text, ' ') FROM (SELECT (cdp.fraud_core(cdp.fraud_graph(a, b))).* FROM (VALUES (-9223372036854775808, 9223372036854775807), (9223372036854775807, 0)) v (a, b)) x), '-9223372036854775808 0 9223372036854775807', 'the lowest and the highest number');
SELECT is((SELECT string_agg(account, ' ') FROM (SELECT (cdp.fraud_core_text(cdp.fraud_graph(a, b))).* FROM (VALUES ('', 'a'), ('微信', 'Z'), (repeat('x', 40000), 'a')) v (a, b)) x WHERE length(account) < 9), ' Z a 微信', 'texts in order of their bytes');
SELECT is((SELECT count(*) FROM (SELECT (cdp.fraud_core(cdp.fraud_graph(a, b))).* FROM t.complete WHERE false) x), 0::bigint, 'no rows: no nodes');
SELECT is((SELECT count(*) FROM (SELECT (cdp.fraud_dense_blocks_uuid(cdp.fraud_graph(a, b))).* FROM t.complete WHERE false) x), 0::bigint, 'and no block, whatever the type');
SELECT is((SELECT cdp.fraud_graph(a, b)::text FROM t.complete WHERE false), '\x010000000000'::text, 'the empty graph');
SELECT is((SELECT count(*) FROM cdp.fraud_components(NULL::cdp.fraud_graph) x) + (SELECT count(*) FROM cdp.fraud_cycles(NULL::regclass)) + (SELECT count(*) FROM cdp.fraud_core(NULL::refcursor)), 0::bigint, 'NULL: no rows');
SELECT is((SELECT string_agg(account || '/' || core, ' ') FROM (SELECT (cdp.fraud_core(cdp.fraud_graph(a, b))).* FROM (VALUES (1, NULL::int), (NULL, 2), (NULL, NULL), (3, 3)) v (a, b)) x), '1/0 2/0 3/0', 'rows with one end are nodes');

-- Bad input.
SELECT throws_ok($$SELECT * FROM cdp.fraud_components('t.shared'::regclass, 0, 'account', 'attribute')$$, '22003', 'hub_cap is out of range', 'a hub cap of nothing');
SELECT throws_ok($$SELECT * FROM cdp.fraud_components('t.shared'::regclass, NULL, 'account', 'attribute')$$, '22004', NULL, 'a hub cap of NULL');
SELECT throws_ok($$SELECT * FROM cdp.fraud_cycles('t.ring'::regclass, 5)$$, '22003', NULL, 'longer cycles');
SELECT throws_ok($$SELECT * FROM cdp.fraud_cycles('t.ring'::regclass, 4, 0)$$, '22003', NULL, 'a cap of nothing');
SELECT throws_ok($$SELECT * FROM cdp.fraud_dense_blocks('t.block'::regclass, 1, 'sqrt')$$, '22023', 'there is no weight "sqrt"', 'an unknown weight');
SELECT throws_ok($$SELECT * FROM cdp.fraud_dense_blocks('t.block'::regclass, 0)$$, '22003', NULL, 'no block');
SELECT throws_ok($$SELECT * FROM cdp.fraud_core('t.block'::regclass)$$, '42804', NULL, 'texts as numbers');
SELECT throws_ok($$SELECT (cdp.fraud_core_text(cdp.fraud_graph(a, b))).* FROM t.block$$, '42804', 'the nodes of this graph are not of type text', 'numbers as texts');
SELECT throws_ok($$SELECT cdp.fraud_graph(1.5, 2)$$, '42804', 'values of type numeric cannot be nodes', 'a type that is no node');
SELECT throws_ok($$SELECT * FROM cdp.fraud_core('t.ring'::regclass, 'a', 'c')$$, '42703', NULL, 'a column that does not exist');
SELECT throws_ok($$SELECT * FROM cdp.fraud_core('no such'::refcursor)$$, '34000', NULL, 'a cursor that does not exist');
DECLARE three CURSOR FOR SELECT 1, 2, 3;
SELECT throws_ok($$SELECT * FROM cdp.fraud_core('three'::refcursor)$$, '42804', 'links have two columns', 'a cursor of three columns');
SELECT throws_ok($$SELECT '\x0100'::cdp.fraud_graph$$, '22P03', NULL, 'cut bytes');
SELECT throws_ok($$SELECT '\x01000003000000040000'::cdp.fraud_graph$$, '22P03', NULL, 'nodes out of order');
SELECT throws_ok($$SELECT 'x'::cdp.fraud_graph$$, '22P02', NULL, 'no bytes');

-- Rights are those of the caller.
CREATE ROLE referral_graph_reader;
GRANT USAGE ON SCHEMA t TO referral_graph_reader;
ALTER TABLE t.ring ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON t.ring USING (a < 3);
SET LOCAL ROLE referral_graph_reader;
SELECT throws_ok($$SELECT * FROM cdp.fraud_core('t.ring'::regclass)$$, '42501', NULL, 'without SELECT');
RESET ROLE;
GRANT SELECT ON t.ring TO referral_graph_reader;
SET LOCAL ROLE referral_graph_reader;
SELECT is((SELECT count(*) FROM cdp.fraud_core('t.ring'::regclass)), 3::bigint, 'row security of the caller');
RESET ROLE;

-- Memory and cancellation.
CREATE TABLE t.large AS SELECT hashint8(i)::bigint AS a, hashint8(-i)::bigint AS b FROM generate_series(1, 60000::bigint) i;
CREATE TABLE t.stored AS SELECT cdp.fraud_graph(a, b) AS g FROM t.large;
SET LOCAL cdp.fraud_memory = '1MB';
SELECT throws_ok($$SELECT cdp.fraud_graph(a, b) FROM t.large$$, '54000', 'graphs of accounts do not fit into memory', 'a graph that does not fit');
SELECT throws_ok('SELECT cdp.fraud_dense_blocks(g) FROM t.stored', '54000', 'a graph of accounts does not fit into memory', 'a stored one that does not fit');
SET LOCAL cdp.fraud_memory = '3MB';
SELECT throws_ok('SELECT cdp.fraud_core(g) FROM t.stored', '54000', 'a graph of accounts does not fit into memory', 'an engine that does not fit');
RESET cdp.fraud_memory;
CREATE TABLE t.dense AS SELECT a, b FROM generate_series(1, 400) a, generate_series(1, 400) b;
CREATE FUNCTION t.cancelled(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE query;
  RETURN 'ended';
EXCEPTION WHEN query_canceled THEN
  RETURN 'cancelled';
END $$;
SET LOCAL statement_timeout = '300ms';
SELECT is(t.cancelled($$SELECT count(*) FROM cdp.fraud_cycles('t.dense'::regclass, 4, 1000)$$), 'cancelled', 'a search for cycles can be cancelled');
SELECT is(t.cancelled($$SELECT count(*) FROM generate_series(1, 1000) i, LATERAL (SELECT cdp.fraud_graph(a, b + i) AS g FROM t.dense) x, LATERAL cdp.fraud_dense_blocks(g) y$$), 'cancelled', 'peeling can be cancelled');
RESET statement_timeout;
SELECT * FROM finish();
ROLLBACK;

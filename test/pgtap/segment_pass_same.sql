-- The bytes of an event pass do not depend on the order of rows, on workers or on memory.
BEGIN;
SELECT plan(18);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
SELECT setseed(0.17) \g /dev/null
\ir ../twin/segment_pass.sql

-- The events of the twin many times over, at other moments and of other customers, and one long customer.
CREATE TABLE t.many AS
SELECT (random() * random() * 20000)::bigint AS customer, e.at - (random() * 300)::int * interval '1 minute' AS at, e.kind, e.origin, e.campaign, e.source, e.value, e.properties, e.id * 10000 + i AS id
FROM generate_series(1, 300) i, t.ev e;
INSERT INTO t.many SELECT 70000, at, kind, origin, campaign, source, value, properties, id FROM t.many LIMIT 20000;
ANALYZE t.many;
CREATE TABLE t.plan AS SELECT t.random_plan(t.us('2026-03-30 04:00Z'), '{count,count,count,days,periods,sum,avg,min,max,distinct,first,last,gap,seq,seq,seq,seq}', 40) AS p;
CREATE FUNCTION t.digest(src text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE format('SELECT md5(cdp_internal.segment_pass(customer, at, kind, origin, campaign, source, value, properties, id, (SELECT p FROM t.plan), %L)) FROM %s', '2026-03-31Z', src) INTO answer;
  RETURN answer;
END $$;
CREATE TABLE t.base AS SELECT t.digest('t.many') AS d;
SELECT cmp_ok((SELECT count(*) FROM t.plan, jsonb_array_elements(p->'events') a WHERE a->>'op' = 'seq'), '>', 3::bigint, 'there are sequences among the atoms');
SELECT is(t.digest(format('(SELECT * FROM t.many ORDER BY %s) s', how)), d, 'rows ordered by ' || how) FROM t.base, unnest('{at,"at DESC, id DESC",customer,"md5(id::text)",kind}'::text[]) how;
-- Ids that are missing or come again: all else that rows are decides their order.
CREATE TABLE t.unclear AS SELECT customer, at, kind, origin, campaign, source, value, properties, CASE WHEN id % 3 > 0 THEN id % 2 END AS id, id AS no FROM t.many WHERE customer < 12000;
SELECT is(t.digest(format('(SELECT * FROM t.unclear ORDER BY %s) s', how)), t.digest('t.unclear'), 'ids that repeat, rows ordered by ' || how) FROM unnest('{no,"no DESC",at,"md5(no::text)"}'::text[]) how;
SET LOCAL cdp.segment_memory = '16MB';
SELECT is(t.digest('t.many'), d, 'rows in files') FROM t.base;
SELECT is(t.digest('(SELECT * FROM t.many ORDER BY md5(id::text)) s'), d, 'rows in files, in another order') FROM t.base;
SELECT throws_ok($$SELECT t.digest('(SELECT 5::bigint AS customer, at, kind, origin, campaign, source, value, properties, id FROM t.many) s')$$, '54000', NULL, 'one customer larger than the setting is an error');
SELECT is((SELECT count(*) FROM pg_ls_tmpdir() WHERE name LIKE format('pgsql\_tmp%s.%%', pg_backend_pid())), 0::bigint, 'no temporary file is left');
RESET cdp.segment_memory;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
ALTER TABLE t.many SET (parallel_workers = 2);
SELECT is(t.digest('t.many WHERE id > 0'), d, 'workers scan') FROM t.base;

-- More classes than a narrow row can name: every combination of fourteen conditions.
CREATE TABLE t.wide AS SELECT i % 500 AS customer, '2026-03-30Z'::timestamptz - i * interval '1 second' AS at, (SELECT jsonb_object_agg('p' || b, i >> b & 1) FROM generate_series(0, 13) b) AS properties
FROM generate_series(0, 16383) i;
CREATE TABLE t.wide_plan AS SELECT jsonb_build_object('v', 1, 'as_of', t.us('2026-03-30 04:00Z'), 'kinds', '[1]'::jsonb,
  'conditions', jsonb_agg(jsonb_build_object('prop', 'p' || b, 'op', 'eq', 'value', 1) ORDER BY b),
  'events', jsonb_agg(jsonb_build_object('op', 'count', 'of', jsonb_build_array(jsonb_build_object('kind', 1, 'if', b)), 'window', jsonb_build_object('to', t.us('2026-03-30 04:00Z')), 'cmp', 'gte', 'value', 17) ORDER BY b)) AS p FROM generate_series(0, 13) b;
SELECT is((SELECT string_agg(cdp.roaring_count(customers)::text, ' ' ORDER BY atom) FROM cdp_internal.segment_pass_events((SELECT cdp_internal.segment_pass(customer, at, 1, NULL, NULL, NULL, NULL, properties, NULL, (SELECT p FROM t.wide_plan), NULL) FROM t.wide))),
  (SELECT string_agg((SELECT count(*) FROM (SELECT FROM t.wide WHERE properties->('p' || b) = '1' GROUP BY customer HAVING count(*) >= 17) x)::text, ' ' ORDER BY b) FROM generate_series(0, 13) b), 'thousands of classes');
SET LOCAL cdp.segment_memory = '16MB';
SELECT throws_ok($$SELECT cdp_internal.segment_pass(customer, at, 1, NULL, NULL, NULL, NULL, properties, NULL, (SELECT p FROM t.wide_plan), NULL) FROM t.wide$$, '54000', 'the rows of a segment pass differ in too many ways', 'too many classes for the setting');
SELECT lives_ok($$DO 'DECLARE c CURSOR FOR SELECT cdp_internal.segment_pass(customer, at, 1, NULL, NULL, NULL, NULL, properties, NULL, (SELECT p FROM t.wide_plan), NULL) FROM t.wide GROUP BY customer % 3; BEGIN OPEN c; CLOSE c; END'$$, 'a pass that nobody finishes');
SELECT * FROM finish();
ROLLBACK;

-- The type cdp.funnel_partial: the same bytes whatever the order of rows, workers, zone and memory; shards of customers add
-- up to the whole; bytes that nobody should trust.
BEGIN;
SELECT plan(48);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
SELECT setseed(0.61) \g /dev/null
CREATE TABLE t.rows AS
SELECT (900 * random() * random())::int::bigint AS k, '2026-01-01Z'::timestamptz + floor(random() * 700) * interval '1 hour' AS at,
  (ARRAY['a', 'b', '购', 'x', 'other', NULL])[1 + floor(random() * 6)::int] AS label, (ARRAY['red', 'blue', '红', NULL])[1 + floor(random() * 4)::int] AS color, i AS id
FROM generate_series(1, 40000) i;
ANALYZE t.rows;
CREATE FUNCTION t.digest(src text, o jsonb, call text DEFAULT 'k, at, label, $1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT md5(cdp.funnel_pass(%s)::text) FROM %s', call, src) INTO r USING o;
  RETURN r;
END $$;
CREATE TABLE t.way AS SELECT n, o, call, t.digest('t.rows', o, call) AS digest FROM (VALUES
  (1, cdp.funnel_options('{a,b,购}', '5 days', exclude => '{x}'), 'k, at, label, $1'),
  (2, cdp.funnel_options('{a,b|购}', '5 days', step_order => 'strict'), 'k, at, label, $1, color'),
  (3, cdp.funnel_options('{a,a,b}', step_within => '{2 days,3 days}', ties => 'by_id', breakdown => 'last'), 'k, at, label, $1, color, id'),
  (4, cdp.funnel_options('{a,b,购}', '5 days', step_order => 'unordered', exclude => '{x}', since => '2026-01-03Z', until => '2026-01-20Z', durations => false), 'k, at, label, $1, color')) v (n, o, call);
SELECT is((SELECT count(DISTINCT digest) FROM t.way), 4::bigint, 'four answers');
SELECT is(t.digest(format('(SELECT * FROM t.rows ORDER BY %s) s', how), o, call), digest, format('way %s, rows ordered by %s', n, how)) FROM t.way, unnest('{id DESC,"label, at DESC","md5(id::text)"}'::text[]) how;
SELECT is(t.digest('t.rows', o, replace(call, 'k,', 'k::text,')), digest, format('way %s, by text keys', n)) FROM t.way;
SET LOCAL timezone = 'America/St_Johns';
SET LOCAL datestyle = 'German';
SELECT is(t.digest('t.rows', o, call), digest, format('way %s in another zone', n)) FROM t.way;
RESET timezone;
RESET datestyle;
SET LOCAL max_parallel_workers_per_gather = 4;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
CREATE FUNCTION t.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE l text; r text := '';
BEGIN
  FOR l IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP r := r || l || E'\n'; END LOOP;
  RETURN r;
END $$;
SELECT matches(t.plan($$SELECT cdp.funnel_pass(k, at, label, cdp.funnel_options('{a}')) FROM t.rows$$), 'Gather', 'workers scan, the leader collects');
SELECT is(t.digest('t.rows', o, call), digest, format('way %s with workers', n)) FROM t.way;
SET LOCAL max_parallel_workers_per_gather = 0;

-- Above the memory setting rows go to files.
CREATE TABLE t.many AS SELECT k + 900 * g AS k, at, label, color, id + 40000 * g AS id FROM t.rows, generate_series(0, 17) g;
CREATE FUNCTION t.spilled(memory text, o jsonb, call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('cdp.journey_memory', memory, true);
  RETURN t.digest('t.many', o, call);
END $$;
SELECT is(t.spilled('16MB', o, call), t.spilled('1GB', o, call), format('way %s spilled', n)) FROM t.way WHERE n IN (2, 3);
SELECT set_config('cdp.journey_memory', '16MB', true) \g /dev/null
SELECT throws_ok($$SELECT cdp.funnel_pass(1, at, label, cdp.funnel_options('{a,b}', step_order => 'strict'), color, id) FROM t.many$$, '54000', NULL, 'one customer larger than the setting is an error');
SELECT lives_ok($$SELECT cdp.funnel_pass(k, at, md5(id::text), cdp.funnel_options('{a,b}')) FROM t.many$$, 'labels that no step names take no memory');
RESET cdp.journey_memory;

-- Shards.
CREATE TABLE t.whole AS SELECT cdp.funnel_pass(k, at, label, o, color) AS p FROM t.rows, t.way WHERE n = 1;
CREATE TABLE t.shards AS SELECT cdp.funnel_pass(k, at, label, o, color) AS p FROM t.rows, t.way WHERE n = 1 GROUP BY k % 7;
SELECT is((SELECT md5(cdp.funnel_merge(p)::text) FROM t.shards), md5(p::text), 'shards of customers add up to the whole') FROM t.whole;
SELECT is((SELECT md5(cdp.funnel_merge(p ORDER BY md5(p::text))::text) FROM t.shards), md5(p::text), 'in any order') FROM t.whole;
SELECT is((SELECT md5(cdp.funnel_merge(p)::text) FROM (SELECT cdp.funnel_merge(p) AS p FROM (SELECT p, row_number() OVER () % 2 AS g FROM t.shards) s GROUP BY g) m), md5(p::text), 'and in two steps') FROM t.whole;
SELECT is((SELECT md5(cdp.funnel_merge(p)::text) FROM (SELECT cdp.funnel_pass(k, at, label, o, color) AS p FROM t.rows, t.way WHERE n = 1 GROUP BY k) m), md5(p::text), 'customer by customer, whose breakdowns differ') FROM t.whole;
SELECT is((SELECT cdp.funnel_merge(NULL::cdp.funnel_partial))::text, NULL, 'adding nothing');
SELECT is((SELECT md5(cdp.funnel_merge(q)::text) FROM (SELECT p AS q FROM t.whole UNION ALL SELECT NULL) x), md5(p::text), 'or a NULL') FROM t.whole;
SELECT throws_ok($$SELECT cdp.funnel_merge(p) FROM (SELECT p FROM t.whole UNION ALL SELECT cdp.funnel_pass(1, now(), 'a', cdp.funnel_options('{a,b}'), 'red')) x$$, '22023', 'funnels with different options cannot be added', 'other options');
SELECT throws_ok($$SELECT cdp.funnel_merge(p) FROM (SELECT p FROM t.whole UNION ALL SELECT cdp.funnel_pass(1, now(), 'a', (SELECT o FROM t.way WHERE n = 1))) x$$, '22023', 'funnels with different options cannot be added', 'with a breakdown and without');

-- Bytes: every byte of a value changed in four ways, every cut: refused with 22P03, or a value; never anything else.
SELECT is(p::text::cdp.funnel_partial::text, p::text, 'text in and out') FROM t.whole;
SELECT is(md5(cdp_internal.funnel_partial_send(p)), md5(decode(substr(p::text, 3), 'hex')), 'binary is the same bytes') FROM t.whole;
CREATE FUNCTION t.try(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE p cdp.funnel_partial := bytes::text;
BEGIN
  PERFORM count(*) FROM cdp.funnel_steps(p);
  PERFORM count(*) FROM cdp.funnel_summary(p);
  PERFORM cdp.funnel_merge(v) FROM unnest(ARRAY[p, p]) AS v;
  RETURN CASE WHEN p::text = bytes::text THEN 'fine' ELSE 'another value' END;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE FUNCTION t.tried(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE p cdp.funnel_partial;
BEGIN
  BEGIN p := bytes::text; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END;
  RETURN t.try(bytes);
END $$;
CREATE TABLE t.small AS SELECT decode(substr(cdp.funnel_pass(k, at, label, o, color)::text, 3), 'hex') AS b FROM t.rows, t.way WHERE n = 1 AND k < 4 AND id < 4000;
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.tried(substr(b, 1, n)) AS s FROM t.small, generate_series(0, length(b) - 1) n) x), '22P03', 'cut anywhere, it is refused');
SELECT is((SELECT string_agg(DISTINCT s, ' ' ORDER BY s) FROM (SELECT t.tried(set_byte(b, n, (get_byte(b, n) # x) & 255)) AS s FROM t.small, generate_series(0, length(b) - 1) n, unnest('{1,16,128,255}'::int[]) x) x), '22P03 fine', 'each byte changed: refused, or the value that the bytes say');
SELECT is((SELECT string_agg(DISTINCT s, ' ') FROM (SELECT t.tried(overlay(b PLACING '\xffffffffffffffff7f' FROM n)) AS s FROM t.small, generate_series(1, length(b)) n) x), '22P03', 'huge counts anywhere');
CREATE TABLE t.one AS SELECT decode(substr(cdp.funnel_pass(1, now(), 'a', cdp.funnel_options('{a}'))::text, 3), 'hex') AS b;
SELECT is(right(encode(b, 'hex'), 12), '010000000101', 'a row, three that were left out, a customer, who came to the first step') FROM t.one;
SELECT is(t.tried(substr(b, 1, length(b) - 6) || decode(changed, 'hex')), '22P03', 'more customers than rows, or than had any: ' || changed) FROM t.one, unnest('{010000000102,010000000201,030000000102}'::text[]) changed;
SELECT throws_ok($$SELECT 'hello'::cdp.funnel_partial$$, '22P02', NULL, 'text that is no value');
SELECT * FROM finish();
ROLLBACK;

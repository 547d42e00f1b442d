-- Passes over journeys stay small: what is divided further gives its memory back, labels that are numbers count as memory.
BEGIN;
SELECT plan(4);
SET LOCAL client_min_messages = error;
SET LOCAL jit = off;
CREATE SCHEMA t;
-- Highest resident memory of this server process so far, kB.
CREATE FUNCTION t.peak() RETURNS bigint LANGUAGE sql RETURN (regexp_match(pg_read_file('/proc/self/status', 0, 4000), 'VmHWM:\s+(\d+)'))[1]::bigint;
SET LOCAL cdp.journey_memory = '16MB';

-- Three customers each share a partition of their own, and together they are too large for it: sixteen partitions are divided by further bits of the hash.
CREATE FUNCTION t.long(customers bigint[]) RETURNS bigint LANGUAGE sql AS $$
  SELECT s.customers FROM (SELECT cdp.funnel_pass(k, timestamptz '2026-01-01' + i * interval '1 second', 1, '{"steps": ["1", "1"]}', 'red', i) AS p
    FROM unnest(customers) k, generate_series(1, 50000::bigint) i) f, cdp.funnel_steps(f.p) s WHERE s.step = 2 $$;
CREATE TABLE t.start AS SELECT t.long('{1,17,239}') AS customers, t.peak() AS kb;
SELECT is(t.long('{1,17,239,2,25,354,3,38,134,4,171,217,5,154,220,6,132,280,8,233,298,10,121,185,12,15,391,13,71,127,16,41,96,20,75,139,21,270,364,23,45,51,26,74,112,30,174,357}'), 48::bigint, 'long customers in sixteen partitions');
SELECT diag('peak grew by kB: ' || t.peak() - kb) FROM t.start;
SELECT cmp_ok(t.peak() - kb, '<', 16000::bigint, 'take no more memory than those of one') FROM t.start;

SELECT throws_ok($$SELECT cdp.path_pass(i, now(), i, NULL) FROM generate_series(1, 500000) i$$, '54000', 'labels of journeys do not fit into memory', 'many labels that are numbers');
SELECT lives_ok($$SELECT cdp.path_pass(1, now(), i, '{"labels": ["7"]}') FROM generate_series(1, 500000) i$$, 'unless the options name those that count');
SELECT * FROM finish();
ROLLBACK;

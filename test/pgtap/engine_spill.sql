-- Passes that do not fit into cdp.attribution_memory go through temporary files and give the same bytes.
BEGIN;
SELECT plan(9);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
SELECT setseed(0.11) \g /dev/null
CREATE TABLE t.rows AS
SELECT (random() * random() * 60000)::bigint AS k, '2026-01-01'::timestamptz + (random() * 90000)::int * interval '2 minutes' AS at,
  CASE WHEN r < 0.03 THEN NULL ELSE (ARRAY['a', 'b', 'c', 'd', 'e', 'f'])[1 + (random() * 5)::int] END AS label,
  CASE WHEN r < 0.02 THEN (random() * 100)::numeric(9, 2) WHEN r < 0.025 THEN -1 END AS value, i AS id
FROM (SELECT i::bigint, random() AS r FROM generate_series(1, 600000) i) g;
CREATE FUNCTION t.pass(kind text, memory text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  PERFORM set_config('cdp.attribution_memory', memory, true);
  EXECUTE format('SELECT md5(cdp.attribution_pass(%s)::text) FROM t.rows', replace(kind, 'OPTIONS',
    $o$cdp.attribution_options(models => '{first,last,linear,time_decay,markov(2),shapley}', max_touches => 20)$o$)) INTO answer;
  RETURN answer;
END $$;
SELECT is(t.pass(call, '16MB'), t.pass(call, '1GB'), 'the same below and above: ' || call) FROM unnest(ARRAY[
  'k, at, label, value, OPTIONS', 'k::text, at, label, value::float8, OPTIONS',
  'md5(k::text)::uuid, at, label, value, OPTIONS, id, label, id, NULL::bigint']) call;

-- A few customers hold everything: their partitions are divided again.
CREATE TABLE t.few AS SELECT CASE WHEN id % 3 = 0 THEN id % 50 ELSE k END AS k, at, label, value, id FROM t.rows;
ALTER TABLE t.rows RENAME TO all_rows;
ALTER TABLE t.few RENAME TO rows;
SELECT is(t.pass('k, at, label, value, OPTIONS', '16MB'), t.pass('k, at, label, value, OPTIONS', '1GB'), 'long customers among short ones');

-- Three long customers that share a partition: it is divided by further bits of the hash.
CREATE TABLE t.three AS SELECT (ARRAY[1, 17, 239])[1 + id % 3]::bigint AS k, at, label, CASE WHEN id % 2000 = 0 THEN 5 END::numeric AS value, id FROM t.rows WHERE id <= 300000;
ALTER TABLE t.rows RENAME TO few_rows;
ALTER TABLE t.three RENAME TO rows;
SELECT is(t.pass('k, at, label, value, OPTIONS', '16MB'), t.pass('k, at, label, value, OPTIONS', '1GB'), 'long customers in one partition');
ALTER TABLE t.rows RENAME TO three_rows;
ALTER TABLE t.few_rows RENAME TO rows;

-- One customer that does not fit.
SET LOCAL cdp.attribution_memory = '16MB';
SELECT throws_ok($$SELECT cdp.attribution_pass(1::bigint, at, label, value, NULL) FROM t.rows$$, '54000', NULL, 'one customer larger than the setting is an error');
RESET cdp.attribution_memory;
SELECT is((SELECT conversions FROM (SELECT cdp.attribution_pass(1::bigint, at, label, value, '{"models": ["last"], "max_touches": 5}'::jsonb) AS p FROM t.rows) s,
  cdp.attribution_summary(s.p)), (SELECT count(*) FROM t.rows WHERE value >= 0), 'and fine within it');
SELECT throws_ok($$SET cdp.attribution_memory = '1MB'$$, '22023', NULL, 'a setting below 16 MB is refused');
SELECT is((SELECT count(*) FROM pg_ls_tmpdir() WHERE name LIKE format('pgsql\_tmp%s.%%', pg_backend_pid())), 0::bigint, 'no temporary file is left');
SELECT * FROM finish();
ROLLBACK;

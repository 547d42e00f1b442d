-- What must end when it is asked to, and stay small.
BEGIN;
SELECT plan(10);
SET LOCAL client_min_messages = error;
CREATE SCHEMA t;
-- Highest resident memory of this server process so far, kB.
CREATE FUNCTION t.peak() RETURNS bigint LANGUAGE sql RETURN (regexp_match(pg_read_file('/proc/self/status', 0, 4000), 'VmHWM:\s+(\d+)'))[1]::bigint;

-- Customers of credits: names of text keys count as memory, other keys leave nothing behind.
SET LOCAL cdp.attribution_memory = '16MB';
CREATE TABLE t.start AS SELECT t.peak() AS kb;
SELECT is((SELECT customers FROM (SELECT cdp.attribution_pass(i, timestamptz '2026-01-01', 'a', 1.0,
    cdp.attribution_options(models => '{last}', credits => true, until => '1900-01-01')) AS p FROM generate_series(1, 1000000::bigint) i) s, cdp.attribution_summary(s.p)), 1000000::bigint, 'a million customers');
SELECT diag('peak grew by kB: ' || t.peak() - kb) FROM t.start;
SELECT cmp_ok(t.peak() - kb, '<', 60000::bigint, 'leave no names behind') FROM t.start;
SELECT throws_ok($$SELECT cdp.attribution_pass(i::text, timestamptz '2026-01-01', 'a', 1.0, cdp.attribution_options(models => '{last}', credits => true)) FROM generate_series(1, 100000::bigint) i$$,
  '54000', 'customers of attribution do not fit into memory', 'names of text keys are bounded');
SELECT throws_ok($$SELECT cdp.attribution_pass(i, timestamptz '2026-01-01', 'a', 1.0, cdp.attribution_options(models => '{last}', credits => true)) FROM generate_series(1, 500000::bigint) i$$,
  '54000', 'journeys of an attribution result take more than 8 MB', 'kept journeys are bounded by the setting');
RESET cdp.attribution_memory;

-- A customer with many touches and many conversions can be cancelled; it would take minutes.
CREATE TABLE t.bot AS SELECT timestamptz '2026-01-01' + i * interval '1 s' AS at, CASE WHEN i <= 300000 THEN (ARRAY['a', 'b', 'c'])[1 + i % 3] END AS label,
  CASE WHEN i > 300000 THEN 1 END::numeric AS value FROM generate_series(1, 303000) i;
CREATE FUNCTION t.cancelled(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE began timestamptz := clock_timestamp();
BEGIN
  PERFORM cdp.attribution_pass(1::bigint, at, label, value, options) FROM t.bot;
  RETURN 'it ended';
EXCEPTION WHEN query_canceled THEN
  RETURN CASE WHEN clock_timestamp() - began < '7 s' THEN 'in time' ELSE 'after ' || clock_timestamp() - began END;
END $$;
SET LOCAL statement_timeout = '1500ms';
SELECT is(t.cancelled(cdp.attribution_options(models => '{time_decay,time_decay(1 day),time_decay(2 days),time_decay(3 days),time_decay(4 days),linear_unique}', lookback_unbounded => true)), 'in time', 'many rule models');
SELECT is(t.cancelled(cdp.attribution_options(models => '{last}', lookback_unbounded => true, collapse => true)), 'in time', 'repeats folded');
SET LOCAL statement_timeout = 0;

-- Merging parts that bring ever new labels keeps the memory of the last sums only.
CREATE TABLE t.part AS SELECT i, (SELECT cdp.attribution_path_pass(ARRAY['l' || i * 1000 + k], 1, 1, 0, cdp.attribution_options(models =>
    '{first,last,linear,ramp,u_shaped,j_shaped,inverse_j,exponential,participation,linear_unique}')) AS p FROM generate_series(1, 400) k) FROM generate_series(1, 100) i;
CREATE TABLE t.before AS SELECT t.peak() AS kb;
SELECT is((SELECT sum(r.conversions) FROM (SELECT cdp.attribution_merge(p) AS p FROM t.part) s, cdp.attribution_totals(s.p) r WHERE r.model = 'last'), 40000.0, 'a hundred parts with labels of their own');
SELECT diag('peak grew by kB: ' || t.peak() - kb) FROM t.before;
SELECT cmp_ok(t.peak() - kb, '<', 150000::bigint, 'and their merge stays small') FROM t.before;

-- A label in a model's name costs what it is long, not a buffer of its own: a hundred models of ten thousand labels.
CREATE FUNCTION t.many() RETURNS text[] LANGUAGE sql BEGIN ATOMIC
  SELECT array_agg('last_non(' || m || ',' || (SELECT string_agg('l' || i, ',') FROM generate_series(1, 9900) i) || ')') FROM generate_series(1, 100) m;
END;
CREATE TABLE t.given AS SELECT t.many() AS models;
DROP TABLE t.before;
CREATE TABLE t.before AS SELECT t.peak() AS kb;
SELECT cmp_ok((SELECT length(cdp.attribution_options(models => models)::text) FROM t.given), '>', 5000000, 'a million labels in models');
SELECT diag('peak grew by kB: ' || t.peak() - kb) FROM t.before;
SELECT cmp_ok(t.peak() - kb, '<', 400000::bigint, 'stay small') FROM t.before;
SELECT * FROM finish();
ROLLBACK;

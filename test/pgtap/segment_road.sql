-- Which road a run takes: few changed customers are looked at by index, more by a pass when that is cheaper, and after a day of the
-- calendar has passed everybody; whichever it is, the same members come out, and the run says why. Commits, so without a
-- transaction around.
SELECT plan(13);
SET client_min_messages = error;
SELECT cdp.add_source('shop', 'UTC') \g /dev/null
CREATE FUNCTION pg_temp.load(name text, n integer, at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  DROP TABLE IF EXISTS pg_temp.staged;
  CREATE TEMP TABLE staged AS SELECT name || i AS source_key, at AS occurred_at, 'user_id' AS identifier_type, 'u' || i AS identifier, 'purchase' AS kind FROM generate_series(1, n) i;
  RETURN (SELECT inserted FROM cdp.load_touchpoints('shop', 'pg_temp.staged'));
END $$;
-- Members, as plain SQL has them, of a rule of so many purchases in 30 days.
CREATE FUNCTION pg_temp.plain(least_often int, at timestamptz) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM (SELECT t.customer_id FROM cdp_data.touchpoint t WHERE t.occurred_at >= at - interval '720 hours' AND t.occurred_at < at GROUP BY 1 HAVING count(*) >= least_often) x $$;
CREATE FUNCTION pg_temp.right(at timestamptz) RETURNS boolean LANGUAGE sql AS $$
  SELECT (SELECT count(*) FROM cdp.segment_members('once')) = pg_temp.plain(1, at) AND (SELECT count(*) FROM cdp.segment_members('twice')) = pg_temp.plain(2, at) $$;
SELECT pg_temp.load('a', 1300, '2026-05-01 10:00+00') AS loaded \gset
SELECT cdp.create_segment('once', 'did(purchase last 30 days)', 'service'), cdp.create_segment('twice', 'count(purchase last 30 days) >= 2', 'service') \g /dev/null
SELECT is((SELECT kind || ': ' || reason FROM cdp.segment_tick('2026-05-02 00:00+00')), 'full: nothing was evaluated before', 'the first run looks at everybody');
SELECT pg_temp.load('b', 1000, '2026-05-02 00:30+00') AS loaded \gset
SELECT results_eq($$SELECT kind, reason, touched FROM cdp.segment_tick('2026-05-02 01:00+00')$$, $$VALUES ('tick', NULL, 1000::bigint)$$, 'a thousand who changed are few');
SELECT ok(pg_temp.right('2026-05-02 01:00+00'), 'with the members of plain SQL');
SELECT pg_temp.load('c', 1001, '2026-05-02 01:30+00') AS loaded \gset
SELECT is((SELECT kind || ': ' || reason FROM cdp.segment_tick('2026-05-02 02:00+00')), 'full: so many customers changed that a pass is cheaper', 'one more is not, where there are few touchpoints');
SELECT ok(pg_temp.right('2026-05-02 02:00+00'), 'with those of plain SQL, too');
SELECT is((SELECT count(*) FROM cdp.segment_members('twice')), 1001::bigint, 'who bought again is in');
-- By what the planner knows of touchpoints: a pass over three million costs more than a thousand and one customers.
SELECT c.oid AS partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'cdp_data.touchpoint'::regclass ORDER BY 1 LIMIT 1 \gset
SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', :partition::regclass) \gexec
UPDATE pg_class SET reltuples = 3e6 WHERE oid = :partition;
SELECT pg_temp.load('d', 1200, '2026-05-02 02:30+00') AS loaded \gset
SELECT results_eq($$SELECT kind, reason, touched FROM cdp.segment_tick('2026-05-02 03:00+00')$$, $$VALUES ('tick', NULL, 1200::bigint)$$, 'where there are many, they are few');
SELECT ok(pg_temp.right('2026-05-02 03:00+00'), 'with the members of plain SQL');
SELECT is((SELECT defects FROM cdp.audit_segments('2026-05-02 03:00+00')), 0::bigint, 'an audit agrees');

-- A rule of this month: its window moves at the midnight of reports, in Shanghai.
SELECT cdp.create_segment('may', 'did(purchase this month)', 'service') \g /dev/null
SELECT kind FROM cdp.segment_tick('2026-05-31 15:00+00') \g /dev/null
SELECT is((SELECT run_id FROM cdp.segment_tick('2026-05-31 15:59:59.999999+00')), NULL, 'up to midnight nothing happens');
SELECT is((SELECT kind || ': ' || reason FROM cdp.segment_tick('2026-05-31 16:00+00')), 'full: a calendar window moved', 'then everybody is looked at');
SELECT is((SELECT count(*) FROM cdp.segment_members('may')), 0::bigint, 'and the month has begun without anybody');
SELECT results_eq($$SELECT name COLLATE "default", command, schedule COLLATE "default" FROM cdp_data.job WHERE name IN ('segment_tick', 'segment_audit', 'segment_ranks') AND enabled ORDER BY 1$$,
  $$VALUES ('segment_audit', 'SELECT cdp.audit_segments()', '1 day at 03:50'), ('segment_ranks', 'SELECT cdp.refresh_ranks()', '1 day at 03:40'), ('segment_tick', 'SELECT cdp.segment_tick()', '1 minute')$$,
  'the job list ticks each minute and audits each night');
SELECT * FROM finish();

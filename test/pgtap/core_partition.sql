-- Partitions: made once, by month in UTC, not for absurd times, beside readers and loads; sweep and retention.
SELECT plan(43);
CREATE EXTENSION dblink;
SELECT dblink_connect(c, format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) FROM unnest(ARRAY['one', 'two']) c;
\ir waiting.inc
SELECT public.backend_of('one') AS one, public.backend_of('two') AS two \gset
CREATE TEMP VIEW part AS SELECT replace(partition_name, 'cdp_data.touchpoint_', '') AS name, * FROM cdp_internal.touchpoint_partitions();
INSERT INTO cdp_data.source (source_id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'shop');
-- A touchpoint with its key, at a time.
CREATE FUNCTION public.put(at timestamptz, n int DEFAULT 1) RETURNS void LANGUAGE sql AS $$
  WITH t AS (
    INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id)
    SELECT 1, 1, at, 1, 1, 1, 1 FROM generate_series(1, n) RETURNING *)
  INSERT INTO cdp_data.touchpoint_key (source_id, source_key, touchpoint_id, customer_id, occurred_at) SELECT 1, touchpoint_id::text, touchpoint_id, customer_id, occurred_at FROM t
$$;

-- setup() made last year and the next months.
SELECT ok(min(from_at) <= now() - interval '13 months' AND max(to_at) > now() + interval '3 months', 'setup() makes partitions behind and ahead') FROM part WHERE NOT is_default;
SELECT is((SELECT count(*) FROM part WHERE is_default), 1::bigint, 'and one default partition');
SELECT is(cdp_internal.ensure_partitions(now(), now()), 0, 'what is there is not made again');

-- Ranges.
SELECT is(cdp_internal.ensure_partitions('2020-01-31 23:59:59.999999+00', '2020-03-01 00:00:00+00'), 3, 'both ends are included');
SELECT results_eq($$SELECT from_at, to_at FROM part WHERE name = '2020_02'$$, $$VALUES ('2020-02-01 00:00+00'::timestamptz, '2020-03-01 00:00+00'::timestamptz)$$, 'a month of UTC');
SET timezone = 'America/Los_Angeles';
SELECT is(cdp_internal.ensure_partitions('2020-04-01 00:00+00', '2020-04-30 23:59+00'), 1, 'the session''s time zone plays no part');
SELECT is((SELECT count(*) FROM part WHERE name = '2020_04'), 1::bigint, 'in the name either');
RESET timezone;
SELECT is(cdp_internal.ensure_partitions(ARRAY['2020-06-15', NULL, 'infinity', '-infinity', '1850-01-01', '9999-01-01']::date[]), 1, 'NULL, infinite and absurd days make none');
SELECT throws_ok($$SELECT cdp_internal.ensure_partitions('2020-01-01', 'infinity'::timestamptz)$$, '22008', NULL, 'an endless range');
SELECT throws_ok($$SELECT cdp_internal.ensure_partitions('2020-02-01', '2020-01-01'::timestamptz)$$, '22008', NULL, 'a backward range');
SELECT throws_ok($$SELECT cdp_internal.ensure_partitions('1900-01-01', '2026-01-01'::timestamptz)$$, '54000', NULL, 'more than a hundred years');
CREATE TABLE cdp_data.touchpoint_2019_01 ();
SELECT is(cdp_internal.ensure_partitions('2019-01-05', '2019-01-05'::timestamptz), 0, 'a table in the way is not touched');
DROP TABLE cdp_data.touchpoint_2019_01;
-- A partition of the DBA's own, longer than a month.
CREATE TABLE cdp_data.mine PARTITION OF cdp_data.touchpoint FOR VALUES FROM ('2018-01-01 00:00+00') TO ('2019-01-01 00:00+00');
SELECT is(cdp_internal.ensure_partitions('2018-05-01', '2018-07-01'::timestamptz), 0, 'nor is a partition of the DBA''s own');

-- Indexes, columns and triggers of the parent reach new partitions.
ALTER TABLE cdp_data.touchpoint ADD COLUMN shop_note text, ADD COLUMN shop_year int GENERATED ALWAYS AS (extract(year FROM occurred_at AT TIME ZONE 'UTC')::int) STORED;
CREATE INDEX mine_idx ON cdp_data.touchpoint (campaign_id);
SELECT is(cdp_internal.ensure_partitions('2020-08-01', '2020-08-01'::timestamptz), 1, 'a new partition after a user''s changes');
SELECT is((SELECT count(*) FROM pg_index WHERE indrelid = 'cdp_data.touchpoint_2020_08'::regclass), (SELECT count(*) FROM pg_index WHERE indrelid = 'cdp_data.touchpoint'::regclass), 'has every index of its parent');

-- Two makers, one open transaction: the second waits, finds the work done, and makes none.
SELECT dblink_exec('one', 'BEGIN');
SELECT dblink_exec('one', $$DO 'BEGIN PERFORM cdp_internal.ensure_partitions(''2020-10-01''::timestamptz, ''2020-10-01''); END'$$);
SELECT dblink_send_query('two', $$SELECT cdp_internal.ensure_partitions('2020-10-01'::timestamptz, '2020-10-01')$$);
SELECT public.until_settled('two', :two);
SELECT is(dblink_is_busy('two'), 1, 'a second maker waits for the first');
SET lock_timeout = '5s';
SELECT is(cdp_internal.ensure_partitions(now(), now()), 0, 'who needs none does not wait');
SELECT lives_ok($$SELECT public.put(now())$$, 'nor does a load into a month that is there');
RESET lock_timeout;
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT n FROM dblink_get_result('two') r (n int)), 0, 'and finds the work done');
SELECT count(*) FROM dblink_get_result('two') r (n int);

-- A reader of everything holds the default partition: the maker gives up instead of waiting, the rows go there.
SELECT dblink_exec('one', 'BEGIN');
SELECT n FROM dblink('one', 'SELECT count(*) FROM cdp_data.touchpoint') r (n bigint);
SELECT is(cdp_internal.ensure_partitions('2020-12-01', '2020-12-01'::timestamptz), 0, 'beside a long reader no partition is made');
SELECT public.put('2020-12-05 12:00+00', 3);
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_default), 3::bigint, 'and its rows go to the default one');
-- A load that has written there already does not deadlock with a maker.
SELECT dblink_exec('one', 'COMMIT');
SELECT dblink_exec('one', 'BEGIN');
SELECT dblink_exec('one', $$DO 'BEGIN PERFORM public.put(''2021-02-05 12:00+00''); END'$$);
SELECT dblink_exec('two', 'BEGIN');
SELECT n FROM dblink('two', $$SELECT cdp_internal.ensure_partitions('2021-03-05'::timestamptz, '2021-03-05')$$) r (n int);
SELECT lives_ok($$SELECT dblink_exec('two', 'DO ''BEGIN PERFORM public.put(''''2021-03-05 12:00+00''''); END''')$$, 'a load whose maker gave up goes on');
SELECT lives_ok($$SELECT dblink_exec('one', 'DO ''BEGIN PERFORM public.put(''''2021-03-06 12:00+00''''); END''')$$, 'and so does the other');
SELECT dblink_exec('one', 'COMMIT');
SELECT dblink_exec('two', 'COMMIT');

-- maintain() moves them out: a month between partitions always, a far month only with many rows.
SELECT public.put('1995-05-05 12:00+00', 5);
SELECT public.put('1996-05-05 12:00+00', 1000);
SELECT public.put('1950-01-01 12:00+00', 2);
CREATE TEMP TABLE before AS SELECT touchpoint_id, customer_id, occurred_at FROM cdp_data.touchpoint;
SELECT cmp_ok((SELECT count(*) FROM cdp.health() WHERE finding IN ('default_partition', 'absurd_times')), '=', 2::bigint, 'health() tells of both');
CALL cdp.maintain();
SELECT is((SELECT string_agg(to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM'), ' ' ORDER BY occurred_at) FROM cdp_data.touchpoint_default), '1950-01 1950-01 1995-05 1995-05 1995-05 1995-05 1995-05', 'the rest left the default partition');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_1996_05), 1000::bigint, 'into partitions of their own');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint WHERE shop_year IS DISTINCT FROM extract(year FROM occurred_at AT TIME ZONE 'UTC')), 0::bigint, 'with a generated column of the user''s');
SELECT is_empty('(TABLE before EXCEPT ALL SELECT touchpoint_id, customer_id, occurred_at FROM cdp_data.touchpoint) UNION ALL (SELECT touchpoint_id, customer_id, occurred_at FROM cdp_data.touchpoint EXCEPT ALL TABLE before)', 'no row was lost or doubled');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'default_partition'), 0::bigint, 'health() is content');

-- Dropping gives way to a load that corrects a key of that month: neither maintain() nor the load ends with a deadlock.
SELECT dblink_exec('one', 'BEGIN');
SELECT dblink_exec('one', $$DO 'BEGIN PERFORM public.put(now()); END'$$);
SELECT dblink_send_query('two', $$SELECT cdp_internal.drop_partition('cdp_data.touchpoint_1996_05')$$);
SELECT public.until_settled('two', :two);
SELECT lives_ok($$SELECT dblink_exec('one', 'UPDATE cdp_data.touchpoint_key SET occurred_at = now() WHERE occurred_at < ''2000-01-01'' AND source_key::bigint % 7 = 0')$$, 'the load goes on');
SELECT is((SELECT r.gone FROM dblink_get_result('two') r (gone boolean)), false, 'the month is dropped another time');
SELECT count(*) FROM dblink_get_result('two') r (gone boolean);
SELECT dblink_exec('one', 'ROLLBACK');

-- Two sessions maintain at once: the second finds the month gone, and that is no error.
SELECT dblink_exec('one', 'BEGIN');
SELECT is((SELECT r.gone FROM dblink('one', $$SELECT cdp_internal.drop_partition('cdp_data.touchpoint_2020_01')$$) r (gone boolean)), true, 'one drops a month');
SELECT dblink_send_query('two', $$SELECT cdp_internal.drop_partition('cdp_data.touchpoint_2020_01')$$);
SELECT public.until_settled('two', :two);
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT r.gone FROM dblink_get_result('two') r (gone boolean)), false, 'the other waits and finds it gone');
SELECT count(*) FROM dblink_get_result('two') r (gone boolean);
SELECT throws_ok($$SELECT cdp_internal.drop_partition('cdp_data.customer')$$, '42P01', NULL, 'a table that is no partition');

-- Retention drops partitions with their keys, and only those wholly older.
INSERT INTO cdp_data.feed_cursor VALUES ('test', pg_current_snapshot(), cdp_internal.system_identifier());
SELECT public.put(now() - interval '2 days', 3);
INSERT INTO cdp_data.touchpoint_retracted (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, source_key, retracted_by_load)
VALUES (1, 1, 1, '1994-01-01', 1, 1, 1, 1, 'x', 1); -- a month without a partition
UPDATE cdp_data.setting SET touchpoint_retention = '1 year';
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'expired_partitions'), 1::bigint, 'health() announces it');
CALL cdp.maintain();
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 4::bigint, 'only what is younger than a year is left');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_key k JOIN cdp_data.touchpoint USING (touchpoint_id, customer_id, occurred_at)), 4::bigint, 'with its keys');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_key), 4::bigint, 'and no others');
SELECT ok(min(to_at) > now() - interval '1 year', 'old partitions are gone') FROM part WHERE NOT is_default;
SELECT cmp_ok((SELECT count(*) FROM cdp.feed_read('test') WHERE cause = 'retention' AND customer_id IS NULL), '>', 0::bigint, 'the change feed tells');
SELECT cmp_ok((SELECT count(*) FROM cdp.feed_read('test') WHERE cause = 'retention' AND occurred_from < '1960-01-01'), '=', 1::bigint, 'of rows of the default partition too');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_retracted), 0::bigint, 'and no retracted version outlives the retention');
SELECT is((SELECT earliest FROM cdp_internal.time_bounds()), date_trunc('month', now() - interval '1 year', 'UTC'), 'and older rows are no longer let in');
SELECT dblink_disconnect(c) FROM unnest(ARRAY['one', 'two']) c;
SELECT * FROM finish();

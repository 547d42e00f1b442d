-- Retention beside writers: what is written to a partition while it is about to be dropped stays when its kind is kept longer,
-- and so does what a hold came for; days and months are those of UTC in every session.
SELECT plan(14);
CREATE EXTENSION dblink;
SELECT dblink_connect(c, format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) FROM unnest(ARRAY['one', 'two']) c;
\ir waiting.inc
SELECT public.backend_of('two') AS two \gset
SELECT cdp.add_source('shop', 'UTC') AS shop \gset
SELECT date_trunc('month', now() - interval '30 months', 'UTC') + interval '10 days' AS old \gset
SELECT cdp_internal.ensure_partitions(:'old'::timestamptz, :'old'::timestamptz) \g /dev/null
CREATE TABLE staging AS SELECT 'c' || n AS source_key, :'old'::timestamptz AS occurred_at, 'email' AS identifier_type, 'p' || n || '@example.org' AS identifier, 'click' AS kind FROM generate_series(1, 20) n;
SELECT cdp.load_touchpoints('shop', 'staging') \g /dev/null
CREATE TABLE late AS SELECT 'p1' AS source_key, :'old'::timestamptz AS occurred_at, 'email' AS identifier_type, 'p1@example.org' AS identifier, 'purchase' AS kind, 10.0 AS value;
SELECT cdp.set_retention('touchpoint', '2 years'), cdp.set_retention('touchpoint', '10 years', 'purchase') \g /dev/null
SELECT partition_name AS part FROM cdp_internal.touchpoint_bounds() WHERE from_at <= :'old' AND to_at > :'old' AND NOT is_default \gset
SELECT is((SELECT string_agg(p, ' ') FROM cdp_internal.expired_partitions() p), :'part', 'a month of clicks only can go');
SELECT dblink_exec('two', 'SET client_min_messages = error');

-- A purchase of that month is on its way in.
SELECT dblink_exec('one', 'BEGIN');
SELECT dblink_exec('one', $$DO 'BEGIN PERFORM cdp.load_touchpoints(''shop'', ''public.late''); END'$$);
SELECT dblink_send_query('two', format('SELECT cdp_internal.drop_partition(%L, now())', :'part'));
SELECT ok(public.until_settled('two', :two), 'who drops the month waits for the load');
SELECT dblink_exec('one', 'COMMIT');
SELECT is((SELECT r.gone FROM dblink_get_result('two') r (gone boolean)), false, 'and leaves the month');
SELECT count(*) FROM dblink_get_result('two') r (gone boolean);
SELECT is((SELECT count(*) FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id) WHERE k.source_key = 'p1'), 1::bigint, 'with the purchase and its key');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_key), 21::bigint, 'and all other keys');
SELECT is((SELECT sum(orphans) FROM cdp.check_orphans()), 0::numeric, 'no key is without its row');
SET client_min_messages = error;
CALL cdp.maintain();
SELECT is((SELECT string_agg(k.source_key, ' ') FROM cdp_data.touchpoint t JOIN cdp_data.touchpoint_key k USING (touchpoint_id)), 'p1', 'the clicks go one by one');

-- A hold that comes between the look and the drop.
SELECT cdp.set_retention('touchpoint', NULL, 'purchase') \g /dev/null
SELECT is((SELECT string_agg(p, ' ') FROM cdp_internal.expired_partitions() p), :'part', 'kept no longer, the month can go');
SELECT cdp.place_hold(cdp.customer_of('email', 'p1@example.org'), 'case 3') AS hold \gset
SELECT is(cdp_internal.drop_partition(:'part', now()), false, 'and stays for a hold');
SELECT cdp.lift_hold(:hold) \g /dev/null
SELECT is(cdp_internal.drop_partition(:'part', now()), true, 'until it is lifted');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint_key), 0::bigint, 'then its keys are gone with it');

-- The same plan in every time zone: summer time begins between, and the month of February is short.
SELECT cdp.set_retention('quarantine', '90 days'), cdp.set_retention('touchpoint', '3 months') \g /dev/null
INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason, created_at) SELECT min(load_id), :shop, '{}', 'bad_time', 'x', '2020-01-01' FROM cdp_data.load;
SET TimeZone = 'UTC';
CREATE TEMP TABLE plan AS SELECT 'UTC' AS zone, p.cutoff FROM cdp.retention_plan('2026-05-31 02:00+00') p;
SELECT is((SELECT cutoff FROM plan), '2026-03-02 02:00+00'::timestamptz, 'ninety days of UTC');
SET TimeZone = 'America/New_York';
SELECT is((SELECT p.cutoff FROM cdp.retention_plan('2026-05-31 02:00+00') p), (SELECT cutoff FROM plan), 'in another time zone as well');
SELECT is((SELECT min(c.cutoff) FROM cdp_internal.kind_cutoffs('2026-05-31 02:00+00') c), '2026-02-28 02:00+00'::timestamptz, 'three months before the end of May are the end of February of UTC');
SELECT dblink_disconnect(c) FROM unnest(ARRAY['one', 'two']) c;
SELECT * FROM finish();

-- Pulls: the line of pg_cron, what health and the views tell of runs.
SELECT no_plan();
SET client_min_messages = error;
SELECT cdp.add_source('s') \g /dev/null
\ir connection_connector.inc
SELECT cdp.create_connection(n, 'vault', '{"account": "1"}', 's') FROM unnest('{a,b,c,d}'::text[]) n \g /dev/null
-- States are set as they are: how they come about is not the matter here.
UPDATE cdp_data.connection SET state = CASE name WHEN 'd' THEN 'suspended' ELSE 'live' END, state_at = now() - interval '2 hours', suspended_from = CASE name WHEN 'd' THEN 'live' END;
CREATE FUNCTION pg_temp.run(connection text, ago interval, outcome text, problem text DEFAULT NULL, stream text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cdp_data.sync_run (connection_id, source_id, stream, started_at, finished_at, outcome, calls, pages, records, inserted, problem, revision, binding)
  SELECT c.connection_id, c.source_id, run.stream, now() - ago, CASE WHEN run.outcome IS NOT NULL THEN now() - ago + interval '90 seconds' END, run.outcome, 3, 2, 20, 5, run.problem, c.revision, 'x' FROM cdp_data.connection c WHERE c.name = run.connection RETURNING run_id $$;
CREATE FUNCTION pg_temp.health() RETURNS text LANGUAGE sql AS $$SELECT string_agg(finding || ' ' || substring(detail FROM 'connection \w') || coalesce(substring(detail FROM '.*(: .*)'), ''), ', ' ORDER BY finding, detail) FROM cdp.health() WHERE finding LIKE 'sync%'$$;

SELECT pg_temp.run('a', '2 hours', 'ok'), pg_temp.run('c', '1 hour', 'failed', 'status 500'), pg_temp.run('a', '10 min', 'waits') \g /dev/null

-- The line of pg_cron. That it works is shown for cdp.schedule(), which takes the same road.
SELECT matches(cdp.schedule_sync(), 'pg_cron is not in this database.*CALL cdp\.sync_due\(\)', 'without pg_cron somebody else has to run it');
SELECT is(cdp.unschedule_sync(), false, 'and there is nothing to be taken out');
SELECT matches(cdp.schedule(), 'pg_cron is not in this database.*CALL cdp\.run_jobs\(\)', 'the line of jobs is another one');

-- Views.
SELECT is((SELECT string_agg(concat_ws(' ', connection, outcome, seconds, calls, pages, records, inserted, problem), ', ' ORDER BY run_id) FROM cdp_bi.sync_run),
  'a ok 90.000 3 2 20 5, c failed 90.000 3 2 20 5 status 500, a waits 90.000 3 2 20 5', 'runs');
SELECT pg_temp.run('c', '5 min', NULL) \g /dev/null
SELECT pg_temp.run('c', '3 min', 'stopped') \g /dev/null
SELECT is((SELECT outcome FROM cdp_bi.sync_run WHERE finished_at IS NULL), 'running', 'one that runs');
SELECT is((SELECT string_agg(concat_ws(' ', connection, state, runs, runs_ok, success_rate, last_outcome), ', ' ORDER BY connection) FROM cdp_bi.integration_status),
  'a live 2 2 1.0000 waits, b live 0 0, c live 1 0 0.0000 stopped, d suspended 0 0', 'connections: what was stopped counts neither way, what runs not yet');
INSERT INTO cdp_data.sync_breaker (connection_id, stream, source_id, failures, open_until, since, reason)
SELECT connection_id, s, source_id, 4, now() + h, now() - interval '2 days', 'status 500' FROM cdp_data.connection, (VALUES ('records', interval '1 hour'), ('', interval '-1 hour')) v (s, h) WHERE name = 'c';
SELECT is((SELECT standing::text FROM cdp_bi.integration_status WHERE connection = 'c'), '{records}', 'and what stands still');

-- Health.
SELECT is(pg_temp.health(), 'sync_stands connection c: status 500', 'what stands still for more than a day');
DELETE FROM cdp_data.sync_breaker;
SELECT pg_temp.run('c', '2 min', 'failed', 'x'), pg_temp.run('c', '1 min', 'failed', 'y') \g /dev/null
SELECT is(pg_temp.health(), NULL, 'two failures in a row are not told yet');
SELECT pg_temp.run('c', '0', 'failed', 'status 503') \g /dev/null
SELECT is(pg_temp.health(), 'sync_failed connection c: status 503', 'three are');
SELECT pg_temp.run('c', '0', 'ok') \g /dev/null
UPDATE cdp_data.connection SET state_at = now() - interval '3 days' WHERE name IN ('b', 'd');
SELECT is(pg_temp.health(), 'sync_late connection b' || (SELECT ': never pulled since it is live, ' || state_at FROM cdp_data.connection WHERE name = 'b'), 'one that nobody pulls; a good run ends the other finding; a suspended one is not late');
UPDATE cdp_data.sync_run SET started_at = started_at - interval '2 days', finished_at = finished_at - interval '2 days';
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'sync_late'), 1::bigint, 'late is who was pulled long ago, since its state');
UPDATE cdp_data.connection SET state_at = now() - interval '3 days';
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'sync_late'), 3::bigint, 'all of them, when nobody comes any more');

SELECT * FROM finish();

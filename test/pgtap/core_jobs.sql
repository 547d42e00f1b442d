-- The job list, cdp.run_jobs(), the line of pg_cron, and the outbox.
SELECT plan(52);
CREATE EXTENSION dblink;
CREATE FUNCTION public.conn(db text DEFAULT current_database()) RETURNS text LANGUAGE sql AS $$
  SELECT format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), db, current_user)
$$;

-- When a job is due.
SELECT is(cdp_internal.next_run('15 minutes', '2026-03-01 10:00+00', 'UTC'), '2026-03-01 10:15+00', 'an interval');
SELECT is(cdp_internal.next_run('1 day at 03:30', '2026-03-01 10:00+00', 'UTC'), '2026-03-02 03:30+00', 'the next night');
SELECT is(cdp_internal.next_run('1 day at 03:30', '2026-03-01 02:00+00', 'UTC'), '2026-03-01 03:30+00', 'the same night');
SELECT is(cdp_internal.next_run('1 day at 03:30', '2026-03-01 02:00+00', 'Asia/Shanghai'), '2026-03-01 19:30+00', 'in the reporting time zone');
SELECT is(cdp_internal.next_run('1 week at 03:30', '2026-03-01 03:30:01+00', 'UTC'), '2026-03-08 03:30+00', 'a week later');
SELECT is(cdp_internal.next_run('1 hour', NULL, 'UTC'), '-infinity', 'never run: at once');
SELECT throws_ok($$SELECT cdp_internal.next_run('now and then', NULL, 'UTC')$$, '22023', NULL, 'no schedule');
SELECT throws_ok($$INSERT INTO cdp_data.job (name, command, schedule) VALUES ('x', 'SELECT 1', '0 3 * * *')$$, '23514', NULL, 'the list refuses it too');
SELECT throws_ok(format('INSERT INTO cdp_data.job (name, command, schedule) VALUES (''x'', ''SELECT 1'', %L)', s), '23514', NULL, 'what would stop every other job does not get in: ' || s)
FROM unnest(ARRAY['0 minutes', '15 minutes at 03:30']) s;

-- A run: a good job, a failing one, one that commits by itself, one switched off.
CREATE TABLE public.trace (what text, xid xid8 DEFAULT pg_current_xact_id());
CREATE PROCEDURE public.committing() LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.trace VALUES ('before commit');
  COMMIT;
  INSERT INTO public.trace VALUES ('after commit');
END $$;
INSERT INTO cdp_data.job (name, command, schedule, commits, enabled) VALUES
  ('a good', $$INSERT INTO public.trace VALUES ('good')$$, '1 hour', false, true),
  ('b bad', 'SELECT 1 / 0', '1 hour', false, true),
  ('c committing', 'CALL public.committing()', '1 hour', true, true),
  ('d off', $$INSERT INTO public.trace VALUES ('off')$$, '1 hour', false, false),
  ('e last', $$INSERT INTO public.trace VALUES ('last')$$, '1 day at 04:00', false, true);
UPDATE cdp_data.job SET last_started = now() + interval '1 hour' WHERE name !~ '^[a-e] '; -- the rooms' own jobs
SELECT cmp_ok((SELECT count(*) FROM cdp.health() WHERE finding = 'job_late'), '=', 4::bigint, 'health() sees what nobody runs');
SET client_min_messages = error;
CALL cdp.run_jobs();
RESET client_min_messages;
SELECT is((SELECT string_agg(what, ', ' ORDER BY xid) FROM public.trace), 'good, before commit, after commit, last', 'every due job ran, in order');
SELECT is((SELECT count(DISTINCT xid) FROM public.trace), 4::bigint, 'each in its transaction, the committing one in two');
SELECT is((SELECT string_agg(name, ', ' ORDER BY name) FROM cdp_data.job WHERE last_error IS NOT NULL), 'b bad', 'a failure is noted');
SELECT matches((SELECT last_error FROM cdp_data.job WHERE name = 'b bad'), '^22012: division by zero', 'with SQLSTATE and message');
SELECT is((SELECT string_agg(state, ' ' ORDER BY job) FROM cdp_data.job_run), 'done failed done done', 'each run has a row');
SELECT is((SELECT count(*) FROM cdp_data.job WHERE running_pid IS NOT NULL), 0::bigint, 'nothing says that it still runs');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'job_failed'), 1::bigint, 'health() tells');
CALL cdp.run_jobs();
SELECT is((SELECT count(*) FROM cdp_data.job_run), 4::bigint, 'nothing is due twice');

-- A job whose command is a SELECT: its rows are thrown away one by one (the peak of this session's memory, in kB).
CREATE FUNCTION public.peak() RETURNS int LANGUAGE sql AS $$ SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::int $$;
SELECT public.peak() AS before \gset
CALL cdp_internal.run_command($$SELECT repeat('x', 1000) FROM generate_series(1, 200000)$$);
SELECT cmp_ok(public.peak() - :before, '<', 100000, '200 MB of rows that nobody reads are not collected');

-- A job that commits by itself and fails ends the run; the next one goes on with the rest.
UPDATE cdp_data.job SET enabled = false;
INSERT INTO cdp_data.job (name, command, schedule, commits) VALUES ('f broken', 'CALL public.missing()', '1 hour', true), ('g rest', $$INSERT INTO public.trace VALUES ('rest')$$, '1 hour', false);
SELECT throws_ok(format('SELECT dblink_exec(%L, %L)', public.conn(), 'CALL cdp.run_jobs()'), '42883', NULL, 'its error is the caller''s');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'job_abandoned'), 1::bigint, 'health() finds the run abandoned');
CALL cdp.run_jobs();
SELECT is((SELECT count(*) FROM public.trace WHERE what = 'rest'), 1::bigint, 'the rest ran');

-- Two at once: neither takes the other's job.
UPDATE cdp_data.job SET enabled = name IN ('h slow', 'f broken');
INSERT INTO cdp_data.job (name, command, schedule) VALUES ('h slow', $$INSERT INTO public.trace SELECT 'slow' FROM pg_advisory_xact_lock(4711)$$, '1 hour');
SELECT dblink_connect('one', public.conn());
SELECT pg_advisory_lock(4711); -- the job waits for it
SELECT dblink_send_query('one', 'CALL cdp.run_jobs()');
DO $$ BEGIN
  FOR i IN 1 .. 1000 LOOP
    EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;
CALL cdp.run_jobs();
SELECT is((SELECT count(*) FROM cdp_data.job_run WHERE job = 'h slow' AND state = 'running'), 1::bigint, 'the second session left the running job alone');
SELECT pg_advisory_unlock(4711);
SELECT * FROM dblink_get_result('one') r (n text);
SELECT is((SELECT count(*) FROM public.trace WHERE what = 'slow'), 1::bigint, 'it ran once');

-- A run that was cancelled, by somebody who stays connected.
UPDATE cdp_data.job SET last_started = NULL WHERE name = 'h slow';
SELECT pg_advisory_lock(4711);
SELECT count(*) FROM dblink_get_result('one') r (n text);
SELECT dblink_exec('one', 'SET statement_timeout = 300');
SELECT dblink_exec('one', 'CALL cdp.run_jobs()', false);
SELECT pg_advisory_unlock(4711);
SELECT is((SELECT string_agg(detail, '') ~ 'h slow' FROM cdp.health() WHERE finding = 'job_abandoned'), true, 'health() sees that an idle session runs no job');
UPDATE cdp_data.job SET last_started = last_started - interval '1 hour' WHERE name = 'h slow';
CALL cdp.run_jobs();
SELECT is((SELECT string_agg(state, ' ' ORDER BY job_run_id) FROM cdp_data.job_run WHERE job = 'h slow'), 'done abandoned done', 'and the job is taken again when it is due');
SELECT dblink_disconnect('one');

-- What stands before pg_catalog in the caller's path is never used: here a type whose check notes that it ran.
CREATE SCHEMA planted;
CREATE FUNCTION planted.noted(pg_catalog.text) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO public.trace VALUES ('planted'); SELECT true $$;
CREATE DOMAIN planted.text AS pg_catalog.text CHECK (planted.noted(VALUE::pg_catalog.text));
UPDATE cdp_data.job SET enabled = name = 'maintain', last_started = NULL;
SET search_path = planted, pg_catalog;
CALL cdp.run_jobs();
CALL cdp.make_partitions(now(), now());
RESET search_path;
SELECT is((SELECT count(*) FROM public.trace WHERE what = 'planted'), 0::bigint, 'run_jobs(), maintain() and make_partitions() use no planted type');

-- A committing job inside a transaction block is refused by PostgreSQL, and so is maintain().
BEGIN;
SAVEPOINT s;
SELECT throws_ok('CALL cdp.maintain()', '2D000', NULL, 'maintain() needs to stand outside a transaction block');
ROLLBACK;

-- pg_cron, from another database.
SELECT count(*) > 0 AS has_cron FROM pg_available_extensions WHERE name = 'pg_cron' AND current_setting('cron.database_name', true) = 'postgres' \gset
\if :has_cron
  SELECT matches(cdp.schedule('*/5 * * * *'), 'pg_cron is not in this database but in postgres', 'schedule() knows where pg_cron lives');
  SELECT dblink_exec(public.conn('postgres'), 'CREATE EXTENSION IF NOT EXISTS pg_cron');
  SELECT substring(cdp.schedule('*/5 * * * *') FROM 'run: (SELECT .*);$') AS line \gset
  SELECT * FROM dblink(public.conn('postgres'), :'line') r (id bigint) \gset cron_
  SELECT is((SELECT line FROM dblink(public.conn('postgres'), 'SELECT schedule || ''|'' || command || ''|'' || database FROM cron.job WHERE jobid = ' || :cron_id) r (line text)),
    '*/5 * * * *|CALL cdp.run_jobs()|' || current_database(), 'the line it gives schedules this database there');
  SELECT * FROM dblink(public.conn('postgres'), 'SELECT cron.unschedule(' || :cron_id || ')') r (gone boolean);
  -- In the database where pg_cron itself lives.
  SELECT dblink_exec(public.conn('postgres'), 'CREATE EXTENSION pg_cdp');
  SELECT line AS here FROM dblink(public.conn('postgres'), 'SELECT cdp.schedule()') r (line text) \gset
  SELECT line AS there FROM dblink(public.conn('postgres'), format('SELECT cdp.schedule(database => %L)', current_database())) r (line text) \gset
  SELECT * FROM dblink(public.conn('postgres'), 'SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname LIKE ''pg_cdp %''') r (gone boolean);
  SELECT dblink_exec(public.conn('postgres'), 'DROP EXTENSION pg_cdp');
  SELECT matches(:'here'::text, 'pg_cron job \d+ runs CALL cdp.run_jobs.. in database postgres', 'there, schedule() puts the line in itself');
  SELECT matches(:'there'::text, 'in database ' || current_database() || ' at', 'for another database too');
\else
  SELECT skip('pg_cron is not loaded', 4);
\endif
-- A schema of that name, planted where pg_cron is not, and then as far as schedule() sees it pg_cron in the same database.
CREATE SCHEMA cron;
CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO public.trace VALUES (job_name || '|' || schedule || '|' || command); SELECT 7::bigint $$;
SELECT matches(cdp.schedule(), 'pg_cron is not in this database', 'a planted schema cron is not taken for pg_cron');
SELECT is((SELECT count(*) FROM public.trace WHERE what LIKE 'pg_cdp %'), 0::bigint, 'and its function does not run with the caller''s rights');
SET allow_system_table_mods = on;
ALTER EXTENSION dblink ADD FUNCTION cron.schedule(text, text, text);
UPDATE pg_extension SET extname = 'pg_cron' WHERE extname = 'dblink';
SELECT matches(cdp.schedule(), 'pg_cron job 7 runs', 'with pg_cron in the database one line is scheduled');
SELECT is((SELECT count(*) FROM public.trace WHERE what = 'pg_cdp ' || current_database() || '|* * * * *|CALL cdp.run_jobs()'), 1::bigint, 'by its name, so that it is replaced when scheduled again');
SELECT throws_ok($$SELECT cdp.schedule(database => 'other')$$, '0A000', NULL, 'a pg_cron that can not reach other databases');

-- Outbox.
SELECT throws_ok($$SELECT cdp.outbox_put('crm', 'segment', '{}')$$, '23503', NULL, 'an unknown destination');
INSERT INTO cdp_data.destination (destination, max_attempts, purpose) VALUES ('crm', 2, 'service');
SELECT isnt(cdp.outbox_put('crm', 'segment', '{"n": 1}', 'k1'), NULL, 'a message');
SELECT is(cdp.outbox_put('crm', 'segment', '{"n": 2}', 'k1'), NULL, 'the same key is not sent twice');
SELECT cdp.outbox_put('crm', 'segment', '{"n": 3}', NULL, NULL, now() + interval '1 hour');
SELECT results_eq($$SELECT payload ->> 'n', attempt FROM cdp.outbox_take('crm')$$, $$VALUES ('1', 1)$$, 'what is due is taken');
SELECT is_empty($$SELECT * FROM cdp.outbox_take('crm')$$, 'once');
UPDATE cdp_data.outbox SET next_attempt_at = now() WHERE state = 'taken';
SELECT results_eq($$SELECT attempt FROM cdp.outbox_take('crm')$$, 'VALUES (2)', 'and again when its lease has run out');
SELECT cdp.outbox_put('crm', 'segment', '{"n": 9}', 'k9');
UPDATE cdp_data.outbox SET state = 'taken', attempts = 2, next_attempt_at = now() - interval '1 hour' WHERE dedup_key = 'k9';
SELECT is_empty($$SELECT * FROM cdp.outbox_take('crm')$$, 'but not beyond the attempts of the destination');
SELECT is((SELECT state FROM cdp_data.outbox WHERE dedup_key = 'k9'), 'failed', 'a message over which the deliverer died each time has failed');
DELETE FROM cdp_data.outbox WHERE dedup_key = 'k9';
SELECT is((SELECT cdp.outbox_failed(outbox_id, 'HTTP 500') FROM cdp_data.outbox WHERE state = 'taken'), true, 'a failure is reported');
SELECT is((SELECT state FROM cdp_data.outbox WHERE dedup_key = 'k1'), 'failed', 'the attempts are used up');
SELECT is((SELECT count(*) FROM cdp.health() WHERE finding = 'outbox_failed'), 1::bigint, 'health() tells');
UPDATE cdp_data.outbox SET next_attempt_at = now(), created_at = now();
SELECT is((SELECT bool_and(cdp.outbox_sent(outbox_id)) FROM cdp.outbox_take('crm')), true, 'a delivery is reported');
SELECT is((SELECT cdp.outbox_sent(outbox_id) FROM cdp_data.outbox WHERE state = 'sent'), false, 'once');
UPDATE cdp_data.destination SET enabled = false;
SELECT cdp.outbox_put('crm', 'segment', '{"n": 4}');
SELECT is_empty($$SELECT * FROM cdp.outbox_take('crm')$$, 'nothing is taken for a destination that is switched off');
SELECT * FROM finish();

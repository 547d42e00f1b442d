-- cdp.health(): content when all is well, and each finding appears when its cause does. Orphans and the registry.
BEGIN;
SELECT plan(26);
CREATE FUNCTION pg_temp.findings() RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(DISTINCT finding, ' ' ORDER BY finding), '') FROM cdp.health() WHERE area IN ('setup', 'partitions', 'jobs', 'data')
$$;
UPDATE cdp_data.job SET last_started = now();
SELECT is(pg_temp.findings(), '', 'a fresh database has no findings');

SAVEPOINT s; UPDATE cdp_data.setting SET version = '0.0.1';
SELECT is(pg_temp.findings(), 'setup_version', 'tables of another release');
SELECT throws_ok($$SELECT cdp.feed_read('x')$$, '55000', NULL, 'which entry points refuse');
ROLLBACK TO s; DROP VIEW cdp_bi.origin_channel CASCADE;
SELECT is(pg_temp.findings(), 'setup_missing', 'something that setup() made is gone');
ROLLBACK TO s; INSERT INTO cdp_data.role_name VALUES ('reader', 'nobody here');
SELECT is(pg_temp.findings(), 'unknown_role', 'a role that this server does not have');
ROLLBACK TO s; INSERT INTO cdp_data.channel (name) VALUES ('Direct'); INSERT INTO cdp_data.touch_kind (name) VALUES ('visit'); INSERT INTO cdp_data.channel_rule (source, channel_id) VALUES ('x', 777);
SELECT is(pg_temp.findings(), 'duplicate_channel duplicate_kind unknown_channel', 'lists that contradict themselves');
ROLLBACK TO s; DO $$ DECLARE p text; BEGIN FOR p IN SELECT partition_name FROM cdp_internal.touchpoint_partitions() WHERE NOT is_default AND to_at > now() LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$;
SELECT is(pg_temp.findings(), 'no_partition_now partitions_end', 'no partition for today');
ROLLBACK TO s; UPDATE cdp_data.job SET last_started = now() - interval '3 days', last_error = '22012: division by zero';
SELECT is(pg_temp.findings(), 'job_failed job_late', 'jobs that fail or do not run');
ROLLBACK TO s; UPDATE cdp_data.setting SET timezone = 'Mars/Olympus'; INSERT INTO cdp_data.role_name VALUES ('reader', 'nobody here');
SELECT is(pg_temp.findings(), 'check_failed unknown_role', 'one area that can not be looked at does not hide the others');
ROLLBACK TO s; DROP TABLE cdp_data.touchpoint_default;
SELECT is(pg_temp.findings(), 'check_failed setup_missing', 'the default partition is gone');
ROLLBACK TO s; UPDATE cdp_data.job SET running_pid = 1, running_backend = now();
SELECT is(pg_temp.findings(), 'job_abandoned', 'a job whose session is gone');
ROLLBACK TO s; INSERT INTO cdp_data.feed_cursor VALUES ('a', '3:3:', cdp_internal.system_identifier(), now() - interval '20 days'), ('b', '3:3:', 5, now()); SELECT cdp_internal.feed_write('{1}', 'load');
SELECT is(pg_temp.findings(), 'feed_other_cluster feed_unread', 'consumers that do not read, or read elsewhere');
ROLLBACK TO s; INSERT INTO cdp_data.source (source_id, name) VALUES (1, 's'); INSERT INTO cdp_data.load (source_id, xid) VALUES (1, '3'); INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason) VALUES (1, 1, '{}', 'bad_time', 'x');
SELECT is(pg_temp.findings(), 'load_stuck quarantine', 'a load that stopped in the middle, and rows in quarantine');
ROLLBACK TO s; INSERT INTO cdp_data.quarantine (load_id, source_id, original, code, reason) VALUES (1, 1, '{}', 'superseded', 'x'), (1, 1, '{}', 'suppressed', 'x');
SELECT is(pg_temp.findings(), '', 'rows in quarantine that nobody can retry are no finding');
ROLLBACK TO s; INSERT INTO cdp_data.destination (destination) VALUES ('crm'); INSERT INTO cdp_data.outbox (destination, kind, payload, state, last_error) VALUES ('crm', 'x', '{}', 'failed', 'no such address: ann@example.org');
SELECT is((SELECT string_agg(detail || remedy, '') ~ 'ann' FROM cdp.health() WHERE finding = 'outbox_failed'), false, 'what a destination answered is not shown');
ROLLBACK TO s; INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (1, 2), (2, 3), (3, 1), (9, 10);
SELECT is(pg_temp.findings(), 'parent_circle parent_missing', 'merges in a circle or into nobody');
ROLLBACK TO s; SELECT setval('cdp_data.customer_customer_id_seq', 3600000000);
SELECT is(pg_temp.findings(), 'customer_ids', 'ids that run out');
ROLLBACK TO s; SELECT setval('cdp_data.customer_customer_id_seq', 1, false); -- a sequence does not roll back
INSERT INTO cdp_data.touchpoint (customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id) VALUES (1, 1, '1900-01-01', 1, 1, 1, 1);
SELECT is(pg_temp.findings(), 'absurd_times', 'a touchpoint of 1900');
ROLLBACK TO s;
SELECT is(pg_temp.findings(), '', 'and none is left');
SELECT is((SELECT string_agg(DISTINCT severity, ' ') FROM cdp.health()), NULL, 'no other room has findings');

-- Orphans: what foreign keys would have refused.
INSERT INTO cdp_data.touchpoint (touchpoint_id, customer_id, identifier_id, occurred_at, origin_id, source_id, load_id, kind_id, campaign_id, refers_to, value, currency)
VALUES (5, 1, 1, now(), 1, 1, 1, 999, 1, 77, 1, 'XYZ'), (6, 1, 1, '2025-12-01', 1, 1, 1, 1, NULL, NULL, NULL, NULL);
SELECT is((SELECT string_agg(column_name || '=' || orphans || '/' || example, ' ' ORDER BY column_name COLLATE "C") FROM cdp.check_orphans()),
  'campaign_id=1/5 currency=1/5 customer_id=2/5 identifier_id=2/5 key=2/5 kind_id=1/5 load_id=2/5 origin_id=2/5 refers_to=1/5 source_id=2/5', 'orphans are counted per column');
SELECT is((SELECT orphans FROM cdp.check_orphans(now(), 'infinity') WHERE column_name = 'customer_id'), 1::bigint, 'within a range of time');

-- The registry names columns that exist, and no column that can identify a person is forgotten.
SELECT is_empty($$SELECT p.table_name, p.column_name FROM cdp_data.personal_data p
  WHERE to_regclass(p.table_name) IS NULL OR p.column_name <> '*' AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(p.table_name) AND a.attname = p.column_name AND NOT a.attisdropped)$$, 'the registry names columns that exist');
SELECT is_empty($$SELECT p.table_name, p.subject_key FROM cdp_data.personal_data p
  WHERE p.subject_key IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(p.table_name) AND a.attname = p.subject_key AND NOT a.attisdropped)$$, 'and keys that exist');
SELECT is_empty($$SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'cdp_data'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
    AND (a.attname IN ('customer_id', 'identifier_id', 'touchpoint_id') OR a.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'bytea'::regtype, 'uuid'::regtype))
    AND NOT EXISTS (SELECT FROM cdp_data.personal_data p WHERE p.table_name = 'cdp_data.' || c.relname AND p.column_name IN (a.attname, '*'))$$, 'every column of text, JSON or a key of a person is registered');
SELECT ok(bool_and(char_length(code) = 3 AND exponent BETWEEN 0 AND 4) AND count(*) > 150 AND count(*) = count(DISTINCT code), 'ISO 4217 is complete and clean') FROM cdp.currency_builtin();
SELECT * FROM finish();
ROLLBACK;

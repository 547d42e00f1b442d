-- Nobody needs superuser rights after CREATE EXTENSION: a plain role sets up, loads, maintains and reads health.
SELECT plan(18);
DROP SCHEMA cdp_data, cdp_bi, cdp_api CASCADE;
CREATE ROLE cdp_test_plain;
CREATE ROLE cdp_test_stranger;
SELECT format('GRANT CREATE ON DATABASE %I TO cdp_test_plain', current_database()) \gexec
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO cdp_test_plain, cdp_test_stranger;

SET SESSION AUTHORIZATION cdp_test_plain;
SELECT lives_ok($$CALL cdp.setup(timezone => 'UTC', currency => 'EUR')$$, 'a plain role sets up');
SELECT is((SELECT count(*) FROM pg_class WHERE relnamespace = 'cdp_data'::regnamespace AND relowner <> 'cdp_test_plain'::regrole), 0::bigint, 'and owns everything');
CALL cdp.setup();
SELECT cdp.add_source('shop', 'UTC');
CREATE TEMP TABLE staging AS SELECT 'k' || i AS source_key, now() - interval '3 years' + i * interval '1 hour' AS occurred_at, 'email' AS identifier_type,
  'p' || i % 7 || '@example.org' AS identifier, 'click' AS kind, 'weibo' AS source FROM generate_series(1, 50) i;
SELECT lives_ok($$SELECT cdp.load_touchpoints('shop', 'staging')$$, 'it loads, and makes the partitions');
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 50::bigint, 'the rows are there');
UPDATE cdp_data.setting SET touchpoint_retention = '2 years';
CALL cdp.maintain();
SELECT is((SELECT count(*) FROM cdp_data.touchpoint), 0::bigint, 'it maintains: what is older than two years is gone');
UPDATE cdp_data.job SET last_started = NULL, enabled = name = 'maintain';
CALL cdp.run_jobs();
SELECT is((SELECT last_error IS NULL AND last_finished IS NOT NULL FROM cdp_data.job WHERE name = 'maintain'), true, 'it runs jobs');
SELECT is((SELECT count(*) FROM cdp.health() WHERE severity = 'error'), 0::bigint, 'it reads health');
SELECT is((SELECT cause FROM cdp.feed_read('mine')), 'full pass', 'and the change feed');

-- A stranger can do none of it.
SET SESSION AUTHORIZATION cdp_test_stranger;
SELECT throws_ok('SELECT * FROM cdp_data.touchpoint', '42501', NULL, 'a stranger reads no touchpoint');
SELECT throws_ok('SELECT * FROM cdp_bi.origin_channel', '42501', NULL, 'nor a view');
SELECT throws_ok('CALL cdp.setup()', '42501', NULL, 'sets nothing up');
SELECT throws_ok($$SELECT cdp_internal.feed_write('{1}', 'load')$$, '42501', NULL, 'writes no feed');
SELECT throws_ok($$SELECT cdp_internal.ensure_partitions('2020-01-01', '2020-02-01'::timestamptz)$$, '42501', NULL, 'makes no partition');
SELECT throws_ok($$SELECT cdp_internal.declare_job('x', 'user', 'SELECT 1', '1 hour', NULL)$$, '42501', NULL, 'puts no job on the list, which the owner would run');
SELECT throws_ok($$SELECT cdp.outbox_put('x', 'y', '{}')$$, '42501', NULL, 'sends nothing');
SELECT throws_ok('SELECT * FROM cdp.health()', '42501', NULL, 'and health is the owner''s');
RESET SESSION AUTHORIZATION;
CREATE ROLE cdp_test_super SUPERUSER;
SET SESSION AUTHORIZATION cdp_test_super;
SELECT throws_ok('CALL cdp.setup()', '42501', NULL, 'even a superuser does not mix owners by accident');
UPDATE cdp_data.setting SET partitions_ahead = 5;
CALL cdp.maintain();
SELECT is((SELECT count(*) FROM pg_class WHERE relnamespace = 'cdp_data'::regnamespace AND relowner <> 'cdp_test_plain'::regrole), 0::bigint, 'nor with the partitions that his maintain() makes');
RESET SESSION AUTHORIZATION;
DROP OWNED BY cdp_test_plain, cdp_test_stranger CASCADE;
DROP ROLE cdp_test_plain;
DROP ROLE cdp_test_stranger;
DROP ROLE cdp_test_super;
SELECT * FROM finish();

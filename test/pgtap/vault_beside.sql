-- Rotation beside transactions that are open: what they hold, or wrote before and have not committed, leaves it unfinished.
SELECT plan(13);
CREATE EXTENSION dblink;
SELECT dblink_connect('one', format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user));
SET client_min_messages = error;
SELECT cdp.add_source('shop'), cdp.add_attribute('id_card') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('user_id', 'u' || n), jsonb_build_object('id_card', 'SECRET-' || n)) FROM generate_series(1, 5) n \g /dev/null
CREATE FUNCTION pg_temp.clear() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM cdp_data.attribute_value WHERE value LIKE 'SECRET%'$$;
CREATE FUNCTION pg_temp.findings() RETURNS text LANGUAGE sql AS $$SELECT string_agg(finding, ' ') FROM cdp.health() WHERE area = 'vault'$$;

-- Somebody says something before the attribute is encrypted, and commits long after.
SELECT dblink_exec('one', 'BEGIN');
SELECT dblink_exec('one', $$DO 'BEGIN PERFORM cdp.identify(''shop'', ''{"user_id": "late"}'', ''{"id_card": "SECRET-late"}''); END'$$);
SELECT cdp.encrypt_attribute('id_card') \g /dev/null
CALL cdp.rotate_keys();
SELECT is(pg_temp.clear(), 0::bigint, 'what could be seen is sealed');
SELECT is((SELECT finished_at IS NULL AND unopened = 0 FROM cdp_data.key_rotation ORDER BY rotation_id DESC LIMIT 1), true, 'but the run is not finished');
SELECT is(pg_temp.findings(), 'rotation_due', 'and health() goes on to ask for one');
SELECT is((SELECT detail ->> 'state' FROM cdp_data.audit WHERE action = 'rotate' ORDER BY audit_id DESC LIMIT 1), 'not done', 'so says the audit');
SELECT dblink_exec('one', 'COMMIT');
SELECT is(pg_temp.clear(), 1::bigint, 'for what was said before comes in the clear');
CALL cdp.rotate_keys();
SELECT is(pg_temp.clear(), 0::bigint, 'until the next run');
SELECT is(pg_temp.findings(), NULL, 'which is finished');

-- Somebody holds a row that is still in the clear.
SELECT cdp.add_attribute('pin') \g /dev/null
SELECT cdp.identify('shop', jsonb_build_object('user_id', 'u' || n), jsonb_build_object('pin', 'SECRET-PIN-' || n)) FROM generate_series(1, 5) n \g /dev/null
SELECT cdp.encrypt_attribute('pin') \g /dev/null
SELECT dblink_exec('one', 'BEGIN');
SELECT n FROM dblink('one', $$SELECT count(*) FROM (SELECT FROM cdp_data.attribute_value WHERE value = 'SECRET-PIN-3' FOR UPDATE) x$$) r (n bigint);
CALL cdp.rotate_keys();
SELECT is(pg_temp.clear(), 1::bigint, 'a row that is held is left, and waited for by nobody');
SELECT is(pg_temp.findings(), 'rotation_due', 'which is told');
SELECT is((SELECT (detail ->> 'held')::int FROM cdp_data.audit WHERE action = 'rotate' ORDER BY audit_id DESC LIMIT 1), 1, 'with its number');
SELECT dblink_exec('one', 'COMMIT');
CALL cdp.rotate_keys();
SELECT is(pg_temp.clear(), 0::bigint, 'until the next run');
SELECT is(pg_temp.findings(), NULL, 'which is finished');
SELECT is(cdp.reveal(cdp.customer_of('user_id', 'late'), 'id_card'), 'SECRET-late', 'nothing was lost');
SELECT dblink_disconnect('one');
SELECT * FROM finish();

-- cdp.setup(): repeatable, adopts nothing planted, remakes what CASCADE took, loses no row.
SELECT plan(39);

CREATE TEMP VIEW fingerprint AS
SELECT md5(string_agg(o, E'\n' ORDER BY o)) AS objects FROM cdp_internal.setup_objects() o;
CREATE TEMP TABLE fresh AS SELECT * FROM fingerprint;
CREATE TEMP TABLE fresh_objects AS SELECT o FROM cdp_internal.setup_objects() o;

-- Running it again changes nothing.
SELECT is_empty($$SELECT step FROM cdp_internal.setup_pending() WHERE reason <> 'repeated'$$, 'after setup() nothing is pending');
CREATE TEMP TABLE step_before AS SELECT room, step, md5, objects FROM cdp_data.setup_step;
SELECT lives_ok('CALL cdp.setup()', 'setup() can be run again');
SELECT is((SELECT objects FROM fingerprint), (SELECT objects FROM fresh), 'a second setup() leaves the objects as they were');
SELECT is((SELECT timezone || ' ' || currency FROM cdp_data.setting), 'Asia/Shanghai CNY', 'NULL arguments keep time zone and currency');
SELECT is_empty('(SELECT room, step, md5, objects FROM cdp_data.setup_step EXCEPT TABLE step_before)', 'and the record as it was');
SELECT lives_ok($$CALL cdp.setup(timezone => 'Europe/Berlin', currency => 'EUR')$$, 'time zone and currency can change');
SELECT is((SELECT timezone || ' ' || currency || ' ' || version FROM cdp_data.setting), 'Europe/Berlin EUR ' || (SELECT extversion FROM pg_extension WHERE extname = 'pg_cdp'), 'and are stored');

-- Wrong arguments.
SELECT throws_ok($$CALL cdp.setup(timezone => 'Mars/Base')$$, '22023', NULL, 'unknown time zone');
-- Newer systems have such names in a package of their own (tzdata-legacy).
SELECT throws_ok($$CALL cdp.setup(timezone => 'CET')$$, '22023', (SELECT CASE WHEN EXISTS (SELECT FROM pg_timezone_names WHERE name = 'CET') THEN 'time zone "CET" has two meanings' ELSE 'unknown time zone "CET"' END), 'one that has summer time in some places and none in others');
SELECT lives_ok($$CALL cdp.setup(timezone => 'UTC')$$, 'an abbreviation that means the same everywhere');
SELECT lives_ok($$CALL cdp.setup(timezone => 'Europe/Berlin')$$, 'and a zone with a place');
SELECT throws_ok($$CALL cdp.setup(currency => 'ABC')$$, '22023', NULL, 'unknown currency');
SELECT throws_ok($$CALL cdp.setup(currency => 'cny')$$, '22023', NULL, 'a currency in small letters is unknown');
SELECT throws_ok($$CALL cdp.setup(analyst => 'nobody_at_all')$$, '42704', NULL, 'unknown role');
INSERT INTO cdp_data.currency VALUES ('PTS', 0);
SELECT lives_ok($$CALL cdp.setup(currency => 'PTS')$$, 'a currency of one''s own');

-- What CASCADE can take comes back, by the catalogue and not by the record.
DROP VIEW cdp_data.channel_all CASCADE;
DROP INDEX cdp_data.identifier_customer_idx;
ALTER TABLE cdp_data.touchpoint ALTER COLUMN campaign_id DROP NOT NULL;
SELECT hasnt_view('cdp_bi', 'origin_channel', 'the view over a dropped view is gone');
SELECT is((SELECT count(*) FROM cdp_internal.setup_pending() WHERE reason LIKE 'missing%')::int >= 3, true, 'what is gone is pending');
CREATE EXTENSION dblink; -- in a session whose messages do not fill this one's output
SELECT dblink_exec(format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user), 'CALL cdp.setup(dry_run => true)');
SELECT hasnt_view('cdp_bi', 'origin_channel', 'dry_run changes nothing');
CALL cdp.setup();
SELECT has_view('cdp_bi', 'origin_channel', 'setup() remade the view');
SELECT has_index('cdp_data', 'identifier', 'identifier_customer_idx', 'and the index');
SELECT is((SELECT objects FROM fingerprint), (SELECT objects FROM fresh), 'all is as in a fresh database');

-- DROP EXTENSION: refused plainly, with CASCADE no row is lost.
INSERT INTO cdp_data.source (name) VALUES ('shop');
INSERT INTO cdp_data.channel (name) VALUES ('Trade fair');
INSERT INTO cdp_data.origin (source) VALUES ('weibo');
INSERT INTO cdp_data.customer (customer_id, parent_id) VALUES (1, 1), (2, 1);
ALTER TABLE cdp_data.customer ADD COLUMN vip boolean DEFAULT true;
CREATE FUNCTION pg_temp.rows_of(relname name) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM cdp_data.%I', relname) INTO n;
  RETURN n;
END $$;
CREATE TEMP TABLE counts AS SELECT c.relname, pg_temp.rows_of(c.relname) AS n
FROM pg_class c WHERE c.relnamespace = 'cdp_data'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname NOT IN ('setup_step', 'audit'); -- which tell that setup() ran
SELECT throws_ok('DROP EXTENSION pg_cdp', '2BP01', NULL, 'DROP EXTENSION without CASCADE is refused while views use it');
DROP EXTENSION pg_cdp CASCADE;
SELECT is((SELECT count(*)::int FROM cdp_data.customer WHERE vip), 2, 'the tables stay, with a user''s column');
SELECT hasnt_view('cdp_data', 'channel_all', 'views over built-in lists are gone');
CREATE EXTENSION pg_cdp;
SELECT hasnt_view('cdp_data', 'channel_all', 'before setup() they are still gone');
SELECT throws_ok($$SELECT cdp.add_source('shop')$$, '55000', 'the views of pg_cdp are missing', 'and entry points say what to do');
CALL cdp.setup();
SELECT is_empty($$SELECT c.relname FROM counts c WHERE c.n <> pg_temp.rows_of(c.relname)$$, 'no table lost or gained a row');
SELECT is_empty($$SELECT step FROM cdp_internal.setup_pending() WHERE reason <> 'repeated'$$, 'setup() brought everything back');
SELECT is_empty($$(TABLE fresh_objects EXCEPT SELECT o FROM cdp_internal.setup_objects() o)
  UNION ALL (SELECT o FROM cdp_internal.setup_objects() o WHERE o !~ '^(column|default) cdp_data.customer.vip$' EXCEPT TABLE fresh_objects)$$, 'every room''s objects are as in a fresh database');
SELECT is((SELECT channel FROM cdp_bi.origin_channel), 'Weibo', 'and the views answer');
SELECT is((SELECT count(*)::int FROM cdp_data.channel_all WHERE name IN ('Trade fair', 'Direct')), 2, 'with one''s own rows and the built-in ones');
SELECT is_empty($$SELECT d.objid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
  WHERE d.deptype = 'e' AND c.relnamespace = 'cdp_data'::regnamespace$$, 'no table belongs to the extension');

-- A planted schema stops it.
CREATE ROLE cdp_test_planter;
CREATE ROLE cdp_test_owner;
ALTER SCHEMA cdp_api OWNER TO cdp_test_planter;
SELECT throws_ok('CALL cdp.setup()', '42501', NULL, 'a schema of somebody else is not adopted');
ALTER SCHEMA cdp_api OWNER TO CURRENT_USER;
ALTER TABLE cdp_data.setting OWNER TO cdp_test_planter;
SELECT throws_ok('CALL cdp.setup()', '42501', NULL, 'nor a table');
ALTER TABLE cdp_data.setting OWNER TO CURRENT_USER;

-- Roles by name.
CREATE ROLE cdp_test_reader;
CALL cdp.setup(analyst => 'cdp_test_owner', privacy => 'cdp_test_planter', reader => 'cdp_test_reader');
SELECT ok(has_table_privilege('cdp_test_owner', 'cdp_bi.origin_channel', 'SELECT')
  AND has_column_privilege('cdp_test_owner', 'cdp_data.touchpoint', 'value', 'SELECT')
  AND NOT has_column_privilege('cdp_test_owner', 'cdp_data.touchpoint', 'properties', 'SELECT')
  AND NOT has_table_privilege('cdp_test_owner', 'cdp_data.identifier', 'SELECT'), 'an analyst reads facts, not personal values');
SELECT ok(has_table_privilege('cdp_test_planter', 'cdp_data.identifier', 'SELECT')
  AND NOT has_table_privilege('cdp_test_planter', 'cdp_data.identifier', 'INSERT'), 'the privacy role reads identifiers and writes nothing');
SET ROLE cdp_test_owner;
SELECT lives_ok('SELECT * FROM cdp_bi.origin_channel', 'the analyst''s view works with his own rights');
SET ROLE cdp_test_reader;
SELECT is((SELECT channel FROM cdp_bi.origin_channel), 'Weibo', 'the reader''s views too');
SELECT throws_ok('SELECT * FROM cdp_data.touchpoint', '42501', NULL, 'and he reads no fact');
RESET ROLE;
DROP OWNED BY cdp_test_owner, cdp_test_planter, cdp_test_reader;
DROP ROLE cdp_test_reader;
DROP ROLE cdp_test_owner;
DROP ROLE cdp_test_planter;
SELECT * FROM finish();

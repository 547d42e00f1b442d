-- The kept statements of identify ask by key in small tables too, also behind the first temporary table of a session and
-- under another role, which have PostgreSQL plan them again.
SELECT plan(3);
CREATE EXTENSION dblink;
\ir waiting.inc
SELECT cdp.add_source('shop');
SELECT (cdp.identify('shop', '{"cookie": ["a", "b"]}')).created;
ANALYZE;
-- The schema of temporary objects of the next session is there already, so that nothing but the search path changes.
SELECT dblink_connect('one', format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user));
SELECT dblink_exec('one', 'CREATE TEMP TABLE mine (i integer)');
SELECT public.backend_of('one') AS first \gset
SELECT dblink_disconnect('one');
SELECT public.until_gone(:first);
SELECT dblink_connect('one', format('host=%s port=%s dbname=%s user=%s', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user));
CREATE FUNCTION public.scans(other text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM dblink_exec('one', 'BEGIN');
  PERFORM * FROM dblink('one', format('SELECT (cdp.identify(%L, %L)).created', 'shop', jsonb_build_object('cookie', ARRAY['a', other]))) x (created boolean);
  n := (SELECT x.n FROM dblink('one', $q$SELECT sum(seq_scan) FROM pg_stat_xact_user_tables
    WHERE schemaname = 'cdp_data' AND relname IN ('identifier', 'identifier_override', 'customer', 'link')$q$) x (n bigint));
  PERFORM dblink_exec('one', 'COMMIT');
  RETURN n;
END $$;
SELECT is(public.scans('c'), 0::bigint, 'a record reads no table whole');
SELECT dblink_exec('one', 'CREATE TEMP TABLE mine (i integer)');
SELECT is(public.scans('d'), 0::bigint, 'nor does it behind a temporary table');
ALTER TABLE cdp_data.link ENABLE ROW LEVEL SECURITY;
CREATE ROLE other_super SUPERUSER;
SELECT public.scans('e');
SELECT dblink_exec('one', 'SET ROLE other_super');
SELECT is(public.scans('f'), 0::bigint, 'nor under another role beside row security');
SELECT dblink_exec('one', 'RESET ROLE');
DROP ROLE other_super;
SELECT * FROM finish();

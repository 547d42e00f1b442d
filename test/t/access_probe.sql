-- What the role that runs this can do to each object of our schemas, tried, not asked: a line for each attempt,
-- "what|object|column|result"; result is ok, denied, or the SQLSTATE of another error.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
SET statement_timeout = '60s';
CREATE FUNCTION pg_temp.attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
  RETURN 'ok';
EXCEPTION WHEN insufficient_privilege THEN
  RETURN 'denied';
WHEN OTHERS THEN
  RETURN SQLSTATE;
END
$$;
-- LIMIT 0 and WHERE false: rights are checked before the first row.
SELECT 'select', c.oid::regclass, a.attname, pg_temp.attempt(format('SELECT %I FROM %s LIMIT 0', a.attname, c.oid::regclass))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('cdp_data', 'cdp_bi', 'cdp_api')) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.oid::regclass::text, a.attnum;
SELECT w.what, c.oid::regclass, '', pg_temp.attempt(format(w.command, c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod)))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
  CROSS JOIN (VALUES ('insert', 'INSERT INTO %1$s (%2$I) OVERRIDING SYSTEM VALUE SELECT NULL::%3$s WHERE false'), ('update', 'UPDATE %1$s SET %2$I = NULL WHERE false'),
    ('delete', 'DELETE FROM %1$s WHERE false'), ('truncate', 'TRUNCATE %1$s'), ('lock', 'LOCK TABLE %1$s IN ACCESS EXCLUSIVE MODE NOWAIT')) AS w (what, command)
WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('cdp_data', 'cdp_bi', 'cdp_api')) AND c.relkind IN ('r', 'p')
ORDER BY c.oid::regclass::text, w.what;
SELECT 'sequence', c.oid::regclass, '', pg_temp.attempt(format('SELECT nextval(%L)', c.oid::regclass))
FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('cdp_data', 'cdp_bi', 'cdp_api')) AND c.relkind = 'S' ORDER BY 2;
SELECT 'create', n.nspname, '', pg_temp.attempt(format('CREATE TABLE %I.planted ()', n.nspname))
FROM pg_namespace n WHERE n.nspname IN ('cdp', 'cdp_internal', 'cdp_data', 'cdp_bi', 'cdp_api') ORDER BY 2;
-- Every function that SQL can call, with NULL for each argument.
SELECT CASE WHEN p.prosecdef THEN 'definer' ELSE 'call' END, p.oid::regprocedure, '', pg_temp.attempt(format('%s %I.%I(%s)', CASE p.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, n.nspname, p.proname,
    (SELECT string_agg('NULL::' || format_type(t.type, NULL), ', ' ORDER BY t.nth) FROM unnest(p.proargtypes) WITH ORDINALITY AS t (type, nth))))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('cdp', 'cdp_internal', 'cdp_data', 'cdp_api') AND p.prokind IN ('f', 'p')
  AND NOT EXISTS (SELECT FROM unnest(p.proargtypes || p.prorettype) AS t (type) JOIN pg_type y ON y.oid = t.type
    WHERE y.typtype = 'p' AND y.typname NOT IN ('void', 'record', 'anyelement', 'anyarray'))
ORDER BY p.oid::regprocedure::text;

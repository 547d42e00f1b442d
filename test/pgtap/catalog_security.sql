-- The security rules of docs/security.md, read from the catalogue of a database after CREATE EXTENSION and setup().
BEGIN;
SELECT plan(13);

CREATE TEMP VIEW own_schema AS
SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('cdp', 'cdp_internal', 'cdp_data', 'cdp_bi', 'cdp_api');
CREATE TEMP VIEW member AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE e.extname = 'pg_cdp' AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass;
CREATE TEMP VIEW own_function AS
SELECT p.*, s.nspname, l.lanname,
  EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid) AS is_member,
  EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c = 'search_path=pg_catalog, pg_temp') AS pins_path
FROM pg_proc p JOIN own_schema s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang;

SELECT is_empty($$SELECT oid::regprocedure FROM own_function WHERE prosecdef AND is_member$$,
  'no member is SECURITY DEFINER: its definer would be the superuser');
SELECT is_empty($$SELECT oid::regprocedure FROM own_function WHERE prosecdef AND NOT pins_path$$,
  'SECURITY DEFINER functions pin their search_path');
SELECT is_empty($$SELECT oid::regprocedure FROM own_function
  WHERE prosecdef AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) a WHERE a.grantee = 0))$$,
  'SECURITY DEFINER functions are not for PUBLIC');

-- COMMIT is refused in a procedure that has SET, so a procedure that commits qualifies every name instead.
SELECT is_empty($$SELECT oid::regprocedure FROM own_function WHERE lanname = 'plpgsql' AND NOT pins_path
  AND NOT (prokind = 'p' AND prosrc ~* '\m(commit|rollback)\M') ORDER BY 1$$,
  'plpgsql functions pin their search_path');
SELECT is_empty($$SELECT oid::regprocedure FROM own_function
  WHERE lanname = 'sql' AND prosqlbody IS NULL AND NOT pins_path ORDER BY 1$$,
  'SQL functions have a bound body (RETURN, BEGIN ATOMIC) or pin their search_path');

SELECT is_empty($$SELECT c.oid::regclass, a.privilege_type FROM pg_class c JOIN own_schema s ON s.oid = c.relnamespace,
    aclexplode(c.relacl) a WHERE a.grantee = 0 AND a.privilege_type <> 'SELECT' ORDER BY 1, 2$$,
  'PUBLIC can write to no table, view or sequence');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN own_schema s ON s.oid = c.relnamespace,
    aclexplode(c.relacl) a WHERE a.grantee = 0 AND s.nspname = 'cdp_data' ORDER BY 1$$,
  'PUBLIC can read no table of cdp_data');
SELECT is_empty($$SELECT s.nspname FROM pg_namespace n JOIN own_schema s ON s.oid = n.oid,
    aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'$$,
  'PUBLIC can create nothing in a schema of the extension');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN own_schema s ON s.oid = c.relnamespace
  WHERE c.relkind = 'v' AND NOT coalesce(c.reloptions @> '{security_invoker=true}' OR c.reloptions @> '{security_invoker=on}', false)
    -- Two views of people under masks and one of sums read what their reader may not: barriers, so that no filter sees below.
    AND NOT (c.oid::regclass::text IN ('cdp_bi.identifier_masked', 'cdp_bi.customer_masked', 'cdp_bi.attribution_day') AND coalesce(c.reloptions @> '{security_barrier=true}', false))
  ORDER BY 1$$,
  'every view but the masked ones and the one of days runs with the rights of who reads it');

-- Member tables are built-in lists: DROP EXTENSION may take them, pg_dump need not carry them.
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
  WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relname NOT LIKE '%\_builtin' ORDER BY 1$$,
  'member tables are built-in lists only, never user data');
SELECT is_empty($$SELECT s.nspname FROM own_schema s JOIN member m ON m.classid = 'pg_namespace'::regclass AND m.objid = s.oid
  WHERE s.nspname IN ('cdp_data', 'cdp_bi', 'cdp_api')$$,
  'the schemas that setup() makes do not belong to the extension');
SELECT is_empty($$SELECT pg_describe_object(m.classid, m.objid, 0) FROM member m
  WHERE (m.classid = 'pg_proc'::regclass AND m.objid NOT IN (SELECT oid FROM own_function))
     OR (m.classid = 'pg_class'::regclass AND m.objid NOT IN (SELECT c.oid FROM pg_class c JOIN own_schema s ON s.oid = c.relnamespace))
     OR m.classid IN ('pg_event_trigger'::regclass, 'pg_trigger'::regclass)$$,
  'every member is in a schema of the extension, and there is no event trigger');

-- VOLATILE and PARALLEL UNSAFE are the defaults of CREATE FUNCTION: only what writes may have them.
SELECT is_empty($$SELECT oid::regprocedure FROM own_function
  WHERE prokind = 'f' AND provolatile = 'v' AND lanname IN ('sql', 'plpgsql')
    AND prosrc || coalesce(pg_get_function_sqlbody(oid), '')
      !~* '\m(insert|update|delete|merge|truncate|create|alter|drop|execute|lock|perform|call|nextval|random|clock_timestamp|set_config|for (no key )?update|call|cdp_internal|raise|cdp)\M'
  ORDER BY 1$$,
  'functions that only read say so (STABLE or IMMUTABLE)');

SELECT * FROM finish();
ROLLBACK;

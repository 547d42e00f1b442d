-- Every object of the extension's schemas has a COMMENT, whether CREATE EXTENSION or setup() made it.
BEGIN;
SELECT plan(7);

CREATE TEMP VIEW own_schema AS
SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('cdp', 'cdp_internal', 'cdp_data', 'cdp_bi', 'cdp_api');

SELECT is_empty($$SELECT nspname FROM own_schema WHERE obj_description(oid, 'pg_namespace') IS NULL$$,
  'every schema has a comment');

SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN own_schema s ON s.oid = p.pronamespace
  WHERE coalesce(obj_description(p.oid, 'pg_proc'), '') = '' ORDER BY 1$$,
  'every function, aggregate and procedure has a comment');

-- Partitions are told by their parent; indexes and owned sequences by their table.
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN own_schema s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND coalesce(obj_description(c.oid, 'pg_class'), '') = '' ORDER BY 1$$,
  'every table and view has a comment');

SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN own_schema s ON s.oid = c.relnamespace
  WHERE c.relkind = 'S' AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) ORDER BY 1$$,
  'every sequence that belongs to no column has a comment');

-- A row type is told by its table, an array by its element.
SELECT is_empty($$SELECT t.oid::regtype FROM pg_type t JOIN own_schema s ON s.oid = t.typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid
  WHERE t.typelem = 0 AND (c.oid IS NULL OR c.relkind = 'c')
    AND coalesce(obj_description(t.oid, 'pg_type'), '') = '' ORDER BY 1$$,
  'every type has a comment');

SELECT is_empty($$SELECT o.oid::regoperator FROM pg_operator o JOIN own_schema s ON s.oid = o.oprnamespace
  WHERE coalesce(obj_description(o.oid, 'pg_operator'), '') = '' ORDER BY 1$$,
  'every operator has a comment');

SELECT is_empty($$SELECT g.tgrelid::regclass, g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
  JOIN own_schema s ON s.oid = c.relnamespace WHERE NOT g.tgisinternal AND g.tgparentid = 0
    AND coalesce(obj_description(g.oid, 'pg_trigger'), '') = '' ORDER BY 1, 2$$,
  'every trigger has a comment');

SELECT * FROM finish();
ROLLBACK;

-- Golden output of an install: what a person sees first.
CREATE EXTENSION pg_cdp;
SELECT cdp.version() = extversion AS library_matches FROM pg_extension WHERE extname = 'pg_cdp';
SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname LIKE 'cdp%' ORDER BY 1;
DROP EXTENSION pg_cdp;
SELECT count(*) AS schemas_left FROM pg_namespace WHERE nspname LIKE 'cdp%';

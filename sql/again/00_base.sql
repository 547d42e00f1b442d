-- Base room: what belongs to no other room.
CREATE OR REPLACE FUNCTION cdp.version() RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cdp_version';
COMMENT ON FUNCTION cdp.version() IS
'Version of the pg_cdp library that is loaded, such as 0.1.0. Never NULL. Differs from the version in pg_extension when files were installed but ALTER EXTENSION pg_cdp UPDATE was not run yet.';

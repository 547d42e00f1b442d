-- Schemas of the extension. No IF NOT EXISTS: a schema somebody planted must stop the install.
CREATE SCHEMA cdp;
COMMENT ON SCHEMA cdp IS 'pg_cdp: what people call. Functions, types and built-in lists.';
GRANT USAGE ON SCHEMA cdp TO PUBLIC;

CREATE SCHEMA cdp_internal;
COMMENT ON SCHEMA cdp_internal IS 'pg_cdp: support functions. Not for direct use; they may change with any release.';
GRANT USAGE ON SCHEMA cdp_internal TO PUBLIC;

\echo Use "CREATE EXTENSION pg_cdp" to load this file. \quit
-- The path is pinned so that nothing planted in another schema is ever picked up.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;

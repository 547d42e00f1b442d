-- Governance room, access: row security by source. Off until the first role is restricted, so that nobody else pays.

CREATE OR REPLACE FUNCTION cdp_internal.declare_mixed_sources(table_name text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.source_mixed (table_name) VALUES (declare_mixed_sources.table_name) ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION cdp_internal.declare_mixed_sources(text) IS
'For setup steps of the rooms: says that a table of cdp_data without source_id holds figures or people made from several sources. Roles that are kept to some sources see none of its rows.';

CREATE OR REPLACE FUNCTION cdp_internal.source_tables() RETURNS TABLE (table_name text, mixed boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The list of sources itself is no fact, and the policies read the other one.
  RETURN QUERY
  SELECT c.relname::text, false
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'source_id' AND NOT a.attisdropped
  WHERE c.relnamespace = to_regnamespace('cdp_data') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT IN ('source', 'source_right')
  UNION ALL
  SELECT c.relname::text, true
  FROM cdp_data.source_mixed m JOIN pg_class c ON c.oid = to_regclass(m.table_name)
  ORDER BY 1;
END
$$;
COMMENT ON FUNCTION cdp_internal.source_tables() IS
'Tables of cdp_data that row security by source covers, from the catalogue: those with a column source_id, and (mixed) those that cdp_internal.declare_mixed_sources() named. A partition is read through its table, to which the grants are.';

CREATE OR REPLACE FUNCTION cdp_internal.apply_source_policies() RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted boolean := EXISTS (SELECT FROM cdp_data.source_right);
  t record;
  n integer := 0;
BEGIN
  -- cdp_source only ever takes rows away. Where row security was off before, cdp_source_open lets everybody else see what he saw;
  -- where the owner has policies of his own, they go on to say who sees what.
  FOR t IN
    SELECT s.table_name, s.mixed, c.relrowsecurity AS secured,
      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'cdp_source') AS present,
      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'cdp_source_open') AS opened,
      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname NOT IN ('cdp_source', 'cdp_source_open')) AS others,
      EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname NOT IN ('cdp_source', 'cdp_source_open') AND p.polpermissive) AS ruled
    FROM cdp_internal.source_tables() s JOIN pg_class c ON c.oid = to_regclass('cdp_data.' || quote_ident(s.table_name))
  LOOP
    IF wanted AND NOT t.present THEN
      EXECUTE format('CREATE POLICY cdp_source ON cdp_data.%I AS RESTRICTIVE USING ((SELECT cdp_data.sources_of(current_user::text)) IS NULL%s)', t.table_name,
        CASE WHEN NOT t.mixed THEN ' OR source_id = ANY ((SELECT cdp_data.sources_of(current_user::text))::integer[])' ELSE '' END);
      n := n + 1;
    ELSIF NOT wanted AND t.present THEN
      EXECUTE format('DROP POLICY cdp_source ON cdp_data.%I', t.table_name);
      n := n + 1;
    END IF;
    IF wanted AND NOT t.secured AND NOT t.ruled AND NOT t.opened THEN
      EXECUTE format('CREATE POLICY cdp_source_open ON cdp_data.%I USING (true)', t.table_name);
    ELSIF t.opened AND (t.ruled OR NOT wanted) THEN
      EXECUTE format('DROP POLICY cdp_source_open ON cdp_data.%I', t.table_name);
    END IF;
    IF wanted AND NOT t.secured THEN
      EXECUTE format('ALTER TABLE cdp_data.%I ENABLE ROW LEVEL SECURITY', t.table_name);
    -- Who had switched it on, or has policies of his own, keeps it.
    ELSIF NOT wanted AND t.opened AND NOT t.others THEN
      EXECUTE format('ALTER TABLE cdp_data.%I DISABLE ROW LEVEL SECURITY', t.table_name);
    END IF;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.apply_source_policies() IS
'Makes the restrictive policy cdp_source on every table of cdp_internal.source_tables() while some role is kept to sources, and takes it away when none is. On tables without row security of the owner''s own, cdp_source_open stands beside it and lets all others see what they saw. Returns how many of the first it made or dropped. cdp.setup() calls it, so tables of a later release are covered. For the owner of the tables.';

CREATE OR REPLACE FUNCTION cdp.restrict_to_sources(role_name text, sources text[]) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids integer[];
BEGIN
  PERFORM cdp_internal.require_setup();
  IF to_regrole(quote_ident(role_name)) IS NULL THEN
    RAISE EXCEPTION 'role "%" does not exist', coalesce(role_name, 'NULL')
      USING ERRCODE = 'undefined_object', HINT = 'pg_cdp creates no roles: CREATE ROLE ... first.';
  END IF;
  IF pg_has_role(role_name, (SELECT c.relowner FROM pg_class c WHERE c.oid = 'cdp_data.source_right'::regclass), 'member')
    OR (SELECT r.rolbypassrls FROM pg_roles r WHERE r.rolname = restrict_to_sources.role_name) THEN
    RAISE EXCEPTION 'role "%" can not be kept to sources', role_name
      USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It is the owner of the tables, a member of it, a superuser or a role with BYPASSRLS, for whom row security does not hold.';
  END IF;
  IF cardinality(sources) = 0 THEN
    RAISE EXCEPTION 'a role that sees no source can not be told from one that sees all'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Revoke its rights instead; NULL lifts the restriction.';
  END IF;
  ids := ARRAY(SELECT cdp_internal.source_of(s) FROM unnest(sources) s);
  DELETE FROM cdp_data.source_right r WHERE r.role_name = restrict_to_sources.role_name;
  INSERT INTO cdp_data.source_right (role_name, source_id) SELECT DISTINCT restrict_to_sources.role_name, i FROM unnest(ids) i;
  PERFORM cdp_internal.apply_source_policies();
  PERFORM cdp_data.audit_write('setting', 'cdp.restrict_to_sources', NULL, jsonb_build_object('role', role_name, 'sources', to_jsonb(ids)));
  RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION cdp.restrict_to_sources(text, text[]) IS
'Keeps a role, and every member of it, to the facts of these sources: SELECT cdp.restrict_to_sources(''agency'', ''{ads}''). Row security of every table with source_id (touchpoints, loads, spend, values, consent, ...) then shows it their rows only, in reports, too; tables that mix sources (profiles, roll-ups) and masked people show it none. cdp_api functions refuse it other sources. SET ROLE to another part does not lift it for a login that inherits the restriction. NULL lifts the restriction. Returns how many sources. The rights themselves come from cdp.setup(). For the owner of the tables. Errors: 42704 no such role, 22023 unknown source, no source, or a role that row security does not bind.';

-- Governance room, access: who can read personal values, asked of the catalogue, not of what was declared.

CREATE OR REPLACE FUNCTION cdp_internal.personal_values() RETURNS TABLE (relation oid, table_name text, column_no smallint, column_name text, category text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Numbers that stand for a person, behaviour and figures are no values: an analyst counts them and names nobody.
  -- A partition has rights and security labels of its own, beside those of its table.
  RETURN QUERY
  SELECT a.attrelid, CASE WHEN t.level = 0 THEN p.table_name ELSE t.relid::text END, a.attnum, p.column_name, p.category
  FROM cdp_data.personal_data p CROSS JOIN LATERAL (
      SELECT to_regclass(p.table_name) AS relid, 0 AS level
      UNION ALL
      SELECT i.relid, i.level FROM pg_partition_tree(to_regclass(p.table_name)) i WHERE i.level > 0) t
    JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = p.column_name AND NOT a.attisdropped
  WHERE p.category IN ('identifier', 'contact', 'content');
END
$$;
COMMENT ON FUNCTION cdp_internal.personal_values() IS
'Columns of cdp_data.personal_data that hold values about a person (categories identifier, contact, content), with their numbers in the catalogue, those of partitions beside those of their table. Only the privacy role may read them.';

CREATE OR REPLACE FUNCTION cdp_internal.personal_readers()
RETURNS TABLE (role_name text, template text, table_name text, column_name text, category text, how text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT r.rolname::text, t.template, v.table_name, v.column_name, v.category,
    CASE WHEN r.rolsuper THEN 'superuser'
      WHEN pg_has_role(r.oid, c.relowner, 'usage') THEN 'owner of the table'
      WHEN EXISTS (SELECT FROM cdp_data.role_name n WHERE n.template = 'privacy' AND to_regrole(quote_ident(n.role_name)) IS NOT NULL
        AND pg_has_role(r.oid, to_regrole(quote_ident(n.role_name)), 'usage')) THEN 'privacy'
      WHEN pg_has_role(r.oid, 'pg_read_all_data', 'usage') THEN 'pg_read_all_data'
      WHEN EXISTS (SELECT FROM aclexplode(a.attacl) x WHERE x.grantee = 0 AND x.privilege_type = 'SELECT')
        OR EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0 AND x.privilege_type = 'SELECT') THEN 'granted to PUBLIC'
      ELSE 'granted' END
  FROM cdp_internal.personal_values() v JOIN pg_class c ON c.oid = v.relation JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = v.column_no
    CROSS JOIN pg_roles r LEFT JOIN cdp_data.role_name t ON t.role_name = r.rolname
  WHERE r.rolname !~ '^pg_' AND has_column_privilege(r.oid, c.oid, v.column_no, 'SELECT')
  ORDER BY 1, 3, 4;
END
$$;
COMMENT ON FUNCTION cdp_internal.personal_readers() IS
'The rows of cdp.access_review(), also while the tables are of another release.';

CREATE OR REPLACE FUNCTION cdp.access_review()
RETURNS TABLE (role_name text, template text, table_name text, column_name text, category text, how text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN QUERY SELECT * FROM cdp_internal.personal_readers();
END
$$;
COMMENT ON FUNCTION cdp.access_review() IS
'Who can read which column that holds personal values, now, by whatever way: a row for each role and column. how: superuser, owner of the table, privacy (plays that part or inherits from who does), pg_read_all_data, granted to PUBLIC, granted (to the role or one that it inherits from). The two last should have no rows; cdp.health() warns of them. template: the part that the role plays, NULL for none. Columns that are not in cdp_data.personal_data are not seen, nor what views and functions of your own show. Errors: 55000 before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_access()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'warning', 'personal_readable', format('%s can read %s', quote_ident(a.role_name), string_agg(a.table_name || '.' || a.column_name, ', ' ORDER BY a.table_name, a.column_name)),
    'REVOKE it (cdp.access_review() tells how it came), or let the role play the part privacy: CALL cdp.setup(privacy => ...)'
  FROM cdp_internal.personal_readers() a WHERE a.how IN ('granted', 'granted to PUBLIC', 'pg_read_all_data') GROUP BY a.role_name;
  RETURN QUERY
  SELECT 'error', 'source_policy_missing', format('cdp_data.%s is not covered by row security by source', quote_ident(s.table_name)), 'CALL cdp.setup();'
  FROM cdp_internal.source_tables() s JOIN pg_class c ON c.oid = to_regclass('cdp_data.' || quote_ident(s.table_name))
  WHERE EXISTS (SELECT FROM cdp_data.source_right)
    AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'cdp_source'));
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_access() IS
'Findings of cdp.health() about who can read personal values without playing the part privacy, and about tables that row security by source misses. For the owner of the tables.';

-- Governance room, erasure and export: whose rows are meant, and how they are found in each registered table.

CREATE OR REPLACE FUNCTION cdp_internal.person(customer bigint,
  OUT root bigint, OUT customers bigint[], OUT homes bigint[], OUT identifiers bigint[], OUT type_ids smallint[], OUT vals text[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  root := cdp_internal.root_of(customer);
  IF root IS NULL THEN
    RAISE EXCEPTION 'there is no customer %', coalesce(customer::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.customer_of(type, value) finds the customer of an identifier.';
  END IF;
  customers := ARRAY(SELECT u FROM cdp_internal.customers_under(root) u ORDER BY u);
  SELECT coalesce(array_agg(i.identifier_id ORDER BY i.type_id, i.value), '{}'), coalesce(array_agg(i.type_id ORDER BY i.type_id, i.value), '{}'),
    coalesce(array_agg(i.value ORDER BY i.type_id, i.value), '{}'), coalesce(array_agg(DISTINCT i.customer_id), '{}')
  INTO identifiers, type_ids, vals, homes
  FROM cdp_internal.members(root) m JOIN cdp_data.identifier i ON i.identifier_id = m.identifier_id;
  homes := ARRAY(SELECT unnest(customers) UNION SELECT unnest(homes) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.person(bigint) IS
'Everything that is one person now: the root of a customer, all customers merged into it, the homes of his identifiers (an unmerge may have moved some here from another customer''s home), and the identifiers, by type and value. Error 22023: no such customer.';

CREATE OR REPLACE FUNCTION cdp_internal.registered_keys("table" text, OUT relation regclass, OUT by_customer name[], OUT by_identifier name[], OUT by_touchpoint name[],
  OUT by_link name[], OUT by_group name[], OUT by_record name[], OUT by_value name[], OUT value_types text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  relation := to_regclass("table");
  -- Only columns that the catalogue has; the names in the registry never become text of a command by themselves.
  SELECT coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'customer'), '{}'), coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'identifier'), '{}'),
    coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'touchpoint'), '{}'), coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'link'), '{}'),
    coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'group'), '{}'), coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'record'), '{}'),
    coalesce(array_agg(k.attname ORDER BY k.attname) FILTER (WHERE k.kind = 'value'), '{}'), coalesce(array_agg(k.type ORDER BY k.attname) FILTER (WHERE k.kind = 'value'), '{}')
  INTO by_customer, by_identifier, by_touchpoint, by_link, by_group, by_record, by_value, value_types
  FROM (
    SELECT DISTINCT a.attname, p.subject_kind AS kind, CASE WHEN p.subject_kind = 'value' THEN coalesce(p.subject_type, '') END AS type
    FROM cdp_data.personal_data p JOIN pg_attribute a ON a.attrelid = to_regclass(p.table_name) AND a.attname = p.subject_key AND a.attnum > 0 AND NOT a.attisdropped
    WHERE p.table_name = registered_keys."table" AND p.subject_key IS NOT NULL) k;
END
$$;
COMMENT ON FUNCTION cdp_internal.registered_keys(text) IS
'The columns of a registered table that tie its rows to a person, by what they hold, as the catalogue has them; relation NULL when the table is gone. value_types: of by_value, the identifier type of each, '''' for any.';

CREATE OR REPLACE FUNCTION cdp_internal.person_where("table" text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k record := cdp_internal.registered_keys("table");
  touches constant text := 'SELECT t.touchpoint_id FROM cdp_data.touchpoint t WHERE t.customer_id = ANY ($2) AND t.identifier_id = ANY ($3)';
  parts text[] := '{}';
BEGIN
  IF k.relation IS NULL THEN
    RETURN NULL;
  END IF;
  IF k.by_customer <> '{}' AND k.by_identifier <> '{}' THEN
    -- A home may hold identifiers that are another person's now, so both must fit; an empty one fits.
    parts := parts || ARRAY(SELECT format('(x.%1$I = ANY ($2) AND x.%2$I = ANY ($3) OR x.%1$I = ANY ($1) AND x.%2$I IS NULL OR x.%1$I IS NULL AND x.%2$I = ANY ($3))', c, i)
      FROM unnest(k.by_customer) c, unnest(k.by_identifier) i);
  ELSE
    parts := parts || ARRAY(SELECT format('x.%I = ANY ($1)', c) FROM unnest(k.by_customer) c)
      || ARRAY(SELECT format('x.%I = ANY ($3)', c) FROM unnest(k.by_identifier) c);
  END IF;
  parts := parts || ARRAY(SELECT format('x.%I IN (%s)', c, touches) FROM unnest(k.by_touchpoint) c)
    || ARRAY(SELECT format('x.%I IN (SELECT l.link_id FROM cdp_data.link l WHERE l.a_id = ANY ($3) UNION ALL SELECT l.link_id FROM cdp_data.link l WHERE l.b_id = ANY ($3))', c) FROM unnest(k.by_link) c)
    -- What is said of a group is said of its other members, too.
    || ARRAY(SELECT format('x.%I IN (SELECT m.group_id FROM cdp_data.group_member m WHERE m.identifier_id = ANY ($3))%s', c, CASE WHEN "table" = 'cdp_data.group_trait'
        THEN ' AND NOT EXISTS (SELECT FROM cdp_data.group_member o WHERE o.group_id = x.group_id AND o.identifier_id <> ALL ($3))' END) FROM unnest(k.by_group) c)
    || ARRAY(SELECT format('x.%I = ANY ($3::text[]) AND x.model IN (SELECT m.name FROM cdp_data.match_model m WHERE m.identifiers)', c) FROM unnest(k.by_record) c)
    || ARRAY(SELECT CASE
        WHEN v.type = '' THEN format('x.%I::text COLLATE "C" = ANY ($5)', v.c)
        ELSE format('EXISTS (SELECT FROM unnest($4, $5) AS u (t, v) WHERE u.t = %s AND u.v = cdp_internal.read_identifier(x.%I::text, %1$s::smallint, cdp_internal.identifier_rules()))',
          coalesce((SELECT y.type_id FROM cdp_data.identifier_type_all y WHERE y.name = v.type ORDER BY y.is_builtin LIMIT 1), 0), v.c) END
      FROM unnest(k.by_value, k.value_types) AS v (c, type));
  RETURN nullif(array_to_string(parts, ' OR '), '');
END
$$;
COMMENT ON FUNCTION cdp_internal.person_where(text) IS
'The condition by which rows (alias x) of a registered table belong to a person, whom the command gets as $1 to $5: customers, homes, identifiers, type_ids and vals of cdp_internal.person(). NULL when the table is gone or has no key. A key of kind value with a type is read through the type''s normaliser, row by row.';

CREATE OR REPLACE FUNCTION cdp_internal.unregistered_columns() RETURNS TABLE (table_name text, column_name text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT 'cdp_data.' || c.relname, a.attname::text
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid
  WHERE c.relnamespace = 'cdp_data'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
    AND (a.attname IN ('customer_id', 'identifier_id', 'touchpoint_id', 'owner_id', 'parent_id', 'from_id', 'to_id', 'a_id', 'b_id') AND c.relname <> 'customer'
      -- Numbers, moments and truth values of a table that is known are measures; a day may be a birthday, a list a list of people.
      OR y.typcategory NOT IN ('B', 'D', 'N', 'T') AND y.typname NOT IN ('xid8', 'pg_snapshot') OR y.typname = 'date'
      OR NOT EXISTS (SELECT FROM cdp_data.personal_data p WHERE p.table_name = 'cdp_data.' || c.relname))
    AND NOT EXISTS (SELECT FROM cdp_data.personal_data p WHERE p.table_name = 'cdp_data.' || c.relname AND p.column_name IN (a.attname, '*'))
  ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION cdp_internal.unregistered_columns() IS
'Columns of tables in cdp_data that could hold personal data (all but numbers, moments and truth values, and the keys of a person; every column of a table of which nothing is said) and are not in cdp_data.personal_data. None in a database as setup() made it; a column of your own appears until you register it.';

-- Identity room, the graph: whose is it? Roots of customers and identifiers, the members of a customer,
-- and the identifiers of a call brought into the form in which they are compared.

CREATE OR REPLACE FUNCTION cdp_internal.root_of(customer_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  here bigint := root_of.customer_id;
  above bigint;
  marker bigint;
  steps integer := 0;
BEGIN
  LOOP
    SELECT c.parent_id INTO above FROM cdp_data.customer c WHERE c.customer_id = here;
    IF above IS NULL OR above = here THEN
      RETURN above;
    END IF;
    -- A marker that moves at powers of two meets any circle (Brent), so that a damaged table cannot hang a call.
    IF above = marker THEN
      RAISE EXCEPTION 'parents of customers run in a circle'
        USING ERRCODE = 'data_corrupted', DETAIL = format('Customer %s is its own ancestor.', above),
          HINT = 'SELECT * FROM cdp.health(); tells what to do.';
    END IF;
    steps := steps + 1;
    IF steps & (steps - 1) = 0 THEN
      marker := here;
    END IF;
    here := above;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.root_of(bigint) IS
'The customer at the end of the parents of this one; itself for a root; NULL for an unknown customer. Error XX001: parents in a circle.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_root(identifier_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT cdp_internal.root_of(coalesce(o.customer_id, i.customer_id))
    FROM cdp_data.identifier i LEFT JOIN cdp_data.identifier_override o ON o.identifier_id = i.identifier_id
    WHERE i.identifier_id = identifier_root.identifier_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.identifier_root(bigint) IS
'The customer to whom an identifier belongs now: its override, else its home, up the parents. NULL for an unknown identifier.';

CREATE OR REPLACE FUNCTION cdp_internal.customers_under(root bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- LATERAL with OFFSET 0 asks the index once for each customer, whatever the statistics say; UNION ends at a circle.
  RETURN QUERY
  WITH RECURSIVE under (id) AS (
    SELECT c.customer_id FROM cdp_data.customer c WHERE c.customer_id = root
    UNION
    SELECT c.customer_id
    FROM under u CROSS JOIN LATERAL (
      SELECT c.customer_id FROM cdp_data.customer c WHERE c.parent_id = u.id AND c.parent_id <> c.customer_id OFFSET 0) c
  )
  SELECT u.id FROM under u;
END
$$;
COMMENT ON FUNCTION cdp_internal.customers_under(bigint) IS
'A customer and all that were merged into it, directly or by way of others. No row for an unknown customer.';

CREATE OR REPLACE FUNCTION cdp_internal.members(root bigint)
RETURNS TABLE (identifier_id bigint, type_id smallint, home_id bigint, first_seen timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT i.identifier_id, i.type_id, i.customer_id, i.first_seen
  FROM cdp_internal.customers_under(root) AS u (id) CROSS JOIN LATERAL (
    SELECT h.identifier_id, h.type_id, h.customer_id, h.first_seen
    FROM cdp_data.identifier h
    WHERE h.customer_id = u.id AND NOT EXISTS (SELECT FROM cdp_data.identifier_override o WHERE o.identifier_id = h.identifier_id)
    UNION ALL
    SELECT h.identifier_id, h.type_id, h.customer_id, h.first_seen
    FROM cdp_data.identifier_override o CROSS JOIN LATERAL (
      SELECT x.identifier_id, x.type_id, x.customer_id, x.first_seen FROM cdp_data.identifier x WHERE x.identifier_id = o.identifier_id OFFSET 0) h
    WHERE o.customer_id = u.id
    OFFSET 0) i;
END
$$;
COMMENT ON FUNCTION cdp_internal.members(bigint) IS
'All identifiers that belong to a root now, each with its type, its home customer and its first_seen (NULL when no record told a time). No row for a customer that is no root or has none; order not fixed.';

CREATE OR REPLACE FUNCTION cdp_internal.clean_identifiers(
  identifiers jsonb, OUT type_ids smallint[], OUT vals text[], OUT refused jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  rules text[] := cdp_internal.identifier_rules();
  g record;
  given text;
  clean text;
  code text;
  n integer := 0;
  priorities smallint[] := '{}';
BEGIN
  type_ids := '{}';
  vals := '{}';
  refused := '[]';
  IF identifiers IS NULL OR jsonb_typeof(identifiers) <> 'object' THEN
    RAISE EXCEPTION 'identifiers must be a JSON object'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(jsonb_typeof(identifiers), 'NULL')),
        HINT = 'Write type and value, such as {"email": "...", "phone": ["...", "..."]}.';
  END IF;
  FOR g IN
    SELECT e.key, t.type_id, t.priority, t.role, a.value
    FROM jsonb_each(identifiers) AS e (key, value)
      LEFT JOIN LATERAL (
        SELECT y.type_id, y.priority, y.role FROM cdp_data.identifier_type_all y WHERE y.name = e.key ORDER BY y.is_builtin, y.type_id LIMIT 1) t ON true
      CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END) AS a (value)
  LOOP
    n := n + 1;
    IF n > 50 THEN
      RAISE EXCEPTION 'too many identifiers in one record'
        USING ERRCODE = 'program_limit_exceeded', DETAIL = 'At most 50 are taken.',
          HINT = 'A record shows one person; send each person''s identifiers in a record of their own.';
    END IF;
    -- Lists and maps inside of a list are nobody's identifier.
    given := CASE WHEN jsonb_typeof(g.value) IN ('string', 'number') THEN g.value #>> '{}' END;
    clean := CASE WHEN g.role <> 'ignore' THEN cdp_internal.read_identifier(given, g.type_id, rules) END;
    IF clean IS NULL THEN
      code := CASE WHEN g.type_id IS NULL THEN 'unknown_identifier_type' WHEN g.role = 'ignore' THEN 'ignored'
        WHEN jsonb_typeof(g.value) IN ('boolean', 'object', 'array') THEN 'not_text'
        ELSE cdp_internal.refused_identifier(given, g.type_id, rules) END;
      refused := refused || jsonb_build_object('type', left(g.key, 63), 'code', code);
    ELSE
      type_ids := type_ids || g.type_id;
      priorities := priorities || g.priority;
      vals := vals || clean;
    END IF;
  END LOOP;
  IF cardinality(vals) > 1 THEN
    SELECT array_agg(x.type_id), array_agg(x.value) INTO type_ids, vals
    FROM (SELECT DISTINCT u.priority, u.type_id, u.value COLLATE "C" AS value FROM unnest(priorities, type_ids, vals) AS u (priority, type_id, value) ORDER BY 1, 2, 3) x;
  END IF;
  IF vals <> '{}' AND EXISTS (SELECT FROM cdp_data.suppression) THEN
    -- Erased people do not come in again.
    SELECT coalesce(array_agg(u.type_id ORDER BY u.n) FILTER (WHERE NOT u.gone), '{}'), coalesce(array_agg(u.value ORDER BY u.n) FILTER (WHERE NOT u.gone), '{}'),
      refused || coalesce(jsonb_agg(jsonb_build_object('type', u.name, 'code', 'suppressed')) FILTER (WHERE u.gone), '[]')
    INTO type_ids, vals, refused
    FROM (
      SELECT x.type_id, x.value, x.n, t.name,
        cdp_internal.is_suppressed(x.type_id, x.value) AS gone
      FROM unnest(type_ids, vals) WITH ORDINALITY AS x (type_id, value, n) JOIN cdp_data.identifier_type_all t ON t.type_id = x.type_id) u;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.clean_identifiers(jsonb) IS
'The identifiers of one record, {"type": "value"} or {"type": ["value", ...]}, brought into the form in which they are stored: normalised, each once, strongest type first (priority, type_id, value by bytes). What cannot identify anybody is left out and told in refused as [{"type", "code"}], never with its value: codes of cdp_internal.identifier_reasons(), unknown_identifier_type, not_text (a list, a map, true or false), or suppressed (an erased person). NULL and blank are refused. Errors: 22023 no JSON object, 54000 more than 50 values.';

CREATE OR REPLACE FUNCTION cdp.customer_of(identifier_type text, value text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  clean record;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT EXISTS (SELECT FROM cdp_data.identifier_type_all t WHERE t.name = identifier_type) THEN
    RAISE EXCEPTION 'unknown identifier type "%"', left(identifier_type, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT name, description FROM cdp_data.identifier_type_all; lists them.';
  END IF;
  clean := cdp_internal.clean_identifiers(jsonb_build_object(identifier_type, customer_of.value));
  RETURN (
    SELECT cdp_internal.identifier_root(i.identifier_id) FROM cdp_data.identifier i
    WHERE i.type_id = clean.type_ids[1] AND i.value = clean.vals[1]);
END
$$;
COMMENT ON FUNCTION cdp.customer_of(text, text) IS
'The customer (root) to whom an identifier belongs now; NULL when it is unknown or cannot identify anybody. The value is normalised first. Needs the right to read cdp_data.identifier. Errors: 22023 unknown type, 55000 before cdp.setup().';

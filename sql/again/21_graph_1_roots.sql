-- Identity room, the graph: whose is it? Roots of customers and identifiers, the members of a customer,
-- and the identifiers of a call brought into the form in which they are compared (src/identity/graph/identify_*.c).

CREATE OR REPLACE FUNCTION cdp_internal.root_of(customer_id bigint) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_root_of';
COMMENT ON FUNCTION cdp_internal.root_of(bigint) IS
'The customer at the end of the parents of this one; itself for a root; NULL for an unknown customer. Error XX001: parents in a circle.';

CREATE OR REPLACE FUNCTION cdp_internal.identifier_root(identifier_id bigint) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_identifier_root';
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
LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cdp_clean_identifiers';
COMMENT ON FUNCTION cdp_internal.clean_identifiers(jsonb) IS
'The identifiers of one record, {"type": "value"} or {"type": ["value", ...]}, brought into the form in which they are stored: normalised, each once, strongest type first (priority, type_id, value by bytes). What cannot identify anybody is left out and told in refused as [{"type", "code"}], never with its value: codes of cdp_internal.identifier_reasons(), unknown_identifier_type, not_text (a list, a map, true or false), or suppressed (an erased person). NULL and blank are refused. Errors: 22023 no JSON object, 54000 more than 50 values.';

CREATE OR REPLACE FUNCTION cdp.customer_of(identifier_type text, value text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  clean record;
BEGIN
  PERFORM cdp_internal.require_setup();
  IF NOT has_column_privilege('cdp_data.identifier', 'value', 'SELECT') THEN
    RAISE EXCEPTION 'permission denied to look people up by their identifiers'
      USING ERRCODE = 'insufficient_privilege', HINT = 'It takes the part of privacy. Analysts work with the numbers of customers.';
  END IF;
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

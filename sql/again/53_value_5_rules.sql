-- Traits as rules ask for them: what of them is in the catalogue of names, and who has a value that fits.

CREATE OR REPLACE FUNCTION cdp_internal.segment_catalog_of_traits() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(t.name, jsonb_strip_nulls(jsonb_build_object('id', t.trait_id, 'purposes', t.allowed_purposes, 'refreshed_at', t.refreshed_at))) FROM cdp_data.trait t);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_catalog_of_traits() IS
'Traits for the catalogue of cdp_internal.segment_catalog(): {"name": {id, purposes (none: all), refreshed_at}}. A refresh changes refreshed_at, so that segments which name the trait are evaluated over everybody by the next run.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_set_of_trait(spec jsonb, roots bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  id integer := (spec ->> 'trait')::integer;
  op text := spec ->> 'op';
  low double precision := coalesce(spec ->> 'value', spec #>> '{values,0}')::double precision;
  high double precision := (spec #>> '{values,1}')::double precision;
BEGIN
  IF op IS NULL OR op NOT IN ('exists', 'eq', 'lt', 'lte', 'gt', 'gte', 'between') OR (op <> 'exists' AND low IS NULL) OR (op = 'between' AND high IS NULL) THEN
    RAISE EXCEPTION 'a trait can not be asked for "%"', op USING ERRCODE = 'invalid_parameter_value', HINT = 'Use exists, eq, lt, lte, gt, gte or between.';
  END IF;
  RETURN (
    SELECT cdp.roaring_build(v.customer_id) FROM cdp_data.trait_value v
    WHERE v.trait_id = id AND (roots IS NULL OR v.customer_id = ANY (roots))
      AND CASE op WHEN 'exists' THEN true WHEN 'eq' THEN v.value = low WHEN 'lt' THEN v.value < low WHEN 'lte' THEN v.value <= low
        WHEN 'gt' THEN v.value > low WHEN 'gte' THEN v.value >= low ELSE v.value BETWEEN low AND high END);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_set_of_trait(jsonb, bigint[]) IS
'The customers whose value of a trait, of the last refresh, fits the set atom of a plan ({"trait": id, "op": exists, eq, lt, lte, gt, gte or between, "value" or "values"}), as a Roaring bitmap; constants are compared as double precision, as values are kept. roots: only these; NULL: all. Error 22023: another op.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_values_of_trait(name text) RETURNS TABLE (customer_id bigint, value numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
BEGIN
  -- By its shortest text: a cast keeps 15 digits, so that whoever stands on the limit would fall below it.
  RETURN QUERY SELECT v.customer_id, v.value::text::numeric FROM cdp_data.trait t JOIN cdp_data.trait_value v USING (trait_id)
  WHERE t.name = segment_values_of_trait.name AND abs(v.value) < 'infinity';
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_values_of_trait(text) IS
'Customers with their value of a trait, for ranks: exactly the number that is kept. Infinite values have no rank.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_seen_of_trait(spec jsonb, root bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT to_jsonb(v.value::text) FROM cdp_data.trait_value v WHERE v.trait_id = (spec ->> 'trait')::integer AND v.customer_id = root AND abs(v.value) = 'infinity'
    UNION ALL SELECT to_jsonb(v.value) FROM cdp_data.trait_value v WHERE v.trait_id = (spec ->> 'trait')::integer AND v.customer_id = root AND abs(v.value) < 'infinity');
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_seen_of_trait(jsonb, bigint) IS
'A customer''s value of the trait of a set atom of a plan, for explanations: a number (infinite ones as text); NULL without one.';

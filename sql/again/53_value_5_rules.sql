-- Traits as rules ask for them: what of them is in the catalogue of names, and who has a value that fits.

CREATE OR REPLACE FUNCTION cdp_internal.segment_catalog_of_traits() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(t.name, jsonb_strip_nulls(jsonb_build_object('id', t.trait_id, 'type', nullif(t.value_type, 'number'), 'version', t.version,
    'purposes', CASE WHEN t.kind = 'computed' THEN cdp_internal.trait_purposes(t.allowed_purposes, t.definition) ELSE to_jsonb(t.allowed_purposes) END))) FROM cdp_data.trait t);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_catalog_of_traits() IS
'Traits for the catalogue of cdp_internal.segment_catalog(): {"name": {id, type (text; none: numbers), purposes (none: all), version}}. A refresh that finds other values changes version, so that segments which name the trait are evaluated over everybody by the next run.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_rows(id integer, roots bigint[] DEFAULT NULL) RETURNS TABLE (customer_id bigint, value double precision, word text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  map bytea;
  members bigint[];
BEGIN
  IF (SELECT t.kind FROM cdp_data.trait t WHERE t.trait_id = id) <> 'own' OR NOT EXISTS (SELECT FROM cdp_data.customer c WHERE c.parent_id <> c.customer_id) THEN
    IF roots IS NULL THEN
      RETURN QUERY SELECT v.customer_id, v.value, v.word FROM cdp_data.trait_value v WHERE v.trait_id = id;
    ELSE
      RETURN QUERY SELECT v.customer_id, v.value, v.word FROM cdp_data.trait_value v WHERE v.trait_id = id AND v.customer_id = ANY (roots);
    END IF;
    RETURN;
  END IF;
  map := cdp_internal.customer_map();
  IF roots IS NOT NULL THEN
    members := cdp_internal.attribution_members(roots);
    RETURN QUERY
    SELECT DISTINCT ON (x.root) x.root, x.value, x.word
    FROM (SELECT cdp_internal.customer_root(map, NULL, v.customer_id, NULL) AS root, v.customer_id AS id, v.value, v.word FROM cdp_data.trait_value v WHERE v.trait_id = trait_rows.id AND v.customer_id = ANY (members)) x
    ORDER BY x.root, x.id <> x.root, x.id;
  ELSE
    RETURN QUERY
    SELECT DISTINCT ON (x.root) x.root, x.value, x.word
    FROM (SELECT cdp_internal.customer_root(map, NULL, v.customer_id, NULL) AS root, v.customer_id AS id, v.value, v.word FROM cdp_data.trait_value v WHERE v.trait_id = trait_rows.id) x
    ORDER BY x.root, x.id <> x.root, x.id;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.trait_rows(integer, bigint[]) IS
'The values of a trait by customer. Of one that is filled from outside, a customer who was merged away leaves his value to the survivor, whose own comes first; of several the one with the lowest number. The others are made anew at each refresh. roots: only these; NULL: all.';

CREATE OR REPLACE FUNCTION cdp_internal.trait_fits(number double precision, word text, op text, numbers double precision[], words text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN op = 'exists' THEN true
  WHEN word IS NOT NULL THEN CASE op WHEN 'eq' THEN word = words[1] WHEN 'in' THEN word = ANY (words) WHEN 'lt' THEN word < words[1] COLLATE "C" WHEN 'lte' THEN word <= words[1] COLLATE "C"
    WHEN 'gt' THEN word > words[1] COLLATE "C" WHEN 'gte' THEN word >= words[1] COLLATE "C" ELSE word >= words[1] COLLATE "C" AND word <= words[2] COLLATE "C" END
  ELSE CASE op WHEN 'eq' THEN number = numbers[1] WHEN 'in' THEN number = ANY (numbers) WHEN 'lt' THEN number < numbers[1] WHEN 'lte' THEN number <= numbers[1]
    WHEN 'gt' THEN number > numbers[1] WHEN 'gte' THEN number >= numbers[1] ELSE number BETWEEN numbers[1] AND numbers[2] END END;
COMMENT ON FUNCTION cdp_internal.trait_fits(double precision, text, text, double precision[], text[]) IS
'Whether a value of a trait (number or word) compares as a set atom of a plan asks: op exists, eq, in, lt, lte, gt, gte or between, with its constants as numbers or as words, byte by byte.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_set_of_trait(spec jsonb, roots bigint[]) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  id integer := (spec ->> 'trait')::integer;
  op text := spec ->> 'op';
  words text[] := ARRAY(SELECT c FROM jsonb_array_elements_text(coalesce(spec -> 'values', jsonb_build_array(spec -> 'value'))) WITH ORDINALITY AS x (c, nth) ORDER BY nth);
  numbers double precision[] := CASE WHEN jsonb_typeof(coalesce(spec #> '{values,0}', spec -> 'value')) = 'number' THEN words::double precision[] END;
BEGIN
  IF op IS NULL OR op NOT IN ('exists', 'eq', 'in', 'lt', 'lte', 'gt', 'gte', 'between') OR (op <> 'exists' AND words[1] IS NULL) OR (op = 'between' AND words[2] IS NULL) THEN
    RAISE EXCEPTION 'a trait can not be asked for "%"', op USING ERRCODE = 'invalid_parameter_value', HINT = 'Use exists, eq, in, lt, lte, gt, gte or between.';
  END IF;
  RETURN (SELECT cdp.roaring_build(v.customer_id) FROM cdp_internal.trait_rows(id, roots) v WHERE cdp_internal.trait_fits(v.value, v.word, op, numbers, words));
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_set_of_trait(jsonb, bigint[]) IS
'The customers whose value of a trait, of the last refresh, fits the set atom of a plan ({"trait": id, "op": exists, eq, in, lt, lte, gt, gte or between, "value" or "values"}), as a Roaring bitmap; numbers are compared as double precision, as values are kept, texts byte by byte. roots: only these; NULL: all. Error 22023: another op.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_values_of_trait(name text) RETURNS TABLE (customer_id bigint, value numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
BEGIN
  -- By its shortest text: a cast keeps 15 digits, so that whoever stands on the limit would fall below it.
  RETURN QUERY SELECT v.customer_id, v.value::text::numeric FROM cdp_data.trait t CROSS JOIN LATERAL cdp_internal.trait_rows(t.trait_id) v
  WHERE t.name = segment_values_of_trait.name AND abs(v.value) < 'infinity';
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_values_of_trait(text) IS
'Customers with their value of a trait, for ranks: exactly the number that is kept. Infinite values and texts have no rank.';

CREATE OR REPLACE FUNCTION cdp_internal.segment_seen_of_trait(spec jsonb, root bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT CASE WHEN v.word IS NOT NULL THEN to_jsonb(v.word) WHEN abs(v.value) = 'infinity' THEN to_jsonb(v.value::text) ELSE to_jsonb(v.value) END
    FROM cdp_internal.trait_rows((spec ->> 'trait')::integer, ARRAY[root]) v WHERE v.customer_id = root);
END
$$;
COMMENT ON FUNCTION cdp_internal.segment_seen_of_trait(jsonb, bigint) IS
'A customer''s value of the trait of a set atom of a plan, for explanations: a number (infinite ones as text) or a text; NULL without one.';

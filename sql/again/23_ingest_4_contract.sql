-- Identity room, ingestion: contracts. What a source promises to deliver, and what becomes of each field.

CREATE OR REPLACE FUNCTION cdp.field_transforms() RETURNS TABLE (name text, description text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
SELECT * FROM (VALUES
  ('lower'::text, 'in lower case'::text),
  ('upper', 'in upper case'),
  ('digits', 'digits only'),
  ('negate', 'the number with the other sign'),
  ('minor_units', 'hundredths to units: 1999 to 19.99'),
  ('epoch', 'seconds since 1970 to a time'),
  ('epoch_ms', 'milliseconds since 1970 to a time'),
  ('host', 'the host of a web address')
) AS v (name, description);
END;
COMMENT ON FUNCTION cdp.field_transforms() IS
'Names for a field''s transform in a contract, and what each makes of the text. A text that it does not fit becomes one that fits no type. Read-only; part of the release.';

CREATE OR REPLACE FUNCTION cdp_internal.transform_text(input text, transform text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE transform
  WHEN 'lower' THEN lower(input)
  WHEN 'upper' THEN upper(input)
  WHEN 'digits' THEN regexp_replace(input, '[^0-9]+', '', 'g')
  WHEN 'host' THEN lower(substring(btrim(input) FROM '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#:]+)'))
  ELSE CASE WHEN cdp_internal.is_number(input) THEN CASE transform
    WHEN 'negate' THEN (-btrim(input)::numeric)::text
    WHEN 'minor_units' THEN trim_scale(btrim(input)::numeric / 100)::text
    -- The end of the calendar of PostgreSQL would be an error.
    WHEN 'epoch' THEN CASE WHEN abs(btrim(input)::numeric) < 250000000000
      THEN to_char(to_timestamp(btrim(input)::numeric::double precision) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' ELSE input END
    WHEN 'epoch_ms' THEN CASE WHEN abs(btrim(input)::numeric) < 250000000000000
      THEN to_char(to_timestamp((btrim(input)::numeric / 1000)::double precision) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' ELSE input END
    ELSE input END ELSE input END END;
COMMENT ON FUNCTION cdp_internal.transform_text(text, text) IS
'The text after a transform of cdp.field_transforms(); NULL transform: as it is.';

CREATE OR REPLACE FUNCTION cdp_internal.fits_type(input text, data_type text, zone text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE data_type
  WHEN 'integer' THEN btrim(input) ~ '^[-+]?[0-9]{1,18}$'
  WHEN 'numeric' THEN cdp_internal.is_number(input)
  WHEN 'boolean' THEN lower(btrim(input)) IN ('true', 't', 'yes', 'y', '1', 'on', 'false', 'f', 'no', 'n', '0', 'off', '是', '否')
  WHEN 'date' THEN coalesce(isfinite(cdp_internal.parse_time(input, 'UTC')), false)
  WHEN 'timestamp' THEN coalesce(isfinite(cdp_internal.parse_time(input, coalesce(zone, 'UTC'))), false)
  WHEN 'json' THEN cdp_internal.parse_json(input) IS NOT NULL
  ELSE true END;
COMMENT ON FUNCTION cdp_internal.fits_type(text, text, text) IS
'Whether a text can be read as a data type of a contract. zone: of times without an offset.';

CREATE OR REPLACE FUNCTION cdp_internal.in_range(input text, data_type text, zone text, min_value text, max_value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN data_type IN ('integer', 'numeric') THEN
    (min_value IS NULL OR btrim(input)::numeric >= min_value::numeric) AND (max_value IS NULL OR btrim(input)::numeric <= max_value::numeric)
  WHEN data_type IN ('date', 'timestamp') THEN
    (min_value IS NULL OR cdp_internal.parse_time(input, coalesce(zone, 'UTC')) >= cdp_internal.parse_time(min_value, coalesce(zone, 'UTC')))
    AND (max_value IS NULL OR cdp_internal.parse_time(input, coalesce(zone, 'UTC')) <= cdp_internal.parse_time(max_value, coalesce(zone, 'UTC')))
  WHEN data_type = 'text' THEN
    (min_value IS NULL OR length(input) >= min_value::integer) AND (max_value IS NULL OR length(input) <= max_value::integer)
  ELSE true END;
COMMENT ON FUNCTION cdp_internal.in_range(text, text, text, text, text) IS
'Whether a text that fits its data type lies between two bounds, both included (NULL: none); of text its length counts.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['source_key', 'occurred_at', 'kind', 'source', 'medium', 'campaign', 'referrer_host', 'add_way', 'qr_scene', 'value', 'currency',
  'properties', 'refers_to', 'flags'];
COMMENT ON FUNCTION cdp_internal.touch_columns() IS
'Targets of kind touchpoint: the columns of cdp.load_touchpoints() but for the identifier.';

CREATE OR REPLACE FUNCTION cdp_internal.is_money(target_kind text, target_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN target_kind = 'touchpoint' AND target_name IN ('value', 'currency');
COMMENT ON FUNCTION cdp_internal.is_money(text, text) IS
'Whether a field of a contract is money: a value of it that does not fit refuses the record, also when the field is optional, as a record without its money would count wrongly.';

CREATE OR REPLACE FUNCTION cdp_internal.contract_key_errors(fields jsonb)
RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known text[] := ARRAY['field', 'type', 'required', 'min', 'max', 'pattern', 'allowed', 'target', 'transform', 'note'];
BEGIN
  RETURN QUERY
  SELECT format('fields[%s].%s', f.n, left(k, 63)), 'unknown_key', format('a field has no key %s', quote_literal(left(k, 63))),
    cdp_internal.did_you_mean(k, known, format('Its keys are %s.', array_to_string(known, ', ')))
  FROM jsonb_array_elements(fields) WITH ORDINALITY AS f (v, n), jsonb_object_keys(CASE jsonb_typeof(f.v) WHEN 'object' THEN f.v ELSE '{}' END) k
  WHERE k <> ALL (known)
  UNION ALL
  SELECT format('fields[%s].%s', f.n, e.key), 'wrong_type', format('%s must be %s', e.key, w.wanted), NULL
  FROM jsonb_array_elements(fields) WITH ORDINALITY AS f (v, n), jsonb_each(CASE jsonb_typeof(f.v) WHEN 'object' THEN f.v ELSE '{}' END) e
    JOIN (VALUES ('field', '{string}'::text[], 'text'), ('type', '{string}', 'text'), ('required', '{boolean}', 'true or false'),
      ('min', '{string,number}', 'a number or a text'), ('max', '{string,number}', 'a number or a text'), ('pattern', '{string}', 'text'),
      ('allowed', '{array}', 'a list of texts'), ('target', '{string}', 'text'), ('transform', '{string}', 'text'), ('note', '{string}', 'text'))
      AS w (key, kinds, wanted) ON w.key = e.key
  WHERE jsonb_typeof(e.value) <> ALL (w.kinds || 'null'::text)
  UNION ALL
  SELECT format('fields[%s].allowed[%s]', f.n, a.n), 'wrong_type', 'what is allowed must be a text or a number', 'Leave required out for a field that may be empty.'
  FROM jsonb_array_elements(fields) WITH ORDINALITY AS f (v, n),
    jsonb_array_elements(CASE jsonb_typeof(CASE jsonb_typeof(f.v) WHEN 'object' THEN f.v END -> 'allowed') WHEN 'array' THEN f.v -> 'allowed' ELSE '[]' END) WITH ORDINALITY AS a (v, n)
  WHERE jsonb_typeof(a.v) NOT IN ('string', 'number', 'boolean')
  UNION ALL
  SELECT format('fields[%s]', f.n), 'wrong_type', 'a field must be a JSON object', 'Write {"field": "...", "target": "identifier email"}.'
  FROM jsonb_array_elements(fields) WITH ORDINALITY AS f (v, n) WHERE jsonb_typeof(f.v) <> 'object';
END
$$;
COMMENT ON FUNCTION cdp_internal.contract_key_errors(jsonb) IS
'Errors in the form of a contract''s list of fields: keys that there are not, values of a wrong JSON type. No row: none.';

CREATE OR REPLACE FUNCTION cdp_internal.known_name(kind text, name text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce(
    (SELECT k.name
     FROM (SELECT t.name FROM cdp_data.identifier_type_all t WHERE kind = 'identifier' UNION ALL SELECT a.name FROM cdp_data.attribute_all a WHERE kind = 'attribute') k
     WHERE k.name = known_name.name OR cdp_internal.snake(k.name) = cdp_internal.snake(known_name.name)
     ORDER BY k.name = known_name.name DESC, cdp_internal.snake(k.name) <> k.name, k.name COLLATE "C" LIMIT 1), known_name.name);
END
$$;
COMMENT ON FUNCTION cdp_internal.known_name(text, text) IS
'The name of the identifier type (kind identifier) or attribute (kind attribute) that a target of a contract means: the one of exactly that name, else the one of the same spelling, as cdp_internal.field_targets() has it. Other names and kinds come back as they are.';

CREATE OR REPLACE FUNCTION cdp_internal.contract_fields(fields jsonb)
RETURNS TABLE (n bigint, field text, data_type text, required boolean, min_value text, max_value text, pattern text, allowed text[],
  target text, target_kind text, target_name text, transform text, note text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT f.n, btrim(f.v ->> 'field'), coalesce(f.v ->> 'type', 'text'),
    CASE jsonb_typeof(f.v -> 'required') WHEN 'boolean' THEN (f.v ->> 'required')::boolean ELSE false END, f.v ->> 'min', f.v ->> 'max', f.v ->> 'pattern',
    CASE jsonb_typeof(f.v -> 'allowed') WHEN 'array' THEN ARRAY(SELECT a FROM jsonb_array_elements_text(f.v -> 'allowed') a) END,
    f.v ->> 'target', t.kind, cdp_internal.known_name(t.kind, t.name), f.v ->> 'transform', f.v ->> 'note'
  FROM jsonb_array_elements(fields) WITH ORDINALITY AS f (v, n)
    CROSS JOIN LATERAL (SELECT split_part(btrim(f.v ->> 'target'), ' ', 1) AS kind, nullif(btrim(substring(btrim(f.v ->> 'target') FROM ' (.*)$')), '') AS name) t
  WHERE jsonb_typeof(f.v) = 'object';
END;
COMMENT ON FUNCTION cdp_internal.contract_fields(jsonb) IS
'A contract''s list of fields as rows, as it was written; target split into its kind and name, which is that of cdp_internal.known_name().';

CREATE OR REPLACE FUNCTION cdp.check_contract(record_kind text, fields jsonb)
RETURNS TABLE (path text, code text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  types text[];
  attributes text[];
  transforms text[] := ARRAY(SELECT t.name FROM cdp.field_transforms() t ORDER BY 1);
  data_types text[] := ARRAY['text', 'integer', 'numeric', 'boolean', 'date', 'timestamp', 'json'];
  kinds text[];
  columns text[];
BEGIN
  PERFORM cdp_internal.require_setup();
  IF check_contract.record_kind IS NULL OR check_contract.record_kind NOT IN ('customer', 'event') THEN
    RETURN QUERY SELECT 'record_kind', 'unknown_kind', 'a contract is about records of kind customer or event',
      cdp_internal.did_you_mean(check_contract.record_kind, ARRAY['customer', 'event'], 'Take one of them.');
    RETURN;
  ELSIF fields IS NULL OR jsonb_typeof(fields) <> 'array' OR fields = '[]' THEN
    RETURN QUERY SELECT 'fields', 'wrong_type', 'fields must be a list with at least one field', 'Write [{"field": "mail", "target": "identifier email"}, ...].';
    RETURN;
  ELSIF jsonb_array_length(fields) > 500 THEN
    RETURN QUERY SELECT 'fields', 'too_many', format('%s fields are declared, 500 are taken', jsonb_array_length(fields)), 'Put the rest into one JSON column.';
    RETURN;
  END IF;
  types := ARRAY(SELECT t.name FROM cdp_data.identifier_type_all t ORDER BY 1);
  attributes := ARRAY(SELECT a.name FROM cdp_data.attribute_all a ORDER BY 1);
  kinds := CASE check_contract.record_kind WHEN 'customer' THEN ARRAY['identifier', 'attribute', 'record', 'ignore']
    ELSE ARRAY['identifier', 'attribute', 'touchpoint', 'property', 'ignore'] END;
  columns := cdp_internal.touch_columns();
  RETURN QUERY
  SELECT e.path, e.code, e.message, e.hint
  FROM (
    SELECT 0 AS n, k.* FROM cdp_internal.contract_key_errors(fields) k
    UNION ALL
    SELECT f.n, format('fields[%s].%s', f.n, x.key), x.code, x.message, x.hint
    FROM cdp_internal.contract_fields(fields) f CROSS JOIN LATERAL (VALUES
      (coalesce(f.field, '') = '', 'field', 'missing', 'the field has no name', NULL),
      (octet_length(f.field) > 200, 'field', 'too_long', 'the name has more than 200 bytes', NULL),
      (f.field ~ '^[$]' AND f.field !~ '^[$][.][^.]+([.][^.]+)*$', 'field', 'bad_path', 'a path is $.column.key', NULL),
      (f.data_type <> ALL (data_types), 'type', 'unknown_type', format('there is no data type %s', quote_literal(left(f.data_type, 63))),
        cdp_internal.did_you_mean(f.data_type, data_types, format('Take one of %s.', array_to_string(data_types, ', ')))),
      (f.transform <> ALL (transforms), 'transform', 'unknown_transform', format('there is no transform %s', quote_literal(left(f.transform, 63))),
        cdp_internal.did_you_mean(f.transform, transforms, format('Take one of %s.', array_to_string(transforms, ', ')))),
      (f.data_type IN ('boolean', 'json') AND num_nonnulls(f.min_value, f.max_value) > 0, CASE WHEN f.min_value IS NULL THEN 'max' ELSE 'min' END,
        'no_range', format('a %s has no least and greatest value', f.data_type), NULL),
      (f.data_type = 'text' AND (f.min_value !~ '^[0-9]{1,9}$' OR f.max_value !~ '^[0-9]{1,9}$'), CASE WHEN f.min_value !~ '^[0-9]{1,9}$' THEN 'min' ELSE 'max' END,
        'bad_bound', 'of text, min and max are lengths: whole numbers', NULL),
      (f.data_type NOT IN ('text', 'boolean', 'json') AND f.data_type = ANY (data_types) AND (f.min_value IS NOT NULL AND NOT cdp_internal.fits_type(f.min_value, f.data_type, 'UTC')
        OR f.max_value IS NOT NULL AND NOT cdp_internal.fits_type(f.max_value, f.data_type, 'UTC')),
        CASE WHEN f.min_value IS NULL OR cdp_internal.fits_type(f.min_value, f.data_type, 'UTC') THEN 'max' ELSE 'min' END,
        'bad_bound', format('a bound must be of the type of the field, %s', f.data_type), NULL),
      (cdp_internal.bounds_crossed(f.data_type, f.min_value, f.max_value), 'max', 'bad_bound', 'max is below min: nothing would be taken', NULL),
      (NOT cdp_internal.pattern_compiles(f.pattern), 'pattern', 'bad_pattern', 'the pattern is no regular expression', NULL),
      (f.allowed = '{}', 'allowed', 'empty', 'allowed is an empty list: nothing would be taken', NULL),
      (coalesce(f.target, '') = '', 'target', 'missing', 'the field has no target', format('Take one of %s, with a name behind it.', array_to_string(kinds, ', '))),
      (f.target <> '' AND f.target_kind <> ALL (kinds), 'target', 'unknown_target', format('a record of a %s has no target of kind %s', check_contract.record_kind,
        quote_literal(left(f.target_kind, 63))), cdp_internal.did_you_mean(f.target_kind, kinds, format('Take one of %s.', array_to_string(kinds, ', ')))),
      (f.target_kind = ANY (kinds) AND f.target_kind NOT IN ('ignore', 'property') AND f.target_name IS NULL, 'target', 'missing',
        format('target %s lacks a name', f.target_kind), 'Such as identifier email or attribute city.'),
      (f.target_kind = 'identifier' AND f.target_name <> ALL (types), 'target', 'unknown_identifier_type',
        format('there is no identifier type %s', quote_literal(left(f.target_name, 63))),
        cdp_internal.did_you_mean(f.target_name, types, 'A new one is made with cdp.add_identifier_type().')),
      (f.target_kind = 'attribute' AND f.target_name <> ALL (attributes), 'target', 'unknown_attribute', format('there is no attribute %s', quote_literal(left(f.target_name, 63))),
        cdp_internal.did_you_mean(f.target_name, attributes, 'A new one is made with cdp.add_attribute().')),
      (f.target_kind = 'touchpoint' AND check_contract.record_kind = 'event' AND f.target_name <> ALL (columns), 'target', 'unknown_column',
        format('a touchpoint has no column %s', quote_literal(left(f.target_name, 63))),
        cdp_internal.did_you_mean(f.target_name, columns, format('Take one of %s.', array_to_string(columns, ', ')))),
      (f.target_kind = 'record' AND f.target_name NOT IN ('source_key', 'observed_at'), 'target', 'unknown_column', 'a record has source_key and observed_at',
        cdp_internal.did_you_mean(f.target_name, ARRAY['source_key', 'observed_at'], 'Take one of them.'))
    ) AS x (is_wrong, key, code, message, hint)
    WHERE x.is_wrong
    UNION ALL
    SELECT d.n, format('fields[%s].field', d.n), 'twice', format('field %s is declared twice', quote_literal(left(d.field, 63))), 'A field has one target.'
    FROM (SELECT f.n, f.field, row_number() OVER (PARTITION BY f.field ORDER BY f.n) AS nth FROM cdp_internal.contract_fields(fields) f) d WHERE d.nth > 1
    UNION ALL
    SELECT d.n, format('fields[%s].target', d.n), 'twice', format('target %s is given twice', quote_literal(left(d.target, 63))), 'Only identifiers may come from several fields.'
    FROM (SELECT f.n, f.target, row_number() OVER (PARTITION BY f.target_kind, f.target_name ORDER BY f.n) AS nth FROM cdp_internal.contract_fields(fields) f
          WHERE f.target_kind IN ('attribute', 'touchpoint', 'record')) d WHERE d.nth > 1
    UNION ALL
    SELECT 1000, 'fields', 'no_identifier', 'no field is an identifier: nobody would be known', 'Give at least one field the target identifier TYPE.'
    WHERE NOT EXISTS (SELECT FROM cdp_internal.contract_fields(fields) f WHERE f.target_kind = 'identifier')
    UNION ALL
    SELECT 1001, 'fields', 'no_target', format('no field has the target touchpoint %s', c), 'Every touchpoint needs a key, a time and a kind.'
    FROM unnest(ARRAY['source_key', 'occurred_at', 'kind']) c
    WHERE check_contract.record_kind = 'event' AND NOT EXISTS (
      SELECT FROM cdp_internal.contract_fields(fields) f WHERE f.target_kind = 'touchpoint' AND f.target_name = c)
  ) e
  ORDER BY substring(e.path FROM '[0-9]+')::integer NULLS LAST, e.path, e.code;
END
$$;
COMMENT ON FUNCTION cdp.check_contract(text, jsonb) IS
'Every error of a contract at once, nothing is written: path (fields[3].target; counted from 1), code, message, hint with the nearest name (NULL: none). No row: it is in order. fields is a list of {"field": column or $.column.key, "type": text (default), integer, numeric, boolean, date, timestamp, json, "required", "min", "max" (of text: lengths), "pattern", "allowed": [...], "target": "identifier TYPE", "attribute NAME", for customers "record source_key" or "record observed_at", for events "touchpoint COLUMN" or "property [KEY]", or "ignore", "transform": a name of cdp.field_transforms(), "note"}.';

CREATE OR REPLACE FUNCTION cdp_internal.bounds_crossed(data_type text, min_value text, max_value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN data_type = 'text' THEN CASE WHEN min_value ~ '^[0-9]{1,9}$' AND max_value ~ '^[0-9]{1,9}$' THEN min_value::integer > max_value::integer ELSE false END
  WHEN data_type IN ('integer', 'numeric', 'date', 'timestamp') AND min_value IS NOT NULL AND max_value IS NOT NULL
    AND cdp_internal.fits_type(min_value, data_type, 'UTC') AND cdp_internal.fits_type(max_value, data_type, 'UTC')
    THEN NOT cdp_internal.in_range(max_value, data_type, 'UTC', min_value, NULL)
  ELSE false END;
COMMENT ON FUNCTION cdp_internal.bounds_crossed(text, text, text) IS
'Whether the least value of a field lies above its greatest; false when one is missing or is none of the data type.';

CREATE OR REPLACE FUNCTION cdp_internal.pattern_compiles(pattern text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM '' ~ (pattern COLLATE "C");
  RETURN true;
EXCEPTION WHEN invalid_regular_expression THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION cdp_internal.pattern_compiles(text) IS
'Whether the text is a regular expression; true for NULL.';

CREATE OR REPLACE FUNCTION cdp.declare_contract(
  source text, record_kind text, fields jsonb, owner text DEFAULT NULL, freshness interval DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  src integer;
  errors bigint;
  told text;
  n integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  src := cdp_internal.source_of(source);
  SELECT count(*), string_agg(format('%s %s: %s.%s', c.path, c.code, c.message, ' ' || c.hint), E'\n') INTO errors, told
  FROM cdp.check_contract(declare_contract.record_kind, fields) c;
  IF errors > 0 THEN
    RAISE EXCEPTION 'the contract has % errors', errors
      USING ERRCODE = 'invalid_parameter_value', DETAIL = told, HINT = 'SELECT * FROM cdp.check_contract(...); gives them as rows.';
  END IF;
  IF declare_contract.freshness <= '0'::interval THEN
    RAISE EXCEPTION 'freshness must be longer than nothing' USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('Got %s.', declare_contract.freshness), HINT = 'It is the longest time between two deliveries, such as 1 day.';
  END IF;
  INSERT INTO cdp_data.source_contract AS c (source_id, record_kind, owner, freshness)
  VALUES (src, declare_contract.record_kind, declare_contract.owner, declare_contract.freshness)
  ON CONFLICT ON CONSTRAINT source_contract_pkey DO UPDATE
  -- Another contract must be checked again before it counts.
  SET owner = coalesce(excluded.owner, c.owner), freshness = coalesce(excluded.freshness, c.freshness), status = 'draft', declared_at = now();
  DELETE FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = declare_contract.record_kind;
  INSERT INTO cdp_data.source_field (source_id, record_kind, field, nth, data_type, required, min_value, max_value, pattern, allowed,
    target_kind, target_name, transform, note)
  SELECT src, declare_contract.record_kind, f.field, f.n, f.data_type, f.required, f.min_value, f.max_value, f.pattern, f.allowed,
    f.target_kind, CASE WHEN f.target_kind = 'property' THEN coalesce(f.target_name, regexp_replace(f.field, '^.*[.]', '')) ELSE f.target_name END,
    f.transform, f.note
  FROM cdp_internal.contract_fields(fields) f;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp.declare_contract(text, text, jsonb, text, interval) IS
'Declares what a source delivers for records of a kind (customer, event), in place of what was declared before; its form is told at cdp.check_contract(). The contract is a draft until cdp.source_go_live(): until then loads of the source are trials. owner and freshness NULL keep what is there. Returns the number of fields. Errors: 22023 with every error of the contract in its detail, unknown source, freshness not above 0; 55000 before cdp.setup().';

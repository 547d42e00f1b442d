-- Identity room, ingestion: batches of records of customers and of events.
--
-- A batch is read once into pg_temp.cdp_load_record, by the contract of its source or by the names of its columns. Then
-- identifiers, links, attributes and touchpoints are each a few statements over all rows, with the locks in the order
-- of every load: source, partitions, origins, identifiers, customers, links, keys.

CREATE OR REPLACE FUNCTION cdp_internal.drop_record_tables() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.drop_temp_tables(ARRAY['cdp_load_field', 'cdp_load_record', 'cdp_load_value', 'cdp_load_known', 'cdp_load_fresh', 'cdp_load_ids',
    'cdp_load_link', 'cdp_load_attribute', 'cdp_load_stage', 'cdp_load_same']);
END
$$;
COMMENT ON FUNCTION cdp_internal.drop_record_tables() IS
'Drops the temporary tables of a batch, of which a failed or an earlier one may have left some.';

CREATE OR REPLACE FUNCTION cdp_internal.record_text(staging regclass, name text, as_day boolean, zone text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  kind oid;
  category "char";
BEGIN
  SELECT coalesce(nullif(t.typbasetype, 0), t.oid), t.typcategory INTO kind, category
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = staging AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped;
  -- As JSON writes it: the same in every session, whatever its DateStyle, TimeZone and bytea_output.
  RETURN CASE
    WHEN category IN ('A', 'C') THEN format('to_jsonb(s.%I)::text', name)
    WHEN kind = 'timestamptz'::regtype AND as_day THEN format('(to_jsonb(s.%I AT TIME ZONE %L) #>> ''{}'')', name, zone)
    WHEN kind = 'timestamptz'::regtype THEN format('(CASE WHEN isfinite(s.%1$I) THEN (to_jsonb(s.%1$I AT TIME ZONE ''UTC'') #>> ''{}'') || ''Z'' ELSE s.%1$I::text END)', name)
    WHEN kind IN ('date'::regtype, 'timestamp'::regtype) THEN format('(to_jsonb(s.%I) #>> ''{}'')', name)
    WHEN kind = 'bytea'::regtype THEN format('(''\x'' || encode(s.%I, ''hex''))', name)
    ELSE cdp_internal.staging_text(staging, name) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_text(regclass, text, boolean, text) IS
'SQL that reads a column of a staging table (alias s) as text, the same in every session: arrays and rows as JSON, moments in UTC, or with as_day as the day that they are in the zone, all else as cdp_internal.staging_text(). NULL::text when the table has no such column.';

CREATE OR REPLACE FUNCTION cdp_internal.note_unused(src integer, names text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  room bigint;
BEGIN
  -- What may be an address or a number of somebody is no name.
  names := ARRAY(SELECT DISTINCT n FROM unnest(names) n WHERE n !~ '@|[0-9]{5}' AND octet_length(n) <= 200 AND NOT EXISTS (SELECT FROM cdp_data.source_unmapped u WHERE u.source_id = src AND u.field = n) ORDER BY n);
  IF cardinality(names) > 0 THEN
    room := 1000 - (SELECT count(*) FROM cdp_data.source_unmapped u WHERE u.source_id = src);
    INSERT INTO cdp_data.source_unmapped (source_id, field) SELECT src, n FROM unnest(names) n ORDER BY n COLLATE "C" LIMIT greatest(room, 0) ON CONFLICT DO NOTHING;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.note_unused(integer, text[]) IS
'Notes in cdp_data.source_unmapped what a source delivers and nothing is made of, up to 1000 names a source.';

CREATE OR REPLACE FUNCTION cdp_internal.record_fields(src integer, record_kind text, staging regclass, zone text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  by_contract boolean := EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = record_fields.record_kind);
  missing text;
  n bigint;
BEGIN
  CREATE TEMP TABLE cdp_load_field (
    n integer, field text, expr text, data_type text, required boolean, min_value text, max_value text, pattern text, allowed text[],
    target_kind text, target_name text, target_id integer, priority integer, role text, transform text, zone text);
  IF by_contract THEN
    -- A path begins in a column; the rest of it is looked up inside.
    SELECT string_agg(quote_literal(c.name), ', ' ORDER BY c.name) INTO missing
    FROM (SELECT DISTINCT CASE WHEN f.field ~ '^[$][.]' THEN split_part(f.field, '.', 2) ELSE f.field END AS name
          FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = record_fields.record_kind AND (f.required OR f.field ~ '^[$][.]')) c
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = staging AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF missing IS NOT NULL THEN
      RAISE EXCEPTION 'staging table % lacks columns of the contract', staging
        USING ERRCODE = 'undefined_column', DETAIL = format('Missing: %s.', missing), HINT = 'SELECT * FROM cdp_data.source_field; shows what the source promised.';
    END IF;
    INSERT INTO pg_temp.cdp_load_field (n, field, expr, data_type, required, min_value, max_value, pattern, allowed, target_kind, target_name, transform)
    SELECT row_number() OVER (ORDER BY f.nth), f.field,
      CASE WHEN f.field ~ '^[$][.]' THEN format(CASE WHEN a.atttypid = 'jsonb'::regtype THEN '(s.%I #>> %L)' ELSE '(cdp_internal.parse_json(s.%I::text) #>> %L)' END,
          a.attname, (string_to_array(f.field, '.'))[3:])
        ELSE cdp_internal.record_text(staging, f.field, f.data_type = 'date'
          OR f.target_kind = 'attribute' AND EXISTS (SELECT FROM cdp_data.attribute_all t WHERE t.name = f.target_name AND t.data_type = 'date'), zone) END,
      f.data_type, f.required, f.min_value, f.max_value, f.pattern, f.allowed, f.target_kind, f.target_name, f.transform
    FROM cdp_data.source_field f
      LEFT JOIN pg_attribute a ON a.attrelid = staging AND a.attname = split_part(f.field, '.', 2) AND a.attnum > 0 AND NOT a.attisdropped
    WHERE f.source_id = src AND f.record_kind = record_fields.record_kind AND f.target_kind <> 'ignore';
  ELSE
    INSERT INTO pg_temp.cdp_load_field (n, field, expr, data_type, required, target_kind, target_name)
    SELECT row_number() OVER (ORDER BY x.attnum), x.attname, cdp_internal.record_text(staging, x.attname,
        x.kind = 'attribute' AND EXISTS (SELECT FROM cdp_data.attribute_all t WHERE t.name = x.target AND t.data_type = 'date'), zone), 'text', false, x.kind, x.target
    FROM (
      SELECT c.*, row_number() OVER (PARTITION BY c.kind, c.target ORDER BY c.is_exact DESC, c.attname COLLATE "C" DESC) AS nth
      FROM (
        SELECT a.attnum, a.attname::text AS attname, coalesce(own.kind, t.target_kind) AS kind, CASE WHEN own.kind IS NOT NULL THEN a.attname ELSE t.target_name END AS target, t.is_exact
        FROM pg_attribute a CROSS JOIN LATERAL (
            SELECT CASE WHEN record_fields.record_kind = 'event' AND a.attname = ANY (cdp_internal.touch_columns()) THEN 'touchpoint'
              WHEN record_fields.record_kind = 'customer' AND a.attname IN ('source_key', 'observed_at') THEN 'record' END AS kind) own
          LEFT JOIN cdp_internal.field_targets(ARRAY(SELECT b.attname::text FROM pg_attribute b WHERE b.attrelid = staging AND b.attnum > 0 AND NOT b.attisdropped)) t ON t.name = a.attname
        WHERE a.attrelid = staging AND a.attnum > 0 AND NOT a.attisdropped) c) x
    WHERE x.kind = 'identifier' OR x.nth = 1 AND (x.kind IN ('touchpoint', 'record') OR x.kind = 'attribute' AND record_fields.record_kind = 'customer');
  END IF;
  UPDATE pg_temp.cdp_load_field f SET zone = record_fields.zone;
  UPDATE pg_temp.cdp_load_field f SET target_id = t.type_id, priority = t.priority, role = t.role
  FROM cdp_data.identifier_type_all t WHERE f.target_kind = 'identifier' AND t.name = f.target_name;
  UPDATE pg_temp.cdp_load_field f SET target_id = a.attribute_id FROM cdp_data.attribute_all a WHERE f.target_kind = 'attribute' AND a.name = f.target_name;
  UPDATE pg_temp.cdp_load_field f SET expr = format('cdp_internal.transform_text(%s, %L)', f.expr, f.transform) WHERE f.transform IS NOT NULL;
  SELECT string_agg(format('%s (%s)', f.field, f.target_name), ', ') INTO missing FROM pg_temp.cdp_load_field f
  WHERE f.target_kind IN ('identifier', 'attribute') AND f.target_id IS NULL;
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'targets of the contract are there no more'
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Fields: %s.', missing), HINT = 'Declare the contract again with cdp.declare_contract().';
  ELSIF NOT EXISTS (SELECT FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'identifier' AND f.role <> 'ignore') THEN
    RAISE EXCEPTION 'no column of % is an identifier', staging
      USING ERRCODE = 'undefined_column', DETAIL = format('Columns: %s.', (SELECT string_agg(quote_literal(a.attname), ', ' ORDER BY a.attnum)
          FROM pg_attribute a WHERE a.attrelid = staging AND a.attnum > 0 AND NOT a.attisdropped)),
        HINT = 'Name one like a type of cdp_data.identifier_type_all, or declare what is what with cdp.declare_contract().';
  END IF;
  PERFORM cdp_internal.note_unused(src, ARRAY(
    SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = staging AND a.attnum > 0 AND NOT a.attisdropped
      AND NOT EXISTS (SELECT FROM pg_temp.cdp_load_field f WHERE f.field = a.attname OR f.field ~ '^[$][.]' AND split_part(f.field, '.', 2) = a.attname)
      AND NOT EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = src AND f.record_kind = record_fields.record_kind AND f.field = a.attname)));
  SELECT count(*) INTO n FROM pg_temp.cdp_load_field;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_fields(integer, text, regclass, text) IS
'Collects in pg_temp.cdp_load_field what becomes of each column of a staging table: by the contract of the source, or without one by the columns'' names; zone: that of times without an offset. Columns of which nothing is made are noted for cdp.source_plan(). Returns how many are used. Errors: 42703 a column is missing or none identifies, 55000 a target of the contract is gone.';

CREATE OR REPLACE FUNCTION cdp_internal.field_code_sql(f record) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN 'CASE WHEN p.f' || f.n || ' IS NULL OR btrim(p.f' || f.n || ', E'' \t\r\n'') = '''' THEN ''empty'''
    || CASE WHEN f.data_type <> 'text' THEN format(' WHEN NOT coalesce(cdp_internal.fits_type(p.f%s, %L, %L), false) THEN %L', f.n, f.data_type, f.zone, 'bad_' || f.data_type) ELSE '' END
    || CASE WHEN num_nonnulls(f.min_value, f.max_value) > 0
         THEN format(' WHEN NOT cdp_internal.in_range(p.f%s, %L, %L, %L, %L) THEN ''range''', f.n, f.data_type, f.zone, f.min_value, f.max_value) ELSE '' END
    || CASE WHEN f.pattern IS NOT NULL THEN format(' WHEN p.f%s !~ (%L COLLATE "C") THEN ''pattern''', f.n, f.pattern) ELSE '' END
    || CASE WHEN f.allowed IS NOT NULL THEN format(' WHEN p.f%s <> ALL (%L::text[]) THEN ''not_allowed''', f.n, f.allowed) ELSE '' END
    || CASE WHEN f.target_kind = 'identifier' THEN
         format(' WHEN p.r%1$s IS NULL THEN %2$s', f.n, CASE WHEN f.role = 'ignore' THEN '''ignored'''
           ELSE format('cdp_internal.refused_identifier(p.f%s, %s, %L)', f.n, f.target_id, cdp_internal.identifier_rules()) END) ELSE '' END
    || ' END';
END
$$;
COMMENT ON FUNCTION cdp_internal.field_code_sql(record) IS
'SQL that tells why a field (a row of pg_temp.cdp_load_field) is not taken: empty, bad_ and the type, range, pattern, not_allowed, or why an identifier is refused; NULL when it is taken.';

CREATE OR REPLACE FUNCTION cdp_internal.record_read_sql(record_kind text, staging regclass, zone text, not_before timestamptz, not_after timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rules text := quote_nullable(cdp_internal.identifier_rules()::text);
  key_field integer := (SELECT f.n FROM pg_temp.cdp_load_field f WHERE f.target_name = 'source_key' AND f.target_kind IN ('record', 'touchpoint'));
  time_field integer := (SELECT f.n FROM pg_temp.cdp_load_field f WHERE f.target_name = 'observed_at' AND f.target_kind = 'record');
  identifiers text;
  x record;
BEGIN
  SELECT string_agg(format('%s AS f%s', f.expr, f.n), ', ' ORDER BY f.n) AS raw,
    string_agg(CASE WHEN f.role = 'ignore' THEN format('NULL::text AS r%s', f.n)
      ELSE format('cdp_internal.read_identifier(o.f%s, %s, %s) AS r%s', f.n, f.target_id, rules, f.n) END, ', ' ORDER BY f.n) FILTER (WHERE f.target_kind = 'identifier') AS known,
    string_agg(format('%s AS c%s', cdp_internal.field_code_sql(f), f.n), ', ' ORDER BY f.n) AS codes,
    string_agg('q.f' || f.n, ', ' ORDER BY f.n) AS f_list,
    string_agg(CASE WHEN f.target_kind = 'identifier' THEN format('CASE WHEN q.c%1$s IS NULL THEN q.r%1$s END', f.n) ELSE 'NULL' END, ', ' ORDER BY f.n) AS r_list,
    string_agg('q.c' || f.n, ', ' ORDER BY f.n) AS c_list,
    CASE WHEN count(*) FILTER (WHERE f.target_kind = 'identifier') > 50 THEN format('WHEN (SELECT count(*) FROM unnest(ARRAY[%s]::text[]) AS u (c) WHERE u.c IS DISTINCT FROM ''empty'') > 50 THEN ''too_many_identifiers''',
      string_agg('q.c' || f.n, ', ') FILTER (WHERE f.target_kind = 'identifier')) END AS many,
    string_agg(format('WHEN q.c%s IS NOT NULL THEN %s', f.n, f.n), ' ' ORDER BY f.n) FILTER (WHERE f.required) AS required,
    string_agg(format('CASE WHEN q.c%1$s IS NULL THEN q.r%1$s END', f.n), ', ' ORDER BY f.priority, f.n) FILTER (WHERE f.target_kind = 'identifier') AS strongest,
    string_agg(format('WHEN q.c%s IS NULL THEN %L || q.r%s', f.n, f.target_name || ':', f.n), ' ' ORDER BY f.priority, f.n) FILTER (WHERE f.target_kind = 'identifier') AS made_key
  INTO x
  FROM pg_temp.cdp_load_field f;
  RETURN format($sql$
INSERT INTO pg_temp.cdp_load_record
SELECT z.row_no, z.source_key, z.at, z.code, z.bad_field, z.f, z.r, z.bad, z.code IS NULL AND cdp_internal.key_repeats(z.source_key),
  CASE WHEN z.code IS NOT NULL%14$s THEN to_jsonb(z.whole) END
FROM (
  SELECT q.row_no, q.whole, q.source_key, q.at, q.bad_field, ARRAY[%1$s]::text[] AS f, ARRAY[%2$s]::text[] AS r,
    CASE WHEN coalesce(%3$s, NULL) IS NOT NULL THEN
      nullif(ARRAY(SELECT u.n || ':' || u.c FROM unnest(ARRAY[%3$s]::text[]) WITH ORDINALITY AS u (c, n) WHERE u.c <> 'empty'), '{}') END AS bad,
    CASE WHEN q.bad_field IS NOT NULL THEN CASE WHEN (ARRAY[%3$s]::text[])[q.bad_field] = 'empty' THEN 'missing_field' ELSE 'bad_field' END
      WHEN coalesce(%4$s) IS NULL THEN 'no_identifier'
      %13$s
      %5$s
      WHEN q.source_key IS NULL THEN 'bad_key' END AS code
  FROM (
    SELECT q.*, %6$s AS bad_field, %7$s AS source_key, %8$s AS at
    FROM (
      SELECT p.*, %9$s
      FROM (
        SELECT o.*, %10$s
        FROM (SELECT coalesce(s.*) AS whole, cdp_internal.row_number() AS row_no, %11$s FROM %12$s s OFFSET 0) o OFFSET 0) p
      OFFSET 0) q
    OFFSET 0) q
  OFFSET 0) z$sql$,
    x.f_list, x.r_list, x.c_list, x.strongest,
    CASE WHEN time_field IS NOT NULL THEN format('WHEN q.c%1$s IS DISTINCT FROM ''empty'' AND (q.at IS NULL OR NOT isfinite(q.at)) THEN ''bad_time''
      WHEN q.at < %2$L OR q.at > %3$L THEN ''absurd_time''', time_field, not_before, not_after) ELSE '' END,
    CASE WHEN x.required IS NULL THEN 'NULL::integer' ELSE format('CASE %s END', x.required) END,
    CASE WHEN key_field IS NULL THEN format('cdp_internal.parse_key(CASE %s END)', x.made_key) ELSE format('cdp_internal.parse_key(%s)', cdp_internal.staging_key('q.f' || key_field)) END,
    CASE WHEN time_field IS NULL THEN 'now()' ELSE format('CASE WHEN q.c%1$s = ''empty'' THEN now() ELSE cdp_internal.parse_time(q.f%1$s, %2$L) END', time_field, zone) END,
    x.codes, x.known, x.raw,
    (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = staging),
    coalesce(x.many, ''),
    -- A transform can not be undone, and what is refused later is tried again through it.
    CASE WHEN EXISTS (SELECT FROM pg_temp.cdp_load_field f WHERE f.transform IS NOT NULL) THEN ' OR true' ELSE '' END);
END
$$;
COMMENT ON FUNCTION cdp_internal.record_read_sql(text, regclass, text, timestamptz, timestamptz) IS
'The statement that reads a staging table once into pg_temp.cdp_load_record: every field as text (f), identifiers in the form that is stored (r), what is wrong with which field (bad: number and code), a reason code, and the original row where the record is refused or the contract transforms fields. Without a field for the key, the strongest identifier is the key; without a time it is now.';

CREATE OR REPLACE FUNCTION cdp_internal.record_close(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  key_field text := (SELECT f.field FROM pg_temp.cdp_load_field f WHERE f.target_name = 'source_key' AND f.target_kind IN ('record', 'touchpoint'));
  n bigint := 0;
BEGIN
  IF key_field IS NOT NULL THEN
    UPDATE cdp_data.quarantine q SET retried_by_load = load
    FROM cdp_data.load l, pg_temp.cdp_load_record r
    WHERE l.source_id = src AND l.kind = (SELECT x.kind FROM cdp_data.load x WHERE x.load_id = load) AND l.load_id < load AND q.load_id = l.load_id
      AND q.retried_by_load IS NULL AND r.code IS NULL AND r.source_key = cdp_internal.parse_key(coalesce(q.original ->> key_field,
        CASE WHEN key_field ~ '^[$][.]' THEN q.original #>> (string_to_array(key_field, '.'))[2:] END));
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_close(bigint, integer) IS
'Marks what earlier batches of the same kind put into quarantine as tried again by this one, where a good record of it has the same key: the table was mended and loaded again. Returns how many rows.';

-- What is refused keeps the values of encrypted attributes, sealed. They open again only where such a value may stand, and
-- as that attribute: a source that sends somebody's envelope in another field does not get it opened.

CREATE OR REPLACE FUNCTION cdp_internal.secret_places(src integer, original jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.attribute a WHERE a.encrypted) THEN
    RETURN '[]';
  END IF;
  RETURN (
    WITH secret AS (
      SELECT a.name, a.attribute_id FROM cdp_data.attribute a WHERE a.encrypted
    ), told AS (
      SELECT f.field, s.attribute_id FROM cdp_data.source_field f JOIN secret s ON s.name = f.target_name WHERE f.source_id = src AND f.target_kind = 'attribute'
    ), top AS (
      SELECT v.path || e.key AS path, e.key AS name, e.value
      FROM (VALUES ('{}'::text[]), (ARRAY['traits']), (ARRAY['context', 'traits']), (ARRAY['properties'])) AS v (path)
        CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(original #> v.path) WHEN 'object' THEN original #> v.path ELSE '{}' END) e
    ), given AS (
      SELECT t.path, t.name FROM top t
      UNION ALL
      SELECT t.path || i.key, t.name || '.' || i.key
      FROM top t CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(t.value) WHEN 'object' THEN t.value ELSE '{}' END) i WHERE cdp_internal.snake(t.name) IN ('address', 'company')
    ), found AS (
      SELECT (string_to_array(t.field, '.'))[2:] AS path, t.attribute_id, 1 AS rule FROM told t WHERE t.field ~ '^[$][.]'
      UNION ALL
      SELECT g.path, t.attribute_id, 2 FROM given g JOIN told t ON g.name IN (t.field, regexp_replace(t.field, '^.*[.]', ''))
      UNION ALL
      SELECT g.path, s.attribute_id, 3
      FROM given g LEFT JOIN cdp_internal.field_targets(ARRAY(SELECT DISTINCT x.name FROM given x)) f ON f.name = g.name
        JOIN secret s ON s.name IN (g.name, coalesce(f.target_name, cdp_internal.snake(g.name)))
    )
    SELECT coalesce(jsonb_agg(jsonb_build_object('path', o.path, 'attribute', o.attribute_id) ORDER BY o.path), '[]')
    FROM (SELECT DISTINCT ON (d.path) d.path, d.attribute_id FROM found d ORDER BY d.path, d.rule, d.attribute_id) o);
END
$$;
COMMENT ON FUNCTION cdp_internal.secret_places(integer, jsonb) IS
'Where values of encrypted attributes may stand in a record or message of a source, by its contract and by names: a list of {"path": [...], "attribute": id}. Empty when no attribute is encrypted. Reads names only, so one answer holds for all records with the same names.';

CREATE OR REPLACE FUNCTION cdp_internal.seal_fields(original jsonb, places jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
  value jsonb;
BEGIN
  IF jsonb_typeof(original) IS DISTINCT FROM 'object' THEN
    RETURN original;
  END IF;
  FOR p IN SELECT ARRAY(SELECT jsonb_array_elements_text(e -> 'path')) AS path, (e ->> 'attribute')::integer AS id FROM jsonb_array_elements(places) e LOOP
    IF cardinality(p.path) > 1 AND jsonb_typeof(original -> p.path[1]) = 'string' THEN
      -- JSON in a column of type text is taken apart; what can not be read is sealed as a whole.
      value := cdp_internal.parse_json(original ->> p.path[1]);
      IF jsonb_typeof(value) IN ('object', 'array') THEN
        original := jsonb_set(original, p.path[1:1], value);
      ELSE
        p.path := p.path[1:1];
      END IF;
    END IF;
    value := original #> p.path;
    IF jsonb_typeof(value) = 'string' THEN
      original := jsonb_set(original, p.path, to_jsonb(cdp_internal.seal_attribute(p.id, value #>> '{}')));
    ELSIF jsonb_typeof(value) <> 'null' THEN
      original := jsonb_set(original, p.path, jsonb_build_object('cdp_sealed', cdp_internal.seal_attribute(p.id, value::text)));
    END IF;
  END LOOP;
  RETURN original;
END
$$;
COMMENT ON FUNCTION cdp_internal.seal_fields(jsonb, jsonb) IS
'A refused record or message with what stands at these places (cdp_internal.secret_places()) sealed as cdp_internal.seal_attribute() does: texts as an envelope, all other JSON as {"cdp_sealed": envelope}. NULL for NULL. Errors: as cdp_internal.seal_text().';

CREATE OR REPLACE FUNCTION cdp_internal.open_fields(original jsonb, places jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
  value jsonb;
  envelope text;
  opened text;
BEGIN
  IF jsonb_typeof(original) IS DISTINCT FROM 'object' THEN
    RETURN original;
  END IF;
  FOR p IN SELECT ARRAY(SELECT jsonb_array_elements_text(e -> 'path')) AS path, (e ->> 'attribute')::integer AS id FROM jsonb_array_elements(places) e LOOP
    IF cardinality(p.path) > 1 AND jsonb_typeof(original -> p.path[1]) = 'string' THEN
      p.path := p.path[1:1];
    END IF;
    value := original #> p.path;
    envelope := CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}' WHEN 'object' THEN CASE WHEN value - 'cdp_sealed' = '{}' THEN value ->> 'cdp_sealed' END END;
    CONTINUE WHEN cdp_internal.envelope_key(envelope) IS NULL; -- somebody wrote a plain value in its place
    -- A text that does not open is a value like any other; a key that is not there must not make it one.
    opened := CASE WHEN cdp_internal.envelope_key(envelope) = ANY (cdp_internal.key_ids()) THEN cdp_internal.open_or_null(envelope, 'attribute ' || p.id)
      ELSE cdp_internal.open_attribute(p.id, envelope) END;
    IF opened IS NOT NULL AND jsonb_typeof(value) = 'string' THEN
      original := jsonb_set(original, p.path, to_jsonb(opened));
    ELSIF opened IS NOT NULL THEN
      BEGIN
        original := jsonb_set(original, p.path, opened::jsonb);
      EXCEPTION WHEN data_exception THEN
        NULL; -- somebody put the envelope of a text there; the error would show the text
      END;
    END IF;
  END LOOP;
  RETURN original;
END
$$;
COMMENT ON FUNCTION cdp_internal.open_fields(jsonb, jsonb) IS
'The opposite of cdp_internal.seal_fields(): opens what is sealed at these places as their attribute; plain values, and texts that do not open, stay as they are. NULL for NULL. Errors: 42501 without the right to decrypt, 55000 no key file or a key is missing.';

CREATE OR REPLACE FUNCTION cdp_internal.fields_json(names text[], vals text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  made jsonb := '{}';
  path text[];
BEGIN
  FOR n IN 1 .. cardinality(names) LOOP
    CONTINUE WHEN vals[n] IS NULL;
    path := CASE WHEN names[n] ~ '^[$][.]' THEN (string_to_array(names[n], '.'))[2:] ELSE names[n:n] END;
    FOR depth IN 1 .. cardinality(path) - 1 LOOP
      IF jsonb_typeof(made #> path[1:depth]) IS DISTINCT FROM 'object' THEN
        made := jsonb_set(made, path[1:depth], '{}');
      END IF;
    END LOOP;
    made := jsonb_set(made, path, to_jsonb(vals[n]));
  END LOOP;
  RETURN made;
END
$$;
COMMENT ON FUNCTION cdp_internal.fields_json(text[], text[]) IS
'A record put together again from the fields that a load read: names, or paths ($.a.b) that become objects, so that a retry finds them where the contract looks. Fields without a value are left out.';

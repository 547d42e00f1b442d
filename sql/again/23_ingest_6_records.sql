-- Identity room, ingestion: batches of records of customers, from what was read into the tables.

CREATE OR REPLACE FUNCTION cdp_internal.record_read(load bigint, src integer, record_kind text, staging regclass, time_zone text, OUT rows_read bigint, OUT repeats boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  config record;
BEGIN
  IF staging IS NULL THEN
    RAISE EXCEPTION 'no staging table was given' USING ERRCODE = 'null_value_not_allowed', HINT = 'COPY the records into a table, and give its name.';
  END IF;
  SELECT b.earliest, b.latest, coalesce(record_read.time_zone, s.timezone) AS zone INTO config
  FROM cdp_internal.time_bounds() b, cdp_data.source s WHERE s.source_id = src;
  PERFORM cdp_internal.record_fields(src, record_kind, staging, config.zone);
  CREATE TEMP TABLE cdp_load_record (
    row_no bigint, source_key text COLLATE "C", at timestamptz, code text, bad_field integer, f text[], r text[] COLLATE "C", bad text[],
    repeats boolean, original jsonb);
  -- Casts of a view, and moments inside of arrays and rows, are read and written in the zone of the load as well.
  PERFORM set_config('timezone', config.zone, true);
  EXECUTE cdp_internal.record_read_sql(record_kind, staging, config.zone, config.earliest, config.latest);
  GET DIAGNOSTICS rows_read = ROW_COUNT;
  PERFORM set_config('timezone', 'UTC', true);
  repeats := coalesce((SELECT bool_or(r.repeats) FROM pg_temp.cdp_load_record r), false);
  ANALYZE pg_temp.cdp_load_record (row_no, code);
END
$$;
COMMENT ON FUNCTION cdp_internal.record_read(bigint, integer, text, regclass, text) IS
'Reads a staging table once into pg_temp.cdp_load_record. Returns the number of rows, and whether a key may come twice. Leaves the session in UTC: for functions that SET timezone. Errors: 22023 unknown time zone.';

CREATE OR REPLACE FUNCTION cdp_internal.record_values() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE (
    SELECT format('CREATE TEMP TABLE cdp_load_value AS SELECT v.type_id::smallint AS type_id, v.value, min(r.at) AS first_at, max(r.at) AS last_at,
        min(r.row_no) AS first_row, bool_or(x.many) AS linked
      FROM pg_temp.cdp_load_record r CROSS JOIN LATERAL (SELECT %s AS many OFFSET 0) x CROSS JOIN LATERAL (VALUES %s) AS v (type_id, value)
      WHERE r.code IS NULL AND v.value IS NOT NULL GROUP BY 1, 2',
      CASE WHEN count(*) = 1 THEN 'false'
        WHEN count(*) = count(DISTINCT f.target_id) THEN format('num_nonnulls(VARIADIC ARRAY[%s]) > 1', string_agg(format('r.r[%s]', f.n), ', '))
        -- Two fields may hold the same.
        ELSE format('(SELECT count(*) FROM (SELECT DISTINCT d.t, d.v FROM (VALUES %s) AS d (t, v) WHERE d.v IS NOT NULL LIMIT 2) e) > 1',
          string_agg(format('(%s, r.r[%s])', f.target_id, f.n), ', ')) END,
      string_agg(format('(%s, r.r[%s])', f.target_id, f.n), ', '))
    FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'identifier' AND f.role <> 'ignore');
  GET DIAGNOSTICS n = ROW_COUNT;
  ANALYZE pg_temp.cdp_load_value;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_values() IS
'Collects the identifiers of the batch''s good records in pg_temp.cdp_load_value: first and last time, first row, and whether a record shows another one beside it. Returns how many there are.';

CREATE OR REPLACE FUNCTION cdp_internal.record_suppress() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint := 0;
  keys integer[] := cdp_internal.suppression_keys();
BEGIN
  -- Refused records, too: their original must not reach the quarantine.
  IF keys <> '{}' THEN
    EXECUTE (
      SELECT format('UPDATE pg_temp.cdp_load_record r SET code = ''suppressed'', original = ''{}''
        WHERE EXISTS (SELECT FROM (VALUES %s) AS v (type_id, value)
          CROSS JOIN LATERAL unnest(cdp_internal.suppression_digests(v.type_id::smallint, v.value, %L)) AS d (digest)
          JOIN cdp_data.suppression s ON s.digest = d.digest)',
        -- A field that its contract refuses has no stored form; whom it names is looked at all the same.
        string_agg(format('(%1$s, CASE WHEN r.code IS NULL THEN r.r[%2$s] ELSE coalesce(r.r[%2$s], cdp_internal.read_identifier(r.f[%2$s], %1$s, %3$L)) END)',
          f.target_id, f.n, cdp_internal.identifier_rules()), ', '), keys)
      FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'identifier');
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_suppress() IS
'Marks the records of erased people, whatever else is wrong with them. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.record_identifiers() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
BEGIN
  CREATE TEMP TABLE cdp_load_fresh (identifier_id bigint);
  -- New identifiers that a record shows together get one number set aside for that record, which becomes their
  -- customer unless the links know better; who stands alone gets a customer at once. Strongest first, for the lowest
  -- number of a customer is its anchor; written in the order of type and value, as every load does.
  WITH missing AS MATERIALIZED (
    SELECT v.*, t.priority FROM pg_temp.cdp_load_value v JOIN cdp_data.identifier_type_all t USING (type_id)
    WHERE NOT EXISTS (SELECT FROM cdp_data.identifier i WHERE (i.type_id, i.value) = (v.type_id, v.value))
  ), aside AS MATERIALIZED (
    SELECT x.first_row, nextval('cdp_data.customer_customer_id_seq') AS id
    FROM (SELECT DISTINCT m.first_row FROM missing m WHERE m.linked ORDER BY m.first_row) x
  ), named AS MATERIALIZED (
    SELECT nextval('cdp_data.identifier_identifier_id_seq') AS identifier_id, m.type_id, m.value, m.first_at, m.last_at,
      coalesce(m.id, nextval('cdp_data.customer_customer_id_seq')) AS customer_id
    FROM (SELECT s.*, a.id FROM missing s LEFT JOIN aside a ON s.linked AND a.first_row = s.first_row
          ORDER BY s.priority, s.type_id, s.value COLLATE "C" OFFSET 0) m
  ), made AS (
    INSERT INTO cdp_data.identifier AS i (identifier_id, type_id, value, customer_id, first_seen, last_seen)
    SELECT n.identifier_id, n.type_id, n.value, n.customer_id, n.first_at, n.last_at FROM named n ORDER BY n.type_id, n.value COLLATE "C"
    ON CONFLICT (type_id, value) DO NOTHING
    RETURNING i.customer_id, i.identifier_id
  ), fresh AS (
    INSERT INTO pg_temp.cdp_load_fresh SELECT m.identifier_id FROM made m
  )
  INSERT INTO cdp_data.customer (customer_id, parent_id)
  SELECT m.customer_id, m.customer_id FROM made m WHERE NOT EXISTS (SELECT FROM aside a WHERE a.id = m.customer_id);
  CREATE TEMP TABLE cdp_load_known AS
  SELECT v.type_id, v.value, i.identifier_id, i.state = 'quarantined' AS quarantined, v.first_at, v.last_at,
    v.first_at < coalesce(i.first_seen, 'infinity') OR v.last_at > coalesce(i.last_seen, '-infinity') AS moved
  FROM pg_temp.cdp_load_value v JOIN cdp_data.identifier i ON (i.type_id, i.value) = (v.type_id, v.value);
  GET DIAGNOSTICS n = ROW_COUNT;
  ANALYZE pg_temp.cdp_load_known;
  IF NOT EXISTS (SELECT FROM pg_temp.cdp_load_known k WHERE k.moved) THEN
    RETURN n;
  END IF;
  PERFORM FROM cdp_data.identifier i JOIN pg_temp.cdp_load_known k USING (identifier_id)
  WHERE k.moved
  ORDER BY i.type_id, i.value FOR NO KEY UPDATE OF i;
  UPDATE cdp_data.identifier i SET first_seen = least(i.first_seen, k.first_at), last_seen = greatest(i.last_seen, k.last_at)
  FROM pg_temp.cdp_load_known k
  WHERE i.identifier_id = k.identifier_id AND k.moved AND (k.first_at < coalesce(i.first_seen, 'infinity') OR k.last_at > coalesce(i.last_seen, '-infinity'));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_identifiers() IS
'Makes the unknown identifiers of pg_temp.cdp_load_value and numbers all of them in pg_temp.cdp_load_known. Keeps first_seen and last_seen; pg_temp.cdp_load_fresh has the new ones. Those that records show with others have as customer, until cdp_internal.load_links() runs, a number without a row. Returns how many identifiers the batch has.';

CREATE OR REPLACE FUNCTION cdp_internal.record_newcomers() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Of whom a record tells nothing but who he is, nothing else tells the feed.
  PERFORM cdp_internal.feed_write(array_agg(DISTINCT i.customer_id), 'identify')
  FROM pg_temp.cdp_load_fresh f JOIN cdp_data.identifier i USING (identifier_id) HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_newcomers() IS
'Tells the change feed about the customers of the identifiers that the batch made; to be called once its links are there.';

CREATE OR REPLACE FUNCTION cdp_internal.record_ids(load bigint, kept boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  x record;
  list bigint;
BEGIN
  -- ids: all of a record, strongest first; hubs: the two strongest of types that merge, in quarantine or not, or else the
  -- strongest; carrier: who carries what the record says, the strongest that is not in quarantine, if it can a hub.
  SELECT string_agg(format('LEFT JOIN pg_temp.cdp_load_known k%1$s ON k%1$s.type_id = %2$s AND k%1$s.value = r.r[%1$s]', f.n, f.target_id), ' ') AS joins,
    string_agg(format('(%s, k%s.identifier_id, %s, r.r[%s], %s, k%s.quarantined)', f.priority, f.n, f.target_id, f.n,
      CASE f.role WHEN 'merge' THEN 'true' ELSE 'false' END, f.n), ', ' ORDER BY f.priority, f.n) AS list,
    -- With one field of each type the order is that of the fields.
    count(*) = count(DISTINCT f.target_id) AS plain,
    string_agg(format('k%s.identifier_id', f.n), ', ' ORDER BY f.priority, f.target_id) AS ids,
    coalesce(string_agg(format('k%s.identifier_id', f.n), ', ' ORDER BY f.priority, f.target_id) FILTER (WHERE f.role = 'merge'), '') AS able,
    string_agg(format('CASE WHEN k%s.quarantined THEN k%s.identifier_id END', f.n, f.n), ', ') AS out
  INTO x
  FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'identifier' AND f.role <> 'ignore';
  EXECUTE format('CREATE TEMP TABLE cdp_load_ids AS
    SELECT r.row_no, r.at, r.source_key, %s AS version_id, y.ids, CASE WHEN y.able = ''{}'' THEN y.ids[1:1] ELSE y.able[1:2] END AS hubs,
      CASE WHEN y.out = ''{}'' THEN coalesce(y.able[1], y.ids[1]) ELSE coalesce((SELECT u.id FROM unnest(y.able[1:2] || y.ids) WITH ORDINALITY AS u (id, n)
        WHERE u.id <> ALL (y.out) ORDER BY u.n LIMIT 1), y.ids[1]) END AS carrier
    FROM pg_temp.cdp_load_record r %s CROSS JOIN LATERAL (%s) y
    WHERE r.code IS NULL',
    CASE WHEN kept THEN 'nextval(''cdp_data.record_version_version_id_seq'')' ELSE '0::bigint' END, x.joins,
    CASE WHEN x.plain THEN format('SELECT array_remove(ARRAY[%s]::bigint[], NULL) AS ids, array_remove(ARRAY[%s]::bigint[], NULL) AS able, array_remove(ARRAY[%s]::bigint[], NULL) AS out OFFSET 0', x.ids, x.able, x.out)
      ELSE format('SELECT array_agg(v.id ORDER BY v.priority, v.type_id, v.value) AS ids,
        coalesce(array_agg(v.id ORDER BY v.priority, v.type_id, v.value) FILTER (WHERE v.able), ''{}'') AS able,
        coalesce(array_agg(v.id) FILTER (WHERE v.out), ''{}'') AS out
      FROM (SELECT DISTINCT v.priority, v.id, v.type_id, v.value COLLATE "C" AS value, v.able, v.out FROM (VALUES %s) AS v (priority, id, type_id, value, able, out)
            WHERE v.id IS NOT NULL) v', x.list) END);
  ANALYZE pg_temp.cdp_load_ids (row_no);
  IF kept AND EXISTS (SELECT FROM pg_temp.cdp_load_ids) THEN
    INSERT INTO cdp_data.repetition AS r (basis) VALUES (cdp_internal.record_basis()) RETURNING r.repetition_id INTO list;
    INSERT INTO cdp_data.record_version (version_id, repetition_id) SELECT i.version_id, list FROM pg_temp.cdp_load_ids i;
  END IF;
  -- A double star: without any one identifier the rest still hangs together.
  CREATE TEMP TABLE cdp_load_link AS
  SELECT least(h.id, o.id) AS a_id, greatest(h.id, o.id) AS b_id, i.at, i.source_key AS event_key, i.version_id
  FROM pg_temp.cdp_load_ids i CROSS JOIN LATERAL unnest(i.hubs) WITH ORDINALITY AS h (id, n) CROSS JOIN LATERAL unnest(i.ids) AS o (id)
  WHERE cardinality(i.ids) > 1 AND o.id <> h.id AND (h.n = 1 OR o.id <> i.hubs[1]);
  ANALYZE pg_temp.cdp_load_link;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_ids(bigint, boolean) IS
'Collects the identifiers of each good record in pg_temp.cdp_load_ids, with (kept) a number of cdp_data.record_version for each, and the links that it shows in pg_temp.cdp_load_link: from its two strongest identifiers of types that merge to all others, as cdp.identify() makes them, whoever is in quarantine: the same record makes the same links whenever it comes.';

CREATE OR REPLACE FUNCTION cdp_internal.record_attributes(load bigint, src integer, kept boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  list text := (SELECT string_agg(format('(%s, %s, r.f[%s])', f.n, f.target_id, f.n), ', ' ORDER BY f.n) FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'attribute');
  n bigint;
BEGIN
  IF list IS NULL THEN
    RETURN 0;
  END IF;
  EXECUTE format('CREATE TEMP TABLE cdp_load_attribute AS
    SELECT i.identifier_id, i.customer_id, v.attribute_id, v.value, r.at AS observed_at, false AS verified, x.version_id
    FROM pg_temp.cdp_load_record r JOIN pg_temp.cdp_load_ids x USING (row_no) JOIN cdp_data.identifier i ON i.identifier_id = x.carrier
      CROSS JOIN LATERAL (VALUES %s) AS v (n, attribute_id, value)
    WHERE r.code IS NULL AND v.value IS NOT NULL
      AND (r.bad IS NULL OR NOT EXISTS (SELECT FROM unnest(r.bad) b WHERE split_part(b, '':'', 1) = v.n::text))', list);
  GET DIAGNOSTICS n = ROW_COUNT;
  ANALYZE pg_temp.cdp_load_attribute;
  PERFORM cdp_internal.load_attributes(load, src, kept AND NOT EXISTS (
    SELECT FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'attribute' GROUP BY f.target_id HAVING count(*) > 1),
    (SELECT min(f.zone) FROM pg_temp.cdp_load_field f));
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_attributes(bigint, integer, boolean) IS
'Hands the attributes of the good records to the profile, each with the strongest identifier of its record; kept: the records have versions. Returns how many values there were.';

CREATE OR REPLACE FUNCTION cdp_internal.field_is_secret(target_kind text, target_id integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce(target_kind = 'attribute' AND (SELECT a.encrypted FROM cdp_data.attribute a WHERE a.attribute_id = target_id), false);
END
$$;
COMMENT ON FUNCTION cdp_internal.field_is_secret(text, integer) IS
'Whether a field of a record feeds an encrypted attribute, so that nothing may keep it but encrypted. Never NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.record_quarantine(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names text[] := ARRAY(SELECT f.field FROM pg_temp.cdp_load_field f ORDER BY f.n);
  -- All records of a batch have the same names.
  places jsonb := cdp_internal.secret_places(src, (
    SELECT jsonb_object_agg(k.name, '') FROM (SELECT jsonb_object_keys(r.original) AS name FROM pg_temp.cdp_load_record r WHERE r.original IS NOT NULL AND r.code IS NOT NULL
      UNION SELECT unnest(names)) k));
  trial boolean := (SELECT l.kind = 'trial' FROM cdp_data.load l WHERE l.load_id = load); -- takes nothing in, so nothing of its rows waits
  n bigint;
BEGIN
  INSERT INTO cdp_data.quarantine (load_id, source_id, row_no, original, code, reason)
  SELECT load, src, r.row_no, CASE WHEN trial THEN '{}' ELSE cdp_internal.seal_fields(coalesce(r.original, cdp_internal.fields_json(names, r.f)), places) END, r.code,
    concat(x.reason, ': ' || f.field, CASE r.code WHEN 'bad_field' THEN ' (' || (
      SELECT split_part(b, ':', 2) FROM unnest(r.bad) b WHERE split_part(b, ':', 1) = r.bad_field::text) || ')' END)
  FROM pg_temp.cdp_load_record r JOIN cdp_internal.load_reasons() x USING (code)
    LEFT JOIN pg_temp.cdp_load_field f ON f.n = r.bad_field AND r.code <> 'suppressed'
  ORDER BY r.row_no;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF NOT trial THEN
    PERFORM cdp_internal.count_suppressed(src, (SELECT count(*) FROM pg_temp.cdp_load_record r WHERE r.code = 'suppressed'));
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_quarantine(bigint, integer) IS
'Writes the refused records of the batch to quarantine, encrypted attributes sealed, with the field that is to blame; of erased people nothing but the count is kept, of the records of a trial their numbers and reasons. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.record_quality(load bigint, src integer, record_kind text, rows_read bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  seen bigint[];
  different bigint[];
  -- A text is refused for its length only, when the attribute has no pattern.
  list text := (
    SELECT string_agg(format(CASE WHEN a.data_type = 'text' AND a.pattern IS NULL THEN '(%1$s, %2$s, CASE WHEN octet_length(r.f[%1$s]) > 8192 THEN r.f[%1$s] END)'
      ELSE '(%1$s, %2$s, r.f[%1$s])' END, f.n, f.target_id), ', ' ORDER BY f.n)
    FROM pg_temp.cdp_load_field f JOIN cdp_data.attribute_all a ON a.attribute_id = f.target_id WHERE f.target_kind = 'attribute');
  refused bigint[] := '{}';
BEGIN
  IF list IS NOT NULL THEN
    -- What the contract takes, the attribute may refuse. Each spelling is read once.
    EXECUTE format('SELECT array_agg(x.n ORDER BY f.n) FROM pg_temp.cdp_load_field f LEFT JOIN (
        SELECT g.field, sum(g.n)::bigint AS n
        FROM (SELECT v.n AS field, v.attribute_id, v.value, count(*) AS n
              FROM pg_temp.cdp_load_record r CROSS JOIN LATERAL (VALUES %s) AS v (n, attribute_id, value)
              WHERE v.value <> '''' AND (r.bad IS NULL OR NOT EXISTS (SELECT FROM unnest(r.bad) b WHERE split_part(b, '':'', 1) = v.n::text)) GROUP BY 1, 2, 3) g
          JOIN cdp_data.attribute_all a ON a.attribute_id = g.attribute_id
          CROSS JOIN LATERAL cdp_internal.read_attribute(g.value, a.data_type, $1, a.pattern, a.aliases, a.blanks) v
        WHERE v.code IS NOT NULL GROUP BY g.field) x ON x.field = f.n', list)
    INTO refused USING (SELECT min(f.zone) FROM pg_temp.cdp_load_field f);
  END IF;
  -- Values are counted by a hash of 64 bits, which is all that a figure needs.
  EXECUTE (
    SELECT format('SELECT ARRAY[%s], ARRAY[%s] FROM pg_temp.cdp_load_record r',
      string_agg(format('count(*) FILTER (WHERE btrim(r.f[%s], E'' \t\r\n'') <> '''')', f.n), ', ' ORDER BY f.n),
      string_agg(format('count(DISTINCT hashtextextended(%s, 0))', CASE WHEN f.target_kind = 'identifier' THEN format('r.r[%s]', f.n)
        ELSE format('nullif(btrim(r.f[%s], E'' \t\r\n''), '''')', f.n) END), ', ' ORDER BY f.n))
    FROM pg_temp.cdp_load_field f) INTO seen, different;
  INSERT INTO cdp_data.source_quality (load_id, source_id, record_kind, field, target, rows_seen, filled, valid, distinct_values)
  SELECT load, src, record_quality.record_kind, f.field, concat_ws(' ', f.target_kind, f.target_name), record_quality.rows_read, seen[f.n],
    seen[f.n] - coalesce(b.n, 0) - coalesce(refused[f.n], 0), different[f.n]
  FROM pg_temp.cdp_load_field f LEFT JOIN (
    SELECT split_part(b, ':', 1)::integer AS field, count(*) AS n FROM pg_temp.cdp_load_record r CROSS JOIN LATERAL unnest(r.bad) b GROUP BY 1) b ON b.field = f.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_quality(bigint, integer, text, bigint) IS
'Stores how complete and valid the fields of the batch were, over all rows that were read, refused ones too.';

CREATE OR REPLACE FUNCTION cdp_internal.record_digest_sql() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (
    SELECT format('md5(ARRAY[%s]::text)::uuid', string_agg(
      -- Who knows the rest of a record could find a secret by trying, if it were digested in the clear.
      format(CASE WHEN cdp_internal.field_is_secret(f.target_kind, f.target_id) THEN '%L, cdp_internal.seal_attribute(%3$s, r.f[%2$s])' ELSE '%L, r.f[%2$s]' END,
        f.target_kind || ' ' || f.target_name, f.n, f.target_id), ', ' ORDER BY f.target_kind, f.target_name, f.n))
    FROM pg_temp.cdp_load_field f WHERE f.target_kind IN ('identifier', 'attribute'));
END
$$;
COMMENT ON FUNCTION cdp_internal.record_digest_sql() IS
'SQL of cdp_data.customer_record.digest for a row r of pg_temp.cdp_load_record.';

CREATE OR REPLACE FUNCTION cdp_internal.record_basis() RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN md5(concat_ws(E'\n',
    (SELECT string_agg(ROW(f.n, f.data_type, f.required, f.min_value, f.max_value, f.pattern, f.allowed, f.target_kind, f.target_name, f.target_id, f.priority, f.role, f.transform, f.zone)::text, ' ' ORDER BY f.n)
     FROM pg_temp.cdp_load_field f),
    cdp_internal.identifier_rules()::text,
    (SELECT string_agg(ROW(a.attribute_id, a.data_type, a.pattern, a.aliases, a.blanks, a.encrypted)::text, ' ' ORDER BY a.attribute_id)
     FROM cdp_data.attribute_all a WHERE EXISTS (SELECT FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'attribute' AND f.target_id = a.attribute_id))))::uuid;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_basis() IS
'Digest of all that decides how the fields of a batch are read, cdp_data.repetition.basis: an equal record under an equal basis says the same.';

CREATE OR REPLACE FUNCTION cdp_internal.record_repeat(load bigint, src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  own_time boolean := EXISTS (SELECT FROM pg_temp.cdp_load_field f WHERE f.target_kind = 'record' AND f.target_name = 'observed_at');
  n bigint := 0;
BEGIN
  CREATE TEMP TABLE cdp_load_same (row_no bigint, version_id bigint, repetition_id bigint, identifier_id bigint);
  IF EXISTS (SELECT FROM cdp_data.customer_record k WHERE k.source_id = src) THEN
    -- With a time of its own a record repeats itself at that time; without one, at the time of the load.
    EXECUTE format('INSERT INTO pg_temp.cdp_load_same
      SELECT r.row_no, w.version_id, w.repetition_id, k.identifier_id
      FROM pg_temp.cdp_load_record r JOIN cdp_data.customer_record k ON k.source_id = $1 AND k.source_key = r.source_key
        JOIN cdp_data.record_version w ON w.version_id = k.version_id JOIN cdp_data.repetition p ON p.repetition_id = w.repetition_id
      WHERE r.code IS NULL AND k.digest = %s AND p.basis = $2 AND ($3 OR r.at = now()) AND (NOT $3 OR r.at = k.observed_at)
        AND (p.own_time OR p.first_at IS NOT NULL OR EXISTS (SELECT FROM cdp_data.load d WHERE d.load_id = k.said_by AND d.state = ''done''))',
      cdp_internal.record_digest_sql()) USING src, cdp_internal.record_basis(), own_time;
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  IF n > 0 THEN
    ANALYZE pg_temp.cdp_load_same;
    PERFORM cdp_internal.repeat_versions(load, CASE WHEN NOT own_time THEN now() END);
    DELETE FROM pg_temp.cdp_load_record r USING pg_temp.cdp_load_same s WHERE r.row_no = s.row_no;
    ANALYZE pg_temp.cdp_load_record (row_no, code);
    IF NOT own_time THEN
      PERFORM cdp_internal.record_repeat_feed();
    END IF;
  END IF;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_repeat(bigint, integer) IS
'Takes the records that say what the source said before, and that is in force, out of the batch: each counts as one more load that says so (cdp_data.repetition), and nothing else is written for it. Returns how many; pg_temp.cdp_load_same has them.';

CREATE OR REPLACE FUNCTION cdp_internal.record_repeat_feed() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  n bigint;
  everybody boolean := EXISTS (SELECT FROM pg_temp.cdp_load_field f JOIN cdp_data.attribute_all a ON f.target_kind = 'attribute' AND a.attribute_id = f.target_id
    WHERE a.strategy = 'latest_seen');
BEGIN
  -- When something was said last matters to latest_seen, and else between voices: where one source speaks by one
  -- identifier of a customer who was never merged, nothing changes.
  INSERT INTO cdp_data.change_feed (customer_id, cause)
  SELECT DISTINCT i.customer_id, 'attribute'
  FROM pg_temp.cdp_load_same s JOIN cdp_data.identifier i USING (identifier_id)
  WHERE everybody OR i.customer_id IN (
    SELECT v.customer_id FROM cdp_data.attribute_value v GROUP BY v.customer_id
    HAVING min(v.identifier_id) <> max(v.identifier_id) OR min(v.source_id) <> max(v.source_id)
    UNION ALL SELECT x.id FROM cdp_data.customer c CROSS JOIN LATERAL (VALUES (c.customer_id), (c.parent_id)) AS x (id) WHERE c.parent_id <> c.customer_id
    UNION ALL SELECT x.id FROM cdp_data.identifier_override o JOIN cdp_data.identifier h USING (identifier_id)
      CROSS JOIN LATERAL (VALUES (o.customer_id), (h.customer_id)) AS x (id));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_repeat_feed() IS
'Tells the change feed of the customers in pg_temp.cdp_load_same whose golden values may change when a source repeats itself later. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.record_retry_links() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  n bigint;
  stopped bigint[] := CASE WHEN EXISTS (SELECT FROM pg_temp.cdp_load_same) THEN ARRAY(
    SELECT l.link_id FROM cdp_data.link l WHERE l.state = 'rejected' AND l.kind = 'deterministic') ELSE '{}' END;
BEGIN
  IF stopped = '{}' THEN
    RETURN 0;
  END IF;
  INSERT INTO pg_temp.cdp_load_link (a_id, b_id, at, event_key, version_id)
  SELECT DISTINCT l.a_id, l.b_id, l.first_seen, NULL::text, NULL::bigint
  FROM unnest(stopped) AS x (id) JOIN cdp_data.link l ON l.link_id = x.id JOIN cdp_data.link_support p ON p.link_id = l.link_id
    JOIN pg_temp.cdp_load_same s ON s.version_id = p.version_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_retry_links() IS
'Adds the links that a rule had stopped and that repeated records show again to pg_temp.cdp_load_link, to be tried once more. Returns how many.';

CREATE OR REPLACE FUNCTION cdp_internal.record_keep(load bigint, src integer, OUT inserted bigint, OUT corrected bigint, OUT unchanged bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  EXECUTE format('WITH came AS MATERIALIZED (
      SELECT r.source_key, %s AS digest, x.carrier AS identifier_id, r.at, x.version_id
      FROM pg_temp.cdp_load_record r JOIN pg_temp.cdp_load_ids x USING (row_no) WHERE r.code IS NULL
    ), compared AS MATERIALIZED (
      SELECT c.*, k.source_key IS NOT NULL AS known, k.digest = c.digest AS equal,
        coalesce(d.state = ''done'' OR e.state = ''done'' OR p.own_time OR p.first_at IS NOT NULL, false) AS there
      FROM came c LEFT JOIN cdp_data.customer_record k ON k.source_id = $2 AND k.source_key = c.source_key
        LEFT JOIN cdp_data.load d ON d.load_id = k.load_id LEFT JOIN cdp_data.load e ON e.load_id = k.said_by
        LEFT JOIN cdp_data.record_version w ON w.version_id = k.version_id LEFT JOIN cdp_data.repetition p ON p.repetition_id = w.repetition_id
    ), changed AS (
      UPDATE cdp_data.customer_record k SET load_id = CASE WHEN c.there AND c.equal THEN k.load_id ELSE $1 END, said_by = $1,
        digest = c.digest, identifier_id = c.identifier_id, observed_at = c.at, version_id = c.version_id
      FROM compared c WHERE c.known AND k.source_id = $2 AND k.source_key = c.source_key
    ), made AS (
      INSERT INTO cdp_data.customer_record (source_id, source_key, digest, load_id, said_by, identifier_id, observed_at, version_id)
      SELECT $2, c.source_key, c.digest, $1, $1, c.identifier_id, c.at, c.version_id FROM compared c WHERE NOT c.known ORDER BY c.source_key
    )
    SELECT count(*) FILTER (WHERE NOT c.there), count(*) FILTER (WHERE c.there AND NOT c.equal), count(*) FILTER (WHERE c.there AND c.equal)
    FROM compared c', cdp_internal.record_digest_sql())
  INTO inserted, corrected, unchanged USING load, src;
END
$$;
COMMENT ON FUNCTION cdp_internal.record_keep(bigint, integer) IS
'Notes the good records of the batch in cdp_data.customer_record and counts them: new (or of loads that are reverted), changed, equal to what the source said before but told of another time.';

CREATE OR REPLACE FUNCTION cdp_internal.contract_admits(src integer, record_kind text, trial boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  status text;
BEGIN
  -- Who declares it anew waits until this load has read its fields.
  IF trial THEN
    PERFORM FROM cdp_data.source_contract c WHERE c.source_id = src AND c.record_kind = contract_admits.record_kind FOR UPDATE;
  ELSE
    PERFORM FROM cdp_data.source_contract c WHERE c.source_id = src AND c.record_kind = contract_admits.record_kind FOR SHARE;
  END IF;
  SELECT c.status INTO status FROM cdp_data.source_contract c WHERE c.source_id = src AND c.record_kind = contract_admits.record_kind;
  IF status IN ('draft', 'checking') AND NOT trial THEN
    RAISE EXCEPTION 'the contract of the source is not live yet'
      USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Its status is %s.', status),
        HINT = 'Load with trial => true, look at cdp.source_check(source), then cdp.source_go_live(source).';
  ELSIF status = 'paused' AND NOT trial THEN
    RAISE EXCEPTION 'the source is paused'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'SELECT cdp.source_go_live(source); takes it in again.';
  ELSIF status = 'draft' THEN
    UPDATE cdp_data.source_contract c SET status = 'checking' WHERE c.source_id = src AND c.record_kind = contract_admits.record_kind;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.contract_admits(integer, text, boolean) IS
'Raises 55000 when a contract is not live and the load is no trial. A first trial makes a draft checking.';

CREATE OR REPLACE FUNCTION cdp_internal.record_begin(source text, record_kind text, note text, trial boolean, OUT load_id bigint, OUT source_id integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  load_id := cdp_internal.load_begin(source, CASE WHEN trial THEN 'trial' ELSE record_kind || 's' END, note);
  SELECT l.source_id INTO source_id FROM cdp_data.load l WHERE l.load_id = record_begin.load_id;
  PERFORM cdp_internal.contract_admits(source_id, record_kind, trial);
  PERFORM cdp_internal.drop_record_tables(), cdp_internal.drop_load_tables();
END
$$;
COMMENT ON FUNCTION cdp_internal.record_begin(text, text, text, boolean) IS
'Opens a load of records of a kind (customer, event), or a trial of one, that the contract of its source admits. Errors as cdp_internal.load_begin() and cdp_internal.contract_admits().';

CREATE OR REPLACE FUNCTION cdp.load_customers(
  source text, staging regclass, time_zone text DEFAULT NULL, note text DEFAULT NULL, trial boolean DEFAULT false)
RETURNS TABLE (load_id bigint, rows_read bigint, inserted bigint, corrected bigint, unchanged bigint, quarantined bigint,
  identifiers bigint, links bigint, links_rejected bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET synchronize_seqscans = off SET extra_float_digits = 1 SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  src integer;
  seen record;
  kept record;
  span record;
  work_mem text := current_setting('work_mem');
BEGIN
  SELECT b.load_id, b.source_id INTO load_id, src FROM cdp_internal.record_begin(source, 'customer', note, trial) b;
  PERFORM cdp_internal.load_keep_arguments(load_id, time_zone, NULL, NULL);
  PERFORM set_config('work_mem', cdp_internal.batch_memory(), true);
  seen := cdp_internal.record_read(load_id, src, 'customer', staging, time_zone);
  rows_read := seen.rows_read;
  IF seen.repeats THEN
    -- Of a key the latest row counts, of one time the last; an equal other one is a mere repetition.
    UPDATE pg_temp.cdp_load_record r SET code = CASE WHEN (r.f, r.r) IS NOT DISTINCT FROM (w.f, w.r) THEN 'repeated' ELSE 'superseded' END
    FROM (SELECT y.row_no, first_value(y.row_no) OVER (PARTITION BY y.source_key ORDER BY y.at DESC, y.row_no DESC) AS winner FROM pg_temp.cdp_load_record y WHERE y.code IS NULL) x
      JOIN pg_temp.cdp_load_record w ON w.row_no = x.winner
    WHERE r.row_no = x.row_no AND x.row_no <> x.winner;
  END IF;
  PERFORM cdp_internal.record_suppress();
  quarantined := cdp_internal.record_quarantine(load_id, src);
  PERFORM cdp_internal.record_quality(load_id, src, 'customer', rows_read);
  SELECT min(r.at) AS first_at, max(r.at) AS last_at INTO span FROM pg_temp.cdp_load_record r WHERE r.code IS NULL;
  IF NOT trial THEN
    PERFORM cdp_internal.record_repeat(load_id, src);
  END IF;
  identifiers := cdp_internal.record_values();
  inserted := 0;
  corrected := 0;
  links := 0;
  links_rejected := 0;
  IF NOT trial THEN
    LOCK TABLE cdp_data.link IN ROW EXCLUSIVE MODE; -- before any identifier, which a rebuild may want
    PERFORM cdp_internal.record_identifiers();
    PERFORM cdp_internal.record_ids(load_id, true);
    PERFORM cdp_internal.record_retry_links();
    SELECT l.links, l.rejected INTO links, links_rejected FROM cdp_internal.load_links(load_id, src) l;
    PERFORM cdp_internal.record_newcomers();
    PERFORM cdp_internal.record_attributes(load_id, src, true);
    kept := cdp_internal.record_keep(load_id, src);
    PERFORM cdp_internal.record_close(load_id, src);
    inserted := kept.inserted;
    corrected := kept.corrected;
  END IF;
  unchanged := rows_read - quarantined - inserted - corrected;
  PERFORM cdp_internal.load_end(load_id, rows_read, inserted, corrected, unchanged, quarantined, 0, span.first_at, span.last_at);
  PERFORM cdp_internal.drop_record_tables();
  PERFORM set_config('work_mem', work_mem, true);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION cdp.load_customers(text, regclass, text, text, boolean) IS
'Loads records of customers, one row each, from a staging table or view, by the contract of the source (cdp.declare_contract()) or, without one, by the names of the columns: an identifier type (email, user_id) identifies, an attribute (city) describes, source_key is the key of the record (else its strongest identifier), observed_at its time (else now); other columns are not read. The identifiers of a row become one customer as cdp.identify() would have it. The same record again is unchanged, and costs nothing but its reading. Of several rows of a key in one staging table the one of the latest observed_at counts, of one time the last; the others go to cdp_data.quarantine as superseded. A bad optional value is left out and counted; rows without an identifier, with a bad required field or a bad time go to cdp_data.quarantine. Times without offset, those in attributes too, are in time_zone (NULL: that of the source), never in the session''s. trial => true reads, checks and counts, and takes nothing in; of refused rows cdp_data.quarantine has number and reason only. Returns the ledger row''s counts (rows_read = inserted + corrected + unchanged + quarantined), how many different identifiers and links the rows show that were not said before, and how many links a rule stopped. A load can be taken back: cdp.revert_load(). Errors: 22023 unknown source or time zone, 42703 missing columns or none that identifies, 55000 the contract is not live, or before cdp.setup().';

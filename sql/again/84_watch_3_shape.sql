-- Connector room, watch: the form of the records of each stream, learned from what landed, so that a field which vanishes,
-- comes new or changes its type is told before somebody wonders about the figures.

CREATE OR REPLACE FUNCTION cdp_internal.shape_learns() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 50;
COMMENT ON FUNCTION cdp_internal.shape_learns() IS
'How many records of a stream are looked at before anything about their form is told.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_step(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN char_length(name) BETWEEN 1 AND 60 AND name !~ '[*.\[\]]|[0-9].*[0-9].*[0-9].*[0-9]|.@' AND NOT (char_length(name) >= 20 AND name ~ '[0-9]' AND name ~ '[A-Z]') THEN name ELSE '*' END;
COMMENT ON FUNCTION cdp_internal.shape_step(text) IS
'A name of a field in a path of cdp_data.stream_shape: itself, or * when it looks like a value: more than 60 characters, four digits, 20 characters with capitals and digits, an address, or signs that paths are written with. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_of(records jsonb[]) RETURNS TABLE (path text, type text, n bigint, seen bigint)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE leaf (r, path, value, depth) AS (
    SELECT u.r, '', u.record, 0 FROM unnest(records) WITH ORDINALITY AS u (record, r)
    UNION ALL
    SELECT l.r, l.path || c.step, c.value, l.depth + 1
    FROM leaf l CROSS JOIN LATERAL (
      SELECT CASE l.path WHEN '' THEN '' ELSE '.' END || CASE WHEN w.n > 100 THEN '*' ELSE cdp_internal.shape_step(o.key) END AS step, o.value
      FROM (SELECT jsonb_typeof(l.value) = 'object' AS fits) k, LATERAL (SELECT count(*) AS n FROM jsonb_object_keys(CASE WHEN k.fits THEN l.value ELSE '{}' END)) w,
        LATERAL jsonb_each(CASE WHEN k.fits THEN l.value ELSE '{}' END) o
      UNION ALL
      -- Of long lists the first members say enough.
      SELECT '[*]', a.value FROM jsonb_array_elements(CASE jsonb_typeof(l.value) WHEN 'array' THEN jsonb_path_query_array(l.value, '$[0 to 19]') ELSE '[]' END) a (value)) c
    WHERE l.depth < 8
  ), told AS MATERIALIZED (
    SELECT DISTINCT l.r, CASE l.path WHEN '' THEN '$' ELSE l.path END AS path, jsonb_typeof(l.value) AS type FROM leaf l
    WHERE jsonb_typeof(l.value) <> 'null' AND (l.path <> '' OR jsonb_typeof(l.value) <> 'object')
  )
  SELECT t.path, t.type, count(*), s.seen FROM told t JOIN (SELECT x.path, count(DISTINCT x.r) AS seen FROM told x GROUP BY x.path) s USING (path) GROUP BY t.path, t.type, s.seen;
END
$$;
COMMENT ON FUNCTION cdp_internal.shape_of(jsonb[]) IS
'Which paths these records have, of which JSON type, in how many of them (n), and how many have the path at all (seen). A null counts as absent. Down to eight steps and the first 20 members of a list; the names in an object with more than 100, and names that look like values, are *. See cdp_data.stream_shape.path.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_parent(path text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(path, '(^|\.)[^.\[]+$|\[\*\]$', '');
COMMENT ON FUNCTION cdp_internal.shape_parent(text) IS
'A path of cdp_data.stream_shape without its last step; empty for the first.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_is_used(path text, stream jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN EXISTS (
  SELECT FROM (
    SELECT v.value #>> '{}' AS used FROM jsonb_path_query(jsonb_build_array(stream -> 'key', stream -> 'ref_date', stream -> 'metrics', stream -> 'dimensions', stream -> 'touchpoint', stream -> 'content'),
      'lax $.** ? (@.type() == "string")') AS v (value)
    UNION ALL
    SELECT m.key FROM jsonb_each(CASE jsonb_typeof(stream -> 'metrics') WHEN 'object' THEN stream -> 'metrics' ELSE '{}' END) m WHERE NOT (jsonb_typeof(m.value) = 'object' AND m.value ? 'path')
  ) u
  WHERE u.used = path OR u.used = '@' AND path = '$' OR starts_with(u.used, path || '.') OR starts_with(u.used, path || '[') OR starts_with(path, u.used || '.') OR starts_with(path, u.used || '['));
COMMENT ON FUNCTION cdp_internal.shape_is_used(text, jsonb) IS
'Whether a stream (its part of the manifest) reads this path, or something above or below it: as key, day, metric, dimension, touchpoint or content.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_sample(connection_id integer, stream_id smallint, after_page bigint, as_of timestamptz, OUT records jsonb[], OUT page_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  SELECT array_agg(x.payload), max(x.page) INTO records, page_id
  FROM (
    (SELECT r.payload, r.page_id AS page FROM cdp_data.raw_record r WHERE r.connection_id = shape_sample.connection_id AND r.stream_id = shape_sample.stream_id AND r.page_id > after_page AND r.page_id > 0 AND r.gone_at IS NULL AND r.changed_at <= as_of
     ORDER BY r.page_id DESC, r.record_key LIMIT 500)
    UNION ALL
    -- A key that has another name now is no record, but it is what is to be seen.
    (SELECT f.payload, f.page_id FROM cdp_data.raw_refused f WHERE f.connection_id = shape_sample.connection_id AND f.stream_id = shape_sample.stream_id AND f.page_id > after_page AND f.refused_at <= as_of
     ORDER BY f.page_id DESC, f.n LIMIT 500)) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.shape_sample(integer, smallint, bigint, timestamptz) IS
'The newest 500 records of a stream, and 500 refused ones, that are new or were changed by pages after one, and the last page of them. NULLs: there are none. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_changes(connection_id integer, stream_id smallint, paths text[], types text[], counts bigint[], seen bigint[], m integer) RETURNS TABLE (path text, kind text, detail text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  known bigint := (SELECT max(h.of) FROM cdp_data.stream_shape h WHERE h.connection_id = shape_changes.connection_id AND h.stream_id = shape_changes.stream_id);
BEGIN
  RETURN QUERY
  WITH told AS MATERIALIZED (
    SELECT u.path, u.type, u.n, u.seen FROM unnest(paths, types, counts, seen) AS u (path, type, n, seen)
  ), sums AS MATERIALIZED (
    SELECT DISTINCT t.path, t.seen AS n FROM told t
  ), shape AS MATERIALIZED (
    SELECT h.path, h.types, h.seen, h.of FROM cdp_data.stream_shape h WHERE h.connection_id = shape_changes.connection_id AND h.stream_id = shape_changes.stream_id
  ), missing AS (
    SELECT h.path, h.seen, h.of FROM shape h
    WHERE NOT EXISTS (SELECT FROM sums s WHERE s.path = h.path) AND m * ln(1 - h.seen::float8 / (h.of + 1)) < ln(0.001::float8)
  ), fresh AS (
    SELECT s.path, s.n FROM sums s WHERE s.n >= 3 AND NOT EXISTS (SELECT FROM shape h WHERE h.path = s.path) AND known * ln(1 - s.n::float8 / (m + 1)) < ln(0.001::float8)
  ), retyped AS (
    SELECT t.path, string_agg(t.type, ', ' ORDER BY t.type) AS type, sum(t.n) AS n, h.types, h.seen FROM told t JOIN shape h ON h.path = t.path
    WHERE t.type <> ALL (h.types) AND t.n >= 3 AND h.seen * ln(1 - t.n::float8 / (m + 1)) < ln(0.001::float8) GROUP BY t.path, h.types, h.seen
  )
  -- What is below something that is missing, new or of another type is told by that.
  SELECT x.path, 'missing', format('in %s of %s records, now in none of %s', x.seen, x.of, m) FROM missing x WHERE NOT EXISTS (SELECT FROM missing y WHERE y.path = cdp_internal.shape_parent(x.path)) AND NOT EXISTS (SELECT FROM retyped y WHERE y.path = cdp_internal.shape_parent(x.path))
  UNION ALL
  SELECT x.path, 'new', format('in none of %s records, now in %s of %s', known, x.n, m) FROM fresh x WHERE NOT EXISTS (SELECT FROM fresh y WHERE y.path = cdp_internal.shape_parent(x.path))
  UNION ALL
  SELECT x.path, 'type', format('%s in %s records, now %s in %s of %s', array_to_string(x.types, ', '), x.seen, x.type, x.n, m) FROM retyped x;
END
$$;
COMMENT ON FUNCTION cdp_internal.shape_changes(integer, smallint, text[], text[], bigint[], bigint[], integer) IS
'What m records, of which counts have these paths with these types, and seen these paths at all (cdp_internal.shape_of()), have otherwise than cdp_data.stream_shape. missing: in none of them, though by the share of records that had it that is less likely than one in a thousand; new: the other way round, in 3 of them at least; type: a type that it never had, by the same measure. Only the topmost path of what is missing or new. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.shape_close(connection_id integer, stream_id smallint, paths text[], types text[], as_of timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  UPDATE cdp_data.stream_drift d SET closed_at = as_of, closed_by = 'back'
  WHERE d.connection_id = shape_close.connection_id AND d.stream_id = shape_close.stream_id AND d.closed_at IS NULL AND d.kind <> 'new' AND d.path = ANY (paths)
    AND (d.kind = 'missing' OR NOT EXISTS (
      SELECT FROM unnest(paths, types) AS o (path, type) JOIN cdp_data.stream_shape h ON h.connection_id = d.connection_id AND h.stream_id = d.stream_id AND h.path = o.path
      WHERE o.path = d.path AND o.type <> ALL (h.types)));
  -- What stood for 30 days is how it is now: a path that is gone is forgotten, a type is learned.
  WITH settled AS (
    UPDATE cdp_data.stream_drift d SET closed_at = as_of, closed_by = 'settled'
    WHERE d.connection_id = shape_close.connection_id AND d.stream_id = shape_close.stream_id AND d.closed_at IS NULL AND d.at <= as_of - interval '30 days'
    RETURNING d.path, d.kind
  )
  DELETE FROM cdp_data.stream_shape h USING settled t WHERE h.connection_id = shape_close.connection_id AND h.stream_id = shape_close.stream_id AND t.kind <> 'new'
    AND (h.path = t.path OR starts_with(h.path, t.path || '.') OR starts_with(h.path, t.path || '['));
END
$$;
COMMENT ON FUNCTION cdp_internal.shape_close(integer, smallint, text[], text[], timestamptz) IS
'Closes changes of form of a stream: those that records with these paths and types show to be as before, and those that have stood for 30 days. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.watch_shape(connection_id integer, stream_id smallint, stream jsonb, as_of timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  p cdp_data.stream_profile;
  source integer := (SELECT c.source_id FROM cdp_data.connection c WHERE c.connection_id = watch_shape.connection_id);
  s record;
  o record;
  m integer;
  known bigint;
  found integer := 0;
BEGIN
  SELECT x.* INTO p FROM cdp_data.stream_profile x WHERE x.connection_id = watch_shape.connection_id AND x.stream_id = watch_shape.stream_id FOR UPDATE;
  s := cdp_internal.shape_sample(connection_id, stream_id, coalesce(p.page_id, 0), as_of);
  m := coalesce(cardinality(s.records), 0);
  -- Too few say nothing about what is missing: they wait for more.
  IF m < 5 THEN
    RETURN 0;
  END IF;
  SELECT array_agg(x.path) AS paths, array_agg(x.type) AS types, array_agg(x.n) AS counts, array_agg(x.seen) AS seen INTO o FROM cdp_internal.shape_of(s.records) x;
  IF coalesce(p.records, 0) >= cdp_internal.shape_learns() THEN
    INSERT INTO cdp_data.stream_drift (connection_id, stream_id, source_id, path, kind, at, is_used, detail)
    SELECT connection_id, stream_id, source, d.path, d.kind, as_of, cdp_internal.shape_is_used(d.path, stream), d.detail
    FROM cdp_internal.shape_changes(connection_id, stream_id, o.paths, o.types, o.counts, o.seen, m) d ORDER BY d.path, d.kind
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS found = ROW_COUNT;
  END IF;
  PERFORM cdp_internal.shape_close(connection_id, stream_id, o.paths, o.types, as_of);
  -- What is told of as missing or of another type keeps what was known of it, and so does what lies below.
  known := coalesce((SELECT max(h.of) FROM cdp_data.stream_shape h WHERE h.connection_id = watch_shape.connection_id AND h.stream_id = watch_shape.stream_id), 0);
  WITH closed AS (
    SELECT d.path FROM cdp_data.stream_drift d WHERE d.connection_id = watch_shape.connection_id AND d.stream_id = watch_shape.stream_id AND d.closed_at IS NULL AND d.kind <> 'new'
  ), counted AS (
    UPDATE cdp_data.stream_shape h SET of = h.of + m
    WHERE h.connection_id = watch_shape.connection_id AND h.stream_id = watch_shape.stream_id
      AND NOT EXISTS (SELECT FROM closed c WHERE h.path = c.path OR starts_with(h.path, c.path || '.') OR starts_with(h.path, c.path || '['))
      AND h.path <> ALL (o.paths)
  )
  INSERT INTO cdp_data.stream_shape AS h (connection_id, stream_id, path, source_id, types, seen, of, first_seen_at, last_seen_at)
  SELECT connection_id, stream_id, u.path, source, array_agg(u.type ORDER BY u.type), max(u.seen), known + m, as_of, as_of
  FROM unnest(o.paths, o.types, o.seen) AS u (path, type, seen)
  WHERE NOT EXISTS (SELECT FROM closed c WHERE u.path = c.path OR starts_with(u.path, c.path || '.') OR starts_with(u.path, c.path || '['))
  GROUP BY u.path ORDER BY u.path LIMIT 2000
  ON CONFLICT ON CONSTRAINT stream_shape_pkey DO UPDATE
  SET types = ARRAY(SELECT DISTINCT t FROM unnest(h.types || excluded.types) t ORDER BY t), seen = h.seen + excluded.seen, of = h.of + m, last_seen_at = as_of;
  UPDATE cdp_data.stream_shape h SET seen = h.seen / 2, of = h.of / 2
  WHERE h.connection_id = watch_shape.connection_id AND h.stream_id = watch_shape.stream_id AND known + m > 5000;
  DELETE FROM cdp_data.stream_shape h WHERE h.connection_id = watch_shape.connection_id AND h.stream_id = watch_shape.stream_id AND h.seen = 0;
  INSERT INTO cdp_data.stream_profile AS x (connection_id, stream_id, source_id, page_id, records, learned_from, looked_at)
  VALUES (connection_id, stream_id, source, s.page_id, m, as_of, as_of)
  ON CONFLICT ON CONSTRAINT stream_profile_pkey DO UPDATE SET page_id = excluded.page_id, records = x.records + excluded.records, looked_at = excluded.looked_at;
  RETURN found;
END
$$;
COMMENT ON FUNCTION cdp_internal.watch_shape(integer, smallint, jsonb, timestamptz) IS
'Looks at the records of a stream that came since the last look (at least 5, at most the newest 500 and 500 refused ones), writes what changed in their form to cdp_data.stream_drift, closes what is as it was or has stood for 30 days, and learns the rest. stream: its part of the manifest. Returns how many changes were found. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.schema_accept_in(connection_id integer, stream text) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  id smallint;
  n integer;
BEGIN
  SELECT s.stream_id INTO id FROM cdp_data.stream s WHERE s.connection_id = schema_accept_in.connection_id AND s.name = stream;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'nothing landed from stream "%"', left(coalesce(stream, 'NULL'), 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(stream, ARRAY(SELECT s.name::text FROM cdp_data.stream s WHERE s.connection_id = schema_accept_in.connection_id), 'SELECT name FROM cdp_data.stream lists them.');
  END IF;
  UPDATE cdp_data.stream_profile p SET records = 0, learned_from = clock_timestamp() WHERE p.connection_id = schema_accept_in.connection_id AND p.stream_id = id;
  DELETE FROM cdp_data.stream_shape h WHERE h.connection_id = schema_accept_in.connection_id AND h.stream_id = id;
  UPDATE cdp_data.stream_drift d SET closed_at = clock_timestamp(), closed_by = 'accepted' WHERE d.connection_id = schema_accept_in.connection_id AND d.stream_id = id AND d.closed_at IS NULL;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.schema_accept_in(integer, text) IS 'What cdp.accept_schema() does, for cdp_data.schema_accept(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.accept_schema(connection text, stream text) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  RETURN cdp_data.schema_accept(connection, stream);
END
$$;
COMMENT ON FUNCTION cdp.accept_schema(text, text) IS
'Says that the form which the records of a stream have now is right, after a vendor changed it: its open changes (cdp_bi.stream_drift) are closed, and the form is learned anew from what comes. Returns how many changes were closed. For members of the connection''s owner with the part of admin or marketer, and the owner of the tables. Errors: 22023 unknown connection or stream, 42501 may not use it, 55000 before cdp.setup().';

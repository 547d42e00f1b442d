-- Segment room: lists that people upload. A value is normalised as a load would, looked up, and forgotten: what stays is
-- the number of the identifier, or a keyed digest for one that has not come in yet.

CREATE OR REPLACE FUNCTION cdp_internal.list_digests(type_id smallint, value text, keys integer[]) RETURNS bytea[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN cdp_internal.keyed_digests('segment list', type_id::text || ':' || value, keys);
COMMENT ON FUNCTION cdp_internal.list_digests(smallint, text, integer[]) IS
'Digests under which an identifier may stand in cdp_data.segment_list_row, one for each of these keys.';

CREATE OR REPLACE FUNCTION cdp_internal.list_values(type_id smallint, "values" text[], OUT vals text[], OUT duplicates bigint, OUT blocked bigint, OUT invalid bigint, OUT suppressed bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rules text[] := cdp_internal.identifier_rules();
BEGIN
  SELECT array_agg(DISTINCT r.value COLLATE "C") FILTER (WHERE r.value IS NOT NULL), count(r.value) - count(DISTINCT r.value COLLATE "C"), count(*) FILTER (WHERE r.code = 'blocked'),
    count(*) FILTER (WHERE r.value IS NULL AND r.code IS DISTINCT FROM 'blocked')
  INTO vals, duplicates, blocked, invalid
  FROM (
    SELECT x.value, CASE WHEN x.value IS NULL THEN cdp_internal.refused_identifier(x.given, list_values.type_id, rules) END AS code
    FROM (SELECT g AS given, cdp_internal.read_identifier(g, list_values.type_id, rules) AS value FROM unnest("values") g OFFSET 0) x) r;
  suppressed := 0;
  IF EXISTS (SELECT FROM cdp_data.suppression) THEN
    SELECT count(*) FILTER (WHERE s.is), array_agg(s.v) FILTER (WHERE NOT s.is) INTO suppressed, vals
    FROM (SELECT v, cdp_internal.is_suppressed(list_values.type_id, v) AS is FROM unnest(vals) v OFFSET 0) s;
  END IF;
  vals := coalesce(vals, '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.list_values(smallint, text[]) IS
'The distinct normal forms of values of an identifier type that may stand on a list, and how many came again, are blocked, can not be read (NULLs, too), or belong to people who must not come in again.';

CREATE OR REPLACE FUNCTION cdp.upload_list(name text, identifier_type text, "values" text[], mode text DEFAULT 'add', description text DEFAULT NULL,
  OUT list_id integer, OUT given bigint, OUT matched bigint, OUT customers bigint, OUT not_found bigint, OUT invalid bigint, OUT duplicates bigint, OUT blocked bigint,
  OUT suppressed bigint, OUT on_list bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  kind record := cdp_internal.identifier_type_of(identifier_type);
  r record;
  keys integer[];
  waits boolean;
  map bytea;
  overrides bytea;
  changed bigint := 0;
  n bigint;
BEGIN
  PERFORM cdp_internal.require_text('name of a list', name, 200);
  PERFORM cdp_internal.require_choice('mode', mode, '{add,replace,remove}');
  PERFORM cdp_internal.guard_batch(); -- before the suppression list is looked at
  r := cdp_internal.list_values(kind.type_id, "values");
  given := coalesce(cardinality("values"), 0);
  invalid := r.invalid;
  duplicates := r.duplicates;
  blocked := r.blocked;
  suppressed := r.suppressed;
  keys := CASE WHEN cdp_internal.key_file_is_set() THEN cdp_internal.key_ids() END;
  -- Not beside a run, which makes numbers of digests of the same rows.
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  INSERT INTO cdp_data.segment_list AS l (name, description) VALUES (upload_list.name, coalesce(upload_list.description, ''))
  ON CONFLICT ON CONSTRAINT segment_list_name_key DO UPDATE SET changed_at = now(), description = coalesce(upload_list.description, l.description)
  RETURNING l.list_id INTO list_id; -- uploads to one list wait for each other here
  -- Who has come in since the last run stands there under a digest still.
  waits := EXISTS (SELECT FROM cdp_data.segment_list_row x WHERE x.list_id = upload_list.list_id AND x.digest IS NOT NULL);
  map := cdp_internal.customer_map();
  overrides := cdp_internal.override_map();
  CREATE TEMP TABLE cdp_list_value ON COMMIT DROP AS
  SELECT v AS value, i.identifier_id, cdp_internal.customer_root(map, overrides, i.customer_id, i.identifier_id) AS root,
    CASE WHEN keys IS NOT NULL AND (i.identifier_id IS NULL OR waits) THEN cdp_internal.list_digests(kind.type_id, v, keys) END AS digests
  FROM unnest(r.vals) v LEFT JOIN cdp_data.identifier i ON i.type_id = kind.type_id AND i.value = v;
  SELECT count(c.identifier_id), count(DISTINCT c.root), count(*) FILTER (WHERE c.identifier_id IS NULL) INTO matched, customers, not_found FROM pg_temp.cdp_list_value c;
  IF mode <> 'add' THEN
    DELETE FROM cdp_data.segment_list_row x
    WHERE x.list_id = upload_list.list_id
      AND (EXISTS (SELECT FROM pg_temp.cdp_list_value c WHERE c.identifier_id = x.identifier_id OR x.digest = ANY (c.digests))) = (mode = 'remove');
    GET DIAGNOSTICS changed = ROW_COUNT;
  END IF;
  IF mode <> 'remove' THEN
    INSERT INTO cdp_data.segment_list_row AS x (list_id, identifier_id) SELECT upload_list.list_id, c.identifier_id FROM pg_temp.cdp_list_value c WHERE c.identifier_id IS NOT NULL
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    changed := changed + n;
    IF keys IS NULL AND not_found > 0 THEN
      RAISE WARNING '% values are not known and are not kept: there is no key file', not_found
        USING HINT = 'With cdp.key_file set, unknown values wait as keyed digests until they come in.';
    ELSE
      -- One that waits under an earlier key stands there once.
      INSERT INTO cdp_data.segment_list_row (list_id, digest)
      SELECT upload_list.list_id, c.digests[cardinality(c.digests)] FROM pg_temp.cdp_list_value c
      WHERE c.identifier_id IS NULL AND c.digests IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.segment_list_row x WHERE x.digest = ANY (c.digests) AND x.list_id = upload_list.list_id)
      ON CONFLICT DO NOTHING;
    END IF;
  END IF;
  DROP TABLE pg_temp.cdp_list_value;
  IF changed > 0 THEN
    UPDATE cdp_data.segment_list l SET version = l.version + 1 WHERE l.list_id = upload_list.list_id;
  END IF;
  SELECT count(*) INTO on_list FROM cdp_data.segment_list_row x WHERE x.list_id = upload_list.list_id;
  PERFORM cdp_data.audit_write('list', 'list ' || name, NULL, jsonb_build_object('mode', mode, 'given', given, 'matched', matched, 'rows', on_list));
END
$$;
COMMENT ON FUNCTION cdp.upload_list(text, text, text[], text, text) IS
'Puts people on a list for rules ({"list": "..."}) by an identifier: SELECT * FROM cdp.upload_list(''press'', ''email'', ARRAY[''a@example.org'']). mode add, replace (the list is these values), or remove. Returns the match report: given; matched (known identifiers) and how many customers they are now; not_found (kept as keyed digests until they come in, when there is a key file); invalid (can not be read), duplicates (came again in one form), blocked (identify nobody), suppressed (erased people; not kept); on_list (rows of the list now). No value is kept. The list follows merges and unmerges. Waits for a run of segments that is under way. Errors: 22023 unknown type or mode, or an empty name; 55000 before cdp.setup().';
CREATE OR REPLACE FUNCTION cdp.upload_list_from(name text, identifier_type text, "table" regclass, column_name name, mode text DEFAULT 'add', description text DEFAULT NULL,
  OUT list_id integer, OUT given bigint, OUT matched bigint, OUT customers bigint, OUT not_found bigint, OUT invalid bigint, OUT duplicates bigint, OUT blocked bigint,
  OUT suppressed bigint, OUT on_list bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  vals text[];
BEGIN
  IF "table" IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = "table" AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped) THEN
    RAISE EXCEPTION 'table % has no column "%"', "table", column_name USING ERRCODE = 'undefined_column', HINT = format('\d %s shows its columns.', "table");
  END IF;
  EXECUTE format('SELECT array_agg(x.%I::text) FROM %s x', column_name, "table") INTO vals;
  SELECT u.* INTO list_id, given, matched, customers, not_found, invalid, duplicates, blocked, suppressed, on_list
  FROM cdp.upload_list(upload_list_from.name, upload_list_from.identifier_type, vals, upload_list_from.mode, upload_list_from.description) u;
END
$$;
COMMENT ON FUNCTION cdp.upload_list_from(text, text, regclass, name, text, text) IS
'cdp.upload_list() with the values of a column of a table or view that the caller may read. Errors also 42703: no such column.';

CREATE OR REPLACE FUNCTION cdp.drop_list(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  users text[];
  id integer;
BEGIN
  PERFORM cdp_internal.require_setup();
  users := ARRAY(SELECT s.name FROM cdp_data.segment s JOIN cdp_data.segment_version v USING (segment_id, version)
    WHERE s.state <> 'archived' AND EXISTS (SELECT FROM cdp_internal.rule_uses(v.rule) u WHERE u.what = 'list' AND u.name = drop_list.name) ORDER BY s.name);
  IF users <> '{}' THEN
    RAISE EXCEPTION 'list "%" is named by segments', name
      USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('By %s.', array_to_string(users, ', ')), HINT = 'Archive or edit those first.';
  END IF;
  -- A run beside it would add rows to a list that is gone.
  PERFORM FROM cdp_data.profile_state FOR UPDATE;
  DELETE FROM cdp_data.segment_list l WHERE l.name = drop_list.name RETURNING l.list_id INTO id;
  DELETE FROM cdp_data.segment_list_row r WHERE r.list_id = id;
  IF id IS NOT NULL THEN
    PERFORM cdp_data.audit_write('list', 'list ' || name, NULL, '{"mode": "drop"}');
  END IF;
  RETURN id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION cdp.drop_list(text) IS
'Deletes a list with all its rows; returns whether it was there. Error 2BP01: segments name it.';

CREATE OR REPLACE FUNCTION cdp_internal.list_arrivals(homes bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  keys integer[];
  n bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM cdp_data.segment_list_row r WHERE r.digest IS NOT NULL) OR homes = '{}' THEN
    RETURN 0;
  END IF;
  keys := ARRAY(SELECT DISTINCT get_byte(r.digest, 0) * 256 + get_byte(r.digest, 1) FROM cdp_data.segment_list_row r WHERE r.digest IS NOT NULL);
  WITH come AS MATERIALIZED (
    SELECT r.list_id, r.digest, i.identifier_id
    FROM cdp_data.identifier i CROSS JOIN LATERAL unnest(cdp_internal.list_digests(i.type_id, i.value, keys)) d
      JOIN cdp_data.segment_list_row r ON r.digest = d
    WHERE homes IS NULL OR i.customer_id = ANY (homes)
  ), gone AS (
    DELETE FROM cdp_data.segment_list_row r USING come c WHERE r.digest = c.digest AND r.list_id = c.list_id
  ), kept AS (
    INSERT INTO cdp_data.segment_list_row (list_id, identifier_id) SELECT DISTINCT c.list_id, c.identifier_id FROM come c ON CONFLICT DO NOTHING
  )
  SELECT count(*) INTO n FROM come;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.list_arrivals(bigint[]) IS
'Turns digests on lists into numbers of identifiers that have come in meanwhile: those of these home customers, NULL: all. Returns how many rows. The caller keeps uploads away (cdp_data.profile_state). Errors: 55000 the key file lacks a key that rows need.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_segment(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  keys integer[];
  more bigint := 0;
BEGIN
  DELETE FROM cdp_data.segment_list_row r WHERE r.identifier_id = ANY (identifiers);
  GET DIAGNOSTICS n = ROW_COUNT;
  keys := ARRAY(SELECT DISTINCT get_byte(r.digest, 0) * 256 + get_byte(r.digest, 1) FROM cdp_data.segment_list_row r WHERE r.digest IS NOT NULL);
  IF keys <> '{}' THEN
    DELETE FROM cdp_data.segment_list_row r
    WHERE r.digest IN (SELECT unnest(cdp_internal.list_digests(i.type_id, i.value, keys)) FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers));
    GET DIAGNOSTICS more = ROW_COUNT;
  END IF;
  RETURN QUERY SELECT 'cdp_data.segment_list_row', 'delete', n + more;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_segment(bigint[], bigint[], bigint[], bigint, text) IS
'Takes a person off all lists, while the values of his identifiers can still be digested. Returns what was done.';

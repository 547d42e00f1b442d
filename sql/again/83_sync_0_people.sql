-- Connector room, landing: whom pages name. Under which names identifiers stand in what a stream tells and is asked by, the
-- hashes by which an erasure finds them, and who must not come in again.

CREATE OR REPLACE FUNCTION cdp_internal.stream_is_personal(stream jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN NOT (stream ? 'metrics') OR stream ?| '{pii,touchpoint}';
COMMENT ON FUNCTION cdp_internal.stream_is_personal(jsonb) IS
'Whether records of a stream (its part of the manifest) may name people: all streams but those of figures (metrics) that name neither touchpoints nor paths of personal data. Words of such records are kept as hashes, by which exports and erasures find them. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_identifiers(stream jsonb) RETURNS TABLE (type text, path text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
  SELECT DISTINCT i.key, coalesce(CASE jsonb_typeof(i.value) WHEN 'object' THEN i.value ->> 'path' END, i.value #>> '{}')
  FROM jsonb_array_elements(CASE jsonb_typeof(stream -> 'touchpoint') WHEN 'array' THEN stream -> 'touchpoint' WHEN 'object' THEN jsonb_build_array(stream -> 'touchpoint') ELSE '[]' END) t
    CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(t -> 'identifiers') WHEN 'object' THEN t -> 'identifiers' ELSE '{}' END) i
  ORDER BY 1, 2;
END;
COMMENT ON FUNCTION cdp_internal.stream_identifiers(jsonb) IS
'Identifiers that the touchpoints of a stream (its part of the manifest) name: type, and the path of the record where it stands. No row without touchpoints, or for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.last_step(path text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(path FROM '([^.$@*\]\[]+)(?:\[[^\]]*\])*$');
COMMENT ON FUNCTION cdp_internal.last_step(text) IS
'Name of the field that a path of a manifest ends at, without places of lists. NULL for NULL, and where it names no field (@, $).';

CREATE OR REPLACE FUNCTION cdp_internal.part_names(manifest jsonb, stream text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  origin jsonb := manifest -> 'streams' -> (spec #>> '{partition,from}');
  value text := coalesce(spec #>> '{partition,value}', '@');
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT n FROM (
      SELECT cdp_internal.last_step(value) UNION ALL SELECT i.type FROM cdp_internal.stream_identifiers(origin) i WHERE i.path = value
      UNION ALL SELECT i.type FROM cdp_internal.stream_identifiers(spec) i WHERE i.path = '$partition') v (n)
    WHERE n IS NOT NULL ORDER BY n);
END
$$;
COMMENT ON FUNCTION cdp_internal.part_names(jsonb, text) IS
'Under which names the value stands that a stream is asked by: the types of identifiers that the manifest gives it, and its field in the stream that it comes from. Empty when the manifest says nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.named_part(part jsonb, names text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN part IS NOT NULL THEN jsonb_build_array(part, (SELECT jsonb_object_agg(n, part) FROM unnest(names) n)) END;
COMMENT ON FUNCTION cdp_internal.named_part(jsonb, text[]) IS
'What a stream was asked by, also under the names of cdp_internal.part_names(), for cdp_internal.content_tokens(): then a short value is found by its name only. NULL without a part.';

CREATE OR REPLACE FUNCTION cdp_internal.suppressed_records(manifest jsonb, stream text, records jsonb[]) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  keys integer[] := cdp_internal.suppression_keys();
  spec jsonb := manifest -> 'streams' -> stream;
  told text[];
  private text[];
  own text[];
BEGIN
  IF keys = '{}' THEN
    RETURN '{}';
  END IF;
  own := cdp_internal.identifier_rules();
  told := ARRAY(SELECT DISTINCT i.type FROM jsonb_each(manifest -> 'streams') s, cdp_internal.stream_identifiers(s.value) i);
  private := ARRAY(SELECT DISTINCT cdp_internal.last_step(p #>> '{}') FROM jsonb_array_elements(CASE jsonb_typeof(spec -> 'pii') WHEN 'array' THEN spec -> 'pii' ELSE '[]' END) p);
  RETURN ARRAY(
    WITH types AS MATERIALIZED (
      -- The types that the connector tells of, and what people write anywhere. A type without a form of its own (an account
      -- number may be 5) counts under its name only, or as a text long enough to mean nothing else.
      SELECT t.type_id, t.normaliser = 'trim' AS is_loose,
        ARRAY[t.name, 'identifier', 'previousId'] || private || ARRAY(SELECT cdp_internal.last_step(i.path) FROM jsonb_each(manifest -> 'streams') s, cdp_internal.stream_identifiers(s.value) i WHERE i.type = t.name)
          || ARRAY(SELECT regexp_replace(f.field, '^.*[.]', '') FROM cdp_data.source_field f WHERE f.target_kind = 'identifier' AND f.target_name = t.name) AS words
      FROM cdp_data.identifier_type_all t WHERE t.name IN ('email', 'phone', 'user_id') OR t.name = ANY (told)),
    leaf AS MATERIALIZED (
      SELECT r.n::integer AS n, NULL::text AS key, v.value #>> '{}' AS value, jsonb_typeof(v.value) = 'string' AS is_text
      FROM unnest(records) WITH ORDINALITY AS r (record, n) CROSS JOIN LATERAL jsonb_path_query(r.record, 'strict $.** ? (@.type() == "string" || @.type() == "number")') AS v (value)
      UNION ALL
      SELECT r.n::integer, m.key, x.value #>> '{}', false
      FROM unnest(records) WITH ORDINALITY AS r (record, n) CROSS JOIN LATERAL jsonb_path_query(r.record, 'strict $.** ? (@.type() == "object")') AS o (value)
        CROSS JOIN LATERAL jsonb_each(o.value) AS m CROSS JOIN LATERAL jsonb_path_query(m.value, 'lax $[*] ? (@.type() == "string" || @.type() == "number")') AS x (value)
      WHERE m.key IN (SELECT unnest(t.words) FROM types t)),
    found AS (
      SELECT DISTINCT x.key, x.value, x.is_text
      FROM (SELECT DISTINCT l.key, l.value, l.is_text FROM leaf l WHERE char_length(l.value) BETWEEN 1 AND 500) x
        JOIN types t ON CASE WHEN t.is_loose THEN x.key = ANY (t.words) OR x.key IS NULL AND x.is_text AND char_length(x.value) >= 5 ELSE x.key IS NULL END
        CROSS JOIN LATERAL unnest(cdp_internal.suppression_digests(t.type_id, cdp_internal.read_identifier(x.value, t.type_id, own), keys)) AS d (digest)
        JOIN cdp_data.suppression s ON s.digest = d.digest)
    SELECT DISTINCT l.n FROM leaf l JOIN found f ON f.value = l.value AND f.is_text = l.is_text AND f.key IS NOT DISTINCT FROM l.key ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.suppressed_records(jsonb, text, jsonb[]) IS
'Which of these values, from 1, of a stream hold an identifier of somebody who must not come in again: of a type that the touchpoints of the connector name, an e-mail address, a phone number or a user_id, as a value by itself anywhere. Types without a form of their own (normaliser trim) count under a field that the manifest, a contract or pii gives them, else only as texts of 5 letters and more. Empty at once when nobody is suppressed. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.allowed_part(manifest jsonb, stream text, part jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names text[];
  hits integer[];
BEGIN
  IF part IS NULL OR NOT EXISTS (SELECT FROM cdp_data.suppression) THEN
    RETURN part;
  END IF;
  names := cdp_internal.part_names(manifest, stream);
  IF jsonb_typeof(part) <> 'array' THEN
    RETURN CASE WHEN cdp_internal.suppressed_records(manifest, stream, ARRAY[cdp_internal.named_part(part, names)]) = '{}' THEN part END;
  END IF;
  hits := cdp_internal.suppressed_records(manifest, stream, ARRAY(SELECT cdp_internal.named_part(e.value, names) FROM jsonb_array_elements(part) WITH ORDINALITY AS e (value, n) ORDER BY e.n));
  RETURN (SELECT jsonb_agg(e.value ORDER BY e.n) FROM jsonb_array_elements(part) WITH ORDINALITY AS e (value, n) WHERE e.n <> ALL (hits));
END
$$;
COMMENT ON FUNCTION cdp_internal.allowed_part(jsonb, text, jsonb) IS
'What a stream may be asked by: the value, or of a list those, who do not name somebody who must not come in again. NULL when nothing is left, and for NULL. Needs the rights of the tables'' owner.';

-- Core room: properties of touchpoints pass a list of allowed keys per kind, on every road.

CREATE OR REPLACE FUNCTION cdp_internal.properties_listed(kind_id smallint, OUT keys text[], OUT policy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT s.property_policy, (SELECT array_agg(r.key ORDER BY r.key) FROM cdp_data.property_rule r WHERE r.kind_id = properties_listed.kind_id)
  INTO policy, keys FROM cdp_data.setting s;
END
$$;
COMMENT ON FUNCTION cdp_internal.properties_listed(smallint) IS
'Keys that a kind may have (NULL: no list), and what holds without one: open or listed.';

CREATE OR REPLACE FUNCTION cdp_internal.unlisted_keys(properties jsonb, listed text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- $event is ours: how the source named what happened.
RETURN CASE WHEN jsonb_typeof(properties) = 'object'
  THEN ARRAY(SELECT k FROM jsonb_object_keys(properties) k WHERE k <> '$event' AND k <> ALL (coalesce(listed, '{}')) ORDER BY k COLLATE "C") END;
COMMENT ON FUNCTION cdp_internal.unlisted_keys(jsonb, text[]) IS
'Keys of an object that are not listed (NULL: none is), but for $event. NULL when it is no object.';

CREATE OR REPLACE FUNCTION cdp_internal.count_dropped(source_id integer, kind_ids smallint[], keys text[], counts bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known bigint := (SELECT count(DISTINCT d.key) FROM cdp_data.property_dropped d WHERE d.source_id = count_dropped.source_id);
BEGIN
  INSERT INTO cdp_data.property_dropped AS d (source_id, kind_id, key, slot, n)
  SELECT count_dropped.source_id, x.kind_id, x.key, pg_backend_pid() % 64, sum(x.n)
  FROM (
    -- A key may be an address or a number of somebody: then its name is not kept.
    SELECT u.kind_id, u.n, CASE WHEN u.key ~ '^[A-Za-z0-9_$.:-]{1,63}$' AND u.key !~ '[0-9]{5}' AND (known < 1000 OR EXISTS (
        SELECT FROM cdp_data.property_dropped o WHERE o.source_id = count_dropped.source_id AND o.key = u.key)) THEN u.key ELSE '(other)' END AS key
    FROM (SELECT v.kind_id, CASE WHEN v.nth <= 1000 OR v.key = '' THEN v.key ELSE '' END AS key, v.n
          FROM (SELECT a.*, dense_rank() OVER (ORDER BY a.key COLLATE "C") AS nth FROM unnest(kind_ids, keys, counts) a (kind_id, key, n)) v) u) x
  GROUP BY x.kind_id, x.key ORDER BY x.kind_id, x.key COLLATE "C"
  ON CONFLICT ON CONSTRAINT property_dropped_pkey DO UPDATE SET n = d.n + excluded.n, last_at = excluded.last_at;
END
$$;
COMMENT ON FUNCTION cdp_internal.count_dropped(integer, smallint[], text[], bigint[]) IS
'Counts properties that were left out, in cdp_data.property_dropped: parallel lists of kind, key and number.';

CREATE OR REPLACE FUNCTION cdp_internal.keep_properties(source_id integer, kind_id smallint, properties jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  listed record;
  gone text[];
BEGIN
  IF properties IS NULL THEN
    RETURN NULL;
  END IF;
  listed := cdp_internal.properties_listed(kind_id);
  IF listed.keys IS NULL AND listed.policy = 'open' THEN
    RETURN properties;
  END IF;
  gone := coalesce(cdp_internal.unlisted_keys(properties, listed.keys), '{""}');
  IF gone <> '{}' THEN
    PERFORM cdp_internal.count_dropped(source_id, array_fill(kind_id, ARRAY[cardinality(gone)]), gone, array_fill(1::bigint, ARRAY[cardinality(gone)]));
  END IF;
  RETURN CASE WHEN jsonb_typeof(properties) = 'object' THEN nullif(properties - gone, '{}') END;
END
$$;
COMMENT ON FUNCTION cdp_internal.keep_properties(integer, smallint, jsonb) IS
'The properties of one touchpoint without keys that its kind does not list (cdp_data.property_rule); those left out are counted for the source. What is no object goes as a whole where there is a list. NULL when nothing is left.';

CREATE OR REPLACE FUNCTION cdp_internal.load_properties(src integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  listed_only boolean := (SELECT s.property_policy = 'listed' FROM cdp_data.setting s);
  dropped bigint := 0;
  n bigint;
  k record;
BEGIN
  IF NOT listed_only AND NOT EXISTS (SELECT FROM cdp_data.property_rule) THEN
    RETURN 0;
  END IF;
  FOR k IN
    SELECT x.kind_id, l.keys FROM (SELECT DISTINCT r.kind_id FROM pg_temp.cdp_load_row r WHERE r.code IS NULL AND r.properties IS NOT NULL) x
      CROSS JOIN LATERAL cdp_internal.properties_listed(x.kind_id) l
    WHERE listed_only OR l.keys IS NOT NULL
  LOOP
    PERFORM cdp_internal.count_dropped(src, array_agg(k.kind_id), array_agg(g.key), array_agg(g.n))
    FROM (SELECT u.key, count(*) AS n FROM pg_temp.cdp_load_row r
            CROSS JOIN LATERAL unnest(coalesce(cdp_internal.unlisted_keys(r.properties, k.keys), '{""}')) u (key)
          WHERE r.code IS NULL AND r.kind_id = k.kind_id AND r.properties IS NOT NULL GROUP BY u.key) g HAVING count(*) > 0;
    UPDATE pg_temp.cdp_load_row r
    SET properties = CASE WHEN jsonb_typeof(r.properties) = 'object' THEN nullif(r.properties - cdp_internal.unlisted_keys(r.properties, k.keys), '{}') END
    WHERE r.code IS NULL AND r.kind_id = k.kind_id AND r.properties IS NOT NULL AND cdp_internal.unlisted_keys(r.properties, k.keys) IS DISTINCT FROM '{}';
    GET DIAGNOSTICS n = ROW_COUNT;
    dropped := dropped + n;
  END LOOP;
  RETURN dropped;
END
$$;
COMMENT ON FUNCTION cdp_internal.load_properties(integer) IS
'Takes out of the rows of the running load what their kinds do not list, and counts it for the source. Nothing is read when there is no list. Returns how many rows lost something.';

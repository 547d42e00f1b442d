-- Connector room, mapping: the figures in records, by the metrics that the manifest declares.

CREATE OR REPLACE FUNCTION cdp_internal.is_total_row(dimensions jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(dimensions ->> 'user_source' = '99999999', false);
COMMENT ON FUNCTION cdp_internal.is_total_row(jsonb) IS
'Whether a figure with these dimensions is what all others of its day come to: user_source 99999999 of WeChat Official Accounts. False for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.metric_words(manifest jsonb, stream text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(jsonb_build_array(manifest -> 'tz', manifest #> ARRAY['streams', stream, 'metrics'], manifest #> ARRAY['streams', stream, 'dimensions'], manifest #> ARRAY['streams', stream, 'content'],
  manifest #> ARRAY['streams', stream, 'ref_date'], manifest #> ARRAY['streams', stream, 'partition'])::text, 'UTF8'));
COMMENT ON FUNCTION cdp_internal.metric_words(jsonb, text) IS
'SHA-256 of all that a manifest says about the figures of a stream. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.record_state(config jsonb, stream jsonb, part text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('config', config) || CASE WHEN part = '' THEN '{}' WHEN stream #> '{partition,chunk}' IS NOT NULL AND left(part, 1) = '[' THEN jsonb_build_object('partition', part::jsonb) ELSE jsonb_build_object('partition', part) END;
COMMENT ON FUNCTION cdp_internal.record_state(jsonb, jsonb, text) IS
'The state of cdp_internal.connector_metrics() for a record that a stream (its part of the manifest) was asked for with this part (cdp_data.raw_record.part).';

CREATE OR REPLACE FUNCTION cdp_internal.map_stream_metrics(connection_id integer, stream_id smallint, stream text, source integer, manifest jsonb, config jsonb, most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  words bytea := cdp_internal.metric_words(manifest, stream);
  spec jsonb := manifest -> 'streams' -> stream;
  p cdp_data.metric_progress;
  to_page bigint;
  seen bigint;
  bad bigint;
BEGIN
  -- The row is there before anything is read: a replay that ends meanwhile waits for it, and sets it back.
  INSERT INTO cdp_data.metric_progress (connection_id, stream_id, source_id, page_id, declared, mapped_at) VALUES (connection_id, stream_id, source, 0, words, clock_timestamp()) ON CONFLICT ON CONSTRAINT metric_progress_pkey DO NOTHING;
  SELECT x.* INTO p FROM cdp_data.metric_progress x WHERE x.connection_id = map_stream_metrics.connection_id AND x.stream_id = map_stream_metrics.stream_id FOR UPDATE;
  IF p.declared <> words THEN
    -- The manifest says something else: all is read again. What records said that are not kept any more stays.
    DELETE FROM cdp_data.channel_metric m WHERE m.connection_id = map_stream_metrics.connection_id AND m.stream_id = map_stream_metrics.stream_id
      AND EXISTS (SELECT FROM cdp_data.raw_record r WHERE r.connection_id = m.connection_id AND r.stream_id = m.stream_id AND r.record_key = m.record_key);
    p.page_id := 0;
    p.problems := 0;
  END IF;
  -- Whole pages: the last one of so many records, to its end.
  SELECT max(x.page_id) INTO to_page FROM (
    SELECT r.page_id FROM cdp_data.raw_record r WHERE r.connection_id = map_stream_metrics.connection_id AND r.stream_id = map_stream_metrics.stream_id AND r.page_id > p.page_id AND r.page_id > 0 ORDER BY r.page_id LIMIT most) x;
  WITH rows AS MATERIALIZED (
    SELECT r.record_key, r.part, r.ref_date, r.page_id, r.revision, r.changed_at, r.payload, r.tokens FROM cdp_data.raw_record r
    WHERE r.connection_id = map_stream_metrics.connection_id AND r.stream_id = map_stream_metrics.stream_id AND r.page_id > p.page_id AND r.page_id <= to_page AND r.page_id > 0 AND r.gone_at IS NULL
  ), told AS MATERIALIZED (
    SELECT r.record_key, r.part, r.ref_date, r.page_id, r.revision, r.changed_at, r.tokens, f.metric, f.standard, f.kind, f.value, f.weight, f.currency, coalesce(f.dimensions, '{}') AS dimensions, f.problem, t.kind AS content_kind, t.content_id
    FROM rows r CROSS JOIN LATERAL (SELECT cdp_internal.record_state(config, spec, r.part) AS state OFFSET 0) s CROSS JOIN LATERAL cdp_internal.connector_metrics(manifest, stream, r.payload, s.state) f
      LEFT JOIN LATERAL (SELECT c.kind, c.content_id FROM cdp_internal.connector_content(manifest, stream, r.payload, s.state) c WHERE spec ? 'content' AND c.problem IS NULL LIMIT 1) t ON true
  ), put AS (
    INSERT INTO cdp_data.channel_metric AS m (connection_id, stream_id, record_key, metric, source_id, part, day, standard, kind, value, weight, currency, dimensions, dimension_key, is_total, content_kind, content_id, page_id, revision, told_at, tokens)
    SELECT connection_id, stream_id, t.record_key, t.metric, source, t.part, t.ref_date, t.standard, t.kind, t.value, t.weight, t.currency, t.dimensions, encode(substring(sha256(convert_to(t.dimensions::text, 'UTF8')), 1, 16), 'hex')::uuid,
      cdp_internal.is_total_row(t.dimensions), t.content_kind, t.content_id, t.page_id, t.revision, t.changed_at, t.tokens
    FROM told t WHERE t.value IS NOT NULL AND t.ref_date IS NOT NULL ORDER BY t.record_key, t.metric
    ON CONFLICT ON CONSTRAINT channel_metric_pkey DO UPDATE
    SET part = excluded.part, day = excluded.day, standard = excluded.standard, kind = excluded.kind, value = excluded.value, weight = excluded.weight, currency = excluded.currency, dimensions = excluded.dimensions,
      dimension_key = excluded.dimension_key, is_total = excluded.is_total, content_kind = excluded.content_kind, content_id = excluded.content_id, page_id = excluded.page_id, revision = excluded.revision, told_at = excluded.told_at, tokens = excluded.tokens
    WHERE (m.page_id, m.revision, m.part) IS DISTINCT FROM (excluded.page_id, excluded.revision, excluded.part)
  )
  SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM told t WHERE t.problem IS NOT NULL OR t.ref_date IS NULL) INTO seen, bad;
  -- What a record said before and says no more, and all of one that is gone.
  DELETE FROM cdp_data.channel_metric m USING cdp_data.raw_record r
  WHERE r.connection_id = map_stream_metrics.connection_id AND r.stream_id = map_stream_metrics.stream_id AND r.page_id > p.page_id AND r.page_id <= to_page AND r.page_id > 0 AND r.revision > 1
    AND m.connection_id = r.connection_id AND m.stream_id = r.stream_id AND m.record_key = r.record_key AND (r.gone_at IS NOT NULL OR (m.page_id, m.revision) <> (r.page_id, r.revision));
  IF p.declared = words AND to_page IS NULL THEN
    RETURN 0;
  END IF;
  UPDATE cdp_data.metric_progress x SET page_id = coalesce(to_page, p.page_id), declared = words, problems = p.problems + bad, mapped_at = clock_timestamp() WHERE x.connection_id = map_stream_metrics.connection_id AND x.stream_id = map_stream_metrics.stream_id;
  RETURN CASE WHEN to_page IS NULL THEN 0 ELSE greatest(seen, 1) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_stream_metrics(integer, smallint, text, integer, jsonb, jsonb, integer) IS
'The part of cdp_internal.map_metrics() for one stream. Returns how many records it looked at.';

CREATE OR REPLACE FUNCTION cdp_internal.map_metrics(connection_id integer, most integer DEFAULT 20000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
  s record;
  n bigint := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('pg_cdp metrics', map_metrics.connection_id)) THEN
    RETURN 0; -- another session is at it
  END IF;
  -- As in cdp_internal.map_some().
  PERFORM cdp_internal.guard_batch();
  SELECT x.config, x.source_id, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = map_metrics.connection_id;
  FOR s IN SELECT t.stream_id, t.name FROM cdp_data.stream t WHERE t.connection_id = map_metrics.connection_id AND c.manifest #> ARRAY['streams', t.name] ? 'metrics' ORDER BY t.stream_id LOOP
    EXIT WHEN n >= most;
    n := n + cdp_internal.map_stream_metrics(connection_id, s.stream_id, s.name, c.source_id, c.manifest, c.config, (most - n)::integer);
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_metrics(integer, integer) IS
'Reads the figures (metrics of the manifest) of records of a connection that are new, changed or gone since the last time into cdp_data.channel_metric: about so many records at most, whole pages. Returns how many it looked at; 0: nothing is left, or another session is at it. Pages of a stream land one after the other, so their numbers tell how far it is. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_metric(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  words bigint[] := cdp_internal.erase_tokens(identifiers);
BEGIN
  DELETE FROM cdp_data.channel_metric m WHERE m.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.channel_metric', 'delete', erase_of_values_metric.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_metric(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes figures whose records name a person. Returns what was done per table.';

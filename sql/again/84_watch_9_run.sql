-- Connector room, watch: what runs by the clock, and what the watch adds to health, erasure and maintenance.
-- Procedures that commit can not SET search_path, so they write every name in full, those of types too.

CREATE OR REPLACE FUNCTION cdp_internal.watch_connection(connection_id integer, as_of timestamptz, part text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  m jsonb := (SELECT cdp_internal.connector_manifest(c.connector) FROM cdp_data.connection c WHERE c.connection_id = watch_connection.connection_id);
  done jsonb := '{}';
  n bigint;
  mapped bigint := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('pg_cdp watch', watch_connection.connection_id)) THEN
    RETURN NULL; -- another session is at it
  END IF;
  IF coalesce(part, 'figures') = 'figures' THEN
    -- Ten rounds at most: the next watch goes on.
    FOR i IN 1..10 LOOP
      n := cdp_internal.map_metrics(connection_id);
      EXIT WHEN n = 0;
      mapped := mapped + n;
    END LOOP;
    done := done || jsonb_build_object('mapped', mapped);
  END IF;
  IF coalesce(part, 'schema') = 'schema' THEN
    SELECT coalesce(sum(cdp_internal.watch_shape(s.connection_id, s.stream_id, m #> ARRAY['streams', s.name], as_of)), 0) INTO n
    FROM cdp_data.stream s WHERE s.connection_id = watch_connection.connection_id AND m #> ARRAY['streams', s.name] IS NOT NULL;
    done := done || jsonb_build_object('drifts', n);
  END IF;
  IF coalesce(part, 'anomalies') = 'anomalies' THEN
    done := done || jsonb_build_object('anomalies', cdp_internal.watch_anomalies(connection_id, as_of));
  END IF;
  IF coalesce(part, 'quality') = 'quality' THEN
    done := done || jsonb_build_object('streams', cdp_internal.record_quality(connection_id, as_of));
  END IF;
  RETURN done;
END
$$;
COMMENT ON FUNCTION cdp_internal.watch_connection(integer, timestamptz, text) IS
'One connection of cdp.watch(), by parts, NULL: all: figures (cdp_internal.map_metrics(), 200,000 records at most), schema (learns and compares the form of records), anomalies (of the last 28 days), quality (of the day). Returns counts; NULL while another session watches it. Needs the rights of the tables'' owner.';

CREATE OR REPLACE PROCEDURE cdp.watch(as_of timestamptz DEFAULT clock_timestamp())
LANGUAGE plpgsql
AS $$
DECLARE
  c pg_catalog.record;
  part pg_catalog.text;
  error pg_catalog.text;
BEGIN
  PERFORM cdp_internal.require_setup();
  FOR c IN SELECT x.connection_id, x.name FROM cdp_data.connection x WHERE x.state OPERATOR(pg_catalog.=) ANY (ARRAY['shadow', 'live', 'degraded']) ORDER BY x.connection_id LOOP
    -- What goes wrong in one part must not hide what the others say.
    FOREACH part IN ARRAY ARRAY['figures', 'schema', 'anomalies', 'quality'] LOOP
      error := cdp_internal.try_command(pg_catalog.format('SELECT cdp_internal.watch_connection(%s, %L, %L)', c.connection_id, as_of, part));
      IF error IS NOT NULL THEN
        RAISE WARNING '% of connection "%" can not be judged: %', part, c.name, error;
      END IF;
      COMMIT;
    END LOOP;
  END LOOP;
  error := cdp_internal.try_command(pg_catalog.format('SELECT cdp_internal.watch_alerts(%L)', as_of));
  IF error IS NOT NULL THEN
    RAISE WARNING 'alerts can not be judged: %', error;
  END IF;
  COMMIT;
  error := cdp_internal.try_command(pg_catalog.format('SELECT cdp_internal.send_digests(%L)', as_of));
  IF error IS NOT NULL THEN
    RAISE WARNING 'digests can not be written: %', error;
  END IF;
  COMMIT;
END
$$;
COMMENT ON PROCEDURE cdp.watch(timestamptz) IS
'Reads the figures that came (cdp_bi.channel_daily), and judges the data of every connection in shadow, live or degraded: whether the form of its records changed (cdp_bi.stream_drift), which of the last 28 days were not what they should have been (cdp_bi.channel_anomaly), and how good each stream is (cdp_bi.stream_quality, cdp_bi.channel_quality); then asks the alerts (cdp.add_alert()) and writes the digests that are due (cdp.add_digest()). Commits after each step of each connection; what goes wrong with one is a WARNING and stops no other. On the list of jobs; by hand as the owner of cdp_data, outside a transaction block. as_of: the moment for which it judges. Safe to repeat and to run beside itself.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_watch()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.stream_drift') IS NULL OR NOT has_table_privilege('cdp_data.stream_drift', 'SELECT') OR NOT has_table_privilege('cdp_data.connection', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'schema_drift', format('stream %s of connection %s: %s', s.name, quote_ident(c.name), string_agg(format('%s %s', d.path, CASE d.kind WHEN 'type' THEN 'has another type' ELSE 'is missing' END), ', ' ORDER BY d.path, d.kind)),
    format('SELECT * FROM cdp_bi.stream_drift; mend the manifest with cdp.add_connector(), or SELECT cdp.accept_schema(%L, %L)', c.name, s.name)
  FROM cdp_data.stream_drift d JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id)
  WHERE d.closed_at IS NULL AND d.kind <> 'new' AND d.is_used AND c.state IN ('shadow', 'live', 'degraded') GROUP BY c.name, s.name ORDER BY 3;
  RETURN QUERY
  SELECT 'warning', 'quality_low', format('connection %s: %s, worst is stream %s with %s', quote_ident(c.name), round(avg(q.score), 4), (array_agg(s.name ORDER BY q.score, s.name))[1], min(q.score)),
    'SELECT * FROM cdp_bi.stream_quality WHERE is_newest ORDER BY score'
  FROM cdp_data.connection c CROSS JOIN LATERAL (SELECT DISTINCT ON (x.stream_id) x.stream_id, x.score FROM cdp_data.channel_quality x WHERE x.connection_id = c.connection_id ORDER BY x.stream_id, x.day DESC) q
    JOIN cdp_data.stream s ON s.connection_id = c.connection_id AND s.stream_id = q.stream_id
  WHERE c.state IN ('live', 'degraded') AND q.score IS NOT NULL GROUP BY c.name, c.min_quality HAVING avg(q.score) < c.min_quality ORDER BY 3;
  RETURN QUERY
  SELECT 'warning', 'figures_unread', format('stream %s of connection %s: %s figures could not be read, such as texts that are no numbers', s.name, quote_ident(c.name), p.problems), 'Mend metrics or ref_date of the manifest with cdp.add_connector(): then all are read again'
  FROM cdp_data.metric_progress p JOIN cdp_data.connection c USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE p.problems > 0 AND c.state IN ('shadow', 'live', 'degraded') ORDER BY 3;
  RETURN QUERY
  SELECT 'warning', 'alert_refused', format('alert %s: %s episodes could not be told: %s', quote_ident(a.name), count(*), min(e.failure)), 'Mend the destination: cdp.add_destination(); they are tried again at each cdp.watch()'
  FROM cdp_data.alert_episode e JOIN cdp_data.alert a USING (alert_id) WHERE e.failure IS NOT NULL AND a.is_active GROUP BY a.name ORDER BY 3;
  RETURN QUERY
  SELECT 'warning', 'digest_refused', format('the digest of destination %s could not be written: %s', quote_ident(d.destination), d.failure), 'Mend what it says; it is tried again at each cdp.watch()' FROM cdp_data.digest d WHERE d.failure IS NOT NULL AND d.is_active ORDER BY 3;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_watch() IS
'Findings of cdp.health() about what cdp.watch() found: records whose form changed where the manifest reads them, figures that could not be read, connections below their min_quality, alerts and digests that the outbox refused.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_watch(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  vals text[] := ARRAY(SELECT i.value FROM cdp_data.identifier i WHERE i.identifier_id = ANY (identifiers));
BEGIN
  -- A service may use an identifier as the name of a field.
  DELETE FROM cdp_data.stream_shape h WHERE string_to_array(replace(h.path, '[*]', ''), '.') && vals;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.stream_shape', 'delete', erase_of_values_watch.n;
  DELETE FROM cdp_data.stream_drift d WHERE string_to_array(replace(d.path, '[*]', ''), '.') && vals;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.stream_drift', 'delete', erase_of_values_watch.n;
  -- What an alert said of such a field.
  UPDATE cdp_data.alert_episode e SET detail = 'erased' WHERE EXISTS (SELECT FROM unnest(vals) v WHERE char_length(v) >= 5 AND strpos(e.detail, v) > 0);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.alert_episode', 'clear', erase_of_values_watch.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_watch(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes paths of the forms of records, and their changes, in which an identifier of the person is the name of a field, and empties what alerts said of them. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_watch()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  n bigint;
  more bigint;
BEGIN
  DELETE FROM cdp_data.channel_quality q WHERE q.day < current_date - 800;
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM cdp_data.stream_drift d WHERE d.closed_at < now() - interval '800 days';
  GET DIAGNOSTICS more = ROW_COUNT;
  DELETE FROM cdp_data.channel_anomaly a WHERE a.day < current_date - 800;
  RAISE NOTICE 'maintain: % days of quality and % changes of form older than 800 days', n, more;
  DELETE FROM cdp_data.alert_episode e WHERE e.closed_at < now() - interval '800 days' OR NOT EXISTS (SELECT FROM cdp_data.alert a WHERE a.alert_id = e.alert_id);
  GET DIAGNOSTICS n = ROW_COUNT;
  RAISE NOTICE 'maintain: % episodes of alerts older than 800 days, or of alerts that are gone', n;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_watch() IS
'Part of cdp.maintain(): quality of days, closed changes of form and episodes of alerts older than 800 days, and episodes of alerts that are gone.';

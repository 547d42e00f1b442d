-- Connector room, pulls: what is to be asked now. Reads the manifest, the ledger of days, how far each partition is, wishes and
-- breakers; asks nobody and writes nothing.

CREATE OR REPLACE FUNCTION cdp_internal.stream_order(manifest jsonb) RETURNS TABLE (stream text, level integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
  WITH RECURSIVE s AS (
    SELECT k.key AS stream, k.value #>> '{partition,from}' AS origin FROM jsonb_each(manifest -> 'streams') k
  ), t AS (
    SELECT s.stream, 0 AS level FROM s WHERE s.origin IS NULL
    UNION ALL
    SELECT s.stream, t.level + 1 FROM t JOIN s ON s.origin = t.stream WHERE t.level < 200
  )
  SELECT t.stream, t.level FROM t ORDER BY t.level, t.stream COLLATE "C";
END;
COMMENT ON FUNCTION cdp_internal.stream_order(jsonb) IS
'Streams of a manifest in the order in which they are pulled: each after the one whose records its partitions are. No row for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_values(connection_id integer, manifest jsonb, config jsonb, stream text) RETURNS TABLE (part text, value jsonb, changed_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  spec jsonb := manifest #> ARRAY['streams', stream, 'partition'];
  origin smallint := (SELECT s.stream_id FROM cdp_data.stream s WHERE s.connection_id = stream_values.connection_id AND s.name = spec ->> 'from');
  path text[] := string_to_array(coalesce(spec ->> 'value', '@'), '.');
  has_nobody boolean := NOT EXISTS (SELECT FROM cdp_data.suppression);
BEGIN
  RETURN QUERY
  WITH told AS (
    SELECT v.value, max(v.changed_at) AS changed_at
    FROM (
      SELECT CASE WHEN spec ? 'fields' THEN (SELECT jsonb_object_agg(f.key, r.payload #> string_to_array(f.value, '.')) FROM jsonb_each_text(spec -> 'fields') f) WHEN path = '{@}' THEN r.payload ELSE r.payload #> path END AS value, r.changed_at
      FROM cdp_data.raw_record r WHERE r.connection_id = stream_values.connection_id AND r.stream_id = origin AND r.gone_at IS NULL
      UNION ALL
      SELECT e.value, NULL::timestamptz FROM jsonb_array_elements(CASE WHEN jsonb_typeof(spec -> 'values') = 'array' THEN spec -> 'values' WHEN jsonb_typeof(config -> (spec ->> 'config')) = 'array' THEN config -> (spec ->> 'config') ELSE '[]' END) e
    ) v
    WHERE v.value IS NOT NULL AND jsonb_typeof(v.value) <> 'null' AND v.value <> '""' GROUP BY v.value
  ), allowed AS MATERIALIZED (
    -- All at once: one by one they take two milliseconds each.
    SELECT e.value FROM jsonb_array_elements(CASE WHEN has_nobody THEN '[]' ELSE cdp_internal.allowed_part(manifest, stream, (SELECT jsonb_agg(t.value) FROM told t)) END) e)
  SELECT t.value #>> '{}', t.value, t.changed_at FROM told t WHERE has_nobody OR t.value IN (SELECT a.value FROM allowed a) ORDER BY (t.value #>> '{}') COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_values(integer, jsonb, jsonb, text) IS
'The values that a stream is asked by, each once, without those of people who must not come in again: of records that are not gone, of the config or of the manifest. part: as text; changed_at: when the newest record that says so changed. No row for a stream without partitions. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_chunks(connection_id integer, manifest jsonb, config jsonb, stream text) RETURNS TABLE (part text, value jsonb, changed_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  size integer := coalesce((manifest #>> ARRAY['streams', stream, 'partition', 'chunk'])::integer, 0);
BEGIN
  IF NOT manifest #> ARRAY['streams', stream] ? 'partition' THEN
    RETURN QUERY SELECT '', NULL::jsonb, NULL::timestamptz;
  ELSIF size = 0 THEN
    RETURN QUERY SELECT v.* FROM cdp_internal.stream_values(connection_id, manifest, config, stream) v;
  ELSE
    -- Who was asked together stays together, so that what is known of a list holds on; the smallest list of each, since one
    -- that was split was split for a reason.
    RETURN QUERY
    WITH v AS MATERIALIZED (SELECT * FROM cdp_internal.stream_values(connection_id, manifest, config, stream)),
    known AS MATERIALIZED (
      SELECT p.part, l.value, jsonb_array_length(l.value) AS n FROM cdp_data.stream s JOIN cdp_data.stream_part p ON p.connection_id = s.connection_id AND p.stream_id = s.stream_id CROSS JOIN LATERAL (SELECT cdp_internal.part_list(p.part) AS value OFFSET 0) l
      WHERE s.connection_id = stream_chunks.connection_id AND s.name = stream AND p.gone_at IS NULL AND l.value IS NOT NULL AND (p.last_fetched_at IS NOT NULL OR p.skipped_at IS NOT NULL)
    ), chosen AS MATERIALIZED (
      SELECT DISTINCT ON (e.value) e.value, k.part, k.n, v.changed_at
      FROM known k CROSS JOIN LATERAL jsonb_array_elements(k.value) e JOIN v ON v.value = e.value WHERE k.n <= size ORDER BY e.value, k.n, k.part
    ), kept AS MATERIALIZED (
      SELECT c.part, max(c.changed_at) AS changed_at FROM chosen c GROUP BY c.part, c.n HAVING count(*) = c.n
    ), fresh AS (
      SELECT v.value, v.changed_at, row_number() OVER w - 1 AS nth, sum(octet_length(v.value::text) + 2) OVER w / 2000 AS heap
      FROM v WHERE NOT EXISTS (SELECT FROM chosen c JOIN kept k ON k.part = c.part WHERE c.value = v.value) WINDOW w AS (ORDER BY v.part COLLATE "C", v.value)
    ), lists AS (
      -- A list is a key of the ledger, so it has some 2,000 bytes at most.
      SELECT jsonb_agg(f.value ORDER BY f.nth) AS value, max(f.changed_at) AS changed_at FROM fresh f GROUP BY f.nth / size, f.heap
    )
    SELECT k.part::text, k.part::jsonb, k.changed_at FROM kept k
    UNION ALL
    SELECT l.value::text, l.value, l.changed_at FROM lists l
    ORDER BY 1;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_chunks(integer, jsonb, jsonb, text) IS
'What a stream is asked by, call by call: values, lists of at most chunk of them (those that were asked together stay together), or one empty row for a stream without partitions. part is as in cdp_data.stream_part. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.oldest_day(span jsonb, newest date) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest(CASE WHEN NOT span ? 'history_from' OR span ? 'history_days' THEN newest - coalesce((span ->> 'history_days')::integer, 30) + 1 END, (span ->> 'history_from')::date);
COMMENT ON FUNCTION cdp_internal.oldest_day(jsonb, date) IS
'The first day of the history of a stream (span: its window in the manifest) whose newest day that is ready is given: history_days and history_from bound it, without either it has 30 days. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.plan_days(connection_id integer, manifest jsonb, config jsonb, stream text, as_of timestamptz)
RETURNS TABLE (part text, value jsonb, first_day date, last_day date)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  span jsonb := spec -> 'window';
  zone text := manifest ->> 'tz';
  number smallint := (SELECT s.stream_id FROM cdp_data.stream s WHERE s.connection_id = plan_days.connection_id AND s.name = stream);
  stays integer := coalesce((span ->> 'final_after_days')::integer, (span ->> 'lookback_days')::integer, 0);
  longest integer := CASE WHEN spec ? 'ref_date' THEN coalesce((span ->> 'max_days')::integer, 1) ELSE 1 END;
  -- The newest day that is ready, and since when it is.
  newest date := (as_of AT TIME ZONE zone - coalesce(span ->> 'ready_at', '00:00')::time)::date - 1 - coalesce((span ->> 'delay_days')::integer, 0);
  since timestamptz := cdp_internal.day_ready(newest, spec, zone);
  oldest date := cdp_internal.oldest_day(span, newest);
BEGIN
  IF (span ->> 'history_days')::integer = 0 THEN
    -- What is told as it is now: the day that runs.
    newest := (as_of AT TIME ZONE zone)::date;
    oldest := newest;
  END IF;
  RETURN QUERY
  WITH days AS (
    SELECT p.part, p.value, d.day::date AS day, greatest(CASE WHEN c.state = 'missing' OR c.checked_at > c.pulled_at THEN c.checked_at END, t.skipped_at) AS failed_at
    FROM cdp_internal.stream_chunks(connection_id, manifest, config, stream) p CROSS JOIN LATERAL (SELECT oldest + i AS day FROM generate_series(0, newest - oldest) i) d
      LEFT JOIN cdp_data.coverage c ON c.connection_id = plan_days.connection_id AND c.stream_id = number AND c.part = p.part AND c.day = d.day
      LEFT JOIN cdp_data.stream_part t ON t.connection_id = plan_days.connection_id AND t.stream_id = number AND t.part = p.part
    WHERE CASE coalesce(c.state, 'missing')
      WHEN 'missing' THEN coalesce(c.reason !~ '^(not_ready|fail|retry|slow|split|config)' OR c.checked_at <= as_of - interval '1 hour', true)
      WHEN 'suspect_zero' THEN c.checked_at <= as_of - interval '1 hour'
      -- Rights come and go.
      WHEN 'unavailable' THEN c.checked_at <= as_of - interval '7 days'
      -- Once after each time at which a new day is ready, until the vendor changes it no more, however late that is asked; what is refused keeps a day open for a week longer.
      WHEN 'provisional' THEN coalesce(c.pulled_at, c.checked_at) < since AND (newest <= c.day + stays + 7 OR coalesce(c.pulled_at, c.checked_at) < cdp_internal.day_ready(c.day + stays, spec, zone))
        AND (c.checked_at <= as_of - interval '1 hour' OR c.checked_at <= c.pulled_at)
      ELSE false END
  ), runs AS (
    SELECT d.*, d.day - (row_number() OVER (PARTITION BY d.part ORDER BY d.day))::integer AS run FROM days d
  ), cut AS (
    SELECT r.*, (r.day - min(r.day) OVER (PARTITION BY r.part, r.run)) / longest AS piece FROM runs r
  )
  SELECT c.part, c.value, min(c.day), max(c.day) FROM cut c GROUP BY c.part, c.value, c.run, c.piece
  -- What failed goes behind what did not, or three that never answer would keep all else from being asked.
  ORDER BY max(c.failed_at) NULLS FIRST, max(c.day) DESC, c.part COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_days(integer, jsonb, jsonb, text, timestamptz) IS
'Which windows of a stream that is asked by days are to be pulled at as_of, newest first, what failed last: days of its history that are ready and not there; suspect zeros, and days that the vendor refuses or says not to be ready, an hour after they were asked, those that it did not let be seen after a week; provisional days once after each time at which a new day is ready, until they are final, however late (and a week longer, where records were refused), an hour after an answer that did not tell them. Days without rows in between make one window of at most max_days; streams whose records have no day are asked day by day. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.plan_lists(connection_id integer, manifest jsonb, config jsonb, stream text, as_of timestamptz)
RETURNS TABLE (part text, value jsonb, cursor jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  number smallint := (SELECT s.stream_id FROM cdp_data.stream s WHERE s.connection_id = plan_lists.connection_id AND s.name = stream);
  every interval := coalesce(spec ->> 'every', '1 day')::interval;
  goes_on boolean := coalesce((spec #>> '{cursor,resumable}')::boolean, true);
  keeps boolean := coalesce((spec #>> '{cursor,keep}')::boolean, false);
  holds interval := make_interval(secs => (spec #>> '{cursor,expires_s}')::double precision);
BEGIN
  RETURN QUERY
  SELECT p.part, p.value, CASE WHEN t.done AND keeps OR NOT t.done AND goes_on AND coalesce(t.last_fetched_at + holds > as_of, true) THEN t.next -> 'cursor' END
  FROM cdp_internal.stream_chunks(connection_id, manifest, config, stream) p
    LEFT JOIN cdp_data.stream_part t ON t.connection_id = plan_lists.connection_id AND t.stream_id = number AND t.part = p.part
  WHERE (t.last_fetched_at IS NULL OR NOT coalesce(t.done, false) OR t.last_fetched_at <= as_of - every OR p.changed_at > t.last_fetched_at)
    AND coalesce(t.skipped_at <= as_of - greatest(every, interval '1 day'), true)
  ORDER BY t.last_fetched_at NULLS FIRST, p.part COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_lists(integer, jsonb, jsonb, text, timestamptz) IS
'Which pulls of a stream that is not asked by days are due at as_of, longest ago first: partitions never asked, those whose pull broke off (with its cursor, unless that expires), those asked longer ago than every (default: a day), and those whose own record changed since. Partitions that were left out (skip_partition) wait a day at least. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.plan_wishes(connection_id integer, manifest jsonb, config jsonb, stream text, as_of timestamptz)
RETURNS TABLE (value jsonb, first_day date, last_day date)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  span jsonb := spec -> 'window';
  size integer := coalesce((spec #>> '{partition,chunk}')::integer, 0);
  longest integer := CASE WHEN spec ? 'ref_date' THEN coalesce((span ->> 'max_days')::integer, 1) ELSE 1 END;
  newest date := (as_of AT TIME ZONE (manifest ->> 'tz') - coalesce(span ->> 'ready_at', '00:00')::time)::date - 1 - coalesce((span ->> 'delay_days')::integer, 0);
  oldest date := cdp_internal.oldest_day(span, newest);
BEGIN
  RETURN QUERY
  WITH w AS (
    SELECT x.part, x.wished_at, coalesce(x.first_day, newest - coalesce((span ->> 'lookback_days')::integer, 0)) AS first_day, coalesce(x.last_day, newest) AS last_day
    FROM cdp_data.stream_wish x WHERE x.connection_id = plan_wishes.connection_id AND x.stream = plan_wishes.stream
  ), asked AS (
    SELECT a.value, w.wished_at, w.first_day, w.last_day
    FROM w CROSS JOIN LATERAL (
      SELECT NULL::jsonb AS value WHERE w.part = '' AND NOT spec ? 'partition'
      UNION ALL SELECT to_jsonb(w.part) WHERE w.part <> '' AND spec ? 'partition' AND NOT spec -> 'partition' ? 'fields' AND cdp_internal.allowed_part(manifest, stream, to_jsonb(w.part)) IS NOT NULL
      UNION ALL SELECT v.value FROM cdp_internal.stream_values(connection_id, manifest, config, stream) v WHERE w.part = '' AND spec ? 'partition') a
  ), calls AS (
    SELECT a.value, a.wished_at, a.first_day, a.last_day FROM asked a WHERE size = 0
    UNION ALL
    SELECT jsonb_agg(c.value ORDER BY c.nth), min(c.wished_at), min(c.first_day), max(c.last_day)
    FROM (SELECT a.value, min(a.wished_at) AS wished_at, min(a.first_day) AS first_day, max(a.last_day) AS last_day,
      row_number() OVER (ORDER BY min(a.wished_at), a.value) - 1 AS nth, sum(octet_length(a.value::text) + 2) OVER (ORDER BY min(a.wished_at), a.value) / 2000 AS heap FROM asked a GROUP BY a.value) c
    WHERE size > 0 GROUP BY c.nth / nullif(size, 0), c.heap
  )
  SELECT c.value, d.first_day, least(d.first_day + longest - 1, c.last_day, newest)
  FROM calls c CROSS JOIN LATERAL (
    SELECT NULL::date AS first_day WHERE span IS NULL
    UNION ALL SELECT greatest(c.first_day, oldest) + i FROM generate_series(0, least(c.last_day, newest) - greatest(c.first_day, oldest), longest) i WHERE span IS NOT NULL) d
  ORDER BY c.wished_at, c.value, d.first_day;
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_wishes(integer, jsonb, jsonb, text, timestamptz) IS
'The pulls that wishes for a stream (cdp_data.stream_wish) make, oldest first: values or lists of them, and windows of the days that were wished, or of the newest ones. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.plan_stream(connection_id integer, stream text, as_of timestamptz, most integer DEFAULT 10000) RETURNS TABLE (state jsonb, wished boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  c record;
BEGIN
  SELECT x.config, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = plan_stream.connection_id;
  RETURN QUERY
  SELECT jsonb_strip_nulls(jsonb_build_object('window', CASE WHEN p.first_day IS NOT NULL THEN jsonb_build_object('from', p.first_day, 'to', p.last_day) END))
    || CASE WHEN p.value IS NULL THEN '{}' ELSE jsonb_build_object('partition', p.value) END || CASE WHEN p.cursor IS NULL THEN '{}' ELSE jsonb_build_object('cursor', p.cursor) END, p.wished
  FROM (
    SELECT 0 AS class, true AS wished, w.value, w.first_day, w.last_day, NULL::jsonb AS cursor FROM cdp_internal.plan_wishes(connection_id, c.manifest, c.config, stream, as_of) w
    UNION ALL
    SELECT 1, false, d.value, d.first_day, d.last_day, NULL FROM cdp_internal.plan_days(connection_id, c.manifest, c.config, stream, as_of) d WHERE c.manifest -> 'streams' -> stream ? 'window'
    UNION ALL
    SELECT 2, false, l.value, NULL, NULL, l.cursor FROM cdp_internal.plan_lists(connection_id, c.manifest, c.config, stream, as_of) l WHERE NOT c.manifest -> 'streams' -> stream ? 'window'
  ) p
  LIMIT most;
END
$$;
COMMENT ON FUNCTION cdp_internal.plan_stream(integer, text, timestamptz, integer) IS
'The pulls of a stream that are due at as_of, wishes first, each as the state of cdp_internal.connector_request() without config; at most so many. What stands still for a while (cdp_data.sync_breaker) is not looked at. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.sync_streams(connection_id integer, stream text, as_of timestamptz) RETURNS TABLE (stream_name text, open_until timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT o.stream::text, b.open_until
  FROM cdp_data.connection c CROSS JOIN LATERAL cdp_internal.stream_order(cdp_internal.connector_manifest(c.connector)) o
    LEFT JOIN cdp_data.sync_breaker b ON b.connection_id = c.connection_id AND b.stream = o.stream AND b.open_until > sync_streams.as_of
  WHERE c.connection_id = sync_streams.connection_id AND (sync_streams.stream IS NULL OR o.stream = sync_streams.stream) AND NOT coalesce((cdp_internal.connector_manifest(c.connector) #>> ARRAY['streams', o.stream, 'deliver'])::boolean, false);
END
$$;
COMMENT ON FUNCTION cdp_internal.sync_streams(integer, text, timestamptz) IS
'Streams of a connection in the order of a run (cdp_internal.stream_order()), or the one that is named, and until when each stands still. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.next_connection(role text, began timestamptz, as_of timestamptz) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c record;
BEGIN
  FOR c IN
    SELECT x.connection_id FROM cdp_data.connection x
      LEFT JOIN LATERAL (SELECT max(r.started_at) AS started_at FROM cdp_data.sync_run r WHERE r.connection_id = x.connection_id) r ON true
    WHERE x.state IN ('shadow', 'live', 'degraded') AND cdp_internal.may_use_connection(x.owner, x.owner_oid, role) AND coalesce(r.started_at < began, true)
      AND NOT EXISTS (SELECT FROM cdp_data.sync_breaker b WHERE b.connection_id = x.connection_id AND b.stream = '' AND b.open_until > as_of AND b.since >= cdp_internal.breaker_floor(x.connection_id, x.changed_at))
      AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND l.classid = 0 AND l.objid = x.connection_id::oid AND l.objsubid = 4)
    ORDER BY r.started_at NULLS FIRST, x.connection_id
  LOOP
    IF EXISTS (SELECT FROM cdp_data.callback k WHERE k.connection_id = c.connection_id AND k.state = 'new')
      OR EXISTS (SELECT FROM cdp_internal.sync_streams(c.connection_id, NULL, as_of) s CROSS JOIN LATERAL cdp_internal.plan_stream(c.connection_id, s.stream_name, as_of, 1) p WHERE s.open_until IS NULL) THEN
      RETURN c.connection_id;
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION cdp_internal.next_connection(text, timestamptz, timestamptz) IS
'The connection that cdp.sync_due() pulls next for a role: in shadow, live or degraded, not pulled since began, by nobody now, with something due; the one whose last run is longest ago first. NULL: none. Needs the rights of the tables'' owner.';

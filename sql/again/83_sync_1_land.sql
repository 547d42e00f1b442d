-- Connector room, landing: a page becomes records, and the days of its window become known. The way in is the same for the
-- transport, a gateway, a file and a test; everything of a page happens in one transaction.

CREATE OR REPLACE FUNCTION cdp_internal.page_headers(headers jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(jsonb_object_agg(lower(h.key), left(h.value #>> '{}', 1000) ORDER BY h.key), '{}') FROM jsonb_each(CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END) h
  WHERE lower(h.key) IN ('date', 'content-type', 'content-length', 'content-encoding', 'etag', 'last-modified', 'retry-after', 'error-code', 'x-request-id', 'request-id')
    OR lower(h.key) ~ '^(x-)?rate-?limit-');
COMMENT ON FUNCTION cdp_internal.page_headers(jsonb) IS
'The headers of an answer that are worth keeping, names in lower case: date, type, length, limits of calls, error code. Links repeat what was asked with, also tokens: they, cookies and whatever else is not known do not pass. Empty for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.zero_paths(stream jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (stream #>> '{not_ready,all_zero}')::boolean THEN
  (SELECT CASE WHEN bool_or(p.path ~ '[*$]') THEN NULL ELSE array_agg(p.path ORDER BY p.path) END
   FROM (SELECT coalesce(CASE jsonb_typeof(m.value) WHEN 'object' THEN m.value ->> 'path' END, m.key) AS path FROM jsonb_each(stream -> 'metrics') m) p) END;
COMMENT ON FUNCTION cdp_internal.zero_paths(jsonb) IS
'Paths of the metrics of a stream (its part of the manifest) in a record, for cdp_internal.record_is_zero(). NULL: its zeros mean zero (no not_ready.all_zero), or a metric has no single place.';

CREATE OR REPLACE FUNCTION cdp_internal.record_is_zero(payload jsonb, paths text[]) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_record_is_zero';
COMMENT ON FUNCTION cdp_internal.record_is_zero(jsonb, text[]) IS
'Whether the values of a record at these paths of a manifest are each missing, null, 0 or a dash. NULL without paths. Error 22023: no path.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_number(connection_id integer, stream text) RETURNS smallint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id smallint;
BEGIN
  SELECT s.stream_id INTO id FROM cdp_data.stream s WHERE s.connection_id = stream_number.connection_id AND s.name = stream FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    PERFORM FROM cdp_data.connection c WHERE c.connection_id = stream_number.connection_id FOR NO KEY UPDATE;
    INSERT INTO cdp_data.stream (connection_id, stream_id, name, source_id)
    SELECT c.connection_id, (SELECT coalesce(max(s.stream_id), 0) + 1 FROM cdp_data.stream s WHERE s.connection_id = c.connection_id), stream, c.source_id
    FROM cdp_data.connection c WHERE c.connection_id = stream_number.connection_id
    ON CONFLICT ON CONSTRAINT stream_name_key DO NOTHING;
    SELECT s.stream_id INTO id FROM cdp_data.stream s WHERE s.connection_id = stream_number.connection_id AND s.name = stream FOR NO KEY UPDATE;
  END IF;
  RETURN id;
END
$$;
COMMENT ON FUNCTION cdp_internal.stream_number(integer, text) IS
'Number of a stream of a connection, made when it is new. Keeps other pages of the stream waiting until the transaction ends.';

CREATE OR REPLACE FUNCTION cdp_internal.cursor_chain(connection_id integer, stream_id smallint, cursor jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cursor <> 'null' THEN sha256(convert_to(format('%s %s %s', connection_id, stream_id, cursor), 'UTF8')) END;
COMMENT ON FUNCTION cdp_internal.cursor_chain(integer, smallint, jsonb) IS
'By what a page finds the one before it: a hash of the cursor that one hands out and the other is asked with. A cursor may be an identifier, so it is not kept itself. NULL for NULL and null.';

CREATE OR REPLACE FUNCTION cdp_internal.land_records(p record, manifest jsonb, stream text, doc jsonb, state jsonb, gone integer[], late boolean, late_days datemultirange,
  OUT records integer, OUT inserted integer, OUT changed integer, OUT unchanged integer, OUT held integer, OUT refused integer, OUT suppressed integer, OUT late_ones integer, OUT strays integer,
  OUT days jsonb, OUT keys bigint[], OUT names jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  personal boolean := cdp_internal.stream_is_personal(spec);
  paths text[] := cdp_internal.zero_paths(spec);
  zone text := manifest ->> 'tz';
  wait interval := make_interval(days => 1 + coalesce((spec #>> '{window,delay_days}')::integer, 0)) + coalesce(spec #>> '{window,ready_at}', '00:00')::interval;
  page_id bigint := p.page_id;
  first_day date := p.window_from;
  last_day date := p.window_to;
  -- A day that no record tells is that of the window; of a longer window all of them share the total.
  whole_day text := CASE WHEN NOT spec ? 'ref_date' THEN CASE WHEN first_day = last_day THEN to_char(first_day, 'YYYY-MM-DD') ELSE '*' END END;
  part jsonb := CASE WHEN personal THEN cdp_internal.named_part(p.asked -> 'partition', cdp_internal.part_names(manifest, stream)) END;
  words bigint[] := CASE WHEN NOT personal THEN p.tokens END;
  types text[];
  fields text[];
BEGIN
  IF personal THEN
    -- Identifiers whose field has another name, so that short ones are found, too.
    SELECT array_agg(i.type), array_agg(i.path) INTO types, fields FROM cdp_internal.stream_identifiers(spec) i WHERE cdp_internal.last_step(i.path) <> i.type AND i.path !~ '^[$]';
  END IF;
  DELETE FROM cdp_data.raw_refused f WHERE f.page_id = p.page_id;
  WITH page AS MATERIALIZED (
    SELECT c.n, c.record_key, c.ref_date, c.payload, c.problem, coalesce(cdp_internal.record_is_zero(c.payload, paths), false) AS is_zero, gone <> '{}' AND c.n = ANY (gone) AS is_gone,
      CASE WHEN types IS NOT NULL THEN (SELECT jsonb_object_agg(t.type, c.payload #> string_to_array(t.path, '.')) FROM unnest(types, fields) AS t (type, path)) END AS names
    FROM cdp_internal.connector_page(manifest, stream, doc, state) c
  ), good AS (
    -- Of a key that comes twice the last one counts.
    SELECT DISTINCT ON (g.record_key) g.* FROM page g WHERE g.problem IS NULL AND NOT g.is_gone ORDER BY g.record_key, g.n DESC
  ), met AS (
    SELECT g.record_key, g.ref_date, g.payload, g.is_zero, g.names, o.revision, o.payload AS old_payload, o.ref_date AS old_date, o.changed_at AS old_at, o.tokens AS old_tokens, o.ctid AS old_ctid, o.zero_at AS old_zero, o.gone_at AS old_gone, o.part AS old_part,
      o.is_zero AS old_is_zero, o.record_key IS NULL AS is_new, o.gone_at IS NULL AND o.payload = g.payload AND o.ref_date IS NOT DISTINCT FROM g.ref_date AS is_same,
      coalesce((g.ref_date + wait) AT TIME ZONE zone <= p.fetched_at, true) AS is_ready,
      late OR NOT isempty(late_days) AND coalesce(late_days @> g.ref_date, true) AS is_late,
      -- What came from this page itself it may change again; also what another page of its pull found gone.
      o.page_id = p.page_id OR o.gone_at IS NOT NULL AND p.pull_id = (SELECT x.pull_id FROM cdp_data.raw_page x WHERE x.page_id = o.page_id) AS is_own
    FROM good g LEFT JOIN LATERAL (SELECT x.*, x.ctid FROM cdp_data.raw_record x WHERE x.connection_id = p.connection_id AND x.stream_id = p.stream_id AND x.record_key = g.record_key LIMIT 1) o ON true
  ), judged AS MATERIALIZED (
    SELECT m.*, CASE WHEN m.is_new THEN 'new'
        WHEN m.is_same THEN 'same'
        -- An older page that comes later, or a replay, changes only what came from it.
        WHEN (m.is_late OR p.fetched_at < m.old_at) AND NOT coalesce(m.is_own, false) THEN 'late'
        WHEN m.old_gone IS NOT NULL THEN 'back'
        WHEN m.is_zero AND NOT m.old_is_zero AND NOT coalesce(m.old_zero + interval '1 hour' <= p.fetched_at AND m.is_ready, false) THEN 'held'
        ELSE 'changed' END AS fate
    FROM met m
  ), history AS (
    INSERT INTO cdp_data.raw_record_history (connection_id, stream_id, record_key, revision, source_id, ref_date, from_at, to_at, page_id, gone_at, payload, tokens)
    SELECT p.connection_id, p.stream_id, j.record_key, j.revision, p.source_id, j.old_date, j.old_at, p.fetched_at, p.page_id, j.old_gone, j.old_payload, j.old_tokens FROM judged j WHERE j.fate IN ('changed', 'back')
  ), put AS (
    -- Nobody else writes records of this stream: its row is locked.
    INSERT INTO cdp_data.raw_record (connection_id, stream_id, record_key, source_id, part, ref_date, page_id, first_seen_at, changed_at, is_zero, payload, tokens)
    SELECT p.connection_id, p.stream_id, j.record_key, p.source_id, p.part, j.ref_date, p.page_id, p.fetched_at, p.fetched_at, j.is_zero, j.payload,
      CASE WHEN personal THEN cdp_internal.content_tokens(jsonb_build_array(j.payload, j.record_key, part, j.names)) ELSE words END
    FROM judged j WHERE j.is_new
  ), moved AS (
    UPDATE cdp_data.raw_record r SET part = p.part, ref_date = j.ref_date, page_id = p.page_id, changed_at = p.fetched_at, is_zero = j.is_zero, zero_at = NULL, gone_at = NULL, payload = j.payload, revision = r.revision + 1,
      tokens = CASE WHEN personal THEN cdp_internal.content_tokens(jsonb_build_array(j.payload, j.record_key, part, j.names)) ELSE words END
    FROM judged j WHERE r.ctid = j.old_ctid AND j.fate IN ('changed', 'back')
  ), kept AS (
    -- A zero is remembered until it is told again; a value ends the doubt. A stream that may name people since its manifest was mended gets its words, and who asks for a record owns it.
    UPDATE cdp_data.raw_record r SET zero_at = CASE WHEN j.fate = 'held' THEN coalesce(r.zero_at, CASE WHEN j.is_ready THEN p.fetched_at END) WHEN j.is_late THEN r.zero_at END,
      part = CASE WHEN j.is_late THEN r.part ELSE p.part END,
      tokens = CASE WHEN NOT personal THEN words WHEN j.old_tokens IS NULL OR j.old_part <> p.part THEN cdp_internal.content_tokens(jsonb_build_array(r.payload, j.record_key, part, j.names)) ELSE j.old_tokens END
    FROM judged j
    WHERE r.ctid = j.old_ctid
      AND (j.fate = 'held' AND j.old_zero IS NULL AND j.is_ready OR j.fate = 'same' AND (j.old_zero IS NOT NULL AND NOT j.is_late OR j.old_part <> p.part AND NOT j.is_late OR personal AND j.old_tokens IS NULL))
  ), found AS (
    UPDATE cdp_data.raw_record_history h SET tokens = cdp_internal.content_tokens(jsonb_build_array(h.payload, h.record_key, part))
    FROM (SELECT x.ctid FROM judged j CROSS JOIN LATERAL (SELECT y.ctid FROM cdp_data.raw_record_history y
        WHERE y.connection_id = p.connection_id AND y.stream_id = p.stream_id AND y.record_key = j.record_key AND y.tokens IS NULL OFFSET 0) x
      WHERE personal AND NOT j.is_new AND j.old_tokens IS NULL) x
    WHERE h.ctid = x.ctid
  ), bad AS (
    INSERT INTO cdp_data.raw_refused (page_id, n, connection_id, stream_id, source_id, code, payload, refused_at, tokens)
    SELECT p.page_id, b.n, p.connection_id, p.stream_id, p.source_id, b.problem, b.payload, p.fetched_at, CASE WHEN personal THEN cdp_internal.content_tokens(jsonb_build_array(b.payload, part, b.names)) ELSE words END
    FROM page b WHERE b.problem IS NOT NULL AND NOT b.is_gone
  )
  SELECT (SELECT count(*) FROM page), count(*) FILTER (WHERE j.fate = 'new'), count(*) FILTER (WHERE j.fate IN ('changed', 'back')), count(*) FILTER (WHERE j.fate = 'same'), count(*) FILTER (WHERE j.fate = 'held'),
    (SELECT count(*) FROM page b WHERE b.problem IS NOT NULL AND NOT b.is_gone), (SELECT count(*) FROM page b WHERE b.is_gone), count(*) FILTER (WHERE j.fate = 'late'),
    count(*) FILTER (WHERE j.ref_date NOT BETWEEN first_day AND last_day),
    (SELECT jsonb_object_agg(d.day, jsonb_build_array(d.n, d.nonzero, d.moved)) FROM (
       SELECT coalesce(whole_day, to_char(x.ref_date, 'YYYY-MM-DD')) AS day, count(*) AS n, count(*) FILTER (WHERE NOT x.is_zero) AS nonzero, count(*) FILTER (WHERE x.fate IN ('new', 'changed', 'back')) AS moved
       FROM judged x WHERE first_day IS NOT NULL AND (whole_day IS NOT NULL OR x.ref_date BETWEEN first_day AND last_day) GROUP BY 1) d),
    array_agg(hashtextextended(j.record_key, 0)),
    CASE WHEN types IS NOT NULL THEN (SELECT jsonb_agg(g.names) FROM page g WHERE NOT g.is_gone) END
  INTO records, inserted, changed, unchanged, held, refused, suppressed, late_ones, strays, days, keys, names FROM judged j;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_records(record, jsonb, text, jsonb, jsonb, integer[], boolean, datemultirange) IS
'Writes the records of a page whose document is doc: new ones, changed ones with their earlier value to the history, bad ones to cdp_data.raw_refused; not those that gone numbers. late, or on these days: only what is not known yet is written, or what came from this page. days: of the window, as cdp_data.raw_page.days; keys: hashes of their keys; strays: those of days outside of the window. Memory: the records of a page some times over, above 64 MB on disk. Needs the rights of the tables'' owner and cdp_internal.stream_number().';

CREATE OR REPLACE FUNCTION cdp_internal.land_page(connection_id integer, stream text, body bytea, part jsonb, window_from date, window_to date, cursor jsonb, status integer, headers jsonb, fetched_at timestamptz)
RETURNS TABLE (page_id bigint, verb text, code text, records_read integer, inserted integer, changed integer, unchanged integer, held integer, refused integer, suppressed integer,
  next jsonb, done boolean, until_at timestamptz, problem text, late integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  p cdp_data.raw_page;
  spec jsonb;
  asked jsonb := nullif(part, 'null');
BEGIN
  SELECT x.source_id, x.config, x.state, x.name, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = land_page.connection_id;
  spec := c.manifest -> 'streams' -> stream;
  PERFORM cdp_internal.require_page(c.name, c.state, c.manifest, stream, body, part, window_from, window_to, cursor, status, fetched_at);
  p.connection_id := connection_id;
  p.source_id := c.source_id;
  p.stream_id := cdp_internal.stream_number(connection_id, stream);
  IF asked IS NOT NULL THEN
    PERFORM cdp_internal.guard_batch();
    asked := cdp_internal.allowed_part(c.manifest, stream, asked);
    IF asked IS DISTINCT FROM part THEN
      PERFORM cdp_internal.count_suppressed(p.source_id, 1);
    END IF;
    IF asked IS NULL THEN
      -- It was asked about somebody who must not come in again: not even that is kept.
      RETURN QUERY SELECT NULL::bigint, 'skip_partition', NULL::text, 0, 0, 0, 0, 0, 0, 1, NULL::jsonb, true, NULL::timestamptz, 'asked about somebody who is suppressed', 0;
      RETURN;
    END IF;
  END IF;
  p.part := coalesce(asked #>> '{}', '');
  p.window_from := window_from;
  p.window_to := window_to;
  p.asked := jsonb_strip_nulls(jsonb_build_object('window', CASE WHEN window_from IS NOT NULL THEN jsonb_build_object('from', window_from, 'to', window_to) END))
    || CASE WHEN asked IS NULL THEN '{}' ELSE jsonb_build_object('partition', asked) END || CASE WHEN cursor IS NULL OR cursor = 'null' THEN '{}' ELSE jsonb_build_object('cursor', cursor) END;
  p.fetched_at := fetched_at;
  p.status := status;
  p.headers := cdp_internal.page_headers(headers);
  p.body := body;
  p.digest := sha256(convert_to(format('%s|%s|%s|', p.asked, (extract(epoch FROM fetched_at) * 1000000)::bigint, status), 'UTF8') || body);
  SELECT r.page_id INTO p.page_id FROM cdp_data.raw_page r WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.digest = p.digest;
  IF FOUND THEN
    -- Told twice: as it was landed the first time, and nothing more.
    RETURN QUERY SELECT r.page_id, r.verb, r.code, r.records, 0, 0, r.records, 0, 0, 0, CASE WHEN t.page_id = r.page_id THEN t.next END, r.done, NULL::timestamptz, coalesce(r.problem, 'told before'), 0
    FROM cdp_data.raw_page r LEFT JOIN cdp_data.stream_part t ON t.connection_id = r.connection_id AND t.stream_id = r.stream_id AND t.part = r.part WHERE r.page_id = p.page_id;
    RETURN;
  END IF;
  p.page_id := nextval('cdp_data.raw_page_page_id_seq');
  IF p.asked ? 'cursor' THEN
    -- The page that hands out this cursor, of a pull that has not come to its end.
    SELECT x.pull_id, x.nth + 1 INTO p.pull_id, p.nth FROM cdp_data.raw_page x
    WHERE x.connection_id = p.connection_id AND x.stream_id = p.stream_id AND x.chain = cdp_internal.cursor_chain(p.connection_id, p.stream_id, cursor) AND x.part = p.part
      AND x.window_from IS NOT DISTINCT FROM p.window_from AND x.window_to IS NOT DISTINCT FROM p.window_to AND x.fetched_at <= p.fetched_at
      AND NOT EXISTS (SELECT FROM cdp_data.raw_page e WHERE e.pull_id = x.pull_id AND e.done)
    ORDER BY x.page_id DESC LIMIT 1;
  END IF;
  IF p.pull_id IS NULL AND (NOT p.asked ? 'cursor' OR (spec #>> '{cursor,keep}')::boolean) THEN
    p.pull_id := p.page_id;
    p.nth := 1;
  END IF;
  IF current_setting('transaction_isolation') = 'read committed' THEN
    RETURN QUERY SELECT l.* FROM cdp_internal.land_body(p, c.manifest, stream, c.config, headers, false) l;
  ELSE
    BEGIN
      RETURN QUERY SELECT l.* FROM cdp_internal.land_body(p, c.manifest, stream, c.config, headers, false) l;
    EXCEPTION WHEN unique_violation THEN
      -- Its error would show the key of a record.
      RAISE EXCEPTION 'pages of stream "%" landed since the snapshot of this transaction was taken', stream USING ERRCODE = 'serialization_failure', HINT = 'Land it again.';
    END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_page(integer, text, bytea, jsonb, date, date, jsonb, integer, jsonb, timestamptz) IS
'What cdp.ingest_page() does, for cdp_data.page_ingest() and the transport. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.require_running(name text, state text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF state IN ('suspended', 'retired') THEN
    RAISE EXCEPTION 'connection "%" is %', name, state USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nothing lands while it stands still: SELECT cdp.resume_connection(...) first.';
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_running(text, text) IS
'Error 55000 when a connection in this state lands nothing.';

CREATE OR REPLACE FUNCTION cdp_internal.require_page(name text, state text, manifest jsonb, stream text, body bytea, part jsonb, window_from date, window_to date, cursor jsonb, status integer, fetched_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
BEGIN
  PERFORM cdp_internal.require_running(name, state);
  IF manifest IS NULL THEN
    RAISE EXCEPTION 'the connector of connection "%" is not known any more', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give it again with cdp.add_connector().';
  ELSIF spec IS NULL THEN
    RAISE EXCEPTION 'connector has no stream "%"', left(coalesce(stream, 'NULL'), 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(stream, ARRAY(SELECT k FROM jsonb_object_keys(manifest -> 'streams') k), 'SELECT stream FROM cdp_bi.connector lists them.');
  ELSIF body IS NULL OR status IS NULL OR fetched_at IS NULL THEN
    RAISE EXCEPTION 'body, status and fetched_at must be told' USING ERRCODE = 'null_value_not_allowed', HINT = 'An answer without a body has an empty one: ''''::bytea.';
  ELSIF status NOT BETWEEN 100 AND 599 THEN
    RAISE EXCEPTION 'a status is from 100 to 599' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', status);
  ELSIF NOT isfinite(fetched_at) OR fetched_at > clock_timestamp() + interval '5 minutes' THEN
    RAISE EXCEPTION 'fetched_at is no time at which a page can have been fetched'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', fetched_at), HINT = 'At most 5 minutes ahead of this server''s clock: a page of the future would make all others late.';
  ELSIF octet_length(body) > 33554432 THEN
    RAISE EXCEPTION 'a page has at most 32 MiB' USING ERRCODE = 'program_limit_exceeded', DETAIL = format('Got %s bytes.', octet_length(body)), HINT = 'Ask for smaller pages or windows.';
  ELSIF octet_length(part #>> '{}') > 2000 THEN
    RAISE EXCEPTION 'a partition has at most 2000 bytes' USING ERRCODE = 'program_limit_exceeded', DETAIL = format('Got %s bytes.', octet_length(part #>> '{}')), HINT = 'Of a list, ask fewer at a time.';
  ELSIF (spec ? 'window') IS DISTINCT FROM (window_from IS NOT NULL) OR (window_from IS NULL) <> (window_to IS NULL) THEN
    RAISE EXCEPTION 'stream "%" is %asked by days', stream, CASE WHEN spec ? 'window' THEN '' ELSE 'not ' END
      USING ERRCODE = 'invalid_parameter_value', HINT = CASE WHEN spec ? 'window' THEN 'Give window_from and window_to, both within.' ELSE 'Leave window_from and window_to out.' END;
  ELSIF window_from > window_to OR NOT isfinite(window_from) OR NOT isfinite(window_to) OR window_to - window_from >= (spec #>> '{window,max_days}')::integer THEN
    RAISE EXCEPTION 'this is no window of stream "%"', stream
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('From %s to %s.', window_from, window_to), HINT = format('At most %s days, both within.', spec #>> '{window,max_days}');
  ELSIF (spec ? 'partition') IS DISTINCT FROM (part IS NOT NULL AND part <> 'null') THEN
    RAISE EXCEPTION 'stream "%" is %asked by partition', stream, CASE WHEN spec ? 'partition' THEN '' ELSE 'not ' END
      USING ERRCODE = 'invalid_parameter_value', HINT = CASE WHEN spec ? 'partition' THEN 'Give part: the value that was asked for, as JSON.' ELSE 'Leave part out.' END;
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.require_page(text, text, jsonb, text, bytea, jsonb, date, date, jsonb, integer, timestamptz) IS
'Refuses what can not be a page of a stream: see the errors of cdp.ingest_page().';

CREATE OR REPLACE FUNCTION cdp_internal.newer_days(p record) RETURNS datemultirange
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
  RETURN coalesce((SELECT range_agg(daterange(greatest(x.window_from, p.window_from), least(x.window_to, p.window_to), '[]')) FROM cdp_data.raw_page x
    WHERE x.connection_id = p.connection_id AND x.stream_id = p.stream_id AND x.part = p.part AND x.window_from BETWEEN p.window_from - 400 AND p.window_to AND x.window_to >= p.window_from
      AND x.fetched_at > p.fetched_at AND x.verb IN ('ok', 'ignore')), '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.newer_days(record) IS
'Days of the window of a page (of cdp_data.raw_page) about which pages have landed that were fetched after it.';

CREATE OR REPLACE FUNCTION cdp_internal.land_body(p record, manifest jsonb, stream text, config jsonb, headers jsonb, again boolean)
RETURNS TABLE (page_id bigint, verb text, code text, records_read integer, inserted integer, changed integer, unchanged integer, held integer, refused integer, suppressed integer,
  next jsonb, done boolean, until_at timestamptz, problem text, late integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  personal boolean := cdp_internal.stream_is_personal(spec);
  keeps boolean := coalesce((spec #>> '{cursor,keep}')::boolean, false);
  state jsonb := p.asked || jsonb_build_object('config', config);
  part jsonb := cdp_internal.named_part(p.asked -> 'partition', cdp_internal.part_names(manifest, stream));
  part_words bigint[] := nullif(cdp_internal.content_tokens(part), '{}');
  is_late boolean := coalesce(p.fetched_at < (SELECT t.last_fetched_at FROM cdp_data.stream_part t WHERE t.connection_id = p.connection_id AND t.stream_id = p.stream_id AND t.part = p.part), false);
  late_days datemultirange := CASE WHEN is_late AND NOT again AND p.window_from IS NOT NULL THEN cdp_internal.newer_days(p) ELSE '{}' END;
  gone integer[] := '{}';
  named boolean := false;
  was bigint[] := p.keys;
  was_done boolean := coalesce(p.done, false);
  d record;
  v record;
  n record;
  r record;
BEGIN
  SELECT 0 AS inserted, 0 AS changed, 0 AS unchanged, 0 AS held, 0 AS refused, 0 AS suppressed, 0 AS late_ones, NULL::jsonb AS names INTO r;
  d := cdp_internal.connector_decode(manifest, stream, p.body);
  v := cdp_internal.connector_verdict(manifest, stream, p.status, headers, d.doc, p.fetched_at);
  p.verb := v.verb;
  p.code := v.code;
  p.scrubbed := coalesce(d.scrubbed, 0);
  p.records := 0;
  p.refused := 0;
  p.days := NULL;
  p.keys := NULL;
  p.done := NULL;
  p.broken := false;
  p.chain := NULL;
  p.problem := d.problem;
  p.unread := d.doc IS NULL AND p.body <> '';
  p.tokens := part_words;
  IF personal AND d.doc IS NOT NULL THEN
    PERFORM cdp_internal.guard_batch();
    -- Whom the records do not name, what stands beside them may; texts that hold JSON are looked into with the records.
    IF EXISTS (SELECT FROM cdp_data.suppression) THEN
      named := cdp_internal.suppressed_records(manifest, stream, ARRAY[d.doc]) <> '{}';
      IF v.verb = 'ok' AND (named OR spec ? 'unpack') THEN
        SELECT coalesce(array_agg(x.ns[i]), '{}') INTO gone
        FROM (SELECT array_agg(jsonb_build_array(c.payload, c.record_key) ORDER BY c.n) AS docs, array_agg(c.n ORDER BY c.n) AS ns FROM cdp_internal.connector_page(manifest, stream, d.doc, state) c) x
          CROSS JOIN LATERAL unnest(cdp_internal.suppressed_records(manifest, stream, x.docs)) i;
        named := named OR gone <> '{}';
      END IF;
    END IF;
  END IF;
  IF v.verb IN ('ok', 'ignore') THEN
    IF v.verb = 'ok' AND d.doc IS NOT NULL THEN
      IF p.nth > 1 THEN
        state := state || coalesce((SELECT jsonb_build_object('page_digest', x.page_digest, 'pages', p.nth - 1) FROM cdp_data.raw_page x
          WHERE x.pull_id = p.pull_id AND x.nth = p.nth - 1 AND x.page_digest IS NOT NULL ORDER BY x.page_id DESC LIMIT 1), jsonb_build_object('pages', p.nth - 1));
      END IF;
      n := cdp_internal.connector_next(manifest, stream, d.doc, headers, state);
      r := cdp_internal.land_records(p, manifest, stream, d.doc, state, gone, again OR is_late AND p.window_from IS NULL, late_days);
      p.problem := coalesce(n.problem, p.problem);
      p.broken := n.problem IS NOT NULL;
      p.records := r.records;
      p.refused := r.refused;
      p.days := r.days;
      p.keys := r.keys;
      p.page_digest := CASE WHEN NOT named THEN n.next ->> 'page_digest' END;
      next := n.next - CASE WHEN named THEN '{config,page_digest}'::text[] ELSE '{config}' END;
      done := n.done;
      IF r.strays > 0 THEN
        UPDATE cdp_data.stream s SET strays = true WHERE s.connection_id = p.connection_id AND s.stream_id = p.stream_id AND NOT s.strays;
      END IF;
    ELSE
      done := true;
    END IF;
    p.done := done;
    p.chain := CASE WHEN NOT done THEN cdp_internal.cursor_chain(p.connection_id, p.stream_id, next -> 'cursor') END;
  END IF;
  IF personal AND d.doc IS NOT NULL AND NOT named THEN
    p.tokens := cdp_internal.content_tokens(jsonb_build_array(d.doc, p.asked, part, CASE WHEN v.verb = 'ok' THEN r.names END));
  END IF;
  -- What names somebody who must not come in again is not kept at all, nor are the hashes of its words; what was refused in it could not be read again.
  IF named THEN
    p.body := NULL;
    p.asked := p.asked - 'cursor';
    p.tokens := NULL;
    p.problem := coalesce(p.problem, 'named somebody who is suppressed' || CASE WHEN r.refused > 0 THEN format(', %s refused records were not kept', r.refused) ELSE '' END);
    DELETE FROM cdp_data.raw_refused f WHERE f.page_id = p.page_id;
    PERFORM cdp_internal.count_suppressed(p.source_id, greatest(r.suppressed, 1));
  END IF;
  IF again THEN
    UPDATE cdp_data.raw_page x SET verb = p.verb, code = p.code, problem = p.problem, unread = p.unread, scrubbed = p.scrubbed, records = p.records, refused = p.refused, days = p.days, keys = p.keys, done = p.done,
      broken = p.broken, chain = p.chain, page_digest = p.page_digest, body = p.body, asked = p.asked, tokens = p.tokens WHERE x.page_id = p.page_id;
    PERFORM cdp_internal.drop_keys(p, was);
  ELSE
    p.landed_at := clock_timestamp();
    INSERT INTO cdp_data.raw_page SELECT p.*;
    -- After an answer that is no page, what to ask with is what it was.
    INSERT INTO cdp_data.stream_part AS t (connection_id, stream_id, part, source_id, last_fetched_at, page_id, next, done, tokens)
    VALUES (p.connection_id, p.stream_id, p.part, p.source_id, CASE WHEN done IS NOT NULL THEN p.fetched_at END, CASE WHEN done IS NOT NULL THEN p.page_id END, next, done, part_words)
    ON CONFLICT ON CONSTRAINT stream_part_pkey DO UPDATE
    SET last_fetched_at = excluded.last_fetched_at, page_id = excluded.page_id, next = CASE WHEN keeps AND excluded.next IS NULL THEN t.next ELSE excluded.next END, done = excluded.done
    WHERE excluded.done IS NOT NULL AND (t.last_fetched_at IS NULL OR t.last_fetched_at <= excluded.last_fetched_at);
  END IF;
  IF again THEN
    PERFORM cdp_internal.cover_again(p, manifest, stream, was_done);
  ELSE
    PERFORM cdp_internal.cover_page(p, manifest, stream, is_late, late_days);
  END IF;
  RETURN QUERY SELECT p.page_id, p.verb, p.code, p.records, r.inserted, r.changed, r.unchanged, r.held, r.refused, r.suppressed, next, done, v.until_at, p.problem, r.late_ones;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_body(record, jsonb, text, jsonb, jsonb, boolean) IS
'Reads the body of a page and writes all that follows from it: records, the page, the cursor, the days. again: it is a page that landed before. Needs the rights of the tables'' owner and cdp_internal.stream_number().';

CREATE OR REPLACE FUNCTION cdp_internal.land_again(page_id bigint)
RETURNS TABLE (verb text, records_read integer, inserted integer, changed integer, unchanged integer, held integer, refused integer, suppressed integer, problem text, late integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  p cdp_data.raw_page;
BEGIN
  SELECT x.name, x.config, x.state, s.name AS stream, cdp_internal.connector_manifest(x.connector) AS manifest, x.connection_id INTO c
  FROM cdp_data.raw_page r JOIN cdp_data.connection x USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE r.page_id = land_again.page_id;
  PERFORM cdp_internal.require_running(c.name, c.state);
  PERFORM cdp_internal.stream_number(c.connection_id, c.stream);
  SELECT r.* INTO p FROM cdp_data.raw_page r WHERE r.page_id = land_again.page_id;
  IF NOT FOUND OR p.body IS NULL THEN
    RAISE EXCEPTION 'page % has no body any more', page_id USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'It named somebody who must not come in again, or was erased: pull it again.';
  ELSIF c.manifest -> 'streams' -> c.stream IS NULL THEN
    RAISE EXCEPTION 'the connector of connection "%" has no stream "%" any more', c.name, c.stream USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Mend its manifest with cdp.add_connector().';
  END IF;
  IF p.asked ? 'partition' THEN
    PERFORM cdp_internal.guard_batch();
    IF cdp_internal.allowed_part(c.manifest, c.stream, p.asked -> 'partition') IS DISTINCT FROM p.asked -> 'partition' THEN
      PERFORM cdp_internal.count_suppressed(p.source_id, 1);
      RETURN QUERY SELECT 'skip_partition', 0, 0, 0, 0, 0, 0, 1, 'asked about somebody who is suppressed', 0;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT l.verb, l.records_read, l.inserted, l.changed, l.unchanged, l.held, l.refused, l.suppressed, l.problem, l.late
  FROM cdp_internal.land_body(p, c.manifest, c.stream, c.config, p.headers, true) l;
  -- What it said is read anew for what it means; who reads them for the first time now is waited for.
  INSERT INTO cdp_data.metric_progress AS m (connection_id, stream_id, source_id, page_id, declared, mapped_at)
  SELECT p.connection_id, p.stream_id, p.source_id, 0, '', clock_timestamp() WHERE c.manifest #> ARRAY['streams', c.stream] ? 'metrics'
  ON CONFLICT ON CONSTRAINT metric_progress_pkey DO UPDATE SET page_id = least(m.page_id, p.page_id - 1);
  INSERT INTO cdp_data.map_progress AS m (connection_id, stream_id, what, source_id, page_id, declared, mapped_at)
  SELECT p.connection_id, p.stream_id, w.what, p.source_id, 0, '', clock_timestamp() FROM unnest('{content,touchpoint}'::text[]) w (what) WHERE c.manifest #> ARRAY['streams', c.stream] ? w.what
  ON CONFLICT ON CONSTRAINT map_progress_pkey DO UPDATE SET page_id = least(m.page_id, p.page_id - 1);
  -- So is what claims a value that it made known.
  INSERT INTO cdp_data.map_progress AS m (connection_id, stream_id, what, source_id, page_id, declared, mapped_at)
  SELECT p.connection_id, t.stream_id, 'touchpoint', p.source_id, 0, '', clock_timestamp() FROM cdp_data.stream t
  WHERE t.connection_id = p.connection_id AND c.stream IN (SELECT k.stream_name FROM cdp_internal.touch_claims(c.manifest #> ARRAY['streams', t.name]) k)
  ON CONFLICT ON CONSTRAINT map_progress_pkey DO UPDATE SET known_page_id = least(m.known_page_id, p.page_id - 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.land_again(bigint) IS 'What cdp.replay_page() does, for cdp_data.page_replay(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.ingest_page(connection text, stream text, body bytea, part jsonb DEFAULT NULL, window_from date DEFAULT NULL, window_to date DEFAULT NULL, cursor jsonb DEFAULT NULL,
  status integer DEFAULT 200, headers jsonb DEFAULT '{}', fetched_at timestamptz DEFAULT clock_timestamp(),
  OUT page_id bigint, OUT verb text, OUT code text, OUT records_read integer, OUT inserted integer, OUT changed integer, OUT unchanged integer, OUT held integer, OUT refused integer, OUT suppressed integer,
  OUT next jsonb, OUT done boolean, OUT until_at timestamptz, OUT problem text, OUT late integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT r.* INTO page_id, verb, code, records_read, inserted, changed, unchanged, held, refused, suppressed, next, done, until_at, problem, late
  FROM cdp_data.page_ingest(connection, stream, body, part, window_from, window_to, cursor, status, headers, fetched_at) r;
END
$$;
COMMENT ON FUNCTION cdp.ingest_page(text, text, bytea, jsonb, date, date, jsonb, integer, jsonb, timestamptz) IS
'Lands one answer of another system as it came, whoever fetched it: the page, its records, how far the stream is and which days are there, in one transaction. part: the partition that was asked for; window_from, window_to: the days, both within, of the zone of the manifest; cursor: that of next of the page before, NULL for the first page; headers: an object. The same page told twice (all the same, also fetched_at) changes nothing. verb: what to do, cdp_internal.connector_verdict(); unless it is ok or ignore, no record is read. records_read = inserted + changed + unchanged + held + refused + suppressed + late + those whose key came again in the page. held: zeros where there is a value, until another pull an hour later says so as well; refused: cdp_data.raw_refused; suppressed: names somebody who was erased. next: with what to ask next (partition, window, cursor); done: the pull has ended, with a problem it broke off; until_at: not before. late: told otherwise by a page about the same days that was fetched later and landed before; of such days a page only adds records that are not known. For members of the connection''s owner with the part of admin, marketer or connector, and the owner of the tables. Errors: 22023 unknown connection or stream, or not how it is asked; 22004 no body, status or time; 42501 may not use it; 54000 above 32 MiB or 100,000 records, a part above 2,000 bytes; 55000 suspended, retired, or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.replay_page(page_id bigint,
  OUT verb text, OUT records_read integer, OUT inserted integer, OUT changed integer, OUT unchanged integer, OUT held integer, OUT refused integer, OUT suppressed integer, OUT problem text, OUT late integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT r.* INTO verb, records_read, inserted, changed, unchanged, held, refused, suppressed, problem, late FROM cdp_data.page_replay(page_id) r;
END
$$;
COMMENT ON FUNCTION cdp.replay_page(bigint) IS
'Reads a page that landed once more, by the manifest of today: what was refused and is good now becomes records, what this page said last is read anew (a record whose key it makes no more is gone), what later pages said stays (late); days are told by the newest whole pull about them. Counts as cdp.ingest_page(). Rights as there. Errors: 22023 no such page; 55000 its body was not kept, the connection is suspended or retired.';

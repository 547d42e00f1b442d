-- Connector room, landing: a page becomes records, and the days of its window become known. The way in is the same for the
-- transport, a gateway, a file and a test; everything of a page happens in one transaction.

CREATE OR REPLACE FUNCTION cdp_internal.page_headers(headers jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(jsonb_object_agg(lower(h.key), left(h.value #>> '{}', 1000) ORDER BY h.key), '{}') FROM jsonb_each(CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END) h
  WHERE lower(h.key) IN ('date', 'content-type', 'content-length', 'content-encoding', 'etag', 'last-modified', 'retry-after', 'error-code', 'x-request-id', 'request-id')
    OR lower(h.key) ~ '^(x-)?rate-?limit-');
COMMENT ON FUNCTION cdp_internal.page_headers(jsonb) IS
'The headers of an answer that are worth keeping, names in lower case: date, type, length, limits of calls, error code. Links repeat what was asked with, also tokens: they, cookies and whatever else is not known do not pass. Empty for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.stream_is_personal(stream jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN NOT (stream ? 'metrics') OR stream ?| '{pii,touchpoint}';
COMMENT ON FUNCTION cdp_internal.stream_is_personal(jsonb) IS
'Whether records of a stream (its part of the manifest) may name people: all streams but those of figures (metrics) that name neither touchpoints nor paths of personal data. Words of such records are kept as hashes, by which exports and erasures find them. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.zero_paths(stream jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (stream #>> '{not_ready,all_zero}')::boolean THEN
  (SELECT CASE WHEN bool_or(p.path ~ '[*$]') THEN NULL ELSE array_agg(p.path ORDER BY p.path) END
   FROM (SELECT replace(replace(coalesce(CASE jsonb_typeof(m.value) WHEN 'object' THEN m.value ->> 'path' END, m.key), '[', '.'), ']', '') AS path FROM jsonb_each(stream -> 'metrics') m) p) END;
COMMENT ON FUNCTION cdp_internal.zero_paths(jsonb) IS
'Where the metrics of a stream (its part of the manifest) stand in a record, steps with dots between, for cdp_internal.record_is_zero(). NULL: its zeros mean zero (no not_ready.all_zero), or a metric has no single place.';

CREATE OR REPLACE FUNCTION cdp_internal.record_is_zero(payload jsonb, paths text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN paths IS NOT NULL AND NOT EXISTS (SELECT FROM unnest(paths) AS p (path) WHERE coalesce(payload #>> string_to_array(p.path, '.'), '') !~ '^([0.]*|-)$');
COMMENT ON FUNCTION cdp_internal.record_is_zero(jsonb, text[]) IS
'Whether each of these values of a record is missing, null, 0 or a dash. False without paths.';

CREATE OR REPLACE FUNCTION cdp_internal.words_of_part(part text) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN part <> '' THEN cdp_internal.content_tokens(jsonb_build_object('identifier', part)) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.words_of_part(text) IS
'cdp_internal.content_tokens() of what a stream was asked by, short values too: a person, where the manifest asks by person. NULL without any.';

CREATE OR REPLACE FUNCTION cdp_internal.suppressed_records(manifest jsonb, records jsonb[], any_type boolean DEFAULT false) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  keys integer[] := cdp_internal.suppression_keys();
  types smallint[];
  own text[];
BEGIN
  IF keys = '{}' THEN
    RETURN '{}';
  END IF;
  own := cdp_internal.identifier_rules();
  -- The types that the connector tells of, and what people write anywhere.
  types := ARRAY(SELECT t.type_id FROM cdp_data.identifier_type_all t
    WHERE any_type OR t.name IN ('email', 'phone', 'user_id') OR t.name IN (SELECT i FROM jsonb_each(manifest -> 'streams') s, jsonb_object_keys(coalesce(s.value #> '{touchpoint,identifiers}', '{}')) i));
  RETURN ARRAY(
    WITH leaf AS MATERIALIZED (
      SELECT r.n::integer AS n, v.value #>> '{}' AS value
      FROM unnest(records) WITH ORDINALITY AS r (record, n) CROSS JOIN LATERAL jsonb_path_query(r.record, 'strict $.** ? (@.type() == "string" || @.type() == "number")') AS v (value)),
    found AS (
      SELECT DISTINCT x.value
      FROM (SELECT DISTINCT l.value FROM leaf l WHERE char_length(l.value) BETWEEN 1 AND 500) x CROSS JOIN unnest(types) AS t (type_id)
        CROSS JOIN LATERAL unnest(cdp_internal.suppression_digests(t.type_id, cdp_internal.read_identifier(x.value, t.type_id, own), keys)) AS d (digest)
        JOIN cdp_data.suppression s ON s.digest = d.digest)
    SELECT DISTINCT l.n FROM leaf l JOIN found f ON f.value = l.value ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.suppressed_records(jsonb, jsonb[], boolean) IS
'Which of these records, from 1, hold an identifier of somebody who must not come in again, of a type that the touchpoints of the connector name, an e-mail address, a phone number or a user_id (any_type: of any type), as a value by itself anywhere. Empty at once when nobody is suppressed. Needs the rights of the tables'' owner.';

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

CREATE OR REPLACE FUNCTION cdp_internal.land_records(p record, manifest jsonb, stream text, doc jsonb, state jsonb, late boolean,
  OUT records integer, OUT inserted integer, OUT changed integer, OUT unchanged integer, OUT held integer, OUT refused integer, OUT suppressed integer, OUT days jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  personal boolean := cdp_internal.stream_is_personal(spec);
  paths text[] := cdp_internal.zero_paths(spec);
  gone integer[] := '{}';
  zone text := manifest ->> 'tz';
  wait interval := make_interval(days => 1 + coalesce((spec #>> '{window,delay_days}')::integer, 0)) + coalesce(spec #>> '{window,ready_at}', '00:00')::interval;
  page_id bigint := p.page_id;
  first_day date := p.window_from;
  last_day date := p.window_to;
BEGIN
  IF personal THEN
    PERFORM cdp_internal.guard_batch();
    SELECT coalesce(array_agg(r.n), '{}') INTO gone
    FROM (SELECT array_agg(jsonb_build_array(c.payload, c.record_key) ORDER BY c.n) AS docs, array_agg(c.n ORDER BY c.n) AS ns FROM cdp_internal.connector_page(manifest, stream, doc, state) c) a
      CROSS JOIN LATERAL (SELECT a.ns[i] AS n FROM unnest(cdp_internal.suppressed_records(manifest, a.docs)) i) r
    WHERE EXISTS (SELECT FROM cdp_data.suppression);
  END IF;
  DELETE FROM cdp_data.raw_refused f WHERE f.page_id = p.page_id;
  WITH page AS MATERIALIZED (
    SELECT c.n, c.record_key, c.ref_date, c.payload, c.problem, cdp_internal.record_is_zero(c.payload, paths) AS is_zero, c.n = ANY (gone) AS is_gone
    FROM cdp_internal.connector_page(manifest, stream, doc, state) c
  ), good AS (
    -- Of a key that comes twice the last one counts.
    SELECT DISTINCT ON (g.record_key) g.* FROM page g WHERE g.problem IS NULL AND NOT g.is_gone ORDER BY g.record_key, g.n DESC
  ), judged AS MATERIALIZED (
    SELECT g.record_key, g.ref_date, g.payload, g.is_zero, o.revision, o.payload AS old_payload, o.ref_date AS old_date, o.changed_at AS old_at, o.tokens AS old_tokens, o.zero_at AS old_zero,
      CASE WHEN o.record_key IS NULL THEN 'new'
        WHEN o.payload = g.payload AND o.ref_date IS NOT DISTINCT FROM g.ref_date THEN 'same'
        -- An older page that comes later, or a replay, changes only what came from it.
        WHEN (late OR p.fetched_at < o.changed_at) AND o.page_id <> p.page_id THEN 'late'
        WHEN g.is_zero AND NOT o.is_zero AND NOT coalesce(o.zero_at + interval '1 hour' <= p.fetched_at AND (g.ref_date + wait) AT TIME ZONE zone <= p.fetched_at, false) THEN 'held'
        ELSE 'changed' END AS fate
    FROM good g LEFT JOIN cdp_data.raw_record o ON o.connection_id = p.connection_id AND o.stream_id = p.stream_id AND o.record_key = g.record_key
  ), history AS (
    INSERT INTO cdp_data.raw_record_history (connection_id, stream_id, record_key, revision, source_id, ref_date, from_at, to_at, page_id, payload, tokens)
    SELECT p.connection_id, p.stream_id, j.record_key, j.revision, p.source_id, j.old_date, j.old_at, p.fetched_at, p.page_id, j.old_payload, j.old_tokens FROM judged j WHERE j.fate = 'changed'
  ), put AS (
    INSERT INTO cdp_data.raw_record AS r (connection_id, stream_id, record_key, source_id, part, ref_date, page_id, first_seen_at, changed_at, is_zero, payload, tokens)
    SELECT p.connection_id, p.stream_id, j.record_key, p.source_id, p.part, j.ref_date, p.page_id, p.fetched_at, p.fetched_at, j.is_zero, j.payload,
      CASE WHEN personal THEN cdp_internal.content_tokens(jsonb_build_array(j.payload, j.record_key, jsonb_build_object('identifier', p.part))) ELSE cdp_internal.words_of_part(p.part) END
    FROM judged j WHERE j.fate IN ('new', 'changed') ORDER BY j.record_key
    ON CONFLICT (connection_id, stream_id, record_key) DO UPDATE
    SET part = excluded.part, ref_date = excluded.ref_date, page_id = excluded.page_id, changed_at = excluded.changed_at, is_zero = excluded.is_zero, zero_at = NULL,
      payload = excluded.payload, tokens = excluded.tokens, revision = r.revision + 1
  ), doubted AS (
    -- A zero is remembered until it is told again; a value ends the doubt.
    UPDATE cdp_data.raw_record r SET zero_at = CASE WHEN j.fate = 'held' THEN p.fetched_at END
    FROM judged j
    WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.record_key = j.record_key
      AND (j.fate = 'held' AND j.old_zero IS NULL AND (j.ref_date + wait) AT TIME ZONE zone <= p.fetched_at OR j.fate = 'same' AND j.old_zero IS NOT NULL AND NOT late)
  ), bad AS (
    INSERT INTO cdp_data.raw_refused (page_id, n, connection_id, stream_id, source_id, code, payload, refused_at, tokens)
    SELECT p.page_id, b.n, p.connection_id, p.stream_id, p.source_id, b.problem, b.payload, p.fetched_at, CASE WHEN personal THEN cdp_internal.content_tokens(jsonb_build_array(b.payload, jsonb_build_object('identifier', p.part))) ELSE cdp_internal.words_of_part(p.part) END
    FROM page b WHERE b.problem IS NOT NULL AND NOT b.is_gone
  )
  SELECT (SELECT count(*) FROM page), count(*) FILTER (WHERE j.fate = 'new'), count(*) FILTER (WHERE j.fate = 'changed'), count(*) FILTER (WHERE j.fate IN ('same', 'late')), count(*) FILTER (WHERE j.fate = 'held'),
    (SELECT count(*) FROM page b WHERE b.problem IS NOT NULL AND NOT b.is_gone), cardinality(gone),
    (SELECT jsonb_object_agg(d.ref_date, jsonb_build_array(d.n, d.nonzero, d.moved)) FROM (
       SELECT x.ref_date, count(*) AS n, count(*) FILTER (WHERE NOT x.is_zero) AS nonzero, count(*) FILTER (WHERE x.fate IN ('new', 'changed')) AS moved
       FROM judged x WHERE x.ref_date BETWEEN first_day AND last_day GROUP BY x.ref_date) d)
  INTO records, inserted, changed, unchanged, held, refused, suppressed, days FROM judged j;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_records(record, jsonb, text, jsonb, jsonb, boolean) IS
'Writes the records of a page whose document is doc: new ones, changed ones with their earlier value to the history, bad ones to cdp_data.raw_refused; nothing of somebody who is suppressed. late: only what is not known yet is written, or what came from this page. days: of the window, as cdp_data.raw_page.days. Needs the rights of the tables'' owner and cdp_internal.stream_number().';

CREATE OR REPLACE FUNCTION cdp_internal.land_page(connection_id integer, stream text, body bytea, part jsonb, window_from date, window_to date, cursor jsonb, status integer, headers jsonb, fetched_at timestamptz)
RETURNS TABLE (page_id bigint, verb text, code text, records_read integer, inserted integer, changed integer, unchanged integer, held integer, refused integer, suppressed integer,
  next jsonb, done boolean, until_at timestamptz, problem text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  p cdp_data.raw_page;
  spec jsonb;
  seen record;
BEGIN
  SELECT x.source_id, x.config, x.state, x.name, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = land_page.connection_id;
  spec := c.manifest -> 'streams' -> stream;
  PERFORM cdp_internal.require_page(c.name, c.state, c.manifest, stream, body, part, window_from, window_to, cursor, status, fetched_at);
  p.connection_id := connection_id;
  p.source_id := c.source_id;
  p.stream_id := cdp_internal.stream_number(connection_id, stream);
  p.part := coalesce(part #>> '{}', '');
  p.window_from := window_from;
  p.window_to := window_to;
  p.asked := jsonb_strip_nulls(jsonb_build_object('window', CASE WHEN window_from IS NOT NULL THEN jsonb_build_object('from', window_from, 'to', window_to) END))
    || CASE WHEN part IS NULL THEN '{}' ELSE jsonb_build_object('partition', part) END || CASE WHEN cursor IS NULL OR cursor = 'null' THEN '{}' ELSE jsonb_build_object('cursor', cursor) END;
  p.fetched_at := fetched_at;
  p.status := status;
  p.headers := cdp_internal.page_headers(headers);
  p.body := body;
  p.digest := sha256(convert_to(format('%s|%s|%s|', p.asked, (extract(epoch FROM fetched_at) * 1000000)::bigint, status), 'UTF8') || body);
  SELECT r.page_id INTO p.page_id FROM cdp_data.raw_page r WHERE r.connection_id = p.connection_id AND r.stream_id = p.stream_id AND r.digest = p.digest;
  IF FOUND THEN
    -- Told twice: as it was landed the first time, and nothing more.
    RETURN QUERY SELECT r.page_id, r.verb, r.code, r.records, 0, 0, r.records, 0, 0, 0, CASE WHEN t.page_id = r.page_id THEN t.next END, r.done, NULL::timestamptz, coalesce(r.problem, 'told before')
    FROM cdp_data.raw_page r LEFT JOIN cdp_data.stream_part t ON t.connection_id = r.connection_id AND t.stream_id = r.stream_id AND t.part = r.part WHERE r.page_id = p.page_id;
    RETURN;
  END IF;
  p.page_id := nextval('cdp_data.raw_page_page_id_seq');
  RETURN QUERY SELECT l.* FROM cdp_internal.land_body(p, c.manifest, stream, c.config, headers, false) l;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_page(integer, text, bytea, jsonb, date, date, jsonb, integer, jsonb, timestamptz) IS
'What cdp.ingest_page() does, for cdp_data.page_ingest() and the transport. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.require_page(name text, state text, manifest jsonb, stream text, body bytea, part jsonb, window_from date, window_to date, cursor jsonb, status integer, fetched_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
BEGIN
  IF state IN ('suspended', 'retired') THEN
    RAISE EXCEPTION 'connection "%" is %', name, state USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nothing lands while it stands still: SELECT cdp.resume_connection(...) first.';
  ELSIF manifest IS NULL THEN
    RAISE EXCEPTION 'the connector of connection "%" is not known any more', name USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give it again with cdp.add_connector().';
  ELSIF spec IS NULL THEN
    RAISE EXCEPTION 'connector has no stream "%"', left(coalesce(stream, 'NULL'), 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(stream, ARRAY(SELECT k FROM jsonb_object_keys(manifest -> 'streams') k), 'SELECT stream FROM cdp_bi.connector lists them.');
  ELSIF body IS NULL OR status IS NULL OR fetched_at IS NULL THEN
    RAISE EXCEPTION 'body, status and fetched_at must be told' USING ERRCODE = 'null_value_not_allowed', HINT = 'An answer without a body has an empty one: ''''::bytea.';
  ELSIF status NOT BETWEEN 100 AND 599 THEN
    RAISE EXCEPTION 'a status is from 100 to 599' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', status);
  ELSIF NOT isfinite(fetched_at) OR fetched_at > clock_timestamp() + interval '1 day' THEN
    RAISE EXCEPTION 'fetched_at is no time at which a page can have been fetched'
      USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', fetched_at), HINT = 'A page of the future would make all others late.';
  ELSIF octet_length(body) > 33554432 THEN
    RAISE EXCEPTION 'a page has at most 32 MiB' USING ERRCODE = 'program_limit_exceeded', DETAIL = format('Got %s bytes.', octet_length(body)), HINT = 'Ask for smaller pages or windows.';
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

CREATE OR REPLACE FUNCTION cdp_internal.land_body(p record, manifest jsonb, stream text, config jsonb, headers jsonb, again boolean)
RETURNS TABLE (page_id bigint, verb text, code text, records_read integer, inserted integer, changed integer, unchanged integer, held integer, refused integer, suppressed integer,
  next jsonb, done boolean, until_at timestamptz, problem text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  state jsonb := p.asked || jsonb_build_object('config', config);
  personal boolean := cdp_internal.stream_is_personal(manifest -> 'streams' -> stream);
  newest timestamptz := (SELECT t.last_fetched_at FROM cdp_data.stream_part t WHERE t.connection_id = p.connection_id AND t.stream_id = p.stream_id AND t.part = p.part);
  late boolean := coalesce(p.fetched_at < newest, false);
  d record;
  v record;
  n record;
  r record;
BEGIN
  SELECT 0 AS inserted, 0 AS changed, 0 AS unchanged, 0 AS held, 0 AS refused, 0 AS suppressed INTO r;
  IF p.part <> '' THEN
    PERFORM cdp_internal.guard_batch();
    IF cdp_internal.suppressed_records(manifest, ARRAY[p.asked -> 'partition'], true) <> '{}' THEN
      -- It was asked about somebody who must not come in again: not even that is kept.
      PERFORM cdp_internal.count_suppressed(p.source_id, 1);
      RETURN QUERY SELECT NULL::bigint, 'skip_partition', NULL::text, 0, 0, 0, 0, 0, 0, 1, NULL::jsonb, true, NULL::timestamptz, 'asked about somebody who is suppressed';
      RETURN;
    END IF;
  END IF;
  d := cdp_internal.connector_decode(manifest, stream, p.body);
  v := cdp_internal.connector_verdict(manifest, stream, p.status, headers, d.doc, p.fetched_at);
  p.verb := v.verb;
  p.code := v.code;
  p.scrubbed := coalesce(d.scrubbed, 0);
  p.records := 0;
  p.days := NULL;
  p.problem := d.problem;
  p.unread := d.doc IS NULL AND p.body <> '';
  p.tokens := CASE WHEN personal AND d.doc IS NOT NULL THEN cdp_internal.content_tokens(jsonb_build_array(d.doc, p.asked, jsonb_build_object('identifier', p.part))) ELSE cdp_internal.words_of_part(p.part) END;
  IF v.verb IN ('ok', 'ignore') THEN
    IF v.verb = 'ok' AND d.doc IS NOT NULL THEN
      n := cdp_internal.connector_next(manifest, stream, d.doc, headers, state);
      r := cdp_internal.land_records(p, manifest, stream, d.doc, state, late OR again);
      p.problem := coalesce(n.problem, p.problem);
      p.records := r.records;
      p.days := r.days;
      next := n.next - 'config';
      done := n.done;
      -- What names somebody who must not come in again is not kept at all, nor are the hashes of its words.
      IF r.suppressed > 0 THEN
        p.body := NULL;
        p.asked := p.asked - 'cursor';
        p.tokens := NULL;
        p.problem := coalesce(p.problem, 'named somebody who is suppressed');
        PERFORM cdp_internal.count_suppressed(p.source_id, r.suppressed);
      END IF;
    ELSE
      done := true;
    END IF;
    p.done := done;
    p.next_cursor := CASE WHEN NOT done THEN next -> 'cursor' END;
  END IF;
  IF again THEN
    UPDATE cdp_data.raw_page x SET verb = p.verb, code = p.code, problem = p.problem, unread = p.unread, scrubbed = p.scrubbed, records = p.records, days = p.days, done = p.done,
      next_cursor = p.next_cursor, body = p.body, asked = p.asked, tokens = p.tokens WHERE x.page_id = p.page_id;
  ELSE
    p.pull_id := CASE WHEN NOT state ? 'cursor' THEN p.page_id ELSE (
      SELECT x.pull_id FROM cdp_data.raw_page x
      WHERE x.connection_id = p.connection_id AND x.stream_id = p.stream_id AND x.part = p.part AND (x.window_from = p.window_from OR p.window_from IS NULL) AND x.window_to IS NOT DISTINCT FROM p.window_to
        AND x.next_cursor = state -> 'cursor' AND x.fetched_at <= p.fetched_at
      ORDER BY x.page_id DESC LIMIT 1) END;
    p.landed_at := clock_timestamp();
    INSERT INTO cdp_data.raw_page SELECT p.*;
    INSERT INTO cdp_data.stream_part AS t (connection_id, stream_id, part, source_id, last_fetched_at, page_id, next, done)
    VALUES (p.connection_id, p.stream_id, p.part, p.source_id, p.fetched_at, p.page_id, next, done)
    ON CONFLICT (connection_id, stream_id, part) DO UPDATE SET last_fetched_at = excluded.last_fetched_at, page_id = excluded.page_id, next = excluded.next, done = excluded.done
    WHERE t.last_fetched_at <= excluded.last_fetched_at;
  END IF;
  IF p.window_from IS NOT NULL AND (NOT late OR again) THEN
    PERFORM cdp_internal.cover_days(p, manifest, stream, again);
  END IF;
  RETURN QUERY SELECT p.page_id, p.verb, p.code, p.records, r.inserted, r.changed, r.unchanged, r.held, r.refused, r.suppressed, next, done, v.until_at, p.problem;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_body(record, jsonb, text, jsonb, jsonb, boolean) IS
'Reads the body of a page and writes all that follows from it: records, the page, the cursor, the days. again: it is a page that landed before. Needs the rights of the tables'' owner and cdp_internal.stream_number().';

CREATE OR REPLACE FUNCTION cdp_internal.land_again(page_id bigint)
RETURNS TABLE (verb text, records_read integer, inserted integer, changed integer, unchanged integer, held integer, refused integer, suppressed integer, problem text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  c record;
  p cdp_data.raw_page;
BEGIN
  SELECT x.name, x.config, s.name AS stream, cdp_internal.connector_manifest(x.connector) AS manifest, x.connection_id INTO c
  FROM cdp_data.raw_page r JOIN cdp_data.connection x USING (connection_id) JOIN cdp_data.stream s USING (connection_id, stream_id) WHERE r.page_id = land_again.page_id;
  PERFORM cdp_internal.stream_number(c.connection_id, c.stream);
  SELECT r.* INTO p FROM cdp_data.raw_page r WHERE r.page_id = land_again.page_id;
  IF NOT FOUND OR p.body IS NULL THEN
    RAISE EXCEPTION 'page % has no body any more', page_id USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'It named somebody who must not come in again, or was erased: pull it again.';
  ELSIF c.manifest -> 'streams' -> c.stream IS NULL THEN
    RAISE EXCEPTION 'the connector of connection "%" has no stream "%" any more', c.name, c.stream USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Mend its manifest with cdp.add_connector().';
  END IF;
  RETURN QUERY SELECT l.verb, l.records_read, l.inserted, l.changed, l.unchanged, l.held, l.refused, l.suppressed, l.problem
  FROM cdp_internal.land_body(p, c.manifest, c.stream, c.config, p.headers, true) l;
END
$$;
COMMENT ON FUNCTION cdp_internal.land_again(bigint) IS 'What cdp.replay_page() does, for cdp_data.page_replay(). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp.ingest_page(connection text, stream text, body bytea, part jsonb DEFAULT NULL, window_from date DEFAULT NULL, window_to date DEFAULT NULL, cursor jsonb DEFAULT NULL,
  status integer DEFAULT 200, headers jsonb DEFAULT '{}', fetched_at timestamptz DEFAULT clock_timestamp(),
  OUT page_id bigint, OUT verb text, OUT code text, OUT records_read integer, OUT inserted integer, OUT changed integer, OUT unchanged integer, OUT held integer, OUT refused integer, OUT suppressed integer,
  OUT next jsonb, OUT done boolean, OUT until_at timestamptz, OUT problem text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT r.* INTO page_id, verb, code, records_read, inserted, changed, unchanged, held, refused, suppressed, next, done, until_at, problem
  FROM cdp_data.page_ingest(connection, stream, body, part, window_from, window_to, cursor, status, headers, fetched_at) r;
END
$$;
COMMENT ON FUNCTION cdp.ingest_page(text, text, bytea, jsonb, date, date, jsonb, integer, jsonb, timestamptz) IS
'Lands one answer of another system as it came, whoever fetched it: the page, its records, how far the stream is and which days are there, in one transaction. part: the partition that was asked for; window_from, window_to: the days, both within, of the zone of the manifest; cursor: that of next of the page before, NULL for the first page; headers: an object. The same page told twice (all the same, also fetched_at) changes nothing. verb: what to do, cdp_internal.connector_verdict(); unless it is ok or ignore, no record is read. records_read = inserted + changed + unchanged + held + refused + suppressed + those whose key came again in the page. held: zeros where there is a value, until another pull an hour later says so as well; refused: cdp_data.raw_refused; suppressed: names somebody who was erased. next: with what to ask next (partition, window, cursor); done: the pull has ended; until_at: not before. A page that was fetched before one that landed already only adds records that are not known. For members of the connection''s owner with the part of admin, marketer or connector, and the owner of the tables. Errors: 22023 unknown connection or stream, or not how it is asked; 22004 no body, status or time; 42501 may not use it; 54000 above 32 MiB or 100,000 records; 55000 suspended, retired, or before cdp.setup().';

CREATE OR REPLACE FUNCTION cdp.replay_page(page_id bigint,
  OUT verb text, OUT records_read integer, OUT inserted integer, OUT changed integer, OUT unchanged integer, OUT held integer, OUT refused integer, OUT suppressed integer, OUT problem text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT r.* INTO verb, records_read, inserted, changed, unchanged, held, refused, suppressed, problem FROM cdp_data.page_replay(page_id) r;
END
$$;
COMMENT ON FUNCTION cdp.replay_page(bigint) IS
'Reads a page that landed once more, by the manifest of today: what was refused and is good now becomes records, what this page said last is read anew, what later pages said stays. Counts as cdp.ingest_page(). Rights as there. Errors: 22023 no such page; 55000 its body was not kept.';

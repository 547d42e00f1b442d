-- Connector room, mapping: records become touchpoints with identities, by the road that all batches of events take, and contents.

CREATE OR REPLACE FUNCTION cdp_internal.map_words(manifest jsonb, stream text, what text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(jsonb_build_array(manifest -> 'tz', manifest #> ARRAY['streams', stream, what], manifest #> ARRAY['streams', stream, 'partition'])::text, 'UTF8'));
COMMENT ON FUNCTION cdp_internal.map_words(jsonb, text, text) IS
'SHA-256 of all that a manifest says about what (touchpoint or content) of a stream. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.plain_path(path text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN string_to_array(replace(replace(path, '[', '.'), ']', ''), '.');
COMMENT ON FUNCTION cdp_internal.plain_path(text) IS
'A path of a manifest to one value of a record, for the operator #>>. NULL for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.touch_claims(stream jsonb) RETURNS TABLE (n smallint, claimed text, stream_name text, value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
  SELECT t.n::smallint, t.touchpoint #>> '{origin,campaign,path}', t.touchpoint #>> '{origin,campaign,known,stream}', t.touchpoint #>> '{origin,campaign,known,value}'
  FROM jsonb_array_elements(CASE jsonb_typeof(stream -> 'touchpoint') WHEN 'array' THEN stream -> 'touchpoint' ELSE jsonb_build_array(stream -> 'touchpoint') END) WITH ORDINALITY AS t (touchpoint, n)
  WHERE t.touchpoint #> '{origin,campaign,known}' IS NOT NULL;
END;
COMMENT ON FUNCTION cdp_internal.touch_claims(jsonb) IS
'The touchpoints of a stream (its part of the manifest) whose campaign is only claimed: number from 1, path of the claim, and the stream and path that tell which values are known.';

CREATE OR REPLACE FUNCTION cdp_internal.map_begin(connection_id integer, stream_id smallint, what text, declared bytea, most integer,
  OUT from_page bigint, OUT to_page bigint, OUT known_page bigint, OUT is_anew boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
BEGIN
  -- Before anything is read there is a row: a replay that is under way is waited for, and waits.
  INSERT INTO cdp_data.map_progress (connection_id, stream_id, what, source_id, page_id, declared, mapped_at)
  SELECT s.connection_id, s.stream_id, map_begin.what, s.source_id, 0, '', clock_timestamp() FROM cdp_data.stream s WHERE s.connection_id = map_begin.connection_id AND s.stream_id = map_begin.stream_id
  ON CONFLICT ON CONSTRAINT map_progress_pkey DO NOTHING;
  SELECT x.page_id, x.known_page_id, x.declared INTO p FROM cdp_data.map_progress x
  WHERE x.connection_id = map_begin.connection_id AND x.stream_id = map_begin.stream_id AND x.what = map_begin.what FOR UPDATE;
  is_anew := p.declared IS DISTINCT FROM map_begin.declared;
  from_page := CASE WHEN is_anew THEN 0 ELSE p.page_id END;
  known_page := CASE WHEN is_anew THEN 0 ELSE p.known_page_id END;
  -- Whole pages: the last one of so many records, to its end.
  SELECT max(x.page_id) INTO to_page FROM (
    SELECT r.page_id FROM cdp_data.raw_record r WHERE r.connection_id = map_begin.connection_id AND r.stream_id = map_begin.stream_id AND r.page_id > from_page AND r.page_id > 0 ORDER BY r.page_id LIMIT most) x;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_begin(integer, smallint, text, bytea, integer) IS
'Which pages of a stream are next: above from_page, to to_page (NULL: none), so far is known what it claims; is_anew: the manifest says something else than last time. Locks the row of cdp_data.map_progress.';

CREATE OR REPLACE FUNCTION cdp_internal.map_end(connection_id integer, stream_id smallint, what text, source integer, declared bytea, to_page bigint, known_page bigint, is_anew boolean, seen bigint, load bigint, refused bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO cdp_data.map_progress AS x (connection_id, stream_id, what, source_id, page_id, known_page_id, declared, records, load_id, quarantined, mapped_at)
  VALUES (map_end.connection_id, map_end.stream_id, map_end.what, source, to_page, known_page, map_end.declared, seen, load, refused, clock_timestamp())
  ON CONFLICT ON CONSTRAINT map_progress_pkey DO UPDATE
  SET page_id = excluded.page_id, known_page_id = excluded.known_page_id, declared = excluded.declared, records = CASE WHEN is_anew THEN 0 ELSE x.records END + excluded.records,
    load_id = coalesce(excluded.load_id, x.load_id), quarantined = CASE WHEN is_anew THEN 0 ELSE x.quarantined END + excluded.quarantined, mapped_at = excluded.mapped_at;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_end(integer, smallint, text, integer, bytea, bigint, bigint, boolean, bigint, bigint, bigint) IS
'Writes to cdp_data.map_progress how far a stream was read.';

CREATE OR REPLACE FUNCTION cdp_internal.map_columns(stream jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT t.name FROM jsonb_array_elements(CASE jsonb_typeof(stream -> 'touchpoint') WHEN 'array' THEN stream -> 'touchpoint' ELSE jsonb_build_array(stream -> 'touchpoint') END) d (touchpoint)
      CROSS JOIN LATERAL jsonb_object_keys(d.touchpoint -> 'identifiers') k (name) JOIN cdp_data.identifier_type_all t ON t.name = k.name
    WHERE t.role <> 'ignore' AND t.name <> ALL (cdp_internal.touch_columns()) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION cdp_internal.map_columns(jsonb) IS
'The identifier types that touchpoints of a stream (its part of the manifest) name and that can identify. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.map_key(stream text, declared text, record_key text, n integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(coalesce(declared, stream || ':' || record_key || CASE WHEN n > 1 THEN '#' || n ELSE '' END)) <= 800 THEN coalesce(declared, stream || ':' || record_key || CASE WHEN n > 1 THEN '#' || n ELSE '' END)
  ELSE stream || ':sha256:' || encode(sha256(convert_to(coalesce(declared, record_key), 'UTF8')), 'hex') || CASE WHEN n > 1 THEN '#' || n ELSE '' END END;
COMMENT ON FUNCTION cdp_internal.map_key(text, text, text, integer) IS
'source_key of a touchpoint: the key that its declaration names, as it stands, so that refunds find their order; else stream, key of the record and number of the declaration. A digest above 800 bytes.';

CREATE OR REPLACE FUNCTION cdp_internal.map_stage(connection_id integer, stream_id smallint, stream text, source integer, manifest jsonb, config jsonb, types text[], b record, OUT seen bigint, OUT ready bigint, OUT known_page bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
BEGIN
  PERFORM cdp_internal.drop_temp_tables('{cdp_map_row,cdp_map_claim,cdp_map_stage}');
  -- Before the values are read: what lands meanwhile is looked at twice rather than never.
  known_page := greatest(b.known_page, (SELECT max(r.page_id) FROM cdp_internal.touch_claims(spec) c JOIN cdp_data.stream s ON s.connection_id = map_stage.connection_id AND s.name = c.stream_name
    CROSS JOIN LATERAL (SELECT x.page_id FROM cdp_data.raw_record x WHERE x.connection_id = s.connection_id AND x.stream_id = s.stream_id AND x.page_id > 0 ORDER BY x.page_id DESC LIMIT 1) r));
  -- Values that are known, and which of them are new since the last time: records that claimed those are read again.
  CREATE TEMP TABLE cdp_map_claim AS
  SELECT DISTINCT ON (c.n, r.payload #>> cdp_internal.plain_path(c.value)) c.n, c.claimed, r.payload #>> cdp_internal.plain_path(c.value) AS value, r.page_id, r.page_id > b.known_page AS is_new
  FROM cdp_internal.touch_claims(spec) c JOIN cdp_data.stream s ON s.connection_id = map_stage.connection_id AND s.name = c.stream_name
    JOIN cdp_data.raw_record r ON r.connection_id = s.connection_id AND r.stream_id = s.stream_id
  WHERE r.payload #>> cdp_internal.plain_path(c.value) <> '' ORDER BY c.n, r.payload #>> cdp_internal.plain_path(c.value), r.page_id;
  ANALYZE pg_temp.cdp_map_claim;
  CREATE TEMP TABLE cdp_map_row AS
  SELECT r.record_key, r.part, r.page_id, r.changed_at, r.tokens, f.n, f.source_key, f.kind, f.occurred_at, f.identifiers, f.origin, f.value, f.currency, f.properties, f.refers_to,
    coalesce(f.problem, CASE WHEN f.n IS NOT NULL AND NOT f.identifiers ?| types THEN 'no_identifier' END) AS problem
  FROM (
    SELECT r.* FROM cdp_data.raw_record r
    WHERE r.connection_id = map_stage.connection_id AND r.stream_id = map_stage.stream_id AND r.page_id > b.from_page AND r.page_id <= b.to_page AND r.page_id > 0 AND r.gone_at IS NULL
    UNION ALL
    SELECT r.* FROM cdp_data.raw_record r
    WHERE r.connection_id = map_stage.connection_id AND r.stream_id = map_stage.stream_id AND r.page_id <= b.from_page
      AND EXISTS (SELECT FROM pg_temp.cdp_map_claim k WHERE k.is_new) AND EXISTS (SELECT FROM pg_temp.cdp_map_claim k WHERE k.is_new AND k.value = r.payload #>> cdp_internal.plain_path(k.claimed))) r
    LEFT JOIN LATERAL cdp_internal.connector_touchpoints(manifest, stream, r.payload, cdp_internal.record_state(config, spec, r.part)) f ON true;
  ANALYZE pg_temp.cdp_map_row (record_key, n);
  SELECT count(DISTINCT r.record_key) INTO seen FROM pg_temp.cdp_map_row r;
  -- What the manifest says no more, and what was mended, is no refusal any more.
  DELETE FROM cdp_data.map_refused x WHERE x.connection_id = map_stage.connection_id AND x.stream_id = map_stage.stream_id AND x.what = 'touchpoint'
    AND (b.is_anew OR EXISTS (SELECT FROM pg_temp.cdp_map_row r WHERE r.record_key = x.record_key));
  INSERT INTO cdp_data.map_refused (connection_id, stream_id, record_key, what, n, source_id, code, page_id, refused_at, tokens)
  SELECT connection_id, stream_id, r.record_key, 'touchpoint', r.n, source, r.problem, r.page_id, r.changed_at, r.tokens FROM pg_temp.cdp_map_row r WHERE r.problem IS NOT NULL;
  EXECUTE format($sql$CREATE TEMP TABLE cdp_map_stage AS
    SELECT cdp_internal.map_key($1, r.source_key, r.record_key, r.n) AS source_key, r.occurred_at, r.kind, r.origin ->> 'source' AS source, r.origin ->> 'medium' AS medium,
      CASE WHEN r.n <> ALL ($2) OR k.value IS NOT NULL THEN r.origin ->> 'campaign' END AS campaign, r.origin ->> 'referrer_host' AS referrer_host, r.origin ->> 'add_way' AS add_way, r.origin ->> 'qr_scene' AS qr_scene,
      r.value, r.currency, r.properties, r.refers_to%s
    FROM pg_temp.cdp_map_row r LEFT JOIN pg_temp.cdp_map_claim k ON k.n = r.n AND k.value = r.origin ->> 'campaign'
    WHERE r.n IS NOT NULL AND r.problem IS NULL ORDER BY r.changed_at, r.page_id, r.record_key, r.n$sql$, (SELECT string_agg(format(', r.identifiers ->> %1$L AS %1$I', t), '') FROM unnest(types) t))
  USING stream, ARRAY(SELECT c.n::integer FROM cdp_internal.touch_claims(spec) c);
  GET DIAGNOSTICS ready = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_stage(integer, smallint, text, integer, jsonb, jsonb, text[], record) IS
'Reads the records of the pages of b (cdp_internal.map_begin()), and those that claim a campaign which is known now, into pg_temp.cdp_map_stage, in the form of cdp.load_events(); what means nothing into cdp_data.map_refused. A campaign that is claimed counts only where it is known. Returns how many records were looked at and how many touchpoints they mean. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.map_stream_touchpoints(connection_id integer, stream_id smallint, stream text, source_id integer, manifest jsonb, config jsonb, most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  words bytea := cdp_internal.map_words(manifest, stream, 'touchpoint');
  types text[] := cdp_internal.map_columns(manifest -> 'streams' -> stream);
  b record;
  s record;
  load bigint;
  refused bigint := 0;
  source text := (SELECT x.name FROM cdp_data.source x WHERE x.source_id = map_stream_touchpoints.source_id);
BEGIN
  IF EXISTS (SELECT FROM cdp_data.source_field f WHERE f.source_id = map_stream_touchpoints.source_id AND f.record_kind = 'event') THEN
    RAISE EXCEPTION 'source "%" has a contract for events', source
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Records are read as the manifest says: give the connection a source without such a contract.';
  END IF;
  b := cdp_internal.map_begin(connection_id, stream_id, 'touchpoint', words, most);
  IF b.to_page IS NULL AND NOT b.is_anew AND NOT EXISTS (
    SELECT FROM cdp_internal.touch_claims(manifest -> 'streams' -> stream) c JOIN cdp_data.stream k ON k.connection_id = map_stream_touchpoints.connection_id AND k.name = c.stream_name
      CROSS JOIN LATERAL (SELECT r.page_id FROM cdp_data.raw_record r WHERE r.connection_id = k.connection_id AND r.stream_id = k.stream_id AND r.page_id > b.known_page AND r.page_id > 0 LIMIT 1) x) THEN
    RETURN 0;
  END IF;
  s := cdp_internal.map_stage(connection_id, stream_id, stream, source_id, manifest, config, types, b);
  IF s.ready > 0 THEN
    SELECT e.load_id, e.quarantined INTO load, refused FROM cdp.load_events(source, 'pg_temp.cdp_map_stage', note => format('records of stream %s of connection %s', stream, connection_id)) e;
  END IF;
  PERFORM cdp_internal.drop_temp_tables('{cdp_map_row,cdp_map_claim,cdp_map_stage}');
  PERFORM cdp_internal.map_end(connection_id, stream_id, 'touchpoint', source_id, words, coalesce(b.to_page, b.from_page), s.known_page, b.is_anew, s.seen, load, refused);
  RETURN CASE WHEN b.to_page IS NULL AND s.seen = 0 THEN 0 ELSE greatest(s.seen, 1) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_stream_touchpoints(integer, smallint, text, integer, jsonb, jsonb, integer) IS
'The part of cdp_internal.map_some() for the touchpoints of one stream: one load of kind events for each step. Returns how many records it looked at. Errors: 55000 the source has a contract for events of its own.';

CREATE OR REPLACE FUNCTION cdp_internal.map_stream_content(connection_id integer, stream_id smallint, stream text, source integer, manifest jsonb, config jsonb, most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  words bytea := cdp_internal.map_words(manifest, stream, 'content');
  spec jsonb := manifest -> 'streams' -> stream;
  b record;
  seen bigint;
BEGIN
  b := cdp_internal.map_begin(connection_id, stream_id, 'content', words, most);
  IF b.to_page IS NULL AND NOT b.is_anew THEN
    RETURN 0;
  END IF;
  PERFORM cdp_internal.drop_temp_tables('{cdp_map_row}');
  CREATE TEMP TABLE cdp_map_row AS
  SELECT r.record_key, r.page_id, r.changed_at, r.first_seen_at, r.tokens, f.kind, f.content_id, f.parent_id, f.author, f.title, f.body, f.url, f.created_at,
    coalesce(f.problem, CASE WHEN octet_length(f.content_id) > 800 THEN 'long_id' END) AS problem
  FROM cdp_data.raw_record r LEFT JOIN LATERAL cdp_internal.connector_content(manifest, stream, r.payload, cdp_internal.record_state(config, spec, r.part)) f ON true
  WHERE r.connection_id = map_stream_content.connection_id AND r.stream_id = map_stream_content.stream_id AND r.page_id > b.from_page AND r.page_id <= b.to_page AND r.page_id > 0 AND r.gone_at IS NULL;
  GET DIAGNOSTICS seen = ROW_COUNT;
  DELETE FROM cdp_data.map_refused x WHERE x.connection_id = map_stream_content.connection_id AND x.stream_id = map_stream_content.stream_id AND x.what = 'content'
    AND (b.is_anew OR EXISTS (SELECT FROM pg_temp.cdp_map_row r WHERE r.record_key = x.record_key));
  INSERT INTO cdp_data.map_refused (connection_id, stream_id, record_key, what, n, source_id, code, page_id, refused_at, tokens)
  SELECT connection_id, stream_id, r.record_key, 'content', 1, source, r.problem, r.page_id, r.changed_at, r.tokens FROM pg_temp.cdp_map_row r WHERE r.problem IS NOT NULL;
  -- Several records may tell of one content: of each value the last that is told counts.
  INSERT INTO cdp_data.content AS t (connection_id, kind, content_id, source_id, stream_id, record_key, parent_id, author, title, body, url, created_at, first_told_at, told_at, tokens)
  SELECT connection_id, r.kind, r.content_id, source, stream_id, (array_agg(r.record_key ORDER BY r.changed_at DESC, r.record_key))[1],
    (array_agg(r.parent_id ORDER BY r.changed_at DESC, r.record_key) FILTER (WHERE r.parent_id IS NOT NULL))[1], (array_agg(r.author ORDER BY r.changed_at DESC, r.record_key) FILTER (WHERE r.author IS NOT NULL))[1],
    (array_agg(r.title ORDER BY r.changed_at DESC, r.record_key) FILTER (WHERE r.title IS NOT NULL))[1], (array_agg(r.body ORDER BY r.changed_at DESC, r.record_key) FILTER (WHERE r.body IS NOT NULL))[1],
    (array_agg(r.url ORDER BY r.changed_at DESC, r.record_key) FILTER (WHERE r.url IS NOT NULL))[1], (array_agg(r.created_at ORDER BY r.changed_at DESC, r.record_key) FILTER (WHERE r.created_at IS NOT NULL))[1],
    min(r.first_seen_at), max(r.changed_at), (SELECT array_agg(DISTINCT w ORDER BY w) FROM pg_temp.cdp_map_row q, unnest(q.tokens) w WHERE q.kind = r.kind AND q.content_id = r.content_id AND q.problem IS NULL)
  FROM pg_temp.cdp_map_row r WHERE r.content_id IS NOT NULL AND r.problem IS NULL GROUP BY r.kind, r.content_id ORDER BY r.kind, r.content_id
  ON CONFLICT ON CONSTRAINT content_pkey DO UPDATE
  SET stream_id = CASE WHEN excluded.told_at >= t.told_at THEN excluded.stream_id ELSE t.stream_id END, record_key = CASE WHEN excluded.told_at >= t.told_at THEN excluded.record_key ELSE t.record_key END,
    parent_id = CASE WHEN excluded.told_at >= t.told_at THEN coalesce(excluded.parent_id, t.parent_id) ELSE coalesce(t.parent_id, excluded.parent_id) END,
    author = CASE WHEN excluded.told_at >= t.told_at THEN coalesce(excluded.author, t.author) ELSE coalesce(t.author, excluded.author) END,
    title = CASE WHEN excluded.told_at >= t.told_at THEN coalesce(excluded.title, t.title) ELSE coalesce(t.title, excluded.title) END,
    body = CASE WHEN excluded.told_at >= t.told_at THEN coalesce(excluded.body, t.body) ELSE coalesce(t.body, excluded.body) END,
    url = CASE WHEN excluded.told_at >= t.told_at THEN coalesce(excluded.url, t.url) ELSE coalesce(t.url, excluded.url) END,
    created_at = CASE WHEN excluded.told_at >= t.told_at THEN coalesce(excluded.created_at, t.created_at) ELSE coalesce(t.created_at, excluded.created_at) END,
    first_told_at = least(t.first_told_at, excluded.first_told_at), told_at = greatest(t.told_at, excluded.told_at),
    tokens = (SELECT array_agg(DISTINCT w ORDER BY w) FROM unnest(t.tokens || excluded.tokens) w);
  PERFORM cdp_internal.drop_temp_tables('{cdp_map_row}');
  PERFORM cdp_internal.map_end(connection_id, stream_id, 'content', source, words, coalesce(b.to_page, b.from_page), 0, b.is_anew, seen, NULL, 0);
  RETURN CASE WHEN b.to_page IS NULL THEN 0 ELSE greatest(seen, 1) END;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_stream_content(integer, smallint, text, integer, jsonb, jsonb, integer) IS
'The part of cdp_internal.map_some() for the contents of one stream. Returns how many records it looked at.';

CREATE OR REPLACE FUNCTION cdp_internal.map_some(connection_id integer, most integer DEFAULT 20000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
  s record;
  n bigint;
BEGIN
  IF most IS NULL OR most < 1 THEN
    RAISE EXCEPTION 'at least one record must be mapped at a time' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('Got %s.', coalesce(most::text, 'NULL'));
  ELSIF NOT pg_try_advisory_xact_lock(hashtextextended('pg_cdp map', map_some.connection_id)) THEN
    RETURN 0; -- another session is at it
  END IF;
  -- An erasure waits for what is written here of people, or this for it: else one who is erased meanwhile would stay.
  PERFORM cdp_internal.guard_batch();
  SELECT x.config, x.source_id, x.state, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = map_some.connection_id;
  IF c.state NOT IN ('shadow', 'live', 'degraded') OR c.manifest IS NULL THEN
    RETURN 0;
  END IF;
  n := cdp_internal.map_metrics(connection_id, most);
  -- What tells of others comes first: what an order refers to, what makes a campaign known.
  FOR s IN SELECT t.stream_id, t.name, x.what FROM cdp_data.stream t CROSS JOIN (VALUES ('content', 1), ('touchpoint', 2)) AS x (what, nth)
    WHERE t.connection_id = map_some.connection_id AND c.manifest #> ARRAY['streams', t.name] ? x.what AND (x.what = 'content' OR c.state IN ('live', 'degraded')) ORDER BY x.nth, t.stream_id
  LOOP
    EXIT WHEN n >= most;
    n := n + CASE s.what WHEN 'content' THEN cdp_internal.map_stream_content(connection_id, s.stream_id, s.name, c.source_id, c.manifest, c.config, (most - n)::integer)
      ELSE cdp_internal.map_stream_touchpoints(connection_id, s.stream_id, s.name, c.source_id, c.manifest, c.config, (most - n)::integer) END;
  END LOOP;
  RETURN n;
END
$$;
COMMENT ON FUNCTION cdp_internal.map_some(integer, integer) IS
'Reads what records of a connection mean that are new or changed since the last time: figures (cdp_internal.map_metrics()), contents, and, of live and degraded ones only, touchpoints. About so many records at most, whole pages. Returns how many it looked at; 0: nothing is left, it stands still, or another session is at it. Needs the rights of the tables'' owner. Errors: 22023 most below 1; 55000 the source has a contract for events.';

CREATE OR REPLACE PROCEDURE cdp.map_connection(connection text, INOUT records bigint DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
  n pg_catalog.int8;
BEGIN
  PERFORM cdp_internal.require_setup();
  records := 0;
  LOOP
    n := cdp_data.records_map(connection, 20000);
    COMMIT;
    EXIT WHEN n OPERATOR(pg_catalog.=) 0;
    records := records OPERATOR(pg_catalog.+) n;
  END LOOP;
END
$$;
COMMENT ON PROCEDURE cdp.map_connection(text, bigint) IS
'Reads what records of a connection mean that came or changed since the last time: touchpoints with their identities (loads of kind events of the connection''s source, cdp.revert_load() takes them back), figures (cdp_bi.channel_daily) and contents (cdp_bi.channel_content). Touchpoints only while it is live or degraded; in shadow figures and contents, which views leave out; in other states nothing. A record that changed corrects its touchpoint; one that is told no more leaves it. Commits every 20,000 records, so not within a transaction block. records: how many it looked at. For members of the connection''s owner with the part of admin, marketer or connector, and the owner of the tables. Errors: 22023 unknown connection, 42501 may not use it, 55000 retired, or its source has a contract for events.';

CREATE OR REPLACE PROCEDURE cdp.map_records()
LANGUAGE plpgsql
AS $$
DECLARE
  c pg_catalog.record;
  error pg_catalog.text;
  before pg_catalog.int8;
  after pg_catalog.int8;
BEGIN
  PERFORM cdp_internal.require_setup();
  FOR c IN SELECT x.connection_id, x.name FROM cdp_data.connection x WHERE x.state OPERATOR(pg_catalog.=) ANY (ARRAY['shadow', 'live', 'degraded']) ORDER BY x.connection_id LOOP
    LOOP
      before := cdp_internal.map_left(c.connection_id);
      error := cdp_internal.try_command(pg_catalog.format('SELECT cdp_internal.map_some(%s)', c.connection_id));
      IF error IS NOT NULL THEN
        RAISE WARNING 'records of connection "%" can not be mapped: %', c.name, error;
      END IF;
      COMMIT;
      after := cdp_internal.map_left(c.connection_id);
      EXIT WHEN error IS NOT NULL OR after OPERATOR(pg_catalog.=) 0 OR after OPERATOR(pg_catalog.>=) before;
    END LOOP;
  END LOOP;
END
$$;
COMMENT ON PROCEDURE cdp.map_records() IS
'cdp.map_connection() for every connection in shadow, live or degraded. What goes wrong with one is a WARNING and stops no other. On the list of jobs; by hand as the owner of cdp_data, outside a transaction block. Safe to repeat and to run beside itself.';

CREATE OR REPLACE FUNCTION cdp_internal.map_left(connection_id integer) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  c record;
BEGIN
  SELECT x.state, cdp_internal.connector_manifest(x.connector) AS manifest INTO c FROM cdp_data.connection x WHERE x.connection_id = map_left.connection_id;
  RETURN (SELECT coalesce(sum(y.n), 0) FROM cdp_data.stream t CROSS JOIN (VALUES ('content'), ('touchpoint')) AS x (what)
      LEFT JOIN cdp_data.map_progress p ON p.connection_id = t.connection_id AND p.stream_id = t.stream_id AND p.what = x.what AND p.declared = cdp_internal.map_words(c.manifest, t.name, x.what)
      CROSS JOIN LATERAL (SELECT count(*) AS n FROM cdp_data.raw_record r WHERE r.connection_id = t.connection_id AND r.stream_id = t.stream_id AND r.page_id > coalesce(p.page_id, 0) AND r.page_id > 0) y
    WHERE t.connection_id = map_left.connection_id AND c.manifest #> ARRAY['streams', t.name] ? x.what AND (x.what = 'content' AND c.state = 'shadow' OR c.state IN ('live', 'degraded')));
END
$$;
COMMENT ON FUNCTION cdp_internal.map_left(integer) IS
'Records of a connection that wait to be read for touchpoints and contents. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.health_of_mapping()
RETURNS TABLE (severity text, finding text, detail text, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('cdp_data.map_refused') IS NULL OR NOT has_column_privilege('cdp_data.map_refused', 'code', 'SELECT') OR NOT has_table_privilege('cdp_data.connection', 'SELECT') THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT 'warning', 'records_unmapped', format('stream %s of connection %s: %s records have %s for a %s', s.name, quote_ident(c.name), count(*), f.code, f.what), 'Mend the manifest with cdp.add_connector(); they are read again by itself'
  FROM cdp_data.map_refused f JOIN cdp_data.stream s USING (connection_id, stream_id) JOIN cdp_data.connection c USING (connection_id)
  WHERE c.state IN ('live', 'degraded') GROUP BY c.name, s.name, f.code, f.what ORDER BY 3;
END
$$;
COMMENT ON FUNCTION cdp_internal.health_of_mapping() IS
'Findings of cdp.health() about records of live connections that mean no touchpoint or content although the manifest says so.';

CREATE OR REPLACE FUNCTION cdp_internal.erase_of_values_mapping(customers bigint[], homes bigint[], identifiers bigint[], fresh bigint, mode text)
RETURNS TABLE (table_name text, action text, n bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  words bigint[] := cdp_internal.erase_tokens(identifiers);
BEGIN
  DELETE FROM cdp_data.content t WHERE t.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.content', 'delete', erase_of_values_mapping.n;
  DELETE FROM cdp_data.map_refused f WHERE f.tokens && words;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN QUERY SELECT 'cdp_data.map_refused', 'delete', erase_of_values_mapping.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.erase_of_values_mapping(bigint[], bigint[], bigint[], bigint, text) IS
'Deletes contents whose records name a person, and what tells that a record of hers could not be mapped. Returns what was done per table.';

CREATE OR REPLACE PROCEDURE cdp_internal.maintain_room_mapping()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cutoff timestamptz := (SELECT cdp_internal.cutoff(now(), s.content_retention) FROM cdp_data.setting s);
  n bigint := 0;
  more bigint;
BEGIN
  IF cutoff IS NOT NULL THEN
    DELETE FROM cdp_data.content t WHERE coalesce(t.created_at, t.first_told_at) < cutoff;
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  DELETE FROM cdp_data.map_refused f WHERE NOT EXISTS (SELECT FROM cdp_data.raw_record r WHERE r.connection_id = f.connection_id AND r.stream_id = f.stream_id AND r.record_key = f.record_key);
  GET DIAGNOSTICS more = ROW_COUNT;
  RAISE NOTICE 'maintain: % contents of connections past their retention, % refusals of records that are gone', n, more;
END
$$;
COMMENT ON PROCEDURE cdp_internal.maintain_room_mapping() IS
'Part of cdp.maintain(): contents older than cdp_data.setting.content_retention, and refusals of records that are not kept any more.';

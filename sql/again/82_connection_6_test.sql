-- Connector room, connections: the test of a connection. Which streams are tried with what, and what their answers mean, is decided
-- here, without a network; src/connector/sync/test.c asks. Nothing of what comes is kept but counts.

CREATE OR REPLACE FUNCTION cdp_internal.part_of_record(partition jsonb, payload jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  part jsonb;
BEGIN
  IF partition ? 'fields' THEN
    SELECT jsonb_object_agg(f.key, CASE f.value WHEN '@' THEN payload ELSE payload #> string_to_array(f.value, '.') END) INTO part FROM jsonb_each_text(partition -> 'fields') f;
    RETURN CASE WHEN EXISTS (SELECT FROM jsonb_each(part) e WHERE jsonb_typeof(e.value) NOT IN ('null', 'object', 'array')) THEN part END;
  END IF;
  part := CASE coalesce(partition ->> 'value', '@') WHEN '@' THEN payload ELSE payload #> string_to_array(partition ->> 'value', '.') END;
  RETURN CASE WHEN jsonb_typeof(part) IN ('string', 'number', 'boolean') AND part <> '""' THEN part END;
END
$$;
COMMENT ON FUNCTION cdp_internal.part_of_record(jsonb, jsonb) IS
'What a stream is asked with because of a record of the stream that its partition (as the manifest has it) comes from: the record itself, its value, or an object of its fields. NULL when the record has none.';

CREATE OR REPLACE FUNCTION cdp_internal.test_streams(manifest jsonb) RETURNS TABLE (stream text, is_probe boolean)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE deep AS (
    SELECT s.key, s.value, 0 AS depth FROM jsonb_each(manifest -> 'streams') s WHERE s.value #>> '{partition,from}' IS NULL
    UNION ALL
    SELECT s.key, s.value, d.depth + 1 FROM deep d JOIN jsonb_each(manifest -> 'streams') s ON s.value #>> '{partition,from}' = d.key
  )
  SELECT d.key, coalesce((d.value ->> 'probe')::boolean, false) OR NOT EXISTS (SELECT FROM jsonb_each(manifest -> 'streams') p WHERE (p.value ->> 'probe')::boolean)
  FROM deep d WHERE NOT coalesce((d.value ->> 'deliver')::boolean, false) ORDER BY d.depth, coalesce((d.value ->> 'probe')::boolean, false) DESC, d.key COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp_internal.test_streams(jsonb) IS
'The streams of a manifest in the order in which a test tries them: those that others take their partitions from first, probes first among them. is_probe: the connection is not tested without it (its probe, or any when none is marked).';

CREATE OR REPLACE FUNCTION cdp_internal.test_request(manifest jsonb, config jsonb, stream text, samples jsonb, as_of timestamptz, OUT state jsonb, OUT request jsonb, OUT why text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  spec jsonb := manifest -> 'streams' -> stream;
  part jsonb := spec -> 'partition';
  zone text := coalesce(manifest ->> 'tz', 'UTC');
  parts jsonb;
  day date;
  small jsonb := manifest;
BEGIN
  state := '{}';
  IF part ? 'from' THEN
    SELECT jsonb_agg(p.value ORDER BY p.n) INTO parts
    FROM (SELECT cdp_internal.part_of_record(part, s.payload) AS value, min(s.n) AS n FROM jsonb_array_elements(coalesce(samples -> (part ->> 'from'), '[]')) WITH ORDINALITY s (payload, n) GROUP BY 1) p
    WHERE p.value IS NOT NULL;
    why := CASE WHEN parts IS NULL THEN format('no record of %s to ask it with', part ->> 'from') END;
  ELSIF part IS NOT NULL THEN
    parts := CASE WHEN part ? 'values' THEN part -> 'values' ELSE coalesce(config -> (part ->> 'config'), manifest #> ARRAY['config', part ->> 'config', 'default']) END;
    parts := CASE jsonb_typeof(parts) WHEN 'array' THEN nullif(parts, '[]') ELSE jsonb_build_array(parts) END;
    why := CASE WHEN parts IS NULL OR parts = '[null]' THEN format('%s of the configuration is not given', part ->> 'config') END;
  END IF;
  IF why IS NOT NULL THEN
    RETURN;
  ELSIF part IS NOT NULL THEN
    state := jsonb_build_object('partition', CASE WHEN coalesce((part ->> 'chunk')::integer, 1) > 1
      THEN (SELECT jsonb_agg(e.value ORDER BY e.n) FROM jsonb_array_elements(parts) WITH ORDINALITY e (value, n) WHERE e.n <= least((part ->> 'chunk')::integer, 10)) ELSE parts -> 0 END);
  END IF;
  IF spec ? 'window' THEN
    -- The newest day that is ready: what is asked by days has a day behind it, or the clock is wrong.
    SELECT max(d.day) INTO day FROM (SELECT (as_of AT TIME ZONE zone)::date - i AS day FROM generate_series(0, 400) i) d WHERE cdp_internal.day_ready(d.day, spec, zone) <= as_of;
    state := state || jsonb_build_object('window', jsonb_build_object('from', day, 'to', day));
  END IF;
  IF (spec #>> '{cursor,size}')::integer > 10 THEN
    small := jsonb_set(manifest, ARRAY['streams', stream, 'cursor', 'size'], '10');
  END IF;
  BEGIN
    request := cdp_internal.call_request(small, config, stream, state);
  EXCEPTION WHEN invalid_parameter_value OR program_limit_exceeded THEN
    why := SQLERRM;
  END;
END
$$;
COMMENT ON FUNCTION cdp_internal.test_request(jsonb, jsonb, text, jsonb, timestamptz) IS
'The cheapest call of a stream, for a test: pages of at most 10 records, the newest day that is ready at as_of, a partition out of samples (stream to records that a stream before it brought). why: why it can not be asked, then request is NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.test_servers(manifest jsonb, config jsonb) RETURNS TABLE (part text, server text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT CASE s.n WHEN 1 THEN '' ELSE ':token' END, s.server
  FROM (
    SELECT u.n, substring(CASE WHEN u.url LIKE '$config.%' THEN coalesce(config ->> substr(u.url, 9), manifest #>> ARRAY['config', substr(u.url, 9), 'default']) ELSE u.url END FROM '^https?://[^/?#]+') AS server
    FROM (VALUES (1, manifest ->> 'base_url'), (2, manifest #>> '{auth,base_url}')) u (n, url) WHERE u.url IS NOT NULL) s
  WHERE s.n = 1 OR s.server IS DISTINCT FROM substring(manifest ->> 'base_url' FROM '^https?://[^/?#]+')
  ORDER BY s.n;
END
$$;
COMMENT ON FUNCTION cdp_internal.test_servers(jsonb, jsonb) IS
'The servers that a connection talks to, https://host or with :port: that of its data, and behind it, as part :token, that of its tokens where it is another one.';

CREATE OR REPLACE FUNCTION cdp_internal.test_open(connection_id integer, OUT test_id bigint, OUT goes_on boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  test_id := cdp_internal.begin_connection_test(connection_id);
  PERFORM cdp_internal.check_connection_setup(test_id);
  goes_on := NOT EXISTS (SELECT FROM cdp_data.connection_check k WHERE k.test_id = test_open.test_id AND k.status = 'fail');
END
$$;
COMMENT ON FUNCTION cdp_internal.test_open(integer) IS
'Opens a test of a connection and records the checks that need no network; goes_on: they passed, so that the network may be asked. Needs the rights of the tables'' owner. Error 55000: retired, or no such connection.';

CREATE OR REPLACE FUNCTION cdp_internal.test_greet(test_id bigint, headers jsonb, issuer text, expires text, plain boolean, fetched_at timestamptz, total_ms numeric, tls_ms numeric) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
  days numeric;
  skew numeric;
BEGIN
  IF plain THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'tls', 'warn', 'there is none: secrets and data can be read on the way', 'Have the server answer by https');
  ELSE
    IF expires ~ '^[A-Z][a-z]{2} [ 0-9]?[0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}' THEN
      days := floor(extract(epoch FROM to_timestamp(regexp_replace(expires, ' +', ' ', 'g'), 'Mon DD HH24:MI:SS YYYY') - fetched_at) / 86400);
    END IF;
    PERFORM cdp_internal.record_connection_check(test_id, 'tls', CASE WHEN days < 14 THEN 'warn' ELSE 'ok' END,
      concat_ws(', ', 'issued by ' || left(issuer, 300), days || ' days left'), CASE WHEN days < 14 THEN 'Its owner has to renew the certificate' END, round(tls_ms, 1));
  END IF;
  IF headers ->> 'date' ~ '^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$' THEN
    skew := round(extract(epoch FROM fetched_at - to_timestamp(substr(headers ->> 'date', 6, 20), 'DD Mon YYYY HH24:MI:SS'))::numeric, 1);
    PERFORM cdp_internal.record_connection_check(test_id, 'clock', CASE WHEN abs(skew) > 60 THEN 'warn' ELSE 'ok' END, CASE WHEN abs(skew) < 2 THEN 'both tell the same time' ELSE format('our clock is %s s %s of the server''s', abs(skew), CASE WHEN skew < 0 THEN 'behind' ELSE 'ahead' END) END,
      CASE WHEN abs(skew) > 60 THEN 'Signed requests and the ends of days depend on it: let both keep time by NTP' END);
  ELSE
    PERFORM cdp_internal.record_connection_check(test_id, 'clock', 'skip', 'the server tells no time');
  END IF;
END
$$;
COMMENT ON FUNCTION cdp_internal.test_greet(bigint, jsonb, text, text, boolean, timestamptz, numeric, numeric) IS
'Records what the first answer of a test tells of its server: tls (issuer, whole days left; fewer than 14 warn; plain: there is none) and clock (its Date against fetched_at; more than 60 s warn). Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.named_address(body bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN substring(encode(substr(body, 1, 4000), 'escape') FROM '(?:^|[^0-9.])((?:[0-9]{1,3}[.]){3}[0-9]{1,3})(?:[^0-9.]|[.]?$|[.][^0-9])');
END
$$;
COMMENT ON FUNCTION cdp_internal.named_address(bytea) IS
'The first IPv4 address in the first 4,000 bytes of an answer: with a refusal that is the one that the server saw. NULL: none.';

CREATE OR REPLACE FUNCTION cdp_internal.test_sample(test_id bigint, manifest jsonb, config jsonb, stream text, state jsonb, body bytea) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked jsonb := state || jsonb_build_object('config', config);
  d record;
  p record;
  who record;
BEGIN
  SELECT x.doc, x.scrubbed, x.problem INTO d FROM cdp_internal.connector_decode(manifest, stream, body) x;
  IF d.problem IS NOT NULL THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'sample:' || stream, 'fail', d.problem, 'Compare the answer with response and csv of the stream in the manifest');
    RETURN '[]';
  END IF;
  SELECT count(*) AS records, count(x.problem) AS bad, string_agg(DISTINCT x.problem, ', ') AS problems, count(x.ref_date) AS dated, jsonb_agg(x.payload ORDER BY x.n) FILTER (WHERE x.n <= 10) AS sample,
    count(*) FILTER (WHERE state ? 'window' AND x.ref_date NOT BETWEEN (state #>> '{window,from}')::date AND (state #>> '{window,to}')::date) AS outside INTO p
  FROM cdp_internal.connector_page(manifest, stream, d.doc, asked) x;
  IF p.records = 0 THEN
    RETURN '[]';
  END IF;
  PERFORM cdp_internal.record_connection_check(test_id, 'sample:' || stream, CASE p.bad WHEN 0 THEN 'ok' WHEN p.records THEN 'fail' ELSE 'warn' END,
    concat_ws(', ', format('%s records', p.records), CASE WHEN p.bad > 0 THEN format('%s of them with %s', p.bad, p.problems) ELSE 'each with its key' END, CASE WHEN d.scrubbed > 0 THEN format('%s characters replaced', d.scrubbed) END),
    CASE WHEN p.bad > 0 THEN 'Compare a record with key and ref_date of the stream in the manifest' END);
  IF p.dated > 0 AND state ? 'window' THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'zone:' || stream, CASE WHEN p.outside > 0 THEN 'warn' ELSE 'ok' END,
      format('%s of %s records carry a day that was not asked; days are those of %s', p.outside, p.dated, coalesce(manifest ->> 'tz', 'UTC')), CASE WHEN p.outside > 0 THEN 'Is tz of the manifest the zone of the account, and end of the window what the product means?' END);
  END IF;
  SELECT count(*) AS touchpoints, count(t.problem) AS bad, string_agg(DISTINCT t.problem, ', ') AS problems,
    (SELECT string_agg(format('%s in %s', i.type, i.n), ', ' ORDER BY i.n DESC, i.type) FROM (
      SELECT k.type, count(*) FILTER (WHERE y.identifiers ? k.type) AS n
      FROM (SELECT DISTINCT j.key AS type FROM jsonb_path_query(manifest -> 'streams' -> stream, 'lax $.touchpoint[*].identifiers') b, jsonb_object_keys(b) j (key)) k
        LEFT JOIN (SELECT v.identifiers FROM jsonb_array_elements(p.sample) r CROSS JOIN LATERAL cdp_internal.connector_touchpoints(manifest, stream, r, asked) v) y ON true
      GROUP BY k.type) i) AS types INTO who
  FROM jsonb_array_elements(p.sample) r (payload) CROSS JOIN LATERAL cdp_internal.connector_touchpoints(manifest, stream, r.payload, asked) t;
  IF who.touchpoints > 0 THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'identity:' || stream, CASE WHEN who.bad > 0 OR who.types ~ '\munionid in 0\M' THEN 'warn' ELSE 'ok' END,
      concat_ws('; ', format('of %s touchpoints: %s', who.touchpoints, who.types), CASE WHEN who.bad > 0 THEN format('%s with %s', who.bad, who.problems) END),
      CASE WHEN who.types ~ '\munionid in 0\M' THEN 'unionid is told only when app and official account belong to one open platform account' WHEN who.bad > 0 THEN 'Compare a record with touchpoint of the stream in the manifest' END);
  END IF;
  RETURN p.sample;
END
$$;
COMMENT ON FUNCTION cdp_internal.test_sample(bigint, jsonb, jsonb, text, jsonb, bytea) IS
'Records what the page of a stream that came in a test is like, as counts: sample:stream (it decodes, records have their keys and days), zone:stream (their days are those that were asked), identity:stream (which identifiers the touchpoints of its first 10 records have). Returns these records, for streams that are asked by them; they are kept nowhere. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.test_answer(test_id bigint, manifest jsonb, config jsonb, stream text, is_probe boolean, state jsonb, status integer, headers jsonb, body bytea, verb text, code text, note text, trouble text, total_ms numeric, samples jsonb)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  good boolean := verb IN ('ok', 'not_ready', 'ignore');
  address text := CASE WHEN verb = 'config' THEN cdp_internal.named_address(body) END;
  told text := concat_ws(', ', format('HTTP %s', status), 'code ' || code, note, 'it names the address ' || address);
  left_over text := coalesce(headers ->> 'x-ratelimit-remaining', headers ->> 'x-rate-limit-remaining', headers ->> 'ratelimit-remaining');
BEGIN
  PERFORM cdp_internal.record_connection_check(test_id, 'permission:' || stream,
    CASE WHEN good THEN 'ok' WHEN verb IN ('park', 'skip_partition', 'split') OR NOT is_probe THEN 'warn' ELSE 'fail' END,
    CASE verb WHEN 'ok' THEN '' WHEN 'ignore' THEN told WHEN 'not_ready' THEN concat_ws(': ', 'its data are not there yet', nullif(told, '')) ELSE concat_ws(': ', verb, coalesce(trouble, told)) END,
    CASE WHEN good THEN NULL WHEN verb = 'config' THEN 'Allow the app to call this; until then nothing of the stream comes' || coalesce(format('. If the app has a list of addresses, %s has to be on it', address), '')
      WHEN verb = 'park' THEN 'The quota is used up: test again when it is new'
      WHEN verb = 'skip_partition' THEN 'What it was asked with is outside of what the app may see' WHEN trouble IS NOT NULL THEN 'Look at the network between this server and theirs' END,
    round(total_ms, 1));
  IF verb = 'park' THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'quota', 'warn', format('%s: %s', stream, told), 'Calls are refused until the quota is new');
  ELSIF left_over ~ '^[0-9]{1,9}$' THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'quota', CASE WHEN left_over::integer = 0 THEN 'warn' ELSE 'ok' END,
      concat_ws(' of ', left_over, substring(coalesce(headers ->> 'x-ratelimit-limit', headers ->> 'x-rate-limit-limit', headers ->> 'ratelimit-limit') FROM '^[0-9]{1,9}')) || ' calls are left');
  END IF;
  RETURN samples || jsonb_build_object(stream, CASE WHEN verb = 'ok' AND body IS NOT NULL THEN cdp_internal.test_sample(test_id, manifest, config, stream, state, body) ELSE '[]' END);
END
$$;
COMMENT ON FUNCTION cdp_internal.test_answer(bigint, jsonb, jsonb, text, boolean, jsonb, integer, jsonb, bytea, text, text, text, text, numeric, jsonb) IS
'Records what an answer to the call of a stream in a test means: permission:stream (fail only where the connection is not tested without it, is_probe), quota (used up, or what headers tell of it), and cdp_internal.test_sample(). verb, code and note: those of cdp_internal.call_verdict(), or verb an outcome of the transport with what it says in trouble. Returns samples with the records of this one. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.quota_manifest(manifest jsonb, stream text, records text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  q jsonb := manifest -> 'quota_check';
  place text[] := string_to_array(q ->> 'send', '.');
  spec jsonb := q - '{send,left,of}'::text[] || jsonb_build_object('records', records);
BEGIN
  IF q IS NULL THEN
    RETURN NULL;
  ELSIF place IS NOT NULL THEN
    -- A path has dollar signs of its own where it is a template.
    spec := jsonb_set(jsonb_build_object(place[1], '{}'::jsonb) || spec, place, to_jsonb(replace(manifest #>> ARRAY['streams', stream, 'path'], '$', repeat('$', 2))));
  END IF;
  RETURN (manifest - '{callback,quota_check}'::text[]) || jsonb_build_object('streams', jsonb_build_object('quota_check', spec));
END
$$;
COMMENT ON FUNCTION cdp_internal.quota_manifest(jsonb, text, text) IS
'A manifest whose only stream, quota_check, is the call that tells how many are left for a stream, with its answer read at the path records. NULL where the manifest has no such call, or for NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.test_quota_request(manifest jsonb, config jsonb, stream text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN cdp_internal.call_request(cdp_internal.quota_manifest(manifest, stream, manifest #>> '{quota_check,left}'), config, 'quota_check', '{}');
END
$$;
COMMENT ON FUNCTION cdp_internal.test_quota_request(jsonb, jsonb, text) IS
'The request that tells how many calls are left for a stream; NULL where the manifest has none. Errors: as cdp_internal.connector_request().';

CREATE OR REPLACE FUNCTION cdp_internal.test_quota(test_id bigint, manifest jsonb, stream text, verb text, code text, note text, body bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  doc jsonb := (SELECT d.doc FROM cdp_internal.decode_body(body) d);
  left_over numeric;
  most numeric;
BEGIN
  IF verb = 'ok' THEN
    left_over := (SELECT substring(p.payload #>> '{}' FROM '^[0-9]{1,15}$')::numeric FROM cdp_internal.connector_page(cdp_internal.quota_manifest(manifest, stream, manifest #>> '{quota_check,left}'), 'quota_check', doc, '{}') p LIMIT 1);
    most := (SELECT substring(p.payload #>> '{}' FROM '^[0-9]{1,15}$')::numeric FROM cdp_internal.connector_page(cdp_internal.quota_manifest(manifest, stream, manifest #>> '{quota_check,of}'), 'quota_check', doc, '{}') p LIMIT 1);
  END IF;
  PERFORM cdp_internal.record_connection_check(test_id, 'quota', CASE WHEN left_over IS NULL THEN 'skip' WHEN left_over = 0 OR left_over < most / 10 THEN 'warn' ELSE 'ok' END,
    CASE WHEN left_over IS NULL THEN concat_ws(', ', 'the server does not tell it', nullif(verb, 'ok'), 'code ' || code, note) ELSE concat_ws(' of ', left_over, most) || format(' calls of %s are left', stream) END,
    CASE WHEN left_over = 0 OR left_over < most / 10 THEN 'Runs wait when it is used up' END);
END
$$;
COMMENT ON FUNCTION cdp_internal.test_quota(bigint, jsonb, text, text, text, text, bytea) IS
'Records what the answer to cdp_internal.test_quota_request() tells: the check quota, a warning when less than a tenth is left; skip when it tells nothing. Needs the rights of the tables'' owner.';

CREATE OR REPLACE FUNCTION cdp_internal.test_close(test_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM cdp_data.connection_check k WHERE k.test_id = test_close.test_id AND k.name LIKE 'permission:%' AND k.status = 'ok')
    AND NOT EXISTS (SELECT FROM cdp_data.connection_check k WHERE k.test_id = test_close.test_id AND k.name LIKE 'sample:%') THEN
    PERFORM cdp_internal.record_connection_check(test_id, 'sample', 'warn', 'no stream had a record, so that keys could not be looked at', 'Test again when there are data');
  END IF;
  RETURN cdp_internal.end_connection_test(test_id);
END
$$;
COMMENT ON FUNCTION cdp_internal.test_close(bigint) IS
'Ends a test (cdp_internal.end_connection_test()); says that no stream had a record, where that is so. Returns the state. Needs the rights of the tables'' owner.';

CREATE OR REPLACE PROCEDURE cdp.test_connection(connection text, INOUT state text DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'cdp_test_connection';
COMMENT ON PROCEDURE cdp.test_connection(text, text) IS
'Tests a connection: manifest, config and secrets; host and addresses; TLS; credentials (asked for even if they were refused a short while ago); each stream by its cheapest call, of which nothing is kept; clocks; quota. cdp.connection_checks() lists what was found. A draft becomes tested when all required checks passed, tested becomes draft when they did not; the state is returned. Streams that are probes in the manifest are required, or all when none is one; what else is refused is a warning. Commits, so not in a transaction block (2D000); waits without holding anything; one that is stopped counts for nothing. For members of the connection''s owner and the owner of the tables. Errors: 22004 NULL, 22023 unknown connection, 42501 no member, 55000 retired or changed meanwhile, 57014 cancelled.';

CREATE OR REPLACE FUNCTION cdp.connection_checks(connection text) RETURNS TABLE (name text, required boolean, status text, detail text, hint text, ms numeric, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  id integer;
  test bigint;
BEGIN
  PERFORM cdp_internal.require_setup();
  SELECT c.connection_id INTO id FROM cdp_data.connection c WHERE c.name = connection_checks.connection;
  IF id IS NULL THEN
    RAISE EXCEPTION 'unknown connection "%"', left(connection, 63)
      USING ERRCODE = 'invalid_parameter_value', HINT = cdp_internal.did_you_mean(connection, ARRAY(SELECT x.name FROM cdp_data.connection x), 'SELECT connection FROM cdp_bi.connection_status; lists them.');
  END IF;
  test := (SELECT max(t.test_id) FROM cdp_data.connection_test t WHERE t.connection_id = id);
  RETURN QUERY
  SELECT x.name, x.required, x.status, x.detail, x.hint, x.ms, x.at
  FROM (
    SELECT k.name::text, k.required, k.status::text, k.detail, CASE WHEN k.status <> 'ok' THEN k.hint END AS hint, k.ms, k.at FROM cdp_data.connection_check k WHERE k.test_id = test
    UNION ALL
    SELECT b.name, b.required, 'skip', 'not tried', NULL, NULL, NULL FROM cdp.connection_check_builtin() b
    WHERE test IS NOT NULL AND NOT EXISTS (SELECT FROM cdp_data.connection_check k WHERE k.test_id = test AND split_part(k.name, ':', 1) = b.name)) x
  ORDER BY x.at NULLS LAST, x.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION cdp.connection_checks(text) IS
'What the last test of a connection found, finished or not, in its order: name (of cdp.connection_check_builtin(), or with a stream behind a colon; zone and identity beside), whether the connection is not tested without it, status (ok; warn: it works, look at it; fail; skip: not tried), detail, hint (next step), milliseconds, when. No row: never tested. Errors: 22023 unknown connection, 42501 without the part of admin, analyst, marketer or privacy, 55000 before cdp.setup().';

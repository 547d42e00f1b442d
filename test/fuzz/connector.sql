-- Manifests of connectors: built-in ones with parts swapped, dropped, doubled and replaced; random paths, templates, states and bodies. A manifest is told its problems, each with
-- a path and a code, or is good, and then every step of a pull answers or refuses by a plain error; what decodes from any bytes is JSON that comes back the same.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';

CREATE FUNCTION pg_temp.some_value() RETURNS jsonb LANGUAGE sql AS $f$SELECT pg_temp.pick('null', 'true', 'false', '0', '-1', '7', '2.50', '1e40', '1e300', '12345678901234567890', '""', '"a"', '"x y"', '"$"', '"$$"', '"$config.corpid"', '"$config.x"', '"$secret.corpsecret"', '"$partition"', '"$partition.id"', '"$window.from"',
  '"$window.to_epoch_ms"', '"$cursor"', '"$size"', '"${config.appid}x"', '"${"', '"$.list[*]"', '"$"', '"$.a.b[0]"', '"$.a[*].b[*]"', '"a.b"', '"@"', '"[0]"', '"$[\"a b\"]"', '"$.."', '"epoch"', '"yyyymmdd"', '"sum"', '"GET"', '"POST"', '"token"', '"page"', '"offset"', '"url"', '"link"', '"body.a.b"', '"query.c"',
  '"https://a.example/x"', '"http://[::1]:80"', '"08:00"', '"1 min"', '"csv"', '"ndjson"', '"Asia/Shanghai"', '"Nowhere/None"', '[]', '{}', '[1,2]', '["a","b"]', '{"$each":"$partition"}', '{"path":"a"}', '{"path":"a","equals":1}', '{"kind":"none"}', '"\u0001"', '"微信"', '1772366700', '"2026-03-01"', '"2026-03-01T00:00:00Z"')::jsonb$f$;

-- Goes down at random and changes what it meets.
CREATE FUNCTION pg_temp.mutate(x jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  k text;
  n integer;
BEGIN
  IF jsonb_typeof(x) = 'object' AND x <> '{}' AND random() < 0.9 THEN
    SELECT key INTO k FROM jsonb_object_keys(x) key ORDER BY random() LIMIT 1;
    RETURN CASE WHEN random() < 0.75 THEN jsonb_set(x, ARRAY[k], pg_temp.mutate(x -> k)) WHEN random() < 0.3 THEN x - k
      WHEN random() < 0.5 THEN x || jsonb_build_object(pg_temp.pick('path', 'kind', 'send', 'take', 'more', 'total', 'size', 'start', 'form', 'body', 'query', 'window', 'partition', 'cursor', 'unpack', 'skip', 'key', 'ref_date', 'chunk', 'fields', 'honor', 'until', 'x', ''), pg_temp.some_value())
      ELSE (x - k) || jsonb_build_object(pg_temp.pick('path', 'kind', 'take', 'records', 'key', 'metrics', 'equals', 'code', 'http', 'do'), x -> k) END;
  ELSIF jsonb_typeof(x) = 'array' AND x <> '[]' AND random() < 0.85 THEN
    n := floor(random() * jsonb_array_length(x));
    RETURN CASE WHEN random() < 0.7 THEN jsonb_set(x, ARRAY[n::text], pg_temp.mutate(x -> n)) WHEN random() < 0.5 THEN x - n ELSE x || (x -> n) END;
  END IF;
  RETURN pg_temp.some_value();
END $$;

CREATE FUNCTION pg_temp.some_body(depth integer) RETURNS jsonb LANGUAGE sql AS $$SELECT CASE WHEN depth > 3 OR random() < 0.3 THEN pg_temp.some_value()
  WHEN random() < 0.4 THEN (SELECT coalesce(jsonb_agg(pg_temp.some_body(depth + 1)), '[]') FROM generate_series(1, floor(random() * 4)::integer))
  ELSE (SELECT coalesce(jsonb_object_agg(pg_temp.pick('list', 'a', 'b', 'a b', 'errcode', 'next_cursor', 'has_more', 'data', 'items', 'id', 'follow_user', 'openid', 'ref_date', 'order', 'total', 'item'), pg_temp.some_body(depth + 1)), '{}') FROM generate_series(1, floor(random() * 5)::integer)) END$$;

DO $$
DECLARE
  all_of jsonb[] := ARRAY(SELECT b.manifest FROM cdp.connector_builtin() b);
  -- What a step may refuse with.
  plain text[] := ARRAY['22023', '54000', '22008'];
  manifest jsonb;
  body jsonb;
  state jsonb;
  stream text;
  bytes bytea;
  answer record;
  good bigint := 0;
  wrong bigint := 0;
  steps bigint := 0;
  refused bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    manifest := all_of[1 + floor(random() * cardinality(all_of))::integer];
    FOR i IN 1 .. floor(random() * 4)::integer LOOP
      manifest := pg_temp.mutate(manifest);
    END LOOP;
    IF EXISTS (SELECT FROM cdp.connector_problems(manifest) p WHERE p.path IS NULL OR p.path ~ '^\.' OR p.code !~ '^[a-z_]+$' OR coalesce(p.problem, '') = '') THEN
      RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'a problem lacks something';
    ELSIF EXISTS (SELECT FROM cdp.connector_problems(manifest)) THEN
      wrong := wrong + 1;
    ELSE
      good := good + 1;
      PERFORM cdp_internal.connector_hosts(manifest);
      SELECT s.key INTO stream FROM jsonb_object_keys(manifest -> 'streams') AS s (key) ORDER BY random() LIMIT 1;
      body := pg_temp.some_body(0);
      state := jsonb_build_object('config', jsonb_build_object('corpid', pg_temp.some_value(), 'appid', pg_temp.some_value(), 'base_url', pg_temp.some_value()), 'cursor', pg_temp.some_value(),
        'partition', CASE WHEN random() < 0.5 THEN '["a", 5]'::jsonb ELSE pg_temp.some_value() END, 'window', '{"from": "2026-03-01", "to": "2026-03-01"}'::jsonb);
      IF random() < 0.1 THEN state := pg_temp.mutate(state); END IF;
      FOR step IN 1 .. 9 LOOP
        BEGIN
          steps := steps + 1;
          CASE step
            WHEN 1 THEN PERFORM cdp_internal.connector_request(manifest, stream, state);
            WHEN 2 THEN PERFORM cdp_internal.connector_auth_request(manifest, state);
            WHEN 3 THEN PERFORM v.verb FROM cdp_internal.connector_verdict(manifest, stream, floor(random() * 700)::integer, pg_temp.some_body(2), body, '2026-03-01') v;
            WHEN 4 THEN PERFORM count(p.payload::text) FROM cdp_internal.connector_page(manifest, stream, body, state) p;
            WHEN 7 THEN PERFORM count(t.*::text) FROM cdp_internal.connector_touchpoints(manifest, stream, body, state) t;
            WHEN 8 THEN PERFORM count(t.*::text) FROM cdp_internal.connector_metrics(manifest, stream, body, state) t;
            WHEN 9 THEN PERFORM count(t.*::text) FROM cdp_internal.connector_content(manifest, stream, body, state) t;
            WHEN 5 THEN PERFORM count(*) FROM cdp_internal.connector_zeros(manifest, stream, body, state);
            ELSE SELECT n.* INTO answer FROM cdp_internal.connector_next(manifest, stream, body, pg_temp.some_body(2), state) n;
              IF (answer.next IS NULL) <> (answer.problem IS NOT NULL) THEN RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'neither a state nor a problem'; END IF;
          END CASE;
        EXCEPTION WHEN OTHERS THEN
          IF SQLSTATE <> ALL (plain) THEN
            RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = format('step %s of %s: %s %s', step, stream, SQLSTATE, SQLERRM);
          END IF;
          refused := refused + 1;
        END;
      END LOOP;
    END IF;
    -- Bytes: the text of a body with some of them changed, taken out or put in.
    bytes := convert_to(pg_temp.some_body(0)::text, 'UTF8');
    FOR i IN 1 .. floor(random() * 6)::integer LOOP
      CONTINUE WHEN octet_length(bytes) = 0;
      bytes := CASE WHEN random() < 0.4 THEN set_byte(bytes, floor(random() * octet_length(bytes))::integer, floor(random() * 256)::integer)
        WHEN random() < 0.5 THEN substr(bytes, 1, floor(random() * octet_length(bytes))::integer)
        ELSE bytes || decode(pg_temp.pick('5c75', '5c7564383364', '22', 'e5bc', '00', 'ff', '5d', '7d', '2c', '0a'), 'hex') END;
    END LOOP;
    SELECT d.* INTO answer FROM cdp_internal.decode_body(bytes) d;
    IF (answer.doc IS NULL) <> (answer.problem IS NOT NULL) THEN
      RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'neither a document nor a problem';
    ELSIF answer.doc IS NOT NULL AND (SELECT d.doc <> answer.doc OR d.scrubbed > 0 FROM cdp_internal.decode_body(convert_to(answer.doc::text, 'UTF8')) d) THEN
      RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'what was read reads otherwise again';
    END IF;
    PERFORM d.doc FROM (VALUES ('csv'), ('ndjson')) v (r) CROSS JOIN LATERAL cdp_internal.connector_decode(jsonb_build_object('connector', 'x', 'version', 1, 'base_url', 'https://x.example',
      'streams', jsonb_build_object('s', jsonb_build_object('path', '/', 'records', '$[*]', 'response', v.r))), 's', bytes) d;
  END LOOP;
  RAISE NOTICE '% good, % wrong, % steps, % refused', good, wrong, steps, refused;
  IF good * wrong = 0 THEN RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'only good ones, or only bad ones'; END IF;
END $$;

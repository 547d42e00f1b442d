-- Answers with secrets in them, in any writing and with bytes changed: the token that is read out of bytes is the one that jsonb tells; what is blanked is gone, in every text of the
-- JSON that it was and still is, and nothing else changed its length. Requests of every built-in connector with random secrets are filled, or refused by a plain error.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.some_secret() RETURNS text LANGUAGE sql AS $$SELECT string_agg(pg_temp.pick('a', 'b', 'n', 'u', '0', '0', '4', '1', 'F', '/', '\', '"', '%', '+', '=', ' ', '-', '_', '.', '*', '$', '{', '}', '张', 'é', '😀'), '') FROM generate_series(1, 6 + floor(random() * 12)::integer)$$;
-- A character as JSON, one of the ways to write it.
CREATE FUNCTION pg_temp.written(c text) RETURNS text LANGUAGE sql AS $$SELECT CASE WHEN c = '"' OR c = '\' THEN pg_temp.pick('\' || c, '\u00' || encode(convert_to(c, 'UTF8'), 'hex')) WHEN random() < 0.7 THEN c WHEN c = '/' THEN '\/'
  WHEN ascii(c) < 65536 THEN pg_temp.pick('\u', '\u') || lpad(CASE WHEN random() < 0.5 THEN upper(to_hex(ascii(c))) ELSE to_hex(ascii(c)) END, 4, '0') ELSE '\ud83d\ude00' END$$;
CREATE FUNCTION pg_temp.json_text(s text) RETURNS text LANGUAGE sql AS $$SELECT '"' || coalesce(string_agg(pg_temp.written(c.c), '' ORDER BY c.n), '') || '"' FROM regexp_split_to_table(s, '') WITH ORDINALITY AS c (c, n) WHERE s <> ''$$;
CREATE FUNCTION pg_temp.some_json(depth integer, secret text) RETURNS text LANGUAGE sql AS $$SELECT CASE WHEN depth > 3 OR random() < 0.35 THEN
    CASE WHEN random() < 0.4 THEN pg_temp.json_text(pg_temp.pick('', 'x', '\', 'https://h?t=', '}', '"') || secret || pg_temp.pick('', 'y', '&p=1')) ELSE pg_temp.pick('null', 'true', '-1.5e3', '12345678901', '"a\nb"', '""', '"\\"', '"]"', '"\ud800"', '"\u0000"', pg_temp.json_text(left(secret, 4))) END
  WHEN random() < 0.4 THEN (SELECT '[' || coalesce(string_agg(pg_temp.some_json(depth + 1, secret), pg_temp.pick(',', ' , ')), '') || ']' FROM generate_series(1, floor(random() * 4)::integer))
  ELSE (SELECT '{' || coalesce(string_agg(pg_temp.pick('"a"', '"t"', '"t"', '"b c"', '"\u0074"', pg_temp.json_text(secret)) || pg_temp.pick(':', ' : ') || pg_temp.some_json(depth + 1, secret), ','), '') || pg_temp.pick('}', ' }') FROM generate_series(1, floor(random() * 5)::integer)) END$$;

DO $$
DECLARE
  plain text[] := ARRAY['22023', '54000'];
  manifests jsonb[] := ARRAY(SELECT b.manifest FROM cdp.connector_builtin() b);
  secret text;
  body bytea;
  was record;
  after record;
  blank record;
  path text;
  told text;
  m jsonb;
  found bigint := 0;
  tokens bigint := 0;
  filled bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    secret := pg_temp.some_secret();
    body := convert_to(pg_temp.some_json(0, secret), 'UTF8');
    FOR change IN 1 .. floor(random() * random() * random() * 6)::integer LOOP
      body := CASE WHEN random() < 0.5 THEN set_byte(body, floor(random() * octet_length(body))::integer, floor(random() * 256)::integer) ELSE substr(body, 1, 1 + floor(random() * octet_length(body))::integer) END;
    END LOOP;
    SELECT d.* INTO was FROM cdp_internal.decode_body(body) d;
    -- A token.
    path := pg_temp.pick('$.t', '$.a.t', '$.a[0].t', '$[1].t', '$.t[0]', '$');
    told := cdp_internal.known_json_secret(body, path);
    IF was.doc IS NOT NULL AND was.scrubbed = 0 AND position('\u0074' IN encode(body, 'escape')) = 0 AND position('u0074' IN encode(body, 'escape')) = 0 THEN
      IF told IS DISTINCT FROM nullif((SELECT j #>> '{}' FROM jsonb_path_query_first(was.doc, ('strict ' || path)::jsonpath, silent => true) j WHERE jsonb_typeof(j) = 'string'), '') THEN
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = format('%s of %s is told as %s', path, encode(body, 'hex'), told);
      END IF;
      tokens := tokens + (told IS NOT NULL)::integer;
    END IF;
    -- Blanking.
    SELECT b.* INTO blank FROM cdp_internal.known_blank(body, ARRAY['another one', secret]) b;
    found := found + blank.found;
    SELECT d.* INTO after FROM cdp_internal.decode_body(blank.body) d;
    IF octet_length(blank.body) <> octet_length(body) OR (blank.found = 0) <> (blank.body = body) OR position(convert_to(secret, 'UTF8') IN blank.body) > 0 THEN
      RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = format('%s without %s is %s', encode(body, 'hex'), secret, encode(blank.body, 'hex'));
    ELSIF was.doc IS NOT NULL AND (after.doc IS NULL OR strpos(coalesce((SELECT string_agg(j #>> '{}', E'\n') FROM jsonb_path_query(after.doc, '$.**') j WHERE jsonb_typeof(j) = 'string'), ''), secret) > 0) THEN
      RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = format('%s without %s is no JSON any more, or still has it: %s', encode(body, 'escape'), secret, encode(blank.body, 'escape'));
    END IF;
    -- Requests.
    m := manifests[1 + floor(random() * cardinality(manifests))::integer];
    BEGIN
      PERFORM cdp_internal.known_inject(r.r, (SELECT jsonb_object_agg('secret.' || s, CASE WHEN random() < 0.8 THEN pg_temp.some_secret() END) || jsonb_build_object('token', pg_temp.some_secret()) FROM jsonb_object_keys(m -> 'secrets') s), '2026-03-01', decode(md5(secret), 'hex'))
      FROM (SELECT cdp_internal.connector_auth_request(m, x.state) AS r FROM (SELECT jsonb_build_object('config', (SELECT jsonb_object_agg(k, secret) FROM jsonb_object_keys(m -> 'config') k)) AS state) x
        UNION ALL SELECT r.request FROM cdp_internal.test_streams(m) s, LATERAL cdp_internal.test_request(m, (SELECT jsonb_object_agg(k, secret) FROM jsonb_object_keys(m -> 'config') k), s.stream, '{}', '2026-03-01') r WHERE r.request IS NOT NULL) r
      WHERE r.r IS NOT NULL;
      filled := filled + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE <> ALL (plain) THEN
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = format('%s: %s %s', m ->> 'connector', SQLSTATE, SQLERRM);
      END IF;
    END;
  END LOOP;
  IF least(found, tokens, filled) < current_setting('fuzz.rounds')::integer / 50 THEN
    RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = format('hardly anything was tried: %s found, %s tokens, %s filled', found, tokens, filled);
  END IF;
END $$;

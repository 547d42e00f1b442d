-- Envelopes, sealed records, bitmaps of consent and links of the audit with random content and random damage: what was not touched
-- comes back, of what was touched nothing does, and bytes of any sort end in an answer or in an error that is no internal one.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
CALL cdp.setup(timezone => 'UTC', currency => 'EUR');

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.soup(most integer) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(pg_temp.pick('a', 'b', '0', '1', '9', '+', '/', '=', ':', 'cdp1:', '"', '\', '{', ' ', E'\n', 'é', '微', '😀', repeat('x', 90)), ''), '') FROM generate_series(1, floor(random() * (most + 1))::integer) $$;
CREATE FUNCTION pg_temp.change_text(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 2)::integer LOOP
    at := floor(random() * (length(t) + 1))::integer;
    t := CASE floor(random() * 4)::integer WHEN 0 THEN left(t, at) || pg_temp.pick('A', '=', '9', ' ', E'\n', '-', '_', '1', ':', 'é') || substr(t, at + 2)
      WHEN 1 THEN left(t, at) || substr(t, at + 1 + floor(random() * 5)::integer) WHEN 2 THEN t || pg_temp.pick('=', 'A', '====', ' ', E'\n') ELSE left(t, at) || pg_temp.soup(2) || substr(t, at + 1) END;
  END LOOP;
  RETURN t;
END $$;
CREATE FUNCTION pg_temp.change_bytes(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 3)::integer LOOP
    CONTINUE WHEN length(b) = 0;
    at := floor(random() * least(length(b), CASE WHEN random() < 0.7 THEN 24 ELSE 1000000 END))::integer;
    b := CASE floor(random() * 4)::integer WHEN 0 THEN set_byte(b, at, floor(random() * 256)::integer) WHEN 1 THEN substr(b, 1, at) || substr(b, at + 2 + floor(random() * 8)::integer)
      WHEN 2 THEN overlay(b PLACING (ARRAY['\xffffffff'::bytea, '\x00', '\xc0ffffff', '\x01000000'])[1 + floor(random() * 4)::integer] FROM at + 1) ELSE substr(b, 1, at) END;
  END LOOP;
  RETURN b;
END $$;
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz LANGUAGE sql AS
  $$ SELECT pg_temp.pick('2026-01-01Z', '2026-01-02Z', '2026-01-03Z', '0001-01-01Z', '9999-12-31Z', NULL)::timestamptz $$;
CREATE FUNCTION pg_temp.json(depth integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE WHEN depth > 0 AND random() < 0.5 THEN (SELECT coalesce(jsonb_object_agg(pg_temp.pick('a', 'b', 'cdp_sealed', ''), pg_temp.json(depth - 1)), '{}') FROM generate_series(1, floor(random() * 4)::integer))
    WHEN depth > 0 AND random() < 0.3 THEN jsonb_build_array(pg_temp.json(depth - 1), pg_temp.json(depth - 1))
    WHEN random() < 0.7 THEN to_jsonb(pg_temp.soup(6)) ELSE pg_temp.pick('null', '1.50', 'true', '-0', '{"cdp_sealed": "cdp1:1:AAAA"}', '{}')::jsonb END;
END $$;
CREATE TYPE pg_temp.summary AS (root bigint, refused timestamptz, granted timestamptz, granted_until timestamptz, implied timestamptz, implied_until timestamptz);

DO $$
DECLARE
  value text;
  context text;
  envelope text;
  changed text;
  content jsonb;
  places jsonb;
  summaries pg_temp.summary[];
  low bigint;
  far boolean;
  opt_in boolean;
  map bytea;
  piece bytea;
  ids bigint[];
  row_of record;
  link bytea;
  opened bigint := 0;
  looked bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    -- One envelope: it opens, damaged it does not, in another context neither.
    value := pg_temp.soup(8);
    context := pg_temp.pick('attribute 7', 'mail', pg_temp.soup(3));
    envelope := CASE WHEN random() < 0.5 THEN cdp_internal.seal_text(value, context) ELSE cdp_internal.seal_same(value, context) END;
    IF cdp_internal.open_text(envelope, context) IS DISTINCT FROM value OR cdp_internal.open_or_null(envelope, context) IS DISTINCT FROM value
      OR cdp_internal.envelope_key(envelope) IS DISTINCT FROM 1 OR cdp_internal.open_or_null(envelope, context || 'x') IS NOT NULL THEN
      RAISE EXCEPTION 'round %: % in %', round, to_json(value), to_json(context);
    END IF;
    changed := pg_temp.change_text(envelope);
    IF changed <> envelope THEN
      IF cdp_internal.open_or_null(changed, context) IS NOT NULL THEN
        RAISE EXCEPTION 'round %: damaged, and opens: %', round, to_json(changed);
      END IF;
      BEGIN
        PERFORM cdp_internal.envelope_key(changed), cdp_internal.open_text(changed, context);
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'damaged, and opens';
      EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE NOT IN ('22023', '39000', '55000') THEN
          RAISE EXCEPTION 'round %: % % for %', round, SQLSTATE, SQLERRM, to_json(changed);
        END IF;
      END;
      opened := opened + 1;
    END IF;
    CONTINUE WHEN round % 4 > 0;

    -- A record with sealed places comes back as it was; its seals in another record are values like any other.
    content := jsonb_build_object('a', pg_temp.json(2), 'b', pg_temp.json(3));
    places := (SELECT jsonb_agg(DISTINCT jsonb_build_object('path', x.path, 'attribute', 7)) FROM (
      SELECT string_to_array(pg_temp.pick('a', 'b', 'b.a', 'c', 'b.cdp_sealed', 'c.d'), '.') AS path FROM generate_series(1, 1 + floor(random() * 2)::integer)) x);
    IF NOT EXISTS (SELECT FROM jsonb_array_elements(places) p, jsonb_array_elements(places) q WHERE p -> 'path' <> q -> 'path' AND p #> '{path,0}' = q #> '{path,0}')
      AND jsonb_typeof(content -> 'b') <> 'string' AND cdp_internal.open_fields(cdp_internal.seal_fields(content, places), places) IS DISTINCT FROM content THEN
      RAISE EXCEPTION 'round %: % at %', round, content, places;
    END IF;

    -- Summaries of consent, against the SQL of the single question; and a damaged bitmap.
    far := random() < 0.03;
    low := floor(random() * 3)::bigint * 67108864;
    summaries := ARRAY(SELECT DISTINCT ON (r) (r, pg_temp.moment(), pg_temp.moment(), coalesce(pg_temp.moment(), 'infinity'), pg_temp.moment(), coalesce(pg_temp.moment(), 'infinity'))::pg_temp.summary
      FROM (SELECT low + CASE WHEN far THEN pg_temp.pick('65535', '65536', '1000000', '67108863')::bigint ELSE 1 + floor(random() * 200)::bigint END AS r FROM generate_series(1, floor(random() * 30)::integer)) x ORDER BY r);
    FOREACH opt_in IN ARRAY '{true,false}'::boolean[] LOOP
      SELECT cdp_internal.consent_bitmap(s.root, s.refused, s.granted, s.granted_until, s.implied, s.implied_until, '2026-01-02Z', opt_in, low) INTO map FROM unnest(summaries) s;
      IF EXISTS (SELECT FROM unnest(summaries) s, LATERAL cdp_internal.consent_word(s.refused, s.granted, s.granted_until, s.implied, s.implied_until, '2026-01-02Z') w
        WHERE cdp_internal.bitmap_has(map, s.root) <> CASE WHEN opt_in THEN w = 'granted' ELSE w <> 'refused' END) THEN
        RAISE EXCEPTION 'round %: the bitmap says something else than the single question: %', round, summaries;
      END IF;
      BEGIN
        piece := pg_temp.change_bytes(map);
        ids := ARRAY(SELECT cdp_internal.bitmap_ids(piece));
        IF (SELECT count(DISTINCT cdp_internal.bitmap_has(piece, i)) FROM unnest(ids) i) > 1 OR EXISTS (SELECT FROM unnest(ids) i WHERE i NOT BETWEEN 0 AND 4294967295) THEN
          RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'bits differ from ids';
        END IF;
        PERFORM cdp_internal.bitmap_count(piece), cdp_internal.bitmap_has(piece, 4294967295), cdp_internal.bitmap_has(piece, -9223372036854775808);
        looked := looked + 1;
        -- Not of two that lie far apart: what is between them takes up to 512 MB.
        IF length(piece) > 11 AND get_byte(piece, 11) = get_byte(map, 11)
          AND ARRAY(SELECT cdp_internal.bitmap_ids(cdp_internal.bitmap_join(ARRAY[map, NULL, piece], NOT opt_in))) <> ARRAY(SELECT cdp_internal.bitmap_ids(map) UNION SELECT unnest(ids) ORDER BY 1) THEN
          RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'joined otherwise';
        END IF;
      EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE NOT IN ('22P03', '22023') THEN
          RAISE EXCEPTION 'round %: % %', round, SQLSTATE, SQLERRM;
        END IF;
      END;
    END LOOP;

    -- A chain of links in one query is the same as one link after the other.
    link := NULL;
    FOR row_of IN
      SELECT x.*, cdp_internal.audit_links(x.key_id, NULL, x.pos, x.id, x.at, '5', x.actor, x.role, x.action, x.object, x.customer, x.digest, x.detail) AS made
      FROM (SELECT CASE WHEN random() < 0.5 THEN 1 END AS key_id, n AS pos, floor(random() * 9)::bigint AS id, coalesce(pg_temp.moment(), '-infinity') AS at, pg_temp.soup(3) AS actor, pg_temp.pick(NULL, '') AS role, pg_temp.soup(2) AS action,
          pg_temp.pick(NULL, pg_temp.soup(3)) AS object, floor(random() * 3)::bigint AS customer, decode(md5(random()::text), 'hex') AS digest, CASE WHEN random() < 0.8 THEN pg_temp.json(2) END AS detail FROM generate_series(1, 4) n OFFSET 0) x
    LOOP
      link := cdp_internal.audit_link(row_of.key_id, link, row_of.pos, row_of.id, row_of.at, '5', row_of.actor, row_of.role, row_of.action, row_of.object, row_of.customer, row_of.digest, row_of.detail);
      IF link IS DISTINCT FROM row_of.made THEN
        RAISE EXCEPTION 'round %: another link at %', round, row_of;
      END IF;
    END LOOP;
  END LOOP;
  IF opened < current_setting('fuzz.rounds')::integer / 2 OR looked < current_setting('fuzz.rounds')::integer / 40 THEN
    RAISE EXCEPTION 'hardly anything is tried: % envelopes, % bitmaps', opened, looked;
  END IF;
END $$;

-- Readers of text with random text of the sort that they read: times, numbers, JSON, names, values of attributes, words by which
-- an erasure finds content, masks. None may raise an error, and what one takes says the same to PostgreSQL, or to itself again.
\set VERBOSITY terse
SET client_min_messages = error;
SET timezone = 'UTC';
SET plan_cache_mode = force_generic_plan; -- a plan for one value would cast it before the function that asks whether it can be cast
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.soup(most integer, VARIADIC a text[]) RETURNS text LANGUAGE sql AS
  'SELECT coalesce(string_agg(pg_temp.pick(VARIADIC a), ''''), '''') FROM generate_series(1, floor(random() * (most + 1))::integer)';
-- Up to two characters cut out, doubled or put in.
CREATE FUNCTION pg_temp.damage(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. floor(random() * 3)::integer LOOP
    at := floor(random() * (length(t) + 1))::integer;
    t := left(t, at) || CASE WHEN random() < 0.7 THEN pg_temp.pick('', '0', '9', '-', '+', '.', ':', ' ', 'e', 'T', '"', '\', '{', ']', ',', E'\n', E'\u0661', E'\ufeff', '微', '😀') ELSE substr(t, at, 2) END || substr(t, at + 1 + floor(random() * 2)::integer);
  END LOOP;
  RETURN t;
END $$;
CREATE FUNCTION pg_temp.moment() RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.pick('', ' ') || pg_temp.pick('2024', '2023', '0001', '9999', '1969', '0000') || s || pg_temp.pick('2', '02', '12', '13', '00', '1') || s || pg_temp.pick('1', '01', '29', '30', '31')
    || CASE WHEN random() < 0.7 THEN pg_temp.pick(' ', 'T', 't', '  ') || pg_temp.pick('0:00', '02:30', '23:59', '24:00', '9:05:06', '23:59:60', '24:00:00', '12:60:00') || pg_temp.pick('', '', '.5', '.9999999', '.0000004', ',25') ELSE '' END
    || pg_temp.pick('', '', 'Z', '+08', '-0330', '+05:30', ' +01:00', '+15:59:59', '+16', '-99') FROM (SELECT pg_temp.pick('-', '-', '/') AS s) x $$;
CREATE FUNCTION pg_temp.amount() RETURNS text LANGUAGE sql AS $$
  SELECT pg_temp.pick('', '', ' ', '-', '+') || pg_temp.soup(4, '0', '1', '92', '123456', '000') || pg_temp.pick('', '', '.') || pg_temp.soup(2, '0', '5', '125', '999999')
    || CASE WHEN random() < 0.3 THEN pg_temp.pick('e', 'E') || pg_temp.pick('', '+', '-') || pg_temp.pick('0', '1', '7', '12', '99', '400') ELSE '' END $$;
CREATE FUNCTION pg_temp.json() RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN random() < 0.6 THEN pg_temp.pick('{"a": [1, {"b": null}], "c": "d\u00e9"}', '["\ud83d\ude00", -0.5e-3, true]', '{"": ""}', '[[], {}, ""]', ' "x\\\"y" ', '{"a": 1, "a": 2}', '1e999', '-0')
    ELSE pg_temp.soup(12, '{', '}', '[', ']', ',', ':', '"a"', '"\u0041"', '"\ud800"', '1', '-2.5', '1e5', '01', 'true', 'null', ' ', '"', '\') END $$;
-- What PostgreSQL makes of a text; NULL when it raises an error.
CREATE FUNCTION pg_temp.postgres(t text, type text, zone text DEFAULT 'UTC') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  made text;
BEGIN
  PERFORM set_config('timezone', zone, true);
  EXECUTE format('SELECT %L::%s::text', t, type) INTO made;
  RETURN made;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$;

DO $$
DECLARE
  types text[] := cdp_internal.attribute_types();
  transforms text[] := ARRAY(SELECT t.name FROM cdp.field_transforms() t);
  zone text;
  t text;
  word text;
  made text;
  other text;
  again text;
  finding text;
  taken bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    finding := NULL;
    zone := pg_temp.pick('UTC', 'Asia/Shanghai', 'America/New_York', 'Australia/Lord_Howe');
    t := CASE round % 5 WHEN 0 THEN pg_temp.damage(pg_temp.moment()) WHEN 1 THEN pg_temp.damage(pg_temp.amount()) WHEN 2 THEN pg_temp.damage(pg_temp.json())
      WHEN 3 THEN pg_temp.soup(12, 'first', 'NAME', '_', '-', ' ', '$', '.', 'É', 'ß', 'Σ', '中文', '１', E'\u3000', E'\u0301', 'x9', 'İ', '@', 'example', 'com', '138', '0013', '8000', '(', ')', '+86')
      ELSE pg_temp.soup(3, repeat('9', 60), repeat('a', 700), repeat('[', 70), repeat(' ', 30), repeat('1,', 40), 'now', 'infinity', 'NaN', '是', '2024年1月2日', '20240229', '1709164800', '1709164800123') END;
    BEGIN
      made := cdp_internal.parse_time(t, zone);
      -- A comma before the fraction is ISO 8601 as well; PostgreSQL reads on behind it.
      IF made IS NOT NULL AND t !~ ',' THEN
        PERFORM set_config('timezone', 'UTC', true);
        other := pg_temp.postgres(t, 'timestamptz', zone);
        IF other::timestamptz <> cdp_internal.parse_time(t, zone) THEN
          finding := 'time: ' || other;
        END IF;
      END IF;
      IF cdp_internal.parse_value(t) <> (CASE WHEN cdp_internal.parse_value(t) IS NOT NULL THEN t::numeric END)
        OR cdp_internal.parse_int(t) <> (CASE WHEN cdp_internal.parse_int(t) IS NOT NULL THEN t::numeric END) THEN
        finding := 'number';
      ELSIF (cdp_internal.is_number(t) AND pg_temp.postgres(t, 'numeric') IS NULL) THEN
        finding := 'no number';
      ELSIF cdp_internal.parse_json(t)::text IS DISTINCT FROM pg_temp.postgres(t, 'jsonb') AND t !~ '[0-9]{3}|[{[]{30}' THEN
        finding := 'json';
      ELSIF cdp_internal.parse_key(cdp_internal.parse_key(t)) <> cdp_internal.parse_key(t) OR octet_length(cdp_internal.parse_key(t)) NOT BETWEEN 1 AND 800 THEN
        finding := 'key';
      ELSIF cdp_internal.snake(cdp_internal.snake(t)) <> cdp_internal.snake(t) THEN
        finding := 'name: ' || cdp_internal.snake(t) || ' and ' || cdp_internal.snake(cdp_internal.snake(t));
      END IF;
      -- An erasure finds a value under its key, and a word of five letters or more in any text.
      word := regexp_replace(t, '[^A-Za-z0-9@._+%-]', '', 'g');
      IF NOT cdp_internal.content_tokens(jsonb_build_object('Mail', t)) && cdp_internal.identifier_tokens(t, '{mail}')
        OR length(regexp_replace(word, '[^A-Za-z0-9]', '', 'g')) >= 5 AND NOT cdp_internal.content_tokens(to_jsonb(ARRAY['see ' || word || ', ' || t])) && cdp_internal.identifier_tokens(word, '{}') THEN
        finding := 'tokens';
      END IF;
      made := types[1 + floor(random() * cardinality(types))::integer];
      SELECT r.value INTO other FROM cdp_internal.read_attribute(t, made, zone, NULL, NULL, NULL) r;
      SELECT r.value INTO again FROM cdp_internal.read_attribute(other, made, zone, NULL, NULL, NULL) r;
      IF other IS NOT NULL THEN
        taken := taken + 1;
        -- A number with an exponent may have more digits when it is spelled out than who writes digits may have.
        IF again IS DISTINCT FROM other AND NOT (made = 'numeric' AND t ~ '[eE]') THEN
          finding := format('%s: %s and %s', made, other, again);
        END IF;
      END IF;
      PERFORM cdp_internal.transform_text(t, transforms[1 + floor(random() * cardinality(transforms))::integer]),
        cdp_internal.fits_type(t, x.type, zone), CASE WHEN cdp_internal.fits_type(t, x.type, zone) THEN cdp_internal.in_range(t, x.type, zone, x.low, NULL) END,
        cdp.mask_text(t), cdp.mask_name(t), cdp.mask_email(t), cdp.mask_phone(t), cdp_internal.url_host(t), cdp_internal.unlisted_keys(to_jsonb(t), '{}')
      FROM (VALUES ('integer', '5'), ('numeric', '-1.5'), ('date', '2024-01-02'), ('timestamp', '2024-01-02'), ('text', '3'), ('json', NULL), ('boolean', NULL)) x (type, low);
    EXCEPTION WHEN OTHERS THEN
      finding := SQLSTATE || ' ' || SQLERRM;
    END;
    IF finding IS NOT NULL THEN
      RAISE EXCEPTION 'round %: % of % (%)', round, finding, to_json(left(t, 300)), zone;
    END IF;
  END LOOP;
  IF taken < current_setting('fuzz.rounds')::integer / 10 THEN
    RAISE EXCEPTION 'hardly any value is taken: %', taken;
  END IF;
END $$;

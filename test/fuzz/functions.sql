-- Every C function of the extension that SQL can call, found in the catalogue, with random arguments of its types:
-- NULLs, limits, random text and bytes, and real maps and journeys with some bytes changed. No call may end in an internal error.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
SET cdp.attribution_memory = '64MB';

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.some_text() RETURNS text LANGUAGE sql AS $$
  SELECT CASE floor(random() * 4)::integer
    WHEN 0 THEN pg_temp.pick('', ' ', '2026-02-29 24:00:00', '2026-03-01T10:00:00+08:00', '1772323200', '-1e400', '0x10', '12.345678901', '1,234.5',
      '{"a": [1, {"b": null}]}', '{"a":', '[[[[[[[[', 'infinity', 'NaN', '2026/3/1', '99999999999999999999', 'epoch', '微信', E'a\tb', '"', '\x00ff', '00:00', '-0', '1e5', '20260301')
    WHEN 1 THEN (SELECT coalesce(string_agg(chr(1 + floor(random() * CASE WHEN random() < 0.9 THEN 126 ELSE 50000 END)::integer), ''), '') FROM generate_series(1, floor(random() * 30)::integer))
    WHEN 2 THEN (SELECT coalesce(string_agg(pg_temp.pick('1', '2', '0', '-', ':', ' ', 'T', '+', '.', 'Z', '/', 'e', '{', '}', '[', ']', '"', ',', 'PM'), ''), '') FROM generate_series(1, floor(random() * 25)::integer))
    ELSE repeat(pg_temp.pick('9', 'a', '[', '微', '%|'), floor(random() * 3000)::integer) END $$;
CREATE TEMP TABLE bytes AS SELECT cdp_internal.customer_map(i, i / 2 + 1) AS b FROM generate_series(1, 500) AS i;
INSERT INTO bytes SELECT cdp_internal.customer_map(i * 8000000::bigint, 1) FROM generate_series(1, 500) AS i;
INSERT INTO bytes SELECT j.journey FROM (
  SELECT cdp.attribution_pass(i % 20, timestamptz '2026-01-01' + i * interval '1 hour', 'c' || i % 4, CASE WHEN i % 5 = 0 THEN 2.5 END,
    cdp.attribution_options(models => '{last}', credits => true)) AS a FROM generate_series(1, 300) AS i) s, cdp.attribution_journeys(s.a) j;
CREATE FUNCTION pg_temp.some_bytes() RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  b bytea;
BEGIN
  IF random() < 0.2 THEN
    RETURN decode(md5(random()::text), 'hex');
  END IF;
  SELECT t.b INTO b FROM bytes t ORDER BY random() LIMIT 1;
  IF length(b) > 0 AND random() < 0.8 THEN
    FOR n IN 1 .. 1 + floor(random() * 3)::integer LOOP
      b := set_byte(b, floor(random() * least(length(b), 64))::integer, (ARRAY[0, 1, 127, 128, 255, floor(random() * 256)::integer])[1 + floor(random() * 6)::integer]);
    END LOOP;
    IF random() < 0.3 THEN
      b := substr(b, 1, floor(random() * length(b))::integer);
    END IF;
  END IF;
  RETURN b;
END $$;

CREATE FUNCTION pg_temp.some(type text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF random() < 0.05 THEN
    RETURN 'NULL';
  END IF;
  RETURN CASE type
    WHEN 'text' THEN quote_literal(pg_temp.some_text())
    WHEN 'bytea' THEN quote_literal(pg_temp.some_bytes())
    WHEN 'bigint' THEN pg_temp.pick('0', '1', '-1', '250', '4294967295', '4294967296', '9223372036854775807', '(-9223372036854775808)')
    WHEN 'integer' THEN pg_temp.pick('0', '1', '-1', '7', '2147483647', '(-2147483648)')
    WHEN 'smallint' THEN pg_temp.pick('0', '1', '-1', '32767')
    WHEN 'uuid' THEN quote_literal(md5(random()::text))
    WHEN 'boolean' THEN pg_temp.pick('true', 'false')
    WHEN 'interval' THEN quote_literal(pg_temp.pick('1 day', '0', '-1 year', '178000000 years', '1 microsecond'))
    WHEN 'timestamp with time zone' THEN quote_literal(pg_temp.pick('2026-01-01', 'infinity', '-infinity', '4713-01-01 BC', '294276-12-31'))
    WHEN 'numeric' THEN pg_temp.pick('0', '1.5', '-1e20', '''NaN''', '''infinity''')
    WHEN 'double precision' THEN pg_temp.pick('0', '1.5', '-1e300', '''NaN''', '''infinity''')
    WHEN 'text[]' THEN quote_literal(ARRAY(SELECT pg_temp.some_text() FROM generate_series(1, floor(random() * 10)::integer))::text)
    WHEN 'integer[]' THEN quote_literal(ARRAY(SELECT floor(random() * 100)::integer FROM generate_series(1, floor(random() * 10)::integer))::text)
    WHEN 'jsonb' THEN quote_literal(cdp.attribution_options(models => '{last,markov}')::text)
    ELSE 'NULL' END || '::' || type;
END $$;

CREATE TEMP TABLE target AS
SELECT p.oid, p.prokind, p.proretset, format('%I.%I', n.nspname, p.proname) AS name,
  ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, i) ORDER BY i) AS types
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
WHERE n.nspname IN ('cdp', 'cdp_internal') AND p.proname <> 'run_command'
  AND (p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') OR a.aggfnoid IS NOT NULL)
  AND NOT p.proargtypes::oid[] && ARRAY['internal', 'cstring']::regtype[]::oid[];

DO $$
DECLARE
  t record;
  call text;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT * INTO t FROM target ORDER BY random() LIMIT 1;
    SELECT t.name || '(' || coalesce(string_agg(pg_temp.some(u.type), ', '), '') || ')' INTO call FROM unnest(t.types) AS u (type);
    BEGIN
      EXECUTE CASE WHEN t.proretset THEN 'SELECT count(*) FROM ' || call
        WHEN t.prokind = 'a' THEN 'SELECT ' || call || ' FROM generate_series(1, 3)' ELSE 'SELECT ' || call END;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' AND SQLSTATE <> 'XX001' THEN
        RAISE EXCEPTION 'round %: % % in %', round, SQLSTATE, SQLERRM, left(call, 500);
      END IF;
    END;
  END LOOP;
END $$;

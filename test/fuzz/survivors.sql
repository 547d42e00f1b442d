-- The choice among values of attributes with random rows: any type with any strategy, hostile values, times at their limits. The
-- answer does not depend on the order of rows, or it is an error that is no internal one.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE TYPE pg_temp.said AS (attribute integer, type integer, strategy integer, rank integer, value text, first_at timestamptz, last_at timestamptz, verified boolean,
  customer bigint, identifier bigint, source integer, times timestamptz[]);
CREATE FUNCTION pg_temp.rows() RETURNS pg_temp.said[] LANGUAGE plpgsql AS $$
DECLARE
  types integer[] := ARRAY(SELECT 1 + floor(random() * 8)::integer FROM generate_series(1, 3));
  -- A sum takes numbers and a union lists, but for some that must be refused.
  ways integer[] := ARRAY(SELECT CASE WHEN random() < 0.1 OR w < 10 OR w = 12 OR (w = 10 AND t IN (2, 3)) OR (w = 11 AND t = 7) THEN w ELSE 1 END
    FROM (SELECT t, 1 + floor(random() * 12)::integer AS w FROM unnest(types) t) x);
  strays boolean := random() < 0.05; -- rows that say another type or strategy than the rest
BEGIN
  RETURN ARRAY(SELECT (a, CASE WHEN strays AND random() < 0.2 THEN 1 + floor(random() * 8)::integer ELSE types[a] END, CASE WHEN strays AND random() < 0.2 THEN 1 + floor(random() * 12)::integer ELSE ways[a] END,
    s + 1,
    CASE WHEN random() < 0.2 THEN pg_temp.pick('', 'x', '-', '1.', '[1]', '{}', 'null', repeat('9', 200), '0001-01-01', '2024-02-30', '2024-01-02T03:04:05.', '微信', '"', '[[]]', '1e9')
      ELSE CASE types[a] WHEN 1 THEN pg_temp.pick('anna', 'Anna', 'é') WHEN 2 THEN pg_temp.pick('1', '-20', '300') WHEN 3 THEN pg_temp.pick('1.5', '-0.25', '10') WHEN 4 THEN pg_temp.pick('true', 'false')
        WHEN 5 THEN pg_temp.pick('2024-01-02', '1969-12-31') WHEN 6 THEN pg_temp.pick('2024-01-02T03:04:05Z', '2024-01-02T03:04:05.5Z') WHEN 7 THEN pg_temp.pick('["a"]', '["b","a"]', '[]') ELSE pg_temp.pick('{"a": [1]}', '3', '["x"]') END END,
    f, CASE WHEN random() < 0.95 THEN greatest(f, l) ELSE l END, random() < 0.3, i / 2, i, s,
    CASE WHEN random() < 0.2 THEN ARRAY(SELECT x FROM unnest(ARRAY[f, l, timestamptz '2024-01-03']) x ORDER BY x) WHEN random() < 0.05 THEN ARRAY[NULL::timestamptz, f] WHEN random() < 0.05 THEN '{}' END)::pg_temp.said
  FROM (SELECT 1 + floor(random() * 3)::integer AS a, floor(random() * 3)::bigint AS i, floor(random() * 2)::integer AS s, pg_temp.pick('2024-01-01', '2024-01-02', '2024-01-05', '-infinity', '4713-01-01 BC')::timestamptz AS f,
      pg_temp.pick('2024-01-01', '2024-01-04', '2024-01-05', 'infinity', '294276-12-31')::timestamptz AS l FROM generate_series(1, 1 + floor(random() * 12)::integer)) r);
END $$;
CREATE FUNCTION pg_temp.choose(r pg_temp.said[], backwards boolean) RETURNS jsonb LANGUAGE sql AS $$
  SELECT cdp_internal.survivors(x.attribute, 'name' || x.attribute, x.type, x.strategy, x.rank, x.value, x.first_at, x.last_at, x.verified, x.customer, x.identifier, x.source, x.times
    ORDER BY CASE WHEN backwards THEN -x.n ELSE x.n END) FROM (SELECT u.*, row_number() OVER () AS n FROM unnest(r) u) x $$;

DO $$
DECLARE
  r pg_temp.said[];
  chosen jsonb;
  good bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    r := pg_temp.rows();
    BEGIN
      chosen := pg_temp.choose(r, false);
      IF pg_temp.choose(r, true) IS DISTINCT FROM chosen THEN
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'another answer for another order';
      END IF;
      good := good + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' THEN
        RAISE EXCEPTION 'round %: % % of %', round, SQLSTATE, SQLERRM, r;
      END IF;
    END;
  END LOOP;
  IF good < current_setting('fuzz.rounds')::integer / 3 THEN
    RAISE EXCEPTION 'hardly any choice is made: %', good;
  END IF;
END $$;

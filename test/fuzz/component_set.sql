-- Mutated values of cdp.component_set, as text and as COPY BINARY sends them: an error, or a value that the engine itself
-- would make.
\set VERBOSITY terse
SET client_min_messages = error;
SET statement_timeout = '20min';
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false), set_config('fuzz.file', :'dir' || '/component_set', false) \g /dev/null

CREATE TEMP TABLE seed_value AS
SELECT cdp.components(a, b) AS s FROM (VALUES (1::bigint, 2::bigint), (2, -9000000000000000000), (70000, NULL), (8, 9), (9, 9)) v (a, b)
UNION ALL SELECT cdp.components(i, (i / 4) * 4) FROM generate_series(1, 300::bigint) i
UNION ALL SELECT cdp.components('node ' || i, '微信' || i / 3) FROM generate_series(1, 40) i
UNION ALL SELECT cdp.components(repeat('x', i), '') FROM generate_series(1, 200, 50) i
UNION ALL SELECT cdp.components(md5(i::text)::uuid, md5((i / 3)::text)::uuid) FROM generate_series(1, 30) i
UNION ALL SELECT cdp.components(1::bigint, 2) WHERE false;

-- Some bytes flipped, cut out, doubled or overwritten by interesting numbers.
CREATE FUNCTION pg_temp.change(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 4)::integer LOOP
    CONTINUE WHEN length(b) = 0;
    at := floor(random() * least(length(b), CASE WHEN random() < 0.5 THEN 16 ELSE 1000000 END))::integer;
    b := CASE floor(random() * 5)::integer
      WHEN 0 THEN set_byte(b, at, floor(random() * 256)::integer)
      WHEN 1 THEN substr(b, 1, at) || substr(b, at + 2 + floor(random() * 8)::integer)
      WHEN 2 THEN substr(b, 1, at) || substr(b, at + 1, 4) || substr(b, at + 1)
      WHEN 3 THEN overlay(b PLACING (ARRAY['\xffffffff7f'::bytea, '\xffffffffffffffff7f', '\x00', '\x01', '\x8000', '\xffffffff03'])[1 + floor(random() * 6)::integer] FROM at + 1)
      ELSE substr(b, 1, at) END;
  END LOOP;
  RETURN b;
END $$;

DO $$
DECLARE
  field bytea;
  object oid;
  bytes bytea;
  s cdp.component_set;
  opened bigint := 0;
BEGIN
  CREATE TEMP TABLE came (s cdp.component_set);
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT cdp_internal.component_set_send(v.s) INTO field FROM seed_value v ORDER BY random() LIMIT 1;
    field := pg_temp.change(field);
    BEGIN
      IF round % 2 = 0 THEN
        s := field::text::cdp.component_set;
      ELSE
        bytes := '\x5047434f50590aff0d0a000000000000000000'::bytea || '\x0001'::bytea || int4send(length(field)) || field || '\xffff'::bytea;
        object := lo_from_bytea(0, bytes); -- statements of their own: one does not see the object that it makes
        PERFORM lo_export(object, current_setting('fuzz.file'));
        PERFORM lo_unlink(object);
        TRUNCATE came;
        EXECUTE format('COPY came FROM %L (FORMAT binary)', current_setting('fuzz.file'));
        SELECT c.s INTO s FROM came c;
      END IF;
      CASE (cdp.component_summary(s)).node_type
        WHEN 'bigint' THEN PERFORM count(*) FROM cdp.component_rows(s);
        WHEN 'uuid' THEN PERFORM count(*) FROM cdp.component_rows_uuid(s);
        ELSE PERFORM count(*) FROM cdp.component_rows_text(s);
      END CASE;
      PERFORM count(*) FROM cdp.component_sizes(s);
      IF (SELECT cdp.component_merge(s)::text) <> field::text THEN
        RAISE EXCEPTION 'taken, but made otherwise: %', field;
      END IF;
      opened := opened + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' OR SQLSTATE = 'P0001' THEN
        RAISE EXCEPTION 'round %: % %', round, SQLSTATE, SQLERRM;
      END IF;
    END;
  END LOOP;
  IF opened < current_setting('fuzz.rounds')::integer / 1000 THEN
    RAISE EXCEPTION 'hardly any value got through: %', opened;
  END IF;
END $$;

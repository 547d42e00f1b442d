-- Mutated values of cdp.component_set, as text and as COPY BINARY sends them: an error, or a value that the engine itself
-- would make.
\set file component_set
\ir change.inc

CREATE TEMP TABLE seed_value AS
SELECT cdp.components(a, b) AS s FROM (VALUES (1::bigint, 2::bigint), (2, -9000000000000000000), (70000, NULL), (8, 9), (9, 9)) v (a, b)
UNION ALL SELECT cdp.components(i, (i / 4) * 4) FROM generate_series(1, 300::bigint) i
UNION ALL SELECT cdp.components('node ' || i, '微信' || i / 3) FROM generate_series(1, 40) i
UNION ALL SELECT cdp.components(repeat('x', i), '') FROM generate_series(1, 200, 50) i
UNION ALL SELECT cdp.components(md5(i::text)::uuid, md5((i / 3)::text)::uuid) FROM generate_series(1, 30) i
UNION ALL SELECT cdp.components(1::bigint, 2) WHERE false;

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

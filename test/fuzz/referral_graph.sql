-- Mutated values of cdp.fraud_graph, as text and as COPY BINARY sends them: an error, or a graph that the aggregate itself would
-- make of its edges and that every rule can search. Then random options of rules and random numbers of labelled rows: an
-- answer or a plain error.
\set file referral_graph
\ir change.inc
SET jit = off;

CREATE TEMP TABLE seed_graph AS
SELECT cdp.fraud_graph(a, b) AS g FROM (VALUES (1::bigint, 2::bigint), (2, -9000000000000000000), (70000, NULL), (8, 9), (9, 9)) v (a, b)
UNION ALL SELECT cdp.fraud_graph(i % 17, i % 23) FROM generate_series(1, 300) i
UNION ALL SELECT cdp.fraud_graph('node ' || i % 7, '微信' || i % 5) FROM generate_series(1, 40) i
UNION ALL SELECT cdp.fraud_graph(i, repeat('x', i % 3 * 100)) FROM generate_series(1, 20) i
UNION ALL SELECT cdp.fraud_graph(md5((i % 9)::text)::uuid, md5((i % 4)::text)::uuid) FROM generate_series(1, 30) i
UNION ALL SELECT cdp.fraud_graph(1, 2) WHERE false;

-- Every rule, by the type of its accounts; tells how many rows came.
CREATE FUNCTION pg_temp.search(g cdp.fraud_graph, kind text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  EXECUTE format('SELECT (SELECT count(*) FROM cdp.fraud_components%1$s($1, $2)) + (SELECT count(*) FROM cdp.fraud_dense_blocks%1$s($1, $2, $3))', kind)
    USING g, 1 + floor(random() * 20)::int, CASE WHEN random() < 0.5 THEN 'log' ELSE 'none' END INTO n;
  BEGIN
    EXECUTE format('SELECT (SELECT count(*) FROM cdp.fraud_core%1$s($1)) + (SELECT count(*) FROM cdp.fraud_cycles%1$s($1, $2, $3))', kind)
      USING g, 2 + floor(random() * 3)::int, 1 + floor(random() * 30)::int INTO n;
  EXCEPTION WHEN datatype_mismatch THEN
    NULL; -- ends of different types
  END;
  RETURN n;
END $$;

DO $$
DECLARE
  field bytea;
  object oid;
  bytes bytea;
  g cdp.fraud_graph;
  again text;
  opened bigint := 0;
BEGIN
  CREATE TEMP TABLE came (g cdp.fraud_graph);
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT cdp_internal.fraud_graph_send(s.g) INTO field FROM seed_graph s ORDER BY random() LIMIT 1;
    field := pg_temp.change(field);
    BEGIN
      IF round % 2 = 0 THEN
        g := field::text::cdp.fraud_graph;
      ELSE
        bytes := '\x5047434f50590aff0d0a000000000000000000'::bytea || '\x0001'::bytea || int4send(length(field)) || field || '\xffff'::bytea;
        object := lo_from_bytea(0, bytes); -- statements of their own: one does not see the object that it makes
        PERFORM lo_export(object, current_setting('fuzz.file'));
        PERFORM lo_unlink(object);
        TRUNCATE came;
        EXECUTE format('COPY came FROM %L (FORMAT binary)', current_setting('fuzz.file'));
        SELECT c.g INTO g FROM came c;
      END IF;
      IF g::text <> field::text THEN
        RAISE EXCEPTION 'taken, but kept otherwise: %', field;
      END IF;
      PERFORM pg_temp.search(g, CASE get_byte(field, 1) WHEN 1 THEN '_uuid' WHEN 2 THEN '_text' ELSE '' END);
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

-- Labelled rows of wild numbers.
DO $$
DECLARE
  m jsonb;
  p float8;
  fitted bigint := 0;
BEGIN
  FOR round IN 1 .. 1 + current_setting('fuzz.rounds')::integer / 10 LOOP
    BEGIN
      SELECT cdp.fraud_model_fit(random() < 0.5, ARRAY[
          CASE WHEN round % 3 = 0 THEN (random() - 0.5) * 10.0::float8 ^ (floor(random() * 600) - 300) ELSE random() END,
          (ARRAY[0, 1, -1, 1e308, -1e308, 1e-308, 5e-324, 0.1, 3])[1 + floor(random() * CASE WHEN round % 2 = 0 THEN 9 ELSE 3 END)::int], i % 2],
        (ARRAY[0, 1e-300, 1, 1e300])[1 + round % 4], NULL) INTO m FROM generate_series(1, 1 + floor(random() * 30)::int) i;
      p := cdp.fraud_model_predict(m, ARRAY[random(), (random() - 0.5) * 1e300, 1]);
      IF NOT coalesce(p BETWEEN 0 AND 1, true) THEN
        RAISE EXCEPTION 'no probability: % of %', p, m;
      END IF;
      PERFORM count(*) FROM cdp.fraud_model_contributions(m, '{1,2,3}');
      fitted := fitted + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' OR SQLSTATE = 'P0001' THEN
        RAISE EXCEPTION 'round %: % %', round, SQLSTATE, SQLERRM;
      END IF;
    END;
  END LOOP;
  IF fitted = 0 THEN
    RAISE EXCEPTION 'no model was fitted';
  END IF;
END $$;

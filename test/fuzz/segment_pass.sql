-- Random plans with members changed, dropped or swapped, over events with odd properties: an error of the caller, or an answer
-- on which the pass and the explanation of each customer agree.
\set VERBOSITY terse
SET client_min_messages = error;
SET statement_timeout = '20min';
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
CREATE SCHEMA t;
\ir ../twin/segment_pass.sql

CREATE FUNCTION t.odd() RETURNS jsonb LANGUAGE sql VOLATILE
RETURN t.pick('null', '0', '1', '-1', '2.5', '1e20', '-9223372036854775808', '9223372036854775807', '828158400000000', '""', '"x"', '[]', '{}', '[0]', '[[]]', 'true', '"gte"', '"count"', '[{"kind": 1}]',
  '{"kind": 1, "if": 3}', '1e-300', '[1, 2]', '["n", "w"]', '"strict"')::jsonb;
CREATE FUNCTION t.change(j jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE k text; i int;
BEGIN
  IF jsonb_typeof(j) = 'object' AND j <> '{}' AND random() < 0.9 THEN
    SELECT key INTO k FROM jsonb_object_keys(j) key ORDER BY random() LIMIT 1;
    RETURN CASE WHEN random() < 0.1 THEN j - k ELSE j || jsonb_build_object(k, t.change(j->k)) END;
  ELSIF jsonb_typeof(j) = 'array' AND j <> '[]' AND random() < 0.9 THEN
    i := floor(random() * jsonb_array_length(j))::int;
    RETURN CASE WHEN random() < 0.1 THEN j - i WHEN random() < 0.1 THEN j || (j->i) ELSE jsonb_set(j, ARRAY[i::text], t.change(j->i)) END;
  END IF;
  RETURN t.odd();
END $$;

DO $$
DECLARE p jsonb; result bytea; n bigint; answered bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    p := t.random_plan(t.us('2026-03-30 04:00Z'), '{count,days,periods,sum,avg,min,max,distinct,first,last,gap,seq,seq}', 1 + floor(random() * 6)::int);
    FOR i IN 1 .. floor(random() * 3)::int LOOP
      p := t.change(p);
    END LOOP;
    BEGIN
      result := t.engine(p, CASE WHEN random() < 0.5 THEN '2026-03-30 09:00Z'::timestamptz END);
      SELECT count(*) INTO n FROM t.answers(result) a JOIN (SELECT customer, cdp_internal.segment_explain_pass(customer, at, kind, origin, campaign, source, value, properties, id, p, NULL) AS e
        FROM t.ev GROUP BY customer) x USING (customer) WHERE a.customer < 3 AND x.e->a.atom->'result' IS DISTINCT FROM coalesce(to_jsonb(a.truth), 'null');
      IF n > 0 THEN
        RAISE EXCEPTION 'the explanation says otherwise: %', p;
      END IF;
      answered := answered + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' OR SQLSTATE = 'P0001' THEN
        RAISE EXCEPTION 'round %: % %', round, SQLSTATE, SQLERRM;
      END IF;
    END;
  END LOOP;
  IF answered < current_setting('fuzz.rounds')::integer / 10 THEN
    RAISE EXCEPTION 'hardly any plan got through: %', answered;
  END IF;
END $$;
DROP SCHEMA t CASCADE;

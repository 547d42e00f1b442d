-- Plans of segments and results of passes with random damage, through the pass over profiles and the algebra of their sets: an answer, or
-- an error that is no internal one, and never members from outside of the population.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.change_text(t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 3)::integer LOOP
    at := floor(random() * length(t))::integer;
    t := CASE floor(random() * 3)::integer
      WHEN 0 THEN regexp_replace(t, '("[a-z_]*"|-?\d+)', pg_temp.pick('"op"', '"value"', '"values"', '"text"', '"name"', '"numeric"', '0', '-1', '7', '9223372036854775807', '1e400', 'null', '[]', '{}', '"node"', '"not"', '"all"', '1.5', '"\\u0000"'), 1 + floor(random() * 60)::integer, 1)
      WHEN 1 THEN regexp_replace(t, '(\[[^\[\]]*\]|\{[^{}]*\})', pg_temp.pick('[]', '{}', '[[]]', '[0,1]', '["a","b"]', 'null', '{"not":0}'), 1 + floor(random() * 400)::integer, 1)
      ELSE left(t, at) || pg_temp.pick('1', '0', '-', '"', 'x', '}', ']') || substr(t, at + 2) END;
  END LOOP;
  RETURN t;
END $$;
CREATE FUNCTION pg_temp.change_bytes(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  at integer := floor(random() * length(b))::integer;
BEGIN
  RETURN CASE floor(random() * 4)::integer WHEN 0 THEN set_byte(b, at, floor(random() * 256)::integer) WHEN 1 THEN substr(b, 1, at) WHEN 2 THEN substr(b, 1, at) || substr(b, at + 2 + floor(random() * 8)::integer)
    ELSE overlay(b PLACING (ARRAY['\xffffffff'::bytea, '\x00', '\x0000000000000000', '\x0100'])[1 + floor(random() * 4)::integer] FROM at + 1) END;
END $$;
CREATE TABLE pg_temp.person AS
SELECT i::bigint AS id, pg_temp.pick('a', 'ab', '', NULL) AS name, floor(random() * 9)::integer AS age, random()::numeric AS score, '2020-01-01'::date + i AS born, now() + i * interval '1 day' AS seen,
  ARRAY[pg_temp.pick('a', 'b', NULL)] AS tags, jsonb_build_object('k', i, 'l', jsonb_build_array('a', i), 'd', '2020-01-01', 'b', i % 2 = 0) AS attributes
FROM generate_series(1, 40) i;

DO $$
DECLARE
  good text := '{"v":1,"as_of":833587200000000,"events":[],"attributes":[{"column":"name","type":"text","op":"eq","value":"a"},{"column":"name","type":"text","op":"in","values":["a","ab"]},
    {"column":"age","type":"integer","op":"between","values":[2,5]},{"column":"score","type":"numeric","op":"gte","value":0.5},{"json":"attributes","key":"k","type":"integer","op":"lt","value":20},
    {"column":"tags","type":"list","op":"has","value":"a"},{"json":"attributes","key":"l","type":"list","op":"has","value":"a"},{"column":"born","type":"date","op":"anniversary","values":[[101,120],[1230,1231]]},
    {"column":"seen","type":"timestamp","op":"anniversary","values":[[101,1231]],"tz":"Asia/Shanghai"},{"column":"seen","type":"timestamp","op":"range","lo":833587200000000,"slide_lo":0,"hi":933587200000000,"slide_hi":-99},
    {"json":"attributes","key":"b","type":"boolean","op":"exists"},{"column":"name","type":"text","op":"contains","value":"%"}],"sets":[{"list":1}],
    "nodes":[{"attribute":0},{"attribute":3},{"not":0},{"any":[1,2]},{"set":0},{"all":[3,4]},{"members":5,"nulls":"sql"},{"everybody":true},{"attribute":9}],
    "segments":[{"id":1,"node":3,"nulls":"set"},{"id":2,"node":6,"nulls":"sql"},{"id":3,"node":8,"nulls":"set"}]}';
  population bytea := (SELECT cdp.roaring_build(id) FROM person WHERE id % 5 > 0);
  plan jsonb;
  pass bytea;
  code text;
  said text;
  outside bigint;
  whole bigint := 0;
  refused bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    BEGIN
      plan := CASE WHEN round % 2 = 0 THEN good ELSE pg_temp.change_text(good) END;
      SELECT cdp_internal.segment_attribute_pass(id, p, plan, CASE WHEN round % 3 = 0 THEN 'infinity'::timestamptz END) INTO pass FROM person p;
      IF round % 4 >= 2 THEN
        pass := pg_temp.change_bytes(pass);
      END IF;
      PERFORM cdp_internal.segment_pass_events(pass), cdp_internal.segment_pass_seen(pass);
      PERFORM count(*) FROM cdp_internal.segment_pass_flips(pass);
      SELECT count(*) INTO outside FROM cdp_internal.segment_combine(plan, population, NULL, pass, ARRAY[population]) c WHERE cdp.roaring_count(cdp.roaring_andnot(c.members, population)) > 0;
      IF outside > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'members from outside of the population';
      END IF;
      whole := whole + 1;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT;
      IF code NOT IN ('22P02', '22P03', '22P05', '22003', '22004', '22023', '22008', '42804', '54000') THEN
        RAISE EXCEPTION 'round %: % % of % with %', round, code, said, plan, encode(pass, 'base64');
      END IF;
      refused := refused + 1;
    END;
  END LOOP;
  IF current_setting('fuzz.rounds')::integer >= 300 AND (whole < current_setting('fuzz.rounds')::integer / 20 OR refused < current_setting('fuzz.rounds')::integer / 20) THEN
    RAISE EXCEPTION 'too little was tried: % whole, % refused', whole, refused;
  END IF;
END $$;

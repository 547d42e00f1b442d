-- Funnels: random options through cdp.funnel_options() and as raw jsonb, over rows with times and labels at their limits;
-- mutated values of cdp.funnel_partial as text and as COPY BINARY sends them. Each ends with an answer or an error of ours.
\set VERBOSITY terse
SET client_min_messages = error;
SET statement_timeout = '20min';
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false), set_config('fuzz.file', :'dir' || '/binary', false) \g /dev/null
SET cdp.journey_memory = '64MB';

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';

DO $$
DECLARE
  names text[] := '{steps,within,step_within,step_order,ties,exclude,exclude_between,breakdown,durations,since,until,as_of,nonsense}';
  options jsonb;
  steps text[];
  call text;
  bad bigint := 0;
  good bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    BEGIN
      IF round % 3 = 0 THEN -- raw jsonb, of any shape
        SELECT jsonb_object_agg(names[1 + floor(random() * cardinality(names))::integer],
          pg_temp.pick('1', '-1', '"a"', '["a", "b"]', '[]', '{}', 'null', 'true', '"30 days"', '[["a"]]', '[[1, 2], [1, 3]]', '[1, 2]', '[2, 1e9]', '["unbounded"]', '{"a":[1]}', '1e30', '"infinity"', '"strict"', '"2026-01-02 00:00:00+00"')::jsonb)
        INTO options FROM generate_series(0, floor(random() * 4)::integer);
        options := CASE WHEN random() < 0.8 THEN '{"steps": ["c0", "c1|c2"]}'::jsonb ELSE '{}' END || coalesce(options, '{}');
      ELSE
        steps := ARRAY(SELECT pg_temp.pick('c0', 'c1', 'c2', 'c1|c2', 'c3', '', '|', '\|', 'c0|', '长', 'c4') FROM generate_series(1, floor(random() * 5)::integer + (random() < 0.01)::integer * 62));
        call := quote_literal(steps::text) || '::text[]';
        IF random() < 0.6 THEN call := call || ', within => ' || pg_temp.pick('''2 days''', '''1 hour''', '''0''', '''-1 day''', '''1 month''', '''100000000 days''', 'NULL'); END IF;
        IF random() < 0.3 THEN call := call || format(', step_within => array_fill(interval %s, ARRAY[%s])', pg_temp.pick('''2 hours''', '''1 day''', '''0''', '''99999999 days'''), greatest(cardinality(steps) - 1 + (random() < 0.1)::integer, 0)); END IF;
        IF random() < 0.5 THEN call := call || ', step_order => ' || pg_temp.pick('''strict''', '''unordered''', '''ordered''', '''x''', 'NULL'); END IF;
        IF random() < 0.3 THEN call := call || ', ties => ' || pg_temp.pick('''apart''', '''by_id''', '''x'''); END IF;
        IF random() < 0.4 THEN call := call || ', exclude => ' || pg_temp.pick('''{c3}''', '''{c5,c6}''', '''{c0,c1,c2,c3,c4}''', '''{NULL}''', '''{}''', '''{""}'''); END IF;
        IF random() < 0.3 THEN call := call || ', exclude_between => ' || pg_temp.pick('''[1, 2]''', '''[2, 3]''', '''[[1, 2], [2, 3]]''', '''[[1, 3]]''', '''[[1, 2], 7]''', '''[1, 64]''', '''[]''', '''"x"'''); END IF;
        IF random() < 0.3 THEN call := call || ', breakdown => ''last'''; END IF;
        IF random() < 0.2 THEN call := call || ', durations => false'; END IF;
        IF random() < 0.3 THEN call := call || ', since => ' || pg_temp.pick('''2026-01-05Z''', '''infinity''', '''-infinity''', '''4713-01-01Z BC'''); END IF;
        IF random() < 0.3 THEN call := call || ', until => ' || pg_temp.pick('''2026-01-15Z''', '''infinity''', '''-infinity''', '''294276-12-31Z'''); END IF;
        IF random() < 0.3 THEN call := call || ', as_of => ' || pg_temp.pick('''2026-01-09Z''', '''infinity''', '''-infinity'''); END IF;
        EXECUTE 'SELECT cdp.funnel_options(' || call || ')' INTO options;
      END IF;
      PERFORM count(*) FROM (
        SELECT cdp.funnel_pass(k, at, label, options, color, id) AS p FROM (
          SELECT CASE WHEN random() < 0.03 THEN NULL ELSE floor(random() * 8)::bigint END AS k,
            CASE WHEN random() < 0.03 THEN pg_temp.pick('infinity', '-infinity', NULL, '4713-01-01Z BC', '294276-12-31Z')::timestamptz
              ELSE timestamptz '2026-01-01Z' + floor(random() * 500) * interval '1 hour' END AS at,
            CASE WHEN random() < 0.05 THEN NULL WHEN random() < 0.02 THEN pg_temp.pick('', '|', '长') ELSE 'c' || floor(random() * 7) END AS label,
            CASE WHEN random() < 0.1 THEN NULL ELSE pg_temp.pick('red', '', '(none)', '长') END AS color,
            CASE WHEN random() < 0.1 THEN NULL ELSE floor(random() * 50)::bigint END AS id
          FROM generate_series(1, floor(random() * 150)::integer)) AS row_of
      ) AS s, cdp.funnel_steps(s.p);
      good := good + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' THEN
        RAISE EXCEPTION 'round %: % % (%)', round, SQLSTATE, SQLERRM, coalesce(call, options::text);
      END IF;
      bad := bad + 1;
    END;
  END LOOP;
  IF good < current_setting('fuzz.rounds')::integer / 20 OR bad = 0 THEN
    RAISE EXCEPTION 'too few answers (%) or errors (%)', good, bad;
  END IF;
END $$;

CREATE TEMP TABLE seed_value AS
SELECT cdp.funnel_pass(i % 37, timestamptz '2026-01-01Z' + i * interval '1 hour', 'c' || i % 5, o, CASE WHEN i % 3 > 0 THEN 'b' || i % 3 END, i::bigint) AS p
FROM generate_series(1, 600) i, (VALUES (cdp.funnel_options('{c1,c2|c3}', '3 days')), (cdp.funnel_options('{c0,c1,c4}', step_order => 'unordered', exclude => '{c2}')),
  (cdp.funnel_options('{c3,c4}', durations => false, since => '2026-01-02Z')), (cdp.funnel_options('{zz}'))) v (o) GROUP BY o;

-- Some bytes flipped, cut out, doubled or overwritten by interesting numbers.
CREATE FUNCTION pg_temp.mutate(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 4)::integer LOOP
    CONTINUE WHEN length(b) = 0;
    at := floor(random() * least(length(b), CASE WHEN random() < 0.5 THEN 400 ELSE 1000000 END))::integer;
    b := CASE floor(random() * 5)::integer
      WHEN 0 THEN set_byte(b, at, floor(random() * 256)::integer)
      WHEN 1 THEN substr(b, 1, at) || substr(b, at + 2 + floor(random() * 8)::integer)
      WHEN 2 THEN substr(b, 1, at) || substr(b, at + 1, 4) || substr(b, at + 1)
      WHEN 3 THEN overlay(b PLACING (ARRAY['\xffffffff'::bytea, '\x7fffffff', '\x80000000', '\x00000000', '\xffffffffffffffff7f', '\x00000001'])[1 + floor(random() * 6)::integer] FROM at + 1)
      ELSE substr(b, 1, at) END;
  END LOOP;
  RETURN b;
END $$;

DO $$
DECLARE
  bytes bytea;
  field bytea;
  object oid;
  p cdp.funnel_partial;
  opened bigint := 0;
BEGIN
  CREATE TEMP TABLE arrived (p cdp.funnel_partial);
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT pg_temp.mutate(cdp_internal.funnel_partial_send(s.p)) INTO field FROM seed_value s ORDER BY random() LIMIT 1;
    BEGIN
      IF round % 2 = 0 THEN
        p := field::text::cdp.funnel_partial;
      ELSE
        -- As binary COPY: header, one field, trailer.
        bytes := '\x5047434f50590aff0d0a000000000000000000'::bytea || '\x0001'::bytea || int4send(length(field)) || field || '\xffff'::bytea;
        object := lo_from_bytea(0, bytes); -- statements of their own: one does not see the object that it makes
        PERFORM lo_export(object, current_setting('fuzz.file'));
        PERFORM lo_unlink(object);
        TRUNCATE arrived;
        EXECUTE format('COPY arrived FROM %L (FORMAT binary)', current_setting('fuzz.file'));
        SELECT a.p INTO p FROM arrived a;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE NOT IN ('22P03', '22P02', '54000') THEN
        RAISE EXCEPTION 'round %: % %', round, SQLSTATE, SQLERRM;
      END IF;
      CONTINUE;
    END;
    -- What is a value opens in every way.
    PERFORM count(*) FROM cdp.funnel_steps(p);
    PERFORM count(*) FROM cdp.funnel_summary(p);
    BEGIN
      PERFORM cdp.funnel_merge(v) FROM unnest(ARRAY[p, p]) AS v;
    EXCEPTION WHEN numeric_value_out_of_range THEN NULL; -- counts that no pass makes
    END;
    opened := opened + 1;
  END LOOP;
  IF opened < current_setting('fuzz.rounds')::integer / 1000 THEN
    RAISE EXCEPTION 'hardly any value got through: %', opened;
  END IF;
END $$;

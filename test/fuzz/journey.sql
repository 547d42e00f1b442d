-- Retention, paths, stages and sessions: random options as raw jsonb over rows with times and labels at their limits; mutated values of
-- their results as text and as COPY BINARY sends them. Each ends with an answer or an error of ours.
\set VERBOSITY terse
SET client_min_messages = error;
SET statement_timeout = '20min';
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false), set_config('fuzz.file', :'dir' || '/binary', false) \g /dev/null
SET cdp.journey_memory = '64MB';

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';

CREATE TEMP TABLE pass (name text, fields text[], fit jsonb, openers text[]);
INSERT INTO pass VALUES
  ('retention', '{cohort_labels,return_labels,entry,kind,period,periods,counted,entry_returns,time_zone,since,until,as_of,nonsense}', '{"period": ["day", "hour", "3 months", "9 days", "0.000001 seconds", "2147483647 months"], "kind": ["rolling", "unbounded", "cumulative"],
    "entry": ["each_period"], "counted": ["entry"], "periods": [1, 1000, 3], "time_zone": ["Asia/Shanghai", "America/Havana", "America/St_Johns"]}', '{retention_table,retention_summary}'),
  ('path', '{starts,ends,occurrence,labels,leave_out,collapse,gap,within,max_steps,whole_paths,durations,since,until,as_of,nonsense}', '{"starts": ["c0", ["c1", "c2"]], "ends": ["c1", ["c3"]], "occurrence": ["every"], "gap": ["1 hour"], "within": ["30 days"],
    "max_steps": [2, 100, 5], "labels": [["c0", "c1", "c2"]]}', '{path_nodes,path_links,path_top,path_loops,path_summary}'),
  ('stage', '{stages,skip,back,exits,idle,customers,durations,since,until,as_of,nonsense}', '{"stages": [[{"name": "i", "enter": ["c0", "c1"], "engage": "c2"}, {"name": "ii", "enter": "c2", "count": 3}, {"name": "iii", "enter": ["c1", "长"]}], [{"name": "i"}], [{"name": "x", "enter": []}]],
    "exits": ["c4"], "idle": ["1 day"], "customers": [true], "as_of": ["2026-01-09 00:00:00+00"], "back": [true], "skip": [false]}', '{stage_table,stage_flows,stage_state,stage_summary}'),
  ('session', '{gap,longest,starts,period,time_zone,durations,since,until,as_of,nonsense}', '{"gap": ["1 hour", "unbounded"], "longest": ["3 hours"], "starts": [["c1"]], "period": ["week", "1 seconds", "7 months"], "time_zone": ["Asia/Kolkata"]}', '{session_table,session_summary}');

CREATE FUNCTION pg_temp.options(p pass) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  o jsonb := CASE WHEN p.name = 'stage' AND random() < 0.9 THEN jsonb_build_object('stages', p.fit -> 'stages' -> 0) ELSE '{}' END;
  field text;
  fit jsonb;
BEGIN
  FOR n IN 1 .. floor(random() * 5)::integer LOOP
    field := p.fields[1 + floor(random() * cardinality(p.fields))::integer];
    fit := p.fit -> field;
    o := o || jsonb_build_object(field, CASE WHEN fit IS NOT NULL AND random() < 0.8 THEN fit -> floor(random() * jsonb_array_length(fit))::integer
      ELSE pg_temp.pick('1', '-1', '"a"', '["a", "b"]', '[]', '{}', 'null', 'true', '"30 days"', '[["a"]]', '[1, 2]', '{"a":[1]}', '1e30', '"infinity"', '"2026-01-02 00:00:00+00"', '"294276-12-31 00:00:00+00"', '"99999999 days"', '""')::jsonb END);
  END LOOP;
  RETURN o;
END $$;
-- A pass over random rows, as the text of its result.
CREATE FUNCTION pg_temp.run(p pass, o jsonb, many integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format($q$SELECT cdp.%s_pass(k, at, label, $1%s)::text FROM (
    SELECT CASE WHEN random() < 0.03 THEN NULL ELSE floor(random() * 8)::bigint END AS k,
      CASE WHEN random() < 0.03 THEN pg_temp.pick('infinity', '-infinity', NULL, '4713-01-01Z BC', '4714-11-24Z BC', '294276-12-31 23:59:59.999999Z')::timestamptz
        ELSE timestamptz '2026-01-01Z' + floor(random() * 500) * interval '1 hour' END AS at,
      CASE WHEN random() < 0.05 THEN NULL WHEN random() < 0.03 THEN pg_temp.pick('', '(end)', '长') ELSE 'c' || floor(random() * 6) END AS label,
      CASE WHEN random() < 0.1 THEN NULL ELSE floor(random() * 50)::bigint END AS id
    FROM generate_series(1, $2)) AS row_of$q$, p.name, CASE p.name WHEN 'retention' THEN ', id::numeric' WHEN 'session' THEN ', id::text, id' ELSE ', id' END) INTO r USING o, many;
  RETURN r;
END $$;
CREATE FUNCTION pg_temp.open(p pass, value text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE f text;
BEGIN
  FOREACH f IN ARRAY p.openers LOOP
    BEGIN
      EXECUTE format('SELECT count(*) FROM cdp.%s(%L::cdp.%s_partial)', f, value, p.name);
    EXCEPTION WHEN invalid_parameter_value THEN -- not everything is kept in each result
      IF f NOT IN ('path_top', 'stage_state') THEN
        RAISE;
      END IF;
    END;
  END LOOP;
END $$;

DO $$
DECLARE
  p pass;
  o jsonb;
  bad bigint := 0;
  good bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT x.* INTO p FROM pass x ORDER BY random() LIMIT 1;
    o := pg_temp.options(p);
    BEGIN
      PERFORM pg_temp.open(p, pg_temp.run(p, o, floor(random() * 150)::integer));
      good := good + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' OR SQLSTATE IN ('22P03', '22P02') THEN
        RAISE EXCEPTION 'round %: % % (% %)', round, SQLSTATE, SQLERRM, p.name, o;
      END IF;
      bad := bad + 1;
    END;
  END LOOP;
  IF good < current_setting('fuzz.rounds')::integer / 20 OR bad = 0 THEN
    RAISE EXCEPTION 'too few answers (%) or errors (%)', good, bad;
  END IF;
END $$;

CREATE TEMP TABLE seed_value AS
SELECT p AS pass, pg_temp.run(p, CASE WHEN p.name = 'stage' THEN jsonb_build_object('stages', p.fit -> 'stages' -> 0, 'customers', true) ELSE '{}' END || o, 200) AS value
FROM pass p, (VALUES ('{}'::jsonb), ('{"durations": false}'), ('{"since": "2026-01-03 00:00:00+00"}')) v (o) WHERE p.name <> 'retention' OR NOT o ? 'durations';

-- Some bytes flipped, cut out, doubled or overwritten by interesting numbers.
CREATE FUNCTION pg_temp.mutate(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  at integer;
BEGIN
  FOR n IN 1 .. 1 + floor(random() * 4)::integer LOOP
    CONTINUE WHEN length(b) = 0;
    at := floor(random() * least(length(b), CASE WHEN random() < 0.5 THEN 600 ELSE 1000000 END))::integer;
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
  s seed_value;
  p pass;
  field bytea;
  object oid;
  value text;
  opened bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    SELECT x.* INTO s FROM seed_value x ORDER BY random() LIMIT 1;
    p := s.pass;
    field := pg_temp.mutate(decode(substr(s.value, 3), 'hex'));
    BEGIN
      IF round % 2 = 0 THEN
        EXECUTE format('SELECT %L::cdp.%s_partial::text', field::text, p.name) INTO value;
      ELSE
        -- As binary COPY: header, one field, trailer.
        object := lo_from_bytea(0, '\x5047434f50590aff0d0a000000000000000000'::bytea || '\x0001'::bytea || int4send(length(field)) || field || '\xffff'::bytea); -- a statement of its own: one does not see the object that it makes
        PERFORM lo_export(object, current_setting('fuzz.file'));
        PERFORM lo_unlink(object);
        EXECUTE format('CREATE TEMP TABLE arrived (p cdp.%s_partial) ON COMMIT DROP', p.name);
        EXECUTE format('COPY arrived FROM %L (FORMAT binary)', current_setting('fuzz.file'));
        EXECUTE 'SELECT a.p::text FROM arrived a' INTO value;
        DROP TABLE arrived;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE NOT IN ('22P03', '22P02', '54000') THEN
        RAISE EXCEPTION 'round %: % % of %', round, SQLSTATE, SQLERRM, p.name;
      END IF;
      CONTINUE;
    END;
    -- What is a value opens in every way.
    PERFORM pg_temp.open(p, value);
    BEGIN
      EXECUTE format('SELECT cdp.%1$s_merge(v::cdp.%1$s_partial) FROM unnest(ARRAY[$1, $1]) AS v', p.name) USING value;
    EXCEPTION
      WHEN numeric_value_out_of_range THEN NULL; -- counts that no pass makes
      WHEN invalid_parameter_value THEN -- a customer twice
        IF p.name <> 'stage' THEN
          RAISE;
        END IF;
    END;
    opened := opened + 1;
  END LOOP;
  IF opened < current_setting('fuzz.rounds')::integer / 1000 THEN
    RAISE EXCEPTION 'hardly any value got through: %', opened;
  END IF;
END $$;

-- Random options, through cdp.attribution_options() and as raw jsonb, over random rows with times, values and keys at
-- their limits: each call ends with an answer or with an error that is no internal one.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null
SET cdp.attribution_memory = '64MB';

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';

CREATE FUNCTION pg_temp.some_model() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  m text := pg_temp.pick('first', 'last', 'first_non', 'last_non', 'linear', 'linear_unique', 'position', 'u_shaped', 'j_shaped',
    'inverse_j', 'w_shaped', 'full_path', 'time_decay', 'exponential', 'ramp', 'custom', 'same_touch', 'participation', 'markov',
    'shapley', 'shapley_ordered', 'shapley_rate', 'one_removed', 'nonsense', '');
  n integer := floor(random() * 4);
BEGIN
  IF random() < 0.6 THEN
    m := m || '(' || (SELECT coalesce(string_agg(pg_temp.pick('0', '1', '2', '0.4', '0.5', '-1', 'NaN', 'inf', '1e308', '99999999999', 'c1', '"c 2"',
      '7 days', '1 month', '0 seconds', 'step', '"', '(', ''), ',') , '') FROM generate_series(1, n)) || ')';
  END IF;
  RETURN m;
END $$;

DO $$
DECLARE
  names text[] := '{models,lookback,lookback_by_kind,max_touches,since,until,as_of,journey,exclude,include,collapse,conversion_is_touch,fallback,two_touch,milestones,null_paths,paths,credits,grouped_by,time_zone,dialect,lookback_unbounded,nonsense}';
  options jsonb;
  call text;
  bad bigint := 0;
  good bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    BEGIN
      IF round % 3 = 0 THEN -- raw jsonb, of any shape
        SELECT jsonb_object_agg(names[1 + floor(random() * cardinality(names))::integer],
          pg_temp.pick('1', '-1', '"last"', '["last"]', '[]', '{}', 'null', 'true', '"30 days"', '[["last"]]', '{"a":[1]}', '1e30', '"infinity"')::jsonb)
        INTO options FROM generate_series(0, floor(random() * 4)::integer);
      ELSE
        call := 'models => ' || quote_literal(ARRAY(SELECT pg_temp.some_model() FROM generate_series(0, floor(random() * 3)::integer))::text);
        IF random() < 0.5 THEN call := call || ', lookback => ' || pg_temp.pick('''30 days''', '''1 second''', '''0''', '''-1 day''', '''1 month''', '''100000 days''', 'NULL'); END IF;
        IF random() < 0.3 THEN call := call || ', max_touches => ' || pg_temp.pick('1', '2', '0', '-1', '2147483647', 'NULL'); END IF;
        IF random() < 0.3 THEN call := call || ', journey => ' || pg_temp.pick('''shared''', '''reset''', '''x''', 'NULL'); END IF;
        IF random() < 0.3 THEN call := call || ', exclude => ' || pg_temp.pick('''{c1}''', '''{c0,c1,c2,c3,c4}''', '''{NULL}''', '''{}'''); END IF;
        IF random() < 0.3 THEN call := call || ', conversion_is_touch => ' || pg_temp.pick('''no''', '''later''', '''also''', '''x'''); END IF;
        IF random() < 0.3 THEN call := call || ', dialect => ' || pg_temp.pick('''adobe''', '''mam''', '''channelattribution''', '''ga''', '''posthog''', '''snowplow''', '''x'''); END IF;
        IF random() < 0.3 THEN call := call || ', collapse => true'; END IF;
        IF random() < 0.3 THEN call := call || ', paths => true'; END IF;
        IF random() < 0.3 THEN call := call || ', as_of => ' || pg_temp.pick('''2026-01-05''', '''infinity''', '''-infinity'''); END IF;
        EXECUTE 'SELECT cdp.attribution_options(' || call || ')' INTO options;
      END IF;
      PERFORM count(*) FROM (
        SELECT cdp.attribution_pass(k, at, label, value, options) AS a FROM (
          SELECT CASE WHEN random() < 0.03 THEN NULL ELSE floor(random() * 8)::bigint END AS k,
            CASE WHEN random() < 0.03 THEN pg_temp.pick('infinity', '-infinity', NULL, '4713-01-01 BC', '294276-12-31')::timestamptz
              ELSE timestamptz '2026-01-01' + floor(random() * 500) * interval '1 hour' END AS at,
            CASE WHEN random() < 0.05 THEN NULL ELSE 'c' || floor(random() * 5) END AS label,
            CASE WHEN random() < 0.25 THEN pg_temp.pick('1', '0', '-1', '0.000001', '10.5', '9199999999999', '1e-30')::numeric
              WHEN random() < 0.003 THEN pg_temp.pick('NaN', 'Infinity', '1e40')::numeric END AS value
          FROM generate_series(1, floor(random() * 120)::integer)) AS row_of
      ) AS s, cdp.attribution_totals(s.a);
      good := good + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' THEN
        RAISE EXCEPTION 'round %: % % with % %', round, SQLSTATE, SQLERRM, call, options;
      END IF;
      bad := bad + 1;
    END;
  END LOOP;
  IF good < bad / 50 THEN
    RAISE EXCEPTION 'hardly any input is accepted: % good, % bad', good, bad;
  END IF;
END $$;

-- Rules of segments: valid ones with parts swapped, dropped, doubled and replaced by anything. Each is told to be good, and then has a canonical
-- form of its own and a plan, or has errors with a path and a code; a catalogue that is mutated is refused by a plain error.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';

CREATE FUNCTION pg_temp.catalog() RETURNS jsonb LANGUAGE sql AS $$SELECT '{"timezone":"Europe/London","self":"me","purposes":["m"],
  "attributes":{"a":{"type":"text","column":"a"},"n":{"type":"integer","column":"n"},"d":{"type":"date","column":"d"},"t":{"type":"timestamp","json":"j"},"l":{"type":"list","json":"j"},"b":{"type":"boolean","column":"b"}},
  "kinds":{"x":{"id":1,"seen":true},"y":{"id":2,"properties":{"p":{"purposes":["m"]}}}},"channels":{"c":[1,2]},"sources":{"s":3},"segments":{"g":{"id":1,"uses":["h"]},"h":{"id":2}},"lists":{"l":{"id":1}},
  "traits":{"r":{"id":1}},"ranks":{"{\"rank\":{\"trait\":\"r\"},\"top\":\"10%\"}":{"trait":"r","gte":5}},"holdouts":{"h":{"id":1,"arms":["control"]}}}'::jsonb$$;

CREATE FUNCTION pg_temp.some_value() RETURNS jsonb LANGUAGE sql AS $$SELECT pg_temp.pick('null', 'true', '0', '-1', '1', '2.50', '1e40', '1e90', '1e100000', '""', '"a"', '"x"', '"p"', '"1 day"', '"3 months"', '"0 days"', '"-1 days"',
  '"9999999999999 years"', '"2026-02-28"', '"2026-03-29T01:30:00"', '"0001-01-01"', '"9999-12-31T23:59:59.999999Z"', '"month"', '"10%"', '[]', '{}', '[1,2]', '["a","b"]', '["2 days","1 day"]', '{"gte":2}', '{"field":"value"}', '{"trait":"r"}',
  '{"did":"x"}', '{"attr":"a","eq":"q"}', '{"prop":"p","gt":1}', '"\u0001\n\"''; --"', '"微信"', '"~1/~0"')::jsonb$$;

CREATE FUNCTION pg_temp.some_atom() RETURNS jsonb LANGUAGE sql AS $$SELECT pg_temp.pick('{"attr":"a","in":["q","w"]}', '{"attr":"n","between":[1,5]}', '{"attr":"d","last":"3 months"}', '{"attr":"t","next":"7 days"}', '{"attr":"d","anniversary_next":"20 days"}', '{"attr":"l","has_any":["u","v"]}',
  '{"attr":"b","eq":true}', '{"did":"x","last":"30 days","count":{"gte":2}}', '{"did":["x","y"],"between":["9 weeks","1 day"],"sum":"p","gte":5,"where":{"all":[{"prop":"p","gt":1},{"not":{"field":"channel","eq":"c"}}]}}',
  '{"did":"y","this":"quarter","days":{"between":[1,3]}}', '{"did":"y","since":"2026-01-01","last_value":"p","prefix":"N"}', '{"first_time":"x","last":"1 month"}', '{"regularly":"x","at_least":2,"of":3,"unit":"week"}', '{"stopped":"x","between":["90 days","30 days"]}',
  '{"resumed":"y","after":"60 days","last":"14 days"}', '{"seq":[{"did":"x"},{"did":"y","within":"7 days","same":["p"]}],"last":"90 days","not_between":{"did":"x"}}', '{"seq":[{"did":"x"},{"absent":"y","within":"1 hour"}],"previous":"week","ties":"order"}',
  '{"segment":"h"}', '{"list":"l"}', '{"trait":"r","gte":4}', '{"rank":{"trait":"r"},"top":"10%"}', '{"consent":"m"}', '{"holdout":"h"}')::jsonb$$;

CREATE FUNCTION pg_temp.some_node(depth integer) RETURNS jsonb LANGUAGE sql AS $$SELECT CASE WHEN depth > 3 OR random() < 0.5 THEN pg_temp.some_atom()
  WHEN random() < 0.3 THEN jsonb_build_object('not', pg_temp.some_node(depth + 1))
  ELSE jsonb_build_object(pg_temp.pick('all', 'any'), (SELECT coalesce(jsonb_agg(pg_temp.some_node(depth + 1)), '[]') FROM generate_series(1, floor(random() * 4)::integer))) END$$;

-- Goes down at random and changes what it meets: a value, a key, a part dropped or doubled.
CREATE FUNCTION pg_temp.mutate(x jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  k text;
  n integer;
BEGIN
  IF jsonb_typeof(x) = 'object' AND x <> '{}' AND random() < 0.85 THEN
    SELECT key INTO k FROM jsonb_object_keys(x) key ORDER BY random() LIMIT 1;
    RETURN CASE WHEN random() < 0.7 THEN jsonb_set(x, ARRAY[k], pg_temp.mutate(x -> k)) WHEN random() < 0.3 THEN x - k
      WHEN random() < 0.5 THEN x || jsonb_build_object(pg_temp.pick('last', 'where', 'count', 'gte', 'did', 'within', 'since', 'arm', 'nulls', 'tz', 'x/y~z', ''), pg_temp.some_value())
      ELSE (x - k) || jsonb_build_object(pg_temp.pick('all', 'any', 'not', 'attr', 'did', 'seq', 'eq', 'lt', 'between', 'last', 'absent', 'prop', 'field'), x -> k) END;
  ELSIF jsonb_typeof(x) = 'array' AND x <> '[]' AND random() < 0.85 THEN
    n := floor(random() * jsonb_array_length(x));
    RETURN CASE WHEN random() < 0.7 THEN jsonb_set(x, ARRAY[n::text], pg_temp.mutate(x -> n)) WHEN random() < 0.5 THEN x - n ELSE x || (x -> n) END;
  ELSIF random() < 0.3 THEN
    RETURN pg_temp.some_node(2);
  END IF;
  RETURN pg_temp.some_value();
END $$;

DO $$
DECLARE
  rule jsonb;
  canonical jsonb;
  rules jsonb;
  known jsonb;
  bad text;
  good bigint := 0;
  wrong bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    rule := jsonb_build_object('v', 1, 'where', pg_temp.some_node(0));
    IF random() < 0.3 THEN rule := rule || jsonb_build_object('nulls', pg_temp.pick('set', 'sql'), 'tz', pg_temp.pick('UTC', 'Asia/Kathmandu', 'America/Sao_Paulo')); END IF;
    FOR i IN 1 .. floor(random() * 4)::integer LOOP
      rule := pg_temp.mutate(rule);
    END LOOP;
    known := pg_temp.catalog();
    BEGIN
      SELECT string_agg(format('%s %s %s', path, code, message), '; ') FILTER (WHERE severity = 'error') INTO bad FROM cdp_internal.rule_check(rule, known);
      IF EXISTS (SELECT FROM cdp_internal.rule_check(rule, known) WHERE path IS NULL OR path !~ '^(/|$)' OR code !~ '^[EW]_[A-Z_]+$' OR coalesce(message, '') = '') THEN
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'a message lacks something';
      ELSIF bad IS NOT NULL THEN
        wrong := wrong + 1;
      ELSE
        good := good + 1;
        canonical := cdp_internal.rule_canonical(rule);
        rules := jsonb_build_array(jsonb_build_object('id', 2, 'name', 'h', 'rule', '{"where":{"list":"l"}}'::jsonb), jsonb_build_object('id', 1, 'name', 'g', 'rule', rule));
        IF cdp_internal.rule_canonical(canonical) <> canonical OR EXISTS (SELECT FROM cdp_internal.rule_check(canonical, known) WHERE severity = 'error') THEN
          RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'the canonical form is another one''s';
        ELSIF cdp_internal.rule_plan(rules, known, '2026-03-29 01:30Z', true) #- '{segments,0,paths}' #- '{segments,1,paths}'
            <> cdp_internal.rule_plan(jsonb_set(rules, '{1,rule}', canonical), known, '2026-03-29 01:30Z') THEN
          RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'another plan for the canonical form';
        END IF;
      END IF;
      IF round % 5 = 0 THEN
        PERFORM * FROM cdp_internal.rule_check(rule, pg_temp.mutate(known));
        PERFORM cdp_internal.rule_plan(pg_temp.mutate(rules), pg_temp.mutate(known), pg_temp.pick('2026-01-01', 'infinity', '1000-01-01', '9800-12-31')::timestamptz);
      END IF;
    EXCEPTION WHEN OTHERS THEN
      -- A rank of other places has no threshold in the catalogue, and a rule may name itself.
      IF SQLSTATE NOT IN ('22023', '55000', '22008') THEN
        RAISE EXCEPTION 'round %: % % of %', round, SQLSTATE, SQLERRM, rule;
      END IF;
    END;
  END LOOP;
  IF good < (good + wrong) / 5 OR wrong < (good + wrong) / 10 THEN
    RAISE EXCEPTION 'hardly any rule is good, or hardly any wrong: % and %', good, wrong;
  END IF;
END $$;

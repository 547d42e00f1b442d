-- Match models, conditions, packed records and pairs with random damage: each call ends with an answer or with an error
-- that is no internal one, and a condition that is taken reads the same when it is written again. Damaged conditions that were taken
-- are put into models, too.
\set VERBOSITY terse
SET client_min_messages = error;
SELECT setseed(:seed), set_config('fuzz.rounds', :'rounds', false) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC a text[]) RETURNS text LANGUAGE sql AS 'SELECT a[1 + floor(random() * cardinality(a))::integer]';
CREATE FUNCTION pg_temp.word() RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick('"a_l"', 'a_r', 'l.b', 'r.b', 'd_l', 'd_r', '=', '<>', '<=', '>=', '(', ')', ',', 'and', 'or', 'not', 'is', 'null',
  'levenshtein(', 'damerau_levenshtein(', 'epoch(', 'try_cast(', 'timestamp', 'jaro_winkler_similarity(', 'abs(', 'date_diff(''day'',', 'substr(', 'lower(', 'try_strptime(', '''%Y-%m-%d''', '''''', '1', '0.9', '1e308', '-', '||', '::', 'date', 'text', 'cast(', 'as',
  'ELSE', ';', '--', 'array_length(list_intersect(', 'regexp_extract(', '"', '''', 'distance_km(', E'\u00e9', 'nullif(') $$;
CREATE TEMP TABLE form AS SELECT c FROM unnest(ARRAY['"a_l" = "a_r"', 'levenshtein(a_l, a_r) <= 1', 'damerau_levenshtein(a_l, b_r) <= 4', 'abs(epoch(d_l) - epoch(d_r)) <= 60', 'try_cast(a_l as timestamp) is null', 'a_l = b_r AND b_l = a_r', 'abs(date_diff(''month'', d_l, d_r)) < 3', 'abs(b_l - b_r) < 2',
  'substr(a_l, 1, 2) = substr(a_r, 1, 2)', 'not (a_l is null) or jaro_similarity(a_l, b_r) > 0.5', 'array_length(list_intersect(a_l, a_r)) >= 1', 'lower(l.a) = lower(r.a) and l.d = r.d', 'ELSE', 'distance_km(b_l, d_l, b_r, d_r) <= 10',
  'try_strptime(d_l, ''%Y-%m-%d'') IS NULL', 'nullif(a_l, '''') = nullif(a_r, '''')', 'jaccard(a_l, a_r) >= 0.9', '(a_l || b_l) = (a_r || b_r)']) c;
CREATE FUNCTION pg_temp.condition() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c text := (SELECT f.c FROM form f ORDER BY random() LIMIT 1);
  at integer;
BEGIN
  FOR i IN 1 .. floor(random() * 3)::integer LOOP
    at := floor(random() * (length(c) + 1))::integer;
    c := CASE WHEN random() < 0.5 THEN left(c, at) || ' ' || pg_temp.word() || ' ' || substr(c, at + 1)
      WHEN random() < 0.5 THEN left(c, at) || substr(c, at + 2) ELSE '(' || c || ')' || pg_temp.pick(' and ', ' or ', '') || pg_temp.word() END;
  END LOOP;
  RETURN c;
END $$;
CREATE FUNCTION pg_temp.number() RETURNS jsonb LANGUAGE sql AS $$ SELECT CASE WHEN random() < 0.997 THEN pg_temp.pick('0.5', '1e-300', '0.999999', '0.01', '0.2', '0.3')
  ELSE pg_temp.pick('0', '1', 'null', '"level not observed"', '2', '-1', '1e400', 'true') END::jsonb $$;
CREATE FUNCTION pg_temp.model(conditions text[], rules text[]) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('link_type', pg_temp.pick('dedupe_only', 'dedupe_only', 'link_only', 'link_and_dedupe'), 'probability_two_random_records_match', pg_temp.number(),
    'blocking_rules_to_generate_predictions', (SELECT jsonb_agg(pg_temp.pick(VARIADIC rules)) FROM generate_series(1, 1 + floor(random() * 3)::integer)),
    'comparisons', (SELECT jsonb_agg(jsonb_build_object('comparison_levels', (SELECT jsonb_agg(jsonb_build_object('sql_condition', CASE WHEN n = m THEN 'ELSE' ELSE pg_temp.pick(VARIADIC conditions) END,
        'm_probability', pg_temp.number(), 'u_probability', pg_temp.number(), 'is_null_level', n = 1 AND m > 2 AND random() < 0.3, 'tf_adjustment_column', pg_temp.pick('a', NULL)) ORDER BY n) FROM generate_series(1, m) n)))
      FROM generate_series(1, 1 + floor(random() * 4)::integer) c, LATERAL (SELECT 2 + floor(random() * 4)::integer + c * 0 AS m) x)) $$;
CREATE TEMP TABLE source AS SELECT i AS id, pg_temp.pick('anna', 'anne', '', NULL, '{x,y}', repeat('z', 300), 'é') AS a, pg_temp.pick('1', '2.5', 'NaN', '-1e308', NULL, 'anna') AS b,
  pg_temp.pick('2020-01-01', '2020-02-30', '2020-03-01', 'x', NULL, '0000-01-01', '9999-12-31') AS d FROM generate_series(1, 40) i;

DO $$
DECLARE
  -- Those of the list, and the last dozen that damage made of them.
  conditions text[] := ARRAY(SELECT f.c FROM form f WHERE f.c <> 'ELSE');
  rules text[] := '{l.a = r.a,l.b = r.b and l.d = r.d,l.a = r.b,l.a = r.a or l.b = r.b,"l.d = r.d and levenshtein(l.a, r.a) < 3"}';
  listed integer := cardinality(conditions);
  listed_rules integer := cardinality(rules);
  blocking boolean;
  c text;
  written text;
  model jsonb;
  more text[];
  term text[];
  records bytea;
  good bigint := 0;
  whole bigint := 0;
BEGIN
  FOR round IN 1 .. current_setting('fuzz.rounds')::integer LOOP
    blocking := round % 2 = 0;
    BEGIN
      c := pg_temp.condition();
      written := cdp_internal.match_condition(c, 'here', blocking);
      IF cdp_internal.match_condition(written, 'here', blocking) <> written THEN
        RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'written differently: ' || c;
      END IF;
      good := good + 1;
      IF blocking THEN
        rules := rules[1:listed_rules] || c || rules[listed_rules + 1:listed_rules + 11];
      ELSIF written <> 'ELSE' THEN
        conditions := conditions[1:listed] || c || conditions[listed + 1:listed + 11];
      END IF;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' THEN
        RAISE EXCEPTION 'round %: % % with %', round, SQLSTATE, SQLERRM, c;
      END IF;
    END;
    CONTINUE WHEN round % 16 > 0;
    BEGIN
      model := pg_temp.model(conditions, rules);
      more := CASE WHEN random() < 0.3 THEN ARRAY[pg_temp.pick(VARIADIC rules)] END;
      PERFORM cdp.match_import(model);
      term := CASE WHEN random() < 0.3 THEN ARRAY(SELECT t.term FROM cdp_internal.match_terms(model, more) t LIMIT 1) END;
      EXECUTE (SELECT format('SELECT cdp_internal.match_records(CASE WHEN random() < 0.5 THEN %L END, id::text, random() < 0.3, ARRAY[%s]::text[], ARRAY[%s]::text[]) FROM source t', 's', string_agg(t.expression, ',' ORDER BY t.term), string_agg(quote_literal(t.term), ',' ORDER BY t.term))
        FROM cdp_internal.match_terms(model, more) t) INTO records;
      IF random() < 0.4 THEN
        FOR n IN 1 .. 1 + floor(random() * 3)::integer LOOP
          records := set_byte(records, floor(random() * length(records))::integer, (ARRAY[0, 1, 127, 128, 255])[1 + floor(random() * 5)::integer]);
        END LOOP;
        IF random() < 0.2 THEN
          records := substr(records, 1, floor(random() * length(records))::integer);
        END IF;
      END IF;
      PERFORM count(*) FROM cdp_internal.match_pairs(records, model, more, 1 + floor(random() * 300), random() < 0.3, NULL, term, '{anna}', ARRAY[pg_temp.pick('-1', '5', '9223372036854775807')::bigint], ARRAY[pg_temp.pick('0', '100')::bigint]);
      PERFORM count(*) FROM cdp_internal.match_record_clusters(records, model, more, 1 + floor(random() * 300), NULL, pg_temp.pick('average', 'one_to_one', 'connected'), 0, -floor(random() * 5), random() < 0.5);
      PERFORM count(*) FROM cdp_internal.match_patterns(records, model, more, NULL, 1 + floor(random() * 900), round);
      PERFORM count(*) FROM cdp_internal.match_blocks(records, model, more, 50, false);
      PERFORM count(*) FROM cdp_internal.match_explain(records, model, floor(random() * 40.2)::integer, 1, term, '{anna}', '{5}', '{0}');
      PERFORM count(*) FROM (SELECT array_agg(p.pattern) AS x, array_agg(p.pairs) AS y FROM cdp_internal.match_patterns(records, model, more, NULL, NULL, NULL) p) s,
        cdp_internal.match_em(model, s.x, s.y, (SELECT array_agg(random() < 0.8) FROM jsonb_array_elements(model -> 'comparisons')), 0.3, 1e-4, 25);
      PERFORM count(*) FROM (SELECT array_agg(p.id_l) AS l, array_agg(p.id_r) AS r, array_agg(p.match_weight) AS w, array_agg(p.source_l) AS sl, array_agg(p.source_r) AS sr
          FROM cdp_internal.match_pairs(records, model, more, NULL, false, NULL, NULL, NULL, NULL, NULL) p) s,
        cdp_internal.match_clusters(s.sl, s.l, s.sr, s.r, s.w, pg_temp.pick('average', 'one_to_one', 'connected'), 0, -floor(random() * 5), random() < 0.5);
      whole := whole + 1;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE 'XX%' THEN
        RAISE EXCEPTION 'round %: % % with %', round, SQLSTATE, SQLERRM, model;
      END IF;
    END;
  END LOOP;
  IF good < current_setting('fuzz.rounds')::integer / 10 OR whole < current_setting('fuzz.rounds')::integer / 40 THEN
    RAISE EXCEPTION 'hardly anything is accepted: % conditions, % models', good, whole;
  END IF;
END $$;

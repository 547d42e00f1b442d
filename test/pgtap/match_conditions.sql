-- Conditions of match models: the closed list of forms, read and written again, and what is refused.
SELECT plan(76);

CREATE FUNCTION pg_temp.level(c text) RETURNS text LANGUAGE sql AS $$ SELECT cdp_internal.match_condition(c, 'here', false) $$;
CREATE FUNCTION pg_temp.rule(c text) RETURNS text LANGUAGE sql AS $$ SELECT cdp_internal.match_condition(c, 'here', true) $$;

-- What Splink writes, in its dialects.
SELECT is(pg_temp.level(g), w, g) FROM (VALUES
  ('"first_name_l" = "first_name_r"', '"first_name_l" = "first_name_r"'),
  ('first_name_l = first_name_r', '"first_name_l" = "first_name_r"'),
  ('`first_name_l` = `first_name_r`', '"first_name_l" = "first_name_r"'),
  ('FIRST_NAME_R=First_Name_L', '"first_name_l" = "first_name_r"'),
  ('"A b""c_l" = "A b""c_r"', '"A b""c_l" = "A b""c_r"'),
  ('"dob_l" IS NULL OR "dob_r" IS NULL', '"dob_l" IS NULL OR "dob_r" IS NULL'),
  ('ELSE', 'ELSE'),
  (' else ', 'ELSE'),
  ('levenshtein("a_l", "a_r") <= 2', 'levenshtein("a_l", "a_r") <= 2'),
  ('damerau_levenshtein("a_l", "a_r") <= 1', 'damerau_levenshtein("a_l", "a_r") <= 1'),
  ('jaro_winkler("a_l", "a_r") >= 0.92', 'jaro_winkler_similarity("a_l", "a_r") >= 0.92'),
  ('jaro_sim(a_l, a_r) > 0.5', 'jaro_similarity("a_l", "a_r") > 0.5'),
  ('jaccard("a_l", "a_r") >= 9e-1', 'jaccard("a_l", "a_r") >= 0.9'),
  ('"a_l" = "b_r" AND "a_r" = "b_l"', '"a_l" = "b_r" AND "b_l" = "a_r"'),
  ('array_length(list_intersect("a_l", "a_r")) >= 1', 'array_length(list_intersect("a_l", "a_r")) >= 1'),
  ('cardinality(array_intersect(a_l, a_r)) >= 1', 'array_length(list_intersect("a_l", "a_r")) >= 1'),
  ('ABS(EPOCH(try_strptime("dob_l", ''%Y-%m-%d'')) - EPOCH(try_strptime("dob_r", ''%Y-%m-%d''))) <= 2629800.0', 'abs(epoch(try_strptime("dob_l", ''%Y-%m-%d'')) - epoch(try_strptime("dob_r", ''%Y-%m-%d''))) <= 2629800'),
  ('ABS(EXTRACT(EPOCH FROM to_timestamp("dob_l", ''YYYY-MM-DD'')) - EXTRACT(EPOCH FROM to_timestamp("dob_r", ''YYYY-MM-DD''))) <= 60', 'abs(epoch(try_strptime("dob_l", ''%Y-%m-%d'')) - epoch(try_strptime("dob_r", ''%Y-%m-%d''))) <= 60'),
  ('ABS(EPOCH("seen_l") - EPOCH("seen_r")) <= 3600', 'abs(epoch(try_cast("seen_l" AS timestamp)) - epoch(try_cast("seen_r" AS timestamp))) <= 3600'),
  ('ABS(EPOCH(try_strptime("seen_l", ''%Y-%m-%dT%H:%M:%SZ'')) - EPOCH(try_strptime("seen_r", ''%Y-%m-%dT%H:%M:%SZ''))) <= 60.0', 'abs(epoch(try_strptime("seen_l", ''%Y-%m-%dT%H:%M:%SZ'')) - epoch(try_strptime("seen_r", ''%Y-%m-%dT%H:%M:%SZ''))) <= 60'),
  ('ABS(EXTRACT(EPOCH FROM try_cast_timestamp("seen_l", ''YYYY-MM-DDTHH24:MI:SS'')) - EXTRACT(EPOCH FROM try_cast_timestamp("seen_r", ''YYYY-MM-DDTHH24:MI:SS'')))<= 60', 'abs(epoch(try_strptime("seen_l", ''%Y-%m-%dT%H:%M:%S'')) - epoch(try_strptime("seen_r", ''%Y-%m-%dT%H:%M:%S''))) <= 60'),
  ('try_cast_date("dob_l", ''YYYY-MM-DD'') IS NULL', 'try_strptime("dob_l", ''%Y-%m-%d'') IS NULL'),
  ('try_cast(seen_l AS timestamp) IS NULL', 'try_cast("seen_l" AS timestamp) IS NULL'),
  ('levenshtein_distance("a_l", "a_r") <= 2', 'levenshtein("a_l", "a_r") <= 2'),
  ('abs(datediff(''month'', "dob_l", "dob_r")) < 2', 'abs(date_diff(''month'', try_strptime("dob_l", ''%Y-%m-%d''), try_strptime("dob_r", ''%Y-%m-%d''))) < 2'),
  ('abs(l.dob::date - r.dob::date) <= 31', 'abs(date_diff(''day'', try_strptime("dob_l", ''%Y-%m-%d''), try_strptime("dob_r", ''%Y-%m-%d''))) <= 31'),
  ('abs("x_l" - "x_r") <= 1.5', 'abs("x_l" - "x_r") <= 1.5'),
  ('NULLIF(regexp_extract("e_l", ''^[^@]+'', 0), '''') = NULLIF(regexp_extract("e_r", ''^[^@]+'', 0), '''')', 'nullif(regexp_extract("e_l", ''^[^@]+'', 0), '''') = nullif(regexp_extract("e_r", ''^[^@]+'', 0), '''')'),
  ('try_strptime("d_l", ''%d/%m/%Y'') IS NULL', 'try_strptime("d_l", ''%d/%m/%Y'') IS NULL'),
  ('(l.a || '' '' || l.b) = (r.a || '' '' || r.b)', '(("a_l" || '' '') || "b_l") = (("a_r" || '' '') || "b_r")'),
  ('NOT ("a_l" <> "a_r") AND ("b_l" = "b_r" OR "c_l" = "c_r")', 'NOT ("a_l" <> "a_r") AND ("b_l" = "b_r" OR "c_l" = "c_r")'),
  ('distance_km(lat_l, long_l, lat_r, long_r) < 10', 'distance_km("lat_l", "long_l", "lat_r", "long_r") < 10')) AS v (g, w);
-- Seconds between two times, with what is no time as unknown.
SELECT is((SELECT string_agg(e.level, '') FROM cdp.match_explain(cdp.match_model(ARRAY[jsonb_build_object('output_column_name', 't', 'comparison_levels', jsonb_build_array(
    jsonb_build_object('sql_condition', format(f, 'l') || ' IS NULL OR ' || format(f, 'r') || ' IS NULL', 'label_for_charts', 'no time', 'is_null_level', true),
    jsonb_build_object('sql_condition', format('abs(epoch(%s) - epoch(%s)) <= %s', format(f, 'l'), format(f, 'r'), seconds - 0.001), 'label_for_charts', 'less'),
    jsonb_build_object('sql_condition', format('abs(epoch(%s) - epoch(%s)) <= %s', format(f, 'l'), format(f, 'r'), seconds), 'label_for_charts', 'equal'),
    '{"sql_condition": "ELSE", "label_for_charts": "more"}'::jsonb))], ARRAY['l.k = r.k'], 'id'), jsonb_build_object('id', 1, 'k', 1, 't', l), jsonb_build_object('id', 2, 'k', 1, 't', r)) e WHERE e.comparison = 't'),
  wanted, format('seconds between %s and %s', l, r)) FROM (VALUES
  ('try_cast(t_%s AS timestamp)', '2026-11-22 10:00:00', '2026-11-22 11:30:00', 5400, 'equal'),
  ('try_cast(t_%s AS timestamp)', '2026-11-22T23:59:59.5', '2026-11-23', 0.5, 'equal'),
  ('try_cast(t_%s AS timestamp)', '2026-11-22 10:00:00+08', '2026-11-22 02:00:00Z', 0.001, 'less'),
  ('try_cast(t_%s AS timestamp)', '2024-02-29 00:00:00+05:30', '2024-02-28 10:00:00-0800', 1800, 'equal'),
  ('try_cast(t_%s AS timestamp)', '2023-02-29 00:00:00', '2023-02-28 00:00:00', 1, 'no time'),
  ('try_cast(t_%s AS timestamp)', '2026-11-22 24:00:00', '2026-11-22 00:00:00', 1, 'no time'),
  ('try_cast(t_%s AS timestamp)', '2026-11-22 10:00:00 soon', '2026-11-22 10:00:00', 1, 'no time'),
  ('try_strptime(t_%s, ''%%Y-%%m-%%dT%%H:%%M:%%SZ'')', '2026-11-22T10:00:00Z', '2026-11-22T10:01:00Z', 60, 'equal'),
  ('try_strptime(t_%s, ''%%Y-%%m-%%dT%%H:%%M:%%SZ'')', '2026-11-22T10:00:00Z', '2026-11-22 10:01:00', 60, 'no time'),
  ('try_strptime(t_%s, ''%%Y-%%m-%%d %%H:%%M:%%S'')', '2026-11-22 10:00:00', '2026-11-21 09:59:59', 86401, 'equal'),
  ('try_strptime(t_%s, ''%%Y-%%m-%%d'')', '2026-11-22 10:00:00', '2026-11-21 09:59:59', 86400, 'equal'),
  ('try_strptime(t_%s, ''%%Y%%m%%d'')', '20261122', '2026112', 1, 'no time')) AS v (f, l, r, seconds, wanted);
SELECT is(pg_temp.rule('l."first_name" = r."first_name" and substr(l.surname,1,3) = SUBSTRING(r.surname, 1, 3)'),
  'l."first_name" = r."first_name" AND substr(l."surname", 1, 3) = substr(r."surname", 1, 3)', 'a blocking rule');
SELECT is(cdp.match_block('dob', 'soundex(surname)', 'We "quote"'), 'l."dob" = r."dob" AND soundex(l."surname") = soundex(r."surname") AND l."We ""quote""" = r."We ""quote"""', 'match_block writes one');
SELECT is(pg_temp.level(pg_temp.level(c)), pg_temp.level(c), 'what was written reads the same')
FROM (VALUES ('lower(trim("a_l")) = lower(trim("a_r"))'), ('"a_l" = "b_r" OR NOT ("a_l" = "a_r" AND abs("n_l" - "n_r") < 3)')) AS v (c);

-- Everything else is refused, by its place.
SELECT throws_ok(format('SELECT pg_temp.level(%L)', c), '0A000', NULL, 'refused: ' || left(c, 50)) FROM (VALUES
  ('1=1; DROP TABLE cdp_data.link'), ('1=1'), ('true'), ('"a_l" = "a_r"; SELECT 1'), ('"a_l" = "a_r" -- and more'), ('"a_l" /* x */ = "a_r"'),
  ('pg_sleep(10) IS NULL'), ('"a_l" = (SELECT "a_r")'), ('(SELECT 1) = 1'), ('"a_l" = ''x'''), ('"a_l" = "b_l"'), ('"a" = "b"'),
  ('levenshtein("a_l", "a_r") <= "n_r"'), ('"a_l" LIKE "a_r"'), ('regexp_extract("a_l", ''(a+)+$'', 0) = regexp_extract("a_r", ''(a+)+$'', 0)'),
  ('"a_l = "a_r"'), ('a_l = a_r)'), ('((a_l = a_r)'), ('substr(a_l, 0, 3) = substr(a_r, 0, 3)'), ('a_l = $1'), (E'a_l = \\x41'), (''),
  (repeat('(', 60) || 'a_l = a_r' || repeat(')', 60)), (repeat('NOT ', 1000) || 'a_l = a_r'), (repeat('lower(', 200) || 'a_l')) AS v (c);
SELECT throws_ok($$SELECT pg_temp.level(repeat('"a_l" = "a_r" OR ', 70000))$$, '54000', NULL, 'a megabyte');
SELECT throws_ok($$SELECT pg_temp.rule('levenshtein(l.a, r.a) <= 1')$$, '22023', NULL, 'a rule that would make all pairs');
SELECT throws_ok($$SELECT pg_temp.rule('l.a = r.a OR l.b <> r.b')$$, '22023', NULL, 'also on one side of an OR');
SELECT * FROM finish();

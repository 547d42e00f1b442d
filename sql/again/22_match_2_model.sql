-- Matching: models are written here. A model is jsonb in Splink's settings format (version 4); builders make one
-- without writing JSON, import and export exchange it with Splink.

CREATE OR REPLACE FUNCTION cdp_internal.match_side(column_name text, side text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '"' || replace(column_name, '"', '""') || '_' || side || '"';
COMMENT ON FUNCTION cdp_internal.match_side(text, text) IS 'Name of a column of one side (l or r), as conditions of a match model write it.';

CREATE OR REPLACE FUNCTION cdp_internal.match_level(condition text, label text, term_frequency text DEFAULT NULL, is_null boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_strip_nulls(jsonb_build_object('sql_condition', condition, 'label_for_charts', label,
  'is_null_level', CASE WHEN is_null THEN true END, 'tf_adjustment_column', term_frequency,
  'tf_adjustment_weight', CASE WHEN term_frequency IS NOT NULL THEN 1.0 END));
COMMENT ON FUNCTION cdp_internal.match_level(text, text, text, boolean) IS
'A comparison level in Splink''s format. term_frequency: the column whose frequencies adjust it, or NULL.';

CREATE OR REPLACE FUNCTION cdp_internal.match_measure_levels(measure text, a text, b text, operator text, thresholds double precision[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(jsonb_agg(cdp_internal.match_level(format('%s(%s, %s) %s %s', measure, a, b, operator, t.x),
    format('%s %s %s', measure, operator, t.x)) ORDER BY t.n), '[]')
  FROM unnest(thresholds) WITH ORDINALITY AS t (x, n));
COMMENT ON FUNCTION cdp_internal.match_measure_levels(text, text, text, text, double precision[]) IS
'One level for each threshold of a measure of two texts, in the order given: strictest first.';

CREATE OR REPLACE FUNCTION cdp.match_comparison(kind text, column_name text, thresholds double precision[] DEFAULT NULL,
  term_frequency boolean DEFAULT NULL, other_column text DEFAULT NULL, date_format text DEFAULT '%Y-%m-%d') RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  l text := cdp_internal.match_side(column_name, 'l');
  r text := cdp_internal.match_side(column_name, 'r');
  other_l text := cdp_internal.match_side(other_column, 'l');
  other_r text := cdp_internal.match_side(other_column, 'r');
  tf text := CASE WHEN coalesce(term_frequency, kind IN ('name', 'email', 'postcode', 'phone')) THEN column_name END;
  empty text := format('%s IS NULL OR %s IS NULL', l, r);
  exact text := format('%s = %s', l, r);
  part text;
  levels jsonb;
BEGIN
  IF column_name IS NULL OR column_name = '' OR kind IS NULL
    OR (other_column IS NULL) <> (kind NOT IN ('forename_surname', 'distance')) THEN
    RAISE EXCEPTION 'a comparison needs a kind and a column; forename_surname and distance, and only they, another column'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Write cdp.match_comparison(''name'', ''first_name'').';
  END IF;
  IF array_position(thresholds, NULL) IS NOT NULL OR (cardinality(thresholds) = 0 AND kind IN ('array', 'distance')) THEN
    RAISE EXCEPTION 'a threshold is NULL, or a kind that needs one has none'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave thresholds out to take those of the kind.';
  END IF;
  levels := jsonb_build_array(cdp_internal.match_level(exact, 'exact', tf));
  CASE kind
    WHEN 'exact', 'phone' THEN
      NULL;
    WHEN 'name' THEN
      levels := levels || cdp_internal.match_measure_levels('jaro_winkler_similarity', l, r, '>=', coalesce(thresholds, '{0.92,0.88,0.7}'));
    WHEN 'jaro_winkler' THEN
      levels := levels || cdp_internal.match_measure_levels('jaro_winkler_similarity', l, r, '>=', coalesce(thresholds, '{0.9,0.7}'));
    WHEN 'levenshtein' THEN
      levels := levels || cdp_internal.match_measure_levels('levenshtein', l, r, '<=', coalesce(thresholds, '{1,2}'));
    WHEN 'damerau_levenshtein' THEN
      levels := levels || cdp_internal.match_measure_levels('damerau_levenshtein', l, r, '<=', coalesce(thresholds, '{1,2}'));
    WHEN 'jaccard' THEN
      levels := levels || cdp_internal.match_measure_levels('jaccard', l, r, '>=', coalesce(thresholds, '{0.9,0.7}'));
    WHEN 'trigram' THEN
      levels := levels || cdp_internal.match_measure_levels('similarity', l, r, '>=', coalesce(thresholds, '{0.7,0.4}'));
    WHEN 'date_of_birth', 'date' THEN
      part := format('abs(date_diff(''day'', try_strptime(%s, %s), try_strptime(%s, %2$s)))', l, quote_literal(date_format), r);
      levels := levels || cdp_internal.match_level(format('damerau_levenshtein(%s, %s) <= 1', l, r), 'one typing error')
        || (SELECT coalesce(jsonb_agg(cdp_internal.match_level(format('%s <= %s', part, d.days), format('within %s days', d.days)) ORDER BY d.n), '[]')
            FROM unnest(coalesce(thresholds, '{31,366,3653}')) WITH ORDINALITY AS d (days, n));
      empty := format('try_strptime(%s, %s) IS NULL OR try_strptime(%s, %2$s) IS NULL', l, quote_literal(date_format), r);
    WHEN 'postcode' THEN
      levels := levels || (SELECT jsonb_agg(cdp_internal.match_level(format('nullif(regexp_extract(%s, %s, 0), '''') = nullif(regexp_extract(%s, %2$s, 0), '''')', l, quote_literal(p.pattern), r), p.label) ORDER BY p.n)
        FROM (VALUES (1, '^[A-Za-z]{1,2}[0-9][A-Za-z0-9]? [0-9]', 'sector'), (2, '^[A-Za-z]{1,2}[0-9][A-Za-z0-9]?', 'district'), (3, '^[A-Za-z]{1,2}', 'area')) AS p (n, pattern, label));
    WHEN 'email' THEN
      part := 'nullif(regexp_extract(%s, ''^[^@]+'', 0), '''')';
      levels := levels || cdp_internal.match_level(format(part || ' = ' || part, l, r), 'same name before the @')
        || cdp_internal.match_measure_levels('jaro_winkler_similarity', l, r, '>=', coalesce(thresholds, '{0.88}'))
        || cdp_internal.match_measure_levels('jaro_winkler_similarity', format(part, l), format(part, r), '>=', coalesce(thresholds, '{0.88}'));
    WHEN 'number' THEN
      levels := levels || (SELECT coalesce(jsonb_agg(cdp_internal.match_level(format('abs(%s - %s) <= %s', l, r, t.x), format('within %s', t.x)) ORDER BY t.n), '[]')
        FROM unnest(thresholds) WITH ORDINALITY AS t (x, n));
    WHEN 'array' THEN
      levels := (SELECT jsonb_agg(cdp_internal.match_level(format('array_length(list_intersect(%s, %s)) >= %s', l, r, t.x), format('%s in common', t.x)) ORDER BY t.n)
        FROM unnest(coalesce(thresholds, '{2,1}')) WITH ORDINALITY AS t (x, n));
    WHEN 'distance' THEN
      empty := empty || format(' OR %s IS NULL OR %s IS NULL', other_l, other_r);
      levels := (SELECT jsonb_agg(cdp_internal.match_level(format('distance_km(%s, %s, %s, %s) <= %s', l, other_l, r, other_r, t.x), format('within %s km', t.x)) ORDER BY t.n)
        FROM unnest(coalesce(thresholds, '{1,10,100}')) WITH ORDINALITY AS t (x, n));
    WHEN 'forename_surname' THEN
      empty := format('(%s) AND (%s IS NULL OR %s IS NULL)', empty, other_l, other_r);
      part := 'jaro_winkler_similarity(%s, %s) >= %s AND jaro_winkler_similarity(%s, %s) >= %3$s';
      levels := jsonb_build_array(
          cdp_internal.match_level(format('%s AND %s = %s', exact, other_l, other_r), 'both exact'),
          cdp_internal.match_level(format('%s = %s AND %s = %s', l, other_r, other_l, r), 'exchanged'))
        || (SELECT coalesce(jsonb_agg(cdp_internal.match_level(format(part, l, r, t.x, other_l, other_r), format('both jaro_winkler_similarity >= %s', t.x)) ORDER BY t.n), '[]')
            FROM unnest(coalesce(thresholds, '{0.92,0.88}')) WITH ORDINALITY AS t (x, n))
        || cdp_internal.match_level(format('%s = %s', other_l, other_r), other_column || ' exact', CASE WHEN term_frequency THEN other_column END)
        || cdp_internal.match_level(exact, column_name || ' exact', CASE WHEN term_frequency THEN column_name END);
    ELSE
      RAISE EXCEPTION 'unknown kind of comparison "%"', kind
        USING ERRCODE = 'invalid_parameter_value',
          HINT = 'Kinds are: exact, name, jaro_winkler, levenshtein, damerau_levenshtein, jaccard, trigram, date_of_birth, date, postcode, email, phone, number, array, distance, forename_surname.';
  END CASE;
  RETURN jsonb_build_object('output_column_name', concat_ws('_', column_name, other_column),
    'comparison_levels', jsonb_build_array(cdp_internal.match_level(empty, 'NULL', NULL, true)) || levels
      || jsonb_build_array(cdp_internal.match_level('ELSE', 'all other')));
END
$$;
COMMENT ON FUNCTION cdp.match_comparison(text, text, double precision[], boolean, text, text) IS
'A comparison of a match model, in Splink''s format. kind: exact, name (Jaro-Winkler 0.92, 0.88, 0.7), jaro_winkler, levenshtein, damerau_levenshtein, jaccard, trigram, date_of_birth or date (one typing error, then days apart; a text in date_format, %Y-%m-%d, %Y%m%d or %d/%m/%Y), postcode (British sector, district, area), email, phone, number (largest differences), array (elements in common), distance (km; column_name is the latitude, other_column the longitude), forename_surname (column_name and other_column, also exchanged). thresholds replace those of the kind, strictest first. term_frequency: agreement on a rare value counts more (on for name, email, phone and postcode). Error 22023: unknown kind, columns that do not fit it, a threshold that is NULL.';

CREATE OR REPLACE FUNCTION cdp.match_block(VARIADIC expressions text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  expression text;
  word text[];
  parts text[] := '{}';
BEGIN
  FOREACH expression IN ARRAY expressions LOOP
    word := regexp_match(expression, '^\s*(\w+)\s*\(\s*(\w+)\s*((?:,\s*\d+\s*)*)\)\s*$');
    parts := parts || CASE WHEN word IS NULL THEN format('l."%s" = r."%1$s"', replace(expression, '"', '""'))
      ELSE format('%s(l."%s"%s) = %1$s(r."%2$s"%3$s)', word[1], word[2], word[3]) END;
  END LOOP;
  RETURN cdp_internal.match_condition(array_to_string(parts, ' AND '), 'blocking rule', true);
END
$$;
COMMENT ON FUNCTION cdp.match_block(text[]) IS
'A blocking rule: records that agree on all of these become pairs. Each is a column or one of lower, upper, trim, substr, left, soundex, dmetaphone of one, such as substr(surname, 1, 3). Errors: 0A000 another expression.';

CREATE OR REPLACE FUNCTION cdp.match_import(settings jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  model jsonb := settings;
  path text[];
  item record;
  rule text;
BEGIN
  PERFORM count(*) FROM cdp_internal.match_shape(settings); -- refuses what has not the form of a model
  FOR item IN
    SELECT c.n AS c, v.n AS v, v.level ->> 'sql_condition' AS condition
    FROM jsonb_array_elements(settings -> 'comparisons') WITH ORDINALITY AS c (comparison, n),
      jsonb_array_elements(c.comparison -> 'comparison_levels') WITH ORDINALITY AS v (level, n)
  LOOP
    path := ARRAY['comparisons', (item.c - 1)::text, 'comparison_levels', (item.v - 1)::text, 'sql_condition'];
    model := jsonb_set(model, path, to_jsonb(cdp_internal.match_condition(item.condition,
      format('comparisons[%s].comparison_levels[%s].sql_condition', item.c - 1, item.v - 1), false)));
  END LOOP;
  FOR item IN
    SELECT r.n, r.rule, jsonb_typeof(r.rule) = 'string' AS is_text
    FROM jsonb_array_elements(coalesce(nullif(settings -> 'blocking_rules_to_generate_predictions', 'null'), '[]')) WITH ORDINALITY AS r (rule, n)
  LOOP
    rule := cdp_internal.match_condition(CASE WHEN item.is_text THEN item.rule #>> '{}' ELSE item.rule ->> 'blocking_rule' END,
      format('blocking_rules_to_generate_predictions[%s]', item.n - 1), true);
    model := jsonb_set(model, ARRAY['blocking_rules_to_generate_predictions', (item.n - 1)::text], jsonb_build_object('blocking_rule', rule));
  END LOOP;
  RETURN model - 'sql_dialect';
END
$$;
COMMENT ON FUNCTION cdp.match_import(jsonb) IS
'A model from Splink''s settings (version 4 JSON, any SQL dialect of its string comparisons): every condition is read from a closed list of forms and written again, one text for one meaning; nothing is run. Keys that matching does not know stay as they are. Errors: 0A000 a condition of no known form, with its place; 22023 no model.';

CREATE OR REPLACE FUNCTION cdp_internal.match_great_circle(condition text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT regexp_replace(condition, 'distance_km[(]' || n.name || ', ' || n.name || ', ' || n.name || ', ' || n.name || '[)]',
    format('cast(acos(case when (%1$s) > 1 then 1 when (%1$s) < -1 then -1 else (%1$s) end) * 6371 as float)',
      'sin(radians(\1)) * sin(radians(\3)) + cos(radians(\1)) * cos(radians(\3)) * cos(radians(\4 - \2))'), 'g')
  FROM (SELECT '("(?:[^"]|"")*")'::text AS name) AS n;
END;
COMMENT ON FUNCTION cdp_internal.match_great_circle(text) IS
'A condition with distance_km of plain columns spelled out as Splink spells it.';

CREATE OR REPLACE FUNCTION cdp.match_export(model jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  settings jsonb := cdp.match_import(model);
  own text;
  item record;
BEGIN
  FOR item IN
    SELECT c.n AS c, v.n AS v, v.level ->> 'sql_condition' AS condition
    FROM jsonb_array_elements(settings -> 'comparisons') WITH ORDINALITY AS c (comparison, n),
      jsonb_array_elements(c.comparison -> 'comparison_levels') WITH ORDINALITY AS v (level, n)
    WHERE v.level ->> 'sql_condition' ~ '\mdistance_km[(]'
  LOOP
    settings := jsonb_set(settings, ARRAY['comparisons', (item.c - 1)::text, 'comparison_levels', (item.v - 1)::text, 'sql_condition'],
      to_jsonb(cdp_internal.match_great_circle(item.condition)));
  END LOOP;
  SELECT c.condition INTO own
  FROM (SELECT v ->> 'sql_condition' AS condition FROM jsonb_array_elements(settings -> 'comparisons') c, jsonb_array_elements(c -> 'comparison_levels') v
        UNION ALL SELECT b ->> 'blocking_rule' FROM jsonb_array_elements(settings -> 'blocking_rules_to_generate_predictions') b) AS c
  WHERE c.condition ~ '\m(distance_km|similarity|dice|soundex|dmetaphone)[(]' LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'Splink has no counterpart of a condition of the model'
      USING ERRCODE = 'feature_not_supported', DETAIL = 'The functions distance_km, similarity, dice, soundex and dmetaphone are not in its DuckDB dialect.',
        HINT = 'Use jaro_winkler_similarity, jaccard or levenshtein in models that you exchange.';
  END IF;
  RETURN settings || jsonb_build_object('sql_dialect', 'duckdb', 'blocking_rules_to_generate_predictions',
    (SELECT coalesce(jsonb_agg(b.rule || '{"sql_dialect": "duckdb"}' ORDER BY b.n), '[]')
     FROM jsonb_array_elements(settings -> 'blocking_rules_to_generate_predictions') WITH ORDINALITY AS b (rule, n)));
END
$$;
COMMENT ON FUNCTION cdp.match_export(jsonb) IS
'The model as settings that Splink 4 loads with its DuckDB backend. Errors: 0A000 a condition that Splink does not have; 22023 no model.';

CREATE OR REPLACE FUNCTION cdp.match_model(comparisons jsonb[], blocking text[], unique_id text DEFAULT 'id', link_type text DEFAULT 'dedupe_only',
  source_column text DEFAULT NULL, prior double precision DEFAULT 0.0001) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF link_type <> 'dedupe_only' AND source_column IS NULL THEN
    RAISE EXCEPTION 'link_type "%" needs the column that names the source', link_type
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Unite the tables in a view with such a column and name it with source_column.';
  END IF;
  RETURN cdp.match_import(jsonb_strip_nulls(jsonb_build_object('link_type', link_type, 'unique_id_column_name', unique_id,
    'source_dataset_column_name', source_column, 'probability_two_random_records_match', prior,
    'comparisons', to_jsonb(comparisons), 'blocking_rules_to_generate_predictions', to_jsonb(blocking),
    'em_convergence', 0.0001, 'max_iterations', 25)));
END
$$;
COMMENT ON FUNCTION cdp.match_model(jsonb[], text[], text, text, text, double precision) IS
'A match model in Splink''s settings format, untrained: comparisons of cdp.match_comparison(), blocking rules of cdp.match_block() or conditions such as l.dob = r.dob AND lower(l.city) = lower(r.city). unique_id names the column of record ids. link_type: dedupe_only (one table), link_only (pairs between sources) or link_and_dedupe, with source_column. prior: probability that two random records match, which training replaces. Errors: 0A000, 22023 as match_import.';

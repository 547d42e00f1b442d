-- Matching: one record against a table by index, and why two records match.

CREATE OR REPLACE FUNCTION cdp_internal.match_type(source regclass, column_name text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT CASE WHEN t.typcategory = 'S' THEN 'text' ELSE format_type(a.atttypid, a.atttypmod) END
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = source AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION cdp_internal.match_type(regclass, text) IS 'The type of a column, text for all kinds of text; NULL when there is no such column.';

CREATE OR REPLACE FUNCTION cdp_internal.match_frequencies(model jsonb, source regclass, records jsonb,
  OUT terms text[], OUT vals text[], OUT counts bigint[], OUT totals bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  col text;
  known text[];
  value text;
  n bigint;
  total bigint;
BEGIN
  terms := '{}'; vals := '{}'; counts := '{}'; totals := '{}';
  FOR col IN
    SELECT DISTINCT trim('"' FROM v ->> 'tf_adjustment_column') FROM jsonb_array_elements(model -> 'comparisons') c, jsonb_array_elements(c -> 'comparison_levels') v
    WHERE v ->> 'tf_adjustment_column' IS NOT NULL ORDER BY 1
  LOOP
    known := ARRAY(SELECT DISTINCT r ->> col FROM jsonb_array_elements(records) r WHERE r ->> col IS NOT NULL ORDER BY 1);
    CONTINUE WHEN known = '{}';
    -- How many rows have any value: from statistics where there are some, for it need not be exact.
    SELECT nullif(greatest(c.reltuples, 0), 0) * (1 - s.null_frac) INTO total
    FROM pg_class c JOIN pg_stats s ON s.schemaname = c.relnamespace::regnamespace::text AND s.tablename = c.relname AND s.attname = col
    WHERE c.oid = source AND c.relkind IN ('r', 'p', 'm', 'f') AND NOT s.inherited;
    IF total IS NULL THEN
      EXECUTE format('SELECT count(t.%I) FROM %s t', col, source) INTO total;
    END IF;
    FOREACH value IN ARRAY known LOOP
      EXECUTE format('SELECT count(*) FROM %s t WHERE t.%I = %L::%s', source, col, value, cdp_internal.match_type(source, col)) INTO n;
      terms := terms || ('"' || replace(col, '"', '""') || '"');
      vals := vals || value;
      counts := counts || greatest(n, 1);
      totals := totals || greatest(total, n, 1);
    END LOOP;
  END LOOP;
END
$$;
COMMENT ON FUNCTION cdp_internal.match_frequencies(jsonb, regclass, jsonb) IS
'How often the values of records (an array of objects) that a model adjusts by frequency occur in a table; the number of rows with any value is that of the statistics, or counted where there are none. An index on the column makes it quick.';

CREATE OR REPLACE FUNCTION cdp_internal.match_candidates(model jsonb, source regclass, record jsonb, most integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
  SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
AS $$
DECLARE
  part record;
  own text := format('(SELECT * FROM jsonb_populate_record(NULL::%s, %L) LIMIT 1)', source, record);
  value text;
  conditions text[];
  queries text[] := '{}';
BEGIN
  FOR part IN
    SELECT p.alternative, s.side, array_agg(CASE WHEN s.side = 1 THEN p.expression_l ELSE p.expression_r END ORDER BY p.n) AS theirs,
      array_agg(CASE WHEN s.side = 1 THEN p.expression_r ELSE p.expression_l END ORDER BY p.n) AS ours,
      array_agg(CASE WHEN s.side = 1 THEN p.column_l ELSE p.column_r END ORDER BY p.n) AS columns
    FROM cdp_internal.match_rule_parts(model) WITH ORDINALITY AS p (rule, alternative, mirrored, expression_l, expression_r, column_l, column_r, n),
      generate_series(1, 2) AS s (side)
    WHERE s.side = 1 OR NOT p.mirrored
    GROUP BY 1, 2 ORDER BY 1, 2
  LOOP
    conditions := '{}';
    FOR i IN 1 .. cardinality(part.ours) LOOP
      EXECUTE format('SELECT %s FROM %s AS t', part.ours[i], own) INTO value;
      IF value IS NULL THEN
        conditions := NULL; -- a rule with a missing value makes no pair
        EXIT;
      END IF;
      -- A bare column is compared in its own type, so that its index serves.
      conditions := conditions || CASE WHEN part.columns[i] IS NOT NULL AND cdp_internal.match_type(source, part.columns[i]) <> 'text'
        THEN format('t.%I = %L::%s', part.columns[i], value, cdp_internal.match_type(source, part.columns[i]))
        ELSE format('%s = %L', part.theirs[i], value) END;
    END LOOP;
    CONTINUE WHEN conditions IS NULL;
    queries := queries || format('(SELECT t.* FROM %s AS t WHERE %s LIMIT %s)', source, array_to_string(conditions, ' AND '), most + 1);
  END LOOP;
  RETURN nullif(array_to_string(queries, ' UNION ALL '), '');
END
$$;
COMMENT ON FUNCTION cdp_internal.match_candidates(jsonb, regclass, jsonb, integer) IS
'The query for the rows of a table that a blocking rule of the model pairs with a record, one branch for each rule that the record has values for, with at most so many rows and one more each; NULL when no rule applies. Values are literals of the table''s types.';

CREATE OR REPLACE FUNCTION cdp.match_record(record jsonb, model jsonb, source regclass, least_probability double precision DEFAULT 0.5,
  max_candidates integer DEFAULT 1000)
RETURNS TABLE (source_dataset text, id text, match_weight double precision, match_probability double precision, match_key integer, gammas integer[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
  SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
AS $$
#variable_conflict use_column
DECLARE
  id_column text := coalesce(model ->> 'unique_id_column_name', 'unique_id');
  source_column text := coalesce(model ->> 'source_dataset_column_name', 'source_dataset');
  source_sql text := CASE WHEN coalesce(model ->> 'link_type', 'dedupe_only') <> 'dedupe_only' THEN format('t.%I::text', source_column) END;
  own_id text;
  own_source text;
  query text;
  records bytea;
  f record;
BEGIN
  IF record IS NULL OR jsonb_typeof(record) <> 'object' OR coalesce(max_candidates < 1 OR max_candidates > 1000000, true) THEN
    RAISE EXCEPTION 'a record must be a JSON object, and max_candidates from 1 to 1000000'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Write cdp.match_record(''{"first_name": "Ann", "dob": "1990-01-31"}'', model, ''people'').';
  END IF;
  PERFORM cdp_internal.match_from(model, NULL, source, NULL); -- all columns are there
  query := cdp_internal.match_candidates(model, source, record, max_candidates);
  IF query IS NULL THEN
    RETURN;
  END IF;
  -- Without an id the record's place among ids is behind all letters; it is not paired with itself.
  EXECUTE format('SELECT t.%I::text, %s FROM jsonb_populate_record(NULL::%s, %L) AS t', id_column, coalesce(source_sql, 'NULL'), source, record)
    INTO own_id, own_source;
  EXECUTE cdp_internal.match_select(model, NULL, 't.cdp_new', 't.cdp_id')
    || format(' FROM (SELECT DISTINCT ON (%s) t.*, t.%I::text AS cdp_id, false AS cdp_new FROM (%s) AS t WHERE (%s) IS DISTINCT FROM (%s)',
      concat_ws(', ', format('t.%I::text', id_column), source_sql), id_column, query,
      concat_ws(', ', format('t.%I::text', id_column), source_sql),
      concat_ws(', ', quote_nullable(own_id), CASE WHEN source_sql IS NOT NULL THEN quote_nullable(own_source) END))
    || format(' UNION ALL SELECT t.*, %L, true FROM jsonb_populate_record(NULL::%s, %L) AS t) AS t', coalesce(own_id, chr(127)), source, record)
  INTO records;
  f := cdp_internal.match_frequencies(model, source, jsonb_build_array(record));
  RETURN QUERY
  SELECT nullif(CASE WHEN o.is_l THEN p.source_r ELSE p.source_l END, ''), CASE WHEN o.is_l THEN p.id_r ELSE p.id_l END,
    p.match_weight, cdp_internal.match_probability(p.match_weight), p.match_key, p.gammas
  FROM cdp_internal.match_pairs(records, model, NULL, NULL, true,
    CASE WHEN least_probability > 0 THEN ln(least_probability / greatest(1 - least_probability, 1e-300)) / ln(2.0) END, f.terms, f.vals, f.counts, f.totals) p,
    LATERAL (SELECT p.id_l = coalesce(own_id, chr(127)) AND p.source_l = coalesce(own_source, '') AS is_l) o
  ORDER BY p.match_weight DESC, p.l, p.r;
END
$$;
COMMENT ON FUNCTION cdp.match_record(jsonb, jsonb, regclass, double precision, integer) IS
'Scores one record, given as JSON with the columns of the table, against the rows that a blocking rule of the model pairs it with, best first. Rows are found by one query a rule, so indexes on the columns or expressions of the rules make it quick (lower(email) for a rule on lower(email); text columns as they are). A rule with more than max_candidates rows brings only so many, without any order. Frequencies of its values are counted in the table. A row with the record''s own id is left out; a record with an id pairs as it would from its place in the table, one without as the last row. Errors: 22023 no object, 42703 a missing column, 22P02 and the like for a value that the column''s type refuses.';

CREATE OR REPLACE FUNCTION cdp.match_explain(model jsonb, l jsonb, r jsonb, source regclass DEFAULT NULL)
RETURNS TABLE (comparison text, value_l text, value_r text, level text, value integer, m double precision, u double precision, bayes_factor double precision,
  frequency double precision, frequency_factor double precision, cumulative_weight double precision, cumulative_probability double precision)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
  SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
AS $$
#variable_conflict use_column
DECLARE
  records bytea;
  f record;
  columns text;
BEGIN
  IF model IS NULL THEN
    RAISE EXCEPTION 'matching needs a model'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'cdp.match_model() makes one, cdp.match_train() trains it.';
  END IF;
  SELECT string_agg(format('%I text', c.name), ', ' ORDER BY c.name) INTO columns
  FROM (SELECT DISTINCT unnest(t.columns) AS name FROM cdp_internal.match_terms(model, NULL) t) AS c;
  EXECUTE cdp_internal.match_select(model || '{"link_type": "dedupe_only", "unique_id_column_name": "cdp_id"}', NULL, 'false')
    || format(' FROM (SELECT c.*, v.cdp_id FROM (VALUES (%L::jsonb, 1), (%L::jsonb, 2)) AS v (r, cdp_id), jsonb_to_record(v.r) AS c (%s)) AS t', l, r, columns)
  INTO records;
  IF source IS NOT NULL THEN
    f := cdp_internal.match_frequencies(model, source, jsonb_build_array(l, r));
  ELSE
    SELECT NULL::text[] AS terms, NULL::text[] AS vals, NULL::bigint[] AS counts, NULL::bigint[] AS totals INTO f;
  END IF;
  RETURN QUERY
  SELECT e.comparison, s.value_l, s.value_r, e.level, e.value, e.m, e.u, e.bayes_factor, e.frequency, e.frequency_factor, e.cumulative_weight, cdp_internal.match_probability(e.cumulative_weight)
  FROM cdp_internal.match_explain(records, CASE WHEN source IS NULL THEN cdp_internal.match_plain(model) ELSE model END, 0, 1, f.terms, f.vals, f.counts, f.totals) WITH ORDINALITY AS e
      (comparison, level, value, m, u, bayes_factor, frequency, frequency_factor, cumulative_weight, n)
    LEFT JOIN (SELECT h.comparison, string_agg(l ->> c.name, ', ' ORDER BY c.n) AS value_l, string_agg(r ->> c.name, ', ' ORDER BY c.n) AS value_r
      FROM (SELECT DISTINCT ON (m.comparison) m.comparison, m.columns FROM cdp_internal.match_shape(model) m) AS h,
        LATERAL (SELECT u.name, min(u.n) AS n FROM unnest(h.columns) WITH ORDINALITY AS u (name, n) GROUP BY 1) AS c
      GROUP BY 1) AS s ON s.comparison = e.n - 2
  ORDER BY e.n;
END
$$;
COMMENT ON FUNCTION cdp.match_explain(jsonb, jsonb, jsonb, regclass) IS
'Why two records (JSON with the columns of the model) match or do not: the prior, then one row a comparison with both values, the level that holds, its m and u, their Bayes factor m/u, the frequency of the value in source with its factor (1 without source), and the weight so far, log2 of the odds; the last row has the match weight and probability. The values are personal data. Errors: 22023 no model or a bad one, 0A000.';

CREATE OR REPLACE FUNCTION cdp_internal.match_plain(model jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_set(model, '{comparisons}', (SELECT jsonb_agg(jsonb_set(c.comparison, '{comparison_levels}',
    (SELECT jsonb_agg(v.level - 'tf_adjustment_column' ORDER BY v.n) FROM jsonb_array_elements(c.comparison -> 'comparison_levels') WITH ORDINALITY AS v (level, n))) ORDER BY c.n)
  FROM jsonb_array_elements(model -> 'comparisons') WITH ORDINALITY AS c (comparison, n)));
COMMENT ON FUNCTION cdp_internal.match_plain(jsonb) IS 'The model without adjustment for frequencies.';
